//! Records of Stacks, kept in one ConfigMap for the next leader.
//!
//! In: what the rounds ask to keep or to drop. Out: the whole of it, as often as it changes. What always
//! holds: one write at a time, and the latest wins; while a record is being dropped, calls that change
//! something other than targets wait, so that no record outlives what it tells of. A ConfigMap that cannot be written holds
//! nobody up for longer than one try.

use std::collections::BTreeMap;
use std::time::Duration;

use elbow_model::{StackId, StackKind};
use elbow_reconcile::{Record, Timestamp};

/// How long reading or writing records may take. It is one small object.
pub(crate) const RECORDS_TIME_MAX: Duration = Duration::from_secs(3);
/// The first wait after a write that failed.
const RETRY_FIRST_MS: u64 = 200;
/// The longest wait after failures.
const RETRY_MAX_MS: u64 = 60_000;

/// The records, and how far they are written.
#[derive(Debug, Default)]
pub(crate) struct Records {
    kept: BTreeMap<String, String>,
    /// Counts changes.
    wanted: u64,
    /// The last change that dropped a record.
    dropped: u64,
    /// The last change that is written.
    written: u64,
    /// The change that is being written.
    out: Option<u64>,
    failures: u32,
    not_before: Option<Timestamp>,
}

impl Records {
    /// Takes over what an earlier leader kept. What cannot be read is passed over.
    pub(crate) fn read(&mut self, kept: BTreeMap<String, String>) -> BTreeMap<StackId, Record> {
        self.kept = kept;
        let records = self.kept.iter();
        records
            .filter_map(|(key, text)| Some((stack(key)?, Record::new(text.clone()))))
            .collect()
    }

    /// Keeps a record, or drops it.
    pub(crate) fn note(&mut self, stack: &StackId, record: Option<&Record>) {
        let Some(key) = key(stack) else { return };
        self.wanted += 1;
        if let Some(record) = record {
            self.kept.insert(key, record.as_str().to_owned());
        } else {
            self.kept.remove(&key);
            self.dropped = self.wanted;
        }
    }

    /// Whether calls that change something have to wait until a record is dropped.
    pub(crate) fn holds_calls(&self) -> bool {
        self.dropped > self.written && self.failures == 0
    }

    /// The write that goes out now.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<BTreeMap<String, String>> {
        let waits = self.not_before.is_some_and(|at| now < at);
        if self.out.is_some() || self.wanted == self.written || waits {
            return None;
        }
        self.out = Some(self.wanted);
        Some(self.kept.clone())
    }

    /// Takes in how the write went.
    pub(crate) fn answered(&mut self, is_written: bool, now: Timestamp) {
        let Some(out) = self.out.take() else { return };
        if is_written {
            self.written = out;
            self.failures = 0;
            self.not_before = None;
        } else {
            let factor = 1_u64 << self.failures.min(16);
            self.failures = self.failures.saturating_add(1);
            self.not_before = Some(now.plus_millis((RETRY_FIRST_MS * factor).min(RETRY_MAX_MS)));
        }
    }

    /// When the next write may go out, if one waits.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.not_before.filter(|_| self.wanted != self.written)
    }

    /// Whether a write is out.
    pub(crate) fn is_out(&self) -> bool {
        self.out.is_some()
    }

    /// Whether all is written, or cannot be written now.
    pub(crate) fn is_idle(&self) -> bool {
        self.out.is_none() && (self.wanted == self.written || self.failures > 0)
    }
}

/// The longest key of a ConfigMap.
const KEY_MAX: usize = 253;

/// The key of a Stack: its kind, namespace and name. A namespace has no dots.
fn key(stack: &StackId) -> Option<String> {
    let kind = match stack.kind {
        StackKind::Cluster => return Some("cluster".to_owned()),
        StackKind::AlbGateway => "alb",
        StackKind::NlbGateway => "nlb",
        StackKind::Binding => "tgb",
    };
    let key = format!("{kind}.{}.{}", stack.namespace, stack.name);
    (key.len() <= KEY_MAX).then_some(key)
}

fn stack(key: &str) -> Option<StackId> {
    if key == "cluster" {
        return Some(StackId::CLUSTER);
    }
    let mut parts = key.splitn(3, '.');
    let kind = match parts.next()? {
        "alb" => StackKind::AlbGateway,
        "nlb" => StackKind::NlbGateway,
        "tgb" => StackKind::Binding,
        _ => return None,
    };
    Some(StackId::new(kind, parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> StackId {
        StackId::new(StackKind::AlbGateway, "app", "web.v1")
    }

    #[test]
    fn keys_lead_back_to_their_stacks() {
        let rows = [
            (StackId::CLUSTER, "cluster"),
            (web(), "alb.app.web.v1"),
            (StackId::new(StackKind::NlbGateway, "a", "b"), "nlb.a.b"),
            (StackId::new(StackKind::Binding, "a", "b"), "tgb.a.b"),
        ];
        for (id, text) in rows {
            assert_eq!(key(&id).as_deref(), Some(text));
            assert_eq!(stack(text), Some(id), "{text}");
        }
        assert_eq!(stack("other"), None);
        assert_eq!(stack("alb.app"), None);
    }

    #[test]
    fn calls_wait_while_a_record_is_dropped_but_not_for_ever() {
        let mut records = Records::default();
        let now = Timestamp::from_millis;
        records.note(&web(), Some(&Record::new("1.a.b.c")));
        assert!(!records.holds_calls(), "keeping one holds nobody up");
        assert_eq!(records.next(now(0)).map(|r| r.len()), Some(1));
        records.note(&web(), None);
        assert!(records.holds_calls());
        assert_eq!(records.next(now(0)), None, "one at a time");
        records.answered(true, now(1));
        assert!(records.holds_calls(), "what was written still had it");
        assert_eq!(records.next(now(1)).map(|r| r.len()), Some(0));
        records.answered(false, now(2));
        assert!(!records.holds_calls(), "it cannot be written");
        assert_eq!(records.next(now(2)), None);
        assert_eq!(records.wake_at(), Some(now(202)));
        assert_eq!(records.next(now(202)).map(|r| r.len()), Some(0));
        records.answered(true, now(203));
        assert!(records.is_idle() && !records.holds_calls());
    }
}
