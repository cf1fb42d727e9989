//! What can be asked of AWS, and what comes back.
//!
//! An [`AwsCall`] is one request to one AWS operation. In: made by plan (changes) and by the round
//! (look-ups). Out: carried out by an adapter, which answers with an [`AwsAnswer`] or an
//! [`AwsError`](crate::AwsError).
//! What always holds: a [`Ref`] in a call that reaches an adapter is [`Ref::Known`]; tags are part of
//! the call that creates a resource, so nothing of ours ever stands there without them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::certificate::SecretContent;
use crate::facts::{Certificate, Subnet, Vpc, ZoneType};
use crate::ids::{
    CertificateArn, InstanceId, ListenerArn, LoadBalancerArn, Port, RuleArn, SecurityGroupId,
    SubnetId, TargetGroupArn, TrustStoreArn, VpcId,
};
use crate::observed::{LoadBalancerState, ObservedRule, ObservedSecurityGroup, ObservedTarget};
use crate::rule::{Action, Condition, Transform};
use crate::stack::{
    HealthCheck, IngressRule, IpAddressType, LoadBalancerType, Protocol, ProtocolVersion, Ref,
    Scheme, SubnetMapping, Target, TargetFamily, TargetType,
};
use crate::trust_store::MutualAuthentication;
use crate::{Attributes, Tags};

/// One request to one AWS operation. The variant's name is the operation's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all_fields = "camelCase")]
#[expect(
    missing_docs,
    reason = "fields are the parameters of the AWS operation of that name"
)]
pub enum AwsCall {
    // EC2, changes.
    CreateSecurityGroup {
        name: String,
        description: String,
        vpc_id: VpcId,
        tags: Tags,
    },
    DeleteSecurityGroup {
        group: Ref<SecurityGroupId>,
    },
    AuthorizeSecurityGroupIngress {
        group: Ref<SecurityGroupId>,
        rules: Vec<IngressRule>,
    },
    RevokeSecurityGroupIngress {
        group: Ref<SecurityGroupId>,
        rules: Vec<IngressRule>,
    },
    /// `CreateTags` of EC2.
    CreateSecurityGroupTags {
        group: Ref<SecurityGroupId>,
        tags: Tags,
    },
    /// `DeleteTags` of EC2.
    DeleteSecurityGroupTags {
        group: Ref<SecurityGroupId>,
        keys: BTreeSet<String>,
    },

