//! Write-through: what a call of ours that succeeded has made of the world.
//!
//! In: what was known of a Stack, a call and its answer. Out: what is known now, without asking AWS.
//! What always holds: only what AWS is documented to do is taken in; what it fills in by itself
//! (attributes that were not set, a default policy) stays unknown until the next observation, and
//! counts as "not set by us". A call whose outcome is uncertain is never remembered: the Stack is
//! observed again.

use std::collections::BTreeSet;

use elbow_model::aws_call::{LoadBalancerDescription, RulePriority, TagTarget};
use elbow_model::observed::{
    ObservedCertificate, ObservedListener, ObservedLoadBalancer, ObservedRule,
    ObservedSecurityGroup, ObservedTarget, ObservedTargetGroup, ObservedTrustStore, TargetState,
};
use elbow_model::rule::Action;
use elbow_model::{
    Attributes, AwsAnswer, AwsCall, CertificateArn, ListenerArn, LoadBalancerArn,
    MutualAuthentication, ObservedStack, Ref, RuleArn, SecurityGroupId, Tags, TargetGroupArn,
};

/// Takes in a call that succeeded. References in it are known.
pub(crate) fn remember(stack: &mut ObservedStack, call: &AwsCall, answer: &AwsAnswer) {
    if call.service() == "ec2" {
        remember_security_group(stack, call, answer);
    } else if call.service() == "acm" {
        remember_certificate(stack, call, answer);
    } else {
        remember_load_balancer(stack, call, answer);
        remember_listener(stack, call, answer);
        remember_rule(stack, call, answer);
        remember_target_group(stack, call, answer);
        remember_trust_store(stack, call, answer);
        remember_tags(stack, call);
    }
    if changes_actions(call) {
        relate(stack);
    }
}

/// Whether a call can change which groups the listeners and rules forward to.
fn changes_actions(call: &AwsCall) -> bool {
    matches!(
        call,
        AwsCall::CreateListener { .. }
            | AwsCall::ModifyListener { .. }
            | AwsCall::DeleteListener { .. }
            | AwsCall::CreateRule { .. }
            | AwsCall::ModifyRule { .. }
            | AwsCall::DeleteRule { .. }
    )
}

// === security groups ===

fn remember_security_group(stack: &mut ObservedStack, call: &AwsCall, answer: &AwsAnswer) {
    match call {
        AwsCall::CreateSecurityGroup {
            name, vpc_id, tags, ..
        } => {
            if let AwsAnswer::SecurityGroupCreated(id) = answer {
                stack.security_groups.push(ObservedSecurityGroup {
                    id: id.clone(),
                    name: name.clone(),
                    vpc_id: vpc_id.clone(),
                    ingress: Vec::new(),
                    tags: tags.clone(),
                });
                stack.security_groups.sort_by(|a, b| a.id.cmp(&b.id));
            }
        }
        AwsCall::DeleteSecurityGroup { group } => {
            stack
                .security_groups
                .retain(|g| Some(&g.id) != group.known());
        }
        AwsCall::AuthorizeSecurityGroupIngress { group, rules } => {
            if let Some(group) = security_group(stack, group) {
                group.ingress.extend(rules.iter().cloned());
                group.ingress.sort();
                group.ingress.dedup();
            }
        }
        AwsCall::RevokeSecurityGroupIngress { group, rules } => {
            if let Some(group) = security_group(stack, group) {
                group.ingress.retain(|rule| !rules.contains(rule));
            }
        }
        AwsCall::CreateSecurityGroupTags { group, tags } => {
            if let Some(group) = security_group(stack, group) {
                group.tags.extend(tags.clone());
            }
        }
        AwsCall::DeleteSecurityGroupTags { group, keys } => {
            if let Some(group) = security_group(stack, group) {
                group.tags.retain(|key, _| !keys.contains(key));
            }
        }
        _ => {}
    }
}

fn security_group<'a>(
    stack: &'a mut ObservedStack,
    group: &Ref<SecurityGroupId>,
) -> Option<&'a mut ObservedSecurityGroup> {
    stack
        .security_groups
        .iter_mut()
        .find(|g| Some(&g.id) == group.known())
}

// === certificates ===

