//! Security groups of a load balancer, and which of them its targets see.
//!
//! In: the configuration and the valid listeners. Out: the managed group if one is wanted, the groups
//! on the load balancer in the order in which they are sent, and by what its targets know it.

use std::collections::BTreeSet;

use elbow_api::Diagnostic;
use elbow_model::stack::{
    BACKEND_SECURITY_GROUP, IngressRule, IngressSource, IpAddressType, LoadBalancerType,
    MANAGED_SECURITY_GROUP, SecurityGroup,
};
use elbow_model::{
    PrefixListId, Ref, ResourceId, ResourceKey, ResourceKind, SecurityGroupId, StackId,
};
use ipnet::IpNet;

use super::listeners::Listener;
use super::{Blocked, Frame, names, tags};
use crate::settings::BackendSecurityGroup;

/// The security groups of a load balancer.
#[derive(Debug)]
pub(crate) struct SecurityGroups {
    pub(crate) managed: Option<SecurityGroup>,
    pub(crate) on_load_balancer: Vec<Ref<SecurityGroupId>>,
    pub(crate) toward_targets: TowardTargets,
}

/// By what the targets of a load balancer know it.
#[derive(Debug, Clone)]
pub(crate) enum TowardTargets {
    /// By a security group.
    Group(Ref<SecurityGroupId>),
    /// By its addresses: it has no security group.
    Addresses,
    /// Not at all: the user manages the rules.
    Unmanaged,
}

/// The key of the group that all Stacks of a cluster share.
pub(crate) fn backend_key() -> ResourceKey {
    ResourceKey {
        stack: StackId::CLUSTER,
        kind: ResourceKind::SecurityGroup,
        id: ResourceId::new(BACKEND_SECURITY_GROUP),
    }
}

/// Decides the security groups of a load balancer.
pub(crate) fn build(
    frame: &Frame<'_, '_>,
    listeners: &[Listener],
    ip_address_type: IpAddressType,
) -> Result<SecurityGroups, Blocked> {
    let spec = &frame.configuration.spec;
    if spec.disable_security_group == Some(true) && frame.lb_type == LoadBalancerType::Network {
        return Ok(SecurityGroups {
            managed: None,
            on_load_balancer: Vec::new(),
            toward_targets: TowardTargets::Addresses,
        });
    }
    if spec.disable_security_group == Some(true) {
        frame.ctx.report(
            frame.configuration.finding(
                Diagnostic::warning(
                    "ignored-field",
                    "an application load balancer always has a security group",
                )
                .hint("remove disableSecurityGroup"),
                "disableSecurityGroup",
            ),
        );
    }
    let backend = match &frame.ctx.settings.backend_security_group {
        BackendSecurityGroup::Managed => Some(Ref::Of(backend_key())),
        BackendSecurityGroup::Existing(id) => Some(Ref::Known(id.clone())),
        BackendSecurityGroup::Disabled => None,
    };
    let given = spec.security_groups.as_deref().unwrap_or_default();
    if given.is_empty() {
        let id = ResourceId::new(MANAGED_SECURITY_GROUP);
        let own = Ref::Of(frame.stack_key(ResourceKind::SecurityGroup, &id));
        let toward_targets = backend.clone().unwrap_or_else(|| own.clone());
        return Ok(SecurityGroups {
            managed: Some(managed(frame, &id, listeners, ip_address_type)),
            on_load_balancer: std::iter::once(own).chain(backend).collect(),
            toward_targets: TowardTargets::Group(toward_targets),
        });
    }
    let mut on_load_balancer = resolve(frame, given)?;
    if spec.manage_backend_security_group_rules != Some(true) {
        return Ok(SecurityGroups {
            managed: None,
            on_load_balancer,
            toward_targets: TowardTargets::Unmanaged,
        });
    }
    let Some(backend) = backend else {
        frame.ctx.report(frame.configuration.finding(
            Diagnostic::error(
                "backend-security-group-disabled",
                "backendSG feature is required to manage worker node SG rules when frontendSG manually specified",
            )
            .hint("switch the backend security group on, or remove manageBackendSecurityGroupRules"),
            "manageBackendSecurityGroupRules",
        ));
        return Err(Blocked);
    };
    on_load_balancer.push(backend.clone());
    Ok(SecurityGroups {
        managed: None,
        on_load_balancer,
        toward_targets: TowardTargets::Group(backend),
    })
}

