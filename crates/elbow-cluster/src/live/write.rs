//! Writes to the API server: statuses, finalizers, annotations, TargetGroupBindings, events.
//!
//! In: the object that a write was worked out from, and what is wanted. Out: the object as it is after
//! the write, or a [`WriteError`] that says what to do.
//!
//! What always holds: a write that was worked out from a state of an object is done in that state or
//! not at all, where it could undo what somebody else did in between (finalizers, lists that are one
//! value, TargetGroupBindings); every write has an end in time; what it does not name stays as it is.

mod bindings;
mod events;
mod maps;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use elbow_api::{Object, ObjectRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{
    ApiResource, DeleteParams, Patch, PatchParams, Preconditions as DeletePreconditions,
};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::error::{Request, WriteError};
use super::kinds::{self, Served};
use super::objects::Unread;

pub use events::{EventNote, EventType};

/// Whose fields those are that elbow applies.
///
/// LBC writes as `controller`, by updates and merge patches. Its name would not make its fields ours:
/// an owner is a name together with an operation, and ours is Apply. What an update of LBC's left in a
/// list that is keyed, as a listener that is gone, is therefore removed by its place
/// (`remove_listeners`).
pub const FIELD_MANAGER: &str = "elbow";

/// How long a write may take. An API server that has not answered by then is starting, or gone.
const WRITE_TIME_MAX: Duration = Duration::from_secs(15);

/// The state of an object that a write was worked out from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Preconditions {
    /// It is this object, not another of the same name.
    uid: Option<String>,
    /// Nothing of it has changed since.
    resource_version: Option<String>,
}

impl Preconditions {
    /// It is still this object.
    fn same(object: &Object) -> Self {
        Self {
            uid: object.metadata().uid.clone(),
            resource_version: None,
        }
    }

    /// It is still this object in this state.
    fn unchanged(object: &Object) -> Self {
        Self {
            uid: object.metadata().uid.clone(),
            resource_version: object.metadata().resource_version.clone(),
        }
    }
}

/// What a write came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// The object as it is now; the watch brings the same.
    Changed(Object),
    /// It was so already, and nothing was sent.
    Already,
}

