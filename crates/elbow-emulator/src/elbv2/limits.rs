//! Quotas: the fixed ones, and DescribeAccountLimits.
//!
//! Adjustable quotas are part of the configuration ([`crate::Quotas`]).

use super::page;
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

/// Rules of one network load balancer, the default rules not counted. Not adjustable ("Quotas for
/// your Network Load Balancers").
pub(super) const RULES_PER_NETWORK_LOAD_BALANCER: usize = 100;
/// Gateway load balancers are not modelled; their quotas are listed all the same.
const GATEWAY_LIMITS: [(&str, usize); 4] = [
    ("gateway-load-balancers", 100),
    ("gateway-load-balancers-per-vpc", 100),
    ("geneve-target-groups", 100),
    (
        "targets-per-availability-zone-per-gateway-load-balancer",
        300,
    ),
];

impl Emulator {
    pub(super) fn describe_account_limits(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeAccountLimitsInput,
    ) -> Result<wire::DescribeAccountLimitsOutput, ApiError> {
        let quotas = &self.config.quotas;
        let mut limits = vec![
            (
                "application-load-balancers",
                quotas.application_load_balancers,
            ),
            (
                "condition-values-per-alb-rule",
                quotas.condition_values_per_rule,
            ),
            (
                "condition-wildcards-per-alb-rule",
                quotas.condition_wildcards_per_rule,
            ),
            (
                "listeners-per-application-load-balancer",
                quotas.listeners_per_application_load_balancer,
            ),
            (
                "listeners-per-network-load-balancer",
                quotas.listeners_per_network_load_balancer,
            ),
            ("network-load-balancers", quotas.network_load_balancers),
            (
                "rules-per-application-load-balancer",
                quotas.rules_per_application_load_balancer,
            ),
            ("target-groups", quotas.target_groups),
            (
                "target-groups-per-action-on-application-load-balancer",
                quotas.target_groups_per_action,
            ),
            (
                "target-groups-per-action-on-network-load-balancer",
                quotas.target_groups_per_action,
            ),
            (
                "target-groups-per-application-load-balancer",
                quotas.target_groups_per_application_load_balancer,
            ),
            (
                "targets-per-application-load-balancer",
                quotas.targets_per_application_load_balancer,
            ),
            (
                "targets-per-availability-zone-per-network-load-balancer",
                quotas.targets_per_zone_per_network_load_balancer,
            ),
            (
                "targets-per-network-load-balancer",
                quotas.targets_per_network_load_balancer,
            ),
        ];
        limits.extend(GATEWAY_LIMITS);
        limits.sort_unstable();
        let page = page::cut(
            limits,
            |limit| limit.0.to_owned(),
            input.marker.as_deref(),
            input.page_size,
        )?;
        let limits = page.items.into_iter().map(|(name, max)| wire::Limit {
            name: Some(name.to_owned()),
            max: Some(max.to_string()),
        });
        Ok(wire::DescribeAccountLimitsOutput {
            limits: Some(limits.collect()),
            next_marker: page.next_marker,
        })
    }
}
