//! Pods: what stands behind the endpoints of Services, and what they wait for.
//!
//! In: Services with the addresses of their pods, TargetGroupBindings, chance. Out: pods that start, have
//! gates, become ready and end; their objects and endpoints; roll-outs. What always holds: a pod gets the gates
//! of the bindings that are there when it is made, as the webhook gives them; an open gate stays open; a
//! roll-out takes away an old pod only when all new ones are ready.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::Object;
use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Service};
use crate::fabric::{self, Groups, Place, address};
use crate::objects::{NAMESPACE, typed, uid};
use crate::random::Random;

/// What the condition of a gate is called.
const GATE: &str = "target-health.elbv2.k8s.aws/";
/// Addresses that pods of a Service may have.
const ADDRESSES: std::ops::RangeInclusive<u8> = 20..=25;

/// The number of a Service, and the last part of an address.
pub(crate) type Spot = (u64, u8);

/// All pods.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pods {
    /// Whether there are any; where not, endpoints have no pods behind them.
    pub(crate) is_on: bool,
    /// Whether the namespace asks for gates.
    pub(crate) has_gates: bool,
    pub(crate) all: BTreeMap<Spot, Pod>,
    /// Services that are being rolled out.
    rollouts: BTreeMap<u64, Rollout>,
    /// Where the last pod at an address was.
    last: BTreeMap<Spot, Place>,
    /// Counts pods: each has a UID of its own.
    n_made: u64,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) number: u64,
    pub(crate) node: u64,
    pub(crate) are_containers_ready: bool,
    /// Whether it was told to end and has not ended yet.
    pub(crate) is_ending: bool,
    /// Gates by the name of their binding, and whether each is open.
    pub(crate) gates: BTreeMap<String, bool>,
}

/// New pods in place of old ones, one at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rollout {
    old: BTreeSet<u8>,
    replicas: usize,
}

/// Something that happens to a pod after a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Later {
    /// Its containers become ready.
    Starts,
    /// It gets its interface.
    Connects(Place),
    /// It is gone.
    Ends,
}

/// What is to happen when, and to which pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) after_ms: u64,
    pub(crate) spot: Spot,
    pub(crate) number: u64,
    pub(crate) what: Later,
}

/// What comes of an edit.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) happenings: Vec<Happening>,
    /// Whether a roll-out has made a step, and may make the next one.
    pub(crate) goes_on: bool,
    /// Whether an address has gone from a node's interface to one of a pod's own on that node: who did not know
    /// the earlier pod finds it there at the next look for drift.
    pub(crate) has_moved: bool,
}

impl Pod {
    /// Whether it is ready, as Kubernetes counts it.
    pub(crate) fn is_ready(&self) -> bool {
        self.are_containers_ready && self.gates.values().all(|is_open| *is_open)
    }

    /// Whether only gates keep it from being ready.
    pub(crate) fn is_waiting(&self) -> bool {
        self.are_containers_ready && !self.is_ending && !self.is_ready()
    }

    pub(crate) fn uid(&self) -> String {
        uid(11, self.number, 0)
    }
}

/// The name of a pod.
pub(crate) fn name(spot: Spot) -> String {
    format!("pod-{}-{}", spot.0, spot.1)
}

impl Pods {
    /// A roll-out of a Service's pods begins.
    pub(crate) fn roll_out(&mut self, number: u64, service: &Service) {
        let rollout = Rollout {
            old: service.pods.clone(),
            replicas: service.pods.len(),
        };
        self.rollouts.entry(number).or_insert(rollout);
    }

    /// How many Services are being rolled out.
    pub(crate) fn n_rollouts(&self) -> usize {
        self.rollouts.len()
    }

    /// The pods that wait for gates alone.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (Spot, &Pod)> {
        let waiting = self.all.iter().filter(|(_, pod)| pod.is_waiting());
        waiting.map(|(spot, pod)| (*spot, pod))
    }

    /// The pod of that number, if it still has its address.
    pub(crate) fn get_mut(&mut self, spot: Spot, number: u64) -> Option<&mut Pod> {
        self.all.get_mut(&spot).filter(|pod| pod.number == number)
    }

    /// Opens the gates of bindings that are gone, as whoever lets go of a binding does: nobody waits for them.
    pub(crate) fn open_gates_without(&mut self, bindings: &BTreeSet<String>) {
        let gates = self.all.values_mut().flat_map(|pod| &mut pod.gates);
        for (_, is_open) in gates.filter(|(binding, _)| !bindings.contains(*binding)) {
            *is_open = true;
        }
    }

    /// The endpoints of a Service.
    pub(crate) fn endpoints(&self, service: u64) -> Vec<Value> {
        let of_service = self.all.range((service, 0)..=(service, u8::MAX));
        let endpoint = |(spot, pod): (&Spot, &Pod)| {
            json!({
                "addresses": [address(spot.0, spot.1)],
                "conditions": {
                    "ready": pod.is_ready() && !pod.is_ending,
                    "serving": pod.is_ready(),
                    "terminating": pod.is_ending,
                },
                "nodeName": format!("node-{}", pod.node),
                "targetRef": {
                    "kind": "Pod", "name": name(*spot), "namespace": NAMESPACE, "uid": pod.uid(),
                },
            })
        };
        of_service.map(endpoint).collect()
    }

    /// The pods that a controller reads: those that are not ready, and not about to go.
    pub(crate) fn objects(&self) -> Vec<Object> {
        let read = self
            .all
            .iter()
            .filter(|(_, pod)| !pod.is_ready() && !pod.is_ending);
        read.map(|(spot, pod)| object(*spot, pod)).collect()
    }
}

