//! Stacks in a few words.

use std::collections::BTreeSet;

use elbow_model::observed::ObservedTargetGroup;
use elbow_model::rule::{Action, Condition, FixedResponse, Forward, Pattern, WeightedTargetGroup};
use elbow_model::stack::{
    BACKEND_SECURITY_GROUP, Cause, HealthCheck, IngressRule, IngressSource, IpAddressType,
    LOAD_BALANCER, Listener, LoadBalancer, LoadBalancerType, MANAGED_SECURITY_GROUP, Matcher,
    Protocol, ProtocolVersion, Rule, Scheme, SecurityGroup, SubnetMapping, Target, TargetFamily,
    TargetGroup, TargetType,
};
use elbow_model::{
    Attributes, CertificateArn, MutualAuthentication, Port, Ref, ResourceId, ResourceKey,
    ResourceKind, Stack, StackId, StackKind, SubnetId, Tags, VpcId,
};
use elbow_plan::{ClusterView, Input, Plan, Policy, StepKind, lint, plan_stack};

use crate::apply::World;

pub(crate) const CLUSTER: &str = "test";

pub(crate) fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

pub(crate) fn cause(kind: &str, name: &str) -> Vec<Cause> {
    vec![Cause {
        kind: kind.to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }]
}

pub(crate) fn tags(id: &StackId, resource: &str) -> Tags {
    id.tracking_tags(CLUSTER, &ResourceId::new(resource))
}

pub(crate) fn target(id: &str) -> Target {
    Target {
        id: id.to_owned(),
        port: port(8080),
        availability_zone: None,
        quic_server_id: None,
    }
}

/// A Stack of an ALB with its own security group, without listeners.
pub(crate) fn alb() -> Stack {
    let id = StackId::new(StackKind::AlbGateway, "default", "web");
    stack(&id, LoadBalancerType::Application)
}

/// A Stack of an NLB, without listeners.
pub(crate) fn nlb() -> Stack {
    let id = StackId::new(StackKind::NlbGateway, "default", "tcp");
    stack(&id, LoadBalancerType::Network)
}

fn stack(id: &StackId, lb_type: LoadBalancerType) -> Stack {
    let mut stack = Stack::empty(id.clone(), CLUSTER);
    let group = ResourceId::new(MANAGED_SECURITY_GROUP);
    stack.security_groups.insert(
        group.clone(),
        SecurityGroup {
            name: format!("k8s-default-{}-sg", id.name),
            description: "test".to_owned(),
            vpc_id: VpcId::new("vpc-1"),
            ingress: Some(vec![ingress("tcp", 80, "0.0.0.0/0")]),
            tags: tags(id, MANAGED_SECURITY_GROUP),
            causes: cause("Gateway", &id.name),
        },
    );
    stack.load_balancer = Some(LoadBalancer {
        name: format!("k8s-default-{}-int", id.name),
        lb_type,
        scheme: Scheme::Internal,
        ip_address_type: IpAddressType::Ipv4,
        subnets: ["subnet-a", "subnet-b"]
            .map(|id| SubnetMapping::of(SubnetId::new(id)))
            .to_vec(),
        security_groups: vec![Ref::Of(stack.key(ResourceKind::SecurityGroup, &group))],
        enforce_security_group_inbound_rules_on_private_link_traffic: None,
        attributes: Attributes::new(),
        tags: tags(id, LOAD_BALANCER),
        causes: cause("Gateway", &id.name),
    });
    stack
}

/// The reference to the security group that all Stacks share.
pub(crate) fn backend_security_group() -> Ref<elbow_model::SecurityGroupId> {
    Ref::Of(ResourceKey {
        stack: StackId::CLUSTER,
        kind: ResourceKind::SecurityGroup,
        id: ResourceId::new(BACKEND_SECURITY_GROUP),
    })
}