/// New content of a certificate is not seen here: the tag that tells it is set after it.
fn remember_certificate(stack: &mut ObservedStack, call: &AwsCall, answer: &AwsAnswer) {
    let mut tags_of = |arn: &CertificateArn, change: &dyn Fn(&mut Tags)| {
        let mut found = stack.certificates.iter_mut();
        if let Some(certificate) = found.find(|c| c.arn == *arn) {
            change(&mut certificate.tags);
        }
    };
    match call {
        AwsCall::ImportCertificate {
            certificate: None,
            tags,
            ..
        } => {
            if let AwsAnswer::CertificateImported(arn) = answer {
                stack.certificates.push(ObservedCertificate {
                    arn: arn.clone(),
                    tags: tags.clone(),
                });
                stack.certificates.sort_by(|a, b| a.arn.cmp(&b.arn));
            }
        }
        AwsCall::DeleteCertificate { certificate } => {
            stack.certificates.retain(|c| c.arn != *certificate);
        }
        AwsCall::AddTagsToCertificate { certificate, tags } => {
            tags_of(certificate, &|known| known.extend(tags.clone()));
        }
        AwsCall::RemoveTagsFromCertificate { certificate, keys } => {
            tags_of(certificate, &|known| {
                known.retain(|key, _| !keys.contains(key));
            });
        }
        _ => {}
    }
}

// === trust stores ===

/// As with certificates, new content is not seen here: the tag that tells it is set after it.
fn remember_trust_store(stack: &mut ObservedStack, call: &AwsCall, answer: &AwsAnswer) {
    match (call, answer) {
        (AwsCall::CreateTrustStore { name, tags, .. }, AwsAnswer::TrustStoreCreated(arn)) => {
            stack.trust_stores.push(ObservedTrustStore {
                arn: arn.clone(),
                name: name.clone(),
                tags: tags.clone(),
            });
            stack.trust_stores.sort_by(|a, b| a.arn.cmp(&b.arn));
        }
        (AwsCall::DeleteTrustStore { trust_store: gone }, _) => {
            stack
                .trust_stores
                .retain(|store| Some(&store.arn) != gone.known());
        }
        _ => {}
    }
}

// === load balancers ===

fn remember_load_balancer(stack: &mut ObservedStack, call: &AwsCall, answer: &AwsAnswer) {
    match (call, answer) {
        (
            AwsCall::CreateLoadBalancer {
                lb_type,
                scheme,
                ip_address_type,
                tags,
                ..
            },
            AwsAnswer::LoadBalancerCreated(created),
        ) => {
            // CreateLoadBalancer answers with the one that is there when it is the same: it may
            // have been seen already.
            if stack.load_balancers.iter().any(|lb| lb.arn == created.arn) {
                return;
            }
            stack.load_balancers.push(ObservedLoadBalancer {
                arn: created.arn.clone(),
                name: created.name.clone(),
                dns_name: created.dns_name.clone(),
                lb_type: *lb_type,
                scheme: *scheme,
                state: created.state,
                ip_address_type: *ip_address_type,
                subnets: created.subnets.clone(),
                security_groups: created.security_groups.clone(),
                enforce_security_group_inbound_rules_on_private_link_traffic: created
                    .enforce_security_group_inbound_rules_on_private_link_traffic
                    .clone(),
                attributes: Attributes::new(),
                tags: tags.clone(),
                listeners: Vec::new(),
            });
            stack.load_balancers.sort_by(|a, b| a.arn.cmp(&b.arn));
        }
        (
            AwsCall::DeleteLoadBalancer {
                load_balancer: gone,
            },
            _,
        ) => {
            stack
                .load_balancers
                .retain(|lb| Some(&lb.arn) != gone.known());
            for group in &mut stack.target_groups {
                group.load_balancers.retain(|arn| Some(arn) != gone.known());
            }
        }
        (
            AwsCall::SetSecurityGroups {
                load_balancer: of,
                security_groups,
                enforce_security_group_inbound_rules_on_private_link_traffic: enforce,
            },
            _,
        ) => {
            if let Some(lb) = load_balancer(stack, of) {
                lb.security_groups = security_groups
                    .iter()
                    .filter_map(Ref::known)
                    .cloned()
                    .collect();
                if enforce.is_some() {
                    lb.enforce_security_group_inbound_rules_on_private_link_traffic
                        .clone_from(enforce);
                }
            }
        }
        (
            AwsCall::SetSubnets {
                load_balancer: of,
                subnets,
            },
            _,
        ) => {
            if let Some(lb) = load_balancer(stack, of) {
                lb.subnets = subnets
                    .iter()
                    .map(|subnet| subnet.subnet_id.clone())
                    .collect();
            }
        }
        (
            AwsCall::SetIpAddressType {
                load_balancer: of,
                ip_address_type,
            },
            _,
        ) => {
            if let Some(lb) = load_balancer(stack, of) {
                lb.ip_address_type = *ip_address_type;
            }
        }
        (
            AwsCall::ModifyLoadBalancerAttributes {
                load_balancer: of,
                attributes,
            },
            _,
        ) => {
            if let Some(lb) = load_balancer(stack, of) {
                lb.attributes.extend(attributes.clone());
            }
        }
        (AwsCall::DescribeLoadBalancers { .. }, AwsAnswer::LoadBalancers(page)) => {
            for description in &page.items {
                refresh(stack, description);
            }
        }
        _ => {}
    }
}

