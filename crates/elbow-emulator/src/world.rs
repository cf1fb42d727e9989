//! Building a world: what exists in the account before the first request, and what no modelled
//! operation can create (VPCs, subnets, instances, ACM's own certificates).
//!
//! In: plain specifications; an id that is left out is made up. Out: the id of what was added.
//! Always: what a specification refers to exists already, and nothing is added twice.

mod interfaces;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::acm::{CertificatePem, CertificateStatus};
use crate::ec2::state::{
    Address, Direction, Instance, InstanceState, Interface, InternetGateway, Peer, RouteTable,
    RuleKey, SecurityGroup, SecurityGroupRule, Subnet, Vpc,
};
use crate::generated::elbv2::CreateTargetGroupInput;
use crate::{Emulator, Timestamp, elbv2};

pub use interfaces::InterfaceSpec;

/// A trust store that exists, as opposed to one that CreateTrustStore makes.
#[derive(Clone, Debug)]
pub struct TrustStoreSpec {
    /// Made up of the name when left out.
    pub arn: Option<String>,
    /// Its name; that in the ARN if there is one.
    pub name: String,
    /// The certificates of the authorities, as PEM.
    pub bundle: String,
}

/// Why something cannot be added to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorldError {
    /// The id or ARN is taken.
    Exists(String),
    /// What the specification refers to does not exist.
    Unknown(String),
    /// A network or address does not lie in the one it has to lie in.
    Outside {
        /// The network or address.
        inner: String,
        /// Where it has to lie.
        outer: String,
    },
    /// A subnet has no address left.
    Full(String),
    /// The PEM text of a certificate cannot be read.
    Certificate(String),
    /// CreateTargetGroup would refuse the target group.
    TargetGroup(String),
    /// S3 takes no bucket of this name.
    BucketName(String),
}

impl fmt::Display for WorldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(id) => write!(f, "{id} exists already"),
            Self::Unknown(id) => write!(f, "{id} does not exist"),
            Self::Outside { inner, outer } => write!(f, "{inner} does not lie in {outer}"),
            Self::Full(id) => write!(f, "{id} has no address left"),
            Self::Certificate(reason) => write!(f, "the certificate cannot be used: {reason}"),
            Self::TargetGroup(reason) => write!(f, "there can be no such target group: {reason}"),
            Self::BucketName(name) => write!(f, "`{name}` is no name of a bucket"),
        }
    }
}

impl std::error::Error for WorldError {}

