//! Gateways of which nothing can be said at present: what they have stays and goes on serving.

use std::collections::BTreeMap;

use elbow_api::NamespacedName;
use elbow_model::observed::TargetState;
use elbow_model::{AwsAnswer, AwsCall, AwsError, ErrorClass};
use elbow_reconcile::{Effect, Report, RoundResult, Timestamp, Unit};

use crate::account::{ALB, Account, NLB, Run, planned_from_scratch, settings, snapshot};

/// A class of the other kind of load balancer.
const NLB_CLASS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: nlb}
spec: {controllerName: gateway.k8s.aws/nlb}
";

fn web() -> Unit {
    Unit::Gateway(NamespacedName::new("app", "web"))
}

/// The manifests without the objects of a kind.
fn without(text: &str, kind: &str) -> String {
    let documents = text.split("---\n");
    let kept = documents.filter(|d| !d.contains(&format!("kind: {kind}\n")));
    kept.collect::<Vec<_>>().join("---\n")
}

/// The same pods, under other addresses.
fn moved(text: &str, address: &str) -> String {
    text.replace("192.168.96.10", address)
}

/// The last report of the Gateway.
fn report(run: &Run) -> Report {
    let mut reports = run.effects.iter().rev();
    let found = reports.find_map(|effect| match effect {
        Effect::Report { report, .. } => Some(report),
        _ => None,
    });
    found.unwrap().as_ref().clone()
}

/// The bindings that were written for the Gateway.
fn bindings(run: &Run) -> String {
    let bindings = report(run).bindings();
    let texts = bindings.iter().map(|b| serde_json::to_string(b).unwrap());
    texts.collect::<Vec<_>>().join("\n---\n")
}

/// The addresses in the Gateway's target group, but for those that are on their way out.
fn targets(account: &mut Account, run: &Run) -> Vec<String> {
    let mut groups = run.reconciler.known().stacks.values();
    let group = groups.find_map(|stack| stack.target_groups.first());
    let call = AwsCall::DescribeTargetHealth {
        target_group: group.unwrap().arn.clone(),
    };
    let answer = account.answer(account.now, &call);
    account.calls.pop();
    match answer {
        Ok(AwsAnswer::TargetHealth(targets)) => targets
            .into_iter()
            .filter(|t| t.state != TargetState::Draining)
            .map(|t| t.target.id.clone())
            .collect(),
        other => unreachable!("{other:?}"),
    }
}

/// A machine at rest over [`ALB`], and the bindings that were written for it.
fn at_rest(account: &mut Account) -> (Run, String) {
    let mut run = Run::start(account, snapshot(&[ALB]), settings());
    run.settle(account);
    run.assert_converged();
    let written = bindings(&run);
    account.calls.clear();
    (run, written)
}

#[test]
fn the_targets_of_a_gateway_that_is_blocked_follow_its_endpoints() {
    let no_such_subnet =
        "  scheme: internet-facing\n  loadBalancerSubnets: [{identifier: subnet-0}]\n";
    let rows = [
        (
            "no configuration",
            without(ALB, "LoadBalancerConfiguration"),
        ),
        ("no class", without(ALB, "GatewayClass")),
        (
            "no such subnet",
            ALB.replace("  scheme: internet-facing\n", no_such_subnet),
        ),
    ];
    for (name, blocked) in rows {
        let mut account = Account::new();
        let (mut run, written) = at_rest(&mut account);
        run.edit(&[&blocked, &written]);
        run.settle(&mut account);
        assert_eq!(run.results()[&web()], RoundResult::Blocked, "{name}");
        assert_eq!(account.take_changes(), [""; 0], "{name}");

        run.edit(&[&moved(&blocked, "192.168.96.11"), &written]);
        run.settle(&mut account);
        assert_eq!(run.results()[&web()], RoundResult::Blocked, "{name}");
        let changes = account.take_changes();
        assert_eq!(changes, ["RegisterTargets", "DeregisterTargets"], "{name}");
        assert_eq!(targets(&mut account, &run), ["192.168.96.11"], "{name}");

        // One that knows nothing but what is written in the cluster does the same.
        let later = moved(&blocked, "192.168.96.12");
        let mut next = Run::start(&account, snapshot(&[&later, &written]), settings());
        next.settle(&mut account);
        assert_eq!(next.results()[&web()], RoundResult::Blocked, "{name}");
        let changes = account.take_changes();
        assert_eq!(changes, ["RegisterTargets", "DeregisterTargets"], "{name}");
        assert_eq!(targets(&mut account, &next), ["192.168.96.12"], "{name}");

        // Once it can be decided again, there is nothing to make up for.
        let mended = moved(ALB, "192.168.96.12");
        next.edit(&[&mended, &written]);
        next.settle(&mut account);
        next.assert_converged();
        assert_eq!(account.take_changes(), [""; 0], "{name}");
    }
}

