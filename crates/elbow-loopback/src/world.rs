//! The world that `elbow local` starts from: what manifests take for granted, made up.
//!
//! In: an empty account and what the manifests name ([`Wanted`]). Out: a VPC with three zones, tagged
//! subnets that are public and private, nodes, and whatever was named; and a list of all of it, so
//! that nothing is made up in silence. What always holds: the same wishes give the same ids, and an
//! id that a manifest names is taken as it is.

mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use elbow_emulator::Emulator;
use elbow_emulator::world::{
    AddressSpec, CertificateSpec, InstanceSpec, RouteTableSpec, SecurityGroupSpec, SubnetSpec,
    TargetGroupSpec, TrustStoreSpec, VpcSpec, WorldError,
};
use elbow_model::{SecurityGroupId, VpcId};
use ipnet::{Ipv4Net, Ipv6Net};

pub use wanted::{
    Reach, Wanted, WantedCertificate, WantedNode, WantedSubnet, WantedTargetGroup, WantedTrustStore,
};

/// The network that eksctl gives a cluster, so that addresses in examples look familiar.
const DEFAULT_CIDR: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16);

/// The VPC's IPv6 network: of the prefix that is nobody's (RFC 3849), a /56 as AWS gives one.
const IPV6_CIDR: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 56);
/// Prefix length of a subnet's IPv6 network; AWS allows no other but multiples of 4 around it.
const IPV6_SUBNET_PREFIX: u8 = 64;

/// Zones by their letter. EKS clusters span three as a rule; more are used only where a manifest
/// lists that many subnets for one load balancer.
const ZONE_LETTERS: [char; 6] = ['a', 'b', 'c', 'd', 'e', 'f'];
const ZONES: usize = 3;

/// Most entries of a made-up prefix list; they count against the rules of a security group.
const PREFIX_LIST_ENTRIES_MAX: usize = 10;

/// What was made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// The VPC.
    pub vpc_id: VpcId,
    /// Zones by name.
    pub zones: Vec<String>,
    /// The VPC's way to the internet.
    pub internet_gateway_id: String,
    /// Subnets, in the order in which they were made.
    pub subnets: Vec<MadeSubnet>,
    /// Security groups, by the id or tag `Name` that a manifest names.
    pub security_groups: BTreeMap<String, String>,
    /// Instance ids by node name.
    pub instances: BTreeMap<String, String>,
    /// The security group of nodes and pods, once there is one of them.
    pub node_security_group: Option<String>,
    /// In which subnet which instance has the addresses of pods.
    hosts: BTreeMap<String, String>,
    /// Everything, in the order in which it was made.
    pub made_up: Vec<MadeUp>,
}

/// A subnet that was made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeSubnet {
    /// Its id.
    pub id: String,
    /// Its zone.
    pub zone: String,
    /// Its network.
    pub cidr: Ipv4Net,
    /// Whether it is public.
    pub reach: Reach,
}

/// One thing that was made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeUp {
    /// What it is, `certificate` for example.
    pub kind: &'static str,
    /// Its id or ARN.
    pub id: String,
    /// What is worth knowing about it.
    pub note: String,
}

impl fmt::Display for MadeUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)?;
        if self.note.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.note)
        }
    }
}

/// Builds the world.
pub fn build(emulator: &mut Emulator, wanted: &Wanted) -> Result<World, WorldError> {
    let mut builder = Builder::start(emulator, wanted)?;
    builder.default_subnets()?;
    builder.wanted_subnets()?;
    builder.routes()?;
    builder.security_groups()?;
    builder.nodes()?;
    builder.pods()?;
    builder.addresses()?;
    builder.certificates()?;
    builder.target_groups()?;
    builder.trust_stores()?;
    Ok(builder.world)
}

