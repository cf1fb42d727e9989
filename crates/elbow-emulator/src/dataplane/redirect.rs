//! The URL of a redirect.
//!
//! In: a redirect action, the request and the listener's port. Out: the absolute URL for
//! `Location`. Always: the port is spelled out; what the action leaves open is kept from the
//! request, after the rule's transforms.

use super::request::{RequestHead, Scheme};
use super::transforms::Rewritten;
use crate::generated::elbv2 as wire;

/// Longest `Location` that is sent; a longer one is answered with 507. AWS names the error and no
/// number; this is the longest request line that common browsers and servers take.
const LOCATION_BYTES_MAX: usize = 8192;

/// The components that placeholders stand for.
struct Components<'a> {
    protocol: &'a str,
    host: &'a str,
    port: &'a str,
    /// Without the leading slash.
    path: &'a str,
    query: &'a str,
}

impl Components<'_> {
    fn fill(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len() + self.path.len());
        let mut rest = template;
        while let Some(at) = rest.find("#{") {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let placeholders = [
                ("#{protocol}", self.protocol),
                ("#{host}", self.host),
                ("#{port}", self.port),
                ("#{path}", self.path),
                ("#{query}", self.query),
            ];
            // What looks like a placeholder and is none stays as it is.
            let found = placeholders
                .into_iter()
                .find(|(name, _)| rest.starts_with(name));
            let (name, value) = found.unwrap_or(("#{", "#{"));
            out.push_str(value);
            rest = &rest[name.len()..];
        }
        out.push_str(rest);
        out
    }
}

/// The URL that a redirect sends the client to, or `None` when it is too long to be sent.
pub fn location(
    action: &wire::RedirectActionConfig,
    request: &RequestHead,
    rewritten: &Rewritten,
    listener_port: u16,
) -> Option<String> {
    let protocol = request.scheme.as_str().to_ascii_uppercase();
    let port = listener_port.to_string();
    let url = rewritten
        .path_and_query
        .clone()
        .unwrap_or_else(|| request.path_and_query());
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    // Whether the placeholder sees a rewritten host is not documented; it does here, as path and
    // query do.
    let host = host_without_port(rewritten.host.as_deref().unwrap_or(&request.host));
    let components = Components {
        protocol: &protocol,
        host,
        port: &port,
        path: path.strip_prefix('/').unwrap_or(path),
        query,
    };
    let part = |value: &Option<String>, default: &str| {
        components.fill(value.as_deref().unwrap_or(default))
    };
    let scheme = part(&action.protocol, "#{protocol}").to_ascii_lowercase();
    let mut location = format!(
        "{scheme}://{}:{}{}",
        part(&action.host, "#{host}"),
        part(&action.port, "#{port}"),
        part(&action.path, "/#{path}")
    );
    let query = part(&action.query, "#{query}");
    if !query.is_empty() {
        location.push('?');
        location.push_str(&query);
    }
    (location.len() <= LOCATION_BYTES_MAX).then_some(location)
}

/// The status code of a redirect action.
pub fn status(action: &wire::RedirectActionConfig) -> u16 {
    match action.status_code.as_str() {
        "HTTP_301" => 301,
        // The control plane takes only these two.
        _ => 302,
    }
}

/// A host without its port; an IPv6 address keeps its brackets.
pub fn host_without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') =>
        {
            // `::1` without brackets is not a host with a port.
            if name.contains(':') && !name.ends_with(']') {
                host
            } else {
                name
            }
        }
        _ => host,
    }
}

/// The port that a URL of this scheme has when it names none.
pub fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(parts: [&str; 5]) -> wire::RedirectActionConfig {
        let part = |text: &str| (text != "-").then(|| text.to_owned());
        wire::RedirectActionConfig {
            protocol: part(parts[0]),
            host: part(parts[1]),
            port: part(parts[2]),
            path: part(parts[3]),
            query: part(parts[4]),
            status_code: "HTTP_301".to_owned(),
        }
    }

    #[test]
    fn locations() {
        // protocol, host, port, path, query -> Location of http://App.example.com:8080/a/b?x=1 on a
        // listener at 80
        let rows = [
            (
                ["HTTPS", "-", "443", "-", "-"],
                "https://App.example.com:443/a/b?x=1",
            ),
            (
                ["HTTPS", "#{host}", "443", "/#{path}", "#{query}"],
                "https://App.example.com:443/a/b?x=1",
            ),
            (
                ["#{protocol}", "other.example.com", "#{port}", "-", "-"],
                "http://other.example.com:80/a/b?x=1",
            ),
            (
                ["-", "-", "8443", "/new", ""],
                "http://App.example.com:8443/new",
            ),
            (
                ["-", "www.#{host}", "-", "/#{host}/#{port}/#{path}", "-"],
                "http://www.App.example.com:80/App.example.com/80/a/b?x=1",
            ),
            (
                [
                    "HTTPS",
                    "-",
                    "-",
                    "-",
                    "from=#{protocol}&#{query}&p=#{path}",
                ],
                "https://App.example.com:80/a/b?from=HTTP&x=1&p=a/b",
            ),
            (
                ["-", "h.example.com", "-", "/#{nope}#{", "-"],
                "http://h.example.com:80/#{nope}#{?x=1",
            ),
        ];
        let request = RequestHead::get("App.example.com:8080", "/a/b?x=1");
        for (parts, expected) in rows {
            let got = location(&action(parts), &request, &Rewritten::default(), 80);
            assert_eq!(got.as_deref(), Some(expected), "{parts:?}");
        }
    }

    #[test]
    fn placeholders_see_the_transformed_url() {
        let rewritten = Rewritten {
            host: None,
            path_and_query: Some("/new/a/b?y=2".to_owned()),
        };
        let request = RequestHead::get("h.example.com", "/old/a/b?x=1");
        let got = location(
            &action(["HTTPS", "-", "443", "-", "-"]),
            &request,
            &rewritten,
            80,
        );
        assert_eq!(
            got.as_deref(),
            Some("https://h.example.com:443/new/a/b?y=2")
        );
    }

    #[test]
    fn no_query_leaves_no_question_mark() {
        let request = RequestHead::get("h.example.com", "/");
        let got = location(
            &action(["HTTPS", "-", "443", "-", "-"]),
            &request,
            &Rewritten::default(),
            80,
        );
        assert_eq!(got.as_deref(), Some("https://h.example.com:443/"));
    }

    #[test]
    fn a_url_that_is_too_long_is_not_sent() {
        let request = RequestHead::get(
            "h.example.com",
            &format!("/{}", "a".repeat(LOCATION_BYTES_MAX)),
        );
        assert_eq!(
            location(
                &action(["HTTPS", "-", "443", "-", "-"]),
                &request,
                &Rewritten::default(),
                80
            ),
            None
        );
    }

    #[test]
    fn hosts_without_ports() {
        let rows = [
            ("h", "h"),
            ("h:80", "h"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("h:x", "h:x"),
        ];
        for (host, expected) in rows {
            assert_eq!(host_without_port(host), expected);
        }
    }
}
