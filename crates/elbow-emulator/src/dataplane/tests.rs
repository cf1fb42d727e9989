//! Requests and flows through whole load balancers, made by the control plane's own operations.

#![expect(
    clippy::needless_pass_by_value,
    reason = "JSON literals read best as arguments"
)]

use std::net::SocketAddr;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::nlb::{Flow, FlowDecision, FlowFate, RefuseReason};
use super::request::{Decision, ErrorReason, HttpVersion, RequestHead, Scheme, TargetHttpVersion};
use crate::generated::elbv2 as wire;
use crate::world::{SubnetSpec, VpcSpec};
use crate::{Config, Emulator, HealthMode, Response, Timestamp};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

struct World {
    emulator: Emulator,
    vpc: String,
    subnets: Vec<String>,
}

/// Calls one operation with a JSON input and unwraps its own output.
macro_rules! call {
    ($world:expr, $operation:ident, $input:ty, $json:expr) => {{
        let input: $input = serde_json::from_value($json).unwrap();
        match $world.emulator.handle(NOW, input).unwrap() {
            Response::ElbV2(wire::Response::$operation(output)) => output,
            other => panic!("{other:?}"),
        }
    }};
}

impl World {
    fn new(health: HealthMode) -> Self {
        let mut emulator = Emulator::new(Config {
            health,
            ..Config::default()
        });
        let vpc = emulator
            .add_vpc(VpcSpec::new("10.0.0.0/16".parse().unwrap()))
            .unwrap();
        let subnets =
            [("us-east-1a", "10.0.0.0/24"), ("us-east-1b", "10.0.1.0/24")].map(|(zone, cidr)| {
                emulator
                    .add_subnet(SubnetSpec::new(vpc.clone(), zone, cidr.parse().unwrap()))
                    .unwrap()
            });
        Self {
            emulator,
            vpc,
            subnets: subnets.into(),
        }
    }

    fn load_balancer(&mut self, kind: &str) -> String {
        let output = call!(
            self,
            CreateLoadBalancer,
            wire::CreateLoadBalancerInput,
            json!({
                "Name": "lb", "Type": kind, "Scheme": "internal", "Subnets": self.subnets,
            })
        );
        output
            .load_balancers
            .unwrap()
            .remove(0)
            .load_balancer_arn
            .unwrap()
    }

    fn target_group(&mut self, name: &str, extra: Value) -> String {
        let mut input = json!({
            "Name": name, "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc, "TargetType": "ip",
        });
        input
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().cloned().unwrap_or_default());
        let output = call!(self, CreateTargetGroup, wire::CreateTargetGroupInput, input);
        output
            .target_groups
            .unwrap()
            .remove(0)
            .target_group_arn
            .unwrap()
    }

    fn register(&mut self, target_group: &str, ports: &[u16]) {
        let targets: Vec<Value> = ports
            .iter()
            .map(|port| json!({ "Id": "10.0.0.9", "Port": port }))
            .collect();
        call!(
            self,
            RegisterTargets,
            wire::RegisterTargetsInput,
            json!({
                "TargetGroupArn": target_group, "Targets": targets,
            })
        );
        self.emulator.advance(NOW);
    }

    fn deregister(&mut self, target_group: &str, port: u16) {
        call!(
            self,
            DeregisterTargets,
            wire::DeregisterTargetsInput,
            json!({
                "TargetGroupArn": target_group, "Targets": [{ "Id": "10.0.0.9", "Port": port }],
            })
        );
    }

    fn listener(
        &mut self,
        load_balancer: &str,
        protocol: &str,
        port: u16,
        action: Value,
    ) -> String {
        let output = call!(
            self,
            CreateListener,
            wire::CreateListenerInput,
            json!({
                "LoadBalancerArn": load_balancer, "Protocol": protocol, "Port": port, "DefaultActions": [action],
            })
        );
        output.listeners.unwrap().remove(0).listener_arn.unwrap()
    }

    fn rule(&mut self, listener: &str, priority: i32, conditions: Value, action: Value) {
        self.rule_with(listener, priority, conditions, action, json!([]));
    }

    fn rule_with(
        &mut self,
        listener: &str,
        priority: i32,
        conditions: Value,
        action: Value,
        transforms: Value,
    ) {
        call!(
            self,
            CreateRule,
            wire::CreateRuleInput,
            json!({
                "ListenerArn": listener, "Priority": priority, "Conditions": conditions, "Actions": [action],
                "Transforms": transforms,
            })
        );
    }
}

