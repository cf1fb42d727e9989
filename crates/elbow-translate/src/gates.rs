//! Readiness gates: which pods wait for their targets to be healthy.
//!
//! In: the Snapshot, which has the pods of endpoints that are not ready, a TargetGroupBinding, and Facts
//! where the binding leaves out what AWS knows of its target group. Out:
//! the pods whose gate of that binding is closed, with the targets that they are. What always holds: a
//! pod whose containers are not ready, that ends, or whose gate is open does not wait; the same
//! endpoints are registered as targets, so whoever waits here is waited for there.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::crds::{TargetGroupBinding, TargetGroupIpAddressType, TargetType};
use elbow_api::names::readiness_gate;
use elbow_api::{NamespacedName, Read, Reader, Snapshot};
use elbow_model::stack::{self, TargetFamily};
use elbow_model::{Facts, Port, TargetGroupArn};
use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::gateway::targets::{NodeState, conditions_of, endpoint_state, node_state, ports_of};

/// The pods that wait for a TargetGroupBinding's targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The target group that the binding names.
    pub target_group: TargetGroupArn,
    /// The pods; never empty.
    pub pods: BTreeMap<NamespacedName, WaitingPod>,
}

/// A pod whose gate is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingPod {
    /// Tells the pod from others of its name, before and after it.
    pub uid: String,
    /// The targets that it is, by address and port; never empty.
    pub targets: BTreeSet<(String, Port)>,
}

/// Who waits for a binding's targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waits {
    /// These pods.
    Pods(Waiting),
    /// Nobody.
    Nobody,
    /// That cannot be said before the target group of this name is among the facts: the binding leaves out
    /// what AWS knows of it.
    UnknownGroup(String),
}

/// Who waits for a binding's targets, and what was read to know that.
pub fn waiting(
    snapshot: &Snapshot,
    facts: &Facts,
    binding: &NamespacedName,
) -> (Waits, BTreeSet<Read>) {
    let reader = Reader::new(snapshot);
    let waits = waits(&reader, facts, binding);
    (waits, reader.into_reads())
}

fn waits(reader: &Reader<'_>, facts: &Facts, name: &NamespacedName) -> Waits {
    let Some(binding) = reader.target_group_binding(name) else {
        return Waits::Nobody;
    };
    let spec = &binding.spec;
    // Those of other accounts are not served.
    if binding.metadata.deletion_timestamp.is_some() || spec.iam_role_arn_to_assume.is_some() {
        return Waits::Nobody;
    }
    let group = match (&spec.target_group_arn, spec.target_type) {
        (_, Some(TargetType::Instance)) => return Waits::Nobody,
        (Some(arn), Some(TargetType::Ip)) => Group {
            arn: TargetGroupArn::new(arn.clone()),
            family: TargetFamily::Ipv4,
        },
        _ => {
            let group_name = spec.group_name().unwrap_or_default();
            match facts.target_groups.get(group_name) {
                Some(Some(group)) if group.target_type == Some(stack::TargetType::Ip) => Group {
                    arn: group.arn.clone(),
                    family: group.ip_address_type,
                },
                Some(Some(_)) => return Waits::Nobody,
                Some(None) | None => return Waits::UnknownGroup(group_name.to_owned()),
            }
        }
    };
    find(reader, name, binding, group).map_or(Waits::Nobody, Waits::Pods)
}

/// What has to be known of the target group.
struct Group {
    arn: TargetGroupArn,
    /// Unless the binding says another.
    family: TargetFamily,
}

/// The pods of a slice that have to be read, since the slice does not tell whether they are targets: that
/// of an endpoint that is not ready may wait for a gate, and that of one that ends on a node of which
/// nothing is known may be all that is left.
pub fn pods_to_read(snapshot: &Snapshot, slice: &EndpointSlice) -> BTreeSet<NamespacedName> {
    let reader = Reader::new(snapshot);
    let own = slice.metadata.namespace.as_deref().unwrap_or_default();
    let endpoints = slice.endpoints.iter().flatten();
    let unclear = endpoints.filter(|endpoint| {
        let conditions = conditions_of(endpoint);
        may_wait(&conditions)
            || conditions.ready == Some(false) && is_node_unknown(&reader, endpoint)
    });
    unclear
        .filter_map(|endpoint| pod_of(endpoint, own))
        .collect()
}

/// All pods of a slice: those of a Service behind QUIC have server ids, which a slice does not tell.
pub fn pods_of(slice: &EndpointSlice) -> BTreeSet<NamespacedName> {
    let own = slice.metadata.namespace.as_deref().unwrap_or_default();
    let endpoints = slice.endpoints.iter().flatten();
    endpoints.filter_map(|e| pod_of(e, own)).collect()
}

