//! The world that `elbow emulator` starts from: what exists in the account before the first call.
//!
//! In: a JSON file (docs/reference/emulator-json.md). Out: an emulator that holds it. What always
//! holds: ids and addresses are those of the file; what does not fit together is an error that names it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, ensure};
use elbow_emulator::acm::CertificatePem;
use elbow_emulator::world::{
    CertificateSpec, InstanceSpec, RouteTableSpec, SecurityGroupSpec, SubnetSpec, VpcSpec,
};
use elbow_emulator::{Emulator, Timestamp};
use ipnet::Ipv4Net;
use serde::Deserialize;

use crate::certificates::Authority;

/// What exists.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WorldFile {
    pub(super) region: String,
    pub(super) account: String,
    vpc: Vpc,
    subnets: Vec<Subnet>,
    #[serde(default)]
    nodes: Vec<Node>,
    cluster_name: String,
    #[serde(default)]
    certificates: Vec<Certificate>,
    /// Names of buckets of S3.
    #[serde(default)]
    buckets: BTreeSet<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Vpc {
    id: String,
    cidr: Ipv4Net,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Subnet {
    id: String,
    zone: String,
    cidr: Ipv4Net,
    /// Whether its default route leads to an internet gateway.
    public: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// A node of the cluster, which is an instance.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Node {
    instance_id: String,
    zone: String,
    address: Ipv4Addr,
    /// Where its pods have their addresses, a network in its subnet of 16 addresses or a multiple.
    #[serde(default)]
    pod_cidr: Option<Ipv4Net>,
    /// Created when they are first named. The first one of a node is the cluster's, as on EKS.
    #[serde(default)]
    security_groups: Vec<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// A certificate that ACM issued.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Certificate {
    arn: String,
    domains: BTreeSet<String>,
}

impl WorldFile {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("--world: cannot read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("--world: {} does not describe a world", path.display()))
    }

    /// What there is when no file says otherwise: a VPC over three zones, each with a public and a
    /// private subnet that carry the tags by which load balancer controllers find them.
    pub(super) fn usual() -> Self {
        let region = "us-east-1";
        let subnet = |index: u8, public: bool| {
            let zone = char::from(b'a' + index);
            let (third, role) = if public {
                (index, "kubernetes.io/role/elb")
            } else {
                (index + 100, "kubernetes.io/role/internal-elb")
            };
            Subnet {
                id: format!("subnet-{third:017x}"),
                zone: format!("{region}{zone}"),
                // Three zones, so both numbers fit an octet, and 24 is a prefix length.
                cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 0, third, 0), 24),
                public,
                tags: BTreeMap::from([(role.to_owned(), "1".to_owned())]),
            }
        };
        Self {
            region: region.to_owned(),
            account: "123456789012".to_owned(),
            vpc: Vpc {
                id: "vpc-00000000000000001".to_owned(),
                cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 16),
            },
            subnets: [true, false]
                .into_iter()
                .flat_map(|public| (0..3).map(move |index| (index, public)))
                .map(|(index, public)| subnet(index, public))
                .collect(),
            nodes: Vec::new(),
            cluster_name: "my-cluster".to_owned(),
            certificates: Vec::new(),
            buckets: BTreeSet::new(),
        }
    }

    /// Adds all of it. Returns, as PEM, the authority that signed the certificates, if there are any.
    pub(super) fn build(
        &self,
        emulator: &mut Emulator,
        now: Timestamp,
    ) -> anyhow::Result<Option<String>> {
        check_id("vpc", &self.vpc.id)?;
        emulator.add_vpc(VpcSpec {
            id: Some(self.vpc.id.clone()),
            tags: BTreeMap::from([("Name".to_owned(), self.cluster_name.clone())]),
            ..VpcSpec::new(self.vpc.cidr)
        })?;
        self.add_subnets(emulator)?;
        self.add_security_groups(emulator)?;
        for node in &self.nodes {
            self.add_node(emulator, node)
                .with_context(|| format!("node {}", node.instance_id))?;
        }
        for bucket in &self.buckets {
            emulator.add_bucket(bucket)?;
        }
        self.add_certificates(emulator, now)
    }

    fn add_subnets(&self, emulator: &mut Emulator) -> anyhow::Result<()> {
        let vpc = &self.vpc.id;
        for subnet in &self.subnets {
            check_id("subnet", &subnet.id)?;
            emulator
                .add_subnet(SubnetSpec {
                    id: Some(subnet.id.clone()),
                    map_public_ip: subnet.public,
                    tags: subnet.tags.clone(),
                    ..SubnetSpec::new(vpc, &subnet.zone, subnet.cidr)
                })
                .with_context(|| format!("subnet {}", subnet.id))?;
        }
        let public = self.subnets.iter().filter(|subnet| subnet.public);
        let public: BTreeSet<String> = public.map(|subnet| subnet.id.clone()).collect();
        if !public.is_empty() {
            let gateway = emulator.add_internet_gateway(vpc, None)?;
            emulator.add_route_table(RouteTableSpec {
                subnets: public,
                internet_gateway_id: Some(gateway),
                ..RouteTableSpec::new(vpc)
            })?;
        }
        Ok(())
    }

    fn add_security_groups(&self, emulator: &mut Emulator) -> anyhow::Result<()> {
        let clusters: BTreeSet<&String> = self
            .nodes
            .iter()
            .filter_map(|node| node.security_groups.first())
            .collect();
        let all: BTreeSet<&String> = self
            .nodes
            .iter()
            .flat_map(|node| &node.security_groups)
            .collect();
        for id in all {
            check_id("sg", id)?;
            // By this tag controllers find the one of a node's groups that they may change.
            let tag = format!("kubernetes.io/cluster/{}", self.cluster_name);
            let tags = clusters.contains(id).then(|| (tag, "owned".to_owned()));
            emulator.add_security_group(SecurityGroupSpec {
                id: Some(id.clone()),
                name: format!("{}-{id}", self.cluster_name),
                description: "Nodes".to_owned(),
                vpc_id: self.vpc.id.clone(),
                tags: tags.into_iter().collect(),
            })?;
        }
        Ok(())
    }

    fn add_node(&self, emulator: &mut Emulator, node: &Node) -> anyhow::Result<()> {
        check_id("i", &node.instance_id)?;
        let subnet = self
            .subnets
            .iter()
            .find(|subnet| subnet.zone == node.zone && subnet.cidr.contains(&node.address))
            .with_context(|| format!("{} lies in no subnet of zone {}", node.address, node.zone))?;
        emulator.add_instance(InstanceSpec {
            id: Some(node.instance_id.clone()),
            private_ip: Some(node.address),
            security_groups: node.security_groups.iter().cloned().collect(),
            tags: node.tags.clone(),
            ..InstanceSpec::new(&subnet.id)
        })?;
        if let Some(pods) = node.pod_cidr {
            emulator.add_instance_prefixes(&node.instance_id, pods)?;
        }
        Ok(())
    }

    fn add_certificates(
        &self,
        emulator: &mut Emulator,
        now: Timestamp,
    ) -> anyhow::Result<Option<String>> {
        if self.certificates.is_empty() {
            return Ok(None);
        }
        let authority = Authority::new()?;
        for certificate in &self.certificates {
            let Certificate { arn, domains } = certificate;
            ensure!(!domains.is_empty(), "certificate {arn} is for no domain");
            let issued = authority.issue(domains)?;
            emulator
                .add_certificate(CertificateSpec {
                    arn: Some(arn.clone()),
                    created_at: now,
                    pem: CertificatePem {
                        certificate: issued.certificate_pem,
                        chain: authority.pem().to_owned(),
                        private_key: issued.private_key_pem,
                    },
                    ..CertificateSpec::new(domains)
                })
                .with_context(|| format!("certificate {arn}"))?;
        }
        Ok(Some(authority.pem().to_owned()))
    }
}

