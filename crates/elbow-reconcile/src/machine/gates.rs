//! Readiness gates: the health of targets that pods wait for.
//!
//! In: TargetGroupBindings whose pods have a closed gate, registrations that succeeded, what AWS says of
//! targets. Out: DescribeTargetHealth, one call for a target group however many pods wait for it, and
//! [`Effect::Gates`]. What always holds:
//!
//! - AWS is asked only while a pod waits, and not about pods that were told that they may go on;
//! - a look that fails is repeated, later and later; it fails no round;
//! - whose target group it is does not matter: what counts is the binding.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{Kind, NamespacedName, Read, Snapshot};
use elbow_model::observed::{ObservedTarget, TargetState};
use elbow_model::stack::Target;
use elbow_model::{AwsAnswer, AwsCall, AwsError, ErrorClass, Facts, Port, TargetGroupArn};
use elbow_translate::{Waiting, WaitingPod, Waits};

use super::{Effect, Owner, Reconciler};
use crate::outbox::Priority;
use crate::settings::GatePolls;
use crate::time::Timestamp;

/// What a pod is told of its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateVerdict {
    /// The pod.
    pub pod: NamespacedName,
    /// Tells it from others of its name.
    pub uid: String,
    /// What is known of its target.
    pub health: GateHealth,
}

/// What is known of a pod's target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateHealth {
    /// It was registered just now; AWS was not asked yet.
    Registering,
    /// The load balancer sends it traffic.
    Healthy,
    /// It does not.
    NotHealthy {
        /// Why not, in AWS's code; empty if it gives none.
        reason: String,
        /// AWS's words; may be empty.
        description: String,
    },
    /// AWS does not know the target.
    Unregistered,
}

/// Who waits for what, and when AWS is asked next.
#[derive(Debug, Default)]
pub(super) struct Gates {
    waiting: BTreeMap<NamespacedName, Waiting>,
    /// Bindings of which nobody can say who waits, by the target group that has to be known first.
    undecided: BTreeMap<NamespacedName, String>,
    /// What was read to know who waits, by binding, and the reverse of it.
    reads: BTreeMap<NamespacedName, BTreeSet<Read>>,
    readers: BTreeMap<Read, BTreeSet<NamespacedName>>,
    /// Pods that were told that their target is healthy, by binding, until they show it.
    told: BTreeMap<NamespacedName, BTreeSet<String>>,
    polls: BTreeMap<TargetGroupArn, Poll>,
    has_begun: bool,
}

/// Looks at the health of one target group.
#[derive(Debug, Clone, Copy)]
struct Poll {
    /// When the next one is due; none while one is out.
    at: Option<Timestamp>,
    /// Looks since the last registration.
    looks: u32,
    /// Failures in a row.
    failures: u32,
}

impl Poll {
    fn first(polls: GatePolls, now: Timestamp) -> Self {
        Self {
            at: Some(now.plus_millis(polls.first_ms)),
            looks: 0,
            failures: 0,
        }
    }
}

impl Gates {
    /// When AWS is to be asked next.
    pub(super) fn next_poll(&self) -> Option<Timestamp> {
        self.polls.values().filter_map(|poll| poll.at).min()
    }

    /// Asks nothing any more.
    pub(super) fn stop(&mut self) {
        self.has_begun = false;
        self.waiting.clear();
        self.undecided.clear();
        self.polls.clear();
    }

    /// Looks again who waits for a binding.
    fn review(&mut self, binding: &NamespacedName, snapshot: &Snapshot, facts: &Facts) {
        let (waits, reads) = elbow_translate::waiting(snapshot, facts, binding);
        self.note_reads(binding, reads);
        self.undecided.remove(binding);
        match waits {
            Waits::Pods(waiting) => {
                if let Some(told) = self.told.get_mut(binding) {
                    told.retain(|uid| waiting.pods.values().any(|pod| pod.uid == *uid));
                }
                self.waiting.insert(binding.clone(), waiting);
                return;
            }
            Waits::Nobody => {}
            Waits::UnknownGroup(name) => {
                self.undecided.insert(binding.clone(), name);
            }
        }
        self.waiting.remove(binding);
        self.told.remove(binding);
    }