#[test]
fn a_group_without_its_binding_is_left_as_it_is() {
    let blocked = without(ALB, "LoadBalancerConfiguration");
    let mut account = Account::new();
    let (mut run, written) = at_rest(&mut account);
    for text in [
        String::new(),
        written.replace("gateway.k8s.aws.alb/stack-name", "somebody.else/stack-name"),
        written.replace("/stack-name\":\"web\"", "/stack-name\":\"other\""),
        written.replace("\"targetType\":\"ip\"", "\"targetType\":\"instance\""),
    ] {
        assert_ne!(text, written);
        run.edit(&[&moved(&blocked, "192.168.96.11"), &text]);
        run.settle(&mut account);
        assert_eq!(account.take_changes(), [""; 0], "{text}");
    }
}

#[test]
fn the_way_to_new_pods_of_a_gateway_that_is_blocked_is_opened() {
    let blocked = without(ALB, "LoadBalancerConfiguration");
    let mut account = Account::new();
    let (mut run, written) = at_rest(&mut account);
    // The binding asks for one port more than there are rules for.
    let wider = written.replace(
        "\"port\":8080}]",
        "\"port\":8080},{\"protocol\":\"TCP\",\"port\":9090}]",
    );
    assert_ne!(wider, written);
    run.edit(&[&blocked, &wider]);
    run.settle(&mut account);
    let changes = account.take_changes();
    assert_eq!(changes, ["AuthorizeSecurityGroupIngress"]);
    // What it needs besides is not known, so nothing is taken away.
    run.edit(&[&blocked, &written]);
    run.settle(&mut account);
    assert_eq!(account.take_changes(), [""; 0]);
}

#[test]
fn a_load_balancer_does_not_give_way_to_what_cannot_be_built() {
    let to_nlb =
        ALB.replace("gatewayClassName: alb", "gatewayClassName: nlb") + "\n---" + NLB_CLASS;
    let mut account = Account::new();
    let (mut run, written) = at_rest(&mut account);
    let broken = without(&to_nlb, "LoadBalancerConfiguration");
    let gateway = "name: web, namespace: app}\nspec:\n  gatewayClassName";
    assert!(to_nlb.contains(gateway));
    let asked = "name: web, namespace: app, annotations: {gateway.k8s.aws/dry-run: 'true'}}\nspec:\n  gatewayClassName";
    let dry_run = to_nlb.replace(gateway, asked);
    for text in [&broken, &dry_run, &to_nlb] {
        run.edit(&[text, &written]);
        run.settle(&mut account);
        assert_eq!(run.results()[&web()], RoundResult::Blocked);
        assert_eq!(account.take_changes(), [""; 0]);
    }
    let told = report(&run);
    let mut codes = told.diagnostics().map(|finding| finding.code);
    assert!(codes.any(|code| code == "class-serves-nothing"));
    assert_eq!(told.gateway_status().unwrap().addresses, None, "as it was");

    // What it serves goes on being served.
    run.edit(&[&moved(&to_nlb, "192.168.96.11"), &written]);
    run.settle(&mut account);
    assert_eq!(
        account.take_changes(),
        ["RegisterTargets", "DeregisterTargets"]
    );

    // Something that the class serves: now it does.
    let tcp = "
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: web, namespace: app}
spec:
  parentRefs: [{name: web, sectionName: tcp}]
  rules: [{backendRefs: [{name: web, port: 80}]}]
