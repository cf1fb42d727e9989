//! Pods in the simulation: what becomes of them, and what they are told of their targets.
//!
//! In: happenings, what machines say of targets, what AWS has said of them. Out: edits of the cluster, and an
//! error where a gate opens that must not, or stays closed for good. What always holds: a pod is told only
//! what was said of it, and not of another one of its name; an open gate stays open.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::crds::TargetType;
use elbow_api::{Kind, NamespacedName, Object, ObjectRef};
use elbow_model::observed::TargetState;
use elbow_model::{AwsAnswer, AwsCall, TargetGroupArn};
use elbow_reconcile::{GateHealth, GateVerdict};

use super::{Event, MISTAKES_INTERVAL_MS, Simulation};
use crate::bindings;
use crate::cluster::Cluster;
use crate::extras;
use crate::fabric::Fabric;
use crate::objects::NAMESPACE;
use crate::pods::{self, Happening, Later, Pod, Spot};
use crate::random::Random;

/// What AWS has said is as good as what it says now for so long, in milliseconds: answers take their time.
const SAID_MS: u64 = 60_000;
/// By then AWS has made every target healthy that is going to be: an NLB takes three minutes to come up, a
/// minute and a half for a target and half a minute for its check, and the machine asks every 15 s.
const HEALTHY_WITHIN_MS: u64 = 420_000;

/// A target: its group, address and port.
type Target = (String, String, u16);

/// What the machine of now was told by AWS.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// When AWS last said that a target is healthy.
    healthy: BTreeMap<Target, u64>,
}

/// Puts pods behind the endpoints of a new cluster. Answers with what becomes of them.
pub(super) fn begin(cluster: &mut Cluster, has_pods: bool, random: &mut Random) -> Vec<Happening> {
    cluster.extras.pods.is_on = has_pods;
    cluster.extras.pods.has_gates = random.chance(700);
    pods::follow(cluster, &BTreeMap::new(), random).happenings
}

impl Simulation {
    /// The network, where it changes.
    pub(super) fn fabric(&self) -> Option<&Fabric> {
        let extras = &self.cluster.extras;
        self.users.do_everything().then_some(&extras.fabric)
    }

