//! Which pods wait for the targets of a TargetGroupBinding.

use std::collections::BTreeSet;

use elbow_api::{Kind, NamespacedName, Object, ObjectRef};
use elbow_model::aws_call::TargetGroupDescription;
use elbow_model::stack::{Protocol, TargetFamily, TargetType};
use elbow_model::{Facts, Port, TargetGroupArn};
use elbow_translate::Waits;

use crate::support;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: s, namespace: ns}
spec: {ports: [{name: web, port: 80, targetPort: 8080}, {name: admin, port: 81, targetPort: 8081}]}
---
apiVersion: v1
kind: Node
metadata: {name: well}
status: {conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Node
metadata: {name: ill}
status: {conditions: [{type: Ready, status: 'False'}]}
---
";

const BINDING: &str = "
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: tgb, namespace: ns}
spec: {targetGroupARN: arn, targetType: ip, serviceRef: {name: s, port: web}}
---
";

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: ns, uid: u}
spec:
  nodeName: well
  containers: [{name: c}]
  readinessGates: [{conditionType: target-health.elbv2.k8s.aws/tgb}]
status:
  conditions: [{type: ContainersReady, status: 'True'}]
---
";

const ENDPOINT: &str = "{addresses: [192.168.10.21], conditions: {ready: false, serving: false}, targetRef: {kind: Pod, name: p, uid: u}}";

/// Who waits for `ns/tgb`, and for which targets.
fn waiting(binding: &str, pod: &str, endpoint: &str) -> String {
    let manifests = format!(
        "{SERVICE}{binding}{pod}
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s-1, namespace: ns, labels: {{kubernetes.io/service-name: s}}}}
addressType: IPv4
ports: [{{name: web, port: 8080}}, {{name: admin, port: 8081}}]
endpoints: [{endpoint}]
"
    );
    let snapshot = support::snapshot(&manifests);
    let binding = NamespacedName::new("ns", "tgb");
    let mut facts = Facts::default();
    let groups = &mut facts.target_groups;
    groups.insert("addresses".to_owned(), Some(group(TargetType::Ip)));
    groups.insert("instances".to_owned(), Some(group(TargetType::Instance)));
    groups.insert("gone".to_owned(), None);
    let (waits, reads) = elbow_translate::waiting(&snapshot, &facts, &binding);
    assert!(!reads.is_empty());
    let waiting = match waits {
        Waits::Pods(waiting) => waiting,
        Waits::Nobody => return "nobody".to_owned(),
        Waits::UnknownGroup(name) => return format!("unknown group {name}"),
    };
    assert_eq!(waiting.target_group.as_str(), "arn");
    let pods = waiting.pods.iter().map(|(name, pod)| {
        let targets = { pod.targets.iter() }
            .map(|(address, port)| format!("{address}:{port}"))
            .collect::<Vec<_>>();
        format!("{name} {} {}", pod.uid, targets.join(" "))
    });
    pods.collect::<Vec<_>>().join(", ")
}

fn group(target_type: TargetType) -> TargetGroupDescription {
    TargetGroupDescription {
        arn: TargetGroupArn::new("arn"),
        name: String::new(),
        target_type: Some(target_type),
        protocol: Some(Protocol::Http),
        protocol_version: None,
        port: Port::new(80),
        ip_address_type: TargetFamily::Ipv4,
        vpc_id: None,
        health_check: None,
        load_balancers: BTreeSet::new(),
    }
}

