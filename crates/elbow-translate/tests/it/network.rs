//! Subnets, security groups, health checks and what targets see of a load balancer.

use elbow_model::facts::ExistingLoadBalancer;
use elbow_model::stack::{Scheme, TargetType};
use elbow_model::{Facts, Ref, SecurityGroupId, Stack, SubnetId};
use elbow_translate::{BackendSecurityGroup, Peer, Settings, Translation, stack_ids};
use serde_json::json;

use crate::support::{self, PRIVATE, PUBLIC};

/// A Gateway of a class with a configuration, a route and a Service.
fn manifests(class: &str, configuration: &str, service: &str, target_group: &str) -> String {
    let (protocol, route, version) = match class {
        "alb" => ("HTTP", "HTTPRoute", "v1"),
        _ => ("TCP", "TCPRoute", "v1alpha2"),
    };
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: {class}}}
spec: {{controllerName: gateway.k8s.aws/{class}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw, namespace: ns}}
spec:
  gatewayClassName: {class}
  infrastructure: {{parametersRef: {{group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: c}}}}
  listeners: [{{name: l, protocol: {protocol}, port: 80}}]
---
apiVersion: gateway.k8s.aws/v1
kind: LoadBalancerConfiguration
metadata: {{name: c, namespace: ns}}
spec: {{{configuration}}}
---
apiVersion: gateway.k8s.aws/v1
kind: TargetGroupConfiguration
metadata: {{name: t, namespace: ns}}
spec: {{targetReference: {{name: s}}, defaultConfiguration: {{{target_group}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: s, namespace: ns}}
spec: {{{service}}}
---
apiVersion: gateway.networking.k8s.io/{version}
kind: {route}
metadata: {{name: r, namespace: ns}}
spec: {{parentRefs: [{{name: gw}}], rules: [{{backendRefs: [{{name: s, port: 80}}]}}]}}
"
    )
}

const SERVICE: &str = "ports: [{port: 80, targetPort: 8080}]";

#[track_caller]
fn translate(class: &str, configuration: &str, settings: &Settings, facts: Facts) -> Translation {
    let snapshot = support::snapshot(&manifests(class, configuration, SERVICE, ""));
    support::translate_with(&snapshot, "ns/gw", settings, facts)
}

fn subnets(stack: &Stack) -> Vec<&str> {
    let subnets = &stack.load_balancer.as_ref().unwrap().subnets;
    subnets.iter().map(|s| s.subnet_id.as_str()).collect()
}

fn sorted(ids: [&str; 3]) -> Vec<&str> {
    let mut ids = Vec::from(ids);
    ids.sort_unstable();
    ids
}

#[test]
fn subnets_of_a_load_balancer_that_is_there_stay() {
    let there = |scheme| {
        let [stack, _] = stack_ids(&elbow_api::NamespacedName::new("ns", "gw"));
        let existing = ExistingLoadBalancer {
            scheme,
            subnets: [PRIVATE[0], PRIVATE[1]].map(SubnetId::new).into(),
        };
        let mut facts = support::facts();
        facts.load_balancers.insert(stack, Some(existing));
        translate("alb", "scheme: internal", &support::settings(), facts)
    };
    let kept = there(Scheme::Internal).stack.unwrap();
    assert_eq!(subnets(&kept), [PRIVATE[0], PRIVATE[1]]);
    let replaced = there(Scheme::InternetFacing).stack.unwrap();
    assert_eq!(subnets(&replaced), sorted(PRIVATE));
}

