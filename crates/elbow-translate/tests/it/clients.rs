//! Client certificates: what listeners ask for, and what their conditions say when that cannot be had.

use elbow_model::{BundleStorage, MutualAuthentication, Port, Stack, TrustStoreArn};
use elbow_translate::{Settings, Translation, status, translate_cluster};

use crate::support::{self, facts, line, snapshot};

const ROOT: &str = include_str!("../../../elbow-api/testdata/secrets/root.crt");

/// Two HTTPS listeners and one of HTTP, with routes, and what the tests refer to.
fn manifests(frontend: &str, configurations: &str) -> String {
    let pem = ROOT.replace('\n', "\n    ");
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: alb}}
spec: {{controllerName: gateway.k8s.aws/alb}}
---
apiVersion: v1
kind: Service
metadata: {{name: s, namespace: ns}}
spec: {{ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: gateway.k8s.aws/v1
kind: LoadBalancerConfiguration
metadata: {{name: c, namespace: ns}}
spec: {{listenerConfigurations: [{configurations}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec:
  gatewayClassName: alb
  infrastructure: {{parametersRef: {{group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: c}}}}
  tls: {{frontend: {{{frontend}}}}}
  listeners:
  - {{name: http, protocol: HTTP, port: 80}}
  - {{name: one, protocol: HTTPS, port: 443, hostname: a.example.com}}
  - {{name: two, protocol: HTTPS, port: 8443, hostname: b.example.com}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: ns}}
spec:
  parentRefs: [{{name: gw}}]
  rules: [{{backendRefs: [{{name: s, port: 80}}]}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: ca, namespace: ns}}
data:
  ca.crt: |
    {pem}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: empty, namespace: ns}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: ca, namespace: pki}}
data:
  ca.crt: |
    {pem}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: granted, namespace: pki}}
data:
  ca.crt: |
    {pem}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {{name: g, namespace: pki}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: Gateway, namespace: ns}}]
  to: [{{group: '', kind: ConfigMap, name: granted}}]
"
    )
}

fn settings() -> Settings {
    Settings {
        bundle_storage: Some(BundleStorage {
            bucket: "bucket".to_owned(),
            prefix: "elbow/".to_owned(),
        }),
        ..support::settings()
    }
}

#[track_caller]
fn translate(frontend: &str, configurations: &str, settings: &Settings) -> Translation {
    let mut facts = facts();
    let arn = TrustStoreArn::new("arn:theirs");
    facts
        .trust_stores_by_name
        .insert("theirs".to_owned(), Some(arn));
    facts
        .trust_stores_by_name
        .insert("nobodys".to_owned(), None);
    let snapshot = snapshot(&manifests(frontend, configurations));
    support::translate_with(&snapshot, "ns/gw", settings, facts)
}

/// What the listener of a port asks for: a mode, or why there is none.
fn asked(stack: &Stack, port: u16) -> String {
    let port = Port::new(port).unwrap();
    match stack.listeners.get(&port) {
        Some(listener) => listener.mutual_authentication.to_string(),
        None if stack.undecided_listeners.contains(&port) => "undecided".to_owned(),
        None => "none".to_owned(),
    }
}

/// Conditions of a listener that are not as they should be.
fn conditions(found: &Translation, listener: &str) -> String {
    let lb = status::LoadBalancerReport {
        arn: elbow_model::LoadBalancerArn::new("arn"),
        dns_name: "lb".to_owned(),
        state: elbow_model::observed::LoadBalancerState::Active,
    };
    let draft = found.gateway.as_ref().unwrap();
    let written = status::gateway(draft, &[], Some(&lb), None);
    let listeners = written.listeners.unwrap();
    let listener = listeners.iter().find(|l| l.name == listener).unwrap();
    let bad = listener.conditions.iter().filter(|c| {
        c.status
            != if c.condition_type == "Conflicted" {
                "False"
            } else {
                "True"
            }
    });
    let bad: Vec<_> = bad
        .map(|c| format!("{} {}", c.condition_type, c.reason))
        .collect();
    bad.join(", ")
}

fn refs(references: &str) -> String {
    format!("default: {{validation: {{caCertificateRefs: [{references}]}}}}")
}

