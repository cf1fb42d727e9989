//! What happens meanwhile, for people.
//!
//! In: lines that say what is awaited. Out: on a terminal a display that is redrawn in place, elsewhere
//! a line for each change. What always holds: nothing of it goes to standard output.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::terminal::Terminal;

/// How often the display moves: often enough to look alive.
const FRAME: Duration = Duration::from_millis(100);

/// A display of what is awaited.
pub(crate) struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    last: Vec<String>,
}

impl Progress {
    /// A display that shows nothing yet.
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self {
            terminal,
            bar: None,
            last: Vec::new(),
        }
    }

    /// Shows what is awaited; nothing when nothing is.
    pub(crate) fn show(&mut self, awaited: &[String]) -> anyhow::Result<()> {
        // A display that was taken away for other output comes back.
        let is_gone = self.bar.is_none() && self.terminal.is_interactive() && !awaited.is_empty();
        if awaited == self.last && !is_gone {
            return Ok(());
        }
        self.last = awaited.to_vec();
        if awaited.is_empty() {
            self.clear();
        } else if self.terminal.is_interactive() {
            let bar = self.bar.get_or_insert_with(|| {
                let bar = ProgressBar::new_spinner();
                if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                    bar.set_style(style);
                }
                bar.enable_steady_tick(FRAME);
                bar
            });
            bar.set_message(summary(awaited));
        } else {
            self.terminal
                .err(&format!("waiting: {}\n", summary(awaited)))?;
        }
        Ok(())
    }

    /// Takes the display away, so that other output does not run into it.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// The first thing that is awaited, and how many more there are.
fn summary(awaited: &[String]) -> String {
    match awaited {
        [] => String::new(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    }
}
