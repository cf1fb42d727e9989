//! Target groups and targets. In: the model's words. Out: answers. Always: targets come sorted, and a
//! type or protocol that elbow does not use comes back as `None`.

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{
    self, ProtocolEnum, TargetDescription, TargetGroupAttribute, TargetGroupIpAddressTypeEnum,
    TargetHealthDescription, TargetHealthStateEnum, TargetTypeEnum,
};
use elbow_model::aws_call::TargetGroupDescription;
use elbow_model::observed::{ObservedTarget, TargetState};
use elbow_model::stack::{HealthCheck, Matcher, ProtocolVersion, Target, TargetFamily, TargetType};
use elbow_model::{
    Attributes, AwsAnswer, AwsCall, AwsError, LoadBalancerArn, Port, Ref, TargetGroupArn, VpcId,
};

use super::tags::to_tags;
use super::{attributes, protocol};
use crate::convert::{Answer, each, first, known, number, page, some_if_any, texts};

pub(crate) async fn create(elb: &Client, call: &AwsCall) -> Answer {
    let AwsCall::CreateTargetGroup {
        name,
        target_type,
        protocol,
        protocol_version,
        port,
        ip_address_type,
        vpc_id,
        health_check: check,
        tags,
    } = call
    else {
        return Err(AwsError::unexpected(call.operation()).into());
    };
    let output = elb
        .create_target_group()
        .name(name)
        .target_type(TargetTypeEnum::from(target_type.as_str()))
        .protocol(ProtocolEnum::from(protocol.as_str()))
        .set_protocol_version(protocol_version.map(|version| version.as_str().to_owned()))
        .port(number(*port))
        .ip_address_type(TargetGroupIpAddressTypeEnum::from(ip_address_type.as_str()))
        .vpc_id(vpc_id.as_str())
        .health_check_protocol(ProtocolEnum::from(check.protocol.as_str()))
        .health_check_port(&check.port)
        .set_health_check_path(check.path.clone())
        .health_check_interval_seconds(check.interval_seconds)
        .health_check_timeout_seconds(check.timeout_seconds)
        .healthy_threshold_count(check.healthy_threshold_count)
        .unhealthy_threshold_count(check.unhealthy_threshold_count)
        .set_matcher(check.matcher.as_ref().map(to_matcher))
        .set_tags(some_if_any(to_tags(tags)))
        .send()
        .await?;
    let created = first(output.target_groups).and_then(|group| group.target_group_arn);
    let arn = created.ok_or_else(|| AwsError::unexpected("the answer to CreateTargetGroup"))?;
    Ok(AwsAnswer::TargetGroupCreated(TargetGroupArn::new(arn)))
}

