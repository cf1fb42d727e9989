//! Whole rounds: create, rest, change, delete, and what each costs in calls.

use elbow_emulator::{Config, HealthMode, Latencies};
use elbow_model::Observed;
use elbow_reconcile::observe::{Observation, Scope, Whose};
use elbow_reconcile::{Effect, Input, RoundResult};

use crate::account::{ALB, Account, NLB, Run, planned_from_scratch, settings, snapshot};

/// What a census and a look at every detail find.
fn observe_afresh(account: &mut Account) -> Observed {
    let translate = settings().translate;
    let mut look = |scope: Scope| {
        let whose = Whose {
            cluster_name: translate.cluster_name.clone(),
            vpc_id: translate.vpc_id.clone(),
            has_trust_stores: translate.bundle_storage.is_some(),
        };
        let (mut observation, mut calls) = Observation::start(whose, scope);
        while let Some(call) = calls.pop() {
            let answer = account.answer(account.now, &call);
            calls.extend(observation.answered(&call, answer).unwrap());
        }
        assert!(observation.is_done());
        observation.finish()
    };
    let census = look(Scope::Census).census;
    look(Scope::Details {
        stacks: census.stacks("demo"),
        census,
    })
    .observed
}

#[test]
fn creates_both_kinds_and_then_has_nothing_to_do() {
    let mut account = Account::new();
    let objects = snapshot(&[ALB, NLB]);
    let mut run = Run::start(&account, objects.clone(), settings());
    run.settle(&mut account);
    run.assert_converged();
    let stacks = &run.reconciler.known().stacks;
    assert_eq!(stacks.len(), 3, "{:?}", stacks.keys());
    account.take_operations();

    assert_eq!(
        planned_from_scratch(&mut account, &objects),
        Vec::<String>::new()
    );
    assert_eq!(
        account.take_changes(),
        Vec::<&str>::new(),
        "planning changes nothing"
    );

    let mut again = Run::start(&account, objects, settings());
    again.settle(&mut account);
    again.assert_converged();
    assert_eq!(again.planned(), Vec::<String>::new());
    assert_eq!(account.take_changes(), Vec::<&str>::new());
}

#[test]
fn an_alb_takes_at_most_25_calls_of_which_12_change_something() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    run.assert_converged();
    let all = account.calls.len();
    let operations = account.take_operations();
    assert!(all <= 25, "{all}: {operations:?}");
    let is_change = |operation: &&&str| {
        !operation.starts_with("Describe")
            && !operation.starts_with("Get")
            && !operation.starts_with("List")
    };
    let changes = operations.iter().filter(is_change).count();
    assert!(changes <= 12, "{changes}: {operations:?}");
}

#[test]
fn what_is_remembered_is_what_is_there() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB, NLB]), settings());
    run.settle(&mut account);
    let moved = ALB
        .replace("targetPort: 8080", "targetPort: 8081")
        .replace("port: 8080", "port: 8081");
    let longer = moved.replace("  rules:\n", "  rules:\n  - matches: [{path: {type: Exact, value: /first}}]\n    backendRefs: [{name: web, port: 80}]\n");
    for text in [&moved, &longer, &ALB.to_owned()] {
        run.edit(&[text, NLB]);
        run.settle(&mut account);
        run.assert_converged();
        let mut known = run.reconciler.known().clone();
        // These are not ours, and observed in another way.
        known.node_groups.clear();
        let mut seen = observe_afresh(&mut account);
        forget_what_aws_fills_in(&mut known);
        forget_what_aws_fills_in(&mut seen);
        assert_eq!(known, seen);
    }
}

/// Attributes that nobody set, health, and the forms that AWS gives to actions and policies are not
/// remembered; everything else is.
fn forget_what_aws_fills_in(observed: &mut Observed) {
    for stack in observed.stacks.values_mut() {
        for lb in &mut stack.load_balancers {
            lb.attributes.clear();
            lb.enforce_security_group_inbound_rules_on_private_link_traffic = None;
            for listener in &mut lb.listeners {
                listener.attributes.clear();
                listener.ssl_policy = None;
                listener.alpn_policy = None;
                listener.default_actions.clear();
                for rule in &mut listener.rules {
                    rule.actions.clear();
                }
            }
        }
        for group in &mut stack.target_groups {
            group.attributes.clear();
            group.protocol_version = None;
            group.targets.clear();
        }
    }
}

