//! What holds for every plan, whatever it was made from.
//!
//! In: a plan, and what is observed. Out: each violation, with its step. Tests call this on every plan they
//! make; a violation is a mistake of the planner, never of a user.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use elbow_model::stack::{CLUSTER_TAG, IngressRule};
use elbow_model::{
    AwsCall, Observed, ObservedStack, ResourceKey, ResourceKind, SecurityGroupId, StackId,
    StackKind, Tags, TargetGroupArn,
};

use crate::plan::{Action, Plan, Step, StepId, StepKind};
use crate::refs;

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The step.
    pub step: StepId,
    /// What does not hold.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}", self.step, self.what)
    }
}

/// Checks a plan. `cluster_name` is the name that the tracking tags carry.
pub fn lint(plan: &Plan, observed: &Observed, cluster_name: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let owned = owned_ids(observed, cluster_name);
    let named = named_groups(observed);
    let mut provided: BTreeMap<&ResourceKey, StepId> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    for (step, expected) in plan.steps.iter().zip(1..) {
        let mut report = |what: String| {
            found.push(Violation {
                step: step.id,
                what,
            });
        };
        if step.id.0 != expected || !numbers.insert(step.id) {
            report(format!("is number {expected} in the list"));
        }
        if step.reason.is_empty() {
            report("has no reason".to_owned());
        }
        if step.causes.is_empty() && step.stack.kind != StackKind::Cluster {
            report("has no cause".to_owned());
        }
        for after in &step.after {
            if *after >= step.id {
                report(format!("comes after step {after}, which comes later"));
            }
        }
        let needs = match &step.kind {
            StepKind::Call(call) => {
                if step.stack.kind == StackKind::Binding {
                    check_call_of_binding(step, call, &named, &mut report);
                } else if is_of_nodes(step, observed) {
                    check_node_rules(call, &mut report);
                } else {
                    check_call(step, call, &owned, cluster_name, &mut report);
                }
                refs::needs(call)
            }
            StepKind::Wait(wait) => refs::needs_of_wait(wait).cloned().into_iter().collect(),
        };
        let optional = matches!(
            &step.kind,
            StepKind::Call(AwsCall::SetRulePriorities { .. })
        );
        for key in needs {
            match provided.get(&key) {
                // A rule of nodes is planned apart from the Stack whose load balancer it lets in.
                None if is_of_nodes(step, observed) => {}
                // What all Stacks share is provided by another Stack's plan.
                None if key.stack == StackId::CLUSTER && step.stack != StackId::CLUSTER => {}
                None => report(format!("needs {key}, which no step provides")),
                Some(id) if !optional && !step.after.contains(id) => {
                    report(format!("needs {key} and does not come after step {id}"));
                }
                Some(_) => {}
            }
        }
        if let Some(key) = &step.provides
            && provided.insert(key, step.id).is_some()
        {
            report(format!("provides {key} a second time"));
        }
        if (step.action == Action::Wait) != matches!(step.kind, StepKind::Wait(_)) {
            report("waits and acts at once".to_owned());
        }
    }
    found.extend(removals_before_additions(plan));
    found
}

/// The target groups that users' TargetGroupBindings name, or have left, by binding. Their tags prove
/// nothing.
fn named_groups(observed: &Observed) -> BTreeMap<&StackId, BTreeSet<&str>> {
    let stacks = observed.stacks.iter();
    let bindings = stacks.filter(|(id, _)| id.kind == StackKind::Binding);
    bindings
        .map(|(id, there)| {
            let named = there.target_groups.iter().map(|group| &group.arn);
            let left = there.left_groups.iter().map(|group| &group.arn);
            (id, named.chain(left).map(TargetGroupArn::as_str).collect())
        })
        .collect()
}

/// Of a target group that a binding names, the targets are all that may change.
fn check_call_of_binding(
    step: &Step,
    call: &AwsCall,
    named: &BTreeMap<&StackId, BTreeSet<&str>>,
    report: &mut impl FnMut(String),
) {
    let (AwsCall::RegisterTargets { target_group, .. }
    | AwsCall::DeregisterTargets { target_group, .. }) = call
    else {
        report(format!(
            "does more than change targets: {}",
            call.operation()
        ));
        return;
    };
    let is_named = target_group.known().is_some_and(|arn| {
        let groups = named.get(&step.stack);
        groups.is_some_and(|groups| groups.contains(arn.as_str()))
    });
    if !is_named {
        report(format!(
            "touches {target_group}, which its binding does not name"
        ));
    }
}

/// Whether a step is about a security group of nodes or pods, which is not ours.
fn is_of_nodes(step: &Step, observed: &Observed) -> bool {
    let id = SecurityGroupId::new(step.resource.id.as_str());
    step.resource.kind == ResourceKind::SecurityGroup && observed.node_groups.contains_key(&id)
}

