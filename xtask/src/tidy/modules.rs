//! Rust files that no `mod` names: they look like code and like tests, and never compile.
//!
//! In: the Rust files. Out: each file that its parent module does not name.
//! Always: roots that cargo finds by itself (`lib.rs`, `main.rs`, `tests/*.rs` and the like) are named
//! by being there, and everything else by a `mod` line or a `path` attribute.

use std::collections::BTreeMap;

use super::{Finding, SourceFile};

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let rust: BTreeMap<&str, &str> = files
        .iter()
        .filter(|file| file.has_extension("rs") && !file.path.contains("/testdata/"))
        .map(|file| (file.path.as_str(), file.text.as_str()))
        .collect();
    rust.keys()
        .filter(|path| !is_root(path))
        .filter(|path| !is_named(path, &rust))
        .map(|path| {
            Finding::whole(
                path,
                "no `mod` line names this file, so it is never compiled",
            )
        })
        .collect()
}

/// Whether cargo compiles the file without being told to.
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [.., "build.rs"] | [.., "src", "lib.rs" | "main.rs"] | [.., "src", "bin", _] => true,
        [.., "tests" | "benches" | "examples", file] => *file != "mod.rs" && !within_src(&parts),
        [.., "tests" | "benches" | "examples", _, "main.rs"] => !within_src(&parts),
        _ => false,
    }
}

/// `src/foo/tests/bar.rs` is an ordinary module, unlike `tests/bar.rs`.
fn within_src(parts: &[&str]) -> bool {
    parts.contains(&"src")
}

fn is_named(path: &str, rust: &BTreeMap<&str, &str>) -> bool {
    let Some((mut folder, file)) = path.rsplit_once('/') else {
        return false;
    };
    let mut module = file.trim_end_matches(".rs");
    if module == "mod" {
        let Some((above, name)) = folder.rsplit_once('/') else {
            return false;
        };
        (folder, module) = (above, name);
    }
    // The parent's code is in the folder itself (`lib.rs`, `main.rs`, `mod.rs`) or beside it.
    let inside = ["lib.rs", "main.rs", "mod.rs"].map(|name| format!("{folder}/{name}"));
    let parents = inside.into_iter().chain([format!("{folder}.rs")]);
    let attribute = format!("/{file}\"]");
    let plain_attribute = format!("path = \"{file}\"]");
    parents
        .filter_map(|parent| rust.get(parent.as_str()))
        .any(|text| {
            text.lines().any(|line| {
                declares(line, module)
                    || line.contains(&plain_attribute)
                    || (line.contains("path = ") && line.contains(&attribute))
            })
        })
}

/// Whether a line is `mod name;`, with or without a visibility and an attribute before it.
fn declares(line: &str, module: &str) -> bool {
    let line = line.trim();
    let Some(before) = line.strip_suffix(';') else {
        return false;
    };
    let mut words = before.rsplit(' ');
    let name = words.next().map(|name| name.trim_start_matches("r#"));
    name == Some(module) && words.next() == Some("mod") && !line.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn orphans(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<SourceFile> = files
            .iter()
            .map(|(path, text)| SourceFile {
                path: (*path).to_owned(),
                text: (*text).to_owned(),
            })
            .collect();
        check(&files)
            .into_iter()
            .map(|finding| finding.place)
            .collect()
    }

    #[test]
    fn a_test_file_that_nothing_names_is_found() {
        let found = orphans(&[
            ("crates/a/tests/it/main.rs", "mod named;\n"),
            ("crates/a/tests/it/named.rs", ""),
            ("crates/a/tests/it/forgotten.rs", ""),
        ]);
        assert_eq!(found, ["crates/a/tests/it/forgotten.rs"]);
    }

    #[test]
    fn parents_are_found_in_every_layout() {
        let found = orphans(&[
            (
                "crates/a/src/lib.rs",
                "pub mod one;\n#[cfg(test)] mod tests;\n",
            ),
            ("crates/a/src/one.rs", "pub(crate) mod deep;\nmod r#type;\n"),
            ("crates/a/src/one/deep.rs", ""),
            ("crates/a/src/one/type.rs", ""),
            (
                "crates/a/src/tests/mod.rs",
                "mod row;\n#[path = \"other/far.rs\"]\nmod near;\n",
            ),
            ("crates/a/src/tests/row.rs", ""),
            ("crates/a/tests/golden.rs", ""),
            ("crates/a/benches/speed.rs", ""),
            ("crates/a/build.rs", ""),
            ("crates/a/testdata/x/src/any.rs", ""),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn a_comment_names_nothing() {
        let found = orphans(&[
            ("crates/a/src/lib.rs", "// mod gone;\n"),
            ("crates/a/src/gone.rs", ""),
        ]);
        assert_eq!(found, ["crates/a/src/gone.rs"]);
    }
}
