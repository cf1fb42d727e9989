//! The runner on folders made for each test.

use super::*;

/// A folder of cases; each row is a path below it and the file's text.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn only_case(root: &Path, update: Update) -> Case {
    let mut found = cases(root).unwrap();
    assert_eq!(found.len(), 1);
    let mut case = found.remove(0);
    // The tests do not depend on the environment that they run in.
    case.update = update;
    case
}

#[test]
fn lists_cases_by_name_with_their_intent() {
    let root = folder(&[
        ("tcp/one/input.yaml", "# Sends bytes.\na: 1\n"),
        ("http/two/input.yaml", "# Goes second.\n"),
        ("http/one/input.yaml", "#Goes first.\n"),
        ("README.md", "not a case\n"),
    ]);
    let found = cases(root.path()).unwrap();
    let rows: Vec<_> = found
        .iter()
        .map(|case| (case.name.as_str(), case.intent.as_str()))
        .collect();
    let expected = [
        ("http/one", "Goes first."),
        ("http/two", "Goes second."),
        ("tcp/one", "Sends bytes."),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn refuses_a_case_without_intent() {
    let root = folder(&[("a/b/input.yaml", "kind: Gateway\n")]);
    let error = cases(root.path()).unwrap_err();
    assert!(matches!(error, GoldenError::Intent { .. }), "{error}");
}

#[test]
fn refuses_a_folder_without_cases() {
    let root = folder(&[("a/b/other.yaml", "# no input\n")]);
    let error = cases(root.path()).unwrap_err();
    assert!(matches!(error, GoldenError::Empty { .. }), "{error}");
}

#[test]
fn passes_what_is_equal_and_shows_what_differs() {
    let root = folder(&[("a/b/input.yaml", "# x\n"), ("a/b/out.txt", "one\ntwo\n")]);
    let case = only_case(root.path(), Update::Compare);
    assert_eq!(compare(&case, "out.txt", "one\ntwo\n"), Ok(()));
    let failure = compare(&case, "out.txt", "one\n2\n").unwrap_err();
    assert!(failure.contains("-two\n+2\n"), "{failure}");
    assert!(failure.contains(UPDATE_VARIABLE), "{failure}");
}

#[test]
fn a_missing_expectation_fails() {
    let root = folder(&[("a/b/input.yaml", "# x\n")]);
    let case = only_case(root.path(), Update::Compare);
    assert!(compare(&case, "out.txt", "one\n").is_err());
}

#[test]
fn reports_all_outputs_that_differ() {
    let root = folder(&[("a/b/input.yaml", "# x\n")]);
    let case = only_case(root.path(), Update::Compare);
    let failure = case
        .check([("one.txt", "1\n".to_owned()), ("two.txt", "2\n".to_owned())])
        .unwrap_err();
    assert!(
        failure.contains("one.txt differs") && failure.contains("two.txt differs"),
        "{failure}"
    );
}

#[test]
fn a_forgotten_file_fails_the_case() {
    let root = folder(&[("a/b/input.yaml", "# x\n"), ("a/b/old.txt", "left over\n")]);
    let case = only_case(root.path(), Update::Compare);
    let failure = check_case(&case, |_| Ok(())).unwrap_err();
    assert!(failure.contains("old.txt"), "{failure}");
}

#[test]
fn a_file_that_was_read_is_not_forgotten() {
    let root = folder(&[("a/b/input.yaml", "# x\n"), ("a/b/facts.yaml", "vpc: 1\n")]);
    let case = only_case(root.path(), Update::Compare);
    let run = |case: &Case| case.read("facts.yaml").map(drop);
    assert_eq!(check_case(&case, run), Ok(()));
}

#[test]
fn an_update_writes_outputs_and_removes_forgotten_files() {
    let root = folder(&[("a/b/input.yaml", "# x\n"), ("a/b/old.txt", "left over\n")]);
    let case = only_case(root.path(), Update::Write);
    let run = |case: &Case| compare(case, "new.txt", "new\n");
    assert_eq!(check_case(&case, run), Ok(()));
    assert_eq!(
        fs::read_to_string(case.dir.join("new.txt")).unwrap(),
        "new\n"
    );
    assert!(!case.dir.join("old.txt").exists());
}

#[test]
fn outputs_that_nobody_would_review_fail() {
    let root = folder(&[("a/b/input.yaml", "# x\n")]);
    let case = only_case(root.path(), Update::Write);
    let failure = compare(&case, "out.txt", &"line\n".repeat(OUTPUT_LINES_MAX + 1)).unwrap_err();
    assert!(failure.contains("201 lines"), "{failure}");
}

#[test]
fn a_failure_says_what_the_case_was_to_show() {
    let root = folder(&[("a/b/input.yaml", "# Sends bytes.\n")]);
    let case = only_case(root.path(), Update::Compare);
    let failure = check_case(&case, |_| Err("broken".to_owned())).unwrap_err();
    assert!(failure.starts_with("Sends bytes.\n"), "{failure}");
}
