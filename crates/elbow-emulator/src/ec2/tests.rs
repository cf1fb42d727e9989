//! EC2 operation by operation, through [`Emulator::handle`], as any client would.

use std::collections::BTreeMap;

use crate::generated::ec2 as wire;
use crate::generated::elbv2;
use crate::world::{InstanceSpec, SecurityGroupSpec, SubnetSpec, VpcSpec};
use crate::{Config, Emulator, Latencies, Quotas, Request, Response, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct World {
    emulator: Emulator,
    vpc: String,
    subnets: Vec<String>,
    group: String,
}

fn world(config: Config) -> World {
    let mut emulator = Emulator::new(config);
    let vpc = emulator
        .add_vpc(VpcSpec::new("10.0.0.0/16".parse().unwrap()))
        .unwrap();
    let subnets = (0..2).map(|n| {
        let cidr = format!("10.0.{n}.0/24").parse().unwrap();
        let zone = ["us-east-1a", "us-east-1b"][n];
        emulator
            .add_subnet(SubnetSpec::new(&vpc, zone, cidr))
            .unwrap()
    });
    let subnets = subnets.collect();
    emulator.add_internet_gateway(&vpc, None).unwrap();
    let group = SecurityGroupSpec {
        id: None,
        name: "g".into(),
        description: "d".into(),
        vpc_id: vpc.clone(),
        tags: BTreeMap::new(),
    };
    let group = emulator.add_security_group(group).unwrap();
    World {
        emulator,
        vpc,
        subnets,
        group,
    }
}

impl World {
    fn ok<T: TryFrom<Response>>(&mut self, request: impl Into<Request>) -> T {
        let response = self.emulator.handle(NOW, request).unwrap();
        T::try_from(response).unwrap_or_else(|_| panic!("a response of another operation"))
    }

    #[track_caller]
    fn refused(&mut self, request: impl Into<Request>) -> String {
        self.emulator.handle(NOW, request).unwrap_err().code
    }

    fn ingress(&self, permission: wire::IpPermission) -> wire::AuthorizeSecurityGroupIngressInput {
        wire::AuthorizeSecurityGroupIngressInput {
            group_id: Some(self.group.clone()),
            ip_permissions: Some(vec![permission]),
            ..Default::default()
        }
    }

    fn balancer(&mut self) -> String {
        let request = elbv2::CreateLoadBalancerInput {
            name: "web".into(),
            subnets: Some(self.subnets.clone()),
            security_groups: Some(vec![self.group.clone()]),
            ..Default::default()
        };
        let made: elbv2::CreateLoadBalancerOutput = self.ok(request);
        made.load_balancers.unwrap()[0]
            .load_balancer_arn
            .clone()
            .unwrap()
    }

    fn interfaces(&mut self) -> Vec<wire::NetworkInterface> {
        let filter = wire::Filter {
            name: Some("requester-id".into()),
            values: Some(vec!["amazon-elb".into()]),
        };
        let request = wire::DescribeNetworkInterfacesInput {
            filters: Some(vec![filter]),
            ..Default::default()
        };
        self.ok::<wire::DescribeNetworkInterfacesOutput>(request)
            .network_interfaces
            .unwrap()
    }
}

fn tcp(port: i32, cidrs: &[&str]) -> wire::IpPermission {
    let ranges = cidrs.iter().map(|cidr| wire::IpRange {
        cidr_ip: Some((*cidr).into()),
        description: None,
    });
    wire::IpPermission {
        from_port: Some(port),
        to_port: Some(port),
        ip_protocol: Some("tcp".into()),
        ip_ranges: Some(ranges.collect()),
        ..Default::default()
    }
}

#[test]
fn duplicates_are_found_after_canonicalization() {
    let mut world = world(Config::default());
    let request = world.ingress(tcp(80, &["100.68.0.18/18"]));
    let added: wire::AuthorizeSecurityGroupIngressOutput = world.ok(request);
    let rule = &added.security_group_rules.unwrap()[0];
    assert_eq!(rule.cidr_ipv4.as_deref(), Some("100.68.0.0/18"));
    let again = world.ingress(tcp(80, &["100.68.63.255/18"]));
    assert_eq!(world.refused(again), "InvalidPermission.Duplicate");
    let by_number = wire::IpPermission {
        ip_protocol: Some("6".into()),
        ..tcp(80, &["100.68.0.0/18"])
    };
    let by_number = world.ingress(by_number);
    assert_eq!(world.refused(by_number), "InvalidPermission.Duplicate");
}

#[test]
fn a_prefix_list_counts_its_entries() {
    let quotas = Quotas {
        rules_per_security_group: 10,
        ..Quotas::default()
    };
    let mut world = world(Config {
        quotas,
        ..Config::default()
    });
    let list = world.emulator.add_prefix_list(None, 10).unwrap();
    let by_list = wire::IpPermission {
        ip_ranges: None,
        prefix_list_ids: Some(vec![wire::PrefixListId {
            prefix_list_id: Some(list),
            description: None,
        }]),
        ..tcp(80, &[])
    };
    let request = world.ingress(by_list);
    world.ok::<wire::AuthorizeSecurityGroupIngressOutput>(request);
    let one_more = world.ingress(tcp(81, &["10.0.0.0/8"]));
    assert_eq!(
        world.refused(one_more),
        "RulesPerSecurityGroupLimitExceeded"
    );
}

#[test]
fn a_refused_call_changes_nothing() {
    let mut world = world(Config::default());
    let before = format!("{:?}", world.emulator.ec2);
    let request = wire::AuthorizeSecurityGroupIngressInput {
        group_id: Some(world.group.clone()),
        ip_permissions: Some(vec![tcp(80, &["10.0.0.0/8"]), tcp(81, &["nonsense"])]),
        ..Default::default()
    };
    assert_eq!(world.refused(request), "InvalidParameterValue");
    let dry = wire::CreateSecurityGroupInput {
        description: "d".into(),
        dry_run: Some(true),
        group_name: "dry".into(),
        vpc_id: Some(world.vpc.clone()),
        ..Default::default()
    };
    assert_eq!(world.refused(dry), "DryRunOperation");
    assert_eq!(format!("{:?}", world.emulator.ec2), before);
}

#[test]
fn a_load_balancer_has_an_interface_in_each_subnet() {
    let mut world = world(Config::default());
    let instance = world
        .emulator
        .add_instance(InstanceSpec::new(&world.subnets[0]))
        .unwrap();
    let arn = world.balancer();
    let interfaces = world.interfaces();
    assert_eq!(interfaces.len(), 2);
    let path = arn.split_once(":loadbalancer/").unwrap().1;
    for interface in &interfaces {
        assert_eq!(interface.description, Some(format!("ELB {path}")));
        assert_eq!(
            interface.groups.as_ref().unwrap()[0].group_id,
            Some(world.group.clone())
        );
        assert_eq!(interface.requester_managed, Some(true));
    }
    let request = wire::DescribeInstancesInput {
        instance_ids: Some(vec![instance]),
        ..Default::default()
    };
    let reservations = world
        .ok::<wire::DescribeInstancesOutput>(request)
        .reservations
        .unwrap();
    let own = reservations[0].instances.as_ref().unwrap()[0]
        .private_ip_address
        .clone();
    assert!(
        interfaces
            .iter()
            .all(|interface| interface.private_ip_address != own)
    );
    let subnets: wire::DescribeSubnetsOutput = world.ok(wire::DescribeSubnetsInput::default());
    let free: Vec<i32> = subnets
        .subnets
        .unwrap()
        .iter()
        .filter_map(|s| s.available_ip_address_count)
        .collect();
    assert_eq!(free.iter().sum::<i32>(), 251 + 251 - 3);
}

#[test]
fn a_deleted_load_balancer_holds_its_group_for_a_while() {
    let latencies = Latencies {
        eni_release_ms: 60_000,
        ..Latencies::instant()
    };
    let mut world = world(Config {
        latencies,
        ..Config::default()
    });
    let arn = world.balancer();
    let delete = wire::DeleteSecurityGroupInput {
        group_id: Some(world.group.clone()),
        ..Default::default()
    };
    assert_eq!(world.refused(delete.clone()), "DependencyViolation");
    let request = elbv2::DeleteLoadBalancerInput {
        load_balancer_arn: arn,
    };
    world.ok::<elbv2::DeleteLoadBalancerOutput>(request);
    assert_eq!(world.refused(delete.clone()), "DependencyViolation");
    assert_eq!(world.interfaces().len(), 2);
    let later = NOW.plus_seconds(60);
    assert!(world.emulator.handle(later, delete).is_ok());
}

#[test]
fn default_vpcs_are_lenient_about_revoking() {
    let mut emulator = Emulator::new(Config::default());
    let spec = VpcSpec {
        is_default: true,
        ..VpcSpec::new("172.31.0.0/16".parse().unwrap())
    };
    emulator.add_vpc(spec).unwrap();
    let create = wire::CreateSecurityGroupInput {
        description: "d".into(),
        group_name: "g".into(),
        ..Default::default()
    };
    let made = emulator.handle(NOW, create).unwrap();
    let made = wire::CreateSecurityGroupOutput::try_from(made).unwrap();
    let revoke = wire::RevokeSecurityGroupIngressInput {
        group_id: made.group_id,
        ip_permissions: Some(vec![tcp(80, &["10.0.0.0/8"])]),
        ..Default::default()
    };
    let revoked = emulator.handle(NOW, revoke).unwrap();
    let revoked = wire::RevokeSecurityGroupIngressOutput::try_from(revoked).unwrap();
    assert_eq!(
        revoked.unknown_ip_permissions,
        Some(vec![wire::IpPermission {
            ipv6_ranges: Some(Vec::new()),
            prefix_list_ids: Some(Vec::new()),
            user_id_group_pairs: Some(Vec::new()),
            ..tcp(80, &["10.0.0.0/8"])
        }])
    );
}

#[test]
fn counts_calls() {
    let mut world = world(Config::default());
    world.ok::<wire::DescribeVpcsOutput>(wire::DescribeVpcsInput::default());
    let missing = wire::DescribeVpcsInput {
        vpc_ids: Some(vec!["x".into()]),
        ..Default::default()
    };
    assert_eq!(world.refused(missing), "InvalidVpcID.Malformed");
    let calls = world.emulator.calls();
    assert_eq!(calls.count(crate::Service::Ec2, "DescribeVpcs"), 2);
    let errors: Vec<Option<&str>> = calls.latest().map(|call| call.error.as_deref()).collect();
    assert_eq!(errors, [None, Some("InvalidVpcID.Malformed")]);
    assert!(calls.latest().all(crate::Call::is_read));
}
