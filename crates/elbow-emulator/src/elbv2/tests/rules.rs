//! Rules.

use super::*;

fn set_up() -> (World, String) {
    let mut world = World::new();
    let lb = world.application("web");
    let listener = world.listener(&lb, "HTTP", 80, fixed_response("404"));
    (world, listener)
}

fn rewrite(regex: &str) -> wire::RuleTransform {
    let rewrites = vec![wire::RewriteConfig {
        regex: regex.into(),
        replace: "/b".into(),
    }];
    wire::RuleTransform {
        r#type: "url-rewrite".into(),
        url_rewrite_config: Some(wire::UrlRewriteConfig {
            rewrites: Some(rewrites),
        }),
        ..Default::default()
    }
}

fn describe(world: &mut World, listener: &str) -> Vec<wire::Rule> {
    let output: wire::DescribeRulesOutput = world.ask(wire::DescribeRulesInput {
        listener_arn: Some(listener.into()),
        ..Default::default()
    });
    output.rules.unwrap()
}

#[test]
fn create_refuses() {
    let (mut world, listener) = set_up();
    world.rule(&listener, 10, "/a", fixed_response("200"));
    let ok = || World::rule_input(&listener, 11, "/a", fixed_response("200"));
    let rows = [
        (
            World::rule_input(&listener, 10, "/a", fixed_response("200")),
            "PriorityInUse",
            "Priority '10' is currently in use",
        ),
        (
            wire::CreateRuleInput {
                priority: 0,
                ..ok()
            },
            "ValidationError",
            "greater than or equal to 1",
        ),
        (
            wire::CreateRuleInput {
                priority: 50_001,
                ..ok()
            },
            "ValidationError",
            "less than or equal to 50000",
        ),
        (
            wire::CreateRuleInput {
                conditions: vec![],
                ..ok()
            },
            "ValidationError",
            "A condition must be specified",
        ),
        (
            wire::CreateRuleInput {
                actions: vec![],
                ..ok()
            },
            "ValidationError",
            "An action must be specified",
        ),
        (
            wire::CreateRuleInput {
                transforms: Some(vec![rewrite("a"), rewrite("b")]),
                ..ok()
            },
            "ValidationError",
            "only have one 'url-rewrite' transform",
        ),
        (
            World::rule_input(&format!("{listener}0"), 1, "/", fixed_response("200")),
            "ListenerNotFound",
            "One or more listeners not found",
        ),
        (
            World::rule_input("x", 1, "/", fixed_response("200")),
            "ValidationError",
            "'x' is not a valid listener ARN",
        ),
        (
            World::rule_input(&listener, 12, "/", fixed_response("300")),
            "ValidationError",
            "at 'actions.1.member.fixedResponseConfig.statusCode' failed to satisfy constraint",
        ),
    ];
    for (input, code, text) in rows {
        world.refuses(input, code, text);
    }
}

#[test]
fn quota() {
    let mut config = Config {
        region: "eu-west-1".into(),
        ..Config::default()
    };
    config.quotas.rules_per_application_load_balancer = 1;
    let mut world = World::with(config);
    let lb = world.application("web");
    let first = world.listener(&lb, "HTTP", 80, fixed_response("404"));
    let second = world.listener(&lb, "HTTP", 81, fixed_response("404"));
    world.rule(&first, 1, "/", fixed_response("200"));
    let more = World::rule_input(&second, 1, "/", fixed_response("200"));
    world.refuses(more, "TooManyRules", "'1'");
}

#[test]
fn target_group_quota() {
    let mut config = Config {
        region: "eu-west-1".into(),
        ..Config::default()
    };
    config.quotas.target_groups_per_application_load_balancer = 1;
    let mut world = World::with(config);
    let lb = world.application("web");
    let (one, two) = (world.group("one", "HTTP"), world.group("two", "HTTP"));
    let listener = world.listener(&lb, "HTTP", 80, forward_to(&one));
    world.rule(&listener, 1, "/", forward_to(&one));
    let more = World::rule_input(&listener, 2, "/", forward_to(&two));
    world.refuses(more, "TooManyUniqueTargetGroupsPerLoadBalancer", "'1'");
}

