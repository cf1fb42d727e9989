//! Gateways as backends: a network load balancer in front of an application load balancer.
//!
//! In: a backendRef of kind `Gateway` of a route of connections. Out: [`Chained`]: what its target group,
//! of type `alb`, is made of. Which load balancer is its target is told by what is observed of the
//! Gateway's Stack, and for Gateways that somebody else looks after by the message of their condition
//! Programmed. What always holds: while that load balancer is not known the group stands, with the
//! target that it has; only a Gateway that is gone, or that can be no target, takes the group away.

use std::collections::BTreeMap;
use std::rc::Rc;

use elbow_api::crds::{self, HealthCheckProtocol, TargetGroupProtocol};
use elbow_api::{Diagnostic, GatewayController, Kind, NamespacedName, ObjectRef};
use elbow_model::stack::{HealthCheck, Matcher, Protocol};
use elbow_model::{LoadBalancerArn, Port, ResourceId};
use gateway_api::apis::experimental::gateways::Gateway;

use super::backends::{self, Backend, Found, Problem, Resolver};
use super::failures::RouteFailure;
use super::routes::{BackendRef, Route, RouteKind};
use super::target_group_config::{self, Props};
use super::{class, grants, stack_id};

/// The application load balancer of a Gateway, as a backend.
#[derive(Debug, Clone)]
pub(crate) struct Chained {
    /// The Gateway.
    pub(crate) name: NamespacedName,
    pub(crate) weight: u16,
    /// The target group's id within the Stack.
    pub(crate) resource: ResourceId,
    pub(crate) props: Rc<Props>,
    /// The port of the load balancer's listener.
    pub(crate) port: Port,
    /// `None` where it is not known, or does not serve the port yet.
    pub(crate) load_balancer: Option<LoadBalancerArn>,
}

/// What is known of a Gateway's load balancer.
enum Target {
    Serves(LoadBalancerArn),
    /// It will, as far as can be said.
    Awaited {
        failure: RouteFailure,
        finding: Box<Diagnostic>,
    },
}

impl Chained {
    /// The Gateway as an object.
    pub(crate) fn object(&self) -> ObjectRef {
        let name = &self.name;
        ObjectRef::new(Kind::Gateway, name.namespace.clone(), name.name.clone())
    }

    /// The health check of the target group. Its defaults are LBC's.
    pub(crate) fn health_check(&self) -> HealthCheck {
        let config = self.props.props.health_check_config.clone();
        let config = config.unwrap_or_default();
        let matcher = config.matcher.and_then(|m| m.http_code);
        HealthCheck {
            // As with LBC any port that is configured is that of the listener.
            port: match config.health_check_port.as_deref() {
                None | Some("traffic-port") => "traffic-port".to_owned(),
                Some(_) => self.port.to_string(),
            },
            protocol: match config.health_check_protocol {
                Some(HealthCheckProtocol::Https) => Protocol::Https,
                _ => Protocol::Http,
            },
            path: Some(config.health_check_path.unwrap_or_else(|| "/".to_owned())),
            matcher: Some(Matcher::HttpCode(
                matcher.unwrap_or_else(|| "200-399".to_owned()),
            )),
            interval_seconds: config.health_check_interval.unwrap_or(15),
            timeout_seconds: config.health_check_timeout.unwrap_or(5),
            healthy_threshold_count: config.healthy_threshold_count.unwrap_or(3),
            unhealthy_threshold_count: config.unhealthy_threshold_count.unwrap_or(3),
        }
    }

    /// A check that the listener answers with an error, and that LBC makes all the same.
    fn doubts(&self, protocols: &BTreeMap<i32, String>) -> Option<Diagnostic> {
        let listener = protocols.get(&i32::from(self.port.get()))?;
        let checked = self.health_check().protocol;
        if !matches!(listener.as_str(), "HTTP" | "HTTPS") || listener == checked.as_str() {
            return None;
        }
        let Self { name, port, .. } = self;
        Some(
            Diagnostic::warning(
                "health-check-of-other-protocol",
                format!(
                    "the listener on port {port} of Gateway {name} speaks {listener}, and its health is checked with {checked}"
                ),
            )
            .hint(format!(
                "set healthCheckConfig.healthCheckProtocol to {listener} in a TargetGroupConfiguration for Gateway {name}"
            )),
        )
    }
}

