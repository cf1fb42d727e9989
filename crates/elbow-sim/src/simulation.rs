//! The simulation itself: one machine, one account, one clock, and everything that may go wrong.
//!
//! In: a seed. Out: a [`Summary`], or the [`Failure`] of a property with what led to it. What always
//! holds: all choices come from the seed; time passes only from one event to the next; what must always
//! hold is checked at every call, and what must hold in the end whenever the machine rests.

mod by_hand;
mod calls;
mod held;
mod kubernetes;
mod pods;
mod rest;
mod safety;

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{Kind, Snapshot};
use elbow_emulator::Latencies;
use elbow_model::{AwsAnswer, AwsCall, AwsError};
use elbow_reconcile::{
    CallId, Effect, Input, Protection, Reconciler, RoundResult, Settings, Timestamp, Unit,
};

use crate::account::Account;
use crate::bindings;
use crate::cluster::{self, Cluster};
use crate::edits;
use crate::extras::{self, Extras};
use crate::faults::{Fate, Faults, What};
use crate::ideal::{self, Ideal};
use crate::objects::{self, Change, Objects};
use crate::pods::Happening;
use crate::random::Random;
use crate::report::{Failure, Summary, Trace};
use crate::traffic::Ask;
use by_hand::ByHand;
use kubernetes::Kept;
use pods::Seen;

/// Looks for drift come that often in simulations with somebody else's hands, in milliseconds.
const DRIFT_INTERVAL_MS: u64 = 1_800_000;
/// What was not there is looked for that often where the network changes, in milliseconds.
const MISTAKES_INTERVAL_MS: u64 = 60_000;
/// After edits and faults have ended the machine has to rest within this time, in milliseconds: waits
/// after failures grow to 5 minutes, a drained target group may take 10, network interfaces 5.
const REST_WITHIN_MS: u64 = 3 * 3_600_000;
/// More events than any phase can have that goes anywhere.
const EVENTS_MAX: u64 = 300_000;
/// More changes of objects than any phase can have.
const SHOWN_MAX: usize = 400;
/// Requests that are tried after each change, by chance: over many seeds all are.
const ASKS_PER_CHANGE: usize = 12;

/// Something that is due.
enum Event {
    Edit,
    Deliver {
        life: u32,
        changes: Vec<Change>,
    },
    Arrive {
        life: u32,
        id: CallId,
        call: Box<AwsCall>,
        what: What,
        answer_after_ms: u64,
    },
    Answer {
        life: u32,
        id: CallId,
        result: Box<Result<AwsAnswer, AwsError>>,
    },
    Crash,
    Stop,
    Start,
    Meddle,
    /// Somebody makes a listener by hand.
    ByHand,
    /// Something becomes of a pod.
    Pod(Happening),
    /// Pods are told what AWS says of their targets.
    TellPods {
        life: u32,
        open: Vec<(String, String)>,
    },
    /// Objects changed by other hands than users'.
    Publish(&'static str),
    /// One more object is deleted, until none is left.
    Demolish,
    /// A call of a machine that was killed.
    Late {
        life: u32,
        call: Box<AwsCall>,
    },
    /// What machines ask to keep is written.
    KeepRecords,
    /// What is kept about targets of shared groups is read or written.
    OwnTargets {
        life: u32,
        effect: Box<Effect>,
        fate: Fate,
    },
}

/// What the users of a simulated cluster do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Users {
    /// They leave TargetGroupBindings to Gateways.
    WriteNoBindings,
    /// They write some of their own. Nobody meddles with the account then: a target that somebody else takes
    /// away is found by the look for drift, which other tests are about.
    WriteBindings,
    /// They do all of that, and what needs more of an API server: Secrets, authorities, classes of other
    /// controllers, finalizers, shared target groups. Calls of a machine that was killed land late, what
    /// machines ask to keep is lost, and in the end everything is deleted.
    KeepSecrets,
    /// They do all of that, with pods behind the endpoints, which wait for readiness gates and are rolled
    /// out, on network interfaces that come and go. Listeners made by hand forward to our target groups, and
    /// late calls are about users' target groups, too.
    DoEverything,
}

