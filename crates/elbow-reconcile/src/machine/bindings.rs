//! A round of a TargetGroupBinding that a user wrote: its endpoints, the targets of its group, the steps
//! from one to the other.
//!
//! In: a binding whose turn it is. Out: one look at the targets where they are not known, steps that
//! register and deregister, reports. What always holds:
//!
//! - The target group carries no tags of ours. Only targets of it are changed, and only while the binding
//!   names it and is in force ([`elbow_translate::translate_binding`]), or to take out what it filled in
//!   while it did ([`super::left_groups`]).
//! - The finalizer is on the binding before the first target is registered, where Gateways are protected so.
//! - A group that is gone, or that is no group, keeps nobody from deleting its binding.

use std::collections::BTreeSet;

use elbow_api::{Kind, NamespacedName, Object, ObjectRef, Read, Snapshot};
use elbow_model::observed::{LeftTargetGroup, ObservedTarget, ObservedTargetGroup};
use elbow_model::stack::TargetGroup;
use elbow_model::{
    AwsAnswer, AwsCall, AwsError, ErrorClass, ObservedStack, ResourceId, Stack, TargetGroupArn,
};
use elbow_translate::BindingVerdict;

use super::answers::Answer;
use super::left_groups::BoundGroup;
use super::records::believed_targets;
use super::rounds::failure_class;
use super::unit::{Knowledge, Phase, Unit, Work};
use super::{Effect, Owner, Reconciler, RoundResult};
use crate::execute::Outcome;
use crate::front::{self, BindingReport};
use crate::observe::Census;
use crate::outbox::{Priority, Sent};
use crate::settings::Protection;
use crate::time::Timestamp;

impl Reconciler {
    /// A round of a binding, from translation on.
    pub(super) fn bind(&mut self, unit: &Unit, snapshot: &Snapshot, now: Timestamp) {
        let Unit::Binding(name) = unit else { return };
        // A group that is there does not change; one that was missing may be there now.
        if self.units.get(unit).is_some_and(|work| work.has_mistakes) {
            self.facts.expire(now, self.settings.facts_age_max_ms);
        }
        let (facts, settings) = (self.facts.facts(), &self.settings.translate);
        let owner = |arn: &ResourceId| self.gateway_alone(arn);
        let done = match front::translate_binding(snapshot, facts, settings, name, owner) {
            Ok(done) => done,
            Err(queries) => {
                self.await_facts(unit, queries);
                return;
            }
        };
        self.note_groups(unit, &done, snapshot);
        let has_left = |work: &Work| !work.groups.left.is_empty();
        let has_left = self.units.get(unit).is_some_and(has_left);
        if let Some(work) = self.units.get_mut(unit) {
            // Nobody looks at its groups once it is gone: what got there unseen, by a call of an earlier
            // machine that AWS carried out late for example, has to be seen now.
            let has_looked = matches!(work.knowledge, Knowledge::Trusted | Knowledge::Believed);
            if done.is_leaving && !work.is_leaving && has_looked {
                work.knowledge = Knowledge::Doubtful;
            }
            work.is_leaving = done.is_leaving;
        }
        let stack = match &done.verdict {
            BindingVerdict::Targets(stack) => Some(stack.clone()),
            BindingVerdict::Absent => self.left_behind(unit, snapshot),
            BindingVerdict::Left => unit.stacks().pop_first().filter(|_| has_left).map(|id| {
                let cluster = self.settings.translate.cluster_name.clone();
                Stack::empty(id, cluster)
            }),
            BindingVerdict::Refused => None,
        };
        let is_first = self.units.get(unit).is_none_or(|w| !w.is_translated);
        let is_refused = done.verdict == BindingVerdict::Refused;
        let lacks_finalizer = matches!(done.verdict, BindingVerdict::Targets(_))
            && !done.is_protected
            && self.settings.protection == Protection::Finalizer;
        self.note_reads(unit, done.reads.clone());
        if let Some(work) = self.units.get_mut(unit) {
            work.is_translated = true;
            work.has_mistakes = is_refused;
            work.stack.clone_from(&stack);
        }
        // One that never had the finalizer was never in force, and has needed nothing so far.
        let was_never_in_force =
            !done.is_protected && self.settings.protection == Protection::Finalizer;
        let network = match &done.verdict {
            BindingVerdict::Refused if !was_never_in_force => None,
            _ => Some(done.network.iter().cloned().collect()),
        };
        self.note_reach(unit, network, now);
        if is_refused {
            self.reach_settled(unit, now);
        }
        self.report_binding(unit, BindingReport::new(done));
        let Some(stack) = stack else {
            self.forget_targets(unit);
            let result = if is_refused {
                RoundResult::Blocked
            } else {
                let outcome = Outcome::default();
                RoundResult::Converged { outcome }
            };
            self.finish(unit, &result, now);
            return;
        };
        if lacks_finalizer {
            self.set_phase(unit, Phase::AwaitingProtection);
            let binding = name.clone();
            self.effects.push(Effect::ProtectBinding { binding });
            return;
        }
        if is_first {
            self.believe_targets(unit, &stack, now);
        }
        match self.unknown_group(unit, &stack) {
            None => self.plan_binding(unit, &stack, snapshot, now),
            Some(group) => self.ask_for_targets(unit, &group),
        }
    }

