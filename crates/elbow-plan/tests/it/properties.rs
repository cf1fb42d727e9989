//! What holds for random Stacks: plans are clean, replanning after them is empty, and the order of what is
//! observed does not matter.

use elbow_model::Stack;
use elbow_model::stack::{Protocol, TargetType};
use elbow_plan::Policy;
use proptest::prelude::*;

use crate::apply::{Execution, World};
use crate::build::*;

const GROUPS: [&str; 3] = ["a", "b", "c"];
const PATHS: [&str; 6] = ["/*", "/a/*", "/a/b/*", "/a/c", "/b/*", "/b/c"];
const REQUESTS: [&str; 6] = ["/x", "/a/1", "/a/b/1", "/a/c", "/b/1", "/b/c"];

/// One listener: whether it is HTTPS, and its rules as indices of path and group.
type Rules = Vec<(usize, usize)>;

#[derive(Debug, Clone)]
struct Shape {
    listeners: Vec<(bool, Rules)>,
    instance: [bool; 3],
    attribute: Option<u8>,
    certificates: usize,
}

fn shape() -> impl Strategy<Value = Shape> {
    let rules = prop::collection::btree_map(0..PATHS.len(), 0..4_usize, 0..5)
        .prop_map(|rules| rules.into_iter().collect::<Rules>())
        .prop_shuffle();
    (
        prop::collection::vec((any::<bool>(), rules), 0..3),
        any::<[bool; 3]>(),
        any::<Option<u8>>(),
        1..4_usize,
    )
        .prop_map(|(listeners, instance, attribute, certificates)| Shape {
            listeners,
            instance,
            attribute,
            certificates,
        })
}

fn build(shape: &Shape) -> Stack {
    let mut stack = alb();
    if let Some(value) = shape.attribute {
        lb(&mut stack)
            .attributes
            .insert("idle_timeout.timeout_seconds".into(), value.to_string());
    }
    let used = |n: usize| {
        shape
            .listeners
            .iter()
            .any(|(_, rules)| rules.iter().any(|(_, group)| *group == n))
    };
    for (n, id) in GROUPS.iter().enumerate().filter(|(n, _)| used(*n)) {
        add_group(&mut stack, id);
        let group = group(&mut stack, id);
        group.targets = vec![target(&format!("10.0.1.{n}"))];
        if shape.instance[n] {
            group.target_type = TargetType::Instance;
            group.name = format!("k8s-default-{id}-instance00");
        }
    }
    for (n, (secure, rules)) in shape.listeners.iter().enumerate() {
        let number = 80 + u16::try_from(n).unwrap();
        let protocol = if *secure {
            Protocol::Https
        } else {
            Protocol::Http
        };
        add_listener(&mut stack, number, protocol, not_found());
        if *secure {
            let listener = stack.listeners.get_mut(&port(number)).unwrap();
            listener.certificates = (0..shape.certificates)
                .map(|n| elbow_model::CertificateArn::new(format!("arn:cert/{n}")).into())
                .collect();
        }
        let rules: Vec<(&str, &str)> = rules
            .iter()
            .map(|(path, group)| (PATHS[*path], *GROUPS.get(*group).unwrap_or(&"!500")))
            .collect();
        set_rules(&mut stack, number, &rules);
    }
    stack
}

fn answers(world: &World, stack: &Stack) -> Vec<String> {
    (80..82)
        .flat_map(|port| REQUESTS.map(|path| world.route(&stack.id, port, "x", path)))
        .collect()
}

/// What stands behind each listener of an NLB (groups with weights), and which groups are of instances.
type TcpShape = (Vec<std::collections::BTreeMap<usize, u16>>, [bool; 3]);

fn tcp_shape() -> impl Strategy<Value = TcpShape> {
    let weights = prop::collection::btree_map(0..GROUPS.len(), 1..3_u16, 1..4);
    (prop::collection::vec(weights, 1..3), any::<[bool; 3]>())
}

