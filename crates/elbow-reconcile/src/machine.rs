//! The round as a state machine: inputs and the time in, effects out.
//!
//! In: [`Input`]s, the [`Snapshot`] as it is now, the time. Out: [`Effect`]s that a driver carries out
//! in any order and at its own pace. What always holds:
//!
//! - one round of a unit at a time: two plans never touch the same load balancer;
//! - the same inputs at the same times give the same effects;
//! - nothing is planned before what is there was observed, and what is uncertain is observed again;
//! - the machine may be dropped at any moment: a new one observes, plans and leads on.
//!
//! ```text
//! census ─> units ─> observe ─> translate ─> plan ─> execute ─> remember
//!              ^         ^          │ facts                │
//!              │ changed reads      └ of what is shared ───┘ failures: wait, observe, again
//! ```
//!
//! A unit is a Gateway, a TargetGroupBinding that a user wrote, what all Gateways share, or the rules that let
//! load balancers reach nodes and pods. Start at [`Reconciler::step`]; a round is in [`rounds`], that of a
//! binding in [`bindings`] and [`left_groups`], that of the rules in [`network`], load balancers in front of
//! others in [`chains`], what becomes of answers in [`answers`].

mod answers;
mod bindings;
mod chains;
mod facts_book;
mod gates;
mod held;
mod lane;
mod left_groups;
mod network;
mod own_targets;
mod records;
mod rounds;
mod shared;
mod timers;
mod unasked;
mod unit;
mod units;

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{Diagnostic, GatewayController, NamespacedName, Read, Snapshot};
use elbow_model::{AwsAnswer, AwsCall, AwsError, Observed, OwnTargets, Stack, StackId, Tags};
use elbow_plan::{Plan, Step};
use serde::{Deserialize, Serialize};

use gates::Gates;
pub use gates::{GateHealth, GateVerdict};
pub use network::NetworkNotice;
pub use unit::Unit;
use unit::{Knowledge, Phase};
use units::{Trait, Units};

use crate::execute::{Outcome, StepState};
use crate::front::{BindingReport, Report};
use crate::observe::{Census, Observation, Scope};
use crate::outbox::{CallId, Outbox, Priority};
use crate::record::Record;
use crate::settings::Settings;
use crate::time::Timestamp;
use facts_book::FactsBook;
use network::Network;
use own_targets::OwnTargetsBook;
use shared::Shared;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The records that earlier machines asked to keep ([`Effect::Record`]). Sent before
    /// [`Input::Start`]; without them every load balancer is looked at in full at the start.
    Records(BTreeMap<StackId, Record>),
    /// The Snapshot is complete: begin.
    Start,
    /// Objects changed, which may have altered these look-ups (the answers of [`Snapshot::apply`] and
    /// [`Snapshot::remove`]). The Snapshot that is passed along is the one after the change.
    ObjectsChanged(BTreeSet<Read>),
    /// AWS answered a call.
    AwsAnswered {
        /// Which.
        id: CallId,
        /// What.
        result: Result<AwsAnswer, AwsError>,
    },
    /// What is kept now about the targets that this cluster has registered under a binding: the answer
    /// to [`Effect::ReadOwnTargets`] and [`Effect::KeepOwnTargets`].
    OwnTargets {
        /// The TargetGroupBinding.
        binding: NamespacedName,
        /// The targets; `None` if nothing is kept.
        result: Result<Option<OwnTargets>, AwsError>,
    },
    /// The time that [`Effect::WakeAt`] named has come.
    Tick,
    /// Finish what is out and begin nothing new. [`Effect::Quiet`] says when that is reached; then no
    /// step is half-executed.
    Stop,
}

