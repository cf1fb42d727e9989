//! The attributes that change how an Application Load Balancer treats traffic, as typed values.
//!
//! In: the attribute maps of a load balancer and a listener. Out: [`AlbSettings`]. Always: an
//! absent or malformed value is AWS's default; the control plane has refused malformed ones before.

use std::collections::BTreeMap;
use std::time::Duration;

/// Load balancer and listener attributes of the data plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlbSettings {
    /// `idle_timeout.timeout_seconds`
    pub idle_timeout: Duration,
    /// `client_keep_alive.seconds`
    pub client_keep_alive: Duration,
    /// `routing.http2.enabled`
    pub http2: bool,
    /// `routing.http.preserve_host_header.enabled`
    pub preserve_host: bool,
    /// `routing.http.drop_invalid_header_fields.enabled`
    pub drop_invalid_headers: bool,
    /// `routing.http.xff_header_processing.mode`
    pub forwarded_for: ForwardedForMode,
    /// `routing.http.xff_client_port.enabled`
    pub forwarded_for_port: bool,
    /// `routing.http.x_amzn_tls_version_and_cipher_suite.enabled`: names of the version and the
    /// cipher header.
    pub tls_headers: Option<(String, String)>,
    /// `routing.http.request.x_amzn_mtls_clientcert….header_name`
    pub mutual_tls_headers: MutualTlsHeaders,
    /// `routing.http.response.server.enabled`
    pub server_header: bool,
    /// Headers that every response gets, replacing the target's: lower-case name and value.
    pub response_headers: Vec<(&'static str, String)>,
}

/// The headers that tell a target about its client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutualTlsHeaders {
    /// The whole chain; in passthrough mode, alone.
    pub chain: String,
    /// Serial number.
    pub serial_number: String,
    /// Who issued it.
    pub issuer: String,
    /// Whose it is.
    pub subject: String,
    /// From when to when.
    pub validity: String,
    /// The certificate.
    pub leaf: String,
}

impl MutualTlsHeaders {
    /// All of their names.
    pub fn all(&self) -> [&str; 6] {
        [
            &self.chain,
            &self.serial_number,
            &self.issuer,
            &self.subject,
            &self.validity,
            &self.leaf,
        ]
    }
}

/// What happens to `X-Forwarded-For`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedForMode {
    /// The client's address is added at the end.
    Append,
    /// The header is left as it came.
    Preserve,
    /// The header is removed.
    Remove,
}

/// Listener attribute and the response header that it sets.
const RESPONSE_HEADERS: [(&str, &str); 10] = [
    ("strict_transport_security", "strict-transport-security"),
    ("access_control_allow_origin", "access-control-allow-origin"),
    (
        "access_control_allow_methods",
        "access-control-allow-methods",
    ),
    (
        "access_control_allow_headers",
        "access-control-allow-headers",
    ),
    (
        "access_control_allow_credentials",
        "access-control-allow-credentials",
    ),
    (
        "access_control_expose_headers",
        "access-control-expose-headers",
    ),
    ("access_control_max_age", "access-control-max-age"),
    ("content_security_policy", "content-security-policy"),
    ("x_content_type_options", "x-content-type-options"),
    ("x_frame_options", "x-frame-options"),
];

