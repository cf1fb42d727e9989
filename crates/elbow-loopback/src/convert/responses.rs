//! From the emulator's response to [`AwsAnswer`].
//!
//! What AWS fills in is kept as it comes; only what the model has no word for becomes `None`. The
//! comparison with what is wanted is the planner's.

use std::collections::BTreeMap;

use elbow_emulator::Response;
use elbow_emulator::generated::{acm, ec2, elbv2, tagging};

use elbow_model::aws_call::{
    ListenerCertificate, ListenerDescription, LoadBalancerDescription, Page, RouteTable,
    TargetGroupDescription, TrustStoreDescription,
};
use elbow_model::facts::{Certificate, Subnet, Vpc, ZoneType};
use elbow_model::observed::{
    LoadBalancerState, ObservedRule, ObservedSecurityGroup, ObservedTarget, TargetState,
};
use elbow_model::stack::{
    HealthCheck, IngressRule, IngressSource, IpAddressType, LoadBalancerType, Matcher, Protocol,
    ProtocolVersion, Scheme, Target, TargetFamily, TargetType,
};
use elbow_model::{
    Attributes, AwsAnswer, AwsCall, AwsError, CertificateArn, ListenerArn, LoadBalancerArn,
    MutualAuthentication, Port, PrefixListId, RuleArn, SecurityGroupId, SubnetId, Tags,
    TargetGroupArn, TrustStoreArn, VpcId,
};

use super::interfaces;
use super::rules::{actions_from_wire, condition_from_wire, transform_from_wire};

/// The answer to a call.
pub(crate) fn answer(call: &AwsCall, response: Response) -> Result<AwsAnswer, AwsError> {
    let answer = match response {
        Response::ElbV2(response) => elbv2_answer(response)?,
        Response::Ec2(response) => ec2_answer(response),
        Response::Acm(response) => acm_answer(call, response),
        Response::Tagging(tagging::Response::GetResources(page)) => Some(tags_by_arn(page)),
        _ => None,
    };
    answer.ok_or_else(|| AwsError::unexpected(format!("the answer to {}", call.operation())))
}

// === ELBv2 ===

