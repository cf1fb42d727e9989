//! One door for all ELBv2 operations.

use crate::error::ApiError;
use crate::generated::elbv2::{Request, Response};
use crate::{Emulator, Timestamp};

impl Emulator {
    /// Answers an ELBv2 request whose form has been checked.
    pub(crate) fn elbv2(&mut self, now: Timestamp, request: Request) -> Result<Response, ApiError> {
        use Request as Q;
        use Response as R;
        Ok(match request {
            Q::AddListenerCertificates(input) => {
                R::AddListenerCertificates(self.add_listener_certificates(now, &input)?)
            }
            Q::AddTags(input) => R::AddTags(self.add_tags(now, &input)?),
            Q::CreateListener(input) => R::CreateListener(self.create_listener(now, &input)?),
            Q::CreateLoadBalancer(input) => {
                R::CreateLoadBalancer(self.create_load_balancer(now, &input)?)
            }
            Q::CreateRule(input) => R::CreateRule(self.create_rule(now, &input)?),
            Q::CreateTargetGroup(input) => {
                R::CreateTargetGroup(self.create_target_group(now, &input)?)
            }
            Q::CreateTrustStore(input) => {
                R::CreateTrustStore(self.create_trust_store(now, &input)?)
            }
            Q::DeleteListener(input) => R::DeleteListener(self.delete_listener(now, &input)?),
            Q::DeleteLoadBalancer(input) => {
                R::DeleteLoadBalancer(self.delete_load_balancer(now, &input)?)
            }
            Q::DeleteRule(input) => R::DeleteRule(self.delete_rule(now, &input)?),
            Q::DeleteTargetGroup(input) => {
                R::DeleteTargetGroup(self.delete_target_group(now, &input)?)
            }
            Q::DeleteTrustStore(input) => {
                R::DeleteTrustStore(self.delete_trust_store(now, &input)?)
            }
            Q::DeregisterTargets(input) => {
                R::DeregisterTargets(self.deregister_targets(now, &input)?)
            }
            Q::DescribeAccountLimits(input) => {
                R::DescribeAccountLimits(self.describe_account_limits(now, &input)?)
            }
            Q::DescribeCapacityReservation(input) => {
                R::DescribeCapacityReservation(self.describe_capacity_reservation(now, &input)?)
            }
            Q::DescribeListenerAttributes(input) => {
                R::DescribeListenerAttributes(self.describe_listener_attributes(now, &input)?)
            }
            Q::DescribeListenerCertificates(input) => {
                R::DescribeListenerCertificates(self.describe_listener_certificates(now, &input)?)
            }
            Q::DescribeListeners(input) => {
                R::DescribeListeners(self.describe_listeners(now, &input)?)
            }
            Q::DescribeLoadBalancerAttributes(input) => R::DescribeLoadBalancerAttributes(
                self.describe_load_balancer_attributes(now, &input)?,
            ),
            Q::DescribeLoadBalancers(input) => {
                R::DescribeLoadBalancers(self.describe_load_balancers(now, &input)?)
            }
            Q::DescribeRules(input) => R::DescribeRules(self.describe_rules(now, &input)?),
            Q::DescribeSSLPolicies(input) => {
                R::DescribeSSLPolicies(self.describe_ssl_policies(now, &input)?)
            }
            Q::DescribeTags(input) => R::DescribeTags(self.describe_tags(now, &input)?),
            Q::DescribeTargetGroupAttributes(input) => R::DescribeTargetGroupAttributes(
                self.describe_target_group_attributes(now, &input)?,
            ),
            Q::DescribeTargetGroups(input) => {
                R::DescribeTargetGroups(self.describe_target_groups(now, &input)?)
            }
            Q::DescribeTargetHealth(input) => {
                R::DescribeTargetHealth(self.describe_target_health(now, &input)?)
            }
            Q::DescribeTrustStoreAssociations(input) => R::DescribeTrustStoreAssociations(
                self.describe_trust_store_associations(now, &input)?,
            ),
            Q::DescribeTrustStores(input) => {
                R::DescribeTrustStores(self.describe_trust_stores(now, &input)?)
            }
            Q::ModifyListener(input) => R::ModifyListener(self.modify_listener(now, &input)?),
            Q::ModifyListenerAttributes(input) => {
                R::ModifyListenerAttributes(self.modify_listener_attributes(now, input)?)
            }
            Q::ModifyLoadBalancerAttributes(input) => {
                R::ModifyLoadBalancerAttributes(self.modify_load_balancer_attributes(now, input)?)
            }
            Q::ModifyRule(input) => R::ModifyRule(self.modify_rule(now, &input)?),
            Q::ModifyTargetGroup(input) => {
                R::ModifyTargetGroup(self.modify_target_group(now, &input)?)
            }
            Q::ModifyTargetGroupAttributes(input) => {
                R::ModifyTargetGroupAttributes(self.modify_target_group_attributes(now, input)?)
            }
            Q::ModifyTrustStore(input) => {
                R::ModifyTrustStore(self.modify_trust_store(now, &input)?)
            }
            Q::RegisterTargets(input) => R::RegisterTargets(self.register_targets(now, &input)?),
            Q::RemoveListenerCertificates(input) => {
                R::RemoveListenerCertificates(self.remove_listener_certificates(now, &input)?)
            }
            Q::RemoveTags(input) => R::RemoveTags(self.remove_tags(now, &input)?),
            Q::SetIpAddressType(input) => {
                R::SetIpAddressType(self.set_ip_address_type(now, &input)?)
            }
            Q::SetRulePriorities(input) => {
                R::SetRulePriorities(self.set_rule_priorities(now, &input)?)
            }
            Q::SetSecurityGroups(input) => {
                R::SetSecurityGroups(self.set_security_groups(now, &input)?)
            }
            Q::SetSubnets(input) => R::SetSubnets(self.set_subnets(now, &input)?),
        })
    }
}
