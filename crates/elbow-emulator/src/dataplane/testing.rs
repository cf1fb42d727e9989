//! Builders for the tests of the data plane: wire-shaped conditions and transforms in few words.

use crate::generated::elbv2 as wire;

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn field(name: &str) -> wire::RuleCondition {
    wire::RuleCondition {
        field: Some(name.to_owned()),
        ..Default::default()
    }
}

pub(crate) fn host(values: &[&str]) -> wire::RuleCondition {
    let config = wire::HostHeaderConditionConfig {
        values: Some(owned(values)),
        ..Default::default()
    };
    wire::RuleCondition {
        host_header_config: Some(config),
        ..field("host-header")
    }
}

pub(crate) fn path(values: &[&str]) -> wire::RuleCondition {
    let config = wire::PathPatternConditionConfig {
        values: Some(owned(values)),
        ..Default::default()
    };
    wire::RuleCondition {
        path_pattern_config: Some(config),
        ..field("path-pattern")
    }
}

/// A condition by regular expression on the host or the path.
pub(crate) fn regex(name: &str, values: &[&str]) -> wire::RuleCondition {
    let (host, path) = (
        wire::HostHeaderConditionConfig {
            regex_values: Some(owned(values)),
            ..Default::default()
        },
        wire::PathPatternConditionConfig {
            regex_values: Some(owned(values)),
            ..Default::default()
        },
    );
    wire::RuleCondition {
        host_header_config: (name == "host-header").then_some(host),
        path_pattern_config: (name == "path-pattern").then_some(path),
        ..field(name)
    }
}

pub(crate) fn header(name: &str, values: &[&str]) -> wire::RuleCondition {
    let config = wire::HttpHeaderConditionConfig {
        http_header_name: Some(name.to_owned()),
        values: Some(owned(values)),
        ..Default::default()
    };
    wire::RuleCondition {
        http_header_config: Some(config),
        ..field("http-header")
    }
}

pub(crate) fn method(values: &[&str]) -> wire::RuleCondition {
    let config = wire::HttpRequestMethodConditionConfig {
        values: Some(owned(values)),
    };
    wire::RuleCondition {
        http_request_method_config: Some(config),
        ..field("http-request-method")
    }
}

pub(crate) fn query(pairs: &[(Option<&str>, &str)]) -> wire::RuleCondition {
    let values = pairs
        .iter()
        .map(|(key, value)| wire::QueryStringKeyValuePair {
            key: key.map(str::to_owned),
            value: Some((*value).to_owned()),
        })
        .collect();
    let config = wire::QueryStringConditionConfig {
        values: Some(values),
    };
    wire::RuleCondition {
        query_string_config: Some(config),
        ..field("query-string")
    }
}

pub(crate) fn source_ip(values: &[&str]) -> wire::RuleCondition {
    let config = wire::SourceIpConditionConfig {
        values: Some(owned(values)),
        ..Default::default()
    };
    wire::RuleCondition {
        source_ip_config: Some(config),
        ..field("source-ip")
    }
}

fn rewrites(regex: &str, replace: &str) -> Vec<wire::RewriteConfig> {
    vec![wire::RewriteConfig {
        regex: regex.to_owned(),
        replace: replace.to_owned(),
    }]
}

pub(crate) fn host_rewrite(regex: &str, replace: &str) -> wire::RuleTransform {
    wire::RuleTransform {
        r#type: "host-header-rewrite".to_owned(),
        host_header_rewrite_config: Some(wire::HostHeaderRewriteConfig {
            rewrites: Some(rewrites(regex, replace)),
        }),
        ..Default::default()
    }
}

pub(crate) fn url_rewrite(regex: &str, replace: &str) -> wire::RuleTransform {
    wire::RuleTransform {
        r#type: "url-rewrite".to_owned(),
        url_rewrite_config: Some(wire::UrlRewriteConfig {
            rewrites: Some(rewrites(regex, replace)),
        }),
        ..Default::default()
    }
}
