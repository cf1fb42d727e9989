//! Driving the machine without waiting: for `elbow plan`, for tests and for the simulator.
//!
//! In: a Snapshot, and a function that carries out calls. Out: what would be done ([`plan_once`]), or
//! what was done ([`converge`]). What always holds: both drive the same [`Reconciler`] that the
//! controller drives; time passes only when there is nothing else to do, and then up to the next
//! moment that the machine named.

use std::collections::{BTreeMap, VecDeque};

use elbow_api::{Diagnostic, NamespacedName, Snapshot};
use elbow_model::{AwsAnswer, AwsCall, AwsError, Observed, OwnTargets, Stack};
use elbow_plan::Plan;
use elbow_plan::policy::Mode;

use crate::front::{BindingReport, Report};
use crate::machine::{Effect, Input, Reconciler, RoundResult, Unit};
use crate::settings::Settings;
use crate::time::Timestamp;

/// Carries out one call at a time.
pub type Aws<'a> = dyn FnMut(Timestamp, &AwsCall) -> Result<AwsAnswer, AwsError> + 'a;

/// What would be done.
#[derive(Debug, Clone, Default)]
pub struct PlanReport {
    /// What each Gateway comes to.
    pub reports: BTreeMap<NamespacedName, Report>,
    /// What each TargetGroupBinding comes to that a user wrote.
    pub bindings: BTreeMap<NamespacedName, BindingReport>,
    /// The plan of each unit that has anything to do.
    pub plans: BTreeMap<Unit, Plan>,
    /// Units for which AWS could not be asked.
    pub failures: BTreeMap<Unit, AwsError>,
    /// What is there.
    pub observed: Observed,
    /// What is wanted, by unit: for `elbow render`.
    pub stacks: BTreeMap<Unit, Stack>,
}

impl PlanReport {
    /// All plans as one: what is shared is made first and deleted last. Empty when there is nothing to
    /// do.
    pub fn plan(&self) -> Plan {
        let shared = self.plans.get(&Unit::Cluster).cloned().unwrap_or_default();
        let network = self.plans.get(&Unit::Network).cloned().unwrap_or_default();
        let others = self.plans.iter();
        let others = others.filter(|(unit, _)| !matches!(unit, Unit::Cluster | Unit::Network));
        elbow_plan::merge(shared, network, others.map(|(_, plan)| plan.clone()))
    }

