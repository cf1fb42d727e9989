//! Security groups: created with their tags, their rules widened first and narrowed last.
//!
//! In: the groups that the Stack owns. Out: steps. What always holds: what a group lets in is added before
//! anything needs it and revoked after nothing does, unless the quota of rules forces the reverse; rules
//! are touched only of groups whose rules are managed.

use std::collections::BTreeSet;

use elbow_model::ids::{ResourceId, SecurityGroupId};
use elbow_model::observed::ObservedSecurityGroup;
use elbow_model::stack::{IngressRule, IngressSource, Scheme, SecurityGroup};
use elbow_model::{AwsCall, Ref, ResourceKind};

use crate::compare::canonical_ingress;
use crate::draft::set;
use crate::hazards::Hazard;
use crate::plan::{Action, Change, StepId};
use crate::stack::Context;
use crate::tags::{Legacy, difference};

/// Creates the groups and lets in what is missing.
pub(crate) fn widen(ctx: &mut Context<'_>) {
    for (id, desired) in &ctx.stack.security_groups {
        match ctx.pairing.security_groups.get(id).copied().flatten() {
            None => create(ctx, id, desired),
            Some(observed) => update(ctx, id, desired, observed),
        }
    }
}

/// Shuts out what is no longer wanted.
pub(crate) fn narrow(ctx: &mut Context<'_>) {
    for (id, desired) in &ctx.stack.security_groups {
        if let Some(observed) = ctx.pairing.security_groups.get(id).copied().flatten() {
            let (_, surplus) = differences(desired, observed);
            if !surplus.is_empty() && !is_crowded(ctx, desired, observed) {
                revoke(
                    ctx,
                    id,
                    desired,
                    observed,
                    surplus,
                    "no listener needs them any more",
                );
            }
        }
    }
}

/// Deletes groups that nothing uses any more.
///
/// Caveat: the network interfaces of a deleted load balancer hold its groups for some minutes; the call
/// fails with `DependencyViolation` until then, and is planned again.
pub(crate) fn delete_old(ctx: &mut Context<'_>, after: &[StepId]) {
    for observed in ctx.pairing.old_security_groups.clone() {
        let id = ctx.resource_id(&observed.tags);
        let key = ctx.stack.key(ResourceKind::SecurityGroup, &id);
        ctx.draft
            .step(Action::Delete, key, &observed.name)
            .reason("nothing asks for it any more")
            .after(after.iter().copied())
            .call(AwsCall::DeleteSecurityGroup {
                group: observed.id.clone().into(),
            });
    }
}

fn create(ctx: &mut Context<'_>, id: &ResourceId, desired: &SecurityGroup) {
    let key = ctx.stack.key(ResourceKind::SecurityGroup, id);
    ctx.draft
        .step(Action::Create, key.clone(), &desired.name)
        .reason("no security group carries its tags")
        .causes(&desired.causes)
        .changes(vec![
            set("vpcId", &desired.vpc_id),
            set("description", &desired.description),
        ])
        .provides()
        .call(AwsCall::CreateSecurityGroup {
            name: desired.name.clone(),
            description: desired.description.clone(),
            vpc_id: desired.vpc_id.clone(),
            tags: desired.tags.clone(),
        });
    let rules: BTreeSet<IngressRule> = desired
        .ingress
        .iter()
        .flatten()
        .map(canonical_ingress)
        .collect();
    authorize(
        ctx,
        id,
        desired,
        Ref::Of(key),
        rules.into_iter().collect(),
        &[],
    );
}

fn update(
    ctx: &mut Context<'_>,
    id: &ResourceId,
    desired: &SecurityGroup,
    observed: &ObservedSecurityGroup,
) {
    let key = ctx.stack.key(ResourceKind::SecurityGroup, id);
    let group: Ref<SecurityGroupId> = observed.id.clone().into();
    let tags = difference(
        &desired.tags,
        &observed.tags,
        &ctx.policy.external_managed_tags,
        Legacy::Kept,
    );
    let of = |changes: &[Change], set: bool| -> Vec<Change> {
        changes
            .iter()
            .filter(|c| c.after.is_some() == set)
            .cloned()
            .collect()
    };
    if !tags.set.is_empty() {
        ctx.draft
            .step(Action::Tag, key.clone(), &observed.name)
            .reason("its tags differ")
            .causes(&desired.causes)
            .changes(of(&tags.changes, true))
            .call(AwsCall::CreateSecurityGroupTags {
                group: group.clone(),
                tags: tags.set,
            });
    }
    if !tags.remove.is_empty() {
        ctx.draft
            .step(Action::Tag, key, &observed.name)
            .reason("it carries tags that nobody asks for")
            .causes(&desired.causes)
            .changes(of(&tags.changes, false))
            .call(AwsCall::DeleteSecurityGroupTags {
                group: group.clone(),
                keys: tags.remove,
            });
    }
    let (missing, surplus) = differences(desired, observed);
    let mut after = Vec::new();
    if !surplus.is_empty() && is_crowded(ctx, desired, observed) {
        let step = revoke(
            ctx,
            id,
            desired,
            observed,
            surplus,
            "the quota of rules leaves no room to add before removing",
        );
        after.push(step);
    }
    authorize(ctx, id, desired, group, missing, &after);
}

