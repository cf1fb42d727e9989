//! Differences from the AWS Load Balancer Controller: the page and the source say the same.
//!
//! In: `docs/differences.md`, and the Rust files with their markers, `Difference (key)`. Out: each
//! marker without a row, row of the first table without a marker, key given twice, and test that a row
//! names and that is not there.
//! Always: a row names golden cases as `area/case` and test functions by their names; a dash stands for
//! a test that is still to be written.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, SourceFile};

const PAGE: &str = "docs/differences.md";
/// Where markers are looked for: what is wanted is decided there.
const MARKED: &str = "crates/elbow-translate/src/";
const GOLDEN: &str = "crates/elbow/testdata/golden/";

/// A row of one of the page's tables.
struct Row<'a> {
    line: usize,
    /// Number of its heading on the page, from 1: rows below the first one are marked in the source.
    section: usize,
    key: &'a str,
    tests: Vec<&'a str>,
}

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let Some(page) = files.iter().find(|file| file.path == PAGE) else {
        return vec![Finding::whole(PAGE, "the page is missing")];
    };
    let rows = rows(&page.text);
    let markers = markers(files);
    let mut findings = Vec::new();
    let mut keys = BTreeSet::new();
    for row in &rows {
        let mut find = |message: String| findings.push(Finding::at(PAGE, row.line, message));
        if !keys.insert(row.key) {
            find(format!("{} has two rows", row.key));
        }
        if row.section == 1 && !markers.contains_key(row.key) {
            find(format!(
                "no `Difference ({})` stands below {MARKED}",
                row.key
            ));
        }
        for test in row.tests.iter().filter(|test| !exists(files, test)) {
            find(format!("there is no test {test}"));
        }
    }
    for (key, (path, line)) in markers {
        if !keys.contains(key) {
            let message = format!("the difference {key} has no row in {PAGE}");
            findings.push(Finding::at(path, line, message));
        }
    }
    findings
}

/// The rows whose first cell is a key in backticks.
fn rows(page: &str) -> Vec<Row<'_>> {
    let mut section = 0;
    let mut rows = Vec::new();
    for (index, line) in page.lines().enumerate() {
        section += usize::from(line.starts_with("## "));
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").collect();
        let (Some(first), Some(last)) = (cells.first(), cells.last()) else {
            continue;
        };
        if line.starts_with("| `") {
            rows.push(Row {
                line: index + 1,
                section,
                key: first.trim().trim_matches('`'),
                tests: quoted(last),
            });
        }
    }
    rows
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The markers of the source, each with the first place where it stands.
fn markers(files: &[SourceFile]) -> BTreeMap<&str, (&str, usize)> {
    let mut markers = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.starts_with(MARKED)) {
        for (index, line) in file.text.lines().enumerate() {
            let Some((_, rest)) = line.split_once("Difference") else {
                continue;
            };
            // `Difference (key)`, or `(Difference, key: …)` within a sentence.
            let Some(rest) = rest.strip_prefix(" (").or_else(|| rest.strip_prefix(", ")) else {
                continue;
            };
            let end =
                rest.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            let key = &rest[..end.unwrap_or(rest.len())];
            markers
                .entry(key)
                .or_insert((file.path.as_str(), index + 1));
        }
    }
    markers
}

/// Whether a golden case or a function of this name is there.
fn exists(files: &[SourceFile], test: &str) -> bool {
    if test.contains('/') {
        let case = format!("{GOLDEN}{test}/");
        return files.iter().any(|file| file.path.starts_with(&case));
    }
    let function = format!("fn {test}(");
    files
        .iter()
        .any(|file| file.has_extension("rs") && file.text.contains(&function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_row(page: &str, source: &str, expected: &[&str]) {
        let file = |path: &str, text: &str| SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let files = [
            file(PAGE, page),
            file("crates/elbow-translate/src/a.rs", source),
            file("crates/elbow/testdata/golden/http/one/input.yaml", ""),
        ];
        let found: Vec<String> = check(&files).iter().map(|f| f.message.clone()).collect();
        assert_eq!(found, expected, "{page}{source}");
    }

    #[test]
    fn page_and_source_agree() {
        let marked = "// Difference (a-key): LBC differs.\n#[test]\nfn shows_it() {}\n";
        check_row(
            "## One\n| `a-key` | x | y | z | `http/one`, `shows_it` |\n",
            marked,
            &[],
        );
        check_row("## One\n| `a-key` | x | y | z | — |\n", marked, &[]);
        check_row(
            "## One\n| `a-key` | x | y | z | — |\n",
            "//! (Difference, a-key: LBC differs.)\n",
            &[],
        );
        check_row(
            "## One\n",
            marked,
            &["the difference a-key has no row in docs/differences.md"],
        );
        check_row(
            "## One\n| `b-key` | x | y | z | — |\n## Two\n| `c-key` | x | y | z | — |\n",
            "",
            &["no `Difference (b-key)` stands below crates/elbow-translate/src/"],
        );
        check_row(
            "## One\n## Two\n| `c` | x | y | z | `http/two`, `gone` |\n| `c` | x | y | z | — |\n",
            "",
            &[
                "there is no test http/two",
                "there is no test gone",
                "c has two rows",
            ],
        );
    }
}
