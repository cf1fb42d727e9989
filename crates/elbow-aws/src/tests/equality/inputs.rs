//! What the stories ask for. In: names. Out: calls and their parts, with every kind of value.

use elbow_model::rule::{
    Action, Condition, FixedResponse, Forward, Pattern, QueryPair, Redirect, Stickiness,
    WeightedTargetGroup,
};
use elbow_model::stack::{
    HealthCheck, IngressRule, IngressSource, Matcher, NODE_RULE_LABEL, Protocol, ProtocolVersion,
    Target, TargetFamily, TargetType,
};
use elbow_model::{
    Attributes, AwsCall, CertificateArn, CertificateMaterial, ListenerArn, LoadBalancerArn, Port,
    Ref, SecretContent, SecurityGroupId, Tags, TargetGroupArn, VpcId,
};

use crate::tests::world::{CERTIFICATES, VPC};

pub(super) fn create_group(name: &str) -> AwsCall {
    AwsCall::CreateSecurityGroup {
        name: name.to_owned(),
        description: "[k8s] Managed SecurityGroup for LoadBalancer".to_owned(),
        vpc_id: VpcId::new(VPC),
        tags: tags(name),
    }
}

pub(super) fn tags(name: &str) -> Tags {
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    // With what a URL has to escape and ELBv2 allows in tags.
    Tags::from([
        tag("elbow/name", name),
        tag("odd = key", "a+b=c/ü @:_.-"),
        tag("empty", ""),
    ])
}

pub(super) fn attributes(pairs: &[(&str, &str)]) -> Attributes {
    let pair = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    pairs.iter().map(pair).collect()
}

pub(super) fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

pub(super) fn certificate(which: usize) -> CertificateArn {
    CertificateArn::new(CERTIFICATES[which])
}

pub(super) fn health_check() -> HealthCheck {
    HealthCheck {
        port: "traffic-port".to_owned(),
        protocol: Protocol::Http,
        path: Some("/healthz?a=b&c".to_owned()),
        matcher: Some(Matcher::HttpCode("200-399".to_owned())),
        interval_seconds: 15,
        timeout_seconds: 5,
        healthy_threshold_count: 2,
        unhealthy_threshold_count: 3,
    }
}

pub(super) fn create_target_group(name: &str) -> AwsCall {
    AwsCall::CreateTargetGroup {
        name: name.to_owned(),
        target_type: TargetType::Ip,
        protocol: Protocol::Http,
        protocol_version: Some(ProtocolVersion::Http1),
        port: port(8080),
        ip_address_type: TargetFamily::Ipv4,
        vpc_id: VpcId::new(VPC),
        health_check: health_check(),
        tags: tags(name),
    }
}

pub(super) fn target(id: &str) -> Target {
    Target {
        id: id.to_owned(),
        port: port(8080),
        availability_zone: None,
        quic_server_id: None,
    }
}

pub(super) fn forward(groups: &[(&TargetGroupArn, u16)]) -> Action {
    let group = |&(arn, weight): &(&TargetGroupArn, u16)| WeightedTargetGroup {
        target_group: Ref::Known(arn.clone()),
        weight: Some(weight),
    };
    Action::Forward(Forward {
        target_groups: groups.iter().map(group).collect(),
        stickiness: Some(Stickiness {
            enabled: true,
            duration_seconds: Some(60),
        }),
    })
}

pub(super) fn redirect() -> Action {
    Action::Redirect(Redirect {
        status_code: "HTTP_301".to_owned(),
        protocol: Some("HTTPS".to_owned()),
        port: Some("443".to_owned()),
        path: Some("/new/#{path}".to_owned()),
        query: Some("a=b&#{query}".to_owned()),
        ..Redirect::default()
    })
}

pub(super) fn fixed() -> Action {
    Action::FixedResponse(FixedResponse {
        message_body: Some("nothing <here>".to_owned()),
        ..FixedResponse::plain(404)
    })
}

