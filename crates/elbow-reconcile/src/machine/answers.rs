//! What becomes of AWS's answers.
//!
//! In: the answer to a call that was out. Out: the next calls, or the next part of a round. What
//! always holds: an answer is used once; a look-up that was throttled or lost is repeated, later and
//! later; a change that succeeded is remembered at once; one whose fate is unknown makes its Stack
//! doubtful.

use elbow_api::Snapshot;
use elbow_model::observed::LoadBalancerState;
use elbow_model::{AwsAnswer, AwsCall, AwsError, ErrorClass, ObservedStack, StackId};

use super::rounds::emit_progress;
use super::unit::{Phase, Unit};
use super::units::Trait;
use super::{CensusState, Owner, Reconciler, RoundResult};
use crate::outbox::{CallId, Priority, Sent};
use crate::remember::remember;
use crate::time::Timestamp;

/// After so many lost look-ups in a row the round fails, so that somebody is told. It is tried again
/// like any failed round.
const LOST_LOOKUPS_MAX: u32 = 6;

pub(super) type Answer = Result<AwsAnswer, AwsError>;

impl Reconciler {
    pub(super) fn answered(
        &mut self,
        id: CallId,
        result: Answer,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        let Some(sent) = self.outbox.answered(id, result.as_ref().err(), now) else {
            return;
        };
        if let (
            AwsCall::RegisterTargets {
                target_group,
                targets,
            },
            Ok(_),
        ) = (&sent.call, &result)
            && let Some(group) = target_group.known()
        {
            self.gates_registered(group, targets, now);
        }
        let owner = sent.owner.clone();
        match &owner {
            Owner::Census => self.census_answered(sent, result, snapshot, now),
            Owner::Facts => self.facts_answered(sent, result, snapshot, now),
            Owner::Provisioning => self.provisioning_answered(&sent.call, &result, now),
            Owner::Gates => self.gates_answered(&sent.call, result, now),
            Owner::Targets(unit) => self.lane_answered(unit, &sent.call, &result, now),
            Owner::Unit(unit) => {
                let is_executing = self
                    .units
                    .get(unit)
                    .is_some_and(|work| matches!(work.phase, Phase::Executing(_)));
                if is_executing {
                    self.step_answered(unit, &sent.call, &result, now);
                } else if unit.binding().is_some() {
                    self.targets_answered(unit, sent, result, snapshot, now);
                } else {
                    self.observation_answered(unit, sent, result, snapshot, now);
                }
            }
        }
    }

    /// Sees to it that a look-up that failed by no fault of its own is repeated. Answers with what is
    /// to be looked into: `None` when it is repeated.
    pub(super) fn settled(
        &mut self,
        sent: Sent<Owner>,
        result: Answer,
        now: Timestamp,
    ) -> Option<(AwsCall, Answer)> {
        let Err(error) = &result else {
            self.lookup_failures.remove(&sent.owner);
            return Some((sent.call, result));
        };
        if !matches!(error.class, ErrorClass::Throttled | ErrorClass::Transient) {
            return Some((sent.call, result));
        }
        let failures = self.lookup_failures.entry(sent.owner.clone()).or_default();
        *failures += 1;
        if error.class == ErrorClass::Transient && *failures > LOST_LOOKUPS_MAX {
            self.lookup_failures.remove(&sent.owner);
            return Some((sent.call, result));
        }
        if self.is_stopping {
            return None;
        }
        let asker = format!("{:?}", sent.owner);
        let wait = self
            .settings
            .backoff
            .wait_ms(error.class, *failures, &asker);
        self.sequence += 1;
        let key = (now.plus_millis(wait), self.sequence);
        self.delayed
            .insert(key, (sent.owner, sent.priority, sent.call));
        None
    }

    /// Gives up all look-ups of an owner: those that wait are taken back, and answers of those that are out
    /// must not be taken for answers to the next ones.
    pub(super) fn withdraw(&mut self, owner: &Owner) {
        self.outbox.disown(owner);
        self.delayed.retain(|_, (other, ..)| other != owner);
    }

    fn census_answered(
        &mut self,
        sent: Sent<Owner>,
        result: Answer,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        let priority = sent.priority;
        let Some((call, result)) = self.settled(sent, result, now) else {
            return;
        };
        let CensusState::Running(observation) = &mut self.census else {
            return;
        };
        match observation.answered(&call, result) {
            Ok(calls) => {
                if observation.is_done() {
                    let done = std::mem::replace(&mut self.census, CensusState::NotStarted);
                    if let CensusState::Running(observation) = done {
                        self.census_failures = 0;
                        self.census_done(observation.finish().census, snapshot, now);
                    }
                } else {
                    self.send_all(&Owner::Census, priority, calls);
                }
            }
            Err(error) => self.census_failed(&error, snapshot, now),
        }
    }

