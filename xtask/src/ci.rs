//! `cargo xtask ci`: every check, by one command, on a machine that has rustup, Go, Python and a C compiler.
//!
//! In: the names of stages, or none for all of them. Out: what the stages print, then a table of how
//! each of them ended and how long it took.
//! Always: people and the CI server run the same stages by the same code; a stage that fails does not
//! keep the next ones from running; tools that a stage needs are installed under the target folder.

mod tools;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::command::{self, cargo, succeed};
use crate::tidy;

/// Runs all checks, or the named ones.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which checks to run; all of them, in this order, when none is named
    #[arg(value_enum)]
    stages: Vec<Stage>,
}

/// A check. The order is that of a run: what is cheap and tells much comes first, and the tests that
/// take a whole server come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// The code is formatted as rustfmt does it
    Format,
    /// The repository keeps its habits
    Tidy,
    /// clippy has nothing to say
    Lint,
    /// All tests of all crates, golden cases included
    Test,
    /// The examples in the documentation compile and hold
    Doctest,
    /// Licences, sources and duplicates of what we depend on
    Dependencies,
    /// The programs as their users meet them: boto3 and the AWS command line against the emulator,
    /// sockets against its load balancers
    E2e,
    /// The Go module in `e2e/`, and the Kubernetes cluster in a process that it has
    Cluster,
    /// What users do, what goes wrong and how often AWS is asked, on that cluster
    Scenarios,
    /// The Gateway API's conformance suite: the results are those of the report
    Conformance,
    /// The role allows what these two have needed, and no more
    Audit,
}

/// How a stage ended.
struct Outcome {
    stage: Stage,
    took: Duration,
    failure: Option<anyhow::Error>,
}

pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let stages = if args.stages.is_empty() {
        <Stage as clap::ValueEnum>::value_variants()
    } else {
        &args.stages
    };
    let outcomes = stages
        .iter()
        .map(|stage| {
            writeln!(std::io::stderr(), "\n=== {}", name(*stage))?;
            let start = Instant::now();
            let failure = run_stage(root, *stage).err();
            Ok(Outcome {
                stage: *stage,
                took: start.elapsed(),
                failure,
            })
        })
        .collect::<std::io::Result<Vec<Outcome>>>()?;
    print_table(&outcomes)?;
    let n_failed = outcomes.iter().filter(|row| row.failure.is_some()).count();
    ensure!(
        n_failed == 0,
        "{n_failed} of {} checks failed",
        outcomes.len()
    );
    Ok(())
}

fn run_stage(root: &Path, stage: Stage) -> anyhow::Result<()> {
    let with_cargo = |arguments: &[&str]| succeed(cargo(root).args(arguments));
    match stage {
        Stage::Format => with_cargo(&["fmt", "--all", "--check"]),
        Stage::Tidy => tidy::run(root),
        Stage::Lint => with_cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "--deny=warnings",
        ]),
        Stage::Test => {
            let target = target_folder(root)?;
            tools::install(root, &target)?;
            let nextest = tools::NEXTEST.path(root, &target)?;
            succeed(
                within(root, nextest)
                    .args(["nextest", "run", "--locked", "--workspace"])
                    .args(["--profile", "ci"]),
            )
        }
        Stage::Doctest => with_cargo(&["test", "--locked", "--workspace", "--doc"]),
        Stage::Dependencies => {
            let target = target_folder(root)?;
            tools::install(root, &target)?;
            let deny = tools::DENY.path(root, &target)?;
            // Advisories need a database from the network, and a new one would stop unrelated work.
            succeed(
                within(root, deny)
                    .args(["--locked", "check", "--hide-inclusion-graph"])
                    .args(["bans", "licenses", "sources"]),
            )
        }
        Stage::E2e => end_to_end(root),
        Stage::Cluster => cluster(root),
        Stage::Scenarios => in_cluster(root, &["./scenarios", "./bench"], &[]),
        Stage::Conformance => in_cluster(root, &["./conformance"], &["-args", "-check"]),
        Stage::Audit => go(root, &["run", "./audit"]),
    }
}

