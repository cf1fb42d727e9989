//! `elbow local`: manifests on this machine, against the built-in AWS, with real traffic.
//!
//! In: manifests, and what the user maps to processes of theirs. Out: load balancers on loopback
//! addresses, until Ctrl-C or the end of the command. The flow is in [`serve`]: load, make up a world,
//! start the servers, drive the rounds, show what runs, follow edits.

mod backends;
mod child;
mod edit;
mod progress;
mod runtime;
mod session;
mod state;
mod table;
mod view;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use elbow_reconcile::Input;

use crate::args::LocalArgs;
use crate::exit_code::ExitCode;
use crate::input::{Project, StandIns, inputs};
use crate::terminal::Terminal;
use backends::Mapping;
use runtime::Runtime;
use watch::Edits;

/// Runs until Ctrl-C, or until the command has ended.
pub(crate) fn run(args: &LocalArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(serve(args, terminal));
    // Connections that are still open are not waited for.
    runtime.shutdown_background();
    result
}

async fn serve(args: &LocalArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        args.speed.is_finite() && args.speed > 0.0,
        "--speed: {} is not a factor; 1 is AWS's own speed",
        args.speed
    );
    let mappings: Vec<Mapping> = args
        .backend
        .iter()
        .map(|text| Mapping::parse(text))
        .collect::<anyhow::Result<_>>()?;
    let stand_ins = if args.no_stand_ins {
        StandIns::None
    } else {
        StandIns::MakeUp
    };
    let project = Project::load(&inputs(&args.sources.filename)?, &args.settings, stand_ins)?;
    if project.loaded.snapshot.gateway_names().next().is_none() {
        return nothing_to_run(&project, &args.sources.filename, terminal);
    }

    // Watched before it is read for the first time, so that no edit falls between the two.
    let mut edits = Edits::of(&args.sources.filename)?;
    let mut runtime = Runtime::start(args, project, mappings, terminal).await?;
    runtime.tell(Input::Start)?;

    let result = if args.exec.is_empty() {
        until_interrupted(args, stand_ins, &mut runtime, &mut edits).await
    } else {
        for_command(args, &mut runtime).await
    };
    runtime.stop().await;
    result
}

/// Runs and follows edits until Ctrl-C.
async fn until_interrupted(
    args: &LocalArgs,
    stand_ins: StandIns,
    runtime: &mut Runtime,
    edits: &mut Edits,
) -> anyhow::Result<ExitCode> {
    loop {
        runtime.show()?;
        tokio::select! {
            interrupted = interrupted() => {
                interrupted?;
                return Ok(ExitCode::Ok);
            }
            () = edits.next() => {
                let inputs = inputs_again(&args.sources.filename);
                let project = Project::load(&inputs, &args.settings, stand_ins)?;
                runtime.follow(project).await?;
            }
            result = runtime.wait() => result?,
        }
    }
}

/// Waits until everything works, runs the command, and ends with it.
async fn for_command(args: &LocalArgs, runtime: &mut Runtime) -> anyhow::Result<ExitCode> {
    let deadline = tokio::time::sleep(Duration::from_secs(args.timeout));
    tokio::pin!(deadline);
    loop {
        runtime.show()?;
        if runtime.is_ready()? {
            break;
        }
        tokio::select! {
            interrupted = interrupted() => {
                interrupted?;
                return Ok(ExitCode::Child(INTERRUPTED));
            }
            () = &mut deadline => {
                let awaited = runtime.awaited()?.join("\n  ");
                anyhow::bail!(
                    "not everything works after {} s, so the command was not run:\n  {awaited}",
                    args.timeout
                );
            }
            result = runtime.wait() => result?,
        }
    }
    let mut command = child::start(&args.exec, &runtime.aws(), runtime.state_file())?;
    loop {
        tokio::select! {
            result = command.end() => return result,
            interrupted = interrupted() => {
                interrupted?;
                command.stop().await;
                return Ok(ExitCode::Child(INTERRUPTED));
            }
            // Rounds go on while the command runs.
            result = runtime.wait() => result?,
        }
    }
}

/// 128 and the number of SIGINT, as shells report it.
const INTERRUPTED: u8 = 130;

/// Waits for Ctrl-C, or for what a service manager or CI sends instead.
async fn interrupted() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result.context("cannot listen for Ctrl-C"),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c()
        .await
        .context("cannot listen for Ctrl-C")
}

/// The paths once more; standard input was read to its end the first time and cannot have changed.
fn inputs_again(paths: &[PathBuf]) -> Vec<elbow_cluster::Input> {
    paths
        .iter()
        .filter(|path| path.as_path() != Path::new("-"))
        .map(elbow_cluster::Input::path)
        .collect()
}

fn nothing_to_run(
    project: &Project,
    paths: &[PathBuf],
    terminal: Terminal,
) -> anyhow::Result<ExitCode> {
    let found = project.findings(Vec::new());
    terminal.err(&crate::findings::render(&found, &project.loaded, true))?;
    let names: Vec<String> = paths.iter().map(|p| format!("`{}`", p.display())).collect();
    let what = if project.loaded.snapshot.objects().is_empty() {
        "no Kubernetes objects"
    } else {
        "no Gateway"
    };
    anyhow::bail!("there is nothing to run: {} holds {what}", names.join(", "))
}
