//! The Kubernetes objects of a [`Cluster`], as an API server would hand them out.
//!
//! In: a cluster. Out: objects by name, with every default filled in, and what differs between two
//! clusters. What always holds: equal clusters give equal objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use elbow_api::{Kind, Object, ObjectRef, Snapshot, crds};
use gateway_api::apis::experimental as gw;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::account::certificate_arn;
use crate::bindings;
use crate::cluster::{Balancer, Cluster, Filter, Gateway, Match, Protocol, Route, Rule, Service};
use crate::extras;

/// The namespace that everything lives in.
pub(crate) const NAMESPACE: &str = "shop";
/// Tag `Name` of the security group that configurations may name.
pub(crate) const SECURITY_GROUP: &str = "sg-0123456789abcdef0";
/// The port of every Service.
const SERVICE_PORT: u16 = 80;

/// Objects by name.
pub(crate) type Objects = BTreeMap<ObjectRef, Object>;

/// A change of one object.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Apply(Box<Object>),
    Remove(ObjectRef),
}

impl Change {
    /// The kind of the object that changed.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Apply(object) => object.kind(),
            Self::Remove(object) => object.kind,
        }
    }
}

/// What leads from one set of objects to another, by name.
pub(crate) fn changes(before: &Objects, after: &Objects) -> Vec<Change> {
    let removed = before.keys().filter(|name| !after.contains_key(*name));
    let applied = after
        .iter()
        .filter(|(name, object)| before.get(*name) != Some(object));
    removed
        .cloned()
        .map(Change::Remove)
        .chain(applied.map(|(_, object)| Change::Apply(Box::new(object.clone()))))
        .collect()
}

/// A Snapshot of these objects.
pub(crate) fn snapshot(objects: &Objects) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for object in objects.values() {
        snapshot.apply(object);
    }
    snapshot
}

/// All objects of a cluster.
pub(crate) fn objects(cluster: &Cluster) -> Objects {
    let mut all: Vec<Object> = Vec::new();
    for (name, controller) in [
        ("alb", "gateway.k8s.aws/alb"),
        ("nlb", "gateway.k8s.aws/nlb"),
    ] {
        if cluster.extras.missing_classes.contains(name) {
            continue;
        }
        all.push(typed::<gw::gatewayclasses::GatewayClass>(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": metadata(name, &uid(1, 0, 0), None),
            "spec": {"controllerName": controller},
        })));
    }
    all.push(typed::<core::Namespace>(json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"kubernetes.io/metadata.name": NAMESPACE}},
    })));
    for (number, is_ready) in &cluster.nodes {
        all.push(node(*number, *is_ready));
    }
    for (number, service) in &cluster.services {
        let is_shared = cluster.extras.shared.contains(number);
        let endpoints = if cluster.extras.pods.is_on {
            cluster.extras.pods.endpoints(*number)
        } else {
            endpoints_without_pods(*number, service)
        };
        all.extend(service_objects(*number, service, is_shared, &endpoints));
    }
    for (number, gateway) in &cluster.gateways {
        all.extend(gateway_objects(cluster, *number, gateway));
    }
    for (number, route) in &cluster.routes {
        all.push(route_object(*number, route));
    }
    all.extend(bindings::objects(cluster));
    all.extend(cluster.extras.objects());
    all.extend(cluster.extras.pods.objects());
    all.into_iter()
        .map(|object| (object.object_ref(), object))
        .collect()
}

/// The same objects with their generations: one more than before where an object is not what it was.
pub(crate) fn with_generations(before: &Objects, mut after: Objects) -> Objects {
    for (name, object) in &mut after {
        let Some(was) = before.get(name) else {
            continue;
        };
        let Some(generation) = was.metadata().generation else {
            continue;
        };
        set_generation(object, generation);
        if object != was {
            set_generation(object, generation + 1);
        }
    }
    after
}

fn set_generation(object: &mut Object, generation: i64) {
    macro_rules! set {
        ($($kind:ident),*) => {
            match object {
                $(Object::$kind(inner) => {
                    Arc::make_mut(inner).metadata.generation = Some(generation);
                })*
                _ => {}
            }
        };
    }
    set!(
        GatewayClass,
        Gateway,
        HttpRoute,
        TcpRoute,
        LoadBalancerConfiguration,
        TargetGroupConfiguration,
        TargetGroupBinding
    );
}

/// Types what is written here. A mistake in it is one of the simulator.
pub(crate) fn typed<T>(value: Value) -> Object
where
    T: DeserializeOwned + Into<Object>,
{
    match serde_json::from_value::<T>(value) {
        Ok(object) => object.into(),
        Err(error) => unreachable!("the simulator writes objects that are none: {error}"),
    }
}

pub(crate) fn uid(kind: u64, number: u64, incarnation: u64) -> String {
    format!("00000000-0000-4000-8000-{kind:04x}{incarnation:04x}{number:04x}")
}

