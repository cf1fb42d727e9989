//! ListenerSets: listeners that others than the Gateway's owner declare.
//!
//! In: a Gateway. Out: the ListenerSets that it lets in, in the order of their precedence, and those
//! that it does not. A Gateway that says nothing lets none in.

use elbow_api::{Diagnostic, Kind, NamespacedName, Object, ObjectRef};
use gateway_api::apis::experimental::gateways as gw;
use gateway_api::apis::experimental::listenersets as sets;

use super::Frame;
use super::context::Context;
use crate::selector::{self, label_selector};

/// A ListenerSet of a Gateway.
#[derive(Debug, Clone)]
pub(crate) struct ListenerSet {
    pub(crate) name: NamespacedName,
    pub(crate) generation: i64,
    /// Its listeners; empty when the Gateway does not let it in.
    pub(crate) listeners: Vec<gw::GatewayListeners>,
    pub(crate) is_allowed: bool,
    /// Whole seconds since 1970, as LBC compares them.
    created_s: i64,
}

impl ListenerSet {
    pub(crate) fn object(&self) -> ObjectRef {
        let name = &self.name;
        ObjectRef::new(Kind::ListenerSet, name.namespace.clone(), name.name.clone())
    }
}

/// The ListenerSets that name a Gateway: the older before the younger, then by namespace and name.
pub(crate) fn of_gateway(frame: &Frame<'_, '_>, spec: &gw::GatewaySpec) -> Vec<ListenerSet> {
    let ctx = frame.ctx;
    let named = ctx.reader.listener_sets_of(&frame.gateway).into_iter();
    let mut found: Vec<_> = named
        .filter(|set| {
            let kind = set.spec.parent_ref.kind.as_deref();
            kind.is_none_or(|k| k == Kind::Gateway.as_str())
                && set.metadata.deletion_timestamp.is_none()
        })
        .map(|set| {
            let object = Object::ListenerSet(set.clone()).object_ref();
            let is_allowed = allows(ctx, &frame.gateway, spec, &object.namespace);
            if !is_allowed {
                report_rejected(frame, &object);
            }
            let created = set.metadata.creation_timestamp.as_ref();
            ListenerSet {
                name: object.namespaced_name(),
                generation: set.metadata.generation.unwrap_or_default(),
                listeners: if is_allowed {
                    set.spec.listeners.iter().map(listener).collect()
                } else {
                    Vec::new()
                },
                is_allowed,
                created_s: created.map_or(0, |t| t.0.as_second()),
            }
        })
        .collect();
    found.sort_by_key(|set| (set.created_s, set.name.to_string()));
    found
}

fn allows(
    ctx: &Context<'_>,
    gateway: &NamespacedName,
    spec: &gw::GatewaySpec,
    namespace: &str,
) -> bool {
    use gw::GatewayAllowedListenersNamespacesFrom as From;
    let allowed = spec.allowed_listeners.as_ref();
    let Some(namespaces) = allowed.and_then(|a| a.namespaces.as_ref()) else {
        return false;
    };
    match namespaces.from {
        None | Some(From::None) => false,
        Some(From::All) => true,
        Some(From::Same) => namespace == gateway.namespace,
        // A selector that is absent selects nothing.
        Some(From::Selector) => namespaces.selector.as_ref().is_some_and(|wanted| {
            let object = ctx.reader.namespace(&NamespacedName::new("", namespace));
            let wanted = label_selector!(wanted);
            object.is_some_and(|n| selector::matches(&wanted, n.metadata.labels.as_ref()))
        }),
    }
}

fn report_rejected(frame: &Frame<'_, '_>, set: &ObjectRef) {
    frame.ctx.report(
        Diagnostic::error(
            "listener-set-not-allowed",
            format!(
                "Gateway {} does not let in ListenerSets of namespace `{}`",
                frame.gateway, set.namespace
            ),
        )
        .on(set.clone())
        .at("spec.parentRef")
        .hint("let the Gateway's allowedListeners.namespaces include the namespace"),
    );
}

/// A listener of a ListenerSet as one of a Gateway, which it differs from in nothing but its type.
fn listener(entry: &sets::ListenerSetListeners) -> gw::GatewayListeners {
    gw::GatewayListeners {
        name: entry.name.clone(),
        port: entry.port,
        protocol: entry.protocol.clone(),
        hostname: entry.hostname.clone(),
        allowed_routes: entry.allowed_routes.as_ref().map(allowed_routes),
        tls: entry.tls.as_ref().map(tls),
    }
}

fn allowed_routes(
    allowed: &sets::ListenerSetListenersAllowedRoutes,
) -> gw::GatewayListenersAllowedRoutes {
    use gw::GatewayListenersAllowedRoutesNamespacesFrom as To;
    use sets::ListenerSetListenersAllowedRoutesNamespacesFrom as From;
    gw::GatewayListenersAllowedRoutes {
        kinds: allowed.kinds.as_ref().map(|kinds| {
            kinds
                .iter()
                .map(|k| gw::GatewayListenersAllowedRoutesKinds {
                    group: k.group.clone(),
                    kind: k.kind.clone(),
                })
                .collect()
        }),
        namespaces: allowed.namespaces.as_ref().map(|n| {
            gw::GatewayListenersAllowedRoutesNamespaces {
                from: n.from.as_ref().map(|from| match from {
                    From::All => To::All,
                    From::Selector => To::Selector,
                    From::Same => To::Same,
                }),
                selector: n.selector.as_ref().map(namespace_selector),
            }
        }),
    }
}

fn namespace_selector(
    selector: &sets::ListenerSetListenersAllowedRoutesNamespacesSelector,
) -> gw::GatewayListenersAllowedRoutesNamespacesSelector {
    gw::GatewayListenersAllowedRoutesNamespacesSelector {
        match_labels: selector.match_labels.clone(),
        match_expressions: selector.match_expressions.as_ref().map(|all| {
            all.iter()
                .map(
                    |e| gw::GatewayListenersAllowedRoutesNamespacesSelectorMatchExpressions {
                        key: e.key.clone(),
                        operator: e.operator.clone(),
                        values: e.values.clone(),
                    },
                )
                .collect()
        }),
    }
}

fn tls(tls: &sets::ListenerSetListenersTls) -> gw::GatewayListenersTls {
    gw::GatewayListenersTls {
        mode: tls.mode.as_ref().map(|mode| match mode {
            sets::ListenerSetListenersTlsMode::Terminate => gw::GatewayListenersTlsMode::Terminate,
            sets::ListenerSetListenersTlsMode::Passthrough => {
                gw::GatewayListenersTlsMode::Passthrough
            }
        }),
        certificate_refs: tls.certificate_refs.as_ref().map(|refs| {
            refs.iter()
                .map(|r| gw::GatewayListenersTlsCertificateRefs {
                    group: r.group.clone(),
                    kind: r.kind.clone(),
                    name: r.name.clone(),
                    namespace: r.namespace.clone(),
                })
                .collect()
        }),
        options: tls.options.clone(),
    }
}
