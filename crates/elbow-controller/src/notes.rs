//! Events: what people are told about their objects when it changes.
//!
//! In: reports and ends of rounds. Out: notes on objects. What always holds: news is told once; what
//! stays as it is (a finding that is still there, a failure that repeats) is not told again; nothing is
//! told about an object that is not ours or that a finding of ours does not name.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{Diagnostic, GatewayController, NamespacedName, Object, ObjectRef, Severity};
use elbow_cluster::live::{EventNote, EventType};
use elbow_reconcile::{BindingReport, Outcome, Report, RoundResult};

/// Events that are told about one Gateway's findings in one go; the conditions name the rest.
const FINDINGS_MAX: usize = 20;

/// The reason of LBC's events about rules of nodes.
const FAILED_NETWORK: &str = "FailedNetworkReconcile";

/// Told of a binding that was edited while nobody looked, where there is no record of it.
const MAY_HAVE_LEFT: &str = "the spec was changed while no controller ran that keeps a record of it: if it \
    named another target group before, deregister its targets there";

/// What was told already.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    of_gateway: BTreeMap<NamespacedName, Told>,
    of_binding: BTreeMap<NamespacedName, ToldOfBinding>,
}

#[derive(Debug, Default)]
struct ToldOfBinding {
    /// What was wrong, until it is right: reason and words.
    problem: Option<(&'static str, String)>,
    /// Whether it was told that its targets may be in another group.
    may_have_left: bool,
}

#[derive(Debug, Default)]
struct Told {
    findings: BTreeSet<(Option<ObjectRef>, String)>,
    /// The failure of the last rounds, until one succeeds.
    failure: Option<String>,
    /// Why rules of nodes could not be written, until they can be.
    network: Option<String>,
}

/// An event about an object.
pub(crate) type Note = (ObjectRef, EventNote);

impl Notes {
    /// Takes in what a Gateway came to. Answers with the findings that are new.
    pub(crate) fn reported(
        &mut self,
        gateway: &ObjectRef,
        controller: Option<GatewayController>,
        report: &Report,
    ) -> Vec<Note> {
        let told = self
            .of_gateway
            .entry(gateway.namespaced_name())
            .or_default();
        let errors = report.diagnostics();
        let errors = errors.filter(|d| d.severity == Severity::Error);
        let mut notes = Vec::new();
        let mut findings = BTreeSet::new();
        for finding in errors {
            let key = (finding.object.clone(), text(finding));
            if controller.is_some()
                && !told.findings.contains(&key)
                && !findings.contains(&key)
                && notes.len() < FINDINGS_MAX
            {
                let object = key.0.clone().unwrap_or_else(|| gateway.clone());
                notes.push((
                    object,
                    note(
                        EventType::Warning,
                        reason(finding.code),
                        key.1.clone(),
                        controller,
                    ),
                ));
            }
            findings.insert(key);
        }
        told.findings = findings;
        let network = report.network_failure();
        if let Some(failure) = network.as_ref().filter(|_| controller.is_some())
            && told.network.as_ref() != Some(failure)
        {
            let reason = FAILED_NETWORK.to_owned();
            let note = note(EventType::Warning, reason, failure.clone(), controller);
            notes.push((gateway.clone(), note));
        }
        told.network = network;
        notes
    }

    /// Takes in how a round ended.
    pub(crate) fn finished(
        &mut self,
        gateway: &ObjectRef,
        controller: Option<GatewayController>,
        result: &RoundResult,
    ) -> Option<Note> {
        // Somebody else's is told nothing, and one that becomes ours everything.
        controller?;
        let told = self
            .of_gateway
            .entry(gateway.namespaced_name())
            .or_default();
        let (failure, why) = match result {
            RoundResult::Superseded => return None,
            RoundResult::Converged { outcome } => {
                let had_failed = told.failure.take().is_some();
                let is_news = had_failed || outcome.succeeded > 0;
                return is_news.then(|| {
                    let reason = "SuccessfullyReconciled".to_owned();
                    let message = "Successfully reconciled".to_owned();
                    (
                        gateway.clone(),
                        note(EventType::Normal, reason, message, controller),
                    )
                });
            }
            RoundResult::Incomplete { outcome } => ("FailedDeployModel", failures(outcome)?),
            RoundResult::LookupFailed { error } => {
                ("FailedDeployModel", format!("AWS cannot be asked: {error}"))
            }
            RoundResult::Blocked => {
                let first = told.findings.iter().next();
                ("FailedBuildModel", first.map(|(_, text)| text.clone())?)
            }
        };
        if told.failure.as_deref() == Some(why.as_str()) {
            return None;
        }
        told.failure = Some(why.clone());
        let what = if failure == "FailedBuildModel" {
            "build"
        } else {
            "deploy"
        };
        let message = format!("Failed {what} model due to {why}");
        Some((
            gateway.clone(),
            note(EventType::Warning, failure.to_owned(), message, controller),
        ))
    }

