//! Repository chores, run as `cargo xtask <command>`.
//!
//! Each command lives in its own module; `main` is the table of contents.

mod awsmodels;
mod crds;

use std::path::PathBuf;

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
    /// Generate the emulator's wire types from AWS's service models
    AwsModels(awsmodels::Args),
    /// Write the definitions of the custom resources to deploy/crds
    Crds,
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::AwsModels(args) => awsmodels::run(&args),
        Command::Crds => crds::run(&workspace_root()?),
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
