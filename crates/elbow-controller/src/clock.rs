//! The driver's two times: one that never goes back, for waits, and that of the calendar, for statuses.
//!
//! In: the moment of the start. Out: both times. Always holds: both follow tokio's clock from then on,
//! so that a test that pauses it decides them.

use std::time::Duration;

use elbow_reconcile::Timestamp;
use tokio::time::Instant;

/// The driver's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    epoch: jiff::Timestamp,
}

impl Clock {
    /// A clock that starts now, at this time of the calendar.
    pub(crate) fn start(epoch: jiff::Timestamp) -> Self {
        Self {
            started: Instant::now(),
            epoch,
        }
    }

    /// Milliseconds since the start.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = self.started.elapsed().as_millis();
        Timestamp::from_millis(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// The time of the calendar.
    pub(crate) fn wall(&self) -> jiff::Timestamp {
        let passed = jiff::SignedDuration::try_from(self.started.elapsed()).unwrap_or_default();
        self.epoch.checked_add(passed).unwrap_or(self.epoch)
    }

    /// When that is. A moment too far away to be reached is tomorrow: the clock is looked at again.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        let day = Duration::from_hours(24);
        let after = Duration::from_millis(at.as_millis()).min(self.started.elapsed() + day);
        self.started + after
    }
}
