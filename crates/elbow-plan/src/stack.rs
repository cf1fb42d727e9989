//! Plans one Stack, phase by phase, and all Stacks one after the other.
//!
//! In: [`Input`]. Out: a [`Plan`]. What always holds: planning one Stack looks at no other; additions
//! stand before removals.
//!
//! | phase | what | why there |
//! |---|---|---|
//! | 1 | security groups are created and widened, certificates imported, trust stores made | a load balancer is created with its groups, a listener with its certificate and trust store |
//! | 2 | the load balancer | listeners belong to it |
//! | 3 | target groups, with their targets | listeners and rules refer to them |
//! | 4 | new listeners, then the listeners that are there, with rules and handovers | |
//! | 5 | listeners, load balancers and target groups that are not wanted are deleted | nothing refers to them |
//! | 6 | security groups are narrowed and deleted, certificates and trust stores deleted | nothing needs them |

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::aws_call::TagTarget;
use elbow_model::certificate::IMPORTED_PREFIX;
use elbow_model::ids::{
    CertificateArn, LoadBalancerArn, ResourceId, SecurityGroupId, TargetGroupArn, TrustStoreArn,
};
use elbow_model::observed::{ObservedListener, ObservedStack, ObservedTargetGroup};
use elbow_model::rule::Action as RuleAction;
use elbow_model::stack::{BACKEND_SECURITY_GROUP, SecurityGroup};
use elbow_model::{
    AwsCall, Cause, Observed, Ref, ResourceKey, ResourceKind, Stack, StackId, StackKind, Tags,
};

use crate::compare::groups;
use crate::draft::Draft;
use crate::pairing::{Balancer, Pairing};
use crate::plan::{Action, Plan, StepId};
use crate::policy::Policy;
use crate::tags::{Legacy, difference};
use crate::targets::plan_targets;
use crate::{certificate, listener, load_balancer, security_group, target_group, trust_store};

/// What is known of the resources that all Stacks share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterView {
    /// The security group that all Stacks share; `None` while it does not exist.
    pub backend_security_group: Option<SecurityGroupId>,
    /// The imported certificates that are there.
    pub certificates: BTreeMap<ResourceId, CertificateArn>,
    /// The trust stores that are there.
    pub trust_stores: BTreeMap<ResourceId, TrustStoreArn>,
    /// What is not deleted, since some listener has it.
    pub in_use: SharedInUse,
}

/// What listeners have of what all Stacks share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SharedInUse {
    /// Certificates, as default or by SNI.
    pub certificates: BTreeSet<CertificateArn>,
    /// Trust stores.
    pub trust_stores: BTreeSet<TrustStoreArn>,
}

impl SharedInUse {
    /// What the listeners of these Stacks have.
    pub fn of<'a>(stacks: impl IntoIterator<Item = &'a ObservedStack>) -> Self {
        let balancers = stacks.into_iter().flat_map(|stack| &stack.load_balancers);
        let mut used = Self::default();
        for listener in balancers.flat_map(|lb| &lb.listeners) {
            used.add(listener);
        }
        used
    }

    /// Adds what a listener has.
    pub fn add(&mut self, listener: &ObservedListener) {
        let certificates = listener.certificates.iter();
        let certificates = certificates.chain(&listener.default_certificate);
        self.certificates.extend(certificates.cloned());
        let trust_store = listener.mutual_authentication.trust_store();
        self.trust_stores
            .extend(trust_store.and_then(Ref::known).cloned());
    }

    /// Adds what others have.
    pub fn extend(&mut self, other: Self) {
        self.certificates.extend(other.certificates);
        self.trust_stores.extend(other.trust_stores);
    }
}

impl ClusterView {
    /// The view that an observation gives.
    pub fn of(observed: &Observed) -> Self {
        let group = observed.stacks.get(&StackId::CLUSTER).and_then(|stack| {
            let mut ids: Vec<&SecurityGroupId> = stack
                .security_groups
                .iter()
                .filter(|group| {
                    group
                        .tags
                        .get(&StackId::CLUSTER.resource_tag())
                        .is_some_and(|id| id == BACKEND_SECURITY_GROUP)
                })
                .map(|group| &group.id)
                .collect();
            ids.sort();
            ids.first().map(|id| (*id).clone())
        });
        Self {
            backend_security_group: group,
            certificates: certificates(observed),
            trust_stores: trust_stores(observed),
            in_use: SharedInUse::default(),
        }
    }

