//! Reading certificates: list, describe, get.

use super::state::{Certificate, CertificateOrigin, CertificateStatus};
use crate::generated::acm as wire;
use crate::{ApiError, Emulator, Timestamp};

/// What ListCertificates shows when no key types are asked for: elliptic curves are left out.
const DEFAULT_KEY_TYPES: [&str; 2] = ["RSA_1024", "RSA_2048"];

/// Names in a summary; a longer list is cut and `HasAdditionalSubjectAlternativeNames` set.
const SUMMARY_NAMES_MAX: usize = 100;

/// Entries of a page when the request does not say.
const PAGE_DEFAULT: usize = 1_000;

impl Emulator {
    pub(super) fn list_certificates(
        &self,
        input: &wire::ListCertificatesInput,
    ) -> Result<wire::ListCertificatesOutput, ApiError> {
        if input.sort_by.is_some() != input.sort_order.is_some() {
            let message = "SortBy and SortOrder must be given together.";
            return Err(ApiError::sender("ValidationException", message));
        }
        let key_types = input
            .includes
            .as_ref()
            .and_then(|includes| includes.key_types.as_deref());
        let of_type = |certificate: &&Certificate| match key_types {
            Some(types) => types.contains(&certificate.key_algorithm),
            None => DEFAULT_KEY_TYPES.contains(&certificate.key_algorithm.as_str()),
        };
        let statuses = input
            .certificate_statuses
            .as_deref()
            .filter(|list| !list.is_empty());
        let of_status = |certificate: &&Certificate| {
            statuses.is_none_or(|list| list.iter().any(|s| s == certificate.status.as_str()))
        };
        let all = self.acm.certificates.values();
        let mut found: Vec<&Certificate> = all.filter(of_type).filter(of_status).collect();
        match input.sort_order.as_deref() {
            Some("ASCENDING") => found.sort_by_key(|certificate| certificate.created_at),
            Some(_) => found.sort_by_key(|certificate| std::cmp::Reverse(certificate.created_at)),
            None => {}
        }
        let start = match &input.next_token {
            None => 0,
            Some(token) => page_start(token, &found)?,
        };
        let size = input
            .max_items
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(PAGE_DEFAULT);
        let page = &found[start..found.len().min(start + size)];
        let more = start + page.len() < found.len();
        let last = page.last().filter(|_| more);
        Ok(wire::ListCertificatesOutput {
            certificate_summary_list: Some(page.iter().map(|c| self.summary(c)).collect()),
            next_token: last.map(|certificate| hex::encode(&certificate.arn)),
        })
    }

    fn summary(&self, certificate: &Certificate) -> wire::CertificateSummary {
        let times = Times::of(certificate);
        let names = certificate
            .names
            .iter()
            .take(SUMMARY_NAMES_MAX)
            .cloned()
            .collect();
        let usages = certificate
            .key_usages
            .iter()
            .map(|usage| (*usage).to_owned())
            .collect();
        let extended = certificate
            .extended_key_usages
            .iter()
            .map(|(_, name)| (*name).to_owned())
            .collect();
        wire::CertificateSummary {
            certificate_arn: Some(certificate.arn.clone()),
            created_at: Some(certificate.created_at),
            domain_name: Some(certificate.domain.clone()),
            exported: Some(false),
            extended_key_usages: Some(extended),
            has_additional_subject_alternative_names: Some(
                certificate.names.len() > SUMMARY_NAMES_MAX,
            ),
            imported_at: times.imported,
            in_use: Some(!self.certificate_users(&certificate.arn).is_empty()),
            issued_at: times.issued,
            key_algorithm: Some(certificate.key_algorithm.clone()),
            key_usages: Some(usages),
            not_after: times.not_after,
            not_before: times.not_before,
            renewal_eligibility: Some("INELIGIBLE".into()),
            status: Some(certificate.status.as_str().into()),
            subject_alternative_name_summaries: Some(names),
            r#type: Some(certificate.origin.as_str().into()),
            ..Default::default()
        }
    }

