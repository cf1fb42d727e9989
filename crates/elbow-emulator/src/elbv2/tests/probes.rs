//! Health checks that the caller carries out.

use super::*;
use crate::elbv2::probes::{Probe, ProbeAddress, ProbeKind, ProbeOutcome};

const REFUSED: ProbeOutcome = ProbeOutcome::Refused;
const OK: ProbeOutcome = ProbeOutcome::HttpStatus(200);

/// A world with one target behind a load balancer of the kind that the protocol belongs to.
fn set_up(protocol: &str) -> (World, String) {
    let config = Config {
        region: "eu-west-1".into(),
        ..Config::default()
    };
    let mut world = World::with(config);
    let group = world.group("g", protocol);
    if protocol == "HTTP" {
        let lb = world.application("web");
        world.listener(&lb, "HTTP", 80, forward_to(&group));
    } else {
        let lb = world.network("net");
        world.listener(&lb, protocol, 80, forward_to(&group));
    }
    world.register(&group, &["10.0.0.9"]);
    (world, group)
}

/// Carries out the check that is due, and goes on to the time of the next one.
#[track_caller]
fn check(world: &mut World, outcome: ProbeOutcome) -> Probe {
    let mut probes = world.emulator.due_probes(world.now);
    assert_eq!(probes.len(), 1);
    assert_eq!(world.emulator.due_probes(world.now), [], "handed out once");
    let probe = probes.remove(0);
    world.emulator.report_probe(world.now, probe.id, outcome);
    world.now = world.emulator.next_probe_at().unwrap();
    probe
}

#[test]
fn the_first_pass_suffices() {
    let (mut world, group) = set_up("HTTP");
    assert_eq!(world.health(&group), ["initial Elb.InitialHealthChecking"]);
    let started = world.now;
    let probe = check(&mut world, OK);
    assert_eq!(probe.address, ProbeAddress::Ip("10.0.0.9".parse().unwrap()));
    assert_eq!((probe.port, probe.timeout_ms), (8080, 5000));
    let kind = ProbeKind::Http {
        tls: false,
        http2: false,
        path: "/".into(),
    };
    assert_eq!(probe.kind, kind);
    assert_eq!(world.now, started.plus_seconds(30));
    assert_eq!(world.health(&group), ["healthy"]);
}

#[test]
fn thresholds() {
    let (mut world, group) = set_up("HTTP");
    check(&mut world, OK);
    check(&mut world, REFUSED);
    assert_eq!(world.health(&group), ["healthy"], "one failure of two");
    check(&mut world, OK);
    check(&mut world, REFUSED);
    assert_eq!(world.health(&group), ["healthy"], "failures count in a row");
    check(&mut world, REFUSED);
    assert_eq!(
        world.health(&group),
        ["unhealthy Target.FailedHealthChecks"]
    );
    for _ in 0..4 {
        check(&mut world, OK);
    }
    assert_eq!(
        world.health(&group),
        ["unhealthy Target.FailedHealthChecks"],
        "four passes of five"
    );
    check(&mut world, OK);
    assert_eq!(world.health(&group), ["healthy"]);
}

#[test]
fn reasons() {
    let rows = [
        (
            "HTTP",
            ProbeOutcome::HttpStatus(503),
            "unhealthy Target.ResponseCodeMismatch",
        ),
        ("HTTP", ProbeOutcome::Timeout, "unhealthy Target.Timeout"),
        (
            "HTTP",
            ProbeOutcome::Malformed,
            "unhealthy Target.FailedHealthChecks",
        ),
        (
            "TCP",
            ProbeOutcome::Timeout,
            "unhealthy Target.FailedHealthChecks",
        ),
    ];
    for (protocol, outcome, expected) in rows {
        let (mut world, group) = set_up(protocol);
        check(&mut world, outcome);
        check(&mut world, outcome);
        assert_eq!(world.health(&group), [expected], "{protocol} {outcome:?}");
    }
}

#[test]
fn tcp_checks_connect() {
    let (mut world, group) = set_up("TCP");
    let probe = check(&mut world, ProbeOutcome::Passed);
    assert_eq!(probe.kind, ProbeKind::Tcp);
    assert_eq!(world.health(&group), ["healthy"]);
}

#[test]
fn unhealthy_connections_may_drain() {
    let (mut world, group) = set_up("TCP");
    let attribute = |key: &str, value: &str| wire::TargetGroupAttribute {
        key: Some(key.into()),
        value: Some(value.into()),
    };
    let _: wire::ModifyTargetGroupAttributesOutput =
        world.ask(wire::ModifyTargetGroupAttributesInput {
            target_group_arn: group.clone(),
            attributes: vec![
                attribute(
                    "target_health_state.unhealthy.connection_termination.enabled",
                    "false",
                ),
                attribute(
                    "target_health_state.unhealthy.draining_interval_seconds",
                    "100",
                ),
            ],
        });
    check(&mut world, ProbeOutcome::Passed);
    check(&mut world, REFUSED);
    let probe = world.emulator.due_probes(world.now).remove(0);
    world.emulator.report_probe(world.now, probe.id, REFUSED);
    assert_eq!(
        world.health(&group),
        ["unhealthy.draining Target.FailedHealthChecks"]
    );
    world.wait_ms(99_999);
    assert_eq!(
        world.health(&group),
        ["unhealthy.draining Target.FailedHealthChecks"]
    );
    world.wait_ms(1);
    assert_eq!(
        world.health(&group),
        ["unhealthy Target.FailedHealthChecks"]
    );
}

#[test]
fn late_reports_do_not_count() {
    let (mut world, group) = set_up("HTTP");
    let old = world.emulator.due_probes(world.now).remove(0);
    world.wait_ms(30_000);
    let new = world.emulator.due_probes(world.now).remove(0);
    world.emulator.report_probe(world.now, old.id, OK);
    assert_eq!(world.health(&group), ["initial Elb.InitialHealthChecking"]);
    world.emulator.report_probe(world.now, new.id, OK);
    world.emulator.report_probe(world.now, new.id, REFUSED);
    assert_eq!(world.health(&group), ["healthy"]);
}

#[test]
fn unused_and_draining_targets_are_not_checked() {
    let (mut world, group) = set_up("HTTP");
    check(&mut world, OK);
    let _: wire::DeregisterTargetsOutput = world.ask(wire::DeregisterTargetsInput {
        target_group_arn: group.clone(),
        targets: targets(&["10.0.0.9"]),
    });
    assert_eq!(world.emulator.due_probes(world.now), []);
    assert_eq!(world.emulator.next_probe_at(), None);
    let unused = world.group("unused", "HTTP");
    world.register(&unused, &["10.0.0.9"]);
    assert_eq!(world.emulator.next_probe_at(), None);
}
