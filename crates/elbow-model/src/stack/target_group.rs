//! Target groups of a Stack, their health checks and targets.
//!
//! In: built by translation. Out: read by the planner and by whoever registers targets. What always holds: a
//! health check has every default filled in.

use serde::{Deserialize, Serialize};

use super::{Cause, Protocol};
use crate::ids::{Port, VpcId};
use crate::{Attributes, Tags};

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetType {
    /// An instance and its NodePort.
    Instance,
    /// An address, a pod's as a rule.
    Ip,
    /// An application load balancer, by its ARN, and the port of one of its listeners. AWS takes one
    /// target in such a group; where none is wanted, which it will be is not known yet, and one that is
    /// there stays:
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/network/application-load-balancer-target.html>.
    Alb,
}

impl TargetType {
    /// The type as ELBv2 spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Ip => "ip",
            Self::Alb => "alb",
        }
    }
}

/// Version of HTTP towards the targets of an ALB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each variant is the ELBv2 protocol version of that name"
)]
pub enum ProtocolVersion {
    #[serde(rename = "HTTP1")]
    Http1,
    #[serde(rename = "HTTP2")]
    Http2,
    #[serde(rename = "GRPC")]
    Grpc,
}

impl ProtocolVersion {
    /// The version as ELBv2 spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP1",
            Self::Http2 => "HTTP2",
            Self::Grpc => "GRPC",
        }
    }
}

/// Address family of a target group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl TargetFamily {
    /// The family as ELBv2 spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// A target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroup {
    /// Name, used when it is created only.
    pub name: String,
    /// What its targets are; a change replaces the group.
    pub target_type: TargetType,
    /// Protocol towards targets; a change replaces the group.
    pub protocol: Protocol,
    /// ALB: HTTP version towards targets; a change replaces the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<ProtocolVersion>,
    /// Port of the group, used when it is created only; each target is registered with its own.
    pub port: Port,
    /// Address family, used when it is created only.
    pub ip_address_type: TargetFamily,
    /// The VPC it belongs to.
    pub vpc_id: VpcId,
    /// The health check, complete.
    pub health_check: HealthCheck,
    /// Attributes that are set; others are left as they are.
    pub attributes: Attributes,
    /// All tags, tracking tags included.
    pub tags: Tags,
    /// The targets that are to be registered.
    pub targets: Vec<Target>,
    /// Who registers targets in the group.
    #[serde(skip_serializing_if = "Sharing::is_exclusive", default)]
    pub sharing: Sharing,
    /// Because of which objects.
    pub causes: Vec<Cause>,
}

/// Who registers targets in a target group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sharing {
    /// This cluster alone: a target that is not wanted is deregistered, whoever registered it.
    #[default]
    Exclusive,
    /// Several clusters: only what this one is known to have registered is deregistered
    /// ([`OwnTargets`](crate::OwnTargets)).
    Clusters {
        /// Namespace of the TargetGroupBinding under which that is kept.
        namespace: String,
        /// Name of that TargetGroupBinding.
        binding: String,
    },
}

impl Sharing {
    /// Whether this cluster alone registers targets.
    pub fn is_exclusive(&self) -> bool {
        *self == Self::Exclusive
    }
}

/// The health check of a target group, with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// A port, or `traffic-port`.
    pub port: String,
    /// HTTP, HTTPS or TCP.
    pub protocol: Protocol,
    /// Path; absent for TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Codes that count as healthy; absent for TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matcher: Option<Matcher>,
    /// Seconds between checks.
    pub interval_seconds: i32,
    /// Seconds until a check without an answer has failed.
    pub timeout_seconds: i32,
    /// Passed checks in a row after which an unhealthy target is healthy.
    pub healthy_threshold_count: i32,
    /// Failed checks in a row after which a target is unhealthy.
    pub unhealthy_threshold_count: i32,
}

/// Codes that count as healthy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Matcher {
    /// HTTP status codes, `200-399` for example.
    HttpCode(String),
    /// gRPC status codes, `12` for example.
    GrpcCode(String),
}

/// A target: an instance id, an address or the ARN of a load balancer, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Instance id, address or ARN.
    pub id: String,
    /// Port.
    pub port: Port,
    /// `all` for an address outside the VPC, else absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub availability_zone: Option<String>,
    /// Of a target of QUIC: the id that its connections carry, `0x` and hexadecimal digits. AWS does not
    /// change that of a target which is registered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quic_server_id: Option<String>,
}
