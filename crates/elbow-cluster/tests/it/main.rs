//! The manifest source from outside: texts and folders in, objects and findings out.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod checks;
mod completion;
mod folders;
mod robustness;
mod texts;

use elbow_api::{Diagnostic, Kind, ObjectRef};
use elbow_cluster::{Input, Loaded, load};

/// Loads a text as if it came from standard input.
fn load_text(text: &str) -> Loaded {
    load(&[Input::Stdin(text.as_bytes().to_vec())])
}

/// A finding on one line: severity, code, place, message and hint.
fn line(diagnostic: &Diagnostic) -> String {
    let Diagnostic {
        severity,
        code,
        message,
        location,
        hint,
        ..
    } = diagnostic;
    let at = location
        .as_ref()
        .map_or_else(String::new, |l| format!(" {}:{}", l.line, l.column));
    let hint = hint
        .as_ref()
        .map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("{severity} {code}{at} {message}{hint}")
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(line).collect()
}

/// The objects that were loaded, as `Kind namespace/name`.
fn objects(loaded: &Loaded) -> Vec<String> {
    loaded
        .snapshot
        .objects()
        .iter()
        .map(|o| o.object_ref().to_string())
        .collect()
}

fn object_ref(kind: Kind, namespace: &str, name: &str) -> ObjectRef {
    ObjectRef::new(kind, namespace, name)
}
