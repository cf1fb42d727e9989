//! Tags of AWS resources.
//!
//! In: what users ask for, the operator's default tags and what proves ownership. Out: the complete
//! tags of a resource. What always holds: tracking tags win against everything, so no user can make
//! a resource look like another Stack's.

use std::collections::BTreeMap;

use elbow_api::{Diagnostic, ObjectRef};
use elbow_model::{ResourceId, StackId, Tags};

use super::context::Context;

/// AWS refuses longer tag values:
/// <https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html>.
pub(crate) const VALUE_LENGTH_MAX: usize = 256;

/// Tags that a user asks for, and where.
#[derive(Clone, Copy)]
pub(crate) struct UserTags<'a> {
    pub(crate) tags: Option<&'a BTreeMap<String, String>>,
    /// The object that asks, and the field in it.
    pub(crate) object: Option<&'a ObjectRef>,
    pub(crate) field: &'static str,
}

/// The complete tags of a resource of a Stack.
pub(crate) fn of(
    ctx: &Context<'_>,
    stack: &StackId,
    resource: &ResourceId,
    user: UserTags<'_>,
) -> Tags {
    let settings = ctx.settings;
    let mut tags = Tags::new();
    for (key, value) in user.tags.into_iter().flatten() {
        // Difference (external-tag-is-dropped): LBC gives up the whole Gateway because of one such tag.
        if settings.external_managed_tags.contains(key) {
            let mut found = Diagnostic::error(
                "external-managed-tag",
                format!("tag `{key}` is managed outside of elbow and is not set"),
            )
            .at(format!("{}.{key}", user.field))
            .hint("remove the tag here, or take it out of the external managed tags");
            found.object = user.object.cloned();
            ctx.report(found);
        } else {
            tags.insert(key.clone(), value.clone());
        }
    }
    for (key, value) in &settings.default_tags {
        if settings.gates.default_tags_low_priority {
            tags.entry(key.clone()).or_insert_with(|| value.clone());
        } else {
            tags.insert(key.clone(), value.clone());
        }
    }
    tags.extend(stack.tracking_tags(&settings.cluster_name, resource));
    tags
}
