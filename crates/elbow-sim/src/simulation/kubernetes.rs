//! The API server's side: what machines ask to write, and what comes of it.
//!
//! In: effects that are about Kubernetes. Out: objects that change, and answers. What always holds: what is
//! written outlives the machine that wrote it, and what was on its way when it was killed may not have
//! arrived; a Gateway with a finalizer stays until that is taken off.

use std::collections::BTreeMap;

use elbow_api::crds::TargetGroupBinding;
use elbow_api::{NamespacedName, Object, ObjectRef};
use elbow_model::{AwsError, ErrorClass, OwnTargets, StackId};
use elbow_reconcile::drive::keep_own_targets;
use elbow_reconcile::{BindingReport, Effect, Input, Record, Report, RoundResult, Unit};

use super::{Event, Simulation};
use crate::bindings;
use crate::cluster::Cluster;
use crate::extras;
use crate::faults::{Fate, Faults, What};

/// What machines asked to write.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// For the next machine.
    pub(super) records: BTreeMap<StackId, Record>,
    /// The same as the machine of now wants it.
    wanted_records: BTreeMap<StackId, Record>,
    /// About the targets of shared groups.
    own_targets: BTreeMap<NamespacedName, OwnTargets>,
    /// The last report of each Gateway: its statuses are written.
    pub(super) reports: BTreeMap<NamespacedName, Report>,
    /// The last report of each user's binding.
    pub(super) binding_reports: BTreeMap<NamespacedName, BindingReport>,
    /// TargetGroupBindings of Gateways, by their Gateway and ARN.
    bindings: BTreeMap<(NamespacedName, String), TargetGroupBinding>,
}

impl Kept {
    /// Writes all records that wait for it.
    pub(super) fn write_records(&mut self) {
        self.records.clone_from(&self.wanted_records);
    }

    /// The TargetGroupBindings of the Gateways that are there.
    pub(super) fn bindings(&mut self, cluster: &Cluster) -> BTreeMap<ObjectRef, Object> {
        self.bindings.retain(|(gateway, _), _| {
            let number = gateway.name.strip_prefix("gw-");
            let number = number.and_then(|n| n.parse().ok());
            number.is_some_and(|n| cluster.gateways.contains_key(&n))
        });
        let written = self.bindings.values().cloned().map(Object::from);
        written
            .map(|object| (object.object_ref(), object))
            .collect()
    }

    /// The bindings that were written for Gateways: the Gateway, the ARN of the target group, the binding.
    pub(super) fn written_bindings(
        &self,
    ) -> impl Iterator<Item = (&NamespacedName, &String, &TargetGroupBinding)> {
        let bindings = self.bindings.iter();
        bindings.map(|((gateway, arn), binding)| (gateway, arn, binding))
    }

    /// Takes over the bindings of a report. Answers whether any is not what it was.
    fn take_bindings(&mut self, gateway: &NamespacedName, report: &Report) -> bool {
        let before = self.bindings.clone();
        let mut wanted = BTreeMap::new();
        for mut binding in report.bindings() {
            let arn = binding.spec.target_group_arn.clone().unwrap_or_default();
            let key = (gateway.clone(), arn);
            // One that is there for the same target group keeps its name.
            if let Some(there) = self.bindings.get(&key) {
                binding.metadata.name.clone_from(&there.metadata.name);
            }
            wanted.insert(key, binding);
        }
        // One goes only when its target group is out of use.
        if matches!(report.result, Some(RoundResult::Converged { .. })) {
            let gone = self
                .bindings
                .extract_if(.., |key, _| key.0 == *gateway && !wanted.contains_key(key));
            for (_, binding) in gone {
                if let (true, Some(name)) = (
                    binding.spec.is_multi_cluster(),
                    Object::from(binding).metadata().name.clone(),
                ) {
                    let name = NamespacedName::new(gateway.namespace.clone(), name);
                    self.own_targets.remove(&name);
                }
            }
        }
        self.bindings.extend(wanted);
        self.bindings != before
    }
}

