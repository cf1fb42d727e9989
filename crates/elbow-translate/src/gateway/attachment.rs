//! Which routes attach to which listeners.
//!
//! In: the listeners of a Gateway and its ListenerSets, and the routes that name one of them. Out: for
//! each route what became of each of its parentRefs, for each listener how many attached, and for each
//! port the routes it serves with the hostnames they have in common with it.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{Diagnostic, Kind, NamespacedName, ObjectRef};

use super::context::Context;
use super::failures::RouteFailure;
use super::hostnames;
use super::listeners::{self, AllowedNamespaces, Listener};
use super::routes::{ParentRef, Route};
use crate::selector;
use crate::settings::ListenerIsolation;

/// What became of the routes of a Gateway.
#[derive(Debug, Default)]
pub(crate) struct Attachments {
    /// For each route, by its place in the list: its parentRefs to this Gateway and its ListenerSets.
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
    /// Whether a listener that is accepted, by whichever parentRef, took the route. Where only refused
    /// ones did, nothing becomes of it, and like LBC its status says nothing about it.
    ///
    /// Difference (status-beside-bad-certificate): LBC says nothing either where a listener is accepted
    /// and cannot be served; the Gateway API wants the route's own mistakes shown.
    pub(crate) is_served: bool,
}

/// The hostnames for which a port serves a route. One that is empty stands for any.
pub(crate) type PortHostnames = BTreeSet<String>;

/// Attaches routes to listeners. `owners` are the Gateway and all its ListenerSets, those that it does
/// not let in among them.
pub(crate) fn attach(
    ctx: &Context<'_>,
    owners: &BTreeSet<ObjectRef>,
    listeners: &[Listener],
    routes: &[Route],
) -> Attachments {
    let mut found = Attachments {
        attached: vec![0; listeners.len()],
        ..Attachments::default()
    };
    let mut taken = Taken::default();
    for (index, route) in routes.iter().enumerate() {
        let parents = route.parents.iter().filter_map(|parent| {
            let owner = named(parent, route)?;
            owners.contains(&owner).then_some((parent, owner))
        });
        let mut outcomes: Vec<_> = parents
            .map(|(parent, owner)| ParentOutcome {
                parent: parent.clone(),
                failure: attach_parent(ctx, &owner, listeners, (index, route), parent, &mut taken),
                is_served: false,
            })
            .collect();
        for outcome in &mut outcomes {
            outcome.is_served = taken.by_accepted.contains(&index);
        }
        found.parents.push(outcomes);
    }
    for listener in &taken.listeners {
        found.attached[listener.0] += 1;
    }
    for (port, index) in &taken.by_valid {
        let route = &routes[*index];
        let hostnames = match ctx.settings.listener_isolation {
            ListenerIsolation::None => shared(&taken, *port, *index, route),
            ListenerIsolation::ByRules => isolated(&taken, listeners, *port, *index, route),
        };
        let routes = found.ports.entry(*port).or_default();
        routes.insert(*index, hostnames);
    }
    found
}

/// What listeners have taken so far.
#[derive(Default)]
struct Taken {
    /// The listener and the route of each pair of route and parentRef, by their places.
    listeners: Vec<(usize, usize)>,
    /// By port and route: the hostnames in common. As with LBC, those of the Gateway's listeners that are
    /// not valid count where another listener of the port is.
    hostnames: BTreeMap<(i32, usize), PortHostnames>,
    /// Ports and the routes that a valid listener of the port took.
    by_valid: BTreeSet<(i32, usize)>,
    /// Routes that a listener took which is accepted.
    by_accepted: BTreeSet<usize>,
}

/// The hostnames that a route and the listeners of a port have in common, as LBC has them: a listener
/// without a hostname adds nothing to those of the others.
fn shared(taken: &Taken, port: i32, index: usize, route: &Route) -> PortHostnames {
    let common = taken.hostnames.get(&(port, index));
    match common {
        Some(common) if !common.is_empty() => common.clone(),
        _ => own_hostnames(route).collect(),
    }
}

