//! Listeners that somebody makes by hand on our load balancers, and that forward to our target groups.
//!
//! In: a cluster in which nobody knows of them. Out: an error where the machine asks AWS again and again for
//! what cannot be had while they are there, where they hold up somebody else, or where nobody is told. What
//! always holds: what is wanted is there all the same, and the rest goes once they are gone.

use std::collections::BTreeSet;

use elbow_model::rule::{Action, Forward, WeightedTargetGroup};
use elbow_model::stack::Protocol;
use elbow_model::{AwsAnswer, AwsCall, ListenerArn, LoadBalancerArn, Port, Ref, Tags};
use elbow_reconcile::{RoundResult, Unit};

use super::Simulation;

/// The port of such a listener; no Gateway has it.
const PORT: u16 = 8444;
/// After so long everybody knows that what stands in the way stays there, in milliseconds.
const SETTLED_MS: u64 = 2_400_000;
/// In so long calls are counted, in milliseconds.
const COUNTED_MS: u64 = 3_600_000;
/// Calls of that time which one Gateway may cost that waits for somebody: a dozen tries with a look before each,
/// two looks for drift at everything, and look-ups once a minute where objects have mistakes. Without waits that
/// grow it is more than twice as many.
const CALLS_MAX: u64 = 700;

/// The listeners.
#[derive(Debug, Default)]
pub(super) struct ByHand {
    listeners: BTreeSet<ListenerArn>,
}

impl Simulation {
    /// Somebody makes a listener.
    pub(super) fn make_by_hand(&mut self) {
        let balancers = self.account.our_load_balancers();
        let Some(balancer) = self.pods.pick(&balancers).cloned() else {
            return;
        };
        let groups = self.account.target_groups().into_iter();
        let groups: Vec<_> = groups
            .filter(|group| group.load_balancers.contains(&balancer))
            .collect();
        let (Some(group), Some(port)) = (self.pods.pick(&groups), Port::new(PORT)) else {
            return;
        };
        let is_network = balancer.as_str().contains(":loadbalancer/net/");
        let call = AwsCall::CreateListener {
            load_balancer: Ref::Known(balancer),
            port,
            protocol: if is_network {
                Protocol::Tcp
            } else {
                Protocol::Http
            },
            default_action: Action::Forward(Forward {
                target_groups: vec![WeightedTargetGroup {
                    target_group: Ref::Known(group.arn.clone()),
                    weight: None,
                }],
                stickiness: None,
            }),
            default_certificate: None,
            ssl_policy: None,
            alpn_policy: None,
            mutual_authentication: None,
            tags: Tags::new(),
        };
        let result = self.account.answer(self.now, &call);
        self.trace
            .add(self.now, format!("somebody makes a listener: {result:?}"));
        if let Ok(AwsAnswer::ListenerCreated(listener)) = result {
            self.by_hand.listeners.insert(listener);
            self.has_meddled = true;
            self.summary.by_hand += 1;
        }
    }

    /// Whether others have, or may have, their hands in what the machine believes to know.
    pub(super) fn is_disturbed(&self) -> bool {
        self.has_meddled || !self.by_hand.listeners.is_empty()
    }

    /// Looks how the machine lives with these listeners. Where that is not for good, they go.
    pub(super) fn check_by_hand(&mut self) -> Result<(), String> {
        let there: BTreeSet<ListenerArn> = self.account.all_listeners().into_iter().collect();
        self.by_hand.listeners.retain(|arn| there.contains(arn));
        if self.by_hand.listeners.is_empty() {
            return Ok(());
        }
        self.pass(SETTLED_MS)?;
        let before = self.summary.calls;
        self.pass(COUNTED_MS)?;
        let n_calls = self.summary.calls - before;
        let stuck: Vec<(Unit, RoundResult)> = self
            .results
            .iter()
            .filter(|(_, result)| matches!(result, RoundResult::Incomplete { .. }))
            .map(|(unit, result)| (unit.clone(), result.clone()))
            .collect();
        let held = stuck.iter().filter(|(_, result)| is_held(result)).count() as u64;
        if held > 0 {
            self.summary.held += 1;
            let ideal = self.ideal();
            let refused = stuck.len() as u64 - held;
            if refused == 0 && ideal.is_reached && n_calls > CALLS_MAX * held {
                return Err(format!(
                    "{n_calls} calls in an hour in which {held} Gateways wait for somebody's listener"
                ));
            }
            for (unit, result) in &stuck {
                let is_fine = |other: &RoundResult| {
                    matches!(other, RoundResult::Converged { .. } | RoundResult::Blocked)
                };
                let is_refused = ideal.results.get(unit).is_some_and(|r| !is_fine(r));
                if !is_held(result) && !is_refused && !matches!(unit, Unit::Network | Unit::Cluster)
                {
                    return Err(format!("somebody's listener holds up {unit}: {result:?}"));
                }
                if is_held(result) && !is_refused {
                    self.check_told(unit)?;
                }
            }
        } else if self.pods.chance(500) {
            return Ok(());
        }
        for listener in std::mem::take(&mut self.by_hand.listeners) {
            let listener = Ref::Known(listener);
            let gone = self
                .account
                .answer(self.now, &AwsCall::DeleteListener { listener });
            self.trace
                .add(self.now, format!("somebody's listener goes: {gone:?}"));
            self.has_meddled = true;
        }
        Ok(())
    }

    /// A Gateway that waits for somebody says so.
    fn check_told(&self, unit: &Unit) -> Result<(), String> {
        let report = unit.gateway().and_then(|name| self.kept.reports.get(name));
        let failure = report.and_then(elbow_reconcile::Report::failure);
        match failure {
            Some(_) => Ok(()),
            None => Err(format!(
                "{unit} waits for somebody's listener, and nobody is told"
            )),
        }
    }

    /// Lets so much time pass.
    fn pass(&mut self, time_ms: u64) -> Result<(), String> {
        let until = self.now + time_ms;
        while self.next_at().is_some_and(|at| at <= until) {
            self.turn()?;
        }
        self.now = self.now.max(until);
        Ok(())
    }
}

/// Whether all that could not be done is to delete target groups.
fn is_held(result: &RoundResult) -> bool {
    let RoundResult::Incomplete { outcome } = result else {
        return false;
    };
    let mut failures = outcome.failures.iter();
    failures.all(|failure| failure.operation == "DeleteTargetGroup")
}

impl crate::account::Account {
    /// Load balancers that tags prove to be ours.
    pub(crate) fn our_load_balancers(&mut self) -> Vec<LoadBalancerArn> {
        let mut ours = Vec::new();
        for balancer in self.load_balancers() {
            let tags = self.tags_of(balancer.arn.as_str()).unwrap_or_default();
            if crate::account::stack_of(&tags).is_some() {
                ours.push(balancer.arn);
            }
        }
        ours
    }

    /// The listeners of all of them.
    pub(crate) fn all_listeners(&mut self) -> Vec<ListenerArn> {
        let mut listeners = Vec::new();
        for load_balancer in self.our_load_balancers() {
            let of_it = self.listeners_of(&load_balancer).into_iter();
            listeners.extend(of_it.map(|listener| listener.arn));
        }
        listeners
    }
}
