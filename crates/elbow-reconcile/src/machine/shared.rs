//! What all Gateways share, a unit of its own: the backend security group, the certificates that are
//! imported from Secrets, and the trust stores that are made of ConfigMaps.
//!
//! In: what the Stacks of all Gateways use, the Secrets and ConfigMaps. Out: rounds of the cluster's Stack. What always
//! holds: a Gateway waits until what it shares is there; a certificate or trust store that cannot be
//! had holds up the listeners that need it and nothing else; nothing goes while a Gateway may turn out to need it.
//!
//! A certificate that another process imported just before it died may not be in any index yet: before the
//! first import of a machine, ACM itself is asked for what is there.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::Snapshot;
use elbow_model::stack::BACKEND_SECURITY_GROUP;
use elbow_model::{
    CertificateArn, ObservedStack, Ref, ResourceId, ResourceKey, ResourceKind, SecurityGroupId,
    Stack, StackId, TrustStoreArn,
};
use elbow_plan::policy::Mode;
use elbow_plan::{ClusterView, Provided, SharedInUse};
use elbow_translate::{ClusterTranslation, SharedUse};

use super::rounds::failure_class;
use super::unit::{Knowledge, Phase, Unit, Work};
use super::units::Trait;
use super::{Effect, Reconciler, RoundResult};
use crate::execute::{Failure, Outcome};
use crate::front;
use crate::outbox::Priority;
use crate::time::Timestamp;

/// What is known of shared things beyond what is observed.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Certificates and trust stores that are wanted and could not be had, and why if a call failed.
    unavailable: BTreeMap<ResourceId, Option<Failure>>,
    /// Certificates and trust stores that the last translation of the cluster looked at.
    considered: BTreeSet<ResourceId>,
    /// Whether ACM itself was asked for our certificates, and not an index that lags behind.
    has_listed: bool,
    /// Whether something that can go, or has to be made, was to be looked for while a round was under way.
    is_review_missed: bool,
    /// What a dry run has planned for last.
    planned: Option<(SharedUse, bool)>,
}

/// A Stack without what cannot be had.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) stack: Stack,
    lacking: BTreeSet<ResourceId>,
    failures: Vec<Failure>,
}

impl Reconciler {
    /// The id of the shared security group, if it is there.
    pub(super) fn backend_group(&self) -> Option<&SecurityGroupId> {
        let cluster = self.known.stacks.get(&StackId::CLUSTER)?;
        cluster.security_groups.first().map(|group| &group.id)
    }

    /// The ids of what is shared, for plans that refer to it.
    pub(super) fn provided(&self) -> Provided {
        let group = self.backend_group().map(|id| {
            let id = id.to_string();
            (key(ResourceKind::SecurityGroup, BACKEND_SECURITY_GROUP), id)
        });
        let certificates = self.imported().into_iter().map(|(id, arn)| {
            let key = key(ResourceKind::Certificate, id.as_str());
            (key, arn.to_string())
        });
        let trust_stores = self.made().into_iter().map(|(id, arn)| {
            let key = key(ResourceKind::TrustStore, id.as_str());
            (key, arn.to_string())
        });
        certificates.chain(trust_stores).chain(group).collect()
    }

    /// The imported certificates that are there.
    pub(super) fn imported(&self) -> BTreeMap<ResourceId, CertificateArn> {
        ClusterView::of(&self.known).certificates
    }

    /// The trust stores that are there.
    fn made(&self) -> BTreeMap<ResourceId, TrustStoreArn> {
        ClusterView::of(&self.known).trust_stores
    }

    /// What is there of what listeners share.
    fn shared_there(&self) -> BTreeSet<ResourceId> {
        let view = ClusterView::of(&self.known);
        let certificates = view.certificates.into_keys();
        certificates.chain(view.trust_stores.into_keys()).collect()
    }

    // --- for a Gateway ---

    /// Whether a Gateway has to wait for something that it shares.
    pub(super) fn must_await_cluster(&self, stack: &Stack) -> bool {
        if self.settings.policy.mode == Mode::DryRun {
            return false;
        }
        let lacks_group = stack.uses_backend_security_group() && self.backend_group().is_none();
        let mut lacking = self.lacking(stack).into_iter();
        lacks_group || lacking.any(|id| !self.shared.unavailable.contains_key(&id))
    }