#[test]
fn a_pod_waits_while_its_gate_is_closed_and_it_is_a_target() {
    const WAITS: &str = "ns/p u 192.168.10.21:8080";
    const GATE: &str = "target-health.elbv2.k8s.aws/tgb";
    let with = |status: &str| {
        let condition = format!("status: 'True'}}, {{type: {GATE}, status: '{status}'}}]");
        POD.replace("status: 'True'}]", &condition)
    };
    let pods = [
        ("no condition yet", POD.to_owned(), WAITS),
        ("told that it is not healthy", with("False"), WAITS),
        ("of unknown health", with("Unknown"), WAITS),
        ("told that it is healthy", with("True"), "nobody"),
        (
            "another binding's gate",
            POD.replace("aws/tgb", "aws/other"),
            "nobody",
        ),
        (
            "containers that start",
            POD.replace("'True'", "'False'"),
            "nobody",
        ),
        ("a node that is ill", POD.replace("well", "ill"), "nobody"),
        (
            "another pod of the name",
            POD.replace("uid: u", "uid: v"),
            "nobody",
        ),
        ("not read", String::new(), "nobody"),
    ];
    for (what, pod, expected) in pods {
        assert_eq!(waiting(BINDING, &pod, ENDPOINT), expected, "{what}");
    }
    let endpoints = [
        ("ready", "ready: true, serving: true", "nobody"),
        (
            "published though it is not ready",
            "ready: true, serving: false",
            WAITS,
        ),
        (
            "about to go",
            "ready: false, serving: false, terminating: true",
            "nobody",
        ),
    ];
    for (what, conditions, expected) in endpoints {
        let endpoint = ENDPOINT.replace("ready: false, serving: false", conditions);
        assert_eq!(waiting(BINDING, POD, &endpoint), expected, "{what}");
    }
    let bindings = [
        ("a port by number", ("port: web", "port: 80"), WAITS),
        (
            "another port",
            ("port: web", "port: 81"),
            "ns/p u 192.168.10.21:8081",
        ),
        ("no such port", ("port: web", "port: 82"), "nobody"),
        (
            "instances",
            ("targetType: ip", "targetType: instance"),
            "nobody",
        ),
        (
            "the other family",
            ("targetType: ip", "targetType: ip, ipAddressType: ipv6"),
            "nobody",
        ),
        (
            "being deleted",
            (
                "namespace: ns}",
                "namespace: ns, deletionTimestamp: '2026-01-01T00:00:00Z'}",
            ),
            "nobody",
        ),
    ];
    for (what, (before, after), expected) in bindings {
        let binding = BINDING.replace(before, after);
        assert_eq!(waiting(&binding, POD, ENDPOINT), expected, "{what}");
    }
}

#[test]
fn pods_are_read_where_their_slice_does_not_tell_whether_they_are_targets() {
    let rows = [
        ("ready", "conditions: {ready: true}", "Pod", false),
        ("not said", "conditions: {}", "Pod", false),
        ("not ready", "conditions: {ready: false}", "Pod", true),
        ("not a pod", "conditions: {ready: false}", "Node", false),
        (
            "published though it is not ready",
            "conditions: {ready: true, serving: false}",
            "Pod",
            true,
        ),
        (
            "about to go",
            "conditions: {ready: false, terminating: true}, nodeName: well",
            "Pod",
            false,
        ),
        (
            "about to go on a node that is lost",
            "conditions: {ready: false, terminating: true}, nodeName: lost",
            "Pod",
            true,
        ),
    ];
    for (what, endpoint, kind, is_read) in rows {
        let manifests = format!(
            "{SERVICE}
apiVersion: v1
kind: Node
metadata: {{name: lost}}
status: {{conditions: [{{type: Ready, status: Unknown}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s-1, namespace: ns, labels: {{kubernetes.io/service-name: s}}}}
addressType: IPv4
endpoints: [{{addresses: [192.168.10.21], {endpoint}, targetRef: {{kind: {kind}, name: p}}}}]
"
        );
        let snapshot = support::snapshot(&manifests);
        let slice = ObjectRef::new(Kind::EndpointSlice, "ns", "s-1");
        let Some(Object::EndpointSlice(slice)) = snapshot.get(&slice) else {
            panic!("it is not there");
        };
        let pods = elbow_translate::pods_to_read(&snapshot, &slice);
        let expected = is_read.then(|| NamespacedName::new("ns", "p"));
        assert_eq!(pods.into_iter().next(), expected, "{what}");
    }
}