    /// The same, for planning the cluster's own Stack: it deletes nothing of this.
    #[must_use]
    pub fn keeping(self, in_use: SharedInUse) -> Self {
        Self { in_use, ..self }
    }
}

/// Of two with one resource id, which only an import whose answer got lost leaves behind, the same one in
/// every round.
fn certificates(observed: &Observed) -> BTreeMap<ResourceId, CertificateArn> {
    let mut found: BTreeMap<ResourceId, CertificateArn> = BTreeMap::new();
    let shared = observed.stacks.get(&StackId::CLUSTER);
    for certificate in shared.into_iter().flat_map(|stack| &stack.certificates) {
        let id = certificate.tags.get(&StackId::CLUSTER.resource_tag());
        if let Some(id) = id.filter(|id| id.starts_with(IMPORTED_PREFIX)) {
            let arn = found
                .entry(ResourceId::new(id.clone()))
                .or_insert_with(|| certificate.arn.clone());
            if certificate.arn < *arn {
                arn.clone_from(&certificate.arn);
            }
        }
    }
    found
}

fn trust_stores(observed: &Observed) -> BTreeMap<ResourceId, TrustStoreArn> {
    let tag = StackId::CLUSTER.resource_tag();
    let shared = observed.stacks.get(&StackId::CLUSTER);
    let found = shared.into_iter().flat_map(|stack| &stack.trust_stores);
    trust_store::by_resource_id(
        found.filter_map(|store| Some((store.tags.get(&tag)?.as_str(), store))),
    )
}

/// What one Stack is planned from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What is wanted; [`Stack::empty`] to delete everything.
    pub desired: &'a Stack,
    /// What is there.
    pub observed: &'a ObservedStack,
    /// What is known of the resources that all Stacks share.
    pub cluster: &'a ClusterView,
    /// What may be done.
    pub policy: &'a Policy,
}

/// Plans one Stack.
pub fn plan_stack(input: Input<'_>) -> Plan {
    plan_parts(input, Predecessor::None).plan
}

/// A plan, and the steps after which it serves.
pub(crate) struct Successor {
    pub(crate) plan: Plan,
    pub(crate) serving: Vec<StepId>,
}

/// Plans a Stack that takes the place of another one: ends with waiting until it serves.
pub(crate) fn plan_successor(input: Input<'_>) -> Successor {
    plan_parts(input, Predecessor::OtherStack)
}

/// Whether a load balancer of another Stack serves until this one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Predecessor {
    None,
    OtherStack,
}

fn plan_parts(input: Input<'_>, predecessor: Predecessor) -> Successor {
    let mut ctx = Context::new(input);

    security_group::widen(&mut ctx);
    certificate::ensure(&mut ctx);
    trust_store::ensure(&mut ctx);

    let deleted = if ctx.pairing.balancer == Balancer::CreatedAfterDelete {
        load_balancer::delete_old(&mut ctx, &[])
    } else {
        Vec::new()
    };
    let balancer = load_balancer::ensure(&mut ctx, &deleted);
    target_group::ensure(&mut ctx);
    let mut serving = Vec::new();
    if let Some(balancer) = &balancer {
        serving = listener::ensure(&mut ctx, balancer);
    }

    if !ctx.pairing.old_balancers.is_empty() && deleted.is_empty() {
        if let Some(balancer) = &balancer {
            serving.extend(load_balancer::wait_active(&mut ctx, balancer));
            serving.extend(listener::wait_healthy(&mut ctx));
        }
        let steps = load_balancer::delete_old(&mut ctx, &serving);
        ctx.released_security_groups.extend(steps);
    } else {
        ctx.released_security_groups.extend(deleted);
        if predecessor == Predecessor::OtherStack
            && let Some(balancer) = &balancer
        {
            serving.extend(load_balancer::wait_active(&mut ctx, balancer));
            serving.extend(listener::wait_healthy(&mut ctx));
        }
    }
    target_group::delete_old(&mut ctx);

    security_group::narrow(&mut ctx);
    let released = ctx.released_security_groups.clone();
    security_group::delete_old(&mut ctx, &released);
    certificate::delete_old(&mut ctx);
    trust_store::delete_old(&mut ctx);

    let unowned = std::mem::take(&mut ctx.pairing.unowned);
    Successor {
        plan: input.policy.apply(ctx.draft.finish(unowned)),
        serving,
    }
}

