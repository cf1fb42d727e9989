//! Listeners of the load balancer, one for each port that some route attached to.
//!
//! In: the Gateway's valid listeners, and the routes of each port. Out: desired listeners, and the
//! ports whose listener cannot be decided: one that is there stays as it is, none is created. A
//! listener without a route is not wanted, as with LBC.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::crds::{AlpnPolicy, ListenerConfiguration};
use elbow_api::{Diagnostic, Kind};
use elbow_model::rule::{Action, FixedResponse, Forward, Stickiness, WeightedTargetGroup};
use elbow_model::stack::{LoadBalancerType, Protocol, TargetType};
use elbow_model::{Cause, CertificateArn, MutualAuthentication, Port, Ref, ResourceId, stack};

use super::attachment::{Attachments, PortHostnames};
use super::backends::{Backend, ResolvedRoute, ServiceBackend};
use super::chained::Chained;
use super::clients::Clients;
use super::failures::RouteFailure;
use super::listeners::{Listener, ListenerProblem, ListenerProblemKind};
use super::routes::{Route, RouteKind};
use super::rules::{self, DraftRule};
use super::secrets::FromSecrets;
use super::target_groups::TargetGroups;
use super::{Frame, RouteFailures, actions, attributes, certificates, tags};
use crate::settings::ListenerIsolation;

/// What the ports of a Gateway come to.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    pub(crate) listeners: BTreeMap<Port, stack::Listener>,
    pub(crate) undecided: BTreeSet<Port>,
}

/// The routes of a Gateway, as the stages before left them.
pub(crate) struct Attached<'r, 'a> {
    pub(crate) routes: &'r [Route],
    pub(crate) resolved: &'r [ResolvedRoute<'a>],
    pub(crate) attachments: &'r Attachments,
}

/// Builds the listeners of a load balancer. What makes a listener undecided becomes the problem of
/// the Gateway's listeners of that port.
pub(crate) fn build<'a>(
    frame: &Frame<'_, 'a>,
    listeners: &mut [Listener],
    attached: &Attached<'_, 'a>,
    groups: &mut TargetGroups<'_, '_, 'a>,
    failures: &mut [RouteFailures],
) -> Ports {
    let mut ports = Ports::default();
    let mut rules: BTreeMap<Port, Vec<DraftRule<'a>>> = BTreeMap::new();
    for (number, routes) in &attached.attachments.ports {
        let valid: Vec<_> = listeners
            .iter()
            .filter(|l| l.is_valid() && l.port == *number)
            .collect();
        let Some(port) = Port::new(*number) else {
            continue;
        };
        // A listener without a certificate cannot be served, and does not hold up others of its port. One
        // that cannot verify its clients is as the others of its port are.
        let (without, valid): (Vec<_>, Vec<_>) = valid.into_iter().partition(|l| {
            matches!(l.from_secrets, FromSecrets::Nothing(_))
                || matches!(l.clients, Clients::Refused(_))
        });
        let builder = |listeners| Builder {
            frame,
            port,
            listeners,
            attached,
            routes,
        };
        if valid.is_empty() {
            if !without.is_empty() {
                ports.undecided.insert(port);
                // What AWS has on the port goes on serving, and the endpoints behind it come and go.
                let _unused = builder(&without).answers(groups, failures);
            }
            continue;
        }
        match builder(&valid).build(groups, failures) {
            Ok(Some((listener, port_rules))) => {
                ports.listeners.insert(port, listener);
                rules.insert(port, port_rules);
            }
            Ok(None) => {}
            Err(problem) => {
                ports.undecided.insert(port);
                let blamed = listeners
                    .iter_mut()
                    .filter(|l| l.is_valid() && l.port == *number);
                for listener in blamed {
                    listener.problem = Some(problem.clone());
                }
            }
        }
    }
    rules::keep_within_quota(frame, &mut rules, failures);
    for (port, rules) in rules {
        let rules = rules::number(frame, port, rules);
        if let Some(listener) = ports.listeners.get_mut(&port) {
            listener.rules = rules;
        }
    }
    ports
}

struct Builder<'b, 'c, 'a> {
    frame: &'b Frame<'c, 'a>,
    port: Port,
    listeners: &'b [&'b Listener],
    attached: &'b Attached<'b, 'a>,
    routes: &'b BTreeMap<usize, PortHostnames>,
}