    // ELBv2, changes.
    CreateLoadBalancer {
        name: String,
        lb_type: LoadBalancerType,
        scheme: Scheme,
        ip_address_type: IpAddressType,
        subnets: Vec<SubnetMapping>,
        security_groups: Vec<Ref<SecurityGroupId>>,
        tags: Tags,
    },
    DeleteLoadBalancer {
        load_balancer: Ref<LoadBalancerArn>,
    },
    SetSecurityGroups {
        load_balancer: Ref<LoadBalancerArn>,
        security_groups: Vec<Ref<SecurityGroupId>>,
        enforce_security_group_inbound_rules_on_private_link_traffic: Option<String>,
    },
    SetSubnets {
        load_balancer: Ref<LoadBalancerArn>,
        subnets: Vec<SubnetMapping>,
    },
    SetIpAddressType {
        load_balancer: Ref<LoadBalancerArn>,
        ip_address_type: IpAddressType,
    },
    ModifyLoadBalancerAttributes {
        load_balancer: Ref<LoadBalancerArn>,
        attributes: Attributes,
    },
    CreateTargetGroup {
        name: String,
        target_type: TargetType,
        protocol: Protocol,
        protocol_version: Option<ProtocolVersion>,
        port: Port,
        ip_address_type: TargetFamily,
        vpc_id: VpcId,
        health_check: HealthCheck,
        tags: Tags,
    },
    /// `ModifyTargetGroup`: the health check is all that can be modified.
    ModifyTargetGroup {
        target_group: Ref<TargetGroupArn>,
        health_check: HealthCheck,
    },
    ModifyTargetGroupAttributes {
        target_group: Ref<TargetGroupArn>,
        attributes: Attributes,
    },
    DeleteTargetGroup {
        target_group: Ref<TargetGroupArn>,
    },
    RegisterTargets {
        target_group: Ref<TargetGroupArn>,
        targets: Vec<Target>,
    },
    DeregisterTargets {
        target_group: Ref<TargetGroupArn>,
        targets: Vec<Target>,
    },
    CreateListener {
        load_balancer: Ref<LoadBalancerArn>,
        port: Port,
        protocol: Protocol,
        default_action: Action,
        default_certificate: Option<Ref<CertificateArn>>,
        ssl_policy: Option<String>,
        alpn_policy: Option<String>,
        /// `None` is what ELBv2 does by itself: nothing is asked.
        mutual_authentication: Option<MutualAuthentication>,
        tags: Tags,
    },
    /// `None` leaves a part as it is.
    ModifyListener {
        listener: Ref<ListenerArn>,
        protocol: Option<Protocol>,
        default_action: Option<Action>,
        default_certificate: Option<Ref<CertificateArn>>,
        ssl_policy: Option<String>,
        alpn_policy: Option<String>,
        mutual_authentication: Option<MutualAuthentication>,
    },
    ModifyListenerAttributes {
        listener: Ref<ListenerArn>,
        attributes: Attributes,
    },
    DeleteListener {
        listener: Ref<ListenerArn>,
    },
    AddListenerCertificates {
        listener: Ref<ListenerArn>,
        certificate: Ref<CertificateArn>,
    },
    RemoveListenerCertificates {
        listener: Ref<ListenerArn>,
        certificate: CertificateArn,
    },
    CreateRule {
        listener: Ref<ListenerArn>,
        priority: u16,
        conditions: Vec<Condition>,
        action: Action,
        transforms: Vec<Transform>,
        tags: Tags,
    },
    /// `None` leaves a part as it is; an empty list of transforms removes them.
    ModifyRule {
        rule: Ref<RuleArn>,
        conditions: Option<Vec<Condition>>,
        action: Option<Action>,
        transforms: Option<Vec<Transform>>,
    },
    /// All at once: AWS checks only that the final order has no two rules in one place.
    SetRulePriorities {
        priorities: Vec<RulePriority>,
    },
    DeleteRule {
        rule: Ref<RuleArn>,
    },
    /// From a bundle that is in S3; who calls must be allowed to read it there.
    CreateTrustStore {
        name: String,
        bucket: String,
        key: String,
        tags: Tags,
    },
    /// Replaces the bundle.
    ModifyTrustStore {
        trust_store: Ref<TrustStoreArn>,
        bucket: String,
        key: String,
    },
    DeleteTrustStore {
        trust_store: Ref<TrustStoreArn>,
    },
    AddTags {
        resource: TagTarget,
        tags: Tags,
    },
    RemoveTags {
        resource: TagTarget,
        keys: BTreeSet<String>,
    },

    // ACM, changes.
    /// The key is no part of the call: whoever carries it out takes it from the Secret at that moment
    /// ([`crate::CertificateMaterial`]), and refuses if the Secret has other content by then.
    ImportCertificate {
        /// The certificate whose content is replaced; `None` for a new one.
        certificate: Option<CertificateArn>,
        content: SecretContent,
        /// Of a new one; AWS takes none with other content for one that is there.
        tags: Tags,
    },
    DeleteCertificate {
        certificate: CertificateArn,
    },
    AddTagsToCertificate {
        certificate: CertificateArn,
        tags: Tags,
    },
    /// `RemoveTagsFromCertificate`, by key whatever the value.
    RemoveTagsFromCertificate {
        certificate: CertificateArn,
        keys: BTreeSet<String>,
    },

