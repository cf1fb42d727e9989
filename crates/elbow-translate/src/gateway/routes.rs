//! Routes of every kind, made into one.
//!
//! In: the routes that name a Gateway as their parent. Out: [`Route`], which the rest of translation
//! knows alone; defaults of the Gateway API are filled in. A further kind is a row of [`RouteKind`]
//! and a function that normalises it.

use elbow_api::names::GATEWAY_GROUP;
use elbow_api::{Diagnostic, GatewayController, Kind, NamespacedName, Object, ObjectRef};
use gateway_api::apis::experimental::httproutes as http;
use gateway_api::apis::experimental::tcproutes::TcpRoute;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::context::Context;

/// A kind of route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RouteKind {
    Http,
    Grpc,
    Tls,
    Tcp,
    Udp,
}

impl RouteKind {
    /// The route kinds that a controller serves; others on its Gateways are nobody's.
    pub(crate) const fn of(controller: GatewayController) -> &'static [Self] {
        match controller {
            GatewayController::Alb => &[Self::Http, Self::Grpc],
            GatewayController::Nlb => &[Self::Tcp, Self::Tls, Self::Udp],
        }
    }

    pub(crate) const fn kind(self) -> Kind {
        match self {
            Self::Http => Kind::HttpRoute,
            Self::Grpc => Kind::GrpcRoute,
            Self::Tls => Kind::TlsRoute,
            Self::Tcp => Kind::TcpRoute,
            Self::Udp => Kind::UdpRoute,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        self.kind().as_str()
    }

    /// Whether its hostnames are held against those of a listener.
    pub(crate) const fn has_hostnames(self) -> bool {
        matches!(self, Self::Http | Self::Grpc | Self::Tls)
    }
}

/// A route of any kind.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) kind: RouteKind,
    pub(crate) name: NamespacedName,
    pub(crate) generation: i64,
    /// Creation time in milliseconds since 1970; 0 where there is none.
    pub(crate) created_ms: i64,
    pub(crate) parents: Vec<ParentRef>,
    pub(crate) hostnames: Vec<String>,
    pub(crate) rules: Vec<RouteRule>,
}

impl Route {
    pub(crate) fn object(&self) -> ObjectRef {
        let name = &self.name;
        ObjectRef::new(self.kind.kind(), name.namespace.clone(), name.name.clone())
    }
}

/// A parent that a route names, as its status repeats it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// API group of the parent.
    pub group: String,
    /// Kind of the parent.
    pub kind: String,
    /// Namespace of the parent; the route's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the parent.
    pub name: String,
    /// Name of one listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
    /// Port of the listeners that are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// A rule of a route.
#[derive(Debug, Clone)]
pub(crate) struct RouteRule {
    /// What a request must look like; one suffices. Empty for routes of connections.
    pub(crate) matches: Vec<Match>,
    pub(crate) filters: Vec<Filter>,
    pub(crate) backends: Vec<BackendRef>,
    /// Fields that take no effect, relative to the rule.
    pub(crate) ignored: Vec<String>,
}

/// What a request must look like: all of it.
#[derive(Debug, Clone)]
pub(crate) struct Match {
    pub(crate) path: Option<PathMatch>,
    pub(crate) method: Option<&'static str>,
    pub(crate) headers: Vec<HeaderMatch>,
    pub(crate) query: Vec<QueryMatch>,
}

/// What a path must look like.
#[derive(Debug, Clone)]
pub(crate) struct PathMatch {
    pub(crate) how: PathMatchType,
    pub(crate) value: String,
}

/// How a path is compared, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PathMatchType {
    RegularExpression,
    PathPrefix,
    Exact,
}

/// What a header must look like.
#[derive(Debug, Clone)]
pub(crate) struct HeaderMatch {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) is_regex: bool,
}

/// What a query parameter must look like.
#[derive(Debug, Clone)]
pub(crate) struct QueryMatch {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) is_regex: bool,
}

/// A filter of a rule.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    Redirect(RedirectFilter),
    Rewrite {
        hostname: Option<String>,
        path: Option<PathModifier>,
    },
    /// Names a ListenerRuleConfiguration.
    ListenerRuleConfiguration(String),
    /// Names an object of another kind, which LBC passes over in silence.
    OtherExtension {
        group: String,
        kind: String,
    },
    /// A filter that a load balancer cannot do.
    Unsupported(&'static str),
}

/// A redirect.
#[derive(Debug, Clone)]
pub(crate) struct RedirectFilter {
    pub(crate) scheme: Option<&'static str>,
    pub(crate) hostname: Option<String>,
    pub(crate) port: Option<i32>,
    pub(crate) path: Option<PathModifier>,
    pub(crate) status_code: i64,
}