    pub(super) fn describe_certificate(
        &self,
        input: &wire::DescribeCertificateInput,
    ) -> Result<wire::DescribeCertificateOutput, ApiError> {
        let certificate = self.certificate(&input.certificate_arn)?;
        let times = Times::of(certificate);
        let users = self
            .certificate_users(&certificate.arn)
            .into_iter()
            .map(str::to_owned);
        let usages = certificate.key_usages.iter();
        let extended = certificate.extended_key_usages.iter();
        // Issued certificates prove each of their names; imported ones prove nothing to ACM.
        let validation = (certificate.origin == CertificateOrigin::AmazonIssued).then(|| {
            let status = match certificate.status {
                CertificateStatus::Issued => "SUCCESS",
                CertificateStatus::PendingValidation => "PENDING_VALIDATION",
            };
            let validation = |name: &String| wire::DomainValidation {
                domain_name: name.clone(),
                validation_domain: Some(name.clone()),
                validation_method: Some("DNS".into()),
                validation_status: Some(status.into()),
                ..Default::default()
            };
            certificate.names.iter().map(validation).collect()
        });
        let detail = wire::CertificateDetail {
            certificate_arn: Some(certificate.arn.clone()),
            created_at: Some(certificate.created_at),
            domain_name: Some(certificate.domain.clone()),
            domain_validation_options: validation,
            extended_key_usages: Some(
                extended
                    .map(|(oid, name)| wire::ExtendedKeyUsage {
                        name: Some((*name).into()),
                        oid: Some(oid.clone()),
                    })
                    .collect(),
            ),
            imported_at: times.imported,
            in_use_by: Some(users.collect()),
            issued_at: times.issued,
            issuer: Some(certificate.issuer.clone()),
            key_algorithm: Some(certificate.key_algorithm.clone()),
            key_usages: Some(
                usages
                    .map(|usage| wire::KeyUsage {
                        name: Some((*usage).into()),
                    })
                    .collect(),
            ),
            not_after: times.not_after,
            not_before: times.not_before,
            options: Some(wire::CertificateOptions {
                certificate_transparency_logging_preference: Some("ENABLED".into()),
                ..Default::default()
            }),
            renewal_eligibility: Some("INELIGIBLE".into()),
            serial: Some(certificate.serial.clone()),
            signature_algorithm: Some(certificate.signature_algorithm.clone()),
            status: Some(certificate.status.as_str().into()),
            subject: Some(certificate.subject.clone()),
            subject_alternative_names: Some(certificate.names.clone()),
            r#type: Some(certificate.origin.as_str().into()),
            ..Default::default()
        };
        Ok(wire::DescribeCertificateOutput {
            certificate: Some(detail),
        })
    }

    pub(super) fn get_certificate(
        &self,
        input: &wire::GetCertificateInput,
    ) -> Result<wire::GetCertificateOutput, ApiError> {
        let certificate = self.certificate(&input.certificate_arn)?;
        if certificate.status == CertificateStatus::PendingValidation {
            let message = format!("Certificate {} is not issued yet.", certificate.arn);
            return Err(ApiError::sender("RequestInProgressException", message));
        }
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        Ok(wire::GetCertificateOutput {
            certificate: text(&certificate.pem.certificate),
            certificate_chain: text(&certificate.pem.chain),
        })
    }
}

/// The place after the certificate that a token names.
fn page_start(token: &str, found: &[&Certificate]) -> Result<usize, ApiError> {
    let arn = hex::decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let place = arn.and_then(|arn| found.iter().position(|certificate| certificate.arn == arn));
    let refusal = || ApiError::sender("ValidationException", "The NextToken is not valid.");
    place.map(|place| place + 1).ok_or_else(refusal)
}

/// Which times ACM shows depends on origin and status.
struct Times {
    imported: Option<Timestamp>,
    issued: Option<Timestamp>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

impl Times {
    fn of(certificate: &Certificate) -> Self {
        let issued = certificate.status == CertificateStatus::Issued;
        let is_import = certificate.origin == CertificateOrigin::Imported;
        Self {
            imported: is_import.then_some(certificate.created_at),
            issued: (issued && !is_import).then_some(certificate.created_at),
            not_before: issued.then_some(certificate.not_before),
            not_after: issued.then_some(certificate.not_after),
        }
    }
}
