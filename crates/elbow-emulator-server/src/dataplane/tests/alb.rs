//! Application load balancers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::client::{backend, dead_port, exchange, get, raw, read_answer, says, text};
use super::world::{World, fixed, forward};
use crate::dataplane::standin::{StandInKind, stand_in};

#[tokio::test]
async fn requests_reach_the_target_with_forwarding_headers() {
    let world = World::new().await;
    let target = stand_in(
        StandInKind::Http,
        "app/web".to_owned(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let alb = world.alb_to(target.port()).await;
    let answer = raw(
        alb.address,
        "GET /a/b?x=1 HTTP/1.1\nHost: App.example.com:8080\nX-Forwarded-For: 203.0.113.9\nX-Forwarded-Proto: gopher\n\
         Connection: close, X-Secret\nX-Secret: 1\nX-Amzn-Trace-Id: Root=1-a-b\nX-Mine: kept\n\n",
    )
    .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let echo: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(
        (&echo["service"], &echo["path"], &echo["query"]),
        (&json!("app/web"), &json!("/a/b"), &json!("x=1"))
    );
    let headers = &echo["headers"];
    assert_eq!(headers["host"], "app.example.com");
    assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-port"], "80");
    assert_eq!(headers["x-mine"], "kept");
    assert!(
        headers["x-amzn-trace-id"]
            .as_str()
            .unwrap()
            .ends_with(";Root=1-a-b"),
        "{headers}"
    );
    assert!(
        headers.get("x-secret").is_none() && headers.get("connection").is_none(),
        "{headers}"
    );
}

#[tokio::test]
async fn rules_answer_by_themselves_and_change_at_once() {
    let world = World::new().await;
    let alb = world.alb_to(says("target").await).await;
    let redirect = json!({ "Type": "redirect", "RedirectConfig": {
        "Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301",
    }});
    world.rule(&alb.listener, 1, "/fixed", fixed(418, "teapot"));
    world.rule(&alb.listener, 2, "/away", redirect);
    let teapot = get(alb.address, "h.example.com", "/fixed").await;
    assert_eq!((teapot.status, teapot.body.as_str()), (418, "teapot"));
    assert_eq!(teapot.header("server"), Some("awselb/2.0"));
    let away = get(alb.address, "h.example.com", "/away?q=1").await;
    assert_eq!(
        (away.status, away.header("location")),
        (301, Some("https://h.example.com:443/away?q=1"))
    );
    assert_eq!(get(alb.address, "h.example.com", "/").await.body, "target");

    // On one connection: the change takes effect with the next request.
    let mut stream = BufReader::new(TcpStream::connect(alb.address).await.unwrap());
    let request = "GET / HTTP/1.1\nHost: h.example.com\n\n";
    assert_eq!(exchange(&mut stream, request).await.body, "target");
    world.set_default_action(&alb.listener, fixed(200, "changed"));
    assert_eq!(exchange(&mut stream, request).await.body, "changed");
}

#[tokio::test]
async fn responses_carry_the_listeners_headers_and_head_has_no_body() {
    let world = World::new().await;
    let alb = world.alb_to(says("target").await).await;
    world.set_listener(
        &alb.listener,
        "routing.http.response.server.enabled",
        "false",
    );
    world.set_listener(
        &alb.listener,
        "routing.http.response.x_frame_options.header_value",
        "DENY",
    );
    world.rule(&alb.listener, 1, "/fixed", fixed(200, "four"));
    for target in ["/", "/fixed"] {
        let answer = raw(
            alb.address,
            &format!("HEAD {target} HTTP/1.1\nHost: h\nConnection: close\n\n"),
        )
        .await;
        assert_eq!(
            (answer.status, answer.header("x-frame-options")),
            (200, Some("DENY")),
            "{answer:?}"
        );
        assert_eq!(answer.header("server"), None);
        assert!(answer.header("content-length").is_some());
    }
}

#[tokio::test]
async fn refusals_of_its_own() {
    let world = World::new().await;
    let alb = world.alb_to(says("target").await).await;
    let many = vec!["192.0.2.1"; 31].join(", ");
    let rows = [
        (
            "TRACE / HTTP/1.1\nHost: h\nConnection: close\n\n".to_owned(),
            405,
        ),
        ("GET / HTTP/1.1\nConnection: close\n\n".to_owned(), 400),
        (
            format!("GET / HTTP/1.1\nHost: h\nX-Forwarded-For: {many}\nConnection: close\n\n"),
            463,
        ),
        ("GET / HTTP/1.0\n\n".to_owned(), 200),
    ];
    for (request, status) in rows {
        assert_eq!(raw(alb.address, &request).await.status, status, "{request}");
    }
}

#[tokio::test]
async fn targets_that_fail() {
    let world = World::new().await;
    let (_held, dead) = dead_port();
    let alb = world.alb_to(dead).await;
    let refused = get(alb.address, "h", "/").await;
    assert_eq!(
        (refused.status, refused.header("content-type")),
        (502, Some("text/html"))
    );
    assert!(
        refused.body.contains("<h1>502 Bad Gateway</h1>"),
        "{}",
        refused.body
    );
    world.deregister(&alb.target_group, dead);
    assert_eq!(get(alb.address, "h", "/").await.status, 503, "no targets");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.register(&alb.target_group, listener.local_addr().unwrap().port());
    let rubbish = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 16];
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(b"SSH-2.0-nope\r\n\r\n").await.unwrap();
        stream
    };
    let (answer, _stream) = tokio::join!(get(alb.address, "h", "/"), rubbish);
    assert_eq!(answer.status, 502, "no HTTP");
}

