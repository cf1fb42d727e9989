//! Refusals and pages, the same over HTTP and in the process.

use elbow_emulator::Quotas;
use elbow_model::stack::{IpAddressType, LoadBalancerType, Scheme};
use elbow_model::{
    AwsAnswer, AwsCall, CertificateArn, ErrorClass, LoadBalancerArn, Ref, ResourceId, ResourceKey,
    ResourceKind, SecurityGroupId, StackId, Tags, TargetGroupArn, VpcId,
};

use super::Story;
use super::inputs::{
    attributes, certificate, create_group, create_listener, create_rule, create_target_group,
    fixed, forward, import, ingress, path,
};
use crate::tests::world::{CERTIFICATES, VPC};

#[tokio::test]
async fn lists_come_in_the_same_pages() {
    let mut story = Story::start(Quotas::default()).await;
    // The tagging API gives 100 on a page.
    for number in 0..101 {
        let call = create_target_group(&format!("group-{number}"));
        story.target_group(call).await;
    }
    let page_at = |marker| AwsCall::GetResources {
        tags: Tags::from([("empty".to_owned(), String::new())]),
        resource_types: vec!["elasticloadbalancing:targetgroup".to_owned()],
        marker,
    };
    let AwsAnswer::TagsByArn(first) = story.ask(page_at(None)).await else {
        panic!("no page");
    };
    assert_eq!(first.items.len(), 100);
    assert!(first.next_marker.is_some());
    let AwsAnswer::TagsByArn(second) = story.ask(page_at(first.next_marker)).await else {
        panic!("no page");
    };
    assert_eq!((second.items.len(), second.next_marker), (1, None));
}

#[tokio::test]
async fn a_marker_is_passed_on() {
    let mut story = Story::start(Quotas::default()).await;
    let arn = story
        .load_balancer("web", LoadBalancerType::Application)
        .await;
    let listener = story.listener(create_listener(&arn, 80, fixed())).await;
    let vpc_id = || VpcId::new(VPC);
    // None of these was ever given out: whoever reads it says so.
    let marker = || Some("not a marker".to_owned());
    let calls = [
        AwsCall::DescribeLoadBalancers {
            arns: Vec::new(),
            marker: marker(),
        },
        AwsCall::DescribeListeners {
            load_balancer: arn,
            marker: marker(),
        },
        AwsCall::DescribeListenerCertificates {
            listener: listener.clone(),
            marker: marker(),
        },
        AwsCall::DescribeRules {
            listener,
            marker: marker(),
        },
        AwsCall::DescribeTargetGroups {
            arns: Vec::new(),
            names: Vec::new(),
            marker: marker(),
        },
        AwsCall::DescribeSubnets {
            vpc_id: vpc_id(),
            marker: marker(),
        },
        AwsCall::DescribeRouteTables {
            vpc_id: vpc_id(),
            marker: marker(),
        },
        AwsCall::DescribeSecurityGroups {
            vpc_id: vpc_id(),
            tags: Tags::new(),
            marker: marker(),
        },
        AwsCall::ListCertificates { marker: marker() },
        AwsCall::ListImportedCertificates { marker: marker() },
        AwsCall::GetResources {
            tags: Tags::new(),
            resource_types: Vec::new(),
            marker: marker(),
        },
    ];
    for call in calls {
        let error = story.both.ask(&call).await;
        let error = error.expect_err(call.operation());
        assert_eq!(error.class, ErrorClass::Invalid, "{call:?}: {error}");
    }
}

#[tokio::test]
async fn every_refusal_is_the_same_over_http_and_in_the_process() {
    use ErrorClass::{Conflict, Invalid, NotFound, Quota};
    let quotas = Quotas {
        rules_per_application_load_balancer: 1,
        target_groups: 2,
        security_groups: 3,
        ..Quotas::default()
    };
    let mut story = Story::start(quotas).await;
    let arn = story
        .load_balancer("web", LoadBalancerType::Application)
        .await;
    let blue = story.target_group(create_target_group("blue")).await;
    let default_action = forward(&[(&blue, 1)]);
    let listener = story
        .listener(create_listener(&arn, 80, default_action))
        .await;
    story.rule(create_rule(&listener, 1, path("/a"))).await;
    let group = story.group("web").await;

    let gone = |arn: &str| arn.replace("/web/", "/gone/");
    let lb_gone = LoadBalancerArn::new(gone(arn.as_str()));
    let rows = [
        (
            AwsCall::DescribeLoadBalancerAttributes {
                load_balancer: lb_gone.clone(),
            },
            NotFound,
            "LoadBalancerNotFound",
        ),
        (
            AwsCall::DescribeTargetHealth {
                target_group: TargetGroupArn::new(blue.as_str().replace("/blue/", "/gone/")),
            },
            NotFound,
            "TargetGroupNotFound",
        ),
        (
            AwsCall::DeleteSecurityGroup {
                group: SecurityGroupId::new("sg-0ffffffffffffffff").into(),
            },
            NotFound,
            "InvalidGroup.NotFound",
        ),
        (
            AwsCall::DescribeCertificate {
                certificate: CertificateArn::new(CERTIFICATES[0].replace("001", "009")),
            },
            NotFound,
            "ResourceNotFoundException",
        ),
        (
            AwsCall::CreateLoadBalancer {
                name: "web".to_owned(),
                lb_type: LoadBalancerType::Application,
                scheme: Scheme::Internal,
                ip_address_type: IpAddressType::Ipv4,
                subnets: story.subnets(),
                security_groups: Vec::new(),
                tags: Tags::new(),
            },
            Conflict,
            "DuplicateLoadBalancerName",
        ),
        (create_group("web"), Conflict, "InvalidGroup.Duplicate"),
        (
            create_listener(&arn, 80, fixed()),
            Conflict,
            "DuplicateListener",
        ),
        (
            AwsCall::DeleteTargetGroup {
                target_group: blue.into(),
            },
            Conflict,
            "ResourceInUse",
        ),
        (
            AwsCall::RevokeSecurityGroupIngress {
                group: group.clone().into(),
                rules: ingress(&group)[..1].to_vec(),
            },
            NotFound,
            "InvalidPermission.NotFound",
        ),
        (create_rule(&listener, 2, path("/b")), Quota, "TooManyRules"),
        (
            AwsCall::AddListenerCertificates {
                listener: listener.clone().into(),
                certificate: certificate(0).into(),
            },
            Invalid,
            "ValidationError",
        ),
        (
            AwsCall::ModifyLoadBalancerAttributes {
                load_balancer: arn.into(),
                attributes: attributes(&[("no.such.attribute", "true")]),
            },
            Invalid,
            "ValidationError",
        ),
        (import(None), Conflict, "SecretNotRead"),
        (
            AwsCall::DeleteRule {
                rule: Ref::Of(ResourceKey {
                    stack: StackId::CLUSTER,
                    kind: ResourceKind::ListenerRule,
                    id: ResourceId::new("80:1"),
                }),
            },
            Invalid,
            "UnresolvedReference",
        ),
    ];
    for (call, class, code) in rows {
        story.refused(call, class, code).await;
    }
    story.target_group(create_target_group("green")).await;
    let call = create_target_group("red");
    story.refused(call, Quota, "TooManyTargetGroups").await;
}
