//! What may be a target of which group.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::key;
use crate::ec2::state::InstanceState;
use crate::elbv2::arn::{self, Resource};
use crate::elbv2::error;
use crate::elbv2::protocols::is_quic;
use crate::elbv2::state::{
    Health, LoadBalancerKind, Target, TargetFamily, TargetGroup, TargetKey, TargetType,
    UnusedReason,
};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

/// Network load balancers that one application load balancer may stand behind (NLB guide).
const NETWORKS_PER_APPLICATION: usize = 2;

/// The zone of a target, and what the request called it.
struct Zone {
    zone: Option<String>,
    requested: Option<String>,
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::sender("InvalidTarget", message)
}

impl Emulator {
    /// Refuses targets that the group cannot have, and returns the others.
    pub(super) fn accept_targets(
        &self,
        now: Timestamp,
        group: &TargetGroup,
        targets: &[wire::TargetDescription],
    ) -> Result<BTreeMap<TargetKey, Target>, ApiError> {
        if targets.is_empty() {
            return Err(error::validation("At least one target must be specified"));
        }
        let mut accepted = BTreeMap::new();
        for description in targets {
            let zone = match group.target_type {
                TargetType::Instance => self.accept_instance(group, description)?,
                TargetType::Ip => self.accept_address(group, description)?,
                TargetType::Alb => self.accept_load_balancer(group, description)?,
            };
            check_quic_server_id(group, description)?;
            let target = Target {
                zone: zone.zone,
                requested_zone: zone.requested,
                quic_server_id: description.quic_server_id.clone(),
                registered_at: now,
                health: Health::Unused(UnusedReason::GroupNotInUse),
                passes: 0,
                failures: 0,
                next_check_at: None,
                probe: None,
            };
            accepted.insert(key(group, description), target);
        }
        check_quic_server_ids(group, &accepted)?;
        Ok(accepted)
    }

    fn accept_instance(
        &self,
        group: &TargetGroup,
        target: &wire::TargetDescription,
    ) -> Result<Zone, ApiError> {
        let id = &target.id;
        if !id.starts_with("i-") {
            return Err(error::validation(format!(
                "Instance ID '{id}' is not valid"
            )));
        }
        if target.availability_zone.is_some() {
            return Err(zone_not_supported(group));
        }
        let Some(instance) = self.ec2.instances.get(id) else {
            // Undocumented text.
            return Err(invalid(format!(
                "The following targets do not exist: '{id}'"
            )));
        };
        if instance.vpc_id != group.vpc_id {
            return Err(invalid(format!(
                "The following targets are not in the target group VPC '{}': '{id}'",
                group.vpc_id
            )));
        }
        if instance.state != InstanceState::Running {
            return Err(invalid(format!(
                "The following targets are not in a running state and cannot be registered: \
                 '{id}'"
            )));
        }
        let subnet = self.ec2.subnets.get(&instance.subnet_id);
        Ok(Zone {
            zone: subnet.map(|subnet| subnet.zone.clone()),
            requested: None,
        })
    }

    fn accept_address(
        &self,
        group: &TargetGroup,
        target: &wire::TargetDescription,
    ) -> Result<Zone, ApiError> {
        let id = &target.id;
        let not_valid = || error::validation(format!("IP address '{id}' is not valid"));
        let address: IpAddr = id.parse().map_err(|_| not_valid())?;
        if address.is_ipv6() != (group.family == TargetFamily::Ipv6) {
            // Undocumented text.
            return Err(error::validation(format!(
                "IP address '{id}' is not an {} address",
                group.family.as_str()
            )));
        }
        let requested = target.availability_zone.clone();
        if let Some(subnet) = self.ec2.subnet_of_address(&group.vpc_id, address) {
            if let Some(other) = requested.as_ref().filter(|zone| **zone != subnet.zone) {
                return Err(error::validation(format!(
                    "The IP address '{id}' is within the VPC, and cannot have its Availability \
                     Zone overridden to '{other}' from '{}'",
                    subnet.zone
                )));
            }
            return Ok(Zone {
                zone: Some(subnet.zone.clone()),
                requested,
            });
        }
        let private = match address {
            IpAddr::V4(v4) => v4.is_private() || is_shared(v4),
            IpAddr::V6(_) => false,
        };
        if !private {
            return Err(error::validation(format!(
                "The IP address '{id}' is not allowed, as it must be an address from a VPC \
                 subnet, RFC1918, or RFC6598"
            )));
        }
        match requested.as_deref() {
            None => Err(error::validation(format!(
                "You must specify a valid Availability Zone or select 'all' for all enabled \
                 Availability zones, since the IP address '{id}' is outside the VPC"
            ))),
            Some("all") => {
                if group.attribute("load_balancing.cross_zone.enabled") == "false" {
                    // The guide: such targets need cross-zone. Text undocumented.
                    return Err(error::validation(
                        "The Availability Zone 'all' cannot be specified when cross-zone load \
                         balancing is off",
                    ));
                }
                Ok(Zone {
                    zone: None,
                    requested,
                })
            }
            Some(zone) if self.ec2.zones().contains(zone) => Ok(Zone {
                zone: Some(zone.to_owned()),
                requested,
            }),
            Some(zone) => {
                // Undocumented text.
                Err(error::validation(format!(
                    "Availability Zone '{zone}' is not valid"
                )))
            }
        }
    }