#[tokio::test]
async fn silence_is_answered_after_the_idle_timeout() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alb = world.alb_to(listener.local_addr().unwrap().port()).await;
    // AWS's smallest value, in real time.
    world.set_load_balancer(&alb.load_balancer, "idle_timeout.timeout_seconds", "1");
    assert_eq!(
        get(alb.address, "h", "/").await.status,
        504,
        "the target never answers"
    );
    let slow = "POST / HTTP/1.1\nHost: h\nContent-Length: 10\n\nabc";
    assert_eq!(
        raw(alb.address, slow).await.status,
        408,
        "the client never finishes"
    );
    let mut idle = TcpStream::connect(alb.address).await.unwrap();
    assert_eq!(
        idle.read(&mut [0]).await.unwrap(),
        0,
        "an idle connection is closed"
    );
}

#[tokio::test]
async fn weights_are_exact_and_each_rule_counts_for_itself() {
    let world = World::new().await;
    let alb = world.alb_to(says("a").await).await;
    let other = world.target_group("other", "HTTP", json!({}));
    world.set_default_action(
        &alb.listener,
        json!({ "Type": "forward", "ForwardConfig": { "TargetGroups": [
            { "TargetGroupArn": alb.target_group, "Weight": 70 }, { "TargetGroupArn": other, "Weight": 30 },
        ]}}),
    );
    world.rule(&alb.listener, 1, "/other", forward(&other));
    world.register(&other, says("b").await);
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut stream = BufReader::new(TcpStream::connect(alb.address).await.unwrap());
    for _ in 0..20 {
        let answer = exchange(&mut stream, "GET / HTTP/1.1\nHost: h\n\n").await;
        *counts.entry(answer.body).or_default() += 1;
        assert_eq!(
            exchange(&mut stream, "GET /other HTTP/1.1\nHost: h\n\n")
                .await
                .body,
            "b"
        );
    }
    assert_eq!(
        counts,
        BTreeMap::from([("a".to_owned(), 14), ("b".to_owned(), 6)])
    );
}

/// Size of a streamed body: far more than may be held, little enough to pass in a moment.
const STREAMED_BYTES: usize = 64 << 20;

