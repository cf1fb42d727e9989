//! Every call gets the same answer over HTTP and in the process, and the same refusal.
//!
//! One story for each kind of load balancer, told to two equal accounts. In the end every kind of call
//! that the model has was granted.

mod chains;
mod inputs;
mod refusals;
mod trust_stores;

use std::collections::BTreeSet;

use elbow_emulator::Quotas;
use elbow_model::aws_call::{CALLS, RulePriority, TagTarget};
use elbow_model::rule::{Action, Forward, Rewrite, Transform, WeightedTargetGroup};
use elbow_model::stack::{
    HealthCheck, IpAddressType, LoadBalancerType, Protocol, Scheme, SubnetMapping, Target,
    TargetFamily, TargetType,
};
use elbow_model::{
    AwsAnswer, AwsCall, CertificateMaterial, ErrorClass, InstanceId, ListenerArn, LoadBalancerArn,
    MutualAuthentication, Ref, RuleArn, SecurityGroupId, SubnetId, Tags, TargetGroupArn, VpcId,
};

use super::world::{Both, INSTANCE, VPC};
use inputs::{
    attributes, certificate, conditions, create_group, create_listener, create_rule,
    create_target_group, fixed, forward, health_check, import, ingress, material, path, port,
    redirect, tags, target,
};

/// Two accounts, and which calls were granted.
struct Story {
    both: Both,
    asked: BTreeSet<&'static str>,
}

impl Story {
    async fn start(quotas: Quotas) -> Self {
        Self {
            both: Both::start(quotas).await,
            asked: BTreeSet::new(),
        }
    }

    /// Asks for something that is granted.
    async fn ask(&mut self, call: AwsCall) -> AwsAnswer {
        self.ask_with(call, None).await
    }

    /// The same with what an import takes from a Secret.
    async fn ask_with(
        &mut self,
        call: AwsCall,
        material: Option<&CertificateMaterial>,
    ) -> AwsAnswer {
        self.asked.insert(call.name());
        match self.both.ask_with(&call, material).await {
            Ok(answer) => answer,
            Err(error) => panic!("{call:?}: {error}"),
        }
    }

    /// Asks for something that changes and has no other answer than that.
    async fn change(&mut self, call: AwsCall) {
        assert_eq!(self.ask(call).await, AwsAnswer::Done);
    }

    /// Asks for something that is refused.
    async fn refused(&mut self, call: AwsCall, class: ErrorClass, code: &str) {
        match self.both.ask(&call).await {
            Err(error) => {
                assert_eq!(error.code, code, "{call:?}: {error}");
                assert_eq!(error.class, class, "{call:?}: {error}");
            }
            Ok(answer) => panic!("{call:?}: {answer:?}"),
        }
    }

    /// An instance by its id and by its addresses, with its group.
    async fn endpoints(&mut self, group: &SecurityGroupId) {
        let instances = AwsCall::DescribeInstances {
            instances: [INSTANCE, "i-0123456789abcdef0"]
                .map(InstanceId::new)
                .into(),
            marker: None,
        };
        let AwsAnswer::Instances(found) = self.ask(instances).await else {
            panic!("no instances");
        };
        let [instance] = found.items.as_slice() else {
            panic!("{found:?}");
        };
        let interface = instance.interfaces[0].clone();
        assert_eq!(interface.security_groups, [group.clone()].into());
        let mut addresses = interface.addresses.clone();
        addresses.insert("203.0.113.1".parse().unwrap());
        for addresses in [addresses, ["2001:db8::1".parse().unwrap()].into()] {
            let is_ipv4 = addresses.len() > 1;
            let interfaces = AwsCall::DescribeNetworkInterfaces {
                vpc_id: VpcId::new(VPC),
                addresses,
                marker: None,
            };
            let AwsAnswer::NetworkInterfaces(found) = self.ask(interfaces).await else {
                panic!("no interfaces");
            };
            let expected = is_ipv4.then(|| interface.clone());
            assert_eq!(found.items, expected.into_iter().collect::<Vec<_>>());
        }
    }

