//! Conditions of a rule: what may be asked of a request, and how a condition reads back.
//!
//! Comes in: conditions as a client wrote them. Goes out: AWS's refusal, or the conditions as
//! DescribeRules returns them: host and path conditions both in their config and in the older
//! top-level list.
//! Limits: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RuleCondition.html>

use ipnet::IpNet;

use super::error;
use super::regexes;
use super::state::{IpAddressType, LoadBalancer, LoadBalancerKind, TargetFamily};
use crate::config::Quotas;
use crate::error::ApiError;
use crate::generated::elbv2 as wire;

/// Longest value of a condition, in characters.
const VALUE_MAX: usize = 128;
/// Longest header name and longest method, in characters.
const NAME_MAX: usize = 40;
/// What a path pattern may hold besides letters and digits.
const PATH_CHARACTERS: &str = "_-.$/~\"'@:+&*?";

/// Fields in the order in which AWS lists them in its refusal.
const FIELDS: &str =
    "http-header,http-request-method,host-header,query-string,source-ip,path-pattern";

/// A condition, taken apart.
struct Parts<'a> {
    field: &'static str,
    /// AWS's name of the config that belongs to the field.
    config: &'static str,
    values: Vec<&'a str>,
    regexes: Vec<&'a str>,
}

/// Refuses conditions that AWS refuses, and returns the others as they read back.
pub(super) fn check(
    load_balancer: &LoadBalancer,
    conditions: &[wire::RuleCondition],
    quotas: &Quotas,
) -> Result<Vec<wire::RuleCondition>, ApiError> {
    if conditions.is_empty() {
        return Err(error::validation("A condition must be specified"));
    }
    if load_balancer.kind == LoadBalancerKind::Network {
        check_network(load_balancer, conditions)?;
        return Ok(conditions.to_vec());
    }
    let parts: Vec<Parts<'_>> = conditions
        .iter()
        .map(take_apart)
        .collect::<Result<_, _>>()?;
    for field in [
        "host-header",
        "path-pattern",
        "http-request-method",
        "source-ip",
    ] {
        if parts.iter().filter(|part| part.field == field).count() > 1 {
            return Err(error::validation(format!(
                "A rule can only have one '{field}' condition"
            )));
        }
    }
    for (condition, part) in conditions.iter().zip(&parts) {
        check_values(condition, part)?;
    }
    let n_values: usize = parts
        .iter()
        .map(|part| part.values.len() + part.regexes.len())
        .sum();
    if n_values > quotas.condition_values_per_rule {
        return Err(error::validation(format!(
            "A rule can only have '{}' condition values and regex values",
            quotas.condition_values_per_rule
        )));
    }
    if conditions
        .iter()
        .zip(&parts)
        .map(|(c, p)| wildcards(c, p))
        .sum::<usize>()
        > quotas.condition_wildcards_per_rule
    {
        return Err(error::validation(format!(
            "A rule can only have '{}' condition wildcards",
            quotas.condition_wildcards_per_rule
        )));
    }
    Ok(conditions
        .iter()
        .zip(&parts)
        .map(|(condition, part)| canonical(condition, part))
        .collect())
}

/// Names the field and gathers its values, from whichever of the two spellings was used.
fn take_apart(condition: &wire::RuleCondition) -> Result<Parts<'_>, ApiError> {
    let Some(field) = condition.field.as_deref().filter(|field| !field.is_empty()) else {
        return Err(error::validation("A condition field must be specified"));
    };
    let Some(row) = lists(condition).into_iter().find(|row| row.field == field) else {
        return Err(error::validation(format!(
            "Condition field '{field}' must be one of '{FIELDS}'"
        )));
    };
    let (field, config) = (row.field, row.config);
    let foreign = lists(condition)
        .into_iter()
        .any(|row| row.field != field && row.lists.is_some());
    let short = (
        strs(condition.values.as_ref()),
        strs(condition.regex_values.as_ref()),
    );
    let has_short = !short.0.is_empty() || !short.1.is_empty();
    let takes_short = matches!(field, "host-header" | "path-pattern");
    let fields = match field {
        "host-header" | "path-pattern" => format!("Values or RegexValues or {config}"),
        _ => config.to_owned(),
    };
    if foreign {
        // Undocumented text.
        return Err(error::validation(format!(
            "For conditions of type '{field}', you can only specify the following fields: \
             '{fields}'"
        )));
    }
    let (values, regexes) = match row.lists {
        Some(_) if has_short => {
            return Err(error::validation(format!(
                "You cannot provide both Values and '{config}' for a condition of type '{field}'"
            )));
        }
        Some(lists) => lists,
        None if has_short && takes_short => short,
        None => {
            return Err(error::validation(format!(
                "For conditions of type '{field}', you must specify the following fields: \
                 '{fields}'"
            )));
        }
    };
    if values.is_empty() == regexes.is_empty() {
        let lists = if row.takes_regexes {
            "'Values' 'RegexValues'"
        } else {
            "'Values'"
        };
        return Err(error::validation(format!(
            "You must provide exactly one of the following: [{lists}] for config of type \
             '{config}'"
        )));
    }
    Ok(Parts {
        field,
        config,
        values,
        regexes,
    })
}

