//! Rules in the security groups of nodes and pods, a unit of its own, for all Gateways share them.
//!
//! In: what the translations of all Gateways want of the network. Out: rounds that look at endpoints and
//! their groups, and plans for the rules. What always holds:
//!
//! - targets do not wait for rules, nor rules for rounds: what a new translation needs is let in while its
//!   plan is carried out;
//! - what an older translation needed stays until a round has ended as wanted, and so does what any Gateway
//!   may need of which nothing is known yet; while there is one, rules are added only for what no rule
//!   covers, so that a change-over finds nothing to do;
//! - a group that is let in is not deleted before the rules that name it are gone
//!   ([`Reconciler::names_group`]).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use elbow_api::{Diagnostic, Kind, NamespacedName, Object, ObjectRef, Snapshot};
use elbow_model::stack::{IngressRule, IngressSource};
use elbow_model::{
    AwsAnswer, AwsCall, AwsError, Cause, ErrorClass, InstanceId, Ref, SecurityGroupId, StackId,
};
use elbow_plan::policy::Mode;
use elbow_plan::{NodeRulesInput, Surplus, covers, plan_node_rules};
use elbow_translate::network::{self, BindingNetwork, GroupRules, Guards, Needs, ProblemKind};

use super::unit::{Knowledge, Phase, Unit};
use super::units::Trait;
use super::{Owner, Reconciler, RoundResult};
use crate::endpoints::{About, EndpointBook, Refresh};
use crate::execute::{Failure, Outcome};
use crate::outbox::Priority;
use crate::time::Timestamp;

/// How often what was not found is looked for at once. The address of a new pod is known to EC2 within
/// seconds; after that it is looked for as other mistakes are.
const MISSING_TRIES_MAX: u32 = 3;

/// What is known of the network.
#[derive(Debug, Default)]
pub(super) struct Network {
    book: EndpointBook,
    reaches: BTreeMap<Unit, Reach>,
    /// How urgently a round is wanted once all Gateways were translated.
    wanted: Option<Priority>,
    /// Whether the last plan left something that is not wanted.
    has_kept: bool,
    /// Looks in a row for what was not found.
    missing_tries: u32,
    /// What Gateways, and bindings that users wrote, are told.
    notices: BTreeMap<Unit, NetworkNotice>,
}

/// What one Gateway wants of the network.
#[derive(Debug, Default)]
struct Reach {
    /// By its last translation.
    wanted: Vec<BindingNetwork>,
    /// Rules that earlier ones needed, and that may still be in use.
    held: BTreeSet<IngressRule>,
    /// Whether it was brought about as wanted since the start: all that it may need is known.
    is_settled: bool,
    /// Whether the last translation did not say all.
    is_blocked: bool,
}

/// What a translation tells of the network.
#[derive(Debug)]
pub(super) enum Told {
    /// Nothing can be said.
    Nothing,
    /// What is known to be needed; there may be more.
    Part(Vec<BindingNetwork>),
    /// All that is needed.
    All(Vec<BindingNetwork>),
}

impl From<Option<Vec<BindingNetwork>>> for Told {
    fn from(wanted: Option<Vec<BindingNetwork>>) -> Self {
        wanted.map_or(Self::Nothing, Self::All)
    }
}

/// What a Gateway is told of its load balancers' way to their targets, or a binding that a user wrote of the
/// way to its own.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NetworkNotice {
    /// What is not as it has to be.
    pub findings: Vec<Diagnostic>,
    /// Rules that could not be made.
    pub failures: Vec<Failure>,
    /// Why AWS could not be asked about endpoints.
    pub error: Option<AwsError>,
}

impl Reconciler {
    // --- what Gateways want ---

