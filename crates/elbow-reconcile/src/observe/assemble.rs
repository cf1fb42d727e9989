//! Puts the pieces of an observation together: descriptions, attributes and tags become one
//! [`ObservedStack`] for each Stack.

use elbow_model::aws_call::{ListenerDescription, LoadBalancerDescription, TargetGroupDescription};
use elbow_model::observed::{
    ObservedCertificate, ObservedListener, ObservedLoadBalancer, ObservedRule, ObservedTargetGroup,
    ObservedTrustStore,
};
use elbow_model::stack::Scheme;
use elbow_model::{CertificateArn, Observed, StackId, Tags};

use super::{Observation, Scope, Sighting, is_certificate};
use crate::ownership::owner;

pub(super) fn sighting(observation: Observation) -> Sighting {
    let mut observed = Observed::default();
    add_security_groups(&observation, &mut observed);
    add_certificates(&observation, &mut observed);
    add_trust_stores(&observation, &mut observed);
    add_load_balancers(&observation, &mut observed);
    add_target_groups(&observation, &mut observed);
    Sighting {
        lists_everything: !matches!(observation.scope, Scope::Details { .. })
            && !observation.is_of_cluster_alone(),
        observed,
        census: observation.census,
    }
}

fn add_security_groups(observation: &Observation, observed: &mut Observed) {
    for group in &observation.census.security_groups {
        let Some(stack) = owner(&group.tags, &observation.whose.cluster_name) else {
            continue;
        };
        if observation.is_in_scope(&stack) {
            observed
                .stacks
                .entry(stack)
                .or_default()
                .security_groups
                .push(group.clone());
        }
    }
    for stack in observed.stacks.values_mut() {
        stack.security_groups.sort_by(|a, b| a.id.cmp(&b.id));
    }
}

fn add_certificates(observation: &Observation, observed: &mut Observed) {
    if !observation.is_in_scope(&StackId::CLUSTER) {
        return;
    }
    let tags = observation.census.tags.iter();
    let certificates = tags.filter(|(arn, tags)| {
        is_certificate(arn)
            && owner(tags, &observation.whose.cluster_name) == Some(StackId::CLUSTER)
    });
    let certificates: Vec<_> = certificates
        .map(|(arn, tags)| ObservedCertificate {
            arn: CertificateArn::new(arn.clone()),
            tags: tags.clone(),
        })
        .collect();
    if !certificates.is_empty() {
        let shared = observed.stacks.entry(StackId::CLUSTER).or_default();
        shared.certificates = certificates;
    }
}

fn add_trust_stores(observation: &Observation, observed: &mut Observed) {
    if !observation.is_in_scope(&StackId::CLUSTER) {
        return;
    }
    let stores = observation.census.trust_stores.values();
    let stores: Vec<_> = stores
        .map(|store| ObservedTrustStore {
            arn: store.arn.clone(),
            name: store.name.clone(),
            tags: tags(observation, store.arn.as_str()),
        })
        .filter(|store| {
            owner(&store.tags, &observation.whose.cluster_name) == Some(StackId::CLUSTER)
        })
        .collect();
    if !stores.is_empty() {
        let shared = observed.stacks.entry(StackId::CLUSTER).or_default();
        shared.trust_stores = stores;
    }
}

fn add_load_balancers(observation: &Observation, observed: &mut Observed) {
    for (arn, description) in &observation.census.load_balancers {
        let Some(stack) = observation.stack_of(arn.as_str()) else {
            continue;
        };
        if stack == StackId::CLUSTER {
            continue;
        }
        if let Some(lb) = load_balancer(observation, &stack, description) {
            observed
                .stacks
                .entry(stack)
                .or_default()
                .load_balancers
                .push(lb);
        }
    }
}

