//! Writes to a scripted API server: in, writes; out, the requests word for word, and the errors.

use elbow_api::crds::TargetGroupBinding;
use elbow_api::{Kind, NamespacedName};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::live::testing::{Asked, Server};
use crate::live::{Remedy, objects};

fn setup() -> (Server, Writer) {
    let (server, client) = Server::new(&[]);
    let served = Served::default();
    for kind in [Kind::Gateway, Kind::HttpRoute] {
        served.set(kind, Some("v1"));
    }
    served.set(Kind::TcpRoute, Some("v1alpha2"));
    served.set(Kind::TargetGroupBinding, Some("v1beta1"));
    (server, Writer::new(client, served, "elbow-0"))
}

fn gateway(finalizers: &[&str], listeners: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {
            "name": "web",
            "namespace": "app",
            "uid": "u-1",
            "resourceVersion": "7",
            "finalizers": finalizers,
            "annotations": { "kept": "yes" },
        },
        "spec": { "gatewayClassName": "alb", "listeners": [] },
        "status": { "listeners": listeners },
    })
}

fn read_gateway(value: &Value) -> Object {
    objects::read(Kind::Gateway, &value.to_string()).unwrap()
}

fn route() -> ObjectRef {
    ObjectRef::new(Kind::HttpRoute, "app", "a")
}

const GATEWAY: &str = "PATCH /apis/gateway.networking.k8s.io/v1/namespaces/app/gateways/web";
const GATEWAY_STATUS: &str =
    "PATCH /apis/gateway.networking.k8s.io/v1/namespaces/app/gateways/web/status";
const ROUTE_STATUS: &str =
    "PATCH /apis/gateway.networking.k8s.io/v1/namespaces/app/httproutes/a/status";

/// Does a write while a test answers what it asks.
macro_rules! run {
    ($write:expr, $answers:expr) => {{
        let (done, ()) = tokio::join!(async { $write.await }, $answers);
        done
    }};
}

fn assert_applied(asked: &Asked) {
    assert_eq!(asked.content_type, "application/apply-patch+yaml");
    assert!(
        asked.query.contains("fieldManager=elbow"),
        "{}",
        asked.query
    );
    assert!(asked.query.contains("force=true"), "{}", asked.query);
}

#[tokio::test(start_paused = true)]
async fn a_status_is_applied_by_elbow_under_its_preconditions() {
    let (mut server, writer) = setup();
    let status = json!({ "parents": [] });
    let preconditions = Preconditions {
        uid: Some("u".to_owned()),
        resource_version: Some("41".to_owned()),
    };
    let route = route();
    let applied = run!(
        writer.apply_status(&route, &status, &preconditions),
        async {
            let asked = server.expect(ROUTE_STATUS).await;
            assert_applied(&asked);
            let expected = json!({
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": { "name": "a", "uid": "u", "resourceVersion": "41" },
                "status": { "parents": [] },
            });
            assert_eq!(asked.body, expected);
            let mut answer = expected;
            answer["metadata"] =
                json!({ "name": "a", "namespace": "app", "resourceVersion": "42" });
            answer["spec"] = json!({});
            asked.answer(200, &answer);
        }
    );
    let version = applied.unwrap().metadata().resource_version.clone();
    assert_eq!(version.as_deref(), Some("42"));
}

#[tokio::test(start_paused = true)]
async fn a_status_goes_to_the_version_that_is_served() {
    let (mut server, writer) = setup();
    let route = ObjectRef::new(Kind::TcpRoute, "app", "db");
    let done = run!(
        writer.apply_status(&route, &json!({}), &Preconditions::default()),
        async {
            let asked = server.next().await;
            let path =
                "/apis/gateway.networking.k8s.io/v1alpha2/namespaces/app/tcproutes/db/status";
            assert_eq!(asked.what, format!("PATCH {path}"));
            assert_eq!(
                asked.body["apiVersion"],
                "gateway.networking.k8s.io/v1alpha2"
            );
            asked.refuse(404, "NotFound", "tcproutes \"db\" not found");
        }
    );
    assert_eq!(done.unwrap_err().remedy(), Remedy::Drop);
}

