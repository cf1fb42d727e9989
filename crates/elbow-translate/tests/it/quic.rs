//! QUIC in the place of UDP, as LBC's `pkg/gateway/model/model_build_listener.go` has it.

use elbow_model::rule::Action;
use elbow_model::stack::Protocol;
use elbow_translate::{RouteConditionType, RouteFailure, Translation};
use serde_json::{Value, json};

use crate::support;

const BASE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: nlb}
spec: {controllerName: gateway.k8s.aws/nlb}
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: UDPRoute
metadata: {name: r, namespace: ns}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 80, weight: 3}, {name: t, port: 80, weight: 1}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: ns}
spec: {type: NodePort, ports: [{port: 80, targetPort: 8443, nodePort: 30080}]}
---
apiVersion: v1
kind: Service
metadata: {name: t, namespace: ns}
spec: {ports: [{port: 80, targetPort: 8443}]}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: ns, annotations: {service.beta.kubernetes.io/aws-load-balancer-quic-enabled-containers: c}}
spec: {containers: [{name: c, image: i, ports: [{containerPort: 8443}], env: [{name: AWS_LBC_QUIC_SERVER_ID, value: AAAAAAAAAAE=}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: ns}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s-1, namespace: ns, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
ports: [{port: 8443}]
endpoints:
  - {addresses: [192.168.10.21], targetRef: {kind: Pod, name: p}}
  - {addresses: [192.168.10.22], targetRef: {kind: Pod, name: plain}}
---
";

#[track_caller]
fn translate(listeners: &str, configured: &str, more: &str) -> Translation {
    let manifests = format!(
        "{BASE}{more}
apiVersion: gateway.k8s.aws/v1
kind: LoadBalancerConfiguration
metadata: {{name: c, namespace: ns}}
spec: {{disableSecurityGroup: true, listenerConfigurations: [{{{configured}}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec:
  gatewayClassName: nlb
  infrastructure: {{parametersRef: {{group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: c}}}}
  listeners: [{listeners}]
"
    );
    support::translate(
        &support::snapshot(&manifests),
        "ns/gw",
        &support::settings(),
    )
}

const UDP: &str = "{name: u, protocol: UDP, port: 443}";

#[test]
fn a_listener_of_datagrams_becomes_one_of_quic() {
    let both = format!("{UDP}, {{name: t, protocol: TCP, port: 443}}");
    let rows = [
        (
            UDP,
            "protocolPort: 'UDP:443', quicEnabled: true",
            Protocol::Quic,
        ),
        (
            UDP,
            "protocolPort: 'UDP:443', quicEnabled: false",
            Protocol::Udp,
        ),
        (
            both.as_str(),
            "protocolPort: 'TCP_UDP:443', quicEnabled: true",
            Protocol::TcpQuic,
        ),
        // A configuration is for the protocol that the listeners have together.
        (
            both.as_str(),
            "protocolPort: 'UDP:443', quicEnabled: true",
            Protocol::TcpUdp,
        ),
    ];
    for (listeners, configured, expected) in rows {
        let found = translate(listeners, configured, "");
        let stack = found.stack.unwrap();
        let listener = stack.listeners.values().next().unwrap();
        assert_eq!(listener.protocol, expected, "{configured}");
        let Action::Forward(forward) = &listener.default_action else {
            unreachable!("a listener of an NLB forwards");
        };
        let weights: Vec<_> = forward.target_groups.iter().map(|g| g.weight).collect();
        let usual = if expected.is_quic() {
            [None, None]
        } else {
            [Some(3), Some(1)]
        };
        assert_eq!(weights, usual, "{configured}");
        let mut groups = stack.target_groups.values();
        assert!(groups.all(|g| g.protocol == expected), "{configured}");
    }
}

#[test]
fn pods_with_a_server_id_are_targets() {
    let found = translate(UDP, "protocolPort: 'UDP:443', quicEnabled: true", "");
    let stack = found.stack.unwrap();
    let targets = stack.target_groups.values().flat_map(|g| &g.targets);
    let targets: Vec<_> = targets
        .map(|t| json!([t.id, t.port, t.quic_server_id]))
        .collect();
    assert_eq!(
        targets,
        [json!(["192.168.10.21", 8443, "0x0000000000000001"])]
    );
    let lines: Vec<_> = found.diagnostics.iter().map(support::line).collect();
    assert_eq!(lines, ["quic-target-without-server-id Service ns/s "]);
}

/// LBC, `pkg/gateway/model/model_build_target_group_binding_network.go`.
#[test]
fn rules_of_nodes_let_in_datagrams_and_checks() {
    let both = format!("{UDP}, {{name: t, protocol: TCP, port: 443}}");
    let rows = [
        (UDP, "UDP:443", json!([["UDP"], ["TCP"]]), "QUIC"),
        (
            both.as_str(),
            "TCP_UDP:443",
            json!([["TCP", "UDP"], ["TCP"]]),
            "TCP_QUIC",
        ),
    ];
    for (listeners, configured, expected, protocol) in rows {
        let configured = format!("protocolPort: '{configured}', quicEnabled: true");
        let found = translate(listeners, &configured, "");
        for binding in &found.bindings {
            let rules = binding.networking.as_ref().unwrap().iter();
            let rules: Vec<Value> = rules
                .map(|rule| rule.ports.iter().map(|p| json!(p.protocol)).collect())
                .collect();
            assert_eq!(json!(rules), expected, "{protocol}");
            let written = json!(binding.spec)["targetGroupProtocol"].clone();
            assert_eq!(written, json!(protocol));
        }
        assert_eq!(found.bindings.len(), 2);
    }
}

#[test]
fn what_cannot_be_quic_costs_itself_only() {
    let tcp = "{name: u, protocol: TCP, port: 443}, {name: v, protocol: UDP, port: 53}";
    let found = translate(
        &format!("{tcp}, {{name: w, protocol: TCP, port: 444}}"),
        "protocolPort: 'TCP:443', quicEnabled: true",
        "
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: r, namespace: ns}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 80}]}]}
---
",
    );
    let stack = found.stack.unwrap();
    let ports: Vec<_> = stack.listeners.keys().map(|p| p.get()).collect();
    assert_eq!(ports, [53, 444]);
    let undecided: Vec<_> = stack.undecided_listeners.iter().map(|p| p.get()).collect();
    assert_eq!(undecided, [443]);

    let instances = "
apiVersion: gateway.k8s.aws/v1
kind: TargetGroupConfiguration
metadata: {name: s, namespace: ns}
spec: {targetReference: {name: s}, defaultConfiguration: {targetType: instance}}
---
";
    let quic = "protocolPort: 'UDP:443', quicEnabled: true";
    let found = translate(UDP, quic, instances);
    assert_eq!(found.stack.unwrap().target_groups.len(), 1);
    let failures = &found.routes[0].parents[0].failures;
    let failure = failures.of(RouteConditionType::Accepted);
    assert_eq!(failure.map(RouteFailure::reason), Some("UnsupportedValue"));
}