";
    let listeners = "  - {name: tcp, protocol: TCP, port: 8000}\n  - {name: http, ";
    let served =
        moved(&to_nlb, "192.168.96.11").replace("  - {name: http, ", listeners) + "---" + tcp;
    run.edit(&[&served, &written]);
    run.settle(&mut account);
    run.assert_converged();
    let changes = account.take_changes();
    let place = |operation| changes.iter().position(|o| *o == operation).unwrap();
    assert!(
        place("CreateListener") < place("DeleteLoadBalancer"),
        "{changes:?}"
    );
    let left = planned_from_scratch(&mut account, &run.snapshot);
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_gateway_that_is_blocked_can_be_deleted() {
    let mut account = Account::new();
    let (mut run, written) = at_rest(&mut account);
    let blocked = without(ALB, "LoadBalancerConfiguration");
    run.edit(&[&blocked, &written]);
    run.settle(&mut account);
    run.edit(&[&without(&blocked, "Gateway"), &written]);
    run.settle(&mut account);
    run.assert_converged();
    assert!(account.take_changes().contains(&"DeleteLoadBalancer"));
    assert_eq!(run.reconciler.known().stacks.len(), 0);
}

/// The ALB, whose certificate is found by its hostname.
fn with_discovery() -> String {
    let (head, tail) = ALB.split_at(ALB.find("  listenerConfigurations:").unwrap());
    format!("{head}{}", &tail[tail.find("---").unwrap()..])
}

/// Answers, but for an operation that is denied.
fn deny(
    account: &mut Account,
    operation: &str,
    now: Timestamp,
    call: &AwsCall,
) -> Result<AwsAnswer, AwsError> {
    if call.operation() == operation {
        account.calls.push(call.clone());
        return Err(AwsError::new(ErrorClass::Denied, "AccessDenied", "no"));
    }
    account.answer(now, call)
}

/// Runs with an operation denied until nothing happens for a minute.
fn run_without(run: &mut Run, account: &mut Account, operation: &str) {
    let until = run.now().plus_millis(60_000);
    while run.now() < until && run.turn(&mut |now, call| deny(account, operation, now, call)) {}
}

#[test]
fn a_fact_that_is_denied_keeps_back_nobody_who_does_not_need_it() {
    let mut account = Account::new();
    let texts = [with_discovery(), NLB.to_owned()];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut run = Run::start(&account, snapshot(&texts), settings());
    run_without(&mut run, &mut account, "ListCertificates");
    let results = run.effects.iter().filter_map(|effect| match effect {
        Effect::RoundFinished { unit, result, .. } => Some((unit.clone(), result)),
        _ => None,
    });
    let tcp = Unit::Gateway(NamespacedName::new("app", "tcp"));
    let (mut of_tcp, mut of_web) = (Vec::new(), Vec::new());
    for (unit, result) in results {
        if unit == tcp {
            of_tcp.push(result);
        } else if unit == web() {
            of_web.push(result);
        }
    }
    assert!(
        matches!(of_tcp[..], [RoundResult::Converged { .. }]),
        "{of_tcp:?}"
    );
    let is_refused = |result: &&RoundResult| matches!(result, RoundResult::LookupFailed { error } if error.class == ErrorClass::Denied);
    assert!(
        !of_web.is_empty() && of_web.iter().all(is_refused),
        "{of_web:?}"
    );
    run.settle(&mut account);
    run.assert_converged();
}

#[test]
fn the_targets_of_a_gateway_that_lacks_facts_follow_its_endpoints() {
    let text = with_discovery();
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[&text]), settings());
    run.settle(&mut account);
    run.assert_converged();
    let written = bindings(&run);
    let records = run.effects.iter().filter_map(|effect| match effect {
        Effect::Record { stack, record } => Some((stack.clone(), record.clone()?)),
        _ => None,
    });
    let records: BTreeMap<_, _> = records.collect();
    assert!(!records.is_empty());
    for kept in [BTreeMap::new(), records] {
        account.calls.clear();
        let later = moved(&text, "192.168.96.11");
        let objects = snapshot(&[&later, &written]);
        let mut next = Run::start_with(&account, objects, settings(), kept);
        run_without(&mut next, &mut account, "ListCertificates");
        let result = &next.results()[&web()];
        assert!(
            matches!(result, RoundResult::LookupFailed { .. }),
            "{result:?}"
        );
        let changes = account.take_changes();
        assert_eq!(changes, ["RegisterTargets", "DeregisterTargets"]);

        // They are followed further, at once.
        let before = next.now();
        next.edit(&[&moved(&text, "192.168.96.10"), &written]);
        while account.take_changes() != ["RegisterTargets"] {
            assert!(next.turn(&mut |now, call| deny(&mut account, "ListCertificates", now, call)));
        }
        assert!(next.now().millis_since(before) < 1_000);
        next.settle(&mut account);
        next.assert_converged();
        assert_eq!(targets(&mut account, &next), ["192.168.96.10"]);
    }
}
