//! One listener that stays: its tags, certificates, settings, attributes and rules.
//!
//! In: the desired listener and the observed one. Out: steps. What always holds: one ModifyListener carries
//! all that differs.

use std::collections::BTreeSet;

use elbow_model::aws_call::TagTarget;
use elbow_model::ids::{CertificateArn, ListenerArn, Port};
use elbow_model::stack::Protocol;
use elbow_model::{AwsCall, MutualAuthentication, Ref};

use super::existing::Existing;
use super::{add_certificate, identity, set_attributes, too_many_verifying};
use crate::compare::{self, describe_action};
use crate::draft::change;
use crate::handover::Handover;
use crate::hazards::Hazard;
use crate::plan::{Action, Change, StepId};
use crate::rules::RuleCount;
use crate::stack::Context;
use crate::tags::Legacy;
use crate::{certificate, trust_store};

/// Changes one listener. Answers with the steps that move its traffic.
pub(super) fn change_one(
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

    let wanted: BTreeSet<Ref<CertificateArn>> = if desired.protocol.is_secure() {
        let certificates = certificate::resolve(ctx, &desired.certificates);
        certificates.into_iter().collect()
    } else {
        BTreeSet::new()
    };
    let is_there = |certificate: &&Ref<CertificateArn>| {
        let known = certificate.known();
        known.is_some_and(|arn| observed.certificates.contains(arn))
    };
    let missing: Vec<&Ref<CertificateArn>> = wanted.iter().filter(|c| !is_there(c)).collect();
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
            .filter(|arn| !wanted.contains(&Ref::Known((*arn).clone())))
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
    let default_certificate = certificate::resolve(ctx, &desired.certificates)
        .into_iter()
        .next();
    let certificate = change(
        "defaultCertificate",
        observed.default_certificate.as_ref(),
        default_certificate.as_ref(),
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
    let wanted_mutual = trust_store::resolve(ctx, &desired.mutual_authentication);
    let mutual = change(
        "mutualAuthentication",
        shown(&observed.mutual_authentication),
        shown(&wanted_mutual),
    )
    .filter(|_| secure);
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
    let mutual_hazards = mutual.iter().flat_map(|_| {
        let verification = verification(
            listener.port,
            &observed.mutual_authentication,
            &wanted_mutual,
        );
        verification
            .into_iter()
            .chain(too_many_verifying(ctx, desired))
    });
    let mutual_hazards: Vec<Hazard> = mutual_hazards.collect();
    let only_default_action = switch.is_some()
        && [&protocol, &certificate, &ssl_policy, &alpn_policy, &mutual]
            .iter()
            .all(|c| c.is_none());
    let call = AwsCall::ModifyListener {
        listener: observed.arn.clone().into(),
        protocol: protocol.is_some().then_some(desired.protocol),
        default_action: switch.clone(),
        default_certificate: (certificate.is_some() || becomes_secure)
            .then_some(default_certificate)
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
        mutual_authentication: mutual.is_some().then_some(wanted_mutual),
    };
    let changes: Vec<Change> = [
        protocol,
        certificate,
        ssl_policy,
        alpn_policy,
        mutual,
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
        hazards: hazard
            .into_iter()
            .chain(mutual_hazards)
            .chain(drops)
            .collect(),
        waits,
        only_default_action,
        detaches: switch.is_some(),
    })
}

/// What becomes of clients when a listener asks something else of them.
fn verification(
    port: Port,
    before: &MutualAuthentication,
    after: &MutualAuthentication,
) -> Option<Hazard> {
    match (before.trust_store(), after.trust_store()) {
        (Some(_), None) => Some(Hazard::StopsVerifyingClients { port }),
        (None, Some(_)) => Some(Hazard::DropsTraffic {
            what: format!(
                "clients of port {port} without a certificate that it trusts are refused"
            ),
        }),
        (Some(before), Some(after)) if before != after => Some(Hazard::DropsTraffic {
            what: format!(
                "clients of port {port} that only the old trust store trusts are refused"
            ),
        }),
        _ => None,
    }
}

/// What a listener asks of its clients, for people; nothing where it asks nothing.
fn shown(asked: &MutualAuthentication) -> Option<&MutualAuthentication> {
    (!asked.is_off()).then_some(asked)
}
