//! Targets of groups that are not ours, and of groups that several clusters share.

use std::num::NonZeroUsize;

use elbow_model::observed::{LeftTargetGroup, ObservedTarget, ObservedTargetGroup, TargetState};
use elbow_model::stack::{Sharing, Target};
use elbow_model::{
    AwsCall, Cause, Observed, ObservedStack, OwnTargets, ResourceId, Stack, StackId, StackKind,
    TargetGroupArn,
};
use elbow_plan::plan::StepKind;
use elbow_plan::{Plan, Policy, lint, plan_left_targets, plan_targets};

use crate::build;

const ARN: &str = "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/1";

fn id() -> StackId {
    StackId::new(StackKind::Binding, "app", "web")
}

fn targets(of: &str) -> Vec<Target> {
    of.split_whitespace().map(build::target).collect()
}

/// A binding's Stack that wants these targets.
fn wanted(of: &str, sharing: Sharing) -> Stack {
    let mut gateway = build::alb();
    build::add_group(&mut gateway, "web");
    let mut group = build::group(&mut gateway, "web").clone();
    group.targets = targets(of);
    group.sharing = sharing;
    group.tags.clear();
    let mut stack = Stack::empty(id(), "demo");
    stack.target_groups.insert(ResourceId::new(ARN), group);
    stack
}

/// Its target group with these targets; one that begins with `-` is draining.
fn observed(of: &str, stack: &Stack, own: Option<&str>) -> ObservedStack {
    let group = stack.target_groups.values().next().unwrap();
    let targets = of.split_whitespace().map(|text| {
        let draining = text.strip_prefix('-');
        ObservedTarget {
            target: build::target(draining.unwrap_or(text)),
            state: if draining.is_some() {
                TargetState::Draining
            } else {
                TargetState::Healthy
            },
            reason: None,
            description: None,
        }
    });
    let own = own.map(|own| self::targets(own).iter().collect::<OwnTargets>());
    ObservedStack {
        target_groups: vec![ObservedTargetGroup {
            arn: TargetGroupArn::new(ARN),
            name: group.name.clone(),
            target_type: group.target_type,
            protocol: group.protocol,
            protocol_version: group.protocol_version,
            port: group.port,
            ip_address_type: group.ip_address_type,
            vpc_id: group.vpc_id.clone(),
            health_check: group.health_check.clone(),
            attributes: group.attributes.clone(),
            tags: group.tags.clone(),
            load_balancers: std::collections::BTreeSet::new(),
            targets: targets.collect(),
            own,
        }],
        ..ObservedStack::default()
    }
}

/// Steps as `+a +b -c`, and what the lint finds.
fn steps(stack: &Stack, there: &ObservedStack) -> String {
    let plan = plan_targets(stack, there, &Policy::default());
    checked(&plan, &stack.id, there)
}