impl Users {
    /// The flag of the example that chooses them.
    pub(crate) const fn flag(self) -> &'static str {
        match self {
            Self::WriteNoBindings => "",
            Self::WriteBindings => " --bindings",
            Self::KeepSecrets => " --secrets",
            Self::DoEverything => " --everything",
        }
    }

    /// Whether there is what needs more of an API server.
    pub(crate) fn keep_secrets(self) -> bool {
        matches!(self, Self::KeepSecrets | Self::DoEverything)
    }

    /// Whether there is everything.
    pub(crate) fn do_everything(self) -> bool {
        self == Self::DoEverything
    }

    fn write_bindings(self) -> bool {
        self != Self::WriteNoBindings
    }
}

/// A simulation.
pub(crate) struct Simulation {
    users: Users,
    random: Random,
    calls: Random,
    asks: Random,
    pods: Random,
    settings: Settings,
    /// Whether changes of objects reach the machine late and one by one.
    is_stale: bool,
    meddles: bool,
    faults: Faults,
    are_faults_on: bool,
    now: u64,
    sequence: u64,
    events: BTreeMap<(u64, u64), Event>,
    wake_at: Option<u64>,
    cluster: Cluster,
    /// What the API server has.
    objects: Objects,
    /// What the machine sees.
    view: Objects,
    snapshot: Snapshot,
    delivered_until: BTreeMap<Kind, u64>,
    machine: Option<Reconciler>,
    kept: Kept,
    seen: Seen,
    by_hand: ByHand,
    /// By then the machine has looked for interfaces that came late.
    connected_until: u64,
    is_stopping: bool,
    /// Counts machines: what was meant for an earlier one is dropped.
    life: u32,
    account: Account,
    /// Changes that are out, by Stack.
    changes_out: BTreeMap<CallId, String>,
    busy: BTreeSet<Unit>,
    results: BTreeMap<Unit, RoundResult>,
    n_edits: u64,
    /// Changes that set nothing but tags.
    n_tagged: u64,
    has_meddled: bool,
    /// Whether a change was refused or lost since the last rest. The plan goes on without it, and
    /// clients of what it was about may get what the rest of the plan makes of them.
    has_failed: bool,
    // --- what clients may be answered ---
    shown: Vec<Ideal>,
    asked: Vec<Ask>,
    established: BTreeSet<String>,
    balancers: BTreeMap<String, (String, bool)>,
    excused: BTreeSet<Unit>,
    trace: Trace,
    summary: Summary,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, users: Users) -> Result<Summary, Failure> {
    let mut simulation = Simulation::new(seed, users);
    match simulation.phases() {
        Ok(()) => Ok(simulation.summary),
        Err(what) => Err(Failure {
            seed,
            users,
            at_ms: simulation.now,
            what,
            trace: simulation.trace,
        }),
    }
}

