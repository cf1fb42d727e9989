//! Handovers: traffic moves to a target group when the group is healthy, and an old group goes when it has
//! nothing left to do.
//!
//! In: which groups gain traffic and which lose it. Out: steps around those that move the traffic. What
//! always holds: a group that has targets and takes over traffic that something serves is healthy first;
//! a group that is replaced is drained while it is still in use; both hold again after a stop anywhere,
//! since they are read off what is observed.
//!
//! # What AWS does
//! - Targets are checked only while a listener or rule of a load balancer refers to their group; before
//!   that they are `unused` (Target.NotInUse). "Health checks are performed on all targets registered to a
//!   target group that is specified in a listener rule for your load balancer":
//!   <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-target-groups.html>.
//!   So a new group cannot become healthy before something refers to it.
//! - The first passed check makes a new target healthy:
//!   <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html>.
//! - A group without healthy targets answers 503, whatever the other groups of its action could do: there
//!   is no failover between weighted groups:
//!   <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-action-types.html>.
//! - Deregistered targets finish what they have within the deregistration delay, as long as their group
//!   is in use.
//!
//! # ALB
//! A rule that no request can match (its source is a block for documentation) refers to the new groups and
//! to those that they replace. It puts the new ones in use before they get a request, and keeps the old
//! ones in use while they drain:
//!
//! create group, register -> warm-up rule -> wait healthy -> rules switch -> deregister old -> wait drained
//! -> delete warm-up rule -> delete old group
//!
//! A weight of 0 beside the old group would do for the first half, but not where the action has five groups
//! already, where it is no forward, or where a group is sticky: then several groups in one action require
//! stickiness between groups, which changes cookies of live clients.
//!
//! # NLB
//! Listeners have a default action only, so weights it is:
//!
//! `old 1` -> `old 1, new 0` -> wait healthy -> `old 0, new 1` -> deregister old -> wait drained -> `new 1`
//!
//! Where the groups cannot be in one action (more than five; a TLS listener whose groups have different
//! protocols; sticky groups; a listener that changes its protocol in the same call) the switch is direct,
//! and a hazard says so. All groups of an action of a TLS listener must have one protocol:
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/network/listener-update-rules.html>.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::ids::{ListenerArn, Port, ResourceId, TargetGroupArn};
use elbow_model::observed::{ObservedTargetGroup, TargetState};
use elbow_model::rule::{Action as RuleAction, Forward, Stickiness, WeightedTargetGroup};
use elbow_model::stack::{Listener, Target};
use elbow_model::{AwsCall, Ref, ResourceKind};

use crate::compare::{groups, receivers};
use crate::draft::set;
use crate::hazards::Hazard;
use crate::plan::{Action, StepId, Wait};
use crate::rules::{PRIORITY_MAX, warm_up_conditions, warm_up_id};
use crate::stack::Context;
use crate::targets::{Group, are_drained, are_healthy, deregister};

/// Most target groups of one forward action (ELBv2 quota, not adjustable).
pub(crate) const GROUPS_PER_ACTION: usize = 5;
/// Seconds in which targets become healthy: the longest check interval is 300 s, and the first passed check
/// is enough.
const HEALTHY_TIMEOUT_SECONDS: u32 = 600;
/// Seconds on top of the deregistration delay until DescribeTargetHealth shows the end of it.
const DRAINED_MARGIN_SECONDS: u32 = 60;
/// AWS's default of `deregistration_delay.timeout_seconds`.
const DEREGISTRATION_DELAY_DEFAULT_SECONDS: u32 = 300;

/// What steps that move traffic have to wait for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handover {
    /// Steps that wait for a group.
    waits: BTreeMap<Ref<TargetGroupArn>, StepId>,
    /// Groups that would have to be waited for, and cannot.
    unguarded: BTreeSet<Ref<TargetGroupArn>>,
}

/// Whether a group can take over traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It is healthy, or not ours to know.
    Ready,
    /// It has no targets and is not going to have any.
    Empty,
    /// It is in use and not healthy yet.
    InUse,
    /// It has to be put in use.
    Unused,
}

