//! Faults: throttles, lost answers, refusals.

use std::collections::BTreeMap;

use elbow_model::{AwsError, ErrorClass};
use elbow_reconcile::{Effect, RoundResult, Unit};

use crate::account::{ALB, Account, NLB, Run, planned_from_scratch, settings, snapshot};

fn error(class: ErrorClass, code: &str) -> AwsError {
    AwsError::new(class, code, "injected")
}

#[test]
fn every_call_throttled_at_first_is_repeated_and_all_converges() {
    let mut account = Account::new();
    let objects = snapshot(&[ALB, NLB]);
    let mut run = Run::start(&account, objects.clone(), settings());
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    run.settle_with(&mut |now, call| {
        let tries = seen.entry(format!("{call:?}")).or_default();
        *tries += 1;
        if *tries <= 2 {
            return Err(error(ErrorClass::Throttled, "Throttling"));
        }
        account.answer(now, call)
    });
    run.assert_converged();
    assert_eq!(
        planned_from_scratch(&mut account, &objects),
        Vec::<String>::new()
    );
}

/// An answer that gets lost after the work was done, at each change in turn.
#[test]
fn a_lost_answer_anywhere_leaves_nothing_twice() {
    let objects = snapshot(&[ALB, NLB]);
    for lost in 0..40 {
        let mut account = Account::new();
        let mut run = Run::start(&account, objects.clone(), settings());
        let mut changes = 0;
        run.settle_with(&mut |now, call| {
            let answer = account.answer(now, call);
            if call.is_mutating() {
                changes += 1;
                if changes - 1 == lost {
                    return Err(error(ErrorClass::Transient, "RequestTimeout"));
                }
            }
            answer
        });
        run.assert_converged();
        assert_eq!(
            planned_from_scratch(&mut account, &objects),
            Vec::<String>::new(),
            "{lost}"
        );
        for stack in run.reconciler.known().stacks.values() {
            assert!(stack.load_balancers.len() <= 1);
            assert!(stack.security_groups.len() <= 1);
        }
        if changes <= lost {
            return;
        }
    }
}

/// What AWS refuses for a while is asked for every two seconds, however often objects are edited meanwhile, and
/// what the edits ask for does not wait for it.
#[test]
fn edits_do_not_hurry_what_aws_is_not_ready_for() {
    let without_route = ALB.replace("parentRefs: [{name: web}]", "parentRefs: [{name: other}]");
    let edited = |seconds: u32| {
        let (old, new) = ("value: \"60\"", format!("value: \"{seconds}\""));
        without_route.replace(old, &new)
    };
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    run.edit(&[&edited(60)]);
    let (mut tries, mut told, mut changes) = (Vec::new(), 0, Vec::new());
    while tries.len() < 5 {
        let goes_on = run.turn(&mut |now, call| {
            match call.operation() {
                "DeleteTargetGroup" => {
                    tries.push(now.as_millis());
                    if tries.len() < 5 {
                        return Err(error(ErrorClass::Conflict, "ResourceInUse"));
                    }
                }
                "ModifyLoadBalancerAttributes" => changes.push(now.as_millis()),
                _ => {}
            }
            account.answer(now, call)
        });
        assert!(goes_on, "{:?}", run.results());
        if (1..4).contains(&tries.len()) && told < tries.len() {
            told = tries.len();
            run.edit(&[&edited(60 + u32::try_from(told).unwrap())]);
        }
    }
    run.settle(&mut account);
    run.assert_converged();
    let waits: Vec<u64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits, [2_000; 4]);
    assert_eq!(changes, tries[..3], "each edit at once");
}

/// Somebody's own rule has the priority that is needed: that passes by itself at times, and else has to be told.
#[test]
fn a_conflict_that_stays_is_told() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    let mut tries = 0;
    let mut told = Vec::new();
    while tries < 16 {
        let seen = tries;
        let goes_on = run.turn(&mut |now, call| {
            if call.operation() == "CreateRule" {
                tries += 1;
                return Err(error(ErrorClass::Conflict, "PriorityInUse"));
            }
            account.answer(now, call)
        });
        assert!(goes_on, "{:?}", run.results());
        if tries > seen {
            let report = run.effects.iter().rev().find_map(|effect| match effect {
                Effect::Report { report, .. } => Some(report),
                _ => None,
            });
            told.push(report.and_then(|report| report.failure()).is_some());
        }
    }
    let first = told.iter().position(|told| *told);
    // A rule on each of two listeners: told by the sixth round.
    assert_eq!(first, Some(12), "{told:?}");
    run.settle(&mut account);
    run.assert_converged();
}

#[test]
fn a_denied_action_is_charged_to_its_gateway_and_the_other_converges() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB, NLB]), settings());
    let mut denied = 0;
    while denied < 3 {
        let goes_on = run.turn(&mut |now, call| {
            if call.operation() == "CreateRule" {
                denied += 1;
                return Err(error(ErrorClass::Denied, "AccessDenied"));
            }
            account.answer(now, call)
        });
        assert!(goes_on);
    }
    let results = run.results();
    let of = |name: &str| &results[&Unit::Gateway(elbow_api::NamespacedName::new("app", name))];
    assert!(matches!(of("tcp"), RoundResult::Converged { .. }));
    let RoundResult::Incomplete { outcome } = of("web") else {
        panic!("{results:#?}")
    };
    let failure = &outcome.failures[0];
    assert_eq!(failure.operation, "CreateRule");
    assert!(
        failure.causes.iter().any(|cause| cause.kind == "HTTPRoute"),
        "{failure:?}"
    );
    run.settle(&mut account);
    run.assert_converged();
}

#[test]
fn without_the_tagging_api_all_is_found_all_the_same() {
    let mut account = Account::new();
    let objects = snapshot(&[ALB, NLB]);
    let mut run = Run::start(&account, objects.clone(), settings());
    run.settle(&mut account);
    let mut next = Run::start(&account, objects, settings());
    next.settle_with(&mut |now, call| {
        if call.operation() == "GetResources" {
            return Err(error(ErrorClass::Denied, "AccessDeniedException"));
        }
        account.answer(now, call)
    });
    next.assert_converged();
    assert_eq!(next.planned(), Vec::<String>::new());
}

#[test]
fn drift_is_found_and_mended() {
    let mut account = Account::new();
    let mut settings = settings();
    settings.drift_interval_ms = Some(1_800_000);
    let mut run = Run::start(&account, snapshot(&[ALB]), settings);
    run.settle(&mut account);
    let lb = run
        .reconciler
        .known()
        .stacks
        .values()
        .find_map(|s| s.load_balancers.first());
    let listener = lb.unwrap().listeners[0].arn.clone();
    let delete = elbow_model::AwsCall::DeleteListener {
        listener: listener.into(),
    };
    account.answer(run.now(), &delete).unwrap();
    account.take_operations();
    // The next moments at which anything happens are the looks for drift.
    for _ in 0..500 {
        assert!(run.turn(&mut |now, call| account.answer(now, call)));
        if account
            .calls
            .iter()
            .any(|call| call.operation() == "CreateListener")
        {
            break;
        }
    }
    run.settle(&mut account);
    run.assert_converged();
    assert!(account.take_changes().contains(&"CreateListener"));
}
