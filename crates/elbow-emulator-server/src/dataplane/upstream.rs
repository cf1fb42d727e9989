//! Connections from an application load balancer to its targets.
//!
//! In: a request and where it goes. Out: the target's response, its body still on the way, or why
//! there is none. Always: a connection is used by one HTTP/1.1 request at a time; a request is sent
//! a second time only if not a byte of it was sent the first time; connections that were idle for
//! the idle timeout are not used again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use elbow_emulator::dataplane::request::Scheme;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::body::DataBody;
use super::tls::{client_config, target_alpn};

/// Time to connect to a target, and again for its TLS handshake ("Troubleshoot your Application
/// Load Balancers").
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Header bytes of a response above which it is refused: 32 KiB by the same page. The buffer also
/// holds what follows.
const RESPONSE_BUFFER_BYTES: usize = 64 * 1024;

/// Header fields of a response; hyper's own limit of 100 is lower than anything AWS documents.
const RESPONSE_HEADERS_MAX: usize = 1000;

/// Pause between two rounds of closing idle connections; it only bounds how late that happens.
const SWEEP_PAUSE: Duration = Duration::from_secs(5);

/// Where and how to reach a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    pub(crate) scheme: Scheme,
    pub(crate) http2: bool,
}

/// Why a target gave no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// No connection: refused, unreachable or reset.
    #[error("cannot connect to the target")]
    Connect(#[source] std::io::Error),
    /// No connection in time.
    #[error("the target did not accept a connection within 10 s")]
    ConnectTimeout,
    /// No TLS with the target.
    #[error("no TLS with the target")]
    Tls(#[source] std::io::Error),
    /// No TLS in time.
    #[error("the target did not finish the TLS handshake within 10 s")]
    TlsTimeout,
    /// Our own TLS configuration is refused.
    #[error("cannot speak TLS")]
    TlsConfig(#[source] super::tls::TlsError),
    /// The connection ended, or what came back is no HTTP.
    #[error("the target gave no valid response")]
    Http(#[source] hyper::Error),
}

impl UpstreamError {
    /// The status that the client gets.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::ConnectTimeout | Self::TlsTimeout => 504,
            Self::Connect(_) | Self::Tls(_) | Self::TlsConfig(_) | Self::Http(_) => 502,
        }
    }
}

/// Connections to targets, kept for the next request.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    http1: BTreeMap<Upstream, Vec<Idle>>,
    http2: BTreeMap<Upstream, http2::SendRequest<DataBody>>,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<DataBody>,
    /// When it is too old to be used.
    until: Instant,
}

impl Idle {
    fn is_usable(&self) -> bool {
        Instant::now() < self.until && self.sender.is_ready()
    }
}

