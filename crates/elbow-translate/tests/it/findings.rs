//! Bad input: a clear finding each, and nothing lost beside it.

use elbow_model::rule::Action;
use elbow_model::{Port, Stack};
use elbow_translate::{Translation, status, translate_class};
use serde_json::json;

use crate::support;

/// A class, a Gateway with an HTTP listener, and a Service.
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
spec:
  ports: [{port: 80, targetPort: 8080}]
---
";

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec:
  gatewayClassName: alb
  listeners: [{name: http, protocol: HTTP, port: 80}]
---
";

/// A route whose last rule is sound, for `/ok`; `rules` come before it.
fn route(rules: &str) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r, namespace: ns}}
spec:
  parentRefs: [{{name: gw}}]
  rules:
{rules}
  - matches: [{{path: {{type: Exact, value: /ok}}}}]
    backendRefs: [{{name: s, port: 80}}]
---
"
    )
}

#[track_caller]
fn translate(manifests: &str) -> Translation {
    let snapshot = support::snapshot(&format!("{BASE}{manifests}"));
    support::translate(&snapshot, "ns/gw", &support::settings())
}

fn lines(translation: &Translation) -> Vec<String> {
    translation.diagnostics.iter().map(support::line).collect()
}

/// The rules of a port on one line each: the first path, and what happens.
fn rules(stack: &Stack, port: u16) -> Vec<String> {
    let rules = stack.listeners[&Port::new(port).unwrap()].rules.iter();
    rules
        .map(|rule| {
            let path = rule.conditions.iter().find(|c| c.field() == "path-pattern");
            let path = json!(path)["matches"]["values"][0].clone();
            let action = match &rule.action {
                Action::Forward(_) => "forward".to_owned(),
                Action::FixedResponse(response) => response.status_code.to_string(),
                other => format!("{other:?}"),
            };
            format!("{} {action}", path.as_str().unwrap_or("*"))
        })
        .collect()
}

/// `Accepted` and `ResolvedRefs` of the first parent of the first route.
fn conditions(translation: &Translation) -> [String; 2] {
    let parents = status::route(&translation.routes[0]);
    ["Accepted", "ResolvedRefs"].map(|wanted| {
        let mut all = parents[0].conditions.iter();
        let found = all.find(|c| c.condition_type == wanted).unwrap();
        format!("{} {}", found.status, found.reason)
    })
}

