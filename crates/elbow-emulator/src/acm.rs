//! Certificate Manager: imported and made-up certificates, and who uses them.
//!
//! In: typed requests. Out: responses, refusals, and certificates for listeners.
//! Always: a certificate that a listener names cannot be deleted; `InUseBy` is read from ELBv2's
//! state and so is never out of date.

mod import;
mod pem;
mod queries;
pub(crate) mod state;
mod tags;
#[cfg(test)]
mod tests;

pub use state::{CertificateOrigin, CertificatePem, CertificateStatus};
pub(crate) use {import::issued, state::State};

use std::collections::BTreeSet;

use crate::generated::acm as wire;
use crate::unmodelled::Unmodelled;
use crate::{ApiError, Emulator, Timestamp};

pub(crate) const UNMODELLED: &[Unmodelled] = &[Unmodelled {
    operation: "ListCertificates",
    parameters: &[
        "CertificateKeyPairOrigins",
        "Includes.exportOption",
        "Includes.extendedKeyUsage",
        "Includes.keyUsage",
        "Includes.managedBy",
    ],
}];

impl Emulator {
    pub(crate) fn acm(
        &mut self,
        now: Timestamp,
        request: wire::Request,
    ) -> Result<wire::Response, ApiError> {
        use wire::{Request as Q, Response as R};
        Ok(match request {
            Q::ListCertificates(input) => R::ListCertificates(self.list_certificates(&input)?),
            Q::DescribeCertificate(input) => {
                R::DescribeCertificate(self.describe_certificate(&input)?)
            }
            Q::GetCertificate(input) => R::GetCertificate(self.get_certificate(&input)?),
            Q::ImportCertificate(input) => {
                R::ImportCertificate(self.import_certificate(now, input)?)
            }
            Q::DeleteCertificate(input) => R::DeleteCertificate(self.delete_certificate(&input)?),
            Q::AddTagsToCertificate(input) => {
                R::AddTagsToCertificate(self.add_tags_to_certificate(input)?)
            }
            Q::ListTagsForCertificate(input) => {
                R::ListTagsForCertificate(self.list_tags_for_certificate(&input)?)
            }
            Q::RemoveTagsFromCertificate(input) => {
                R::RemoveTagsFromCertificate(self.remove_tags_from_certificate(&input)?)
            }
        })
    }

    /// The load balancers whose listeners name the certificate.
    fn certificate_users(&self, arn: &str) -> BTreeSet<&str> {
        let listeners = self.elbv2.listeners.values().filter(|listener| {
            listener.default_certificate.as_deref() == Some(arn)
                || listener.certificates.contains(arn)
        });
        listeners
            .map(|listener| listener.load_balancer_arn.as_str())
            .collect()
    }

    fn certificate(&self, arn: &str) -> Result<&state::Certificate, ApiError> {
        self.acm.certificates.get(arn).ok_or_else(|| missing(arn))
    }

    fn delete_certificate(
        &mut self,
        input: &wire::DeleteCertificateInput,
    ) -> Result<wire::DeleteCertificateOutput, ApiError> {
        let arn = &input.certificate_arn;
        self.certificate(arn)?;
        if !self.certificate_users(arn).is_empty() {
            let account = &self.config.account_id;
            let message = format!("Certificate {arn} in account {account} is in use.");
            return Err(ApiError::sender("ResourceInUseException", message));
        }
        self.acm.certificates.remove(arn);
        self.touch();
        Ok(wire::DeleteCertificateOutput {})
    }
}

/// What ACM says of an ARN that names no certificate: malformed, or not found.
fn missing(arn: &str) -> ApiError {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts.as_slice() {
        ["arn", _, "acm", _, account, rest] if rest.starts_with("certificate/") => {
            let message = format!("Could not find certificate {arn} in account {account}.");
            ApiError::sender("ResourceNotFoundException", message)
        }
        _ => ApiError::sender(
            "InvalidArnException",
            format!("{arn} is not a certificate ARN."),
        ),
    }
}
