//! Conditions of GatewayClasses, Gateways, ListenerSets and routes.
//!
//! In: drafts from translation, and what is known of the load balancer. Out: statuses as data, without
//! timestamps, in a fixed order. Reasons and messages equal LBC's. What is `None` in a status is left
//! as it is in the object.

use elbow_api::names::GATEWAY_GROUP;
use elbow_api::{GatewayController, NamespacedName, ObjectRef};
use elbow_model::LoadBalancerArn;
use elbow_model::observed::LoadBalancerState;
use serde::Serialize;

use crate::gateway::{
    Addresses, ClassProblem, ListenerProblem, ListenerProblemKind, ParentRef, RouteConditionType,
    RouteFailures,
};

/// LBC's words for a ListenerSet whose Gateway is not programmed.
const PARENT_PENDING: &str = "Parent gateway not yet programmed";
/// LBC's words for a listener whose load balancer does not serve yet.
const LISTENER_PENDING: &str = "Listener is pending to be programmed.";

/// What translation says about a GatewayClass of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassDraft {
    /// Generation that was judged.
    pub generation: i64,
    /// Why it is not accepted.
    pub problem: Option<ClassProblem>,
}

/// What translation says about a Gateway of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayDraft {
    /// Generation that was judged.
    pub generation: i64,
    /// What became of it as a whole.
    pub verdict: Verdict,
    /// Its listeners, by name; empty when it is misconfigured.
    pub listeners: Vec<ListenerDraft>,
    /// Number of ListenerSets that have a listener which is valid.
    pub attached_listener_sets: i32,
    /// The addresses that it asks for.
    pub addresses: Addresses,
    /// Whether it lets in clients that do not pass validation.
    pub allows_insecure_clients: bool,
    /// Whether its status says that it is programmed.
    pub was_programmed: bool,
}

/// What became of a Gateway as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has a Stack.
    Built,
    /// Its class or its configuration cannot be used.
    Misconfigured {
        /// The reason of its condition Accepted.
        reason: &'static str,
        /// The message of that condition.
        message: String,
    },
    /// Its load balancer cannot be decided; the diagnostics say why.
    Blocked,
}

/// What translation says about a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerDraft {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: i32,
    /// Number of pairs of route and parentRef that attached.
    pub attached_routes: i32,
    /// Route kinds that it supports.
    pub supported_kinds: Vec<String>,
    /// Why it is not valid.
    pub problem: Option<ListenerProblem>,
    /// What is wrong with a reference and does not keep it from being served.
    pub unresolved: Option<ListenerProblem>,
}

/// What translation says about a ListenerSet of a Gateway of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSetDraft {
    /// The ListenerSet.
    pub set: NamespacedName,
    /// Generation that was judged.
    pub generation: i64,
    /// Whether the Gateway lets it in.
    pub is_allowed: bool,
    /// Its listeners, by name; empty when it is not let in.
    pub listeners: Vec<ListenerDraft>,
}

/// What translation says about a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteDraft {
    /// The route.
    pub route: ObjectRef,
    /// Generation that was judged.
    pub generation: i64,
    /// The controller in whose name the status is written.
    pub controller: GatewayController,
    /// Its parentRefs to the Gateway, in the order of its spec.
    pub parents: Vec<ParentDraft>,
}

/// What translation says about a parentRef.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentDraft {
    /// The parentRef.
    pub parent: ParentRef,
    /// What is wrong.
    pub failures: RouteFailures,
}

/// What is known of a Gateway's load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancerReport {
    /// Its ARN.
    pub arn: LoadBalancerArn,
    /// Its DNS name.
    pub dns_name: String,
    /// Its state.
    pub state: LoadBalancerState,
}

impl LoadBalancerReport {
    /// Whether it serves.
    pub fn is_active(&self) -> bool {
        matches!(
            self.state,
            LoadBalancerState::Active | LoadBalancerState::ActiveImpaired
        )
    }
}

/// A condition without its time of transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The condition's type.
    #[serde(rename = "type")]
    pub condition_type: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// The reason, in camel case.
    pub reason: String,
    /// The message for people.
    pub message: String,
    /// The generation that was judged.
    pub observed_generation: i64,
    /// Whether it is for an object of which the condition is not `True`: where it is, it stays as it is,
    /// with the generation that it speaks of.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unless_true: bool,
}

/// The status of a GatewayClass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassStatus {
    /// Conditions to write; others stay.
    pub conditions: Vec<Condition>,
}