/// How a path is changed.
#[derive(Debug, Clone)]
pub(crate) enum PathModifier {
    Full(String),
    Prefix(String),
}

/// A backend that a rule names.
#[derive(Debug, Clone)]
pub(crate) struct BackendRef {
    pub(crate) kind: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) port: Option<i32>,
    pub(crate) weight: i32,
}

/// The routes that name a Gateway as a parent and that its controller serves, by kind, namespace and
/// name. A kind that is not translated yet is a finding.
pub(crate) fn of_gateway(
    ctx: &Context<'_>,
    controller: GatewayController,
    gateway: &NamespacedName,
) -> Vec<Route> {
    let objects = ctx.reader.routes_of(Kind::Gateway, gateway);
    objects
        .iter()
        .filter_map(|object| normalise(ctx, controller, object))
        .collect()
}

fn normalise(ctx: &Context<'_>, controller: GatewayController, object: &Object) -> Option<Route> {
    let kind = object.kind();
    let ours = RouteKind::of(controller).iter().any(|k| k.kind() == kind);
    match object {
        Object::HttpRoute(route) if ours => Some(http_route(route)),
        Object::TcpRoute(route) if ours => Some(tcp_route(route)),
        _ if ours => {
            ctx.report(
                Diagnostic::error("not-supported-yet", format!("{kind} is not translated yet"))
                    .on(object.object_ref())
                    .hint("the route takes no effect; HTTPRoute and TCPRoute do"),
            );
            None
        }
        _ => None,
    }
}

macro_rules! parents {
    ($refs:expr) => {
        $refs
            .iter()
            .flatten()
            .map(|p| ParentRef {
                group: p.group.clone().unwrap_or_else(|| GATEWAY_GROUP.to_owned()),
                kind: p.kind.clone().unwrap_or_else(|| "Gateway".to_owned()),
                namespace: p.namespace.clone(),
                name: p.name.clone(),
                section_name: p.section_name.clone(),
                port: p.port,
            })
            .collect()
    };
}

macro_rules! backends {
    ($refs:expr) => {
        $refs
            .map(|b| BackendRef {
                kind: b.kind.clone(),
                namespace: b.namespace.clone(),
                name: b.name.clone(),
                port: b.port,
                weight: b.weight.unwrap_or(1),
            })
            .collect()
    };
}

fn name_of(metadata: &ObjectMeta) -> NamespacedName {
    NamespacedName::new(
        metadata.namespace.clone().unwrap_or_default(),
        metadata.name.clone().unwrap_or_default(),
    )
}

fn created_ms(metadata: &ObjectMeta) -> i64 {
    metadata
        .creation_timestamp
        .as_ref()
        .map_or(0, |t| t.0.as_millisecond())
}

fn tcp_route(route: &TcpRoute) -> Route {
    let rules = route.spec.rules.iter().map(|rule| RouteRule {
        matches: Vec::new(),
        filters: Vec::new(),
        backends: backends!(rule.backend_refs.iter()),
        ignored: Vec::new(),
    });
    Route {
        kind: RouteKind::Tcp,
        name: name_of(&route.metadata),
        generation: route.metadata.generation.unwrap_or_default(),
        created_ms: created_ms(&route.metadata),
        parents: parents!(route.spec.parent_refs),
        hostnames: Vec::new(),
        rules: rules.collect(),
    }
}

fn http_route(route: &http::HttpRoute) -> Route {
    Route {
        kind: RouteKind::Http,
        name: name_of(&route.metadata),
        generation: route.metadata.generation.unwrap_or_default(),
        created_ms: created_ms(&route.metadata),
        parents: parents!(route.spec.parent_refs),
        hostnames: route.spec.hostnames.clone().unwrap_or_default(),
        rules: route.spec.rules.iter().flatten().map(http_rule).collect(),
    }
}

fn http_rule(rule: &http::HttpRouteRules) -> RouteRule {
    let mut matches: Vec<_> = rule.matches.iter().flatten().map(http_match).collect();
    if matches.is_empty() {
        matches.push(http_match(&http::HttpRouteRulesMatches::default()));
    }
    let mut ignored = Vec::new();
    let mut ignore = |field: &str, is_set: bool| {
        if is_set {
            ignored.push(field.to_owned());
        }
    };
    ignore("timeouts", rule.timeouts.is_some());
    ignore("retry", rule.retry.is_some());
    ignore("sessionPersistence", rule.session_persistence.is_some());
    for (index, backend) in rule.backend_refs.iter().flatten().enumerate() {
        let has_filters = backend.filters.as_ref().is_some_and(|f| !f.is_empty());
        ignore(&format!("backendRefs[{index}].filters"), has_filters);
    }
    RouteRule {
        matches,
        filters: rule.filters.iter().flatten().map(http_filter).collect(),
        backends: backends!(rule.backend_refs.iter().flatten()),
        ignored,
    }
}

