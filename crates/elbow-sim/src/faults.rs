//! Faults: what goes wrong on the way to AWS and back.
//!
//! In: a random stream. Out: the fate of each call. What always holds: when faults are off, every call
//! is carried out and answered within a tenth of a second.

use elbow_model::{AwsCall, AwsError, ErrorClass};

use crate::random::Random;

/// How often what goes wrong, in a thousand calls.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    throttled: u64,
    lost_before: u64,
    lost_after: u64,
    denied: u64,
    over_quota: u64,
    slow: u64,
}

/// What becomes of a call.
#[derive(Debug, Clone)]
pub(crate) struct Fate {
    /// When it reaches AWS, in milliseconds from now.
    pub(crate) arrives_after_ms: u64,
    /// How long its answer takes back.
    pub(crate) answer_after_ms: u64,
    pub(crate) what: What,
}

/// What AWS does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// It is carried out and answered.
    Answered,
    /// It is refused without being carried out.
    Refused(AwsError),
    /// It is carried out, and the answer gets lost.
    Lost(AwsError),
}

impl Faults {
    /// Rates of their own for each seed, so that some seeds see one kind of fault only.
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut rate = |most: u64| {
            if random.chance(500) {
                random.below(most)
            } else {
                0
            }
        };
        Self {
            throttled: rate(200),
            lost_before: rate(100),
            lost_after: rate(100),
            denied: rate(30),
            over_quota: rate(30),
            slow: rate(200),
        }
    }

    /// No faults.
    pub(crate) fn none() -> Self {
        Self {
            throttled: 0,
            lost_before: 0,
            lost_after: 0,
            denied: 0,
            over_quota: 0,
            slow: 0,
        }
    }

    /// The fate of a read or write of a small object of the API server's.
    pub(crate) fn fate_of_write(&self, random: &mut Random) -> Fate {
        let what = if random.chance(self.lost_before) {
            What::Refused(error(ErrorClass::Transient, "Timeout"))
        } else if random.chance(self.lost_after) {
            What::Lost(error(ErrorClass::Transient, "Timeout"))
        } else {
            What::Answered
        };
        Fate {
            arrives_after_ms: random.one([1, 20, 1_000]),
            answer_after_ms: 0,
            what,
        }
    }

    /// The fate of a call.
    pub(crate) fn fate(&self, random: &mut Random, call: &AwsCall) -> Fate {
        let is_slow = random.chance(self.slow);
        let leg = |random: &mut Random| {
            if is_slow {
                random.between(1_000, 20_000)
            } else {
                random.between(1, 50)
            }
        };
        let (arrives_after_ms, answer_after_ms) = (leg(random), leg(random));
        let creates = call.operation().starts_with("Create");
        let what = if random.chance(self.throttled) {
            What::Refused(error(ErrorClass::Throttled, "Throttling"))
        } else if random.chance(self.lost_before) {
            What::Refused(error(ErrorClass::Transient, "RequestTimeout"))
        } else if random.chance(self.lost_after) {
            What::Lost(error(ErrorClass::Transient, "RequestTimeout"))
        } else if random.chance(self.denied) {
            What::Refused(error(ErrorClass::Denied, "AccessDenied"))
        } else if creates && random.chance(self.over_quota) {
            What::Refused(error(ErrorClass::Quota, "TooManyOfThem"))
        } else {
            What::Answered
        };
        Fate {
            arrives_after_ms,
            answer_after_ms,
            what,
        }
    }
}

fn error(class: ErrorClass, code: &str) -> AwsError {
    AwsError::new(class, code, "injected by the simulator")
}
