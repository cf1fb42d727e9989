//! `elbow lint`: what is wrong with manifests.

use elbow_api::Severity;

use crate::args::{LintArgs, LintOutput};
use crate::exit_code::ExitCode;
use crate::findings;
use crate::input::{Project, StandIns, inputs};
use crate::offline::Account;
use crate::plan::lookup_failures;
use crate::terminal::Terminal;

/// Prints every finding; ends with [`ExitCode::InvalidInput`] if one is an error.
pub(crate) fn run(args: &LintArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let stand_ins = if args.stand_ins {
        StandIns::MakeUp
    } else {
        StandIns::None
    };
    let project = Project::load(&inputs(&args.sources.filename)?, &args.settings, stand_ins)?;
    let report = Account::for_project(&project)?.plan(&project);
    let found = project.findings(report.diagnostics());
    match args.output {
        LintOutput::Text => {
            terminal.out(&findings::render(&found, &project.loaded, true))?;
            terminal.err(&format!("{}\n", findings::count(&found)))?;
        }
        LintOutput::Json => {
            terminal.out(&(serde_json::to_string_pretty(&found)? + "\n"))?;
        }
    }
    lookup_failures(&report, terminal)?;
    Ok(if found.iter().any(|d| d.severity == Severity::Error) {
        ExitCode::InvalidInput
    } else {
        ExitCode::Ok
    })
}
