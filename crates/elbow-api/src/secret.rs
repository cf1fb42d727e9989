//! Secrets: what of them is kept, and what is wrong with those that hold a certificate.
//!
//! In: a Secret as the API server or a manifest has it. Out: a [`Secret`], which holds no secret: the
//! names and validity of its certificate, a digest of it, or the [`SecretProblem`] for which it cannot
//! be used; and beside it the [`TlsMaterial`], for the caller who is about to import it. What always
//! holds: the data of the original is overwritten before it is given back to the allocator, and neither
//! a key nor an annotation (`kubectl apply` copies whole objects into one) gets into a Snapshot.
//!
//! Signatures are not verified: ACM does that at the import. Start at [`Secret::read`].

mod certificate;
mod key;

use std::fmt;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// The type of Secrets that hold a certificate and its key.
pub const TLS_TYPE: &str = "kubernetes.io/tls";

/// Entry that holds the certificate and those of its issuers.
const CERTIFICATE_ENTRY: &str = "tls.crt";
/// Entry that holds the private key.
const KEY_ENTRY: &str = "tls.key";
/// Entry in which cert-manager keeps the issuer's certificate, when `tls.crt` does not have it.
const AUTHORITY_ENTRY: &str = "ca.crt";

/// What ACM takes as certificate, as key, and as chain (ImportCertificate in the API reference, quotas
/// page), in bytes of PEM.
const CERTIFICATE_BYTES_MAX: usize = 32_768;
const KEY_BYTES_MAX: usize = 5_120;
const CHAIN_BYTES_MAX: usize = 2 << 20;

/// A Secret without its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct Secret {
    /// Name, namespace, UID and version; nothing else.
    pub metadata: ObjectMeta,
    /// Its certificate, or why it has none that could be used.
    pub certificate: Result<TlsCertificate, SecretProblem>,
}

/// The public part of a certificate that a Secret holds with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsCertificate {
    /// SHA-256 over the certificate and its chain, in hexadecimal.
    pub digest: String,
    /// Names that it is valid for.
    pub domains: Vec<String>,
    /// The first second of its validity, since 1970.
    pub not_before: i64,
    /// The last second of its validity, since 1970.
    pub not_after: i64,
}

/// What an import sends, as PEM. It prints nothing of itself; the key is overwritten when it is dropped.
#[derive(Clone)]
pub struct TlsMaterial {
    /// The digest of what is in it: [`TlsCertificate::digest`].
    pub digest: String,
    /// The certificate.
    pub certificate: String,
    /// The certificates of its issuers, in order; `None` for one that issued itself.
    pub chain: Option<String>,
    /// The private key.
    pub private_key: Zeroizing<String>,
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsMaterial(..)")
    }
}

/// Why a Secret cannot serve as a certificate. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the fields are what the message says, in its words"
)]
pub enum SecretProblem {
    /// It holds something else.
    #[error("is of type {0}; one of type kubernetes.io/tls is needed")]
    WrongType(String),
    /// An entry is absent or empty.
    #[error("has no {0}")]
    MissingEntry(&'static str),
    /// `tls.crt` is no PEM text.
    #[error("holds no PEM certificate in tls.crt")]
    NoCertificate,
    /// A certificate cannot be parsed.
    #[error("has a certificate in tls.crt, number {place}, that cannot be read")]
    UnreadableCertificate { place: usize },
    /// `tls.key` is no PEM text of a private key.
    #[error("holds no PEM private key in tls.key")]
    NoKey,
    /// The key needs a passphrase.
    #[error("has a private key that is encrypted")]
    EncryptedKey,
    /// The key cannot be parsed.
    #[error("has a private key that cannot be read")]
    UnreadableKey,
    /// ACM imports no such key.
    #[error(
        "has a key that ACM does not import ({0}): RSA of 1024, 2048, 3072 or 4096 bits and EC P-256, P-384 and P-521 are"
    )]
    UnsupportedKey(String),
    /// The key is another certificate's.
    #[error("has a private key that does not belong to the first certificate in tls.crt")]
    KeyMismatch,
    /// Certificates are not in order.
    #[error("has a chain out of order: certificate {place} in tls.crt is not by the next one")]
    ChainOrder { place: usize },
    /// The issuer of the leaf is missing.
    #[error("lacks the certificate of the issuer ({issuer})")]
    MissingIssuer { issuer: String },
    /// ACM wants key and signature of one family.
    #[error("has a certificate whose key and whose issuer's key are of different kinds")]
    MixedAlgorithms,
    /// ACM takes no more.
    #[error("has more than {limit} bytes of {what}, the most that ACM imports")]
    TooLarge { what: &'static str, limit: usize },
}

