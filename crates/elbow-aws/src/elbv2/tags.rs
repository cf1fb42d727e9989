//! Tags of ELBv2 resources. In: resources, tags or keys. Out: answers. Always: one resource a change.

use std::collections::BTreeSet;

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{Tag, TagDescription};
use elbow_model::aws_call::TagTarget;
use elbow_model::{AwsAnswer, AwsError, Tags};

use crate::convert::{Answer, each, known, page};

pub(crate) async fn add(elb: &Client, resource: &TagTarget, tags: &Tags) -> Answer {
    elb.add_tags()
        .resource_arns(arn(resource)?)
        .set_tags(Some(to_tags(tags)))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn remove(elb: &Client, resource: &TagTarget, keys: &BTreeSet<String>) -> Answer {
    elb.remove_tags()
        .resource_arns(arn(resource)?)
        .set_tag_keys(Some(keys.iter().cloned().collect()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn describe(elb: &Client, arns: &[String]) -> Answer {
    let asked = elb.describe_tags().set_resource_arns(Some(arns.to_vec()));
    let output = asked.send().await?;
    let described = |description: TagDescription| {
        let tag = |tag: Tag| Some((tag.key?, tag.value.unwrap_or_default()));
        let tags = each(description.tags, tag).into_iter().collect();
        Some((description.resource_arn?, tags))
    };
    Ok(AwsAnswer::TagsByArn(page(
        each(output.tag_descriptions, described),
        None,
    )))
}

/// Tags as the calls that create take them.
pub(super) fn to_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

fn arn(resource: &TagTarget) -> Result<String, AwsError> {
    match resource {
        TagTarget::LoadBalancer(arn) => known(arn),
        TagTarget::Listener(arn) => known(arn),
        TagTarget::Rule(arn) => known(arn),
        TagTarget::TargetGroup(arn) => known(arn),
        TagTarget::TrustStore(arn) => known(arn),
    }
}
