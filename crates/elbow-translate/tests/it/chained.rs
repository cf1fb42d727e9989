//! Gateways and target groups of others as backends.

use elbow_api::{GatewayController, NamespacedName};
use elbow_model::aws_call::TargetGroupDescription;
use elbow_model::facts::ServingLoadBalancer;
use elbow_model::stack::{Protocol, Target, TargetFamily, TargetGroup, TargetType};
use elbow_model::{Facts, LoadBalancerArn, Port, TargetGroupArn, VpcId};
use elbow_translate::{Translation, stack_id, status};

use crate::support;

const OBSERVED: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/1";
const SAID: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/other/2";
const NETWORK: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/edge/3";

/// Classes, an ALB Gateway with two listeners, an NLB Gateway, and a route between the two.
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
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: ns}
spec:
  gatewayClassName: CLASS
  listeners:
  - {name: http, protocol: HTTP, port: 80}
  - {name: https, protocol: HTTPS, port: 443, hostname: web.example.com}
STATUS
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: ns}
spec:
  gatewayClassName: nlb
  listeners:
  - {name: a, protocol: PROTOCOL, port: 80}
---
apiVersion: gateway.networking.k8s.io/v1
kind: KIND
metadata: {name: front, namespace: ns}
spec:
  parentRefs: [{name: edge}]
HOSTNAMES
  rules:
  - backendRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web, port: BACKEND}]
---
";

/// What is observed of the load balancer behind.
#[derive(Clone, Copy)]
enum Seen<'w> {
    /// Nobody has looked.
    Unknown,
    /// There is none that serves.
    Nothing,
    /// It serves these ports.
    Ports(&'w [u16]),
}

/// What differs between cases.
#[derive(Clone, Copy)]
struct World<'w> {
    class: &'w str,
    /// What the Gateway's condition Programmed says, where it is True.
    programmed: Option<&'w str>,
    observed: Seen<'w>,
    kind: &'w str,
    protocol: &'w str,
    port: u16,
    configuration: &'w str,
}

const WORLD: World<'_> = World {
    class: "alb",
    programmed: None,
    observed: Seen::Ports(&[80, 443]),
    kind: "TCPRoute",
    protocol: "TCP",
    port: 80,
    configuration: "",
};

impl World<'_> {
    fn translate(&self) -> Translation {
        let status = self.programmed.map(|message| {
            format!(
                "status:\n  conditions: [{{type: Programmed, status: 'True', reason: Programmed, lastTransitionTime: '2026-01-01T00:00:00Z', message: '{message}'}}]"
            )
        });
        let manifests = BASE
            .replace("CLASS", self.class)
            .replace("STATUS", &status.unwrap_or_default())
            .replace("KIND", self.kind)
            .replace(
                "PROTOCOL",
                match self.protocol {
                    "TLS" => "TLS, hostname: web.example.com, tls: {mode: Terminate, options: {example.com/a: b}}",
                    protocol => protocol,
                },
            )
            .replace(
                "HOSTNAMES",
                match self.kind {
                    "TLSRoute" => "  hostnames: [web.example.com]",
                    _ => "",
                },
            )
            .replace("BACKEND", &self.port.to_string());
        let configuration = match self.configuration {
            "" => String::new(),
            props => format!(
                "
apiVersion: gateway.k8s.aws/v1
kind: TargetGroupConfiguration
metadata: {{name: c, namespace: ns}}
spec:
  targetReference: {{group: gateway.networking.k8s.io, kind: Gateway, name: web}}
  defaultConfiguration: {{{props}}}
"
            ),
        };
        let mut facts = support::facts();
        let stack = stack_id(GatewayController::Alb, &NamespacedName::new("ns", "web"));
        let balancers = &mut facts.application_load_balancers;
        match self.observed {
            Seen::Unknown => {}
            Seen::Nothing => {
                balancers.insert(stack, None);
            }
            Seen::Ports(ports) => {
                let serving = ServingLoadBalancer {
                    arn: LoadBalancerArn::new(OBSERVED),
                    ports: Some(ports.iter().filter_map(|port| Port::new(*port)).collect()),
                };
                balancers.insert(stack, Some(serving));
            }
        }
        let snapshot = support::snapshot(&format!("{manifests}{configuration}"));
        support::translate_with(&snapshot, "ns/edge", &support::settings(), facts)
    }
}

