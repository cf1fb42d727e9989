//! What `elbow emulator` says of itself in its state file.
//!
//! The JSON form is a public interface (docs/reference/emulator-json.md): fields are added, never
//! renamed or removed.

use std::net::{IpAddr, SocketAddr};

use elbow_emulator::dataplane::KnownLoadBalancer;
use elbow_emulator_server::dataplane::{BindOutcome, Bindings, ListenerBinding};
use serde::Serialize;

/// Where it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) endpoint_url: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) dns: Option<SocketAddr>,
    pub(super) ca_certificate: Option<String>,
}

/// Everything that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct State {
    aws: AwsState,
    /// Where names of load balancers resolve.
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<SocketAddr>,
    /// The authority that signed the certificates that were made up, as PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_certificate: Option<String>,
    /// Oldest first.
    load_balancers: Vec<LoadBalancerState>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct AwsState {
    endpoint_url: String,
    region: String,
    account: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadBalancerState {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    load_balancer_arn: String,
    dns_name: String,
    /// `provisioning` or `active`.
    state: &'static str,
    /// Addresses of its nodes, empty until it is active.
    addresses: Vec<IpAddr>,
    listeners: Vec<ListenerState>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ListenerState {
    listener_arn: String,
    protocol: &'static str,
    port: u16,
    /// Where it can be reached; empty if it cannot.
    addresses: Vec<SocketAddr>,
    /// Why it cannot be reached, or not at its own port.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl State {
    pub(super) fn new(place: &Place, known: &[KnownLoadBalancer], bindings: &Bindings) -> Self {
        let load_balancers = known.iter().map(|balancer| {
            let binding = bindings.load_balancers.get(&balancer.arn);
            LoadBalancerState {
                name: balancer.name.clone(),
                kind: balancer.kind,
                load_balancer_arn: balancer.arn.clone(),
                dns_name: balancer.dns_name.clone(),
                state: if binding.is_some() {
                    "active"
                } else {
                    "provisioning"
                },
                addresses: binding.map(|b| b.addresses.clone()).unwrap_or_default(),
                listeners: binding
                    .into_iter()
                    .flat_map(|b| &b.listeners)
                    .map(|(arn, listener)| ListenerState::new(arn, listener))
                    .collect(),
            }
        });
        Self {
            aws: AwsState {
                endpoint_url: place.endpoint_url.clone(),
                region: place.region.clone(),
                account: place.account.clone(),
            },
            dns: place.dns,
            ca_certificate: place.ca_certificate.clone(),
            load_balancers: load_balancers.collect(),
        }
    }
}

impl ListenerState {
    fn new(arn: &str, listener: &ListenerBinding) -> Self {
        let problem = match &listener.outcome {
            BindOutcome::AsDeclared(_) => None,
            BindOutcome::Mapped { reason, .. } | BindOutcome::Failed { reason } => {
                Some(reason.clone())
            }
        };
        Self {
            listener_arn: arn.to_owned(),
            protocol: listener.protocol.as_str(),
            port: listener.port,
            addresses: listener.addresses.clone(),
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use elbow_emulator::dataplane::ServedProtocol;
    use elbow_emulator_server::dataplane::LoadBalancerBinding;

    use super::*;

    #[test]
    fn the_file_has_the_documented_shape() {
        let place = Place {
            endpoint_url: "http://127.0.0.1:1".to_owned(),
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            dns: Some(([127, 0, 0, 1], 53).into()),
            ca_certificate: None,
        };
        let balancer = |name: &str| KnownLoadBalancer {
            arn: format!("arn:{name}"),
            name: name.to_owned(),
            dns_name: format!("{name}.example"),
            kind: "network",
            serves: name == "served",
            zones: Vec::new(),
            addresses: Vec::new(),
        };
        let listener = ListenerBinding {
            protocol: ServedProtocol::Tcp,
            port: 9000,
            outcome: BindOutcome::Mapped {
                address: ([127, 0, 0, 9], 40000).into(),
                reason: "taken".to_owned(),
            },
            addresses: vec![([127, 0, 0, 9], 40000).into()],
        };
        let binding = LoadBalancerBinding {
            name: "served".to_owned(),
            dns_name: "served.example".to_owned(),
            addresses: vec![[127, 0, 0, 9].into()],
            listeners: BTreeMap::from([("arn:listener".to_owned(), listener)]),
        };
        let bindings = Bindings {
            revision: 1,
            load_balancers: BTreeMap::from([("arn:served".to_owned(), binding)]),
        };
        let state = State::new(&place, &[balancer("served"), balancer("new")], &bindings);
        assert_eq!(
            serde_json::to_value(state).expect("it serialises"),
            serde_json::json!({
                "aws": {
                    "endpointUrl": "http://127.0.0.1:1",
                    "region": "eu-west-1",
                    "account": "123456789012",
                },
                "dns": "127.0.0.1:53",
                "loadBalancers": [
                    {
                        "name": "served",
                        "type": "network",
                        "loadBalancerArn": "arn:served",
                        "dnsName": "served.example",
                        "state": "active",
                        "addresses": ["127.0.0.9"],
                        "listeners": [{
                            "listenerArn": "arn:listener",
                            "protocol": "TCP",
                            "port": 9000,
                            "addresses": ["127.0.0.9:40000"],
                            "problem": "taken",
                        }],
                    },
                    {
                        "name": "new",
                        "type": "network",
                        "loadBalancerArn": "arn:new",
                        "dnsName": "new.example",
                        "state": "provisioning",
                        "addresses": [],
                        "listeners": [],
                    },
                ],
            })
        );
    }
}
