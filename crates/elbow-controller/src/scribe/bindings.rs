//! TargetGroupBindings of our target groups.
//!
//! In: the bindings that the Gateways ask for, and those that there are. Out: the next write to one. Those
//! that users write are in [`super::user_bindings`].
//! Always holds: a binding is ours by both of its labels, as LBC knows its own; one that names the same
//! target group keeps its name, since readiness gates of running pods contain it; one goes only after
//! its target group is out of use.

use std::sync::Arc;

use elbow_api::crds::TargetGroupBinding;
use elbow_api::names::TARGET_GROUP_BINDING_FINALIZER;
use elbow_api::{GatewayController, NamespacedName, Object, ObjectRef, Snapshot};
use elbow_cluster::live::merge_status;
use serde_json::json;

use super::{Scribe, gateway_ref, has_finalizer, is_deleted, status_write};
use crate::ports::Write;

impl Scribe {
    /// Keeps the index of bindings by their Gateway.
    pub(super) fn note_binding(&mut self, object: &ObjectRef, current: Option<&Object>) {
        let owner = current.and_then(owner);
        let before = self.owner_of_binding.remove(object);
        if let Some(before) = &before {
            // It may have been what a finalizer waited for.
            self.dirty.insert(gateway_ref(&before.1));
            if let Some(bindings) = self.bindings_of.get_mut(before) {
                bindings.remove(object);
                if bindings.is_empty() {
                    self.bindings_of.remove(before);
                }
            }
        }
        if let Some(owner) = owner {
            let bindings = self.bindings_of.entry(owner.clone()).or_default();
            bindings.insert(object.clone());
            self.owner_of_binding.insert(object.clone(), owner);
        }
    }

    pub(super) fn for_binding(
        &mut self,
        object: &ObjectRef,
        current: Option<&Object>,
        snapshot: &Snapshot,
        wall: jiff::Timestamp,
    ) -> Option<Write> {
        let Some(Object::TargetGroupBinding(binding)) = current else {
            return self.missing_binding(object, snapshot);
        };
        let current = current?;
        let Some(key) = owner(current) else {
            return self.for_user_binding(binding, current, wall);
        };
        let wanted = self.wanted_binding(&key, binding);
        if is_deleted(current) {
            // LBC puts its finalizer on every binding, to clean up when one goes. Here that is the matter of
            // the Gateway's rounds; one that is still wanted is made again, and what is kept of it stays.
            let finalizer = TARGET_GROUP_BINDING_FINALIZER;
            return has_finalizer(current, finalizer).then(|| {
                let object = current.clone();
                if wanted.is_none() && binding.spec.is_multi_cluster() {
                    Write::Unbind { object }
                } else {
                    Write::RemoveFinalizer { object, finalizer }
                }
            });
        }
        if let Some(wanted) = wanted {
            if is_as_wanted(binding, &wanted) {
                return self.observed_generation(&key, current, wall);
            }
            return Some(Write::Binding {
                wanted: Box::new(wanted),
                current: Some(Arc::clone(binding)),
            });
        }
        let is_out_of_use = match self.outcomes.get(&key.1) {
            Some(outcome) => outcome.is_complete || outcome.released.contains(&key.0),
            None => snapshot.get(&gateway_ref(&key.1)).is_none(),
        };
        is_out_of_use.then(|| {
            let object = current.clone();
            if binding.spec.is_multi_cluster() {
                Write::Unbind { object }
            } else {
                Write::Delete { object }
            }
        })
    }

    /// Says that the targets of the binding are registered, once the round of its Gateway is done: people
    /// and LBC wait for it.
    fn observed_generation(
        &self,
        (_, gateway): &(GatewayController, NamespacedName),
        current: &Object,
        wall: jiff::Timestamp,
    ) -> Option<Write> {
        let is_complete = self.outcomes.get(gateway)?.is_complete;
        let generation = current.metadata().generation.filter(|_| is_complete)?;
        let wanted = json!({ "observedGeneration": generation });
        status_write(current, merge_status(current, &wanted, wall))
    }

    /// The binding that is wanted in the place of one that there is, under its name.
    fn wanted_binding(
        &self,
        (_, gateway): &(GatewayController, NamespacedName),
        current: &TargetGroupBinding,
    ) -> Option<TargetGroupBinding> {
        let outcome = self.outcomes.get(gateway)?;
        let mut of_group = outcome.bindings.values().filter(|wanted| {
            wanted.spec.target_group_arn == current.spec.target_group_arn
                && wanted.metadata.namespace == current.metadata.namespace
        });
        let mut wanted = of_group.next()?.clone();
        wanted.metadata.name.clone_from(&current.metadata.name);
        Some(wanted)
    }

    /// A binding that is not there: it is made, unless another one is for the same target group.
    fn missing_binding(&self, object: &ObjectRef, snapshot: &Snapshot) -> Option<Write> {
        let mut outcomes = self.outcomes.values();
        let wanted = outcomes.find_map(|outcome| outcome.bindings.get(object))?;
        let key = owner(&Object::from(wanted.clone()))?;
        let others = self.bindings_of.get(&key).into_iter().flatten();
        let is_there = others.filter_map(|other| snapshot.get(other)).any(|other| {
            let Object::TargetGroupBinding(other) = other else {
                return false;
            };
            other.spec.target_group_arn == wanted.spec.target_group_arn
        });
        (!is_there).then(|| Write::Binding {
            wanted: Box::new(wanted.clone()),
            current: None,
        })
    }
}

/// Whether a binding has what is wanted; what others added to its metadata is theirs.
fn is_as_wanted(current: &TargetGroupBinding, wanted: &TargetGroupBinding) -> bool {
    let has = |current: &Option<std::collections::BTreeMap<String, String>>,
               wanted: &Option<std::collections::BTreeMap<String, String>>| {
        let mut wanted = wanted.iter().flatten();
        wanted.all(|(k, v)| current.as_ref().and_then(|c| c.get(k)) == Some(v))
    };
    current.spec == wanted.spec
        && has(&current.metadata.labels, &wanted.metadata.labels)
        && has(&current.metadata.annotations, &wanted.metadata.annotations)
}

/// The Gateway and the controller that a binding's labels name.
fn owner(binding: &Object) -> Option<(GatewayController, NamespacedName)> {
    match binding {
        Object::TargetGroupBinding(binding) => binding.gateway(),
        _ => None,
    }
}
