//! Targets: what is registered in a target group, be it a Gateway's or one that a user's
//! TargetGroupBinding names.
//!
//! In: a [`Source`], and a Service's EndpointSlices or the Nodes. Out: targets, sorted and without
//! duplicates, the same that LBC registers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use elbow_api::{NamespacedName, Reader};
use elbow_model::facts::Vpc;
use elbow_model::stack::{Protocol, Target, TargetFamily, TargetType};
use elbow_model::{Port, VpcId};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Node, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::context::Context;
use super::quic;
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
pub(crate) enum NodeState {
    Ready,
    Unknown,
    NotReady,
}

/// Where targets come from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'s> {
    pub(crate) service: &'s NamespacedName,
    pub(crate) service_port: &'s ServicePort,
    pub(crate) target_type: TargetType,
    pub(crate) family: TargetFamily,
    /// The nodes that count, of type instance.
    pub(crate) node_selector: Option<&'s LabelSelector>,
    /// The port of every target, of type instance.
    pub(crate) node_port: Port,
    /// The target group's VPC.
    pub(crate) vpc_id: &'s VpcId,
    /// The target group's protocol.
    pub(crate) protocol: Protocol,
}

/// The targets of a source.
pub(crate) fn of(ctx: &Context<'_>, source: &Source<'_>) -> Vec<Target> {
    match source.target_type {
        TargetType::Ip => pods(ctx, source),
        TargetType::Instance => nodes(ctx, source),
        // No Service stands behind a load balancer that is a target.
        TargetType::Alb => Vec::new(),
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

fn pods(ctx: &Context<'_>, source: &Source<'_>) -> Vec<Target> {
    let family = match source.family {
        TargetFamily::Ipv4 => "IPv4",
        TargetFamily::Ipv6 => "IPv6",
    };
    let port_name = source.service_port.name.as_deref().unwrap_or_default();
    let (mut good, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for slice in ctx.reader.endpoint_slices_of(source.service) {
        if slice.address_type != family {
            continue;
        }
        let ports = ports_of(slice, port_name);
        if ports.is_empty() {
            continue;
        }
        for endpoint in slice.endpoints.iter().flatten() {
            let into = match endpoint_state(&ctx.reader, endpoint, &source.service.namespace) {
                NodeState::Ready => &mut good,
                NodeState::Unknown => &mut unknown,
                NodeState::NotReady => continue,
            };
            // Kubernetes: the addresses of an endpoint are one and the same, and the first is used.
            let Some(address) = endpoint.addresses.first() else {
                continue;
            };
            for port in &ports {
                let server = if source.protocol.is_quic() {
                    // As with LBC an endpoint without a server id is no target: AWS takes none.
                    let id = server_id(&ctx.reader, endpoint, &source.service.namespace, *port);
                    let Some(id) = id else { continue };
                    Some(id)
                } else {
                    None
                };
                into.insert((address.clone(), *port, server));
            }
        }
    }
    let found = fail_open(ctx, good, unknown);
    // Only asked for where there is an address to place.
    let vpc = if found.is_empty() {
        None
    } else {
        ctx.vpc_of(source.vpc_id)
    };
    found
        .into_iter()
        .map(|(id, port, quic_server_id)| Target {
            // Difference (outside-in-all-zones): where AWS does not take that, LBC goes on with the zone of
            // the pod's node.
            availability_zone: vpc
                .is_some_and(|v| is_outside(&id, v))
                .then(|| "all".to_owned()),
            id,
            port,
            quic_server_id,
        })
        .collect()
}

/// The server id of the pod behind an endpoint.
fn server_id(
    reader: &Reader<'_>,
    endpoint: &Endpoint,
    namespace: &str,
    port: Port,
) -> Option<String> {
    let reference = endpoint.target_ref.as_ref()?;
    let namespace = reference.namespace.as_deref().unwrap_or(namespace);
    let name = NamespacedName::new(namespace, reference.name.clone()?);
    quic::server_id(reader.pod(&name)?, port)
}

/// The endpoints of a QUIC group that are no targets, since they have no server id.
pub(crate) fn without_server_id(ctx: &Context<'_>, source: &Source<'_>) -> BTreeSet<String> {
    if !source.protocol.is_quic() {
        return BTreeSet::new();
    }
    let all = Source {
        protocol: Protocol::Udp,
        ..*source
    };
    let mut addresses: BTreeSet<_> = of(ctx, &all).into_iter().map(|target| target.id).collect();
    for target in of(ctx, source) {
        addresses.remove(&target.id);
    }
    addresses
}

/// The ports of a slice that are those of a Service port. A Service port without a name is the only one,
/// and every port of its slices is its.
pub(crate) fn ports_of(slice: &EndpointSlice, port_name: &str) -> Vec<Port> {
    let ports = slice.ports.iter().flatten();
    ports
        .filter(|p| port_name.is_empty() || p.name.as_deref() == Some(port_name))
        .filter_map(|p| p.port.and_then(Port::new))
        .collect()
}

/// An endpoint is used when it is ready. One whose pod only waits for a readiness gate is used as
/// well, since the gate waits for the target to be registered.
///
/// Difference (endpoints-without-pod): LBC passes over endpoints that no pod stands behind, so a Service
/// whose EndpointSlices are written by hand has no targets. What is behind them is not a pod's, but
/// the Service's all the same.
///
/// Difference (unread-pods): of an endpoint that is not ready and whose pod nobody has read (it is just
/// being deleted, or RBAC does not allow it), nothing is known. It is used when there is nothing else,
/// unless it ends. LBC watches all pods, and passes over it.
pub(crate) fn endpoint_state(
    reader: &Reader<'_>,
    endpoint: &Endpoint,
    namespace: &str,
) -> NodeState {
    let reference = endpoint.target_ref.as_ref();
    if reference.is_some_and(|r| r.kind.as_deref() != Some("Pod")) {
        return NodeState::NotReady;
    }
    if conditions_of(endpoint).ready.unwrap_or(true) {
        return NodeState::Ready;
    }
    let Some(reference) = reference else {
        return NodeState::NotReady;
    };
    let name = NamespacedName::new(
        reference.namespace.as_deref().unwrap_or(namespace),
        reference.name.clone().unwrap_or_default(),
    );
    let is_ending = conditions_of(endpoint).terminating == Some(true);
    let Some(pod) = reader.pod(&name) else {
        return if is_ending {
            NodeState::NotReady
        } else {
            NodeState::Unknown
        };
    };
    let status = pod.status.as_ref();
    let mut conditions = status
        .and_then(|s| s.conditions.as_ref())
        .into_iter()
        .flatten();
    if !conditions.any(|c| c.type_ == "ContainersReady" && c.status == "True") {
        return NodeState::NotReady;
    }
    let node = pod.spec.as_ref().and_then(|s| s.node_name.clone());
    let node = node.and_then(|n| reader.node(&NamespacedName::new("", n)));
    match node.map(|n| node_state(n)) {
        // A pod that ends on a node that is well is let go; on one of which nothing is known, the pod
        // may be all that is left.
        Some(NodeState::Ready) if is_ending => NodeState::NotReady,
        found => found.unwrap_or(NodeState::NotReady),
    }
}

/// What its EndpointSlice says of an endpoint.
pub(crate) fn conditions_of(endpoint: &Endpoint) -> EndpointConditions {
    endpoint.conditions.clone().unwrap_or_default()
}

pub(crate) fn is_outside(address: &str, vpc: &Vpc) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let blocks = vpc.ipv4_cidrs.iter().chain(&vpc.ipv6_cidrs);
    !blocks
        .filter_map(|b| b.parse::<IpNet>().ok())
        .any(|b| b.contains(&address))
}

fn nodes(ctx: &Context<'_>, source: &Source<'_>) -> Vec<Target> {
    let wanted = source.node_selector;
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
            port: source.node_port,
            availability_zone: None,
            quic_server_id: None,
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

pub(crate) fn node_state(node: &Node) -> NodeState {
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
///
/// Difference (node-without-instance): a node that has none, one of EKS Hybrid Nodes or one that is just
/// joining, is passed over. LBC registers nothing while there is one.
fn instance_id(node: &Node) -> Option<&str> {
    let provider_id = node.spec.as_ref()?.provider_id.as_deref()?;
    let id = provider_id.rsplit('/').next()?;
    id.starts_with("i-").then_some(id)
}
