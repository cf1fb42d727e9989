//! Policy: which steps of a plan are carried out.
//!
//! In: a plan. Out: the same plan, in which the steps that the policy forbids are held, with their
//! reason, and with them whatever depends on them. No step is dropped: what is not done is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use elbow_model::ResourceKind;
use serde::{Deserialize, Serialize};

use crate::plan::{Action, Held, Plan, Step};
use crate::rules::is_warm_up_id;

/// What may be done, and what counts as too much.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Policy {
    /// Which steps are carried out.
    pub mode: Mode,
    /// What becomes of a load balancer that is protected from deletion.
    pub deletion_protection: DeletionProtection,
    /// Tag keys that others manage: neither set nor removed.
    pub external_managed_tags: BTreeSet<String>,
    /// What becomes of the tags of rules that have moved.
    pub moved_rules: MovedRules,
    /// How many targets a target group may have, those that drain aside; what is beyond is not
    /// registered.
    pub targets_per_group_max: Option<NonZeroUsize>,
    /// The account's quotas.
    pub quotas: Quotas,
}

/// Which steps are carried out.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// All.
    #[default]
    Sync,
    /// All but those that delete a resource.
    UpsertOnly,
    /// None.
    DryRun,
}

/// What becomes of a load balancer whose attribute `deletion_protection.enabled` is set.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum DeletionProtection {
    /// It stays.
    #[default]
    Respect,
    /// Protection is turned off, then it is deleted; this is what LBC does.
    TurnOff,
}

/// What becomes of the resource tag of a rule that has moved: it holds the rule's place, `80:3`, and proves
/// nothing but that the rule is ours, which any place does. To insert one rule before many moves them all.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum MovedRules {
    /// It keeps the place at which it was tagged.
    #[default]
    KeepTag,
    /// It is tagged with its place: a call for each rule.
    Retag,
}

/// Quotas of the account that a plan is held against. They can be raised, hence they are settings; the
/// defaults are those of <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html>
/// and <https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Quotas {
    /// Rules per load balancer, without default rules.
    pub rules_max: usize,
    /// Listeners per load balancer.
    pub listeners_max: usize,
    /// Certificates per load balancer, without default certificates.
    pub certificates_max: usize,
    /// Certificates of authorities per trust store.
    pub authorities_max: usize,
    /// Listeners of a load balancer that verify clients' certificates.
    pub verifying_listeners_max: usize,
    /// Targets per target group.
    pub targets_max: usize,
    /// Inbound rules per security group.
    pub ingress_rules_max: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            rules_max: 100,
            listeners_max: 50,
            certificates_max: 25,
            authorities_max: 25,
            verifying_listeners_max: 2,
            targets_max: 1000,
            ingress_rules_max: 60,
        }
    }
}

impl Policy {
    /// Holds the steps that the policy forbids, and those that come after a held one.
    pub fn apply(&self, mut plan: Plan) -> Plan {
        let mut held = BTreeMap::new();
        for step in &mut plan.steps {
            if step.held.is_none() {
                step.held = self.forbids(step).or_else(|| {
                    let first = step.after.iter().find(|id| held.contains_key(*id))?;
                    // The root is what somebody can do something about.
                    let root = match held.get(first) {
                        Some(Some(root)) => *root,
                        _ => *first,
                    };
                    Some(Held::After { step: root })
                });
            }
            match &step.held {
                None => {}
                Some(Held::After { step: root }) => {
                    held.insert(step.id, Some(*root));
                }
                Some(_) => {
                    held.insert(step.id, None);
                }
            }
        }
        plan
    }

    /// The targets for which a group with a number of them has room, and the others.
    pub(crate) fn split_targets<'t, T>(
        &self,
        targets: &'t [T],
        n_there: usize,
    ) -> (&'t [T], &'t [T]) {
        let max = self.targets_per_group_max;
        let room = max.map_or(usize::MAX, |max| max.get().saturating_sub(n_there));
        targets.split_at(room.min(targets.len()))
    }

    fn forbids(&self, step: &Step) -> Option<Held> {
        match self.mode {
            Mode::DryRun => Some(Held::DryRun),
            Mode::UpsertOnly if step.action == Action::Delete && !is_scaffold(step) => {
                Some(Held::UpsertOnly)
            }
            Mode::Sync | Mode::UpsertOnly => None,
        }
    }
}

/// Whether the step only takes down what the planner put up to keep target groups in use.
fn is_scaffold(step: &Step) -> bool {
    step.resource.kind == ResourceKind::ListenerRule && is_warm_up_id(&step.resource.id)
}
