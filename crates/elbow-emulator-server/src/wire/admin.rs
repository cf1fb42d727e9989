//! Paths below `/_emulator/` that change what goes wrong while the endpoint runs.
//!
//! In: requests of clients on this machine, where that is allowed. Out: their effect. Always: what a
//! client cannot have meant is refused and changes nothing.
//!
//! ```text
//! GET    /_emulator/faults   the faults, with how often each was met
//! POST   /_emulator/faults   adds: {"faults": […], "quotas": {…}, "readLagMilliseconds": 500}
//! DELETE /_emulator/faults   takes all faults away and restores AWS's quotas
//! ```

use elbow_emulator::Quotas;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};

use super::respond;
use crate::faults::{FaultPlan, Faults};
use crate::shared::SharedEmulator;

const FAULTS_PATH: &str = "/_emulator/faults";

/// Bytes of a request: more faults than a test can tell apart.
const BODY_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn is_for(request: &Request<Incoming>) -> bool {
    request.uri().path() == FAULTS_PATH
}

pub(super) async fn answer(
    shared: &SharedEmulator,
    faults: &Faults,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    match *request.method() {
        Method::GET => {
            let report = serde_json::to_string(&faults.report()).unwrap_or_default();
            respond(StatusCode::OK, "application/json", report)
        }
        Method::POST => {
            let plan = match Limited::new(request.into_body(), BODY_BYTES_MAX)
                .collect()
                .await
            {
                Ok(body) => serde_json::from_slice::<FaultPlan>(&body.to_bytes())
                    .map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match plan {
                Ok(plan) => {
                    plan.apply(shared, faults);
                    respond(StatusCode::NO_CONTENT, "text/plain", String::new())
                }
                Err(error) => respond(StatusCode::BAD_REQUEST, "text/plain", error),
            }
        }
        Method::DELETE => {
            faults.clear();
            shared.with(|emulator, _| {
                emulator.set_quotas(Quotas::default());
                emulator.set_read_lag(0);
            });
            respond(StatusCode::NO_CONTENT, "text/plain", String::new())
        }
        _ => respond(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "GET, POST or DELETE".to_owned(),
        ),
    }
}

impl FaultPlan {
    /// Lets it go wrong from now on.
    pub fn apply(self, shared: &SharedEmulator, faults: &Faults) {
        faults.add(self.faults);
        shared.with(|emulator, _| {
            if let Some(quotas) = self.quotas {
                emulator.set_quotas(quotas);
            }
            if let Some(latencies) = self.latencies {
                emulator.set_latencies(latencies);
            }
            if let Some(throttling) = self.throttling {
                emulator.set_throttling(throttling);
            }
            if let Some(milliseconds) = self.read_lag_milliseconds {
                emulator.set_read_lag(milliseconds);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};

    use elbow_emulator::world::VpcSpec;
    use elbow_emulator::{Config, Emulator};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::{CancellationToken, DropGuard};

    use crate::wire::{ApiOptions, serve_api_with};
    use crate::{Clock, SharedEmulator};

    struct Server {
        address: SocketAddr,
        vpc: String,
        /// Operation, status and error of each call.
        log: Arc<Mutex<Vec<String>>>,
        _running: DropGuard,
    }

    impl Server {
        async fn start(admin: bool) -> Self {
            let mut emulator = Emulator::new(Config::default());
            let vpc = VpcSpec::new("10.0.0.0/16".parse().unwrap());
            let vpc = emulator.add_vpc(vpc).unwrap();
            let shutdown = CancellationToken::new();
            // So slow that no token comes back while a test runs.
            let clock = Clock::new(0.000_001);
            let shared = SharedEmulator::start(emulator, clock, shutdown.clone());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let log = Arc::new(Mutex::new(Vec::new()));
            let calls = Arc::clone(&log);
            let options = ApiOptions {
                on_call: Some(Arc::new(move |call| {
                    let operation = call.operation.unwrap_or("?");
                    let error = call.error.as_deref().unwrap_or("-");
                    let line = format!("{operation} {} {error}", call.status);
                    calls.lock().unwrap().push(line);
                })),
                admin,
                ..ApiOptions::default()
            };
            tokio::spawn(serve_api_with(shared, listener, options, shutdown.clone()));
            Self {
                address,
                vpc,
                log,
                _running: shutdown.drop_guard(),
            }
        }

        /// The whole answer; empty when the connection was closed instead.
        async fn send(&self, method: &str, path: &str, body: &str) -> String {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: aws\r\nConnection: close\r\n\
                 Authorization: AWS4-HMAC-SHA256 Credential=AK/20260301/us-east-1/ec2/aws4_request, \
                 SignedHeaders=host, Signature=00\r\nX-Amz-Date: 20260301T000000Z\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            // A connection that is closed on purpose may end with a reset.
            stream.read_to_string(&mut answer).await.ok();
            answer
        }

        async fn create_group(&self) -> String {
            let body = format!(
                "Action=CreateSecurityGroup&Version=2016-11-15&GroupName=a&GroupDescription=d&VpcId={}",
                self.vpc
            );
            self.send("POST", "/", &body).await
        }

        async fn set(&self, plan: &str) -> String {
            self.send("POST", "/_emulator/faults", plan).await
        }
    }

    #[tokio::test]
    async fn faults_are_met_on_the_wire() {
        let server = Server::start(true).await;
        let plan = r#"{"faults": [
            {"operation": "CreateSecurityGroup", "times": 1, "effect": "disconnect"},
            {"operation": "CreateSecurityGroup", "after": 1, "times": 1, "effect": "loseAnswer"},
            {"operation": "CreateSecurityGroup", "after": 2, "times": 1, "effect": "deny"}
        ]}"#;
        assert!(server.set(plan).await.starts_with("HTTP/1.1 204"));
        assert_eq!(server.create_group().await, "");
        assert_eq!(server.create_group().await, "");
        assert!(
            server
                .create_group()
                .await
                .contains("<Code>UnauthorizedOperation</Code>")
        );
        let last = server.create_group().await;
        assert!(
            last.contains("InvalidGroup.Duplicate"),
            "the second one was done: {last}"
        );
        let log = server.log.lock().unwrap().clone();
        assert_eq!(
            log,
            [
                "CreateSecurityGroup 0 disconnected",
                "CreateSecurityGroup 0 answer lost",
                "CreateSecurityGroup 403 UnauthorizedOperation",
                "CreateSecurityGroup 400 InvalidGroup.Duplicate",
            ]
        );
        let report = server.send("GET", "/_emulator/faults", "").await;
        assert_eq!(report.matches("\"met\":1").count(), 3, "{report}");
    }

    #[tokio::test]
    async fn quotas_are_lowered_and_restored() {
        let server = Server::start(true).await;
        server.set(r#"{"quotas": {"securityGroups": 1}}"#).await;
        let refused = server.create_group().await;
        assert!(refused.contains("SecurityGroupLimitExceeded"), "{refused}");
        server.send("DELETE", "/_emulator/faults", "").await;
        let created = server.create_group().await;
        assert!(created.starts_with("HTTP/1.1 200"), "{created}");
    }

    #[tokio::test]
    async fn throttling_is_switched_while_it_runs() {
        let server = Server::start(true).await;
        let describe = "Action=DescribeVpcs&Version=2016-11-15";
        server.set(r#"{"throttling": "aws"}"#).await;
        for _ in 0..100 {
            let answer = server.send("POST", "/", describe).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        let answer = server.send("POST", "/", describe).await;
        assert!(answer.contains("RequestLimitExceeded"), "{answer}");
        server.set(r#"{"throttling": "none"}"#).await;
        let answer = server.send("POST", "/", describe).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn nonsense_changes_nothing() {
        let server = Server::start(true).await;
        for plan in [
            "",
            "5",
            r#"{"fault": []}"#,
            r#"{"faults": [{"effect": "explode"}]}"#,
        ] {
            let answer = server.set(plan).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{plan}: {answer}");
        }
        assert!(server.create_group().await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn nobody_may_without_permission() {
        let server = Server::start(false).await;
        let answer = server
            .set(r#"{"faults": [{"effect": "disconnect"}]}"#)
            .await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(server.create_group().await.starts_with("HTTP/1.1 200"));
    }
}
