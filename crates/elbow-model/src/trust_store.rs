//! Mutual TLS of listeners, and the trust stores that are made of Kubernetes ConfigMaps.
//!
//! In: by translation, which ConfigMaps a listener's clients may be vouched for by, and what is in them. Out:
//! what a listener asks of its clients; trust stores of the cluster's Stack, with the object in S3 that a
//! bundle travels in. What always holds: a trust store is named by the ConfigMaps and not by their content,
//! so that new content changes no listener; an object in S3 is named by the content, so that a write which
//! comes late overwrites nothing newer.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::Tags;
use crate::ids::{ResourceId, TrustStoreArn};
use crate::stack::{Cause, Ref};

/// Tag of a trust store that tells its content: ELBv2 shows the content nowhere else.
pub const BUNDLE_TAG: &str = "elbv2.k8s.aws/trust-store-content";

/// What the resource ids of trust stores that are made of ConfigMaps begin with.
pub const TRUST_STORE_PREFIX: &str = "ca/";

/// What the keys of objects begin with that bundles travel in, if nobody chooses otherwise. The IAM policy
/// that is shipped allows no others.
pub const DEFAULT_PREFIX: &str = "elbow/trust-stores/";

/// Characters that AWS allows in the value of a tag, which is where a resource id is kept.
const TAG_VALUE_MAX: usize = 256;

/// Digits of a hash in a name: 64 bits tell 20 trust stores of an account apart.
const NAME_DIGITS: usize = 16;

/// What a listener asks of its clients.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(
    tag = "mode",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum MutualAuthentication {
    /// Nothing.
    #[default]
    Off,
    /// A certificate if they have one; it is handed to the targets as it is.
    Passthrough,
    /// A certificate of an authority in the trust store; others do not get through.
    Verify {
        /// The authorities.
        trust_store: Ref<TrustStoreArn>,
        /// Whether certificates that have expired get through.
        ignore_client_certificate_expiry: bool,
        /// Whether clients are told the names of the authorities.
        advertise_trust_store_ca_names: bool,
    },
}

impl MutualAuthentication {
    /// Whether nothing is asked.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// The mode as ELBv2 spells it.
    pub const fn mode(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Passthrough => "passthrough",
            Self::Verify { .. } => "verify",
        }
    }

    /// The trust store, if there is one.
    pub fn trust_store(&self) -> Option<&Ref<TrustStoreArn>> {
        match self {
            Self::Off | Self::Passthrough => None,
            Self::Verify { trust_store, .. } => Some(trust_store),
        }
    }

    /// The trust store, if there is one, to be given its ARN.
    pub fn trust_store_mut(&mut self) -> Option<&mut Ref<TrustStoreArn>> {
        match self {
            Self::Off | Self::Passthrough => None,
            Self::Verify { trust_store, .. } => Some(trust_store),
        }
    }
}

impl fmt::Display for MutualAuthentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mode())?;
        let Self::Verify {
            trust_store,
            ignore_client_certificate_expiry: ignores_expiry,
            advertise_trust_store_ca_names: advertises,
        } = self
        else {
            return Ok(());
        };
        write!(f, " by {trust_store}")?;
        if *ignores_expiry {
            f.write_str(", expired ones too")?;
        }
        if *advertises {
            f.write_str(", names advertised")?;
        }
        Ok(())
    }
}

/// A ConfigMap that holds certificates of authorities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthoritySource {
    /// The ConfigMap's namespace.
    pub namespace: String,
    /// The ConfigMap's name.
    pub name: String,
}

impl fmt::Display for AuthoritySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The resource id of the trust store that these ConfigMaps make up together. Where their names are too long
/// for a tag, a hash of them stands there.
pub fn resource_id(sources: &BTreeSet<AuthoritySource>) -> ResourceId {
    // No name of Kubernetes has this sign.
    let names: Vec<String> = sources.iter().map(ToString::to_string).collect();
    let names = names.join("+");
    let id = format!("{TRUST_STORE_PREFIX}{names}");
    if id.len() <= TAG_VALUE_MAX {
        return ResourceId::new(id);
    }
    let hash = hex::encode(Sha256::digest(names));
    ResourceId::new(format!("{TRUST_STORE_PREFIX}{hash}"))
}

/// The name of a trust store: at most 32 letters, digits and single hyphens (CreateTrustStore in the API
/// reference). It follows from the cluster and the resource id, so that nobody makes the same one twice.
pub fn name(cluster_name: &str, id: &ResourceId) -> String {
    let mut hash = hex::encode(Sha256::digest(format!("{cluster_name}/{id}")));
    hash.truncate(NAME_DIGITS);
    format!("k8s-ca-{hash}")
}

/// Where bundles are put for ELBv2 to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleStorage {
    /// A bucket of S3 in the region.
    pub bucket: String,
    /// What the keys of objects begin with; nobody else writes there.
    pub prefix: String,
}

impl BundleStorage {
    /// The key of the object that a bundle travels in.
    pub fn key(&self, trust_store: &str, digest: &str) -> String {
        format!("{}{trust_store}/{digest}.pem", self.prefix)
    }
}

/// A trust store that is to be there with the content of ConfigMaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustStore {
    /// Its name, used when it is created only.
    pub name: String,
    /// The certificates of the authorities, as PEM. They are public.
    pub bundle: String,
    /// SHA-256 over that, in hexadecimal.
    pub digest: String,
    /// How many certificates there are.
    pub certificates: usize,
    /// All tags: the tracking tags, and [`BUNDLE_TAG`] with the digest.
    pub tags: Tags,
    /// Because of which objects: the ConfigMaps.
    pub causes: Vec<Cause>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(names: &[(&str, &str)]) -> BTreeSet<AuthoritySource> {
        let source = |(namespace, name): &(&str, &str)| AuthoritySource {
            namespace: (*namespace).to_owned(),
            name: (*name).to_owned(),
        };
        names.iter().map(source).collect()
    }

    #[test]
    fn a_resource_id_names_its_config_maps_in_one_order() {
        let id = resource_id(&sources(&[("shop", "b"), ("pki", "a")]));
        assert_eq!(id.as_str(), "ca/pki/a+shop/b");
        let long = "a".repeat(253);
        let id = resource_id(&sources(&[("shop", &long)]));
        assert_eq!(id.as_str().len(), "ca/".len() + 64);
        assert_ne!(id, resource_id(&sources(&[("shop", &long), ("shop", "b")])));
    }

    #[test]
    fn names_are_what_elbv2_takes() {
        let id = resource_id(&sources(&[("shop", "ca")]));
        let name = name("demo", &id);
        assert!(name.len() <= 32, "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
        assert_ne!(name, super::name("other", &id));
    }
}
