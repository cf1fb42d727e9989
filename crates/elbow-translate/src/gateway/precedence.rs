//! The order in which the rules of a listener are evaluated.
//!
//! In: [`Unit`]s, one for each rule, match and hostname of the routes on a port. Out: the same,
//! sorted; the first wins. The order is LBC's, which is that of the Gateway API where the Gateway API
//! has one: hostname, path, method, headers, query parameters, age, name, place in the route.

use std::cmp::{Ordering, Reverse};

use super::routes::{Match, Route, RpcMatch};

/// One future rule of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Unit<'r> {
    /// The route's place among the Gateway's routes.
    pub(crate) route_index: usize,
    pub(crate) route: &'r Route,
    pub(crate) rule_index: usize,
    pub(crate) match_index: usize,
    /// Empty for any host.
    pub(crate) hostname: &'r str,
}

impl<'r> Unit<'r> {
    pub(crate) fn matches(&self) -> Option<&'r Match> {
        self.route.rules[self.rule_index]
            .matches
            .get(self.match_index)
    }
}

/// Sorts units by precedence, the highest first.
pub(crate) fn sort(units: &mut [Unit<'_>]) {
    units.sort_by(compare);
}

fn compare(a: &Unit<'_>, b: &Unit<'_>) -> Ordering {
    host(a.hostname)
        .cmp(&host(b.hostname))
        .then_with(|| specificity(a).cmp(&specificity(b)))
        .then_with(|| a.route.created_ms.cmp(&b.route.created_ms))
        .then_with(|| full_name(a.route).cmp(full_name(b.route)))
        .then_with(|| a.rule_index.cmp(&b.rule_index))
        .then_with(|| a.match_index.cmp(&b.match_index))
        .then_with(|| a.hostname.cmp(b.hostname))
        // Difference (no-ties): LBC leaves an HTTPRoute and a GRPCRoute of one name and age to chance.
        .then_with(|| a.route.kind.cmp(&b.route.kind))
}

/// `namespace/name` as text: `-` and `.` sort before `/`.
fn full_name(route: &Route) -> impl Iterator<Item = u8> + '_ {
    let namespace = route.name.namespace.bytes();
    namespace.chain([b'/']).chain(route.name.name.bytes())
}

/// A named host before any host, an exact one before a wildcard, more labels first, longer first.
pub(crate) fn host(hostname: &str) -> impl Ord + use<> {
    (
        hostname.is_empty(),
        hostname.starts_with("*."),
        Reverse(hostname.bytes().filter(|b| *b == b'.').count()),
        Reverse(hostname.len()),
    )
}

/// Stronger path match first, longer path first (of RPCs the longer service, then the longer method),
/// then HTTP method, headers and query parameters.
fn specificity(unit: &Unit<'_>) -> impl Ord + use<> {
    let found = unit.matches();
    let path = found.and_then(|m| m.path.as_ref());
    let rpc = found.and_then(|m| m.rpc.as_ref());
    let length = |name: fn(&RpcMatch) -> Option<&String>| rpc.and_then(name).map_or(0, String::len);
    Reverse((
        path.map(|p| p.how).or(rpc.and_then(|r| r.how)),
        path.map_or_else(|| length(|r| r.service.as_ref()), |p| p.value.len()),
        length(|r| r.method.as_ref()),
        found.is_some_and(|m| m.method.is_some()),
        found.map_or(0, |m| m.headers.len()),
        found.map_or(0, |m| m.query.len()),
    ))
}

#[cfg(test)]
mod tests {
    use elbow_api::NamespacedName;

    use super::*;
    use crate::gateway::routes::{
        HeaderMatch, PathMatch, PathMatchType, QueryMatch, RouteKind, RouteRule,
    };

    fn route(name: &str, created_ms: i64, matches: Vec<Match>) -> Route {
        Route {
            kind: RouteKind::Http,
            name: NamespacedName::new("ns", name),
            generation: 1,
            created_ms,
            parents: Vec::new(),
            hostnames: Vec::new(),
            rules: vec![RouteRule {
                matches,
                filters: Vec::new(),
                backends: Vec::new(),
                ignored: Vec::new(),
            }],
        }
    }

    fn path(how: PathMatchType, value: &str) -> Match {
        Match {
            path: Some(PathMatch {
                how,
                value: value.to_owned(),
            }),
            rpc: None,
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        }
    }

    #[test]
    fn units_sort_as_in_lbc() {
        use PathMatchType::{Exact, PathPrefix, RegularExpression};
        let method = Match {
            method: Some("GET"),
            ..path(PathPrefix, "/same")
        };
        let header = Match {
            headers: vec![HeaderMatch {
                name: "a".to_owned(),
                value: "1".to_owned(),
                is_regex: false,
            }],
            ..path(PathPrefix, "/same")
        };
        let query = Match {
            query: vec![QueryMatch {
                name: "q".to_owned(),
                value: "1".to_owned(),
                is_regex: false,
            }],
            ..path(PathPrefix, "/same")
        };
        // Each before the next.
        let expected = [
            (
                "longer-name.example.com",
                route("h", 9, vec![path(PathPrefix, "/")]),
            ),
            (
                "www.example.com",
                route("h", 9, vec![path(PathPrefix, "/")]),
            ),
            (
                "*.a.example.com",
                route("h", 9, vec![path(PathPrefix, "/")]),
            ),
            ("*.example.com", route("h", 9, vec![path(PathPrefix, "/")])),
            ("", route("new", 9, vec![path(Exact, "/same")])),
            ("", route("new", 9, vec![path(PathPrefix, "/longer/same")])),
            ("", route("new", 9, vec![method])),
            ("", route("new", 9, vec![header])),
            ("", route("new", 9, vec![query])),
            ("", route("z-old", 1, vec![path(PathPrefix, "/same")])),
            ("", route("a-new", 9, vec![path(PathPrefix, "/same")])),
            ("", route("b-new", 9, vec![path(PathPrefix, "/same")])),
            ("", route("new", 1, vec![path(PathPrefix, "/")])),
            (
                "",
                route("new", 1, vec![path(RegularExpression, "^/re/[0-9]+$")]),
            ),
        ];
        let units: Vec<_> = expected
            .iter()
            .enumerate()
            .map(|(route_index, (hostname, route))| Unit {
                route_index,
                route,
                rule_index: 0,
                match_index: 0,
                hostname,
            })
            .collect();
        let mut shuffled: Vec<_> = units.iter().rev().cloned().collect();
        sort(&mut shuffled);
        let order: Vec<_> = shuffled.iter().map(|u| u.route_index).collect();
        assert_eq!(order, (0..units.len()).collect::<Vec<_>>());
    }
}
