//! Manifests to translations, with the network that LBC's samples were recorded in.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{Diagnostic, NamespacedName, Snapshot};
use elbow_cluster::{Input, load};
use elbow_model::facts::{Certificate, Subnet, Vpc, ZoneType};
use elbow_model::stack::TargetType;
use elbow_model::{CertificateArn, FactQuery, Facts, SubnetId, Tags, VpcId};
use elbow_translate::{Settings, Translated, Translation, translate_gateway};

/// The VPC of the samples.
pub(crate) const VPC: &str = "vpc-bb5e6cc5b903172e8";
/// Its public and private subnets, by zone.
pub(crate) const PUBLIC: [&str; 3] = [
    "subnet-0a20b32629a0932b4",
    "subnet-14a5f1d344c1d3958",
    "subnet-8bf6ed5cb33fc622f",
];
pub(crate) const PRIVATE: [&str; 3] = [
    "subnet-4b267d6eb9d46af63",
    "subnet-7c2d1ea33010246e1",
    "subnet-47aa9fd8ecfa1c688",
];

/// The flags of the samples.
pub(crate) fn settings() -> Settings {
    Settings {
        default_target_type: TargetType::Ip,
        region: Some("ap-northeast-2".to_owned()),
        ..Settings::new("my-cluster", VpcId::new(VPC))
    }
}

/// Everything that can be asked of the network of the samples.
pub(crate) fn facts() -> Facts {
    let mut subnets = BTreeMap::new();
    for (place, ids) in [PUBLIC, PRIVATE].into_iter().enumerate() {
        let role = ["kubernetes.io/role/elb", "kubernetes.io/role/internal-elb"][place];
        for (index, (id, zone)) in ids.into_iter().zip(["a", "b", "c"]).enumerate() {
            subnets.insert(
                SubnetId::new(id),
                Subnet {
                    id: SubnetId::new(id),
                    availability_zone: format!("ap-northeast-2{zone}"),
                    ipv4_cidr: format!("192.168.{}.0/24", 10 * place + index),
                    ipv6_cidrs: Vec::new(),
                    available_ip_address_count: 200,
                    outpost_arn: None,
                    tags: Tags::from([(role.to_owned(), "1".to_owned())]),
                },
            );
        }
    }
    let zones = ["a", "b", "c"].map(|z| (format!("ap-northeast-2{z}"), ZoneType::AvailabilityZone));
    Facts {
        vpc: Some(Vpc {
            id: VpcId::new(VPC),
            ipv4_cidrs: vec!["192.168.0.0/16".to_owned()],
            ipv6_cidrs: Vec::new(),
        }),
        subnets: Some(subnets),
        public_subnets: Some(PUBLIC.map(SubnetId::new).into()),
        zones: Some(zones.into()),
        certificates: Some(BTreeMap::from([(
            CertificateArn::new("arn:aws:acm:ap-northeast-2:123456789012:certificate/1"),
            Certificate {
                domains: BTreeSet::from(["*.example.com".to_owned()]),
                certificate_authority_arn: None,
            },
        )])),
        ..Facts::default()
    }
}

/// A Snapshot of manifests; a finding of the loader is a failure.
#[track_caller]
pub(crate) fn snapshot(manifests: &str) -> Snapshot {
    let loaded = load(&[Input::Stdin(manifests.as_bytes().to_vec())]);
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == elbow_api::Severity::Error)
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    loaded.snapshot
}

/// Translates a Gateway in the network of the samples; no load balancer is there yet.
#[track_caller]
pub(crate) fn translate(snapshot: &Snapshot, gateway: &str, settings: &Settings) -> Translation {
    translate_with(snapshot, gateway, settings, facts())
}

/// The same with other facts; a load balancer that they do not name is not there.
#[track_caller]
pub(crate) fn translate_with(
    snapshot: &Snapshot,
    gateway: &str,
    settings: &Settings,
    mut facts: Facts,
) -> Translation {
    let (namespace, name) = gateway.split_once('/').unwrap();
    let gateway = NamespacedName::new(namespace, name);
    for _ in 0..4 {
        match translate_gateway(snapshot, &facts, settings, &gateway) {
            Translated::Done(translation) => return *translation,
            Translated::NeedFacts(queries) => {
                for query in queries {
                    match query {
                        FactQuery::LoadBalancerOf(stack) => {
                            facts.load_balancers.insert(stack, None);
                        }
                        FactQuery::SecurityGroupsByName(name) => {
                            facts.security_groups_by_name.insert(name, Vec::new());
                        }
                        other => unreachable!("{other:?} is a fact of the samples"),
                    }
                }
            }
        }
    }
    unreachable!("facts that were given are asked for again")
}

/// A finding on one line: code, object, field.
pub(crate) fn line(diagnostic: &Diagnostic) -> String {
    let object = diagnostic.object.as_ref().map(ToString::to_string);
    format!(
        "{} {} {}",
        diagnostic.code,
        object.unwrap_or_default(),
        diagnostic.field.as_deref().unwrap_or_default()
    )
}
