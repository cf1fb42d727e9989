//! What must hold at every moment.
//!
//! In: plans, changes, time that passes. Out: an error that says what did not hold. What always holds:
//! the account is asked, not the machine.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::NamespacedName;
use elbow_plan::Hazard;
use elbow_reconcile::{RoundResult, Unit};

use super::Simulation;
use crate::account::CLUSTER;
use crate::fabric;
use crate::ideal::Ideal;
use crate::objects::NAMESPACE;
use crate::pods;
use crate::traffic::{self, Answer, Ask, Door};

impl Simulation {
    pub(super) fn check_plan(
        &mut self,
        unit: &Unit,
        plan: &elbow_plan::Plan,
    ) -> Result<(), String> {
        self.summary.plans += 1;
        let steps: Vec<String> = plan
            .steps
            .iter()
            .map(|step| format!("{} {} {}", step.action.as_str(), step.resource, step.name))
            .collect();
        self.trace
            .add(self.now, format!("plan of {unit}: {}", steps.join("; ")));
        for (_, hazard) in plan.hazards() {
            self.trace.add(self.now, format!("  hazard: {hazard}"));
            if matches!(
                hazard,
                Hazard::DropsTraffic { .. } | Hazard::DeletesLoadBalancer { .. }
            ) {
                self.excused.insert(unit.clone());
                self.summary.excused += 1;
            }
        }
        if !self.busy.insert(unit.clone()) {
            return Err(format!("a second plan of {unit} while one is carried out"));
        }
        let known = self.machine.as_ref().map(|machine| machine.known().clone());
        let violations = elbow_plan::lint(plan, &known.unwrap_or_default(), CLUSTER);
        if violations.is_empty() {
            Ok(())
        } else {
            let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
            Err(format!(
                "the plan of {unit} is not sound: {}",
                list.join("; ")
            ))
        }
    }

    /// No Gateway has more load balancers than that.
    pub(super) fn check_balancers(&self, most: usize) -> Result<(), String> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (stack, _) in self.balancers.values() {
            let gateway = stack
                .split_once(' ')
                .map_or(stack.as_str(), |(_, name)| name);
            *counts.entry(gateway).or_default() += 1;
        }
        match counts.into_iter().find(|(_, count)| *count > most) {
            Some((gateway, count)) => Err(format!("{gateway} has {count} load balancers")),
            None => Ok(()),
        }
    }

    /// At rest there is one for each, but for a Gateway that stopped to make sense in the middle of a
    /// replacement: it keeps both.
    pub(super) fn check_balancers_at_rest(&self) -> Result<(), String> {
        let mut blocked = self
            .results
            .values()
            .filter(|result| **result == RoundResult::Blocked);
        if blocked.next().is_some() {
            return self.check_balancers(2);
        }
        self.check_balancers(1)
    }

    /// What a fresh run of what the machine sees comes to.
    pub(super) fn ideal(&self) -> Ideal {
        Ideal::of(&self.snapshot, self.users, self.fabric())
    }

    /// Notes what clients may be answered from now on besides what they may be answered already.
    pub(super) fn show(&mut self) {
        self.shown.push(self.ideal());
        let stacks = self.shown.iter().flat_map(|ideal| ideal.stacks.values());
        self.asked = traffic::requests(stacks);
    }

    /// Whether clients of listeners that stood when the machine last rested get what they may get.
    pub(super) fn check_traffic(&mut self, n_asks: usize) -> Result<(), String> {
        if self.has_meddled
            || self.has_failed
            || self.established.is_empty()
            || self.shown.iter().any(|ideal| !ideal.is_reached)
        {
            return Ok(());
        }
        let doors = traffic::doors(&self.account.emulator, self.now, &self.balancers);
        let stood: Vec<(Door, String)> = doors
            .into_iter()
            .filter(|(door, listener)| {
                self.established.contains(listener) && !self.is_excused(door)
            })
            .collect();
        for _ in 0..n_asks {
            let Some((door, listener)) = self.asks.pick(&stood).cloned() else {
                return Ok(());
            };
            let what = if traffic::takes_requests(&door) {
                match self.asks.pick(&self.asked) {
                    Some(what) => what.clone(),
                    None => continue,
                }
            } else {
                Ask::Connection
            };
            if self
                .shown
                .iter()
                .any(|ideal| !ideal.doors.contains_key(&door))
            {
                continue;
            }
            let pick = self.asks.below(traffic::PICKS_ALL);
            self.summary.asks += 1;
            let got = traffic::ask(&self.account.emulator, self.now, &listener, &what, pick);
            if !self.is_allowed(&door, &what, pick, &got) {
                return Err(self.not_allowed(&door, &what, &got));
            }
        }
        Ok(())
    }

    fn is_excused(&self, door: &Door) -> bool {
        let name = door.stack.rsplit('/').next().unwrap_or_default();
        let unit = Unit::Gateway(NamespacedName::new(NAMESPACE, name));
        self.excused.contains(&unit)
    }

    /// Whether any configuration that was shown gives this answer. The same pick is tried first, since it
    /// gives the same answer as a rule.
    fn is_allowed(&self, door: &Door, what: &Ask, pick: u64, got: &Answer) -> bool {
        let is_error = traffic::is_error(got);
        let by_live_target = self.without_live_target(got);
        let picks = || std::iter::once(pick).chain(0..traffic::picks(what));
        self.shown.iter().rev().any(|ideal| {
            ideal.doors.get(door).is_some_and(|listener| {
                picks().any(|pick| {
                    let answer =
                        traffic::ask(&ideal.account.emulator, ideal.now, listener, what, pick);
                    // Who gets an error under one of them loses nothing by getting another.
                    answer == *got
                        || (is_error && traffic::is_error(&answer))
                        || by_live_target.as_ref().is_some_and(|got| {
                            traffic::target_of(&answer).is_some_and(|(_, rest)| rest == *got)
                        })
                })
            })
        })
    }

    /// What of an answer a rule decides, where the target is one that lives now. Pods come and go all the time
    /// in a cluster that has any, and which of them answers is no matter of what was configured when.
    fn without_live_target(&self, got: &Answer) -> Option<String> {
        self.fabric()?;
        let (target, rest) = traffic::target_of(got)?;
        let lives = match pods::spot_at(target) {
            Some(spot) => self.cluster.extras.pods.all.contains_key(&spot),
            None => self
                .cluster
                .nodes
                .keys()
                .any(|n| fabric::instance(*n) == target),
        };
        lives.then_some(rest)
    }

    fn not_allowed(&self, door: &Door, what: &Ask, got: &Answer) -> String {
        let mut text =
            format!("{door:?} answers {what:?}\nwith {got}\nbut no configuration does that:");
        for ideal in &self.shown {
            if let Some(listener) = ideal.doors.get(door) {
                let answers: BTreeSet<Answer> = (0..traffic::picks(what))
                    .map(|pick| {
                        traffic::ask(&ideal.account.emulator, ideal.now, listener, what, pick)
                    })
                    .collect();
                text.push_str(&format!("\n  {answers:?}"));
            }
        }
        text
    }
}
