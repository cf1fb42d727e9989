//! SetSecurityGroups.

use super::error;
use super::state::{LoadBalancerKind, OnOff};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

impl Emulator {
    pub(super) fn set_security_groups(
        &mut self,
        _now: Timestamp,
        input: &wire::SetSecurityGroupsInput,
    ) -> Result<wire::SetSecurityGroupsOutput, ApiError> {
        let arn = &input.load_balancer_arn;
        let lb = self.elbv2.load_balancer(arn)?;
        let enforce = input
            .enforce_security_group_inbound_rules_on_private_link_traffic
            .as_deref()
            .and_then(OnOff::parse);
        if lb.kind == LoadBalancerKind::Network && lb.security_groups.is_empty() {
            // The restriction is documented, the text is not.
            return Err(error::configuration(
                "You cannot set security groups on a Network Load Balancer that was created \
                 without security groups",
            ));
        }
        if lb.kind == LoadBalancerKind::Application && enforce.is_some() {
            // Undocumented text.
            return Err(error::configuration(
                "'EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic' is not supported for load \
                 balancers with type 'application'",
            ));
        }
        if input.security_groups.is_empty() {
            // Undocumented text.
            return Err(error::configuration(
                "At least one security group must be specified",
            ));
        }
        self.check_security_groups(&lb.vpc_id, &input.security_groups)?;
        let Some(lb) = self.elbv2.load_balancers.get_mut(arn) else {
            return Err(error::no_load_balancer(arn));
        };
        lb.security_groups.clone_from(&input.security_groups);
        lb.private_link_inbound_rules = enforce.or(lb.private_link_inbound_rules);
        let enforced = lb.private_link_inbound_rules;
        self.elbv2.touch();
        Ok(wire::SetSecurityGroupsOutput {
            security_group_ids: Some(input.security_groups.clone()),
            enforce_security_group_inbound_rules_on_private_link_traffic: enforced
                .map(|on_off| on_off.as_str().to_owned()),
        })
    }
}
