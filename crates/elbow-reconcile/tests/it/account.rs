//! A folder of one text, an emulated account, and a machine between the two.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use elbow_api::{NamespacedName, ObjectRef, Snapshot};
use elbow_cluster::Input as Source;
use elbow_emulator::{Config, Emulator, HealthMode};
use elbow_loopback::world::{self, Reach, Wanted, WantedCertificate, WantedNode, WantedSubnet};
use elbow_model::{AwsAnswer, AwsCall, AwsError, CertificateArn, OwnTargets, StackId, VpcId};
use elbow_reconcile::drive::Driver;
use elbow_reconcile::{Effect, Input, Reconciler, Record, RoundResult, Settings, Timestamp, Unit};

/// The certificate that manifests of tests name.
pub(crate) const CERTIFICATE: &str =
    "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012";

/// An ALB with two listeners, a route and a Service with one endpoint.
pub(crate) const ALB: &str = include_str!("manifests/alb.yaml");
/// An NLB with a listener, a route and a Service with one endpoint.
pub(crate) const NLB: &str = include_str!("manifests/nlb.yaml");

/// Objects from texts.
pub(crate) fn snapshot(texts: &[&str]) -> Snapshot {
    let loaded = elbow_cluster::load(&[Source::Stdin(texts.join("\n---\n").into_bytes())]);
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == elbow_api::Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    loaded.snapshot
}

/// Settings of a machine without limits.
pub(crate) fn settings() -> Settings {
    let translate = elbow_translate::Settings::new("demo", VpcId::new("vpc-0123456789abcdef0"));
    Settings::new(translate).unlimited()
}

/// An emulated account, the time in it, and what was asked of it.
pub(crate) struct Account {
    pub(crate) emulator: Emulator,
    pub(crate) now: Timestamp,
    pub(crate) calls: Vec<AwsCall>,
}

impl Account {
    /// An account in which nothing takes time.
    pub(crate) fn new() -> Self {
        Self::with(Config {
            health: HealthMode::AssumeHealthy,
            ..Config::default()
        })
    }

    pub(crate) fn with(config: Config) -> Self {
        let mut emulator = Emulator::new(config);
        let wanted = Wanted {
            cluster_name: "demo".to_owned(),
            vpc_id: Some(VpcId::new("vpc-0123456789abcdef0")),
            subnets: vec![WantedSubnet {
                identifier: Some("subnet-0123456789abcdef0".to_owned()),
                place: 0,
                reach: Reach::Private,
                tags: BTreeMap::new(),
            }],
            certificates: vec![WantedCertificate {
                arn: Some(CertificateArn::new(CERTIFICATE)),
                domains: vec!["app.example.com".to_owned()],
                pem: elbow_emulator::acm::CertificatePem::default(),
            }],
            nodes: vec![WantedNode {
                name: "node-1".to_owned(),
                instance_id: Some("i-0123456789abcdef0".to_owned()),
                zone: None,
                address: None,
            }],
            pods: (10..=40).map(|n| Ipv4Addr::new(192, 168, 96, n)).collect(),
            ..Wanted::default()
        };
        let world = world::build(&mut emulator, &wanted).unwrap();
        assert!(world.made_up.iter().any(|made| made.id == CERTIFICATE));
        Self {
            emulator,
            now: Timestamp::from_millis(1_000),
            calls: Vec::new(),
        }
    }

    pub(crate) fn answer(&mut self, now: Timestamp, call: &AwsCall) -> Result<AwsAnswer, AwsError> {
        self.now = now;
        self.calls.push(call.clone());
        let at = elbow_emulator::Timestamp::from_millis(now.as_millis());
        elbow_loopback::answer(&mut self.emulator, at, call)
    }

    /// Operations since the last look, in order.
    pub(crate) fn take_operations(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.calls)
            .iter()
            .map(AwsCall::operation)
            .collect()
    }

    /// Mutating operations since the last look, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<&'static str> {
        let calls = std::mem::take(&mut self.calls);
        calls
            .iter()
            .filter(|call| call.is_mutating())
            .map(AwsCall::operation)
            .collect()
    }
}

/// A machine that runs over a Snapshot and an account.
pub(crate) struct Run {
    pub(crate) reconciler: Reconciler,
    pub(crate) snapshot: Snapshot,
    driver: Driver,
    pub(crate) effects: Vec<Effect>,
}

impl Run {
    /// A machine that has just been started.
    pub(crate) fn start(account: &Account, snapshot: Snapshot, settings: Settings) -> Self {
        Self::start_with(account, snapshot, settings, BTreeMap::new())
    }