/// Values and regexes of one config.
type Lists<'a> = (Vec<&'a str>, Vec<&'a str>);

/// One field with its config, as far as the condition has it.
struct Row<'a> {
    field: &'static str,
    config: &'static str,
    takes_regexes: bool,
    lists: Option<Lists<'a>>,
}

fn strs(list: Option<&Vec<String>>) -> Vec<&str> {
    list.into_iter().flatten().map(String::as_str).collect()
}

fn lists(condition: &wire::RuleCondition) -> [Row<'_>; 6] {
    let host = condition.host_header_config.as_ref();
    let path = condition.path_pattern_config.as_ref();
    let header = condition.http_header_config.as_ref();
    let method = condition.http_request_method_config.as_ref();
    let query = condition.query_string_config.as_ref();
    let source = condition.source_ip_config.as_ref();
    let query_values =
        |config: &'_ wire::QueryStringConditionConfig| config.values.as_ref().map_or(0, Vec::len);
    let row = |field, config, takes_regexes, lists| Row {
        field,
        config,
        takes_regexes,
        lists,
    };
    [
        row(
            "host-header",
            "HostHeaderConfig",
            true,
            host.map(|c| (strs(c.values.as_ref()), strs(c.regex_values.as_ref()))),
        ),
        row(
            "path-pattern",
            "PathPatternConfig",
            true,
            path.map(|c| (strs(c.values.as_ref()), strs(c.regex_values.as_ref()))),
        ),
        row(
            "http-header",
            "HttpHeaderConfig",
            true,
            header.map(|c| (strs(c.values.as_ref()), strs(c.regex_values.as_ref()))),
        ),
        row(
            "http-request-method",
            "HttpRequestMethodConfig",
            false,
            method.map(|c| (strs(c.values.as_ref()), Vec::new())),
        ),
        // A key and its value count as one; their texts are judged in `check_query`.
        row(
            "query-string",
            "QueryStringConfig",
            false,
            query.map(|c| (vec![""; query_values(c)], Vec::new())),
        ),
        row(
            "source-ip",
            "SourceIpConfig",
            false,
            source.map(|c| (strs(c.values.as_ref()), Vec::new())),
        ),
    ]
}

fn check_values(condition: &wire::RuleCondition, parts: &Parts<'_>) -> Result<(), ApiError> {
    let field = parts.field;
    for regex in &parts.regexes {
        check_length(field, regex, VALUE_MAX)?;
        if regex.is_empty() || !regexes::is_supported(regex) {
            // Undocumented text.
            return Err(error::validation(format!(
                "Condition regex value '{regex}' is not a valid regular expression"
            )));
        }
    }
    match field {
        "query-string" => return check_query(condition),
        "source-ip" => return check_source(condition, &parts.values),
        "http-header" => check_header_name(condition)?,
        _ => {}
    }
    let max = if field == "http-request-method" {
        NAME_MAX
    } else {
        VALUE_MAX
    };
    for value in &parts.values {
        check_length(field, value, max)?;
        let fine = match field {
            "host-header" => is_host_pattern(value),
            "path-pattern" => value
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || PATH_CHARACTERS.contains(c)),
            "http-request-method" => value
                .chars()
                .all(|c| c.is_ascii_uppercase() || matches!(c, '-' | '_')),
            _ => is_visible(value),
        };
        if value.is_empty() || !fine {
            return Err(bad_character(value));
        }
    }
    Ok(())
}

fn check_length(field: &str, text: &str, max: usize) -> Result<(), ApiError> {
    if text.chars().count() > max {
        return Err(error::validation(format!(
            "Condition value for '{field}' cannot contain more than {max} characters"
        )));
    }
    Ok(())
}

fn bad_character(value: &str) -> ApiError {
    error::validation(format!(
        "Condition value '{value}' contains a character that is not valid"
    ))
}

/// The reference demands a dot and letters only after the last one; whether a wildcard may stand
/// there too is undocumented, and taken to be fine.
fn is_host_pattern(value: &str) -> bool {
    let charset = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '*' | '?');
    let letters = |c: char| c.is_ascii_alphabetic() || matches!(c, '*' | '?');
    value.chars().all(charset)
        && value
            .rsplit_once('.')
            .is_some_and(|(_, last)| !last.is_empty() && last.chars().all(letters))
}

