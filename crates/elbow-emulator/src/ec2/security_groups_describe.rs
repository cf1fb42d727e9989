//! DescribeSecurityGroups and DescribeSecurityGroupRules.

use std::collections::BTreeMap;

use super::filters::{self, Filterable, Page};
use super::state::{Direction, Peer, SecurityGroup, SecurityGroupRule};
use super::{ids, permissions, wire_tags};
use crate::generated::ec2 as wire;
use crate::{ApiError, Emulator};

impl Emulator {
    pub(super) fn describe_security_groups(
        &self,
        input: &wire::DescribeSecurityGroupsInput,
    ) -> Result<wire::DescribeSecurityGroupsOutput, ApiError> {
        let mut wanted = input.group_ids.clone().unwrap_or_default();
        for name in input.group_names.iter().flatten() {
            wanted.push(self.group_in_default_vpc(name)?.id.clone());
        }
        let groups = ids::GROUP.select(&self.ec2.security_groups, Some(&wanted))?;
        let owner = self.config.account_id.as_str();
        let views = groups.into_iter().map(|group| GroupView { group, owner });
        let found = filters::apply(views, input.filters.as_deref())?;
        let page = Page::new(input.max_results, input.next_token.as_deref());
        let (page, next_token) = page.cut(found, |view| &view.group.id)?;
        let groups = page
            .into_iter()
            .map(|view| self.wire_group(view.group))
            .collect();
        Ok(wire::DescribeSecurityGroupsOutput {
            security_groups: Some(groups),
            next_token,
        })
    }

    fn wire_group(&self, group: &SecurityGroup) -> wire::SecurityGroup {
        let account = &self.config.account_id;
        let permissions = |direction| {
            let rules = group
                .rules
                .values()
                .filter(move |rule| rule.key.direction == direction);
            permissions::grouped(account, rules)
        };
        wire::SecurityGroup {
            description: Some(group.description.clone()),
            group_id: Some(group.id.clone()),
            group_name: Some(group.name.clone()),
            ip_permissions: Some(permissions(Direction::Ingress)),
            ip_permissions_egress: Some(permissions(Direction::Egress)),
            owner_id: Some(account.clone()),
            security_group_arn: Some(self.ec2_arn("security-group", &group.id)),
            tags: wire_tags(&group.tags),
            vpc_id: Some(group.vpc_id.clone()),
        }
    }

    pub(super) fn describe_security_group_rules(
        &self,
        input: &wire::DescribeSecurityGroupRulesInput,
    ) -> Result<wire::DescribeSecurityGroupRulesOutput, ApiError> {
        let all: BTreeMap<String, RuleView<'_>> = self
            .ec2
            .security_groups
            .values()
            .flat_map(|group| {
                group
                    .rules
                    .values()
                    .map(move |rule| RuleView { group, rule })
            })
            .map(|view| (view.rule.id.clone(), view))
            .collect();
        let selected = ids::RULE.select(&all, input.security_group_rule_ids.as_deref())?;
        let found = filters::apply(selected.into_iter(), input.filters.as_deref())?;
        let page = Page::new(input.max_results, input.next_token.as_deref());
        let (page, next_token) = page.cut(found, |view| &view.rule.id)?;
        let rules = page
            .into_iter()
            .map(|view| self.wire_rule(&view.group.id, view.rule))
            .collect();
        Ok(wire::DescribeSecurityGroupRulesOutput {
            security_group_rules: Some(rules),
            next_token,
        })
    }
}

struct GroupView<'a> {
    group: &'a SecurityGroup,
    owner: &'a str,
}

impl Filterable for GroupView<'_> {
    const FILTERS: &'static [&'static str] = &[
        "description",
        "egress.ip-permission.cidr",
        "egress.ip-permission.from-port",
        "egress.ip-permission.group-id",
        "egress.ip-permission.ipv6-cidr",
        "egress.ip-permission.prefix-list-id",
        "egress.ip-permission.protocol",
        "egress.ip-permission.to-port",
        "group-id",
        "group-name",
        "ip-permission.cidr",
        "ip-permission.from-port",
        "ip-permission.group-id",
        "ip-permission.ipv6-cidr",
        "ip-permission.prefix-list-id",
        "ip-permission.protocol",
        "ip-permission.to-port",
        "owner-id",
        "vpc-id",
    ];

    fn values(&self, filter: &str) -> Vec<String> {
        let group = self.group;
        let (direction, part) = match filter {
            "description" => return vec![group.description.clone()],
            "group-id" => return vec![group.id.clone()],
            "group-name" => return vec![group.name.clone()],
            "owner-id" => return vec![self.owner.to_owned()],
            "vpc-id" => return vec![group.vpc_id.clone()],
            other => match other.strip_prefix("egress.") {
                Some(rest) => (Direction::Egress, rest),
                None => (Direction::Ingress, other),
            },
        };
        let rules = group
            .rules
            .values()
            .filter(|rule| rule.key.direction == direction);
        rules.filter_map(|rule| rule_part(rule, part)).collect()
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.group.tags
    }
}

/// What an `ip-permission.…` filter looks at in one rule.
fn rule_part(rule: &SecurityGroupRule, part: &str) -> Option<String> {
    let key = &rule.key;
    match (part, &key.peer) {
        ("ip-permission.cidr", Peer::Ipv4(cidr)) => Some(cidr.to_string()),
        ("ip-permission.ipv6-cidr", Peer::Ipv6(cidr)) => Some(cidr.to_string()),
        ("ip-permission.group-id", Peer::Group(id))
        | ("ip-permission.prefix-list-id", Peer::PrefixList(id)) => Some(id.clone()),
        ("ip-permission.protocol", _) => Some(key.protocol.clone()),
        ("ip-permission.from-port", _) => key.from_port.map(|port| port.to_string()),
        ("ip-permission.to-port", _) => key.to_port.map(|port| port.to_string()),
        _ => None,
    }
}

struct RuleView<'a> {
    group: &'a SecurityGroup,
    rule: &'a SecurityGroupRule,
}

impl Filterable for &RuleView<'_> {
    const FILTERS: &'static [&'static str] = &["group-id", "security-group-rule-id"];

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "group-id" => vec![self.group.id.clone()],
            "security-group-rule-id" => vec![self.rule.id.clone()],
            _ => Vec::new(),
        }
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.rule.tags
    }
}
