//! Repository chores, run as `cargo xtask <command>`.
//!
//! Each command lives in its own module; `main` is the table of contents.

mod awsmodels;
mod build_budget;
mod ci;
mod command;
mod crds;
mod docs_emulator;
mod iam_policy;
mod schemas;
mod tidy;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

/// Repository chores of elbow.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Ci(ci::Args),
    /// Check what the repository promises about itself: dependency direction, purity, habits
    Tidy,
    BuildBudget(build_budget::Args),
    /// Generate the emulator's wire types from AWS's service models
    AwsModels(awsmodels::Args),
    /// Write the reference page of the emulator to docs/reference
    DocsEmulator,
    /// Write the definitions of the custom resources to deploy/crds
    Crds,
    /// Write the IAM policies of the role that elbow runs as to deploy/
    IamPolicy,
    /// Write the schemas that manifests are validated against; needs `go` and the network
    Schemas,
}

fn main() -> ExitCode {
    match run(&Args::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Ci(args) => ci::run(&workspace_root()?, args),
        Command::Tidy => tidy::run(&workspace_root()?),
        Command::BuildBudget(args) => build_budget::run(&workspace_root()?, args),
        Command::AwsModels(args) => awsmodels::run(args),
        Command::DocsEmulator => docs_emulator::run(&workspace_root()?),
        Command::Crds => crds::run(&workspace_root()?),
        Command::IamPolicy => iam_policy::run(&workspace_root()?),
        Command::Schemas => schemas::run(&workspace_root()?),
    }
}

/// The folder of the root `Cargo.toml`.
fn workspace_root() -> anyhow::Result<PathBuf> {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    Ok(xtask
        .parent()
        .context("xtask lies at the top of the filesystem")?
        .to_owned())
}
