//! Listeners: created, changed in place, with their certificates and rules, and deleted.
//!
//! In: the desired listeners and those of the load balancer that is kept. Out: steps. What always holds: a
//! listener is its port; new listeners stand before old ones change, and old ones go last; certificates
//! are added before the default one changes and removed after it; one that cannot be decided is not
//! touched.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::aws_call::TagTarget;
use elbow_model::ids::{
    CertificateArn, ListenerArn, LoadBalancerArn, Port, ResourceId, TargetGroupArn,
};
use elbow_model::observed::{ObservedListener, ObservedLoadBalancer};
use elbow_model::rule::Action as RuleAction;
use elbow_model::stack::{Listener, LoadBalancerType, Protocol};
use elbow_model::{AwsCall, Ref, ResourceKey, ResourceKind};

use crate::compare::{self, Answer, answers_equal, describe_action, groups, receivers};
use crate::draft::{change, set};
use crate::handover::{self, Handover, Parking, Readiness, WeightShift};
use crate::hazards::Hazard;
use crate::plan::{Action, Change, StepId};
use crate::rules::{RuleCount, RulePlan};
use crate::stack::Context;
use crate::tags::Legacy;

/// Key and display name of a listener.
pub(crate) fn identity(ctx: &Context<'_>, port: Port, protocol: Protocol) -> (ResourceKey, String) {
    let id = ResourceId::new(port.to_string());
    let key = ctx.stack.key(ResourceKind::Listener, &id);
    (key, format!("{protocol}:{port}"))
}

/// A listener that is there and stays.
struct Existing<'a> {
    port: Port,
    desired: &'a Listener,
    observed: &'a ObservedListener,
    rules: RulePlan<'a>,
    shift: Option<WeightShift>,
}

/// Brings all listeners about. Answers with the steps without which the load balancer does not serve.
pub(crate) fn ensure(ctx: &mut Context<'_>, balancer: &Ref<LoadBalancerArn>) -> Vec<StepId> {
    let kept = ctx.pairing.kept_balancer();
    let wanted: usize = ctx
        .stack
        .listeners
        .values()
        .map(|listener| listener.rules.len())
        .sum();
    let present = kept.map_or(0, |lb| lb.listeners.iter().map(|l| l.rules.len()).sum());
    let mut rules = RuleCount::new(present, wanted, ctx.policy.quotas.rules_max);
    let mut crowded = too_many_listeners(ctx);

    let mut existing = Vec::new();
    let mut serving = Vec::new();
    for (port, desired) in &ctx.stack.listeners {
        let observed = kept.and_then(|lb| lb.listeners.iter().find(|l| l.port == *port));
        match observed {
            Some(observed) => existing.push((*port, desired, observed)),
            None => serving.extend(create(
                ctx,
                (*port, desired),
                balancer,
                &mut rules,
                crowded.take(),
            )),
        }
    }
    if let Some(kept) = kept {
        change_existing(ctx, kept, &existing, &mut rules);
    }
    serving
}

/// Waits until every group that gets traffic from the desired listeners is healthy, except those that take
/// over from a group that is not healthy either: what was broken before must not hold up the rest.
pub(crate) fn wait_healthy(ctx: &mut Context<'_>) -> Vec<StepId> {
    let mut receiving: BTreeSet<Ref<TargetGroupArn>> = BTreeSet::new();
    for listener in ctx.stack.listeners.values() {
        let actions = listener.rules.iter().map(|rule| &rule.action);
        for action in actions.chain([&listener.default_action]) {
            receiving.extend(receivers(&ctx.pairing.action(action)).into_iter().cloned());
        }
    }
    receiving
        .iter()
        .filter(|group| handover::had_traffic(ctx, group))
        .filter(|group| {
            matches!(
                handover::readiness(ctx, group),
                Readiness::Unused | Readiness::InUse
            )
        })
        .cloned()
        .collect::<Vec<_>>()
        .iter()
        .filter_map(|group| handover::wait_healthy(ctx, group, None))
        .collect()
}

