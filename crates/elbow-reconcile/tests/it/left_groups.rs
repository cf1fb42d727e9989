//! TargetGroupBindings that change the target group that they name: the new one gets the targets, the old one
//! loses them, also across a restart. And what a record of them spares at one.

use std::collections::BTreeMap;

use elbow_emulator::world::TargetGroupSpec;
use elbow_model::observed::TargetState;
use elbow_model::{AwsAnswer, AwsCall, AwsError, ErrorClass, StackId, StackKind, TargetGroupArn};
use elbow_reconcile::{Effect, Protection, Record, Settings};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::account::{ALB, Account, Run, settings, snapshot};
use crate::bindings::{SERVICE, edit_binding, endpoints, last_report, run_for, target};
use crate::table::records;

const ADDRESS: &str = "192.168.96.10";

/// An account with the target groups `one` and `two`, which are nobody's.
fn account() -> Account {
    let mut account = Account::new();
    add_group(&mut account, "one");
    add_group(&mut account, "two");
    account
}

fn add_group(account: &mut Account, name: &str) {
    let spec = TargetGroupSpec {
        arn: None,
        name: name.to_owned(),
        target_type: "ip".to_owned(),
        protocol: "HTTP".to_owned(),
        port: 80,
        vpc_id: "vpc-0123456789abcdef0".to_owned(),
        ip_address_type: "ipv4".to_owned(),
    };
    account.emulator.add_target_group(spec).unwrap();
}

fn arn(account: &mut Account, group: &str) -> TargetGroupArn {
    let call = AwsCall::DescribeTargetGroups {
        arns: Vec::new(),
        names: vec![group.to_owned()],
        marker: None,
    };
    let now = account.now;
    match account.answer(now, &call) {
        Ok(AwsAnswer::TargetGroups(page)) => page.items[0].arn.clone(),
        other => unreachable!("{other:?}"),
    }
}

/// Addresses that are in a group and not draining.
fn registered(account: &mut Account, group: &str) -> String {
    let (now, target_group) = (account.now, arn(account, group));
    let call = AwsCall::DescribeTargetHealth { target_group };
    let Ok(AwsAnswer::TargetHealth(targets)) = account.answer(now, &call) else {
        unreachable!("the group is there")
    };
    account.calls.truncate(account.calls.len() - 2);
    let there = targets.iter().filter(|t| t.state != TargetState::Draining);
    let ids: Vec<&str> = there.map(|t| t.target.id.as_str()).collect();
    ids.join(" ")
}

fn register_elsewhere(account: &mut Account, group: &str, address: &str) {
    let now = account.now;
    let call = AwsCall::RegisterTargets {
        target_group: arn(account, group).into(),
        targets: vec![target(address)],
    };
    account.answer(now, &call).unwrap();
    account.calls.clear();
}

fn binding(binding: &str, group: &str, more: &str) -> String {
    format!(
        "apiVersion: elbv2.k8s.aws/v1beta1\nkind: TargetGroupBinding\n\
         metadata: {{name: {binding}, namespace: app}}\n\
         spec: {{targetGroupName: {group}, serviceRef: {{name: web, port: http}}{more}}}"
    )
}

fn texts(bindings: &[String]) -> Vec<String> {
    let mut texts = vec![SERVICE.to_owned(), endpoints(ADDRESS)];
    texts.extend_from_slice(bindings);
    texts
}

fn start(
    account: &Account,
    bindings: &[String],
    settings: Settings,
    records: BTreeMap<StackId, Record>,
) -> Run {
    let texts = texts(bindings);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Run::start_with(account, snapshot(&texts), settings, records)
}

fn edit(run: &mut Run, bindings: &[String]) {
    let texts = texts(bindings);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    run.edit(&texts);
}

