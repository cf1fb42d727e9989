//! References across namespaces: who may point where.

use elbow_api::names::GATEWAY_GROUP;

use super::context::Context;

/// Whether a ReferenceGrant of `to_namespace` lets routes of a kind and namespace refer to a Service.
pub(crate) fn permits_service(
    ctx: &Context<'_>,
    route_kind: &str,
    route_namespace: &str,
    to_namespace: &str,
    service: &str,
) -> bool {
    ctx.reader
        .reference_grants_in(to_namespace)
        .iter()
        .any(|grant| {
            let from = grant.spec.from.iter().any(|from| {
                from.group == GATEWAY_GROUP
                    && from.kind == route_kind
                    && from.namespace == route_namespace
            });
            let to = grant.spec.to.iter().any(|to| {
                to.group.is_empty()
                    && to.kind == "Service"
                    && to
                        .name
                        .as_deref()
                        .is_none_or(|name| name.is_empty() || name == service)
            });
            from && to
        })
}