impl AlbSettings {
    /// Reads the attributes.
    pub fn from_attributes(
        load_balancer: &BTreeMap<String, String>,
        listener: &BTreeMap<String, String>,
    ) -> Self {
        let text = |key: &str| load_balancer.get(key).map(String::as_str);
        let flag = |key: &str, default: bool| match text(key) {
            Some("true") => true,
            Some("false") => false,
            _ => default,
        };
        let seconds = |key: &str, default: u64| {
            Duration::from_secs(
                text(key)
                    .and_then(|value| value.parse().ok())
                    .unwrap_or(default),
            )
        };
        let of_listener = |key: &str| {
            listener
                .get(key)
                .map(String::as_str)
                .filter(|value| !value.is_empty())
        };
        let request_header = |key: &str, default: &str| {
            of_listener(&format!("routing.http.request.{key}.header_name"))
                .unwrap_or(default)
                .to_owned()
        };
        Self {
            idle_timeout: seconds("idle_timeout.timeout_seconds", 60),
            client_keep_alive: seconds("client_keep_alive.seconds", 3600),
            http2: flag("routing.http2.enabled", true),
            preserve_host: flag("routing.http.preserve_host_header.enabled", false),
            drop_invalid_headers: flag("routing.http.drop_invalid_header_fields.enabled", false),
            forwarded_for: match text("routing.http.xff_header_processing.mode") {
                Some("preserve") => ForwardedForMode::Preserve,
                Some("remove") => ForwardedForMode::Remove,
                _ => ForwardedForMode::Append,
            },
            forwarded_for_port: flag("routing.http.xff_client_port.enabled", false),
            tls_headers: flag(
                "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
                false,
            )
            .then(|| {
                (
                    request_header("x_amzn_tls_version", "X-Amzn-Tls-Version"),
                    request_header("x_amzn_tls_cipher_suite", "X-Amzn-Tls-Cipher-Suite"),
                )
            }),
            mutual_tls_headers: MutualTlsHeaders {
                chain: request_header("x_amzn_mtls_clientcert", "X-Amzn-Mtls-Clientcert"),
                serial_number: request_header(
                    "x_amzn_mtls_clientcert_serial_number",
                    "X-Amzn-Mtls-Clientcert-Serial-Number",
                ),
                issuer: request_header(
                    "x_amzn_mtls_clientcert_issuer",
                    "X-Amzn-Mtls-Clientcert-Issuer",
                ),
                subject: request_header(
                    "x_amzn_mtls_clientcert_subject",
                    "X-Amzn-Mtls-Clientcert-Subject",
                ),
                validity: request_header(
                    "x_amzn_mtls_clientcert_validity",
                    "X-Amzn-Mtls-Clientcert-Validity",
                ),
                leaf: request_header("x_amzn_mtls_clientcert_leaf", "X-Amzn-Mtls-Clientcert-Leaf"),
            },
            server_header: of_listener("routing.http.response.server.enabled") != Some("false"),
            response_headers: RESPONSE_HEADERS
                .iter()
                .filter_map(|(attribute, header)| {
                    let value =
                        of_listener(&format!("routing.http.response.{attribute}.header_value"))?;
                    Some((*header, value.to_owned()))
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_aws() {
        let settings = AlbSettings::from_attributes(&BTreeMap::new(), &BTreeMap::new());
        assert_eq!(settings.idle_timeout, Duration::from_mins(1));
        assert_eq!(settings.client_keep_alive, Duration::from_hours(1));
        assert!(settings.http2 && settings.server_header && !settings.preserve_host);
        assert_eq!(settings.forwarded_for, ForwardedForMode::Append);
        assert!(settings.response_headers.is_empty() && settings.tls_headers.is_none());
    }

    #[test]
    fn attributes_are_read() {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let settings = AlbSettings::from_attributes(
            &map(&[
                ("idle_timeout.timeout_seconds", "5"),
                ("routing.http.xff_header_processing.mode", "remove"),
                (
                    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
                    "true",
                ),
            ]),
            &map(&[
                ("routing.http.response.server.enabled", "false"),
                ("routing.http.response.x_frame_options.header_value", "DENY"),
                (
                    "routing.http.response.access_control_max_age.header_value",
                    "",
                ),
                (
                    "routing.http.request.x_amzn_tls_version.header_name",
                    "X-Tls",
                ),
            ]),
        );
        assert_eq!(settings.idle_timeout, Duration::from_secs(5));
        assert_eq!(settings.forwarded_for, ForwardedForMode::Remove);
        assert!(!settings.server_header);
        assert_eq!(
            settings.response_headers,
            [("x-frame-options", "DENY".to_owned())]
        );
        assert_eq!(
            settings.tls_headers,
            Some(("X-Tls".to_owned(), "X-Amzn-Tls-Cipher-Suite".to_owned()))
        );
    }
}
