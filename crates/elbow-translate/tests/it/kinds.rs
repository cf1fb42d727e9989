//! Kinds of routes beside HTTPRoute and TCPRoute: what listeners and target groups they come to.

use elbow_model::rule::Action;
use elbow_model::stack::{Protocol, ProtocolVersion, Stack};
use elbow_translate::{RouteConditionType, RouteFailure, RouteFailures, Translation, status};
use serde_json::json;

use crate::support;

const BASE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: alb}
spec: {controllerName: gateway.k8s.aws/alb}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: nlb}
spec: {controllerName: gateway.k8s.aws/nlb}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: ns}
spec: {ports: [{port: 80, targetPort: 8080}]}
---
";

fn gateway(class: &str, listeners: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec: {{gatewayClassName: {class}, listeners: [{listeners}]}}
---
"
    )
}

fn route(kind: &str, name: &str, created: &str, spec: &str) -> String {
    let version = match kind {
        "GRPCRoute" => "v1",
        "TLSRoute" => "v1alpha3",
        _ => "v1alpha2",
    };
    format!(
        "
apiVersion: gateway.networking.k8s.io/{version}
kind: {kind}
metadata: {{name: {name}, namespace: ns, creationTimestamp: '{created}'}}
spec: {{parentRefs: [{{name: gw}}], {spec}}}
---
"
    )
}

const RULES: &str = "rules: [{backendRefs: [{name: s, port: 80}]}]";
const DAY: &str = "2026-01-01T00:00:00Z";

#[track_caller]
fn translate(manifests: &[String]) -> Translation {
    let snapshot = support::snapshot(&format!("{BASE}{}", manifests.concat()));
    support::translate(&snapshot, "ns/gw", &support::settings())
}

/// Port, protocol and the protocols of the target groups that it forwards to.
fn forwards(stack: &Stack) -> Vec<(u16, Protocol, Vec<Protocol>)> {
    let protocols: Vec<_> = stack.target_groups.values().map(|g| g.protocol).collect();
    stack
        .listeners
        .iter()
        .map(|(port, l)| {
            assert!(matches!(l.default_action, Action::Forward(_)));
            (port.get(), l.protocol, protocols.clone())
        })
        .collect()
}

#[test]
fn routes_of_connections() {
    use Protocol::{Tcp, TcpUdp, Tls, Udp};
    let tls = format!("hostnames: [a.example.com], {RULES}");
    let pass = "{name: l, protocol: TLS, port: 443, tls: {mode: Passthrough}}";
    let end =
        "{name: l, protocol: TLS, port: 443, hostname: a.example.com, tls: {mode: Terminate}}";
    let udp = "{name: u, protocol: UDP, port: 53}";
    let tcp = "{name: t, protocol: TCP, port: 53}";
    let rows = [
        ("udp", udp.to_owned(), "UDPRoute", RULES, (53, Udp, Udp)),
        (
            "one listener for both",
            format!("{udp}, {tcp}"),
            "UDPRoute",
            RULES,
            (53, TcpUdp, TcpUdp),
        ),
        (
            "passthrough",
            pass.to_owned(),
            "TLSRoute",
            tls.as_str(),
            (443, Tcp, Tcp),
        ),
        (
            "end of TLS",
            end.to_owned(),
            "TLSRoute",
            tls.as_str(),
            (443, Tls, Tls),
        ),
        (
            "end of TLS before TCP",
            end.to_owned(),
            "TCPRoute",
            RULES,
            (443, Tls, Tcp),
        ),
    ];
    for (name, listeners, kind, spec, (port, listener, group)) in rows {
        let found = translate(&[gateway("nlb", &listeners), route(kind, "r", DAY, spec)]);
        let stack = found.stack.as_ref().unwrap();
        assert_eq!(forwards(stack), [(port, listener, vec![group])], "{name}");
        let failures = &found.routes[0].parents[0].failures;
        assert_eq!(failures, &RouteFailures::default(), "{name}");
    }
}