/// The same where each listener answers for its own hostnames alone: a hostname is left out that a
/// narrower listener of the port answers for.
fn isolated(
    taken: &Taken,
    listeners: &[Listener],
    port: i32,
    index: usize,
    route: &Route,
) -> PortHostnames {
    let mut hostnames = PortHostnames::new();
    let of_route = taken.listeners.iter().filter(|(_, taken)| *taken == index);
    for (place, _) in of_route {
        let listener = &listeners[*place];
        if listener.port != port || !listener.is_valid() {
            continue;
        }
        let own = listener.hostname.as_deref().unwrap_or_default();
        let narrower: Vec<&str> = listeners
            .iter()
            .filter(|l| l.port == port && l.is_valid())
            .filter_map(|l| l.hostname.as_deref())
            .filter(|other| hostnames::is_within(other, own) && *other != own)
            .collect();
        let common = own_hostnames(route).filter_map(|hostname| match (own, hostname.as_str()) {
            ("", _) => Some(hostname),
            (own, "") => Some(own.to_owned()),
            (own, of_route) => hostnames::compatible(own, of_route).map(str::to_owned),
        });
        hostnames.extend(common.filter(|hostname| {
            !narrower
                .iter()
                .any(|other| hostnames::is_within(hostname, other))
        }));
    }
    hostnames
}

/// The hostnames that a route asks for, or any.
fn own_hostnames(route: &Route) -> impl Iterator<Item = String> + '_ {
    let any = route.hostnames.is_empty().then(String::new);
    route.hostnames.iter().cloned().chain(any)
}

/// The Gateway or ListenerSet that a parentRef names.
fn named(parent: &ParentRef, route: &Route) -> Option<ObjectRef> {
    let kind = match parent.kind.as_str() {
        "Gateway" => Kind::Gateway,
        "ListenerSet" => Kind::ListenerSet,
        _ => return None,
    };
    let namespace = parent.namespace.as_ref().unwrap_or(&route.name.namespace);
    Some(ObjectRef::new(kind, namespace.clone(), parent.name.clone()))
}

/// Attaches a route to all listeners that one of its parentRefs means.
fn attach_parent(
    ctx: &Context<'_>,
    owner: &ObjectRef,
    listeners: &[Listener],
    (route_index, route): (usize, &Route),
    parent: &ParentRef,
    taken: &mut Taken,
) -> Option<RouteFailure> {
    let mut failure = None;
    let mut is_attached = false;
    for (index, listener) in listeners.iter().enumerate() {
        let section = parent.section_name.as_ref();
        if listener.owner != *owner
            || section.is_some_and(|s| *s != listener.name)
            || parent.port.is_some_and(|p| p != listener.port)
        {
            continue;
        }
        match common_hostnames(ctx, listener, route) {
            Ok(hostnames) => {
                is_attached = true;
                taken.listeners.push((index, route_index));
                let place = (listener.port, route_index);
                // Difference (conflict-loses-hostname): with LBC those of a ListenerSet that lost a conflict
                // count too, so that a team could take over a hostname of the Gateway's owner.
                if listener.is_accepted() || listener.owner.kind == Kind::Gateway {
                    taken.hostnames.entry(place).or_default().extend(hostnames);
                }
                if listener.is_valid() {
                    taken.by_valid.insert(place);
                }
                if listener.is_accepted() {
                    taken.by_accepted.insert(route_index);
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
    listener: &Listener,
    route: &Route,
) -> Result<Vec<String>, RouteFailure> {
    if !namespace_is_allowed(ctx, listener, &route.name.namespace) {
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
    // As with LBC a route without hostnames takes that of the listener, whatever it is.
    if route.hostnames.is_empty() {
        return Ok(vec![hostname.clone()]);
    }
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
            .on(listener.owner.clone())
            .at(format!("{}.hostname", listener.field()))
            .hint("use a DNS name, or leave the hostname out"),
        );
        return Err(RouteFailure::NoMatchingHostname);
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

fn namespace_is_allowed(ctx: &Context<'_>, listener: &Listener, namespace: &str) -> bool {
    match &listener.namespaces {
        AllowedNamespaces::All => true,
        AllowedNamespaces::None => false,
        AllowedNamespaces::Same => namespace == listener.owner.namespace,
        AllowedNamespaces::Selector(wanted) => {
            let object = ctx.reader.namespace(&NamespacedName::new("", namespace));
            object.is_some_and(|n| selector::matches(wanted, n.metadata.labels.as_ref()))
        }
    }
}