#[test]
fn a_bad_rule_costs_itself_only() {
    let long = format!("/{}", "a".repeat(140));
    let backends = "{name: s, port: 80}, ".repeat(6);
    // Manifest of the first rule; what becomes of it (none: left out); finding; Accepted; ResolvedRefs.
    let rows = [
        (
            "  - {matches: [{path: {type: Exact, value: /x}}], backendRefs: [{name: ghost, port: 80}]}".to_owned(),
            Some("500"),
            "missing-service HTTPRoute ns/r spec.rules[0].backendRefs[0].name",
            "True Accepted",
            "False BackendNotFound",
        ),
        (
            "  - {matches: [{path: {type: Exact, value: /x}}], backendRefs: [{name: s, port: 81}]}".to_owned(),
            Some("500"),
            "missing-service-port HTTPRoute ns/r spec.rules[0].backendRefs[0].port",
            "True Accepted",
            "False BackendNotFound",
        ),
        (
            "  - {matches: [{path: {type: Exact, value: /x}}], backendRefs: [{name: s, namespace: other, port: 80}]}".to_owned(),
            Some("500"),
            "missing-reference-grant HTTPRoute ns/r spec.rules[0].backendRefs[0].namespace",
            "True Accepted",
            "False RefNotPermitted",
        ),
        (
            "  - {matches: [{path: {type: Exact, value: /x}}], backendRefs: [{name: s, port: 80, weight: 1000}]}".to_owned(),
            Some("500"),
            "weight-too-large HTTPRoute ns/r spec.rules[0].backendRefs[0].weight",
            "False UnsupportedValue",
            "True ResolvedRefs",
        ),
        (
            "  - {matches: [{path: {type: Exact, value: /x}}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}], backendRefs: [{name: s, port: 80}]}".to_owned(),
            Some("500"),
            "unsupported-filter HTTPRoute ns/r spec.rules[0].filters[0].type",
            "False IncompatibleFilters",
            "True ResolvedRefs",
        ),
        (
            "  - {matches: [{path: {type: Exact, value: /x}}], filters: [{type: RequestRedirect, requestRedirect: {statusCode: 307, hostname: a.example.com}}]}".to_owned(),
            Some("500"),
            "unsupported-redirect HTTPRoute ns/r spec.rules[0].filters[0].requestRedirect.statusCode",
            "False UnsupportedValue",
            "True ResolvedRefs",
        ),
        (
            format!("  - {{matches: [{{path: {{type: Exact, value: /x}}}}], backendRefs: [{backends}]}}"),
            Some("500"),
            "too-many-target-groups HTTPRoute ns/r spec.rules[0].backendRefs",
            "False UnsupportedValue",
            "True ResolvedRefs",
        ),
        (
            format!("  - {{matches: [{{path: {{type: Exact, value: {long}}}}}], backendRefs: [{{name: s, port: 80}}]}}"),
            None,
            "value-too-long HTTPRoute ns/r spec.rules[0].matches[0].path.value",
            "False UnsupportedValue",
            "True ResolvedRefs",
        ),
        (
            "  - {matches: [{path: {type: PathPrefix, value: '/x*'}}], backendRefs: [{name: s, port: 80}]}".to_owned(),
            None,
            "wildcard-in-path-prefix HTTPRoute ns/r spec.rules[0].matches[0].path.value",
            "False UnsupportedValue",
            "True ResolvedRefs",
        ),
    ];
    for (first, expected, finding, accepted, resolved) in rows {
        let found = translate(&format!("{GATEWAY}{}", route(&first)));
        let stack = found.stack.as_ref().unwrap();
        let mut wanted = vec!["/ok forward".to_owned()];
        wanted.extend(expected.map(|action| format!("/x {action}")));
        let mut rules = rules(stack, 80);
        rules.sort();
        assert_eq!(rules, wanted, "{finding}");
        assert_eq!(lines(&found), [finding]);
        assert!(
            found.diagnostics.iter().all(|d| d.hint.is_some()),
            "{finding}"
        );
        assert_eq!(conditions(&found), [accepted, resolved], "{finding}");
    }
}

#[test]
fn authentication_is_never_left_out_in_silence() {
    let found = translate(&format!(
        "{GATEWAY}{}
apiVersion: gateway.k8s.aws/v1
kind: ListenerRuleConfiguration
metadata: {{name: auth, namespace: ns}}
spec:
  actions:
  - type: jwt-validation
    jwtValidationConfig: {{issuer: i, jwksEndpoint: 'https://e'}}
",
        route(
            "  - {matches: [{path: {type: Exact, value: /x}}], filters: [{type: ExtensionRef, extensionRef: {group: gateway.k8s.aws, kind: ListenerRuleConfiguration, name: auth}}], backendRefs: [{name: s, port: 80}]}"
        )
    ));
    assert_eq!(
        rules(found.stack.as_ref().unwrap(), 80),
        ["/ok forward", "/x 500"]
    );
    assert_eq!(
        lines(&found),
        ["not-supported-yet HTTPRoute ns/r spec.rules[0].filters[0].extensionRef"]
    );
}

#[test]
fn a_missing_rule_configuration_closes_its_rule() {
    let found = translate(&format!(
        "{GATEWAY}{}",
        route(
            "  - {matches: [{path: {type: Exact, value: /x}}], filters: [{type: ExtensionRef, extensionRef: {group: gateway.k8s.aws, kind: ListenerRuleConfiguration, name: gone}}], backendRefs: [{name: s, port: 80}]}"
        )
    ));
    assert_eq!(
        rules(found.stack.as_ref().unwrap(), 80),
        ["/ok forward", "/x 500"]
    );
    assert_eq!(
        conditions(&found),
        ["False IncompatibleFilters", "True ResolvedRefs"]
    );
}