/// Only visible ASCII takes part in rule evaluation; header values hold spaces too.
fn is_visible(value: &str) -> bool {
    value.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

fn check_header_name(condition: &wire::RuleCondition) -> Result<(), ApiError> {
    let config = condition.http_header_config.as_ref();
    let name = config
        .and_then(|c| c.http_header_name.as_deref())
        .unwrap_or_default();
    check_length("http-header", name, NAME_MAX)?;
    // RFC 7230, section 3.2.6: a token.
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() {
        return Err(error::validation("An HTTP header name must be specified")); // Undocumented.
    }
    if !name.chars().all(token) {
        return Err(bad_character(name));
    }
    if name.eq_ignore_ascii_case("host") {
        return Err(error::validation(
            "You cannot specify 'host' as an HTTP header name",
        ));
    }
    Ok(())
}

fn check_query(condition: &wire::RuleCondition) -> Result<(), ApiError> {
    let config = condition.query_string_config.as_ref();
    for pair in config.and_then(|c| c.values.as_ref()).into_iter().flatten() {
        let value = pair.value.as_deref().unwrap_or_default();
        if value.is_empty() {
            // Undocumented text; that the value of a condition cannot be empty is documented.
            return Err(error::validation("A query string value must be specified"));
        }
        for text in pair.key.as_deref().into_iter().chain([value]) {
            check_length("query-string", text, VALUE_MAX)?;
            if !is_visible(text) {
                return Err(bad_character(text));
            }
        }
    }
    Ok(())
}

fn check_source(condition: &wire::RuleCondition, values: &[&str]) -> Result<(), ApiError> {
    let config = condition.source_ip_config.as_ref();
    if config.is_some_and(|config| config.ip_address_type.is_some()) {
        // Undocumented text: the parameter is for network load balancers.
        return Err(error::validation(
            "You cannot specify 'IpAddressType' for a condition of type 'source-ip' on load \
             balancers with type 'application'",
        ));
    }
    for value in values {
        // The limited broadcast address is excluded by the guide.
        if value.parse::<IpNet>().is_err() || *value == "255.255.255.255/32" {
            return Err(error::validation(format!(
                "The specified value '{value}' is not a valid CIDR block"
            )));
        }
    }
    Ok(())
}

/// Wildcards of a condition; those that a query string escapes are none.
fn wildcards(condition: &wire::RuleCondition, parts: &Parts<'_>) -> usize {
    let count = |text: &str| text.chars().filter(|c| matches!(c, '*' | '?')).count();
    match parts.field {
        "host-header" | "path-pattern" | "http-header" => {
            parts.values.iter().map(|value| count(value)).sum()
        }
        "query-string" => {
            let config = condition.query_string_config.as_ref();
            let pairs = config
                .and_then(|config| config.values.as_ref())
                .into_iter()
                .flatten();
            let texts = pairs.flat_map(|pair| pair.key.iter().chain(&pair.value));
            texts
                .map(|text| count(&text.replace("\\*", "").replace("\\?", "")))
                .sum()
        }
        _ => 0,
    }
}

/// The condition as DescribeRules returns it.
fn canonical(condition: &wire::RuleCondition, parts: &Parts<'_>) -> wire::RuleCondition {
    let owned = |list: &[&str]| {
        (!list.is_empty()).then(|| list.iter().map(|text| (*text).to_owned()).collect())
    };
    let (values, regex_values) = (owned(&parts.values), owned(&parts.regexes));
    let mut out = condition.clone();
    match parts.config {
        "HostHeaderConfig" => {
            out.values.clone_from(&values);
            out.regex_values.clone_from(&regex_values);
            out.host_header_config = Some(wire::HostHeaderConditionConfig {
                regex_values,
                values,
            });
        }
        "PathPatternConfig" => {
            out.values.clone_from(&values);
            out.regex_values.clone_from(&regex_values);
            out.path_pattern_config = Some(wire::PathPatternConditionConfig {
                regex_values,
                values,
            });
        }
        _ => {}
    }
    out
}

/// Rules of network load balancers know one condition: the address family of the client.
/// Texts are undocumented; the restrictions are the NLB guide's.
fn check_network(
    load_balancer: &LoadBalancer,
    conditions: &[wire::RuleCondition],
) -> Result<(), ApiError> {
    if load_balancer.ip_address_type != IpAddressType::Dualstack {
        return Err(error::configuration(
            "Listener rules are only supported on network load balancers with the 'dualstack' IP \
             address type",
        ));
    }
    let [condition] = conditions else {
        return Err(error::validation(
            "A rule can only have one 'source-ip' condition",
        ));
    };
    let config = match (condition.field.as_deref(), &condition.source_ip_config) {
        (Some("source-ip"), Some(config)) => config,
        (field, _) => {
            return Err(error::validation(format!(
                "Condition field '{}' must be one of 'source-ip'",
                field.unwrap_or_default()
            )));
        }
    };
    let family = config
        .ip_address_type
        .as_deref()
        .and_then(TargetFamily::parse);
    if family.is_none()
        || config
            .values
            .as_ref()
            .is_some_and(|values| !values.is_empty())
    {
        return Err(error::validation(
            "For conditions of type 'source-ip', you must specify the following fields: \
             'IpAddressType'",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
