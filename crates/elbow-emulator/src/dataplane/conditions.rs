//! Whether a request meets the conditions of a rule.
//!
//! In: conditions as DescribeRules returns them, and the head of a request. Out: yes or no. Always:
//! conditions are combined by AND, the values of one condition by OR; the host is compared as the
//! client sent it, port included; a condition that cannot be read meets nothing.
//!
//! Source: "Condition types for listener rules" in the Application Load Balancer guide.

use std::net::IpAddr;

use ipnet::IpNet;

use super::patterns::{Case, Escapes, Glob, Pattern};
use super::request::RequestHead;
use super::uri::normalize_path;
use crate::generated::elbv2 as wire;

/// One condition, ready to be evaluated.
#[derive(Clone, Debug)]
pub enum Condition {
    /// The `Host` header, letters of both cases alike.
    Host(Texts),
    /// The normalized path, case kept.
    Path(Texts),
    /// Any value of one header, letters of both cases alike.
    Header {
        /// Name of the header; case does not matter.
        name: String,
        /// What the value must match.
        values: Texts,
    },
    /// The method, exactly.
    Method(Vec<String>),
    /// Any parameter of the query string, as sent (not decoded).
    Query(Vec<QueryParameter>),
    /// The address of the TCP peer.
    SourceIp(Vec<IpNet>),
    /// Network load balancers: whether the peer came over IPv6 (or IPv4).
    Family {
        /// `true` for IPv6.
        v6: bool,
    },
    /// A condition that this data plane cannot read: nothing meets it.
    Never,
}

/// Alternatives for one text: any may match.
#[derive(Clone, Debug)]
pub enum Texts {
    /// Wildcard patterns on the whole text.
    Globs(Vec<Glob>),
    /// Regular expressions on any part.
    Patterns(Vec<Pattern>),
}

/// One alternative of a query-string condition.
#[derive(Clone, Debug)]
pub struct QueryParameter {
    /// The key; any key where absent.
    pub key: Option<Glob>,
    /// The value.
    pub value: Glob,
}

impl Condition {
    /// Reads a condition in the wire's shape.
    pub fn read(condition: &wire::RuleCondition) -> Self {
        Self::try_read(condition).unwrap_or(Self::Never)
    }

    fn try_read(condition: &wire::RuleCondition) -> Option<Self> {
        let legacy = || condition.values.clone().unwrap_or_default();
        Some(match condition.field.as_deref()? {
            "host-header" => {
                let config = condition.host_header_config.as_ref();
                let values = config
                    .and_then(|config| config.values.clone())
                    .unwrap_or_else(legacy);
                let regexes = config
                    .and_then(|config| config.regex_values.as_deref())
                    .or(condition.regex_values.as_deref());
                Self::Host(Texts::read(&values, regexes, Case::Insensitive)?)
            }
            "path-pattern" => {
                let config = condition.path_pattern_config.as_ref();
                let values = config
                    .and_then(|config| config.values.clone())
                    .unwrap_or_else(legacy);
                let regexes = config
                    .and_then(|config| config.regex_values.as_deref())
                    .or(condition.regex_values.as_deref());
                Self::Path(Texts::read(&values, regexes, Case::Sensitive)?)
            }
            "http-header" => {
                let config = condition.http_header_config.as_ref()?;
                let values = config.values.clone().unwrap_or_default();
                Self::Header {
                    name: config.http_header_name.clone()?,
                    values: Texts::read(
                        &values,
                        config.regex_values.as_deref(),
                        Case::Insensitive,
                    )?,
                }
            }
            "http-request-method" => Self::Method(
                condition
                    .http_request_method_config
                    .as_ref()?
                    .values
                    .clone()
                    .unwrap_or_default(),
            ),
            "query-string" => {
                let pairs = condition
                    .query_string_config
                    .as_ref()?
                    .values
                    .as_deref()
                    .unwrap_or_default();
                let glob = |text: &str| Glob::new(text, Case::Insensitive, Escapes::Backslash);
                Self::Query(
                    pairs
                        .iter()
                        .map(|pair| QueryParameter {
                            key: pair.key.as_deref().map(glob),
                            value: glob(pair.value.as_deref().unwrap_or_default()),
                        })
                        .collect(),
                )
            }
            "source-ip" => {
                let config = condition.source_ip_config.as_ref()?;
                if let Some(family) = config.ip_address_type.as_deref() {
                    return Some(Self::Family {
                        v6: family == "ipv6",
                    });
                }
                let values = config.values.as_deref().unwrap_or_default();
                Self::SourceIp(
                    values
                        .iter()
                        .filter_map(|value| value.parse().ok())
                        .collect(),
                )
            }
            _ => return None,
        })
    }

