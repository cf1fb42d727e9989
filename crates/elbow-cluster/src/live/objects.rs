//! Objects as an API server sends them, and as the Snapshot holds them.
//!
//! In: the text of an object of any served version. Out: the one Rust type of its kind, trimmed.
//! Always holds: an object that cannot be read costs itself and no other object of its list.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use elbow_api::{Kind, NamespacedName, Object};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::trim::trim;
use crate::object::{decode, unify};

/// An object that was not read beyond its name. Its text is kept, so that one object that cannot be read
/// does not fail the list that it is in, and so that one watch serves every kind.
///
/// The text is overwritten when it is dropped: it may be that of a Secret. What the connection and the client
/// hold of it meanwhile is theirs.
#[derive(Clone)]
pub(super) struct Unread {
    metadata: ObjectMeta,
    text: Zeroizing<Box<str>>,
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Unread");
        shown.field("name", &self.name()).finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let head: Head = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        let metadata = ObjectMeta {
            name: Some(head.metadata.name),
            namespace: head.metadata.namespace,
            resource_version: head.metadata.resource_version,
            ..ObjectMeta::default()
        };
        let text = Zeroizing::new(text.into());
        Ok(Self { metadata, text })
    }
}

#[derive(Deserialize)]
struct Head {
    metadata: HeadMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadMetadata {
    name: String,
    namespace: Option<String>,
    resource_version: Option<String>,
}

impl Resource for Unread {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.kind)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.group)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.version)
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.api_version)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        Cow::Borrowed(&resource.plural)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Unread {
    /// The object's namespace and name.
    pub(super) fn name(&self) -> NamespacedName {
        NamespacedName::new(
            self.metadata.namespace.clone().unwrap_or_default(),
            self.metadata.name.clone().unwrap_or_default(),
        )
    }

    /// Reads the rest of it.
    pub(super) fn read(&self, kind: Kind) -> serde_json::Result<Object> {
        read(kind, &self.text)
    }
}

/// Reads an object of a kind and keeps of it what is of use.
pub(super) fn read(kind: Kind, text: &str) -> serde_json::Result<Object> {
    let mut object = match kind {
        // These have one version and come by the thousand: straight into their types.
        Kind::Namespace => Object::Namespace(typed(text)?),
        Kind::Node => Object::Node(typed(text)?),
        Kind::Service => Object::Service(typed(text)?),
        Kind::EndpointSlice => Object::EndpointSlice(typed(text)?),
        Kind::Pod => Object::Pod(typed(text)?),
        // What the Snapshot holds of these is made of the whole ones.
        Kind::Secret => serde_json::from_str::<core::Secret>(text)?.into(),
        Kind::ConfigMap => serde_json::from_str::<core::ConfigMap>(text)?.into(),
        _ => {
            let mut value = serde_json::from_str(text)?;
            unify(kind, &mut value);
            decode(kind, value)?
        }
    };
    trim(&mut object);
    Ok(object)
}

fn typed<T: DeserializeOwned>(text: &str) -> serde_json::Result<Arc<T>> {
    serde_json::from_str(text).map(Arc::new)
}
