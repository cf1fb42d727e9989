//! What is to be written to the cluster: from what the rounds came to, one write at a time.
//!
//! In: reports of rounds, changes of objects, answers to writes, the time. Out: [`Write`]s. It is a
//! state machine like the rounds are; the driver carries its writes out. What always holds:
//!
//! - What is to be written to an object is worked out from its state in the Snapshot and the last
//!   report, when the write goes out: the latest wins, and an object that is as wanted gets no write.
//! - One write to an object at a time; after one, the next is worked out only from a state that
//!   contains it.
//! - A write that failed is worked out anew after a while, longer each time. So is one that succeeded
//!   and changed nothing of what is wanted.
//! - Nothing is written to objects that are not of our controllers.
//!
//! Start at [`Scribe::pump`]; what is to be written to an object of each kind is in its module.

mod bindings;
mod classes;
mod configurations;
mod gateways;
mod outcome;
mod pods;
mod routes;
mod slots;
mod user_bindings;

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{GatewayController, Kind, NamespacedName, Object, ObjectRef, Read, Snapshot};
use elbow_cluster::live::{WriteError, is_written};
use elbow_reconcile::{BindingReport, GateVerdict, Report, Timestamp};
use serde_json::Value;

use crate::ports::Write;
use outcome::Outcome;
use slots::Slot;
pub(crate) use slots::version;
use user_bindings::BindingOutcome;

/// Writes that may be out at once. The API server has its own fairness; this bounds what a start with
/// many objects costs it.
const WRITES_MAX: usize = 16;

/// The writer's state.
#[derive(Debug, Default)]
pub(crate) struct Scribe {
    /// What each Gateway came to.
    outcomes: BTreeMap<NamespacedName, Outcome>,
    /// What each TargetGroupBinding came to that a user wrote.
    binding_outcomes: BTreeMap<NamespacedName, BindingOutcome>,
    /// TargetGroupBindings that are to have the finalizer.
    protected_bindings: BTreeSet<NamespacedName>,
    /// TargetGroupBindings without a backend whose pods were told not to wait.
    opened_bindings: BTreeSet<NamespacedName>,
    /// Gateways that are to have a controller's finalizer.
    protected: BTreeSet<(NamespacedName, GatewayController)>,
    /// TargetGroupBindings by the Gateway that their labels name.
    bindings_of: BTreeMap<(GatewayController, NamespacedName), BTreeSet<ObjectRef>>,
    /// The reverse of it.
    owner_of_binding: BTreeMap<ObjectRef, (GatewayController, NamespacedName)>,
    /// Classes and configurations that are being deleted: what others do decides when they may go.
    going: BTreeSet<ObjectRef>,
    /// What pods are to be told about their gates, by the binding's name.
    verdicts: BTreeMap<ObjectRef, BTreeMap<String, GateVerdict>>,
    /// What the judgement of a class read.
    class_reads: BTreeMap<String, BTreeSet<Read>>,
    /// Objects that have to be looked at.
    dirty: BTreeSet<ObjectRef>,
    slots: BTreeMap<ObjectRef, Slot>,
    n_out: usize,
}

/// A write that failed, for who tells about it.
#[derive(Debug)]
pub(crate) struct FailedWrite {
    pub(crate) object: ObjectRef,
    pub(crate) message: String,
}

impl Scribe {
    // --- what happened ---

    /// Takes in that an object changed or went, and which look-ups that may have altered.
    pub(crate) fn changed(
        &mut self,
        object: &ObjectRef,
        reads: &BTreeSet<Read>,
        snapshot: &Snapshot,
    ) {
        let current = snapshot.get(object);
        match object.kind {
            Kind::TargetGroupBinding => self.note_binding(object, current.as_ref()),
            Kind::Pod if current.is_none() => self.forget_pod(object),
            Kind::Gateway if current.is_none() => self.forget_gateway(&object.namespaced_name()),
            _ => {}
        }
        if is_written(object.kind) {
            self.dirty.insert(object.clone());
        }
        let is_going = current
            .as_ref()
            .is_some_and(|o| o.metadata().deletion_timestamp.is_some());
        let waits = matches!(
            object.kind,
            Kind::GatewayClass
                | Kind::LoadBalancerConfiguration
                | Kind::TargetGroupConfiguration
                | Kind::ListenerRuleConfiguration
        );
        if waits && is_going {
            self.going.insert(object.clone());
        } else {
            self.going.remove(object);
        }
        if current.is_none() && self.slots.get(object).is_some_and(|slot| !slot.is_out) {
            self.slots.remove(object);
        }
        // What is being deleted may be free to go now. There is rarely any.
        self.dirty.extend(self.going.iter().cloned());
        for (class, of_class) in &self.class_reads {
            if !of_class.is_disjoint(reads) {
                self.dirty
                    .insert(ObjectRef::new(Kind::GatewayClass, "", class.clone()));
            }
        }
    }

