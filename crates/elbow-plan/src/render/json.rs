//! JSON for programs: a public interface with a version of its own, documented in
//! `docs/reference/plan-json.md`. A field may be added within a version; nothing else may change.
//!
//! In: a plan. Out: one JSON document. The types here are the interface: what the planner uses inside may
//! change without it.

use elbow_model::{AwsCall, Cause, ResourceKey, StackId};
use serde::Serialize;

use crate::hazards::{Hazard, Severity};
use crate::plan::{Action, Change, Held, Plan, Step, StepKind, Summary, Unowned, Wait};

/// The version of the interface.
pub const VERSION: u32 = 1;

/// The plan as one JSON document, indented. Ends with a line break.
///
/// Errors: none that a plan can cause; serialising plain data does not fail.
pub fn render(plan: &Plan) -> serde_json::Result<String> {
    let document = Document {
        version: VERSION,
        summary: plan.summary(),
        steps: plan.steps.iter().map(StepJson::of).collect(),
        unowned: &plan.unowned,
    };
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    version: u32,
    summary: Summary,
    steps: Vec<StepJson<'a>>,
    unowned: &'a [Unowned],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepJson<'a> {
    id: u32,
    stack: &'a StackId,
    action: Action,
    resource: ResourceJson<'a>,
    reason: &'a str,
    causes: &'a [Cause],
    changes: &'a [Change],
    hazards: Vec<HazardJson<'a>>,
    after: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<HeldJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<CallJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<&'a Wait>,
}

#[derive(Serialize)]
struct ResourceJson<'a> {
    kind: elbow_model::ResourceKind,
    id: &'a elbow_model::ResourceId,
    name: &'a str,
}

#[derive(Serialize)]
struct HazardJson<'a> {
    #[serde(flatten)]
    hazard: &'a Hazard,
    severity: Severity,
    message: String,
}

#[derive(Serialize)]
struct HeldJson<'a> {
    #[serde(flatten)]
    held: &'a Held,
    message: String,
}

#[derive(Serialize)]
struct CallJson<'a> {
    service: &'static str,
    operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provides: Option<&'a ResourceKey>,
    parameters: serde_json::Value,
}

impl<'a> StepJson<'a> {
    fn of(step: &'a Step) -> Self {
        let (call, wait) = match &step.kind {
            StepKind::Call(call) => (Some(CallJson::of(call, step.provides.as_ref())), None),
            StepKind::Wait(wait) => (None, Some(wait)),
        };
        Self {
            id: step.id.0,
            stack: &step.stack,
            action: step.action,
            resource: ResourceJson {
                kind: step.resource.kind,
                id: &step.resource.id,
                name: &step.name,
            },
            reason: &step.reason,
            causes: &step.causes,
            changes: &step.changes,
            hazards: step
                .hazards
                .iter()
                .map(|hazard| HazardJson {
                    hazard,
                    severity: hazard.severity(),
                    message: hazard.to_string(),
                })
                .collect(),
            after: step.after.iter().map(|id| id.0).collect(),
            held: step.held.as_ref().map(|held| HeldJson {
                held,
                message: held.to_string(),
            }),
            call,
            wait,
        }
    }
}

impl<'a> CallJson<'a> {
    fn of(call: &AwsCall, provides: Option<&'a ResourceKey>) -> Self {
        // A call serialises as an object with its operation in it; what is left are the parameters.
        let mut parameters = serde_json::to_value(call).unwrap_or_default();
        if let Some(object) = parameters.as_object_mut() {
            object.remove("operation");
        }
        Self {
            service: call.service(),
            operation: call.operation(),
            provides,
            parameters,
        }
    }
}
