//! Which routes listeners take, and what becomes of those that only invalid listeners take.
//!
//! Reasons are files of LBC below `pkg/gateway/routeutils`.

use elbow_translate::Translation;

use crate::support;

const CLASS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: alb}
spec: {controllerName: gateway.k8s.aws/alb}
---
apiVersion: v1
kind: Namespace
metadata: {name: ns}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: ns}
spec: {ports: [{port: 80, targetPort: 8080}]}
---
";

/// A Gateway with listeners, and a route `r` with parentRefs to it.
#[track_caller]
fn translate(listeners: &str, parents: &str) -> Translation {
    let manifests = format!(
        "{CLASS}
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec: {{gatewayClassName: alb, listeners: [{listeners}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: ns}}
spec: {{parentRefs: [{parents}], rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}
"
    );
    let snapshot = support::snapshot(&manifests);
    support::translate(&snapshot, "ns/gw", &support::settings())
}

/// The ports with a listener in AWS, the routes attached to each listener by name, and the parents
/// that the route's status speaks of.
fn outcome(found: &Translation) -> (Vec<u16>, Vec<i32>, usize) {
    let stack = found.stack.as_ref().unwrap();
    let listeners = &found.gateway.as_ref().unwrap().listeners;
    (
        stack.listeners.keys().map(|port| port.get()).collect(),
        listeners.iter().map(|l| l.attached_routes).collect(),
        found.routes.iter().map(|r| r.parents.len()).sum(),
    )
}

#[test]
fn a_port_is_served_by_its_valid_listeners_only() {
    let good = "{name: a, protocol: HTTP, port: 80, hostname: a.example.com}";
    let bad = "{name: b, protocol: HTTPS, port: 80, hostname: b.example.com}";
    let both = format!("{good}, {bad}");
    let rows = [
        // route_listener_mapper.go: the attachment counts; loader.go: the status is not written.
        ("{name: gw, sectionName: b}", (vec![], vec![0, 1], 0)),
        (
            "{name: gw, sectionName: b}, {name: gw, sectionName: a}",
            (vec![80], vec![1, 1], 2),
        ),
        ("{name: gw}", (vec![80], vec![1, 1], 1)),
        ("{name: gw, sectionName: c}", (vec![], vec![0, 0], 1)),
    ];
    for (parents, expected) in rows {
        assert_eq!(outcome(&translate(&both, parents)), expected, "{parents}");
    }
    let unserved = translate(&both, "{name: gw, sectionName: b}");
    let mut lines = unserved.diagnostics.iter().map(support::line);
    assert!(lines.any(|l| l == "listener-not-valid HTTPRoute ns/r spec.parentRefs"));
}

#[test]
fn a_selector_that_is_absent_selects_nothing() {
    // attachment_helper.go.
    let rows = [
        ("", 0),
        (", selector: {}", 1),
        (", selector: {matchLabels: {team: a}}", 0),
    ];
    for (selector, attached) in rows {
        let allowed = format!("allowedRoutes: {{namespaces: {{from: Selector{selector}}}}}");
        let listener = format!("{{name: a, protocol: HTTP, port: 80, {allowed}}}");
        let found = translate(&listener, "{name: gw}");
        assert_eq!(outcome(&found).1, [attached], "{selector}");
    }
}

/// listener_attachment_helper.go: the hostname of a listener is judged against those of a route.
#[test]
fn a_route_without_hostnames_takes_that_of_the_listener_whatever_it_is() {
    let found = translate(
        "{name: a, protocol: HTTP, port: 80, hostname: 192.0.2.1}",
        "{name: gw}",
    );
    assert_eq!(outcome(&found), (vec![80], vec![1], 1));
}
