//! Subnets of a load balancer.
//!
//! In: the configuration, the subnets of the VPC and those of the load balancer that is there. Out:
//! one subnet for each zone, with the addresses chosen for it. In this order: those that are spelled
//! out, those that a selector picks, those of the load balancer that is there (so that a new subnet
//! never moves it), those that are tagged for load balancers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use elbow_api::Diagnostic;
use elbow_api::crds::SubnetConfiguration;
use elbow_model::SubnetId;
use elbow_model::facts::{Subnet, ZoneType};
use elbow_model::stack::{IpAddressType, LoadBalancerType, Scheme, SubnetMapping};
use ipnet::IpNet;

use super::{Blocked, Frame};

/// AWS needs 8 free addresses in each subnet:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#subnets-load-balancer>.
const FREE_ADDRESSES_MIN: i32 = 8;

/// What kind of place a subnet is in; a load balancer stays within one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locale {
    AvailabilityZone,
    LocalZone,
    Wavelength,
    Outpost,
}

/// Chooses the subnets of a load balancer.
pub(crate) fn build(
    frame: &Frame<'_, '_>,
    scheme: Scheme,
    ip_address_type: IpAddressType,
) -> Result<Vec<SubnetMapping>, Blocked> {
    let spec = &frame.configuration.spec;
    let given = spec.load_balancer_subnets.as_deref().unwrap_or_default();
    let identified =
        |s: &&SubnetConfiguration| s.identifier.as_deref().is_some_and(|i| !i.is_empty());
    let choice = Choice {
        frame,
        scheme,
        ip_address_type,
    };
    let selector = spec.load_balancer_subnets_selector.as_ref();
    let n_identified = given.iter().filter(identified).count();
    if n_identified != 0 && n_identified != given.len() {
        return choice.blocked(
            "invalid-subnets",
            "Either specify all subnet identifiers or none.".to_owned(),
            "loadBalancerSubnets",
            "give each of the subnets an identifier; until then nothing is changed",
        );
    }
    let chosen = if n_identified > 0 {
        choice.spelled_out(given)?
    } else if let Some(selector) = selector.filter(|s| !s.is_empty()) {
        choice.selected(selector)?
    } else {
        match frame.ctx.load_balancer_of(&frame.stack) {
            None => return Ok(Vec::new()),
            Some(Some(existing)) if existing.scheme == scheme => {
                existing.subnets.iter().cloned().collect()
            }
            Some(_) => choice.discovered()?,
        }
    };
    choice.addresses(given, chosen)
}

struct Choice<'f, 'c, 'a> {
    frame: &'f Frame<'c, 'a>,
    scheme: Scheme,
    ip_address_type: IpAddressType,
}

impl<'s> Choice<'_, '_, 's> {
    fn blocked<T>(
        &self,
        code: &'static str,
        message: String,
        field: &str,
        hint: &str,
    ) -> Result<T, Blocked> {
        let finding = Diagnostic::error(code, message).hint(hint);
        let finding = if self.frame.configuration.object().is_some() {
            self.frame.configuration.finding(finding, field)
        } else {
            finding.on(self.frame.object())
        };
        self.frame.ctx.report(finding);
        Err(Blocked)
    }

