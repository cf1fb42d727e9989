//! The load balancer of a Stack.
//!
//! In: built by translation. Out: read by the planner. What always holds: words are spelled as ELBv2 spells them.

use serde::{Deserialize, Serialize};

use super::{Cause, Ref};
use crate::ids::{LoadBalancerArn, SecurityGroupId, SubnetId};
use crate::{Attributes, Tags};

/// Type of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadBalancerType {
    /// ALB.
    Application,
    /// NLB.
    Network,
}

impl LoadBalancerType {
    /// The type as ELBv2 spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Network => "network",
        }
    }
}

/// From where a load balancer can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// From within the VPC.
    Internal,
    /// From the internet.
    InternetFacing,
}

impl Scheme {
    /// The scheme as ELBv2 spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::InternetFacing => "internet-facing",
        }
    }
}

/// Address families of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpAddressType {
    /// IPv4 only.
    Ipv4,
    /// Both families.
    Dualstack,
    /// Both families, with public IPv6 and private IPv4 addresses.
    DualstackWithoutPublicIpv4,
}

impl IpAddressType {
    /// The type as ELBv2 spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Dualstack => "dualstack",
            Self::DualstackWithoutPublicIpv4 => "dualstack-without-public-ipv4",
        }
    }
}

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// Name, used when it is created only.
    pub name: String,
    /// ALB or NLB; a change replaces the load balancer.
    #[serde(rename = "type")]
    pub lb_type: LoadBalancerType,
    /// Internal or internet-facing; a change replaces the load balancer.
    pub scheme: Scheme,
    /// Address families.
    pub ip_address_type: IpAddressType,
    /// Subnets, one for each availability zone.
    pub subnets: Vec<SubnetMapping>,
    /// Security groups in the order in which they are sent; empty for an NLB that has none.
    pub security_groups: Vec<Ref<SecurityGroupId>>,
    /// NLB: whether inbound rules count for PrivateLink traffic, `on` or `off`; `None` leaves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforce_security_group_inbound_rules_on_private_link_traffic: Option<String>,
    /// Attributes that are set; others are left as they are.
    pub attributes: Attributes,
    /// All tags, tracking tags included.
    pub tags: Tags,
    /// Because of which objects.
    pub causes: Vec<Cause>,
}

/// A subnet of a load balancer, with its addresses if they are chosen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubnetMapping {
    /// The subnet.
    pub subnet_id: SubnetId,
    /// NLB, internet-facing: allocation id of an Elastic IP address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation_id: Option<String>,
    /// NLB, internal: the private IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ipv4_address: Option<String>,
    /// NLB, dualstack: the IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<String>,
}

impl SubnetMapping {
    /// A subnet whose addresses AWS chooses.
    pub fn of(subnet_id: SubnetId) -> Self {
        Self {
            subnet_id,
            allocation_id: None,
            private_ipv4_address: None,
            ipv6_address: None,
        }
    }
}

/// A load balancer by name: what a status or a table shows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerAddress {
    /// Its ARN.
    pub arn: LoadBalancerArn,
    /// Its DNS name.
    pub dns_name: String,
}