    fn note_reads(&mut self, binding: &NamespacedName, reads: BTreeSet<Read>) {
        let before = self.reads.remove(binding).unwrap_or_default();
        for read in before.difference(&reads) {
            if let Some(readers) = self.readers.get_mut(read) {
                readers.remove(binding);
                if readers.is_empty() {
                    self.readers.remove(read);
                }
            }
        }
        for read in reads.difference(&before) {
            let readers = self.readers.entry(read.clone()).or_default();
            readers.insert(binding.clone());
        }
        self.reads.insert(binding.clone(), reads);
    }

    /// Forgets a binding that is gone.
    fn forget(&mut self, binding: &NamespacedName) {
        self.note_reads(binding, BTreeSet::new());
        self.reads.remove(binding);
    }

    /// The pods that wait for a target group and were not told that they may go on, by binding.
    fn of_group<'a>(
        &'a self,
        group: &'a TargetGroupArn,
    ) -> impl Iterator<Item = (&'a NamespacedName, &'a NamespacedName, &'a WaitingPod)> {
        let of_group = self.waiting.iter();
        let of_group = of_group.filter(move |(_, waiting)| waiting.target_group == *group);
        of_group.flat_map(|(binding, waiting)| {
            let told = self.told.get(binding);
            let pods = waiting.pods.iter();
            pods.filter(move |(_, pod)| !told.is_some_and(|told| told.contains(&pod.uid)))
                .map(move |(name, pod)| (binding, name, pod))
        })
    }

    /// Begins to look at the groups that are waited for, and ends looking at the others.
    fn schedule(&mut self, polls: GatePolls, now: Timestamp) {
        let groups: BTreeSet<_> = self
            .waiting
            .values()
            .map(|w| w.target_group.clone())
            .collect();
        let wanted: BTreeSet<_> = groups
            .into_iter()
            .filter(|group| self.of_group(group).next().is_some())
            .collect();
        // An answer that is under way is of no use to a group that comes back.
        self.polls.retain(|group, _| wanted.contains(group));
        for group in wanted {
            self.polls
                .entry(group)
                .or_insert_with(|| Poll::first(polls, now));
        }
    }
}

impl Reconciler {
    pub(super) fn start_gates(&mut self, snapshot: &Snapshot, now: Timestamp) {
        self.gates.has_begun = true;
        let bindings: Vec<_> = snapshot.target_group_binding_names().cloned().collect();
        for binding in bindings {
            self.gates.review(&binding, snapshot, self.facts.facts());
        }
        self.gates.schedule(self.settings.gate_polls, now);
    }

    /// Decides about bindings whose target groups are known by now.
    pub(super) fn decide_gates(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let known = &self.facts.facts().target_groups;
        let is_known = |name: &String| known.get(name).is_some_and(Option::is_some);
        let undecided = self.gates.undecided.iter();
        let decided: Vec<_> = undecided
            .filter(|(_, group)| is_known(group))
            .map(|(binding, _)| binding.clone())
            .collect();
        if decided.is_empty() {
            return;
        }
        for binding in decided {
            self.gates.review(&binding, snapshot, self.facts.facts());
        }
        self.gates.schedule(self.settings.gate_polls, now);
    }

    pub(super) fn gates_changed(
        &mut self,
        reads: &BTreeSet<Read>,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        if !self.gates.has_begun {
            return;
        }
        let readers = reads.iter().filter_map(|read| self.gates.readers.get(read));
        let mut bindings: BTreeSet<_> = readers.flatten().cloned().collect();
        let changed = reads.iter().filter_map(|read| match read {
            Read::Object(object) if object.kind == Kind::TargetGroupBinding => {
                Some((object, object.namespaced_name()))
            }
            _ => None,
        });
        let mut gone = Vec::new();
        for (object, name) in changed {
            if snapshot.get(object).is_none() {
                gone.push(name.clone());
            }
            bindings.insert(name);
        }
        if bindings.is_empty() {
            return;
        }
        for binding in bindings {
            self.gates.review(&binding, snapshot, self.facts.facts());
        }
        for binding in gone {
            self.gates.forget(&binding);
        }
        self.gates.schedule(self.settings.gate_polls, now);
    }

    /// Tells the pods whose targets were registered, and looks at them soon.
    pub(super) fn gates_registered(
        &mut self,
        group: &TargetGroupArn,
        targets: &[Target],
        now: Timestamp,
    ) {
        let is_new = |(address, port): &(String, Port)| {
            targets
                .iter()
                .any(|target| target.id == *address && target.port == *port)
        };
        let registered = self
            .gates
            .of_group(group)
            .filter(|(_, _, pod)| pod.targets.iter().any(is_new))
            .map(|(binding, name, pod)| verdict(binding, name, pod, GateHealth::Registering))
            .collect::<Vec<_>>();
        if registered.is_empty() {
            return;
        }
        self.tell(registered);
        let first = Poll::first(self.settings.gate_polls, now);
        if let Some(poll) = self.gates.polls.get_mut(group) {
            // One that is out is answered first, and the next one comes soon after it.
            *poll = Poll {
                at: poll.at.and(first.at),
                ..first
            };
        }
    }