/// Something that a driver is to do.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "an effect lives until it is carried out"
)]
pub enum Effect {
    /// Make this call and tell its answer by [`Input::AwsAnswered`], exactly once.
    Aws {
        /// Names the call.
        id: CallId,
        /// The call; every reference in it is known.
        call: AwsCall,
    },
    /// What a Gateway comes to: statuses and TargetGroupBindings to write, findings to show. Emitted
    /// after a translation and again when its outcome is known, only where something differs from the
    /// last time.
    Report {
        /// The Gateway.
        gateway: NamespacedName,
        /// What to write and show.
        report: Box<Report>,
    },
    /// Put this controller's finalizer on the Gateway: its load balancer is about to be made. The round
    /// goes on once the Snapshot shows the finalizer. Only with
    /// [`Protection::Finalizer`](crate::Protection::Finalizer).
    Protect {
        /// The Gateway.
        gateway: NamespacedName,
        /// Whose finalizer.
        controller: GatewayController,
    },
    /// What a TargetGroupBinding that a user wrote comes to, as [`Effect::Report`].
    BindingReport {
        /// The TargetGroupBinding.
        binding: NamespacedName,
        /// What to write and show.
        report: Box<BindingReport>,
    },
    /// Put our finalizer on a TargetGroupBinding: its targets are about to be registered. The round goes
    /// on once the Snapshot shows the finalizer. Only with
    /// [`Protection::Finalizer`](crate::Protection::Finalizer).
    ProtectBinding {
        /// The TargetGroupBinding.
        binding: NamespacedName,
    },
    /// Read which targets this cluster has registered under a binding of a target group that several
    /// clusters share, and answer by [`Input::OwnTargets`], exactly once.
    ReadOwnTargets {
        /// The TargetGroupBinding.
        binding: NamespacedName,
    },
    /// Keep these targets as those that this cluster has registered under a binding, and answer by
    /// [`Input::OwnTargets`], exactly once.
    ///
    /// Guarantees: whatever is registered afterwards is among them, so a target of ours is never taken
    /// for another cluster's. One at a time for a binding.
    KeepOwnTargets {
        /// The TargetGroupBinding.
        binding: NamespacedName,
        /// All of them.
        targets: OwnTargets,
    },
    /// A plan was made and is about to be carried out. Not emitted for empty plans.
    PlanReady {
        /// Whose.
        unit: Unit,
        /// The plan.
        plan: Plan,
    },
    /// Keep this record of a Stack where the next machine finds it, or drop the one that is kept.
    ///
    /// Guarantees: dropped before the first [`Effect::Aws`] that changes the Stack. A driver begins to
    /// drop it before it makes later calls, and treats a record that it could not drop as a failure to
    /// be repeated at once: a record that outlives a change may hide half a change from the next
    /// machine until its look for drift.
    Record {
        /// The Stack.
        stack: StackId,
        /// What to keep; `None` to drop it.
        record: Option<Record>,
    },
    /// Tell these pods what AWS says of their targets. Emitted when they have been registered and after
    /// each look at their health; the same may be said again.
    Gates {
        /// The TargetGroupBinding whose gate it is.
        binding: NamespacedName,
        /// The pods that wait for it.
        verdicts: Vec<GateVerdict>,
    },
    /// A step changed its state.
    Progress {
        /// Whose.
        unit: Unit,
        /// The step.
        step: Box<Step>,
        /// Its state.
        state: StepState,
    },
    /// A round came to its end.
    RoundFinished {
        /// Whose.
        unit: Unit,
        /// How.
        result: RoundResult,
        /// When it is tried again by itself, if it failed.
        retry_at: Option<Timestamp>,
    },
    /// Send [`Input::Tick`] at this time, unless a later effect names another.
    WakeAt(Timestamp),
    /// Nothing is under way and nothing is about to be, but for looks for drift, and for those at the
    /// health of targets that pods wait for.
    Quiet,
}

/// How a round ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoundResult {
    /// What is wanted is what is there.
    Converged {
        /// What was done for it.
        outcome: Outcome,
    },
    /// Some steps did not succeed.
    Incomplete {
        /// What was done.
        outcome: Outcome,
    },
    /// The Gateway's objects cannot be translated as a whole; what is there was left as it is.
    Blocked,
    /// AWS could not be asked.
    LookupFailed {
        /// Why.
        error: AwsError,
    },
    /// Something changed meanwhile: the next round follows at once.
    Superseded,
}

/// Whose call it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Owner {
    Census,
    Facts,
    /// Looks at load balancers that are being set up.
    Provisioning,
    /// Looks at the health of targets that pods wait for.
    Gates,
    /// Targets that change beside the round of a unit.
    Targets(Unit),
    Unit(Unit),
}

/// The census at the start.
#[derive(Debug)]
enum CensusState {
    NotStarted,
    Running(Box<Observation>),
    /// It failed, and is tried again then.
    Failed(Timestamp),
    /// What it found of each Stack that was not observed since.
    Done(BTreeMap<StackId, Census>),
}