#[tokio::test]
async fn bodies_stream_both_ways() {
    let world = World::new().await;
    // The backend gives each frame back as it comes.
    let port = backend(|request: Request<hyper::body::Incoming>| async move {
        Response::new(request.into_body().boxed())
    })
    .await;
    let alb = world.alb_to(port).await;
    let stream = TcpStream::connect(alb.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let (frames, source) = tokio::sync::mpsc::channel::<Bytes>(1);
    let body = ChannelBody(source);
    let request = Request::post("/").header("host", "h").body(body).unwrap();
    let response = sender.send_request(request);
    let (first, response) = tokio::join!(frames.send(Bytes::from_static(b"first")), response);
    first.unwrap();
    let mut body = response.unwrap().into_body();
    // The answer begins while the request goes on: nothing waited for its end.
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "first"
    );
    let chunk = Bytes::from(vec![7; 64 << 10]);
    let sending = async {
        for _ in 0..STREAMED_BYTES / chunk.len() {
            frames.send(chunk.clone()).await.unwrap();
        }
        drop(frames);
    };
    let receiving = async {
        let mut received = 0;
        while let Some(frame) = body.frame().await {
            received += frame.unwrap().into_data().unwrap().len();
        }
        received
    };
    let ((), received) = tokio::join!(sending, receiving);
    assert_eq!(received, STREAMED_BYTES);
}

/// What may lie between a target and a client that does not read: buffers of four sockets and of
/// the HTTP libraries. Loopback sockets grow to a few megabytes each.
const READ_AHEAD_BYTES_MAX: usize = 40 << 20;

#[tokio::test]
async fn nothing_is_read_ahead_of_a_slow_client() {
    let world = World::new().await;
    let produced = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&produced);
    let port = backend(move |_| {
        let body = Zeros {
            left: 4 * READ_AHEAD_BYTES_MAX,
            produced: Arc::clone(&counter),
        };
        async { Response::new(body.boxed()) }
    })
    .await;
    let alb = world.alb_to(port).await;
    let stream = TcpStream::connect(alb.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = Request::get("/")
        .header("host", "h")
        .body(text(""))
        .unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().into_data().unwrap().len();
        let ahead = produced.load(Ordering::Relaxed) - received;
        assert!(
            ahead < READ_AHEAD_BYTES_MAX,
            "{ahead} bytes are held after {received}"
        );
    }
    assert_eq!(received, 4 * READ_AHEAD_BYTES_MAX);
}

/// A body that is made as it is read.
struct Zeros {
    left: usize,
    produced: Arc<AtomicUsize>,
}

