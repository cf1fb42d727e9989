//! What `elbow local` shows, each thing on its stream.
//!
//! In: text, and what is awaited. Out: the plan and the table on standard output, or on standard error
//! while a command has standard output for itself; all else on standard error. What always holds: the
//! progress display is taken away before anything else is written.

use super::progress::Progress;
use crate::terminal::Terminal;

/// Where the plan and the table go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a person sees.
pub(crate) struct Display {
    terminal: Terminal,
    results: Stream,
    progress: Progress,
}

impl Display {
    /// Shows nothing yet.
    pub(crate) fn new(terminal: Terminal, results: Stream) -> Self {
        Self {
            terminal,
            results,
            progress: Progress::new(terminal),
        }
    }

    /// Shows a plan or a table.
    pub(crate) fn print(&mut self, text: &str) -> anyhow::Result<()> {
        self.progress.clear();
        match self.results {
            Stream::Out => self.terminal.out(text)?,
            Stream::Err => self.terminal.err(text)?,
        }
        Ok(())
    }

    /// Says how to go on, if that is up to the user and not to a command.
    pub(crate) fn running(&mut self) -> anyhow::Result<()> {
        match self.results {
            Stream::Out => self.tell("\nEdits of the manifests are followed; Ctrl-C ends it.\n"),
            Stream::Err => Ok(()),
        }
    }

    /// Says something that is no result.
    pub(crate) fn tell(&mut self, text: &str) -> anyhow::Result<()> {
        self.progress.clear();
        Ok(self.terminal.err(text)?)
    }

    /// Says that something went wrong.
    pub(crate) fn fail(&mut self, message: &str) -> anyhow::Result<()> {
        self.tell(&format!("error: {message}\n"))
    }

    /// Says that something may be wrong.
    pub(crate) fn warn(&mut self, message: &str) -> anyhow::Result<()> {
        self.tell(&format!("warning: {message}\n"))
    }

    /// Shows what is awaited; nothing when nothing is.
    pub(crate) fn awaiting(&mut self, awaited: &[String]) -> anyhow::Result<()> {
        self.progress.show(awaited)
    }

    /// Takes the progress display away.
    pub(crate) fn clear(&mut self) {
        self.progress.clear();
    }
}