fn elbv2_answer(response: elbv2::Response) -> Result<Option<AwsAnswer>, AwsError> {
    use elbv2::Response as R;
    Ok(match response {
        R::CreateLoadBalancer(output) => first(output.load_balancers)
            .and_then(load_balancer)
            .map(AwsAnswer::LoadBalancerCreated),
        R::CreateTargetGroup(output) => first(output.target_groups)
            .and_then(|group| group.target_group_arn)
            .map(|arn| AwsAnswer::TargetGroupCreated(TargetGroupArn::new(arn))),
        R::CreateListener(output) => first(output.listeners)
            .and_then(|listener| listener.listener_arn)
            .map(|arn| AwsAnswer::ListenerCreated(ListenerArn::new(arn))),
        R::CreateRule(output) => first(output.rules)
            .and_then(|rule| rule.rule_arn)
            .map(|arn| AwsAnswer::RuleCreated(RuleArn::new(arn))),
        R::CreateTrustStore(output) => first(output.trust_stores)
            .and_then(|store| store.trust_store_arn)
            .map(|arn| AwsAnswer::TrustStoreCreated(TrustStoreArn::new(arn))),
        R::DescribeTrustStores(output) => {
            let described = |store: elbv2::TrustStore| {
                Some(TrustStoreDescription {
                    arn: TrustStoreArn::new(store.trust_store_arn?),
                    name: store.name.unwrap_or_default(),
                })
            };
            Some(AwsAnswer::TrustStores(page(
                each(output.trust_stores, described),
                output.next_marker,
            )))
        }
        R::DescribeLoadBalancers(output) => Some(AwsAnswer::LoadBalancers(page(
            each(output.load_balancers, load_balancer),
            output.next_marker,
        ))),
        R::DescribeLoadBalancerAttributes(output) => Some(AwsAnswer::Attributes(attributes(
            output
                .attributes
                .into_iter()
                .flatten()
                .map(|a| (a.key, a.value)),
        ))),
        R::DescribeListenerAttributes(output) => Some(AwsAnswer::Attributes(attributes(
            output
                .attributes
                .into_iter()
                .flatten()
                .map(|a| (a.key, a.value)),
        ))),
        R::DescribeTargetGroupAttributes(output) => Some(AwsAnswer::Attributes(attributes(
            output
                .attributes
                .into_iter()
                .flatten()
                .map(|a| (a.key, a.value)),
        ))),
        R::DescribeListeners(output) => Some(AwsAnswer::Listeners(page(
            each(output.listeners, listener),
            output.next_marker,
        ))),
        R::DescribeListenerCertificates(output) => {
            let certificate = |entry: elbv2::Certificate| {
                Some(ListenerCertificate {
                    arn: CertificateArn::new(entry.certificate_arn?),
                    is_default: entry.is_default.unwrap_or_default(),
                })
            };
            Some(AwsAnswer::ListenerCertificates(page(
                each(output.certificates, certificate),
                output.next_marker,
            )))
        }
        R::DescribeRules(output) => {
            let rules = output.rules.into_iter().flatten();
            let proper = rules.filter(|rule| rule.is_default != Some(true));
            let rules = proper.map(rule).collect::<Result<Vec<_>, AwsError>>()?;
            Some(AwsAnswer::Rules(page(rules, output.next_marker)))
        }
        R::DescribeTargetGroups(output) => Some(AwsAnswer::TargetGroups(page(
            each(output.target_groups, target_group),
            output.next_marker,
        ))),
        R::DescribeTargetHealth(output) => Some(AwsAnswer::TargetHealth(target_health(output))),
        R::DescribeTags(output) => {
            let described = |d: elbv2::TagDescription| {
                let tags = d.tags.into_iter().flatten();
                let tags = tags.map(|tag| (tag.key, tag.value.unwrap_or_default()));
                Some((d.resource_arn?, tags.collect()))
            };
            Some(AwsAnswer::TagsByArn(page(
                each(output.tag_descriptions, described),
                None,
            )))
        }
        R::AddListenerCertificates(_)
        | R::AddTags(_)
        | R::DeleteListener(_)
        | R::DeleteLoadBalancer(_)
        | R::DeleteRule(_)
        | R::DeleteTargetGroup(_)
        | R::DeleteTrustStore(_)
        | R::DeregisterTargets(_)
        | R::ModifyListener(_)
        | R::ModifyListenerAttributes(_)
        | R::ModifyLoadBalancerAttributes(_)
        | R::ModifyRule(_)
        | R::ModifyTargetGroup(_)
        | R::ModifyTargetGroupAttributes(_)
        | R::ModifyTrustStore(_)
        | R::RegisterTargets(_)
        | R::RemoveListenerCertificates(_)
        | R::RemoveTags(_)
        | R::SetIpAddressType(_)
        | R::SetRulePriorities(_)
        | R::SetSecurityGroups(_)
        | R::SetSubnets(_) => Some(AwsAnswer::Done),
        _ => None,
    })
}

fn load_balancer(lb: elbv2::LoadBalancer) -> Option<LoadBalancerDescription> {
    let subnets = lb
        .availability_zones
        .into_iter()
        .flatten()
        .filter_map(|zone| zone.subnet_id);
    Some(LoadBalancerDescription {
        arn: LoadBalancerArn::new(lb.load_balancer_arn?),
        name: lb.load_balancer_name.unwrap_or_default(),
        dns_name: lb.dns_name.unwrap_or_default(),
        lb_type: match lb.r#type.as_deref() {
            Some("application") => Some(LoadBalancerType::Application),
            Some("network") => Some(LoadBalancerType::Network),
            _ => None,
        },
        scheme: match lb.scheme.as_deref() {
            Some("internal") => Some(Scheme::Internal),
            Some("internet-facing") => Some(Scheme::InternetFacing),
            _ => None,
        },
        state: match lb.state.and_then(|state| state.code).as_deref() {
            Some("active") => LoadBalancerState::Active,
            Some("active_impaired") => LoadBalancerState::ActiveImpaired,
            Some("failed") => LoadBalancerState::Failed,
            _ => LoadBalancerState::Provisioning,
        },
        vpc_id: lb.vpc_id.map(VpcId::new),
        ip_address_type: match lb.ip_address_type.as_deref() {
            Some("ipv4") => Some(IpAddressType::Ipv4),
            Some("dualstack") => Some(IpAddressType::Dualstack),
            Some("dualstack-without-public-ipv4") => {
                Some(IpAddressType::DualstackWithoutPublicIpv4)
            }
            _ => None,
        },
        subnets: subnets.map(SubnetId::new).collect(),
        security_groups: lb
            .security_groups
            .into_iter()
            .flatten()
            .map(SecurityGroupId::new)
            .collect(),
        enforce_security_group_inbound_rules_on_private_link_traffic: lb
            .enforce_security_group_inbound_rules_on_private_link_traffic,
    })
}

