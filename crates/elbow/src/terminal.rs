//! What a person sees: colours where they are wanted, data on standard output, the rest on standard
//! error.
//!
//! A reader that goes away (`elbow plan | head`) is no failure: what is left is not written.

use std::io::{self, IsTerminal as _, Write};

use crate::args::Color;

/// Where output goes, and whether it is coloured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    choice: anstream::ColorChoice,
}

impl Terminal {
    /// Colours as the user wants them; `auto` looks at each stream and at `NO_COLOR`.
    pub(crate) fn new(color: Color) -> Self {
        let choice = match color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        };
        Self { choice }
    }

    /// Writes to standard output; styles in the text are dropped where they are not wanted.
    pub(crate) fn out(self, text: &str) -> io::Result<()> {
        tolerate_closed_pipe(self.write(io::stdout(), text))
    }

    /// Writes to standard error.
    pub(crate) fn err(self, text: &str) -> io::Result<()> {
        tolerate_closed_pipe(self.write(io::stderr(), text))
    }

    /// Whether standard error shows a progress display well.
    pub(crate) fn is_interactive(self) -> bool {
        self.choice != anstream::ColorChoice::Never && io::stderr().is_terminal()
    }

    fn write<S>(self, stream: S, text: &str) -> io::Result<()>
    where
        S: anstream::stream::RawStream,
        anstream::AutoStream<S>: Write,
    {
        let mut stream = anstream::AutoStream::new(stream, self.choice);
        stream.write_all(text.as_bytes())?;
        stream.flush()
    }
}

fn tolerate_closed_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
