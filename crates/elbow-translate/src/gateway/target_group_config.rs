//! TargetGroupConfigurations: what applies to the target group of one route and one Service, or Gateway.
//!
//! Four layers, the upper of which wins field by field: the Service's configuration for the route,
//! the same for all routes, the default configuration (named by LoadBalancerConfigurations) for the
//! route, the same for all routes. `healthCheckConfig` and `nodeSelector` are taken whole.

use std::sync::Arc;

use elbow_api::crds::{
    LoadBalancerConfiguration, RouteConfiguration, TargetGroupConfiguration, TargetGroupProps,
};
use elbow_api::{Diagnostic, Kind, NamespacedName, ObjectRef};

use super::config;
use super::context::Context;
use super::routes::Route;

/// What applies to target groups whose Service says nothing else.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defaults {
    props: Option<TargetGroupProps>,
    routes: Vec<RouteConfiguration>,
    objects: Vec<ObjectRef>,
}

/// What applies to one target group, and the configurations it comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Props {
    pub(crate) props: TargetGroupProps,
    pub(crate) objects: Vec<ObjectRef>,
}

/// The default configurations that the LoadBalancerConfigurations of a Gateway name. The error is
/// the message of the Gateway's condition Accepted.
pub(crate) fn defaults(
    ctx: &Context<'_>,
    of_class: Option<&Arc<LoadBalancerConfiguration>>,
    of_gateway: Option<&Arc<LoadBalancerConfiguration>>,
    prefer_gateway: bool,
) -> Result<Defaults, String> {
    // That of the class has been judged with the class.
    let of_class = of_class.and_then(|c| named_default(ctx, c).ok().flatten());
    let of_gateway = match of_gateway {
        None => None,
        Some(configuration) => named_default(ctx, configuration).map_err(|problem| {
            problem.report(ctx);
            problem.of_gateway()
        })?,
    };
    let (high, low) = if prefer_gateway {
        (of_gateway, of_class)
    } else {
        (of_class, of_gateway)
    };
    let mut found = Defaults::default();
    // Settings for single routes come from one configuration only, the preferred one.
    if let Some(first) = high.or(low) {
        found.routes = first.spec.route_configurations.clone().unwrap_or_default();
    }
    for configuration in [high, low].into_iter().flatten() {
        found.objects.push(object_ref(configuration));
        if let Some(props) = &configuration.spec.default_configuration {
            found.props = Some(match &found.props {
                Some(over) => merge(over, props),
                None => props.clone(),
            });
        }
    }
    Ok(found)
}

/// Whether the default of a GatewayClass's configuration can be used. The error is LBC's text.
pub(crate) fn check_default(
    ctx: &Context<'_>,
    configuration: &LoadBalancerConfiguration,
) -> Result<(), String> {
    match named_default(ctx, configuration) {
        Ok(_) => Ok(()),
        Err(problem) => {
            problem.report(ctx);
            Err(problem.cause())
        }
    }
}

/// A default that cannot be used.
struct DefaultProblem {
    /// The LoadBalancerConfiguration that names it.
    by: String,
    name: NamespacedName,
    exists: bool,
}

impl DefaultProblem {
    /// LBC's words, which scripts and people may search for.
    fn cause(&self) -> String {
        let NamespacedName { namespace, name } = &self.name;
        if self.exists {
            format!(
                "TargetGroupConfiguration \"{name}\" in namespace \"{namespace}\" has targetReference set and cannot be used as a defaultTargetGroupConfiguration — a default TGC must not have targetReference"
            )
        } else {
            format!("TargetGroupConfiguration.gateway.k8s.aws \"{name}\" not found")
        }
    }

    /// The same for the Gateway whose configuration names it.
    fn of_gateway(&self) -> String {
        let NamespacedName { namespace, name } = &self.name;
        let (by, cause) = (&self.by, self.cause());
        format!(
            "failed to resolve default TargetGroupConfiguration \"{name}\" referenced by Gateway LoadBalancerConfiguration \"{by}\" in namespace \"{namespace}\": {cause}"
        )
    }

