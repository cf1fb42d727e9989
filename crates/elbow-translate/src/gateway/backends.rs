//! Backends of routes: what they are, and whether a target group can be made of them.
//!
//! In: the backendRefs of a rule. Out: [`Backend`]s in their order, each of which is a target group or can
//! become one; Services are resolved here, Gateways in [`super::chained`], target groups of others in
//! [`super::existing`]. What cannot be one is left out, with a finding and the failure that the route's status shows. What
//! is left takes over its share, as with LBC; a rule with nothing left answers 500.

use std::rc::Rc;

use elbow_api::crds;
use elbow_api::{Diagnostic, GatewayController, Kind, NamespacedName, ObjectRef};
use elbow_model::stack::{TargetFamily, TargetType};
use elbow_model::{Port, ResourceId};
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::chained::Chained;
use super::config::Configuration;
use super::context::Context;
use super::existing::Existing;
use super::failures::{RouteFailure, RouteFailures};
use super::grants;
use super::routes::{BackendRef, Filter, Route};
use super::tags;
use super::target_group_config::{self, Props};

/// Port of a target group whose Service names its targetPort; each target is registered with its own.
const PORT_OF_NAMED: u16 = 1;
/// AWS's largest weight in a forward action.
const WEIGHT_MAX: i32 = 999;

/// A backend that traffic can go to.
#[derive(Debug, Clone)]
pub(crate) enum Backend<'a> {
    /// A Service.
    Service(ServiceBackend<'a>),
    /// The application load balancer of a Gateway.
    Gateway(Chained),
    /// A target group that somebody else has made.
    TargetGroup(Existing),
}

impl Backend<'_> {
    pub(crate) fn weight(&self) -> u16 {
        match self {
            Self::Service(backend) => backend.weight,
            Self::Gateway(backend) => backend.weight,
            Self::TargetGroup(backend) => backend.weight,
        }
    }
}

/// A Service that can become a target group.
#[derive(Debug, Clone)]
pub(crate) struct ServiceBackend<'a> {
    pub(crate) service: &'a Service,
    pub(crate) name: NamespacedName,
    pub(crate) service_port: &'a ServicePort,
    pub(crate) weight: u16,
    /// The target group's id within the Stack.
    pub(crate) resource: ResourceId,
    pub(crate) props: Rc<Props>,
    pub(crate) target_type: TargetType,
    pub(crate) family: TargetFamily,
    /// Port of the target group.
    pub(crate) port: Port,
    /// Where the traffic goes: the NodePort, or the Service's targetPort.
    pub(crate) traffic_port: IntOrString,
    /// Port that is checked; `None` for the traffic port.
    pub(crate) health_check_port: Option<Port>,
}

/// What became of a route's rules.
#[derive(Debug, Default)]
pub(crate) struct ResolvedRoute<'a> {
    pub(crate) rules: Vec<ResolvedRule<'a>>,
    /// What is wrong, in the order of the rules.
    pub(crate) failures: RouteFailures,
}

/// What became of a rule.
#[derive(Debug, Default)]
pub(crate) struct ResolvedRule<'a> {
    pub(crate) backends: Vec<Backend<'a>>,
    /// A weight that cannot be had: sharing traffic by the others would not be what was asked for.
    pub(crate) has_bad_weight: bool,
    pub(crate) configuration: Option<&'a crds::ListenerRuleConfiguration>,
}

/// Where a route's backends are looked for.
pub(crate) struct Resolver<'c, 'a> {
    pub(crate) ctx: &'c Context<'a>,
    pub(crate) controller: GatewayController,
    pub(crate) gateway: &'c NamespacedName,
    pub(crate) configuration: &'c Configuration,
    pub(crate) is_dualstack: bool,
}

/// A backend that can be used, and what there is to say about it.
pub(super) struct Found<'a> {
    pub(super) backend: Backend<'a>,
    /// For the route's status, where nothing gets there at present.
    pub(super) failure: Option<RouteFailure>,
    /// Findings about the backendRef.
    pub(super) findings: Vec<Diagnostic>,
}

