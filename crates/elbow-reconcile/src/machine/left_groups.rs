//! Target groups that a TargetGroupBinding does not name any more, with targets of its in them.
//!
//! In: what a binding comes to, before and now; the groups that an earlier machine filled. Out: what is to
//! be taken out of them, and a record of the groups for the next machine. What always holds:
//!
//! - the new group has its targets before the old one loses them;
//! - a group that another binding or a Gateway fills is left to that one;
//! - the record names each group before the first target goes into it.
//!
//! Difference (binding-changes-its-group): LBC's webhook refuses such an edit; where it got past it, the old
//! group keeps its targets for good.

use std::collections::BTreeMap;

use elbow_api::{NamespacedName, Snapshot};
use elbow_model::observed::LeftTargetGroup;
use elbow_model::stack::{Sharing, TargetGroup};
use elbow_model::{Cause, ObservedStack, ResourceId, Stack, StackId, StackKind};
use elbow_plan::policy::Mode;
use elbow_plan::{Plan, plan_left_targets};
use elbow_translate::{BindingTranslation, BindingVerdict};

use super::bindings::there;
use super::unit::{Knowledge, Unit};
use super::{CensusState, Effect, Reconciler};
use crate::record::{FilledGroup, Record};
use crate::time::Timestamp;

/// The groups of one binding.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// That which it fills.
    filled: Option<(ResourceId, BoundGroup)>,
    /// Those that it has left.
    pub(super) left: BTreeMap<ResourceId, BoundGroup>,
    /// Whether there may be others, of which nobody knows.
    pub(super) may_have_left: bool,
}

/// What is known of a group that has targets of a binding, wherever that is known from: a record tells no
/// more, and taking targets out takes no more.
#[derive(Debug, Clone)]
pub(super) struct BoundGroup {
    pub(super) name: String,
    pub(super) sharing: Sharing,
}

impl BoundGroup {
    /// A group that an earlier machine filled.
    fn recorded(group: &FilledGroup, binding: &NamespacedName) -> Option<(ResourceId, Self)> {
        let name = group.arn.rsplit('/').nth(1)?.to_owned();
        let sharing = if group.is_shared {
            Sharing::Clusters {
                namespace: binding.namespace.clone(),
                binding: binding.name.clone(),
            }
        } else {
            Sharing::Exclusive
        };
        Some((ResourceId::new(group.arn.clone()), Self { name, sharing }))
    }

    fn of(group: &TargetGroup) -> Self {
        Self {
            name: group.name.clone(),
            sharing: group.sharing.clone(),
        }
    }
}

impl Reconciler {
    /// Notes which group a binding fills from now on, and which it has left.
    pub(super) fn note_groups(
        &mut self,
        unit: &Unit,
        done: &BindingTranslation,
        snapshot: &Snapshot,
    ) {
        let (Some(name), Some(id)) = (unit.binding(), unit.stacks().pop_first()) else {
            return;
        };
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let Groups {
            mut filled,
            mut left,
            mut may_have_left,
        } = std::mem::take(&mut work.groups);
        if !work.is_translated {
            let recorded = self.records.get(&id).map(Record::groups);
            // Somebody has brought about another generation.
            let is_edited = done.reconciled.is_some() && done.reconciled != done.generation;
            may_have_left = recorded.is_none() && is_edited && !done.is_leaving;
            let recorded = recorded.unwrap_or_default();
            let recorded = recorded.iter();
            left.extend(recorded.filter_map(|group| BoundGroup::recorded(group, name)));
        }
        match &done.verdict {
            BindingVerdict::Targets(stack) => {
                left.extend(filled.take());
                let named = stack.target_groups.first_key_value();
                filled = named.map(|(arn, group)| (arn.clone(), BoundGroup::of(group)));
                if let Some((arn, _)) = &filled {
                    left.remove(arn);
                }
            }
            BindingVerdict::Left => left.extend(filled.take()),
            // Nothing is changed before it is known where to.
            BindingVerdict::Refused | BindingVerdict::Absent => {}
        }
        left.retain(|arn, group| !self.is_filled_elsewhere(name, arn, &group.name, snapshot));
        if let Some(known) = self.known.stacks.get_mut(&id) {
            let named = match &done.verdict {
                BindingVerdict::Targets(stack) => Some(stack),
                _ => None,
            };
            sort_out(known, named, &left);
        }
        if let Some(work) = self.units.get_mut(unit) {
            work.groups = Groups {
                filled,
                left,
                may_have_left,
            };
        }
    }