fn listener(name: &str) -> Value {
    json!({ "name": name, "attachedRoutes": 0, "supportedKinds": [], "conditions": [] })
}

#[tokio::test(start_paused = true)]
async fn listeners_that_are_gone_are_removed_before_the_rest_is_applied() {
    let (mut server, writer) = setup();
    let left = json!([listener("old"), listener("kept"), listener("older")]);
    let current = read_gateway(&gateway(&[], &left));
    let status = json!({ "listeners": [listener("kept")] });
    let applied = run!(writer.write_status(&current, &status), async {
        let asked = server.expect(GATEWAY_STATUS).await;
        assert_eq!(asked.content_type, "application/json-patch+json");
        let expected = json!([
            { "op": "test", "path": "/metadata/resourceVersion", "value": "7" },
            { "op": "remove", "path": "/status/listeners/2" },
            { "op": "remove", "path": "/status/listeners/0" },
        ]);
        assert_eq!(asked.body, expected);
        let kept = gateway(&[], &json!([listener("kept")]));
        asked.answer(200, &kept);
        let asked = server.expect(GATEWAY_STATUS).await;
        assert_applied(&asked);
        assert_eq!(
            asked.body["metadata"],
            json!({ "name": "web", "uid": "u-1" })
        );
        asked.answer(200, &kept);
    });
    let Ok(Object::Gateway(applied)) = applied else {
        panic!("the Gateway should come back");
    };
    let listeners = applied.status.as_ref().and_then(|s| s.listeners.as_ref());
    assert_eq!(listeners.map(Vec::len), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_state_that_has_passed_is_a_conflict() {
    let (mut server, writer) = setup();
    let current = read_gateway(&gateway(&[], &json!([listener("old")])));
    let failed = run!(
        writer.write_status(&current, &json!({ "listeners": [] })),
        async {
            let message = "the server rejected our request due to an error in our request";
            server.next().await.refuse(422, "Invalid", message);
        }
    );
    assert_eq!(failed.unwrap_err().remedy(), Remedy::ReadAgain);
}

#[tokio::test(start_paused = true)]
async fn parents_of_a_route_are_written_to_the_state_they_were_worked_out_from() {
    let (mut server, writer) = setup();
    let route = json!({
        "metadata": { "name": "a", "namespace": "app", "uid": "u-4", "resourceVersion": "9" },
        "spec": {},
    });
    let current = objects::read(Kind::HttpRoute, &route.to_string()).unwrap();
    let failed = run!(
        writer.write_status(&current, &json!({ "parents": [] })),
        async {
            let asked = server.expect(ROUTE_STATUS).await;
            let expected = json!({ "name": "a", "uid": "u-4", "resourceVersion": "9" });
            assert_eq!(asked.body["metadata"], expected);
            asked.refuse(409, "Conflict", "the object has been modified");
        }
    );
    assert_eq!(failed.unwrap_err().remedy(), Remedy::ReadAgain);
}

#[tokio::test(start_paused = true)]
async fn each_failure_says_what_to_do() {
    let denied = "httproutes.gateway.networking.k8s.io \"a\" is forbidden: User \"u\" cannot patch resource \"httproutes/status\"";
    let rows = [
        (
            (409, "Conflict", "the object has been modified"),
            Remedy::ReadAgain,
            "Conflict",
            "patch HTTPRoute app/a: it has changed meanwhile",
        ),
        (
            (404, "NotFound", "not found"),
            Remedy::Drop,
            "Gone",
            "patch HTTPRoute app/a: it does not exist",
        ),
        (
            (403, "Forbidden", denied),
            Remedy::Ask,
            "Denied",
            "patch HTTPRoute app/a: RBAC does not allow patch on httproutes.gateway.networking.k8s.io/status",
        ),
        (
            (
                403,
                "Forbidden",
                "admission webhook \"p.example\" denied the request: no",
            ),
            Remedy::Ask,
            "Refused",
            "patch HTTPRoute app/a: the API server refuses it: admission webhook \"p.example\" denied the request: no",
        ),
        (
            (422, "Invalid", "status.parents: Too many: 33"),
            Remedy::Ask,
            "Refused",
            "patch HTTPRoute app/a: the API server refuses it: status.parents: Too many: 33",
        ),
        (
            (503, "ServiceUnavailable", "starting"),
            Remedy::Retry,
            "Unreachable",
            "patch HTTPRoute app/a: the API server does not answer",
        ),
        (
            (429, "TooManyRequests", "slow down"),
            Remedy::Retry,
            "Unreachable",
            "patch HTTPRoute app/a: the API server does not answer",
        ),
    ];
    for ((code, reason, message), remedy, category, text) in rows {
        let (mut server, writer) = setup();
        let route = route();
        let failed = run!(
            writer.apply_status(&route, &json!({}), &Preconditions::default()),
            async {
                let asked = server.expect(ROUTE_STATUS).await;
                asked.refuse(code, reason, message);
            }
        );
        let error = failed.unwrap_err();
        let seen = (error.remedy(), error.category(), error.to_string());
        assert_eq!(seen, (remedy, category, text.to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_without_an_answer_ends() {
    let (mut server, writer) = setup();
    let route = route();
    let mut unanswered = None;
    let failed = run!(
        writer.apply_status(&route, &json!({}), &Preconditions::default()),
        async { unanswered = Some(server.expect(ROUTE_STATUS).await) }
    );
    assert!(unanswered.is_some());
    assert_eq!(failed.unwrap_err().category(), "TimedOut");
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_not_served_is_not_written() {
    let (mut server, writer) = setup();
    let route = ObjectRef::new(Kind::UdpRoute, "app", "dns");
    let failed = writer
        .apply_status(&route, &json!({}), &Preconditions::default())
        .await;
    assert_eq!(failed.unwrap_err().category(), "NotServed");
    server.expect_silence().await;
}

#[tokio::test(start_paused = true)]
async fn finalizers_of_others_stay() {
    let (mut server, writer) = setup();
    let before = gateway(&["other.example/f"], &json!([]));
    let both = ["other.example/f", "gateway.k8s.aws/alb"];
    let object = read_gateway(&before);
    let added = run!(
        writer.add_finalizer(&object, "gateway.k8s.aws/alb"),
        async {
            let asked = server.expect(GATEWAY).await;
            assert_eq!(asked.content_type, "application/merge-patch+json");
            let expected = json!({
                "metadata": { "uid": "u-1", "resourceVersion": "7", "finalizers": both },
            });
            assert_eq!(asked.body, expected);
            asked.answer(200, &gateway(&both, &json!([])));
        }
    );
    let Ok(Written::Changed(object)) = added else {
        panic!("the finalizer should be added");
    };
    let again = writer.add_finalizer(&object, "gateway.k8s.aws/alb").await;
    assert_eq!(again.unwrap(), Written::Already);
    let removed = run!(
        writer.remove_finalizer(&object, "gateway.k8s.aws/alb"),
        async {
            let asked = server.expect(GATEWAY).await;
            assert_eq!(
                asked.body["metadata"]["finalizers"],
                json!(["other.example/f"])
            );
            asked.refuse(409, "Conflict", "the object has been modified");
        }
    );
    assert_eq!(removed.unwrap_err().remedy(), Remedy::ReadAgain);
    let absent = writer
        .remove_finalizer(&object, "gateway.k8s.aws/nlb")
        .await;
    assert_eq!(absent.unwrap(), Written::Already);
}

#[tokio::test(start_paused = true)]
async fn annotations_are_written_where_they_differ() {
    let (mut server, writer) = setup();
    let object = read_gateway(&gateway(&[], &json!([])));
    let set = |key: &str, value: Option<&str>| {
        BTreeMap::from([(key.to_owned(), value.map(str::to_owned))])
    };
    let same = writer.annotate(&object, &set("kept", Some("yes"))).await;
    assert_eq!(same.unwrap(), Written::Already);
    let absent = writer.annotate(&object, &set("absent", None)).await;
    assert_eq!(absent.unwrap(), Written::Already);
    let annotations = set("kept", None);
    let done = run!(writer.annotate(&object, &annotations), async {
        let asked = server.expect(GATEWAY).await;
        let expected = json!({ "metadata": { "uid": "u-1", "annotations": { "kept": null } } });
        assert_eq!(asked.body, expected);
        asked.answer(200, &gateway(&[], &json!([])));
    });
    assert!(matches!(done, Ok(Written::Changed(_))));
}

#[tokio::test(start_paused = true)]
async fn only_the_object_that_was_meant_is_deleted() {
    let (mut server, writer) = setup();
    let object = read_gateway(&gateway(&[], &json!([])));
    let done = run!(writer.delete(&object), async {
        let asked = server.next().await;
        assert!(asked.what.starts_with("DELETE "), "{}", asked.what);
        assert_eq!(asked.body["preconditions"], json!({ "uid": "u-1" }));
        asked.refuse(404, "NotFound", "not found");
    });
    done.unwrap();
}

fn binding(spec: &Value) -> TargetGroupBinding {
    serde_json::from_value(json!({
        "apiVersion": "elbv2.k8s.aws/v1beta1",
        "kind": "TargetGroupBinding",
        "metadata": {
            "name": "k8s-app-svc-0123456789",
            "namespace": "app",
            "uid": "u-2",
            "resourceVersion": "3",
            "labels": { "ours": "yes" },
        },
        "spec": spec,
    }))
    .unwrap()
}

const BINDING: &str =
    "PATCH /apis/elbv2.k8s.aws/v1beta1/namespaces/app/targetgroupbindings/k8s-app-svc-0123456789";

#[tokio::test(start_paused = true)]
async fn a_new_binding_is_applied() {
    let (mut server, writer) = setup();
    let wanted =
        binding(&json!({ "serviceRef": { "name": "svc", "port": 80 }, "targetType": "ip" }));
    let done = run!(writer.apply_binding(&wanted, None), async {
        let asked = server.expect(BINDING).await;
        assert_applied(&asked);
        let expected = json!({
            "apiVersion": "elbv2.k8s.aws/v1beta1",
            "kind": "TargetGroupBinding",
            "metadata": {
                "name": "k8s-app-svc-0123456789",
                "namespace": "app",
                "labels": { "ours": "yes" },
            },
            "spec": { "serviceRef": { "name": "svc", "port": 80 }, "targetType": "ip" },
        });
        assert_eq!(asked.body, expected);
        asked.answer(200, &expected);
    });
    assert!(matches!(done, Ok(Written::Changed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_differs_is_changed_whoever_wrote_it() {
    let (mut server, writer) = setup();
    let service = json!({ "name": "svc", "port": 80 });
    let mut current = binding(&json!({
        "serviceRef": service,
        "targetType": "ip",
        "networking": { "ingress": [{ "from": [], "ports": [] }] },
    }));
    current.metadata.labels = Some(BTreeMap::from([("theirs".to_owned(), "yes".to_owned())]));
    let wanted = binding(&json!({ "serviceRef": service, "targetType": "ip", "vpcID": "vpc-1" }));
    let done = run!(writer.apply_binding(&wanted, Some(&current)), async {
        let asked = server.expect(BINDING).await;
        assert_eq!(asked.content_type, "application/merge-patch+json");
        let expected = json!({
            "metadata": { "uid": "u-2", "resourceVersion": "3", "labels": { "ours": "yes" } },
            "spec": { "networking": null, "vpcID": "vpc-1" },
        });
        assert_eq!(asked.body, expected);
        asked.answer(200, &serde_json::to_value(&wanted).unwrap());
    });
    assert!(matches!(done, Ok(Written::Changed(_))));
    let again = writer.apply_binding(&wanted, Some(&wanted)).await;
    assert_eq!(again.unwrap(), Written::Already);
}

#[tokio::test(start_paused = true)]
async fn a_note_that_is_repeated_is_one_event_that_counts() {
    let (mut server, writer) = setup();
    let object = read_gateway(&gateway(&[], &json!([])));
    let note = |message: &str| EventNote {
        event_type: EventType::Warning,
        reason: "FailedDeployModel".to_owned(),
        message: message.to_owned(),
        reporter: "gateway.k8s.aws/alb",
    };
    let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
    let events = "/apis/events.k8s.io/v1/namespaces/app/events";
    let (one, other) = (note("one"), note("other"));

    let mut name = String::new();
    run!(writer.event(&object, &one, at(0)), async {
        let asked = server.next().await;
        assert_eq!(asked.what, format!("POST {events}"));
        assert_eq!(asked.body["note"], "one");
        assert_eq!(asked.body["type"], "Warning");
        assert_eq!(asked.body["reportingController"], "gateway.k8s.aws/alb");
        assert_eq!(asked.body["reportingInstance"], "elbow-0");
        let regarding = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "name": "web",
            "namespace": "app",
            "uid": "u-1",
        });
        assert_eq!(asked.body["regarding"], regarding);
        asked.body["metadata"]["name"]
            .as_str()
            .unwrap()
            .clone_into(&mut name);
        let answer = asked.body.clone();
        asked.answer(201, &answer);
    })
    .unwrap();
    // What is said in the same instant has a name of its own, or the API server would not take it.
    run!(writer.event(&object, &note("more"), at(0)), async {
        let asked = server.next().await;
        assert_eq!(asked.what, format!("POST {events}"));
        assert_ne!(asked.body["metadata"]["name"], name.as_str());
        let answer = asked.body.clone();
        asked.answer(201, &answer);
    })
    .unwrap();
    run!(writer.event(&object, &one, at(60)), async {
        let asked = server.next().await;
        assert_eq!(asked.what, format!("PATCH {events}/{name}"));
        assert_eq!(asked.body["series"]["count"], 2);
        asked.answer(200, &json!({ "metadata": { "name": name } }));
    })
    .unwrap();
    run!(writer.event(&object, &other, at(61)), async {
        let asked = server.next().await;
        assert_eq!(asked.what, format!("POST {events}"));
        assert_eq!(asked.body["note"], "other");
        let answer = asked.body.clone();
        asked.answer(201, &answer);
    })
    .unwrap();
    // Six minutes after its last one, a series is over.
    run!(writer.event(&object, &one, at(60 + 360)), async {
        let asked = server.next().await;
        assert_eq!(asked.what, format!("POST {events}"));
        let answer = asked.body.clone();
        asked.answer(201, &answer);
    })
    .unwrap();
    // One that has expired in the meantime begins again.
    run!(writer.event(&object, &one, at(60 + 361)), async {
        let asked = server.next().await;
        assert!(asked.what.starts_with("PATCH "), "{}", asked.what);
        asked.refuse(404, "NotFound", "not found");
        let asked = server.next().await;
        assert_eq!(asked.what, format!("POST {events}"));
        let answer = asked.body.clone();
        asked.answer(201, &answer);
    })
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_config_map_is_there_or_not() {
    let (mut server, writer) = setup();
    let name = NamespacedName::new("app", "aws-lbc-targets-x");
    let path = "/api/v1/namespaces/app/configmaps/aws-lbc-targets-x";
    let none = run!(writer.config_map(&name), async {
        let asked = server.next().await;
        assert_eq!(asked.what, format!("GET {path}"));
        asked.refuse(404, "NotFound", "not found");
    });
    assert_eq!(none.unwrap(), None);
    let data = BTreeMap::from([("targets".to_owned(), "10.0.0.1:80".to_owned())]);
    run!(writer.apply_config_map(&name, &data), async {
        let asked = server.next().await;
        assert_eq!(asked.what, format!("PATCH {path}"));
        assert_applied(&asked);
        assert_eq!(asked.body["data"], json!({ "targets": "10.0.0.1:80" }));
        let answer = asked.body.clone();
        asked.answer(201, &answer);
    })
    .unwrap();
    let some = run!(writer.config_map(&name), async {
        server
            .next()
            .await
            .answer(200, &json!({ "metadata": {}, "data": data }));
    });
    assert_eq!(some.unwrap(), Some(data.clone()));
    run!(writer.delete_config_map(&name), async {
        server.next().await.refuse(404, "NotFound", "not found");
    })
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn pod_conditions_are_merged_by_the_api_server() {
    let (mut server, writer) = setup();
    let path = "/api/v1/namespaces/app/pods/p";
    let pod = json!({ "metadata": { "name": "p", "namespace": "app", "uid": "u-3" } });
    let pod = serde_json::from_value(pod).unwrap();
    let condition = k8s_openapi::api::core::v1::PodCondition {
        type_: "target-health.elbv2.k8s.aws/x".to_owned(),
        status: "True".to_owned(),
        ..Default::default()
    };
    run!(writer.set_pod_conditions(&pod, &[condition]), async {
        let asked = server.next().await;
        assert_eq!(asked.what, format!("PATCH {path}/status"));
        assert_eq!(asked.content_type, "application/strategic-merge-patch+json");
        assert_eq!(asked.body["metadata"], json!({ "uid": "u-3" }));
        asked.answer(
            200,
            &json!({ "metadata": { "name": "p", "namespace": "app" } }),
        );
    })
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_closed_gates_of_a_binding_that_goes_are_opened() {
    let (mut server, writer) = setup();
    let pod = |name: &str, gate: &str, status: &str| {
        let gate = format!("target-health.elbv2.k8s.aws/{gate}");
        json!({
            "metadata": { "name": name, "namespace": "app", "uid": name },
            "spec": { "containers": [], "readinessGates": [{ "conditionType": gate }] },
            "status": { "conditions": [{ "type": gate, "status": status }] },
        })
    };
    let binding = NamespacedName::new("app", "x");
    let now = "2026-02-02T02:02:02Z".parse().unwrap();
    run!(writer.open_gates(&binding, now), async {
        let asked = server.expect("GET /api/v1/namespaces/app/pods").await;
        assert!(asked.query.contains("limit=100"), "{}", asked.query);
        let page = [
            pod("closed", "x", "False"),
            pod("others", "y", "False"),
            pod("open", "x", "True"),
        ];
        asked.list("5", "more", &page);
        let asked = server.expect("GET /api/v1/namespaces/app/pods").await;
        assert!(asked.query.contains("continue=more"), "{}", asked.query);
        asked.list("5", "", &[pod("gone", "x", "Unknown")]);
        let asked = server.next().await;
        assert_eq!(
            asked.what,
            "PATCH /api/v1/namespaces/app/pods/closed/status"
        );
        let condition = &asked.body["status"]["conditions"][0];
        assert_eq!(condition["status"], "True");
        assert_eq!(condition["message"], "Target Group Binding is deleted");
        let opened = pod("closed", "x", "True");
        asked.answer(200, &opened);
        let asked = server.next().await;
        assert_eq!(asked.what, "PATCH /api/v1/namespaces/app/pods/gone/status");
        asked.refuse(404, "NotFound", "not found");
    })
    .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_read_whole_when_it_is_needed() {
    let (mut server, writer) = setup();
    let name = NamespacedName::new("app", "cert");
    let secret = run!(writer.secret(&name), async {
        let asked = server
            .expect("GET /api/v1/namespaces/app/secrets/cert")
            .await;
        let secret = json!({ "metadata": { "name": "cert" }, "data": { "tls.key": "a2V5" } });
        asked.answer(200, &secret);
    });
    let data = secret.unwrap().unwrap().data.unwrap();
    assert_eq!(data["tls.key"].0, b"key");
    let denied = run!(writer.secret(&name), async {
        let message = "secrets \"cert\" is forbidden: User \"u\" cannot get resource";
        server.next().await.refuse(403, "Forbidden", message);
    });
    let message = denied.unwrap_err().to_string();
    assert_eq!(
        message,
        "get Secret app/cert: RBAC does not allow get on secrets"
    );
}
