//! GRPCRoutes.
//!
//! In: a GRPCRoute. Out: the same as a [`Route`]; a rule without matches, which takes all RPCs, stays
//! without.

use gateway_api::apis::experimental::grpcroutes as grpc;

use super::{
    BackendRef, Filter, HeaderMatch, Match, ParentRef, PathMatchType, Route, RouteKind, RouteRule,
    RpcMatch, backends, created_ms, extension, name_of, parents,
};

pub(super) fn route(route: &grpc::GrpcRoute) -> Route {
    Route {
        kind: RouteKind::Grpc,
        name: name_of(&route.metadata),
        generation: route.metadata.generation.unwrap_or_default(),
        created_ms: created_ms(&route.metadata),
        parents: parents!(route.spec.parent_refs),
        hostnames: route.spec.hostnames.clone().unwrap_or_default(),
        rules: route.spec.rules.iter().flatten().map(rule).collect(),
    }
}

fn rule(rule: &grpc::GrpcRouteRules) -> RouteRule {
    let mut ignored = Vec::new();
    if rule.session_persistence.is_some() {
        ignored.push("sessionPersistence".to_owned());
    }
    for (index, backend) in rule.backend_refs.iter().flatten().enumerate() {
        if backend.filters.as_ref().is_some_and(|f| !f.is_empty()) {
            ignored.push(format!("backendRefs[{index}].filters"));
        }
    }
    RouteRule {
        matches: rule.matches.iter().flatten().map(rpc_match).collect(),
        filters: rule.filters.iter().flatten().map(filter).collect(),
        backends: backends!(rule.backend_refs.iter().flatten()),
        ignored,
    }
}

fn rpc_match(m: &grpc::GrpcRouteRulesMatches) -> Match {
    let headers = m.headers.iter().flatten();
    Match {
        path: None,
        rpc: Some(m.method.as_ref().map(called).unwrap_or_default()),
        method: None,
        headers: headers
            .map(|h| HeaderMatch {
                name: h.name.clone(),
                value: h.value.clone(),
                is_regex: h.r#type
                    == Some(grpc::GrpcRouteRulesMatchesHeadersType::RegularExpression),
            })
            .collect(),
        query: Vec::new(),
    }
}

fn called(method: &grpc::GrpcRouteRulesMatchesMethod) -> RpcMatch {
    use grpc::GrpcRouteRulesMatchesMethodType as Type;
    let some = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    RpcMatch {
        service: some(&method.service),
        method: some(&method.method),
        how: Some(match method.r#type {
            None | Some(Type::Exact) => PathMatchType::Exact,
            Some(Type::RegularExpression) => PathMatchType::RegularExpression,
        }),
    }
}

fn filter(filter: &grpc::GrpcRouteRulesFilters) -> Filter {
    use grpc::GrpcRouteRulesFiltersType as Type;
    match filter.r#type {
        Type::ExtensionRef => filter
            .extension_ref
            .as_ref()
            .map_or(Filter::Unsupported("ExtensionRef"), |e| {
                extension(&e.group, &e.kind, &e.name)
            }),
        Type::RequestHeaderModifier => Filter::Unsupported("RequestHeaderModifier"),
        Type::ResponseHeaderModifier => Filter::Unsupported("ResponseHeaderModifier"),
        Type::RequestMirror => Filter::Unsupported("RequestMirror"),
    }
}
