//! Fact look-ups: what translation asks for in, calls and in the end [`Facts`] out.
//!
//! What always holds: a fact is in the result only when all its pages are; what cannot be looked up keeps back no
//! other fact; certificates that were described before are not described again, for a certificate keeps its names
//! under its ARN.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::aws_call::{Page, RouteTable, TargetGroupDescription};
use elbow_model::facts::{Certificate, ExistingLoadBalancer, Subnet, Vpc};
use elbow_model::{
    AwsAnswer, AwsCall, AwsError, CertificateArn, ErrorClass, FactQuery, Facts, Observed, StackId,
    SubnetId, Tags, TrustStoreArn, VpcId,
};

/// Target groups that are asked for in one call. AWS documents no limit; it is that of load balancers and
/// tags.
const GROUPS_PER_DESCRIBE: usize = 20;

/// A fact look-up under way.
#[derive(Debug)]
pub struct FactLookup {
    vpc_id: VpcId,
    queries: BTreeSet<FactQuery>,
    known_certificates: BTreeMap<CertificateArn, Certificate>,
    outstanding: usize,
    subnets: Vec<Subnet>,
    route_tables: Vec<RouteTable>,
    target_groups: BTreeMap<String, TargetGroupDescription>,
    other_vpcs: BTreeMap<VpcId, Vpc>,
    listed_certificates: BTreeSet<CertificateArn>,
    trust_stores: BTreeMap<String, TrustStoreArn>,
    facts: Facts,
    failed: BTreeMap<FactQuery, AwsError>,
}

impl FactLookup {
    /// Begins a look-up and answers with its first calls. `known_certificates` are those that were
    /// described before.
    pub fn start(
        vpc_id: VpcId,
        queries: BTreeSet<FactQuery>,
        known_certificates: BTreeMap<CertificateArn, Certificate>,
    ) -> (Self, Vec<AwsCall>) {
        let mut lookup = Self {
            vpc_id,
            queries,
            known_certificates,
            outstanding: 0,
            subnets: Vec::new(),
            route_tables: Vec::new(),
            target_groups: BTreeMap::new(),
            other_vpcs: BTreeMap::new(),
            listed_certificates: BTreeSet::new(),
            trust_stores: BTreeMap::new(),
            facts: Facts::default(),
            failed: BTreeMap::new(),
        };
        let calls = lookup.first_calls();
        lookup.outstanding = calls.len();
        (lookup, calls)
    }

    /// Whether every answer is in.
    pub fn is_done(&self) -> bool {
        self.outstanding == 0
    }

    /// Takes in the answer to one of its calls and answers with the calls to make next. An error is one of the
    /// facts that the call is about, unless it tells that something is not there.
    pub fn answered(
        &mut self,
        call: &AwsCall,
        result: Result<AwsAnswer, AwsError>,
    ) -> Vec<AwsCall> {
        let next = match result.and_then(|answer| self.fold(call, answer)) {
            Ok(next) => next,
            Err(error) => match (call, error.class) {
                (AwsCall::DescribeCertificate { certificate }, ErrorClass::NotFound) => {
                    self.listed_certificates.remove(certificate);
                    Vec::new()
                }
                // One name that is nobody's fails the whole call: halve it until only that one is left.
                (AwsCall::DescribeTargetGroups { names, .. }, ErrorClass::NotFound) => {
                    let (left, right) = names.split_at(names.len() / 2);
                    let halves = [left, right].into_iter().filter(|_| names.len() > 1);
                    halves.map(target_groups).collect()
                }
                (AwsCall::DescribeVpcs { vpc_id }, ErrorClass::NotFound | ErrorClass::Invalid)
                    if *vpc_id != self.vpc_id =>
                {
                    Vec::new()
                }
                // Whoever named it is told.
                (AwsCall::DescribeTrustStores { .. }, _) if error.code == "TrustStoreNotFound" => {
                    Vec::new()
                }
                _ => {
                    for query in self.queries_behind(call) {
                        self.failed.insert(query, error.clone());
                    }
                    Vec::new()
                }
            },
        };
        self.outstanding = self.outstanding + next.len() - 1;
        next
    }

    /// The facts that a call is about.
    fn queries_behind(&self, call: &AwsCall) -> Vec<FactQuery> {
        match call {
            AwsCall::DescribeVpcs { vpc_id } if *vpc_id == self.vpc_id => vec![FactQuery::Vpc],
            AwsCall::DescribeVpcs { vpc_id } => vec![FactQuery::OtherVpc(vpc_id.clone())],
            AwsCall::DescribeSubnets { .. } => vec![FactQuery::Subnets, FactQuery::PublicSubnets],
            AwsCall::DescribeRouteTables { .. } => vec![FactQuery::PublicSubnets],
            AwsCall::DescribeAvailabilityZones => vec![FactQuery::AvailabilityZones],
            AwsCall::ListCertificates { .. } | AwsCall::DescribeCertificate { .. } => {
                vec![FactQuery::Certificates]
            }
            AwsCall::DescribeSecurityGroups { tags, .. } => {
                let name = tags.get("Name").cloned();
                name.map(FactQuery::SecurityGroupsByName)
                    .into_iter()
                    .collect()
            }
            AwsCall::DescribeTrustStores { names, .. } => {
                let names = names.iter().cloned();
                names.map(FactQuery::TrustStoreByName).collect()
            }
            AwsCall::DescribeTargetGroups { names, .. } => {
                names.iter().cloned().map(FactQuery::TargetGroup).collect()
            }
            // No other call is made here.
            _ => Vec::new(),
        }
    }

