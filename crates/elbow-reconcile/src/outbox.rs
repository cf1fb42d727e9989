//! The outbox: calls that wait to go out, in order of urgency.
//!
//! In: calls with a priority and an owner. Out: those that may go now. What always holds: among calls
//! that may go, the most urgent goes first, and of equally urgent ones the oldest; a class whose
//! budget is used up holds up no other class; no more than a fixed number are out at once.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::{AwsCall, AwsError, ErrorClass};
use serde::{Deserialize, Serialize};

use crate::budget::{Budget, CallClass, Limits, Urgency};
use crate::time::Timestamp;

/// Identifies one call that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u64);

/// How urgent work is; the first is the most urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Targets of a Service that has just changed: traffic goes to pods that are gone.
    Targets,
    /// An object that has just changed or was deleted.
    Fresh,
    /// The health of targets that pods wait for: a roll-out goes on when they are healthy.
    Gates,
    /// The first round after a start.
    Initial,
    /// A round that failed, or that somebody else's failure held up.
    Retry,
    /// A look for drift.
    Drift,
}

impl Priority {
    /// Whether calls of this urgency may take what budgets keep for urgent ones.
    fn urgency(self) -> Urgency {
        match self {
            Self::Targets | Self::Fresh => Urgency::Now,
            Self::Gates | Self::Initial | Self::Retry | Self::Drift => Urgency::Later,
        }
    }
}

/// Calls that wait and calls that are out.
#[derive(Debug)]
pub(crate) struct Outbox<O> {
    budget: Budget,
    in_flight_max: usize,
    /// By class, so that what waits for one class's budget is not looked at for another's.
    waiting: BTreeMap<CallClass, BTreeMap<(Priority, u64), Waiting<O>>>,
    out: BTreeMap<CallId, Sent<O>>,
    next: u64,
}

#[derive(Debug)]
struct Waiting<O> {
    owner: O,
    call: AwsCall,
}

/// A call that is out.
#[derive(Debug)]
pub(crate) struct Sent<O> {
    pub(crate) owner: O,
    pub(crate) call: AwsCall,
    pub(crate) priority: Priority,
    is_disowned: bool,
}

impl<O: Clone + PartialEq> Outbox<O> {
    pub(crate) fn new(limits: Limits, in_flight_max: usize) -> Self {
        Self {
            budget: Budget::new(limits),
            in_flight_max: in_flight_max.max(1),
            waiting: BTreeMap::new(),
            out: BTreeMap::new(),
            next: 0,
        }
    }