fn groups(translation: &Translation) -> Vec<&TargetGroup> {
    let stack = translation.stack.as_ref().unwrap();
    stack.target_groups.values().collect()
}

fn codes(translation: &Translation) -> Vec<&str> {
    translation.diagnostics.iter().map(|d| d.code).collect()
}

/// The reason of the route's first condition that is not True.
fn reason(translation: &Translation) -> Option<String> {
    let parents = status::route(&translation.routes[0]);
    let mut conditions = parents[0].conditions.iter();
    let bad = conditions.find(|c| c.status == "False")?;
    Some(bad.reason.clone())
}

#[test]
fn the_target_is_what_is_observed_or_what_the_condition_says() {
    // What is known; the target; finding; reason on the route.
    let rows = [
        ("observed", WORLD, Some(OBSERVED), None, None),
        (
            "observed, whatever an old condition says",
            World {
                programmed: Some(SAID),
                ..WORLD
            },
            Some(OBSERVED),
            None,
            None,
        ),
        (
            "nothing is there yet, whatever an old condition says",
            World {
                observed: Seen::Nothing,
                programmed: Some(SAID),
                ..WORLD
            },
            None,
            Some("gateway-not-programmed"),
            Some("BackendNotFound"),
        ),
        (
            "it does not serve the port yet",
            World {
                observed: Seen::Ports(&[443]),
                ..WORLD
            },
            None,
            Some("backend-port-without-route"),
            Some("BackendNotFound"),
        ),
        (
            "somebody else's",
            World {
                class: "other",
                observed: Seen::Nothing,
                programmed: Some(SAID),
                ..WORLD
            },
            Some(SAID),
            None,
            None,
        ),
        (
            "nobody has looked",
            World {
                observed: Seen::Unknown,
                programmed: Some(SAID),
                ..WORLD
            },
            Some(SAID),
            None,
            None,
        ),
        (
            "somebody else's that is not programmed",
            World {
                class: "other",
                observed: Seen::Nothing,
                ..WORLD
            },
            None,
            Some("gateway-not-programmed"),
            Some("BackendNotFound"),
        ),
    ];
    for (name, world, target, finding, bad) in rows {
        let translation = world.translate();
        let [group] = groups(&translation)[..] else {
            unreachable!("{name}: one group, not {:?}", groups(&translation));
        };
        let expected = target.map(|arn| Target {
            id: arn.to_owned(),
            port: Port::new(80_u16).unwrap(),
            availability_zone: None,
            quic_server_id: None,
        });
        assert_eq!(group.targets, Vec::from_iter(expected), "{name}");
        assert_eq!(group.target_type, TargetType::Alb, "{name}");
        assert_eq!(codes(&translation), Vec::from_iter(finding), "{name}");
        assert_eq!(reason(&translation).as_deref(), bad, "{name}");
        assert!(translation.bindings.is_empty(), "{name}");
        let stack = translation.stack.as_ref().unwrap();
        assert_eq!(stack.listeners.len(), 1, "{name}: the listener stands");
    }
}

#[test]
fn a_gateway_that_can_be_no_target_costs_its_backend_only() {
    let rows = [
        (
            "an NLB",
            World {
                class: "nlb",
                programmed: Some(NETWORK),
                ..WORLD
            },
            "gateway-cannot-be-backend",
            "BackendNotFound",
        ),
        (
            "somebody else's NLB",
            World {
                class: "other",
                observed: Seen::Unknown,
                programmed: Some(NETWORK),
                ..WORLD
            },
            "gateway-cannot-be-backend",
            "BackendNotFound",
        ),
        (
            "a port that no listener has",
            World { port: 81, ..WORLD },
            "missing-gateway-port",
            "BackendNotFound",
        ),
    ];
    for (name, world, finding, bad) in rows {
        let translation = world.translate();
        assert!(groups(&translation).is_empty(), "{name}");
        assert!(
            codes(&translation).contains(&finding),
            "{name}: {:?}",
            codes(&translation)
        );
        assert_eq!(reason(&translation).as_deref(), Some(bad), "{name}");
    }
}