pub(crate) fn metadata(name: &str, uid: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({
        "name": name, "uid": uid, "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}

fn node(number: u64, is_ready: bool) -> Object {
    let zone = ["a", "b", "c"][usize::try_from(number).unwrap_or_default() % 3];
    typed::<core::Node>(json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": format!("node-{number}"),
            "labels": {"topology.kubernetes.io/zone": format!("us-east-1{zone}")},
        },
        "spec": {"providerID": format!("aws:///us-east-1{zone}/i-0000000000000000{number}")},
        "status": {
            "conditions": [{"type": "Ready", "status": if is_ready { "True" } else { "False" }}],
            "addresses": [{"type": "InternalIP", "address": format!("192.168.{}.10", 96 + number)}],
        },
    }))
}

fn endpoints_without_pods(number: u64, service: &Service) -> Vec<Value> {
    let endpoint = |pod: &u8| {
        json!({
            "addresses": [format!("192.168.{}.{pod}", 100 + number)],
            "conditions": {"ready": true},
        })
    };
    service.pods.iter().map(endpoint).collect()
}

fn service_objects(
    number: u64,
    service: &Service,
    is_shared: bool,
    endpoints: &[Value],
) -> Vec<Object> {
    let name = format!("svc-{number}");
    let mut objects = vec![
        typed::<core::Service>(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": metadata(&name, &uid(2, number, 0), Some(NAMESPACE)),
            "spec": {
                "type": "NodePort", "selector": {"app": name},
                "ports": [{"name": "main", "protocol": "TCP", "port": SERVICE_PORT,
                    "targetPort": service.target_port, "nodePort": 30_000 + number}],
            },
        })),
        typed::<discovery::EndpointSlice>(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("{name}-1"), "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "ports": [{"name": "main", "protocol": "TCP", "port": service.target_port}],
            "endpoints": endpoints,
        })),
    ];
    if let Some(targets) = &service.targets {
        let mut configuration = json!({
            "targetType": if targets.is_instance { "instance" } else { "ip" },
            "healthCheckConfig": {"healthCheckInterval": targets.interval_seconds},
        });
        if let Some(path) = targets.health_path {
            configuration["healthCheckConfig"]["healthCheckPath"] = json!(path);
            configuration["healthCheckConfig"]["healthCheckProtocol"] = json!("HTTP");
        }
        if let Some(delay) = targets.delay_seconds {
            configuration["targetGroupAttributes"] = json!([{
                "key": "deregistration_delay.timeout_seconds", "value": delay.to_string(),
            }]);
        }
        if let Some(version) = targets.version {
            configuration["protocolVersion"] = json!(version);
        }
        if let Some(tag) = targets.tag {
            configuration["tags"] = json!({"team": tag.to_string()});
        }
        if is_shared {
            configuration["enableMultiCluster"] = json!(true);
        }
        objects.push(typed::<crds::TargetGroupConfiguration>(json!({
            "apiVersion": "gateway.k8s.aws/v1beta1", "kind": "TargetGroupConfiguration",
            "metadata": metadata(&name, &uid(3, number, 0), Some(NAMESPACE)),
            "spec": {
                "targetReference": {"group": "", "kind": "Service", "name": name},
                "defaultConfiguration": configuration,
            },
        })));
    }
    objects
}

fn gateway_objects(cluster: &Cluster, number: u64, gateway: &Gateway) -> Vec<Object> {
    let extras = &cluster.extras;
    let name = format!("gw-{number}");
    let mut meta = metadata(&name, &uid(4, number, gateway.incarnation), Some(NAMESPACE));
    if gateway.is_deleting {
        meta["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
    }
    if let Some(finalizers) = extras.finalizers.get(&number) {
        let finalizers = finalizers.iter().map(|by| by.gateway_finalizer());
        meta["finalizers"] = json!(finalizers.collect::<Vec<_>>());
    }
    let class = extras::class_of(cluster, number, gateway);
    let references = extras.certificate_refs(number);
    let listeners = gateway.listeners.iter().map(|(port, listener)| {
        let mut value = json!({
            "name": section(*port), "port": port,
            "protocol": match listener.protocol {
                Protocol::Http => "HTTP",
                Protocol::Https => "HTTPS",
                Protocol::Tcp => "TCP",
            },
            "allowedRoutes": {"namespaces": {"from": "Same"}},
        });
        if let Some(hostname) = listener.hostname {
            value["hostname"] = json!(hostname);
        }
        if listener.protocol == Protocol::Https && !references.is_empty() {
            value["tls"] = json!({"mode": "Terminate", "certificateRefs": references});
        }
        value
    });
    let listeners: Vec<Value> = listeners.collect();
    let mut spec = json!({
        "gatewayClassName": class, "listeners": listeners,
        "infrastructure": {"parametersRef": {
            "group": "gateway.k8s.aws", "kind": "LoadBalancerConfiguration", "name": name,
        }},
    });
    if let Some(validation) = extras.client_validation(number) {
        spec["tls"] = validation;
    }
    let mut objects = vec![typed::<gw::gateways::Gateway>(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": meta,
        "spec": spec,
    }))];
    if gateway.config.exists {
        let names_certificates = references.is_empty();
        objects.push(configuration(&name, number, gateway, names_certificates));
    }
    objects
}

