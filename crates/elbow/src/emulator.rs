//! `elbow emulator`: the built-in AWS as a server of its own, for tests and clusters.
//!
//! In: a description of a world, addresses for load balancers. Out: an AWS endpoint, load balancers on
//! real sockets, a name server for their names, until Ctrl-C. What always holds: nothing survives the
//! process; the state file is whole and no newer than what it tells of.

mod call_log;
mod pool;
mod state;
mod world_file;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use elbow_emulator::{Config, Emulator, HealthMode, Latencies, Throttling};
use elbow_emulator_server::dataplane::{self, DataPlane, DataPlaneConfig};
use elbow_emulator_server::{
    ApiOptions, Clock, DnsSockets, FaultPlan, SharedEmulator, serve_api_with, serve_dns,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::addresses::Claims;
use crate::args::{EmulatorArgs, SPEEDS, Throttle};
use crate::exit_code::ExitCode;
use crate::signals::Signals;
use crate::state_file;
use crate::terminal::Terminal;
use pool::Pool;
use state::{Place, State};
use world_file::WorldFile;

/// Runs until Ctrl-C.
pub(crate) fn run(args: &EmulatorArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(args, terminal));
    // Connections that are still open are not waited for.
    runtime.shutdown_background();
    result
}

async fn serve(args: &EmulatorArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    if !SPEEDS.contains(&args.speed) {
        let (min, max) = (SPEEDS.start(), SPEEDS.end());
        let speed = args.speed;
        terminal.err(&format!(
            "error: --speed: {speed} is not between {min} and {max}; 1 is AWS's own speed\n"
        ))?;
        return Ok(ExitCode::Usage);
    }
    let mut signals = Signals::new()?;
    let mut server = Server::start(args).await?;
    server.write_state(args)?;
    terminal.out(&server.introduction())?;
    loop {
        tokio::select! {
            _ = signals.next() => break,
            () = server.changed() => server.write_state(args)?,
        }
    }
    server.stop().await;
    Ok(ExitCode::Ok)
}

/// All that runs.
struct Server {
    shared: SharedEmulator,
    data_plane: DataPlane,
    bindings: tokio::sync::watch::Receiver<dataplane::Bindings>,
    changes: tokio::sync::watch::Receiver<u64>,
    place: Place,
    /// What the state file says.
    written: Option<State>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    /// Addresses that are held until the end, where none were given.
    _claims: Option<Claims>,
}

impl Server {
    async fn start(args: &EmulatorArgs) -> anyhow::Result<Self> {
        let file = match &args.world {
            Some(path) => WorldFile::read(path)?,
            None => WorldFile::usual(),
        };
        let clock = Clock::new(args.speed);
        let mut emulator = Emulator::new(Config {
            region: file.region.clone(),
            account_id: file.account.clone(),
            latencies: Latencies::aws(),
            health: HealthMode::Probed,
            throttling: match args.throttle {
                Throttle::Aws => Throttling::Aws,
                Throttle::None => Throttling::None,
            },
            ..Config::default()
        });
        let ca_certificate = file
            .build(&mut emulator, clock.now())
            .context("cannot build the world")?;

        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        let shared = SharedEmulator::start(emulator, clock, shutdown.clone());
        let api = TcpListener::bind(&args.listen)
            .await
            .with_context(|| format!("--listen: cannot listen on {}", args.listen))?;
        let endpoint_url = format!("http://{}", api.local_addr()?);
        let options = ApiOptions {
            on_call: args.call_log.as_deref().map(call_log::open).transpose()?,
            faults: Arc::default(),
            admin: args.admin,
        };
        if let Some(path) = &args.faults {
            read_faults(path)?.apply(&shared, &options.faults);
        }
        tasks.spawn(serve_api_with(
            shared.clone(),
            api,
            options,
            shutdown.clone(),
        ));

        let claims = args.addresses.is_empty().then(Claims::new);
        let pool = Pool::parse(&args.addresses)?;
        let config = DataPlaneConfig {
            addresses: match &claims {
                Some(claims) => claims.addresses(),
                None => pool.addresses(),
            },
            // Whoever gives addresses of the VPC finds each load balancer where EC2 says it is.
            owns: Some(Arc::new(move |address| pool.contains(address))),
            ..DataPlaneConfig::direct()
        };
        let data_plane = dataplane::serve(shared.clone(), config, shutdown.clone()).await;

        let mut dns = None;
        if let Some(address) = args.dns {
            let sockets = DnsSockets::bind(address)
                .await
                .with_context(|| format!("--dns: cannot listen on {address}"))?;
            dns = Some(sockets.local_addr()?);
            let names = data_plane.bindings();
            tasks.spawn(serve_dns(sockets, names, args.speed, shutdown.clone()));
        }
        Ok(Self {
            bindings: data_plane.bindings(),
            changes: shared.changes(),
            data_plane,
            place: Place {
                endpoint_url,
                region: file.region,
                account: file.account,
                dns,
                ca_certificate,
            },
            written: None,
            shared,
            shutdown,
            tasks,
            _claims: claims,
        })
    }

    /// What a person reads first.
    fn introduction(&self) -> String {
        let Place {
            endpoint_url,
            region,
            account,
            dns,
            ..
        } = &self.place;
        let mut text = format!(
            "AWS answers at {endpoint_url} (region {region}, account {account}):\n  \
             AWS_ENDPOINT_URL={endpoint_url} AWS_REGION={region} AWS_ACCESS_KEY_ID=test \
             AWS_SECRET_ACCESS_KEY=test aws elbv2 describe-load-balancers\n"
        );
        if let Some(dns) = dns {
            text.push_str(&format!("Names of load balancers resolve at {dns}\n"));
        }
        text
    }

    /// Waits until something may have changed that the state file tells of.
    async fn changed(&mut self) {
        let (bindings, changes) = (&mut self.bindings, &mut self.changes);
        // Both senders live as long as `self`.
        tokio::select! {
            _ = bindings.changed() => {}
            _ = changes.changed() => {}
        }
    }

    fn write_state(&mut self, args: &EmulatorArgs) -> anyhow::Result<()> {
        let Some(path) = &args.state else {
            return Ok(());
        };
        let known = self.shared.with(Emulator::load_balancers);
        let state = State::new(&self.place, &known, &self.bindings.borrow());
        if self.written.as_ref() != Some(&state) {
            state_file::write(&state, path)
                .with_context(|| format!("cannot write {}", path.display()))?;
            self.written = Some(state);
        }
        Ok(())
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.data_plane.closed().await;
        self.tasks.close();
        // A client that keeps a call open does not keep the process.
        let patience = std::time::Duration::from_secs(1);
        drop(tokio::time::timeout(patience, self.tasks.wait()).await);
    }
}

fn read_faults(path: &Path) -> anyhow::Result<FaultPlan> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("--faults: cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("--faults: {} does not describe faults", path.display()))
}