    // S3, changes.
    /// A bundle of certificates, as PEM.
    PutObject {
        bucket: String,
        key: String,
        content: String,
    },
    /// What is not there is deleted, too.
    DeleteObject {
        bucket: String,
        key: String,
    },

    // ELBv2, look-ups. A list comes in pages; `marker` asks for the next.
    DescribeLoadBalancers {
        arns: Vec<LoadBalancerArn>,
        marker: Option<String>,
    },
    DescribeLoadBalancerAttributes {
        load_balancer: LoadBalancerArn,
    },
    DescribeListeners {
        load_balancer: LoadBalancerArn,
        marker: Option<String>,
    },
    DescribeListenerAttributes {
        listener: ListenerArn,
    },
    DescribeListenerCertificates {
        listener: ListenerArn,
        marker: Option<String>,
    },
    DescribeRules {
        listener: ListenerArn,
        marker: Option<String>,
    },
    /// Those of these ARNs, or those of these names, or all: AWS takes only one of the two lists, and
    /// refuses the call when one of them is not there.
    DescribeTargetGroups {
        arns: Vec<TargetGroupArn>,
        names: Vec<String>,
        marker: Option<String>,
    },
    DescribeTargetGroupAttributes {
        target_group: TargetGroupArn,
    },
    DescribeTargetHealth {
        target_group: TargetGroupArn,
    },
    /// Those of these names; all if none is given.
    DescribeTrustStores {
        names: Vec<String>,
        marker: Option<String>,
    },
    /// `DescribeTags` of ELBv2: at most 20 ARNs a call.
    DescribeTags {
        arns: Vec<String>,
    },

    // EC2, look-ups.
    DescribeVpcs {
        vpc_id: VpcId,
    },
    /// All subnets of the VPC.
    DescribeSubnets {
        vpc_id: VpcId,
        marker: Option<String>,
    },
    /// All route tables of the VPC.
    DescribeRouteTables {
        vpc_id: VpcId,
        marker: Option<String>,
    },
    DescribeAvailabilityZones,
    /// Security groups of the VPC that carry each of these tags with this value.
    DescribeSecurityGroups {
        vpc_id: VpcId,
        tags: Tags,
        marker: Option<String>,
    },
    /// `DescribeSecurityGroups` of the VPC that are tagged as the nodes' of a cluster:
    /// `kubernetes.io/cluster/<name>` is `owned` or `shared`.
    DescribeNodeSecurityGroups {
        vpc_id: VpcId,
        cluster_name: String,
        marker: Option<String>,
    },
    /// `DescribeSecurityGroups` of the VPC that have a rule which lets this one in.
    DescribeSecurityGroupsThatLetIn {
        vpc_id: VpcId,
        group: SecurityGroupId,
        marker: Option<String>,
    },
    /// `DescribeSecurityGroups` with one of these ids, at most 200 a call; what is not there is left
    /// out of the answer.
    DescribeSecurityGroupsById {
        groups: BTreeSet<SecurityGroupId>,
        marker: Option<String>,
    },
    /// At most 200 ids a call; what is not there is left out of the answer.
    DescribeInstances {
        instances: BTreeSet<InstanceId>,
        marker: Option<String>,
    },
    /// The interfaces of the VPC that have one of these addresses as their own, of one family and at
    /// most 199 a call. Those of delegated prefixes are not found by it.
    DescribeNetworkInterfaces {
        vpc_id: VpcId,
        addresses: BTreeSet<IpAddr>,
        marker: Option<String>,
    },

    // ACM, look-ups.
    /// Issued certificates of every key type.
    ListCertificates {
        marker: Option<String>,
    },
    /// `ListCertificates` of imported ones, of every key type and in every state.
    ListImportedCertificates {
        marker: Option<String>,
    },
    DescribeCertificate {
        certificate: CertificateArn,
    },
    ListTagsForCertificate {
        certificate: CertificateArn,
    },