impl<'a> Resolver<'_, 'a> {
    /// A Gateway as a backend. The order of the checks decides which reason a status shows.
    pub(super) fn chained(
        &self,
        route: &Route,
        backend: &BackendRef,
    ) -> Result<Found<'a>, Box<Problem>> {
        if self.controller != GatewayController::Nlb {
            return Err(Box::new(Problem {
                failure: RouteFailure::UnknownBackendKind,
                code: "unknown-backend-kind",
                field: "kind",
                message: "a Gateway can be a backend behind a network load balancer only"
                    .to_owned(),
                hint: "point the route at a Service".to_owned(),
            }));
        }
        let number = backend.port.ok_or_else(|| {
            Box::new(Problem {
                failure: RouteFailure::PortRequired,
                code: "missing-backend-port",
                field: "port",
                message: format!("the backend `{}` has no port", backend.name),
                hint: "give the port of one of the Gateway's listeners".to_owned(),
            })
        })?;
        let namespace = backend.namespace.as_ref().unwrap_or(&route.name.namespace);
        let name = NamespacedName::new(namespace.clone(), backend.name.clone());
        let gateway = self.gateway(route, &name)?;
        let weight = backends::weight(backend.weight)?;
        self.check_kind(&name, gateway)?;
        let protocols = self.declared(&name, gateway);
        let port = Port::new(number).filter(|_| protocols.contains_key(&number));
        let port = port.ok_or_else(|| no_listener(&name, number, &protocols))?;
        let props = Rc::new(target_group_config::of_gateway(self.ctx, &name, route));
        check_configuration(route, &name, &props)?;
        let mut chained = Chained {
            resource: self.resource(route, (Kind::Gateway, &name), &port.to_string())?,
            name,
            weight,
            props,
            port,
            load_balancer: None,
        };
        let mut findings: Vec<_> = chained.doubts(&protocols).into_iter().collect();
        let mut failure = None;
        match self.target(&chained, gateway)? {
            Target::Serves(arn) => chained.load_balancer = Some(arn),
            Target::Awaited {
                failure: awaited,
                finding,
            } => {
                findings.push(*finding);
                failure = Some(awaited);
            }
        }
        Ok(Found {
            backend: Backend::Gateway(chained),
            failure,
            findings,
        })
    }

    /// The Gateway, if it may be referred to and is there to stay.
    fn gateway(&self, route: &Route, name: &NamespacedName) -> Result<&'a Gateway, Box<Problem>> {
        let (kind, from) = (route.kind.as_str(), &route.name.namespace);
        if name.namespace != *from && !grants::permits_gateway(self.ctx, (kind, from), name) {
            let namespace = &name.namespace;
            return Err(Box::new(Problem {
                failure: RouteFailure::RefNotPermitted,
                code: "missing-reference-grant",
                field: "namespace",
                message: format!("no ReferenceGrant lets {kind}s of `{from}` use Gateway {name}"),
                hint: format!(
                    "create a ReferenceGrant in namespace `{namespace}` from {kind} in `{from}` to Gateway"
                ),
            }));
        }
        let gone = |problem: &str, hint: &str| {
            Box::new(Problem {
                failure: RouteFailure::GatewayNotFound(name.clone()),
                code: "missing-gateway",
                field: "name",
                message: format!("Gateway {name} {problem}"),
                hint: hint.to_owned(),
            })
        };
        let found = self.ctx.reader.gateway(name);
        let gateway = found
            .ok_or_else(|| gone("does not exist", "create the Gateway or correct the name"))?;
        // AWS does not delete a load balancer that is a target, so the target goes first.
        if gateway.metadata.deletion_timestamp.is_some() {
            return Err(gone(
                "is being deleted",
                "point the route at another backend, or delete it too",
            ));
        }
        Ok(gateway)
    }

    /// The controller of a Gateway, if it is one of ours.
    fn controller_of(&self, gateway: &Gateway) -> Option<GatewayController> {
        let class = NamespacedName::new("", gateway.spec.gateway_class_name.clone());
        class::controller(self.ctx.reader.gateway_class(&class)?)
    }

    fn check_kind(&self, name: &NamespacedName, gateway: &Gateway) -> Result<(), Box<Problem>> {
        let message = if name == self.gateway {
            "a Gateway cannot be its own backend".to_owned()
        } else if self.controller_of(gateway) == Some(GatewayController::Nlb) {
            format!("Gateway {name} has a network load balancer, which cannot be a target")
        } else {
            return Ok(());
        };
        Err(not_application(message))
    }

    /// The ports of a Gateway's listeners, with the protocol of the first of each.
    fn declared(&self, name: &NamespacedName, gateway: &Gateway) -> BTreeMap<i32, String> {
        let sets = self.ctx.reader.listener_sets_of(name);
        let of_sets = sets.iter().flat_map(|set| &set.spec.listeners);
        let of_sets = of_sets.map(|l| (l.port, l.protocol.clone()));
        let own = gateway.spec.listeners.iter();
        let own = own.map(|l| (l.port, l.protocol.clone()));
        let mut ports = BTreeMap::new();
        for (port, protocol) in own.chain(of_sets) {
            ports.entry(port).or_insert(protocol);
        }
        ports
    }

    /// What is known of the Gateway's load balancer.
    ///
    /// Difference (chained-gateway-not-ready): LBC gives up the whole Gateway while there is none.
    ///
    /// Difference (chained-arn-is-observed): LBC reads it from the Gateway's condition alone, and notices
    /// another one with the next unrelated change.
    fn target(&self, chained: &Chained, gateway: &Gateway) -> Result<Target, Box<Problem>> {
        let Chained { name, port, .. } = chained;
        let facts = &self.ctx.facts.application_load_balancers;
        let observed = facts.get(&stack_id(GatewayController::Alb, name));
        let is_ours = self.controller_of(gateway) == Some(GatewayController::Alb);
        let not_ready = || RouteFailure::GatewayNotReady(name.clone());
        match observed {
            Some(Some(serving)) => {
                let ports = serving.ports.as_ref();
                if ports.is_none_or(|ports| ports.contains(port)) {
                    return Ok(Target::Serves(serving.arn.clone()));
                }
                return Ok(Target::Awaited {
                    failure: RouteFailure::GatewayPortNotFound(name.clone(), port.get().into()),
                    finding: Box::new(Diagnostic::warning(
                        "backend-port-without-route",
                        format!(
                            "the load balancer of Gateway {name} does not serve port {port}: no route is attached to that listener, or it cannot be served"
                        ),
                    )
                    .hint("attach a route to the listener; it becomes the target as soon as it serves")),
                });
            }
            Some(None) if is_ours => {
                return Ok(Target::Awaited {
                    failure: not_ready(),
                    finding: Box::new(
                        Diagnostic::note(
                            "gateway-not-programmed",
                            format!("the load balancer of Gateway {name} does not serve yet"),
                        )
                        .hint("nothing is to be done: it becomes the target as soon as it serves"),
                    ),
                });
            }
            Some(None) | None => {}
        }
        let Some(arn) = programmed(gateway) else {
            return Ok(Target::Awaited {
                failure: not_ready(),
                finding: Box::new(Diagnostic::warning(
                    "gateway-not-programmed",
                    format!(
                        "Gateway {name} is not programmed: the message of its condition Programmed names no load balancer yet"
                    ),
                )
                .hint("see the conditions of that Gateway; its load balancer becomes the target as soon as it is named there")),
            });
        };
        if arn.split('/').nth(1) != Some("app") {
            return Err(not_application(format!(
                "invalid gateway ARN: {arn}, the resource type must be application load balancer"
            )));
        }
        Ok(Target::Serves(LoadBalancerArn::new(arn)))
    }
}

