//! TargetGroupBindings that users write, and target groups that several clusters share.

use std::collections::BTreeMap;
use std::sync::Arc;

use elbow_api::{Kind, NamespacedName, Object, ObjectRef};
use elbow_emulator::world::TargetGroupSpec;
use elbow_model::stack::Target;
use elbow_model::{AwsAnswer, AwsCall, AwsError, ErrorClass, OwnTargets, Port, TargetGroupArn};
use elbow_reconcile::{
    BindingReport, Effect, Input, Protection, RoundResult, Settings, Timestamp, Unit,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::account::{ALB, Account, Run, planned_from_scratch, settings, snapshot};
use crate::table::Busy;

pub(crate) const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: app}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080, protocol: TCP}]}
";

pub(crate) fn endpoints(of: &str) -> String {
    let endpoints = of
        .split_whitespace()
        .map(|address| format!("\n- {{addresses: [{address}], conditions: {{ready: true}}}}"));
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: web-1, namespace: app, labels: {{kubernetes.io/service-name: web}}}}\n\
         addressType: IPv4\nports: [{{name: http, port: 8080, protocol: TCP}}]\nendpoints: {}",
        if of.is_empty() {
            "[]".to_owned()
        } else {
            endpoints.collect()
        }
    )
}

fn binding(more: &str) -> String {
    format!(
        "apiVersion: elbv2.k8s.aws/v1beta1\nkind: TargetGroupBinding\n\
         metadata: {{name: web, namespace: app}}\n\
         spec: {{targetGroupName: web, serviceRef: {{name: web, port: http}}{more}}}"
    )
}

/// An account with a target group that is nobody's.
fn account() -> Account {
    let mut account = Account::new();
    add_group(&mut account);
    account
}

fn add_group(account: &mut Account) -> TargetGroupArn {
    let spec = TargetGroupSpec {
        arn: None,
        name: "web".to_owned(),
        target_type: "ip".to_owned(),
        protocol: "HTTP".to_owned(),
        port: 80,
        vpc_id: "vpc-0123456789abcdef0".to_owned(),
        ip_address_type: "ipv4".to_owned(),
    };
    TargetGroupArn::new(account.emulator.add_target_group(spec).unwrap())
}

fn arn(account: &mut Account) -> TargetGroupArn {
    let call = AwsCall::DescribeTargetGroups {
        arns: Vec::new(),
        names: vec!["web".to_owned()],
        marker: None,
    };
    let now = account.now;
    match account.answer(now, &call) {
        Ok(AwsAnswer::TargetGroups(page)) => page.items[0].arn.clone(),
        other => unreachable!("{other:?}"),
    }
}

/// Addresses that are registered and not draining.
fn registered(account: &mut Account) -> String {
    let (now, target_group) = (account.now, arn(account));
    let call = AwsCall::DescribeTargetHealth { target_group };
    let Ok(AwsAnswer::TargetHealth(targets)) = account.answer(now, &call) else {
        unreachable!("the group is there")
    };
    account.calls.clear();
    let there = targets
        .iter()
        .filter(|t| t.state != elbow_model::observed::TargetState::Draining);
    let ids: Vec<&str> = there.map(|t| t.target.id.as_str()).collect();
    ids.join(" ")
}

pub(crate) fn target(address: &str) -> Target {
    Target {
        id: address.to_owned(),
        port: Port::new(8080).unwrap(),
        availability_zone: None,
        quic_server_id: None,
    }
}

/// Another cluster registers a target.
fn register_elsewhere(account: &mut Account, address: &str) {
    let now = account.now;
    let call = AwsCall::RegisterTargets {
        target_group: arn(account).into(),
        targets: vec![target(address)],
    };
    account.answer(now, &call).unwrap();
    account.calls.clear();
}

fn start(account: &Account, binding: &str, addresses: &str, settings: Settings) -> Run {
    let objects = snapshot(&[SERVICE, &endpoints(addresses), binding]);
    Run::start(account, objects, settings)
}