/// Runs each folder of `e2e/` that holds Python tests.
fn end_to_end(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("e2e");
    let target = target_folder(root)?;
    let python = tools::python(&target, &folder.join("requirements.txt"))?;
    programs(root)?;
    let suites = suites(&folder)?;
    ensure!(!suites.is_empty(), "no tests below {}", folder.display());
    let failures: Vec<String> = suites
        .iter()
        .filter_map(|suite| {
            // A process for each, so that helper modules of one are not taken for those of another.
            let mut pytest = within(root, python.clone());
            pytest
                .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
                .arg(suite)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("CARGO_TARGET_DIR", &target)
                .env("ELBOW_BIN", target.join("debug/elbow"));
            succeed(&mut pytest).err().map(|error| format!("{error:#}"))
        })
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("; "));
    Ok(())
}

/// Compiles what the tests in other languages start, so that none of them waits for the compiler.
fn programs(root: &Path) -> anyhow::Result<()> {
    succeed(cargo(root).args(["build", "--locked", "--workspace", "--bins", "--examples"]))
}

/// Checks the Go module and tests what elbow has no part in.
fn cluster(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("e2e");
    let unformatted = command::output(within(&folder, "gofmt".into()).args(["-l", "."]))?;
    ensure!(
        unformatted.is_empty(),
        "not as gofmt has it, in e2e/:\n{unformatted}"
    );
    go(root, &["vet", "./..."])?;
    // Before the tests, as it takes minutes the first time and says how far it is.
    go(root, &["run", "./cluster", "build"])?;
    go_test(root, &["./cluster/...", "./audit"], &[])
}

/// Runs elbow in the cluster, and what is in `with` for the tests themselves.
fn in_cluster(root: &Path, packages: &[&str], with: &[&str]) -> anyhow::Result<()> {
    programs(root)?;
    go(root, &["run", "./cluster", "build"])?;
    go_test(root, packages, with)
}

/// Runs Go tests in their short form. Each package starts a cluster, so they run one after the other.
fn go_test(root: &Path, packages: &[&str], with: &[&str]) -> anyhow::Result<()> {
    let mut arguments = vec!["test", "-count=1", "-p=1", "-timeout=30m", "-short"];
    arguments.extend(packages);
    arguments.extend(with);
    go(root, &arguments)
}

fn go(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let target = target_folder(root)?;
    let mut go = within(&root.join("e2e"), "go".into());
    succeed(go.args(arguments).env("CARGO_TARGET_DIR", &target))
}

/// Folders directly below `folder` that hold a Python test, in the order of their names.
fn suites(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut suites = BTreeSet::new();
    for entry in walkdir::WalkDir::new(folder).min_depth(2).max_depth(2) {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy();
        if name.starts_with("test_") && name.ends_with(".py") {
            suites.extend(entry.path().parent().map(Path::to_owned));
        }
    }
    Ok(suites.into_iter().collect())
}

fn print_table(outcomes: &[Outcome]) -> std::io::Result<()> {
    // Beside the stages' own messages, so that the last lines of standard output stay the tests'.
    let mut screen = std::io::stderr();
    writeln!(screen, "\n=== summary")?;
    for row in outcomes {
        let seconds = row.took.as_secs_f64();
        match &row.failure {
            None => writeln!(screen, "ok      {seconds:7.1} s  {}", name(row.stage))?,
            Some(error) => {
                writeln!(
                    screen,
                    "FAILED  {seconds:7.1} s  {}: {error:#}",
                    name(row.stage)
                )?;
            }
        }
    }
    Ok(())
}

/// The stage as it is written on the command line.
fn name(stage: Stage) -> String {
    clap::ValueEnum::to_possible_value(&stage)
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// A command that runs in a folder.
fn within(folder: &Path, program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    command
}

/// Where cargo builds, and so where our tools and their downloads go.
pub(crate) fn target_folder(root: &Path) -> anyhow::Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cannot read the workspace's metadata")?;
    Ok(metadata.target_directory.into_std_path_buf())
}
