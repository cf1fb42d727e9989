//! Conditions of listener rules.
//!
//! In: a match of a route, a hostname, and what a ListenerRuleConfiguration adds. Out: conditions in
//! the order in which LBC sends them, or the [`RuleProblem`] because of which AWS would refuse them.
//! The limits are those of
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html>.

use elbow_api::crds::ListenerRuleConfiguration;
use elbow_model::rule::{Condition, Pattern, QueryPair};

use super::failures::RouteFailure;
use super::precedence::Unit;
use super::routes::{HeaderMatch, PathMatch, PathMatchType, RouteKind, RpcMatch};
use crate::settings::HostnamePorts;

/// Values and regular expressions of all conditions of a rule together.
const VALUES_MAX: usize = 5;
/// Wildcards in all values of a rule together.
const WILDCARDS_MAX: usize = 6;
/// Characters of a value or regular expression.
const VALUE_LENGTH_MAX: usize = 128;
/// Characters of a header's name.
const HEADER_NAME_LENGTH_MAX: usize = 40;

/// Why a rule cannot be as its route wants it.
#[derive(Debug, Clone)]
pub(crate) struct RuleProblem {
    pub(crate) failure: RouteFailure,
    pub(crate) code: &'static str,
    /// Field relative to the route's rule; empty for the rule itself.
    pub(crate) field: String,
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl RuleProblem {
    /// A value that an application load balancer cannot do.
    pub(crate) fn unsupported(
        code: &'static str,
        field: impl Into<String>,
        message: String,
        hint: &str,
    ) -> Box<Self> {
        Box::new(Self {
            failure: RouteFailure::UnsupportedValue(message.clone()),
            code,
            field: field.into(),
            message,
            hint: hint.to_owned(),
        })
    }
}

/// The conditions of one rule.
pub(crate) fn of(
    unit: &Unit<'_>,
    ports: HostnamePorts,
    configuration: Option<&ListenerRuleConfiguration>,
) -> Result<Vec<Condition>, Box<RuleProblem>> {
    let mut conditions = Vec::new();
    if !unit.hostname.is_empty() {
        conditions.push(host(unit.hostname, ports));
    }
    let field = format!("matches[{}]", unit.match_index);
    if let Some(m) = unit.matches() {
        if let Some(path) = &m.path {
            conditions.push(Condition::PathPattern {
                matches: path_pattern(path, &field)?,
            });
        }
        if let Some(rpc) = &m.rpc {
            conditions.push(rpc_path(rpc));
        }
        conditions.extend(m.headers.iter().map(|h| header(h, unit.route.kind)));
        conditions.extend(m.query.iter().map(|q| Condition::QueryString {
            values: vec![QueryPair {
                key: Some(q.name.clone()),
                value: q.value.clone(),
            }],
        }));
        if let Some(method) = m.method {
            conditions.push(Condition::HttpRequestMethod {
                values: vec![method.to_owned()],
            });
        }
    }
    if unit.matches().is_none() && unit.route.kind == RouteKind::Grpc {
        conditions.push(rpc_path(&RpcMatch::default()));
    }
    conditions.extend(source_ips(unit.match_index, configuration));
    check(&conditions, &field)?;
    Ok(conditions)
}

/// What the host must be.
pub(crate) fn host(hostname: &str, ports: HostnamePorts) -> Condition {
    let plain = || Pattern::Values(vec![hostname.to_owned()]);
    Condition::HostHeader {
        matches: match ports {
            HostnamePorts::None => plain(),
            HostnamePorts::Any => {
                // A wildcard stands for any number of labels, as it does in a value.
                let expression = hostname.replace('.', r"\.").replace('*', ".*");
                let expression = format!("^{expression}(:[0-9]+)?$");
                if expression.len() > VALUE_LENGTH_MAX {
                    plain()
                } else {
                    Pattern::RegexValues(vec![expression])
                }
            }
        },
    }
}

fn path_pattern(path: &PathMatch, field: &str) -> Result<Pattern, Box<RuleProblem>> {
    let value = path.value.as_str();
    match path.how {
        PathMatchType::Exact => Ok(Pattern::Values(vec![value.to_owned()])),
        PathMatchType::RegularExpression => Ok(Pattern::RegexValues(vec![value.to_owned()])),
        // Difference (bad-conditions-are-left-out): LBC gives up the whole Gateway because of one such path.
        PathMatchType::PathPrefix if value.contains(['*', '?']) => Err(RuleProblem::unsupported(
            "wildcard-in-path-prefix",
            format!("{field}.path.value"),
            format!("prefix path shouldn't contain wildcards: {value}"),
            "use a path of type RegularExpression; until then the rule is left out",
        )),
        PathMatchType::PathPrefix if value == "/" => Ok(Pattern::Values(vec!["/*".to_owned()])),
        PathMatchType::PathPrefix => {
            let prefix = value.strip_suffix('/').unwrap_or(value);
            Ok(Pattern::Values(vec![
                prefix.to_owned(),
                format!("{prefix}/*"),
            ]))
        }
    }
}

/// The path of an RPC, which is `/<service>/<method>` on the wire. As with LBC, a regular expression
/// is compared as it is; the wildcards of AWS work in it.
fn rpc_path(rpc: &RpcMatch) -> Condition {
    let path = match (&rpc.service, &rpc.method) {
        (Some(service), Some(method)) => format!("/{service}/{method}"),
        (Some(service), None) => format!("/{service}/*"),
        (None, Some(method)) => format!("/*/{method}"),
        (None, None) => "/*".to_owned(),
    };
    Condition::PathPattern {
        matches: Pattern::Values(vec![path]),
    }
}

/// As with LBC, a header of a GRPCRoute is compared as it is, whatever its type says.
fn header(header: &HeaderMatch, route: RouteKind) -> Condition {
    Condition::HttpHeader {
        name: header.name.clone(),
        matches: if header.is_regex && route != RouteKind::Grpc {
            Pattern::RegexValues(vec![header.value.clone()])
        } else {
            Pattern::Values(alternatives(&header.value))
        },
    }
}

/// LBC splits a header's value at commas; a backslash takes the next character as it is.
fn alternatives(value: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        let taken = match character {
            '\\' => characters.next(),
            ',' => {
                values.push(String::new());
                None
            }
            other => Some(other),
        };
        if let (Some(last), Some(taken)) = (values.last_mut(), taken) {
            last.push(taken);
        }
    }
    values
}