    // Resource Groups Tagging API.
    /// Resources that carry each of these tags with this value, of these types
    /// (`elasticloadbalancing:loadbalancer`, `acm:certificate` and the like).
    GetResources {
        tags: Tags,
        resource_types: Vec<String>,
        marker: Option<String>,
    },
}

/// The new place of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulePriority {
    /// The rule.
    pub rule: Ref<RuleArn>,
    /// Its priority, 1 to 50000.
    pub priority: u16,
}

/// An ELBv2 resource that is tagged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "each variant is the ELBv2 resource of that name"
)]
pub enum TagTarget {
    LoadBalancer(Ref<LoadBalancerArn>),
    Listener(Ref<ListenerArn>),
    Rule(Ref<RuleArn>),
    TargetGroup(Ref<TargetGroupArn>),
    TrustStore(Ref<TrustStoreArn>),
}

/// One row for each call: the variant, the AWS service, the operation's name in AWS.
macro_rules! operations {
    ($($variant:ident => $service:literal, $operation:literal;)*) => {
        /// Every operation that a call can ask for. It is complete: a call without a row does not
        /// compile.
        pub const OPERATIONS: &[Operation] = &[
            $(Operation { service: $service, name: $operation },)*
        ];

        /// The name of every kind of call, for tests that go through all of them.
        pub const CALLS: &[&str] = &[$(stringify!($variant),)*];

        impl AwsCall {
            /// The name of this kind of call: the operation's, but where one operation serves several.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant),)*
                }
            }

            /// The AWS service: `ec2`, `elasticloadbalancing`, `acm`, `s3` or `tagging`.
            pub const fn service(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $service,)*
                }
            }

            /// The operation's name in AWS, `CreateLoadBalancer` for example.
            pub const fn operation(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $operation,)*
                }
            }
        }
    };
}