pub(crate) fn last_report(run: &Run) -> BindingReport {
    let mut effects = run.effects.iter().rev();
    let found = effects.find_map(|effect| match effect {
        Effect::BindingReport { report, .. } => Some(report.as_ref().clone()),
        _ => None,
    });
    found.unwrap()
}

pub(crate) fn name() -> NamespacedName {
    NamespacedName::new("app", "web")
}

/// Runs for so long, whether or not there is anything to do.
pub(crate) fn run_for(run: &mut Run, account: &mut Account, millis: u64) {
    let until = run.now().plus_millis(millis);
    while run.now() < until {
        if !run.turn(&mut |now, call| account.answer(now, call)) {
            return;
        }
    }
}

pub(crate) fn edit_binding(run: &mut Run, edit: impl FnOnce(&mut ObjectMeta)) {
    let object = ObjectRef::new(Kind::TargetGroupBinding, "app", "web");
    let Some(Object::TargetGroupBinding(mut binding)) = run.snapshot.get(&object) else {
        unreachable!("it is there")
    };
    edit(&mut Arc::make_mut(&mut binding).metadata);
    let reads = run.snapshot.apply(&Object::TargetGroupBinding(binding));
    run.send(Input::ObjectsChanged(reads));
}

#[test]
fn targets_follow_the_endpoints_and_nothing_is_asked_at_rest() {
    let mut account = account();
    register_elsewhere(&mut account, "192.168.96.99");
    let mut run = start(
        &account,
        &binding(""),
        "192.168.96.10 192.168.96.11",
        settings(),
    );
    run.settle(&mut account);
    run.assert_converged();
    let calls = account.take_operations();
    assert_eq!(
        calls
            .iter()
            .filter(|c| **c == "DescribeTargetGroups")
            .count(),
        1,
        "the census tells of the group: {calls:?}"
    );
    assert_eq!(
        calls
            .iter()
            .filter(|c| **c == "DescribeTargetHealth")
            .count(),
        1
    );
    assert_eq!(registered(&mut account), "192.168.96.10 192.168.96.11");
    assert_eq!(last_report(&run).reconciled(), Some(1));

    // Nothing that anybody reads has changed.
    let object = ObjectRef::new(Kind::Service, "app", "web");
    let service = run.snapshot.get(&object).unwrap();
    let reads = run.snapshot.apply(&service);
    run.send(Input::ObjectsChanged(reads));
    run.settle(&mut account);
    assert_eq!(account.take_operations(), Vec::<&str>::new());

    run.edit(&[
        SERVICE,
        &endpoints("192.168.96.11 192.168.96.12"),
        &binding(""),
    ]);
    run.settle(&mut account);
    assert_eq!(
        account.take_operations(),
        ["RegisterTargets", "DeregisterTargets"]
    );
    assert_eq!(registered(&mut account), "192.168.96.11 192.168.96.12");
    let left = planned_from_scratch(&mut account, &run.snapshot);
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn ten_flips_in_600_ms_are_at_most_six_calls() {
    let mut account = account();
    let objects = |addresses: &str| vec![SERVICE.to_owned(), endpoints(addresses), binding("")];
    let one = objects("192.168.96.10");
    let mut busy = Busy::start(&mut account, &one, settings(), BTreeMap::new());
    busy.run_until(&mut account, busy.now.plus_millis(5_000));
    assert!(busy.machine.is_quiet());
    busy.sent.clear();
    let start = busy.now;
    for flip in 0..10 {
        busy.run_until(&mut account, start.plus_millis(flip * 60));
        let addresses = if flip % 2 == 0 {
            "192.168.96.10 192.168.96.11"
        } else {
            "192.168.96.10"
        };
        busy.edit(&mut account, &objects(addresses));
    }
    busy.run_until(&mut account, start.plus_millis(10_000));
    assert!(busy.machine.is_quiet());
    assert!(busy.sent.len() <= 6, "{:?}", busy.sent);
    let first = busy.sent[0].0;
    assert!(
        first.millis_since(start) <= 10,
        "the first is acted on at once"
    );
    assert_eq!(registered(&mut account), "192.168.96.10");
}

#[test]
fn what_others_change_is_found_within_the_interval_by_one_call() {
    let mut account = account();
    let interval = 30 * 60_000;
    let watching = Settings {
        drift_interval_ms: Some(interval),
        ..settings()
    };
    let mut run = start(&account, &binding(""), "192.168.96.10", watching);
    run.settle(&mut account);
    account.take_operations();
    let now = account.now;
    let call = AwsCall::DeregisterTargets {
        target_group: arn(&mut account).into(),
        targets: vec![target("192.168.96.10")],
    };
    account.answer(now, &call).unwrap();
    account.calls.clear();
    run_for(&mut run, &mut account, interval + interval / 4);
    let calls = account.take_operations();
    let of_bindings = calls.iter().filter(|c| c.contains("Target")).copied();
    assert_eq!(
        of_bindings.collect::<Vec<_>>(),
        ["DescribeTargetHealth", "RegisterTargets"]
    );
    assert_eq!(registered(&mut account), "192.168.96.10");
}

#[test]
fn a_service_that_goes_takes_the_targets_along() {
    let mut account = account();
    let mut run = start(&account, &binding(""), "192.168.96.10", settings());
    run.settle(&mut account);
    run.edit(&[&endpoints("192.168.96.10"), &binding("")]);
    run.settle(&mut account);
    assert_eq!(registered(&mut account), "");
    let (reason, message) = last_report(&run).problem().unwrap();
    assert_eq!(reason, "BackendNotFound");
    assert!(
        message.starts_with("Service app/web does not exist"),
        "{message}"
    );
    run.edit(&[SERVICE, &endpoints("192.168.96.10"), &binding("")]);
    run.settle(&mut account);
    assert_eq!(registered(&mut account), "192.168.96.10");
    assert_eq!(last_report(&run).problem(), None);
}

#[test]
fn a_target_group_that_comes_later_is_found() {
    let mut account = Account::new();
    let patient = Settings {
        mistakes_interval_ms: Some(60_000),
        ..settings()
    };
    let mut run = start(&account, &binding(""), "192.168.96.10", patient);
    run_for(&mut run, &mut account, 1_000);
    let unit = Unit::Binding(name());
    assert_eq!(run.results()[&unit], RoundResult::Blocked);
    let (reason, message) = last_report(&run).problem().unwrap();
    assert_eq!(reason, "FailedReconcile");
    assert!(
        message.starts_with("there is no target group `web`"),
        "{message}"
    );
    add_group(&mut account);
    run_for(&mut run, &mut account, 130_000);
    assert_eq!(registered(&mut account), "192.168.96.10");
}

#[test]
fn what_aws_refuses_is_told_and_tried_again() {
    let mut account = account();
    let mut run = start(&account, &binding(""), "192.168.96.10", settings());
    let mut is_denied = true;
    let deadline = run.now().plus_millis(3_600_000);
    while !run.reconciler.is_quiet() && run.now() < deadline {
        let is_denied_now = is_denied;
        run.turn(&mut |now, call| match call {
            AwsCall::RegisterTargets { .. } if is_denied_now => Err(AwsError::new(
                ErrorClass::Denied,
                "AccessDenied",
                "not allowed",
            )),
            call => account.answer(now, call),
        });
        let has_failed = run.effects.iter().any(|e| {
            matches!(
                e,
                Effect::RoundFinished {
                    result: RoundResult::Incomplete { .. },
                    ..
                }
            )
        });
        if has_failed && is_denied {
            is_denied = false;
            let (reason, message) = last_report(&run).problem().unwrap();
            assert_eq!(reason, "FailedReconcile");
            assert!(message.starts_with("RegisterTargets failed: "), "{message}");
            assert_eq!(last_report(&run).reconciled(), None);
        }
    }
    run.settle(&mut account);
    assert!(!is_denied);
    assert_eq!(registered(&mut account), "192.168.96.10");
    assert_eq!(last_report(&run).problem(), None);
    assert_eq!(last_report(&run).reconciled(), Some(1));
}

fn protecting() -> Settings {
    Settings {
        protection: Protection::Finalizer,
        ..settings()
    }
}

fn run_out(run: &mut Run, account: &mut Account) {
    while run.turn(&mut |now, call| account.answer(now, call)) {}
}

#[test]
fn the_finalizer_stands_before_the_first_target_and_goes_after_the_last() {
    let mut account = account();
    let mut run = start(&account, &binding(""), "192.168.96.10", protecting());
    run_out(&mut run, &mut account);
    assert_eq!(account.take_changes(), Vec::<&str>::new());
    let asked = |effect: &&Effect| matches!(effect, Effect::ProtectBinding { .. });
    assert_eq!(run.effects.iter().filter(asked).count(), 1);

    edit_binding(&mut run, |metadata| {
        metadata.finalizers = Some(vec!["elbv2.k8s.aws/resources".to_owned()]);
    });
    run.settle(&mut account);
    assert_eq!(registered(&mut account), "192.168.96.10");
    assert!(!last_report(&run).is_released());

    edit_binding(&mut run, |metadata| {
        metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    });
    run.effects.clear();
    while run.turn(&mut |now, call| account.answer(now, call)) {
        for effect in run.effects.drain(..).collect::<Vec<_>>() {
            if let Effect::BindingReport { report, .. } = effect
                && report.is_released()
            {
                assert_eq!(registered(&mut account), "");
            }
        }
    }
    assert_eq!(registered(&mut account), "");
    // The API server lets it go.
    run.edit(&[SERVICE, &endpoints("192.168.96.10")]);
    run.settle(&mut account);
    assert!(last_report(&run).is_of_nothing());
    assert_eq!(run.reconciler.known().stacks.len(), 0);
}

#[test]
fn a_group_that_is_gone_keeps_no_binding() {
    let mut account = account();
    let mut run = start(&account, &binding(""), "192.168.96.10", protecting());
    run_out(&mut run, &mut account);
    edit_binding(&mut run, |metadata| {
        metadata.finalizers = Some(vec!["elbv2.k8s.aws/resources".to_owned()]);
    });
    run.settle(&mut account);
    let (now, target_group) = (account.now, arn(&mut account).into());
    let call = AwsCall::DeleteTargetGroup { target_group };
    account.answer(now, &call).unwrap();
    edit_binding(&mut run, |metadata| {
        metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    });
    run.settle(&mut account);
    assert!(last_report(&run).is_released(), "{:#?}", last_report(&run));
}

/// A call of a machine that was killed is carried out after the next one has looked: at the latest when the
/// binding goes it is seen.
#[test]
fn what_came_unseen_into_a_group_goes_with_its_binding() {
    let mut account = account();
    let mut run = start(&account, &binding(""), "192.168.96.10", protecting());
    run_out(&mut run, &mut account);
    edit_binding(&mut run, |metadata| {
        metadata.finalizers = Some(vec!["elbv2.k8s.aws/resources".to_owned()]);
    });
    run.settle(&mut account);
    register_elsewhere(&mut account, "192.168.96.11");
    edit_binding(&mut run, |metadata| {
        metadata.deletion_timestamp = Some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    });
    run.settle(&mut account);
    assert_eq!(registered(&mut account), "");
    assert!(last_report(&run).is_released(), "{:#?}", last_report(&run));
}

#[test]
fn without_finalizers_the_targets_of_a_binding_that_vanishes_go() {
    let mut account = account();
    let mut run = start(&account, &binding(""), "192.168.96.10", settings());
    run.settle(&mut account);
    run.edit(&[SERVICE, &endpoints("192.168.96.10")]);
    run.settle(&mut account);
    assert_eq!(registered(&mut account), "");
    assert_eq!(run.reconciler.known().stacks.len(), 0);
}

#[test]
fn the_group_of_a_gateway_is_the_gateways() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    let known = run.reconciler.known();
    let mut groups = known.stacks.values().flat_map(|stack| &stack.target_groups);
    let group = groups.next().unwrap().name.clone();
    account.take_operations();
    let other = binding("").replace("targetGroupName: web", &format!("targetGroupName: {group}"));
    run.edit(&[ALB, &other]);
    run.settle(&mut account);
    assert_eq!(account.take_changes(), Vec::<&str>::new());
    let (reason, message) = last_report(&run).problem().unwrap();
    assert_eq!(reason, "FailedReconcile");
    assert!(
        message.starts_with("Gateway app/web fills target group"),
        "{message}"
    );
}