    /// One that is given the records of an earlier machine.
    pub(crate) fn start_with(
        account: &Account,
        snapshot: Snapshot,
        settings: Settings,
        records: BTreeMap<StackId, Record>,
    ) -> Self {
        let mut run = Self {
            reconciler: Reconciler::new(settings),
            snapshot,
            driver: Driver::new(account.now),
            effects: Vec::new(),
        };
        run.send(Input::Records(records));
        run.send(Input::Start);
        run
    }

    /// Keeps what an earlier machine is to have kept about the targets of a binding.
    pub(crate) fn keep(&mut self, binding: NamespacedName, targets: Option<OwnTargets>) {
        self.driver.keep_own_targets(binding, targets);
    }

    pub(crate) fn send(&mut self, input: Input) {
        self.driver
            .send(&mut self.reconciler, &self.snapshot, input);
    }

    /// Makes the Snapshot that of other texts, as a watched folder would.
    pub(crate) fn edit(&mut self, texts: &[&str]) {
        let after = snapshot(texts);
        let mut reads = std::collections::BTreeSet::new();
        let gone: Vec<ObjectRef> = self
            .snapshot
            .objects()
            .iter()
            .map(elbow_api::Object::object_ref)
            .filter(|object| after.get(object).is_none())
            .collect();
        for object in gone {
            reads.extend(self.snapshot.remove(&object));
        }
        for object in after.objects() {
            if self.snapshot.get(&object.object_ref()).as_ref() != Some(&object) {
                reads.extend(self.snapshot.apply(&object));
            }
        }
        self.send(Input::ObjectsChanged(reads));
    }

    /// Carries out one effect, or lets time pass. `false` when there is nothing to do.
    pub(crate) fn turn(
        &mut self,
        aws: &mut dyn FnMut(Timestamp, &AwsCall) -> Result<AwsAnswer, AwsError>,
    ) -> bool {
        let effects = &mut self.effects;
        self.driver
            .turn(&mut self.reconciler, &self.snapshot, aws, &mut |effect| {
                effects.push(effect.clone());
            })
    }

    /// Runs until nothing is left to do, for at most ten hours of virtual time.
    pub(crate) fn settle(&mut self, account: &mut Account) {
        self.settle_with(&mut |now, call| account.answer(now, call));
    }

    pub(crate) fn settle_with(
        &mut self,
        aws: &mut dyn FnMut(Timestamp, &AwsCall) -> Result<AwsAnswer, AwsError>,
    ) {
        let deadline = self.driver.now().plus_millis(10 * 3_600_000);
        while !self.reconciler.is_quiet() {
            assert!(
                self.driver.now() < deadline,
                "not quiet: {:?}",
                self.results()
            );
            assert!(self.turn(aws), "stuck: {:?}", self.results());
        }
        let effects = &mut self.effects;
        self.driver
            .drain(&mut |effect| effects.push(effect.clone()));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.driver.now()
    }

    /// The last result of each unit.
    pub(crate) fn results(&self) -> BTreeMap<Unit, RoundResult> {
        let finished = self.effects.iter().filter_map(|effect| match effect {
            Effect::RoundFinished { unit, result, .. } => Some((unit.clone(), result.clone())),
            _ => None,
        });
        finished.collect()
    }

    /// Fails unless every unit is what it is meant to be.
    #[track_caller]
    pub(crate) fn assert_converged(&self) {
        for (unit, result) in self.results() {
            assert!(
                matches!(result, RoundResult::Converged { .. }),
                "{unit}: {result:#?}"
            );
        }
    }

    /// Steps of all plans so far, as text.
    pub(crate) fn planned(&self) -> Vec<String> {
        let plans = self.effects.iter().filter_map(|effect| match effect {
            Effect::PlanReady { plan, .. } => Some(plan),
            _ => None,
        });
        plans
            .flat_map(|plan| &plan.steps)
            .map(|step| {
                format!(
                    "{} {} {}",
                    step.action.as_str(),
                    step.resource.kind,
                    step.name
                )
            })
            .collect()
    }
}

/// The plan for a Snapshot now, as text; empty when all is as it is meant to be.
pub(crate) fn planned_from_scratch(account: &mut Account, snapshot: &Snapshot) -> Vec<String> {
    let start = account.now;
    let report = elbow_reconcile::plan_once(snapshot, &settings(), &mut |now, call| {
        account.answer(start.plus_millis(now.as_millis()), call)
    });
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let steps = report.plan().steps;
    steps
        .iter()
        .map(|step| {
            let changes: Vec<String> = step
                .changes
                .iter()
                .map(|c| format!("{}: {:?} -> {:?}", c.field, c.before, c.after))
                .collect();
            format!(
                "{} {} {} {}",
                step.action.as_str(),
                step.resource,
                step.name,
                changes.join("; ")
            )
        })
        .collect()
}