/// A VPC. It comes with its default security group and its main route table.
#[derive(Clone, Debug)]
pub struct VpcSpec {
    /// `vpc-…`
    pub id: Option<String>,
    /// Its IPv4 network.
    pub cidr: Ipv4Net,
    /// Its IPv6 network, if it has one.
    pub ipv6_cidr: Option<Ipv6Net>,
    /// Whether it is the region's default VPC.
    pub is_default: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A subnet.
#[derive(Clone, Debug)]
pub struct SubnetSpec {
    /// `subnet-…`
    pub id: Option<String>,
    /// The VPC that it is a part of.
    pub vpc_id: String,
    /// Name of its availability zone, such as `eu-west-1a`.
    pub zone: String,
    /// Its IPv4 network, inside of the VPC's.
    pub cidr: Ipv4Net,
    /// Its IPv6 network.
    pub ipv6_cidr: Option<Ipv6Net>,
    /// Instances get a public address by default.
    pub map_public_ip: bool,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A route table besides the VPC's main one.
#[derive(Clone, Debug)]
pub struct RouteTableSpec {
    /// `rtb-…`
    pub id: Option<String>,
    /// The VPC that it belongs to.
    pub vpc_id: String,
    /// The subnets that use it.
    pub subnets: BTreeSet<String>,
    /// The internet gateway that its default route leads to: the subnets are then public.
    pub internet_gateway_id: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A running instance with one network interface.
#[derive(Clone, Debug)]
pub struct InstanceSpec {
    /// `i-…`
    pub id: Option<String>,
    /// Where its interface is.
    pub subnet_id: String,
    /// Its address; the lowest free one of the subnet when left out.
    pub private_ip: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Security groups of the interface; the VPC's default one when empty.
    pub security_groups: BTreeSet<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A security group with AWS's default rule: all traffic out.
#[derive(Clone, Debug)]
pub struct SecurityGroupSpec {
    /// `sg-…`
    pub id: Option<String>,
    /// Unique in the VPC.
    pub name: String,
    /// Text for people.
    pub description: String,
    /// The VPC that it belongs to.
    pub vpc_id: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// An Elastic IP.
#[derive(Clone, Debug)]
pub struct AddressSpec {
    /// `eipalloc-…`
    pub allocation_id: Option<String>,
    /// The public address.
    pub public_ip: Ipv4Addr,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A certificate that ACM issued, as opposed to one that ImportCertificate brings.
#[derive(Clone, Debug)]
pub struct CertificateSpec {
    /// Made up when left out.
    pub arn: Option<String>,
    /// Its names, the first of which is the domain name; at least one.
    pub domains: Vec<String>,
    /// Certificate, chain and key. All empty where no socket will serve it (then ACM's usual key,
    /// RSA of 2048 bits, and a year of validity are reported).
    pub pem: CertificatePem,
    /// Whether listeners may use it.
    pub status: CertificateStatus,
    /// When it was created.
    pub created_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A target group that somebody made whom no request tells of.
#[derive(Clone, Debug)]
pub struct TargetGroupSpec {
    /// Made up when left out; it contains the name.
    pub arn: Option<String>,
    /// Its name.
    pub name: String,
    /// `instance` or `ip`.
    pub target_type: String,
    /// As ELBv2 spells it, `HTTP` for example.
    pub protocol: String,
    /// Its port.
    pub port: u16,
    /// The VPC of its targets.
    pub vpc_id: String,
    /// `ipv4` or `ipv6`.
    pub ip_address_type: String,
}

impl VpcSpec {
    /// A VPC of that network, with nothing else chosen.
    pub fn new(cidr: Ipv4Net) -> Self {
        Self {
            id: None,
            cidr,
            ipv6_cidr: None,
            is_default: false,
            tags: BTreeMap::new(),
        }
    }
}

impl SubnetSpec {
    /// A subnet with nothing else chosen.
    pub fn new(vpc_id: impl Into<String>, zone: impl Into<String>, cidr: Ipv4Net) -> Self {
        Self {
            id: None,
            vpc_id: vpc_id.into(),
            zone: zone.into(),
            cidr,
            ipv6_cidr: None,
            map_public_ip: false,
            tags: BTreeMap::new(),
        }
    }
}

impl RouteTableSpec {
    /// A table that only knows the VPC, used by no subnet.
    pub fn new(vpc_id: impl Into<String>) -> Self {
        Self {
            id: None,
            vpc_id: vpc_id.into(),
            subnets: BTreeSet::new(),
            internet_gateway_id: None,
            tags: BTreeMap::new(),
        }
    }
}

impl InstanceSpec {
    /// An instance with nothing else chosen.
    pub fn new(subnet_id: impl Into<String>) -> Self {
        Self {
            id: None,
            subnet_id: subnet_id.into(),
            private_ip: None,
            ipv6: None,
            security_groups: BTreeSet::new(),
            tags: BTreeMap::new(),
        }
    }
}

impl CertificateSpec {
    /// An issued certificate for those names, without PEM texts.
    pub fn new(domains: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            arn: None,
            domains: domains.into_iter().map(Into::into).collect(),
            pem: CertificatePem::default(),
            status: CertificateStatus::Issued,
            created_at: Timestamp::default(),
            tags: BTreeMap::new(),
        }
    }
}

impl Emulator {
    /// Adds a VPC with its default security group and its main route table.
    pub fn add_vpc(&mut self, spec: VpcSpec) -> Result<String, WorldError> {
        let id = self.new_id(spec.id, "vpc");
        free(&self.ec2.vpcs, &id)?;
        let vpc = Vpc {
            id: id.clone(),
            cidr: spec.cidr.trunc(),
            ipv6_cidr: spec.ipv6_cidr.map(|cidr| cidr.trunc()),
            is_default: spec.is_default,
            tags: spec.tags,
        };
        self.ec2.vpcs.insert(id.clone(), vpc);
        let group = self.add_security_group(SecurityGroupSpec {
            id: None,
            name: "default".into(),
            description: "default VPC security group".into(),
            vpc_id: id.clone(),
            tags: BTreeMap::new(),
        })?;
        // Members of the default group may talk to each other.
        let rule = self.new_rule(Direction::Ingress, Peer::Group(group.clone()));
        if let Some(group) = self.ec2.security_groups.get_mut(&group) {
            group.rules.insert(rule.id.clone(), rule);
        }
        let table = self.ids.ec2("rtb");
        self.ec2.route_tables.insert(
            table.clone(),
            RouteTable {
                id: table,
                vpc_id: id.clone(),
                is_main: true,
                subnets: BTreeSet::new(),
                gateway_routes: BTreeMap::new(),
                tags: BTreeMap::new(),
            },
        );
        Ok(id)
    }