#[test]
fn a_round_without_a_change_makes_no_call() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB, NLB]), settings());
    run.settle(&mut account);
    account.take_operations();
    for labelled in [
        ALB.replace(
            "metadata: {name: web, namespace: app}",
            "metadata: {name: web, namespace: app, labels: {a: b}}",
        ),
        ALB.replace(
            "metadata: {name: alb}",
            "metadata: {name: alb, labels: {a: b}}",
        ),
    ] {
        run.edit(&[&labelled, NLB]);
        run.settle(&mut account);
        assert_eq!(account.take_operations(), Vec::<&str>::new());
    }
}

#[test]
fn one_new_rule_takes_at_most_5_calls() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    account.take_operations();
    let other = ALB.replace(
        "  parentRefs: [{name: web}]",
        "  parentRefs: [{name: web, sectionName: http}]",
    );
    run.edit(&[&other]);
    run.settle(&mut account);
    account.take_operations();
    let more = other.replace("  rules:\n", "  rules:\n  - matches: [{path: {type: Exact, value: /new}}]\n    backendRefs: [{name: web, port: 80}]\n");
    run.edit(&[&more]);
    run.settle(&mut account);
    run.assert_converged();
    let operations = account.take_operations();
    assert!(operations.len() <= 5, "{operations:?}");
    assert!(operations.contains(&"CreateRule"), "{operations:?}");
}

#[test]
fn an_endpoint_change_registers_and_deregisters_and_nothing_else() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    account.take_operations();
    run.edit(&[&ALB.replace("192.168.96.10", "192.168.96.11")]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(
        account.take_operations(),
        ["RegisterTargets", "DeregisterTargets"]
    );
}

#[test]
fn endpoints_that_come_and_go_fast_are_followed_together() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    account.take_operations();
    let (one, other) = (
        ALB.to_owned(),
        ALB.replace("192.168.96.10", "192.168.96.11"),
    );
    // Ten flips before anything else happens: the first is acted on at once, the rest together.
    for flip in 0..10 {
        run.edit(&[if flip % 2 == 0 { &other } else { &one }]);
        while run
            .reconciler
            .execution(&elbow_reconcile::Unit::Gateway(
                elbow_api::NamespacedName::new("app", "web"),
            ))
            .is_some()
        {
            assert!(run.turn(&mut |now, call| account.answer(now, call)));
        }
    }
    run.settle(&mut account);
    run.assert_converged();
    let operations = account.take_operations();
    assert!(operations.len() <= 6, "{operations:?}");
    assert_eq!(
        planned_from_scratch(&mut account, &snapshot(&[&one])),
        Vec::<String>::new()
    );
}

#[test]
fn deleting_the_gateways_deletes_everything_and_nothing_else() {
    let mut account = Account::with(Config {
        health: HealthMode::AssumeHealthy,
        latencies: Latencies::aws(),
        ..Config::default()
    });
    let mut run = Run::start(&account, snapshot(&[ALB, NLB]), settings());
    run.settle(&mut account);
    run.assert_converged();
    let without = |text: &str, kind: &str| -> String {
        let documents = text.split("---\n");
        let kept: Vec<&str> = documents
            .filter(|d| !d.contains(&format!("kind: {kind}\n")))
            .collect();
        kept.join("---\n")
    };
    run.edit(&[&without(ALB, "Gateway"), NLB]);
    run.settle(&mut account);
    assert_eq!(
        run.reconciler.known().stacks.len(),
        2,
        "the NLB and what is shared stay"
    );
    run.edit(&[&without(ALB, "Gateway"), &without(NLB, "Gateway")]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(run.reconciler.known().stacks, Observed::default().stacks);
    assert_eq!(observe_afresh(&mut account), Observed::default());
}

#[test]
fn a_gateway_that_went_while_nobody_looked_is_cleaned_up_at_the_start() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB, NLB]), settings());
    run.settle(&mut account);
    let mut next = Run::start(&account, snapshot(&[NLB]), settings());
    next.settle(&mut account);
    next.assert_converged();
    assert_eq!(next.reconciler.known().stacks.len(), 2);
    assert_eq!(
        next.reconciler.known().stacks,
        observe_afresh(&mut account).stacks
    );
}

