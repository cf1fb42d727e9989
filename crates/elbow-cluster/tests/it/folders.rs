//! Folders and files.

use std::fs;
use std::path::Path;

use elbow_cluster::{Input, load};
use tempfile::TempDir;

use super::{lines, objects};

const SERVICE: &str = "{apiVersion: v1, kind: Service, metadata: {name: a}}\n";

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// Findings with the folder's random name cut off.
fn findings(folder: &Path, inputs: &[Input]) -> (Vec<String>, Vec<String>) {
    let loaded = load(inputs);
    let prefix = format!("{}/", folder.display());
    let mut found = lines(&loaded);
    for line in &mut found {
        *line = line
            .replace(&prefix, "")
            .replace(&folder.display().to_string(), "FOLDER");
    }
    (objects(&loaded), found)
}

#[test]
fn folders_are_read_with_the_folders_in_them() {
    let named = |name: &str| SERVICE.replace("name: a", &format!("name: {name}"));
    let folder = folder(&[
        ("b.yaml", named("b").as_bytes()),
        ("sub/deep/c.YML", named("c").as_bytes()),
        (
            "d.json",
            br#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "d"}}"#,
        ),
        ("notes.txt", b"kind: ["),
        ("logo.png", &[0x89, b'P', b'N', b'G', 0]),
        (".git/x.yaml", b"kind: ["),
        (".hidden.yaml", b"kind: ["),
        ("values.yaml", b"clusterName: x\n"),
    ]);
    let (objects, lines) = findings(folder.path(), &[Input::path(folder.path())]);
    assert_eq!(
        objects,
        [
            "Service default/b",
            "Service default/c",
            "Service default/d"
        ]
    );
    assert_eq!(lines, [""; 0]);
}

#[test]
fn files_that_are_not_text_are_named_and_the_others_loaded() {
    let folder = folder(&[
        ("a.yaml", SERVICE.as_bytes()),
        ("binary.yaml", &[0x7f, b'E', b'L', b'F', 0, 0, 1]),
        ("latin.yaml", b"# caf\xe9\nkind: x\n"),
        ("utf16.yaml", b"\xff\xfek\0i\0"),
    ]);
    let (objects, lines) = findings(folder.path(), &[Input::path(folder.path())]);
    assert_eq!(objects, ["Service default/a"]);
    assert_eq!(
        lines,
        [
            "error not-text 1:1 the file is not text (it looks like a binary file: move it away or give it another ending)",
            "error not-text 1:6 `latin.yaml` is not UTF-8 (save it as UTF-8)",
            "error not-text 1:1 the file is not text (it looks like UTF-16: save it as UTF-8)",
        ]
    );
}

#[test]
fn an_empty_folder_is_a_warning_and_a_missing_one_an_error() {
    let folder = folder(&[("README.md", b"hello")]);
    let (_, lines) = findings(folder.path(), &[Input::path(folder.path())]);
    assert_eq!(
        lines,
        [
            "warning no-manifests no manifest is in `FOLDER` (files that end in .yaml, .yml or .json are read, in folders of it as well)"
        ]
    );
    let (_, lines) = findings(folder.path(), &[Input::path(folder.path().join("gone"))]);
    assert_eq!(
        lines,
        ["error unreadable `gone` cannot be read: it does not exist"]
    );
    let gone = Input::File(folder.path().join("gone.yaml"));
    let (_, lines) = findings(folder.path(), &[gone]);
    assert_eq!(
        lines,
        ["error unreadable `gone.yaml` cannot be read: it does not exist"]
    );
}

#[test]
fn a_duplicate_names_both_places_and_the_first_is_kept() {
    let old = "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: GatewayClass, metadata: {name: a}, spec: {controllerName: first.example/x}}";
    let new = "\n{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: a}, spec: {controllerName: second.example/x}}";
    let folder = folder(&[("1.yaml", old.as_bytes()), ("2.yaml", new.as_bytes())]);
    let loaded = load(&[Input::path(folder.path())]);
    let objects = loaded.snapshot.objects();
    let [elbow_api::Object::GatewayClass(class)] = objects.as_slice() else {
        panic!("{objects:?}")
    };
    assert_eq!(class.spec.controller_name, "first.example/x");
    let [found] = loaded.diagnostics.as_slice() else {
        panic!("{:?}", loaded.diagnostics)
    };
    assert_eq!(found.code, "duplicate-object");
    assert_eq!(found.message, "this object is given twice");
    let location = found.location.as_ref().unwrap();
    assert!(
        location.source.ends_with("2.yaml") && location.line == 2,
        "{location}"
    );
    let first = &found.related[0].location;
    assert!(
        first.source.ends_with("1.yaml") && first.line == 1,
        "{first}"
    );
}

#[test]
fn a_file_that_is_given_twice_is_read_once() {
    let folder = folder(&[("a.yaml", SERVICE.as_bytes())]);
    let inputs = [
        Input::path(folder.path()),
        Input::path(folder.path().join("a.yaml")),
    ];
    let (objects, lines) = findings(folder.path(), &inputs);
    assert_eq!((objects.len(), lines.len()), (1, 0));
}

#[test]
#[cfg(unix)]
fn links_are_followed_but_not_in_circles() {
    let folder = folder(&[("real/a.yaml", SERVICE.as_bytes())]);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("real/up")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("dangling.yaml")).unwrap();
    let (objects, lines) = findings(folder.path(), &[Input::path(folder.path())]);
    assert_eq!(objects, ["Service default/a"]);
    assert_eq!(
        lines,
        [
            "error unreadable `dangling.yaml` cannot be read: it does not exist",
            "error unreadable `real/up` cannot be read: its links go round in a circle",
        ]
    );
}

#[test]
fn texts_can_be_shown_again() {
    let folder = folder(&[("a.yaml", b"kind: [\n")]);
    let loaded = load(&[Input::path(folder.path())]);
    let location = loaded.diagnostics[0].location.as_ref().unwrap();
    assert_eq!(loaded.text(&location.source).unwrap().as_str(), "kind: [\n");
}

#[test]
fn the_examples_are_sound() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let loaded = load(&[Input::path(examples)]);
    let worst = loaded.diagnostics.iter().map(|d| d.severity).min();
    assert!(
        worst.is_none_or(|s| s == elbow_api::Severity::Note),
        "{:?}",
        lines(&loaded)
    );
    assert_eq!(
        objects(&loaded),
        [
            "GatewayClass aws-alb-class",
            "GatewayClass aws-nlb-class",
            "Gateway app-ns/my-alb",
            "Gateway app-ns/my-nlb",
            "HTTPRoute app-ns/app-route",
            "TCPRoute app-ns/tcp-app-route",
            "LoadBalancerConfiguration app-ns/alb-config",
            "LoadBalancerConfiguration app-ns/nlb-config",
            "TargetGroupConfiguration app-ns/app-tgc",
            "TargetGroupConfiguration app-ns/tcp-app-tgc",
        ]
    );
}