    /// What is looked up.
    pub fn queries(&self) -> &BTreeSet<FactQuery> {
        &self.queries
    }

    /// Adds what was found to what is known, and answers with what could not be looked up. Load balancers are no
    /// matter of a look-up: they are taken from what was observed ([`existing_load_balancer`]).
    pub fn finish(self, facts: &mut Facts) -> BTreeMap<FactQuery, AwsError> {
        let found = { self.queries.iter() }.filter(|query| !self.failed.contains_key(query));
        for query in found {
            match query {
                FactQuery::Vpc => facts.vpc.clone_from(&self.facts.vpc),
                FactQuery::Subnets => {
                    let by_id = self.subnets.iter().map(|s| (s.id.clone(), s.clone()));
                    facts.subnets = Some(by_id.collect());
                }
                FactQuery::PublicSubnets => facts.public_subnets = Some(self.public_subnets()),
                FactQuery::AvailabilityZones => facts.zones.clone_from(&self.facts.zones),
                FactQuery::SecurityGroupsByName(name) => {
                    let mut ids = self
                        .facts
                        .security_groups_by_name
                        .get(name)
                        .cloned()
                        .unwrap_or_default();
                    ids.sort();
                    facts.security_groups_by_name.insert(name.clone(), ids);
                }
                FactQuery::Certificates => {
                    facts.certificates = Some(
                        self.known_certificates
                            .iter()
                            .filter(|(arn, _)| self.listed_certificates.contains(arn))
                            .map(|(arn, certificate)| (arn.clone(), certificate.clone()))
                            .collect(),
                    );
                }
                FactQuery::TrustStoreByName(name) => {
                    let found = self.trust_stores.get(name).cloned();
                    facts.trust_stores_by_name.insert(name.clone(), found);
                }
                FactQuery::LoadBalancerOf(_) => {}
                FactQuery::TargetGroup(name) => {
                    let found = self.target_groups.get(name).cloned();
                    facts.target_groups.insert(name.clone(), found);
                }
                FactQuery::OtherVpc(vpc_id) => {
                    let found = self.other_vpcs.get(vpc_id).cloned();
                    facts.other_vpcs.insert(vpc_id.clone(), found);
                }
            }
        }
        self.failed
    }

    fn first_calls(&self) -> Vec<AwsCall> {
        let asks = |query: FactQuery| self.queries.contains(&query);
        let mut calls = Vec::new();
        if asks(FactQuery::Vpc) {
            calls.push(AwsCall::DescribeVpcs {
                vpc_id: self.vpc_id.clone(),
            });
        }
        // Which subnets have no table of their own is told by the list of subnets.
        if asks(FactQuery::Subnets) || asks(FactQuery::PublicSubnets) {
            calls.push(AwsCall::DescribeSubnets {
                vpc_id: self.vpc_id.clone(),
                marker: None,
            });
        }
        if asks(FactQuery::PublicSubnets) {
            calls.push(AwsCall::DescribeRouteTables {
                vpc_id: self.vpc_id.clone(),
                marker: None,
            });
        }
        if asks(FactQuery::AvailabilityZones) {
            calls.push(AwsCall::DescribeAvailabilityZones);
        }
        if asks(FactQuery::Certificates) {
            calls.push(AwsCall::ListCertificates { marker: None });
        }
        for query in &self.queries {
            match query {
                FactQuery::SecurityGroupsByName(name) => {
                    calls.push(self.security_groups(name, None));
                }
                FactQuery::OtherVpc(vpc_id) => calls.push(AwsCall::DescribeVpcs {
                    vpc_id: vpc_id.clone(),
                }),
                // One name that does not exist fails the whole call, so each is asked for by itself.
                FactQuery::TrustStoreByName(name) => calls.push(AwsCall::DescribeTrustStores {
                    names: vec![name.clone()],
                    marker: None,
                }),
                _ => {}
            }
        }
        let names = self.queries.iter().filter_map(|query| match query {
            FactQuery::TargetGroup(name) => Some(name.clone()),
            _ => None,
        });
        let names: Vec<String> = names.collect();
        calls.extend(names.chunks(GROUPS_PER_DESCRIBE).map(target_groups));
        calls
    }

    fn security_groups(&self, name: &str, marker: Option<String>) -> AwsCall {
        AwsCall::DescribeSecurityGroups {
            vpc_id: self.vpc_id.clone(),
            tags: Tags::from([("Name".to_owned(), name.to_owned())]),
            marker,
        }
    }

