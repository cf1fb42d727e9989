//! Facts: what has to be looked up in AWS before a Stack can be built.
//!
//! Translation never calls out. It reads [`Facts`]; what is missing it asks for as [`FactQuery`]s, the
//! driver fetches and translation runs again. A fact is `None` until it was fetched, and stays apart
//! from "fetched, and there is none".

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::aws_call::TargetGroupDescription;
use crate::ids::{
    CertificateArn, LoadBalancerArn, Port, ResourceId, SecurityGroupId, SubnetId, TrustStoreArn,
    VpcId,
};
use crate::stack::{Scheme, StackId};

/// Something to look up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FactQuery {
    /// The cluster's VPC: [`Facts::vpc`].
    Vpc,
    /// All subnets of the VPC: [`Facts::subnets`].
    Subnets,
    /// Which subnets of the VPC have a route to an internet gateway: [`Facts::public_subnets`].
    PublicSubnets,
    /// Zone types of the region's availability zones: [`Facts::zones`].
    AvailabilityZones,
    /// Security groups of the VPC by their tag `Name`: [`Facts::security_groups_by_name`].
    SecurityGroupsByName(String),
    /// All issued certificates of the account: [`Facts::certificates`].
    Certificates,
    /// The trust store of this name: [`Facts::trust_stores_by_name`].
    TrustStoreByName(String),
    /// The load balancer that carries the tags of this Stack: [`Facts::load_balancers`].
    LoadBalancerOf(StackId),
    /// The target group of that name, whoever made it: [`Facts::target_groups`].
    TargetGroup(String),
    /// Another VPC than the cluster's: [`Facts::other_vpcs`].
    OtherVpc(VpcId),
}

/// What has been looked up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// The cluster's VPC.
    pub vpc: Option<Vpc>,
    /// All subnets of the VPC, by id.
    pub subnets: Option<BTreeMap<SubnetId, Subnet>>,
    /// Subnets whose effective route table has a route to an internet gateway.
    pub public_subnets: Option<BTreeSet<SubnetId>>,
    /// Availability zones by name.
    pub zones: Option<BTreeMap<String, ZoneType>>,
    /// Ids of the security groups with this tag `Name`, sorted.
    pub security_groups_by_name: BTreeMap<String, Vec<SecurityGroupId>>,
    /// Issued certificates by ARN.
    pub certificates: Option<BTreeMap<CertificateArn, Certificate>>,
    /// Trust stores by name; `None` where there is none of that name.
    pub trust_stores_by_name: BTreeMap<String, Option<TrustStoreArn>>,
    /// The load balancer of a Stack, if there is one.
    pub load_balancers: BTreeMap<StackId, Option<ExistingLoadBalancer>>,
    /// Target groups that TargetGroupBindings and routes name, by name: an ARN contains it, and one name is one
    /// group in an account and region. `None` where there is no such group.
    pub target_groups: BTreeMap<String, Option<TargetGroupDescription>>,
    /// VPCs beside the cluster's; `None` where there is no such VPC.
    pub other_vpcs: BTreeMap<VpcId, Option<Vpc>>,
    /// Certificates that were imported from Secrets of this cluster, by resource id. Never asked for:
    /// whoever observes the cluster's Stack knows them.
    pub imported_certificates: BTreeMap<ResourceId, CertificateArn>,
    /// The application load balancers of Gateways, by Stack, as targets of others; `None` where there is
    /// none that serves. Never asked for: whoever observes the Stacks knows them. A Stack that is absent
    /// is observed by somebody else.
    pub application_load_balancers: BTreeMap<StackId, Option<ServingLoadBalancer>>,
    /// The time, in seconds since 1970, by which certificates are judged; `None`: they are valid.
    pub now_seconds: Option<i64>,
}

impl Facts {
    /// Whether this has been looked up.
    pub fn has(&self, query: &FactQuery) -> bool {
        match query {
            FactQuery::Vpc => self.vpc.is_some(),
            FactQuery::Subnets => self.subnets.is_some(),
            FactQuery::PublicSubnets => self.public_subnets.is_some(),
            FactQuery::AvailabilityZones => self.zones.is_some(),
            FactQuery::SecurityGroupsByName(name) => {
                self.security_groups_by_name.contains_key(name)
            }
            FactQuery::Certificates => self.certificates.is_some(),
            FactQuery::TrustStoreByName(name) => self.trust_stores_by_name.contains_key(name),
            FactQuery::LoadBalancerOf(stack) => self.load_balancers.contains_key(stack),
            FactQuery::TargetGroup(name) => self.target_groups.contains_key(name),
            FactQuery::OtherVpc(vpc_id) => self.other_vpcs.contains_key(vpc_id),
        }
    }
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// Associated IPv4 blocks.
    pub ipv4_cidrs: Vec<String>,
    /// Associated IPv6 blocks.
    pub ipv6_cidrs: Vec<String>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Name of its availability zone.
    pub availability_zone: String,
    /// Its IPv4 block.
    pub ipv4_cidr: String,
    /// Associated IPv6 blocks.
    pub ipv6_cidrs: Vec<String>,
    /// Free IPv4 addresses.
    pub available_ip_address_count: i32,
    /// ARN of the Outpost it lies on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outpost_arn: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// What kind of place an availability zone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZoneType {
    /// An availability zone proper.
    AvailabilityZone,
    /// A Local Zone.
    LocalZone,
    /// A Wavelength zone.
    WavelengthZone,
}

/// A certificate of ACM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// Names it is valid for, wildcards included.
    pub domains: BTreeSet<String>,
    /// ARN of the private authority that issued it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate_authority_arn: Option<String>,
}

/// An application load balancer that serves, and can be the target of a network load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServingLoadBalancer {
    /// Its ARN.
    pub arn: LoadBalancerArn,
    /// The ports of its listeners; `None` where they were not looked at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ports: Option<BTreeSet<Port>>,
}

/// What translation needs to know of a load balancer that is already there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExistingLoadBalancer {
    /// Its scheme: only a load balancer of the wanted scheme passes its subnets on.
    pub scheme: Scheme,
    /// Its subnets.
    pub subnets: BTreeSet<SubnetId>,
}
