//! EC2, as far as load balancers need it: networks, instances, interfaces, security groups, tags.
//!
//! In: typed requests. Out: responses, refusals, and state for ELBv2 to look things up in.
//! Always: a refused request changes nothing; reads see writes at once.

mod describe_instances;
mod describe_networks;
mod filters;
mod ids;
mod interfaces;
mod permissions;
mod rules;
mod security_groups;
mod security_groups_describe;
pub(crate) mod state;
mod tags;

#[cfg(test)]
mod tests;

pub use state::InstanceState;
pub(crate) use state::State;

use crate::generated::ec2 as wire;
use crate::unmodelled::Unmodelled;
use crate::{ApiError, Emulator, Timestamp};

/// Parameters of the ingress operations that belong to EC2-Classic or default VPCs.
const RULE_PARAMETERS: &[&str] = &[
    "GroupName",
    "IpPermissions.UserIdGroupPairs.GroupName",
    "IpPermissions.UserIdGroupPairs.PeeringStatus",
    "IpPermissions.UserIdGroupPairs.VpcPeeringConnectionId",
    "SourceSecurityGroupName",
    "SourceSecurityGroupOwnerId",
];

/// The egress operations of AWS refuse the flat parameters too.
const EGRESS_PARAMETERS: &[&str] = &[
    "CidrIp",
    "FromPort",
    "IpPermissions.UserIdGroupPairs.GroupName",
    "IpPermissions.UserIdGroupPairs.PeeringStatus",
    "IpPermissions.UserIdGroupPairs.VpcPeeringConnectionId",
    "IpProtocol",
    "SourceSecurityGroupName",
    "SourceSecurityGroupOwnerId",
    "ToPort",
];

pub(crate) const UNMODELLED: &[Unmodelled] = &[
    Unmodelled {
        operation: "AuthorizeSecurityGroupEgress",
        parameters: EGRESS_PARAMETERS,
    },
    Unmodelled {
        operation: "AuthorizeSecurityGroupIngress",
        parameters: RULE_PARAMETERS,
    },
    Unmodelled {
        operation: "RevokeSecurityGroupEgress",
        parameters: EGRESS_PARAMETERS,
    },
    Unmodelled {
        operation: "RevokeSecurityGroupIngress",
        parameters: RULE_PARAMETERS,
    },
    // Resources that AWS services keep in the account; there are none here.
    Unmodelled {
        operation: "DescribeInstances",
        parameters: &["IncludeManagedResources"],
    },
    Unmodelled {
        operation: "DescribeNetworkInterfaces",
        parameters: &["IncludeManagedResources"],
    },
];

impl Emulator {
    pub(crate) fn ec2(
        &mut self,
        now: Timestamp,
        request: wire::Request,
    ) -> Result<wire::Response, ApiError> {
        self.follow_load_balancers();
        if !is_dry_run(&request) {
            return self.ec2_for_real(now, request);
        }
        // Whether a request would succeed is found out by letting it, and forgetting the result.
        let (ec2, ids) = (self.ec2.clone(), self.ids.clone());
        let result = self.ec2_for_real(now, request);
        (self.ec2, self.ids) = (ec2, ids);
        result?;
        let message = "Request would have succeeded, but DryRun flag is set.";
        Err(ApiError::sender("DryRunOperation", message).with_status(412))
    }

