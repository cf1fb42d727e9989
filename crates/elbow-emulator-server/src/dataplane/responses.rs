//! Responses that an application load balancer makes itself, and the headers that it puts on every
//! response.
//!
//! In: a decision. Out: a response. Always: what the load balancer made itself says `Server:
//! awselb/2.0` unless that is switched off; the listener's headers replace the target's.

use elbow_emulator::dataplane::request::{ErrorResponse, FixedResponse, Redirect};
use elbow_emulator::dataplane::settings::AlbSettings;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SERVER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::body::{DataBody, full};

/// What the load balancer calls itself.
const SERVER_NAME: HeaderValue = HeaderValue::from_static("awselb/2.0");

/// The response of a fixed-response action.
pub(crate) fn fixed(fixed: &FixedResponse, settings: &AlbSettings) -> Response<DataBody> {
    generated(
        fixed.status,
        Some(&fixed.content_type),
        fixed.body.clone(),
        settings,
    )
}

/// The response of a redirect action.
pub(crate) fn redirect(redirect: &Redirect, settings: &AlbSettings) -> Response<DataBody> {
    let mut response = error_page(redirect.status, settings);
    // A location that cannot be a header comes from a request that could not be one either.
    if let Ok(location) = HeaderValue::try_from(&redirect.location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The response to a request that the load balancer cannot serve.
pub(crate) fn error(error: &ErrorResponse, settings: &AlbSettings) -> Response<DataBody> {
    error_page(error.status, settings)
}

/// A short page with nothing but the status.
pub(crate) fn error_page(status: u16, settings: &AlbSettings) -> Response<DataBody> {
    let title = format!("{status} {}", reason_phrase(status));
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    generated(status, Some("text/html"), page, settings)
}

fn generated(
    status: u16,
    content_type: Option<&str>,
    body: String,
    settings: &AlbSettings,
) -> Response<DataBody> {
    let length = body.len();
    let mut response = Response::new(full(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Some(content_type) = content_type.and_then(|text| HeaderValue::from_str(text).ok()) {
        headers.insert(CONTENT_TYPE, content_type);
    }
    // Set here, so that the answer to HEAD has it too.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if settings.server_header {
        headers.insert(SERVER, SERVER_NAME);
    }
    decorate(headers, settings);
    response
}

/// Puts the listener's headers on a response.
pub(crate) fn decorate(headers: &mut HeaderMap, settings: &AlbSettings) {
    for (name, value) in &settings.response_headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// The words beside a status; those of nginx where they differ from the registry's.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        302 => "Found",
        405 => "Not Allowed",
        408 => "Request Time-out",
        463 => "X-Forwarded-For has too many addresses",
        464 => "Protocol mismatch",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        status => StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Error"),
    }
}
