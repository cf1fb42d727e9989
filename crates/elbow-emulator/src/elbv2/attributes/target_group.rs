//! Attributes of target groups.
//!
//! Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html>

use std::collections::BTreeMap;

use super::{Attribute, Pairs, Values};
use crate::elbv2::error;
use crate::elbv2::protocols::{is_quic, is_udp};
use crate::elbv2::state::{Protocol, TargetGroup, TargetType};
use crate::error::ApiError;

type Row = Attribute<TargetGroup>;

const fn row(
    key: &'static str,
    values: Values,
    initial: fn(&TargetGroup) -> Option<&'static str>,
) -> Row {
    Attribute {
        key,
        values,
        initial,
    }
}

fn application(group: &TargetGroup, value: &'static str) -> Option<&'static str> {
    group.is_application().then_some(value)
}

fn network(group: &TargetGroup, value: &'static str) -> Option<&'static str> {
    (!group.is_application()).then_some(value)
}

/// Keys of other kinds of target groups, which AWS knows and says so.
const ELSEWHERE: [&str; 5] = [
    "lambda.multi_value_headers.enabled",
    "target_failover.on_deregistration",
    "target_failover.on_unhealthy",
    "send_tcp_reset.on_unhealthy.enabled",
    "send_tcp_reset.on_deregistration.enabled",
];

const DNS_COUNT: &str = "target_group_health.dns_failover.minimum_healthy_targets.count";
const DNS_PERCENTAGE: &str = "target_group_health.dns_failover.minimum_healthy_targets.percentage";
const ROUTING_COUNT: &str =
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count";
const ROUTING_PERCENTAGE: &str =
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage";
const TERMINATION: &str = "target_health_state.unhealthy.connection_termination.enabled";
const DRAINING_INTERVAL: &str = "target_health_state.unhealthy.draining_interval_seconds";

pub(super) const TABLE: &[Row] = &[
    row(
        "deregistration_delay.connection_termination.enabled",
        Values::Boolean,
        |g| network(g, if is_udp(g.protocol) { "true" } else { "false" }),
    ),
    row(
        "deregistration_delay.timeout_seconds",
        Values::Range(0, 3600),
        |_| Some("300"),
    ),
    row(
        "load_balancing.algorithm.anomaly_mitigation",
        Values::NamedOneOf(
            "load_balancing.algorithm.anomaly_mitigation",
            &["off", "on"],
        ),
        |g| application(g, "off"),
    ),
    row(
        "load_balancing.algorithm.type",
        Values::NamedOneOf(
            "Load balancer algorithm",
            &[
                "round_robin",
                "weighted_random",
                "least_outstanding_requests",
            ],
        ),
        |g| application(g, "round_robin"),
    ),
    row(
        "load_balancing.cross_zone.enabled",
        Values::OneOf(&["true", "false", "use_load_balancer_configuration"]),
        |_| Some("use_load_balancer_configuration"),
    ),
    row("preserve_client_ip.enabled", Values::Boolean, |g| {
        let off =
            g.target_type == TargetType::Ip && matches!(g.protocol, Protocol::Tcp | Protocol::Tls);
        network(g, if off { "false" } else { "true" })
    }),
    row("proxy_protocol_v2.enabled", Values::Boolean, |g| {
        network(g, "false")
    }),
    row(
        "slow_start.duration_seconds",
        Values::ZeroOr(30, 900),
        |g| application(g, "0"),
    ),
    row(
        "stickiness.app_cookie.cookie_name",
        Values::CookieName,
        |g| application(g, ""),
    ),
    row(
        "stickiness.app_cookie.duration_seconds",
        Values::Range(1, 604_800),
        |g| application(g, "86400"),
    ),
    row("stickiness.enabled", Values::Boolean, |g| {
        (g.target_type != TargetType::Alb).then_some("false")
    }),
    row(
        "stickiness.lb_cookie.duration_seconds",
        Values::Range(1, 604_800),
        |g| application(g, "86400"),
    ),
    // Which types a protocol has is judged in `check_together`.
    row(
        "stickiness.type",
        Values::OneOf(&["lb_cookie", "app_cookie", "source_ip"]),
        |g| {
            let kind = if g.is_application() {
                "lb_cookie"
            } else {
                "source_ip"
            };
            (g.target_type != TargetType::Alb).then_some(kind)
        },
    ),
    row(DNS_COUNT, Values::OffOrCount, |_| Some("1")),
    row(DNS_PERCENTAGE, Values::OffOrPercentage, |_| Some("off")),
    row(ROUTING_COUNT, Values::Count, |_| Some("1")),
    row(ROUTING_PERCENTAGE, Values::OffOrPercentage, |_| Some("off")),
    row(TERMINATION, Values::Boolean, |g| {
        // "Cannot be enabled for UDP and TCP_UDP".
        network(g, if is_udp(g.protocol) { "false" } else { "true" })
    }),
    row(DRAINING_INTERVAL, Values::Range(0, 360_000), |g| {
        network(g, "0")
    }),
];

/// The attributes after setting some.
pub(super) fn set(group: &TargetGroup, pairs: Pairs) -> Result<BTreeMap<String, String>, ApiError> {
    let mut attributes = group.attributes.clone();
    for (key, value) in pairs {
        let row = TABLE.iter().find(|row| row.key == key);
        if row.is_none() && !ELSEWHERE.contains(&key.as_str()) {
            return Err(error::validation(format!(
                "Target group attribute key '{key}' is not recognized"
            )));
        }
        let Some(row) = row.filter(|row| (row.initial)(group).is_some()) else {
            // The code is undocumented.
            return Err(error::configuration(format!(
                "A target group with {} protocol does not support the attribute {key}",
                group.protocol.as_str()
            )));
        };
        if group.target_type == TargetType::Alb && group.attribute(&key) != value {
            // The NLB guide: attributes of such a group cannot be changed. Text undocumented.
            return Err(error::configuration(
                "Attributes of target groups with target type 'alb' cannot be modified",
            ));
        }
        row.values.check(&key, &value)?;
        attributes.insert(key, value);
    }
    check_together(group, &attributes)?;
    Ok(attributes)
}

/// Refuses a set whose values are fine one by one.
fn check_together(
    group: &TargetGroup,
    attributes: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    let value = |key: &str| attributes.get(key).map_or("", String::as_str);
    let protocol = group.protocol;
    let sticky = value("stickiness.enabled") == "true";
    let sticky_type = value("stickiness.type");
    if group.is_application() && sticky_type == "source_ip" {
        return Err(error::configuration(
            "Stickiness type 'source_ip' is not supported for target groups with the HTTP protocol",
        ));
    }
    if !group.is_application() && matches!(sticky_type, "lb_cookie" | "app_cookie") {
        return Err(error::configuration(format!(
            "Stickiness type '{sticky_type}' is not supported for target groups with the {} \
             protocol",
            protocol.as_str()
        )));
    }
    if sticky && (protocol == Protocol::Tls || is_quic(protocol)) {
        return Err(error::configuration(format!(
            "You cannot enable stickiness on target groups with the {} protocol",
            protocol.as_str()
        )));
    }
    if sticky
        && sticky_type == "app_cookie"
        && value("stickiness.app_cookie.cookie_name").is_empty()
    {
        return Err(error::configuration(
            "You must set an application cookie name to enable stickiness of type 'app_cookie'",
        ));
    }
    check_algorithm(&value, sticky)?;
    // The ALB and NLB guides: stickiness is not for targets that are split by zone. Text
    // undocumented; the NLB has no such restriction.
    if sticky && group.is_application() && value("load_balancing.cross_zone.enabled") == "false" {
        return Err(error::configuration(
            "You cannot enable stickiness on a target group with cross-zone load balancing off",
        ));
    }
    check_cross_zone(group, value("load_balancing.cross_zone.enabled"))?;
    if is_udp(protocol) && value("preserve_client_ip.enabled") == "false" {
        return Err(error::configuration(
            "preserve_client_ip.enabled cannot be false if the target group protocol is UDP or \
             TCP_UDP.",
        ));
    }
    if is_quic(protocol) && value("preserve_client_ip.enabled") == "false" {
        // Documented like the former; text undocumented.
        return Err(error::configuration(
            "preserve_client_ip.enabled cannot be false if the target group protocol is QUIC or \
             TCP_QUIC.",
        ));
    }
    if is_udp(protocol) && value(TERMINATION) == "true" {
        return Err(error::configuration(format!(
            "'{TERMINATION}' cannot be true if the target group protocol is UDP or TCP_UDP"
        )));
    }
    if value(TERMINATION) == "true" && !matches!(value(DRAINING_INTERVAL), "" | "0") {
        return Err(error::configuration(format!(
            "You cannot have both '{TERMINATION}' and '{DRAINING_INTERVAL}' enabled on a target \
             group"
        )));
    }
    for (dns, routing) in [
        (DNS_COUNT, ROUTING_COUNT),
        (DNS_PERCENTAGE, ROUTING_PERCENTAGE),
    ] {
        let number = |key: &str| value(key).parse::<u32>().ok();
        if let (Some(dns), Some(routing)) = (number(dns), number(routing))
            && dns < routing
        {
            return Err(error::configuration(
                "DNS failover threshold must be greater than or equal to unhealthy state routing \
                 threshold",
            ));
        }
    }
    Ok(())
}

fn check_algorithm<'a>(value: &impl Fn(&str) -> &'a str, sticky: bool) -> Result<(), ApiError> {
    let algorithm = value("load_balancing.algorithm.type");
    if value("load_balancing.algorithm.anomaly_mitigation") == "on"
        && algorithm != "weighted_random"
    {
        return Err(error::configuration(format!(
            "You cannot enable both anomaly mitigation and {} algorithm on a target group",
            algorithm.replace('_', " ")
        )));
    }
    let slow = !matches!(value("slow_start.duration_seconds"), "" | "0");
    if slow && algorithm != "round_robin" {
        // The guide's restriction; text undocumented.
        return Err(error::configuration(format!(
            "You cannot enable both slow start and {} algorithm on a target group",
            algorithm.replace('_', " ")
        )));
    }
    if sticky && algorithm == "weighted_random" {
        // The guide's restriction; text undocumented.
        return Err(error::configuration(
            "You cannot enable both stickiness and weighted random algorithm on a target group",
        ));
    }
    Ok(())
}

/// A target in all zones cannot be kept to one. Text undocumented.
fn check_cross_zone(group: &TargetGroup, cross_zone: &str) -> Result<(), ApiError> {
    let everywhere = |zone: &Option<String>| zone.as_deref() == Some("all");
    if cross_zone == "false"
        && group
            .targets
            .values()
            .any(|target| everywhere(&target.requested_zone))
    {
        return Err(error::configuration(
            "You cannot turn off cross-zone load balancing for a target group with targets in the \
             Availability Zone 'all'",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::tests::target_group;

    fn run(protocol: Protocol, pairs: &[(&str, &str)]) -> Result<(), ApiError> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        set(&target_group("g", protocol), pairs).map(|_| ())
    }

    #[test]
    fn takes() {
        use Protocol::{Http, Https, Tcp, Udp};
        let rows: [(Protocol, &[(&str, &str)]); 12] = [
            (Http, &[("deregistration_delay.timeout_seconds", "0")]),
            (Http, &[("slow_start.duration_seconds", "30")]),
            (Http, &[("slow_start.duration_seconds", "0")]),
            (
                Https,
                &[
                    ("stickiness.enabled", "true"),
                    ("stickiness.type", "lb_cookie"),
                ],
            ),
            (
                Http,
                &[
                    ("stickiness.enabled", "true"),
                    ("stickiness.type", "app_cookie"),
                    ("stickiness.app_cookie.cookie_name", "session"),
                ],
            ),
            (
                Http,
                &[
                    ("load_balancing.algorithm.type", "weighted_random"),
                    ("load_balancing.algorithm.anomaly_mitigation", "on"),
                ],
            ),
            (
                Tcp,
                &[
                    ("stickiness.enabled", "true"),
                    ("stickiness.type", "source_ip"),
                ],
            ),
            (Tcp, &[("preserve_client_ip.enabled", "false")]),
            (Tcp, &[(TERMINATION, "false"), (DRAINING_INTERVAL, "60")]),
            (Tcp, &[(DNS_COUNT, "off"), (ROUTING_COUNT, "3")]),
            (
                Udp,
                &[(
                    "deregistration_delay.connection_termination.enabled",
                    "false",
                )],
            ),
            (Http, &[("load_balancing.cross_zone.enabled", "false")]),
        ];
        for (protocol, pairs) in rows {
            assert_eq!(run(protocol, pairs), Ok(()), "{protocol:?} {pairs:?}");
        }
    }

    #[test]
    #[expect(clippy::type_complexity, reason = "a table of pairs")]
    fn refuses() {
        use Protocol::{Http, Tcp, Tls, Udp};
        let both = [
            ("stickiness.enabled", "true"),
            ("load_balancing.algorithm.type", "weighted_random"),
        ];
        let rows: [(Protocol, &[(&str, &str)], &str); 18] = [
            (
                Http,
                &[("stickiness.duration_seconds", "1")],
                "Target group attribute key 'stickiness.duration_seconds' is not recognized",
            ),
            (
                Http,
                &[("preserve_client_ip.enabled", "true")],
                "A target group with HTTP protocol does not support the attribute preserve_client_ip.enabled",
            ),
            (
                Tcp,
                &[("slow_start.duration_seconds", "30")],
                "A target group with TCP protocol does not support the attribute slow_start.duration_seconds",
            ),
            (
                Tcp,
                &[("lambda.multi_value_headers.enabled", "true")],
                "does not support the attribute",
            ),
            (
                Http,
                &[("deregistration_delay.timeout_seconds", "3601")],
                "'deregistration_delay.timeout_seconds' value '3601' must be between '0-3600' inclusive",
            ),
            (
                Http,
                &[("slow_start.duration_seconds", "29")],
                "value '29' must be between '30-900' inclusive",
            ),
            (
                Http,
                &[("load_balancing.algorithm.type", "random")],
                "'Load balancer algorithm' must be one of [round_robin, weighted_random, least_outstanding_requests]",
            ),
            (
                Http,
                &[("load_balancing.algorithm.anomaly_mitigation", "on")],
                "You cannot enable both anomaly mitigation and round robin algorithm on a target group",
            ),
            (Http, &both, "both stickiness and weighted random"),
            (
                Http,
                &[
                    ("stickiness.enabled", "true"),
                    ("stickiness.type", "app_cookie"),
                ],
                "You must set an application cookie name to enable stickiness of type 'app_cookie'",
            ),
            (
                Http,
                &[("stickiness.type", "source_ip")],
                "Stickiness type 'source_ip' is not supported",
            ),
            (
                Tcp,
                &[("stickiness.type", "lb_cookie")],
                "Stickiness type 'lb_cookie' is not supported",
            ),
            (
                Tls,
                &[("stickiness.enabled", "true")],
                "You cannot enable stickiness on target groups with the TLS protocol",
            ),
            (
                Udp,
                &[("preserve_client_ip.enabled", "false")],
                "preserve_client_ip.enabled cannot be false",
            ),
            (
                Tcp,
                &[(DRAINING_INTERVAL, "60")],
                "You cannot have both 'target_health_state.unhealthy.connection_termination.enabled' and",
            ),
            (
                Http,
                &[(DNS_PERCENTAGE, "101")],
                "must be 'off' or an integer from 1 to 100 inclusive",
            ),
            (
                Http,
                &[(ROUTING_COUNT, "2")],
                "DNS failover threshold must be greater than or equal to unhealthy state routing threshold",
            ),
            (
                Http,
                &[("stickiness.app_cookie.cookie_name", "AWSALBTG")],
                "cannot begin with 'AWSALB'",
            ),
        ];
        for (protocol, pairs, expected) in rows {
            let refusal = run(protocol, pairs).unwrap_err();
            assert!(
                refusal.message.contains(expected),
                "expected {expected:?}, got {refusal}"
            );
        }
    }

    #[test]
    fn an_alb_group_is_fixed() {
        let mut group = target_group("g", Protocol::Tcp);
        group.target_type = TargetType::Alb;
        let delay = |value: &str| {
            set(
                &group,
                vec![("deregistration_delay.timeout_seconds".into(), value.into())],
            )
        };
        assert!(delay("300").is_ok());
        assert!(delay("30").is_err());
    }
}