/// Adds what a changed folder names in addition to a world that stands already. What exists stays;
/// [`World::made_up`] of the result is what was added.
pub fn extend(
    emulator: &mut Emulator,
    world: &World,
    wanted: &Wanted,
) -> Result<World, WorldError> {
    let mut builder = Builder::resume(emulator, world, wanted);
    builder.wanted_subnets()?;
    builder.routes()?;
    builder.security_groups()?;
    builder.nodes()?;
    builder.pods()?;
    builder.addresses()?;
    builder.certificates()?;
    builder.target_groups()?;
    builder.trust_stores()?;
    Ok(builder.world)
}

struct Builder<'a> {
    emulator: &'a mut Emulator,
    wanted: &'a Wanted,
    cidr: Ipv4Net,
    world: World,
    /// Public subnets that have no route table yet.
    unrouted: BTreeSet<String>,
}

impl<'a> Builder<'a> {
    fn start(emulator: &'a mut Emulator, wanted: &'a Wanted) -> Result<Self, WorldError> {
        let cidr = wanted.cidr.unwrap_or(DEFAULT_CIDR);
        let name = format!("{}/VPC", wanted.cluster_name);
        let vpc_id = emulator.add_vpc(VpcSpec {
            id: wanted.vpc_id.as_ref().map(ToString::to_string),
            tags: tags([("Name", name.as_str())]),
            ipv6_cidr: Some(IPV6_CIDR),
            ..VpcSpec::new(cidr)
        })?;
        let internet_gateway_id = emulator.add_internet_gateway(&vpc_id, None)?;
        let region = emulator.config().region.clone();
        let zones = ZONE_LETTERS
            .iter()
            .take(ZONES)
            .map(|letter| format!("{region}{letter}"));
        let world = World {
            zones: zones.collect(),
            internet_gateway_id,
            subnets: Vec::new(),
            vpc_id: VpcId::new(vpc_id.clone()),
            security_groups: BTreeMap::new(),
            instances: BTreeMap::new(),
            node_security_group: None,
            hosts: BTreeMap::new(),
            made_up: Vec::new(),
        };
        let mut builder = Self {
            emulator,
            wanted,
            cidr,
            world,
            unrouted: BTreeSet::new(),
        };
        builder.note("VPC", vpc_id.clone(), cidr.to_string());
        Ok(builder)
    }

    fn resume(emulator: &'a mut Emulator, world: &World, wanted: &'a Wanted) -> Self {
        let cidr = wanted.cidr.unwrap_or(DEFAULT_CIDR);
        let world = World {
            made_up: Vec::new(),
            ..world.clone()
        };
        Self {
            emulator,
            wanted,
            cidr,
            world,
            unrouted: BTreeSet::new(),
        }
    }

    fn note(&mut self, kind: &'static str, id: impl Into<String>, note: impl Into<String>) {
        self.world.made_up.push(MadeUp {
            kind,
            id: id.into(),
            note: note.into(),
        });
    }

    fn vpc(&self) -> String {
        self.world.vpc_id.to_string()
    }

    /// A public and a private subnet in each zone, tagged as eksctl tags them.
    fn default_subnets(&mut self) -> Result<(), WorldError> {
        let cluster_tag = format!("kubernetes.io/cluster/{}", self.wanted.cluster_name);
        let halves = [
            (Reach::Public, "Public", "kubernetes.io/role/elb"),
            (Reach::Private, "Private", "kubernetes.io/role/internal-elb"),
        ];
        let mut blocks = eighths(self.cidr).into_iter();
        for (reach, name, role) in halves {
            for zone in self.world.zones.clone() {
                let Some(cidr) = blocks.next() else { continue };
                let title = format!(
                    "{}/Subnet{name}{}",
                    self.wanted.cluster_name,
                    zone.to_uppercase()
                );
                let spec = SubnetSpec {
                    map_public_ip: reach == Reach::Public,
                    tags: tags([(role, "1"), (&cluster_tag, "shared"), ("Name", &title)]),
                    ..SubnetSpec::new(self.vpc(), zone, cidr)
                };
                self.subnet(spec, reach)?;
            }
        }
        Ok(())
    }

