//! Golden cases: manifests in; plan, conditions and findings out.
//!
//! A case is a folder below `testdata/golden`: `input.yaml`, whose first line says what it shows, and,
//! for a change, `update.yaml` with objects that are applied over it and `delete.txt` with objects
//! that are removed. `flags.txt` has a flag on each line that the case needs. What every case has is in `base.yaml`. Compared are `plan.txt` (of the change, if
//! there is one), `status.txt` and, where there are any, `findings.txt`.
//!
//! Every case has these properties, which no file states: its plans pass the plan's own lint and
//! survive JSON; after a plan was carried out, planning again is empty; the order of the objects does
//! not matter; what is not ours is untouched; and at every moment of a change a request gets the answer
//! of the old or of the new configuration, and only that one where both agree.

mod foreign;
mod replay;
mod requests;
mod text;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use elbow::args::{Cli, Command, SettingsArgs};
use elbow::input::{Project, StandIns};
use elbow::offline::{Account, Done};
use elbow_api::{Kind, Object, ObjectRef, Severity, Snapshot};
use elbow_cluster::Input;
use elbow_plan::{Plan, lint};
use elbow_reconcile::PlanReport;
use elbow_reconcile::time::Timestamp;
use elbow_testkit::golden::{self, Case};

/// The cluster's name in every case.
const CLUSTER: &str = "golden";

/// The time in every case, by which certificates are judged: 2026-01-01.
const NOW_MS: u64 = 1_767_225_600_000;

fn main() -> ExitCode {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/golden");
    golden::main(&testdata, |case| {
        run(case).map_err(|error| format!("{}\n{error}", case.intent))
    })
}

fn run(case: &Case) -> Result<(), String> {
    let input = load(case, &[case.read("input.yaml")?])?;
    let account = Account::for_project(&input).map_err(|e| format!("{e:#}"))?;
    let mut account = account.at(Timestamp::from_millis(NOW_MS));
    let foreign = foreign::Foreign::create(&mut account)?;

    let creation = plan(&mut account, &input)?;
    let (project, report, done) = match change(case, &input)? {
        None => {
            let done = carry_out(&mut account, &input)?;
            (input, creation, done)
        }
        Some(changed) => {
            let before = carry_out(&mut account, &input)?;
            account.extend(&changed).map_err(|e| format!("{e:#}"))?;
            let report = plan(&mut account, &changed)?;
            let mut replay = replay::Replay::start(&mut account, &before, &report);
            let done = account.converge_watched(&changed, &mut |emulator, now, call| {
                replay.watch(emulator, now, call);
            });
            replay.judge(&mut account, &report.plan())?;
            (changed, report, done)
        }
    };
    at_rest(&mut account, &project, &done)?;
    order_does_not_matter(&mut account, &project)?;
    foreign.is_untouched(&mut account)?;

    let text = text::Redacted::of(account.world());
    let mut outputs = vec![
        ("plan.txt", text.plan(&report.plan())),
        (
            "status.txt",
            text.statuses(&project.loaded.snapshot, &done.reports),
        ),
    ];
    let mut findings = project.findings(report.diagnostics());
    findings.retain(|d| d.severity != Severity::Note);
    if !findings.is_empty() || !done_failures(&done).is_empty() {
        outputs.push((
            "findings.txt",
            text.findings(&findings, &done_failures(&done)),
        ));
    }
    case.check(outputs)
}

/// The settings of every case, and what its flags add.
fn settings(flags: &str) -> SettingsArgs {
    let line = [
        "elbow",
        "lint",
        "-fx",
        "--default-target-type=ip",
        "--aws-region=eu-central-1",
        "--cluster-name",
        CLUSTER,
    ];
    match Cli::parse_from(line.into_iter().chain(flags.lines())).command {
        Command::Lint(lint) => lint.settings,
        other => unreachable!("the line says lint: {other:?}"),
    }
}

fn load(case: &Case, manifests: &[String]) -> Result<Project, String> {
    let base = case.dir.join("../../base.yaml");
    let base = std::fs::read(&base).map_err(|e| format!("cannot read {}: {e}", base.display()))?;
    let inputs: Vec<Input> = [base]
        .into_iter()
        .chain(manifests.iter().map(|text| text.clone().into_bytes()))
        .map(Input::Stdin)
        .collect();
    let flags = case.read_if_present("flags.txt")?.unwrap_or_default();
    let project =
        Project::load(&inputs, &settings(&flags), StandIns::None).map_err(|e| format!("{e:#}"))?;
    // Cases of invalid manifests belong to the source's own tests.
    let invalid: Vec<String> = project
        .loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .map(|d| {
            format!(
                "{:?}: {}",
                d.location.as_ref().map(ToString::to_string),
                d.message
            )
        })
        .collect();
    if invalid.is_empty() {
        Ok(project)
    } else {
        Err(invalid.join("\n"))
    }
}

