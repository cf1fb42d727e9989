//! One request through an application load balancer.
//!
//! In: a request whose body is still coming. Out: a response whose body may still be coming.
//! Always: the emulator is asked once and its lock is not held while anything is sent; neither body
//! is collected.

use std::sync::Arc;

use elbow_emulator::dataplane::request::{
    Decision, ErrorReason, Forward, RequestHead, Scheme, TargetHttpVersion,
};
use http::header::{CONNECTION, HOST};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::{Connection, headers, websocket};
use crate::dataplane::activity::Activity;
use crate::dataplane::body::{
    BodyError, ClientIsAwaited, DataBody, DownloadBody, UploadBody, empty,
};
use crate::dataplane::plane::{Live, Plane};
use crate::dataplane::responses;
use crate::dataplane::upstream::Upstream;

/// Why a connection is broken off instead of answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Abort {
    /// The listener is gone and with it whatever could be answered.
    #[error("the listener does not serve any more")]
    NotServing,
}

/// Answers a request.
pub(crate) async fn answer(
    connection: Arc<Connection>,
    mut request: Request<Incoming>,
) -> Result<Response<DataBody>, Abort> {
    let in_flight = connection.activity.begin();
    let live = connection.listener.live();
    let client_upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let head = headers::head(&parts, &connection);
    let mut picks = connection.listener.plane.picks.clone();
    let decision = connection
        .listener
        .plane
        .emulator
        .with(|emulator, now| emulator.route_with(now, &live.served.arn, &head, &mut picks));
    let settings = &live.settings;
    match decision {
        Decision::Forward(forward) => {
            let request = Arrived {
                parts,
                body,
                head,
                client_upgrade,
            };
            let response = send(&connection, &live, request, *forward).await;
            Ok(response.map(|body| {
                KeepAlive {
                    body,
                    _in_flight: in_flight,
                }
                .boxed()
            }))
        }
        Decision::Redirect(redirect) => Ok(responses::redirect(&redirect, settings)),
        Decision::Fixed(fixed) => Ok(responses::fixed(&fixed, settings)),
        Decision::Error(error) if error.reason == ErrorReason::NotServing => Err(Abort::NotServing),
        Decision::Error(error) => {
            tracing::debug!(listener = %live.served.arn, status = error.status, reason = ?error.reason, "Request refused");
            Ok(responses::error(&error, settings))
        }
    }
}

/// A request, taken apart.
struct Arrived {
    parts: Parts,
    body: Incoming,
    head: RequestHead,
    client_upgrade: OnUpgrade,
}

async fn send(
    connection: &Connection,
    live: &Live,
    request: Arrived,
    forward: Forward,
) -> Response<DataBody> {
    let plane = &connection.listener.plane;
    let idle_timeout = live.settings.idle_timeout;
    let Arrived {
        parts,
        body,
        head,
        client_upgrade,
    } = request;
    let is_websocket = headers::is_websocket(&parts);
    let (activity, awaited) = (Activity::new(), ClientIsAwaited::default());
    let body = UploadBody::new(body, activity.clone(), awaited.clone()).boxed();
    let Some(request) = request_to_target(parts, body, &head, &forward, (connection, live)) else {
        return responses::error_page(400, &live.settings);
    };
    let upstream = Upstream {
        address: (plane.dial)(forward.target.address, forward.target.port),
        scheme: forward.scheme,
        http2: forward.version != TargetHttpVersion::Http1,
    };
    let outstanding = plane
        .picks
        .outstanding(&forward.target_group_arn, &forward.target);
    let result = tokio::select! {
        result = plane.pool.send(upstream, idle_timeout, request) => result,
        () = deregistered(plane, &forward) => {
            return responses::error_page(502, &live.settings);
        }
        () = activity.idle_for(idle_timeout) => {
            // Whoever was to send the next byte is at fault.
            let status = if awaited.get() { 408 } else { 504 };
            return and_close(responses::error_page(status, &live.settings), head.http_version);
        }
    };
    let mut response = match result {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(target = %upstream.address, status = error.status(), ?error, "Target gave no response");
            return responses::error_page(error.status(), &live.settings);
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        if !is_websocket {
            return responses::error_page(502, &live.settings);
        }
        let target_upgrade = hyper::upgrade::on(&mut response);
        let tunnel = websocket::tunnel(client_upgrade, target_upgrade, idle_timeout, outstanding);
        let shutdown = plane.shutdown.clone();
        plane
            .tasks
            .spawn(async move { shutdown.run_until_cancelled(tunnel).await });
        return websocket::switching(response);
    }
    headers::to_client(response.headers_mut(), &forward);
    responses::decorate(response.headers_mut(), &live.settings);
    // The client's connection has its own version.
    *response.version_mut() = Version::HTTP_11;
    response.map(|body| DownloadBody::new(body, idle_timeout, outstanding).boxed())
}

/// Ends when the target is gone from its group: what it has not begun to answer by then is lost.
async fn deregistered(plane: &Plane, forward: &Forward) {
    let mut changes = plane.emulator.changes();
    while plane
        .emulator
        .with(|emulator, _| emulator.may_still_answer(&forward.target_group_arn, &forward.target))
    {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// The request as the target gets it; `None` when its target cannot be spelled.
fn request_to_target(
    mut parts: Parts,
    body: DataBody,
    head: &RequestHead,
    forward: &Forward,
    (connection, live): (&Connection, &Live),
) -> Option<Request<DataBody>> {
    let host = headers::to_target(&mut parts.headers, head, forward, connection, live);
    let path_and_query = match &forward.path_and_query {
        Some(rewritten) => PathAndQuery::try_from(rewritten.as_str()).ok()?,
        None => parts.uri.path_and_query().cloned()?,
    };
    if forward.version == TargetHttpVersion::Http1 {
        parts.headers.insert(HOST, host);
        parts.uri = Uri::from(path_and_query);
        parts.version = Version::HTTP_11;
    } else {
        let scheme = match forward.scheme {
            Scheme::Http => http::uri::Scheme::HTTP,
            Scheme::Https => http::uri::Scheme::HTTPS,
        };
        let authority = Authority::try_from(host.as_bytes()).ok()?;
        parts.uri = Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(path_and_query)
            .build()
            .ok()?;
        parts.version = Version::HTTP_2;
    }
    Some(Request::from_parts(parts, body))
}

/// After a timeout the rest of the request may still come, so the connection cannot be used again.
fn and_close(
    mut response: Response<DataBody>,
    version: elbow_emulator::dataplane::request::HttpVersion,
) -> Response<DataBody> {
    if version != elbow_emulator::dataplane::request::HttpVersion::Http2 {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that keeps its request counted until it is done.
struct KeepAlive {
    body: DataBody,
    _in_flight: crate::dataplane::activity::InFlight,
}

impl http_body::Body for KeepAlive {
    type Data = hyper::body::Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// The empty body of a response that switches protocols.
pub(super) fn no_body() -> DataBody {
    empty()
}
