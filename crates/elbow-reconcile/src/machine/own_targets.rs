//! Which targets of shared target groups are this cluster's: read before anything is deregistered, written
//! before anything is registered.
//!
//! In: Stacks with groups that several clusters share, and what a driver keeps for each of their
//! bindings. Out: [`Effect::ReadOwnTargets`], [`Effect::KeepOwnTargets`], and for the planner
//! [`ObservedTargetGroup::own`](elbow_model::observed::ObservedTargetGroup::own). What always holds:
//!
//! - What is kept contains all that was ever registered and is still there: it is written, and the writing
//!   is answered, before the first call that registers.
//! - Where nothing is kept, nothing is deregistered; what is wanted then is kept from there on, as with LBC.
//! - A target that was deregistered is dropped from it after the round, for its address may become a
//!   target of another cluster.

use std::collections::BTreeMap;

use elbow_api::{NamespacedName, Snapshot};
use elbow_model::observed::{ObservedStack, ObservedTargetGroup, TargetState};
use elbow_model::stack::{Sharing, Target};
use elbow_model::{AwsError, OwnTargets, ResourceId, Stack, StackKind};
use elbow_plan::policy::Mode;

use super::unit::{Phase, Unit};
use super::units::Trait;
use super::{Effect, Reconciler, RoundResult};
use crate::time::Timestamp;

/// What is kept, by binding.
#[derive(Debug, Default)]
pub(super) struct OwnTargetsBook {
    entries: BTreeMap<NamespacedName, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    kept: Kept,
    /// Whether an answer is outstanding.
    is_out: bool,
}

#[derive(Debug, Default)]
enum Kept {
    /// It was not read, or its writing was not answered well.
    #[default]
    Unknown,
    Nothing,
    Targets(OwnTargets),
}

impl OwnTargetsBook {
    /// A binding is gone, and what is kept of it with it.
    pub(super) fn forget(&mut self, binding: &NamespacedName) {
        if self.entries.get(binding).is_some_and(|entry| !entry.is_out) {
            self.entries.remove(binding);
        }
    }

    /// Whether an answer is outstanding.
    pub(super) fn is_out(&self) -> bool {
        self.entries.values().any(|entry| entry.is_out)
    }

    /// What is kept; `None` also while it is not known.
    fn kept(&self, binding: &NamespacedName) -> Option<&OwnTargets> {
        match &self.entries.get(binding)?.kept {
            Kept::Targets(targets) => Some(targets),
            Kept::Unknown | Kept::Nothing => None,
        }
    }
}

impl Reconciler {
    /// Whether all is known and written down that planning and registering the targets of shared groups
    /// takes; the planner is told it. If not, the unit waits for it.
    pub(super) fn knows_own_targets(
        &mut self,
        unit: &Unit,
        stack: &Stack,
        snapshot: &Snapshot,
    ) -> bool {
        let mut bindings = self.bindings_of_shared(stack, snapshot);
        let work = self.units.get(unit);
        let left = work.into_iter().flat_map(|work| &work.groups.left);
        bindings.extend(left.filter_map(|(id, group)| {
            let Sharing::Clusters { namespace, binding } = &group.sharing else {
                return None;
            };
            let name = NamespacedName::new(namespace.clone(), binding.clone());
            Some((id.clone(), name))
        }));
        let is_shared = !bindings.is_empty();
        if let Some(work) = self.units.get_mut(unit) {
            work.own_targets.clone_from(&bindings);
        }
        if !is_shared {
            return true;
        }
        if self.read_own_targets(&bindings) {
            for (id, binding) in &bindings {
                let own = self.own_targets.kept(binding).cloned();
                if let Some(known) = self.known.stacks.get_mut(&stack.id) {
                    for group in groups_of(stack, known, id) {
                        group.own.clone_from(&own);
                    }
                    for group in &mut known.left_groups {
                        if group.arn.as_str() == id.as_str() {
                            group.own.clone_from(&own);
                        }
                    }
                }
            }
            if self.write_own_targets(stack, &bindings) {
                return true;
            }
        }
        self.set_phase(unit, Phase::AwaitingOwnTargets);
        false
    }

    /// Writes down what is left, now that a round has reached what was wanted. Nobody waits for that.
    pub(super) fn trim_own_targets(&mut self, unit: &Unit) {
        let Some(work) = self.units.get(unit) else {
            return;
        };
        // What is in a group that was left is still to be known as its own.
        let has_left = !work.groups.left.is_empty();
        if work.own_targets.is_empty() || has_left || self.is_stopping {
            return;
        }
        let bindings = work.own_targets.clone();
        if let Some(stack) = work.applied.clone() {
            self.write_own_targets(&stack, &bindings);
        }
    }

    /// Takes in what is kept, and goes on with who waits for it.
    pub(super) fn take_own_targets(
        &mut self,
        binding: &NamespacedName,
        result: Result<Option<OwnTargets>, AwsError>,
        now: Timestamp,
    ) {
        let entry = self.own_targets.entries.entry(binding.clone()).or_default();
        entry.is_out = false;
        let error = match result {
            Ok(kept) => {
                entry.kept = kept.map_or(Kept::Nothing, Kept::Targets);
                None
            }
            Err(error) => {
                entry.kept = Kept::Unknown;
                Some(error)
            }
        };
        self.units.settle(&self.settings);
        let waiting: Vec<Unit> = self.units.with(Trait::AwaitsOwnTargets).cloned().collect();
        for unit in waiting {
            let work = self.units.get(&unit);
            if !work.is_some_and(|work| work.own_targets.values().any(|b| b == binding)) {
                continue;
            }
            if let Some(error) = &error {
                let error = error.clone();
                self.finish(&unit, &RoundResult::LookupFailed { error }, now);
            } else {
                let priority = self.set_phase(&unit, Phase::Idle);
                self.enqueue(&unit, priority, now);
            }
        }
    }