/// The status of a Gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GatewayStatus {
    /// Host names of its load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// Conditions to write; others stay.
    pub conditions: Vec<Condition>,
    /// Its listeners, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Vec<ListenerStatus>>,
    /// Number of ListenerSets that have a listener which is valid.
    #[serde(
        rename = "attachedListenerSets",
        skip_serializing_if = "Option::is_none"
    )]
    pub attached_listener_sets: Option<i32>,
}

/// The status of a ListenerSet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListenerSetStatus {
    /// Conditions to write; others stay.
    pub conditions: Vec<Condition>,
    /// Its listeners, by name.
    pub listeners: Vec<ListenerStatus>,
}

/// The status of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// Number of routes attached.
    pub attached_routes: i32,
    /// Route kinds that it supports.
    pub supported_kinds: Vec<RouteGroupKind>,
    /// All its conditions.
    pub conditions: Vec<Condition>,
}

/// A kind of route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteGroupKind {
    /// Its API group.
    pub group: &'static str,
    /// Its kind.
    pub kind: String,
}

/// The part of a route's status that is about one Gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteParentStatus {
    /// The parentRef.
    pub parent_ref: ParentRef,
    /// Who writes it.
    pub controller_name: &'static str,
    /// All its conditions.
    pub conditions: Vec<Condition>,
}

/// The status of a GatewayClass. Gateways of a class that is not accepted are not built.
pub fn class(draft: &ClassDraft) -> ClassStatus {
    let accepted = match &draft.problem {
        None => condition("Accepted", "True", "Accepted", "Accepted", draft.generation),
        Some(problem) => condition(
            "Accepted",
            "False",
            problem.reason(),
            &problem.message(),
            draft.generation,
        ),
    };
    ClassStatus {
        conditions: vec![accepted],
    }
}

/// The status of a Gateway after a round.
///
/// `listener_sets` are those that name the Gateway; `load_balancer` is what stands in AWS; `failure`
/// what somebody has to do something about, if a step of the round failed. What works is shown even
/// then.
///
/// Difference (status-after-a-failed-step): with LBC a step that failed keeps the address of a load
/// balancer that serves the rest out of the status, and the condition refers to events.
pub fn gateway(
    draft: &GatewayDraft,
    listener_sets: &[ListenerSetDraft],
    load_balancer: Option<&LoadBalancerReport>,
    failure: Option<&str>,
) -> GatewayStatus {
    let generation = draft.generation;
    let invalid = |message: &str| condition("Accepted", "False", "Invalid", message, generation);
    let accepted = match &draft.verdict {
        Verdict::Misconfigured { reason, message } => {
            let mut conditions = vec![condition("Accepted", "False", reason, message, generation)];
            conditions.extend(insecure_clients(draft));
            // A load balancer that is there goes on serving.
            if !draft.was_programmed {
                conditions.push(condition(
                    "Programmed",
                    "False",
                    "Invalid",
                    "Gateway is not accepted.",
                    generation,
                ));
            }
            return GatewayStatus {
                addresses: None,
                conditions,
                listeners: None,
                attached_listener_sets: None,
            };
        }
        Verdict::Blocked => invalid("Check Gateway Events for more information."),
        Verdict::Built if let Some(failure) = failure => invalid(failure),
        Verdict::Built => match &draft.addresses {
            // Difference (addresses): LBC ignores the addresses that a Gateway asks for.
            Addresses::Unsupported(unsupported) => {
                let message = format!("a load balancer has no addresses of type {unsupported}");
                condition(
                    "Accepted",
                    "False",
                    "UnsupportedAddress",
                    &message,
                    generation,
                )
            }
            Addresses::Any | Addresses::NotUsable(_) => accepted(draft, listener_sets),
        },
    };
    let mut conditions = vec![accepted];
    conditions.extend(insecure_clients(draft));
    let Some(load_balancer) = load_balancer else {
        // What is wrong with a listener is known before there is a load balancer.
        let is_built = matches!(draft.verdict, Verdict::Built);
        let pending = draft.listeners.iter().map(|l| {
            let mut pending = listener(l, true, generation);
            hold_listener(&mut pending);
            pending
        });
        return GatewayStatus {
            addresses: None,
            conditions,
            listeners: is_built.then(|| pending.collect()),
            attached_listener_sets: is_built.then_some(draft.attached_listener_sets),
        };
    };
    let is_active = load_balancer.is_active();
    conditions.push(if let Addresses::NotUsable(wanted) = &draft.addresses {
        let message = format!(
            "AWS chooses the addresses of a load balancer; it cannot be given {}",
            wanted.join(", ")
        );
        condition(
            "Programmed",
            "False",
            "AddressNotUsable",
            &message,
            generation,
        )
    } else if is_active {
        let arn = load_balancer.arn.as_str();
        condition("Programmed", "True", "Programmed", arn, generation)
    } else {
        let message = "Waiting for load balancer to be active.";
        condition("Programmed", "Unknown", "Pending", message, generation)
    });
    let listeners = draft.listeners.iter();
    GatewayStatus {
        addresses: Some(vec![load_balancer.dns_name.to_lowercase()]),
        conditions,
        listeners: Some(
            listeners
                .map(|l| listener(l, is_active, generation))
                .collect(),
        ),
        attached_listener_sets: Some(draft.attached_listener_sets),
    }
}

