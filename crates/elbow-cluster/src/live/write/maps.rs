//! ConfigMaps in which LBC remembers the targets of a multi-cluster TargetGroupBinding, and Secrets.
//!
//! In: a name, and data. Out: the data that there is. Always holds: only ConfigMaps and Secrets that are
//! named are read and written, so that a role can name them too.

use std::collections::BTreeMap;

use elbow_api::NamespacedName;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::{FIELD_MANAGER, Writer, within};
use crate::live::error::{Request, WriteError};

impl Writer {
    /// The data of a ConfigMap; none if there is no such ConfigMap.
    pub async fn config_map(
        &self,
        name: &NamespacedName,
    ) -> Result<Option<BTreeMap<String, String>>, WriteError> {
        let (api, request) = self.config_maps(name, "get");
        let found = within(&request, api.get_opt(&name.name)).await?;
        Ok(found.map(|map| map.data.unwrap_or_default()))
    }

    /// Creates a ConfigMap, or sets its data. Keys of others stay.
    pub async fn apply_config_map(
        &self,
        name: &NamespacedName,
        data: &BTreeMap<String, String>,
    ) -> Result<(), WriteError> {
        let (api, request) = self.config_maps(name, "patch");
        let body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name.name },
            "data": data,
        });
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(body);
        within(&request, api.patch(&name.name, &parameters, &patch)).await?;
        Ok(())
    }

    /// Deletes a ConfigMap. That there is none is no error.
    pub async fn delete_config_map(&self, name: &NamespacedName) -> Result<(), WriteError> {
        let (api, request) = self.config_maps(name, "delete");
        match within(&request, api.delete(&name.name, &DeleteParams::default())).await {
            Ok(_) | Err(WriteError::Gone { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A Secret with its data, read anew; none if there is none. Of Secrets the watch brings what may be
    /// kept: whoever needs the rest, as for an import, reads it when it does, and no longer holds it.
    pub async fn secret(&self, name: &NamespacedName) -> Result<Option<Secret>, WriteError> {
        let request = Request {
            verb: "get",
            object: format!("Secret {name}"),
            resource: "secrets".to_owned(),
        };
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &name.namespace);
        within(&request, api.get_opt(&name.name)).await
    }

    fn config_maps(&self, name: &NamespacedName, verb: &'static str) -> (Api<ConfigMap>, Request) {
        let request = Request {
            verb,
            object: format!("ConfigMap {name}"),
            resource: "configmaps".to_owned(),
        };
        (
            Api::namespaced(self.client.clone(), &name.namespace),
            request,
        )
    }
}
