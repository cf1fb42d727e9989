//! DescribeInstances and DescribeNetworkInterfaces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use super::describe_networks::zone_id;
use super::filters::{self, Filterable, Page};
use super::interfaces;
use super::state::{Instance, Interface, Tags};
use super::{ids, wire_tags};
use crate::generated::ec2 as wire;
use crate::{ApiError, Emulator, Timestamp};

impl Emulator {
    pub(super) fn describe_instances(
        &self,
        now: Timestamp,
        input: &wire::DescribeInstancesInput,
    ) -> Result<wire::DescribeInstancesOutput, ApiError> {
        let instances = ids::INSTANCE.select(&self.ec2.instances, input.instance_ids.as_deref())?;
        let views = instances.into_iter().map(|instance| InstanceView {
            instance,
            zone: self.zone_of(&instance.subnet_id),
            interfaces: self.interfaces_of(&instance.id).collect(),
        });
        let found = filters::apply(views, input.filters.as_deref())?;
        let has_ids = input
            .instance_ids
            .as_ref()
            .is_some_and(|ids| !ids.is_empty());
        let page = Page {
            exclusive_ids: has_ids.then_some("instancesSet"),
            ..Page::new(input.max_results, input.next_token.as_deref())
        };
        let (page, next_token) = page.cut(found, |view| &view.instance.id)?;
        // Each instance was launched by itself, and so has a reservation of its own.
        let reservations = page.into_iter().map(|view| wire::Reservation {
            owner_id: Some(self.config.account_id.clone()),
            reservation_id: Some(view.instance.id.replacen("i-", "r-", 1)),
            instances: Some(vec![self.wire_instance(now, &view)]),
            groups: Some(Vec::new()),
            requester_id: None,
        });
        Ok(wire::DescribeInstancesOutput {
            reservations: Some(reservations.collect()),
            next_token,
        })
    }

    fn interfaces_of(&self, instance_id: &str) -> impl Iterator<Item = &Interface> {
        let interfaces = self.ec2.interfaces.values();
        interfaces.filter(move |interface| interface.instance_id.as_deref() == Some(instance_id))
    }

    fn zone_of(&self, subnet_id: &str) -> String {
        self.ec2
            .subnets
            .get(subnet_id)
            .map_or_else(String::new, |subnet| subnet.zone.clone())
    }

    fn group_identifiers(&self, groups: &BTreeSet<String>) -> Vec<wire::GroupIdentifier> {
        let name = |id: &String| {
            self.ec2
                .security_groups
                .get(id)
                .map(|group| group.name.clone())
        };
        groups
            .iter()
            .map(|id| wire::GroupIdentifier {
                group_id: Some(id.clone()),
                group_name: name(id),
            })
            .collect()
    }