impl Handover {
    /// Waits that come before a step that moves traffic to these groups, and what can go wrong without.
    pub(crate) fn before(
        &self,
        ctx: &Context<'_>,
        moving: &BTreeSet<Ref<TargetGroupArn>>,
    ) -> (Vec<StepId>, Vec<Hazard>) {
        let waits = moving
            .iter()
            .filter_map(|group| self.waits.get(group).copied())
            .collect();
        let mut hazards = Vec::new();
        for group in moving {
            let what = if readiness(ctx, group) == Readiness::Empty {
                "takes over traffic and has no targets"
            } else if self.unguarded.contains(group) {
                "takes over traffic before its targets have passed a health check"
            } else {
                continue;
            };
            hazards.push(Hazard::DropsTraffic {
                what: format!("target group {} {what}", group_name(ctx, group)),
            });
        }
        (waits, hazards)
    }

    /// Adds the steps that wait for these groups. `attached` are the steps that put groups in use.
    pub(crate) fn wait(
        &mut self,
        ctx: &mut Context<'_>,
        groups: &BTreeSet<Ref<TargetGroupArn>>,
        attached: &BTreeMap<Ref<TargetGroupArn>, StepId>,
    ) {
        for group in groups {
            let attach = attached.get(group).copied();
            match readiness(ctx, group) {
                Readiness::Ready | Readiness::Empty => {}
                Readiness::Unused if attach.is_none() => {
                    self.unguarded.insert(group.clone());
                }
                Readiness::Unused | Readiness::InUse => {
                    if let Some(step) = wait_healthy(ctx, group, attach) {
                        self.waits.insert(group.clone(), step);
                    }
                }
            }
        }
    }
}

/// Adds a step that waits until a desired group is healthy.
pub(crate) fn wait_healthy(
    ctx: &mut Context<'_>,
    group: &Ref<TargetGroupArn>,
    attached: Option<StepId>,
) -> Option<StepId> {
    let id = desired_id(ctx, group)?;
    let desired = ctx.stack.target_groups.get(&id)?;
    let name = group_name(ctx, group);
    let filled = ctx.filled.get(&id).cloned().unwrap_or_default();
    let key = ctx.stack.key(ResourceKind::TargetGroup, &id);
    Some(
        ctx.draft
            .step(Action::Wait, key, name)
            .reason("its targets must be healthy before traffic moves to them")
            .causes(&desired.causes)
            .after(filled)
            .after(attached)
            .wait(Wait::TargetsHealthy {
                target_group: group.clone(),
                timeout_seconds: HEALTHY_TIMEOUT_SECONDS,
            }),
    )
}

/// Whether a group can take over traffic of the load balancer that is kept.
pub(crate) fn readiness(ctx: &Context<'_>, group: &Ref<TargetGroupArn>) -> Readiness {
    let Some(id) = desired_id(ctx, group) else {
        return Readiness::Ready;
    };
    if ctx
        .stack
        .target_groups
        .get(&id)
        .is_some_and(|desired| desired.targets.is_empty())
    {
        return Readiness::Empty;
    }
    let Some(observed) = ctx.pairing.groups.get(&id).copied().flatten() else {
        return Readiness::Unused;
    };
    let in_use = ctx
        .pairing
        .kept_balancer()
        .is_some_and(|lb| observed.load_balancers.contains(&lb.arn));
    match (in_use, are_healthy(&observed.targets)) {
        (false, _) => Readiness::Unused,
        (true, true) => Readiness::Ready,
        (true, false) => Readiness::InUse,
    }
}

/// Whether a desired group takes over from one that is healthy, or from none that is known.
pub(crate) fn had_traffic(ctx: &Context<'_>, group: &Ref<TargetGroupArn>) -> bool {
    let Some(id) = desired_id(ctx, group) else {
        return true;
    };
    let mut old = ctx
        .pairing
        .old_groups
        .iter()
        .filter(|old| ctx.resource_id(&old.tags) == id)
        .peekable();
    old.peek().is_none() || old.any(|old| are_healthy(&old.targets))
}

