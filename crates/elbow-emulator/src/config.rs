//! What may differ between emulated accounts: region, quotas, latencies, the way health is known.

use serde::{Deserialize, Serialize};

use crate::throttle::Throttling;

/// Everything that an [`crate::Emulator`] is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// AWS region, such as `eu-west-1`. Requests signed for another one are refused.
    pub region: String,
    /// The twelve digits of the account.
    pub account_id: String,
    /// Source of identifiers and of choices among equals: same seed, same calls, same bytes.
    pub seed: u64,
    /// How long AWS's own work takes.
    pub latencies: Latencies,
    /// How much of everything there may be.
    pub quotas: Quotas,
    /// How targets become healthy.
    pub health: HealthMode,
    /// How fast calls may come.
    pub throttling: Throttling,
    /// For how long, in milliseconds of virtual time, reads do not show what a write has done. Writes
    /// always see everything. AWS warns of such delays and documents none.
    pub read_lag_ms: u64,
}

impl Default for Config {
    /// Region `us-east-1`, a made-up account, AWS's quotas, no waiting, no throttling, health from
    /// probes.
    fn default() -> Self {
        Self {
            region: "us-east-1".into(),
            account_id: "123456789012".into(),
            seed: 0,
            latencies: Latencies::instant(),
            quotas: Quotas::default(),
            health: HealthMode::Probed,
            throttling: Throttling::None,
            read_lag_ms: 0,
        }
    }
}

/// How targets become healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthMode {
    /// Somebody (the server) runs the health checks that fall due and reports their results.
    Probed,
    /// Each target passes its first check when it is due; for runs without sockets.
    AssumeHealthy,
}

/// How long AWS's own work takes, in milliseconds of virtual time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default = "Latencies::aws"
)]
pub struct Latencies {
    /// From `CreateLoadBalancer` of an ALB until it is `active`.
    pub application_load_balancer_provisioning_ms: u64,
    /// From `CreateLoadBalancer` of an NLB until it is `active`.
    pub network_load_balancer_provisioning_ms: u64,
    /// From `RegisterTargets` to an ALB's target group until health checks begin.
    pub application_target_registration_ms: u64,
    /// From `RegisterTargets` to an NLB's target group until health checks begin.
    pub network_target_registration_ms: u64,
    /// From `DeleteLoadBalancer` until its network interfaces are gone; until then its security
    /// groups cannot be deleted.
    pub eni_release_ms: u64,
}

impl Latencies {
    /// Nothing takes time, except what an attribute of the resource says.
    pub fn instant() -> Self {
        Self {
            application_load_balancer_provisioning_ms: 0,
            network_load_balancer_provisioning_ms: 0,
            application_target_registration_ms: 0,
            network_target_registration_ms: 0,
            eni_release_ms: 0,
        }
    }

    /// About what AWS takes. AWS documents none of these; they are the middle of what users see:
    /// an ALB is active after 1.5 to 4 minutes, an NLB after 2 to 5, and network interfaces linger
    /// for 1 to 3 minutes. NLB registration "may take a few minutes" in AWS's guide.
    pub fn aws() -> Self {
        Self {
            application_load_balancer_provisioning_ms: 150_000,
            network_load_balancer_provisioning_ms: 180_000,
            application_target_registration_ms: 5_000,
            network_target_registration_ms: 90_000,
            eni_release_ms: 120_000,
        }
    }
}

/// How much of everything there may be; defaults are AWS's.
///
/// Sources: "Quotas for your Application Load Balancers", "Quotas for your Network Load
/// Balancers", "Amazon VPC quotas" and ACM's "Quotas" in the AWS user guides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Quotas {
    /// ALBs in the region.
    pub application_load_balancers: usize,
    /// NLBs in the region.
    pub network_load_balancers: usize,
    /// Listeners of one ALB.
    pub listeners_per_application_load_balancer: usize,
    /// Listeners of one NLB.
    pub listeners_per_network_load_balancer: usize,
    /// Certificates of one ALB, default certificates not counted.
    pub certificates_per_application_load_balancer: usize,
    /// Certificates of one NLB, default certificates not counted.
    pub certificates_per_network_load_balancer: usize,
    /// Rules of one ALB, default rules not counted.
    pub rules_per_application_load_balancer: usize,
    /// Values of all conditions of one rule together.
    pub condition_values_per_rule: usize,
    /// Wildcards in all conditions of one rule together. AWS's quota page says 6, its page on
    /// conditions 5; the larger is taken.
    pub condition_wildcards_per_rule: usize,
    /// Regular expressions and values that one rule may evaluate.
    pub match_evaluations_per_rule: usize,
    /// Target groups in one forward action.
    pub target_groups_per_action: usize,
    /// Different target groups used by one ALB.
    pub target_groups_per_application_load_balancer: usize,
    /// Trust stores in the region.
    pub trust_stores: usize,
    /// Certificates in one trust store.
    pub ca_certificates_per_trust_store: usize,
    /// Target groups in the region.
    pub target_groups: usize,
    /// Targets of one instance or ip target group.
    pub targets_per_target_group: usize,
    /// Targets of one ALB.
    pub targets_per_application_load_balancer: usize,
    /// Targets of one NLB.
    pub targets_per_network_load_balancer: usize,
    /// Targets of one NLB in one zone.
    pub targets_per_zone_per_network_load_balancer: usize,
    /// Tags of one resource.
    pub tags_per_resource: usize,
    /// Security groups in the region.
    pub security_groups: usize,
    /// Rules of one security group and direction, counted apart for IPv4 and IPv6.
    pub rules_per_security_group: usize,
    /// Security groups of one network interface (so of one load balancer).
    pub security_groups_per_interface: usize,
    /// Certificates in ACM.
    pub certificates: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            application_load_balancers: 50,
            network_load_balancers: 50,
            listeners_per_application_load_balancer: 50,
            listeners_per_network_load_balancer: 50,
            certificates_per_application_load_balancer: 25,
            certificates_per_network_load_balancer: 25,
            rules_per_application_load_balancer: 100,
            condition_values_per_rule: 5,
            condition_wildcards_per_rule: 6,
            match_evaluations_per_rule: 5,
            target_groups_per_action: 5,
            target_groups_per_application_load_balancer: 100,
            trust_stores: 20,
            ca_certificates_per_trust_store: 25,
            target_groups: 3_000,
            targets_per_target_group: 1_000,
            targets_per_application_load_balancer: 1_000,
            targets_per_network_load_balancer: 3_000,
            targets_per_zone_per_network_load_balancer: 500,
            tags_per_resource: 50,
            security_groups: 2_500,
            rules_per_security_group: 60,
            security_groups_per_interface: 5,
            certificates: 2_500,
        }
    }
}
