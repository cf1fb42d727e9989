//! ACM: the account's certificates. In: the model's words. Out: answers. Always: one request a call.

use aws_sdk_acm::Client;
use aws_sdk_acm::types::{CertificateStatus, Filters, KeyAlgorithm};
use elbow_model::facts::Certificate;
use elbow_model::{AwsAnswer, AwsError, CertificateArn};

use crate::convert::{Answer, each, page};

/// Every key type of ACM. Without them, ListCertificates leaves out all but RSA up to 2048 bits.
const KEY_TYPES: [KeyAlgorithm; 7] = [
    KeyAlgorithm::Rsa1024,
    KeyAlgorithm::Rsa2048,
    KeyAlgorithm::Rsa3072,
    KeyAlgorithm::Rsa4096,
    KeyAlgorithm::EcPrime256v1,
    KeyAlgorithm::EcSecp384r1,
    KeyAlgorithm::EcSecp521r1,
];

pub(crate) async fn list(acm: &Client, marker: Option<&str>) -> Answer {
    let all_keys = Filters::builder().set_key_types(Some(KEY_TYPES.to_vec()));
    let output = acm
        .list_certificates()
        .certificate_statuses(CertificateStatus::Issued)
        .includes(all_keys.build())
        .set_next_token(marker.map(str::to_owned))
        .send()
        .await?;
    let arns = each(output.certificate_summary_list, |summary| {
        summary.certificate_arn.map(CertificateArn::new)
    });
    Ok(AwsAnswer::CertificateArns(page(arns, output.next_token)))
}

pub(crate) async fn describe(acm: &Client, certificate: &CertificateArn) -> Answer {
    let output = acm
        .describe_certificate()
        .certificate_arn(certificate.as_str())
        .send()
        .await?;
    let detail = output
        .certificate
        .ok_or_else(|| AwsError::unexpected("the answer to DescribeCertificate"))?;
    let names = detail.subject_alternative_names.into_iter().flatten();
    Ok(AwsAnswer::Certificate(Certificate {
        domains: detail.domain_name.into_iter().chain(names).collect(),
        certificate_authority_arn: detail.certificate_authority_arn,
    }))
}
