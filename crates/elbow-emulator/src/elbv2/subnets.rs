//! Subnets of a load balancer: SetSubnets, SetIpAddressType, and what CreateLoadBalancer shares
//! with them.

use std::collections::BTreeSet;

use super::error;
use super::protocols::{is_quic, is_udp};
use super::state::{IpAddressType, LoadBalancerKind, OnOff, Scheme, ZoneMapping};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

/// What a load balancer's zones are asked to be.
pub(super) struct Wanted<'a> {
    pub(super) kind: LoadBalancerKind,
    pub(super) scheme: Scheme,
    pub(super) ip_address_type: IpAddressType,
    pub(super) ipv6_source_nat: OnOff,
    /// The load balancer, if it exists already.
    pub(super) own: Option<&'a str>,
}

/// Zones and the VPC that they are in.
#[derive(Debug)]
pub(super) struct Zones {
    pub(super) vpc_id: String,
    pub(super) mappings: Vec<ZoneMapping>,
}

impl Emulator {
    /// Reads `Subnets` or `SubnetMappings` and refuses what no load balancer of the kind can have.
    pub(super) fn zones(
        &self,
        wanted: &Wanted<'_>,
        subnets: Option<&Vec<String>>,
        mappings: Option<&Vec<wire::SubnetMapping>>,
    ) -> Result<Zones, ApiError> {
        // Clients send an empty list for one that they do not mean.
        let subnets = subnets.filter(|list| !list.is_empty());
        let mappings = mappings.filter(|list| !list.is_empty());
        let plain = subnets.into_iter().flatten().map(|id| wire::SubnetMapping {
            subnet_id: Some(id.clone()),
            ..Default::default()
        });
        let mappings: Vec<wire::SubnetMapping> = match (subnets, mappings) {
            (Some(_), Some(_)) => {
                // The rule is the reference's, the text is not.
                return Err(error::validation(
                    "You must specify either subnets or subnet mappings, but not both",
                ));
            }
            (None, Some(mappings)) => mappings.clone(),
            _ => plain.collect(),
        };
        let mappings: Vec<ZoneMapping> = mappings
            .iter()
            .map(|mapping| self.zone(wanted, mapping))
            .collect::<Result<_, _>>()?;
        let Some(first) = mappings.first() else {
            return Err(error::validation("At least one subnet must be specified"));
        };
        let vpc_id = self.subnet(&first.subnet_id)?.vpc_id.clone();
        for mapping in &mappings {
            if self.subnet(&mapping.subnet_id)?.vpc_id != vpc_id {
                // Undocumented code and text.
                return Err(error::configuration(
                    "All subnets must belong to the same VPC",
                ));
            }
        }
        let distinct: BTreeSet<&str> = mappings.iter().map(|m| m.zone.as_str()).collect();
        if distinct.len() < mappings.len() {
            return Err(error::configuration(
                "A load balancer cannot be attached to multiple subnets in the same Availability \
                 Zone",
            ));
        }
        if wanted.kind == LoadBalancerKind::Application && distinct.len() < 2 {
            return Err(error::validation(
                "At least two subnets in two different Availability Zones must be specified",
            ));
        }
        if wanted.scheme == Scheme::InternetFacing {
            self.check_internet_gateway(&vpc_id)?;
        }
        self.check_families(wanted, &mappings)?;
        Ok(Zones { vpc_id, mappings })
    }