/// Of groups that are not ours, rules with our label are all that is touched.
fn check_node_rules(call: &AwsCall, report: &mut impl FnMut(String)) {
    match call {
        AwsCall::AuthorizeSecurityGroupIngress { rules, .. }
        | AwsCall::RevokeSecurityGroupIngress { rules, .. } => {
            if !rules.iter().all(IngressRule::is_node_rule) {
                report("touches a rule of nodes that does not carry our label".to_owned());
            }
        }
        other => report(format!("{} of a group of nodes", other.operation())),
    }
}

/// Ids and ARNs that the tags prove ours, those of listeners and rules by their load balancer.
fn owned_ids(observed: &Observed, cluster_name: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let stacks = observed.stacks.iter();
    for (stack, resources) in stacks.filter(|(id, _)| id.kind != StackKind::Binding) {
        ids.extend(owned_ids_of(stack, resources, cluster_name));
    }
    ids
}

fn owned_ids_of(stack: &StackId, observed: &ObservedStack, cluster_name: &str) -> Vec<String> {
    let is_ours = |tags: &Tags| is_tracked(stack, tags, cluster_name);
    let mut ids = Vec::new();
    for group in observed
        .security_groups
        .iter()
        .filter(|group| is_ours(&group.tags))
    {
        ids.push(group.id.to_string());
    }
    let certificates = observed.certificates.iter();
    let certificates = certificates.filter(|certificate| is_ours(&certificate.tags));
    ids.extend(certificates.map(|certificate| certificate.arn.to_string()));
    let trust_stores = observed.trust_stores.iter();
    let trust_stores = trust_stores.filter(|store| is_ours(&store.tags));
    ids.extend(trust_stores.map(|store| store.arn.to_string()));
    for group in observed
        .target_groups
        .iter()
        .filter(|group| is_ours(&group.tags))
    {
        ids.push(group.arn.to_string());
    }
    for lb in observed
        .load_balancers
        .iter()
        .filter(|lb| is_ours(&lb.tags))
    {
        ids.push(lb.arn.to_string());
        for listener in &lb.listeners {
            ids.push(listener.arn.to_string());
            ids.extend(listener.rules.iter().map(|rule| rule.arn.to_string()));
        }
    }
    ids
}

fn is_tracked(stack: &StackId, tags: &Tags, cluster_name: &str) -> bool {
    tags.get(CLUSTER_TAG)
        .is_some_and(|name| name == cluster_name)
        && tags.contains_key(&stack.resource_tag())
        && (stack.kind == StackKind::Cluster
            || tags
                .get(&stack.stack_tag())
                .is_some_and(|value| *value == stack.tag_value()))
}

fn check_call(
    step: &Step,
    call: &AwsCall,
    owned: &BTreeSet<String>,
    cluster_name: &str,
    report: &mut impl FnMut(String),
) {
    if !call.is_mutating() {
        report(format!("only looks something up: {}", call.operation()));
    }
    let tags = match call {
        AwsCall::CreateSecurityGroup { tags, .. }
        | AwsCall::CreateLoadBalancer { tags, .. }
        | AwsCall::CreateTargetGroup { tags, .. }
        | AwsCall::CreateListener { tags, .. }
        | AwsCall::CreateRule { tags, .. }
        | AwsCall::CreateTrustStore { tags, .. }
        | AwsCall::ImportCertificate {
            certificate: None,
            tags,
            ..
        } => Some(tags),
        _ => None,
    };
    if let Some(tags) = tags {
        if !is_tracked(&step.stack, tags, cluster_name) {
            report("creates something without the tags that make it ours".to_owned());
        }
        if step.provides.is_none() {
            report("creates something and does not provide it".to_owned());
        }
        if tags.get(&step.stack.resource_tag()).map(String::as_str)
            != Some(step.resource.id.as_str())
        {
            report("creates something under the resource id of something else".to_owned());
        }
    }
    if let AwsCall::RemoveTags { keys, .. }
    | AwsCall::DeleteSecurityGroupTags { keys, .. }
    | AwsCall::RemoveTagsFromCertificate { keys, .. } = call
    {
        let tracking = [
            CLUSTER_TAG.to_owned(),
            step.stack.stack_tag(),
            step.stack.resource_tag(),
        ];
        if tracking.iter().any(|key| keys.contains(key)) {
            report("removes a tag that makes the resource ours".to_owned());
        }
    }
    for id in changed_ids(call) {
        if !owned.contains(&id) {
            report(format!("touches {id}, whose tags do not make it ours"));
        }
    }
}

