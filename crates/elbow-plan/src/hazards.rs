//! Hazards: what a step can do to traffic, to clients or to safety. A new hazard goes here: a variant
//! with what it is about, its sentence in [`Hazard::fmt`](std::fmt::Display), its severity, and a case
//! in the tests that makes the planner report it.
//!
//! In: facts of a step. Out: sentences that every rendering shows in front of all else.

use std::fmt;

use elbow_model::ids::Port;
use serde::{Deserialize, Serialize};

/// What a step can do to traffic, to clients or to safety.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(
    tag = "hazard",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Hazard {
    /// The load balancer is replaced by another, since its type or scheme cannot be changed.
    ReplacesLoadBalancer {
        /// The DNS name that goes away.
        old_dns_name: String,
    },
    /// The load balancer is deleted, and nothing takes its place.
    DeletesLoadBalancer {
        /// The DNS name that goes away.
        dns_name: String,
    },
    /// Requests or connections get no answer, or a worse one, for a while or for good.
    DropsTraffic {
        /// Which, and until when.
        what: String,
    },
    /// A port of an internet-facing load balancer becomes reachable from every address.
    OpensToInternet {
        /// The ports; empty for all.
        ports: Vec<String>,
    },
    /// A listener that let in clients with a certificate alone lets in everybody.
    StopsVerifyingClients {
        /// The listener's port.
        port: Port,
    },
    /// AWS refuses what passes a quota.
    ExceedsQuota {
        /// The quota, in the words of the AWS quota page.
        quota: String,
        /// What is allowed.
        limit: usize,
        /// What is wanted.
        wanted: usize,
    },
    /// The target group is replaced by another, since its type or protocol cannot be changed.
    ReplacesTargetGroup {
        /// Name of the group that goes away.
        old_name: String,
    },
    /// The name that was chosen is taken by the group that is being replaced, so that another is used.
    RenamesTargetGroup {
        /// The name that was asked for.
        wanted: String,
        /// The name that is used.
        used: String,
    },
    /// A listener changes its protocol under its clients.
    ChangesListenerProtocol {
        /// The listener's port.
        port: Port,
    },
    /// The quota of rules leaves no room to create before deleting: rules are replaced one by one.
    RecyclesRules {
        /// How many are deleted before their successors exist.
        count: usize,
    },
    /// A subnet is given up, with the connections that go through it.
    LeavesSubnets {
        /// The subnets.
        subnets: Vec<String>,
    },
}

/// How much a hazard weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// Traffic, clients or safety can suffer.
    Danger,
}

impl Hazard {
    /// How much it weighs.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::ReplacesLoadBalancer { .. }
            | Self::DeletesLoadBalancer { .. }
            | Self::DropsTraffic { .. }
            | Self::StopsVerifyingClients { .. }
            | Self::ExceedsQuota { .. }
            | Self::ChangesListenerProtocol { .. }
            | Self::RecyclesRules { .. }
            | Self::LeavesSubnets { .. } => Severity::Danger,
            Self::OpensToInternet { .. }
            | Self::ReplacesTargetGroup { .. }
            | Self::RenamesTargetGroup { .. } => Severity::Notice,
        }
    }
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReplacesLoadBalancer { old_dns_name } => write!(
                f,
                "replaces the load balancer: DNS name changes, clients of {old_dns_name} must move"
            ),
            Self::DeletesLoadBalancer { dns_name } => {
                write!(f, "deletes the load balancer: {dns_name} goes away")
            }
            Self::DropsTraffic { what } => write!(f, "drops traffic: {what}"),
            Self::OpensToInternet { ports } if ports.is_empty() => {
                f.write_str("opens every port to the internet")
            }
            Self::OpensToInternet { ports } => {
                write!(f, "opens {} to the internet", ports.join(", "))
            }
            Self::StopsVerifyingClients { port } => write!(
                f,
                "port {port} lets in clients without a certificate that was verified"
            ),
            Self::ExceedsQuota {
                quota,
                limit,
                wanted,
            } => write!(
                f,
                "exceeds the quota \"{quota}\": {wanted} wanted, {limit} allowed; AWS refuses the rest"
            ),
            Self::ReplacesTargetGroup { old_name } => write!(
                f,
                "replaces target group {old_name}: its metrics and alarms do not carry over"
            ),
            Self::RenamesTargetGroup { wanted, used } => write!(
                f,
                "names the target group {used}: {wanted} is taken by the group that it replaces"
            ),
            Self::ChangesListenerProtocol { port } => write!(
                f,
                "changes the protocol of port {port}: clients must speak the new one"
            ),
            Self::RecyclesRules { count } => write!(
                f,
                "deletes {count} rule(s) before their successors exist: the quota of rules leaves no room"
            ),
            Self::LeavesSubnets { subnets } => write!(
                f,
                "leaves {}: connections through them are cut",
                subnets.join(", ")
            ),
        }
    }
}
