//! A Gateway of which nothing can be said at present: its class or configuration is missing, AWS has not what it
//! names, or does not tell.
//!
//! In: a translation without a Stack, or an error in the place of facts. Out: a plan for its targets. What always
//! holds: what it has stays as it is, but that endpoints which come and go are followed, for as long as its
//! bindings tell which.

use std::collections::BTreeSet;

use elbow_api::Snapshot;
use elbow_model::{AwsError, FactQuery, StackId};
use elbow_translate::HeldTargets;

use super::network::Told;
use super::unit::{Knowledge, Unit};
use super::{Reconciler, RoundResult};
use crate::front::{self, Translated};
use crate::time::Timestamp;

impl Reconciler {
    /// The targets of a Gateway of which nothing can be said; `None` where something can.
    ///
    /// # Errors
    /// The facts that have to be known first.
    pub(super) fn held_targets(
        &self,
        unit: &Unit,
        done: &Translated,
        snapshot: &Snapshot,
    ) -> Result<Option<HeldTargets>, BTreeSet<FactQuery>> {
        let Unit::Gateway(name) = unit else {
            return Ok(None);
        };
        let is_gone = done.unwanted.len() == unit.stacks().len();
        if done.stack.is_some() || is_gone {
            return Ok(None);
        }
        let (facts, settings) = (self.facts.facts(), &self.settings.translate);
        front::held_targets(snapshot, facts, settings, name, &self.known).map(Some)
    }

    /// Ends the round of a unit that lacks facts. The targets of a Gateway are looked after all the same.
    pub(super) fn go_without_facts(
        &mut self,
        unit: &Unit,
        error: AwsError,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        let result = RoundResult::LookupFailed { error };
        let Some(held) = self.held_without_facts(unit, snapshot) else {
            self.finish(unit, &result, now);
            return;
        };
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        if work.knowledge == Knowledge::Believed {
            // Which targets there are is not known.
            self.look_again(unit, Knowledge::Census, snapshot, now);
            return;
        }
        work.held = Some(result);
        let mut reads = work.reads.clone();
        reads.extend(held.reads.iter().cloned());
        self.note_reads(unit, reads);
        self.note_reach(unit, Told::Part(held.networks.clone()), now);
        self.plan_held(unit, &held, &BTreeSet::new(), snapshot, now);
    }

    fn held_without_facts(&self, unit: &Unit, snapshot: &Snapshot) -> Option<HeldTargets> {
        let name = unit.gateway()?;
        if front::is_deleted(snapshot, name) {
            return None;
        }
        let (facts, settings) = (self.facts.facts(), &self.settings.translate);
        let held = front::held_targets(snapshot, facts, settings, name, &self.known).ok()?;
        (!held.stacks.is_empty()).then_some(held)
    }

    /// Plans the targets of what stays, and the end of what does not.
    pub(super) fn plan_held(
        &mut self,
        unit: &Unit,
        held: &HeldTargets,
        unwanted: &BTreeSet<StackId>,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        let mut staying = held.stacks.iter();
        if staying.any(|stack| !self.knows_own_targets(unit, stack, snapshot)) {
            return;
        }
        let mut plan = self.plan_end(unwanted);
        let staying = held.stacks.iter().filter(|s| !unwanted.contains(&s.id));
        for stack in staying {
            if let Some(observed) = self.known.stacks.get(&stack.id) {
                plan.append(front::plan_targets(stack, observed, &self.settings.policy));
            }
        }
        if let Some(work) = self.units.get_mut(unit)
            && !plan.is_empty()
        {
            work.targets_at = Some(now);
        }
        self.execute(unit, plan, now);
    }
}
