//! TargetGroupBindings: those that users write, and what becomes of the others' finalizers.

use elbow_api::{Kind, ObjectRef};
use elbow_cluster::live::Leadership;
use elbow_controller::Ended;
use elbow_emulator::world::TargetGroupSpec;
use elbow_model::{AwsError, ErrorClass};
use serde_json::json;

use crate::account::{FakeAws, Fate, VPC};
use crate::world::{ALB, World, pass};

const BASE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: app}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080, protocol: TCP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: app, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [{addresses: [192.168.96.10], conditions: {ready: true}}]
---
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: web, namespace: app}
";

fn manifests(spec: &str) -> String {
    format!("{BASE}spec: {{targetGroupName: web, serviceRef: {{name: web, port: 80}}{spec}}}\n")
}

fn binding() -> ObjectRef {
    ObjectRef::new(Kind::TargetGroupBinding, "app", "web")
}

/// A cluster with that binding, and an account with its target group and another one.
fn world(spec: &str) -> World {
    let aws = FakeAws::new();
    for name in ["web", "two"] {
        aws.add_target_group(TargetGroupSpec {
            arn: None,
            name: name.to_owned(),
            target_type: "ip".to_owned(),
            protocol: "HTTP".to_owned(),
            port: 80,
            vpc_id: VPC.to_owned(),
            ip_address_type: "ipv4".to_owned(),
        });
    }
    World::start(aws, &manifests(spec), Leadership::Leader)
}

fn events(world: &World) -> Vec<String> {
    world.cluster.take_events()
}

