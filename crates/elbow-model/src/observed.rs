//! Observed: the AWS resources that carry our tags, as they were last described.
//!
//! In: assembled by the round from the answers of AWS. Out: read by the planner. What always holds:
//! every resource of a Stack carries the cluster tag and the tags of the Stack it is listed under, so
//! that whatever the planner changes or deletes is ours. There are two exceptions. The target group that a
//! user's TargetGroupBinding names is listed under the binding, and only its targets are ever changed. The
//! security groups of nodes and pods stand apart, and only rules in them that say so are ours.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{
    CertificateArn, ListenerArn, LoadBalancerArn, Port, RuleArn, SecurityGroupId, SubnetId,
    TargetGroupArn, TrustStoreArn, VpcId,
};
use crate::rule::{Action, Condition, Transform};
use crate::stack::{
    HealthCheck, IngressRule, IpAddressType, LoadBalancerType, Protocol, ProtocolVersion, Scheme,
    Sharing, StackId, Target, TargetFamily, TargetType,
};
use crate::trust_store::MutualAuthentication;
use crate::{Attributes, OwnTargets, Tags};

/// What is there, by Stack.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// The resources of each Stack; a Stack without resources is absent. The backend security group
    /// is under [`StackId::CLUSTER`].
    #[serde(with = "stacks_as_list")]
    pub stacks: BTreeMap<StackId, ObservedStack>,
    /// Security groups that guard nodes and pods. They are not ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub node_groups: BTreeMap<SecurityGroupId, ObservedSecurityGroup>,
}

/// The resources of one Stack. Usually one load balancer; several while one replaces another, or
/// after a create that was repeated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservedStack {
    /// Security groups, by id.
    pub security_groups: Vec<ObservedSecurityGroup>,
    /// Imported certificates, by ARN; of the cluster's Stack alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<ObservedCertificate>,
    /// Trust stores, by ARN; of the cluster's Stack alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trust_stores: Vec<ObservedTrustStore>,
    /// Load balancers, by ARN.
    pub load_balancers: Vec<ObservedLoadBalancer>,
    /// Target groups, by ARN.
    pub target_groups: Vec<ObservedTargetGroup>,
    /// Target groups that a TargetGroupBinding has left; of its Stack alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_groups: Vec<LeftTargetGroup>,
}

/// A security group that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedSecurityGroup {
    /// Its id.
    pub id: SecurityGroupId,
    /// Its name.
    pub name: String,
    /// The VPC it belongs to.
    pub vpc_id: VpcId,
    /// Its ingress rules, sorted.
    pub ingress: Vec<IngressRule>,
    /// Its tags.
    pub tags: Tags,
}

/// An imported certificate that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedCertificate {
    /// Its ARN.
    pub arn: CertificateArn,
    /// Its tags; they tell of what content it is.
    pub tags: Tags,
}

/// A trust store that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedTrustStore {
    /// Its ARN.
    pub arn: TrustStoreArn,
    /// Its name.
    pub name: String,
    /// Its tags; they tell of what content it is.
    pub tags: Tags,
}

/// State of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalancerState {
    /// Being set up; takes minutes.
    Provisioning,
    /// Serves traffic.
    Active,
    /// Serves traffic with less capacity than it needs.
    ActiveImpaired,
    /// Could not be set up.
    Failed,
}

/// A load balancer that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedLoadBalancer {
    /// Its ARN.
    pub arn: LoadBalancerArn,
    /// Its name.
    pub name: String,
    /// Its DNS name.
    pub dns_name: String,
    /// ALB or NLB.
    #[serde(rename = "type")]
    pub lb_type: LoadBalancerType,
    /// Internal or internet-facing.
    pub scheme: Scheme,
    /// Its state.
    pub state: LoadBalancerState,
    /// Its address families.
    pub ip_address_type: IpAddressType,
    /// Its subnets.
    pub subnets: BTreeSet<SubnetId>,
    /// Its security groups.
    pub security_groups: BTreeSet<SecurityGroupId>,
    /// NLB: whether inbound rules count for PrivateLink traffic.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub enforce_security_group_inbound_rules_on_private_link_traffic: Option<String>,
    /// All its attributes.
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// Its listeners, by port.
    pub listeners: Vec<ObservedListener>,
}

