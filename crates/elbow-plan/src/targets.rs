//! Targets: which are registered and deregistered, and when a group counts as healthy or drained.
//!
//! In: the targets that are wanted and those that are registered. Out: calls of at most
//! [`TARGETS_PER_CALL`] targets. What always holds: targets are registered before others are
//! deregistered, but for those of QUIC that are registered again with another server id, and for those that a
//! full group has room for only then; a target that is draining counts as gone.
//!
//! A load balancer that is a target stays until another one is known to take its place, which it does in
//! a group of its own ([`crate::pairing`]).
//!
//! Targets are a lane of their own: a changed EndpointSlice needs [`plan_targets`], which looks at nothing
//! but groups that are there already.
//!
//! Where several clusters share a group, only what this one has registered is deregistered
//! ([`Sharing::Clusters`]); while that is not known, nothing is. The target group of a user's
//! TargetGroupBinding is not ours and carries no tags of ours: it is known by its ARN, which the binding
//! names, and nothing but its targets is ever planned, which [`crate::lint()`] checks. That holds for a group
//! that the binding has left, too, of which nothing but the targets is known ([`plan_left_targets`]).

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::ids::{ResourceId, TargetGroupArn};
use elbow_model::observed::{ObservedTarget, ObservedTargetGroup, TargetState};
use elbow_model::stack::{Sharing, Target, TargetGroup, TargetType};
use elbow_model::{
    AwsCall, Cause, ObservedStack, OwnTargets, Ref, ResourceKind, Stack, StackId, StackKind,
};

use crate::draft::Draft;
use crate::hazards::Hazard;
use crate::pairing::Pairing;
use crate::plan::{Action, Plan, StepId};
use crate::policy::Policy;
use crate::stack::ClusterView;

/// As many as LBC sends at once; AWS documents no limit.
pub(crate) const TARGETS_PER_CALL: usize = 200;

/// Whether traffic can move to these targets: all have been checked, and one is healthy. A group that is
/// not in use stays `unused` and never gets there.
pub fn are_healthy(targets: &[ObservedTarget]) -> bool {
    let mut states = targets
        .iter()
        .map(|t| t.state)
        .filter(|s| *s != TargetState::Draining);
    targets.iter().any(|t| t.state == TargetState::Healthy)
        && states.all(|state| state != TargetState::Initial)
}

/// Whether no target of the group has anything left to do.
pub fn are_drained(targets: &[ObservedTarget]) -> bool {
    targets.iter().all(|t| t.state == TargetState::Unused)
}

/// Plans the targets of the groups that are there, and nothing else.
pub fn plan_targets(stack: &Stack, observed: &ObservedStack, policy: &Policy) -> Plan {
    let mut draft = Draft::new(&stack.id);
    let mut change = |id, desired, group| {
        change_targets(&mut draft, &stack.id, id, desired, group, policy);
    };
    if stack.id.kind == StackKind::Binding {
        for (arn, desired) in &stack.target_groups {
            let mut groups = observed.target_groups.iter();
            if let Some(group) = groups.find(|group| group.arn.as_str() == arn.as_str()) {
                change(arn, desired, group);
            }
        }
    } else {
        let pairing = Pairing::new(stack, observed, &ClusterView::default());
        for (id, desired) in &stack.target_groups {
            if let Some(Some(group)) = pairing.groups.get(id) {
                change(id, desired, group);
            }
        }
    }
    policy.apply(draft.finish(Vec::new()))
}

/// Plans to take out of the groups that a TargetGroupBinding has left what it put there.
pub fn plan_left_targets(
    stack: &StackId,
    observed: &ObservedStack,
    causes: &[Cause],
    policy: &Policy,
) -> Plan {
    let mut draft = Draft::new(stack);
    for left in &observed.left_groups {
        let there = left.targets.iter();
        let there = there.filter(|t| t.state != TargetState::Draining);
        let mut surplus: Vec<&Target> = there
            .map(|observed| &observed.target)
            .filter(|target| may_go(target, &left.sharing, left.own.as_ref()))
            .collect();
        surplus.sort();
        let group = Group {
            stack,
            id: &ResourceId::new(left.arn.as_str()),
            name: &left.name,
            arn: left.arn.clone().into(),
            desired: None,
            causes,
        };
        let reason = "the TargetGroupBinding does not name this group any more";
        deregister(&mut draft, &group, &surplus, reason, &[]);
    }
    policy.apply(draft.finish(Vec::new()))
}

/// Whether a target that is not wanted is ours to take out.
fn may_go(target: &Target, sharing: &Sharing, own: Option<&OwnTargets>) -> bool {
    match sharing {
        Sharing::Exclusive => true,
        Sharing::Clusters { .. } => own.is_some_and(|own| own.contains(target)),
    }
}