fn listener(listener: elbv2::Listener) -> Option<ListenerDescription> {
    Some(ListenerDescription {
        arn: ListenerArn::new(listener.listener_arn?),
        port: Port::new(listener.port?)?,
        protocol: listener.protocol.as_deref().and_then(protocol),
        default_actions: actions_from_wire(listener.default_actions),
        default_certificate: first(listener.certificates)
            .and_then(|certificate| certificate.certificate_arn)
            .map(CertificateArn::new),
        ssl_policy: listener.ssl_policy,
        alpn_policy: first(listener.alpn_policy),
        mutual_authentication: asked(listener.mutual_authentication),
    })
}

/// What a listener asks of its clients. A mode that elbow does not know is set anew.
fn asked(attributes: Option<elbv2::MutualAuthenticationAttributes>) -> MutualAuthentication {
    let attributes = attributes.unwrap_or_default();
    match (attributes.mode.as_deref(), attributes.trust_store_arn) {
        (Some("passthrough"), _) => MutualAuthentication::Passthrough,
        (Some("verify"), Some(arn)) => MutualAuthentication::Verify {
            trust_store: TrustStoreArn::new(arn).into(),
            ignore_client_certificate_expiry: attributes
                .ignore_client_certificate_expiry
                .unwrap_or_default(),
            advertise_trust_store_ca_names: attributes.advertise_trust_store_ca_names.as_deref()
                == Some("on"),
        },
        _ => MutualAuthentication::Off,
    }
}

fn rule(rule: elbv2::Rule) -> Result<ObservedRule, AwsError> {
    let arn = rule
        .rule_arn
        .ok_or_else(|| AwsError::unexpected("a rule without an ARN"))?;
    let priority = rule.priority.as_deref().and_then(|text| text.parse().ok());
    let conditions = rule
        .conditions
        .into_iter()
        .flatten()
        .map(condition_from_wire);
    let transforms = rule
        .transforms
        .into_iter()
        .flatten()
        .map(transform_from_wire);
    Ok(ObservedRule {
        priority: priority.ok_or_else(|| AwsError::unexpected(format!("the priority of {arn}")))?,
        arn: RuleArn::new(arn),
        conditions: conditions.collect::<Result<_, _>>()?,
        actions: actions_from_wire(rule.actions),
        transforms: transforms.collect::<Result<_, _>>()?,
        tags: Tags::new(),
    })
}

fn target_group(group: elbv2::TargetGroup) -> Option<TargetGroupDescription> {
    let health_check = health_check(&group);
    Some(TargetGroupDescription {
        arn: TargetGroupArn::new(group.target_group_arn?),
        name: group.target_group_name.unwrap_or_default(),
        target_type: match group.target_type.as_deref() {
            Some("instance") => Some(TargetType::Instance),
            Some("ip") => Some(TargetType::Ip),
            Some("alb") => Some(TargetType::Alb),
            _ => None,
        },
        protocol: group.protocol.as_deref().and_then(protocol),
        protocol_version: match group.protocol_version.as_deref() {
            Some("HTTP1") => Some(ProtocolVersion::Http1),
            Some("HTTP2") => Some(ProtocolVersion::Http2),
            Some("GRPC") => Some(ProtocolVersion::Grpc),
            _ => None,
        },
        port: group.port.and_then(Port::new),
        ip_address_type: match group.ip_address_type.as_deref() {
            Some("ipv6") => TargetFamily::Ipv6,
            _ => TargetFamily::Ipv4,
        },
        vpc_id: group.vpc_id.map(VpcId::new),
        health_check,
        load_balancers: group
            .load_balancer_arns
            .into_iter()
            .flatten()
            .map(LoadBalancerArn::new)
            .collect(),
    })
}