impl<'a> Builder<'_, '_, 'a> {
    /// The default action, if the listener has one, and the rules. Their target groups are wanted even when the
    /// listener is undecided.
    fn answers(
        &self,
        groups: &mut TargetGroups<'_, '_, 'a>,
        failures: &mut [RouteFailures],
    ) -> Result<(Option<Action>, Vec<DraftRule<'a>>), ListenerProblem> {
        let declared = self.protocol()?;
        let configured = self.configured(declared);
        let protocol = self.served(declared, configured).unwrap_or(declared);
        match self.frame.lb_type {
            LoadBalancerType::Application => {
                let Attached {
                    routes, resolved, ..
                } = self.attached;
                let mut rules = rules::of_port(
                    self.frame,
                    protocol,
                    routes,
                    resolved,
                    self.routes,
                    groups,
                    failures,
                );
                let settings = self.frame.ctx.settings;
                if settings.listener_isolation == ListenerIsolation::ByRules {
                    rules::isolate(&mut rules, self.listeners, settings.hostname_ports);
                }
                let not_found = Action::FixedResponse(FixedResponse::plain(404));
                Ok((Some(not_found), rules))
            }
            LoadBalancerType::Network => {
                let configured = configured.map(|(_, c)| c);
                let action = self.forward(protocol, configured, groups, failures)?;
                Ok((action, Vec::new()))
            }
        }
    }

    /// What the configuration says of the listener, by the protocol that the Gateway's listeners have.
    fn configured(&self, protocol: Protocol) -> Option<(usize, &ListenerConfiguration)> {
        self.frame
            .configuration
            .listener(protocol.as_str(), self.port.get())
    }

    /// The listener and its rules; `None` when none is wanted.
    fn build(
        &self,
        groups: &mut TargetGroups<'_, '_, 'a>,
        failures: &mut [RouteFailures],
    ) -> Result<Option<(stack::Listener, Vec<DraftRule<'a>>)>, ListenerProblem> {
        let declared = self.protocol()?;
        let configured = self.configured(declared);
        let (action, rules) = self.answers(groups, failures)?;
        let Some(default_action) = action else {
            return Ok(None);
        };
        let protocol = self.served(declared, configured)?;
        let attributes = self.attributes(protocol, configured);
        let configured = configured.map(|(_, c)| c);
        let id = ResourceId::new(self.port.to_string());
        let secure = protocol.is_secure();
        let listener = stack::Listener {
            protocol,
            default_action,
            certificates: if secure {
                self.certificates(protocol, configured)?
            } else {
                Vec::new()
            },
            ssl_policy: secure.then(|| {
                let policy = configured.and_then(|c| c.ssl_policy.clone());
                policy.unwrap_or_else(|| self.frame.ctx.settings.default_ssl_policy.clone())
            }),
            alpn_policy: (protocol == Protocol::Tls).then(|| alpn_policy(configured).to_owned()),
            mutual_authentication: self.mutual_authentication(),
            attributes,
            tags: tags::of(
                self.frame.ctx,
                &self.frame.stack,
                &id,
                self.frame.user_tags(),
            ),
            rules: Vec::new(),
            causes: self.causes(),
        };
        Ok(Some((listener, rules)))
    }

    /// The Gateway with its configuration, and the ListenerSets that declare the listeners.
    fn causes(&self) -> Vec<Cause> {
        let sets: BTreeSet<_> = self
            .listeners
            .iter()
            .map(|l| &l.owner)
            .filter(|owner| owner.kind == Kind::ListenerSet)
            .collect();
        let mut causes = self.frame.causes();
        causes.extend(sets.into_iter().map(super::cause));
        causes
    }

    /// Difference (undecided-listeners): LBC gives up the whole Gateway for what is wrong with one
    /// listener, and at a first deployment its other listeners stand without rules.
    fn problem(
        &self,
        kind: ListenerProblemKind,
        code: &'static str,
        message: String,
        hint: &str,
    ) -> ListenerProblem {
        let hint = format!("{hint}; until then the listener is left as it is, or not created");
        self.frame.ctx.report(
            Diagnostic::error(code, message.clone())
                .on(self.frame.object())
                .at("spec.listeners")
                .hint(hint),
        );
        ListenerProblem { kind, message }
    }

