//! AWS's wire protocols on one HTTP endpoint: Query (ELBv2, STS), EC2 Query, JSON 1.1 (ACM,
//! tagging), REST (S3).
//!
//! In: HTTP requests. Out: HTTP responses in the protocol of the service that was asked.
//! Always: the service is the one that the signature names; a service, operation or parameter that
//! is not modelled is refused by name; each response has a request id.
//!
//! Start at [`serve_api`].

mod admin;
mod errors;
mod json;
mod query;
mod request;
mod s3;
#[cfg(test)]
mod tests;
mod xml;

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use elbow_emulator::{Operation, Response as Answer, Service};
use http::{Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::calls::{CallSink, Pending};
use crate::faults::{Faults, Instead, Meeting};
use crate::shared::SharedEmulator;
use crate::sigv4;
use errors::WireError;
use request::Call;

/// How a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Query,
    Ec2,
    Json,
}

impl Protocol {
    fn of(service: Service) -> Self {
        match service {
            Service::ElbV2 | Service::Sts => Self::Query,
            Service::Ec2 => Self::Ec2,
            Service::Acm | Service::Tagging => Self::Json,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Query => "text/xml",
            Self::Ec2 => "text/xml;charset=UTF-8",
            Self::Json => "application/x-amz-json-1.1",
        }
    }
}

/// The path at which the calls so far can be read, one JSON object a line.
const CALLS_PATH: &str = "/_emulator/calls";

/// What an endpoint does beyond answering.
#[derive(Clone, Default)]
pub struct ApiOptions {
    /// Told of each call.
    pub on_call: Option<CallSink>,
    /// What goes wrong.
    pub faults: Arc<Faults>,
    /// Whether clients on this machine may change that.
    pub admin: bool,
}

impl fmt::Debug for ApiOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiOptions")
            .field("on_call", &self.on_call.is_some())
            .field("faults", &self.faults)
            .field("admin", &self.admin)
            .finish()
    }
}

/// Answers AWS API calls on a listener until `shutdown`, then finishes the calls under way.
///
/// `GET /_emulator/calls` answers with the call log, which is no AWS operation: one JSON object a
/// line, with `at` (milliseconds), `service`, `operation` and `error`.
pub async fn serve_api(
    shared: SharedEmulator,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_api_with(shared, listener, ApiOptions::default(), shutdown).await
}

/// [`serve_api`], with options.
pub async fn serve_api_with(
    shared: SharedEmulator,
    listener: TcpListener,
    options: ApiOptions,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let connections = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_transient(&error) => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error),
            },
            () = shutdown.cancelled() => break,
        };
        let (shared, options) = (shared.clone(), options.clone());
        let shutdown = shutdown.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (shared, options) = (shared.clone(), options.clone());
                async move {
                    if options.admin && peer.ip().is_loopback() && admin::is_for(&request) {
                        return Ok(admin::answer(&shared, &options.faults, request).await);
                    }
                    answer(&shared, &options, request).await
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let result = tokio::select! {
                result = connection.as_mut() => result,
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = result {
                tracing::debug!(%error, "API connection ended early");
            }
        });
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

/// How long to leave the system alone after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A client that gave up, or too many open files: a later accept may succeed.
fn is_transient(error: &io::Error) -> bool {
    // ENFILE and EMFILE, which have no kind of their own.
    let out_of_files = matches!(error.raw_os_error(), Some(23 | 24));
    out_of_files
        || matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::Interrupted
        )
}

