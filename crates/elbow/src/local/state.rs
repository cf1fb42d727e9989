//! What runs where: the view that the table, the state file and the `curl` lines are made of.
//!
//! The JSON form is a public interface (`ELBOW_STATE`, `--state-file`): fields are added, never
//! renamed or removed.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde::Serialize;

/// Everything that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct State {
    /// Gateways that have a load balancer, by namespace and name.
    pub(crate) gateways: Vec<GatewayState>,
    /// Path of the PEM file with the authority that signed the stand-in certificates.
    pub(crate) ca_certificate: String,
    /// The built-in AWS.
    pub(crate) aws: AwsState,
}

/// Where the built-in AWS answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AwsState {
    /// Its endpoint, for `--endpoint-url` and `AWS_ENDPOINT_URL`.
    pub(crate) endpoint_url: String,
    /// Its region.
    pub(crate) region: String,
}

/// A Gateway and its load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GatewayState {
    /// The Gateway's namespace.
    pub(crate) namespace: String,
    /// The Gateway's name.
    pub(crate) name: String,
    /// `application` or `network`.
    #[serde(rename = "type")]
    pub(crate) lb_type: &'static str,
    /// The load balancer's ARN.
    pub(crate) load_balancer_arn: String,
    /// The load balancer's DNS name. It does not resolve on this machine; listeners have addresses.
    pub(crate) dns_name: String,
    /// Listeners of the Gateway that the load balancer serves.
    pub(crate) listeners: Vec<ListenerState>,
}

/// A listener of a Gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListenerState {
    /// Its name in the Gateway.
    pub(crate) name: String,
    /// Its protocol in the Gateway.
    pub(crate) protocol: String,
    /// Its port in the Gateway.
    pub(crate) port: u16,
    /// Where it can be reached on this machine; empty if it cannot.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Why it cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// A hostname that its routes answer to, for the `curl` line.
    #[serde(skip)]
    pub(crate) example_host: Option<String>,
    /// Targets in service and in all, for the table.
    #[serde(skip)]
    pub(crate) healthy: (usize, usize),
}

impl State {
    /// Writes the file whole: a reader sees the state before or the state after.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        crate::state_file::write(self, path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_file_has_the_documented_shape() {
        let state = State {
            gateways: vec![GatewayState {
                namespace: "app-ns".to_owned(),
                name: "my-alb".to_owned(),
                lb_type: "application",
                load_balancer_arn: "arn:lb".to_owned(),
                dns_name: "my-alb.example".to_owned(),
                listeners: vec![ListenerState {
                    name: "https".to_owned(),
                    protocol: "HTTPS".to_owned(),
                    port: 443,
                    addresses: vec![SocketAddr::from(([127, 0, 0, 9], 443))],
                    problem: None,
                    example_host: Some("app.example.com".to_owned()),
                    healthy: (1, 1),
                }],
            }],
            ca_certificate: "/tmp/ca.pem".to_owned(),
            aws: AwsState {
                endpoint_url: "http://127.0.0.1:1".to_owned(),
                region: "eu-central-1".to_owned(),
            },
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("state.json");
        state.write(&path).expect("the folder can be written");
        let text = fs::read_to_string(&path).expect("the file was written");
        let read: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(
            read,
            serde_json::json!({
                "gateways": [{
                    "namespace": "app-ns",
                    "name": "my-alb",
                    "type": "application",
                    "loadBalancerArn": "arn:lb",
                    "dnsName": "my-alb.example",
                    "listeners": [{
                        "name": "https",
                        "protocol": "HTTPS",
                        "port": 443,
                        "addresses": ["127.0.0.9:443"],
                    }],
                }],
                "caCertificate": "/tmp/ca.pem",
                "aws": {"endpointUrl": "http://127.0.0.1:1", "region": "eu-central-1"},
            })
        );
        let names: Vec<_> = fs::read_dir(folder.path()).expect("readable").collect();
        assert_eq!(names.len(), 1, "no temporary file is left");
    }
}