/// Takes in what a poll for the state of load balancers tells.
fn refresh(stack: &mut ObservedStack, description: &LoadBalancerDescription) {
    let found = stack
        .load_balancers
        .iter_mut()
        .find(|lb| lb.arn == description.arn);
    if let Some(lb) = found {
        lb.state = description.state;
        lb.subnets.clone_from(&description.subnets);
        lb.security_groups.clone_from(&description.security_groups);
        lb.dns_name.clone_from(&description.dns_name);
    }
}

fn load_balancer<'a>(
    stack: &'a mut ObservedStack,
    of: &Ref<LoadBalancerArn>,
) -> Option<&'a mut ObservedLoadBalancer> {
    stack
        .load_balancers
        .iter_mut()
        .find(|lb| Some(&lb.arn) == of.known())
}

// === listeners ===

fn remember_listener(stack: &mut ObservedStack, call: &AwsCall, answer: &AwsAnswer) {
    match (call, answer) {
        (
            AwsCall::CreateListener {
                load_balancer: of,
                port,
                protocol,
                default_action,
                default_certificate,
                ssl_policy,
                alpn_policy,
                mutual_authentication,
                tags,
            },
            AwsAnswer::ListenerCreated(arn),
        ) => {
            let Some(lb) = load_balancer(stack, of) else {
                return;
            };
            lb.listeners.retain(|listener| listener.arn != *arn);
            lb.listeners.push(ObservedListener {
                arn: arn.clone(),
                port: *port,
                protocol: *protocol,
                default_actions: vec![default_action.clone()],
                default_certificate: default_certificate
                    .as_ref()
                    .and_then(|c| c.known().cloned()),
                certificates: BTreeSet::new(),
                ssl_policy: ssl_policy.clone(),
                alpn_policy: alpn_policy.clone(),
                mutual_authentication: mutual_authentication.clone().unwrap_or_default(),
                attributes: Attributes::new(),
                tags: tags.clone(),
                rules: Vec::new(),
            });
            lb.listeners.sort_by_key(|listener| listener.port);
        }
        (
            AwsCall::ModifyListener {
                listener: of,
                protocol,
                default_action,
                default_certificate,
                ssl_policy,
                alpn_policy,
                mutual_authentication,
            },
            _,
        ) => {
            let Some(listener) = listener(stack, of) else {
                return;
            };
            listener.protocol = protocol.unwrap_or(listener.protocol);
            if let Some(action) = default_action {
                listener.default_actions = vec![action.clone()];
            }
            replace(
                &mut listener.default_certificate,
                default_certificate.as_ref().and_then(Ref::known),
            );
            replace(&mut listener.ssl_policy, ssl_policy.as_ref());
            replace(&mut listener.alpn_policy, alpn_policy.as_ref());
            if let Some(asked) = mutual_authentication {
                listener.mutual_authentication.clone_from(asked);
            }
            // A listener that ends no TLS any more loses what belongs to it.
            if !listener.protocol.is_secure() {
                listener.default_certificate = None;
                listener.certificates.clear();
                listener.ssl_policy = None;
                listener.alpn_policy = None;
                listener.mutual_authentication = MutualAuthentication::Off;
            }
        }
        (
            AwsCall::ModifyListenerAttributes {
                listener: of,
                attributes,
            },
            _,
        ) => {
            if let Some(listener) = listener(stack, of) {
                listener.attributes.extend(attributes.clone());
            }
        }
        (AwsCall::DeleteListener { listener: gone }, _) => {
            for lb in &mut stack.load_balancers {
                lb.listeners
                    .retain(|listener| Some(&listener.arn) != gone.known());
            }
        }
        (
            AwsCall::AddListenerCertificates {
                listener: of,
                certificate,
            },
            _,
        ) => {
            if let Some(listener) = listener(stack, of) {
                listener.certificates.extend(certificate.known().cloned());
            }
        }
        (
            AwsCall::RemoveListenerCertificates {
                listener: of,
                certificate,
            },
            _,
        ) => {
            if let Some(listener) = listener(stack, of) {
                listener.certificates.remove(certificate);
            }
        }
        _ => {}
    }
}

