//! Gates and conditions of pods: in, pods and the health of their targets; out, what is set on them.

use k8s_openapi::api::core::v1::Service;
use serde_json::json;

use super::*;

const NOW: &str = "2026-02-02T02:02:02Z";
const THEN: &str = "2026-01-01T00:00:00Z";

fn pod(gates: &[&str], condition: Option<(&str, &str, &str)>) -> Pod {
    let gates: Vec<_> = gates
        .iter()
        .map(|g| json!({ "conditionType": g }))
        .collect();
    let conditions: Vec<_> = condition
        .iter()
        .map(|(status, reason, message)| {
            json!({
                "type": "target-health.elbv2.k8s.aws/tg",
                "status": status,
                "reason": reason,
                "message": message,
                "lastTransitionTime": THEN,
            })
        })
        .collect();
    serde_json::from_value(json!({
        "metadata": { "name": "p", "namespace": "app" },
        "spec": { "containers": [], "readinessGates": gates },
        "status": { "conditions": conditions },
    }))
    .unwrap()
}

fn unhealthy(reason: &str, description: &str) -> TargetHealth {
    TargetHealth {
        is_healthy: false,
        reason: reason.to_owned(),
        description: description.to_owned(),
    }
}

/// Status, reason and time, or before that message, of a condition.
type Condition = Option<(&'static str, &'static str, &'static str)>;

/// A name, the pod's gates and its condition, what AWS says, and the condition set.
type Told<'a> = (
    &'a str,
    &'a [&'a str],
    Condition,
    Option<TargetHealth>,
    Condition,
);

#[test]
fn a_pod_is_told_what_aws_says_of_its_target() {
    let gate = ["other.example/gate", "target-health.elbv2.k8s.aws/tg"];
    let healthy = TargetHealth {
        is_healthy: true,
        reason: String::new(),
        description: String::new(),
    };
    let checking = unhealthy(
        "Elb.InitialHealthChecking",
        "Initial health checks in progress",
    );
    let rows: [Told; 9] = [
        (
            "no gate",
            &["other.example/gate"],
            None,
            Some(healthy.clone()),
            None,
        ),
        (
            "registered just now",
            &gate,
            None,
            Some(TargetHealth::registering()),
            Some(("False", "Elb.RegistrationInProgress", NOW)),
        ),
        (
            "unknown to AWS",
            &gate,
            None,
            None,
            Some(("Unknown", "", NOW)),
        ),
        (
            "another reason keeps the time",
            &gate,
            Some(("False", "Elb.RegistrationInProgress", "m")),
            Some(checking.clone()),
            Some(("False", "Elb.InitialHealthChecking", THEN)),
        ),
        (
            "told already",
            &gate,
            Some((
                "False",
                "Elb.InitialHealthChecking",
                "Initial health checks in progress",
            )),
            Some(checking),
            None,
        ),
        (
            "healthy",
            &gate,
            Some(("False", "Elb.InitialHealthChecking", "m")),
            Some(healthy.clone()),
            Some(("True", "", NOW)),
        ),
        (
            "healthy still",
            &gate,
            Some(("True", "", "")),
            Some(healthy),
            None,
        ),
        (
            "not healthy any more",
            &gate,
            Some(("True", "", "")),
            Some(unhealthy("Target.Timeout", "Request timed out")),
            None,
        ),
        (
            "binding deleted",
            &gate,
            Some(("False", "Target.Timeout", "m")),
            Some(TargetHealth::binding_deleted()),
            Some(("True", "", NOW)),
        ),
    ];
    for (row, gates, before, health, expected) in rows {
        let set = condition(
            &pod(gates, before),
            "tg",
            health.as_ref(),
            NOW.parse().unwrap(),
        );
        let seen = set.map(|c| {
            let time = c.last_transition_time.unwrap().0.to_string();
            (c.status, c.reason.unwrap_or_default(), time)
        });
        let expected = expected.map(|(s, r, t)| (s.to_owned(), r.to_owned(), t.to_owned()));
        assert_eq!(seen, expected, "{row}");
    }
}

fn binding(name: &str, target_type: &str, service: &str) -> TargetGroupBinding {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "app" },
        "spec": { "targetType": target_type, "serviceRef": { "name": service, "port": 80 } },
    }))
    .unwrap()
}

fn service(name: &str, selector: &Value) -> Service {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "app" },
        "spec": { "selector": selector, "ports": [{ "name": "http", "port": 80 }] },
    }))
    .unwrap()
}

fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    let labels = labels
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    labels.collect()
}

