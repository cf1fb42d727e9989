//! Rules in the security groups of nodes and pods: when they come and go, and whose they are.

use std::collections::BTreeSet;

use elbow_emulator::world::{InstanceSpec, SecurityGroupSpec};
use elbow_model::stack::{IngressRule, IngressSource, NODE_RULE_LABEL};
use elbow_model::{AwsAnswer, AwsCall, AwsError, ErrorClass, SecurityGroupId, VpcId};
use elbow_reconcile::{Effect, Report, RoundResult, Unit};
use elbow_translate::BackendSecurityGroup;

use crate::account::{ALB, Account, NLB, Run, planned_from_scratch, settings, snapshot};

/// The rules of the nodes' group: protocol, ports, and whether they are ours.
fn rules(account: &mut Account) -> Vec<String> {
    let group = node_group(account);
    let line = |rule: &IngressRule| {
        let (from, to) = (rule.from_port.unwrap(), rule.to_port.unwrap());
        let whose = if rule.is_node_rule() {
            ""
        } else {
            " somebody's"
        };
        format!("{} {from}-{to}{whose}", rule.protocol)
    };
    group.ingress.iter().map(line).collect()
}

fn node_group(account: &mut Account) -> elbow_model::observed::ObservedSecurityGroup {
    let call = AwsCall::DescribeNodeSecurityGroups {
        vpc_id: VpcId::new("vpc-0123456789abcdef0"),
        cluster_name: "demo".to_owned(),
        marker: None,
    };
    let answer = account.answer(account.now, &call);
    account.calls.pop();
    match answer {
        Ok(AwsAnswer::SecurityGroups(mut page)) => page.items.remove(0),
        other => unreachable!("{other:?}"),
    }
}

fn rule(from: i32, to: i32, source: IngressSource, label: Option<&str>) -> IngressRule {
    IngressRule {
        protocol: "tcp".to_owned(),
        from_port: Some(from),
        to_port: Some(to),
        source,
        description: label.map(str::to_owned),
    }
}

fn block() -> IngressSource {
    IngressSource::Ipv4("10.0.0.0/8".to_owned())
}

fn authorize(account: &mut Account, group: &SecurityGroupId, rule: IngressRule) {
    let call = AwsCall::AuthorizeSecurityGroupIngress {
        group: group.clone().into(),
        rules: vec![rule],
    };
    account.answer(account.now, &call).unwrap();
    account.calls.clear();
}

pub(crate) fn without(text: &str, kind: &str) -> String {
    let documents = text.split("---\n");
    let kept: Vec<&str> = documents
        .filter(|d| !d.contains(&format!("kind: {kind}\n")))
        .collect();
    kept.join("---\n")
}

/// The last report of a Gateway.
fn report(run: &Run, name: &str) -> Report {
    let mut reports = run.effects.iter().rev();
    let found = reports.find_map(|effect| match effect {
        Effect::Report { gateway, report } if gateway.name == name => Some(report),
        _ => None,
    });
    found.unwrap().as_ref().clone()
}

fn moved(text: &str) -> String {
    text.replace("targetPort: 8080", "targetPort: 8443")
        .replace("port: 8080", "port: 8443")
}

