//! What ACM remembers: certificates, which all were imported (or made up by whoever built the
//! world). Which load balancers use one is asked of ELBv2's state, never stored here.

use std::collections::BTreeMap;

use crate::Timestamp;

/// All certificates of one account and region, by ARN.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) certificates: BTreeMap<String, Certificate>,
}

#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) arn: String,
    /// The first name.
    pub(crate) domain: String,
    /// Every name, the first one included.
    pub(crate) names: Vec<String>,
    /// ACM's name of the key type: `RSA_2048`, `EC_prime256v1`.
    pub(crate) key_algorithm: String,
    pub(crate) signature_algorithm: String,
    pub(crate) status: CertificateStatus,
    pub(crate) origin: CertificateOrigin,
    pub(crate) serial: String,
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) created_at: Timestamp,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) key_usages: Vec<&'static str>,
    pub(crate) extended_key_usages: Vec<(String, &'static str)>,
    /// PEM texts; the data plane serves with them.
    pub(crate) pem: CertificatePem,
    pub(crate) tags: BTreeMap<String, String>,
}

/// Whether a listener may use the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateStatus {
    /// Usable.
    Issued,
    /// Requested, and not yet validated: listeners refuse it.
    PendingValidation,
}

impl CertificateStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "ISSUED",
            Self::PendingValidation => "PENDING_VALIDATION",
        }
    }
}

/// How a certificate came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateOrigin {
    /// ACM issued it.
    AmazonIssued,
    /// ImportCertificate.
    Imported,
}

impl CertificateOrigin {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AmazonIssued => "AMAZON_ISSUED",
            Self::Imported => "IMPORTED",
        }
    }
}

/// A certificate with its key, as PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CertificatePem {
    /// The certificate itself.
    pub certificate: String,
    /// Its issuers, nearest first; empty when self-signed.
    pub chain: String,
    /// The private key.
    pub private_key: String,
}

impl std::fmt::Debug for CertificatePem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CertificatePem(..)")
    }
}
