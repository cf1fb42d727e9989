//! Listener rules. In: the model's words. Out: answers. Always: the default rule, which belongs to its
//! listener, is left out.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{Rule, RulePriorityPair};
use elbow_model::aws_call::RulePriority;
use elbow_model::observed::ObservedRule;
use elbow_model::rule::{Action, Condition, Transform};
use elbow_model::{AwsAnswer, AwsCall, AwsError, ListenerArn, Ref, RuleArn, Tags};

use super::rule_parts::{
    from_actions, from_condition, from_transform, to_action, to_condition, to_transform,
};
use super::tags::to_tags;
use crate::convert::{Answer, first, known, page, some_if_any};

pub(crate) async fn create(elb: &Client, call: &AwsCall) -> Answer {
    let AwsCall::CreateRule {
        listener,
        priority,
        conditions,
        action,
        transforms,
        tags,
    } = call
    else {
        return Err(AwsError::unexpected(call.operation()).into());
    };
    let output = elb
        .create_rule()
        .listener_arn(known(listener)?)
        .priority(i32::from(*priority))
        .set_conditions(Some(conditions.iter().map(to_condition).collect()))
        .actions(to_action(action)?)
        .set_transforms(some_if_any(transforms.iter().map(to_transform).collect()))
        .set_tags(some_if_any(to_tags(tags)))
        .send()
        .await?;
    let created = first(output.rules).and_then(|rule| rule.rule_arn);
    let arn = created.ok_or_else(|| AwsError::unexpected("the answer to CreateRule"))?;
    Ok(AwsAnswer::RuleCreated(RuleArn::new(arn)))
}

pub(crate) async fn modify(
    elb: &Client,
    rule: &Ref<RuleArn>,
    conditions: Option<&[Condition]>,
    action: Option<&Action>,
    transforms: Option<&[Transform]>,
) -> Answer {
    let conditions = conditions.map(|conditions| conditions.iter().map(to_condition).collect());
    let actions = match action {
        Some(action) => Some(vec![to_action(action)?]),
        None => None,
    };
    // AWS refuses an empty list; that there are to be none has a parameter of its own.
    let (transforms, reset) = match transforms {
        None => (None, None),
        Some([]) => (None, Some(true)),
        Some(transforms) => (Some(transforms.iter().map(to_transform).collect()), None),
    };
    elb.modify_rule()
        .rule_arn(known(rule)?)
        .set_conditions(conditions)
        .set_actions(actions)
        .set_transforms(transforms)
        .set_reset_transforms(reset)
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn set_priorities(elb: &Client, priorities: &[RulePriority]) -> Answer {
    let pair = |place: &RulePriority| {
        let pair = RulePriorityPair::builder()
            .rule_arn(known(&place.rule)?)
            .priority(i32::from(place.priority));
        Ok(pair.build())
    };
    let pairs = priorities.iter().map(pair);
    elb.set_rule_priorities()
        .set_rule_priorities(Some(pairs.collect::<Result<_, AwsError>>()?))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn delete(elb: &Client, rule: &Ref<RuleArn>) -> Answer {
    elb.delete_rule().rule_arn(known(rule)?).send().await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn describe(elb: &Client, listener: &ListenerArn, marker: Option<&str>) -> Answer {
    let output = elb
        .describe_rules()
        .listener_arn(listener.as_str())
        .set_marker(marker.map(str::to_owned))
        .send()
        .await?;
    let rules = output.rules.into_iter().flatten();
    let proper = rules.filter(|rule| rule.is_default != Some(true));
    let rules = proper.map(observed).collect::<Result<Vec<_>, AwsError>>()?;
    Ok(AwsAnswer::Rules(page(rules, output.next_marker)))
}

fn observed(rule: Rule) -> Result<ObservedRule, AwsError> {
    let arn = rule
        .rule_arn
        .ok_or_else(|| AwsError::unexpected("a rule without an ARN"))?;
    let priority = rule.priority.as_deref().and_then(|text| text.parse().ok());
    let conditions = rule.conditions.into_iter().flatten().map(from_condition);
    let transforms = rule.transforms.into_iter().flatten().map(from_transform);
    Ok(ObservedRule {
        priority: priority.ok_or_else(|| AwsError::unexpected(format!("the priority of {arn}")))?,
        arn: RuleArn::new(arn),
        conditions: conditions.collect::<Result<_, _>>()?,
        actions: from_actions(rule.actions),
        transforms: transforms.collect::<Result<_, _>>()?,
        tags: Tags::new(),
    })
}
