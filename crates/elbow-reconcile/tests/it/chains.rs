//! Load balancers in front of others, and target groups of somebody else's.

use elbow_emulator::{Config, HealthMode, Latencies};
use elbow_model::rule::{Action, FixedResponse};
use elbow_model::stack::{
    HealthCheck, IpAddressType, LoadBalancerType, Protocol, Scheme, SubnetMapping, TargetFamily,
    TargetType,
};
use elbow_model::{
    AwsAnswer, AwsCall, LoadBalancerArn, Port, StackId, StackKind, Tags, TargetGroupArn, VpcId,
};

use crate::account::{ALB, Account, NLB, Run, planned_from_scratch, settings, snapshot};

/// The NLB in front of port 80 of the ALB.
fn in_front() -> String {
    let backend = "backendRefs: [{name: tcp, port: 9000}]";
    assert!(NLB.contains(backend));
    NLB.replace(
        backend,
        "backendRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: web, port: 80}]",
    )
}

fn stack(kind: StackKind, name: &str) -> StackId {
    StackId::new(kind, "app", name)
}

/// The ALB that is there.
fn balancer(run: &Run) -> Option<LoadBalancerArn> {
    let stacks = &run.reconciler.known().stacks;
    let known = stacks.get(&stack(StackKind::AlbGateway, "web"))?;
    Some(known.load_balancers.first()?.arn.clone())
}

/// What is registered in groups of load balancers, as the emulator has it.
fn registered(run: &Run, account: &mut Account) -> Vec<String> {
    let stacks = &run.reconciler.known().stacks;
    let known = &stacks[&stack(StackKind::NlbGateway, "tcp")];
    let groups = known.target_groups.iter();
    let groups = groups.filter(|group| group.target_type == TargetType::Alb);
    let groups: Vec<TargetGroupArn> = groups.map(|group| group.arn.clone()).collect();
    let mut targets = Vec::new();
    for target_group in groups {
        let call = AwsCall::DescribeTargetHealth { target_group };
        match account.answer(account.now, &call).unwrap() {
            AwsAnswer::TargetHealth(found) => {
                targets.extend(found.into_iter().map(|target| target.target.id));
            }
            other => unreachable!("{other:?}"),
        }
    }
    targets
}

#[test]
fn an_alb_is_registered_when_it_serves_and_a_restart_changes_nothing() {
    let mut account = Account::with(Config {
        health: HealthMode::AssumeHealthy,
        latencies: Latencies {
            application_load_balancer_provisioning_ms: 90_000,
            ..Latencies::instant()
        },
        ..Config::default()
    });
    let objects = snapshot(&[ALB, &in_front()]);
    let mut run = Run::start(&account, objects.clone(), settings());
    run.settle(&mut account);
    run.assert_converged();
    let arn = balancer(&run).unwrap().to_string();
    assert_eq!(registered(&run, &mut account), [arn]);
    assert_eq!(
        planned_from_scratch(&mut account, &objects),
        Vec::<String>::new()
    );

    account.take_changes();
    let mut again = Run::start(&account, objects, settings());
    again.settle(&mut account);
    again.assert_converged();
    assert_eq!(again.planned(), Vec::<String>::new());
    assert_eq!(account.take_changes(), Vec::<&str>::new());
}

#[test]
fn an_alb_that_is_a_target_is_deleted_once_the_nlb_has_let_go_of_it() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB, &in_front()]), settings());
    run.settle(&mut account);
    let gateway = ALB.find("kind: Gateway\nmetadata: {name: web").unwrap();
    let start = ALB[..gateway].rfind("---").unwrap();
    let end = gateway + ALB[gateway..].find("---").unwrap();
    let without = format!("{}{}", &ALB[..start], &ALB[end..]);
    run.edit(&[&without, &in_front()]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(balancer(&run), None);
    assert_eq!(registered(&run, &mut account), Vec::<String>::new());
    // The rest in the other order: nothing is left.
    run.edit(&[&without]);
    run.settle(&mut account);
    run.assert_converged();
    let stacks = &run.reconciler.known().stacks;
    assert!(stacks.is_empty(), "{:?}", stacks.keys());
}

