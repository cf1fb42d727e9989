//! What is kept of an object.
//!
//! In: an object as the API server has it. Out: the same without what neither translation nor a write
//! reads. In a large cluster this is most of it: `managedFields` outweigh the specs of routes, and the
//! image lists of Nodes outweigh their addresses.
//!
//! Always holds: two states of an object that differ only in what is dropped are equal afterwards, so
//! that a heartbeat of a Node is no change.

use std::sync::Arc;

use elbow_api::names::{
    QUIC_CONTAINERS_ANNOTATION, QUIC_SERVER_ID_VARIABLE, READINESS_GATE_PREFIX,
};
use elbow_api::{Kind, Object};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, Node, Pod, PodSpec, PodStatus, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What `kubectl apply` keeps for itself: the whole object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Labels of an EndpointSlice that are read: the Service that it is of.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The condition of a pod that its readiness gates do not count in.
const CONTAINERS_READY: &str = "ContainersReady";

/// Drops what is not read.
pub(super) fn trim(object: &mut Object) {
    let kind = object.kind();
    let metadata = metadata_mut(object);
    metadata.managed_fields = None;
    metadata.self_link = None;
    metadata.generate_name = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
    if !is_written(kind) {
        // Of these no write names the version that it was worked out from, and only a change of what is
        // kept is a change.
        metadata.resource_version = None;
        metadata.owner_references = None;
        metadata.finalizers = None;
    }
    if matches!(
        kind,
        Kind::Namespace | Kind::Node | Kind::EndpointSlice | Kind::Secret
    ) {
        metadata.annotations = None;
    }
    match object {
        Object::Namespace(namespace) => {
            let namespace = Arc::make_mut(namespace);
            namespace.spec = None;
            namespace.status = None;
        }
        Object::Node(node) => trim_node(Arc::make_mut(node)),
        Object::Service(service) => trim_service(Arc::make_mut(service)),
        Object::EndpointSlice(slice) => trim_slice(Arc::make_mut(slice)),
        Object::Pod(pod) => trim_pod(Arc::make_mut(pod)),
        _ => {}
    }
}

/// Whether elbow ever writes to objects of the kind, which needs their version.
pub fn is_written(kind: Kind) -> bool {
    match kind {
        Kind::Namespace
        | Kind::Node
        | Kind::ReferenceGrant
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Secret
        | Kind::ConfigMap => false,
        Kind::GatewayClass
        | Kind::Gateway
        | Kind::ListenerSet
        | Kind::HttpRoute
        | Kind::GrpcRoute
        | Kind::TlsRoute
        | Kind::TcpRoute
        | Kind::UdpRoute
        | Kind::LoadBalancerConfiguration
        | Kind::TargetGroupConfiguration
        | Kind::ListenerRuleConfiguration
        | Kind::TargetGroupBinding
        | Kind::Pod => true,
    }
}

/// Images, volumes, capacities and the times of heartbeats go.
fn trim_node(node: &mut Node) {
    if let Some(spec) = &mut node.spec {
        spec.config_source = None;
    }
    let Some(status) = &mut node.status else {
        return;
    };
    let mut conditions = status.conditions.take().unwrap_or_default();
    conditions.retain(|condition| condition.type_ == "Ready");
    for condition in &mut conditions {
        condition.last_heartbeat_time = None;
        condition.message = None;
    }
    *status = k8s_openapi::api::core::v1::NodeStatus {
        addresses: status.addresses.take(),
        conditions: Some(conditions),
        ..Default::default()
    };
}

fn trim_service(service: &mut Service) {
    if let Some(status) = &mut service.status {
        status.conditions = None;
    }
}

/// Where it runs, its readiness gates, and whether they are open and its containers ready stays; where it
/// has server ids for QUIC, the ports of its containers and those ids.
fn trim_pod(pod: &mut Pod) {
    pod.metadata.owner_references = None;
    pod.metadata.finalizers = None;
    pod.metadata.labels = None;
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.retain(|key, _| key == QUIC_CONTAINERS_ANNOTATION);
    }
    pod.metadata.annotations = pod.metadata.annotations.take().filter(|a| !a.is_empty());
    let has_server_ids = pod.metadata.annotations.is_some();
    if let Some(spec) = pod.spec.take() {
        let trimmed = |containers: Vec<Container>| -> Vec<Container> {
            let kept = containers.into_iter().filter(|_| has_server_ids);
            kept.map(trimmed_container).collect()
        };
        pod.spec = Some(PodSpec {
            node_name: spec.node_name,
            readiness_gates: spec.readiness_gates,
            containers: trimmed(spec.containers),
            init_containers: spec.init_containers.map(trimmed).filter(|c| !c.is_empty()),
            ..PodSpec::default()
        });
    }
    let Some(status) = pod.status.take() else {
        return;
    };
    let mut conditions = status.conditions.unwrap_or_default();
    conditions.retain(|condition| {
        condition.type_ == CONTAINERS_READY || condition.type_.starts_with(READINESS_GATE_PREFIX)
    });
    for condition in &mut conditions {
        condition.last_probe_time = None;
        condition.observed_generation = None;
    }
    pod.status = Some(PodStatus {
        conditions: Some(conditions),
        ..PodStatus::default()
    });
}