fn replace<T: Clone>(part: &mut Option<T>, with: Option<&T>) {
    if let Some(with) = with {
        *part = Some(with.clone());
    }
}

fn listeners(stack: &mut ObservedStack) -> impl Iterator<Item = &mut ObservedListener> {
    stack
        .load_balancers
        .iter_mut()
        .flat_map(|lb| &mut lb.listeners)
}

fn listener<'a>(
    stack: &'a mut ObservedStack,
    of: &Ref<ListenerArn>,
) -> Option<&'a mut ObservedListener> {
    listeners(stack).find(|listener| Some(&listener.arn) == of.known())
}

// === rules ===

fn remember_rule(stack: &mut ObservedStack, call: &AwsCall, answer: &AwsAnswer) {
    match (call, answer) {
        (
            AwsCall::CreateRule {
                listener: of,
                priority,
                conditions,
                action,
                transforms,
                tags,
            },
            AwsAnswer::RuleCreated(arn),
        ) => {
            let Some(listener) = listener(stack, of) else {
                return;
            };
            listener.rules.push(ObservedRule {
                arn: arn.clone(),
                priority: *priority,
                conditions: conditions.clone(),
                actions: vec![action.clone()],
                transforms: transforms.clone(),
                tags: tags.clone(),
            });
            listener.rules.sort_by_key(|rule| rule.priority);
        }
        (
            AwsCall::ModifyRule {
                rule: of,
                conditions,
                action,
                transforms,
            },
            _,
        ) => {
            let Some(rule) = rule(stack, of) else { return };
            if let Some(conditions) = conditions {
                rule.conditions.clone_from(conditions);
            }
            if let Some(action) = action {
                rule.actions = vec![action.clone()];
            }
            if let Some(transforms) = transforms {
                rule.transforms.clone_from(transforms);
            }
        }
        (AwsCall::SetRulePriorities { priorities }, _) => {
            for RulePriority { rule: of, priority } in priorities {
                if let Some(rule) = rule(stack, of) {
                    rule.priority = *priority;
                }
            }
            for listener in listeners(stack) {
                listener.rules.sort_by_key(|rule| rule.priority);
            }
        }
        (AwsCall::DeleteRule { rule: gone }, _) => {
            for listener in listeners(stack) {
                listener
                    .rules
                    .retain(|rule| Some(&rule.arn) != gone.known());
            }
        }
        _ => {}
    }
}

fn rule<'a>(stack: &'a mut ObservedStack, of: &Ref<RuleArn>) -> Option<&'a mut ObservedRule> {
    listeners(stack)
        .flat_map(|l| &mut l.rules)
        .find(|rule| Some(&rule.arn) == of.known())
}

// === target groups ===