/// A group with unhealthy targets only does serve: load balancers fail open.
fn has_serving_target(group: &ObservedTargetGroup) -> bool {
    group.targets.iter().any(|target| {
        matches!(
            target.state,
            TargetState::Healthy
                | TargetState::Unhealthy
                | TargetState::UnhealthyDraining
                | TargetState::Unavailable
        )
    })
}

/// Whether requests get something from this action now.
pub(crate) fn serves(ctx: &Context<'_>, action: &RuleAction) -> bool {
    match action {
        RuleAction::Forward(_) => receivers(action).iter().any(|group| match group {
            Ref::Known(arn) => ctx.observed_group(arn).is_none_or(has_serving_target),
            Ref::Of(_) => false,
        }),
        RuleAction::Redirect(_) | RuleAction::Unmodeled { .. } => true,
        RuleAction::FixedResponse(response) => response.status_code < 400,
    }
}

/// Old groups of these actions that are in use and have targets with something left to do.
pub(crate) fn draining<'a>(
    ctx: &Context<'a>,
    actions: &[&RuleAction],
) -> BTreeMap<TargetGroupArn, &'a ObservedTargetGroup> {
    let mut found = BTreeMap::new();
    for group in actions.iter().flat_map(|action| groups(action)) {
        let Ref::Known(arn) = &group.target_group else {
            continue;
        };
        let old = ctx.pairing.old_groups.iter().find(|old| old.arn == *arn);
        if let Some(old) = old
            && !are_drained(&old.targets)
            && !ctx.is_used_by_undecided(old)
        {
            found.insert(arn.clone(), *old);
        }
    }
    found
}

/// A rule that keeps groups in use.
pub(crate) struct Parking {
    pub(crate) port: Port,
    pub(crate) rule: Ref<elbow_model::ids::RuleArn>,
    pub(crate) priority: u16,
    pub(crate) groups: BTreeSet<Ref<TargetGroupArn>>,
}

/// Creates rules that no request matches and that refer to these groups.
pub(crate) fn park(
    ctx: &mut Context<'_>,
    (port, listener): (Port, &Listener),
    arn: &ListenerArn,
    taken: &BTreeSet<u16>,
    groups: &BTreeSet<Ref<TargetGroupArn>>,
) -> Vec<(Parking, StepId)> {
    let mut free = (1..=PRIORITY_MAX)
        .rev()
        .filter(|priority| !taken.contains(priority));
    let groups: Vec<&Ref<TargetGroupArn>> = groups.iter().collect();
    let mut parked = Vec::new();
    for chunk in groups.chunks(GROUPS_PER_ACTION) {
        let Some(priority) = free.next() else { break };
        let id = warm_up_id(port, priority);
        let key = ctx.stack.key(ResourceKind::ListenerRule, &id);
        let tags = ctx.stack.id.tracking_tags(&ctx.stack.cluster_name, &id);
        let is_sticky = chunk.len() > 1 && chunk.iter().any(|group| is_sticky(ctx, group));
        let action = RuleAction::Forward(Forward {
            target_groups: chunk
                .iter()
                .map(|group| WeightedTargetGroup {
                    target_group: (*group).clone(),
                    weight: Some(1),
                })
                .collect(),
            // Required where a group is sticky; no client ever sees it.
            stickiness: is_sticky.then_some(Stickiness {
                enabled: true,
                duration_seconds: Some(1),
            }),
        });
        let names: Vec<String> = chunk.iter().map(|group| group_name(ctx, group)).collect();
        let step = ctx
            .draft
            .step(Action::Create, key.clone(), warm_up_name(listener, port))
            .reason("keeps target groups in use while traffic moves between them; no request matches it")
            .causes(&listener.causes)
            .changes(vec![set("targetGroups", names.join(", "))])
            .provides()
            .call(AwsCall::CreateRule {
                listener: arn.clone().into(),
                priority,
                conditions: warm_up_conditions(),
                action,
                transforms: Vec::new(),
                tags,
            });
        let groups = chunk.iter().map(|group| (*group).clone()).collect();
        parked.push((
            Parking {
                port,
                rule: Ref::Of(key),
                priority,
                groups,
            },
            step,
        ));
    }
    parked
}

