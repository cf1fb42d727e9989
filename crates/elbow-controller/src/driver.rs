//! The driver: one task that owns the Snapshot and the rounds, and carries out what they ask for.
//!
//! In: what the watch saw, who leads, when to stop. Out: calls to AWS, writes to the cluster. What
//! always holds:
//!
//! - Every call to AWS is answered to the rounds exactly once, also one that panics or never ends; then
//!   the answer is that its fate is unknown.
//! - Nothing is asked of AWS and nothing is written before this process leads and its Snapshot is
//!   complete, and nothing after it has lost the lead.
//! - A stop in good order leaves no call without an answer, and writes what is known by then.
//!
//! ```text
//!  watch ──changes──> Snapshot ──> Reconciler ──calls──> AWS      (each a task of its own)
//!                         │             │ reports
//!                         └──────────> Scribe ──writes──> cluster (one at a time for an object)
//! ```
//!
//! Start at [`Driver::run`].

mod effects;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use elbow_api::{Kind, NamespacedName, Object, ObjectRef, Read, Snapshot};
use elbow_cluster::live::{Absence, Change, Event, EventNote, Leadership, WriteError};
use elbow_model::{AwsAnswer, AwsCall, AwsError};
use elbow_reconcile::{CallId, Input, Protection, Reconciler, Settings, Timestamp, Unit};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admin::Readiness;
use crate::changes::are_alike;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::named::Named;
use crate::notes::Notes;
use crate::own_targets::OwnTargetsIo;
use crate::ports::{AwsCaller, ClusterWriter};
use crate::records::{RECORDS_TIME_MAX, Records};
use crate::scribe::{Scribe, version};
use effects::unknown;

/// How long a call may take before its fate counts as unknown. The adapter gives up earlier; this is
/// for one that does not.
const CALL_TIME_MAX: Duration = Duration::from_mins(2);
/// How long a stop waits for calls that are out. Kubernetes gives a pod 30 s by default, LBC's chart
/// 10 s; what is not answered by then, the next leader observes.
const STOP_TIME_MAX: Duration = Duration::from_secs(6);
/// How long a stop then waits for writes.
const FLUSH_TIME_MAX: Duration = Duration::from_millis(1500);
/// Events that may be out at once, and that may wait. Beyond that news is dropped: conditions tell the
/// same.
const EVENTS_MAX: usize = 4;
const EVENTS_WAITING_MAX: usize = 1000;

/// The longest wait of the loop: so often at least it says that it lives.
const BEAT_TIME_MAX: Duration = Duration::from_secs(10);

/// Where a driver's inputs come from.
#[derive(Debug)]
pub struct Inputs {
    /// What the watch sees.
    pub events: mpsc::Receiver<Event>,
    /// Which Secrets, ConfigMaps and Pods the watch is to look at.
    pub named: watch::Sender<BTreeSet<ObjectRef>>,
    /// Who leads.
    pub leadership: watch::Receiver<Leadership>,
    /// Cancelled when the process is to end.
    pub stop: CancellationToken,
}

/// How a driver ended that was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Whatever was asked of AWS is answered, and what the next leader has to know is written.
    InOrder,
    /// Something is still out, and may take effect yet: the lease must not be handed over.
    InMidair,
}

/// Why a driver ended before it was stopped.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DriverError {
    /// Somebody else may lead by now.
    #[error("another instance may lead now: the lease could not be renewed in time")]
    LeaseLost,
    /// The watch has ended, which it never does by itself.
    #[error("the watch of the API server has ended")]
    WatchEnded,
}

/// What a finished task of a call says.
type CallDone = (CallId, Result<AwsAnswer, AwsError>);

/// What a finished task of a write says.
struct WriteDone {
    verb: &'static str,
    /// The reason of the event, should somebody have to help.
    reason: &'static str,
    result: Result<Option<Object>, WriteError>,
}

