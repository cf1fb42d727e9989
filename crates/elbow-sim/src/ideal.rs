//! What a fresh account comes to when nothing disturbs a fresh run: the measure for all others.
//!
//! In: objects. Out: an account that has converged on them, with what is wanted and what is there. What
//! always holds: nothing here depends on what happened before.

use std::collections::BTreeMap;

use elbow_api::{NamespacedName, Snapshot};
use elbow_emulator::Latencies;
use elbow_model::{BundleStorage, Observed, Stack, StackId, VpcId};
use elbow_reconcile::{
    BindingReport, Effect, Report, RoundResult, Settings, Timestamp, Unit, drive,
};

use crate::account::{Account, BUCKET, CLUSTER, VPC, stack_of};
use crate::fabric::Fabric;
use crate::simulation::Users;
use crate::traffic::{Door, doors};

/// Virtual time that it may take: longer than any wait of a plan, and any deregistration delay.
const CONVERGENCE_MAX_MS: u64 = 2 * 3_600_000;
/// Virtual time after which all targets have passed their checks.
const HEALTH_MS: u64 = 600_000;
/// The moment that simulations with certificates of Secrets begin at, in milliseconds since 1970: January
/// 2026, when those that are to be valid are.
const EPOCH_MS: u64 = 1_767_225_600_000;

/// A fresh account after a fresh run.
pub(crate) struct Ideal {
    pub(crate) account: Account,
    pub(crate) now: u64,
    /// Whether AWS took all of it. What AWS refuses cannot be a measure.
    pub(crate) is_reached: bool,
    /// The last result of each unit.
    pub(crate) results: BTreeMap<Unit, RoundResult>,
    /// The last report of each Gateway.
    pub(crate) reports: BTreeMap<NamespacedName, Report>,
    /// The last report of each user's binding.
    pub(crate) binding_reports: BTreeMap<NamespacedName, BindingReport>,
    pub(crate) stacks: BTreeMap<StackId, Stack>,
    /// Listeners that serve.
    pub(crate) doors: BTreeMap<Door, String>,
}

/// Settings of the machines of a simulation.
pub(crate) fn settings(users: Users) -> Settings {
    let mut translate = elbow_translate::Settings::new(CLUSTER, VpcId::new(VPC));
    if users.keep_secrets() {
        translate.bundle_storage = Some(BundleStorage {
            bucket: BUCKET.to_owned(),
            prefix: "elbow/".to_owned(),
        });
    }
    Settings::new(translate)
}

/// When a simulation begins.
pub(crate) fn begin_ms(users: Users) -> u64 {
    match users {
        Users::KeepSecrets | Users::DoEverything => EPOCH_MS,
        Users::WriteNoBindings | Users::WriteBindings => 1,
    }
}

impl Ideal {
    /// Converges on objects, in a network as it is now.
    pub(crate) fn of(snapshot: &Snapshot, users: Users, fabric: Option<&Fabric>) -> Self {
        Self::watched(snapshot, users, fabric, &mut |_| {})
    }

    /// The same, for who wants to know how it went.
    pub(crate) fn watched(
        snapshot: &Snapshot,
        users: Users,
        fabric: Option<&Fabric>,
        see: &mut dyn FnMut(&Effect),
    ) -> Self {
        let mut account = Account::new(Latencies::instant(), fabric.is_some());
        if let Some(fabric) = fabric {
            account.follow(fabric);
        }
        let (mut reports, mut binding_reports) = (BTreeMap::new(), BTreeMap::new());
        let convergence = drive::converge(
            snapshot,
            &settings(users).unlimited(),
            &mut |now, call| account.answer(now.as_millis(), call),
            Timestamp::from_millis(begin_ms(users)),
            Timestamp::from_millis(begin_ms(users) + CONVERGENCE_MAX_MS),
            &mut |effect| {
                see(effect);
                match effect {
                    Effect::Report { gateway, report } => {
                        reports.insert(gateway.clone(), report.as_ref().clone());
                    }
                    Effect::BindingReport { binding, report } => {
                        binding_reports.insert(binding.clone(), report.as_ref().clone());
                    }
                    _ => {}
                }
            },
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
            results: convergence.results,
            reports,
            binding_reports,
            stacks: stacks
                .into_values()
                .map(|stack| (stack.id.clone(), stack))
                .collect(),
            doors,
            account,
        }
    }

    /// Whether a unit's objects say what is wanted of it: something, or nothing at all.
    pub(crate) fn decides(&self, unit: &Unit) -> bool {
        let report = unit.gateway().and_then(|name| self.reports.get(name));
        let is_of_nothing = report.is_some_and(Report::is_of_nothing);
        is_of_nothing || unit.stacks().iter().any(|id| self.stacks.contains_key(id))
    }

    /// Whether a Gateway keeps what it had under another class, since its load balancer would serve nothing
    /// under the one that it has now. A fresh run has nothing to keep.
    pub(crate) fn keeps_another_class(&self, unit: &Unit, observed: &Observed) -> bool {
        let stacks = unit.stacks();
        let is_there = |id: &StackId| {
            let there = observed.stacks.get(id);
            there.is_some_and(|stack| !stack.load_balancers.is_empty())
        };
        let mut wanted = stacks.iter().filter_map(|id| self.stacks.get(id));
        wanted.any(|stack| {
            let mut others = stacks.iter().filter(|id| **id != stack.id);
            stack.listeners.is_empty() && others.any(is_there)
        })
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