operations! {
    CreateSecurityGroup => "ec2", "CreateSecurityGroup";
    DeleteSecurityGroup => "ec2", "DeleteSecurityGroup";
    AuthorizeSecurityGroupIngress => "ec2", "AuthorizeSecurityGroupIngress";
    RevokeSecurityGroupIngress => "ec2", "RevokeSecurityGroupIngress";
    CreateSecurityGroupTags => "ec2", "CreateTags";
    DeleteSecurityGroupTags => "ec2", "DeleteTags";
    DescribeVpcs => "ec2", "DescribeVpcs";
    DescribeSubnets => "ec2", "DescribeSubnets";
    DescribeRouteTables => "ec2", "DescribeRouteTables";
    DescribeAvailabilityZones => "ec2", "DescribeAvailabilityZones";
    DescribeSecurityGroups => "ec2", "DescribeSecurityGroups";
    DescribeNodeSecurityGroups => "ec2", "DescribeSecurityGroups";
    DescribeSecurityGroupsThatLetIn => "ec2", "DescribeSecurityGroups";
    DescribeSecurityGroupsById => "ec2", "DescribeSecurityGroups";
    DescribeInstances => "ec2", "DescribeInstances";
    DescribeNetworkInterfaces => "ec2", "DescribeNetworkInterfaces";
    CreateLoadBalancer => "elasticloadbalancing", "CreateLoadBalancer";
    DeleteLoadBalancer => "elasticloadbalancing", "DeleteLoadBalancer";
    SetSecurityGroups => "elasticloadbalancing", "SetSecurityGroups";
    SetSubnets => "elasticloadbalancing", "SetSubnets";
    SetIpAddressType => "elasticloadbalancing", "SetIpAddressType";
    ModifyLoadBalancerAttributes => "elasticloadbalancing", "ModifyLoadBalancerAttributes";
    CreateTargetGroup => "elasticloadbalancing", "CreateTargetGroup";
    ModifyTargetGroup => "elasticloadbalancing", "ModifyTargetGroup";
    ModifyTargetGroupAttributes => "elasticloadbalancing", "ModifyTargetGroupAttributes";
    DeleteTargetGroup => "elasticloadbalancing", "DeleteTargetGroup";
    RegisterTargets => "elasticloadbalancing", "RegisterTargets";
    DeregisterTargets => "elasticloadbalancing", "DeregisterTargets";
    CreateListener => "elasticloadbalancing", "CreateListener";
    ModifyListener => "elasticloadbalancing", "ModifyListener";
    ModifyListenerAttributes => "elasticloadbalancing", "ModifyListenerAttributes";
    DeleteListener => "elasticloadbalancing", "DeleteListener";
    AddListenerCertificates => "elasticloadbalancing", "AddListenerCertificates";
    RemoveListenerCertificates => "elasticloadbalancing", "RemoveListenerCertificates";
    CreateRule => "elasticloadbalancing", "CreateRule";
    ModifyRule => "elasticloadbalancing", "ModifyRule";
    SetRulePriorities => "elasticloadbalancing", "SetRulePriorities";
    DeleteRule => "elasticloadbalancing", "DeleteRule";
    CreateTrustStore => "elasticloadbalancing", "CreateTrustStore";
    ModifyTrustStore => "elasticloadbalancing", "ModifyTrustStore";
    DeleteTrustStore => "elasticloadbalancing", "DeleteTrustStore";
    AddTags => "elasticloadbalancing", "AddTags";
    RemoveTags => "elasticloadbalancing", "RemoveTags";
    DescribeLoadBalancers => "elasticloadbalancing", "DescribeLoadBalancers";
    DescribeLoadBalancerAttributes => "elasticloadbalancing", "DescribeLoadBalancerAttributes";
    DescribeListeners => "elasticloadbalancing", "DescribeListeners";
    DescribeListenerAttributes => "elasticloadbalancing", "DescribeListenerAttributes";
    DescribeListenerCertificates => "elasticloadbalancing", "DescribeListenerCertificates";
    DescribeRules => "elasticloadbalancing", "DescribeRules";
    DescribeTargetGroups => "elasticloadbalancing", "DescribeTargetGroups";
    DescribeTargetGroupAttributes => "elasticloadbalancing", "DescribeTargetGroupAttributes";
    DescribeTargetHealth => "elasticloadbalancing", "DescribeTargetHealth";
    DescribeTrustStores => "elasticloadbalancing", "DescribeTrustStores";
    DescribeTags => "elasticloadbalancing", "DescribeTags";
    ImportCertificate => "acm", "ImportCertificate";
    DeleteCertificate => "acm", "DeleteCertificate";
    AddTagsToCertificate => "acm", "AddTagsToCertificate";
    RemoveTagsFromCertificate => "acm", "RemoveTagsFromCertificate";
    ListCertificates => "acm", "ListCertificates";
    ListImportedCertificates => "acm", "ListCertificates";
    DescribeCertificate => "acm", "DescribeCertificate";
    ListTagsForCertificate => "acm", "ListTagsForCertificate";
    PutObject => "s3", "PutObject";
    DeleteObject => "s3", "DeleteObject";
    GetResources => "tagging", "GetResources";
}

/// What is asked beside the calls, once, while a connection is made: the VPC by its tags, or by the
/// instance that elbow runs on.
pub const ASKED_AT_START: &[Operation] = &[
    Operation {
        service: "ec2",
        name: "DescribeVpcs",
    },
    Operation {
        service: "ec2",
        name: "DescribeInstances",
    },
];

/// An operation of an AWS service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation {
    /// The service, as [`AwsCall::service`] spells it.
    pub service: &'static str,
    /// The operation's name in AWS.
    pub name: &'static str,
}

impl Operation {
    /// The action that IAM has to allow for it, `elasticloadbalancing:CreateRule` for example.
    pub fn iam_action(self) -> String {
        let prefix = match self.service {
            // The Resource Groups Tagging API has a name of its own in policies.
            "tagging" => "tag",
            service => service,
        };
        format!("{prefix}:{}", self.name)
    }
}

