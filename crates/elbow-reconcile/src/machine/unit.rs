//! A unit of work: what rounds are made for, and where its round stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use elbow_api::{NamespacedName, Read};
use elbow_model::{FactQuery, ResourceId, Stack, StackId, StackKind};
use serde::{Deserialize, Serialize};

use super::RoundResult;
use super::left_groups::Groups;
use crate::execute::{Deferred, Execution, Failure};
use crate::front::{BindingReport, Programmed, Report};
use crate::observe::Observation;
use crate::outbox::Priority;
use crate::record::Record;
use crate::settings::Settings;
use crate::time::Timestamp;

/// What rounds are made for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// What all Gateways share: the backend security group, imported certificates, trust stores.
    Cluster,
    /// Rules in the security groups of nodes and pods.
    Network,
    /// A Gateway, with all the Stacks that it has or had: two while it changes its controller.
    Gateway(NamespacedName),
    /// A TargetGroupBinding that no Gateway of ours has asked for.
    Binding(NamespacedName),
}

impl Unit {
    /// The unit that a Stack belongs to.
    pub fn of_stack(stack: &StackId) -> Self {
        match stack.kind {
            StackKind::Cluster => Self::Cluster,
            StackKind::AlbGateway | StackKind::NlbGateway => Self::Gateway(NamespacedName::new(
                stack.namespace.clone(),
                stack.name.clone(),
            )),
            StackKind::Binding => Self::Binding(NamespacedName::new(
                stack.namespace.clone(),
                stack.name.clone(),
            )),
        }
    }

    /// The Gateway, if it is one.
    pub fn gateway(&self) -> Option<&NamespacedName> {
        match self {
            Self::Gateway(name) => Some(name),
            Self::Cluster | Self::Network | Self::Binding(_) => None,
        }
    }

    /// The TargetGroupBinding, if it is one.
    pub fn binding(&self) -> Option<&NamespacedName> {
        match self {
            Self::Binding(name) => Some(name),
            Self::Cluster | Self::Network | Self::Gateway(_) => None,
        }
    }

    /// The Stacks that the unit may have.
    pub fn stacks(&self) -> BTreeSet<StackId> {
        match self {
            Self::Cluster => BTreeSet::from([StackId::CLUSTER]),
            // The groups are not ours.
            Self::Network => BTreeSet::new(),
            Self::Gateway(name) => [StackKind::AlbGateway, StackKind::NlbGateway]
                .map(|kind| StackId::new(kind, name.namespace.clone(), name.name.clone()))
                .into(),
            Self::Binding(name) => BTreeSet::from([StackId::new(
                StackKind::Binding,
                name.namespace.clone(),
                name.name.clone(),
            )]),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Network => f.write_str("network"),
            Self::Gateway(name) => name.fmt(f),
            Self::Binding(name) => write!(f, "TargetGroupBinding {name}"),
        }
    }
}

/// What is known of a unit, and where its round stands.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) phase: Phase,
    /// How urgently a round is wanted, if one is.
    pub(super) wanted: Option<Priority>,
    /// The place in the queue of rounds, if it has one.
    pub(super) queued: Option<(Priority, u64)>,
    /// How urgent the round under way is.
    pub(super) priority: Option<Priority>,
    pub(super) knowledge: Knowledge,
    /// When it was last observed.
    pub(super) observed_at: Timestamp,
    /// When its last round ended.
    pub(super) finished_at: Timestamp,
    /// Failed rounds in a row.
    pub(super) failures: u32,
    /// When a round is asked for by itself.
    pub(super) retry_at: Option<Timestamp>,
    /// When targets were last changed.
    pub(super) targets_at: Option<Timestamp>,
    /// What a plan that was given up was waiting with.
    pub(super) deferred: Option<Deferred>,
    /// Targets that change while a round is under way.
    pub(super) lane: Option<Box<Execution>>,
    /// When targets that have changed again are looked at while a round is under way.
    pub(super) lane_at: Option<Timestamp>,
    /// The record on the strength of which what is there is believed.
    pub(super) believed: Option<Record>,
    /// When a record is kept of what was brought about.
    pub(super) record_at: Option<Timestamp>,
    /// When the last translation is out of date by itself: a certificate begins or ends to be valid.
    pub(super) holds_until: Option<Timestamp>,
    /// What the last translation read.
    pub(super) reads: BTreeSet<Read>,
    /// What the last translation asks for; `None` before the first one, or when it is blocked.
    pub(super) stack: Option<Stack>,
    /// The Stack that the last complete round brought about.
    pub(super) applied: Option<Stack>,
    /// What was last reported.
    pub(super) reported: Option<Report>,
    /// What rounds that have ended brought about, for conditions.
    pub(super) programmed: Programmed,
    /// The same of a TargetGroupBinding.
    pub(super) reported_binding: Option<BindingReport>,
    /// Of a TargetGroupBinding: the groups that have targets of it.
    pub(super) groups: Groups,
    /// Of a TargetGroupBinding: whether it was being deleted when it was last translated.
    pub(super) is_leaving: bool,
    /// The bindings under which it is kept which targets of shared groups are this cluster's, by target
    /// group.
    pub(super) own_targets: BTreeMap<ResourceId, NamespacedName>,
    /// Certificates and trust stores that the Stack refers to and that could not be had.
    pub(super) lacking: BTreeSet<ResourceId>,
    /// Why, as far as calls of the cluster's round failed for it: its next result has these failures.
    pub(super) shared_failures: Vec<Failure>,
    /// What its round comes to when what can be done is done: nothing can be said of it at present, so what it has
    /// stays, and targets alone are changed.
    pub(super) held: Option<RoundResult>,
    /// Whether the objects were translated at least once, blocked or not.
    pub(super) is_translated: bool,
    /// Whether the last translation found mistakes.
    pub(super) has_mistakes: bool,
}

/// Where a round stands.
#[derive(Debug, Default)]
pub(super) enum Phase {
    /// There is none.
    #[default]
    Idle,
    /// What is there is being looked at.
    Observing(Box<Observation>),
    /// Endpoints and their security groups are being looked at; of the network alone.
    Looking {
        /// Calls that are out, pages aside.
        outstanding: usize,
        /// Whether it began with nothing that was known before.
        is_of_everything: bool,
    },
    /// These facts are being looked up, for this unit and others.
    AwaitingFacts(BTreeSet<FactQuery>),
    /// What it shares with others is being made.
    AwaitingCluster,
    /// The finalizer is being set.
    AwaitingProtection,
    /// What is kept about the targets of groups that several clusters share is being read or written.
    AwaitingOwnTargets,
    /// The targets of the group that a TargetGroupBinding names are being looked at.
    AskingTargets,
    /// A plan is being carried out.
    Executing(Box<Execution>),
}

/// How far what is known of a unit's Stacks can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Knowledge {
    /// Nothing but the census.
    #[default]
    Census,
    /// What lists tell; a record vouches for the rest.
    Believed,
    /// Observed, and kept up since.
    Trusted,
    /// Something may have happened that is not known: observe again.
    Doubtful,
}

impl Work {
    /// Whether it needs nothing but time.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Idle)
            && self.wanted.is_none()
            && self.retry_at.is_none()
            && self.lane.is_none()
    }

    /// When the next round for changed targets may begin.
    pub(super) fn targets_not_before(&self, settings: &Settings) -> Option<Timestamp> {
        self.targets_at
            .map(|at| at.plus_millis(settings.targets_interval_ms))
    }
}