#[test]
fn targets_move_with_the_name_first_in_and_then_out() {
    let mut account = account();
    let mut run = start(
        &account,
        &[binding("web", "one", "")],
        settings(),
        BTreeMap::new(),
    );
    run.settle(&mut account);
    account.take_operations();
    edit(&mut run, &[binding("web", "two", "")]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(
        account.take_operations(),
        [
            "DescribeTargetGroups",
            "DescribeTargetHealth",
            "RegisterTargets",
            "DeregisterTargets"
        ]
    );
    assert_eq!(registered(&mut account, "one"), "");
    assert_eq!(registered(&mut account, "two"), ADDRESS);
    assert_eq!(last_report(&run).left.len(), 0);
    // The old group is nobody's again.
    register_elsewhere(&mut account, "one", "192.168.96.99");
    edit(&mut run, &[binding("web", "two", ", targetType: ip")]);
    run.settle(&mut account);
    assert_eq!(registered(&mut account, "one"), "192.168.96.99");
}

#[test]
fn the_old_group_keeps_its_targets_while_the_new_one_cannot_have_them() {
    let mut account = account();
    let mut run = start(
        &account,
        &[binding("web", "one", "")],
        settings(),
        BTreeMap::new(),
    );
    run.settle(&mut account);
    // A name that was mistyped.
    edit(&mut run, &[binding("web", "tow", "")]);
    run.settle(&mut account);
    assert_eq!(registered(&mut account, "one"), ADDRESS);
    assert!(last_report(&run).problem().is_some());
    // One into which nothing may be put.
    edit(&mut run, &[binding("web", "two", "")]);
    let until = run.now().plus_millis(100_000);
    while run.now() < until {
        run.turn(&mut |now, call| match call {
            AwsCall::RegisterTargets { .. } => {
                Err(AwsError::new(ErrorClass::Denied, "AccessDenied", "no"))
            }
            call => account.answer(now, call),
        });
    }
    assert_eq!(registered(&mut account, "one"), ADDRESS);
    assert_eq!(last_report(&run).left.iter().collect::<Vec<_>>(), ["one"]);
    run.settle(&mut account);
    assert_eq!(registered(&mut account, "one"), "");
    assert_eq!(registered(&mut account, "two"), ADDRESS);
}

#[test]
fn what_another_binding_or_a_gateway_fills_is_left_to_it() {
    let mut account = account();
    let mut run = start(
        &account,
        &[binding("web", "one", "")],
        settings(),
        BTreeMap::new(),
    );
    run.settle(&mut account);
    let heir = binding("heir", "one", "");
    edit(&mut run, &[binding("web", "two", ""), heir]);
    run.settle(&mut account);
    account.take_operations();
    assert_eq!(registered(&mut account, "one"), ADDRESS);
    assert_eq!(registered(&mut account, "two"), ADDRESS);
    let calls: Vec<_> = run
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Aws { call, .. } => Some(call.operation()),
            _ => None,
        })
        .collect();
    assert!(!calls.contains(&"DeregisterTargets"), "{calls:?}");
}

#[test]
fn a_group_that_is_gone_is_no_matter() {
    let mut account = account();
    let mut run = start(
        &account,
        &[binding("web", "one", "")],
        settings(),
        BTreeMap::new(),
    );
    run.settle(&mut account);
    let (now, target_group) = (account.now, arn(&mut account, "one").into());
    account
        .answer(now, &AwsCall::DeleteTargetGroup { target_group })
        .unwrap();
    // What is known of it may have been forgotten.
    let watching = Settings {
        drift_interval_ms: Some(60_000),
        ..settings()
    };
    let kept = records(&run.effects);
    let mut next = start(&account, &[binding("web", "two", "")], watching, kept);
    next.settle(&mut account);
    next.assert_converged();
    assert_eq!(registered(&mut account, "two"), ADDRESS);
    assert_eq!(last_report(&next).left.len(), 0);
}