    /// The protocol of all listeners of the port together.
    fn protocol(&self) -> Result<Protocol, ListenerProblem> {
        let protocols: BTreeSet<_> = self
            .listeners
            .iter()
            .map(|l| match l.protocol.as_str() {
                "HTTP" => Protocol::Http,
                "HTTPS" => Protocol::Https,
                "UDP" => Protocol::Udp,
                "TLS" if !l.is_passthrough => Protocol::Tls,
                _ => Protocol::Tcp,
            })
            .collect();
        match Vec::from_iter(protocols).as_slice() {
            [only] => Ok(*only),
            [Protocol::Tcp, Protocol::Udp] => Ok(Protocol::TcpUdp),
            _ => Err(self.problem(
                ListenerProblemKind::Invalid,
                "mixed-protocols",
                "invalid listeners on gateway, listeners with same ports cannot have different protocols".to_owned(),
                "give the TLS listeners of one port the same mode",
            )),
        }
    }

    /// What a network load balancer does with connections: the oldest route has them all.
    fn forward(
        &self,
        protocol: Protocol,
        configured: Option<&ListenerConfiguration>,
        groups: &mut TargetGroups<'_, '_, 'a>,
        failures: &mut [RouteFailures],
    ) -> Result<Option<Action>, ListenerProblem> {
        let routes = self.attached.routes;
        let age = |index: &usize| {
            (
                routes[*index].created_ms,
                routes[*index].name.to_string(),
                routes[*index].kind,
            )
        };
        let Some(winner) = self.routes.keys().copied().min_by_key(age) else {
            return Ok(None);
        };
        let route = &routes[winner];
        for loser in self.routes.keys().filter(|index| **index != winner) {
            let (own, taken) = (&routes[*loser].hostnames, &route.hostnames);
            if routes[*loser].kind == RouteKind::Tls && own != taken {
                // Difference (no-sni-routing): LBC says that the route is accepted.
                let message = format!(
                    "a network load balancer does not tell hostnames apart: {} is older and has all connections to port {}",
                    route.object(),
                    self.port
                );
                failures[*loser].note(RouteFailure::UnsupportedValue(message));
            }
            self.frame.ctx.report(
                Diagnostic::warning(
                    "shadowed-route",
                    format!(
                        "{} is older and has all connections to port {}",
                        route.object(),
                        self.port
                    ),
                )
                .on(routes[*loser].object())
                .at("spec.parentRefs")
                .hint("attach it to a listener of its own, or merge the two into one route with weights"),
            );
        }
        let rules = &self.attached.resolved[winner].rules;
        let mut target_groups = Vec::new();
        let mut has_traffic = false;
        for backend in rules.iter().flat_map(|r| &r.backends) {
            if let Backend::Gateway(chained) = backend
                && protocol != Protocol::Tcp
            {
                let failure = self.refuse_chained(protocol, route, chained);
                failures[winner].note(failure);
                continue;
            }
            if protocol.is_quic()
                && let Backend::Service(service) = backend
                && service.target_type == TargetType::Instance
            {
                let failure = self.refuse_instances(route, service);
                failures[winner].note(failure);
                continue;
            }
            has_traffic |= backend.weight() > 0;
            target_groups.push(WeightedTargetGroup {
                target_group: groups.ensure(route, backend, protocol),
                // AWS takes no weights for QUIC.
                weight: (!protocol.is_quic()).then_some(backend.weight()),
            });
        }
        if rules.iter().any(|r| r.has_bad_weight) {
            return Err(self.problem(
                ListenerProblemKind::Invalid,
                "weight-too-large",
                format!("{} has a weight that AWS does not take", route.object()),
                "divide all weights of the route",
            ));
        }
        if target_groups.len() > actions::TARGET_GROUPS_MAX {
            let problem = actions::too_many_groups(target_groups.len());
            failures[winner].note(RouteFailure::UnsupportedValue(problem.message.clone()));
            return Err(self.problem(
                ListenerProblemKind::Invalid,
                problem.code,
                problem.message,
                "use fewer backends",
            ));
        }
        if !has_traffic {
            self.frame.ctx.report(
                Diagnostic::warning(
                    "listener-without-backend",
                    format!(
                        "port {} has no backend to forward to and is closed",
                        self.port
                    ),
                )
                .on(route.object())
                .at("spec.rules")
                .hint("give the route a backend with a weight above 0"),
            );
            return Ok(None);
        }
        Ok(Some(Action::Forward(Forward {
            target_groups,
            stickiness: configured
                .and_then(|c| c.target_group_stickiness)
                .map(|enabled| Stickiness {
                    enabled,
                    duration_seconds: None,
                }),
        })))
    }

