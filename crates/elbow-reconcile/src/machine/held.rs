//! A Gateway of which nothing can be said at present: its class or configuration is missing, or AWS has not what
//! it names.
//!
//! In: a translation without a Stack. Out: a plan for its targets. What always holds: what it has stays as it
//! is, but that endpoints which come and go are followed, for as long as its bindings tell which.

use std::collections::BTreeSet;

use elbow_api::Snapshot;
use elbow_model::{FactQuery, StackId};
use elbow_translate::HeldTargets;

use super::Reconciler;
use super::unit::Unit;
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