fn fixed(body: &str) -> Value {
    json!({ "Type": "fixed-response", "FixedResponseConfig": { "StatusCode": "200", "MessageBody": body } })
}

fn forward(target_groups: &[(&str, u64)]) -> Value {
    let tuples: Vec<Value> = target_groups
        .iter()
        .map(|(arn, weight)| json!({ "TargetGroupArn": arn, "Weight": weight }))
        .collect();
    json!({ "Type": "forward", "ForwardConfig": { "TargetGroups": tuples } })
}

fn path(values: &[&str]) -> Value {
    json!([{ "Field": "path-pattern", "PathPatternConfig": { "Values": values } }])
}

#[test]
fn rules_are_tried_by_priority_and_the_default_last() {
    let mut world = World::new(HealthMode::AssumeHealthy);
    let load_balancer = world.load_balancer("application");
    let listener = world.listener(&load_balancer, "HTTP", 80, fixed("default"));
    world.rule(&listener, 20, path(&["/a*"]), fixed("wide"));
    world.rule(&listener, 3, path(&["/a/b"]), fixed("narrow"));
    for (target, expected) in [
        ("/a/b", "narrow"),
        ("/a/c", "wide"),
        ("/x", "default"),
        ("/z/../a/b", "narrow"),
    ] {
        match world
            .emulator
            .route(NOW, &listener, &RequestHead::get("h", target), 0)
        {
            Decision::Fixed(fixed) => assert_eq!(fixed.body, expected, "{target}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn refusals() {
    let mut world = World::new(HealthMode::AssumeHealthy);
    let load_balancer = world.load_balancer("application");
    let target_group = world.target_group("tg", json!({}));
    let listener = world.listener(&load_balancer, "HTTP", 80, forward(&[(&target_group, 1)]));
    let get = RequestHead::get("h", "/");
    let rows = [
        (
            RequestHead {
                method: "TRACE".to_owned(),
                ..get.clone()
            },
            405,
            ErrorReason::MethodNotAllowed,
        ),
        (
            RequestHead {
                host: String::new(),
                ..get.clone()
            },
            400,
            ErrorReason::BadRequest,
        ),
        (
            RequestHead {
                path: "*".to_owned(),
                ..get.clone()
            },
            400,
            ErrorReason::BadRequest,
        ),
        (
            RequestHead {
                headers: vec![("X-Forwarded-For".to_owned(), ["192.0.2.1"; 31].join(","))],
                ..get.clone()
            },
            463,
            ErrorReason::TooManyForwardedAddresses,
        ),
        (get, 503, ErrorReason::NoTargets),
    ];
    for (request, status, reason) in rows {
        match world.emulator.route(NOW, &listener, &request, 0) {
            Decision::Error(error) => assert_eq!(
                (error.status, error.reason),
                (status, reason),
                "{request:?}"
            ),
            other => panic!("{other:?}"),
        }
    }
    let unknown = world
        .emulator
        .route(NOW, "arn:nobody", &RequestHead::get("h", "/"), 0);
    assert!(matches!(unknown, Decision::Error(error) if error.reason == ErrorReason::NotServing));
}

#[test]
fn forwards_are_complete_and_spread() {
    let mut world = World::new(HealthMode::AssumeHealthy);
    let load_balancer = world.load_balancer("application");
    let (a, b) = (
        world.target_group("a", json!({})),
        world.target_group("b", json!({})),
    );
    let listener = world.listener(&load_balancer, "HTTP", 80, forward(&[(&a, 3), (&b, 1)]));
    let transforms = json!([
        { "Type": "host-header-rewrite",
          "HostHeaderRewriteConfig": { "Rewrites": [{ "Regex": ".*", "Replace": "inner.example.com" }] } },
        { "Type": "url-rewrite",
          "UrlRewriteConfig": { "Rewrites": [{ "Regex": "(^/foo(/)?)", "Replace": "/bar$2" }] } },
    ]);
    world.rule_with(
        &listener,
        1,
        path(&["/foo", "/foo/*"]),
        forward(&[(&a, 1)]),
        transforms,
    );
    world.register(&a, &[8080, 8081]);
    world.register(&b, &[9090]);
    let ports: Vec<(bool, u16)> = (0..8)
        .map(|pick| {
            match world
                .emulator
                .route(NOW, &listener, &RequestHead::get("h", "/"), pick)
            {
                Decision::Forward(forward) => (forward.target_group_arn == a, forward.target.port),
                other => panic!("{other:?}"),
            }
        })
        .collect();
    let count = |wanted: (bool, u16)| ports.iter().filter(|port| **port == wanted).count();
    assert_eq!(
        (
            count((true, 8080)),
            count((true, 8081)),
            count((false, 9090))
        ),
        (3, 3, 2),
        "{ports:?}"
    );
    match world.emulator.route(
        NOW,
        &listener,
        &RequestHead::get("h.example.com", "/foo/x?y=1"),
        0,
    ) {
        Decision::Forward(forward) => {
            assert_eq!(forward.host.as_deref(), Some("inner.example.com"));
            assert_eq!(forward.path_and_query.as_deref(), Some("/bar/x?y=1"));
            assert_eq!(
                (forward.scheme, forward.version),
                (Scheme::Http, TargetHttpVersion::Http1)
            );
            assert_eq!(forward.target.address.to_string(), "10.0.0.9");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn unchecked_targets_get_traffic_only_because_none_is_healthy() {
    let mut world = World::new(HealthMode::Probed);
    let load_balancer = world.load_balancer("application");
    let target_group = world.target_group("tg", json!({}));
    let listener = world.listener(&load_balancer, "HTTP", 80, forward(&[(&target_group, 1)]));
    world.register(&target_group, &[8080]);
    let decision = world
        .emulator
        .route(NOW, &listener, &RequestHead::get("h", "/"), 0);
    assert!(matches!(decision, Decision::Forward(_)), "{decision:?}");
    world.deregister(&target_group, 8080);
    let decision = world
        .emulator
        .route(NOW, &listener, &RequestHead::get("h", "/"), 0);
    assert!(matches!(decision, Decision::Error(error) if error.status == 503));
}

#[test]
fn protocols_must_fit() {
    use TargetHttpVersion::{Grpc, Http1, Http2};
    let request = |http_version, method: &str, content_type: &str| RequestHead {
        http_version,
        method: method.to_owned(),
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        ..RequestHead::get("h", "/")
    };
    // The table of "Target groups for your Application Load Balancers", protocol versions.
    let rows = [
        (
            request(HttpVersion::Http11, "GET", ""),
            [(Http1, true), (Http2, false), (Grpc, false)],
        ),
        (
            request(HttpVersion::Http2, "GET", ""),
            [(Http1, true), (Http2, true), (Grpc, false)],
        ),
        (
            request(HttpVersion::Http2, "POST", ""),
            [(Http1, true), (Http2, true), (Grpc, true)],
        ),
        (
            request(HttpVersion::Http2, "POST", "application/grpc"),
            [(Http1, false), (Http2, true), (Grpc, true)],
        ),
    ];
    for (request, versions) in rows {
        for (version, expected) in versions {
            assert_eq!(
                super::route::speaks(&request, version),
                expected,
                "{request:?} to {version:?}"
            );
        }
    }
}

fn flow(sequence: u64) -> Flow {
    Flow {
        client: SocketAddr::from(([192, 0, 2, 1], 4711)),
        local: SocketAddr::from(([127, 0, 0, 9], 9000)),
        sequence,
    }
}

#[test]
fn flows_find_targets_and_lose_them() {
    let mut world = World::new(HealthMode::AssumeHealthy);
    let load_balancer = world.load_balancer("network");
    let target_group = world.target_group("tg", json!({ "Protocol": "TCP" }));
    let action = json!({ "Type": "forward", "TargetGroupArn": target_group });
    let listener = world.listener(&load_balancer, "TCP", 9000, action);
    let refused = world.emulator.route_flow(NOW, &listener, &flow(1));
    assert_eq!(refused, FlowDecision::Refuse(RefuseReason::NoTargets));
    world.register(&target_group, &[5432, 5433]);
    let FlowDecision::Forward(forward) = world.emulator.route_flow(NOW, &listener, &flow(1)) else {
        panic!("refused")
    };
    assert_eq!(
        world.emulator.route_flow(NOW, &listener, &flow(1)),
        FlowDecision::Forward(forward.clone())
    );
    assert_eq!(forward.idle_timeout.as_secs(), 350);
    let fate = |world: &World| {
        world.emulator.flow_fate(
            &listener,
            flow(1).client.ip(),
            &target_group,
            &forward.target,
        )
    };
    assert_eq!(fate(&world), FlowFate::Keep);
    world.deregister(&target_group, forward.target.port);
    assert_eq!(fate(&world), FlowFate::Keep, "draining");
    for sequence in 0..20 {
        let FlowDecision::Forward(next) =
            world.emulator.route_flow(NOW, &listener, &flow(sequence))
        else {
            panic!("refused")
        };
        assert_ne!(next.target.port, forward.target.port);
    }
    let http = world
        .emulator
        .route(NOW, &listener, &RequestHead::get("h", "/"), 0);
    assert!(
        matches!(http, Decision::Error(_)),
        "a network load balancer routes no requests"
    );
}

#[test]
fn datagrams_of_one_client_are_one_flow() {
    let mut world = World::new(HealthMode::AssumeHealthy);
    let load_balancer = world.load_balancer("network");
    let checked = json!({ "Protocol": "UDP", "HealthCheckProtocol": "TCP" });
    let target_group = world.target_group("tg", checked);
    let action = json!({ "Type": "forward", "TargetGroupArn": target_group });
    let listener = world.listener(&load_balancer, "UDP", 53, action);
    world.register(&target_group, &[5432, 5433]);
    let mut ports = std::collections::BTreeSet::new();
    for client in 4_000..4_020 {
        let client = SocketAddr::from(([192, 0, 2, 1], client));
        let local = flow(0).local;
        let decide = || {
            world
                .emulator
                .route_datagrams(NOW, &listener, client, local)
        };
        let FlowDecision::Forward(forward) = decide() else {
            panic!("refused")
        };
        assert_eq!(decide(), FlowDecision::Forward(forward.clone()));
        assert_eq!(forward.idle_timeout.as_secs(), 120);
        ports.insert(forward.target.port);
    }
    assert_eq!(ports.len(), 2, "clients are spread");
}

#[test]
fn what_is_served_is_listed() {
    let mut world = World::new(HealthMode::AssumeHealthy);
    assert!(world.emulator.listeners(NOW).is_empty());
    let load_balancer = world.load_balancer("application");
    let second = world.listener(&load_balancer, "HTTP", 8080, fixed("x"));
    let first = world.listener(&load_balancer, "HTTP", 80, fixed("x"));
    let served = world.emulator.listeners(NOW);
    let arns: Vec<&str> = served
        .iter()
        .map(|listener| listener.arn.as_str())
        .collect();
    assert_eq!(arns, [first.as_str(), second.as_str()]);
    assert_eq!(
        (
            served[0].load_balancer_name.as_str(),
            served[0].protocol.as_str()
        ),
        ("lb", "HTTP")
    );
}

/// The definition of a wildcard pattern.
fn slow(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
        Some((want, rest)) => text
            .split_first()
            .is_some_and(|(got, tail)| (*want == b'?' || want == got) && slow(rest, tail)),
    }
}

proptest! {
    // Each case makes a load balancer; a hundred say enough.
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whole rule sets against "the lowest priority of those that match".
    #[test]
    fn rule_sets_agree_with_the_definition(
        rules in proptest::collection::btree_map(1i32..50, proptest::collection::vec("/[ab]{0,2}[*?]?", 1..3), 0..8),
        targets in proptest::collection::vec("/[ab]{0,3}", 1..8),
    ) {
        let mut world = World::new(HealthMode::AssumeHealthy);
        let load_balancer = world.load_balancer("application");
        let listener = world.listener(&load_balancer, "HTTP", 80, fixed("default"));
        // Created in another order than that of their priorities.
        for (priority, patterns) in rules.iter().rev() {
            let values: Vec<&str> = patterns.iter().map(String::as_str).collect();
            world.rule(&listener, *priority, path(&values), fixed(&priority.to_string()));
        }
        for target in targets {
            let expected = rules
                .iter()
                .find(|(_, patterns)| patterns.iter().any(|pattern| slow(pattern.as_bytes(), target.as_bytes())))
                .map_or_else(|| "default".to_owned(), |(priority, _)| priority.to_string());
            match world.emulator.route(NOW, &listener, &RequestHead::get("h", &target), 0) {
                Decision::Fixed(fixed) => prop_assert_eq!(fixed.body, expected, "{}", target),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