/// The project after the change of the case, if it has one.
fn change(case: &Case, input: &Project) -> Result<Option<Project>, String> {
    let update = case.read_if_present("update.yaml")?;
    let delete = case.read_if_present("delete.txt")?;
    if update.is_none() && delete.is_none() {
        return Ok(None);
    }
    let mut changed = load(case, &[case.read("input.yaml")?])?;
    if let Some(update) = update {
        let updated = elbow_cluster::load(&[Input::Stdin(update.into_bytes())]);
        if let Some(error) = updated
            .diagnostics
            .iter()
            .find(|d| d.severity == Severity::Error)
        {
            return Err(format!("update.yaml: {}", error.message));
        }
        changed.loaded.apply(updated);
    }
    for line in delete.unwrap_or_default().lines() {
        let object = object_ref(line).ok_or_else(|| format!("delete.txt: what is `{line}`?"))?;
        if changed.loaded.snapshot.remove(&object).is_empty() {
            return Err(format!("delete.txt: there is no {object}"));
        }
    }
    let is_changed = changed.loaded.snapshot.objects() != input.loaded.snapshot.objects();
    if is_changed {
        Ok(Some(changed))
    } else {
        Err("the update changes nothing".to_owned())
    }
}

/// Reads `HTTPRoute shop/web`.
fn object_ref(text: &str) -> Option<ObjectRef> {
    let (kind, name) = text.split_once(' ')?;
    let kind = Kind::ALL.into_iter().find(|k| k.as_str() == kind)?;
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    Some(ObjectRef::new(kind, namespace, name))
}

/// Plans, and checks what holds for every plan.
fn plan(account: &mut Account, project: &Project) -> Result<PlanReport, String> {
    let report = account.plan(project);
    if let Some((unit, error)) = report.failures.first_key_value() {
        return Err(format!("no plan for {unit}: {error}"));
    }
    let plan = report.plan();
    let violations: Vec<String> = lint(&plan, &report.observed, CLUSTER)
        .iter()
        .map(ToString::to_string)
        .collect();
    if !violations.is_empty() {
        return Err(format!(
            "the plan breaks its own rules:\n{}",
            violations.join("\n")
        ));
    }
    let json = serde_json::to_string(&plan).map_err(|e| e.to_string())?;
    let read: Plan = serde_json::from_str(&json).map_err(|e| e.to_string())?;
    if read != plan {
        return Err("the plan does not survive JSON".to_owned());
    }
    for stack in report.stacks.values() {
        let json = serde_json::to_string(stack).map_err(|e| e.to_string())?;
        let read: elbow_model::Stack = serde_json::from_str(&json).map_err(|e| e.to_string())?;
        if read != *stack {
            return Err(format!("stack {} does not survive JSON", stack.id));
        }
    }
    Ok(report)
}

fn carry_out(account: &mut Account, project: &Project) -> Result<Done, String> {
    let done = account.converge(project);
    at_rest(account, project, &done)?;
    Ok(done)
}

/// Nothing is under way, and planning again finds nothing to do.
fn at_rest(account: &mut Account, project: &Project, done: &Done) -> Result<(), String> {
    if !done.convergence.is_quiet && done_failures(done).is_empty() {
        return Err(format!(
            "it does not come to rest: {:?}",
            done.convergence.results
        ));
    }
    let again = plan(account, project)?.plan();
    if again.is_empty() || !done_failures(done).is_empty() {
        return Ok(());
    }
    Err(format!(
        "planning again is not empty:\n{}",
        elbow_plan::render::text::render(&again)
    ))
}

/// Steps that AWS refused.
fn done_failures(done: &Done) -> Vec<String> {
    use elbow_reconcile::RoundResult;
    done.convergence
        .results
        .values()
        .filter_map(|result| match result {
            RoundResult::Incomplete { outcome } => Some(outcome),
            _ => None,
        })
        .flat_map(|outcome| &outcome.failures)
        .map(|failure| {
            format!(
                "{} {}: {}",
                failure.operation, failure.resource, failure.error
            )
        })
        .collect()
}

/// Objects that come in the opposite order give the same Stacks.
fn order_does_not_matter(account: &mut Account, project: &Project) -> Result<(), String> {
    let stacks = account.plan(project).stacks;
    let mut objects: Vec<Object> = project.loaded.snapshot.objects();
    objects.reverse();
    let mut snapshot = Snapshot::new();
    for object in &objects {
        snapshot.apply(object);
    }
    let mut reversed =
        Project::load(&[], &settings(""), StandIns::None).map_err(|e| e.to_string())?;
    reversed.loaded.snapshot = snapshot;
    reversed.settings = project.settings.clone();
    if account.plan(&reversed).stacks == stacks {
        Ok(())
    } else {
        Err("the order of the objects matters".to_owned())
    }
}
