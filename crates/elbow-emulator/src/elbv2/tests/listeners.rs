//! Listeners and their certificates.

use super::*;

fn https(world: &World, lb: &str, port: i32) -> wire::CreateListenerInput {
    wire::CreateListenerInput {
        certificates: Some(vec![certificate(&world.certificates[0])]),
        ..World::listener_input(lb, "HTTPS", port, fixed_response("404"))
    }
}

fn certificate(arn: &str) -> wire::Certificate {
    wire::Certificate {
        certificate_arn: Some(arn.into()),
        is_default: None,
    }
}

#[test]
fn create_refuses() {
    let mut world = World::new();
    let lb = world.application("web");
    let net = world.network("net");
    let group = world.group("g", "HTTP");
    let taken = world.group("taken", "HTTP");
    let other = world.application("other");
    world.listener(&other, "HTTP", 80, forward_to(&taken));
    let ok = || World::listener_input(&lb, "HTTP", 80, fixed_response("404"));
    let secure = || https(&world, &lb, 443);
    let pending = world.certificates[1].clone();
    let mutual = |mode: &str, store: Option<&str>| wire::CreateListenerInput {
        mutual_authentication: Some(wire::MutualAuthenticationAttributes {
            mode: Some(mode.into()),
            trust_store_arn: store.map(Into::into),
            ..Default::default()
        }),
        ..secure()
    };
    let rows = [
        (
            wire::CreateListenerInput { port: None, ..ok() },
            "ValidationError",
            "A listener port must be specified",
        ),
        (
            wire::CreateListenerInput {
                protocol: None,
                ..ok()
            },
            "ValidationError",
            "A listener protocol must be specified",
        ),
        (
            wire::CreateListenerInput {
                port: Some(0),
                ..ok()
            },
            "ValidationError",
            "at 'port' failed to satisfy constraint",
        ),
        (
            World::listener_input(&lb, "TCP", 80, fixed_response("404")),
            "ValidationError",
            "Listener protocol 'TCP' must be one of 'HTTP, HTTPS'",
        ),
        (
            World::listener_input(&net, "HTTP", 80, forward_to(&group)),
            "ValidationError",
            "Listener protocol 'HTTP' must be one of 'TCP, QUIC, TCP_QUIC, UDP, TCP_UDP, TLS'",
        ),
        (
            World::listener_input(&net, "TCP", 80, forward_to(&group)),
            "IncompatibleProtocols",
            &group,
        ),
        (
            World::listener_input(&lb, "HTTP", 80, forward_to(&taken)),
            "TargetGroupAssociationLimit",
            &taken,
        ),
        (
            World::listener_input(&lb, "HTTPS", 443, fixed_response("404")),
            "InvalidConfigurationRequest",
            "exactly one certificate",
        ),
        (
            wire::CreateListenerInput {
                certificates: secure().certificates,
                ..ok()
            },
            "ValidationError",
            "A certificate cannot be specified for HTTP listeners",
        ),
        (
            wire::CreateListenerInput {
                ssl_policy: Some("ELBSecurityPolicy-2016-08".into()),
                ..ok()
            },
            "ValidationError",
            "An SSL policy cannot be specifed for HTTP listeners",
        ),
        (
            wire::CreateListenerInput {
                ssl_policy: Some("nope".into()),
                ..secure()
            },
            "SSLPolicyNotFound",
            "SSL policy 'nope' not found",
        ),
        (
            wire::CreateListenerInput {
                certificates: Some(vec![certificate(&pending)]),
                ..secure()
            },
            "UnsupportedCertificate",
            &pending,
        ),
        (
            wire::CreateListenerInput {
                certificates: Some(vec![certificate("arn:aws:s3:::x")]),
                ..secure()
            },
            "CertificateNotFound",
            "Certificate 'arn:aws:s3:::x' not found",
        ),
        (
            wire::CreateListenerInput {
                certificates: Some(vec![certificate("arn:aws:acm:us-east-1:1:certificate/x")]),
                ..secure()
            },
            "ValidationError",
            "Certificate ARN 'arn:aws:acm:us-east-1:1:certificate/x' is not valid",
        ),
        (
            wire::CreateListenerInput {
                certificates: Some(vec![certificate(&world.certificates[0]); 2]),
                ..secure()
            },
            "ValidationError",
            "Up to '1' certificate ARNs can be specified, but '2' were specified",
        ),
        (
            wire::CreateListenerInput {
                alpn_policy: Some(vec!["HTTP2Only".into()]),
                ..secure()
            },
            "InvalidConfigurationRequest",
            "You cannot set ALPN policy on load balancers of type 'application'",
        ),
        (
            mutual("verify", None),
            "ValidationError",
            "mode verify requires a trust store arn",
        ),
        (
            mutual("verify", Some("arn:x")),
            "TrustStoreNotFound",
            "arn:x",
        ),
        (
            mutual("on", None),
            "ValidationError",
            "Mutual Authentication mode required not found",
        ),
        (
            wire::CreateListenerInput {
                mutual_authentication: mutual("off", None).mutual_authentication,
                ..ok()
            },
            "ValidationError",
            "Mutual Authentication cannot be set for non secure listeners",
        ),
        (
            World::listener_input(
                &lb.replace("web", "gone"),
                "HTTP",
                80,
                fixed_response("404"),
            ),
            "LoadBalancerNotFound",
            "gone",
        ),
    ];
    let rows: Vec<_> = rows
        .map(|(input, code, text)| (input, code, text.to_owned()))
        .into();
    for (input, code, text) in rows {
        world.refuses(input, code, &text);
    }
    assert!(
        world.emulator.elbv2.listeners_of(&lb).next().is_none(),
        "nothing was left behind"
    );
}

