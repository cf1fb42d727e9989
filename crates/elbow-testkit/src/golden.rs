//! Golden cases: a folder each, one behaviour each, one test each.
//!
//! In: `testdata/<area>/<case>/input.yaml`, whose first line says in a comment what the case shows,
//! and the expected outputs beside it. Out: a test named `<area>/<case>` for each.
//! Always: every file of a case is read or compared (a forgotten one fails the case), and the
//! cases come in the order of their names.
//!
//! # Expected flow
//! A test target with `harness = false` in its `Cargo.toml` and this `main`:
//!
//! ```no_run
//! use std::path::Path;
//! use std::process::ExitCode;
//!
//! use elbow_testkit::golden::{self, Case};
//!
//! fn main() -> ExitCode {
//!     let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
//!     golden::main(&testdata, run)
//! }
//!
//! fn run(case: &Case) -> Result<(), String> {
//!     let manifests = case.read("input.yaml")?;
//!     golden::compare(case, "lines.txt", &format!("{}\n", manifests.lines().count()))
//! }
//! ```
//!
//! With `ELBOW_UPDATE_GOLDEN=1` in the environment the outputs are written instead of compared, and
//! files that nothing reads or compares are removed. Updating is a reviewed act: the commit says why.
//!
//! # Caveats
//! A case that stops at its first difference leaves later outputs uncompared. Use [`Case::check`] to
//! collect the differences of several files in one run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::diff;

/// The file that makes a folder a case.
pub const INPUT: &str = "input.yaml";

/// Set to `1`, it writes the outputs of every case instead of comparing them.
pub const UPDATE_VARIABLE: &str = "ELBOW_UPDATE_GOLDEN";

/// Outputs longer than this are not read by reviewers, so they protect nothing: such a case is split,
/// or it shows less of its output.
pub const OUTPUT_LINES_MAX: usize = 200;

/// Why the cases could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The folder of cases, or one below it, cannot be listed.
    #[error("cannot list {}", folder.display())]
    List {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// An input cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The first line of an input is not a comment that says what the case shows.
    #[error("the first line of {} must be a comment that says what the case shows", file.display())]
    Intent {
        /// The file.
        file: PathBuf,
    },
    /// A folder of cases that holds none: the tests would pass without testing.
    #[error("no case below {}", root.display())]
    Empty {
        /// The folder.
        root: PathBuf,
    },
}

/// One golden case.
#[derive(Debug)]
pub struct Case {
    /// Path below the folder of cases with `/` between its parts, such as `routes/exact-path`.
    pub name: String,
    /// The folder that holds the case.
    pub dir: PathBuf,
    /// What the case shows, from the first line of its input.
    pub intent: String,
    update: Update,
    /// Names of the files that were read or compared so far.
    used: Mutex<BTreeSet<String>>,
}

/// Whether outputs are compared or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Update {
    Compare,
    Write,
}

