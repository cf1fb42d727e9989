//! Which Secrets the watch is told to look at.

use std::time::Duration;

use elbow_api::{Kind, ObjectRef};
use serde_json::json;

use crate::world::{ALB, World, gateway, pass};

fn named(world: &World) -> Vec<String> {
    let named = world.named.borrow();
    named.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn a_name_that_the_answer_to_a_write_brings_is_looked_at() {
    let world = World::leading(ALB);
    pass(60).await;
    world.cluster.set_latency(Duration::from_secs(10));
    world
        .cluster
        .edit(&gateway(), |g| g["status"]["conditions"] = json!([]));
    pass(1).await;
    // Its status is being written when somebody names a Secret, and the watch tells of both later.
    world.cluster.hold_watch();
    world.cluster.edit(&gateway(), |g| {
        g["spec"]["listeners"][1]["tls"] = json!({ "certificateRefs": [{ "name": "web-tls" }] });
    });
    pass(15).await;
    assert!(world.programmed().starts_with("True"), "it was written");
    world.cluster.release_watch();
    pass(1).await;
    assert_eq!(named(&world), ["Secret app/web-tls"]);
}

const FOREIGN: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: mesh, namespace: app}
spec:
  gatewayClassName: mesh
  listeners:
  - {name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: mesh-tls}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more, namespace: app}
spec:
  parentRef: {name: mesh}
  listeners:
  - {name: https, protocol: HTTPS, port: 444, tls: {certificateRefs: [{name: more-tls}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: mesh}
spec: {controllerName: example.com/mesh}
";

#[tokio::test(start_paused = true)]
async fn secrets_of_gateways_of_other_controllers_are_not_read() {
    let world = World::leading(ALB);
    world.apply(FOREIGN);
    pass(30).await;
    assert_eq!(named(&world), Vec::<String>::new());
    // It is given to elbow.
    let mesh = ObjectRef::new(Kind::Gateway, "app", "mesh");
    world
        .cluster
        .edit(&mesh, |g| g["spec"]["gatewayClassName"] = "alb".into());
    pass(1).await;
    assert_eq!(
        named(&world),
        ["Secret app/mesh-tls", "Secret app/more-tls"]
    );
    // And taken away.
    world
        .cluster
        .edit(&mesh, |g| g["spec"]["gatewayClassName"] = "mesh".into());
    pass(1).await;
    assert_eq!(named(&world), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_class_that_comes_late_names_the_secrets_of_its_gateways() {
    let (class, rest) = FOREIGN.rsplit_once("---").map(|(a, b)| (b, a)).unwrap();
    let world = World::leading(ALB);
    world.apply(rest);
    pass(30).await;
    assert_eq!(named(&world), Vec::<String>::new());
    world.apply(&class.replace("example.com/mesh", "gateway.k8s.aws/alb"));
    pass(1).await;
    assert_eq!(named(&world).len(), 2);
}