    /// Adds a subnet.
    pub fn add_subnet(&mut self, spec: SubnetSpec) -> Result<String, WorldError> {
        let vpc = known(&self.ec2.vpcs, &spec.vpc_id)?;
        if !vpc.cidr.contains(&spec.cidr) {
            let (inner, outer) = (spec.cidr.to_string(), vpc.cidr.to_string());
            return Err(WorldError::Outside { inner, outer });
        }
        let id = self.new_id(spec.id, "subnet");
        free(&self.ec2.subnets, &id)?;
        let subnet = Subnet {
            id: id.clone(),
            vpc_id: spec.vpc_id,
            zone: spec.zone,
            cidr: spec.cidr.trunc(),
            ipv6_cidr: spec.ipv6_cidr.map(|cidr| cidr.trunc()),
            map_public_ip: spec.map_public_ip,
            tags: spec.tags,
        };
        self.ec2.subnets.insert(id.clone(), subnet);
        Ok(id)
    }

    /// Attaches an internet gateway to a VPC.
    pub fn add_internet_gateway(
        &mut self,
        vpc_id: &str,
        id: Option<String>,
    ) -> Result<String, WorldError> {
        known(&self.ec2.vpcs, vpc_id)?;
        let id = self.new_id(id, "igw");
        free(&self.ec2.internet_gateways, &id)?;
        let gateway = InternetGateway {
            vpc_id: vpc_id.to_owned(),
        };
        self.ec2.internet_gateways.insert(id.clone(), gateway);
        Ok(id)
    }

    /// Adds a route table. Its subnets leave the table that they used before.
    pub fn add_route_table(&mut self, spec: RouteTableSpec) -> Result<String, WorldError> {
        known(&self.ec2.vpcs, &spec.vpc_id)?;
        for subnet in &spec.subnets {
            known(&self.ec2.subnets, subnet)?;
        }
        if let Some(gateway) = &spec.internet_gateway_id {
            known(&self.ec2.internet_gateways, gateway)?;
        }
        let id = self.new_id(spec.id, "rtb");
        free(&self.ec2.route_tables, &id)?;
        for table in self.ec2.route_tables.values_mut() {
            table
                .subnets
                .retain(|subnet| !spec.subnets.contains(subnet));
        }
        let gateway_routes = spec
            .internet_gateway_id
            .map(|gateway| ("0.0.0.0/0".to_owned(), gateway));
        let table = RouteTable {
            id: id.clone(),
            vpc_id: spec.vpc_id,
            is_main: false,
            subnets: spec.subnets,
            gateway_routes: gateway_routes.into_iter().collect(),
            tags: spec.tags,
        };
        self.ec2.route_tables.insert(id.clone(), table);
        Ok(id)
    }

    /// Adds a running instance with one interface.
    pub fn add_instance(&mut self, spec: InstanceSpec) -> Result<String, WorldError> {
        let subnet = known(&self.ec2.subnets, &spec.subnet_id)?.clone();
        let private_ip = self.pick_address(&subnet, spec.private_ip)?;
        let mut groups = spec.security_groups;
        for group in &groups {
            known(&self.ec2.security_groups, group)?;
        }
        if groups.is_empty() {
            let default = self.ec2.default_security_group(&subnet.vpc_id);
            groups.extend(default.map(|group| group.id.clone()));
        }
        let id = self.new_id(spec.id, "i");
        free(&self.ec2.instances, &id)?;
        let interface = self.ids.ec2("eni");
        self.ec2.interfaces.insert(
            interface.clone(),
            Interface {
                id: interface,
                vpc_id: subnet.vpc_id.clone(),
                subnet_id: subnet.id.clone(),
                description: String::new(),
                private_ips: vec![private_ip],
                prefixes: Vec::new(),
                ipv6: spec.ipv6,
                groups,
                instance_id: Some(id.clone()),
                tags: BTreeMap::new(),
            },
        );
        let region = &self.config.region;
        let host = private_ip.to_string().replace('.', "-");
        // us-east-1 alone has the older domain without its name.
        let private_dns_name = if region == "us-east-1" {
            format!("ip-{host}.ec2.internal")
        } else {
            format!("ip-{host}.{region}.compute.internal")
        };
        let instance = Instance {
            id: id.clone(),
            state: InstanceState::Running,
            vpc_id: subnet.vpc_id,
            subnet_id: subnet.id,
            private_ip,
            ipv6: spec.ipv6,
            private_dns_name,
            tags: spec.tags,
        };
        self.ec2.instances.insert(id.clone(), instance);
        self.touch();
        Ok(id)
    }

