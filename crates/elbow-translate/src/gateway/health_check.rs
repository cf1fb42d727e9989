//! Health checks of target groups, with every default filled in.
//!
//! The defaults are LBC's. `healthCheckConfig` decides field by field here; that it is taken whole
//! from one configuration has been settled before.

use elbow_api::crds::HealthCheckProtocol;
use elbow_model::stack::{HealthCheck, Matcher, Protocol, ProtocolVersion, TargetType};

use super::backends::ServiceBackend;

/// Defaults that depend on the kind of target.
struct Defaults {
    protocol: Protocol,
    path: &'static str,
    interval_seconds: i32,
    timeout_seconds: i32,
    threshold_count: i32,
}

/// The health check of a target group of this protocol.
pub(crate) fn of(
    backend: &ServiceBackend<'_>,
    protocol: Protocol,
    version: Option<ProtocolVersion>,
) -> HealthCheck {
    let config = backend
        .props
        .props
        .health_check_config
        .clone()
        .unwrap_or_default();
    let names_a_port = config.health_check_port.is_some();
    let local_port = local_health_check_port(backend);
    // Difference (local-without-node-port): LBC checks port 0 where the Service has no healthCheckNodePort
    // and none is configured, which AWS refuses; elbow checks the traffic port then.
    let is_local = keeps_traffic_local(backend) && (names_a_port || local_port.is_some());
    let defaults = match (version, is_local) {
        (Some(ProtocolVersion::Grpc), _) => Defaults {
            path: "/AWS.ALB/healthcheck",
            ..usual(protocol)
        },
        (Some(_), _) => usual(protocol),
        (None, false) => usual(Protocol::Tcp),
        // Kubernetes answers on healthCheckNodePort: whether the node has an endpoint. As with LBC,
        // the other defaults hold for a port that is configured, too.
        (None, true) => Defaults {
            protocol: Protocol::Http,
            path: "/healthz",
            interval_seconds: 10,
            timeout_seconds: 6,
            threshold_count: 2,
        },
    };
    let checked_with = match config.health_check_protocol {
        Some(HealthCheckProtocol::Http) => Protocol::Http,
        Some(HealthCheckProtocol::Https) => Protocol::Https,
        Some(HealthCheckProtocol::Tcp) => Protocol::Tcp,
        None => defaults.protocol,
    };
    let is_tcp = checked_with == Protocol::Tcp && version.is_none();
    let matcher = config.matcher.unwrap_or_default();
    let matcher = if version == Some(ProtocolVersion::Grpc) {
        Matcher::GrpcCode(matcher.grpc_code.unwrap_or_else(|| "12".to_owned()))
    } else {
        Matcher::HttpCode(matcher.http_code.unwrap_or_else(|| "200-399".to_owned()))
    };
    let path = config.health_check_path;
    let configured_port = backend.health_check_port.map(|p| p.to_string());
    let local_port = local_port.filter(|_| version.is_none() && !names_a_port);
    HealthCheck {
        port: configured_port
            .or_else(|| local_port.map(|p| p.to_string()))
            .unwrap_or_else(|| "traffic-port".to_owned()),
        protocol: checked_with,
        path: (!is_tcp).then(|| path.unwrap_or_else(|| defaults.path.to_owned())),
        matcher: (!is_tcp).then_some(matcher),
        interval_seconds: config
            .health_check_interval
            .unwrap_or(defaults.interval_seconds),
        timeout_seconds: config
            .health_check_timeout
            .unwrap_or(defaults.timeout_seconds),
        healthy_threshold_count: config
            .healthy_threshold_count
            .unwrap_or(defaults.threshold_count),
        unhealthy_threshold_count: config
            .unhealthy_threshold_count
            .unwrap_or(defaults.threshold_count),
    }
}

const fn usual(protocol: Protocol) -> Defaults {
    Defaults {
        protocol,
        path: "/",
        interval_seconds: 15,
        timeout_seconds: 5,
        threshold_count: 3,
    }
}

/// Whether nodes pass traffic on to their own endpoints only.
fn keeps_traffic_local(backend: &ServiceBackend<'_>) -> bool {
    let spec = backend.service.spec.as_ref();
    backend.target_type == TargetType::Instance
        && spec.is_some_and(|s| s.external_traffic_policy.as_deref() == Some("Local"))
}

/// The port on which nodes tell whether they have an endpoint of a Service that keeps traffic local.
/// Kubernetes gives one to Services of type LoadBalancer only.
fn local_health_check_port(backend: &ServiceBackend<'_>) -> Option<i32> {
    let port = backend.service.spec.as_ref()?.health_check_node_port;
    port.filter(|port| keeps_traffic_local(backend) && *port > 0)
}
