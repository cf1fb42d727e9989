//! The Resource Groups Tagging API: what carries our tags. In: tags. Out: ARNs with all their tags.
//! Always: one request a call.

use aws_sdk_resourcegroupstagging::Client;
use aws_sdk_resourcegroupstagging::types::TagFilter;
use elbow_model::{AwsAnswer, Tags};

use crate::convert::{Answer, each, page};

/// The most resources that GetResources gives on a page.
const RESOURCES_PER_PAGE: i32 = 100;

pub(crate) async fn resources(
    tagging: &Client,
    tags: &Tags,
    resource_types: &[String],
    marker: Option<&str>,
) -> Answer {
    let filter = |(key, value): (&String, &String)| {
        let filter = TagFilter::builder().key(key).values(value);
        filter.build()
    };
    let output = tagging
        .get_resources()
        .set_tag_filters(Some(tags.iter().map(filter).collect()))
        .set_resource_type_filters(Some(resource_types.to_vec()))
        .resources_per_page(RESOURCES_PER_PAGE)
        .set_pagination_token(marker.map(str::to_owned))
        .send()
        .await?;
    let found = each(output.resource_tag_mapping_list, |mapping| {
        let tags = mapping.tags.into_iter().flatten();
        let tags = tags.map(|tag| (tag.key, tag.value)).collect();
        Some((mapping.resource_arn?, tags))
    });
    Ok(AwsAnswer::TagsByArn(page(found, output.pagination_token)))
}
