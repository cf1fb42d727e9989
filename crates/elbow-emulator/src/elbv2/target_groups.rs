//! Target groups: create, describe, modify, delete.

use std::collections::{BTreeMap, BTreeSet};

use super::health_check::{self, Asked, Purpose};
use super::protocols::is_quic;
use super::state::{
    HealthCheckPort, Matcher, Protocol, ProtocolVersion, TargetFamily, TargetGroup, TargetType,
};
use super::{arn, attributes, error, load_balancers, names, page, tags};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

impl Emulator {
    pub(super) fn create_target_group(
        &mut self,
        _now: Timestamp,
        input: &wire::CreateTargetGroupInput,
    ) -> Result<wire::CreateTargetGroupOutput, ApiError> {
        names::check_target_group(&input.name)?;
        let mut group = self.new_target_group(input)?;
        let mut groups = self.elbv2.target_groups.values();
        if let Some(old) = groups.find(|old| old.name == group.name) {
            if !is_same(old, &group) {
                let message = format!(
                    "A target group with the same name '{}' exists, but with different settings",
                    group.name
                );
                return Err(ApiError::sender("DuplicateTargetGroupName", message));
            }
            let target_groups = Some(vec![self.shown_target_group(old)]);
            return Ok(wire::CreateTargetGroupOutput { target_groups });
        }
        let quota = self.config.quotas.target_groups;
        if self.elbv2.target_groups.len() >= quota {
            let message = format!("The maximum number of target groups is '{quota}'");
            return Err(ApiError::sender("TooManyTargetGroups", message)); // Undocumented text.
        }
        let (region, account) = (&self.config.region, &self.config.account_id);
        group.arn = arn::target_group(region, account, &group.name, &self.ids.hex(16));
        let target_groups = Some(vec![self.shown_target_group(&group)]);
        self.elbv2.target_groups.insert(group.arn.clone(), group);
        self.elbv2.touch();
        Ok(wire::CreateTargetGroupOutput { target_groups })
    }

    /// Puts a target group there that a request could have made, under an ARN that none could choose.
    pub(crate) fn place_target_group(
        &mut self,
        input: &wire::CreateTargetGroupInput,
        arn: Option<String>,
    ) -> Result<String, ApiError> {
        names::check_target_group(&input.name)?;
        let mut group = self.new_target_group(input)?;
        let (region, account) = (&self.config.region, &self.config.account_id);
        group.arn = arn
            .unwrap_or_else(|| arn::target_group(region, account, &group.name, &self.ids.hex(16)));
        let arn = group.arn.clone();
        self.elbv2.target_groups.insert(arn.clone(), group);
        self.elbv2.touch();
        Ok(arn)
    }

