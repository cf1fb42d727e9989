//! `elbow crds`: the CustomResourceDefinitions as YAML.

use crate::exit_code::ExitCode;
use crate::terminal::Terminal;

/// Prints every definition, one YAML document each.
pub(crate) fn run(terminal: Terminal) -> anyhow::Result<ExitCode> {
    terminal.out(&elbow_api::crds::to_yaml())?;
    Ok(ExitCode::Ok)
}