    /// Whether a request meets this condition.
    pub fn is_met_by(&self, request: &RequestHead) -> bool {
        match self {
            Self::Host(texts) => texts.match_any(&request.host),
            Self::Path(texts) => texts.match_any(&normalize_path(&request.path)),
            Self::Header { name, values } => request
                .header_values(name)
                .any(|value| values.match_any(value)),
            Self::Method(methods) => methods.contains(&request.method),
            Self::Query(parameters) => query_parameters(request.query.as_deref())
                .any(|(key, value)| parameters.iter().any(|wanted| wanted.matches(key, value))),
            Self::SourceIp(nets) => is_in_any(nets, request.peer),
            Self::Family { v6 } => request.peer.to_canonical().is_ipv6() == *v6,
            Self::Never => false,
        }
    }
}

impl Texts {
    /// Values and regular expressions exclude each other; where regular expressions are given, they
    /// count.
    fn read(values: &[String], regexes: Option<&[String]>, case: Case) -> Option<Self> {
        match regexes {
            Some(regexes) if !regexes.is_empty() => regexes
                .iter()
                .map(|regex| Pattern::new(regex, case).ok())
                .collect::<Option<_>>()
                .map(Self::Patterns),
            _ => Some(Self::Globs(
                values
                    .iter()
                    .map(|value| Glob::new(value, case, Escapes::Literal))
                    .collect(),
            )),
        }
    }

    fn match_any(&self, text: &str) -> bool {
        match self {
            Self::Globs(globs) => globs.iter().any(|glob| glob.matches(text)),
            Self::Patterns(patterns) => patterns.iter().any(|pattern| pattern.matches(text)),
        }
    }
}

impl QueryParameter {
    fn matches(&self, key: &str, value: &str) -> bool {
        self.key.as_ref().is_none_or(|wanted| wanted.matches(key)) && self.value.matches(value)
    }
}