#[test]
fn subnets_are_discovered_by_tag_then_by_reachability() {
    let settings = support::settings();
    let mut facts = support::facts();
    let all = facts.subnets.as_mut().unwrap();
    // Another cluster's subnet is passed over, and so is a full one.
    let other = "kubernetes.io/cluster/other".to_owned();
    all.get_mut(&SubnetId::new(PUBLIC[0]))
        .unwrap()
        .tags
        .insert(other, "owned".to_owned());
    let found = translate("alb", "scheme: internet-facing", &settings, facts.clone());
    assert_eq!(
        subnets(found.stack.as_ref().unwrap()),
        [PUBLIC[1], PUBLIC[2]]
    );
    let all = facts.subnets.as_mut().unwrap();
    all.get_mut(&SubnetId::new(PUBLIC[1]))
        .unwrap()
        .available_ip_address_count = 7;
    let found = translate("alb", "scheme: internet-facing", &settings, facts.clone());
    assert!(found.stack.is_none(), "an ALB needs two zones");
    assert_eq!(found.diagnostics[0].code, "too-few-subnets");
    let found = translate("nlb", "scheme: internet-facing", &settings, facts.clone());
    assert_eq!(
        subnets(found.stack.as_ref().unwrap()),
        [PUBLIC[2]],
        "an NLB one"
    );
    for subnet in facts.subnets.as_mut().unwrap().values_mut() {
        subnet.tags.clear();
        subnet.available_ip_address_count = 8;
    }
    let found = translate("alb", "scheme: internet-facing", &settings, facts);
    assert_eq!(subnets(found.stack.as_ref().unwrap()), sorted(PUBLIC));
}

#[test]
fn addresses_go_to_the_subnets_that_hold_them() {
    let settings = support::settings();
    let found =
        |class, configuration: &str| translate(class, configuration, &settings, support::facts());
    let configuration = format!(
        "loadBalancerSubnets: [{{identifier: {}, privateIPv4Allocation: 192.168.11.9}}, {{identifier: {}, privateIPv4Allocation: 192.168.10.9}}]",
        PRIVATE[0], PRIVATE[1]
    );
    let stack = found("nlb", &configuration).stack.unwrap();
    let mappings = json!(stack.load_balancer.unwrap().subnets);
    assert_eq!(mappings[0]["privateIpv4Address"], "192.168.10.9");
    assert_eq!(mappings[1]["privateIpv4Address"], "192.168.11.9");
    let blocked = found("alb", &configuration);
    assert_eq!(blocked.diagnostics[0].code, "invalid-subnet-address");
    assert!(blocked.stack.is_none());

    // Addresses are sent in the form in which AWS has them, and only those of the right family.
    let mut facts = support::facts();
    let all = facts.subnets.as_mut().unwrap().values_mut();
    for (place, subnet) in all.enumerate() {
        subnet.ipv6_cidrs = vec![format!("2001:db8:{place}::/64")];
    }
    let place = |id: &str| {
        let mut ids = facts.subnets.as_ref().unwrap().keys();
        ids.position(|other| other.as_str() == id).unwrap()
    };
    let with = |addresses: [String; 2], field: &str| {
        let configuration = format!(
            "ipAddressType: dualstack, loadBalancerSubnets: [{{identifier: {}, {field}: '{}'}}, {{identifier: {}, {field}: '{}'}}]",
            PRIVATE[0], addresses[0], PRIVATE[1], addresses[1]
        );
        translate("nlb", &configuration, &settings, facts.clone())
    };
    let long = [PRIVATE[0], PRIVATE[1]].map(|id| format!("2001:DB8:{}:0::9", place(id)));
    let stack = with(long.clone(), "ipv6Allocation").stack.unwrap();
    let mappings = json!(stack.load_balancer.unwrap().subnets);
    let short = format!("2001:db8:{}::9", place(PRIVATE[0])).replace(":0::", "::");
    assert_eq!(mappings[0]["ipv6Address"], short);
    let blocked = with(long, "privateIPv4Allocation");
    assert_eq!(blocked.diagnostics[0].code, "invalid-subnet-address");
    assert!(blocked.stack.is_none());
}