impl SecretProblem {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::WrongType(_) => "create it with `kubectl create secret tls`",
            Self::MissingEntry(_) => "give it the entries tls.crt and tls.key",
            Self::NoCertificate | Self::UnreadableCertificate { .. } => {
                "put the certificate in tls.crt as PEM, and those of its issuers after it"
            }
            Self::NoKey | Self::UnreadableKey => {
                "put the private key in tls.key as PEM: PKCS#8, PKCS#1 or SEC1"
            }
            Self::EncryptedKey => "take the passphrase off, with `openssl pkey` for example",
            Self::UnsupportedKey(_) => "have the certificate issued for a key of such a kind",
            Self::KeyMismatch => {
                "put the certificate of this key first in tls.crt, or the key of this certificate in tls.key"
            }
            Self::ChainOrder { .. } => {
                "put the certificate first, then its issuer's, then that one's issuer's"
            }
            Self::MissingIssuer { .. } => {
                "append the issuer's certificate to tls.crt, or put it in ca.crt"
            }
            Self::MixedAlgorithms => {
                "have an RSA key certified by an authority with an RSA key, an EC key by one with an EC key"
            }
            Self::TooLarge { .. } => "leave out what clients do not need",
        }
    }
}

impl TlsCertificate {
    /// Why the certificate cannot be used at this time, in seconds since 1970.
    pub fn problem_at(&self, now: i64) -> Option<String> {
        if now > self.not_after {
            Some(format!(
                "has a certificate that expired on {}",
                date(self.not_after)
            ))
        } else if now < self.not_before {
            Some(format!(
                "has a certificate that is not valid before {}",
                date(self.not_before)
            ))
        } else {
            None
        }
    }

    /// The next moment after this one at which [`TlsCertificate::problem_at`] answers otherwise.
    pub fn changes_after(&self, now: i64) -> Option<i64> {
        let moments = [self.not_before, self.not_after.saturating_add(1)];
        moments.into_iter().filter(|moment| *moment > now).min()
    }
}

impl Secret {
    /// Takes a Secret apart: what is kept, and what is for an import alone. The original is overwritten.
    pub fn read(mut secret: core::Secret) -> (Self, Option<TlsMaterial>) {
        let mut read = material(&secret);
        for bytes in secret.data.iter_mut().flat_map(|data| data.values_mut()) {
            bytes.0.zeroize();
        }
        for text in secret.string_data.iter_mut().flat_map(|s| s.values_mut()) {
            text.zeroize();
        }
        let metadata = ObjectMeta {
            name: secret.metadata.name.take(),
            namespace: secret.metadata.namespace.take(),
            uid: secret.metadata.uid.take(),
            resource_version: secret.metadata.resource_version.take(),
            ..ObjectMeta::default()
        };
        let material = read.as_mut().ok().and_then(|(_, material)| material.take());
        let kept = Self {
            metadata,
            certificate: read.map(|(certificate, _)| certificate),
        };
        (kept, material)
    }
}

impl From<core::Secret> for Secret {
    fn from(secret: core::Secret) -> Self {
        Self::read(secret).0
    }
}

impl From<core::Secret> for crate::Object {
    fn from(secret: core::Secret) -> Self {
        Self::from(Secret::from(secret))
    }
}

type Read = (TlsCertificate, Option<TlsMaterial>);

fn material(secret: &core::Secret) -> Result<Read, SecretProblem> {
    let kind = secret.type_.as_deref().unwrap_or("Opaque");
    if kind != TLS_TYPE {
        return Err(SecretProblem::WrongType(kind.to_owned()));
    }
    let entry = |name: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(name));
        let bytes = bytes.map(|bytes| bytes.0.as_slice());
        bytes.filter(|bytes| !bytes.is_empty())
    };
    let required = |name| entry(name).ok_or(SecretProblem::MissingEntry(name));
    let (certificates, key) = (required(CERTIFICATE_ENTRY)?, required(KEY_ENTRY)?);
    let chain = certificate::chain(certificates, entry(AUTHORITY_ENTRY))?;
    let private_key = key::read(key, &chain.leaf.public_key)?;

    let too_large = |what, limit| SecretProblem::TooLarge { what, limit };
    if chain.leaf_pem.len() > CERTIFICATE_BYTES_MAX {
        return Err(too_large("certificate", CERTIFICATE_BYTES_MAX));
    }
    if private_key.len() > KEY_BYTES_MAX {
        return Err(too_large("private key", KEY_BYTES_MAX));
    }
    let issuers = chain.issuers_pem;
    if issuers
        .as_ref()
        .is_some_and(|pem| pem.len() > CHAIN_BYTES_MAX)
    {
        return Err(too_large("chain", CHAIN_BYTES_MAX));
    }
    let mut digest = Sha256::new();
    for der in &chain.der {
        digest.update((der.len() as u64).to_be_bytes());
        digest.update(der);
    }
    let digest = hex::encode(digest.finalize());
    let certificate = TlsCertificate {
        digest: digest.clone(),
        domains: chain.leaf.domains,
        not_before: chain.leaf.not_before,
        not_after: chain.leaf.not_after,
    };
    let material = TlsMaterial {
        digest,
        certificate: chain.leaf_pem,
        chain: issuers,
        private_key,
    };
    Ok((certificate, Some(material)))
}

/// A moment for people. Certificates say theirs in seconds, and the day is what is looked for.
fn date(seconds: i64) -> String {
    let moment = Timestamp::from_second(seconds);
    moment.map_or_else(
        |_| "a day that no calendar has".to_owned(),
        |moment| moment.strftime("%Y-%m-%d").to_string(),
    )
}

#[cfg(test)]
mod tests;