    /// Takes in what a translation wants of the network.
    pub(super) fn note_reach(&mut self, unit: &Unit, told: impl Into<Told>, now: Timestamp) {
        let told = told.into();
        let reach = self.network.reaches.entry(unit.clone()).or_default();
        reach.is_blocked = !matches!(told, Told::All(_));
        let is_new = match told {
            Told::Part(wanted) | Told::All(wanted) if wanted != reach.wanted => {
                let old = std::mem::replace(&mut reach.wanted, wanted);
                reach.held.extend(exact(&old));
                true
            }
            Told::Nothing | Told::Part(_) | Told::All(_) => false,
        };
        let priority = self.units.get(unit).and_then(|work| work.priority);
        if is_new {
            self.want_network(priority.unwrap_or(Priority::Retry), now);
        } else {
            self.go_on_with_network(now);
        }
    }

    /// A Gateway's round has brought about what was wanted: what it needed before, it needs no more.
    pub(super) fn reach_settled(&mut self, unit: &Unit, now: Timestamp) {
        let is_undecided = self.has_undecided_listener(unit);
        let Some(reach) = self.network.reaches.get_mut(unit) else {
            return;
        };
        if is_undecided || reach.is_blocked {
            return;
        }
        let was_settled = std::mem::replace(&mut reach.is_settled, true);
        let held = std::mem::take(&mut reach.held);
        if self.network.has_kept && (!was_settled || !held.is_empty()) {
            self.want_network(Priority::Fresh, now);
        }
    }

    /// A Gateway is gone, and so is what it needs.
    pub(super) fn forget_reach(&mut self, unit: &Unit, now: Timestamp) {
        self.network.notices.remove(unit);
        if self.network.reaches.remove(unit).is_some() {
            self.want_network(Priority::Fresh, now);
        }
    }

    /// Notes what a step of another unit means to the network: there is a group to let in, or a load
    /// balancer that needs nothing any more.
    pub(super) fn network_follows(&mut self, unit: &Unit, call: &AwsCall, now: Timestamp) {
        if matches!(
            call,
            AwsCall::CreateSecurityGroup { .. } | AwsCall::DeleteLoadBalancer { .. }
        ) {
            let priority = self.units.get(unit).and_then(|work| work.priority);
            self.want_network(priority.unwrap_or(Priority::Retry), now);
        }
    }

    /// Whether a listener stands that is left as it is, with targets that no translation tells of.
    fn has_undecided_listener(&self, unit: &Unit) -> bool {
        let stack = self.units.get(unit).and_then(|work| work.stack.as_ref());
        let Some(stack) = stack.filter(|stack| !stack.undecided_listeners.is_empty()) else {
            return false;
        };
        let known = self.known.stacks.get(&stack.id);
        let mut listeners = known
            .into_iter()
            .flat_map(|known| &known.load_balancers)
            .flat_map(|lb| &lb.listeners);
        listeners.any(|listener| stack.undecided_listeners.contains(&listener.port))
    }

    // --- rounds ---

    /// Asks for a round. At a start, and in a dry run, it waits until all Gateways were translated: what
    /// all need is looked up together.
    pub(super) fn want_network(&mut self, priority: Priority, now: Timestamp) {
        let wanted = self
            .network
            .wanted
            .map_or(priority, |wanted| wanted.min(priority));
        self.network.wanted = Some(wanted);
        self.go_on_with_network(now);
    }

    /// Begins the round that is wanted, if it need not wait any more.
    pub(super) fn go_on_with_network(&mut self, now: Timestamp) {
        let Some(priority) = self.network.wanted else {
            return;
        };
        let may_wait = self.is_dry_run() || priority > Priority::Fresh;
        if may_wait {
            self.units.settle(&self.settings);
            if self.units.any(Trait::OnItsWay) {
                return;
            }
        }
        self.network.wanted = None;
        self.enqueue(&Unit::Network, priority, now);
    }

    fn is_dry_run(&self) -> bool {
        self.settings.policy.mode == Mode::DryRun
    }

    /// Begins a look at everything.
    pub(super) fn observe_network(&mut self, snapshot: &Snapshot, now: Timestamp) {
        self.look_at_network(Refresh::Everything, snapshot, now);
    }