#[test]
fn describe_in_order_with_the_default_rule_last() {
    let (mut world, listener) = set_up();
    for priority in [300, 20, 1] {
        world.rule(&listener, priority, "/a", fixed_response("200"));
    }
    let rules = describe(&mut world, &listener);
    let priorities: Vec<_> = rules
        .iter()
        .map(|rule| rule.priority.clone().unwrap())
        .collect();
    assert_eq!(priorities, ["1", "20", "300", "default"]);
    assert_eq!(rules[3].is_default, Some(true));
    let (mut seen, mut marker) = (Vec::new(), None);
    loop {
        let output: wire::DescribeRulesOutput = world.ask(wire::DescribeRulesInput {
            listener_arn: Some(listener.clone()),
            page_size: Some(3),
            marker,
            ..Default::default()
        });
        seen.extend(output.rules.unwrap());
        marker = output.next_marker;
        if marker.is_none() {
            break;
        }
    }
    assert_eq!(seen, rules);
    let neither = wire::DescribeRulesInput::default();
    world.refuses(
        neither,
        "ValidationError",
        "You must specify either listener rule ARNs or a listener ARN",
    );
}

#[test]
fn modify() {
    let (mut world, listener) = set_up();
    let group = world.group("g", "HTTP");
    let rule = world.rule(&listener, 1, "/a", forward_to(&group));
    let change = |rule: &str| wire::ModifyRuleInput {
        rule_arn: rule.into(),
        ..Default::default()
    };
    world.refuses(
        change(&rule),
        "ValidationError",
        "Either conditions or actions must be specified",
    );
    let both = wire::ModifyRuleInput {
        transforms: Some(vec![rewrite("a")]),
        reset_transforms: Some(true),
        ..change(&rule)
    };
    world.refuses(both, "ValidationError", "at the same time");
    let output: wire::ModifyRuleOutput = world.ask(wire::ModifyRuleInput {
        transforms: Some(vec![rewrite("^/a")]),
        ..change(&rule)
    });
    assert_eq!(
        output.rules.unwrap()[0].transforms.as_ref().unwrap().len(),
        1
    );
    let output: wire::ModifyRuleOutput = world.ask(wire::ModifyRuleInput {
        reset_transforms: Some(true),
        ..change(&rule)
    });
    assert_eq!(output.rules.unwrap()[0].transforms, None);
    let in_use = || wire::DeleteTargetGroupInput {
        target_group_arn: group.clone(),
    };
    world.refuses(
        in_use(),
        "ResourceInUse",
        "is currently in use by a listener or a rule",
    );
    let output: wire::ModifyRuleOutput = world.ask(wire::ModifyRuleInput {
        actions: Some(vec![fixed_response("200")]),
        ..change(&rule)
    });
    assert_eq!(
        output.rules.unwrap()[0].actions.as_ref().unwrap()[0].r#type,
        "fixed-response"
    );
    let _: wire::DeleteTargetGroupOutput = world.ask(in_use());
    let gone = change(&format!("{rule}0"));
    world.refuses(gone, "RuleNotFound", "One or more rules not found");
}

#[test]
fn the_default_rule_is_the_listeners() {
    let (mut world, listener) = set_up();
    let default = describe(&mut world, &listener).remove(0).rule_arn.unwrap();
    let delete = wire::DeleteRuleInput {
        rule_arn: default.clone(),
    };
    world.refuses(delete, "OperationNotPermitted", "Default rule");
    let modify = wire::ModifyRuleInput {
        rule_arn: default.clone(),
        actions: Some(vec![fixed_response("200")]),
        ..Default::default()
    };
    world.refuses(modify, "OperationNotPermitted", "Default rule");
    let rank = wire::SetRulePrioritiesInput {
        rule_priorities: vec![wire::RulePriorityPair {
            rule_arn: Some(default),
            priority: Some(1),
        }],
    };
    world.refuses(rank, "OperationNotPermitted", "Default rule");
}

#[test]
fn network_rules() {
    let mut world = World::new();
    let lb = world.network("net");
    let group = world.group("g", "TCP");
    let listener = world.listener(&lb, "TCP", 80, forward_to(&group));
    let path = World::rule_input(&listener, 1, "/", forward_to(&group));
    world.refuses(path, "InvalidConfigurationRequest", "'dualstack'");
}