#[test]
fn security_groups_follow_the_configuration() {
    let known = |id: &str| Ref::Known(SecurityGroupId::new(id));
    let rows = [
        ("alb", "", BackendSecurityGroup::Managed, 2, true, Some(1)),
        ("alb", "", BackendSecurityGroup::Disabled, 1, true, Some(1)),
        (
            "alb",
            "securityGroups: [sg-1]",
            BackendSecurityGroup::Managed,
            1,
            false,
            None,
        ),
        (
            "alb",
            "securityGroups: [sg-1], manageBackendSecurityGroupRules: true",
            BackendSecurityGroup::Existing(SecurityGroupId::new("sg-9")),
            2,
            false,
            Some(1),
        ),
        (
            "alb",
            "disableSecurityGroup: true",
            BackendSecurityGroup::Managed,
            2,
            true,
            Some(1),
        ),
        (
            "nlb",
            "disableSecurityGroup: true",
            BackendSecurityGroup::Managed,
            0,
            false,
            Some(1),
        ),
    ];
    for (class, configuration, backend, on_load_balancer, managed, networking) in rows {
        let settings = Settings {
            backend_security_group: backend.clone(),
            ..support::settings()
        };
        let found = translate(class, configuration, &settings, support::facts());
        let stack = found.stack.as_ref().unwrap();
        let groups = &stack.load_balancer.as_ref().unwrap().security_groups;
        assert_eq!(groups.len(), on_load_balancer, "{class} {configuration}");
        assert_eq!(
            !stack.security_groups.is_empty(),
            managed,
            "{class} {configuration}"
        );
        let rules = found.bindings[0].networking.as_ref().map(Vec::len);
        assert_eq!(rules, networking, "{class} {configuration}");
        assert_eq!(
            stack.uses_backend_security_group(),
            backend == BackendSecurityGroup::Managed && on_load_balancer == 2
        );
        if let BackendSecurityGroup::Existing(_) = backend {
            assert_eq!(*groups, [known("sg-1"), known("sg-9")]);
        }
    }
    let settings = Settings {
        backend_security_group: BackendSecurityGroup::Disabled,
        ..support::settings()
    };
    let configuration = "securityGroups: [sg-1], manageBackendSecurityGroupRules: true";
    let found = translate("alb", configuration, &settings, support::facts());
    assert!(found.stack.is_none());
    assert_eq!(found.diagnostics[0].code, "backend-security-group-disabled");
}

/// LBC, pkg/networking/security_group_resolver.go: ids, then groups by name, however many have it.
#[test]
fn a_name_means_all_groups_that_have_it_and_each_is_named_once() {
    let id = |id: &str| SecurityGroupId::new(id);
    let mut facts = support::facts();
    let named = [
        ("web", vec![id("sg-2"), id("sg-3")]),
        ("old", vec![id("sg-1")]),
        ("nobody", Vec::new()),
    ];
    facts.security_groups_by_name = named.map(|(name, ids)| (name.to_owned(), ids)).into();
    let rows = [
        ("[web]", Some(vec!["sg-2", "sg-3"])),
        ("[old, web, sg-1]", Some(vec!["sg-1", "sg-2", "sg-3"])),
        ("[sg-9, sg-9]", Some(vec!["sg-9"])),
        ("[web, nobody]", None),
    ];
    for (names, expected) in rows {
        let configuration = format!("securityGroups: {names}");
        let found = translate("alb", &configuration, &support::settings(), facts.clone());
        let groups = found.stack.map(|stack| {
            let groups = stack.load_balancer.unwrap().security_groups;
            let ids = groups
                .iter()
                .map(|group| group.known().unwrap().to_string());
            ids.collect::<Vec<_>>()
        });
        let expected = expected.map(|ids| ids.into_iter().map(str::to_owned).collect());
        assert_eq!(groups, expected, "{names}");
    }
}