    pub(super) fn edit_pods(&mut self) -> &'static str {
        if self.pods.chance(200) {
            return extras::edit_behind_class(&mut self.cluster, &mut self.pods);
        }
        let edited = pods::edit(&mut self.cluster, &mut self.pods);
        self.has_meddled |= edited.is_silent;
        if let Some(later) = edited.later {
            self.schedule(later.after_ms, Event::Pod(later));
        }
        edited.what
    }

    /// Lets pods follow what was edited, before anybody sees it.
    pub(super) fn follow_pods(&mut self) {
        let bindings = self.kept.bindings(&self.cluster);
        let mut gates: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        let mut names = BTreeSet::new();
        let of_users = bindings::gates(&self.cluster.bindings);
        let of_gateways = bindings.values().filter_map(gate_of);
        for (service, name, is_going) in of_users.into_iter().chain(of_gateways) {
            names.insert(name.clone());
            // The webhook passes over one that is being deleted.
            if !is_going {
                gates.entry(service).or_default().insert(name);
            }
        }
        self.cluster.extras.pods.open_gates_without(&names);
        let followed = pods::follow(&mut self.cluster, &gates, &mut self.pods);
        for happening in followed.happenings {
            self.schedule(happening.after_ms, Event::Pod(happening));
        }
        self.has_meddled |= followed.has_moved;
        if followed.goes_on {
            self.schedule(2_000, Event::Publish("a roll-out goes on"));
        }
        if let Some(fabric) = self.fabric().cloned() {
            self.account.follow(&fabric);
        }
    }

    pub(super) fn happen_to_pod(&mut self, happening: &Happening) -> Result<(), String> {
        if matches!(happening.what, Later::Connects(_)) {
            // Twice, for the first look may be under way, and answers take their time.
            self.connected_until = self.now + 2 * MISTAKES_INTERVAL_MS;
        }
        match pods::happen(&mut self.cluster, happening) {
            Some(what) => self.publish(what),
            None => Ok(()),
        }
    }

    // --- gates ---

    /// Notes what AWS says of targets.
    pub(super) fn note_health(&mut self, call: &AwsCall, answer: &AwsAnswer) {
        if let (AwsCall::DescribeTargetHealth { target_group }, AwsAnswer::TargetHealth(targets)) =
            (call, answer)
        {
            for target in targets.iter().filter(|t| t.state == TargetState::Healthy) {
                let target = &target.target;
                let key = (
                    target_group.to_string(),
                    target.id.clone(),
                    target.port.get(),
                );
                self.seen.healthy.insert(key, self.now);
            }
        }
    }

    /// Nothing that was said to an earlier machine counts for the next one.
    pub(super) fn forget_health(&mut self) {
        self.seen = Seen::default();
    }

    /// Takes in what a machine says to pods.
    pub(super) fn hear_verdicts(
        &mut self,
        binding: &NamespacedName,
        verdicts: &[GateVerdict],
    ) -> Result<(), String> {
        let healthy = verdicts.iter().filter(|v| v.health == GateHealth::Healthy);
        let mut open = Vec::new();
        for verdict in healthy {
            let targets = self.targets_of(binding, &verdict.pod);
            let is_said = |target: &Target| {
                let said = self.seen.healthy.get(target);
                said.is_some_and(|at| self.now - at <= SAID_MS)
            };
            if targets.is_empty() || !targets.iter().all(is_said) {
                return Err(format!(
                    "{} is told that it is healthy for {binding}, but AWS has not said so of all of \
                     {targets:?}",
                    verdict.pod
                ));
            }
            open.push((binding.name.clone(), verdict.uid.clone()));
        }
        if !open.is_empty() {
            let (life, after_ms) = (self.life, self.pods.one([1, 50, 1_000]));
            self.schedule(after_ms, Event::TellPods { life, open });
        }
        Ok(())
    }

    /// What a pod is for a binding, as the machine sees both.
    fn targets_of(&self, binding: &NamespacedName, pod: &NamespacedName) -> Vec<Target> {
        let get = |kind, name: &str| self.view.get(&ObjectRef::new(kind, NAMESPACE, name));
        let Some(Object::TargetGroupBinding(binding)) =
            get(Kind::TargetGroupBinding, &binding.name)
        else {
            return Vec::new();
        };
        let Some(spot) = pods::spot_of(&pod.name) else {
            return Vec::new();
        };
        let slice = format!("svc-{}-1", spot.0);
        let Some(Object::EndpointSlice(slice)) = get(Kind::EndpointSlice, &slice) else {
            return Vec::new();
        };
        let group = binding.spec.target_group_arn.clone().unwrap_or_default();
        let ports = slice.ports.iter().flatten().filter_map(|port| port.port);
        let ports = ports.filter_map(|port| u16::try_from(port).ok());
        ports
            .map(|port| (group.clone(), pods::target(spot), port))
            .collect()
    }

    /// What was said to pods is written.
    pub(super) fn tell_pods(&mut self, life: u32, open: &[(String, String)]) -> Result<(), String> {
        // A machine that was killed takes with it what it had not written yet.
        if life != self.life && self.pods.chance(500) {
            return Ok(());
        }
        let mut n_opened = 0;
        for (binding, uid) in open {
            let pods = &mut self.cluster.extras.pods;
            let mut pods = pods.all.values_mut().filter(|pod| pod.uid() == *uid);
            let gate = pods.next().and_then(|pod| pod.gates.get_mut(binding));
            if let Some(gate) = gate.filter(|is_open| !**is_open) {
                *gate = true;
                n_opened += 1;
            }
        }
        if n_opened == 0 {
            return Ok(());
        }
        self.summary.gates += n_opened;
        self.publish("pods are told that their targets are healthy")
    }

    /// Lets pods become ready that wait for nothing but time. Answers whether anything has come of it.
    pub(super) fn wait_for_pods(&mut self) -> Result<bool, String> {
        if self.cluster.extras.pods.waiting().next().is_none() {
            return Ok(false);
        }
        let before = self.summary.gates;
        let until = self.now + HEALTHY_WITHIN_MS;
        while self.next_at().is_some_and(|at| at <= until) && self.summary.gates == before {
            self.turn()?;
        }
        if self.summary.gates == before {
            self.now = self.now.max(until);
        }
        Ok(self.summary.gates > before)
    }

    /// Fails where a gate is closed though AWS says that the target is healthy.
    pub(super) fn check_gates(&mut self) -> Result<(), String> {
        let waiting = self.cluster.extras.pods.waiting();
        let closed: Vec<(Spot, String)> = waiting
            .flat_map(|(spot, pod)| {
                let closed = pod.gates.iter().filter(|(_, is_open)| !**is_open);
                closed.map(move |(binding, _)| (spot, binding.clone()))
            })
            .collect();
        for (spot, binding) in closed {
            let [binding, pod] =
                [binding, pods::name(spot)].map(|name| NamespacedName::new(NAMESPACE, name));
            let targets = self.targets_of(&binding, &pod);
            if targets.is_empty() {
                return Err(format!("{pod} waits for {binding}, which is gone"));
            }
            let mut are_healthy = true;
            for target in &targets {
                are_healthy &= self.is_healthy(target);
            }
            if are_healthy {
                return Err(format!(
                    "{pod} waits for {binding} for good, though {targets:?} are healthy"
                ));
            }
            self.summary.closed_gates += 1;
        }
        if self.cluster.extras.pods.n_rollouts() > 0
            && self.cluster.extras.pods.all.values().all(Pod::is_ready)
        {
            return Err("a roll-out does not go on, and all pods are ready".to_owned());
        }
        Ok(())
    }

    fn is_healthy(&mut self, (group, id, port): &Target) -> bool {
        let call = AwsCall::DescribeTargetHealth {
            target_group: TargetGroupArn::new(group.clone()),
        };
        let Ok(AwsAnswer::TargetHealth(targets)) = self.account.answer(self.now, &call) else {
            return false;
        };
        targets.iter().any(|found| {
            let target = &found.target;
            found.state == TargetState::Healthy && target.id == *id && target.port.get() == *port
        })
    }
}

/// The Service and the name of a Gateway's binding, if its targets are addresses.
fn gate_of(binding: &Object) -> Option<(u64, String, bool)> {
    let Object::TargetGroupBinding(binding) = binding else {
        return None;
    };
    let service = binding.spec.service_ref.name.strip_prefix("svc-")?;
    let takes_addresses = binding.spec.target_type == Some(TargetType::Ip);
    let name = binding.metadata.name.clone()?;
    takes_addresses.then_some((service.parse().ok()?, name, false))
}