/// Why a backend cannot be used: for the route's status, and for people.
pub(super) struct Problem {
    pub(super) failure: RouteFailure,
    pub(super) code: &'static str,
    /// Field relative to the backendRef; empty for the whole.
    pub(super) field: &'static str,
    pub(super) message: String,
    pub(super) hint: String,
}

impl Problem {
    pub(super) fn unsupported(code: &'static str, message: String, hint: &str) -> Box<Self> {
        Box::new(Self {
            failure: RouteFailure::UnsupportedValue(message.clone()),
            code,
            field: "",
            message,
            hint: hint.to_owned(),
        })
    }
}

impl<'a> Resolver<'_, 'a> {
    /// Resolves every backend and ListenerRuleConfiguration of a route.
    pub(crate) fn resolve(&self, route: &Route) -> ResolvedRoute<'a> {
        let mut resolved = ResolvedRoute::default();
        for (index, rule) in route.rules.iter().enumerate() {
            let mut found = ResolvedRule::default();
            // A rule whose configuration is missing must not run without it.
            let without_backends = match self.rule_configuration(route, index) {
                Ok(configuration) => {
                    found.configuration = configuration;
                    false
                }
                Err(failure) => {
                    resolved.failures.note(failure);
                    true
                }
            };
            for (place, backend) in rule.backends.iter().enumerate() {
                let field = format!("spec.rules[{index}].backendRefs[{place}]");
                match self.backend(route, backend) {
                    Ok(usable) => {
                        for finding in usable.findings {
                            self.ctx
                                .report(finding.on(route.object()).at(field.clone()));
                        }
                        if let Some(failure) = usable.failure {
                            resolved.failures.note(failure);
                        }
                        if !without_backends {
                            found.backends.push(usable.backend);
                        }
                    }
                    Err(problem) => {
                        found.has_bad_weight |= problem.code == "weight-too-large";
                        let field = match problem.field {
                            "" => field,
                            part => format!("{field}.{part}"),
                        };
                        self.ctx.report(
                            Diagnostic::error(problem.code, problem.message)
                                .on(route.object())
                                .at(field)
                                .hint(problem.hint),
                        );
                        resolved.failures.note(problem.failure);
                    }
                }
            }
            resolved.rules.push(found);
        }
        resolved
    }

    /// The ListenerRuleConfiguration of a rule.
    ///
    /// Difference (configuration-status-not-read): LBC asks for `status.accepted`; elbow judges the
    /// configuration itself, so that a manifest without status works.
    fn rule_configuration(
        &self,
        route: &Route,
        rule_index: usize,
    ) -> Result<Option<&'a crds::ListenerRuleConfiguration>, RouteFailure> {
        let filters = &route.rules[rule_index].filters;
        let mut names = filters.iter().enumerate().filter_map(|(i, f)| match f {
            Filter::ListenerRuleConfiguration(name) => Some((i, name)),
            _ => None,
        });
        let Some((place, name)) = names.next() else {
            return Ok(None);
        };
        let field = |place| format!("spec.rules[{rule_index}].filters[{place}].extensionRef");
        if let Some((second, _)) = names.next() {
            self.ctx.report(
                Diagnostic::error(
                    "several-listener-rule-configurations",
                    "a rule can have one ListenerRuleConfiguration",
                )
                .on(route.object())
                .at(field(second))
                .hint("put all actions and conditions into one; until then the rule answers 500"),
            );
            return Err(RouteFailure::SeveralRuleConfigurations);
        }
        let name = NamespacedName::new(route.name.namespace.clone(), name.clone());
        let Some(found) = self.ctx.reader.listener_rule_configuration(&name) else {
            self.ctx.report(
                Diagnostic::error(
                    "missing-listener-rule-configuration",
                    format!("ListenerRuleConfiguration {name} does not exist"),
                )
                .on(route.object())
                .at(format!("{}.name", field(place)))
                .hint("create it in the route's namespace; until then the rule answers 500"),
            );
            return Err(RouteFailure::RuleConfigurationNotFound(name));
        };
        Ok(Some(found))
    }

    fn backend(&self, route: &Route, backend: &BackendRef) -> Result<Found<'a>, Box<Problem>> {
        let plain = |backend| Found {
            backend,
            failure: None,
            findings: Vec::new(),
        };
        match backend.kind.as_deref() {
            None | Some("Service") => {
                let found = self.service_backend(route, backend)?;
                Ok(plain(Backend::Service(found)))
            }
            // As with LBC the group is not looked at.
            Some("Gateway") => self.chained(route, backend),
            Some("TargetGroupName") => {
                let found = self.existing(backend)?;
                Ok(plain(Backend::TargetGroup(found)))
            }
            Some(kind) => Err(Box::new(Problem {
                failure: RouteFailure::UnknownBackendKind,
                code: "unknown-backend-kind",
                field: "kind",
                message: format!("a {kind} cannot be a backend"),
                hint: "point the route at a Service".to_owned(),
            })),
        }
    }

    fn service_backend(
        &self,
        route: &Route,
        backend: &BackendRef,
    ) -> Result<ServiceBackend<'a>, Box<Problem>> {
        let (service, name, service_port) = self.service(route, backend)?;
        let weight = weight(backend.weight)?;
        let props = Rc::new(target_group_config::of_service(
            self.ctx,
            &self.configuration.target_groups,
            &name,
            route,
        ));
        let target_type = match props.props.target_type {
            Some(crds::TargetType::Instance) => TargetType::Instance,
            Some(crds::TargetType::Ip) => TargetType::Ip,
            None => self.ctx.settings.default_target_type,
        };
        self.check_protocol(&props, &name)?;
        // Difference (bad-backend-is-dropped): LBC gives up the whole Gateway for what is wrong from here
        // on; elbow drops the backend, as both do where the Service is missing.
        let target_port = target_port(service_port);
        let port_text = text(&target_port);
        let (port, traffic_port) = match target_type {
            TargetType::Instance => node_port(service_port, &name)?,
            TargetType::Ip | TargetType::Alb => {
                let number = match &target_port {
                    IntOrString::Int(number) => *number,
                    IntOrString::String(_) => i32::from(PORT_OF_NAMED),
                };
                let port = Port::new(number).ok_or_else(|| {
                    Problem::unsupported(
                        "invalid-target-port",
                        format!("Service {name} has the targetPort {number}, which is no port"),
                        "use a targetPort between 1 and 65535",
                    )
                })?;
                (port, target_port)
            }
        };
        Ok(ServiceBackend {
            weight,
            resource: self.resource(route, (Kind::Service, &name), &port_text)?,
            family: self.family(service, &name)?,
            health_check_port: health_check_port(&props, service, target_type, &name)?,
            service,
            name,
            service_port,
            props,
            target_type,
            port,
            traffic_port,
        })
    }

    /// The Service and port that a backendRef names. The order of the checks decides which reason a
    /// status shows.
    fn service(
        &self,
        route: &Route,
        backend: &BackendRef,
    ) -> Result<(&'a Service, NamespacedName, &'a ServicePort), Box<Problem>> {
        let port = backend.port.ok_or_else(|| {
            Box::new(Problem {
                failure: RouteFailure::PortRequired,
                code: "missing-backend-port",
                field: "port",
                message: format!("the backend `{}` has no port", backend.name),
                hint: "give the port of the Service".to_owned(),
            })
        })?;
        let namespace = backend.namespace.as_ref().unwrap_or(&route.name.namespace);
        let name = NamespacedName::new(namespace.clone(), backend.name.clone());
        if *namespace != route.name.namespace {
            let (kind, from) = (route.kind.as_str(), &route.name.namespace);
            if !grants::permits_service(self.ctx, kind, from, namespace, &name.name) {
                return Err(Box::new(Problem {
                    failure: RouteFailure::RefNotPermitted,
                    code: "missing-reference-grant",
                    field: "namespace",
                    message: format!(
                        "no ReferenceGrant lets {kind}s of `{from}` use Service {name}"
                    ),
                    hint: format!(
                        "create a ReferenceGrant in namespace `{namespace}` from {kind} in `{from}` to Service"
                    ),
                }));
            }
        }
        let service = self.ctx.reader.service(&name).ok_or_else(|| {
            Box::new(Problem {
                failure: RouteFailure::ServiceNotFound(name.clone()),
                code: "missing-service",
                field: "name",
                message: format!("Service {name} does not exist"),
                hint: "create the Service or correct the name".to_owned(),
            })
        })?;
        let ports = service.spec.iter().flat_map(|s| s.ports.iter().flatten());
        let all: Vec<_> = ports.clone().map(|p| p.port.to_string()).collect();
        let service_port = ports.into_iter().find(|p| p.port == port);
        let service_port = service_port.ok_or_else(|| {
            Box::new(Problem {
                failure: RouteFailure::ServicePortNotFound(port),
                code: "missing-service-port",
                field: "port",
                message: format!("Service {name} has no port {port}"),
                hint: match all.as_slice() {
                    [] => "the Service has no ports".to_owned(),
                    all => format!("its ports are {}", all.join(", ")),
                },
            })
        })?;
        Ok((service, name, service_port))
    }

    fn check_protocol(&self, props: &Props, service: &NamespacedName) -> Result<(), Box<Problem>> {
        use crds::TargetGroupProtocol as P;
        let (fits, allowed) = match (self.controller, props.props.protocol) {
            (_, None) | (GatewayController::Alb, Some(P::Http | P::Https)) => (true, ""),
            (GatewayController::Alb, Some(_)) => (false, "HTTP or HTTPS"),
            (GatewayController::Nlb, Some(P::Http | P::Https)) => {
                (false, "TCP, TLS, UDP or TCP_UDP")
            }
            (GatewayController::Nlb, Some(_)) => (true, ""),
        };
        if fits {
            return Ok(());
        }
        Err(Problem::unsupported(
            "unsupported-target-protocol",
            format!(
                "the TargetGroupConfiguration of Service {service} has a protocol that this load balancer cannot speak"
            ),
            &format!("use {allowed}"),
        ))
    }

    /// The family of a Service's targets.
    ///
    /// Difference (dual-stack-service): LBC gives up a Service that has both families behind an IPv4
    /// load balancer. The API server makes every headless Service without a selector such a one, on
    /// clusters of IPv4 alone too.
    fn family(
        &self,
        service: &Service,
        name: &NamespacedName,
    ) -> Result<TargetFamily, Box<Problem>> {
        let families = || {
            let spec = service.spec.iter();
            spec.flat_map(|s| s.ip_families.iter().flatten())
        };
        let has_ipv4 = families().any(|family| family == "IPv4");
        let has_ipv6 = families().any(|family| family == "IPv6");
        if !has_ipv6 || (has_ipv4 && !self.is_dualstack) {
            return Ok(TargetFamily::Ipv4);
        }
        if self.is_dualstack {
            return Ok(TargetFamily::Ipv6);
        }
        Err(Problem::unsupported(
            "ipv6-needs-dualstack",
            format!("Service {name} has IPv6 addresses, and the load balancer is not dualstack"),
            "set ipAddressType to dualstack in the LoadBalancerConfiguration",
        ))
    }

    /// The id of a target group within the Stack.
    pub(super) fn resource(
        &self,
        route: &Route,
        (kind, backend): (Kind, &NamespacedName),
        port: &str,
    ) -> Result<ResourceId, Box<Problem>> {
        let id = format!(
            "{}:{}-{}:{}-{}-{}:{port}",
            self.gateway,
            route.name.namespace,
            route.name.name,
            route.kind.as_str(),
            backend.namespace,
            backend.name,
        );
        if id.len() > tags::VALUE_LENGTH_MAX {
            return Err(Problem::unsupported(
                "names-too-long",
                format!(
                    "the names of Gateway, route and {kind} {backend} are longer together than an AWS tag can hold"
                ),
                "use shorter names",
            ));
        }
        Ok(ResourceId::new(id))
    }
}

