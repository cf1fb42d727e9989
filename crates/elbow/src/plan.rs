//! `elbow plan`: what would change in AWS, and why.

use elbow_plan::render;
use elbow_reconcile::drive::PlanReport;

use crate::args::{PlanArgs, PlanOutput};
use crate::exit_code::ExitCode;
use crate::findings;
use crate::input::{Project, StandIns, inputs};
use crate::offline::Account;
use crate::terminal::Terminal;

/// Plans against nothing, or against `--base`.
pub(crate) fn run(args: &PlanArgs, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let stand_ins = if args.stand_ins {
        StandIns::MakeUp
    } else {
        StandIns::None
    };
    let project = Project::load(&inputs(&args.sources.filename)?, &args.settings, stand_ins)?;
    let mut account = if args.base.is_empty() {
        Account::for_project(&project)?
    } else {
        let base = Project::load(&inputs(&args.base)?, &args.settings, stand_ins)?;
        if base.is_incomplete() {
            let text = findings::render(&base.findings(Vec::new()), &base.loaded, true);
            terminal.err(&text)?;
            terminal.err("error: the base is invalid, so there is nothing to plan against\n")?;
            return Ok(ExitCode::InvalidInput);
        }
        let mut account = Account::for_project(&base)?;
        if !account.converge(&base).convergence.is_quiet {
            terminal
                .err("warning: the base does not come to rest; the plan may repeat its part\n")?;
        }
        account.extend(&project)?;
        account
    };
    let report = account.plan(&project);
    let findings = project.findings(report.diagnostics());
    terminal.err(&findings::render_brief(&findings, &project.loaded, true))?;
    lookup_failures(&report, terminal)?;

    let plan = report.plan();
    terminal.out(&match args.output {
        PlanOutput::Text => render::text::render(&plan),
        PlanOutput::Json => render::json::render(&plan)?,
        PlanOutput::Markdown => render::markdown::render(&plan),
    })?;
    Ok(if project.is_incomplete() {
        ExitCode::InvalidInput
    } else if !report.failures.is_empty() {
        ExitCode::Failed
    } else if args.exit_code && !plan.is_empty() {
        ExitCode::PlanHasChanges
    } else {
        ExitCode::Ok
    })
}

/// Says for which Gateways there is no plan.
pub(crate) fn lookup_failures(report: &PlanReport, terminal: Terminal) -> anyhow::Result<()> {
    for (unit, error) in &report.failures {
        terminal.err(&format!("error: no plan for {unit}: {error}\n"))?;
    }
    Ok(())
}
