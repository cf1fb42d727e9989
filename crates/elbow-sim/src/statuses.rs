//! Statuses at rest: what people are told is what a fresh run would tell them.
//!
//! In: the last reports of machines, and those of a fresh run of the same objects. Out: an error where
//! they tell different things, or of an older generation. What always holds: names that AWS gives count for
//! nothing, and words of a condition count as far as they hold no such name.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::NamespacedName;
use elbow_model::Observed;
use elbow_reconcile::{BindingReport, Report, Unit};
use serde_json::{Value, json};

use crate::report::difference;
use crate::settled::labels;

/// Compares the statuses of Gateways and their routes.
pub(crate) fn compare_gateways(
    [written, fresh]: [&BTreeMap<NamespacedName, Report>; 2],
    [observed, should_be]: [&Observed; 2],
    gateways: &BTreeSet<Unit>,
) -> Result<(), String> {
    for name in gateways.iter().filter_map(Unit::gateway) {
        let is = text(written.get(name).map(of_gateway), observed);
        let fresh = text(fresh.get(name).map(of_gateway), should_be);
        if is != fresh {
            return Err(format!(
                "what is said of {name} is not what a fresh run says:\n{}",
                difference(&fresh, &is)
            ));
        }
    }
    Ok(())
}

/// Compares what is said of users' bindings.
pub(crate) fn compare_bindings(
    [written, fresh]: [&BTreeMap<NamespacedName, BindingReport>; 2],
    bindings: &BTreeSet<NamespacedName>,
) -> Result<(), String> {
    for name in bindings {
        let nothing = Observed::default();
        let [is, fresh] =
            [written, fresh].map(|from| text(from.get(name).map(of_binding), &nothing));
        if is != fresh {
            return Err(format!(
                "what is said of TargetGroupBinding {name} is not what a fresh run says:\n{}",
                difference(&fresh, &is)
            ));
        }
    }
    Ok(())
}

fn of_gateway(report: &Report) -> Value {
    let routes = report.route_statuses().into_iter();
    let routes: BTreeMap<String, Value> = routes
        .map(|(route, parents)| (route.to_string(), json!(parents)))
        .collect();
    let findings = report
        .diagnostics()
        .map(|d| format!("{} {:?}", d.code, d.object));
    json!({
        "gateway": report.gateway_status(),
        "routes": routes,
        "failure": report.failure(),
        "findings": findings.collect::<Vec<_>>(),
        "bindings": report.bindings().len(),
    })
}

fn of_binding(report: &BindingReport) -> Value {
    json!({
        "reconciled": report.reconciled(),
        "problem": report.problem(),
        "released": report.is_released(),
    })
}

/// With labels in place of what AWS has named.
fn text(value: Option<Value>, observed: &Observed) -> String {
    let Some(value) = value else {
        return "nothing is said".to_owned();
    };
    let mut text = format!("{value:#}");
    for (id, label) in labels(observed) {
        text = text.replace(&id, &label);
    }
    text
}