fn configuration(name: &str, number: u64, gateway: &Gateway, names_certificates: bool) -> Object {
    let config = &gateway.config;
    let is_application = gateway.balancer == Balancer::Application;
    let mut spec = json!({
        "scheme": if config.is_public { "internet-facing" } else { "internal" },
        "tags": config.tags.iter().map(|(k, v)| ((*k).to_owned(), json!(v.to_string())))
            .collect::<serde_json::Map<_, _>>(),
    });
    if let (true, Some(seconds)) = (is_application, config.idle_timeout_seconds) {
        spec["loadBalancerAttributes"] = json!([{
            "key": "idle_timeout.timeout_seconds", "value": seconds.to_string(),
        }]);
    }
    if !config.source_ranges.is_empty() {
        spec["sourceRanges"] = json!(config.source_ranges);
    }
    if config.security_groups {
        spec["securityGroups"] = json!([SECURITY_GROUP]);
    }
    let secure = gateway
        .listeners
        .iter()
        .filter(|(_, listener)| listener.protocol == Protocol::Https);
    let configurations: Vec<Value> = secure
        .map(|(port, _)| {
            let more: Vec<String> = config
                .more_certificates
                .iter()
                .copied()
                .map(certificate_arn)
                .collect();
            let policy = if config.has_new_tls_policy {
                "ELBSecurityPolicy-TLS13-1-2-2021-06"
            } else {
                "ELBSecurityPolicy-2016-08"
            };
            let mut value = json!({"protocolPort": format!("HTTPS:{port}"), "sslPolicy": policy});
            if names_certificates {
                value["defaultCertificate"] = json!(certificate_arn(config.certificate));
                value["certificates"] = json!(more);
            }
            value
        })
        .collect();
    if !configurations.is_empty() {
        spec["listenerConfigurations"] = json!(configurations);
    }
    typed::<crds::LoadBalancerConfiguration>(json!({
        "apiVersion": "gateway.k8s.aws/v1beta1", "kind": "LoadBalancerConfiguration",
        "metadata": metadata(name, &uid(5, number, 0), Some(NAMESPACE)), "spec": spec,
    }))
}

fn section(port: u16) -> String {
    format!("p{port}")
}

fn route_object(number: u64, route: &Route) -> Object {
    let mut parent = json!({
        "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": format!("gw-{}", route.gateway),
    });
    if let Some(port) = route.section {
        parent["sectionName"] = json!(section(port));
    }
    let mut meta = metadata(
        &format!("route-{number}"),
        &uid(6, number, route.created_at),
        Some(NAMESPACE),
    );
    meta["creationTimestamp"] = json!(format!("2026-01-01T00:{:02}:00Z", route.created_at % 60));
    let rules: Vec<Value> = route
        .rules
        .iter()
        .map(|rule| rule_value(rule, route.is_tcp))
        .collect();
    if route.is_tcp {
        return typed::<gw::tcproutes::TcpRoute>(json!({
            "apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "TCPRoute",
            "metadata": meta, "spec": {"parentRefs": [parent], "rules": rules},
        }));
    }
    typed::<gw::httproutes::HttpRoute>(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": meta,
        "spec": {"parentRefs": [parent], "hostnames": route.hosts, "rules": rules},
    }))
}

fn rule_value(rule: &Rule, is_tcp: bool) -> Value {
    let backends: Vec<Value> = rule
        .backends
        .iter()
        .map(|backend| {
            json!({
                "group": "", "kind": "Service", "name": format!("svc-{}", backend.service),
                "port": SERVICE_PORT, "weight": backend.weight,
            })
        })
        .collect();
    if is_tcp {
        return json!({"backendRefs": backends});
    }
    let matches: Vec<Value> = rule.matches.iter().map(match_value).collect();
    let mut value = json!({"matches": matches, "backendRefs": backends});
    match rule.filter {
        Filter::None => {}
        Filter::Redirect => {
            value["filters"] = json!([{
                "type": "RequestRedirect",
                "requestRedirect": {"hostname": "moved.example.com", "statusCode": 301},
            }]);
            value["backendRefs"] = json!([]);
        }
        Filter::Rewrite => {
            value["filters"] = json!([{
                "type": "URLRewrite",
                "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}},
            }]);
        }
    }
    value
}

fn match_value(one: &Match) -> Value {
    let kind = if one.is_exact { "Exact" } else { "PathPrefix" };
    let mut value = json!({"path": {"type": kind, "value": one.path}});
    if let Some(method) = one.method {
        value["method"] = json!(method);
    }
    if let Some(header) = one.header {
        value["headers"] = json!([{"type": "Exact", "name": "x-color", "value": header}]);
    }
    if let Some(query) = one.query {
        value["queryParams"] = json!([{"type": "Exact", "name": "v", "value": query}]);
    }
    value
}
