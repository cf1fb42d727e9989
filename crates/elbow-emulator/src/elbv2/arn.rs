//! ARNs of ELBv2 resources: what they name, and whether they are well-formed.
//!
//! The nesting is AWS's: a listener's ARN repeats its load balancer's path, a rule's its
//! listener's. Clients take these apart.

use super::error;
use super::state::LoadBalancerKind;
use crate::error::ApiError;

/// What an ELBv2 ARN names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    LoadBalancer,
    Listener,
    Rule,
    TargetGroup,
    TrustStore,
}

/// AWS's type segment of each resource, the number of segments of a complete path, and what its
/// error messages call the resource.
const RESOURCES: [(Resource, &str, usize, &str); 5] = [
    (Resource::LoadBalancer, "loadbalancer", 4, "load balancer"),
    (Resource::Listener, "listener", 5, "listener"),
    (Resource::Rule, "listener-rule", 6, "listener rule"),
    (Resource::TargetGroup, "targetgroup", 3, "target group"),
    (Resource::TrustStore, "truststore", 3, "trust store"),
];

/// What a well-formed ARN names.
pub(super) fn resource(arn: &str) -> Option<Resource> {
    let mut parts = arn.splitn(6, ':');
    let head = (parts.next(), parts.next(), parts.next());
    let (Some("arn"), Some(partition), Some("elasticloadbalancing")) = head else {
        return None;
    };
    let (region, account, path) = (parts.next()?, parts.next()?, parts.next()?);
    if !partition.starts_with("aws") || region.is_empty() || account.is_empty() {
        return None;
    }
    let segments: Vec<&str> = path.split('/').collect();
    if segments.iter().any(|segment| segment.is_empty()) {
        return None;
    }
    let (resource, _, length, _) = RESOURCES.into_iter().find(|row| row.1 == segments[0])?;
    (segments.len() == length).then_some(resource)
}

/// Refuses an ARN that does not name a resource of that type at all.
pub(super) fn check(arn: &str, expected: Resource) -> Result<(), ApiError> {
    if resource(arn) == Some(expected) {
        return Ok(());
    }
    let noun = RESOURCES
        .into_iter()
        .find(|row| row.0 == expected)
        .map_or("", |row| row.3);
    Err(error::validation(format!(
        "'{arn}' is not a valid {noun} ARN"
    )))
}

/// The ARN of a new load balancer.
pub(super) fn load_balancer(
    region: &str,
    account: &str,
    kind: LoadBalancerKind,
    name: &str,
    id: &str,
) -> String {
    let kind = match kind {
        LoadBalancerKind::Application => "app",
        LoadBalancerKind::Network => "net",
    };
    format!("arn:aws:elasticloadbalancing:{region}:{account}:loadbalancer/{kind}/{name}/{id}")
}

/// The ARN of a new listener of a load balancer.
pub(super) fn listener(load_balancer_arn: &str, id: &str) -> String {
    format!(
        "{}/{id}",
        load_balancer_arn.replacen(":loadbalancer/", ":listener/", 1)
    )
}

/// The ARN of a new rule of a listener.
pub(super) fn rule(listener_arn: &str, id: &str) -> String {
    format!(
        "{}/{id}",
        listener_arn.replacen(":listener/", ":listener-rule/", 1)
    )
}

/// The ARN of a new target group.
pub(super) fn target_group(region: &str, account: &str, name: &str, id: &str) -> String {
    format!("arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{name}/{id}")
}

/// The ARN of a new trust store.
pub(crate) fn trust_store(region: &str, account: &str, name: &str, id: &str) -> String {
    format!("arn:aws:elasticloadbalancing:{region}:{account}:truststore/{name}/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:";

    #[test]
    fn names_what_an_arn_names() {
        let rows = [
            (
                "loadbalancer/app/web/0123456789abcdef",
                Some(Resource::LoadBalancer),
            ),
            ("loadbalancer/web", None),
            (
                "listener/app/web/0123456789abcdef/fedcba9876543210",
                Some(Resource::Listener),
            ),
            ("listener-rule/app/web/01/fe/77", Some(Resource::Rule)),
            (
                "targetgroup/web/0123456789abcdef",
                Some(Resource::TargetGroup),
            ),
            ("truststore/ca/0123456789abcdef", Some(Resource::TrustStore)),
            ("targetgroup//0123456789abcdef", None),
            ("something/else", None),
        ];
        for (path, expected) in rows {
            assert_eq!(resource(&format!("{BASE}{path}")), expected, "{path}");
        }
        assert_eq!(resource("web"), None);
    }

    #[test]
    fn nests_as_aws_does() {
        let lb = load_balancer(
            "eu-west-1",
            "123456789012",
            LoadBalancerKind::Network,
            "n",
            "01",
        );
        let listener = listener(&lb, "02");
        assert_eq!(listener, format!("{BASE}listener/net/n/01/02"));
        assert_eq!(
            rule(&listener, "03"),
            format!("{BASE}listener-rule/net/n/01/02/03")
        );
    }

    #[test]
    fn says_which_arn_was_expected() {
        let refusal = check("web", Resource::Rule).unwrap_err();
        assert_eq!(refusal.message, "'web' is not a valid listener rule ARN");
    }
}
