//! What the rounds ask for, carried out: calls, writes, events, metrics.
//!
//! In: effects. Out: tasks whose answers the loop waits for. What always holds: a call has a task, and so an
//! answer, from the moment that it is asked for, or is held until a record is dropped.

use std::sync::Arc;

use elbow_api::{Kind, NamespacedName, ObjectRef};
use elbow_cluster::live::EventType;
use elbow_model::{AwsCall, AwsError, ErrorClass};
use elbow_reconcile::{CallId, Effect, RoundResult, StepState, Timestamp, Unit};

use super::{CALL_TIME_MAX, Called, Driver, EVENTS_MAX, EVENTS_WAITING_MAX, WriteDone};
use crate::ports::{AwsCaller, ClusterWriter, Write};
use crate::scribe::Scribe;

impl<A: AwsCaller, C: ClusterWriter> Driver<A, C> {
    pub(super) fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Aws { id, call } if waits_for_records(&call) && self.records.holds_calls() => {
                self.held_calls.push((id, call));
            }
            Effect::Aws { id, call } => self.call(id, call),
            Effect::Report { gateway, report } => {
                let object = ObjectRef::new(
                    Kind::Gateway,
                    gateway.namespace.clone(),
                    gateway.name.clone(),
                );
                self.metrics.reported(&gateway, &report);
                if self.snapshot.get(&object).is_none() {
                    // Who is gone is not written to, nor kept in mind.
                    self.notes.forget(&gateway);
                    self.scribe.forget_gateway(&gateway);
                    return;
                }
                let controller = Scribe::controller(&self.snapshot, &object);
                let notes = self.notes.reported(&object, controller, &report);
                self.events_waiting.extend(notes);
                self.scribe.reported(&gateway, &report);
            }
            Effect::Protect {
                gateway,
                controller,
            } => self.scribe.protect(&gateway, controller),
            Effect::Gates { binding, verdicts } => self.scribe.gates(&binding, verdicts),
            Effect::BindingReport { binding, report } => {
                let object = binding_ref(&binding);
                let note = self.notes.binding_reported(&object, &report);
                self.events_waiting.extend(note);
                self.scribe.binding_reported(&binding, &report);
                self.bindings_well.remove(&binding);
                if report.problem().is_none() && !report.is_of_nothing() {
                    self.bindings_well.insert(binding);
                }
            }
            Effect::ProtectBinding { binding } => self.scribe.protect_binding(&binding),
            Effect::ReadOwnTargets { binding } => self.own_targets.read(&self.cluster, binding),
            Effect::KeepOwnTargets { binding, targets } => {
                self.own_targets.keep(&self.cluster, binding, targets);
            }
            Effect::PlanReady { unit, plan } => {
                tracing::info!(unit = %unit, steps = plan.steps.len(), "Carrying out a plan");
                self.deploying.insert(unit, self.clock.now());
            }
            Effect::Progress { unit, step, state } => match state {
                StepState::Failed { error } => tracing::warn!(
                    unit = %unit,
                    action = step.action.as_str(),
                    resource = %step.resource.kind,
                    name = step.name,
                    %error,
                    "A step failed"
                ),
                StepState::Succeeded => tracing::info!(
                    unit = %unit,
                    action = step.action.as_str(),
                    resource = %step.resource.kind,
                    name = step.name,
                    "Done"
                ),
                _ => {}
            },
            Effect::RoundFinished {
                unit,
                result,
                retry_at,
            } => self.round_finished(&unit, &result, retry_at),
            Effect::WakeAt(at) => self.wake_at = Some(at),
            Effect::Record { stack, record } => self.records.note(&stack, record.as_ref()),
            Effect::Quiet => tracing::debug!("Quiet"),
        }
    }

    fn round_finished(&mut self, unit: &Unit, result: &RoundResult, retry_at: Option<Timestamp>) {
        self.metrics.finished(unit, result);
        if let Some(since) = self.deploying.remove(unit) {
            let took = self.clock.now().millis_since(since);
            self.metrics.stage(unit, "deploy_model", took);
        }
        let retry_ms = retry_at.map(|at| at.millis_since(self.clock.now()));
        match result {
            RoundResult::LookupFailed { error } => {
                tracing::warn!(unit = %unit, retry_ms, %error, "AWS cannot be asked");
            }
            RoundResult::Incomplete { outcome } => {
                let failed = outcome.failures.len();
                tracing::warn!(unit = %unit, retry_ms, failed, "Round incomplete");
            }
            RoundResult::Converged { .. } | RoundResult::Blocked | RoundResult::Superseded => {
                tracing::debug!(unit = %unit, "Round finished");
            }
        }
        if let Some(binding) = unit.binding() {
            let object = binding_ref(binding);
            if self.snapshot.get(&object).is_some() {
                let is_well = self.bindings_well.contains(binding);
                let note = self.notes.binding_finished(&object, result, is_well);
                self.events_waiting.extend(note);
            }
        }
        let Some(gateway) = unit.gateway() else {
            return;
        };
        let object = ObjectRef::new(
            Kind::Gateway,
            gateway.namespace.clone(),
            gateway.name.clone(),
        );
        if self.snapshot.get(&object).is_none() {
            return;
        }
        let controller = Scribe::controller(&self.snapshot, &object);
        let note = self.notes.finished(&object, controller, result);
        self.events_waiting.extend(note);
    }

    pub(super) fn call(&mut self, id: CallId, call: AwsCall) {
        let called = Called {
            service: call.service(),
            operation: call.operation(),
            since: self.clock.now(),
        };
        let (aws, cluster) = (Arc::clone(&self.aws), Arc::clone(&self.cluster));
        let task = self.calls.spawn(async move {
            let answer = async {
                // Key material lives as long as its call.
                let material = match &call {
                    AwsCall::ImportCertificate { content, .. } => {
                        Some(cluster.material(content).await?)
                    }
                    _ => None,
                };
                aws.call(&call, material.as_ref()).await
            };
            let answer = tokio::time::timeout(CALL_TIME_MAX, answer).await;
            (id, answer.unwrap_or_else(|_| Err(unknown("no answer"))))
        });
        self.call_of_task.insert(task.id(), (id, called));
    }

    pub(super) fn write(&mut self) {
        if !self.is_acting() {
            return;
        }
        let now = self.clock.now();
        let wall = self.clock.wall();
        for (object, write) in self.scribe.pump(&self.snapshot, now, wall) {
            let cluster = Arc::clone(&self.cluster);
            let task = self.writes.spawn(async move {
                let result = cluster.write(&write, wall).await;
                WriteDone {
                    verb: write.verb(),
                    reason: write.failure_reason(),
                    result,
                }
            });
            self.object_of_task.insert(task.id(), object);
        }
    }

    /// Reports events, as many at once as may be.
    pub(super) fn tell(&mut self) {
        if !self.is_acting() {
            return;
        }
        while self.events_waiting.len() > EVENTS_WAITING_MAX {
            self.events_waiting.pop_front();
        }
        let wall = self.clock.wall();
        while self.events.len() < EVENTS_MAX
            && let Some((about, note)) = self.events_waiting.pop_front()
        {
            let Some(object) = self.snapshot.get(&about) else {
                continue;
            };
            // A namespace that is going takes no events, and nobody reads that what goes is well.
            let is_going = object.metadata().deletion_timestamp.is_some();
            if is_going && note.event_type == EventType::Normal {
                continue;
            }
            let cluster = Arc::clone(&self.cluster);
            self.events.spawn(async move {
                let write = Write::Event { object, note };
                if let Err(error) = cluster.write(&write, wall).await {
                    tracing::debug!(%error, "Could not report an event");
                }
            });
        }
    }

    pub(super) fn observe(&self) {
        // What a standby has looked at is the leader's to write: nothing waits here.
        let writes = if self.is_acting() {
            self.scribe.depth()
        } else {
            0
        };
        self.metrics
            .depths(self.calls.len(), writes, self.events_waiting.len());
    }
}

pub(super) fn binding_ref(binding: &NamespacedName) -> ObjectRef {
    let NamespacedName { namespace, name } = binding;
    ObjectRef::new(Kind::TargetGroupBinding, namespace.clone(), name.clone())
}

/// Whether a call goes out only when no record outlives it. Targets do not wait: as long as the API server
/// takes for a write, traffic would go to pods that are gone (ADR 0012).
fn waits_for_records(call: &AwsCall) -> bool {
    let is_about_targets = matches!(
        call,
        AwsCall::RegisterTargets { .. } | AwsCall::DeregisterTargets { .. }
    );
    call.is_mutating() && !is_about_targets
}

/// The answer of a call that has none.
pub(super) fn unknown(message: &str) -> AwsError {
    AwsError::new(ErrorClass::Transient, "NoAnswer", message)
}
