//! ListenerSets: who is let in, who wins, which routes they take and what their statuses say.

use elbow_model::LoadBalancerArn;
use elbow_model::observed::LoadBalancerState;
use elbow_translate::{RouteConditionType, RouteFailure, Translation, status};

use crate::support;

const BASE: &str = "
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
kind: Namespace
metadata: {name: blue, labels: {team: blue}}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: ns}
spec: {ports: [{port: 80, targetPort: 8080}]}
---
";

fn gateway(allowed: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec:
  gatewayClassName: alb
  listeners: [{{name: own, protocol: HTTP, port: 80, hostname: own.example.com}}]
{allowed}
---
"
    )
}

fn set(namespace: &str, name: &str, created: &str, listeners: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: '{created}'}}
spec:
  parentRef: {{name: gw, namespace: ns}}
  listeners: [{listeners}]
---
"
    )
}

fn route(name: &str, parents: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: ns}}
spec: {{parentRefs: [{parents}], rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}
---
"
    )
}

#[track_caller]
fn translate(manifests: &[String]) -> Translation {
    let snapshot = support::snapshot(&format!("{BASE}{}", manifests.concat()));
    support::translate(&snapshot, "ns/gw", &support::settings())
}

/// Name, conditions and listeners of each set, as its status has them.
fn statuses(found: &Translation) -> Vec<String> {
    let report = status::LoadBalancerReport {
        arn: LoadBalancerArn::new("arn"),
        dns_name: "name".to_owned(),
        state: LoadBalancerState::Active,
    };
    let line = |conditions: &[status::Condition]| {
        let of = |c: &status::Condition| format!("{}={}/{}", c.condition_type, c.status, c.reason);
        conditions.iter().map(of).collect::<Vec<_>>().join(" ")
    };
    let mut lines = Vec::new();
    for draft in &found.listener_sets {
        let status = status::listener_set(draft, Some(&report));
        lines.push(format!("{} {}", draft.set, line(&status.conditions)));
        for listener in status.listeners {
            let accepted: Vec<_> = listener
                .conditions
                .iter()
                .filter(|c| c.condition_type == "Accepted")
                .cloned()
                .collect();
            lines.push(format!(
                "  {} {} {}",
                listener.name,
                listener.attached_routes,
                line(&accepted)
            ));
        }
    }
    lines
}

const LATER: &str = "2026-01-02T00:00:00Z";
const EARLIER: &str = "2026-01-01T00:00:00Z";
const BOTH: &str = "Accepted=True/Accepted Programmed=True/Programmed";
const REJECTED: &str = "Accepted=False/NotAllowed Programmed=False/NotAllowed";

#[test]
fn a_gateway_says_who_is_let_in() {
    let http = "{name: l, protocol: HTTP, port: 80, hostname: l.example.com}";
    let selector = "{from: Selector, selector: {matchLabels: {team: blue}}}";
    let rows = [
        (String::new(), [REJECTED, REJECTED], 0),
        ("{from: None}".to_owned(), [REJECTED, REJECTED], 0),
        ("{from: Same}".to_owned(), [REJECTED, BOTH], 1),
        ("{from: All}".to_owned(), [BOTH, BOTH], 1),
        (selector.to_owned(), [BOTH, REJECTED], 1),
    ];
    for (namespaces, expected, attached) in rows {
        let allowed = if namespaces.is_empty() {
            String::new()
        } else {
            format!("  allowedListeners: {{namespaces: {namespaces}}}")
        };
        let other = "{name: l, protocol: HTTP, port: 80, hostname: m.example.com}";
        let found = translate(&[
            gateway(&allowed),
            set("blue", "a", LATER, http),
            set("ns", "b", LATER, other),
        ]);
        let sets: Vec<_> = statuses(&found)
            .into_iter()
            .filter(|l| !l.starts_with("  "))
            .collect();
        let [a, b] = expected;
        assert_eq!(
            sets,
            [format!("blue/a {a}"), format!("ns/b {b}")],
            "{namespaces}"
        );
        let both = i32::from(expected == [BOTH, BOTH]);
        let count = found.gateway.unwrap().attached_listener_sets;
        assert_eq!(count, attached + both, "{namespaces}");
    }
}

