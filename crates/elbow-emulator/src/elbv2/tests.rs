//! Builders for the unit tests of this module, and a small world for its lifecycle tests.

mod lifecycle;
mod listeners;
mod load_balancers;
mod priorities;
mod probes;
mod rules;
mod targets;
mod trust_stores;

use std::collections::{BTreeMap, BTreeSet};

use super::attributes;
use super::health_check::{self, Asked, Purpose};
use super::state::{
    IpAddressType, Listener, LoadBalancer, LoadBalancerKind, LoadBalancerState, OnOff, Protocol,
    ProtocolVersion, Scheme, TargetFamily, TargetGroup, TargetType,
};
use crate::acm::{CertificatePem, CertificateStatus};
use crate::config::{Config, HealthMode};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::world::{CertificateSpec, InstanceSpec, SubnetSpec, VpcSpec};
use crate::{Emulator, Request, Response, Timestamp};

const BASE: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

/// A load balancer that nothing else knows of.
pub(super) fn load_balancer(kind: LoadBalancerKind) -> LoadBalancer {
    let word = if kind == LoadBalancerKind::Application {
        "app"
    } else {
        "net"
    };
    let mut lb = LoadBalancer {
        arn: format!("{BASE}:loadbalancer/{word}/lb/0123456789abcdef"),
        name: "lb".into(),
        dns_name: "lb.test".into(),
        canonical_hosted_zone_id: None,
        kind,
        scheme: Scheme::InternetFacing,
        state: LoadBalancerState::Active,
        created_at: Timestamp::default(),
        provisioned_at: Timestamp::default(),
        vpc_id: "vpc-1".into(),
        zones: Vec::new(),
        security_groups: Vec::new(),
        ip_address_type: IpAddressType::Ipv4,
        private_link_inbound_rules: None,
        ipv6_source_nat: OnOff::Off,
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
    };
    lb.attributes = attributes::of_load_balancer(&lb);
    lb
}

/// A listener that nothing else knows of.
pub(super) fn listener(protocol: Protocol) -> Listener {
    let mut listener = Listener {
        arn: format!("{BASE}:listener/app/lb/0123456789abcdef/1"),
        load_balancer_arn: format!("{BASE}:loadbalancer/app/lb/0123456789abcdef"),
        port: 80,
        protocol,
        ssl_policy: None,
        default_certificate: None,
        certificates: BTreeSet::new(),
        alpn_policy: None,
        mutual_tls: None,
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
    };
    listener.attributes = attributes::of_listener(&listener);
    listener
}

/// A target group of addresses that nothing else knows of.
pub(super) fn target_group(name: &str, protocol: Protocol) -> TargetGroup {
    let is_application = matches!(protocol, Protocol::Http | Protocol::Https);
    let version = is_application.then_some(ProtocolVersion::Http1);
    let purpose = Purpose {
        protocol,
        version,
        target_type: TargetType::Ip,
    };
    let mut group = TargetGroup {
        arn: format!("{BASE}:targetgroup/{name}/0123456789abcdef"),
        name: name.into(),
        protocol,
        protocol_version: version,
        port: 80,
        vpc_id: "vpc-1".into(),
        target_type: TargetType::Ip,
        family: TargetFamily::Ipv4,
        health_check: health_check::check(purpose, &Asked::default(), None).unwrap(),
        attributes: BTreeMap::new(),
        tags: BTreeMap::new(),
        targets: BTreeMap::new(),
    };
    group.attributes = attributes::of_target_group(&group);
    group
}

