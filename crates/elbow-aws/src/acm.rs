//! ACM: the account's certificates. In: the model's words. Out: answers. Always: one request a call.

use std::collections::BTreeSet;

use aws_sdk_acm::Client;
use aws_sdk_acm::error::BuildError;
use aws_sdk_acm::types::{
    CertificateDetail, CertificateStatus, CertificateType, Filters, KeyAlgorithm, Tag,
};
use aws_smithy_types::Blob;
use elbow_model::facts::Certificate;
use elbow_model::{AwsAnswer, AwsError, CertificateArn, CertificateMaterial, Tags};

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

/// Imports a certificate. The SDK keeps the key in buffers of its own until the request is sent, which
/// nobody overwrites; ours is overwritten when the caller drops it.
pub(crate) async fn import(
    acm: &Client,
    certificate: Option<&CertificateArn>,
    material: &CertificateMaterial,
    tags: &Tags,
) -> Answer {
    let blob = |text: &str| Blob::new(text.as_bytes());
    let new_tags = match certificate {
        Some(_) => None,
        None => Some(to_tags(tags)?),
    };
    let output = acm
        .import_certificate()
        .set_certificate_arn(certificate.map(ToString::to_string))
        .certificate(blob(&material.certificate))
        .set_certificate_chain(material.chain.as_deref().map(blob))
        .private_key(blob(&material.private_key))
        .set_tags(new_tags)
        .send()
        .await?;
    let arn = output
        .certificate_arn
        .ok_or_else(|| AwsError::unexpected("the answer to ImportCertificate"))?;
    Ok(AwsAnswer::CertificateImported(CertificateArn::new(arn)))
}

pub(crate) async fn delete(acm: &Client, certificate: &CertificateArn) -> Answer {
    acm.delete_certificate()
        .certificate_arn(certificate.as_str())
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn tag(acm: &Client, certificate: &CertificateArn, tags: &Tags) -> Answer {
    acm.add_tags_to_certificate()
        .certificate_arn(certificate.as_str())
        .set_tags(Some(to_tags(tags)?))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn untag(
    acm: &Client,
    certificate: &CertificateArn,
    keys: &BTreeSet<String>,
) -> Answer {
    let tags: Result<Vec<Tag>, _> = keys
        .iter()
        .map(|key| {
            Tag::builder()
                .key(key)
                .build()
                .map_err(|error| unbuilt(&error))
        })
        .collect();
    acm.remove_tags_from_certificate()
        .certificate_arn(certificate.as_str())
        .set_tags(Some(tags?))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn tags(acm: &Client, certificate: &CertificateArn) -> Answer {
    let output = acm
        .list_tags_for_certificate()
        .certificate_arn(certificate.as_str())
        .send()
        .await?;
    let tags = output.tags.into_iter().flatten();
    Ok(AwsAnswer::CertificateTags(
        tags.map(|tag| (tag.key, tag.value.unwrap_or_default()))
            .collect(),
    ))
}

fn to_tags(tags: &Tags) -> Result<Vec<Tag>, AwsError> {
    tags.iter()
        .map(|(key, value)| {
            let tag = Tag::builder().key(key).value(value);
            tag.build().map_err(|error| unbuilt(&error))
        })
        .collect()
}

fn unbuilt(error: &BuildError) -> AwsError {
    AwsError::unexpected(error.to_string())
}

/// ACM has no filter for the origin.
pub(crate) async fn list_imported(acm: &Client, marker: Option<&str>) -> Answer {
    let all_keys = Filters::builder().set_key_types(Some(KEY_TYPES.to_vec()));
    let output = acm
        .list_certificates()
        .includes(all_keys.build())
        .set_next_token(marker.map(str::to_owned))
        .send()
        .await?;
    let arns = each(output.certificate_summary_list, |summary| {
        let is_imported = summary.r#type == Some(CertificateType::Imported);
        summary
            .certificate_arn
            .filter(|_| is_imported)
            .map(CertificateArn::new)
    });
    Ok(AwsAnswer::CertificateArns(page(arns, output.next_token)))
}

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
    Ok(AwsAnswer::Certificate(from_detail(detail)))
}

/// Clients look at the alternative names, and so does LBC. `DomainName` is the common name: of an imported
/// certificate it need not be among them.
fn from_detail(detail: CertificateDetail) -> Certificate {
    let names = detail.subject_alternative_names.unwrap_or_default();
    Certificate {
        domains: names.into_iter().collect(),
        certificate_authority_arn: detail.certificate_authority_arn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_name_is_none_of_the_names() {
        let detail = CertificateDetail::builder()
            .domain_name("old.example.com")
            .subject_alternative_names("a.example.com")
            .build();
        let names = from_detail(detail).domains;
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a.example.com"]);
    }
}
