//! Routes of every kind, made into one.
//!
//! In: the routes that name a Gateway, or a ListenerSet of it, as their parent. Out: [`Route`], which
//! the rest of translation knows alone; defaults of the Gateway API are filled in. A further kind is a
//! row of [`RouteKind`] and a module that normalises it.

mod connections;
mod grpc;
mod http;

use std::collections::BTreeMap;

use elbow_api::{GatewayController, Kind, NamespacedName, Object, ObjectRef};
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
    /// What an RPC must be called; of GRPCRoutes only, which have no `path`.
    pub(crate) rpc: Option<RpcMatch>,
    pub(crate) method: Option<&'static str>,
    pub(crate) headers: Vec<HeaderMatch>,
    pub(crate) query: Vec<QueryMatch>,
}

/// What the method of an RPC must be called. What is absent may be anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct RpcMatch {
    pub(crate) service: Option<String>,
    pub(crate) method: Option<String>,
    /// How names are compared; `None` where there are none.
    pub(crate) how: Option<PathMatchType>,
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

/// The routes that name a Gateway or one of these ListenerSets as a parent and that the Gateway's
/// controller serves, by kind, namespace and name.
pub(crate) fn of_gateway<'s>(
    ctx: &Context<'_>,
    controller: GatewayController,
    gateway: &NamespacedName,
    listener_sets: impl Iterator<Item = &'s NamespacedName>,
) -> Vec<Route> {
    let mut objects = ctx.reader.routes_of(Kind::Gateway, gateway);
    for set in listener_sets {
        objects.extend(ctx.reader.routes_of(Kind::ListenerSet, set));
    }
    // A route may name several of them.
    let by_name: BTreeMap<_, _> = objects.into_iter().map(|o| (o.object_ref(), o)).collect();
    by_name
        .values()
        .filter(|object| {
            RouteKind::of(controller)
                .iter()
                .any(|k| k.kind() == object.kind())
        })
        .filter_map(normalise)
        .collect()
}

fn normalise(object: &Object) -> Option<Route> {
    match object {
        Object::HttpRoute(route) => Some(http::route(route)),
        Object::GrpcRoute(route) => Some(grpc::route(route)),
        Object::TlsRoute(route) => Some(connections::tls(route)),
        Object::TcpRoute(route) => Some(connections::tcp(route)),
        Object::UdpRoute(route) => Some(connections::udp(route)),
        _ => None,
    }
}

macro_rules! parents {
    ($refs:expr) => {
        $refs
            .iter()
            .flatten()
            .map(|p| ParentRef {
                group: p
                    .group
                    .clone()
                    .unwrap_or_else(|| elbow_api::names::GATEWAY_GROUP.to_owned()),
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

use {backends, parents};

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

/// The filter that an extensionRef names.
fn extension(group: &str, kind: &str, name: &str) -> Filter {
    let ours = Kind::ListenerRuleConfiguration;
    if group == ours.group() && kind == ours.as_str() {
        Filter::ListenerRuleConfiguration(name.to_owned())
    } else {
        Filter::OtherExtension {
            group: group.to_owned(),
            kind: kind.to_owned(),
        }
    }
}
