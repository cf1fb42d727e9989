//! Target groups: created and filled, changed in place, and deleted when nothing uses them any more.
//!
//! In: the desired groups and their pairing. Out: steps. What always holds: target type, protocol and
//! protocol version are all that replaces a group; a replacement is created before the old one goes, and
//! `handover` moves the traffic between the two.

use std::collections::BTreeSet;

use elbow_model::aws_call::TagTarget;
use elbow_model::ids::ResourceId;
use elbow_model::observed::ObservedTargetGroup;
use elbow_model::stack::{ProtocolVersion, Target, TargetGroup};
use elbow_model::{AwsCall, Ref, ResourceKind};

use crate::compare;
use crate::draft::set;
use crate::hazards::Hazard;
use crate::names::{free_name, is_generated};
use crate::pairing;
use crate::plan::Action;
use crate::stack::Context;
use crate::tags::Legacy;
use crate::targets::{Group, change_targets, register};

/// Creates the groups that are missing and changes those that differ.
pub(crate) fn ensure(ctx: &mut Context<'_>) {
    let mut taken: BTreeSet<String> = ctx
        .observed
        .target_groups
        .iter()
        .map(|group| group.name.clone())
        .collect();
    for (id, desired) in &ctx.stack.target_groups {
        if let Some(observed) = ctx.pairing.groups.get(id).copied().flatten() {
            update(ctx, id, desired, observed);
        } else {
            let name = free_name(&desired.name, &taken);
            create(ctx, id, desired, &name);
            taken.insert(name);
        }
    }
}

/// Deletes the groups that nothing asks for.
///
/// Caveat: AWS may report a group in use for some seconds after its last rule is gone; the call fails with
/// `ResourceInUse` until then, and is planned again.
pub(crate) fn delete_old(ctx: &mut Context<'_>) {
    for observed in ctx.pairing.old_groups.clone() {
        if ctx.is_used_by_undecided(observed) {
            continue;
        }
        let id = ctx.resource_id(&observed.tags);
        let replaced = ctx.stack.target_groups.contains_key(&id);
        let after = ctx.detached.get(&observed.arn).cloned().unwrap_or_default();
        let key = ctx.stack.key(ResourceKind::TargetGroup, &id);
        ctx.draft
            .step(Action::Delete, key, &observed.name)
            .reason(if replaced {
                "another group has taken its place"
            } else if ctx.stack.load_balancer.is_none() {
                "nothing asks for it any more"
            } else {
                "no route uses its backend any more"
            })
            .after(after)
            .call(AwsCall::DeleteTargetGroup {
                target_group: observed.arn.clone().into(),
            });
    }
}

