//! Health, readiness and metrics over HTTP.
//!
//! In: where to listen, and what the driver says of itself. Out: `/healthz`, `/readyz`, `/metrics`. What
//! always holds: nothing else is answered, and no request waits for the driver. One that hangs is not
//! healthy: the lease is renewed beside it, so that nobody else would take its place.
//!
//! kubert's admin server has other paths than LBC's probes ask for, and its crate brings a second kube.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// How long a client may take to ask. Probes take milliseconds; others must not hold connections.
const HEADER_TIME_MAX: Duration = Duration::from_secs(5);

/// After so long without a word from its loop the process counts as hung. The loop turns every ten seconds
/// at least, and no turn takes one.
const SILENCE_TIME_MAX: Duration = Duration::from_mins(1);

/// Whether the process can take over and its webhook be asked: its Snapshot is complete, and the webhook,
/// if it has one, answers. And whether its loop turns.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    /// Cancelled once the Snapshot is complete.
    has_snapshot: CancellationToken,
    lacks_webhook: AtomicBool,
    /// When the loop turned last; none before it begins.
    beat: Mutex<Option<Instant>>,
}

impl Readiness {
    /// The Snapshot is complete, and may be read as a whole. Stays so.
    pub fn set_ready(&self) {
        self.0.has_snapshot.cancel();
    }

    /// Waits until the Snapshot is complete.
    pub async fn snapshot(&self) {
        self.0.has_snapshot.cancelled().await;
    }

    /// The loop turns.
    pub fn beat(&self) {
        *self.0.beat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether the loop turns, or has not begun.
    pub fn is_alive(&self) -> bool {
        let beat = *self.0.beat.lock().unwrap_or_else(PoisonError::into_inner);
        beat.is_none_or(|at| at.elapsed() < SILENCE_TIME_MAX)
    }

    /// Whether there is to be a webhook that does not answer.
    pub fn lacks_webhook(&self, lacks: bool) {
        self.0.lacks_webhook.store(lacks, Ordering::Release);
    }

    /// Whether it is ready.
    pub fn is_ready(&self) -> bool {
        self.missing().is_none()
    }

    /// What it waits for.
    fn missing(&self) -> Option<&'static str> {
        if !self.0.has_snapshot.is_cancelled() {
            return Some(
                "the objects of the cluster are still being read, or may not be (see the log)",
            );
        }
        let lacks_webhook = self.0.lacks_webhook.load(Ordering::Acquire);
        lacks_webhook.then_some("the webhook does not answer")
    }
}

/// What an address answers.
#[derive(Debug, Clone)]
pub enum Service {
    /// `/healthz` and `/readyz`.
    Health(Readiness),
    /// `/metrics`.
    Metrics(Metrics),
}

/// Listens on an address.
pub async fn bind(address: &str) -> std::io::Result<TcpListener> {
    // Go's way of saying "on all addresses".
    let address = match address.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => address.to_owned(),
    };
    match TcpListener::bind(&address).await {
        // A node without IPv6.
        Err(error) if address.starts_with("[::]:") => {
            let port = address.trim_start_matches("[::]:");
            TcpListener::bind(format!("0.0.0.0:{port}"))
                .await
                .map_err(|_| error)
        }
        bound => bound,
    }
}

/// Answers until cancelled.
pub async fn serve(listener: TcpListener, service: Service, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, _): (_, SocketAddr) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, as a rule; they come back.
                tracing::warn!(%error, "Cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = service.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let response = answer(&service, request.method(), request.uri().path());
                async move { Ok::<_, Infallible>(response) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIME_MAX)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            if let Err(error) = served {
                tracing::trace!(%error, "A connection ended early");
            }
        });
    }
}

fn answer(service: &Service, method: &Method, path: &str) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET is answered\n".to_owned(),
        );
    }
    match (service, path) {
        (Service::Health(readiness), "/healthz") if !readiness.is_alive() => {
            let why = "the controller's loop has not turned for a minute\n";
            text(StatusCode::SERVICE_UNAVAILABLE, why.to_owned())
        }
        (Service::Health(_), "/healthz") => text(StatusCode::OK, "ok\n".to_owned()),
        (Service::Health(readiness), "/readyz") => match readiness.missing() {
            None => text(StatusCode::OK, "ok\n".to_owned()),
            Some(missing) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
        },
        (Service::Metrics(metrics), "/metrics") => {
            let mut response = text(StatusCode::OK, metrics.encode());
            let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            let form = header::HeaderValue::from_static(form);
            response.headers_mut().insert(header::CONTENT_TYPE, form);
            response
        }
        _ => text(StatusCode::NOT_FOUND, "there is nothing here\n".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_answers_its_own_paths() {
        let ready = Readiness::default();
        ready.set_ready();
        let deaf = Readiness::default();
        deaf.set_ready();
        deaf.lacks_webhook(true);
        let metrics = Service::Metrics(Metrics::new());
        let rows = [
            (Service::Health(Readiness::default()), "/healthz", 200),
            (Service::Health(Readiness::default()), "/readyz", 503),
            (Service::Health(deaf), "/readyz", 503),
            (Service::Health(ready.clone()), "/readyz", 200),
            (Service::Health(ready), "/metrics", 404),
            (metrics.clone(), "/metrics", 200),
            (metrics, "/healthz", 404),
        ];
        for (service, path, status) in rows {
            let response = answer(&service, &Method::GET, path);
            assert_eq!(response.status().as_u16(), status, "{service:?} {path}");
        }
    }
    #[tokio::test(start_paused = true)]
    async fn a_loop_that_hangs_is_not_healthy() {
        let readiness = Readiness::default();
        let status = || {
            let service = Service::Health(readiness.clone());
            answer(&service, &Method::GET, "/healthz").status().as_u16()
        };
        tokio::time::advance(Duration::from_mins(10)).await;
        assert_eq!(
            status(),
            200,
            "it has not begun: AWS is being asked for the VPC, say"
        );
        readiness.beat();
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(status(), 200);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(status(), 503);
        readiness.beat();
        assert_eq!(status(), 200);
    }
}