    /// Starts, stops or terminates an instance.
    pub fn set_instance_state(&mut self, id: &str, state: InstanceState) -> Result<(), WorldError> {
        let instance = self.ec2.instances.get_mut(id);
        instance
            .ok_or_else(|| WorldError::Unknown(id.to_owned()))?
            .state = state;
        self.touch();
        Ok(())
    }

    /// Adds addresses to an instance's interface, as the VPC CNI plugin does for pods.
    pub fn add_instance_addresses(
        &mut self,
        id: &str,
        addresses: &[Ipv4Addr],
    ) -> Result<(), WorldError> {
        let instance = known(&self.ec2.instances, id)?;
        let subnet = known(&self.ec2.subnets, &instance.subnet_id)?.clone();
        for address in addresses {
            self.pick_address(&subnet, Some(*address))?;
            let mut interfaces = self.ec2.interfaces.values_mut();
            if let Some(interface) = interfaces.find(|i| i.instance_id.as_deref() == Some(id)) {
                interface.private_ips.push(*address);
            }
        }
        Ok(())
    }

    /// Delegates a network to an instance's interface, in prefixes of 16 addresses, as the VPC CNI
    /// plugin does for pods.
    pub fn add_instance_prefixes(&mut self, id: &str, network: Ipv4Net) -> Result<(), WorldError> {
        /// EC2 delegates nothing larger or smaller.
        const PREFIX_LENGTH: u8 = 28;
        let instance = known(&self.ec2.instances, id)?;
        let subnet = known(&self.ec2.subnets, &instance.subnet_id)?.clone();
        let outside = |outer: String| WorldError::Outside {
            inner: network.to_string(),
            outer,
        };
        if !subnet.cidr.contains(&network) {
            return Err(outside(subnet.cidr.to_string()));
        }
        let Ok(prefixes) = network.trunc().subnets(PREFIX_LENGTH) else {
            return Err(outside(format!("prefixes of length {PREFIX_LENGTH}")));
        };
        let prefixes: Vec<Ipv4Net> = prefixes.collect();
        let taken = self.ec2.addresses_in_use(&subnet.id);
        if let Some(address) = taken.iter().find(|address| network.contains(*address)) {
            return Err(WorldError::Exists(address.to_string()));
        }
        let mut interfaces = self.ec2.interfaces.values_mut();
        if let Some(interface) = interfaces.find(|i| i.instance_id.as_deref() == Some(id)) {
            interface.prefixes.extend(prefixes);
        }
        Ok(())
    }

    /// Adds a security group with AWS's default rule.
    pub fn add_security_group(&mut self, spec: SecurityGroupSpec) -> Result<String, WorldError> {
        known(&self.ec2.vpcs, &spec.vpc_id)?;
        let id = self.new_id(spec.id, "sg");
        free(&self.ec2.security_groups, &id)?;
        let everywhere = Peer::Ipv4(Ipv4Net::default());
        let rule = self.new_rule(Direction::Egress, everywhere);
        let group = SecurityGroup {
            id: id.clone(),
            name: spec.name,
            description: spec.description,
            vpc_id: spec.vpc_id,
            rules: BTreeMap::from([(rule.id.clone(), rule)]),
            tags: spec.tags,
        };
        self.ec2.security_groups.insert(id.clone(), group);
        Ok(id)
    }

    /// Adds an Elastic IP.
    pub fn add_address(&mut self, spec: AddressSpec) -> Result<String, WorldError> {
        let id = self.new_id(spec.allocation_id, "eipalloc");
        free(&self.ec2.addresses, &id)?;
        let address = Address {
            allocation_id: id.clone(),
            public_ip: spec.public_ip,
            tags: spec.tags,
        };
        self.ec2.addresses.insert(id.clone(), address);
        Ok(id)
    }

    /// Adds a managed prefix list that may have that many entries.
    pub fn add_prefix_list(
        &mut self,
        id: Option<String>,
        entries_max: usize,
    ) -> Result<String, WorldError> {
        let id = self.new_id(id, "pl");
        free(&self.ec2.prefix_lists, &id)?;
        self.ec2.prefix_lists.insert(id.clone(), entries_max);
        Ok(id)
    }

