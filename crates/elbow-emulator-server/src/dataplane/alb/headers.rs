//! The headers of a request and of a response as they pass an application load balancer.
//!
//! In: the header map that came in, what is known of the connection, the decision. Out: the header
//! map that goes out. Always: headers of one connection are not passed to the next.

use elbow_emulator::dataplane::ServedMutualTls;
use elbow_emulator::dataplane::headers::{
    HOP_BY_HOP, forwarded_for, fresh_trace_id, host_to_target, is_valid_name, trace_id,
};
use elbow_emulator::dataplane::request::{Forward, HttpVersion, RequestHead};
use http::header::{CONNECTION, COOKIE, EXPECT, HOST, SET_COOKIE, TE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::Connection;
use crate::dataplane::plane::Live;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// What the rules see of a request.
pub(super) fn head(parts: &Parts, connection: &Connection) -> RequestHead {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let from_header = || parts.headers.get(HOST).map(text);
    let host = parts
        .uri
        .authority()
        .map(|authority| authority.as_str().to_owned())
        .or_else(from_header);
    RequestHead {
        method: parts.method.as_str().to_owned(),
        scheme: connection.scheme,
        host: host.unwrap_or_default(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value)))
            .collect(),
        peer: connection.peer.ip(),
        http_version: match parts.version {
            Version::HTTP_2 => HttpVersion::Http2,
            Version::HTTP_11 => HttpVersion::Http11,
            _ => HttpVersion::Http10,
        },
    }
}

/// Whether the client asks for a WebSocket.
pub(super) fn is_websocket(parts: &Parts) -> bool {
    let has_token = |name: HeaderName, token: &str| {
        let values = parts.headers.get_all(name);
        values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    parts.version == Version::HTTP_11
        && has_token(CONNECTION, "upgrade")
        && has_token(UPGRADE, "websocket")
}

/// The host that the target is told, and the headers beside it.
pub(super) fn to_target(
    headers: &mut HeaderMap,
    head: &RequestHead,
    forward: &Forward,
    connection: &Connection,
    live: &Live,
) -> HeaderValue {
    let settings = &live.settings;
    let wants_trailers = headers
        .get(TE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    let websocket = is_upgrade(headers)
        .then(|| headers.get(UPGRADE).cloned())
        .flatten();
    remove_hop_by_hop(headers);
    headers.remove(EXPECT);
    headers.remove(HOST);
    if settings.drop_invalid_headers {
        remove_where(headers, |name| !is_valid_name(name));
    }
    // What only the load balancer may say about the client's certificate. (That a client's own are
    // dropped is undocumented; to pass them on would make the headers worthless.)
    remove_where(headers, |name| name.starts_with("x-amzn-mtls-"));
    if live.served.mutual_tls != ServedMutualTls::Off {
        for name in settings.mutual_tls_headers.all() {
            headers.remove(name);
        }
    }
    if let Some(identity) = &connection.identity {
        for (name, value) in identity.headers(&settings.mutual_tls_headers) {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                set(headers, name, Some(value.to_owned()));
            }
        }
    }
    if head.http_version == HttpVersion::Http2 {
        join_cookies(headers);
    }
    if wants_trailers
        && forward.version != elbow_emulator::dataplane::request::TargetHttpVersion::Http1
    {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(upgrade) = websocket.filter(|_| head.http_version == HttpVersion::Http11) {
        headers.insert(UPGRADE, upgrade);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }

    let existing: Vec<&str> = head.header_values("x-forwarded-for").collect();
    set(
        headers,
        FORWARDED_FOR,
        forwarded_for(settings, &existing, connection.peer),
    );
    set(
        headers,
        FORWARDED_PROTO,
        Some(connection.scheme.as_str().to_owned()),
    );
    set(headers, FORWARDED_PORT, Some(live.served.port.to_string()));
    let now = connection.listener.plane.emulator.now();
    let id = fresh_trace_id(now.as_millis() / 1000, connection.listener.plane.unique());
    let bytes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let existing = head.header_values("x-amzn-trace-id").next();
    set(headers, TRACE_ID, Some(trace_id(existing, &id, bytes)));
    if let (Some((version_header, cipher_header)), Some((version, cipher))) =
        (&settings.tls_headers, &connection.tls)
    {
        for (name, value) in [
            (version_header, (*version).to_owned()),
            (cipher_header, cipher.clone()),
        ] {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                set(headers, name, Some(value));
            }
        }
    }

    // HTTP/1.0 clients may send no host; the target gets the load balancer's name then.
    let sent = if head.host.is_empty() {
        &live.served.dns_name
    } else {
        &head.host
    };
    let host = forward.host.as_deref().unwrap_or(sent);
    let host = host_to_target(settings, host, connection.scheme, live.served.port);
    HeaderValue::try_from(host).unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}

/// The headers of a target's response, as the client gets them.
pub(super) fn to_client(headers: &mut HeaderMap, forward: &Forward) {
    remove_hop_by_hop(headers);
    let mut cookies = forward.set_cookies.clone();
    if let Some(watched) = &forward.app_cookie {
        let prefix = format!("{}=", watched.name);
        let mut set_cookies = headers.get_all(SET_COOKIE).iter();
        if set_cookies.any(|value| value.as_bytes().starts_with(prefix.as_bytes())) {
            cookies.extend(watched.set_cookies.iter().cloned());
        }
    }
    for cookie in cookies {
        if let Ok(value) = HeaderValue::try_from(cookie) {
            headers.append(SET_COOKIE, value);
        }
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let values: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
    for name in values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        headers.remove(name.trim());
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| unwanted(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// HTTP/2 may split the cookies over several fields; HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<Vec<u8>> = headers
        .get_all(COOKIE)
        .iter()
        .map(|value| value.as_bytes().to_vec())
        .collect();
    if crumbs.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) {
    match value.and_then(|value| HeaderValue::try_from(value).ok()) {
        Some(value) => {
            headers.insert(name, value);
        }
        None => {
            headers.remove(name);
        }
    }
}