impl Simulation {
    /// Takes an effect that is about objects.
    pub(super) fn take_for_kubernetes(&mut self, effect: Effect) -> Result<(), String> {
        let is_slow = self.users.keep_secrets();
        match effect {
            Effect::Record { stack, record } => {
                let kept = &mut self.kept.wanted_records;
                match record {
                    Some(record) => kept.insert(stack, record),
                    None => kept.remove(&stack),
                };
                if is_slow {
                    let after_ms = self.calls.one([1, 50, 1_000]);
                    self.schedule(after_ms, Event::KeepRecords);
                } else {
                    self.kept.write_records();
                }
            }
            Effect::ReadOwnTargets { .. } | Effect::KeepOwnTargets { .. } if is_slow => {
                let fate = self.fate_of_write();
                let (life, after_ms) = (self.life, fate.arrives_after_ms);
                let effect = Box::new(effect);
                self.schedule(after_ms, Event::OwnTargets { life, effect, fate });
            }
            Effect::ReadOwnTargets { .. } | Effect::KeepOwnTargets { .. } => {
                if let Some(input) = keep_own_targets(&mut self.kept.own_targets, &effect) {
                    self.send(input)?;
                }
            }
            Effect::BindingReport { binding, report } => {
                if report.is_released()
                    && bindings::release(&mut self.cluster.bindings, &binding.name)
                {
                    self.results.remove(&Unit::Binding(binding.clone()));
                    self.kept.own_targets.remove(&binding);
                    self.kept.binding_reports.remove(&binding);
                    self.schedule(0, Event::Publish("a TargetGroupBinding is let go"));
                } else {
                    self.kept.binding_reports.insert(binding, *report);
                }
            }
            Effect::Report { gateway, report } => {
                if is_slow {
                    let has_bound = self.kept.take_bindings(&gateway, &report);
                    let released = report.released();
                    let cluster = &mut self.cluster;
                    let has_released = extras::release(cluster, &gateway.name, &released);
                    if has_bound || has_released {
                        let after_ms = self.calls.one([1, 50, 1_000]);
                        self.schedule(after_ms, Event::Publish("the machine writes"));
                    }
                }
                self.kept.reports.insert(gateway, *report);
            }
            Effect::Gates { binding, verdicts } => self.hear_verdicts(&binding, &verdicts)?,
            Effect::Protect {
                gateway,
                controller,
            } if extras::protect(&mut self.cluster, &gateway.name, controller) => {
                let after_ms = self.calls.one([1, 50, 1_000]);
                self.schedule(after_ms, Event::Publish("a finalizer is set"));
            }
            _ => {}
        }
        Ok(())
    }

    fn fate_of_write(&mut self) -> Fate {
        let faults = if self.are_faults_on {
            self.faults.clone()
        } else {
            Faults::none()
        };
        faults.fate_of_write(&mut self.calls)
    }

    /// Reads or writes what is kept about the targets of a shared group.
    pub(super) fn own_targets(
        &mut self,
        life: u32,
        effect: &Effect,
        fate: Fate,
    ) -> Result<(), String> {
        let (Effect::ReadOwnTargets { binding } | Effect::KeepOwnTargets { binding, .. }) = effect
        else {
            return Ok(());
        };
        let answer = match fate.what {
            What::Refused(error) => failed(binding, &error),
            What::Lost(error) => {
                let _kept = keep_own_targets(&mut self.kept.own_targets, effect);
                failed(binding, &error)
            }
            What::Answered => match keep_own_targets(&mut self.kept.own_targets, effect) {
                Some(input) => input,
                None => return Ok(()),
            },
        };
        self.trace.add(self.now, format!("{effect:?}: {answer:?}"));
        // A machine that was killed hears no answer, but may have been heard.
        if life == self.life {
            self.send(answer)?;
        }
        Ok(())
    }

    /// A killed machine takes with it what it had not written yet.
    pub(super) fn lose_what_was_not_kept(&mut self) {
        let kept = &mut self.kept;
        if !self.users.keep_secrets() || kept.records == kept.wanted_records {
            return;
        }
        let outlives =
            |(stack, record): (&StackId, &Record)| kept.wanted_records.get(stack) != Some(record);
        let is_stale = kept.records.iter().any(outlives);
        if is_stale && self.calls.chance(500) {
            // Targets do not wait for records: what such a record vouches for is found wrong at the next
            // look at everything (ADR 0012).
            self.has_meddled = true;
            self.trace
                .add(self.now, "records outlive what they tell of");
            kept.wanted_records.clone_from(&kept.records);
        } else {
            kept.write_records();
        }
    }

    /// What becomes of the records between two machines.
    pub(super) fn damage_records(&mut self) {
        if !self.users.keep_secrets() {
            return;
        }
        let kept = &mut self.kept;
        let all: Vec<StackId> = kept.records.keys().cloned().collect();
        let Some(one) = self.calls.pick(&all).cloned() else {
            return;
        };
        match self.calls.below(8) {
            0 => kept.records.clear(),
            1 => {
                let text = kept.records.get(&one).map_or("", Record::as_str);
                let half: String = text.chars().take(text.len() / 2).collect();
                kept.records.insert(one, Record::new(half));
            }
            2 => {
                let other = self
                    .calls
                    .pick(&all)
                    .and_then(|other| kept.records.get(other));
                if let Some(other) = other.cloned() {
                    kept.records.insert(one, other);
                }
            }
            3 => {
                kept.records.insert(one, Record::new("1.0.0.0"));
            }
            _ => return,
        }
        self.trace.add(self.now, "records were damaged");
        kept.wanted_records.clone_from(&kept.records);
    }

    pub(super) fn demolish(&mut self) -> Result<(), String> {
        let before = self.cluster.clone();
        let Some(what) = extras::demolish(&mut self.cluster, &mut self.random) else {
            return Ok(());
        };
        extras::keep_protected(&before, &mut self.cluster);
        let after_ms = self.random.one([0, 10, 1_000, 60_000]);
        self.schedule(after_ms, Event::Demolish);
        self.publish(&format!("{what} is deleted"))
    }
}

fn failed(binding: &NamespacedName, error: &AwsError) -> Input {
    let error = AwsError::new(
        ErrorClass::Transient,
        "OwnTargetsUnknown",
        error.to_string(),
    );
    Input::OwnTargets {
        binding: binding.clone(),
        result: Err(error),
    }
}