#[test]
fn gates_are_those_of_bindings_whose_service_selects_the_pod() {
    let mut gates = Gates::default();
    gates.apply_binding(&binding("tg-a", "ip", "a"));
    gates.apply_binding(&binding("tg-a2", "ip", "a"));
    gates.apply_binding(&binding("tg-b", "ip", "b"));
    gates.apply_binding(&binding("tg-node", "instance", "a"));
    gates.apply_binding(&binding("tg-none", "ip", "absent"));
    gates.apply_binding(&binding("tg-headless", "ip", "headless"));
    for (name, port) in [
        ("tg-a3", json!("http")),
        ("tg-no-port", json!(81)),
        ("tg-no-name", json!("web")),
    ] {
        let mut of_port = binding(name, "ip", "a");
        of_port.spec.service_ref.port = serde_json::from_value(port).unwrap();
        gates.apply_binding(&of_port);
    }
    gates.apply_service(&service("a", &json!({ "app": "a" })));
    gates.apply_service(&service("b", &json!({ "app": "b", "tier": "web" })));
    gates.apply_service(&service("headless", &json!({})));
    let of = |namespace: &str, pod: &[(&str, &str)]| -> Vec<String> {
        let gates = gates.of(namespace, &labels(pod)).into_iter();
        gates
            .map(|g| g.replace(elbow_api::names::READINESS_GATE_PREFIX, ""))
            .collect()
    };
    assert_eq!(
        of("app", &[("app", "a"), ("more", "yes")]),
        ["tg-a", "tg-a2", "tg-a3"]
    );
    assert_eq!(of("app", &[("app", "b")]), Vec::<String>::new());
    assert_eq!(of("app", &[("app", "b"), ("tier", "web")]), ["tg-b"]);
    assert_eq!(of("other", &[("app", "a")]), Vec::<String>::new());

    let mut going = binding("tg-a", "ip", "a");
    going.metadata.deletion_timestamp = Some(Time(NOW.parse().unwrap()));
    gates.apply_binding(&going);
    gates.apply_binding(&binding("tg-a2", "instance", "a"));
    gates.remove_binding("app", "tg-a3");
    assert!(gates.of("app", &labels(&[("app", "a")])).is_empty());
    gates.remove_service("app", "b");
    assert!(
        gates
            .of("app", &labels(&[("app", "b"), ("tier", "web")]))
            .is_empty()
    );
}

#[test]
fn a_binding_without_target_type_has_gates_once_it_is_known_to_take_addresses() {
    let condition = |status: &str| {
        json!([{
            "type": "IpTargets", "status": status, "reason": "R", "message": "",
            "lastTransitionTime": NOW,
        }])
    };
    let rows = [
        ("nobody has asked AWS", json!(null), json!([]), false),
        ("addresses", json!(null), condition("True"), true),
        ("instances", json!(null), condition("False"), false),
        (
            "what it says counts",
            json!("instance"),
            condition("True"),
            false,
        ),
    ];
    for (row, target_type, conditions, has_gate) in rows {
        let binding: TargetGroupBinding = serde_json::from_value(json!({
            "metadata": { "name": "tg", "namespace": "app" },
            "spec": {
                "targetGroupName": "web", "targetType": target_type,
                "serviceRef": { "name": "a", "port": 80 },
            },
            "status": { "conditions": conditions },
        }))
        .unwrap();
        let mut gates = Gates::default();
        gates.apply_binding(&binding);
        gates.apply_service(&service("a", &json!({ "app": "a" })));
        let found = gates.of("app", &labels(&[("app", "a")]));
        assert_eq!(!found.is_empty(), has_gate, "{row}");
    }
}

/// A name, the pod's gates, those to put, and its gates then.
type Put<'a> = (&'a str, &'a [&'a str], &'a [&'a str], Option<&'a [&'a str]>);

#[test]
fn gates_are_put_beside_those_of_others() {
    let rows: [Put; 5] = [
        ("none to put", &["o/x"], &[], None),
        ("first", &[], &["t/a", "t/b"], Some(&["t/a", "t/b"])),
        ("beside", &["o/x"], &["t/a"], Some(&["o/x", "t/a"])),
        ("there already", &["t/a", "o/x"], &["t/a"], None),
        (
            "instead of the legacy ones",
            &["target-health.alb.ingress.k8s.aws/i_s_80", "o/x", "t/a"],
            &["t/a"],
            Some(&["o/x", "t/a"]),
        ),
    ];
    for (row, before, gates, expected) in rows {
        let list = |gates: &[&str]| -> Vec<Value> {
            gates
                .iter()
                .map(|g| json!({ "conditionType": g }))
                .collect()
        };
        let mut pod = json!({ "metadata": {}, "spec": { "containers": [] } });
        if !before.is_empty() {
            pod["spec"]["readinessGates"] = Value::Array(list(before));
        }
        let gates = gates.iter().map(|g| (*g).to_owned()).collect();
        let expected = expected.map(
            |after| json!([{ "op": "add", "path": "/spec/readinessGates", "value": list(after) }]),
        );
        assert_eq!(inject(&pod, &gates), expected, "{row}");
    }
}
