//! The call log: which operations were asked for, so that a test can say "no write calls".

use std::collections::{BTreeMap, VecDeque};

use crate::{Service, Timestamp};

/// Calls kept in order. A process that runs for days must not grow; tests look at far fewer.
const KEPT: usize = 10_000;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it arrived.
    pub at: Timestamp,
    /// Where it went.
    pub service: Service,
    /// What it asked for.
    pub operation: &'static str,
    /// The error code it got, if it was refused.
    pub error: Option<String>,
}

impl Call {
    /// Whether the operation only reads.
    pub fn is_read(&self) -> bool {
        is_read(self.operation)
    }
}

/// Whether an operation only reads, by AWS's way of naming them.
pub fn is_read(operation: &str) -> bool {
    ["Describe", "List", "Get", "Head"]
        .iter()
        .any(|prefix| operation.starts_with(prefix))
}

/// Calls counted by operation, and the latest 10,000 in order.
#[derive(Clone, Debug, Default)]
pub struct CallLog {
    counts: BTreeMap<(Service, &'static str), u64>,
    latest: VecDeque<Call>,
}

impl CallLog {
    /// How often an operation was asked for, refusals included.
    pub fn count(&self, service: Service, operation: &str) -> u64 {
        let found = self
            .counts
            .iter()
            .find(|((s, name), _)| *s == service && *name == operation);
        found.map_or(0, |(_, count)| *count)
    }

    /// Counts by service and operation.
    pub fn counts(&self) -> &BTreeMap<(Service, &'static str), u64> {
        &self.counts
    }

    /// The latest calls, oldest first.
    pub fn latest(&self) -> impl DoubleEndedIterator<Item = &Call> {
        self.latest.iter()
    }

    pub(crate) fn record(&mut self, call: Call) {
        *self
            .counts
            .entry((call.service, call.operation))
            .or_default() += 1;
        if self.latest.len() == KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(call);
    }
}
