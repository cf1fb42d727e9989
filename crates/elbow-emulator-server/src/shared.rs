//! One emulator for everything in the process that talks to it, and the clock that drives it.
//!
//! In: an [`Emulator`] and a [`Clock`]. Out: access with the current virtual time, notice of
//! changes, and a task that lets happen what falls due.
//! Always: whoever gets access sees a state that is up to date; nobody holds the lock across an
//! `await`, since access is a closure.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use elbow_emulator::{Emulator, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Maps real time to the emulator's virtual time.
///
/// ```text
/// virtual = start + speed * (real - real start)
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    real_start: Instant,
    virtual_start: Timestamp,
    speed: f64,
}

impl Clock {
    /// Starts at the present time. At speed 1 virtual time is real time; at speed 60 AWS's minute
    /// passes in a second. A speed that is not above zero counts as 1.
    pub fn new(speed: f64) -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Self::starting_at(Timestamp::from_millis(millis), speed)
    }

    /// Starts at a chosen virtual time.
    pub fn starting_at(start: Timestamp, speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 {
            speed
        } else {
            1.0
        };
        Self {
            real_start: Instant::now(),
            virtual_start: start,
            speed,
        }
    }

    /// How many virtual seconds pass in a real one.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// The virtual time now.
    pub fn now(&self) -> Timestamp {
        let elapsed = self.real_start.elapsed().as_secs_f64() * self.speed;
        let elapsed = Duration::try_from_secs_f64(elapsed).unwrap_or(Duration::MAX);
        self.virtual_start
            .plus_millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    /// How long a virtual duration lasts in real time.
    pub fn real(&self, virtual_duration: Duration) -> Duration {
        let seconds = virtual_duration.as_secs_f64() / self.speed;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// The real moment at which it is `at`; at once if that has passed.
    fn deadline(&self, at: Timestamp) -> Instant {
        // A millisecond more makes up for the rounding of `now`, so that nobody wakes too early.
        let ahead = Duration::from_millis(at.millis_since(self.virtual_start).saturating_add(1));
        self.real_start + self.real(ahead).min(FAR_AHEAD)
    }
}

/// A year from the start, the latest that a timer is set to: an `Instant` cannot lie arbitrarily far ahead.
const FAR_AHEAD: Duration = Duration::from_hours(24 * 365);

/// A handle to the emulator; clones share it.
#[derive(Clone)]
pub struct SharedEmulator(Arc<Inner>);

struct Inner {
    emulator: Mutex<Emulator>,
    clock: Clock,
    revision: watch::Sender<u64>,
    /// Wakes the task when the next event may have moved.
    rescheduled: Notify,
}

impl std::fmt::Debug for SharedEmulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedEmulator")
            .field("clock", &self.0.clock)
            .finish_non_exhaustive()
    }
}

impl SharedEmulator {
    /// Shares an emulator and starts the task that lets things happen when they fall due. The task
    /// ends with `shutdown`. Must be called in a tokio runtime.
    pub fn start(emulator: Emulator, clock: Clock, shutdown: CancellationToken) -> Self {
        let (revision, _) = watch::channel(emulator.revision());
        let inner = Inner {
            emulator: Mutex::new(emulator),
            clock,
            revision,
            rescheduled: Notify::new(),
        };
        let shared = Self(Arc::new(inner));
        tokio::spawn(shared.clone().run(shutdown));
        shared
    }

    /// Access to the emulator, brought up to date, with the virtual time.
    pub fn with<T>(&self, access: impl FnOnce(&mut Emulator, Timestamp) -> T) -> T {
        let inner = &*self.0;
        // A panic of another holder leaves whole values behind: each operation either is refused
        // before its first change or runs to its end.
        let mut emulator = inner
            .emulator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = inner.clock.now();
        if emulator.next_event().is_some_and(|at| at <= now) {
            emulator.advance(now);
        }
        let before = emulator.next_event();
        let result = access(&mut emulator, now);
        if emulator.next_event() != before {
            inner.rescheduled.notify_one();
        }
        let revision = emulator.revision();
        inner.revision.send_if_modified(|published| {
            let is_news = *published != revision;
            *published = revision;
            is_news
        });
        result
    }

    /// The virtual time now.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The clock that drives the emulator.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// Tells of each change of what the data plane serves, by the emulator's revision.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.revision.subscribe()
    }

    /// Waits until it is `at` in virtual time.
    pub async fn sleep_until(&self, at: Timestamp) {
        tokio::time::sleep_until(self.0.clock.deadline(at)).await;
    }

    async fn run(self, shutdown: CancellationToken) {
        loop {
            // `with` advances what is due, also when nothing else is done.
            let next = self.with(|emulator, _| emulator.next_event());
            let due = async {
                match next {
                    Some(at) => self.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.0.rescheduled.notified() => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use elbow_emulator::Config;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn virtual_time_runs_at_its_speed() {
        let clock = Clock::starting_at(Timestamp::from_millis(1_000), 60.0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clock.now(), Timestamp::from_millis(61_000));
        assert_eq!(clock.real(Duration::from_mins(1)), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn sleeps_until_a_virtual_time() {
        let clock = Clock::starting_at(Timestamp::default(), 10.0);
        let shutdown = CancellationToken::new();
        let shared =
            SharedEmulator::start(Emulator::new(Config::default()), clock, shutdown.clone());
        let at = Timestamp::from_millis(30_000);
        shared.sleep_until(at).await;
        assert!(shared.now() >= at);
        shutdown.cancel();
    }
}