    /// The subnets of the VPC. Their zones, which are looked at next, are asked for at the same time.
    fn subnets(&self) -> Option<&'s BTreeMap<SubnetId, Subnet>> {
        let zones = self.frame.ctx.zones();
        self.frame.ctx.subnets().filter(|_| zones.is_some())
    }

    fn needs_ipv6(&self) -> bool {
        self.ip_address_type != IpAddressType::Ipv4
    }

    fn spelled_out(&self, given: &[SubnetConfiguration]) -> Result<Vec<SubnetId>, Blocked> {
        const FIELD: &str = "loadBalancerSubnets";
        let Some(all) = self.subnets() else {
            return Ok(Vec::new());
        };
        let mut chosen: Vec<SubnetId> = Vec::new();
        for subnet in given {
            let wanted = subnet.identifier.as_deref().unwrap_or_default();
            let found = if wanted.starts_with("subnet-") {
                all.values().find(|s| s.id.as_str() == wanted)
            } else {
                // A name that is given twice means two subnets of that name.
                all.values().find(|s| {
                    s.tags.get("Name").is_some_and(|n| n == wanted) && !chosen.contains(&s.id)
                })
            };
            match found {
                Some(found) => chosen.push(found.id.clone()),
                None => {
                    return self.blocked(
                        "unknown-subnet",
                        format!("the VPC has no subnet `{wanted}`"),
                        FIELD,
                        "give the id or the tag Name of a subnet of the cluster's VPC; until then nothing is changed",
                    );
                }
            }
        }
        self.validate(&chosen, FIELD)?;
        Ok(chosen)
    }

    fn selected(&self, selector: &BTreeMap<String, Vec<String>>) -> Result<Vec<SubnetId>, Blocked> {
        let Some(all) = self.subnets() else {
            return Ok(Vec::new());
        };
        let candidates = all.values().filter(|subnet| {
            selector.iter().all(|(key, patterns)| {
                let value = subnet.tags.get(key);
                value.is_some_and(|value| patterns.iter().any(|p| fits(p, value)))
            })
        });
        self.one_for_each_zone(candidates, "loadBalancerSubnetsSelector")
    }

    fn discovered(&self) -> Result<Vec<SubnetId>, Blocked> {
        let Some(all) = self.subnets() else {
            return Ok(Vec::new());
        };
        let role = match self.scheme {
            Scheme::Internal => "kubernetes.io/role/internal-elb",
            Scheme::InternetFacing => "kubernetes.io/role/elb",
        };
        let tagged: Vec<_> = all
            .values()
            .filter(|s| s.tags.get(role).is_some_and(|v| v.is_empty() || v == "1"))
            .collect();
        let field = "loadBalancerSubnets";
        if !tagged.is_empty()
            || !self
                .frame
                .ctx
                .settings
                .gates
                .subnet_discovery_by_reachability
        {
            return self.one_for_each_zone(tagged.into_iter(), field);
        }
        let Some(public) = self.frame.ctx.public_subnets() else {
            return Ok(Vec::new());
        };
        let wants_public = self.scheme == Scheme::InternetFacing;
        let reachable = all
            .values()
            .filter(|s| public.contains(&s.id) == wants_public);
        self.one_for_each_zone(reachable, field)
    }

    fn one_for_each_zone<'t>(
        &self,
        candidates: impl Iterator<Item = &'t Subnet>,
        field: &str,
    ) -> Result<Vec<SubnetId>, Blocked> {
        let settings = self.frame.ctx.settings;
        let own_tag = format!("kubernetes.io/cluster/{}", settings.cluster_name);
        let is_own = |s: &Subnet| s.tags.contains_key(&own_tag);
        let is_others = |s: &Subnet| {
            let mut keys = s.tags.keys();
            !is_own(s) && keys.any(|k| k.starts_with("kubernetes.io/cluster"))
        };
        let mut zones: BTreeMap<&str, (bool, &SubnetId)> = BTreeMap::new();
        for subnet in candidates {
            if (settings.gates.subnets_cluster_tag_check && is_others(subnet))
                || subnet.available_ip_address_count < FREE_ADDRESSES_MIN
                || (self.needs_ipv6() && subnet.ipv6_cidrs.is_empty())
            {
                continue;
            }
            let rank = (!is_own(subnet), &subnet.id);
            let best = zones.entry(&subnet.availability_zone).or_insert(rank);
            *best = rank.min(*best);
        }
        let chosen: BTreeSet<SubnetId> = zones.into_values().map(|(_, id)| id.clone()).collect();
        let chosen: Vec<_> = chosen.into_iter().collect();
        self.validate(&chosen, field)?;
        Ok(chosen)
    }

    fn validate(&self, chosen: &[SubnetId], field: &str) -> Result<(), Blocked> {
        const HINT: &str = "tag subnets for the cluster's load balancers or name them in loadBalancerSubnets; until then nothing is changed";
        let (Some(all), Some(zones)) = (self.frame.ctx.subnets(), self.frame.ctx.zones()) else {
            return Ok(());
        };
        let subnets: Vec<_> = chosen.iter().filter_map(|id| all.get(id)).collect();
        let locales: Vec<_> = subnets
            .iter()
            .map(|s| match zones.get(&s.availability_zone) {
                _ if s.outpost_arn.is_some() => Locale::Outpost,
                Some(ZoneType::LocalZone) => Locale::LocalZone,
                Some(ZoneType::WavelengthZone) => Locale::Wavelength,
                Some(ZoneType::AvailabilityZone) | None => Locale::AvailabilityZone,
            })
            .collect();
        let is_alb = self.frame.lb_type == LoadBalancerType::Application;
        let single = self.frame.ctx.settings.gates.alb_single_subnet;
        let first = locales.first().copied().unwrap_or(Locale::AvailabilityZone);
        let needs_two = is_alb && !single && first == Locale::AvailabilityZone;
        let min = if needs_two { 2 } else { 1 };
        if subnets.len() < min {
            return self.blocked(
                "too-few-subnets",
                format!(
                    "{} {} for a load balancer that is {}, and it needs {min} in different zones",
                    subnets.len(),
                    if subnets.len() == 1 {
                        "subnet is fit"
                    } else {
                        "subnets are fit"
                    },
                    self.scheme.as_str()
                ),
                field,
                HINT,
            );
        }
        if locales.iter().any(|l| *l != first) {
            let message =
                "the subnets are partly in availability zones and partly elsewhere".to_owned();
            return self.blocked("mixed-subnets", message, field, HINT);
        }
        let taken: BTreeSet<_> = subnets.iter().map(|s| &s.availability_zone).collect();
        if taken.len() < subnets.len() {
            let message = "two of the subnets are in one availability zone".to_owned();
            return self.blocked("subnets-share-zone", message, field, HINT);
        }
        if let Some(bad) = subnets
            .iter()
            .find(|s| self.needs_ipv6() && s.ipv6_cidrs.is_empty())
        {
            let message = format!("subnet {} has no IPv6 block, which dualstack needs", bad.id);
            return self.blocked("subnet-without-ipv6", message, field, HINT);
        }
        Ok(())
    }

    /// Adds the addresses that are configured for a network load balancer.
    fn addresses(
        &self,
        given: &[SubnetConfiguration],
        chosen: Vec<SubnetId>,
    ) -> Result<Vec<SubnetMapping>, Blocked> {
        let mut mappings: Vec<_> = chosen.into_iter().map(SubnetMapping::of).collect();
        let is_nlb = self.frame.lb_type == LoadBalancerType::Network;
        let internal = self.scheme == Scheme::Internal;
        let eips = self.all_or_none(given, "eipAllocation", is_nlb && !internal, |s| {
            s.eip_allocation.as_ref()
        })?;
        let ipv4s = self.all_or_none(given, "privateIPv4Allocation", is_nlb && internal, |s| {
            s.private_ipv4_allocation.as_ref()
        })?;
        let ipv6s =
            self.all_or_none(given, "ipv6Allocation", is_nlb && self.needs_ipv6(), |s| {
                s.ipv6_allocation.as_ref()
            })?;
        if mappings.is_empty() {
            // The subnets are not known yet.
            return Ok(mappings);
        }
        for (field, values) in [
            ("eipAllocation", &eips),
            ("privateIPv4Allocation", &ipv4s),
            ("ipv6Allocation", &ipv6s),
        ] {
            if !values.is_empty() && values.len() != mappings.len() {
                return self.bad_address(format!(
                    "{field} is given {} times, and the load balancer has {} subnets",
                    values.len(),
                    mappings.len()
                ));
            }
        }
        for (mapping, eip) in mappings.iter_mut().zip(eips) {
            mapping.allocation_id = Some(eip);
        }
        for address in ipv4s {
            let address = self.address(&address, IpAddr::is_ipv4)?;
            let mapping = self.subnet_of(&mut mappings, address)?;
            let text = address.to_string();
            if mapping.is_some_and(|m| m.private_ipv4_address.replace(text).is_some()) {
                return self.bad_address(format!("a subnet gets two addresses, one is {address}"));
            }
        }
        for address in ipv6s {
            let address = self.address(&address, IpAddr::is_ipv6)?;
            let mapping = self.subnet_of(&mut mappings, address)?;
            let text = address.to_string();
            if mapping.is_some_and(|m| m.ipv6_address.replace(text).is_some()) {
                return self.bad_address(format!("a subnet gets two addresses, one is {address}"));
            }
        }
        Ok(mappings)
    }

    fn all_or_none(
        &self,
        given: &[SubnetConfiguration],
        field: &str,
        is_possible: bool,
        value: impl Fn(&SubnetConfiguration) -> Option<&String>,
    ) -> Result<Vec<String>, Blocked> {
        let values: Vec<_> = given.iter().filter_map(|s| value(s).cloned()).collect();
        if values.is_empty() {
            return Ok(values);
        }
        if !is_possible {
            return self.bad_address(format!("{field} is not possible on this load balancer"));
        }
        if values.len() != given.len() {
            return self.bad_address(format!("Either specify all {field} or none."));
        }
        Ok(values)
    }

    fn bad_address<T>(&self, message: String) -> Result<T, Blocked> {
        self.blocked(
            "invalid-subnet-address",
            message,
            "loadBalancerSubnets",
            "eipAllocation is for internet-facing network load balancers, privateIPv4Allocation for internal ones, ipv6Allocation for dualstack ones",
        )
    }

    /// An address of the family that its field is for.
    fn address(&self, text: &str, is_of_family: fn(&IpAddr) -> bool) -> Result<IpAddr, Blocked> {
        let address = text.parse::<IpAddr>().ok().filter(is_of_family);
        match address {
            Some(address) => Ok(address),
            None => self.bad_address(format!(
                "`{text}` is no address of the family that is meant"
            )),
        }
    }

    /// The subnet whose blocks hold an address; `None` while the subnets are not known.
    fn subnet_of<'m>(
        &self,
        mappings: &'m mut [SubnetMapping],
        address: IpAddr,
    ) -> Result<Option<&'m mut SubnetMapping>, Blocked> {
        let Some(all) = self.subnets() else {
            return Ok(None);
        };
        let holds = |subnet: &Subnet| {
            std::iter::once(&subnet.ipv4_cidr)
                .chain(&subnet.ipv6_cidrs)
                .filter_map(|b| b.parse::<IpNet>().ok())
                .any(|b| b.contains(&address))
        };
        let found = mappings
            .iter_mut()
            .find(|m| all.get(&m.subnet_id).is_some_and(holds));
        match found {
            Some(mapping) => Ok(Some(mapping)),
            None => self.bad_address(format!("no subnet of the load balancer holds {address}")),
        }
    }
}

