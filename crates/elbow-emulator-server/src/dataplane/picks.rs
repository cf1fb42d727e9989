//! The counters behind the choices of the data plane.
//!
//! In: what is being chosen. Out: the next number for it. Always: each rule and each target group
//! counts for itself, so that the requests of one do not skew the choices of another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use elbow_emulator::dataplane::pick::{Picker, Turn};
use elbow_emulator::dataplane::request::TargetEndpoint;

/// Counters, shared by all listeners.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picks {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    turns: BTreeMap<String, u64>,
    outstanding: BTreeMap<(String, TargetEndpoint), u64>,
}

impl Picks {
    /// Counts a request to a target until the guard is dropped.
    pub(crate) fn outstanding(
        &self,
        target_group_arn: &str,
        target: &TargetEndpoint,
    ) -> Outstanding {
        let key = (target_group_arn.to_owned(), target.clone());
        *self.lock().outstanding.entry(key.clone()).or_default() += 1;
        Outstanding {
            picks: self.clone(),
            key,
        }
    }

    /// How many requests are with targets.
    #[cfg(test)]
    pub(crate) fn total(&self) -> usize {
        self.lock().outstanding.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Picker for Picks {
    fn turn(&mut self, of: Turn<'_>) -> u64 {
        let subject = match of {
            Turn::TargetGroup { rule_arn } => rule_arn,
            Turn::Target {
                target_group_arn, ..
            } => target_group_arn,
        };
        let mut inner = self.lock();
        let turn = inner.turns.entry(subject.to_owned()).or_default();
        *turn = turn.wrapping_add(1);
        turn.wrapping_sub(1)
    }

    fn outstanding(&self, target_group_arn: &str, target: &TargetEndpoint) -> u64 {
        let key = (target_group_arn.to_owned(), target.clone());
        self.lock()
            .outstanding
            .get(&key)
            .copied()
            .unwrap_or_default()
    }
}

/// A request that a target has not answered to the end.
#[derive(Debug)]
pub(crate) struct Outstanding {
    picks: Picks,
    key: (String, TargetEndpoint),
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        let mut inner = self.picks.lock();
        if let Some(count) = inner.outstanding.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                inner.outstanding.remove(&self.key);
            }
        }
    }
}