    fn wire_instance(&self, now: Timestamp, view: &InstanceView<'_>) -> wire::Instance {
        let instance = view.instance;
        let (state, code) = instance.state.wire();
        let groups = view.groups();
        let interfaces = view.interfaces.iter().map(|interface| {
            let addresses = interface
                .private_ips
                .iter()
                .enumerate()
                .map(|(index, address)| wire::InstancePrivateIpAddress {
                    primary: Some(index == 0),
                    private_ip_address: Some(address.to_string()),
                    ..Default::default()
                });
            let attachment = wire::InstanceNetworkInterfaceAttachment {
                attachment_id: Some(interface.id.replacen("eni-", "eni-attach-", 1)),
                delete_on_termination: Some(true),
                // Instances have one interface here, which is the primary one.
                device_index: Some(0),
                network_card_index: Some(0),
                status: Some("attached".into()),
                ..Default::default()
            };
            wire::InstanceNetworkInterface {
                attachment: Some(attachment),
                description: Some(interface.description.clone()),
                groups: Some(self.group_identifiers(&interface.groups)),
                interface_type: Some("interface".into()),
                ipv6_addresses: Some(
                    interface
                        .ipv6
                        .iter()
                        .map(|address| wire::InstanceIpv6Address {
                            ipv6_address: Some(address.to_string()),
                            ..Default::default()
                        })
                        .collect(),
                ),
                ipv4_prefixes: (!interface.prefixes.is_empty()).then(|| {
                    let prefix = |prefix: &Ipv4Net| wire::InstanceIpv4Prefix {
                        ipv4_prefix: Some(prefix.to_string()),
                    };
                    interface.prefixes.iter().map(prefix).collect()
                }),
                mac_address: interface.private_ips.first().copied().map(mac_address),
                network_interface_id: Some(interface.id.clone()),
                owner_id: Some(self.config.account_id.clone()),
                private_ip_address: interface.private_ips.first().map(ToString::to_string),
                private_ip_addresses: Some(addresses.collect()),
                source_dest_check: Some(true),
                status: Some("in-use".into()),
                subnet_id: Some(interface.subnet_id.clone()),
                vpc_id: Some(interface.vpc_id.clone()),
                ..Default::default()
            }
        });
        wire::Instance {
            ami_launch_index: Some(0),
            architecture: Some("x86_64".into()),
            image_id: Some("ami-00000000000000000".into()),
            instance_id: Some(instance.id.clone()),
            instance_type: Some("m6i.large".into()),
            ipv6_address: instance.ipv6.map(|address| address.to_string()),
            // The world was there before the first request; no launch is remembered.
            launch_time: Some(Timestamp::from_millis(0).min(now)),
            network_interfaces: Some(interfaces.collect()),
            placement: Some(wire::Placement {
                availability_zone: Some(view.zone.clone()),
                availability_zone_id: Some(zone_id(&self.config.region, &view.zone)),
                tenancy: Some("default".into()),
                ..Default::default()
            }),
            private_dns_name: Some(instance.private_dns_name.clone()),
            private_ip_address: Some(instance.private_ip.to_string()),
            security_groups: Some(self.group_identifiers(&groups)),
            source_dest_check: Some(true),
            state: Some(wire::InstanceState {
                code: Some(code),
                name: Some(state.into()),
            }),
            subnet_id: Some(instance.subnet_id.clone()),
            tags: wire_tags(&instance.tags),
            vpc_id: Some(instance.vpc_id.clone()),
            ..Default::default()
        }
    }

    pub(super) fn describe_network_interfaces(
        &self,
        input: &wire::DescribeNetworkInterfacesInput,
    ) -> Result<wire::DescribeNetworkInterfacesOutput, ApiError> {
        let views = self.interface_views();
        let wanted = input.network_interface_ids.as_deref();
        let selected = ids::INTERFACE.select(&views, wanted)?;
        let found = filters::apply(selected.into_iter(), input.filters.as_deref())?;
        let page = Page {
            exclusive_ids: wanted
                .is_some_and(|ids| !ids.is_empty())
                .then_some("networkInterfaceIdsSet"),
            ..Page::new(input.max_results, input.next_token.as_deref())
        };
        let (page, next_token) = page.cut(found, |view| &view.id)?;
        let interfaces = page
            .into_iter()
            .map(|view| self.wire_interface(view))
            .collect();
        Ok(wire::DescribeNetworkInterfacesOutput {
            network_interfaces: Some(interfaces),
            next_token,
        })
    }

    /// Interfaces of instances and load balancers alike, by id.
    fn interface_views(&self) -> BTreeMap<String, InterfaceView> {
        let mut views = BTreeMap::new();
        for interface in self.ec2.interfaces.values() {
            let view = InterfaceView {
                id: interface.id.clone(),
                kind: "interface",
                description: interface.description.clone(),
                vpc_id: interface.vpc_id.clone(),
                subnet_id: interface.subnet_id.clone(),
                zone: self.zone_of(&interface.subnet_id),
                private_ips: interface.private_ips.clone(),
                prefixes: interface.prefixes.clone(),
                ipv6: interface.ipv6,
                groups: interface.groups.clone(),
                instance_id: interface.instance_id.clone(),
                by_elb: false,
                allocation_id: None,
                public_ip: None,
                tags: interface.tags.clone(),
            };
            views.insert(view.id.clone(), view);
        }
        for ((arn, subnet_id), interface) in &self.ec2.elb_interfaces {
            let Some(subnet) = self.ec2.subnets.get(subnet_id) else {
                continue;
            };
            let (kind, description) = interfaces::describe(arn);
            let allocation = self.elb_allocation(arn, subnet_id);
            let address = allocation.and_then(|id| self.ec2.addresses.get(id));
            let view = InterfaceView {
                id: interfaces::elb_interface_id(arn, subnet_id),
                kind,
                description,
                vpc_id: subnet.vpc_id.clone(),
                subnet_id: subnet_id.clone(),
                zone: subnet.zone.clone(),
                private_ips: vec![interface.private_ip],
                prefixes: Vec::new(),
                ipv6: None,
                groups: self.elb_interface_groups(arn),
                instance_id: None,
                by_elb: true,
                allocation_id: allocation.map(str::to_owned),
                public_ip: address.map(|address| address.public_ip),
                tags: Tags::new(),
            };
            views.insert(view.id.clone(), view);
        }
        views
    }