impl Simulation {
    fn new(seed: u64, users: Users) -> Self {
        let mut random = Random::new(seed);
        let mut topology = random.split();
        let (calls, asks) = (random.split(), random.split());
        let mut cluster = cluster::cluster(&mut topology);
        if users.keep_secrets() {
            cluster.extras = Extras::new(&mut topology);
        }
        // A stream of its own: simpler clusters do what they did before there were pods.
        let mut pods = Random::new(!seed);
        let first = pods::begin(&mut cluster, users.do_everything(), &mut pods);
        let objects = objects::objects(&cluster);
        let meddles = topology.chance(200) && users != Users::WriteBindings;
        let mut settings = ideal::settings(users);
        if topology.chance(700) {
            settings = settings.unlimited();
        }
        let needs_drift = meddles || users.keep_secrets();
        if users.do_everything() {
            // An interface that comes late is looked for as other mistakes are.
            settings.mistakes_interval_ms = Some(MISTAKES_INTERVAL_MS);
        }
        settings.drift_interval_ms = needs_drift.then_some(DRIFT_INTERVAL_MS);
        settings.in_flight_max = topology.one([1, 2, 8, 32]);
        settings.backoff.seed = seed;
        let latencies = if topology.chance(500) {
            Latencies::instant()
        } else {
            Latencies::aws()
        };
        let faults = Faults::new(&mut topology);
        let is_stale = topology.chance(500);
        if users.keep_secrets() && topology.chance(600) {
            settings.protection = Protection::Finalizer;
        }
        let mut trace = Trace::new(ideal::begin_ms(users));
        trace.add(
            ideal::begin_ms(users),
            format!("settings: {latencies:?} {faults:?} stale: {is_stale} meddles: {meddles}"),
        );
        let mut simulation = Self {
            users,
            random,
            calls,
            asks,
            pods,
            settings,
            is_stale,
            meddles,
            faults,
            are_faults_on: false,
            now: ideal::begin_ms(users),
            sequence: 0,
            events: BTreeMap::new(),
            wake_at: None,
            cluster,
            view: objects.clone(),
            snapshot: objects::snapshot(&objects),
            objects,
            delivered_until: BTreeMap::new(),
            machine: None,
            kept: Kept::default(),
            seen: Seen::default(),
            by_hand: ByHand::default(),
            connected_until: 0,
            is_stopping: false,
            life: 0,
            account: Account::new(latencies, users.do_everything()),
            changes_out: BTreeMap::new(),
            busy: BTreeSet::new(),
            results: BTreeMap::new(),
            n_edits: 0,
            n_tagged: 0,
            has_meddled: false,
            has_failed: false,
            shown: Vec::new(),
            asked: Vec::new(),
            established: BTreeSet::new(),
            balancers: BTreeMap::new(),
            excused: BTreeSet::new(),
            trace,
            summary: Summary::default(),
        };
        if let Some(fabric) = simulation.fabric().cloned() {
            simulation.account.follow(&fabric);
        }
        for happening in first {
            simulation.schedule(happening.after_ms, Event::Pod(happening));
        }
        simulation
    }

    // --- phases ---

    fn phases(&mut self) -> Result<(), String> {
        self.schedule(0, Event::Start);
        for phase in 0..self.random.between(2, 4) {
            self.trace.add(self.now, format!("phase {phase} begins"));
            let finalizers = &self.cluster.extras.finalizers;
            self.cluster
                .gateways
                .retain(|n, gateway| !gateway.is_deleting || finalizers.contains_key(n));
            self.plan_phase(phase);
            self.phase()?;
        }
        if self.users.keep_secrets() {
            self.trace.add(self.now, "everything is to be deleted");
            self.schedule(0, Event::Demolish);
            self.phase()?;
            self.check_nothing_left()?;
        }
        Ok(())
    }

    fn phase(&mut self) -> Result<(), String> {
        self.are_faults_on = true;
        self.run_events()?;
        self.are_faults_on = false;
        self.rest()?;
        self.check_rest()?;
        self.summary.phases += 1;
        Ok(())
    }

    fn plan_phase(&mut self, phase: u64) {
        let window_ms = self.random.one([100, 2_000, 60_000, 900_000]);
        let n_edits = if phase == 0 {
            self.random.below(3)
        } else {
            self.random.between(1, 5)
        };
        for _ in 0..n_edits {
            let at = self.random.below(window_ms);
            self.schedule(at, Event::Edit);
        }
        for _ in 0..self.random.one([0, 0, 1, 1, 2, 4]) {
            let at = self.random.below(window_ms + 120_000);
            let event = if self.random.chance(250) {
                Event::Stop
            } else {
                Event::Crash
            };
            self.schedule(at, event);
        }
        if self.users.do_everything() && self.pods.chance(300) {
            let at = self.pods.below(window_ms + 60_000);
            self.schedule(at, Event::ByHand);
        }
        if self.meddles {
            for _ in 0..self.random.below(4) {
                let at = self.random.below(window_ms);
                self.schedule(at, Event::Meddle);
            }
        }
    }

