//! The headers that an Application Load Balancer adds or changes on the way to a target.
//!
//! In: the request and the load balancer's settings. Out: header values. Always: what the client
//! claims about itself in `X-Forwarded-Proto` and `X-Forwarded-Port` is replaced; `X-Forwarded-For`
//! follows its mode.

use std::net::SocketAddr;

use super::redirect::{default_port, host_without_port};
use super::request::Scheme;
use super::settings::{AlbSettings, ForwardedForMode};

/// Addresses in `X-Forwarded-For` above which a request is refused with 463.
pub const FORWARDED_ADDRESSES_MAX: usize = 30;

/// Bytes of headers above which the trace id is cut down to its root.
const TRACE_HEADERS_BYTES_MAX: usize = 7 * 1024;

/// How many addresses the client's `X-Forwarded-For` headers name.
pub fn forwarded_addresses<'a>(values: impl Iterator<Item = &'a str>) -> usize {
    values
        .flat_map(|value| value.split(','))
        .filter(|address| !address.trim().is_empty())
        .count()
}

/// The value of `X-Forwarded-For` toward the target; `None` to send none.
pub fn forwarded_for(
    settings: &AlbSettings,
    existing: &[&str],
    peer: SocketAddr,
) -> Option<String> {
    let existing = (!existing.is_empty()).then(|| existing.join(", "));
    match settings.forwarded_for {
        ForwardedForMode::Preserve => existing,
        ForwardedForMode::Remove => None,
        ForwardedForMode::Append => {
            let address = peer.ip().to_canonical();
            let peer = match (settings.forwarded_for_port, address.is_ipv6()) {
                (false, _) => address.to_string(),
                (true, false) => format!("{address}:{}", peer.port()),
                (true, true) => format!("[{address}]:{}", peer.port()),
            };
            Some(match existing {
                Some(before) => format!("{before}, {peer}"),
                None => peer,
            })
        }
    }
}

/// The value of `Host` toward the target.
///
/// Unless the header is preserved it is lower-cased, and its port is that of the listener: left out
/// where it is the scheme's default, added where it is missing otherwise.
pub fn host_to_target(
    settings: &AlbSettings,
    host: &str,
    scheme: Scheme,
    listener_port: u16,
) -> String {
    if settings.preserve_host {
        return host.to_owned();
    }
    let name = host_without_port(host);
    if listener_port == default_port(scheme) {
        name.to_ascii_lowercase()
    } else if name.len() == host.len() {
        format!("{}:{listener_port}", host.to_ascii_lowercase())
    } else {
        host.to_ascii_lowercase()
    }
}

/// The value of `X-Amzn-Trace-Id` toward the target.
///
/// `id` is a fresh one of the form `1-<8 hex digits: time>-<24 hex digits>`. A client's `Root` is
/// kept and gets `Self` in front; a `Self` of an earlier load balancer is replaced; fields that are
/// not known are kept.
pub fn trace_id(existing: Option<&str>, id: &str, header_bytes: usize) -> String {
    let fields: Vec<&str> = existing
        .unwrap_or_default()
        .split(';')
        .map(str::trim)
        .filter(|field| !field.is_empty())
        .collect();
    let of = |name: &str| {
        fields
            .iter()
            .find(|field| field.split_once('=').is_some_and(|(key, _)| key == name))
    };
    if header_bytes > TRACE_HEADERS_BYTES_MAX {
        return of("Root").map_or_else(|| format!("Root={id}"), |root| (*root).to_owned());
    }
    let others = fields
        .iter()
        .filter(|field| !field.starts_with("Self="))
        .copied();
    if of("Root").is_none() && of("Self").is_none() {
        return std::iter::once(format!("Root={id}").as_str())
            .chain(others)
            .collect::<Vec<_>>()
            .join(";");
    }
    std::iter::once(format!("Self={id}").as_str())
        .chain(others)
        .collect::<Vec<_>>()
        .join(";")
}

/// A trace id from a time in seconds and a number that no other request has.
pub fn fresh_trace_id(seconds: u64, unique: u64) -> String {
    let low = super::pick::scatter(unique);
    let high = super::pick::scatter(low ^ seconds) & 0xffff_ffff;
    format!("1-{:08x}-{high:08x}{low:016x}", seconds & 0xffff_ffff)
}

