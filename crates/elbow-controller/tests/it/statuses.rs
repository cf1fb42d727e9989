//! Statuses when something keeps a Gateway from being worked on.

use elbow_api::{Kind, ObjectRef};
use elbow_cluster::live::Leadership;
use elbow_model::{AwsError, ErrorClass};

use crate::account::{FakeAws, Fate};
use crate::world::{ALB, World, gateway, pass, route};

fn denied() -> Fate {
    let message = "not authorized";
    Fate::Refused(AwsError::new(ErrorClass::Denied, "AccessDenied", message))
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_is_denied_from_the_start_reaches_the_gateway() {
    for operation in ["DescribeLoadBalancers", "DescribeSubnets"] {
        let aws = FakeAws::new();
        aws.set_fault(move |call| (call.operation() == operation).then(denied));
        let world = World::start(aws, ALB, Leadership::Leader);
        pass(1800).await;
        let accepted = world.cluster.condition(&gateway(), "Accepted");
        assert!(
            accepted.starts_with("False Invalid AWS cannot be asked: AccessDenied"),
            "{operation}: {accepted}"
        );
        assert!(world.programmed().starts_with("False Invalid"));
        let events = world.cluster.take_events();
        let told = events.iter().filter(|e| {
            e.starts_with("Warning FailedDeployModel: Failed deploy model due to AWS cannot be")
                && e.ends_with("(Gateway app/web)")
        });
        assert_eq!(told.count(), 1, "{operation}: {events:?}");

        world.aws.set_fault(|_| None);
        pass(3600).await;
        let accepted = world.cluster.condition(&gateway(), "Accepted");
        assert_eq!(accepted, "True Accepted ", "{operation}");
        assert!(world.programmed().starts_with("True"), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_cannot_ask_aws_leaves_what_is_said_of_what_serves() {
    let world = World::leading(ALB);
    pass(60).await;
    world.stop.cancel();
    world.run.await.unwrap().unwrap();
    let before = world.cluster.get(&gateway()).unwrap();
    world.aws.set_fault(|_| Some(denied()));
    let next = World::resume(world.aws.clone(), world.cluster.clone());
    pass(600).await;
    let after = next.cluster.get(&gateway()).unwrap();
    for field in ["addresses", "listeners"] {
        assert_eq!(after["status"][field], before["status"][field]);
    }
    assert!(next.programmed().starts_with("True"), "it goes on serving");
    let accepted = next.cluster.condition(&gateway(), "Accepted");
    assert!(
        accepted.starts_with("False Invalid AWS cannot"),
        "{accepted}"
    );
    let accepted = next.cluster.condition(&route(), "Accepted");
    assert_eq!(accepted, "True Accepted ");
    next.aws.set_fault(|_| None);
    pass(3600).await;
    let accepted = next.cluster.condition(&gateway(), "Accepted");
    assert_eq!(accepted, "True Accepted ");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_routes_stays_while_nothing_can_be_said_of_their_gateway() {
    let rows = [
        ObjectRef::new(Kind::GatewayClass, "", "alb"),
        ObjectRef::new(Kind::LoadBalancerConfiguration, "app", "web"),
    ];
    for missing in rows {
        let world = World::leading(ALB);
        pass(60).await;
        let before = world.cluster.get(&route()).unwrap()["status"].clone();
        // Somebody removes it by force.
        world.cluster.edit(&missing, |o| {
            o["metadata"]["finalizers"] = serde_json::json!([]);
            o["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        });
        pass(60).await;
        assert_eq!(world.cluster.get(&missing), None, "{missing}");
        let after = world.cluster.get(&route()).unwrap()["status"].clone();
        assert_eq!(after, before, "{missing}");
        // Nor are its TargetGroupBindings touched.
        assert_eq!(world.cluster.of_kind(Kind::TargetGroupBinding).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_binding_of_a_gateway_says_that_its_targets_are_registered() {
    let world = World::leading(ALB);
    pass(60).await;
    let of_binding = |events: &[String]| {
        let told = events
            .iter()
            .filter(|e| e.contains("(TargetGroupBinding app/"));
        told.cloned().collect::<Vec<_>>()
    };
    let told = of_binding(&world.cluster.take_events());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("Normal SuccessfullyReconciled: Successfully reconciled"),
        "{told:?}"
    );
    pass(3600).await;
    assert_eq!(of_binding(&world.cluster.take_events()).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_asks_for_a_dry_run_gets_nothing() {
    let of_gateway = "kind: Gateway\nmetadata: {name: web, namespace: app";
    let asked = format!("{of_gateway}, annotations: {{gateway.k8s.aws/dry-run: 'true'}}");
    let world = World::leading(&ALB.replace(of_gateway, &asked));
    pass(600).await;
    let changed = world.aws.take_calls().into_iter();
    let changed = changed.filter(|c| !c.starts_with("Describe") && !c.starts_with("Get"));
    assert_eq!(changed.collect::<Vec<_>>(), Vec::<&str>::new());
    let accepted = world.cluster.condition(&gateway(), "Accepted");
    assert!(
        accepted.starts_with("False Pending the annotation"),
        "{accepted}"
    );
    let without = |g: &mut serde_json::Value| g["metadata"]["annotations"] = serde_json::json!({});
    world.cluster.edit(&gateway(), without);
    pass(60).await;
    assert!(world.programmed().starts_with("True"));
    // What is there goes on, as with LBC.
    world.cluster.edit(&gateway(), |g| {
        g["metadata"]["annotations"] = serde_json::json!({ "gateway.k8s.aws/dry-run": "true" });
    });
    pass(60).await;
    let accepted = world.cluster.condition(&gateway(), "Accepted");
    assert_eq!(accepted, "True Accepted ");
}