    /// The Gateway that fills a target group and does not share it with other clusters.
    fn gateway_alone(&self, arn: &ResourceId) -> Option<NamespacedName> {
        let mut stacks = self.known.stacks.iter();
        stacks.find_map(|(id, known)| {
            let unit = Unit::of_stack(id);
            let gateway = unit.gateway()?;
            let mut groups = known.target_groups.iter();
            let group = groups.find(|group| group.arn.as_str() == arn.as_str())?;
            let resource = group.tags.get(&id.resource_tag())?;
            let wanted = self.units.get(&unit).and_then(|work| work.stack.as_ref());
            let mut wanted = wanted.into_iter().flat_map(|stack| &stack.target_groups);
            let is_shared =
                wanted.any(|(id, group)| id.as_str() == resource && !group.sharing.is_exclusive());
            (!is_shared).then(|| gateway.clone())
        })
    }

    /// A binding that vanished without being told to wait: where nothing protects it, its targets go, as
    /// those of a Gateway do.
    fn left_behind(&self, unit: &Unit, snapshot: &Snapshot) -> Option<Stack> {
        let name = unit.binding()?;
        let object = ObjectRef::new(
            Kind::TargetGroupBinding,
            name.namespace.clone(),
            name.name.clone(),
        );
        if self.settings.protection == Protection::Finalizer || snapshot.get(&object).is_some() {
            return None;
        }
        let mut stack = self.units.get(unit)?.stack.clone()?;
        for group in stack.target_groups.values_mut() {
            group.targets.clear();
        }
        Some(stack)
    }

    /// Plans the targets that are wanted; where there is nothing left to do, what is in groups that the
    /// binding has left.
    fn plan_binding(&mut self, unit: &Unit, stack: &Stack, snapshot: &Snapshot, now: Timestamp) {
        if !self.knows_own_targets(unit, stack, snapshot) {
            return;
        }
        let nothing = ObservedStack::default();
        let observed = self.known.stacks.get(&stack.id).unwrap_or(&nothing);
        let mut plan = front::plan_targets(stack, observed, &self.settings.policy);
        if plan.is_empty() {
            plan = self.plan_left(unit, &stack.id);
            if plan.is_empty() {
                self.forget_left(unit);
            }
        }
        if let Some(work) = self.units.get_mut(unit)
            && !plan.is_empty()
        {
            work.targets_at = Some(now);
        }
        self.execute(unit, plan, now);
    }

    /// Takes the targets out of the groups that a binding has left, now that the one that it names has
    /// all that are wanted.
    pub(super) fn go_on_with_left(&mut self, unit: &Unit, result: &RoundResult, now: Timestamp) {
        let is_reached = matches!(result, RoundResult::Converged { outcome } if outcome.held == 0);
        let work = self.units.get(unit);
        let has_left = work.is_some_and(|work| !work.groups.left.is_empty());
        if is_reached && has_left {
            self.enqueue(unit, Priority::Fresh, now);
        }
    }

    // --- the targets that are there ---