/// Whether a header name survives `drop_invalid_header_fields`.
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Headers that belong to one connection and are not passed on (RFC 9110, section 7.6.1),
/// lower-case.
pub const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn settings(pairs: &[(&str, &str)]) -> AlbSettings {
        let attributes = pairs
            .iter()
            .map(|(key, value)| (format!("routing.http.{key}"), (*value).to_owned()))
            .collect();
        AlbSettings::from_attributes(&attributes, &BTreeMap::new())
    }

    #[test]
    fn forwarded_for_modes() {
        let v4: SocketAddr = "203.0.113.7:4711".parse().unwrap();
        let v6: SocketAddr = "[2001:db8::7]:4711".parse().unwrap();
        let mode = |mode| {
            [
                ("xff_header_processing.mode", mode),
                ("xff_client_port.enabled", "true"),
            ]
        };
        let rows: [(&AlbSettings, &[&str], SocketAddr, Option<&str>); 8] = [
            (&settings(&[]), &[], v4, Some("203.0.113.7")),
            (
                &settings(&[]),
                &["1.1.1.1", "2.2.2.2"],
                v4,
                Some("1.1.1.1, 2.2.2.2, 203.0.113.7"),
            ),
            (
                &settings(&mode("append")),
                &[],
                v4,
                Some("203.0.113.7:4711"),
            ),
            (
                &settings(&mode("append")),
                &["1.1.1.1"],
                v6,
                Some("1.1.1.1, [2001:db8::7]:4711"),
            ),
            (
                &settings(&mode("preserve")),
                &["1.1.1.1"],
                v4,
                Some("1.1.1.1"),
            ),
            (&settings(&mode("preserve")), &[], v4, None),
            (&settings(&mode("remove")), &["1.1.1.1"], v4, None),
            (
                &settings(&[]),
                &[],
                "[::ffff:203.0.113.7]:1".parse().unwrap(),
                Some("203.0.113.7"),
            ),
        ];
        for (settings, existing, peer, expected) in rows {
            assert_eq!(
                forwarded_for(settings, existing, peer).as_deref(),
                expected,
                "{existing:?} {peer}"
            );
        }
        assert_eq!(
            forwarded_addresses(["1.1.1.1, 2.2.2.2", "", "3.3.3.3"].into_iter()),
            3
        );
    }

    #[test]
    fn hosts_toward_targets() {
        let normal = settings(&[]);
        let preserved = settings(&[("preserve_host_header.enabled", "true")]);
        let rows = [
            (
                &normal,
                "App.example.com",
                Scheme::Http,
                80,
                "app.example.com",
            ),
            (
                &normal,
                "app.example.com:8080",
                Scheme::Http,
                80,
                "app.example.com",
            ),
            (
                &normal,
                "app.example.com",
                Scheme::Http,
                8080,
                "app.example.com:8080",
            ),
            (
                &normal,
                "app.example.com:9",
                Scheme::Http,
                8080,
                "app.example.com:9",
            ),
            (
                &normal,
                "app.example.com",
                Scheme::Https,
                443,
                "app.example.com",
            ),
            (
                &normal,
                "app.example.com",
                Scheme::Https,
                80,
                "app.example.com:80",
            ),
            (&normal, "[::1]:80", Scheme::Http, 80, "[::1]"),
            (
                &preserved,
                "App.example.com:8080",
                Scheme::Http,
                80,
                "App.example.com:8080",
            ),
        ];
        for (settings, host, scheme, port, expected) in rows {
            assert_eq!(
                host_to_target(settings, host, scheme, port),
                expected,
                "{host} at {port}"
            );
        }
    }

    #[test]
    fn trace_ids() {
        let rows = [
            (None, "Root=1-a-b"),
            (Some("Root=1-x-y"), "Self=1-a-b;Root=1-x-y"),
            (
                Some("Self=1-o-p;Root=1-x-y;Sampled=1"),
                "Self=1-a-b;Root=1-x-y;Sampled=1",
            ),
            (Some("Self=1-o-p"), "Self=1-a-b"),
            (Some("Calls=3"), "Root=1-a-b;Calls=3"),
        ];
        for (existing, expected) in rows {
            assert_eq!(trace_id(existing, "1-a-b", 100), expected, "{existing:?}");
        }
        assert_eq!(
            trace_id(Some("Self=1-o-p;Root=1-x-y"), "1-a-b", 8000),
            "Root=1-x-y"
        );
        let id = fresh_trace_id(0x6546_5f00, 1);
        assert_eq!((id.len(), &id[..11]), (35, "1-65465f00-"));
        assert_ne!(id, fresh_trace_id(0x6546_5f00, 2));
    }
}
