//! Listeners of a Gateway and its ListenerSets: what they are, and which of them are valid.
//!
//! In: `spec.listeners` of each. Out: [`Listener`]s in the order of their precedence, each with the
//! first problem it has. Of two listeners in conflict the first wins; only TLS listeners of one port
//! that disagree about who ends TLS are all refused, since neither reading is more likely.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{GatewayController, ObjectRef};
use elbow_model::Port;
use gateway_api::apis::experimental::gateways as gw;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::clients::Clients;
use super::routes::RouteKind;
use super::secrets::{CertificateRef, FromSecrets};
use crate::selector::label_selector;

/// A listener of a Gateway or of a ListenerSet.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// The Gateway or ListenerSet that declares it.
    pub(crate) owner: ObjectRef,
    /// Its place in `spec.listeners` of its owner.
    pub(crate) place: usize,
    pub(crate) name: String,
    pub(crate) port: i32,
    pub(crate) protocol: String,
    pub(crate) hostname: Option<String>,
    pub(crate) is_passthrough: bool,
    pub(crate) certificate_refs: Vec<CertificateRef>,
    /// What those come to.
    pub(crate) from_secrets: FromSecrets,
    /// What it asks of its clients.
    pub(crate) clients: Clients,
    /// Route kinds that `allowedRoutes` names; empty for the protocol's own.
    pub(crate) kinds: Vec<String>,
    pub(crate) namespaces: AllowedNamespaces,
    pub(crate) problem: Option<ListenerProblem>,
    /// What is wrong with a reference and does not keep the listener from being served.
    pub(crate) unresolved: Option<ListenerProblem>,
}

impl Listener {
    /// Whether it is served.
    pub(crate) const fn is_valid(&self) -> bool {
        self.problem.is_none()
    }

    /// Whether routes attach to it: all but those that are refused, whether they are served or not.
    pub(crate) fn is_accepted(&self) -> bool {
        self.problem.as_ref().is_none_or(|p| !p.kind.is_refusal())
    }

    /// The field of its owner that declares it.
    pub(crate) fn field(&self) -> String {
        format!("spec.listeners[{}]", self.place)
    }
}

/// Namespaces whose routes may attach.
#[derive(Debug, Clone)]
pub(crate) enum AllowedNamespaces {
    Same,
    All,
    Selector(LabelSelector),
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
    /// No certificate is found, or one that is named cannot be used.
    InvalidCertificateRef,
    /// A certificate or ConfigMap of another namespace is named, and no ReferenceGrant permits that.
    RefNotPermitted,
    /// None of the authorities that are to vouch for clients can be used.
    NoValidCaCertificate,
    /// A ConfigMap of authorities that is named cannot be used.
    InvalidCaCertificateRef,
    /// Something that is no ConfigMap is to hold authorities.
    InvalidCaCertificateKind,
    /// It asks for what elbow is not set up to do.
    UnsupportedValue,
    /// It cannot be built for another reason.
    Invalid,
}

impl ListenerProblemKind {
    /// Whether the listener is refused as a whole, which its condition Accepted says.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::PortUnavailable
                | Self::UnsupportedProtocol
                | Self::ProtocolConflict
                | Self::HostnameConflict
                | Self::NoValidCaCertificate
                | Self::UnsupportedValue
        )
    }

    /// The reason as the Gateway API spells it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::InvalidRouteKinds => "InvalidRouteKinds",
            Self::PortUnavailable => "PortUnavailable",
            Self::UnsupportedProtocol => "UnsupportedProtocol",
            Self::ProtocolConflict => "ProtocolConflict",
            Self::HostnameConflict => "HostnameConflict",
            Self::InvalidCertificateRef => "InvalidCertificateRef",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::NoValidCaCertificate => "NoValidCACertificate",
            Self::InvalidCaCertificateRef => "InvalidCACertificateRef",
            Self::InvalidCaCertificateKind => "InvalidCACertificateKind",
            Self::UnsupportedValue => "UnsupportedValue",
            Self::Invalid => "Invalid",
        }
    }
}