const SHARED: &str = ", multiClusterTargetGroup: true";

/// What was asked to be kept, and the changes, in their order.
pub(crate) fn story(run: &Run) -> Vec<String> {
    let told = run.effects.iter().filter_map(|effect| match effect {
        Effect::ReadOwnTargets { .. } => Some("read".to_owned()),
        Effect::KeepOwnTargets { targets, .. } => Some(format!("keep {targets}")),
        Effect::Aws { call, .. } if call.is_mutating() => Some(call.operation().to_owned()),
        _ => None,
    });
    told.collect()
}

#[test]
fn of_a_shared_group_only_own_targets_go_and_they_are_written_down_first() {
    let mut account = account();
    register_elsewhere(&mut account, "192.168.96.99");
    let shared = binding(SHARED);
    let mut run = start(&account, &shared, "192.168.96.10", settings());
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(
        story(&run),
        ["read", "keep 192.168.96.10:8080", "RegisterTargets"]
    );
    assert_eq!(registered(&mut account), "192.168.96.10 192.168.96.99");

    run.effects.clear();
    run.edit(&[SERVICE, &endpoints("192.168.96.11"), &shared]);
    run.settle(&mut account);
    assert_eq!(
        story(&run),
        [
            "keep 192.168.96.10:8080,192.168.96.11:8080",
            "RegisterTargets",
            "DeregisterTargets",
            "keep 192.168.96.11:8080",
        ]
    );
    assert_eq!(registered(&mut account), "192.168.96.11 192.168.96.99");

    run.effects.clear();
    run.edit(&[SERVICE, &endpoints("192.168.96.11")]);
    run.settle(&mut account);
    assert_eq!(registered(&mut account), "192.168.96.99");
}

