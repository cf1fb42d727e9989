//! A plan of one Stack while it is being written.
//!
//! In: steps, in the order in which they are to run. Out: the [`Plan`]. What always holds: a step that
//! refers to a resource comes after the step that provides it, without anyone having to say so.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::{AwsCall, Cause, ResourceKey, StackId, StackKind};

use crate::hazards::Hazard;
use crate::plan::{Action, Change, Held, Plan, Step, StepId, StepKind, Unowned, Wait};
use crate::refs;

/// A plan that is being written.
pub(crate) struct Draft {
    stack: StackId,
    steps: Vec<Step>,
    providers: BTreeMap<ResourceKey, StepId>,
}

impl Draft {
    pub(crate) fn new(stack: &StackId) -> Self {
        Self {
            stack: stack.clone(),
            steps: Vec::new(),
            providers: BTreeMap::new(),
        }
    }

    /// Begins a step. It is added by [`NewStep::call`] or [`NewStep::wait`].
    pub(crate) fn step(
        &mut self,
        action: Action,
        resource: ResourceKey,
        name: impl Into<String>,
    ) -> NewStep<'_> {
        NewStep {
            action,
            resource,
            name: name.into(),
            changes: Vec::new(),
            causes: Vec::new(),
            reason: String::new(),
            hazards: Vec::new(),
            provides: None,
            after: BTreeSet::new(),
            held: None,
            draft: self,
        }
    }

    pub(crate) fn finish(self, unowned: Vec<Unowned>) -> Plan {
        Plan {
            steps: self.steps,
            unowned,
        }
    }

    /// Of a resource that no object asks for any more, all that is known is whose it was.
    fn owner(&self) -> Vec<Cause> {
        match self.stack.kind {
            StackKind::Cluster => Vec::new(),
            StackKind::AlbGateway | StackKind::NlbGateway => vec![self.owner_of_kind("Gateway")],
            StackKind::Binding => vec![self.owner_of_kind("TargetGroupBinding")],
        }
    }

    fn owner_of_kind(&self, kind: &str) -> Cause {
        Cause {
            kind: kind.to_owned(),
            namespace: self.stack.namespace.clone(),
            name: self.stack.name.clone(),
        }
    }
}

/// A step that is being written.
pub(crate) struct NewStep<'d> {
    draft: &'d mut Draft,
    action: Action,
    resource: ResourceKey,
    name: String,
    changes: Vec<Change>,
    causes: Vec<Cause>,
    reason: String,
    hazards: Vec<Hazard>,
    provides: Option<ResourceKey>,
    after: BTreeSet<StepId>,
    held: Option<Held>,
}

impl NewStep<'_> {
    pub(crate) fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    pub(crate) fn causes(mut self, causes: &[Cause]) -> Self {
        self.causes = causes.to_vec();
        self
    }

    pub(crate) fn changes(mut self, changes: Vec<Change>) -> Self {
        self.changes = changes;
        self
    }

    pub(crate) fn hazards(mut self, hazards: impl IntoIterator<Item = Hazard>) -> Self {
        self.hazards.extend(hazards);
        self
    }

    pub(crate) fn after(mut self, steps: impl IntoIterator<Item = StepId>) -> Self {
        self.after.extend(steps);
        self
    }

    pub(crate) fn held(mut self, held: Option<Held>) -> Self {
        self.held = held;
        self
    }

    /// The step makes its resource, and later steps refer to it.
    pub(crate) fn provides(mut self) -> Self {
        self.provides = Some(self.resource.clone());
        self
    }

    /// Adds the step, which makes a call.
    pub(crate) fn call(mut self, call: AwsCall) -> StepId {
        // The places of rules are the one thing that is carried out in part: see `refs`.
        if !matches!(call, AwsCall::SetRulePriorities { .. }) {
            for key in refs::needs(&call) {
                self.after.extend(self.draft.providers.get(&key));
            }
        }
        self.add(StepKind::Call(call))
    }

    /// Adds the step, which waits.
    pub(crate) fn wait(mut self, wait: Wait) -> StepId {
        if let Some(key) = refs::needs_of_wait(&wait) {
            self.after.extend(self.draft.providers.get(key));
        }
        self.add(StepKind::Wait(wait))
    }

    fn add(self, kind: StepKind) -> StepId {
        let draft = self.draft;
        let id = StepId(u32::try_from(draft.steps.len() + 1).unwrap_or(u32::MAX));
        if let Some(key) = &self.provides {
            draft.providers.insert(key.clone(), id);
        }
        let causes = if self.causes.is_empty() {
            draft.owner()
        } else {
            self.causes
        };
        draft.steps.push(Step {
            id,
            stack: draft.stack.clone(),
            action: self.action,
            resource: self.resource,
            name: self.name,
            changes: self.changes,
            causes,
            reason: self.reason,
            hazards: self.hazards,
            kind,
            provides: self.provides,
            after: self.after.into_iter().collect(),
            held: self.held,
        });
        id
    }
}

/// The changes between two values of a field; none where they are equal.
pub(crate) fn change(
    field: &str,
    before: Option<impl ToString>,
    after: Option<impl ToString>,
) -> Option<Change> {
    let (before, after) = (before.map(|v| v.to_string()), after.map(|v| v.to_string()));
    (before != after).then(|| Change {
        field: field.to_owned(),
        before,
        after,
    })
}

/// A field of something that did not exist before.
#[expect(
    clippy::needless_pass_by_value,
    reason = "callers pass values and references alike"
)]
pub(crate) fn set(field: &str, after: impl ToString) -> Change {
    Change {
        field: field.to_owned(),
        before: None,
        after: Some(after.to_string()),
    }
}
