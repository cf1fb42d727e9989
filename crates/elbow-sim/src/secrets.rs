//! Secrets with certificates, ConfigMaps with authorities, and the ReferenceGrant that some of both need.
//!
//! In: what people put into them, in as few words as possible. Out: objects, and for an import the key
//! itself. What always holds: a content is one of a few, so that equal ones meet; the keys are the
//! published test data of `elbow-api` and protect nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use elbow_api::{Object, Secret as Known, TlsMaterial};
use elbow_model::{CertificateMaterial, SecretContent};
use gateway_api::apis::experimental as gw;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::json;

use crate::objects::{NAMESPACE, metadata, typed, uid};

macro_rules! pem {
    ($file:literal) => {
        include_str!(concat!("../../elbow-api/testdata/secrets/", $file))
    };
}

/// The namespace of the Secret and the ConfigMap that a grant is needed for.
pub(crate) const VAULT: &str = "vault";
/// Numbers of Secrets and of ConfigMaps that Gateways refer to; the last of both lies in [`VAULT`].
pub(crate) const SECRETS: u64 = 3;
pub(crate) const BUNDLES: u64 = 3;

/// What a Secret holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    Web,
    Leaf,
    Expired,
    /// The key of one certificate beside another.
    Mismatched,
    Garbage,
}

impl Content {
    pub(crate) const ALL: [Self; 5] = [
        Self::Web,
        Self::Leaf,
        Self::Expired,
        Self::Mismatched,
        Self::Garbage,
    ];

    /// Whether it can be imported.
    pub(crate) const fn is_usable(self) -> bool {
        matches!(self, Self::Web | Self::Leaf)
    }

    fn pem(self) -> (String, &'static str) {
        match self {
            Self::Web => (pem!("web.crt").to_owned(), pem!("web.key")),
            Self::Leaf => (
                [pem!("leaf.crt"), pem!("intermediate.crt"), pem!("root.crt")].concat(),
                pem!("leaf.key"),
            ),
            Self::Expired => (pem!("expired.crt").to_owned(), pem!("expired.key")),
            Self::Mismatched => (pem!("web.crt").to_owned(), pem!("leaf.key")),
            Self::Garbage => ("no certificate".to_owned(), "no key"),
        }
    }

    fn secret(self) -> core::Secret {
        let (certificate, key) = self.pem();
        let data = [("tls.crt", certificate.as_str()), ("tls.key", key)];
        let data = data.map(|(name, text)| (name.to_owned(), ByteString(text.into())));
        core::Secret {
            type_: Some("kubernetes.io/tls".to_owned()),
            data: Some(data.into()),
            ..core::Secret::default()
        }
    }
}

/// What is in a ConfigMap of authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bundle {
    Root,
    Both,
    Intermediate,
    Garbage,
}

impl Bundle {
    pub(crate) const ALL: [Self; 4] = [Self::Root, Self::Both, Self::Intermediate, Self::Garbage];

    /// Whether it says whom to trust.
    pub(crate) const fn is_usable(self) -> bool {
        !matches!(self, Self::Garbage)
    }

    fn text(self) -> String {
        match self {
            Self::Root => pem!("root.crt").to_owned(),
            Self::Both => [pem!("root.crt"), pem!("intermediate.crt")].concat(),
            Self::Intermediate => pem!("intermediate.crt").to_owned(),
            Self::Garbage => "nobody".to_owned(),
        }
    }
}

/// The namespace of the Secret, or ConfigMap, of that number of so many.
pub(crate) fn namespace(number: u64, of: u64) -> &'static str {
    if number + 1 == of { VAULT } else { NAMESPACE }
}

/// Everything that can be imported, by digest.
static MATERIALS: LazyLock<BTreeMap<String, TlsMaterial>> = LazyLock::new(|| {
    let read = Content::ALL.map(|content| Known::read(content.secret()).1);
    let read = read.into_iter().flatten();
    read.map(|material| (material.digest.clone(), material))
        .collect()
});

/// What a Secret of each content comes to; keys are parsed once.
static KNOWN: LazyLock<BTreeMap<Content, Known>> = LazyLock::new(|| {
    let read = Content::ALL.map(|content| (content, Known::read(content.secret()).0));
    read.into()
});

/// What an import of this content sends.
pub(crate) fn material(content: &SecretContent) -> Option<CertificateMaterial> {
    let material = MATERIALS.get(&content.digest)?;
    Some(CertificateMaterial {
        certificate: material.certificate.clone(),
        chain: material.chain.clone(),
        private_key: material.private_key.clone(),
    })
}

/// A Secret.
pub(crate) fn secret(number: u64, content: Content) -> Object {
    let mut secret = KNOWN
        .get(&content)
        .cloned()
        .unwrap_or_else(|| unreachable!("every content is among the known ones"));
    secret.metadata = ObjectMeta {
        name: Some(format!("tls-{number}")),
        namespace: Some(namespace(number, SECRETS).to_owned()),
        uid: Some(uid(8, number, 0)),
        ..ObjectMeta::default()
    };
    Object::from(secret)
}

/// A ConfigMap with authorities.
pub(crate) fn config_map(number: u64, bundle: Bundle) -> Object {
    let config_map = elbow_api::ConfigMap::read(core::ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("ca-{number}")),
            namespace: Some(namespace(number, BUNDLES).to_owned()),
            uid: Some(uid(9, number, 0)),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("ca.crt".to_owned(), bundle.text())])),
        ..core::ConfigMap::default()
    });
    Object::from(config_map)
}

/// The grant, and the namespace that it is given in.
pub(crate) fn vault(is_granted: bool) -> Vec<Object> {
    let mut objects = vec![typed::<core::Namespace>(json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": VAULT, "labels": {"kubernetes.io/metadata.name": VAULT}},
    }))];
    if is_granted {
        let from = json!([{
            "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": NAMESPACE,
        }]);
        objects.push(typed::<gw::referencegrants::ReferenceGrant>(json!({
            "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
            "metadata": metadata("gateways", &uid(10, 0, 0), Some(VAULT)),
            "spec": {"from": from, "to": [
                {"group": "", "kind": "Secret"}, {"group": "", "kind": "ConfigMap"},
            ]},
        })));
    }
    objects
}
