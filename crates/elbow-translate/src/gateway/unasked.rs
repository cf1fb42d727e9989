//! What can be said of a Gateway of which AWS could not be asked anything.
//!
//! In: a Snapshot, and why AWS could not be asked. Out: a [`Translation`] that wants nothing and leaves
//! everything as it is but the Gateway's conditions. What always holds: no fact is needed for it.

use elbow_api::{NamespacedName, Snapshot};
use elbow_model::Facts;

use super::context::Context;
use super::{Translation, class, gateway_draft, hold};
use crate::settings::Settings;
use crate::status::Verdict;

/// Says of a Gateway why nothing can be done for it; `None` when it is absent, not ours, or going away.
pub fn translate_unasked_gateway(
    snapshot: &Snapshot,
    settings: &Settings,
    gateway: &NamespacedName,
    message: &str,
) -> Option<Translation> {
    let facts = Facts::default();
    let ctx = Context::new(snapshot, &facts, settings);
    let object = ctx.reader.gateway(gateway)?;
    let class = NamespacedName::new("", object.spec.gateway_class_name.clone());
    let controller = class::controller(ctx.reader.gateway_class(&class)?)?;
    if object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let verdict = Verdict::Misconfigured {
        reason: "Invalid",
        message: message.to_owned(),
    };
    Some(Translation {
        gateway: Some(gateway_draft(object, controller, verdict)),
        ..hold()
    })
}