/// Plans Stacks together: what all share is created first and deleted last.
///
/// Caveat: a Stack that is observed but not among `stacks` is left alone; one that is to be deleted is
/// passed as [`Stack::empty`].
pub fn plan<'a>(
    stacks: impl IntoIterator<Item = &'a Stack>,
    observed: &Observed,
    policy: &Policy,
) -> Plan {
    let nothing = ObservedStack::default();
    let cluster = ClusterView::of(observed).keeping(SharedInUse::of(observed.stacks.values()));
    let stacks: BTreeMap<&StackId, &Stack> = stacks.into_iter().map(|s| (&s.id, s)).collect();
    let plan_one = |stack: &Stack| {
        let observed = observed.stacks.get(&stack.id).unwrap_or(&nothing);
        if stack.id.kind == StackKind::Binding {
            return plan_targets(stack, observed, policy);
        }
        plan_stack(Input {
            desired: stack,
            observed,
            cluster: &cluster,
            policy,
        })
    };
    let shared = stacks
        .get(&StackId::CLUSTER)
        .map(|stack| plan_one(stack))
        .unwrap_or_default();
    let others = stacks
        .iter()
        .filter(|(id, _)| id.kind != StackKind::Cluster)
        .map(|(_, stack)| plan_one(stack));
    policy.apply(merge(shared, Plan::default(), others))
}

/// Puts the plan of what all share and the plans of the others together: what is shared is created
/// first and deleted last, and steps that need it depend on its creation.
///
/// `node_rules` lets load balancers reach nodes and pods: what it lets in comes before the other Stacks,
/// but where one of these provides the group that is let in; what it shuts out comes after them.
pub fn merge(shared: Plan, node_rules: Plan, others: impl IntoIterator<Item = Plan>) -> Plan {
    let (first, last) = split_shared(shared);
    let (opened, closed) = crate::node_rules::split(node_rules);
    let of_others = |key: &ResourceKey| key.stack != StackId::CLUSTER;
    let is_early = !opened.steps.iter().any(|step| match &step.kind {
        crate::plan::StepKind::Call(call) => crate::refs::needs(call).iter().any(of_others),
        crate::plan::StepKind::Wait(_) => false,
    });
    let mut plan = first;
    let (early, late) = if is_early {
        (opened, Plan::default())
    } else {
        (Plan::default(), opened)
    };
    append_related(&mut plan, early);
    for other in others {
        append_related(&mut plan, other);
    }
    append_related(&mut plan, late);
    let revoked = plan.steps.len();
    plan.append(closed);
    let revoked: Vec<StepId> = plan.steps[revoked..].iter().map(|step| step.id).collect();
    // Nothing that still holds what is shared may be left when it goes.
    let groups = steps_that(&plan, |call| {
        matches!(
            call,
            AwsCall::DeleteLoadBalancer { .. } | AwsCall::SetSecurityGroups { .. }
        )
    });
    let listeners = steps_that(&plan, |call| {
        matches!(
            call,
            AwsCall::DeleteLoadBalancer { .. }
                | AwsCall::DeleteListener { .. }
                | AwsCall::RemoveListenerCertificates { .. }
                | AwsCall::ModifyListener { .. }
        )
    });
    let from = plan.steps.len();
    plan.append(last);
    for step in &mut plan.steps[from..] {
        let mut after: BTreeSet<StepId> = step.after.iter().copied().collect();
        match step.resource.kind {
            ResourceKind::Certificate | ResourceKind::TrustStore => after.extend(&listeners),
            _ => after.extend(groups.iter().chain(&revoked)),
        }
        step.after = after.into_iter().collect();
    }
    plan
}

