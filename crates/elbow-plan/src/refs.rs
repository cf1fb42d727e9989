//! References of a call to resources that earlier steps provide.
//!
//! In: a call with [`Ref::Of`]s, and the ids that the steps so far were answered with. Out: the call
//! that an adapter can carry out. What always holds: nothing is guessed; a reference without a value
//! keeps the call from being made, except in `SetRulePriorities`, where a rule that could not be created
//! is left out so that its siblings still get their places.

use std::collections::BTreeMap;

use elbow_model::aws_call::TagTarget;
use elbow_model::rule::Action;
use elbow_model::stack::IngressSource;
use elbow_model::{AwsCall, MutualAuthentication, Ref, ResourceKey};

use crate::plan::Wait;

/// Ids by the resource whose step was answered with them.
pub type Provided = BTreeMap<ResourceKey, String>;

/// Gives every reference of a call its value.
///
/// Errors: the first resource that no step has provided.
pub fn resolve(call: &AwsCall, provided: &Provided) -> Result<AwsCall, ResourceKey> {
    let mut call = call.clone();
    let mut missing = None;
    if let AwsCall::SetRulePriorities { priorities } = &mut call {
        priorities.retain_mut(|entry| {
            fill(&mut entry.rule, &mut |key| provided.get(key).cloned());
            match &entry.rule {
                Ref::Known(_) => true,
                Ref::Of(key) => {
                    missing = Some(key.clone());
                    false
                }
            }
        });
        return match missing {
            Some(key) if priorities.is_empty() => Err(key),
            _ => Ok(call),
        };
    }
    visit(&mut call, &mut |key| {
        let id = provided.get(key).cloned();
        if id.is_none() && missing.is_none() {
            missing = Some(key.clone());
        }
        id
    });
    match missing {
        None => Ok(call),
        Some(key) => Err(key),
    }
}

/// The resources of which a call needs the id.
pub(crate) fn needs(call: &AwsCall) -> Vec<ResourceKey> {
    let mut keys = Vec::new();
    visit(&mut call.clone(), &mut |key| {
        keys.push(key.clone());
        None
    });
    keys
}

/// The resource of which a wait needs the id.
pub(crate) fn needs_of_wait(wait: &Wait) -> Option<&ResourceKey> {
    fn of<T>(id: &Ref<T>) -> Option<&ResourceKey> {
        match id {
            Ref::Of(key) => Some(key),
            Ref::Known(_) => None,
        }
    }
    match wait {
        Wait::TargetsHealthy { target_group, .. } | Wait::TargetsDrained { target_group, .. } => {
            of(target_group)
        }
        Wait::LoadBalancerActive { load_balancer, .. } => of(load_balancer),
    }
}

type Lookup<'a> = dyn FnMut(&ResourceKey) -> Option<String> + 'a;

fn fill<T: From<String>>(id: &mut Ref<T>, lookup: &mut Lookup<'_>) {
    if let Ref::Of(key) = id
        && let Some(value) = lookup(key)
    {
        *id = Ref::Known(value.into());
    }
}

fn fill_all<T: From<String>>(ids: &mut [Ref<T>], lookup: &mut Lookup<'_>) {
    for id in ids {
        fill(id, lookup);
    }
}

fn fill_action(action: &mut Action, lookup: &mut Lookup<'_>) {
    if let Action::Forward(forward) = action {
        for group in &mut forward.target_groups {
            fill(&mut group.target_group, lookup);
        }
    }
}

fn fill_trust_store(asked: Option<&mut MutualAuthentication>, lookup: &mut Lookup<'_>) {
    if let Some(trust_store) = asked.and_then(MutualAuthentication::trust_store_mut) {
        fill(trust_store, lookup);
    }
}

