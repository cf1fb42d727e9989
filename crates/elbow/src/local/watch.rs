//! Notice of edits.
//!
//! In: the paths that manifests come from. Out: one signal for a burst of changes. What always holds:
//! a signal comes after the last change of a burst, so that a half-written file is not the last that
//! was read; what cannot be watched is told and the rest is; and standard input, which cannot change,
//! is not watched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Editors write a file in several events within a few milliseconds.
const QUIET: Duration = Duration::from_millis(100);

/// A burst that goes on for longer is looked at meanwhile: a program may write all the time.
const BURST_MAX: Duration = Duration::from_secs(1);

/// Watches paths until it is dropped.
pub(crate) struct Edits {
    events: mpsc::UnboundedReceiver<()>,
    watcher: Option<notify::RecommendedWatcher>,
    paths: Vec<PathBuf>,
    /// What cannot be watched, and why.
    problems: Vec<String>,
    /// The changes that were noticed and not yet signalled.
    burst: Option<Burst>,
}

/// When changes were noticed.
#[derive(Clone, Copy)]
struct Burst {
    first: Instant,
    last: Instant,
}

impl Edits {
    /// Watches folders with all that is in them. A file is watched through its folder, since editors
    /// replace files rather than write into them; so is a folder, to see it come back after it went.
    pub(crate) fn of(paths: &[PathBuf]) -> Self {
        let paths: Vec<PathBuf> = paths
            .iter()
            .filter(|p| p.as_os_str() != "-")
            .cloned()
            .collect();
        let (sender, events) = mpsc::unbounded_channel();
        let roots: Vec<PathBuf> = paths.iter().map(|p| absolute(p)).collect();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let is_edit = event.is_ok_and(|event| {
                let is_ours = |path: &PathBuf| roots.iter().any(|root| path.starts_with(root));
                !matches!(event.kind, EventKind::Access(_))
                    && (event.paths.is_empty() || event.paths.iter().any(is_ours))
            });
            if is_edit && sender.send(()).is_err() {
                // The receiver is gone only when nobody is interested any more.
            }
        });
        let mut problems = Vec::new();
        let watcher = watcher
            .map_err(|error| problems.push(format!("edits are not followed: {error}")))
            .ok();
        let mut edits = Self {
            events,
            watcher,
            paths,
            problems,
            burst: None,
        };
        edits.watch(Report::Yes);
        edits
    }

    /// What cannot be watched: its edits are not followed.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Waits for the end of the next burst of changes. Nothing is lost when the wait is broken off.
    pub(crate) async fn next(&mut self) {
        loop {
            let due = self
                .burst
                .map(|burst| (burst.last + QUIET).min(burst.first + BURST_MAX));
            let over = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(()) = self.events.recv() => {
                    let now = Instant::now();
                    let first = self.burst.map_or(now, |burst| burst.first);
                    self.burst = Some(Burst { first, last: now });
                }
                () = over => break,
            }
        }
        self.burst = None;
        // A folder that went and came back is another one for the system.
        self.watch(Report::No);
    }

    fn watch(&mut self, report: Report) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        for path in &self.paths {
            let path = absolute(path);
            let mut results = Vec::new();
            if path.is_dir() {
                results.push((watcher.watch(&path, RecursiveMode::Recursive), &*path));
            }
            if let Some(folder) = path.parent() {
                results.push((watcher.watch(folder, RecursiveMode::NonRecursive), folder));
            }
            for (result, watched) in results {
                if let (Err(error), Report::Yes) = (result, report) {
                    self.problems.push(format!(
                        "edits in `{}` are not followed: {error}",
                        watched.display()
                    ));
                }
            }
        }
    }
}

/// Whether to say what cannot be watched.
#[derive(Clone, Copy)]
enum Report {
    Yes,
    No,
}

/// The form in which events name paths. A folder that is gone has no canonical path, but its name.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
