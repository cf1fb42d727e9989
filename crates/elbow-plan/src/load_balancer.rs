//! The load balancer: created, changed in place, and deleted when another serves in its stead.
//!
//! In: the desired load balancer and its pairing. Out: steps. What always holds: type and scheme are all
//! that replaces a load balancer; one that is protected from deletion is not deleted.
//!
//! # Replacement
//! The new load balancer is made beside the old one, with target groups of its own: a target group belongs
//! to one load balancer at most (`TargetGroupAssociationLimit`), so sharing them would take them away from
//! the old one before the new one serves. Since CreateTargetGroup answers an equal name with the group
//! that is there, the new groups get names of their own (see `names`). When the new load balancer is
//! active, its listeners and rules stand and its targets are healthy, the old one is deleted, then its
//! groups. The DNS name changes with the load balancer; nothing can spare clients that.
//!
//! Names of load balancers hash the scheme, so they differ, except where the name was chosen by hand. AWS
//! tells load balancers apart by name; then the old one is deleted first, and its groups are used again.

use elbow_model::ids::{LoadBalancerArn, ResourceId, SecurityGroupId, SubnetId};
use elbow_model::observed::{LoadBalancerState, ObservedLoadBalancer};
use elbow_model::stack::{IpAddressType, LOAD_BALANCER, LoadBalancer, LoadBalancerType};
use elbow_model::{Attributes, AwsCall, Ref, ResourceKey, ResourceKind};
use std::collections::BTreeSet;

use elbow_model::aws_call::TagTarget;

use crate::draft::{change, set};
use crate::hazards::Hazard;
use crate::pairing::Balancer;
use crate::plan::{Action, Change, Held, StepId, Wait};
use crate::policy::DeletionProtection;
use crate::stack::Context;
use crate::tags::Legacy;
use crate::{compare, defaults};

/// Seconds in which a load balancer becomes active. AWS's own waiter gives up after 10 minutes.
const ACTIVE_TIMEOUT_SECONDS: u32 = 600;

/// Attribute that keeps a load balancer from being deleted.
const DELETION_PROTECTION: &str = "deletion_protection.enabled";

pub(crate) fn key(ctx: &Context<'_>) -> ResourceKey {
    ctx.stack
        .key(ResourceKind::LoadBalancer, &ResourceId::new(LOAD_BALANCER))
}

/// Creates or changes the load balancer, and answers with its id; `None` where none is desired.
pub(crate) fn ensure(ctx: &mut Context<'_>, deleted: &[StepId]) -> Option<Ref<LoadBalancerArn>> {
    let desired = ctx.stack.load_balancer.as_ref()?;
    match ctx.pairing.balancer {
        Balancer::Unwanted => None,
        Balancer::Kept(observed) => {
            update(ctx, desired, observed);
            Some(observed.arn.clone().into())
        }
        Balancer::Created | Balancer::CreatedAfterDelete => {
            create(ctx, desired, deleted);
            Some(Ref::Of(key(ctx)))
        }
    }
}

/// Waits until the load balancer serves, if it does not already.
pub(crate) fn wait_active(ctx: &mut Context<'_>, id: &Ref<LoadBalancerArn>) -> Option<StepId> {
    let desired = ctx.stack.load_balancer.as_ref()?;
    let name = match ctx.pairing.kept_balancer() {
        Some(lb) if lb.state != LoadBalancerState::Provisioning => return None,
        Some(lb) => lb.name.clone(),
        None => desired.name.clone(),
    };
    let key = key(ctx);
    Some(
        ctx.draft
            .step(Action::Wait, key, name)
            .reason("it must serve before the one that it replaces goes")
            .causes(&desired.causes)
            .wait(Wait::LoadBalancerActive {
                load_balancer: id.clone(),
                timeout_seconds: ACTIVE_TIMEOUT_SECONDS,
            }),
    )
}

