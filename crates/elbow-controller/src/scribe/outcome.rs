//! What a Gateway came to, in the form in which it is written.
//!
//! In: a report. Out: statuses as JSON, the TargetGroupBindings, which finalizers may go. Always holds:
//! it keeps nothing of the report's memory but what is written.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::crds::TargetGroupBinding;
use elbow_api::{GatewayController, NamespacedName, Object, ObjectRef};
use elbow_reconcile::{Report, RoundResult};
use elbow_translate::status::{GatewayDraft, Verdict};
use serde_json::Value;

use super::gateway_ref;

/// What a Gateway came to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// Statuses, by object: the Gateway's own, and those of its ListenerSets.
    pub(super) statuses: BTreeMap<ObjectRef, Value>,
    /// Entries of routes, by route.
    pub(super) routes: BTreeMap<ObjectRef, Vec<Value>>,
    /// The TargetGroupBindings, and their ARNs.
    pub(super) bindings: BTreeMap<ObjectRef, TargetGroupBinding>,
    /// Whether the bindings are all that is wanted, and what they replace is out of use.
    pub(super) is_complete: bool,
    /// Controllers whose finalizers may go.
    pub(super) released: BTreeSet<GatewayController>,
    /// Whether nothing can be said of it at present: its class or configuration is missing, or AWS could
    /// not be asked. What was said of its routes stays.
    pub(super) is_undecided: bool,
}

impl Outcome {
    pub(super) fn of(gateway: &NamespacedName, report: &Report) -> Self {
        let mut statuses = BTreeMap::new();
        if let Some(status) = report.gateway_status() {
            statuses.insert(gateway_ref(gateway), json(&status));
        }
        let sets = report.listener_set_statuses().into_iter();
        statuses.extend(sets.map(|(set, status)| (set, json(&status))));
        let mut routes: BTreeMap<ObjectRef, Vec<Value>> = BTreeMap::new();
        for (route, parents) in report.route_statuses() {
            let entries = routes.entry(route).or_default();
            entries.extend(parents.iter().map(json));
        }
        let translation = &report.translation;
        let is_blocked = |draft: &GatewayDraft| matches!(draft.verdict, Verdict::Blocked);
        let is_undecided = translation.stack.is_none()
            && !report.is_of_nothing()
            && !translation.gateway.as_ref().is_some_and(is_blocked);
        let bindings = report.bindings().into_iter().map(|binding| {
            let object = Object::from(binding.clone()).object_ref();
            (object, binding)
        });
        Self {
            statuses,
            routes,
            bindings: bindings.collect(),
            is_complete: matches!(report.result, Some(RoundResult::Converged { .. })),
            released: report.released(),
            is_undecided,
        }
    }

    /// The objects about which two outcomes differ. The Gateway and its bindings are looked at anyway.
    pub(super) fn differences(&self, before: &Self, into: &mut BTreeSet<ObjectRef>) {
        let mut compare = |a: &BTreeMap<ObjectRef, Value>, b: &BTreeMap<ObjectRef, Value>| {
            let differing = a.iter().filter(|(k, v)| b.get(*k) != Some(v));
            into.extend(differing.map(|(k, _)| k.clone()));
        };
        compare(&self.statuses, &before.statuses);
        compare(&before.statuses, &self.statuses);
        for (a, b) in [(self, before), (before, self)] {
            let routes = a.routes.iter().filter(|(k, v)| b.routes.get(*k) != Some(v));
            into.extend(routes.map(|(k, _)| k.clone()));
            let bindings = a.bindings.keys();
            into.extend(bindings.cloned());
        }
    }
}

fn json(value: &impl serde::Serialize) -> Value {
    // Statuses are plain data with string keys, which JSON takes.
    serde_json::to_value(value).unwrap_or_default()
}
