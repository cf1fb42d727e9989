//! Conditions that AWS takes, and those that it refuses with what sentence.

use super::*;
use crate::elbv2::tests::load_balancer;

#[expect(clippy::unnecessary_wraps, reason = "members of requests are options")]
fn list(texts: &[&str]) -> Option<Vec<String>> {
    Some(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn of(field: &str) -> wire::RuleCondition {
    wire::RuleCondition {
        field: Some(field.into()),
        ..Default::default()
    }
}

fn host(values: &[&str]) -> wire::RuleCondition {
    let config = wire::HostHeaderConditionConfig {
        values: list(values),
        regex_values: None,
    };
    wire::RuleCondition {
        host_header_config: Some(config),
        ..of("host-header")
    }
}

fn path(values: &[&str]) -> wire::RuleCondition {
    let config = wire::PathPatternConditionConfig {
        values: list(values),
        regex_values: None,
    };
    wire::RuleCondition {
        path_pattern_config: Some(config),
        ..of("path-pattern")
    }
}

fn path_regex(values: &[&str]) -> wire::RuleCondition {
    let config = wire::PathPatternConditionConfig {
        values: None,
        regex_values: list(values),
    };
    wire::RuleCondition {
        path_pattern_config: Some(config),
        ..of("path-pattern")
    }
}

fn header(name: &str, values: &[&str]) -> wire::RuleCondition {
    let config = wire::HttpHeaderConditionConfig {
        http_header_name: Some(name.into()),
        values: list(values),
        regex_values: None,
    };
    wire::RuleCondition {
        http_header_config: Some(config),
        ..of("http-header")
    }
}

fn method(values: &[&str]) -> wire::RuleCondition {
    let config = wire::HttpRequestMethodConditionConfig {
        values: list(values),
    };
    wire::RuleCondition {
        http_request_method_config: Some(config),
        ..of("http-request-method")
    }
}

fn query(pairs: &[(Option<&str>, &str)]) -> wire::RuleCondition {
    let pair = |(key, value): &(Option<&str>, &str)| wire::QueryStringKeyValuePair {
        key: key.map(Into::into),
        value: Some((*value).into()),
    };
    let values = Some(pairs.iter().map(pair).collect());
    let config = wire::QueryStringConditionConfig { values };
    wire::RuleCondition {
        query_string_config: Some(config),
        ..of("query-string")
    }
}

fn source(values: &[&str]) -> wire::RuleCondition {
    let config = wire::SourceIpConditionConfig {
        values: list(values),
        ip_address_type: None,
    };
    wire::RuleCondition {
        source_ip_config: Some(config),
        ..of("source-ip")
    }
}

fn message(conditions: &[wire::RuleCondition]) -> Option<String> {
    let lb = load_balancer(LoadBalancerKind::Application);
    let result = check(&lb, conditions, &Quotas::default());
    result.err().map(|refusal| {
        assert_eq!(refusal.code, "ValidationError");
        refusal.message
    })
}

#[test]
fn takes() {
    let long = format!("{}.test", "a".repeat(123));
    let rows = [
        (
            "one of each",
            vec![host(&["a.test"]), path(&["/a"]), method(&["GET"])],
        ),
        (
            "five values",
            vec![path(&["/a", "/a/*", "/b", "/b/*", "/c"])],
        ),
        (
            "values over conditions",
            vec![path(&["/a", "/b", "/c"]), host(&["a.b", "c.d"])],
        ),
        (
            "many headers",
            vec![header("x", &["1"]), header("x", &["2 3"])],
        ),
        ("all path characters", vec![path(&["/aZ09_-.$/~\"'@:+&*?"])]),
        (
            "a wildcard host",
            vec![host(&["*.example.com", "a?.example.*"])],
        ),
        ("128 characters", vec![host(&[&long])]),
        ("regex", vec![path_regex(&["^/v[0-9]+/.*$"])]),
        (
            "query without a key",
            vec![query(&[(None, "a*"), (Some("k"), "v")])],
        ),
        (
            "escaped wildcards",
            vec![query(&[(Some("\\*\\*\\*\\*"), "\\?\\?\\?\\?")])],
        ),
        ("source", vec![source(&["10.0.0.0/8", "2001:db8::/32"])]),
        ("a custom method", vec![method(&["MY-METHOD_"])]),
        (
            "short form",
            vec![wire::RuleCondition {
                values: list(&["/a"]),
                ..of("path-pattern")
            }],
        ),
        ("six wildcards", vec![path(&["/*/*/*", "/?/?/?"])]),
    ];
    for (name, conditions) in rows {
        assert_eq!(message(&conditions), None, "{name}");
    }
}

#[test]
fn refuses() {
    let both = wire::RuleCondition {
        values: list(&["/a"]),
        ..path(&["/a"])
    };
    let mut two_lists = path(&["/a"]);
    two_lists.path_pattern_config.as_mut().unwrap().regex_values = list(&["a"]);
    let foreign = wire::RuleCondition {
        field: Some("host-header".into()),
        ..path(&["/a"])
    };
    let typed = wire::RuleCondition {
        values: list(&["GET"]),
        ..of("http-request-method")
    };
    let long = "a".repeat(129);
    let rows = [
        (vec![], "A condition must be specified"),
        (
            vec![wire::RuleCondition::default()],
            "A condition field must be specified",
        ),
        (
            vec![of("cookie")],
            "Condition field 'cookie' must be one of 'http-header,",
        ),
        (
            vec![of("path-pattern")],
            "For conditions of type 'path-pattern', you must specify the following fields: \
             'Values or RegexValues or PathPatternConfig'",
        ),
        (
            vec![typed],
            "you must specify the following fields: 'HttpRequestMethodConfig'",
        ),
        (
            vec![both],
            "You cannot provide both Values and 'PathPatternConfig'",
        ),
        (
            vec![two_lists],
            "exactly one of the following: ['Values' 'RegexValues'] for config",
        ),
        (vec![host(&[])], "for config of type 'HostHeaderConfig'"),
        (vec![foreign], "you can only specify"),
        (
            vec![host(&["a.b"]), host(&["c.d"])],
            "A rule can only have one 'host-header' condition",
        ),
        (
            vec![path(&["/1", "/2", "/3"]), host(&["a.b", "c.d", "e.f"])],
            "A rule can only have '5' condition values and regex values",
        ),
        (
            vec![path(&["/*/*/*/*", "/*/*/*"])],
            "A rule can only have '6' condition wildcards",
        ),
        (
            vec![host(&["example"])],
            "Condition value 'example' contains a character",
        ),
        (
            vec![host(&["a.test:8080"])],
            "contains a character that is not valid",
        ),
        (
            vec![host(&["10.0.0.1"])],
            "contains a character that is not valid",
        ),
        (
            vec![host(&[&long])],
            "Condition value for 'host-header' cannot contain more than 128",
        ),
        (
            vec![path(&["/a b"])],
            "Condition value '/a b' contains a character",
        ),
        (
            vec![path(&["/%20"])],
            "contains a character that is not valid",
        ),
        (vec![path(&[""])], "contains a character that is not valid"),
        (
            vec![method(&["get"])],
            "Condition value 'get' contains a character that is not valid",
        ),
        (
            vec![method(&[&long.to_uppercase()])],
            "'http-request-method' cannot contain more than 40",
        ),
        (
            vec![header("Host", &["a"])],
            "You cannot specify 'host' as an HTTP header name",
        ),
        (
            vec![header("a b", &["a"])],
            "Condition value 'a b' contains a character",
        ),
        (
            vec![header(&long, &["a"])],
            "Condition value for 'http-header' cannot contain more than 40",
        ),
        (
            vec![header("x", &["é"])],
            "contains a character that is not valid",
        ),
        (
            vec![source(&["10.0.0.1"])],
            "The specified value '10.0.0.1' is not a valid CIDR block",
        ),
        (
            vec![source(&["255.255.255.255/32"])],
            "is not a valid CIDR block",
        ),
        (
            vec![query(&[(Some("k"), "")])],
            "A query string value must be specified",
        ),
        (
            vec![query(&[(Some(&long), "v")])],
            "'query-string' cannot contain more than 128",
        ),
        (
            vec![path_regex(&["(?=a)"])],
            "is not a valid regular expression",
        ),
        (
            vec![path_regex(&[&long])],
            "cannot contain more than 128 characters",
        ),
    ];
    for (conditions, expected) in rows {
        let message = message(&conditions).unwrap_or_default();
        assert!(
            message.contains(expected),
            "expected {expected:?}, got {message:?}"
        );
    }
}

#[test]
fn reads_back_in_both_spellings() {
    let lb = load_balancer(LoadBalancerKind::Application);
    let short = wire::RuleCondition {
        values: list(&["a.test"]),
        ..of("host-header")
    };
    for condition in [short, host(&["a.test"])] {
        let read = check(&lb, &[condition], &Quotas::default()).unwrap();
        assert_eq!(read[0].values, list(&["a.test"]));
        assert_eq!(
            read[0].host_header_config.as_ref().unwrap().values,
            list(&["a.test"])
        );
    }
}

#[test]
fn network_rules_know_the_address_family_alone() {
    let family = |family: &str| {
        let config = wire::SourceIpConditionConfig {
            ip_address_type: Some(family.into()),
            values: None,
        };
        wire::RuleCondition {
            source_ip_config: Some(config),
            ..of("source-ip")
        }
    };
    let mut lb = load_balancer(LoadBalancerKind::Network);
    let refused = |lb: &LoadBalancer, condition| {
        check(lb, &[condition], &Quotas::default())
            .map_err(|refusal| refusal.code)
            .err()
    };
    assert_eq!(
        refused(&lb, family("ipv6")).as_deref(),
        Some("InvalidConfigurationRequest")
    );
    lb.ip_address_type = IpAddressType::Dualstack;
    assert_eq!(refused(&lb, family("ipv6")), None);
    assert_eq!(
        refused(&lb, source(&["10.0.0.0/8"])).as_deref(),
        Some("ValidationError")
    );
    assert_eq!(
        refused(&lb, path(&["/"])).as_deref(),
        Some("ValidationError")
    );
}