#[test]
fn a_load_balancer_that_is_active_is_reported_within_3_seconds() {
    let mut account = Account::with(Config {
        health: HealthMode::AssumeHealthy,
        latencies: Latencies {
            application_load_balancer_provisioning_ms: 90_000,
            ..Latencies::instant()
        },
        ..Config::default()
    });
    let start = account.now;
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    let waited = run.now().millis_since(start);
    assert!((90_000..93_000).contains(&waited), "{waited}");
    let programmed = run.effects.iter().rev().find_map(|effect| match effect {
        Effect::Report { report, .. } => report.gateway_status(),
        _ => None,
    });
    let conditions = programmed.unwrap().conditions;
    assert!(
        conditions
            .iter()
            .any(|c| c.condition_type == "Programmed" && c.status == "True")
    );
}

#[test]
fn stopping_leaves_no_call_out_and_begins_nothing_new() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    for _ in 0..40 {
        run.turn(&mut |now, call| account.answer(now, call));
    }
    account.take_operations();
    run.send(Input::Stop);
    run.settle(&mut account);
    assert!(account.take_operations().len() <= 1, "only what was out");
    assert!(
        matches!(run.effects.last(), Some(Effect::Quiet)),
        "{:?}",
        run.effects.last()
    );
}

#[test]
fn a_machine_at_rest_that_is_stopped_says_so() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    run.effects.clear();
    run.send(Input::Stop);
    run.settle(&mut account);
    assert!(
        matches!(run.effects.as_slice(), [Effect::Quiet]),
        "{:?}",
        run.effects
    );
}

/// Ten Gateways like [`ALB`], in ten namespaces.
fn ten() -> Vec<String> {
    let in_namespace = |n: usize| {
        ALB.replace("namespace: app}", &format!("namespace: app-{n}}}"))
            .replace("namespace: app\n", &format!("namespace: app-{n}\n"))
            .replace(
                "metadata: {name: app}",
                &format!("metadata: {{name: app-{n}}}"),
            )
            .split("---\n")
            .filter(|document| {
                let is_shared = ["kind: GatewayClass\n", "kind: Node\n"];
                n == 0 || !is_shared.iter().any(|kind| document.contains(kind))
            })
            .collect::<Vec<_>>()
            .join("---\n")
    };
    (0..10).map(in_namespace).collect()
}

