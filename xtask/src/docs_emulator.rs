//! `cargo xtask docs-emulator`: the reference page of the emulator, from its own tables.

use std::path::Path;

use anyhow::Context;

/// Where the page is, from the root of the repository.
const PAGE: &str = "docs/reference/emulator.md";

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let path = root.join(PAGE);
    std::fs::write(&path, elbow_emulator::reference::markdown())
        .with_context(|| format!("cannot write {}", path.display()))
}
