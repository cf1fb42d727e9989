//! Which routes attach to which listeners.
//!
//! In: a Gateway's listeners and the routes that name it. Out: for each route what became of each of
//! its parentRefs, for each listener how many attached, and for each port the routes it serves with
//! the hostnames they have in common with it.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{Diagnostic, Kind, NamespacedName, ObjectRef};

use super::context::Context;
use super::failures::RouteFailure;
use super::hostnames;
use super::listeners::{self, AllowedNamespaces, Listener};
use super::routes::{ParentRef, Route};
use crate::selector;

/// What became of the routes of a Gateway.
#[derive(Debug, Default)]
pub(crate) struct Attachments {
    /// For each route, by its place in the list: its parentRefs to this Gateway.
    pub(crate) parents: Vec<Vec<ParentOutcome>>,
    /// For each listener, by its place in the list: how many pairs of route and parentRef attached.
    pub(crate) attached: Vec<i32>,
    /// For each port: the routes that a valid listener of it took, by their place in the list.
    pub(crate) ports: BTreeMap<i32, BTreeMap<usize, PortHostnames>>,
}

/// What became of a parentRef.
#[derive(Debug, Clone)]
pub(crate) struct ParentOutcome {
    pub(crate) parent: ParentRef,
    /// Why no listener took the route; `None` when at least one did.
    pub(crate) failure: Option<RouteFailure>,
    /// Whether a valid listener of the Gateway, by whichever parentRef, took the route. Where only
    /// invalid ones did, nothing becomes of it, and like LBC its status says nothing about it.
    pub(crate) is_served: bool,
}

/// The hostnames that a route and the listeners of a port have in common. Empty when no listener of
/// the port that took the route has a hostname: then the route's own count.
pub(crate) type PortHostnames = BTreeSet<String>;

/// Attaches routes to listeners.
pub(crate) fn attach(
    ctx: &Context<'_>,
    gateway: &NamespacedName,
    listeners: &[Listener],
    routes: &[Route],
) -> Attachments {
    let mut found = Attachments {
        attached: vec![0; listeners.len()],
        ..Attachments::default()
    };
    let mut taken = Taken::default();
    for (index, route) in routes.iter().enumerate() {
        let parents = route
            .parents
            .iter()
            .filter(|parent| names(parent, route, gateway));
        let mut outcomes: Vec<_> = parents
            .map(|parent| ParentOutcome {
                parent: parent.clone(),
                failure: attach_parent(ctx, gateway, listeners, (index, route), parent, &mut taken),
                is_served: false,
            })
            .collect();
        let is_served = taken.by_valid.iter().any(|(_, route)| *route == index);
        for outcome in &mut outcomes {
            outcome.is_served = is_served;
        }
        found.parents.push(outcomes);
    }
    for listener in taken.listeners {
        found.attached[listener] += 1;
    }
    for ((port, route), hostnames) in taken.hostnames {
        if taken.by_valid.contains(&(port, route)) {
            let routes = found.ports.entry(port).or_default();
            routes.insert(route, hostnames);
        }
    }
    found
}

/// What listeners have taken so far.
#[derive(Default)]
struct Taken {
    /// The listener of each pair of route and parentRef, by its place.
    listeners: Vec<usize>,
    /// By port and route: the hostnames in common. As with LBC, those of listeners that are not valid
    /// count where another listener of the port is.
    hostnames: BTreeMap<(i32, usize), PortHostnames>,
    /// Ports and the routes that a valid listener of the port took.
    by_valid: BTreeSet<(i32, usize)>,
}

fn names(parent: &ParentRef, route: &Route, gateway: &NamespacedName) -> bool {
    let namespace = parent.namespace.as_ref().unwrap_or(&route.name.namespace);
    parent.kind == "Gateway" && parent.name == gateway.name && *namespace == gateway.namespace
}

/// Attaches a route to all listeners that one of its parentRefs means.
fn attach_parent(
    ctx: &Context<'_>,
    gateway: &NamespacedName,
    listeners: &[Listener],
    (route_index, route): (usize, &Route),
    parent: &ParentRef,
    taken: &mut Taken,
) -> Option<RouteFailure> {
    let mut failure = None;
    let mut is_attached = false;
    for (index, listener) in listeners.iter().enumerate() {
        let section = parent.section_name.as_ref();
        if section.is_some_and(|s| *s != listener.name)
            || parent.port.is_some_and(|p| p != listener.port)
        {
            continue;
        }
        match common_hostnames(ctx, gateway, listener, route) {
            Ok(hostnames) => {
                is_attached = true;
                taken.listeners.push(index);
                let place = (listener.port, route_index);
                taken.hostnames.entry(place).or_default().extend(hostnames);
                if listener.is_valid() {
                    taken.by_valid.insert(place);
                }
            }
            Err(why) => {
                failure.get_or_insert(why);
            }
        }
    }
    if is_attached {
        None
    } else {
        Some(failure.unwrap_or(RouteFailure::NoMatchingParent))
    }
}

/// Checks one route against one listener.
fn common_hostnames(
    ctx: &Context<'_>,
    gateway: &NamespacedName,
    listener: &Listener,
    route: &Route,
) -> Result<Vec<String>, RouteFailure> {
    if !namespace_is_allowed(ctx, gateway, listener, &route.name.namespace) {
        return Err(RouteFailure::NamespaceNotAllowed);
    }
    let kind = route.kind.as_str();
    let kind_is_allowed = if listener.kinds.is_empty() {
        listeners::kinds_of_protocol(&listener.protocol).contains(&kind)
    } else {
        listener.kinds.iter().any(|k| k == kind)
    };
    if !kind_is_allowed {
        return Err(RouteFailure::KindNotAllowed);
    }
    let Some(hostname) = listener
        .hostname
        .as_ref()
        .filter(|_| route.kind.has_hostnames())
    else {
        return Ok(Vec::new());
    };
    if !hostnames::is_valid(hostname) {
        // Difference (bad-hostname): LBC gives up the whole Gateway here.
        ctx.report(
            Diagnostic::error(
                "invalid-hostname",
                format!(
                    "listener `{}` has the hostname `{hostname}`, which no request can name",
                    listener.name
                ),
            )
            .on(ObjectRef::new(
                Kind::Gateway,
                gateway.namespace.clone(),
                gateway.name.clone(),
            ))
            .at("spec.listeners")
            .hint("use a DNS name, or leave the hostname out"),
        );
        return Err(RouteFailure::NoMatchingHostname);
    }
    if route.hostnames.is_empty() {
        return Ok(vec![hostname.clone()]);
    }
    let common: Vec<_> = route
        .hostnames
        .iter()
        .filter(|h| hostnames::is_valid(h))
        .filter_map(|h| hostnames::compatible(hostname, h).map(str::to_owned))
        .collect();
    if common.is_empty() {
        return Err(RouteFailure::NoMatchingHostname);
    }
    Ok(common)
}

fn namespace_is_allowed(
    ctx: &Context<'_>,
    gateway: &NamespacedName,
    listener: &Listener,
    namespace: &str,
) -> bool {
    match &listener.namespaces {
        AllowedNamespaces::All => true,
        AllowedNamespaces::None => false,
        AllowedNamespaces::Same => namespace == gateway.namespace,
        AllowedNamespaces::Selector(wanted) => {
            let object = ctx.reader.namespace(&NamespacedName::new("", namespace));
            object.is_some_and(|n| selector::namespace_matches(wanted, n.metadata.labels.as_ref()))
        }
    }
}
