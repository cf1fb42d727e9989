//! Backoff: how long to wait before trying again.
//!
//! In: how often it failed in a row, why, and who asks. Out: a wait in milliseconds. What always
//! holds: waits grow, stay below a bound, and differ between Stacks, so that what failed together is
//! not tried together again. The jitter comes from a seed and the asker's name, not from chance.

use elbow_model::ErrorClass;
use serde::{Deserialize, Serialize};

/// How waits grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The first wait after a failure that may pass by itself, in milliseconds.
    pub first_ms: u64,
    /// The first wait after a failure that somebody has to do something about (a denied action, a
    /// used-up quota, refused parameters), in milliseconds.
    pub first_slow_ms: u64,
    /// No wait after AWS has throttled is longer, in milliseconds.
    pub max_throttled_ms: u64,
    /// No wait after another failure that may pass by itself is longer, in milliseconds.
    pub max_ms: u64,
    /// No wait after a failure that somebody has to do something about is longer, in milliseconds.
    pub max_slow_ms: u64,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for Backoff {
    /// AWS refills its smallest bucket (CreateLoadBalancer) with a token every 5 s, so that to wait longer
    /// for one only costs time; how many calls go out is a matter of the budgets. What was out of reach
    /// is looked for at least once a minute, and a quota or a role is changed by people.
    fn default() -> Self {
        Self {
            first_ms: 500,
            first_slow_ms: 10_000,
            max_throttled_ms: 5_000,
            max_ms: 60_000,
            max_slow_ms: 300_000,
            seed: 0,
        }
    }
}

impl Backoff {
    /// The wait before the next try, after `failures` in a row of which the last was of `class`.
    pub fn wait_ms(&self, class: ErrorClass, failures: u32, asker: &str) -> u64 {
        let (first, max) = match class {
            ErrorClass::Denied | ErrorClass::Quota | ErrorClass::Invalid => {
                (self.first_slow_ms, self.max_slow_ms)
            }
            ErrorClass::Throttled => (self.first_ms, self.max_throttled_ms),
            ErrorClass::Conflict | ErrorClass::NotFound | ErrorClass::Transient => {
                (self.first_ms, self.max_ms)
            }
        };
        let doublings = failures.saturating_sub(1).min(20);
        let wait = first.saturating_mul(1 << doublings).min(max);
        // Between three quarters of the wait and all of it.
        let quarter = wait / 4;
        wait - quarter + self.hash(asker, failures) % (quarter + 1)
    }

    /// FNV-1a over the asker, the try and the seed: cheap, and the same on every machine.
    fn hash(&self, asker: &str, failures: u32) -> u64 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let bytes = asker
            .bytes()
            .chain(failures.to_le_bytes())
            .chain(self.seed.to_le_bytes());
        bytes.fold(OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_stay_bounded_and_differ_between_askers() {
        let backoff = Backoff::default();
        let wait = |failures| backoff.wait_ms(ErrorClass::Throttled, failures, "app/web");
        assert!((375..=500).contains(&wait(1)), "{}", wait(1));
        assert!(wait(2) > wait(1));
        for (class, max) in [
            (ErrorClass::Throttled, backoff.max_throttled_ms),
            (ErrorClass::Transient, backoff.max_ms),
            (ErrorClass::Denied, backoff.max_slow_ms),
        ] {
            let wait = backoff.wait_ms(class, 60, "app/web");
            assert!((max * 3 / 4..=max).contains(&wait), "{class:?}: {wait}");
        }
        assert!(backoff.wait_ms(ErrorClass::Denied, 1, "app/web") >= 7_500);
        let others =
            (0..20).map(|n| backoff.wait_ms(ErrorClass::Throttled, 3, &format!("app/{n}")));
        assert!(others.collect::<std::collections::BTreeSet<_>>().len() > 10);
        assert_eq!(wait(3), wait(3));
    }
}
