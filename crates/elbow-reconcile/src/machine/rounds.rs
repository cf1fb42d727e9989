//! One round of one unit: observe what is there, translate what is wanted, plan, carry out.
//!
//! In: a unit whose turn it is. Out: calls, reports, and in the end a [`RoundResult`]. What always
//! holds: translation comes after observation, so that it knows the load balancer that is there; a
//! Gateway that needs something shared waits for it ([`super::shared`]); a Gateway that cannot be translated as a
//! whole keeps what it has.

use std::borrow::Cow;
use std::collections::BTreeSet;

use elbow_api::Snapshot;
use elbow_model::observed::{LoadBalancerState, ObservedLoadBalancer};
use elbow_model::{AwsError, ErrorClass, FactQuery, ObservedStack, ResourceKind, Stack, StackId};
use elbow_plan::policy::MovedRules;
use elbow_plan::{Action, Plan};

use super::network::Told;
use super::unit::{Knowledge, Phase, Unit, Work};
use super::{CensusState, Effect, Owner, Reconciler, RoundResult};
use crate::execute::{Execution, Failure, Next, Outcome};
use crate::front::{self, Translation};
use crate::observe::{Census, Observation, Scope, Sighting};
use crate::outbox::Priority;
use crate::settings::Protection;
use crate::time::Timestamp;

impl Reconciler {
    /// Begins the rounds whose turn it is, the most urgent first.
    pub(super) fn run_ready(&mut self, snapshot: &Snapshot, now: Timestamp) {
        self.start_facts();
        while let Some((_, _, unit)) = self.ready.pop_first() {
            if self.is_stopping {
                return;
            }
            self.begin(&unit, snapshot, now);
            self.start_facts();
        }
    }

    fn begin(&mut self, unit: &Unit, snapshot: &Snapshot, now: Timestamp) {
        let work = self.units.entry(unit);
        work.priority = work.wanted.take();
        work.queued = None;
        work.retry_at = None;
        let knowledge = work.knowledge;
        if unit.binding().is_some() {
            self.bind(unit, snapshot, now);
            return;
        }
        match knowledge {
            Knowledge::Trusted | Knowledge::Believed => {
                self.translate_and_plan(unit, snapshot, now);
            }
            Knowledge::Census if self.believe(unit, now) => {
                self.translate_and_plan(unit, snapshot, now);
            }
            Knowledge::Census | Knowledge::Doubtful => self.observe(unit, snapshot, now),
        }
    }

    // --- observing ---

    pub(super) fn observe(&mut self, unit: &Unit, snapshot: &Snapshot, now: Timestamp) {
        if *unit == Unit::Network {
            self.observe_network(snapshot, now);
            return;
        }
        let stacks = unit.stacks();
        let is_first = self
            .units
            .get(unit)
            .is_some_and(|w| w.knowledge == Knowledge::Census);
        let scope = match &self.census {
            CensusState::Done(parts) if is_first => {
                let mut census = Census::default();
                for part in stacks.iter().filter_map(|stack| parts.get(stack)) {
                    census.merge(part.clone());
                }
                Scope::Details { census, stacks }
            }
            _ => Scope::Stacks {
                stacks,
                known_tags: self.known_tags.clone(),
            },
        };
        let (observation, calls) = Observation::start(self.settings.whose(), scope);
        if observation.is_done() {
            self.observed(unit, observation.finish(), snapshot, now);
            return;
        }
        let priority = self.set_phase(unit, Phase::Observing(Box::new(observation)));
        self.send_all(&Owner::Unit(unit.clone()), priority, calls);
    }

    /// Takes in what was observed, and goes on.
    pub(super) fn observed(
        &mut self,
        unit: &Unit,
        sighting: Sighting,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        for stack in unit.stacks() {
            self.known.stacks.remove(&stack);
        }
        self.known.stacks.extend(sighting.observed.stacks);
        for stack in unit.stacks() {
            self.note_provisioning(&stack);
            if let CensusState::Done(parts) = &mut self.census {
                parts.remove(&stack);
            }
            if !self.known.stacks.contains_key(&stack) {
                self.drop_record(&stack);
            }
        }
        let tags = sighting.census.known_tags();
        if sighting.lists_everything {
            let census = &sighting.census;
            self.known_tags.retain(|arn, _| census.lists(arn));
        }
        self.known_tags.extend(tags);
        if let Some(work) = self.units.get_mut(unit) {
            work.knowledge = Knowledge::Trusted;
            work.believed = None;
            work.observed_at = now;
            // What was seen may differ from what the last plan left: compare all of it.
            work.applied = None;
        }
        self.note_chain(unit, now);
        self.translate_and_plan(unit, snapshot, now);
    }

