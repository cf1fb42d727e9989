//! The `elbow` binary: Gateway API objects in, AWS load balancers out.
//!
//! In: the command line. Out: an exit code from [`exit_code`]. `main` only parses and maps; [`run`] is
//! the table of contents of the program.

mod args;
mod exit_code;
mod findings;
mod local;
mod stand_ins;

fn main() {}