    /// Begins a round on the strength of what is known.
    pub(super) fn begin_network(&mut self, snapshot: &Snapshot, now: Timestamp) {
        let priority = self.units.get(&Unit::Network).and_then(|w| w.priority);
        let refresh = match priority {
            Some(Priority::Retry | Priority::Drift) => Refresh::Missing,
            _ => Refresh::Nothing,
        };
        self.look_at_network(refresh, snapshot, now);
    }

    fn look_at_network(&mut self, refresh: Refresh, snapshot: &Snapshot, now: Timestamp) {
        if let Some(work) = self.units.get_mut(&Unit::Network)
            && work.priority == Some(Priority::Targets)
        {
            work.targets_at = Some(now);
        }
        self.network.book.begin(refresh);
        self.go_on_looking(refresh == Refresh::Everything, snapshot, now);
    }

    /// Asks what is still to be asked, or plans.
    fn go_on_looking(&mut self, is_of_everything: bool, snapshot: &Snapshot, now: Timestamp) {
        let instance_of = |node: &str| instance_of(snapshot, node);
        let address_of = |node: &str| address_of(snapshot, node);
        let shared = self.backend_group().cloned();
        let Network { book, reaches, .. } = &mut self.network;
        let networks: Vec<&BindingNetwork> = reaches.values().flat_map(|r| &r.wanted).collect();
        let about = About {
            networks: &networks,
            instance_of: &instance_of,
            address_of: &address_of,
            known: &self.known.node_groups,
            shared: shared.as_ref(),
            settings: &self.settings.translate,
        };
        let calls = book.next_calls(about);
        if !calls.is_empty() {
            let phase = Phase::Looking {
                outstanding: calls.len(),
                is_of_everything,
            };
            let priority = self.set_phase(&Unit::Network, phase);
            self.send_all(&Owner::Unit(Unit::Network), priority, calls);
            return;
        }
        let (groups, guards) = book.finish(about);
        self.known.node_groups = groups;
        if let Some(work) = self.units.get_mut(&Unit::Network) {
            work.knowledge = Knowledge::Trusted;
            work.is_translated = true;
            if is_of_everything {
                work.observed_at = now;
            }
        }
        self.plan_network(&guards, now);
    }

