//! Listeners of a Gateway: what they are, and which of them are valid.
//!
//! In: `spec.listeners`. Out: [`Listener`]s in the order in which they are declared, each with the
//! first problem it has. Of two listeners in conflict the first wins. Listeners of ListenerSets will
//! be appended here; validation runs over the whole list.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::GatewayController;
use elbow_model::Port;
use gateway_api::apis::experimental::gateways as gw;

use super::routes::RouteKind;

/// A listener of a Gateway.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) port: i32,
    pub(crate) protocol: String,
    pub(crate) hostname: Option<String>,
    pub(crate) is_passthrough: bool,
    pub(crate) has_certificate_refs: bool,
    /// Route kinds that `allowedRoutes` names; empty for the protocol's own.
    pub(crate) kinds: Vec<String>,
    pub(crate) namespaces: AllowedNamespaces,
    pub(crate) problem: Option<ListenerProblem>,
}

impl Listener {
    pub(crate) const fn is_valid(&self) -> bool {
        self.problem.is_none()
    }
}

/// Namespaces whose routes may attach.
#[derive(Debug, Clone)]
pub(crate) enum AllowedNamespaces {
    Same,
    All,
    Selector(gw::GatewayListenersAllowedRoutesNamespacesSelector),
    None,
}

/// Why a listener is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerProblem {
    /// Which condition it shows in.
    pub kind: ListenerProblemKind,
    /// The condition's message.
    pub message: String,
}

/// Kinds of problem that a listener can have; the name is the reason of its conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    missing_docs,
    reason = "each variant is the Gateway API reason of that name"
)]
pub enum ListenerProblemKind {
    InvalidRouteKinds,
    PortUnavailable,
    UnsupportedProtocol,
    ProtocolConflict,
    HostnameConflict,
    /// No certificate is found.
    InvalidCertificateRef,
    /// It cannot be built for another reason.
    Invalid,
}

impl ListenerProblemKind {
    /// The reason as the Gateway API spells it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::InvalidRouteKinds => "InvalidRouteKinds",
            Self::PortUnavailable => "PortUnavailable",
            Self::UnsupportedProtocol => "UnsupportedProtocol",
            Self::ProtocolConflict => "ProtocolConflict",
            Self::HostnameConflict => "HostnameConflict",
            Self::InvalidCertificateRef => "InvalidCertificateRef",
            Self::Invalid => "Invalid",
        }
    }
}

/// Reads and validates the listeners of a Gateway.
pub(crate) fn read(controller: GatewayController, spec: &gw::GatewaySpec) -> Vec<Listener> {
    let mut listeners: Vec<_> = spec.listeners.iter().map(normalise).collect();
    let mut seen = Seen::default();
    for listener in &mut listeners {
        listener.problem = seen.problem_of(controller, listener);
    }
    listeners
}

fn normalise(listener: &gw::GatewayListeners) -> Listener {
    use gw::GatewayListenersAllowedRoutesNamespacesFrom as From;
    let allowed = listener.allowed_routes.as_ref();
    let namespaces = allowed.and_then(|a| a.namespaces.as_ref());
    let tls = listener.tls.as_ref();
    Listener {
        name: listener.name.clone(),
        port: listener.port,
        protocol: listener.protocol.clone(),
        hostname: listener.hostname.clone().filter(|h| !h.is_empty()),
        is_passthrough: tls
            .is_some_and(|t| t.mode == Some(gw::GatewayListenersTlsMode::Passthrough)),
        has_certificate_refs: tls
            .is_some_and(|t| t.certificate_refs.as_ref().is_some_and(|c| !c.is_empty())),
        kinds: allowed
            .and_then(|a| a.kinds.as_ref())
            .into_iter()
            .flatten()
            .map(|k| k.kind.clone())
            .collect(),
        namespaces: match namespaces.and_then(|n| n.from.as_ref()) {
            None | Some(From::Same) => AllowedNamespaces::Same,
            Some(From::All) => AllowedNamespaces::All,
            // A selector that is absent selects nothing; one that is empty selects all.
            Some(From::Selector) => namespaces
                .and_then(|n| n.selector.clone())
                .map_or(AllowedNamespaces::None, AllowedNamespaces::Selector),
        },
        problem: None,
    }
}

/// What earlier listeners have taken.
#[derive(Default)]
struct Seen {
    /// The protocol of the first listener of each port.
    protocols: BTreeMap<i32, String>,
    hostnames: BTreeSet<(i32, String)>,
}