fn remember_target_group(stack: &mut ObservedStack, call: &AwsCall, answer: &AwsAnswer) {
    match (call, answer) {
        (
            AwsCall::CreateTargetGroup {
                name,
                target_type,
                protocol,
                protocol_version,
                port,
                ip_address_type,
                vpc_id,
                health_check,
                tags,
            },
            AwsAnswer::TargetGroupCreated(arn),
        ) => {
            // As with load balancers, the answer may be one that is already there.
            if stack.target_groups.iter().any(|group| group.arn == *arn) {
                return;
            }
            stack.target_groups.push(ObservedTargetGroup {
                arn: arn.clone(),
                name: name.clone(),
                target_type: *target_type,
                protocol: *protocol,
                protocol_version: *protocol_version,
                port: *port,
                ip_address_type: *ip_address_type,
                vpc_id: vpc_id.clone(),
                health_check: health_check.clone(),
                attributes: Attributes::new(),
                tags: tags.clone(),
                load_balancers: BTreeSet::new(),
                targets: Vec::new(),
                own: None,
            });
            stack.target_groups.sort_by(|a, b| a.arn.cmp(&b.arn));
        }
        (
            AwsCall::ModifyTargetGroup {
                target_group: of,
                health_check,
            },
            _,
        ) => {
            if let Some(group) = target_group(stack, of) {
                group.health_check = health_check.clone();
            }
        }
        (
            AwsCall::ModifyTargetGroupAttributes {
                target_group: of,
                attributes,
            },
            _,
        ) => {
            if let Some(group) = target_group(stack, of) {
                group.attributes.extend(attributes.clone());
            }
        }
        (AwsCall::DeleteTargetGroup { target_group: gone }, _) => {
            stack
                .target_groups
                .retain(|group| Some(&group.arn) != gone.known());
        }
        (
            AwsCall::RegisterTargets {
                target_group: of,
                targets,
            },
            _,
        ) => {
            let Some(group) = target_group(stack, of) else {
                return;
            };
            group
                .targets
                .retain(|observed| !targets.contains(&observed.target));
            group
                .targets
                .extend(targets.iter().map(|target| ObservedTarget {
                    target: target.clone(),
                    state: TargetState::Initial,
                    reason: None,
                    description: None,
                }));
            group.targets.sort_by(|a, b| a.target.cmp(&b.target));
        }
        (
            AwsCall::DeregisterTargets {
                target_group: of,
                targets,
            },
            _,
        ) => {
            let left = stack.left_groups.iter_mut();
            let left = left.filter(|group| Some(&group.arn) == of.known());
            let left = left.flat_map(|group| &mut group.targets);
            let groups = stack.target_groups.iter_mut();
            let groups = groups.filter(|group| Some(&group.arn) == of.known());
            let there = groups.flat_map(|group| &mut group.targets);
            for observed in there.chain(left) {
                if targets.contains(&observed.target) {
                    observed.state = TargetState::Draining;
                    observed.reason = Some("Target.DeregistrationInProgress".to_owned());
                    observed.description = None;
                }
            }
        }
        (AwsCall::DescribeTargetHealth { target_group: arn }, AwsAnswer::TargetHealth(targets)) => {
            if let Some(group) = stack
                .target_groups
                .iter_mut()
                .find(|group| group.arn == *arn)
            {
                group.targets.clone_from(targets);
            }
        }
        _ => {}
    }
}

fn target_group<'a>(
    stack: &'a mut ObservedStack,
    of: &Ref<TargetGroupArn>,
) -> Option<&'a mut ObservedTargetGroup> {
    stack
        .target_groups
        .iter_mut()
        .find(|group| Some(&group.arn) == of.known())
}

// === tags and relations ===

fn remember_tags(stack: &mut ObservedStack, call: &AwsCall) {
    let (AwsCall::AddTags { resource, .. } | AwsCall::RemoveTags { resource, .. }) = call else {
        return;
    };
    let tags = match resource {
        TagTarget::LoadBalancer(of) => load_balancer(stack, of).map(|lb| &mut lb.tags),
        TagTarget::Listener(of) => listener(stack, of).map(|listener| &mut listener.tags),
        TagTarget::Rule(of) => rule(stack, of).map(|rule| &mut rule.tags),
        TagTarget::TargetGroup(of) => target_group(stack, of).map(|group| &mut group.tags),
        TagTarget::TrustStore(of) => {
            let mut found = stack.trust_stores.iter_mut();
            let found = found.find(|store| Some(&store.arn) == of.known());
            found.map(|store| &mut store.tags)
        }
    };
    match (call, tags) {
        (AwsCall::AddTags { tags: added, .. }, Some(tags)) => tags.extend(added.clone()),
        (AwsCall::RemoveTags { keys, .. }, Some(tags)) => tags.retain(|k, _| !keys.contains(k)),
        _ => {}
    }
}

/// Derives which of the Stack's load balancers use which group from the actions of their listeners
/// and rules. Other users of a group stay as they were observed.
fn relate(stack: &mut ObservedStack) {
    let ObservedStack {
        load_balancers,
        target_groups,
        ..
    } = stack;
    for lb in &*load_balancers {
        let actions = lb.listeners.iter().flat_map(|listener| {
            let rules = listener.rules.iter().flat_map(|rule| &rule.actions);
            listener.default_actions.iter().chain(rules)
        });
        let used: BTreeSet<&TargetGroupArn> = actions.flat_map(receivers).collect();
        for group in &mut *target_groups {
            if used.contains(&group.arn) {
                group.load_balancers.insert(lb.arn.clone());
            } else {
                group.load_balancers.remove(&lb.arn);
            }
        }
    }
}

fn receivers(action: &Action) -> impl Iterator<Item = &TargetGroupArn> {
    let groups = match action {
        Action::Forward(forward) => forward.target_groups.as_slice(),
        Action::Redirect(_) | Action::FixedResponse(_) | Action::Unmodeled { .. } => &[],
    };
    groups.iter().filter_map(|to| to.target_group.known())
}
