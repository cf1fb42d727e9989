//! `cargo xtask crds`: writes the definitions of the custom resources to `deploy/crds/`.
//!
//! In: the Rust types of `elbow-api`. Out: one YAML file for each definition; files of definitions
//! that are gone are removed. A test in `elbow-api` fails while a file is stale.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Writes the files.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("deploy/crds");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let files = elbow_api::crds::files();
    for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        let known = |name: &str| files.iter().any(|file| file.name == name);
        let name = path.file_name().and_then(|name| name.to_str());
        if path.extension().is_some_and(|e| e == "yaml") && !name.is_some_and(known) {
            fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
        }
    }
    for file in files {
        let path = folder.join(&file.name);
        fs::write(&path, file.text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
