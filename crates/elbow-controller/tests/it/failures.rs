//! AWS refuses, is slow, or falls silent; the API server refuses.

use std::sync::{Arc, Mutex};

use elbow_api::Kind;
use elbow_cluster::live::WriteError;
use elbow_controller::Write;
use elbow_model::{AwsCall, AwsError, ErrorClass};

use crate::account::Fate;
use crate::world::{ALB, World, gateway, pass, route};

fn refused(class: ErrorClass, code: &str, message: &str) -> Fate {
    Fate::Refused(AwsError::new(class, code, message))
}

#[tokio::test(start_paused = true)]
async fn a_denied_action_reaches_the_gateway_and_everything_else_goes_on() {
    let world = World::leading(ALB);
    world.aws.set_fault(|call| {
        let is_tls = matches!(call, AwsCall::CreateListener { port, .. } if port.get() == 443);
        is_tls.then(|| refused(ErrorClass::Denied, "AccessDenied", "not authorized"))
    });
    pass(60).await;
    let accepted = world.cluster.condition(&gateway(), "Accepted");
    assert!(
        accepted.starts_with("False Invalid CreateListener failed: AccessDenied: not authorized"),
        "{accepted}"
    );
    assert!(world.programmed().starts_with("True"), "port 80 works");
    let events = world.cluster.take_events();
    let failed: Vec<_> = events
        .iter()
        .filter(|e| e.starts_with("Warning FailedDeployModel: Failed deploy model due to "))
        .collect();
    assert_eq!(failed.len(), 1, "told once: {events:?}");

    world.aws.set_fault(|_| None);
    pass(3600).await;
    let accepted = world.cluster.condition(&gateway(), "Accepted");
    assert_eq!(accepted, "True Accepted ");
}

#[tokio::test(start_paused = true)]
async fn a_quota_reaches_the_route_that_it_is_too_small_for() {
    let world = World::leading(ALB);
    world.aws.set_fault(|call| {
        matches!(call, AwsCall::CreateRule { .. })
            .then(|| refused(ErrorClass::Quota, "TooManyRules", "rules: 100"))
    });
    pass(60).await;
    let accepted = world.cluster.condition(&route(), "Accepted");
    assert!(
        accepted.starts_with("False QuotaExceeded CreateRule failed: TooManyRules"),
        "{accepted}"
    );
}

#[tokio::test(start_paused = true)]
async fn lost_answers_panics_and_silence_end_in_the_same_world() {
    for fate in [Fate::AnswerLost, Fate::Panics, Fate::Hangs] {
        let world = World::leading(ALB);
        let hits = Arc::new(Mutex::new(0_u32));
        let (seen, what) = (Arc::clone(&hits), fate.clone());
        world.aws.set_fault(move |call| {
            let mut hits = seen.lock().unwrap();
            let is_hit = call.is_mutating() && *hits < 8;
            *hits += u32::from(is_hit);
            is_hit.then(|| what.clone())
        });
        pass(4 * 3600).await;
        assert_eq!(*hits.lock().unwrap(), 8, "{fate:?}");
        assert!(world.programmed().starts_with("True"), "{fate:?}");
        let ours = world.aws.ours();
        assert_eq!(ours.get("loadbalancer"), Some(&1), "{fate:?}: {ours:?}");
        assert_eq!(ours.get("targetgroup"), Some(&1), "{fate:?}: {ours:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_flips_no_condition() {
    let world = World::leading(ALB);
    let mut n = 0;
    world.aws.set_fault(move |_| {
        n += 1;
        (n % 2 == 0).then(|| refused(ErrorClass::Throttled, "Throttling", "Rate exceeded"))
    });
    for _ in 0..120 {
        pass(5).await;
        let accepted = world.cluster.condition(&gateway(), "Accepted");
        assert!(!accepted.starts_with("False"), "{accepted}");
    }
    assert!(world.programmed().starts_with("True"));
}

#[tokio::test(start_paused = true)]
async fn conflicting_writes_are_merged_again() {
    let world = World::leading(ALB);
    let mut conflicts = 0;
    world.cluster.set_fault(move |write| {
        let is_route =
            matches!(write, Write::Status { object, .. } if object.kind() == Kind::HttpRoute);
        (is_route && conflicts < 3).then(|| {
            conflicts += 1;
            WriteError::Conflict {
                verb: "patch",
                object: "HTTPRoute app/web".to_owned(),
            }
        })
    });
    pass(60).await;
    assert_eq!(
        world.cluster.condition(&route(), "Accepted"),
        "True Accepted "
    );
}

#[tokio::test(start_paused = true)]
async fn a_role_that_lacks_a_verb_is_told_once_and_tried_again() {
    let world = World::leading(ALB);
    world.cluster.set_fault(|write| {
        matches!(write, Write::Status { object, .. } if object.kind() == Kind::Gateway).then(|| {
            WriteError::Denied {
                verb: "patch",
                resource: "gateways/status".to_owned(),
                object: "Gateway app/web".to_owned(),
            }
        })
    });
    pass(3600).await;
    let events = world.cluster.take_events();
    let told: Vec<_> = events
        .iter()
        .filter(|e| e.contains("FailedUpdateStatus") && e.contains("gateways/status"))
        .collect();
    assert_eq!(told.len(), 1, "{events:?}");
    world.cluster.set_fault(|_| None);
    pass(180).await;
    assert!(world.programmed().starts_with("True"));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_undone_is_repeated_ever_more_slowly() {
    let world = World::leading(ALB);
    let written = Arc::new(Mutex::new(0_u32));
    let seen = Arc::clone(&written);
    world.cluster.set_fault(move |write| {
        if matches!(write, Write::Status { object, .. } if object.kind() == Kind::HttpRoute) {
            *seen.lock().unwrap() += 1;
        }
        None
    });
    // An admission webhook empties the status of the route again and again.
    for _ in 0..600 {
        pass(1).await;
        if world.cluster.get(&route()).unwrap()["status"]["parents"][0].is_object() {
            world
                .cluster
                .edit(&route(), |r| r["status"]["parents"] = serde_json::json!([]));
        }
    }
    let written = *written.lock().unwrap();
    assert!(
        (2..60).contains(&written),
        "{written} writes in ten minutes"
    );
}
