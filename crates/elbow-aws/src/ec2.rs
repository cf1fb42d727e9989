//! EC2: security groups, what they guard, and what has to be known of the VPC. In: the model's words. Out: answers.
//! Always: one request a call.

pub(crate) mod endpoints;
pub(crate) mod groups;
pub(crate) mod network;

use aws_sdk_ec2::types::{Filter, Tag};
use elbow_model::Tags;

/// A filter for one value.
pub(crate) fn filter(name: impl Into<String>, value: impl Into<String>) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// A filter for any of some values.
fn one_of(name: impl Into<String>, values: impl IntoIterator<Item = impl ToString>) -> Filter {
    let values = values.into_iter().map(|value| value.to_string());
    Filter::builder()
        .name(name)
        .set_values(Some(values.collect()))
        .build()
}

/// Filters for resources that carry each of these tags with this value.
pub(crate) fn tag_filters(tags: &Tags) -> Vec<Filter> {
    tags.iter()
        .map(|(key, value)| filter(format!("tag:{key}"), value))
        .collect()
}

fn to_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect()
}

fn from_tags(tags: Option<Vec<Tag>>) -> Tags {
    let tag = |tag: Tag| Some((tag.key?, tag.value.unwrap_or_default()));
    tags.into_iter().flatten().filter_map(tag).collect()
}
