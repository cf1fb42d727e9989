//! Authorize- and RevokeSecurityGroupIngress and -Egress.
//!
//! Always: a call is carried out whole or not at all.

use super::permissions::{self, Wanted};
use super::state::{Direction, Peer, SecurityGroup, SecurityGroupRule, State};
use super::{ids, tags, wire_tags};
use crate::generated::ec2 as wire;
use crate::{ApiError, Emulator};

/// What the ingress and egress operations have in common.
struct Authorize {
    direction: Direction,
    group_id: String,
    permissions: Vec<wire::IpPermission>,
    tag_specifications: Option<Vec<wire::TagSpecification>>,
}

struct Revoke {
    direction: Direction,
    group_id: String,
    permissions: Vec<wire::IpPermission>,
    rule_ids: Vec<String>,
}

impl Emulator {
    pub(super) fn authorize_ingress(
        &mut self,
        input: wire::AuthorizeSecurityGroupIngressInput,
    ) -> Result<wire::AuthorizeSecurityGroupIngressOutput, ApiError> {
        let flat = flat_permission(
            input.ip_protocol,
            (input.from_port, input.to_port),
            input.cidr_ip,
        );
        let rules = self.authorize(&Authorize {
            direction: Direction::Ingress,
            group_id: required_group(input.group_id)?,
            permissions: input
                .ip_permissions
                .into_iter()
                .flatten()
                .chain(flat)
                .collect(),
            tag_specifications: input.tag_specifications,
        })?;
        Ok(wire::AuthorizeSecurityGroupIngressOutput {
            r#return: Some(true),
            security_group_rules: Some(rules),
        })
    }

    pub(super) fn authorize_egress(
        &mut self,
        input: wire::AuthorizeSecurityGroupEgressInput,
    ) -> Result<wire::AuthorizeSecurityGroupEgressOutput, ApiError> {
        let rules = self.authorize(&Authorize {
            direction: Direction::Egress,
            group_id: input.group_id,
            permissions: input.ip_permissions.unwrap_or_default(),
            tag_specifications: input.tag_specifications,
        })?;
        Ok(wire::AuthorizeSecurityGroupEgressOutput {
            r#return: Some(true),
            security_group_rules: Some(rules),
        })
    }

    fn authorize(&mut self, request: &Authorize) -> Result<Vec<wire::SecurityGroupRule>, ApiError> {
        let group = ids::GROUP.get(&self.ec2.security_groups, &request.group_id)?;
        let account = self.config.account_id.clone();
        let wanted =
            permissions::rules(&self.ec2, &account, request.direction, &request.permissions)?;
        for Wanted { key, .. } in &wanted {
            if group.rules.values().any(|rule| rule.key == *key) {
                let sentence = permissions::sentence(key);
                let message = format!("the specified rule \"{sentence}\" already exists");
                return Err(ApiError::sender("InvalidPermission.Duplicate", message));
            }
        }
        self.check_rule_quota(group, request.direction, &wanted)?;
        let tags = tags::of_new(
            request.tag_specifications.as_deref(),
            "security-group-rule",
            self.config.quotas.tags_per_resource,
        )?;
        let new: Vec<SecurityGroupRule> = wanted
            .into_iter()
            .map(|Wanted { key, description }| SecurityGroupRule {
                id: self.ids.ec2("sgr"),
                key,
                description,
                tags: tags.clone(),
            })
            .collect();
        let out = new
            .iter()
            .map(|rule| self.wire_rule(&request.group_id, rule))
            .collect();
        if let Some(group) = self.ec2.security_groups.get_mut(&request.group_id) {
            group
                .rules
                .extend(new.into_iter().map(|rule| (rule.id.clone(), rule)));
        }
        Ok(out)
    }

