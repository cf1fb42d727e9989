//! The seam to translation and planning: how a round calls them, and what a Gateway comes to.
//!
//! In: the Snapshot, facts, settings. Out: [`Translation`], [`Report`] and plans. Everybody who wants
//! to know what would be done, `elbow plan` as well as the controller, comes through here.

mod bindings;
mod programmed;

use std::collections::BTreeSet;
use std::sync::Arc;

use elbow_api::crds::TargetGroupBinding;
use elbow_api::{
    Diagnostic, GatewayController, Kind, NamespacedName, Object, ObjectRef, Read, Severity,
    Snapshot,
};
use elbow_model::observed::{LoadBalancerState, ObservedLoadBalancer};
use elbow_model::rule::Action;
use elbow_model::stack::TargetType;
use elbow_model::{
    ErrorClass, FactQuery, Facts, LoadBalancerArn, Observed, ObservedStack, Ref, SecurityGroupId,
    Stack, StackId, StackKind, Tags, TargetGroupArn,
};
use elbow_plan::{ClusterView, Input, Plan, Policy, SharedInUse};
use elbow_translate::network::BindingNetwork;
use elbow_translate::status::{
    self, GatewayStatus, ListenerSetStatus, LoadBalancerReport, RouteParentStatus,
};
use elbow_translate::{ClusterTranslation, HeldTargets, Settings, SharedUse};

use crate::execute::Failure;
use crate::machine::{NetworkNotice, RoundResult};

pub use bindings::BindingReport;
pub(crate) use bindings::{translate_binding, unasked_binding};
pub(crate) use programmed::{Programmed, is_settled_by};

/// What translation answers.
pub(crate) enum Translation {
    /// It has to know these facts first.
    NeedFacts(BTreeSet<FactQuery>),
    /// It is done.
    Done(Box<Translated>),
}

/// A translation.
pub(crate) struct Translated {
    /// What is wanted; `None` when that cannot be said at present, or when the Gateway is gone.
    pub(crate) stack: Option<Stack>,
    /// Stacks of the Gateway of which nothing is wanted.
    pub(crate) unwanted: BTreeSet<StackId>,
    /// What was read.
    pub(crate) reads: BTreeSet<Read>,
    /// Whether there are mistakes that other facts might undo.
    pub(crate) has_mistakes: bool,
    /// When it is to be done again, in seconds since 1970.
    pub(crate) holds_until_seconds: Option<i64>,
    /// What to write and show.
    pub(crate) report: Report,
}

/// What a Gateway comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What follows from its objects.
    pub translation: Arc<elbow_translate::Translation>,
    /// What is there of its Stack.
    pub observed: Option<ObservedStack>,
    /// The security group that all Gateways share, if it is there.
    pub backend_security_group: Option<SecurityGroupId>,
    /// Stacks of the Gateway of which nothing is wanted and nothing is there.
    pub gone: BTreeSet<StackId>,
    /// What is to be said of the way from its load balancers to their targets.
    pub network: NetworkNotice,
    /// How its last round ended; `None` before that.
    pub result: Option<RoundResult>,
    /// What its rounds have brought about so far.
    pub(crate) programmed: Programmed,
    /// The load balancer that was told of before the round that is under way.
    pub(crate) told: Option<LoadBalancerArn>,
}

impl Report {
    /// What follows from a translation, before anything is known of AWS.
    fn of(translation: Arc<elbow_translate::Translation>) -> Self {
        Self {
            translation,
            observed: None,
            backend_security_group: None,
            gone: BTreeSet::new(),
            network: NetworkNotice::default(),
            result: None,
            programmed: Programmed::default(),
            told: None,
        }
    }