#[test]
fn two_gateways_share_one_rule_and_what_is_not_ours_stays() {
    let mut account = Account::new();
    let group = node_group(&mut account).id;
    authorize(&mut account, &group, rule(22, 22, block(), None));
    authorize(
        &mut account,
        &group,
        rule(7000, 7000, block(), Some(NODE_RULE_LABEL)),
    );
    let mut run = Run::start(&account, snapshot(&[ALB, NLB]), settings());
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(
        rules(&mut account),
        ["tcp 22-22 somebody's", "tcp 8080-9000"],
        "a rule that nobody needs any more went"
    );
    let left = planned_from_scratch(&mut account, &snapshot(&[ALB, NLB]));
    assert_eq!(left, Vec::<String>::new());

    // One of them goes.
    run.edit(&[&without(ALB, "Gateway"), NLB]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(
        rules(&mut account),
        ["tcp 22-22 somebody's", "tcp 9000-9000"]
    );

    // The other one goes, and the group that was let in after the rule that names it.
    account.take_operations();
    run.edit(&[&without(ALB, "Gateway"), &without(NLB, "Gateway")]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(rules(&mut account), ["tcp 22-22 somebody's"]);
    let changes = account.take_changes();
    let revoked = changes
        .iter()
        .position(|o| *o == "RevokeSecurityGroupIngress");
    let balancer = changes.iter().position(|o| *o == "DeleteLoadBalancer");
    let last = changes.iter().rposition(|o| *o == "DeleteSecurityGroup");
    assert!(balancer < revoked && revoked < last, "{changes:?}");
}

/// What LBC left is one rule over the ports of all bindings; none of them is computed alone.
#[test]
fn a_change_over_finds_nothing_to_do() {
    let mut account = Account::new();
    let objects = [ALB, NLB];
    let mut run = Run::start(&account, snapshot(&objects), settings());
    run.settle(&mut account);
    assert_eq!(rules(&mut account), ["tcp 8080-9000"]);
    account.take_operations();
    let mut next = Run::start(&account, snapshot(&objects), settings());
    next.settle(&mut account);
    next.assert_converged();
    assert_eq!(account.take_changes(), Vec::<&str>::new());

    // A fresh change before all was looked at adds what it needs and nothing else; with everything known,
    // what is not needed goes.
    let mut next = Run::start(&account, snapshot(&objects), settings());
    for _ in 0..6 {
        next.turn(&mut |now, call| account.answer(now, call));
    }
    next.edit(&[&moved(ALB), NLB]);
    next.settle(&mut account);
    next.assert_converged();
    assert_eq!(rules(&mut account), ["tcp 8443-9000"]);
}

#[test]
fn a_rule_comes_before_targets_are_waited_for_and_goes_after_the_old_ones() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    account.take_operations();
    run.edit(&[&moved(ALB)]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(rules(&mut account), ["tcp 8443-8443"]);
    let operations = account.take_operations();
    let position = |wanted: &str| operations.iter().position(|o| *o == wanted).unwrap();
    let healthy = position("DescribeTargetHealth");
    assert!(
        position("AuthorizeSecurityGroupIngress") < healthy,
        "{operations:?}"
    );
    assert!(
        position("DeleteTargetGroup") < position("RevokeSecurityGroupIngress"),
        "{operations:?}"
    );
}

#[test]
fn the_rules_of_a_gateway_of_which_nothing_can_be_said_stay() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB, NLB]), settings());
    run.settle(&mut account);
    let blocked = without(ALB, "LoadBalancerConfiguration");
    let gone = without(NLB, "Gateway");
    for texts in [[blocked.as_str(), NLB], [blocked.as_str(), gone.as_str()]] {
        run.edit(&texts);
        run.settle(&mut account);
        let first = rules(&mut account)[0].clone();
        assert!(first.starts_with("tcp 8080-"), "{first}");
    }
    // A machine that knows nothing of what the blocked Gateway needs takes nothing away.
    let before = rules(&mut account);
    let mut next = Run::start(&account, snapshot(&[&blocked, &gone]), settings());
    next.settle(&mut account);
    let web = Unit::Gateway(elbow_api::NamespacedName::new("app", "web"));
    assert_eq!(next.results().get(&web), Some(&RoundResult::Blocked));
    assert_eq!(rules(&mut account), before);
}

#[test]
fn what_aws_denies_reaches_the_gateway_and_targets_move_all_the_same() {
    for denied in ["AuthorizeSecurityGroupIngress", "DescribeInstances"] {
        let mut account = Account::new();
        let mut run = Run::start(&account, snapshot(&[ALB]), settings());
        run.settle(&mut account);
        account.take_operations();
        let mut n_denied = 0;
        let mut text = moved(ALB);
        text = text.replace("192.168.96.10", "192.168.110.30");
        let group = node_group(&mut account).id;
        add_pod(&mut account, "192.168.110.30", &[group]);
        run.edit(&[&text]);
        while n_denied < 3 {
            assert!(run.turn(&mut |now, call| {
                let of_nodes = call.operation() == denied;
                if of_nodes {
                    n_denied += 1;
                    return Err(AwsError::new(ErrorClass::Denied, "Denied", "no"));
                }
                account.answer(now, call)
            }));
        }
        assert!(
            account.take_operations().contains(&"RegisterTargets"),
            "{denied}"
        );
        let failure = report(&run, "web").failure();
        assert!(
            failure.is_some_and(|words| words.contains("no")),
            "{denied}"
        );
        run.settle(&mut account);
        run.assert_converged();
        assert_eq!(report(&run, "web").failure(), None, "{denied}");
        assert_eq!(rules(&mut account), ["tcp 8443-8443"], "{denied}");
    }
}

