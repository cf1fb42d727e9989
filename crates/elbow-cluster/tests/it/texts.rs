//! YAML and JSON as such: documents, lists, anchors, keys, and what is wrong with them.

use std::fmt::Write as _;

use super::{lines, load_text, objects};

/// A Service on one line of flow YAML, which is JSON as well.
const SERVICE: &str = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}"#;

#[track_caller]
fn check(text: &str, expected_objects: &[&str], expected_lines: &[&str]) {
    let loaded = load_text(text);
    assert_eq!(objects(&loaded), expected_objects, "{text}");
    assert_eq!(lines(&loaded), expected_lines, "{text}");
}

#[test]
fn documents_are_found_however_they_are_separated() {
    let rows = [
        ("# nothing but a comment\n", &[][..]),
        ("---\n---\n", &[]),
        (SERVICE, &["Service default/a"]),
        (&format!("---\n{SERVICE}\n...\n"), &["Service default/a"]),
        (&format!("--- {SERVICE}\n"), &["Service default/a"]),
        (
            &format!("--- # a comment\n{SERVICE}"),
            &["Service default/a"],
        ),
        (
            &format!("%YAML 1.2\n---\n{SERVICE}"),
            &["Service default/a"],
        ),
        (&format!("\u{feff}{SERVICE}"), &["Service default/a"]),
        (&SERVICE.replace(' ', "\r\n\t"), &["Service default/a"]),
        (
            "apiVersion: v1\r\nkind: Service\r\nmetadata:\r\n  name: a\r\n",
            &["Service default/a"],
        ),
        (
            &format!("{SERVICE}\n---\n{}", SERVICE.replace(r#""a""#, r#""b""#)),
            &["Service default/a", "Service default/b"],
        ),
        (
            "kind: Service\napiVersion: v1\nmetadata:\n  name: a\n  annotations:\n    text: |\n      ---\n      more\n",
            &["Service default/a"],
        ),
        ("just text", &[]),
        ("- a list\n- of text\n", &[]),
        ("clusterName: my-cluster\nregion: ap-northeast-2\n", &[]),
    ];
    for (text, expected) in rows {
        check(text, expected, &[]);
    }
}

#[test]
fn nothing_at_all_is_a_warning() {
    check(
        "",
        &[],
        &["warning no-manifests nothing came from standard input"],
    );
}

#[test]
fn lists_hold_objects() {
    let list = |kind: &str, item: &str| {
        format!(r#"{{"apiVersion": "v1", "kind": "{kind}", "items": [{item}]}}"#)
    };
    check(&list("List", SERVICE), &["Service default/a"], &[]);
    check(
        &list("ServiceList", r#"{"metadata": {"name": "a"}}"#),
        &["Service default/a"],
        &[],
    );
    check(
        &list("List", &list("List", SERVICE)),
        &["Service default/a"],
        &[],
    );
    check(&list("List", ""), &[], &[]);
    check(&list("List", "1, null, []"), &[], &[]);
}

#[test]
fn anchors_aliases_and_merges_are_followed() {
    let text = "
apiVersion: v1
kind: Service
metadata: &meta
  name: a
  labels: &labels {app: x, tier: front}
spec:
  selector: {<<: *labels, tier: back}
  type: &type NodePort
";
    let loaded = load_text(text);
    assert_eq!(lines(&loaded), [""; 0]);
    let objects = loaded.snapshot.objects();
    let elbow_api::Object::Service(service) = &objects[0] else {
        panic!("{objects:?}")
    };
    let selector = service.spec.as_ref().unwrap().selector.as_ref().unwrap();
    assert_eq!(selector["app"], "x");
    assert_eq!(selector["tier"], "back");
}

#[test]
fn a_broken_document_costs_itself_alone() {
    let text = format!(
        "{SERVICE}\n---\nkind: [\n---\n{}\n",
        SERVICE.replace(r#""a""#, r#""b""#)
    );
    check(
        &text,
        &["Service default/a", "Service default/b"],
        &["error yaml-syntax 4:1 while parsing a node, did not find expected node content"],
    );
}

#[test]
fn what_cannot_be_read_is_said_where_it_stands() {
    let bomb = {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{items}]").unwrap();
        }
        text
    };
    let rows = [
        (
            "a: 1\nb: 2\na: 3\n",
            "error duplicate-key 3:1 the key `a` is given twice in one map",
        ),
        ("a: {{ .Values.x }}\n", "error yaml-syntax "),
        ("a:\n\t- b\n", "error yaml-syntax 2:2 tabs "),
        ("a: *nothing\n", "error yaml-syntax 1:4 "),
        ("a: &a [*a]\n", "error yaml-syntax "),
        ("a: 'never closed\n", "error yaml-syntax "),
        (
            "? [a]\n: b\n",
            "error yaml-syntax 1:4 a key must be a word, not a list",
        ),
        (
            "a: {<<: 1}\n",
            "error yaml-syntax 1:5 `<<` merges maps, and this is none",
        ),
        (
            &"[".repeat(5000),
            "error yaml-syntax 1:256 recursion limit exceeded",
        ),
        (
            &"[".repeat(150),
            "error yaml-too-deep 1:101 lists and maps are nested more than 100 deep",
        ),
        (&"a: ".repeat(3000), "error yaml-syntax "),
        (&"- ".repeat(3000), "error yaml-too-deep 1:201 "),
        (&bomb, "error yaml-too-large "),
    ];
    for (text, expected) in rows {
        let loaded = load_text(text);
        let lines = lines(&loaded);
        assert_eq!(lines.len(), 1, "{text:.60}: {lines:?}");
        assert!(
            lines[0].starts_with(expected),
            "{text:.60}: {} is not {expected}",
            lines[0]
        );
    }
}

#[test]
fn a_template_is_recognised() {
    let loaded = load_text("metadata:\n  name: {{ .Release.Name }}-a\n");
    assert!(
        lines(&loaded)[0].contains("render it first"),
        "{:?}",
        lines(&loaded)
    );
}

#[test]
fn two_objects_without_a_line_between_them_are_said_to_be_that() {
    let one = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
    let loaded = load_text(&format!("{one}{one}"));
    let [problem] = &loaded.diagnostics[..] else {
        panic!("{:?}", loaded.diagnostics)
    };
    assert_eq!(
        problem.message,
        "a second object begins in the same document"
    );
    assert_eq!(problem.location.as_ref().unwrap().line, 4);
    assert_eq!(problem.hint.as_deref(), Some("put a line `---` before it"));
}

#[test]
fn a_key_that_is_given_twice_names_both_places() {
    let loaded = load_text("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nkind: Pod\n");
    let related = &loaded.diagnostics[0].related[0];
    assert_eq!(
        (related.label.as_str(), related.location.line),
        ("first given here", 2)
    );
    assert_eq!(objects(&loaded), [""; 0]);
}