#[test]
fn hostnames_of_tls_routes_are_not_told_apart() {
    let listener = "{name: l, protocol: TLS, port: 443, tls: {mode: Passthrough}}";
    let spec = |host: &str| format!("hostnames: [{host}], {RULES}");
    let found = translate(&[
        gateway("nlb", listener),
        route("TLSRoute", "older", DAY, &spec("a.example.com")),
        route(
            "TLSRoute",
            "younger",
            "2026-01-02T00:00:00Z",
            &spec("b.example.com"),
        ),
    ]);
    let reasons: Vec<_> = found
        .routes
        .iter()
        .map(|r| r.parents[0].failures.of(RouteConditionType::Accepted))
        .map(|failure| failure.map(RouteFailure::reason))
        .collect();
    assert_eq!(reasons, [None, Some("UnsupportedValue")]);
    assert!(found.diagnostics.iter().any(|d| d.code == "shadowed-route"));
}

#[test]
fn rpcs_are_paths() {
    let https = "{name: l, protocol: HTTPS, port: 443, hostname: a.example.com}";
    let spec = "rules: [
        {matches: [{method: {service: pkg.Greeter, method: Hello}}], backendRefs: [{name: s, port: 80}]},
        {matches: [{method: {service: pkg.Greeter}, headers: [{name: version, value: one}]}], backendRefs: [{name: s, port: 80}]},
        {matches: [{method: {method: Hello}}], backendRefs: [{name: s, port: 80}]},
        {backendRefs: [{name: s, port: 80}]}]";
    let found = translate(&[gateway("alb", https), route("GRPCRoute", "r", DAY, spec)]);
    let stack = found.stack.unwrap();
    let rules = &stack.listeners.values().next().unwrap().rules;
    let paths: Vec<_> = rules
        .iter()
        .map(|r| json!(r.conditions)[1]["matches"]["values"][0].clone())
        .collect();
    assert_eq!(
        paths,
        ["/pkg.Greeter/Hello", "/pkg.Greeter/*", "/*/Hello", "/*",]
    );
    let group = stack.target_groups.values().next().unwrap();
    assert_eq!(group.protocol_version, Some(ProtocolVersion::Grpc));
}

/// LBC, `pkg/gateway/routeutils/route_rule_action.go`: only HTTPRoutes are looked at for redirects.
#[test]
fn a_configured_redirect_does_nothing_on_a_grpcroute() {
    let https = "{name: l, protocol: HTTPS, port: 443, hostname: a.example.com}";
    let spec = "rules: [{filters: [{type: ExtensionRef, extensionRef: {group: gateway.k8s.aws, kind: ListenerRuleConfiguration, name: c}}], backendRefs: [{name: s, port: 80}]}]";
    let configuration = "
apiVersion: gateway.k8s.aws/v1
kind: ListenerRuleConfiguration
metadata: {name: c, namespace: ns}
spec: {actions: [{type: redirect, redirectConfig: {query: a=b}}]}
---
";
    let found = translate(&[
        gateway("alb", https),
        route("GRPCRoute", "r", DAY, spec),
        configuration.to_owned(),
    ]);
    let stack = found.stack.unwrap();
    let rules = &stack.listeners.values().next().unwrap().rules;
    assert!(matches!(rules[0].action, Action::Forward(_)), "{rules:?}");
}

/// While its load balancer takes minutes, or the one of another class still serves, nobody has to wait to learn that
/// a listener is wrong.
#[test]
fn a_wrong_listener_is_told_before_there_is_a_load_balancer() {
    let listeners = "{name: web, protocol: HTTP, port: 80}, {name: db, protocol: TCP, port: 5432}";
    let found = translate(&[gateway("nlb", listeners)]);
    let status = status::gateway(found.gateway.as_ref().unwrap(), &[], None, None);
    let told: Vec<_> = status.listeners.iter().flatten().collect();
    let condition = |name: &str, wanted: &str| {
        let listener = told.iter().find(|l| l.name == name).unwrap();
        let mut conditions = listener.conditions.iter();
        let found = conditions.find(|c| c.condition_type == wanted).unwrap();
        (found.status, found.reason.as_str(), found.unless_true)
    };
    assert_eq!(
        condition("web", "Accepted"),
        ("False", "UnsupportedProtocol", false)
    );
    assert_eq!(
        condition("web", "Programmed"),
        ("False", "UnsupportedProtocol", false)
    );
    assert_eq!(condition("db", "Accepted"), ("True", "Accepted", false));
    assert_eq!(condition("db", "Programmed"), ("False", "Pending", true));
}
