//! The lane of targets: endpoints that change while a round of their Gateway is under way.
//!
//! In: a unit whose endpoints changed, and that observes, waits or carries out a plan. Out:
//! RegisterTargets and DeregisterTargets, beside whatever the round does. What always holds: only groups
//! that are there are touched, and nothing but their targets; the round that follows compares again, so
//! whatever a plan that was made before still does to targets is put right.

use elbow_api::Snapshot;
use elbow_model::{AwsAnswer, AwsCall, AwsError};
use elbow_plan::Action;

use super::unit::{Knowledge, Phase, Unit};
use super::{Owner, Reconciler};
use crate::execute::{Execution, Next};
use crate::front::{self, Translation};
use crate::outbox::Priority;
use crate::time::Timestamp;

impl Reconciler {
    /// Changes targets now, if a round is under way that would keep them waiting. A unit at rest begins
    /// a round for them anyway.
    pub(super) fn start_lane(&mut self, unit: &Unit, snapshot: &Snapshot, now: Timestamp) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let is_under_way = match &work.phase {
            Phase::Idle => false,
            // A round for targets is this lane.
            Phase::Executing(execution) => {
                let mut steps = execution.plan().steps.iter();
                steps.any(|step| !matches!(step.action, Action::Register | Action::Deregister))
            }
            Phase::Observing(_)
            | Phase::Looking { .. }
            | Phase::AwaitingFacts(_)
            | Phase::AwaitingCluster
            | Phase::AwaitingProtection
            | Phase::AwaitingOwnTargets
            | Phase::AskingTargets => true,
        };
        if !is_under_way || work.stack.is_none() || self.is_stopping {
            return;
        }
        let not_before = work.targets_not_before(&self.settings).unwrap_or(now);
        if now < not_before || work.lane.is_some() {
            let soon = now.plus_millis(self.settings.targets_interval_ms);
            work.lane_at = Some(not_before.max(if work.lane.is_some() { soon } else { now }));
            return;
        }
        let Unit::Gateway(name) = unit else { return };
        self.tell_facts(now);
        let (facts, settings) = (self.facts.facts(), &self.settings.translate);
        let Translation::Done(done) = front::translate(snapshot, facts, settings, name) else {
            return;
        };
        let networks = front::networks(&done, name);
        self.note_reach(unit, networks, now);
        let Some(mut stack) = done.stack else { return };
        let Some(observed) = self.known.stacks.get(&stack.id) else {
            return;
        };
        // Where several clusters share a group, what is registered is written down first: by the round.
        let groups = &mut stack.target_groups;
        groups.retain(|_, group| group.sharing.is_exclusive());
        let plan = front::plan_targets(&stack, observed, &self.settings.policy);
        if plan.steps.iter().all(|step| step.held.is_some()) {
            return;
        }
        self.drop_records(&plan);
        let (backoff, polls) = (self.settings.backoff, self.settings.polls);
        let provided = elbow_plan::Provided::default();
        let lane = Execution::new(plan, provided, backoff, polls);
        if let Some(work) = self.units.get_mut(unit) {
            work.lane = Some(Box::new(lane));
            work.targets_at = Some(now);
            work.record_at = None;
        }
        self.pump_lane(unit, now);
    }

    /// Does what is due in the lane of a unit.
    pub(super) fn wake_lane(&mut self, unit: &Unit, snapshot: &Snapshot, now: Timestamp) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        if work.lane_at.take_if(|at| *at <= now).is_some() {
            self.start_lane(unit, snapshot, now);
            return;
        }
        let lane = work.lane.as_ref().and_then(|lane| lane.again_at());
        if lane.is_some_and(|at| at <= now) {
            self.pump_lane(unit, now);
        }
    }

    pub(super) fn lane_answered(
        &mut self,
        unit: &Unit,
        call: &AwsCall,
        result: &Result<AwsAnswer, AwsError>,
        now: Timestamp,
    ) {
        let Some(lane) = self.units.get_mut(unit).and_then(|work| work.lane.as_mut()) else {
            return;
        };
        let stack = lane.current_step().map(|step| step.stack.clone());
        lane.answered(now, call, result);
        if let (Some(stack), Ok(answer)) = (stack, result) {
            self.remember(&stack, call, answer);
        }
        self.pump_lane(unit, now);
    }

    fn pump_lane(&mut self, unit: &Unit, now: Timestamp) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let Some(lane) = &mut work.lane else { return };
        match lane.next(now) {
            Next::Call(call) => {
                let owner = Owner::Targets(unit.clone());
                self.outbox.push(owner, Priority::Targets, *call);
            }
            Next::At(_) | Next::Answer => {}
            Next::Finished => {
                let outcome = lane.outcome();
                work.lane = None;
                // What became of a lost call is seen by the look that follows.
                if outcome.must_observe {
                    work.knowledge = Knowledge::Doubtful;
                }
                if !outcome.is_complete() || matches!(work.phase, Phase::Idle) {
                    let priority = if outcome.is_complete() {
                        Priority::Targets
                    } else {
                        Priority::Retry
                    };
                    self.enqueue(unit, priority, now);
                }
            }
        }
    }
}
