//! Execution with scripted answers.

use elbow_model::aws_call::{LoadBalancerDescription, Page};
use elbow_model::{ResourceId, ResourceKind, StackId};
use elbow_plan::Action;

use super::*;

fn key(id: &str) -> ResourceKey {
    ResourceKey {
        stack: StackId::CLUSTER,
        kind: ResourceKind::TargetGroup,
        id: ResourceId::new(id),
    }
}

fn step(id: u32, kind: StepKind, after: &[u32]) -> Step {
    Step {
        id: StepId(id),
        stack: StackId::CLUSTER,
        action: Action::Update,
        resource: key(&format!("group-{id}")),
        name: String::new(),
        changes: Vec::new(),
        causes: vec![Cause {
            kind: "HTTPRoute".to_owned(),
            namespace: "app".to_owned(),
            name: format!("route-{id}"),
        }],
        reason: String::new(),
        hazards: Vec::new(),
        kind,
        provides: None,
        after: after.iter().map(|id| StepId(*id)).collect(),
        held: None,
    }
}

fn delete(arn: &str) -> StepKind {
    StepKind::Call(AwsCall::DeleteTargetGroup {
        target_group: TargetGroupArn::new(arn).into(),
    })
}

fn modify(arn: &str) -> StepKind {
    StepKind::Call(AwsCall::ModifyTargetGroupAttributes {
        target_group: TargetGroupArn::new(arn).into(),
        attributes: elbow_model::Attributes::new(),
    })
}

fn execution(steps: Vec<Step>) -> Execution {
    let plan = Plan {
        steps,
        unowned: Vec::new(),
    };
    Execution::new(plan, Provided::new(), Backoff::default(), Polls::default())
}

fn error(class: ErrorClass) -> AwsError {
    AwsError::new(class, format!("{class:?}"), "")
}

/// Runs to the end; answers with the calls, each with its time.
fn run(
    execution: &mut Execution,
    answer: &mut dyn FnMut(Timestamp, &AwsCall) -> Result<AwsAnswer, AwsError>,
) -> Vec<(u64, AwsCall)> {
    let mut now = Timestamp::default();
    let mut calls = Vec::new();
    loop {
        assert!(calls.len() < 1000, "it never ends");
        match execution.next(now) {
            Next::Call(call) => {
                let result = answer(now, &call);
                calls.push((now.as_millis(), *call.clone()));
                assert_eq!(execution.next(now), Next::Answer, "one call at a time");
                execution.answered(now, &call, &result);
            }
            Next::At(at) => now = at,
            Next::Answer => panic!("no call is out"),
            Next::Finished => return calls,
        }
    }
}

fn names(states: &Execution) -> Vec<&'static str> {
    let name = |state: &StepState| match state {
        StepState::Pending => "pending",
        StepState::Running => "running",
        StepState::Succeeded => "succeeded",
        StepState::Failed { .. } => "failed",
        StepState::Skipped { .. } => "skipped",
        StepState::Held => "held",
        StepState::Abandoned => "abandoned",
    };
    states.steps().map(|(_, state)| name(state)).collect()
}

#[test]
fn a_failure_holds_up_what_depends_on_it_and_nothing_else() {
    let mut held = step(4, modify("d"), &[]);
    held.held = Some(elbow_plan::Held::DryRun);
    let mut execution = execution(vec![
        step(1, modify("a"), &[]),
        step(2, modify("b"), &[1]),
        step(3, modify("c"), &[]),
        held,
        step(5, modify("e"), &[2]),
        step(6, modify("f"), &[3]),
    ]);
    run(&mut execution, &mut |_, call| match call {
        AwsCall::ModifyTargetGroupAttributes { target_group, .. }
            if target_group.to_string() == "a" =>
        {
            Err(error(ErrorClass::Quota))
        }
        _ => Ok(AwsAnswer::Done),
    });
    assert_eq!(
        names(&execution),
        [
            "failed",
            "skipped",
            "succeeded",
            "held",
            "skipped",
            "succeeded"
        ]
    );
    let outcome = execution.outcome();
    assert!(!outcome.is_complete());
    assert!(
        !outcome.must_observe,
        "a quota says nothing about what is there"
    );
    assert_eq!(outcome.retry_class(), Some(ErrorClass::Quota));
    assert_eq!(outcome.failures[0].causes[0].name, "route-1");
    assert_eq!(outcome.failures[0].operation, "ModifyTargetGroupAttributes");
}

