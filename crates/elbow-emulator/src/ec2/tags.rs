//! CreateTags, DeleteTags, and tags in create calls.

use super::ids::{self, Kind};
use super::state::Tags;
use crate::generated::ec2 as wire;
use crate::{ApiError, Emulator};

/// Characters of a key. (The model's text says 127, the guide 128.)
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;
/// Resources of one CreateTags or DeleteTags call.
const RESOURCES_MAX: usize = 1_000;

/// The tags that a create call gives to a new resource of that type.
pub(super) fn of_new(
    specifications: Option<&[wire::TagSpecification]>,
    resource_type: &str,
    quota: usize,
) -> Result<Tags, ApiError> {
    let mut tags = Tags::new();
    for specification in specifications.unwrap_or_default() {
        let given = specification.resource_type.as_deref().unwrap_or_default();
        if given != resource_type {
            let message =
                format!("'{given}' is not a valid taggable resource type for this operation.");
            return Err(ApiError::sender("InvalidParameterValue", message));
        }
        for tag in specification.tags.iter().flatten() {
            let (key, value) = checked(tag)?;
            if tags.insert(key.clone(), value).is_some() {
                let message = format!("Duplicate tag key '{key}' specified.");
                return Err(ApiError::sender("InvalidParameterValue", message));
            }
        }
    }
    within(&tags, quota)?;
    Ok(tags)
}

fn checked(tag: &wire::Tag) -> Result<(String, String), ApiError> {
    let key = tag.key.clone().unwrap_or_default();
    let value = tag.value.clone().unwrap_or_default();
    if key.is_empty() {
        let message = "Tag key cannot be null or empty";
        return Err(ApiError::sender("InvalidParameterValue", message));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        let message = "Tag keys starting with 'aws:' are reserved for internal use";
        return Err(ApiError::sender("InvalidTagKey.Malformed", message));
    }
    if key.chars().count() > KEY_MAX {
        let message = format!("Tag key exceeds the maximum length of {KEY_MAX} characters");
        return Err(ApiError::sender("InvalidParameterValue", message));
    }
    if value.chars().count() > VALUE_MAX {
        let message = format!("Tag value exceeds the maximum length of {VALUE_MAX} characters");
        return Err(ApiError::sender("InvalidParameterValue", message));
    }
    Ok((key, value))
}

fn within(tags: &Tags, quota: usize) -> Result<(), ApiError> {
    if tags.len() > quota {
        let message = format!("The maximum number of tags for a resource is {quota}");
        return Err(ApiError::sender("TagLimitExceeded", message));
    }
    Ok(())
}

/// The kinds of resource that can be tagged.
const KINDS: [Kind; 8] = [
    ids::VPC,
    ids::SUBNET,
    ids::INSTANCE,
    ids::INTERFACE,
    ids::GROUP,
    ids::RULE,
    ids::ROUTE_TABLE,
    ids::ALLOCATION,
];

impl Emulator {
    pub(crate) fn create_tags(
        &mut self,
        input: &wire::CreateTagsInput,
    ) -> Result<wire::CreateTagsOutput, ApiError> {
        check_count(&input.resources)?;
        let new = input
            .tags
            .iter()
            .map(checked)
            .collect::<Result<Vec<_>, _>>()?;
        let quota = self.config.quotas.tags_per_resource;
        // All resources are looked at before the first one is changed.
        for id in &input.resources {
            let mut tags = self.tags_of(id)?.clone();
            tags.extend(new.iter().cloned());
            within(&tags, quota)?;
        }
        for id in &input.resources {
            self.tags_of(id)?.extend(new.iter().cloned());
        }
        Ok(wire::CreateTagsOutput {})
    }

    pub(crate) fn delete_tags(
        &mut self,
        input: &wire::DeleteTagsInput,
    ) -> Result<wire::DeleteTagsOutput, ApiError> {
        check_count(&input.resources)?;
        for id in &input.resources {
            self.tags_of(id)?;
        }
        for id in &input.resources {
            let tags = self.tags_of(id)?;
            match &input.tags {
                // Without tags in the request, all of the user's own go.
                None => tags.clear(),
                Some(doomed) => {
                    for tag in doomed {
                        let key = tag.key.clone().unwrap_or_default();
                        // A value in the request, even an empty one, must be the tag's.
                        if tag.value.is_none() || tags.get(&key) == tag.value.as_ref() {
                            tags.remove(&key);
                        }
                    }
                }
            }
        }
        Ok(wire::DeleteTagsOutput {})
    }

    fn tags_of(&mut self, id: &str) -> Result<&mut Tags, ApiError> {
        let state = &mut self.ec2;
        let prefix = id.split('-').next().unwrap_or_default();
        let Some(kind) = KINDS.iter().find(|kind| kind.prefix == prefix) else {
            let message = format!("The ID '{id}' is not valid");
            return Err(ApiError::sender("InvalidID", message));
        };
        let found = match prefix {
            "vpc" => state.vpcs.get_mut(id).map(|vpc| &mut vpc.tags),
            "subnet" => state.subnets.get_mut(id).map(|subnet| &mut subnet.tags),
            "i" => state
                .instances
                .get_mut(id)
                .map(|instance| &mut instance.tags),
            "eni" => state
                .interfaces
                .get_mut(id)
                .map(|interface| &mut interface.tags),
            "sg" => state
                .security_groups
                .get_mut(id)
                .map(|group| &mut group.tags),
            "sgr" => {
                let mut groups = state.security_groups.values_mut();
                groups
                    .find_map(|group| group.rules.get_mut(id))
                    .map(|rule| &mut rule.tags)
            }
            "rtb" => state.route_tables.get_mut(id).map(|table| &mut table.tags),
            _ => state.addresses.get_mut(id).map(|address| &mut address.tags),
        };
        found.ok_or_else(|| kind.missing(id))
    }
}

fn check_count(resources: &[String]) -> Result<(), ApiError> {
    if resources.len() > RESOURCES_MAX {
        let message = format!("A call can name at most {RESOURCES_MAX} resources");
        return Err(ApiError::sender("InvalidParameterValue", message));
    }
    Ok(())
}
