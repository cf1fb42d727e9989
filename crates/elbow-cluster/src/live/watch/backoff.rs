//! How long a watch that failed waits before it asks again.
//!
//! In: failures and successes of one stream. Out: delays. Always holds: a single failure costs a tenth
//! of a second, and an API server that is down for long is asked every five.

use std::time::Duration;

use tokio::time::Instant;

/// The first delay: an API server that restarts behind a load balancer is back at once.
const FIRST: Duration = Duration::from_millis(100);

/// The longest delay. Nothing is learned while a watch waits, so it is short; a refused connection or a
/// 503 every five seconds from each of some twenty watches is no load.
const LONGEST: Duration = Duration::from_secs(5);

/// How long a stream must have worked for a failure to count as the first. Every attempt begins with
/// an event of its own, so that an event alone is no success.
const WORKING: Duration = Duration::from_secs(10);

/// Doubles from [`FIRST`] to [`LONGEST`].
#[derive(Debug, Default)]
pub(super) struct Backoff {
    /// The last delay, and when it was over.
    last: Option<(Duration, Instant)>,
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let delay = match self.last {
            Some((delay, over)) if now.saturating_duration_since(over) < WORKING => {
                (delay * 2).min(LONGEST)
            }
            _ => FIRST,
        };
        self.last = Some((delay, now + delay));
        Some(delay)
    }
}

impl kube::runtime::utils::Backoff for Backoff {
    fn reset(&mut self) {
        // Time tells, see `WORKING`.
    }
}
