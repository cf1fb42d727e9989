//! Text for a terminal.
//!
//! In: a plan. Out: lines with ANSI colours, which the caller strips where nobody sees them (`anstream`
//! does). Steps stand in the order in which they run, under the Stack they belong to.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::hazards::{Hazard, Severity};
use crate::plan::{Action, Plan, Step};
use crate::render::{causes, kind, symbol, values};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();
const DANGER: Style = AnsiColor::Red.on_default().bold();

/// The plan as text. Ends with a line break.
pub fn render(plan: &Plan) -> String {
    let mut out = String::new();
    if plan.is_empty() {
        paint(&mut out, BOLD, "No changes.");
        out.push_str(" What is there is what is wanted.\n");
    } else {
        hazards(&mut out, plan);
        let width = plan.steps.iter().map(|s| kind(s).len()).max().unwrap_or(0);
        let numbers = plan.steps.len().to_string().len();
        let mut stack = None;
        for step in &plan.steps {
            if stack != Some(&step.stack) {
                if stack.is_some() {
                    out.push('\n');
                }
                paint(&mut out, BOLD, &step.stack.to_string());
                out.push('\n');
                stack = Some(&step.stack);
            }
            render_step(&mut out, step, numbers, width);
        }
        out.push('\n');
        paint(&mut out, BOLD, &format!("Plan: {}.", plan.summary()));
        out.push('\n');
    }
    for unowned in &plan.unowned {
        line(
            &mut out,
            &format!(
                "left alone: {} {} lacks the tags that would make it part of {}",
                unowned.kind, unowned.id, unowned.stack
            ),
        );
    }
    out
}

fn hazards(out: &mut String, plan: &Plan) {
    let mut any = false;
    for (step, hazard) in plan.hazards() {
        any = true;
        let (style, word) = weight(hazard);
        paint(out, style, word);
        line(out, &format!(" {} {}: {hazard}", step.stack, step.name));
    }
    if any {
        out.push('\n');
    }
}

fn weight(hazard: &Hazard) -> (Style, &'static str) {
    match hazard.severity() {
        Severity::Danger => (DANGER, "danger:"),
        Severity::Notice => (YELLOW, "notice:"),
    }
}

fn render_step(out: &mut String, step: &Step, numbers: usize, width: usize) {
    let style = match step.action {
        Action::Create | Action::Register => GREEN,
        Action::Replace | Action::Update | Action::Tag | Action::Reorder => YELLOW,
        Action::Delete | Action::Deregister => RED,
        Action::Wait => CYAN,
    };
    let _infallible = write!(out, "{:>numbers$} ", step.id.0);
    paint(out, style, symbol(step.action));
    let _infallible = write!(out, " {:width$}  {}", kind(step), step.name);
    if let Some(held) = &step.held {
        out.push_str("  ");
        paint(out, DANGER, &format!("held: {held}"));
    }
    out.push('\n');

    let indent = numbers + 3;
    let field = step
        .changes
        .iter()
        .map(|c| c.field.len())
        .max()
        .unwrap_or(0);
    for change in &step.changes {
        let text = format!(
            "{:indent$}  {:field$}  {}",
            "",
            change.field,
            values(change)
        );
        line(out, text.trim_end());
    }
    for hazard in &step.hazards {
        let (style, word) = weight(hazard);
        let _infallible = write!(out, "{:indent$}  ", "");
        paint(out, style, word);
        line(out, &format!(" {hazard}"));
    }
    let because = match causes(&step.causes) {
        causes if causes.is_empty() => step.reason.clone(),
        causes => format!("{} ({causes})", step.reason),
    };
    let _infallible = write!(out, "{:indent$}  ", "");
    paint(out, DIM, &because);
    out.push('\n');
}

fn paint(out: &mut String, style: Style, text: &str) {
    let _infallible = write!(out, "{style}{text}{style:#}");
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