/// Rules to add, and rules to remove as they are written in AWS.
fn differences(
    desired: &SecurityGroup,
    observed: &ObservedSecurityGroup,
) -> (Vec<IngressRule>, Vec<IngressRule>) {
    let Some(ingress) = &desired.ingress else {
        return (Vec::new(), Vec::new());
    };
    let wanted: BTreeSet<IngressRule> = ingress.iter().map(canonical_ingress).collect();
    let present: BTreeSet<IngressRule> = observed.ingress.iter().map(canonical_ingress).collect();
    let missing = wanted.difference(&present).cloned().collect();
    let surplus = observed
        .ingress
        .iter()
        .filter(|rule| !wanted.contains(&canonical_ingress(rule)))
        .cloned()
        .collect();
    (missing, surplus)
}

/// Whether the old rules and the new ones do not fit into the group at once, while the new ones do.
fn is_crowded(
    ctx: &Context<'_>,
    desired: &SecurityGroup,
    observed: &ObservedSecurityGroup,
) -> bool {
    let limit = ctx.policy.quotas.ingress_rules_max;
    let (missing, _) = differences(desired, observed);
    !missing.is_empty() && observed.ingress.len() + missing.len() > limit
}

fn authorize(
    ctx: &mut Context<'_>,
    id: &ResourceId,
    desired: &SecurityGroup,
    group: Ref<SecurityGroupId>,
    rules: Vec<IngressRule>,
    after: &[StepId],
) {
    if rules.is_empty() {
        return;
    }
    let wanted = desired.ingress.as_ref().map_or(0, Vec::len);
    let limit = ctx.policy.quotas.ingress_rules_max;
    let mut hazards = Vec::new();
    if wanted > limit {
        hazards.push(Hazard::ExceedsQuota {
            quota: "Inbound rules per security group".to_owned(),
            limit,
            wanted,
        });
    }
    hazards.extend(opened(ctx, &rules));
    let key = ctx.stack.key(ResourceKind::SecurityGroup, id);
    let name = ctx.security_group_name(id, desired);
    ctx.draft
        .step(Action::Update, key, name)
        .reason("its listeners must be reachable")
        .causes(&desired.causes)
        .changes(
            rules
                .iter()
                .map(|rule| Change {
                    field: "ingress".to_owned(),
                    before: None,
                    after: Some(describe(rule)),
                })
                .collect(),
        )
        .hazards(hazards)
        .after(after.iter().copied())
        .call(AwsCall::AuthorizeSecurityGroupIngress { group, rules });
}

fn revoke(
    ctx: &mut Context<'_>,
    id: &ResourceId,
    desired: &SecurityGroup,
    observed: &ObservedSecurityGroup,
    rules: Vec<IngressRule>,
    reason: &str,
) -> StepId {
    let key = ctx.stack.key(ResourceKind::SecurityGroup, id);
    ctx.draft
        .step(Action::Update, key, &observed.name)
        .reason(reason)
        .causes(&desired.causes)
        .changes(
            rules
                .iter()
                .map(|rule| Change {
                    field: "ingress".to_owned(),
                    before: Some(describe(rule)),
                    after: None,
                })
                .collect(),
        )
        .call(AwsCall::RevokeSecurityGroupIngress {
            group: observed.id.clone().into(),
            rules,
        })
}

/// The ports that these rules open to everybody, if the load balancer can be reached by everybody.
fn opened(ctx: &Context<'_>, rules: &[IngressRule]) -> Option<Hazard> {
    let scheme = ctx.stack.load_balancer.as_ref().map(|lb| lb.scheme);
    if scheme != Some(Scheme::InternetFacing) {
        return None;
    }
    let open: Vec<&IngressRule> = rules
        .iter()
        .filter(|rule| match &rule.source {
            IngressSource::Ipv4(cidr) => cidr == "0.0.0.0/0",
            IngressSource::Ipv6(cidr) => cidr == "::/0",
            _ => false,
        })
        .filter(|rule| !rule.protocol.starts_with("icmp"))
        .collect();
    if open.is_empty() {
        return None;
    }
    let ports: BTreeSet<String> = if open.iter().any(|rule| rule.from_port.is_none()) {
        BTreeSet::new()
    } else {
        open.iter().map(|rule| ports(rule)).collect()
    };
    Some(Hazard::OpensToInternet {
        ports: ports.into_iter().collect(),
    })
}

/// Protocol and ports: `tcp 80-443`.
pub(crate) fn ports(rule: &IngressRule) -> String {
    match (rule.from_port, rule.to_port) {
        (Some(from), Some(to)) if from == to => format!("{} {from}", rule.protocol),
        (Some(from), Some(to)) => format!("{} {from}-{to}", rule.protocol),
        _ => rule.protocol.clone(),
    }
}

/// A rule for people: `tcp 443 from 10.0.0.0/8`.
pub(crate) fn describe(rule: &IngressRule) -> String {
    let source = match &rule.source {
        IngressSource::Ipv4(cidr) | IngressSource::Ipv6(cidr) => cidr.clone(),
        IngressSource::PrefixList(id) => id.to_string(),
        IngressSource::SecurityGroup(group) => group.to_string(),
    };
    format!("{} from {source}", ports(rule))
}
