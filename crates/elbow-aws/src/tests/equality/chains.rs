//! A load balancer as the target of another.

use elbow_model::stack::{HealthCheck, LoadBalancerType, Protocol, TargetFamily, TargetType};
use elbow_model::{AwsAnswer, AwsCall, Tags, VpcId};

use super::super::world::VPC;
use super::Story;
use super::inputs::{health_check, port, redirect, tags, target};

/// Tells of a group whose target is a load balancer, from its creation to its end.
pub(super) async fn keep(story: &mut Story) {
    let behind = story
        .load_balancer("behind", LoadBalancerType::Application)
        .await;
    story
        .listener(AwsCall::CreateListener {
            load_balancer: behind.clone().into(),
            port: port(8080),
            protocol: Protocol::Http,
            default_action: redirect(),
            default_certificate: None,
            ssl_policy: None,
            alpn_policy: None,
            mutual_authentication: None,
            tags: Tags::new(),
        })
        .await;
    let arn = story
        .target_group(AwsCall::CreateTargetGroup {
            name: "chained".to_owned(),
            target_type: TargetType::Alb,
            protocol: Protocol::Tcp,
            protocol_version: None,
            port: port(8080),
            ip_address_type: TargetFamily::Ipv4,
            vpc_id: VpcId::new(VPC),
            health_check: HealthCheck {
                protocol: Protocol::Http,
                ..health_check()
            },
            tags: tags("chained"),
        })
        .await;
    let target_group = || arn.clone().into();
    story
        .change(AwsCall::RegisterTargets {
            target_group: target_group(),
            targets: vec![target(behind.as_str())],
        })
        .await;
    let found = story.ask(AwsCall::DescribeTargetHealth {
        target_group: arn.clone(),
    });
    let AwsAnswer::TargetHealth(targets) = found.await else {
        panic!("the health of targets is described");
    };
    assert_eq!(targets[0].target.id, behind.as_str());
    let found = story.ask(AwsCall::DescribeTargetGroups {
        arns: Vec::new(),
        names: vec!["chained".to_owned()],
        marker: None,
    });
    let AwsAnswer::TargetGroups(page) = found.await else {
        panic!("target groups are described");
    };
    assert_eq!(page.items[0].target_type, Some(TargetType::Alb));
    story
        .change(AwsCall::DeregisterTargets {
            target_group: target_group(),
            targets: vec![target(behind.as_str())],
        })
        .await;
}