/// Deletes the load balancers that are not the desired one.
pub(crate) fn delete_old(ctx: &mut Context<'_>, after: &[StepId]) -> Vec<StepId> {
    let mut steps = Vec::new();
    for lb in ctx.pairing.old_balancers.clone() {
        let protected = lb
            .attributes
            .get(DELETION_PROTECTION)
            .is_some_and(|v| v == "true");
        let undecided = ctx.stack.load_balancer.is_some()
            && lb
                .listeners
                .iter()
                .any(|listener| ctx.stack.undecided_listeners.contains(&listener.port));
        let mut after: Vec<StepId> = after.to_vec();
        let held = if undecided {
            Some(Held::UndecidedListener)
        } else if protected {
            match ctx.policy.deletion_protection {
                DeletionProtection::Respect => Some(Held::DeletionProtection),
                DeletionProtection::TurnOff => {
                    after.push(unprotect(ctx, lb, &after));
                    None
                }
            }
        } else {
            None
        };
        let (reason, mut hazards) = match ctx.pairing.balancer {
            Balancer::Unwanted => (
                "nothing asks for a load balancer any more",
                vec![Hazard::DeletesLoadBalancer {
                    dns_name: lb.dns_name.clone(),
                }],
            ),
            // The step that creates its successor carries the hazard of the replacement.
            Balancer::Created => ("the new load balancer serves in its stead", Vec::new()),
            Balancer::Kept(_) => (
                "another load balancer serves in its stead",
                vec![Hazard::ReplacesLoadBalancer {
                    old_dns_name: lb.dns_name.clone(),
                }],
            ),
            Balancer::CreatedAfterDelete => (
                "its type or scheme cannot be changed, and its successor has the same name",
                vec![Hazard::DropsTraffic {
                    what:
                        "the new load balancer is created only after this one is gone, since both \
                           have the same name, and takes minutes to serve"
                            .to_owned(),
                }],
            ),
        };
        hazards.sort();
        let key = key(ctx);
        let step = ctx
            .draft
            .step(Action::Delete, key, &lb.name)
            .reason(reason)
            .causes(
                ctx.stack
                    .load_balancer
                    .as_ref()
                    .map_or(&[], |lb| &lb.causes),
            )
            .hazards(hazards)
            .after(after)
            .held(held)
            .call(AwsCall::DeleteLoadBalancer {
                load_balancer: lb.arn.clone().into(),
            });
        ctx.detach_all(&lb.arn, step);
        steps.push(step);
    }
    steps
}

fn unprotect(ctx: &mut Context<'_>, lb: &ObservedLoadBalancer, after: &[StepId]) -> StepId {
    let key = key(ctx);
    ctx.draft
        .step(Action::Update, key, &lb.name)
        .reason("it is to be deleted, and the policy is to turn deletion protection off")
        .changes(
            change(DELETION_PROTECTION, Some("true"), Some("false"))
                .into_iter()
                .collect(),
        )
        .after(after.iter().copied())
        .call(AwsCall::ModifyLoadBalancerAttributes {
            load_balancer: lb.arn.clone().into(),
            attributes: [(DELETION_PROTECTION.to_owned(), "false".to_owned())].into(),
        })
}