    /// Certificates and trust stores that a Stack refers to and that are not there.
    fn lacking(&self, stack: &Stack) -> BTreeSet<ResourceId> {
        let wanted = stack.shared_by_listeners();
        if wanted.is_empty() {
            return BTreeSet::new();
        }
        let there = self.shared_there();
        let lacking = wanted.into_iter().filter(|id| !there.contains(*id));
        lacking.cloned().collect()
    }

    /// The Stack without what cannot be had at present: a listener goes on with the certificates that are
    /// there, and is left as it is if none of its own is, or if it would have to let in clients unverified.
    pub(super) fn without_unavailable(&self, stack: &Stack) -> Option<Rest> {
        if self.settings.policy.mode == Mode::DryRun {
            return None;
        }
        let lacking = self.lacking(stack);
        if lacking.is_empty() {
            return None;
        }
        let mut rest = stack.clone();
        let undecided = &mut rest.undecided_listeners;
        rest.listeners.retain(|port, listener| {
            if let Some(Ref::Of(key)) = listener.mutual_authentication.trust_store()
                && lacking.contains(&key.id)
            {
                undecided.insert(*port);
                return false;
            }
            if listener.certificates.is_empty() {
                return true;
            }
            listener
                .certificates
                .retain(|certificate| match certificate {
                    Ref::Of(key) => !lacking.contains(&key.id),
                    Ref::Known(_) => true,
                });
            let stays = !listener.certificates.is_empty();
            if !stays {
                undecided.insert(*port);
            }
            stays
        });
        let failures = lacking
            .iter()
            .filter_map(|id| self.shared.unavailable.get(id).cloned().flatten());
        Some(Rest {
            stack: rest,
            failures: failures.collect(),
            lacking,
        })
    }

    /// Notes what a Gateway's round goes on without.
    pub(super) fn note_lacking(&mut self, unit: &Unit, rest: Option<&Rest>) {
        if let Some(work) = self.units.get_mut(unit) {
            work.lacking = rest.map(|rest| rest.lacking.clone()).unwrap_or_default();
            work.shared_failures = rest.map(|rest| rest.failures.clone()).unwrap_or_default();
        }
    }

    /// Tells translation the time, and what was imported before.
    pub(super) fn tell_facts(&mut self, now: Timestamp) {
        let imported = self.imported();
        let facts = self.facts.facts_mut();
        facts.now_seconds = Some(self.settings.seconds(now));
        facts.imported_certificates = imported;
    }

    // --- the cluster's own rounds ---

    pub(super) fn plan_cluster(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let unit = Unit::Cluster;
        let use_of_group = self.use_of_group();
        let mut shared_use = self.shared_use();
        // Somebody may still turn out to need the group: it stays as it is, and is not made.
        shared_use.backend_security_group = match use_of_group {
            UseOfGroup::InUse => true,
            UseOfGroup::Unused => false,
            UseOfGroup::Unknown => self.backend_group().is_some(),
        };
        let considered = shared_use.of_listeners();
        let seconds = self.settings.seconds(now);
        let ClusterTranslation {
            stack,
            reads,
            holds_until_seconds,
        } = front::cluster_stack(&shared_use, snapshot, seconds, &self.settings.translate);
        self.note_reads(&unit, reads);
        if let Some(work) = self.units.get_mut(&unit) {
            work.holds_until = holds_until_seconds.map(|seconds| self.settings.moment(seconds));
        }
        let there = self.imported();
        let is_new = stack.certificates.keys().any(|id| !there.contains_key(id));
        let is_dry_run = self.settings.policy.mode == Mode::DryRun;
        if is_new && !self.shared.has_listed {
            self.shared.has_listed = true;
            if let Some(work) = self.units.get_mut(&unit) {
                work.knowledge = Knowledge::Doubtful;
            }
            self.observe(&unit, snapshot, now);
            return;
        }
        if is_dry_run {
            let is_certain = !self.units.any(Trait::Undecided);
            self.shared.planned = Some((shared_use, is_certain));
        }
        // What this plan is not going to make nobody waits for: it may take minutes to delete something else.
        let mut planned = self.shared_there();
        planned.extend(stack.certificates.keys().cloned());
        planned.extend(stack.trust_stores.keys().cloned());
        let not_made = considered.iter().filter(|id| !planned.contains(*id));
        self.shared.unavailable = not_made.map(|id| (id.clone(), None)).collect();
        self.shared.considered.clone_from(&considered);
        if let Some(work) = self.units.get_mut(&unit) {
            work.is_translated = true;
            work.stack = Some(stack.clone());
        }
        let kept = self.kept();
        let empty = ObservedStack::default();
        let observed = self.known.stacks.get(&StackId::CLUSTER).unwrap_or(&empty);
        let policy = &self.settings.policy;
        let plan = front::plan_cluster(&stack, observed, &self.known, kept, policy);
        self.release_waiters(now);
        self.execute(&unit, plan, now);
    }