#[test]
fn of_a_shared_group_that_is_left_only_own_targets_go() {
    let shared = ", multiClusterTargetGroup: true";
    let mut account = account();
    for group in ["one", "two"] {
        register_elsewhere(&mut account, group, "192.168.96.99");
    }
    let before = [binding("web", "one", shared)];
    let mut run = start(&account, &before, settings(), BTreeMap::new());
    run.settle(&mut account);
    edit(&mut run, &[binding("web", "two", shared)]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(registered(&mut account, "one"), "192.168.96.99");
    assert_eq!(
        registered(&mut account, "two"),
        format!("{ADDRESS} 192.168.96.99")
    );
    let kept = run.effects.iter().rev().find_map(|effect| match effect {
        Effect::KeepOwnTargets { targets, .. } => Some(targets.to_string()),
        _ => None,
    });
    assert_eq!(kept.unwrap(), format!("{ADDRESS}:8080"));
}

#[test]
fn a_binding_goes_after_the_targets_in_the_group_that_it_has_left() {
    let protecting = Settings {
        protection: Protection::Finalizer,
        ..settings()
    };
    let mut account = account();
    let before = [binding("web", "one", "")];
    let mut run = start(&account, &before, protecting, BTreeMap::new());
    run_for(&mut run, &mut account, 1_000);
    edit_binding(&mut run, |metadata| {
        metadata.finalizers = Some(vec!["elbv2.k8s.aws/resources".to_owned()]);
    });
    run.settle(&mut account);
    assert_eq!(registered(&mut account, "one"), ADDRESS);
    let misspelled = binding("web", "tow", "").replace(
        "namespace: app}",
        "namespace: app, finalizers: [elbv2.k8s.aws/resources]}",
    );
    edit(&mut run, &[misspelled]);
    run.settle(&mut account);
    run.effects.clear();
    edit_binding(&mut run, |metadata| {
        metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    });
    while !run.reconciler.is_quiet() {
        assert!(run.turn(&mut |now, call| account.answer(now, call)));
        for effect in run.effects.drain(..).collect::<Vec<_>>() {
            if let Effect::BindingReport { report, .. } = effect
                && report.is_released()
            {
                assert_eq!(registered(&mut account, "one"), "");
            }
        }
    }
    assert_eq!(registered(&mut account, "one"), "");
}

/// Stops an old machine after each of its effects, edits the binding while nobody looks, and begins anew.
#[test]
fn wherever_a_machine_dies_the_next_one_knows_the_group_that_was_left() {
    for moved_before_death in [false, true] {
        for lives_for in 0.. {
            let mut account = account();
            let first = [binding("web", "one", "")];
            let mut run = start(&account, &first, settings(), BTreeMap::new());
            let mut kept = BTreeMap::new();
            let mut has_lived = 0;
            let mut is_over = false;
            if moved_before_death {
                run.settle(&mut account);
                kept = records(&run.effects);
                run.effects.clear();
                edit(&mut run, &[binding("web", "two", "")]);
            }
            while has_lived < lives_for {
                has_lived += 1;
                if run.reconciler.is_quiet()
                    || !run.turn(&mut |now, call| account.answer(now, call))
                {
                    is_over = true;
                    break;
                }
            }
            for effect in &run.effects {
                if let Effect::Record { stack, record } = effect {
                    match record {
                        Some(record) => kept.insert(stack.clone(), record.clone()),
                        None => kept.remove(stack),
                    };
                }
            }
            let mut next = start(&account, &[binding("web", "two", "")], settings(), kept);
            next.settle(&mut account);
            assert_eq!(registered(&mut account, "one"), "", "after {lives_for}");
            assert_eq!(
                registered(&mut account, "two"),
                ADDRESS,
                "after {lives_for}"
            );
            if is_over {
                break;
            }
        }
    }
}

#[test]
fn a_restart_asks_nothing_about_bindings_that_records_vouch_for() {
    let mut account = account();
    let bindings = [binding("web", "one", ""), binding("other", "two", "")];
    let mut run = start(&account, &bindings, settings(), BTreeMap::new());
    run.settle(&mut account);
    run_for(&mut run, &mut account, 20_000);
    let kept = records(&run.effects);
    assert_eq!(kept.len(), 2);
    account.take_operations();
    let interval = 30 * 60_000;
    let watching = Settings {
        drift_interval_ms: Some(interval),
        ..settings()
    };
    let mut next = start(&account, &bindings, watching.clone(), kept.clone());
    next.settle(&mut account);
    next.assert_converged();
    let asked = |account: &mut Account| {
        let operations = account.take_operations();
        operations
            .iter()
            .filter(|o| **o == "DescribeTargetHealth")
            .count()
    };
    assert_eq!(asked(&mut account), 0);
    assert_eq!(last_report(&next).reconciled(), Some(1));
    assert_eq!(records(&next.effects).len(), 0, "nothing is written again");

    // What is believed is looked at within the interval.
    let now = account.now;
    let call = AwsCall::DeregisterTargets {
        target_group: arn(&mut account, "one").into(),
        targets: vec![target(ADDRESS)],
    };
    account.answer(now, &call).unwrap();
    account.take_operations();
    run_for(&mut next, &mut account, interval + interval / 4);
    assert_eq!(registered(&mut account, "one"), ADDRESS);
    account.take_operations();

    // Other endpoints than the record tells of are not believed.
    let objects = [
        SERVICE,
        &endpoints("192.168.96.11"),
        &bindings[0],
        &bindings[1],
    ];
    let mut moved = Run::start_with(&account, snapshot(&objects), watching, kept);
    moved.settle(&mut account);
    assert_eq!(asked(&mut account), 2);
    assert_eq!(registered(&mut account, "one"), "192.168.96.11");
}

#[test]
fn the_group_of_a_gateway_that_a_record_names_is_not_touched() {
    for has_records in [false, true] {
        let mut account = Account::new();
        add_group(&mut account, "two");
        let mut run = Run::start(&account, snapshot(&[ALB]), settings());
        run.settle(&mut account);
        let known = run.reconciler.known();
        let mut groups = known.stacks.values().flat_map(|stack| &stack.target_groups);
        let group = groups.next().unwrap().arn.clone();
        let mut kept = records(&run.effects);
        kept.retain(|_, _| has_records);
        let id = StackId::new(StackKind::Binding, "app", "other");
        kept.insert(id, Record::new(format!("1.-.groups.{group}")));
        account.take_operations();
        let other = binding("other", "two", "").replace("port: http", "port: 80");
        let mut next = Run::start_with(&account, snapshot(&[ALB, &other]), settings(), kept);
        next.settle(&mut account);
        next.assert_converged();
        let changes = account.take_changes();
        assert_eq!(changes, ["RegisterTargets"], "records: {has_records}");
        assert_eq!(registered(&mut account, "two"), ADDRESS);
    }
}