fn object(spot: Spot, pod: &Pod) -> Object {
    let status = |is_so: bool| if is_so { "True" } else { "False" };
    let mut conditions = vec![json!({
        "type": "ContainersReady", "status": status(pod.are_containers_ready),
    })];
    let open = pod.gates.iter().filter(|(_, is_open)| **is_open);
    conditions.extend(
        open.map(|(binding, _)| json!({"type": format!("{GATE}{binding}"), "status": "True"})),
    );
    let gates = pod.gates.keys();
    let gates = gates.map(|binding| json!({"conditionType": format!("{GATE}{binding}")}));
    typed::<core::Pod>(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name(spot), "namespace": NAMESPACE, "uid": pod.uid()},
        "spec": {
            "nodeName": format!("node-{}", pod.node),
            "containers": [{"name": "app"}],
            "readinessGates": gates.collect::<Vec<_>>(),
        },
        "status": {"conditions": conditions},
    }))
}

/// What kubelets, the CNI plugin, the webhook and the Deployment controller make of an edited cluster: pods
/// that are new begin to start, those that are not wanted begin to end, and roll-outs go on. `gates` has the
/// bindings of targets by address, by Service.
pub(crate) fn follow(
    cluster: &mut Cluster,
    gates: &BTreeMap<u64, BTreeSet<String>>,
    random: &mut Random,
) -> Followed {
    let mut happenings = Vec::new();
    if !cluster.extras.pods.is_on {
        return Followed::default();
    }
    let goes_on = roll_on(cluster);
    let mut has_moved = false;
    let Cluster {
        services, extras, ..
    } = cluster;
    let pods = &mut extras.pods;
    for (spot, pod) in &mut pods.all {
        let is_wanted = { services.get(&spot.0) }.is_some_and(|s| s.pods.contains(&spot.1));
        if is_wanted || pod.is_ending {
            continue;
        }
        pod.is_ending = true;
        happenings.push(Happening {
            after_ms: random.one([100, 1_000, 30_000]),
            spot: *spot,
            number: pod.number,
            what: Later::Ends,
        });
    }
    let wanted = services.iter();
    let wanted = wanted.flat_map(|(n, service)| service.pods.iter().map(|pod| (*n, *pod)));
    for spot in wanted {
        // An address is free again when who had it is gone.
        if pods.all.contains_key(&spot) {
            continue;
        }
        pods.n_made += 1;
        let number = pods.n_made;
        let of_service = gates.get(&spot.0).cloned().unwrap_or_default();
        let of_service = of_service.into_iter().filter(|_| pods.has_gates);
        let pod = Pod {
            number,
            node: random.between(1, 3),
            are_containers_ready: random.chance(300),
            is_ending: false,
            gates: of_service.map(|binding| (binding, false)).collect(),
        };
        let later = |after_ms, what| Happening {
            after_ms,
            spot,
            number,
            what,
        };
        if !pod.are_containers_ready {
            let after_ms = random.one([50, 2_000, 20_000]);
            happenings.push(later(after_ms, Later::Starts));
        }
        let place = place(&pod, random);
        let last = pods.last.insert(spot, place);
        has_moved |= matches!(place, Place::Own(_)) && last == Some(Place::Node(pod.node));
        if random.chance(100) {
            let after_ms = random.one([10, 1_000, 8_000]);
            happenings.push(later(after_ms, Later::Connects(place)));
        } else {
            let address = address(spot.0, spot.1);
            extras.fabric.places.insert(address, place);
        }
        pods.all.insert(spot, pod);
    }
    Followed {
        happenings,
        goes_on,
        has_moved,
    }
}

/// Where the CNI plugin puts a pod's address.
fn place(pod: &Pod, random: &mut Random) -> Place {
    match random.below(10) {
        0 => Place::Own(Groups::OfNodes),
        1 | 2 => Place::Own(Groups::OfPods),
        3 => Place::Own(Groups::Both),
        _ => Place::Node(pod.node),
    }
}

