//! The load balancer itself.
//!
//! In: the configuration. Out: the desired load balancer with its security groups and subnets, or
//! [`Blocked`] when one of them cannot be decided: then nothing of the Gateway is changed.

use elbow_api::{Diagnostic, crds};
use elbow_model::ResourceId;
use elbow_model::stack::{IpAddressType, LOAD_BALANCER, LoadBalancer, LoadBalancerType, Scheme};

use super::attributes;
use super::listeners::Listener;
use super::security_groups::{self, SecurityGroups};
use super::{Blocked, Frame, names, subnets, tags};

/// The scheme that a configuration asks for.
pub(crate) fn scheme(frame: &Frame<'_, '_>) -> Scheme {
    match frame.configuration.spec.scheme {
        Some(crds::Scheme::Internal) => Scheme::Internal,
        Some(crds::Scheme::InternetFacing) => Scheme::InternetFacing,
        None => frame.ctx.settings.default_scheme,
    }
}

/// The address families that a configuration asks for.
pub(crate) fn ip_address_type(frame: &Frame<'_, '_>) -> IpAddressType {
    use crds::LoadBalancerIpAddressType as Type;
    match frame.configuration.spec.ip_address_type {
        None | Some(Type::Ipv4) => IpAddressType::Ipv4,
        Some(Type::Dualstack) => IpAddressType::Dualstack,
        Some(Type::DualstackWithoutPublicIpv4) => IpAddressType::DualstackWithoutPublicIpv4,
    }
}

/// Builds the load balancer and its security groups.
pub(crate) fn build(
    frame: &Frame<'_, '_>,
    listeners: &[Listener],
) -> Result<(LoadBalancer, SecurityGroups), Blocked> {
    let scheme = scheme(frame);
    let ip_address_type = ip_address_type(frame);
    // Both are tried, so that one round asks for the facts of both and shows the findings of both.
    let groups = security_groups::build(frame, listeners, ip_address_type);
    let subnets = subnets::build(frame, scheme, ip_address_type);
    let (groups, subnets) = (groups?, subnets?);
    let spec = &frame.configuration.spec;
    let id = ResourceId::new(LOAD_BALANCER);
    let given = spec.load_balancer_attributes.as_ref();
    let (attributes, findings) =
        attributes::known(attributes::Of::LoadBalancer, frame.lb_type, given);
    for (place, finding) in findings {
        let field = format!("loadBalancerAttributes[{place}].key");
        frame
            .ctx
            .report(frame.configuration.finding(finding, &field));
    }
    let enforce = &spec.enforce_security_group_inbound_rules_on_private_link_traffic;
    let is_network = frame.lb_type == LoadBalancerType::Network;
    if enforce.is_some() && !is_network {
        frame.ctx.report(
            frame.configuration.finding(
                Diagnostic::warning(
                    "ignored-field",
                    "only network load balancers take traffic from AWS PrivateLink themselves",
                )
                .hint("remove the field"),
                "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
            ),
        );
    }
    let load_balancer = LoadBalancer {
        name: spec.load_balancer_name.clone().unwrap_or_else(|| {
            let cluster = &frame.ctx.settings.cluster_name;
            names::load_balancer(cluster, &frame.gateway, &frame.uid, scheme)
        }),
        lb_type: frame.lb_type,
        scheme,
        ip_address_type,
        subnets,
        security_groups: groups.on_load_balancer.clone(),
        enforce_security_group_inbound_rules_on_private_link_traffic: enforce
            .clone()
            .filter(|_| is_network),
        attributes,
        tags: tags::of(frame.ctx, &frame.stack, &id, frame.user_tags()),
        causes: frame.causes(),
    };
    Ok((load_balancer, groups))
}
