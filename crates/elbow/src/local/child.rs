//! The command of `elbow local -- COMMAND`.
//!
//! In: a command, and what it finds in its environment. Out: its exit status. What always holds: the
//! command is ended when elbow is, and it never sees credentials of the user's.

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};

use super::state::AwsState;
use crate::exit_code::ExitCode;
use crate::signals::Interrupt;

/// Credentials for the built-in AWS, which checks their form alone. The key is one of AWS's own
/// documentation.
pub(crate) const ACCESS_KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "elbow-local-throwaway");

/// How long the command may take to end by itself after Ctrl-C, before it is told to end.
const BY_ITSELF: Duration = Duration::from_millis(500);

/// How long it may take to end once it was told, before it is made to. With the time to close all
/// sockets this stays below the two seconds that Ctrl-C may take.
const GRACE: Duration = Duration::from_millis(500);

/// Variables that would lead a client elsewhere.
const FOREIGN: [&str; 6] = [
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
];

/// A command that runs.
pub(crate) struct Running {
    child: Child,
    name: String,
}

/// Starts the command.
pub(crate) fn start(
    command: &[OsString],
    aws: &AwsState,
    state_file: &Path,
) -> anyhow::Result<Running> {
    let (program, arguments) = command.split_first().context("no command is given")?;
    let name = program.to_string_lossy().into_owned();
    let (key, secret) = ACCESS_KEY;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::inherit())
        .env("AWS_ENDPOINT_URL", &aws.endpoint_url)
        .env("AWS_REGION", &aws.region)
        .env("AWS_DEFAULT_REGION", &aws.region)
        .env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("ELBOW_STATE", state_file)
        .kill_on_drop(true);
    for variable in FOREIGN {
        command.env_remove(variable);
    }
    let child = command
        .spawn()
        .with_context(|| format!("cannot run `{name}`"))?;
    Ok(Running { child, name })
}

/// The exit status of a shell for a command that cannot be run: 127 when there is none of that name,
/// 126 when it is there and cannot be executed.
pub(crate) fn not_run_status(error: &anyhow::Error) -> u8 {
    let error = error.downcast_ref::<std::io::Error>();
    let is_missing = error.is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound);
    if is_missing { 127 } else { 126 }
}

impl Running {
    /// Waits for the end of the command.
    pub(crate) async fn end(&mut self) -> anyhow::Result<ExitCode> {
        let status = self
            .child
            .wait()
            .await
            .with_context(|| format!("cannot wait for `{}`", self.name))?;
        Ok(match status.code() {
            Some(0) => ExitCode::Ok,
            Some(code) => ExitCode::Child(u8::try_from(code).unwrap_or(1)),
            None => ExitCode::Child(signal_status(status)),
        })
    }

    /// Ends the command: gives it time to end by itself after Ctrl-C, which it got from the terminal
    /// as well, then tells it to end, then ends it.
    pub(crate) async fn stop(mut self, interrupt: Interrupt) {
        if interrupt == Interrupt::CtrlC && self.ends_within(BY_ITSELF).await {
            return;
        }
        self.tell_to_end();
        if !self.ends_within(GRACE).await {
            // It may have ended in this very moment, which is as good.
            drop(self.child.kill().await);
        }
    }

    async fn ends_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.child.wait()).await.is_ok()
    }

    #[cfg(unix)]
    fn tell_to_end(&self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            let told = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            if let Err(error) = told {
                tracing::debug!(%error, "The command ended meanwhile");
            }
        }
    }

    #[cfg(not(unix))]
    fn tell_to_end(&self) {}
}

/// 128 and the number of the signal, as shells report it.
#[cfg(unix)]
fn signal_status(status: std::process::ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .signal()
        .and_then(|signal| u8::try_from(128 + signal).ok())
        .unwrap_or(1)
}

#[cfg(not(unix))]
fn signal_status(_: std::process::ExitStatus) -> u8 {
    1
}