    /// Adds a certificate as if ACM had issued it.
    pub fn add_certificate(&mut self, spec: CertificateSpec) -> Result<String, WorldError> {
        let arn = spec
            .arn
            .clone()
            .unwrap_or_else(|| self.new_certificate_arn());
        free(&self.acm.certificates, &arn)?;
        let certificate = crate::acm::issued(arn.clone(), spec).map_err(WorldError::Certificate)?;
        self.acm.certificates.insert(arn.clone(), certificate);
        self.touch();
        Ok(arn)
    }

    /// Adds a target group without targets, with AWS's defaults for all that the specification leaves open.
    pub fn add_target_group(&mut self, spec: TargetGroupSpec) -> Result<String, WorldError> {
        let mut groups = self.elbv2.target_groups.values();
        let is_taken = groups.any(|group| group.name == spec.name);
        if is_taken {
            return Err(WorldError::Exists(spec.arn.unwrap_or(spec.name)));
        }
        let input = CreateTargetGroupInput {
            name: spec.name,
            target_type: Some(spec.target_type),
            protocol: Some(spec.protocol),
            port: Some(i32::from(spec.port)),
            vpc_id: Some(spec.vpc_id),
            ip_address_type: Some(spec.ip_address_type),
            ..CreateTargetGroupInput::default()
        };
        let arn = self
            .place_target_group(&input, spec.arn)
            .map_err(|error| WorldError::TargetGroup(error.message))?;
        self.touch();
        Ok(arn)
    }

    /// Adds a trust store.
    pub fn add_trust_store(&mut self, spec: TrustStoreSpec) -> Result<String, WorldError> {
        let id = self.ids.hex(16);
        let Self { config, .. } = self;
        let arn = spec.arn.unwrap_or_else(|| {
            elbv2::trust_store_arn(&config.region, &config.account_id, &spec.name, &id)
        });
        self.elbv2
            .add_trust_store(arn.clone(), spec.name, &spec.bundle)?;
        self.touch();
        Ok(arn)
    }

    /// Adds a bucket of S3.
    pub fn add_bucket(&mut self, name: &str) -> Result<(), WorldError> {
        self.s3.add_bucket(name)
    }

    /// Certificate, chain and key of a certificate, for whoever serves with it.
    pub fn certificate_pem(&self, arn: &str) -> Option<&CertificatePem> {
        self.acm
            .certificates
            .get(arn)
            .map(|certificate| &certificate.pem)
    }

    fn new_id(&mut self, chosen: Option<String>, prefix: &str) -> String {
        chosen.unwrap_or_else(|| self.ids.ec2(prefix))
    }

    pub(crate) fn new_certificate_arn(&mut self) -> String {
        let id = self.ids.uuid();
        let Self { config, .. } = self;
        format!(
            "arn:aws:acm:{}:{}:certificate/{id}",
            config.region, config.account_id
        )
    }

    /// A rule for all protocols and ports.
    fn new_rule(&mut self, direction: Direction, peer: Peer) -> SecurityGroupRule {
        let protocol = "-1".to_owned();
        SecurityGroupRule {
            id: self.ids.ec2("sgr"),
            key: RuleKey {
                direction,
                protocol,
                from_port: None,
                to_port: None,
                peer,
            },
            description: None,
            tags: BTreeMap::new(),
        }
    }

    fn pick_address(
        &self,
        subnet: &Subnet,
        chosen: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, WorldError> {
        let taken = self.ec2.addresses_in_use(&subnet.id);
        match chosen {
            Some(address) if !subnet.cidr.contains(&address) => Err(WorldError::Outside {
                inner: address.to_string(),
                outer: subnet.cidr.to_string(),
            }),
            Some(address) if taken.contains(&address) => {
                Err(WorldError::Exists(address.to_string()))
            }
            Some(address) => Ok(address),
            None => subnet
                .usable_addresses()
                .find(|address| !taken.contains(address))
                .ok_or_else(|| WorldError::Full(subnet.id.clone())),
        }
    }
}

fn known<'a, T>(map: &'a BTreeMap<String, T>, id: &str) -> Result<&'a T, WorldError> {
    map.get(id)
        .ok_or_else(|| WorldError::Unknown(id.to_owned()))
}

fn free<T>(map: &BTreeMap<String, T>, id: &str) -> Result<(), WorldError> {
    if map.contains_key(id) {
        Err(WorldError::Exists(id.to_owned()))
    } else {
        Ok(())
    }
}