impl AwsCall {
    /// The operation it asks for.
    pub const fn asks_for(&self) -> Operation {
        Operation {
            service: self.service(),
            name: self.operation(),
        }
    }

    /// Whether the call can change something.
    pub fn is_mutating(&self) -> bool {
        let operation = self.operation();
        !["Describe", "List", "Get"]
            .iter()
            .any(|prefix| operation.starts_with(prefix))
    }
}

/// What AWS answers to an [`AwsCall`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AwsAnswer {
    /// Done; there is nothing to know beyond that.
    Done,
    /// To `CreateSecurityGroup`.
    SecurityGroupCreated(SecurityGroupId),
    /// To `CreateLoadBalancer`.
    LoadBalancerCreated(LoadBalancerDescription),
    /// To `CreateTargetGroup`.
    TargetGroupCreated(TargetGroupArn),
    /// To `CreateListener`.
    ListenerCreated(ListenerArn),
    /// To `CreateRule`.
    RuleCreated(RuleArn),
    /// To `DescribeLoadBalancers`.
    LoadBalancers(Page<LoadBalancerDescription>),
    /// To `DescribeLoadBalancerAttributes`, `DescribeListenerAttributes` and
    /// `DescribeTargetGroupAttributes`.
    Attributes(Attributes),
    /// To `DescribeListeners`.
    Listeners(Page<ListenerDescription>),
    /// To `DescribeListenerCertificates`: each certificate, and whether the entry is the one that
    /// marks the default.
    ListenerCertificates(Page<ListenerCertificate>),
    /// To `DescribeRules`: without the default rule, tags left empty.
    Rules(Page<ObservedRule>),
    /// To `DescribeTargetGroups`.
    TargetGroups(Page<TargetGroupDescription>),
    /// To `DescribeTargetHealth`.
    TargetHealth(Vec<ObservedTarget>),
    /// To `DescribeTags` and `GetResources`: tags by ARN.
    TagsByArn(Page<(String, Tags)>),
    /// To `DescribeVpcs`: `None` when there is no such VPC.
    Vpc(Option<Vpc>),
    /// To `DescribeSubnets`.
    Subnets(Page<Subnet>),
    /// To `DescribeRouteTables`.
    RouteTables(Page<RouteTable>),
    /// To `DescribeAvailabilityZones`: zone types by zone name.
    AvailabilityZones(BTreeMap<String, ZoneType>),
    /// To `DescribeSecurityGroups`, `DescribeNodeSecurityGroups`, `DescribeSecurityGroupsThatLetIn` and
    /// `DescribeSecurityGroupsById`.
    SecurityGroups(Page<ObservedSecurityGroup>),
    /// To `DescribeInstances`.
    Instances(Page<Instance>),
    /// To `DescribeNetworkInterfaces`.
    NetworkInterfaces(Page<NetworkInterface>),
    /// To `ListCertificates` and `ListImportedCertificates`.
    CertificateArns(Page<CertificateArn>),
    /// To `DescribeCertificate`.
    Certificate(Certificate),
    /// To `ImportCertificate`.
    CertificateImported(CertificateArn),
    /// To `ListTagsForCertificate`.
    CertificateTags(Tags),
    /// To `CreateTrustStore`.
    TrustStoreCreated(TrustStoreArn),
    /// To `DescribeTrustStores`.
    TrustStores(Page<TrustStoreDescription>),
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// Asks for the next page; `None` on the last.
    pub next_marker: Option<String>,
}

impl<T> Page<T> {
    /// The only page.
    pub fn last(items: Vec<T>) -> Self {
        Self {
            items,
            next_marker: None,
        }
    }
}

