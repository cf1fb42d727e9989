//! Which generations are programmed: what conditions may say about it, and of which generation.
//!
//! In: the translation that a round was about, and how it ended. Out: [`Programmed`], and statuses without what
//! is not so yet. What always holds: the condition `Programmed` is `True` with a generation only after a
//! round for that generation has ended, with all done that can be done, or with what failed told beside it.
//! Until then what an earlier generation came to stays told of that one.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::NamespacedName;
use elbow_model::observed::ObservedLoadBalancer;
use elbow_translate::Translation;
use elbow_translate::status::{
    self, GatewayStatus, ListenerDraft, ListenerSetStatus, ListenerStatus,
};

use crate::execute::Failure;
use crate::machine::RoundResult;

/// What rounds that have ended brought about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Programmed {
    gateway: Option<Generation>,
    listener_sets: BTreeMap<NamespacedName, Generation>,
}

/// One generation of a Gateway or ListenerSet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Generation {
    number: i64,
    /// The listeners that were valid then.
    listeners: BTreeSet<String>,
}

impl Generation {
    fn of(number: i64, listeners: &[ListenerDraft]) -> Self {
        let valid = listeners.iter().filter(|l| l.problem.is_none());
        Self {
            number,
            listeners: valid.map(|l| l.name.clone()).collect(),
        }
    }
}

impl Programmed {
    /// What is brought about when a round for this translation has ended.
    pub(crate) fn of(translation: &Translation) -> Self {
        let gateway = translation.gateway.as_ref();
        let sets = translation.listener_sets.iter();
        Self {
            gateway: gateway.map(|draft| Generation::of(draft.generation, &draft.listeners)),
            listener_sets: sets
                .filter(|draft| draft.is_allowed)
                .map(|draft| {
                    let generation = Generation::of(draft.generation, &draft.listeners);
                    (draft.set.clone(), generation)
                })
                .collect(),
        }
    }

    /// Takes back what is not so yet. `listeners` are the drafts of the status's listeners, `failed` is
    /// the load balancer on which a round has not done all.
    pub(super) fn hold_gateway(
        &self,
        written: &mut GatewayStatus,
        generation: i64,
        listeners: &[ListenerDraft],
        failed: Option<&ObservedLoadBalancer>,
    ) {
        let of_gateway = self.gateway.as_ref();
        let of_gateway = of_gateway.filter(|done| done.number == generation);
        if of_gateway.is_none() {
            status::hold_gateway(written);
        }
        let written = written.listeners.iter_mut().flatten();
        hold_listeners(of_gateway, written, listeners, failed);
    }

    /// The same of a ListenerSet.
    pub(super) fn hold_listener_set(
        &self,
        set: &NamespacedName,
        written: &mut ListenerSetStatus,
        generation: i64,
        listeners: &[ListenerDraft],
        failed: Option<&ObservedLoadBalancer>,
    ) {
        let of_set = self.listener_sets.get(set);
        let of_set = of_set.filter(|done| done.number == generation);
        if of_set.is_none_or(|done| done.listeners.is_empty()) {
            status::hold_listener_set(written);
        }
        hold_listeners(of_set, written.listeners.iter_mut(), listeners, failed);
    }
}

fn hold_listeners<'s>(
    done: Option<&Generation>,
    written: impl Iterator<Item = &'s mut ListenerStatus>,
    drafts: &[ListenerDraft],
    failed: Option<&ObservedLoadBalancer>,
) {
    for (listener, draft) in written.zip(drafts) {
        let is_done = done.is_some_and(|done| done.listeners.contains(&draft.name));
        let is_there = failed.is_none_or(|lb| {
            let mut ports = lb.listeners.iter().map(|l| i32::from(l.port.get()));
            ports.any(|port| port == draft.port)
        });
        if !is_done || !is_there {
            status::hold_listener(listener);
        }
    }
}

/// Whether a round that ended so has done what can be done, or failed for reasons that conditions tell.
pub(crate) fn is_settled_by(result: &RoundResult) -> bool {
    match result {
        RoundResult::Converged { .. } | RoundResult::Blocked => true,
        RoundResult::Incomplete { outcome } => {
            let mut failures = outcome.failures.iter();
            !outcome.is_abandoned
                && !outcome.failures.is_empty()
                && failures.all(Failure::is_lasting)
        }
        RoundResult::LookupFailed { .. } | RoundResult::Superseded => false,
    }
}