    fn zone(
        &self,
        wanted: &Wanted<'_>,
        mapping: &wire::SubnetMapping,
    ) -> Result<ZoneMapping, ApiError> {
        let Some(subnet_id) = &mapping.subnet_id else {
            return Err(error::validation("A subnet ID must be specified")); // Undocumented text.
        };
        let zone = ZoneMapping {
            subnet_id: subnet_id.clone(),
            zone: self.subnet(subnet_id)?.zone.clone(),
            allocation_id: mapping.allocation_id.clone(),
            private_ipv4: mapping.private_ipv4_address.clone(),
            ipv6: mapping.ipv6_address.clone(),
            source_nat_ipv6_prefix: mapping.source_nat_ipv6_prefix.clone(),
        };
        if wanted.kind == LoadBalancerKind::Application {
            if zone.allocation_id.is_some() {
                return Err(error::configuration(
                    "Elastic IPs are not supported for load balancers with type 'application'",
                ));
            }
            if zone.private_ipv4.is_some() {
                return Err(error::configuration(
                    "You can only specify private IPv4 addresses for Network Load Balancers with \
                     scheme 'internal'.",
                ));
            }
            if zone.ipv6.is_some() || zone.source_nat_ipv6_prefix.is_some() {
                // Undocumented text.
                return Err(error::configuration(
                    "IPv6 addresses and source NAT prefixes are not supported for load balancers \
                     with type 'application'",
                ));
            }
        }
        if zone.source_nat_ipv6_prefix.is_some() && wanted.ipv6_source_nat == OnOff::Off {
            // Undocumented text.
            return Err(error::configuration(
                "'SourceNatIpv6Prefix' can only be specified when 'EnablePrefixForIpv6SourceNat' \
                 is set to 'on'",
            ));
        }
        self.check_addresses(wanted.scheme, &zone, wanted.own)?;
        Ok(zone)
    }

    /// Refuses an address type that the subnets cannot serve.
    fn check_families(
        &self,
        wanted: &Wanted<'_>,
        mappings: &[ZoneMapping],
    ) -> Result<(), ApiError> {
        if wanted.kind == LoadBalancerKind::Network
            && wanted.ip_address_type == IpAddressType::DualstackWithoutPublicIpv4
        {
            return Err(error::configuration(
                "The specified IP address type is not supported on load balancers with type \
                 'network'.",
            ));
        }
        if wanted.ipv6_source_nat == OnOff::On {
            if wanted.kind == LoadBalancerKind::Application {
                // Undocumented text.
                return Err(error::configuration(
                    "'EnablePrefixForIpv6SourceNat' is not supported for load balancers with type \
                     'application'",
                ));
            }
            if wanted.ip_address_type != IpAddressType::Dualstack {
                return Err(error::configuration(
                    "'EnablePrefixForIpv6SourceNat' can only be specified when using IpAddressType \
                     'dualstack'.",
                ));
            }
        }
        if wanted.ip_address_type != IpAddressType::Ipv4 {
            for mapping in mappings {
                if self.subnet(&mapping.subnet_id)?.ipv6_cidr.is_none() {
                    // That it is refused is documented; the text is not.
                    let message = "You must specify subnets with an associated IPv6 CIDR block.";
                    return Err(ApiError::sender("InvalidSubnet", message));
                }
            }
        }
        Ok(())
    }

    pub(super) fn set_subnets(
        &mut self,
        now: Timestamp,
        input: &wire::SetSubnetsInput,
    ) -> Result<wire::SetSubnetsOutput, ApiError> {
        let lb = self.elbv2.load_balancer(&input.load_balancer_arn)?;
        let ip_address_type = input
            .ip_address_type
            .as_deref()
            .and_then(IpAddressType::parse);
        let nat = input
            .enable_prefix_for_ipv6_source_nat
            .as_deref()
            .and_then(OnOff::parse);
        let wanted = Wanted {
            kind: lb.kind,
            scheme: lb.scheme,
            ip_address_type: ip_address_type.unwrap_or(lb.ip_address_type),
            ipv6_source_nat: nat.unwrap_or(lb.ipv6_source_nat),
            own: Some(&lb.arn),
        };
        let zones = self.zones(
            &wanted,
            input.subnets.as_ref(),
            input.subnet_mappings.as_ref(),
        )?;
        if zones.vpc_id != lb.vpc_id {
            // Undocumented text.
            return Err(error::configuration(format!(
                "The subnets must belong to the VPC '{}' of the load balancer",
                lb.vpc_id
            )));
        }
        for mapping in &zones.mappings {
            let old = lb.zones.iter().find(|old| old.zone == mapping.zone);
            match old {
                None => self.check_room(lb.kind, lb.scheme, mapping)?,
                // The NLB guide: remove the subnet first, then add the other. Text undocumented.
                Some(old)
                    if old.subnet_id != mapping.subnet_id
                        && lb.kind == LoadBalancerKind::Network =>
                {
                    return Err(error::configuration(format!(
                        "You cannot replace subnet '{}' with another in the same Availability Zone",
                        old.subnet_id
                    )));
                }
                Some(_) => {}
            }
        }
        self.check_listeners(&lb.arn, wanted.ip_address_type, wanted.ipv6_source_nat)?;
        let (ip_address_type, ipv6_source_nat) = (wanted.ip_address_type, wanted.ipv6_source_nat);
        let arn = lb.arn.clone();
        let Some(lb) = self.elbv2.load_balancers.get_mut(&arn) else {
            return Err(error::no_load_balancer(&arn));
        };
        lb.zones = zones.mappings;
        lb.ip_address_type = ip_address_type;
        lb.ipv6_source_nat = ipv6_source_nat;
        let output = wire::SetSubnetsOutput {
            availability_zones: Some(self.shown_zones(&arn)),
            ip_address_type: Some(ip_address_type.as_str().to_owned()),
            enable_prefix_for_ipv6_source_nat: self.shown_source_nat(&arn),
        };
        self.elbv2.touch();
        self.refresh_load_balancer(now, &arn);
        Ok(output)
    }