fn health_check(group: &elbv2::TargetGroup) -> Option<HealthCheck> {
    let matcher = group.matcher.as_ref().and_then(|matcher| {
        let grpc = matcher.grpc_code.clone().map(Matcher::GrpcCode);
        grpc.or_else(|| matcher.http_code.clone().map(Matcher::HttpCode))
    });
    Some(HealthCheck {
        port: group.health_check_port.clone()?,
        protocol: group.health_check_protocol.as_deref().and_then(protocol)?,
        path: group.health_check_path.clone(),
        matcher,
        interval_seconds: group.health_check_interval_seconds?,
        timeout_seconds: group.health_check_timeout_seconds?,
        healthy_threshold_count: group.healthy_threshold_count?,
        unhealthy_threshold_count: group.unhealthy_threshold_count?,
    })
}

fn target_health(output: elbv2::DescribeTargetHealthOutput) -> Vec<ObservedTarget> {
    let observed = |description: elbv2::TargetHealthDescription| {
        let target = description.target?;
        let health = description.target_health.unwrap_or_default();
        Some(ObservedTarget {
            target: Target {
                id: target.id,
                port: Port::new(target.port?)?,
                // Only `all` was ever sent; whatever else AWS knows is not part of the target.
                availability_zone: target.availability_zone.filter(|zone| zone == "all"),
                quic_server_id: target.quic_server_id,
            },
            state: target_state(health.state.as_deref()),
            reason: health.reason,
            description: health.description,
        })
    };
    let mut targets = each(output.target_health_descriptions, observed);
    targets.sort_by(|a, b| a.target.cmp(&b.target));
    targets
}

