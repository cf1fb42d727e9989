//! Attributes of listeners.
//!
//! Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ListenerAttribute.html>

use std::collections::BTreeMap;

use super::{Attribute, Pairs, Values};
use crate::elbv2::error;
use crate::elbv2::state::{Listener, Protocol};
use crate::error::ApiError;

type Row = Attribute<Listener>;

const fn row(
    key: &'static str,
    values: Values,
    initial: fn(&Listener) -> Option<&'static str>,
) -> Row {
    Attribute {
        key,
        values,
        initial,
    }
}

fn http(listener: &Listener, value: &'static str) -> Option<&'static str> {
    matches!(listener.protocol, Protocol::Http | Protocol::Https).then_some(value)
}

fn https(listener: &Listener, value: &'static str) -> Option<&'static str> {
    (listener.protocol == Protocol::Https).then_some(value)
}

pub(super) const TABLE: &[Row] = &[
    row(
        "routing.http.request.x_amzn_mtls_clientcert.header_name",
        Values::HeaderName,
        |l| https(l, "X-Amzn-Mtls-Clientcert"),
    ),
    row(
        "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name",
        Values::HeaderName,
        |l| https(l, "X-Amzn-Mtls-Clientcert-Issuer"),
    ),
    row(
        "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name",
        Values::HeaderName,
        |l| https(l, "X-Amzn-Mtls-Clientcert-Leaf"),
    ),
    row(
        "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name",
        Values::HeaderName,
        |l| https(l, "X-Amzn-Mtls-Clientcert-Serial-Number"),
    ),
    row(
        "routing.http.request.x_amzn_mtls_clientcert_subject.header_name",
        Values::HeaderName,
        |l| https(l, "X-Amzn-Mtls-Clientcert-Subject"),
    ),
    row(
        "routing.http.request.x_amzn_mtls_clientcert_validity.header_name",
        Values::HeaderName,
        |l| https(l, "X-Amzn-Mtls-Clientcert-Validity"),
    ),
    row(
        "routing.http.request.x_amzn_tls_cipher_suite.header_name",
        Values::HeaderName,
        |l| https(l, "X-Amzn-Tls-Cipher-Suite"),
    ),
    row(
        "routing.http.request.x_amzn_tls_version.header_name",
        Values::HeaderName,
        |l| https(l, "X-Amzn-Tls-Version"),
    ),
    row(
        "routing.http.response.access_control_allow_credentials.header_value",
        Values::HeaderOneOf(&["true"]),
        |l| http(l, ""),
    ),
    row(
        "routing.http.response.access_control_allow_headers.header_value",
        Values::HeaderValue,
        |l| http(l, ""),
    ),
    row(
        "routing.http.response.access_control_allow_methods.header_value",
        Values::HeaderValue,
        |l| http(l, ""),
    ),
    row(
        "routing.http.response.access_control_allow_origin.header_value",
        Values::HeaderValue,
        |l| http(l, ""),
    ),
    row(
        "routing.http.response.access_control_expose_headers.header_value",
        Values::HeaderValue,
        |l| http(l, ""),
    ),
    row(
        "routing.http.response.access_control_max_age.header_value",
        Values::HeaderValue,
        |l| http(l, ""),
    ),
    row(
        "routing.http.response.content_security_policy.header_value",
        Values::HeaderValue,
        |l| http(l, ""),
    ),
    row(
        "routing.http.response.server.enabled",
        Values::Boolean,
        |l| http(l, "true"),
    ),
    // Whether an HTTP listener takes it is undocumented; others report that it reads back there.
    row(
        "routing.http.response.strict_transport_security.header_value",
        Values::HeaderValue,
        |l| http(l, ""),
    ),
    row(
        "routing.http.response.x_content_type_options.header_value",
        Values::HeaderOneOf(&["nosniff"]),
        |l| http(l, ""),
    ),
    row(
        "routing.http.response.x_frame_options.header_value",
        Values::HeaderOneOf(&["DENY", "SAMEORIGIN"]),
        |l| http(l, ""),
    ),
    row("tcp.idle_timeout.seconds", Values::Range(60, 6000), |l| {
        (l.protocol == Protocol::Tcp).then_some("350")
    }),
];

/// The attributes after setting some.
pub(super) fn set(listener: &Listener, pairs: Pairs) -> Result<BTreeMap<String, String>, ApiError> {
    let mut attributes = listener.attributes.clone();
    for (key, value) in pairs {
        let Some(row) = TABLE.iter().find(|row| row.key == key) else {
            return Err(error::validation(format!(
                "Listener attribute key '{key}' is not recognized"
            )));
        };
        if (row.initial)(listener).is_none() {
            // The code is undocumented.
            return Err(error::configuration(
                "The provided listener attribute is not supported",
            ));
        }
        row.values.check(&key, &value)?;
        attributes.insert(key, value);
    }
    Ok(attributes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::tests::listener;

    #[test]
    fn attributes() {
        use Protocol::{Http, Https, Tcp, Tls};
        let frame = "routing.http.response.x_frame_options.header_value";
        let version = "routing.http.request.x_amzn_tls_version.header_name";
        let policy = "routing.http.response.content_security_policy.header_value";
        let rows = [
            (Tcp, "tcp.idle_timeout.seconds", "60", None),
            (
                Tcp,
                "tcp.idle_timeout.seconds",
                "30",
                Some("value '30' must be between '60-6000' inclusive"),
            ),
            (
                Tls,
                "tcp.idle_timeout.seconds",
                "60",
                Some("The provided listener attribute is not supported"),
            ),
            (
                Http,
                "tcp.idle_timeout.seconds",
                "60",
                Some("is not supported"),
            ),
            (
                Tcp,
                "tcp.idle_timeout_seconds",
                "60",
                Some("key 'tcp.idle_timeout_seconds' is not recognized"),
            ),
            (Http, frame, "DENY", None),
            (Http, frame, "", None),
            (
                Http,
                frame,
                "ALLOW",
                Some("must be from the following: [DENY, SAMEORIGIN], but was 'ALLOW'"),
            ),
            (Https, version, "X-Tls", None),
            (Https, version, "X Tls", Some("contains invalid characters")),
            (Http, version, "X-Tls", Some("is not supported")),
            (Http, policy, "default-src 'self'", None),
            (Http, policy, "a\nb", Some("contains invalid characters")),
            (
                Http,
                "routing.http.response.server.enabled",
                "on",
                Some("must be 'true' or 'false', but was 'on'"),
            ),
        ];
        for (protocol, key, value, refusal) in rows {
            let result = set(&listener(protocol), vec![(key.into(), value.into())]);
            match refusal {
                None => assert_eq!(result.unwrap()[key], value, "{key}"),
                Some(text) => assert!(result.unwrap_err().message.contains(text), "{key}={value}"),
            }
        }
    }
}