/// A fixed response.
pub(super) fn fixed_response(status: &str) -> wire::Action {
    wire::Action {
        r#type: "fixed-response".into(),
        fixed_response_config: Some(wire::FixedResponseActionConfig {
            status_code: status.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A forward to one target group.
pub(super) fn forward_to(arn: &str) -> wire::Action {
    wire::Action {
        r#type: "forward".into(),
        target_group_arn: Some(arn.into()),
        ..Default::default()
    }
}

/// An account with a VPC of three zones (10.0.0.0/16, one /20 subnet each), an internet gateway,
/// one instance and two certificates, of which the second is not issued yet.
pub(super) struct World {
    pub(super) emulator: Emulator,
    pub(super) now: Timestamp,
    pub(super) vpc: String,
    pub(super) subnets: Vec<String>,
    pub(super) instance: String,
    pub(super) certificates: Vec<String>,
}

/// The zones of the world's subnets.
pub(super) const ZONES: [&str; 3] = ["eu-west-1a", "eu-west-1b", "eu-west-1c"];

impl World {
    /// A world in which nothing takes time and targets pass their checks.
    pub(super) fn new() -> Self {
        let config = Config {
            region: "eu-west-1".into(),
            health: HealthMode::AssumeHealthy,
            ..Config::default()
        };
        Self::with(config)
    }

    pub(super) fn with(config: Config) -> Self {
        let mut emulator = Emulator::new(config);
        let vpc = emulator
            .add_vpc(VpcSpec::new("10.0.0.0/16".parse().unwrap()))
            .unwrap();
        emulator.add_internet_gateway(&vpc, None).unwrap();
        let subnets: Vec<String> = ZONES
            .iter()
            .zip(["10.0.0.0/20", "10.0.16.0/20", "10.0.32.0/20"])
            .map(|(zone, cidr)| SubnetSpec::new(&vpc, *zone, cidr.parse().unwrap()))
            .map(|spec| emulator.add_subnet(spec).unwrap())
            .collect();
        let instance = emulator
            .add_instance(InstanceSpec::new(&subnets[0]))
            .unwrap();
        let certificate = |emulator: &mut Emulator, domain: &str, status| {
            let spec = CertificateSpec {
                arn: None,
                domains: vec![domain.into()],
                pem: CertificatePem::default(),
                status,
                created_at: Timestamp::default(),
                tags: BTreeMap::new(),
            };
            emulator.add_certificate(spec).unwrap()
        };
        let certificates = vec![
            certificate(&mut emulator, "a.test", CertificateStatus::Issued),
            certificate(
                &mut emulator,
                "b.test",
                CertificateStatus::PendingValidation,
            ),
            certificate(&mut emulator, "c.test", CertificateStatus::Issued),
        ];
        let now = Timestamp::from_millis(1_800_000_000_000);
        Self {
            emulator,
            now,
            vpc,
            subnets,
            instance,
            certificates,
        }
    }

    /// Lets time pass.
    pub(super) fn wait_ms(&mut self, millis: u64) {
        self.now = self.now.plus_millis(millis);
    }

    /// Sends a request, and expects an answer.
    #[track_caller]
    pub(super) fn ask<Out>(&mut self, input: impl Into<Request>) -> Out
    where
        Out: TryFrom<Response, Error = Response>,
    {
        self.emulator
            .handle(self.now, input)
            .unwrap()
            .try_into()
            .unwrap()
    }

    /// Sends a request, and expects a refusal.
    #[track_caller]
    pub(super) fn refused(&mut self, input: impl Into<Request>) -> ApiError {
        self.emulator.handle(self.now, input).unwrap_err()
    }

    /// Sends a request, and expects a refusal of that code, in whose text that is.
    #[track_caller]
    pub(super) fn refuses(&mut self, input: impl Into<Request>, code: &str, text: &str) {
        let refusal = self.refused(input);
        assert_eq!(refusal.code, code, "{refusal}");
        assert!(
            refusal.message.contains(text),
            "expected {text:?}, got {refusal}"
        );
    }

    pub(super) fn load_balancer_input(&self, name: &str) -> wire::CreateLoadBalancerInput {
        wire::CreateLoadBalancerInput {
            name: name.into(),
            subnets: Some(self.subnets[..2].to_vec()),
            ..Default::default()
        }
    }

    /// Adds an application load balancer.
    #[track_caller]
    pub(super) fn application(&mut self, name: &str) -> String {
        let input = self.load_balancer_input(name);
        self.add_load_balancer(input)
    }

    /// Adds a network load balancer without security groups.
    #[track_caller]
    pub(super) fn network(&mut self, name: &str) -> String {
        let input = wire::CreateLoadBalancerInput {
            r#type: Some("network".into()),
            ..self.load_balancer_input(name)
        };
        self.add_load_balancer(input)
    }

    #[track_caller]
    pub(super) fn add_load_balancer(&mut self, input: wire::CreateLoadBalancerInput) -> String {
        let output: wire::CreateLoadBalancerOutput = self.ask(input);
        output
            .load_balancers
            .unwrap()
            .remove(0)
            .load_balancer_arn
            .unwrap()
    }

    pub(super) fn group_input(&self, name: &str, protocol: &str) -> wire::CreateTargetGroupInput {
        wire::CreateTargetGroupInput {
            name: name.into(),
            protocol: Some(protocol.into()),
            port: Some(8080),
            vpc_id: Some(self.vpc.clone()),
            target_type: Some("ip".into()),
            ..Default::default()
        }
    }

    /// Adds a target group of addresses.
    #[track_caller]
    pub(super) fn group(&mut self, name: &str, protocol: &str) -> String {
        let input = self.group_input(name, protocol);
        let output: wire::CreateTargetGroupOutput = self.ask(input);
        output
            .target_groups
            .unwrap()
            .remove(0)
            .target_group_arn
            .unwrap()
    }

    pub(super) fn listener_input(
        lb: &str,
        protocol: &str,
        port: i32,
        action: wire::Action,
    ) -> wire::CreateListenerInput {
        wire::CreateListenerInput {
            load_balancer_arn: lb.into(),
            protocol: Some(protocol.into()),
            port: Some(port),
            default_actions: vec![action],
            ..Default::default()
        }
    }

    /// Adds an HTTP or TCP listener.
    #[track_caller]
    pub(super) fn listener(
        &mut self,
        lb: &str,
        protocol: &str,
        port: i32,
        action: wire::Action,
    ) -> String {
        let input = Self::listener_input(lb, protocol, port, action);
        let output: wire::CreateListenerOutput = self.ask(input);
        output.listeners.unwrap().remove(0).listener_arn.unwrap()
    }

    pub(super) fn rule_input(
        listener: &str,
        priority: i32,
        path: &str,
        action: wire::Action,
    ) -> wire::CreateRuleInput {
        let condition = wire::RuleCondition {
            field: Some("path-pattern".into()),
            path_pattern_config: Some(wire::PathPatternConditionConfig {
                values: Some(vec![path.into()]),
                regex_values: None,
            }),
            ..Default::default()
        };
        wire::CreateRuleInput {
            listener_arn: listener.into(),
            priority,
            conditions: vec![condition],
            actions: vec![action],
            ..Default::default()
        }
    }

    /// Adds a rule.
    #[track_caller]
    pub(super) fn rule(
        &mut self,
        listener: &str,
        priority: i32,
        path: &str,
        action: wire::Action,
    ) -> String {
        let output: wire::CreateRuleOutput =
            self.ask(Self::rule_input(listener, priority, path, action));
        output.rules.unwrap().remove(0).rule_arn.unwrap()
    }

    /// Registers addresses.
    #[track_caller]
    pub(super) fn register(&mut self, group: &str, ids: &[&str]) {
        let _: wire::RegisterTargetsOutput = self.ask(wire::RegisterTargetsInput {
            target_group_arn: group.into(),
            targets: targets(ids),
        });
    }

    /// State and reason of each target of a group.
    #[track_caller]
    pub(super) fn health(&mut self, group: &str) -> Vec<String> {
        let output: wire::DescribeTargetHealthOutput = self.ask(wire::DescribeTargetHealthInput {
            target_group_arn: group.into(),
            ..Default::default()
        });
        let descriptions = output.target_health_descriptions.unwrap().into_iter();
        let shown = descriptions.map(|description| {
            let health = description.target_health.unwrap();
            let state = health.state.unwrap();
            health
                .reason
                .map_or(state.clone(), |reason| format!("{state} {reason}"))
        });
        shown.collect()
    }
}

/// Targets by id, on the port of their group.
pub(super) fn targets(ids: &[&str]) -> Vec<wire::TargetDescription> {
    let target = |id: &&str| wire::TargetDescription {
        id: (*id).into(),
        ..Default::default()
    };
    ids.iter().map(target).collect()
}