/// Ids of what a call changes; groups that an action merely refers to are not changed by it.
fn changed_ids(call: &AwsCall) -> Vec<String> {
    use elbow_model::aws_call::TagTarget;

    fn id<T: ToString>(reference: &elbow_model::Ref<T>) -> Option<String> {
        reference.known().map(ToString::to_string)
    }
    match call {
        AwsCall::DeleteSecurityGroup { group }
        | AwsCall::AuthorizeSecurityGroupIngress { group, .. }
        | AwsCall::RevokeSecurityGroupIngress { group, .. }
        | AwsCall::CreateSecurityGroupTags { group, .. }
        | AwsCall::DeleteSecurityGroupTags { group, .. } => id(group).into_iter().collect(),
        AwsCall::ImportCertificate { certificate, .. } => {
            certificate.iter().map(ToString::to_string).collect()
        }
        AwsCall::DeleteCertificate { certificate }
        | AwsCall::AddTagsToCertificate { certificate, .. }
        | AwsCall::RemoveTagsFromCertificate { certificate, .. } => vec![certificate.to_string()],
        AwsCall::DeleteLoadBalancer { load_balancer }
        | AwsCall::SetSecurityGroups { load_balancer, .. }
        | AwsCall::SetSubnets { load_balancer, .. }
        | AwsCall::SetIpAddressType { load_balancer, .. }
        | AwsCall::ModifyLoadBalancerAttributes { load_balancer, .. }
        | AwsCall::CreateListener { load_balancer, .. } => id(load_balancer).into_iter().collect(),
        AwsCall::ModifyTargetGroup { target_group, .. }
        | AwsCall::ModifyTargetGroupAttributes { target_group, .. }
        | AwsCall::DeleteTargetGroup { target_group }
        | AwsCall::RegisterTargets { target_group, .. }
        | AwsCall::DeregisterTargets { target_group, .. } => id(target_group).into_iter().collect(),
        AwsCall::ModifyListener { listener, .. }
        | AwsCall::ModifyListenerAttributes { listener, .. }
        | AwsCall::DeleteListener { listener }
        | AwsCall::AddListenerCertificates { listener, .. }
        | AwsCall::RemoveListenerCertificates { listener, .. }
        | AwsCall::CreateRule { listener, .. } => id(listener).into_iter().collect(),
        AwsCall::ModifyTrustStore { trust_store, .. }
        | AwsCall::DeleteTrustStore { trust_store } => id(trust_store).into_iter().collect(),
        AwsCall::ModifyRule { rule, .. } | AwsCall::DeleteRule { rule } => {
            id(rule).into_iter().collect()
        }
        AwsCall::SetRulePriorities { priorities } => priorities
            .iter()
            .filter_map(|entry| id(&entry.rule))
            .collect(),
        AwsCall::AddTags { resource, .. } | AwsCall::RemoveTags { resource, .. } => {
            match resource {
                TagTarget::LoadBalancer(reference) => id(reference).into_iter().collect(),
                TagTarget::Listener(reference) => id(reference).into_iter().collect(),
                TagTarget::Rule(reference) => id(reference).into_iter().collect(),
                TagTarget::TargetGroup(reference) => id(reference).into_iter().collect(),
                TagTarget::TrustStore(reference) => id(reference).into_iter().collect(),
            }
        }
        _ => Vec::new(),
    }
}

/// Within a Stack, a listener, target group or load balancer is deleted after all of its kind were
/// created, and a target group after whatever used it. The exception says so: a load balancer whose
/// successor has the same name.
fn removals_before_additions(plan: &Plan) -> Vec<Violation> {
    let mut found = Vec::new();
    for (n, step) in plan.steps.iter().enumerate() {
        let StepKind::Call(call) = &step.kind else {
            continue;
        };
        let later = |is_addition: &dyn Fn(&AwsCall) -> bool| {
            plan.steps[n + 1..].iter().find(|later| {
                later.stack == step.stack
                    && !later.after.contains(&step.id)
                    && matches!(&later.kind, StepKind::Call(call) if is_addition(call))
            })
        };
        let addition = match call {
            AwsCall::DeleteListener { .. } => {
                later(&|call| matches!(call, AwsCall::CreateListener { .. }))
            }
            AwsCall::DeleteTargetGroup { .. } => later(&|call| {
                matches!(
                    call,
                    AwsCall::CreateTargetGroup { .. }
                        | AwsCall::CreateRule { .. }
                        | AwsCall::CreateListener { .. }
                        | AwsCall::ModifyRule { .. }
                        | AwsCall::ModifyListener { .. }
                        | AwsCall::DeleteRule { .. }
                        | AwsCall::DeleteListener { .. }
                        | AwsCall::DeleteLoadBalancer { .. }
                )
            }),
            AwsCall::DeleteLoadBalancer { .. } => {
                later(&|call| matches!(call, AwsCall::CreateLoadBalancer { .. }))
            }
            AwsCall::DeleteSecurityGroup { .. } => later(&|call| {
                matches!(
                    call,
                    AwsCall::DeleteLoadBalancer { .. } | AwsCall::SetSecurityGroups { .. }
                )
            }),
            _ => None,
        };
        if let Some(addition) = addition {
            found.push(Violation {
                step: step.id,
                what: format!("deletes before step {} adds or lets go", addition.id),
            });
        }
    }
    found
}