#[test]
fn a_listener_without_a_certificate_is_left_as_it_is() {
    let found = translate(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec:
  gatewayClassName: alb
  listeners:
  - {{name: http, protocol: HTTP, port: 80}}
  - {{name: tls, protocol: HTTPS, port: 443, hostname: nobody.test}}
---
{}",
        route("")
    ));
    let stack = found.stack.as_ref().unwrap();
    assert_eq!(rules(stack, 80), ["/ok forward"]);
    assert_eq!(stack.undecided_listeners, [Port::new(443).unwrap()].into());
    assert_eq!(
        lines(&found),
        ["no-certificate Gateway ns/gw spec.listeners"]
    );
    let draft = found.gateway.as_ref().unwrap();
    let problem = draft.listeners[1].problem.as_ref().unwrap();
    assert_eq!(problem.kind.reason(), "InvalidCertificateRef");
    assert_eq!(
        problem.message,
        "no certificate found for host: nobody.test"
    );
}

#[test]
fn what_is_not_translated_yet_is_said() {
    let found = translate(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec:
  gatewayClassName: alb
  infrastructure: {{parametersRef: {{group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: c}}}}
  listeners:
  - {{name: http, protocol: HTTP, port: 80}}
---
apiVersion: gateway.k8s.aws/v1
kind: LoadBalancerConfiguration
metadata: {{name: c, namespace: ns}}
spec:
  wafV2: {{webACL: arn}}
  loadBalancerAttributes: [{{key: idle_timeout.timeout_second, value: '60'}}]
---
{}",
        route("")
    ));
    let mut found = lines(&found);
    found.sort();
    assert_eq!(
        found,
        [
            "not-supported-yet LoadBalancerConfiguration ns/c spec.wafV2",
            "unknown-attribute LoadBalancerConfiguration ns/c spec.loadBalancerAttributes[0].key",
        ]
    );
}

#[test]
fn what_cannot_be_decided_is_left_as_it_is() {
    let gateway = |class: &str, rest: &str| {
        format!(
            "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec:
  gatewayClassName: {class}
  listeners: [{{name: http, protocol: HTTP, port: 80}}]
{rest}
---
"
        )
    };
    let parameters = "  infrastructure: {parametersRef: {group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: c}}";
    let configuration = |spec: &str| {
        format!(
            "{}
apiVersion: gateway.k8s.aws/v1
kind: LoadBalancerConfiguration
metadata: {{name: c, namespace: ns}}
spec: {{{spec}}}
",
            gateway("alb", parameters)
        )
    };
    let rows = [
        (
            gateway("gone", ""),
            "missing-gateway-class Gateway ns/gw spec.gatewayClassName",
            None,
        ),
        (
            gateway("alb", parameters),
            "missing-load-balancer-configuration Gateway ns/gw spec.infrastructure.parametersRef.name",
            Some("LoadBalancerConfiguration.gateway.k8s.aws \"c\" not found"),
        ),
        (
            configuration("loadBalancerSubnets: [{identifier: subnet-x}]"),
            "unknown-subnet LoadBalancerConfiguration ns/c spec.loadBalancerSubnets",
            Some("Check Gateway Events for more information."),
        ),
        (
            configuration("securityGroups: [nobody]"),
            "unknown-security-group LoadBalancerConfiguration ns/c spec.securityGroups",
            Some("Check Gateway Events for more information."),
        ),
        (
            configuration("defaultTargetGroupConfiguration: {name: t}"),
            "invalid-default-target-group-configuration LoadBalancerConfiguration ns/c spec.defaultTargetGroupConfiguration.name",
            Some(
                "failed to resolve default TargetGroupConfiguration \"t\" referenced by Gateway LoadBalancerConfiguration \"c\" in namespace \"ns\": TargetGroupConfiguration.gateway.k8s.aws \"t\" not found",
            ),
        ),
    ];
    for (manifests, finding, message) in rows {
        let found = translate(&manifests);
        assert!(found.stack.is_none(), "{finding}");
        assert_eq!(lines(&found), [finding]);
        let accepted = found.gateway.map(|draft| {
            let status = status::gateway(&draft, &[], None, None);
            let is_missing = finding.starts_with("missing-load-balancer-configuration");
            let reason = if is_missing {
                "InvalidParameters"
            } else {
                "Invalid"
            };
            assert_eq!(status.conditions[0].reason, reason);
            status.conditions[0].message.clone()
        });
        assert_eq!(accepted.as_deref(), message, "{finding}");
    }
}