    /// The first group of which it is not known what is in it. Those that the binding has left are looked
    /// at like the one that it names.
    fn unknown_group(&mut self, unit: &Unit, stack: &Stack) -> Option<TargetGroupArn> {
        let is_known =
            |work: &Work| matches!(work.knowledge, Knowledge::Trusted | Knowledge::Believed);
        let work = self.units.get(unit);
        if !work.is_some_and(is_known) {
            self.known.stacks.remove(&stack.id);
        }
        let left = work.into_iter().flat_map(|work| work.groups.left.keys());
        let mut groups = stack.target_groups.keys().chain(left);
        let Some(known) = self.known.stacks.get_mut(&stack.id) else {
            return groups.next().map(|arn| TargetGroupArn::new(arn.as_str()));
        };
        let is_named = |group: &ObservedTargetGroup| {
            let mut named = stack.target_groups.keys();
            named.any(|arn| arn.as_str() == group.arn.as_str())
        };
        known.target_groups.retain(is_named);
        let is_there = |arn: &ResourceId| {
            let named = known.target_groups.iter().map(|group| &group.arn);
            let left = known.left_groups.iter().map(|group| &group.arn);
            let mut there = named.chain(left);
            there.any(|there| there.as_str() == arn.as_str())
        };
        let unknown = groups.find(|arn| !is_there(arn));
        unknown.map(|arn| TargetGroupArn::new(arn.as_str()))
    }

    fn ask_for_targets(&mut self, unit: &Unit, group: &TargetGroupArn) {
        let target_group = group.clone();
        let call = AwsCall::DescribeTargetHealth { target_group };
        let priority = self.set_phase(unit, Phase::AskingTargets);
        self.send_all(&Owner::Unit(unit.clone()), priority, vec![call]);
    }

    pub(super) fn targets_answered(
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
        let AwsCall::DescribeTargetHealth { target_group } = call else {
            return;
        };
        let arn = ResourceId::new(target_group.as_str());
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let Some(stack) = work.stack.clone() else {
            return;
        };
        let left = work.groups.left.get(&arn);
        let is_left = left.is_some();
        let error = match result {
            Ok(AwsAnswer::TargetHealth(targets)) => {
                let left = left.cloned();
                work.knowledge = Knowledge::Trusted;
                work.observed_at = now;
                work.applied = None;
                let known = self.known.stacks.entry(stack.id.clone()).or_default();
                known
                    .target_groups
                    .retain(|group| group.arn != target_group);
                known.left_groups.retain(|group| group.arn != target_group);
                if let Some(BoundGroup { name, sharing }) = left {
                    known.left_groups.push(LeftTargetGroup {
                        arn: target_group,
                        name,
                        sharing,
                        targets,
                        own: None,
                    });
                } else if let Some(group) = stack.target_groups.get(&arn) {
                    known.target_groups.push(there(&arn, group, targets));
                }
                self.bind(unit, snapshot, now);
                return;
            }
            Err(error) if is_left && error.class == ErrorClass::NotFound => {
                work.groups.left.remove(&arn);
                self.bind(unit, snapshot, now);
                return;
            }
            Ok(_) => AwsError::new(
                ErrorClass::Transient,
                "UnexpectedAnswer",
                "the answer is not that of DescribeTargetHealth",
            ),
            Err(error) => error,
        };
        if error.class == ErrorClass::NotFound {
            // It was there once. Whether there is another one of its name is looked up anew.
            for group in stack.target_groups.values() {
                self.facts.forget_target_group(&group.name);
            }
        }
        self.finish(unit, &RoundResult::LookupFailed { error }, now);
    }

    /// Nothing is known, and nothing is to be known, of the targets of a binding that is not in force.
    fn forget_targets(&mut self, unit: &Unit) {
        for stack in unit.stacks() {
            self.known.stacks.remove(&stack);
        }
        if let Some(work) = self.units.get_mut(unit) {
            work.knowledge = Knowledge::Census;
            work.applied = None;
        }
    }

