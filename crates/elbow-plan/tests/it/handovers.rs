//! Traffic that moves between target groups, and plans that stop half-way.

use elbow_model::stack::{Protocol, TargetType};
use elbow_model::{ResourceId, Stack};
use elbow_plan::{Plan, Policy};
use insta::assert_snapshot;

use crate::apply::{Execution, World};
use crate::build::*;

/// Applies a plan and checks that no request that was served is dropped at any moment.
#[track_caller]
fn without_outage(world: &mut World, stack: &Stack, port: u16, paths: &[&str]) -> Plan {
    let plan = plan_in(world, stack, &Policy::default());
    let mut execution = Execution::new();
    for step in &plan.steps {
        execution.step(world, step);
        for path in paths {
            let answer = world.route(&stack.id, port, "x", path);
            assert!(
                !answer.contains("503") && answer != "404" && answer != "refused",
                "{path} gets {answer} after step {} of\n{}",
                step.id,
                outline(&plan)
            );
        }
    }
    assert_eq!(execution.outcome.failed, [], "{}", outline(&plan));
    assert_eq!(execution.outcome.skipped, [], "{}", outline(&plan));
    let again = plan_in(world, stack, &Policy::default());
    assert!(again.is_empty(), "{}", outline(&again));
    plan
}

/// Group `a` becomes one of another target type, under another name, as hashing makes it.
fn replace_group(stack: &mut Stack) {
    let a = group(stack, "a");
    a.target_type = TargetType::Instance;
    "k8s-default-a-abcdefabcd".clone_into(&mut a.name);
    a.targets = vec![target("i-1")];
}

/// Group `a` gives way to one of another resource id, as another targetPort makes it.
fn move_port(stack: &mut Stack) {
    add_group(stack, "a2");
    stack.target_groups.remove(&ResourceId::new("a"));
}

/// An NLB with port 9000 in front of a load balancer.
fn chain() -> Stack {
    let mut stack = tcp();
    let a = group(&mut stack, "a");
    a.target_type = TargetType::Alb;
    a.targets = vec![target("arn:old")];
    stack
}

/// The load balancer behind group `a` is another one.
fn replace_target(stack: &mut Stack) {
    group(stack, "a").targets = vec![target("arn:new")];
}