    pub(super) fn set_ip_address_type(
        &mut self,
        _now: Timestamp,
        input: &wire::SetIpAddressTypeInput,
    ) -> Result<wire::SetIpAddressTypeOutput, ApiError> {
        let lb = self.elbv2.load_balancer(&input.load_balancer_arn)?;
        let wanted = Wanted {
            kind: lb.kind,
            scheme: lb.scheme,
            ip_address_type: IpAddressType::parse(&input.ip_address_type)
                .unwrap_or(lb.ip_address_type),
            ipv6_source_nat: lb.ipv6_source_nat,
            own: Some(&lb.arn),
        };
        self.check_families(&wanted, &lb.zones)?;
        self.check_listeners(&lb.arn, wanted.ip_address_type, wanted.ipv6_source_nat)?;
        let ip_address_type = wanted.ip_address_type;
        if let Some(lb) = self.elbv2.load_balancers.get_mut(&input.load_balancer_arn) {
            lb.ip_address_type = ip_address_type;
        }
        self.elbv2.touch();
        Ok(wire::SetIpAddressTypeOutput {
            ip_address_type: Some(input.ip_address_type.clone()),
        })
    }

    /// Refuses an address type that the listeners or target groups in place do not fit.
    fn check_listeners(
        &self,
        arn: &str,
        ip_address_type: IpAddressType,
        source_nat: OnOff,
    ) -> Result<(), ApiError> {
        let dualstack = ip_address_type != IpAddressType::Ipv4;
        for listener in self.elbv2.listeners_of(arn) {
            let udp = is_udp(listener.protocol) && source_nat == OnOff::Off;
            if dualstack && (is_quic(listener.protocol) || udp) {
                return Err(unsupported_on_dualstack(listener.protocol, source_nat));
            }
        }
        let mut groups = self.elbv2.target_groups_of(arn).into_iter();
        let ipv6 = groups.any(|arn| {
            let group = self.elbv2.target_groups.get(arn);
            group.is_some_and(|group| group.family == super::state::TargetFamily::Ipv6)
        });
        if !dualstack && ipv6 {
            return Err(error::configuration(
                "You cannot associate an IPv6 target group with a load balancer that has an 'ipv4' \
                 IP address type",
            ));
        }
        Ok(())
    }
}

/// The refusal of a listener protocol that dualstack does not have.
pub(super) fn unsupported_on_dualstack(
    protocol: super::state::Protocol,
    source_nat: OnOff,
) -> ApiError {
    let when = if is_udp(protocol) {
        format!(
            " when 'EnablePrefixForIpv6SourceNat' is set to '{}'",
            source_nat.as_str()
        )
    } else {
        String::new()
    };
    error::configuration(format!(
        "The specified listener protocol '{}' is not supported on load balancers using the \
         'dualstack' IP address type{when}",
        protocol.as_str()
    ))
}
