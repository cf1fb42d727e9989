//! Units of which nothing could be said yet when AWS refused to be asked.
//!
//! In: how their rounds ended, the Snapshot. Out: reports that say why nothing is done for them. What always
//! holds: nothing else is said or changed of them: what an earlier machine has said of what serves stays.

use elbow_api::Snapshot;

use super::{Effect, Reconciler, RoundResult, Unit};
use crate::front;

impl Reconciler {
    /// Notes how a round ended of a unit that was never reported.
    pub(super) fn note_unasked(&mut self, unit: &Unit, result: &RoundResult) {
        if matches!(result, RoundResult::LookupFailed { .. }) {
            self.unasked.insert(unit.clone(), result.clone());
        }
    }

    /// Tells of them.
    pub(super) fn tell_unasked(&mut self, snapshot: &Snapshot) {
        for (unit, result) in std::mem::take(&mut self.unasked) {
            let effect = match &unit {
                Unit::Gateway(gateway) => {
                    let settings = &self.settings.translate;
                    let report = front::unasked_gateway(snapshot, settings, gateway, &result);
                    report.map(|report| Effect::Report {
                        gateway: gateway.clone(),
                        report: Box::new(report),
                    })
                }
                Unit::Binding(binding) => {
                    let report = front::unasked_binding(snapshot, binding, &result);
                    report.map(|report| Effect::BindingReport {
                        binding: binding.clone(),
                        report: Box::new(report),
                    })
                }
                Unit::Cluster | Unit::Network => None,
            };
            self.effects.extend(effect);
        }
    }
}