/// Difference (large-weight): LBC gives up the whole Gateway, in silence, for a weight that AWS does not
/// take. Dropping the backend would move its share to others, so the whole rule answers 500.
pub(super) fn weight(weight: i32) -> Result<u16, Box<Problem>> {
    if weight > WEIGHT_MAX {
        let message = format!("Weight [{weight}] must be less than or equal to {WEIGHT_MAX}");
        return Err(Box::new(Problem {
            field: "weight",
            ..*Problem::unsupported(
                "weight-too-large",
                message,
                "divide all weights of the rule; until then the rule answers 500",
            )
        }));
    }
    Ok(u16::try_from(weight).unwrap_or_default())
}

fn node_port(
    port: &ServicePort,
    service: &NamespacedName,
) -> Result<(Port, IntOrString), Box<Problem>> {
    let number = port.node_port.unwrap_or_default();
    let found = Port::new(number).ok_or_else(|| {
        Problem::unsupported(
            "instance-target-needs-node-port",
            format!("Service {service} has no node port, which targets of type instance need"),
            "make the Service a NodePort or LoadBalancer, or set targetType to ip",
        )
    })?;
    Ok((found, IntOrString::Int(number)))
}

/// The port on the pods; the API server's default is the Service's own.
fn target_port(port: &ServicePort) -> IntOrString {
    port.target_port
        .clone()
        .unwrap_or(IntOrString::Int(port.port))
}