#[test]
fn what_is_kept_decides_what_a_new_machine_deregisters() {
    let rows = [
        (
            "nothing is kept",
            None,
            "192.168.96.10 192.168.96.11 192.168.96.99",
        ),
        (
            "one is kept",
            Some("192.168.96.11:8080"),
            "192.168.96.10 192.168.96.99",
        ),
        (
            "LBC's own form",
            Some("192.168.96.12:8080,192.168.96.11:8080"),
            "192.168.96.10 192.168.96.99",
        ),
        (
            "an empty list",
            Some(""),
            "192.168.96.10 192.168.96.11 192.168.96.99",
        ),
    ];
    for (name, kept, expected) in rows {
        let mut account = account();
        for address in ["192.168.96.11", "192.168.96.99"] {
            register_elsewhere(&mut account, address);
        }
        let mut run = start(&account, &binding(SHARED), "192.168.96.10", settings());
        run.keep(self::name(), kept.map(OwnTargets::parse));
        run.settle(&mut account);
        run.assert_converged();
        assert_eq!(registered(&mut account), expected, "{name}");
    }
}

#[test]
fn nothing_is_registered_that_could_not_be_written_down() {
    let mut account = account();
    let objects = snapshot(&[SERVICE, &endpoints("192.168.96.10"), &binding(SHARED)]);
    let mut machine = elbow_reconcile::Reconciler::new(settings());
    let mut now = Timestamp::from_millis(1_000);
    let mut effects = machine.step(Input::Start, &objects, now);
    let mut keeps = 0;
    let mut registrations = Vec::new();
    for _ in 0..100 {
        let mut next = Vec::new();
        let mut wake = None;
        for effect in std::mem::take(&mut effects) {
            let input = match effect {
                Effect::Aws { id, call } => {
                    if matches!(call, AwsCall::RegisterTargets { .. }) {
                        registrations.push(keeps);
                    }
                    let result = account.answer(now, &call);
                    Input::AwsAnswered { id, result }
                }
                Effect::ReadOwnTargets { binding } => Input::OwnTargets {
                    binding,
                    result: Ok(None),
                },
                Effect::KeepOwnTargets { binding, targets } => {
                    keeps += 1;
                    let lost = AwsError::new(ErrorClass::Transient, "OwnTargetsUnknown", "lost");
                    let result = if keeps < 3 {
                        Err(lost)
                    } else {
                        Ok(Some(targets))
                    };
                    Input::OwnTargets { binding, result }
                }
                Effect::WakeAt(at) => {
                    wake = Some(at);
                    continue;
                }
                _ => continue,
            };
            next.extend(machine.step(input, &objects, now));
        }
        if next.is_empty() {
            let Some(at) = wake else { break };
            now = now.max(at);
            next = machine.step(Input::Tick, &objects, now);
        }
        effects = next;
    }
    assert_eq!(registrations, [3], "once, after the third try");
}

