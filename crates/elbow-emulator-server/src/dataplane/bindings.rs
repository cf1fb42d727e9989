//! Which address and port each listener really got.
//!
//! In: the listeners that the emulator serves, and what binding them came to. Out: [`Bindings`],
//! for those who print `curl` lines. Always: every listener that is served is in here, also one
//! that could not be bound, with the reason in plain words.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use elbow_emulator::dataplane::ServedProtocol;

/// All load balancers that serve, with their listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bindings {
    /// The revision of the emulator that these bindings reflect.
    pub revision: u64,
    /// By load balancer ARN.
    pub load_balancers: BTreeMap<String, LoadBalancerBinding>,
}

/// The listeners of one load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadBalancerBinding {
    /// The load balancer's name.
    pub name: String,
    /// Its DNS name, which resolves nowhere but here.
    pub dns_name: String,
    /// The addresses of its nodes.
    pub addresses: Vec<IpAddr>,
    /// By listener ARN.
    pub listeners: BTreeMap<String, ListenerBinding>,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerBinding {
    /// What clients speak.
    pub protocol: ServedProtocol,
    /// The port that the listener has in AWS.
    pub port: u16,
    /// Where it is served; of several nodes, the first.
    pub outcome: BindOutcome,
    /// Where it is served, all nodes.
    pub addresses: Vec<SocketAddr>,
}

/// What binding a listener came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindOutcome {
    /// It is served at its own port.
    AsDeclared(SocketAddr),
    /// It is served elsewhere.
    Mapped {
        /// Where.
        address: SocketAddr,
        /// Why not at its own port, as the end of a sentence.
        reason: String,
    },
    /// It is not served.
    Failed {
        /// Why, as the end of a sentence.
        reason: String,
    },
}

impl BindOutcome {
    /// Where the listener is served, if it is.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::AsDeclared(address) | Self::Mapped { address, .. } => Some(*address),
            Self::Failed { .. } => None,
        }
    }
}

impl Bindings {
    /// Where a listener is served, if it is.
    pub fn address(&self, listener_arn: &str) -> Option<SocketAddr> {
        let mut load_balancers = self.load_balancers.values();
        load_balancers
            .find_map(|load_balancer| load_balancer.listeners.get(listener_arn)?.outcome.address())
    }
}