    // --- translating and planning ---

    pub(super) fn translate_and_plan(&mut self, unit: &Unit, snapshot: &Snapshot, now: Timestamp) {
        match unit {
            Unit::Cluster => self.plan_cluster(snapshot, now),
            Unit::Network => self.begin_network(snapshot, now),
            Unit::Gateway(_) => self.translate_gateway(unit, snapshot, now),
            Unit::Binding(_) => self.bind(unit, snapshot, now),
        }
    }

    fn translate_gateway(&mut self, unit: &Unit, snapshot: &Snapshot, now: Timestamp) {
        let Unit::Gateway(name) = unit else { return };
        let wants_fresh_facts = self.units.get(unit).is_none_or(|work| {
            !work.is_translated || work.has_mistakes || work.priority == Some(Priority::Drift)
        });
        if wants_fresh_facts {
            self.facts.expire(now, self.settings.facts_age_max_ms);
        }
        // Whoever owns a group that a route names may have made it anew, under another ARN.
        if let Some(work) = self.units.get(unit)
            && work.failures > 0
            && let Some(stack) = &work.stack
        {
            let named = front::groups_of_others(stack);
            self.facts.forget_target_groups(&named);
        }
        for stack in unit.stacks() {
            let existing = crate::facts::existing_load_balancer(&self.known, &stack);
            self.facts
                .facts_mut()
                .load_balancers
                .insert(stack, existing);
        }
        self.tell_facts(now);
        let translation =
            front::translate(snapshot, self.facts.facts(), &self.settings.translate, name);
        match translation {
            Translation::NeedFacts(queries) => self.await_facts(unit, queries),
            Translation::Done(done) => {
                let held = match self.held_targets(unit, &done, snapshot) {
                    Ok(held) => held,
                    Err(queries) => {
                        self.await_facts(unit, queries);
                        return;
                    }
                };
                let networks = match (front::networks(&done, name), &held) {
                    (None, Some(held)) => Told::Part(held.networks.clone()),
                    (networks, _) => networks.into(),
                };
                let mut reads = done.reads;
                reads.extend(held.iter().flat_map(|held| held.reads.clone()));
                self.note_reads(unit, reads);
                if let Some(work) = self.units.get_mut(unit) {
                    work.is_translated = true;
                    work.held = held.is_some().then_some(RoundResult::Blocked);
                    work.has_mistakes = done.has_mistakes;
                    let until = done.holds_until_seconds;
                    work.holds_until = until.map(|seconds| self.settings.moment(seconds));
                    work.stack.clone_from(&done.stack);
                }
                self.note_reach(unit, networks, now);
                self.report(unit, done.report);
                if let Some(stack) = &done.stack
                    && self.settings.protection == Protection::Finalizer
                    && let Some(controller) = front::lacks_finalizer(snapshot, name, stack)
                {
                    self.set_phase(unit, Phase::AwaitingProtection);
                    self.effects.push(Effect::Protect {
                        gateway: name.clone(),
                        controller,
                    });
                    return;
                }
                match self.confirm(unit, done.stack.as_ref(), &done.unwanted) {
                    Some(true) => {
                        let outcome = Outcome::default();
                        self.finish(unit, &RoundResult::Converged { outcome }, now);
                    }
                    // What the lists and the record tell is not what is wanted: look at all of it. That
                    // is few enough calls, and each round begins with the knowledge that it needs.
                    Some(false) => self.look_again(unit, Knowledge::Census, snapshot, now),
                    None if self.must_look(unit, done.stack.as_ref()) => {
                        self.look_again(unit, Knowledge::Doubtful, snapshot, now);
                    }
                    None if let Some(held) = held => {
                        self.plan_held(unit, &held, &done.unwanted, snapshot, now);
                    }
                    None => {
                        self.plan_gateway(unit, snapshot, done.stack.as_ref(), &done.unwanted, now);
                    }
                }
            }
        }
    }