#[test]
fn a_bad_reference_is_told_in_conditions_and_holds_up_its_port_alone() {
    let good = "{group: '', kind: ConfigMap, name: ca}";
    let rows = [
        ("good", good, "verify by (trust store ca/ns/ca)", ""),
        (
            "granted",
            "{group: '', kind: ConfigMap, name: granted, namespace: pki}",
            "verify by (trust store ca/pki/granted)",
            "",
        ),
        (
            "missing",
            "{group: '', kind: ConfigMap, name: nope}",
            "undecided",
            "Accepted NoValidCACertificate, Programmed NoValidCACertificate, ResolvedRefs InvalidCACertificateRef",
        ),
        (
            "without the entry",
            "{group: '', kind: ConfigMap, name: empty}",
            "undecided",
            "Accepted NoValidCACertificate, Programmed NoValidCACertificate, ResolvedRefs InvalidCACertificateRef",
        ),
        (
            "another kind",
            "{group: '', kind: Service, name: s}",
            "undecided",
            "Accepted NoValidCACertificate, Programmed NoValidCACertificate, ResolvedRefs InvalidCACertificateKind",
        ),
        (
            "another group",
            "{group: example.com, kind: ConfigMap, name: ca}",
            "undecided",
            "Accepted NoValidCACertificate, Programmed NoValidCACertificate, ResolvedRefs InvalidCACertificateKind",
        ),
        (
            "not permitted",
            "{group: '', kind: ConfigMap, name: ca, namespace: pki}",
            "undecided",
            "Accepted NoValidCACertificate, Programmed NoValidCACertificate, ResolvedRefs RefNotPermitted",
        ),
        (
            // What may be read makes the name, and what is good of it the content.
            "one of two",
            &format!("{good}, {{group: '', kind: ConfigMap, name: nope}}"),
            "verify by (trust store ca/ns/ca+ns/nope)",
            "ResolvedRefs InvalidCACertificateRef",
        ),
        (
            "one of two, not permitted",
            &format!("{{group: '', kind: ConfigMap, name: ca, namespace: pki}}, {good}"),
            "verify by (trust store ca/ns/ca)",
            "ResolvedRefs RefNotPermitted",
        ),
    ];
    for (name, references, expected, told) in rows {
        let sibling = "perPort: [{port: 8443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}]";
        let frontend = format!("{}, {sibling}", refs(references));
        let found = translate(&frontend, "", &settings());
        let stack = found.stack.as_ref().unwrap();
        assert_eq!(asked(stack, 443), expected, "{name}");
        assert_eq!(
            asked(stack, 8443),
            "verify by (trust store ca/ns/ca)",
            "{name}"
        );
        assert_eq!(asked(stack, 80), "off", "{name}");
        assert_eq!(conditions(&found, "one"), told, "{name}");
        assert_eq!(conditions(&found, "two"), "", "{name}");
        assert_eq!(conditions(&found, "http"), "", "{name}");
    }
}

#[test]
fn without_a_bucket_a_listener_that_verifies_is_refused() {
    let reference = refs("{group: '', kind: ConfigMap, name: ca}");
    let found = translate(&reference, "", &support::settings());
    assert_eq!(asked(found.stack.as_ref().unwrap(), 443), "undecided");
    assert_eq!(
        conditions(&found, "one"),
        "Accepted UnsupportedValue, Programmed UnsupportedValue"
    );
    assert_eq!(
        found.diagnostics.iter().map(line).collect::<Vec<_>>(),
        [
            "no-trust-store-bucket Gateway ns/gw spec.tls.frontend.default.validation.caCertificateRefs"
        ]
    );
    let message = &found.gateway.unwrap().listeners[1]
        .problem
        .clone()
        .unwrap()
        .message;
    assert!(message.contains("--trust-store-bucket"), "{message}");
}

#[test]
fn an_insecure_fallback_passes_certificates_through_and_says_so() {
    let frontend = "default: {validation: {mode: AllowInsecureFallback, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}, \
         perPort: [{port: 8443, tls: {}}]";
    // Needs no trust store, and so no bucket.
    let found = translate(frontend, "", &support::settings());
    let stack = found.stack.as_ref().unwrap();
    assert_eq!(asked(stack, 443), "passthrough");
    assert_eq!(asked(stack, 8443), "off");
    assert!(stack.authorities.is_empty());
    assert_eq!(
        found.diagnostics.iter().map(line).collect::<Vec<_>>(),
        ["insecure-client-validation Gateway ns/gw spec.tls.frontend.default.validation.mode"]
    );
    let told = |found: &Translation| {
        let draft = found.gateway.as_ref().unwrap();
        let conditions = status::gateway(draft, &[], None, None).conditions;
        let mut conditions = conditions.into_iter();
        conditions
            .find(|c| c.condition_type == "InsecureFrontendValidationMode")
            .map(|c| format!("{} {}", c.status, c.reason))
    };
    assert_eq!(told(&found).as_deref(), Some("True ConfigurationChanged"));
    let secure = translate(
        &refs("{group: '', kind: ConfigMap, name: ca}"),
        "",
        &settings(),
    );
    assert_eq!(told(&secure), None);
    // References are checked in this mode, too.
    let broken = frontend.replace("name: ca", "name: nope");
    let broken = translate(&broken, "", &settings());
    assert_eq!(asked(broken.stack.as_ref().unwrap(), 443), "undecided");
}