#[test]
fn subnets_are_chosen_by_patterns_and_all_or_none_of_them_is_named() {
    let mut facts = support::facts();
    for (place, subnet) in facts.subnets.as_mut().unwrap().values_mut().enumerate() {
        let name = ["one", "two"][place % 2];
        let name = format!("{name}-{}", subnet.availability_zone);
        subnet.tags.insert("Name".to_owned(), name);
    }
    let settings = support::settings();
    let found = |configuration: &str| translate("nlb", configuration, &settings, facts.clone());
    let selector = |values: &str| format!("loadBalancerSubnetsSelector: {{Name: {values}}}");
    let all = found(&selector("['one-*', 'two-*']"));
    let some = found(&selector("['?ne-ap-northeast-2*']")).stack.unwrap();
    let all = all.stack.unwrap();
    assert_eq!(subnets(&all).len(), 3, "one of each zone");
    assert!(!subnets(&some).is_empty());
    for id in subnets(&some) {
        let name = &facts.subnets.as_ref().unwrap()[&SubnetId::new(id)].tags["Name"];
        assert!(name.starts_with("one-"), "{name}");
    }
    assert_eq!(
        found(&selector("['three-*']")).diagnostics[0].code,
        "too-few-subnets"
    );
    for configuration in [
        format!(
            "loadBalancerSubnets: [{{identifier: {}}}, {{eipAllocation: e}}]",
            PRIVATE[0]
        ),
        format!(
            "loadBalancerSubnets: [{{eipAllocation: e}}, {{identifier: {}}}]",
            PRIVATE[0]
        ),
    ] {
        let found = found(&configuration);
        assert_eq!(
            found.diagnostics[0].code, "invalid-subnets",
            "{configuration}"
        );
        assert!(found.stack.is_none());
    }
}

#[test]
fn targets_see_the_subnets_of_a_load_balancer_without_groups() {
    let settings = support::settings();
    let found = translate(
        "nlb",
        "disableSecurityGroup: true",
        &settings,
        support::facts(),
    );
    let rules = found.bindings[0].networking.as_ref().unwrap();
    // Client addresses are not kept for ip targets, so the subnets are the peers; in the load
    // balancer's order, which is that of their ids.
    let blocks = ["192.168.12.0/24", "192.168.10.0/24", "192.168.11.0/24"];
    assert_eq!(rules[0].from, blocks.map(|b| Peer::Cidr(b.to_owned())));
}

#[test]
fn both_families_are_let_in_only_to_dualstack() {
    let mut facts = support::facts();
    for subnet in facts.subnets.as_mut().unwrap().values_mut() {
        subnet.ipv6_cidrs = vec!["2001:db8::/64".to_owned()];
    }
    let rules = |configuration: &str| {
        let settings = support::settings();
        let stack = translate("alb", configuration, &settings, facts.clone())
            .stack
            .unwrap();
        let group = stack.security_groups.into_values().next().unwrap();
        let rules = group
            .ingress
            .unwrap()
            .into_iter()
            .map(|r| json!([r.protocol, r.from_port, r.source]));
        json!(rules.collect::<Vec<_>>())
    };
    assert_eq!(rules(""), json!([["tcp", 80, {"ipv4": "0.0.0.0/0"}]]));
    assert_eq!(
        rules("ipAddressType: dualstack, enableICMP: true"),
        json!([
            ["icmp", 3, {"ipv4": "0.0.0.0/0"}],
            ["icmpv6", 2, {"ipv6": "::/0"}],
            ["tcp", 80, {"ipv4": "0.0.0.0/0"}],
            ["tcp", 80, {"ipv6": "::/0"}],
        ])
    );
    assert_eq!(rules("sourceRanges: []"), json!([]));
    assert_eq!(
        rules("sourceRanges: [10.0.0.1, 10.0.0.0/8]"),
        json!([["tcp", 80, {"ipv4": "10.0.0.0/8"}]])
    );
}

