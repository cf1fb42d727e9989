//! Resources of somebody else's in the same account and VPC.
//!
//! In: an [`Account`]. Out: whether what was made there in the beginning is still what it was. Some of it
//! carries tags that look like ours but for the cluster's name, or that lack one of ours.

use elbow::offline::Account;
use elbow_model::stack::{
    CLUSTER_TAG, HealthCheck, IpAddressType, LoadBalancerType, Protocol, Scheme, SubnetMapping,
    TargetFamily, TargetType,
};
use elbow_model::{AwsAnswer, AwsCall, LoadBalancerArn, Port, SubnetId, Tags, TargetGroupArn};

/// What somebody else has.
pub(crate) struct Foreign {
    load_balancer: LoadBalancerArn,
    target_groups: Vec<TargetGroupArn>,
    was: Vec<AwsAnswer>,
}

impl Foreign {
    /// Makes it.
    pub(crate) fn create(account: &mut Account) -> Result<Self, String> {
        let vpc_id = account.world().vpc_id.clone();
        let subnets = account.world().subnets.iter().take(3);
        let subnets = subnets
            .map(|s| SubnetMapping::of(SubnetId::new(s.id.clone())))
            .collect();
        let answer = account
            .call(&AwsCall::CreateLoadBalancer {
                name: "somebody-elses".to_owned(),
                lb_type: LoadBalancerType::Application,
                scheme: Scheme::Internal,
                ip_address_type: IpAddressType::Ipv4,
                subnets,
                security_groups: Vec::new(),
                tags: tags("another-cluster", "shop/edge", "LoadBalancer"),
            })
            .map_err(|e| e.to_string())?;
        let AwsAnswer::LoadBalancerCreated(load_balancer) = answer else {
            return Err(format!("{answer:?} is no answer to CreateLoadBalancer"));
        };
        let mut target_groups = Vec::new();
        let without_stack = Tags::from([(CLUSTER_TAG.to_owned(), super::CLUSTER.to_owned())]);
        for (name, tags) in [
            ("other-cluster", tags("another-cluster", "shop/edge", "x")),
            ("no-stack", without_stack),
            ("no-tags", Tags::new()),
        ] {
            let call = target_group(name, vpc_id.clone(), tags);
            match account.call(&call).map_err(|e| e.to_string())? {
                AwsAnswer::TargetGroupCreated(arn) => target_groups.push(arn),
                answer => return Err(format!("{answer:?} is no answer to CreateTargetGroup")),
            }
        }
        let mut foreign = Self {
            load_balancer: load_balancer.arn,
            target_groups,
            was: Vec::new(),
        };
        foreign.was = foreign.look(account)?;
        Ok(foreign)
    }

    /// Compares it with what it was.
    pub(crate) fn is_untouched(&self, account: &mut Account) -> Result<(), String> {
        let is = self.look(account)?;
        if is == self.was {
            Ok(())
        } else {
            Err(format!(
                "somebody else's resources changed:\n{:#?}\n{is:#?}",
                self.was
            ))
        }
    }

    fn look(&self, account: &mut Account) -> Result<Vec<AwsAnswer>, String> {
        let mut arns = vec![self.load_balancer.to_string()];
        arns.extend(self.target_groups.iter().map(ToString::to_string));
        [
            AwsCall::DescribeLoadBalancers {
                arns: vec![self.load_balancer.clone()],
                marker: None,
            },
            AwsCall::DescribeLoadBalancerAttributes {
                load_balancer: self.load_balancer.clone(),
            },
            AwsCall::DescribeTargetGroups {
                arns: self.target_groups.clone(),
                names: Vec::new(),
                marker: None,
            },
            AwsCall::DescribeTags { arns },
        ]
        .iter()
        .map(|call| {
            account
                .call(call)
                .map_err(|e| format!("{}: {e}", call.operation()))
        })
        .collect()
    }
}

fn tags(cluster: &str, stack: &str, resource: &str) -> Tags {
    Tags::from([
        (CLUSTER_TAG.to_owned(), cluster.to_owned()),
        ("gateway.k8s.aws.alb/stack".to_owned(), stack.to_owned()),
        (
            "gateway.k8s.aws.alb/resource".to_owned(),
            resource.to_owned(),
        ),
    ])
}

fn target_group(name: &str, vpc_id: elbow_model::VpcId, tags: Tags) -> AwsCall {
    AwsCall::CreateTargetGroup {
        name: name.to_owned(),
        target_type: TargetType::Ip,
        protocol: Protocol::Tcp,
        protocol_version: None,
        port: Port::new(80_u16).unwrap_or_else(|| unreachable!("80 is a port")),
        ip_address_type: TargetFamily::Ipv4,
        vpc_id,
        health_check: HealthCheck {
            port: "traffic-port".to_owned(),
            protocol: Protocol::Tcp,
            path: None,
            matcher: None,
            interval_seconds: 30,
            timeout_seconds: 10,
            healthy_threshold_count: 3,
            unhealthy_threshold_count: 3,
        },
        tags,
    }
}
