//! What the pure crates depend on, and that clippy watches them.
//!
//! In: `cargo tree` of each pure crate, and their `clippy.toml` files. Out: each crate in a tree that
//! brings a runtime, a client, a clock, randomness or a log, and each `clippy.toml` that differs.
//! Always: only normal dependencies count, with the features that the crate itself asks for.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;

use super::{Finding, SourceFile};
use crate::command;

/// Crates whose results depend on their arguments alone.
pub(super) const PURE: &[&str] = &[
    "elbow-api",
    "elbow-model",
    "elbow-translate",
    "elbow-plan",
    "elbow-reconcile",
    "elbow-emulator",
];

/// Outside crates that a pure crate must not have anywhere below it, by the start of their name.
const BANNED: &[(&str, &str)] = &[
    ("async-std", "a runtime"),
    ("aws-", "a client"),
    ("chrono", "a clock; jiff is the project's"),
    ("fastrand", "randomness"),
    ("getrandom", "randomness"),
    ("hyper", "a client"),
    ("kube-client", "a client"),
    ("kube-runtime", "a client"),
    ("log", "a log"),
    ("mio", "a runtime"),
    ("notify", "reads files"),
    ("rand", "randomness"),
    ("reqwest", "a client"),
    ("rustls", "a client"),
    ("tokio", "a runtime"),
    ("tracing", "a log"),
    ("walkdir", "reads files"),
];

/// The list that clippy checks each pure crate by; see its own comment for why there are copies.
pub(super) fn check_settings(files: &[SourceFile]) -> Vec<Finding> {
    let text_of = |krate: &str| {
        let path = format!("crates/{krate}/clippy.toml");
        let file = files.iter().find(|file| file.path == path);
        (path, file.map(|file| file.text.as_str()))
    };
    let (model, expected) = text_of(PURE[0]);
    PURE.iter()
        .filter_map(|krate| {
            let (path, text) = text_of(krate);
            match text {
                None => Some(Finding::whole(&path, "is missing: this crate is pure")),
                Some(_) if text != expected => {
                    Some(Finding::whole(&path, format!("differs from {model}")))
                }
                Some(_) => None,
            }
        })
        .collect()
}

pub(super) fn check_trees(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for krate in PURE {
        let tree = command::output(
            command::cargo(root)
                .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
                .args(["--format", "{p}", "--package", krate]),
        )
        .with_context(|| format!("cannot list what {krate} depends on"))?;
        findings.extend(check_tree(krate, &tree));
    }
    Ok(findings)
}

fn check_tree(krate: &str, tree: &str) -> Vec<Finding> {
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    names
        .into_iter()
        .filter_map(|name| {
            let (_, what) = BANNED
                .iter()
                .find(|(banned, _)| is_or_extends(name, banned))?;
            Some(Finding::whole(
                krate,
                format!(
                    "is pure and must not depend on {name} ({what}); see `cargo tree -i {name}`"
                ),
            ))
        })
        .collect()
}

/// `rand` covers `rand` and `rand_core`, and not `randomize`.
fn is_or_extends(name: &str, banned: &str) -> bool {
    name.strip_prefix(banned).is_some_and(|rest| {
        banned.ends_with('-') || rest.is_empty() || rest.starts_with(['-', '_'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_runtimes_below_a_pure_crate() {
        let tree = "elbow-plan v0.1.0 (/x/elbow-plan)\nserde v1.0.0\ntokio-util v0.7.0\nserde v1.0.0 (*)\n";
        let found = check_tree("elbow-plan", tree);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].message.contains("tokio-util (a runtime)"),
            "{}",
            found[0]
        );
    }

    #[test]
    fn names_are_compared_by_word() {
        let rows = [
            ("rand", "rand", true),
            ("rand_core", "rand", true),
            ("randomize", "rand", false),
            ("logos", "log", false),
            ("aws-sdk-ec2", "aws-", true),
        ];
        for (name, banned, expected) in rows {
            assert_eq!(is_or_extends(name, banned), expected, "{name} by {banned}");
        }
    }

    #[test]
    fn settings_of_pure_crates_are_equal() {
        let mut files: Vec<SourceFile> = PURE
            .iter()
            .map(|krate| SourceFile {
                path: format!("crates/{krate}/clippy.toml"),
                text: "disallowed-types = []\n".to_owned(),
            })
            .collect();
        assert_eq!(check_settings(&files), []);
        files[2].text.clear();
        files.pop();
        let places: Vec<String> = check_settings(&files)
            .into_iter()
            .map(|finding| finding.place)
            .collect();
        let expected = [
            "crates/elbow-translate/clippy.toml",
            "crates/elbow-emulator/clippy.toml",
        ];
        assert_eq!(places, expected);
    }
}
