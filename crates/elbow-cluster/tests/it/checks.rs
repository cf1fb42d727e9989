//! What an API server would refuse, each with its place and, where one is near, the right word.

use super::{lines, load_text, objects};

/// Indents a spec and puts it into an object of a kind.
fn object(api_version: &str, kind: &str, body: &str) -> String {
    format!("apiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: a\n{body}")
}

fn gateway(body: &str) -> String {
    object("gateway.networking.k8s.io/v1", "Gateway", body)
}

fn route(body: &str) -> String {
    object("gateway.networking.k8s.io/v1", "HTTPRoute", body)
}

fn load_balancer(body: &str) -> String {
    object("gateway.k8s.aws/v1", "LoadBalancerConfiguration", body)
}

#[test]
fn refused_objects_say_why_and_where() {
    let rows: &[(&str, String, &[&str])] = &[
        (
            "unknown field",
            route("spec:\n  hostname: [a.example]\n"),
            &["error unknown-field 6:3 there is no field `spec.hostname` (did you mean `hostnames`?)"],
        ),
        (
            "unknown field in an item",
            route("spec:\n  rules:\n  - backendRefs:\n    - nam: x\n      port: 80\n"),
            &[
                "error unknown-field 8:7 there is no field `spec.rules[0].backendRefs[0].nam` (did you mean `name`?)",
                "error missing-field 8:7 `spec.rules[0].backendRefs[0].name` is missing",
            ],
        ),
        (
            "unknown field at the top",
            route("spce: {}\n"),
            &["error missing-field 1:1 `spec` is missing",
              "error unknown-field 5:1 there is no field `spce` (did you mean `spec`?)"],
        ),
        (
            "missing fields",
            gateway("spec: {}\n"),
            &[
                "error missing-field 5:1 `spec.gatewayClassName` is missing",
                "error missing-field 5:1 `spec.listeners` is missing",
            ],
        ),
        (
            "null is absent",
            gateway("spec:\n  gatewayClassName: null\n  listeners:\n  - {name: a, port: 80, protocol: HTTP}\n"),
            &["error missing-field 5:1 `spec.gatewayClassName` is missing"],
        ),
        (
            "wrong types",
            gateway("spec:\n  gatewayClassName: 12\n  listeners:\n    name: a\n"),
            &[
                "error wrong-type 6:21 `spec.gatewayClassName` must be a string, not a number (put it in quotes)",
                "error wrong-type 7:3 `spec.listeners` must be a list, not a map (begin each item with `- `)",
            ],
        ),
        (
            "bounds",
            gateway("spec:\n  gatewayClassName: c\n  listeners:\n  - {name: a, port: 0, protocol: HTTP}\n  - {name: b, port: 65536, protocol: HTTP}\n  - {name: c, port: 99999999999, protocol: HTTP}\n  - {name: d, port: 1e30, protocol: HTTP}\n"),
            &[
                "error out-of-range 8:21 `spec.listeners[0].port` must be at least 1, not 0",
                "error out-of-range 9:21 `spec.listeners[1].port` must be at most 65535, not 65536",
                "error out-of-range 10:21 `spec.listeners[2].port` must be at most 65535, not 99999999999",
                "error wrong-type 11:21 `spec.listeners[3].port` must be an integer of 64 bits, not 1e+30",
            ],
        ),
        (
            "enum",
            load_balancer("spec:\n  scheme: internet_facing\n"),
            &["error unknown-value 6:11 `spec.scheme` must be `internal` or `internet-facing`, not `internet_facing` (did you mean `internet-facing`?)"],
        ),
        (
            "a word that is a boolean",
            load_balancer("spec:\n  listenerConfigurations:\n  - protocolPort: HTTPS:443\n    mutualAuthentication:\n      mode: off\n"),
            &["error wrong-type 9:13 `spec.listenerConfigurations[0].mutualAuthentication.mode` must be a string, not a boolean (put it in quotes: without them, words such as `on`, `off`, `y` and `no` are booleans)"],
        ),
        (
            "pattern",
            load_balancer("spec:\n  listenerConfigurations:\n  - protocolPort: HTTPS:70000\n"),
            &[r"error wrong-form 7:19 `spec.listenerConfigurations[0].protocolPort` cannot be `HTTPS:70000` (it must match the regular expression ^(HTTP|HTTPS|TLS|TCP|UDP|TCP_UDP)?:(6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})?$)"],
        ),
        (
            "length",
            load_balancer("spec:\n  loadBalancerName: a-name-that-is-longer-than-32-characters\n"),
            &["error out-of-range 6:21 `spec.loadBalancerName` must have at most 32 characters, not 40"],
        ),
        (
            "a rule of ours",
            load_balancer("spec:\n  listenerConfigurations:\n  - protocolPort: HTTPS:443\n    mutualAuthentication:\n      mode: verify\n"),
            &["error broken-rule 8:5 `spec.listenerConfigurations[0].mutualAuthentication`: trustStore is required when mode is verify"],
        ),
        (
            "rules of a listener rule",
            object(
                "gateway.k8s.aws/v1",
                "ListenerRuleConfiguration",
                "spec:\n  actions:\n  - {type: forward}\n  - {type: fixed-response, fixedResponseConfig: {statusCode: 302}}\n",
            ),
            &[
                "error broken-rule 5:1 `spec`: at most one action may be forward, fixed-response or redirect",
                "error broken-rule 7:6 `spec.actions[0]`: forwardConfig must be given exactly when type is forward",
                "error broken-rule 8:62 `spec.actions[1].fixedResponseConfig.statusCode`: statusCode must lie between 200 and 299 or between 400 and 599",
            ],
        ),
        (
            "a field that an old version lacks",
            object(
                "elbv2.k8s.aws/v1alpha1",
                "TargetGroupBinding",
                "spec: {serviceRef: {name: a, port: http}, vpcID: vpc-1}\n",
            ),
            &["error unknown-field 5:43 there is no field `spec.vpcID`"],
        ),
        (
            "a rule of the Gateway API",
            route("spec:\n  rules:\n  - matches:\n    - path: {type: PathPrefix, value: api}\n"),
            &["error broken-rule 8:7 `spec.rules[0].matches[0].path`: value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']"],
        ),
        (
            "a rule about a default",
            route("spec:\n  rules:\n  - backendRefs:\n    - name: svc\n"),
            &["error broken-rule 8:7 `spec.rules[0].backendRefs[0]`: Must have port for Service reference"],
        ),
        (
            "two listeners of one name",
            gateway("spec:\n  gatewayClassName: c\n  listeners:\n  - {name: a, port: 80, protocol: HTTP}\n  - {name: a, port: 81, protocol: HTTP}\n"),
            &[
                "error duplicate-item 9:6 `spec.listeners[1]` repeats \"a\" of an earlier item",
            ],
        ),
        (
            "a Service's port",
            object("v1", "Service", "spec:\n  ports:\n  - {port: 80, targetPort: [1], protocol: HTTP}\n"),
            &[
                "error wrong-type 7:16 `spec.ports[0].targetPort` must be an integer or a string, not a list",
                "error unknown-value 7:43 `spec.ports[0].protocol` must be one of `TCP`, `UDP` and `SCTP`, not `HTTP`",
            ],
        ),
        (
            "no name",
            "apiVersion: v1\nkind: Service\nmetadata: {namespace: a}\n".to_owned(),
            &["error missing-field 3:12 `metadata.name` is missing"],
        ),
        (
            "no metadata",
            "apiVersion: v1\nkind: Service\n".to_owned(),
            &["error missing-field 1:1 `metadata` is missing"],
        ),
        (
            "names and labels",
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: A_b\n  namespace: x.y\n  labels: {a b: c, ok: 'no no', num: 1}\n".to_owned(),
            &[
                "error wrong-form 4:9 `metadata.name` cannot be `A_b` (use at most 63 lower-case letters, digits and hyphens, with a letter or digit at both ends)",
                "error wrong-form 5:14 `metadata.namespace` cannot be `x.y` (use at most 63 lower-case letters, digits and hyphens, with a letter or digit at both ends)",
                "error wrong-form 6:12 the key of the label `a b` is not one that Kubernetes takes (use at most 63 letters, digits, hyphens, underscores and dots, with a letter or digit at both ends)",
                "error wrong-form 6:24 the value of the label `ok` is not one that Kubernetes takes (use at most 63 letters, digits, hyphens, underscores and dots, with a letter or digit at both ends)",
                "error wrong-type 6:38 `metadata.labels.num` must be a string, not a number (put it in quotes)",
            ],
        ),
        (
            "a time that is none",
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  creationTimestamp: yesterday\n".to_owned(),
            &["error wrong-form 5:22 `metadata.creationTimestamp` must be a time such as 2026-01-31T10:20:30Z"],
        ),
        (
            "no base64",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {one: '*'}\n".to_owned(),
            &["error wrong-form 4:13 `data.one` must be written in base64"],
        ),
        (
            "no such version",
            object("gateway.networking.k8s.io/v1alpha2", "HTTPRoute", "spec: {}\n"),
            &["error unknown-version 1:13 there is no version `v1alpha2` of HTTPRoute (use v1 or v1beta1)"],
        ),
    ];
    let mut wrong = Vec::new();
    for (name, text, expected) in rows {
        let loaded = load_text(text);
        let found = lines(&loaded);
        let same = found.len() == expected.len()
            && found
                .iter()
                .zip(*expected)
                .all(|(found, expected)| found.starts_with(expected));
        if !same || !objects(&loaded).is_empty() {
            wrong.push((name, found, expected));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn siblings_of_a_refused_object_are_loaded() {
    let text = [
        object("v1", "Service", "spec: {prots: []}\n"),
        route("spec: {}\n"),
    ]
    .join("---\n");
    let loaded = load_text(&text);
    assert_eq!(objects(&loaded), ["HTTPRoute default/a"]);
    assert_eq!(
        lines(&loaded),
        ["error unknown-field 5:8 there is no field `spec.prots` (did you mean `ports`?)"]
    );
}

#[test]
fn what_is_passed_over_is_counted_and_near_misses_are_mentioned() {
    let text = [
        object("apps/v1", "Deployment", "spec: {}\n"),
        object("apps/v1", "Deployment", "spec: {}\n"),
        object("gateway.networking.k8s.io/v1", "HttpRoute", "spec: {}\n"),
        object(
            "gateway.networking.k8s.io/v1",
            "BackendTLSPolicy",
            "spec: {}\n",
        ),
        object(
            "kustomize.config.k8s.io/v1beta1",
            "Kustomization",
            "resources: [a.yaml]\n",
        ),
        "metadata: {name: a}\nspec: {}\n".to_owned(),
        "apiVersion: v1\nmetadata: {name: a}\n".to_owned(),
        "replicas: 2\nimage: {tag: v1}\n".to_owned(),
        "apiVersion: v2\nname: a-chart\nversion: 0.1.0\n".to_owned(),
    ]
    .join("---\n");
    let loaded = load_text(&text);
    assert_eq!(loaded.passed_over["Deployment"], 2);
    assert_eq!(objects(&loaded), [""; 0]);
    assert_eq!(
        lines(&loaded),
        [
            "warning unknown-kind 14:7 there is no kind `HttpRoute` in group `gateway.networking.k8s.io` (did you mean `HTTPRoute`?)",
            "note not-an-object 31:1 this looks like an object but has no `apiVersion` and `kind`",
            "note not-an-object 34:1 this looks like an object but has no `kind`",
            "warning no-objects nothing here is of a kind that elbow uses: BackendTLSPolicy, Deployment, HttpRoute, Kustomization",
        ]
    );
}

#[test]
fn a_wrong_status_is_dropped_and_refuses_nothing() {
    let loaded = load_text(
        "apiVersion: v1\nkind: Node\nmetadata: {name: node}\nspec: {podCIDR: 10.0.0.0/24}\nstatus:\n  addresses: none\n",
    );
    assert_eq!(
        lines(&loaded),
        [
            "warning status-ignored 6:14 the status is ignored: `status.addresses` must be a list, not a string"
        ]
    );
    let objects = loaded.snapshot.objects();
    let elbow_api::Object::Node(node) = &objects[0] else {
        panic!("{objects:?}")
    };
    assert!(node.status.is_none() && node.spec.is_some());
}

#[test]
fn old_versions_are_mentioned_once() {
    let text = [
        object(
            "gateway.k8s.aws/v1beta1",
            "TargetGroupConfiguration",
            "spec: {}\n",
        ),
        object(
            "gateway.k8s.aws/v1beta1",
            "TargetGroupConfiguration",
            "spec: {}\n",
        )
        .replace("name: a", "name: b"),
    ]
    .join("---\n");
    let loaded = load_text(&text);
    assert_eq!(objects(&loaded).len(), 2);
    assert_eq!(
        lines(&loaded),
        [
            "note deprecated-version 1:13 gateway.k8s.aws/v1beta1 TargetGroupConfiguration is deprecated; use gateway.k8s.aws/v1 instead"
        ]
    );
}