    fn report(&self, ctx: &Context<'_>) {
        let Self { by, name, exists } = self;
        let problem = if *exists {
            "has a targetReference and cannot be a default"
        } else {
            "does not exist"
        };
        let message = format!("default TargetGroupConfiguration {name} {problem}");
        let object = ObjectRef::new(
            Kind::LoadBalancerConfiguration,
            name.namespace.clone(),
            by.clone(),
        );
        ctx.report(
            Diagnostic::error("invalid-default-target-group-configuration", message)
                .on(object)
                .at("spec.defaultTargetGroupConfiguration.name")
                .hint(
                    "name a TargetGroupConfiguration of this namespace that has no targetReference",
                ),
        );
    }
}

fn named_default<'a>(
    ctx: &Context<'a>,
    configuration: &LoadBalancerConfiguration,
) -> Result<Option<&'a Arc<TargetGroupConfiguration>>, DefaultProblem> {
    let Some(reference) = &configuration.spec.default_target_group_configuration else {
        return Ok(None);
    };
    let namespace = configuration.metadata.namespace.clone().unwrap_or_default();
    let name = NamespacedName::new(namespace, reference.name.clone());
    let found = ctx.reader.target_group_configuration(&name);
    if found.is_some_and(|default| default.spec.target_reference.is_none()) {
        return Ok(found);
    }
    Err(DefaultProblem {
        by: configuration.metadata.name.clone().unwrap_or_default(),
        exists: found.is_some(),
        name,
    })
}

/// What applies to the target group of a route and a Service.
pub(crate) fn of_service(
    ctx: &Context<'_>,
    defaults: &Defaults,
    service: &NamespacedName,
    route: &Route,
) -> Props {
    let found = Props {
        props: for_route(defaults.props.as_ref(), &defaults.routes, route),
        objects: defaults.objects.clone(),
    };
    over(ctx, found, Kind::Service, service, route)
}

/// What applies to the target group of a route and a Gateway: no defaults, which are for Services.
pub(crate) fn of_gateway(ctx: &Context<'_>, gateway: &NamespacedName, route: &Route) -> Props {
    over(ctx, Props::default(), Kind::Gateway, gateway, route)
}

/// Puts the backend's own configuration over what was found so far.
fn over(
    ctx: &Context<'_>,
    mut found: Props,
    kind: Kind,
    backend: &NamespacedName,
    route: &Route,
) -> Props {
    let configurations = ctx.target_group_configurations_for(kind, backend);
    // Difference (first-configuration-by-name): LBC takes the first of several in the order of its cache.
    if let Some(own) = configurations.first() {
        let routes = own.spec.route_configurations.as_deref().unwrap_or_default();
        let own_props = for_route(own.spec.default_configuration.as_ref(), routes, route);
        found.props = merge(&own_props, &found.props);
        found.objects.insert(0, object_ref(own));
    }
    for other in configurations.iter().skip(1) {
        ctx.report(
            Diagnostic::warning(
                "ambiguous-target-group-configuration",
                format!("another TargetGroupConfiguration speaks of {kind} {backend} and wins"),
            )
            .on(object_ref(other))
            .at("spec.targetReference.name")
            .hint("keep one; the first by name is used"),
        );
    }
    found
}

fn for_route(
    all: Option<&TargetGroupProps>,
    routes: &[RouteConfiguration],
    route: &Route,
) -> TargetGroupProps {
    let best = routes
        .iter()
        .filter_map(|c| Some((fit(c, route)?, c)))
        // The first of equal ones.
        .rev()
        .max_by_key(|(fit, _)| *fit);
    match (best, all) {
        (Some((_, own)), Some(all)) => merge(&own.target_group_props, all),
        (Some((_, own)), None) => own.target_group_props.clone(),
        (None, Some(all)) => all.clone(),
        (None, None) => TargetGroupProps::default(),
    }
}

