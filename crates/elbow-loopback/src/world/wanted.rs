//! What manifests name or take for granted, as a list of wishes.
//!
//! In: filled by whoever reads manifests. Out: read by [`build`](super::build) and [`extend`](super::extend).
//! What always holds: a wish without an id gets one that is made up.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use elbow_emulator::acm::CertificatePem;
use elbow_model::stack::{Protocol, TargetFamily, TargetType};
use elbow_model::{CertificateArn, Port, VpcId};
use ipnet::Ipv4Net;

/// What manifests name or take for granted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The cluster's name, for subnet tags and instance names.
    pub cluster_name: String,
    /// The VPC's id, if it is given.
    pub vpc_id: Option<VpcId>,
    /// The VPC's network; 192.168.0.0/16 when left out. At least a /18.
    pub cidr: Option<Ipv4Net>,
    /// Subnets that a load balancer's configuration names.
    pub subnets: Vec<WantedSubnet>,
    /// Security groups that are named by id (`sg-…`) or by their tag `Name`.
    pub security_groups: BTreeSet<String>,
    /// Certificates.
    pub certificates: Vec<WantedCertificate>,
    /// Nodes.
    pub nodes: Vec<WantedNode>,
    /// Addresses of pods. Those that lie in a subnet are given to the interface of a node there, as the
    /// VPC CNI plugin does.
    pub pods: BTreeSet<Ipv4Addr>,
    /// Elastic IPs, by allocation id.
    pub allocation_ids: BTreeSet<String>,
    /// Managed prefix lists, by id.
    pub prefix_lists: BTreeSet<String>,
    /// Target groups, by name.
    pub target_groups: BTreeMap<String, WantedTargetGroup>,
    /// Trust stores.
    pub trust_stores: Vec<WantedTrustStore>,
    /// Buckets of S3.
    pub buckets: BTreeSet<String>,
}

/// A target group that a TargetGroupBinding names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedTargetGroup {
    /// Its ARN; made up when left out.
    pub arn: Option<String>,
    /// What its targets are.
    pub target_type: TargetType,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its port.
    pub port: Port,
    /// Its address family.
    pub ip_address_type: TargetFamily,
}

/// A trust store that a manifest names, with the authorities of a stand-in for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedTrustStore {
    /// Its ARN or its name.
    pub identifier: String,
    /// Certificates of authorities, as PEM.
    pub bundle: String,
}

/// A subnet that a configuration names, or selects by tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedSubnet {
    /// Its id (`subnet-…`), or the value of its tag `Name`; made up when left out.
    pub identifier: Option<String>,
    /// Its place in the load balancer's list: subnets of one load balancer lie in different zones.
    pub place: usize,
    /// Whether the load balancer that uses it is reached from the internet.
    pub reach: Reach,
    /// Tags it is selected by.
    pub tags: BTreeMap<String, String>,
}

/// From where a subnet can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// From the internet: its route table leads to an internet gateway.
    Public,
    /// From within the VPC.
    Private,
}

/// A certificate that a manifest names, with what a stand-in for it serves.
#[derive(Debug, Clone)]
pub struct WantedCertificate {
    /// Its ARN; made up when left out.
    pub arn: Option<CertificateArn>,
    /// The names it is for, at least one.
    pub domains: Vec<String>,
    /// Certificate, chain and key.
    pub pem: CertificatePem,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedNode {
    /// The node's name.
    pub name: String,
    /// Its instance id, from its provider id; made up when left out.
    pub instance_id: Option<String>,
    /// Its zone, if that is known.
    pub zone: Option<String>,
    /// Its address; another is chosen when it does not lie in the VPC.
    pub address: Option<Ipv4Addr>,
}
