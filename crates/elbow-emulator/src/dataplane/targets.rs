//! Which targets of a group may take new traffic.
//!
//! In: the members of a target group with their health, and the group's thresholds. Out: the
//! candidates, in a fixed order. Always: draining and unused targets are never candidates; when too
//! few are healthy, all others are (fail-open).
//!
//! All zones of a load balancer are served from one node here, so the candidates of a group are
//! those of all zones whether cross-zone load balancing is on or off.

use std::collections::BTreeMap;

use super::request::TargetEndpoint;

/// A registered target as the data plane sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub endpoint: TargetEndpoint,
    /// What may be sent to it.
    pub standing: Standing,
}

/// What the health of a target means for traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Takes traffic.
    Healthy,
    /// Registered but not (yet) healthy: takes traffic only on fail-open.
    Doubtful,
    /// Deregistered or unused: takes nothing new.
    Out,
}

/// How few healthy targets make a group fail open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailOpen {
    /// `unhealthy_state_routing.minimum_healthy_targets.count`
    pub healthy_count_min: usize,
    /// `unhealthy_state_routing.minimum_healthy_targets.percentage`; `None` for `off`.
    pub healthy_percentage_min: Option<usize>,
}

impl FailOpen {
    /// Reads the thresholds from a target group's attributes. What is missing or malformed has
    /// AWS's default.
    pub fn from_attributes(attributes: &BTreeMap<String, String>) -> Self {
        let prefix = "target_group_health.unhealthy_state_routing.minimum_healthy_targets";
        let number = |key: &str| {
            attributes
                .get(&format!("{prefix}.{key}"))
                .and_then(|value| value.parse().ok())
        };
        Self {
            healthy_count_min: number("count").unwrap_or(1),
            healthy_percentage_min: number("percentage"),
        }
    }

    /// The members that may take new traffic. Empty when the group has nothing to offer at all.
    pub fn candidates(self, members: &[Member]) -> Vec<&TargetEndpoint> {
        let of = |wanted: &[Standing]| -> Vec<&TargetEndpoint> {
            let fits = members
                .iter()
                .filter(|member| wanted.contains(&member.standing));
            fits.map(|member| &member.endpoint).collect()
        };
        let healthy = of(&[Standing::Healthy]);
        let in_scope = of(&[Standing::Healthy, Standing::Doubtful]);
        let too_few = healthy.len() < self.healthy_count_min
            || self
                .healthy_percentage_min
                .is_some_and(|percentage| healthy.len() * 100 < percentage * in_scope.len());
        if too_few { in_scope } else { healthy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Doubtful, Healthy, Out};

    fn check(standings: &[Standing], count: &str, percentage: &str, expected: &[u16]) {
        let members: Vec<Member> = (1..)
            .zip(standings)
            .map(|(port, standing)| Member {
                endpoint: TargetEndpoint {
                    id: "10.0.0.1".to_owned(),
                    address: [10, 0, 0, 1].into(),
                    port,
                },
                standing: *standing,
            })
            .collect();
        let prefix = "target_group_health.unhealthy_state_routing.minimum_healthy_targets";
        let attributes = [("count", count), ("percentage", percentage)]
            .map(|(key, value)| (format!("{prefix}.{key}"), value.to_owned()))
            .into();
        let got: Vec<u16> = FailOpen::from_attributes(&attributes)
            .candidates(&members)
            .iter()
            .map(|target| target.port)
            .collect();
        assert_eq!(
            got, expected,
            "{standings:?} count {count} percentage {percentage}"
        );
    }

    #[test]
    fn candidates() {
        check(&[], "1", "off", &[]);
        check(&[Out, Out], "1", "off", &[]);
        check(&[Healthy, Doubtful, Out], "1", "off", &[1]);
        check(&[Doubtful, Doubtful, Out], "1", "off", &[1, 2]);
        check(&[Healthy, Doubtful], "2", "off", &[1, 2]);
        check(&[Healthy, Doubtful], "1", "50", &[1]);
        check(&[Healthy, Doubtful, Doubtful], "1", "50", &[1, 2, 3]);
        check(&[Healthy, Doubtful], "", "", &[1]);
    }
}