#[test]
fn tls_listeners_have_alpn() {
    let mut world = World::new();
    let net = world.network("net");
    let group = world.group("g", "TCP");
    let input = |policies: &[&str]| wire::CreateListenerInput {
        alpn_policy: Some(policies.iter().map(|policy| (*policy).to_owned()).collect()),
        certificates: Some(vec![certificate(&world.certificates[0])]),
        ..World::listener_input(&net, "TLS", 443, forward_to(&group))
    };
    let (bad, two, good) = (
        input(&["HTTP3"]),
        input(&["None", "None"]),
        input(&["HTTP2Only"]),
    );
    world.refuses(
        bad,
        "ALPNPolicyNotFound",
        "ALPN policy [HTTP3] is not found",
    );
    world.refuses(
        two,
        "ValidationError",
        "Up to '1' ALPN policy can be specified",
    );
    let output: wire::CreateListenerOutput = world.ask(good);
    let listener = output.listeners.unwrap().remove(0);
    assert_eq!(listener.alpn_policy.unwrap(), ["HTTP2Only"]);
    assert_eq!(
        listener.ssl_policy.as_deref(),
        Some("ELBSecurityPolicy-2016-08")
    );
    assert_eq!(listener.mutual_authentication, None);
}

#[test]
fn a_port_has_one_listener() {
    let mut world = World::new();
    let lb = world.application("web");
    let first = world.listener(&lb, "HTTP", 80, fixed_response("404"));
    assert_eq!(
        world.listener(&lb, "HTTP", 80, fixed_response("404")),
        first,
        "idempotent"
    );
    let other = World::listener_input(&lb, "HTTP", 80, fixed_response("503"));
    world.refuses(other, "DuplicateListener", "already exists on this port");
    let second = world.listener(&lb, "HTTP", 81, fixed_response("404"));
    let modify = wire::ModifyListenerInput {
        listener_arn: second,
        port: Some(80),
        ..Default::default()
    };
    world.refuses(modify, "DuplicateListener", "already exists on this port");
}

#[test]
fn quota() {
    let mut config = Config {
        region: "eu-west-1".into(),
        ..Config::default()
    };
    config.quotas.listeners_per_application_load_balancer = 1;
    let mut world = World::with(config);
    let lb = world.application("web");
    world.listener(&lb, "HTTP", 80, fixed_response("404"));
    let second = World::listener_input(&lb, "HTTP", 81, fixed_response("404"));
    world.refuses(second, "TooManyListeners", "'1'");
}

#[test]
fn leaving_https_drops_what_belongs_to_it() {
    let mut world = World::new();
    let lb = world.application("web");
    let input = https(&world, &lb, 443);
    let output: wire::CreateListenerOutput = world.ask(input);
    let listener = output.listeners.unwrap().remove(0);
    assert_eq!(
        listener.mutual_authentication.unwrap().mode.as_deref(),
        Some("off")
    );
    let arn = listener.listener_arn.unwrap();
    let to = |protocol: &str| wire::ModifyListenerInput {
        listener_arn: arn.clone(),
        protocol: Some(protocol.into()),
        ..Default::default()
    };
    let output: wire::ModifyListenerOutput = world.ask(to("HTTP"));
    let listener = output.listeners.unwrap().remove(0);
    assert_eq!((listener.ssl_policy, listener.certificates), (None, None));
    let attributes = &world.emulator.elbv2.listeners[&arn].attributes;
    assert!(!attributes.contains_key("routing.http.request.x_amzn_tls_version.header_name"));
    world.refuses(
        to("HTTPS"),
        "InvalidConfigurationRequest",
        "exactly one certificate",
    );
    let back = wire::ModifyListenerInput {
        certificates: Some(vec![certificate(&world.certificates[0])]),
        ..to("HTTPS")
    };
    let _: wire::ModifyListenerOutput = world.ask(back);
}

