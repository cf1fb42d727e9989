//! Refusals in each protocol's shape.

use elbow_emulator::{ApiError, Fault};
use quick_xml::escape::escape;

use super::Protocol;

/// A refusal, and the protocol in which the caller understands it.
#[derive(Clone, Debug)]
pub(crate) struct WireError {
    pub(crate) protocol: Protocol,
    pub(crate) error: ApiError,
}

/// The body of an error response.
pub(crate) fn body(protocol: Protocol, error: &ApiError, request_id: &str) -> String {
    let (code, message) = (escape(&error.code), escape(&error.message));
    match protocol {
        Protocol::Query => {
            let fault = match error.fault {
                Fault::Sender => "Sender",
                Fault::Receiver => "Receiver",
            };
            format!(
                "<ErrorResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
                 <Error><Type>{fault}</Type><Code>{code}</Code><Message>{message}</Message></Error>\
                 <RequestId>{request_id}</RequestId></ErrorResponse>"
            )
        }
        Protocol::Ec2 => format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error>\
             <Code>{code}</Code><Message>{message}</Message></Error></Errors>\
             <RequestID>{request_id}</RequestID></Response>"
        ),
        Protocol::Json => {
            serde_json::json!({"__type": error.code, "message": error.message}).to_string()
        }
    }
}