    /// Findings about what users wrote.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        let found = self.translation.diagnostics.iter();
        found.chain(&self.network.findings)
    }

    /// Whether the Gateway is gone, or somebody else's.
    pub fn is_of_nothing(&self) -> bool {
        let translation = &self.translation;
        translation.stack.is_none()
            && translation.gateway.is_none()
            && translation.unwanted.len() > 1
    }

    /// The controllers whose finalizers may go: the last round looked, and left nothing of theirs.
    pub fn released(&self) -> BTreeSet<GatewayController> {
        if !matches!(self.result, Some(RoundResult::Converged { .. })) {
            return BTreeSet::new();
        }
        let gone = self.gone.iter().filter_map(|stack| controller(stack.kind));
        gone.collect()
    }

    /// What did not succeed in its last round, and is not mended by trying again: somebody has to do
    /// something about it.
    pub fn failures(&self) -> Vec<&Failure> {
        let of_network = self.network.failures.iter();
        let of_network = of_network.filter(|f| f.is_lasting());
        let own = lasting_failures(self.result.as_ref()).into_iter();
        own.chain(of_network).collect()
    }

    /// The same in words, for the Gateway's condition.
    pub fn failure(&self) -> Option<String> {
        let of_round = failure_text(self.result.as_ref());
        of_round.or_else(|| self.network_failure())
    }

    /// Why rules that let its load balancers reach their targets could not be written, if somebody has to
    /// do something about it.
    pub fn network_failure(&self) -> Option<String> {
        failure_text(self.network.as_result().as_ref())
    }

    /// The load balancer that the Gateway asks for, if it is there. While another one is being
    /// replaced, it is that one until the round is over: the new one does not serve everything yet.
    pub fn load_balancer(&self) -> Option<&ObservedLoadBalancer> {
        let balancers = &self.observed.as_ref()?.load_balancers;
        if !matches!(
            self.result,
            Some(RoundResult::Converged { .. } | RoundResult::Incomplete { .. })
        ) && let Some(serving) = balancers
            .iter()
            .find(|lb| Some(&lb.arn) == self.told.as_ref() && lb.state != LoadBalancerState::Failed)
        {
            return Some(serving);
        }
        let wanted = self
            .translation
            .stack
            .as_ref()
            .and_then(|s| s.load_balancer.as_ref());
        let is_wanted = |lb: &&ObservedLoadBalancer| {
            wanted.is_some_and(|wanted| wanted.lb_type == lb.lb_type && wanted.scheme == lb.scheme)
        };
        balancers
            .iter()
            .find(is_wanted)
            .or_else(|| balancers.first())
    }

    /// The Gateway's status; `None` when there is none to write.
    pub fn gateway_status(&self) -> Option<GatewayStatus> {
        let draft = self.translation.gateway.as_ref()?;
        let mut status = status::gateway(
            draft,
            &self.translation.listener_sets,
            self.load_balancer_report().as_ref(),
            self.failure().as_deref(),
        );
        let failed = self.failed_load_balancer();
        self.programmed
            .hold_gateway(&mut status, draft.generation, &draft.listeners, failed);
        Some(status)
    }

    /// The statuses of the ListenerSets that name the Gateway.
    pub fn listener_set_statuses(&self) -> Vec<(ObjectRef, ListenerSetStatus)> {
        let load_balancer = self.load_balancer_report();
        let drafts = self.translation.listener_sets.iter();
        drafts
            .map(|draft| {
                let NamespacedName { namespace, name } = draft.set.clone();
                let mut status = status::listener_set(draft, load_balancer.as_ref());
                let (generation, listeners) = (draft.generation, &draft.listeners);
                let failed = self.failed_load_balancer();
                self.programmed.hold_listener_set(
                    &draft.set,
                    &mut status,
                    generation,
                    listeners,
                    failed,
                );
                (ObjectRef::new(Kind::ListenerSet, namespace, name), status)
            })
            .collect()
    }

    /// The load balancer, if its last round has left something undone.
    fn failed_load_balancer(&self) -> Option<&ObservedLoadBalancer> {
        let is_incomplete = matches!(self.result, Some(RoundResult::Incomplete { .. }));
        self.load_balancer().filter(|_| is_incomplete)
    }

    fn load_balancer_report(&self) -> Option<LoadBalancerReport> {
        self.load_balancer().map(|lb| LoadBalancerReport {
            arn: lb.arn.clone(),
            dns_name: lb.dns_name.clone(),
            state: lb.state,
        })
    }

    /// The parts of route statuses that are about this Gateway. A route because of which a step failed
    /// is told so in its condition Accepted.
    pub fn route_statuses(&self) -> Vec<(ObjectRef, Vec<RouteParentStatus>)> {
        let failures = self.failures();
        let routes = self.translation.routes.iter();
        routes
            .map(|draft| {
                let mut parents = status::route(draft);
                let failure = failures.iter().find(|f| f.is_caused_by(&draft.route));
                if let Some(failure) = failure {
                    for parent in &mut parents {
                        status::refuse(parent, failure_reason(failure.error.class), || {
                            format!("{} failed: {}", failure.operation, failure.error)
                        });
                    }
                }
                (draft.route.clone(), parents)
            })
            .collect()
    }

    /// The TargetGroupBindings whose target groups are there.
    pub fn bindings(&self) -> Vec<TargetGroupBinding> {
        let Some(stack) = &self.translation.stack else {
            return Vec::new();
        };
        let group = |reference: &Ref<TargetGroupArn>| match reference {
            Ref::Known(arn) => Some(arn.clone()),
            Ref::Of(key) => {
                let has_tag = |tags: &Tags| {
                    tags.get(&stack.id.resource_tag()).map(String::as_str) == Some(key.id.as_str())
                };
                // A group that is being replaced is in use until its successor is.
                let groups = self
                    .observed
                    .iter()
                    .flat_map(|observed| &observed.target_groups);
                groups
                    .filter(|group| has_tag(&group.tags))
                    .max_by_key(|group| (!group.load_balancers.is_empty(), &group.arn))
                    .map(|group| group.arn.clone())
            }
        };
        let security_group = |reference: &Ref<SecurityGroupId>| match reference {
            Ref::Known(id) => Some(id.clone()),
            Ref::Of(key) if key.stack == StackId::CLUSTER => self.backend_security_group.clone(),
            Ref::Of(key) => {
                let mut groups = self.observed.iter().flat_map(|o| &o.security_groups);
                let tag = stack.id.resource_tag();
                let found =
                    groups.find(|g| g.tags.get(&tag).map(String::as_str) == Some(key.id.as_str()));
                found.map(|group| group.id.clone())
            }
        };
        let bindings = self.translation.bindings.iter();
        bindings
            .filter_map(|template| template.object(group, security_group))
            .collect()
    }

    /// The same with what is there now.
    #[must_use]
    pub(crate) fn with_known(mut self, known: &Observed) -> Self {
        let own = self
            .translation
            .stack
            .as_ref()
            .map(|stack| stack.id.clone());
        self.observed = own.and_then(|stack| known.stacks.get(&stack)).cloned();
        self.backend_security_group = ClusterView::of(known).backend_security_group;
        let wanted = self.translation.stack.as_ref();
        let emptied = wanted.filter(|stack| stack.load_balancer.is_none());
        let unwanted = self.translation.unwanted.iter();
        self.gone = unwanted
            .chain(emptied.map(|stack| &stack.id))
            .filter(|stack| !known.stacks.contains_key(stack))
            .cloned()
            .collect();
        self
    }

    /// The same, now that its round has ended.
    #[must_use]
    pub(crate) fn with_result(mut self, result: &RoundResult) -> Self {
        self.result = Some(result.clone());
        self
    }
}