    /// The target group that the request asks for, with an ARN that is still to be given.
    fn new_target_group(
        &self,
        input: &wire::CreateTargetGroupInput,
    ) -> Result<TargetGroup, ApiError> {
        let target_type = match input.target_type.as_deref() {
            None => TargetType::Instance,
            Some(text) => TargetType::parse(text)
                .ok_or_else(|| error::not_modelled(&format!("TargetType '{text}'")))?,
        };
        let tags = tags::read(input.tags.as_ref(), self.config.quotas.tags_per_resource)?;
        let (Some(protocol), Some(port)) = (&input.protocol, input.port) else {
            return Err(error::validation(format!(
                "A target group of type '{}' must have a protocol and a port",
                target_type.as_str()
            )));
        };
        let protocol = Protocol::parse(protocol)
            .ok_or_else(|| error::not_modelled(&format!("Protocol '{protocol}'")))?;
        let port = u16::try_from(port).map_err(|_| error::validation("The port is not valid"))?;
        let Some(vpc_id) = &input.vpc_id else {
            return Err(error::validation("A VPC ID must be specified"));
        };
        if !self.ec2.vpcs.contains_key(vpc_id) {
            return Err(error::validation(format!(
                "The VPC ID '{vpc_id}' is not found"
            )));
        }
        let is_application = matches!(protocol, Protocol::Http | Protocol::Https);
        let protocol_version = match input.protocol_version.as_deref() {
            Some(_) if !is_application => {
                return Err(error::validation(format!(
                    "You cannot specify the protocol version for a target group with the '{}' \
                     protocol",
                    protocol.as_str()
                )));
            }
            Some(text) => Some(ProtocolVersion::parse(text).ok_or_else(|| {
                error::validation(format!(
                    "Target group protocol version '{text}' must be one of '[HTTP2, HTTP1, GRPC]'"
                ))
            })?),
            None => is_application.then_some(ProtocolVersion::Http1),
        };
        let family = input
            .ip_address_type
            .as_deref()
            .and_then(TargetFamily::parse);
        let family = family.unwrap_or(TargetFamily::Ipv4);
        if target_type == TargetType::Alb && protocol != Protocol::Tcp {
            return Err(error::configuration(format!(
                "Target type 'alb' is not supported for target groups with {} protocol",
                protocol.as_str()
            )));
        }
        if family == TargetFamily::Ipv6 && is_quic(protocol) {
            return Err(error::configuration(format!(
                "Protocol '{}' is not supported with an IPv6 target group",
                protocol.as_str()
            )));
        }
        if family == TargetFamily::Ipv6 && target_type == TargetType::Alb {
            // Undocumented text.
            return Err(error::configuration(
                "Target type 'alb' is not supported with an IPv6 target group",
            ));
        }
        let purpose = Purpose {
            protocol,
            version: protocol_version,
            target_type,
        };
        let asked = Asked {
            enabled: input.health_check_enabled,
            protocol: input.health_check_protocol.as_deref(),
            port: input.health_check_port.as_deref(),
            path: input.health_check_path.as_deref(),
            interval_seconds: input.health_check_interval_seconds,
            timeout_seconds: input.health_check_timeout_seconds,
            healthy_threshold: input.healthy_threshold_count,
            unhealthy_threshold: input.unhealthy_threshold_count,
            matcher: input.matcher.as_ref(),
        };
        let mut group = TargetGroup {
            arn: String::new(),
            name: input.name.clone(),
            protocol,
            protocol_version,
            port,
            vpc_id: vpc_id.clone(),
            target_type,
            family,
            health_check: health_check::check(purpose, &asked, None)?,
            attributes: BTreeMap::new(),
            tags,
            targets: BTreeMap::new(),
        };
        group.attributes = attributes::of_target_group(&group);
        Ok(group)
    }

    pub(super) fn describe_target_groups(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeTargetGroupsInput,
    ) -> Result<wire::DescribeTargetGroupsOutput, ApiError> {
        let arns = input
            .target_group_arns
            .as_ref()
            .filter(|arns| !arns.is_empty());
        let names = input.names.as_ref().filter(|names| !names.is_empty());
        let n_given = [
            arns.is_some(),
            names.is_some(),
            input.load_balancer_arn.is_some(),
        ];
        if n_given.into_iter().filter(|given| *given).count() > 1 {
            return Err(error::validation(
                "Target group names, target group ARNs, and a load balancer ARN cannot be \
                 specified at the same time",
            ));
        }
        load_balancers::check_batch(arns.or(names), "target groups")?;
        let mut chosen: BTreeSet<&String> = BTreeSet::new();
        if let Some(arn) = &input.load_balancer_arn {
            let lb = self.elbv2.load_balancer(arn)?;
            let used = self.elbv2.target_groups_of(&lb.arn);
            let groups = self.elbv2.target_groups.keys();
            chosen.extend(groups.filter(|arn| used.contains(arn.as_str())));
        } else if let Some(arns) = arns {
            for arn in arns {
                chosen.insert(&self.elbv2.target_group(arn)?.arn);
            }
        } else if let Some(names) = names {
            for name in names {
                let mut groups = self.elbv2.target_groups.values();
                let found = groups.find(|group| group.name == *name);
                chosen.insert(&found.ok_or_else(error::no_target_group)?.arn);
            }
        } else {
            chosen.extend(self.elbv2.target_groups.keys());
        }
        let page = page::cut(
            chosen.into_iter().collect(),
            |arn| (*arn).clone(),
            input.marker.as_deref(),
            input.page_size,
        )?;
        let found = page
            .items
            .into_iter()
            .filter_map(|arn| self.elbv2.target_groups.get(arn));
        Ok(wire::DescribeTargetGroupsOutput {
            target_groups: Some(found.map(|group| self.shown_target_group(group)).collect()),
            next_marker: page.next_marker,
        })
    }