/// Reads and validates listeners; those that come first win conflicts.
pub(crate) fn read<'l>(
    controller: GatewayController,
    declared: impl IntoIterator<Item = (ObjectRef, &'l [gw::GatewayListeners])>,
) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for (owner, of_owner) in declared {
        let places = of_owner.iter().enumerate();
        listeners.extend(places.map(|(place, l)| normalise(owner.clone(), place, l)));
    }
    let mut seen = Seen::default();
    for listener in &mut listeners {
        listener.problem = seen.problem_of(controller, listener);
        listener.unresolved = kinds_problem(listener);
    }
    refuse_mixed_modes(&mut listeners);
    listeners
}

/// The ports whose TLS listeners disagree about who ends TLS. What stands there in AWS is left alone.
pub(crate) fn mixed_mode_ports(listeners: &[Listener]) -> BTreeSet<i32> {
    let modes = |port: i32, is_passthrough: bool| {
        listeners
            .iter()
            .any(|l| l.port == port && l.protocol == "TLS" && l.is_passthrough == is_passthrough)
    };
    let ports: BTreeSet<_> = listeners.iter().map(|l| l.port).collect();
    let mixed = |port: &i32| modes(*port, true) && modes(*port, false);
    ports.into_iter().filter(mixed).collect()
}

/// Difference (mixed-modes): LBC takes them for valid and gives up the Gateway.
fn refuse_mixed_modes(listeners: &mut [Listener]) {
    let mixed = mixed_mode_ports(listeners);
    let of_mixed = listeners
        .iter_mut()
        .filter(|l| l.protocol == "TLS" && mixed.contains(&l.port) && l.is_valid());
    for listener in of_mixed {
        let port = listener.port;
        listener.problem = Some(ListenerProblem {
            kind: ListenerProblemKind::ProtocolConflict,
            message: format!(
                "Protocol conflict for port {port}: its TLS listeners have different modes"
            ),
        });
    }
}

/// A listener may name kinds that its protocol does not carry. As with LBC it is served all the same.
///
/// Difference (kinds-of-protocol): LBC does not say so.
fn kinds_problem(listener: &Listener) -> Option<ListenerProblem> {
    let carried: &[&str] = match (listener.protocol.as_str(), listener.is_passthrough) {
        ("HTTP" | "HTTPS", _) => &["HTTPRoute", "GRPCRoute"],
        ("TLS", true) => &["TLSRoute"],
        ("TLS", false) => &["TLSRoute", "TCPRoute"],
        ("TCP", _) => &["TCPRoute"],
        ("UDP", _) => &["UDPRoute"],
        _ => return None,
    };
    let stranger = listener
        .kinds
        .iter()
        .find(|k| !carried.contains(&k.as_str()))?;
    Some(ListenerProblem {
        kind: ListenerProblemKind::InvalidRouteKinds,
        message: format!(
            "Invalid route kind for listener {}: protocol {} does not carry {stranger}",
            listener.name, listener.protocol
        ),
    })
}