    fn ec2_for_real(
        &mut self,
        now: Timestamp,
        request: wire::Request,
    ) -> Result<wire::Response, ApiError> {
        use wire::{Request as Q, Response as R};
        Ok(match request {
            Q::AuthorizeSecurityGroupEgress(input) => {
                R::AuthorizeSecurityGroupEgress(self.authorize_egress(input)?)
            }
            Q::AuthorizeSecurityGroupIngress(input) => {
                R::AuthorizeSecurityGroupIngress(self.authorize_ingress(input)?)
            }
            Q::CreateSecurityGroup(input) => {
                R::CreateSecurityGroup(self.create_security_group(input)?)
            }
            Q::CreateTags(input) => R::CreateTags(self.create_tags(&input)?),
            Q::DeleteSecurityGroup(input) => {
                R::DeleteSecurityGroup(self.delete_security_group(&input)?)
            }
            Q::DeleteTags(input) => R::DeleteTags(self.delete_tags(&input)?),
            Q::DescribeAddresses(input) => R::DescribeAddresses(self.describe_addresses(&input)?),
            Q::DescribeAvailabilityZones(input) => {
                R::DescribeAvailabilityZones(self.describe_availability_zones(&input)?)
            }
            Q::DescribeInstances(input) => {
                R::DescribeInstances(self.describe_instances(now, &input)?)
            }
            Q::DescribeNetworkInterfaces(input) => {
                R::DescribeNetworkInterfaces(self.describe_network_interfaces(&input)?)
            }
            Q::DescribeRouteTables(input) => {
                R::DescribeRouteTables(self.describe_route_tables(&input)?)
            }
            Q::DescribeSecurityGroupRules(input) => {
                R::DescribeSecurityGroupRules(self.describe_security_group_rules(&input)?)
            }
            Q::DescribeSecurityGroups(input) => {
                R::DescribeSecurityGroups(self.describe_security_groups(&input)?)
            }
            Q::DescribeSubnets(input) => R::DescribeSubnets(self.describe_subnets(&input)?),
            Q::DescribeVpcs(input) => R::DescribeVpcs(self.describe_vpcs(&input)?),
            Q::RevokeSecurityGroupEgress(input) => {
                R::RevokeSecurityGroupEgress(self.revoke_egress(input)?)
            }
            Q::RevokeSecurityGroupIngress(input) => {
                R::RevokeSecurityGroupIngress(self.revoke_ingress(input)?)
            }
        })
    }

    /// The ARN of an EC2 resource: `arn:aws:ec2:REGION:ACCOUNT:subnet/subnet-…`.
    fn ec2_arn(&self, kind: &str, id: &str) -> String {
        let crate::Config {
            region, account_id, ..
        } = &self.config;
        format!("arn:aws:ec2:{region}:{account_id}:{kind}/{id}")
    }
}

fn is_dry_run(request: &wire::Request) -> bool {
    use wire::Request as Q;
    let flag = match request {
        Q::AuthorizeSecurityGroupEgress(input) => input.dry_run,
        Q::AuthorizeSecurityGroupIngress(input) => input.dry_run,
        Q::CreateSecurityGroup(input) => input.dry_run,
        Q::CreateTags(input) => input.dry_run,
        Q::DeleteSecurityGroup(input) => input.dry_run,
        Q::DeleteTags(input) => input.dry_run,
        Q::DescribeAddresses(input) => input.dry_run,
        Q::DescribeAvailabilityZones(input) => input.dry_run,
        Q::DescribeInstances(input) => input.dry_run,
        Q::DescribeNetworkInterfaces(input) => input.dry_run,
        Q::DescribeRouteTables(input) => input.dry_run,
        Q::DescribeSecurityGroupRules(input) => input.dry_run,
        Q::DescribeSecurityGroups(input) => input.dry_run,
        Q::DescribeSubnets(input) => input.dry_run,
        Q::DescribeVpcs(input) => input.dry_run,
        Q::RevokeSecurityGroupEgress(input) => input.dry_run,
        Q::RevokeSecurityGroupIngress(input) => input.dry_run,
    };
    flag == Some(true)
}

/// Tags in EC2's form. EC2 leaves the list out where there are none; so does `None`.
fn wire_tags(tags: &state::Tags) -> Option<Vec<wire::Tag>> {
    let tags: Vec<_> = tags
        .iter()
        .map(|(key, value)| wire::Tag {
            key: Some(key.clone()),
            value: Some(value.clone()),
        })
        .collect();
    (!tags.is_empty()).then_some(tags)
}
