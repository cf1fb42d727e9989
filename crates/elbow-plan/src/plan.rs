//! The Plan: what will be done, in which order, why, and what can go wrong.
//!
//! In: nothing; these are plain values, made by the planner. Out: read by the executor, by
//! [`crate::render`] and by [`crate::lint()`]. What always holds: ids are unique and ascending, a step
//! depends on earlier steps only, and every step says because of which objects it is there.

use std::fmt;

use elbow_model::ids::{LoadBalancerArn, TargetGroupArn};
use elbow_model::{AwsCall, Cause, Ref, ResourceKey, ResourceKind, StackId};
use serde::{Deserialize, Serialize};

use crate::hazards::Hazard;

/// An ordered, explained set of changes.
///
/// Expected flow: the steps are carried out in list order. A step whose `after` did not all succeed, and
/// a step that is [`Step::held`], is passed over; all others run, whatever failed before them. A wait that
/// is not over yet holds up the steps that come after it, and need not hold up others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[must_use = "a plan that nobody reads changes nothing"]
pub struct Plan {
    /// The steps, in the order in which they are carried out.
    pub steps: Vec<Step>,
    /// What was found among the observed resources without the tags that would make it ours. It is
    /// left alone; the list is there so that somebody can be told.
    pub unowned: Vec<Unowned>,
}

/// Number of a step within its plan, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One step: one AWS call, or one thing to wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// The Stack it belongs to.
    pub stack: StackId,
    /// What it does to the resource.
    pub action: Action,
    /// The resource. A resource that replaces another has the other's key.
    pub resource: ResourceKey,
    /// The resource for people: its AWS name, or `HTTPS:443` for a listener.
    pub name: String,
    /// What differs, field by field.
    pub changes: Vec<Change>,
    /// Because of which objects.
    pub causes: Vec<Cause>,
    /// Why, as a fragment: "its security policy differs".
    pub reason: String,
    /// What can go wrong, or must be known beforehand.
    pub hazards: Vec<Hazard>,
    /// The call to make, or what to wait for.
    pub kind: StepKind,
    /// The resource whose id the call answers with; later steps refer to it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub provides: Option<ResourceKey>,
    /// Steps that must have succeeded.
    pub after: Vec<StepId>,
    /// Why the step is shown but not carried out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<Held>,
}

/// What a step does to its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Makes it.
    Create,
    /// Makes it in the place of one that cannot be changed into it.
    Replace,
    /// Changes it in place.
    Update,
    /// Sets or removes tags, nothing else.
    Tag,
    /// Moves rules to other priorities, all at once.
    Reorder,
    /// Adds targets.
    Register,
    /// Takes targets away.
    Deregister,
    /// Waits.
    Wait,
    /// Removes it.
    Delete,
}

impl Action {
    /// The action in one word, as the JSON spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Update => "update",
            Self::Tag => "tag",
            Self::Reorder => "reorder",
            Self::Register => "register",
            Self::Deregister => "deregister",
            Self::Wait => "wait",
            Self::Delete => "delete",
        }
    }
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The field, `healthCheck.path` for example.
    pub field: String,
    /// What it was; absent where there was nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// What it will be; absent where there will be nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
}

/// What a step consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all steps are calls; a box would cost each of them an allocation"
)]
pub enum StepKind {
    /// One AWS call. Its [`Ref::Of`]s are given their value by [`crate::resolve`].
    Call(AwsCall),
    /// Something to wait for. What it waits for is observed again, and the wait may also be given up
    /// and planned again later: the new plan leads on from what was reached.
    Wait(Wait),
}

/// Something to wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "for",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Wait {
    /// Until [`crate::are_healthy`] holds for the group's targets.
    TargetsHealthy {
        /// The group.
        target_group: Ref<TargetGroupArn>,
        /// Seconds after which the step has failed.
        timeout_seconds: u32,
    },
    /// Until [`crate::are_drained`] holds for the group's targets.
    TargetsDrained {
        /// The group.
        target_group: Ref<TargetGroupArn>,
        /// Seconds after which the step has failed.
        timeout_seconds: u32,
    },
    /// Until the load balancer's state is active.
    LoadBalancerActive {
        /// The load balancer.
        load_balancer: Ref<LoadBalancerArn>,
        /// Seconds after which the step has failed.
        timeout_seconds: u32,
    },
}

