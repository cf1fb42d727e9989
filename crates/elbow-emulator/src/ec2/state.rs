//! What EC2 remembers: networks, instances, interfaces, security groups, addresses.
//!
//! In: world building (`crate::world`) and the operations of this module's siblings.
//! Out: read access, also for ELBv2, which needs subnets, groups, instances and addresses.
//! Always: a subnet's, group's and route table's VPC exists; each VPC has its default security
//! group and its main route table; rules lie inside their group.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Tags of a resource, by key.
pub(crate) type Tags = BTreeMap<String, String>;

/// All EC2 resources of one account and region, by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) vpcs: BTreeMap<String, Vpc>,
    pub(crate) subnets: BTreeMap<String, Subnet>,
    pub(crate) internet_gateways: BTreeMap<String, InternetGateway>,
    pub(crate) route_tables: BTreeMap<String, RouteTable>,
    pub(crate) instances: BTreeMap<String, Instance>,
    /// Interfaces of instances.
    pub(crate) interfaces: BTreeMap<String, Interface>,
    /// Interfaces of load balancers, by load balancer ARN and subnet id: brought in line with
    /// ELBv2's state before each EC2 operation (see `super::interfaces`).
    pub(crate) elb_interfaces: BTreeMap<(String, String), ElbInterface>,
    pub(crate) security_groups: BTreeMap<String, SecurityGroup>,
    /// Elastic IPs, by allocation id.
    pub(crate) addresses: BTreeMap<String, Address>,
    /// Managed prefix lists, by id, with the most entries each may have: that is what a rule
    /// that names one counts for in quotas.
    pub(crate) prefix_lists: BTreeMap<String, usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Vpc {
    pub(crate) id: String,
    pub(crate) cidr: Ipv4Net,
    pub(crate) ipv6_cidr: Option<Ipv6Net>,
    pub(crate) is_default: bool,
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) vpc_id: String,
    /// Name of its zone, such as `eu-west-1a`.
    pub(crate) zone: String,
    pub(crate) cidr: Ipv4Net,
    pub(crate) ipv6_cidr: Option<Ipv6Net>,
    /// Instances get a public address by default.
    pub(crate) map_public_ip: bool,
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone)]
pub(crate) struct InternetGateway {
    pub(crate) vpc_id: String,
}

#[derive(Debug, Clone)]
pub(crate) struct RouteTable {
    pub(crate) id: String,
    pub(crate) vpc_id: String,
    /// Routes for the subnets that no other table of the VPC claims.
    pub(crate) is_main: bool,
    /// Subnets that claim this table.
    pub(crate) subnets: BTreeSet<String>,
    /// Destination CIDR to internet gateway id. The local route is implied.
    pub(crate) gateway_routes: BTreeMap<String, String>,
    pub(crate) tags: Tags,
}

/// Where an instance stands in its life; the passing states between are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Takes traffic.
    Running,
    /// Can be started again.
    Stopped,
    /// Gone for good.
    Terminated,
}

impl InstanceState {
    /// EC2's name and code of the state.
    pub(crate) fn wire(self) -> (&'static str, i32) {
        match self {
            Self::Running => ("running", 16),
            Self::Terminated => ("terminated", 48),
            Self::Stopped => ("stopped", 80),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) state: InstanceState,
    pub(crate) vpc_id: String,
    pub(crate) subnet_id: String,
    pub(crate) private_ip: Ipv4Addr,
    pub(crate) ipv6: Option<Ipv6Addr>,
    pub(crate) private_dns_name: String,
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub(crate) id: String,
    pub(crate) vpc_id: String,
    pub(crate) subnet_id: String,
    pub(crate) description: String,
    /// The first one is the primary address.
    pub(crate) private_ips: Vec<Ipv4Addr>,
    /// Networks of 16 addresses that are delegated to it, for pods.
    pub(crate) prefixes: Vec<Ipv4Net>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) instance_id: Option<String>,
    pub(crate) tags: Tags,
}

/// What is remembered of a load balancer's interface; the rest is read from the load balancer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ElbInterface {
    pub(crate) private_ip: Ipv4Addr,
}

#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) allocation_id: String,
    pub(crate) public_ip: Ipv4Addr,
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone)]
pub(crate) struct SecurityGroup {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) vpc_id: String,
    /// By rule id.
    pub(crate) rules: BTreeMap<String, SecurityGroupRule>,
    pub(crate) tags: Tags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    Ingress,
    Egress,
}

/// One rule: one protocol and port range, one peer.
#[derive(Debug, Clone)]
pub(crate) struct SecurityGroupRule {
    pub(crate) id: String,
    pub(crate) key: RuleKey,
    pub(crate) description: Option<String>,
    pub(crate) tags: Tags,
}