pub(crate) fn text(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

/// The port that is checked: a number, or the name of a port of the Service.
fn health_check_port(
    props: &Props,
    service: &Service,
    target_type: TargetType,
    name: &NamespacedName,
) -> Result<Option<Port>, Box<Problem>> {
    let config = props.props.health_check_config.as_ref();
    let Some(wanted) = config.and_then(|c| c.health_check_port.as_deref()) else {
        return Ok(None);
    };
    if wanted == "traffic-port" {
        return Ok(None);
    }
    if let Ok(number) = wanted.parse::<i32>() {
        return Port::new(number).map(Some).ok_or_else(|| {
            Problem::unsupported(
                "invalid-health-check-port",
                format!("the health check port {wanted} of Service {name} is no port"),
                "use a port between 1 and 65535, the name of a port, or traffic-port",
            )
        });
    }
    let mut ports = service.spec.iter().flat_map(|s| s.ports.iter().flatten());
    let port = ports
        .find(|p| p.name.as_deref() == Some(wanted))
        .ok_or_else(|| {
            Problem::unsupported(
                "invalid-health-check-port",
                format!("Service {name} has no port named `{wanted}` to check"),
                "use the name of a port of the Service, a number, or traffic-port",
            )
        })?;
    let number = match (target_type, target_port(port)) {
        (TargetType::Instance, _) => port.node_port,
        (_, IntOrString::Int(number)) => Some(number),
        (_, IntOrString::String(_)) => None,
    };
    number.and_then(Port::new).map(Some).ok_or_else(|| {
        Problem::unsupported(
            "invalid-health-check-port",
            format!("port `{wanted}` of Service {name} has no number that could be checked"),
            "give the health check port as a number",
        )
    })
}

impl ServiceBackend<'_> {
    /// The Service as an object.
    pub(crate) fn object(&self) -> ObjectRef {
        ObjectRef::new(
            Kind::Service,
            self.name.namespace.clone(),
            self.name.name.clone(),
        )
    }
}