/// LBC, `controllers/gateway/gateway_class_controller.go`: a class is not accepted before its default is
/// there, and its Gateways wait for that.
#[test]
fn a_class_whose_default_for_target_groups_cannot_be_used_is_not_accepted() {
    let of = |target_groups: &str| {
        format!(
            "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: configured}}
spec: {{controllerName: gateway.k8s.aws/alb, parametersRef: {{group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: c, namespace: ns}}}}
---
apiVersion: gateway.k8s.aws/v1
kind: LoadBalancerConfiguration
metadata: {{name: c, namespace: ns}}
spec: {{defaultTargetGroupConfiguration: {{name: t}}}}
---
{target_groups}
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec: {{gatewayClassName: configured, listeners: [{{name: http, protocol: HTTP, port: 80}}]}}
---
"
        )
    };
    let default = |reference: &str| {
        format!(
            "
apiVersion: gateway.k8s.aws/v1
kind: TargetGroupConfiguration
metadata: {{name: t, namespace: ns}}
spec: {{{reference} defaultConfiguration: {{targetType: ip}}}}
---
"
        )
    };
    let told = "failed to resolve default TargetGroupConfiguration for GatewayClass LBC: TargetGroupConfiguration";
    let rows = [
        (String::new(), Some(".gateway.k8s.aws \"t\" not found")),
        (
            default("targetReference: {name: s},"),
            Some(
                " \"t\" in namespace \"ns\" has targetReference set and cannot be used as a defaultTargetGroupConfiguration — a default TGC must not have targetReference",
            ),
        ),
        (default(""), None),
    ];
    for (target_groups, problem) in rows {
        let manifests = of(&target_groups);
        let found = translate(&manifests);
        let gateway = status::gateway(found.gateway.as_ref().unwrap(), &[], None, None);
        let (class, _) = translate_class(&support::snapshot(&manifests), "configured");
        let class = status::class(&class.unwrap());
        let accepted = &class.conditions[0];
        let Some(problem) = problem else {
            assert_eq!(
                (accepted.status, accepted.reason.as_str()),
                ("True", "Accepted")
            );
            assert!(found.stack.is_some());
            continue;
        };
        assert_eq!(accepted.message, format!("{told}{problem}"));
        assert_eq!(
            (accepted.status, accepted.reason.as_str()),
            ("False", "InvalidParameters")
        );
        assert!(found.stack.is_none());
        assert_eq!(
            gateway.conditions[0].message,
            "Unable to materialize gateway when gateway class [configured] is not accepted"
        );
        assert_eq!(
            lines(&found),
            [
                "gateway-class-not-accepted GatewayClass configured spec.parametersRef",
                "invalid-default-target-group-configuration LoadBalancerConfiguration ns/c spec.defaultTargetGroupConfiguration.name",
            ]
        );
    }
}

#[test]
fn nothing_is_wanted_of_a_gateway_that_is_gone_or_somebody_elses() {
    let foreign = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: example.com/other}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec:
  gatewayClassName: other
  listeners: [{name: http, protocol: HTTP, port: 80}]