    /// An application load balancer stands behind a TCP listener only:
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/network/application-load-balancer-target.html>.
    fn refuse_chained(&self, protocol: Protocol, route: &Route, chained: &Chained) -> RouteFailure {
        let message = format!(
            "the application load balancer of Gateway {} stands behind TCP listeners only, and port {} is of {protocol}",
            chained.name, self.port
        );
        self.frame.ctx.report(
            Diagnostic::error("chained-over-tcp", message.clone())
                .on(route.object())
                .at("spec.rules")
                .hint("make the listener a TCP one, or a TLS one of mode Passthrough"),
        );
        RouteFailure::UnsupportedValue(message)
    }

    /// A server id is a pod's, and an instance has many: LBC registers them without, and AWS refuses them.
    ///
    /// Difference (bad-backend-is-dropped).
    fn refuse_instances(&self, route: &Route, service: &ServiceBackend<'_>) -> RouteFailure {
        let message = format!(
            "QUIC has targets of type ip only, and those of Service {} are instances",
            service.name
        );
        self.frame.ctx.report(
            Diagnostic::error("quic-over-ip", message.clone())
                .on(route.object())
                .at("spec.rules")
                .hint("set targetType to ip in the Service's TargetGroupConfiguration"),
        );
        RouteFailure::UnsupportedValue(message)
    }

    /// The protocol that the load balancer serves the port with: QUIC in the place of UDP where it is asked
    /// for.
    fn served(
        &self,
        declared: Protocol,
        configured: Option<(usize, &ListenerConfiguration)>,
    ) -> Result<Protocol, ListenerProblem> {
        let Some((place, _)) = configured.filter(|(_, c)| c.quic_enabled == Some(true)) else {
            return Ok(declared);
        };
        let field = format!("listenerConfigurations[{place}].quicEnabled");
        let report = |finding: Diagnostic| {
            let finding = self.frame.configuration.finding(finding, &field);
            self.frame.ctx.report(finding);
        };
        let protocol = match declared {
            Protocol::Udp => Protocol::Quic,
            Protocol::TcpUdp => Protocol::TcpQuic,
            other => {
                let message = format!("QUIC protocol upgrade not supported for protocol {other}");
                report(Diagnostic::error("quic-over-udp", message.clone()).hint(
                    "set it for UDP or TCP_UDP; until then the listener is left as it is, or not created",
                ));
                let kind = ListenerProblemKind::Invalid;
                return Err(ListenerProblem { kind, message });
            }
        };
        // As with LBC the listener is asked for all the same.
        let spec = &self.frame.configuration.spec;
        if spec.disable_security_group != Some(true) {
            report(
                Diagnostic::warning(
                    "aws-may-refuse",
                    "AWS says that a load balancer with security groups carries no QUIC",
                )
                .hint("set disableSecurityGroup; a load balancer that has security groups must be created anew"),
            );
        }
        Ok(protocol)
    }

    /// What the listener asks of its clients: all listeners of a port ask the same.
    fn mutual_authentication(&self) -> MutualAuthentication {
        let asked = self.listeners.iter().find_map(|l| match &l.clients {
            Clients::Asked(asked) => Some(asked.clone()),
            Clients::NotAsked | Clients::Refused(_) => None,
        });
        asked.unwrap_or_default()
    }

    fn certificates(
        &self,
        protocol: Protocol,
        configured: Option<&ListenerConfiguration>,
    ) -> Result<Vec<Ref<CertificateArn>>, ListenerProblem> {
        let explicit = certificates::explicit(configured);
        if !explicit.is_empty() {
            return Ok(explicit.into_iter().map(Ref::Known).collect());
        }
        let from_secrets = self.certificates_of_secrets();
        if !from_secrets.is_empty() {
            return Ok(from_secrets);
        }
        let discovered = self.discovered(protocol)?;
        Ok(discovered.into_iter().map(Ref::Known).collect())
    }