    fn check_rule_quota(
        &self,
        group: &SecurityGroup,
        direction: Direction,
        wanted: &[Wanted],
    ) -> Result<(), ApiError> {
        let old = group.rules.values().map(|rule| &rule.key);
        let all = old
            .filter(|key| key.direction == direction)
            .chain(wanted.iter().map(|w| &w.key));
        let (mut ipv4, mut ipv6) = (0, 0);
        for key in all {
            let (four, six) = weight(&self.ec2, &key.peer);
            ipv4 += four;
            ipv6 += six;
        }
        if ipv4.max(ipv6) > self.config.quotas.rules_per_security_group {
            let message = "The maximum number of rules per security group has been reached.";
            return Err(ApiError::sender(
                "RulesPerSecurityGroupLimitExceeded",
                message,
            ));
        }
        Ok(())
    }

    pub(super) fn revoke_ingress(
        &mut self,
        input: wire::RevokeSecurityGroupIngressInput,
    ) -> Result<wire::RevokeSecurityGroupIngressOutput, ApiError> {
        let flat = flat_permission(
            input.ip_protocol,
            (input.from_port, input.to_port),
            input.cidr_ip,
        );
        let revoked = self.revoke(&Revoke {
            direction: Direction::Ingress,
            group_id: required_group(input.group_id)?,
            permissions: input
                .ip_permissions
                .into_iter()
                .flatten()
                .chain(flat)
                .collect(),
            rule_ids: input.security_group_rule_ids.unwrap_or_default(),
        })?;
        Ok(wire::RevokeSecurityGroupIngressOutput {
            r#return: Some(true),
            revoked_security_group_rules: Some(revoked.rules),
            unknown_ip_permissions: Some(revoked.unknown),
        })
    }

    pub(super) fn revoke_egress(
        &mut self,
        input: wire::RevokeSecurityGroupEgressInput,
    ) -> Result<wire::RevokeSecurityGroupEgressOutput, ApiError> {
        let revoked = self.revoke(&Revoke {
            direction: Direction::Egress,
            group_id: input.group_id,
            permissions: input.ip_permissions.unwrap_or_default(),
            rule_ids: input.security_group_rule_ids.unwrap_or_default(),
        })?;
        Ok(wire::RevokeSecurityGroupEgressOutput {
            r#return: Some(true),
            revoked_security_group_rules: Some(revoked.rules),
            unknown_ip_permissions: Some(revoked.unknown),
        })
    }

    fn revoke(&mut self, request: &Revoke) -> Result<Revoked, ApiError> {
        let account = &self.config.account_id;
        let group = ids::GROUP.get(&self.ec2.security_groups, &request.group_id)?;
        let is_default = self
            .ec2
            .vpcs
            .get(&group.vpc_id)
            .is_some_and(|vpc| vpc.is_default);
        let mut doomed = Vec::new();
        for id in &request.rule_ids {
            let rule = group
                .rules
                .get(id)
                .filter(|rule| rule.key.direction == request.direction);
            doomed.push(rule.ok_or_else(|| ids::RULE.missing(id))?.id.clone());
        }
        let mut unknown = Vec::new();
        if request.rule_ids.is_empty() || !request.permissions.is_empty() {
            let wanted =
                permissions::rules(&self.ec2, account, request.direction, &request.permissions)?;
            for wanted in wanted {
                match group.rules.values().find(|rule| rule.key == wanted.key) {
                    Some(rule) => doomed.push(rule.id.clone()),
                    // Default VPCs are lenient, for the sake of old clients.
                    None if is_default => unknown.push(permissions::permission(account, &wanted)),
                    None => {
                        let message = "The specified rule does not exist in this security group.";
                        return Err(ApiError::sender("InvalidPermission.NotFound", message));
                    }
                }
            }
        }
        let mut rules = Vec::new();
        if let Some(group) = self.ec2.security_groups.get_mut(&request.group_id) {
            for id in doomed {
                rules.extend(
                    group
                        .rules
                        .remove(&id)
                        .map(|rule| revoked(&group.id, &rule)),
                );
            }
        }
        Ok(Revoked { rules, unknown })
    }

