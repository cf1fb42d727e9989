//! Bodies on their way through an application load balancer: frame by frame, never collected.
//!
//! In: a body from one side. Out: the same frames for the other side, with an eye on how long they
//! take. Always: at most one frame is held; a side that falls silent for the idle timeout ends the
//! body with an error.

use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use tokio::time::{Instant, Sleep};

use super::activity::Activity;

/// Any body of the data plane.
pub(crate) type DataBody = BoxBody<Bytes, BodyError>;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The side that sends it broke off or sent rubbish.
    #[error("the sender of the body broke off")]
    Broken(#[source] hyper::Error),
    /// The side that sends it fell silent.
    #[error("the sender of the body was silent for the idle timeout")]
    Idle,
}

/// A body that is known in full.
pub(crate) fn full(bytes: impl Into<Bytes>) -> DataBody {
    Full::new(bytes.into()).map_err(never).boxed()
}

/// No body.
pub(crate) fn empty() -> DataBody {
    Empty::new().map_err(never).boxed()
}

fn never(never: Infallible) -> BodyError {
    match never {}
}

/// Whether a request's body is waiting for the client, for telling a slow client from a slow
/// target.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientIsAwaited(Arc<AtomicBool>);

impl ClientIsAwaited {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A client's body on its way to a target.
pub(crate) struct UploadBody {
    inner: Incoming,
    activity: Activity,
    awaited: ClientIsAwaited,
}

impl UploadBody {
    /// Wraps a body; each of its frames touches `activity`.
    pub(crate) fn new(inner: Incoming, activity: Activity, awaited: ClientIsAwaited) -> Self {
        Self {
            inner,
            activity,
            awaited,
        }
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let result = Pin::new(&mut self.inner).poll_frame(cx);
        self.awaited.0.store(result.is_pending(), Ordering::Relaxed);
        if result.is_ready() {
            self.activity.touch();
        }
        result.map_err(BodyError::Broken)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for UploadBody {
    fn drop(&mut self) {
        self.awaited.0.store(false, Ordering::Relaxed);
    }
}

/// A target's body on its way to the client, with whatever must live as long as it does.
pub(crate) struct DownloadBody<G> {
    inner: Incoming,
    idle_timeout: Duration,
    silence: Pin<Box<Sleep>>,
    _guard: G,
}

impl<G> DownloadBody<G> {
    /// Wraps a body; `guard` is dropped with it.
    pub(crate) fn new(inner: Incoming, idle_timeout: Duration, guard: G) -> Self {
        Self {
            inner,
            idle_timeout,
            silence: Box::pin(tokio::time::sleep(idle_timeout)),
            _guard: guard,
        }
    }
}

impl<G: Unpin> Body for DownloadBody<G> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                let deadline = Instant::now() + self.idle_timeout;
                self.silence.as_mut().reset(deadline);
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => match self.silence.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Idle))),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