#[test]
fn a_load_balancer_configuration_comes_first() {
    let frontend = refs("{group: '', kind: ConfigMap, name: ca}");
    let rows = [
        (
            "off asks for nothing",
            "mode: 'off'",
            "verify by (trust store ca/ns/ca)",
            "",
        ),
        (
            "passthrough",
            "mode: passthrough",
            "passthrough",
            "ignored-field Gateway ns/gw spec.tls.frontend.default.validation",
        ),
        (
            "by ARN",
            "mode: verify, trustStore: 'arn:x'",
            "verify by arn:x",
            "ignored-field Gateway ns/gw spec.tls.frontend.default.validation",
        ),
        (
            "by name",
            "mode: verify, trustStore: theirs, ignoreClientCertificateExpiry: true, advertiseTrustStoreCaNames: 'on'",
            "verify by arn:theirs, expired ones too, names advertised",
            "ignored-field Gateway ns/gw spec.tls.frontend.default.validation",
        ),
        (
            "by a name that there is not",
            "mode: verify, trustStore: nobodys",
            "undecided",
            "ignored-field Gateway ns/gw spec.tls.frontend.default.validation; \
             no-such-trust-store LoadBalancerConfiguration ns/c spec.listenerConfigurations[0].mutualAuthentication.trustStore",
        ),
    ];
    for (name, configuration, expected, findings) in rows {
        let configuration =
            format!("{{protocolPort: 'HTTPS:443', mutualAuthentication: {{{configuration}}}}}");
        let found = translate(&frontend, &configuration, &settings());
        let stack = found.stack.as_ref().unwrap();
        assert_eq!(asked(stack, 443), expected, "{name}");
        assert_eq!(
            asked(stack, 8443),
            "verify by (trust store ca/ns/ca)",
            "{name}"
        );
        let mut told: Vec<_> = found.diagnostics.iter().map(line).collect();
        told.sort();
        assert_eq!(told.join("; "), findings, "{name}");
    }
}

#[test]
fn the_clusters_stack_has_one_trust_store_for_all_that_refer_to_the_same() {
    let frontend = format!(
        "{}, perPort: [{{port: 8443, tls: {{validation: {{caCertificateRefs: [\
         {{group: '', kind: ConfigMap, name: ca}}, {{group: '', kind: ConfigMap, name: granted, namespace: pki}}]}}}}}}]",
        refs("{group: '', kind: ConfigMap, name: ca}")
    );
    let snapshot = snapshot(&manifests(&frontend, ""));
    let settings = settings();
    let found = support::translate(&snapshot, "ns/gw", &settings);
    let stack = found.stack.as_ref().unwrap();
    let shared_use = elbow_translate::SharedUse::of([stack, stack]);
    let shared = translate_cluster(&shared_use, &snapshot, None, &settings).stack;
    let ids: Vec<_> = shared
        .trust_stores
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ids, ["ca/ns/ca", "ca/ns/ca+pki/granted"]);
    for store in shared.trust_stores.values() {
        // The two ConfigMaps hold the same authority.
        assert_eq!(store.certificates, 1);
        assert_eq!(
            store.tags["elbv2.k8s.aws/trust-store-content"],
            store.digest
        );
        assert_eq!(store.tags["elbv2.k8s.aws/cluster"], "my-cluster");
    }
    assert_eq!(
        stack.listeners[&Port::new(80).unwrap()].mutual_authentication,
        MutualAuthentication::Off
    );
}

#[test]
fn what_is_about_no_listener_is_said() {
    let frontend = "default: {}, perPort: [{port: 80, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}]";
    let found = translate(frontend, "", &settings());
    assert_eq!(
        found.diagnostics.iter().map(line).collect::<Vec<_>>(),
        ["ignored-field Gateway ns/gw spec.tls.frontend.perPort[0].tls.validation"]
    );
    assert_eq!(conditions(&found, "http"), "");
}