#[test]
fn the_gateway_wins_then_the_older_set_then_the_name() {
    let found = translate(&[
        gateway("  allowedListeners: {namespaces: {from: All}}"),
        set(
            "ns",
            "a-younger",
            LATER,
            "{name: x, protocol: HTTP, port: 80, hostname: x.example.com}",
        ),
        set(
            "ns",
            "b-older",
            EARLIER,
            "{name: own, protocol: HTTP, port: 80, hostname: own.example.com},
             {name: x, protocol: HTTP, port: 80, hostname: x.example.com},
             {name: t, protocol: TCP, port: 80}",
        ),
    ]);
    assert_eq!(
        statuses(&found),
        [
            "ns/b-older Accepted=True/ListenersNotValid Programmed=True/Programmed",
            "  own 0 Accepted=False/HostnameConflict",
            "  t 0 Accepted=False/ProtocolConflict",
            "  x 0 Accepted=True/Accepted",
            "ns/a-younger Accepted=False/ListenersNotValid Programmed=False/ListenersNotValid",
            "  x 0 Accepted=False/HostnameConflict",
        ]
    );
    let gateway = status::gateway(&found.gateway.unwrap(), &found.listener_sets, None, None);
    assert_eq!(gateway.conditions[0].status, "True");
    assert_eq!(gateway.conditions[0].reason, "ListenersNotValid");
}

#[test]
fn a_route_attaches_to_the_parent_that_it_names() {
    let to_gateway = "{name: gw}";
    let to_set = "{kind: ListenerSet, name: set}";
    let found = translate(&[
        gateway("  allowedListeners: {namespaces: {from: Same}}"),
        set(
            "ns",
            "set",
            EARLIER,
            "{name: l, protocol: HTTP, port: 80, hostname: l.example.com}",
        ),
        route("both", &format!("{to_gateway}, {to_set}")),
        route("gateway", to_gateway),
        route("set", to_set),
        route("section", "{name: gw, sectionName: l}"),
        route("stranger", "{kind: ListenerSet, name: stranger}"),
    ]);
    let parents: Vec<_> = found
        .routes
        .iter()
        .flat_map(|r| {
            let name = &r.route.name;
            r.parents.iter().map(move |p| {
                let failure = p.failures.of(RouteConditionType::Accepted);
                let failure = failure.map(RouteFailure::reason);
                (name.as_str(), p.parent.kind.as_str(), failure)
            })
        })
        .collect();
    assert_eq!(
        parents,
        [
            ("both", "Gateway", None),
            ("both", "ListenerSet", None),
            ("gateway", "Gateway", None),
            ("section", "Gateway", Some("NoMatchingParent")),
            ("set", "ListenerSet", None),
        ]
    );
    assert_eq!(found.gateway.unwrap().listeners[0].attached_routes, 2);
    assert_eq!(found.listener_sets[0].listeners[0].attached_routes, 2);
    let stack = found.stack.unwrap();
    let rules = &stack.listeners.values().next().unwrap().rules;
    let hosts: Vec<_> = rules
        .iter()
        .map(|r| {
            let host = serde_json::to_value(&r.conditions[0]).unwrap();
            (r.causes[0].name.clone(), host.to_string())
        })
        .filter(|(_, host)| host.contains("l.example.com"))
        .map(|(route, _)| route)
        .collect();
    assert_eq!(hosts, ["both", "set"]);
}

#[test]
fn a_route_of_a_set_that_is_not_let_in_says_so() {
    let found = translate(&[
        gateway(""),
        set(
            "ns",
            "set",
            EARLIER,
            "{name: l, protocol: HTTP, port: 80, hostname: l.example.com}",
        ),
        route("r", "{kind: ListenerSet, name: set}"),
    ]);
    let failure = found.routes[0].parents[0]
        .failures
        .of(RouteConditionType::Accepted);
    assert_eq!(failure.map(RouteFailure::reason), Some("NoMatchingParent"));
    assert!(found.stack.unwrap().listeners.is_empty());
}

/// LBC, `controllers/gateway/listener_status_utils.go`: that the Gateway is not programmed is told first.
#[test]
fn a_set_without_a_valid_listener_waits_for_its_gateway_like_others() {
    let found = translate(&[
        gateway("  allowedListeners: {namespaces: {from: Same}}"),
        set("ns", "s", LATER, "{name: x, protocol: TCP, port: 90}"),
    ]);
    let reason = |report: Option<&status::LoadBalancerReport>| {
        let status = status::listener_set(&found.listener_sets[0], report);
        let mut conditions = status.conditions.into_iter();
        let programmed = conditions.find(|c| c.condition_type == "Programmed");
        programmed.map(|c| (c.status, c.reason))
    };
    assert_eq!(reason(None), Some(("False", "Pending".to_owned())));
    let active = status::LoadBalancerReport {
        arn: LoadBalancerArn::new("arn"),
        dns_name: "name".to_owned(),
        state: LoadBalancerState::Active,
    };
    let expected = ("False", "ListenersNotValid".to_owned());
    assert_eq!(reason(Some(&active)), Some(expected));
}