/// A listener that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedListener {
    /// Its ARN.
    pub arn: ListenerArn,
    /// Its port.
    pub port: Port,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its default actions, by order.
    pub default_actions: Vec<Action>,
    /// HTTPS and TLS: the default certificate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default_certificate: Option<CertificateArn>,
    /// HTTPS and TLS: the SNI list, without the entry that only marks the default certificate.
    pub certificates: BTreeSet<CertificateArn>,
    /// HTTPS and TLS: the security policy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ssl_policy: Option<String>,
    /// TLS: the ALPN policy.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alpn_policy: Option<String>,
    /// HTTPS and TLS: what it asks of clients.
    #[serde(skip_serializing_if = "MutualAuthentication::is_off", default)]
    pub mutual_authentication: MutualAuthentication,
    /// All its attributes.
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// Its rules without the default one, by priority.
    pub rules: Vec<ObservedRule>,
}

/// A listener rule that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedRule {
    /// Its ARN.
    pub arn: RuleArn,
    /// Its priority, 1 to 50000; the lowest that matches wins.
    pub priority: u16,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// Its actions, by order.
    pub actions: Vec<Action>,
    /// Its transforms.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub transforms: Vec<Transform>,
    /// Its tags.
    pub tags: Tags,
}

/// A target group that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedTargetGroup {
    /// Its ARN.
    pub arn: TargetGroupArn,
    /// Its name.
    pub name: String,
    /// What its targets are.
    pub target_type: TargetType,
    /// Protocol towards targets.
    pub protocol: Protocol,
    /// ALB: HTTP version towards targets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub protocol_version: Option<ProtocolVersion>,
    /// Its port.
    pub port: Port,
    /// Its address family.
    pub ip_address_type: TargetFamily,
    /// The VPC it belongs to.
    pub vpc_id: VpcId,
    /// Its health check.
    pub health_check: HealthCheck,
    /// All its attributes.
    pub attributes: Attributes,
    /// Its tags.
    pub tags: Tags,
    /// Load balancers that use it.
    pub load_balancers: BTreeSet<LoadBalancerArn>,
    /// Its targets, by id and port.
    pub targets: Vec<ObservedTarget>,
    /// Which of them this cluster has registered, where several clusters share the group; `None` where
    /// nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub own: Option<OwnTargets>,
}

/// A target group that a TargetGroupBinding filled and does not name any more, as far as its targets go. It
/// is not ours, and nothing else of it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftTargetGroup {
    /// Its ARN.
    pub arn: TargetGroupArn,
    /// Its name.
    pub name: String,
    /// Who else filled it then.
    pub sharing: Sharing,
    /// Its targets, by id and port.
    pub targets: Vec<ObservedTarget>,
    /// Which of them this cluster has registered, as of an [`ObservedTargetGroup`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub own: Option<OwnTargets>,
}

/// A registered target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedTarget {
    /// The target.
    pub target: Target,
    /// Its health.
    pub state: TargetState,
    /// Why it is in that state, `Target.Timeout` for example.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
}

/// Health of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetState {
    /// Registered, not checked yet.
    Initial,
    /// Passed its check.
    Healthy,
    /// Failed its checks.
    Unhealthy,
    /// NLB: unhealthy, with its connections still open.
    #[serde(rename = "unhealthy.draining")]
    UnhealthyDraining,
    /// Not in use: its group has no listener, or its zone is not enabled.
    Unused,
    /// Being deregistered.
    Draining,
    /// Health is not known.
    Unavailable,
}

/// JSON knows text keys only, so the map travels as a list of pairs.
mod stacks_as_list {
    use super::{BTreeMap, ObservedStack, StackId};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Entry<S> {
        stack: StackId,
        observed: S,
    }

    pub(super) fn serialize<S: Serializer>(
        stacks: &BTreeMap<StackId, ObservedStack>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(stacks.iter().map(|(stack, observed)| Entry {
            stack: stack.clone(),
            observed,
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<StackId, ObservedStack>, D::Error> {
        let entries = Vec::<Entry<ObservedStack>>::deserialize(deserializer)?;
        Ok(entries.into_iter().map(|e| (e.stack, e.observed)).collect())
    }
}