/// The Stack of what all Stacks share.
pub(crate) fn cluster() -> Stack {
    let mut stack = Stack::empty(StackId::CLUSTER, CLUSTER);
    stack.security_groups.insert(
        ResourceId::new(BACKEND_SECURITY_GROUP),
        SecurityGroup {
            name: "k8s-traffic-test".to_owned(),
            description: "test".to_owned(),
            vpc_id: VpcId::new("vpc-1"),
            ingress: None,
            tags: tags(&StackId::CLUSTER, BACKEND_SECURITY_GROUP),
            causes: Vec::new(),
        },
    );
    stack
}

pub(crate) fn ingress(protocol: &str, port: i32, cidr: &str) -> IngressRule {
    IngressRule {
        description: None,
        protocol: protocol.to_owned(),
        from_port: Some(port),
        to_port: Some(port),
        source: IngressSource::Ipv4(cidr.to_owned()),
    }
}

pub(crate) fn lb(stack: &mut Stack) -> &mut LoadBalancer {
    stack.load_balancer.as_mut().unwrap()
}

pub(crate) fn group<'a>(stack: &'a mut Stack, id: &str) -> &'a mut TargetGroup {
    stack.target_groups.get_mut(&ResourceId::new(id)).unwrap()
}

/// Adds a target group with one target.
pub(crate) fn add_group(stack: &mut Stack, id: &str) {
    let network = lb(stack).lb_type == LoadBalancerType::Network;
    let protocol = if network {
        Protocol::Tcp
    } else {
        Protocol::Http
    };
    let group = TargetGroup {
        name: format!("k8s-default-{id}-0123456789"),
        target_type: TargetType::Ip,
        protocol,
        protocol_version: (!network).then_some(ProtocolVersion::Http1),
        port: port(8080),
        ip_address_type: TargetFamily::Ipv4,
        vpc_id: VpcId::new("vpc-1"),
        health_check: HealthCheck {
            port: "traffic-port".to_owned(),
            protocol,
            path: (!network).then(|| "/".to_owned()),
            matcher: (!network).then(|| Matcher::HttpCode("200-399".to_owned())),
            interval_seconds: 15,
            timeout_seconds: 5,
            healthy_threshold_count: 3,
            unhealthy_threshold_count: 3,
        },
        attributes: Attributes::new(),
        tags: tags(&stack.id, id),
        targets: vec![target(&format!("10.0.0.{}", stack.target_groups.len() + 1))],
        sharing: elbow_model::stack::Sharing::Exclusive,
        causes: cause("Service", id),
    };
    stack.target_groups.insert(ResourceId::new(id), group);
}

/// AWS takes one load balancer in a group.
pub(crate) fn check_room(group: &ObservedTargetGroup, more: &[Target]) -> Result<(), String> {
    let there = group.targets.iter().map(|there| &there.target);
    let ids: BTreeSet<&str> = there.chain(more).map(|target| target.id.as_str()).collect();
    if group.target_type == TargetType::Alb && ids.len() > 1 {
        return Err("TooManyTargets".to_owned());
    }
    Ok(())
}

pub(crate) fn forward(stack: &Stack, groups: &[(&str, u16)]) -> Action {
    Action::Forward(Forward {
        target_groups: groups
            .iter()
            .map(|(id, weight)| WeightedTargetGroup {
                target_group: Ref::Of(stack.key(ResourceKind::TargetGroup, &ResourceId::new(*id))),
                weight: Some(*weight),
            })
            .collect(),
        stickiness: None,
    })
}

/// Adds a listener. An NLB's forwards to the first of the groups; an ALB's answers 404.
pub(crate) fn add_listener(stack: &mut Stack, number: u16, protocol: Protocol, default: Action) {
    let certificates = if protocol.is_secure() {
        vec![CertificateArn::new("arn:cert/a").into()]
    } else {
        Vec::new()
    };
    let listener = Listener {
        protocol,
        default_action: default,
        certificates,
        ssl_policy: protocol
            .is_secure()
            .then(|| "ELBSecurityPolicy-2016-08".to_owned()),
        alpn_policy: (protocol == Protocol::Tls).then(|| "None".to_owned()),
        mutual_authentication: MutualAuthentication::Off,
        attributes: Attributes::new(),
        tags: tags(&stack.id, &number.to_string()),
        rules: Vec::new(),
        causes: cause("Gateway", &stack.id.name.clone()),
    };
    stack.listeners.insert(port(number), listener);
}

