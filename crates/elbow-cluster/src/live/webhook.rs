//! The webhook that puts readiness gates into new pods.
//!
//! In: AdmissionReviews from the API server, over HTTPS. Out: reviews that allow every pod, with a patch
//! for those that a TargetGroupBinding of targets by IP address is going to serve.
//!
//! What always holds: no pod is refused; a certificate that is renewed on disk is used without a
//! restart, and one that cannot be read leaves the last one in use; a client that says nothing holds
//! nothing for long. Which namespaces take part is the API server's to know: the webhook's configuration
//! selects those labelled `elbow_api::names::GATE_INJECTION_LABEL`.

mod certificate;

use std::convert::Infallible;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::readiness::{Gates, inject};
use certificate::Certificate;

/// Where LBC's configuration of the API server sends pods.
pub const POD_PATH: &str = "/mutate-v1-pod";

/// How long a handshake, a request's head and its body may take each. The API server itself gives up
/// after 10 s, its default and LBC's.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a review that are taken. An object has at most 1.5 MiB, and a review may hold two.
const REVIEW_BYTES_MAX: usize = 4 << 20;

/// Where the webhook listens, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where it listens. LBC's port is 9443, on all addresses.
    pub address: SocketAddr,
    /// The certificate and its chain, as PEM.
    pub certificate: PathBuf,
    /// Its key, as PEM.
    pub key: PathBuf,
}

/// Why the webhook does not start.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// The address is taken, or is not an address of this machine.
    #[error("listen for webhooks on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("use the webhook's certificate {}: {message}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

/// A webhook that listens. It answers once [`run`](Self::run) is awaited, and ends when that is dropped.
#[derive(Debug)]
pub struct Webhook {
    listener: TcpListener,
    certificate: Certificate,
    gates: Arc<RwLock<Gates>>,
}

impl Webhook {
    /// Reads the certificate and listens. Whoever holds `gates` keeps them up to date.
    pub async fn bind(
        settings: &WebhookSettings,
        gates: Arc<RwLock<Gates>>,
    ) -> Result<Self, WebhookError> {
        let certificate = Certificate::read(&settings.certificate, &settings.key)?;
        let address = settings.address;
        let listener = match TcpListener::bind(address).await {
            // A node without IPv6.
            Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED => {
                let bound = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await;
                bound.map_err(|_| error)
            }
            bound => bound,
        };
        let listener = listener.map_err(|source| WebhookError::Listen { address, source })?;
        Ok(Self {
            listener,
            certificate,
            gates,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped.
    pub async fn run(self) {
        let Self {
            listener,
            certificate,
            gates,
        } = self;
        let acceptor = TlsAcceptor::from(certificate.server_config());
        let mut connections = JoinSet::new();
        let mut renewal = tokio::time::interval(certificate::LOOK_INTERVAL);
        loop {
            tokio::select! {
                _ = renewal.tick() => certificate.renew(),
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let gates = Arc::clone(&gates);
                        connections.spawn(converse(stream, acceptor.clone(), gates));
                    }
                    Err(error) => {
                        // Out of files, say; others may be closed meanwhile.
                        tracing::warn!(%error, "The webhook cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, acceptor: TlsAcceptor, gates: Arc<RwLock<Gates>>) {
    let stream = match timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "A client of the webhook did not complete its handshake");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(|request| {
        let gates = Arc::clone(&gates);
        async move { Ok::<_, Infallible>(answer(request, &gates).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "A connection to the webhook ended");
    }
}

async fn answer(request: Request<Incoming>, gates: &RwLock<Gates>) -> Response<Full<Bytes>> {
    let is_pod = request.method() == Method::POST && request.uri().path() == POD_PATH;
    if !is_pod {
        return text(StatusCode::NOT_FOUND, "there is no such webhook");
    }
    let body = Limited::new(request.into_body(), REVIEW_BYTES_MAX).collect();
    let Ok(Ok(body)) = timeout(PATIENCE, body).await else {
        return text(StatusCode::BAD_REQUEST, "the review cannot be read");
    };
    let review = {
        let gates = gates.read().unwrap_or_else(PoisonError::into_inner);
        review(&body.to_bytes(), &gates)
    };
    match review {
        Ok(review) => {
            let mut response = text(StatusCode::OK, &review.to_string());
            let json = http::HeaderValue::from_static("application/json");
            response
                .headers_mut()
                .insert(http::header::CONTENT_TYPE, json);
            response
        }
        Err(message) => text(StatusCode::BAD_REQUEST, &message),
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}

/// The answer to an AdmissionReview of a pod; an error if it is none.
fn review(body: &[u8], gates: &Gates) -> Result<Value, String> {
    let review: Value =
        serde_json::from_slice(body).map_err(|error| format!("this is no JSON: {error}"))?;
    let request = &review["request"];
    let (Some(uid), Value::Object(_)) = (request["uid"].as_str(), &request["object"]) else {
        return Err("this is no AdmissionReview of a new object".to_owned());
    };
    let mut response = json!({ "uid": uid, "allowed": true });
    // A pod that is being created may not say its namespace; the request always does.
    let namespace = request["namespace"].as_str().unwrap_or_default();
    let labels = request["object"]["metadata"]["labels"].as_object();
    let labels = labels.into_iter().flatten();
    let labels = labels
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    if let Some(patch) = inject(&request["object"], &gates.of(namespace, &labels)) {
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(BASE64_STANDARD.encode(patch.to_string()));
    }
    Ok(json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    }))
}

#[cfg(test)]
mod tests;
