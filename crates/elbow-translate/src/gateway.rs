//! Gateways: one Gateway in, one Stack out.
//!
//! In: a Snapshot, Facts and Settings, and the name of a Gateway. Out: [`Translated`]: the facts that
//! are missing, or the Stack, the TargetGroupBindings, what goes into statuses and what was found.
//!
//! What always holds: one Gateway is translated without looking at any other but those that its routes
//! name as backends, so the cost does not grow with their number; what is wrong with one route, rule or reference takes nothing away from
//! the others; and the order in which objects arrived leaves no trace.
//!
//! The stages, in order: class and configuration, ListenerSets, listeners, routes, attachment, load
//! balancer, backends, ports with their rules and target groups. Start at [`translate_gateway`].

mod actions;
mod addresses;
mod attachment;
mod attributes;
pub(crate) mod backends;
mod bindings;
mod certificates;
mod chained;
mod class;
mod clients;
mod conditions;
mod config;
pub(crate) mod context;
pub(crate) mod endpoints;
mod existing;
mod failures;
mod grants;
mod health_check;
mod hostnames;
mod listener_sets;
mod listeners;
mod load_balancer;
pub(crate) mod names;
mod ports;
mod precedence;
mod quic;
mod routes;
mod rules;
mod secrets;
mod security_groups;
mod subnets;
mod tags;
mod target_group_config;
mod target_groups;
pub(crate) mod targets;
mod unasked;
mod unsupported;

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::names::DRY_RUN_ANNOTATION;
use elbow_api::{Diagnostic, GatewayController, Kind, NamespacedName, ObjectRef, Read, Snapshot};
use elbow_model::stack::{LoadBalancerType, StackKind};
use elbow_model::{
    Cause, FactQuery, Facts, Port, ResourceId, ResourceKey, ResourceKind, Stack, StackId,
};
use gateway_api::apis::experimental::gateways::Gateway;

pub use addresses::Addresses;
pub use bindings::{BindingTemplate, NetworkingRule, Peer};
pub use class::ClassProblem;
pub use failures::{RouteConditionType, RouteFailure, RouteFailures};
pub use listeners::{ListenerProblem, ListenerProblemKind};
pub use routes::ParentRef;
pub use unasked::translate_unasked_gateway;

use crate::settings::Settings;
use crate::status::{
    ClassDraft, GatewayDraft, ListenerDraft, ListenerSetDraft, ParentDraft, RouteDraft, Verdict,
};
use backends::Resolver;
use bindings::Network;
use config::Configuration;
use context::Context;
use listener_sets::ListenerSet;
use ports::Attached;
use tags::UserTags;
use target_groups::TargetGroups;

/// Something that the whole load balancer needs cannot be decided; what it is has been reported.
#[derive(Debug)]
pub(crate) struct Blocked;

/// The answer of a translation.
#[derive(Debug, Clone, PartialEq)]
pub enum Translated {
    /// These facts have to be fetched first; then translation runs again.
    NeedFacts(BTreeSet<FactQuery>),
    /// All that follows from the objects and facts.
    Done(Box<Translation>),
}

/// All that follows for one Gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Translation {
    /// The AWS resources that the Gateway asks for. `None`: that cannot be said at present (its class
    /// or configuration is missing, for example), and what is there stays as it is.
    pub stack: Option<Stack>,
    /// Stacks of this Gateway's name of which nothing is wanted: of the other controller while one is
    /// in charge, of both when the Gateway is gone or belongs to somebody else.
    pub unwanted: BTreeSet<StackId>,
    /// The TargetGroupBindings, by resource id of their target group. Meaningless without a Stack.
    pub bindings: Vec<BindingTemplate>,
    /// What goes into the Gateway's status; `None` when the Gateway is not ours or is going away.
    pub gateway: Option<GatewayDraft>,
    /// What goes into the statuses of the ListenerSets that name the Gateway.
    pub listener_sets: Vec<ListenerSetDraft>,
    /// What goes into the statuses of the routes that name the Gateway or one of its ListenerSets.
    pub routes: Vec<RouteDraft>,
    /// Findings, sorted, without duplicates.
    pub diagnostics: Vec<Diagnostic>,
    /// What was read: a change of any of it calls for translating again.
    pub reads: BTreeSet<Read>,
    /// From when on it has to be translated again though nothing changes, in seconds since 1970: a
    /// certificate begins or ends to be valid.
    pub holds_until_seconds: Option<i64>,
}

