//! Objects come, change and go.

use std::time::Duration;

use elbow_api::{Kind, ObjectRef};
use elbow_cluster::live::{Absence, Event, Leadership, WriteError};
use elbow_emulator::Latencies;

use crate::account::FakeAws;
use crate::world::{ALB, World, gateway, pass, pass_millis, route};

fn finalizers(world: &World, object: &ObjectRef) -> Vec<String> {
    let object = world.cluster.get(object).unwrap_or_default();
    serde_json::from_value(object["metadata"]["finalizers"].clone()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_gateway_becomes_a_load_balancer_with_statuses() {
    let world = World::leading(ALB);
    pass(30).await;
    assert!(world.readiness.is_ready());
    let status = &world.cluster.get(&gateway()).unwrap()["status"];
    let address = status["addresses"][0]["value"].as_str().unwrap();
    assert!(
        address.ends_with(".us-east-1.elb.amazonaws.com"),
        "{status}"
    );
    assert!(world.programmed().starts_with("True Programmed arn:aws:"));
    assert_eq!(status["listeners"][0]["name"], "http");
    assert_eq!(
        world.cluster.condition(&route(), "Accepted"),
        "True Accepted "
    );
    let class = ObjectRef::new(Kind::GatewayClass, "", "alb");
    assert_eq!(
        world.cluster.condition(&class, "Accepted"),
        "True Accepted Accepted"
    );
    assert_eq!(finalizers(&world, &class), ["gateway.k8s.aws/gatewayclass"]);
    assert_eq!(finalizers(&world, &gateway()), ["gateway.k8s.aws/alb"]);
    let bindings = world.cluster.of_kind(Kind::TargetGroupBinding);
    assert_eq!(bindings.len(), 1);
    let labels = &bindings[0]["metadata"]["labels"];
    assert_eq!(labels["gateway.k8s.aws.alb/stack-name"], "web");
    let events = world.cluster.take_events();
    assert!(
        events
            .iter()
            .any(|e| e.starts_with("Normal SuccessfullyReconciled")),
        "{events:?}"
    );
    let scraped = world.metrics.encode();
    assert!(
        scraped.contains(r#"elbow_stacks{state="active"} 1"#),
        "{scraped}"
    );
    assert!(
        scraped.contains("leader_election_master_status 1"),
        "{scraped}"
    );
}

#[tokio::test(start_paused = true)]
async fn targets_do_not_wait_for_a_slow_api_server_and_all_else_does() {
    let world = World::leading(ALB);
    pass(30).await;
    world.aws.take_calls();
    world.cluster.set_latency(Duration::from_millis(2500));
    let moved = ALB.replace("192.168.96.10", "192.168.96.11");
    world.apply(&moved);
    pass(1).await;
    assert_eq!(
        world.aws.take_calls(),
        ["RegisterTargets", "DeregisterTargets"]
    );
    // The record is kept anew when endpoints are at rest, and dropped before a rule is changed.
    pass(30).await;
    world.apply(&moved.replace("  rules:\n", "  rules:\n  - matches: [{path: {type: Exact, value: /new}}]\n    backendRefs: [{name: web, port: 80}]\n"));
    pass(1).await;
    assert_eq!(world.aws.take_calls(), Vec::<&str>::new());
    pass(10).await;
    assert!(world.aws.take_calls().contains(&"CreateRule"));
}

/// Nothing waits for a standby: what there is to write is the leader's.
#[tokio::test(start_paused = true)]
async fn the_queue_of_writes_is_the_leaders() {
    let world = World::start(FakeAws::new(), ALB, Leadership::Standby);
    let depth = || {
        let scraped = world.metrics.encode();
        let mut lines = scraped.lines();
        let line = lines.find(|line| line.starts_with(r#"elbow_queue_depth{queue="writes"}"#));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    pass(10).await;
    assert_eq!(depth(), "0");
    // The API server takes no writes.
    world.cluster.set_fault(|write| {
        let object = write.verb().to_owned();
        Some(WriteError::Conflict {
            verb: "patch",
            object,
        })
    });
    world.leadership.send_replace(Leadership::Leader);
    pass(10).await;
    assert_ne!(depth(), "0");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_may_not_be_read_is_not_taken_for_one_that_is_empty() {
    let world = World::start_unsynced(FakeAws::new(), ALB, Leadership::Standby);
    let why = Absence::Forbidden {
        resource: "gateways".to_owned(),
        message: "RBAC: no".to_owned(),
    };
    let kind = Kind::Gateway;
    world.cluster.say(Event::Missing { kind, why });
    world.cluster.synced();
    pass(1).await;
    assert!(
        !world.readiness.is_ready(),
        "another one must not be stopped for it"
    );
    world.leadership.send_replace(Leadership::Leader);
    pass(30).await;
    assert_eq!(world.aws.take_calls(), Vec::<&str>::new());

    world.cluster.say(Event::Served {
        kind,
        version: "v1",
    });
    pass(30).await;
    assert!(world.readiness.is_ready());
    assert!(world.programmed().starts_with("True Programmed"));
}

#[tokio::test(start_paused = true)]
async fn the_finalizer_stands_before_the_first_change_in_aws() {
    let world = World::leading(ALB);
    // The API server refuses the finalizer for a while.
    let mut refusals = 3;
    world.cluster.set_fault(move |write| {
        let is_gateways = matches!(write, elbow_controller::Write::AddFinalizer { object, .. }
            if object.kind() == Kind::Gateway);
        if !is_gateways || refusals == 0 {
            return None;
        }
        refusals -= 1;
        Some(elbow_cluster::live::WriteError::TimedOut {
            verb: "patch",
            object: "Gateway app/web".to_owned(),
            seconds: 15,
        })
    });
    pass_millis(600).await;
    let calls = world.aws.take_calls();
    assert!(calls.contains(&"DescribeSubnets"), "{calls:?}");
    assert!(calls.iter().all(|c| !c.starts_with("Create")), "{calls:?}");
    pass(30).await;
    assert_eq!(world.aws.count("CreateLoadBalancer"), 1);
    assert_eq!(finalizers(&world, &gateway()), ["gateway.k8s.aws/alb"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_or_asked_when_nothing_changes() {
    let world = World::leading(ALB);
    pass(60).await;
    world.aws.take_calls();
    world.cluster.take_writes();
    pass(600).await;
    // Labels that nobody reads.
    for object in [gateway(), route()] {
        world.cluster.edit(&object, |o| {
            o["metadata"]["labels"]["touched"] = "yes".into();
        });
    }
    world
        .cluster
        .edit(&ObjectRef::new(Kind::GatewayClass, "", "alb"), |o| {
            o["metadata"]["labels"]["touched"] = "yes".into();
        });
    pass(600).await;
    assert_eq!(world.aws.take_calls(), Vec::<&str>::new());
    assert_eq!(world.cluster.take_writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_new_rule_is_made_and_the_status_follows() {
    let world = World::leading(ALB);
    pass(60).await;
    world.aws.take_calls();
    world.cluster.take_writes();
    world.cluster.edit(&route(), |route| {
        let mut rule = route["spec"]["rules"][0].clone();
        rule["matches"][0]["path"]["value"] = "/more".into();
        route["spec"]["rules"].as_array_mut().unwrap().push(rule);
        route["metadata"]["generation"] = 2.into();
    });
    pass(10).await;
    let calls = world.aws.take_calls();
    assert!(calls.contains(&"CreateRule"), "{calls:?}");
    let generation = &world.cluster.get(&route()).unwrap()["status"]["parents"][0]["conditions"][0];
    assert_eq!(generation["observedGeneration"], 2);
    // Written once, although the round reported twice.
    assert_eq!(world.cluster.take_writes(), ["status HTTPRoute app/web"]);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_somebody_changes_is_mended_and_conditions_of_others_stay() {
    let world = World::leading(ALB);
    pass(60).await;
    world.cluster.edit(&gateway(), |gateway| {
        let conditions = gateway["status"]["conditions"].as_array_mut().unwrap();
        conditions.retain(|c| c["type"] != "Programmed");
        conditions.push(serde_json::json!({
            "type": "example.com/Audited", "status": "True", "reason": "Yes", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }));
    });
    pass(5).await;
    assert!(world.programmed().starts_with("True"));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_goes_when_nothing_is_left_of_it() {
    let world = World::leading(ALB);
    pass(60).await;
    world
        .cluster
        .delete(&ObjectRef::new(Kind::GatewayClass, "", "alb"));
    pass(5).await;
    assert!(
        world
            .cluster
            .get(&ObjectRef::new(Kind::GatewayClass, "", "alb"))
            .is_some(),
        "a class stays while a Gateway names it"
    );
    world.cluster.take_writes();
    world.cluster.delete(&gateway());
    pass(60).await;
    assert_eq!(world.cluster.get(&gateway()), None);
    assert_eq!(world.aws.ours(), std::collections::BTreeMap::new());
    assert_eq!(
        world.cluster.of_kind(Kind::TargetGroupBinding),
        Vec::<serde_json::Value>::new()
    );
    assert_eq!(
        world.cluster.of_kind(Kind::GatewayClass),
        Vec::<serde_json::Value>::new()
    );
    let writes = world.cluster.take_writes();
    let place = |wanted: &str| writes.iter().position(|w| w.starts_with(wanted)).unwrap();
    let binding = place("delete TargetGroupBinding");
    let finalizer = place("remove-finalizer Gateway app/web");
    assert!(binding < finalizer, "{writes:?}");
    // Its entry in the route's status goes with it.
    let route = world.cluster.get(&route()).unwrap();
    assert_eq!(route["status"]["parents"], serde_json::json!([]));
}

#[tokio::test(start_paused = true)]
async fn configurations_go_when_nothing_refers_to_them() {
    let world = World::leading(ALB);
    pass(60).await;
    let configurations = [
        ObjectRef::new(Kind::LoadBalancerConfiguration, "app", "web"),
        ObjectRef::new(Kind::TargetGroupConfiguration, "app", "web"),
    ];
    for configuration in &configurations {
        assert_eq!(finalizers(&world, configuration).len(), 1);
        world.cluster.delete(configuration);
    }
    pass(10).await;
    for configuration in &configurations {
        assert!(
            world.cluster.get(configuration).is_some(),
            "{configuration} is in use"
        );
    }
    // A whole namespace goes at once.
    world.cluster.delete(&gateway());
    world.cluster.delete(&route());
    pass(60).await;
    for configuration in &configurations {
        assert_eq!(world.cluster.get(configuration), None, "{configuration}");
    }
    assert_eq!(world.aws.ours(), std::collections::BTreeMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_whose_class_is_somebody_elses_is_handed_over() {
    let world = World::leading(ALB);
    pass(60).await;
    world.apply(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: example.com/other}
",
    );
    world.cluster.edit(&gateway(), |gateway| {
        gateway["spec"]["gatewayClassName"] = "other".into();
    });
    pass(60).await;
    assert_eq!(world.aws.ours(), std::collections::BTreeMap::new());
    assert_eq!(finalizers(&world, &gateway()), Vec::<String>::new());
    world.cluster.take_writes();
    world.cluster.edit(&gateway(), |gateway| {
        gateway["status"]["conditions"] = serde_json::json!([]);
    });
    pass(60).await;
    assert_eq!(world.cluster.take_writes(), Vec::<String>::new());
    let route = world.cluster.get(&route()).unwrap();
    assert_eq!(route["status"]["parents"], serde_json::json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_that_becomes_active_is_programmed_within_3_seconds() {
    let aws = FakeAws::with_latencies(Latencies {
        application_load_balancer_provisioning_ms: 90_000,
        ..Latencies::instant()
    });
    let world = World::start(aws, ALB, Leadership::Leader);
    pass(60).await;
    assert_eq!(
        world.programmed(),
        "Unknown Pending Waiting for load balancer to be active."
    );
    pass(34).await;
    assert!(
        world.programmed().starts_with("True"),
        "{}",
        world.programmed()
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_referred_to_is_named_to_the_watch_and_waited_for() {
    let text = ALB.replace(
        "hostname: app.example.com}",
        "hostname: app.example.com, tls: {certificateRefs: [{name: web-tls}]}}",
    );
    let text = text.replace(
        "  listeners:",
        "  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}, \
         perPort: [{port: 8443, tls: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: more, namespace: pki}]}}}]}}\n  listeners:",
    );
    let world = World::leading(&text);
    pass_millis(500).await;
    let named = world.named.borrow().clone();
    let named: Vec<String> = named.iter().map(ToString::to_string).collect();
    assert_eq!(
        named,
        [
            "Secret app/web-tls",
            "ConfigMap app/ca",
            "ConfigMap pki/more"
        ]
    );
    assert_eq!(
        world.aws.take_calls(),
        Vec::<&str>::new(),
        "nobody has looked yet"
    );
    // Nobody ever does.
    pass(30).await;
    assert!(!world.aws.take_calls().is_empty());
}
