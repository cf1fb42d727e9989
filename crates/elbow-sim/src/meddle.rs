//! Somebody else's hands: changes of our resources that elbow did not make.
//!
//! In: an account and a random stream. Out: one change of something of ours, and its name for the trace.
//! What always holds: the tags that prove what is ours stay, for without them nothing could be mended.

use elbow_model::aws_call::TagTarget;
use elbow_model::rule::{Action, Condition, FixedResponse, Pattern};
use elbow_model::stack::{Protocol, Target};
use elbow_model::{AwsAnswer, AwsCall, LoadBalancerArn, Port, Ref, Tags, TargetGroupArn};

use crate::account::{Account, is_node_rule, stack_of};
use crate::random::Random;

/// Changes something, if there is anything to change.
pub(crate) fn meddle(
    account: &mut Account,
    random: &mut Random,
    now: u64,
    has_more: bool,
) -> Option<String> {
    let kinds = if has_more { 13 } else { 8 };
    let call = match random.below(kinds) {
        0 => any_listener(account, random).map(|listener| AwsCall::DeleteListener {
            listener: Ref::Known(listener),
        }),
        1 => any_rule(account, random).map(|rule| AwsCall::DeleteRule {
            rule: Ref::Known(rule.arn),
        }),
        2 => any_rule(account, random).map(|rule| AwsCall::ModifyRule {
            rule: Ref::Known(rule.arn),
            conditions: None,
            action: Some(Action::FixedResponse(FixedResponse::plain(503))),
            transforms: None,
        }),
        3 => any_target(account, random).map(|(group, target)| AwsCall::DeregisterTargets {
            target_group: Ref::Known(group),
            targets: vec![target],
        }),
        4 => any_balancer(account, random).map(|balancer| AwsCall::AddTags {
            resource: TagTarget::LoadBalancer(Ref::Known(balancer)),
            tags: Tags::from([("somebody".to_owned(), "else".to_owned())]),
        }),
        5 => any_balancer(account, random).map(|balancer| AwsCall::ModifyLoadBalancerAttributes {
            load_balancer: Ref::Known(balancer),
            attributes: [("deletion_protection.enabled".to_owned(), "false".to_owned())].into(),
        }),
        6 => {
            let group = account.node_group();
            let mut rules = group.ingress;
            rules.retain(is_node_rule);
            (!rules.is_empty()).then_some(AwsCall::RevokeSecurityGroupIngress {
                group: Ref::Known(group.id),
                rules,
            })
        }
        // Nobody's tags are on what somebody adds by hand: it is left alone.
        8 => any_balancer(account, random)
            .filter(|balancer| balancer.as_str().contains("loadbalancer/app/"))
            .map(|balancer| AwsCall::CreateListener {
                load_balancer: Ref::Known(balancer),
                port: Port::new(8443_u16).unwrap_or_else(|| unreachable!("8443 is a port")),
                protocol: Protocol::Http,
                default_action: Action::FixedResponse(FixedResponse::plain(503)),
                default_certificate: None,
                ssl_policy: None,
                alpn_policy: None,
                mutual_authentication: None,
                tags: Tags::new(),
            }),
        9 => any_listener(account, random).map(|listener| AwsCall::CreateRule {
            listener: Ref::Known(listener),
            // Ours never come so far: one that stood in their way would stay there.
            priority: random.one([40_000, 40_001, 40_002]),
            conditions: vec![Condition::PathPattern {
                matches: Pattern::Values(vec!["/by-hand".to_owned()]),
            }],
            action: Action::FixedResponse(FixedResponse::plain(503)),
            transforms: Vec::new(),
            tags: Tags::new(),
        }),
        10 => any_group(account, random).map(|group| AwsCall::AddTags {
            resource: TagTarget::TargetGroup(Ref::Known(group)),
            tags: Tags::from([("somebody".to_owned(), "else".to_owned())]),
        }),
        11 => any_group(account, random).map(|group| AwsCall::RegisterTargets {
            target_group: Ref::Known(group),
            targets: { Port::new(8080_u16).into_iter() }
                .map(|port| Target {
                    id: "192.168.100.203".to_owned(),
                    port,
                    availability_zone: None,
                    quic_server_id: None,
                })
                .collect(),
        }),
        12 => any_listener(account, random).map(|listener| AwsCall::ModifyListener {
            listener: Ref::Known(listener),
            protocol: None,
            default_action: Some(Action::FixedResponse(FixedResponse::plain(503))),
            default_certificate: None,
            ssl_policy: None,
            alpn_policy: None,
            mutual_authentication: None,
        }),
        _ => {
            let groups = account.security_groups();
            let ours: Vec<_> = groups
                .into_iter()
                .filter(|group| stack_of(&group.tags).is_some() && !group.ingress.is_empty())
                .collect();
            random
                .pick(&ours)
                .map(|group| AwsCall::RevokeSecurityGroupIngress {
                    group: Ref::Known(group.id.clone()),
                    rules: group.ingress.clone(),
                })
        }
    }?;
    let result = account.answer(now, &call);
    Some(format!("{} {result:?}", call.operation()))
}

fn any_balancer(account: &mut Account, random: &mut Random) -> Option<LoadBalancerArn> {
    let mut ours = Vec::new();
    for balancer in account.load_balancers() {
        let tags = account.tags_of(balancer.arn.as_str())?;
        if stack_of(&tags).is_some() {
            ours.push(balancer.arn);
        }
    }
    random.pick(&ours).cloned()
}

fn any_listener(account: &mut Account, random: &mut Random) -> Option<elbow_model::ListenerArn> {
    let load_balancer = any_balancer(account, random)?;
    let call = AwsCall::DescribeListeners {
        load_balancer,
        marker: None,
    };
    let Ok(AwsAnswer::Listeners(page)) = account.answer(0, &call) else {
        return None;
    };
    random
        .pick(&page.items)
        .map(|listener| listener.arn.clone())
}

fn any_rule(
    account: &mut Account,
    random: &mut Random,
) -> Option<elbow_model::observed::ObservedRule> {
    let listener = any_listener(account, random)?;
    let call = AwsCall::DescribeRules {
        listener,
        marker: None,
    };
    let Ok(AwsAnswer::Rules(page)) = account.answer(0, &call) else {
        return None;
    };
    random.pick(&page.items).cloned()
}

fn any_target(account: &mut Account, random: &mut Random) -> Option<(TargetGroupArn, Target)> {
    let group = any_group(account, random)?;
    let call = AwsCall::DescribeTargetHealth {
        target_group: group.clone(),
    };
    let Ok(AwsAnswer::TargetHealth(targets)) = account.answer(0, &call) else {
        return None;
    };
    let target = random.pick(&targets)?.target.clone();
    Some((group, target))
}

fn any_group(account: &mut Account, random: &mut Random) -> Option<TargetGroupArn> {
    let mut ours = Vec::new();
    for group in account.target_groups() {
        let tags = account.tags_of(group.arn.as_str())?;
        if stack_of(&tags).is_some() {
            ours.push(group.arn);
        }
    }
    random.pick(&ours).cloned()
}