#[test]
fn another_load_balancer_is_the_target_of_another_group() {
    let mut stack = chain();
    let mut world = applied(&stack);
    replace_target(&mut stack);
    let plan = without_outage(&mut world, &stack, 9000, &[""]);
    assert_snapshot!(outline(&plan), @r###"
    CreateTargetGroup k8s-default-a-93ff1ab1a5
      ! replaces target group k8s-default-a-0123456789: its metrics and alarms do not carry over
    RegisterTargets k8s-default-a-93ff1ab1a5
    ModifyListener TCP:9000
    wait targets-healthy k8s-default-a-93ff1ab1a5
    ModifyListener TCP:9000
    DeregisterTargets k8s-default-a-0123456789
    wait targets-drained k8s-default-a-0123456789
    ModifyListener TCP:9000
    DeleteTargetGroup k8s-default-a-0123456789
    "###);
    let is_reason = |reason: &str| reason.contains("another load balancer as its only target");
    assert!(plan.steps.iter().any(|step| is_reason(&step.reason)));
}

#[test]
fn a_load_balancer_stays_until_it_is_known_which_takes_its_place() {
    let mut stack = chain();
    let world = applied(&stack);
    group(&mut stack, "a").targets.clear();
    let plan = plan_in(&world, &stack, &Policy::default());
    assert!(plan.is_empty(), "{}", outline(&plan));
}

#[test]
fn a_group_of_an_alb_is_replaced() {
    let mut stack = web();
    let mut world = applied(&stack);
    replace_group(&mut stack);
    let plan = without_outage(&mut world, &stack, 80, &["/a/1", "/b/1"]);
    assert_snapshot!(outline(&plan), @r###"
    CreateTargetGroup k8s-default-a-abcdefabcd
      ! replaces target group k8s-default-a-0123456789: its metrics and alarms do not carry over
    RegisterTargets k8s-default-a-abcdefabcd
    CreateRule HTTP:80 (warm-up)
    wait targets-healthy k8s-default-a-abcdefabcd
    ModifyRule HTTP:80 /a/*
    DeregisterTargets k8s-default-a-0123456789
    wait targets-drained k8s-default-a-0123456789
    DeleteRule HTTP:80 (warm-up)
    DeleteTargetGroup k8s-default-a-0123456789
    "###);
}

#[test]
fn a_target_port_of_an_alb_changes() {
    let mut stack = web();
    let mut world = applied(&stack);
    move_port(&mut stack);
    set_rules(&mut stack, 80, &[("/a/*", "a2"), ("/b/*", "b")]);
    let plan = without_outage(&mut world, &stack, 80, &["/a/1", "/b/1"]);
    assert_snapshot!(outline(&plan), @r###"
    CreateTargetGroup k8s-default-a2-0123456789
    RegisterTargets k8s-default-a2-0123456789
    CreateRule HTTP:80 (warm-up)
    wait targets-healthy k8s-default-a2-0123456789
    ModifyRule HTTP:80 /a/*
    DeregisterTargets k8s-default-a-0123456789
    wait targets-drained k8s-default-a-0123456789
    DeleteRule HTTP:80 (warm-up)
    DeleteTargetGroup k8s-default-a-0123456789
    "###);
}

#[test]
fn a_group_whose_name_was_chosen_is_replaced() {
    let mut stack = web();
    group(&mut stack, "a").name = "chosen".to_owned();
    let mut world = applied(&stack);
    replace_group(&mut stack);
    group(&mut stack, "a").name = "chosen".to_owned();
    let plan = without_outage(&mut world, &stack, 80, &["/a/1", "/b/1"]);
    assert!(
        outline(&plan).contains("! names the target group chosen-"),
        "{}",
        outline(&plan)
    );
}

#[test]
fn a_group_of_an_nlb_is_replaced() {
    let mut stack = tcp();
    let mut world = applied(&stack);
    replace_group(&mut stack);
    let plan = without_outage(&mut world, &stack, 9000, &[""]);
    assert_snapshot!(outline(&plan), @r###"
    CreateTargetGroup k8s-default-a-abcdefabcd
      ! replaces target group k8s-default-a-0123456789: its metrics and alarms do not carry over
    RegisterTargets k8s-default-a-abcdefabcd
    ModifyListener TCP:9000
    wait targets-healthy k8s-default-a-abcdefabcd
    ModifyListener TCP:9000
    DeregisterTargets k8s-default-a-0123456789
    wait targets-drained k8s-default-a-0123456789
    ModifyListener TCP:9000
    DeleteTargetGroup k8s-default-a-0123456789
    "###);
}

#[test]
fn a_tls_listener_cannot_mix_protocols() {
    let mut stack = tcp();
    let action = forward(&stack, &[("a", 1)]);
    add_listener(&mut stack, 9000, Protocol::Tls, action);
    let mut world = applied(&stack);
    replace_group(&mut stack);
    group(&mut stack, "a").protocol = Protocol::Tls;
    let plan = converge(&mut world, &stack);
    assert!(
        outline(&plan)
            .contains("! drops traffic: target group k8s-default-a-abcdefabcd takes over")
    );
}

#[test]
fn at_the_quota_of_rules_a_group_is_switched_at_once_and_the_plan_says_so() {
    for (rules, warns) in [(98, false), (100, true)] {
        let paths: Vec<String> = (0..rules).map(|n| format!("/{n}")).collect();
        let paths: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "a")).collect();
        let mut stack = web();
        set_rules(&mut stack, 80, &paths);
        let mut world = applied(&stack);
        replace_group(&mut stack);
        let plan = outline(&converge(&mut world, &stack));
        let warned = plan.contains("before its targets have passed a health check");
        assert_eq!(warned, warns, "{rules} rules:\n{plan}");
    }
}

#[test]
fn part_of_a_path_moves_to_a_new_group() {
    let mut stack = web();
    let mut world = applied(&stack);
    add_group(&mut stack, "c");
    set_rules(
        &mut stack,
        80,
        &[("/a/new/*", "c"), ("/a/*", "a"), ("/b/*", "b")],
    );
    let plan = without_outage(&mut world, &stack, 80, &["/a/new/1", "/a/1", "/b/1"]);
    assert_snapshot!(outline(&plan), @r###"
    CreateTargetGroup k8s-default-c-0123456789
    RegisterTargets k8s-default-c-0123456789
    CreateRule HTTP:80 (warm-up)
    wait targets-healthy k8s-default-c-0123456789
    CreateRule HTTP:80 /a/new/*
    SetRulePriorities HTTP:80
    DeleteRule HTTP:80 (warm-up)
    "###);
}

#[test]
fn a_path_that_nothing_serves_waits_for_nothing() {
    let mut stack = web();
    let mut world = applied(&stack);
    add_group(&mut stack, "c");
    set_rules(
        &mut stack,
        80,
        &[("/a/*", "a"), ("/b/*", "b"), ("/c/*", "c")],
    );
    assert!(!outline(&converge(&mut world, &stack)).contains("wait"));
}

#[test]
fn a_group_without_targets_is_a_hazard() {
    let mut stack = web();
    let mut world = applied(&stack);
    replace_group(&mut stack);
    group(&mut stack, "a").targets.clear();
    let plan = converge(&mut world, &stack);
    assert!(
        outline(&plan).contains("takes over traffic and has no targets"),
        "{}",
        outline(&plan)
    );
}

#[test]
fn a_group_that_does_not_get_healthy_gets_no_traffic() {
    let mut stack = web();
    let mut world = applied(&stack);
    world.broken.insert("i-1".to_owned());
    replace_group(&mut stack);
    for _round in 0..3 {
        let outcome = world.apply(&plan_in(&world, &stack, &Policy::default()));
        assert_eq!(outcome.failed.len(), 1);
        assert_eq!(
            world.route(&stack.id, 80, "x", "/a/1"),
            "k8s-default-a-0123456789"
        );
    }
    world.broken.clear();
    world.settle();
    let _plan = without_outage(&mut world, &stack, 80, &["/a/1", "/b/1"]);
    assert_eq!(
        world.route(&stack.id, 80, "x", "/a/1"),
        "k8s-default-a-abcdefabcd"
    );
}

#[test]
fn stops_anywhere_and_leads_on() {
    type Case = (
        &'static str,
        fn() -> Stack,
        u16,
        &'static str,
        fn(&mut Stack),
    );
    let cases: [Case; 6] = [
        ("ALB group", web, 80, "/a/1", replace_group),
        ("NLB group", tcp, 9000, "", replace_group),
        ("NLB target", chain, 9000, "", replace_target),
        ("target port", web, 80, "/a/1", |stack| {
            move_port(stack);
            set_rules(stack, 80, &[("/b/*", "b"), ("/a/*", "a2")]);
        }),
        ("scheme", web, 80, "/a/1", |stack| {
            lb(stack).scheme = elbow_model::stack::Scheme::InternetFacing;
            lb(stack).name = "k8s-default-web-ext".to_owned();
        }),
        ("NLB target port", tcp, 9000, "", |stack| {
            move_port(stack);
            stack.listeners.get_mut(&port(9000)).unwrap().default_action =
                forward(stack, &[("a2", 1)]);
        }),
    ];
    for (name, base, port, path, change) in cases {
        let mut stack = base();
        let before = applied(&stack);
        change(&mut stack);
        let steps = plan_in(&before, &stack, &Policy::default()).steps.len();
        for stop in 0..steps {
            let mut world = before.clone();
            let plan = plan_in(&world, &stack, &Policy::default());
            let mut execution = Execution::new();
            for step in &plan.steps[..stop] {
                execution.step(&mut world, step);
            }
            assert_eq!(execution.outcome.failed, []);
            let rest = plan_in(&world, &stack, &Policy::default());
            let outcome = if name == "scheme" {
                // Which of the two load balancers answers is not the question here.
                world.apply(&rest)
            } else {
                let mut execution = Execution::new();
                for step in &rest.steps {
                    execution.step(&mut world, step);
                    let answer = world.route(&stack.id, port, "x", path);
                    assert!(
                        !answer.contains("503") && answer != "404",
                        "{name}: stopped after {stop}"
                    );
                }
                execution.outcome
            };
            assert_eq!(
                outcome.failed,
                [],
                "{name}: stopped after {stop}\n{}",
                outline(&rest)
            );
            let again = plan_in(&world, &stack, &Policy::default());
            assert!(
                again.is_empty(),
                "{name}: stopped after {stop}\n{}",
                outline(&again)
            );
            let groups = &world.stack(&stack.id).target_groups;
            assert_eq!(
                groups.len(),
                stack.target_groups.len(),
                "{name}: stopped after {stop}"
            );
        }
    }
}