    /// The bindings of the shared groups of a Stack. One that is there for the same target group keeps its
    /// name, whatever the name of the target group is now.
    fn bindings_of_shared(
        &self,
        stack: &Stack,
        snapshot: &Snapshot,
    ) -> BTreeMap<ResourceId, NamespacedName> {
        let mut bindings = BTreeMap::new();
        for (id, group) in &stack.target_groups {
            let Sharing::Clusters { namespace, binding } = &group.sharing else {
                continue;
            };
            let known = self.known.stacks.get(&stack.id);
            let groups = known.into_iter().flat_map(|known| &known.target_groups);
            let tag = stack.id.resource_tag();
            let is_it = |group: &&ObservedTargetGroup| {
                group.tags.get(&tag).map(String::as_str) == Some(id.as_str())
            };
            let of_gateway = groups.filter(is_it).find_map(|group| {
                let others = snapshot.bindings_of(&group.name);
                let other = others.into_iter().find(|other| {
                    other.gateway().is_some()
                        && other.spec.target_group_arn.as_deref() == Some(group.arn.as_str())
                        && other.metadata.namespace.as_ref() == Some(namespace)
                })?;
                other.metadata.name.clone()
            });
            let name = of_gateway.unwrap_or_else(|| binding.clone());
            bindings.insert(id.clone(), NamespacedName::new(namespace.clone(), name));
        }
        bindings
    }

    /// Whether it is known what is kept of each; what is not is asked for.
    fn read_own_targets(&mut self, bindings: &BTreeMap<ResourceId, NamespacedName>) -> bool {
        let mut are_known = true;
        for binding in bindings.values() {
            let entry = self.own_targets.entries.entry(binding.clone()).or_default();
            if entry.is_out {
                are_known = false;
            } else if matches!(entry.kept, Kept::Unknown) {
                are_known = false;
                entry.is_out = true;
                self.effects.push(Effect::ReadOwnTargets {
                    binding: binding.clone(),
                });
            }
        }
        are_known
    }

    /// Whether what is to be kept is kept; what is not is written.
    fn write_own_targets(
        &mut self,
        stack: &Stack,
        bindings: &BTreeMap<ResourceId, NamespacedName>,
    ) -> bool {
        if self.settings.policy.mode == Mode::DryRun {
            return true;
        }
        let mut wanted_of: BTreeMap<&NamespacedName, Vec<Target>> = BTreeMap::new();
        for (id, binding) in bindings {
            let kept = self.own_targets.kept(binding);
            let wanted = stack.target_groups.get(id);
            let known = self.known.stacks.get(&stack.id);
            let left = known.into_iter().flat_map(|known| &known.left_groups);
            let left = left.filter(|group| group.arn.as_str() == id.as_str());
            let left: Vec<_> = left.collect();
            if wanted.is_none() && left.is_empty() {
                continue;
            }
            let named = known.into_iter().flat_map(|known| &known.target_groups);
            let named = named.filter(|group| is_of(stack, id, group));
            let left = left.into_iter().flat_map(|group| &group.targets);
            let there = named.flat_map(|group| &group.targets).chain(left);
            let there = there.filter(|target| target.state != TargetState::Draining);
            let there = there.map(|observed| &observed.target);
            let is_own = |target: &&Target| kept.is_some_and(|own| own.contains(target));
            // A binding that has left a group has two.
            let of_binding = wanted_of.entry(binding).or_default();
            of_binding.extend(wanted.into_iter().flat_map(|group| &group.targets).cloned());
            of_binding.extend(there.filter(is_own).cloned());
        }
        let mut are_kept = true;
        for (binding, targets) in wanted_of {
            let kept = self.own_targets.kept(binding);
            let targets: OwnTargets = targets.iter().collect();
            // Nothing kept and an empty list come to the same.
            if kept == Some(&targets) || (kept.is_none() && targets.is_empty()) {
                continue;
            }
            are_kept = false;
            let entry = self.own_targets.entries.entry(binding.clone()).or_default();
            if !entry.is_out {
                entry.is_out = true;
                self.effects.push(Effect::KeepOwnTargets {
                    binding: binding.clone(),
                    targets,
                });
            }
        }
        are_kept
    }
}

/// The observed groups that are a target group of a Stack: two while one replaces the other.
fn groups_of<'k>(
    stack: &'k Stack,
    known: &'k mut ObservedStack,
    id: &'k ResourceId,
) -> impl Iterator<Item = &'k mut ObservedTargetGroup> {
    let groups = known.target_groups.iter_mut();
    groups.filter(|group| is_of(stack, id, group))
}

/// Whether an observed group is a target group of a Stack.
fn is_of(stack: &Stack, id: &ResourceId, group: &ObservedTargetGroup) -> bool {
    if stack.id.kind == StackKind::Binding {
        return group.arn.as_str() == id.as_str();
    }
    let tag = stack.id.resource_tag();
    group.tags.get(&tag).map(String::as_str) == Some(id.as_str())
}