/// What makes two rules the same; the description does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleKey {
    pub(crate) direction: Direction,
    /// `tcp`, `udp`, `icmp`, `icmpv6`, `-1` for all, or a protocol number.
    pub(crate) protocol: String,
    /// Ports, or ICMP type and code; absent where the protocol has none.
    pub(crate) from_port: Option<i32>,
    pub(crate) to_port: Option<i32>,
    pub(crate) peer: Peer,
}

/// Whom a rule lets through. Networks are in canonical form: no bits set below the prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Ipv4(Ipv4Net),
    Ipv6(Ipv6Net),
    PrefixList(String),
    /// A security group, in the same account.
    Group(String),
}

impl Subnet {
    /// Its addresses without those that AWS keeps: the first four and the last one.
    pub(crate) fn usable_addresses(&self) -> impl DoubleEndedIterator<Item = Ipv4Addr> + use<> {
        let (first, last) = (
            u32::from(self.cidr.network()),
            u32::from(self.cidr.broadcast()),
        );
        (first.saturating_add(4)..last).map(Ipv4Addr::from)
    }
}

impl State {
    /// The zone names that have a subnet, in order.
    pub(crate) fn zones(&self) -> BTreeSet<&str> {
        self.subnets
            .values()
            .map(|subnet| subnet.zone.as_str())
            .collect()
    }

    /// Whether an internet gateway is attached to the VPC.
    pub(crate) fn has_internet_gateway(&self, vpc_id: &str) -> bool {
        self.internet_gateways
            .values()
            .any(|gateway| gateway.vpc_id == vpc_id)
    }

    /// The security group named `default` of a VPC.
    pub(crate) fn default_security_group(&self, vpc_id: &str) -> Option<&SecurityGroup> {
        let mut groups = self.security_groups.values();
        groups.find(|group| group.vpc_id == vpc_id && group.name == "default")
    }

    /// The subnet of the VPC in which an address lies.
    pub(crate) fn subnet_of_address(&self, vpc_id: &str, address: IpAddr) -> Option<&Subnet> {
        let holds = |subnet: &&Subnet| match address {
            IpAddr::V4(v4) => subnet.cidr.contains(&v4),
            IpAddr::V6(v6) => subnet.ipv6_cidr.is_some_and(|cidr| cidr.contains(&v6)),
        };
        self.subnets
            .values()
            .filter(|subnet| subnet.vpc_id == vpc_id)
            .find(holds)
    }

    /// IPv4 addresses of the subnet that instances take. Those of load balancers are ELBv2's to
    /// know.
    pub(crate) fn addresses_in_use(&self, subnet_id: &str) -> BTreeSet<Ipv4Addr> {
        let interfaces = self
            .interfaces
            .values()
            .filter(|i| i.subnet_id == subnet_id);
        interfaces
            .flat_map(|interface| {
                // Of a network, also the addresses that would be its first and last.
                let delegated = interface.prefixes.iter().flat_map(|prefix| {
                    let (first, last) = (prefix.network(), prefix.broadcast());
                    (first.to_bits()..=last.to_bits()).map(Ipv4Addr::from_bits)
                });
                interface.private_ips.iter().copied().chain(delegated)
            })
            .collect()
    }

    /// IPv4 addresses of the subnet that instances and load balancers take.
    pub(super) fn all_addresses_in_use(&self, subnet_id: &str) -> BTreeSet<Ipv4Addr> {
        let balancers = self
            .elb_interfaces
            .iter()
            .filter(|((_, subnet), _)| subnet == subnet_id);
        let mut addresses = self.addresses_in_use(subnet_id);
        addresses.extend(balancers.map(|(_, interface)| interface.private_ip));
        addresses
    }

    /// How many IPv4 addresses of the subnet are free, load balancers aside.
    pub(crate) fn free_addresses(&self, subnet: &Subnet) -> usize {
        size(subnet).saturating_sub(self.addresses_in_use(&subnet.id).len())
    }

    /// How many IPv4 addresses of the subnet are free.
    pub(super) fn all_free_addresses(&self, subnet: &Subnet) -> usize {
        size(subnet).saturating_sub(self.all_addresses_in_use(&subnet.id).len())
    }
}

/// The addresses of a subnet without the first four and the last one, which AWS keeps.
fn size(subnet: &Subnet) -> usize {
    let all = 1_usize.checked_shl(u32::from(32 - subnet.cidr.prefix_len()));
    all.unwrap_or(usize::MAX).saturating_sub(5)
}
