//! From an HTTP request to the operation that it asks for.
//!
//! In: the request and the emulator's region. Out: a [`Call`], or the refusal in the protocol that
//! the caller seems to speak.

use std::collections::BTreeMap;

use elbow_emulator::operation::find;
use elbow_emulator::{ApiError, Operation, Service};
use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use serde_json::Value;

use super::errors::WireError;
use super::{Protocol, json, query};
use crate::sigv4;

/// Bytes of a request's body. ImportCertificate may carry a chain of 2 MiB, in base64.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An operation with its parameters, not yet read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) operation: &'static Operation,
    parameters: Parameters,
}

#[derive(Debug)]
enum Parameters {
    Form(BTreeMap<String, String>),
    Json(Bytes),
}

impl Call {
    /// The value of the request.
    pub(crate) fn value(&self) -> Result<Value, ApiError> {
        let Operation { service, input, .. } = *self.operation;
        match &self.parameters {
            Parameters::Form(parameters) => query::read(Protocol::of(service), input, parameters),
            Parameters::Json(body) => json::read(service, input, body),
        }
    }
}

pub(crate) async fn read(request: Request<Incoming>, region: &str) -> Result<Call, WireError> {
    let (head, body) = request.into_parts();
    if let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await {
        return call(&head, body.to_bytes(), region);
    }
    let message = format!("The body is longer than {BODY_BYTES_MAX} bytes or incomplete");
    let error = ApiError::sender("RequestEntityTooLarge", message).with_status(413);
    let protocol = Protocol::Query;
    Err(WireError { protocol, error })
}

/// The call that a request makes.
pub(crate) fn call(head: &Parts, body: Bytes, region: &str) -> Result<Call, WireError> {
    let target = head
        .headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    let parameters = if target.is_some() {
        Parameters::Json(body)
    } else {
        let mut parameters = query::form(head.uri.query().unwrap_or_default());
        parameters.extend(query::form(&String::from_utf8_lossy(&body)));
        Parameters::Form(parameters)
    };
    let spoken = match &parameters {
        Parameters::Json(_) => Protocol::Json,
        Parameters::Form(form) if form.get("Version").is_some_and(|v| v == "2016-11-15") => {
            Protocol::Ec2
        }
        Parameters::Form(_) => Protocol::Query,
    };
    let refused = |error| WireError {
        protocol: spoken,
        error,
    };
    let scope = sigv4::scope(&head.headers).map_err(refused)?;
    let service = Service::ALL
        .into_iter()
        .find(|service| service.signing_name() == scope.service);
    let Some(service) = service else {
        let message = format!(
            "The service '{}' is not modelled by this emulator",
            scope.service
        );
        return Err(refused(unknown(spoken, message)));
    };
    if scope.region != region {
        let message = format!(
            "Credential should be scoped to a valid region, not '{}': this emulator is '{region}'.",
            scope.region
        );
        return Err(refused(
            ApiError::sender("SignatureDoesNotMatch", message).with_status(403),
        ));
    }
    let protocol = Protocol::of(service);
    let refused = |error| WireError { protocol, error };
    let name = match (&parameters, target) {
        (Parameters::Json(_), Some(target)) if protocol == Protocol::Json => {
            let (prefix, name) = target.rsplit_once('.').unwrap_or(("", target));
            if prefix != target_prefix(service) {
                let message = format!(
                    "The target '{target}' does not belong to the service '{}' that the request is \
                     signed for",
                    scope.service
                );
                return Err(refused(unknown(protocol, message)));
            }
            name.to_owned()
        }
        (Parameters::Form(form), _) if protocol != Protocol::Json => {
            let Some(action) = form.get("Action") else {
                let message = "The request must contain the parameter Action";
                return Err(refused(ApiError::sender("MissingAction", message)));
            };
            let version = form.get("Version").map(String::as_str).unwrap_or_default();
            if version != api_version(service) {
                let message = format!(
                    "Could not find operation {action} for version {version}: this emulator models \
                     version {} of {}",
                    api_version(service),
                    service.name()
                );
                return Err(refused(ApiError::sender("InvalidAction", message)));
            }
            action.clone()
        }
        _ => {
            let message = format!(
                "The service '{}' does not speak this protocol",
                scope.service
            );
            return Err(refused(unknown(protocol, message)));
        }
    };
    let Some(operation) = find(service, &name) else {
        let message = format!(
            "{}: {name} is not modelled by this emulator",
            service.name()
        );
        return Err(refused(unknown(protocol, message)));
    };
    Ok(Call {
        operation,
        parameters,
    })
}

/// What is not modelled is said loudly, with a status that clients do not retry.
fn unknown(protocol: Protocol, message: String) -> ApiError {
    let code = match protocol {
        Protocol::Query | Protocol::Ec2 => "InvalidAction",
        Protocol::Json => "UnknownOperationException",
    };
    ApiError::sender(code, message).with_status(501)
}

fn target_prefix(service: Service) -> &'static str {
    match service {
        Service::Acm => "CertificateManager",
        Service::Tagging => "ResourceGroupsTaggingAPI_20170126",
        Service::ElbV2 | Service::Ec2 | Service::Sts => "",
    }
}

fn api_version(service: Service) -> &'static str {
    match service {
        Service::ElbV2 => "2015-12-01",
        Service::Ec2 => "2016-11-15",
        Service::Sts => "2011-06-15",
        Service::Acm | Service::Tagging => "",
    }
}
