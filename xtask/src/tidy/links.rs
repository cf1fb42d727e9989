//! Links between pages of the documentation.
//!
//! In: the Markdown files. Out: each relative link that leads to no file or folder of the repository.
//! Always: links to other sites are not followed; code blocks hold no links.

use std::collections::BTreeSet;

use super::{Finding, SourceFile};

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let known: BTreeSet<&str> = files
        .iter()
        .flat_map(|file| ancestors_and_self(&file.path))
        .collect();
    files
        .iter()
        .filter(|file| file.has_extension("md"))
        .flat_map(|file| check_page(file, &known))
        .collect()
}

fn check_page(page: &SourceFile, known: &BTreeSet<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (index, line) in page.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // What follows `](` up to `)` is the target of an inline link.
        for link in line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !known.contains(resolve(&page.path, target).as_str()) {
                let message = format!("the link to {target} leads nowhere");
                findings.push(Finding::at(&page.path, index + 1, message));
            }
        }
    }
    findings
}

/// The folders that a path lies in, and itself.
fn ancestors_and_self(path: &str) -> impl Iterator<Item = &str> {
    let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
    folders.chain([path])
}

/// Where a relative link of a page leads, from the root of the repository.
fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_row(page: &str, text: &str, expected: &[&str]) {
        let file = |path: &str, text: &str| SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let others = ["LICENSE", "docs/guide/start.md", "docs/adr/0001-x.md"];
        let mut files: Vec<SourceFile> = others.iter().map(|path| file(path, "")).collect();
        files.push(file(page, text));
        let found: Vec<String> = check(&files).iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn links_lead_to_files_and_folders() {
        check_row(
            "README.md",
            "[a](LICENSE) [b](docs/adr/) [c](docs/guide/start.md#top)\n",
            &[],
        );
        check_row(
            "docs/guide/more.md",
            "[a](start.md) [b](../adr/0001-x.md)\n",
            &[],
        );
        check_row(
            "README.md",
            "[a](LICENSE)\n[b](docs/gone.md)\n",
            &["README.md:2: the link to docs/gone.md"],
        );
    }

    #[test]
    fn other_sites_and_code_are_not_looked_at() {
        check_row(
            "README.md",
            "[a](https://example.com/x)\n```\n[b](gone)\n```\n[c](#here)\n",
            &[],
        );
    }
}