impl Seen {
    fn problem_of(
        &mut self,
        controller: GatewayController,
        listener: &Listener,
    ) -> Option<ListenerProblem> {
        let Listener {
            name,
            port,
            protocol,
            ..
        } = listener;
        let problem = |kind, message| Some(ListenerProblem { kind, message });
        if listener.kinds.iter().any(|k| !serves(controller, k)) {
            return problem(
                ListenerProblemKind::InvalidRouteKinds,
                format!("Invalid route kind for listener {name}"),
            );
        }
        if Port::new(*port).is_none() {
            return problem(
                ListenerProblemKind::PortUnavailable,
                format!("Port {port} is not available (listener name {name})"),
            );
        }
        let protocols: &[&str] = match controller {
            GatewayController::Alb => &["HTTP", "HTTPS"],
            GatewayController::Nlb => &["TCP", "UDP", "TLS"],
        };
        if !protocols.contains(&protocol.as_str()) {
            return problem(
                ListenerProblemKind::UnsupportedProtocol,
                format!("Unsupported protocol {protocol} for listener {name}"),
            );
        }
        let first = self.protocols.entry(*port);
        let first = first.or_insert_with(|| protocol.clone());
        let shares = share_a_port(first, protocol);
        // A hostname is taken even by a listener whose protocol is in conflict, and of two conflicts
        // that of the hostname is told.
        if let Some(hostname) = &listener.hostname
            && !self.hostnames.insert((*port, hostname.clone()))
        {
            return problem(
                ListenerProblemKind::HostnameConflict,
                format!("Hostname conflict for port {port} with hostname {hostname}"),
            );
        }
        if !shares {
            return problem(
                ListenerProblemKind::ProtocolConflict,
                format!("Protocol conflict for port {port}"),
            );
        }
        None
    }
}

/// A network load balancer serves TCP and UDP of one port with one listener.
fn share_a_port(a: &str, b: &str) -> bool {
    a == b || matches!((a, b), ("TCP", "UDP") | ("UDP", "TCP"))
}

fn serves(controller: GatewayController, kind: &str) -> bool {
    RouteKind::of(controller).iter().any(|k| k.as_str() == kind)
}

/// The route kinds that a protocol carries where a listener names none.
pub(crate) fn kinds_of_protocol(protocol: &str) -> &'static [&'static str] {
    match protocol {
        "HTTP" => &["HTTPRoute"],
        "HTTPS" => &["HTTPRoute", "GRPCRoute"],
        "TLS" => &["TLSRoute", "TCPRoute"],
        "TCP" => &["TCPRoute"],
        "UDP" => &["UDPRoute"],
        _ => &[],
    }
}

/// The route kinds that a listener supports, for its status.
pub(crate) fn supported_kinds(controller: GatewayController, listener: &Listener) -> Vec<String> {
    if listener.kinds.is_empty() {
        let kinds = kinds_of_protocol(&listener.protocol);
        return kinds.iter().map(|k| (*k).to_owned()).collect();
    }
    let kinds = listener.kinds.iter();
    kinds.filter(|k| serves(controller, k)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(
        name: &str,
        protocol: &str,
        port: i32,
        hostname: Option<&str>,
    ) -> gw::GatewayListeners {
        gw::GatewayListeners {
            name: name.to_owned(),
            protocol: protocol.to_owned(),
            port,
            hostname: hostname.map(str::to_owned),
            ..gw::GatewayListeners::default()
        }
    }

    #[track_caller]
    fn check(controller: GatewayController, rows: &[(&str, i32, Option<&str>, Option<&str>)]) {
        let spec = gw::GatewaySpec {
            listeners: rows
                .iter()
                .map(|(protocol, port, host, _)| listener("l", protocol, *port, *host))
                .collect(),
            ..gw::GatewaySpec::default()
        };
        let found: Vec<_> = read(controller, &spec)
            .iter()
            .map(|l| l.problem.as_ref().map(|p| p.kind.reason()))
            .collect();
        let expected: Vec<_> = rows.iter().map(|row| row.3).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_first_of_two_listeners_in_conflict_wins() {
        check(
            GatewayController::Alb,
            &[
                ("HTTP", 80, Some("a.example.com"), None),
                ("HTTP", 80, Some("b.example.com"), None),
                ("HTTP", 80, Some("a.example.com"), Some("HostnameConflict")),
                ("HTTPS", 80, None, Some("ProtocolConflict")),
                // LBC, pkg/gateway/routeutils/listener_utils.go: the hostname is looked at last.
                ("HTTPS", 80, Some("a.example.com"), Some("HostnameConflict")),
                ("HTTPS", 80, Some("c.example.com"), Some("ProtocolConflict")),
                ("HTTP", 80, Some("c.example.com"), Some("HostnameConflict")),
                ("HTTP", 80, None, None),
                ("HTTP", 80, None, None),
                ("TCP", 90, None, Some("UnsupportedProtocol")),
                ("HTTP", 0, None, Some("PortUnavailable")),
            ],
        );
    }

    #[test]
    fn tcp_and_udp_share_a_port() {
        check(
            GatewayController::Nlb,
            &[
                ("TCP", 53, None, None),
                ("UDP", 53, None, None),
                ("TLS", 53, None, Some("ProtocolConflict")),
                ("HTTP", 80, None, Some("UnsupportedProtocol")),
            ],
        );
    }
}
