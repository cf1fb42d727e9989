//! ELBv2: load balancers, target groups, listeners, rules, trust stores and their tags. In: the model's words. Out:
//! answers. Always: one request a call.

pub(crate) mod listeners;
pub(crate) mod load_balancers;
mod rule_parts;
pub(crate) mod rules;
pub(crate) mod tags;
pub(crate) mod target_groups;
pub(crate) mod trust_stores;

use elbow_model::Attributes;
use elbow_model::stack::Protocol;

/// The protocol of that name; `None` for one that elbow does not use.
fn protocol(name: &str) -> Option<Protocol> {
    const ALL: [Protocol; 8] = [
        Protocol::Http,
        Protocol::Https,
        Protocol::Tcp,
        Protocol::Tls,
        Protocol::Udp,
        Protocol::TcpUdp,
        Protocol::Quic,
        Protocol::TcpQuic,
    ];
    ALL.into_iter().find(|protocol| protocol.as_str() == name)
}

/// Attributes from the keys and values of one of the SDK's three types for them.
fn attributes(pairs: impl Iterator<Item = (Option<String>, Option<String>)>) -> Attributes {
    pairs
        .filter_map(|(key, value)| Some((key?, value.unwrap_or_default())))
        .collect()
}
