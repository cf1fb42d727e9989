//! Which custom resources an API server serves, followed for as long as anyone listens.
//!
//! In: an API server. Out: the version in which each kind is best read, at an interval and when asked.
//!
//! It is polled rather than watched. Every service account may read `/apis`, where watching
//! CustomResourceDefinitions needs a right on all of them and says which version is served only in the
//! whole object, with its schema of hundreds of kilobytes. The aggregated document comes with an ETag, so
//! that a poll is one request and, while nothing changes, an answer without a body.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use elbow_api::Kind;
use http::header::{ACCEPT, ETAG, IF_NONE_MATCH};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use kube::core::discovery::v2::{ACCEPT_AGGREGATED_DISCOVERY_V2, APIGroupDiscoveryList};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::error::{chain, unreachable};
use super::kinds;

/// How long an answer may take. The document is made ahead of time, so a second is a long time.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// How soon a poll that failed is repeated.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The version in which each custom kind is best read; a kind that is not there is not served.
pub(super) type Versions = BTreeMap<Kind, &'static str>;

/// Polls until the receiver is dropped. Each poll has an answer, also when nothing changed; `nudge` asks
/// for one at once.
pub(super) fn follow(
    client: Client,
    every: Duration,
    nudge: Arc<Notify>,
) -> mpsc::Receiver<Result<Versions, String>> {
    let (tx, rx) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut last = Last::default();
        loop {
            let answer = last.ask(&client).await;
            let pause = if answer.is_ok() { every } else { RETRY_AFTER };
            if tx.send(answer).await.is_err() {
                return;
            }
            tokio::select! {
                () = tx.closed() => return,
                () = nudge.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    });
    rx
}

/// The last answer, and the tag by which the API server knows it.
#[derive(Default)]
struct Last {
    etag: Option<http::HeaderValue>,
    versions: Versions,
}

impl Last {
    async fn ask(&mut self, client: &Client) -> Result<Versions, String> {
        match timeout(ANSWER_TIME_MAX, self.poll(client)).await {
            Ok(Ok(())) => Ok(self.versions.clone()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(format!(
                "discovery: no answer within {} s",
                ANSWER_TIME_MAX.as_secs()
            )),
        }
    }

    async fn poll(&mut self, client: &Client) -> Result<(), String> {
        let mut request = Request::get("/apis").header(ACCEPT, ACCEPT_AGGREGATED_DISCOVERY_V2);
        if let Some(etag) = &self.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let request = request.body(Body::empty()).map_err(|e| e.to_string())?;
        let response = client.send(request).await.map_err(|error| {
            unreachable(&error).unwrap_or_else(|| format!("discovery: {}", chain(&error)))
        })?;
        match response.status() {
            StatusCode::NOT_MODIFIED => return Ok(()),
            StatusCode::OK => {}
            status => return Err(format!("discovery: the API server answers {status}")),
        }
        let etag = response.headers().get(ETAG).cloned();
        let body = response.into_body().collect().await;
        let body = body
            .map_err(|error| format!("discovery: {}", chain(&error)))?
            .to_bytes();
        let list: APIGroupDiscoveryList = serde_json::from_slice(&body)
            .map_err(|error| format!("discovery: the answer cannot be read: {error}"))?;
        if list.items.is_empty() {
            // What an API server before 1.27 answers has no such field.
            return Err("discovery: the API server has no aggregated discovery".to_owned());
        }
        self.versions = best(&list);
        self.etag = etag;
        Ok(())
    }
}

/// Of the versions of each kind that are served and that this crate reads, the one to use.
fn best(list: &APIGroupDiscoveryList) -> Versions {
    let is_served = |kind: Kind, version: &str| {
        let mut groups = list.items.iter().filter(|group| {
            let name = group.metadata.as_ref().and_then(|m| m.name.as_deref());
            name == Some(kind.group())
        });
        groups.any(|group| {
            group
                .versions
                .iter()
                .filter(|v| v.version.as_deref() == Some(version))
                .flat_map(|v| &v.resources)
                .any(|r| r.resource.as_deref() == Some(kinds::plural(kind)))
        })
    };
    Kind::ALL
        .into_iter()
        .filter(|kind| !kinds::is_built_in(*kind))
        .filter_map(|kind| {
            let mut versions = kinds::versions(kind).iter().copied();
            Some((kind, versions.find(|version| is_served(kind, version))?))
        })
        .collect()
}