/// The condition that is there while the mode is, and goes with it.
fn insecure_clients(draft: &GatewayDraft) -> Option<Condition> {
    let message = "A listener lets in clients whose certificates are not verified.";
    let told = || {
        condition(
            "InsecureFrontendValidationMode",
            "True",
            "ConfigurationChanged",
            message,
            draft.generation,
        )
    };
    draft.allows_insecure_clients.then(told)
}

fn accepted(draft: &GatewayDraft, listener_sets: &[ListenerSetDraft]) -> Condition {
    let of_sets = listener_sets.iter().flat_map(|set| &set.listeners);
    let listeners: Vec<_> = draft.listeners.iter().chain(of_sets).collect();
    let is_any_valid = listeners.iter().any(|l| l.problem.is_none());
    let is_any_broken = listeners.iter().any(|l| l.problem.is_some());
    let status = if is_any_valid { "True" } else { "False" };
    let reason = if is_any_broken {
        "ListenersNotValid"
    } else {
        "Accepted"
    };
    condition("Accepted", status, reason, "", draft.generation)
}

/// The status of a ListenerSet after a round of its Gateway.
pub fn listener_set(
    draft: &ListenerSetDraft,
    load_balancer: Option<&LoadBalancerReport>,
) -> ListenerSetStatus {
    let condition = |t, status, reason: &str, message: &str| {
        condition(t, status, reason, message, draft.generation)
    };
    if !draft.is_allowed {
        let message = "Parent Gateway rejected ListenerSet";
        return ListenerSetStatus {
            conditions: vec![
                condition("Accepted", "False", "NotAllowed", message),
                condition("Programmed", "False", "NotAllowed", message),
            ],
            listeners: Vec::new(),
        };
    }
    let is_active = load_balancer.is_some_and(LoadBalancerReport::is_active);
    let is_any_valid = draft.listeners.iter().any(|l| l.problem.is_none());
    let is_any_broken = draft.listeners.iter().any(|l| l.problem.is_some());
    let status = if is_any_valid { "True" } else { "False" };
    let accepted = if is_any_broken {
        condition(
            "Accepted",
            status,
            "ListenersNotValid",
            "Some listeners are not valid",
        )
    } else {
        condition("Accepted", status, "Accepted", "Accepted")
    };
    let programmed = match (is_active, is_any_valid) {
        (false, _) => condition("Programmed", "False", "Pending", PARENT_PENDING),
        (true, false) => condition(
            "Programmed",
            "False",
            "ListenersNotValid",
            "No valid listeners to materialize",
        ),
        (true, true) => condition("Programmed", "True", "Programmed", "Programmed"),
    };
    let listeners = draft.listeners.iter();
    ListenerSetStatus {
        conditions: vec![accepted, programmed],
        listeners: listeners
            .map(|l| listener(l, is_active, draft.generation))
            .collect(),
    }
}

