//! The rounds of `elbow local`: the controller's own machine, driven against the emulator at hand.
//!
//! In: objects that changed, and time. Out: effects, in their order. What always holds: a plan is shown
//! before its first call is made, since effects are carried out one after the other.

use std::collections::{BTreeMap, VecDeque};

use elbow_api::{NamespacedName, Snapshot};
use elbow_cluster::Loaded;
use elbow_emulator_server::SharedEmulator;
use elbow_model::{AwsAnswer, AwsCall, AwsError, OwnTargets};
use elbow_reconcile::drive::keep_own_targets;
use elbow_reconcile::time::Timestamp;
use elbow_reconcile::{Effect, Input, Reconciler, Settings};

use crate::input;

/// The machine and its emulator.
pub(crate) struct Session {
    shared: SharedEmulator,
    reconciler: Reconciler,
    wake_at: Option<Timestamp>,
    /// What the machine has asked to keep, by binding.
    own_targets: BTreeMap<NamespacedName, OwnTargets>,
}

impl Session {
    /// A machine that knows nothing yet.
    pub(crate) fn new(shared: SharedEmulator, settings: Settings) -> Self {
        Self {
            shared,
            reconciler: Reconciler::new(settings),
            wake_at: None,
            own_targets: BTreeMap::new(),
        }
    }

    /// The machine.
    pub(crate) fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    /// Tells the machine that something happened, and does what it asks for until it asks for
    /// nothing or for a later time. The emulator answers at once, so this does not wait.
    pub(crate) fn send(
        &mut self,
        input: Input,
        snapshot: &Snapshot,
        secrets: &Loaded,
        on_effect: &mut dyn FnMut(&Effect),
    ) {
        let mut effects = VecDeque::new();
        self.step(input, snapshot, &mut effects);
        while let Some(effect) = effects.pop_front() {
            on_effect(&effect);
            let answer = match effect {
                Effect::Aws { id, call } => {
                    let material = input::material(secrets, &call);
                    let result = self.shared.with(|emulator, now| {
                        elbow_loopback::answer_with(emulator, now, &call, material.as_ref())
                    });
                    Some(Input::AwsAnswered { id, result })
                }
                effect => keep_own_targets(&mut self.own_targets, &effect),
            };
            if let Some(input) = answer {
                self.step(input, snapshot, &mut effects);
            }
        }
    }

    /// Asks the emulator something that is no part of a round.
    pub(crate) fn call(&self, call: &AwsCall) -> Result<AwsAnswer, AwsError> {
        self.shared
            .with(|emulator, now| elbow_loopback::answer(emulator, now, call))
    }

    /// Waits until the machine is to be told of the time; for ever when it need not be.
    pub(crate) async fn tick(&self) {
        match self.wake_at {
            Some(at) => {
                let at = elbow_emulator::Timestamp::from_millis(at.as_millis());
                self.shared.sleep_until(at).await;
            }
            None => std::future::pending().await,
        }
    }

    fn step(&mut self, input: Input, snapshot: &Snapshot, effects: &mut VecDeque<Effect>) {
        let now = Timestamp::from_millis(self.shared.now().as_millis());
        self.wake_at = None;
        for effect in self.reconciler.step(input, snapshot, now) {
            match effect {
                Effect::WakeAt(at) => self.wake_at = Some(at),
                other => effects.push_back(other),
            }
        }
    }
}
