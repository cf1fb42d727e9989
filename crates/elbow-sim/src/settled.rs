//! What must hold once faults and edits have ended and the machine rests.
//!
//! In: an account, the machine, the objects. Out: everything in which the account differs from one in
//! which nothing ever went wrong. What always holds: attributes that nobody declares, generated ids and
//! the health of targets count for nothing; all else does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use elbow_api::Snapshot;
use elbow_model::observed::{LoadBalancerState, TargetState};
use elbow_model::rule::Action;
use elbow_model::{Observed, ObservedStack, Port, Stack, StackId, Tags};
use elbow_reconcile::{Settings, Timestamp, Unit, drive};

use crate::account::{Account, is_node_rule};
use crate::ideal::{Ideal, settings};
use crate::report::difference;
use crate::simulation::Users;

/// Plans once more, with a machine that knows nothing. Answers with what it observed. Units that AWS refuses
/// something do not count.
pub(crate) fn replan(
    account: &mut Account,
    snapshot: &Snapshot,
    now: u64,
    users: Users,
    refused: &BTreeSet<Unit>,
) -> Result<Observed, String> {
    let start = Timestamp::from_millis(now);
    let settings = Settings {
        epoch_ms: now,
        ..settings(users)
    };
    let mut report = drive::plan_once(snapshot, &settings, &mut |now, call| {
        account.answer(start.plus_millis(now.as_millis()).as_millis(), call)
    });
    // What all share waits for what is refused.
    let is_shared = |unit: &Unit| matches!(unit, Unit::Cluster | Unit::Network);
    report
        .plans
        .retain(|unit, _| !refused.contains(unit) && (refused.is_empty() || !is_shared(unit)));
    let plan = report.plan();
    if plan.is_empty() {
        return Ok(report.observed);
    }
    let mut text = "planning again is not empty:".to_owned();
    for step in &plan.steps {
        let _written = write!(
            text,
            "\n  {} {} {}: {}",
            step.action.as_str(),
            step.resource,
            step.name,
            step.reason
        );
        for change in &step.changes {
            let _written = write!(
                text,
                "\n    {}: {:?} -> {:?}",
                change.field, change.before, change.after
            );
        }
    }
    Err(text)
}

/// Compares what is there with what a fresh run makes of the same objects. What `undecided` units have only
/// their past explains.
pub(crate) fn compare(
    observed: &Observed,
    should_be: &Observed,
    ideal: &Ideal,
    undecided: &BTreeSet<Unit>,
) -> Result<(), String> {
    if undecided.is_empty() {
        compare_node_rules(observed, should_be)?;
    }
    let blocked: BTreeSet<StackId> = undecided.iter().flat_map(Unit::stacks).collect();
    let ids: BTreeSet<&StackId> = observed
        .stacks
        .keys()
        .chain(should_be.stacks.keys())
        .filter(|id| !blocked.contains(id))
        .filter(|id| blocked.is_empty() || **id != StackId::CLUSTER)
        .collect();
    for id in ids {
        let wanted = ideal.stacks.get(id);
        let is = describe(id, observed, wanted);
        let fresh = describe(id, should_be, wanted);
        if is != fresh {
            return Err(format!(
                "{} {id} differs from what a fresh run makes:\n{}",
                id.stack_tag(),
                difference(&fresh, &is)
            ));
        }
    }
    Ok(())
}

/// Compares the rules that let load balancers reach nodes and pods.
fn compare_node_rules(observed: &Observed, should_be: &Observed) -> Result<(), String> {
    let [is, fresh] = [observed, should_be].map(|observed| {
        let groups = observed.node_groups.values();
        let mut text = format!("{:#?}", groups.collect::<Vec<_>>());
        for (id, label) in labels(observed) {
            text = text.replace(&id, &label);
        }
        text
    });
    if is == fresh {
        return Ok(());
    }
    Err(format!(
        "rules of nodes differ from what a fresh run makes:\n{}",
        difference(&fresh, &is)
    ))
}

