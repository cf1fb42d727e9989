//! The status of each object, as the controller would write it.
//!
//! In: a Snapshot and what each Gateway came to. Out: one [`ObjectStatus`] for each GatewayClass,
//! Gateway, ListenerSet and route that is ours, in the order of kind, namespace and name. Times of transition are
//! left out: nothing here reads a clock.

use std::collections::BTreeMap;

use elbow_api::{Kind, NamespacedName, ObjectRef, Snapshot};
use elbow_reconcile::Report;
use elbow_translate::status::{self, RouteParentStatus};
use serde::Serialize;

/// The status of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectStatus {
    /// The object.
    #[serde(flatten)]
    pub object: ObjectRef,
    /// Its status.
    pub status: Status,
}

/// A status, by kind of object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Status {
    /// Of a GatewayClass.
    Class(status::ClassStatus),
    /// Of a Gateway.
    Gateway(status::GatewayStatus),
    /// Of a ListenerSet.
    ListenerSet(status::ListenerSetStatus),
    /// Of a route.
    Route {
        /// By parentRef.
        parents: Vec<RouteParentStatus>,
    },
}

/// The status of each object of ours.
pub fn statuses(
    snapshot: &Snapshot,
    reports: &BTreeMap<NamespacedName, Report>,
) -> Vec<ObjectStatus> {
    let mut all = BTreeMap::new();
    for class in snapshot.gateway_class_names() {
        if let (Some(draft), _) = elbow_translate::translate_class(snapshot, class) {
            let object = ObjectRef::new(Kind::GatewayClass, "", class);
            all.insert(object, Status::Class(status::class(&draft)));
        }
    }
    for (name, report) in reports {
        if let Some(status) = report.gateway_status() {
            let object = ObjectRef::new(Kind::Gateway, name.namespace.clone(), name.name.clone());
            all.insert(object, Status::Gateway(status));
        }
        for (set, status) in report.listener_set_statuses() {
            all.insert(set, Status::ListenerSet(status));
        }
        for (route, of_gateway) in report.route_statuses() {
            let entry = all.entry(route).or_insert_with(|| Status::Route {
                parents: Vec::new(),
            });
            if let Status::Route { parents } = entry {
                parents.extend(of_gateway);
            }
        }
    }
    all.into_iter()
        .map(|(object, status)| ObjectStatus { object, status })
        .collect()
}
