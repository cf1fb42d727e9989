//! What must hold when edits and faults have ended and the machine rests.
//!
//! In: a machine that comes to rest. Out: an error that says what did not hold. What always holds: the next phase
//! begins from an account that was found to be right.

use std::collections::BTreeSet;

use elbow_api::{NamespacedName, Read, Severity};
use elbow_model::StackKind;
use elbow_reconcile::{Effect, Input, Reconciler, RoundResult, Unit};

use super::{ASKS_PER_CHANGE, DRIFT_INTERVAL_MS, EVENTS_MAX, REST_WITHIN_MS, Simulation};
use crate::bindings;
use crate::extras;
use crate::ideal::{Ideal, balancers};
use crate::objects::NAMESPACE;
use crate::report::Summary;
use crate::{settled, statuses, traffic};

/// For so long nothing may happen where nothing changes, in milliseconds; looks for drift come later.
const IDLE_MS: u64 = 240_000;

impl Simulation {
    /// Runs until the machine rests, and until pods are ready that wait for nothing but time.
    pub(super) fn rest(&mut self) -> Result<(), String> {
        self.check_by_hand()?;
        loop {
            self.rest_once()?;
            if self.now < self.connected_until {
                let until = self.connected_until;
                while self.next_at().is_some_and(|at| at <= until) {
                    self.turn()?;
                }
                self.now = self.now.max(until);
            } else if !self.wait_for_pods()? {
                return Ok(());
            }
        }
    }

    fn rest_once(&mut self) -> Result<(), String> {
        let mut deadline = self.now + REST_WITHIN_MS;
        if self.has_meddled {
            // What others did is found at the next look for drift.
            let until = self.now + 2 * DRIFT_INTERVAL_MS;
            deadline = until + REST_WITHIN_MS;
            while self.next_at().is_some_and(|at| at <= until) {
                self.turn()?;
            }
            self.now = self.now.max(until);
        }
        let mut n_events = 0;
        while !self.is_at_rest() {
            n_events += 1;
            if self.now > deadline || n_events > EVENTS_MAX {
                return self.not_resting();
            }
            if self.next_at().is_none() {
                return Err("it neither rests nor names a time to be woken".to_owned());
            }
            self.turn()?;
        }
        Ok(())
    }

    fn not_resting(&mut self) -> Result<(), String> {
        // What AWS refuses for good is no fault of the machine's.
        if !self.ideal().is_reached {
            self.summary.refused += 1;
            return Ok(());
        }
        Err(format!(
            "it does not rest within {} h: {:#?}",
            REST_WITHIN_MS / 3_600_000,
            self.results
        ))
    }

    pub(super) fn check_rest(&mut self) -> Result<(), String> {
        self.trace.add(self.now, "rests");
        self.account.check_foreign()?;
        let mut ideal = self.ideal();
        let is_reached = ideal.is_reached;
        self.check_account(&mut ideal)?;
        if is_reached {
            self.check_idle()?;
        }
        // From here on clients may be answered as these objects say.
        self.shown = vec![ideal];
        self.asked = traffic::requests(self.shown.iter().flat_map(|ideal| ideal.stacks.values()));
        self.excused.clear();
        self.has_meddled = false;
        self.has_failed = false;
        self.balancers = balancers(&mut self.account);
        let doors = traffic::doors(&self.account.emulator, self.now, &self.balancers);
        self.established = doors.into_iter().map(|(_, listener)| listener).collect();
        if is_reached {
            self.check_balancers_at_rest()?;
            self.check_traffic(8 * ASKS_PER_CHANGE)?;
        } else {
            self.established.clear();
        }
        Ok(())
    }

