//! `cargo xtask build-budget`: what the quick start costs a newcomer before it answers.
//!
//! In: the workspace. Out: wall time and peak memory of a release build from nothing, beside the
//! budget. Always: downloads are done before the clock starts; the build has a target folder of its
//! own, which is removed.
//!
//! It is a measurement and not a test: the result depends on what else the machine does.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::ci::target_folder;
use crate::command::{cargo, succeed};

/// What a newcomer waits without giving up, on 2 cores.
const TIME_BUDGET: Duration = Duration::from_mins(5);

/// What the smallest machines of CI services have to spare.
const MEMORY_BUDGET_MIB: u64 = 4 * 1024;

/// Memory of compilers grows over seconds; this finds the peak within a few per cent.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// Measures a build of the quick start from nothing: time and memory.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Compilers at once, as `cargo build --jobs`; the budget is for 2
    #[arg(long)]
    jobs: Option<u16>,
}

pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let folder = target_folder(root)?.join("build-budget");
    remove(&folder)?;
    succeed(cargo(root).args(["fetch", "--locked"]))?;

    let mut build = cargo(root);
    build
        .args([
            "build",
            "--release",
            "--locked",
            "--offline",
            "--package",
            "elbow",
            "--no-default-features",
        ])
        .env("CARGO_TARGET_DIR", &folder);
    if let Some(jobs) = args.jobs {
        build.args(["--jobs", &jobs.to_string()]);
    }
    let measured = measure(&mut build);
    remove(&folder)?;
    let measured = measured?;
    ensure!(
        measured.status.success(),
        "the build ended with {}",
        measured.status
    );
    report(&measured)?;
    Ok(())
}

struct Measured {
    status: ExitStatus,
    took: Duration,
    /// `None` where the system does not say (it has no `/proc`).
    memory_peak_mib: Option<u64>,
}

/// Runs a command and watches the resident memory of it and of all that it starts.
fn measure(command: &mut Command) -> anyhow::Result<Measured> {
    let start = Instant::now();
    let mut child = command.spawn().context("cannot run cargo")?;
    let pid = child.id();
    let (ended, end) = mpsc::channel();
    // The thread's end drops the sender, which wakes the receiver at once.
    let waiter = std::thread::spawn(move || {
        let _until_the_end: mpsc::Sender<()> = ended;
        child.wait()
    });
    let mut memory_peak_mib = None;
    while end.recv_timeout(SAMPLE_INTERVAL) == Err(RecvTimeoutError::Timeout) {
        memory_peak_mib = memory_peak_mib.max(resident_mib(pid));
    }
    let status = waiter
        .join()
        .map_err(|_| anyhow::anyhow!("the thread that waits for cargo panicked"))?
        .context("cannot wait for cargo")?;
    Ok(Measured {
        status,
        took: start.elapsed(),
        memory_peak_mib,
    })
}

/// Resident memory of a process and all its descendants. Pages that several of them share count
/// several times, so the truth is a little below.
fn resident_mib(pid: u32) -> Option<u64> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").ok()?.filter_map(Result::ok) {
        let process = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(process) = process else { continue };
        if let Some(parent) = status_field(process, "PPid:") {
            let parent = u32::try_from(parent).ok()?;
            children.entry(parent).or_default().push(process);
        }
    }
    let mut open = vec![pid];
    let mut sum_kib = 0;
    while let Some(process) = open.pop() {
        // A process may end while we look.
        sum_kib += status_field(process, "VmRSS:").unwrap_or(0);
        open.extend(children.remove(&process).unwrap_or_default());
    }
    Some(sum_kib / 1024)
}

fn status_field(process: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    number_after(&status, field)
}

/// The first number on the line that starts with `field`.
fn number_after(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

fn report(measured: &Measured) -> std::io::Result<()> {
    let mut screen = std::io::stdout();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    writeln!(screen, "cold build of the quick start, {cores} cores")?;
    writeln!(
        screen,
        "time    {:6.0} s    budget {:6.0} s    {}",
        measured.took.as_secs_f64(),
        TIME_BUDGET.as_secs_f64(),
        verdict(measured.took <= TIME_BUDGET),
    )?;
    match measured.memory_peak_mib {
        Some(peak) => writeln!(
            screen,
            "memory  {peak:6} MiB  budget {MEMORY_BUDGET_MIB:6} MiB  {}",
            verdict(peak <= MEMORY_BUDGET_MIB),
        ),
        None => writeln!(screen, "memory  not measured: this system has no /proc"),
    }
}

fn verdict(within: bool) -> &'static str {
    if within { "within" } else { "OVER" }
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_of_a_status_file() {
        let status = "Name:\tcargo\nPPid:\t12\nVmRSS:\t  2048 kB\n";
        assert_eq!(number_after(status, "PPid:"), Some(12));
        assert_eq!(number_after(status, "VmRSS:"), Some(2048));
        assert_eq!(number_after(status, "VmSwap:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn counts_our_own_memory() {
        assert!(resident_mib(std::process::id()).is_some_and(|mib| mib > 0));
    }
}
