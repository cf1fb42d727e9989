//! Carries out the health checks that fall due.
//!
//! In: due probes from the emulator. Out: what came back from each target, told to the emulator,
//! which judges it. Always: each probe has a connection of its own, closed afterwards; redirects
//! are not followed; certificates are not validated. Intervals and timeouts run on the emulator's
//! clock, since they are AWS's waits and not a peer's.

use std::sync::Arc;
use std::time::Duration;

use elbow_emulator::elbv2::probes::{Probe, ProbeAddress, ProbeKind, ProbeOutcome};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::body::{empty, full};
use super::plane::Plane;
use super::proxy_protocol;
use super::tls::target_alpn;
use super::upstream::{connect_tcp, connect_tls, handshake_http1, handshake_http2};

/// What health checks call themselves, "Health checks for Application Load Balancer target groups".
const AGENT: HeaderValue = HeaderValue::from_static("ELB-HealthChecker/2.0");

/// The shortest real time that a target gets to answer. A fast clock makes AWS's few seconds so
/// short that a healthy process on a busy machine would miss them.
const TIMEOUT_MIN: Duration = Duration::from_millis(500);

/// The shortest real time between two rounds of checks. The emulator lets a probe that is not
/// reported before the next one is due go for nothing, and a fast clock could make that the fate of
/// all.
const ROUND_MIN: Duration = Duration::from_millis(100);

/// A gRPC message of no bytes: not compressed, length 0.
const EMPTY_GRPC_MESSAGE: &[u8] = &[0; 5];

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Checks targets until the shutdown.
pub(crate) async fn run(plane: Arc<Plane>) {
    let mut changes = plane.emulator.changes();
    loop {
        let (due, next) = plane.emulator.with(|emulator, now| {
            let due = emulator.due_probes(now);
            let with_header = |probe: Probe| {
                let proxy_protocol = emulator.sends_proxy_protocol(&probe.target_group_arn);
                (probe, proxy_protocol)
            };
            (
                due.into_iter().map(with_header).collect::<Vec<_>>(),
                emulator.next_probe_at(),
            )
        });
        let pause = if due.is_empty() {
            Duration::ZERO
        } else {
            ROUND_MIN
        };
        for (probe, proxy_protocol) in due {
            let check = check(Arc::clone(&plane), probe, proxy_protocol);
            let shutdown = plane.shutdown.clone();
            plane
                .tasks
                .spawn(async move { shutdown.run_until_cancelled(check).await });
        }
        let due = async {
            tokio::time::sleep(pause).await;
            match next {
                Some(at) => plane.emulator.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            changed = after(pause, changes.changed()) => {
                if changed.is_err() {
                    return;
                }
            }
            () = plane.shutdown.cancelled() => return,
        }
    }
}

async fn after<T>(pause: Duration, then: impl Future<Output = T>) -> T {
    tokio::time::sleep(pause).await;
    then.await
}

async fn check(plane: Arc<Plane>, probe: Probe, proxy_protocol: bool) {
    let patience = plane
        .emulator
        .clock()
        .real(Duration::from_millis(probe.timeout_ms))
        .max(TIMEOUT_MIN);
    let outcome = match tokio::time::timeout(patience, knock(&plane, &probe, proxy_protocol)).await
    {
        Ok(outcome) => outcome,
        Err(_) => ProbeOutcome::Timeout,
    };
    tracing::debug!(target_group = %probe.target_group_arn, target = %probe.target_id, ?outcome, "Health check");
    plane
        .emulator
        .with(|emulator, now| emulator.report_probe(now, probe.id, outcome));
}

async fn knock(plane: &Plane, probe: &Probe, proxy_protocol: bool) -> ProbeOutcome {
    let place = match &probe.address {
        ProbeAddress::Ip(address) => Some((plane.dial)(*address, probe.port)),
        ProbeAddress::LoadBalancer(arn) => plane.locate_load_balancer(arn, probe.port),
    };
    let Some(place) = place else {
        return ProbeOutcome::Refused;
    };
    let address = match probe.address {
        ProbeAddress::Ip(address) => address,
        // A load balancer is known by the address that it is served at.
        ProbeAddress::LoadBalancer(_) => place.ip(),
    };
    let Ok(mut stream) = connect_tcp(place).await else {
        return ProbeOutcome::Refused;
    };
    if proxy_protocol
        && stream
            .write_all(&proxy_protocol::local_header())
            .await
            .is_err()
    {
        return ProbeOutcome::Refused;
    }
    let outcome = match &probe.kind {
        ProbeKind::Tcp => Ok(ProbeOutcome::Passed),
        ProbeKind::Http { tls, http2, path } => {
            let default_port = if *tls { 443 } else { 80 };
            let host = if probe.port == default_port {
                host(address)
            } else {
                format!("{}:{}", host(address), probe.port)
            };
            ask(stream, *tls, *http2, path, &host).await
        }
        ProbeKind::Grpc { tls, path } => call(stream, *tls, path, &host(address)).await,
    };
    outcome.unwrap_or(ProbeOutcome::Malformed)
}

fn host(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    }
}

type Malformed = Box<dyn std::error::Error + Send + Sync>;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn secured(
    stream: TcpStream,
    tls: bool,
    http2: bool,
) -> Result<TokioIo<Box<dyn Stream>>, Malformed> {
    let stream: Box<dyn Stream> = if tls {
        Box::new(connect_tls(stream, target_alpn(http2)).await?)
    } else {
        Box::new(stream)
    };
    Ok(TokioIo::new(stream))
}

/// One GET.
async fn ask(
    stream: TcpStream,
    tls: bool,
    http2: bool,
    path: &str,
    host: &str,
) -> Result<ProbeOutcome, Malformed> {
    let stream = secured(stream, tls, http2).await?;
    let response = if http2 {
        let scheme = if tls { "https" } else { "http" };
        let request = Request::get(format!("{scheme}://{host}{path}"))
            .header(USER_AGENT, AGENT)
            .body(empty())?;
        handshake_http2(stream).await?.send_request(request).await?
    } else {
        let request = Request::get(path)
            .header(HOST, host)
            .header(USER_AGENT, AGENT)
            .header(CONNECTION, "close")
            .body(empty())?;
        handshake_http1(stream).await?.send_request(request).await?
    };
    Ok(ProbeOutcome::HttpStatus(response.status().as_u16()))
}

/// One gRPC call with an empty message.
async fn call(
    stream: TcpStream,
    tls: bool,
    path: &str,
    host: &str,
) -> Result<ProbeOutcome, Malformed> {
    let scheme = if tls { "https" } else { "http" };
    let request = Request::post(format!("{scheme}://{host}{path}"))
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .body(full(EMPTY_GRPC_MESSAGE))?;
    let mut sender = handshake_http2(secured(stream, tls, true).await?).await?;
    let response = sender.send_request(request).await?;
    let status = |headers: &HeaderMap| headers.get(GRPC_STATUS)?.to_str().ok()?.parse().ok();
    // An answer without a message has its status among the headers.
    let in_headers: Option<u32> = status(response.headers());
    let mut body = response.into_body();
    let mut in_trailers = None;
    while let Some(frame) = body.frame().await {
        in_trailers = frame?.trailers_ref().and_then(status);
    }
    let status = in_trailers.or(in_headers);
    Ok(status.map_or(ProbeOutcome::Malformed, ProbeOutcome::GrpcStatus))
}
