//! Readiness gates: a pod counts as ready only once its load balancers send it traffic.
//!
//! In: TargetGroupBindings, Services, pods, and what AWS says of targets. Out: the gates to put into a
//! new pod, and the conditions to set on pods that have them. Pure; times are parameters.
//!
//! What always holds: a gate is named after the TargetGroupBinding, as LBC names it, so pods that run
//! through a change of controller stay ready; a gate is only put where a binding of targets by IP
//! address will serve it; of the gates in a pod only those are touched; an open gate stays open.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::crds::{ServiceReference, TargetGroupBinding, TargetType};
use elbow_api::names::{IP_TARGETS_CONDITION, readiness_gate};
use elbow_api::{Kind, Object};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::watch::Change;

/// What the ALB Ingress Controller, LBC's first version, called its gates. Nobody serves them any more.
const LEGACY_GATE_PREFIX: &str = "target-health.alb.ingress.k8s.aws";

/// Message on the pods of a binding that is being deleted.
const BINDING_DELETED: &str = "Target Group Binding is deleted";

/// Whether a pod has the gate of a TargetGroupBinding.
pub fn has_gate(pod: &Pod, binding: &str) -> bool {
    let wanted = readiness_gate(binding);
    let gates = pod.spec.iter().flat_map(|spec| &spec.readiness_gates);
    gates.flatten().any(|gate| gate.condition_type == wanted)
}

/// What AWS says of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetHealth {
    /// Whether the load balancer sends it traffic.
    pub is_healthy: bool,
    /// Why not, in AWS's code, as `Elb.InitialHealthChecking`; empty if it is healthy.
    pub reason: String,
    /// AWS's words; may be empty.
    pub description: String,
}

impl TargetHealth {
    /// A target that was registered just now, of which AWS has not said anything yet.
    pub fn registering() -> Self {
        Self {
            is_healthy: false,
            reason: "Elb.RegistrationInProgress".to_owned(),
            description: "Target registration is in progress".to_owned(),
        }
    }

    /// What pods are told whose binding is deleted: nothing is going to make them ready any more.
    pub fn binding_deleted() -> Self {
        Self {
            is_healthy: true,
            reason: String::new(),
            description: BINDING_DELETED.to_owned(),
        }
    }
}

/// The condition to set on a pod for a TargetGroupBinding, by the health of its target; without health,
/// AWS does not know the target. None if the pod has it already, has no such gate, or its gate is open.
pub fn condition(
    pod: &Pod,
    binding: &str,
    health: Option<&TargetHealth>,
    now: Timestamp,
) -> Option<PodCondition> {
    if !has_gate(pod, binding) {
        return None;
    }
    let status = match health {
        Some(health) if health.is_healthy => "True",
        Some(_) => "False",
        None => "Unknown",
    };
    // An absent field and an empty one are the same to LBC, and to the API server's merge.
    let text = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(str::to_owned);
    let reason = text(health.map(|h| h.reason.as_str()));
    let message = text(health.map(|h| h.description.as_str()));
    let wanted = readiness_gate(binding);
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    let before = conditions.flatten().find(|c| c.type_ == wanted);
    let is_so = before.is_some_and(|before| {
        before.status == "True"
            || before.status == status
                && text(before.reason.as_deref()) == reason
                && text(before.message.as_deref()) == message
    });
    if is_so {
        return None;
    }
    let unchanged_since = before
        .filter(|before| before.status == status)
        .and_then(|before| before.last_transition_time.clone());
    Some(PodCondition {
        type_: wanted,
        status: status.to_owned(),
        reason: Some(reason.unwrap_or_default()),
        message: Some(message.unwrap_or_default()),
        last_transition_time: Some(unchanged_since.unwrap_or(Time(now))),
        ..PodCondition::default()
    })
}

/// The bindings of targets by IP address, and of Services what tells their pods: what the webhook has to
/// know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    /// By namespace and binding: the Service and its port.
    bindings: BTreeMap<String, BTreeMap<String, ServiceReference>>,
    /// By namespace and Service: what is known of it.
    services: BTreeMap<String, BTreeMap<String, Backend>>,
}

/// A Service that selects pods.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Backend {
    selector: BTreeMap<String, String>,
    /// The numbers and names of its ports.
    ports: Vec<(i32, Option<String>)>,
}

impl Backend {
    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut selector = self.selector.iter();
        selector.all(|(key, value)| labels.get(key) == Some(value))
    }

    fn has_port(&self, wanted: &IntOrString) -> bool {
        self.ports.iter().any(|(number, name)| match wanted {
            IntOrString::Int(wanted) => number == wanted,
            IntOrString::String(wanted) => name.as_ref() == Some(wanted),
        })
    }
}