fn create(ctx: &mut Context<'_>, desired: &LoadBalancer, deleted: &[StepId]) {
    let key = key(ctx);
    let security_groups = ctx.security_groups(&desired.security_groups);
    let replaced: Vec<Hazard> = ctx
        .pairing
        .old_balancers
        .iter()
        .map(|lb| Hazard::ReplacesLoadBalancer {
            old_dns_name: lb.dns_name.clone(),
        })
        .collect();
    let (action, reason) = if replaced.is_empty() {
        (Action::Create, "no load balancer carries its tags")
    } else {
        (
            Action::Replace,
            "type and scheme of the one that is there cannot be changed",
        )
    };
    let mut changes = vec![
        set("type", desired.lb_type.as_str()),
        set("scheme", desired.scheme.as_str()),
        set("ipAddressType", desired.ip_address_type.as_str()),
        set(
            "subnets",
            list(desired.subnets.iter().map(|s| &s.subnet_id)),
        ),
    ];
    if !security_groups.is_empty() {
        changes.push(set("securityGroups", list(security_groups.iter())));
    }
    if let Some(old) = ctx.pairing.old_balancers.first() {
        for (change, before) in changes
            .iter_mut()
            .zip([old.lb_type.as_str(), old.scheme.as_str()])
        {
            change.before = Some(before.to_owned());
        }
        changes.retain(|change| change.before != change.after);
    }
    ctx.draft
        .step(action, key.clone(), &desired.name)
        .reason(reason)
        .causes(&desired.causes)
        .changes(changes)
        .hazards(replaced)
        .after(deleted.iter().copied())
        .provides()
        .call(AwsCall::CreateLoadBalancer {
            name: desired.name.clone(),
            lb_type: desired.lb_type,
            scheme: desired.scheme,
            ip_address_type: desired.ip_address_type,
            subnets: desired.subnets.clone(),
            security_groups: security_groups.clone(),
            tags: desired.tags.clone(),
        });
    if let Some(enforce) = &desired.enforce_security_group_inbound_rules_on_private_link_traffic {
        // CreateLoadBalancer has no parameter for it.
        ctx.draft
            .step(Action::Update, key.clone(), &desired.name)
            .reason("inbound rules for PrivateLink are set apart from the creation")
            .causes(&desired.causes)
            .changes(vec![set(
                "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
                enforce,
            )])
            .call(AwsCall::SetSecurityGroups {
                load_balancer: Ref::Of(key.clone()),
                security_groups,
                enforce_security_group_inbound_rules_on_private_link_traffic: Some(enforce.clone()),
            });
    }
    let initial = defaults::with_defaults(desired.lb_type, &Attributes::new());
    if let Some((attributes, _)) = compare::attributes(&desired.attributes, &initial) {
        ctx.draft
            .step(Action::Update, key.clone(), &desired.name)
            .reason("attributes are set apart from the creation")
            .causes(&desired.causes)
            .changes(
                attributes
                    .iter()
                    .map(|(k, v)| set(&format!("attributes.{k}"), v))
                    .collect(),
            )
            .call(AwsCall::ModifyLoadBalancerAttributes {
                load_balancer: Ref::Of(key),
                attributes,
            });
    }
}

fn update(ctx: &mut Context<'_>, desired: &LoadBalancer, observed: &ObservedLoadBalancer) {
    let key = key(ctx);
    let id: Ref<LoadBalancerArn> = observed.arn.clone().into();
    ctx.retag(
        &key,
        &observed.name,
        &desired.causes,
        (&desired.tags, &observed.tags),
        &TagTarget::LoadBalancer(id.clone()),
        Legacy::Kept,
        &[],
    );
    update_security_groups(ctx, desired, observed, &key);

    // Dualstack needs subnets with IPv6 blocks, so they come first; on the way back they go last.
    if desired.ip_address_type == IpAddressType::Ipv4 {
        update_ip_address_type(ctx, desired, observed, &key);
        update_subnets(ctx, desired, observed, &key);
    } else {
        update_subnets(ctx, desired, observed, &key);
        update_ip_address_type(ctx, desired, observed, &key);
    }

    let present = defaults::with_defaults(observed.lb_type, &observed.attributes);
    if let Some((attributes, changes)) = compare::attributes(&desired.attributes, &present) {
        ctx.draft
            .step(Action::Update, key, &observed.name)
            .reason("its attributes differ")
            .causes(&desired.causes)
            .changes(changes)
            .call(AwsCall::ModifyLoadBalancerAttributes {
                load_balancer: id,
                attributes,
            });
    }
}

