//! The page about the JSON names every field that a plan can have, and every word that a field can hold.

use std::collections::BTreeSet;

use elbow_model::stack::TargetType;
use elbow_model::{Ref, ResourceKind, Stack, TargetGroupArn};
use elbow_plan::policy::Mode;
use elbow_plan::{Hazard, Held, Plan, Policy, StepId, Unowned, Wait, render::json};
use serde_json::Value;

use crate::build::*;

const PAGE: &str = include_str!("../../../../docs/reference/plan-json.md");

/// One hazard of each kind. A new variant fails to compile here until it is added.
fn every_hazard() -> Vec<Hazard> {
    let text = String::new;
    let all = vec![
        Hazard::ReplacesLoadBalancer {
            old_dns_name: text(),
        },
        Hazard::DeletesLoadBalancer { dns_name: text() },
        Hazard::DropsTraffic { what: text() },
        Hazard::OpensToInternet { ports: Vec::new() },
        Hazard::StopsVerifyingClients { port: port(443) },
        Hazard::ExceedsQuota {
            quota: text(),
            limit: 0,
            wanted: 0,
        },
        Hazard::ReplacesTargetGroup { old_name: text() },
        Hazard::RenamesTargetGroup {
            wanted: text(),
            used: text(),
        },
        Hazard::ChangesListenerProtocol { port: port(80) },
        Hazard::RecyclesRules { count: 0 },
        Hazard::LeavesSubnets {
            subnets: Vec::new(),
        },
    ];
    for hazard in &all {
        match hazard {
            Hazard::ReplacesLoadBalancer { .. }
            | Hazard::DeletesLoadBalancer { .. }
            | Hazard::DropsTraffic { .. }
            | Hazard::OpensToInternet { .. }
            | Hazard::StopsVerifyingClients { .. }
            | Hazard::ExceedsQuota { .. }
            | Hazard::ReplacesTargetGroup { .. }
            | Hazard::RenamesTargetGroup { .. }
            | Hazard::ChangesListenerProtocol { .. }
            | Hazard::RecyclesRules { .. }
            | Hazard::LeavesSubnets { .. } => {}
        }
    }
    all
}

fn every_hold() -> Vec<Held> {
    let all = vec![
        Held::DryRun,
        Held::UpsertOnly,
        Held::DeletionProtection,
        Held::UndecidedListener,
        Held::Impossible { why: String::new() },
        Held::After { step: StepId(1) },
    ];
    for held in &all {
        match held {
            Held::DryRun
            | Held::UpsertOnly
            | Held::DeletionProtection
            | Held::UndecidedListener
            | Held::Impossible { .. }
            | Held::After { .. } => {}
        }
    }
    all
}

/// A plan in which everything occurs.
fn everything() -> Plan {
    let mut stack = web();
    let world = applied(&stack);
    let a = group(&mut stack, "a");
    a.target_type = TargetType::Instance;
    "other".clone_into(&mut a.name);
    let policy = Policy {
        mode: Mode::DryRun,
        ..Policy::default()
    };
    let mut plan = plan_in(&world, &stack, &policy);
    plan.append(plan_in(
        &world,
        &Stack::empty(stack.id.clone(), CLUSTER),
        &Policy::default(),
    ));
    for (step, held) in plan.steps.iter_mut().zip(every_hold()) {
        step.held = Some(held);
    }
    plan.steps[0].hazards = every_hazard();
    plan.unowned.push(Unowned {
        stack: stack.id,
        kind: ResourceKind::LoadBalancer,
        id: "arn".to_owned(),
    });
    plan
}

/// Names of fields, and the words of those fields that hold one of a few.
fn collect(value: &Value, names: &mut BTreeSet<String>) {
    const WORDS: [&str; 7] = [
        "action", "hazard", "severity", "because", "for", "kind", "service",
    ];
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(fields) => {
            for (name, value) in fields {
                names.insert(name.clone());
                if let Some(word) = value.as_str().filter(|_| WORDS.contains(&name.as_str())) {
                    names.insert(word.to_owned());
                }
                // Parameters are those of the AWS operation, and causes are objects of Kubernetes.
                if name != "parameters" && name != "causes" {
                    collect(value, names);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_page_names_everything() {
    let mut names = BTreeSet::new();
    collect(
        &serde_json::from_str(&json::render(&everything()).unwrap()).unwrap(),
        &mut names,
    );
    let arn = || Ref::Known(TargetGroupArn::new("arn"));
    for wait in [
        Wait::TargetsHealthy {
            target_group: arn(),
            timeout_seconds: 1,
        },
        Wait::TargetsDrained {
            target_group: arn(),
            timeout_seconds: 1,
        },
        Wait::LoadBalancerActive {
            load_balancer: Ref::Known(elbow_model::LoadBalancerArn::new("arn")),
            timeout_seconds: 1,
        },
    ] {
        collect(&serde_json::to_value(wait).unwrap(), &mut names);
    }
    for action in [
        "create",
        "replace",
        "update",
        "tag",
        "reorder",
        "register",
        "deregister",
        "wait",
        "delete",
    ] {
        names.insert(action.to_owned());
    }
    names.extend(["namespace".to_owned(), "name".to_owned()]);
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !PAGE.contains(&format!("`{name}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/reference/plan-json.md does not name {missing:?}"
    );
}

#[test]
fn the_version_is_the_page_s() {
    assert!(PAGE.contains(&format!("version {}", json::VERSION)));
}
