//! One Stack in the place of another: a Gateway that has changed its class, from ALB to NLB or back.
//!
//! In: what is wanted, and Stacks of which nothing is wanted any more. Out: one plan. What always holds:
//! the load balancer that goes stays until the new one serves, and names that it holds are not asked for
//! a second time: within a region AWS gives a name to one load balancer, of whatever type, and within a
//! VPC to one security group.

use std::collections::BTreeSet;

use elbow_model::{AwsCall, ObservedStack, Stack};

use crate::names::{free_name, is_generated};
use crate::plan::{Plan, Step, StepId, StepKind};
use crate::stack::{Input, Successor, plan_stack, plan_successor};

/// Plans a Stack that takes the place of others. Each of `old` is [`Stack::empty`] with what is there of it.
///
/// # Caveats
/// Where the name of the load balancer was chosen by hand, and so cannot be another, the old one goes
/// first, as it does where one replaces another of the same Stack.
pub fn plan_switch(input: Input<'_>, old: &[(&Stack, &ObservedStack)]) -> Plan {
    let observed = || old.iter().map(|(_, observed)| observed);
    let balancers = observed().flat_map(|stack| &stack.load_balancers);
    let balancers: BTreeSet<String> = balancers.map(|lb| lb.name.clone()).collect();
    let groups = observed().flat_map(|stack| &stack.security_groups);
    let groups: BTreeSet<String> = groups.map(|group| group.name.clone()).collect();

    let mut desired = input.desired.clone();
    for group in desired.security_groups.values_mut() {
        group.name = free_name(&group.name, &groups);
    }
    let mut is_name_held = false;
    if let Some(lb) = &mut desired.load_balancer {
        let is_taken = balancers.contains(&lb.name);
        is_name_held =
            is_taken && !is_generated(&lb.name) && input.observed.load_balancers.is_empty();
        if is_taken && is_generated(&lb.name) {
            lb.name = free_name(&lb.name, &balancers);
        }
    }
    let wanted = Input {
        desired: &desired,
        ..input
    };
    let ends = old.iter().map(|(desired, observed)| {
        plan_stack(Input {
            desired,
            observed,
            ..input
        })
    });
    if is_name_held {
        let mut plan = Plan::default();
        ends.for_each(|end| plan.append(end));
        let deleted = steps_with(&plan.steps, deletes_balancer);
        let from = plan.steps.len();
        plan.append(plan_stack(wanted));
        let mut created = plan.steps.iter_mut().skip(from);
        if let Some(step) = created.find(|step| creates_balancer(step)) {
            add_after(step, &deleted);
        }
        return plan;
    }
    let Successor { mut plan, serving } = plan_successor(wanted);
    for end in ends {
        let from = plan.steps.len();
        plan.append(end);
        for step in plan.steps.iter_mut().skip(from) {
            if deletes_balancer(step) {
                add_after(step, &serving);
            }
        }
    }
    plan
}

fn steps_with(steps: &[Step], is: fn(&Step) -> bool) -> Vec<StepId> {
    let steps = steps.iter().filter(|step| is(step));
    steps.map(|step| step.id).collect()
}

fn deletes_balancer(step: &Step) -> bool {
    matches!(
        step.kind,
        StepKind::Call(AwsCall::DeleteLoadBalancer { .. })
    )
}

fn creates_balancer(step: &Step) -> bool {
    matches!(
        step.kind,
        StepKind::Call(AwsCall::CreateLoadBalancer { .. })
    )
}

fn add_after(step: &mut Step, ids: &[StepId]) {
    let mut after: BTreeSet<StepId> = step.after.iter().copied().collect();
    after.extend(ids);
    step.after = after.into_iter().collect();
}