/// A load balancer as `DescribeLoadBalancers` reports it: without attributes, tags and listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerDescription {
    /// Its ARN.
    pub arn: LoadBalancerArn,
    /// Its name.
    pub name: String,
    /// Its DNS name.
    pub dns_name: String,
    /// ALB or NLB; `None` for a type that elbow does not use.
    pub lb_type: Option<LoadBalancerType>,
    /// Internal or internet-facing; `None` where there is none.
    pub scheme: Option<Scheme>,
    /// Its state.
    pub state: LoadBalancerState,
    /// The VPC it belongs to.
    pub vpc_id: Option<VpcId>,
    /// Its address families.
    pub ip_address_type: Option<IpAddressType>,
    /// Its subnets.
    pub subnets: BTreeSet<SubnetId>,
    /// Its security groups.
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// NLB: whether inbound rules count for PrivateLink traffic.
    pub enforce_security_group_inbound_rules_on_private_link_traffic: Option<String>,
}

/// A listener as `DescribeListeners` reports it: without attributes, SNI list, tags and rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerDescription {
    /// Its ARN.
    pub arn: ListenerArn,
    /// Its port.
    pub port: Port,
    /// Its protocol; `None` for one that elbow does not use.
    pub protocol: Option<Protocol>,
    /// Its default actions, by order.
    pub default_actions: Vec<Action>,
    /// The default certificate.
    pub default_certificate: Option<CertificateArn>,
    /// The security policy.
    pub ssl_policy: Option<String>,
    /// The ALPN policy.
    pub alpn_policy: Option<String>,
    /// What it asks of clients.
    pub mutual_authentication: MutualAuthentication,
}

/// One entry of `DescribeListenerCertificates`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerCertificate {
    /// The certificate.
    pub arn: CertificateArn,
    /// Whether this entry marks the default certificate, which may be listed a second time as an SNI
    /// certificate.
    pub is_default: bool,
}

/// A target group as `DescribeTargetGroups` reports it: without attributes, tags and targets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroupDescription {
    /// Its ARN.
    pub arn: TargetGroupArn,
    /// Its name.
    pub name: String,
    /// What its targets are; `None` for a type that elbow does not use.
    pub target_type: Option<TargetType>,
    /// Protocol towards targets; `None` for one that elbow does not use.
    pub protocol: Option<Protocol>,
    /// ALB: HTTP version towards targets.
    pub protocol_version: Option<ProtocolVersion>,
    /// Its port.
    pub port: Option<Port>,
    /// Its address family.
    pub ip_address_type: TargetFamily,
    /// The VPC it belongs to.
    pub vpc_id: Option<VpcId>,
    /// Its health check; `None` for one that elbow cannot express.
    pub health_check: Option<HealthCheck>,
    /// Load balancers that use it.
    pub load_balancers: BTreeSet<LoadBalancerArn>,
}

/// A trust store as `DescribeTrustStores` reports it: without tags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustStoreDescription {
    /// Its ARN.
    pub arn: TrustStoreArn,
    /// Its name.
    pub name: String,
}

/// An instance, as far as it tells which security groups guard what runs on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its network interfaces, the primary one first.
    pub interfaces: Vec<NetworkInterface>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInterface {
    /// Its id, `eni-…`.
    pub id: String,
    /// The addresses that it has as its own, of both families.
    pub addresses: BTreeSet<IpAddr>,
    /// Blocks of addresses that are delegated to it.
    pub prefixes: BTreeSet<IpNet>,
    /// The security groups that guard it.
    pub security_groups: BTreeSet<SecurityGroupId>,
}

impl NetworkInterface {
    /// Whether packets for the address arrive here.
    pub fn serves(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address) || self.prefixes.iter().any(|p| p.contains(&address))
    }
}

/// A route table, as far as it decides whether a subnet is public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteTable {
    /// Whether it is the VPC's main table, which serves all subnets without one of their own.
    pub main: bool,
    /// Subnets it is associated with.
    pub subnets: BTreeSet<SubnetId>,
    /// Whether it has a route to an internet gateway.
    pub reaches_internet_gateway: bool,
}