fn listener(draft: &ListenerDraft, is_active: bool, generation: i64) -> ListenerStatus {
    use ListenerProblemKind as Kind;
    let condition =
        |t, status, reason: &str, message: &str| condition(t, status, reason, message, generation);
    let problem = draft.problem.as_ref();
    let is = |kinds: &[Kind]| problem.filter(|p| kinds.contains(&p.kind));
    let conflict = is(&[Kind::ProtocolConflict, Kind::HostnameConflict]);
    let refused = problem.filter(|p| p.kind.is_refusal());
    let unresolved = is(&[
        Kind::InvalidRouteKinds,
        Kind::InvalidCertificateRef,
        Kind::RefNotPermitted,
        Kind::InvalidCaCertificateRef,
        Kind::InvalidCaCertificateKind,
    ])
    .or(draft.unresolved.as_ref());
    let accepted = match refused {
        Some(p) => condition("Accepted", "False", p.kind.reason(), &p.message),
        None => condition("Accepted", "True", "Accepted", "Listener is accepted."),
    };
    let conflicted = match conflict {
        Some(p) => condition("Conflicted", "True", p.kind.reason(), &p.message),
        None => condition(
            "Conflicted",
            "False",
            "NoConflicts",
            "Listener has no conflict.",
        ),
    };
    let programmed = match problem {
        Some(p)
            if [
                Kind::Invalid,
                Kind::InvalidCertificateRef,
                Kind::RefNotPermitted,
            ]
            .contains(&p.kind) =>
        {
            condition("Programmed", "False", "Invalid", &p.message)
        }
        Some(p) => condition(
            "Programmed",
            "False",
            p.kind.reason(),
            "Listener is not accepted.",
        ),
        None if is_active => condition(
            "Programmed",
            "True",
            "Programmed",
            "Listener is programmed.",
        ),
        None => condition("Programmed", "False", "Pending", LISTENER_PENDING),
    };
    let resolved = match unresolved {
        Some(p) => condition("ResolvedRefs", "False", p.kind.reason(), &p.message),
        None => condition(
            "ResolvedRefs",
            "True",
            "ResolvedRefs",
            "Listener has all refs resolved.",
        ),
    };
    ListenerStatus {
        name: draft.name.clone(),
        attached_routes: draft.attached_routes,
        supported_kinds: draft
            .supported_kinds
            .iter()
            .map(|kind| RouteGroupKind {
                group: GATEWAY_GROUP,
                kind: kind.clone(),
            })
            .collect(),
        conditions: vec![accepted, conflicted, programmed, resolved],
    }
}

/// Takes back that a Gateway is programmed, while what this generation asks for is being brought about. What
/// an earlier one has brought about stays told of that one. Its listeners are judged one by one.
pub fn hold_gateway(status: &mut GatewayStatus) {
    let message = "Waiting for listeners and rules to be as this generation wants them.";
    hold(&mut status.conditions, "Unknown", message);
}

/// The same of a ListenerSet.
pub fn hold_listener_set(status: &mut ListenerSetStatus) {
    hold(&mut status.conditions, "False", PARENT_PENDING);
}

/// The same of a listener.
pub fn hold_listener(status: &mut ListenerStatus) {
    hold(&mut status.conditions, "False", LISTENER_PENDING);
}

fn hold(conditions: &mut [Condition], status: &'static str, message: &str) {
    let mut programmed = conditions
        .iter_mut()
        .filter(|c| c.condition_type == "Programmed" && c.status == "True");
    if let Some(programmed) = programmed.next() {
        *programmed = Condition {
            unless_true: true,
            ..condition(
                "Programmed",
                status,
                "Pending",
                message,
                programmed.observed_generation,
            )
        };
    }
}

/// The parts of a route's status that are about one Gateway. That a route is accepted does not say
/// that AWS has it yet.
pub fn route(draft: &RouteDraft) -> Vec<RouteParentStatus> {
    let parents = draft.parents.iter();
    parents
        .map(|parent| {
            let of =
                |wanted: RouteConditionType, name: &'static str| match parent.failures.of(wanted) {
                    Some(f) => condition(name, "False", f.reason(), &f.message(), draft.generation),
                    None => condition(name, "True", name, "", draft.generation),
                };
            RouteParentStatus {
                parent_ref: parent.parent.clone(),
                controller_name: draft.controller.controller_name(),
                conditions: vec![
                    of(RouteConditionType::ResolvedRefs, "ResolvedRefs"),
                    of(RouteConditionType::Accepted, "Accepted"),
                ],
            }
        })
        .collect()
}

/// Says of a route that was accepted that it does not take effect after all. What was wrong with it
/// before that stays.
pub fn refuse(parent: &mut RouteParentStatus, reason: &str, message: impl FnOnce() -> String) {
    let mut conditions = parent.conditions.iter_mut();
    if let Some(accepted) =
        conditions.find(|c| c.condition_type == "Accepted" && c.status == "True")
    {
        accepted.status = "False";
        reason.clone_into(&mut accepted.reason);
        accepted.message = message();
    }
}

fn condition(
    condition_type: &'static str,
    status: &'static str,
    reason: &str,
    message: &str,
    observed_generation: i64,
) -> Condition {
    Condition {
        condition_type,
        status,
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation,
        unless_true: false,
    }
}