/// Failures of a round that are not mended by trying again.
fn lasting_failures(result: Option<&RoundResult>) -> Vec<&Failure> {
    let Some(RoundResult::Incomplete { outcome }) = result else {
        return Vec::new();
    };
    let failures = outcome.failures.iter();
    failures.filter(|f| f.is_lasting()).collect()
}

/// The same in words, for a condition.
fn failure_text(result: Option<&RoundResult>) -> Option<String> {
    if let Some(RoundResult::LookupFailed { error }) = result {
        return error
            .class
            .is_lasting()
            .then(|| format!("AWS cannot be asked: {error}"));
    }
    let failures = lasting_failures(result);
    let shown = failures.iter().take(FAILURES_SHOWN_MAX);
    let mut words: Vec<String> = shown
        .map(|failure| format!("{} failed: {}", failure.operation, failure.error))
        .collect();
    if failures.len() > FAILURES_SHOWN_MAX {
        words.push(format!("and {} more", failures.len() - FAILURES_SHOWN_MAX));
    }
    (!words.is_empty()).then(|| words.join("; "))
}

/// Translates a Gateway. One that is not in the Snapshot asks for nothing.
pub(crate) fn translate(
    snapshot: &Snapshot,
    facts: &Facts,
    settings: &Settings,
    gateway: &NamespacedName,
) -> Translation {
    match elbow_translate::translate_gateway(snapshot, facts, settings, gateway) {
        elbow_translate::Translated::NeedFacts(queries) => Translation::NeedFacts(queries),
        elbow_translate::Translated::Done(done) => Translation::Done(Box::new(Translated {
            stack: done.stack.clone(),
            unwanted: done.unwanted.clone(),
            reads: done.reads.clone(),
            has_mistakes: has_errors(&done.diagnostics),
            holds_until_seconds: done.holds_until_seconds,
            report: Report::of(Arc::from(done)),
        })),
    }
}

