//! Listeners that are there and stay: all of them change together, since traffic moves between target groups
//! that several of them use.
//!
//! In: pairs of a desired and an observed listener. Out: steps. What always holds: groups are put in use
//! and waited for before any listener changes, and drained after all of them did.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::ids::{Port, TargetGroupArn};
use elbow_model::observed::{ObservedListener, ObservedLoadBalancer, ObservedTargetGroup};
use elbow_model::rule::Action as RuleAction;
use elbow_model::stack::{Listener, LoadBalancerType, Protocol};
use elbow_model::{AwsCall, Ref};

use super::modify::change_one;
use super::{delete_old, identity};
use crate::compare::{Answer, answers_equal, describe_action, groups};
use crate::handover::{self, Handover, Parking, Readiness, WeightShift};
use crate::plan::{Action, StepId};
use crate::rules::{RuleCount, RulePlan};
use crate::stack::Context;

/// A listener that is there and stays.
pub(super) struct Existing<'a> {
    pub(super) port: Port,
    pub(super) desired: &'a Listener,
    pub(super) observed: &'a ObservedListener,
    pub(super) rules: RulePlan<'a>,
    pub(super) shift: Option<WeightShift>,
}

/// Changes all listeners that stay, and deletes those that do not before their groups drain.
pub(super) fn change<'a>(
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
    drains: &mut BTreeMap<TargetGroupArn, &'a ObservedTargetGroup>,
) -> (Vec<Parking>, BTreeMap<Ref<TargetGroupArn>, StepId>) {
    let reserved: usize = existing.iter().map(|l| l.rules.created()).sum();
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
        // The desired rules come first where the quota does not allow both.
        if wanted.is_empty() || needed + reserved > rules.room() {
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
            crate::draft::change("defaultAction", before, Some(describe_action(action)))
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
            mutual_authentication: None,
        })
}
