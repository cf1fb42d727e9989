//! Watches on a scripted API server: in, its answers; out, the events, in their order and no others.

use std::collections::BTreeSet;
use std::time::Duration;

use elbow_api::{Kind, ObjectRef};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::*;
use crate::live::testing::{Asked, Server, status};

const ROUTES: &str = "GET /apis/gateway.networking.k8s.io/v1/httproutes";
const HTTP_V1: &str = "gateway.networking.k8s.io/v1 httproutes";
const TCP_V1ALPHA2: &str = "gateway.networking.k8s.io/v1alpha2 tcproutes";
const TCP_V1: &str = "gateway.networking.k8s.io/v1 tcproutes";

/// A watch of some kinds, on a scripted API server.
struct Setup {
    server: Server,
    events: mpsc::Receiver<Event>,
    named: watch::Sender<BTreeSet<ObjectRef>>,
    served: Served,
}

fn setup(served: &[&'static str], kinds: &[Kind]) -> Setup {
    setup_with(served, kinds, None)
}

fn setup_with(served: &[&'static str], kinds: &[Kind], namespace: Option<&str>) -> Setup {
    let (server, client) = Server::new(served);
    let (names, named) = watch::channel(BTreeSet::new());
    let settings = WatchSettings {
        namespace: namespace.map(str::to_owned),
        kinds: kinds.iter().copied().collect(),
        ..WatchSettings::default()
    };
    let view = Served::default();
    Setup {
        server,
        events: super::watch(client, view.clone(), settings, named),
        named: names,
        served: view,
    }
}

impl Setup {
    /// The next event, in few words.
    async fn event(&mut self) -> String {
        let event = timeout(Duration::from_mins(4), self.events.recv()).await;
        say(&event
            .expect("an event should come")
            .expect("the watch should live"))
    }

    /// That these events come, and in this order.
    async fn expect(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.event().await, *expected);
        }
    }

    async fn silence(&mut self) {
        let silence = timeout(Duration::from_secs(30), self.events.recv()).await;
        if let Ok(Some(event)) = silence {
            panic!("nothing should happen, but: {}", say(&event));
        }
    }
}

fn say(event: &Event) -> String {
    match event {
        Event::Changed(changes) => {
            let changes: Vec<_> = changes
                .iter()
                .map(|change| match change {
                    Change::Apply(object) => format!("+{}", object.object_ref()),
                    Change::Remove(object) => format!("-{object}"),
                })
                .collect();
            changes.join(", ")
        }
        Event::Synced => "synced".to_owned(),
        Event::Served { kind, version } => format!("{kind} {version}"),
        Event::Missing { kind, why } => format!("no {kind}: {why}"),
        Event::Named {
            object,
            refused: None,
        } => format!("looked up {object}"),
        Event::Named {
            object,
            refused: Some(why),
        } => format!("no {object}: {why}"),
        Event::Trouble { kind, message } => match kind {
            Some(kind) => format!("trouble with {kind}: {message}"),
            None => format!("trouble: {message}"),
        },
    }
}

fn route(name: &str, version: u32) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": name,
            "namespace": "app",
            "resourceVersion": version.to_string(),
            "uid": format!("uid-{name}"),
            "managedFields": [{ "manager": "kubectl" }],
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
        },
        "spec": { "parentRefs": [{ "name": "web" }] },
    })
}

fn tcp_route(version: &str) -> Value {
    json!({
        "apiVersion": format!("gateway.networking.k8s.io/{version}"),
        "kind": "TCPRoute",
        "metadata": { "name": "db", "namespace": "app", "resourceVersion": "7" },
        "spec": { "parentRefs": [{ "name": "net" }], "rules": [{ "backendRefs": [{ "name": "db", "port": 1 }] }] },
    })
}

fn bookmark(version: u32) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "resourceVersion": version.to_string(), "creationTimestamp": null },
        "spec": {},
    })
}

