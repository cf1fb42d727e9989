//! The emulator's AWS API alone, on a free port, with a small world: for tests with other clients.
//!
//! ```text
//! cargo run -p elbow-emulator-server --example serve
//! ```
//!
//! Out: one line of JSON on standard output with the endpoint, the ids of the world, and a
//! certificate to import. Ends when its standard input does.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Write as _;
use std::net::Ipv4Addr;

use elbow_emulator::acm::CertificatePem;
use elbow_emulator::world::{
    AddressSpec, CertificateSpec, InstanceSpec, RouteTableSpec, SubnetSpec, VpcSpec,
};
use elbow_emulator::{Config, Emulator, HealthMode};
use elbow_emulator_server::{Clock, SharedEmulator, serve_api};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::new(1.0);
    // There is no data plane here, so nobody could run health checks.
    let config = Config {
        health: HealthMode::AssumeHealthy,
        ..Config::default()
    };
    let mut emulator = Emulator::new(config);
    let mut facts = build_world(&mut emulator, clock)?;
    let shutdown = CancellationToken::new();
    let shared = SharedEmulator::start(emulator, clock, shutdown.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    facts["endpoint"] = format!("http://{}", listener.local_addr()?).into();
    writeln!(std::io::stdout(), "{facts}")?;
    let serving = tokio::spawn(serve_api(shared, listener, shutdown.clone()));
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    shutdown.cancel();
    serving.await??;
    Ok(())
}

/// A VPC over three zones, each with a public and a private subnet that carry the tags by which
/// load balancer controllers find them.
fn build_world(emulator: &mut Emulator, clock: Clock) -> Result<Value, Box<dyn Error>> {
    let region = emulator.config().region.clone();
    let tags = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        pairs.collect::<BTreeMap<String, String>>()
    };
    let vpc = emulator.add_vpc(VpcSpec {
        tags: tags(&[("Name", "example")]),
        ..VpcSpec::new("10.0.0.0/16".parse()?)
    })?;
    let gateway = emulator.add_internet_gateway(&vpc, None)?;
    let (mut public, mut private) = (Vec::new(), Vec::new());
    for (index, letter) in ['a', 'b', 'c'].into_iter().enumerate() {
        let zone = format!("{region}{letter}");
        let spec = |third: usize| -> Result<SubnetSpec, Box<dyn Error>> {
            Ok(SubnetSpec::new(
                &vpc,
                &zone,
                format!("10.0.{third}.0/24").parse()?,
            ))
        };
        public.push(emulator.add_subnet(SubnetSpec {
            map_public_ip: true,
            tags: tags(&[
                ("Name", &format!("public-{letter}")),
                ("kubernetes.io/role/elb", "1"),
            ]),
            ..spec(index)?
        })?);
        private.push(emulator.add_subnet(SubnetSpec {
            tags: tags(&[
                ("Name", &format!("private-{letter}")),
                ("kubernetes.io/role/internal-elb", "1"),
            ]),
            ..spec(index + 100)?
        })?);
    }
    emulator.add_route_table(RouteTableSpec {
        subnets: public.iter().cloned().collect::<BTreeSet<_>>(),
        internet_gateway_id: Some(gateway),
        ..RouteTableSpec::new(&vpc)
    })?;
    let mut instances = Vec::new();
    for subnet in &private {
        instances.push(emulator.add_instance(InstanceSpec::new(subnet))?);
    }
    let mut allocations = Vec::new();
    for last in 10..13 {
        // 203.0.113.0/24 is set aside for documentation (RFC 5737).
        let public_ip = Ipv4Addr::new(203, 0, 113, last);
        let tags = BTreeMap::new();
        allocations.push(emulator.add_address(AddressSpec {
            allocation_id: None,
            public_ip,
            tags,
        })?);
    }
    let rsa = emulator.add_certificate(CertificateSpec {
        created_at: clock.now(),
        ..CertificateSpec::new(["rsa.example.com", "*.rsa.example.com"])
    })?;
    let served = rcgen::generate_simple_self_signed(vec!["ec.example.com".to_owned()])?;
    let ec = emulator.add_certificate(CertificateSpec {
        created_at: clock.now(),
        pem: CertificatePem {
            certificate: served.cert.pem(),
            chain: String::new(),
            private_key: served.signing_key.serialize_pem(),
        },
        ..CertificateSpec::new(["ec.example.com"])
    })?;
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = authority.self_signed(&rcgen::KeyPair::generate()?)?;
    let import = rcgen::generate_simple_self_signed(vec!["import.example.com".to_owned()])?;
    Ok(json!({
        "region": region,
        "accountId": emulator.config().account_id,
        "vpcId": vpc,
        "publicSubnets": public,
        "privateSubnets": private,
        "instances": instances,
        "allocations": allocations,
        "certificates": { "rsa": rsa, "ec": ec },
        "authority": authority.pem(),
        "import": {
            "certificate": import.cert.pem(),
            "privateKey": import.signing_key.serialize_pem(),
            "otherPrivateKey": served.signing_key.serialize_pem(),
        },
    }))
}