fn source_ips(
    match_index: usize,
    configuration: Option<&ListenerRuleConfiguration>,
) -> impl Iterator<Item = Condition> {
    configuration
        .into_iter()
        .flat_map(|c| c.spec.conditions.iter().flatten())
        .filter(move |c| {
            c.match_indexes.as_deref().is_none_or(|indexes| {
                let mut indexes = indexes.iter();
                indexes.any(|i| usize::try_from(*i) == Ok(match_index))
            })
        })
        .filter_map(|c| c.source_ip_config.as_ref())
        .map(|c| Condition::SourceIp {
            values: c.values.clone(),
        })
}

/// Checks what AWS would refuse.
///
/// Difference (limits-before-aws): LBC finds out from AWS, half-way through, and gives up the Gateway.
fn check(conditions: &[Condition], field: &str) -> Result<(), Box<RuleProblem>> {
    let mut values_total = 0;
    let mut wildcards = 0;
    let mut source_ips = 0;
    let mut pairs = 0;
    for condition in conditions {
        let (part, texts, is_pattern): (String, Vec<&str>, bool) = match condition {
            Condition::HostHeader { matches } => {
                ("hostname".to_owned(), texts(matches), is_values(matches))
            }
            Condition::PathPattern { matches } => (
                format!("{field}.path.value"),
                texts(matches),
                is_values(matches),
            ),
            Condition::HttpHeader { name, matches } => {
                check_header_name(name, field)?;
                (
                    format!("{field}.headers"),
                    texts(matches),
                    is_values(matches),
                )
            }
            Condition::QueryString { values } => {
                let texts = values
                    .iter()
                    .flat_map(|v| v.key.as_deref().into_iter().chain([v.value.as_str()]));
                let texts: Vec<_> = texts.collect();
                // A pair counts as one value, though it has two texts.
                pairs += texts.len() - values.len();
                (format!("{field}.queryParams"), texts, true)
            }
            Condition::HttpRequestMethod { values } => (
                field.to_owned(),
                values.iter().map(String::as_str).collect(),
                false,
            ),
            Condition::SourceIp { values } => {
                source_ips += 1;
                (
                    field.to_owned(),
                    values.iter().map(String::as_str).collect(),
                    false,
                )
            }
        };
        values_total += texts.len();
        if let Some(long) = texts.iter().find(|t| t.chars().count() > VALUE_LENGTH_MAX) {
            let length = long.chars().count();
            return Err(RuleProblem::unsupported(
                "value-too-long",
                part,
                format!(
                    "a value of the rule has {length} characters, and AWS takes at most {VALUE_LENGTH_MAX}"
                ),
                "shorten it (the prefix /a becomes /a/*); until then the rule is left out",
            ));
        }
        if is_pattern {
            let texts = texts.iter();
            wildcards += texts
                .flat_map(|t| t.bytes())
                .filter(|b| b"*?".contains(b))
                .count();
        }
    }
    values_total -= pairs;
    if values_total > VALUES_MAX {
        return Err(RuleProblem::unsupported(
            "too-many-condition-values",
            field,
            format!(
                "the rule has {values_total} values in its conditions, and AWS takes at most {VALUES_MAX}"
            ),
            "split the match; a hostname counts 1, a path prefix 2, each header, query parameter and method 1; until then the rule is left out",
        ));
    }
    if wildcards > WILDCARDS_MAX {
        return Err(RuleProblem::unsupported(
            "too-many-wildcards",
            field,
            format!("the rule has {wildcards} wildcards, and AWS takes at most {WILDCARDS_MAX}"),
            "use fewer `*` and `?`; until then the rule is left out",
        ));
    }
    if source_ips > 1 {
        return Err(RuleProblem::unsupported(
            "several-source-ip-conditions",
            field,
            "the rule has several source-ip conditions, and AWS takes one".to_owned(),
            "put the addresses into one condition; until then the rule is left out",
        ));
    }
    Ok(())
}