#[test]
fn a_gateways_group_can_be_shared_as_well() {
    let shared = ALB.replace(
        "defaultConfiguration: {targetType: ip}",
        "defaultConfiguration: {targetType: ip, enableMultiCluster: true}",
    );
    let other = shared.replace("192.168.96.10", "192.168.96.20");
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[&shared]), settings());
    run.settle(&mut account);
    run.assert_converged();
    let told = story(&run);
    let keep = told
        .iter()
        .position(|t| t == "keep 192.168.96.10:8080")
        .unwrap();
    let register = told.iter().position(|t| t == "RegisterTargets").unwrap();
    assert!(keep < register, "{told:?}");

    let known = run.reconciler.known();
    let mut groups = known.stacks.values().flat_map(|stack| &stack.target_groups);
    let arn = groups.next().unwrap().arn.clone();
    let register = AwsCall::RegisterTargets {
        target_group: arn.clone().into(),
        targets: vec![target("192.168.96.99")],
    };
    let now = account.now;
    account.answer(now, &register).unwrap();
    run.effects.clear();
    run.edit(&[&other]);
    run.settle(&mut account);
    assert_eq!(
        story(&run),
        [
            "keep 192.168.96.10:8080,192.168.96.20:8080",
            "RegisterTargets",
            "DeregisterTargets",
            "keep 192.168.96.20:8080",
        ]
    );
    let now = account.now;
    let health = AwsCall::DescribeTargetHealth { target_group: arn };
    let Ok(AwsAnswer::TargetHealth(targets)) = account.answer(now, &health) else {
        unreachable!("it is there")
    };
    let is_there = |id: &str| {
        let of = targets.iter().find(|t| t.target.id == id).map(|t| t.state);
        of.is_some_and(|state| state != elbow_model::observed::TargetState::Draining)
    };
    assert!(is_there("192.168.96.99") && is_there("192.168.96.20") && !is_there("192.168.96.10"));
    let left = planned_from_scratch(&mut account, &run.snapshot);
    assert_eq!(left, Vec::<String>::new());
}
