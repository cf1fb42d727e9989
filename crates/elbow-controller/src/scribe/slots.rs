//! What is known of the last write to an object: whether it is out, when the next may follow.
//!
//! In: answers and the time. Out: whether to wait. Always holds: waits grow from failure to failure and
//! end with the first write that is of use.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use elbow_api::{Object, ObjectRef};
use elbow_cluster::live::{Remedy, WriteError};
use elbow_reconcile::Timestamp;
use serde_json::Value;

use super::FailedWrite;
use crate::ports::Write;

/// The first wait after a conflict: the watch brings the new state within milliseconds as a rule.
const CONFLICT_FIRST_MS: u64 = 20;
/// The longest wait after conflicts.
const CONFLICT_MAX_MS: u64 = 5_000;
/// The first wait after a failure that passes by itself.
const RETRY_FIRST_MS: u64 = 200;
/// The longest wait after such failures: an API server that comes back is noticed within this.
const RETRY_MAX_MS: u64 = 30_000;
/// The first wait where a person has to act, or where a write changed nothing.
const ASK_FIRST_MS: u64 = 5_000;
/// The longest wait of those: a role that was corrected takes effect within this.
const ASK_MAX_MS: u64 = 120_000;

/// The same write may follow itself so often at once: people undo a status when they look at it.
const REPEATS_FREE: u32 = 3;
/// The first wait after that. Something undoes each write, or the API server drops what it does not
/// know.
const REPEAT_FIRST_MS: u64 = 1_000;
/// After so long it counts as new.
const REPEATS_REMEMBERED_MS: u64 = 600_000;

/// What is known of the writes to an object.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Whether a write is out.
    pub(super) is_out: bool,
    /// Not before.
    pub(super) not_before: Option<Timestamp>,
    /// The version that the last write made.
    pub(super) version: u64,
    failures: u32,
    /// The last write, as a hash, and when it went out.
    last: Option<(u64, Timestamp)>,
    /// How often the same write went out in a row, though it succeeded.
    repeats: u32,
    /// The failure that was told about.
    told: Option<&'static str>,
}

impl Slot {
    pub(super) fn waits(&self, now: Timestamp) -> bool {
        self.not_before.is_some_and(|at| now < at)
    }

    /// Nothing is to be written.
    pub(super) fn settle(&mut self) {
        self.failures = 0;
        self.not_before = None;
        self.told = None;
    }

    /// Notes the write that is about to go out. True if it went out before, successfully and without
    /// lasting effect, and is to wait.
    pub(super) fn is_repeated(&mut self, write: &Write, now: Timestamp) -> bool {
        let hash = hash(write);
        let is_same = self.failures == 0
            && self.last.is_some_and(|(last, at)| {
                last == hash && now.millis_since(at) < REPEATS_REMEMBERED_MS
            });
        if !is_same {
            self.repeats = 0;
        } else if self.not_before.is_none() {
            self.repeats = self.repeats.saturating_add(1);
            if self.repeats >= REPEATS_FREE {
                let repeats = self.repeats - REPEATS_FREE;
                self.not_before = Some(wait(now, REPEAT_FIRST_MS, ASK_MAX_MS, repeats));
                return true;
            }
        }
        self.not_before = None;
        self.last = Some((hash, now));
        false
    }

    /// Takes in an answer. Answers with what somebody has to be told, once.
    pub(super) fn answered(
        &mut self,
        object: &ObjectRef,
        result: &Result<Option<Object>, WriteError>,
        now: Timestamp,
    ) -> Option<FailedWrite> {
        self.is_out = false;
        let error = match result {
            Ok(written) => {
                if let Some(written) = written {
                    self.version = self.version.max(version(written));
                }
                self.failures = 0;
                self.told = None;
                return None;
            }
            Err(error) => error,
        };
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        let (first, max) = match error.remedy() {
            Remedy::ReadAgain => (CONFLICT_FIRST_MS, CONFLICT_MAX_MS),
            Remedy::Drop | Remedy::Retry => (RETRY_FIRST_MS, RETRY_MAX_MS),
            Remedy::Ask => (ASK_FIRST_MS, ASK_MAX_MS),
        };
        self.not_before = Some(wait(now, first, max, failures));
        let is_news = error.remedy() == Remedy::Ask && self.told != Some(error.category());
        if !is_news {
            return None;
        }
        self.told = Some(error.category());
        Some(FailedWrite {
            object: object.clone(),
            message: error.to_string(),
        })
    }
}

fn wait(now: Timestamp, first_ms: u64, max_ms: u64, failures: u32) -> Timestamp {
    let factor = 1_u64.checked_shl(failures.min(30)).unwrap_or(u64::MAX);
    now.plus_millis(first_ms.saturating_mul(factor).min(max_ms))
}

/// The version of an object as a number. The API promises that versions of one kind can be compared so;
/// where it is none, it is older than any.
pub(crate) fn version(object: &Object) -> u64 {
    let version = object.metadata().resource_version.as_deref();
    version.and_then(|v| v.parse().ok()).unwrap_or_default()
}

/// A status without the times of its conditions.
fn timeless(status: &Value) -> Value {
    match status {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .filter(|(name, _)| *name != "lastTransitionTime");
            Value::Object(
                fields
                    .map(|(name, v)| (name.clone(), timeless(v)))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(timeless).collect(),
        other => other.clone(),
    }
}

/// Tells writes apart, but for the state that they were worked out from.
fn hash(write: &Write) -> u64 {
    let mut hasher = DefaultHasher::new();
    write.verb().hash(&mut hasher);
    match write {
        Write::Status { status, .. } => timeless(status).to_string().hash(&mut hasher),
        Write::AddFinalizer { finalizer, .. } | Write::RemoveFinalizer { finalizer, .. } => {
            finalizer.hash(&mut hasher);
        }
        Write::Binding { wanted, .. } => {
            let wanted = serde_json::to_string(wanted).unwrap_or_default();
            wanted.hash(&mut hasher);
        }
        Write::PodConditions { conditions, .. } => {
            for condition in conditions {
                let parts = (&condition.type_, &condition.status);
                (parts, &condition.reason, &condition.message).hash(&mut hasher);
            }
        }
        Write::Delete { object } | Write::OpenGates { object } | Write::Unbind { object } => {
            object.metadata().uid.hash(&mut hasher);
        }
        Write::Event { note, .. } => note.message.hash(&mut hasher),
    }
    hasher.finish()
}
