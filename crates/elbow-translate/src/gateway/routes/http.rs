//! HTTPRoutes.
//!
//! In: an HTTPRoute. Out: the same as a [`Route`], with the defaults of the Gateway API filled in and
//! every filter named, those that a load balancer cannot do among them.

use gateway_api::apis::experimental::httproutes as http;

use super::{
    BackendRef, Filter, HeaderMatch, Match, ParentRef, PathMatch, PathMatchType, PathModifier,
    QueryMatch, RedirectFilter, Route, RouteKind, RouteRule, backends, created_ms, extension,
    name_of, parents,
};

pub(super) fn route(route: &http::HttpRoute) -> Route {
    Route {
        kind: RouteKind::Http,
        name: name_of(&route.metadata),
        generation: route.metadata.generation.unwrap_or_default(),
        created_ms: created_ms(&route.metadata),
        parents: parents!(route.spec.parent_refs),
        hostnames: route.spec.hostnames.clone().unwrap_or_default(),
        rules: route.spec.rules.iter().flatten().map(rule).collect(),
    }
}

fn rule(rule: &http::HttpRouteRules) -> RouteRule {
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
        rpc: None,
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
        Type::ExtensionRef => filter
            .extension_ref
            .as_ref()
            .map_or(Filter::Unsupported("ExtensionRef"), |e| {
                extension(&e.group, &e.kind, &e.name)
            }),
        Type::RequestHeaderModifier => Filter::Unsupported("RequestHeaderModifier"),
        Type::ResponseHeaderModifier => Filter::Unsupported("ResponseHeaderModifier"),
        Type::RequestMirror => Filter::Unsupported("RequestMirror"),
        Type::Cors => Filter::Unsupported("CORS"),
        Type::ExternalAuth => Filter::Unsupported("ExternalAuth"),
    }
}