fn update_security_groups(
    ctx: &mut Context<'_>,
    desired: &LoadBalancer,
    observed: &ObservedLoadBalancer,
    key: &ResourceKey,
) {
    let groups = ctx.security_groups(&desired.security_groups);
    let wanted: BTreeSet<&Ref<SecurityGroupId>> = groups.iter().collect();
    let present: Vec<Ref<SecurityGroupId>> = observed
        .security_groups
        .iter()
        .cloned()
        .map(Ref::Known)
        .collect();
    let enforce = desired
        .enforce_security_group_inbound_rules_on_private_link_traffic
        .clone()
        .filter(|wanted| {
            let present = &observed.enforce_security_group_inbound_rules_on_private_link_traffic;
            present.as_ref() != Some(wanted)
        });
    let differ = wanted != present.iter().collect();
    if !differ && enforce.is_none() {
        return;
    }
    // https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-security-groups.html
    let impossible = match (desired.lb_type, present.is_empty(), groups.is_empty()) {
        (LoadBalancerType::Network, true, false) => Some(
            "a Network Load Balancer that was created without security groups can never get any; it \
             must be created anew",
        ),
        (LoadBalancerType::Network, false, true) => Some(
            "a Network Load Balancer that has security groups must keep one; it must be created anew",
        ),
        _ => None,
    }
    .map(|why| Held::Impossible {
        why: why.to_owned(),
    });
    let changes: Vec<Change> = [
        change(
            "securityGroups",
            Some(list(present.iter())),
            Some(list(groups.iter())),
        )
        .filter(|_| differ),
        change(
            "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
            observed
                .enforce_security_group_inbound_rules_on_private_link_traffic
                .as_ref(),
            enforce.as_ref(),
        )
        .filter(|_| enforce.is_some()),
    ]
    .into_iter()
    .flatten()
    .collect();
    let step = ctx
        .draft
        .step(Action::Update, key.clone(), &observed.name)
        .reason("its security groups differ")
        .causes(&desired.causes)
        .changes(changes)
        .held(impossible)
        .call(AwsCall::SetSecurityGroups {
            load_balancer: observed.arn.clone().into(),
            security_groups: groups,
            enforce_security_group_inbound_rules_on_private_link_traffic: enforce,
        });
    ctx.released_security_groups.push(step);
}

fn update_subnets(
    ctx: &mut Context<'_>,
    desired: &LoadBalancer,
    observed: &ObservedLoadBalancer,
    key: &ResourceKey,
) {
    let wanted: BTreeSet<&SubnetId> = desired.subnets.iter().map(|s| &s.subnet_id).collect();
    if wanted == observed.subnets.iter().collect() {
        return;
    }
    let left: Vec<String> = observed
        .subnets
        .iter()
        .filter(|subnet| !wanted.contains(subnet))
        .map(ToString::to_string)
        .collect();
    let hazard = (!left.is_empty()).then_some(Hazard::LeavesSubnets { subnets: left });
    ctx.draft
        .step(Action::Update, key.clone(), &observed.name)
        .reason("its subnets differ")
        .causes(&desired.causes)
        .changes(
            change(
                "subnets",
                Some(list(observed.subnets.iter())),
                Some(list(wanted.iter())),
            )
            .into_iter()
            .collect(),
        )
        .hazards(hazard)
        .call(AwsCall::SetSubnets {
            load_balancer: observed.arn.clone().into(),
            subnets: desired.subnets.clone(),
        });
}

fn update_ip_address_type(
    ctx: &mut Context<'_>,
    desired: &LoadBalancer,
    observed: &ObservedLoadBalancer,
    key: &ResourceKey,
) {
    let changes = change(
        "ipAddressType",
        Some(observed.ip_address_type.as_str()),
        Some(desired.ip_address_type.as_str()),
    );
    if changes.is_none() {
        return;
    }
    ctx.draft
        .step(Action::Update, key.clone(), &observed.name)
        .reason("its address families differ")
        .causes(&desired.causes)
        .changes(changes.into_iter().collect())
        .call(AwsCall::SetIpAddressType {
            load_balancer: observed.arn.clone().into(),
            ip_address_type: desired.ip_address_type,
        });
}

fn list<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
