//! Whatever the bytes, loading ends, panics never, and every place lies in its text.

use elbow_api::{Diagnostic, SourceLocation};
use elbow_cluster::{Input, Loaded, load};
use proptest::prelude::*;

/// Manifests that touch most of the reader, to be mutated.
const SEEDS: [&str; 3] = [
    "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a, labels: &l {x: 'y'}, annotations: {z: \"\\u00e4\"}}
spec:
  parentRefs: [{name: gw, sectionName: http}]
  hostnames: [\"*.example.com\"]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /api}
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
  - backendRefs:
    - {name: svc, port: 80, weight: 3}
---
apiVersion: v1
kind: Namespace
metadata:
  name: b
  labels: {<<: *l}
",
    "apiVersion: gateway.k8s.aws/v1
kind: LoadBalancerConfiguration
metadata:
  name: a
  annotations:
    text: |-
      several
       lines
    folded: >
      of text
spec:
  scheme: internal
  listenerConfigurations:
  - protocolPort: HTTPS:443
    mutualAuthentication: {mode: verify, trustStore: t}
  tags: {a: b}
",
    r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}},
  {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"capacity": {"cpu": 0.5}}}
]}"#,
];

/// What is written over a part of a seed.
fn splice() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..6),
        prop::sample::select(vec![
            "\t",
            "\r\n",
            "\u{feff}",
            "---\n",
            "...",
            "&a ",
            "*a",
            "<<: ",
            "!!int ",
            "!x ",
            "? ",
            "- ",
            ": ",
            "{",
            "}",
            "[",
            "]",
            "'",
            "\"",
            "|\n",
            ">",
            "#",
            "%",
            "@",
            "`",
            "ä",
            "\u{1F600}",
            "\u{85}",
            "\0",
            "99999999999999999999999",
            "-0",
            "1e999",
            ".nan",
            "null",
            "\u{2028}",
            "\\",
            "\x7f",
        ])
        .prop_map(|s| s.as_bytes().to_vec()),
    ]
}

fn assert_in_text(loaded: &Loaded, location: &SourceLocation) {
    let Some(text) = loaded.text(&location.source) else {
        return;
    };
    let span = location.span.start..location.span.end;
    assert!(
        text.as_str().get(span).is_some(),
        "{location} {:?}",
        location.span
    );
    assert!(location.line >= 1 && location.column >= 1, "{location}");
}

fn assert_sane(bytes: &[u8]) {
    let inputs = [Input::Stdin(bytes.to_vec())];
    let loaded = load(&inputs);
    for Diagnostic {
        location, related, ..
    } in &loaded.diagnostics
    {
        for location in location.iter().chain(related.iter().map(|r| &r.location)) {
            assert_in_text(&loaded, location);
        }
    }
    for object in loaded.snapshot.objects() {
        let location = loaded.locate(&object.object_ref(), Some("spec.rules[0].matches"));
        assert_in_text(&loaded, &location.unwrap());
    }
    assert_eq!(load(&inputs).diagnostics, loaded.diagnostics);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        assert_sane(&bytes);
    }

    #[test]
    fn damaged_manifests_are_read(
        seed in prop::sample::select(SEEDS.to_vec()),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, splice()), 1..5),
    ) {
        let mut bytes = seed.as_bytes().to_vec();
        for (index, length, splice) in cuts {
            let start = index.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, splice);
        }
        assert_sane(&bytes);
    }
}

#[test]
fn seeds_are_sound() {
    for seed in SEEDS {
        let loaded = load(&[Input::Stdin(seed.replace("*l", "{c: d}").into_bytes())]);
        assert_eq!(super::lines(&loaded), [""; 0], "{seed}");
    }
}
