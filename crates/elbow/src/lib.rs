//! The program `elbow`: Gateway API objects in, AWS load balancers out.
//!
//! In: the command line. Out: an exit code ([`ExitCode`]), output on the two standard streams.
//! [`main`] is the table of contents of the program. It is a library so that tests can build the same
//! made-up world that the commands build; nothing else depends on it.

mod addresses;
pub mod args;
pub mod certificates;
#[cfg(feature = "controller")]
mod controller;
mod crds;
mod emulator;
mod exit_code;
mod findings;
pub mod input;
mod lint;
mod local;
pub mod offline;
mod plan;
mod render;
pub mod settings;
mod signals;
pub mod stand_ins;
mod state_file;
pub mod statuses;
mod terminal;
pub mod world;

use clap::Parser as _;

use args::{Cli, Command};
use exit_code::ExitCode;
use terminal::Terminal;

/// Runs the program with the arguments of the process.
pub fn main() -> std::process::ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way, too, and are no mistakes.
            let code = if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Ok
            };
            drop(error.print());
            return code.into();
        }
    };
    let terminal = Terminal::new(cli.color);
    match run(&cli.command, terminal) {
        Ok(code) => code.into(),
        Err(error) => {
            // Nobody is left to tell when standard error is gone.
            drop(terminal.err(&format!("error: {error:#}\n")));
            ExitCode::Failed.into()
        }
    }
}

fn run(command: &Command, terminal: Terminal) -> anyhow::Result<ExitCode> {
    match command {
        Command::Local(args) => local::run(args, terminal),
        #[cfg(feature = "controller")]
        Command::Controller(args) => controller::run(args, terminal),
        Command::Plan(args) => plan::run(args, terminal),
        Command::Lint(args) => lint::run(args, terminal),
        Command::Render(args) => render::run(args, terminal),
        Command::Crds(_) => crds::run(terminal),
        Command::Emulator(args) => emulator::run(args, terminal),
    }
}
