//! TargetGroupBindings that users write: finalizer and status.
//!
//! In: a binding, and what it came to. Out: the next write to it. Always holds: the finalizer stands before
//! a target is registered and goes after all of them are deregistered; the condition Ready is there only
//! where something is, or was, wrong, as with LBC.

use elbow_api::crds::TargetGroupBinding;
use elbow_api::names::{IP_TARGETS_CONDITION, TARGET_GROUP_BINDING_FINALIZER};
use elbow_api::{NamespacedName, Object};
use elbow_cluster::live::merge_status;
use elbow_model::stack::TargetType;
use elbow_reconcile::BindingReport;
use serde_json::{Map, json};

use super::{Scribe, has_finalizer, is_deleted, status_write};
use crate::ports::Write;

/// What a TargetGroupBinding came to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct BindingOutcome {
    /// The generation whose targets are registered.
    reconciled: Option<i64>,
    /// Whether it is being deleted, and its targets are gone.
    is_released: bool,
    /// Whether it is translated, and nothing is wrong with it.
    is_well: bool,
    /// Whether its Service or port is not there.
    pub(super) lacks_backend: bool,
    /// Reason and message of the condition Ready, should it be False.
    problem: Option<(&'static str, String)>,
    generation: Option<i64>,
    /// The type of its targets, where it leaves that to AWS.
    inferred_type: Option<TargetType>,
}

impl BindingOutcome {
    pub(super) fn of(report: &BindingReport) -> Self {
        let problem = report.problem();
        Self {
            reconciled: report.reconciled(),
            is_released: report.is_released(),
            lacks_backend: report.lacks_backend(),
            is_well: problem.is_none() && report.reconciled().is_some(),
            problem,
            generation: report.translation.generation,
            inferred_type: report.translation.inferred_type,
        }
    }
}

impl Scribe {
    pub(super) fn for_user_binding(
        &mut self,
        binding: &TargetGroupBinding,
        current: &Object,
        wall: jiff::Timestamp,
    ) -> Option<Write> {
        let name: NamespacedName = current.object_ref().namespaced_name();
        let finalizer = TARGET_GROUP_BINDING_FINALIZER;
        let is_protected = has_finalizer(current, finalizer);
        if is_deleted(current) {
            let outcome = self.binding_outcomes.get(&name)?;
            if outcome.is_released && is_protected {
                self.protected_bindings.remove(&name);
                let object = current.clone();
                return Some(if binding.spec.is_multi_cluster() {
                    Write::Unbind { object }
                } else {
                    Write::RemoveFinalizer { object, finalizer }
                });
            }
        } else if !is_protected && self.protected_bindings.contains(&name) {
            return Some(Write::AddFinalizer {
                object: current.clone(),
                finalizer,
            });
        }
        let outcome = self.binding_outcomes.get(&name)?;
        // As LBC does: nothing is going to make its pods ready.
        if outcome.lacks_backend && self.opened_bindings.insert(name) {
            let object = current.clone();
            return Some(Write::OpenGates { object });
        }
        let mut wanted = Map::new();
        if let Some(generation) = outcome.reconciled {
            wanted.insert("observedGeneration".to_owned(), json!(generation));
        }
        let status = binding.status.as_ref();
        let mut conditions = status
            .and_then(|s| s.conditions.as_ref())
            .into_iter()
            .flatten();
        let was_wrong = conditions.any(|c| c.type_ == "Ready" && c.status != "True");
        let ready = match &outcome.problem {
            Some((reason, message)) => Some(("False", *reason, message.as_str())),
            None if was_wrong && outcome.is_well => {
                Some(("True", "SuccessfullyReconciled", "Successfully reconciled"))
            }
            None => None,
        };
        // Difference (target-type-in-status): LBC's webhook writes the type into the spec.
        let takes_addresses = outcome.inferred_type.map(|inferred| match inferred {
            TargetType::Ip => ("True", "IpTargets", "The target group takes IP addresses."),
            TargetType::Instance => (
                "False",
                "InstanceTargets",
                "The target group takes instances.",
            ),
            TargetType::Alb => (
                "False",
                "AlbTargets",
                "The target group takes load balancers.",
            ),
        });
        let told = [("Ready", ready), (IP_TARGETS_CONDITION, takes_addresses)];
        let conditions = told.into_iter().filter_map(|(condition_type, told)| {
            let (status, reason, message) = told?;
            Some(json!({
                "type": condition_type,
                "status": status,
                "reason": reason,
                "message": message,
                "observedGeneration": outcome.generation,
            }))
        });
        let conditions: Vec<_> = conditions.collect();
        if !conditions.is_empty() {
            wanted.insert("conditions".to_owned(), conditions.into());
        }
        status_write(current, merge_status(current, &wanted.into(), wall))
    }
}