/// The driver.
pub struct Driver<A, C> {
    snapshot: Snapshot,
    reconciler: Reconciler,
    scribe: Scribe,
    notes: Notes,
    named: Named,
    aws: Arc<A>,
    cluster: Arc<C>,
    clock: Clock,
    metrics: Metrics,
    readiness: Readiness,
    calls: JoinSet<CallDone>,
    /// What the tasks of calls are for, in case one panics.
    call_of_task: HashMap<Id, (CallId, Called)>,
    /// Since when plans are being carried out.
    deploying: BTreeMap<Unit, Timestamp>,
    writes: JoinSet<WriteDone>,
    object_of_task: HashMap<Id, ObjectRef>,
    records: Records,
    /// TargetGroupBindings of users with which nothing is wrong.
    bindings_well: BTreeSet<NamespacedName>,
    /// Calls that wait until a record is dropped.
    held_calls: Vec<(CallId, AwsCall)>,
    records_io: JoinSet<RecordsDone>,
    own_targets: OwnTargetsIo,
    events: JoinSet<()>,
    events_waiting: VecDeque<(ObjectRef, EventNote)>,
    wake_at: Option<Timestamp>,
    /// Look-ups that changed and that the rounds were not told of, since a named object is being looked
    /// up.
    held: BTreeSet<Read>,
    phase: Phase,
    is_synced: bool,
    /// Kinds that may not be read. A kind that is not seen is not a kind of which there is nothing: as
    /// long as there is any here, no round begins for the first time.
    forbidden: BTreeSet<Kind>,
}

/// What a finished task of the records says.
enum RecordsDone {
    Read(Option<BTreeMap<String, String>>),
    Written(bool),
}

/// A call that is out, for metrics.
#[derive(Debug, Clone, Copy)]
struct Called {
    service: &'static str,
    operation: &'static str,
    since: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Somebody else leads, or the Snapshot is not complete.
    Waiting,
    /// What the last leader kept is being read.
    Reading,
    Leading,
    /// Calls that are out are waited for, until then.
    Stopping(Instant),
    /// Writes are waited for, until then.
    Flushing(Instant),
}

impl<A: AwsCaller, C: ClusterWriter> Driver<A, C> {
    /// A driver that has not begun.
    pub fn new(
        settings: Settings,
        aws: A,
        cluster: C,
        metrics: Metrics,
        readiness: Readiness,
        epoch: jiff::Timestamp,
    ) -> Self {
        let settings = Settings {
            protection: Protection::Finalizer,
            // The driver's timestamps count from its start; certificates are judged by the calendar.
            epoch_ms: u64::try_from(epoch.as_millisecond()).unwrap_or(0),
            ..settings
        };
        Self {
            snapshot: Snapshot::new(),
            reconciler: Reconciler::new(settings),
            scribe: Scribe::default(),
            notes: Notes::default(),
            named: Named::default(),
            aws: Arc::new(aws),
            cluster: Arc::new(cluster),
            clock: Clock::start(epoch),
            metrics,
            readiness,
            calls: JoinSet::new(),
            call_of_task: HashMap::new(),
            deploying: BTreeMap::new(),
            writes: JoinSet::new(),
            object_of_task: HashMap::new(),
            records: Records::default(),
            bindings_well: BTreeSet::new(),
            held_calls: Vec::new(),
            records_io: JoinSet::new(),
            own_targets: OwnTargetsIo::default(),
            events: JoinSet::new(),
            events_waiting: VecDeque::new(),
            wake_at: None,
            held: BTreeSet::new(),
            phase: Phase::Waiting,
            is_synced: false,
            forbidden: BTreeSet::new(),
        }
    }

