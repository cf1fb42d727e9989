//! Which endpoints of a Service are registered, as LBC's `pkg/backend/endpoint_resolver.go` has it.

use serde_json::{Value, json};

use crate::support;

const BASE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: alb}
spec: {controllerName: gateway.k8s.aws/alb}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec: {gatewayClassName: alb, listeners: [{name: http, protocol: HTTP, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: ns}
spec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: s, port: 80}]}]}
---
apiVersion: v1
kind: Node
metadata: {name: well}
status: {conditions: [{type: Ready, status: 'True', lastTransitionTime: null, lastHeartbeatTime: null}]}
---
apiVersion: v1
kind: Node
metadata: {name: lost}
status: {conditions: [{type: Ready, status: Unknown, lastTransitionTime: null, lastHeartbeatTime: null}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gated, namespace: ns}
spec: {nodeName: well, containers: [{name: c}]}
status: {conditions: [{type: ContainersReady, status: 'True'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: last, namespace: ns}
spec: {nodeName: lost, containers: [{name: c}]}
status: {conditions: [{type: ContainersReady, status: 'True'}]}
---
";

#[track_caller]
fn targets(port_name: &str, ports: &str, endpoints: &str) -> Value {
    let manifests = format!(
        "{BASE}
apiVersion: v1
kind: Service
metadata: {{name: s, namespace: ns}}
spec: {{ports: [{{name: {port_name}, port: 80, targetPort: 8080}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s-1, namespace: ns, labels: {{kubernetes.io/service-name: s}}}}
addressType: IPv4
ports: [{ports}]
endpoints: [{endpoints}]
"
    );
    let snapshot = support::snapshot(&manifests);
    let found = support::translate(&snapshot, "ns/gw", &support::settings());
    let stack = found.stack.unwrap();
    let group = stack.target_groups.values().next().unwrap();
    group
        .targets
        .iter()
        .map(|t| json!([t.id, t.port]))
        .collect()
}

#[test]
fn every_port_of_a_slice_counts_for_a_port_without_a_name() {
    let endpoint = "{addresses: [192.168.10.21], targetRef: {kind: Pod, name: p}}";
    let ports = "{name: x, port: 8080}, {name: z, port: 9090}";
    let rows = [
        (
            "''",
            json!([["192.168.10.21", 8080], ["192.168.10.21", 9090]]),
        ),
        ("z", json!([["192.168.10.21", 9090]])),
        ("other", json!([])),
    ];
    for (name, expected) in rows {
        assert_eq!(targets(name, ports, endpoint), expected, "{name}");
    }
}

#[test]
fn endpoints_are_judged_by_their_pods_and_nodes() {
    let rows = [
        (
            "the first address",
            "{addresses: [192.168.10.21, 192.168.10.22], targetRef: {kind: Pod, name: p}}",
            json!([["192.168.10.21", 8080]]),
        ),
        (
            "something other than a pod",
            "{addresses: [192.168.10.21], targetRef: {kind: Node, name: well}}",
            json!([]),
        ),
        (
            "waits for a readiness gate",
            "{addresses: [192.168.10.21], conditions: {ready: false}, targetRef: {kind: Pod, name: gated}}",
            json!([["192.168.10.21", 8080]]),
        ),
        (
            "its pod was not read, and it is all there is",
            "{addresses: [192.168.10.21], conditions: {ready: false}, targetRef: {kind: Pod, name: unread}}",
            json!([["192.168.10.21", 8080]]),
        ),
        (
            "its pod was not read, and there is a good one",
            "{addresses: [192.168.10.21], conditions: {ready: false}, targetRef: {kind: Pod, name: unread}}, {addresses: [192.168.10.22]}",
            json!([["192.168.10.22", 8080]]),
        ),
        (
            "its pod was not read, and it ends",
            "{addresses: [192.168.10.21], conditions: {ready: false, terminating: true}, targetRef: {kind: Pod, name: unread}}",
            json!([]),
        ),
        (
            "ends on a node that is well",
            "{addresses: [192.168.10.21], conditions: {ready: false, terminating: true}, targetRef: {kind: Pod, name: gated}}",
            json!([]),
        ),
        (
            "ends on a node that is lost, and is all that is left",
            "{addresses: [192.168.10.21], conditions: {ready: false, terminating: true}, targetRef: {kind: Pod, name: last}}",
            json!([["192.168.10.21", 8080]]),
        ),
        (
            "is on a node that is lost, beside a good one",
            "{addresses: [192.168.10.21], conditions: {ready: false}, targetRef: {kind: Pod, name: last}}, {addresses: [192.168.10.22]}",
            json!([["192.168.10.22", 8080]]),
        ),
    ];
    for (what, endpoints, expected) in rows {
        let found = targets("''", "{name: '', port: 8080}", endpoints);
        assert_eq!(found, expected, "{what}");
    }
}