    fn wire_interface(&self, view: &InterfaceView) -> wire::NetworkInterface {
        let association = view.public_ip.map(|ip| wire::NetworkInterfaceAssociation {
            allocation_id: view.allocation_id.clone(),
            ip_owner_id: Some(self.config.account_id.clone()),
            public_ip: Some(ip.to_string()),
            ..Default::default()
        });
        let addresses = view.private_ips.iter().enumerate().map(|(index, address)| {
            wire::NetworkInterfacePrivateIpAddress {
                association: if index == 0 {
                    association.clone()
                } else {
                    None
                },
                primary: Some(index == 0),
                private_ip_address: Some(address.to_string()),
                ..Default::default()
            }
        });
        let owner = if view.by_elb {
            "amazon-aws"
        } else {
            self.config.account_id.as_str()
        };
        let attachment = wire::NetworkInterfaceAttachment {
            attachment_id: Some(view.id.replacen("eni-", "eni-attach-", 1)),
            delete_on_termination: Some(!view.by_elb),
            device_index: Some(i32::from(view.by_elb)),
            instance_id: view.instance_id.clone(),
            instance_owner_id: Some(owner.into()),
            status: Some("attached".into()),
            ..Default::default()
        };
        let ipv6 = view.ipv6.map(|address| wire::NetworkInterfaceIpv6Address {
            ipv6_address: Some(address.to_string()),
            ..Default::default()
        });
        wire::NetworkInterface {
            association: association.clone(),
            attachment: Some(attachment),
            availability_zone: Some(view.zone.clone()),
            availability_zone_id: Some(zone_id(&self.config.region, &view.zone)),
            description: Some(view.description.clone()),
            groups: Some(self.group_identifiers(&view.groups)),
            interface_type: Some(view.kind.into()),
            ipv4_prefixes: (!view.prefixes.is_empty()).then(|| {
                let prefix = |prefix: &Ipv4Net| wire::Ipv4PrefixSpecification {
                    ipv4_prefix: Some(prefix.to_string()),
                };
                view.prefixes.iter().map(prefix).collect()
            }),
            ipv6_addresses: Some(ipv6.into_iter().collect()),
            mac_address: view.private_ips.first().copied().map(mac_address),
            network_interface_id: Some(view.id.clone()),
            owner_id: Some(self.config.account_id.clone()),
            private_ip_address: view.private_ips.first().map(ToString::to_string),
            private_ip_addresses: Some(addresses.collect()),
            requester_id: view.by_elb.then(|| "amazon-elb".into()),
            requester_managed: Some(view.by_elb),
            source_dest_check: Some(!view.by_elb),
            status: Some("in-use".into()),
            subnet_id: Some(view.subnet_id.clone()),
            tag_set: Some(wire_tags(&view.tags).unwrap_or_default()),
            vpc_id: Some(view.vpc_id.clone()),
            ..Default::default()
        }
    }
}

/// A locally administered hardware address made of the IPv4 address.
fn mac_address(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

struct InstanceView<'a> {
    instance: &'a Instance,
    zone: String,
    interfaces: Vec<&'a Interface>,
}

