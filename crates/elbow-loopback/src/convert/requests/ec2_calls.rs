//! EC2: security groups, and what has to be known of the VPC.

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