    /// Whether nothing waits and nothing is out.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.out.is_empty()
    }

    /// Puts a call in.
    pub(crate) fn push(&mut self, owner: O, priority: Priority, call: AwsCall) {
        self.next += 1;
        self.waiting
            .entry(CallClass::of(&call))
            .or_default()
            .insert((priority, self.next), Waiting { owner, call });
    }

    /// Makes the waiting calls of an owner more urgent.
    pub(crate) fn promote(&mut self, owner: &O, priority: Priority) {
        for queue in self.waiting.values_mut() {
            let promoted: Vec<(Priority, u64)> = queue
                .iter()
                .filter(|((now, _), waiting)| *now > priority && waiting.owner == *owner)
                .map(|(key, _)| *key)
                .collect();
            for key in promoted {
                if let Some(waiting) = queue.remove(&key) {
                    queue.insert((priority, key.1), waiting);
                }
            }
        }
    }

    /// Takes the waiting calls of an owner back. Those that are out stay out.
    pub(crate) fn withdraw(&mut self, owner: &O) {
        self.waiting.retain(|_, queue| {
            queue.retain(|_, waiting| waiting.owner != *owner);
            !queue.is_empty()
        });
    }

    /// Takes the waiting calls of an owner back, and sees to it that nobody is told the answers of those
    /// that are out: they belong to something that was given up. They count as out until they are
    /// answered.
    pub(crate) fn disown(&mut self, owner: &O) {
        self.withdraw(owner);
        for sent in self.out.values_mut() {
            sent.is_disowned |= sent.owner == *owner;
        }
    }

    /// The calls that go out now. If some are held up by their budget: when the first of them may go.
    pub(crate) fn release(
        &mut self,
        now: Timestamp,
    ) -> (Vec<(CallId, AwsCall)>, Option<Timestamp>) {
        let mut released = Vec::new();
        let mut wake: Option<Timestamp> = None;
        let mut exhausted = BTreeSet::new();
        while self.out.len() < self.in_flight_max {
            let queues = self.waiting.iter();
            let heads = queues
                .filter(|(class, _)| !exhausted.contains(*class))
                .filter_map(|(class, queue)| Some((*queue.keys().next()?, *class)));
            let Some((key, class)) = heads.min() else {
                break;
            };
            if let Err(at) = self.budget.take(class, key.0.urgency(), now) {
                exhausted.insert(class);
                wake = Some(wake.map_or(at, |wake| wake.min(at)));
                continue;
            }
            let Some(queue) = self.waiting.get_mut(&class) else {
                break;
            };
            let found = queue.remove(&key);
            if queue.is_empty() {
                self.waiting.remove(&class);
            }
            if let Some(Waiting { owner, call }) = found {
                let id = CallId(key.1);
                released.push((id, call.clone()));
                self.out.insert(
                    id,
                    Sent {
                        owner,
                        call,
                        priority: key.0,
                        is_disowned: false,
                    },
                );
            }
        }
        (released, wake)
    }

    /// Takes a call back whose answer is in. `None` for an answer to nothing, or to nobody.
    pub(crate) fn answered(
        &mut self,
        id: CallId,
        error: Option<&AwsError>,
        now: Timestamp,
    ) -> Option<Sent<O>> {
        let sent = self.out.remove(&id)?;
        if error.is_some_and(|error| error.class == ErrorClass::Throttled) {
            self.budget.throttled(CallClass::of(&sent.call), now);
        }
        (!sent.is_disowned).then_some(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(n: u16) -> AwsCall {
        AwsCall::DescribeTags {
            arns: vec![n.to_string()],
        }
    }

    #[test]
    fn what_was_given_up_is_told_no_answers() {
        let mut outbox = Outbox::new(Limits::none(), 2);
        let now = Timestamp::default();
        for n in 1..=3 {
            outbox.push("look", Priority::Fresh, call(n));
        }
        let (first, _) = outbox.release(now);
        outbox.disown(&"look");
        outbox.push("look", Priority::Fresh, call(4));
        assert!(outbox.release(now).0.is_empty(), "two are still out");
        for (id, _) in first {
            assert!(outbox.answered(id, None, now).is_none());
        }
        let (second, _) = outbox.release(now);
        assert_eq!(second.len(), 1, "the third was taken back");
        assert!(outbox.answered(second[0].0, None, now).is_some());
    }

    #[test]
    fn the_most_urgent_goes_first_and_no_more_than_may_be_out() {
        let mut outbox = Outbox::new(Limits::none(), 2);
        outbox.push("sync", Priority::Initial, call(1));
        outbox.push("drift", Priority::Drift, call(2));
        outbox.push("fresh", Priority::Fresh, call(3));
        let now = Timestamp::default();
        let (released, wake) = outbox.release(now);
        let calls: Vec<AwsCall> = released.iter().map(|(_, call)| call.clone()).collect();
        assert_eq!(calls, [call(3), call(1)]);
        assert_eq!(wake, None);
        assert!(
            outbox
                .answered(released[0].0, None, now)
                .is_some_and(|s| s.owner == "fresh")
        );
        assert!(
            outbox.answered(released[0].0, None, now).is_none(),
            "an answer counts once"
        );
        outbox.promote(&"drift", Priority::Fresh);
        outbox.push("late", Priority::Initial, call(4));
        let (released, _) = outbox.release(now);
        assert_eq!(released.len(), 1);
        assert_eq!(released[0].1, call(2));
        outbox.withdraw(&"late");
        assert!(outbox.answered(released[0].0, None, now).is_some());
        assert!(outbox.release(now).0.is_empty());
    }
}