    /// Whether somebody else fills a group: what is in it is that one's matter.
    fn is_filled_elsewhere(
        &self,
        name: &NamespacedName,
        arn: &ResourceId,
        group: &str,
        snapshot: &Snapshot,
    ) -> bool {
        let bindings = snapshot.bindings_of(group).into_iter();
        let mut others = bindings.filter(|other| {
            let named = other.spec.target_group_arn.as_deref();
            let is_this = other.metadata.name.as_ref() == Some(&name.name)
                && other.metadata.namespace.as_ref() == Some(&name.namespace);
            !is_this
                && other.metadata.deletion_timestamp.is_none()
                && named.is_none_or(|named| named == arn.as_str())
        });
        let gateways = self.known.stacks.iter();
        let gateways = gateways.filter(|(id, _)| id.kind != StackKind::Binding);
        let mut of_gateways = gateways.flat_map(|(_, known)| &known.target_groups);
        // Of a Gateway that was not looked at yet, the census tells.
        let is_in_census = match &self.census {
            CensusState::Done(parts) => parts.iter().any(|(id, part)| {
                let mut groups = part.target_groups.keys();
                id.kind != StackKind::Binding && groups.any(|known| known.as_str() == arn.as_str())
            }),
            _ => false,
        };
        others.next().is_some()
            || is_in_census
            || of_gateways.any(|known| known.arn.as_str() == arn.as_str())
    }

    /// The plan that takes a binding's targets out of the groups that it has left.
    pub(super) fn plan_left(&self, unit: &Unit, stack: &StackId) -> Plan {
        let nothing = ObservedStack::default();
        let observed = self.known.stacks.get(stack).unwrap_or(&nothing);
        let binding = unit.binding().map(|name| Cause {
            kind: elbow_api::Kind::TargetGroupBinding.as_str().to_owned(),
            namespace: name.namespace.clone(),
            name: name.name.clone(),
        });
        let causes: Vec<Cause> = binding.into_iter().collect();
        plan_left_targets(stack, observed, &causes, &self.settings.policy)
    }

    /// Nothing of a binding is in the groups that it has left.
    pub(super) fn forget_left(&mut self, unit: &Unit) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        work.groups.left.clear();
        for stack in unit.stacks() {
            if let Some(known) = self.known.stacks.get_mut(&stack) {
                known.left_groups.clear();
            }
        }
    }

    /// Takes what a record vouches for as what is there: all targets that are wanted. What other clusters
    /// have put into a group that they share is in no record, so that one is looked at.
    pub(super) fn believe_targets(&mut self, unit: &Unit, stack: &Stack, now: Timestamp) {
        let mut groups = stack.target_groups.values();
        let is_vouched_for = self.settings.policy.mode != Mode::DryRun
            && groups.all(|group| group.sharing.is_exclusive())
            && self
                .records
                .get(&stack.id)
                .is_some_and(|record| record.wants(stack));
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        if !is_vouched_for || !work.groups.left.is_empty() || work.knowledge != Knowledge::Census {
            return;
        }
        work.knowledge = Knowledge::Believed;
        work.observed_at = now;
        let known = super::bindings::believed(stack);
        self.known.stacks.insert(stack.id.clone(), known);
    }

    /// Has a record name the groups of a binding and vouch for nothing: their targets are about to change.
    pub(super) fn record_groups(&mut self, stack: &StackId) {
        if self.settings.policy.mode == Mode::DryRun {
            return;
        }
        let record = Record::of_groups(None, &self.groups_of(stack));
        self.keep(stack, record);
    }

    /// Keeps the record of a binding whose targets are all that is wanted.
    pub(super) fn keep_binding_record(&mut self, stack: &Stack) {
        let record = Record::of_groups(Some(stack), &self.groups_of(&stack.id));
        self.keep(&stack.id, record);
    }

    fn groups_of(&self, stack: &StackId) -> Vec<FilledGroup> {
        let Some(work) = self.units.get(&Unit::of_stack(stack)) else {
            return Vec::new();
        };
        let Groups { filled, left, .. } = &work.groups;
        let filled = filled.as_ref().map(|(arn, group)| (arn, group));
        let groups = filled
            .into_iter()
            .chain(left)
            .map(|(arn, group)| FilledGroup {
                arn: arn.to_string(),
                is_shared: !group.sharing.is_exclusive(),
            });
        groups.collect()
    }

    fn keep(&mut self, stack: &StackId, record: Record) {
        if self.records.get(stack) != Some(&record) {
            self.records.insert(stack.clone(), record.clone());
            self.effects.push(Effect::Record {
                stack: stack.clone(),
                record: Some(record),
            });
        }
    }
}

/// Keeps what is known of targets with the group that they are in, as a binding leaves groups and comes back
/// to them.
fn sort_out(
    known: &mut ObservedStack,
    named: Option<&Stack>,
    left: &BTreeMap<ResourceId, BoundGroup>,
) {
    let mut came_back = Vec::new();
    for group in std::mem::take(&mut known.left_groups) {
        let arn = ResourceId::new(group.arn.as_str());
        let of_name = named.and_then(|stack| stack.target_groups.get(&arn));
        if left.contains_key(&arn) {
            known.left_groups.push(group);
        } else if let Some(wanted) = of_name {
            came_back.push(there(&arn, wanted, group.targets));
        }
    }
    for group in std::mem::take(&mut known.target_groups) {
        let arn = ResourceId::new(group.arn.as_str());
        match left.get(&arn) {
            Some(bound) => known.left_groups.push(LeftTargetGroup {
                arn: group.arn,
                name: bound.name.clone(),
                sharing: bound.sharing.clone(),
                targets: group.targets,
                own: None,
            }),
            None => known.target_groups.push(group),
        }
    }
    known.target_groups.extend(came_back);
}