/// The parameters of a query string, undecoded. A parameter without `=` has an empty value.
fn query_parameters(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    query
        .unwrap_or_default()
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

/// Whether an address is in any of the networks. An IPv4 address that arrived on an IPv6 socket
/// counts as IPv4.
pub fn is_in_any(nets: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    nets.iter().any(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::testing::{header, host, method, path, query, regex, source_ip};
    use proptest::prelude::*;

    fn request(text: &str) -> RequestHead {
        let (host, target) = text.split_at(text.find('/').unwrap());
        let mut request = RequestHead::get(host, target);
        request.headers = vec![
            ("X-Color".to_owned(), "Blue".to_owned()),
            ("x-color".to_owned(), "green-ish".to_owned()),
        ];
        request
    }

    #[track_caller]
    fn check(condition: &wire::RuleCondition, text: &str, expected: bool) {
        assert_eq!(
            Condition::read(condition).is_met_by(&request(text)),
            expected,
            "{condition:?} on {text}"
        );
    }

    #[test]
    fn hosts() {
        check(&host(&["app.example.com"]), "APP.example.com/", true);
        check(&host(&["app.example.com"]), "app.example.com:8080/", false);
        check(&host(&["app.example.com:*"]), "app.example.com:8080/", true);
        check(
            &host(&["a.example.com", "*.example.org"]),
            "x.y.example.org/",
            true,
        );
        check(&host(&["*.example.org"]), "example.org/", false);
        check(
            &regex("host-header", &["^(a|b)\\.example"]),
            "B.example.com/",
            true,
        );
    }

    #[test]
    fn paths() {
        check(&path(&["/foo", "/foo/*"]), "h/foo/bar", true);
        check(&path(&["/foo", "/foo/*"]), "h/foobar", false);
        check(&path(&["/foo"]), "h/foo?x=/foo", true);
        check(&path(&["/foo"]), "h/FOO", false);
        check(&path(&["/admin"]), "h/x/../%61dmin", true);
        check(&regex("path-pattern", &["^/v[0-9]+$"]), "h/v12", true);
        check(&regex("path-pattern", &["^/v[0-9]+$"]), "h/V12", false);
    }

    #[test]
    fn headers() {
        check(&header("X-COLOR", &["blue"]), "h/", true);
        check(&header("x-color", &["green*"]), "h/", true);
        check(&header("x-color", &["red"]), "h/", false);
        check(&header("x-shape", &["*"]), "h/", false);
    }

    #[test]
    fn methods_are_exact() {
        check(&method(&["POST", "GET"]), "h/", true);
        check(&method(&["get"]), "h/", false);
    }

    #[test]
    fn query_strings() {
        check(
            &query(&[(Some("version"), "v1")]),
            "h/?a=b&Version=V1",
            true,
        );
        check(&query(&[(Some("version"), "v1")]), "h/?version=v2", false);
        check(&query(&[(None, "*example*")]), "h/?a=1&u=an-example-", true);
        check(&query(&[(Some("a"), "")]), "h/?a", true);
        check(&query(&[(Some("a"), r"\*")]), "h/?a=*", true);
        check(&query(&[(Some("a"), r"\*")]), "h/?a=b", false);
        check(&query(&[(None, "*")]), "h/", false);
    }

    #[test]
    fn source_addresses() {
        check(&source_ip(&["192.0.2.0/24"]), "h/", true);
        check(&source_ip(&["192.0.2.1/32"]), "h/", true);
        check(
            &source_ip(&["2001:db8::/32", "198.51.100.0/24"]),
            "h/",
            false,
        );
        let nets: Vec<IpNet> = vec!["192.0.2.0/24".parse().unwrap()];
        assert!(
            is_in_any(&nets, "::ffff:192.0.2.7".parse().unwrap()),
            "mapped IPv4"
        );
    }

    #[test]
    fn unknown_conditions_are_never_met() {
        let unknown = wire::RuleCondition {
            field: Some("moon-phase".to_owned()),
            ..Default::default()
        };
        check(&unknown, "h/", false);
        check(&regex("path-pattern", &["(?=x)"]), "h/", false);
    }

    proptest! {
        /// A rule with several conditions and values, against the sentence "each condition has a
        /// value that matches".
        #[test]
        fn conditions_and_values_combine(
            paths in proptest::collection::vec("/[ab*?]{0,3}", 1..4),
            hosts in proptest::collection::vec("[ab*?]{0,2}\\.[ab]", 1..4),
            target in "/[ab]{0,3}",
            name in "[ab]{0,2}\\.[ab]",
        ) {
            fn slow(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
                    Some((want, rest)) => text
                        .split_first()
                        .is_some_and(|(got, tail)| (*want == b'?' || want == got) && slow(rest, tail)),
                }
            }
            fn refs(texts: &[String]) -> Vec<&str> {
                texts.iter().map(String::as_str).collect()
            }
            let request = RequestHead::get(&name, &target);
            let met = [path(&refs(&paths)), host(&refs(&hosts))]
            .iter()
            .all(|condition| Condition::read(condition).is_met_by(&request));
            let expected = paths.iter().any(|text| slow(text.as_bytes(), target.as_bytes()))
                && hosts.iter().any(|text| slow(text.as_bytes(), name.as_bytes()));
            prop_assert_eq!(met, expected);
        }
    }
}
