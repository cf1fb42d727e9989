//! Backends that stand in for Services which have none: they answer with what they were asked.
//!
//! In: what to be, and for whom. Out: a loopback address. Always: every request is answered with
//! 200, so that any health check passes; nothing is kept of a request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// What a stand-in speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StandInKind {
    /// HTTP/1.1, and HTTP/2 with prior knowledge: a JSON description of the request. WebSockets get
    /// their bytes back.
    Http,
    /// TCP: every byte comes back.
    TcpEcho,
}

/// The body of an answer.
#[derive(Debug, Serialize)]
struct Echo<'a> {
    /// The Service that this stands in for.
    service: &'a str,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    version: &'static str,
    /// Lower-case names; several values of one name are joined by `, `.
    headers: BTreeMap<&'a str, String>,
    /// Bytes of the request's body.
    body_bytes: u64,
}

/// Starts a stand-in at a free port of 127.0.0.1, until `shutdown`.
pub async fn stand_in(
    kind: StandInKind,
    label: String,
    shutdown: CancellationToken,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let label: Arc<str> = label.into();
    tokio::spawn(async move {
        loop {
            let stream = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(service = %label, %error, "Stand-in could not accept a connection");
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                        continue;
                    }
                },
                () = shutdown.cancelled() => return,
            };
            let (label, shutdown) = (Arc::clone(&label), shutdown.clone());
            tokio::spawn(async move {
                let serving = async {
                    match kind {
                        StandInKind::Http => http(stream, label).await,
                        StandInKind::TcpEcho => echo(stream).await,
                    }
                };
                shutdown.run_until_cancelled(serving).await
            });
        }
    });
    Ok(address)
}

async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    // Copying shuts nothing down; dropping the stream does.
    if let Err(error) = tokio::io::copy(&mut read, &mut write).await {
        tracing::debug!(%error, "Echo ended");
    }
}

async fn http(stream: TcpStream, label: Arc<str>) {
    let service = service_fn(move |request| answer(Arc::clone(&label), request));
    let builder = auto::Builder::new(TokioExecutor::new());
    if let Err(error) = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(error, "Stand-in connection ended");
    }
}

async fn answer(
    label: Arc<str>,
    mut request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if let Some(response) = websocket(&mut request) {
        return Ok(response);
    }
    let (parts, mut body) = request.into_parts();
    let mut body_bytes = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => body_bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(error) => {
                tracing::debug!(%error, "Request body broke off");
                break;
            }
        }
    }
    let authority = parts.uri.authority().map(ToString::to_string);
    let mut headers = joined(&parts.headers);
    if let Some(authority) = authority {
        headers.entry("host").or_insert(authority);
    }
    let echo = Echo {
        service: &label,
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        version: version_name(parts.version),
        headers,
        body_bytes,
    };
    let mut text = serde_json::to_string_pretty(&echo).unwrap_or_default();
    text.push('\n');
    let mut response = Response::new(Full::new(Bytes::from(text)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn joined(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let mut out: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        out.entry(name.as_str())
            .and_modify(|joined| {
                joined.push_str(", ");
                joined.push_str(&value);
            })
            .or_insert_with(|| value.to_string());
    }
    out
}

fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

const WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const WEBSOCKET_ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// Accepts a WebSocket and gives its messages back.
fn websocket(request: &mut Request<Incoming>) -> Option<Response<Full<Bytes>>> {
    let upgrade = request.headers().get(UPGRADE)?;
    if !upgrade.as_bytes().eq_ignore_ascii_case(b"websocket") {
        return None;
    }
    let accept = websocket::accept_key(request.headers().get(WEBSOCKET_KEY)?.as_bytes());
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(upgraded) => {
                if let Err(error) = websocket::echo(TokioIo::new(upgraded)).await {
                    tracing::debug!(%error, "WebSocket echo ended");
                }
            }
            Err(error) => tracing::debug!(%error, "WebSocket did not begin"),
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(WEBSOCKET_ACCEPT, HeaderValue::try_from(accept).ok()?);
    Some(response)
}

mod websocket;
