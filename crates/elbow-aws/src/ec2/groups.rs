//! Security groups and their ingress rules. In: the model's words. Out: answers. Always: a permission
//! is sent with one source, and each source of a permission that comes back is a rule of its own.

use std::collections::BTreeSet;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, Ipv6Range, PrefixListId as PrefixList, ResourceType, Tag,
    TagSpecification, UserIdGroupPair,
};
use elbow_model::observed::ObservedSecurityGroup;
use elbow_model::stack::{IngressRule, IngressSource};
use elbow_model::{AwsAnswer, AwsError, PrefixListId, Ref, SecurityGroupId, Tags, VpcId};

use super::{filter, from_tags, one_of, tag_filters, to_tags};
use crate::convert::{Answer, each, known, page};

pub(crate) async fn create(
    ec2: &Client,
    name: &str,
    description: &str,
    vpc_id: &VpcId,
    tags: &Tags,
) -> Answer {
    let tagged = TagSpecification::builder()
        .resource_type(ResourceType::SecurityGroup)
        .set_tags(Some(to_tags(tags)))
        .build();
    let output = ec2
        .create_security_group()
        .group_name(name)
        .description(description)
        .vpc_id(vpc_id.as_str())
        .tag_specifications(tagged)
        .send()
        .await?;
    let id = output
        .group_id
        .ok_or_else(|| AwsError::unexpected("the answer to CreateSecurityGroup"))?;
    Ok(AwsAnswer::SecurityGroupCreated(SecurityGroupId::new(id)))
}

pub(crate) async fn delete(ec2: &Client, group: &Ref<SecurityGroupId>) -> Answer {
    let call = ec2.delete_security_group().group_id(known(group)?);
    call.send().await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn authorize(
    ec2: &Client,
    group: &Ref<SecurityGroupId>,
    rules: &[IngressRule],
) -> Answer {
    ec2.authorize_security_group_ingress()
        .group_id(known(group)?)
        .set_ip_permissions(Some(permissions(rules)?))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn revoke(
    ec2: &Client,
    group: &Ref<SecurityGroupId>,
    rules: &[IngressRule],
) -> Answer {
    ec2.revoke_security_group_ingress()
        .group_id(known(group)?)
        .set_ip_permissions(Some(permissions(rules)?))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn tag(ec2: &Client, group: &Ref<SecurityGroupId>, tags: &Tags) -> Answer {
    ec2.create_tags()
        .resources(known(group)?)
        .set_tags(Some(to_tags(tags)))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn untag(
    ec2: &Client,
    group: &Ref<SecurityGroupId>,
    keys: &BTreeSet<String>,
) -> Answer {
    // A key alone: the tag goes whatever its value.
    let key = |key: &String| Tag::builder().key(key).build();
    ec2.delete_tags()
        .resources(known(group)?)
        .set_tags(Some(keys.iter().map(key).collect()))
        .send()
        .await?;
    Ok(AwsAnswer::Done)
}

pub(crate) async fn describe(
    ec2: &Client,
    vpc_id: &VpcId,
    tags: &Tags,
    marker: Option<&str>,
) -> Answer {
    let mut filters = vec![filter("vpc-id", vpc_id.as_str())];
    filters.extend(tag_filters(tags));
    list(ec2, filters, marker).await
}

pub(crate) async fn describe_of_nodes(
    ec2: &Client,
    vpc_id: &VpcId,
    cluster_name: &str,
    marker: Option<&str>,
) -> Answer {
    let tag = format!("tag:kubernetes.io/cluster/{cluster_name}");
    let filters = vec![
        filter("vpc-id", vpc_id.as_str()),
        one_of(tag, ["owned", "shared"]),
    ];
    list(ec2, filters, marker).await
}

pub(crate) async fn describe_that_let_in(
    ec2: &Client,
    vpc_id: &VpcId,
    group: &SecurityGroupId,
    marker: Option<&str>,
) -> Answer {
    let filters = vec![
        filter("vpc-id", vpc_id.as_str()),
        filter("ip-permission.group-id", group.as_str()),
    ];
    list(ec2, filters, marker).await
}

pub(crate) async fn describe_by_id(
    ec2: &Client,
    groups: &BTreeSet<SecurityGroupId>,
    marker: Option<&str>,
) -> Answer {
    list(ec2, vec![one_of("group-id", groups)], marker).await
}

async fn list(ec2: &Client, filters: Vec<Filter>, marker: Option<&str>) -> Answer {
    let output = ec2
        .describe_security_groups()
        .set_filters(Some(filters))
        .set_next_token(marker.map(str::to_owned))
        .send()
        .await?;
    Ok(AwsAnswer::SecurityGroups(page(
        each(output.security_groups, group),
        output.next_token,
    )))
}

// === conversions ===

fn group(group: aws_sdk_ec2::types::SecurityGroup) -> Option<ObservedSecurityGroup> {
    let permissions = group.ip_permissions.into_iter().flatten();
    let mut ingress: Vec<IngressRule> = permissions.flat_map(ingress_rules).collect();
    ingress.sort();
    Some(ObservedSecurityGroup {
        id: SecurityGroupId::new(group.group_id?),
        name: group.group_name.unwrap_or_default(),
        vpc_id: VpcId::new(group.vpc_id?),
        ingress,
        tags: from_tags(group.tags),
    })
}

fn permissions(rules: &[IngressRule]) -> Result<Vec<IpPermission>, AwsError> {
    rules.iter().map(permission).collect()
}

fn permission(rule: &IngressRule) -> Result<IpPermission, AwsError> {
    let permission = IpPermission::builder()
        .ip_protocol(&rule.protocol)
        .set_from_port(rule.from_port)
        .set_to_port(rule.to_port);
    let description = rule.description.clone();
    let permission = match &rule.source {
        IngressSource::Ipv4(cidr) => {
            let range = IpRange::builder().cidr_ip(cidr);
            permission.ip_ranges(range.set_description(description).build())
        }
        IngressSource::Ipv6(cidr) => {
            let range = Ipv6Range::builder().cidr_ipv6(cidr);
            permission.ipv6_ranges(range.set_description(description).build())
        }
        IngressSource::PrefixList(id) => {
            let list = PrefixList::builder().prefix_list_id(id.as_str());
            permission.prefix_list_ids(list.set_description(description).build())
        }
        IngressSource::SecurityGroup(id) => {
            let pair = UserIdGroupPair::builder().group_id(known(id)?);
            permission.user_id_group_pairs(pair.set_description(description).build())
        }
    };
    Ok(permission.build())
}

fn ingress_rules(permission: IpPermission) -> Vec<IngressRule> {
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
    let sources = ipv4.into_iter().chain(ipv6).chain(lists).chain(groups);
    sources
        .map(|(source, description)| IngressRule {
            protocol: protocol.clone(),
            from_port: permission.from_port,
            to_port: permission.to_port,
            source,
            // LBC writes an empty one where it means none.
            description: description.filter(|text| !text.is_empty()),
        })
        .collect()
}
