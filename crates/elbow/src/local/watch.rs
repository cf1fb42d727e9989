//! Notice of edits.
//!
//! In: the paths that manifests come from. Out: one signal for a burst of changes. What always holds:
//! a signal comes after the last change of a burst, so that a half-written file is not the last that
//! was read; and standard input, which cannot change, is not watched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use notify::{EventKind, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// Editors write a file in several events within a few milliseconds.
const QUIET: Duration = Duration::from_millis(100);

/// Watches paths until it is dropped.
pub(crate) struct Edits {
    events: mpsc::UnboundedReceiver<()>,
    _watcher: notify::RecommendedWatcher,
}

impl Edits {
    /// Watches folders with all that is in them. A file is watched through its folder, since editors
    /// replace files rather than write into them.
    pub(crate) fn of(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let is_edit = event.is_ok_and(|e| !matches!(e.kind, EventKind::Access(_)));
                if is_edit && sender.send(()).is_err() {
                    // The receiver is gone only when nobody is interested any more.
                }
            })
            .context("cannot watch for edits")?;
        for path in paths.iter().filter(|p| p.as_os_str() != "-") {
            let (watched, mode) = if path.is_dir() {
                (path.as_path(), RecursiveMode::Recursive)
            } else {
                let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
                (
                    folder.unwrap_or_else(|| Path::new(".")),
                    RecursiveMode::NonRecursive,
                )
            };
            watcher
                .watch(watched, mode)
                .with_context(|| format!("cannot watch `{}` for edits", watched.display()))?;
        }
        Ok(Self {
            events,
            _watcher: watcher,
        })
    }

    /// Waits for the end of the next burst of changes.
    pub(crate) async fn next(&mut self) {
        if self.events.recv().await.is_none() {
            return std::future::pending().await;
        }
        while let Ok(Some(())) = tokio::time::timeout(QUIET, self.events.recv()).await {}
    }
}
