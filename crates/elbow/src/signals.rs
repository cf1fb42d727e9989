//! Signals that end `elbow local`.
//!
//! In: signals from the terminal, a service manager or CI. Out: [`Interrupt`]s. What always holds: from
//! the moment that [`Signals`] exists none is lost, however long something else takes meanwhile, and
//! none ends the process before it has cleaned up.

use anyhow::Context as _;

/// What ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// Ctrl-C. A terminal sends it to the command as well.
    CtrlC,
    /// A request to end, SIGTERM.
    Terminate,
    /// The terminal is gone, SIGHUP.
    HangUp,
}

impl Interrupt {
    /// 128 and the number of the signal, as shells report it.
    pub(crate) fn status(self) -> u8 {
        128 + match self {
            Self::CtrlC => 2,
            Self::Terminate => 15,
            Self::HangUp => 1,
        }
    }
}

/// Takes signals until it is dropped.
#[cfg(unix)]
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Begins to take signals.
    pub(crate) fn new() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let take = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hang_up: take(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Interrupt {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Interrupt::CtrlC,
            Some(()) = self.terminate.recv() => Interrupt::Terminate,
            Some(()) = self.hang_up.recv() => Interrupt::HangUp,
            else => std::future::pending().await,
        }
    }
}

/// Takes Ctrl-C until it is dropped.
#[cfg(windows)]
pub(crate) struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    /// Begins to take Ctrl-C.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let signal = tokio::signal::windows::ctrl_c().context("cannot listen for Ctrl-C")?;
        Ok(Self(signal))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Interrupt {
        match self.0.recv().await {
            Some(()) => Interrupt::CtrlC,
            None => std::future::pending().await,
        }
    }
}