/// The Stack of a Gateway under a controller.
pub fn stack_id(controller: GatewayController, gateway: &NamespacedName) -> StackId {
    let kind = match controller {
        GatewayController::Alb => StackKind::AlbGateway,
        GatewayController::Nlb => StackKind::NlbGateway,
    };
    StackId::new(kind, gateway.namespace.clone(), gateway.name.clone())
}

/// The Stacks that a Gateway can have had, under either controller.
pub fn stack_ids(gateway: &NamespacedName) -> [StackId; 2] {
    [GatewayController::Alb, GatewayController::Nlb].map(|c| stack_id(c, gateway))
}

/// Translates one Gateway.
pub fn translate_gateway(
    snapshot: &Snapshot,
    facts: &Facts,
    settings: &Settings,
    gateway: &NamespacedName,
) -> Translated {
    let ctx = Context::new(snapshot, facts, settings);
    let found = translate(&ctx, gateway);
    let holds_until_seconds = ctx.holds_until_seconds();
    let (reads, needed, diagnostics) = ctx.into_parts();
    if !needed.is_empty() {
        return Translated::NeedFacts(needed);
    }
    Translated::Done(Box::new(Translation {
        diagnostics,
        reads,
        holds_until_seconds,
        ..found
    }))
}

/// Judges one GatewayClass: `None` when it is absent or not ours.
pub fn translate_class(snapshot: &Snapshot, class: &str) -> (Option<ClassDraft>, BTreeSet<Read>) {
    let facts = Facts::default();
    let settings = Settings::new("", elbow_model::VpcId::new(""));
    let ctx = Context::new(snapshot, &facts, &settings);
    let object = ctx.reader.gateway_class(&NamespacedName::new("", class));
    let draft = object.and_then(|object| {
        class::controller(object)?;
        Some(ClassDraft {
            generation: object.metadata.generation.unwrap_or_default(),
            problem: class::configuration(&ctx, object).err(),
        })
    });
    (draft, ctx.into_parts().0)
}

/// What all stages know about the Gateway.
pub(crate) struct Frame<'c, 'a> {
    pub(crate) ctx: &'c Context<'a>,
    pub(crate) controller: GatewayController,
    pub(crate) lb_type: LoadBalancerType,
    pub(crate) stack: StackId,
    pub(crate) gateway: NamespacedName,
    pub(crate) uid: String,
    pub(crate) configuration: Configuration,
    pub(crate) infrastructure_labels: BTreeMap<String, String>,
    pub(crate) infrastructure_annotations: BTreeMap<String, String>,
}

impl Frame<'_, '_> {
    /// The key of one of the Stack's resources.
    pub(crate) fn stack_key(&self, kind: ResourceKind, id: &ResourceId) -> ResourceKey {
        ResourceKey {
            stack: self.stack.clone(),
            kind,
            id: id.clone(),
        }
    }

    /// The Gateway as an object.
    pub(crate) fn object(&self) -> ObjectRef {
        gateway_ref(&self.gateway)
    }

    /// Tags that the configuration asks for.
    pub(crate) fn user_tags(&self) -> UserTags<'_> {
        UserTags {
            tags: self.configuration.spec.tags.as_ref(),
            object: self.configuration.object(),
            field: "spec.tags",
        }
    }

    /// What resources of the whole load balancer are caused by.
    pub(crate) fn causes(&self) -> Vec<Cause> {
        let own = std::iter::once(cause(&self.object()));
        own.chain(self.configuration.causes()).collect()
    }
}