    /// Runs until it is stopped.
    ///
    /// # Errors
    /// [`DriverError::LeaseLost`] at once when the lead is lost: what is out is dropped.
    pub async fn run(mut self, mut inputs: Inputs) -> Result<Ended, DriverError> {
        loop {
            self.readiness.beat();
            self.advance(&inputs);
            if self.is_over() {
                return Ok(self.ended());
            }
            let deadline = self.deadline();
            let is_running = self.is_running();
            tokio::select! {
                biased;
                changed = inputs.leadership.changed() => {
                    // Without anybody who could say so, it is not ours any more.
                    if changed.is_err() || *inputs.leadership.borrow() == Leadership::Lost {
                        return Err(DriverError::LeaseLost);
                    }
                }
                () = inputs.stop.cancelled(), if is_running => self.begin_stop(),
                Some(done) = self.calls.join_next_with_id() => self.answered(done),
                Some(done) = self.writes.join_next_with_id() => self.written(done, &inputs),
                Some(done) = self.records_io.join_next() => self.records_done(done),
                Some(input) = self.own_targets.next() => self.step(input),
                Some(_) = self.events.join_next() => {}
                // What is still under way at a stop needs no news.
                event = inputs.events.recv(), if is_running => match event {
                    Some(event) => self.seen(event, &inputs),
                    None => return Err(DriverError::WatchEnded),
                },
                () = tokio::time::sleep_until(deadline) => self.ticked(),
            }
        }
    }

