//! Elastic Load Balancing, version 2 of its API: the control plane of ALB and NLB.
//!
//! Comes in: typed requests whose form (types, lengths, patterns, enumerations) has been checked,
//! and the time. Goes out: typed responses, AWS's refusals, and [`state::State`] for the data
//! plane. Always holds: a refused request changes nothing.
//! Start at [`dispatch`]; each sibling is one family of operations.
//!
//! Where a comment says "undocumented", AWS's references leave the matter open and the text or
//! code is this emulator's choice. Error texts without that mark are AWS's own, as its users quote
//! them in public reports.

pub(crate) mod state;

mod dispatch;
mod error;

mod capacity;
mod certificates;
mod listeners;
mod load_balancers;
mod priorities;
mod rules;
mod security_groups;
mod subnets;
mod tags;
mod target_groups;
mod targets;
mod trust_stores;

mod actions;
mod actions_forward;
mod actions_redirect;
mod arn;
mod attributes;
mod conditions;
mod facts;
mod health_check;
mod limits;
mod names;
mod page;
mod protocols;
mod regexes;
mod ssl_policies;
mod transforms;

pub mod probes;

mod health;
mod timeline;

#[cfg(test)]
mod tests;

pub(crate) use arn::trust_store as trust_store_arn;
pub use state::State;

use crate::unmodelled::Unmodelled;

/// Parameters that are refused by name wherever they appear.
pub(crate) const UNMODELLED: &[Unmodelled] = &[
    Unmodelled {
        operation: "CreateLoadBalancer",
        parameters: &["CustomerOwnedIpv4Pool", "IpamPools"],
    },
    Unmodelled {
        operation: "CreateTargetGroup",
        parameters: &["TargetControlPort"],
    },
    Unmodelled {
        operation: "CreateTrustStore",
        parameters: &["CaCertificatesBundleS3ObjectVersion"],
    },
    Unmodelled {
        operation: "ModifyTrustStore",
        parameters: &["CaCertificatesBundleS3ObjectVersion"],
    },
];