fn visit(call: &mut AwsCall, lookup: &mut Lookup<'_>) {
    match call {
        AwsCall::AuthorizeSecurityGroupIngress { group, rules }
        | AwsCall::RevokeSecurityGroupIngress { group, rules } => {
            fill(group, lookup);
            for rule in rules {
                if let IngressSource::SecurityGroup(source) = &mut rule.source {
                    fill(source, lookup);
                }
            }
        }
        AwsCall::DeleteSecurityGroup { group }
        | AwsCall::CreateSecurityGroupTags { group, .. }
        | AwsCall::DeleteSecurityGroupTags { group, .. } => fill(group, lookup),
        AwsCall::CreateLoadBalancer {
            security_groups, ..
        } => fill_all(security_groups, lookup),
        AwsCall::SetSecurityGroups {
            load_balancer,
            security_groups,
            ..
        } => {
            fill(load_balancer, lookup);
            fill_all(security_groups, lookup);
        }
        AwsCall::DeleteLoadBalancer { load_balancer }
        | AwsCall::SetSubnets { load_balancer, .. }
        | AwsCall::SetIpAddressType { load_balancer, .. }
        | AwsCall::ModifyLoadBalancerAttributes { load_balancer, .. } => {
            fill(load_balancer, lookup);
        }
        AwsCall::ModifyTargetGroup { target_group, .. }
        | AwsCall::ModifyTargetGroupAttributes { target_group, .. }
        | AwsCall::DeleteTargetGroup { target_group }
        | AwsCall::RegisterTargets { target_group, .. }
        | AwsCall::DeregisterTargets { target_group, .. } => fill(target_group, lookup),
        AwsCall::CreateListener {
            load_balancer,
            default_action,
            default_certificate,
            mutual_authentication,
            ..
        } => {
            fill(load_balancer, lookup);
            fill_action(default_action, lookup);
            if let Some(certificate) = default_certificate {
                fill(certificate, lookup);
            }
            fill_trust_store(mutual_authentication.as_mut(), lookup);
        }
        AwsCall::ModifyListener {
            listener,
            default_action,
            default_certificate,
            mutual_authentication,
            ..
        } => {
            fill(listener, lookup);
            if let Some(action) = default_action {
                fill_action(action, lookup);
            }
            if let Some(certificate) = default_certificate {
                fill(certificate, lookup);
            }
            fill_trust_store(mutual_authentication.as_mut(), lookup);
        }
        AwsCall::ModifyTrustStore { trust_store, .. }
        | AwsCall::DeleteTrustStore { trust_store } => fill(trust_store, lookup),
        AwsCall::ModifyListenerAttributes { listener, .. }
        | AwsCall::DeleteListener { listener }
        | AwsCall::RemoveListenerCertificates { listener, .. } => fill(listener, lookup),
        AwsCall::AddListenerCertificates {
            listener,
            certificate,
        } => {
            fill(listener, lookup);
            fill(certificate, lookup);
        }
        AwsCall::CreateRule {
            listener, action, ..
        } => {
            fill(listener, lookup);
            fill_action(action, lookup);
        }
        AwsCall::ModifyRule { rule, action, .. } => {
            fill(rule, lookup);
            if let Some(action) = action {
                fill_action(action, lookup);
            }
        }
        AwsCall::SetRulePriorities { priorities } => {
            for entry in priorities {
                fill(&mut entry.rule, lookup);
            }
        }
        AwsCall::DeleteRule { rule } => fill(rule, lookup),
        AwsCall::AddTags { resource, .. } | AwsCall::RemoveTags { resource, .. } => {
            match resource {
                TagTarget::LoadBalancer(id) => fill(id, lookup),
                TagTarget::Listener(id) => fill(id, lookup),
                TagTarget::Rule(id) => fill(id, lookup),
                TagTarget::TargetGroup(id) => fill(id, lookup),
                TagTarget::TrustStore(id) => fill(id, lookup),
            }
        }
        // Creates that refer to nothing, and look-ups, which are never part of a plan.
        _ => {}
    }
}