impl Pool {
    /// Closes connections that are too old, until the end of the data plane.
    pub(crate) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_PAUSE).await;
            let mut inner = self.lock();
            inner.http2.retain(|_, sender| !sender.is_closed());
            inner.http1.retain(|_, idle| {
                idle.retain(Idle::is_usable);
                !idle.is_empty()
            });
        }
    }

    /// Sends a request and waits for the head of the response.
    pub(crate) async fn send(
        &self,
        upstream: Upstream,
        idle_timeout: Duration,
        request: Request<DataBody>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        if upstream.http2 {
            self.send_http2(upstream, request).await
        } else {
            self.send_http1(upstream, idle_timeout, request).await
        }
    }

    async fn send_http1(
        &self,
        upstream: Upstream,
        idle_timeout: Duration,
        mut request: Request<DataBody>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        loop {
            let kept = self.take(&upstream);
            let is_fresh = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => connect_http1(&upstream).await?,
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
                        self.keep_when_done(upstream, sender, idle_timeout);
                    }
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    // The target closed the kept connection before a byte was sent: that says
                    // nothing about the target.
                    Some(unsent) if !is_fresh => request = unsent,
                    _ => return Err(UpstreamError::Http(error.into_error())),
                },
            }
        }
    }

    async fn send_http2(
        &self,
        upstream: Upstream,
        mut request: Request<DataBody>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        loop {
            let kept = self
                .lock()
                .http2
                .get(&upstream)
                .filter(|sender| !sender.is_closed())
                .cloned();
            let is_fresh = kept.is_none();
            let mut sender = if let Some(sender) = kept {
                sender
            } else {
                let sender = connect_http2(&upstream).await?;
                self.lock().http2.insert(upstream, sender.clone());
                sender
            };
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => {
                    self.lock().http2.remove(&upstream);
                    match error.take_message() {
                        Some(unsent) if !is_fresh => request = unsent,
                        _ => return Err(UpstreamError::Http(error.into_error())),
                    }
                }
            }
        }
    }

    fn take(&self, upstream: &Upstream) -> Option<http1::SendRequest<DataBody>> {
        let mut inner = self.lock();
        let idle = inner.http1.get_mut(upstream)?;
        // The one used last is the likeliest to live; older ones run out at the bottom.
        idle.retain(Idle::is_usable);
        idle.pop().map(|kept| kept.sender)
    }

    /// Puts a connection back once the response has been read to its end, if the target keeps it
    /// open.
    fn keep_when_done(
        &self,
        upstream: Upstream,
        mut sender: http1::SendRequest<DataBody>,
        idle_timeout: Duration,
    ) {
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
                inner.http1.entry(upstream).or_default().push(Idle {
                    sender,
                    until: Instant::now() + idle_timeout,
                });
            }
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect_http1(upstream: &Upstream) -> Result<http1::SendRequest<DataBody>, UpstreamError> {
    let stream = connect_tcp(upstream.address).await?;
    match upstream.scheme {
        Scheme::Http => handshake_http1(TokioIo::new(stream)).await,
        Scheme::Https => {
            handshake_http1(TokioIo::new(connect_tls(stream, target_alpn(false)).await?)).await
        }
    }
}

async fn connect_http2(upstream: &Upstream) -> Result<http2::SendRequest<DataBody>, UpstreamError> {
    let stream = connect_tcp(upstream.address).await?;
    match upstream.scheme {
        Scheme::Http => handshake_http2(TokioIo::new(stream)).await,
        Scheme::Https => {
            handshake_http2(TokioIo::new(connect_tls(stream, target_alpn(true)).await?)).await
        }
    }
}

pub(crate) async fn handshake_http1<T>(
    stream: T,
) -> Result<http1::SendRequest<DataBody>, UpstreamError>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .preserve_header_case(true)
        .title_case_headers(true)
        .max_buf_size(RESPONSE_BUFFER_BYTES)
        .max_headers(RESPONSE_HEADERS_MAX)
        .handshake(stream)
        .await
        .map_err(UpstreamError::Http)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "Connection to target ended");
        }
    });
    Ok(sender)
}

pub(crate) async fn handshake_http2<T>(
    stream: T,
) -> Result<http2::SendRequest<DataBody>, UpstreamError>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake(stream)
        .await
        .map_err(UpstreamError::Http)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "Connection to target ended");
        }
    });
    Ok(sender)
}

/// Connects to a target.
pub(crate) async fn connect_tcp(address: SocketAddr) -> Result<TcpStream, UpstreamError> {
    let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(result) => result.map_err(UpstreamError::Connect)?,
        Err(_) => return Err(UpstreamError::ConnectTimeout),
    };
    stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
    Ok(stream)
}

/// Speaks TLS with a target, whatever its certificate says.
pub(crate) async fn connect_tls(
    stream: TcpStream,
    alpn: Vec<Vec<u8>>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, UpstreamError> {
    let config = client_config(alpn).map_err(UpstreamError::TlsConfig)?;
    let address = stream.peer_addr().map_err(UpstreamError::Connect)?;
    // An address as the server's name sends no SNI.
    let name = ServerName::IpAddress(address.ip().into());
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    match timeout(CONNECT_TIMEOUT, handshake).await {
        Ok(result) => result.map_err(UpstreamError::Tls),
        Err(_) => Err(UpstreamError::TlsTimeout),
    }
}
