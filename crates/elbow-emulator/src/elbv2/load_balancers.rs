//! Load balancers: create, describe, delete.

use std::collections::BTreeSet;

use super::state::{
    IpAddressType, LingeringInterfaces, LoadBalancer, LoadBalancerKind, LoadBalancerState, OnOff,
    Scheme, TargetType,
};
use super::subnets::Wanted;
use super::{arn, attributes, error, names, page, tags};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

/// Most ARNs or names that one describe operation takes (guide of DescribeLoadBalancers).
pub(super) const DESCRIBED_MAX: usize = 20;

impl Emulator {
    pub(super) fn create_load_balancer(
        &mut self,
        now: Timestamp,
        input: &wire::CreateLoadBalancerInput,
    ) -> Result<wire::CreateLoadBalancerOutput, ApiError> {
        names::check_load_balancer(&input.name)?;
        let lb = self.new_load_balancer(now, input)?;
        let same_name = self.elbv2.load_balancers.values();
        let mut same_name = same_name.filter(|old| old.name == lb.name && old.kind == lb.kind);
        let arn = match same_name.next() {
            Some(old) if is_same(old, &lb) => old.arn.clone(),
            Some(_) => {
                let message = format!(
                    "A load balancer with the same name '{}' exists, but with different settings",
                    lb.name
                );
                return Err(ApiError::sender("DuplicateLoadBalancerName", message));
            }
            None => self.add_load_balancer(lb)?,
        };
        Ok(wire::CreateLoadBalancerOutput {
            load_balancers: Some(vec![self.shown(&arn)]),
        })
    }

