//! Exit codes of the program. They are a public contract, listed in `elbow --help`.

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitCode {
    /// What was asked for is done.
    Ok,
    /// It failed; a message says why.
    Failed,
    /// `plan --exit-code`: there are changes.
    PlanHasChanges,
    /// A manifest could not be read or is not valid, so the answer is not about all of it.
    InvalidInput,
    /// The command line is wrong (`EX_USAGE` of sysexits.h; clap's own 2 would mean "has changes").
    Usage,
    /// `local -- COMMAND` ended with this status.
    Child(u8),
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(match code {
            ExitCode::Ok => 0,
            ExitCode::Failed => 1,
            ExitCode::PlanHasChanges => 2,
            ExitCode::InvalidInput => 3,
            ExitCode::Usage => 64,
            ExitCode::Child(status) => status,
        })
    }
}
