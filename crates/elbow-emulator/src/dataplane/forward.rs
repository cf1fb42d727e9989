//! Which target group, and which of its targets, a forwarded request goes to.
//!
//! In: a forward action, the request with its cookies, and what the target groups hold. Out: the
//! target and the cookies to set. Always: a group is chosen by weight alone, without regard to its
//! health; an empty group is not passed over.

use std::collections::BTreeMap;

use super::cookies::StickyCookie;
use super::pick::{self, Picker, Turn};
use super::request::{AppCookie, RequestHead, TargetEndpoint};
use super::targets::{FailOpen, Member};
use crate::Timestamp;
use crate::generated::elbv2 as wire;

/// A forward action, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardAction {
    /// Target group ARN and weight, in the order of the action.
    pub groups: Vec<WeightedGroup>,
    /// How long a client stays with its target group, where that is on.
    pub stickiness_seconds: Option<u64>,
}

/// One target group of a forward action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedGroup {
    /// The target group.
    pub arn: String,
    /// 0 to 999.
    pub weight: u64,
}

/// The outcome of a choice, with what the client is to remember of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<T> {
    /// What was chosen.
    pub value: T,
    /// `Set-Cookie` values.
    pub set_cookies: Vec<String>,
    /// Application cookie to watch for.
    pub app_cookie: Option<AppCookie>,
}

impl ForwardAction {
    /// Reads a forward action, in either spelling.
    pub fn read(action: &wire::Action) -> Self {
        let config = action.forward_config.as_ref();
        let tuples = config
            .and_then(|config| config.target_groups.as_deref())
            .unwrap_or_default();
        let mut groups: Vec<WeightedGroup> = tuples
            .iter()
            .filter_map(|tuple| {
                // The weight may be left out where there is one group only, and does not matter
                // then.
                let weight = tuple
                    .weight
                    .map_or(1, |weight| u64::try_from(weight).unwrap_or(0));
                Some(WeightedGroup {
                    arn: tuple.target_group_arn.clone()?,
                    weight,
                })
            })
            .collect();
        if groups.is_empty() {
            groups.extend(
                action
                    .target_group_arn
                    .clone()
                    .map(|arn| WeightedGroup { arn, weight: 1 }),
            );
        }
        let stickiness = config.and_then(|config| config.target_group_stickiness_config.as_ref());
        let stickiness_seconds = stickiness
            .filter(|config| config.enabled == Some(true))
            .and_then(|config| config.duration_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            groups,
            stickiness_seconds,
        }
    }

    fn weights(&self) -> Vec<u64> {
        self.groups.iter().map(|group| group.weight).collect()
    }

    /// How many turns make one round of the weights.
    pub fn round(&self) -> u64 {
        pick::round_length(&self.weights()).unwrap_or(1)
    }

    /// The target group by weight, or nothing when all weights are 0.
    pub fn by_weight(&self, turn: u64) -> Option<&WeightedGroup> {
        self.groups.get(pick::weighted(&self.weights(), turn)?)
    }

    /// The target group of a request: the one that its cookie names while that one has weight, else
    /// by weight.
    pub fn choose(
        &self,
        request: &RequestHead,
        rule_arn: &str,
        now: Timestamp,
        picker: &mut dyn Picker,
    ) -> Option<Chosen<&WeightedGroup>> {
        let remembered = self.stickiness_seconds.and_then(|_| {
            let alive = self.groups.iter().filter(|group| group.weight > 0);
            StickyCookie::TargetGroup.remembered(
                request,
                now,
                alive.map(|group| (group, group.arn.clone())),
            )
        });
        let value = match remembered {
            Some(group) => group,
            None if self.groups.len() == 1 => self.by_weight(0)?,
            None => self.by_weight(picker.turn(Turn::TargetGroup { rule_arn }))?,
        };
        let set_cookies = self
            .stickiness_seconds
            .map(|seconds| StickyCookie::TargetGroup.set(&value.arn, now, seconds))
            .unwrap_or_default();
        Some(Chosen {
            value,
            set_cookies,
            app_cookie: None,
        })
    }
}

