//! TCPRoutes, UDPRoutes and TLSRoutes.
//!
//! In: a route of connections. Out: the same as a [`Route`]; its rules have neither matches nor
//! filters.

use gateway_api::apis::experimental::tcproutes::TcpRoute;
use gateway_api::apis::experimental::tlsroutes::TlsRoute;
use gateway_api::apis::experimental::udproutes::UdpRoute;

use super::{
    BackendRef, ParentRef, Route, RouteKind, RouteRule, backends, created_ms, name_of, parents,
};

macro_rules! route {
    ($route:expr, $kind:expr, $hostnames:expr) => {
        Route {
            kind: $kind,
            name: name_of(&$route.metadata),
            generation: $route.metadata.generation.unwrap_or_default(),
            created_ms: created_ms(&$route.metadata),
            parents: parents!($route.spec.parent_refs),
            hostnames: $hostnames,
            rules: $route
                .spec
                .rules
                .iter()
                .map(|rule| RouteRule {
                    matches: Vec::new(),
                    filters: Vec::new(),
                    backends: backends!(rule.backend_refs.iter()),
                    ignored: Vec::new(),
                })
                .collect(),
        }
    };
}

pub(super) fn tcp(route: &TcpRoute) -> Route {
    route!(route, RouteKind::Tcp, Vec::new())
}

pub(super) fn udp(route: &UdpRoute) -> Route {
    route!(route, RouteKind::Udp, Vec::new())
}

pub(super) fn tls(route: &TlsRoute) -> Route {
    route!(route, RouteKind::Tls, route.spec.hostnames.clone())
}
