//! Tags of certificates.

use std::collections::BTreeMap;

use crate::generated::acm as wire;
use crate::{ApiError, Emulator};

/// The tags that result from adding some; the refusal if one may not be added.
pub(super) fn merged(
    old: &BTreeMap<String, String>,
    new: Vec<wire::Tag>,
    quota: usize,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = old.clone();
    for tag in new {
        refuse_reserved(&tag.key)?;
        tags.insert(tag.key, tag.value.unwrap_or_default());
    }
    if tags.len() > quota {
        let message = format!("A certificate can have at most {quota} tags.");
        return Err(ApiError::sender("TooManyTagsException", message));
    }
    Ok(tags)
}

fn refuse_reserved(key: &str) -> Result<(), ApiError> {
    if key.to_ascii_lowercase().starts_with("aws:") {
        let message = format!("Tag key {key}: the prefix aws: is reserved.");
        return Err(ApiError::sender("InvalidTagException", message));
    }
    Ok(())
}

impl Emulator {
    pub(super) fn add_tags_to_certificate(
        &mut self,
        input: wire::AddTagsToCertificateInput,
    ) -> Result<wire::AddTagsToCertificateOutput, ApiError> {
        let quota = self.config.quotas.tags_per_resource;
        let tags = merged(
            &self.certificate(&input.certificate_arn)?.tags,
            input.tags,
            quota,
        )?;
        if let Some(certificate) = self.acm.certificates.get_mut(&input.certificate_arn) {
            certificate.tags = tags;
        }
        Ok(wire::AddTagsToCertificateOutput {})
    }

    pub(super) fn list_tags_for_certificate(
        &self,
        input: &wire::ListTagsForCertificateInput,
    ) -> Result<wire::ListTagsForCertificateOutput, ApiError> {
        let tags = self.certificate(&input.certificate_arn)?.tags.iter();
        let tags = tags.map(|(key, value)| wire::Tag {
            key: key.clone(),
            value: Some(value.clone()),
        });
        Ok(wire::ListTagsForCertificateOutput {
            tags: Some(tags.collect()),
        })
    }

    pub(super) fn remove_tags_from_certificate(
        &mut self,
        input: &wire::RemoveTagsFromCertificateInput,
    ) -> Result<wire::RemoveTagsFromCertificateOutput, ApiError> {
        self.certificate(&input.certificate_arn)?;
        for tag in &input.tags {
            refuse_reserved(&tag.key)?;
        }
        if let Some(certificate) = self.acm.certificates.get_mut(&input.certificate_arn) {
            for tag in &input.tags {
                // A tag that is given with a value goes only if it has that value.
                let old = certificate.tags.get(&tag.key);
                if old.is_some() && (tag.value.is_none() || tag.value.as_ref() == old) {
                    certificate.tags.remove(&tag.key);
                }
            }
        }
        Ok(wire::RemoveTagsFromCertificateOutput {})
    }
}