/// Lets roll-outs go on as far as they may. Answers whether any did.
fn roll_on(cluster: &mut Cluster) -> bool {
    let mut goes_on = false;
    let pods = &mut cluster.extras.pods;
    for (number, rollout) in &mut pods.rollouts {
        let Some(service) = cluster.services.get_mut(number) else {
            rollout.old.clear();
            continue;
        };
        rollout.old.retain(|pod| service.pods.contains(pod));
        let is_ready = |pod: &u8| pods.all.get(&(*number, *pod)).is_some_and(Pod::is_ready);
        let mut new = service.pods.difference(&rollout.old);
        if !new.all(is_ready) {
            continue;
        }
        if service.pods.len() > rollout.replicas
            && let Some(old) = rollout.old.pop_first()
        {
            goes_on |= service.pods.remove(&old);
        }
        if !rollout.old.is_empty() && service.pods.len() <= rollout.replicas {
            let mut free = ADDRESSES.filter(|pod| !pods.all.contains_key(&(*number, *pod)));
            let new = free.next();
            goes_on |= new.is_some();
            service.pods.extend(new);
        }
    }
    pods.rollouts.retain(|_, rollout| !rollout.old.is_empty());
    goes_on
}

/// Lets happen what was to happen to a pod. Answers with what it was, if the pod is still there.
pub(crate) fn happen(cluster: &mut Cluster, happening: &Happening) -> Option<&'static str> {
    let Happening {
        spot, number, what, ..
    } = happening;
    let address = address(spot.0, spot.1);
    let extras = &mut cluster.extras;
    let pod = extras.pods.get_mut(*spot, *number)?;
    Some(match what {
        Later::Starts => {
            pod.are_containers_ready = true;
            "the containers of a pod are ready"
        }
        Later::Connects(place) => {
            extras.fabric.places.insert(address, *place);
            "a pod gets its interface"
        }
        Later::Ends => {
            extras.pods.all.remove(spot);
            extras.fabric.places.remove(&address);
            "a pod has ended"
        }
    })
}

/// What an edit of pods was.
pub(crate) struct Edited {
    pub(crate) what: &'static str,
    /// Whether only AWS knows of it: it is found at the next look for drift.
    pub(crate) is_silent: bool,
    pub(crate) later: Option<Happening>,
}

/// Edits pods and the network below them.
pub(crate) fn edit(cluster: &mut Cluster, random: &mut Random) -> Edited {
    let edited = |what| Edited {
        what,
        is_silent: false,
        later: None,
    };
    let silent = |what| Edited {
        is_silent: true,
        ..edited(what)
    };
    let choice = random.below(100);
    let spots: Vec<Spot> = cluster.extras.pods.all.keys().copied().collect();
    let spot = random.pick(&spots).copied();
    let Cluster {
        services, extras, ..
    } = cluster;
    match (choice, spot) {
        (0..45, _) => {
            let numbers: Vec<u64> = services.keys().copied().collect();
            let number = random.pick(&numbers).copied().unwrap_or_default();
            if let Some(service) = services.get(&number) {
                extras.pods.roll_out(number, service);
            }
            edited("rolls out a Service")
        }
        (45..65, Some(spot)) => {
            let Some(pod) = extras.pods.all.get_mut(&spot).filter(|pod| !pod.is_ending) else {
                return edited("finds a pod that ends");
            };
            pod.are_containers_ready = false;
            let later = Happening {
                after_ms: random.one([1_000, 60_000]),
                spot,
                number: pod.number,
                what: Later::Starts,
            };
            Edited {
                later: Some(later),
                ..edited("the containers of a pod fail")
            }
        }
        (65..80, Some(spot)) => {
            // It ends at once, and another one has its address.
            extras.pods.all.remove(&spot);
            extras.fabric.places.remove(&address(spot.0, spot.1));
            edited("replaces a pod")
        }
        (80..88, Some(spot)) => {
            let groups = random.one([Groups::OfNodes, Groups::OfPods, Groups::Both]);
            let place = extras.fabric.places.get_mut(&address(spot.0, spot.1));
            match place {
                Some(Place::Own(own)) => {
                    *own = groups;
                    silent("exchanges the groups of a pod's interface")
                }
                _ => edited("finds no interface of a pod's own"),
            }
        }
        (88..94, _) => {
            let node = random.between(1, 3);
            if !extras.fabric.nodes_with_both.remove(&node) {
                extras.fabric.nodes_with_both.insert(node);
            }
            silent("exchanges the groups of a node's interface")
        }
        (94.., _) => {
            let node = random.between(1, 3);
            if cluster.nodes.remove(&node).is_none() {
                cluster.nodes.insert(node, true);
            }
            edited("a node leaves or joins")
        }
        (_, None) => edited("finds no pod"),
    }
}

/// Which target of which pod this is.
pub(crate) fn spot_of(name: &str) -> Option<Spot> {
    let (service, pod) = name.strip_prefix("pod-")?.split_once('-')?;
    Some((service.parse().ok()?, pod.parse().ok()?))
}

/// The pod that a target is, by its address.
pub(crate) fn spot_at(target: &str) -> Option<Spot> {
    let [192, 168, third, pod] = target.parse::<std::net::Ipv4Addr>().ok()?.octets() else {
        return None;
    };
    Some((u64::from(third.checked_sub(100)?), pod))
}

/// The address of a pod, as targets have it.
pub(crate) fn target(spot: Spot) -> String {
    fabric::address(spot.0, spot.1).to_string()
}