    /// Whether more changes than targets, of something that is only believed.
    fn must_look(&self, unit: &Unit, stack: Option<&Stack>) -> bool {
        let Some(work) = self.units.get(unit) else {
            return false;
        };
        let is_alike = match (&work.applied, stack) {
            (Some(applied), Some(stack)) => front::differ_in_targets_only(applied, stack),
            _ => false,
        };
        work.knowledge == Knowledge::Believed && !is_alike
    }

    pub(super) fn look_again(
        &mut self,
        unit: &Unit,
        knowledge: Knowledge,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        if let Some(work) = self.units.get_mut(unit) {
            work.knowledge = knowledge;
            work.applied = None;
        }
        self.observe(unit, snapshot, now);
    }

    /// Plans what the Gateway asks for, and then the end of what it does not ask for any more: a load
    /// balancer of its other controller goes when the new one serves.
    fn plan_gateway(
        &mut self,
        unit: &Unit,
        snapshot: &Snapshot,
        stack: Option<&Stack>,
        unwanted: &BTreeSet<StackId>,
        now: Timestamp,
    ) {
        if stack.is_some_and(|stack| self.must_await_cluster(stack)) {
            let priority = self.set_phase(unit, Phase::AwaitingCluster);
            self.enqueue(&Unit::Cluster, priority, now);
            return;
        }
        let rest = stack.and_then(|stack| self.without_unavailable(stack));
        self.note_lacking(unit, rest.as_ref());
        let stack = rest.as_ref().map(|rest| &rest.stack).or(stack);
        if let Some(stack) = stack
            && !self.knows_own_targets(unit, stack, snapshot)
        {
            return;
        }
        let left = self.left(unwanted);
        let plan = match stack {
            Some(stack) if !left.is_empty() => {
                let old: Vec<_> = left.iter().map(|(empty, is)| (empty, *is)).collect();
                let nothing = ObservedStack::default();
                let observed = self.known.stacks.get(&stack.id).unwrap_or(&nothing);
                front::plan_switch(stack, observed, &old, &self.known, &self.settings.policy)
            }
            Some(stack) => self.plan_wanted(unit, stack, now),
            None => self.plan_end(unwanted),
        };
        self.execute(unit, plan, now);
    }

    /// What is there of Stacks of which nothing is wanted, each beside what it is to come to.
    fn left(&self, unwanted: &BTreeSet<StackId>) -> Vec<(Stack, &ObservedStack)> {
        let name = &self.settings.translate.cluster_name;
        let there = unwanted.iter().filter_map(|id| {
            let observed = self.known.stacks.get(id)?;
            Some((Stack::empty(id.clone(), name.clone()), observed))
        });
        there.collect()
    }

    /// Plans the end of Stacks of which nothing is wanted.
    pub(super) fn plan_end(&self, unwanted: &BTreeSet<StackId>) -> Plan {
        let mut plan = Plan::default();
        for (empty, observed) in self.left(unwanted) {
            let policy = &self.settings.policy;
            plan.append(front::plan_stack(&empty, observed, &self.known, policy));
        }
        plan
    }

    fn plan_wanted(&mut self, unit: &Unit, stack: &Stack, now: Timestamp) -> Plan {
        let applied = self.units.get(unit).and_then(|work| work.applied.as_ref());
        let only_targets =
            applied.is_some_and(|applied| front::differ_in_targets_only(applied, stack));
        let nothing = ObservedStack::default();
        let observed = self.known.stacks.get(&stack.id).unwrap_or(&nothing);
        let mut policy = Cow::Borrowed(&self.settings.policy);
        let priority = self.units.get(unit).and_then(|work| work.priority);
        if priority == Some(Priority::Drift) {
            // There is time now for what nobody waits for.
            policy.to_mut().moved_rules = MovedRules::Retag;
        }
        if only_targets {
            let plan = front::plan_targets(stack, observed, &policy);
            if let Some(work) = self.units.get_mut(unit) {
                work.targets_at = Some(now);
            }
            plan
        } else {
            front::plan_stack(stack, observed, &self.known, &policy)
        }
    }

