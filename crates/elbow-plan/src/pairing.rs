//! Which of the observed resources is which of the desired ones.
//!
//! In: a Stack and what is observed under its id. Out: for each desired resource the observed one that
//! it is, if any; the observed ones that are nobody's; and those whose tags do not prove them ours, which
//! nothing else ever looks at. What always holds: identity is the tag `<prefix>/resource`, never a name;
//! the same input gives the same pairing, whatever its order, and a pairing made half-way through a plan
//! is the one that the rest of the plan was made for.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::ids::{LoadBalancerArn, ResourceId, TargetGroupArn};
use elbow_model::observed::{
    ObservedCertificate, ObservedLoadBalancer, ObservedSecurityGroup, ObservedStack,
    ObservedTargetGroup, ObservedTrustStore,
};
use elbow_model::rule::Action;
use elbow_model::stack::{LoadBalancer, TargetGroup, TargetType};
use elbow_model::{Ref, ResourceKind, Stack, StackId};

use crate::plan::Unowned;
use crate::stack::ClusterView;
use crate::tags::resource_id;

/// How the desired load balancer comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Balancer<'a> {
    /// None is desired.
    Unwanted,
    /// It is there; others under its id give way to it.
    Kept(&'a ObservedLoadBalancer),
    /// It is created. Those that are there already cannot become it, and go when it serves.
    Created,
    /// It is created after those that are there are gone, since one of them has its name.
    CreatedAfterDelete,
}

/// The result.
#[derive(Debug, Clone)]
pub(crate) struct Pairing<'a> {
    pub(crate) balancer: Balancer<'a>,
    pub(crate) old_balancers: Vec<&'a ObservedLoadBalancer>,
    pub(crate) groups: BTreeMap<&'a ResourceId, Option<&'a ObservedTargetGroup>>,
    pub(crate) old_groups: Vec<&'a ObservedTargetGroup>,
    pub(crate) security_groups: BTreeMap<&'a ResourceId, Option<&'a ObservedSecurityGroup>>,
    pub(crate) old_security_groups: Vec<&'a ObservedSecurityGroup>,
    pub(crate) certificates: BTreeMap<&'a ResourceId, Option<&'a ObservedCertificate>>,
    pub(crate) old_certificates: Vec<&'a ObservedCertificate>,
    pub(crate) trust_stores: BTreeMap<&'a ResourceId, Option<&'a ObservedTrustStore>>,
    pub(crate) old_trust_stores: Vec<&'a ObservedTrustStore>,
    pub(crate) unowned: Vec<Unowned>,
}

