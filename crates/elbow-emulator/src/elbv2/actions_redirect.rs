//! The redirect action.
//!
//! Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RedirectActionConfig.html>
//! Texts are AWS's where no comment says otherwise; that all of them come with the code
//! `InvalidLoadBalancerAction` is known for the loop only and assumed for the rest.

use super::error;
use super::state::Protocol;
use crate::error::ApiError;
use crate::generated::elbv2 as wire;

/// Components that are left as they are when the redirect does not name them.
const KEEP_PROTOCOL: &str = "#{protocol}";
const KEEP_HOST: &str = "#{host}";
const KEEP_PORT: &str = "#{port}";
const KEEP_PATH: &str = "/#{path}";
const KEEP_QUERY: &str = "#{query}";

/// Refuses a redirect that AWS refuses, and returns any other with its defaults filled in.
pub(super) fn check(
    listener: Protocol,
    config: &wire::RedirectActionConfig,
) -> Result<wire::RedirectActionConfig, ApiError> {
    let or = |value: &Option<String>, default: &str| value.clone().unwrap_or(default.to_owned());
    let protocol = or(&config.protocol, KEEP_PROTOCOL);
    let host = or(&config.host, KEEP_HOST);
    let port = or(&config.port, KEEP_PORT);
    let path = or(&config.path, KEEP_PATH);
    let query = or(&config.query, KEEP_QUERY);

    if port != KEEP_PORT && !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(error::action(
            "The Port parameter must be either an integer between 1 and 65535 or '#{port}'.",
        ));
    }
    if !is_host(&host) {
        // Undocumented text, after the one for paths.
        return Err(error::action(
            "The Host parameter must be a valid hostname, and may contain up to one '#{host}' \
             placeholder.",
        ));
    }
    if !path.starts_with('/') || !has_known_placeholders(&path, &["path", "host", "port"]) {
        return Err(error::action(
            "The Path parameter must be a valid path, should start with a '/', and may contain up \
             to one of each of these placeholders: '#{path}', '#{host}', '#{port}'.",
        ));
    }
    if !has_known_placeholders(&query, &["protocol", "host", "port", "path", "query"]) {
        // Undocumented text, after the one for paths.
        return Err(error::action(
            "The Query parameter must be a valid query string, and may contain up to one of each \
             of these placeholders: '#{protocol}', '#{host}', '#{port}', '#{path}', '#{query}'.",
        ));
    }
    if listener == Protocol::Https && protocol == "HTTP" {
        return Err(error::action("You cannot redirect HTTPS to HTTP."));
    }
    // Only the placeholders count: whether AWS compares a literal with what the listener has is
    // undocumented (a redirect to `HTTP` and `80` on such a listener is known to be taken).
    let unchanged =
        protocol == KEEP_PROTOCOL && host == KEEP_HOST && port == KEEP_PORT && path == KEEP_PATH;
    if unchanged {
        return Err(error::action(
            "The redirect configuration is not valid because it creates a loop.",
        ));
    }
    Ok(wire::RedirectActionConfig {
        protocol: Some(protocol),
        host: Some(host),
        port: Some(port),
        path: Some(path),
        query: Some(query),
        status_code: config.status_code.clone(),
    })
}

fn is_host(host: &str) -> bool {
    let literal = host.replacen(KEEP_HOST, "", 1);
    !host.is_empty()
        && literal
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

/// Whether every `#{…}` is one of the names, and none is there twice.
fn has_known_placeholders(text: &str, names: &[&str]) -> bool {
    let mut rest = text.to_owned();
    for name in names {
        rest = rest.replacen(&format!("#{{{name}}}"), "", 1);
    }
    !rest.contains("#{")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(fields: &[(&str, &str)]) -> wire::RedirectActionConfig {
        let mut config = wire::RedirectActionConfig {
            status_code: "HTTP_302".into(),
            ..Default::default()
        };
        for (name, value) in fields {
            let value = Some((*value).to_owned());
            match *name {
                "protocol" => config.protocol = value,
                "host" => config.host = value,
                "port" => config.port = value,
                "path" => config.path = value,
                _ => config.query = value,
            }
        }
        config
    }

    #[test]
    #[expect(clippy::type_complexity, reason = "a table of pairs")]
    fn redirects() {
        let loops = "The redirect configuration is not valid because it creates a loop.";
        let rows: [(&[(&str, &str)], Option<&str>); 18] = [
            (&[("protocol", "HTTPS"), ("port", "443")], None),
            (&[("host", "www.#{host}")], None),
            (&[("path", "/new/#{path}")], None),
            (&[("path", "/#{host}/#{port}/#{path}")], None),
            (&[("port", "8443")], None),
            (&[("host", "a.test"), ("query", "#{query}&x=#{path}")], None),
            (&[("protocol", "HTTP")], None),
            (&[], Some(loops)),
            (&[("query", "a=b")], Some(loops)),
            (
                &[
                    ("protocol", "#{protocol}"),
                    ("host", "#{host}"),
                    ("path", "/#{path}"),
                ],
                Some(loops),
            ),
            (
                &[("port", "0")],
                Some("The Port parameter must be either an integer"),
            ),
            (
                &[("port", "65536")],
                Some("The Port parameter must be either an integer"),
            ),
            (
                &[("port", "http")],
                Some("The Port parameter must be either an integer"),
            ),
            (
                &[("path", "new")],
                Some("The Path parameter must be a valid path"),
            ),
            (
                &[("path", "/#{path}/#{path}")],
                Some("The Path parameter must be a valid path"),
            ),
            (
                &[("path", "/#{query}")],
                Some("The Path parameter must be a valid path"),
            ),
            (
                &[("host", "a b")],
                Some("The Host parameter must be a valid hostname"),
            ),
            (
                &[("host", "#{port}")],
                Some("The Host parameter must be a valid hostname"),
            ),
        ];
        for (fields, refusal) in rows {
            let result = check(Protocol::Http, &config(fields));
            match refusal {
                None => assert!(result.is_ok(), "{fields:?}: {result:?}"),
                Some(text) => {
                    let refusal = result.unwrap_err();
                    assert_eq!(refusal.code, "InvalidLoadBalancerAction");
                    assert!(refusal.message.contains(text), "{fields:?}: {refusal}");
                }
            }
        }
    }

    #[test]
    fn https_never_goes_back_to_http() {
        let refusal = check(Protocol::Https, &config(&[("protocol", "HTTP")])).unwrap_err();
        assert_eq!(refusal.message, "You cannot redirect HTTPS to HTTP.");
    }

    #[test]
    fn fills_in_defaults() {
        let read = check(Protocol::Http, &config(&[("port", "81")])).unwrap();
        assert_eq!(read.path.as_deref(), Some("/#{path}"));
        assert_eq!(read.query.as_deref(), Some("#{query}"));
        assert_eq!(read.protocol.as_deref(), Some("#{protocol}"));
    }
}