fn load_balancer(
    observation: &Observation,
    stack: &StackId,
    description: &LoadBalancerDescription,
) -> Option<ObservedLoadBalancer> {
    let details = &observation.details;
    let arn = &description.arn;
    let listeners = details.listeners.get(arn).into_iter().flatten();
    let mut listeners: Vec<ObservedListener> = listeners
        .filter(|listener| is_of(observation, listener.arn.as_str(), stack))
        .filter_map(|description| listener(observation, stack, description))
        .collect();
    listeners.sort_by_key(|listener| listener.port);
    Some(ObservedLoadBalancer {
        arn: arn.clone(),
        name: description.name.clone(),
        dns_name: description.dns_name.clone(),
        lb_type: description.lb_type?,
        // Only gateway load balancers have no scheme, and they are of no type that elbow knows.
        scheme: description.scheme.unwrap_or(Scheme::Internal),
        state: description.state,
        ip_address_type: description.ip_address_type?,
        subnets: description.subnets.clone(),
        security_groups: description.security_groups.clone(),
        enforce_security_group_inbound_rules_on_private_link_traffic: description
            .enforce_security_group_inbound_rules_on_private_link_traffic
            .clone(),
        attributes: details
            .load_balancer_attributes
            .get(arn)
            .cloned()
            .unwrap_or_default(),
        tags: tags(observation, arn.as_str()),
        listeners,
    })
}

fn listener(
    observation: &Observation,
    stack: &StackId,
    description: &ListenerDescription,
) -> Option<ObservedListener> {
    let details = &observation.details;
    let arn = &description.arn;
    let certificates = details.listener_certificates.get(arn).into_iter().flatten();
    let rules = details.rules.get(arn).into_iter().flatten();
    let mut rules: Vec<ObservedRule> = rules
        .filter(|rule| is_of(observation, rule.arn.as_str(), stack))
        .map(|rule| ObservedRule {
            tags: tags(observation, rule.arn.as_str()),
            ..rule.clone()
        })
        .collect();
    rules.sort_by_key(|rule| rule.priority);
    Some(ObservedListener {
        arn: arn.clone(),
        port: description.port,
        protocol: description.protocol?,
        default_actions: description.default_actions.clone(),
        default_certificate: description.default_certificate.clone(),
        // The entry that marks the default certificate is no entry of the SNI list.
        certificates: certificates
            .filter(|c| !c.is_default)
            .map(|c| c.arn.clone())
            .collect(),
        ssl_policy: description.ssl_policy.clone(),
        alpn_policy: description.alpn_policy.clone(),
        mutual_authentication: description.mutual_authentication.clone(),
        attributes: details
            .listener_attributes
            .get(arn)
            .cloned()
            .unwrap_or_default(),
        tags: tags(observation, arn.as_str()),
        rules,
    })
}

fn add_target_groups(observation: &Observation, observed: &mut Observed) {
    for (arn, description) in &observation.census.target_groups {
        let Some(stack) = observation.stack_of(arn.as_str()) else {
            continue;
        };
        if stack == StackId::CLUSTER {
            continue;
        }
        if let Some(group) = target_group(observation, description) {
            observed
                .stacks
                .entry(stack)
                .or_default()
                .target_groups
                .push(group);
        }
    }
}

fn target_group(
    observation: &Observation,
    description: &TargetGroupDescription,
) -> Option<ObservedTargetGroup> {
    let details = &observation.details;
    let arn = &description.arn;
    Some(ObservedTargetGroup {
        arn: arn.clone(),
        name: description.name.clone(),
        target_type: description.target_type?,
        protocol: description.protocol?,
        protocol_version: description.protocol_version,
        port: description.port?,
        ip_address_type: description.ip_address_type,
        vpc_id: description.vpc_id.clone()?,
        health_check: description.health_check.clone()?,
        attributes: details
            .target_group_attributes
            .get(arn)
            .cloned()
            .unwrap_or_default(),
        tags: tags(observation, arn.as_str()),
        load_balancers: description.load_balancers.clone(),
        targets: details.targets.get(arn).cloned().unwrap_or_default(),
        own: None,
    })
}

/// Whether the tags of a listener or rule prove it to be of the same Stack as its load balancer. One
/// that somebody else put there is left alone.
fn is_of(observation: &Observation, arn: &str, stack: &StackId) -> bool {
    let tags = observation.census.tags.get(arn);
    tags.and_then(|tags| owner(tags, &observation.whose.cluster_name))
        .as_ref()
        == Some(stack)
}

fn tags(observation: &Observation, arn: &str) -> Tags {
    observation
        .census
        .tags
        .get(arn)
        .cloned()
        .unwrap_or_default()
}