impl<'a> Pairing<'a> {
    pub(crate) fn new(
        stack: &'a Stack,
        observed: &'a ObservedStack,
        cluster: &ClusterView,
    ) -> Self {
        let mut unowned = Vec::new();
        let mut report = |kind, id: &str| unowned.push(unowned_resource(&stack.id, kind, id));

        let mut balancers = Vec::new();
        for lb in &observed.load_balancers {
            match resource_id(stack, &lb.tags) {
                Some(_) => balancers.push(lb),
                None => report(ResourceKind::LoadBalancer, lb.arn.as_str()),
            }
        }
        balancers.sort_by(|a, b| a.arn.cmp(&b.arn));
        let mut groups = Vec::new();
        for group in &observed.target_groups {
            match resource_id(stack, &group.tags) {
                Some(id) => groups.push((id, group)),
                None => report(ResourceKind::TargetGroup, group.arn.as_str()),
            }
        }
        groups.sort_by(|a, b| a.1.arn.cmp(&b.1.arn));
        let mut security_groups = Vec::new();
        for group in &observed.security_groups {
            match resource_id(stack, &group.tags) {
                Some(id) => security_groups.push((id, group)),
                None => report(ResourceKind::SecurityGroup, group.id.as_str()),
            }
        }
        security_groups.sort_by(|a, b| a.1.id.cmp(&b.1.id));
        let mut certificates = Vec::new();
        for certificate in &observed.certificates {
            match resource_id(stack, &certificate.tags) {
                Some(_) => certificates.push(certificate),
                None => report(ResourceKind::Certificate, certificate.arn.as_str()),
            }
        }
        certificates.sort_by(|a, b| a.arn.cmp(&b.arn));
        let mut trust_stores = Vec::new();
        for store in &observed.trust_stores {
            match resource_id(stack, &store.tags) {
                Some(_) => trust_stores.push(store),
                None => report(ResourceKind::TrustStore, store.arn.as_str()),
            }
        }
        trust_stores.sort_by(|a, b| a.arn.cmp(&b.arn));
        unowned.sort();

        let balancer = pair_balancer(stack.load_balancer.as_ref(), &balancers);
        let old_balancers: Vec<_> = balancers
            .into_iter()
            .filter(|lb| !matches!(balancer, Balancer::Kept(kept) if kept.arn == lb.arn))
            .collect();
        let (paired, old_groups) = pair_groups(stack, &groups, balancer, &old_balancers);

        let mut kept_security_groups = BTreeMap::new();
        for id in stack.security_groups.keys() {
            let found = security_groups
                .iter()
                .find(|(found, _)| *found == id.as_str());
            kept_security_groups.insert(id, found.map(|(_, group)| *group));
        }
        let old_security_groups = security_groups
            .iter()
            .map(|(_, group)| *group)
            .filter(|group| {
                !kept_security_groups
                    .values()
                    .flatten()
                    .any(|kept| kept.id == group.id)
            })
            .collect();
        let kept_certificates: BTreeMap<_, _> = stack
            .certificates
            .keys()
            .map(|id| {
                let kept = cluster.certificates.get(id);
                let found = certificates.iter().find(|c| Some(&c.arn) == kept);
                (id, found.copied())
            })
            .collect();
        certificates.retain(|c| {
            let kept = kept_certificates.values().flatten();
            kept.into_iter().all(|kept| kept.arn != c.arn)
        });

        let kept_trust_stores: BTreeMap<_, _> = stack
            .trust_stores
            .keys()
            .map(|id| {
                let kept = cluster.trust_stores.get(id);
                let found = trust_stores.iter().find(|s| Some(&s.arn) == kept);
                (id, found.copied())
            })
            .collect();
        trust_stores.retain(|s| {
            let kept = kept_trust_stores.values().flatten();
            kept.into_iter().all(|kept| kept.arn != s.arn)
        });

        Self {
            balancer,
            old_balancers,
            groups: paired,
            old_groups,
            security_groups: kept_security_groups,
            old_security_groups,
            certificates: kept_certificates,
            old_certificates: certificates,
            trust_stores: kept_trust_stores,
            old_trust_stores: trust_stores,
            unowned,
        }
    }

    /// The observed load balancer that stays.
    pub(crate) fn kept_balancer(&self) -> Option<&'a ObservedLoadBalancer> {
        match self.balancer {
            Balancer::Kept(lb) => Some(lb),
            _ => None,
        }
    }

    /// The id of a target group: known where it is there.
    pub(crate) fn group(&self, reference: &Ref<TargetGroupArn>) -> Ref<TargetGroupArn> {
        if let Ref::Of(key) = reference
            && let Some(Some(group)) = self.groups.get(&key.id)
        {
            return Ref::Known(group.arn.clone());
        }
        reference.clone()
    }

    /// An action with the ids that are known.
    pub(crate) fn action(&self, action: &Action) -> Action {
        let mut action = action.clone();
        if let Action::Forward(forward) = &mut action {
            for group in &mut forward.target_groups {
                group.target_group = self.group(&group.target_group);
            }
        }
        action
    }
}

