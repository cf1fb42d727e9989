//! Routes: one entry for each parent that is ours.
//!
//! In: a route, and what all Gateways came to. Out: the next write to its status. Always holds: entries
//! of other controllers stay; an entry for a Gateway that was not looked at yet since the start stays as
//! the last leader left it, and one for a Gateway of which nothing can be said at present as it is.

use elbow_api::{GatewayController, Kind, NamespacedName, Object, ObjectRef, Snapshot};
use elbow_cluster::live::merge_parents;
use serde_json::Value;

use super::{Scribe, classes, gateway_ref, status_write};
use crate::ports::Write;

impl Scribe {
    pub(super) fn for_route(
        &mut self,
        current: &Object,
        snapshot: &Snapshot,
        wall: jiff::Timestamp,
    ) -> Option<Write> {
        let route = current.object_ref();
        let of_gateways = self.outcomes.values();
        let mut wanted: Vec<Value> = of_gateways
            .filter_map(|outcome| outcome.routes.get(&route))
            .flatten()
            .cloned()
            .collect();
        let entries = parents(current);
        let is_unseen =
            |entry: &&Value| self.is_unseen(&entry["parentRef"], &route.namespace, snapshot);
        wanted.extend(entries.iter().filter(is_unseen).cloned());
        // One after the other: each entry is in the name of one of the two.
        let status = [GatewayController::Alb, GatewayController::Nlb]
            .into_iter()
            .find_map(|controller| {
                let name = controller.controller_name();
                let of_controller = wanted.iter().filter(|e| e["controllerName"] == name);
                let of_controller: Vec<Value> = of_controller.cloned().collect();
                merge_parents(current, name, &of_controller, wall)
            });
        status_write(current, status)
    }

    /// Whether a parent is a Gateway of ours, for all that is known, of which nothing can be said yet.
    fn is_unseen(&self, parent: &Value, namespace: &str, snapshot: &Snapshot) -> bool {
        let Some(gateway) = gateway_of(parent, namespace, snapshot) else {
            return false;
        };
        match self.outcomes.get(&gateway) {
            Some(outcome) => outcome.is_undecided,
            None => classes::may_be_ours(snapshot, &gateway_ref(&gateway)),
        }
    }

    fn is_gateway_unseen(&self, gateway: &NamespacedName, snapshot: &Snapshot) -> bool {
        !self.outcomes.contains_key(gateway)
            && Self::controller(snapshot, &gateway_ref(gateway)).is_some()
    }

    /// Whether there is a Gateway of ours that was not reported on yet.
    pub(super) fn has_unseen_gateway(&self, snapshot: &Snapshot) -> bool {
        let mut gateways = snapshot.gateway_names();
        gateways.any(|gateway| self.is_gateway_unseen(gateway, snapshot))
    }

    /// Whether a route is one of a Gateway of ours.
    pub(super) fn serves(&self, route: &ObjectRef) -> bool {
        let mut outcomes = self.outcomes.values();
        outcomes.any(|outcome| outcome.routes.contains_key(route))
    }
}

/// The Gateway that a parentRef leads to, by way of a ListenerSet perhaps.
fn gateway_of(parent: &Value, namespace: &str, snapshot: &Snapshot) -> Option<NamespacedName> {
    let text = |field: &str| parent[field].as_str();
    let named = NamespacedName::new(
        text("namespace").unwrap_or(namespace),
        text("name").unwrap_or_default(),
    );
    if text("kind").unwrap_or("Gateway") != "ListenerSet" {
        return Some(named);
    }
    let set = ObjectRef::new(Kind::ListenerSet, named.namespace.clone(), named.name);
    let Object::ListenerSet(set) = snapshot.get(&set)? else {
        return None;
    };
    let reference = &set.spec.parent_ref;
    Some(NamespacedName::new(
        reference.namespace.clone().unwrap_or(named.namespace),
        reference.name.clone(),
    ))
}

/// The entries that a route has.
fn parents(route: &Object) -> Vec<Value> {
    macro_rules! parents {
        ($route:expr) => {
            $route
                .status
                .as_ref()
                .map(|status| serde_json::to_value(&status.parents))
        };
    }
    let parents = match route {
        Object::HttpRoute(route) => parents!(route),
        Object::GrpcRoute(route) => parents!(route),
        Object::TlsRoute(route) => parents!(route),
        Object::TcpRoute(route) => parents!(route),
        Object::UdpRoute(route) => parents!(route),
        _ => None,
    };
    match parents {
        Some(Ok(Value::Array(entries))) => entries,
        _ => Vec::new(),
    }
}