    /// What the Stacks of all Gateways use.
    fn shared_use(&mut self) -> SharedUse {
        self.units.settle(&self.settings);
        let sharing = self.units.with(Trait::UsesShared);
        let stacks = sharing.filter_map(|unit| self.units.get(unit)?.stack.as_ref());
        SharedUse {
            backend_security_group: self.units.any(Trait::UsesGroup),
            ..SharedUse::of(stacks)
        }
    }

    /// Certificates and trust stores that are not deleted now. In a dry run what listeners have now does
    /// not count where they are about to let go of it: the plan shows both.
    fn kept(&mut self) -> SharedInUse {
        self.units.settle(&self.settings);
        if self.units.any(Trait::Undecided) {
            return self.all_shared();
        }
        // What is wanted stays also where its Secret or ConfigMap cannot be used at present.
        let there = ClusterView::of(&self.known);
        let wanted = self.shared_use();
        let certificates = wanted.certificates.iter();
        let certificates = certificates.filter_map(|id| there.certificates.get(id));
        let trust_stores = wanted.trust_stores.keys();
        let trust_stores = trust_stores.filter_map(|id| there.trust_stores.get(id));
        let mut kept = SharedInUse {
            certificates: certificates.cloned().collect(),
            trust_stores: trust_stores.cloned().collect(),
        };
        if self.settings.policy.mode != Mode::DryRun {
            for (unit, work) in self.units.iter() {
                if work.believed.is_none() {
                    continue;
                }
                // What its listeners have no list has told. They have what was brought about, if that is
                // all that is wanted; until that is known they may have anything.
                let Some(applied) = &work.applied else {
                    if self.has_anything(unit) {
                        return self.all_shared();
                    }
                    continue;
                };
                for id in applied.shared_by_listeners() {
                    kept.certificates
                        .extend(there.certificates.get(id).cloned());
                    kept.trust_stores
                        .extend(there.trust_stores.get(id).cloned());
                }
            }
            kept.extend(SharedInUse::of(self.known.stacks.values()));
            return kept;
        }
        for (id, stack) in &self.known.stacks {
            let work = self.units.get(&Unit::of_stack(id));
            kept.extend(kept_by(work, id, stack));
        }
        kept
    }

    /// Every certificate and trust store that is there.
    fn all_shared(&self) -> SharedInUse {
        let Some(shared) = self.known.stacks.get(&StackId::CLUSTER) else {
            return SharedInUse::default();
        };
        SharedInUse {
            certificates: shared.certificates.iter().map(|c| c.arn.clone()).collect(),
            trust_stores: shared.trust_stores.iter().map(|s| s.arn.clone()).collect(),
        }
    }

    fn use_of_group(&mut self) -> UseOfGroup {
        self.units.settle(&self.settings);
        if self.units.any(Trait::UsesGroup) {
            return UseOfGroup::InUse;
        }
        if self.units.any(Trait::Undecided) {
            return UseOfGroup::Unknown;
        }
        let Some(group) = self.backend_group() else {
            return UseOfGroup::Unused;
        };
        // A blocked Gateway keeps the load balancer that it has, and that one its groups.
        let mut balancers = self.known.stacks.values().flat_map(|s| &s.load_balancers);
        if balancers.any(|lb| lb.security_groups.contains(group)) {
            return UseOfGroup::Unknown;
        }
        // Nodes that let it in hold it.
        if self.names_group(group) {
            return UseOfGroup::Unknown;
        }
        UseOfGroup::Unused
    }

