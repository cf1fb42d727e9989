//! What a fresh account comes to when nothing disturbs a fresh run: the measure for all others.
//!
//! In: objects. Out: an account that has converged on them, with what is wanted and what is there. What
//! always holds: nothing here depends on what happened before.

use std::collections::BTreeMap;

use elbow_api::Snapshot;
use elbow_emulator::Latencies;
use elbow_model::{Stack, StackId, VpcId};
use elbow_reconcile::{Settings, Timestamp, Unit, drive};

use crate::account::{Account, CLUSTER, VPC, stack_of};
use crate::traffic::{Door, doors};

/// Virtual time that it may take: longer than any wait of a plan, and any deregistration delay.
const CONVERGENCE_MAX_MS: u64 = 2 * 3_600_000;
/// Virtual time after which all targets have passed their checks.
const HEALTH_MS: u64 = 600_000;

/// A fresh account after a fresh run.
pub(crate) struct Ideal {
    pub(crate) account: Account,
    pub(crate) now: u64,
    /// Whether AWS took all of it. What AWS refuses cannot be a measure.
    pub(crate) is_reached: bool,
    pub(crate) stacks: BTreeMap<StackId, Stack>,
    /// Listeners that serve.
    pub(crate) doors: BTreeMap<Door, String>,
}

/// Settings of a machine without budgets, for which nobody else changes anything.
pub(crate) fn settings() -> Settings {
    Settings::new(elbow_translate::Settings::new(CLUSTER, VpcId::new(VPC))).unlimited()
}

impl Ideal {
    /// Converges on objects.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let mut account = Account::new(Latencies::instant());
        let convergence = drive::converge(
            snapshot,
            &settings(),
            &mut |now, call| account.answer(now.as_millis(), call),
            Timestamp::from_millis(1),
            Timestamp::from_millis(CONVERGENCE_MAX_MS),
            &mut |_| {},
        );
        let now = convergence.now.as_millis() + HEALTH_MS;
        account
            .emulator
            .advance(elbow_emulator::Timestamp::from_millis(now));
        let balancers = balancers(&mut account);
        let doors = doors(&account.emulator, now, &balancers)
            .into_iter()
            .collect();
        let stacks = convergence.reconciler.stacks();
        Self {
            now,
            is_reached: convergence.is_quiet,
            stacks: stacks
                .into_values()
                .map(|stack| (stack.id.clone(), stack))
                .collect(),
            doors,
            account,
        }
    }

    /// Whether a unit's objects say what is wanted of it.
    pub(crate) fn decides(&self, unit: &Unit) -> bool {
        unit.stacks().iter().any(|id| self.stacks.contains_key(id))
    }
}

/// Our load balancers by ARN: the Stack, and whether it is public.
pub(crate) fn balancers(account: &mut Account) -> BTreeMap<String, (String, bool)> {
    let mut found = BTreeMap::new();
    for balancer in account.load_balancers() {
        let arn = balancer.arn.to_string();
        if let Some(stack) = account.tags_of(&arn).as_ref().and_then(stack_of) {
            let is_public = balancer.scheme == Some(elbow_model::stack::Scheme::InternetFacing);
            found.insert(arn, (stack, is_public));
        }
    }
    found
}
