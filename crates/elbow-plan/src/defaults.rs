//! Attributes that a new load balancer has without being told: setting them again would be a call for nothing.
//!
//! Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html>.
//! A mistake here costs no more than time: what AWS has is read at the next look, and set then.

use elbow_model::Attributes;
use elbow_model::stack::LoadBalancerType;

const OF_BOTH: [(&str, &str); 1] = [("deletion_protection.enabled", "false")];

const OF_APPLICATION: [(&str, &str); 9] = [
    ("client_keep_alive.seconds", "3600"),
    ("idle_timeout.timeout_seconds", "60"),
    ("routing.http.desync_mitigation_mode", "defensive"),
    ("routing.http.drop_invalid_header_fields.enabled", "false"),
    ("routing.http.preserve_host_header.enabled", "false"),
    ("routing.http.xff_client_port.enabled", "false"),
    ("routing.http.xff_header_processing.mode", "append"),
    ("routing.http2.enabled", "true"),
    ("waf.fail_open.enabled", "false"),
];

const OF_NETWORK: [(&str, &str); 1] = [("load_balancing.cross_zone.enabled", "false")];

/// The attributes of a load balancer of which nothing is known but that it was made, and what was set since.
pub(crate) fn with_defaults(lb_type: LoadBalancerType, set: &Attributes) -> Attributes {
    let own = match lb_type {
        LoadBalancerType::Application => OF_APPLICATION.as_slice(),
        LoadBalancerType::Network => OF_NETWORK.as_slice(),
    };
    let defaults = OF_BOTH.iter().chain(own);
    let mut all: Attributes = defaults
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    all.extend(set.clone());
    all
}
