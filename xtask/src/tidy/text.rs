//! Habits of the text itself: headers, length, white space, and calls that no file may make.
//!
//! In: the files. Out: each line or file that breaks a habit.
//! Always: generated code and test data are exempt from what only people are asked to do.

use super::{Finding, SourceFile};

/// Nobody holds a longer file in mind; split it by concept.
const LINES_MAX: usize = 800;

/// Files in which white space at the end of a line is noise, by the end of their name.
const PROSE_AND_CODE: &[&str] = &[
    ".go", ".md", ".py", ".rs", ".sh", ".toml", ".yaml", ".yml", "justfile",
];

/// What Rust files may not contain. The needles are in two parts, so that this file passes.
const BANNED: &[Banned] = &[
    Banned {
        needle: ("#[ign", "ore"),
        files: Files::All,
        reason: "a test that does not run is no test; slow ones get a nextest profile",
    },
    Banned {
        needle: ("thread::sl", "eep("),
        files: Files::All,
        reason: "wait for the event, not for time to pass",
    },
    // Timers of a server are its business; a test that waits is slow when it passes and flaky besides.
    Banned {
        needle: ("time::sl", "eep("),
        files: Files::Tests,
        reason: "wait for the event, not for time to pass",
    },
];

struct Banned {
    needle: (&'static str, &'static str),
    files: Files,
    reason: &'static str,
}

/// Where a needle must not be found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    All,
    /// Files that hold tests alone.
    Tests,
}

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    files
        .iter()
        .filter(|file| !is_exempt(&file.path))
        .flat_map(check_file)
        .collect()
}

/// What a program wrote, and inputs and outputs of tests.
fn is_exempt(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "generated" | "testdata"))
        || matches!(path, "LICENSE" | "docs/reference/cli.md")
}

fn check_file(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    if PROSE_AND_CODE.iter().any(|end| file.path.ends_with(end)) {
        check_white_space(file, &mut findings);
    }
    if file.has_extension("rs") {
        check_header_and_length(file, &mut findings);
        check_calls(file, &mut findings);
        check_errors(file, &mut findings);
    }
    findings
}

fn check_white_space(file: &SourceFile, findings: &mut Vec<Finding>) {
    for (index, line) in file.text.lines().enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(Finding::at(
                &file.path,
                index + 1,
                "white space at the end of the line",
            ));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(Finding::whole(
            &file.path,
            "no line end at the end of the file",
        ));
    }
}

fn check_header_and_length(file: &SourceFile, findings: &mut Vec<Finding>) {
    if !file.text.starts_with("//!") {
        let message = "starts without `//!`: say what comes in, what goes out, what always holds";
        findings.push(Finding::whole(&file.path, message));
    }
    let n_lines = file.text.lines().count();
    if n_lines > LINES_MAX {
        let message = format!("{n_lines} lines, more than {LINES_MAX}: one concept per file");
        findings.push(Finding::whole(&file.path, message));
    }
}

fn check_calls(file: &SourceFile, findings: &mut Vec<Finding>) {
    let of_tests = file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
    let applies = |banned: &&Banned| banned.files == Files::All || of_tests;
    for (index, line) in file.text.lines().enumerate() {
        for banned in BANNED.iter().filter(applies) {
            let needle = format!("{}{}", banned.needle.0, banned.needle.1);
            if line.contains(&needle) {
                let message = format!("`{needle}`: {}", banned.reason);
                findings.push(Finding::at(&file.path, index + 1, message));
            }
        }
    }
}

/// An error's `Display` leaves its source to `source()`; whoever prints the chain would say it twice.
///
/// Reads attributes line by line, so an attribute that is broken in unusual places is not seen.
fn check_errors(file: &SourceFile, findings: &mut Vec<Finding>) {
    let mut display = "";
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if let Some(attribute) = line.strip_prefix("#[error(") {
            display = attribute;
            if attribute.contains("{source") {
                let message = "the text of an error must not contain its source";
                findings.push(Finding::at(&file.path, index + 1, message));
            }
        } else if line.contains(concat!("#[fr", "om]")) && !display.starts_with("transparent") {
            let message =
                "`from` belongs to a transparent error; name the operation and use `source`";
            findings.push(Finding::at(&file.path, index + 1, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_row(path: &str, text: &str, expected: &[(Option<usize>, &str)]) {
        let file = SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let found = check(&[file]);
        assert_eq!(found.len(), expected.len(), "{path}: {found:?}");
        for (finding, (line, message)) in found.iter().zip(expected) {
            assert_eq!(finding.line, *line, "{finding}");
            assert!(finding.message.contains(message), "{finding}");
        }
    }

    #[test]
    fn a_module_says_what_it_is() {
        check_row("crates/a/src/lib.rs", "//! Says.\n", &[]);
        check_row(
            "crates/a/src/lib.rs",
            "use std::fmt;\n",
            &[(None, "starts without")],
        );
        check_row("crates/a/src/generated/ec2.rs", "use std::fmt;\n", &[]);
    }

    #[test]
    fn a_file_stays_readable() {
        let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(LINES_MAX));
        check_row("crates/a/src/lib.rs", &long, &[(None, "801 lines")]);
        check_row("crates/a/src/generated/ec2.rs", &long, &[]);
    }

    #[test]
    fn white_space_is_clean() {
        check_row("README.md", "one \ntwo\n", &[(Some(1), "white space")]);
        check_row("README.md", "one", &[(None, "no line end")]);
        check_row("crates/a/testdata/a/b/input.yaml", "a: 1 \n", &[]);
    }

    #[test]
    fn tests_run_and_do_not_wait() {
        let ignored = format!(
            "//! T.\n#[test]\n{}{}]\n",
            BANNED[0].needle.0, BANNED[0].needle.1
        );
        check_row(
            "crates/a/tests/it/main.rs",
            &ignored,
            &[(Some(3), "no test")],
        );
        let waits = format!(
            "//! T.\nstd::{}{}d);\n",
            BANNED[1].needle.0, BANNED[1].needle.1
        );
        check_row(
            "crates/a/src/lib.rs",
            &waits,
            &[(Some(2), "wait for the event")],
        );
        let timer = format!(
            "//! T.\ntokio::{}{}d);\n",
            BANNED[2].needle.0, BANNED[2].needle.1
        );
        check_row("crates/a/src/lib.rs", &timer, &[]);
        check_row(
            "crates/a/src/tests.rs",
            &timer,
            &[(Some(2), "wait for the event")],
        );
    }

    #[test]
    fn errors_leave_their_source_to_the_chain() {
        let doubled = "//! E.\n#[error(\"cannot read: {source}\")]\n";
        check_row("crates/a/src/error.rs", doubled, &[(Some(2), "its source")]);
        let from = concat!("#[fr", "om] io::Error\n");
        let named = format!("//! E.\n#[error(\"cannot read\")]\n{from}");
        check_row("crates/a/src/error.rs", &named, &[(Some(3), "transparent")]);
        let transparent = format!("//! E.\n#[error(transparent)]\n{from}");
        check_row("crates/a/src/error.rs", &transparent, &[]);
    }
}
