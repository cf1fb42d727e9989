//! Two connections made one: bytes go both ways until both sides are done.
//!
//! In: two streams and an idle timeout. Out: how it ended. Always: the end of one direction is
//! passed on while the other goes on (half-close); no more than two small buffers are held.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::activity::{Activity, Watched};

/// How a splice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Both sides said that they are done.
    Finished,
    /// No byte came from either side for the idle timeout.
    Idle,
    /// One side broke off.
    Broken,
}

/// Passes bytes between two streams.
pub(crate) async fn splice<A, B>(a: &mut A, b: &mut B, idle_timeout: Duration) -> Ending
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let activity = Activity::new();
    let mut a = Watched::new(a, activity.clone());
    let mut b = Watched::new(b, activity.clone());
    tokio::select! {
        result = tokio::io::copy_bidirectional(&mut a, &mut b) => match result {
            Ok(_) => Ending::Finished,
            Err(_) => Ending::Broken,
        },
        () = activity.idle_for(idle_timeout) => Ending::Idle,
    }
}

/// Makes the coming close of a connection a reset instead of an orderly end.
pub(crate) fn reset_on_close(stream: &TcpStream) {
    let result: io::Result<()> = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    if let Err(error) = result {
        tracing::debug!(%error, "Could not arm a reset");
    }
}
