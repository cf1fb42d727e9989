//! What `elbow local` runs: the emulator and its servers, the rounds, and what is shown of them.
//!
//! In: a [`Project`], and later ones after edits. Out: plans, findings, progress and the table. What
//! always holds: the world only grows, so an edit takes nothing from under what runs; and the state
//! file is written before the table that tells of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use elbow_api::{Diagnostic, Severity, Snapshot};
use elbow_emulator::{Config, Emulator, HealthMode, Latencies, Quotas};
use elbow_emulator_server::dataplane::{self, Bindings, DataPlane, DataPlaneConfig};
use elbow_emulator_server::{Clock, SharedEmulator, serve_api};
use elbow_loopback::world::{self, World};
use elbow_model::{AwsAnswer, AwsCall, AwsError};
use elbow_plan::{Plan, Step, render};
use elbow_reconcile::{Effect, Input, RoundResult, Settings, StepState, Unit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::backends::{Backends, Mapping};
use super::display::{Display, Stream};
use super::edit;
use super::session::Session;
use super::state::{AwsState, State};
use super::table;
use super::view::{self, Health, Parts};
use crate::addresses::Claims;
use crate::args::LocalArgs;
use crate::certificates::Authority;
use crate::findings;
use crate::input::{Project, StandIns};
use crate::terminal::Terminal;
use crate::world::{Certificates, wanted};

/// Everything that runs.
pub(crate) struct Runtime {
    display: Display,
    project: Project,
    /// What the rounds read; follows [`Runtime::project`].
    snapshot: Snapshot,
    shared: SharedEmulator,
    session: Session,
    data_plane: DataPlane,
    bindings: watch::Receiver<Bindings>,
    changes: watch::Receiver<u64>,
    backends: Backends,
    stand_ins: StandIns,
    /// `None` when stand-ins are switched off.
    authority: Option<Authority>,
    world: World,
    aws: AwsState,
    ca_file: PathBuf,
    state_file: PathBuf,
    /// Holds the files above; removed with everything in it at the end.
    _folder: tempfile::TempDir,
    shutdown: CancellationToken,
    /// Addresses of load balancers, held until the end.
    _claims: Claims,
    /// What the state file says.
    written: Option<State>,
    /// What the table showed last.
    shown: Option<State>,
    /// Whether a plan was shown whose end was not told yet.
    is_applying: bool,
    /// Findings that were shown already.
    told: Vec<Diagnostic>,
    /// Failures that were shown already.
    failures: Vec<String>,
    /// What the last round of a unit failed with; those whose last round did not fail have no entry.
    troubles: BTreeMap<Unit, Vec<String>>,
    /// The plan of each unit that was shown last.
    plans: BTreeMap<Unit, Plan>,
}

impl Runtime {
    /// Starts the servers and says what was made up.
    pub(crate) async fn start(
        args: &LocalArgs,
        project: Project,
        mappings: Vec<Mapping>,
        terminal: Terminal,
    ) -> anyhow::Result<Self> {
        let shutdown = CancellationToken::new();
        let (stand_ins, authority) = if args.no_stand_ins {
            (StandIns::None, None)
        } else {
            (StandIns::MakeUp, Some(Authority::new()?))
        };
        let mut emulator = Emulator::new(Config {
            region: project.place.region.clone(),
            account_id: project.place.account.clone(),
            latencies: Latencies::aws(),
            health: HealthMode::Probed,
            quotas: Quotas {
                rules_per_application_load_balancer: project.settings.rules_per_load_balancer_max,
                ..Quotas::default()
            },
            ..Config::default()
        });
        let world = world::build(
            &mut emulator,
            &wanted(
                &project.loaded.snapshot,
                &project.settings,
                certificates(authority.as_ref()),
            )?,
        )
        .context("cannot make up a VPC")?;
        let shared = SharedEmulator::start(emulator, Clock::new(args.speed), shutdown.clone());

        let api = TcpListener::bind(&args.aws_listen)
            .await
            .with_context(|| format!("--aws-listen: cannot listen on {}", args.aws_listen))?;
        let endpoint_url = format!("http://{}", api.local_addr()?);
        tokio::spawn(serve_api(shared.clone(), api, shutdown.clone()));

        let mut backends = Backends::new(mappings, shutdown.clone());
        backends.follow(&project.made_up).await?;
        let claims = Claims::new();
        let config = DataPlaneConfig {
            addresses: claims.addresses(),
            dial: backends.dial(),
            ..DataPlaneConfig::direct()
        };
        let data_plane = dataplane::serve(shared.clone(), config, shutdown.clone()).await;

        let folder = tempfile::Builder::new()
            .prefix("elbow-local-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let ca_file = folder.path().join("ca.pem");
        let pem = authority.as_ref().map(Authority::pem).unwrap_or_default();
        std::fs::write(&ca_file, pem)
            .with_context(|| format!("cannot write {}", ca_file.display()))?;
        let state_file = args
            .state_file
            .clone()
            .unwrap_or_else(|| folder.path().join("state.json"));

        // The emulator has no budgets of its own; what is changed through its endpoint with other
        // tools is found as on AWS, by a look every half hour of its time.
        let settings = Settings {
            drift_interval_ms: Some(DRIFT_INTERVAL_MS),
            ..Settings::new(project.settings.clone()).unlimited()
        };
        let session = Session::new(shared.clone(), settings);
        let aws = AwsState {
            endpoint_url,
            region: project.place.region.clone(),
        };
        let mut runtime = Self {
            display: Display::new(
                terminal,
                if args.exec.is_empty() {
                    Stream::Out
                } else {
                    Stream::Err
                },
            ),
            snapshot: project.loaded.snapshot.clone(),
            bindings: data_plane.bindings(),
            changes: shared.changes(),
            project,
            shared,
            session,
            data_plane,
            backends,
            stand_ins,
            authority,
            world,
            aws,
            ca_file,
            state_file,
            _folder: folder,
            shutdown,
            _claims: claims,
            written: None,
            shown: None,
            is_applying: false,
            told: Vec::new(),
            failures: Vec::new(),
            troubles: BTreeMap::new(),
            plans: BTreeMap::new(),
        };
        runtime.introduce(args)?;
        Ok(runtime)
    }

    /// Says what was made up and at what speed time passes.
    fn introduce(&mut self, args: &LocalArgs) -> anyhow::Result<()> {
        let mut text = String::from("Made up, since the manifests take it for granted:\n");
        let world = &self.world.made_up;
        let subnets = world.iter().filter(|thing| thing.kind == "subnet").count();
        text.push_str(&format!(
            "  VPC {} with {subnets} tagged subnets in {} zones\n",
            self.world.vpc_id,
            self.world.zones.len()
        ));
        for thing in world
            .iter()
            .filter(|t| !matches!(t.kind, "VPC" | "subnet" | "instance"))
        {
            text.push_str(&format!("  {thing}\n"));
        }
        for note in &self.project.made_up.notes {
            text.push_str(&format!("  {note}\n"));
        }
        if (args.speed - 1.0).abs() > f64::EPSILON {
            text.push_str(&format!(
                "AWS's waits pass {} times faster than on AWS (--speed 1 gives AWS's own).\n",
                args.speed
            ));
        }
        text.push_str(&format!(
            "The built-in AWS answers at {}\n\n",
            self.aws.endpoint_url
        ));
        self.display.tell(&text)?;
        for line in self.backends.unused(&self.project.made_up) {
            self.display.warn(&line)?;
        }
        self.tell_findings()
    }

    /// Tells the rounds that something happened.
    pub(crate) fn tell(&mut self, input: Input) -> anyhow::Result<()> {
        let mut results = Vec::new();
        let mut failed_steps: BTreeMap<Unit, Vec<String>> = BTreeMap::new();
        let Self {
            session,
            snapshot,
            project,
            display,
            plans,
            is_applying,
            stand_ins,
            ..
        } = self;
        let mut shown = Ok(());
        session.send(
            input,
            snapshot,
            &project.loaded,
            &mut |effect| match effect {
                // A round that is tried again comes to the same plan, which was shown.
                Effect::PlanReady { unit, plan }
                    if plans.get(unit) != Some(plan) && shown.is_ok() =>
                {
                    shown = display.print(&format!("{}\n", render::text::render(plan)));
                    plans.insert(unit.clone(), plan.clone());
                    *is_applying = true;
                }
                Effect::Progress {
                    unit,
                    step,
                    state: StepState::Failed { error },
                } => failed_steps
                    .entry(unit.clone())
                    .or_default()
                    .push(failed_step(step, error) + hint(error, *stand_ins)),
                Effect::RoundFinished { unit, result, .. } => {
                    results.push((unit.clone(), result.clone()));
                }
                _ => {}
            },
        );
        shown?;
        for (unit, result) in results {
            match result {
                RoundResult::LookupFailed { error } => {
                    self.troubles
                        .insert(unit.clone(), vec![format!("{unit}: {error}")]);
                }
                RoundResult::Converged { .. } | RoundResult::Blocked => {
                    self.troubles.remove(&unit);
                }
                RoundResult::Incomplete { .. } => {
                    let failed = failed_steps.remove(&unit).unwrap_or_default();
                    if !failed.is_empty() {
                        self.troubles.insert(unit, failed);
                    }
                }
                RoundResult::Superseded => {}
            }
        }
        // A step that fails is tried again; the same failure is told once.
        let troubles: Vec<String> = self.troubles.values().flatten().cloned().collect();
        for failure in troubles {
            if !self.failures.contains(&failure) {
                self.display.fail(&failure)?;
                self.failures.push(failure);
            }
        }
        self.tell_findings()
    }

    /// Follows an edit.
    pub(crate) async fn follow(&mut self, mut project: Project) -> anyhow::Result<()> {
        edit::keep(&self.project.loaded, &mut project.loaded);
        // What is kept may need stand-ins as well.
        project.made_up_again(self.authority.is_some());
        let wanted_world = wanted(
            &project.loaded.snapshot,
            &project.settings,
            certificates(self.authority.as_ref()),
        )?;
        let world = self
            .shared
            .with(|emulator, _| world::extend(emulator, &self.world, &wanted_world))
            .context("cannot make up what the manifests name")?;
        for thing in world.made_up.iter().filter(|t| t.kind != "instance") {
            self.display.tell(&format!("Made up: {thing}\n"))?;
        }
        for note in &project.made_up.notes {
            if !self.project.made_up.notes.contains(note) {
                self.display.tell(&format!("Made up: {note}\n"))?;
            }
        }
        self.world = world;
        self.backends.follow(&project.made_up).await?;
        let reads = edit::follow(&mut self.snapshot, &project.loaded.snapshot);
        // What is still wrong in a file that was edited is told again; what is not in it need not be.
        let is_edited = |source: &str| {
            let text =
                |project: &Project| project.loaded.text(source).map(|t| t.as_str().to_owned());
            text(&self.project) != text(&project)
        };
        self.told.retain(|finding| {
            finding.severity != Severity::Error
                || !finding
                    .location
                    .as_ref()
                    .is_some_and(|l| is_edited(&l.source))
        });
        self.project = project;
        self.failures.clear();
        self.plans.clear();
        if reads.is_empty() {
            self.tell_findings()
        } else {
            self.tell(Input::ObjectsChanged(reads))
        }
    }

    /// Waits until something may have to be shown or done.
    pub(crate) async fn wait(&mut self) -> anyhow::Result<()> {
        tokio::select! {
            () = self.session.tick() => self.tell(Input::Tick),
            changed = self.changes.changed() => changed.context("the emulator is gone"),
            changed = self.bindings.changed() => changed.context("the data plane is gone"),
        }
    }

    /// Writes the state file and the table, if they differ from before, or what is awaited.
    pub(crate) fn show(&mut self) -> anyhow::Result<()> {
        let health = self.health();
        let awaited = self.awaited_with(&health);
        self.display.awaiting(&awaited)?;
        let state = self.state(&health);
        if self.written.as_ref() != Some(&state) {
            state
                .write(&self.state_file)
                .with_context(|| format!("cannot write {}", self.state_file.display()))?;
            self.written = Some(state.clone());
        }
        // What failed is tried again and must not hide what works.
        let is_settled = awaited.is_empty() && self.session.reconciler().is_at_rest();
        if !is_settled {
            return Ok(());
        }
        if self.shown.as_ref() != Some(&state) {
            self.display.print(&table::draw(&state))?;
            if self.shown.replace(state).is_none() {
                self.display.running()?;
            }
        } else if self.is_applying && self.troubles.is_empty() {
            self.display.print("Applied.\n")?;
        }
        self.is_applying = false;
        Ok(())
    }

    /// Whether everything is active, served and healthy, and nothing is about to be changed.
    pub(crate) fn is_ready(&self) -> bool {
        self.session.reconciler().is_quiet() && self.awaited_with(&self.health()).is_empty()
    }

    /// What is still awaited, and what failed.
    pub(crate) fn awaited(&self) -> Vec<String> {
        let mut awaited = self.awaited_with(&self.health());
        awaited.extend(self.troubles.values().flatten().cloned());
        awaited
    }

    /// Where to tell what goes wrong.
    pub(crate) fn display(&mut self) -> &mut Display {
        &mut self.display
    }

    /// Where the built-in AWS answers.
    pub(crate) fn aws(&self) -> AwsState {
        self.aws.clone()
    }

    /// The state file.
    pub(crate) fn state_file(&self) -> &Path {
        &self.state_file
    }

    /// Closes all sockets.
    pub(crate) async fn stop(mut self) {
        self.display.clear();
        self.shutdown.cancel();
        // What is still open then ends with the process.
        drop(tokio::time::timeout(CLOSING_MAX, self.data_plane.closed()).await);
    }

    fn awaited_with(&self, health: &Health) -> Vec<String> {
        view::awaited(
            self.session.reconciler().known(),
            &self.bindings.borrow(),
            health,
        )
    }

    fn state(&self, health: &Health) -> State {
        view::state(&Parts {
            snapshot: &self.snapshot,
            known: self.session.reconciler().known(),
            bindings: &self.bindings.borrow(),
            health,
            ca_certificate: self.ca_file.display().to_string(),
            aws: self.aws.clone(),
        })
    }

    /// Health of all targets, as AWS reports it.
    fn health(&self) -> Health {
        view::target_groups(self.session.reconciler().known())
            .into_iter()
            .filter_map(|group| {
                let call = AwsCall::DescribeTargetHealth {
                    target_group: group.clone(),
                };
                match self.session.call(&call) {
                    Ok(AwsAnswer::TargetHealth(targets)) => Some((group, targets)),
                    // Deleted meanwhile, by whomever.
                    _ => None,
                }
            })
            .collect()
    }

    /// Shows findings that are new.
    fn tell_findings(&mut self) -> anyhow::Result<()> {
        let of_rounds: Vec<Diagnostic> = self
            .session
            .reconciler()
            .diagnostics()
            .flat_map(|(_, found)| found.into_iter().cloned())
            .collect();
        let found = self.project.findings(of_rounds);
        let news: Vec<Diagnostic> = found
            .iter()
            .filter(|d| !self.told.contains(d))
            .cloned()
            .collect();
        self.told = found;
        if news.is_empty() {
            return Ok(());
        }
        self.display
            .tell(&findings::render_brief(&news, &self.project.loaded, true))?;
        Ok(())
    }
}

/// How long sockets may take to close. With the time that a command has to end this stays below the two
/// seconds that Ctrl-C may take.
const CLOSING_MAX: Duration = Duration::from_millis(500);

/// What to do about a failure that elbow itself can help with.
fn hint(error: &AwsError, stand_ins: StandIns) -> &'static str {
    match (error.code.as_str(), stand_ins) {
        ("CertificateNotFound", StandIns::None) => {
            "\n  help: leave out --no-stand-ins to have each certificate made up that is named"
        }
        _ => "",
    }
}

/// A step that failed, for people.
fn failed_step(step: &Step, error: &AwsError) -> String {
    let causes: Vec<String> = step.causes.iter().map(ToString::to_string).collect();
    let causes = if causes.is_empty() {
        String::new()
    } else {
        format!(" (because of {})", causes.join(", "))
    };
    format!(
        "{}: cannot {} {} {}: {error}{causes}",
        step.stack,
        step.action.as_str(),
        step.resource.kind,
        step.name,
    )
}

/// How often AWS is asked whether somebody else changed something, in the emulator's time.
const DRIFT_INTERVAL_MS: u64 = 30 * 60 * 1000;

fn certificates(authority: Option<&Authority>) -> Certificates<'_> {
    authority.map_or(Certificates::None, Certificates::MakeUp)
}