fn checked(plan: &Plan, stack: &StackId, there: &ObservedStack) -> String {
    let mut all = Observed::default();
    all.stacks.insert(stack.clone(), there.clone());
    assert_eq!(lint(plan, &all, "demo"), Vec::new());
    let text = |sign: char, targets: &[Target]| -> Vec<String> {
        targets.iter().map(|t| format!("{sign}{}", t.id)).collect()
    };
    let words = plan.steps.iter().flat_map(|step| match &step.kind {
        StepKind::Call(AwsCall::RegisterTargets { targets, .. }) => text('+', targets),
        StepKind::Call(AwsCall::DeregisterTargets { targets, .. }) => text('-', targets),
        other => unreachable!("{other:?}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn only_own_targets_go_from_a_shared_group() {
    let shared = || Sharing::Clusters {
        namespace: "app".to_owned(),
        binding: "web".to_owned(),
    };
    let exclusive = || Sharing::Exclusive;
    let (a, b, c) = ("10.0.0.1", "10.0.0.2", "10.0.0.3");
    let rows = [
        (
            "alone",
            exclusive(),
            a.to_owned(),
            format!("{b} {c}"),
            None,
            "+10.0.0.1 -10.0.0.2 -10.0.0.3",
        ),
        (
            "shared, nothing known",
            shared(),
            a.to_owned(),
            format!("{b} {c}"),
            None,
            "+10.0.0.1",
        ),
        (
            "shared, one is ours",
            shared(),
            a.to_owned(),
            format!("{b} {c}"),
            Some(format!("{a} {b}")),
            "+10.0.0.1 -10.0.0.2",
        ),
        (
            "shared, all is there",
            shared(),
            a.to_owned(),
            format!("{a} {c}"),
            Some(a.to_owned()),
            "",
        ),
        (
            "draining is gone",
            exclusive(),
            a.to_owned(),
            format!("-{a} -{b}"),
            None,
            "+10.0.0.1",
        ),
        (
            "draining is gone, shared",
            shared(),
            String::new(),
            format!("-{a} {b}"),
            Some(format!("{a} {b}")),
            "-10.0.0.2",
        ),
    ];
    for (name, sharing, want, there, own, expected) in rows {
        let stack = wanted(&want, sharing);
        let there = observed(&there, &stack, own.as_deref());
        assert_eq!(steps(&stack, &there), expected, "{name}");
    }
}

/// AWS does not change the server id of a target that is registered.
#[test]
fn a_target_of_quic_goes_before_it_comes_with_another_server_id() {
    let with_id = |mut target: Target, id: &str| {
        target.quic_server_id = Some(id.to_owned());
        target
    };
    let rows = [
        ("0x01", ""),
        ("0x02", "-10.0.0.1 +10.0.0.1 +10.0.0.2 -10.0.0.3"),
    ];
    for (id, expected) in rows {
        let mut stack = wanted("10.0.0.1", Sharing::Exclusive);
        let mut there = observed("10.0.0.1", &stack, None);
        let registered = &mut there.target_groups[0].targets;
        registered[0].target = with_id(registered[0].target.clone(), "0x01");
        let group = stack.target_groups.values_mut().next().unwrap();
        group.targets[0] = with_id(group.targets[0].clone(), id);
        if !expected.is_empty() {
            group
                .targets
                .push(with_id(build::target("10.0.0.2"), "0x03"));
            let mut third = registered[0].clone();
            third.target = with_id(build::target("10.0.0.3"), "0x04");
            registered.push(third);
        }
        assert_eq!(steps(&stack, &there), expected, "{id}");
    }
}

#[test]
fn a_group_that_the_binding_does_not_name_is_not_touched() {
    let stack = wanted("10.0.0.1", Sharing::Exclusive);
    let mut there = observed("10.0.0.2", &stack, None);
    there.target_groups[0].arn = TargetGroupArn::new(format!("{ARN}2"));
    assert_eq!(steps(&stack, &there), "");
}

#[test]
fn the_lint_lets_a_binding_change_targets_of_its_group_alone() {
    let stack = wanted("10.0.0.1", Sharing::Exclusive);
    let there = observed("10.0.0.2", &stack, None);
    let plan = plan_targets(&stack, &there, &Policy::default());
    let nothing = Observed::default();
    assert_eq!(lint(&plan, &nothing, "demo").len(), 2, "it names no group");

    let mut more = plan.clone();
    more.steps.truncate(1);
    more.steps[0].kind = StepKind::Call(AwsCall::DeleteTargetGroup {
        target_group: TargetGroupArn::new(ARN).into(),
    });
    let mut all = Observed::default();
    all.stacks.insert(id(), there);
    let found = lint(&more, &all, "demo");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0].to_string(),
        "step 1: does more than change targets: DeleteTargetGroup"
    );
}

/// Where there is no room for the new ones beside the old, the old ones go first.
#[test]
fn no_more_targets_are_registered_than_a_group_may_have() {
    let rows = [
        ("10.0.0.1 10.0.0.2 10.0.0.3", "", "+10.0.0.1 +10.0.0.2"),
        ("10.0.0.1 10.0.0.2 10.0.0.3", "10.0.0.3", "+10.0.0.1"),
        (
            "10.0.0.1 10.0.0.2",
            "10.0.0.3",
            "+10.0.0.1 -10.0.0.3 +10.0.0.2",
        ),
        (
            "10.0.0.1",
            "-10.0.0.2 10.0.0.3 10.0.0.4",
            "-10.0.0.3 -10.0.0.4 +10.0.0.1",
        ),
        ("10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2", ""),
    ];
    let policy = Policy {
        targets_per_group_max: NonZeroUsize::new(2),
        ..Policy::default()
    };
    for (want, there, expected) in rows {
        let stack = wanted(want, Sharing::Exclusive);
        let there = observed(there, &stack, None);
        let plan = plan_targets(&stack, &there, &policy);
        assert_eq!(checked(&plan, &stack.id, &there), expected, "{want}");
    }
}

/// Of a group that a binding has left, nothing is known but its targets.
#[test]
fn what_a_binding_has_put_into_a_group_that_it_left_goes() {
    let shared = Sharing::Clusters {
        namespace: "app".to_owned(),
        binding: "web".to_owned(),
    };
    let rows = [
        ("alone", Sharing::Exclusive, None, "-10.0.0.1 -10.0.0.2"),
        (
            "shared, one of them is its own",
            shared.clone(),
            Some("10.0.0.2"),
            "-10.0.0.2",
        ),
        ("shared, nothing known", shared, None, ""),
    ];
    for (name, sharing, own, expected) in rows {
        let there = observed(
            "10.0.0.1 10.0.0.2 -10.0.0.3",
            &wanted("", Sharing::Exclusive),
            own,
        );
        let group = there.target_groups[0].clone();
        let left = LeftTargetGroup {
            arn: group.arn,
            name: group.name,
            sharing,
            targets: group.targets,
            own: group.own,
        };
        let there = ObservedStack {
            left_groups: vec![left],
            ..ObservedStack::default()
        };
        let cause = Cause {
            kind: "TargetGroupBinding".to_owned(),
            namespace: "app".to_owned(),
            name: "web".to_owned(),
        };
        let plan = plan_left_targets(&id(), &there, &[cause], &Policy::default());
        assert_eq!(checked(&plan, &id(), &there), expected, "{name}");
    }
}