    /// Takes in an answer to a look.
    pub(super) fn network_answered(
        &mut self,
        call: &AwsCall,
        result: Result<AwsAnswer, AwsError>,
        snapshot: &Snapshot,
        now: Timestamp,
    ) {
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.withdraw(&Owner::Unit(Unit::Network));
                if let Some(work) = self.units.get_mut(&Unit::Network) {
                    // What was asked for in vain is asked for again.
                    work.knowledge = Knowledge::Doubtful;
                }
                self.finish(&Unit::Network, &RoundResult::LookupFailed { error }, now);
                return;
            }
        };
        let next = self.network.book.fold(call, answer);
        let Some(work) = self.units.get_mut(&Unit::Network) else {
            return;
        };
        let priority = work.priority.unwrap_or(Priority::Retry);
        let Phase::Looking {
            outstanding,
            is_of_everything,
        } = &mut work.phase
        else {
            return;
        };
        let is_of_everything = *is_of_everything;
        if let Some(next) = next {
            self.send_all(&Owner::Unit(Unit::Network), priority, vec![next]);
            return;
        }
        *outstanding -= 1;
        if *outstanding == 0 {
            self.go_on_looking(is_of_everything, snapshot, now);
        }
    }

    fn plan_network(&mut self, guards: &Guards, now: Timestamp) {
        let needs = network::needs(self.network.networks(), guards, |group| {
            self.source_of(group)
        });
        let is_dry_run = self.is_dry_run();
        let in_doubt = self.is_any_reach_in_doubt();
        let wanted = self.wanted_rules(&needs, in_doubt);
        let mut kept = needs.homeless.clone();
        for (unit, reach) in &self.network.reaches {
            if !is_dry_run && self.may_serve(unit) {
                let held = reach.held.iter().cloned();
                kept.extend(held.map(|rule| self.with_source(rule)));
            }
        }
        let shared = self.backend_group();
        let groups = &self.known.node_groups;
        kept.extend(self.network.book.in_doubt(groups, shared).cloned());
        let surplus = if in_doubt {
            Surplus::Kept
        } else {
            Surplus::RevokedBut(&kept)
        };
        let plan = plan_node_rules(NodeRulesInput {
            wanted: &wanted,
            observed: &self.known.node_groups,
            surplus,
            policy: &self.settings.policy,
        });
        let nothing = BTreeMap::new();
        self.network.has_kept = in_doubt
            || self.known.node_groups.values().any(|group| {
                let wanted = wanted.get(&group.id).unwrap_or(&nothing);
                let ours = group.ingress.iter().filter(|rule| rule.is_node_rule());
                ours.into_iter().any(|rule| !wanted.contains_key(rule))
            });
        self.note_problems(&needs, now);
        self.execute(&Unit::Network, plan, now);
    }

    /// The rules that are to be there: all of them, or those that nothing covers where the needs of
    /// somebody are not known.
    fn wanted_rules(&self, needs: &Needs, in_doubt: bool) -> GroupRules {
        let mut groups = needs.groups.clone();
        for (id, rules) in &mut groups {
            let group = self.known.node_groups.get(id);
            let there = group.map(|group| group.ingress.as_slice());
            let there = there.unwrap_or_default();
            rules.retain(|rule, _| {
                let is_covered = || there.iter().any(|other| covers(other, rule));
                self.has_known_source(rule) && !(in_doubt && is_covered())
            });
        }
        network::rules(&groups, self.settings.translate.node_rules)
    }

    /// A group that is yet to be made is let in once it is there; a dry run shows it at once.
    fn has_known_source(&self, rule: &IngressRule) -> bool {
        self.is_dry_run()
            || !matches!(&rule.source, IngressSource::SecurityGroup(group) if group.known().is_none())
    }

    fn with_source(&self, mut rule: IngressRule) -> IngressRule {
        if let IngressSource::SecurityGroup(group) = &mut rule.source {
            *group = self.source_of(group);
        }
        rule
    }

    /// A security group by its id, once it has one.
    fn source_of(&self, group: &Ref<SecurityGroupId>) -> Ref<SecurityGroupId> {
        let Ref::Of(key) = group else {
            return group.clone();
        };
        let found = if key.stack == StackId::CLUSTER {
            self.backend_group().cloned()
        } else {
            let stack = self.known.stacks.get(&key.stack);
            let tag = key.stack.resource_tag();
            let mut groups = stack.into_iter().flat_map(|stack| &stack.security_groups);
            let found =
                groups.find(|g| g.tags.get(&tag).map(String::as_str) == Some(key.id.as_str()));
            found.map(|group| group.id.clone())
        };
        found.map_or_else(|| group.clone(), Ref::Known)
    }

    /// Whether there is a Gateway with load balancers of which it is not known what all they need.
    fn is_any_reach_in_doubt(&mut self) -> bool {
        self.units.settle(&self.settings);
        if self.units.any(Trait::Unheard) {
            return true;
        }
        let is_dry_run = self.is_dry_run();
        self.network.reaches.iter().any(|(unit, reach)| {
            let is_said = !reach.is_blocked && !self.has_undecided_listener(unit);
            let is_clear = reach.is_settled || (is_dry_run && is_said);
            !is_clear && self.may_serve(unit)
        })
    }

    /// Whether a Gateway may have load balancers. Of those of a user's own binding nothing is known.
    ///
    /// Difference (refused-binding-keeps-rules): LBC waits with all removals for every binding, forever for
    /// one that fails.
    fn may_serve(&self, unit: &Unit) -> bool {
        if unit.binding().is_some() {
            return true;
        }
        let is_seen = self
            .units
            .get(unit)
            .is_some_and(|work| work.knowledge != Knowledge::Census);
        let stacks = unit.stacks();
        let mut known = stacks.iter().filter_map(|id| self.known.stacks.get(id));
        !is_seen || known.any(|stack| !stack.load_balancers.is_empty())
    }

    // --- what becomes of rounds ---

    /// Takes in what a step has done.
    pub(super) fn remember_node_rules(&mut self, call: &AwsCall) {
        let (AwsCall::AuthorizeSecurityGroupIngress { group, .. }
        | AwsCall::RevokeSecurityGroupIngress { group, .. }) = call
        else {
            return;
        };
        let known = group
            .known()
            .and_then(|id| self.known.node_groups.get_mut(id));
        let Some(known) = known else { return };
        match call {
            AwsCall::AuthorizeSecurityGroupIngress { rules, .. } => {
                known.ingress.extend(rules.iter().cloned());
                known.ingress.sort();
            }
            AwsCall::RevokeSecurityGroupIngress { rules, .. } => {
                known.ingress.retain(|rule| !rules.contains(rule));
            }
            _ => {}
        }
    }

    /// Whether rules of nodes let a group in, or may do so as far as is known: then it cannot be deleted.
    pub(super) fn names_group(&self, group: &SecurityGroupId) -> bool {
        if self.is_dry_run() {
            return false;
        }
        let is_looking = self.units.get(&Unit::Network).is_none_or(|work| {
            let is_failing = work.failures > 0;
            work.knowledge == Knowledge::Census && !is_failing
        });
        let source = IngressSource::SecurityGroup(group.clone().into());
        let groups = self.known.node_groups.values();
        let mut rules = groups.flat_map(|group| &group.ingress);
        is_looking || rules.any(|rule| rule.is_node_rule() && rule.source == source)
    }

    /// Notes what is not as it has to be, and looks again soon for what may only be late.
    fn note_problems(&mut self, needs: &Needs, now: Timestamp) {
        let is_missing = needs
            .problems
            .iter()
            .any(|problem| matches!(problem.kind, ProblemKind::Missing { .. }));
        let may_be_late =
            is_missing && !self.is_dry_run() && self.network.missing_tries < MISSING_TRIES_MAX;
        self.network.missing_tries = match (is_missing, may_be_late) {
            (false, _) => 0,
            (true, true) => self.network.missing_tries + 1,
            (true, false) => self.network.missing_tries,
        };
        let tries = self.network.missing_tries;
        let wait = self
            .settings
            .backoff
            .wait_ms(ErrorClass::NotFound, tries.max(1), "endpoints");
        if let Some(work) = self.units.get_mut(&Unit::Network) {
            work.has_mistakes = !needs.problems.is_empty();
            work.retry_at = may_be_late.then(|| now.plus_millis(wait));
        }
        let settings = &self.settings.translate;
        let mut findings: BTreeMap<Unit, Vec<Diagnostic>> = BTreeMap::new();
        for problem in &needs.problems {
            let is_late = matches!(problem.kind, ProblemKind::Missing { .. }) && may_be_late;
            let Some(unit) = unit_of(&problem.cause).filter(|_| !is_late) else {
                continue;
            };
            let (message, hint) = problem.words(settings);
            let finding = Diagnostic::error("failed-network-reconcile", message)
                .hint(hint)
                .on(object_of(&problem.cause, &unit));
            findings.entry(unit).or_default().push(finding);
        }
        for notice in self.network.notices.values_mut() {
            notice.findings.clear();
        }
        for (unit, findings) in findings {
            self.network.notices.entry(unit).or_default().findings = findings;
        }
    }

    /// A round is over: Gateways and bindings are told what concerns them, and what could not be deleted before may
    /// go now.
    pub(super) fn network_finished(&mut self, result: &RoundResult, now: Timestamp) {
        for notice in self.network.notices.values_mut() {
            notice.failures.clear();
            notice.error = None;
        }
        match result {
            RoundResult::Incomplete { outcome } => self.note_failures(outcome),
            RoundResult::LookupFailed { error } => {
                let concerned = self.network.reaches.iter();
                let concerned = concerned.filter(|(_, reach)| !reach.wanted.is_empty());
                for unit in concerned.map(|(unit, _)| unit.clone()).collect::<Vec<_>>() {
                    self.network.notices.entry(unit).or_default().error = Some(error.clone());
                }
            }
            _ => {}
        }
        self.tell_concerned();
        self.release_group(now);
    }

    fn note_failures(&mut self, outcome: &Outcome) {
        for failure in &outcome.failures {
            let units: BTreeSet<Unit> = failure.causes.iter().filter_map(unit_of).collect();
            for unit in units {
                let notice = self.network.notices.entry(unit).or_default();
                notice.failures.push(failure.clone());
            }
        }
    }

    /// Reports again for the units that have news.
    fn tell_concerned(&mut self) {
        for unit in self.network.notices.keys().cloned().collect::<Vec<_>>() {
            let work = self.units.get(&unit);
            let of_gateway = work.and_then(|work| work.reported.clone());
            let of_binding = work.and_then(|work| work.reported_binding.clone());
            if let Some(report) = of_gateway {
                self.report(&unit, report);
            } else if let Some(report) = of_binding {
                self.report_binding(&unit, report);
            }
        }
        self.network
            .notices
            .retain(|_, notice| *notice != NetworkNotice::default());
    }

    /// What a Gateway or binding is told.
    pub(super) fn notice_of(&self, unit: &Unit) -> NetworkNotice {
        let notice = self.network.notices.get(unit);
        notice.cloned().unwrap_or_default()
    }
}

