//! What all listeners of a data plane share, and what one listener is made of at the moment.
//!
//! Always: rules and targets are asked of the emulator for each request, so a change of them takes
//! effect with the next one; what is in [`Live`] is replaced as a whole when the emulator's
//! revision changes, and a connection keeps the one that it began with for its TLS alone.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use elbow_emulator::dataplane::request::TargetEndpoint;
use elbow_emulator::dataplane::settings::AlbSettings;
use elbow_emulator::dataplane::{ServedListener, ServedProtocol};
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bindings::Bindings;
use super::picks::Picks;
use super::tls;
use super::upstream::Pool;
use crate::SharedEmulator;

/// From a registered target's address and port to where it really listens.
pub type Dial = Arc<dyn Fn(IpAddr, u16) -> SocketAddr + Send + Sync>;

/// Shared by all listeners.
pub(crate) struct Plane {
    pub(crate) emulator: SharedEmulator,
    pub(crate) dial: Dial,
    pub(crate) picks: Picks,
    pub(crate) pool: Pool,
    /// Where listeners are served, for load balancers that are targets.
    bindings: watch::Receiver<Bindings>,
    /// Ends everything.
    pub(crate) shutdown: CancellationToken,
    /// Every task of the data plane.
    pub(crate) tasks: TaskTracker,
    next: AtomicU64,
}

impl Plane {
    pub(crate) fn new(
        emulator: SharedEmulator,
        dial: Dial,
        bindings: watch::Receiver<Bindings>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            bindings,
            emulator,
            dial,
            picks: Picks::default(),
            pool: Pool::default(),
            shutdown,
            tasks: TaskTracker::new(),
            next: AtomicU64::new(0),
        }
    }

    /// Where a target really listens; nowhere while a load balancer that is one is not served.
    pub(crate) fn locate(&self, target: &TargetEndpoint) -> Option<SocketAddr> {
        if target.id.starts_with("arn:") {
            self.locate_load_balancer(&target.id, target.port)
        } else {
            Some((self.dial)(target.address, target.port))
        }
    }

    /// Where a load balancer serves a port.
    pub(crate) fn locate_load_balancer(&self, arn: &str, port: u16) -> Option<SocketAddr> {
        let bindings = self.bindings.borrow();
        let mut listeners = bindings.load_balancers.get(arn)?.listeners.values();
        let listener = listeners.find(|listener| listener.port == port)?;
        listener.outcome.address()
    }

    /// A number that nothing else here has had.
    pub(crate) fn unique(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane")
            .field("tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

/// What a listener is at the moment.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) served: ServedListener,
    pub(crate) settings: AlbSettings,
    /// With HTTPS and TLS; `None` also when there is no certificate that could be shown.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

impl Live {
    pub(crate) fn new(served: ServedListener) -> Self {
        let tls = match served.protocol {
            ServedProtocol::Https | ServedProtocol::Tls => match tls::server_config(&served) {
                Ok(config) => Some(Arc::new(config)),
                Err(error) => {
                    tracing::warn!(listener = %served.arn, %error, "Listener cannot speak TLS");
                    None
                }
            },
            _ => None,
        };
        Self {
            settings: served.alb_settings(),
            served,
            tls,
        }
    }
}

/// One listener, as its connections see it.
#[derive(Clone, Debug)]
pub(crate) struct ListenerContext {
    pub(crate) plane: Arc<Plane>,
    pub(crate) live: watch::Receiver<Arc<Live>>,
    /// Ends when the listener is gone or the data plane shuts down.
    pub(crate) closing: CancellationToken,
}

impl ListenerContext {
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.borrow())
    }
}