fn trimmed_container(container: Container) -> Container {
    let variables = container.env.into_iter().flatten();
    let variables = variables.filter(|variable| variable.name == QUIC_SERVER_ID_VARIABLE);
    let ports = container.ports.into_iter().flatten();
    let ports = ports.map(|port| ContainerPort {
        container_port: port.container_port,
        ..ContainerPort::default()
    });
    Container {
        name: container.name,
        restart_policy: container.restart_policy,
        env: Some(variables.collect()),
        ports: Some(ports.collect()),
        ..Container::default()
    }
}

/// What names a pod, where it runs and whether it is ready stays.
fn trim_slice(slice: &mut EndpointSlice) {
    slice.metadata.generation = None;
    if let Some(labels) = &mut slice.metadata.labels {
        labels.retain(|key, _| key == SERVICE_NAME);
    }
    for endpoint in slice.endpoints.iter_mut().flatten() {
        endpoint.deprecated_topology = None;
        endpoint.hints = None;
        endpoint.hostname = None;
        if let Some(target) = &mut endpoint.target_ref {
            target.api_version = None;
            target.field_path = None;
            target.resource_version = None;
        }
    }
}

fn metadata_mut(object: &mut Object) -> &mut ObjectMeta {
    macro_rules! metadata {
        ($($kind:ident),* $(,)?) => {
            match object { $( Object::$kind(object) => &mut Arc::make_mut(object).metadata, )* }
        };
    }
    metadata!(
        Namespace,
        Node,
        GatewayClass,
        Gateway,
        ListenerSet,
        HttpRoute,
        GrpcRoute,
        TlsRoute,
        TcpRoute,
        UdpRoute,
        ReferenceGrant,
        LoadBalancerConfiguration,
        TargetGroupConfiguration,
        ListenerRuleConfiguration,
        TargetGroupBinding,
        Service,
        EndpointSlice,
        Pod,
        Secret,
        ConfigMap,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn trimmed(pod: Value) -> Option<Value> {
        let mut object = Object::from(serde_json::from_value::<Pod>(pod).ok()?);
        trim(&mut object);
        let Object::Pod(pod) = object else {
            return None;
        };
        serde_json::to_value(&*pod).ok()
    }

    #[test]
    fn of_a_pods_containers_only_server_ids_stay() {
        let key = QUIC_CONTAINERS_ANNOTATION;
        let pod = |annotations: Value| {
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": "p", "namespace": "app", "annotations": annotations },
                "spec": { "containers": [{
                    "name": "c", "image": "i", "command": ["run"],
                    "ports": [{ "containerPort": 443, "name": "quic", "protocol": "UDP" }],
                    "env": [
                        { "name": "TOKEN", "value": "secret" },
                        { "name": QUIC_SERVER_ID_VARIABLE, "value": "AAAAAAAAAAE=" },
                    ],
                }] },
            })
        };
        let rows = [
            (
                pod(json!({ "a": "b" })),
                json!({ "name": "p", "namespace": "app" }),
                json!([]),
            ),
            (
                pod(json!({ "a": "b", key: "c" })),
                json!({ "name": "p", "namespace": "app", "annotations": { key: "c" } }),
                json!([{
                    "name": "c",
                    "ports": [{ "containerPort": 443 }],
                    "env": [{ "name": QUIC_SERVER_ID_VARIABLE, "value": "AAAAAAAAAAE=" }],
                }]),
            ),
        ];
        for (pod, metadata, containers) in rows {
            let found = trimmed(pod).unwrap_or_default();
            assert_eq!(found["metadata"], metadata);
            assert_eq!(found["spec"]["containers"], containers);
        }
    }
}
