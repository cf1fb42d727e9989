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
use elbow_model::stack::{HealthCheck, Protocol, Sharing, TargetFamily, TargetGroup, TargetType};
use elbow_model::{Attributes, Port, ResourceId, Stack, StackId, StackKind, Tags};
use elbow_plan::policy::Mode;
use elbow_translate::{BindingTranslation, BindingVerdict};

use super::unit::{Knowledge, Unit};
use super::{CensusState, Effect, Reconciler};
use crate::record::{FilledGroup, Record};
use crate::time::Timestamp;

/// The groups of one binding.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// That which it fills, without targets.
    filled: Option<(ResourceId, TargetGroup)>,
    /// Those that it has left, likewise.
    pub(super) left: BTreeMap<ResourceId, TargetGroup>,
    /// Whether there may be others, of which nobody knows.
    pub(super) may_have_left: bool,
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
            for group in recorded.unwrap_or_default() {
                if let Some((arn, group)) = self.recorded_group(&group, name) {
                    left.insert(arn, group);
                }
            }
        }
        match &done.verdict {
            BindingVerdict::Targets(stack) => {
                left.extend(filled.take());
                filled = stack.target_groups.first_key_value().map(|(arn, group)| {
                    let targets = Vec::new();
                    let group = group.clone();
                    (arn.clone(), TargetGroup { targets, ..group })
                });
                if let Some((arn, _)) = &filled {
                    left.remove(arn);
                }
            }
            BindingVerdict::Left => left.extend(filled.take()),
            // Nothing is changed before it is known where to.
            BindingVerdict::Refused | BindingVerdict::Absent => {}
        }
        left.retain(|arn, group| !self.is_filled_elsewhere(name, arn, &group.name, snapshot));
        if let Some(work) = self.units.get_mut(unit) {
            work.groups = Groups {
                filled,
                left,
                may_have_left,
            };
        }
    }

    /// A group that an earlier machine filled. Nothing but its targets is compared.
    fn recorded_group(
        &self,
        group: &FilledGroup,
        binding: &NamespacedName,
    ) -> Option<(ResourceId, TargetGroup)> {
        let mut parts = group.arn.rsplit('/');
        let name = parts.nth(1)?.to_owned();
        let sharing = if group.is_shared {
            Sharing::Clusters {
                namespace: binding.namespace.clone(),
                binding: binding.name.clone(),
            }
        } else {
            Sharing::Exclusive
        };
        let port = Port::new(80_u16)?;
        let wanted = TargetGroup {
            name,
            target_type: TargetType::Ip,
            protocol: Protocol::Http,
            protocol_version: None,
            port,
            ip_address_type: TargetFamily::Ipv4,
            vpc_id: self.settings.translate.vpc_id.clone(),
            health_check: HealthCheck {
                port: "traffic-port".to_owned(),
                protocol: Protocol::Http,
                path: None,
                matcher: None,
                interval_seconds: 30,
                timeout_seconds: 5,
                healthy_threshold_count: 5,
                unhealthy_threshold_count: 2,
            },
            attributes: Attributes::new(),
            tags: Tags::new(),
            targets: Vec::new(),
            sharing,
            causes: Vec::new(),
        };
        Some((ResourceId::new(group.arn.clone()), wanted))
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

    /// What is wanted of the groups that a binding has left: nothing. `None` where there are none.
    pub(super) fn left_stack(&self, unit: &Unit) -> Option<Stack> {
        let left = &self.units.get(unit)?.groups.left;
        if left.is_empty() {
            return None;
        }
        let id = unit.stacks().pop_first()?;
        let mut stack = Stack::empty(id, self.settings.translate.cluster_name.clone());
        stack.target_groups.clone_from(left);
        Some(stack)
    }

    /// Nothing of a binding is in the groups that it has left.
    pub(super) fn forget_left(&mut self, unit: &Unit) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let left = std::mem::take(&mut work.groups.left);
        for stack in unit.stacks() {
            if let Some(known) = self.known.stacks.get_mut(&stack) {
                let is_left = |arn: &str| left.keys().any(|left| left.as_str() == arn);
                known
                    .target_groups
                    .retain(|group| !is_left(group.arn.as_str()));
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