    /// Takes from the census what it tells of the target groups that bindings name: a start asks nothing
    /// more about them.
    pub(super) fn learn_target_groups(
        &mut self,
        census: &Census,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        let objects = snapshot.user_binding_names().filter_map(|name| {
            let NamespacedName { namespace, name } = name.clone();
            snapshot.get(&ObjectRef::new(Kind::TargetGroupBinding, namespace, name))
        });
        let names: BTreeSet<String> = objects
            .filter_map(|object| match object {
                Object::TargetGroupBinding(binding) => binding.spec.group_name().map(str::to_owned),
                _ => None,
            })
            .collect();
        if !names.is_empty() {
            self.facts.learn_target_groups(names, census, now);
        }
    }

    // --- what changed ---

    /// The bindings that are new, or were not translated yet, among what changed.
    pub(super) fn changed_bindings(
        &mut self,
        reads: &BTreeSet<Read>,
        snapshot: &Snapshot,
    ) -> Vec<Unit> {
        let mut changed = Vec::new();
        for read in reads {
            let Read::Object(object) = read else { continue };
            if object.kind != Kind::TargetGroupBinding {
                continue;
            }
            let name = object.namespaced_name();
            let Some(Object::TargetGroupBinding(binding)) = snapshot.get(object) else {
                self.own_targets.forget(&name);
                continue;
            };
            if binding.gateway().is_none() {
                changed.push(Unit::Binding(name));
            }
        }
        changed
    }

    // --- reports ---

    pub(super) fn report_binding(&mut self, unit: &Unit, mut report: BindingReport) {
        let Unit::Binding(binding) = unit else { return };
        report.network = self.notice_of(unit);
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let left = work.groups.left.values();
        report.left = left.map(|group| group.name.clone()).collect();
        report.may_have_left = work.groups.may_have_left;
        // What failed counts as failing until a round has ended better; and what was reached stays reached
        // while nothing else is wanted.
        let before = work.reported_binding.as_ref();
        if let (None, Some(before)) = (&report.result, before) {
            let has_failed = before.result.as_ref().and_then(failure_class).is_some();
            if has_failed || before.translation == report.translation {
                report.result.clone_from(&before.result);
            }
        }
        if work.reported_binding.as_ref() == Some(&report) {
            return;
        }
        work.reported_binding = Some(report.clone());
        self.effects.push(Effect::BindingReport {
            binding: binding.clone(),
            report: Box::new(report),
        });
    }

    pub(super) fn report_binding_outcome(&mut self, unit: &Unit, result: &RoundResult) {
        let reported = self.units.get(unit);
        let reported = reported.and_then(|work| work.reported_binding.clone());
        match reported {
            Some(report) => self.report_binding(unit, report.with_result(result.clone())),
            None => self.note_unasked(unit, result),
        }
    }

    /// A binding that is gone is no unit any more.
    pub(super) fn forget_binding_if_gone(&mut self, unit: &Unit, now: Timestamp) {
        let is_gone = |work: &Work| {
            let report = work.reported_binding.as_ref();
            work.is_settled() && report.is_some_and(BindingReport::is_of_nothing)
        };
        if self.units.get(unit).is_some_and(is_gone) {
            self.note_reads(unit, BTreeSet::new());
            self.units.remove(unit);
            self.forget_reach(unit, now);
            for stack in unit.stacks() {
                self.known.stacks.remove(&stack);
                self.drop_record(&stack);
            }
        }
    }
}

/// What is there if all is that is wanted.
pub(super) fn believed(stack: &Stack) -> ObservedStack {
    let groups = stack.target_groups.iter();
    let groups = groups.map(|(arn, group)| there(arn, group, believed_targets(group)));
    ObservedStack {
        target_groups: groups.collect(),
        ..ObservedStack::default()
    }
}

/// A target group that a binding fills, with the targets that are there.
pub(super) fn there(
    arn: &ResourceId,
    group: &TargetGroup,
    targets: Vec<ObservedTarget>,
) -> ObservedTargetGroup {
    ObservedTargetGroup {
        arn: TargetGroupArn::new(arn.as_str()),
        name: group.name.clone(),
        target_type: group.target_type,
        protocol: group.protocol,
        protocol_version: group.protocol_version,
        port: group.port,
        ip_address_type: group.ip_address_type,
        vpc_id: group.vpc_id.clone(),
        health_check: group.health_check.clone(),
        attributes: group.attributes.clone(),
        tags: group.tags.clone(),
        load_balancers: BTreeSet::new(),
        targets,
        own: None,
    }
}