async fn answer(
    shared: &SharedEmulator,
    options: &ApiOptions,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Lost> {
    if request.uri().path() == CALLS_PATH {
        let log = call_log(shared);
        return Ok(respond(StatusCode::OK, "application/x-ndjson", log));
    }
    let (region, id) =
        shared.with(|emulator, _| (emulator.config().region.clone(), emulator.next_request_id()));
    let user_agent = request.headers().get(header::USER_AGENT);
    let mut pending = Pending {
        user_agent: user_agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned()),
        ..Pending::default()
    };
    if sigv4::scope(request.headers()).is_ok_and(|scope| scope.service == "s3") {
        let (response, told) = s3::answer(shared, request, &id).await;
        pending.named = told.operation.map(|operation| ("s3", operation));
        pending.resources.extend(told.resource);
        let status = response.status().as_u16();
        pending.tell(options, shared, id, status, told.error.as_deref());
        return Ok(response);
    }
    let read = request::read(request, &region).await;
    let meeting = match &read {
        Ok(call) => pending.meet(shared, &options.faults, call),
        Err(_) => Meeting::default(),
    };
    if !meeting.delay.is_zero() {
        // Even a sleep of no time lasts until the timer's next tick.
        tokio::time::sleep(meeting.delay).await;
    }
    let result = match (read, meeting.instead) {
        (Err(error), _) => Err(error),
        (Ok(_), Some(Instead::Disconnect)) => {
            pending.tell(options, shared, id, 0, Some("disconnected"));
            return Err(Lost);
        }
        (Ok(call), Some(Instead::Refusal(error))) => {
            let protocol = Protocol::of(call.operation.service);
            Err(WireError { protocol, error })
        }
        (Ok(call), None) => act(shared, &call, &mut pending),
    };
    let mut code = None;
    let mut response = match result {
        Ok((operation, value)) => success(operation, &value, &id),
        Err(WireError { protocol, error }) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
            let body = errors::body(protocol, &error, &id);
            let mut response = respond(status, protocol.content_type(), body);
            if protocol == Protocol::Json
                && let Ok(code) = error.code.parse()
            {
                response.headers_mut().insert("x-amzn-errortype", code);
            }
            code = Some(error.code);
            response
        }
    };
    if let Ok(id) = id.parse() {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    let status = response.status().as_u16();
    if meeting.loses_answer {
        pending.tell(options, shared, id, 0, Some("answer lost"));
        return Err(Lost);
    }
    pending.tell(options, shared, id, status, code.as_deref());
    Ok(response)
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost on purpose")]
struct Lost;

impl Pending {
    /// What a call meets, by its form alone: a request that cannot be read meets nothing.
    fn meet(&mut self, shared: &SharedEmulator, faults: &Faults, call: &Call) -> Meeting {
        let value = call.value().unwrap_or_default();
        self.asked(call.operation, &value);
        let account = shared.with(|emulator, _| emulator.config().account_id.clone());
        faults.meet(call.operation, &self.resources, &account)
    }

    fn tell(
        self,
        options: &ApiOptions,
        shared: &SharedEmulator,
        request_id: String,
        status: u16,
        error: Option<&str>,
    ) {
        if let Some(on_call) = &options.on_call {
            let error = error.map(str::to_owned);
            on_call(&self.finish(shared.now(), request_id, status, error));
        }
    }
}

fn act(
    shared: &SharedEmulator,
    call: &Call,
    pending: &mut Pending,
) -> Result<(&'static Operation, Value), WireError> {
    let protocol = Protocol::of(call.operation.service);
    let refused = |error| WireError { protocol, error };
    let value = call.value().map_err(refused)?;
    let result = shared.with(|emulator, now| emulator.handle_value(now, call.operation, value));
    let answer: Answer = result.map_err(refused)?;
    let value = answer.to_value();
    pending.answered(call.operation, &value);
    Ok((call.operation, value))
}

fn success(operation: &'static Operation, value: &Value, id: &str) -> Response<Full<Bytes>> {
    let protocol = Protocol::of(operation.service);
    let body = match protocol {
        Protocol::Query => xml::query_response(operation, value, id),
        Protocol::Ec2 => xml::ec2_response(operation, value, id),
        Protocol::Json => json::print(operation.output, value).to_string(),
    };
    respond(StatusCode::OK, protocol.content_type(), body)
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

fn call_log(shared: &SharedEmulator) -> String {
    shared.with(|emulator, _| {
        let mut lines = String::new();
        for call in emulator.calls().latest() {
            let line = serde_json::json!({
                "at": call.at.as_millis(),
                "service": call.service.name(),
                "operation": call.operation,
                "error": call.error,
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        lines
    })
}
