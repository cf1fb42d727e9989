//! ConfigMaps that hold the certificates of authorities: what of them is kept, and what is wrong with them.
//!
//! In: a ConfigMap as the API server or a manifest has it. Out: a [`ConfigMap`] with the [`CaBundle`] in
//! its entry `ca.crt`, or the [`CaProblem`] for which it cannot be used. What always holds: nothing else
//! of a ConfigMap is kept; a bundle has one form, whatever order, comments or repetitions its text had.
//!
//! Sources of the limits: "Mutual authentication with TLS in Application Load Balancer" and "Quotas for
//! your Application Load Balancers". Start at [`ConfigMap::read`].

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::pem;

/// Entry that holds the certificates (`caCertificateRefs` in the Gateway API).
pub const CA_ENTRY: &str = "ca.crt";

/// Bytes of one certificate in a trust store (quota "CA certificate size").
const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;

/// A ConfigMap, as far as it holds certificates of authorities.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigMap {
    /// Name, namespace, UID and version; nothing else.
    pub metadata: ObjectMeta,
    /// The authorities in its entry `ca.crt`, or why there are none that could be used.
    pub authorities: Result<CaBundle, CaProblem>,
}

/// Certificates of authorities, each once, in one order.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CaBundle {
    /// Each as PEM.
    certificates: BTreeSet<String>,
}

/// Why a ConfigMap cannot say which clients are trusted. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the fields are what the message says, in its words"
)]
pub enum CaProblem {
    /// There is no such entry, or it is empty.
    #[error("has no {CA_ENTRY}")]
    MissingEntry,
    /// The entry is no PEM text.
    #[error("holds no PEM certificate in {CA_ENTRY}")]
    NoCertificate,
    /// A certificate cannot be parsed.
    #[error("has a certificate in {CA_ENTRY}, number {place}, that cannot be read")]
    UnreadableCertificate { place: usize },
    /// A certificate that may not issue others vouches for nobody.
    #[error(
        "has a certificate in {CA_ENTRY}, number {place}, that is none of an authority ({subject})"
    )]
    NoAuthority { place: usize, subject: String },
    /// A trust store takes no larger one.
    #[error(
        "has a certificate in {CA_ENTRY}, number {place}, of more than {CERTIFICATE_BYTES_MAX} bytes, the most that a trust store takes"
    )]
    TooLarge { place: usize },
}

impl CaProblem {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::MissingEntry | Self::NoCertificate | Self::UnreadableCertificate { .. } => {
                "put the certificates of the authorities in ca.crt as PEM"
            }
            Self::NoAuthority { .. } => {
                "name the authority that issues the clients' certificates, not a client: its certificate is of X.509 version 3 and says CA:TRUE"
            }
            Self::TooLarge { .. } => "use an authority with a smaller certificate",
        }
    }
}

impl ConfigMap {
    /// Takes a ConfigMap apart and keeps what is of use.
    pub fn read(config_map: core::ConfigMap) -> Self {
        let text = config_map
            .data
            .as_ref()
            .and_then(|data| data.get(CA_ENTRY))
            .map(String::as_bytes);
        let bytes = config_map
            .binary_data
            .as_ref()
            .and_then(|data| data.get(CA_ENTRY))
            .map(|bytes| bytes.0.as_slice());
        let entry = text.or(bytes).filter(|entry| !entry.is_empty());
        let authorities = entry.ok_or(CaProblem::MissingEntry).and_then(authorities);
        let metadata = config_map.metadata;
        Self {
            metadata: ObjectMeta {
                name: metadata.name,
                namespace: metadata.namespace,
                uid: metadata.uid,
                resource_version: metadata.resource_version,
                ..ObjectMeta::default()
            },
            authorities,
        }
    }
}

impl From<core::ConfigMap> for ConfigMap {
    fn from(config_map: core::ConfigMap) -> Self {
        Self::read(config_map)
    }
}

impl From<core::ConfigMap> for crate::Object {
    fn from(config_map: core::ConfigMap) -> Self {
        Self::from(ConfigMap::from(config_map))
    }
}

impl CaBundle {
    /// How many authorities there are.
    pub fn len(&self) -> usize {
        self.certificates.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// Takes the authorities of another bundle in.
    pub fn merge(&mut self, other: &Self) {
        self.certificates.extend(other.certificates.iter().cloned());
    }

    /// One PEM text, without comments and empty lines, which trust stores do not take.
    pub fn pem(&self) -> String {
        self.certificates.iter().map(String::as_str).collect()
    }

    /// SHA-256 over [`CaBundle::pem`], in hexadecimal.
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.pem()))
    }
}

