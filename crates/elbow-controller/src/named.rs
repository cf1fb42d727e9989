//! Which Secrets, ConfigMaps and Pods the watch looks at, and whether it has looked.
//!
//! In: the Snapshot, and what the watch has looked up. Out: the names that references give. What always
//! holds: what no Gateway or ListenerSet of ours refers to is not read; the rounds are not told that something
//! is missing before somebody has looked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use elbow_api::{
    GatewayController, Kind, NamespacedName, Object, ObjectRef, Read, Reader, Snapshot,
};
use serde_json::Value;
use tokio::time::Instant;

use crate::pods::Pods;

/// How long rounds wait for an object to be looked up. An API server that answers does so within
/// milliseconds.
const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(3);

/// Objects that others refer to.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Which pods are named.
    pods: Pods,
    /// By the object that refers to them.
    by_referrer: BTreeMap<ObjectRef, BTreeSet<ObjectRef>>,
    all: BTreeSet<ObjectRef>,
    /// Named, and not looked up yet.
    unknown: BTreeSet<ObjectRef>,
    unknown_since: Option<Instant>,
}

impl Named {
    /// Looks at the objects among the look-ups that changed. Answers with all names, if they did.
    pub(crate) fn follow(
        &mut self,
        snapshot: &Snapshot,
        reads: &BTreeSet<Read>,
    ) -> Option<BTreeSet<ObjectRef>> {
        let mut has_changed = false;
        for object in referrers(snapshot, reads) {
            let named = match snapshot.get(&object) {
                Some(current) if is_ours(snapshot, &current) => references(&current),
                _ => BTreeSet::new(),
            };
            has_changed |= self.note(&object, named);
        }
        for (slice, pods) in self.pods.follow(snapshot, reads) {
            has_changed |= self.note(&slice, pods);
        }
        if !has_changed {
            return None;
        }
        let named: BTreeSet<_> = self.by_referrer.values().flatten().cloned().collect();
        // What was named until just now may not have been dropped by the watch, which then says nothing.
        let new = named.difference(&self.all);
        let new = new.filter(|object| snapshot.get(object).is_none());
        self.unknown.extend(new.cloned());
        self.unknown.retain(|object| named.contains(object));
        // Pods come and go: the wait for the first is not made longer by those that follow.
        let since = self.unknown_since.unwrap_or_else(Instant::now);
        self.unknown_since = (!self.unknown.is_empty()).then_some(since);
        self.all = named;
        Some(self.all.clone())
    }

    /// Notes what an object refers to. Answers whether that is something else than before.
    fn note(&mut self, object: &ObjectRef, named: BTreeSet<ObjectRef>) -> bool {
        if self
            .by_referrer
            .get(object)
            .map_or(named.is_empty(), |before| *before == named)
        {
            return false;
        }
        if named.is_empty() {
            self.by_referrer.remove(object);
        } else {
            self.by_referrer.insert(object.clone(), named);
        }
        true
    }

    /// The watch has looked an object up.
    pub(crate) fn looked_up(&mut self, object: &ObjectRef) {
        self.unknown.remove(object);
        if self.unknown.is_empty() {
            self.unknown_since = None;
        }
    }

    /// Whether everything that is named was looked up.
    pub(crate) fn are_known(&self) -> bool {
        self.unknown.is_empty()
    }

    /// When the wait for look-ups ends.
    pub(crate) fn give_up_at(&self) -> Option<Instant> {
        self.unknown_since.map(|since| since + LOOK_UP_TIME_MAX)
    }

    /// Goes on without those that could not be looked up in time.
    pub(crate) fn give_up(&mut self, now: Instant) {
        if self.give_up_at().is_some_and(|at| at <= now) {
            self.unknown.clear();
            self.unknown_since = None;
        }
    }
}

/// The Gateways and ListenerSets whose references, or whose owner, may have changed.
fn referrers(snapshot: &Snapshot, reads: &BTreeSet<Read>) -> BTreeSet<ObjectRef> {
    let reader = Reader::new(snapshot);
    let name = |object: &Object| object.object_ref().namespaced_name();
    let mut changed = BTreeSet::new();
    let mut gateways = BTreeSet::new();
    for read in reads {
        let Read::Object(object) = read else { continue };
        match object.kind {
            Kind::ListenerSet => {
                changed.insert(object.clone());
            }
            Kind::Gateway => {
                gateways.insert(object.namespaced_name());
            }
            Kind::GatewayClass => {
                let of_class = reader.gateways_of(&object.name).into_iter();
                gateways.extend(of_class.map(|g| name(&Object::Gateway(Arc::clone(g)))));
            }
            _ => {}
        }
    }
    for gateway in gateways {
        let sets = reader.listener_sets_of(&gateway).into_iter();
        changed.extend(sets.map(|set| Object::ListenerSet(Arc::clone(set)).object_ref()));
        changed.insert(ObjectRef::new(
            Kind::Gateway,
            gateway.namespace,
            gateway.name,
        ));
    }
    changed
}

/// Whether an object is a Gateway of our controllers, or a ListenerSet of one. Those of others are nobody's
/// business here, their keys least of all.
fn is_ours(snapshot: &Snapshot, object: &Object) -> bool {
    match object {
        Object::Gateway(gateway) => {
            let class = NamespacedName::new("", gateway.spec.gateway_class_name.clone());
            let class = Reader::new(snapshot).gateway_class(&class);
            class.is_some_and(|class| {
                GatewayController::from_controller_name(&class.spec.controller_name).is_some()
            })
        }
        Object::ListenerSet(set) => {
            let parent = &set.spec.parent_ref;
            let own = || object.object_ref().namespace;
            let namespace = parent.namespace.clone().unwrap_or_else(own);
            let parent = ObjectRef::new(Kind::Gateway, namespace, parent.name.clone());
            let parent = snapshot.get(&parent);
            parent.is_some_and(|parent| is_ours(snapshot, &parent))
        }
        _ => false,
    }
}

/// The Secrets that the listeners of an object refer to as their certificates, and the ConfigMaps that it
/// refers to for the authorities of its clients.
fn references(object: &Object) -> BTreeSet<ObjectRef> {
    let spec = match object {
        Object::Gateway(gateway) => serde_json::to_value(&gateway.spec),
        Object::ListenerSet(set) => serde_json::to_value(&set.spec),
        _ => return BTreeSet::new(),
    };
    let spec = spec.unwrap_or_default();
    let own = object.object_ref().namespace;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut named = BTreeSet::new();
    let mut name = |kind: Kind, reference: &Value, kind_if_absent: &str| {
        let is_of_kind = reference["kind"].as_str().unwrap_or(kind_if_absent) == kind.as_str()
            && reference["group"].as_str().unwrap_or_default().is_empty();
        if let (true, Some(name)) = (is_of_kind, reference["name"].as_str()) {
            let namespace = reference["namespace"].as_str().unwrap_or(&own);
            named.insert(ObjectRef::new(kind, namespace, name));
        }
    };
    for listener in list(&spec["listeners"]) {
        for reference in list(&listener["tls"]["certificateRefs"]) {
            name(Kind::Secret, &reference, "Secret");
        }
    }
    let frontend = &spec["tls"]["frontend"];
    let per_port = list(&frontend["perPort"]);
    let configurations = per_port.iter().map(|port| &port["tls"]);
    for configuration in configurations.chain([&frontend["default"]]) {
        for reference in list(&configuration["validation"]["caCertificateRefs"]) {
            name(Kind::ConfigMap, &reference, "");
        }
    }
    named
}
