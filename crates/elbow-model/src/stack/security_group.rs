//! Security groups of a Stack, and ingress rules.
//!
//! In: built by translation. Out: read by the planner. What always holds: a rule is one protocol, one port range
//! and one source, as EC2 keeps it.

use serde::{Deserialize, Serialize};

use super::{Cause, Ref};
use crate::Tags;
use crate::ids::{PrefixListId, SecurityGroupId, VpcId};

/// A security group that elbow owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroup {
    /// Group name, used when it is created only.
    pub name: String,
    /// Description, used when it is created only.
    pub description: String,
    /// The VPC it belongs to.
    pub vpc_id: VpcId,
    /// All ingress rules; others on the group are revoked. `None`: the rules are not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<IngressRule>>,
    /// All tags, tracking tags included.
    pub tags: Tags,
    /// Because of which objects.
    pub causes: Vec<Cause>,
}

/// One ingress rule of a security group: one protocol, one port range, one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressRule {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, a protocol number, or `-1` for all.
    pub protocol: String,
    /// First port, or ICMP type; absent for all protocols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_port: Option<i32>,
    /// Last port, or ICMP code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_port: Option<i32>,
    /// From where.
    pub source: IngressSource,
    /// What EC2 keeps beside the rule. It is no part of what makes two rules the same; on security
    /// groups that are not ours it tells our rules from all others: [`NODE_RULE_LABEL`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub description: Option<String>,
}

/// Description of the rules that let load balancers reach nodes and pods, the same as LBC's. Of a security
/// group that is not ours, rules with this description are ours, and no others.
pub const NODE_RULE_LABEL: &str = "elbv2.k8s.aws/targetGroupBinding=shared";

impl IngressRule {
    /// Whether it is one that lets load balancers reach nodes and pods.
    pub fn is_node_rule(&self) -> bool {
        self.description.as_deref() == Some(NODE_RULE_LABEL)
    }
}

/// From where an ingress rule lets traffic in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IngressSource {
    /// An IPv4 block.
    Ipv4(String),
    /// An IPv6 block.
    Ipv6(String),
    /// A managed prefix list.
    PrefixList(PrefixListId),
    /// Members of a security group.
    SecurityGroup(Ref<SecurityGroupId>),
}