    /// The load balancer that the request asks for, with an ARN that is still to be given.
    fn new_load_balancer(
        &self,
        now: Timestamp,
        input: &wire::CreateLoadBalancerInput,
    ) -> Result<LoadBalancer, ApiError> {
        let kind = match input.r#type.as_deref() {
            None => LoadBalancerKind::Application,
            Some(text) => LoadBalancerKind::parse(text)
                .ok_or_else(|| error::not_modelled(&format!("load balancer type '{text}'")))?,
        };
        let scheme = input.scheme.as_deref().and_then(Scheme::parse);
        let scheme = scheme.unwrap_or(Scheme::InternetFacing);
        let family = input
            .ip_address_type
            .as_deref()
            .and_then(IpAddressType::parse);
        let ip_address_type = family.unwrap_or(IpAddressType::Ipv4);
        let nat = input
            .enable_prefix_for_ipv6_source_nat
            .as_deref()
            .and_then(OnOff::parse);
        let ipv6_source_nat = nat.unwrap_or(OnOff::Off);
        let tags = tags::read(input.tags.as_ref(), self.config.quotas.tags_per_resource)?;
        // A repeated create names addresses that its first run has taken already.
        let mut balancers = self.elbv2.load_balancers.values();
        let own = balancers.find(|old| old.name == input.name && old.kind == kind);
        let own = own.map(|old| old.arn.as_str());
        let wanted = Wanted {
            kind,
            scheme,
            ip_address_type,
            ipv6_source_nat,
            own,
        };
        let zones = self.zones(
            &wanted,
            input.subnets.as_ref(),
            input.subnet_mappings.as_ref(),
        )?;
        let mut security_groups = input.security_groups.clone().unwrap_or_default();
        self.check_security_groups(&zones.vpc_id, &security_groups)?;
        if kind == LoadBalancerKind::Application && security_groups.is_empty() {
            let default = self.ec2.default_security_group(&zones.vpc_id);
            security_groups.extend(default.map(|group| group.id.clone()));
        }
        let latencies = &self.config.latencies;
        let provisioning_ms = match kind {
            LoadBalancerKind::Application => latencies.application_load_balancer_provisioning_ms,
            LoadBalancerKind::Network => latencies.network_load_balancer_provisioning_ms,
        };
        let guarded = kind == LoadBalancerKind::Network && !security_groups.is_empty();
        let mut lb = LoadBalancer {
            arn: String::new(),
            name: input.name.clone(),
            dns_name: String::new(),
            canonical_hosted_zone_id: names::hosted_zone(kind, &self.config.region),
            kind,
            scheme,
            state: LoadBalancerState::Provisioning,
            created_at: now,
            provisioned_at: now.plus_millis(provisioning_ms),
            vpc_id: zones.vpc_id,
            zones: zones.mappings,
            security_groups,
            ip_address_type,
            private_link_inbound_rules: guarded.then_some(OnOff::On),
            ipv6_source_nat,
            attributes: std::collections::BTreeMap::new(),
            tags,
        };
        lb.attributes = attributes::of_load_balancer(&lb);
        Ok(lb)
    }

    /// Gives the load balancer its ARN and takes it in.
    fn add_load_balancer(&mut self, mut lb: LoadBalancer) -> Result<String, ApiError> {
        let quota = match lb.kind {
            LoadBalancerKind::Application => self.config.quotas.application_load_balancers,
            LoadBalancerKind::Network => self.config.quotas.network_load_balancers,
        };
        let balancers = self.elbv2.load_balancers.values();
        if balancers.filter(|old| old.kind == lb.kind).count() >= quota {
            let message = format!(
                "The maximum number of load balancers of type '{}' is '{quota}'",
                lb.kind.as_str()
            );
            return Err(ApiError::sender("TooManyLoadBalancers", message)); // Undocumented text.
        }
        for mapping in &lb.zones {
            self.check_room(lb.kind, lb.scheme, mapping)?;
        }
        let (region, account) = (self.config.region.clone(), self.config.account_id.clone());
        let id = self.ids.hex(16);
        lb.arn = arn::load_balancer(&region, &account, lb.kind, &lb.name, &id);
        lb.dns_name = names::dns(lb.kind, lb.scheme, &lb.name, &id, &region);
        let arn = lb.arn.clone();
        self.elbv2.load_balancers.insert(arn.clone(), lb);
        self.elbv2.touch();
        Ok(arn)
    }

    pub(super) fn describe_load_balancers(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeLoadBalancersInput,
    ) -> Result<wire::DescribeLoadBalancersOutput, ApiError> {
        let arns = input
            .load_balancer_arns
            .as_ref()
            .filter(|arns| !arns.is_empty());
        let names = input.names.as_ref().filter(|names| !names.is_empty());
        if arns.is_some() && names.is_some() {
            // Undocumented text, after the one for target groups.
            return Err(error::validation(
                "Load balancer names and load balancer ARNs cannot be specified at the same time",
            ));
        }
        check_batch(arns.or(names), "load balancers")?;
        let mut chosen: BTreeSet<&String> = BTreeSet::new();
        if let Some(arns) = arns {
            for arn in arns {
                chosen.insert(&self.elbv2.load_balancer(arn)?.arn);
            }
        } else if let Some(names) = names {
            for name in names {
                let all = self.elbv2.load_balancers.values();
                let before = chosen.len();
                chosen.extend(all.filter(|lb| lb.name == *name).map(|lb| &lb.arn));
                if chosen.len() == before {
                    let message = format!("Load balancers '[{name}]' not found");
                    return Err(ApiError::sender("LoadBalancerNotFound", message));
                }
            }
        } else {
            chosen.extend(self.elbv2.load_balancers.keys());
        }
        let page = page::cut(
            chosen.into_iter().collect(),
            |arn| (*arn).clone(),
            input.marker.as_deref(),
            input.page_size,
        )?;
        Ok(wire::DescribeLoadBalancersOutput {
            load_balancers: Some(page.items.into_iter().map(|arn| self.shown(arn)).collect()),
            next_marker: page.next_marker,
        })
    }

    /// Deletes listeners and rules too; target groups stay. A load balancer that does not exist is
    /// deleted with success.
    pub(super) fn delete_load_balancer(
        &mut self,
        now: Timestamp,
        input: &wire::DeleteLoadBalancerInput,
    ) -> Result<wire::DeleteLoadBalancerOutput, ApiError> {
        let arn = &input.load_balancer_arn;
        arn::check(arn, arn::Resource::LoadBalancer)?;
        let Some(lb) = self.elbv2.load_balancers.get(arn) else {
            return Ok(wire::DeleteLoadBalancerOutput {});
        };
        if lb.attribute("deletion_protection.enabled") == "true" {
            return Err(error::not_permitted(format!(
                "Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
            )));
        }
        let mut groups = self.elbv2.target_groups.values();
        let target_of = groups.find(|group| {
            group.target_type == TargetType::Alb && group.targets.keys().any(|key| key.id == *arn)
        });
        if let Some(group) = target_of {
            // That it is refused is documented, the text is not.
            return Err(error::in_use(format!(
                "Load balancer '{arn}' is registered as a target of target group '{}'",
                group.arn
            )));
        }
        let release_ms = self.config.latencies.eni_release_ms;
        if release_ms > 0 {
            let interfaces = LingeringInterfaces {
                load_balancer_arn: arn.clone(),
                security_groups: lb.security_groups.clone(),
                subnets: lb.zones.iter().map(|zone| zone.subnet_id.clone()).collect(),
                until: now.plus_millis(release_ms),
            };
            self.elbv2.lingering_interfaces.push(interfaces);
        }
        let listeners: Vec<String> = self
            .elbv2
            .listeners_of(arn)
            .map(|listener| listener.arn.clone())
            .collect();
        for listener in listeners {
            self.remove_listener(now, &listener);
        }
        self.elbv2.load_balancers.remove(arn);
        self.elbv2.touch();
        Ok(wire::DeleteLoadBalancerOutput {})
    }

    /// A load balancer as responses show it.
    fn shown(&self, arn: &str) -> wire::LoadBalancer {
        let Some(lb) = self.elbv2.load_balancers.get(arn) else {
            return wire::LoadBalancer::default();
        };
        wire::LoadBalancer {
            availability_zones: Some(self.shown_zones(arn)),
            canonical_hosted_zone_id: lb.canonical_hosted_zone_id.map(str::to_owned),
            created_time: Some(lb.created_at),
            dns_name: Some(lb.dns_name.clone()),
            enable_prefix_for_ipv6_source_nat: self.shown_source_nat(arn),
            enforce_security_group_inbound_rules_on_private_link_traffic: lb
                .private_link_inbound_rules
                .map(|on_off| on_off.as_str().to_owned()),
            ip_address_type: Some(lb.ip_address_type.as_str().to_owned()),
            load_balancer_arn: Some(lb.arn.clone()),
            load_balancer_name: Some(lb.name.clone()),
            scheme: Some(lb.scheme.as_str().to_owned()),
            // Absent, not empty, for a network load balancer without any.
            security_groups: Some(lb.security_groups.clone()).filter(|groups| !groups.is_empty()),
            state: Some(wire::LoadBalancerState {
                code: Some(lb.state.as_str().to_owned()),
                reason: None,
            }),
            r#type: Some(lb.kind.as_str().to_owned()),
            vpc_id: Some(lb.vpc_id.clone()),
            ..Default::default()
        }
    }

    /// The zones of a load balancer as responses show them.
    pub(super) fn shown_zones(&self, arn: &str) -> Vec<wire::AvailabilityZone> {
        let zones = self
            .elbv2
            .load_balancers
            .get(arn)
            .map(|lb| lb.zones.as_slice());
        let shown = zones.unwrap_or_default().iter().map(|zone| {
            let elastic = zone
                .allocation_id
                .as_ref()
                .map(|allocation| wire::LoadBalancerAddress {
                    allocation_id: Some(allocation.clone()),
                    ip_address: self
                        .ec2
                        .addresses
                        .get(allocation)
                        .map(|address| address.public_ip.to_string()),
                    ..Default::default()
                });
            let chosen = (zone.private_ipv4.is_some() || zone.ipv6.is_some()).then(|| {
                wire::LoadBalancerAddress {
                    private_ipv4_address: zone.private_ipv4.clone(),
                    ipv6_address: zone.ipv6.clone(),
                    ..Default::default()
                }
            });
            wire::AvailabilityZone {
                load_balancer_addresses: Some(elastic.into_iter().chain(chosen).collect()),
                source_nat_ipv6_prefixes: zone.source_nat_ipv6_prefix.clone().map(|p| vec![p]),
                subnet_id: Some(zone.subnet_id.clone()),
                zone_name: Some(zone.zone.clone()),
                outpost_id: None,
            }
        });
        shown.collect()
    }

    /// Network load balancers alone have the switch.
    pub(super) fn shown_source_nat(&self, arn: &str) -> Option<String> {
        let lb = self.elbv2.load_balancers.get(arn)?;
        (lb.kind == LoadBalancerKind::Network).then(|| lb.ipv6_source_nat.as_str().to_owned())
    }
}

/// Refuses a longer list of ARNs or names than a describe operation takes.
pub(super) fn check_batch(list: Option<&Vec<String>>, noun: &str) -> Result<(), ApiError> {
    match list.map_or(0, Vec::len) {
        n if n > DESCRIBED_MAX => Err(error::validation(format!(
            // Undocumented text.
            "Up to '{DESCRIBED_MAX}' {noun} can be specified, but '{n}' were specified"
        ))),
        _ => Ok(()),
    }
}

/// Whether a create operation asks for what there is: type, scheme, address type, subnets and
/// security groups. Which settings AWS compares is undocumented; tags, which others report to make
/// no difference, are left out.
fn is_same(old: &LoadBalancer, new: &LoadBalancer) -> bool {
    let subnets = |lb: &LoadBalancer| -> BTreeSet<String> {
        lb.zones.iter().map(|zone| zone.subnet_id.clone()).collect()
    };
    let groups =
        |lb: &LoadBalancer| -> BTreeSet<String> { lb.security_groups.iter().cloned().collect() };
    old.scheme == new.scheme
        && old.ip_address_type == new.ip_address_type
        && subnets(old) == subnets(new)
        && groups(old) == groups(new)
}