    fn fold(&mut self, call: &AwsCall, answer: AwsAnswer) -> Result<Vec<AwsCall>, AwsError> {
        Ok(match (call, answer) {
            (AwsCall::DescribeVpcs { vpc_id }, AwsAnswer::Vpc(vpc)) if *vpc_id != self.vpc_id => {
                self.other_vpcs.extend(vpc.map(|vpc| (vpc_id.clone(), vpc)));
                Vec::new()
            }
            (AwsCall::DescribeTargetGroups { names, .. }, AwsAnswer::TargetGroups(page)) => {
                let more = next_page(&page, |marker| AwsCall::DescribeTargetGroups {
                    arns: Vec::new(),
                    names: names.clone(),
                    marker,
                });
                let found = page.items.into_iter();
                self.target_groups
                    .extend(found.map(|group| (group.name.clone(), group)));
                more
            }
            (AwsCall::DescribeVpcs { vpc_id }, AwsAnswer::Vpc(vpc)) => {
                let Some(vpc) = vpc else {
                    return Err(no_vpc(vpc_id));
                };
                self.facts.vpc = Some(vpc);
                Vec::new()
            }
            (AwsCall::DescribeSubnets { vpc_id, .. }, AwsAnswer::Subnets(page)) => {
                let more = next_page(&page, |marker| AwsCall::DescribeSubnets {
                    vpc_id: vpc_id.clone(),
                    marker,
                });
                self.subnets.extend(page.items);
                more
            }
            (AwsCall::DescribeRouteTables { vpc_id, .. }, AwsAnswer::RouteTables(page)) => {
                let more = next_page(&page, |marker| AwsCall::DescribeRouteTables {
                    vpc_id: vpc_id.clone(),
                    marker,
                });
                self.route_tables.extend(page.items);
                more
            }
            (AwsCall::DescribeAvailabilityZones, AwsAnswer::AvailabilityZones(zones)) => {
                self.facts.zones = Some(zones);
                Vec::new()
            }
            (AwsCall::DescribeSecurityGroups { tags, .. }, AwsAnswer::SecurityGroups(page)) => {
                let name = tags.get("Name").cloned().unwrap_or_default();
                let more = next_page(&page, |marker| self.security_groups(&name, marker));
                let ids = self.facts.security_groups_by_name.entry(name).or_default();
                ids.extend(page.items.into_iter().map(|group| group.id));
                more
            }
            (AwsCall::ListCertificates { .. }, AwsAnswer::CertificateArns(page)) => {
                let mut next = next_page(&page, |marker| AwsCall::ListCertificates { marker });
                for arn in page.items {
                    if !self.known_certificates.contains_key(&arn) {
                        next.push(AwsCall::DescribeCertificate {
                            certificate: arn.clone(),
                        });
                    }
                    self.listed_certificates.insert(arn);
                }
                next
            }
            (AwsCall::DescribeTrustStores { .. }, AwsAnswer::TrustStores(page)) => {
                let stores = page.items.into_iter();
                self.trust_stores
                    .extend(stores.map(|store| (store.name, store.arn)));
                Vec::new()
            }
            (AwsCall::DescribeCertificate { certificate }, AwsAnswer::Certificate(described)) => {
                self.known_certificates
                    .insert(certificate.clone(), described);
                Vec::new()
            }
            // An adapter answers a call with that call's answer; anything else tells nothing.
            _ => Vec::new(),
        })
    }

    /// Subnets whose own route table, or the VPC's main table where they have none, reaches an
    /// internet gateway.
    fn public_subnets(&self) -> BTreeSet<SubnetId> {
        let is_public = |subnet: &&Subnet| {
            let own = self
                .route_tables
                .iter()
                .find(|table| table.subnets.contains(&subnet.id));
            let table = own.or_else(|| self.route_tables.iter().find(|table| table.main));
            table.is_some_and(|table| table.reaches_internet_gateway)
        };
        self.subnets
            .iter()
            .filter(is_public)
            .map(|subnet| subnet.id.clone())
            .collect()
    }
}

/// The load balancer of a Stack, as translation wants to know it.
pub fn existing_load_balancer(
    observed: &Observed,
    stack: &StackId,
) -> Option<ExistingLoadBalancer> {
    let lb = observed.stacks.get(stack)?.load_balancers.first()?;
    Some(ExistingLoadBalancer {
        scheme: lb.scheme,
        subnets: lb.subnets.clone(),
    })
}

fn target_groups(names: &[String]) -> AwsCall {
    AwsCall::DescribeTargetGroups {
        arns: Vec::new(),
        names: names.to_vec(),
        marker: None,
    }
}

fn no_vpc(vpc_id: &VpcId) -> AwsError {
    AwsError::new(
        ErrorClass::Invalid,
        "InvalidVpcID.NotFound",
        format!("there is no VPC {vpc_id} in this account and region"),
    )
}

fn next_page<T>(page: &Page<T>, call: impl FnOnce(Option<String>) -> AwsCall) -> Vec<AwsCall> {
    match &page.next_marker {
        Some(marker) => vec![call(Some(marker.clone()))],
        None => Vec::new(),
    }
}
