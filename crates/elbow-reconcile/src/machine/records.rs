//! Records in the machine: what is believed at a restart, and what is kept for the next one.
//!
//! In: records that an earlier machine kept, what the census lists, rounds that end. Out:
//! [`Effect::Record`]. What always holds: what is believed agrees with what is wanted and with
//! everything that lists tell; a record is dropped before the first call that changes its Stack, and
//! kept again only when a round has reached all that was wanted.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::observed::{ObservedTarget, TargetState};
use elbow_model::stack::TargetGroup;
use elbow_model::{ObservedStack, Stack, StackId, StackKind};
use elbow_plan::Plan;
use elbow_plan::policy::Mode;

use super::unit::{Knowledge, Phase, Unit};
use super::{CensusState, Effect, Reconciler};
use crate::record::{Listing, Record};
use crate::time::Timestamp;

/// Endpoints change in bursts. The record is kept again when there was none for so long: otherwise each
/// change would cost two writes. Who is killed sooner looks at this one load balancer in full.
const AFTER_TARGETS_MS: u64 = 5_000;

impl Reconciler {
    /// Takes over what an earlier machine kept.
    pub(super) fn take_records(&mut self, records: BTreeMap<StackId, Record>) {
        if matches!(self.census, CensusState::NotStarted) {
            self.records = records;
        }
    }

    /// Whether what was brought about of a unit is known from its records, and the lists do not
    /// contradict. If so, what lists tell becomes what is known.
    pub(super) fn believe(&mut self, unit: &Unit, now: Timestamp) -> bool {
        let CensusState::Done(census) = &self.census else {
            return false;
        };
        if self.settings.policy.mode == Mode::DryRun || unit.gateway().is_none() {
            return false;
        }
        let translate = &self.settings.translate;
        let mut listed = BTreeMap::new();
        for stack in unit.stacks() {
            match (self.records.get(&stack), census.get(&stack)) {
                (None, None) => {}
                (Some(record), Some(census)) => {
                    let (name, vpc_id) = (&translate.cluster_name, &translate.vpc_id);
                    let found = census.listed(&stack, name, vpc_id);
                    if !record.lists(&Listing::new(&found, census.children(), census.has_index)) {
                        return false;
                    }
                    listed.insert(stack, (found, record.clone()));
                }
                _ => return false,
            }
        }
        // With two there is one to be deleted.
        let Some((stack, (found, record))) = listed.pop_first().filter(|_| listed.is_empty())
        else {
            return false;
        };
        self.known.stacks.insert(stack.clone(), found);
        self.note_provisioning(&stack);
        if let Some(work) = self.units.get_mut(unit) {
            work.knowledge = Knowledge::Believed;
            work.believed = Some(record);
            work.observed_at = now;
        }
        true
    }

    /// Whether what is believed of a unit is all that is wanted; then its targets are taken for those
    /// that are wanted. `None` when the unit is not just believed, or was found right before.
    pub(super) fn confirm(
        &mut self,
        unit: &Unit,
        stack: Option<&Stack>,
        unwanted: &BTreeSet<StackId>,
    ) -> Option<bool> {
        let work = self.units.get(unit)?;
        if work.knowledge != Knowledge::Believed || work.applied.is_some() {
            return None;
        }
        let is_wanted = stack.is_some_and(|stack| {
            let record = self.records.get(&stack.id);
            record.is_some_and(|record| record.wants(stack))
        });
        let is_surplus = unwanted.iter().any(|id| self.known.stacks.contains_key(id));
        let (Some(stack), true, false) = (stack, is_wanted, is_surplus) else {
            return Some(false);
        };
        if let Some(known) = self.known.stacks.get_mut(&stack.id) {
            fill_targets(known, stack);
        }
        if let Some(work) = self.units.get_mut(unit) {
            work.applied = Some(stack.clone());
        }
        Some(true)
    }

    /// Drops the records of what a plan changes.
    pub(super) fn drop_records(&mut self, plan: &Plan) {
        let changed = plan.steps.iter().filter(|step| step.held.is_none());
        let stacks: BTreeSet<&StackId> = changed.map(|step| &step.stack).collect();
        for stack in stacks {
            if stack.kind == StackKind::Binding {
                // Where its targets are has to be known though they change.
                self.record_groups(stack);
            } else {
                self.drop_record(stack);
            }
        }
    }

    pub(super) fn drop_record(&mut self, stack: &StackId) {
        if self.records.remove(stack).is_some() {
            self.effects.push(Effect::Record {
                stack: stack.clone(),
                record: None,
            });
        }
    }

    /// Asks for a record after a round that has reached what was wanted.
    pub(super) fn plan_record(&mut self, unit: &Unit, now: Timestamp) {
        let has_records = unit.gateway().is_some() || unit.binding().is_some();
        if self.settings.policy.mode == Mode::DryRun || !has_records {
            return;
        }
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        // While endpoints keep changing, the time is put off.
        let is_burst = work
            .targets_at
            .is_some_and(|at| now.millis_since(at) < AFTER_TARGETS_MS);
        let delay = if is_burst { AFTER_TARGETS_MS } else { 0 };
        work.record_at = Some(now.plus_millis(delay));
        if !is_burst {
            self.keep_record(unit);
        }
    }

    /// Keeps the record of a unit that is due for one.
    pub(super) fn keep_record(&mut self, unit: &Unit) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let is_idle = matches!(work.phase, Phase::Idle) && work.lane.is_none();
        if work.record_at.take().is_none() || !is_idle {
            return;
        }
        // What a listener has that is left as it is, the Stack does not tell, and a restart has to know.
        let decided = |stack: &&Stack| stack.undecided_listeners.is_empty();
        let Some(stack) = work.applied.as_ref().filter(decided) else {
            return;
        };
        if unit.binding().is_some() {
            let stack = stack.clone();
            self.keep_binding_record(&stack);
            return;
        }
        let id = stack.id.clone();
        let record = match (&work.knowledge, &work.believed, self.known.stacks.get(&id)) {
            (Knowledge::Trusted, _, Some(known)) => Record::of(stack, known),
            // Only its targets can have changed.
            (Knowledge::Believed, Some(record), _) => record.wanting(stack),
            _ => return,
        };
        if self.records.get(&id) != Some(&record) {
            self.records.insert(id.clone(), record.clone());
            self.effects.push(Effect::Record {
                stack: id,
                record: Some(record),
            });
        }
    }
}

/// Takes the targets that were registered for those that are.
fn fill_targets(known: &mut ObservedStack, stack: &Stack) {
    let tag = stack.id.resource_tag();
    for group in &mut known.target_groups {
        let wanted = group.tags.get(&tag).and_then(|resource| {
            let mut groups = stack.target_groups.iter();
            groups.find(|(id, _)| id.as_str() == resource)
        });
        if let Some((_, wanted)) = wanted {
            group.targets = believed_targets(wanted);
        }
    }
}

/// The targets of a group that are wanted, as if they were there.
pub(super) fn believed_targets(wanted: &TargetGroup) -> Vec<ObservedTarget> {
    let mut targets: Vec<_> = wanted
        .targets
        .iter()
        .map(|target| ObservedTarget {
            target: target.clone(),
            state: TargetState::Healthy,
            reason: None,
            description: None,
        })
        .collect();
    targets.sort_by(|a, b| a.target.cmp(&b.target));
    targets
}
