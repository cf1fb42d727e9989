//! Attributes of load balancers, listeners and target groups: which keys AWS knows.
//!
//! In: attributes as configured. Out: those that AWS would take. AWS refuses all attributes of a call
//! because of one unknown key, so an unknown one is left out and reported, with the key that was
//! probably meant. (Difference, unknown-attribute-is-left-out: LBC gives up the Gateway.) The tables are those of the ELBv2 API reference: `LoadBalancerAttribute`,
//! `ListenerAttribute` and `TargetGroupAttribute`.

use elbow_api::Diagnostic;
use elbow_api::crds::Attribute;
use elbow_model::Attributes;
use elbow_model::stack::LoadBalancerType;

/// Which load balancers know a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Both,
    Alb,
    Nlb,
}

type Table = &'static [(On, &'static str)];

const LOAD_BALANCER: Table = &[
    (On::Both, "access_logs.s3.bucket"),
    (On::Both, "access_logs.s3.enabled"),
    (On::Both, "access_logs.s3.prefix"),
    (On::Both, "deletion_protection.enabled"),
    (On::Both, "ipv6.deny_all_igw_traffic"),
    (On::Both, "load_balancing.cross_zone.enabled"),
    (On::Both, "zonal_shift.config.enabled"),
    (On::Alb, "client_keep_alive.seconds"),
    (On::Alb, "connection_logs.s3.bucket"),
    (On::Alb, "connection_logs.s3.enabled"),
    (On::Alb, "connection_logs.s3.prefix"),
    (On::Alb, "health_check_logs.s3.bucket"),
    (On::Alb, "health_check_logs.s3.enabled"),
    (On::Alb, "health_check_logs.s3.prefix"),
    (On::Alb, "idle_timeout.timeout_seconds"),
    (On::Alb, "routing.http.desync_mitigation_mode"),
    (On::Alb, "routing.http.drop_invalid_header_fields.enabled"),
    (On::Alb, "routing.http.preserve_host_header.enabled"),
    (
        On::Alb,
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
    ),
    (On::Alb, "routing.http.xff_client_port.enabled"),
    (On::Alb, "routing.http.xff_header_processing.mode"),
    (On::Alb, "routing.http2.enabled"),
    (On::Alb, "waf.fail_open.enabled"),
    (On::Nlb, "dns_record.client_routing_policy"),
    (On::Nlb, "secondary_ips.auto_assigned.per_subnet"),
];

const LISTENER: Table = &[
    (On::Nlb, "tcp.idle_timeout.seconds"),
    (
        On::Alb,
        "routing.http.request.x_amzn_mtls_clientcert.header_name",
    ),
    (
        On::Alb,
        "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name",
    ),
    (
        On::Alb,
        "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name",
    ),
    (
        On::Alb,
        "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name",
    ),
    (
        On::Alb,
        "routing.http.request.x_amzn_mtls_clientcert_subject.header_name",
    ),
    (
        On::Alb,
        "routing.http.request.x_amzn_mtls_clientcert_validity.header_name",
    ),
    (
        On::Alb,
        "routing.http.request.x_amzn_tls_cipher_suite.header_name",
    ),
    (
        On::Alb,
        "routing.http.request.x_amzn_tls_version.header_name",
    ),
    (
        On::Alb,
        "routing.http.response.access_control_allow_credentials.header_value",
    ),
    (
        On::Alb,
        "routing.http.response.access_control_allow_headers.header_value",
    ),
    (
        On::Alb,
        "routing.http.response.access_control_allow_methods.header_value",
    ),
    (
        On::Alb,
        "routing.http.response.access_control_allow_origin.header_value",
    ),
    (
        On::Alb,
        "routing.http.response.access_control_expose_headers.header_value",
    ),
    (
        On::Alb,
        "routing.http.response.access_control_max_age.header_value",
    ),
    (
        On::Alb,
        "routing.http.response.content_security_policy.header_value",
    ),
    (On::Alb, "routing.http.response.server.enabled"),
    (
        On::Alb,
        "routing.http.response.strict_transport_security.header_value",
    ),
    (
        On::Alb,
        "routing.http.response.x_content_type_options.header_value",
    ),
    (
        On::Alb,
        "routing.http.response.x_frame_options.header_value",
    ),
];