    /// Takes in what a TargetGroupBinding came to that a user wrote. Answers with what is newly wrong. The
    /// reasons are LBC's.
    pub(crate) fn binding_reported(
        &mut self,
        binding: &ObjectRef,
        report: &BindingReport,
    ) -> Option<Note> {
        if report.is_of_nothing() {
            self.of_binding.remove(&binding.namespaced_name());
            return None;
        }
        let told = self
            .of_binding
            .entry(binding.namespaced_name())
            .or_default();
        if report.may_have_left && !told.may_have_left {
            told.may_have_left = true;
            return Some(Self::about_binding(
                binding,
                EventType::Warning,
                "TargetsMayBeLeft",
                MAY_HAVE_LEFT.to_owned(),
            ));
        }
        let Some(problem) = report.problem() else {
            // That nodes let it in again is the end of no round of the binding.
            let was_network = |told: &mut (&str, String)| told.0 == FAILED_NETWORK;
            let has_ended = told.problem.take_if(was_network).is_some();
            return has_ended.then(|| Self::good_news(binding));
        };
        if told.problem.as_ref() == Some(&problem) {
            return None;
        }
        told.problem = Some(problem.clone());
        let (reason, message) = problem;
        Some(Self::about_binding(
            binding,
            EventType::Warning,
            reason,
            message,
        ))
    }

    /// Takes in how a round of such a binding ended. Answers with good news.
    pub(crate) fn binding_finished(
        &mut self,
        binding: &ObjectRef,
        result: &RoundResult,
        is_well: bool,
    ) -> Option<Note> {
        let RoundResult::Converged { outcome } = result else {
            return None;
        };
        let told = self
            .of_binding
            .entry(binding.namespaced_name())
            .or_default();
        if !is_well {
            return None;
        }
        let was_wrong = told.problem.take().is_some();
        (was_wrong || outcome.succeeded > 0).then(|| Self::good_news(binding))
    }

    /// Takes in a status as it is after a write. That the targets of a Gateway's binding are registered is
    /// news when its status comes to say so; of a user's the rounds tell.
    pub(crate) fn binding_written(written: &Object) -> Option<Note> {
        let Object::TargetGroupBinding(binding) = written else {
            return None;
        };
        binding.gateway()?;
        Some(Self::good_news(&written.object_ref()))
    }

    fn good_news(binding: &ObjectRef) -> Note {
        let (reason, message) = (
            "SuccessfullyReconciled",
            "Successfully reconciled".to_owned(),
        );
        Self::about_binding(binding, EventType::Normal, reason, message)
    }

    fn about_binding(
        binding: &ObjectRef,
        event_type: EventType,
        reason: &str,
        message: String,
    ) -> Note {
        let note = EventNote {
            event_type,
            reason: reason.to_owned(),
            message,
            reporter: "targetGroupBinding",
        };
        (binding.clone(), note)
    }

    /// A write that needs somebody's help.
    pub(crate) fn write_failed(reason: &'static str, message: &str) -> EventNote {
        note(
            EventType::Warning,
            reason.to_owned(),
            message.to_owned(),
            None,
        )
    }

    /// A Gateway is gone.
    pub(crate) fn forget(&mut self, gateway: &NamespacedName) {
        self.of_gateway.remove(gateway);
    }
}

fn note(
    event_type: EventType,
    reason: String,
    message: String,
    controller: Option<GatewayController>,
) -> EventNote {
    EventNote {
        event_type,
        reason,
        message,
        reporter: controller.map_or("gateway.k8s.aws/elbow", GatewayController::controller_name),
    }
}

fn failures(outcome: &Outcome) -> Option<String> {
    let words: Vec<String> = outcome
        .failures
        .iter()
        .map(|f| format!("{}: {}", f.operation, f.error))
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

fn text(finding: &Diagnostic) -> String {
    match &finding.hint {
        Some(hint) => format!("{} ({hint})", finding.message),
        None => finding.message.clone(),
    }
}

/// `missing-service` as `MissingService`.
fn reason(code: &str) -> String {
    let words = code.split('-');
    words
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect::<String>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use elbow_model::{AwsError, ErrorClass};

    use super::*;

    #[test]
    fn reasons_are_in_camel_case() {
        assert_eq!(reason("missing-gateway-class"), "MissingGatewayClass");
        assert_eq!(reason("x"), "X");
    }

    #[test]
    fn a_failure_that_repeats_is_told_once_and_its_end_too() {
        let gateway = ObjectRef::new(elbow_api::Kind::Gateway, "app", "web");
        let mut notes = Notes::default();
        let failed = RoundResult::LookupFailed {
            error: AwsError::new(ErrorClass::Denied, "AccessDenied", "no"),
        };
        let converged = RoundResult::Converged {
            outcome: Outcome::default(),
        };
        let mut reasons = Vec::new();
        for result in [&failed, &failed, &converged, &converged, &failed] {
            reasons.extend(
                notes
                    .finished(&gateway, Some(GatewayController::Alb), result)
                    .map(|(_, note)| note.reason),
            );
        }
        assert_eq!(
            reasons,
            [
                "FailedDeployModel",
                "SuccessfullyReconciled",
                "FailedDeployModel"
            ]
        );
    }
}
