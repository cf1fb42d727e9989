//! From [`AwsCall`] to the emulator's request: the parameters that elbow sends, and no others.

mod ec2_calls;
mod elbv2_calls;
#[cfg(test)]
mod tests;

use std::fmt::Display;

use elbow_emulator::generated::{acm, tagging};
use elbow_emulator::{Blob, Request, s3};
use elbow_model::{AwsCall, AwsError, CertificateMaterial, ErrorClass, Ref, Tags};

/// Every key type of ACM. Without them, ListCertificates leaves out all but RSA up to 2048 bits.
const KEY_TYPES: &[&str] = &[
    "RSA_1024",
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "EC_prime256v1",
    "EC_secp384r1",
    "EC_secp521r1",
];

/// The most resources that GetResources gives on a page.
const RESOURCES_PER_PAGE: i32 = 100;

/// The id in a reference. Execution resolves every reference before a call leaves it.
pub(crate) fn known<T: Display>(reference: &Ref<T>) -> Result<String, AwsError> {
    reference
        .known()
        .map(ToString::to_string)
        .ok_or_else(|| AwsError::unresolved(reference))
}

/// The request that carries out a call; `material` is for an import.
pub(crate) fn request(
    call: &AwsCall,
    material: Option<&CertificateMaterial>,
) -> Result<Request, AwsError> {
    match call.service() {
        "ec2" => ec2_calls::request(call),
        "acm" => acm_request(call, material),
        "tagging" => Ok(tagging_request(call)),
        _ if call.is_mutating() => elbv2_calls::change(call),
        _ => elbv2_calls::lookup(call),
    }
}

/// The request to S3 that carries out a call; `None` for a call that is for another service. S3 has a
/// protocol of its own, and so an entrance of its own to the emulator.
pub(crate) fn s3_request(call: &AwsCall) -> Option<s3::Request> {
    match call {
        AwsCall::PutObject {
            bucket,
            key,
            content,
        } => Some(s3::Request::PutObject {
            bucket: bucket.clone(),
            key: key.clone(),
            bytes: content.as_bytes().to_vec(),
            content_type: None,
        }),
        AwsCall::DeleteObject { bucket, key } => Some(s3::Request::DeleteObject {
            bucket: bucket.clone(),
            key: key.clone(),
        }),
        _ => None,
    }
}

fn acm_request(
    call: &AwsCall,
    material: Option<&CertificateMaterial>,
) -> Result<Request, AwsError> {
    let list = |statuses: Option<&str>, marker: &Option<String>| acm::ListCertificatesInput {
        certificate_statuses: statuses.map(|status| vec![status.to_owned()]),
        includes: Some(acm::Filters {
            key_types: Some(KEY_TYPES.iter().map(|&key| key.to_owned()).collect()),
            ..Default::default()
        }),
        next_token: marker.clone(),
        ..Default::default()
    };
    Ok(match call {
        AwsCall::ImportCertificate {
            certificate,
            content,
            tags,
        } => {
            let material = material.ok_or_else(|| content.not_read())?;
            let blob = |text: &str| Blob(text.as_bytes().to_vec());
            acm::ImportCertificateInput {
                certificate: blob(&material.certificate),
                certificate_arn: certificate.as_ref().map(ToString::to_string),
                certificate_chain: material.chain.as_deref().map(blob),
                private_key: blob(&material.private_key),
                tags: certificate.is_none().then(|| acm_tags(tags)),
            }
            .into()
        }
        AwsCall::DeleteCertificate { certificate } => acm::DeleteCertificateInput {
            certificate_arn: certificate.to_string(),
        }
        .into(),
        AwsCall::AddTagsToCertificate { certificate, tags } => acm::AddTagsToCertificateInput {
            certificate_arn: certificate.to_string(),
            tags: acm_tags(tags),
        }
        .into(),
        AwsCall::RemoveTagsFromCertificate { certificate, keys } => {
            let tag = |key: &String| acm::Tag {
                key: key.clone(),
                value: None,
            };
            acm::RemoveTagsFromCertificateInput {
                certificate_arn: certificate.to_string(),
                tags: keys.iter().map(tag).collect(),
            }
            .into()
        }
        AwsCall::DescribeCertificate { certificate } => acm::DescribeCertificateInput {
            certificate_arn: certificate.to_string(),
        }
        .into(),
        AwsCall::ListTagsForCertificate { certificate } => acm::ListTagsForCertificateInput {
            certificate_arn: certificate.to_string(),
        }
        .into(),
        AwsCall::ListCertificates { marker } => list(Some("ISSUED"), marker).into(),
        AwsCall::ListImportedCertificates { marker } => list(None, marker).into(),
        _ => return Err(no_request(call)),
    })
}

fn acm_tags(tags: &Tags) -> Vec<acm::Tag> {
    let tag = |(key, value): (&String, &String)| acm::Tag {
        key: key.clone(),
        value: Some(value.clone()),
    };
    tags.iter().map(tag).collect()
}

fn tagging_request(call: &AwsCall) -> Request {
    let AwsCall::GetResources {
        tags,
        resource_types,
        marker,
    } = call
    else {
        return tagging::GetResourcesInput::default().into();
    };
    let tag_filter = |(key, value): (&String, &String)| tagging::TagFilter {
        key: Some(key.clone()),
        values: Some(vec![value.clone()]),
    };
    tagging::GetResourcesInput {
        tag_filters: Some(tags.iter().map(tag_filter).collect()),
        resource_type_filters: Some(resource_types.clone()),
        resources_per_page: Some(RESOURCES_PER_PAGE),
        pagination_token: marker.clone(),
        ..Default::default()
    }
    .into()
}

/// Only reached when a variant is added to the model and forgotten here; a test goes through all.
fn no_request(call: &AwsCall) -> AwsError {
    let message = format!("{} is not translated", call.operation());
    AwsError::new(ErrorClass::Invalid, "UnknownCall", message)
}
