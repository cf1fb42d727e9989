//! Repository chores, run as `cargo xtask <command>`.
//!
//! Each command lives in its own module; `main` is the table of contents.

use clap::Parser;

/// Repository chores of elbow.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Args {}

fn main() -> anyhow::Result<()> {
    Args::parse();
    Ok(())
}
