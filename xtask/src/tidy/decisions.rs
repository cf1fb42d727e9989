//! Decisions in `docs/adr/`: each has a number of its own.
//!
//! In: the Markdown files. Out: each decision whose number another one has, too, that does not follow the one
//! before it, or whose heading says another. Always: the template is no decision.

use std::collections::BTreeMap;

use super::{Finding, SourceFile};

const FOLDER: &str = "docs/adr/";
const TEMPLATE: &str = "template.md";

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut numbers: BTreeMap<&str, &str> = BTreeMap::new();
    let mut decisions: Vec<(&str, &SourceFile)> = files
        .iter()
        .filter_map(|file| Some((file.path.strip_prefix(FOLDER)?, file)))
        .filter(|(name, _)| *name != TEMPLATE)
        .collect();
    decisions.sort_by_key(|(name, _)| *name);
    for (name, file) in decisions {
        let number = name.split('-').next().unwrap_or_default();
        if let Some(other) = numbers.insert(number, name) {
            let message = format!("{other} has the number {number}, too");
            findings.push(Finding::whole(&file.path, message));
        } else if number != format!("{:04}", numbers.len()) {
            let message = format!("the next number is {:04}", numbers.len());
            findings.push(Finding::whole(&file.path, message));
        }
        if !file.text.starts_with(&format!("# {number}: ")) {
            let message = format!("the heading begins with `# {number}: `");
            findings.push(Finding::at(&file.path, 1, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_row(files: &[(&str, &str)], expected: &[&str]) {
        let file = |(name, text): &(&str, &str)| SourceFile {
            path: format!("{FOLDER}{name}"),
            text: (*text).to_owned(),
        };
        let files: Vec<_> = files.iter().map(file).collect();
        let found: Vec<_> = check(&files).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{files:?}");
    }

    #[test]
    fn numbers_are_their_own_and_follow_each_other() {
        let first = ("0001-pure.md", "# 0001: Pure\n");
        check_row(&[("template.md", "# Title\n"), first], &[]);
        check_row(
            &[first, ("0001-same.md", "# 0001: Same\n")],
            &["docs/adr/0001-same.md: 0001-pure.md has the number 0001, too"],
        );
        check_row(
            &[first, ("0003-far.md", "# 0003: Far\n")],
            &["docs/adr/0003-far.md: the next number is 0002"],
        );
        check_row(
            &[first, ("0002-renamed.md", "# 0001: Renamed\n")],
            &["docs/adr/0002-renamed.md:1: the heading begins with `# 0002: `"],
        );
    }
}
