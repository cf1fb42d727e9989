//! `elbow local`: manifests on this machine, against the built-in AWS, with real traffic.
//!
//! In: manifests, and what the user maps to processes of theirs. Out: load balancers on loopback
//! addresses, until Ctrl-C or the end of the command. The flow is in [`serve`]: load, make up a world,
//! start the servers, drive the rounds, show what runs, follow edits.

mod backends;
mod child;
mod display;
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

use crate::args::{LocalArgs, SPEEDS, SettingsArgs};
use crate::exit_code::ExitCode;
use crate::input::{Project, StandIns, inputs};
use crate::signals::{Interrupt, Signals};
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
    let mappings = match check(args) {
        Ok(mappings) => mappings,
        Err(error) => {
            terminal.err(&format!("error: {error:#}\n"))?;
            return Ok(ExitCode::Usage);
        }
    };
    let stand_ins = if args.no_stand_ins {
        StandIns::None
    } else {
        StandIns::MakeUp
    };
    // Standard input may be a terminal: until it has ended, Ctrl-C ends the process by itself.
    let inputs = inputs(&args.sources.filename)?;
    let mut signals = Signals::new()?;
    // Watched before it is read for the first time, so that no edit falls between the two.
    let mut edits = Edits::of(&args.sources.filename);
    let project = tokio::select! {
        project = load(inputs, args.settings.clone(), stand_ins) => project?,
        interrupt = signals.next() => return Ok(interrupted(args, interrupt)),
    };
    if project.loaded.snapshot.gateway_names().next().is_none() {
        return nothing_to_run(&project, &args.sources.filename, terminal);
    }
    let mut runtime = Runtime::start(args, project, mappings, terminal).await?;
    let result = drive(args, stand_ins, &mut runtime, &mut edits, &mut signals).await;
    runtime.stop().await;
    result
}

async fn drive(
    args: &LocalArgs,
    stand_ins: StandIns,
    runtime: &mut Runtime,
    edits: &mut Edits,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    runtime.tell(Input::Start)?;
    if args.exec.is_empty() {
        for problem in edits.problems() {
            runtime.display().warn(problem)?;
        }
        until_interrupted(args, stand_ins, runtime, edits, signals).await
    } else {
        for_command(args, runtime, signals).await
    }
}

/// Checks what the command line alone can get wrong.
fn check(args: &LocalArgs) -> anyhow::Result<Vec<Mapping>> {
    anyhow::ensure!(
        SPEEDS.contains(&args.speed),
        "--speed: {} is not between {} and {}; 1 is AWS's own speed",
        args.speed,
        SPEEDS.start(),
        SPEEDS.end(),
    );
    args.backend
        .iter()
        .map(|text| Mapping::parse(text))
        .collect()
}

/// Reads manifests while signals are heeded: a folder may be large, or on a slow network.
async fn load(
    inputs: Vec<elbow_cluster::Input>,
    settings: SettingsArgs,
    stand_ins: StandIns,
) -> anyhow::Result<Project> {
    tokio::task::spawn_blocking(move || Project::load(&inputs, &settings, stand_ins))
        .await
        .context("cannot read the manifests")?
}

/// How it ends at a signal: well, unless a command was still to be run.
fn interrupted(args: &LocalArgs, interrupt: Interrupt) -> ExitCode {
    if args.exec.is_empty() {
        ExitCode::Ok
    } else {
        ExitCode::Child(interrupt.status())
    }
}

/// Runs and follows edits until Ctrl-C.
async fn until_interrupted(
    args: &LocalArgs,
    stand_ins: StandIns,
    runtime: &mut Runtime,
    edits: &mut Edits,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    loop {
        runtime.show()?;
        tokio::select! {
            interrupt = signals.next() => return Ok(interrupted(args, interrupt)),
            () = edits.next() => {
                let inputs = inputs_again(&args.sources.filename);
                tokio::select! {
                    project = load(inputs, args.settings.clone(), stand_ins) => {
                        runtime.follow(project?).await?;
                    }
                    interrupt = signals.next() => return Ok(interrupted(args, interrupt)),
                }
            }
            result = runtime.wait() => result?,
        }
    }
}

/// Waits until everything works, runs the command, and ends with it.
async fn for_command(
    args: &LocalArgs,
    runtime: &mut Runtime,
    signals: &mut Signals,
) -> anyhow::Result<ExitCode> {
    let deadline = tokio::time::sleep(Duration::from_secs(args.timeout));
    tokio::pin!(deadline);
    loop {
        runtime.show()?;
        if runtime.is_ready() {
            break;
        }
        tokio::select! {
            interrupt = signals.next() => return Ok(interrupted(args, interrupt)),
            () = &mut deadline => {
                let awaited = runtime.awaited().join("\n  ");
                anyhow::bail!(
                    "not everything works after {} s, so the command was not run:\n  {awaited}",
                    args.timeout
                );
            }
            result = runtime.wait() => result?,
        }
    }
    let mut command = match child::start(&args.exec, &runtime.aws(), runtime.state_file()) {
        Ok(command) => command,
        Err(error) => {
            runtime.display().fail(&format!("{error:#}"))?;
            return Ok(ExitCode::Child(child::not_run_status(&error)));
        }
    };
    loop {
        tokio::select! {
            result = command.end() => return result,
            interrupt = signals.next() => {
                command.stop(interrupt).await;
                return Ok(interrupted(args, interrupt));
            }
            // Rounds go on while the command runs.
            result = runtime.wait() => result?,
        }
    }
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
    let what = if project.loaded.is_empty() {
        "no Kubernetes objects"
    } else if project.is_incomplete() {
        "no Gateway that is valid"
    } else {
        "no Gateway"
    };
    anyhow::bail!("there is nothing to run: {} holds {what}", names.join(", "))
}