impl http_body::Body for Zeros {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static CHUNK: [u8; 64 << 10] = [0; 64 << 10];
        let take = self.left.min(CHUNK.len());
        if take == 0 {
            return std::task::Poll::Ready(None);
        }
        self.left -= take;
        self.produced.fetch_add(take, Ordering::Relaxed);
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&CHUNK[..take])))))
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_continue() {
    let world = World::new().await;
    let target = stand_in(
        StandInKind::Http,
        "app/web".to_owned(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let alb = world.alb_to(target.port()).await;
    let mut stream = BufReader::new(TcpStream::connect(alb.address).await.unwrap());
    let request = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(interim, *b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    let echo: Value = serde_json::from_str(&read_answer(&mut stream, false).await.body).unwrap();
    assert_eq!(echo["body_bytes"], 4);
    assert!(echo["headers"].get("expect").is_none());
}

#[tokio::test]
async fn certificates_are_swapped_in_place() {
    let world = World::new().await;
    let (old, new) = (
        super::client::certificate("a.example.com"),
        super::client::certificate("b.example.com"),
    );
    let load_balancer = world.load_balancer("web", "application");
    let certificates = json!({ "Certificates": [{ "CertificateArn": world.certificate(&old) }] });
    let listener = world.listener(&load_balancer, "HTTPS", 443, fixed(200, "ok"), certificates);
    let address = world.address(&listener).await;
    let (mut kept, shown) = super::client::tls(address, "a.example.com", &["http/1.1"]).await;
    assert_eq!(shown, old.der);
    let revision = world.add_certificate(&listener, &world.certificate(&new));
    world
        .wait(|bindings| (bindings.revision >= revision).then_some(()))
        .await;
    assert_eq!(
        super::client::tls(address, "b.example.com", &["http/1.1"])
            .await
            .1,
        new.der
    );
    kept.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    kept.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    let plain = get(address, "h", "/").await;
    assert_eq!(plain.status, 400, "no TLS");
    assert!(
        plain
            .body
            .contains("plain HTTP request was sent to HTTPS port")
    );
}

/// A body whose frames the test sends.
struct ChannelBody(tokio::sync::mpsc::Receiver<Bytes>);

impl http_body::Body for ChannelBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

#[tokio::test]
async fn web_sockets_pass_through() {
    let world = World::new().await;
    let target = stand_in(
        StandInKind::Http,
        "app/web".to_owned(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let alb = world.alb_to(target.port()).await;
    let mut stream = BufReader::new(TcpStream::connect(alb.address).await.unwrap());
    let request = "GET /ws HTTP/1.1\nHost: h\nConnection: keep-alive, Upgrade\nUpgrade: websocket\n\
                   Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n";
    let answer = exchange(&mut stream, request).await;
    assert_eq!(answer.status, 101);
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    stream
        .write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])
        .await
        .unwrap();
    let mut frame = [0; 4];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame, [0x81, 2, b'h', b'i']);
}

#[tokio::test]
async fn http2_and_sni_over_tls() {
    let world = World::new().await;
    let target = stand_in(
        StandInKind::Http,
        "app/web".to_owned(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let (first, second) = (
        super::client::certificate("a.example.com"),
        super::client::certificate("*.example.org"),
    );
    let arns = [&first, &second].map(|certificate| world.certificate(certificate));
    let load_balancer = world.load_balancer("web", "application");
    let target_group = world.target_group("web", "HTTP", json!({}));
    let listener = world.listener(
        &load_balancer,
        "HTTPS",
        443,
        forward(&target_group),
        json!({ "Certificates": [{ "CertificateArn": arns[0] }], "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06" }),
    );
    world.add_certificate(&listener, &arns[1]);
    world.register(&target_group, target.port());
    let address = world.address(&listener).await;

    let shown = |name: &'static str| async move {
        super::client::tls(address, name, &["http/1.1"]).await.1
    };
    assert_eq!(shown("b.example.org").await, second.der);
    assert_eq!(shown("a.example.com").await, first.der);
    assert_eq!(
        shown("x.b.example.org").await,
        first.der,
        "a wildcard is one label; the default answers the rest"
    );

    let (stream, _) = super::client::tls(address, "a.example.com", &["h2"]).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://a.example.com/x?y=1")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(text(""))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let echo: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(echo["version"], "HTTP/1.1");
    assert_eq!(echo["headers"]["host"], "a.example.com");
    assert_eq!(echo["headers"]["cookie"], "a=1; b=2");
    assert_eq!(echo["headers"]["x-forwarded-proto"], "https");
    assert_eq!(echo["headers"]["x-forwarded-port"], "443");
}

#[tokio::test]
async fn http2_target_groups_want_http2_clients() {
    let world = World::new().await;
    let target = stand_in(
        StandInKind::Http,
        "app/grpc".to_owned(),
        CancellationToken::new(),
    )
    .await
    .unwrap();
    let certificate = super::client::certificate("a.example.com");
    let load_balancer = world.load_balancer("web", "application");
    let target_group = world.target_group("web", "HTTP", json!({ "ProtocolVersion": "HTTP2" }));
    let listener = world.listener(
        &load_balancer,
        "HTTPS",
        443,
        forward(&target_group),
        json!({ "Certificates": [{ "CertificateArn": world.certificate(&certificate) }] }),
    );
    world.register(&target_group, target.port());
    let address = world.address(&listener).await;
    let (stream, _) = super::client::tls(address, "a.example.com", &["h2"]).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://a.example.com/")
        .body(text(""))
        .unwrap();
    let body = sender
        .send_request(request)
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    let echo: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&echo["version"], &echo["headers"]["host"]),
        (&json!("HTTP/2"), &json!("a.example.com"))
    );

    let (mut stream, _) = super::client::tls(address, "a.example.com", &["http/1.1"]).await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 464 "), "{answer}");
}

#[tokio::test]
async fn connections_to_targets_are_used_again() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alb = world.alb_to(listener.local_addr().unwrap().port()).await;
    let target = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        for _ in 0..3 {
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                tokio::io::AsyncBufReadExt::read_line(&mut stream, &mut line)
                    .await
                    .unwrap();
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
    };
    let clients = async {
        let mut stream = BufReader::new(TcpStream::connect(alb.address).await.unwrap());
        for _ in 0..3 {
            assert_eq!(
                exchange(&mut stream, "GET / HTTP/1.1\nHost: h\n\n")
                    .await
                    .body,
                "ok"
            );
        }
    };
    tokio::join!(target, clients);
}

