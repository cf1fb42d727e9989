//! Candidates against an API server that holds one Lease. Time is paused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Leadership, LeaseSettings, elect};

/// The API server's store.
#[derive(Default)]
struct Store {
    lease: Option<Value>,
    version: u64,
    is_down: bool,
    /// Somebody else always writes first.
    is_contended: bool,
}

impl Store {
    fn answer(&mut self, method: &Method, body: &[u8]) -> (u16, Value) {
        if self.is_down {
            return (503, status(503, "ServiceUnavailable"));
        }
        match *method {
            Method::GET => match &self.lease {
                Some(lease) => (200, lease.clone()),
                None => (404, status(404, "NotFound")),
            },
            Method::POST if self.lease.is_some() => (409, status(409, "AlreadyExists")),
            _ => {
                let mut lease: Value = serde_json::from_slice(body).unwrap();
                let current = self
                    .lease
                    .as_ref()
                    .map(|l| &l["metadata"]["resourceVersion"]);
                let is_stale = current != Some(&lease["metadata"]["resourceVersion"]);
                if *method == Method::PUT && (is_stale || self.is_contended) {
                    return (409, status(409, "Conflict"));
                }
                self.version += 1;
                lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
                self.lease = Some(lease.clone());
                (200, lease)
            }
        }
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code,
    })
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<Store>>);

impl Server {
    fn with<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let (code, value) = server.with(|store| store.answer(&head.method, &body));
                let mut response = Response::new(Body::from(value.to_string().into_bytes()));
                *response.status_mut() = StatusCode::from_u16(code).unwrap();
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        Client::new(service, "kube-system")
    }

    fn spec(&self) -> Value {
        self.with(|store| store.lease.clone().unwrap_or_default()["spec"].clone())
    }
}

struct Candidate {
    leadership: watch::Receiver<Leadership>,
    release: CancellationToken,
    task: JoinHandle<()>,
}

impl Candidate {
    fn start(server: &Server, identity: &str) -> Self {
        Self::start_after(server, identity, std::future::ready(()))
    }

    fn start_after(
        server: &Server,
        identity: &str,
        begin: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let release = CancellationToken::new();
        let settings = LeaseSettings {
            namespace: "kube-system".to_owned(),
            name: "aws-load-balancer-controller-leader".to_owned(),
            identity: identity.to_owned(),
        };
        let (leadership, task) = elect(server.client(), settings, begin, release.clone());
        Self {
            leadership,
            release,
            task,
        }
    }

    fn now(&self) -> Leadership {
        *self.leadership.borrow()
    }

    /// How long it takes until the candidate is that.
    async fn becomes(&mut self, wanted: Leadership) -> Duration {
        let since = Instant::now();
        let became = self.leadership.wait_for(|l| *l == wanted);
        let became = tokio::time::timeout(Duration::from_mins(5), became).await;
        assert!(became.is_ok_and(|b| b.is_ok()), "never {wanted:?}");
        since.elapsed()
    }
}

/// Lets time pass: the paused clock jumps from one wait to the next, so it takes none.
async fn pass(seconds: u64) {
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_stands_by() {
    let server = Server::default();
    let mut first = Candidate::start(&server, "first");
    first.becomes(Leadership::Leader).await;
    let second = Candidate::start(&server, "second");
    pass(300).await;
    assert_eq!(
        (first.now(), second.now()),
        (Leadership::Leader, Leadership::Standby)
    );
    let spec = server.spec();
    assert_eq!(spec["holderIdentity"], "first");
    assert_eq!(spec["leaseDurationSeconds"], 15);
    assert_eq!(spec["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_handed_over_is_taken_within_a_second() {
    let server = Server::default();
    let mut first = Candidate::start(&server, "first");
    first.becomes(Leadership::Leader).await;
    let mut second = Candidate::start(&server, "second");
    pass(7).await;
    first.release.cancel();
    let took = second.becomes(Leadership::Leader).await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
    first.task.await.unwrap();
    assert_eq!(*first.leadership.borrow(), Leadership::Released);
    assert_eq!(server.spec()["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_one_that_died_runs_out() {
    let server = Server::default();
    let mut first = Candidate::start(&server, "first");
    first.becomes(Leadership::Leader).await;
    let mut second = Candidate::start(&server, "second");
    pass(7).await;
    first.task.abort();
    let took = second.becomes(Leadership::Leader).await;
    let expected = Duration::from_secs(13)..Duration::from_secs(17);
    assert!(expected.contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_another_may_start() {
    let server = Server::default();
    let mut first = Candidate::start(&server, "first");
    first.becomes(Leadership::Leader).await;
    pass(7).await;
    server.with(|store| store.is_down = true);
    let since = Instant::now();
    first.becomes(Leadership::Lost).await;
    assert!(
        since.elapsed() <= Duration::from_secs(12),
        "{:?}",
        since.elapsed()
    );
    server.with(|store| store.is_down = false);
    let mut second = Candidate::start(&server, "second");
    second.becomes(Leadership::Leader).await;
    // Lost is for ever.
    assert_eq!(first.now(), Leadership::Lost);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_not_ready_leaves_the_lease_to_others() {
    let server = Server::default();
    let ready = CancellationToken::new();
    let begin = ready.clone().cancelled_owned();
    let mut first = Candidate::start_after(&server, "first", begin);
    pass(60).await;
    assert_eq!(server.spec(), Value::Null);
    ready.cancel();
    first.becomes(Leadership::Leader).await;
    let never = Candidate::start_after(&server, "never", std::future::pending());
    never.release.cancel();
    never.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_refused_is_none() {
    let server = Server::default();
    let mut first = Candidate::start(&server, "first");
    first.becomes(Leadership::Leader).await;
    pass(7).await;
    // Nobody sees the Lease change any more, though it can be read, and names the first.
    server.with(|store| store.is_contended = true);
    let took = first.becomes(Leadership::Lost).await;
    assert!(took <= Duration::from_secs(12), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_nobody_the_lead() {
    let server = Server::default();
    let mut first = Candidate::start(&server, "first");
    first.becomes(Leadership::Leader).await;
    for _ in 0..5 {
        pass(20).await;
        server.with(|store| store.is_down = true);
        pass(5).await;
        server.with(|store| store.is_down = false);
    }
    assert_eq!(first.now(), Leadership::Leader);
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_clock_is_wrong_keeps_its_lease() {
    let server = Server::default();
    // LBC on a node whose clock is a year behind.
    let renew = |n: u32| {
        server.with(|store| {
            store.version += 1;
            store.lease = Some(json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {
                    "name": "aws-load-balancer-controller-leader", "namespace": "kube-system",
                    "resourceVersion": store.version.to_string(),
                },
                "spec": {
                    "holderIdentity": "lbc-6f9_12ab", "leaseDurationSeconds": 15,
                    "acquireTime": "2025-01-01T00:00:00.000000Z",
                    "renewTime": format!("2025-01-01T00:{:02}:{:02}.000000Z", n / 60, n % 60),
                    "leaseTransitions": 3,
                },
            }));
        });
    };
    renew(0);
    let mut ours = Candidate::start(&server, "ours");
    for n in 1..60 {
        pass(2).await;
        renew(n);
    }
    assert_eq!(ours.now(), Leadership::Standby);
    ours.becomes(Leadership::Leader).await;
    assert_eq!(server.spec()["leaseTransitions"], 4);
}