/// An object as the cause of a resource.
pub(crate) fn cause(object: &ObjectRef) -> Cause {
    Cause {
        kind: object.kind.as_str().to_owned(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    }
}

fn gateway_ref(gateway: &NamespacedName) -> ObjectRef {
    ObjectRef::new(
        Kind::Gateway,
        gateway.namespace.clone(),
        gateway.name.clone(),
    )
}

/// An answer that leaves everything as it is.
fn hold() -> Translation {
    Translation {
        stack: None,
        unwanted: BTreeSet::new(),
        bindings: Vec::new(),
        gateway: None,
        listener_sets: Vec::new(),
        routes: Vec::new(),
        diagnostics: Vec::new(),
        reads: BTreeSet::new(),
        holds_until_seconds: None,
    }
}

fn translate(ctx: &Context<'_>, name: &NamespacedName) -> Translation {
    let nothing_wanted = || Translation {
        unwanted: stack_ids(name).into(),
        ..hold()
    };
    let Some(gateway) = ctx.reader.gateway(name) else {
        return nothing_wanted();
    };
    let class_name = &gateway.spec.gateway_class_name;
    let is_deleted = gateway.metadata.deletion_timestamp.is_some();
    let Some(class) = ctx
        .reader
        .gateway_class(&NamespacedName::new("", class_name.clone()))
    else {
        if is_deleted {
            // It goes, whosever it was; what its tags prove to be ours goes with it.
            return nothing_wanted();
        }
        // Whose the Gateway is, is not known: a class that is applied again must find all as it was.
        ctx.report(
            Diagnostic::error(
                "missing-gateway-class",
                format!("GatewayClass {class_name} does not exist"),
            )
            .on(gateway_ref(name))
            .at("spec.gatewayClassName")
            .hint("create a GatewayClass with controllerName gateway.k8s.aws/alb or gateway.k8s.aws/nlb"),
        );
        return hold();
    };
    let Some(controller) = class::controller(class) else {
        return nothing_wanted();
    };
    // Difference (class-switch): LBC forgets the load balancer of the other controller.
    let unwanted: BTreeSet<_> = stack_ids(name)
        .into_iter()
        .filter(|id| *id != stack_id(controller, name))
        .collect();
    if !is_deleted && is_dry_run(gateway, controller) {
        // Difference (dry-run): LBC writes its plan into an annotation.
        let message = format!(
            "the annotation {DRY_RUN_ANNOTATION} asks for a dry run: nothing is made; `elbow plan` shows \
             what would be"
        );
        ctx.report(Diagnostic::warning("dry-run", message.clone()).on(gateway_ref(name)));
        let verdict = Verdict::Misconfigured {
            reason: "Pending",
            message,
        };
        return Translation {
            gateway: Some(gateway_draft(gateway, controller, verdict)),
            ..hold()
        };
    }
    let configuration = match config::resolve(ctx, class, gateway) {
        Ok(configuration) => configuration,
        // Difference (deletion-needs-no-configuration): with LBC what is broken keeps a Gateway from going.
        Err(_) if is_deleted => Configuration::default(),
        Err(problem) => {
            let verdict = Verdict::Misconfigured {
                reason: problem.reason,
                message: problem.message,
            };
            // What another class left stays as well: nothing takes its place.
            return Translation {
                gateway: Some(gateway_draft(gateway, controller, verdict)),
                ..hold()
            };
        }
    };
    let frame = frame(ctx, controller, gateway, name, configuration);
    if is_deleted {
        return deleted(&frame, unwanted);
    }
    build(&frame, gateway, unwanted)
}

/// Whether nothing is to be made of a Gateway of which nothing was made yet: what is there goes on.
fn is_dry_run(gateway: &Gateway, controller: GatewayController) -> bool {
    let annotations = gateway.metadata.annotations.as_ref();
    let asked = annotations.and_then(|annotations| annotations.get(DRY_RUN_ANNOTATION));
    let mut finalizers = gateway.metadata.finalizers.iter().flatten();
    asked.is_some_and(|asked| asked == "true")
        && !finalizers.any(|finalizer| finalizer == controller.gateway_finalizer())
}

fn frame<'c, 'a>(
    ctx: &'c Context<'a>,
    controller: GatewayController,
    gateway: &Gateway,
    name: &NamespacedName,
    configuration: Configuration,
) -> Frame<'c, 'a> {
    let infrastructure = gateway.spec.infrastructure.clone().unwrap_or_default();
    Frame {
        ctx,
        controller,
        lb_type: match controller {
            GatewayController::Alb => LoadBalancerType::Application,
            GatewayController::Nlb => LoadBalancerType::Network,
        },
        stack: stack_id(controller, name),
        gateway: name.clone(),
        uid: gateway.metadata.uid.clone().unwrap_or_default(),
        configuration,
        infrastructure_labels: infrastructure.labels.unwrap_or_default(),
        infrastructure_annotations: infrastructure.annotations.unwrap_or_default(),
    }
}

fn deleted(frame: &Frame<'_, '_>, unwanted: BTreeSet<StackId>) -> Translation {
    if frame.configuration.is_deletion_protected() {
        let name = &frame.gateway;
        let finding = Diagnostic::error(
            "deletion-protected",
            format!("Unable to delete gateway {name} because deletion protection is enabled."),
        )
        .hint("set deletion_protection.enabled to false first");
        frame.ctx.report(
            frame
                .configuration
                .finding(finding, "loadBalancerAttributes"),
        );
        return Translation { unwanted, ..hold() };
    }
    Translation {
        stack: Some(Stack::empty(
            frame.stack.clone(),
            frame.ctx.settings.cluster_name.clone(),
        )),
        unwanted,
        ..hold()
    }
}

/// What a Gateway's status says before anything is known of its listeners.
fn gateway_draft(
    gateway: &Gateway,
    controller: GatewayController,
    verdict: Verdict,
) -> GatewayDraft {
    let is_of_https = controller == GatewayController::Alb;
    let status = gateway.status.as_ref();
    let mut conditions = status.iter().flat_map(|s| s.conditions.iter().flatten());
    GatewayDraft {
        generation: gateway.metadata.generation.unwrap_or_default(),
        verdict,
        listeners: Vec::new(),
        attached_listener_sets: 0,
        addresses: addresses::of(&gateway.spec),
        allows_insecure_clients: is_of_https && clients::allows_insecure_fallback(&gateway.spec),
        was_programmed: conditions.any(|c| c.type_ == "Programmed" && c.status == "True"),
    }
}

fn build(frame: &Frame<'_, '_>, gateway: &Gateway, unwanted: BTreeSet<StackId>) -> Translation {
    let ctx = frame.ctx;
    let sets = listener_sets::of_gateway(frame, &gateway.spec);
    let own = std::iter::once((frame.object(), gateway.spec.listeners.as_slice()));
    let of_sets = sets.iter().map(|s| (s.object(), s.listeners.as_slice()));
    let mut listeners = listeners::read(frame.controller, own.chain(of_sets));
    secrets::resolve(frame, &mut listeners);
    let authorities = clients::resolve(frame, &gateway.spec, &mut listeners);
    report_listeners(frame, &listeners);
    let names = sets.iter().map(|s| &s.name);
    let routes = routes::of_gateway(ctx, frame.controller, &frame.gateway, names);
    unsupported::report(frame, &gateway.spec, &routes);
    // Difference (rejected-set-says-so): LBC says nothing to the routes of a ListenerSet that is not let in.
    let owners = std::iter::once(frame.object()).chain(sets.iter().map(ListenerSet::object));
    let attachments = attachment::attach(ctx, &owners.collect(), &listeners, &routes);
    let resolver = Resolver {
        ctx,
        controller: frame.controller,
        gateway: &frame.gateway,
        configuration: &frame.configuration,
        is_dualstack: load_balancer::ip_address_type(frame)
            != elbow_model::stack::IpAddressType::Ipv4,
    };
    let resolved: Vec<_> = routes
        .iter()
        .zip(&attachments.parents)
        .map(|(route, parents)| {
            // What does not attach is not looked at, so its backends are nobody's concern.
            if parents.iter().any(|p| p.is_served) {
                resolver.resolve(route)
            } else {
                backends::ResolvedRoute::default()
            }
        })
        .collect();
    // Of each route, by its place in the list.
    let mut failures: Vec<RouteFailures> = resolved.iter().map(|r| r.failures.clone()).collect();
    let load_balancer = load_balancer::build(frame, &listeners);
    let blocked = load_balancer.is_err();
    let mut stack = Stack::empty(frame.stack.clone(), ctx.settings.cluster_name.clone());
    let mut bindings = Vec::new();
    if let Ok((load_balancer, security_groups)) = load_balancer {
        let network = Network {
            toward_targets: &security_groups.toward_targets,
            scheme: load_balancer.scheme,
            subnets: &load_balancer.subnets,
        };
        let mut groups = TargetGroups::new(frame, network);
        let attached = Attached {
            routes: &routes,
            resolved: &resolved,
            attachments: &attachments,
        };
        let ports = ports::build(frame, &mut listeners, &attached, &mut groups, &mut failures);
        (stack.target_groups, bindings) = groups.into_parts();
        stack.listeners = ports.listeners;
        stack.undecided_listeners = ports.undecided;
        stack.authorities = authorities;
        let used: BTreeSet<_> = stack.made_trust_stores().into_iter().cloned().collect();
        stack.authorities.retain(|id, _| used.contains(id));
        if frame.lb_type == LoadBalancerType::Network {
            let mixed = listeners::mixed_mode_ports(&listeners).into_iter();
            stack
                .undecided_listeners
                .extend(mixed.filter_map(Port::new));
        }
        if let Some(managed) = security_groups.managed {
            let id = ResourceId::new(elbow_model::stack::MANAGED_SECURITY_GROUP);
            stack.security_groups.insert(id, managed);
        }
        stack.load_balancer = Some(load_balancer);
    }
    secrets::settle(&mut listeners);
    clients::settle(&mut listeners);
    let verdict = if blocked {
        Verdict::Blocked
    } else {
        Verdict::Built
    };
    // What another class left stays until there is something to take its place.
    let is_held = blocked || would_serve_nothing(frame, &stack, &unwanted);
    let (stack, unwanted, bindings) = if is_held {
        (None, BTreeSet::new(), Vec::new())
    } else {
        (Some(stack), unwanted, bindings)
    };
    Translation {
        stack,
        unwanted,
        bindings,
        gateway: Some(GatewayDraft {
            listeners: listener_drafts(frame, &listeners, &attachments, &frame.object()),
            attached_listener_sets: attached_sets(&sets, &listeners),
            ..gateway_draft(gateway, frame.controller, verdict)
        }),
        listener_sets: sets
            .iter()
            .map(|set| ListenerSetDraft {
                set: set.name.clone(),
                generation: set.generation,
                is_allowed: set.is_allowed,
                listeners: listener_drafts(frame, &listeners, &attachments, &set.object()),
            })
            .collect(),
        routes: route_drafts(frame, &routes, &attachments, failures),
        diagnostics: Vec::new(),
        reads: BTreeSet::new(),
        holds_until_seconds: None,
    }
}

/// Whether a load balancer that serves would give way to one without listeners: the Gateway changed its class,
/// and nothing of it can be served by the other kind of load balancer, or not yet.
///
/// Difference (class-switch): LBC forgets the one that serves.
fn would_serve_nothing(frame: &Frame<'_, '_>, stack: &Stack, unwanted: &BTreeSet<StackId>) -> bool {
    if !stack.listeners.is_empty() || !stack.undecided_listeners.is_empty() {
        return false;
    }
    let is_there = |id: &StackId| matches!(frame.ctx.load_balancer_of(id), Some(Some(_)));
    if !unwanted.iter().any(is_there) {
        return false;
    }
    let (new, old) = match frame.controller {
        GatewayController::Alb => ("an application load balancer", "network load balancer"),
        GatewayController::Nlb => ("a network load balancer", "application load balancer"),
    };
    frame.ctx.report(
        Diagnostic::error(
            "class-serves-nothing",
            format!("{new} would have no listener, so the {old} of the class before stays"),
        )
        .on(frame.object())
        .at("spec.gatewayClassName")
        .hint("attach a route to a listener that the class serves, or name the class before"),
    );
    true
}

/// How many ListenerSets have a listener that is valid.
fn attached_sets(sets: &[ListenerSet], listeners: &[listeners::Listener]) -> i32 {
    let is_attached = |set: &&ListenerSet| {
        let object = set.object();
        listeners.iter().any(|l| l.owner == object && l.is_valid())
    };
    i32::try_from(sets.iter().filter(is_attached).count()).unwrap_or(i32::MAX)
}

fn report_listeners(frame: &Frame<'_, '_>, listeners: &[listeners::Listener]) {
    for listener in listeners {
        let Some(problem) = listener.problem.as_ref().or(listener.unresolved.as_ref()) else {
            continue;
        };
        let (code, field, hint) = match problem.kind {
            ListenerProblemKind::InvalidRouteKinds => (
                "invalid-route-kinds",
                "allowedRoutes.kinds",
                "name kinds that the Gateway's class serves: HTTPRoute on ALB, TCPRoute on NLB",
            ),
            ListenerProblemKind::PortUnavailable => {
                ("port-unavailable", "port", "use a port between 1 and 65535")
            }
            ListenerProblemKind::UnsupportedProtocol => (
                "unsupported-protocol",
                "protocol",
                "use HTTP or HTTPS with the ALB class, TCP, UDP or TLS with the NLB class",
            ),
            ListenerProblemKind::ProtocolConflict => (
                "protocol-conflict",
                "protocol",
                "listeners of one port need one protocol, and TLS listeners one mode; use another port",
            ),
            ListenerProblemKind::HostnameConflict => (
                "hostname-conflict",
                "hostname",
                "an earlier listener has this port and hostname; remove one of the two",
            ),
            ListenerProblemKind::InvalidCertificateRef
            | ListenerProblemKind::RefNotPermitted
            | ListenerProblemKind::NoValidCaCertificate
            | ListenerProblemKind::InvalidCaCertificateRef
            | ListenerProblemKind::InvalidCaCertificateKind
            | ListenerProblemKind::UnsupportedValue
            | ListenerProblemKind::Invalid => continue,
        };
        frame.ctx.report(
            Diagnostic::error(code, problem.message.clone())
                .on(listener.owner.clone())
                .at(format!("{}.{field}", listener.field()))
                .hint(hint),
        );
    }
}

/// Those of a Gateway or ListenerSet, sorted by name, as LBC writes them.
fn listener_drafts(
    frame: &Frame<'_, '_>,
    listeners: &[listeners::Listener],
    attachments: &attachment::Attachments,
    owner: &ObjectRef,
) -> Vec<ListenerDraft> {
    let mut drafts: Vec<_> = listeners
        .iter()
        .zip(&attachments.attached)
        .filter(|(listener, _)| listener.owner == *owner)
        .map(|(listener, attached)| ListenerDraft {
            name: listener.name.clone(),
            port: listener.port,
            attached_routes: *attached,
            supported_kinds: listeners::supported_kinds(frame.controller, listener),
            problem: listener.problem.clone(),
            unresolved: listener.unresolved.clone(),
        })
        .collect();
    drafts.sort_by(|a, b| a.name.cmp(&b.name));
    drafts
}

fn route_drafts(
    frame: &Frame<'_, '_>,
    routes: &[routes::Route],
    attachments: &attachment::Attachments,
    failures: Vec<RouteFailures>,
) -> Vec<RouteDraft> {
    let mut drafts = Vec::new();
    for ((route, parents), failures) in routes.iter().zip(&attachments.parents).zip(failures) {
        for (place, outcome) in parents.iter().enumerate() {
            if let Some(failure) = &outcome.failure {
                report_detached(frame, route, place, failure);
            }
        }
        if parents.iter().any(|p| !p.is_served && p.failure.is_none()) {
            report_unserved(frame, route);
        }
        let parents = parents
            .iter()
            .filter(|outcome| outcome.is_served || outcome.failure.is_some())
            .map(|outcome| ParentDraft {
                parent: outcome.parent.clone(),
                failures: match &outcome.failure {
                    Some(failure) => failure.clone().into(),
                    None => failures.clone(),
                },
            });
        let parents: Vec<_> = parents.collect();
        if parents.is_empty() {
            continue;
        }
        drafts.push(RouteDraft {
            route: route.object(),
            generation: route.generation,
            controller: frame.controller,
            parents,
        });
    }
    drafts
}

fn report_unserved(frame: &Frame<'_, '_>, route: &routes::Route) {
    frame.ctx.report(
        Diagnostic::error(
            "listener-not-valid",
            format!(
                "the route attaches only to listeners of Gateway {} that are not valid, and takes no effect",
                frame.gateway
            ),
        )
        .on(route.object())
        .at("spec.parentRefs")
        .hint("correct the listener, or name another one in sectionName"),
    );
}

fn report_detached(
    frame: &Frame<'_, '_>,
    route: &routes::Route,
    place: usize,
    failure: &RouteFailure,
) {
    let (code, hint) = match failure {
        RouteFailure::NamespaceNotAllowed => (
            "namespace-not-allowed",
            "let the listener's allowedRoutes.namespaces include the route's namespace",
        ),
        RouteFailure::KindNotAllowed => (
            "kind-not-allowed",
            "attach the route to a listener of a protocol that carries it",
        ),
        RouteFailure::NoMatchingHostname => (
            "no-matching-hostname",
            "give the route a hostname that the listener's covers",
        ),
        _ => (
            "no-matching-parent",
            "correct sectionName or port, or add such a listener to the Gateway",
        ),
    };
    frame.ctx.report(
        Diagnostic::error(
            code,
            format!(
                "the route does not attach to Gateway {}: {}",
                frame.gateway,
                failure.message()
            ),
        )
        .on(route.object())
        .at(format!("spec.parentRefs[{place}]"))
        .hint(hint),
    );
}
