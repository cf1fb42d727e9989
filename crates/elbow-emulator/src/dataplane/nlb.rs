//! Where a Network Load Balancer sends a flow, and when it ends one.
//!
//! In: the addresses of a connection and a number that stands in for its TCP sequence number. Out:
//! a target, or why there is none; later, whether the flow may go on. Always: the same flow and
//! number go to the same target while the candidates stay the same; health never moves a flow from
//! one target group to another.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::forward::ForwardAction;
use super::pick::{index, scatter};
use super::request::TargetEndpoint;
use super::targets::{FailOpen, Member, Standing};

/// One connection to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The client.
    pub client: SocketAddr,
    /// The load balancer's side of the connection.
    pub local: SocketAddr,
    /// Stands in for the TCP sequence number: a number that differs from one connection to the
    /// next, so that clients which reuse a port are spread too.
    pub sequence: u64,
}

/// What happens to a new flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowDecision {
    /// It goes to a target.
    Forward(Box<FlowForward>),
    /// It goes nowhere: the client's connection is reset.
    Refuse(RefuseReason),
}

/// A flow on its way to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowForward {
    /// The rule that matched; the default rule's ARN as a rule.
    pub rule_arn: String,
    /// The target group that was chosen.
    pub target_group_arn: String,
    /// The target that was chosen.
    pub target: TargetEndpoint,
    /// Whether the load balancer speaks TLS to the target.
    pub tls: bool,
    /// `proxy_protocol_v2.enabled`
    pub proxy_protocol: bool,
    /// `preserve_client_ip.enabled`
    pub preserve_client_ip: bool,
    /// After how long without a byte the flow is forgotten.
    pub idle_timeout: Duration,
}

/// Why a flow goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefuseReason {
    /// There is no such listener, or its load balancer does not serve yet.
    NotServing,
    /// All weights are 0.
    NoWeight,
    /// The target group has no target that could take the flow.
    NoTargets,
}

/// Whether a flow that is under way may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowFate {
    /// It goes on.
    Keep,
    /// Both sides get a reset.
    Reset,
}

/// Idle time of TCP flows when the listener says nothing, and of TLS flows always.
pub const IDLE_SECONDS_DEFAULT: u64 = 350;

/// Idle time of UDP flows, which no attribute changes: "Network Load Balancers", "Connection idle
/// timeout".
pub const UDP_IDLE_SECONDS: u64 = 120;

impl Flow {
    /// A number for the choice of a target group, and one for the choice of a target.
    fn hash(&self, seed: u64) -> u64 {
        let mut hash = scatter(seed);
        for address in [self.client, self.local] {
            let ip = match address.ip().to_canonical() {
                std::net::IpAddr::V4(ip) => u128::from(ip.to_bits()),
                std::net::IpAddr::V6(ip) => ip.to_bits(),
            };
            for part in [ip, u128::from(address.port())] {
                hash = mix(hash, part);
            }
        }
        mix(hash, u128::from(self.sequence))
    }

    /// A number that only the client's address decides.
    fn hash_of_client(&self, seed: u64) -> u64 {
        match self.client.ip().to_canonical() {
            std::net::IpAddr::V4(ip) => mix(scatter(seed), u128::from(ip.to_bits())),
            std::net::IpAddr::V6(ip) => mix(scatter(seed), ip.to_bits()),
        }
    }
}

fn mix(hash: u64, part: u128) -> u64 {
    let [high, low] =
        [part >> 64, part & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or(0));
    scatter(scatter(hash ^ low) ^ high)
}

/// The target group of a flow: by weight, or by the client's address where the action is sticky.
pub(super) fn choose_group<'a>(
    action: &'a ForwardAction,
    flow: &Flow,
    seed: u64,
) -> Option<&'a str> {
    let hash = match action.stickiness_seconds {
        Some(_) => flow.hash_of_client(seed),
        None => flow.hash(seed),
    };
    action
        .by_weight(hash % action.round().max(1))
        .map(|group| group.arn.as_str())
}

/// The target of a flow among the members of its group.
pub(super) fn choose_target(
    attributes: &BTreeMap<String, String>,
    members: &[Member],
    flow: &Flow,
    seed: u64,
) -> Option<TargetEndpoint> {
    let candidates = FailOpen::from_attributes(attributes).candidates(members);
    let sticky = attributes
        .get("stickiness.enabled")
        .is_some_and(|value| value == "true");
    // The second scatter keeps the choice of the target from following the choice of the group.
    let hash = scatter(if sticky {
        flow.hash_of_client(seed)
    } else {
        flow.hash(seed)
    });
    if candidates.is_empty() {
        None
    } else {
        candidates
            .get(index(hash, candidates.len()))
            .copied()
            .cloned()
    }
}

