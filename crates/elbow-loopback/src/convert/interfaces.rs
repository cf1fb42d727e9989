//! Instances and network interfaces, from the emulator's words to the model's.

use std::collections::BTreeSet;

use elbow_emulator::generated::ec2;
use elbow_model::aws_call::{Instance, NetworkInterface};
use elbow_model::{InstanceId, SecurityGroupId};

/// The instances of reservations; the primary interface of each comes first.
pub(super) fn instances(reservations: Option<Vec<ec2::Reservation>>) -> Vec<Instance> {
    let reservations = reservations.into_iter().flatten();
    let instances = reservations.flat_map(|reservation| reservation.instances.unwrap_or_default());
    instances.filter_map(instance).collect()
}

fn instance(instance: ec2::Instance) -> Option<Instance> {
    let mut interfaces = instance.network_interfaces.unwrap_or_default();
    interfaces.sort_by_key(|interface| {
        let attachment = interface.attachment.as_ref();
        attachment.and_then(|attachment| attachment.device_index)
    });
    Some(Instance {
        id: InstanceId::new(instance.instance_id?),
        interfaces: interfaces.into_iter().filter_map(of_instance).collect(),
    })
}

fn of_instance(interface: ec2::InstanceNetworkInterface) -> Option<NetworkInterface> {
    let ipv4 = texts(interface.private_ip_addresses, |a| a.private_ip_address);
    let ipv6 = texts(interface.ipv6_addresses, |a| a.ipv6_address);
    let ipv4_prefixes = texts(interface.ipv4_prefixes, |p| p.ipv4_prefix);
    let ipv6_prefixes = texts(interface.ipv6_prefixes, |p| p.ipv6_prefix);
    Some(NetworkInterface {
        id: interface.network_interface_id?,
        addresses: parsed(ipv4, ipv6),
        prefixes: parsed(ipv4_prefixes, ipv6_prefixes),
        security_groups: groups(interface.groups),
    })
}

/// A network interface as DescribeNetworkInterfaces shows it.
pub(super) fn interface(interface: ec2::NetworkInterface) -> Option<NetworkInterface> {
    let ipv4 = texts(interface.private_ip_addresses, |a| a.private_ip_address);
    let ipv6 = texts(interface.ipv6_addresses, |a| a.ipv6_address);
    let ipv4_prefixes = texts(interface.ipv4_prefixes, |p| p.ipv4_prefix);
    let ipv6_prefixes = texts(interface.ipv6_prefixes, |p| p.ipv6_prefix);
    Some(NetworkInterface {
        id: interface.network_interface_id?,
        addresses: parsed(ipv4, ipv6),
        prefixes: parsed(ipv4_prefixes, ipv6_prefixes),
        security_groups: groups(interface.groups),
    })
}

fn texts<T>(list: Option<Vec<T>>, text: impl FnMut(T) -> Option<String>) -> Vec<String> {
    list.into_iter().flatten().filter_map(text).collect()
}

fn parsed<T: std::str::FromStr + Ord>(ipv4: Vec<String>, ipv6: Vec<String>) -> BTreeSet<T> {
    let texts = ipv4.into_iter().chain(ipv6);
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn groups(groups: Option<Vec<ec2::GroupIdentifier>>) -> BTreeSet<SecurityGroupId> {
    let groups = groups.into_iter().flatten();
    let ids = groups.filter_map(|group| group.group_id);
    ids.map(SecurityGroupId::new).collect()
}