/// Compares what the machine remembers with what is there. Of what it only believes it knows no
/// details.
pub(crate) fn compare_memory(
    known: &Observed,
    observed: &Observed,
    is_believed: impl Fn(&StackId) -> bool,
) -> Result<(), String> {
    // Of a group that guards nothing any more, and has no rule of ours, nobody needs to know.
    let guarding = |of: &Observed| {
        let groups = of.node_groups.iter();
        let groups = groups.filter(|(id, group)| {
            let is_known_to_both = [known, observed]
                .iter()
                .all(|of| of.node_groups.contains_key(*id));
            is_known_to_both || group.ingress.iter().any(is_node_rule)
        });
        groups
            .map(|(id, group)| (id.clone(), group.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    let [remembered, is] = [known, observed].map(guarding);
    if remembered != is {
        let [remembered, is] = [remembered, is].map(|groups| format!("{groups:#?}"));
        return Err(format!(
            "what is remembered of the nodes' groups is not what is there:\n{}",
            difference(&remembered, &is)
        ));
    }
    let ids: BTreeSet<&StackId> = known.stacks.keys().chain(observed.stacks.keys()).collect();
    for id in ids {
        let [remembered, mut is] = [known, observed].map(|from| from.stacks.get(id).map(still));
        if let (Some(remembered), Some(is)) = (&remembered, &mut is) {
            if is_believed(id) {
                for balancer in &mut is.load_balancers {
                    balancer.listeners.clear();
                }
            }
            forget_attributes(is, remembered);
        }
        if remembered != is {
            let text = |stack: &Option<ObservedStack>| format!("{stack:#?}");
            return Err(format!(
                "what is remembered of {id} is not what is there:\n{}",
                difference(&text(&remembered), &text(&is))
            ));
        }
    }
    Ok(())
}

/// Keeps the attributes that are remembered: those that were set, or that were seen.
fn forget_attributes(is: &mut ObservedStack, remembered: &ObservedStack) {
    for (group, known) in is.target_groups.iter_mut().zip(&remembered.target_groups) {
        group
            .attributes
            .retain(|key, _| known.attributes.contains_key(key));
    }
    for (balancer, known) in is.load_balancers.iter_mut().zip(&remembered.load_balancers) {
        balancer
            .attributes
            .retain(|key, _| known.attributes.contains_key(key));
        for (listener, known) in balancer.listeners.iter_mut().zip(&known.listeners) {
            listener
                .attributes
                .retain(|key, _| known.attributes.contains_key(key));
        }
    }
}

/// Says what AWS says where nothing was said.
fn fill_in(action: &mut Action) {
    match action {
        Action::Forward(forward) => {
            forward.stickiness = forward.stickiness.filter(|stickiness| stickiness.enabled);
            let is_alone = forward.target_groups.len() == 1;
            for group in &mut forward.target_groups {
                // Of a single group AWS keeps the weight, and nobody asks for it.
                group.weight = group
                    .weight
                    .filter(|weight| !is_alone || *weight == 0)
                    .or(Some(1));
            }
        }
        Action::Redirect(redirect) => {
            for (part, kept) in [
                (&mut redirect.protocol, "#{protocol}"),
                (&mut redirect.port, "#{port}"),
                (&mut redirect.host, "#{host}"),
                (&mut redirect.path, "/#{path}"),
                (&mut redirect.query, "#{query}"),
            ] {
                part.get_or_insert_with(|| kept.to_owned());
            }
        }
        Action::FixedResponse(_) | Action::Unmodeled { .. } => {}
    }
}

/// Without what changes by itself.
fn still(stack: &ObservedStack) -> ObservedStack {
    let mut stack = stack.clone();
    for balancer in &mut stack.load_balancers {
        balancer.state = LoadBalancerState::Active;
        for listener in &mut balancer.listeners {
            let rules = listener.rules.iter_mut().flat_map(|rule| &mut rule.actions);
            for action in rules.chain(&mut listener.default_actions) {
                fill_in(action);
            }
        }
    }
    for group in &mut stack.target_groups {
        // It is kept elsewhere.
        group.own = None;
        group
            .targets
            .retain(|target| target.state != TargetState::Draining);
        for target in &mut group.targets {
            target.state = TargetState::Healthy;
            target.reason = None;
            target.description = None;
        }
    }
    stack
}

/// A Stack as text, with labels in place of generated ids.
fn describe(id: &StackId, observed: &Observed, wanted: Option<&Stack>) -> String {
    let Some(stack) = observed.stacks.get(id) else {
        return "nothing".to_owned();
    };
    let mut stack = still(stack);
    // Whose load balancers they are stands in the other Stacks.
    stack
        .certificates
        .sort_by_key(|c| c.tags.get(&id.resource_tag()).cloned());
    stack
        .trust_stores
        .sort_by_key(|c| c.tags.get(&id.resource_tag()).cloned());
    let tag = id.resource_tag();
    let label = |tags: &Tags| tags.get(&tag).cloned().unwrap_or_default();
    let wanted_groups = wanted.map(|stack| &stack.target_groups);
    // Names are chosen when something is created, by a Gateway that may have been re-created since.
    for group in &mut stack.security_groups {
        group.name.clear();
    }
    for group in &mut stack.target_groups {
        group.name.clear();
        let resource = label(&group.tags);
        let declared = wanted_groups
            .and_then(|groups| groups.iter().find(|(id, _)| id.as_str() == resource))
            .map(|(_, group)| &group.attributes);
        group
            .attributes
            .retain(|key, _| declared.is_some_and(|declared| declared.contains_key(key)));
    }
    let mut groups_used = Vec::new();
    let of_observed = labels(observed);
    let mut certificates = Vec::new();
    for balancer in &mut stack.load_balancers {
        let declared = wanted.and_then(|stack| stack.load_balancer.as_ref());
        balancer
            .attributes
            .retain(|key, _| declared.is_some_and(|lb| lb.attributes.contains_key(key)));
        balancer.dns_name.clear();
        balancer.name.clear();
        groups_used.extend(std::mem::take(&mut balancer.security_groups));
        for listener in &mut balancer.listeners {
            let sni = std::mem::take(&mut listener.certificates).into_iter();
            let sni = sni.map(|arn| {
                let label = of_observed.iter().find(|(id, _)| id == arn.as_str());
                label.map_or_else(|| arn.to_string(), |(_, label)| label.clone())
            });
            certificates.push((listener.port, sni.collect::<BTreeSet<_>>()));
            for rule in &mut listener.rules {
                place_in_tag(&tag, listener.port, rule.priority, &mut rule.tags);
            }
            let declared = wanted.and_then(|stack| stack.listeners.get(&listener.port));
            listener.attributes.retain(|key, _| {
                declared.is_some_and(|listener| listener.attributes.contains_key(key))
            });
        }
    }
    stack.target_groups.sort_by_key(|group| label(&group.tags));
    let mut text = format!("{stack:#?}");
    let mut used = BTreeSet::new();
    for (id, label) in of_observed {
        text = text.replace(&id, &label);
        for group in &groups_used {
            if group.as_str() == id {
                used.insert(label.clone());
            }
        }
    }
    format!(
        "{text}\nuses {} groups, of ours {used:?}\nhas the certificates {certificates:#?}",
        groups_used.len()
    )
}

/// Puts the place of a rule into its resource tag: one that has moved keeps the place at which it was
/// tagged until somebody looks for drift.
fn place_in_tag(key: &str, port: Port, priority: u16, tags: &mut Tags) {
    let place = tags.get_mut(key).filter(|id| !id.contains("warm-up"));
    if let Some(place) = place {
        *place = format!("{port}:{priority}");
    }
}

/// Labels of generated ids, the longest id first.
pub(crate) fn labels(observed: &Observed) -> Vec<(String, String)> {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (id, stack) in &observed.stacks {
        let tag = id.resource_tag();
        let of = |kind: &str, tags: &Tags| {
            format!("{kind}({})", tags.get(&tag).map_or("", String::as_str))
        };
        for group in &stack.security_groups {
            labels.insert(group.id.to_string(), of("security group", &group.tags));
        }
        for certificate in &stack.certificates {
            labels.insert(
                certificate.arn.to_string(),
                of("certificate", &certificate.tags),
            );
        }
        for store in &stack.trust_stores {
            labels.insert(store.arn.to_string(), of("trust store", &store.tags));
        }
        for group in &stack.target_groups {
            labels.insert(group.arn.to_string(), of("target group", &group.tags));
        }
        for balancer in &stack.load_balancers {
            labels.insert(
                balancer.dns_name.clone(),
                of("name of load balancer", &balancer.tags),
            );
            labels.insert(
                balancer.arn.to_string(),
                of("load balancer", &balancer.tags),
            );
            for listener in &balancer.listeners {
                labels.insert(listener.arn.to_string(), of("listener", &listener.tags));
                for rule in &listener.rules {
                    let mut tags = rule.tags.clone();
                    place_in_tag(&tag, listener.port, rule.priority, &mut tags);
                    labels.insert(rule.arn.to_string(), of("rule", &tags));
                }
            }
        }
    }
    let mut labels: Vec<(String, String)> = labels.into_iter().collect();
    labels.sort_by_key(|(id, _)| std::cmp::Reverse(id.len()));
    labels
}