/// Deletes a rule that kept groups in use.
pub(crate) fn unpark(
    ctx: &mut Context<'_>,
    parking: &Parking,
    listener: &Listener,
    after: impl IntoIterator<Item = StepId>,
) {
    let key = ctx.stack.key(
        ResourceKind::ListenerRule,
        &warm_up_id(parking.port, parking.priority),
    );
    let step = ctx
        .draft
        .step(Action::Delete, key, warm_up_name(listener, parking.port))
        .reason("traffic has moved")
        .causes(&listener.causes)
        .after(after)
        .call(AwsCall::DeleteRule {
            rule: parking.rule.clone(),
        });
    for group in &parking.groups {
        if let Ref::Known(arn) = group {
            ctx.detached.entry(arn.clone()).or_default().insert(step);
        }
    }
}

fn warm_up_name(listener: &Listener, port: Port) -> String {
    format!("{}:{port} (warm-up)", listener.protocol)
}

/// Deregisters the targets of an old group and waits until they are done.
pub(crate) fn drain(ctx: &mut Context<'_>, old: &ObservedTargetGroup) -> StepId {
    let after: Vec<StepId> = ctx
        .detached
        .get(&old.arn)
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let id = ctx.resource_id(&old.tags);
    let stack = ctx.stack.id.clone();
    let group = Group {
        stack: &stack,
        id: &id,
        name: &old.name,
        arn: old.arn.clone().into(),
        desired: None,
        causes: &[],
    };
    let targets: Vec<&Target> = old
        .targets
        .iter()
        .filter(|t| t.state != TargetState::Draining)
        .map(|t| &t.target)
        .collect();
    let reason = "traffic has moved to another group";
    let deregistered = deregister(&mut ctx.draft, &group, &targets, reason, &after);
    let delay = old
        .attributes
        .get("deregistration_delay.timeout_seconds")
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(DEREGISTRATION_DELAY_DEFAULT_SECONDS);
    ctx.draft
        .step(Action::Wait, group.key(), &old.name)
        .reason("requests that are under way may finish")
        .after(after)
        .after(deregistered)
        .wait(Wait::TargetsDrained {
            target_group: old.arn.clone().into(),
            timeout_seconds: delay.saturating_add(DRAINED_MARGIN_SECONDS),
        })
}

/// The desired group that a reference means.
fn desired_id(ctx: &Context<'_>, group: &Ref<TargetGroupArn>) -> Option<ResourceId> {
    match group {
        Ref::Of(key) => Some(key.id.clone()),
        Ref::Known(arn) => ctx
            .pairing
            .groups
            .iter()
            .find(|(_, observed)| observed.is_some_and(|observed| observed.arn == *arn))
            .map(|(id, _)| (*id).clone()),
    }
}

/// AWS name of a group, as it is or as it will be.
pub(crate) fn group_name(ctx: &Context<'_>, group: &Ref<TargetGroupArn>) -> String {
    let desired = desired_id(ctx, group).and_then(|id| ctx.group_names.get(&id).cloned());
    desired.unwrap_or_else(|| match group {
        Ref::Known(arn) => ctx
            .observed_group(arn)
            .map_or_else(|| arn.to_string(), |group| group.name.clone()),
        Ref::Of(key) => key.id.to_string(),
    })
}

