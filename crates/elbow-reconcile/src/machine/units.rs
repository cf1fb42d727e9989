//! All units, and what the machine asks about all of them at once.
//!
//! In: changes of single units, by [`Units::get_mut`] and [`Units::entry`]. Out: which units are at
//! work, wait for what, and when the next of them wants to be woken. What always holds: after
//! [`Units::settle`] the answers are true, and asking for them costs nothing in proportion to the number
//! of units: a step of the machine touches the units that it is about and no others.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::Stack;

use super::timers;
use super::unit::{Phase, Unit, Work};
use crate::settings::Settings;
use crate::time::Timestamp;

/// The units by name, with the sets that are derived from them.
#[derive(Debug, Default)]
pub(super) struct Units {
    works: BTreeMap<Unit, Work>,
    /// Units that may have changed since their traits were last taken.
    touched: BTreeSet<Unit>,
    /// The alarm under which each unit is in `alarms`.
    alarm_of: BTreeMap<Unit, Timestamp>,
    alarms: BTreeSet<(Timestamp, Unit)>,
    by_trait: BTreeMap<Trait, BTreeSet<Unit>>,
}

/// What is asked about all units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trait {
    /// Something is under way, wanted or to be tried again.
    Unsettled,
    /// A round is under way.
    AtWork,
    /// It waits for facts.
    AwaitsFacts,
    /// It waits for what it shares with others.
    AwaitsCluster,
    /// It waits for what is kept about its targets.
    AwaitsOwnTargets,
    /// It is a Gateway whose Stack uses the shared security group.
    UsesGroup,
    /// It is a Gateway whose Stack refers to imported certificates or trust stores.
    UsesShared,
    /// It goes on without a certificate or trust store that could not be had.
    LacksShared,
    /// It is a Gateway that was not translated yet.
    Undecided,
    /// It is a Gateway or a TargetGroupBinding that was not translated yet.
    Unheard,
    /// The same, and nothing has kept it from it so far.
    OnItsWay,
}

impl Trait {
    const ALL: [Self; 11] = [
        Self::Unsettled,
        Self::AtWork,
        Self::AwaitsFacts,
        Self::AwaitsCluster,
        Self::AwaitsOwnTargets,
        Self::UsesGroup,
        Self::UsesShared,
        Self::LacksShared,
        Self::Undecided,
        Self::Unheard,
        Self::OnItsWay,
    ];

    fn is_of(self, unit: &Unit, work: &Work) -> bool {
        match self {
            Self::Unsettled => !work.is_settled(),
            Self::AtWork => !matches!(work.phase, Phase::Idle),
            Self::AwaitsFacts => matches!(work.phase, Phase::AwaitingFacts(_)),
            Self::AwaitsCluster => matches!(work.phase, Phase::AwaitingCluster),
            Self::AwaitsOwnTargets => matches!(work.phase, Phase::AwaitingOwnTargets),
            Self::UsesGroup => {
                let stack = work.stack.as_ref();
                unit.gateway().is_some() && stack.is_some_and(Stack::uses_backend_security_group)
            }
            Self::UsesShared => {
                let stack = work.stack.as_ref();
                unit.gateway().is_some() && stack.is_some_and(uses_shared)
            }
            Self::LacksShared => !work.lacking.is_empty(),
            Self::Undecided => unit.gateway().is_some() && !work.is_translated,
            Self::Unheard => !matches!(unit, Unit::Cluster | Unit::Network) && !work.is_translated,
            Self::OnItsWay => Self::Unheard.is_of(unit, work) && work.failures == 0,
        }
    }
}

fn uses_shared(stack: &Stack) -> bool {
    stack.listeners.values().any(|listener| {
        let mut certificates = listener.certificates.iter();
        let trust_store = listener.mutual_authentication.trust_store();
        certificates.any(|certificate| certificate.known().is_none())
            || trust_store.is_some_and(|trust_store| trust_store.known().is_none())
    })
}

impl Units {
    pub(super) fn get(&self, unit: &Unit) -> Option<&Work> {
        self.works.get(unit)
    }

    pub(super) fn get_mut(&mut self, unit: &Unit) -> Option<&mut Work> {
        let work = self.works.get_mut(unit)?;
        if !self.touched.contains(unit) {
            self.touched.insert(unit.clone());
        }
        Some(work)
    }

    /// The unit's work; new when there is none.
    pub(super) fn entry(&mut self, unit: &Unit) -> &mut Work {
        if !self.touched.contains(unit) {
            self.touched.insert(unit.clone());
        }
        self.works.entry(unit.clone()).or_default()
    }

    pub(super) fn remove(&mut self, unit: &Unit) {
        if self.works.remove(unit).is_some() {
            self.touched.insert(unit.clone());
        }
    }

    pub(super) fn contains(&self, unit: &Unit) -> bool {
        self.works.contains_key(unit)
    }

    /// All units. For what is about all of them by its nature.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Unit, &Work)> {
        self.works.iter()
    }

    /// The names of all units.
    pub(super) fn names(&self) -> Vec<Unit> {
        self.works.keys().cloned().collect()
    }

    /// Takes the traits of the units that have changed.
    pub(super) fn settle(&mut self, settings: &Settings) {
        while let Some(unit) = self.touched.pop_first() {
            let work = self.works.get(&unit);
            let alarm = work.and_then(|work| timers::alarm(settings, &unit, work));
            let before = match alarm {
                Some(at) => self.alarm_of.insert(unit.clone(), at),
                None => self.alarm_of.remove(&unit),
            };
            if before != alarm {
                if let Some(at) = before {
                    self.alarms.remove(&(at, unit.clone()));
                }
                if let Some(at) = alarm {
                    self.alarms.insert((at, unit.clone()));
                }
            }
            for which in Trait::ALL {
                let set = self.by_trait.entry(which).or_default();
                if work.is_some_and(|work| which.is_of(&unit, work)) {
                    if !set.contains(&unit) {
                        set.insert(unit.clone());
                    }
                } else {
                    set.remove(&unit);
                }
            }
        }
    }

    /// The units with a trait, as of the last [`Units::settle`].
    pub(super) fn with(&self, which: Trait) -> impl Iterator<Item = &Unit> {
        self.by_trait.get(&which).into_iter().flatten()
    }

    /// Whether any unit has a trait, as of the last [`Units::settle`].
    pub(super) fn any(&self, which: Trait) -> bool {
        self.by_trait.get(&which).is_some_and(|set| !set.is_empty())
    }

    /// When the next unit wants to be woken, as of the last [`Units::settle`].
    pub(super) fn next_alarm(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// The units whose alarm is due, as of the last [`Units::settle`].
    pub(super) fn due(&self, now: Timestamp) -> Vec<Unit> {
        let due = self.alarms.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, unit)| unit.clone()).collect()
    }
}
