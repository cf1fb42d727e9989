//! What goes wrong outside the emulator's words: denials, throttles, and everything on the way.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use elbow_emulator::Quotas;
use elbow_model::{AwsCall, AwsError, ErrorClass, ListenerArn, VpcId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::world::{REGION, Server, VPC};
use super::{metadata, nobody, sources};
use crate::connect::connect_by;
use crate::{Aws, Config};

/// What a server does with each connection.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers with this status and body.
    Answers(u16, &'static str),
    /// Sends half of what it announces and closes.
    BreaksOff,
    /// Reads the request and closes.
    HangsUp,
    /// Reads the request and says nothing.
    IsSilent,
}

/// A server that treats every request the same way, at an endpoint that lasts as long as the test.
async fn server(manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 16 * 1024];
                let _read = stream.read(&mut request).await;
                match manner {
                    Manner::Answers(status, body) => {
                        let head = format!(
                            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                            body.len()
                        );
                        let _sent = stream.write_all((head + body).as_bytes()).await;
                    }
                    Manner::BreaksOff => {
                        let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n<DeleteListener";
                        let _sent = stream.write_all(half.as_bytes()).await;
                    }
                    Manner::HangsUp => {}
                    Manner::IsSilent => std::future::pending().await,
                }
            });
        }
    });
    endpoint
}

async fn connect(endpoint: String, attempt: Duration) -> Aws {
    let config = Config {
        region: Some(REGION.to_owned()),
        vpc_id: Some(VpcId::new(VPC)),
        endpoint_url: Some(endpoint),
        ..Config::default()
    };
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt);
    let sources = sources().timeout_config(timeouts.build());
    let connected = connect_by(&config, sources, &metadata(&nobody())).await;
    connected.unwrap()
}

fn delete_listener() -> AwsCall {
    let arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/a/b/c";
    AwsCall::DeleteListener {
        listener: ListenerArn::new(arn).into(),
    }
}

#[track_caller]
fn check(row: &str, error: &AwsError, class: ErrorClass, says: &str) {
    assert_eq!(error.class, class, "{row}: {error}");
    assert!(error.to_string().contains(says), "{row}: {error}");
}

#[tokio::test]
async fn answers_of_each_protocol_are_classified() {
    let elb = delete_listener();
    let ec2 = AwsCall::DescribeAvailabilityZones;
    let acm = AwsCall::ListCertificates { marker: None };
    let query = |code: &str| {
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>says AWS</Message>\
             </Error><RequestId>1</RequestId></ErrorResponse>"
        )
    };
    let of_ec2 = |code: &str| {
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>says AWS</Message></Error></Errors>\
             <RequestID>1</RequestID></Response>"
        )
    };
    let of_acm = |code: &str| format!("{{\"__type\":\"{code}\",\"message\":\"says AWS\"}}");
    let rows = [
        (
            "denied by ELBv2",
            &elb,
            403,
            query("AccessDenied"),
            ErrorClass::Denied,
            "AccessDenied: says AWS; allow `elasticloadbalancing:DeleteListener`",
        ),
        (
            "denied by EC2",
            &ec2,
            403,
            of_ec2("UnauthorizedOperation"),
            ErrorClass::Denied,
            "allow `ec2:DescribeAvailabilityZones`",
        ),
        (
            "denied by ACM",
            &acm,
            400,
            of_acm("AccessDeniedException"),
            ErrorClass::Denied,
            "allow `acm:ListCertificates`",
        ),
        (
            "credentials that have expired",
            &ec2,
            400,
            of_ec2("ExpiredToken"),
            ErrorClass::Denied,
            "give elbow valid credentials",
        ),
        (
            "throttled by ELBv2",
            &elb,
            400,
            query("Throttling"),
            ErrorClass::Throttled,
            "Throttling: says AWS",
        ),
        (
            "throttled by EC2",
            &ec2,
            503,
            of_ec2("RequestLimitExceeded"),
            ErrorClass::Throttled,
            "RequestLimitExceeded: says AWS",
        ),
        (
            "throttled by ACM",
            &acm,
            400,
            of_acm("ThrottlingException"),
            ErrorClass::Throttled,
            "ThrottlingException: says AWS",
        ),
        (
            "a quota of ACM, which the SDKs take for a throttle",
            &acm,
            400,
            of_acm("LimitExceededException"),
            ErrorClass::Quota,
            "Imported certificates",
        ),
        (
            "a failure of AWS",
            &elb,
            500,
            query("InternalFailure"),
            ErrorClass::Transient,
            "InternalFailure: says AWS",
        ),
        (
            "a gateway that speaks no protocol of AWS",
            &elb,
            502,
            "<html>Bad Gateway</html>".to_owned(),
            ErrorClass::Transient,
            "HTTP502",
        ),
    ];
    for (row, call, status, body, class, says) in rows {
        let endpoint = server(Manner::Answers(status, body.leak())).await;
        let aws = connect(endpoint, Duration::from_secs(10)).await;
        let error = aws.call(call).await.unwrap_err();
        check(row, &error, class, says);
    }
}

#[tokio::test]
async fn a_lost_answer_is_transient() {
    let silent = server(Manner::IsSilent).await;
    let rude = server(Manner::HangsUp).await;
    let broken = server(Manner::BreaksOff).await;
    // A server that never answers: this limit is all that ends the call.
    let short = Duration::from_millis(50);
    let long = Duration::from_secs(10);
    let rows = [
        ("nobody listens", nobody(), long, "Connection refused"),
        ("the server hangs up", rude, long, "ConnectionFailed"),
        ("the answer breaks off", broken, long, "UnreadableResponse"),
        ("the server is silent", silent, short, "RequestTimeout"),
    ];
    for (row, endpoint, limit, says) in rows {
        let aws = connect(endpoint, limit).await;
        let error = aws.call(&delete_listener()).await.unwrap_err();
        check(row, &error, ErrorClass::Transient, says);
    }
}

#[tokio::test]
async fn a_signature_for_another_region_is_denied() {
    let server = Server::start(Quotas::default()).await;
    let config = Config {
        region: Some("us-west-2".to_owned()),
        vpc_id: Some(VpcId::new(VPC)),
        endpoint_url: Some(server.endpoint.clone()),
        ..Config::default()
    };
    let aws = connect_by(&config, sources(), &metadata(&nobody())).await;
    let error = aws.unwrap().call(&AwsCall::DescribeAvailabilityZones).await;
    let error = error.unwrap_err();
    check("region", &error, ErrorClass::Denied, "valid credentials");
}
