//! Small clients and backends that show every byte.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(super) type TestBody = BoxBody<Bytes, hyper::Error>;

pub(super) fn text(body: impl Into<Bytes>) -> TestBody {
    Full::new(body.into())
        .map_err(|never: Infallible| match never {})
        .boxed()
}

/// An HTTP backend, HTTP/1.1 and cleartext HTTP/2, that answers with a function.
pub(super) async fn backend<F, Fut>(answer: F) -> u16
where
    F: Fn(Request<Incoming>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Response<TestBody>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let response = answer(request);
                    async move { Ok::<_, Infallible>(response.await) }
                });
                let builder = auto::Builder::new(TokioExecutor::new());
                builder
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await
                    .ok();
            });
        }
    });
    port
}

/// A backend that answers 200 with a fixed text.
pub(super) async fn says(body: &'static str) -> u16 {
    backend(move |_| async move { Response::new(text(body)) }).await
}

/// A port of 127.0.0.1 at which nobody listens. The socket keeps it from being given to someone
/// else.
pub(super) fn dead_port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

/// What came back over HTTP/1.1.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Sends a request as it is written, with `\n` for line ends and an empty line at the end, and
/// reads one answer.
pub(super) async fn raw(address: SocketAddr, request: &str) -> Answer {
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    exchange(&mut stream, request).await
}

/// One request and its answer on a connection that stays open.
pub(super) async fn exchange(stream: &mut BufReader<TcpStream>, request: &str) -> Answer {
    stream
        .write_all(request.replace('\n', "\r\n").as_bytes())
        .await
        .unwrap();
    read_answer(stream, request.starts_with("HEAD ")).await
}

/// Reads one answer.
pub(super) async fn read_answer(stream: &mut BufReader<TcpStream>, to_head: bool) -> Answer {
    let mut answer = Answer {
        status: 0,
        headers: Vec::new(),
        body: String::new(),
    };
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    answer.status = line
        .split(' ')
        .nth(1)
        .unwrap_or_else(|| panic!("no status in {line:?}"))
        .parse()
        .unwrap();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => answer.headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    if to_head || answer.status == 101 {
        return answer;
    }
    match answer
        .header("content-length")
        .map(|length| length.parse::<usize>().unwrap())
    {
        Some(length) => {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            answer.body = String::from_utf8(body).unwrap();
        }
        None => loop {
            let mut size = String::new();
            stream.read_line(&mut size).await.unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await.unwrap();
            if size == 0 {
                break;
            }
            answer
                .body
                .push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        },
    }
    answer
}

pub(super) async fn get(address: SocketAddr, host: &str, target: &str) -> Answer {
    raw(
        address,
        &format!("GET {target} HTTP/1.1\nHost: {host}\nConnection: close\n\n"),
    )
    .await
}

/// A self-signed certificate.
pub(super) struct TestCertificate {
    pub(super) name: String,
    pub(super) pem: String,
    pub(super) key_pem: String,
    pub(super) der: Vec<u8>,
}

pub(super) fn certificate(name: &str) -> TestCertificate {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    TestCertificate {
        name: name.to_owned(),
        pem: made.cert.pem(),
        key_pem: made.signing_key.serialize_pem(),
        der: made.cert.der().to_vec(),
    }
}

/// Connects with TLS, asks for a name, and says which certificate was shown.
pub(super) async fn tls(
    address: SocketAddr,
    name: &'static str,
    alpn: &[&str],
) -> (tokio_rustls::client::TlsStream<TcpStream>, Vec<u8>) {
    let alpn = alpn
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    let config = crate::dataplane::tls::client_config(alpn).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = connector
        .connect(name.try_into().unwrap(), stream)
        .await
        .unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    (stream, shown)
}