    // --- carrying out ---

    pub(super) fn execute(&mut self, unit: &Unit, plan: Plan, now: Timestamp) {
        if plan.is_empty() {
            self.finish(
                unit,
                &RoundResult::Converged {
                    outcome: Outcome::default(),
                },
                now,
            );
            return;
        }
        self.effects.push(Effect::PlanReady {
            unit: unit.clone(),
            plan: plan.clone(),
        });
        self.drop_records(&plan);
        let is_new_load_balancer = plan.steps.iter().any(|step| {
            step.resource.kind == ResourceKind::LoadBalancer
                && matches!(step.action, Action::Create | Action::Replace)
        });
        if let Some(work) = self.units.get_mut(unit) {
            work.record_at = None;
            if is_new_load_balancer {
                work.programmed = front::Programmed::default();
            }
        }
        let provided = self.provided();
        let (backoff, polls) = (self.settings.backoff, self.settings.polls);
        let deferred = self
            .units
            .get_mut(unit)
            .and_then(|work| work.deferred.take());
        let execution = Execution::new(plan, provided, backoff, polls).resuming(deferred);
        self.set_phase(unit, Phase::Executing(Box::new(execution)));
        self.pump(unit, now);
    }

    /// Makes the next call of a plan, or ends the round.
    pub(super) fn pump(&mut self, unit: &Unit, now: Timestamp) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let priority = work.priority.unwrap_or(Priority::Retry);
        let Phase::Executing(execution) = &mut work.phase else {
            return;
        };
        if self.is_stopping {
            execution.abandon();
        }
        let next = execution.next(now);
        emit_progress(&mut self.effects, unit, execution);
        match next {
            Next::Call(call) => self.outbox.push(Owner::Unit(unit.clone()), priority, *call),
            Next::At(_) | Next::Answer => {}
            Next::Finished => {
                let outcome = execution.outcome();
                let result = if outcome.is_complete() {
                    RoundResult::Converged { outcome }
                } else if outcome.is_abandoned {
                    RoundResult::Superseded
                } else {
                    RoundResult::Incomplete { outcome }
                };
                self.finish(unit, &result, now);
            }
        }
    }

    /// Gives up a plan that only waits, because something newer is wanted.
    pub(super) fn supersede(&mut self, unit: &Unit, now: Timestamp) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let Phase::Executing(execution) = &mut work.phase else {
            return;
        };
        work.deferred = execution.deferred();
        let mut steps = execution.plan().steps.iter();
        if steps.any(|step| !matches!(step.action, Action::Register | Action::Deregister)) {
            // What was brought about before may be half undone by now: compare all of it.
            work.applied = None;
        }
        execution.abandon();
        emit_progress(&mut self.effects, unit, execution);
        if execution.outcome().must_observe {
            work.knowledge = Knowledge::Doubtful;
        }
        self.finish(unit, &RoundResult::Superseded, now);
    }

    // --- ending ---

    pub(super) fn finish(&mut self, unit: &Unit, result: &RoundResult, now: Timestamp) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        work.phase = Phase::Idle;
        work.finished_at = now;
        let result = match (result, &work.held) {
            (RoundResult::Converged { outcome }, Some(held)) => {
                if outcome.must_observe {
                    work.knowledge = Knowledge::Doubtful;
                }
                held
            }
            (result, _) => result,
        };
        let mut result = work.with_shared_failures(result.clone());
        if work.failures >= PERSISTENT_AFTER
            && let RoundResult::Incomplete { outcome } = &mut result
        {
            for failure in &mut outcome.failures {
                failure.persists = matches!(
                    failure.error.class,
                    ErrorClass::Conflict | ErrorClass::NotFound
                );
            }
        }
        let result = &result;
        let failed_with = failure_class(result);
        if let RoundResult::Converged { outcome } | RoundResult::Incomplete { outcome } = result {
            if outcome.must_observe {
                work.knowledge = Knowledge::Doubtful;
            }
            let is_reached = outcome.is_complete() && outcome.held == 0 && work.lacking.is_empty();
            work.applied = if is_reached { work.stack.clone() } else { None };
            let is_brought_about = outcome.is_complete() && outcome.held == 0;
            if is_reached {
                self.plan_record(unit, now);
                self.trim_own_targets(unit);
            }
            let has_left = |work: &Work| !work.groups.left.is_empty();
            if is_brought_about && !self.units.get(unit).is_some_and(has_left) {
                self.reach_settled(unit, now);
            }
        }
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        if let Some(report) = &work.reported
            && front::is_settled_by(result)
        {
            work.programmed = front::Programmed::of(&report.translation);
        }
        if *result != RoundResult::Superseded {
            // Its wait is over, one way or the other.
            work.deferred = None;
        }
        match failed_with {
            Some(class) => {
                work.failures = work.failures.saturating_add(1);
                let asker = unit.to_string();
                let backoff = &self.settings.backoff;
                let mut wait = backoff.wait_ms(class, work.failures, &asker);
                if let Some(tries) = work.failures.checked_sub(PERSISTENT_AFTER)
                    && waits_for_somebody(result)
                {
                    // Somebody has to do something about it, and is told: it is tried less often.
                    wait = wait.max(backoff.wait_ms(ErrorClass::Invalid, tries, &asker));
                }
                work.retry_at = Some(now.plus_millis(wait));
            }
            None if *result != RoundResult::Superseded => work.failures = 0,
            None => {}
        }
        let retry_at = work.retry_at;
        self.report_outcome(unit, result);
        self.effects.push(Effect::RoundFinished {
            unit: unit.clone(),
            result: result.clone(),
            retry_at,
        });
        if let Some(wanted) = self.units.get(unit).and_then(|work| work.wanted) {
            self.enqueue(unit, wanted, now);
        }
        match unit {
            Unit::Cluster => {
                self.cluster_finished(result, retry_at, now);
            }
            Unit::Network => self.network_finished(result, now),
            Unit::Gateway(_) => {
                self.watch_provisioning(unit, now);
                self.note_chain(unit, now);
                self.let_go(unit, result, now);
                self.forget_if_gone(unit, now);
                self.go_on_with_network(now);
                self.review_cluster(now);
            }
            Unit::Binding(_) => {
                self.go_on_with_left(unit, result, now);
                self.forget_binding_if_gone(unit, now);
                self.go_on_with_network(now);
            }
        }
    }

    /// Goes on looking at a load balancer that is being set up.
    fn watch_provisioning(&mut self, unit: &Unit, now: Timestamp) {
        let is_provisioning = unit
            .stacks()
            .iter()
            .any(|id| self.provisioning.contains(id));
        if is_provisioning && !self.is_stopping {
            let at = now.plus_millis(self.settings.polls.load_balancers_ms);
            self.provisioning_poll_at.get_or_insert(at);
        }
    }

    /// Notes whether a Stack has a load balancer that is being set up, after what is known of it changed.
    pub(super) fn note_provisioning(&mut self, stack: &StackId) {
        let balancers = self
            .known
            .stacks
            .get(stack)
            .map(|s| s.load_balancers.as_slice());
        let is_provisioning =
            |lb: &ObservedLoadBalancer| lb.state == LoadBalancerState::Provisioning;
        if balancers.unwrap_or_default().iter().any(is_provisioning) {
            self.provisioning.insert(stack.clone());
        } else {
            self.provisioning.remove(stack);
        }
    }

    /// A Gateway that is deleted and has nothing left is no unit any more.
    fn forget_if_gone(&mut self, unit: &Unit, now: Timestamp) {
        let wants_nothing = |work: &Work| {
            work.is_settled()
                && work.knowledge == Knowledge::Trusted
                && work
                    .reported
                    .as_ref()
                    .is_some_and(front::Report::is_of_nothing)
        };
        if !self.has_anything(unit) && self.units.get(unit).is_some_and(wants_nothing) {
            self.note_reads(unit, BTreeSet::new());
            self.units.remove(unit);
            self.forget_reach(unit, now);
            for stack in unit.stacks() {
                let facts = self.facts.facts_mut();
                facts.load_balancers.remove(&stack);
                facts.application_load_balancers.remove(&stack);
            }
        }
    }

    // --- small parts ---

    /// Sets the phase of a unit and answers with the urgency of its round.
    pub(super) fn set_phase(&mut self, unit: &Unit, phase: Phase) -> Priority {
        let work = self.units.entry(unit);
        work.phase = phase;
        work.priority.unwrap_or(Priority::Retry)
    }

    /// Waits for facts, and has them looked up.
    pub(super) fn await_facts(&mut self, unit: &Unit, queries: BTreeSet<FactQuery>) {
        let priority = self.set_phase(unit, Phase::AwaitingFacts(queries.clone()));
        self.facts.want(queries, priority);
    }

    pub(super) fn note_reads(&mut self, unit: &Unit, reads: BTreeSet<elbow_api::Read>) {
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        let before = std::mem::replace(&mut work.reads, reads);
        for read in before.difference(&work.reads) {
            if let Some(units) = self.readers.get_mut(read) {
                units.remove(unit);
                if units.is_empty() {
                    self.readers.remove(read);
                }
            }
        }
        for read in work.reads.difference(&before) {
            self.readers
                .entry(read.clone())
                .or_default()
                .insert(unit.clone());
        }
    }

    pub(super) fn report(&mut self, unit: &Unit, report: front::Report) {
        let Unit::Gateway(gateway) = unit else { return };
        let mut report = report.with_known(&self.known);
        report.network = self.notice_of(unit);
        let Some(work) = self.units.get_mut(unit) else {
            return;
        };
        // What failed counts as failing until a round has ended better, or conditions would flip with
        // each try.
        report.programmed.clone_from(&work.programmed);
        let told = work
            .reported
            .as_ref()
            .and_then(front::Report::load_balancer);
        report.told = told.map(|lb| lb.arn.clone());
        let before = work
            .reported
            .as_ref()
            .and_then(|before| before.result.as_ref());
        if let (None, Some(failed)) = (
            &report.result,
            before.filter(|r| failure_class(r).is_some()),
        ) {
            report.result = Some(failed.clone());
        }
        if work.reported.as_ref() == Some(&report) {
            return;
        }
        work.reported = Some(report.clone());
        self.effects.push(Effect::Report {
            gateway: gateway.clone(),
            report: Box::new(report),
        });
    }

    /// Reports again, now that it is known what became of the plan.
    pub(super) fn report_outcome(&mut self, unit: &Unit, result: &RoundResult) {
        if unit.binding().is_some() {
            self.report_binding_outcome(unit, result);
            return;
        }
        let reported = self.units.get(unit).and_then(|work| work.reported.clone());
        match reported {
            Some(report) => self.report(unit, report.with_result(result)),
            None => self.note_unasked(unit, result),
        }
    }

    fn start_facts(&mut self) {
        if self.is_stopping {
            return;
        }
        if let Some((priority, calls)) = self.facts.start(&self.settings.translate.vpc_id) {
            self.send_all(&Owner::Facts, priority, calls);
        }
    }
}