/// EC2 refuses requests with ids of another form, so a world with such an id would be of no use.
fn check_id(kind: &str, id: &str) -> anyhow::Result<()> {
    let digits = id
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('-'));
    let is_id = digits.is_some_and(|digits| {
        matches!(digits.len(), 8 | 17)
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    ensure!(
        is_id,
        "`{id}` is not `{kind}-` and 8 or 17 hexadecimal digits"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use elbow_emulator::Config;
    use serde_json::{Value, json};

    use super::*;

    fn file() -> Value {
        json!({
            "region": "eu-west-1",
            "account": "111122223333",
            "vpc": {"id": "vpc-0123456789abcdef0", "cidr": "10.0.0.0/16"},
            "subnets": [
                {"id": "subnet-00000001", "zone": "eu-west-1a", "cidr": "10.0.0.0/24",
                 "public": true, "tags": {"kubernetes.io/role/elb": "1"}},
                {"id": "subnet-00000002", "zone": "eu-west-1b", "cidr": "10.0.1.0/24",
                 "public": false, "tags": {}},
            ],
            "nodes": [
                {"instanceId": "i-0123456789abcdef0", "zone": "eu-west-1b", "address": "10.0.1.10",
                 "podCidr": "10.0.1.64/27",
                 "securityGroups": ["sg-00000001", "sg-00000002"], "tags": {"a": "b"}},
            ],
            "clusterName": "my-cluster",
        })
    }

    fn built(file: Value) -> anyhow::Result<(Emulator, Option<String>)> {
        let file: WorldFile = serde_json::from_value(file)?;
        let mut emulator = Emulator::new(Config {
            region: file.region.clone(),
            account_id: file.account.clone(),
            ..Config::default()
        });
        let ca = file.build(&mut emulator, Timestamp::default())?;
        Ok((emulator, ca))
    }

    fn ask(emulator: &mut Emulator, operation: &str, request: Value) -> Value {
        let operation = elbow_emulator::operation::find(elbow_emulator::Service::Ec2, operation)
            .expect("it is modelled");
        let answer = emulator.handle_value(Timestamp::default(), operation, request);
        answer.expect("it is answered").to_value()
    }

    #[test]
    fn instances_have_their_ids_addresses_and_groups() {
        let (mut emulator, ca) = built(file()).expect("it is right");
        assert_eq!(ca, None);
        let instances = ask(&mut emulator, "DescribeInstances", json!({}));
        let instance = &instances["Reservations"][0]["Instances"][0];
        assert_eq!(instance["InstanceId"], "i-0123456789abcdef0");
        assert_eq!(instance["PrivateIpAddress"], "10.0.1.10");
        assert_eq!(instance["SubnetId"], "subnet-00000002");
        let prefixes = &instance["NetworkInterfaces"][0]["Ipv4Prefixes"];
        let expected = json!([{"Ipv4Prefix": "10.0.1.64/28"}, {"Ipv4Prefix": "10.0.1.80/28"}]);
        assert_eq!(*prefixes, expected);
        let tags = json!([{"Key": "kubernetes.io/cluster/my-cluster", "Value": "owned"}]);
        let groups = ask(
            &mut emulator,
            "DescribeSecurityGroups",
            json!({"GroupIds": ["sg-00000001", "sg-00000002"]}),
        );
        let groups = &groups["SecurityGroups"];
        assert_eq!(groups[0]["Tags"], tags, "the first one is the cluster's");
        assert_ne!(groups[1]["Tags"], tags);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        type Change = fn(&mut Value);
        let rows: [(&str, Change, &str); 8] = [
            ("a bucket", |f| f["buckets"] = json!(["No"]), "`No`"),
            (
                "a pod network outside",
                |f| f["nodes"][0]["podCidr"] = json!("10.0.0.64/28"),
                "10.0.0.64/28",
            ),
            (
                "a pod network over the node",
                |f| f["nodes"][0]["podCidr"] = json!("10.0.1.0/28"),
                "10.0.1.10",
            ),
            (
                "an address",
                |f| f["nodes"][0]["address"] = json!("10.0.0.9"),
                "10.0.0.9",
            ),
            ("an id", |f| f["vpc"]["id"] = json!("vpc-x"), "vpc-x"),
            (
                "a network",
                |f| f["subnets"][0]["cidr"] = json!("10.1.0.0/24"),
                "10.1.0.0/24",
            ),
            ("a field", |f| f["zones"] = json!([]), "zones"),
            (
                "a certificate",
                |f| f["certificates"] = json!([{"arn": "arn:x", "domains": []}]),
                "arn:x",
            ),
        ];
        for (row, change, named) in rows {
            let mut file = file();
            change(&mut file);
            let error = built(file).expect_err(row);
            assert!(format!("{error:#}").contains(named), "{row}: {error:#}");
        }
    }

    #[test]
    fn without_a_file_there_is_a_vpc_over_three_zones() {
        let mut emulator = Emulator::new(Config::default());
        let built = WorldFile::usual().build(&mut emulator, Timestamp::default());
        assert_eq!(built.expect("it fits together"), None);
        let subnets = ask(&mut emulator, "DescribeSubnets", json!({}));
        assert_eq!(subnets["Subnets"].as_array().map(Vec::len), Some(6));
    }

    #[test]
    fn certificates_are_made_up() {
        let mut file = file();
        file["certificates"] = json!([{
            "arn": "arn:aws:acm:eu-west-1:111122223333:certificate/11111111-2222-3333-4444-555555555555",
            "domains": ["*.example.com"],
        }]);
        let (emulator, ca) = built(file.clone()).expect("it is right");
        let arn = file["certificates"][0]["arn"].as_str().expect("text");
        let pem = emulator.certificate_pem(arn).expect("it is there");
        assert_eq!(Some(&pem.chain), ca.as_ref());
    }
}
