//! ELBv2: load balancers, listeners, rules and target groups.

use std::fmt::Display;

use elbow_emulator::Request;
use elbow_emulator::generated::elbv2;
use elbow_model::aws_call::TagTarget;
use elbow_model::rule::{Action, Condition, Transform};
use elbow_model::stack::{HealthCheck, Matcher, SubnetMapping, Target};
use elbow_model::{AwsCall, AwsError, MutualAuthentication, Port, Ref, Tags};

use super::super::rules::{action_to_wire, condition_to_wire, transform_to_wire};
use super::{known, no_request};

pub(super) fn change(call: &AwsCall) -> Result<Request, AwsError> {
    Ok(match call {
        AwsCall::CreateLoadBalancer {
            name,
            lb_type,
            scheme,
            ip_address_type,
            subnets,
            security_groups,
            tags,
        } => elbv2::CreateLoadBalancerInput {
            name: name.clone(),
            r#type: Some(lb_type.as_str().to_owned()),
            scheme: Some(scheme.as_str().to_owned()),
            ip_address_type: Some(ip_address_type.as_str().to_owned()),
            subnet_mappings: Some(subnets.iter().map(mapping).collect()),
            security_groups: some_if_any(all_known(security_groups)?),
            tags: some_if_any(elb_tags(tags)),
            ..Default::default()
        }
        .into(),
        AwsCall::DeleteLoadBalancer { load_balancer } => elbv2::DeleteLoadBalancerInput {
            load_balancer_arn: known(load_balancer)?,
        }
        .into(),
        AwsCall::SetSecurityGroups {
            load_balancer,
            security_groups,
            enforce_security_group_inbound_rules_on_private_link_traffic,
        } => elbv2::SetSecurityGroupsInput {
            load_balancer_arn: known(load_balancer)?,
            security_groups: all_known(security_groups)?,
            enforce_security_group_inbound_rules_on_private_link_traffic:
                enforce_security_group_inbound_rules_on_private_link_traffic.clone(),
        }
        .into(),
        AwsCall::SetSubnets {
            load_balancer,
            subnets,
        } => elbv2::SetSubnetsInput {
            load_balancer_arn: known(load_balancer)?,
            subnet_mappings: Some(subnets.iter().map(mapping).collect()),
            ..Default::default()
        }
        .into(),
        AwsCall::SetIpAddressType {
            load_balancer,
            ip_address_type,
        } => elbv2::SetIpAddressTypeInput {
            load_balancer_arn: known(load_balancer)?,
            ip_address_type: ip_address_type.as_str().to_owned(),
        }
        .into(),
        AwsCall::ModifyLoadBalancerAttributes {
            load_balancer,
            attributes,
        } => {
            let attribute = |(key, value): (&String, &String)| elbv2::LoadBalancerAttribute {
                key: Some(key.clone()),
                value: Some(value.clone()),
            };
            elbv2::ModifyLoadBalancerAttributesInput {
                load_balancer_arn: known(load_balancer)?,
                attributes: attributes.iter().map(attribute).collect(),
            }
            .into()
        }
        AwsCall::CreateTargetGroup { .. } => create_target_group(call),
        AwsCall::ModifyTargetGroup {
            target_group,
            health_check,
        } => {
            let check = check(health_check);
            elbv2::ModifyTargetGroupInput {
                target_group_arn: known(target_group)?,
                health_check_enabled: None,
                health_check_interval_seconds: check.health_check_interval_seconds,
                health_check_path: check.health_check_path,
                health_check_port: check.health_check_port,
                health_check_protocol: check.health_check_protocol,
                health_check_timeout_seconds: check.health_check_timeout_seconds,
                healthy_threshold_count: check.healthy_threshold_count,
                matcher: check.matcher,
                unhealthy_threshold_count: check.unhealthy_threshold_count,
            }
            .into()
        }
        AwsCall::ModifyTargetGroupAttributes {
            target_group,
            attributes,
        } => {
            let attribute = |(key, value): (&String, &String)| elbv2::TargetGroupAttribute {
                key: Some(key.clone()),
                value: Some(value.clone()),
            };
            elbv2::ModifyTargetGroupAttributesInput {
                target_group_arn: known(target_group)?,
                attributes: attributes.iter().map(attribute).collect(),
            }
            .into()
        }
        AwsCall::DeleteTargetGroup { target_group } => elbv2::DeleteTargetGroupInput {
            target_group_arn: known(target_group)?,
        }
        .into(),
        AwsCall::RegisterTargets {
            target_group,
            targets: wanted,
        } => elbv2::RegisterTargetsInput {
            target_group_arn: known(target_group)?,
            targets: targets(wanted),
        }
        .into(),
        AwsCall::DeregisterTargets {
            target_group,
            targets: gone,
        } => elbv2::DeregisterTargetsInput {
            target_group_arn: known(target_group)?,
            targets: targets(gone),
        }
        .into(),
        AwsCall::CreateTrustStore {
            name,
            bucket,
            key,
            tags,
        } => elbv2::CreateTrustStoreInput {
            name: name.clone(),
            ca_certificates_bundle_s3_bucket: bucket.clone(),
            ca_certificates_bundle_s3_key: key.clone(),
            tags: some_if_any(elb_tags(tags)),
            ..Default::default()
        }
        .into(),
        AwsCall::ModifyTrustStore {
            trust_store,
            bucket,
            key,
        } => elbv2::ModifyTrustStoreInput {
            trust_store_arn: known(trust_store)?,
            ca_certificates_bundle_s3_bucket: bucket.clone(),
            ca_certificates_bundle_s3_key: key.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DeleteTrustStore { trust_store } => elbv2::DeleteTrustStoreInput {
            trust_store_arn: known(trust_store)?,
        }
        .into(),
        AwsCall::AddTags { resource, tags } => elbv2::AddTagsInput {
            resource_arns: vec![tagged(resource)?],
            tags: elb_tags(tags),
        }
        .into(),
        AwsCall::RemoveTags { resource, keys } => elbv2::RemoveTagsInput {
            resource_arns: vec![tagged(resource)?],
            tag_keys: keys.iter().cloned().collect(),
        }
        .into(),
        _ => listener_change(call)?,
    })
}

fn listener_change(call: &AwsCall) -> Result<Request, AwsError> {
    Ok(match call {
        AwsCall::CreateListener {
            load_balancer,
            port,
            protocol,
            default_action,
            default_certificate,
            ssl_policy,
            alpn_policy,
            mutual_authentication,
            tags,
        } => elbv2::CreateListenerInput {
            load_balancer_arn: known(load_balancer)?,
            port: Some(number(*port)),
            protocol: Some(protocol.as_str().to_owned()),
            default_actions: vec![action_to_wire(default_action)?],
            certificates: default_certificate
                .as_ref()
                .map(|arn| Ok(certificate(&known(arn)?)))
                .transpose()?,
            ssl_policy: ssl_policy.clone(),
            alpn_policy: alpn_policy.clone().map(|policy| vec![policy]),
            mutual_authentication: mutual_authentication.as_ref().map(asked).transpose()?,
            tags: some_if_any(elb_tags(tags)),
        }
        .into(),
        AwsCall::ModifyListener {
            listener,
            protocol,
            default_action,
            default_certificate,
            ssl_policy,
            alpn_policy,
            mutual_authentication,
        } => elbv2::ModifyListenerInput {
            listener_arn: known(listener)?,
            protocol: protocol.map(|p| p.as_str().to_owned()),
            default_actions: match default_action {
                Some(action) => Some(vec![action_to_wire(action)?]),
                None => None,
            },
            certificates: default_certificate
                .as_ref()
                .map(|arn| Ok(certificate(&known(arn)?)))
                .transpose()?,
            ssl_policy: ssl_policy.clone(),
            alpn_policy: alpn_policy.clone().map(|policy| vec![policy]),
            mutual_authentication: mutual_authentication.as_ref().map(asked).transpose()?,
            ..Default::default()
        }
        .into(),
        AwsCall::ModifyListenerAttributes {
            listener,
            attributes,
        } => {
            let attribute = |(key, value): (&String, &String)| elbv2::ListenerAttribute {
                key: Some(key.clone()),
                value: Some(value.clone()),
            };
            elbv2::ModifyListenerAttributesInput {
                listener_arn: known(listener)?,
                attributes: attributes.iter().map(attribute).collect(),
            }
            .into()
        }
        AwsCall::DeleteListener { listener } => elbv2::DeleteListenerInput {
            listener_arn: known(listener)?,
        }
        .into(),
        AwsCall::AddListenerCertificates {
            listener,
            certificate: arn,
        } => elbv2::AddListenerCertificatesInput {
            listener_arn: known(listener)?,
            certificates: certificate(&known(arn)?),
        }
        .into(),
        AwsCall::RemoveListenerCertificates {
            listener,
            certificate: arn,
        } => elbv2::RemoveListenerCertificatesInput {
            listener_arn: known(listener)?,
            certificates: certificate(arn.as_str()),
        }
        .into(),
        AwsCall::CreateRule {
            listener,
            priority,
            conditions,
            action,
            transforms,
            tags,
        } => elbv2::CreateRuleInput {
            listener_arn: known(listener)?,
            priority: i32::from(*priority),
            conditions: all_conditions(conditions),
            actions: one_action(action)?,
            transforms: some_if_any(all_transforms(transforms)),
            tags: some_if_any(elb_tags(tags)),
        }
        .into(),
        AwsCall::ModifyRule {
            rule,
            conditions,
            action,
            transforms,
        } => {
            let (transforms, reset) = match transforms.as_deref() {
                None => (None, None),
                Some([]) => (None, Some(true)),
                Some(transforms) => (Some(all_transforms(transforms)), None),
            };
            elbv2::ModifyRuleInput {
                rule_arn: known(rule)?,
                conditions: conditions.as_deref().map(all_conditions),
                actions: match action {
                    Some(action) => Some(one_action(action)?),
                    None => None,
                },
                transforms,
                reset_transforms: reset,
            }
            .into()
        }
        AwsCall::SetRulePriorities { priorities } => {
            let pairs = priorities.iter().map(|pair| {
                Ok(elbv2::RulePriorityPair {
                    rule_arn: Some(known(&pair.rule)?),
                    priority: Some(i32::from(pair.priority)),
                })
            });
            elbv2::SetRulePrioritiesInput {
                rule_priorities: pairs.collect::<Result<_, AwsError>>()?,
            }
            .into()
        }
        AwsCall::DeleteRule { rule } => elbv2::DeleteRuleInput {
            rule_arn: known(rule)?,
        }
        .into(),
        other => return Err(no_request(other)),
    })
}

fn create_target_group(call: &AwsCall) -> Request {
    let AwsCall::CreateTargetGroup {
        name,
        target_type,
        protocol,
        protocol_version,
        port,
        ip_address_type,
        vpc_id,
        health_check,
        tags,
    } = call
    else {
        return elbv2::CreateTargetGroupInput::default().into();
    };
    elbv2::CreateTargetGroupInput {
        name: name.clone(),
        target_type: Some(target_type.as_str().to_owned()),
        protocol: Some(protocol.as_str().to_owned()),
        protocol_version: protocol_version.map(|version| version.as_str().to_owned()),
        port: Some(number(*port)),
        ip_address_type: Some(ip_address_type.as_str().to_owned()),
        vpc_id: Some(vpc_id.to_string()),
        tags: some_if_any(elb_tags(tags)),
        ..check(health_check)
    }
    .into()
}

/// The health-check members of CreateTargetGroup, which ModifyTargetGroup has under the same names.
fn check(check: &HealthCheck) -> elbv2::CreateTargetGroupInput {
    elbv2::CreateTargetGroupInput {
        health_check_protocol: Some(check.protocol.as_str().to_owned()),
        health_check_port: Some(check.port.clone()),
        health_check_path: check.path.clone(),
        health_check_interval_seconds: Some(check.interval_seconds),
        health_check_timeout_seconds: Some(check.timeout_seconds),
        healthy_threshold_count: Some(check.healthy_threshold_count),
        unhealthy_threshold_count: Some(check.unhealthy_threshold_count),
        matcher: check.matcher.as_ref().map(|matcher| match matcher {
            Matcher::HttpCode(codes) => elbv2::Matcher {
                http_code: Some(codes.clone()),
                grpc_code: None,
            },
            Matcher::GrpcCode(codes) => elbv2::Matcher {
                http_code: None,
                grpc_code: Some(codes.clone()),
            },
        }),
        ..Default::default()
    }
}

fn mapping(subnet: &SubnetMapping) -> elbv2::SubnetMapping {
    elbv2::SubnetMapping {
        subnet_id: Some(subnet.subnet_id.to_string()),
        allocation_id: subnet.allocation_id.clone(),
        private_ipv4_address: subnet.private_ipv4_address.clone(),
        ipv6_address: subnet.ipv6_address.clone(),
        source_nat_ipv6_prefix: None,
    }
}

fn targets(targets: &[Target]) -> Vec<elbv2::TargetDescription> {
    let target = |target: &Target| elbv2::TargetDescription {
        id: target.id.clone(),
        port: Some(number(target.port)),
        availability_zone: target.availability_zone.clone(),
        quic_server_id: target.quic_server_id.clone(),
    };
    targets.iter().map(target).collect()
}

fn number(port: Port) -> i32 {
    i32::from(port.get())
}

fn certificate(arn: &str) -> Vec<elbv2::Certificate> {
    vec![elbv2::Certificate {
        certificate_arn: Some(arn.to_owned()),
        is_default: None,
    }]
}

fn elb_tags(tags: &Tags) -> Vec<elbv2::Tag> {
    tags.iter()
        .map(|(key, value)| elbv2::Tag {
            key: key.clone(),
            value: Some(value.clone()),
        })
        .collect()
}

fn tagged(resource: &TagTarget) -> Result<String, AwsError> {
    match resource {
        TagTarget::LoadBalancer(arn) => known(arn),
        TagTarget::Listener(arn) => known(arn),
        TagTarget::Rule(arn) => known(arn),
        TagTarget::TargetGroup(arn) => known(arn),
        TagTarget::TrustStore(arn) => known(arn),
    }
}

/// What a listener asks of its clients.
fn asked(asked: &MutualAuthentication) -> Result<elbv2::MutualAuthenticationAttributes, AwsError> {
    let attributes = elbv2::MutualAuthenticationAttributes {
        mode: Some(asked.mode().to_owned()),
        ..Default::default()
    };
    let MutualAuthentication::Verify {
        trust_store,
        ignore_client_certificate_expiry: ignores_expiry,
        advertise_trust_store_ca_names: advertises,
    } = asked
    else {
        return Ok(attributes);
    };
    let advertises = if *advertises { "on" } else { "off" };
    Ok(elbv2::MutualAuthenticationAttributes {
        trust_store_arn: Some(known(trust_store)?),
        ignore_client_certificate_expiry: Some(*ignores_expiry),
        advertise_trust_store_ca_names: Some(advertises.to_owned()),
        ..attributes
    })
}

fn one_action(action: &Action) -> Result<Vec<elbv2::Action>, AwsError> {
    Ok(vec![action_to_wire(action)?])
}

fn all_conditions(conditions: &[Condition]) -> Vec<elbv2::RuleCondition> {
    conditions.iter().map(condition_to_wire).collect()
}

fn all_transforms(transforms: &[Transform]) -> Vec<elbv2::RuleTransform> {
    transforms.iter().map(transform_to_wire).collect()
}

fn all_known<T: Display>(references: &[Ref<T>]) -> Result<Vec<String>, AwsError> {
    references.iter().map(known).collect()
}

/// AWS refuses empty lists of tags and security groups; an absent one says the same.
fn some_if_any<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

pub(super) fn lookup(call: &AwsCall) -> Result<Request, AwsError> {
    Ok(match call {
        AwsCall::DescribeLoadBalancers { arns, marker } => elbv2::DescribeLoadBalancersInput {
            load_balancer_arns: some_if_any(arns.iter().map(ToString::to_string).collect()),
            marker: marker.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeLoadBalancerAttributes { load_balancer } => {
            elbv2::DescribeLoadBalancerAttributesInput {
                load_balancer_arn: load_balancer.to_string(),
            }
            .into()
        }
        AwsCall::DescribeListeners {
            load_balancer,
            marker,
        } => elbv2::DescribeListenersInput {
            load_balancer_arn: Some(load_balancer.to_string()),
            marker: marker.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeListenerAttributes { listener } => {
            elbv2::DescribeListenerAttributesInput {
                listener_arn: listener.to_string(),
            }
            .into()
        }
        AwsCall::DescribeListenerCertificates { listener, marker } => {
            elbv2::DescribeListenerCertificatesInput {
                listener_arn: listener.to_string(),
                marker: marker.clone(),
                ..Default::default()
            }
            .into()
        }
        AwsCall::DescribeRules { listener, marker } => elbv2::DescribeRulesInput {
            listener_arn: Some(listener.to_string()),
            marker: marker.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeTargetGroups {
            arns,
            names,
            marker,
        } => elbv2::DescribeTargetGroupsInput {
            target_group_arns: some_if_any(arns.iter().map(ToString::to_string).collect()),
            names: some_if_any(names.clone()),
            marker: marker.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeTargetGroupAttributes { target_group } => {
            elbv2::DescribeTargetGroupAttributesInput {
                target_group_arn: target_group.to_string(),
            }
            .into()
        }
        AwsCall::DescribeTargetHealth { target_group } => elbv2::DescribeTargetHealthInput {
            target_group_arn: target_group.to_string(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeTrustStores { names, marker } => elbv2::DescribeTrustStoresInput {
            names: some_if_any(names.clone()),
            marker: marker.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeTags { arns } => elbv2::DescribeTagsInput {
            resource_arns: arns.clone(),
        }
        .into(),
        other => return Err(no_request(other)),
    })
}