/// Writes to the API server. Clones share their connections and what they know of events.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    served: Served,
    events: Arc<events::Recorder>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer")
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(client: Client, served: Served, instance: &str) -> Self {
        Self {
            client,
            served,
            events: Arc::new(events::Recorder::new(instance)),
        }
    }

    /// Writes a status as [`merge_status`](super::merge_status) or
    /// [`merge_parents`](super::merge_parents) made it of `current`, and answers with the object as it
    /// is then.
    ///
    /// Fields that elbow applied before and that are not in it go away; those of others stay. `parents`
    /// of a route are one value, so they are written only to the state given: after a
    /// [`Conflict`](WriteError::Conflict), merge again with the new one.
    pub async fn write_status(
        &self,
        current: &Object,
        status: &Value,
    ) -> Result<Object, WriteError> {
        let stale = super::merge::stale_listeners(current, status);
        if !stale.is_empty() {
            self.remove_listeners(current, &stale).await?;
        }
        // A list that is one value could undo somebody else's entry; the rest is keyed.
        let preconditions = if status.get("parents").is_some() {
            Preconditions::unchanged(current)
        } else {
            Preconditions::same(current)
        };
        let reference = current.object_ref();
        self.apply_status(&reference, status, &preconditions).await
    }

    /// Applies a status, without a look at what others have left in the object.
    async fn apply_status(
        &self,
        object: &ObjectRef,
        status: &Value,
        preconditions: &Preconditions,
    ) -> Result<Object, WriteError> {
        let request = Request::on("patch", object, "status");
        let (api, resource) = self.api(object, &request)?;
        let mut metadata = json!({ "name": object.name });
        if let Some(uid) = &preconditions.uid {
            metadata["uid"] = json!(uid);
        }
        if let Some(version) = &preconditions.resource_version {
            metadata["resourceVersion"] = json!(version);
        }
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": metadata,
            "status": status,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(body);
        let applied = within(
            &request,
            api.patch_status(&object.name, &parameters, &patch),
        )
        .await?;
        read(object, &request, &applied)
    }

    /// Removes listeners from a status, by their places in the state given.
    ///
    /// An apply that leaves a listener out takes away only what elbow applied of it. Where somebody else
    /// wrote a part, as LBC did or who set a condition of their own, the rest stays, or is refused for
    /// lack of a required field.
    async fn remove_listeners(&self, current: &Object, stale: &[usize]) -> Result<(), WriteError> {
        let object = current.object_ref();
        let request = Request::on("patch", &object, "status");
        let (api, _) = self.api(&object, &request)?;
        let mut operations = vec![json!({
            "op": "test",
            "path": "/metadata/resourceVersion",
            "value": current.metadata().resource_version,
        })];
        // From the end, so that the places of those before do not move.
        operations.extend(
            stale.iter().rev().map(
                |place| json!({ "op": "remove", "path": format!("/status/listeners/{place}") }),
            ),
        );
        let Ok(patch) = serde_json::from_value(Value::Array(operations)) else {
            return Ok(()); // Not reached: the operations are written above.
        };
        let (parameters, patch) = (manager(), Patch::Json::<()>(patch));
        let patched = api.patch_status(&object.name, &parameters, &patch);
        match within(&request, patched).await {
            Ok(_) => Ok(()),
            // How an API server says that a test failed, or that there is no such place.
            Err(WriteError::Refused { verb, object, .. }) => {
                Err(WriteError::Conflict { verb, object })
            }
            Err(error) => Err(error),
        }
    }

    /// Adds a finalizer. The object must be in the state given.
    pub async fn add_finalizer(
        &self,
        object: &Object,
        finalizer: &str,
    ) -> Result<Written, WriteError> {
        let mut finalizers = object.metadata().finalizers.clone().unwrap_or_default();
        if finalizers.iter().any(|f| f == finalizer) {
            return Ok(Written::Already);
        }
        finalizers.push(finalizer.to_owned());
        self.set_finalizers(object, &finalizers).await
    }

    /// Removes a finalizer. The object must be in the state given; if it is being deleted and the
    /// finalizer was the last, it is gone afterwards.
    pub async fn remove_finalizer(
        &self,
        object: &Object,
        finalizer: &str,
    ) -> Result<Written, WriteError> {
        let mut finalizers = object.metadata().finalizers.clone().unwrap_or_default();
        let n_before = finalizers.len();
        finalizers.retain(|f| f != finalizer);
        if finalizers.len() == n_before {
            return Ok(Written::Already);
        }
        self.set_finalizers(object, &finalizers).await
    }

    async fn set_finalizers(
        &self,
        object: &Object,
        finalizers: &[String],
    ) -> Result<Written, WriteError> {
        let patch = json!({ "metadata": { "finalizers": finalizers } });
        let preconditions = Preconditions::unchanged(object);
        let changed = self
            .merge(&object.object_ref(), patch, &preconditions)
            .await;
        changed.map(Written::Changed)
    }

    /// Sets annotations, and removes those whose value is `None`.
    pub async fn annotate(
        &self,
        object: &Object,
        annotations: &BTreeMap<String, Option<String>>,
    ) -> Result<Written, WriteError> {
        let current = object.metadata().annotations.as_ref();
        let is_so = annotations
            .iter()
            .all(|(key, value)| current.and_then(|a| a.get(key)) == value.as_ref());
        if is_so {
            return Ok(Written::Already);
        }
        let patch = json!({ "metadata": { "annotations": annotations } });
        let preconditions = Preconditions::same(object);
        let changed = self
            .merge(&object.object_ref(), patch, &preconditions)
            .await;
        changed.map(Written::Changed)
    }

    /// Deletes an object, if it is still the same one. That it is gone already is no error.
    pub async fn delete(&self, object: &Object) -> Result<(), WriteError> {
        let reference = object.object_ref();
        let request = Request::on("delete", &reference, "");
        let (api, _) = self.api(&reference, &request)?;
        let parameters = DeleteParams {
            preconditions: Some(DeletePreconditions {
                uid: object.metadata().uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match within(&request, api.delete(&reference.name, &parameters)).await {
            Ok(_) | Err(WriteError::Gone { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A JSON merge patch under preconditions.
    async fn merge(
        &self,
        object: &ObjectRef,
        mut patch: Value,
        preconditions: &Preconditions,
    ) -> Result<Object, WriteError> {
        let request = Request::on("patch", object, "");
        let (api, _) = self.api(object, &request)?;
        // A merge patch that names another version or UID than the object has is a conflict.
        let metadata = patch
            .as_object_mut()
            .map(|patch| patch.entry("metadata").or_insert_with(|| json!({})));
        if let Some(Value::Object(metadata)) = metadata {
            put(metadata, "uid", preconditions.uid.as_ref());
            put(
                metadata,
                "resourceVersion",
                preconditions.resource_version.as_ref(),
            );
        }
        let (parameters, patch) = (manager(), Patch::Merge(patch));
        let patched = api.patch(&object.name, &parameters, &patch);
        read(object, &request, &within(&request, patched).await?)
    }

    /// The API for the resource of an object, in the version that is served.
    pub(super) fn api(
        &self,
        object: &ObjectRef,
        request: &Request,
    ) -> Result<(Api<Unread>, ApiResource), WriteError> {
        let Some(version) = self.served.version(object.kind) else {
            return Err(WriteError::NotServed {
                verb: request.verb,
                object: request.object.clone(),
                kind: object.kind,
            });
        };
        let resource = kinds::resource(object.kind, version);
        let client = self.client.clone();
        let api = if object.kind.is_namespaced() {
            Api::namespaced_with(client, &object.namespace, &resource)
        } else {
            Api::all_with(client, &resource)
        };
        Ok((api, resource))
    }
}

/// Writes in elbow's name.
pub(super) fn manager() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn put(map: &mut Map<String, Value>, key: &str, value: Option<&String>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), json!(value));
    }
}

/// Waits for an answer, but not for ever.
pub(super) async fn within<T>(
    request: &Request,
    answer: impl Future<Output = kube::Result<T>>,
) -> Result<T, WriteError> {
    match timeout(WRITE_TIME_MAX, answer).await {
        Ok(answer) => answer.map_err(|error| request.failed(error)),
        Err(_) => Err(WriteError::TimedOut {
            verb: request.verb,
            object: request.object.clone(),
            seconds: WRITE_TIME_MAX.as_secs(),
        }),
    }
}

/// Reads the answer to a write. One that cannot be read was a write all the same, so the caller is told
/// to ask again rather than that the write was refused.
pub(super) fn read(
    object: &ObjectRef,
    request: &Request,
    answer: &Unread,
) -> Result<Object, WriteError> {
    answer
        .read(object.kind)
        .map_err(|error| request.failed(kube::Error::SerdeError(error)))
}

/// What an event is about.
fn object_reference(
    object: &Object,
    served: &Served,
) -> k8s_openapi::api::core::v1::ObjectReference {
    let reference = object.object_ref();
    let metadata: &ObjectMeta = object.metadata();
    let version = served.version(reference.kind);
    k8s_openapi::api::core::v1::ObjectReference {
        api_version: version.map(|v| kinds::resource(reference.kind, v).api_version),
        kind: Some(reference.kind.as_str().to_owned()),
        name: Some(reference.name),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests;