/// How a target group of an Application Load Balancer spreads requests, from its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPolicy {
    /// When to fail open.
    pub fail_open: FailOpen,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// How a client stays with its target.
    pub stickiness: TargetStickiness,
}

/// `load_balancing.algorithm.type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// One after the other.
    RoundRobin,
    /// The target with the fewest requests in flight.
    LeastOutstandingRequests,
    /// At random, evenly: anomaly mitigation is not modelled.
    WeightedRandom,
}

/// `stickiness.*`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetStickiness {
    /// Off.
    None,
    /// By a cookie of the load balancer.
    Duration {
        /// How long.
        seconds: u64,
    },
    /// By a cookie of the application.
    Application {
        /// Its name.
        cookie: String,
        /// How long.
        seconds: u64,
    },
}

impl TargetPolicy {
    /// Reads a target group's attributes.
    pub fn from_attributes(attributes: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| attributes.get(key).map(String::as_str).unwrap_or_default();
        // AWS's default for both durations is a day.
        let seconds = |key: &str| text(key).parse().unwrap_or(86_400);
        let stickiness = match (text("stickiness.enabled"), text("stickiness.type")) {
            ("true", "lb_cookie") => TargetStickiness::Duration {
                seconds: seconds("stickiness.lb_cookie.duration_seconds"),
            },
            ("true", "app_cookie") => TargetStickiness::Application {
                cookie: text("stickiness.app_cookie.cookie_name").to_owned(),
                seconds: seconds("stickiness.app_cookie.duration_seconds"),
            },
            _ => TargetStickiness::None,
        };
        Self {
            fail_open: FailOpen::from_attributes(attributes),
            algorithm: match text("load_balancing.algorithm.type") {
                "least_outstanding_requests" => Algorithm::LeastOutstandingRequests,
                "weighted_random" => Algorithm::WeightedRandom,
                _ => Algorithm::RoundRobin,
            },
            stickiness,
        }
    }

    /// The target of a request, or nothing when the group has none to offer.
    pub fn choose(
        &self,
        members: &[Member],
        request: &RequestHead,
        group: (&str, u64),
        now: Timestamp,
        picker: &mut dyn Picker,
    ) -> Option<Chosen<TargetEndpoint>> {
        let (target_group_arn, round) = group;
        let candidates = self.fail_open.candidates(members);
        if candidates.is_empty() {
            return None;
        }
        let remembered = |cookie: StickyCookie| {
            let subjects = candidates.iter().map(|target| (*target, subject(target)));
            cookie.remembered(request, now, subjects)
        };
        let sticky = match &self.stickiness {
            TargetStickiness::None => None,
            TargetStickiness::Duration { .. } => remembered(StickyCookie::Target),
            // The client must return the application's cookie as well.
            TargetStickiness::Application { cookie, .. } => request
                .cookie(cookie)
                .and_then(|_| remembered(StickyCookie::Application)),
        };
        let value = match sticky {
            Some(target) => target,
            None => self.by_algorithm(&candidates, target_group_arn, round, picker),
        }
        .clone();
        let (set_cookies, app_cookie) = match &self.stickiness {
            TargetStickiness::None => (Vec::new(), None),
            TargetStickiness::Duration { seconds } => (
                StickyCookie::Target.set(&subject(&value), now, *seconds),
                None,
            ),
            TargetStickiness::Application { cookie, seconds } => {
                let set_cookies = StickyCookie::Application.set(&subject(&value), now, *seconds);
                (
                    Vec::new(),
                    Some(AppCookie {
                        name: cookie.clone(),
                        set_cookies,
                    }),
                )
            }
        };
        Some(Chosen {
            value,
            set_cookies,
            app_cookie,
        })
    }

