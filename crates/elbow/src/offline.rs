//! The built-in AWS without sockets: what `plan`, `lint` and `render` ask.
//!
//! In: a [`Project`]. Out: an [`Account`] that holds the made-up world, and answers to calls. What
//! always holds: nothing waits; load balancers are active and targets healthy at once, so that what is
//! planned against a base is planned against a base that works.

use std::collections::{BTreeMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use elbow_api::crds::TargetGroupBinding;
use elbow_api::{NamespacedName, Snapshot};
use elbow_emulator::{Config, Emulator, HealthMode, Quotas};
use elbow_loopback::world::{self, World};
use elbow_model::{AwsAnswer, AwsCall, AwsError, CertificateMaterial, OwnTargets};
use elbow_plan::Plan;
use elbow_reconcile::drive::{self, PlanReport};
use elbow_reconcile::time::Timestamp;
use elbow_reconcile::{Effect, Input, Reconciler, Report, Unit};

use crate::certificates::Authority;
use crate::input::Project;
use crate::world::{Certificates, wanted};

/// Virtual time that a base may take to converge: longer than any deregistration delay, 3600 s.
const CONVERGENCE_MAX_MS: u64 = 2 * 3_600 * 1_000;

/// An account of the built-in AWS.
pub struct Account {
    /// The account's state.
    pub emulator: Emulator,
    authority: Authority,
    world: World,
    now: Timestamp,
    kept: VecDeque<Effect>,
    /// What machines have asked to keep, by binding.
    own_targets: BTreeMap<NamespacedName, OwnTargets>,
}

impl Account {
    /// An account with what the project takes for granted.
    pub fn for_project(project: &Project) -> anyhow::Result<Self> {
        let mut emulator = Emulator::new(Config {
            region: project.place.region.clone(),
            account_id: project.place.account.clone(),
            health: HealthMode::AssumeHealthy,
            // Quotas of the whole region are used by whatever else the account holds, and are raised
            // where many Gateways are: what is left of them is not known here, and a plan offline is not
            // about the account. Quotas of one load balancer are about the manifests, and hold.
            quotas: Quotas {
                application_load_balancers: usize::MAX,
                network_load_balancers: usize::MAX,
                target_groups: usize::MAX,
                security_groups: usize::MAX,
                rules_per_application_load_balancer: project.settings.rules_per_load_balancer_max,
                ..Quotas::default()
            },
            ..Config::default()
        });
        let authority = Authority::new()?;
        let wanted = wanted(
            &project.loaded.snapshot,
            &project.settings,
            Certificates::MakeUp(&authority),
        )?;
        let world = world::build(&mut emulator, &wanted).context("cannot make up a VPC")?;
        Ok(Self {
            emulator,
            authority,
            world,
            now: wall_clock(),
            kept: VecDeque::new(),
            own_targets: BTreeMap::new(),
        })
    }

    /// The same at another time than now: certificates are judged by it.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// Adds what another project takes for granted.
    pub fn extend(&mut self, project: &Project) -> anyhow::Result<()> {
        let wanted = wanted(
            &project.loaded.snapshot,
            &project.settings,
            Certificates::MakeUp(&self.authority),
        )?;
        self.world = world::extend(&mut self.emulator, &self.world, &wanted)
            .context("cannot make up what the manifests name")?;
        Ok(())
    }

    /// What would be done for a project.
    pub fn plan(&mut self, project: &Project) -> PlanReport {
        let start = self.now;
        let settings = elbow_reconcile::Settings {
            epoch_ms: start.as_millis(),
            ..elbow_reconcile::Settings::new(project.settings.clone())
        };
        let emulator = &mut self.emulator;
        drive::plan_once(&project.loaded.snapshot, &settings, &mut |now, call| {
            answer(emulator, start.plus_millis(now.as_millis()), call, None)
        })
    }

    /// Does what is to be done for a project, until it rests.
    pub fn converge(&mut self, project: &Project) -> Done {
        self.converge_watched(project, &mut |_, _, _| {})
    }

    /// [`Account::converge`], with a look at the account after each call.
    pub fn converge_watched(
        &mut self,
        project: &Project,
        after_call: &mut dyn FnMut(&mut Emulator, Timestamp, &AwsCall),
    ) -> Done {
        let settings = elbow_reconcile::Settings::new(project.settings.clone()).unlimited();
        let deadline = self.now.plus_millis(CONVERGENCE_MAX_MS);
        let emulator = &mut self.emulator;
        let mut reports = BTreeMap::new();
        let mut plans = Vec::new();
        let convergence = drive::converge(
            &project.loaded.snapshot,
            &settings,
            &mut |now, call| {
                let material = project.material(call);
                let result = answer(emulator, now, call, material.as_ref());
                after_call(emulator, now, call);
                result
            },
            self.now,
            deadline,
            &mut |effect| match effect {
                Effect::Report { gateway, report } => {
                    reports.insert(gateway.clone(), report.as_ref().clone());
                }
                Effect::PlanReady { unit, plan } => plans.push((unit.clone(), plan.clone())),
                _ => {}
            },
        );
        self.now = convergence.now;
        Done {
            convergence,
            reports,
            plans,
        }
    }

    /// Carries out what [`Account::keep`] kept, and all that follows from it.
    pub fn finish(&mut self, reconciler: &mut Reconciler, snapshot: &Snapshot) {
        while let Some(effect) = self.kept.pop_front() {
            let next = match effect {
                Effect::Aws { id, call } => {
                    let result = self.call(&call);
                    reconciler.step(Input::AwsAnswered { id, result }, snapshot, self.now)
                }
                Effect::WakeAt(at) => {
                    self.now = self.now.max(at);
                    reconciler.step(Input::Tick, snapshot, self.now)
                }
                effect => match drive::keep_own_targets(&mut self.own_targets, &effect) {
                    Some(input) => reconciler.step(input, snapshot, self.now),
                    None => continue,
                },
            };
            // A later moment to wake at takes the place of an earlier one.
            if next
                .iter()
                .any(|effect| matches!(effect, Effect::WakeAt(_)))
            {
                self.kept
                    .retain(|effect| !matches!(effect, Effect::WakeAt(_)));
            }
            self.kept.extend(next);
            if reconciler.is_quiet() {
                self.kept
                    .retain(|effect| matches!(effect, Effect::Aws { .. }));
            }
        }
    }

    /// Keeps effects for [`Account::finish`].
    pub fn keep(&mut self, effects: Vec<Effect>) {
        self.kept.extend(effects);
    }

    /// What was made up.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Asks the account something that is no part of a round.
    pub fn call(&mut self, call: &AwsCall) -> Result<AwsAnswer, AwsError> {
        answer(&mut self.emulator, self.now, call, None)
    }

    /// The time in the account.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// What was done.
pub struct Done {
    /// How it ended.
    pub convergence: drive::Convergence,
    /// What each Gateway came to.
    pub reports: BTreeMap<NamespacedName, Report>,
    /// The plans that were carried out, in their order.
    pub plans: Vec<(Unit, Plan)>,
}

impl Done {
    /// The TargetGroupBindings, with the ids that AWS gave.
    pub fn bindings(&self) -> Vec<TargetGroupBinding> {
        self.reports.values().flat_map(Report::bindings).collect()
    }
}

/// The time of day, by which certificates of Secrets are judged.
fn wall_clock() -> Timestamp {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since_1970.map_or(0, |elapsed| elapsed.as_millis());
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

fn answer(
    emulator: &mut Emulator,
    now: Timestamp,
    call: &AwsCall,
    material: Option<&CertificateMaterial>,
) -> Result<AwsAnswer, AwsError> {
    elbow_loopback::answer_with(
        emulator,
        elbow_emulator::Timestamp::from_millis(now.as_millis()),
        call,
        material,
    )
}