fn normalise(owner: ObjectRef, place: usize, listener: &gw::GatewayListeners) -> Listener {
    use gw::GatewayListenersAllowedRoutesNamespacesFrom as From;
    let allowed = listener.allowed_routes.as_ref();
    let namespaces = allowed.and_then(|a| a.namespaces.as_ref());
    let tls = listener.tls.as_ref();
    Listener {
        owner,
        place,
        name: listener.name.clone(),
        port: listener.port,
        protocol: listener.protocol.clone(),
        hostname: listener.hostname.clone().filter(|h| !h.is_empty()),
        is_passthrough: tls
            .is_some_and(|t| t.mode == Some(gw::GatewayListenersTlsMode::Passthrough)),
        certificate_refs: tls
            .and_then(|t| t.certificate_refs.as_ref())
            .into_iter()
            .flatten()
            .map(|reference| CertificateRef {
                group: reference.group.clone().unwrap_or_default(),
                kind: reference
                    .kind
                    .clone()
                    .unwrap_or_else(|| "Secret".to_owned()),
                namespace: reference.namespace.clone(),
                name: reference.name.clone(),
            })
            .collect(),
        from_secrets: FromSecrets::default(),
        clients: Clients::default(),
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
                .and_then(|n| n.selector.as_ref())
                .map_or(AllowedNamespaces::None, |selector| {
                    AllowedNamespaces::Selector(label_selector!(selector))
                }),
        },
        problem: None,
        unresolved: None,
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
        let is_supported = protocols.contains(&protocol.as_str());
        // Difference (conflict-before-protocol): LBC says of a TCP listener on a port of an HTTP listener
        // that the protocol is unsupported; the Gateway API wants the conflict named.
        let is_taken = self
            .protocols
            .get(port)
            .is_some_and(|first| !share_a_port(first, protocol));
        if !is_supported && is_taken {
            return problem(
                ListenerProblemKind::ProtocolConflict,
                format!("Protocol conflict for port {port}"),
            );
        }
        if !is_supported {
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
    // The Gateway API's conformance suite wants none of TLS listeners that disagree about their mode.
    let is_conflict = |p: &ListenerProblem| p.kind == ListenerProblemKind::ProtocolConflict;
    if listener.protocol == "TLS" && listener.problem.as_ref().is_some_and(is_conflict) {
        return Vec::new();
    }
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
        let declared: Vec<_> = rows
            .iter()
            .map(|(protocol, port, host, _)| listener("l", protocol, *port, *host))
            .collect();
        let owner = ObjectRef::new(elbow_api::Kind::Gateway, "ns", "gw");
        let found: Vec<_> = read(controller, [(owner, declared.as_slice())])
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
                ("TCP", 80, None, Some("ProtocolConflict")),
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

    fn tls(
        name: &str,
        port: i32,
        mode: gw::GatewayListenersTlsMode,
        kinds: &[&str],
    ) -> gw::GatewayListeners {
        gw::GatewayListeners {
            tls: Some(gw::GatewayListenersTls {
                mode: Some(mode),
                ..gw::GatewayListenersTls::default()
            }),
            allowed_routes: Some(gw::GatewayListenersAllowedRoutes {
                kinds: Some(
                    kinds
                        .iter()
                        .map(|kind| gw::GatewayListenersAllowedRoutesKinds {
                            group: None,
                            kind: (*kind).to_owned(),
                        })
                        .collect(),
                ),
                namespaces: None,
            }),
            ..listener(name, "TLS", port, None)
        }
    }

    #[test]
    fn tls_listeners_of_one_port_agree_about_the_mode_or_are_all_refused() {
        use gw::GatewayListenersTlsMode::{Passthrough, Terminate};
        let declared = [
            tls("a", 443, Terminate, &["TLSRoute"]),
            tls("b", 443, Passthrough, &["TLSRoute"]),
            tls("c", 8443, Passthrough, &["TLSRoute"]),
            tls("d", 8443, Passthrough, &["TCPRoute", "TLSRoute"]),
        ];
        let owner = ObjectRef::new(elbow_api::Kind::Gateway, "ns", "gw");
        let nlb = GatewayController::Nlb;
        let found: Vec<_> = read(nlb, [(owner, declared.as_slice())])
            .iter()
            .map(|l| {
                let reason = |p: &Option<ListenerProblem>| p.as_ref().map(|p| p.kind.reason());
                (
                    reason(&l.problem),
                    reason(&l.unresolved),
                    supported_kinds(nlb, l).len(),
                )
            })
            .collect();
        let expected = [
            (Some("ProtocolConflict"), None, 0),
            (Some("ProtocolConflict"), None, 0),
            (None, None, 1),
            (None, Some("InvalidRouteKinds"), 2),
        ];
        assert_eq!(found, expected);
    }
}