    /// Looks at every object once: there may be writes left from a controller that came before.
    pub(crate) fn start(&mut self, snapshot: &Snapshot) {
        let all = snapshot.objects();
        let written = all.iter().filter(|object| is_written(object.kind()));
        self.dirty.extend(written.map(Object::object_ref));
    }

    /// Takes in what a Gateway came to.
    pub(crate) fn reported(&mut self, gateway: &NamespacedName, report: &Report) {
        let outcome = Outcome::of(gateway, report);
        let before = self.outcomes.insert(gateway.clone(), outcome);
        let Some(outcome) = self.outcomes.get(gateway) else {
            return;
        };
        let empty = Outcome::default();
        outcome.differences(before.as_ref().unwrap_or(&empty), &mut self.dirty);
        self.dirty.insert(gateway_ref(gateway));
        self.dirty.extend(self.going.iter().cloned());
        for controller in [GatewayController::Alb, GatewayController::Nlb] {
            let bindings = self.bindings_of.get(&(controller, gateway.clone()));
            self.dirty.extend(bindings.into_iter().flatten().cloned());
        }
    }

    /// A Gateway is to have a controller's finalizer.
    pub(crate) fn protect(&mut self, gateway: &NamespacedName, controller: GatewayController) {
        self.protected.insert((gateway.clone(), controller));
        self.dirty.insert(gateway_ref(gateway));
    }

    /// Takes in what a TargetGroupBinding came to that a user wrote.
    pub(crate) fn binding_reported(&mut self, binding: &NamespacedName, report: &BindingReport) {
        if report.is_of_nothing() {
            self.binding_outcomes.remove(binding);
            self.protected_bindings.remove(binding);
            self.opened_bindings.remove(binding);
        } else {
            let outcome = BindingOutcome::of(report);
            if !outcome.lacks_backend {
                self.opened_bindings.remove(binding);
            }
            self.binding_outcomes.insert(binding.clone(), outcome);
        }
        self.dirty.insert(binding_ref(binding));
    }

    /// A TargetGroupBinding is to have the finalizer.
    pub(crate) fn protect_binding(&mut self, binding: &NamespacedName) {
        self.protected_bindings.insert(binding.clone());
        self.dirty.insert(binding_ref(binding));
    }

    /// Takes in the answer to a write. Answers with what somebody has to be told.
    pub(crate) fn written(
        &mut self,
        object: &ObjectRef,
        result: &Result<Option<Object>, WriteError>,
        now: Timestamp,
    ) -> Option<FailedWrite> {
        self.n_out = self.n_out.saturating_sub(1);
        let slot = self.slots.get_mut(object)?;
        let failed = slot.answered(object, result, now);
        if result.is_err() {
            // Whatever it was that failed: pods may be told twice, but not never.
            self.opened_bindings.remove(&object.namespaced_name());
        }
        self.dirty.insert(object.clone());
        failed
    }

    // --- what is to be done ---

    /// The writes that go out now.
    pub(crate) fn pump(
        &mut self,
        snapshot: &Snapshot,
        now: Timestamp,
        wall: jiff::Timestamp,
    ) -> Vec<(ObjectRef, Write)> {
        let mut writes = Vec::new();
        let dirty: Vec<ObjectRef> = self.dirty.iter().cloned().collect();
        for object in dirty {
            if self.n_out >= WRITES_MAX {
                break;
            }
            let slot = self.slots.get(&object);
            if slot.is_some_and(|slot| slot.is_out || slot.waits(now)) {
                continue;
            }
            self.dirty.remove(&object);
            let current = snapshot.get(&object);
            if let (Some(slot), Some(current)) = (slot, &current)
                && slot.version > version(current)
            {
                // The watch is behind the last write; it will bring the object again.
                continue;
            }
            let Some(write) = self.next_write(&object, current.as_ref(), snapshot, wall) else {
                if current.is_none() {
                    self.slots.remove(&object);
                } else if let Some(slot) = self.slots.get_mut(&object) {
                    slot.settle();
                }
                continue;
            };
            let slot = self.slots.entry(object.clone()).or_default();
            if slot.is_repeated(&write, now) {
                self.dirty.insert(object);
                continue;
            }
            slot.is_out = true;
            self.n_out += 1;
            writes.push((object, write));
        }
        writes
    }

