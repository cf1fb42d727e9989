//! The AWS account of a simulation: an emulator, what is somebody else's in it, and a guard.
//!
//! In: calls. Out: answers, and whether a call touches only what is ours. What always holds: the guard
//! asks the account itself for tags, not the machine that made the call; equal seeds give equal ids.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use elbow_emulator::acm::CertificatePem;
use elbow_emulator::{Config, Emulator, HealthMode, Latencies};
use elbow_loopback::world::{self, Wanted, WantedCertificate, WantedNode, World};
use elbow_model::aws_call::{Page, TagTarget};
use elbow_model::observed::LoadBalancerState;
use elbow_model::stack::{
    CLUSTER_TAG, HealthCheck, IngressRule, IngressSource, IpAddressType, LoadBalancerType,
    Protocol, Scheme, SubnetMapping, TargetFamily, TargetType,
};
use elbow_model::{AwsAnswer, AwsCall, AwsError, CertificateArn, Port, Ref, SubnetId, Tags, VpcId};

use crate::bindings;
use crate::cluster::{CERTIFICATES, HOSTS, SERVICES};
use crate::fabric::{Fabric, Interfaces, POD_GROUP};
use crate::objects::SECURITY_GROUP;
use crate::report::difference;
use crate::secrets;

/// The cluster's name.
pub(crate) const CLUSTER: &str = "demo";
/// The bucket that bundles of authorities travel in.
pub(crate) const BUCKET: &str = "bundles";
/// The cluster's VPC.
pub(crate) const VPC: &str = "vpc-0123456789abcdef0";

/// An account.
pub(crate) struct Account {
    pub(crate) emulator: Emulator,
    foreign: Vec<AwsCall>,
    was: Vec<AwsAnswer>,
    /// How many load balancers, target groups and security groups are somebody else's.
    n_foreign: [usize; 3],
    /// Keys of the objects in [`BUCKET`].
    stored: BTreeSet<String>,
    /// What changes in its network, if anything does.
    interfaces: Option<Interfaces>,
}

/// The ARN of a certificate that the account holds.
pub(crate) fn certificate_arn(number: usize) -> String {
    format!("arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-4000-8000-{number:012}")
}

impl Account {
    /// An account with a VPC, certificates, nodes, and resources of somebody else's. Where the network
    /// `changes`, no pod has an interface yet.
    pub(crate) fn new(latencies: Latencies, changes: bool) -> Self {
        let mut emulator = Emulator::new(Config {
            health: HealthMode::AssumeHealthy,
            latencies,
            ..Config::default()
        });
        let certificates = (0..CERTIFICATES).map(|number| WantedCertificate {
            arn: Some(CertificateArn::new(certificate_arn(number))),
            domains: HOSTS.map(str::to_owned).to_vec(),
            pem: CertificatePem::default(),
        });
        if let Err(error) = emulator.add_bucket(BUCKET) {
            unreachable!("the simulator's own bucket: {error}")
        }
        let nodes = (1..=3).map(|number| WantedNode {
            name: format!("node-{number}"),
            instance_id: Some(format!("i-0000000000000000{number}")),
            zone: None,
            address: None,
        });
        let wanted = Wanted {
            cluster_name: CLUSTER.to_owned(),
            vpc_id: Some(VpcId::new(VPC)),
            security_groups: [SECURITY_GROUP.to_owned()].into(),
            certificates: certificates.collect(),
            nodes: nodes.collect(),
            pods: if changes { BTreeSet::new() } else { pods() },
            ..Wanted::default()
        };
        let world = match world::build(&mut emulator, &wanted) {
            Ok(world) => world,
            Err(error) => unreachable!("the simulator's own world: {error}"),
        };
        let mut account = Self {
            emulator,
            foreign: Vec::new(),
            was: Vec::new(),
            n_foreign: [0; 3],
            stored: BTreeSet::new(),
            interfaces: None,
        };
        if changes {
            account.add_interfaces(&world);
        }
        account.add_foreign(&world);
        bindings::add_groups(&mut account.emulator);
        bindings::fill_shared(&mut account);
        account.was = account.look_at_foreign();
        account.n_foreign = account.count();
        account
    }

    fn add_interfaces(&mut self, world: &World) {
        let nodes = self.node_group().id;
        let mut subnets = world.subnets.iter();
        let place = Ipv4Addr::new(192, 168, 100, 20);
        let Some(subnet) = subnets.find(|subnet| subnet.cidr.contains(&place)) else {
            unreachable!("the simulator's own subnets have room for pods")
        };
        let interfaces = Interfaces::new(&mut self.emulator, &subnet.id, &nodes);
        self.interfaces = Some(interfaces);
    }

