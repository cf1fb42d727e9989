//! References across namespaces: who may point where.

use elbow_api::names::GATEWAY_GROUP;
use elbow_api::{Kind, NamespacedName, ObjectRef};

use super::context::Context;

/// Whether a ReferenceGrant of `to_namespace` lets routes of a kind and namespace refer to a Service.
pub(crate) fn permits_service(
    ctx: &Context<'_>,
    route_kind: &str,
    route_namespace: &str,
    to_namespace: &str,
    service: &str,
) -> bool {
    let from = (route_kind, route_namespace);
    let to = NamespacedName::new(to_namespace, service);
    permits(ctx, from, Kind::Service, &to)
}

/// Whether a ReferenceGrant of the Gateway's namespace lets routes of a kind and namespace refer to it.
pub(crate) fn permits_gateway(
    ctx: &Context<'_>,
    (route_kind, route_namespace): (&str, &str),
    gateway: &NamespacedName,
) -> bool {
    permits(ctx, (route_kind, route_namespace), Kind::Gateway, gateway)
}

/// Whether a ReferenceGrant of the Secret's namespace lets a Gateway or ListenerSet refer to it.
pub(crate) fn permits_secret(
    ctx: &Context<'_>,
    owner: &ObjectRef,
    secret: &NamespacedName,
) -> bool {
    let from = (owner.kind.as_str(), owner.namespace.as_str());
    permits(ctx, from, Kind::Secret, secret)
}

/// Whether a ReferenceGrant of the ConfigMap's namespace lets a Gateway refer to it.
pub(crate) fn permits_config_map(
    ctx: &Context<'_>,
    owner: &ObjectRef,
    config_map: &NamespacedName,
) -> bool {
    let from = (owner.kind.as_str(), owner.namespace.as_str());
    permits(ctx, from, Kind::ConfigMap, config_map)
}

fn permits(
    ctx: &Context<'_>,
    (from_kind, from_namespace): (&str, &str),
    to_kind: Kind,
    to: &NamespacedName,
) -> bool {
    let grants = ctx.reader.reference_grants_in(&to.namespace);
    grants.iter().any(|grant| {
        let is_from = grant.spec.from.iter().any(|from| {
            from.group == GATEWAY_GROUP
                && from.kind == from_kind
                && from.namespace == from_namespace
        });
        let is_to = grant.spec.to.iter().any(|granted| {
            let name = granted.name.as_deref();
            granted.group == to_kind.group()
                && granted.kind == to_kind.as_str()
                && name.is_none_or(|name| name.is_empty() || name == to.name)
        });
        is_from && is_to
    })
}
