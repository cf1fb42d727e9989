//! CreateSecurityGroup and DeleteSecurityGroup.

use std::collections::BTreeMap;

use super::state::{Direction, Peer, RuleKey, SecurityGroup, SecurityGroupRule};
use super::{ids, tags, wire_tags};
use crate::generated::ec2 as wire;
use crate::{ApiError, Emulator};

/// Characters of a group's name, and of its description.
const TEXT_MAX: usize = 255;

impl Emulator {
    pub(super) fn create_security_group(
        &mut self,
        input: wire::CreateSecurityGroupInput,
    ) -> Result<wire::CreateSecurityGroupOutput, ApiError> {
        let wire::CreateSecurityGroupInput {
            description,
            group_name,
            tag_specifications,
            vpc_id,
            ..
        } = input;
        check_text("groupName", &group_name)?;
        check_text("GroupDescription", &description)?;
        if group_name.starts_with("sg-") {
            let message = "Invalid value 'sg-' for groupName. Group names may not be in the \
                           format sg-*.";
            return Err(ApiError::sender("InvalidParameterValue", message));
        }
        let vpc = match &vpc_id {
            Some(id) => ids::VPC.get(&self.ec2.vpcs, id)?,
            None => self
                .ec2
                .vpcs
                .values()
                .find(|vpc| vpc.is_default)
                .ok_or_else(|| {
                    ApiError::sender("VPCIdNotSpecified", "No default VPC for this user")
                })?,
        };
        let (vpc_id, has_ipv6) = (vpc.id.clone(), vpc.ipv6_cidr.is_some());
        if group_name.eq_ignore_ascii_case("default") {
            let message = format!("The name '{group_name}' is reserved");
            return Err(ApiError::sender("InvalidGroup.Reserved", message));
        }
        let mut groups = self.ec2.security_groups.values();
        let taken = |group: &SecurityGroup| {
            group.vpc_id == vpc_id && group.name.eq_ignore_ascii_case(&group_name)
        };
        if groups.any(taken) {
            let message =
                format!("The security group '{group_name}' already exists for VPC '{vpc_id}'");
            return Err(ApiError::sender("InvalidGroup.Duplicate", message));
        }
        if self.ec2.security_groups.len() >= self.config.quotas.security_groups {
            let message = "The maximum number of security groups has been reached.";
            return Err(ApiError::sender("SecurityGroupLimitExceeded", message));
        }
        let tags = tags::of_new(
            tag_specifications.as_deref(),
            "security-group",
            self.config.quotas.tags_per_resource,
        )?;
        let id = self.ids.ec2("sg");
        let everywhere = [Peer::Ipv4(ipnet::Ipv4Net::default())]
            .into_iter()
            .chain(has_ipv6.then(|| Peer::Ipv6(ipnet::Ipv6Net::default())));
        let mut rules = BTreeMap::new();
        for peer in everywhere {
            let rule = SecurityGroupRule {
                id: self.ids.ec2("sgr"),
                key: RuleKey {
                    direction: Direction::Egress,
                    protocol: "-1".into(),
                    from_port: None,
                    to_port: None,
                    peer,
                },
                description: None,
                tags: BTreeMap::new(),
            };
            rules.insert(rule.id.clone(), rule);
        }
        let output = wire::CreateSecurityGroupOutput {
            group_id: Some(id.clone()),
            security_group_arn: Some(self.ec2_arn("security-group", &id)),
            tags: wire_tags(&tags),
        };
        let group = SecurityGroup {
            id: id.clone(),
            name: group_name,
            description,
            vpc_id,
            rules,
            tags,
        };
        self.ec2.security_groups.insert(id, group);
        Ok(output)
    }

    pub(super) fn delete_security_group(
        &mut self,
        input: &wire::DeleteSecurityGroupInput,
    ) -> Result<wire::DeleteSecurityGroupOutput, ApiError> {
        let id = match (&input.group_id, &input.group_name) {
            (Some(id), None) => id.clone(),
            // Names work in the default VPC only.
            (None, Some(name)) => self.group_in_default_vpc(name)?.id.clone(),
            (Some(_), Some(_)) => {
                let message = "The parameter groupName cannot be used with the parameter groupId";
                return Err(ApiError::sender("InvalidParameterCombination", message));
            }
            (None, None) => {
                let message = "The request must contain the parameter groupName or groupId";
                return Err(ApiError::sender("MissingParameter", message));
            }
        };
        let group = ids::GROUP.get(&self.ec2.security_groups, &id)?;
        if group.name == "default" {
            let message = format!(
                "the specified group: \"{id}\" name: \"default\" cannot be deleted by a user"
            );
            return Err(ApiError::sender("CannotDelete", message));
        }
        let referenced = self.ec2.security_groups.values().any(|other| {
            other.id != id
                && other
                    .rules
                    .values()
                    .any(|r| r.key.peer == Peer::Group(id.clone()))
        });
        let on_interface = self.ec2.interfaces.values().any(|i| i.groups.contains(&id));
        let on_balancer = self.elbv2.security_groups_in_use().contains(id.as_str());
        if referenced || on_interface || on_balancer {
            let message = format!("resource {id} has a dependent object");
            return Err(ApiError::sender("DependencyViolation", message));
        }
        self.ec2.security_groups.remove(&id);
        Ok(wire::DeleteSecurityGroupOutput {
            group_id: Some(id),
            r#return: Some(true),
        })
    }

    /// The group of that name in the default VPC.
    pub(super) fn group_in_default_vpc(&self, name: &str) -> Result<&SecurityGroup, ApiError> {
        let default = self.ec2.vpcs.values().find(|vpc| vpc.is_default);
        let id = default.map_or("null", |vpc| vpc.id.as_str());
        let mut groups = self.ec2.security_groups.values();
        groups
            .find(|group| group.vpc_id == id && group.name == name)
            .ok_or_else(|| {
                let message =
                    format!("The security group '{name}' does not exist in default VPC '{id}'");
                ApiError::sender("InvalidGroup.NotFound", message)
            })
    }
}

/// Names and descriptions share one set of characters.
fn check_text(parameter: &str, text: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    let reason = if text.is_empty() {
        "The value must not be empty"
    } else if text.chars().count() > TEXT_MAX {
        "The value is longer than 255 characters"
    } else if !text.chars().all(allowed) {
        "Character sets beyond ASCII are not supported."
    } else {
        return Ok(());
    };
    let message = format!("Value ({text}) for parameter {parameter} is invalid. {reason}");
    Err(ApiError::sender("InvalidParameterValue", message))
}