/// Why a step is shown but not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "because",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum Held {
    /// The policy is to plan only.
    DryRun,
    /// The policy is to delete nothing.
    UpsertOnly,
    /// The load balancer's attribute `deletion_protection.enabled` is set.
    DeletionProtection,
    /// A listener of the load balancer cannot be decided at present, and would be lost with it.
    UndecidedListener,
    /// AWS has no way to do this.
    Impossible {
        /// Why not.
        why: String,
    },
    /// It comes after a step that is held.
    After {
        /// That step.
        step: StepId,
    },
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DryRun => f.write_str("dry run"),
            Self::UpsertOnly => f.write_str("the policy is upsert-only, which deletes nothing"),
            Self::DeletionProtection => {
                f.write_str("the load balancer's deletion protection is on; turn it off first")
            }
            Self::UndecidedListener => f.write_str(
                "the load balancer has a listener that cannot be decided at present and would be lost",
            ),
            Self::Impossible { why } => f.write_str(why),
            Self::After { step } => write!(f, "it needs step {step}, which is not carried out"),
        }
    }
}

/// A resource that is listed under a Stack without the tags that would prove it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unowned {
    /// The Stack under which it was listed.
    pub stack: StackId,
    /// Its kind.
    pub kind: ResourceKind,
    /// Its ARN or id.
    pub id: String,
}

impl Plan {
    /// Whether there is nothing to do and nothing that was held.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps that are to be carried out.
    pub fn executable(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.held.is_none())
    }

    /// All hazards, each with its step.
    pub fn hazards(&self) -> impl Iterator<Item = (&Step, &Hazard)> {
        self.steps
            .iter()
            .flat_map(|step| step.hazards.iter().map(move |hazard| (step, hazard)))
    }

    /// Counts what the plan comes to, by resource: a load balancer that is created and then given
    /// attributes counts once.
    pub fn summary(&self) -> Summary {
        use std::collections::BTreeSet;

        let mut created = BTreeSet::new();
        let mut changed = BTreeSet::new();
        let mut deleted = BTreeSet::new();
        for step in &self.steps {
            match step.action {
                Action::Create | Action::Replace => created.insert((&step.resource, &step.name)),
                Action::Delete => deleted.insert((&step.resource, &step.name)),
                Action::Wait => false,
                Action::Update
                | Action::Tag
                | Action::Reorder
                | Action::Register
                | Action::Deregister => changed.insert((&step.resource, &step.name)),
            };
        }
        changed.retain(|resource| !created.contains(resource) && !deleted.contains(resource));
        Summary {
            create: created.len(),
            change: changed.len(),
            delete: deleted.len(),
            held: self.steps.iter().filter(|s| s.held.is_some()).count(),
        }
    }

    /// Appends another plan. Its steps get the numbers that follow.
    pub fn append(&mut self, other: Self) {
        let offset = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        let shift = |id: &mut StepId| id.0 = id.0.saturating_add(offset);
        for mut step in other.steps {
            shift(&mut step.id);
            step.after.iter_mut().for_each(shift);
            if let Some(Held::After { step }) = &mut step.held {
                shift(step);
            }
            self.steps.push(step);
        }
        self.unowned.extend(other.unowned);
    }
}

/// How many resources a plan creates, changes and deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Resources that are created, replacements included.
    pub create: usize,
    /// Resources that are changed in place.
    pub change: usize,
    /// Resources that are deleted.
    pub delete: usize,
    /// Steps that are shown but not carried out.
    pub held: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} to create, {} to change, {} to delete",
            self.create, self.change, self.delete
        )?;
        match self.held {
            0 => Ok(()),
            1 => f.write_str(" (1 step is held)"),
            n => write!(f, " ({n} steps are held)"),
        }
    }
}
