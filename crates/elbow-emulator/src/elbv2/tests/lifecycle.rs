//! What time does to load balancers and targets.

use super::*;
use crate::config::Latencies;
use crate::ec2::state::InstanceState;

fn slow() -> Config {
    Config {
        region: "eu-west-1".into(),
        health: HealthMode::AssumeHealthy,
        latencies: Latencies {
            application_load_balancer_provisioning_ms: 1000,
            application_target_registration_ms: 100,
            ..Latencies::instant()
        },
        ..Config::default()
    }
}

fn deregister(world: &mut World, group: &str, ids: &[&str]) {
    let _: wire::DeregisterTargetsOutput = world.ask(wire::DeregisterTargetsInput {
        target_group_arn: group.into(),
        targets: targets(ids),
    });
}

fn state(world: &mut World, arn: &str) -> String {
    let output: wire::DescribeLoadBalancersOutput = world.ask(wire::DescribeLoadBalancersInput {
        load_balancer_arns: Some(vec![arn.into()]),
        ..Default::default()
    });
    output
        .load_balancers
        .unwrap()
        .remove(0)
        .state
        .unwrap()
        .code
        .unwrap()
}

#[test]
fn provisioning_then_active() {
    let mut world = World::with(slow());
    let arn = world.application("web");
    assert_eq!(state(&mut world, &arn), "provisioning");
    assert_eq!(
        world.emulator.next_event(),
        Some(world.now.plus_millis(1000))
    );
    world.wait_ms(999);
    assert_eq!(state(&mut world, &arn), "provisioning");
    let revision = world.emulator.revision();
    world.wait_ms(1);
    assert_eq!(state(&mut world, &arn), "active");
    assert!(world.emulator.revision() > revision);
    assert_eq!(world.emulator.next_event(), None);
}

#[test]
fn a_target_from_unused_to_gone() {
    let mut world = World::with(slow());
    let (lb, group) = (world.application("web"), world.group("g", "HTTP"));
    world.wait_ms(1000);
    world.register(&group, &["10.0.0.9"]);
    assert_eq!(world.health(&group), ["unused Target.NotInUse"]);
    let listener = world.listener(&lb, "HTTP", 80, forward_to(&group));
    assert_eq!(world.health(&group), ["initial Elb.RegistrationInProgress"]);
    assert_eq!(
        world.emulator.next_event(),
        Some(world.now.plus_millis(100))
    );
    world.wait_ms(100);
    assert_eq!(world.health(&group), ["healthy"]);
    assert_eq!(world.emulator.next_event(), None);
    world.register(&group, &["10.0.0.9"]);
    assert_eq!(
        world.health(&group),
        ["healthy"],
        "registering again does nothing"
    );
    deregister(&mut world, &group, &["10.0.0.9", "10.0.0.77"]);
    assert_eq!(
        world.health(&group),
        ["draining Target.DeregistrationInProgress"]
    );
    world.wait_ms(299_999);
    assert_eq!(world.health(&group).len(), 1);
    world.wait_ms(1);
    assert_eq!(world.health(&group), [""; 0]);
    world.register(&group, &["10.0.0.9"]);
    world.wait_ms(100);
    assert_eq!(world.health(&group), ["healthy"]);
    let _: wire::DeleteListenerOutput = world.ask(wire::DeleteListenerInput {
        listener_arn: listener,
    });
    assert_eq!(world.health(&group), ["unused Target.NotInUse"]);
    deregister(&mut world, &group, &["10.0.0.9"]);
    assert_eq!(
        world.health(&group),
        [""; 0],
        "an unused target has nothing to drain"
    );
}

#[test]
fn a_draining_target_is_taken_back() {
    let mut world = World::new();
    let (lb, group) = (world.application("web"), world.group("g", "HTTP"));
    world.listener(&lb, "HTTP", 80, forward_to(&group));
    world.register(&group, &["10.0.0.9"]);
    deregister(&mut world, &group, &["10.0.0.9"]);
    world.register(&group, &["10.0.0.9"]);
    assert_eq!(world.health(&group), ["healthy"]);
    world.wait_ms(300_000);
    assert_eq!(
        world.health(&group),
        ["healthy"],
        "the old deadline is void"
    );
}

#[test]
fn checks_wait_for_the_load_balancer() {
    let mut world = World::with(slow());
    let (lb, group) = (world.application("web"), world.group("g", "HTTP"));
    world.register(&group, &["10.0.0.9"]);
    world.listener(&lb, "HTTP", 80, forward_to(&group));
    world.wait_ms(1099);
    assert_eq!(world.health(&group), ["initial Elb.RegistrationInProgress"]);
    world.wait_ms(1);
    assert_eq!(world.health(&group), ["healthy"]);
}

#[test]
fn a_zone_that_is_not_enabled() {
    let mut world = World::new();
    let (lb, group) = (world.application("web"), world.group("g", "HTTP"));
    world.listener(&lb, "HTTP", 80, forward_to(&group));
    world.register(&group, &["10.0.0.9", "10.0.32.9"]);
    assert_eq!(world.health(&group), ["healthy", "unused Target.NotInUse"]);
    let all = world.subnets.clone();
    let _: wire::SetSubnetsOutput = world.ask(wire::SetSubnetsInput {
        load_balancer_arn: lb,
        subnets: Some(all),
        ..Default::default()
    });
    assert_eq!(world.health(&group), ["healthy", "healthy"]);
}

#[test]
fn an_instance_that_stops() {
    let mut world = World::new();
    let lb = world.application("web");
    let input = wire::CreateTargetGroupInput {
        target_type: Some("instance".into()),
        ..world.group_input("g", "HTTP")
    };
    let output: wire::CreateTargetGroupOutput = world.ask(input);
    let group = output
        .target_groups
        .unwrap()
        .remove(0)
        .target_group_arn
        .unwrap();
    world.listener(&lb, "HTTP", 80, forward_to(&group));
    let instance = world.instance.clone();
    world.register(&group, &[&instance]);
    assert_eq!(world.health(&group), ["healthy"]);
    world
        .emulator
        .set_instance_state(&instance, InstanceState::Stopped)
        .unwrap();
    assert_eq!(world.health(&group), ["unused Target.InvalidState"]);
}

#[test]
fn asking_for_a_target_that_is_not_there() {
    let mut world = World::new();
    let group = world.group("g", "HTTP");
    let output: wire::DescribeTargetHealthOutput = world.ask(wire::DescribeTargetHealthInput {
        target_group_arn: group,
        targets: Some(targets(&["10.0.0.9"])),
        include: None,
    });
    let description = output.target_health_descriptions.unwrap().remove(0);
    assert_eq!(description.target.unwrap().port, Some(8080));
    assert_eq!(
        description.target_health.unwrap().reason.as_deref(),
        Some("Target.NotRegistered")
    );
}
