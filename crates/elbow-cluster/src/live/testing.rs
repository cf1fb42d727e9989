//! A scripted API server for tests.
//!
//! In: requests of a client, and what a test answers to each. Out: the client. Discovery is answered
//! from a list that a test may change; every other request waits for the test. A test that expects a
//! request that never comes fails after minutes of the paused clock, which are no time at all.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tower_test::mock::{self, SendResponse};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_mins(4);

/// A body of an answer.
type Answer = UnsyncBoxBody<Bytes, std::io::Error>;

fn text(text: &str) -> Answer {
    let body = Full::new(Bytes::from(text.to_owned()));
    body.map_err(|never| match never {}).boxed_unsync()
}

/// The API server.
pub(super) struct Server {
    asked: mpsc::UnboundedReceiver<Asked>,
    discovery: Arc<Mutex<Discovery>>,
}

#[derive(Default)]
struct Discovery {
    /// `group/version resource`.
    served: Vec<&'static str>,
    etag: u32,
    n_full: usize,
    is_down: bool,
}

/// A request that waits for its answer.
pub(super) struct Asked {
    /// Method and path.
    pub(super) what: String,
    /// The query, decoded.
    pub(super) query: String,
    /// The content type of the body.
    pub(super) content_type: String,
    /// The body; null if there is none.
    pub(super) body: Value,
    reply: SendResponse<Response<Answer>>,
}

impl Server {
    /// A server that serves these custom resources, each as `group/version resource`, and its client.
    pub(super) fn new(served: &[&'static str]) -> (Self, Client) {
        let (service, mut handle) = mock::pair::<Request<Body>, Response<Answer>>();
        let discovery = Arc::new(Mutex::new(Discovery {
            served: served.to_vec(),
            ..Discovery::default()
        }));
        let (tx, asked) = mpsc::unbounded_channel();
        let of_task = Arc::clone(&discovery);
        tokio::spawn(async move {
            while let Some((request, reply)) = handle.next_request().await {
                let (parts, body) = request.into_parts();
                if parts.uri.path() == "/apis" {
                    let known = parts.headers.get("if-none-match").cloned();
                    let known = known.and_then(|v| v.to_str().ok().map(str::to_owned));
                    reply.send_response(of_task.lock().unwrap().answer(known.as_deref()));
                    continue;
                }
                let content_type = parts.headers.get("content-type").cloned();
                let bytes = body.collect().await.unwrap().to_bytes();
                let asked = Asked {
                    what: format!("{} {}", parts.method, parts.uri.path()),
                    query: parts.uri.query().unwrap_or_default().replace("%3D", "="),
                    content_type: content_type
                        .and_then(|v| v.to_str().ok().map(str::to_owned))
                        .unwrap_or_default(),
                    body: serde_json::from_slice(&bytes).unwrap_or_default(),
                    reply,
                };
                if tx.send(asked).is_err() {
                    return;
                }
            }
        });
        (Self { asked, discovery }, Client::new(service, "default"))
    }

    /// Changes what discovery says.
    pub(super) fn serve(&self, served: &[&'static str]) {
        let mut discovery = self.discovery.lock().unwrap();
        discovery.served = served.to_vec();
        discovery.etag += 1;
    }

    /// Lets discovery fail, or work again.
    pub(super) fn set_discovery_down(&self, is_down: bool) {
        self.discovery.lock().unwrap().is_down = is_down;
    }

    /// How often the whole document was sent.
    pub(super) fn n_full_discoveries(&self) -> usize {
        self.discovery.lock().unwrap().n_full
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Asked {
        let next = timeout(PATIENCE, self.asked.recv()).await;
        next.expect("a request should come")
            .expect("the client should live")
    }

    /// The next request, which is this one.
    #[track_caller]
    pub(super) fn expect(&mut self, what: &'static str) -> impl Future<Output = Asked> {
        let place = std::panic::Location::caller();
        async move {
            let asked = self.next().await;
            assert_eq!(asked.what, what, "expected at {place}");
            asked
        }
    }

    /// That nobody asks for anything for a while.
    pub(super) async fn expect_silence(&mut self) {
        let silence = timeout(Duration::from_mins(1), self.asked.recv()).await;
        if let Ok(Some(asked)) = silence {
            panic!("nothing should be asked, but {} was", asked.what);
        }
    }
}

impl Discovery {
    fn answer(&mut self, known: Option<&str>) -> Response<Answer> {
        if self.is_down {
            return Response::builder()
                .status(StatusCode::SERVICE_UNAVAILABLE)
                .body(text(""))
                .unwrap();
        }
        let etag = format!("\"{}\"", self.etag);
        let response = Response::builder().header("etag", &etag);
        if known == Some(&etag) {
            let response = response.status(StatusCode::NOT_MODIFIED);
            return response.body(text("")).unwrap();
        }
        self.n_full += 1;
        let mut items = vec![json!({ "metadata": { "name": "apps" }, "versions": [] })];
        for served in &self.served {
            let (group_version, resource) = served.split_once(' ').unwrap();
            let (group, version) = group_version.split_once('/').unwrap();
            items.push(json!({
                "metadata": { "name": group },
                "versions": [{ "version": version, "resources": [{ "resource": resource }] }],
            }));
        }
        let body = json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        });
        response.body(text(&body.to_string())).unwrap()
    }
}

impl Asked {
    /// Answers with a JSON body.
    pub(super) fn answer(self, status: u16, body: &Value) {
        let response = Response::builder()
            .status(status)
            .body(text(&body.to_string()))
            .unwrap();
        self.reply.send_response(response);
    }

    /// Answers as an API server does that does not know the path.
    pub(super) fn unknown_path(self) {
        let response = Response::builder()
            .status(StatusCode::NOT_FOUND)
            .body(text("404 page not found\n"))
            .unwrap();
        self.reply.send_response(response);
    }

    /// Answers by closing the connection.
    pub(super) fn hang_up(self) {
        let closed = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        self.reply.send_error(closed);
    }

    /// Answers with an error as the API server words it.
    pub(super) fn refuse(self, code: u16, reason: &str, message: &str) {
        self.answer(code, &status(code, reason, message));
    }

    /// Answers with a list.
    pub(super) fn list(self, resource_version: &str, next_page: &str, items: &[Value]) {
        self.answer(
            200,
            &json!({
                "kind": "List",
                "apiVersion": "v1",
                "metadata": { "resourceVersion": resource_version, "continue": next_page },
                "items": items,
            }),
        );
    }

    /// Answers with a stream of events, which ends when the answer is dropped.
    pub(super) fn stream(self) -> Stream {
        let (tx, rx) = mpsc::unbounded_channel::<String>();
        let lines = futures::stream::unfold(rx, |mut rx| async {
            let line = rx.recv().await?;
            Some((Ok::<_, std::io::Error>(line), rx))
        });
        let frames = lines.map(|line| line.map(|line| Frame::data(Bytes::from(line))));
        let body = StreamBody::new(frames).boxed_unsync();
        self.reply.send_response(Response::new(body));
        Stream(tx)
    }
}

/// A watch that is open.
pub(super) struct Stream(mpsc::UnboundedSender<String>);

impl Stream {
    /// Sends an event, in the order of members that an API server has.
    pub(super) fn event(&self, event_type: &str, object: &Value) {
        let line = format!("{{\"type\":\"{event_type}\",\"object\":{object}}}\n");
        self.0.send(line).expect("the watch should be open");
    }
}

/// An error of the API server.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    })
}
