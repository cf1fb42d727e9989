//! From [`AwsCall`] to the emulator's request: the parameters that elbow sends, and no others.

use std::fmt::Display;

use elbow_emulator::Request;
use elbow_emulator::generated::{acm, ec2, elbv2, tagging};
use elbow_model::aws_call::TagTarget;
use elbow_model::rule::{Action, Condition, Transform};
use elbow_model::stack::{HealthCheck, IngressRule, IngressSource, Matcher, SubnetMapping, Target};
use elbow_model::{AwsCall, AwsError, ErrorClass, Port, Ref, Tags};

use super::rules::{action_to_wire, condition_to_wire, transform_to_wire};

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
        .ok_or_else(|| AwsError {
            class: ErrorClass::Invalid,
            code: "UnresolvedReference".to_owned(),
            message: format!("{reference} does not exist yet"),
        })
}

/// The request that carries out a call.
pub(crate) fn request(call: &AwsCall) -> Result<Request, AwsError> {
    match call.service() {
        "ec2" => ec2_request(call),
        "acm" => Ok(acm_request(call)),
        "tagging" => Ok(tagging_request(call)),
        _ if call.is_mutating() => elbv2_change(call),
        _ => elbv2_lookup(call),
    }
}

// === EC2 ===

fn ec2_request(call: &AwsCall) -> Result<Request, AwsError> {
    Ok(match call {
        AwsCall::CreateSecurityGroup {
            name,
            description,
            vpc_id,
            tags,
        } => ec2::CreateSecurityGroupInput {
            group_name: name.clone(),
            description: description.clone(),
            vpc_id: Some(vpc_id.to_string()),
            tag_specifications: Some(vec![ec2::TagSpecification {
                resource_type: Some("security-group".to_owned()),
                tags: Some(ec2_tags(tags)),
            }]),
            ..Default::default()
        }
        .into(),
        AwsCall::DeleteSecurityGroup { group } => ec2::DeleteSecurityGroupInput {
            group_id: Some(known(group)?),
            ..Default::default()
        }
        .into(),
        AwsCall::AuthorizeSecurityGroupIngress { group, rules } => {
            ec2::AuthorizeSecurityGroupIngressInput {
                group_id: Some(known(group)?),
                ip_permissions: Some(rules.iter().map(permission).collect()),
                ..Default::default()
            }
            .into()
        }
        AwsCall::RevokeSecurityGroupIngress { group, rules } => {
            ec2::RevokeSecurityGroupIngressInput {
                group_id: Some(known(group)?),
                ip_permissions: Some(rules.iter().map(permission).collect()),
                ..Default::default()
            }
            .into()
        }
        AwsCall::CreateSecurityGroupTags { group, tags } => ec2::CreateTagsInput {
            resources: vec![known(group)?],
            tags: ec2_tags(tags),
            ..Default::default()
        }
        .into(),
        AwsCall::DeleteSecurityGroupTags { group, keys } => ec2::DeleteTagsInput {
            resources: vec![known(group)?],
            tags: Some(
                keys.iter()
                    .map(|key| ec2::Tag {
                        key: Some(key.clone()),
                        value: None,
                    })
                    .collect(),
            ),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeVpcs { vpc_id } => ec2::DescribeVpcsInput {
            vpc_ids: Some(vec![vpc_id.to_string()]),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeSubnets { vpc_id, marker } => ec2::DescribeSubnetsInput {
            filters: Some(vec![filter("vpc-id", vpc_id.as_str())]),
            next_token: marker.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeRouteTables { vpc_id, marker } => ec2::DescribeRouteTablesInput {
            filters: Some(vec![filter("vpc-id", vpc_id.as_str())]),
            next_token: marker.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeSecurityGroups {
            vpc_id,
            tags,
            marker,
        } => {
            let mut filters = vec![filter("vpc-id", vpc_id.as_str())];
            filters.extend(
                tags.iter()
                    .map(|(key, value)| filter(&format!("tag:{key}"), value)),
            );
            ec2::DescribeSecurityGroupsInput {
                filters: Some(filters),
                next_token: marker.clone(),
                ..Default::default()
            }
            .into()
        }
        // DescribeAvailabilityZones is all that is left of EC2.
        _ => ec2::DescribeAvailabilityZonesInput::default().into(),
    })
}

fn filter(name: &str, value: &str) -> ec2::Filter {
    ec2::Filter {
        name: Some(name.to_owned()),
        values: Some(vec![value.to_owned()]),
    }
}

fn ec2_tags(tags: &Tags) -> Vec<ec2::Tag> {
    tags.iter()
        .map(|(key, value)| ec2::Tag {
            key: Some(key.clone()),
            value: Some(value.clone()),
        })
        .collect()
}

fn permission(rule: &IngressRule) -> ec2::IpPermission {
    let mut permission = ec2::IpPermission {
        ip_protocol: Some(rule.protocol.clone()),
        from_port: rule.from_port,
        to_port: rule.to_port,
        ..Default::default()
    };
    match &rule.source {
        IngressSource::Ipv4(cidr) => {
            let range = ec2::IpRange {
                cidr_ip: Some(cidr.clone()),
                description: None,
            };
            permission.ip_ranges = Some(vec![range]);
        }
        IngressSource::Ipv6(cidr) => {
            let range = ec2::Ipv6Range {
                cidr_ipv6: Some(cidr.clone()),
                description: None,
            };
            permission.ipv6_ranges = Some(vec![range]);
        }
        IngressSource::PrefixList(id) => {
            let list = ec2::PrefixListId {
                prefix_list_id: Some(id.to_string()),
                description: None,
            };
            permission.prefix_list_ids = Some(vec![list]);
        }
        IngressSource::SecurityGroup(id) => {
            let pair = ec2::UserIdGroupPair {
                group_id: Some(id.to_string()),
                ..Default::default()
            };
            permission.user_id_group_pairs = Some(vec![pair]);
        }
    }
    permission
}

// === ACM and tagging ===

fn acm_request(call: &AwsCall) -> Request {
    match call {
        AwsCall::DescribeCertificate { certificate } => acm::DescribeCertificateInput {
            certificate_arn: certificate.to_string(),
        }
        .into(),
        call => {
            let marker = match call {
                AwsCall::ListCertificates { marker } => marker.clone(),
                _ => None,
            };
            acm::ListCertificatesInput {
                certificate_statuses: Some(vec!["ISSUED".to_owned()]),
                includes: Some(acm::Filters {
                    key_types: Some(KEY_TYPES.iter().map(|&key| key.to_owned()).collect()),
                    ..Default::default()
                }),
                next_token: marker,
                ..Default::default()
            }
            .into()
        }
    }
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

// === ELBv2, changes ===

fn elbv2_change(call: &AwsCall) -> Result<Request, AwsError> {
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
            tags,
        } => elbv2::CreateListenerInput {
            load_balancer_arn: known(load_balancer)?,
            port: Some(number(*port)),
            protocol: Some(protocol.as_str().to_owned()),
            default_actions: vec![action_to_wire(default_action)?],
            certificates: default_certificate
                .as_ref()
                .map(|arn| certificate(arn.as_str())),
            ssl_policy: ssl_policy.clone(),
            alpn_policy: alpn_policy.clone().map(|policy| vec![policy]),
            tags: some_if_any(elb_tags(tags)),
            ..Default::default()
        }
        .into(),
        AwsCall::ModifyListener {
            listener,
            protocol,
            default_action,
            default_certificate,
            ssl_policy,
            alpn_policy,
        } => elbv2::ModifyListenerInput {
            listener_arn: known(listener)?,
            protocol: protocol.map(|p| p.as_str().to_owned()),
            default_actions: match default_action {
                Some(action) => Some(vec![action_to_wire(action)?]),
                None => None,
            },
            certificates: default_certificate
                .as_ref()
                .map(|arn| certificate(arn.as_str())),
            ssl_policy: ssl_policy.clone(),
            alpn_policy: alpn_policy.clone().map(|policy| vec![policy]),
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
            certificates: certificate(arn.as_str()),
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

/// Only reached when a variant is added to the model and forgotten here; a test goes through all.
fn no_request(call: &AwsCall) -> AwsError {
    AwsError {
        class: ErrorClass::Invalid,
        code: "UnknownCall".to_owned(),
        message: format!("{} is not translated", call.operation()),
    }
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
        quic_server_id: None,
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
    }
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

// === ELBv2, look-ups ===

fn elbv2_lookup(call: &AwsCall) -> Result<Request, AwsError> {
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
        AwsCall::DescribeTargetGroups { arns, marker } => elbv2::DescribeTargetGroupsInput {
            target_group_arns: some_if_any(arns.iter().map(ToString::to_string).collect()),
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
        AwsCall::DescribeTags { arns } => elbv2::DescribeTagsInput {
            resource_arns: arns.clone(),
        }
        .into(),
        other => return Err(no_request(other)),
    })
}

#[cfg(test)]
mod tests {
    use elbow_model::aws_call::RulePriority;
    use elbow_model::rule::{FixedResponse, Forward, WeightedTargetGroup};
    use elbow_model::stack::{
        IpAddressType, LoadBalancerType, Protocol, Scheme, TargetFamily, TargetType,
    };
    use elbow_model::{
        Attributes, CertificateArn, ListenerArn, LoadBalancerArn, ResourceId, ResourceKey,
        ResourceKind, RuleArn, SecurityGroupId, StackId, SubnetId, TargetGroupArn, VpcId,
    };

    use super::*;

    fn target() -> Target {
        Target {
            id: "192.168.0.9".into(),
            port: port(80),
            availability_zone: Some("all".into()),
        }
    }

    fn port(number: u16) -> Port {
        Port::new(number).unwrap()
    }

    fn health_check() -> HealthCheck {
        HealthCheck {
            port: "traffic-port".into(),
            protocol: Protocol::Http,
            path: Some("/".into()),
            matcher: Some(Matcher::HttpCode("200".into())),
            interval_seconds: 15,
            timeout_seconds: 5,
            healthy_threshold_count: 2,
            unhealthy_threshold_count: 2,
        }
    }

    /// One call of each kind.
    fn one_of_each() -> Vec<AwsCall> {
        let group = || Ref::from(SecurityGroupId::new("sg-1"));
        let lb_arn = LoadBalancerArn::new("lb");
        let lb = || Ref::from(lb_arn.clone());
        let listener_arn = ListenerArn::new("listener");
        let listener = || Ref::from(listener_arn.clone());
        let rule = || Ref::from(RuleArn::new("rule"));
        let tg_arn = TargetGroupArn::new("tg");
        let tg = || Ref::from(tg_arn.clone());
        let vpc_id = || VpcId::new("vpc-1");
        let certificate = || CertificateArn::new("certificate");
        let tags = || Tags::from([("a".to_owned(), "b".to_owned())]);
        let keys = || std::iter::once("a".to_owned()).collect();
        let attributes = || Attributes::from([("a".to_owned(), "b".to_owned())]);
        let action = || Action::FixedResponse(FixedResponse::plain(404));
        let subnets = || vec![SubnetMapping::of(SubnetId::new("subnet-1"))];
        let rules = || {
            vec![IngressRule {
                protocol: "tcp".into(),
                from_port: Some(80),
                to_port: Some(80),
                source: IngressSource::Ipv4("0.0.0.0/0".into()),
            }]
        };
        let marker = || Some("next".to_owned());
        vec![
            AwsCall::CreateSecurityGroup {
                name: "n".into(),
                description: "d".into(),
                vpc_id: vpc_id(),
                tags: tags(),
            },
            AwsCall::DeleteSecurityGroup { group: group() },
            AwsCall::AuthorizeSecurityGroupIngress {
                group: group(),
                rules: rules(),
            },
            AwsCall::RevokeSecurityGroupIngress {
                group: group(),
                rules: rules(),
            },
            AwsCall::CreateSecurityGroupTags {
                group: group(),
                tags: tags(),
            },
            AwsCall::DeleteSecurityGroupTags {
                group: group(),
                keys: keys(),
            },
            AwsCall::CreateLoadBalancer {
                name: "n".into(),
                lb_type: LoadBalancerType::Application,
                scheme: Scheme::Internal,
                ip_address_type: IpAddressType::Ipv4,
                subnets: subnets(),
                security_groups: vec![group()],
                tags: tags(),
            },
            AwsCall::DeleteLoadBalancer {
                load_balancer: lb(),
            },
            AwsCall::SetSecurityGroups {
                load_balancer: lb(),
                security_groups: vec![group()],
                enforce_security_group_inbound_rules_on_private_link_traffic: None,
            },
            AwsCall::SetSubnets {
                load_balancer: lb(),
                subnets: subnets(),
            },
            AwsCall::SetIpAddressType {
                load_balancer: lb(),
                ip_address_type: IpAddressType::Dualstack,
            },
            AwsCall::ModifyLoadBalancerAttributes {
                load_balancer: lb(),
                attributes: attributes(),
            },
            AwsCall::CreateTargetGroup {
                name: "n".into(),
                target_type: TargetType::Ip,
                protocol: Protocol::Http,
                protocol_version: None,
                port: port(80),
                ip_address_type: TargetFamily::Ipv4,
                vpc_id: vpc_id(),
                health_check: health_check(),
                tags: tags(),
            },
            AwsCall::ModifyTargetGroup {
                target_group: tg(),
                health_check: health_check(),
            },
            AwsCall::ModifyTargetGroupAttributes {
                target_group: tg(),
                attributes: attributes(),
            },
            AwsCall::DeleteTargetGroup { target_group: tg() },
            AwsCall::RegisterTargets {
                target_group: tg(),
                targets: vec![target()],
            },
            AwsCall::DeregisterTargets {
                target_group: tg(),
                targets: vec![target()],
            },
            AwsCall::CreateListener {
                load_balancer: lb(),
                port: port(443),
                protocol: Protocol::Https,
                default_action: action(),
                default_certificate: Some(certificate()),
                ssl_policy: None,
                alpn_policy: None,
                tags: tags(),
            },
            AwsCall::ModifyListener {
                listener: listener(),
                protocol: None,
                default_action: Some(action()),
                default_certificate: None,
                ssl_policy: None,
                alpn_policy: None,
            },
            AwsCall::ModifyListenerAttributes {
                listener: listener(),
                attributes: attributes(),
            },
            AwsCall::DeleteListener {
                listener: listener(),
            },
            AwsCall::AddListenerCertificates {
                listener: listener(),
                certificate: certificate(),
            },
            AwsCall::RemoveListenerCertificates {
                listener: listener(),
                certificate: certificate(),
            },
            AwsCall::CreateRule {
                listener: listener(),
                priority: 1,
                conditions: Vec::new(),
                action: action(),
                transforms: Vec::new(),
                tags: tags(),
            },
            AwsCall::ModifyRule {
                rule: rule(),
                conditions: None,
                action: Some(action()),
                transforms: Some(Vec::new()),
            },
            AwsCall::SetRulePriorities {
                priorities: vec![RulePriority {
                    rule: rule(),
                    priority: 2,
                }],
            },
            AwsCall::DeleteRule { rule: rule() },
            AwsCall::AddTags {
                resource: TagTarget::Rule(rule()),
                tags: tags(),
            },
            AwsCall::RemoveTags {
                resource: TagTarget::TargetGroup(tg()),
                keys: keys(),
            },
            AwsCall::DescribeLoadBalancers {
                arns: vec![lb_arn.clone()],
                marker: marker(),
            },
            AwsCall::DescribeLoadBalancerAttributes {
                load_balancer: lb_arn.clone(),
            },
            AwsCall::DescribeListeners {
                load_balancer: lb_arn.clone(),
                marker: marker(),
            },
            AwsCall::DescribeListenerAttributes {
                listener: listener_arn.clone(),
            },
            AwsCall::DescribeListenerCertificates {
                listener: listener_arn.clone(),
                marker: marker(),
            },
            AwsCall::DescribeRules {
                listener: listener_arn.clone(),
                marker: marker(),
            },
            AwsCall::DescribeTargetGroups {
                arns: vec![tg_arn.clone()],
                marker: marker(),
            },
            AwsCall::DescribeTargetGroupAttributes {
                target_group: tg_arn.clone(),
            },
            AwsCall::DescribeTargetHealth {
                target_group: tg_arn.clone(),
            },
            AwsCall::DescribeTags {
                arns: vec!["lb".into()],
            },
            AwsCall::DescribeVpcs { vpc_id: vpc_id() },
            AwsCall::DescribeSubnets {
                vpc_id: vpc_id(),
                marker: marker(),
            },
            AwsCall::DescribeRouteTables {
                vpc_id: vpc_id(),
                marker: marker(),
            },
            AwsCall::DescribeAvailabilityZones,
            AwsCall::DescribeSecurityGroups {
                vpc_id: vpc_id(),
                tags: tags(),
                marker: marker(),
            },
            AwsCall::ListCertificates { marker: marker() },
            AwsCall::DescribeCertificate {
                certificate: certificate(),
            },
            AwsCall::GetResources {
                tags: tags(),
                resource_types: vec!["elasticloadbalancing:targetgroup".into()],
                marker: marker(),
            },
        ]
    }

    #[test]
    fn every_call_is_a_request_to_the_operation_of_its_name() {
        let calls = one_of_each();
        let names: std::collections::BTreeSet<&str> =
            calls.iter().map(AwsCall::operation).collect();
        assert_eq!(names.len(), 48, "a call is missing, or stands here twice");
        for call in calls {
            let request = request(&call).unwrap();
            assert_eq!(request.operation().name, call.operation());
        }
    }

    #[test]
    fn a_reference_without_an_id_is_never_sent() {
        let key = ResourceKey {
            stack: StackId::CLUSTER,
            kind: ResourceKind::TargetGroup,
            id: ResourceId::new("group"),
        };
        let forward = Forward {
            target_groups: vec![WeightedTargetGroup {
                target_group: Ref::Of(key),
                weight: Some(1),
            }],
            stickiness: None,
        };
        let call = AwsCall::ModifyRule {
            rule: RuleArn::new("rule").into(),
            conditions: None,
            action: Some(Action::Forward(forward)),
            transforms: None,
        };
        assert_eq!(request(&call).unwrap_err().code, "UnresolvedReference");
    }
}