fn check_header_name(name: &str, field: &str) -> Result<(), Box<RuleProblem>> {
    let field = format!("{field}.headers");
    if name.len() > HEADER_NAME_LENGTH_MAX {
        return Err(RuleProblem::unsupported(
            "value-too-long",
            field,
            format!(
                "the header name `{name}` is longer than the {HEADER_NAME_LENGTH_MAX} characters that AWS takes"
            ),
            "match another header; until then the rule is left out",
        ));
    }
    if name.eq_ignore_ascii_case("host") {
        return Err(RuleProblem::unsupported(
            "host-header-match",
            field,
            "AWS does not match the Host header as a header".to_owned(),
            "use the hostnames of the route; until then the rule is left out",
        ));
    }
    Ok(())
}

fn texts(pattern: &Pattern) -> Vec<&str> {
    let (Pattern::Values(values) | Pattern::RegexValues(values)) = pattern;
    values.iter().map(String::as_str).collect()
}

const fn is_values(pattern: &Pattern) -> bool {
    matches!(pattern, Pattern::Values(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostname_may_take_its_ports() {
        let long = format!("{}.example.com", "a".repeat(115));
        let rows = [
            ("a.example.com", HostnamePorts::None, Ok("a.example.com")),
            (
                "a.example.com",
                HostnamePorts::Any,
                Err(r"^a\.example\.com(:[0-9]+)?$"),
            ),
            (
                "*.example.com",
                HostnamePorts::Any,
                Err(r"^.*\.example\.com(:[0-9]+)?$"),
            ),
            // Longer than a regular expression of AWS may be.
            (long.as_str(), HostnamePorts::Any, Ok(long.as_str())),
        ];
        for (hostname, ports, expected) in rows {
            let matches = match expected {
                Ok(value) => Pattern::Values(vec![value.to_owned()]),
                Err(regex) => Pattern::RegexValues(vec![regex.to_owned()]),
            };
            assert_eq!(host(hostname, ports), Condition::HostHeader { matches });
        }
    }

    #[test]
    fn header_values_split_at_commas() {
        let rows = [
            ("a", vec!["a"]),
            ("a,b", vec!["a", "b"]),
            (r"a\,b", vec!["a,b"]),
            (r"a\\,b", vec![r"a\", "b"]),
            ("", vec![""]),
        ];
        for (value, expected) in rows {
            assert_eq!(alternatives(value), expected, "{value}");
        }
    }

    #[test]
    fn prefixes_become_patterns() {
        let rows = [
            (PathMatchType::PathPrefix, "/", Some(vec!["/*"])),
            (PathMatchType::PathPrefix, "/a", Some(vec!["/a", "/a/*"])),
            (
                PathMatchType::PathPrefix,
                "/slash/",
                Some(vec!["/slash", "/slash/*"]),
            ),
            (PathMatchType::PathPrefix, "/a*", None),
            (PathMatchType::Exact, "/wild*card", Some(vec!["/wild*card"])),
        ];
        for (how, value, expected) in rows {
            let path = PathMatch {
                how,
                value: value.to_owned(),
            };
            let found = path_pattern(&path, "matches[0]").ok();
            let found = found.as_ref().map(texts);
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn source_addresses_go_to_the_matches_that_are_named() {
        use elbow_api::crds::{ConditionField, ListenerRuleCondition, SourceIpConfig};
        // LBC, pkg/gateway/routeutils/route_rule_condition.go: absent is all, empty is none.
        let rows = [
            (None, [1, 1]),
            (Some(vec![]), [0, 0]),
            (Some(vec![1]), [0, 1]),
        ];
        for (match_indexes, expected) in rows {
            let mut configuration = ListenerRuleConfiguration::default();
            configuration.spec.conditions = Some(vec![ListenerRuleCondition {
                source_ip_config: Some(SourceIpConfig {
                    values: vec!["192.0.2.0/24".to_owned()],
                }),
                match_indexes: match_indexes.clone(),
                field: ConditionField::SourceIp,
            }]);
            let found = [0, 1].map(|index| source_ips(index, Some(&configuration)).count());
            assert_eq!(found, expected, "{match_indexes:?}");
        }
    }

    #[test]
    fn limits_of_aws_are_checked() {
        let path = |values: Vec<String>| Condition::PathPattern {
            matches: Pattern::Values(values),
        };
        let header = |name: &str| Condition::HttpHeader {
            name: name.to_owned(),
            matches: Pattern::Values(vec!["1".to_owned()]),
        };
        let short = || path(vec!["/a".to_owned(), "/a/*".to_owned()]);
        let pair = || Condition::QueryString {
            values: vec![QueryPair {
                key: Some("k".to_owned()),
                value: "v".to_owned(),
            }],
        };
        let rows = [
            (vec![short(), header("a"), header("b"), pair()], None),
            (
                vec![short(), header("a"), header("b"), pair(), pair()],
                Some("too-many-condition-values"),
            ),
            (vec![path(vec!["/".repeat(128)])], None),
            (vec![path(vec!["/".repeat(129)])], Some("value-too-long")),
            (vec![header(&"h".repeat(41))], Some("value-too-long")),
            (vec![header("Host")], Some("host-header-match")),
            (vec![path(vec!["*".repeat(7)])], Some("too-many-wildcards")),
        ];
        for (conditions, expected) in rows {
            let found = check(&conditions, "matches[0]").err().map(|p| p.code);
            assert_eq!(found, expected, "{conditions:?}");
        }
    }
}