/// How closely an entry names a route: kind, namespace and name; kind and namespace; kind.
fn fit(configuration: &RouteConfiguration, route: &Route) -> Option<u8> {
    let id = &configuration.route_identifier;
    let empty_as_none = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    if empty_as_none(&id.kind)? != route.kind.as_str() {
        return None;
    }
    match (empty_as_none(&id.namespace), empty_as_none(&id.name)) {
        (Some(ns), Some(name)) if ns == route.name.namespace && name == route.name.name => Some(3),
        (Some(ns), None) if ns == route.name.namespace => Some(2),
        (None, None) => Some(1),
        _ => None,
    }
}

fn merge(high: &TargetGroupProps, low: &TargetGroupProps) -> TargetGroupProps {
    macro_rules! first {
        ($field:ident) => {
            high.$field.clone().or_else(|| low.$field.clone())
        };
    }
    TargetGroupProps {
        target_group_name: first!(target_group_name),
        ip_address_type: first!(ip_address_type),
        target_type: first!(target_type),
        protocol: first!(protocol),
        protocol_version: first!(protocol_version),
        health_check_config: first!(health_check_config),
        node_selector: first!(node_selector),
        target_group_attributes: config::attributes(
            high.target_group_attributes.as_ref(),
            low.target_group_attributes.as_ref(),
        ),
        tags: config::tags(high.tags.as_ref(), low.tags.as_ref()),
        target_control_port: first!(target_control_port),
        enable_multi_cluster: first!(enable_multi_cluster),
    }
}

fn object_ref(configuration: &TargetGroupConfiguration) -> ObjectRef {
    ObjectRef::new(
        Kind::TargetGroupConfiguration,
        configuration.metadata.namespace.clone().unwrap_or_default(),
        configuration.metadata.name.clone().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use elbow_api::crds::{HealthCheckConfiguration, RouteIdentifier};

    use super::*;
    use crate::gateway::routes::RouteKind;

    fn route() -> Route {
        Route {
            kind: RouteKind::Http,
            name: NamespacedName::new("ns", "r"),
            generation: 1,
            created_ms: 0,
            parents: Vec::new(),
            hostnames: Vec::new(),
            rules: Vec::new(),
        }
    }

    fn entry(kind: &str, namespace: Option<&str>, name: Option<&str>) -> RouteConfiguration {
        RouteConfiguration {
            route_identifier: RouteIdentifier {
                kind: Some(kind.to_owned()),
                namespace: namespace.map(str::to_owned),
                name: name.map(str::to_owned),
            },
            target_group_props: TargetGroupProps::default(),
        }
    }

    #[test]
    fn the_entry_that_names_a_route_most_closely_is_taken() {
        let rows = [
            (entry("HTTPRoute", Some("ns"), Some("r")), Some(3)),
            (entry("HTTPRoute", Some("ns"), None), Some(2)),
            (entry("HTTPRoute", None, None), Some(1)),
            (entry("HTTPRoute", None, Some("r")), None),
            (entry("HTTPRoute", Some("other"), None), None),
            (entry("TCPRoute", Some("ns"), Some("r")), None),
        ];
        for (entry, expected) in rows {
            assert_eq!(fit(&entry, &route()), expected, "{entry:?}");
        }
    }

    #[test]
    fn a_health_check_is_taken_whole() {
        let health = |path: Option<&str>, interval| HealthCheckConfiguration {
            health_check_path: path.map(str::to_owned),
            health_check_interval: interval,
            ..HealthCheckConfiguration::default()
        };
        let all = TargetGroupProps {
            health_check_config: Some(health(None, Some(30))),
            target_group_name: Some("kept".to_owned()),
            ..TargetGroupProps::default()
        };
        let mut own = entry("HTTPRoute", None, None);
        own.target_group_props.health_check_config = Some(health(Some("/up"), None));
        let found = for_route(Some(&all), &[own], &route());
        assert_eq!(found.health_check_config, Some(health(Some("/up"), None)));
        assert_eq!(found.target_group_name.as_deref(), Some("kept"));
    }
}
