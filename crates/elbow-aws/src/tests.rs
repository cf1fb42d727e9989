//! The SDKs against the emulator's server, and against a server that answers what it is told to.
//! Always: loopback only, a port that the system chooses, credentials that are made up.

mod connecting;
mod equality;
mod failures;
mod world;

use std::time::Duration;

use aws_config::ConfigLoader;
use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use tokio::net::TcpSocket;

use crate::connect::{http_client, loader};

/// An endpoint that nobody listens at, for as long as the process lives: its port is taken, and
/// connections to it are refused.
fn nobody() -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    format!("http://{address}")
}

/// The sources of a test: credentials that any emulator takes, and limits that do not hold it up.
fn sources() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(10));
    loader(http_client())
        .credentials_provider(Credentials::new("AKIDTEST", "secret", None, None, "test"))
        .timeout_config(timeouts.build())
}

/// Instance metadata at an endpoint of the test's, asked once.
fn metadata(endpoint: &str) -> imds::Client {
    let provider = ProviderConfig::without_region().with_http_client(http_client());
    imds::Client::builder()
        .configure(&provider)
        .max_attempts(1)
        .endpoint(endpoint)
        .unwrap()
        .build()
}
