//! What others have made by hand, or left behind, and what it stands in the way of.

use std::collections::BTreeSet;

use elbow_emulator::world::SecurityGroupSpec;
use elbow_model::rule::{Action, Forward, WeightedTargetGroup};
use elbow_model::stack::{IngressRule, IngressSource, NODE_RULE_LABEL, Protocol};
use elbow_model::{AwsAnswer, AwsCall, ListenerArn, Port, Ref, SecurityGroupId, Tags};
use elbow_reconcile::{Effect, Report, RoundResult, Unit};

use crate::account::{ALB, Account, NLB, Run, planned_from_scratch, settings, snapshot};
use crate::network::{add_pod, without};

/// A group without the tag by which the nodes' are known.
fn add_group(account: &mut Account) -> SecurityGroupId {
    let id = account.emulator.add_security_group(SecurityGroupSpec {
        id: None,
        name: "pods".to_owned(),
        description: "of pods".to_owned(),
        vpc_id: "vpc-0123456789abcdef0".to_owned(),
        tags: Tags::new(),
    });
    SecurityGroupId::new(id.unwrap())
}

/// The rules of a group that say that they are ours: from whom they let in.
fn labelled(account: &mut Account, group: &SecurityGroupId) -> Vec<IngressSource> {
    let call = AwsCall::DescribeSecurityGroupsById {
        groups: [group.clone()].into(),
        marker: None,
    };
    let answer = account.answer(account.now, &call);
    account.calls.pop();
    let Ok(AwsAnswer::SecurityGroups(page)) = answer else {
        unreachable!("{answer:?}");
    };
    let rules = page.items.iter().flat_map(|group| &group.ingress);
    let ours = rules.filter(|rule| rule.is_node_rule());
    ours.map(|rule| rule.source.clone()).collect()
}

fn of_pod(address: &str) -> String {
    ALB.replace("192.168.96.10", address)
}

/// The group of pods with interfaces of their own carries no tag, and the last pod behind it is gone while
/// nobody looks: only whom its rule lets in leads to it.
#[test]
fn a_rule_in_a_group_without_the_tag_goes_after_a_restart() {
    let other_block = IngressSource::Ipv4("10.9.0.0/16".to_owned());
    let mut account = Account::new();
    let pods = add_group(&mut account);
    add_pod(&mut account, "192.168.110.30", std::slice::from_ref(&pods));
    let text = of_pod("192.168.110.30");
    let mut run = Run::start(&account, snapshot(&[&text]), settings());
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(labelled(&mut account, &pods).len(), 1);
    // Another cluster's pods are behind the same group.
    let call = AwsCall::AuthorizeSecurityGroupIngress {
        group: pods.clone().into(),
        rules: vec![IngressRule {
            protocol: "tcp".to_owned(),
            from_port: Some(80),
            to_port: Some(80),
            source: other_block.clone(),
            description: Some(NODE_RULE_LABEL.to_owned()),
        }],
    };
    account.answer(account.now, &call).unwrap();

    let mut next = Run::start(&account, snapshot(&[ALB]), settings());
    next.settle(&mut account);
    next.assert_converged();
    assert_eq!(labelled(&mut account, &pods), [other_block]);
    assert_eq!(
        planned_from_scratch(&mut account, &snapshot(&[ALB])),
        Vec::<String>::new()
    );

    // The same when nothing at all is wanted: the shared group goes after the rule that names it.
    let mut back = Run::start(&account, snapshot(&[&text]), settings());
    back.settle(&mut account);
    assert_eq!(labelled(&mut account, &pods).len(), 1);
    let gone = without(ALB, "Gateway");
    let mut last = Run::start(&account, snapshot(&[&gone]), settings());
    last.settle(&mut account);
    last.assert_converged();
    assert_eq!(labelled(&mut account, &pods), []);
    assert!(account.take_changes().contains(&"DeleteSecurityGroup"));
}