fn build_tcp((listeners, instance): &TcpShape) -> Stack {
    let mut stack = nlb();
    let used = |n: usize| listeners.iter().any(|weights| weights.contains_key(&n));
    for (n, id) in GROUPS.iter().enumerate().filter(|(n, _)| used(*n)) {
        add_group(&mut stack, id);
        if instance[n] {
            let group = group(&mut stack, id);
            group.target_type = TargetType::Instance;
            group.name = format!("k8s-default-{id}-instance00");
        }
    }
    for (n, weights) in listeners.iter().enumerate() {
        let groups: Vec<(&str, u16)> = weights.iter().map(|(n, w)| (GROUPS[*n], *w)).collect();
        let action = forward(&stack, &groups);
        add_listener(
            &mut stack,
            80 + u16::try_from(n).unwrap(),
            Protocol::Tcp,
            action,
        );
    }
    stack
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// From any Stack to any other: the plan is clean, works, leaves nothing to plan, and answers every
    /// request that both answer alike alike after every step; no request that is served is dropped.
    #[test]
    fn from_any_stack_to_any_other(before in shape(), after in shape()) {
        let (before, after) = (build(&before), build(&after));
        let mut world = applied(&before);
        let was = answers(&world, &before);
        let mut end = world.clone();
        let plan = converge(&mut end, &after);
        let will_be = answers(&end, &after);
        let mut execution = Execution::new();
        for step in &plan.steps {
            execution.step(&mut world, step);
            let is = answers(&world, &after);
            for n in 0..is.len() {
                if was[n] == will_be[n] {
                    prop_assert_eq!(&is[n], &was[n], "request {} after step {}\n{}", n, step.id, outline(&plan));
                } else if was[n] != "503" && will_be[n] != "503" {
                    prop_assert!(is[n] != "503", "request {} after step {}\n{}", n, step.id, outline(&plan));
                }
            }
        }
    }

    /// The same for an NLB, whose groups change places by weight: no flow goes to a group that cannot
    /// serve, unless the plan says so, and a plan that stops anywhere leads on.
    #[test]
    fn from_any_nlb_to_any_other(before in tcp_shape(), after in tcp_shape(), stop in 0..40_usize) {
        let (before, after) = (build_tcp(&before), build_tcp(&after));
        let mut world = applied(&before);
        let plan = plan_in(&world, &after, &Policy::default());
        let warned = plan
            .hazards()
            .any(|(step, hazard)| {
                matches!(hazard, elbow_plan::Hazard::DropsTraffic { .. })
                    && step.action == elbow_plan::Action::Update
            });
        let mut execution = Execution::new();
        for step in plan.steps.iter().take(stop) {
            execution.step(&mut world, step);
            let dropped = answers(&world, &after).iter().any(|answer| answer.contains("503"));
            prop_assert!(warned || !dropped, "after step {}\n{}", step.id, outline(&plan));
        }
        let rest = converge(&mut world, &after);
        prop_assert!(stop < plan.steps.len() || rest.is_empty());
    }

    /// A plan that stops anywhere leaves a state from which planning leads to the same end.
    #[test]
    fn stops_anywhere(before in shape(), after in shape(), stop in 0..40_usize) {
        let (before, after) = (build(&before), build(&after));
        let mut world = applied(&before);
        let plan = plan_in(&world, &after, &Policy::default());
        let mut execution = Execution::new();
        for step in plan.steps.iter().take(stop) {
            execution.step(&mut world, step);
        }
        let _rest = converge(&mut world, &after);
        let mut whole = applied(&before);
        let _plan = converge(&mut whole, &after);
        prop_assert_eq!(answers(&world, &after), answers(&whole, &after));
    }

    /// The order in which resources are observed does not matter.
    #[test]
    fn order_does_not_matter(before in shape(), after in shape()) {
        let (before, after) = (build(&before), build(&after));
        let mut world = applied(&before);
        let plan = plan_in(&world, &after, &Policy::default());
        let observed = world.observed.stacks.get_mut(&before.id).unwrap();
        observed.target_groups.reverse();
        for lb in &mut observed.load_balancers {
            for listener in &mut lb.listeners {
                listener.rules.reverse();
            }
        }
        prop_assert_eq!(plan, plan_in(&world, &after, &Policy::default()));
    }
}
