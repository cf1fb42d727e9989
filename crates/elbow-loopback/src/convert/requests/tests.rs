//! Every call becomes the request of its name, and none leaves with an open reference.

use elbow_model::aws_call::{RulePriority, TagTarget};
use elbow_model::rule::{Action, FixedResponse, Forward, WeightedTargetGroup};
use elbow_model::stack::{
    HealthCheck, IngressRule, IngressSource, IpAddressType, LoadBalancerType, Matcher, Protocol,
    Scheme, SubnetMapping, Target, TargetFamily, TargetType,
};
use elbow_model::{
    Attributes, CertificateArn, CertificateMaterial, InstanceId, ListenerArn, LoadBalancerArn,
    MutualAuthentication, Port, ResourceId, ResourceKey, ResourceKind, RuleArn, SecretContent,
    SecurityGroupId, StackId, SubnetId, Tags, TargetGroupArn, TrustStoreArn, VpcId,
};

use super::*;

fn target() -> Target {
    Target {
        id: "192.168.0.9".into(),
        port: port(80),
        availability_zone: Some("all".into()),
        quic_server_id: Some("0x0123456789abcdef".into()),
    }
}

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

fn health_check() -> HealthCheck {
    HealthCheck {
        port: "traffic-port".into(),
        protocol: Protocol::Http,
        path: Some("/".into()),
        matcher: Some(Matcher::HttpCode("200".into())),
        interval_seconds: 15,
        timeout_seconds: 5,
        healthy_threshold_count: 2,
        unhealthy_threshold_count: 2,
    }
}

fn content() -> SecretContent {
    SecretContent {
        namespace: "shop".into(),
        name: "tls".into(),
        digest: "00".into(),
    }
}

fn material() -> CertificateMaterial {
    CertificateMaterial {
        certificate: "certificate".into(),
        chain: Some("chain".into()),
        private_key: "key".to_owned().into(),
    }
}

#[test]
fn an_import_without_its_key_is_no_request() {
    let call = AwsCall::ImportCertificate {
        certificate: None,
        content: content(),
        tags: Tags::new(),
    };
    assert_eq!(request(&call, None).unwrap_err().code, "SecretNotRead");
}