/// What the health of a target means for its flows, by the attributes of its group.
///
/// `weight` is the group's weight in the listener's action, `None` when it is no longer in it.
/// `standing` is `None` for a target that is gone. `draining` flows of an unhealthy target go on
/// until their time is up.
pub(super) fn fate(
    attributes: &BTreeMap<String, String>,
    weight: Option<u64>,
    standing: Option<TargetLife>,
    all_unhealthy: bool,
) -> FlowFate {
    let on =
        |key: &str, default: bool| attributes.get(key).map_or(default, |value| value == "true");
    // AWS closes flows "after a short period" once a weight is 0; the period is not documented and
    // none here.
    if weight.is_none_or(|weight| weight == 0) {
        return FlowFate::Reset;
    }
    let reset = match standing {
        Some(TargetLife::Other | TargetLife::Draining) => false,
        Some(TargetLife::Unhealthy) => {
            !all_unhealthy
                && on(
                    "target_health_state.unhealthy.connection_termination.enabled",
                    true,
                )
        }
        None => on("deregistration_delay.connection_termination.enabled", false),
    };
    if reset {
        FlowFate::Reset
    } else {
        FlowFate::Keep
    }
}

/// Where a target is in its life, as far as its flows care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TargetLife {
    /// It failed its checks, and is not in the interval in which flows may end in peace.
    Unhealthy,
    /// It is being deregistered, or unhealthy in that interval.
    Draining,
    /// Anything else.
    Other,
}

/// Whether no member is healthy, so that the group fails open.
pub(super) fn fails_open(members: &[Member]) -> bool {
    members
        .iter()
        .all(|member| member.standing != Standing::Healthy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::forward::WeightedGroup;

    fn flow(port: u16, sequence: u64) -> Flow {
        Flow {
            client: SocketAddr::from(([192, 0, 2, 1], port)),
            local: SocketAddr::from(([127, 0, 0, 9], 9000)),
            sequence,
        }
    }

    fn members(count: u16) -> Vec<Member> {
        (1..=count)
            .map(|port| Member {
                endpoint: TargetEndpoint {
                    id: "10.0.0.1".to_owned(),
                    address: [10, 0, 0, 1].into(),
                    port,
                },
                standing: Standing::Healthy,
            })
            .collect()
    }

    fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_same_flow_has_the_same_target_and_others_are_spread() {
        let target = |flow: Flow| {
            choose_target(&BTreeMap::new(), &members(4), &flow, 7)
                .unwrap()
                .port
        };
        assert_eq!(target(flow(4000, 1)), target(flow(4000, 1)));
        let mut counts = [0u32; 4];
        for sequence in 0..4000 {
            counts[usize::from(target(flow(4000, sequence)) - 1)] += 1;
        }
        assert!(
            counts.iter().all(|count| (900..1100).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn groups_share_by_weight_and_targets_do_not_follow_groups() {
        let group = |arn: &str, weight| WeightedGroup {
            arn: arn.to_owned(),
            weight,
        };
        let action = ForwardAction {
            groups: vec![group("a", 1), group("b", 1)],
            stickiness_seconds: None,
        };
        let mut counts = BTreeMap::new();
        for sequence in 0..4000 {
            let flow = flow(4000, sequence);
            let arn = choose_group(&action, &flow, 7).unwrap();
            let target = choose_target(&BTreeMap::new(), &members(2), &flow, 7)
                .unwrap()
                .port;
            *counts.entry((arn, target)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 4);
        assert!(
            counts.values().all(|count| (850..1150).contains(count)),
            "{counts:?}"
        );
        let none = ForwardAction {
            groups: vec![group("a", 0)],
            stickiness_seconds: None,
        };
        assert_eq!(choose_group(&none, &flow(1, 1), 7), None);
    }

    #[test]
    fn sticky_groups_go_by_the_address_alone() {
        let sticky = attributes(&[
            ("stickiness.enabled", "true"),
            ("stickiness.type", "source_ip"),
        ]);
        let target = |flow: Flow| choose_target(&sticky, &members(4), &flow, 7).unwrap().port;
        assert!(
            (0..100)
                .all(|number| target(flow(4000 + number, u64::from(number))) == target(flow(1, 1)))
        );
    }

    /// Attributes, weight, life, whether all are unhealthy, fate.
    type Row<'a> = (
        &'a [(&'a str, &'a str)],
        Option<u64>,
        Option<TargetLife>,
        bool,
        FlowFate,
    );

    #[test]
    fn flows_end_when_they_must() {
        use FlowFate::{Keep, Reset};
        use TargetLife::{Draining, Other, Unhealthy};
        let unhealthy_off = [(
            "target_health_state.unhealthy.connection_termination.enabled",
            "false",
        )];
        let deregister_on = [(
            "deregistration_delay.connection_termination.enabled",
            "true",
        )];
        let rows: [Row<'_>; 9] = [
            (&[], Some(1), Some(Other), false, Keep),
            (&[], Some(0), Some(Other), false, Reset),
            (&[], None, Some(Other), false, Reset),
            (&[], Some(1), Some(Unhealthy), false, Reset),
            (&[], Some(1), Some(Unhealthy), true, Keep),
            (&unhealthy_off, Some(1), Some(Unhealthy), false, Keep),
            (&deregister_on, Some(1), Some(Draining), false, Keep),
            (&[], Some(1), None, false, Keep),
            (&deregister_on, Some(1), None, false, Reset),
        ];
        for (pairs, weight, life, all_unhealthy, expected) in rows {
            assert_eq!(
                fate(&attributes(pairs), weight, life, all_unhealthy),
                expected,
                "{pairs:?} {life:?}"
            );
        }
    }
}