/// A pod with a network interface of its own.
pub(crate) fn add_pod(account: &mut Account, address: &str, groups: &[SecurityGroupId]) -> String {
    let call = AwsCall::DescribeSubnets {
        vpc_id: VpcId::new("vpc-0123456789abcdef0"),
        marker: None,
    };
    let Ok(AwsAnswer::Subnets(page)) = account.answer(account.now, &call) else {
        unreachable!("no subnets");
    };
    account.calls.pop();
    let subnet = page.items.iter().find(|s| s.ipv4_cidr == "192.168.96.0/19");
    let spec = InstanceSpec {
        private_ip: Some(address.parse().unwrap()),
        security_groups: groups.iter().map(ToString::to_string).collect(),
        ..InstanceSpec::new(subnet.unwrap().id.to_string())
    };
    account.emulator.add_instance(spec).unwrap()
}

fn add_group(account: &mut Account, name: &str, tags: &[(&str, &str)]) -> SecurityGroupId {
    let tag = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let spec = SecurityGroupSpec {
        id: None,
        name: name.to_owned(),
        description: name.to_owned(),
        vpc_id: "vpc-0123456789abcdef0".to_owned(),
        tags: tags.iter().map(tag).collect(),
    };
    SecurityGroupId::new(account.emulator.add_security_group(spec).unwrap())
}

#[test]
fn pods_with_groups_of_their_own_are_let_in_there() {
    let mut account = Account::new();
    let alone = add_group(&mut account, "alone", &[]);
    let nodes = node_group(&mut account).id;
    add_pod(&mut account, "192.168.110.30", std::slice::from_ref(&alone));
    add_pod(&mut account, "192.168.110.31", &[alone.clone(), nodes]);
    let text = ALB.replace(
        "- addresses: [192.168.96.10]\n  nodeName: node-0\n",
        "- addresses: [192.168.110.30]\n  nodeName: node-0\n  conditions: {ready: true}\n\
         - addresses: [192.168.110.31]\n",
    );
    let mut run = Run::start(&account, snapshot(&[&text]), settings());
    run.settle(&mut account);
    run.assert_converged();
    let of = |run: &Run, id: &SecurityGroupId| {
        let group = run.reconciler.known().node_groups.get(id);
        group.map(|group| group.ingress.len())
    };
    assert_eq!(of(&run, &alone), Some(1), "an interface with one group");
    assert_eq!(
        rules(&mut account),
        ["tcp 8080-8080"],
        "of two groups, the one with the cluster's tag"
    );
    assert_eq!(
        planned_from_scratch(&mut account, &snapshot(&[&text])),
        Vec::<String>::new()
    );
    let operations: BTreeSet<&str> = account.take_operations().into_iter().collect();
    assert!(operations.contains("DescribeNetworkInterfaces"));
    // They go, and the rule of a group that no list tells of with them.
    run.edit(&[ALB]);
    run.settle(&mut account);
    assert_eq!(of(&run, &alone), Some(0));
}

/// SageMaker HyperPod: the instances are in another account, their interfaces in the VPC.
#[test]
fn pods_in_a_prefix_of_a_node_of_another_account_are_let_in() {
    let mut account = Account::new();
    let alone = add_group(&mut account, "alone", &[]);
    let interface = add_pod(&mut account, "192.168.110.40", std::slice::from_ref(&alone));
    let prefix = "192.168.111.0/28".parse().unwrap();
    account
        .emulator
        .add_instance_prefixes(&interface, prefix)
        .unwrap();
    let node = "apiVersion: v1\nkind: Node\nmetadata: {name: hyper}\n\
         spec: {providerID: 'aws:///use1-az1/sagemaker/cluster/hyperpod-1-i-0abc'}\n\
         status: {addresses: [{type: InternalIP, address: 192.168.110.40}]}\n";
    let text = ALB.replace(
        "- addresses: [192.168.96.10]\n  nodeName: node-0\n",
        "- addresses: [192.168.111.5]\n  nodeName: hyper\n",
    );
    let mut run = Run::start(&account, snapshot(&[&text, node]), settings());
    run.settle(&mut account);
    run.assert_converged();
    let known = &run.reconciler.known().node_groups;
    assert_eq!(known[&alone].ingress.len(), 1);
    assert_eq!(report(&run, "web").diagnostics().count(), 0);
}

