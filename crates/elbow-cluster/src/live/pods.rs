//! Single pods, for readiness gates.
//!
//! In: a pod and conditions, or a TargetGroupBinding that goes. Out: that the pod has the conditions, or
//! that no pod waits for the binding. Always holds: a condition is set on the pod that it was worked out
//! for, never on another of the same name.

use std::sync::Arc;

use elbow_api::{Kind, NamespacedName, Object, ObjectRef};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube::api::{ListParams, Patch};
use serde_json::json;

use super::error::{Request, WriteError};
use super::readiness::{TargetHealth, condition, has_gate};
use super::write::{Writer, manager, within};

/// Pods in a page of a list; a pod is some 10 KB of text.
const PAGE_SIZE: u32 = 100;

impl Writer {
    /// The pods of a namespace that have the gate of a TargetGroupBinding. This reads all pods of the
    /// namespace, page by page: it is for a binding that is deleted, when no EndpointSlice may name them
    /// any more.
    pub async fn pods_with_gate(
        &self,
        namespace: &str,
        binding: &str,
    ) -> Result<Vec<Arc<Pod>>, WriteError> {
        let object = ObjectRef::new(Kind::Pod, namespace, "");
        let request = Request {
            object: format!("the pods of {namespace}"),
            ..Request::on("list", &object, "")
        };
        let (api, _) = self.api(&object, &request)?;
        let mut found = Vec::new();
        let mut parameters = ListParams::default().limit(PAGE_SIZE);
        loop {
            let page = within(&request, api.list(&parameters)).await?;
            for unread in &page.items {
                // One that cannot be read has no gate that anybody could see either.
                if let Ok(Object::Pod(pod)) = unread.read(Kind::Pod)
                    && has_gate(&pod, binding)
                {
                    found.push(pod);
                }
            }
            let next = page.metadata.continue_.filter(|next| !next.is_empty());
            let Some(next) = next else {
                return Ok(found);
            };
            parameters = parameters.continue_token(&next);
        }
    }

    /// Opens the gates of a TargetGroupBinding that is about to go, wherever they are closed: nothing is
    /// going to make their pods ready any more.
    pub async fn open_gates(
        &self,
        binding: &NamespacedName,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let NamespacedName { namespace, name } = binding;
        let health = TargetHealth::binding_deleted();
        for pod in self.pods_with_gate(namespace, name).await? {
            let Some(opened) = condition(&pod, name, Some(&health), now) else {
                continue;
            };
            match self.set_pod_conditions(&pod, &[opened]).await {
                // It is gone, or another has its name.
                Ok(_) | Err(WriteError::Gone { .. } | WriteError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sets conditions of a pod, by type, and answers with the pod as it is then. That the pod is gone, or
    /// that another has its name, is [`Gone`](WriteError::Gone) or [`Conflict`](WriteError::Conflict).
    pub async fn set_pod_conditions(
        &self,
        pod: &Pod,
        conditions: &[PodCondition],
    ) -> Result<Object, WriteError> {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let name = pod.metadata.name.clone().unwrap_or_default();
        let object = ObjectRef::new(Kind::Pod, namespace, name);
        let request = Request::on("patch", &object, "status");
        let (api, _) = self.api(&object, &request)?;
        // Strategic: the API server merges the conditions of a pod by their type.
        let patch = Patch::Strategic(json!({
            "metadata": { "uid": pod.metadata.uid },
            "status": { "conditions": conditions },
        }));
        let parameters = manager();
        let patched = api.patch_status(&object.name, &parameters, &patch);
        let patched = within(&request, patched).await?;
        super::write::read(&object, &request, &patched)
    }
}