/// The message of the condition Programmed, where it is True: the load balancer's ARN.
fn programmed(gateway: &Gateway) -> Option<&str> {
    let status = gateway.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten();
    let programmed = conditions.find(|c| c.type_ == "Programmed" && c.status == "True")?;
    Some(programmed.message.as_str()).filter(|arn| !arn.is_empty())
}

fn not_application(message: String) -> Box<Problem> {
    Box::new(Problem {
        failure: RouteFailure::GatewayNotUsable(message.clone()),
        code: "gateway-cannot-be-backend",
        field: "name",
        message,
        hint: "name a Gateway that has an application load balancer".to_owned(),
    })
}

fn no_listener(
    name: &NamespacedName,
    port: i32,
    protocols: &BTreeMap<i32, String>,
) -> Box<Problem> {
    let all: Vec<_> = protocols.keys().map(ToString::to_string).collect();
    Box::new(Problem {
        failure: RouteFailure::GatewayPortNotFound(name.clone(), port),
        code: "missing-gateway-port",
        field: "port",
        message: format!("Gateway {name} has no listener on port {port}"),
        hint: format!("its ports are {}", all.join(", ")),
    })
}

/// What AWS does not take of a group of type `alb`.
fn check_configuration(
    route: &Route,
    name: &NamespacedName,
    props: &Props,
) -> Result<(), Box<Problem>> {
    // Difference (chained-over-tcp): LBC makes a group of the route's or the configured protocol, which AWS
    // refuses, and gives up the whole Gateway.
    if route.kind == RouteKind::Udp {
        return Err(Problem::unsupported(
            "chained-over-tcp",
            format!("the application load balancer of Gateway {name} does not take UDP"),
            "use a TCPRoute",
        ));
    }
    if !matches!(props.props.protocol, None | Some(TargetGroupProtocol::Tcp)) {
        return Err(Problem::unsupported(
            "unsupported-target-protocol",
            format!(
                "the TargetGroupConfiguration of Gateway {name} has a protocol that is not TCP, the only one towards an application load balancer"
            ),
            "use TCP, or leave the protocol out",
        ));
    }
    let check = props.props.health_check_config.as_ref();
    if check.and_then(|c| c.health_check_protocol) == Some(crds::HealthCheckProtocol::Tcp) {
        return Err(Problem::unsupported(
            "unsupported-health-check-protocol",
            format!(
                "AWS checks the load balancer of Gateway {name} with HTTP or HTTPS, not with TCP"
            ),
            "set healthCheckProtocol to HTTP or HTTPS in its TargetGroupConfiguration",
        ));
    }
    Ok(())
}