/// The same group, after a look for drift that found it in no list.
#[test]
fn a_rule_in_a_group_without_the_tag_goes_after_a_look_for_drift() {
    let mut account = Account::new();
    let pods = add_group(&mut account);
    add_pod(&mut account, "192.168.110.30", std::slice::from_ref(&pods));
    let mut settings = settings();
    settings.drift_interval_ms = Some(60_000);
    let text = of_pod("192.168.110.30");
    let mut run = Run::start(&account, snapshot(&[&text]), settings);
    run.settle(&mut account);
    assert_eq!(labelled(&mut account, &pods).len(), 1);
    // Its only pod goes in the middle of the look.
    let looks = |call: &AwsCall| matches!(call, AwsCall::DescribeNodeSecurityGroups { .. });
    let mut has_looked = false;
    while !has_looked {
        assert!(run.turn(&mut |now, call| {
            has_looked |= looks(call);
            account.answer(now, call)
        }));
    }
    run.edit(&[ALB]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(labelled(&mut account, &pods), []);
}

/// Somebody's listener forwards to a target group of ours.
fn listener_by_hand(account: &mut Account, run: &Run) -> ListenerArn {
    let stacks = &run.reconciler.known().stacks;
    let web = stacks
        .values()
        .find(|s| !s.load_balancers.is_empty())
        .unwrap();
    let call = AwsCall::CreateListener {
        load_balancer: Ref::Known(web.load_balancers[0].arn.clone()),
        port: Port::new(8444_u16).unwrap(),
        protocol: Protocol::Http,
        default_action: Action::Forward(Forward {
            target_groups: vec![WeightedTargetGroup {
                target_group: Ref::Known(web.target_groups[0].arn.clone()),
                weight: None,
            }],
            stickiness: None,
        }),
        default_certificate: None,
        ssl_policy: None,
        alpn_policy: None,
        mutual_authentication: None,
        tags: Tags::new(),
    };
    match account.answer(account.now, &call) {
        Ok(AwsAnswer::ListenerCreated(listener)) => listener,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn what_somebodys_listener_holds_is_told_and_asked_for_ever_less_often() {
    /// Tries of twenty seconds at most, each with a look before it, with five minutes in between.
    const CALLS_PER_HOUR_MAX: usize = 300;
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    run.assert_converged();
    let listener = listener_by_hand(&mut account, &run);
    let without_route = ALB.replace("parentRefs: [{name: web}]", "parentRefs: [{name: other}]");
    run.edit(&[&without_route, NLB]);
    let pass = |run: &mut Run, account: &mut Account, minutes: u64| {
        let until = run.now().plus_millis(minutes * 60_000);
        while run.now() < until {
            assert!(run.turn(&mut |now, call| account.answer(now, call)));
        }
    };
    pass(&mut run, &mut account, 30);
    account.take_operations();
    pass(&mut run, &mut account, 60);
    let operations = account.take_operations();
    let n_deletes = operations
        .iter()
        .filter(|o| **o == "DeleteTargetGroup")
        .count();
    assert!(n_deletes > 0, "it is tried again");
    assert!(
        operations.len() < CALLS_PER_HOUR_MAX,
        "{} calls",
        operations.len()
    );
    let reports = run.effects.iter().rev();
    let mut reports = reports.filter_map(|effect| match effect {
        Effect::Report { gateway, report } if gateway.name == "web" => Some(report),
        _ => None,
    });
    let failure = reports.next().and_then(|report| Report::failure(report));
    assert!(failure.is_some_and(|words| words.contains("DeleteTargetGroup")));
    let others: BTreeSet<Unit> = run
        .results()
        .into_iter()
        .filter(|(_, result)| !matches!(result, RoundResult::Converged { .. }))
        .map(|(unit, _)| unit)
        .collect();
    let web = Unit::Gateway(elbow_api::NamespacedName::new("app", "web"));
    assert_eq!(others, BTreeSet::from([web]), "nobody else is held up");

    let listener = Ref::Known(listener);
    account
        .answer(account.now, &AwsCall::DeleteListener { listener })
        .unwrap();
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(
        planned_from_scratch(&mut account, &snapshot(&[&without_route, NLB])),
        Vec::<String>::new()
    );
}

/// The address of a pod that is gone comes back on an interface of the new pod's own: its node, which had the
/// address, is not believed any more.
#[test]
fn an_address_that_another_pod_had_is_looked_for_again() {
    let node = "i-0123456789abcdef0";
    let of_pod = |uid: &str| {
        ALB.replace(
            "- addresses: [192.168.96.10]\n  nodeName: node-0\n",
            &format!(
                "- addresses: [192.168.96.77]\n  nodeName: node-0\n  \
                 targetRef: {{kind: Pod, name: web, namespace: app, uid: {uid}}}\n"
            ),
        )
    };
    let address = "192.168.96.77".parse().unwrap();
    let mut account = Account::new();
    let pods = add_group(&mut account);
    let emulator = &mut account.emulator;
    emulator.add_instance_addresses(node, &[address]).unwrap();
    let mut run = Run::start(&account, snapshot(&[&of_pod("first")]), settings());
    run.settle(&mut account);
    run.assert_converged();
    account.take_operations();
    let emulator = &mut account.emulator;
    emulator
        .remove_instance_addresses(node, &[address].into())
        .unwrap();
    add_pod(&mut account, "192.168.96.77", std::slice::from_ref(&pods));
    run.edit(&[&of_pod("second")]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(labelled(&mut account, &pods).len(), 1);
    assert_eq!(
        planned_from_scratch(&mut account, &snapshot(&[&of_pod("second")])),
        Vec::<String>::new()
    );
}