#[test]
fn of_several_groups_that_could_be_meant_none_is_changed_and_the_gateway_is_told() {
    let mut account = Account::new();
    let second = add_group(
        &mut account,
        "second",
        &[("kubernetes.io/cluster/demo", "shared")],
    );
    let nodes = {
        let known = node_groups(&mut account);
        known.into_iter().find(|id| *id != second).unwrap()
    };
    add_pod(&mut account, "192.168.110.30", &[nodes, second]);
    let text = ALB.replace("192.168.96.10", "192.168.110.30");
    let text = text.replace("  nodeName: node-0\n", "");
    let mut run = Run::start(&account, snapshot(&[&text]), settings());
    run.settle(&mut account);
    run.assert_converged();
    assert!(account.take_operations().contains(&"RegisterTargets"));
    let report = report(&run, "web");
    let found: Vec<_> = report.diagnostics().map(|d| d.code).collect();
    assert_eq!(found, ["failed-network-reconcile"]);
    let groups = run.reconciler.known().node_groups.values();
    assert_eq!(groups.map(|group| group.ingress.len()).sum::<usize>(), 0);
    // The tag that tells is a setting.
    let mut told = settings();
    told.translate.node_group_tags = [("for".to_owned(), "pods".to_owned())].into();
    let group = add_group(
        &mut account,
        "third",
        &[("kubernetes.io/cluster/demo", "shared"), ("for", "pods")],
    );
    let others = node_groups(&mut account);
    add_pod(&mut account, "192.168.110.31", &others);
    let text = text.replace("192.168.110.30", "192.168.110.31");
    let mut run = Run::start(&account, snapshot(&[&text]), told);
    run.settle(&mut account);
    let known = &run.reconciler.known().node_groups;
    assert_eq!(known[&group].ingress.len(), 1);
}

fn node_groups(account: &mut Account) -> Vec<SecurityGroupId> {
    let call = AwsCall::DescribeNodeSecurityGroups {
        vpc_id: VpcId::new("vpc-0123456789abcdef0"),
        cluster_name: "demo".to_owned(),
        marker: None,
    };
    match account.answer(account.now, &call) {
        Ok(AwsAnswer::SecurityGroups(page)) => page.items.into_iter().map(|g| g.id).collect(),
        other => unreachable!("{other:?}"),
    }
}

/// EC2 may know the address of a new pod a moment later than Kubernetes.
#[test]
fn an_address_that_is_not_known_yet_is_looked_for_again() {
    let mut account = Account::new();
    let group = add_group(&mut account, "late", &[]);
    let text = ALB.replace("192.168.96.10", "192.168.110.30");
    let mut run = Run::start(&account, snapshot(&[&text]), settings());
    let start = account.now;
    let mut is_there = false;
    while !run.reconciler.is_quiet() {
        let turned = run.turn(&mut |now, call| {
            if now > start && !is_there {
                add_pod(&mut account, "192.168.110.30", std::slice::from_ref(&group));
                is_there = true;
            }
            account.answer(now, call)
        });
        assert!(turned);
    }
    assert!(is_there, "it waited");
    assert_eq!(report(&run, "web").diagnostics().count(), 0);
    let known = &run.reconciler.known().node_groups;
    assert_eq!(known[&group].ingress.len(), 1);
    // One that never comes is told, and all else is at rest.
    let text = ALB.replace("192.168.96.10", "192.168.96.99");
    run.edit(&[&text]);
    run.settle(&mut account);
    let report = report(&run, "web");
    let found: Vec<_> = report.diagnostics().map(|d| d.code).collect();
    assert_eq!(found, ["failed-network-reconcile"]);
    let known = &run.reconciler.known().node_groups;
    assert_eq!(
        known[&group].ingress.len(),
        1,
        "a rule that it may need stays"
    );
}