    fn subnets(&self) -> Vec<SubnetMapping> {
        let mut zones = BTreeSet::new();
        let subnets = self.both.world.subnets.iter();
        let one_of_each_zone = subnets.filter(|subnet| zones.insert(subnet.zone.clone()));
        one_of_each_zone
            .map(|subnet| SubnetMapping::of(SubnetId::new(subnet.id.clone())))
            .collect()
    }

    async fn load_balancer(&mut self, name: &str, lb_type: LoadBalancerType) -> LoadBalancerArn {
        let call = self.create_load_balancer(name, lb_type);
        match self.ask(call).await {
            AwsAnswer::LoadBalancerCreated(created) => created.arn,
            other => panic!("{other:?}"),
        }
    }

    fn create_load_balancer(&self, name: &str, lb_type: LoadBalancerType) -> AwsCall {
        AwsCall::CreateLoadBalancer {
            name: name.to_owned(),
            lb_type,
            scheme: Scheme::InternetFacing,
            ip_address_type: IpAddressType::Ipv4,
            subnets: self.subnets(),
            security_groups: Vec::new(),
            tags: tags("lb"),
        }
    }

    async fn target_group(&mut self, call: AwsCall) -> TargetGroupArn {
        match self.ask(call).await {
            AwsAnswer::TargetGroupCreated(arn) => arn,
            other => panic!("{other:?}"),
        }
    }

    async fn listener(&mut self, call: AwsCall) -> ListenerArn {
        match self.ask(call).await {
            AwsAnswer::ListenerCreated(arn) => arn,
            other => panic!("{other:?}"),
        }
    }

    async fn rule(&mut self, call: AwsCall) -> RuleArn {
        match self.ask(call).await {
            AwsAnswer::RuleCreated(arn) => arn,
            other => panic!("{other:?}"),
        }
    }

