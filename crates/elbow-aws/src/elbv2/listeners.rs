//! Listeners and their certificates. In: the model's words. Out: answers. Always: a protocol that
//! elbow does not use comes back as `None`.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{
    Certificate, Listener, ListenerAttribute, ProtocolEnum,
};
use elbow_model::aws_call::{ListenerCertificate, ListenerDescription};
use elbow_model::{
    Attributes, AwsAnswer, AwsCall, AwsError, CertificateArn, ListenerArn, LoadBalancerArn, Port,
    Ref,
};

use super::rule_parts::{from_actions, to_action};
use super::tags::to_tags;
use super::trust_stores::{from_attributes, to_attributes};
use super::{attributes, protocol};
use crate::convert::{Answer, each, first, known, number, page, some_if_any};

pub(crate) async fn create(elb: &Client, call: &AwsCall) -> Answer {
    let AwsCall::CreateListener {
        load_balancer,
        port,
        protocol,
        default_action,
        default_certificate,
        ssl_policy,
        alpn_policy,
        mutual_authentication,
        tags,
    } = call
    else {
        return Err(AwsError::unexpected(call.operation()).into());
    };
    let output = elb
        .create_listener()
        .load_balancer_arn(known(load_balancer)?)
        .port(number(*port))
        .protocol(ProtocolEnum::from(protocol.as_str()))
        .default_actions(to_action(default_action)?)
        .set_certificates(default(default_certificate.as_ref())?)
        .set_ssl_policy(ssl_policy.clone())
        .set_alpn_policy(alpn_policy.clone().map(|policy| vec![policy]))
        .set_mutual_authentication(
            mutual_authentication
                .as_ref()
                .map(to_attributes)
                .transpose()?,
        )
        .set_tags(some_if_any(to_tags(tags)))
        .send()
        .await?;
    let created = first(output.listeners).and_then(|listener| listener.listener_arn);
    let arn = created.ok_or_else(|| AwsError::unexpected("the answer to CreateListener"))?;
    Ok(AwsAnswer::ListenerCreated(ListenerArn::new(arn)))
}

pub(crate) async fn modify(elb: &Client, call: &AwsCall) -> Answer {
    let AwsCall::ModifyListener {
        listener,
        protocol,
        default_action,
        default_certificate,
        ssl_policy,
        alpn_policy,
        mutual_authentication,
    } = call
    else {
        return Err(AwsError::unexpected(call.operation()).into());
    };
    let actions = match default_action {
        Some(action) => Some(vec![to_action(action)?]),
        None => None,
    };
    elb.modify_listener()
        .listener_arn(known(listener)?)
        .set_protocol(protocol.map(|protocol| ProtocolEnum::from(protocol.as_str())))
        .set_default_actions(actions)
        .set_certificates(default(default_certificate.as_ref())?)
        .set_ssl_policy(ssl_policy.clone())
        .set_alpn_policy(alpn_policy.clone().map(|policy| vec![policy]))
        .set_mutual_authentication(
            mutual_authentication
                .as_ref()
                .map(to_attributes)
                .transpose()?,
        )
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn modify_attributes(
    elb: &Client,
    listener: &Ref<ListenerArn>,
    attributes: &Attributes,
) -> Answer {
    let attribute = |(key, value): (&String, &String)| {
        let attribute = ListenerAttribute::builder().key(key).value(value);
        attribute.build()
    };
    elb.modify_listener_attributes()
        .listener_arn(known(listener)?)
        .set_attributes(Some(attributes.iter().map(attribute).collect()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn delete(elb: &Client, listener: &Ref<ListenerArn>) -> Answer {
    let call = elb.delete_listener().listener_arn(known(listener)?);
    call.send().await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn add_certificate(
    elb: &Client,
    listener: &Ref<ListenerArn>,
    arn: &Ref<CertificateArn>,
) -> Answer {
    elb.add_listener_certificates()
        .listener_arn(known(listener)?)
        .certificates(certificate(&known(arn)?))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn remove_certificate(
    elb: &Client,
    listener: &Ref<ListenerArn>,
    arn: &CertificateArn,
) -> Answer {
    elb.remove_listener_certificates()
        .listener_arn(known(listener)?)
        .certificates(certificate(arn.as_str()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn describe(
    elb: &Client,
    load_balancer: &LoadBalancerArn,
    marker: Option<&str>,
) -> Answer {
    let output = elb
        .describe_listeners()
        .load_balancer_arn(load_balancer.as_str())
        .set_marker(marker.map(str::to_owned))
        .send()
        .await?;
    Ok(AwsAnswer::Listeners(page(
        each(output.listeners, description),
        output.next_marker,
    )))
}

pub(crate) async fn describe_attributes(elb: &Client, listener: &ListenerArn) -> Answer {
    let output = elb
        .describe_listener_attributes()
        .listener_arn(listener.as_str())
        .send()
        .await?;
    let pairs = output.attributes.into_iter().flatten();
    let found = attributes(pairs.map(|pair| (pair.key, pair.value)));
    Ok(AwsAnswer::Attributes(found))
}

pub(crate) async fn describe_certificates(
    elb: &Client,
    listener: &ListenerArn,
    marker: Option<&str>,
) -> Answer {
    let output = elb
        .describe_listener_certificates()
        .listener_arn(listener.as_str())
        .set_marker(marker.map(str::to_owned))
        .send()
        .await?;
    let entry = |entry: Certificate| {
        Some(ListenerCertificate {
            arn: CertificateArn::new(entry.certificate_arn?),
            is_default: entry.is_default.unwrap_or_default(),
        })
    };
    Ok(AwsAnswer::ListenerCertificates(page(
        each(output.certificates, entry),
        output.next_marker,
    )))
}

// === conversions ===

fn certificate(arn: &str) -> Certificate {
    Certificate::builder().certificate_arn(arn).build()
}

fn default(arn: Option<&Ref<CertificateArn>>) -> Result<Option<Vec<Certificate>>, AwsError> {
    arn.map(|arn| Ok(vec![certificate(&known(arn)?)]))
        .transpose()
}

fn description(listener: Listener) -> Option<ListenerDescription> {
    let certificate = first(listener.certificates).and_then(|entry| entry.certificate_arn);
    Some(ListenerDescription {
        arn: ListenerArn::new(listener.listener_arn?),
        port: Port::new(listener.port?)?,
        protocol: listener.protocol.and_then(|name| protocol(name.as_str())),
        default_actions: from_actions(listener.default_actions),
        default_certificate: certificate.map(CertificateArn::new),
        ssl_policy: listener.ssl_policy,
        alpn_policy: first(listener.alpn_policy),
        mutual_authentication: from_attributes(listener.mutual_authentication),
    })
}