/// Looking at 500 pods takes as many calls as filters have room for, and no more at the next change.
#[test]
fn many_pods_take_few_calls() {
    let mut account = Account::new();
    let addresses: Vec<String> = (0..500)
        .map(|n| format!("192.168.{}.{}", 97 + n / 250, 1 + n % 250))
        .collect();
    let instance = "i-0123456789abcdef0";
    let all: Vec<std::net::Ipv4Addr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
    account
        .emulator
        .add_instance_addresses(instance, &all)
        .unwrap();
    let with = |addresses: &[String]| {
        let endpoints: Vec<String> = addresses
            .iter()
            .map(|address| format!("- addresses: [{address}]\n  conditions: {{ready: true}}\n"))
            .collect();
        ALB.replace(
            "- addresses: [192.168.96.10]\n  nodeName: node-0\n  conditions: {ready: true}\n",
            &endpoints.concat(),
        )
    };
    let mut run = Run::start(&account, snapshot(&[&with(&addresses[1..])]), settings());
    run.settle(&mut account);
    run.assert_converged();
    let count = |operations: &[&str]| {
        let of_endpoints = ["DescribeNetworkInterfaces", "DescribeInstances"];
        let counted = operations.iter().filter(|o| of_endpoints.contains(o));
        counted.count()
    };
    assert_eq!(count(&account.take_operations()), 3);
    run.edit(&[&with(&addresses)]);
    run.settle(&mut account);
    assert_eq!(count(&account.take_operations()), 1);
}

/// Where load balancers have no group in common, rules name the group of each: it goes with its load
/// balancer, and the rules before it.
#[test]
fn rules_that_name_a_gateways_own_group_go_before_it() {
    let own = || {
        let mut settings = settings();
        settings.translate.backend_security_group = BackendSecurityGroup::Disabled;
        settings
    };
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), own());
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(rules(&mut account), ["tcp 8080-8080"]);
    run.edit(&[&without(ALB, "Gateway")]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(rules(&mut account), Vec::<String>::new());
    assert!(run.reconciler.known().stacks.is_empty());
}

#[test]
fn a_plan_shows_the_rules_that_go_with_the_last_gateway() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    run.settle(&mut account);
    let plan = planned_from_scratch(&mut account, &snapshot(&[&without(ALB, "Gateway")]));
    let of_nodes = plan.iter().filter(|step| step.contains("eks-cluster-sg"));
    assert_eq!(of_nodes.count(), 1, "{plan:#?}");
}

/// A binding that was never in force has needed nothing; one that was keeps what it may need.
#[test]
fn a_refused_binding_holds_no_rules_unless_it_was_in_force() {
    for was_in_force in [false, true] {
        let mut account = Account::new();
        let mut settings = settings();
        settings.protection = elbow_reconcile::Protection::Finalizer;
        let text = ALB.replace(
            "kind: Gateway\nmetadata: {name: web, namespace: app}",
            "kind: Gateway\nmetadata: {name: web, namespace: app, finalizers: [gateway.k8s.aws/alb]}",
        );
        let finalizers = if was_in_force {
            ", finalizers: [elbv2.k8s.aws/resources]"
        } else {
            ""
        };
        let refused = format!(
            "apiVersion: elbv2.k8s.aws/v1beta1\nkind: TargetGroupBinding\n\
             metadata: {{name: other, namespace: app{finalizers}}}\n\
             spec: {{targetGroupName: none, serviceRef: {{name: web, port: 80}}}}"
        );
        let mut run = Run::start(&account, snapshot(&[&text, &refused]), settings);
        run.settle(&mut account);
        assert_eq!(rules(&mut account).len(), 1);
        let moved = text.replace("targetPort: 8080", "targetPort: 8090");
        let moved = moved.replace("port: 8080, protocol: TCP}]", "port: 8090, protocol: TCP}]");
        assert_ne!(moved, text);
        run.edit(&[&moved, &refused]);
        run.settle(&mut account);
        let n_rules = if was_in_force { 2 } else { 1 };
        assert_eq!(rules(&mut account).len(), n_rules, "{was_in_force}");
    }
}
