//! Create, describe, delete, subnets, security groups, attributes, tags, limits.

use std::collections::BTreeMap;

use super::*;

fn create(
    world: &World,
    change: impl Fn(&mut wire::CreateLoadBalancerInput),
) -> wire::CreateLoadBalancerInput {
    let mut input = world.load_balancer_input("web");
    change(&mut input);
    input
}

fn describe(world: &mut World, arn: &str) -> wire::LoadBalancer {
    let output: wire::DescribeLoadBalancersOutput = world.ask(wire::DescribeLoadBalancersInput {
        load_balancer_arns: Some(vec![arn.into()]),
        ..Default::default()
    });
    output.load_balancers.unwrap().remove(0)
}

#[test]
fn create_refuses() {
    let mut world = World::new();
    let v6 = || Some("dualstack".to_owned());
    let network = || Some("network".to_owned());
    let mapping = |world: &World, eip: &str| {
        let id = world.subnets[0].clone();
        let allocation_id = (!eip.is_empty()).then(|| eip.to_owned());
        Some(vec![wire::SubnetMapping {
            subnet_id: Some(id),
            allocation_id,
            ..Default::default()
        }])
    };
    let rows = [
        (
            "underscore",
            create(&world, |i| i.name = "we_b".into()),
            "ValidationError",
            "can only contain",
        ),
        (
            "no subnet",
            create(&world, |i| i.subnets = None),
            "ValidationError",
            "At least one subnet",
        ),
        (
            "one zone",
            create(&world, |i| i.subnets = Some(vec![world.subnets[0].clone()])),
            "ValidationError",
            "At least two subnets in two different Availability Zones must be specified",
        ),
        (
            "one zone twice",
            create(&world, |i| {
                i.subnets = Some(vec![world.subnets[0].clone(), world.subnets[0].clone()]);
            }),
            "InvalidConfigurationRequest",
            "multiple subnets in the same Availability Zone",
        ),
        (
            "unknown subnet",
            create(&world, |i| i.subnets = Some(vec!["subnet-nope".into()])),
            "SubnetNotFound",
            "The subnet ID 'subnet-nope' does not exist",
        ),
        (
            "unknown group",
            create(&world, |i| i.security_groups = Some(vec!["sg-nope".into()])),
            "InvalidSecurityGroup",
            "One or more security groups are invalid",
        ),
        (
            "subnets and mappings",
            create(&world, |i| i.subnet_mappings = mapping(&world, "")),
            "ValidationError",
            "but not both",
        ),
        (
            "elastic address of an ALB",
            create(&world, |i| {
                i.subnets = None;
                i.subnet_mappings = mapping(&world, "eipalloc-1");
            }),
            "InvalidConfigurationRequest",
            "Elastic IPs are not supported for load balancers with type 'application'",
        ),
        (
            "unknown elastic address",
            create(&world, |i| {
                i.r#type = network();
                i.subnets = None;
                i.subnet_mappings = mapping(&world, "eipalloc-1");
            }),
            "AllocationIdNotFound",
            "The allocation ID 'eipalloc-1' does not exist",
        ),
        (
            "no IPv6",
            create(&world, |i| i.ip_address_type = v6()),
            "InvalidSubnet",
            "IPv6 CIDR block",
        ),
        (
            "NLB without public IPv4",
            create(&world, |i| {
                i.r#type = network();
                i.ip_address_type = Some("dualstack-without-public-ipv4".into());
            }),
            "InvalidConfigurationRequest",
            "is not supported on load balancers with type 'network'",
        ),
        (
            "source NAT on ipv4",
            create(&world, |i| {
                i.r#type = network();
                i.enable_prefix_for_ipv6_source_nat = Some("on".into());
            }),
            "InvalidConfigurationRequest",
            "can only be specified when using IpAddressType 'dualstack'",
        ),
        (
            "gateway",
            create(&world, |i| i.r#type = Some("gateway".into())),
            "ValidationError",
            "not modelled",
        ),
        (
            "IPAM pool",
            create(&world, |i| {
                i.ipam_pools = Some(wire::IpamPools {
                    ipv4_ipam_pool_id: Some("ipam-pool-1".into()),
                });
            }),
            "ValidationError",
            "IpamPools is not modelled",
        ),
        (
            "repeated tag",
            create(&world, |i| {
                i.tags = Some(vec![
                    wire::Tag {
                        key: "a".into(),
                        value: None
                    };
                    2
                ]);
            }),
            "DuplicateTagKeys",
            "unique",
        ),
        (
            "reserved tag",
            create(&world, |i| {
                i.tags = Some(vec![wire::Tag {
                    key: "aws:a".into(),
                    value: None,
                }]);
            }),
            "ValidationError",
            "reserved",
        ),
    ];
    for (name, input, code, text) in rows {
        let refusal = world.refused(input);
        assert_eq!(refusal.code, code, "{name}: {refusal}");
        assert!(refusal.message.contains(text), "{name}: {refusal}");
    }
}

#[test]
fn creating_again_answers_with_what_there_is() {
    let mut world = World::new();
    let arn = world.application("web");
    assert_eq!(world.application("web"), arn);
    let internal = create(&world, |i| i.scheme = Some("internal".into()));
    world.refuses(
        internal,
        "DuplicateLoadBalancerName",
        "A load balancer with the same name 'web' exists, but with different settings",
    );
    let network = world.network("web");
    assert_ne!(network, arn, "names are apart by type");
}

#[test]
fn quota() {
    let mut config = Config {
        region: "eu-west-1".into(),
        ..Config::default()
    };
    config.quotas.application_load_balancers = 1;
    let mut world = World::with(config);
    world.application("a");
    let second = world.load_balancer_input("b");
    world.refuses(second, "TooManyLoadBalancers", "'1'");
    world.network("b");
}

#[test]
fn reads_back() {
    let mut world = World::new();
    let arn = world.application("web");
    let lb = describe(&mut world, &arn);
    assert_eq!(lb.state.unwrap().code.as_deref(), Some("active"));
    assert_eq!(
        lb.canonical_hosted_zone_id.as_deref(),
        Some("Z32O12XQLNTSW2")
    );
    assert_eq!(
        lb.security_groups.map(|groups| groups.len()),
        Some(1),
        "the VPC's default group"
    );
    assert_eq!(lb.availability_zones.unwrap().len(), 2);
    assert_eq!(lb.enable_prefix_for_ipv6_source_nat, None);
    let network = world.network("net");
    let lb = describe(&mut world, &network);
    assert_eq!(
        (lb.security_groups, lb.r#type.as_deref()),
        (None, Some("network"))
    );
    assert_eq!(lb.enable_prefix_for_ipv6_source_nat.as_deref(), Some("off"));
}

#[test]
fn describe_refuses() {
    let mut world = World::new();
    let arn = world.application("web");
    let by_arn = |arn: &str| wire::DescribeLoadBalancersInput {
        load_balancer_arns: Some(vec![arn.into()]),
        ..Default::default()
    };
    let gone = arn.replace("web", "gone");
    world.refuses(by_arn(&gone), "LoadBalancerNotFound", &gone);
    world.refuses(
        by_arn("web"),
        "ValidationError",
        "'web' is not a valid load balancer ARN",
    );
    let by_name = wire::DescribeLoadBalancersInput {
        names: Some(vec!["gone".into()]),
        ..Default::default()
    };
    world.refuses(
        by_name.clone(),
        "LoadBalancerNotFound",
        "Load balancers '[gone]' not found",
    );
    let both = wire::DescribeLoadBalancersInput {
        load_balancer_arns: Some(vec![arn.clone()]),
        ..by_name
    };
    world.refuses(both, "ValidationError", "at the same time");
    let many = wire::DescribeLoadBalancersInput {
        load_balancer_arns: Some(vec![arn; 21]),
        ..Default::default()
    };
    world.refuses(many, "ValidationError", "Up to '20'");
}

#[test]
fn pages() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.application(name);
    }
    let (mut names, mut marker) = (Vec::new(), None);
    loop {
        let output: wire::DescribeLoadBalancersOutput =
            world.ask(wire::DescribeLoadBalancersInput {
                page_size: Some(2),
                marker,
                ..Default::default()
            });
        names.extend(
            output
                .load_balancers
                .unwrap()
                .into_iter()
                .map(|lb| lb.load_balancer_name),
        );
        marker = output.next_marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(names.len(), 3);
}

#[test]
fn delete() {
    let mut world = World::new();
    let arn = world.application("web");
    let group = world.group("g", "HTTP");
    world.listener(&arn, "HTTP", 80, forward_to(&group));
    let protect = |on: bool| wire::ModifyLoadBalancerAttributesInput {
        load_balancer_arn: arn.clone(),
        attributes: vec![wire::LoadBalancerAttribute {
            key: Some("deletion_protection.enabled".into()),
            value: Some(on.to_string()),
        }],
    };
    let delete = || wire::DeleteLoadBalancerInput {
        load_balancer_arn: arn.clone(),
    };
    let _: wire::ModifyLoadBalancerAttributesOutput = world.ask(protect(true));
    world.refuses(
        delete(),
        "OperationNotPermitted",
        "deletion protection is enabled",
    );
    let _: wire::ModifyLoadBalancerAttributesOutput = world.ask(protect(false));
    let _: wire::DeleteLoadBalancerOutput = world.ask(delete());
    let _: wire::DeleteLoadBalancerOutput = world.ask(delete());
    let state = &world.emulator.elbv2;
    assert!(state.listeners.is_empty() && state.rules.is_empty() && state.references.is_empty());
    assert_eq!(state.target_groups.len(), 1);
}

#[test]
fn an_alb_behind_an_nlb_stays() {
    let mut world = World::new();
    let alb = world.application("web");
    world.listener(&alb, "HTTP", 8080, fixed_response("200"));
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
    world.register(&group, &[&alb]);
    let delete = wire::DeleteLoadBalancerInput {
        load_balancer_arn: alb,
    };
    world.refuses(delete, "ResourceInUse", &group);
}

#[test]
fn interfaces_outlive_their_load_balancer() {
    let mut config = Config {
        region: "eu-west-1".into(),
        ..Config::default()
    };
    config.latencies.eni_release_ms = 1000;
    let mut world = World::with(config);
    let arn = world.application("web");
    let _: wire::DeleteLoadBalancerOutput = world.ask(wire::DeleteLoadBalancerInput {
        load_balancer_arn: arn,
    });
    assert_eq!(world.emulator.elbv2.security_groups_in_use().len(), 1);
    assert_eq!(
        world.emulator.next_event(),
        Some(world.now.plus_millis(1000))
    );
    world.wait_ms(1000);
    world.emulator.advance(world.now);
    assert!(world.emulator.elbv2.security_groups_in_use().is_empty());
    assert_eq!(world.emulator.next_event(), None);
}

#[test]
fn set_subnets() {
    let mut world = World::new();
    let arn = world.application("web");
    let set = |arn: &str, subnets: &[String]| wire::SetSubnetsInput {
        load_balancer_arn: arn.into(),
        subnets: Some(subnets.to_vec()),
        ..Default::default()
    };
    let all = world.subnets.clone();
    let output: wire::SetSubnetsOutput = world.ask(set(&arn, &all));
    assert_eq!(output.availability_zones.unwrap().len(), 3);
    world.refuses(
        set(&arn, &all[..1]),
        "ValidationError",
        "At least two subnets",
    );
    let network = world.network("net");
    let _: wire::SetSubnetsOutput = world.ask(set(&network, &all[..1]));
    let twin = SubnetSpec::new(&world.vpc, ZONES[0], "10.0.48.0/20".parse().unwrap());
    let twin = world.emulator.add_subnet(twin).unwrap();
    world.refuses(
        set(&network, &[twin]),
        "InvalidConfigurationRequest",
        "in the same Availability Zone",
    );
}

#[test]
fn set_security_groups() {
    let mut world = World::new();
    let default = world
        .emulator
        .ec2
        .default_security_group(&world.vpc)
        .unwrap()
        .id
        .clone();
    let set = |arn: &str, groups: &[&str]| wire::SetSecurityGroupsInput {
        load_balancer_arn: arn.into(),
        security_groups: groups.iter().map(|id| (*id).to_owned()).collect(),
        ..Default::default()
    };
    let bare = world.network("bare");
    world.refuses(
        set(&bare, &[&default]),
        "InvalidConfigurationRequest",
        "created without",
    );
    let guarded = wire::CreateLoadBalancerInput {
        r#type: Some("network".into()),
        security_groups: Some(vec![default.clone()]),
        ..world.load_balancer_input("guarded")
    };
    let guarded = world.add_load_balancer(guarded);
    world.refuses(
        set(&guarded, &[]),
        "InvalidConfigurationRequest",
        "At least one",
    );
    world.refuses(
        set(&guarded, &["sg-nope"]),
        "InvalidSecurityGroup",
        "invalid",
    );
    let output: wire::SetSecurityGroupsOutput = world.ask(set(&guarded, &[&default]));
    assert_eq!(
        output
            .enforce_security_group_inbound_rules_on_private_link_traffic
            .as_deref(),
        Some("on")
    );
}

#[test]
fn attributes_are_all_or_nothing() {
    let mut world = World::new();
    let arn = world.application("web");
    let pair = |key: &str, value: &str| wire::LoadBalancerAttribute {
        key: Some(key.into()),
        value: Some(value.into()),
    };
    let modify =
        |pairs: Vec<wire::LoadBalancerAttribute>| wire::ModifyLoadBalancerAttributesInput {
            load_balancer_arn: arn.clone(),
            attributes: pairs,
        };
    let half = vec![
        pair("idle_timeout.timeout_seconds", "30"),
        pair("nonsense", "1"),
    ];
    world.refuses(
        modify(half),
        "ValidationError",
        "'nonsense' is not recognized",
    );
    let twice = vec![pair("routing.http2.enabled", "true"); 2];
    world.refuses(
        modify(twice),
        "ValidationError",
        "has been specified more than once",
    );
    let lb = &world.emulator.elbv2.load_balancers[&arn];
    assert_eq!(lb.attribute("idle_timeout.timeout_seconds"), "60");
}

#[test]
fn tags() {
    let mut world = World::new();
    let arn = world.application("web");
    let tag = |key: &str| wire::Tag {
        key: key.into(),
        value: Some("v".into()),
    };
    let add = |arns: &[&str], tags: Vec<wire::Tag>| wire::AddTagsInput {
        resource_arns: arns.iter().map(|arn| (*arn).to_owned()).collect(),
        tags,
    };
    let _: wire::AddTagsOutput = world.ask(add(&[&arn], vec![tag("a"), tag("b")]));
    let many: Vec<_> = (0..49).map(|n| tag(&n.to_string())).collect();
    world.refuses(add(&[&arn], many), "TooManyTags", "50");
    let gone = arn.replace("web", "gone");
    world.refuses(
        add(&[&arn, &gone], vec![tag("c")]),
        "LoadBalancerNotFound",
        &gone,
    );
    let trust_store = format!("{BASE}:truststore/ca/0123456789abcdef");
    world.refuses(
        add(&[&trust_store], vec![tag("c")]),
        "TrustStoreNotFound",
        "ca",
    );
    let _: wire::RemoveTagsOutput = world.ask(wire::RemoveTagsInput {
        resource_arns: vec![arn.clone()],
        tag_keys: vec!["a".into(), "unknown".into()],
    });
    let output: wire::DescribeTagsOutput = world.ask(wire::DescribeTagsInput {
        resource_arns: vec![arn.clone()],
    });
    let tags = output.tag_descriptions.unwrap().remove(0).tags.unwrap();
    let keys: BTreeMap<_, _> = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    assert_eq!(keys.keys().collect::<Vec<_>>(), ["b"]);
    let many = wire::DescribeTagsInput {
        resource_arns: vec![arn; 21],
    };
    world.refuses(many, "ValidationError", "Up to '20'");
}

#[test]
fn limits_policies_and_reservations() {
    let mut world = World::new();
    let arn = world.application("web");
    let output: wire::DescribeAccountLimitsOutput =
        world.ask(wire::DescribeAccountLimitsInput::default());
    let limits = output.limits.unwrap();
    let rules = limits
        .iter()
        .find(|limit| limit.name.as_deref() == Some("rules-per-application-load-balancer"));
    assert_eq!(rules.unwrap().max.as_deref(), Some("100"));
    assert_eq!(limits.len(), 18);
    let names = |names: &[&str]| wire::DescribeSSLPoliciesInput {
        names: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..Default::default()
    };
    let output: wire::DescribeSSLPoliciesOutput =
        world.ask(names(&["ELBSecurityPolicy-TLS13-1-3-2021-06"]));
    let policy = output.ssl_policies.unwrap().remove(0);
    assert_eq!(policy.ssl_protocols.unwrap(), ["TLSv1.3"]);
    world.refuses(
        names(&["nope"]),
        "SSLPolicyNotFound",
        "SSL policy 'nope' not found",
    );
    let _: wire::DescribeCapacityReservationOutput =
        world.ask(wire::DescribeCapacityReservationInput {
            load_balancer_arn: arn,
        });
}
