//! Markdown for a pull request, in the dialect of GitHub.
//!
//! In: a plan. Out: a summary, call-outs for hazards, a table of what changes, and the steps folded away.
//! Text from objects is escaped, so that no name can break out of its cell.

use std::collections::BTreeMap;

use crate::hazards::Severity;
use crate::plan::{Action, Plan};
use crate::render::{causes, kind, symbol, values};

/// The plan as Markdown. Ends with a line break.
pub fn render(plan: &Plan) -> String {
    let mut out = Vec::new();
    if plan.is_empty() {
        out.push("**No changes.** What is there is what is wanted.".to_owned());
    } else {
        out.push(format!("**Plan: {}.**", plan.summary()));
        hazards(plan, &mut out);
        table(plan, &mut out);
        steps(plan, &mut out);
    }
    if !plan.unowned.is_empty() {
        out.push(String::new());
        for unowned in &plan.unowned {
            out.push(format!(
                "- left alone: {} `{}` lacks the tags that would make it part of {}",
                unowned.kind, unowned.id, unowned.stack
            ));
        }
    }
    out.push(String::new());
    out.join("\n")
}

fn hazards(plan: &Plan, out: &mut Vec<String>) {
    for (severity, callout) in [(Severity::Danger, "CAUTION"), (Severity::Notice, "NOTE")] {
        let lines: Vec<String> = plan
            .hazards()
            .filter(|(_, hazard)| hazard.severity() == severity)
            .map(|(step, hazard)| {
                let text = escape(&hazard.to_string());
                format!(
                    "> - **{}** {}: {text}",
                    escape(&step.stack.to_string()),
                    escape(&step.name)
                )
            })
            .collect();
        if !lines.is_empty() {
            out.push(String::new());
            out.push(format!("> [!{callout}]"));
            out.extend(lines);
        }
    }
}

/// One row for each resource, with what is done to it and all that differs.
fn table(plan: &Plan, out: &mut Vec<String>) {
    struct Row {
        action: Action,
        changes: Vec<String>,
        causes: String,
    }
    let mut order = Vec::new();
    let mut rows: BTreeMap<_, Row> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.action != Action::Wait) {
        let key = (&step.resource, &step.name, step.action == Action::Delete);
        let row = rows.entry(key).or_insert_with(|| {
            order.push(key);
            Row {
                action: step.action,
                changes: Vec::new(),
                causes: causes(&step.causes),
            }
        });
        row.changes.extend(
            step.changes
                .iter()
                .map(|change| format!("{}: {}", change.field, values(change))),
        );
    }
    out.push(String::new());
    out.push("| | resource | name | change | because of |".to_owned());
    out.push("|---|---|---|---|---|".to_owned());
    for key in order {
        let row = &rows[&key];
        out.push(format!(
            "| `{}` | {} | {} | {} | {} |",
            symbol(row.action),
            key.0.kind,
            escape(key.1),
            escape(&row.changes.join("\n")),
            escape(&row.causes),
        ));
    }
}

fn steps(plan: &Plan, out: &mut Vec<String>) {
    out.push(String::new());
    let noun = if plan.steps.len() == 1 {
        "step"
    } else {
        "steps"
    };
    out.push(format!(
        "<details><summary>{} {noun}, in order</summary>",
        plan.steps.len()
    ));
    out.push(String::new());
    for step in &plan.steps {
        let held = match &step.held {
            Some(held) => format!(" **Held:** {}.", escape(&held.to_string())),
            None => String::new(),
        };
        // The kind of these two says what is done: "wait for target group", "tags of rule".
        let doing = match step.action {
            Action::Wait => "",
            Action::Tag => "set ",
            action => &format!("{} ", action.as_str()),
        };
        out.push(format!(
            "{}. {doing}{} {}: {}{held}",
            step.id,
            kind(step),
            escape(&step.name),
            escape(&step.reason),
        ));
    }
    out.push(String::new());
    out.push("</details>".to_owned());
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => out.push_str("<br>"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' | '#' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}
