//! Listeners: created, changed in place, with their certificates and rules, and deleted.
//!
//! In: the desired listeners and those of the load balancer that is kept. Out: steps. What always holds: a
//! listener is its port; new listeners stand before old ones change, and old ones go last; certificates
//! are added before the default one changes and removed after it; one that cannot be decided is not
//! touched. Start at [`ensure`]; what moves traffic between listeners that stay is in [`existing`], the
//! change of a single one in [`modify`].

mod existing;
mod modify;

use std::collections::BTreeSet;

use elbow_model::ids::{
    CertificateArn, ListenerArn, LoadBalancerArn, Port, ResourceId, TargetGroupArn,
};
use elbow_model::observed::{ObservedListener, ObservedLoadBalancer};
use elbow_model::stack::{Listener, Protocol};
use elbow_model::{AwsCall, Ref, ResourceKey, ResourceKind};

use crate::compare::{self, describe_action, receivers};
use crate::draft::set;
use crate::handover::{self, Handover, Readiness};
use crate::hazards::Hazard;
use crate::plan::{Action, StepId};
use crate::rules::{RuleCount, RulePlan};
use crate::stack::Context;
use crate::{certificate, trust_store};

/// Key and display name of a listener.
pub(crate) fn identity(ctx: &Context<'_>, port: Port, protocol: Protocol) -> (ResourceKey, String) {
    let id = ResourceId::new(port.to_string());
    let key = ctx.stack.key(ResourceKind::Listener, &id);
    (key, format!("{protocol}:{port}"))
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
        existing::change(ctx, kept, &existing, &mut rules);
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

/// AWS does not raise this one.
fn too_many_verifying(ctx: &Context<'_>, desired: &Listener) -> Option<Hazard> {
    let limit = ctx.policy.quotas.verifying_listeners_max;
    let verifies = |listener: &&Listener| listener.mutual_authentication.trust_store().is_some();
    let wanted = ctx.stack.listeners.values().filter(verifies).count();
    (verifies(&desired) && wanted > limit).then(|| Hazard::ExceedsQuota {
        quota: "Listeners with mutual TLS verify per load balancer".to_owned(),
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
    let certificates = certificate::resolve(ctx, &desired.certificates);
    let default_certificate = certificates.first();
    changes.extend(default_certificate.map(|arn| set("defaultCertificate", arn)));
    changes.extend(
        desired
            .ssl_policy
            .as_ref()
            .map(|policy| set("sslPolicy", policy)),
    );
    let alpn = compare::alpn(desired.alpn_policy.as_deref());
    changes.extend(alpn.map(|policy| set("alpnPolicy", policy)));
    let mutual = trust_store::resolve(ctx, &desired.mutual_authentication);
    let mutual = (!mutual.is_off()).then_some(mutual);
    changes.extend(
        mutual
            .as_ref()
            .map(|mutual| set("mutualAuthentication", mutual)),
    );
    let crowded = crowded.into_iter().chain(too_many_verifying(ctx, desired));
    let crowded: Vec<Hazard> = crowded.collect();
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
            mutual_authentication: mutual,
            tags: desired.tags.clone(),
        });
    let arn: Ref<ListenerArn> = Ref::Of(key);
    if desired.protocol.is_secure() {
        let wanted: BTreeSet<&Ref<CertificateArn>> = certificates.iter().collect();
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

fn add_certificate(
    ctx: &mut Context<'_>,
    (port, desired): (Port, &Listener),
    listener: &Ref<ListenerArn>,
    certificate: &Ref<CertificateArn>,
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