    /// Makes the interfaces of pods and nodes those of a fabric.
    pub(crate) fn follow(&mut self, fabric: &Fabric) {
        if let Some(interfaces) = &mut self.interfaces {
            interfaces.follow(&mut self.emulator, fabric);
        }
    }

    /// Carries out a call.
    pub(crate) fn answer(&mut self, now: u64, call: &AwsCall) -> Result<AwsAnswer, AwsError> {
        let now = elbow_emulator::Timestamp::from_millis(now);
        let material = match call {
            AwsCall::ImportCertificate { content, .. } => secrets::material(content),
            _ => None,
        };
        let answer = elbow_loopback::answer_with(&mut self.emulator, now, call, material.as_ref())?;
        match call {
            AwsCall::PutObject { key, .. } => {
                self.stored.insert(key.clone());
            }
            AwsCall::DeleteObject { key, .. } => {
                self.stored.remove(key);
            }
            _ => {}
        }
        Ok(answer)
    }

    // --- what is somebody else's ---

    fn add_foreign(&mut self, world: &World) {
        let subnets = world.subnets.iter().take(3);
        let created = self.answer(
            0,
            &AwsCall::CreateLoadBalancer {
                name: "somebody-elses".to_owned(),
                lb_type: LoadBalancerType::Application,
                scheme: Scheme::Internal,
                ip_address_type: IpAddressType::Ipv4,
                subnets: subnets
                    .map(|subnet| SubnetMapping::of(SubnetId::new(subnet.id.clone())))
                    .collect(),
                security_groups: Vec::new(),
                tags: foreign_tags("another-cluster"),
            },
        );
        let Ok(AwsAnswer::LoadBalancerCreated(balancer)) = created else {
            unreachable!("the simulator's own load balancer: {created:?}")
        };
        let without_stack = Tags::from([(CLUSTER_TAG.to_owned(), CLUSTER.to_owned())]);
        let mut groups = Vec::new();
        for (name, tags) in [
            ("other-cluster", foreign_tags("another-cluster")),
            ("no-stack", without_stack),
            ("no-tags", Tags::new()),
        ] {
            match self.answer(0, &target_group(name, tags)) {
                Ok(AwsAnswer::TargetGroupCreated(arn)) => groups.push(arn),
                other => unreachable!("the simulator's own target group: {other:?}"),
            }
        }
        let mut arns = vec![balancer.arn.to_string()];
        arns.extend(groups.iter().map(ToString::to_string));
        self.add_node_rules();
        self.foreign = vec![
            AwsCall::DescribeLoadBalancers {
                arns: vec![balancer.arn.clone()],
                marker: None,
            },
            AwsCall::DescribeLoadBalancerAttributes {
                load_balancer: balancer.arn.clone(),
            },
            AwsCall::DescribeListeners {
                load_balancer: balancer.arn,
                marker: None,
            },
            AwsCall::DescribeTargetGroups {
                arns: groups,
                names: Vec::new(),
                marker: None,
            },
            AwsCall::DescribeTags { arns },
        ];
    }

    /// Rules that stand in the group of the nodes from the beginning: one of somebody else's, and one that
    /// an earlier controller has left and nobody needs.
    fn add_node_rules(&mut self) {
        let rule = |port, description: Option<&str>| IngressRule {
            protocol: "tcp".to_owned(),
            from_port: Some(port),
            to_port: Some(port),
            source: IngressSource::Ipv4("10.0.0.0/8".to_owned()),
            description: description.map(str::to_owned),
        };
        for group in self.guards() {
            let mut rules = vec![rule(22, Some("ssh"))];
            // One in a group without the tag nobody could find.
            if group.tags.contains_key(NODE_TAG) {
                rules.push(rule(7000, Some(NODE_RULE)));
            }
            let group = Ref::Known(group.id);
            let added = self.answer(0, &AwsCall::AuthorizeSecurityGroupIngress { group, rules });
            assert!(added.is_ok(), "the simulator's own rules: {added:?}");
        }
    }

    /// The security groups that guard nodes and pods; nobody's but the cluster's rules in them are ours.
    pub(crate) fn guards(&mut self) -> Vec<elbow_model::observed::ObservedSecurityGroup> {
        let mut groups = self.security_groups();
        groups.retain(|group| is_guard(group.id.as_str(), &group.tags));
        groups
    }

