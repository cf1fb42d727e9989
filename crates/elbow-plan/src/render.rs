//! A plan as text for a terminal, as Markdown for a pull request, and as JSON for programs.
//!
//! In: a [`Plan`](crate::Plan). Out: text. What always holds: the same plan gives the same text, nothing
//! in it depends on a clock or a terminal, and hazards stand in front of the steps.

pub mod json;
pub mod markdown;
pub mod text;

use elbow_model::Cause;

use crate::plan::{Action, Change, Step};

/// What stands in front of a step.
pub(crate) const fn symbol(action: Action) -> &'static str {
    match action {
        Action::Create | Action::Register => "+",
        Action::Replace => "±",
        Action::Update | Action::Tag | Action::Reorder => "~",
        Action::Delete | Action::Deregister => "-",
        Action::Wait => ".",
    }
}

/// Objects in one line: few are named, of many the first.
pub(crate) fn causes(causes: &[Cause]) -> String {
    const NAMED: usize = 2;
    let mut names: Vec<String> = causes.iter().take(NAMED).map(ToString::to_string).collect();
    if causes.len() > NAMED {
        names.push(format!("{} more", causes.len() - NAMED));
    }
    names.join(", ")
}

/// A change in one line, without its field.
pub(crate) fn values(change: &Change) -> String {
    match (&change.before, &change.after) {
        (None, Some(after)) => after.clone(),
        (Some(before), None) => format!("{before} -> (none)"),
        (Some(before), Some(after)) => format!("{before} -> {after}"),
        (None, None) => String::new(),
    }
}

/// The kind of the step's resource, or what is done to it where that says more.
pub(crate) fn kind(step: &Step) -> String {
    match step.action {
        Action::Register | Action::Deregister => "targets of".to_owned(),
        Action::Reorder => "rules of".to_owned(),
        Action::Tag => format!("tags of {}", step.resource.kind),
        Action::Wait => format!("wait for {}", step.resource.kind),
        _ => step.resource.kind.to_string(),
    }
}