/// The unit that a need is of: a Gateway, or a binding that a user wrote.
fn unit_of(cause: &Cause) -> Option<Unit> {
    let name = NamespacedName::new(cause.namespace.clone(), cause.name.clone());
    if cause.kind == Kind::Gateway.as_str() {
        Some(Unit::Gateway(name))
    } else if cause.kind == Kind::TargetGroupBinding.as_str() {
        Some(Unit::Binding(name))
    } else {
        None
    }
}

/// The object of a unit.
fn object_of(cause: &Cause, unit: &Unit) -> ObjectRef {
    let kind = match unit {
        Unit::Binding(_) => Kind::TargetGroupBinding,
        Unit::Gateway(_) | Unit::Cluster | Unit::Network => Kind::Gateway,
    };
    ObjectRef::new(kind, cause.namespace.clone(), cause.name.clone())
}

impl NetworkNotice {
    /// What failed, as a round of the Gateway's own would tell it.
    pub(crate) fn as_result(&self) -> Option<RoundResult> {
        if let Some(error) = &self.error {
            let error = error.clone();
            return Some(RoundResult::LookupFailed { error });
        }
        (!self.failures.is_empty()).then(|| {
            let failures = self.failures.clone();
            let outcome = Outcome {
                failures,
                ..Outcome::default()
            };
            RoundResult::Incomplete { outcome }
        })
    }
}