    /// Looks whether something shared has to be made or can go, now that a Gateway's round is over.
    pub(super) fn review_cluster(&mut self, now: Timestamp) {
        let is_dry_run = self.settings.policy.mode == Mode::DryRun;
        let Some(work) = self.units.get(&Unit::Cluster) else {
            return;
        };
        let is_translated = work.is_translated;
        if !work.is_settled() {
            self.shared.is_review_missed = true;
            return;
        }
        let is_due = if is_dry_run {
            self.is_due_in_dry_run()
        } else {
            let group = match self.use_of_group() {
                UseOfGroup::InUse => self.backend_group().is_none() || !is_translated,
                UseOfGroup::Unused => self.backend_group().is_some(),
                UseOfGroup::Unknown => false,
            };
            group || self.is_shared_due()
        };
        if is_due {
            self.enqueue(&Unit::Cluster, Priority::Fresh, now);
        }
    }

    /// Lets the shared group go, now that rules of nodes may have let go of it.
    pub(super) fn release_group(&mut self, now: Timestamp) {
        let is_free = self.use_of_group() == UseOfGroup::Unused && self.backend_group().is_some();
        let is_settled = self.units.get(&Unit::Cluster).is_some_and(Work::is_settled);
        self.shared.is_review_missed |= is_free && !is_settled;
        if is_free && is_settled && self.settings.policy.mode != Mode::DryRun {
            self.enqueue(&Unit::Cluster, Priority::Fresh, now);
        }
    }

    /// A dry run carries nothing out, so it plans again when more Gateways have said what they use.
    fn is_due_in_dry_run(&mut self) -> bool {
        let group = self.use_of_group();
        let is_certain = !self.units.any(Trait::Undecided);
        let mut shared_use = self.shared_use();
        let has_group = self.backend_group().is_some();
        let is_concerned = shared_use != SharedUse::default()
            || self.all_shared() != SharedInUse::default()
            || (has_group && group == UseOfGroup::Unused);
        shared_use.backend_security_group |= has_group && group == UseOfGroup::Unknown;
        is_concerned && self.shared.planned != Some((shared_use, is_certain))
    }

    /// Whether a certificate or trust store is wanted that was not looked at yet, or one is there that nobody
    /// wants or has. A Secret or ConfigMap that changes is no matter of this: the cluster's unit has read it
    /// itself.
    fn is_shared_due(&mut self) -> bool {
        let there = self.all_shared();
        if there == SharedInUse::default() && !self.units.any(Trait::UsesShared) {
            return false;
        }
        let wanted = self.shared_use().of_listeners();
        if !wanted.is_subset(&self.shared.considered) {
            return true;
        }
        let kept = self.kept();
        !there.certificates.is_subset(&kept.certificates)
            || !there.trust_stores.is_subset(&kept.trust_stores)
    }

    // --- who waits ---

    /// The cluster's round is over: whoever waits for it goes on, or shares its failure.
    pub(super) fn cluster_finished(
        &mut self,
        result: &RoundResult,
        retry_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        self.note_unavailable(result);
        self.tell_waiters(result, retry_at);
        self.release_waiters(now);
        if std::mem::take(&mut self.shared.is_review_missed) {
            self.review_cluster(now);
        }
    }