    /// Does whatever can be done now.
    fn advance(&mut self, inputs: &Inputs) {
        if self.is_synced && self.forbidden.is_empty() {
            self.readiness.set_ready();
        }
        if self.phase == Phase::Waiting
            && self.is_synced
            && self.forbidden.is_empty()
            && self.named.are_known()
            && *inputs.leadership.borrow() == Leadership::Leader
        {
            self.phase = Phase::Reading;
            self.metrics.leads(true);
            let cluster = Arc::clone(&self.cluster);
            self.records_io.spawn(async move {
                let read = tokio::time::timeout(RECORDS_TIME_MAX, cluster.read_records()).await;
                if let Ok(Err(error)) = &read {
                    tracing::warn!(%error, "Cannot read records: everything is looked at");
                }
                RecordsDone::Read(read.ok().and_then(Result::ok))
            });
        }
        if self.phase == Phase::Leading && !self.held.is_empty() && self.named.are_known() {
            let reads = std::mem::take(&mut self.held);
            self.step(Input::ObjectsChanged(reads));
        }
        if let Phase::Stopping(until) = self.phase
            && (self.reconciler.is_quiet() || Instant::now() >= until)
        {
            self.phase = Phase::Flushing(Instant::now() + FLUSH_TIME_MAX);
        }
        self.keep_records();
        self.write();
        self.tell();
        self.observe();
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Reading | Phase::Leading)
    }

    /// Whether something may be written.
    fn is_acting(&self) -> bool {
        !matches!(self.phase, Phase::Waiting | Phase::Reading)
    }

    fn start(&mut self, records: Option<BTreeMap<String, String>>) {
        self.phase = Phase::Leading;
        self.held.clear();
        let records = self.records.read(records.unwrap_or_default());
        tracing::info!(
            gateways = self.snapshot.gateway_names().count(),
            records = records.len(),
            "Starting rounds"
        );
        self.scribe.start(&self.snapshot);
        self.step(Input::Records(records));
        self.step(Input::Start);
    }

    fn records_done(&mut self, done: Result<RecordsDone, JoinError>) {
        match done {
            Ok(RecordsDone::Read(records)) if self.phase == Phase::Reading => self.start(records),
            Ok(RecordsDone::Read(_)) => {}
            Ok(RecordsDone::Written(is_written)) => {
                self.records.answered(is_written, self.clock.now());
            }
            Err(error) => {
                tracing::error!(%error, "Reading or writing records was aborted");
                if self.phase == Phase::Reading {
                    self.start(None);
                } else {
                    self.records.answered(false, self.clock.now());
                }
            }
        }
    }

    /// Writes records, and lets calls go that waited for it.
    fn keep_records(&mut self) {
        if !self.is_acting() {
            return;
        }
        if let Some(records) = self.records.next(self.clock.now()) {
            let cluster = Arc::clone(&self.cluster);
            self.records_io.spawn(async move {
                let written = cluster.write_records(&records);
                let written = tokio::time::timeout(RECORDS_TIME_MAX, written).await;
                if let Ok(Err(error)) = &written {
                    tracing::warn!(%error, "Cannot keep records: a restart looks at everything");
                }
                RecordsDone::Written(matches!(written, Ok(Ok(()))))
            });
        }
        if !self.records.holds_calls() {
            for (id, call) in std::mem::take(&mut self.held_calls) {
                self.call(id, call);
            }
        }
    }

    fn is_over(&self) -> bool {
        match self.phase {
            Phase::Flushing(until) => {
                let is_flushed = self.scribe.is_idle(self.clock.now())
                    && self.records.is_idle()
                    && self.own_targets.is_idle()
                    && self.events.is_empty();
                is_flushed || Instant::now() >= until
            }
            _ => false,
        }
    }

    fn ended(&self) -> Ended {
        // A write of records that comes late would outlive what the next leader changes.
        let is_in_order =
            self.calls.is_empty() && !self.records.is_out() && self.own_targets.is_idle();
        if is_in_order {
            Ended::InOrder
        } else {
            Ended::InMidair
        }
    }

    fn deadline(&self) -> Instant {
        let now = self.clock.now();
        let wakes = [
            self.wake_at,
            self.scribe.wake_at(now),
            self.records.wake_at(),
        ];
        let wake = wakes.into_iter().flatten().min();
        let wake = wake.map(|at| self.clock.instant(at));
        let end = match self.phase {
            Phase::Stopping(until) | Phase::Flushing(until) => Some(until),
            Phase::Waiting | Phase::Reading | Phase::Leading => None,
        };
        let beat = Instant::now() + BEAT_TIME_MAX;
        let named = self.named.give_up_at();
        let waits = [wake, end, named].into_iter().flatten();
        waits.min().unwrap_or(beat).min(beat)
    }

    // --- inputs ---

    fn begin_stop(&mut self) {
        if self.phase == Phase::Leading {
            tracing::info!("Stopping: waiting for calls that are out");
            self.phase = Phase::Stopping(Instant::now() + STOP_TIME_MAX);
            self.step(Input::Stop);
        } else {
            self.phase = Phase::Flushing(Instant::now());
        }
    }

    fn ticked(&mut self) {
        self.named.give_up(Instant::now());
        if self.wake_at.is_some_and(|at| at <= self.clock.now()) {
            self.step(Input::Tick);
        }
    }

    fn seen(&mut self, event: Event, inputs: &Inputs) {
        match event {
            Event::Changed(changes) => {
                let mut reads = BTreeSet::new();
                for change in changes {
                    reads.extend(self.take_in(change));
                }
                self.objects_changed(reads, inputs);
            }
            Event::Synced => {
                self.is_synced = true;
                tracing::info!("The Snapshot is complete");
            }
            Event::Served { kind, version } => {
                self.forbidden.remove(&kind);
                tracing::debug!(%kind, version, "Watching");
            }
            Event::Missing { kind, why } => match why {
                Absence::NotServed => {
                    self.forbidden.remove(&kind);
                    tracing::info!(%kind, %why, "Not watching");
                }
                Absence::Forbidden { .. } => {
                    self.forbidden.insert(kind);
                    tracing::error!(%kind, %why, "A kind may not be read; nothing begins until it may");
                }
            },
            Event::Named { object, refused } => {
                if let Some(why) = refused {
                    tracing::warn!(%object, %why, "A named object cannot be read");
                }
                self.named.looked_up(&object);
            }
            Event::Trouble { kind, message } => {
                let kind = kind.map(Kind::as_str).unwrap_or_default();
                tracing::warn!(kind, error = message, "The API server cannot be watched");
            }
        }
    }

    /// Puts a change into the Snapshot.
    fn take_in(&mut self, change: Change) -> BTreeSet<Read> {
        let (object, reads) = match change {
            Change::Apply(object) => {
                let reference = object.object_ref();
                let known = self.snapshot.get(&reference);
                if known
                    .as_ref()
                    .is_some_and(|known| version(&object) < version(known))
                {
                    // The answer to a write of ours was newer.
                    return BTreeSet::new();
                }
                let mut reads = self.snapshot.apply(&object);
                if known.is_some_and(|known| are_alike(&known, &object)) {
                    reads.clear();
                }
                (reference, reads)
            }
            Change::Remove(reference) => {
                let reads = self.snapshot.remove(&reference);
                if reference.kind == Kind::Gateway {
                    self.notes.forget(&reference.namespaced_name());
                }
                (reference, reads)
            }
        };
        self.scribe.changed(&object, &reads, &self.snapshot);
        reads
    }

    fn objects_changed(&mut self, reads: BTreeSet<Read>, inputs: &Inputs) {
        if let Some(names) = self.named.follow(&self.snapshot, &reads) {
            inputs.named.send_replace(names);
        }
        match self.phase {
            _ if reads.is_empty() => {}
            Phase::Leading if self.named.are_known() && self.held.is_empty() => {
                self.step(Input::ObjectsChanged(reads));
            }
            Phase::Leading => self.held.extend(reads),
            // Nobody has read anything yet, or will any more.
            Phase::Waiting | Phase::Reading | Phase::Stopping(_) | Phase::Flushing(_) => {}
        }
    }

    fn answered(&mut self, done: Result<(Id, CallDone), JoinError>) {
        let (task, result) = match done {
            Ok((task, (_, result))) => (task, result),
            Err(error) => {
                tracing::error!(%error, "A call ended without an answer");
                (error.id(), Err(unknown("the call was aborted")))
            }
        };
        let Some((id, called)) = self.call_of_task.remove(&task) else {
            return;
        };
        let took = self.clock.now().millis_since(called.since);
        let error = result.as_ref().err();
        self.metrics
            .called(called.service, called.operation, took, error);
        if let Some(error) = error {
            tracing::debug!(
                service = called.service,
                operation = called.operation,
                took_ms = took,
                %error,
                "AWS refused"
            );
        }
        self.step(Input::AwsAnswered { id, result });
    }

    fn written(&mut self, done: Result<(Id, WriteDone), JoinError>, inputs: &Inputs) {
        let now = self.clock.now();
        let (task, done) = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "A write ended without an answer");
                let lost = WriteError::TimedOut {
                    verb: "patch",
                    object: String::new(),
                    seconds: 0,
                };
                let done = WriteDone {
                    verb: "status",
                    reason: "FailedUpdateStatus",
                    result: Err(lost),
                };
                (error.id(), done)
            }
        };
        let WriteDone {
            verb,
            reason,
            result,
        } = done;
        let Some(object) = self.object_of_task.remove(&task) else {
            return;
        };
        self.metrics.wrote(object.kind, verb, result.as_ref().err());
        match &result {
            Ok(_) => tracing::debug!(%object, verb, "Wrote"),
            Err(error) => tracing::debug!(%object, verb, %error, "Could not write"),
        }
        let failed = self.scribe.written(&object, &result, now);
        if let Some(failed) = failed {
            tracing::warn!(%object, verb, error = failed.message, "A write needs help");
            let note = Notes::write_failed(reason, &failed.message);
            self.events_waiting.push_back((failed.object, note));
        }
        let Ok(Some(written)) = result else { return };
        if verb == "status" {
            let note = Notes::binding_written(&written);
            self.events_waiting.extend(note);
        }
        // The watch would bring the same a little later. Not for what is gone or is just being made:
        // that could come back to life here.
        if self
            .snapshot
            .get(&object)
            .is_some_and(|known| version(&known) < version(&written))
        {
            let reads = self.take_in(Change::Apply(written));
            self.objects_changed(reads, inputs);
        }
    }

    // --- effects ---

    fn step(&mut self, input: Input) {
        let now = self.clock.now();
        self.wake_at = None;
        for effect in self.reconciler.step(input, &self.snapshot, now) {
            self.carry_out(effect);
        }
    }
}