fn unowned_resource(stack: &StackId, kind: ResourceKind, id: &str) -> Unowned {
    Unowned {
        stack: stack.clone(),
        kind,
        id: id.to_owned(),
    }
}

/// Type and scheme cannot be changed in AWS; all else can.
fn pair_balancer<'a>(
    desired: Option<&LoadBalancer>,
    observed: &[&'a ObservedLoadBalancer],
) -> Balancer<'a> {
    let Some(desired) = desired else {
        return Balancer::Unwanted;
    };
    let kept = observed
        .iter()
        .filter(|lb| lb.lb_type == desired.lb_type && lb.scheme == desired.scheme)
        // Of several, which only a repeated create under another name leaves behind, the one that was
        // meant, then the one that serves most.
        .max_by_key(|lb| {
            (
                lb.name == desired.name,
                lb.listeners.len(),
                std::cmp::Reverse(&lb.arn),
            )
        });
    match kept {
        Some(lb) => Balancer::Kept(lb),
        None if observed.iter().any(|lb| lb.name == desired.name) => Balancer::CreatedAfterDelete,
        None => Balancer::Created,
    }
}

type PairedGroups<'a> = (
    BTreeMap<&'a ResourceId, Option<&'a ObservedTargetGroup>>,
    Vec<&'a ObservedTargetGroup>,
);

/// Target type, protocol and protocol version cannot be changed in AWS, nor a load balancer that is a
/// target while traffic goes there. Neither can a group be used by
/// two load balancers: one that another load balancer uses is of no use here until that one is gone.
fn pair_groups<'a>(
    stack: &'a Stack,
    observed: &[(&str, &'a ObservedTargetGroup)],
    balancer: Balancer<'a>,
    old_balancers: &[&ObservedLoadBalancer],
) -> PairedGroups<'a> {
    let available: BTreeSet<&LoadBalancerArn> = match balancer {
        Balancer::Kept(lb) => BTreeSet::from([&lb.arn]),
        Balancer::Created => BTreeSet::new(),
        Balancer::CreatedAfterDelete | Balancer::Unwanted => {
            old_balancers.iter().map(|lb| &lb.arn).collect()
        }
    };
    let mut paired = BTreeMap::new();
    for (id, desired) in &stack.target_groups {
        let candidate = observed
            .iter()
            .filter(|(found, group)| {
                *found == id.as_str()
                    && is_same_kind(desired, group)
                    && group.load_balancers.iter().all(|lb| available.contains(lb))
            })
            .map(|(_, group)| *group)
            .max_by_key(|group| {
                (
                    // Half-way through a replacement both are in use, and the old one is empty.
                    desired.target_type == TargetType::Alb && !group.targets.is_empty(),
                    !group.load_balancers.is_empty(),
                    group.name == desired.name,
                    std::cmp::Reverse(&group.arn),
                )
            });
        paired.insert(id, candidate);
    }
    let old = observed
        .iter()
        .map(|(_, group)| *group)
        .filter(|group| !paired.values().flatten().any(|kept| kept.arn == group.arn))
        .collect();
    (paired, old)
}

fn is_same_kind(desired: &TargetGroup, observed: &ObservedTargetGroup) -> bool {
    desired.target_type == observed.target_type
        && desired.protocol == observed.protocol
        && (desired.protocol_version.is_none()
            || desired.protocol_version == observed.protocol_version)
        && !has_other_target(desired, observed)
}

/// Whether a group has another load balancer as its target than the one that is wanted. AWS takes one, and
/// no second one beside it, so another group takes over.
///
/// Difference (chained-target-replaced): LBC registers the new one beside the old, which AWS refuses.
pub(crate) fn has_other_target(desired: &TargetGroup, observed: &ObservedTargetGroup) -> bool {
    let Some(wanted) = desired.targets.first() else {
        return false;
    };
    desired.target_type == TargetType::Alb
        && observed
            .targets
            .iter()
            .any(|found| found.target.id != wanted.id)
}