#[test]
fn health_checks_have_the_defaults_of_lbc() {
    let local = "type: NodePort, externalTrafficPolicy: Local, healthCheckNodePort: 32000, ports: [{port: 80, targetPort: 8080, nodePort: 31000}]";
    let local_without_port = "type: NodePort, externalTrafficPolicy: Local, ports: [{port: 80, targetPort: 8080, nodePort: 31000}]";
    // Class, Service, TargetGroupConfiguration; port, protocol, path, interval, timeout, thresholds.
    let rows = [
        (
            "alb",
            SERVICE,
            "",
            json!(["traffic-port", "HTTP", "/", 15, 5, 3]),
        ),
        (
            "alb",
            SERVICE,
            "protocol: HTTPS",
            json!(["traffic-port", "HTTPS", "/", 15, 5, 3]),
        ),
        (
            "nlb",
            SERVICE,
            "",
            json!(["traffic-port", "TCP", null, 15, 5, 3]),
        ),
        (
            "nlb",
            SERVICE,
            "healthCheckConfig: {healthCheckProtocol: HTTP, healthCheckPort: '8081'}",
            json!(["8081", "HTTP", "/", 15, 5, 3]),
        ),
        (
            "nlb",
            local,
            "targetType: instance",
            json!(["32000", "HTTP", "/healthz", 10, 6, 2]),
        ),
        (
            "nlb",
            local,
            "targetType: instance, healthCheckConfig: {healthCheckPort: traffic-port, healthCheckProtocol: TCP}",
            json!(["traffic-port", "TCP", null, 10, 6, 2]),
        ),
        (
            "nlb",
            local,
            "targetType: ip",
            json!(["traffic-port", "TCP", null, 15, 5, 3]),
        ),
        // LBC, pkg/gateway/model/model_build_target_group.go: the policy decides, not the port.
        (
            "nlb",
            local_without_port,
            "targetType: instance, healthCheckConfig: {healthCheckPort: '9090'}",
            json!(["9090", "HTTP", "/healthz", 10, 6, 2]),
        ),
        (
            "nlb",
            local_without_port,
            "targetType: instance",
            json!(["traffic-port", "TCP", null, 15, 5, 3]),
        ),
    ];
    for (class, service, target_group, expected) in rows {
        let snapshot = support::snapshot(&manifests(class, "", service, target_group));
        let found = support::translate(&snapshot, "ns/gw", &support::settings());
        let stack = found.stack.unwrap();
        let check = &stack.target_groups.values().next().unwrap().health_check;
        let found = json!([
            check.port,
            check.protocol,
            check.path,
            check.interval_seconds,
            check.timeout_seconds,
            check.healthy_threshold_count
        ]);
        assert_eq!(found, expected, "{class} {target_group}");
    }
}

#[test]
fn a_target_group_that_cannot_be_built_costs_its_backend_only() {
    let rows = [
        (
            SERVICE,
            "targetType: instance",
            "instance-target-needs-node-port",
        ),
        (SERVICE, "protocol: TCP", "unsupported-target-protocol"),
        (
            SERVICE,
            "healthCheckConfig: {healthCheckPort: nobody}",
            "invalid-health-check-port",
        ),
        (
            "ipFamilies: [IPv6], ports: [{port: 80}]",
            "",
            "ipv6-needs-dualstack",
        ),
    ];
    for (service, target_group, code) in rows {
        let snapshot = support::snapshot(&manifests("alb", "", service, target_group));
        let found = support::translate(&snapshot, "ns/gw", &support::settings());
        assert_eq!(found.diagnostics[0].code, code);
        let stack = found.stack.unwrap();
        assert!(stack.target_groups.is_empty(), "{code}");
        let rules = &stack.listeners.values().next().unwrap().rules;
        assert_eq!(json!(rules[0].action)["statusCode"], 500, "{code}");
    }
}

#[test]
fn the_flag_for_target_types_counts_where_nobody_says_otherwise() {
    let settings = Settings {
        default_target_type: TargetType::Instance,
        ..support::settings()
    };
    let service = "type: NodePort, ports: [{port: 80, targetPort: web, nodePort: 31000}]";
    let snapshot = support::snapshot(&manifests("alb", "", service, ""));
    let stack = support::translate(&snapshot, "ns/gw", &settings)
        .stack
        .unwrap();
    let (id, group) = stack.target_groups.into_iter().next().unwrap();
    assert_eq!(
        id.as_str(),
        "ns/gw:ns-r:HTTPRoute-ns-s:web",
        "the id has the targetPort's text"
    );
    assert_eq!(group.port.get(), 31000);
}