#[test]
fn each_class_of_error_has_its_consequence() {
    // The step, the class, whether it succeeds in the end, and whether to observe again.
    let rows = [
        ("denied", modify("a"), ErrorClass::Denied, false, false),
        ("invalid", modify("a"), ErrorClass::Invalid, false, true),
        ("conflict", modify("a"), ErrorClass::Conflict, false, true),
        ("not found", modify("a"), ErrorClass::NotFound, false, true),
        ("lost", modify("a"), ErrorClass::Transient, false, true),
        (
            "gone already",
            delete("a"),
            ErrorClass::NotFound,
            true,
            false,
        ),
        (
            "in use for ever",
            delete("a"),
            ErrorClass::Conflict,
            false,
            true,
        ),
        (
            "throttled for ever",
            modify("a"),
            ErrorClass::Throttled,
            false,
            false,
        ),
    ];
    for (name, kind, class, succeeds, must_observe) in rows {
        let mut execution = execution(vec![step(1, kind, &[])]);
        run(&mut execution, &mut |_, _| Err(error(class)));
        let outcome = execution.outcome();
        assert_eq!(outcome.is_complete(), succeeds, "{name}");
        assert_eq!(outcome.must_observe, must_observe, "{name}");
    }
}

#[test]
fn a_throttled_call_is_repeated_as_it_is_later_and_later() {
    let mut execution = execution(vec![step(1, modify("a"), &[])]);
    let mut tries = 0;
    let calls = run(&mut execution, &mut |_, _| {
        tries += 1;
        if tries < 4 {
            Err(error(ErrorClass::Throttled))
        } else {
            Ok(AwsAnswer::Done)
        }
    });
    assert_eq!(calls.len(), 4);
    assert!(calls.windows(2).all(|pair| pair[0].1 == pair[1].1));
    let waits: Vec<u64> = calls.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    assert!(execution.outcome().is_complete());
}

#[test]
fn a_group_that_is_let_go_of_late_is_deleted_late() {
    let mut execution = execution(vec![step(1, delete("a"), &[])]);
    let calls = run(&mut execution, &mut |now, _| {
        if now.as_millis() < 7_000 {
            Err(error(ErrorClass::Conflict))
        } else {
            Ok(AwsAnswer::Done)
        }
    });
    let times: Vec<u64> = calls.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 2_000, 4_000, 6_000, 8_000]);
    assert!(execution.outcome().is_complete());
}

fn wait_active(timeout_seconds: u32) -> StepKind {
    StepKind::Wait(Wait::LoadBalancerActive {
        load_balancer: LoadBalancerArn::new("lb").into(),
        timeout_seconds,
    })
}

fn in_state(state: LoadBalancerState) -> AwsAnswer {
    AwsAnswer::LoadBalancers(Page::last(vec![LoadBalancerDescription {
        arn: LoadBalancerArn::new("lb"),
        name: String::new(),
        dns_name: String::new(),
        lb_type: None,
        scheme: None,
        state,
        vpc_id: None,
        ip_address_type: None,
        subnets: BTreeSet::new(),
        security_groups: BTreeSet::new(),
        enforce_security_group_inbound_rules_on_private_link_traffic: None,
    }]))
}