    /// The security group of the nodes and pods.
    pub(crate) fn node_group(&mut self) -> elbow_model::observed::ObservedSecurityGroup {
        let groups = self.security_groups();
        let found = groups.into_iter().find(|g| g.tags.contains_key(NODE_TAG));
        match found {
            Some(group) => group,
            None => unreachable!("the simulator's own nodes have a group"),
        }
    }

    fn look_at_foreign(&mut self) -> Vec<AwsAnswer> {
        let calls = self.foreign.clone();
        let mut answers: Vec<AwsAnswer> = calls
            .iter()
            .filter_map(|call| self.answer(0, call).ok())
            .collect();
        // Of the groups of nodes and pods all rules but ours are somebody else's.
        let mut groups = self.guards();
        for group in &mut groups {
            group.ingress.retain(|rule| !is_node_rule(rule));
        }
        answers.push(AwsAnswer::SecurityGroups(Page::last(groups)));
        // It may be set up meanwhile.
        for answer in &mut answers {
            if let AwsAnswer::LoadBalancers(page) = answer {
                for balancer in &mut page.items {
                    balancer.state = LoadBalancerState::Active;
                }
            }
        }
        answers
    }

    /// Fails when what is somebody else's is not what it was.
    pub(crate) fn check_foreign(&mut self) -> Result<(), String> {
        let is = self.look_at_foreign();
        if is == self.was {
            Ok(())
        } else {
            let [was, is] = [&self.was, &is].map(|answers| format!("{answers:#?}"));
            Err(format!(
                "somebody else's resources changed:\n{}",
                difference(&was, &is)
            ))
        }
    }

    /// How many load balancers, target groups and security groups there are besides somebody else's.
    pub(crate) fn count_ours(&mut self) -> [usize; 3] {
        let [balancers, groups, security] = self.count();
        let [a, b, c] = self.n_foreign;
        [
            balancers.saturating_sub(a),
            groups.saturating_sub(b),
            security.saturating_sub(c),
        ]
    }

    fn count(&mut self) -> [usize; 3] {
        [
            self.load_balancers().len(),
            self.target_groups().len(),
            self.security_groups().len(),
        ]
    }

    pub(crate) fn load_balancers(&mut self) -> Vec<elbow_model::aws_call::LoadBalancerDescription> {
        let mut all = Vec::new();
        let mut marker = None;
        loop {
            let call = AwsCall::DescribeLoadBalancers {
                arns: Vec::new(),
                marker,
            };
            let Ok(AwsAnswer::LoadBalancers(page)) = self.answer(0, &call) else {
                return all;
            };
            all.extend(page.items);
            marker = page.next_marker;
            if marker.is_none() {
                return all;
            }
        }
    }

    pub(crate) fn target_groups(&mut self) -> Vec<elbow_model::aws_call::TargetGroupDescription> {
        let mut all = Vec::new();
        let mut marker = None;
        loop {
            let call = AwsCall::DescribeTargetGroups {
                arns: Vec::new(),
                names: Vec::new(),
                marker,
            };
            let Ok(AwsAnswer::TargetGroups(page)) = self.answer(0, &call) else {
                return all;
            };
            all.extend(page.items);
            marker = page.next_marker;
            if marker.is_none() {
                return all;
            }
        }
    }

    pub(crate) fn security_groups(&mut self) -> Vec<elbow_model::observed::ObservedSecurityGroup> {
        let mut all = Vec::new();
        let mut marker = None;
        loop {
            let call = AwsCall::DescribeSecurityGroups {
                vpc_id: VpcId::new(VPC),
                tags: Tags::new(),
                marker,
            };
            let Ok(AwsAnswer::SecurityGroups(page)) = self.answer(0, &call) else {
                return all;
            };
            all.extend(page.items);
            marker = page.next_marker;
            if marker.is_none() {
                return all;
            }
        }
    }

    // --- the guard ---

    /// The tags of what has this id or ARN; those of its load balancer for listeners and rules. `None`
    /// when it is not there.
    pub(crate) fn tags_of(&mut self, id: &str) -> Option<Tags> {
        if id.starts_with("sg-") {
            let groups = self.security_groups();
            return groups
                .into_iter()
                .find(|group| group.id.as_str() == id)
                .map(|group| group.tags);
        }
        if id.starts_with("arn:aws:acm:") {
            let certificate = CertificateArn::new(id);
            return match self.answer(0, &AwsCall::ListTagsForCertificate { certificate }) {
                Ok(AwsAnswer::CertificateTags(tags)) => Some(tags),
                _ => None,
            };
        }
        let arn = balancer_of(id);
        match self.answer(0, &AwsCall::DescribeTags { arns: vec![arn] }) {
            Ok(AwsAnswer::TagsByArn(page)) => page.items.into_iter().next().map(|(_, tags)| tags),
            _ => None,
        }
    }