    /// All findings, each once.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let mut all: Vec<Diagnostic> = self
            .reports
            .values()
            .flat_map(Report::diagnostics)
            .chain(self.bindings.values().flat_map(BindingReport::diagnostics))
            .cloned()
            .collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Plans everything and changes nothing.
///
/// The settings' policy is replaced by a dry run; the steps of the plans are freed of that mark again,
/// so that they print as the controller's own.
pub fn plan_once(snapshot: &Snapshot, settings: &Settings, aws: &mut Aws<'_>) -> PlanReport {
    let mut settings = settings.clone().unlimited();
    let mode = std::mem::replace(&mut settings.policy.mode, Mode::DryRun);
    let policy = elbow_plan::Policy {
        mode,
        ..settings.policy.clone()
    };
    let mut report = PlanReport::default();
    let mut reconciler = Reconciler::new(settings);
    let mut driver = Driver::new(Timestamp::default());
    driver.send(&mut reconciler, snapshot, Input::Start);
    // A failed round would be tried again later; once is enough here.
    while !reconciler.is_at_rest() {
        let goes_on = driver.turn(&mut reconciler, snapshot, aws, &mut |effect| {
            report.take_in(effect, &policy);
        });
        if !goes_on {
            break;
        }
    }
    driver.drain(&mut |effect| report.take_in(effect, &policy));
    report.observed = reconciler.known().clone();
    report.stacks = reconciler.stacks();
    report
}

impl PlanReport {
    fn take_in(&mut self, effect: &Effect, policy: &elbow_plan::Policy) {
        match effect {
            Effect::Report { gateway, report } => {
                self.reports
                    .insert(gateway.clone(), report.as_ref().clone());
            }
            Effect::BindingReport { binding, report } => {
                self.bindings
                    .insert(binding.clone(), report.as_ref().clone());
            }
            Effect::PlanReady { unit, plan } => {
                self.plans
                    .insert(unit.clone(), policy.apply(without_dry_run(plan)));
            }
            Effect::RoundFinished {
                unit,
                result: RoundResult::LookupFailed { error },
                ..
            } => {
                self.failures.insert(unit.clone(), error.clone());
            }
            _ => {}
        }
    }
}

/// A plan as it is without the policy of a dry run.
fn without_dry_run(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for step in &mut plan.steps {
        if step.held == Some(elbow_plan::Held::DryRun) {
            step.held = None;
        }
    }
    plan
}

/// How [`converge`] ended.
#[derive(Debug)]
#[must_use = "a failure has to be reported"]
pub struct Convergence {
    /// The machine, to go on with.
    pub reconciler: Reconciler,
    /// The time that it took, as the end.
    pub now: Timestamp,
    /// Whether the machine came to rest; otherwise the time was up.
    pub is_quiet: bool,
    /// The last result of each unit's rounds.
    pub results: BTreeMap<Unit, RoundResult>,
    /// Calls by operation.
    pub calls: BTreeMap<&'static str, usize>,
}

/// Drives a new machine until it is quiet, or until `deadline`.
pub fn converge(
    snapshot: &Snapshot,
    settings: &Settings,
    aws: &mut Aws<'_>,
    start: Timestamp,
    deadline: Timestamp,
    on_effect: &mut dyn FnMut(&Effect),
) -> Convergence {
    let mut reconciler = Reconciler::new(settings.clone());
    let mut driver = Driver::new(start);
    driver.send(&mut reconciler, snapshot, Input::Start);
    let mut results = BTreeMap::new();
    let mut calls = BTreeMap::new();
    while !reconciler.is_quiet() && driver.now() <= deadline {
        let mut see = |effect: &Effect| {
            match effect {
                Effect::RoundFinished { unit, result, .. } => {
                    results.insert(unit.clone(), result.clone());
                }
                Effect::Aws { call, .. } => *calls.entry(call.operation()).or_default() += 1,
                _ => {}
            }
            on_effect(effect);
        };
        if !driver.turn(&mut reconciler, snapshot, aws, &mut see) {
            break;
        }
    }
    driver.drain(on_effect);
    Convergence {
        is_quiet: reconciler.is_quiet(),
        reconciler,
        now: driver.now(),
        results,
        calls,
    }
}

/// Keeps in memory what an effect asks to keep about the targets of shared groups. Answers with what to
/// tell the machine; `None` for an effect that is about something else.
pub fn keep_own_targets(
    kept: &mut BTreeMap<NamespacedName, OwnTargets>,
    effect: &Effect,
) -> Option<Input> {
    let binding = match effect {
        Effect::ReadOwnTargets { binding } => binding,
        Effect::KeepOwnTargets { binding, targets } => {
            kept.insert(binding.clone(), targets.clone());
            binding
        }
        _ => return None,
    };
    Some(Input::OwnTargets {
        binding: binding.clone(),
        result: Ok(kept.get(binding).cloned()),
    })
}

/// Carries out effects one after the other.
#[derive(Debug)]
pub struct Driver {
    now: Timestamp,
    effects: VecDeque<Effect>,
    wake_at: Option<Timestamp>,
    /// What the machine has asked to keep, by binding.
    own_targets: BTreeMap<NamespacedName, OwnTargets>,
}

impl Driver {
    /// A driver whose clock shows this time.
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            effects: VecDeque::new(),
            wake_at: None,
            own_targets: BTreeMap::new(),
        }
    }

    /// Keeps what an earlier machine asked to keep about the targets of a binding; `None` for nothing.
    pub fn keep_own_targets(&mut self, binding: NamespacedName, targets: Option<OwnTargets>) {
        match targets {
            Some(targets) => self.own_targets.insert(binding, targets),
            None => self.own_targets.remove(&binding),
        };
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Tells the machine that something happened.
    pub fn send(&mut self, reconciler: &mut Reconciler, snapshot: &Snapshot, input: Input) {
        let effects = reconciler.step(input, snapshot, self.now);
        self.wake_at = None;
        for effect in effects {
            if let Effect::WakeAt(at) = effect {
                self.wake_at = Some(at);
            } else {
                self.effects.push_back(effect);
            }
        }
    }

    /// Carries out the next effect; where there is none, lets time pass to the next moment that the
    /// machine named. Answers with `false` when there is no such moment.
    pub fn turn(
        &mut self,
        reconciler: &mut Reconciler,
        snapshot: &Snapshot,
        aws: &mut Aws<'_>,
        on_effect: &mut dyn FnMut(&Effect),
    ) -> bool {
        if let Some(effect) = self.effects.pop_front() {
            on_effect(&effect);
            let answer = match effect {
                Effect::Aws { id, call } => {
                    let result = aws(self.now, &call);
                    Some(Input::AwsAnswered { id, result })
                }
                effect => keep_own_targets(&mut self.own_targets, &effect),
            };
            if let Some(input) = answer {
                self.send(reconciler, snapshot, input);
            }
            return true;
        }
        let Some(at) = self.wake_at else { return false };
        self.now = self.now.max(at);
        self.send(reconciler, snapshot, Input::Tick);
        true
    }

    /// Takes the effects that are left, none of which is a call once the machine is quiet.
    pub fn drain(&mut self, on_effect: &mut dyn FnMut(&Effect)) {
        while let Some(effect) = self.effects.pop_front() {
            on_effect(&effect);
        }
    }
}
