//! Files that say what runs where.
//!
//! In: anything that serialises, and a path. Out: the file. What always holds: it is written whole, so
//! that a reader sees the state before or the state after.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

/// Writes a value as JSON.
pub(crate) fn write(value: &impl Serialize, path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let temporary = folder.join(format!(
        ".{}.new",
        path.file_name().unwrap_or_default().to_string_lossy()
    ));
    let mut file = fs::File::create(&temporary)?;
    let written = serde_json::to_writer_pretty(&mut file, value)
        .map_err(io::Error::from)
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What matters is the error above; a leftover is not worth a second one.
        drop(fs::remove_file(&temporary));
    }
    written
}