/// Whether targets of a group are sticky, as it is or as it will be.
pub(crate) fn is_sticky(ctx: &Context<'_>, group: &Ref<TargetGroupArn>) -> bool {
    let enabled = |attributes: &elbow_model::Attributes| {
        attributes
            .get("stickiness.enabled")
            .map(|value| value == "true")
    };
    let desired = desired_id(ctx, group)
        .and_then(|id| ctx.stack.target_groups.get(&id))
        .and_then(|desired| enabled(&desired.attributes));
    let observed = group
        .known()
        .and_then(|arn| ctx.observed_group(arn))
        .and_then(|observed| enabled(&observed.attributes));
    desired.or(observed).unwrap_or(false)
}

/// How the default action of an NLB's listener changes, call by call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct WeightShift {
    /// Puts new groups in use, without traffic.
    pub(crate) attach: Option<RuleAction>,
    /// Moves the traffic. Old groups stay in use.
    pub(crate) switch: Option<RuleAction>,
    /// Takes old groups out of use.
    pub(crate) finish: Option<RuleAction>,
    /// Groups that take over traffic.
    pub(crate) moving: BTreeSet<Ref<TargetGroupArn>>,
    /// Groups that `attach` puts in use.
    pub(crate) attached: BTreeSet<Ref<TargetGroupArn>>,
}

/// Finds the calls that lead from one default action to another. `combinable`: whether groups of both may
/// stand in one action.
pub(crate) fn shift_weights(
    ctx: &Context<'_>,
    old: Option<&RuleAction>,
    new: &RuleAction,
    combinable: bool,
) -> WeightShift {
    let direct = WeightShift {
        switch: Some(new.clone()),
        ..WeightShift::default()
    };
    let (Some(old), RuleAction::Forward(forward)) = (old, new) else {
        return direct;
    };
    let had = receivers(old);
    let moving: BTreeSet<Ref<TargetGroupArn>> = if serves(ctx, old) {
        receivers(new)
            .into_iter()
            .filter(|group| !had.contains(group))
            .cloned()
            .collect()
    } else {
        BTreeSet::new()
    };
    let leaving = draining(ctx, &[old]);
    let all: BTreeSet<&Ref<TargetGroupArn>> = groups(old)
        .iter()
        .chain(groups(new))
        .map(|group| &group.target_group)
        .collect();
    let sticky = all.len() > 1
        && all.iter().any(|group| is_sticky(ctx, group))
        && !forward.stickiness.is_some_and(|s| s.enabled);
    if !combinable || sticky || all.len() > GROUPS_PER_ACTION {
        return WeightShift { moving, ..direct };
    }

    let present: BTreeSet<&Ref<TargetGroupArn>> = groups(old)
        .iter()
        .map(|group| &group.target_group)
        .collect();
    let attached: BTreeSet<Ref<TargetGroupArn>> = moving
        .iter()
        .filter(|group| readiness(ctx, group) == Readiness::Unused && !present.contains(group))
        .cloned()
        .collect();
    let with = |base: &[WeightedTargetGroup],
                idle: &mut dyn Iterator<Item = Ref<TargetGroupArn>>| {
        let mut target_groups: Vec<WeightedTargetGroup> = base.to_vec();
        for group in &mut target_groups {
            group.weight.get_or_insert(1);
        }
        target_groups.extend(idle.map(|target_group| WeightedTargetGroup {
            target_group,
            weight: Some(0),
        }));
        RuleAction::Forward(Forward {
            target_groups,
            stickiness: forward.stickiness,
        })
    };
    let attach = (!attached.is_empty()).then(|| with(groups(old), &mut attached.iter().cloned()));
    if leaving.is_empty() {
        return WeightShift {
            attach,
            moving,
            attached,
            ..direct
        };
    }
    let idle: Vec<Ref<TargetGroupArn>> = leaving.keys().cloned().map(Ref::Known).collect();
    let shifted = with(groups(new), &mut idle.into_iter());
    let is_shifted = crate::compare::Answer::of(old, &[]).without_stickiness()
        == crate::compare::Answer::of(&shifted, &[]).without_stickiness();
    WeightShift {
        attach,
        switch: (!is_shifted).then_some(shifted),
        finish: Some(new.clone()),
        moving,
        attached,
    }
}
