//! The call log as a file: one line of JSON for each API call.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use elbow_emulator_server::CallSink;

/// Empties the file, and appends each call to it. A line is written whole and at once, so that a
/// reader who follows the file sees a call as soon as its caller does.
pub(super) fn open(path: &Path) -> anyhow::Result<CallSink> {
    let file = File::create(path)
        .with_context(|| format!("--call-log: cannot write {}", path.display()))?;
    let file = Mutex::new(file);
    Ok(Arc::new(move |call| {
        let Ok(mut line) = serde_json::to_vec(call) else {
            return;
        };
        line.push(b'\n');
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(&line) {
            tracing::warn!(%error, "Could not write to the call log");
        }
    }))
}
