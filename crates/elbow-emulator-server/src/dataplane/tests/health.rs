//! Health checks over sockets.

use std::sync::Arc;
use std::sync::Mutex;

use elbow_emulator::HealthMode;
use http::{Response, StatusCode};
use serde_json::json;
use tokio::sync::watch;

use super::client::{backend, dead_port, get, says, text};
use super::world::{TARGET, World, forward};

#[tokio::test]
async fn targets_are_judged_by_what_they_answer() {
    let world = World::with_health(HealthMode::Probed).await;
    let (_held, dead) = dead_port();
    let healthy = says("healthy").await;
    let broken = backend(|_| async {
        let mut response = Response::new(text("broken"));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
    .await;
    let alb = world.alb_to(healthy).await;
    world.register(&alb.target_group, broken);
    world.register(&alb.target_group, dead);
    assert_eq!(
        world.settled_health(&alb.target_group, healthy).await,
        ("healthy".to_owned(), None)
    );
    let mismatch = Some("Target.ResponseCodeMismatch".to_owned());
    assert_eq!(
        world.settled_health(&alb.target_group, broken).await,
        ("unhealthy".to_owned(), mismatch)
    );
    let failed = Some("Target.FailedHealthChecks".to_owned());
    assert_eq!(
        world.settled_health(&alb.target_group, dead).await,
        ("unhealthy".to_owned(), failed)
    );
    for _ in 0..6 {
        assert_eq!(get(alb.address, "h", "/").await.body, "healthy");
    }
}

#[tokio::test]
async fn checks_say_who_they_are() {
    let world = World::with_health(HealthMode::Probed).await;
    let (seen, mut seeing) = watch::channel(None);
    let port = backend(move |request| {
        let header = |name: &str| {
            request
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        seen.send_replace(Some((
            request.uri().to_string(),
            header("user-agent"),
            header("host"),
        )));
        async { Response::new(text("ok")) }
    })
    .await;
    let load_balancer = world.load_balancer("web", "application");
    let target_group =
        world.target_group("web", "HTTP", json!({ "HealthCheckPath": "/ready?deep=1" }));
    world.listener(
        &load_balancer,
        "HTTP",
        80,
        forward(&target_group),
        json!({}),
    );
    world.register(&target_group, port);
    let seen = seeing
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    let host = format!("{TARGET}:{port}");
    assert_eq!(
        seen,
        (
            "/ready?deep=1".to_owned(),
            Some("ELB-HealthChecker/2.0".to_owned()),
            Some(host)
        )
    );
}

#[tokio::test]
async fn grpc_targets_are_judged_by_their_status() {
    let world = World::with_health(HealthMode::Probed).await;
    let status = Arc::new(Mutex::new("12"));
    let port = backend(move |request| {
        assert_eq!(request.uri().path(), "/AWS.ALB/healthcheck");
        let mut response = Response::new(text(""));
        response
            .headers_mut()
            .insert("grpc-status", status.lock().unwrap().parse().unwrap());
        async { response }
    })
    .await;
    let certificate = super::client::certificate("a.example.com");
    let load_balancer = world.load_balancer("web", "application");
    let target_group = world.target_group("web", "HTTP", json!({ "ProtocolVersion": "GRPC" }));
    let certificates =
        json!({ "Certificates": [{ "CertificateArn": world.certificate(&certificate) }] });
    world.listener(
        &load_balancer,
        "HTTPS",
        443,
        forward(&target_group),
        certificates,
    );
    world.register(&target_group, port);
    assert_eq!(
        world.settled_health(&target_group, port).await,
        ("healthy".to_owned(), None)
    );
}

#[tokio::test]
async fn tcp_checks_connect() {
    let world = World::with_health(HealthMode::Probed).await;
    let target = says("x").await;
    let nlb = world.nlb_to(target).await;
    assert_eq!(
        world.settled_health(&nlb.target_group, target).await,
        ("healthy".to_owned(), None)
    );
}