    fn schedule(&mut self, after_ms: u64, event: Event) {
        self.sequence += 1;
        self.events
            .insert((self.now + after_ms, self.sequence), event);
    }

    /// Runs until no edit, crash or other mischief is due any more.
    fn run_events(&mut self) -> Result<(), String> {
        let is_mischief = |event: &Event| {
            matches!(
                event,
                Event::Edit
                    | Event::Crash
                    | Event::Stop
                    | Event::Start
                    | Event::Meddle
                    | Event::ByHand
                    | Event::Publish(_)
                    | Event::Demolish
                    | Event::Late { .. }
                    | Event::Deliver { .. }
                    | Event::Pod(_)
                    | Event::TellPods { .. }
            )
        };
        let mut n_events = 0;
        while self.events.values().any(is_mischief) {
            self.turn()?;
            n_events += 1;
            if n_events > EVENTS_MAX {
                return Err("events never end".to_owned());
            }
        }
        // Faults go on for a while without edits.
        let until = self.now + self.random.one([0, 1_000, 60_000]);
        while self.next_at().is_some_and(|at| at <= until) {
            self.turn()?;
        }
        Ok(())
    }

    fn is_at_rest(&self) -> bool {
        self.events.is_empty() && self.machine.as_ref().is_some_and(Reconciler::is_quiet)
    }

    // --- events ---

    fn next_at(&self) -> Option<u64> {
        let event = self.events.keys().next().map(|(at, _)| *at);
        let wake = self.wake_at.filter(|_| self.machine.is_some());
        event.into_iter().chain(wake).min()
    }