impl Network {
    /// What all Gateways want.
    fn networks(&self) -> impl Iterator<Item = &BindingNetwork> {
        self.reaches.values().flat_map(|reach| &reach.wanted)
    }
}

/// The rules that bindings need, whatever guards their endpoints.
fn exact(networks: &[BindingNetwork]) -> BTreeSet<IngressRule> {
    // Without guards nothing has a home.
    network::needs(networks, &Guards::default(), Clone::clone).homeless
}

/// The instance that a node is; `None` for one that is none, Fargate's for example.
fn instance_of(snapshot: &Snapshot, node: &str) -> Option<InstanceId> {
    let Some(Object::Node(node)) = snapshot.get(&ObjectRef::new(Kind::Node, "", node)) else {
        return None;
    };
    let provider_id = node.spec.as_ref()?.provider_id.as_deref()?;
    let id = provider_id.rsplit('/').next()?;
    id.starts_with("i-").then(|| InstanceId::new(id))
}

/// The address of a node in its network.
fn address_of(snapshot: &Snapshot, node: &str) -> Option<IpAddr> {
    let Some(Object::Node(node)) = snapshot.get(&ObjectRef::new(Kind::Node, "", node)) else {
        return None;
    };
    let mut addresses = node.status.as_ref()?.addresses.iter().flatten();
    let internal = addresses.find(|address| address.type_ == "InternalIP")?;
    internal.address.parse().ok()
}
