//! Certificates that are imported from Kubernetes Secrets.
//!
//! In: by translation, a Secret's name and a digest of what is in it. Out: what is imported, and at the
//! moment of the import alone the key itself, [`CertificateMaterial`]. What always holds: a Stack, a
//! plan and what is printed of them hold no key; material shows nothing of itself when it is printed,
//! and is overwritten when it is dropped.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Tags;
use crate::aws_error::{AwsError, ErrorClass};
use crate::ids::ResourceId;
use crate::stack::Cause;

/// Tag of an imported certificate that tells its content: a restart compares it and reads no key.
pub const CONTENT_TAG: &str = "elbv2.k8s.aws/certificate-content";

/// What the resource ids of imported certificates begin with.
pub const IMPORTED_PREFIX: &str = "secret/";

/// Characters that AWS allows in the value of a tag, which is where a resource id is kept.
const TAG_VALUE_MAX: usize = 256;

/// The resource id of the certificate that a Secret becomes; `None` where the names are too long for a
/// tag. Namespaces have at most 63 characters and names of Secrets 253, so few are.
pub fn resource_id(namespace: &str, name: &str) -> Option<ResourceId> {
    let id = format!("{IMPORTED_PREFIX}{namespace}/{name}");
    (id.len() <= TAG_VALUE_MAX).then(|| ResourceId::new(id))
}

/// Namespace and name of the Secret that a certificate of this resource id was imported from.
pub fn secret_of(id: &ResourceId) -> Option<(&str, &str)> {
    id.as_str().strip_prefix(IMPORTED_PREFIX)?.split_once('/')
}

/// A Secret, and the content of it that is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretContent {
    /// The Secret's namespace.
    pub namespace: String,
    /// The Secret's name.
    pub name: String,
    /// Digest of the certificate and its chain, in hexadecimal. The leaf holds the public key, and the
    /// private key is known to belong to it, so the digest says all about the content and nothing
    /// about the key.
    pub digest: String,
}

impl SecretContent {
    /// The failure of an import whose Secret is gone, or has other content than was planned for.
    pub fn not_read(&self) -> AwsError {
        let message = format!("{self} does not hold the certificate that was to be imported");
        AwsError::new(ErrorClass::Conflict, "SecretNotRead", message)
    }
}

impl fmt::Display for SecretContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret {}/{}", self.namespace, self.name)
    }
}

/// A certificate that is to be in ACM with the content of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportedCertificate {
    /// The content.
    pub content: SecretContent,
    /// Names it is valid for, for people.
    pub domains: Vec<String>,
    /// All tags: the tracking tags, and [`CONTENT_TAG`] with the digest.
    pub tags: Tags,
    /// Because of which objects: the Secret.
    pub causes: Vec<Cause>,
}

/// What an import sends besides its call, as PEM. Made at the moment of the call, dropped after it.
#[derive(Clone)]
pub struct CertificateMaterial {
    /// The certificate.
    pub certificate: String,
    /// The certificates of those who issued it, in order; `None` for one that issued itself.
    pub chain: Option<String>,
    /// The private key.
    pub private_key: Zeroizing<String>,
}

impl fmt::Debug for CertificateMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateMaterial(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_id_names_its_secret() {
        let id = resource_id("shop", "tls").unwrap_or_else(|| ResourceId::new(""));
        assert_eq!(id.as_str(), "secret/shop/tls");
        assert_eq!(secret_of(&id), Some(("shop", "tls")));
        assert_eq!(secret_of(&ResourceId::new("backend-sg")), None);
        assert_eq!(resource_id("shop", &"a".repeat(253)), None);
    }

    #[test]
    fn material_prints_nothing_of_itself() {
        let material = CertificateMaterial {
            certificate: "public".to_owned(),
            chain: None,
            private_key: Zeroizing::new("private".to_owned()),
        };
        assert_eq!(format!("{material:?}"), "CertificateMaterial(..)");
    }
}