/// Registers what is missing in a group that is there, then deregisters what is not wanted.
pub(crate) fn change_targets(
    draft: &mut Draft,
    stack: &StackId,
    id: &ResourceId,
    desired: &TargetGroup,
    observed: &ObservedTargetGroup,
    policy: &Policy,
) -> Vec<StepId> {
    // A target of QUIC with another server id is another target.
    let key = |target: &Target| {
        let server = target.quic_server_id.clone();
        (target.id.clone(), target.port, server)
    };
    let registered: BTreeMap<_, &ObservedTarget> = observed
        .targets
        .iter()
        .filter(|t| t.state != TargetState::Draining)
        .map(|t| (key(&t.target), t))
        .collect();
    let mut missing: Vec<&Target> = desired
        .targets
        .iter()
        .filter(|target| !registered.contains_key(&key(target)))
        .collect();
    missing.sort();
    missing.dedup();
    let wanted: BTreeSet<_> = desired.targets.iter().map(key).collect();
    // Which load balancer will be the target is not known yet.
    let is_undecided = desired.target_type == TargetType::Alb && wanted.is_empty();
    let mut surplus: Vec<&Target> = registered
        .iter()
        .filter(|(found, _)| !wanted.contains(*found) && !is_undecided)
        .map(|(_, t)| &t.target)
        .filter(|target| may_go(target, &desired.sharing, observed.own.as_ref()))
        .collect();
    surplus.sort();
    // AWS does not change the server id of a target that is registered: it has to go first.
    let at = |target: &Target| (target.id.clone(), target.port);
    let anew: BTreeSet<_> = missing.iter().map(|target| at(target)).collect();
    let (replaced, surplus): (Vec<&Target>, Vec<&Target>) = surplus
        .into_iter()
        .partition(|target| anew.contains(&at(target)));

    let group = Group {
        stack,
        id,
        name: &observed.name,
        arn: observed.arn.clone().into(),
        desired: Some(desired),
        causes: &desired.causes,
    };
    let reason = "they have another server id, which AWS does not change";
    deregister(draft, &group, &replaced, reason, &[]);
    let n_registered = registered.len() - replaced.len();
    // A group that is full gets the rest once others have gone.
    //
    // Difference (room-in-full-groups): LBC counts targets that drain.
    let (first, rest) = policy.split_targets(&missing, n_registered);
    let n_left = n_registered - surplus.len() + first.len();
    let (rest, _) = policy.split_targets(rest, n_left);
    let mut steps = register(draft, &group, first, &[], policy);
    let reason = "they are no longer endpoints of the backend";
    let gone = deregister(draft, &group, &surplus, reason, &steps);
    steps.extend(register(draft, &group, rest, &gone, policy));
    steps
}

/// A target group that steps are about.
pub(crate) struct Group<'a> {
    pub(crate) stack: &'a StackId,
    pub(crate) id: &'a ResourceId,
    pub(crate) name: &'a str,
    pub(crate) arn: Ref<TargetGroupArn>,
    pub(crate) desired: Option<&'a TargetGroup>,
    pub(crate) causes: &'a [Cause],
}

impl Group<'_> {
    pub(crate) fn key(&self) -> elbow_model::ResourceKey {
        elbow_model::ResourceKey {
            stack: self.stack.clone(),
            kind: ResourceKind::TargetGroup,
            id: self.id.clone(),
        }
    }
}

/// Registers targets.
pub(crate) fn register(
    draft: &mut Draft,
    group: &Group<'_>,
    targets: &[&Target],
    after: &[StepId],
    policy: &Policy,
) -> Vec<StepId> {
    let wanted = group.desired.map_or(0, |desired| desired.targets.len());
    let too_many = (wanted > policy.quotas.targets_max).then(|| Hazard::ExceedsQuota {
        quota: "Targets per Target Group".to_owned(),
        limit: policy.quotas.targets_max,
        wanted,
    });
    let mut steps = Vec::new();
    for chunk in targets.chunks(TARGETS_PER_CALL) {
        let id = draft
            .step(Action::Register, group.key(), group.name)
            .reason("they are endpoints of the backend")
            .causes(group.causes)
            .changes(chunk.iter().map(|t| target_change(t, true)).collect())
            .hazards(too_many.clone().filter(|_| steps.is_empty()))
            .after(after.iter().copied())
            .call(AwsCall::RegisterTargets {
                target_group: group.arn.clone(),
                targets: chunk.iter().map(|t| (*t).clone()).collect(),
            });
        steps.push(id);
    }
    steps
}

/// Deregisters targets.
pub(crate) fn deregister(
    draft: &mut Draft,
    group: &Group<'_>,
    targets: &[&Target],
    reason: &str,
    after: &[StepId],
) -> Vec<StepId> {
    let mut steps = Vec::new();
    for chunk in targets.chunks(TARGETS_PER_CALL) {
        let id = draft
            .step(Action::Deregister, group.key(), group.name)
            .reason(reason)
            .causes(group.causes)
            .changes(chunk.iter().map(|t| target_change(t, false)).collect())
            .after(after.iter().copied())
            .call(AwsCall::DeregisterTargets {
                target_group: group.arn.clone(),
                targets: chunk.iter().map(|t| (*t).clone()).collect(),
            });
        steps.push(id);
    }
    steps
}

fn target_change(target: &Target, added: bool) -> crate::plan::Change {
    let text = Some(format!("{}:{}", target.id, target.port));
    let (before, after) = if added { (None, text) } else { (text, None) };
    crate::plan::Change {
        field: "target".to_owned(),
        before,
        after,
    }
}
