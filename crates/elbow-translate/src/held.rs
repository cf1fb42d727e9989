//! Target groups of a Gateway of which nothing can be said at present: their targets follow their endpoints
//! all the same.
//!
//! In: a Gateway, what is there of its Stacks, and the TargetGroupBindings that were written for it while it
//! could be translated. Out: [`HeldTargets`]. What always holds:
//!
//! - Only groups that are there, that carry the Gateway's tags, and that a binding of the Gateway names by ARN;
//!   nothing but their targets is wanted of them. A group without such a binding is left as it is.
//! - What a binding says of its group has to be true of it, as for bindings that users write.
//!
//! A Gateway whose configuration is missing, or that could not be served as it is written, goes on serving
//! what it served; its pods come and go meanwhile. The AWS Load Balancer Controller goes by the same bindings:
//! there they are reconciled apart from Gateways.

use std::collections::BTreeSet;

use elbow_api::{GatewayController, NamespacedName, Read, Snapshot};
use elbow_model::aws_call::TargetGroupDescription;
use elbow_model::observed::ObservedTargetGroup;
use elbow_model::{FactQuery, Facts, ObservedStack, ResourceId, Stack, StackId};

use crate::binding::Translator;
use crate::gateway::context::Context;
use crate::gateway::stack_id;
use crate::network::BindingNetwork;
use crate::settings::Settings;

/// What the target groups of such a Gateway are to have.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeldTargets {
    /// The groups of each of its Stacks, by resource id; nothing else is in these Stacks, and they are not to
    /// be planned but for targets.
    pub stacks: Vec<Stack>,
    /// What their bindings want of the network.
    pub networks: Vec<BindingNetwork>,
    /// What was read: a change of any of it calls for doing this again.
    pub reads: BTreeSet<Read>,
}

/// Finds the targets of the groups that are there of a Gateway. `observed` gives what is there of a Stack.
///
/// # Errors
/// The facts that have to be known first.
pub fn held_targets<'o>(
    snapshot: &Snapshot,
    facts: &Facts,
    settings: &Settings,
    gateway: &NamespacedName,
    observed: impl Fn(&StackId) -> Option<&'o ObservedStack>,
) -> Result<HeldTargets, BTreeSet<FactQuery>> {
    let controllers = [GatewayController::Alb, GatewayController::Nlb];
    let mut groups: Vec<(GatewayController, ResourceId, TargetGroupDescription)> = controllers
        .into_iter()
        .flat_map(|controller| {
            let stack = stack_id(controller, gateway);
            let groups = observed(&stack).into_iter().flat_map(|o| &o.target_groups);
            let tag = stack.resource_tag();
            groups.filter_map(move |group| {
                let id = ResourceId::new(group.tags.get(&tag)?.clone());
                Some((controller, id, described(group)))
            })
        })
        .collect();
    // Of two with one id, one of which replaces the other, the one that serves.
    groups.sort_by_key(|(_, _, group)| group.load_balancers.is_empty());
    let ctx = Context::new(snapshot, facts, settings);
    let mut held = HeldTargets::default();
    for controller in controllers {
        let mut stack = Stack::empty(stack_id(controller, gateway), settings.cluster_name.clone());
        for (of, id, group) in &groups {
            if *of != controller || stack.target_groups.contains_key(id) {
                continue;
            }
            let owner = Some((controller, gateway.clone()));
            let mut bindings = ctx.reader.bindings_of(&group.name).into_iter();
            let binding = bindings.find(|binding| {
                binding.spec.target_group_arn.as_deref() == Some(group.arn.as_str())
                    && binding.metadata.deletion_timestamp.is_none()
                    && binding.gateway() == owner
            });
            let Some(binding) = binding else { continue };
            let name = NamespacedName::new(
                binding.metadata.namespace.clone().unwrap_or_default(),
                binding.metadata.name.clone().unwrap_or_default(),
            );
            let translator = Translator {
                ctx: &ctx,
                name: &name,
                binding,
            };
            // Where it is refused, the group is left as it is. The Gateway's own mistake is told already.
            if let Ok(filled) = translator.fill(group) {
                held.networks.extend(translator.network(&filled));
                stack.target_groups.insert(id.clone(), filled);
            }
        }
        if !stack.target_groups.is_empty() {
            held.stacks.push(stack);
        }
    }
    let (reads, needed, _) = ctx.into_parts();
    if needed.is_empty() {
        Ok(HeldTargets { reads, ..held })
    } else {
        Err(needed)
    }
}

/// A group that was observed, as AWS describes it.
fn described(group: &ObservedTargetGroup) -> TargetGroupDescription {
    TargetGroupDescription {
        arn: group.arn.clone(),
        name: group.name.clone(),
        target_type: Some(group.target_type),
        protocol: Some(group.protocol),
        protocol_version: group.protocol_version,
        port: Some(group.port),
        ip_address_type: group.ip_address_type,
        vpc_id: Some(group.vpc_id.clone()),
        health_check: Some(group.health_check.clone()),
        load_balancers: group.load_balancers.clone(),
    }
}