    /// Subnets that manifests name. They carry no role tag: discovery is not to find them.
    fn wanted_subnets(&mut self) -> Result<(), WorldError> {
        let mut blocks = spare_blocks(self.cidr).into_iter();
        for wanted in &self.wanted.subnets {
            let region = self.emulator.config().region.clone();
            let letter = ZONE_LETTERS[wanted.place % ZONE_LETTERS.len()];
            let id = wanted
                .identifier
                .clone()
                .filter(|id| id.starts_with("subnet-"));
            let mut tags = wanted.tags.clone();
            if let Some(name) = wanted.identifier.clone().filter(|_| id.is_none()) {
                tags.insert("Name".to_owned(), name);
            }
            loop {
                let Some(cidr) = blocks.next() else {
                    return Err(WorldError::Full(self.vpc()));
                };
                // Blocks that an earlier call of `extend` used are taken.
                if self.is_taken(cidr) {
                    continue;
                }
                let zone = format!("{region}{letter}");
                let spec = SubnetSpec {
                    id: id.clone(),
                    map_public_ip: wanted.reach == Reach::Public,
                    tags: tags.clone(),
                    ..SubnetSpec::new(self.vpc(), zone, cidr)
                };
                match self.subnet(spec, wanted.reach) {
                    Err(WorldError::Exists(_)) | Ok(()) => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn subnet(&mut self, spec: SubnetSpec, reach: Reach) -> Result<(), WorldError> {
        let (zone, cidr) = (spec.zone.clone(), spec.cidr);
        // A /56 holds 256 networks of 64 bits, one for each subnet so far and this one.
        let ipv6_cidr = IPV6_CIDR
            .subnets(IPV6_SUBNET_PREFIX)
            .ok()
            .and_then(|mut networks| networks.nth(self.world.subnets.len()));
        let id = self.emulator.add_subnet(SubnetSpec { ipv6_cidr, ..spec })?;
        let word = match reach {
            Reach::Public => "public",
            Reach::Private => "private",
        };
        self.note("subnet", id.clone(), format!("{word}, {zone}, {cidr}"));
        if reach == Reach::Public {
            self.unrouted.insert(id.clone());
        }
        self.world.subnets.push(MadeSubnet {
            id,
            zone,
            cidr,
            reach,
        });
        Ok(())
    }

    /// One route table for the new public subnets; private ones use the VPC's main table, which
    /// knows the VPC only.
    fn routes(&mut self) -> Result<(), WorldError> {
        if self.unrouted.is_empty() {
            return Ok(());
        }
        let spec = RouteTableSpec {
            subnets: std::mem::take(&mut self.unrouted),
            internet_gateway_id: Some(self.world.internet_gateway_id.clone()),
            ..RouteTableSpec::new(self.vpc())
        };
        self.emulator.add_route_table(spec)?;
        Ok(())
    }

    fn security_groups(&mut self) -> Result<(), WorldError> {
        for named in &self.wanted.security_groups {
            // A name, unlike an id, says nothing of what is there already.
            if self.world.security_groups.contains_key(named) {
                continue;
            }
            let id = named
                .starts_with("sg-")
                .then(|| SecurityGroupId::new(named));
            let spec = SecurityGroupSpec {
                id: id.as_ref().map(ToString::to_string),
                name: named.trim_start_matches("sg-").to_owned(),
                description: "Stand-in for a security group that a manifest names".to_owned(),
                vpc_id: self.vpc(),
                tags: tags([("Name", named.as_str())]),
            };
            if let Some(id) = unless_there(self.emulator.add_security_group(spec))? {
                self.note("security group", id.clone(), format!("named {named}"));
                self.world.security_groups.insert(named.clone(), id);
            }
        }
        Ok(())
    }

    /// The security group of nodes and pods, with the tag by which controllers know it, as on EKS.
    fn node_security_group(&mut self) -> Result<String, WorldError> {
        if let Some(id) = &self.world.node_security_group {
            return Ok(id.clone());
        }
        let cluster = &self.wanted.cluster_name;
        let tag = format!("kubernetes.io/cluster/{cluster}");
        let id = self.emulator.add_security_group(SecurityGroupSpec {
            id: None,
            name: format!("eks-cluster-sg-{cluster}"),
            description: "Stand-in for the security group of the nodes".to_owned(),
            vpc_id: self.vpc(),
            tags: tags([(tag.as_str(), "owned")]),
        })?;
        self.note("security group", id.clone(), "of the nodes");
        self.world.node_security_group = Some(id.clone());
        Ok(id)
    }

    fn nodes(&mut self) -> Result<(), WorldError> {
        for node in &self.wanted.nodes {
            if self.world.instances.contains_key(&node.name) {
                continue;
            }
            let Some(place) = self.place_of(node).cloned() else {
                continue;
            };
            let spec = InstanceSpec {
                id: node.instance_id.clone(),
                private_ip: node.address.filter(|address| place.cidr.contains(address)),
                security_groups: BTreeSet::from([self.node_security_group()?]),
                tags: tags([("Name", node.name.as_str())]),
                ..InstanceSpec::new(place.id.clone())
            };
            if let Some(id) = unless_there(self.emulator.add_instance(spec))? {
                self.note(
                    "instance",
                    id.clone(),
                    format!("node {}, {}", node.name, place.zone),
                );
                self.world.hosts.entry(place.id).or_insert(id.clone());
                self.world.instances.insert(node.name.clone(), id);
            }
        }
        Ok(())
    }

    /// Gives the addresses of pods to nodes of their subnets. One that lies in no subnet is not in the
    /// VPC, or at least not behind an interface of it.
    fn pods(&mut self) -> Result<(), WorldError> {
        for address in &self.wanted.pods {
            let holds = |subnet: &&MadeSubnet| subnet.cidr.contains(address);
            let Some(place) = self.world.subnets.iter().find(holds).cloned() else {
                continue;
            };
            let host = match self.world.hosts.get(&place.id) {
                Some(host) => host.clone(),
                None => self.host(&place)?,
            };
            match self.emulator.add_instance_addresses(&host, &[*address]) {
                Ok(()) | Err(WorldError::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A node for pods whose own node nobody has told of.
    fn host(&mut self, place: &MadeSubnet) -> Result<String, WorldError> {
        let spec = InstanceSpec {
            security_groups: BTreeSet::from([self.node_security_group()?]),
            ..InstanceSpec::new(place.id.clone())
        };
        let id = self.emulator.add_instance(spec)?;
        self.note("instance", id.clone(), format!("for pods, {}", place.zone));
        self.world.hosts.insert(place.id.clone(), id.clone());
        Ok(id)
    }

    /// Where a node stands: in the subnet of its address, or a private one of its zone.
    fn place_of(&self, node: &WantedNode) -> Option<&MadeSubnet> {
        let by_address = node.address.and_then(|address| {
            self.world
                .subnets
                .iter()
                .find(|s| s.cidr.contains(&address))
        });
        let private = || {
            self.world
                .subnets
                .iter()
                .filter(|s| s.reach == Reach::Private)
        };
        let by_zone = || private().find(|s| node.zone.as_ref().is_none_or(|zone| *zone == s.zone));
        by_address.or_else(by_zone).or_else(|| private().next())
    }

    fn addresses(&mut self) -> Result<(), WorldError> {
        for (number, id) in (1..).zip(&self.wanted.allocation_ids) {
            // TEST-NET-3 (RFC 5737): addresses that nobody has.
            let spec = AddressSpec {
                allocation_id: Some(id.clone()),
                public_ip: Ipv4Addr::new(203, 0, 113, number),
                tags: BTreeMap::new(),
            };
            if let Some(id) = unless_there(self.emulator.add_address(spec))? {
                self.note("Elastic IP", id, format!("203.0.113.{number}"));
            }
        }
        for id in &self.wanted.prefix_lists {
            let added = self
                .emulator
                .add_prefix_list(Some(id.clone()), PREFIX_LIST_ENTRIES_MAX);
            if let Some(id) = unless_there(added)? {
                self.note("prefix list", id, "");
            }
        }
        Ok(())
    }

    fn certificates(&mut self) -> Result<(), WorldError> {
        for wanted in &self.wanted.certificates {
            let spec = CertificateSpec {
                arn: wanted.arn.as_ref().map(ToString::to_string),
                pem: wanted.pem.clone(),
                ..CertificateSpec::new(wanted.domains.clone())
            };
            if let Some(arn) = unless_there(self.emulator.add_certificate(spec))? {
                self.note("certificate", arn, wanted.domains.join(", "));
            }
        }
        Ok(())
    }

    fn target_groups(&mut self) -> Result<(), WorldError> {
        for (name, wanted) in &self.wanted.target_groups {
            let spec = TargetGroupSpec {
                arn: wanted.arn.clone(),
                name: name.clone(),
                target_type: wanted.target_type.as_str().to_owned(),
                protocol: wanted.protocol.as_str().to_owned(),
                port: wanted.port.get(),
                vpc_id: self.vpc(),
                ip_address_type: wanted.ip_address_type.as_str().to_owned(),
            };
            let (target_type, protocol) = (wanted.target_type, wanted.protocol);
            if let Some(arn) = unless_there(self.emulator.add_target_group(spec))? {
                let note = format!("{}, {}", target_type.as_str(), protocol.as_str());
                self.note("target group", arn, note);
            }
        }
        Ok(())
    }

    fn trust_stores(&mut self) -> Result<(), WorldError> {
        for wanted in &self.wanted.trust_stores {
            let is_arn = wanted.identifier.starts_with("arn:");
            // arn:…:truststore/NAME/ID
            let name = match wanted.identifier.split('/').nth(1) {
                Some(name) if is_arn => name.to_owned(),
                _ => wanted.identifier.clone(),
            };
            let added = self.emulator.add_trust_store(TrustStoreSpec {
                arn: is_arn.then(|| wanted.identifier.clone()),
                name: name.clone(),
                bundle: wanted.bundle.clone(),
            });
            if let Some(arn) = unless_there(added)? {
                self.note("trust store", arn, name);
            }
        }
        for name in &self.wanted.buckets {
            let added = self.emulator.add_bucket(name).map(|()| name.clone());
            if unless_there(added)?.is_some() {
                self.note(
                    "bucket",
                    name.clone(),
                    "for the certificates of trust stores",
                );
            }
        }
        Ok(())
    }

    fn is_taken(&self, cidr: Ipv4Net) -> bool {
        self.world.subnets.iter().any(|subnet| subnet.cidr == cidr)
    }
}

/// What is there already was made before, or named twice: both are fine.
fn unless_there(added: Result<String, WorldError>) -> Result<Option<String>, WorldError> {
    match added {
        Ok(id) => Ok(Some(id)),
        Err(WorldError::Exists(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first six eighths of a network: one for each default subnet.
fn eighths(cidr: Ipv4Net) -> Vec<Ipv4Net> {
    let length = (cidr.prefix_len() + 3).min(32);
    cidr.subnets(length)
        .map(|blocks| blocks.take(2 * ZONES).collect())
        .unwrap_or_default()
}

/// Blocks of 256 addresses in the last quarter of a network, for subnets that manifests name.
fn spare_blocks(cidr: Ipv4Net) -> Vec<Ipv4Net> {
    let quarter = cidr
        .subnets((cidr.prefix_len() + 2).min(32))
        .ok()
        .and_then(Iterator::last);
    let blocks = quarter.and_then(|quarter| quarter.subnets(24).ok());
    blocks.into_iter().flatten().collect()
}

fn tags<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use elbow_emulator::acm::CertificatePem;
    use elbow_emulator::{Config, Timestamp};
    use elbow_model::{AwsAnswer, AwsCall, CertificateArn};

    use super::*;

    fn subnets(emulator: &mut Emulator, vpc_id: &VpcId) -> Vec<elbow_model::facts::Subnet> {
        let call = AwsCall::DescribeSubnets {
            vpc_id: vpc_id.clone(),
            marker: None,
        };
        match crate::answer(emulator, Timestamp::default(), &call) {
            Ok(AwsAnswer::Subnets(page)) => page.items,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_default_world_has_three_zones_and_subnets_that_discovery_finds() {
        let mut emulator = Emulator::new(Config::default());
        let wanted = Wanted {
            cluster_name: "demo".into(),
            ..Wanted::default()
        };
        let world = build(&mut emulator, &wanted).unwrap();
        assert_eq!(world.zones, ["us-east-1a", "us-east-1b", "us-east-1c"]);
        let all = subnets(&mut emulator, &world.vpc_id);
        for role in ["kubernetes.io/role/elb", "kubernetes.io/role/internal-elb"] {
            let zones: BTreeSet<&str> = all
                .iter()
                .filter(|subnet| subnet.tags.contains_key(role))
                .map(|subnet| subnet.availability_zone.as_str())
                .collect();
            assert_eq!(zones.len(), 3, "{role}");
        }
        let call = AwsCall::DescribeRouteTables {
            vpc_id: world.vpc_id,
            marker: None,
        };
        let Ok(AwsAnswer::RouteTables(tables)) =
            crate::answer(&mut emulator, Timestamp::default(), &call)
        else {
            panic!("no route tables")
        };
        let public: Vec<_> = tables
            .items
            .iter()
            .filter(|t| t.reaches_internet_gateway)
            .collect();
        assert_eq!(public.len(), 1);
        assert_eq!(public[0].subnets.len(), 3);
        assert!(
            tables
                .items
                .iter()
                .any(|table| table.main && !table.reaches_internet_gateway)
        );
    }

    #[test]
    fn what_is_named_is_there_and_asking_again_adds_only_what_is_new() {
        let mut emulator = Emulator::new(Config::default());
        let mut wanted = Wanted {
            cluster_name: "demo".into(),
            vpc_id: Some(VpcId::new("vpc-11112222333344445")),
            subnets: vec![WantedSubnet {
                identifier: Some("subnet-0aaaabbbbccccdddd".into()),
                place: 1,
                reach: Reach::Public,
                tags: BTreeMap::new(),
            }],
            security_groups: BTreeSet::from(["sg-0123".into(), "by-name".into()]),
            certificates: vec![WantedCertificate {
                arn: Some(CertificateArn::new(
                    "arn:aws:acm:eu-west-1:1:certificate/xxxx",
                )),
                domains: vec!["example.com".into()],
                pem: CertificatePem::default(),
            }],
            nodes: vec![WantedNode {
                name: "node".into(),
                instance_id: Some("i-0123456789abcdef0".into()),
                zone: None,
                address: Some(Ipv4Addr::new(192, 168, 100, 7)),
            }],
            ..Wanted::default()
        };
        let world = build(&mut emulator, &wanted).unwrap();
        assert_eq!(world.vpc_id.as_str(), "vpc-11112222333344445");
        assert_eq!(world.instances["node"], "i-0123456789abcdef0");
        let all = subnets(&mut emulator, &world.vpc_id);
        let named = all
            .iter()
            .find(|s| s.id.as_str() == "subnet-0aaaabbbbccccdddd")
            .unwrap();
        assert_eq!(named.availability_zone, "us-east-1b");
        assert!(
            !named.tags.contains_key("kubernetes.io/role/elb"),
            "discovery passes it over"
        );

        let world = extend(&mut emulator, &world, &wanted).unwrap();
        assert_eq!(world.made_up, Vec::new());
        wanted.security_groups.insert("sg-0456".into());
        let world = extend(&mut emulator, &world, &wanted).unwrap();
        assert_eq!(world.made_up.len(), 1);
        assert_eq!(
            world.made_up[0].to_string(),
            "security group sg-0456 (named sg-0456)"
        );
    }
}