#[tokio::test(start_paused = true)]
async fn a_binding_of_a_user_gets_its_finalizer_targets_and_status() {
    let world = world("");
    pass(10).await;
    let object = world.cluster.get(&binding()).unwrap();
    assert_eq!(
        object["metadata"]["finalizers"],
        json!(["elbv2.k8s.aws/resources"])
    );
    assert_eq!(object["status"]["observedGeneration"], 1);
    assert_eq!(object["status"]["conditions"].as_array().unwrap().len(), 1);
    assert_eq!(
        world.cluster.condition(&binding(), "IpTargets"),
        "True IpTargets The target group takes IP addresses."
    );
    assert_eq!(world.aws.count("RegisterTargets"), 1);
    assert_eq!(
        events(&world),
        ["Normal SuccessfullyReconciled: Successfully reconciled (TargetGroupBinding app/web)"]
    );
    world.aws.take_calls();
    world.cluster.take_writes();
    pass(600).await;
    assert_eq!(world.aws.take_calls(), Vec::<&str>::new());
    assert_eq!(world.cluster.take_writes(), Vec::<String>::new());

    world.cluster.delete(&binding());
    pass(10).await;
    assert_eq!(world.cluster.get(&binding()), None);
    // What got into the group unseen has to go, too.
    let calls = world.aws.take_calls();
    assert_eq!(calls, ["DescribeTargetHealth", "DeregisterTargets"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_stands_in_the_condition_and_an_event_until_it_is_right() {
    let world = world(", targetType: instance");
    pass(10).await;
    let refused =
        "FailedReconcile targetType is `instance`, and that of target group `web` is `ip`";
    let condition = world.cluster.condition(&binding(), "Ready");
    assert!(
        condition.starts_with(&format!("False {refused}")),
        "{condition}"
    );
    let told = events(&world);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("Warning FailedReconcile: targetType is"),
        "{told:?}"
    );
    assert_eq!(world.aws.count("RegisterTargets"), 0);

    world.apply(&manifests(""));
    pass(10).await;
    assert_eq!(
        world.cluster.condition(&binding(), "Ready"),
        "True SuccessfullyReconciled Successfully reconciled"
    );
    assert_eq!(world.aws.count("RegisterTargets"), 1);

    world.cluster.take_writes();
    world
        .cluster
        .delete(&ObjectRef::new(Kind::Service, "app", "web"));
    pass(10).await;
    let writes = world.cluster.take_writes();
    let opened = writes.iter().filter(|w| w.starts_with("open-gates "));
    assert_eq!(opened.count(), 1, "{writes:?}");
    let condition = world.cluster.condition(&binding(), "Ready");
    assert!(
        condition.starts_with("False BackendNotFound Service app/web does not exist"),
        "{condition}"
    );
    assert_eq!(world.aws.count("DeregisterTargets"), 1);
    let told = events(&world);
    assert!(
        told.iter()
            .any(|e| e.starts_with("Warning BackendNotFound")),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_was_edited_between_two_instances_gives_its_old_group_back() {
    let world = world("");
    pass(30).await;
    world.stop.cancel();
    assert_eq!(world.run.await.unwrap(), Ok(Ended::InOrder));
    let moved = manifests("").replace("targetGroupName: web", "targetGroupName: two");
    for object in crate::world::objects(&moved) {
        world.cluster.apply(&object);
    }
    world.aws.take_calls();
    let next = World::resume(world.aws.clone(), world.cluster.clone());
    pass(30).await;
    let calls = next.aws.take_calls();
    let of_targets = calls.iter().filter(|call| call.ends_with("Targets"));
    assert_eq!(
        of_targets.collect::<Vec<_>>(),
        [&"RegisterTargets", &"DeregisterTargets"]
    );

    // And one that was not edited costs nothing of its own.
    next.stop.cancel();
    assert_eq!(next.run.await.unwrap(), Ok(Ended::InOrder));
    let last = World::resume(next.aws.clone(), next.cluster.clone());
    pass(30).await;
    let calls = last.aws.take_calls();
    assert!(!calls.contains(&"DescribeTargetHealth"), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_know_about_a_group_that_was_left_is_told() {
    for (reconciled, is_told) in [(1, true), (2, false)] {
        let (world, moved) = (world(""), manifests(", targetType: ip"));
        pass(30).await;
        world.stop.cancel();
        assert_eq!(world.run.await.unwrap(), Ok(Ended::InOrder));
        // As the AWS Load Balancer Controller leaves it: edited, and without a record.
        for object in crate::world::objects(&moved) {
            world.cluster.apply(&object);
        }
        world.cluster.edit(&binding(), |binding| {
            binding["status"]["observedGeneration"] = json!(reconciled);
        });
        world.cluster.forget_records();
        world.cluster.take_events();
        let next = World::resume(world.aws.clone(), world.cluster.clone());
        pass(30).await;
        let told = next.cluster.take_events();
        let warned = told.iter().filter(|e| e.contains("TargetsMayBeLeft"));
        assert_eq!(warned.count(), usize::from(is_told), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rules_that_could_not_be_written_are_told_on_the_binding() {
    let networking = ", networking: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}], \
                      ports: [{protocol: TCP, port: 8080}]}]}";
    let world = world(networking);
    world.aws.set_fault(|call| {
        let denied = AwsError::new(ErrorClass::Denied, "AccessDenied", "no");
        let is_rule = call.operation() == "AuthorizeSecurityGroupIngress";
        is_rule.then_some(Fate::Refused(denied))
    });
    pass(10).await;
    assert_eq!(world.aws.count("RegisterTargets"), 1);
    let failed = "FailedNetworkReconcile";
    let condition = world.cluster.condition(&binding(), "Ready");
    assert!(
        condition.starts_with(&format!("False {failed} Authorize")),
        "{condition}"
    );
    let told = events(&world);
    let warnings = told.iter().filter(|e| e.contains(failed)).count();
    assert_eq!(warnings, 1, "{told:?}");

    world.aws.set_fault(|_| None);
    pass(600).await;
    assert_eq!(
        world.cluster.condition(&binding(), "Ready"),
        "True SuccessfullyReconciled Successfully reconciled"
    );
    let told = events(&world);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("Normal SuccessfullyReconciled"),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_that_fails_is_told_and_goes_on_when_it_may() {
    let world = world("");
    pass(10).await;
    events(&world);
    world.aws.set_fault(|call| {
        let denied = AwsError::new(ErrorClass::Denied, "AccessDenied", "no");
        (call.operation() == "DeregisterTargets").then_some(Fate::Refused(denied))
    });
    world.cluster.delete(&binding());
    pass(10).await;
    assert!(world.cluster.get(&binding()).is_some());
    let condition = world.cluster.condition(&binding(), "Ready");
    assert!(
        condition.starts_with("False FailedCleanup DeregisterTargets failed"),
        "{condition}"
    );
    let told = events(&world);
    assert!(told[0].starts_with("Warning FailedCleanup"), "{told:?}");
    world.aws.set_fault(|_| None);
    pass(600).await;
    assert_eq!(world.cluster.get(&binding()), None);
}

#[tokio::test(start_paused = true)]
async fn own_targets_of_a_shared_group_are_kept_before_they_are_registered_and_go_with_the_binding()
{
    let world = world(", multiClusterTargetGroup: true");
    pass(10).await;
    assert_eq!(
        world.cluster.own_targets(&binding()).as_deref(),
        Some("192.168.96.10:8080")
    );
    assert_eq!(world.aws.count("RegisterTargets"), 1);
    world.cluster.delete(&binding());
    pass(10).await;
    assert_eq!(world.cluster.get(&binding()), None);
    assert_eq!(world.cluster.own_targets(&binding()), None);
    assert_eq!(world.aws.count("DeregisterTargets"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_gateways_binding_with_the_finalizer_of_lbc_is_told_of_and_goes_with_its_gateway() {
    let world = World::leading(ALB);
    pass(60).await;
    let bindings = world.cluster.of_kind(Kind::TargetGroupBinding);
    assert_eq!(bindings.len(), 1);
    assert_eq!(bindings[0]["status"]["observedGeneration"], 1);
    let name = bindings[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let object = ObjectRef::new(Kind::TargetGroupBinding, "app", name);
    // As the AWS Load Balancer Controller leaves it.
    world.cluster.edit(&object, |binding| {
        binding["metadata"]["finalizers"] = json!(["elbv2.k8s.aws/resources"]);
        binding["metadata"]["annotations"]["elbv2.k8s.aws/checkpoint"] = json!("a/b");
    });
    world.cluster.take_writes();
    pass(60).await;
    assert_eq!(world.cluster.take_writes(), Vec::<String>::new());

    // Somebody deletes it: it goes, and is made again.
    world.cluster.delete(&object);
    pass(10).await;
    let again = world.cluster.get(&object).unwrap();
    assert_eq!(again["metadata"]["deletionTimestamp"], json!(null));
    assert_eq!(world.aws.count("DeregisterTargets"), 0);

    world.cluster.edit(&object, |binding| {
        binding["metadata"]["finalizers"] = json!(["elbv2.k8s.aws/resources"]);
    });
    world.cluster.delete(&crate::world::gateway());
    pass(600).await;
    assert_eq!(world.cluster.get(&crate::world::gateway()), None);
    assert_eq!(
        world.cluster.of_kind(Kind::TargetGroupBinding),
        Vec::<serde_json::Value>::new()
    );
}