#[test]
fn what_aws_takes_of_no_group_of_a_load_balancer_is_a_finding() {
    // Kind, listener and configuration; finding; whether there is a group all the same.
    let rows = [
        ("UDPRoute", "UDP", "", "chained-over-tcp", false),
        ("TLSRoute", "TLS", "", "chained-over-tcp", false),
        (
            "TCPRoute",
            "TCP",
            "protocol: TLS",
            "unsupported-target-protocol",
            false,
        ),
        (
            "TCPRoute",
            "TCP",
            "healthCheckConfig: {healthCheckProtocol: TCP}",
            "unsupported-health-check-protocol",
            false,
        ),
        (
            "TCPRoute",
            "TCP",
            "healthCheckConfig: {healthCheckProtocol: HTTPS}",
            "health-check-of-other-protocol",
            true,
        ),
        (
            "TCPRoute",
            "TCP",
            "targetGroupAttributes: [{key: deregistration_delay.timeout_seconds, value: '5'}]",
            "unsupported-attributes",
            true,
        ),
    ];
    for (kind, protocol, configuration, finding, has_group) in rows {
        let world = World {
            kind,
            protocol,
            configuration,
            ..WORLD
        };
        let translation = world.translate();
        let name = format!("{kind} {protocol} {configuration}");
        assert!(
            codes(&translation).contains(&finding),
            "{name}: {:?}",
            codes(&translation)
        );
        assert_eq!(groups(&translation).len(), usize::from(has_group), "{name}");
        assert!(
            groups(&translation).iter().all(|g| g.attributes.is_empty()),
            "{name}"
        );
    }
}

#[test]
fn a_gateway_is_no_backend_of_an_alb() {
    let manifests = BASE
        .replace("CLASS", "alb")
        .replace("STATUS", "")
        .replace("HOSTNAMES", "")
        .replace("gatewayClassName: nlb", "gatewayClassName: alb")
        .replace("KIND", "HTTPRoute")
        .replace("PROTOCOL", "HTTP")
        .replace("BACKEND", "80");
    let snapshot = support::snapshot(&manifests);
    let translation = support::translate(&snapshot, "ns/edge", &support::settings());
    assert_eq!(codes(&translation), ["unknown-backend-kind"]);
    assert_eq!(reason(&translation).as_deref(), Some("InvalidKind"));
}

#[test]
fn a_target_group_of_somebody_elses_has_to_fit() {
    let group = |vpc: &str, protocol| TargetGroupDescription {
        arn: TargetGroupArn::new("arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/legacy/1"),
        name: "legacy".to_owned(),
        target_type: Some(TargetType::Ip),
        protocol,
        protocol_version: None,
        port: Port::new(80_u16),
        ip_address_type: TargetFamily::Ipv4,
        vpc_id: Some(VpcId::new(vpc)),
        health_check: None,
        load_balancers: std::collections::BTreeSet::new(),
    };
    let manifests = BASE
        .replace("CLASS", "alb")
        .replace("STATUS", "")
        .replace("HOSTNAMES", "")
        .replace("KIND", "TCPRoute")
        .replace("PROTOCOL", "TCP")
        .replace(
            "{group: gateway.networking.k8s.io, kind: Gateway, name: web, port: BACKEND}",
            "{kind: TargetGroupName, name: legacy}",
        );
    // The group; finding.
    let rows = [
        (Some(group(support::VPC, Some(Protocol::Tcp))), None),
        // Of a protocol that elbow does not know AWS is the judge.
        (Some(group(support::VPC, None)), None),
        (
            Some(group(support::VPC, Some(Protocol::Http))),
            Some("unsupported-target-protocol"),
        ),
        (
            Some(group("vpc-0far", Some(Protocol::Tcp))),
            Some("target-group-of-another-vpc"),
        ),
        (None, Some("missing-target-group")),
    ];
    for (group, finding) in rows {
        let snapshot = support::snapshot(&manifests);
        let facts = Facts {
            target_groups: [("legacy".to_owned(), group.clone())].into(),
            ..support::facts()
        };
        let translation =
            support::translate_with(&snapshot, "ns/edge", &support::settings(), facts);
        let stack = translation.stack.as_ref().unwrap();
        assert!(stack.target_groups.is_empty(), "it is not ours");
        assert_eq!(
            stack.listeners.len(),
            usize::from(finding.is_none()),
            "{group:?}"
        );
        let found = codes(&translation);
        assert!(
            found.iter().copied().eq(finding) || found.contains(&finding.unwrap()),
            "{found:?}"
        );
    }
}
