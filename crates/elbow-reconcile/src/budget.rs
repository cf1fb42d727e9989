//! Call budgets: how many calls of which class may go out now.
//!
//! In: a call and the time. Out: whether it may go, or when it may. What always holds: a bucket never
//! holds more than its burst, and refills continuously; without a limit a class passes at once. The
//! buckets are kept a little below AWS's own, so that elbow waits instead of being refused.

use std::collections::BTreeMap;

use elbow_model::AwsCall;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A class of calls that share a bucket in AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallClass {
    /// ELBv2 look-ups.
    ElbRead,
    /// ELBv2 changes, but for the classes below.
    ElbWrite,
    /// CreateLoadBalancer and SetSubnets.
    ElbHeavy,
    /// RegisterTargets and DeregisterTargets.
    Targets,
    /// EC2 look-ups.
    Ec2Read,
    /// EC2 changes.
    Ec2Write,
    /// ACM.
    Acm,
    /// The tagging API.
    Tagging,
}

impl CallClass {
    /// The class of a call.
    pub fn of(call: &AwsCall) -> Self {
        match (call.service(), call) {
            ("ec2", call) if call.is_mutating() => Self::Ec2Write,
            ("ec2", _) => Self::Ec2Read,
            ("acm", _) => Self::Acm,
            ("tagging", _) => Self::Tagging,
            (_, AwsCall::CreateLoadBalancer { .. } | AwsCall::SetSubnets { .. }) => Self::ElbHeavy,
            (_, AwsCall::RegisterTargets { .. } | AwsCall::DeregisterTargets { .. }) => {
                Self::Targets
            }
            (_, call) if call.is_mutating() => Self::ElbWrite,
            _ => Self::ElbRead,
        }
    }
}

/// How much a class may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Calls that may go out at once after a rest.
    pub burst: u32,
    /// Calls a thousand seconds that may go out in the long run.
    pub per_kilosecond: u32,
}

/// Limits by class; a class without one is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Limits(pub BTreeMap<CallClass, Limit>);

impl Limits {
    /// No limits: for the emulator and for folders.
    pub fn none() -> Self {
        Self::default()
    }

    /// AWS's documented buckets ("Request throttling for the Elastic Load Balancing API" and
    /// "Request throttling for the Amazon EC2 API"; ACM's quotas). Each ELBv2 call also takes a token
    /// of an account-wide bucket of 40, refilled at 10 a second, which others in the account share.
    ///
    /// AWS refills once a second, these buckets at all times. So that a call is not refused that is
    /// early by less than a second, a burst is smaller than AWS's by what a second refills.
    pub fn aws() -> Self {
        Self(BTreeMap::from([
            (
                CallClass::ElbRead,
                Limit {
                    burst: 30,
                    per_kilosecond: 8_000,
                },
            ),
            (
                CallClass::ElbWrite,
                Limit {
                    burst: 17,
                    per_kilosecond: 3_000,
                },
            ),
            (
                CallClass::ElbHeavy,
                Limit {
                    burst: 9,
                    per_kilosecond: 200,
                },
            ),
            (
                CallClass::Targets,
                Limit {
                    burst: 16,
                    per_kilosecond: 4_000,
                },
            ),
            (
                CallClass::Ec2Read,
                Limit {
                    burst: 50,
                    per_kilosecond: 20_000,
                },
            ),
            (
                CallClass::Ec2Write,
                Limit {
                    burst: 50,
                    per_kilosecond: 5_000,
                },
            ),
            (
                CallClass::Acm,
                Limit {
                    burst: 8,
                    per_kilosecond: 8_000,
                },
            ),
        ]))
    }
}

/// The buckets of all classes.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    limits: Limits,
    buckets: BTreeMap<CallClass, Bucket>,
}

/// Tokens in millionths, so that nothing is lost to rounding: a call takes [`TOKEN`], and a
/// millisecond at one call a kilosecond adds one.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    millionths: u64,
    at: Timestamp,
}

const TOKEN: u64 = 1_000_000;

/// Two thirds of a burst are kept for what is urgent: of 30 look-ups 20, which is what it takes to look
/// at one load balancer in full. Without them a change during a restart would wait until the rate has
/// gained them again, 2.5 s.
const RESERVED: u64 = 2;
const RESERVED_OF: u64 = 3;

/// Whether a call may take what is kept for urgent ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It may: something has just changed.
    Now,
    /// It may not: first looks, retries, looks for drift.
    Later,
}