fn too_many_listeners(ctx: &Context<'_>) -> Option<Hazard> {
    let limit = ctx.policy.quotas.listeners_max;
    let wanted = ctx.stack.listeners.len();
    (wanted > limit).then(|| Hazard::ExceedsQuota {
        quota: "Listeners per load balancer".to_owned(),
        limit,
        wanted,
    })
}

fn create(
    ctx: &mut Context<'_>,
    (port, desired): (Port, &Listener),
    balancer: &Ref<LoadBalancerArn>,
    rules: &mut RuleCount,
    crowded: Option<Hazard>,
) -> Vec<StepId> {
    let (key, name) = identity(ctx, port, desired.protocol);
    let default_action = ctx.pairing.action(&desired.default_action);
    let mut changes = vec![
        set("protocol", desired.protocol),
        set("port", port),
        set("defaultAction", describe_action(&default_action)),
    ];
    let default_certificate = desired.certificates.first();
    changes.extend(default_certificate.map(|arn| set("defaultCertificate", arn)));
    changes.extend(
        desired
            .ssl_policy
            .as_ref()
            .map(|policy| set("sslPolicy", policy)),
    );
    let alpn = compare::alpn(desired.alpn_policy.as_deref());
    changes.extend(alpn.map(|policy| set("alpnPolicy", policy)));
    let created = ctx
        .draft
        .step(Action::Create, key.clone(), name)
        .reason("the load balancer has no listener on this port")
        .causes(&desired.causes)
        .changes(changes)
        .hazards(crowded)
        .provides()
        .call(AwsCall::CreateListener {
            load_balancer: balancer.clone(),
            port,
            protocol: desired.protocol,
            default_action,
            default_certificate: default_certificate.cloned(),
            ssl_policy: desired.ssl_policy.clone(),
            alpn_policy: desired.alpn_policy.clone(),
            tags: desired.tags.clone(),
        });
    let arn: Ref<ListenerArn> = Ref::Of(key);
    if desired.protocol.is_secure() {
        let wanted: BTreeSet<&CertificateArn> = desired.certificates.iter().collect();
        for certificate in wanted {
            add_certificate(ctx, (port, desired), &arn, certificate, &[]);
        }
    }
    set_attributes(ctx, (port, desired), &arn, None);
    let plan = RulePlan::new(ctx, port, desired, None, rules.room());
    let mut steps = plan.steps(ctx, &arn, &Handover::default(), rules);
    steps.push(created);
    steps
}

fn change_existing<'a>(
    ctx: &mut Context<'a>,
    kept: &ObservedLoadBalancer,
    listeners: &[(Port, &'a Listener, &'a ObservedListener)],
    rules: &mut RuleCount,
) {
    let mut room = rules.room();
    let existing: Vec<Existing<'a>> = listeners
        .iter()
        .map(|(port, desired, observed)| {
            let plan = RulePlan::new(ctx, *port, desired, Some(observed), room);
            room = (room + plan.deleted()).saturating_sub(plan.created());
            Existing {
                port: *port,
                desired,
                observed,
                shift: shift(ctx, desired, observed),
                rules: plan,
            }
        })
        .collect();

    let mut drains = BTreeMap::new();
    let mut moving: BTreeSet<Ref<TargetGroupArn>> = BTreeSet::new();
    for listener in &existing {
        moving.extend(listener.rules.moving.iter().flatten().cloned());
        moving.extend(
            listener
                .shift
                .iter()
                .flat_map(|shift| shift.moving.iter().cloned()),
        );
    }
    let (parkings, mut attached) = park(ctx, &existing, rules, &mut drains);
    for listener in &existing {
        let Some(shift) = &listener.shift else {
            continue;
        };
        let groups: BTreeSet<_> = shift
            .attached
            .iter()
            .filter(|group| !attached.contains_key(group))
            .collect();
        if let Some(attach) = shift.attach.as_ref().filter(|_| !groups.is_empty()) {
            let step = attach_by_weight(ctx, listener, attach);
            attached.extend(groups.into_iter().map(|group| (group.clone(), step)));
        }
        drains.extend(handover::draining(
            ctx,
            &listener.observed.default_actions.iter().collect::<Vec<_>>(),
        ));
    }

    let mut handover = Handover::default();
    handover.wait(ctx, &moving, &attached);
    let mut switched = Vec::new();
    for listener in &existing {
        switched.extend(change_one(ctx, listener, &handover, rules));
    }

    // A listener that goes may use a group that drains: it closes before, not after its answers end.
    delete_old(ctx, kept);

    // Old groups drain one after the other in the list; the waits run side by side in AWS, since every
    // deregistration that is due has been sent by then or is sent at once.
    let drained: BTreeMap<TargetGroupArn, StepId> = drains
        .into_iter()
        .map(|(arn, old)| (arn, handover::drain(ctx, old)))
        .collect();
    for listener in &existing {
        let finish = listener
            .shift
            .as_ref()
            .and_then(|shift| shift.finish.as_ref());
        if let Some(action) = finish {
            finish_shift(ctx, listener, action, &drained);
        }
    }
    for parking in parkings {
        let waits: Vec<StepId> = parking
            .groups
            .iter()
            .filter_map(|group| drained.get(group.known()?).copied())
            .collect();
        if let Some(listener) = existing.iter().find(|l| l.port == parking.port) {
            let after = waits.into_iter().chain(switched.iter().copied());
            handover::unpark(ctx, &parking, listener.desired, after);
        }
    }
}