    /// Compares the account with that of a fresh run. Units that AWS refuses something hold up no others.
    fn check_account(&mut self, ideal: &mut Ideal) -> Result<(), String> {
        let is_done = |result: &RoundResult| {
            matches!(result, RoundResult::Converged { .. } | RoundResult::Blocked)
        };
        let refused: BTreeSet<Unit> = { ideal.results.iter() }
            .filter(|(_, result)| !is_done(result))
            .map(|(unit, _)| unit.clone())
            .collect();
        if !ideal.is_reached
            && (refused.is_empty() || refused.iter().any(|unit| unit.gateway().is_none()))
        {
            // What all share is refused, or the time was not enough.
            return Ok(());
        }
        let unfinished = self.results.iter().find(|(unit, result)| {
            !is_done(result) && !refused.contains(unit) && self.exists(unit)
        });
        if let Some((unit, result)) = unfinished {
            return Err(format!("it rests, but {unit} ended with {result:?}"));
        }
        self.check_stuck(&refused)?;
        let (account, users) = (&mut self.account, self.users);
        let observed = settled::replan(account, &self.snapshot, self.now, users, &refused)?;
        let (account, now) = (&mut ideal.account, ideal.now);
        let should_be = settled::replan(account, &self.snapshot, now, users, &refused);
        let should_be = should_be.map_err(|what| self.of_fresh_run(&what))?;
        let gateways = self.cluster.gateways.iter();
        let gateways: BTreeSet<Unit> = gateways
            .filter(|(_, gateway)| !gateway.is_deleting)
            .map(|(number, _)| gateway_unit(*number))
            .collect();
        let mut undecided: BTreeSet<Unit> = gateways
            .iter()
            .filter(|unit| {
                !ideal.decides(unit)
                    || refused.contains(unit)
                    || ideal.keeps_another_class(unit, &observed)
            })
            .cloned()
            .collect();
        let unsettled = extras::unsettled(&self.cluster);
        undecided.extend(unsettled.into_iter().map(gateway_unit));
        if refused.is_empty() && undecided.is_empty() {
            self.check_reach()?;
            self.check_gates()?;
        }
        settled::compare(&observed, &should_be, ideal, &undecided)?;
        let decided: BTreeSet<Unit> = gateways.difference(&undecided).cloned().collect();
        statuses::compare_gateways(
            [&self.kept.reports, &ideal.reports],
            [&observed, &should_be],
            &decided,
        )?;
        let (account, of_cluster) = (&mut self.account, &self.cluster.bindings);
        bindings::check_rest(account, &mut ideal.account, of_cluster)?;
        self.check_held()?;
        if !refused.is_empty() {
            return Ok(());
        }
        let bindings = self.cluster.bindings.iter().filter(|(_, b)| !b.is_deleting);
        let bindings = bindings
            .map(|(number, _)| NamespacedName::new(NAMESPACE, format!("ext-{number}")))
            .collect();
        statuses::compare_bindings(
            [&self.kept.binding_reports, &ideal.binding_reports],
            &bindings,
        )?;
        if let Some(machine) = &self.machine {
            let is_believed = |stack: &_| machine.is_believed(stack);
            settled::compare_memory(machine.known(), &observed, is_believed)?;
        }
        self.check_counts(&observed)
    }

    /// Fails where a load balancer cannot reach one of its targets.
    fn check_reach(&mut self) -> Result<(), String> {
        let fabric = self.fabric().cloned();
        let shut_out = self.account.shut_out(self.now, fabric.as_ref());
        match shut_out.first() {
            Some(first) => Err(format!("{first}: {:#?}", self.account.guards())),
            None => Ok(()),
        }
    }

    /// A fresh run is not what it should be: what it did is told, too.
    fn of_fresh_run(&self, what: &str) -> String {
        let mut steps = Vec::new();
        Ideal::watched(
            &self.snapshot,
            self.users,
            self.fabric(),
            &mut |effect| match effect {
                Effect::Aws { call, .. } if call.is_mutating() => steps.push(format!("{call:?}")),
                Effect::RoundFinished { unit, result, .. } => {
                    steps.push(format!("round of {unit}: {result:?}"));
                }
                _ => {}
            },
        );
        format!("of a fresh run, {what}\nafter\n{}", steps.join("\n"))
    }