fn authorities(text: &[u8]) -> Result<CaBundle, CaProblem> {
    let unreadable = |place| CaProblem::UnreadableCertificate { place };
    let certificates = pem::certificates(text).map_err(|problem| unreadable(problem.place))?;
    let mut bundle = CaBundle::default();
    for (place, der) in (1..).zip(&certificates) {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| unreadable(place))?;
        if !certificate.is_ca() {
            let subject = certificate.subject().to_string();
            return Err(CaProblem::NoAuthority { place, subject });
        }
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CaProblem::TooLarge { place });
        }
        bundle.certificates.insert(pem::to_pem(der));
    }
    if bundle.is_empty() {
        return Err(CaProblem::NoCertificate);
    }
    Ok(bundle)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests read their certificates")]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    /// Files of `testdata/secrets`, with `+` between them; or a text, after `=`.
    fn text(name: &str) -> String {
        if let Some(text) = name.strip_prefix('=') {
            return text.to_owned();
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/secrets");
        name.split('+')
            .map(|name| std::fs::read_to_string(folder.join(name)).unwrap())
            .collect()
    }

    fn read(entry: &str, content: String) -> ConfigMap {
        ConfigMap::read(core::ConfigMap {
            metadata: ObjectMeta {
                name: Some("ca".to_owned()),
                namespace: Some("shop".to_owned()),
                annotations: Some(BTreeMap::from([("a".to_owned(), "copy".to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([
                (entry.to_owned(), content),
                ("other".to_owned(), "kept by nobody".to_owned()),
            ])),
            ..core::ConfigMap::default()
        })
    }

    fn bundle(content: &str) -> CaBundle {
        read(CA_ENTRY, text(content)).authorities.unwrap()
    }

    #[test]
    fn what_is_wrong_is_said() {
        let rows = [
            ("one", CA_ENTRY, "root.crt", ""),
            ("two", CA_ENTRY, "root.crt+intermediate.crt", ""),
            ("other entry", "tls.crt", "root.crt", "has no ca.crt"),
            ("empty", CA_ENTRY, "=", "has no ca.crt"),
            (
                "no PEM",
                CA_ENTRY,
                "=hello",
                "holds no PEM certificate in ca.crt",
            ),
            (
                "a key",
                CA_ENTRY,
                "web.key",
                "holds no PEM certificate in ca.crt",
            ),
            (
                "cut off",
                CA_ENTRY,
                "root.crt+=",
                "has a certificate in ca.crt, number 2, that cannot be read",
            ),
            (
                "a client",
                CA_ENTRY,
                "root.crt+leaf.crt",
                "has a certificate in ca.crt, number 2, that is none of an authority (CN=chained.example.com)",
            ),
        ];
        for (name, entry, content, expected) in rows {
            let content = match name {
                "cut off" => format!(
                    "{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                    text("root.crt")
                ),
                _ => text(content),
            };
            let problem = read(entry, content).authorities.err();
            let said = problem
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert_eq!(said, expected, "{name}");
            assert!(problem.is_none_or(|p| !p.hint().is_empty()), "{name}");
        }
    }

    #[test]
    fn a_bundle_has_one_form() {
        let one = bundle("root.crt+intermediate.crt");
        let commented = format!(
            "# ours\r\n\n{}{}{}",
            text("intermediate.crt"),
            text("root.crt"),
            text("root.crt")
        );
        let other = read(CA_ENTRY, commented).authorities.unwrap();
        assert_eq!(one, other);
        assert_eq!(one.digest(), other.digest());
        assert_eq!(one.len(), 2);
        assert!(one.pem().lines().all(|line| !line.is_empty()));
        let mut merged = bundle("root.crt");
        assert_ne!(merged.digest(), one.digest());
        merged.merge(&bundle("intermediate.crt"));
        assert_eq!(merged, one);
    }

    #[test]
    fn nothing_else_is_kept() {
        let kept = format!("{:?}", read(CA_ENTRY, text("root.crt")));
        assert!(!kept.contains("kept by nobody"), "{kept}");
        assert!(!kept.contains("copy"), "{kept}");
    }
}