/// Puts groups in use that traffic is going to move to, and keeps those in use that it leaves.
fn park<'a>(
    ctx: &mut Context<'a>,
    existing: &[Existing<'a>],
    rules: &mut RuleCount,
    drains: &mut BTreeMap<TargetGroupArn, &'a elbow_model::observed::ObservedTargetGroup>,
) -> (Vec<Parking>, BTreeMap<Ref<TargetGroupArn>, StepId>) {
    let mut parkings = Vec::new();
    let mut attached = BTreeMap::new();
    let mut in_use: BTreeSet<Ref<TargetGroupArn>> = BTreeSet::new();
    for listener in existing {
        for rule in &listener.rules.parked {
            let groups: BTreeSet<_> = rule
                .actions
                .iter()
                .flat_map(groups)
                .map(|group| group.target_group.clone())
                .collect();
            in_use.extend(groups.iter().cloned());
            drains.extend(handover::draining(
                ctx,
                &rule.actions.iter().collect::<Vec<_>>(),
            ));
            parkings.push(Parking {
                port: listener.port,
                rule: rule.arn.clone().into(),
                priority: rule.priority,
                groups,
            });
        }
    }
    for listener in existing {
        let mut wanted: BTreeSet<Ref<TargetGroupArn>> = listener
            .rules
            .moving
            .iter()
            .flatten()
            .filter(|group| handover::readiness(ctx, group) == Readiness::Unused)
            .cloned()
            .collect();
        let leaving = handover::draining(ctx, &listener.rules.left);
        wanted.extend(leaving.keys().cloned().map(Ref::Known));
        wanted.retain(|group| !in_use.contains(group));
        let needed = wanted.len().div_ceil(handover::GROUPS_PER_ACTION);
        if wanted.is_empty() || needed > rules.room() {
            continue;
        }
        drains.extend(leaving);
        let taken = listener
            .observed
            .rules
            .iter()
            .map(|rule| rule.priority)
            .collect();
        let at = (listener.port, listener.desired);
        for (parking, step) in handover::park(ctx, at, &listener.observed.arn, &taken, &wanted) {
            rules.present += 1;
            in_use.extend(parking.groups.iter().cloned());
            attached.extend(parking.groups.iter().map(|group| (group.clone(), step)));
            parkings.push(parking);
        }
    }
    (parkings, attached)
}

