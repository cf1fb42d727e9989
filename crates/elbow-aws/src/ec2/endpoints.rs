//! Instances and network interfaces: which security groups guard what has an address. In: ids and addresses.
//! Out: answers. Always: what is not there is missing from the answer and no error; the primary interface of
//! an instance comes first.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, GroupIdentifier};
use elbow_model::aws_call::{Instance, NetworkInterface};
use elbow_model::{AwsAnswer, InstanceId, SecurityGroupId, VpcId};

use super::{filter, one_of};
use crate::convert::{Answer, each, page};

pub(crate) async fn instances(
    ec2: &Client,
    instances: &BTreeSet<InstanceId>,
    marker: Option<&str>,
) -> Answer {
    let output = ec2
        .describe_instances()
        .filters(one_of("instance-id", instances))
        .set_next_token(marker.map(str::to_owned))
        .send()
        .await?;
    let reservations = output.reservations.into_iter().flatten();
    let found = reservations.flat_map(|reservation| each(reservation.instances, instance));
    Ok(AwsAnswer::Instances(page(
        found.collect(),
        output.next_token,
    )))
}

pub(crate) async fn interfaces(
    ec2: &Client,
    vpc_id: &VpcId,
    addresses: &BTreeSet<IpAddr>,
    marker: Option<&str>,
) -> Answer {
    let name = if addresses.first().is_some_and(IpAddr::is_ipv6) {
        "ipv6-addresses.ipv6-address"
    } else {
        "addresses.private-ip-address"
    };
    let output = ec2
        .describe_network_interfaces()
        .filters(filter("vpc-id", vpc_id.as_str()))
        .filters(one_of(name, addresses))
        .set_next_token(marker.map(str::to_owned))
        .send()
        .await?;
    Ok(AwsAnswer::NetworkInterfaces(page(
        each(output.network_interfaces, interface),
        output.next_token,
    )))
}

// === conversions ===

fn instance(instance: types::Instance) -> Option<Instance> {
    let mut interfaces = instance.network_interfaces.unwrap_or_default();
    interfaces.sort_by_key(|interface| {
        let attachment = interface.attachment.as_ref();
        attachment.and_then(|attachment| attachment.device_index)
    });
    Some(Instance {
        id: InstanceId::new(instance.instance_id?),
        interfaces: each(Some(interfaces), of_instance),
    })
}

fn of_instance(interface: types::InstanceNetworkInterface) -> Option<NetworkInterface> {
    let ipv4 = each(interface.private_ip_addresses, |a| a.private_ip_address);
    let ipv6 = each(interface.ipv6_addresses, |a| a.ipv6_address);
    let ipv4_prefixes = each(interface.ipv4_prefixes, |p| p.ipv4_prefix);
    let ipv6_prefixes = each(interface.ipv6_prefixes, |p| p.ipv6_prefix);
    Some(NetworkInterface {
        id: interface.network_interface_id?,
        addresses: parsed(ipv4, ipv6),
        prefixes: parsed(ipv4_prefixes, ipv6_prefixes),
        security_groups: groups(interface.groups),
    })
}

fn interface(interface: types::NetworkInterface) -> Option<NetworkInterface> {
    let ipv4 = each(interface.private_ip_addresses, |a| a.private_ip_address);
    let ipv6 = each(interface.ipv6_addresses, |a| a.ipv6_address);
    let ipv4_prefixes = each(interface.ipv4_prefixes, |p| p.ipv4_prefix);
    let ipv6_prefixes = each(interface.ipv6_prefixes, |p| p.ipv6_prefix);
    Some(NetworkInterface {
        id: interface.network_interface_id?,
        addresses: parsed(ipv4, ipv6),
        prefixes: parsed(ipv4_prefixes, ipv6_prefixes),
        security_groups: groups(interface.groups),
    })
}

fn parsed<T: std::str::FromStr + Ord>(ipv4: Vec<String>, ipv6: Vec<String>) -> BTreeSet<T> {
    let texts = ipv4.into_iter().chain(ipv6);
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn groups(groups: Option<Vec<GroupIdentifier>>) -> BTreeSet<SecurityGroupId> {
    let ids = each(groups, |group| group.group_id);
    ids.into_iter().map(SecurityGroupId::new).collect()
}
