//! Targets: what is registered in a target group.
//!
//! In: a Service's EndpointSlices, or the Nodes. Out: targets, sorted and without duplicates, the same
//! that LBC registers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use elbow_api::NamespacedName;
use elbow_model::Port;
use elbow_model::facts::Vpc;
use elbow_model::stack::{Target, TargetFamily, TargetType};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::discovery::v1::Endpoint;

use super::backends::Backend;
use super::context::Context;
use crate::selector;

/// Labels that keep a node out of load balancers. The value counts where one is given.
const EXCLUDING_LABELS: [(&str, Option<&str>); 4] = [
    ("node-role.kubernetes.io/master", None),
    (
        "node.kubernetes.io/exclude-from-external-load-balancers",
        None,
    ),
    (
        "alpha.service-controller.kubernetes.io/exclude-balancer",
        None,
    ),
    ("eks.amazonaws.com/compute-type", Some("fargate")),
];

/// Taints of nodes that an autoscaler is about to remove. The effect counts where one is given.
const LEAVING_TAINTS: [(&str, Option<&str>); 2] = [
    ("ToBeDeletedByClusterAutoscaler", None),
    ("karpenter.sh/disrupted", Some("NoSchedule")),
];

/// State of a Node's condition Ready.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NodeState {
    Ready,
    Unknown,
    NotReady,
}

/// The targets of a backend.
pub(crate) fn of(ctx: &Context<'_>, backend: &Backend<'_>) -> Vec<Target> {
    match backend.target_type {
        TargetType::Ip => pods(ctx, backend),
        TargetType::Instance => nodes(ctx, backend),
    }
}

/// Takes the good ones, or those that may be good when there are no others.
fn fail_open<T>(ctx: &Context<'_>, good: BTreeSet<T>, unknown: BTreeSet<T>) -> BTreeSet<T> {
    if good.is_empty() && ctx.settings.gates.endpoints_fail_open {
        unknown
    } else {
        good
    }
}

fn pods(ctx: &Context<'_>, backend: &Backend<'_>) -> Vec<Target> {
    let family = match backend.family {
        TargetFamily::Ipv4 => "IPv4",
        TargetFamily::Ipv6 => "IPv6",
    };
    let port_name = backend.service_port.name.as_deref().unwrap_or_default();
    let (mut good, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for slice in ctx.reader.endpoint_slices_of(&backend.name) {
        if slice.address_type != family {
            continue;
        }
        let mut ports = slice.ports.iter().flatten();
        let port = ports.find(|p| p.name.as_deref().unwrap_or_default() == port_name);
        let Some(port) = port.and_then(|p| p.port).and_then(Port::new) else {
            continue;
        };
        for endpoint in slice.endpoints.iter().flatten() {
            let into = match endpoint_state(ctx, endpoint, &backend.name.namespace) {
                NodeState::Ready => &mut good,
                NodeState::Unknown => &mut unknown,
                NodeState::NotReady => continue,
            };
            into.extend(endpoint.addresses.iter().map(|a| (a.clone(), port)));
        }
    }
    let found = fail_open(ctx, good, unknown);
    // Only asked for where there is an address to place.
    let vpc = if found.is_empty() { None } else { ctx.vpc() };
    found
        .into_iter()
        .map(|(id, port)| Target {
            availability_zone: vpc
                .is_some_and(|v| is_outside(&id, v))
                .then(|| "all".to_owned()),
            id,
            port,
        })
        .collect()
}

/// An endpoint is used when it is ready. One whose pod only waits for a readiness gate is used as
/// well, since the gate waits for the target to be registered.
fn endpoint_state(ctx: &Context<'_>, endpoint: &Endpoint, namespace: &str) -> NodeState {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    if conditions.ready.unwrap_or(true) {
        return NodeState::Ready;
    }
    if conditions.terminating == Some(true) {
        return NodeState::NotReady;
    }
    let Some(reference) = endpoint
        .target_ref
        .as_ref()
        .filter(|r| r.kind.as_deref() == Some("Pod"))
    else {
        return NodeState::NotReady;
    };
    let name = NamespacedName::new(
        reference.namespace.as_deref().unwrap_or(namespace),
        reference.name.clone().unwrap_or_default(),
    );
    let pod = ctx.reader.pod(&name);
    let mut conditions = pod
        .iter()
        .filter_map(|p| p.status.as_ref())
        .flat_map(|s| s.conditions.iter().flatten());
    if !conditions.any(|c| c.type_ == "ContainersReady" && c.status == "True") {
        return NodeState::NotReady;
    }
    let node = pod
        .and_then(|p| p.spec.as_ref())
        .and_then(|s| s.node_name.clone());
    let node = node.and_then(|n| ctx.reader.node(&NamespacedName::new("", n)));
    node.map_or(NodeState::NotReady, |n| node_state(n))
}

fn is_outside(address: &str, vpc: &Vpc) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let blocks = vpc.ipv4_cidrs.iter().chain(&vpc.ipv6_cidrs);
    !blocks
        .filter_map(|b| b.parse::<IpNet>().ok())
        .any(|b| b.contains(&address))
}

fn nodes(ctx: &Context<'_>, backend: &Backend<'_>) -> Vec<Target> {
    let wanted = backend.props.props.node_selector.as_ref();
    let (mut good, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for node in ctx.reader.nodes() {
        let labels = node.metadata.labels.as_ref();
        if wanted.is_some_and(|w| !selector::matches(w, labels)) || is_excluded(node) {
            continue;
        }
        let Some(id) = instance_id(node) else {
            continue;
        };
        match node_state(node) {
            NodeState::Ready => good.insert(id),
            NodeState::Unknown => unknown.insert(id),
            NodeState::NotReady => false,
        };
    }
    fail_open(ctx, good, unknown)
        .into_iter()
        .map(|id| Target {
            id: id.to_owned(),
            port: backend.port,
            availability_zone: None,
        })
        .collect()
}

fn is_excluded(node: &Node) -> bool {
    let labels = node.metadata.labels.as_ref();
    let by_label = EXCLUDING_LABELS.iter().any(|(key, value)| {
        labels
            .and_then(|l| l.get(*key))
            .is_some_and(|found| value.is_none_or(|v| v == found))
    });
    let mut taints = node.spec.iter().flat_map(|s| s.taints.iter().flatten());
    by_label
        || taints.any(|taint| {
            LEAVING_TAINTS
                .iter()
                .any(|(key, effect)| taint.key == *key && effect.is_none_or(|e| e == taint.effect))
        })
}

fn node_state(node: &Node) -> NodeState {
    let mut conditions = node
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten());
    let ready = conditions.find(|c| c.type_ == "Ready");
    match ready.map(|c| c.status.as_str()) {
        Some("True") => NodeState::Ready,
        Some("Unknown") => NodeState::Unknown,
        _ => NodeState::NotReady,
    }
}

/// The instance of a node: the last part of `aws:///<zone>/<instance>`.
fn instance_id(node: &Node) -> Option<&str> {
    let provider_id = node.spec.as_ref()?.provider_id.as_deref()?;
    let id = provider_id.rsplit('/').next()?;
    id.starts_with("i-").then_some(id)
}