fn create(ctx: &mut Context<'_>, id: &ResourceId, desired: &TargetGroup, name: &str) {
    let key = ctx.stack.key(ResourceKind::TargetGroup, id);
    let replaced = ctx
        .pairing
        .old_groups
        .iter()
        .find(|old| ctx.resource_id(&old.tags) == *id);
    let mut changes = vec![
        set("targetType", desired.target_type.as_str()),
        set("protocol", desired.protocol),
    ];
    changes.extend(
        desired
            .protocol_version
            .map(|v| set("protocolVersion", v.as_str())),
    );
    let mut hazards = Vec::new();
    let (action, reason) = match replaced {
        None => (Action::Create, "no target group carries its tags"),
        Some(old) => {
            let before = [
                Some(old.target_type.as_str()),
                Some(old.protocol.as_str()),
                old.protocol_version.map(ProtocolVersion::as_str),
            ];
            for (change, before) in changes.iter_mut().zip(before) {
                change.before = before.map(str::to_owned);
            }
            changes.retain(|change| change.before != change.after);
            hazards.push(Hazard::ReplacesTargetGroup {
                old_name: old.name.clone(),
            });
            if pairing::has_other_target(desired, old) {
                (
                    Action::Replace,
                    "the one that is there has another load balancer as its only target",
                )
            } else if changes.is_empty() {
                (
                    Action::Replace,
                    "the one that is there belongs to the load balancer that is replaced",
                )
            } else {
                (
                    Action::Replace,
                    "the one that is there cannot be changed into it",
                )
            }
        }
    };
    if name != desired.name && !is_generated(&desired.name) {
        hazards.push(Hazard::RenamesTargetGroup {
            wanted: desired.name.clone(),
            used: name.to_owned(),
        });
    }
    changes.push(set("port", desired.port));
    ctx.draft
        .step(action, key.clone(), name)
        .reason(reason)
        .causes(&desired.causes)
        .changes(changes)
        .hazards(hazards)
        .provides()
        .call(AwsCall::CreateTargetGroup {
            name: name.to_owned(),
            target_type: desired.target_type,
            protocol: desired.protocol,
            protocol_version: desired.protocol_version,
            port: desired.port,
            ip_address_type: desired.ip_address_type,
            vpc_id: desired.vpc_id.clone(),
            health_check: desired.health_check.clone(),
            tags: desired.tags.clone(),
        });
    if !desired.attributes.is_empty() {
        ctx.draft
            .step(Action::Update, key.clone(), name)
            .reason("attributes are set apart from the creation")
            .causes(&desired.causes)
            .changes(
                desired
                    .attributes
                    .iter()
                    .map(|(k, v)| set(&format!("attributes.{k}"), v))
                    .collect(),
            )
            .call(AwsCall::ModifyTargetGroupAttributes {
                target_group: Ref::Of(key.clone()),
                attributes: desired.attributes.clone(),
            });
    }
    let mut targets: Vec<&Target> = desired.targets.iter().collect();
    targets.sort();
    targets.dedup();
    let group = Group {
        stack: &ctx.stack.id,
        id,
        name,
        arn: Ref::Of(key),
        desired: Some(desired),
        causes: &desired.causes,
    };
    let (targets, _) = ctx.policy.split_targets(&targets, 0);
    let steps = register(&mut ctx.draft, &group, targets, &[], ctx.policy);
    ctx.filled.insert(id.clone(), steps);
    ctx.group_names.insert(id.clone(), name.to_owned());
}

fn update(
    ctx: &mut Context<'_>,
    id: &ResourceId,
    desired: &TargetGroup,
    observed: &ObservedTargetGroup,
) {
    let key = ctx.stack.key(ResourceKind::TargetGroup, id);
    ctx.retag(
        &key,
        &observed.name,
        &desired.causes,
        (&desired.tags, &observed.tags),
        &TagTarget::TargetGroup(observed.arn.clone().into()),
        Legacy::Kept,
        &[],
    );
    let changes = compare::health_check(&desired.health_check, &observed.health_check);
    if !changes.is_empty() {
        // What is not desired stays: the block is sent as a whole.
        let mut health_check = desired.health_check.clone();
        if health_check.path.is_none() && health_check.protocol == observed.health_check.protocol {
            health_check.path.clone_from(&observed.health_check.path);
        }
        if health_check.matcher.is_none() && health_check.protocol == observed.health_check.protocol
        {
            health_check
                .matcher
                .clone_from(&observed.health_check.matcher);
        }
        ctx.draft
            .step(Action::Update, key.clone(), &observed.name)
            .reason("its health check differs")
            .causes(&desired.causes)
            .changes(changes)
            .call(AwsCall::ModifyTargetGroup {
                target_group: observed.arn.clone().into(),
                health_check,
            });
    }
    if let Some((attributes, changes)) =
        compare::attributes(&desired.attributes, &observed.attributes)
    {
        ctx.draft
            .step(Action::Update, key, &observed.name)
            .reason("its attributes differ")
            .causes(&desired.causes)
            .changes(changes)
            .call(AwsCall::ModifyTargetGroupAttributes {
                target_group: observed.arn.clone().into(),
                attributes,
            });
    }
    let steps = change_targets(
        &mut ctx.draft,
        &ctx.stack.id,
        id,
        desired,
        observed,
        ctx.policy,
    );
    ctx.filled.insert(id.clone(), steps);
    ctx.group_names.insert(id.clone(), observed.name.clone());
}