/// What a Gateway comes to of which AWS could not be asked before it was translated, if somebody has to do
/// something about that.
pub(crate) fn unasked_gateway(
    snapshot: &Snapshot,
    settings: &Settings,
    gateway: &NamespacedName,
    result: &RoundResult,
) -> Option<Report> {
    let why = failure_text(Some(result))?;
    let translation =
        elbow_translate::translate_unasked_gateway(snapshot, settings, gateway, &why)?;
    Some(Report::of(Arc::new(translation)).with_result(result))
}

/// What a translation wants of the network: `None` where it cannot be said.
pub(crate) fn networks(done: &Translated, gateway: &NamespacedName) -> Option<Vec<BindingNetwork>> {
    if done.stack.is_none() {
        let is_gone = done.unwanted.len() == elbow_translate::stack_ids(gateway).len();
        return is_gone.then(Vec::new);
    }
    let bindings = done.report.translation.bindings.iter();
    Some(
        bindings
            .filter_map(|binding| binding.network(gateway))
            .collect(),
    )
}

/// The targets of what is there of a Gateway of which nothing can be said; an error names the facts that have to
/// be known first.
pub(crate) fn held_targets(
    snapshot: &Snapshot,
    facts: &Facts,
    settings: &Settings,
    gateway: &NamespacedName,
    known: &Observed,
) -> Result<HeldTargets, BTreeSet<FactQuery>> {
    let there = |stack: &StackId| known.stacks.get(stack);
    elbow_translate::held_targets(snapshot, facts, settings, gateway, there)
}

/// What all Gateways share, given what each asks for.
pub(crate) fn cluster_stack(
    shared_use: &SharedUse,
    snapshot: &Snapshot,
    now_seconds: i64,
    settings: &Settings,
) -> ClusterTranslation {
    elbow_translate::translate_cluster(shared_use, snapshot, Some(now_seconds), settings)
}

/// Plans what all Gateways share; what is in `kept` is not deleted.
pub(crate) fn plan_cluster(
    desired: &Stack,
    observed: &ObservedStack,
    known: &Observed,
    kept: SharedInUse,
    policy: &Policy,
) -> Plan {
    let cluster = ClusterView::of(known).keeping(kept);
    elbow_plan::plan_stack(Input {
        desired,
        observed,
        cluster: &cluster,
        policy,
    })
}

/// Plans one Stack.
pub(crate) fn plan_stack(
    desired: &Stack,
    observed: &ObservedStack,
    known: &Observed,
    policy: &Policy,
) -> Plan {
    let cluster = ClusterView::of(known);
    elbow_plan::plan_stack(Input {
        desired,
        observed,
        cluster: &cluster,
        policy,
    })
}

/// Plans one Stack in the place of others, of which nothing is wanted any more.
pub(crate) fn plan_switch(
    desired: &Stack,
    observed: &ObservedStack,
    old: &[(&Stack, &ObservedStack)],
    known: &Observed,
    policy: &Policy,
) -> Plan {
    let cluster = ClusterView::of(known);
    let input = Input {
        desired,
        observed,
        cluster: &cluster,
        policy,
    };
    elbow_plan::plan_switch(input, old)
}

/// Plans the targets of one Stack, and nothing else.
pub(crate) fn plan_targets(stack: &Stack, observed: &ObservedStack, policy: &Policy) -> Plan {
    elbow_plan::plan_targets(stack, observed, policy)
}

/// Whether two Stacks want the same but for the targets.
pub(crate) fn differ_in_targets_only(a: &Stack, b: &Stack) -> bool {
    // Comparing field by field spares copies of all target lists.
    let groups_alike = a.target_groups.len() == b.target_groups.len()
        && a.target_groups
            .iter()
            .zip(&b.target_groups)
            .all(|((id_a, a), (id_b, b))| {
                // Another load balancer is the target of another group.
                if a.target_type == TargetType::Alb && a.targets != b.targets {
                    return false;
                }
                let with_targets_of_b = elbow_model::stack::TargetGroup {
                    targets: b.targets.clone(),
                    ..a.clone()
                };
                id_a == id_b && with_targets_of_b == *b
            });
    groups_alike
        && a.id == b.id
        && a.cluster_name == b.cluster_name
        && a.security_groups == b.security_groups
        && a.certificates == b.certificates
        && a.load_balancer == b.load_balancer
        && a.listeners == b.listeners
        && a.undecided_listeners == b.undecided_listeners
}