impl Budget {
    /// Full buckets.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            buckets: BTreeMap::new(),
        }
    }

    /// Takes a token for a call; if there is none, says when there will be.
    pub fn take(
        &mut self,
        class: CallClass,
        urgency: Urgency,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        let Some(limit) = self.limits.0.get(&class) else {
            return Ok(());
        };
        let full = u64::from(limit.burst.max(1)) * TOKEN;
        let rate = u64::from(limit.per_kilosecond.max(1));
        let bucket = self.buckets.entry(class).or_insert(Bucket {
            millionths: full,
            at: now,
        });
        let gained = now.millis_since(bucket.at).saturating_mul(rate);
        bucket.millionths = bucket.millionths.saturating_add(gained).min(full);
        bucket.at = bucket.at.max(now);
        let reserve = match urgency {
            Urgency::Now => 0,
            Urgency::Later => full / RESERVED_OF * RESERVED,
        };
        let needed = TOKEN.saturating_add(reserve).min(full);
        if bucket.millionths >= needed {
            bucket.millionths -= TOKEN;
            Ok(())
        } else {
            Err(now.plus_millis((needed - bucket.millionths).div_ceil(rate)))
        }
    }

    /// Empties the bucket of a class: AWS said that it is.
    pub fn throttled(&mut self, class: CallClass, now: Timestamp) {
        if self.limits.0.contains_key(&class) {
            self.buckets.insert(
                class,
                Bucket {
                    millionths: 0,
                    at: now,
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let limit = Limit {
            burst: 3,
            per_kilosecond: 2_000,
        };
        let limits = Limits(BTreeMap::from([(CallClass::ElbRead, limit)]));
        let mut budget = Budget::new(limits);
        let at = Timestamp::from_millis;
        for _ in 0..3 {
            assert_eq!(budget.take(CallClass::ElbRead, Urgency::Now, at(0)), Ok(()));
        }
        assert_eq!(
            budget.take(CallClass::ElbRead, Urgency::Now, at(0)),
            Err(at(500))
        );
        assert_eq!(
            budget.take(CallClass::ElbRead, Urgency::Now, at(499)),
            Err(at(500))
        );
        assert_eq!(
            budget.take(CallClass::ElbRead, Urgency::Now, at(500)),
            Ok(())
        );
        assert_eq!(
            budget.take(CallClass::ElbWrite, Urgency::Now, at(0)),
            Ok(()),
            "another class is not limited"
        );
        budget.throttled(CallClass::ElbRead, at(10_000));
        assert_eq!(
            budget.take(CallClass::ElbRead, Urgency::Now, at(10_000)),
            Err(at(10_500))
        );
        assert!(
            budget
                .take(CallClass::ElbRead, Urgency::Now, at(3_600_000))
                .is_ok()
        );
    }

    /// Tokens a bucket of AWS's holds, and how many thousandths come back at the end of each second.
    const DOCUMENTED: [(CallClass, u64, u64); 4] = [
        (CallClass::ElbRead, 40, 10_000),
        (CallClass::ElbWrite, 20, 3_000),
        (CallClass::ElbHeavy, 10, 200),
        (CallClass::Targets, 20, 4_000),
    ];

    #[test]
    fn whoever_calls_whenever_it_may_is_never_refused() {
        for (class, capacity, refill) in DOCUMENTED {
            // AWS's seconds begin when its bucket is first drawn on, at any moment of ours.
            for rest in [0, 1, 999, 1_000, 4_321] {
                let mut budget = Budget::new(Limits::aws());
                let mut now = Timestamp::from_millis(17);
                let (mut tokens, mut credited) = (capacity * 1_000, now);
                let mut sent = 0;
                while now < Timestamp::from_millis(60_000) {
                    let seconds = now.millis_since(credited) / 1_000;
                    tokens = (tokens + seconds * refill).min(capacity * 1_000);
                    credited = credited.plus_millis(seconds * 1_000);
                    match budget.take(class, Urgency::Now, now) {
                        Ok(()) => {
                            assert!(tokens >= 1_000, "{class:?} after {sent} calls at {now}");
                            tokens -= 1_000;
                            sent += 1;
                        }
                        Err(at) => now = at.plus_millis(rest),
                    }
                }
                assert!(sent > capacity, "{class:?}: {sent} calls");
            }
        }
    }

    #[test]
    fn what_is_not_urgent_leaves_a_reserve() {
        let limit = Limit {
            burst: 3,
            per_kilosecond: 1_000,
        };
        let limits = Limits(BTreeMap::from([(CallClass::ElbRead, limit)]));
        let mut budget = Budget::new(limits);
        let at = Timestamp::from_millis;
        let class = CallClass::ElbRead;
        assert_eq!(budget.take(class, Urgency::Later, at(0)), Ok(()));
        assert_eq!(budget.take(class, Urgency::Later, at(0)), Err(at(1_000)));
        assert_eq!(budget.take(class, Urgency::Now, at(0)), Ok(()));
        assert_eq!(budget.take(class, Urgency::Now, at(0)), Ok(()));
        assert_eq!(budget.take(class, Urgency::Now, at(0)), Err(at(1_000)));
        assert_eq!(budget.take(class, Urgency::Later, at(3_000)), Ok(()));
    }
}