    fn by_algorithm<'a>(
        &self,
        candidates: &[&'a TargetEndpoint],
        target_group_arn: &str,
        round: u64,
        picker: &mut dyn Picker,
    ) -> &'a TargetEndpoint {
        let turn = picker.turn(Turn::Target {
            target_group_arn,
            round,
        });
        match self.algorithm {
            Algorithm::RoundRobin => candidates[pick::index(turn, candidates.len())],
            Algorithm::WeightedRandom => {
                candidates[pick::index(pick::scatter(turn), candidates.len())]
            }
            Algorithm::LeastOutstandingRequests => {
                // Among equals they take turns.
                let start = pick::index(turn, candidates.len());
                let in_turn = candidates[start..].iter().chain(&candidates[..start]);
                in_turn
                    .min_by_key(|target| picker.outstanding(target_group_arn, target))
                    .copied()
                    .unwrap_or(candidates[start])
            }
        }
    }
}

fn subject(target: &TargetEndpoint) -> String {
    format!("{}:{}", target.id, target.port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::pick::FixedPick;
    use crate::dataplane::targets::Standing;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn action(weights: &[(&str, u64)], stickiness_seconds: Option<u64>) -> ForwardAction {
        let groups = weights.iter().map(|(arn, weight)| WeightedGroup {
            arn: (*arn).to_owned(),
            weight: *weight,
        });
        ForwardAction {
            groups: groups.collect(),
            stickiness_seconds,
        }
    }

    fn with_cookies(set_cookies: &[String]) -> RequestHead {
        let mut request = RequestHead::get("h", "/");
        let pairs: Vec<&str> = set_cookies
            .iter()
            .map(|cookie| cookie.split(';').next().unwrap())
            .collect();
        request.headers = vec![("cookie".to_owned(), pairs.join("; "))];
        request
    }

    /// Counts up per subject.
    #[derive(Default)]
    struct Counters {
        turns: BTreeMap<String, u64>,
        outstanding: BTreeMap<u16, u64>,
    }

    impl Picker for Counters {
        fn turn(&mut self, of: Turn<'_>) -> u64 {
            let turn = self.turns.entry(format!("{of:?}")).or_default();
            *turn += 1;
            *turn - 1
        }

        fn outstanding(&self, _target_group_arn: &str, target: &TargetEndpoint) -> u64 {
            self.outstanding
                .get(&target.port)
                .copied()
                .unwrap_or_default()
        }
    }

    #[test]
    fn weights_are_exact_over_a_round() {
        let action = action(&[("a", 3), ("b", 1), ("c", 0)], None);
        let mut counters = Counters::default();
        let mut counts = BTreeMap::new();
        for _ in 0..40 {
            let chosen = action
                .choose(&RequestHead::get("h", "/"), "rule", NOW, &mut counters)
                .unwrap();
            assert!(chosen.set_cookies.is_empty());
            *counts.entry(chosen.value.arn.clone()).or_insert(0) += 1;
        }
        assert_eq!(
            counts,
            BTreeMap::from([("a".to_owned(), 30), ("b".to_owned(), 10)])
        );
        assert!(
            self::action(&[("a", 0), ("b", 0)], None)
                .by_weight(0)
                .is_none()
        );
    }

    #[test]
    fn a_client_stays_with_its_group_while_that_has_weight() {
        let both = action(&[("a", 1), ("b", 1)], Some(60));
        let request = RequestHead::get("h", "/");
        let first = both
            .choose(&request, "rule", NOW, &mut FixedPick(0))
            .unwrap();
        let other = both
            .choose(&request, "rule", NOW, &mut FixedPick(1))
            .unwrap();
        assert_ne!(first.value, other.value);
        let again = both
            .choose(
                &with_cookies(&first.set_cookies),
                "rule",
                NOW,
                &mut FixedPick(1),
            )
            .unwrap();
        assert_eq!(again.value, first.value);
        let drained: Vec<(&str, u64)> = ["a", "b"]
            .into_iter()
            .map(|arn| (arn, u64::from(arn != first.value.arn)))
            .collect();
        let drained = action(&drained, Some(60));
        let moved = drained
            .choose(
                &with_cookies(&first.set_cookies),
                "rule",
                NOW,
                &mut FixedPick(0),
            )
            .unwrap();
        assert_ne!(moved.value.arn, first.value.arn);
    }

    fn members(count: u16) -> Vec<Member> {
        let endpoint = |port| TargetEndpoint {
            id: "10.0.0.1".to_owned(),
            address: [10, 0, 0, 1].into(),
            port,
        };
        (1..=count)
            .map(|port| Member {
                endpoint: endpoint(port),
                standing: Standing::Healthy,
            })
            .collect()
    }

    fn policy(pairs: &[(&str, &str)]) -> TargetPolicy {
        let attributes = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        TargetPolicy::from_attributes(&attributes)
    }

    #[test]
    fn algorithms() {
        let request = RequestHead::get("h", "/");
        let ports = |pairs: &[(&str, &str)], counters: &mut Counters| -> Vec<u16> {
            let mut choose = || {
                policy(pairs)
                    .choose(&members(3), &request, ("tg", 1), NOW, counters)
                    .unwrap()
            };
            (0..6).map(|_| choose().value.port).collect()
        };
        assert_eq!(ports(&[], &mut Counters::default()), [1, 2, 3, 1, 2, 3]);
        let least = [(
            "load_balancing.algorithm.type",
            "least_outstanding_requests",
        )];
        let mut counters = Counters {
            outstanding: [(1, 5), (2, 1), (3, 1)].into(),
            ..Counters::default()
        };
        assert_eq!(ports(&least, &mut counters), [2, 2, 3, 2, 2, 3]);
        let random = [("load_balancing.algorithm.type", "weighted_random")];
        assert_eq!(
            ports(&random, &mut Counters::default()),
            ports(&random, &mut Counters::default())
        );
        assert!(
            policy(&[])
                .choose(&[], &request, ("tg", 1), NOW, &mut FixedPick(0))
                .is_none()
        );
    }

    #[test]
    fn a_client_stays_with_its_target_while_that_takes_traffic() {
        let sticky = policy(&[
            ("stickiness.enabled", "true"),
            ("stickiness.type", "lb_cookie"),
        ]);
        let choose = |members: &[Member], request: &RequestHead, pick| {
            sticky
                .choose(members, request, ("tg", 1), NOW, &mut FixedPick(pick))
                .unwrap()
        };
        let first = choose(&members(3), &RequestHead::get("h", "/"), 1);
        assert_eq!((first.value.port, first.set_cookies.len()), (2, 2));
        let request = with_cookies(&first.set_cookies);
        assert_eq!(choose(&members(3), &request, 0).value.port, 2);
        assert_eq!(
            choose(&members(1), &request, 0).value.port,
            1,
            "its target is gone"
        );
    }

    #[test]
    fn application_cookies_need_both_cookies_back() {
        let sticky = policy(&[
            ("stickiness.enabled", "true"),
            ("stickiness.type", "app_cookie"),
            ("stickiness.app_cookie.cookie_name", "SESSION"),
        ]);
        let choose = |request: &RequestHead, pick| {
            sticky
                .choose(&members(3), request, ("tg", 1), NOW, &mut FixedPick(pick))
                .unwrap()
        };
        let first = choose(&RequestHead::get("h", "/"), 1);
        assert!(first.set_cookies.is_empty());
        let watched = first.app_cookie.unwrap();
        assert_eq!(watched.name, "SESSION");
        let mut cookies = watched.set_cookies;
        assert_eq!(
            choose(&with_cookies(&cookies), 0).value.port,
            1,
            "the application's own is missing"
        );
        cookies.push("SESSION=x".to_owned());
        assert_eq!(choose(&with_cookies(&cookies), 0).value.port, 2);
    }
}