pub(crate) async fn modify(
    elb: &Client,
    group: &Ref<TargetGroupArn>,
    check: &HealthCheck,
) -> Answer {
    elb.modify_target_group()
        .target_group_arn(known(group)?)
        .health_check_protocol(ProtocolEnum::from(check.protocol.as_str()))
        .health_check_port(&check.port)
        .set_health_check_path(check.path.clone())
        .health_check_interval_seconds(check.interval_seconds)
        .health_check_timeout_seconds(check.timeout_seconds)
        .healthy_threshold_count(check.healthy_threshold_count)
        .unhealthy_threshold_count(check.unhealthy_threshold_count)
        .set_matcher(check.matcher.as_ref().map(to_matcher))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn modify_attributes(
    elb: &Client,
    group: &Ref<TargetGroupArn>,
    attributes: &Attributes,
) -> Answer {
    let attribute = |(key, value): (&String, &String)| {
        let attribute = TargetGroupAttribute::builder().key(key).value(value);
        attribute.build()
    };
    elb.modify_target_group_attributes()
        .target_group_arn(known(group)?)
        .set_attributes(Some(attributes.iter().map(attribute).collect()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn delete(elb: &Client, group: &Ref<TargetGroupArn>) -> Answer {
    let call = elb.delete_target_group().target_group_arn(known(group)?);
    call.send().await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn register(
    elb: &Client,
    group: &Ref<TargetGroupArn>,
    targets: &[Target],
) -> Answer {
    elb.register_targets()
        .target_group_arn(known(group)?)
        .set_targets(Some(targets.iter().map(to_target).collect()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn deregister(
    elb: &Client,
    group: &Ref<TargetGroupArn>,
    targets: &[Target],
) -> Answer {
    elb.deregister_targets()
        .target_group_arn(known(group)?)
        .set_targets(Some(targets.iter().map(to_target).collect()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn describe(
    elb: &Client,
    arns: &[TargetGroupArn],
    names: &[String],
    marker: Option<&str>,
) -> Answer {
    let output = elb
        .describe_target_groups()
        .set_target_group_arns(some_if_any(texts(arns)))
        .set_names(some_if_any(names.to_vec()))
        .set_marker(marker.map(str::to_owned))
        .send()
        .await?;
    Ok(AwsAnswer::TargetGroups(page(
        each(output.target_groups, description),
        output.next_marker,
    )))
}

pub(crate) async fn describe_attributes(elb: &Client, group: &TargetGroupArn) -> Answer {
    let output = elb
        .describe_target_group_attributes()
        .target_group_arn(group.as_str())
        .send()
        .await?;
    let pairs = output.attributes.into_iter().flatten();
    let found = attributes(pairs.map(|pair| (pair.key, pair.value)));
    Ok(AwsAnswer::Attributes(found))
}

pub(crate) async fn describe_health(elb: &Client, group: &TargetGroupArn) -> Answer {
    let output = elb
        .describe_target_health()
        .target_group_arn(group.as_str())
        .send()
        .await?;
    let mut targets = each(output.target_health_descriptions, observed);
    targets.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(AwsAnswer::TargetHealth(targets))
}

// === conversions ===

fn to_matcher(matcher: &Matcher) -> types::Matcher {
    let on_wire = types::Matcher::builder();
    match matcher {
        Matcher::HttpCode(codes) => on_wire.http_code(codes),
        Matcher::GrpcCode(codes) => on_wire.grpc_code(codes),
    }
    .build()
}

fn to_target(target: &Target) -> TargetDescription {
    TargetDescription::builder()
        .id(&target.id)
        .port(number(target.port))
        .set_availability_zone(target.availability_zone.clone())
        .set_quic_server_id(target.quic_server_id.clone())
        .build()
}

fn description(group: types::TargetGroup) -> Option<TargetGroupDescription> {
    let health_check = health_check(&group);
    let load_balancers = group.load_balancer_arns.into_iter().flatten();
    Some(TargetGroupDescription {
        arn: TargetGroupArn::new(group.target_group_arn?),
        name: group.target_group_name.unwrap_or_default(),
        target_type: match group.target_type {
            Some(TargetTypeEnum::Instance) => Some(TargetType::Instance),
            Some(TargetTypeEnum::Ip) => Some(TargetType::Ip),
            Some(TargetTypeEnum::Alb) => Some(TargetType::Alb),
            _ => None,
        },
        protocol: group.protocol.and_then(|name| protocol(name.as_str())),
        protocol_version: match group.protocol_version.as_deref() {
            Some("HTTP1") => Some(ProtocolVersion::Http1),
            Some("HTTP2") => Some(ProtocolVersion::Http2),
            Some("GRPC") => Some(ProtocolVersion::Grpc),
            _ => None,
        },
        port: group.port.and_then(Port::new),
        ip_address_type: match group.ip_address_type {
            Some(TargetGroupIpAddressTypeEnum::Ipv6) => TargetFamily::Ipv6,
            _ => TargetFamily::Ipv4,
        },
        vpc_id: group.vpc_id.map(VpcId::new),
        health_check,
        load_balancers: load_balancers.map(LoadBalancerArn::new).collect(),
    })
}

fn health_check(group: &types::TargetGroup) -> Option<HealthCheck> {
    let matcher = group.matcher.as_ref().and_then(|matcher| {
        let grpc = matcher.grpc_code.clone().map(Matcher::GrpcCode);
        grpc.or_else(|| matcher.http_code.clone().map(Matcher::HttpCode))
    });
    let checks_by = group.health_check_protocol.as_ref()?;
    Some(HealthCheck {
        port: group.health_check_port.clone()?,
        protocol: protocol(checks_by.as_str())?,
        path: group.health_check_path.clone(),
        matcher,
        interval_seconds: group.health_check_interval_seconds?,
        timeout_seconds: group.health_check_timeout_seconds?,
        healthy_threshold_count: group.healthy_threshold_count?,
        unhealthy_threshold_count: group.unhealthy_threshold_count?,
    })
}

fn observed(description: TargetHealthDescription) -> Option<ObservedTarget> {
    let target = description.target?;
    let (state, reason, text) = match description.target_health {
        Some(health) => (health.state, health.reason, health.description),
        None => (None, None, None),
    };
    Some(ObservedTarget {
        target: Target {
            id: target.id?,
            port: Port::new(target.port?)?,
            // Only `all` was ever sent; whatever else AWS knows is not part of the target.
            availability_zone: target.availability_zone.filter(|zone| zone == "all"),
            quic_server_id: target.quic_server_id,
        },
        state: match state {
            Some(TargetHealthStateEnum::Initial) => TargetState::Initial,
            Some(TargetHealthStateEnum::Healthy) => TargetState::Healthy,
            Some(TargetHealthStateEnum::Unhealthy) => TargetState::Unhealthy,
            Some(TargetHealthStateEnum::UnhealthyDraining) => TargetState::UnhealthyDraining,
            Some(TargetHealthStateEnum::Unused) => TargetState::Unused,
            Some(TargetHealthStateEnum::Draining) => TargetState::Draining,
            _ => TargetState::Unavailable,
        },
        reason: reason.map(|reason| reason.as_str().to_owned()),
        description: text,
    })
}