    /// The certificates of Secrets that the listeners of the port name, in their order; after them those
    /// that are discovered for the listeners beside them which name none.
    fn certificates_of_secrets(&self) -> Vec<Ref<CertificateArn>> {
        let mut found: Vec<Ref<CertificateArn>> = Vec::new();
        let named = self.listeners.iter().filter_map(|l| match &l.from_secrets {
            FromSecrets::Found(certificates) => Some(certificates),
            FromSecrets::NotAsked | FromSecrets::Nothing(_) => None,
        });
        for certificate in named.flatten() {
            if !found.contains(certificate) {
                found.push(certificate.clone());
            }
        }
        if found.is_empty() {
            return found;
        }
        let others = self
            .listeners
            .iter()
            .filter(|l| matches!(l.from_secrets, FromSecrets::NotAsked));
        for listener in others {
            let Some(hostname) = &listener.hostname else {
                continue;
            };
            let hostnames = BTreeSet::from([hostname.clone()]);
            match certificates::discover(self.frame.ctx, &hostnames) {
                Ok(discovered) => {
                    let discovered = discovered.into_iter().map(Ref::Known);
                    let new: Vec<_> = discovered.filter(|c| !found.contains(c)).collect();
                    found.extend(new);
                }
                Err(hostname) => {
                    let finding = Diagnostic::error(
                        "no-certificate",
                        format!("no certificate found for host: {hostname}"),
                    )
                    .hint("name a Secret in its tls.certificateRefs, or have ACM issue a certificate for it");
                    let finding = finding.on(listener.owner.clone()).at(listener.field());
                    self.frame.ctx.report(finding);
                }
            }
        }
        found
    }

    fn discovered(&self, protocol: Protocol) -> Result<Vec<CertificateArn>, ListenerProblem> {
        let mut hostnames: BTreeSet<String> = self
            .listeners
            .iter()
            .filter_map(|l| l.hostname.clone())
            .collect();
        let of_routes = self.routes.values().flatten();
        hostnames.extend(of_routes.filter(|h| !h.is_empty()).cloned());
        let hint = format!(
            "name a Secret in tls.certificateRefs, or a certificate in listenerConfigurations of a LoadBalancerConfiguration, for {protocol}:{}",
            self.port
        );
        if hostnames.is_empty() {
            return Err(self.problem(
                ListenerProblemKind::InvalidCertificateRef,
                "no-certificate",
                format!(
                    "No hostnames found for TLS cert discovery for listener on gateway {} with protocol:port {protocol}:{}",
                    self.frame.gateway, self.port
                ),
                &format!("give the listener or its routes a hostname, or {hint}"),
            ));
        }
        certificates::discover(self.frame.ctx, &hostnames).map_err(|hostname| {
            self.problem(
                ListenerProblemKind::InvalidCertificateRef,
                "no-certificate",
                format!("no certificate found for host: {hostname}"),
                &format!("have ACM issue a certificate for it, or {hint}"),
            )
        })
    }

    fn attributes(
        &self,
        protocol: Protocol,
        configured: Option<(usize, &ListenerConfiguration)>,
    ) -> elbow_model::Attributes {
        let Some((place, configured)) = configured else {
            return elbow_model::Attributes::new();
        };
        let given = configured.listener_attributes.as_ref();
        // AWS has no attributes for TLS listeners.
        if protocol == Protocol::Tls {
            return elbow_model::Attributes::new();
        }
        let (known, findings) =
            attributes::known(attributes::Of::Listener, self.frame.lb_type, given);
        for (attribute, finding) in findings {
            let field =
                format!("listenerConfigurations[{place}].listenerAttributes[{attribute}].key");
            self.frame
                .ctx
                .report(self.frame.configuration.finding(finding, &field));
        }
        known
    }
}

fn alpn_policy(configured: Option<&ListenerConfiguration>) -> &'static str {
    match configured.map(|c| c.alpn_policy) {
        None | Some(AlpnPolicy::None) => "None",
        Some(AlpnPolicy::Http1Only) => "HTTP1Only",
        Some(AlpnPolicy::Http2Only) => "HTTP2Only",
        Some(AlpnPolicy::Http2Optional) => "HTTP2Optional",
        Some(AlpnPolicy::Http2Preferred) => "HTTP2Preferred",
    }
}
