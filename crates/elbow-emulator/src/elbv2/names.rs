//! Names of load balancers and target groups, and what AWS makes out of them.

use sha2::{Digest, Sha256};

use super::error;
use super::state::{LoadBalancerKind, Scheme};
use crate::error::ApiError;

/// Longest name of a load balancer or a target group, in characters.
const NAME_MAX: usize = 32;

/// Refuses a name that no load balancer can have. The length is judged first, as AWS does.
pub(super) fn check_load_balancer(name: &str) -> Result<(), ApiError> {
    let refuse = |why: &str| {
        Err(error::validation(format!(
            "The load balancer name '{name}' {why}"
        )))
    };
    if name.is_empty() {
        return refuse("cannot be empty"); // Undocumented text.
    }
    if name.chars().count() > NAME_MAX {
        return refuse("cannot be longer than '32' characters");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return refuse(
            "can only contain characters that are alphanumeric characters and hyphens(-)",
        );
    }
    if name.starts_with('-') {
        return refuse("cannot begin with a hyphen(-)"); // By analogy with the next.
    }
    if name.ends_with('-') {
        return refuse("cannot end with a hyphen(-)");
    }
    if name.starts_with("internal-") {
        return refuse("cannot begin with 'internal-'");
    }
    Ok(())
}

/// Refuses a name that no target group can have.
pub(super) fn check_target_group(name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(error::validation("A target group name must be specified"));
    }
    if name.chars().count() > NAME_MAX {
        return Err(error::validation(format!(
            "Target group name '{name}' cannot be longer than '{NAME_MAX}' characters"
        )));
    }
    let charset = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !charset || name.starts_with('-') || name.ends_with('-') {
        return Err(error::validation(format!(
            "1 validation error detected: Value '{name}' at 'targetGroupName' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: \
             (?!^-)(?!.*-$)^[A-Za-z0-9-]+$"
        )));
    }
    if name.contains("--") {
        // Not in AWS's references; others report that the service refuses it. Text undocumented.
        return Err(error::validation(format!(
            "Target group name '{name}' cannot contain two hyphens in a row"
        )));
    }
    Ok(())
}

/// The DNS name of a load balancer.
///
/// An ALB's number and its `internal-` prefix are what AWS hands out in the field; its guide
/// documents `NAME-ID.elb.REGION.amazonaws.com` for both kinds, which is what NLBs have.
pub(super) fn dns(
    kind: LoadBalancerKind,
    scheme: Scheme,
    name: &str,
    id: &str,
    region: &str,
) -> String {
    match (kind, scheme) {
        (LoadBalancerKind::Network, _) => format!("{name}-{id}.elb.{region}.amazonaws.com"),
        (LoadBalancerKind::Application, Scheme::InternetFacing) => {
            format!("{name}-{}.{region}.elb.amazonaws.com", number(id))
        }
        (LoadBalancerKind::Application, Scheme::Internal) => {
            format!("internal-{name}-{}.{region}.elb.amazonaws.com", number(id))
        }
    }
}

/// A number of up to ten digits that stands for an ALB in its DNS name.
fn number(id: &str) -> u32 {
    let hash = Sha256::digest(id.as_bytes());
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// Route 53 hosted zones of load balancers: region, application, network.
/// Source: "Elastic Load Balancing endpoints and quotas" in the AWS General Reference.
const HOSTED_ZONES: [(&str, &str, &str); 17] = [
    ("us-east-1", "Z35SXDOTRQ7X7K", "Z26RNL4JYFTOTI"),
    ("us-east-2", "Z3AADJGX6KTTL2", "ZLMOA37VPKANP"),
    ("us-west-1", "Z368ELLRRE2KJ0", "Z24FKFUX50B4VW"),
    ("us-west-2", "Z1H1FL5HABSF5", "Z18D5FSROUN65G"),
    ("ca-central-1", "ZQSVJUPU6J1EY", "Z2EPGBW3API2WT"),
    ("sa-east-1", "Z2P70J7HTTTPLU", "ZTK26PT1VY4CU"),
    ("eu-central-1", "Z215JYRZR1TBD5", "Z3F0SRJ5LGBH90"),
    ("eu-west-1", "Z32O12XQLNTSW2", "Z2IFOLAFXWLO4F"),
    ("eu-west-2", "ZHURV8PSTC4K8", "ZD4D7Y8KGAS4G"),
    ("eu-west-3", "Z3Q77PNBQS71R4", "Z1CMS0P5QUZ6D5"),
    ("eu-north-1", "Z23TAZ6LKFMNIO", "Z1UDT6IFJ4EJM"),
    ("ap-south-1", "ZP97RAFLXTNZK", "ZVDDRBQ08TROA"),
    ("ap-southeast-1", "Z1LMS91P8CMLE5", "ZKVM4W9LS7TM"),
    ("ap-southeast-2", "Z1GM3OXH4ZPM65", "ZCT6FZBF4DROD"),
    ("ap-northeast-1", "Z14GRHDCWA56QT", "Z31USIVHYNEOWT"),
    ("ap-northeast-2", "ZWKZPGTI48KDX", "ZIBE1TIR4HY56"),
    ("ap-northeast-3", "Z5LXEXXYW11ES", "Z1GWIQ4HH19I5X"),
];

/// The hosted zone of a load balancer's DNS name; `None` in a region that the table leaves out.
pub(super) fn hosted_zone(kind: LoadBalancerKind, region: &str) -> Option<&'static str> {
    let (_, application, network) = HOSTED_ZONES.into_iter().find(|row| row.0 == region)?;
    Some(match kind {
        LoadBalancerKind::Application => application,
        LoadBalancerKind::Network => network,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_balancer_names() {
        let rows = [
            ("web", None),
            ("a-b--c", None),
            ("abcdefghijklmnopqrstuvwxyz012345", None),
            (
                "abcdefghijklmnopqrstuvwxyz0123456",
                Some("cannot be longer than '32' characters"),
            ),
            ("-web", Some("cannot begin with a hyphen(-)")),
            ("web-", Some("cannot end with a hyphen(-)")),
            ("internal-web", Some("cannot begin with 'internal-'")),
            (
                "we_b",
                Some("can only contain characters that are alphanumeric"),
            ),
            ("", Some("cannot be empty")),
        ];
        for (name, refusal) in rows {
            let result = check_load_balancer(name);
            match refusal {
                None => assert!(result.is_ok(), "{name}: {result:?}"),
                Some(text) => assert!(result.unwrap_err().message.contains(text), "{name}"),
            }
        }
    }

    #[test]
    fn target_group_names() {
        for (name, fine) in [
            ("web", true),
            ("a-b", true),
            ("a--b", false),
            ("-a", false),
            ("a_b", false),
            ("", false),
        ] {
            assert_eq!(check_target_group(name).is_ok(), fine, "{name}");
        }
    }

    #[test]
    fn dns_names_by_kind_and_scheme() {
        use LoadBalancerKind::{Application, Network};
        let name = |kind, scheme| dns(kind, scheme, "web", "0123456789abcdef", "eu-west-1");
        let nlb = "web-0123456789abcdef.elb.eu-west-1.amazonaws.com";
        assert_eq!(name(Network, Scheme::Internal), nlb);
        let internal = name(Application, Scheme::Internal);
        assert_eq!(
            internal,
            format!("internal-{}", name(Application, Scheme::InternetFacing))
        );
        assert!(
            internal.ends_with(".eu-west-1.elb.amazonaws.com"),
            "{internal}"
        );
    }
}