    /// The Stack that a change is about, by its tags. The error says what may not be touched.
    pub(crate) fn guard(&mut self, call: &AwsCall) -> Result<Option<String>, String> {
        match touched(call) {
            Touched::Nothing => Ok(None),
            Touched::New(tags) => match stack_of(tags) {
                Some(stack) => Ok(Some(stack)),
                None => Err(format!("{} without our tags: {tags:?}", call.operation())),
            },
            Touched::Existing(ids) => {
                let mut stack = None;
                for id in ids {
                    let Some(tags) = self.tags_of(&id) else {
                        continue;
                    };
                    match stack_of(&tags) {
                        Some(found) => stack = Some(found),
                        None if is_guard(&id, &tags) && is_of_node_rules(call) => {
                            stack = Some("network".to_owned());
                        }
                        None => {
                            return Err(format!(
                                "{} touches {id}, which has the tags {tags:?}",
                                call.operation()
                            ));
                        }
                    }
                }
                Ok(stack)
            }
        }
    }
}

/// Tag of the security group of the nodes, which is not ours.
const NODE_TAG: &str = "kubernetes.io/cluster/demo";
/// What our rules in it are known by, spelled out here once more.
const NODE_RULE: &str = "elbv2.k8s.aws/targetGroupBinding=shared";

/// Whether rules of this group decide who reaches nodes and pods.
fn is_guard(id: &str, tags: &Tags) -> bool {
    tags.contains_key(NODE_TAG) || id == POD_GROUP
}

/// Whether a call changes rules of nodes that say that they are ours, and nothing else.
fn is_of_node_rules(call: &AwsCall) -> bool {
    match call {
        AwsCall::AuthorizeSecurityGroupIngress { rules, .. }
        | AwsCall::RevokeSecurityGroupIngress { rules, .. } => rules.iter().all(is_node_rule),
        _ => false,
    }
}

/// Whether a rule says that it is ours.
pub(crate) fn is_node_rule(rule: &IngressRule) -> bool {
    rule.description.as_deref() == Some(NODE_RULE)
}

/// The addresses that pods may have.
fn pods() -> BTreeSet<Ipv4Addr> {
    let of_service = |number| {
        let third = u8::try_from(100 + number).unwrap_or_default();
        (20..=25).map(move |pod| Ipv4Addr::new(192, 168, third, pod))
    };
    (0..=SERVICES).flat_map(of_service).collect()
}

/// What a call changes.
enum Touched<'a> {
    Nothing,
    New(&'a Tags),
    Existing(Vec<String>),
}