pub(super) fn create_listener(
    load_balancer: &LoadBalancerArn,
    number: u16,
    default_action: Action,
) -> AwsCall {
    AwsCall::CreateListener {
        load_balancer: load_balancer.clone().into(),
        port: port(number),
        protocol: Protocol::Http,
        default_action,
        default_certificate: None,
        ssl_policy: None,
        alpn_policy: None,
        mutual_authentication: None,
        tags: tags("listener"),
    }
}

pub(super) fn create_rule(
    listener: &ListenerArn,
    priority: u16,
    conditions: Vec<Condition>,
) -> AwsCall {
    AwsCall::CreateRule {
        listener: listener.clone().into(),
        priority,
        conditions,
        action: fixed(),
        transforms: Vec::new(),
        tags: tags("rule"),
    }
}

pub(super) fn path(value: &str) -> Vec<Condition> {
    let matches = Pattern::Values(vec![value.to_owned()]);
    vec![Condition::PathPattern { matches }]
}

/// One condition of each kind, in rules that AWS's limits allow.
pub(super) fn conditions() -> Vec<Vec<Condition>> {
    let values = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let plain = |texts: &[&str]| Pattern::Values(values(texts));
    let regexes = |texts: &[&str]| Pattern::RegexValues(values(texts));
    let pair = |key: Option<&str>, value: &str| QueryPair {
        key: key.map(str::to_owned),
        value: value.to_owned(),
    };
    vec![
        vec![
            Condition::HostHeader {
                matches: plain(&["*.example.com", "example.com"]),
            },
            Condition::PathPattern {
                matches: plain(&["/a", "/a/*"]),
            },
        ],
        vec![
            Condition::HostHeader {
                matches: regexes(&["^[a-z]+\\.example\\.com$"]),
            },
            Condition::PathPattern {
                matches: regexes(&["^/v[0-9]+/"]),
            },
        ],
        vec![
            Condition::HttpHeader {
                name: "X-Tenant".to_owned(),
                matches: plain(&["a", "b"]),
            },
            Condition::HttpRequestMethod {
                values: values(&["GET", "HEAD"]),
            },
        ],
        vec![
            Condition::HttpHeader {
                name: "X-Tenant".to_owned(),
                matches: regexes(&["^a+$"]),
            },
            Condition::QueryString {
                values: vec![pair(Some("a"), "b"), pair(None, "c&d")],
            },
            Condition::SourceIp {
                values: values(&["10.0.0.0/8"]),
            },
        ],
    ]
}

/// The ingress rules of one group: each kind of source, and all protocols.
pub(super) fn ingress(other: &SecurityGroupId) -> Vec<IngressRule> {
    let tcp = |source| IngressRule {
        protocol: "tcp".to_owned(),
        from_port: Some(443),
        to_port: Some(444),
        source,
        description: Some(NODE_RULE_LABEL.to_owned()),
    };
    vec![
        tcp(IngressSource::Ipv4("10.0.0.0/8".to_owned())),
        tcp(IngressSource::Ipv6("2001:db8::/32".to_owned())),
        IngressRule {
            protocol: "-1".to_owned(),
            from_port: None,
            to_port: None,
            source: IngressSource::SecurityGroup(other.clone().into()),
            description: None,
        },
    ]
}

/// Imports [`material`].
pub(super) fn import(certificate: Option<CertificateArn>) -> AwsCall {
    let content = SecretContent {
        namespace: "shop".to_owned(),
        name: "tls".to_owned(),
        digest: "00".to_owned(),
    };
    AwsCall::ImportCertificate {
        certificate,
        content,
        tags: tags("imported"),
    }
}

/// A certificate that signed itself, and its key.
pub(super) fn material() -> CertificateMaterial {
    CertificateMaterial {
        certificate: include_str!("../../../testdata/imported.crt").to_owned(),
        chain: None,
        private_key: include_str!("../../../testdata/imported.key")
            .to_owned()
            .into(),
    }
}
