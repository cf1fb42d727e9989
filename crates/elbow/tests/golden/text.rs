//! Outputs as text that does not change from run to run.
//!
//! In: plans, statuses and findings. Out: the same with generated ids replaced: a subnet by what it is,
//! the random part of an ARN or DNS name by an ellipsis.

use std::collections::BTreeMap;

use elbow::statuses::{Status, statuses};
use elbow_api::{Diagnostic, NamespacedName, Snapshot};
use elbow_loopback::world::{Reach, World};
use elbow_plan::{Plan, render};
use elbow_reconcile::Report;
use elbow_translate::status::{Condition, ListenerStatus};

/// Replaces generated ids.
pub(crate) struct Redacted {
    subnets: Vec<(String, String)>,
}

impl Redacted {
    /// Knows the ids of this world.
    pub(crate) fn of(world: &World) -> Self {
        let subnets = world.subnets.iter().map(|subnet| {
            let reach = match subnet.reach {
                Reach::Public => "public",
                Reach::Private => "private",
            };
            (
                subnet.id.clone(),
                format!("subnet({reach}, {})", subnet.zone),
            )
        });
        Self {
            subnets: subnets.collect(),
        }
    }

    /// A plan.
    pub(crate) fn plan(&self, plan: &Plan) -> String {
        self.redact(&strip_styles(&render::text::render(plan)))
    }

    /// The statuses of all objects of ours, a line for each condition.
    pub(crate) fn statuses(
        &self,
        snapshot: &Snapshot,
        reports: &BTreeMap<NamespacedName, Report>,
    ) -> String {
        let mut text = String::new();
        for object in statuses(snapshot, reports) {
            text.push_str(&format!("{}\n", object.object));
            match &object.status {
                Status::Class(status) => conditions(&mut text, "  ", &status.conditions),
                Status::Gateway(status) => {
                    for address in status.addresses.iter().flatten() {
                        text.push_str(&format!("  address {address}\n"));
                    }
                    conditions(&mut text, "  ", &status.conditions);
                    if let Some(count) = status.attached_listener_sets.filter(|n| *n > 0) {
                        text.push_str(&format!("  {count} ListenerSets attached\n"));
                    }
                    for of_listener in status.listeners.iter().flatten() {
                        listener(&mut text, of_listener);
                    }
                }
                Status::ListenerSet(status) => {
                    conditions(&mut text, "  ", &status.conditions);
                    for of_listener in &status.listeners {
                        listener(&mut text, of_listener);
                    }
                }
                Status::Route { parents } => {
                    for parent in parents {
                        let reference = serde_json::to_string(&parent.parent_ref)
                            .unwrap_or_else(|error| error.to_string());
                        text.push_str(&format!("  parent {reference}\n"));
                        conditions(&mut text, "    ", &parent.conditions);
                    }
                }
            }
        }
        self.redact(&text)
    }

    /// Findings, and steps that AWS refused.
    pub(crate) fn findings(&self, findings: &[Diagnostic], failures: &[String]) -> String {
        let mut text = String::new();
        for finding in findings {
            text.push_str(&format!("{} {}", finding.severity, finding.code));
            if let Some(object) = &finding.object {
                text.push_str(&format!(" {object}"));
            }
            if let Some(field) = &finding.field {
                text.push_str(&format!(" {field}"));
            }
            text.push_str(&format!("\n  {}\n", finding.message));
            if let Some(hint) = &finding.hint {
                text.push_str(&format!("  hint: {hint}\n"));
            }
        }
        for failure in failures {
            text.push_str(&format!("refused {failure}\n"));
        }
        self.redact(&text)
    }

    fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (id, name) in &self.subnets {
            text = text.replace(id, name);
        }
        redact_ids(&text)
    }
}

fn listener(text: &mut String, status: &ListenerStatus) {
    let kinds: Vec<&str> = status
        .supported_kinds
        .iter()
        .map(|k| k.kind.as_str())
        .collect();
    text.push_str(&format!(
        "  listener {}: {} attached, supports {}\n",
        status.name,
        status.attached_routes,
        kinds.join(", ")
    ));
    conditions(text, "    ", &status.conditions);
}

fn conditions(text: &mut String, indent: &str, conditions: &[Condition]) {
    for c in conditions {
        text.push_str(&format!(
            "{indent}{}={} {}@{}{}{}\n",
            c.condition_type,
            c.status,
            c.reason,
            c.observed_generation,
            if c.message.is_empty() { "" } else { ": " },
            c.message
        ));
    }
}

/// Replaces generated ids of ELBv2 and EC2: 16 or 17 hexadecimal digits after `/` or `-`, and the
/// number in a DNS name.
fn redact_ids(text: &str) -> String {
    let mut out = String::new();
    for (index, word) in text
        .split_inclusive(['/', '-', ' ', '\n', ',', '.', ')'])
        .enumerate()
    {
        let (body, end) = match word.char_indices().last() {
            Some((at, last)) if !last.is_ascii_alphanumeric() => word.split_at(at),
            _ => (word, ""),
        };
        let is_hex = body.chars().all(|c| c.is_ascii_hexdigit());
        let is_id = is_hex && matches!(body.len(), 16 | 17);
        let is_number = body.len() >= 8 && body.chars().all(|c| c.is_ascii_digit());
        if index > 0 && (is_id || (is_number && end == ".")) {
            out.push('…');
        } else {
            out.push_str(body);
        }
        out.push_str(end);
    }
    out
}

/// Text without the escape sequences of styles.
fn strip_styles(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