const TARGET_GROUP: Table = &[
    (On::Both, "deregistration_delay.timeout_seconds"),
    (On::Both, "load_balancing.cross_zone.enabled"),
    (On::Both, "stickiness.enabled"),
    (On::Both, "stickiness.type"),
    (
        On::Both,
        "target_group_health.dns_failover.minimum_healthy_targets.count",
    ),
    (
        On::Both,
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
    ),
    (
        On::Both,
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
    ),
    (
        On::Both,
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
    ),
    (On::Alb, "load_balancing.algorithm.anomaly_mitigation"),
    (On::Alb, "load_balancing.algorithm.type"),
    (On::Alb, "slow_start.duration_seconds"),
    (On::Alb, "stickiness.app_cookie.cookie_name"),
    (On::Alb, "stickiness.app_cookie.duration_seconds"),
    (On::Alb, "stickiness.lb_cookie.duration_seconds"),
    (On::Alb, "waf.http2.traffic_inspection_behavior"),
    (
        On::Nlb,
        "deregistration_delay.connection_termination.enabled",
    ),
    (On::Nlb, "preserve_client_ip.enabled"),
    (On::Nlb, "proxy_protocol_v2.enabled"),
    (
        On::Nlb,
        "target_health_state.unhealthy.connection_termination.enabled",
    ),
    (
        On::Nlb,
        "target_health_state.unhealthy.draining_interval_seconds",
    ),
];

/// What attributes belong to.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    LoadBalancer,
    Listener,
    TargetGroup,
}

/// The attributes that AWS would take, and a finding for each of the others. The findings' field is
/// the place in the list.
pub(crate) fn known(
    of: Of,
    lb_type: LoadBalancerType,
    attributes: Option<&Vec<Attribute>>,
) -> (Attributes, Vec<(usize, Diagnostic)>) {
    let (table, what) = match of {
        Of::LoadBalancer => (LOAD_BALANCER, "load balancer"),
        Of::Listener => (LISTENER, "listener"),
        Of::TargetGroup => (TARGET_GROUP, "target group"),
    };
    let here = match lb_type {
        LoadBalancerType::Application => On::Alb,
        LoadBalancerType::Network => On::Nlb,
    };
    let fits = |on: On| on == On::Both || on == here;
    let mut known = Attributes::new();
    let mut findings = Vec::new();
    for (place, Attribute { key, value }) in attributes.into_iter().flatten().enumerate() {
        let entry = table.iter().find(|(_, k)| k == key);
        let finding = match entry {
            Some((on, _)) if fits(*on) => {
                known.insert(key.clone(), value.clone());
                continue;
            }
            Some(_) => Diagnostic::error(
                "unknown-attribute",
                format!(
                    "attribute `{key}` does not exist on a {what} of type {}",
                    lb_type.as_str()
                ),
            )
            .hint("remove it; it is left out"),
            None => {
                let finding = Diagnostic::error(
                    "unknown-attribute",
                    format!("`{key}` is no attribute of a {what}"),
                );
                let keys = table.iter().filter(|(on, _)| fits(*on)).map(|(_, k)| *k);
                match nearest(key, keys) {
                    Some(meant) => finding.hint(format!("did you mean `{meant}`? It is left out")),
                    None => finding.hint("remove it; it is left out"),
                }
            }
        };
        findings.push((place, finding));
    }
    (known, findings)
}

/// The candidate that is nearest to a text, if one is near enough to be meant.
fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (distance(text, c), c))
        .min()
        // A third of the key mistyped is still recognisable.
        .filter(|(distance, c)| *distance * 3 <= c.len())
        .map(|(_, c)| c)
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_left_out_with_a_suggestion() {
        let attribute = |key: &str| Attribute {
            key: key.to_owned(),
            value: "60".to_owned(),
        };
        let rows = [
            (
                "idle_timeout.timeout_seconds",
                LoadBalancerType::Application,
                None,
            ),
            (
                "idle_timeout.timeout_second",
                LoadBalancerType::Application,
                Some("did you mean `idle_timeout.timeout_seconds`? It is left out"),
            ),
            (
                "idle_timeout.timeout_seconds",
                LoadBalancerType::Network,
                Some("remove it; it is left out"),
            ),
            (
                "x",
                LoadBalancerType::Application,
                Some("remove it; it is left out"),
            ),
        ];
        for (key, lb_type, hint) in rows {
            let given = vec![attribute(key)];
            let (kept, findings) = known(Of::LoadBalancer, lb_type, Some(&given));
            assert_eq!(kept.contains_key(key), hint.is_none(), "{key}");
            let found = findings.first().and_then(|(_, d)| d.hint.as_deref());
            assert_eq!(found, hint, "{key}");
        }
    }
}
