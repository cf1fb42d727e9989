//! Runs seeds: `just sim` for many, `just sim --seed 7 --trace` for one with all that happens.
//!
//! Ends with exit status 1 when a property did not hold.

use std::io::Write;
use std::process::ExitCode;

use elbow_sim::{Summary, simulate, simulate_bindings, simulate_everything, simulate_secrets};

/// Seeds that are run when nothing else is said.
const SEEDS: u64 = 2_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut first, mut count, mut shows_trace, mut goes_on) = (0, SEEDS, false, false);
    let mut run: fn(u64) -> _ = simulate;
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse::<u64>().ok());
        match argument.as_str() {
            "--seed" => match number() {
                Some(seed) => (first, count) = (seed, 1),
                None => return usage(),
            },
            "--from" => match number() {
                Some(seed) => first = seed,
                None => return usage(),
            },
            "--seeds" => match number() {
                Some(seeds) => count = seeds,
                None => return usage(),
            },
            "--bindings" => run = simulate_bindings,
            "--secrets" => run = simulate_secrets,
            "--everything" => run = simulate_everything,
            "--trace" => shows_trace = true,
            "--keep-going" => goes_on = true,
            _ => return usage(),
        }
    }
    let mut out = std::io::stdout().lock();
    let mut total = Summary::default();
    let mut failed = 0;
    for seed in first..first.saturating_add(count) {
        match run(seed) {
            Ok(summary) => total = total.plus(summary),
            Err(failure) => {
                failed += 1;
                if shows_trace {
                    for line in failure.trace.lines() {
                        let _written = writeln!(out, "{line}");
                    }
                }
                if goes_on {
                    let what: String = failure.what.chars().take(600).collect();
                    let _written = writeln!(out, "seed {seed}: {what}\n");
                } else if shows_trace {
                    let _written = writeln!(out, "seed {seed}: {}", failure.what);
                    return ExitCode::FAILURE;
                } else {
                    let _written = writeln!(out, "{failure}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    let _written = writeln!(out, "{count} seeds, {failed} failed: {total:?}");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn usage() -> ExitCode {
    let _written = writeln!(
        std::io::stderr(),
        "usage: sim [--seed N | --from N --seeds N] [--bindings | --secrets | --everything] [--trace] [--keep-going]"
    );
    ExitCode::from(2)
}