/// Whether an endpoint's pod may wait for a gate: it is not ready, and not about to go.
fn may_wait(conditions: &EndpointConditions) -> bool {
    let is_ready = conditions.ready.unwrap_or(true);
    // Where a Service publishes addresses that are not ready, all are `ready`; `serving` is its pod's.
    let is_serving = conditions.serving.unwrap_or(is_ready);
    !(is_ready && is_serving) && conditions.terminating != Some(true)
}

fn is_node_unknown(reader: &Reader<'_>, endpoint: &Endpoint) -> bool {
    let node = endpoint.node_name.as_ref();
    let node = node.and_then(|name| reader.node(&NamespacedName::new("", name.clone())));
    node.is_some_and(|node| node_state(node) == NodeState::Unknown)
}

/// The pod behind an endpoint, if it is one.
fn pod_of(endpoint: &Endpoint, namespace: &str) -> Option<NamespacedName> {
    let reference = endpoint.target_ref.as_ref()?;
    if reference.kind.as_deref() != Some("Pod") {
        return None;
    }
    let namespace = reference.namespace.as_deref().unwrap_or(namespace);
    Some(NamespacedName::new(namespace, reference.name.clone()?))
}

fn find(
    reader: &Reader<'_>,
    name: &NamespacedName,
    binding: &TargetGroupBinding,
    group: Group,
) -> Option<Waiting> {
    let service_name = NamespacedName::new(
        name.namespace.clone(),
        binding.spec.service_ref.name.clone(),
    );
    let service = reader.service(&service_name)?;
    let port = service_port(service, &binding.spec.service_ref.port)?;
    let port_name = port.name.as_deref().unwrap_or_default();
    let family = family(binding, group.family);
    let gate = readiness_gate(&name.name);
    let mut pods = BTreeMap::new();
    for slice in reader.endpoint_slices_of(&service_name) {
        if slice.address_type != family {
            continue;
        }
        let ports = ports_of(slice, port_name);
        for endpoint in slice.endpoints.iter().flatten() {
            let Some(address) = endpoint.addresses.first() else {
                continue;
            };
            let Some((pod_name, uid)) = waiting_pod(reader, endpoint, &name.namespace, &gate)
            else {
                continue;
            };
            let targets = ports.iter().map(|port| (address.clone(), *port));
            let pod = pods.entry(pod_name).or_insert_with(|| WaitingPod {
                uid,
                targets: BTreeSet::new(),
            });
            pod.targets.extend(targets);
        }
    }
    pods.retain(|_, pod| !pod.targets.is_empty());
    (!pods.is_empty()).then_some(Waiting {
        target_group: group.arn,
        pods,
    })
}

/// The port of the Service that a binding names by number or by name.
fn service_port<'a>(service: &'a Service, wanted: &IntOrString) -> Option<&'a ServicePort> {
    let mut ports = service.spec.iter().flat_map(|s| s.ports.iter().flatten());
    ports.find(|port| match wanted {
        IntOrString::Int(number) => port.port == *number,
        IntOrString::String(name) => port.name.as_ref() == Some(name),
    })
}

fn family(binding: &TargetGroupBinding, otherwise: TargetFamily) -> &'static str {
    match (binding.spec.ip_address_type, otherwise) {
        (Some(TargetGroupIpAddressType::Ipv6), _) | (None, TargetFamily::Ipv6) => "IPv6",
        (Some(TargetGroupIpAddressType::Ipv4), _) | (None, TargetFamily::Ipv4) => "IPv4",
    }
}

/// The endpoint's pod, if it waits for the gate.
fn waiting_pod(
    reader: &Reader<'_>,
    endpoint: &Endpoint,
    namespace: &str,
    gate: &str,
) -> Option<(NamespacedName, String)> {
    if !may_wait(&conditions_of(endpoint)) {
        return None;
    }
    let name = pod_of(endpoint, namespace)?;
    let pod = reader.pod(&name)?;
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let reference = endpoint.target_ref.as_ref();
    let is_another = reference.is_some_and(|r| r.uid.as_ref().is_some_and(|of| *of != uid));
    if is_another || !is_closed(pod, gate) {
        return None;
    }
    // One whose containers are not ready is no target, so there is nothing to wait for yet.
    if endpoint_state(reader, endpoint, namespace) == NodeState::NotReady {
        return None;
    }
    Some((name, uid))
}

/// Whether a pod has the gate, and it is not open.
///
/// Difference (gates-stay-open): LBC closes an open gate again if it finds the target unhealthy when it
/// happens to look, which is when some other endpoint has changed.
fn is_closed(pod: &Pod, gate: &str) -> bool {
    let spec = pod.spec.iter();
    let mut gates = spec.flat_map(|s| s.readiness_gates.iter().flatten());
    let status = pod.status.iter();
    let mut conditions = status.flat_map(|s| s.conditions.iter().flatten());
    gates.any(|found| found.condition_type == gate)
        && !conditions.any(|c| c.type_ == gate && c.status == "True")
}