    /// Every resource that there is, the tags lead to.
    fn check_counts(&mut self, observed: &elbow_model::Observed) -> Result<(), String> {
        let [balancers, groups, security] = self.account.count_ours();
        let counted = [
            balancers,
            groups,
            security,
            self.account.imported().len(),
            self.account.n_trust_stores(),
        ];
        // The groups of users' bindings are somebody else's.
        let stacks = observed.stacks.iter();
        let stacks = stacks.filter(|(id, _)| id.kind != StackKind::Binding);
        let mut seen = [0; 5];
        for (_, stack) in stacks {
            let of_stack = [
                stack.load_balancers.len(),
                stack.target_groups.len(),
                stack.security_groups.len(),
                stack.certificates.len(),
                stack.trust_stores.len(),
            ];
            for (sum, count) in seen.iter_mut().zip(of_stack) {
                *sum += count;
            }
        }
        if counted == seen {
            return Ok(());
        }
        Err(format!(
            "of load balancers, target groups, security groups, certificates and trust stores there are \
             {counted:?}, but the tags lead to {seen:?}"
        ))
    }

    /// Whether the objects of a unit are there. What is left of one that is gone is another's to judge.
    fn exists(&self, unit: &Unit) -> bool {
        let Some(gateway) = unit.gateway() else {
            return true;
        };
        let mut numbers = self.cluster.gateways.keys();
        numbers.any(|n| gateway_unit(*n).gateway() == Some(gateway))
    }

    /// Fails where an object waits for a finalizer that nobody takes off any more.
    fn check_stuck(&self, refused: &BTreeSet<Unit>) -> Result<(), String> {
        let extras = &self.cluster.extras;
        let mut stuck = self.cluster.gateways.iter().filter(|(number, gateway)| {
            gateway.is_deleting
                && extras.finalizers.contains_key(number)
                && !refused.contains(&gateway_unit(**number))
        });
        match stuck.next() {
            Some((number, _)) => Err(format!("gw-{number} is deleted and never goes")),
            None => Ok(()),
        }
    }

    /// Where nothing changes, nothing is asked; and where objects are touched and say what they said before,
    /// nothing either. Where objects have mistakes, AWS is asked now and then whether they are undone.
    fn check_idle(&mut self) -> Result<(), String> {
        let before = (self.summary, self.n_tagged);
        let until = self.now + IDLE_MS;
        while self.next_at().is_some_and(|at| at <= until) {
            self.turn()?;
        }
        self.now = self.now.max(until);
        self.check_calls(before, "where nothing changed")?;
        let before = (self.summary, self.n_tagged);
        let mut reads: BTreeSet<Read> = BTreeSet::new();
        for object in self.view.values() {
            reads.extend(self.snapshot.apply(object));
        }
        self.send(Input::ObjectsChanged(reads))?;
        let mut n_events = 0;
        while !self.is_at_rest() && n_events < EVENTS_MAX {
            self.turn()?;
            n_events += 1;
        }
        self.check_calls(before, "where objects were only touched")
    }

    fn check_calls(&self, (before, n_tagged): (Summary, u64), when: &str) -> Result<(), String> {
        // Where there is time for it, rules are tagged with the places that they have moved to.
        let n_changes = (self.summary.changes - self.n_tagged) - (before.changes - n_tagged);
        let n_calls = self.summary.calls - before.calls;
        if n_changes > 0 {
            return Err(format!("{n_changes} changes {when}"));
        }
        let has_mistakes = |machine: &Reconciler| {
            let mut found = machine.diagnostics().flat_map(|(_, found)| found);
            found.any(|finding| finding.severity == Severity::Error)
        };
        let has_mistakes = self.machine.as_ref().is_none_or(has_mistakes);
        // A look for drift may be due at any time.
        if n_calls > 0 && !has_mistakes && self.settings.drift_interval_ms.is_none() {
            return Err(format!("{n_calls} calls {when}"));
        }
        Ok(())
    }

    /// Everything was deleted: nothing of ours is left.
    pub(super) fn check_nothing_left(&mut self) -> Result<(), String> {
        if let Some(number) = self.cluster.gateways.keys().next()
            && self.cluster.extras.finalizers.contains_key(number)
        {
            return Err(format!("gw-{number} is deleted and never goes"));
        }
        if let Some(number) = self.cluster.bindings.keys().next() {
            return Err(format!("ext-{number} is deleted and never goes"));
        }
        let left = self.account.leftovers();
        if left.is_empty() {
            return Ok(());
        }
        Err(format!(
            "everything is deleted, and there are {}",
            left.join(", ")
        ))
    }
}

fn gateway_unit(number: u64) -> Unit {
    Unit::Gateway(NamespacedName::new(NAMESPACE, format!("gw-{number}")))
}