    /// Lets the next thing happen.
    fn turn(&mut self) -> Result<(), String> {
        let wake = self.wake_at.filter(|_| self.machine.is_some());
        let first = self.events.keys().next().copied();
        match (first, wake) {
            (None, None) => Err("nothing is due any more".to_owned()),
            (Some(key), wake) if wake.is_none_or(|at| key.0 <= at) => {
                self.now = self.now.max(key.0);
                match self.events.remove(&key) {
                    Some(event) => self.happen(event),
                    None => Ok(()),
                }
            }
            (_, Some(at)) => {
                self.now = self.now.max(at);
                self.send(Input::Tick)?;
                self.check_traffic(ASKS_PER_CHANGE / 2)
            }
            (Some(_), None) => Ok(()),
        }
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Edit => self.edit(),
            Event::Publish(what) => self.publish(what),
            Event::Demolish => self.demolish(),
            Event::ByHand => {
                self.make_by_hand();
                Ok(())
            }
            Event::Pod(happening) => self.happen_to_pod(&happening),
            Event::TellPods { life, open } => self.tell_pods(life, &open),
            Event::Late { life, call } => self.land_late(life, &call),
            Event::KeepRecords => {
                self.kept.write_records();
                Ok(())
            }
            Event::OwnTargets { life, effect, fate } => self.own_targets(life, &effect, fate),
            Event::Deliver { life, changes } => self.deliver(life, &changes),
            Event::Arrive {
                life,
                id,
                call,
                what,
                answer_after_ms,
            } => {
                if life != self.life {
                    return Ok(());
                }
                self.arrive(id, &call, what, answer_after_ms)
            }
            Event::Answer { life, id, result } => {
                if life != self.life {
                    return Ok(());
                }
                self.changes_out.remove(&id);
                self.send(Input::AwsAnswered {
                    id,
                    result: *result,
                })
            }
            Event::Crash => self.crash(),
            Event::Stop => {
                if self.machine.is_some() && !self.is_stopping {
                    self.trace.add(self.now, "is told to stop");
                    self.is_stopping = true;
                    self.send(Input::Stop)?;
                    self.summary.stops += 1;
                }
                Ok(())
            }
            Event::Start => self.start(),
            Event::Meddle => {
                if let Some(what) = self.any_mischief() {
                    self.trace.add(self.now, format!("somebody else: {what}"));
                    self.has_meddled = true;
                    self.summary.meddles += 1;
                }
                Ok(())
            }
        }
    }

    fn edit(&mut self) -> Result<(), String> {
        self.n_edits += 1;
        self.summary.edits += 1;
        let before = self.cluster.clone();
        let is_about_extras = self.users.keep_secrets() && self.random.chance(450);
        let is_about_bindings = self.users.write_bindings()
            && self.random.chance(match self.users {
                Users::KeepSecrets | Users::DoEverything => 200,
                _ => 500,
            });
        let is_about_pods = self.users.do_everything() && self.pods.chance(250);
        let what = if is_about_pods {
            self.edit_pods()
        } else if is_about_extras {
            extras::edit(&mut self.cluster, &mut self.random)
        } else if is_about_bindings {
            self.summary.bindings += 1;
            let bindings = &mut self.cluster.bindings;
            bindings::edit(bindings, &mut self.random, self.n_edits)
        } else {
            edits::edit(&mut self.cluster, &mut self.random, self.n_edits)
        };
        extras::keep_protected(&before, &mut self.cluster);
        self.publish(what)
    }

    /// Tells the machine what was edited, at once or bit by bit.
    fn publish(&mut self, what: &str) -> Result<(), String> {
        self.follow_pods();
        let mut after = objects::objects(&self.cluster);
        after.extend(self.kept.bindings(&self.cluster));
        let after = objects::with_generations(&self.objects, after);
        let changes = objects::changes(&self.objects, &after);
        let names: Vec<String> = changes
            .iter()
            .map(|change| match change {
                Change::Apply(object) => object.object_ref().to_string(),
                Change::Remove(object) => format!("-{object}"),
            })
            .collect();
        self.trace
            .add(self.now, format!("edit: {what} ({})", names.join(", ")));
        self.objects = after;
        if !self.is_stale {
            return self.deliver(self.life, &changes);
        }
        // Watches are of one kind each: in order within, and without order between them.
        for change in changes {
            let delay = self.random.one([1, 50, 2_000, 30_000]);
            let at = self.delivered_until.entry(change.kind()).or_default();
            *at = (*at).max(self.now + delay);
            let after_ms = *at - self.now;
            let life = self.life;
            self.schedule(
                after_ms,
                Event::Deliver {
                    life,
                    changes: vec![change],
                },
            );
        }
        Ok(())
    }

    fn deliver(&mut self, life: u32, changes: &[Change]) -> Result<(), String> {
        // A machine that is not there yet lists what is there when it starts.
        if life != self.life || self.machine.is_none() || changes.is_empty() {
            return Ok(());
        }
        let mut reads = BTreeSet::new();
        for change in changes {
            match change {
                Change::Apply(object) => {
                    reads.extend(self.snapshot.apply(object));
                    self.view.insert(object.object_ref(), (**object).clone());
                }
                Change::Remove(object) => {
                    reads.extend(self.snapshot.remove(object));
                    self.view.remove(object);
                }
            }
        }
        self.show();
        if self.shown.len() > SHOWN_MAX {
            return Err(format!(
                "objects change {SHOWN_MAX} times, and the machine never rests"
            ));
        }
        self.send(Input::ObjectsChanged(reads))
    }

    fn crash(&mut self) -> Result<(), String> {
        if self.machine.is_none() {
            return Ok(());
        }
        self.trace.add(self.now, "crashes");
        self.summary.crashes += 1;
        // Calls that are on their way arrive before the next machine looks, or never.
        let due: Vec<(u64, u64)> = self.events.keys().copied().collect();
        for key in due {
            if let Some(Event::Arrive { .. }) = self.events.get(&key)
                && let Some(Event::Arrive { call, what, .. }) = self.events.remove(&key)
                && what == What::Answered
                && self.calls.chance(500)
            {
                if self.users.keep_secrets() && self.calls.chance(500) {
                    let life = self.life;
                    self.events.insert(key, Event::Late { life, call });
                    continue;
                }
                self.trace
                    .add(self.now, format!("after the crash: {}", call.operation()));
                let _answer = self.carry_out(&call)?;
            }
        }
        self.lose_what_was_not_kept();
        self.end_life();
        Ok(())
    }

    fn end_life(&mut self) {
        self.machine = None;
        self.is_stopping = false;
        self.life += 1;
        self.forget_health();
        self.wake_at = None;
        self.changes_out.clear();
        self.busy.clear();
        self.results.clear();
        let after_ms = self.random.one([0, 1_000, 30_000]);
        self.schedule(after_ms, Event::Start);
    }

    fn start(&mut self) -> Result<(), String> {
        if self.machine.is_some() {
            return Ok(());
        }
        self.trace.add(self.now, "starts");
        self.view = self.objects.clone();
        self.snapshot = objects::snapshot(&self.objects);
        self.delivered_until.clear();
        self.show();
        self.machine = Some(Reconciler::new(self.settings.clone()));
        self.damage_records();
        self.send(Input::Records(self.kept.records.clone()))?;
        self.send(Input::Start)
    }

    // --- the machine ---

    fn send(&mut self, input: Input) -> Result<(), String> {
        let Some(machine) = &mut self.machine else {
            return Ok(());
        };
        let effects = machine.step(input, &self.snapshot, Timestamp::from_millis(self.now));
        self.wake_at = None;
        for effect in effects {
            self.take(effect)?;
        }
        Ok(())
    }

    fn take(&mut self, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Aws { id, call } => {
                // Targets change beside whatever else is done to their Stack.
                let is_lane = matches!(
                    call,
                    AwsCall::RegisterTargets { .. } | AwsCall::DeregisterTargets { .. }
                );
                let is_of_binding = is_lane
                    && bindings::judge(&mut self.account, &self.cluster.bindings, &call, false)?;
                if call.is_mutating() && !is_lane {
                    // It waits until no record outlives it.
                    self.kept.write_records();
                }
                if call.is_mutating()
                    && !is_of_binding
                    && let Some(stack) = self.account.guard(&call)?
                    && !is_lane
                {
                    if let Some((other, _)) = self.changes_out.iter().find(|(_, s)| **s == stack) {
                        return Err(format!("{id:?} and {other:?} change {stack} at once"));
                    }
                    self.changes_out.insert(id, stack);
                }
                let faults = if self.are_faults_on {
                    self.faults.clone()
                } else {
                    Faults::none()
                };
                let fate = faults.fate(&mut self.calls, &call);
                let life = self.life;
                self.schedule(
                    fate.arrives_after_ms,
                    Event::Arrive {
                        life,
                        id,
                        call: Box::new(call),
                        what: fate.what,
                        answer_after_ms: fate.answer_after_ms,
                    },
                );
            }
            Effect::PlanReady { unit, plan } => self.check_plan(&unit, &plan)?,
            Effect::RoundFinished {
                unit,
                result,
                retry_at,
            } => {
                self.busy.remove(&unit);
                self.summary.rounds += 1;
                let text = match &result {
                    RoundResult::Incomplete { outcome } => {
                        format!("incomplete: {:?}", outcome.failures)
                    }
                    RoundResult::Converged { outcome } => {
                        format!("converged: {} steps", outcome.succeeded)
                    }
                    other => format!("{other:?}"),
                };
                self.trace.add(
                    self.now,
                    format!("round of {unit}: {text}, again at {retry_at:?}"),
                );
                self.results.insert(unit, result);
            }
            Effect::WakeAt(at) => self.wake_at = Some(at.as_millis()),
            Effect::Quiet => {
                if self.is_stopping {
                    if !self.changes_out.is_empty() {
                        return Err(format!(
                            "it says it stopped while {:?} are out",
                            self.changes_out
                        ));
                    }
                    self.trace.add(self.now, "has stopped");
                    self.end_life();
                }
            }
            other => self.take_for_kubernetes(other)?,
        }
        Ok(())
    }
}
