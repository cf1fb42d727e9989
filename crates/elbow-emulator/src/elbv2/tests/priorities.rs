//! SetRulePriorities against a slow reference.

use proptest::prelude::*;

use super::*;

/// One rule's part in a request: which rule, which priority.
type Moves = Vec<(usize, u16)>;

fn set_up(priorities: &[u16]) -> (World, Vec<String>) {
    let mut world = World::new();
    let lb = world.application("web");
    let listener = world.listener(&lb, "HTTP", 80, fixed_response("404"));
    let rule =
        |priority: &u16| world.rule(&listener, i32::from(*priority), "/", fixed_response("200"));
    let rules = priorities.iter().map(rule).collect();
    (world, rules)
}

fn request(rules: &[String], moves: &[(usize, u16)]) -> wire::SetRulePrioritiesInput {
    let pair = |(rule, priority): &(usize, u16)| wire::RulePriorityPair {
        rule_arn: Some(rules[*rule].clone()),
        priority: Some(i32::from(*priority)),
    };
    wire::SetRulePrioritiesInput {
        rule_priorities: moves.iter().map(pair).collect(),
    }
}

fn priorities(world: &World, rules: &[String]) -> Vec<u16> {
    rules
        .iter()
        .map(|arn| world.emulator.elbv2.rules[arn].priority.unwrap())
        .collect()
}

/// The reference: writes all moves down, then looks whether every priority is there once.
fn reference(before: &[u16], moves: &[(usize, u16)]) -> Option<Vec<u16>> {
    let mut after = before.to_vec();
    for (n, (rule, priority)) in moves.iter().enumerate() {
        if moves[..n].iter().any(|(earlier, _)| earlier == rule) {
            return None;
        }
        after[*rule] = *priority;
    }
    let unique = (0..after.len()).all(|n| !after[..n].contains(&after[n]));
    unique.then_some(after)
}

fn moves() -> impl Strategy<Value = Moves> {
    proptest::collection::vec((0..5_usize, 1..8_u16), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_final_order_without_conflict_is_taken(moves in moves()) {
        let before = [1, 2, 3, 5, 7];
        let (mut world, rules) = set_up(&before);
        let result = world.emulator.handle(world.now, request(&rules, &moves));
        let after = priorities(&world, &rules);
        if let Some(expected) = reference(&before, &moves) {
            prop_assert!(result.is_ok(), "{result:?}");
            prop_assert_eq!(after, expected);
        } else {
            prop_assert!(result.is_err());
            prop_assert_eq!(after, before.to_vec(), "a refused request changes nothing");
        }
    }
}

#[test]
fn swaps_and_refusals() {
    let (mut world, rules) = set_up(&[1, 2, 3]);
    let output: wire::SetRulePrioritiesOutput =
        world.ask(request(&rules, &[(0, 2), (1, 3), (2, 1)]));
    assert_eq!(output.rules.unwrap().len(), 3);
    assert_eq!(priorities(&world, &rules), [2, 3, 1]);
    let taken = request(&rules, &[(0, 3)]);
    world.refuses(taken, "PriorityInUse", "Priority '3' is currently in use");
    let twice = request(&rules, &[(0, 9), (1, 9)]);
    world.refuses(
        twice,
        "ValidationError",
        "Priority '9' was provided multiple times",
    );
    let gone = wire::SetRulePrioritiesInput {
        rule_priorities: vec![
            wire::RulePriorityPair {
                rule_arn: Some(rules[0].clone()),
                priority: Some(8),
            },
            wire::RulePriorityPair {
                rule_arn: Some(format!("{}0", rules[1])),
                priority: Some(9),
            },
        ],
    };
    world.refuses(gone, "RuleNotFound", "");
    assert_eq!(priorities(&world, &rules), [2, 3, 1]);
}
