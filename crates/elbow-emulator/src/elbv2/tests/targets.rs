//! Target groups and their targets.

use super::*;
use crate::ec2::state::InstanceState;

fn register(group: &str, targets: Vec<wire::TargetDescription>) -> wire::RegisterTargetsInput {
    wire::RegisterTargetsInput {
        target_group_arn: group.into(),
        targets,
    }
}

fn in_zone(id: &str, zone: &str) -> Vec<wire::TargetDescription> {
    vec![wire::TargetDescription {
        id: id.into(),
        availability_zone: Some(zone.into()),
        ..Default::default()
    }]
}

#[test]
fn create_refuses() {
    let mut world = World::new();
    let ok = || world.group_input("g", "HTTP");
    let rows = [
        (
            wire::CreateTargetGroupInput {
                name: "a--b".into(),
                ..ok()
            },
            "ValidationError",
            "two hyphens",
        ),
        (
            wire::CreateTargetGroupInput {
                protocol: None,
                ..ok()
            },
            "ValidationError",
            "A target group of type 'ip' must have a protocol and a port",
        ),
        (
            wire::CreateTargetGroupInput {
                vpc_id: None,
                ..ok()
            },
            "ValidationError",
            "A VPC ID must be specified",
        ),
        (
            wire::CreateTargetGroupInput {
                vpc_id: Some("vpc-x".into()),
                ..ok()
            },
            "ValidationError",
            "The VPC ID 'vpc-x' is not found",
        ),
        (
            wire::CreateTargetGroupInput {
                protocol_version: Some("HTTP/2".into()),
                ..ok()
            },
            "ValidationError",
            "Target group protocol version 'HTTP/2' must be one of '[HTTP2, HTTP1, GRPC]'",
        ),
        (
            wire::CreateTargetGroupInput {
                protocol: Some("TCP".into()),
                protocol_version: Some("HTTP1".into()),
                ..ok()
            },
            "ValidationError",
            "You cannot specify the protocol version for a target group with the 'TCP' protocol",
        ),
        (
            wire::CreateTargetGroupInput {
                target_type: Some("alb".into()),
                ..ok()
            },
            "InvalidConfigurationRequest",
            "Target type 'alb' is not supported for target groups with HTTP protocol",
        ),
        (
            wire::CreateTargetGroupInput {
                protocol: Some("TCP_QUIC".into()),
                ip_address_type: Some("ipv6".into()),
                ..ok()
            },
            "InvalidConfigurationRequest",
            "Protocol 'TCP_QUIC' is not supported with an IPv6 target group",
        ),
        (
            wire::CreateTargetGroupInput {
                target_type: Some("lambda".into()),
                ..ok()
            },
            "ValidationError",
            "not modelled",
        ),
        (
            wire::CreateTargetGroupInput {
                protocol: Some("GENEVE".into()),
                ..ok()
            },
            "ValidationError",
            "not modelled",
        ),
        (
            wire::CreateTargetGroupInput {
                target_control_port: Some(1),
                ..ok()
            },
            "ValidationError",
            "TargetControlPort is not modelled",
        ),
        (
            wire::CreateTargetGroupInput {
                health_check_interval_seconds: Some(600),
                ..ok()
            },
            "ValidationError",
            "Value '600' at 'healthCheckIntervalSeconds' failed to satisfy constraint: Member must have value less than or equal to 300",
        ),
    ];
    for (input, code, text) in rows {
        world.refuses(input, code, text);
    }
}

#[test]
fn creating_again_answers_with_what_there_is() {
    let mut world = World::new();
    let arn = world.group("g", "HTTP");
    assert_eq!(world.group("g", "HTTP"), arn);
    let other = world.group_input("g", "HTTPS");
    world.refuses(
        other,
        "DuplicateTargetGroupName",
        "A target group with the same name 'g' exists, but with different settings",
    );
    let delete = || wire::DeleteTargetGroupInput {
        target_group_arn: arn.clone(),
    };
    let _: wire::DeleteTargetGroupOutput = world.ask(delete());
    let _: wire::DeleteTargetGroupOutput = world.ask(delete());
}

#[test]
fn describe_by_one_thing_at_a_time() {
    let mut world = World::new();
    let (lb, group) = (world.application("web"), world.group("g", "HTTP"));
    world.group("unused", "HTTP");
    world.listener(&lb, "HTTP", 80, forward_to(&group));
    let by_lb = wire::DescribeTargetGroupsInput {
        load_balancer_arn: Some(lb.clone()),
        ..Default::default()
    };
    let output: wire::DescribeTargetGroupsOutput = world.ask(by_lb.clone());
    let groups = output.target_groups.unwrap();
    assert_eq!(groups.len(), 1);
    assert_eq!(
        groups[0].load_balancer_arns.as_deref(),
        Some([lb].as_slice())
    );
    let both = wire::DescribeTargetGroupsInput {
        names: Some(vec!["g".into()]),
        ..by_lb
    };
    world.refuses(
        both,
        "ValidationError",
        "cannot be specified at the same time",
    );
    let gone = wire::DescribeTargetGroupsInput {
        names: Some(vec!["gone".into()]),
        ..Default::default()
    };
    world.refuses(
        gone,
        "TargetGroupNotFound",
        "One or more target groups not found",
    );
}

