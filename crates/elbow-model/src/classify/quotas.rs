//! The quotas that elbow can run into, by AWS's error code.
//!
//! In: the call and the code. Out: what to do, with the quota's name as the Service Quotas console
//! lists it. What always holds: a code that is not known gets no name, since a wrong one would send
//! people to the wrong place. Sources: the quota pages of ALB, NLB, VPC and ACM, and the error lists of
//! the API references.

use crate::aws_call::{AwsCall, TagTarget};
use crate::aws_error::Remedy;
use crate::stack::LoadBalancerType;

/// ELBv2, as the Service Quotas console lists it.
const ELB: &str = "Elastic Load Balancing";
/// Security groups are counted with the VPC.
const VPC: &str = "Amazon Virtual Private Cloud";
/// Certificates.
const ACM: &str = "AWS Certificate Manager";

/// What to do about a quota that this call ran into.
pub(super) fn remedy(call: &AwsCall, code: &str) -> Option<Remedy> {
    let network = load_balancer_type(call) == Some(LoadBalancerType::Network);
    let by_type = |application: &str, of_network: &str| {
        raise(ELB, &[if network { of_network } else { application }])
    };
    Some(match code {
        "TooManyLoadBalancers" => by_type(
            "Application Load Balancers per Region",
            "Network Load Balancers per Region",
        ),
        // The two that AWS does not raise for an NLB.
        "TooManyListeners" if network => fixed("a Network Load Balancer has at most 50 listeners"),
        "TooManyRules" if network => fixed("a Network Load Balancer has at most 100 rules"),
        "TooManyListeners" => raise(ELB, &["Listeners per Application Load Balancer"]),
        "TooManyRules" => raise(ELB, &["Rules per Application Load Balancer"]),
        "TooManyCertificates" => by_type(
            "Certificates per Application Load Balancer",
            "Certificates per Network Load Balancer",
        ),
        "TooManyTargetGroups" => match call {
            AwsCall::CreateTargetGroup { .. } => raise(ELB, &["Target Groups per Region"]),
            _ => fixed("an action forwards to at most 5 target groups"),
        },
        "TooManyUniqueTargetGroupsPerLoadBalancer" => {
            fixed("an Application Load Balancer uses at most 100 target groups")
        }
        "TooManyTargets" => match call {
            // The code is the same for the group's quota and for that of each load balancer behind it.
            AwsCall::RegisterTargets { .. } => raise(
                ELB,
                &[
                    "Targets per Target Group per Region",
                    "Targets per Application Load Balancer",
                ],
            ),
            _ => by_type(
                "Targets per Application Load Balancer",
                "Targets per Availability Zone per Network Load Balancer",
            ),
        },
        "TooManyTags" | "TagLimitExceeded" | "TooManyTagsException" => {
            fixed("a resource has at most 50 tags")
        }
        "TooManyTrustStores" => raise(ELB, &["Trust Stores per Account"]),
        "SecurityGroupLimitExceeded" => raise(VPC, &["VPC security groups per Region"]),
        "RulesPerSecurityGroupLimitExceeded" => {
            raise(VPC, &["Inbound or outbound rules per security group"])
        }
        "SecurityGroupsPerInterfaceLimitExceeded" => {
            raise(VPC, &["Security groups per network interface"])
        }
        // ACM has one code for all its quotas; importing is where elbow meets it.
        "LimitExceededException" if call.service() == "acm" => raise(
            ACM,
            &[
                "Imported certificates",
                "Imported certificates in last 365 days",
            ],
        ),
        _ => return None,
    })
}

fn raise(service: &str, quotas: &[&str]) -> Remedy {
    Remedy::RaiseQuota {
        service: service.to_owned(),
        quotas: quotas.iter().map(|&quota| quota.to_owned()).collect(),
    }
}

fn fixed(limit: &str) -> Remedy {
    Remedy::AskForLess {
        limit: limit.to_owned(),
    }
}

/// The type of the load balancer that the call is about, where the call tells.
fn load_balancer_type(call: &AwsCall) -> Option<LoadBalancerType> {
    let known = match call {
        AwsCall::CreateLoadBalancer { lb_type, .. } => return Some(*lb_type),
        AwsCall::CreateListener { load_balancer, .. }
        | AwsCall::SetSecurityGroups { load_balancer, .. }
        | AwsCall::AddTags {
            resource: TagTarget::LoadBalancer(load_balancer),
            ..
        } => load_balancer.to_string(),
        AwsCall::ModifyListener { listener, .. }
        | AwsCall::CreateRule { listener, .. }
        | AwsCall::AddListenerCertificates { listener, .. } => listener.to_string(),
        AwsCall::ModifyRule { rule, .. } => rule.to_string(),
        _ => return None,
    };
    // arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/net/name/id/id
    let mut parts = known.split('/');
    match parts.nth(1)? {
        "app" => Some(LoadBalancerType::Application),
        "net" => Some(LoadBalancerType::Network),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::refusal;
    use crate::ids::{ListenerArn, TargetGroupArn};

    fn rule_on(listener: &str) -> AwsCall {
        AwsCall::AddListenerCertificates {
            listener: ListenerArn::new(format!(
                "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/{listener}/a/b/c"
            ))
            .into(),
            certificate: crate::CertificateArn::new("arn").into(),
        }
    }

    #[test]
    fn a_quota_is_named_as_the_console_names_it() {
        let register = AwsCall::RegisterTargets {
            target_group: TargetGroupArn::new("arn").into(),
            targets: Vec::new(),
        };
        let rows = [
            (
                rule_on("app"),
                "TooManyRules",
                "have the quota \"Rules per Application Load Balancer\" raised \
                 (Service Quotas, Elastic Load Balancing), or use less of it",
            ),
            (
                rule_on("net"),
                "TooManyRules",
                "a Network Load Balancer has at most 100 rules; AWS does not raise this limit",
            ),
            (
                rule_on("net"),
                "TooManyCertificates",
                "have the quota \"Certificates per Network Load Balancer\" raised \
                 (Service Quotas, Elastic Load Balancing), or use less of it",
            ),
            (
                register,
                "TooManyTargets",
                "have the quota \"Targets per Target Group per Region\" or \
                 \"Targets per Application Load Balancer\" raised \
                 (Service Quotas, Elastic Load Balancing), or use less of it",
            ),
        ];
        for (call, code, says) in rows {
            let remedy = refusal(&call, code, 400, "").remedy;
            let says = Some(says.to_owned());
            assert_eq!(remedy.map(|remedy| remedy.to_string()), says, "{code}");
        }
    }

    #[test]
    fn an_unknown_quota_gets_no_name() {
        let error = refusal(&rule_on("app"), "TooManyOfThem", 400, "too many");
        assert_eq!(error.class, crate::ErrorClass::Quota);
        assert_eq!(error.to_string(), "TooManyOfThem: too many");
    }
}