/// How the default action changes, if it does.
fn shift(
    ctx: &Context<'_>,
    desired: &Listener,
    observed: &ObservedListener,
) -> Option<WeightShift> {
    let new = ctx.pairing.action(&desired.default_action);
    let old = match observed.default_actions.as_slice() {
        [action] => Some(action),
        _ => None,
    };
    let equal = answers_equal(
        &Answer::of(&new, &[]),
        &Answer::of_observed(&observed.default_actions, &[]),
    );
    if equal {
        return None;
    }
    let is_network = ctx
        .stack
        .load_balancer
        .as_ref()
        .is_some_and(|lb| lb.lb_type == LoadBalancerType::Network);
    if !is_network {
        return Some(WeightShift {
            switch: Some(new),
            ..WeightShift::default()
        });
    }
    let protocols: BTreeSet<Protocol> = old
        .into_iter()
        .chain([&new])
        .flat_map(groups)
        .filter_map(|group| match &group.target_group {
            Ref::Of(key) => ctx
                .stack
                .target_groups
                .get(&key.id)
                .map(|group| group.protocol),
            Ref::Known(arn) => ctx.observed_group(arn).map(|group| group.protocol),
        })
        .collect();
    let combinable = desired.protocol == observed.protocol
        && (desired.protocol != Protocol::Tls || protocols.len() <= 1);
    Some(handover::shift_weights(ctx, old, &new, combinable))
}

fn attach_by_weight(ctx: &mut Context<'_>, listener: &Existing<'_>, action: &RuleAction) -> StepId {
    let before = listener
        .observed
        .default_actions
        .first()
        .map(describe_action);
    modify_default(
        ctx,
        listener,
        action,
        before,
        "puts the new target group in use, so that its targets are checked",
        &[],
    )
}

fn finish_shift(
    ctx: &mut Context<'_>,
    listener: &Existing<'_>,
    action: &RuleAction,
    drained: &BTreeMap<TargetGroupArn, StepId>,
) {
    let old: Vec<Ref<TargetGroupArn>> = listener
        .observed
        .default_actions
        .iter()
        .flat_map(groups)
        .map(|group| group.target_group.clone())
        .collect();
    let after: Vec<StepId> = old
        .iter()
        .filter_map(|group| drained.get(group.known()?).copied())
        .collect();
    let reason = "the old target group has nothing left to do";
    let step = modify_default(ctx, listener, action, None, reason, &after);
    for old in &listener.observed.default_actions {
        ctx.detach(old, step);
    }
}

fn modify_default(
    ctx: &mut Context<'_>,
    listener: &Existing<'_>,
    action: &RuleAction,
    before: Option<String>,
    reason: &str,
    after: &[StepId],
) -> StepId {
    let (key, name) = identity(ctx, listener.port, listener.desired.protocol);
    ctx.draft
        .step(Action::Update, key, name)
        .reason(reason)
        .causes(&listener.desired.causes)
        .changes(
            change("defaultAction", before, Some(describe_action(action)))
                .into_iter()
                .collect(),
        )
        .after(after.iter().copied())
        .call(AwsCall::ModifyListener {
            listener: listener.observed.arn.clone().into(),
            protocol: None,
            default_action: Some(action.clone()),
            default_certificate: None,
            ssl_policy: None,
            alpn_policy: None,
        })
}