#[tokio::test]
async fn a_listener_that_goes_lets_requests_finish() {
    let world = World::new().await;
    let (release, released) = tokio::sync::watch::channel(false);
    let port = backend(move |_| {
        let mut released = released.clone();
        async move {
            released.wait_for(|released| *released).await.unwrap();
            Response::new(text("late"))
        }
    })
    .await;
    let alb = world.alb_to(port).await;
    let other = world.listener(
        &alb.load_balancer,
        "HTTP",
        81,
        fixed(200, "other"),
        json!({}),
    );
    let other_address = world.address(&other).await;
    let mut kept = BufReader::new(TcpStream::connect(other_address).await.unwrap());
    assert_eq!(
        exchange(&mut kept, "GET / HTTP/1.1\nHost: h\n\n")
            .await
            .body,
        "other"
    );

    let mut stream = BufReader::new(TcpStream::connect(alb.address).await.unwrap());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .await
        .unwrap();
    world.wait_for_outstanding(1).await;
    world.delete_listener(&alb.listener);
    world
        .wait(|bindings| bindings.address(&alb.listener).is_none().then_some(()))
        .await;
    release.send(true).unwrap();
    assert_eq!(read_answer(&mut stream, false).await.body, "late");
    assert_eq!(
        stream.read(&mut [0]).await.unwrap(),
        0,
        "and the connection ends"
    );
    assert_eq!(
        exchange(&mut kept, "GET / HTTP/1.1\nHost: h\n\n")
            .await
            .body,
        "other",
        "the other listener's lives"
    );
    tokio::time::timeout(Duration::from_secs(5), world.shut_down())
        .await
        .unwrap();
}

#[tokio::test]
async fn grpc_calls_pass_with_their_trailers() {
    let world = World::new().await;
    let port = backend(|request: Request<hyper::body::Incoming>| async move {
        assert_eq!(request.headers()["te"], "trailers");
        let message = request.into_body().collect().await.unwrap().to_bytes();
        let trailers = HeaderMap::from_iter([(
            HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]);
        Response::new(
            text(message)
                .with_trailers(async { Some(Ok(trailers)) })
                .boxed(),
        )
    })
    .await;
    let certificate = super::client::certificate("a.example.com");
    let load_balancer = world.load_balancer("web", "application");
    let target_group = world.target_group("web", "HTTP", json!({ "ProtocolVersion": "GRPC" }));
    let certificates =
        json!({ "Certificates": [{ "CertificateArn": world.certificate(&certificate) }] });
    let listener = world.listener(
        &load_balancer,
        "HTTPS",
        443,
        forward(&target_group),
        certificates,
    );
    world.register(&target_group, port);
    let address = world.address(&listener).await;
    let (stream, _) = super::client::tls(address, "a.example.com", &["h2"]).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = Request::post("https://a.example.com/pkg.Service/Method")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(text("message"))
        .unwrap();
    let body = sender
        .send_request(request)
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(body.to_bytes(), "message");
}

#[tokio::test]
async fn a_request_outlives_its_target_by_the_deregistration_delay_and_no_longer() {
    let world = World::new().await;
    let silent = backend(|_| std::future::pending()).await;
    let alb = world.alb_to(silent).await;
    world.set_target_group(
        &alb.target_group,
        "deregistration_delay.timeout_seconds",
        "0",
    );
    let deregister = async {
        world.wait_for_outstanding(1).await;
        world.deregister(&alb.target_group, silent);
    };
    let (answer, ()) = tokio::join!(get(alb.address, "h", "/"), deregister);
    assert_eq!(answer.status, 502);
}