fn http_match(m: &http::HttpRouteRulesMatches) -> Match {
    use http::HttpRouteRulesMatchesPathType as Type;
    let path = m.path.as_ref();
    // The Gateway API's default is the prefix `/`, for the whole and for each part.
    let how = match path.and_then(|p| p.r#type.as_ref()) {
        None | Some(Type::PathPrefix) => PathMatchType::PathPrefix,
        Some(Type::Exact) => PathMatchType::Exact,
        Some(Type::RegularExpression) => PathMatchType::RegularExpression,
    };
    let value = path.and_then(|p| p.value.clone());
    Match {
        path: Some(PathMatch {
            how,
            value: value.unwrap_or_else(|| "/".to_owned()),
        }),
        method: m.method.as_ref().map(method),
        headers: m
            .headers
            .iter()
            .flatten()
            .map(|h| HeaderMatch {
                name: h.name.clone(),
                value: h.value.clone(),
                is_regex: h.r#type
                    == Some(http::HttpRouteRulesMatchesHeadersType::RegularExpression),
            })
            .collect(),
        query: m
            .query_params
            .iter()
            .flatten()
            .map(|q| QueryMatch {
                name: q.name.clone(),
                value: q.value.clone(),
                is_regex: q.r#type
                    == Some(http::HttpRouteRulesMatchesQueryParamsType::RegularExpression),
            })
            .collect(),
    }
}

fn method(method: &http::HttpRouteRulesMatchesMethod) -> &'static str {
    use http::HttpRouteRulesMatchesMethod as Method;
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
    }
}

fn http_filter(filter: &http::HttpRouteRulesFilters) -> Filter {
    use http::HttpRouteRulesFiltersRequestRedirectScheme as Scheme;
    use http::HttpRouteRulesFiltersType as Type;
    match filter.r#type {
        Type::RequestRedirect => {
            let redirect = filter.request_redirect.clone().unwrap_or_default();
            Filter::Redirect(RedirectFilter {
                scheme: redirect.scheme.map(|s| match s {
                    Scheme::Http => "http",
                    Scheme::Https => "https",
                }),
                hostname: redirect.hostname,
                port: redirect.port,
                path: redirect.path.and_then(|p| {
                    use http::HttpRouteRulesFiltersRequestRedirectPathType as Path;
                    match p.r#type {
                        Path::ReplaceFullPath => p.replace_full_path.map(PathModifier::Full),
                        Path::ReplacePrefixMatch => {
                            p.replace_prefix_match.map(PathModifier::Prefix)
                        }
                    }
                }),
                // The Gateway API's default.
                status_code: redirect.status_code.unwrap_or(302),
            })
        }
        Type::UrlRewrite => {
            let rewrite = filter.url_rewrite.clone().unwrap_or_default();
            Filter::Rewrite {
                hostname: rewrite.hostname,
                path: rewrite.path.and_then(|p| {
                    use http::HttpRouteRulesFiltersUrlRewritePathType as Path;
                    match p.r#type {
                        Path::ReplaceFullPath => p.replace_full_path.map(PathModifier::Full),
                        Path::ReplacePrefixMatch => {
                            p.replace_prefix_match.map(PathModifier::Prefix)
                        }
                    }
                }),
            }
        }
        Type::ExtensionRef => match filter.extension_ref.clone() {
            Some(e)
                if e.group == Kind::ListenerRuleConfiguration.group()
                    && e.kind == "ListenerRuleConfiguration" =>
            {
                Filter::ListenerRuleConfiguration(e.name)
            }
            Some(e) => Filter::OtherExtension {
                group: e.group,
                kind: e.kind,
            },
            None => Filter::Unsupported("ExtensionRef"),
        },
        Type::RequestHeaderModifier => Filter::Unsupported("RequestHeaderModifier"),
        Type::ResponseHeaderModifier => Filter::Unsupported("ResponseHeaderModifier"),
        Type::RequestMirror => Filter::Unsupported("RequestMirror"),
        Type::Cors => Filter::Unsupported("CORS"),
        Type::ExternalAuth => Filter::Unsupported("ExternalAuth"),
    }
}