/// Ids first, then those that are given by name, each group once. A name means all groups that have it.
fn resolve(frame: &Frame<'_, '_>, given: &[String]) -> Result<Vec<Ref<SecurityGroupId>>, Blocked> {
    let (ids, names): (Vec<_>, Vec<_>) = given.iter().partition(|g| g.starts_with("sg-"));
    let mut all: Vec<_> = ids
        .into_iter()
        .map(|id| SecurityGroupId::new(id.clone()))
        .collect();
    let mut outcome = Ok(());
    for name in names {
        let Some(groups) = frame.ctx.security_groups_named(name) else {
            continue;
        };
        all.extend(groups.iter().cloned());
        if !groups.is_empty() {
            continue;
        }
        let message = format!("no security group of the VPC has the tag Name `{name}`");
        frame.ctx.report(
            frame.configuration.finding(
                Diagnostic::error("unknown-security-group", message)
                    .hint("give the id of the security group; until then nothing is changed"),
                "securityGroups",
            ),
        );
        outcome = Err(Blocked);
    }
    let mut seen = BTreeSet::new();
    all.retain(|id| seen.insert(id.clone()));
    outcome.map(|()| all.into_iter().map(Ref::Known).collect())
}

fn managed(
    frame: &Frame<'_, '_>,
    id: &ResourceId,
    listeners: &[Listener],
    ip_address_type: IpAddressType,
) -> SecurityGroup {
    let cluster = &frame.ctx.settings.cluster_name;
    SecurityGroup {
        name: names::managed_security_group(cluster, &frame.gateway, &frame.uid),
        description: "[k8s] Managed SecurityGroup for LoadBalancer".to_owned(),
        vpc_id: frame.ctx.settings.vpc_id.clone(),
        ingress: Some(ingress(frame, listeners, ip_address_type)),
        tags: tags::of(frame.ctx, &frame.stack, id, frame.user_tags()),
        causes: frame.causes(),
    }
}

/// One rule for each valid listener and source, sorted, without duplicates.
fn ingress(
    frame: &Frame<'_, '_>,
    listeners: &[Listener],
    ip_address_type: IpAddressType,
) -> Vec<IngressRule> {
    let spec = &frame.configuration.spec;
    let everyone = vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()];
    let ranges = spec.source_ranges.as_ref().unwrap_or(&everyone);
    let ranges = usable(frame, ranges);
    let mut rules = BTreeSet::new();
    for listener in listeners.iter().filter(|l| l.is_valid()) {
        let protocol = if listener.protocol == "UDP" {
            "udp"
        } else {
            "tcp"
        };
        let mut allow = |protocol: &str, from, to, source| {
            rules.insert(IngressRule {
                description: None,
                protocol: protocol.to_owned(),
                from_port: Some(from),
                to_port: Some(to),
                source,
            });
        };
        for range in &ranges {
            if !range.contains(':') {
                let source = IngressSource::Ipv4(range.clone());
                allow(protocol, listener.port, listener.port, source.clone());
                if spec.enable_icmp == Some(true) {
                    // Destination unreachable, fragmentation needed.
                    allow("icmp", 3, 4, source);
                }
            } else if ip_address_type != IpAddressType::Ipv4 {
                let source = IngressSource::Ipv6(range.clone());
                allow(protocol, listener.port, listener.port, source.clone());
                if spec.enable_icmp == Some(true) {
                    // Packet too big.
                    allow("icmpv6", 2, 0, source);
                }
            }
        }
        for list in spec.security_group_prefixes.iter().flatten() {
            let source = IngressSource::PrefixList(PrefixListId::new(list.clone()));
            allow(protocol, listener.port, listener.port, source);
        }
    }
    rules.into_iter().collect()
}

/// The ranges that are blocks of addresses.
///
/// Difference (bad-source-range): LBC finds out from AWS and gives up the Gateway; elbow lets in the
/// others only.
fn usable(frame: &Frame<'_, '_>, ranges: &[String]) -> Vec<String> {
    let mut usable = Vec::new();
    for (place, range) in ranges.iter().enumerate() {
        if range.parse::<IpNet>().is_ok() {
            usable.push(range.clone());
            continue;
        }
        frame.ctx.report(
            frame.configuration.finding(
                Diagnostic::error(
                    "invalid-source-range",
                    format!("`{range}` is no block of addresses, and nobody is let in by it"),
                )
                .hint(
                    "write it as 192.0.2.0/24 or 2001:db8::/32, a single address with /32 or /128",
                ),
                &format!("sourceRanges[{place}]"),
            ),
        );
    }
    usable
}