    fn accept_load_balancer(
        &self,
        group: &TargetGroup,
        target: &wire::TargetDescription,
    ) -> Result<Zone, ApiError> {
        let id = &target.id;
        arn::check(id, Resource::LoadBalancer)?;
        if target.availability_zone.is_some() {
            return Err(zone_not_supported(group));
        }
        let lb = self.elbv2.load_balancers.get(id);
        let lb = lb.filter(|lb| lb.kind == LoadBalancerKind::Application);
        let Some(lb) = lb.filter(|lb| lb.vpc_id == group.vpc_id) else {
            // Undocumented text, as the next two.
            return Err(invalid(format!(
                "The following targets are not application load balancers in the target group \
                 VPC '{}': '{id}'",
                group.vpc_id
            )));
        };
        let port = key(group, target).port;
        let listens = self
            .elbv2
            .listeners_of(&lb.arn)
            .any(|listener| listener.port == port);
        if port != group.port || !listens {
            return Err(invalid(format!(
                "Load balancer '{id}' must have a listener on the port '{}' of the target group",
                group.port
            )));
        }
        let holds = |other: &&TargetGroup| {
            other.target_type == TargetType::Alb && other.targets.keys().any(|key| key.id == *id)
        };
        let holders = self.elbv2.target_groups.values().filter(holds);
        let networks: BTreeSet<&str> = holders
            .filter_map(|other| self.elbv2.load_balancer_of(&other.arn))
            .map(|lb| lb.arn.as_str())
            .collect();
        let own = self.elbv2.load_balancer_of(&group.arn);
        let joins_new = own.is_some_and(|own| !networks.contains(own.arn.as_str()));
        if joins_new && networks.len() >= NETWORKS_PER_APPLICATION {
            let message = format!(
                "Load balancer '{id}' is a target of '{NETWORKS_PER_APPLICATION}' load balancers"
            );
            return Err(ApiError::sender("TooManyRegistrationsForTargetId", message));
        }
        Ok(Zone {
            zone: None,
            requested: None,
        })
    }
}

/// RFC 6598: addresses shared by carriers, 100.64.0.0/10.
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0b1100_0000 == 64
}

/// Undocumented text; the reference says that the parameter is not supported.
fn zone_not_supported(group: &TargetGroup) -> ApiError {
    error::validation(format!(
        "You cannot specify an Availability Zone for targets of type '{}'",
        group.target_type.as_str()
    ))
}

/// Form of a server id; texts are undocumented.
fn check_quic_server_id(
    group: &TargetGroup,
    target: &wire::TargetDescription,
) -> Result<(), ApiError> {
    match &target.quic_server_id {
        None if is_quic(group.protocol) => Err(error::validation(format!(
            "A QUIC server ID must be specified for target '{}'",
            target.id
        ))),
        Some(_) if !is_quic(group.protocol) => Err(error::validation(format!(
            "A QUIC server ID cannot be specified for target groups with {} protocol",
            group.protocol.as_str()
        ))),
        Some(id) => {
            let digits = id.strip_prefix("0x").unwrap_or_default();
            let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            if digits.len() == 16 && digits.chars().all(is_digit) {
                return Ok(());
            }
            Err(error::validation(format!(
                "QUIC server ID '{id}' is not valid"
            )))
        }
        None => Ok(()),
    }
}

/// Server ids are unique, and stay with their target. Texts are undocumented.
fn check_quic_server_ids(
    group: &TargetGroup,
    accepted: &BTreeMap<TargetKey, Target>,
) -> Result<(), ApiError> {
    for (key, target) in accepted {
        let Some(id) = &target.quic_server_id else {
            continue;
        };
        let old = group
            .targets
            .get(key)
            .and_then(|old| old.quic_server_id.as_ref());
        if old.is_some_and(|old| old != id) {
            return Err(error::validation(format!(
                "The QUIC server ID of target '{}' cannot be modified",
                key.id
            )));
        }
        let others = group
            .targets
            .iter()
            .chain(accepted)
            .filter(|(other, _)| *other != key);
        if others
            .into_iter()
            .any(|(_, other)| other.quic_server_id.as_ref() == Some(id))
        {
            return Err(error::validation(format!(
                "QUIC server ID '{id}' is used twice"
            )));
        }
    }
    Ok(())
}