impl InstanceView<'_> {
    fn groups(&self) -> BTreeSet<String> {
        self.interfaces
            .iter()
            .flat_map(|interface| interface.groups.iter().cloned())
            .collect()
    }
}

impl Filterable for InstanceView<'_> {
    const FILTERS: &'static [&'static str] = &[
        "availability-zone",
        "instance-id",
        "instance-state-code",
        "instance-state-name",
        "instance.group-id",
        "network-interface.network-interface-id",
        "network-interface.private-ip-address",
        "network-interface.addresses.private-ip-address",
        "private-dns-name",
        "private-ip-address",
        "subnet-id",
        "vpc-id",
    ];

    fn values(&self, filter: &str) -> Vec<String> {
        let (instance, (state, code)) = (self.instance, self.instance.state.wire());
        match filter {
            "availability-zone" => vec![self.zone.clone()],
            "instance-id" => vec![instance.id.clone()],
            "instance-state-code" => vec![code.to_string()],
            "instance-state-name" => vec![state.into()],
            "instance.group-id" => self.groups().into_iter().collect(),
            "network-interface.network-interface-id" => self
                .interfaces
                .iter()
                .map(|interface| interface.id.clone())
                .collect(),
            "network-interface.private-ip-address"
            | "network-interface.addresses.private-ip-address" => {
                let addresses = self.interfaces.iter().flat_map(|i| &i.private_ips);
                addresses.map(ToString::to_string).collect()
            }
            "private-dns-name" => vec![instance.private_dns_name.clone()],
            "private-ip-address" => vec![instance.private_ip.to_string()],
            "subnet-id" => vec![instance.subnet_id.clone()],
            "vpc-id" => vec![instance.vpc_id.clone()],
            _ => Vec::new(),
        }
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.instance.tags
    }
}

struct InterfaceView {
    id: String,
    kind: &'static str,
    description: String,
    vpc_id: String,
    subnet_id: String,
    zone: String,
    private_ips: Vec<Ipv4Addr>,
    prefixes: Vec<Ipv4Net>,
    ipv6: Option<Ipv6Addr>,
    groups: BTreeSet<String>,
    instance_id: Option<String>,
    /// Whether Elastic Load Balancing made it.
    by_elb: bool,
    allocation_id: Option<String>,
    public_ip: Option<Ipv4Addr>,
    tags: Tags,
}

impl Filterable for &InterfaceView {
    const FILTERS: &'static [&'static str] = &[
        "addresses.private-ip-address",
        "association.allocation-id",
        "attachment.instance-id",
        "attachment.instance-owner-id",
        "availability-zone",
        "description",
        "group-id",
        "interface-type",
        "ipv6-addresses.ipv6-address",
        "network-interface-id",
        "private-ip-address",
        "requester-id",
        "requester-managed",
        "status",
        "subnet-id",
        "vpc-id",
    ];

    fn values(&self, filter: &str) -> Vec<String> {
        match filter {
            "addresses.private-ip-address" => {
                self.private_ips.iter().map(ToString::to_string).collect()
            }
            "association.allocation-id" => self.allocation_id.iter().cloned().collect(),
            "attachment.instance-id" => self.instance_id.iter().cloned().collect(),
            "attachment.instance-owner-id" if self.by_elb => vec!["amazon-aws".into()],
            "availability-zone" => vec![self.zone.clone()],
            "description" => vec![self.description.clone()],
            "group-id" => self.groups.iter().cloned().collect(),
            "interface-type" => vec![self.kind.into()],
            "ipv6-addresses.ipv6-address" => self.ipv6.iter().map(ToString::to_string).collect(),
            "network-interface-id" => vec![self.id.clone()],
            "private-ip-address" => self
                .private_ips
                .first()
                .iter()
                .map(ToString::to_string)
                .collect(),
            "requester-id" if self.by_elb => vec!["amazon-elb".into()],
            "requester-managed" => vec![self.by_elb.to_string()],
            "status" => vec!["in-use".into()],
            "subnet-id" => vec![self.subnet_id.clone()],
            "vpc-id" => vec![self.vpc_id.clone()],
            _ => Vec::new(),
        }
    }

    fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }
}