impl Gates {
    /// Takes in what the watch brought.
    pub fn take_in(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Apply(Object::TargetGroupBinding(binding)) => self.apply_binding(binding),
                Change::Apply(Object::Service(service)) => self.apply_service(service),
                Change::Remove(object) if object.kind == Kind::TargetGroupBinding => {
                    self.remove_binding(&object.namespace, &object.name);
                }
                Change::Remove(object) if object.kind == Kind::Service => {
                    self.remove_service(&object.namespace, &object.name);
                }
                Change::Apply(_) | Change::Remove(_) => {}
            }
        }
    }

    /// Takes in a TargetGroupBinding, new or changed. One that is being deleted opens the gates of its
    /// pods for the last time, and a new pod's would stay closed.
    pub fn apply_binding(&mut self, binding: &TargetGroupBinding) {
        let namespace = binding.metadata.namespace.clone().unwrap_or_default();
        let name = binding.metadata.name.clone().unwrap_or_default();
        let is_going = binding.metadata.deletion_timestamp.is_some();
        // Nobody serves those of other accounts.
        let is_foreign = binding.spec.iam_role_arn_to_assume.is_some();
        if takes_addresses(binding) && !is_going && !is_foreign {
            let service = binding.spec.service_ref.clone();
            self.bindings
                .entry(namespace)
                .or_default()
                .insert(name, service);
        } else {
            self.remove_binding(&namespace, &name);
        }
    }

    /// Drops a TargetGroupBinding.
    pub fn remove_binding(&mut self, namespace: &str, name: &str) {
        remove(&mut self.bindings, namespace, name);
    }

    /// Takes in a Service, new or changed.
    pub fn apply_service(&mut self, service: &Service) {
        let namespace = service.metadata.namespace.clone().unwrap_or_default();
        let name = service.metadata.name.clone().unwrap_or_default();
        let spec = service.spec.as_ref();
        let selector = spec.and_then(|spec| spec.selector.clone());
        match selector.filter(|selector| !selector.is_empty()) {
            Some(selector) => {
                let ports = spec
                    .into_iter()
                    .flat_map(|spec| spec.ports.iter().flatten());
                let ports = ports.map(|port| (port.port, port.name.clone())).collect();
                self.services
                    .entry(namespace)
                    .or_default()
                    .insert(name, Backend { selector, ports });
            }
            None => self.remove_service(&namespace, &name),
        }
    }

    /// Drops a Service.
    pub fn remove_service(&mut self, namespace: &str, name: &str) {
        remove(&mut self.services, namespace, name);
    }

    /// The condition types of the gates for a pod with these labels, in the order of the bindings' names.
    ///
    /// Difference (no-gate-without-port): LBC puts one, too, for a binding of a port that the Service does not
    /// have, and opens it when it next looks at the binding.
    pub fn of(&self, namespace: &str, labels: &BTreeMap<String, String>) -> BTreeSet<String> {
        let services = self.services.get(namespace);
        let serves = |reference: &ServiceReference| {
            let service = services.and_then(|services| services.get(&reference.name));
            service
                .is_some_and(|service| service.selects(labels) && service.has_port(&reference.port))
        };
        let bindings = self.bindings.get(namespace).into_iter().flatten();
        bindings
            .filter(|(_, reference)| serves(reference))
            .map(|(name, _)| readiness_gate(name))
            .collect()
    }
}

/// Whether the targets of a binding are IP addresses: as it says, or as AWS says of its target group. Where
/// nobody has asked AWS yet, a gate might never open.
fn takes_addresses(binding: &TargetGroupBinding) -> bool {
    match binding.spec.target_type {
        Some(TargetType::Ip) => true,
        Some(TargetType::Instance) => false,
        None => {
            let status = binding.status.as_ref();
            let conditions = status.and_then(|status| status.conditions.as_ref());
            let mut conditions = conditions.into_iter().flatten();
            conditions.any(|c| c.type_ == IP_TARGETS_CONDITION && c.status == "True")
        }
    }
}

fn remove<T>(map: &mut BTreeMap<String, BTreeMap<String, T>>, namespace: &str, name: &str) {
    if let Some(inner) = map.get_mut(namespace) {
        inner.remove(name);
        if inner.is_empty() {
            map.remove(namespace);
        }
    }
}

/// The JSON Patch (RFC 6902) that puts gates into a pod as it is sent to the API server; none if it has
/// them. `pod` is the Pod's JSON. Gates of LBC's first version go when others come.
pub fn inject(pod: &Value, gates: &BTreeSet<String>) -> Option<Value> {
    if gates.is_empty() {
        return None;
    }
    let before = pod["spec"]["readinessGates"].as_array();
    let mut after = before.cloned().unwrap_or_default();
    let kind = |gate: &Value| {
        gate["conditionType"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    after.retain(|gate| !kind(gate).starts_with(LEGACY_GATE_PREFIX));
    for gate in gates {
        if !after.iter().any(|g| kind(g) == *gate) {
            after.push(json!({ "conditionType": gate }));
        }
    }
    if before == Some(&after) {
        return None;
    }
    // "add" replaces a member that is there.
    Some(json!([{ "op": "add", "path": "/spec/readinessGates", "value": after }]))
}

#[cfg(test)]
mod tests;
