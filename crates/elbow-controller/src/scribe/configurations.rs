//! LoadBalancerConfigurations, TargetGroupConfigurations and ListenerRuleConfigurations.
//!
//! In: a configuration and the Snapshot. Out: the next write to it. Always holds: each has LBC's
//! finalizer while anything refers to it, so that nobody loses the settings of what still runs.

use elbow_api::names::{
    LISTENER_RULE_CONFIGURATION_FINALIZER, LOAD_BALANCER_CONFIGURATION_FINALIZER,
    TARGET_GROUP_CONFIGURATION_FINALIZER,
};
use elbow_api::{Kind, NamespacedName, Object, ObjectRef, Reader, Snapshot};
use elbow_cluster::live::merge_status;
use serde_json::{Value, json};

use super::{Scribe, has_finalizer, is_deleted, status_write};
use crate::ports::Write;

/// The next write to a configuration.
pub(super) fn next_write(
    scribe: &Scribe,
    current: &Object,
    snapshot: &Snapshot,
    wall: jiff::Timestamp,
) -> Option<Write> {
    let finalizer = match current.kind() {
        Kind::LoadBalancerConfiguration => LOAD_BALANCER_CONFIGURATION_FINALIZER,
        Kind::TargetGroupConfiguration => TARGET_GROUP_CONFIGURATION_FINALIZER,
        _ => LISTENER_RULE_CONFIGURATION_FINALIZER,
    };
    let has = has_finalizer(current, finalizer);
    if is_deleted(current) {
        return (has && !is_used(scribe, current, snapshot)).then(|| Write::RemoveFinalizer {
            object: current.clone(),
            finalizer,
        });
    }
    if !has {
        return Some(Write::AddFinalizer {
            object: current.clone(),
            finalizer,
        });
    }
    let Object::ListenerRuleConfiguration(_) = current else {
        // LBC has fields for more, and never writes them.
        return None;
    };
    // LBC uses one only when it says that it is accepted; elbow judges it in every round.
    let generation = current.metadata().generation;
    let wanted = json!({
        "accepted": true,
        "message": "Accepted",
        "observedGeneration": generation,
    });
    status_write(current, merge_status(current, &wanted, wall))
}

/// Whether anything that is not gone refers to a configuration.
fn is_used(scribe: &Scribe, current: &Object, snapshot: &Snapshot) -> bool {
    let object = current.object_ref();
    let name = object.namespaced_name();
    match current {
        Object::LoadBalancerConfiguration(_) => names_load_balancer_configuration(snapshot, &name),
        Object::TargetGroupConfiguration(configuration) => {
            match &configuration.spec.target_reference {
                Some(target) => {
                    let service = NamespacedName::new(name.namespace, target.name.clone());
                    target.kind == Kind::Service.as_str() && is_backend(scribe, snapshot, &service)
                }
                None => defaults_to(snapshot, &name),
            }
        }
        _ => routes_say(snapshot, |route, spec| {
            route.namespace == name.namespace && extension_refs(spec).any(|n| n == name.name)
        }),
    }
}

/// Whether a class or a Gateway has it as its parameters.
fn names_load_balancer_configuration(snapshot: &Snapshot, name: &NamespacedName) -> bool {
    let reader = Reader::new(snapshot);
    let by_class = snapshot.gateway_class_names().any(|class| {
        let class = reader.gateway_class(&NamespacedName::new("", class));
        let reference = class.and_then(|class| class.spec.parameters_ref.as_ref());
        reference.is_some_and(|r| {
            r.kind == Kind::LoadBalancerConfiguration.as_str()
                && r.name == name.name
                && r.namespace.as_deref() == Some(name.namespace.as_str())
        })
    });
    by_class
        || snapshot.gateway_names().any(|gateway| {
            if gateway.namespace != name.namespace {
                return false;
            }
            let gateway = reader.gateway(gateway);
            let infrastructure = gateway.and_then(|g| g.spec.infrastructure.as_ref());
            let reference = infrastructure.and_then(|i| i.parameters_ref.as_ref());
            reference.is_some_and(|r| {
                r.kind == Kind::LoadBalancerConfiguration.as_str() && r.name == name.name
            })
        })
}

/// Whether a LoadBalancerConfiguration that is in use names it as the default of its target groups.
fn defaults_to(snapshot: &Snapshot, name: &NamespacedName) -> bool {
    snapshot.objects().iter().any(|object| {
        let Object::LoadBalancerConfiguration(configuration) = object else {
            return false;
        };
        let own = object.object_ref().namespaced_name();
        let spec = serde_json::to_value(&configuration.spec).unwrap_or_default();
        own.namespace == name.namespace
            && spec["defaultTargetGroupConfiguration"]["name"] == name.name.as_str()
            && names_load_balancer_configuration(snapshot, &own)
    })
}

/// Whether a route of a Gateway of ours sends to a Service. Until all of them were looked at since the
/// start, it may.
fn is_backend(scribe: &Scribe, snapshot: &Snapshot, service: &NamespacedName) -> bool {
    let object = ObjectRef::new(
        Kind::Service,
        service.namespace.clone(),
        service.name.clone(),
    );
    snapshot.get(&object).is_some()
        && (scribe.has_unseen_gateway(snapshot)
            || routes_say(snapshot, |route, spec| {
                scribe.serves(route) && backend_services(spec, &route.namespace).contains(service)
            }))
}

/// Whether any route says so in its spec. Only asked while a configuration is being deleted.
fn routes_say(snapshot: &Snapshot, says: impl Fn(&ObjectRef, &Value) -> bool) -> bool {
    snapshot.objects().iter().any(|object| {
        let spec = match object {
            Object::HttpRoute(route) => serde_json::to_value(&route.spec),
            Object::GrpcRoute(route) => serde_json::to_value(&route.spec),
            Object::TlsRoute(route) => serde_json::to_value(&route.spec),
            Object::TcpRoute(route) => serde_json::to_value(&route.spec),
            Object::UdpRoute(route) => serde_json::to_value(&route.spec),
            _ => return false,
        };
        spec.is_ok_and(|spec| says(&object.object_ref(), &spec))
    })
}

fn list<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    value[field].as_array().into_iter().flatten()
}

/// The Services that the rules of a route send to.
fn backend_services(spec: &Value, namespace: &str) -> Vec<NamespacedName> {
    list(spec, "rules")
        .flat_map(|rule| list(rule, "backendRefs"))
        .filter(|backend| backend["kind"].as_str().unwrap_or("Service") == "Service")
        .map(|backend| {
            NamespacedName::new(
                backend["namespace"].as_str().unwrap_or(namespace),
                backend["name"].as_str().unwrap_or_default(),
            )
        })
        .collect()
}

/// The names of the ListenerRuleConfigurations that the rules of a route refer to.
fn extension_refs(spec: &Value) -> impl Iterator<Item = &str> {
    list(spec, "rules")
        .flat_map(|rule| list(rule, "filters"))
        .map(|filter| &filter["extensionRef"])
        .filter(|reference| reference["kind"] == Kind::ListenerRuleConfiguration.as_str())
        .filter_map(|reference| reference["name"].as_str())
}
