//! `elbow render`: the stacks as JSON.
//!
//! The form is a public interface, described in docs/reference/render-json.md.

use elbow_model::Stack;
use serde::Serialize;

use crate::args::RenderArgs;
use crate::exit_code::ExitCode;
use crate::findings;
use crate::input::{Project, StandIns, inputs};
use crate::offline::Account;
use crate::plan::lookup_failures;
use crate::statuses::{self, ObjectStatus};
use crate::terminal::Terminal;

/// Version of the form; it grows when a reader of the old form would go wrong.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rendered {
    version: u32,
    /// What is wanted in AWS, the cluster's own stack first.
    stacks: Vec<Stack>,
    /// TargetGroupBindings as they would be written, with the ARNs of the built-in AWS.
    bindings: Vec<elbow_api::crds::TargetGroupBinding>,
    /// Statuses as they would be written once all is done, with the ARNs of the built-in AWS.
    statuses: Vec<ObjectStatus>,
}

/// Prints what is wanted, and what the objects' statuses would say once it is done.
pub(crate) fn run(args: &RenderArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let stand_ins = if args.stand_ins {
        StandIns::MakeUp
    } else {
        StandIns::None
    };
    let project = Project::load(&inputs(&args.sources.filename)?, &args.settings, stand_ins)?;
    let mut account = Account::for_project(&project)?;
    let report = account.plan(&project);
    let found = project.findings(report.diagnostics());
    terminal.err(&findings::render_brief(&found, &project.loaded, true))?;
    lookup_failures(&report, terminal)?;
    let done = account.converge(&project);
    let rendered = Rendered {
        version: VERSION,
        stacks: report.stacks.values().cloned().collect(),
        bindings: done.bindings(),
        statuses: statuses::statuses(&project.loaded.snapshot, &done.reports),
    };
    terminal.out(&(serde_json::to_string_pretty(&rendered)? + "\n"))?;
    Ok(if project.is_incomplete() {
        ExitCode::InvalidInput
    } else if !report.failures.is_empty() {
        ExitCode::Failed
    } else {
        ExitCode::Ok
    })
}