    fn note_unavailable(&mut self, result: &RoundResult) {
        self.units.settle(&self.settings);
        // A round that was given up has not tried all, and the next one follows at once: who went on without
        // would begin to wait again with it, and give it up again, without end.
        if *result == RoundResult::Superseded || !self.units.any(Trait::UsesShared) {
            return;
        }
        let there = self.shared_there();
        let failures = match result {
            RoundResult::Incomplete { outcome } => outcome.failures.as_slice(),
            _ => &[],
        };
        // What somebody has asked for since this round was planned was not tried by it.
        let tried = match result {
            RoundResult::LookupFailed { .. } => self.shared_use().of_listeners(),
            _ => self.shared.considered.clone(),
        };
        let missing = tried.into_iter().filter(|id| !there.contains(id));
        let with_failure = missing.map(|id| {
            let of_it = |f: &&Failure| {
                let kinds = [ResourceKind::Certificate, ResourceKind::TrustStore];
                kinds.contains(&f.resource.kind) && f.resource.id == id
            };
            let failure = failures.iter().find(of_it).cloned();
            (id, failure)
        });
        self.shared.unavailable = with_failure.collect();
    }

    /// The Gateways that wait for the shared group share its failure.
    fn tell_waiters(&mut self, result: &RoundResult, retry_at: Option<Timestamp>) {
        if failure_class(result).is_none() || self.backend_group().is_some() {
            return;
        }
        for unit in self.awaiting_cluster() {
            self.report_outcome(&unit, result);
            self.effects.push(Effect::RoundFinished {
                unit,
                result: result.clone(),
                retry_at,
            });
        }
    }

    /// The Gateways that waited go on once they need not wait any more; so do those that went on without
    /// something which is there now.
    fn release_waiters(&mut self, now: Timestamp) {
        for unit in self.awaiting_cluster() {
            let stack = self.units.get(&unit).and_then(|work| work.stack.clone());
            if stack.is_some_and(|stack| self.must_await_cluster(&stack)) {
                continue;
            }
            let priority = self.set_phase(&unit, Phase::Idle);
            self.enqueue(&unit, priority, now);
        }
        let there = self.shared_there();
        self.units.settle(&self.settings);
        let lacking: Vec<Unit> = self.units.with(Trait::LacksShared).cloned().collect();
        for unit in lacking {
            let is_there = |id: &ResourceId| there.contains(id);
            // A plan that is being carried out goes on without it: only the next one has all of it.
            let work = self.units.get(&unit);
            if work.is_some_and(|work| work.lacking.iter().any(is_there)) {
                self.enqueue(&unit, Priority::Fresh, now);
            }
        }
    }

    fn awaiting_cluster(&mut self) -> Vec<Unit> {
        self.units.settle(&self.settings);
        self.units.with(Trait::AwaitsCluster).cloned().collect()
    }
}

impl Work {
    /// The result of a round, with the failures that it shares.
    pub(super) fn with_shared_failures(&mut self, result: RoundResult) -> RoundResult {
        if self.shared_failures.is_empty() {
            return result;
        }
        let add = |mut outcome: Outcome, failures: Vec<Failure>| {
            outcome.failures.extend(failures);
            RoundResult::Incomplete { outcome }
        };
        let failures = std::mem::take(&mut self.shared_failures);
        match result {
            RoundResult::Converged { outcome } | RoundResult::Incomplete { outcome } => {
                add(outcome, failures)
            }
            other => other,
        }
    }
}

/// What those of a Stack's listeners have that stay as they are: those that cannot be decided, and all where
/// nothing is decided.
fn kept_by(work: Option<&Work>, id: &StackId, stack: &ObservedStack) -> SharedInUse {
    let unwanted = work.and_then(|work| work.reported.as_ref());
    if unwanted.is_some_and(|report| report.translation.unwanted.contains(id)) {
        return SharedInUse::default();
    }
    match work.and_then(|work| work.stack.as_ref()) {
        Some(desired) if desired.id == *id => {
            let listeners = stack.load_balancers.iter().flat_map(|lb| &lb.listeners);
            let mut kept = SharedInUse::default();
            for listener in listeners {
                if desired.undecided_listeners.contains(&listener.port) {
                    kept.add(listener);
                }
            }
            kept
        }
        _ => SharedInUse::of([stack]),
    }
}

fn key(kind: ResourceKind, id: &str) -> ResourceKey {
    ResourceKey {
        stack: StackId::CLUSTER,
        kind,
        id: ResourceId::new(id),
    }
}

/// Whether any Gateway needs the shared security group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UseOfGroup {
    InUse,
    Unused,
    Unknown,
}