/// Changes one listener. Answers with the steps that move its traffic.
fn change_one(
    ctx: &mut Context<'_>,
    listener: &Existing<'_>,
    handover: &Handover,
    rules: &mut RuleCount,
) -> Vec<StepId> {
    let Existing {
        port,
        desired,
        observed,
        ..
    } = listener;
    let at = (*port, *desired);
    let (key, name) = identity(ctx, *port, desired.protocol);
    let arn: Ref<ListenerArn> = observed.arn.clone().into();
    ctx.retag(
        &key,
        &name,
        &desired.causes,
        (&desired.tags, &observed.tags),
        &TagTarget::Listener(arn.clone()),
        Legacy::Removed,
        &[],
    );

    let wanted: BTreeSet<&CertificateArn> = if desired.protocol.is_secure() {
        desired.certificates.iter().collect()
    } else {
        BTreeSet::new()
    };
    let missing: Vec<&CertificateArn> = wanted
        .iter()
        .filter(|arn| !observed.certificates.contains(arn))
        .copied()
        .collect();
    let limit = ctx.policy.quotas.certificates_max;
    let certificates = |ctx: &mut Context<'_>| {
        for certificate in &missing {
            let hazard = (wanted.len() > limit).then(|| Hazard::ExceedsQuota {
                quota: "Certificates per load balancer".to_owned(),
                limit,
                wanted: wanted.len(),
            });
            add_certificate(ctx, at, &arn, certificate, hazard.as_slice());
        }
    };
    // A listener takes certificates while it is secure.
    let mut steps = Vec::new();
    let was_secure = observed.protocol.is_secure();
    if was_secure {
        certificates(ctx);
    }
    // A default action of an ALB that somebody changed is put right after the new rules are there and
    // before the old ones go; all else comes first, since rules may need the protocol.
    let mut rest = modify(ctx, listener, handover);
    let is_late = rest.as_ref().is_some_and(|call| call.only_default_action)
        && !listener.desired.rules.is_empty();
    if let Some(call) = rest.take_if(|_| !is_late) {
        steps.push(call.add(ctx, listener));
    }
    if !was_secure {
        certificates(ctx);
    }
    set_attributes(ctx, at, &arn, Some(observed));
    steps.extend(listener.rules.steps(ctx, &arn, handover, rules));
    if let Some(call) = rest {
        steps.push(call.add(ctx, listener));
    }

    if desired.protocol.is_secure() {
        let after = steps.clone();
        for certificate in observed
            .certificates
            .iter()
            .filter(|arn| !wanted.contains(arn))
        {
            let (key, name) = identity(ctx, *port, desired.protocol);
            ctx.draft
                .step(Action::Update, key, name)
                .reason("no listener asks for this certificate any more")
                .causes(&desired.causes)
                .changes(
                    change("certificate", Some(certificate), None::<String>)
                        .into_iter()
                        .collect(),
                )
                .after(after.first().copied())
                .call(AwsCall::RemoveListenerCertificates {
                    listener: arn.clone(),
                    certificate: certificate.clone(),
                });
        }
    }
    steps
}

/// A ModifyListener that is due.
struct Modification {
    call: AwsCall,
    changes: Vec<Change>,
    hazards: Vec<Hazard>,
    waits: Vec<StepId>,
    only_default_action: bool,
    /// Whether the old default action's groups are out of use afterwards.
    detaches: bool,
}

impl Modification {
    fn add(self, ctx: &mut Context<'_>, listener: &Existing<'_>) -> StepId {
        let (key, name) = identity(ctx, listener.port, listener.desired.protocol);
        let fields: Vec<&str> = self.changes.iter().map(|c| c.field.as_str()).collect();
        let reason = format!("its {} differs", fields.join(" and "));
        let step = ctx
            .draft
            .step(Action::Update, key, name)
            .reason(reason)
            .causes(&listener.desired.causes)
            .changes(self.changes)
            .hazards(self.hazards)
            .after(self.waits)
            .call(self.call);
        // Where old groups drain, the traffic has left them with this step, and they go out of use with
        // the last one.
        if self.detaches {
            for old in &listener.observed.default_actions {
                ctx.detach(old, step);
            }
        }
        step
    }
}