pub(crate) fn not_found() -> Action {
    Action::FixedResponse(FixedResponse::plain(404))
}

/// Replaces the rules of a listener: a path each, and the group that answers (or `!<code>`).
pub(crate) fn set_rules(stack: &mut Stack, number: u16, rules: &[(&str, &str)]) {
    let rules = rules
        .iter()
        .zip(1..)
        .map(|((path, answer), place)| Rule {
            conditions: vec![Condition::PathPattern {
                matches: Pattern::Values(vec![(*path).to_owned()]),
            }],
            action: match answer.strip_prefix('!') {
                Some(code) => Action::FixedResponse(FixedResponse::plain(code.parse().unwrap())),
                None => forward(stack, &[(answer, 1)]),
            },
            transforms: Vec::new(),
            tags: tags(&stack.id, &format!("{number}:{place}")),
            causes: cause("HTTPRoute", answer.trim_start_matches('!')),
        })
        .collect();
    stack.listeners.get_mut(&port(number)).unwrap().rules = rules;
}

/// An ALB with port 80, groups `a` and `b`, and a rule for each.
pub(crate) fn web() -> Stack {
    let mut stack = alb();
    add_group(&mut stack, "a");
    add_group(&mut stack, "b");
    add_listener(&mut stack, 80, Protocol::Http, not_found());
    set_rules(&mut stack, 80, &[("/a/*", "a"), ("/b/*", "b")]);
    stack
}

/// An NLB with port 9000 in front of group `a`.
pub(crate) fn tcp() -> Stack {
    let mut stack = nlb();
    add_group(&mut stack, "a");
    let action = forward(&stack, &[("a", 1)]);
    add_listener(&mut stack, 9000, Protocol::Tcp, action);
    stack
}

pub(crate) fn plan_in(world: &World, stack: &Stack, policy: &Policy) -> Plan {
    let observed = world.stack(&stack.id);
    let plan = plan_stack(Input {
        desired: stack,
        observed: &observed,
        cluster: &ClusterView::of(&world.observed),
        policy,
    });
    assert_eq!(
        lint(&plan, &world.observed, CLUSTER),
        [],
        "{}",
        outline(&plan)
    );
    plan
}

/// Plans and applies, and then there is nothing left to plan.
#[track_caller]
pub(crate) fn converge(world: &mut World, stack: &Stack) -> Plan {
    let plan = plan_in(world, stack, &Policy::default());
    let outcome = world.apply(&plan);
    assert_eq!(outcome.failed, [], "{}", outline(&plan));
    assert_eq!(outcome.skipped, [], "{}", outline(&plan));
    let again = plan_in(world, stack, &Policy::default());
    assert!(
        again.is_empty(),
        "planned again:\n{}\nafter:\n{}",
        outline(&again),
        outline(&plan)
    );
    plan
}

/// A world in which this Stack was applied.
#[track_caller]
pub(crate) fn applied(stack: &Stack) -> World {
    let mut world = World::default();
    let _plan = converge(&mut world, stack);
    world
}

/// Calls and waits, a line each, with hazards.
pub(crate) fn outline(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for step in &plan.steps {
        let what = match &step.kind {
            StepKind::Call(call) => call.operation().to_owned(),
            StepKind::Wait(wait) => {
                let text = serde_json::to_value(wait).unwrap();
                format!("wait {}", text["for"].as_str().unwrap())
            }
        };
        let held = step
            .held
            .as_ref()
            .map(|held| format!(" held: {held}"))
            .unwrap_or_default();
        lines.push(format!("{what} {}{held}", step.name));
        lines.extend(step.hazards.iter().map(|hazard| format!("  ! {hazard}")));
    }
    lines.join("\n")
}