/// Failed rounds in a row after which a conflict is told to people. With [`Backoff::default`](crate::Backoff) that is
/// a quarter of a minute, in which what is stale has been looked at again and what AWS lets go of late is free.
const PERSISTENT_AFTER: u32 = 5;

/// Whether all that failed stays as it is until somebody does something about it.
fn waits_for_somebody(result: &RoundResult) -> bool {
    match result {
        RoundResult::Incomplete { outcome } => {
            !outcome.failures.is_empty() && outcome.failures.iter().all(Failure::is_lasting)
        }
        _ => false,
    }
}

/// The class by which a round that failed is tried again.
pub(super) fn failure_class(result: &RoundResult) -> Option<ErrorClass> {
    match result {
        RoundResult::Converged { .. } | RoundResult::Superseded | RoundResult::Blocked => None,
        RoundResult::Incomplete { outcome } => {
            Some(outcome.retry_class().unwrap_or(ErrorClass::Conflict))
        }
        RoundResult::LookupFailed {
            error: AwsError { class, .. },
        } => Some(*class),
    }
}

/// Tells which steps changed their state.
pub(super) fn emit_progress(effects: &mut Vec<Effect>, unit: &Unit, execution: &mut Execution) {
    let changed = execution.take_changed().into_iter();
    effects.extend(changed.map(|(step, state)| Effect::Progress {
        unit: unit.clone(),
        step: Box::new(step),
        state,
    }));
}
