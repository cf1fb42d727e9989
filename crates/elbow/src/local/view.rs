//! What runs, put together from its parts.
//!
//! In: the Gateways of the manifests, what the reconciler knows to be there, where the data plane
//! serves, and the health of targets. Out: [`State`], and whether all of it is [`ready`].

use std::collections::BTreeMap;
use std::net::SocketAddr;

use elbow_api::{NamespacedName, Object, Snapshot};
use elbow_emulator_server::dataplane::{BindOutcome, Bindings};
use elbow_model::observed::{
    LoadBalancerState, ObservedListener, ObservedLoadBalancer, ObservedTarget, TargetState,
};
use elbow_model::rule::{Action, Condition, Pattern};
use elbow_model::stack::LoadBalancerType;
use elbow_model::{Observed, Ref, StackId, StackKind, TargetGroupArn};

use super::state::{AwsState, GatewayState, ListenerState, State};

/// Health of targets by target group.
pub(crate) type Health = BTreeMap<TargetGroupArn, Vec<ObservedTarget>>;

/// The parts.
pub(crate) struct Parts<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) known: &'a Observed,
    pub(crate) bindings: &'a Bindings,
    pub(crate) health: &'a Health,
    pub(crate) ca_certificate: String,
    pub(crate) aws: AwsState,
}

/// Puts the state together. A Gateway without a load balancer is left out.
pub(crate) fn state(parts: &Parts<'_>) -> State {
    let gateways = parts
        .snapshot
        .gateway_names()
        .filter_map(|name| {
            let load_balancer = load_balancer_of(parts.known, name)?;
            Some(gateway(parts, name, load_balancer))
        })
        .collect();
    State {
        gateways,
        ca_certificate: parts.ca_certificate.clone(),
        aws: parts.aws.clone(),
    }
}

/// What is still awaited, one line each; nothing when everything is active, served and healthy.
pub(crate) fn awaited(known: &Observed, bindings: &Bindings, health: &Health) -> Vec<String> {
    let mut awaited = Vec::new();
    for (stack, load_balancer) in load_balancers(known) {
        match load_balancer.state {
            LoadBalancerState::Active | LoadBalancerState::ActiveImpaired => {}
            LoadBalancerState::Provisioning => {
                awaited.push(format!("{stack}: load balancer is provisioning"));
                continue;
            }
            LoadBalancerState::Failed => {
                awaited.push(format!("{stack}: load balancer could not be set up"));
                continue;
            }
        }
        for listener in &load_balancer.listeners {
            let served = bindings
                .load_balancers
                .get(load_balancer.arn.as_str())
                .is_some_and(|b| b.listeners.contains_key(listener.arn.as_str()));
            if !served {
                awaited.push(format!("{stack}: port {} is not served yet", listener.port));
            }
        }
    }
    for stack in known.stacks.values() {
        for group in stack
            .target_groups
            .iter()
            .filter(|g| !g.load_balancers.is_empty())
        {
            let targets = health.get(&group.arn).map_or(&[][..], Vec::as_slice);
            let waiting: Vec<&ObservedTarget> = targets
                .iter()
                .filter(|t| !matches!(t.state, TargetState::Healthy | TargetState::Draining))
                .collect();
            if let Some(first) = waiting.first() {
                let why = first.description.as_ref().or(first.reason.as_ref());
                awaited.push(format!(
                    "target group {}: {} of {} targets not healthy{}",
                    group.name,
                    waiting.len(),
                    targets.len(),
                    why.map(|why| format!(" ({why})")).unwrap_or_default(),
                ));
            }
        }
    }
    awaited
}

/// The target groups that listeners forward to.
pub(crate) fn target_groups(known: &Observed) -> Vec<TargetGroupArn> {
    known
        .stacks
        .values()
        .flat_map(|s| s.target_groups.iter().map(|g| g.arn.clone()))
        .collect()
}

fn load_balancers(known: &Observed) -> impl Iterator<Item = (&StackId, &ObservedLoadBalancer)> {
    known
        .stacks
        .iter()
        .flat_map(|(id, s)| s.load_balancers.iter().map(move |lb| (id, lb)))
}

