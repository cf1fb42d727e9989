//! What a change of one thing comes to. Each case starts from a Stack that was applied, and ends with
//! nothing left to plan.

use elbow_model::stack::{Protocol, Scheme, SubnetMapping};
use elbow_model::{CertificateArn, Stack, StackId, SubnetId};
use elbow_plan::policy::{DeletionProtection, Mode, MovedRules};
use elbow_plan::{ClusterView, Input, Policy, StepKind, plan_switch, plan_targets};
use insta::assert_snapshot;

use crate::apply::World;
use crate::build::*;

/// The plan for a change of [`web`].
#[track_caller]
fn changed(change: impl FnOnce(&mut Stack)) -> String {
    let mut stack = web();
    let mut world = applied(&stack);
    change(&mut stack);
    outline(&converge(&mut world, &stack))
}

#[test]
fn first_creation() {
    let plan = converge(&mut World::default(), &web());
    assert_snapshot!(outline(&plan), @r###"
    CreateSecurityGroup k8s-default-web-sg
    AuthorizeSecurityGroupIngress k8s-default-web-sg
    CreateLoadBalancer k8s-default-web-int
    CreateTargetGroup k8s-default-a-0123456789
    RegisterTargets k8s-default-a-0123456789
    CreateTargetGroup k8s-default-b-0123456789
    RegisterTargets k8s-default-b-0123456789
    CreateListener HTTP:80
    CreateRule HTTP:80 /a/*
    CreateRule HTTP:80 /b/*
    "###);
}

#[test]
fn deletion() {
    let stack = web();
    let mut world = applied(&stack);
    let plan = converge(&mut world, &Stack::empty(stack.id.clone(), CLUSTER));
    assert_snapshot!(outline(&plan), @r###"
    DeleteLoadBalancer k8s-default-web-int
      ! deletes the load balancer: k8s-default-web-int-3.elb.example goes away
    DeleteTargetGroup k8s-default-a-0123456789
    DeleteTargetGroup k8s-default-b-0123456789
    DeleteSecurityGroup k8s-default-web-sg
    "###);
    assert_eq!(
        world.stack(&stack.id),
        elbow_model::ObservedStack::default()
    );
}

#[test]
fn in_place() {
    for (name, change, expected) in [
        (
            "load balancer attribute",
            (|s: &mut Stack| {
                lb(s)
                    .attributes
                    .insert("idle_timeout.timeout_seconds".into(), "30".into());
            }) as fn(&mut Stack),
            "ModifyLoadBalancerAttributes k8s-default-web-int",
        ),
        ("name", |s| lb(s).name = "other".into(), ""),
        (
            "subnets",
            |s| lb(s).subnets[1] = SubnetMapping::of(SubnetId::new("subnet-c")),
            "SetSubnets k8s-default-web-int\n  ! leaves subnet-b: connections through them are cut",
        ),
        (
            "address families",
            |s| lb(s).ip_address_type = elbow_model::stack::IpAddressType::Dualstack,
            "SetIpAddressType k8s-default-web-int",
        ),
        (
            "security groups",
            |s| {
                lb(s)
                    .security_groups
                    .push(elbow_model::SecurityGroupId::new("sg-x").into());
            },
            "SetSecurityGroups k8s-default-web-int",
        ),
        (
            "tag",
            |s| drop(lb(s).tags.insert("team".into(), "a".into())),
            "AddTags k8s-default-web-int",
        ),
        (
            "health check",
            |s| group(s, "a").health_check.path = Some("/up".into()),
            "ModifyTargetGroup k8s-default-a-0123456789",
        ),
        (
            "target group attribute",
            |s| {
                drop(
                    group(s, "a")
                        .attributes
                        .insert("slow_start.duration_seconds".into(), "30".into()),
                );
            },
            "ModifyTargetGroupAttributes k8s-default-a-0123456789",
        ),
        (
            "port of a group, which only new targets would take",
            |s| group(s, "a").port = port(9090),
            "",
        ),
        (
            "targets",
            |s| group(s, "a").targets = vec![target("10.0.0.9")],
            "RegisterTargets k8s-default-a-0123456789\nDeregisterTargets k8s-default-a-0123456789",
        ),
        (
            "listener attribute",
            |s| {
                let listener = s.listeners.get_mut(&port(80)).unwrap();
                listener.attributes.insert(
                    "routing.http.response.server.enabled".into(),
                    "false".into(),
                );
            },
            "ModifyListenerAttributes HTTP:80",
        ),
        (
            "ingress rules",
            |s| {
                let group = s.security_groups.values_mut().next().unwrap();
                group.ingress = Some(vec![ingress("tcp", 80, "10.0.0.0/8")]);
            },
            "AuthorizeSecurityGroupIngress k8s-default-web-sg\nRevokeSecurityGroupIngress k8s-default-web-sg",
        ),
        (
            "action of a rule",
            |s| set_rules(s, 80, &[("/a/*", "a"), ("/b/*", "a")]),
            "ModifyRule HTTP:80 /b/*",
        ),
        (
            "path of a rule",
            |s| set_rules(s, 80, &[("/a/*", "a"), ("/c/*", "b")]),
            "ModifyRule HTTP:80 /c/*",
        ),
        (
            "rule inserted",
            |s| set_rules(s, 80, &[("/c/*", "a"), ("/a/*", "a"), ("/b/*", "b")]),
            "CreateRule HTTP:80 /c/*\nSetRulePriorities HTTP:80",
        ),
        (
            "rules swapped",
            |s| set_rules(s, 80, &[("/b/*", "b"), ("/a/*", "a")]),
            "SetRulePriorities HTTP:80",
        ),
        (
            "rule removed",
            |s| set_rules(s, 80, &[("/a/*", "a")]),
            "DeleteRule HTTP:80 /b/*",
        ),
        (
            "listener becomes HTTPS",
            |s| {
                add_listener(s, 80, Protocol::Https, not_found());
                set_rules(s, 80, &[("/a/*", "a"), ("/b/*", "b")]);
            },
            "ModifyListener HTTPS:80\n  ! changes the protocol of port 80: clients must speak the new one\n\
             AddListenerCertificates HTTPS:80",
        ),
        (
            "listener on another port",
            |s| {
                let listener = s.listeners.remove(&port(80)).unwrap();
                s.listeners.insert(port(81), listener);
                s.listeners.get_mut(&port(81)).unwrap().tags = tags(&s.id, "81");
                set_rules(s, 81, &[("/a/*", "a"), ("/b/*", "b")]);
            },
            "CreateListener HTTP:81\nCreateRule HTTP:81 /a/*\nCreateRule HTTP:81 /b/*\n\
             DeleteListener HTTP:80\n  ! drops traffic: port 80 closes",
        ),
    ] {
        assert_eq!(changed(change), expected, "{name}");
    }
}

#[test]
fn certificates_are_added_before_the_default_changes_and_removed_after() {
    let mut stack = alb();
    add_listener(&mut stack, 443, Protocol::Https, not_found());
    let mut world = applied(&stack);
    let listener = stack.listeners.get_mut(&port(443)).unwrap();
    listener.certificates = vec![
        CertificateArn::new("arn:cert/b").into(),
        CertificateArn::new("arn:cert/c").into(),
    ];
    listener.ssl_policy = Some("ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned());
    assert_snapshot!(outline(&converge(&mut world, &stack)), @r###"
    AddListenerCertificates HTTPS:443
    AddListenerCertificates HTTPS:443
    ModifyListener HTTPS:443
    RemoveListenerCertificates HTTPS:443
    "###);
}

#[test]
fn replacing_a_load_balancer() {
    let plan = changed(|stack| {
        lb(stack).scheme = Scheme::InternetFacing;
        lb(stack).name = "k8s-default-web-ext".to_owned();
    });
    assert_snapshot!(plan, @r###"
    CreateLoadBalancer k8s-default-web-ext
      ! replaces the load balancer: DNS name changes, clients of k8s-default-web-int-3.elb.example must move
    CreateTargetGroup k8s-default-a-93ff1ab1a5
      ! replaces target group k8s-default-a-0123456789: its metrics and alarms do not carry over
    RegisterTargets k8s-default-a-93ff1ab1a5
    CreateTargetGroup k8s-default-b-c16a35dd9f
      ! replaces target group k8s-default-b-0123456789: its metrics and alarms do not carry over
    RegisterTargets k8s-default-b-c16a35dd9f
    CreateListener HTTP:80
    CreateRule HTTP:80 /a/*
    CreateRule HTTP:80 /b/*
    wait load-balancer-active k8s-default-web-ext
    wait targets-healthy k8s-default-a-93ff1ab1a5
    wait targets-healthy k8s-default-b-c16a35dd9f
    DeleteLoadBalancer k8s-default-web-int
    DeleteTargetGroup k8s-default-a-0123456789
    DeleteTargetGroup k8s-default-b-0123456789
    "###);
}

#[test]
fn replacing_a_load_balancer_whose_name_was_chosen() {
    assert_snapshot!(changed(|stack| lb(stack).scheme = Scheme::InternetFacing), @r###"
    DeleteLoadBalancer k8s-default-web-int
      ! drops traffic: the new load balancer is created only after this one is gone, since both have the same name, and takes minutes to serve
    CreateLoadBalancer k8s-default-web-int
      ! replaces the load balancer: DNS name changes, clients of k8s-default-web-int-3.elb.example must move
    CreateListener HTTP:80
    CreateRule HTTP:80 /a/*
    CreateRule HTTP:80 /b/*
    "###);
}

#[test]
fn opening_to_the_internet() {
    let mut stack = web();
    lb(&mut stack).scheme = Scheme::InternetFacing;
    let plan = converge(&mut World::default(), &stack);
    let hazards: Vec<String> = plan
        .hazards()
        .map(|(_, hazard)| hazard.to_string())
        .collect();
    assert_eq!(hazards, ["opens tcp 80 to the internet"]);
}

#[test]
fn deletion_protection() {
    let mut stack = web();
    lb(&mut stack)
        .attributes
        .insert("deletion_protection.enabled".into(), "true".into());
    let mut world = applied(&stack);
    let nothing = Stack::empty(stack.id.clone(), CLUSTER);
    let plan = plan_in(&world, &nothing, &Policy::default());
    assert_snapshot!(outline(&plan), @r###"
    DeleteLoadBalancer k8s-default-web-int held: the load balancer's deletion protection is on; turn it off first
      ! deletes the load balancer: k8s-default-web-int-3.elb.example goes away
    DeleteTargetGroup k8s-default-a-0123456789 held: it needs step 1, which is not carried out
    DeleteTargetGroup k8s-default-b-0123456789 held: it needs step 1, which is not carried out
    DeleteSecurityGroup k8s-default-web-sg held: it needs step 1, which is not carried out
    "###);
    assert_eq!(plan.executable().count(), 0);
    let policy = Policy {
        deletion_protection: DeletionProtection::TurnOff,
        ..Policy::default()
    };
    let outcome = world.apply(&plan_in(&world, &nothing, &policy));
    assert_eq!(outcome.failed, []);
    assert_eq!(
        world.stack(&stack.id),
        elbow_model::ObservedStack::default()
    );
}

#[test]
fn rules_that_have_moved_are_tagged_when_there_is_time() {
    let mut stack = web();
    let mut world = applied(&stack);
    set_rules(&mut stack, 80, &[("/b/*", "b"), ("/a/*", "a")]);
    let _moved = converge(&mut world, &stack);
    let policy = Policy {
        moved_rules: MovedRules::Retag,
        ..Policy::default()
    };
    let plan = plan_in(&world, &stack, &policy);
    assert_eq!(outline(&plan), "AddTags HTTP:80 /b/*\nAddTags HTTP:80 /a/*");
    assert_eq!(world.apply(&plan).failed, []);
    assert_eq!(outline(&plan_in(&world, &stack, &policy)), "");
}

/// A Gateway that was an ALB becomes an NLB: two Stacks, one after the other.
#[test]
fn a_stack_in_the_place_of_another() {
    for (name, other_name, expected) in [
        (
            "k8s-default-web-0123456789",
            "k8s-default-web-0123456789",
            &[
                "CreateLoadBalancer",
                "wait load-balancer-active",
                "DeleteLoadBalancer",
            ][..],
        ),
        (
            "chosen",
            "chosen",
            &["DeleteLoadBalancer", "CreateLoadBalancer"],
        ),
        (
            "chosen",
            "other",
            &[
                "CreateLoadBalancer",
                "wait load-balancer-active",
                "DeleteLoadBalancer",
            ],
        ),
    ] {
        let mut old = web();
        lb(&mut old).name = name.to_owned();
        let world = applied(&old);
        let mut new = tcp();
        lb(&mut new).name = other_name.to_owned();
        let empty = Stack::empty(old.id.clone(), CLUSTER);
        let there = world.stack(&old.id);
        let plan = plan_switch(
            Input {
                desired: &new,
                observed: &elbow_model::ObservedStack::default(),
                cluster: &ClusterView::default(),
                policy: &Policy::default(),
            },
            &[(&empty, &there)],
        );
        assert_eq!(
            elbow_plan::lint(&plan, &world.observed, CLUSTER),
            [],
            "{name}"
        );
        let text = outline(&plan);
        let place = |what: &&str| text.find(*what).unwrap_or_else(|| panic!("{what}: {text}"));
        let places: Vec<usize> = expected.iter().map(place).collect();
        assert!(places.is_sorted(), "{name}, {other_name}: {text}");
        let last = plan.steps.iter().find(|step| match &step.kind {
            StepKind::Call(call) => call.operation() == *expected.last().unwrap(),
            StepKind::Wait(_) => false,
        });
        assert!(
            !last.unwrap().after.is_empty(),
            "it depends on the other: {text}"
        );
        let created = plan.steps.iter().find_map(|step| match &step.kind {
            StepKind::Call(elbow_model::AwsCall::CreateLoadBalancer { name, .. }) => Some(name),
            _ => None,
        });
        assert_eq!(
            created.unwrap() == name,
            name == "chosen" && other_name == name
        );
    }
}

#[test]
fn policies() {
    let mut stack = web();
    let world = applied(&stack);
    set_rules(&mut stack, 80, &[("/a/*", "a")]);
    stack
        .target_groups
        .remove(&elbow_model::ResourceId::new("b"));
    for (mode, expected) in [(Mode::Sync, 2), (Mode::UpsertOnly, 0), (Mode::DryRun, 0)] {
        let policy = Policy {
            mode,
            ..Policy::default()
        };
        let plan = plan_in(&world, &stack, &policy);
        assert_eq!(plan.steps.len(), 2);
        assert_eq!(plan.executable().count(), expected, "{mode:?}");
    }
}

#[test]
fn an_nlb_never_gets_its_first_security_group() {
    let mut stack = tcp();
    let groups = std::mem::take(&mut lb(&mut stack).security_groups);
    let mut world = applied(&stack);
    lb(&mut stack).security_groups = groups;
    let plan = plan_in(&world, &stack, &Policy::default());
    assert!(
        outline(&plan).contains("held: a Network Load Balancer"),
        "{}",
        outline(&plan)
    );
    assert_eq!(world.apply(&plan).failed, []);
}

#[test]
fn an_undecided_listener_is_left_alone() {
    let mut stack = web();
    let world = applied(&stack);
    stack.listeners.clear();
    stack.target_groups.clear();
    stack.undecided_listeners.insert(port(80));
    assert_eq!(outline(&plan_in(&world, &stack, &Policy::default())), "");
    lb(&mut stack).scheme = Scheme::InternetFacing;
    lb(&mut stack).name = "other".to_owned();
    let plan = outline(&plan_in(&world, &stack, &Policy::default()));
    assert!(
        plan.contains("DeleteLoadBalancer k8s-default-web-int held:"),
        "{plan}"
    );
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let stack = web();
    let mut world = applied(&stack);
    let observed = world.observed.stacks.get_mut(&stack.id).unwrap();
    observed.load_balancers[0]
        .tags
        .remove("elbv2.k8s.aws/cluster");
    for group in &mut observed.target_groups {
        group
            .tags
            .insert("gateway.k8s.aws.alb/stack".into(), "other/gateway".into());
    }
    observed.security_groups.clear();
    let plan = plan_in(
        &world,
        &Stack::empty(stack.id.clone(), CLUSTER),
        &Policy::default(),
    );
    assert!(plan.is_empty());
    assert_eq!(plan.unowned.len(), 3);
}

#[test]
fn the_shared_security_group_comes_first_and_goes_last() {
    let mut stack = web();
    lb(&mut stack)
        .security_groups
        .push(backend_security_group());
    let mut world = World::default();
    let both = [stack.clone(), cluster()];
    let plan = elbow_plan::plan(&both, &world.observed, &Policy::default());
    assert_eq!(elbow_plan::lint(&plan, &world.observed, CLUSTER), []);
    assert!(outline(&plan).starts_with("CreateSecurityGroup k8s-traffic-test\n"));
    let outcome = world.apply(&plan);
    assert_eq!((outcome.failed, outcome.skipped), (vec![], vec![]));
    assert!(elbow_plan::plan(&both, &world.observed, &Policy::default()).is_empty());

    let nothing = [
        Stack::empty(stack.id, CLUSTER),
        Stack::empty(StackId::CLUSTER, CLUSTER),
    ];
    let plan = elbow_plan::plan(&nothing, &world.observed, &Policy::default());
    assert_eq!(elbow_plan::lint(&plan, &world.observed, CLUSTER), []);
    assert!(outline(&plan).ends_with("DeleteSecurityGroup k8s-traffic-test"));
    let outcome = world.apply(&plan);
    assert_eq!((outcome.failed, outcome.skipped), (vec![], vec![]));
}

#[test]
fn a_rule_that_aws_refuses_holds_up_no_other() {
    let mut stack = web();
    let mut world = applied(&stack);
    add_group(&mut stack, "c");
    let long = format!("/{}", "x".repeat(200));
    set_rules(
        &mut stack,
        80,
        &[(&long, "a"), ("/c/*", "c"), ("/a/*", "a"), ("/d/*", "b")],
    );
    let outcome = world.apply(&plan_in(&world, &stack, &Policy::default()));
    assert_eq!(outcome.failed.len(), 1);
    assert_eq!(outcome.skipped, []);
    assert!(world.route(&stack.id, 80, "x", "/c/1").contains("-c-"));
    assert_eq!(world.route(&stack.id, 80, "x", "/b/1"), "404");
}

#[test]
fn at_the_quota_of_rules() {
    let many = |prefix: &str| -> Vec<(String, String)> {
        (0..100)
            .map(|n| (format!("/{prefix}{n}"), "a".to_owned()))
            .collect()
    };
    let set = |stack: &mut Stack, rules: &[(String, String)]| {
        let rules: Vec<(&str, &str)> = rules.iter().map(|(p, g)| (&**p, &**g)).collect();
        set_rules(stack, 80, &rules);
    };
    let mut stack = web();
    set(&mut stack, &many("x"));
    let mut world = applied(&stack);
    set(&mut stack, &many("y"));
    let plan = converge(&mut world, &stack);
    let hazards: Vec<String> = plan
        .hazards()
        .map(|(_, hazard)| hazard.to_string())
        .collect();
    assert_eq!(hazards.len(), 1, "{hazards:?}");
    assert!(
        hazards[0].starts_with("deletes 100 rule(s) before"),
        "{hazards:?}"
    );

    let mut more = many("y");
    more.push(("/z".to_owned(), "a".to_owned()));
    set(&mut stack, &more);
    let plan = plan_in(&world, &stack, &Policy::default());
    assert!(outline(&plan).contains("! exceeds the quota \"Rules per load balancer\": 101 wanted"));
}

#[test]
fn targets_alone() {
    let mut stack = web();
    let mut world = applied(&stack);
    group(&mut stack, "a").targets.push(target("10.0.0.9"));
    lb(&mut stack).scheme = Scheme::InternetFacing;
    set_rules(&mut stack, 80, &[]);
    let observed = world.stack(&stack.id);
    // The scheme keeps the planner from pairing groups with a load balancer that is to be replaced.
    lb(&mut stack).scheme = Scheme::Internal;
    let plan = plan_targets(&stack, &observed, &Policy::default());
    assert_eq!(outline(&plan), "RegisterTargets k8s-default-a-0123456789");
    assert_eq!(world.apply(&plan).failed, []);
    let observed = world.stack(&stack.id);
    assert!(plan_targets(&stack, &observed, &Policy::default()).is_empty());
}
