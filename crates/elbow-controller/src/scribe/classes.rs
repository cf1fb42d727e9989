//! GatewayClasses: their condition and their finalizer.
//!
//! In: a class and the Snapshot. Out: the next write to it. Always holds: a class of somebody else's
//! controller is left alone; a class keeps its finalizer while a Gateway names it, so that what its
//! Gateways have in AWS can be told to be ours.

use elbow_api::names::GATEWAY_CLASS_FINALIZER;
use elbow_api::{GatewayController, NamespacedName, Object, ObjectRef, Reader, Snapshot};
use elbow_cluster::live::merge_status;
use elbow_translate::status;

use super::{Scribe, has_finalizer, is_deleted, status_write};
use crate::ports::Write;

impl Scribe {
    pub(super) fn for_class(
        &mut self,
        current: &Object,
        snapshot: &Snapshot,
        wall: jiff::Timestamp,
    ) -> Option<Write> {
        let name = current.object_ref().name;
        let (draft, reads) = elbow_translate::translate_class(snapshot, &name);
        let Some(draft) = draft else {
            self.class_reads.remove(&name);
            return None;
        };
        self.class_reads.insert(name.clone(), reads);
        let object = || current.clone();
        let finalizer = GATEWAY_CLASS_FINALIZER;
        if is_deleted(current) {
            self.class_reads.remove(&name);
            let is_used = !Reader::new(snapshot).gateways_of(&name).is_empty();
            return (has_finalizer(current, finalizer) && !is_used).then(|| {
                Write::RemoveFinalizer {
                    object: object(),
                    finalizer,
                }
            });
        }
        if !has_finalizer(current, finalizer) {
            return Some(Write::AddFinalizer {
                object: object(),
                finalizer,
            });
        }
        let wanted = serde_json::to_value(status::class(&draft)).ok()?;
        status_write(current, merge_status(current, &wanted, wall))
    }
}

/// Whose controller's a Gateway is, by its class; `None` for somebody else's, and where the class is
/// missing.
pub(super) fn controller(snapshot: &Snapshot, gateway: &Object) -> Option<GatewayController> {
    let Object::Gateway(gateway) = gateway else {
        return None;
    };
    let class = NamespacedName::new("", gateway.spec.gateway_class_name.clone());
    let reader = Reader::new(snapshot);
    let class = reader.gateway_class(&class)?;
    GatewayController::from_controller_name(&class.spec.controller_name)
}

/// Whether there is such a Gateway, and its class is not known to be somebody else's.
pub(super) fn may_be_ours(snapshot: &Snapshot, gateway: &ObjectRef) -> bool {
    let Some(Object::Gateway(gateway)) = snapshot.get(gateway) else {
        return false;
    };
    let class = NamespacedName::new("", gateway.spec.gateway_class_name.clone());
    let class = Reader::new(snapshot).gateway_class(&class);
    class.is_none_or(|class| {
        GatewayController::from_controller_name(&class.spec.controller_name).is_some()
    })
}