";
    for manifests in ["", foreign] {
        let found = translate(manifests);
        assert!(found.stack.is_none() && found.gateway.is_none());
        assert_eq!(found.unwanted.len(), 2);
    }
    let leaving = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns, deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: [gateway.k8s.aws/alb]}
spec:
  gatewayClassName: alb
  infrastructure: {parametersRef: {group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: c}}
  listeners: [{name: http, protocol: HTTP, port: 80}]
---
";
    let found = translate(leaving);
    assert!(found.stack.unwrap().load_balancer.is_none());
    let found = translate(&format!(
        "{leaving}
apiVersion: gateway.k8s.aws/v1
kind: LoadBalancerConfiguration
metadata: {{name: c, namespace: ns}}
spec: {{loadBalancerAttributes: [{{key: deletion_protection.enabled, value: 'true'}}]}}
"
    ));
    assert!(found.stack.is_none());
    assert_eq!(found.diagnostics[0].code, "deletion-protected");
}

#[test]
fn rules_beyond_the_quota_are_dropped_from_the_end() {
    let matches = |n: usize| {
        let paths: Vec<_> = (0..n)
            .map(|i| format!("{{path: {{type: Exact, value: /{i:03}}}}}"))
            .collect();
        format!(
            "  - {{matches: [{}], backendRefs: [{{name: s, port: 80}}]}}",
            paths.join(", ")
        )
    };
    let many: Vec<_> = [60, 60].into_iter().map(matches).collect();
    let found = translate(&format!("{GATEWAY}{}", route(&many.join("\n"))));
    let stack = found.stack.as_ref().unwrap();
    assert_eq!(rules(stack, 80).len(), 100);
    assert_eq!(rules(stack, 80)[0], "/000 forward");
    assert_eq!(lines(&found), ["too-many-rules Gateway ns/gw "]);
    assert_eq!(
        conditions(&found),
        ["False UnsupportedValue", "True ResolvedRefs"]
    );
}

#[test]
fn routes_that_do_not_attach_say_why() {
    let rows = [
        (
            "{name: gw, sectionName: https}",
            "no-matching-parent",
            "NoMatchingParent",
        ),
        (
            "{name: gw, port: 81}",
            "no-matching-parent",
            "NoMatchingParent",
        ),
    ];
    for (parent, code, reason) in rows {
        let route = route("").replace("{name: gw}", parent);
        let found = translate(&format!("{GATEWAY}{route}"));
        assert!(found.stack.as_ref().unwrap().listeners.is_empty());
        assert_eq!(
            lines(&found),
            [format!("{code} HTTPRoute ns/r spec.parentRefs[0]")]
        );
        assert_eq!(
            conditions(&found),
            [format!("False {reason}"), "True ResolvedRefs".to_owned()]
        );
    }
    let elsewhere = route("")
        .replace("namespace: ns", "namespace: other")
        .replace("{name: gw}", "{name: gw, namespace: ns}");
    let found = translate(&format!("{GATEWAY}{elsewhere}"));
    assert_eq!(
        lines(&found),
        ["namespace-not-allowed HTTPRoute other/r spec.parentRefs[0]"]
    );
}

#[test]
fn a_listener_takes_the_kinds_of_its_protocol() {
    let found = translate(&format!(
        "{GATEWAY}
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{name: g, namespace: ns}}
spec: {{parentRefs: [{{name: gw}}], rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}
"
    ));
    assert_eq!(
        lines(&found),
        ["kind-not-allowed GRPCRoute ns/g spec.parentRefs[0]"]
    );
}

#[test]
fn a_route_tells_its_mistakes_beside_a_listener_without_a_certificate() {
    let found = translate(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec:
  gatewayClassName: alb
  listeners: [{name: l, protocol: HTTP, port: 80, allowedRoutes: {kinds: [{kind: HTTPRoute}, {kind: TCPRoute}]}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: ns}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: missing, port: 80}]}]}