#[test]
fn lists_are_shared_by_all_gateways_at_a_start() {
    let mut account = Account::new();
    let texts = ten();
    let objects = snapshot(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let mut run = Run::start(&account, objects.clone(), settings());
    run.settle(&mut account);
    run.assert_converged();
    account.take_operations();
    let mut next = Run::start(&account, objects, settings());
    next.settle(&mut account);
    next.assert_converged();
    assert_eq!(next.planned(), Vec::<String>::new());
    let mut counts = std::collections::BTreeMap::<&str, usize>::new();
    for operation in account.take_operations() {
        *counts.entry(operation).or_default() += 1;
    }
    for shared in [
        "DescribeLoadBalancers",
        "DescribeTargetGroups",
        "DescribeInstances",
        "DescribeSubnets",
        "DescribeAvailabilityZones",
        "DescribeVpcs",
        "GetResources",
    ] {
        assert!(
            counts.get(shared).copied().unwrap_or_default() <= 1,
            "{shared}: {counts:?}"
        );
    }
    assert_eq!(
        counts.get("DescribeSecurityGroups"),
        Some(&3),
        "ours, those of the nodes, and those that let in the shared one: {counts:?}"
    );
    assert!(
        !counts.contains_key("DescribeTags"),
        "the index tells all tags: {counts:?}"
    );
}

#[test]
fn a_fresh_change_goes_before_the_first_round_of_the_others() {
    let mut account = Account::new();
    let texts = ten();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut run = Run::start(&account, snapshot(&all), settings());
    run.settle(&mut account);
    let mut limited = settings();
    limited.limits = elbow_reconcile::budget::Limits::aws();
    let start = account.now;
    let mut next = Run::start(&account, snapshot(&all), limited);
    account.take_operations();
    // While the first rounds are under way, one Gateway's endpoints and rules change.
    for _ in 0..12 {
        next.turn(&mut |now, call| account.answer(now, call));
    }
    let changed = texts[7].replace(
        "  rules:\n",
        "  rules:\n  - matches: [{path: {type: Exact, value: /new}}]\n    backendRefs: [{name: web, port: 80}]\n",
    );
    let mut edited = all.clone();
    edited[7] = &changed;
    next.edit(&edited);
    let mut created_at = None;
    next.settle_with(&mut |now, call| {
        if call.operation() == "CreateRule" {
            created_at.get_or_insert(now);
        }
        account.answer(now, call)
    });
    next.assert_converged();
    let waited = created_at.unwrap().millis_since(start);
    let whole = next.now().millis_since(start);
    assert!(waited <= 2_000, "{waited} ms of {whole} ms");
}

/// An edit that is taken back while its plan is carried out leaves nothing of it behind: what was brought about
/// before it is no measure any more, though that is what is wanted again.
#[test]
fn an_edit_that_is_taken_back_halfway_leaves_nothing_behind() {
    let other = "apiVersion: gateway.k8s.aws/v1beta1\nkind: TargetGroupConfiguration\n\
         metadata: {name: other, namespace: app}\n\
         spec: {targetReference: {name: other}, defaultConfiguration: {targetType: ip}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: app}\n\
         spec: {selector: {app: other}, ports: [{name: tcp, port: 9000, targetPort: 9001}]}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {name: other-1, namespace: app, labels: {kubernetes.io/service-name: other}}\n\
         addressType: IPv4\nports: [{name: tcp, port: 9001, protocol: TCP}]\n\
         endpoints: [{addresses: [192.168.96.21], nodeName: node-0, conditions: {ready: true}}]";
    let edited = NLB.replace(
        "backendRefs: [{name: tcp, port: 9000}]",
        "backendRefs: [{name: other, port: 9000}]",
    );
    assert_ne!(edited, NLB);
    let mut n_superseded = 0;
    for turns in [0, 1, 2, 4, 8, 16, 32] {
        let mut account = Account::with(Config {
            health: HealthMode::AssumeHealthy,
            latencies: Latencies::aws(),
            ..Config::default()
        });
        let mut run = Run::start(&account, snapshot(&[ALB, NLB, other]), settings());
        run.settle(&mut account);
        run.assert_converged();
        run.edit(&[ALB, &edited, other]);
        account.take_operations();
        while !account
            .calls
            .iter()
            .any(|call| call.operation() == "ModifyListener")
        {
            assert!(run.turn(&mut |now, call| account.answer(now, call)));
        }
        for _ in 0..turns {
            run.turn(&mut |now, call| account.answer(now, call));
        }
        run.effects.clear();
        run.edit(&[ALB, NLB, other]);
        run.settle(&mut account);
        run.assert_converged();
        let superseded = |effect: &&Effect| {
            let result = RoundResult::Superseded;
            matches!(effect, Effect::RoundFinished { result: r, .. } if *r == result)
        };
        n_superseded += run.effects.iter().filter(superseded).count();
        assert_eq!(
            planned_from_scratch(&mut account, &snapshot(&[ALB, NLB, other])),
            Vec::<String>::new(),
            "after {turns} turns"
        );
    }
    assert!(n_superseded > 0, "no plan was given up");
}
