//! EC2: security groups, and what has to be known of the VPC.

use std::net::IpAddr;

use elbow_emulator::Request;
use elbow_emulator::generated::ec2;
use elbow_model::stack::{IngressRule, IngressSource};
use elbow_model::{AwsCall, AwsError, Tags};

use super::known;

pub(super) fn request(call: &AwsCall) -> Result<Request, AwsError> {
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
                ip_permissions: Some(permissions(rules)?),
                ..Default::default()
            }
            .into()
        }
        AwsCall::RevokeSecurityGroupIngress { group, rules } => {
            ec2::RevokeSecurityGroupIngressInput {
                group_id: Some(known(group)?),
                ip_permissions: Some(permissions(rules)?),
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
        AwsCall::DescribeNodeSecurityGroups {
            vpc_id,
            cluster_name,
            marker,
        } => ec2::DescribeSecurityGroupsInput {
            filters: Some(vec![
                filter("vpc-id", vpc_id.as_str()),
                one_of(
                    &format!("tag:kubernetes.io/cluster/{cluster_name}"),
                    ["owned", "shared"],
                ),
            ]),
            next_token: marker.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeSecurityGroupsThatLetIn {
            vpc_id,
            group,
            marker,
        } => ec2::DescribeSecurityGroupsInput {
            filters: Some(vec![
                filter("vpc-id", vpc_id.as_str()),
                filter("ip-permission.group-id", group.as_str()),
            ]),
            next_token: marker.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeSecurityGroupsById { groups, marker } => {
            ec2::DescribeSecurityGroupsInput {
                filters: Some(vec![one_of("group-id", groups)]),
                next_token: marker.clone(),
                ..Default::default()
            }
            .into()
        }
        AwsCall::DescribeInstances { instances, marker } => ec2::DescribeInstancesInput {
            filters: Some(vec![one_of("instance-id", instances)]),
            next_token: marker.clone(),
            ..Default::default()
        }
        .into(),
        AwsCall::DescribeNetworkInterfaces {
            vpc_id,
            addresses,
            marker,
        } => {
            let is_ipv6 = addresses.first().is_some_and(IpAddr::is_ipv6);
            let name = if is_ipv6 {
                "ipv6-addresses.ipv6-address"
            } else {
                "addresses.private-ip-address"
            };
            ec2::DescribeNetworkInterfacesInput {
                filters: Some(vec![
                    filter("vpc-id", vpc_id.as_str()),
                    one_of(name, addresses),
                ]),
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
    one_of(name, [value])
}

fn one_of(name: &str, values: impl IntoIterator<Item = impl ToString>) -> ec2::Filter {
    let values = values.into_iter().map(|value| value.to_string());
    ec2::Filter {
        name: Some(name.to_owned()),
        values: Some(values.collect()),
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

fn permissions(rules: &[IngressRule]) -> Result<Vec<ec2::IpPermission>, AwsError> {
    rules.iter().map(permission).collect()
}

fn permission(rule: &IngressRule) -> Result<ec2::IpPermission, AwsError> {
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
                description: rule.description.clone(),
            };
            permission.ip_ranges = Some(vec![range]);
        }
        IngressSource::Ipv6(cidr) => {
            let range = ec2::Ipv6Range {
                cidr_ipv6: Some(cidr.clone()),
                description: rule.description.clone(),
            };
            permission.ipv6_ranges = Some(vec![range]);
        }
        IngressSource::PrefixList(id) => {
            let list = ec2::PrefixListId {
                prefix_list_id: Some(id.to_string()),
                description: rule.description.clone(),
            };
            permission.prefix_list_ids = Some(vec![list]);
        }
        IngressSource::SecurityGroup(id) => {
            let pair = ec2::UserIdGroupPair {
                group_id: Some(known(id)?),
                description: rule.description.clone(),
                ..Default::default()
            };
            permission.user_id_group_pairs = Some(vec![pair]);
        }
    }
    Ok(permission)
}