/// Appends a plan, whose steps depend on those that provide what they refer to.
fn append_related(plan: &mut Plan, other: Plan) {
    let providers: BTreeMap<ResourceKey, StepId> = plan
        .steps
        .iter()
        .filter_map(|step| Some((step.provides.clone()?, step.id)))
        .collect();
    let from = plan.steps.len();
    plan.append(other);
    for step in &mut plan.steps[from..] {
        let crate::plan::StepKind::Call(call) = &step.kind else {
            continue;
        };
        for key in crate::refs::needs(call) {
            if let Some(provider) = providers.get(&key)
                && !step.after.contains(provider)
            {
                step.after.insert(0, *provider);
            }
        }
    }
}

fn steps_that(plan: &Plan, is_meant: impl Fn(&AwsCall) -> bool) -> Vec<StepId> {
    let steps = plan.steps.iter();
    steps
        .filter(|step| matches!(&step.kind, crate::plan::StepKind::Call(call) if is_meant(call)))
        .map(|step| step.id)
        .collect()
}

/// Parts the plan of what is shared: what comes before all other Stacks, and the deletions.
fn split_shared(plan: Plan) -> (Plan, Plan) {
    let (last, first): (Vec<_>, Vec<_>) = plan
        .steps
        .into_iter()
        .partition(|step| step.action == Action::Delete);
    let mut first = Plan {
        steps: first,
        unowned: plan.unowned,
    };
    let mut last = Plan {
        steps: last,
        unowned: Vec::new(),
    };
    // The deletions depend on nothing of the first part: what is shared is not related.
    for part in [&mut first, &mut last] {
        let numbers: BTreeMap<StepId, StepId> = part
            .steps
            .iter()
            .zip(1..)
            .map(|(step, number)| (step.id, StepId(number)))
            .collect();
        for step in &mut part.steps {
            step.id = numbers[&step.id];
            step.after = step
                .after
                .iter()
                .filter_map(|id| numbers.get(id).copied())
                .collect();
        }
    }
    (first, last)
}

/// What the phases share.
pub(crate) struct Context<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) observed: &'a ObservedStack,
    pub(crate) policy: &'a Policy,
    pub(crate) pairing: Pairing<'a>,
    pub(crate) draft: Draft,
    /// Steps that take a target group out of use.
    pub(crate) detached: BTreeMap<TargetGroupArn, BTreeSet<StepId>>,
    /// Steps that fill a target group, by its resource id.
    pub(crate) filled: BTreeMap<ResourceId, Vec<StepId>>,
    /// AWS names of the desired target groups.
    pub(crate) group_names: BTreeMap<ResourceId, String>,
    /// Steps after which a load balancer no longer has its old security groups.
    pub(crate) released_security_groups: Vec<StepId>,
    cluster: &'a ClusterView,
}

impl<'a> Context<'a> {
    fn new(input: Input<'a>) -> Self {
        Self {
            stack: input.desired,
            observed: input.observed,
            policy: input.policy,
            pairing: Pairing::new(input.desired, input.observed, input.cluster),
            draft: Draft::new(&input.desired.id),
            detached: BTreeMap::new(),
            filled: BTreeMap::new(),
            group_names: BTreeMap::new(),
            released_security_groups: Vec::new(),
            cluster: input.cluster,
        }
    }

    /// The ARN of an imported certificate that is there.
    pub(crate) fn certificate_arn(&self, id: &ResourceId) -> Option<CertificateArn> {
        self.cluster.certificates.get(id).cloned()
    }

    /// Whether a listener of the cluster uses the certificate.
    pub(crate) fn uses_certificate(&self, arn: &CertificateArn) -> bool {
        self.cluster.in_use.certificates.contains(arn)
    }

    /// The ARN of a trust store that is there.
    pub(crate) fn trust_store_arn(&self, id: &ResourceId) -> Option<TrustStoreArn> {
        self.cluster.trust_stores.get(id).cloned()
    }

    /// Whether a listener of the cluster uses the trust store.
    pub(crate) fn uses_trust_store(&self, arn: &TrustStoreArn) -> bool {
        self.cluster.in_use.trust_stores.contains(arn)
    }

    /// The resource id in the tags of a resource that was found to be ours.
    pub(crate) fn resource_id(&self, tags: &Tags) -> ResourceId {
        let id = crate::tags::resource_id(self.stack, tags).unwrap_or_default();
        ResourceId::new(id)
    }