    pub(super) fn modify_target_group(
        &mut self,
        _now: Timestamp,
        input: &wire::ModifyTargetGroupInput,
    ) -> Result<wire::ModifyTargetGroupOutput, ApiError> {
        let group = self.elbv2.target_group(&input.target_group_arn)?;
        let asked = Asked {
            enabled: input.health_check_enabled,
            protocol: input.health_check_protocol.as_deref(),
            port: input.health_check_port.as_deref(),
            path: input.health_check_path.as_deref(),
            interval_seconds: input.health_check_interval_seconds,
            timeout_seconds: input.health_check_timeout_seconds,
            healthy_threshold: input.healthy_threshold_count,
            unhealthy_threshold: input.unhealthy_threshold_count,
            matcher: input.matcher.as_ref(),
        };
        let purpose = Purpose {
            protocol: group.protocol,
            version: group.protocol_version,
            target_type: group.target_type,
        };
        let health_check = health_check::check(purpose, &asked, Some(&group.health_check))?;
        let group = TargetGroup {
            health_check,
            ..group.clone()
        };
        let target_groups = Some(vec![self.shown_target_group(&group)]);
        self.elbv2.target_groups.insert(group.arn.clone(), group);
        self.elbv2.touch();
        Ok(wire::ModifyTargetGroupOutput { target_groups })
    }

    /// A target group that does not exist is deleted with success: the model lists no error for
    /// it. Registered targets are no obstacle.
    pub(super) fn delete_target_group(
        &mut self,
        _now: Timestamp,
        input: &wire::DeleteTargetGroupInput,
    ) -> Result<wire::DeleteTargetGroupOutput, ApiError> {
        let arn = &input.target_group_arn;
        arn::check(arn, arn::Resource::TargetGroup)?;
        if self.elbv2.references.contains_key(arn) {
            return Err(error::in_use(format!(
                "Target group '{arn}' is currently in use by a listener or a rule"
            )));
        }
        self.elbv2.target_groups.remove(arn);
        self.elbv2.touch();
        Ok(wire::DeleteTargetGroupOutput {})
    }

    fn shown_target_group(&self, group: &TargetGroup) -> wire::TargetGroup {
        let check = &group.health_check;
        let user = self.elbv2.load_balancer_of(&group.arn);
        let text = |text: &str| Some(text.to_owned());
        wire::TargetGroup {
            health_check_enabled: Some(true),
            health_check_interval_seconds: Some(i32::from(check.interval_seconds)),
            health_check_path: check.path.clone(),
            health_check_port: Some(match check.port {
                HealthCheckPort::TrafficPort => "traffic-port".to_owned(),
                HealthCheckPort::Fixed(port) => port.to_string(),
            }),
            health_check_protocol: text(check.protocol.as_str()),
            health_check_timeout_seconds: Some(i32::from(check.timeout_seconds)),
            healthy_threshold_count: Some(i32::from(check.healthy_threshold)),
            ip_address_type: text(group.family.as_str()),
            load_balancer_arns: Some(user.map(|lb| lb.arn.clone()).into_iter().collect()),
            matcher: check.matcher.as_ref().map(|matcher| match matcher {
                Matcher::Http(codes) => wire::Matcher {
                    http_code: Some(codes.clone()),
                    grpc_code: None,
                },
                Matcher::Grpc(codes) => wire::Matcher {
                    grpc_code: Some(codes.clone()),
                    http_code: None,
                },
            }),
            port: Some(i32::from(group.port)),
            protocol: text(group.protocol.as_str()),
            protocol_version: group
                .protocol_version
                .map(|version| version.as_str().to_owned()),
            target_control_port: None,
            target_group_arn: Some(group.arn.clone()),
            target_group_name: Some(group.name.clone()),
            target_type: text(group.target_type.as_str()),
            unhealthy_threshold_count: Some(i32::from(check.unhealthy_threshold)),
            vpc_id: Some(group.vpc_id.clone()),
        }
    }
}

/// Whether a create operation asks for what there is. Which settings AWS compares is undocumented;
/// all but tags and attributes are.
fn is_same(old: &TargetGroup, new: &TargetGroup) -> bool {
    old.protocol == new.protocol
        && old.protocol_version == new.protocol_version
        && old.port == new.port
        && old.vpc_id == new.vpc_id
        && old.target_type == new.target_type
        && old.family == new.family
        && old.health_check == new.health_check
}