#[test]
fn register_refuses() {
    let mut world = World::new();
    let ips = world.group("ips", "HTTP");
    let instances = wire::CreateTargetGroupInput {
        target_type: None,
        ..world.group_input("instances", "HTTP")
    };
    let output: wire::CreateTargetGroupOutput = world.ask(instances);
    let instances = output
        .target_groups
        .unwrap()
        .remove(0)
        .target_group_arn
        .unwrap();
    let quic = world.group("quic", "QUIC");
    let instance = world.instance.clone();
    world
        .emulator
        .set_instance_state(&instance, InstanceState::Stopped)
        .unwrap();
    let rows = [
        (
            register(&ips, vec![]),
            "ValidationError",
            "At least one target",
        ),
        (
            register(&ips, targets(&["web"])),
            "ValidationError",
            "IP address 'web' is not valid",
        ),
        (
            register(&ips, targets(&["8.8.8.8"])),
            "ValidationError",
            "The IP address '8.8.8.8' is not allowed, as it must be an address from a VPC subnet, RFC1918, or RFC6598",
        ),
        (
            register(&ips, targets(&["192.168.0.1"])),
            "ValidationError",
            "You must specify a valid Availability Zone or select 'all'",
        ),
        (
            register(&ips, in_zone("10.0.0.9", "all")),
            "ValidationError",
            "is within the VPC, and cannot have its Availability Zone overridden to 'all' from 'eu-west-1a'",
        ),
        (
            register(&ips, in_zone("192.168.0.1", "mars")),
            "ValidationError",
            "'mars' is not valid",
        ),
        (
            register(&ips, targets(&["fd00::1"])),
            "ValidationError",
            "is not an ipv4 address",
        ),
        (
            register(&instances, targets(&["10.0.0.9"])),
            "ValidationError",
            "Instance ID '10.0.0.9' is not valid",
        ),
        (
            register(&instances, targets(&["i-nope"])),
            "InvalidTarget",
            "i-nope",
        ),
        (
            register(&instances, targets(&[&instance])),
            "InvalidTarget",
            "are not in a running state and cannot be registered",
        ),
        (
            register(&quic, targets(&["10.0.0.9"])),
            "ValidationError",
            "A QUIC server ID must be specified",
        ),
        (
            register(&ips.replace("/ips/", "/gone/"), targets(&["10.0.0.9"])),
            "TargetGroupNotFound",
            "One or more target groups not found",
        ),
    ];
    for (input, code, text) in rows {
        world.refuses(input, code, text);
    }
    let _: wire::RegisterTargetsOutput = world.ask(register(&ips, in_zone("192.168.0.1", "all")));
    let _: wire::RegisterTargetsOutput = world.ask(register(&ips, in_zone("100.64.0.1", ZONES[1])));
}

#[test]
fn target_quotas() {
    let mut config = Config {
        region: "eu-west-1".into(),
        ..Config::default()
    };
    config.quotas.targets_per_target_group = 2;
    config.quotas.targets_per_application_load_balancer = 2;
    let mut world = World::with(config);
    let (lb, one, two) = (
        world.application("web"),
        world.group("one", "HTTP"),
        world.group("two", "HTTP"),
    );
    let three = register(&one, targets(&["10.0.0.1", "10.0.0.2", "10.0.0.3"]));
    world.refuses(three, "TooManyTargets", "per target group");
    world.register(&one, &["10.0.0.1", "10.0.0.2"]);
    world.register(&two, &["10.0.0.3"]);
    let listener = world.listener(&lb, "HTTP", 80, forward_to(&one));
    let attach = World::rule_input(&listener, 1, "/", forward_to(&two));
    world.refuses(attach, "TooManyTargets", "per load balancer");
}

#[test]
fn an_alb_target_needs_a_listener_on_the_port() {
    let mut world = World::new();
    let alb = world.application("web");
    let group = wire::CreateTargetGroupInput {
        target_type: Some("alb".into()),
        ..world.group_input("alb", "TCP")
    };
    let output: wire::CreateTargetGroupOutput = world.ask(group);
    let group = output
        .target_groups
        .unwrap()
        .remove(0)
        .target_group_arn
        .unwrap();
    world.refuses(
        register(&group, targets(&[&alb])),
        "InvalidTarget",
        "must have a listener",
    );
    world.listener(&alb, "HTTP", 8080, fixed_response("200"));
    world.register(&group, &[&alb]);
    let second = world.application("second");
    world.listener(&second, "HTTP", 8080, fixed_response("200"));
    let more = register(&group, targets(&[&second]));
    world.refuses(
        more,
        "TooManyTargets",
        "Up to '1' Application Load Balancer target(s)",
    );
}

#[test]
fn modify_health_check() {
    let mut world = World::new();
    let arn = world.group("g", "HTTP");
    let modify = wire::ModifyTargetGroupInput {
        target_group_arn: arn,
        health_check_path: Some("/up".into()),
        matcher: Some(wire::Matcher {
            http_code: Some("200-299".into()),
            grpc_code: None,
        }),
        ..Default::default()
    };
    let output: wire::ModifyTargetGroupOutput = world.ask(modify.clone());
    let group = output.target_groups.unwrap().remove(0);
    assert_eq!(group.health_check_path.as_deref(), Some("/up"));
    assert_eq!(group.health_check_interval_seconds, Some(30));
    let off = wire::ModifyTargetGroupInput {
        health_check_enabled: Some(false),
        ..modify
    };
    world.refuses(off, "ValidationError", "Health check enabled must be true");
}