/// Somebody else's ALB with a listener on port 80.
fn other_balancer(account: &mut Account, name: &str) -> LoadBalancerArn {
    let look = AwsCall::DescribeSubnets {
        vpc_id: VpcId::new("vpc-0123456789abcdef0"),
        marker: None,
    };
    let AwsAnswer::Subnets(subnets) = account.answer(account.now, &look).unwrap() else {
        unreachable!("subnets are described");
    };
    let mut zones = std::collections::BTreeMap::new();
    for subnet in subnets.items {
        zones.entry(subnet.availability_zone).or_insert(subnet.id);
    }
    let create = AwsCall::CreateLoadBalancer {
        name: name.to_owned(),
        lb_type: LoadBalancerType::Application,
        scheme: Scheme::Internal,
        ip_address_type: IpAddressType::Ipv4,
        subnets: zones.into_values().map(SubnetMapping::of).collect(),
        security_groups: Vec::new(),
        tags: Tags::new(),
    };
    let AwsAnswer::LoadBalancerCreated(created) = account.answer(account.now, &create).unwrap()
    else {
        unreachable!("a load balancer is created");
    };
    let listener = AwsCall::CreateListener {
        load_balancer: created.arn.clone().into(),
        port: Port::new(80_u16).unwrap(),
        protocol: Protocol::Http,
        default_action: Action::FixedResponse(FixedResponse::plain(200)),
        default_certificate: None,
        ssl_policy: None,
        alpn_policy: None,
        mutual_authentication: None,
        tags: Tags::new(),
    };
    account.answer(account.now, &listener).unwrap();
    created.arn
}

/// A Gateway that somebody else looks after, and what its condition says.
fn others_gateway(arn: &LoadBalancerArn) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: other}}
spec: {{controllerName: example.com/other}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web, namespace: app}}
spec:
  gatewayClassName: other
  listeners: [{{name: http, protocol: HTTP, port: 80}}]
status:
  conditions:
  - {{type: Programmed, status: 'True', reason: Programmed, lastTransitionTime: '2026-01-01T00:00:00Z', message: '{arn}'}}
"
    )
}

#[test]
fn what_the_condition_of_somebody_elses_gateway_says_is_followed() {
    let mut account = Account::new();
    let [first, second] = ["first", "second"].map(|name| other_balancer(&mut account, name));
    let texts = [others_gateway(&first), in_front()];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut run = Run::start(&account, snapshot(&texts), settings());
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(registered(&run, &mut account), [first.to_string()]);

    let gateway = others_gateway(&second);
    run.edit(&[&gateway, &in_front()]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(registered(&run, &mut account), [second.to_string()]);
}

fn legacy() -> AwsCall {
    AwsCall::CreateTargetGroup {
        name: "legacy".to_owned(),
        target_type: TargetType::Ip,
        protocol: Protocol::Tcp,
        protocol_version: None,
        port: Port::new(9000_u16).unwrap(),
        ip_address_type: TargetFamily::Ipv4,
        vpc_id: VpcId::new("vpc-0123456789abcdef0"),
        health_check: HealthCheck {
            port: "traffic-port".to_owned(),
            protocol: Protocol::Tcp,
            path: None,
            matcher: None,
            interval_seconds: 30,
            timeout_seconds: 10,
            healthy_threshold_count: 3,
            unhealthy_threshold_count: 3,
        },
        tags: Tags::new(),
    }
}

#[test]
fn a_target_group_of_somebody_elses_may_be_made_anew() {
    let mut account = Account::new();
    let AwsAnswer::TargetGroupCreated(old) = account.answer(account.now, &legacy()).unwrap() else {
        unreachable!("a target group is created");
    };
    let nlb = NLB.replace(
        "{name: tcp, port: 9000}",
        "{kind: TargetGroupName, name: legacy}",
    );
    let mut run = Run::start(&account, snapshot(&[&nlb]), settings());
    let mut was_replaced = false;
    run.settle_with(&mut |now, call| {
        if matches!(call, AwsCall::CreateListener { .. }) && !was_replaced {
            was_replaced = true;
            let target_group = old.clone().into();
            account.answer(now, &AwsCall::DeleteTargetGroup { target_group })?;
            account.answer(now, &legacy())?;
        }
        account.answer(now, call)
    });
    assert!(was_replaced);
    run.assert_converged();
}
