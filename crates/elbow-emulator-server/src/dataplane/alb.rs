//! Connections to the listeners of application load balancers.
//!
//! In: accepted TCP connections. Out: HTTP, one request at a time handed to [`proxy`]. Always:
//! HTTP/2 is spoken only over TLS and only when it is switched on; a connection ends in good order
//! when its listener goes, when it has been idle, and when it has lived its keep-alive time.

mod headers;
mod proxy;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use elbow_emulator::dataplane::ServedProtocol;
use elbow_emulator::dataplane::request::Scheme;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, Watched};
use super::mutual_tls::ClientIdentity;
use super::plane::{ListenerContext, Live};
use super::tls::{cipher_name, version_name};

/// Time for a client's TLS handshake. AWS documents it for targets; the same for clients.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Streams of one HTTP/2 connection ("Listeners for your Application Load Balancers").
const HTTP2_STREAMS_MAX: u32 = 128;

/// Bytes of a request's line and headers together: 64 KiB by the quotas page.
const REQUEST_HEADER_BYTES_MAX: usize = 64 * 1024;

/// Header fields of a request; hyper's own limit of 100 is lower than anything AWS documents.
const REQUEST_HEADERS_MAX: usize = 1000;

/// How long a connection may take to end in good order.
const GRACE: Duration = Duration::from_secs(1);

/// A client's connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) listener: ListenerContext,
    pub(crate) peer: SocketAddr,
    pub(crate) scheme: Scheme,
    /// TLS version and cipher suite.
    pub(crate) tls: Option<(&'static str, String)>,
    /// Who the client has shown itself to be.
    pub(crate) identity: Option<ClientIdentity>,
    pub(crate) activity: Activity,
}

/// Serves a connection to its end.
pub(crate) async fn serve(stream: TcpStream, peer: SocketAddr, listener: ListenerContext) {
    let live = listener.live();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "Could not switch off delays");
    }
    let connection = |scheme, tls, identity| Connection {
        listener: listener.clone(),
        peer,
        scheme,
        tls,
        identity,
        activity: Activity::new(),
    };
    if live.served.protocol != ServedProtocol::Https {
        return serve_http(stream, connection(Scheme::Http, None, None), &live, false).await;
    }
    if is_cleartext(&stream).await {
        return refuse_cleartext(stream).await;
    }
    // Without a certificate there is nothing to say to the client.
    let Some(config) = live.tls.clone() else {
        return;
    };
    let handshake = TlsAcceptor::from(config).accept(stream);
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => {
            let session = stream.get_ref().1;
            let is_http2 = session.alpn_protocol() == Some(b"h2");
            let version = session.protocol_version().map_or("-", version_name);
            let cipher = session
                .negotiated_cipher_suite()
                .map(|suite| cipher_name(suite.suite()));
            let tls = Some((version, cipher.unwrap_or_default()));
            let certificates = session.peer_certificates().unwrap_or_default();
            let identity = ClientIdentity::new(&live.served.mutual_tls, certificates);
            let connection = connection(Scheme::Https, tls, identity);
            serve_http(stream, connection, &live, is_http2).await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
}

/// Whether a client speaks HTTP where TLS is expected: methods are letters, a handshake begins with
/// 22.
async fn is_cleartext(stream: &TcpStream) -> bool {
    let mut first = [0];
    let peeked = tokio::time::timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut first)).await;
    matches!(peeked, Ok(Ok(1))) && first[0].is_ascii_uppercase()
}

/// Tells such a client in its own words what is wrong.
async fn refuse_cleartext(mut stream: TcpStream) {
    const ANSWER: &str = "HTTP/1.1 400 Bad Request\r\nServer: awselb/2.0\r\nContent-Type: text/html\r\n\
        Content-Length: 73\r\nConnection: close\r\n\r\n\
        <html><body>The plain HTTP request was sent to HTTPS port</body></html>\r\n";
    // A close with unread bytes would be a reset, and the answer lost.
    let mut request = [0; 4096];
    let answered = async {
        let _read = stream.read(&mut request).await?;
        stream.write_all(ANSWER.as_bytes()).await?;
        stream.shutdown().await
    };
    if let Err(error) = answered.await {
        tracing::debug!(%error, "Client of an HTTPS listener spoke HTTP");
    }
}

async fn serve_http<S>(stream: S, connection: Connection, live: &Live, is_http2: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = Arc::new(connection);
    let activity = connection.activity.clone();
    let closing = connection.listener.closing.clone();
    let stream = TokioIo::new(Watched::new(stream, activity.clone()));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The idle timeout below covers this too.
        .header_read_timeout(None)
        .preserve_header_case(true)
        .title_case_headers(true)
        .max_buf_size(REQUEST_HEADER_BYTES_MAX)
        .max_headers(REQUEST_HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX);
    let builder = if is_http2 {
        builder.http2_only()
    } else {
        builder.http1_only()
    };
    let service = service_fn(move |request| proxy::answer(Arc::clone(&connection), request));
    let serving = builder.serve_connection_with_upgrades(stream, service);
    tokio::pin!(serving);
    let patience = tokio::select! {
        result = &mut serving => return log_end(result),
        patience = must_end(&activity, live) => patience,
        // What is under way may finish while the listener alone goes; a shutdown cuts it off from
        // outside.
        () = closing.cancelled() => live.settings.idle_timeout + GRACE,
    };
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        result = serving => log_end(result),
        () = activity.idle_for(patience) => {}
    }
}

fn log_end(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(error, "Connection of a client ended");
    }
}

/// Ends when a connection should be closed: no request for the idle timeout, or its keep-alive time
/// is over. Says how much longer it may then be silent.
async fn must_end(activity: &Activity, live: &Live) -> Duration {
    let idle_timeout = live.settings.idle_timeout;
    let idle = async {
        activity.idle_for(idle_timeout).await;
        // A request under way watches its target itself; a client that stops reading is given the
        // same time again.
        while activity.in_flight() > 0 && !activity.is_idle_for(idle_timeout * 2) {
            activity.idle_for(idle_timeout * 2).await;
        }
    };
    tokio::select! {
        () = idle => GRACE,
        // A request under way gets its answer, if it comes before the timeout.
        () = tokio::time::sleep(live.settings.client_keep_alive) => idle_timeout + GRACE,
    }
}