/// Whether a value fits what a filter of EC2 asks for: `*` stands for any characters, `?` for at most one,
/// a backslash takes what follows it as it is (EC2 user guide, "Filter your resources").
fn fits(pattern: &str, value: &str) -> bool {
    enum Part {
        Any,
        AtMostOne,
        Just(char),
    }
    let mut parts = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        parts.push(match c {
            '*' => Part::Any,
            '?' => Part::AtMostOne,
            '\\' => Part::Just(rest.next().unwrap_or('\\')),
            c => Part::Just(c),
        });
    }
    // The parts that may come next, all of them at once: a pattern of many stars costs no more than another.
    let skip = |mut next: BTreeSet<usize>| {
        for (place, part) in parts.iter().enumerate() {
            if next.contains(&place) && !matches!(part, Part::Just(_)) {
                next.insert(place + 1);
            }
        }
        next
    };
    let mut next = skip(BTreeSet::from([0]));
    for c in value.chars() {
        let taken = next.iter().filter_map(|place| match parts.get(*place)? {
            Part::Any => Some(*place),
            Part::AtMostOne => Some(place + 1),
            Part::Just(wanted) => (*wanted == c).then_some(place + 1),
        });
        next = skip(taken.collect());
    }
    next.contains(&parts.len())
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_selector_takes_the_wildcards_of_ec2() {
        for (pattern, value, expected) in [
            ("", "", true),
            ("", "a", false),
            ("private-a", "private-a", true),
            ("private-a", "private-ab", false),
            ("private-*", "private-a", true),
            ("private-*", "private-", true),
            ("*-a", "private-a", true),
            ("*-a", "private-b", false),
            ("*a*a*", "banana", true),
            ("private-?", "private-a", true),
            ("private-?", "private-", true),
            ("private-?", "private-ab", false),
            (r"1\*", "1*", true),
            (r"1\*", "1", false),
            ("1", "1", true),
        ] {
            assert_eq!(fits(pattern, value), expected, "{pattern} {value}");
        }
    }
}
