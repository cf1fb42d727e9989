//! Trust stores, and what listeners ask of their clients. In: the model's words. Out: answers. Always: a
//! mode that elbow does not know comes back as none, and is set anew.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{
    AdvertiseTrustStoreCaNamesEnum, MutualAuthenticationAttributes, TrustStore,
};
use elbow_model::aws_call::TrustStoreDescription;
use elbow_model::{AwsAnswer, AwsCall, AwsError, MutualAuthentication, Ref, TrustStoreArn};

use super::tags::to_tags;
use crate::convert::{Answer, each, first, known, page, some_if_any};

pub(crate) async fn create(elb: &Client, call: &AwsCall) -> Answer {
    let AwsCall::CreateTrustStore {
        name,
        bucket,
        key,
        tags,
    } = call
    else {
        return Err(AwsError::unexpected(call.operation()).into());
    };
    let output = elb
        .create_trust_store()
        .name(name)
        .ca_certificates_bundle_s3_bucket(bucket)
        .ca_certificates_bundle_s3_key(key)
        .set_tags(some_if_any(to_tags(tags)))
        .send()
        .await?;
    let created = first(output.trust_stores).and_then(|store| store.trust_store_arn);
    let arn = created.ok_or_else(|| AwsError::unexpected("the answer to CreateTrustStore"))?;
    Ok(AwsAnswer::TrustStoreCreated(TrustStoreArn::new(arn)))
}

pub(crate) async fn modify(
    elb: &Client,
    trust_store: &Ref<TrustStoreArn>,
    bucket: &str,
    key: &str,
) -> Answer {
    elb.modify_trust_store()
        .trust_store_arn(known(trust_store)?)
        .ca_certificates_bundle_s3_bucket(bucket)
        .ca_certificates_bundle_s3_key(key)
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn delete(elb: &Client, trust_store: &Ref<TrustStoreArn>) -> Answer {
    let call = elb.delete_trust_store();
    call.trust_store_arn(known(trust_store)?).send().await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn describe(elb: &Client, names: &[String], marker: Option<&str>) -> Answer {
    let output = elb
        .describe_trust_stores()
        .set_names(some_if_any(names.to_vec()))
        .set_marker(marker.map(str::to_owned))
        .send()
        .await?;
    let described = |store: TrustStore| {
        Some(TrustStoreDescription {
            arn: TrustStoreArn::new(store.trust_store_arn?),
            name: store.name.unwrap_or_default(),
        })
    };
    Ok(AwsAnswer::TrustStores(page(
        each(output.trust_stores, described),
        output.next_marker,
    )))
}

// === conversions ===

/// As the calls that change a listener take it.
pub(super) fn to_attributes(
    asked: &MutualAuthentication,
) -> Result<MutualAuthenticationAttributes, AwsError> {
    let attributes = MutualAuthenticationAttributes::builder().mode(asked.mode());
    let MutualAuthentication::Verify {
        trust_store,
        ignore_client_certificate_expiry: ignores_expiry,
        advertise_trust_store_ca_names: advertises,
    } = asked
    else {
        return Ok(attributes.build());
    };
    let advertises = if *advertises {
        AdvertiseTrustStoreCaNamesEnum::On
    } else {
        AdvertiseTrustStoreCaNamesEnum::Off
    };
    Ok(attributes
        .trust_store_arn(known(trust_store)?)
        .ignore_client_certificate_expiry(*ignores_expiry)
        .advertise_trust_store_ca_names(advertises)
        .build())
}

pub(super) fn from_attributes(
    attributes: Option<MutualAuthenticationAttributes>,
) -> MutualAuthentication {
    let Some(attributes) = attributes else {
        return MutualAuthentication::Off;
    };
    match (attributes.mode.as_deref(), attributes.trust_store_arn) {
        (Some("passthrough"), _) => MutualAuthentication::Passthrough,
        (Some("verify"), Some(arn)) => MutualAuthentication::Verify {
            trust_store: TrustStoreArn::new(arn).into(),
            ignore_client_certificate_expiry: attributes
                .ignore_client_certificate_expiry
                .unwrap_or_default(),
            advertise_trust_store_ca_names: attributes.advertise_trust_store_ca_names
                == Some(AdvertiseTrustStoreCaNamesEnum::On),
        },
        _ => MutualAuthentication::Off,
    }
}
