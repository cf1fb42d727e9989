//! What a TargetGroupBinding that a user wrote comes to: for its status, its finalizer and its events.
//!
//! In: its translation, and how its last round ended. Out: a [`BindingReport`]. What always holds: it is
//! said to be reconciled only when all its targets are registered, and released only when none of them is
//! left.

use std::collections::BTreeSet;
use std::sync::Arc;

use elbow_api::{Diagnostic, Kind, NamespacedName, ObjectRef, Snapshot};
use elbow_model::{FactQuery, Facts, ResourceId};
use elbow_translate::{
    BindingTranslation, BindingVerdict, Settings, TranslatedBinding, is_backend_missing,
};

use super::{failure_text, has_errors};
use crate::machine::{NetworkNotice, RoundResult};

/// What a TargetGroupBinding comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingReport {
    /// What follows from its objects.
    pub translation: Arc<BindingTranslation>,
    /// How its last round ended; `None` before that.
    pub result: Option<RoundResult>,
    /// Whether it was edited while nobody looked, and no record tells which target group it named before.
    pub may_have_left: bool,
    /// What is to be said of the way to its targets.
    pub network: NetworkNotice,
    /// Names of target groups that it does not name any more and that may have targets of it.
    pub left: BTreeSet<String>,
}

impl BindingReport {
    /// Findings about what users wrote.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.translation.diagnostics
    }

    /// Whether there is no such binding, or a Gateway of ours has asked for it.
    pub fn is_of_nothing(&self) -> bool {
        self.translation.verdict == BindingVerdict::Absent
    }

    /// The generation whose targets are registered.
    pub fn reconciled(&self) -> Option<i64> {
        let is_wanted = matches!(self.translation.verdict, BindingVerdict::Targets(_));
        let is_done = is_wanted && !self.translation.is_leaving && self.is_reached();
        self.translation.generation.filter(|_| is_done)
    }

    /// Whether it is being deleted and may go.
    pub fn is_released(&self) -> bool {
        self.translation.is_leaving
            && self.left.is_empty()
            && match &self.translation.verdict {
                BindingVerdict::Left => true,
                BindingVerdict::Targets(_) => self.is_reached(),
                BindingVerdict::Absent | BindingVerdict::Refused => false,
            }
    }

    /// Whether its Service or port is not there.
    pub fn lacks_backend(&self) -> bool {
        self.diagnostics().iter().any(is_backend_missing)
    }

    /// The reason of the condition Ready, should it be False, and the words to it. The reasons are those of
    /// LBC's events.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let failure = failure_text(self.result.as_ref());
        let reason = if self.translation.is_leaving {
            "FailedCleanup"
        } else {
            "FailedReconcile"
        };
        if let Some(failure) = failure {
            return Some((reason, failure));
        }
        let findings = self.diagnostics();
        if !has_errors(findings) {
            return self.network_problem();
        }
        let reason = if self.lacks_backend() {
            "BackendNotFound"
        } else {
            reason
        };
        let words: Vec<String> = findings.iter().map(text).collect();
        Some((reason, words.join("; ")))
    }

    /// Why its targets may be out of reach, though they are registered.
    fn network_problem(&self) -> Option<(&'static str, String)> {
        let words: Vec<String> = self.network.findings.iter().map(text).collect();
        let words = if words.is_empty() {
            failure_text(self.network.as_result().as_ref())
        } else {
            Some(words.join("; "))
        };
        words.map(|words| ("FailedNetworkReconcile", words))
    }

    fn is_reached(&self) -> bool {
        matches!(&self.result, Some(RoundResult::Converged { outcome }) if outcome.held == 0)
    }

    pub(crate) fn new(translation: BindingTranslation) -> Self {
        Self {
            translation: Arc::new(translation),
            result: None,
            may_have_left: false,
            network: NetworkNotice::default(),
            left: BTreeSet::new(),
        }
    }

    /// The same, now that its round has ended.
    #[must_use]
    pub(crate) fn with_result(mut self, result: RoundResult) -> Self {
        self.result = Some(result);
        self
    }
}

fn text(finding: &Diagnostic) -> String {
    match &finding.hint {
        Some(hint) => format!("{} ({hint})", finding.message),
        None => finding.message.clone(),
    }
}

/// Translates a TargetGroupBinding; an error names the facts that it has to know first. `owner` tells
/// which Gateway of ours fills a target group alone: no other binding is in force then.
pub(crate) fn translate_binding(
    snapshot: &Snapshot,
    facts: &Facts,
    settings: &Settings,
    binding: &NamespacedName,
    owner: impl Fn(&ResourceId) -> Option<NamespacedName>,
) -> Result<BindingTranslation, BTreeSet<FactQuery>> {
    let mut done = match elbow_translate::translate_binding(snapshot, facts, settings, binding) {
        TranslatedBinding::NeedFacts(queries) => return Err(queries),
        TranslatedBinding::Done(done) => *done,
    };
    let group = match &done.verdict {
        BindingVerdict::Targets(stack) => stack.target_groups.first_key_value(),
        BindingVerdict::Absent | BindingVerdict::Left | BindingVerdict::Refused => None,
    };
    let Some((group, gateway)) = group.and_then(|(arn, group)| Some((group, owner(arn)?))) else {
        return Ok(done);
    };
    if done.is_leaving {
        done.verdict = BindingVerdict::Left;
        return Ok(done);
    }
    let NamespacedName { namespace, name } = binding.clone();
    let finding = Diagnostic::error(
        "target-group-taken",
        format!(
            "Gateway {gateway} fills target group `{}` itself",
            group.name
        ),
    )
    .on(ObjectRef::new(Kind::TargetGroupBinding, namespace, name))
    .hint("delete this TargetGroupBinding; a Gateway has one for each of its target groups");
    done.diagnostics = vec![finding];
    done.verdict = BindingVerdict::Refused;
    Ok(done)
}

/// What a TargetGroupBinding comes to of which AWS could not be asked before it was translated, if somebody
/// has to do something about that.
pub(crate) fn unasked_binding(
    snapshot: &Snapshot,
    binding: &NamespacedName,
    result: &RoundResult,
) -> Option<BindingReport> {
    failure_text(Some(result))?;
    let translation = elbow_translate::translate_unasked_binding(snapshot, binding)?;
    Some(BindingReport::new(translation).with_result(result.clone()))
}
