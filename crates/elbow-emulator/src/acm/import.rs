//! ImportCertificate, and certificates that the builder of the world declares as issued.

use std::collections::BTreeMap;

use super::state::{Certificate, CertificateOrigin, CertificatePem, CertificateStatus};
use super::{pem, tags};
use crate::generated::acm as wire;
use crate::world::CertificateSpec;
use crate::{ApiError, Emulator, Timestamp};

/// ACM's quota page limits the private key to 5,120 bytes, more tightly than its model does.
const PRIVATE_KEY_BYTES_MAX: usize = 5_120;

/// Validity that is reported for a certificate without PEM text: 395 days, as ACM issues.
const ISSUED_SECONDS: u64 = 395 * 86_400;

/// A certificate as ACM would have issued it. The error says what is wrong with its PEM text.
pub(crate) fn issued(arn: String, spec: CertificateSpec) -> Result<Certificate, String> {
    let Some(domain) = spec.domains.first().cloned() else {
        return Err("it has no name".into());
    };
    let subject = format!("CN={domain}");
    let mut certificate = Certificate {
        arn,
        domain,
        names: spec.domains,
        key_algorithm: "RSA_2048".into(),
        signature_algorithm: "SHA256WITHRSA".into(),
        status: spec.status,
        origin: CertificateOrigin::AmazonIssued,
        serial: "00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00".into(),
        subject,
        issuer: "Amazon".into(),
        created_at: spec.created_at,
        not_before: spec.created_at,
        not_after: spec.created_at.plus_seconds(ISSUED_SECONDS),
        key_usages: vec!["DIGITAL_SIGNATURE", "KEY_ENCIPHERMENT"],
        extended_key_usages: vec![("1.3.6.1.5.5.7.3.1".into(), "TLS_WEB_SERVER_AUTHENTICATION")],
        pem: CertificatePem::default(),
        tags: spec.tags,
    };
    if !spec.pem.certificate.is_empty() {
        let facts = pem::certificate(spec.pem.certificate.as_bytes())?;
        pem::private_key(&facts, spec.pem.private_key.as_bytes())?;
        describe(&mut certificate, facts);
        certificate.pem = spec.pem;
    }
    Ok(certificate)
}

/// Takes over what the PEM text says, except for the names.
fn describe(certificate: &mut Certificate, facts: pem::Facts) {
    certificate.key_algorithm = facts.key_algorithm;
    certificate.signature_algorithm = facts.signature_algorithm;
    certificate.serial = facts.serial;
    certificate.subject = facts.subject;
    certificate.issuer = facts.issuer;
    certificate.not_before = facts.not_before;
    certificate.not_after = facts.not_after;
    certificate.key_usages = facts.key_usages;
    certificate.extended_key_usages = facts.extended_key_usages;
}

impl Emulator {
    pub(super) fn import_certificate(
        &mut self,
        now: Timestamp,
        input: wire::ImportCertificateInput,
    ) -> Result<wire::ImportCertificateOutput, ApiError> {
        let wire::ImportCertificateInput {
            certificate,
            certificate_arn,
            certificate_chain,
            private_key,
            tags: new_tags,
        } = input;
        let existing = match &certificate_arn {
            Some(_) if new_tags.is_some() => {
                let message = "Tags cannot be given when a certificate is imported again.";
                return Err(ApiError::sender("InvalidParameterException", message));
            }
            Some(arn) => Some(self.certificate(arn)?.clone()),
            None => None,
        };
        if existing
            .as_ref()
            .is_some_and(|old| old.origin != CertificateOrigin::Imported)
        {
            let message = "Only an imported certificate can be imported again.";
            return Err(ApiError::sender("ValidationException", message));
        }
        let quota = self.config.quotas.certificates;
        if existing.is_none() && self.acm.certificates.len() >= quota {
            let message = format!("Cannot have more than {quota} certificates.");
            return Err(ApiError::sender("LimitExceededException", message));
        }
        if private_key.0.len() > PRIVATE_KEY_BYTES_MAX {
            let message = format!("The private key is longer than {PRIVATE_KEY_BYTES_MAX} bytes.");
            return Err(ApiError::sender("ValidationException", message));
        }
        let invalid = |message| ApiError::sender("ValidationException", message);
        let facts = pem::certificate(&certificate.0).map_err(invalid)?;
        match &certificate_chain {
            Some(chain) => pem::chain(&facts, &chain.0).map_err(invalid)?,
            None if facts.issuer == facts.subject => {}
            None => {
                let message = "Provided certificate is not a valid self signed. Please provide \
                               either a valid self-signed certificate or certificate chain.";
                return Err(invalid(message.into()));
            }
        }
        pem::private_key(&facts, &private_key.0).map_err(invalid)?;
        if now < facts.not_before || now > facts.not_after {
            return Err(invalid(
                "The certificate is not within its validity period.".into(),
            ));
        }
        if facts.issuer.is_empty() {
            return Err(invalid("The certificate has no issuer.".into()));
        }
        let tags = match (&existing, new_tags) {
            (Some(old), _) => old.tags.clone(),
            (None, new) => tags::merged(
                &BTreeMap::new(),
                new.unwrap_or_default(),
                self.config.quotas.tags_per_resource,
            )?,
        };
        let arn = certificate_arn.unwrap_or_else(|| self.new_certificate_arn());
        let text = |blob: crate::Blob| String::from_utf8_lossy(&blob.0).into_owned();
        let mut imported = Certificate {
            arn: arn.clone(),
            domain: facts.names.first().cloned().unwrap_or_default(),
            names: facts.names.clone(),
            key_algorithm: String::new(),
            signature_algorithm: String::new(),
            status: CertificateStatus::Issued,
            origin: CertificateOrigin::Imported,
            serial: String::new(),
            subject: String::new(),
            issuer: String::new(),
            created_at: existing.map_or(now, |old| old.created_at),
            not_before: now,
            not_after: now,
            key_usages: Vec::new(),
            extended_key_usages: Vec::new(),
            pem: CertificatePem {
                certificate: text(certificate),
                chain: certificate_chain.map(text).unwrap_or_default(),
                private_key: text(private_key),
            },
            tags,
        };
        describe(&mut imported, facts);
        self.acm.certificates.insert(arn.clone(), imported);
        self.touch();
        Ok(wire::ImportCertificateOutput {
            certificate_arn: Some(arn),
        })
    }
}