#[test]
fn modify_changes_what_it_names() {
    let mut world = World::new();
    let lb = world.application("web");
    let group = world.group("g", "HTTP");
    let arn = world.listener(&lb, "HTTP", 80, forward_to(&group));
    let output: wire::ModifyListenerOutput = world.ask(wire::ModifyListenerInput {
        listener_arn: arn.clone(),
        default_actions: Some(vec![fixed_response("503")]),
        ..Default::default()
    });
    let listener = output.listeners.unwrap().remove(0);
    assert_eq!(listener.port, Some(80));
    assert_eq!(
        listener.default_actions.unwrap()[0].r#type,
        "fixed-response"
    );
    let _: wire::DeleteTargetGroupOutput = world.ask(wire::DeleteTargetGroupInput {
        target_group_arn: group,
    });
    let _: wire::DeleteListenerOutput = world.ask(wire::DeleteListenerInput {
        listener_arn: arn.clone(),
    });
    world.refuses(
        wire::DeleteListenerInput { listener_arn: arn },
        "ListenerNotFound",
        "",
    );
}

#[test]
fn describe_refuses() {
    let mut world = World::new();
    let neither = wire::DescribeListenersInput::default();
    world.refuses(
        neither,
        "ValidationError",
        "You must specify either listener ARNs or a load balancer ARN",
    );
    let lb = world.application("web");
    let both = wire::DescribeListenersInput {
        load_balancer_arn: Some(lb.clone()),
        listener_arns: Some(vec!["x".into()]),
        ..Default::default()
    };
    world.refuses(both, "ValidationError", "at the same time");
    let gone = wire::DescribeListenersInput {
        listener_arns: Some(vec![format!(
            "{}/1",
            lb.replace(":loadbalancer/", ":listener/")
        )]),
        ..Default::default()
    };
    world.refuses(gone, "ListenerNotFound", "One or more listeners not found");
}

#[test]
fn certificates() {
    let mut world = World::new();
    let lb = world.application("web");
    let input = https(&world, &lb, 443);
    let output: wire::CreateListenerOutput = world.ask(input);
    let listener = output.listeners.unwrap().remove(0).listener_arn.unwrap();
    let list = |world: &mut World| -> Vec<(String, bool)> {
        let output: wire::DescribeListenerCertificatesOutput =
            world.ask(wire::DescribeListenerCertificatesInput {
                listener_arn: listener.clone(),
                ..Default::default()
            });
        let certificates = output.certificates.unwrap().into_iter();
        certificates
            .map(|c| (c.certificate_arn.unwrap(), c.is_default.unwrap()))
            .collect()
    };
    let add = |arn: &str| wire::AddListenerCertificatesInput {
        listener_arn: listener.clone(),
        certificates: vec![certificate(arn)],
    };
    let remove = |arn: &str| wire::RemoveListenerCertificatesInput {
        listener_arn: listener.clone(),
        certificates: vec![certificate(arn)],
    };
    let (default, pending, extra) = {
        let c = &world.certificates;
        (c[0].clone(), c[1].clone(), c[2].clone())
    };
    assert_eq!(list(&mut world), [(default.clone(), true)]);
    world.refuses(remove(&default), "OperationNotPermitted", &default);
    for arn in [&default, &default, &extra] {
        let _: wire::AddListenerCertificatesOutput = world.ask(add(arn));
    }
    let mut expected = vec![(default.clone(), false), (extra.clone(), false)];
    expected.sort();
    expected.insert(0, (default.clone(), true));
    assert_eq!(
        list(&mut world),
        expected,
        "the default certificate is shown twice"
    );
    world.refuses(add(&pending), "UnsupportedCertificate", &pending);
    let _: wire::RemoveListenerCertificatesOutput = world.ask(remove(&extra));
    assert_eq!(list(&mut world).len(), 2);
}

#[test]
fn certificate_quota() {
    let mut config = Config {
        region: "eu-west-1".into(),
        ..Config::default()
    };
    config.quotas.certificates_per_application_load_balancer = 0;
    let mut world = World::with(config);
    let lb = world.application("web");
    let input = https(&world, &lb, 443);
    let output: wire::CreateListenerOutput = world.ask(input);
    let listener = output.listeners.unwrap().remove(0).listener_arn.unwrap();
    let add = |arn: &str| wire::AddListenerCertificatesInput {
        listener_arn: listener.clone(),
        certificates: vec![certificate(arn)],
    };
    let (default, extra) = (world.certificates[0].clone(), world.certificates[2].clone());
    let _: wire::AddListenerCertificatesOutput = world.ask(add(&default));
    world.refuses(add(&extra), "TooManyCertificates", "'0'");
}

#[test]
fn quic_keeps_its_distance() {
    let mut world = World::new();
    let net = world.network("net");
    let quic = world.group("quic", "QUIC");
    let second = world.group("second", "QUIC");
    let udp = world.group("udp", "UDP");
    world.listener(&net, "QUIC", 443, forward_to(&quic));
    for (protocol, group) in [("QUIC", &second), ("UDP", &udp)] {
        let input = World::listener_input(&net, protocol, 444, forward_to(group));
        world.refuses(input, "InvalidConfigurationRequest", "");
    }
}
