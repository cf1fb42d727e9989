//! Readiness gates: pods are read where an endpoint does not tell all, registered, and told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use elbow_api::{Kind, ObjectRef};
use elbow_cluster::live::{Event, WriteError};
use elbow_controller::Write;

use crate::world::{ALB, World, pass, pass_millis};

const NODE: &str = "---
apiVersion: v1
kind: Node
metadata: {name: node-1}
status: {conditions: [{type: Ready, status: 'True'}]}
";

fn pod_ref() -> ObjectRef {
    ObjectRef::new(Kind::Pod, "app", "new")
}

/// [`ALB`] at work, and the condition type of its binding's gate.
async fn programmed() -> (World, String) {
    let world = World::leading(&format!("{ALB}{NODE}"));
    pass(30).await;
    let bindings = world.cluster.of_kind(Kind::TargetGroupBinding);
    let name = bindings[0]["metadata"]["name"].as_str().unwrap();
    let gate = format!("target-health.elbv2.k8s.aws/{name}");
    world.aws.take_calls();
    world.cluster.take_writes();
    (world, gate)
}

/// An endpoint beside that of [`ALB`].
fn endpoint(world: &World, is_ready: bool) {
    world.apply(&format!(
        "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: web-2, namespace: app, labels: {{kubernetes.io/service-name: web}}}}
addressType: IPv4
ports: [{{name: http, port: 8080, protocol: TCP}}]
endpoints:
- addresses: [192.168.96.11]
  conditions: {{ready: {is_ready}}}
  nodeName: node-0
  targetRef: {{kind: Pod, name: new, namespace: app, uid: u-1}}
"
    ));
}

/// The endpoint's pod, as the watch finds it.
fn pod(world: &World, gate: &str, containers: &str) {
    world.apply(&format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: new, namespace: app, uid: u-1}}
spec: {{nodeName: node-1, containers: [{{name: c}}], readinessGates: [{{conditionType: {gate}}}]}}
"
    ));
    world.cluster.edit(&pod_ref(), |pod| {
        pod["status"]["conditions"] =
            serde_json::json!([{ "type": "ContainersReady", "status": containers }]);
    });
    looked_up(world);
}

fn looked_up(world: &World) {
    world.cluster.say(Event::Named {
        object: pod_ref(),
        refused: None,
    });
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_read_registered_told_and_left_alone() {
    let (world, gate) = programmed().await;
    endpoint(&world, false);
    pass_millis(100).await;
    assert!(world.named.borrow().contains(&pod_ref()));
    pod(&world, &gate, "False");
    pass(5).await;
    assert_eq!(world.aws.take_calls(), Vec::<&str>::new(), "it only starts");

    world.cluster.edit(&pod_ref(), |pod| {
        pod["status"]["conditions"][0]["status"] = "True".into();
    });
    pass_millis(100).await;
    assert_eq!(world.aws.take_calls(), ["RegisterTargets"]);
    assert_eq!(
        world.cluster.condition(&pod_ref(), &gate),
        "False Elb.RegistrationInProgress Target registration is in progress"
    );
    pass(2).await;
    assert_eq!(world.aws.take_calls(), ["DescribeTargetHealth"]);
    assert_eq!(world.cluster.condition(&pod_ref(), &gate), "True  ");
    let writes = ["conditions Pod app/new", "conditions Pod app/new"];
    assert_eq!(world.cluster.take_writes(), writes);

    // The kubelet says that it is ready.
    endpoint(&world, true);
    pass_millis(100).await;
    assert!(world.named.borrow().is_empty());
    world.cluster.delete(&pod_ref());
    pass(120).await;
    assert_eq!(world.aws.take_calls(), Vec::<&str>::new());
    assert_eq!(world.cluster.take_writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_condition_that_cannot_be_written_is_written_later() {
    let (world, gate) = programmed().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    world.cluster.set_fault(move |write| {
        let is_pods = matches!(write, Write::PodConditions { .. });
        let is_down = is_pods && counted.fetch_add(1, Ordering::Relaxed) < 4;
        is_down.then(|| WriteError::TimedOut {
            verb: "patch",
            object: "Pod app/new".to_owned(),
            seconds: 15,
        })
    });
    endpoint(&world, false);
    pod(&world, &gate, "True");
    pass(30).await;
    assert_eq!(world.cluster.condition(&pod_ref(), &gate), "True  ");
    assert_eq!(tries.load(Ordering::Relaxed), 5);
    assert_eq!(world.aws.count("DescribeTargetHealth"), 1);
}

#[tokio::test(start_paused = true)]
async fn another_pod_of_the_name_is_not_told() {
    let (world, gate) = programmed().await;
    endpoint(&world, false);
    pod(&world, &gate, "True");
    // A StatefulSet's next pod, before its EndpointSlice says so.
    world
        .cluster
        .edit(&pod_ref(), |pod| pod["metadata"]["uid"] = "u-2".into());
    pass(60).await;
    assert_eq!(world.cluster.condition(&pod_ref(), &gate), "");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_waits_is_not_deregistered_by_a_restart() {
    let (world, gate) = programmed().await;
    endpoint(&world, false);
    pod(&world, &gate, "True");
    pass_millis(100).await;
    assert_eq!(world.aws.take_calls(), ["RegisterTargets"]);
    world.stop.cancel();
    world.run.await.unwrap().unwrap();

    // The next instance sees the EndpointSlice, and has to ask for the pod.
    world.cluster.delete(&pod_ref());
    let next = World::resume(world.aws.clone(), world.cluster.clone());
    pass_millis(500).await;
    assert!(next.named.borrow().contains(&pod_ref()));
    pod(&next, &gate, "True");
    pass(30).await;
    let calls = next.aws.take_calls();
    assert!(!calls.contains(&"DeregisterTargets"), "{calls:?}");
    assert_eq!(next.cluster.condition(&pod_ref(), &gate), "True  ");
}