    /// Asks where it is time.
    pub(super) fn poll_gates(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for (group, poll) in &mut self.gates.polls {
            if poll.at.take_if(|at| *at <= now).is_some() {
                due.push(AwsCall::DescribeTargetHealth {
                    target_group: group.clone(),
                });
            }
        }
        self.send_all(&Owner::Gates, Priority::Gates, due);
    }

    pub(super) fn gates_answered(
        &mut self,
        call: &AwsCall,
        result: Result<AwsAnswer, AwsError>,
        now: Timestamp,
    ) {
        let AwsCall::DescribeTargetHealth { target_group } = call else {
            return;
        };
        let targets = match result {
            Ok(AwsAnswer::TargetHealth(targets)) => targets,
            other => {
                let class = other.map_or_else(|error| error.class, |_| ErrorClass::Transient);
                self.look_again_later(target_group, class, now);
                return;
            }
        };
        let verdicts: Vec<_> = self
            .gates
            .of_group(target_group)
            .map(|(binding, name, pod)| verdict(binding, name, pod, health(pod, &targets)))
            .collect();
        for (binding, verdict) in &verdicts {
            if verdict.health == GateHealth::Healthy {
                let told = self.gates.told.entry(binding.clone()).or_default();
                told.insert(verdict.uid.clone());
            }
        }
        self.tell(verdicts);
        let settings = self.settings.gate_polls;
        if let Some(poll) = self.gates.polls.get_mut(target_group) {
            poll.failures = 0;
            poll.looks = poll.looks.saturating_add(1);
            let wait = settings.first_ms.saturating_mul(1 << poll.looks.min(20));
            poll.at = Some(now.plus_millis(wait.min(settings.max_ms)));
        }
        self.gates.schedule(settings, now);
    }

    fn look_again_later(&mut self, group: &TargetGroupArn, class: ErrorClass, now: Timestamp) {
        let max_ms = self.settings.gate_polls.max_ms;
        let backoff = self.settings.backoff;
        if let Some(poll) = self.gates.polls.get_mut(group) {
            poll.failures = poll.failures.saturating_add(1);
            let wait = backoff.wait_ms(class, poll.failures, group.as_str());
            poll.at = Some(now.plus_millis(wait.min(max_ms)));
        }
    }

    /// Says what is known, all at once to the pods of a binding.
    fn tell(&mut self, verdicts: Vec<(NamespacedName, GateVerdict)>) {
        let mut by_binding: BTreeMap<NamespacedName, Vec<GateVerdict>> = BTreeMap::new();
        for (binding, verdict) in verdicts {
            by_binding.entry(binding).or_default().push(verdict);
        }
        let effects = by_binding
            .into_iter()
            .map(|(binding, verdicts)| Effect::Gates { binding, verdicts });
        self.effects.extend(effects);
    }
}

fn verdict(
    binding: &NamespacedName,
    name: &NamespacedName,
    pod: &WaitingPod,
    health: GateHealth,
) -> (NamespacedName, GateVerdict) {
    let verdict = GateVerdict {
        pod: name.clone(),
        uid: pod.uid.clone(),
        health,
    };
    (binding.clone(), verdict)
}

/// What AWS says of a pod's targets: the first that is not healthy counts.
fn health(pod: &WaitingPod, observed: &[ObservedTarget]) -> GateHealth {
    let of_pod = pod.targets.iter().map(|(address, port)| {
        let mut observed = observed.iter();
        let found = observed.find(|o| o.target.id == *address && o.target.port == *port);
        match found {
            None => GateHealth::Unregistered,
            Some(found) if found.state == TargetState::Healthy => GateHealth::Healthy,
            Some(found) => GateHealth::NotHealthy {
                reason: found.reason.clone().unwrap_or_default(),
                description: found.description.clone().unwrap_or_default(),
            },
        }
    });
    { of_pod }
        .find(|health| *health != GateHealth::Healthy)
        .unwrap_or(GateHealth::Healthy)
}