/// The target groups of others that a Stack forwards to.
pub(crate) fn groups_of_others(stack: &Stack) -> BTreeSet<&TargetGroupArn> {
    let listeners = stack.listeners.values();
    let actions = listeners.flat_map(|listener| {
        let rules = listener.rules.iter().map(|rule| &rule.action);
        std::iter::once(&listener.default_action).chain(rules)
    });
    let forwards = actions.filter_map(|action| match action {
        Action::Forward(forward) => Some(&forward.target_groups),
        _ => None,
    });
    forwards
        .flatten()
        .filter_map(|group| group.target_group.known())
        .collect()
}

/// Whether a look-up is about endpoints alone.
pub(crate) fn is_about_endpoints(read: &Read) -> bool {
    let is_about = |kind| matches!(kind, Kind::EndpointSlice | Kind::Pod);
    match read {
        Read::EndpointSlicesOf(_) => true,
        Read::Object(object) => is_about(object.kind),
        Read::All(kind) | Read::InNamespace(kind, _) => is_about(*kind),
        Read::RoutesOf(..)
        | Read::GatewaysOf(_)
        | Read::ListenerSetsOf(_)
        | Read::BindingsOf(_) => false,
    }
}

/// The Gateway that a look-up is about. Routes of a ListenerSet are about the Gateway that it names.
pub(crate) fn gateway_of(read: &Read, snapshot: &Snapshot) -> Option<NamespacedName> {
    match read {
        Read::Object(object) if object.kind == Kind::Gateway => Some(object.namespaced_name()),
        Read::RoutesOf(Kind::Gateway, gateway) | Read::ListenerSetsOf(gateway) => {
            Some(gateway.clone())
        }
        Read::RoutesOf(Kind::ListenerSet, set) => {
            let NamespacedName { namespace, name } = set.clone();
            let object = ObjectRef::new(Kind::ListenerSet, namespace, name);
            let Some(Object::ListenerSet(found)) = snapshot.get(&object) else {
                return None;
            };
            let parent = &found.spec.parent_ref;
            let namespace = parent.namespace.as_ref().unwrap_or(&set.namespace);
            Some(NamespacedName::new(namespace.clone(), parent.name.clone()))
        }
        _ => None,
    }
}

/// Whether a Gateway is gone or about to go.
pub(crate) fn is_deleted(snapshot: &Snapshot, gateway: &NamespacedName) -> bool {
    let object = ObjectRef::new(
        Kind::Gateway,
        gateway.namespace.clone(),
        gateway.name.clone(),
    );
    snapshot
        .get(&object)
        .is_none_or(|g| g.metadata().deletion_timestamp.is_some())
}

/// Failures that a condition names; the events name them all.
const FAILURES_SHOWN_MAX: usize = 3;

/// The reason of a condition for a failure of the class.
fn failure_reason(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Denied => "AccessDenied",
        ErrorClass::Quota => "QuotaExceeded",
        _ => "RefusedByAws",
    }
}

/// The controller whose finalizer the Gateway has to have before its Stack is made, and has not.
pub(crate) fn lacks_finalizer(
    snapshot: &Snapshot,
    gateway: &NamespacedName,
    stack: &Stack,
) -> Option<GatewayController> {
    stack.load_balancer.as_ref()?;
    let controller = controller(stack.id.kind)?;
    let object = ObjectRef::new(
        Kind::Gateway,
        gateway.namespace.clone(),
        gateway.name.clone(),
    );
    let object = snapshot.get(&object)?;
    let mut finalizers = object.metadata().finalizers.iter().flatten();
    let is_protected = finalizers.any(|f| f == controller.gateway_finalizer());
    (!is_protected).then_some(controller)
}

/// The controller that a kind of Stack is of; `None` for what all Gateways share.
fn controller(kind: StackKind) -> Option<GatewayController> {
    match kind {
        StackKind::Cluster | StackKind::Binding => None,
        StackKind::AlbGateway => Some(GatewayController::Alb),
        StackKind::NlbGateway => Some(GatewayController::Nlb),
    }
}

/// Whether findings say that something does not take effect.
fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error)
}