/// The machine.
#[derive(Debug)]
pub struct Reconciler {
    settings: Settings,
    outbox: Outbox<Owner>,
    /// Look-ups that were throttled or lost, by when they are repeated.
    delayed: BTreeMap<(Timestamp, u64), (Owner, Priority, AwsCall)>,
    /// Look-ups of an owner that failed in a row.
    lookup_failures: BTreeMap<Owner, u32>,
    census: CensusState,
    census_failures: u32,
    known: Observed,
    known_tags: BTreeMap<String, Tags>,
    /// The records that are kept.
    records: BTreeMap<StackId, Record>,
    facts: FactsBook,
    shared: Shared,
    gates: Gates,
    network: Network,
    own_targets: OwnTargetsBook,
    units: Units,
    /// Units by what their last translation read.
    readers: BTreeMap<Read, BTreeSet<Unit>>,
    ready: BTreeSet<(Priority, u64, Unit)>,
    sequence: u64,
    /// Stacks with a load balancer that is being set up.
    provisioning: BTreeSet<StackId>,
    provisioning_poll_at: Option<Timestamp>,
    /// How the rounds ended of units that were never reported.
    unasked: BTreeMap<Unit, RoundResult>,
    is_stopping: bool,
    was_quiet: bool,
    effects: Vec<Effect>,
}

