//! ACM beside what the clients of `e2e/aws-clients` look at.

use crate::acm::{CertificatePem, CertificateStatus};
use crate::generated::{acm as wire, elbv2};
use crate::world::{CertificateSpec, SubnetSpec, VpcSpec, WorldError};
use crate::{ApiError, Config, Emulator, Quotas, Response, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn describe(emulator: &mut Emulator, arn: &str) -> wire::CertificateDetail {
    let request = wire::DescribeCertificateInput {
        certificate_arn: arn.into(),
    };
    let response = emulator.handle(NOW, request).unwrap();
    wire::DescribeCertificateOutput::try_from(response)
        .unwrap()
        .certificate
        .unwrap()
}

fn delete(emulator: &mut Emulator, arn: &str) -> Result<Response, ApiError> {
    emulator.handle(
        NOW,
        wire::DeleteCertificateInput {
            certificate_arn: arn.into(),
        },
    )
}

#[test]
fn a_certificate_in_use_stays() {
    let mut emulator = Emulator::new(Config::default());
    let vpc = emulator
        .add_vpc(VpcSpec::new("10.0.0.0/16".parse().unwrap()))
        .unwrap();
    emulator.add_internet_gateway(&vpc, None).unwrap();
    let subnets = [("a", 0), ("b", 1)].map(|(zone, third)| {
        let cidr = format!("10.0.{third}.0/24").parse().unwrap();
        emulator
            .add_subnet(SubnetSpec::new(&vpc, format!("us-east-1{zone}"), cidr))
            .unwrap()
    });
    let arn = emulator
        .add_certificate(CertificateSpec::new(["example.com"]))
        .unwrap();
    let request = elbv2::CreateLoadBalancerInput {
        name: "web".into(),
        subnets: Some(subnets.to_vec()),
        ..Default::default()
    };
    let made = emulator.handle(NOW, request).unwrap();
    let made = elbv2::CreateLoadBalancerOutput::try_from(made)
        .unwrap()
        .load_balancers
        .unwrap();
    let balancer = made[0].load_balancer_arn.clone().unwrap();
    assert_eq!(describe(&mut emulator, &arn).in_use_by, Some(Vec::new()));
    let action = elbv2::Action {
        r#type: "fixed-response".into(),
        fixed_response_config: Some(elbv2::FixedResponseActionConfig {
            status_code: "404".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let request = elbv2::CreateListenerInput {
        load_balancer_arn: balancer.clone(),
        protocol: Some("HTTPS".into()),
        port: Some(443),
        certificates: Some(vec![elbv2::Certificate {
            certificate_arn: Some(arn.clone()),
            is_default: None,
        }]),
        default_actions: vec![action],
        ..Default::default()
    };
    emulator.handle(NOW, request).unwrap();
    assert_eq!(
        describe(&mut emulator, &arn).in_use_by,
        Some(vec![balancer.clone()])
    );
    assert_eq!(
        delete(&mut emulator, &arn).unwrap_err().code,
        "ResourceInUseException"
    );
    let request = elbv2::DeleteLoadBalancerInput {
        load_balancer_arn: balancer,
    };
    emulator.handle(NOW, request).unwrap();
    assert!(delete(&mut emulator, &arn).is_ok());
}

#[test]
fn a_pending_certificate_has_no_text() {
    let mut emulator = Emulator::new(Config::default());
    let spec = CertificateSpec {
        status: CertificateStatus::PendingValidation,
        ..CertificateSpec::new(["example.com"])
    };
    let arn = emulator.add_certificate(spec).unwrap();
    let request = wire::GetCertificateInput {
        certificate_arn: arn.clone(),
    };
    assert_eq!(
        emulator.handle(NOW, request).unwrap_err().code,
        "RequestInProgressException"
    );
    assert_eq!(describe(&mut emulator, &arn).issued_at, None);
}

#[test]
fn worlds_refuse_certificates_that_cannot_be_served() {
    let mut emulator = Emulator::new(Config::default());
    let pem = CertificatePem {
        certificate: "text".into(),
        ..CertificatePem::default()
    };
    let spec = CertificateSpec {
        pem,
        ..CertificateSpec::new(["example.com"])
    };
    assert!(matches!(
        emulator.add_certificate(spec),
        Err(WorldError::Certificate(_))
    ));
    let nameless = CertificateSpec::new(Vec::<String>::new());
    assert!(matches!(
        emulator.add_certificate(nameless),
        Err(WorldError::Certificate(_))
    ));
}

#[test]
fn the_quota_counts_all_certificates() {
    let quotas = Quotas {
        certificates: 1,
        ..Quotas::default()
    };
    let mut emulator = Emulator::new(Config {
        quotas,
        ..Config::default()
    });
    emulator
        .add_certificate(CertificateSpec::new(["example.com"]))
        .unwrap();
    let request = wire::ImportCertificateInput {
        certificate: crate::Blob(b"x".to_vec()),
        private_key: crate::Blob(b"x".to_vec()),
        ..Default::default()
    };
    assert_eq!(
        emulator.handle(NOW, request).unwrap_err().code,
        "LimitExceededException"
    );
}
