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
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

/// What a stand-in speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StandInKind {
    /// HTTP/1.1, and HTTP/2 with prior knowledge: a JSON description of the request. WebSockets get
    /// their bytes back, and RPCs of gRPC the status UNIMPLEMENTED.
    Http,
    /// TCP: every byte comes back.
    TcpEcho,
    /// The same, and at the same port UDP: every datagram comes back.
    TcpAndUdpEcho,
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
    let (listener, datagrams) = bind(kind).await?;
    let address = listener.local_addr()?;
    let label: Arc<str> = label.into();
    if let Some(socket) = datagrams {
        let (label, shutdown) = (Arc::clone(&label), shutdown.clone());
        tokio::spawn(async move {
            shutdown
                .run_until_cancelled(echo_datagrams(socket, &label))
                .await
        });
    }
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
                        StandInKind::TcpEcho | StandInKind::TcpAndUdpEcho => echo(stream).await,
                    }
                };
                shutdown.run_until_cancelled(serving).await
            });
        }
    });
    Ok(address)
}

/// A free port, of UDP as well where that is wanted.
async fn bind(kind: StandInKind) -> io::Result<(TcpListener, Option<UdpSocket>)> {
    /// A port that is free for TCP is hardly ever taken for UDP.
    const ATTEMPTS_MAX: usize = 8;
    let mut attempt = 1;
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        if kind != StandInKind::TcpAndUdpEcho {
            return Ok((listener, None));
        }
        match UdpSocket::bind(listener.local_addr()?).await {
            Ok(socket) => return Ok((listener, Some(socket))),
            Err(error) if attempt == ATTEMPTS_MAX => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    // Copying shuts nothing down; dropping the stream does.
    if let Err(error) = tokio::io::copy(&mut read, &mut write).await {
        tracing::debug!(%error, "Echo ended");
    }
}

/// Longest datagram of UDP over IPv4.
const DATAGRAM_BYTES_MAX: usize = 65_507;

async fn echo_datagrams(socket: UdpSocket, label: &str) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // Errors are about single datagrams: one that a client no longer waits for, for example.
        let echoed = match socket.recv_from(&mut buffer).await {
            Ok((length, client)) => socket.send_to(&buffer[..length], client).await,
            Err(error) => Err(error),
        };
        if let Err(error) = echoed {
            tracing::debug!(service = %label, %error, "Datagram was not echoed");
            tokio::task::yield_now().await;
        }
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
    if is_rpc(&parts.headers) {
        return Ok(unimplemented_rpc());
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

const GRPC: &str = "application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// Status code of gRPC for a method that a server does not have.
const UNIMPLEMENTED: HeaderValue = HeaderValue::from_static("12");

fn is_rpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.is_some_and(|t| t.as_bytes().starts_with(GRPC.as_bytes()))
}

/// An answer of gRPC that is over with its headers.
fn unimplemented_rpc() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(GRPC_STATUS, UNIMPLEMENTED);
    response
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn datagrams_and_bytes_come_back_at_one_port() {
        let shutdown = CancellationToken::new();
        let _stop = shutdown.clone().drop_guard();
        let kind = StandInKind::TcpAndUdpEcho;
        let address = stand_in(kind, "app/dns".to_owned(), shutdown)
            .await
            .unwrap();

        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        client.send_to(b"question", address).await.unwrap();
        let mut buffer = [0; 16];
        let (length, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..length], from), (&b"question"[..], address));

        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"bytes").await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"bytes");
    }

    #[tokio::test]
    async fn rpcs_are_answered_as_unimplemented() {
        let shutdown = CancellationToken::new();
        let _stop = shutdown.clone().drop_guard();
        let address = stand_in(StandInKind::Http, "app/rpc".to_owned(), shutdown)
            .await
            .unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let executor = TokioExecutor::new();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(executor, TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let request = Request::post(format!("http://{address}/shop.Cart/Add"))
            .header(CONTENT_TYPE, "application/grpc+proto")
            .body(Full::<Bytes>::default())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[GRPC_STATUS], "12");
        assert_eq!(response.headers()[CONTENT_TYPE], GRPC);
    }
}