/// One call of each kind.
fn one_of_each() -> Vec<AwsCall> {
    let group = || Ref::from(SecurityGroupId::new("sg-1"));
    let lb_arn = LoadBalancerArn::new("lb");
    let lb = || Ref::from(lb_arn.clone());
    let listener_arn = ListenerArn::new("listener");
    let listener = || Ref::from(listener_arn.clone());
    let rule = || Ref::from(RuleArn::new("rule"));
    let tg_arn = TargetGroupArn::new("tg");
    let tg = || Ref::from(tg_arn.clone());
    let vpc_id = || VpcId::new("vpc-1");
    let certificate = || CertificateArn::new("certificate");
    let trust_store = || Ref::from(TrustStoreArn::new("trust-store"));
    let tags = || Tags::from([("a".to_owned(), "b".to_owned())]);
    let keys = || std::iter::once("a".to_owned()).collect();
    let attributes = || Attributes::from([("a".to_owned(), "b".to_owned())]);
    let action = || Action::FixedResponse(FixedResponse::plain(404));
    let subnets = || vec![SubnetMapping::of(SubnetId::new("subnet-1"))];
    let rules = || {
        vec![IngressRule {
            protocol: "tcp".into(),
            from_port: Some(80),
            to_port: Some(80),
            source: IngressSource::Ipv4("0.0.0.0/0".into()),
            description: Some("d".into()),
        }]
    };
    let marker = || Some("next".to_owned());
    vec![
        AwsCall::CreateSecurityGroup {
            name: "n".into(),
            description: "d".into(),
            vpc_id: vpc_id(),
            tags: tags(),
        },
        AwsCall::DeleteSecurityGroup { group: group() },
        AwsCall::AuthorizeSecurityGroupIngress {
            group: group(),
            rules: rules(),
        },
        AwsCall::RevokeSecurityGroupIngress {
            group: group(),
            rules: rules(),
        },
        AwsCall::CreateSecurityGroupTags {
            group: group(),
            tags: tags(),
        },
        AwsCall::DeleteSecurityGroupTags {
            group: group(),
            keys: keys(),
        },
        AwsCall::CreateLoadBalancer {
            name: "n".into(),
            lb_type: LoadBalancerType::Application,
            scheme: Scheme::Internal,
            ip_address_type: IpAddressType::Ipv4,
            subnets: subnets(),
            security_groups: vec![group()],
            tags: tags(),
        },
        AwsCall::DeleteLoadBalancer {
            load_balancer: lb(),
        },
        AwsCall::SetSecurityGroups {
            load_balancer: lb(),
            security_groups: vec![group()],
            enforce_security_group_inbound_rules_on_private_link_traffic: None,
        },
        AwsCall::SetSubnets {
            load_balancer: lb(),
            subnets: subnets(),
        },
        AwsCall::SetIpAddressType {
            load_balancer: lb(),
            ip_address_type: IpAddressType::Dualstack,
        },
        AwsCall::ModifyLoadBalancerAttributes {
            load_balancer: lb(),
            attributes: attributes(),
        },
        AwsCall::CreateTargetGroup {
            name: "n".into(),
            target_type: TargetType::Ip,
            protocol: Protocol::Http,
            protocol_version: None,
            port: port(80),
            ip_address_type: TargetFamily::Ipv4,
            vpc_id: vpc_id(),
            health_check: health_check(),
            tags: tags(),
        },
        AwsCall::ModifyTargetGroup {
            target_group: tg(),
            health_check: health_check(),
        },
        AwsCall::ModifyTargetGroupAttributes {
            target_group: tg(),
            attributes: attributes(),
        },
        AwsCall::DeleteTargetGroup { target_group: tg() },
        AwsCall::RegisterTargets {
            target_group: tg(),
            targets: vec![target()],
        },
        AwsCall::DeregisterTargets {
            target_group: tg(),
            targets: vec![target()],
        },
        AwsCall::CreateListener {
            load_balancer: lb(),
            port: port(443),
            protocol: Protocol::Https,
            default_action: action(),
            default_certificate: Some(certificate().into()),
            ssl_policy: None,
            alpn_policy: None,
            mutual_authentication: Some(MutualAuthentication::Passthrough),
            tags: tags(),
        },
        AwsCall::ModifyListener {
            listener: listener(),
            protocol: None,
            default_action: Some(action()),
            default_certificate: None,
            ssl_policy: None,
            alpn_policy: None,
            mutual_authentication: Some(MutualAuthentication::Verify {
                trust_store: trust_store(),
                ignore_client_certificate_expiry: true,
                advertise_trust_store_ca_names: false,
            }),
        },
        AwsCall::ModifyListenerAttributes {
            listener: listener(),
            attributes: attributes(),
        },
        AwsCall::DeleteListener {
            listener: listener(),
        },
        AwsCall::AddListenerCertificates {
            listener: listener(),
            certificate: certificate().into(),
        },
        AwsCall::RemoveListenerCertificates {
            listener: listener(),
            certificate: certificate(),
        },
        AwsCall::CreateRule {
            listener: listener(),
            priority: 1,
            conditions: Vec::new(),
            action: action(),
            transforms: Vec::new(),
            tags: tags(),
        },
        AwsCall::ModifyRule {
            rule: rule(),
            conditions: None,
            action: Some(action()),
            transforms: Some(Vec::new()),
        },
        AwsCall::SetRulePriorities {
            priorities: vec![RulePriority {
                rule: rule(),
                priority: 2,
            }],
        },
        AwsCall::DeleteRule { rule: rule() },
        AwsCall::CreateTrustStore {
            name: "n".into(),
            bucket: "bucket".into(),
            key: "key".into(),
            tags: tags(),
        },
        AwsCall::ModifyTrustStore {
            trust_store: trust_store(),
            bucket: "bucket".into(),
            key: "key".into(),
        },
        AwsCall::DeleteTrustStore {
            trust_store: trust_store(),
        },
        AwsCall::DescribeTrustStores {
            names: vec!["n".into()],
            marker: marker(),
        },
        AwsCall::PutObject {
            bucket: "bucket".into(),
            key: "key".into(),
            content: "content".into(),
        },
        AwsCall::DeleteObject {
            bucket: "bucket".into(),
            key: "key".into(),
        },
        AwsCall::AddTags {
            resource: TagTarget::Rule(rule()),
            tags: tags(),
        },
        AwsCall::RemoveTags {
            resource: TagTarget::TargetGroup(tg()),
            keys: keys(),
        },
        AwsCall::DescribeLoadBalancers {
            arns: vec![lb_arn.clone()],
            marker: marker(),
        },
        AwsCall::DescribeLoadBalancerAttributes {
            load_balancer: lb_arn.clone(),
        },
        AwsCall::DescribeListeners {
            load_balancer: lb_arn.clone(),
            marker: marker(),
        },
        AwsCall::DescribeListenerAttributes {
            listener: listener_arn.clone(),
        },
        AwsCall::DescribeListenerCertificates {
            listener: listener_arn.clone(),
            marker: marker(),
        },
        AwsCall::DescribeRules {
            listener: listener_arn.clone(),
            marker: marker(),
        },
        AwsCall::DescribeTargetGroups {
            arns: vec![tg_arn.clone()],
            names: Vec::new(),
            marker: marker(),
        },
        AwsCall::DescribeTargetGroupAttributes {
            target_group: tg_arn.clone(),
        },
        AwsCall::DescribeTargetHealth {
            target_group: tg_arn.clone(),
        },
        AwsCall::DescribeTags {
            arns: vec!["lb".into()],
        },
        AwsCall::DescribeVpcs { vpc_id: vpc_id() },
        AwsCall::DescribeSubnets {
            vpc_id: vpc_id(),
            marker: marker(),
        },
        AwsCall::DescribeRouteTables {
            vpc_id: vpc_id(),
            marker: marker(),
        },
        AwsCall::DescribeAvailabilityZones,
        AwsCall::DescribeSecurityGroups {
            vpc_id: vpc_id(),
            tags: tags(),
            marker: marker(),
        },
        AwsCall::DescribeNodeSecurityGroups {
            vpc_id: vpc_id(),
            cluster_name: "demo".into(),
            marker: marker(),
        },
        AwsCall::DescribeSecurityGroupsThatLetIn {
            vpc_id: vpc_id(),
            group: SecurityGroupId::new("sg-1"),
            marker: marker(),
        },
        AwsCall::DescribeSecurityGroupsById {
            groups: [SecurityGroupId::new("sg-1")].into(),
            marker: marker(),
        },
        AwsCall::DescribeInstances {
            instances: [InstanceId::new("i-1")].into(),
            marker: marker(),
        },
        AwsCall::DescribeNetworkInterfaces {
            vpc_id: vpc_id(),
            addresses: ["10.0.0.1".parse().unwrap()].into(),
            marker: marker(),
        },
        AwsCall::ImportCertificate {
            certificate: Some(certificate()),
            content: content(),
            tags: Tags::new(),
        },
        AwsCall::ImportCertificate {
            certificate: None,
            content: content(),
            tags: tags(),
        },
        AwsCall::DeleteCertificate {
            certificate: certificate(),
        },
        AwsCall::AddTagsToCertificate {
            certificate: certificate(),
            tags: tags(),
        },
        AwsCall::RemoveTagsFromCertificate {
            certificate: certificate(),
            keys: keys(),
        },
        AwsCall::ListCertificates { marker: marker() },
        AwsCall::ListImportedCertificates { marker: marker() },
        AwsCall::ListTagsForCertificate {
            certificate: certificate(),
        },
        AwsCall::DescribeCertificate {
            certificate: certificate(),
        },
        AwsCall::GetResources {
            tags: tags(),
            resource_types: vec!["elasticloadbalancing:targetgroup".into()],
            marker: marker(),
        },
    ]
}

#[test]
fn every_call_is_a_request_to_the_operation_of_its_name() {
    let calls = one_of_each();
    let asked: Vec<_> = calls.iter().map(AwsCall::asks_for).collect();
    for operation in elbow_model::aws_call::OPERATIONS {
        assert!(asked.contains(operation), "{operation:?}");
    }
    for call in calls {
        let name = if let Some(request) = s3_request(&call) {
            request.operation()
        } else {
            let request = request(&call, Some(&material())).unwrap();
            request.operation().name
        };
        assert_eq!(name, call.operation());
    }
}

#[test]
fn a_reference_without_an_id_is_never_sent() {
    let key = ResourceKey {
        stack: StackId::CLUSTER,
        kind: ResourceKind::TargetGroup,
        id: ResourceId::new("group"),
    };
    let forward = Forward {
        target_groups: vec![WeightedTargetGroup {
            target_group: Ref::Of(key),
            weight: Some(1),
        }],
        stickiness: None,
    };
    let call = AwsCall::ModifyRule {
        rule: RuleArn::new("rule").into(),
        conditions: None,
        action: Some(Action::Forward(forward)),
        transforms: None,
    };
    assert_eq!(
        request(&call, None).unwrap_err().code,
        "UnresolvedReference"
    );
}