    /// One rule as DescribeSecurityGroupRules shows it.
    pub(super) fn wire_rule(
        &self,
        group_id: &str,
        rule: &SecurityGroupRule,
    ) -> wire::SecurityGroupRule {
        let key = &rule.key;
        let account = &self.config.account_id;
        let (cidr_ipv4, cidr_ipv6, prefix_list_id, group) = peer_parts(&key.peer);
        let referenced = group.map(|id| wire::ReferencedSecurityGroup {
            vpc_id: self
                .ec2
                .security_groups
                .get(&id)
                .map(|group| group.vpc_id.clone()),
            group_id: Some(id),
            user_id: Some(account.clone()),
            ..Default::default()
        });
        wire::SecurityGroupRule {
            cidr_ipv4,
            cidr_ipv6,
            description: rule.description.clone(),
            // EC2 prints -1 here where IpPermissions leave the ports out.
            from_port: Some(key.from_port.unwrap_or(-1)),
            group_id: Some(group_id.to_owned()),
            group_owner_id: Some(account.clone()),
            ip_protocol: Some(key.protocol.clone()),
            is_egress: Some(key.direction == Direction::Egress),
            prefix_list_id,
            referenced_group_info: referenced,
            security_group_rule_arn: Some(self.ec2_arn("security-group-rule", &rule.id)),
            security_group_rule_id: Some(rule.id.clone()),
            tags: wire_tags(&rule.tags),
            to_port: Some(key.to_port.unwrap_or(-1)),
        }
    }
}

struct Revoked {
    rules: Vec<wire::RevokedSecurityGroupRule>,
    unknown: Vec<wire::IpPermission>,
}

fn revoked(group_id: &str, rule: &SecurityGroupRule) -> wire::RevokedSecurityGroupRule {
    let key = &rule.key;
    let (cidr_ipv4, cidr_ipv6, prefix_list_id, referenced_group_id) = peer_parts(&key.peer);
    wire::RevokedSecurityGroupRule {
        cidr_ipv4,
        cidr_ipv6,
        description: rule.description.clone(),
        from_port: Some(key.from_port.unwrap_or(-1)),
        group_id: Some(group_id.to_owned()),
        ip_protocol: Some(key.protocol.clone()),
        is_egress: Some(key.direction == Direction::Egress),
        prefix_list_id,
        referenced_group_id,
        security_group_rule_id: Some(rule.id.clone()),
        to_port: Some(key.to_port.unwrap_or(-1)),
    }
}

type PeerParts = (
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// IPv4 network, IPv6 network, prefix list and group: one of them is there.
fn peer_parts(peer: &Peer) -> PeerParts {
    match peer {
        Peer::Ipv4(cidr) => (Some(cidr.to_string()), None, None, None),
        Peer::Ipv6(cidr) => (None, Some(cidr.to_string()), None, None),
        Peer::PrefixList(id) => (None, None, Some(id.clone()), None),
        Peer::Group(id) => (None, None, None, Some(id.clone())),
    }
}

/// How much a rule counts toward the IPv4 and the IPv6 quota. A prefix list counts for the most
/// entries that it may have, a group for one in both families ("Amazon VPC quotas").
fn weight(state: &State, peer: &Peer) -> (usize, usize) {
    match peer {
        Peer::Ipv4(_) => (1, 0),
        Peer::Ipv6(_) => (0, 1),
        Peer::Group(_) => (1, 1),
        Peer::PrefixList(id) => {
            let entries = state.prefix_lists.get(id).copied().unwrap_or(1);
            (entries, entries)
        }
    }
}

/// The older way to name one rule: parameters of the request itself.
fn flat_permission(
    ip_protocol: Option<String>,
    (from_port, to_port): (Option<i32>, Option<i32>),
    cidr_ip: Option<String>,
) -> Option<wire::IpPermission> {
    ip_protocol.as_ref().or(cidr_ip.as_ref())?;
    Some(wire::IpPermission {
        from_port,
        ip_protocol,
        ip_ranges: cidr_ip.map(|cidr| {
            vec![wire::IpRange {
                cidr_ip: Some(cidr),
                description: None,
            }]
        }),
        to_port,
        ..Default::default()
    })
}

fn required_group(group_id: Option<String>) -> Result<String, ApiError> {
    let message = "The request must contain the parameter GroupId";
    group_id.ok_or_else(|| ApiError::sender("MissingParameter", message))
}
