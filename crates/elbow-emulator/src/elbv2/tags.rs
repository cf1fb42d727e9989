//! Tags: their form, their quota, and AddTags, RemoveTags and DescribeTags.

use std::collections::BTreeMap;

use super::arn::{self, Resource};
use super::error;
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

/// Most resources that one tag operation takes. The model's documentation gives it for
/// DescribeTags; the other two are undocumented and take as many as they are given.
const DESCRIBED_MAX: usize = 20;

/// Reads the tags of a create operation.
pub(super) fn read(
    tags: Option<&Vec<wire::Tag>>,
    quota: usize,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut read = BTreeMap::new();
    for tag in tags.into_iter().flatten() {
        if tag.key.to_ascii_lowercase().starts_with("aws:") {
            // That the prefix is reserved is documented, the text is not.
            return Err(error::validation(format!(
                "Tag keys that begin with 'aws:' are reserved: '{}'",
                tag.key
            )));
        }
        let value = tag.value.clone().unwrap_or_default();
        if read.insert(tag.key.clone(), value).is_some() {
            let message = format!("Tag keys must be unique: '{}'", tag.key); // Undocumented text.
            return Err(ApiError::sender("DuplicateTagKeys", message));
        }
    }
    if read.len() > quota {
        return Err(too_many(quota));
    }
    Ok(read)
}

fn too_many(quota: usize) -> ApiError {
    let message = format!("The limit on the number of tags for a resource is '{quota}'");
    ApiError::sender("TooManyTags", message) // Undocumented text.
}

impl Emulator {
    pub(super) fn add_tags(
        &mut self,
        _now: Timestamp,
        input: &wire::AddTagsInput,
    ) -> Result<wire::AddTagsOutput, ApiError> {
        let quota = self.config.quotas.tags_per_resource;
        let added = read(Some(&input.tags), quota)?;
        let mut changed = Vec::new();
        for arn in &input.resource_arns {
            let mut tags = self.tags_of_balancing(arn)?.clone();
            tags.extend(added.clone());
            if tags.len() > quota {
                return Err(too_many(quota));
            }
            changed.push((arn, tags));
        }
        for (arn, tags) in changed {
            *self.tags_of_balancing(arn)? = tags;
        }
        Ok(wire::AddTagsOutput {})
    }

    pub(super) fn remove_tags(
        &mut self,
        _now: Timestamp,
        input: &wire::RemoveTagsInput,
    ) -> Result<wire::RemoveTagsOutput, ApiError> {
        for arn in &input.resource_arns {
            self.tags_of_balancing(arn)?;
        }
        for arn in &input.resource_arns {
            self.tags_of_balancing(arn)?
                .retain(|key, _| !input.tag_keys.contains(key));
        }
        Ok(wire::RemoveTagsOutput {})
    }

    /// One missing resource fails the whole call: undocumented, in line with the other Describes.
    pub(super) fn describe_tags(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeTagsInput,
    ) -> Result<wire::DescribeTagsOutput, ApiError> {
        if input.resource_arns.len() > DESCRIBED_MAX {
            // Undocumented text.
            return Err(error::validation(format!(
                "Up to '{DESCRIBED_MAX}' resource ARNs can be specified, but '{}' were specified",
                input.resource_arns.len()
            )));
        }
        let describe = |arn: &String| {
            let tags = self
                .tags_of_balancing(arn)?
                .iter()
                .map(|(key, value)| wire::Tag {
                    key: key.clone(),
                    value: Some(value.clone()),
                });
            Ok(wire::TagDescription {
                resource_arn: Some(arn.clone()),
                tags: Some(tags.collect()),
            })
        };
        let described: Result<_, ApiError> = input.resource_arns.iter().map(describe).collect();
        Ok(wire::DescribeTagsOutput {
            tag_descriptions: Some(described?),
        })
    }

    /// The tags of any resource that has some.
    fn tags_of_balancing(&mut self, arn: &str) -> Result<&mut BTreeMap<String, String>, ApiError> {
        let state = &mut self.elbv2;
        match arn::resource(arn) {
            Some(Resource::LoadBalancer) => {
                let found = state.load_balancers.get_mut(arn).map(|lb| &mut lb.tags);
                found.ok_or_else(|| error::no_load_balancer(arn))
            }
            Some(Resource::Listener) => {
                let found = state
                    .listeners
                    .get_mut(arn)
                    .map(|listener| &mut listener.tags);
                found.ok_or_else(error::no_listener)
            }
            Some(Resource::Rule) => {
                let found = state.rules.get_mut(arn).map(|rule| &mut rule.tags);
                found.ok_or_else(error::no_rule)
            }
            Some(Resource::TargetGroup) => {
                let found = state
                    .target_groups
                    .get_mut(arn)
                    .map(|group| &mut group.tags);
                found.ok_or_else(error::no_target_group)
            }
            Some(Resource::TrustStore) => {
                let found = state.trust_stores.get_mut(arn).map(|store| &mut store.tags);
                found.ok_or_else(|| error::no_trust_store(arn))
            }
            // Undocumented text.
            None => Err(error::validation(format!(
                "'{arn}' is not a valid resource ARN"
            ))),
        }
    }
}