/// One ModifyListener with the parts that differ.
fn modify(ctx: &Context<'_>, listener: &Existing<'_>, handover: &Handover) -> Option<Modification> {
    let Existing {
        desired, observed, ..
    } = listener;
    let secure = desired.protocol.is_secure();
    let protocol = change("protocol", Some(observed.protocol), Some(desired.protocol));
    let certificate = change(
        "defaultCertificate",
        observed.default_certificate.as_ref(),
        desired.certificates.first(),
    )
    .filter(|_| secure);
    let ssl_policy = change(
        "sslPolicy",
        observed.ssl_policy.as_ref(),
        desired.ssl_policy.as_ref(),
    )
    .filter(|_| secure && desired.ssl_policy.is_some());
    let alpn_policy = change(
        "alpnPolicy",
        compare::alpn(observed.alpn_policy.as_deref()),
        compare::alpn(desired.alpn_policy.as_deref()),
    )
    .filter(|_| desired.protocol == Protocol::Tls);
    let switch = listener
        .shift
        .as_ref()
        .and_then(|shift| shift.switch.clone());
    let default_action = switch.as_ref().and_then(|action| {
        change(
            "defaultAction",
            observed.default_actions.first().map(describe_action),
            Some(describe_action(action)),
        )
    });

    // Going from HTTP to HTTPS, or from TCP to TLS, requires certificate and policy in the same call.
    let becomes_secure = protocol.is_some() && secure;
    let hazard = protocol.as_ref().map(|_| Hazard::ChangesListenerProtocol {
        port: listener.port,
    });
    let only_default_action = switch.is_some()
        && [&protocol, &certificate, &ssl_policy, &alpn_policy]
            .iter()
            .all(|c| c.is_none());
    let call = AwsCall::ModifyListener {
        listener: observed.arn.clone().into(),
        protocol: protocol.is_some().then_some(desired.protocol),
        default_action: switch.clone(),
        default_certificate: (certificate.is_some() || becomes_secure)
            .then(|| desired.certificates.first().cloned())
            .flatten(),
        ssl_policy: (ssl_policy.is_some() || becomes_secure)
            .then(|| desired.ssl_policy.clone())
            .flatten(),
        alpn_policy: alpn_policy.is_some().then(|| {
            desired
                .alpn_policy
                .clone()
                .unwrap_or_else(|| "None".to_owned())
        }),
    };
    let changes: Vec<Change> = [
        protocol,
        certificate,
        ssl_policy,
        alpn_policy,
        default_action,
    ]
    .into_iter()
    .flatten()
    .collect();
    if changes.is_empty() && switch.is_none() {
        return None;
    }
    let moving = listener
        .shift
        .as_ref()
        .map(|shift| shift.moving.clone())
        .unwrap_or_default();
    let (waits, drops) = handover.before(ctx, &moving);
    Some(Modification {
        call,
        changes,
        hazards: hazard.into_iter().chain(drops).collect(),
        waits,
        only_default_action,
        detaches: switch.is_some(),
    })
}

fn add_certificate(
    ctx: &mut Context<'_>,
    (port, desired): (Port, &Listener),
    listener: &Ref<ListenerArn>,
    certificate: &CertificateArn,
    hazards: &[Hazard],
) {
    let (key, name) = identity(ctx, port, desired.protocol);
    ctx.draft
        .step(Action::Update, key, name)
        .reason("certificates are kept in the listener's SNI list")
        .causes(&desired.causes)
        .changes(vec![set("certificate", certificate)])
        .hazards(hazards.iter().cloned())
        .call(AwsCall::AddListenerCertificates {
            listener: listener.clone(),
            certificate: certificate.clone(),
        });
}

/// Sets the attributes that differ. TLS listeners have none that can be set.
fn set_attributes(
    ctx: &mut Context<'_>,
    (port, desired): (Port, &Listener),
    listener: &Ref<ListenerArn>,
    observed: Option<&ObservedListener>,
) {
    if desired.protocol == Protocol::Tls {
        return;
    }
    let nothing = elbow_model::Attributes::new();
    let present = observed.map_or(&nothing, |observed| &observed.attributes);
    if let Some((attributes, changes)) = compare::attributes(&desired.attributes, present) {
        let (key, name) = identity(ctx, port, desired.protocol);
        ctx.draft
            .step(Action::Update, key, name)
            .reason("its attributes differ")
            .causes(&desired.causes)
            .changes(changes)
            .call(AwsCall::ModifyListenerAttributes {
                listener: listener.clone(),
                attributes,
            });
    }
}

fn delete_old(ctx: &mut Context<'_>, balancer: &ObservedLoadBalancer) {
    for observed in &balancer.listeners {
        let stays = ctx.stack.listeners.contains_key(&observed.port)
            || ctx.stack.undecided_listeners.contains(&observed.port);
        if stays {
            continue;
        }
        let (key, name) = identity(ctx, observed.port, observed.protocol);
        let step = ctx
            .draft
            .step(Action::Delete, key, name)
            .reason("no route is attached to a listener of this port any more")
            .hazards([Hazard::DropsTraffic {
                what: format!("port {} closes", observed.port),
            }])
            .call(AwsCall::DeleteListener {
                listener: observed.arn.clone().into(),
            });
        let actions = observed.rules.iter().flat_map(|rule| &rule.actions);
        for action in actions.chain(&observed.default_actions) {
            ctx.detach(action, step);
        }
    }
}