    async fn group(&mut self, name: &str) -> SecurityGroupId {
        match self.ask(create_group(name)).await {
            AwsAnswer::SecurityGroupCreated(id) => id,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn every_call_gets_the_same_answer_over_http_and_in_the_process() {
    let mut story = Story::start(Quotas::default()).await;
    look_up_the_network(&mut story).await;
    let groups = keep_security_groups(&mut story).await;
    keep_an_application_load_balancer(&mut story, &groups).await;
    keep_a_network_load_balancer(&mut story).await;
    chains::keep(&mut story).await;
    keep_an_imported_certificate(&mut story).await;
    let missing: Vec<_> = CALLS
        .iter()
        .filter(|call| !story.asked.contains(*call))
        .collect();
    assert!(missing.is_empty(), "calls without a row: {missing:?}");
}

async fn look_up_the_network(story: &mut Story) {
    let vpc_id = || VpcId::new(VPC);
    let found = story.ask(AwsCall::DescribeVpcs { vpc_id: vpc_id() }).await;
    assert!(matches!(found, AwsAnswer::Vpc(Some(_))));
    let unknown = VpcId::new("vpc-0ffffffffffffffff");
    let found = story.ask(AwsCall::DescribeVpcs { vpc_id: unknown }).await;
    assert_eq!(found, AwsAnswer::Vpc(None));
    let marker = None;
    let found = story.ask(AwsCall::DescribeSubnets {
        vpc_id: vpc_id(),
        marker,
    });
    assert!(matches!(found.await, AwsAnswer::Subnets(page) if page.items.len() >= 6));
    let marker = None;
    let found = story.ask(AwsCall::DescribeRouteTables {
        vpc_id: vpc_id(),
        marker,
    });
    let AwsAnswer::RouteTables(tables) = found.await else {
        panic!("no route tables");
    };
    assert!(tables.items.iter().any(|t| t.reaches_internet_gateway));
    story.ask(AwsCall::DescribeAvailabilityZones).await;
    let found = story.ask(AwsCall::ListCertificates { marker: None }).await;
    assert!(matches!(found, AwsAnswer::CertificateArns(page) if page.items.len() == 2));
    let certificate = certificate(0);
    story
        .ask(AwsCall::DescribeCertificate { certificate })
        .await;
}

/// Leaves two groups behind.
async fn keep_security_groups(story: &mut Story) -> [SecurityGroupId; 2] {
    let (web, other) = (story.group("web").await, story.group("other").await);
    let group = || Ref::from(web.clone());
    story
        .change(AwsCall::AuthorizeSecurityGroupIngress {
            group: group(),
            rules: ingress(&other),
        })
        .await;
    story
        .change(AwsCall::RevokeSecurityGroupIngress {
            group: group(),
            rules: ingress(&other)[1..2].to_vec(),
        })
        .await;
    story
        .change(AwsCall::CreateSecurityGroupTags {
            group: group(),
            tags: Tags::from([("extra".to_owned(), "1".to_owned())]),
        })
        .await;
    story
        .change(AwsCall::DeleteSecurityGroupTags {
            group: group(),
            keys: ["empty".to_owned()].into(),
        })
        .await;
    let found = story
        .ask(AwsCall::DescribeSecurityGroups {
            vpc_id: VpcId::new(VPC),
            tags: Tags::from([("elbow/name".to_owned(), "web".to_owned())]),
            marker: None,
        })
        .await;
    let AwsAnswer::SecurityGroups(page) = found else {
        panic!("{found:?}");
    };
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].ingress.len(), 2);
    let described = page.items[0].ingress.iter().filter(|r| r.is_node_rule());
    assert_eq!(described.count(), 1, "a description comes back");
    let by_id = AwsCall::DescribeSecurityGroupsById {
        groups: [
            page.items[0].id.clone(),
            SecurityGroupId::new("sg-00000000000000000"),
        ]
        .into(),
        marker: None,
    };
    assert_eq!(story.ask(by_id).await, AwsAnswer::SecurityGroups(page));
    let of_nodes = AwsCall::DescribeNodeSecurityGroups {
        vpc_id: VpcId::new(VPC),
        cluster_name: "demo".to_owned(),
        marker: None,
    };
    let AwsAnswer::SecurityGroups(of_nodes) = story.ask(of_nodes).await else {
        panic!("no groups of nodes");
    };
    assert_eq!(of_nodes.items.len(), 1);
    let that_let_in = AwsCall::DescribeSecurityGroupsThatLetIn {
        vpc_id: VpcId::new(VPC),
        group: other.clone(),
        marker: None,
    };
    let AwsAnswer::SecurityGroups(that_let_in) = story.ask(that_let_in).await else {
        panic!("no groups that let one in");
    };
    assert_eq!(that_let_in.items.len(), 1);
    assert_eq!(that_let_in.items[0].id, web);
    story.endpoints(&of_nodes.items[0].id).await;
    let third = story.group("third").await;
    let group = third.into();
    story.change(AwsCall::DeleteSecurityGroup { group }).await;
    [web, other]
}

async fn keep_an_application_load_balancer(story: &mut Story, groups: &[SecurityGroupId]) {
    let arn = story
        .load_balancer("web", LoadBalancerType::Application)
        .await;
    let lb = || Ref::from(arn.clone());
    story
        .change(AwsCall::SetSecurityGroups {
            load_balancer: lb(),
            security_groups: groups.iter().cloned().map(Ref::from).collect(),
            enforce_security_group_inbound_rules_on_private_link_traffic: None,
        })
        .await;
    let subnets = story.subnets();
    story
        .change(AwsCall::SetSubnets {
            load_balancer: lb(),
            subnets: subnets[..2].to_vec(),
        })
        .await;
    story
        .change(AwsCall::SetIpAddressType {
            load_balancer: lb(),
            ip_address_type: IpAddressType::Ipv4,
        })
        .await;
    story
        .change(AwsCall::ModifyLoadBalancerAttributes {
            load_balancer: lb(),
            attributes: attributes(&[("idle_timeout.timeout_seconds", "120")]),
        })
        .await;
    let (blue, green) = keep_target_groups(story).await;
    let https = keep_listeners(story, &arn, &blue, &green).await;
    trust_stores::keep(story, &https).await;
    keep_rules(story, &https, &blue, &green).await;
    look_at_tags(story, &arn, &https, &blue).await;

    let listener = https.clone().into();
    story.change(AwsCall::DeleteListener { listener }).await;
    let load_balancer = lb();
    story
        .change(AwsCall::DeleteLoadBalancer { load_balancer })
        .await;
    for arn in [blue, green] {
        let target_group = arn.into();
        story
            .change(AwsCall::DeleteTargetGroup { target_group })
            .await;
    }
}

async fn keep_target_groups(story: &mut Story) -> (TargetGroupArn, TargetGroupArn) {
    let blue = story.target_group(create_target_group("blue")).await;
    let green = story.target_group(create_target_group("green")).await;
    let group = || Ref::from(blue.clone());
    story
        .change(AwsCall::ModifyTargetGroup {
            target_group: group(),
            health_check: HealthCheck {
                interval_seconds: 30,
                path: Some("/other".to_owned()),
                ..health_check()
            },
        })
        .await;
    story
        .change(AwsCall::ModifyTargetGroupAttributes {
            target_group: group(),
            attributes: attributes(&[("deregistration_delay.timeout_seconds", "30")]),
        })
        .await;
    story
        .ask(AwsCall::DescribeTargetGroupAttributes {
            target_group: blue.clone(),
        })
        .await;
    let outside = Target {
        availability_zone: Some("all".to_owned()),
        ..target("10.1.2.3")
    };
    story
        .change(AwsCall::RegisterTargets {
            target_group: group(),
            targets: vec![target("192.168.0.20"), target("192.168.0.10"), outside],
        })
        .await;
    story
        .change(AwsCall::DeregisterTargets {
            target_group: group(),
            targets: vec![target("192.168.0.20")],
        })
        .await;
    let target_group = blue.clone();
    let health = story.ask(AwsCall::DescribeTargetHealth { target_group });
    assert!(matches!(health.await, AwsAnswer::TargetHealth(targets) if targets.len() >= 2));
    (blue, green)
}

async fn keep_listeners(
    story: &mut Story,
    arn: &LoadBalancerArn,
    blue: &TargetGroupArn,
    green: &TargetGroupArn,
) -> ListenerArn {
    let http = story.listener(create_listener(arn, 80, redirect())).await;
    let https = story
        .listener(AwsCall::CreateListener {
            load_balancer: arn.clone().into(),
            port: port(443),
            protocol: Protocol::Https,
            default_action: fixed(),
            default_certificate: Some(certificate(0).into()),
            ssl_policy: Some("ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned()),
            alpn_policy: None,
            mutual_authentication: Some(MutualAuthentication::Passthrough),
            tags: tags("https"),
        })
        .await;
    let listener = || Ref::from(https.clone());
    for which in [0, 1] {
        story
            .change(AwsCall::AddListenerCertificates {
                listener: listener(),
                certificate: certificate(which).into(),
            })
            .await;
    }
    let listed = story.ask(AwsCall::DescribeListenerCertificates {
        listener: https.clone(),
        marker: None,
    });
    assert!(matches!(listed.await, AwsAnswer::ListenerCertificates(page) if page.items.len() == 3));
    story
        .change(AwsCall::RemoveListenerCertificates {
            listener: listener(),
            certificate: certificate(0),
        })
        .await;
    story
        .change(AwsCall::ModifyListener {
            listener: listener(),
            protocol: None,
            default_action: Some(forward(&[(blue, 9), (green, 1)])),
            default_certificate: Some(certificate(1).into()),
            ssl_policy: Some("ELBSecurityPolicy-2016-08".to_owned()),
            alpn_policy: None,
            mutual_authentication: None,
        })
        .await;
    let key = "routing.http.response.server.enabled";
    story
        .change(AwsCall::ModifyListenerAttributes {
            listener: http.into(),
            attributes: attributes(&[(key, "false")]),
        })
        .await;
    story
        .ask(AwsCall::DescribeListenerAttributes {
            listener: https.clone(),
        })
        .await;
    let described = story.ask(AwsCall::DescribeListeners {
        load_balancer: arn.clone(),
        marker: None,
    });
    assert!(matches!(described.await, AwsAnswer::Listeners(page) if page.items.len() == 2));
    https
}

async fn keep_rules(
    story: &mut Story,
    listener: &ListenerArn,
    blue: &TargetGroupArn,
    green: &TargetGroupArn,
) {
    let mut rules = Vec::new();
    for (priority, conditions) in (1..).zip(conditions()) {
        rules.push(
            story
                .rule(create_rule(listener, priority, conditions))
                .await,
        );
    }
    let rewrite = |regex: &str, replace: &str| Rewrite {
        regex: regex.to_owned(),
        replace: replace.to_owned(),
    };
    let transforms = vec![
        Transform::HostHeaderRewrite(rewrite("^(.*)\\.example\\.com$", "$1.internal")),
        Transform::UrlRewrite(rewrite("^/a/(.*)$", "/b/$1")),
    ];
    let modify = |conditions, action, transforms| AwsCall::ModifyRule {
        rule: rules[0].clone().into(),
        conditions,
        action,
        transforms,
    };
    let first = modify(
        Some(path("/other")),
        Some(forward(&[(green, 1), (blue, 0)])),
        Some(transforms),
    );
    story.change(first).await;
    let rules_of = || AwsCall::DescribeRules {
        listener: listener.clone(),
        marker: None,
    };
    let described = story.ask(rules_of()).await;
    let AwsAnswer::Rules(page) = described else {
        panic!("{described:?}");
    };
    assert_eq!(page.items.len(), rules.len());
    assert_eq!(page.items[0].transforms.len(), 2);
    // None leaves the transforms, an empty list removes them.
    story.change(modify(None, Some(redirect()), None)).await;
    story.ask(rules_of()).await;
    story.change(modify(None, None, Some(Vec::new()))).await;
    let place = |rule: &RuleArn, priority| RulePriority {
        rule: rule.clone().into(),
        priority,
    };
    let priorities = vec![place(&rules[0], 2), place(&rules[1], 1)];
    story
        .change(AwsCall::SetRulePriorities { priorities })
        .await;
    let rule = rules[3].clone().into();
    story.change(AwsCall::DeleteRule { rule }).await;
    story.ask(rules_of()).await;
}

async fn look_at_tags(
    story: &mut Story,
    arn: &LoadBalancerArn,
    listener: &ListenerArn,
    group: &TargetGroupArn,
) {
    let resources = [
        TagTarget::LoadBalancer(arn.clone().into()),
        TagTarget::Listener(listener.clone().into()),
        TagTarget::TargetGroup(group.clone().into()),
    ];
    for resource in resources {
        story
            .change(AwsCall::AddTags {
                resource: resource.clone(),
                tags: Tags::from([("extra".to_owned(), "1".to_owned())]),
            })
            .await;
        let keys = ["empty".to_owned()].into();
        story.change(AwsCall::RemoveTags { resource, keys }).await;
    }
    let arns = vec![arn.to_string(), listener.to_string(), group.to_string()];
    story.ask(AwsCall::DescribeTags { arns }).await;
    let found = story
        .ask(AwsCall::GetResources {
            tags: Tags::from([("extra".to_owned(), "1".to_owned())]),
            resource_types: vec![
                "elasticloadbalancing:loadbalancer".to_owned(),
                "elasticloadbalancing:targetgroup".to_owned(),
            ],
            marker: None,
        })
        .await;
    assert!(matches!(found, AwsAnswer::TagsByArn(page) if page.items.len() == 2));
    for arns in [Vec::new(), vec![arn.clone()]] {
        let marker = None;
        story
            .ask(AwsCall::DescribeLoadBalancers { arns, marker })
            .await;
    }
    story
        .ask(AwsCall::DescribeLoadBalancerAttributes {
            load_balancer: arn.clone(),
        })
        .await;
    let by_name = vec!["blue".to_owned()];
    for (arns, names) in [
        (Vec::new(), Vec::new()),
        (vec![group.clone()], Vec::new()),
        (Vec::new(), by_name),
    ] {
        let marker = None;
        story
            .ask(AwsCall::DescribeTargetGroups {
                arns,
                names,
                marker,
            })
            .await;
    }
}

async fn keep_a_network_load_balancer(story: &mut Story) {
    let arn = story.load_balancer("net", LoadBalancerType::Network).await;
    let group = |name: &str, target_type, protocol| AwsCall::CreateTargetGroup {
        name: name.to_owned(),
        target_type,
        protocol,
        protocol_version: None,
        port: port(8080),
        ip_address_type: TargetFamily::Ipv4,
        vpc_id: VpcId::new(VPC),
        health_check: HealthCheck {
            protocol: Protocol::Tcp,
            path: None,
            matcher: None,
            timeout_seconds: 10,
            ..health_check()
        },
        tags: tags(name),
    };
    let nodes = story
        .target_group(group("nodes", TargetType::Instance, Protocol::Tcp))
        .await;
    story
        .change(AwsCall::RegisterTargets {
            target_group: nodes.clone().into(),
            targets: vec![target(INSTANCE)],
        })
        .await;
    let only = |arn: &TargetGroupArn| {
        let group = WeightedTargetGroup {
            target_group: Ref::Known(arn.clone()),
            weight: None,
        };
        Action::Forward(Forward {
            target_groups: vec![group],
            stickiness: None,
        })
    };
    let listener = story
        .listener(AwsCall::CreateListener {
            load_balancer: arn.clone().into(),
            port: port(443),
            protocol: Protocol::Tls,
            default_action: only(&nodes),
            default_certificate: Some(certificate(0).into()),
            ssl_policy: Some("ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned()),
            alpn_policy: Some("HTTP2Preferred".to_owned()),
            mutual_authentication: None,
            tags: Tags::new(),
        })
        .await;
    let datagrams = story
        .target_group(group("datagrams", TargetType::Ip, Protocol::Udp))
        .await;
    story
        .listener(AwsCall::CreateListener {
            load_balancer: arn.clone().into(),
            port: port(53),
            protocol: Protocol::Udp,
            default_action: only(&datagrams),
            default_certificate: None,
            ssl_policy: None,
            alpn_policy: None,
            mutual_authentication: None,
            tags: tags("udp"),
        })
        .await;
    story
        .change(AwsCall::ModifyListener {
            listener: listener.into(),
            protocol: Some(Protocol::Tcp),
            default_action: None,
            default_certificate: None,
            ssl_policy: None,
            alpn_policy: None,
            mutual_authentication: None,
        })
        .await;
    let found = story.ask(AwsCall::DescribeListeners {
        load_balancer: arn.clone(),
        marker: None,
    });
    assert!(matches!(found.await, AwsAnswer::Listeners(page) if page.items.len() == 2));
    let target_group = nodes;
    story
        .ask(AwsCall::DescribeTargetHealth { target_group })
        .await;
    let arns = vec![arn];
    let marker = None;
    story
        .ask(AwsCall::DescribeLoadBalancers { arns, marker })
        .await;
}

async fn keep_an_imported_certificate(story: &mut Story) {
    let material = material();
    let imported = story.ask_with(import(None), Some(&material)).await;
    let AwsAnswer::CertificateImported(arn) = imported else {
        panic!("{imported:?}");
    };
    let again = story.ask_with(import(Some(arn.clone())), Some(&material));
    assert_eq!(again.await, AwsAnswer::CertificateImported(arn.clone()));
    let certificate = || arn.clone();
    story
        .change(AwsCall::AddTagsToCertificate {
            certificate: certificate(),
            tags: Tags::from([("extra".to_owned(), "1".to_owned())]),
        })
        .await;
    story
        .change(AwsCall::RemoveTagsFromCertificate {
            certificate: certificate(),
            keys: ["empty".to_owned()].into(),
        })
        .await;
    let found = story.ask(AwsCall::ListTagsForCertificate {
        certificate: certificate(),
    });
    assert!(matches!(found.await, AwsAnswer::CertificateTags(tags) if tags.contains_key("extra")));
    let found = story.ask(AwsCall::ListImportedCertificates { marker: None });
    assert!(matches!(found.await, AwsAnswer::CertificateArns(page) if page.items.contains(&arn)));
    let certificate = arn;
    story
        .change(AwsCall::DeleteCertificate { certificate })
        .await;
}
