//! Listeners of one port that answer for their own hostnames alone, and what happens otherwise.

use elbow_model::rule::{Action, Condition, Pattern};
use elbow_translate::{ListenerIsolation, Settings};

use crate::support;

/// Four listeners of one port, from any host to one host, and a route for each.
fn manifests(hostnames: &str, extra: &str) -> String {
    let listeners = [
        ("any", None),
        ("wide", Some("*.example.com")),
        ("narrow", Some("*.foo.example.com")),
        ("exact", Some("abc.foo.example.com")),
    ];
    let declared: Vec<_> = listeners
        .iter()
        .map(|(name, host)| {
            let host = host.map_or(String::new(), |h| format!(", hostname: '{h}'"));
            format!("{{name: {name}, protocol: HTTP, port: 80{host}}}")
        })
        .collect();
    let routes = listeners.iter().map(|(name, _)| {
        format!(
            "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: ns}}
spec:
  parentRefs: [{{name: gw, sectionName: {name}}}]
  {hostnames}
  rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: s, port: 80}}]}}]
---
"
        )
    });
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
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec: {{gatewayClassName: alb, listeners: [{}]}}
---
{}{extra}",
        declared.join(", "),
        routes.collect::<String>()
    )
}

/// Host and path of each rule; a path that is forwarded, or `404`.
fn rules(manifests: &str, listener_isolation: ListenerIsolation) -> Vec<String> {
    let settings = Settings {
        listener_isolation,
        ..support::settings()
    };
    let snapshot = support::snapshot(manifests);
    let found = support::translate(&snapshot, "ns/gw", &settings);
    let stack = found.stack.unwrap();
    let listener = stack.listeners.values().next().unwrap();
    listener
        .rules
        .iter()
        .map(|rule| {
            let mut line = String::new();
            for condition in &rule.conditions {
                if let Condition::HostHeader {
                    matches: Pattern::Values(v),
                }
                | Condition::PathPattern {
                    matches: Pattern::Values(v),
                } = condition
                {
                    line.push_str(&v[0]);
                }
            }
            if let Action::FixedResponse(response) = &rule.action {
                line.push_str(&format!(" {}", response.status_code));
            }
            line
        })
        .collect()
}

const ISOLATED: [&str; 7] = [
    "abc.foo.example.com/exact",
    "abc.foo.example.com 404",
    "*.foo.example.com/narrow",
    "*.foo.example.com 404",
    "*.example.com/wide",
    "*.example.com 404",
    "/any",
];

#[test]
fn each_listener_answers_for_its_own_hosts() {
    let found = rules(&manifests("", ""), ListenerIsolation::ByRules);
    assert_eq!(found, ISOLATED);
}

#[test]
fn hostnames_of_routes_are_cut_to_those_of_their_listener() {
    let hostnames =
        "hostnames: [bar.com, '*.example.com', '*.foo.example.com', abc.foo.example.com]";
    let found = rules(&manifests(hostnames, ""), ListenerIsolation::ByRules);
    // A route of the listener for any host answers for `bar.com` alone, so nothing needs refusing.
    let expected = [
        "bar.com/any",
        "abc.foo.example.com/exact",
        "abc.foo.example.com 404",
        "*.foo.example.com/narrow",
        "*.foo.example.com 404",
        "*.example.com/wide",
    ];
    let mut found_sorted = found.clone();
    found_sorted.sort();
    let mut expected = expected.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(found_sorted, expected, "{found:?}");
}

#[test]
fn a_host_that_is_taken_whole_needs_no_refusal() {
    let all = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all, namespace: ns}
spec:
  parentRefs: [{name: gw, sectionName: wide}]
  rules: [{backendRefs: [{name: s, port: 80}]}]
";
    let found = rules(&manifests("", all), ListenerIsolation::ByRules);
    assert!(
        !found.contains(&"*.example.com 404".to_owned()),
        "{found:?}"
    );
    assert!(found.contains(&"*.foo.example.com 404".to_owned()));
}

#[test]
fn without_isolation_the_rules_are_those_of_lbc() {
    let found = rules(&manifests("", ""), ListenerIsolation::None);
    let forwarding: Vec<_> = ISOLATED
        .into_iter()
        .filter(|r| !r.ends_with("404"))
        .collect();
    assert_eq!(found, forwarding);
}
