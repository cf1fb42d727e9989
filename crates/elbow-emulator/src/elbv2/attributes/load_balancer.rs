//! Attributes of load balancers.
//!
//! Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html>

use std::collections::BTreeMap;

use super::{Attribute, Pairs, Values};
use crate::elbv2::error;
use crate::elbv2::state::{LoadBalancer, LoadBalancerKind, Scheme};
use crate::error::ApiError;

type Row = Attribute<LoadBalancer>;

const fn row(
    key: &'static str,
    values: Values,
    initial: fn(&LoadBalancer) -> Option<&'static str>,
) -> Row {
    Attribute {
        key,
        values,
        initial,
    }
}

fn application(lb: &LoadBalancer, value: &'static str) -> Option<&'static str> {
    (lb.kind == LoadBalancerKind::Application).then_some(value)
}

fn network(lb: &LoadBalancer, value: &'static str) -> Option<&'static str> {
    (lb.kind == LoadBalancerKind::Network).then_some(value)
}

pub(super) const TABLE: &[Row] = &[
    row("access_logs.s3.bucket", Values::Text, |_| Some("")),
    row("access_logs.s3.enabled", Values::Boolean, |_| Some("false")),
    row("access_logs.s3.prefix", Values::Prefix, |_| Some("")),
    row(
        "client_keep_alive.seconds",
        Values::IntegerBetween(60, 604_800),
        |lb| application(lb, "3600"),
    ),
    row("connection_logs.s3.bucket", Values::Text, |lb| {
        application(lb, "")
    }),
    row("connection_logs.s3.enabled", Values::Boolean, |lb| {
        application(lb, "false")
    }),
    row("connection_logs.s3.prefix", Values::Prefix, |lb| {
        application(lb, "")
    }),
    row("deletion_protection.enabled", Values::Boolean, |_| {
        Some("false")
    }),
    // The default is not in the model; it is the one that keeps the behaviour of older NLBs.
    row(
        "dns_record.client_routing_policy",
        Values::ValidOneOf(&[
            "availability_zone_affinity",
            "partial_availability_zone_affinity",
            "any_availability_zone",
        ]),
        |lb| network(lb, "any_availability_zone"),
    ),
    row("health_check_logs.s3.bucket", Values::Text, |lb| {
        application(lb, "")
    }),
    row("health_check_logs.s3.enabled", Values::Boolean, |lb| {
        application(lb, "false")
    }),
    row("health_check_logs.s3.prefix", Values::Prefix, |lb| {
        application(lb, "")
    }),
    row(
        "idle_timeout.timeout_seconds",
        Values::Characters(1, 4000),
        |lb| application(lb, "60"),
    ),
    row("ipv6.deny_all_igw_traffic", Values::Boolean, |lb| {
        Some(if lb.scheme == Scheme::Internal {
            "true"
        } else {
            "false"
        })
    }),
    row("load_balancing.cross_zone.enabled", Values::Boolean, |lb| {
        Some(if lb.kind == LoadBalancerKind::Application {
            "true"
        } else {
            "false"
        })
    }),
    row(
        "routing.http.desync_mitigation_mode",
        Values::OneOf(&["defensive", "monitor", "strictest"]),
        |lb| application(lb, "defensive"),
    ),
    row(
        "routing.http.drop_invalid_header_fields.enabled",
        Values::Boolean,
        |lb| application(lb, "false"),
    ),
    row(
        "routing.http.preserve_host_header.enabled",
        Values::Boolean,
        |lb| application(lb, "false"),
    ),
    row(
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        Values::Boolean,
        |lb| application(lb, "false"),
    ),
    row(
        "routing.http.xff_client_port.enabled",
        Values::Boolean,
        |lb| application(lb, "false"),
    ),
    row(
        "routing.http.xff_header_processing.mode",
        Values::ForwardedFor,
        |lb| application(lb, "append"),
    ),
    row("routing.http2.enabled", Values::Boolean, |lb| {
        application(lb, "true")
    }),
    row(
        "secondary_ips.auto_assigned.per_subnet",
        Values::SecondaryAddresses(0, 7),
        |lb| network(lb, "0"),
    ),
    row("waf.fail_open.enabled", Values::Boolean, |lb| {
        application(lb, "false")
    }),
    row("zonal_shift.config.enabled", Values::Boolean, |_| {
        Some("false")
    }),
];

/// Logs that need a bucket: prefix of their keys, and what AWS calls them. AWS also tries to write
/// to the bucket; S3 is not modelled, so any name is taken.
const LOGS: [(&str, &str); 3] = [
    ("access_logs", "access logs"),
    ("connection_logs", "connection logs"),
    ("health_check_logs", "health check logs"),
];

/// The attributes after setting some.
pub(super) fn set(lb: &LoadBalancer, pairs: Pairs) -> Result<BTreeMap<String, String>, ApiError> {
    let mut attributes = lb.attributes.clone();
    for (key, value) in pairs {
        let row = TABLE
            .iter()
            .find(|row| row.key == key && (row.initial)(lb).is_some());
        let Some(row) = row else {
            return Err(error::validation(format!(
                "Load balancer attribute key '{key}' is not recognized"
            )));
        };
        row.values.check(&key, &value)?;
        attributes.insert(key, value);
    }
    check_together(lb, &attributes)?;
    Ok(attributes)
}

/// Refuses a set whose values are fine one by one. The codes are undocumented.
fn check_together(
    lb: &LoadBalancer,
    attributes: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    let value = |key: &str| attributes.get(key).map_or("", String::as_str);
    if lb.kind == LoadBalancerKind::Application
        && value("load_balancing.cross_zone.enabled") != "true"
    {
        return Err(error::configuration(
            "The value for 'load_balancing.cross_zone.enabled' must always be 'true' for an \
             Application Load Balancer",
        ));
    }
    for (prefix, name) in LOGS {
        let bucket = format!("{prefix}.s3.bucket");
        if value(&format!("{prefix}.s3.enabled")) == "true" && value(&bucket).is_empty() {
            return Err(error::validation(format!(
                "The key '{bucket}' must set in order to enable {name}"
            )));
        }
    }
    let addresses = |of: &BTreeMap<String, String>| {
        of.get("secondary_ips.auto_assigned.per_subnet")
            .and_then(|n| n.parse::<u32>().ok())
    };
    if addresses(attributes) < addresses(&lb.attributes) {
        // That the number cannot be decreased is documented, the text is not.
        return Err(error::configuration(
            "The number of secondary IP addresses per subnet cannot be decreased",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::tests::load_balancer;

    fn run(kind: LoadBalancerKind, pairs: &[(&str, &str)]) -> Result<(), ApiError> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        set(&load_balancer(kind), pairs).map(|_| ())
    }

    #[test]
    #[expect(clippy::type_complexity, reason = "a table of pairs")]
    fn attributes() {
        use LoadBalancerKind::{Application, Network};
        let rows: [(LoadBalancerKind, &[(&str, &str)], Option<&str>); 20] = [
            (
                Application,
                &[("idle_timeout.timeout_seconds", "4000")],
                None,
            ),
            (
                Application,
                &[("idle_timeout.timeout_seconds", "4001")],
                Some(
                    "The value of 'idle_timeout.timeout_seconds' cannot be greater than 4000 characters",
                ),
            ),
            (
                Application,
                &[("idle_timeout.timeout_seconds", "0")],
                Some("cannot be less than 1 characters"),
            ),
            (
                Network,
                &[("idle_timeout.timeout_seconds", "60")],
                Some(
                    "Load balancer attribute key 'idle_timeout.timeout_seconds' is not recognized",
                ),
            ),
            (
                Network,
                &[("nonsense", "1")],
                Some("Load balancer attribute key 'nonsense' is not recognized"),
            ),
            (
                Application,
                &[("deletion_protection.enabled", "true")],
                None,
            ),
            (
                Application,
                &[("deletion_protection.enabled", "yes")],
                Some(
                    "The value of 'deletion_protection.enabled' must be 'true' or 'false', but was 'yes'",
                ),
            ),
            (
                Application,
                &[("client_keep_alive.seconds", "59")],
                Some(
                    "The value of 'client_keep_alive.seconds' must be an integer between 60 and 604800",
                ),
            ),
            (
                Application,
                &[("routing.http.desync_mitigation_mode", "strict")],
                Some("'strict' must be one of [defensive, monitor, strictest]"),
            ),
            (
                Application,
                &[("routing.http.xff_header_processing.mode", "drop")],
                Some("must be set as 'preserve', 'append', or 'remove'"),
            ),
            (
                Application,
                &[("load_balancing.cross_zone.enabled", "false")],
                Some("must always be 'true'"),
            ),
            (
                Network,
                &[("load_balancing.cross_zone.enabled", "true")],
                None,
            ),
            (
                Application,
                &[("access_logs.s3.enabled", "true")],
                Some("The key 'access_logs.s3.bucket' must set in order to enable access logs"),
            ),
            (
                Network,
                &[
                    ("access_logs.s3.enabled", "true"),
                    ("access_logs.s3.bucket", "b"),
                ],
                None,
            ),
            (
                Application,
                &[("access_logs.s3.prefix", "x/AWSLogs")],
                Some("cannot contain 'AWSLogs'"),
            ),
            (
                Network,
                &[("dns_record.client_routing_policy", "zone_affinity")],
                Some("'zone_affinity' is not a valid value for 'dns_record.client_routing_policy'"),
            ),
            (
                Network,
                &[("secondary_ips.auto_assigned.per_subnet", "7")],
                None,
            ),
            (
                Network,
                &[("secondary_ips.auto_assigned.per_subnet", "8")],
                Some("Valid range for the number of secondary IP addresses is from '0-7'"),
            ),
            (Application, &[("routing.http2.enabled", "false")], None),
            (Network, &[("zonal_shift.config.enabled", "true")], None),
        ];
        for (kind, pairs, refusal) in rows {
            let result = run(kind, pairs);
            match refusal {
                None => assert_eq!(result, Ok(()), "{pairs:?}"),
                Some(text) => assert!(result.unwrap_err().message.contains(text), "{pairs:?}"),
            }
        }
    }

    #[test]
    fn secondary_addresses_never_decrease() {
        let mut lb = load_balancer(LoadBalancerKind::Network);
        let key = "secondary_ips.auto_assigned.per_subnet";
        lb.attributes.insert(key.into(), "3".into());
        assert!(set(&lb, vec![(key.into(), "2".into())]).is_err());
        assert!(set(&lb, vec![(key.into(), "3".into())]).is_ok());
    }
}