fn target_state(state: Option<&str>) -> TargetState {
    match state {
        Some("initial") => TargetState::Initial,
        Some("healthy") => TargetState::Healthy,
        Some("unhealthy") => TargetState::Unhealthy,
        Some("unhealthy.draining") => TargetState::UnhealthyDraining,
        Some("unused") => TargetState::Unused,
        Some("draining") => TargetState::Draining,
        _ => TargetState::Unavailable,
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    const ALL: [Protocol; 8] = [
        Protocol::Http,
        Protocol::Https,
        Protocol::Tcp,
        Protocol::Tls,
        Protocol::Udp,
        Protocol::TcpUdp,
        Protocol::Quic,
        Protocol::TcpQuic,
    ];
    ALL.into_iter().find(|protocol| protocol.as_str() == name)
}

// === EC2 ===

fn ec2_answer(response: ec2::Response) -> Option<AwsAnswer> {
    use ec2::Response as R;
    match response {
        R::CreateSecurityGroup(output) => output
            .group_id
            .map(|id| AwsAnswer::SecurityGroupCreated(SecurityGroupId::new(id))),
        R::DeleteSecurityGroup(_)
        | R::AuthorizeSecurityGroupIngress(_)
        | R::RevokeSecurityGroupIngress(_)
        | R::CreateTags(_)
        | R::DeleteTags(_) => Some(AwsAnswer::Done),
        R::DescribeVpcs(output) => Some(AwsAnswer::Vpc(first(output.vpcs).and_then(vpc))),
        R::DescribeSubnets(output) => Some(AwsAnswer::Subnets(page(
            each(output.subnets, subnet),
            output.next_token,
        ))),
        R::DescribeRouteTables(output) => {
            let tables = each(output.route_tables, |table| Some(route_table(table)));
            Some(AwsAnswer::RouteTables(page(tables, output.next_token)))
        }
        R::DescribeAvailabilityZones(output) => {
            let zone = |zone: ec2::AvailabilityZone| {
                let zone_type = match zone.zone_type.as_deref() {
                    Some("local-zone") => ZoneType::LocalZone,
                    Some("wavelength-zone") => ZoneType::WavelengthZone,
                    _ => ZoneType::AvailabilityZone,
                };
                Some((zone.zone_name?, zone_type))
            };
            let zones: BTreeMap<_, _> = each(output.availability_zones, zone).into_iter().collect();
            Some(AwsAnswer::AvailabilityZones(zones))
        }
        R::DescribeSecurityGroups(output) => Some(AwsAnswer::SecurityGroups(page(
            each(output.security_groups, security_group),
            output.next_token,
        ))),
        R::DescribeInstances(output) => Some(AwsAnswer::Instances(page(
            interfaces::instances(output.reservations),
            output.next_token,
        ))),
        R::DescribeNetworkInterfaces(output) => Some(AwsAnswer::NetworkInterfaces(page(
            each(output.network_interfaces, interfaces::interface),
            output.next_token,
        ))),
        _ => None,
    }
}

fn vpc(vpc: ec2::Vpc) -> Option<Vpc> {
    let mut ipv4_cidrs = each(vpc.cidr_block_association_set, |block| block.cidr_block);
    if ipv4_cidrs.is_empty() {
        ipv4_cidrs.extend(vpc.cidr_block);
    }
    Some(Vpc {
        id: VpcId::new(vpc.vpc_id?),
        ipv4_cidrs,
        ipv6_cidrs: each(vpc.ipv6_cidr_block_association_set, |block| {
            block.ipv6_cidr_block
        }),
    })
}

fn subnet(subnet: ec2::Subnet) -> Option<Subnet> {
    Some(Subnet {
        id: SubnetId::new(subnet.subnet_id?),
        availability_zone: subnet.availability_zone?,
        ipv4_cidr: subnet.cidr_block.unwrap_or_default(),
        ipv6_cidrs: each(subnet.ipv6_cidr_block_association_set, |block| {
            block.ipv6_cidr_block
        }),
        available_ip_address_count: subnet.available_ip_address_count.unwrap_or_default(),
        outpost_arn: subnet.outpost_arn,
        tags: ec2_tags(subnet.tags),
    })
}

fn route_table(table: ec2::RouteTable) -> RouteTable {
    let associations = table.associations.unwrap_or_default();
    let to_internet = |route: ec2::Route| {
        // The ids of internet gateways are told by their prefix: NAT and local routes have others.
        route
            .gateway_id
            .is_some_and(|gateway| gateway.starts_with("igw-"))
    };
    RouteTable {
        main: associations
            .iter()
            .any(|association| association.main == Some(true)),
        subnets: associations
            .into_iter()
            .filter_map(|a| a.subnet_id)
            .map(SubnetId::new)
            .collect(),
        reaches_internet_gateway: table.routes.into_iter().flatten().any(to_internet),
    }
}

fn security_group(group: ec2::SecurityGroup) -> Option<ObservedSecurityGroup> {
    let mut ingress: Vec<IngressRule> = group
        .ip_permissions
        .into_iter()
        .flatten()
        .flat_map(ingress_rules)
        .collect();
    ingress.sort();
    Some(ObservedSecurityGroup {
        id: SecurityGroupId::new(group.group_id?),
        name: group.group_name.unwrap_or_default(),
        vpc_id: VpcId::new(group.vpc_id?),
        ingress,
        tags: ec2_tags(group.tags),
    })
}

/// A permission with several sources is several rules.
fn ingress_rules(permission: ec2::IpPermission) -> Vec<IngressRule> {
    let ipv4 = each(permission.ip_ranges, |range| {
        Some((IngressSource::Ipv4(range.cidr_ip?), range.description))
    });
    let ipv6 = each(permission.ipv6_ranges, |range| {
        Some((IngressSource::Ipv6(range.cidr_ipv6?), range.description))
    });
    let lists = each(permission.prefix_list_ids, |list| {
        let id = PrefixListId::new(list.prefix_list_id?);
        Some((IngressSource::PrefixList(id), list.description))
    });
    let groups = each(permission.user_id_group_pairs, |pair| {
        let id = SecurityGroupId::new(pair.group_id?);
        Some((IngressSource::SecurityGroup(id.into()), pair.description))
    });
    let protocol = permission.ip_protocol.unwrap_or_default();
    let (from_port, to_port) = (permission.from_port, permission.to_port);
    ipv4.into_iter()
        .chain(ipv6)
        .chain(lists)
        .chain(groups)
        .map(|(source, description)| IngressRule {
            protocol: protocol.clone(),
            from_port,
            to_port,
            source,
            // An empty one is none.
            description: description.filter(|text| !text.is_empty()),
        })
        .collect()
}

fn ec2_tags(tags: Option<Vec<ec2::Tag>>) -> Tags {
    let tag = |tag: ec2::Tag| Some((tag.key?, tag.value.unwrap_or_default()));
    tags.into_iter().flatten().filter_map(tag).collect()
}

// === ACM and tagging ===

fn acm_answer(call: &AwsCall, response: acm::Response) -> Option<AwsAnswer> {
    // ACM has no filter for the origin.
    let only_imported = matches!(call, AwsCall::ListImportedCertificates { .. });
    match response {
        acm::Response::ListCertificates(output) => Some(AwsAnswer::CertificateArns(page(
            each(output.certificate_summary_list, |summary| {
                let is_meant = !only_imported || summary.r#type.as_deref() == Some("IMPORTED");
                summary
                    .certificate_arn
                    .filter(|_| is_meant)
                    .map(CertificateArn::new)
            }),
            output.next_token,
        ))),
        acm::Response::ImportCertificate(output) => output
            .certificate_arn
            .map(|arn| AwsAnswer::CertificateImported(CertificateArn::new(arn))),
        acm::Response::ListTagsForCertificate(output) => {
            let tags = output.tags.into_iter().flatten();
            Some(AwsAnswer::CertificateTags(
                tags.map(|tag| (tag.key, tag.value.unwrap_or_default()))
                    .collect(),
            ))
        }
        acm::Response::DeleteCertificate(_)
        | acm::Response::AddTagsToCertificate(_)
        | acm::Response::RemoveTagsFromCertificate(_) => Some(AwsAnswer::Done),
        acm::Response::DescribeCertificate(output) => {
            let detail = output.certificate?;
            let names = detail.subject_alternative_names.unwrap_or_default();
            Some(AwsAnswer::Certificate(Certificate {
                domains: names.into_iter().collect(),
                certificate_authority_arn: detail.certificate_authority_arn,
            }))
        }
        // No call asks for a certificate itself.
        acm::Response::GetCertificate(_) => None,
    }
}

fn tags_by_arn(output: tagging::GetResourcesOutput) -> AwsAnswer {
    let mapping = |mapping: tagging::ResourceTagMapping| {
        let tags = mapping.tags.into_iter().flatten();
        Some((
            mapping.resource_arn?,
            tags.map(|tag| (tag.key, tag.value)).collect(),
        ))
    };
    AwsAnswer::TagsByArn(page(
        each(output.resource_tag_mapping_list, mapping),
        output.pagination_token,
    ))
}

// === shared ===

/// A page; an empty marker, as the tagging API gives on its last page, is none.
fn page<T>(items: Vec<T>, marker: Option<String>) -> Page<T> {
    Page {
        items,
        next_marker: marker.filter(|marker| !marker.is_empty()),
    }
}

fn first<T>(list: Option<Vec<T>>) -> Option<T> {
    list.into_iter().flatten().next()
}

fn each<T, U>(list: Option<Vec<T>>, convert: impl FnMut(T) -> Option<U>) -> Vec<U> {
    list.into_iter().flatten().filter_map(convert).collect()
}

fn attributes(pairs: impl Iterator<Item = (Option<String>, Option<String>)>) -> Attributes {
    pairs
        .filter_map(|(key, value)| Some((key?, value.unwrap_or_default())))
        .collect()
}