",
    );
    assert_eq!(
        found.gateway.as_ref().unwrap().listeners[0].attached_routes,
        1
    );
    let parents = status::route(&found.routes[0]);
    let reasons: Vec<_> = parents[0]
        .conditions
        .iter()
        .map(|c| c.reason.as_str())
        .collect();
    assert_eq!(reasons, ["BackendNotFound", "Accepted"]);
    assert!(found.stack.unwrap().listeners.is_empty());
}

#[test]
fn addresses_that_cannot_be_had_are_refused_in_the_status() {
    use elbow_model::LoadBalancerArn;
    use elbow_model::observed::LoadBalancerState;
    let rows = [
        ("{type: IPAddress}", ["Accepted", "Programmed"]),
        ("{value: 192.0.2.1}", ["Accepted", "AddressNotUsable"]),
        (
            "{type: example.com/pool, value: a}",
            ["UnsupportedAddress", "Programmed"],
        ),
    ];
    for (address, expected) in rows {
        let found = translate(&format!(
            "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec:
  gatewayClassName: alb
  addresses: [{address}]
  listeners: [{{name: http, protocol: HTTP, port: 80}}]
"
        ));
        let report = status::LoadBalancerReport {
            arn: LoadBalancerArn::new("arn"),
            dns_name: "name".to_owned(),
            state: LoadBalancerState::Active,
        };
        let status = status::gateway(&found.gateway.unwrap(), &[], Some(&report), None);
        let reasons: Vec<_> = status
            .conditions
            .iter()
            .map(|c| c.reason.as_str())
            .collect();
        assert_eq!(reasons, expected, "{address}");
        assert!(found.stack.unwrap().load_balancer.is_some());
    }
}

#[test]
fn connections_of_a_port_go_to_the_oldest_route() {
    let found = translate(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec:
  gatewayClassName: nlb
  listeners: [{name: t, protocol: TCP, port: 9000}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: b, namespace: ns}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 80}]}]}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: a, namespace: ns}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 80, weight: 0}]}]}
",
    );
    let stack = found.stack.as_ref().unwrap();
    assert!(stack.listeners.is_empty(), "its only backend has no weight");
    assert_eq!(
        lines(&found),
        [
            "listener-without-backend TCPRoute ns/a spec.rules",
            "shadowed-route TCPRoute ns/b spec.parentRefs"
        ]
    );
}

#[test]
fn targets_outside_the_vpc_are_registered_for_all_zones() {
    let found = translate(&format!(
        "{GATEWAY}{}
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s-1, namespace: ns, labels: {{kubernetes.io/service-name: s}}}}
addressType: IPv4
ports: [{{port: 8080, name: ''}}]
endpoints:
- {{addresses: [192.168.10.21]}}
- {{addresses: [10.9.0.1]}}
- {{addresses: [10.9.0.2], conditions: {{ready: false}}}}
",
        route("")
    ));
    let groups = &found.stack.as_ref().unwrap().target_groups;
    let targets: Vec<_> = groups
        .values()
        .next()
        .unwrap()
        .targets
        .iter()
        .map(|t| json!(t))
        .collect();
    assert_eq!(
        json!(targets),
        json!([
            {"id": "10.9.0.1", "port": 8080, "availabilityZone": "all"},
            {"id": "192.168.10.21", "port": 8080}
        ])
    );
}

#[test]
fn what_aws_may_refuse_is_said_and_sent() {
    let rows = [
        "{type: Exact, value: '/a%20b'}",
        "{type: RegularExpression, value: '^/(?=a)'}",
    ];
    for path in rows {
        let rule =
            format!("  - {{matches: [{{path: {path}}}], backendRefs: [{{name: s, port: 80}}]}}");
        let found = translate(&format!("{GATEWAY}{}", route(&rule)));
        assert_eq!(rules(found.stack.as_ref().unwrap(), 80).len(), 2, "{path}");
        assert_eq!(
            lines(&found),
            ["aws-may-refuse HTTPRoute ns/r spec.rules[0].matches[0]"]
        );
    }
}