fn load_balancer_of<'a>(
    known: &'a Observed,
    name: &NamespacedName,
) -> Option<&'a ObservedLoadBalancer> {
    [StackKind::AlbGateway, StackKind::NlbGateway]
        .into_iter()
        .find_map(|kind| {
            let stack = StackId::new(kind, name.namespace.clone(), name.name.clone());
            known.stacks.get(&stack)?.load_balancers.first()
        })
}

fn gateway(
    parts: &Parts<'_>,
    name: &NamespacedName,
    load_balancer: &ObservedLoadBalancer,
) -> GatewayState {
    let object = elbow_api::ObjectRef::new(
        elbow_api::Kind::Gateway,
        name.namespace.clone(),
        name.name.clone(),
    );
    let mut listeners = Vec::new();
    if let Some(Object::Gateway(gateway)) = parts.snapshot.get(&object) {
        for declared in &gateway.spec.listeners {
            let port = u16::try_from(declared.port).unwrap_or_default();
            let Some(observed) = load_balancer
                .listeners
                .iter()
                .find(|l| l.port.get() == port)
            else {
                continue;
            };
            let (addresses, problem) = served_at(parts.bindings, load_balancer, observed);
            listeners.push(ListenerState {
                name: declared.name.clone(),
                protocol: declared.protocol.clone(),
                port,
                addresses,
                problem,
                example_host: example_host(declared.hostname.as_deref(), observed),
                healthy: healthy(parts.health, observed),
            });
        }
    }
    GatewayState {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
        lb_type: match load_balancer.lb_type {
            LoadBalancerType::Application => "application",
            LoadBalancerType::Network => "network",
        },
        load_balancer_arn: load_balancer.arn.to_string(),
        dns_name: load_balancer.dns_name.clone(),
        listeners,
    }
}

fn served_at(
    bindings: &Bindings,
    load_balancer: &ObservedLoadBalancer,
    listener: &ObservedListener,
) -> (Vec<SocketAddr>, Option<String>) {
    let binding = bindings
        .load_balancers
        .get(load_balancer.arn.as_str())
        .and_then(|b| b.listeners.get(listener.arn.as_str()));
    match binding.map(|b| &b.outcome) {
        Some(BindOutcome::AsDeclared(address)) => (vec![*address], None),
        Some(BindOutcome::Mapped { address, reason }) => (vec![*address], Some(reason.clone())),
        Some(BindOutcome::Failed { reason }) => (Vec::new(), Some(reason.clone())),
        None => (Vec::new(), Some("not served yet".to_owned())),
    }
}

/// A hostname that gets an answer: the listener's own, or the first that a rule asks for.
fn example_host(hostname: Option<&str>, listener: &ObservedListener) -> Option<String> {
    let of_rules = listener
        .rules
        .iter()
        .flat_map(|r| &r.conditions)
        .find_map(|c| match c {
            Condition::HostHeader {
                matches: Pattern::Values(values),
            } => values.first(),
            _ => None,
        });
    of_rules
        .map(String::as_str)
        .or(hostname)
        .map(|name| name.replacen('*', "www", 1))
}

/// Targets in service, and all, of the groups that a listener forwards to.
fn healthy(health: &Health, listener: &ObservedListener) -> (usize, usize) {
    let actions = listener
        .default_actions
        .iter()
        .chain(listener.rules.iter().flat_map(|r| &r.actions));
    let groups: std::collections::BTreeSet<&TargetGroupArn> = actions
        .filter_map(|action| match action {
            Action::Forward(forward) => Some(&forward.target_groups),
            _ => None,
        })
        .flatten()
        .filter_map(|group| match &group.target_group {
            Ref::Known(arn) => Some(arn),
            Ref::Of(_) => None,
        })
        .collect();
    let targets = || {
        groups
            .iter()
            .filter_map(|arn| health.get(*arn))
            .flatten()
            .filter(|t| t.state != TargetState::Draining)
    };
    (
        targets()
            .filter(|t| t.state == TargetState::Healthy)
            .count(),
        targets().count(),
    )
}