    /// When the next write that waits may go out.
    pub(crate) fn wake_at(&self, now: Timestamp) -> Option<Timestamp> {
        let waiting = self
            .dirty
            .iter()
            .filter_map(|object| self.slots.get(object));
        waiting
            .filter(|slot| !slot.is_out)
            .filter_map(|slot| slot.not_before)
            .filter(|at| *at > now)
            .min()
    }

    /// Whether nothing is out and nothing could go out now.
    pub(crate) fn is_idle(&self, now: Timestamp) -> bool {
        let waits = |object| self.slots.get(object).is_some_and(|slot| slot.waits(now));
        self.n_out == 0 && self.dirty.iter().all(waits)
    }

    /// Whose controller's a Gateway is; `None` for somebody else's.
    pub(crate) fn controller(
        snapshot: &Snapshot,
        gateway: &ObjectRef,
    ) -> Option<GatewayController> {
        classes::controller(snapshot, &snapshot.get(gateway)?)
    }

    /// Objects that have to be looked at, and writes that are out.
    pub(crate) fn depth(&self) -> usize {
        self.dirty.len() + self.n_out
    }

    fn next_write(
        &mut self,
        object: &ObjectRef,
        current: Option<&Object>,
        snapshot: &Snapshot,
        wall: jiff::Timestamp,
    ) -> Option<Write> {
        match object.kind {
            Kind::GatewayClass => self.for_class(current?, snapshot, wall),
            Kind::Gateway => self.for_gateway(current?, snapshot, wall),
            Kind::ListenerSet => self.for_listener_set(current?, wall),
            Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute
            | Kind::UdpRoute => self.for_route(current?, snapshot, wall),
            Kind::LoadBalancerConfiguration
            | Kind::TargetGroupConfiguration
            | Kind::ListenerRuleConfiguration => {
                configurations::next_write(self, current?, snapshot, wall)
            }
            Kind::TargetGroupBinding => self.for_binding(object, current, snapshot, wall),
            Kind::Pod => self.for_pod(object, current?, wall),
            _ => None,
        }
    }

    /// Forgets a Gateway that is gone.
    pub(crate) fn forget_gateway(&mut self, gateway: &NamespacedName) {
        self.protected.retain(|(other, _)| other != gateway);
        if let Some(outcome) = self.outcomes.remove(gateway) {
            Outcome::default().differences(&outcome, &mut self.dirty);
        }
        for controller in [GatewayController::Alb, GatewayController::Nlb] {
            let bindings = self.bindings_of.get(&(controller, gateway.clone()));
            self.dirty.extend(bindings.into_iter().flatten().cloned());
        }
    }
}

/// A status to write, if the object has not got it.
fn status_write(current: &Object, status: Option<Value>) -> Option<Write> {
    Some(Write::Status {
        object: current.clone(),
        status: status?,
    })
}

fn has_finalizer(object: &Object, finalizer: &str) -> bool {
    let mut finalizers = object.metadata().finalizers.iter().flatten();
    finalizers.any(|f| f == finalizer)
}

fn is_deleted(object: &Object) -> bool {
    object.metadata().deletion_timestamp.is_some()
}

fn gateway_ref(gateway: &NamespacedName) -> ObjectRef {
    let NamespacedName { namespace, name } = gateway;
    ObjectRef::new(Kind::Gateway, namespace.clone(), name.clone())
}

fn binding_ref(binding: &NamespacedName) -> ObjectRef {
    let NamespacedName { namespace, name } = binding;
    ObjectRef::new(Kind::TargetGroupBinding, namespace.clone(), name.clone())
}
