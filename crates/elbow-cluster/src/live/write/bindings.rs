//! TargetGroupBindings of ours.
//!
//! In: the binding that is wanted, and the one that there is. Out: the binding that there is then.
//! Always holds: its spec is exactly the one wanted, whoever wrote it before; labels and annotations of
//! others stay.

use std::sync::Arc;

use elbow_api::crds::TargetGroupBinding;
use elbow_api::{Kind, Object};
use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::{FIELD_MANAGER, Preconditions, Writer, Written, read, within};
use crate::live::error::{Request, WriteError};

impl Writer {
    /// Makes a TargetGroupBinding what is wanted. Name and namespace are those of `wanted`; of its
    /// metadata, labels and annotations are used and, for a new one, finalizers.
    ///
    /// A new one is applied. One that is there is changed by a merge patch in the state given: what LBC
    /// wrote belongs to its update, and an apply that leaves out a field would leave it standing.
    pub async fn apply_binding(
        &self,
        wanted: &TargetGroupBinding,
        current: Option<&TargetGroupBinding>,
    ) -> Result<Written, WriteError> {
        let reference = Object::TargetGroupBinding(Arc::new(wanted.clone())).object_ref();
        let request = Request::on("patch", &reference, "");
        let Some(current) = current else {
            let (api, resource) = self.api(&reference, &request)?;
            let metadata = &wanted.metadata;
            let body = json!({
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {
                    "name": reference.name,
                    "namespace": reference.namespace,
                    "labels": metadata.labels,
                    "annotations": metadata.annotations,
                    "finalizers": metadata.finalizers,
                },
                "spec": wanted.spec,
            });
            let parameters = PatchParams::apply(FIELD_MANAGER).force();
            let patch = Patch::Apply(without_nulls(body));
            let applied = within(&request, api.patch(&reference.name, &parameters, &patch)).await?;
            return read(&reference, &request, &applied).map(Written::Changed);
        };
        let Some(patch) = difference(current, wanted) else {
            return Ok(Written::Already);
        };
        let current = Object::TargetGroupBinding(Arc::new(current.clone()));
        debug_assert_eq!(current.kind(), Kind::TargetGroupBinding);
        let preconditions = Preconditions::unchanged(&current);
        let changed = self.merge(&reference, patch, &preconditions).await;
        changed.map(Written::Changed)
    }
}

/// The merge patch from one binding to another.
fn difference(current: &TargetGroupBinding, wanted: &TargetGroupBinding) -> Option<Value> {
    let value = |spec| serde_json::to_value(spec).unwrap_or_default();
    let mut patch = Map::new();
    if let Some(spec) = merge_patch(&value(&current.spec), &value(&wanted.spec)) {
        patch.insert("spec".to_owned(), spec);
    }
    let mut metadata = Map::new();
    for (name, current, wanted) in [
        ("labels", &current.metadata.labels, &wanted.metadata.labels),
        (
            "annotations",
            &current.metadata.annotations,
            &wanted.metadata.annotations,
        ),
    ] {
        let changed: Map<_, _> = wanted
            .iter()
            .flatten()
            .filter(|(key, value)| current.as_ref().and_then(|c| c.get(*key)) != Some(value))
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        if !changed.is_empty() {
            metadata.insert(name.to_owned(), Value::Object(changed));
        }
    }
    if !metadata.is_empty() {
        patch.insert("metadata".to_owned(), Value::Object(metadata));
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The JSON merge patch (RFC 7396) from one value to another; none if they are equal.
fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return Some(to.clone());
    };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in to {
        let changed = match from.get(key) {
            Some(before) => merge_patch(before, value),
            None => Some(value.clone()),
        };
        if let Some(changed) = changed {
            patch.insert(key.clone(), changed);
        }
    }
    Some(Value::Object(patch))
}

/// Drops members of maps that are null: applied, they would be fields of their own.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        value => value,
    }
}