impl Reconciler {
    /// A machine that knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            outbox: Outbox::new(settings.limits.clone(), settings.in_flight_max),
            settings,
            delayed: BTreeMap::new(),
            lookup_failures: BTreeMap::new(),
            census: CensusState::NotStarted,
            census_failures: 0,
            known: Observed::default(),
            known_tags: BTreeMap::new(),
            records: BTreeMap::new(),
            facts: FactsBook::default(),
            shared: Shared::default(),
            gates: Gates::default(),
            network: Network::default(),
            own_targets: OwnTargetsBook::default(),
            units: Units::default(),
            readers: BTreeMap::new(),
            ready: BTreeSet::new(),
            sequence: 0,
            provisioning: BTreeSet::new(),
            provisioning_poll_at: None,
            unasked: BTreeMap::new(),
            is_stopping: false,
            was_quiet: false,
            effects: Vec::new(),
        }
    }

    /// Takes in what happened and answers with what to do.
    ///
    /// # Expected flow
    /// A driver sends [`Input::Start`] once its Snapshot is complete, then every change, answer and
    /// tick as it comes, each with the Snapshot and the time of that moment, and carries out the
    /// effects. `now` never goes back.
    ///
    /// # Guarantees
    /// Work in a step is in proportion to what changed. A call is emitted once under its id.
    pub fn step(&mut self, input: Input, snapshot: &Snapshot, now: Timestamp) -> Vec<Effect> {
        match input {
            Input::Records(records) => self.take_records(records),
            Input::Start => {
                self.start_census();
                self.start_gates(snapshot, now);
            }
            Input::ObjectsChanged(reads) => {
                self.objects_changed(&reads, snapshot, now);
                self.gates_changed(&reads, snapshot, now);
            }
            Input::AwsAnswered { id, result } => self.answered(id, result, snapshot, now),
            Input::OwnTargets { binding, result } => self.take_own_targets(&binding, result, now),
            Input::Tick => {}
            Input::Stop => self.stop(),
        }
        self.decide_gates(snapshot, now);
        self.timers(snapshot, now);
        self.run_ready(snapshot, now);
        self.release(now);
        self.tell_unasked(snapshot);
        std::mem::take(&mut self.effects)
    }

    /// What is known to be there: what was observed, and what was done since.
    pub fn known(&self) -> &Observed {
        &self.known
    }

    /// Whether what is known of a Stack is what lists told and the record of an earlier machine
    /// vouches for, without the details.
    pub fn is_believed(&self, stack: &StackId) -> bool {
        let work = self.units.get(&Unit::of_stack(stack));
        work.is_some_and(|work| work.knowledge == Knowledge::Believed)
    }

    /// The plan that a unit is carrying out, with the state of each step.
    pub fn execution(&self, unit: &Unit) -> Option<Vec<(&Step, &StepState)>> {
        match &self.units.get(unit)?.phase {
            Phase::Executing(execution) => Some(execution.steps().collect()),
            _ => None,
        }
    }

    /// Findings of the last translation of each Gateway and TargetGroupBinding.
    pub fn diagnostics(&self) -> impl Iterator<Item = (&Unit, Vec<&Diagnostic>)> {
        self.units.iter().filter_map(|(unit, work)| {
            let of_gateway = work.reported.as_ref().map(|r| r.diagnostics().collect());
            let of_binding = work.reported_binding.as_ref();
            let found = of_gateway.or_else(|| of_binding.map(|r| r.diagnostics().iter().collect()));
            Some((unit, found?))
        })
    }

    /// What the last translation of each unit asks for.
    pub fn stacks(&self) -> BTreeMap<Unit, Stack> {
        let stacks = self.units.iter();
        stacks
            .filter_map(|(unit, work)| Some((unit.clone(), work.stack.clone()?)))
            .collect()
    }

    /// Whether nothing is under way and nothing is about to be, but for looks for drift, and for those at
    /// the health of targets that pods wait for.
    pub fn is_quiet(&self) -> bool {
        self.outbox.is_empty()
            && self.ready.is_empty()
            && self.delayed.is_empty()
            && !self.own_targets.is_out()
            && (self.is_stopping
                || (matches!(self.census, CensusState::Done(_))
                    && self.provisioning_poll_at.is_none()
                    && !self.facts.is_looking()
                    && !self.units.any(Trait::Unsettled)))
    }

    /// Whether nothing happens before time passes: rounds that failed may be waiting for their next
    /// try.
    pub fn is_at_rest(&self) -> bool {
        self.outbox.is_empty()
            && self.ready.is_empty()
            && self.delayed.is_empty()
            && !self.facts.is_looking()
            && matches!(self.census, CensusState::Done(_) | CensusState::Failed(_))
            && !self.units.any(Trait::AtWork)
    }

    // --- inputs ---

    fn start_census(&mut self) {
        if !matches!(
            self.census,
            CensusState::NotStarted | CensusState::Failed(_)
        ) {
            return;
        }
        let (observation, calls) = Observation::start(self.settings.whose(), Scope::Census);
        self.census = CensusState::Running(Box::new(observation));
        self.send_all(&Owner::Census, Priority::Initial, calls);
    }

    /// Begins with every Gateway and binding, and with whatever Stacks are left of Gateways that are gone.
    fn census_done(&mut self, census: Census, snapshot: &Snapshot, now: Timestamp) {
        self.known_tags = census.known_tags();
        self.learn_target_groups(&census, snapshot, now);
        let cluster_name = &self.settings.translate.cluster_name;
        let mut units: BTreeSet<Unit> = census
            .stacks(cluster_name)
            .iter()
            .map(Unit::of_stack)
            .collect();
        units.extend(snapshot.gateway_names().cloned().map(Unit::Gateway));
        units.extend(snapshot.user_binding_names().cloned().map(Unit::Binding));
        units.insert(Unit::Cluster);
        let gone = self.records.keys();
        let gone = gone.filter(|stack| !units.contains(&Unit::of_stack(stack)));
        for stack in gone.cloned().collect::<Vec<_>>() {
            self.drop_record(&stack);
        }
        let parts = census.split(&self.settings.translate.cluster_name);
        self.begin_chains(&parts, &units);
        self.census = CensusState::Done(parts);
        for unit in units {
            let priority = match self.units.get(&unit).and_then(|work| work.wanted) {
                Some(fresh) => fresh,
                None if Self::is_deleted(&unit, snapshot) => Priority::Fresh,
                None => Priority::Initial,
            };
            self.enqueue(&unit, priority, now);
        }
        self.want_network(Priority::Initial, now);
    }

    fn is_deleted(unit: &Unit, snapshot: &Snapshot) -> bool {
        unit.gateway()
            .is_some_and(|name| crate::front::is_deleted(snapshot, name))
    }

    fn objects_changed(&mut self, reads: &BTreeSet<Read>, snapshot: &Snapshot, now: Timestamp) {
        let is_targets_only = reads.iter().all(crate::front::is_about_endpoints);
        let mut affected: BTreeSet<Unit> = reads
            .iter()
            .filter_map(|read| self.readers.get(read))
            .flatten()
            .cloned()
            .collect();
        // A Gateway that is new, or that was not translated yet, has read nothing.
        for read in reads {
            let named = crate::front::gateway_of(read, snapshot);
            let Some(unit) = named.map(Unit::Gateway) else {
                continue;
            };
            if self.units.contains(&unit) || !Self::is_deleted(&unit, snapshot) {
                affected.insert(unit);
            }
        }
        affected.extend(self.changed_bindings(reads, snapshot));
        for unit in affected {
            let work = self.units.entry(&unit);
            let priority = if is_targets_only && (work.applied.is_some() || work.held.is_some()) {
                Priority::Targets
            } else {
                Priority::Fresh
            };
            self.enqueue(&unit, priority, now);
            if is_targets_only {
                self.start_lane(&unit, snapshot, now);
            }
        }
    }

    fn stop(&mut self) {
        self.is_stopping = true;
        // Whoever stops a machine that rests waits for the same word.
        self.was_quiet = false;
        self.ready.clear();
        self.delayed.clear();
        self.provisioning_poll_at = None;
        self.gates.stop();
        for unit in self.units.names() {
            let work = self.units.entry(&unit);
            work.wanted = None;
            work.queued = None;
            work.retry_at = None;
            work.lane_at = None;
            // A burst of endpoints is over when nobody goes on with it.
            self.keep_record(&unit);
            if let Some(work) = self.units.get_mut(&unit) {
                work.lane = None;
            }
            self.outbox.withdraw(&Owner::Targets(unit.clone()));
            self.outbox.withdraw(&Owner::Unit(unit));
        }
        for owner in [
            Owner::Census,
            Owner::Facts,
            Owner::Provisioning,
            Owner::Gates,
        ] {
            self.outbox.withdraw(&owner);
        }
    }

    // --- what all parts use ---

    /// Asks for a round. While one is under way, the next follows it; if that one only waits, it is
    /// given up for the new one.
    fn enqueue(&mut self, unit: &Unit, priority: Priority, now: Timestamp) {
        if self.is_stopping {
            return;
        }
        let work = self.units.entry(unit);
        let wanted = work.wanted.map_or(priority, |wanted| wanted.min(priority));
        work.wanted = Some(wanted);
        if !matches!(self.census, CensusState::Done(_)) {
            return;
        }
        let work = self.units.entry(unit);
        if matches!(
            work.phase,
            Phase::AwaitingCluster | Phase::AwaitingProtection
        ) {
            // It may not need the group any more, or have its finalizer now.
            work.phase = Phase::Idle;
        }
        match &work.phase {
            Phase::Idle => {
                if priority == Priority::Targets
                    && let Some(at) = work.targets_not_before(&self.settings)
                    && now < at
                {
                    work.retry_at = Some(work.retry_at.map_or(at, |retry| retry.min(at)));
                    return;
                }
                if work.queued.is_some_and(|(queued, _)| queued <= wanted) {
                    return;
                }
                self.sequence += 1;
                if let Some((queued, number)) = work.queued.replace((wanted, self.sequence)) {
                    self.ready.remove(&(queued, number, unit.clone()));
                }
                self.ready.insert((wanted, self.sequence, unit.clone()));
            }
            Phase::Executing(execution)
                if execution.is_waiting() && priority <= Priority::Fresh =>
            {
                self.supersede(unit, now);
            }
            _ => {
                // What is under way leads to what is wanted: it becomes as urgent.
                work.priority = Some(work.priority.map_or(priority, |p| p.min(priority)));
                self.outbox.promote(&Owner::Unit(unit.clone()), priority);
            }
        }
    }

    fn send_all(&mut self, owner: &Owner, priority: Priority, calls: Vec<AwsCall>) {
        if self.is_stopping {
            return;
        }
        for call in calls {
            self.outbox.push(owner.clone(), priority, call);
        }
    }

    fn release(&mut self, now: Timestamp) {
        let (released, held_up_until) = self.outbox.release(now);
        let calls = released
            .into_iter()
            .map(|(id, call)| Effect::Aws { id, call });
        self.effects.extend(calls);
        self.units.settle(&self.settings);
        if let Some(at) = self.next_timer().into_iter().chain(held_up_until).min() {
            self.effects.push(Effect::WakeAt(at));
        }
        let is_quiet = self.is_quiet();
        if is_quiet && (!self.was_quiet || !self.effects.is_empty()) {
            self.effects.push(Effect::Quiet);
        }
        self.was_quiet = is_quiet;
    }

    /// Whether anything is known to be there of the Stacks that a unit may own.
    fn has_anything(&self, unit: &Unit) -> bool {
        let stacks = unit.stacks();
        stacks.iter().any(|id| self.known.stacks.contains_key(id))
    }
}