#[test]
fn a_wait_looks_until_it_is_reached_or_too_long() {
    for (ready_at, succeeds) in [(0, true), (9_000, true), (u64::MAX, false)] {
        let mut execution = execution(vec![
            step(1, wait_active(10), &[]),
            step(2, modify("a"), &[1]),
        ]);
        let calls = run(&mut execution, &mut |now, call| {
            let AwsCall::DescribeLoadBalancers { .. } = call else {
                return Ok(AwsAnswer::Done);
            };
            Ok(in_state(if now.as_millis() >= ready_at {
                LoadBalancerState::Active
            } else {
                LoadBalancerState::Provisioning
            }))
        });
        assert_eq!(execution.outcome().is_complete(), succeeds, "{ready_at}");
        assert!(calls.last().unwrap().0 <= 12_500);
    }
}

#[test]
fn a_wait_survives_looks_that_get_lost() {
    let mut execution = execution(vec![step(1, wait_active(60), &[])]);
    let mut looks = 0;
    run(&mut execution, &mut |_, _| {
        looks += 1;
        if looks <= 2 {
            return Err(error(ErrorClass::Transient));
        }
        Ok(in_state(LoadBalancerState::Active))
    });
    assert_eq!(names(&execution), ["succeeded"]);
    assert!(!execution.outcome().must_observe, "a look changes nothing");

    let mut execution = self::execution(vec![step(1, wait_active(60), &[])]);
    run(&mut execution, &mut |_, _| {
        Err(error(ErrorClass::Transient))
    });
    assert_eq!(names(&execution), ["failed"]);
}

#[test]
fn a_wait_can_be_given_up() {
    let mut execution = execution(vec![
        step(1, wait_active(600), &[]),
        step(2, modify("a"), &[]),
    ]);
    let now = Timestamp::default();
    let Next::Call(call) = execution.next(now) else {
        panic!("it looks first")
    };
    assert!(!execution.is_waiting(), "its look is out");
    execution.answered(now, &call, &Ok(in_state(LoadBalancerState::Provisioning)));
    assert!(execution.is_waiting());
    execution.abandon();
    assert_eq!(execution.next(now), Next::Finished);
    assert_eq!(names(&execution), ["abandoned", "abandoned"]);
    assert!(execution.outcome().is_abandoned);
}

#[test]
fn ids_are_passed_on_to_later_steps() {
    let mut create = step(
        1,
        StepKind::Call(AwsCall::CreateTargetGroup {
            name: "n".to_owned(),
            target_type: elbow_model::stack::TargetType::Ip,
            protocol: elbow_model::stack::Protocol::Http,
            protocol_version: None,
            port: elbow_model::Port::new(80).unwrap(),
            ip_address_type: elbow_model::stack::TargetFamily::Ipv4,
            vpc_id: elbow_model::VpcId::new("vpc-1"),
            health_check: elbow_model::stack::HealthCheck {
                port: "traffic-port".to_owned(),
                protocol: elbow_model::stack::Protocol::Http,
                path: None,
                matcher: None,
                interval_seconds: 15,
                timeout_seconds: 5,
                healthy_threshold_count: 2,
                unhealthy_threshold_count: 2,
            },
            tags: elbow_model::Tags::new(),
        }),
        &[],
    );
    create.provides = Some(key("new"));
    let use_of = |id: &str| {
        StepKind::Call(AwsCall::ModifyTargetGroupAttributes {
            target_group: Ref::Of(key(id)),
            attributes: elbow_model::Attributes::new(),
        })
    };
    let mut execution = execution(vec![
        create,
        step(2, use_of("new"), &[1]),
        step(3, use_of("none"), &[]),
    ]);
    let calls = run(&mut execution, &mut |_, call| match call {
        AwsCall::CreateTargetGroup { .. } => Ok(AwsAnswer::TargetGroupCreated(
            TargetGroupArn::new("arn-of-new"),
        )),
        _ => Ok(AwsAnswer::Done),
    });
    let AwsCall::ModifyTargetGroupAttributes { target_group, .. } = &calls[1].1 else {
        panic!("{:?}", calls[1])
    };
    assert_eq!(
        target_group.known(),
        Some(&TargetGroupArn::new("arn-of-new"))
    );
    assert_eq!(names(&execution), ["succeeded", "succeeded", "skipped"]);
}