fn touched(call: &AwsCall) -> Touched<'_> {
    fn one<T: std::fmt::Display>(reference: &Ref<T>) -> Vec<String> {
        match reference {
            Ref::Known(id) => vec![id.to_string()],
            Ref::Of(_) => Vec::new(),
        }
    }
    match call {
        AwsCall::CreateSecurityGroup { tags, .. }
        | AwsCall::CreateLoadBalancer { tags, .. }
        | AwsCall::CreateTargetGroup { tags, .. }
        | AwsCall::CreateListener { tags, .. }
        | AwsCall::CreateTrustStore { tags, .. }
        | AwsCall::CreateRule { tags, .. }
        | AwsCall::ImportCertificate {
            certificate: None,
            tags,
            ..
        } => Touched::New(tags),
        AwsCall::ImportCertificate {
            certificate: Some(certificate),
            ..
        }
        | AwsCall::DeleteCertificate { certificate }
        | AwsCall::AddTagsToCertificate { certificate, .. }
        | AwsCall::RemoveTagsFromCertificate { certificate, .. } => {
            Touched::Existing(vec![certificate.to_string()])
        }
        AwsCall::DeleteSecurityGroup { group }
        | AwsCall::AuthorizeSecurityGroupIngress { group, .. }
        | AwsCall::RevokeSecurityGroupIngress { group, .. }
        | AwsCall::CreateSecurityGroupTags { group, .. }
        | AwsCall::DeleteSecurityGroupTags { group, .. } => Touched::Existing(one(group)),
        AwsCall::DeleteLoadBalancer { load_balancer }
        | AwsCall::SetSecurityGroups { load_balancer, .. }
        | AwsCall::SetSubnets { load_balancer, .. }
        | AwsCall::SetIpAddressType { load_balancer, .. }
        | AwsCall::ModifyLoadBalancerAttributes { load_balancer, .. } => {
            Touched::Existing(one(load_balancer))
        }
        AwsCall::ModifyTargetGroup { target_group, .. }
        | AwsCall::ModifyTargetGroupAttributes { target_group, .. }
        | AwsCall::DeleteTargetGroup { target_group }
        | AwsCall::RegisterTargets { target_group, .. }
        | AwsCall::DeregisterTargets { target_group, .. } => Touched::Existing(one(target_group)),
        AwsCall::ModifyListener { listener, .. }
        | AwsCall::ModifyListenerAttributes { listener, .. }
        | AwsCall::DeleteListener { listener }
        | AwsCall::AddListenerCertificates { listener, .. }
        | AwsCall::RemoveListenerCertificates { listener, .. } => Touched::Existing(one(listener)),
        AwsCall::ModifyTrustStore { trust_store, .. }
        | AwsCall::DeleteTrustStore { trust_store } => Touched::Existing(one(trust_store)),
        AwsCall::ModifyRule { rule, .. } | AwsCall::DeleteRule { rule } => {
            Touched::Existing(one(rule))
        }
        AwsCall::SetRulePriorities { priorities } => {
            Touched::Existing(priorities.iter().flat_map(|p| one(&p.rule)).collect())
        }
        AwsCall::AddTags { resource, .. } | AwsCall::RemoveTags { resource, .. } => {
            Touched::Existing(match resource {
                TagTarget::LoadBalancer(arn) => one(arn),
                TagTarget::Listener(arn) => one(arn),
                TagTarget::Rule(arn) => one(arn),
                TagTarget::TargetGroup(arn) => one(arn),
                TagTarget::TrustStore(arn) => one(arn),
            })
        }
        _ => Touched::Nothing,
    }
}

/// The load balancer's ARN in that of a listener or rule; any other ARN as it is.
pub(crate) fn balancer_of(arn: &str) -> String {
    let Some((head, resource)) = arn.rsplit_once(':') else {
        return arn.to_owned();
    };
    let parts: Vec<&str> = resource.split('/').collect();
    match parts.as_slice() {
        ["listener" | "listener-rule", kind, name, id, ..] => {
            format!("{head}:loadbalancer/{kind}/{name}/{id}")
        }
        _ => arn.to_owned(),
    }
}

/// The Stack that tags prove something to belong to, spelled out here once more so that the guard does
/// not believe what it guards.
pub(crate) fn stack_of(tags: &Tags) -> Option<String> {
    if tags.get(CLUSTER_TAG).map(String::as_str) != Some(CLUSTER) {
        return None;
    }
    for kind in ["alb", "nlb"] {
        if let Some(stack) = tags.get(&format!("gateway.k8s.aws.{kind}/stack")) {
            return Some(format!("{kind} {stack}"));
        }
    }
    let shared = tags.get("elbv2.k8s.aws/resource")?;
    let is_shared = ["ca/", "secret/"]
        .iter()
        .any(|start| shared.starts_with(start));
    (shared == "backend-sg" || is_shared).then(|| "cluster".to_owned())
}

fn foreign_tags(cluster: &str) -> Tags {
    BTreeMap::from(
        [
            (CLUSTER_TAG, cluster),
            ("gateway.k8s.aws.alb/stack", "shop/gw-0"),
            ("gateway.k8s.aws.alb/resource", "LoadBalancer"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    )
}

fn target_group(name: &str, tags: Tags) -> AwsCall {
    AwsCall::CreateTargetGroup {
        name: name.to_owned(),
        target_type: TargetType::Ip,
        protocol: Protocol::Tcp,
        protocol_version: None,
        port: Port::new(80_u16).unwrap_or_else(|| unreachable!("80 is a port")),
        ip_address_type: TargetFamily::Ipv4,
        vpc_id: VpcId::new(VPC),
        health_check: HealthCheck {
            port: "traffic-port".to_owned(),
            protocol: Protocol::Tcp,
            path: None,
            matcher: None,
            interval_seconds: 30,
            timeout_seconds: 10,
            healthy_threshold_count: 3,
            unhealthy_threshold_count: 3,
        },
        tags,
    }
}
