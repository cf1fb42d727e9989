//! Fields that are understood and not translated yet, or that no load balancer can do.
//!
//! Each is a finding where it is used, so that nothing is passed over in silence.

use elbow_api::{Diagnostic, Kind, ObjectRef};
use gateway_api::apis::experimental::gateways::GatewaySpec;

use super::Frame;
use super::routes::{Filter, Route};

/// Reports what is not translated of a Gateway, its configuration and its routes.
pub(crate) fn report(frame: &Frame<'_, '_>, spec: &GatewaySpec, routes: &[Route]) {
    configuration(frame);
    gateway(frame, spec);
    for route in routes {
        self::route(frame, route);
    }
}

fn configuration(frame: &Frame<'_, '_>) {
    let spec = &frame.configuration.spec;
    let subnets = spec.load_balancer_subnets.iter().flatten();
    let prefix = subnets
        .enumerate()
        .find(|(_, s)| s.source_nat_ipv6_prefix.is_some())
        .map(|(place, _)| format!("loadBalancerSubnets[{place}].sourceNatIPv6Prefix"));
    let shield = spec.shield_configuration.as_ref();
    let rows = [
        (spec.waf_v2.is_some(), "wafV2".to_owned()),
        (
            shield.is_some_and(|s| s.enabled == Some(true)),
            "shieldConfiguration".to_owned(),
        ),
        (
            spec.minimum_load_balancer_capacity.is_some(),
            "minimumLoadBalancerCapacity".to_owned(),
        ),
        (
            spec.customer_owned_ipv4_pool.is_some(),
            "customerOwnedIpv4Pool".to_owned(),
        ),
        (
            spec.ipv4_ipam_pool_id.is_some(),
            "ipv4IPAMPoolId".to_owned(),
        ),
        (prefix.is_some(), prefix.unwrap_or_default()),
    ];
    for (_, field) in rows.iter().filter(|row| row.0) {
        let finding = Diagnostic::error(
            "not-supported-yet",
            format!("{field} is not translated yet"),
        )
        .hint("what AWS has for it is left as it is");
        frame
            .ctx
            .report(frame.configuration.finding(finding, field));
    }
}

fn gateway(frame: &Frame<'_, '_>, spec: &GatewaySpec) {
    let ignored = |field: String, message: &str, hint: &str| {
        let finding = Diagnostic::warning("ignored-field", message).hint(hint);
        frame.ctx.report(finding.on(frame.object()).at(field));
    };
    if spec.addresses.as_ref().is_some_and(|a| !a.is_empty()) {
        let message = "AWS gives a load balancer its addresses";
        let hint = "choose addresses in loadBalancerSubnets of a LoadBalancerConfiguration";
        ignored("spec.addresses".to_owned(), message, hint);
    }
    if let Some(object) = mixed_parameters(frame, spec) {
        ignored(
            "spec.infrastructure.parametersRef".to_owned(),
            &format!("the reference to {object} is read as one to a LoadBalancerConfiguration"),
            "set group gateway.k8s.aws and kind LoadBalancerConfiguration",
        );
    }
}

/// A parametersRef that names another kind, which LBC does not look at.
fn mixed_parameters(frame: &Frame<'_, '_>, spec: &GatewaySpec) -> Option<ObjectRef> {
    let reference = spec.infrastructure.as_ref()?.parameters_ref.as_ref()?;
    let kind = Kind::LoadBalancerConfiguration;
    let is_other = reference.group != kind.group() || reference.kind != kind.as_str();
    is_other.then(|| {
        ObjectRef::new(
            kind,
            frame.gateway.namespace.clone(),
            reference.name.clone(),
        )
    })
}

fn route(frame: &Frame<'_, '_>, route: &Route) {
    for (place, rule) in route.rules.iter().enumerate() {
        for field in &rule.ignored {
            frame.ctx.report(
                Diagnostic::warning(
                    "ignored-field",
                    format!("a load balancer cannot do {field} for a single rule"),
                )
                .on(route.object())
                .at(format!("spec.rules[{place}].{field}"))
                .hint("remove the field"),
            );
        }
        for (index, filter) in rule.filters.iter().enumerate() {
            if let Filter::OtherExtension { group, kind } = filter {
                frame.ctx.report(
                    Diagnostic::warning(
                        "ignored-filter",
                        format!("{kind} of group {group} is no filter here"),
                    )
                    .on(route.object())
                    .at(format!("spec.rules[{place}].filters[{index}].extensionRef"))
                    .hint("only ListenerRuleConfiguration of group gateway.k8s.aws is"),
                );
            }
        }
    }
}
