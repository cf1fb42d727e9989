//! Gateways and ListenerSets: statuses and finalizers.
//!
//! In: an object, and what its Gateway came to. Out: the next write to it. Always holds: the finalizer
//! stands before anything is made in AWS and goes after all of it, and its TargetGroupBindings, are
//! gone; a status is written only while the Gateway's class is of our controllers.

use elbow_api::{GatewayController, Object, Snapshot};
use elbow_cluster::live::merge_status;

use super::classes::controller;
use super::{Scribe, has_finalizer, is_deleted, status_write};
use crate::ports::Write;

impl Scribe {
    pub(super) fn for_gateway(
        &mut self,
        current: &Object,
        snapshot: &Snapshot,
        wall: jiff::Timestamp,
    ) -> Option<Write> {
        let name = current.object_ref().namespaced_name();
        let owner = controller(snapshot, current);
        for controller in [GatewayController::Alb, GatewayController::Nlb] {
            let finalizer = controller.gateway_finalizer();
            let key = (name.clone(), controller);
            let is_released = self
                .outcomes
                .get(&name)
                .is_some_and(|outcome| outcome.released.contains(&controller));
            // A Gateway that is wanted again has not been reported as such yet.
            let is_wanted = owner == Some(controller) && !is_deleted(current);
            if has_finalizer(current, finalizer) {
                let has_bindings = self
                    .bindings_of
                    .get(&(controller, name.clone()))
                    .is_some_and(|bindings| !bindings.is_empty());
                if is_released && !is_wanted && !has_bindings {
                    self.protected.remove(&key);
                    return Some(Write::RemoveFinalizer {
                        object: current.clone(),
                        finalizer,
                    });
                }
            } else if is_wanted && self.protected.contains(&key) {
                return Some(Write::AddFinalizer {
                    object: current.clone(),
                    finalizer,
                });
            }
        }
        owner?;
        self.status_of(current, wall)
    }

    pub(super) fn for_listener_set(
        &mut self,
        current: &Object,
        wall: jiff::Timestamp,
    ) -> Option<Write> {
        self.status_of(current, wall)
    }

    fn status_of(&self, current: &Object, wall: jiff::Timestamp) -> Option<Write> {
        let object = current.object_ref();
        let mut outcomes = self.outcomes.values();
        let wanted = outcomes.find_map(|outcome| outcome.statuses.get(&object))?;
        status_write(current, merge_status(current, wanted, wall))
    }
}
