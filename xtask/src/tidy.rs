//! `cargo xtask tidy`: what the repository promises about itself and no compiler checks.
//!
//! In: the files that git knows or would add, and what `cargo metadata` and `cargo tree` say of our
//! crates. Out: nothing, or one line for each finding and a failure.
//! Always: every check runs, and findings come in the order of their files.

mod decisions;
mod deploy;
mod differences;
mod direction;
mod links;
mod modules;
mod purity;
mod text;

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::command;

/// Something that the repository promises and that does not hold.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Where: a path from the root of the repository, or the name of a crate.
    place: String,
    /// Line in that file, from 1; `None` where the finding is about the whole of it.
    line: Option<usize>,
    /// What does not hold and what to do, as a fragment.
    message: String,
}

impl Finding {
    fn whole(place: &str, message: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            line: None,
            message: message.into(),
        }
    }

    fn at(place: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            place: place.to_owned(),
            line: Some(line),
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.place, self.message),
            None => write!(f, "{}: {}", self.place, self.message),
        }
    }
}

/// A file of the repository.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Path from the root of the repository, with `/` between its parts.
    path: String,
    text: String,
}

impl SourceFile {
    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }
}

/// Runs every check on the repository at `root`.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let files = source_files(root)?;
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cannot read the workspace's metadata")?;
    let mut findings = text::check(&files);
    findings.extend(modules::check(&files));
    findings.extend(links::check(&files));
    findings.extend(differences::check(&files));
    findings.extend(decisions::check(&files));
    findings.extend(deploy::check(&files));
    findings.extend(direction::check(&metadata));
    findings.extend(purity::check_settings(&files));
    findings.extend(purity::check_trees(root)?);
    findings.sort();
    for finding in &findings {
        writeln!(std::io::stdout(), "{finding}")?;
    }
    ensure!(findings.is_empty(), "tidy: {} findings", findings.len());
    Ok(())
}

/// The text files that git tracks or would add; what is ignored is nobody's business.
fn source_files(root: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let listing = command::output(
        Command::new("git")
            .current_dir(root)
            .args(["ls-files", "-z", "--cached", "--others"])
            .args(["--exclude-standard", "--deduplicate"]),
    )?;
    let mut files: Vec<SourceFile> = listing
        .split('\0')
        .filter(|path| !path.is_empty())
        // A file that git still lists and that is gone, or that is not text, has no lines to check.
        .filter_map(|path| {
            std::fs::read_to_string(root.join(path))
                .ok()
                .map(|text| SourceFile {
                    path: path.to_owned(),
                    text,
                })
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