/// Runs every case below `root` as a test of its own, with the arguments of the command line (those
/// of the standard test harness, so `cargo test` and `cargo nextest` list and filter the cases).
///
/// Fails before the first test when the cases cannot be listed; see [`GoldenError`].
pub fn main<R>(root: &Path, run: R) -> ExitCode
where
    R: Fn(&Case) -> Result<(), String> + Clone + Send + Sync + 'static,
{
    let arguments = Arguments::from_args();
    let found = match cases(root) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            return ExitCode::FAILURE;
        }
    };
    let trials = found
        .into_iter()
        .map(|case| {
            let run = run.clone();
            Trial::test(case.name.clone(), move || {
                check_case(&case, run).map_err(Failed::from)
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Lists the cases below `root` in the order of their names.
pub fn cases(root: &Path) -> Result<Vec<Case>, GoldenError> {
    let update = if std::env::var(UPDATE_VARIABLE).is_ok_and(|value| value == "1") {
        Update::Write
    } else {
        Update::Compare
    };
    let mut found = Vec::new();
    collect(root, "", update, &mut found)?;
    if found.is_empty() {
        return Err(GoldenError::Empty {
            root: root.to_owned(),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Compares `found` with the file of that name in the case's folder, or writes it there when the
/// environment says so (see [`UPDATE_VARIABLE`]).
///
/// The error is a message for people: the difference, and how to accept it.
pub fn compare(case: &Case, file_name: &str, found: &str) -> Result<(), String> {
    case.mark(file_name);
    let path = case.dir.join(file_name);
    let n_lines = found.lines().count();
    if n_lines > OUTPUT_LINES_MAX {
        return Err(format!(
            "{file_name} has {n_lines} lines, and nobody reviews more than {OUTPUT_LINES_MAX}: \
             split the case or show less"
        ));
    }
    if case.update == Update::Write {
        return fs::write(&path, found)
            .map_err(|error| format!("cannot write {}: {error}", path.display()));
    }
    let expected = match fs::read_to_string(&path) {
        Ok(expected) => expected,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
    };
    if expected == found {
        return Ok(());
    }
    Err(format!(
        "{} differs:\n{}\nhint: `{UPDATE_VARIABLE}=1 cargo test` accepts the new text",
        path.display(),
        diff::unified(&expected, found)
    ))
}

impl Case {
    /// Reads a file of the case as text.
    pub fn read(&self, file_name: &str) -> Result<String, String> {
        self.mark(file_name);
        let path = self.dir.join(file_name);
        fs::read_to_string(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))
    }

    /// Reads a file that a case may leave out; `None` when it does.
    pub fn read_if_present(&self, file_name: &str) -> Result<Option<String>, String> {
        if self.dir.join(file_name).exists() {
            self.read(file_name).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Path of a file of the case, for code under test that reads it itself. Counts as read.
    pub fn path(&self, file_name: &str) -> PathBuf {
        self.mark(file_name);
        self.dir.join(file_name)
    }

    /// Compares several named outputs and reports the differences of all of them.
    pub fn check<'a>(
        &self,
        outputs: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Result<(), String> {
        let failures: Vec<String> = outputs
            .into_iter()
            .filter_map(|(file_name, found)| compare(self, file_name, &found).err())
            .collect();
        if failures.is_empty() {
            Ok(())
        } else {
            Err(failures.join("\n"))
        }
    }

    fn mark(&self, file_name: &str) {
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(file_name.to_owned());
    }

    /// Names of the files in the folder that were neither read nor compared. Folders count as used:
    /// their contents are the code under test's to read.
    fn forgotten(&self) -> Result<Vec<String>, String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let listing = fs::read_dir(&self.dir)
            .map_err(|error| format!("cannot list {}: {error}", self.dir.display()))?;
        let mut forgotten: Vec<String> = listing
            .filter_map(Result::ok)
            .filter(|entry| entry.path().is_file())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !used.contains(name))
            .collect();
        forgotten.sort();
        Ok(forgotten)
    }
}

/// Runs one case and then looks for files that it did not use.
fn check_case(case: &Case, run: impl Fn(&Case) -> Result<(), String>) -> Result<(), String> {
    run(case).map_err(|failure| format!("{}\n{failure}", case.intent))?;
    let forgotten = case.forgotten()?;
    if forgotten.is_empty() {
        return Ok(());
    }
    if case.update == Update::Write {
        return forgotten.iter().try_for_each(|name| {
            let path = case.dir.join(name);
            fs::remove_file(&path)
                .map_err(|error| format!("cannot remove {}: {error}", path.display()))
        });
    }
    Err(format!(
        "nothing reads or compares {} in {}",
        forgotten.join(", "),
        case.dir.display()
    ))
}

fn collect(
    folder: &Path,
    name: &str,
    update: Update,
    found: &mut Vec<Case>,
) -> Result<(), GoldenError> {
    let input = folder.join(INPUT);
    if !name.is_empty() && input.is_file() {
        found.push(Case {
            name: name.to_owned(),
            dir: folder.to_owned(),
            intent: intent(&input)?,
            update,
            used: Mutex::new(BTreeSet::from([INPUT.to_owned()])),
        });
        return Ok(());
    }
    let list_error = |source| GoldenError::List {
        folder: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(list_error)? {
        let entry = entry.map_err(list_error)?;
        if !entry.path().is_dir() {
            continue;
        }
        let below = entry.file_name().to_string_lossy().into_owned();
        let below = if name.is_empty() {
            below
        } else {
            format!("{name}/{below}")
        };
        collect(&entry.path(), &below, update, found)?;
    }
    Ok(())
}

fn intent(input: &Path) -> Result<String, GoldenError> {
    let text = fs::read_to_string(input).map_err(|source| GoldenError::Read {
        file: input.to_owned(),
        source,
    })?;
    text.lines()
        .next()
        .and_then(|line| line.strip_prefix('#'))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| GoldenError::Intent {
            file: input.to_owned(),
        })
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests;