/// Where in a query a watch starts.
fn starts_at(asked: &Asked) -> &str {
    let parameter = asked
        .query
        .split('&')
        .find(|p| p.starts_with("resourceVersion="));
    parameter.unwrap_or("none")
}

#[tokio::test(start_paused = true)]
async fn lists_page_by_page_then_follows() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    let first = setup.server.expect(ROUTES).await;
    assert!(first.query.contains("limit=100"), "{}", first.query);
    first.list("5", "more", &[route("a", 1)]);
    let second = setup.server.expect(ROUTES).await;
    assert!(second.query.contains("continue=more"), "{}", second.query);
    setup.expect(&["+HTTPRoute app/a"]).await;
    second.list("5", "", &[route("b", 2)]);
    setup
        .expect(&["+HTTPRoute app/b", "HTTPRoute v1", "synced"])
        .await;
    let watch = setup.server.expect(ROUTES).await;
    assert!(
        watch.query.contains("allowWatchBookmarks=true"),
        "{}",
        watch.query
    );
    assert_eq!(starts_at(&watch), "resourceVersion=5");
    let stream = watch.stream();
    stream.event("MODIFIED", &route("a", 6));
    stream.event("DELETED", &route("b", 7));
    let seen = format!("{}, {}", setup.event().await, "");
    assert!(seen.starts_with("+HTTPRoute app/a"), "{seen}");
    if !seen.contains("-HTTPRoute app/b") {
        setup.expect(&["-HTTPRoute app/b"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn keeps_of_an_object_what_is_read() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    setup
        .server
        .expect(ROUTES)
        .await
        .list("5", "", &[route("a", 1)]);
    let Some(Event::Changed(changes)) = setup.events.recv().await else {
        panic!("the route should come first");
    };
    let [Change::Apply(object)] = changes.as_slice() else {
        panic!("one route should come");
    };
    assert_eq!(object.metadata().managed_fields, None);
    assert_eq!(object.metadata().annotations, Some(BTreeMap::new()));
    assert_eq!(object.metadata().resource_version.as_deref(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_closed_by_a_list_that_says_only_what_differs() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    let list = setup.server.expect(ROUTES).await;
    list.list("5", "", &[route("a", 1), route("b", 2), route("c", 3)]);
    setup
        .expect(&[
            "+HTTPRoute app/a, +HTTPRoute app/b, +HTTPRoute app/c",
            "HTTPRoute v1",
            "synced",
        ])
        .await;
    let stream = setup.server.expect(ROUTES).await.stream();
    stream.event("ERROR", &status(410, "Expired", "too old resource version"));
    let list = setup.server.expect(ROUTES).await;
    assert_eq!(starts_at(&list), "none");
    list.list("90", "", &[route("a", 1), route("c", 80), route("d", 81)]);
    setup
        .expect(&["+HTTPRoute app/c, +HTTPRoute app/d, -HTTPRoute app/b"])
        .await;
    let watch = setup.server.expect(ROUTES).await;
    assert_eq!(starts_at(&watch), "resourceVersion=90");
}

#[tokio::test(start_paused = true)]
async fn a_watch_refused_with_410_begins_anew() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    setup
        .server
        .expect(ROUTES)
        .await
        .list("5", "", &[route("a", 1)]);
    setup
        .expect(&["+HTTPRoute app/a", "HTTPRoute v1", "synced"])
        .await;
    let watch = setup.server.expect(ROUTES).await;
    watch.refuse(410, "Expired", "too old resource version");
    let list = setup.server.expect(ROUTES).await;
    assert_eq!(starts_at(&list), "none");
    list.list("9", "", &[]);
    setup.expect(&["-HTTPRoute app/a"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_goes_on_from_the_last_bookmark() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    setup.server.expect(ROUTES).await.list("5", "", &[]);
    setup.expect(&["HTTPRoute v1", "synced"]).await;
    let stream = setup.server.expect(ROUTES).await.stream();
    stream.event("BOOKMARK", &bookmark(40));
    drop(stream);
    let watch = setup.server.expect(ROUTES).await;
    assert_eq!(starts_at(&watch), "resourceVersion=40");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_restarts_removes_nothing() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    setup
        .server
        .expect(ROUTES)
        .await
        .list("5", "", &[route("a", 1)]);
    setup
        .expect(&["+HTTPRoute app/a", "HTTPRoute v1", "synced"])
        .await;
    let stream = setup.server.expect(ROUTES).await.stream();
    // It knows no custom resources at first, in discovery, and says 503 to who asks for them.
    setup.server.serve(&[]);
    drop(stream);
    for _ in 0..2 * FAILURES_MAX {
        let asked = setup.server.expect(ROUTES).await;
        asked.refuse(503, "ServiceUnavailable", "the server is starting");
    }
    let trouble = setup.event().await;
    assert!(trouble.starts_with("trouble with HTTPRoute: "), "{trouble}");
    setup.server.serve(&[HTTP_V1]);
    let watch = setup.server.expect(ROUTES).await;
    assert_eq!(starts_at(&watch), "resourceVersion=5");
    watch.stream().event("ADDED", &route("b", 8));
    setup.expect(&["+HTTPRoute app/b"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_fails_again_and_again_begins_anew() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    setup.server.expect(ROUTES).await.list("5", "", &[]);
    for _ in 0..FAILURES_MAX {
        let asked = setup.server.expect(ROUTES).await;
        assert_eq!(starts_at(&asked), "resourceVersion=5");
        asked.refuse(504, "Timeout", "Too large resource version");
    }
    let list = setup.server.expect(ROUTES).await;
    assert_eq!(starts_at(&list), "none");
}

#[tokio::test(start_paused = true)]
async fn a_kind_installed_later_is_picked_up() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute, Kind::TcpRoute]);
    for _ in 0..2 {
        let asked = setup.server.next().await;
        if asked.what == ROUTES {
            asked.list("5", "", &[]);
        } else {
            assert_eq!(
                asked.what,
                "GET /apis/gateway.networking.k8s.io/v1/tcproutes"
            );
            asked.unknown_path();
        }
    }
    let mut events = BTreeSet::new();
    for _ in 0..2 {
        events.insert(setup.event().await);
    }
    let missing = "no TCPRoute: its CustomResourceDefinition is not installed".to_owned();
    assert_eq!(events, BTreeSet::from(["HTTPRoute v1".to_owned(), missing]));
    setup.expect(&["synced"]).await;
    let _stream = setup.server.expect(ROUTES).await.stream();
    assert_eq!(setup.served.version(Kind::TcpRoute), None);
    setup.silence().await;
    assert_eq!(setup.server.n_full_discoveries(), 1, "the rest is 304");

    setup.server.serve(&[HTTP_V1, TCP_V1ALPHA2]);
    let list = setup.server.next().await;
    assert_eq!(
        list.what,
        "GET /apis/gateway.networking.k8s.io/v1alpha2/tcproutes"
    );
    list.list("9", "", &[tcp_route("v1alpha2")]);
    setup
        .expect(&["+TCPRoute app/db", "TCPRoute v1alpha2"])
        .await;
    assert_eq!(setup.served.version(Kind::TcpRoute), Some("v1alpha2"));
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_is_moved_to_without_a_change_of_objects() {
    let mut setup = setup(&[TCP_V1ALPHA2], &[Kind::TcpRoute]);
    setup
        .server
        .next()
        .await
        .list("9", "", &[tcp_route("v1alpha2")]);
    setup
        .expect(&["+TCPRoute app/db", "TCPRoute v1alpha2", "synced"])
        .await;
    let _stream = setup.server.next().await.stream();
    setup.server.serve(&[TCP_V1ALPHA2, TCP_V1]);
    let list = setup.server.next().await;
    assert_eq!(
        list.what,
        "GET /apis/gateway.networking.k8s.io/v1/tcproutes"
    );
    list.list("9", "", &[tcp_route("v1")]);
    setup.expect(&["TCPRoute v1"]).await;
    assert_eq!(setup.served.version(Kind::TcpRoute), Some("v1"));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_goes_away_takes_its_objects_with_it() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    setup
        .server
        .expect(ROUTES)
        .await
        .list("5", "", &[route("a", 1)]);
    setup
        .expect(&["+HTTPRoute app/a", "HTTPRoute v1", "synced"])
        .await;
    let stream = setup.server.expect(ROUTES).await.stream();
    setup.server.serve(&[]);
    setup.silence().await; // Discovery alone says nothing.
    drop(stream);
    let watch = setup.server.expect(ROUTES).await;
    assert_eq!(starts_at(&watch), "resourceVersion=5");
    watch.unknown_path();
    let trouble = setup.event().await;
    assert!(trouble.starts_with("trouble with HTTPRoute: "), "{trouble}");
    let list = setup.server.expect(ROUTES).await;
    assert_eq!(starts_at(&list), "none");
    list.unknown_path();
    setup
        .expect(&[
            "-HTTPRoute app/a",
            "no HTTPRoute: its CustomResourceDefinition is not installed",
        ])
        .await;
    // And back again.
    setup.server.serve(&[HTTP_V1]);
    loop {
        let asked = setup.server.expect(ROUTES).await;
        if starts_at(&asked) == "none" {
            asked.list("70", "", &[route("a", 66)]);
            break;
        }
        asked.unknown_path();
    }
    setup.expect(&["+HTTPRoute app/a", "HTTPRoute v1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_forbidden_is_said_once_and_tried_again() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    let words =
        "httproutes.gateway.networking.k8s.io is forbidden: User \"u\" cannot list resource";
    for _ in 0..3 {
        let asked = setup.server.expect(ROUTES).await;
        asked.refuse(403, "Forbidden", words);
    }
    let why = "RBAC does not allow list and watch on httproutes.gateway.networking.k8s.io";
    setup
        .expect(&[&format!("no HTTPRoute: {why}: {words}"), "synced"])
        .await;
    setup
        .server
        .expect(ROUTES)
        .await
        .list("5", "", &[route("a", 1)]);
    setup.expect(&["+HTTPRoute app/a", "HTTPRoute v1"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_costs_itself_alone() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    let mut broken = route("broken", 2);
    broken["spec"] = json!({ "rules": "none" });
    let list = setup.server.expect(ROUTES).await;
    list.list("5", "", &[route("a", 1), broken, route("c", 3)]);
    setup
        .expect(&[
            "+HTTPRoute app/a, +HTTPRoute app/c",
            "HTTPRoute v1",
            "synced",
        ])
        .await;
    let trouble = setup.event().await;
    assert!(
        trouble.contains("HTTPRoute app/broken cannot be read"),
        "{trouble}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_namespace_is_watched_where_there_are_namespaces() {
    let mut setup = setup_with(&[HTTP_V1], &[Kind::HttpRoute, Kind::Node], Some("app"));
    let mut asked = BTreeSet::new();
    for _ in 0..2 {
        let next = setup.server.next().await;
        asked.insert(next.what.clone());
        next.list("5", "", &[]);
    }
    let routes = "GET /apis/gateway.networking.k8s.io/v1/namespaces/app/httproutes";
    let expected = ["GET /api/v1/nodes", routes].map(str::to_owned);
    assert_eq!(asked, BTreeSet::from(expected));
}

#[tokio::test(start_paused = true)]
async fn objects_are_watched_by_name_while_they_are_named() {
    let mut setup = setup(&[], &[]);
    setup.expect(&["synced"]).await;
    setup.server.expect_silence().await;
    let cert = ObjectRef::new(Kind::Secret, "app", "cert");
    setup.named.send_replace(BTreeSet::from([cert.clone()]));
    let asked = setup
        .server
        .expect("GET /api/v1/namespaces/app/secrets")
        .await;
    assert!(
        asked.query.contains("fieldSelector=metadata.name=cert"),
        "{}",
        asked.query
    );
    asked.list("5", "", &[]);
    // There is none: that is an answer too.
    setup.expect(&["looked up Secret app/cert"]).await;
    let watch = setup
        .server
        .expect("GET /api/v1/namespaces/app/secrets")
        .await;
    let stream = watch.stream();
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "cert", "namespace": "app", "resourceVersion": "6" },
        "type": "kubernetes.io/tls",
        "data": { "tls.crt": "eA==" },
    });
    stream.event("ADDED", &secret);
    setup.expect(&["+Secret app/cert"]).await;
    // A ConfigMap of the same name is something else.
    let authorities = ObjectRef::new(Kind::ConfigMap, "app", "cert");
    setup
        .named
        .send_replace(BTreeSet::from([cert, authorities]));
    let asked = setup
        .server
        .expect("GET /api/v1/namespaces/app/configmaps")
        .await;
    let config_map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "cert", "namespace": "app", "resourceVersion": "7" },
        "data": { "ca.crt": "x" },
    });
    asked.list("7", "", &[config_map]);
    setup
        .expect(&["+ConfigMap app/cert", "looked up ConfigMap app/cert"])
        .await;
    let watch = setup
        .server
        .expect("GET /api/v1/namespaces/app/configmaps")
        .await;
    let _stream = watch.stream();
    setup.named.send_replace(BTreeSet::new());
    setup
        .expect(&["-Secret app/cert", "-ConfigMap app/cert"])
        .await;
    setup.server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_may_not_be_read_is_said() {
    let mut setup = setup(&[], &[]);
    setup.expect(&["synced"]).await;
    let cert = ObjectRef::new(Kind::Secret, "app", "cert");
    setup.named.send_replace(BTreeSet::from([cert]));
    let asked = setup
        .server
        .expect("GET /api/v1/namespaces/app/secrets")
        .await;
    asked.refuse(403, "Forbidden", "cannot list");
    let why = "RBAC does not allow list and watch on secrets: cannot list";
    setup.expect(&[&format!("no Secret app/cert: {why}")]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_followed_only_where_its_endpoint_does_not_tell_all() {
    let gate = json!([{ "conditionType": "target-health.elbv2.k8s.aws/x" }]);
    let none = json!(null);
    let rows = [
        ("with a gate", &gate, "False", true),
        ("that starts", &none, "False", false),
        ("on a node that is lost", &none, "True", true),
    ];
    for (what, gates, containers, is_followed) in rows {
        let mut setup = setup(&[], &[]);
        setup.expect(&["synced"]).await;
        let pod = ObjectRef::new(Kind::Pod, "app", "p");
        setup.named.send_replace(BTreeSet::from([pod]));
        let pods = "GET /api/v1/namespaces/app/pods";
        let asked = setup.server.expect(pods).await;
        let state = |version: &str, message: &str| {
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": "p", "namespace": "app", "resourceVersion": version },
                "spec": { "containers": [{ "name": "c" }], "readinessGates": gates },
                "status": { "conditions": [
                    { "type": "ContainersReady", "status": containers },
                    { "type": "PodScheduled", "status": "True", "message": message },
                ] },
            })
        };
        asked.list("5", "", &[state("5", "")]);
        setup.expect(&["+Pod app/p", "looked up Pod app/p"]).await;
        let mut stream = None;
        if is_followed {
            let opened = setup.server.expect(pods).await.stream();
            opened.event("MODIFIED", &state("6", "more"));
            setup.expect(&["+Pod app/p"]).await;
            stream = Some(opened);
        }
        setup.server.expect_silence().await;
        assert_eq!(stream.is_some(), is_followed, "{what}");
        setup.named.send_replace(BTreeSet::new());
        setup.expect(&["-Pod app/p"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_of_a_node_is_no_change() {
    let mut setup = setup(&[], &[Kind::Node]);
    let node = |version: u32, beat: &str, ready: &str| {
        json!({
            "metadata": { "name": "n1", "resourceVersion": version.to_string() },
            "spec": { "providerID": "aws:///eu-west-1a/i-0123" },
            "status": {
                "images": [{ "names": ["big"] }],
                "conditions": [
                    { "type": "Ready", "status": ready, "lastHeartbeatTime": beat },
                    { "type": "DiskPressure", "status": "False", "lastHeartbeatTime": beat },
                ],
            },
        })
    };
    let nodes = "GET /api/v1/nodes";
    let first = node(1, "2026-01-01T00:00:00Z", "True");
    setup.server.expect(nodes).await.list("5", "", &[first]);
    setup.expect(&["+Node n1", "Node v1", "synced"]).await;
    let stream = setup.server.expect(nodes).await.stream();
    stream.event("MODIFIED", &node(6, "2026-01-01T00:05:00Z", "True"));
    setup.silence().await;
    stream.event("MODIFIED", &node(7, "2026-01-01T00:05:00Z", "Unknown"));
    setup.expect(&["+Node n1"]).await;
}

#[tokio::test(start_paused = true)]
async fn trouble_with_discovery_is_said_once_a_minute() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    setup.server.set_discovery_down(true);
    let words = "trouble: discovery: the API server answers 503 Service Unavailable";
    setup.expect(&[words]).await;
    setup.silence().await;
    setup.expect(&[words]).await;
    setup.server.set_discovery_down(false);
    setup.server.expect(ROUTES).await.list("5", "", &[]);
    setup.expect(&["HTTPRoute v1", "synced"]).await;
}

#[tokio::test(start_paused = true)]
async fn everything_ends_when_nobody_listens() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    setup.server.expect(ROUTES).await.list("5", "", &[]);
    setup.expect(&["HTTPRoute v1", "synced"]).await;
    let _stream = setup.server.expect(ROUTES).await.stream();
    let Setup {
        mut server,
        events,
        named,
        ..
    } = setup;
    drop(events);
    named.closed().await;
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_is_said_once_and_resumed() {
    let mut setup = setup(&[HTTP_V1], &[Kind::HttpRoute]);
    setup.server.expect(ROUTES).await.list("5", "", &[]);
    setup.expect(&["HTTPRoute v1", "synced"]).await;
    for _ in 0..2 * FAILURES_MAX {
        let asked = setup.server.expect(ROUTES).await;
        assert_eq!(starts_at(&asked), "resourceVersion=5");
        asked.hang_up();
    }
    let asked = setup.server.expect(ROUTES).await;
    assert_eq!(starts_at(&asked), "resourceVersion=5");
    asked.stream().event("ADDED", &route("a", 6));
    let words = "trouble: the API server does not answer: connection refused";
    setup.expect(&[words, "+HTTPRoute app/a"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_has_just_started_is_not_taken_for_an_empty_one() {
    let mut setup = setup(&[], &[Kind::HttpRoute]);
    for _ in 0..3 {
        let asked = setup.server.expect(ROUTES).await;
        asked.refuse(503, "ServiceUnavailable", "not all paths are installed yet");
    }
    let trouble = setup.event().await;
    assert!(trouble.starts_with("trouble with HTTPRoute: "), "{trouble}");
    setup.server.serve(&[HTTP_V1]);
    setup
        .server
        .expect(ROUTES)
        .await
        .list("5", "", &[route("a", 1)]);
    setup
        .expect(&["+HTTPRoute app/a", "HTTPRoute v1", "synced"])
        .await;
    assert_eq!(setup.served.version(Kind::HttpRoute), Some("v1"));
}
