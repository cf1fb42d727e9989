//! TargetGroupBindings that users write: which targets they come to, and where nothing is changed.

use elbow_api::NamespacedName;
use elbow_model::aws_call::TargetGroupDescription;
use elbow_model::facts::Vpc;
use elbow_model::stack::{Protocol, Sharing, TargetFamily, TargetType};
use elbow_model::{FactQuery, Facts, Port, TargetGroupArn, VpcId};
use elbow_translate::network::Endpoint;
use elbow_translate::{BindingTranslation, BindingVerdict, TranslatedBinding, translate_binding};

use crate::support;

const ARN: &str = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup";

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: s, namespace: ns}
spec:
  type: NodePort
  ports:
  - {name: http, port: 80, targetPort: 8080, nodePort: 30080}
  - {name: admin, port: 81, targetPort: 8081}
---
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: ns}
spec: {ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s-1, namespace: ns, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
ports: [{name: http, port: 8080}, {name: admin, port: 8081}]
endpoints: [{addresses: [192.168.1.1]}, {addresses: [10.9.0.1]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s-2, namespace: ns, labels: {kubernetes.io/service-name: s}}
addressType: IPv6
ports: [{name: http, port: 8080}]
endpoints: [{addresses: ['2001:db8::1']}]
---
apiVersion: v1
kind: Node
metadata: {name: a, labels: {pool: a}}
spec: {providerID: aws:///ap-northeast-2a/i-0a}
status: {conditions: [{type: Ready, status: 'True', lastTransitionTime: null, lastHeartbeatTime: null}]}
---
apiVersion: v1
kind: Node
metadata: {name: b, labels: {pool: b}}
spec: {providerID: aws:///ap-northeast-2b/i-0b}
status: {conditions: [{type: Ready, status: 'True', lastTransitionTime: null, lastHeartbeatTime: null}]}
---
";

fn binding(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: elbv2.k8s.aws/v1beta1\nkind: TargetGroupBinding\n\
         metadata: {{{metadata}}}\nspec: {{{spec}}}\n---\n"
    )
}

fn group(name: &str, target_type: Option<TargetType>, vpc: &str) -> TargetGroupDescription {
    TargetGroupDescription {
        arn: TargetGroupArn::new(format!("{ARN}/{name}/1")),
        name: name.to_owned(),
        target_type,
        protocol: Some(Protocol::Http),
        protocol_version: None,
        port: Port::new(80),
        ip_address_type: if name == "v6" {
            TargetFamily::Ipv6
        } else {
            TargetFamily::Ipv4
        },
        vpc_id: Some(VpcId::new(vpc)),
        health_check: None,
        load_balancers: std::collections::BTreeSet::new(),
    }
}

fn answer(facts: &mut Facts, query: FactQuery) {
    match query {
        FactQuery::TargetGroup(name) => {
            let found = match name.as_str() {
                "web" | "v6" => Some(group(&name, Some(TargetType::Ip), support::VPC)),
                "nodes" => Some(group(&name, Some(TargetType::Instance), support::VPC)),
                "far" => Some(group(&name, Some(TargetType::Ip), "vpc-0far")),
                "odd" => Some(group(&name, None, support::VPC)),
                _ => None,
            };
            facts.target_groups.insert(name, found);
        }
        FactQuery::OtherVpc(id) => {
            let vpc = Vpc {
                id: id.clone(),
                ipv4_cidrs: vec!["10.9.0.0/16".to_owned()],
                ipv6_cidrs: Vec::new(),
            };
            facts.other_vpcs.insert(id, Some(vpc));
        }
        other => unreachable!("{other:?} is a fact of the samples"),
    }
}

/// Translates `ns/b`.
#[track_caller]
fn translate(manifests: &str) -> BindingTranslation {
    let snapshot = support::snapshot(&format!("{SERVICE}{manifests}"));
    let mut facts = support::facts();
    let name = NamespacedName::new("ns", "b");
    for _ in 0..4 {
        match translate_binding(&snapshot, &facts, &support::settings(), &name) {
            TranslatedBinding::Done(done) => return *done,
            TranslatedBinding::NeedFacts(queries) => {
                for query in queries {
                    answer(&mut facts, query);
                }
            }
        }
    }
    unreachable!("it asks for the same facts again and again")
}

/// What it comes to, in a line.
#[track_caller]
fn outcome(manifests: &str) -> String {
    let found = translate(manifests);
    let codes: Vec<&str> = found.diagnostics.iter().map(|d| d.code).collect();
    let verdict = match &found.verdict {
        BindingVerdict::Absent => "absent".to_owned(),
        BindingVerdict::Left => "left".to_owned(),
        BindingVerdict::Refused => "refused".to_owned(),
        BindingVerdict::Targets(stack) => {
            let (arn, group) = stack.target_groups.first_key_value().unwrap();
            let targets = group.targets.iter().map(|t| {
                let zone = t.availability_zone.as_deref().unwrap_or_default();
                format!(" {}:{}{zone}", t.id, t.port)
            });
            let name = arn.as_str().split('/').nth(1).unwrap();
            format!("{name}:{}", targets.collect::<Vec<_>>().concat())
        }
    };
    let codes = codes.iter().map(|code| format!(" ({code})"));
    verdict + &codes.collect::<Vec<_>>().concat()
}

const NAME: &str = "name: b, namespace: ns";

#[test]
fn a_binding_comes_to_the_endpoints_of_its_service() {
    let web = format!("targetGroupARN: '{ARN}/web/1'");
    let port = "serviceRef: {name: s, port: 80}";
    let rows = [
        (
            "by ARN",
            format!("{web}, {port}"),
            "web: 10.9.0.1:8080all 192.168.1.1:8080",
        ),
        (
            "by name",
            format!("targetGroupName: web, {port}"),
            "web: 10.9.0.1:8080all 192.168.1.1:8080",
        ),
        (
            "the ARN counts",
            format!("{web}, targetGroupName: nodes, {port}"),
            "web: 10.9.0.1:8080all 192.168.1.1:8080",
        ),
        (
            "port by name",
            format!("{web}, serviceRef: {{name: s, port: admin}}"),
            "web: 10.9.0.1:8081all 192.168.1.1:8081",
        ),
        (
            "addresses of IPv6",
            format!("targetGroupName: v6, {port}"),
            "v6: 2001:db8::1:8080all",
        ),
        (
            "another VPC has other networks",
            format!("targetGroupName: far, vpcID: vpc-0far, {port}"),
            "far: 10.9.0.1:8080 192.168.1.1:8080all",
        ),
        (
            "instances",
            format!("targetGroupName: nodes, targetType: instance, {port}"),
            "nodes: i-0a:30080 i-0b:30080",
        ),
        (
            "selected instances",
            format!("targetGroupName: nodes, nodeSelector: {{matchLabels: {{pool: b}}}}, {port}"),
            "nodes: i-0b:30080",
        ),
        (
            "no Service",
            format!("{web}, serviceRef: {{name: none, port: 80}}"),
            "web: (missing-service)",
        ),
        (
            "no such port",
            format!("{web}, serviceRef: {{name: s, port: other}}"),
            "web: (missing-service-port)",
        ),
    ];
    for (name, spec, expected) in rows {
        assert_eq!(outcome(&binding(NAME, &spec)), expected, "{name}");
    }
}

#[test]
fn nodes_that_are_no_instances_are_passed_over() {
    let node = |name: &str, provider: &str| {
        format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{{provider}}}\n\
             status: {{conditions: [{{type: Ready, status: 'True', lastTransitionTime: null, lastHeartbeatTime: null}}]}}\n---\n"
        )
    };
    let spec = "targetGroupName: nodes, serviceRef: {name: s, port: 80}";
    let nodes = node("c", "providerID: 'eks-hybrid:///us-east-1/c/mi-0c'") + &node("d", "");
    let found = outcome(&(nodes + &binding(NAME, spec)));
    assert_eq!(found, "nodes: i-0a:30080 i-0b:30080");
}

/// The pods are in the cluster's VPC, wherever the target group is.
#[test]
fn rules_are_for_addresses_of_the_clusters_vpc_whatever_vpc_the_group_is_in() {
    let networking = "serviceRef: {name: s, port: 80}, networking: {ingress: [{from: [{ipBlock: {cidr: 10.9.0.0/16}}], ports: [{port: 8080}]}]}";
    for group in ["far", "web"] {
        let found = translate(&binding(
            NAME,
            &format!("targetGroupName: {group}, {networking}"),
        ));
        let endpoints = found.network.unwrap().endpoints;
        let addresses = endpoints.iter().map(|endpoint| match endpoint {
            Endpoint::Pod(pod) => pod.address.to_string(),
            Endpoint::Instance(id) => id.to_string(),
        });
        assert_eq!(addresses.collect::<Vec<_>>(), ["192.168.1.1"], "{group}");
    }
}

#[test]
fn what_lbcs_webhook_refuses_changes_nothing() {
    let port = "serviceRef: {name: s, port: 80}";
    let rows = [
        ("", "binding-without-target-group"),
        ("targetGroupARN: web,", "invalid-target-group"),
        ("targetGroupName: -web,", "invalid-target-group"),
        (
            "targetGroupName: a-name-that-is-longer-than-any-of-aws,",
            "invalid-target-group",
        ),
        ("targetGroupName: none,", "missing-target-group"),
        (
            "targetGroupARN: 'arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/web/2',",
            "missing-target-group",
        ),
        ("targetGroupName: odd,", "not-supported-yet"),
        (
            "targetGroupName: web, targetGroupProtocol: QUIC,",
            "target-group-differs",
        ),
        (
            "targetGroupName: web, iamRoleArnToAssume: 'arn:aws:iam::2:role/r',",
            "not-supported-yet",
        ),
        (
            "targetGroupName: web, targetType: instance,",
            "target-group-differs",
        ),
        (
            "targetGroupName: web, ipAddressType: ipv6,",
            "target-group-differs",
        ),
        (
            "targetGroupName: web, vpcID: vpc-0123,",
            "target-group-differs",
        ),
        (
            "targetGroupName: web, targetGroupProtocol: TCP,",
            "target-group-differs",
        ),
        (
            "targetGroupName: web, nodeSelector: {},",
            "node-selector-of-ip-targets",
        ),
    ];
    for (spec, code) in rows {
        let found = outcome(&binding(NAME, &format!("{spec} {port}")));
        assert_eq!(found, format!("refused ({code})"), "{spec}");
    }
    // A ClusterIP Service has no node port, whatever is written there.
    let plain = "targetGroupName: nodes, serviceRef: {name: plain, port: 80}";
    assert_eq!(
        outcome(&binding(NAME, plain)),
        "refused (instance-target-needs-node-port)"
    );
}

#[test]
fn of_two_bindings_of_a_group_one_is_in_force() {
    let spec = "targetGroupName: web, serviceRef: {name: s, port: 81}";
    let arn = format!("targetGroupARN: '{ARN}/web/1', serviceRef: {{name: s, port: 81}}");
    let shared = format!("{spec}, multiClusterTargetGroup: true");
    let at = |name: &str, minute: u8| {
        format!("{name}, creationTimestamp: '2026-01-01T00:0{minute}:00Z'")
    };
    let other = "name: a, namespace: other";
    let labels =
        "labels: {gateway.k8s.aws.alb/stack-namespace: ns, gateway.k8s.aws.alb/stack-name: gw}";
    let served = "web: 10.9.0.1:8081all 192.168.1.1:8081";
    let taken = "refused (target-group-taken)";
    let rows = [
        (
            "the other is older",
            at(NAME, 2),
            spec,
            at(other, 1),
            arn.as_str(),
            taken,
        ),
        (
            "the other is younger",
            at(NAME, 1),
            spec,
            at(other, 2),
            &arn,
            served,
        ),
        (
            "of one age, by name",
            at(NAME, 1),
            spec,
            at(other, 1),
            spec,
            served,
        ),
        (
            "a Gateway's",
            at(NAME, 1),
            spec,
            format!("{}, {labels}", at(other, 2)),
            &arn,
            taken,
        ),
        (
            "both are shared",
            at(NAME, 2),
            &shared,
            at(other, 1),
            &shared,
            served,
        ),
        (
            "only this one is shared",
            at(NAME, 2),
            &shared,
            at(other, 1),
            spec,
            taken,
        ),
        (
            "only the other is shared",
            at(NAME, 2),
            spec,
            at(other, 1),
            &shared,
            taken,
        ),
        (
            "the other one is of another group",
            at(NAME, 2),
            spec,
            at(other, 1),
            "targetGroupARN: 'arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web/2', serviceRef: {name: s, port: 81}",
            served,
        ),
    ];
    for (name, this, spec, other, of_other, expected) in rows {
        let both = binding(&this, spec) + &binding(&other, of_other);
        assert_eq!(outcome(&both), expected, "{name}");
    }
    let found = translate(&binding(NAME, &shared));
    let BindingVerdict::Targets(stack) = found.verdict else {
        unreachable!("it is in force")
    };
    let sharing = Sharing::Clusters {
        namespace: "ns".to_owned(),
        binding: "b".to_owned(),
    };
    assert!(stack.target_groups.values().all(|g| g.sharing == sharing));
}

#[test]
fn a_binding_that_is_deleted_gives_its_targets_back_and_no_others() {
    let going = format!("{NAME}, deletionTimestamp: '2026-01-01T00:00:00Z'");
    let held = format!("{going}, finalizers: [elbv2.k8s.aws/resources]");
    let port = "serviceRef: {name: s, port: 80}";
    let rows = [
        ("with our finalizer", &held, "targetGroupName: web", "web:"),
        ("without it", &going, "targetGroupName: web", "left"),
        ("its group is gone", &held, "targetGroupName: none", "left"),
        ("its ARN is none", &held, "targetGroupARN: web", "left"),
        (
            "it was never in force",
            &held,
            "targetGroupName: web, targetType: instance",
            "left",
        ),
        (
            "in another account",
            &held,
            "targetGroupName: web, iamRoleArnToAssume: 'arn:aws:iam::2:role/r'",
            "refused (not-supported-yet)",
        ),
    ];
    for (name, metadata, spec, expected) in rows {
        let spec = format!("{spec}, {port}");
        assert_eq!(outcome(&binding(metadata, &spec)), expected, "{name}");
    }
}

#[test]
fn a_gateways_binding_is_the_gateways_matter() {
    let labels =
        "labels: {gateway.k8s.aws.nlb/stack-namespace: ns, gateway.k8s.aws.nlb/stack-name: gw}";
    let spec = "targetGroupName: web, serviceRef: {name: s, port: 80}";
    let of_gateway = binding(&format!("{NAME}, {labels}"), spec);
    assert_eq!(outcome(&of_gateway), "absent");
    assert_eq!(outcome(""), "absent");
    let half = "labels: {gateway.k8s.aws.nlb/stack-name: gw}";
    let found = outcome(&binding(&format!("{NAME}, {half}"), spec));
    assert_eq!(found, "web: 10.9.0.1:8080all 192.168.1.1:8080");
}