    /// Without a census nothing can be done for any Gateway or binding: each is told.
    fn census_failed(&mut self, error: &AwsError, snapshot: &Snapshot, now: Timestamp) {
        self.withdraw(&Owner::Census);
        self.census_failures = self.census_failures.saturating_add(1);
        let wait = self
            .settings
            .backoff
            .wait_ms(error.class, self.census_failures, "census");
        let retry_at = now.plus_millis(wait);
        self.census = CensusState::Failed(retry_at);
        let gateways = snapshot.gateway_names().cloned().map(Unit::Gateway);
        let bindings = snapshot.user_binding_names().cloned();
        let result = RoundResult::LookupFailed {
            error: error.clone(),
        };
        for unit in gateways.chain(bindings.map(Unit::Binding)) {
            self.note_unasked(&unit, &result);
            self.effects.push(super::Effect::RoundFinished {
                unit,
                result: result.clone(),
                retry_at: Some(retry_at),
            });
        }
    }

    fn facts_answered(
        &mut self,
        sent: Sent<Owner>,
        result: Answer,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        let priority = sent.priority;
        let Some((call, result)) = self.settled(sent, result, now) else {
            return;
        };
        let Some(lookup) = self.facts.lookup_mut() else {
            return;
        };
        let calls = lookup.answered(&call, result);
        if !lookup.is_done() {
            self.send_all(&Owner::Facts, priority, calls);
            return;
        }
        let failed = self.facts.finish(now);
        self.units.settle(&self.settings);
        let awaiting: Vec<Unit> = self.units.with(Trait::AwaitsFacts).cloned().collect();
        for unit in awaiting {
            let phase = self.units.get(&unit).map(|work| &work.phase);
            let error = match phase {
                Some(Phase::AwaitingFacts(queries)) => {
                    queries.iter().find_map(|query| failed.get(query)).cloned()
                }
                _ => None,
            };
            if let Some(error) = error {
                self.go_without_facts(&unit, error, snapshot, now);
            } else {
                let priority = self.set_phase(&unit, Phase::Idle);
                self.enqueue(&unit, priority, now);
            }
        }
    }

    fn observation_answered(
        &mut self,
        unit: &Unit,
        sent: Sent<Owner>,
        result: Answer,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        let Some((call, result)) = self.settled(sent, result, now) else {
            return;
        };
        if *unit == Unit::Network {
            self.network_answered(&call, result, snapshot, now);
            return;
        }
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let priority = work.priority.unwrap_or(Priority::Retry);
        let Phase::Observing(observation) = &mut work.phase else {
            return;
        };
        match observation.answered(&call, result) {
            Ok(calls) => {
                if observation.is_done() {
                    if let Phase::Observing(observation) = std::mem::take(&mut work.phase) {
                        self.observed(unit, observation.finish(), snapshot, now);
                    }
                } else {
                    self.send_all(&Owner::Unit(unit.clone()), priority, calls);
                }
            }
            Err(error) => {
                self.withdraw(&Owner::Unit(unit.clone()));
                self.finish(unit, &RoundResult::LookupFailed { error }, now);
            }
        }
    }

    fn step_answered(&mut self, unit: &Unit, call: &AwsCall, result: &Answer, now: Timestamp) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let wanted = work.wanted;
        let Phase::Executing(execution) = &mut work.phase else {
            return;
        };
        let stack = execution.current_step().map(|step| step.stack.clone());
        execution.answered(now, call, result);
        let is_waiting = execution.is_waiting();
        emit_progress(&mut self.effects, unit, execution);
        if let (Some(stack), Ok(answer)) = (stack, result) {
            if *unit == Unit::Network {
                self.remember_node_rules(call);
            } else {
                self.remember(&stack, call, answer);
                self.network_follows(unit, call, now);
            }
        }
        if is_waiting && wanted.is_some_and(|wanted| wanted <= Priority::Fresh) {
            self.supersede(unit, now);
        } else {
            self.pump(unit, now);
        }
    }

    pub(super) fn remember(&mut self, stack: &StackId, call: &AwsCall, answer: &AwsAnswer) {
        let known = self.known.stacks.entry(stack.clone()).or_default();
        remember(known, call, answer);
        if *known == ObservedStack::default() {
            self.known.stacks.remove(stack);
        }
        self.note_provisioning(stack);
    }

    /// Takes in a look at load balancers that are being set up; reports for those that are not any
    /// more.
    fn provisioning_answered(&mut self, call: &AwsCall, result: &Answer, now: Timestamp) {
        let mut active = Vec::new();
        if let Ok(answer @ AwsAnswer::LoadBalancers(_)) = result {
            for id in self.provisioning.clone() {
                if let Some(known) = self.known.stacks.get_mut(&id) {
                    let before = provisioning(known);
                    remember(known, call, answer);
                    if provisioning(known) < before {
                        active.push(Unit::of_stack(&id));
                    }
                }
                self.note_provisioning(&id);
            }
        }
        for unit in active {
            self.note_chain(&unit, now);
            let reported = self.units.get(&unit).and_then(|work| work.reported.clone());
            if let Some(report) = reported {
                self.report(&unit, report);
            }
        }
        if !self.provisioning.is_empty() && !self.is_stopping {
            let at = now.plus_millis(self.settings.polls.load_balancers_ms);
            self.provisioning_poll_at.get_or_insert(at);
        }
    }
}

/// How many load balancers of a Stack are being set up.
fn provisioning(stack: &ObservedStack) -> usize {
    let state = LoadBalancerState::Provisioning;
    stack
        .load_balancers
        .iter()
        .filter(|lb| lb.state == state)
        .count()
}