    /// Security groups with the ids that are known.
    pub(crate) fn security_groups(
        &self,
        groups: &[Ref<SecurityGroupId>],
    ) -> Vec<Ref<SecurityGroupId>> {
        groups
            .iter()
            .map(|group| {
                let Ref::Of(key) = group else {
                    return group.clone();
                };
                let known = if key.stack == StackId::CLUSTER {
                    self.cluster.backend_security_group.clone()
                } else {
                    let paired = self.pairing.security_groups.get(&key.id).copied().flatten();
                    paired.map(|observed| observed.id.clone())
                };
                known.map_or_else(|| group.clone(), Ref::Known)
            })
            .collect()
    }

    /// Name of a security group, as it is or as it will be.
    pub(crate) fn security_group_name(&self, id: &ResourceId, desired: &SecurityGroup) -> String {
        let paired = self.pairing.security_groups.get(id).copied().flatten();
        paired.map_or_else(|| desired.name.clone(), |observed| observed.name.clone())
    }

    /// An observed target group of this Stack.
    pub(crate) fn observed_group(&self, arn: &TargetGroupArn) -> Option<&'a ObservedTargetGroup> {
        self.observed
            .target_groups
            .iter()
            .find(|group| group.arn == *arn)
    }

    /// Notes that a step takes the groups of an action out of use.
    pub(crate) fn detach(&mut self, action: &RuleAction, step: StepId) {
        for group in groups(action) {
            if let Ref::Known(arn) = &group.target_group {
                self.detached.entry(arn.clone()).or_default().insert(step);
            }
        }
    }

    /// Notes that a step deletes a load balancer, which takes all its groups out of use.
    pub(crate) fn detach_all(&mut self, balancer: &LoadBalancerArn, step: StepId) {
        for group in &self.observed.target_groups {
            if group.load_balancers.contains(balancer) {
                self.detached
                    .entry(group.arn.clone())
                    .or_default()
                    .insert(step);
            }
        }
    }

    /// Whether a listener that cannot be decided at present uses the group: then it stays, as the
    /// listener does.
    pub(crate) fn is_used_by_undecided(&self, group: &ObservedTargetGroup) -> bool {
        let Some(balancer) = self.pairing.kept_balancer() else {
            return false;
        };
        let uses = |action: &RuleAction| {
            groups(action)
                .iter()
                .any(|used| used.target_group == Ref::Known(group.arn.clone()))
        };
        balancer
            .listeners
            .iter()
            .filter(|listener| self.stack.undecided_listeners.contains(&listener.port))
            .any(|listener| {
                listener.default_actions.iter().any(uses)
                    || listener
                        .rules
                        .iter()
                        .any(|rule| rule.actions.iter().any(uses))
            })
    }

    /// Sets and removes tags of an ELBv2 resource: desired and observed tags, in this order.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call per resource kind, each with all of these"
    )]
    pub(crate) fn retag(
        &mut self,
        key: &ResourceKey,
        name: &str,
        causes: &[Cause],
        (desired, observed): (&Tags, &Tags),
        target: &TagTarget,
        legacy: Legacy,
        after: &[StepId],
    ) {
        let tags = difference(
            desired,
            observed,
            &self.policy.external_managed_tags,
            legacy,
        );
        if !tags.set.is_empty() {
            self.draft
                .step(Action::Tag, key.clone(), name)
                .reason("its tags differ")
                .causes(causes)
                .changes(
                    tags.changes
                        .iter()
                        .filter(|c| c.after.is_some())
                        .cloned()
                        .collect(),
                )
                .after(after.iter().copied())
                .call(AwsCall::AddTags {
                    resource: target.clone(),
                    tags: tags.set,
                });
        }
        if !tags.remove.is_empty() {
            self.draft
                .step(Action::Tag, key.clone(), name)
                .reason("it carries tags that nobody asks for")
                .causes(causes)
                .changes(
                    tags.changes
                        .iter()
                        .filter(|c| c.after.is_none())
                        .cloned()
                        .collect(),
                )
                .after(after.iter().copied())
                .call(AwsCall::RemoveTags {
                    resource: target.clone(),
                    keys: tags.remove,
                });
        }
    }
}
