//! The data plane on real sockets: listeners of ALB and NLB, connections to their targets, health
//! checks.
//!
//! In: a [`SharedEmulator`], whose state says what to serve. Out: bound sockets, traffic, and
//! [`Bindings`] that say where each listener is. Always: connections stream, nothing is collected;
//! a change of one listener leaves the connections of the others alone; a listener that cannot be
//! bound is reported and the others serve.
//!
//! Start at [`serve`].

mod activity;
mod addresses;
mod alb;
mod bindings;
mod body;
mod health;
mod mutual_tls;
mod nlb;
mod picks;
mod plane;
mod proxy_protocol;
mod responses;
mod splice;
pub mod standin;
mod supervisor;
#[cfg(test)]
mod tests;
mod tls;
mod udp;
mod upstream;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use addresses::PortChoice;
pub use bindings::{BindOutcome, Bindings, ListenerBinding, LoadBalancerBinding};
pub use plane::Dial;

use crate::SharedEmulator;
use plane::Plane;

/// Whether an address of the VPC is one of this machine's.
pub type OwnsAddress = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// What a data plane is told from outside the emulator.
#[derive(Clone)]
pub struct DataPlaneConfig {
    /// Addresses for load balancers, in the order in which they are handed out: one load balancer
    /// each, oldest first. Empty means that all share `127.0.0.1`.
    pub addresses: Vec<IpAddr>,
    /// Whether this machine has an address that a load balancer's interface has in the VPC. Then the
    /// load balancer is served there, in each of its zones, and gets none of the addresses above.
    pub owns: Option<OwnsAddress>,
    /// Whether listeners get their own ports.
    pub ports: PortChoice,
    /// From a registered target to where it really listens.
    pub dial: Dial,
}

impl DataPlaneConfig {
    /// Targets are where they say they are, and load balancers get 127.0.0.2 and up.
    pub fn direct() -> Self {
        Self {
            addresses: (2..=254)
                .map(|last| IpAddr::from([127, 0, 0, last]))
                .collect(),
            owns: None,
            ports: PortChoice::Declared,
            dial: Arc::new(|address, port| (address, port).into()),
        }
    }
}

impl fmt::Debug for DataPlaneConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataPlaneConfig")
            .field("addresses", &self.addresses.len())
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

/// A data plane that serves.
#[derive(Debug)]
pub struct DataPlane {
    plane: Arc<Plane>,
    bindings: watch::Receiver<Bindings>,
}

/// How long connections may take to end in good order at a shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Serves what the emulator says, until `shutdown`.
///
/// Returns when what is served at the moment has been bound.
pub async fn serve(
    emulator: SharedEmulator,
    config: DataPlaneConfig,
    shutdown: CancellationToken,
) -> DataPlane {
    let (publish, bindings) = watch::channel(Bindings::default());
    let plane = Plane::new(emulator, config.dial, bindings.clone(), shutdown);
    let plane = Arc::new(plane);
    let mut supervisor = supervisor::Supervisor::new(
        Arc::clone(&plane),
        config.addresses,
        config.owns,
        config.ports,
        publish,
    );
    supervisor.follow().await;
    plane.tasks.spawn(supervisor.run());
    plane.tasks.spawn(health::run(Arc::clone(&plane)));
    let pool = Arc::clone(&plane);
    plane.tasks.spawn(async move {
        pool.shutdown.run_until_cancelled(pool.pool.sweep()).await;
    });
    DataPlane { plane, bindings }
}

impl DataPlane {
    /// Where each listener is served, now and after each change.
    pub fn bindings(&self) -> watch::Receiver<Bindings> {
        self.bindings.clone()
    }

    /// How many requests targets have not answered to the end.
    #[cfg(test)]
    fn outstanding(&self) -> usize {
        self.plane.picks.total()
    }

    /// Waits, after the shutdown token was cancelled, until all sockets are closed; connections
    /// that take longer than a second are left to the end of the process.
    pub async fn closed(self) {
        self.plane.tasks.close();
        if tokio::time::timeout(SHUTDOWN_GRACE, self.plane.tasks.wait())
            .await
            .is_err()
        {
            tracing::debug!(
                connections = self.plane.tasks.len(),
                "Connections were cut off"
            );
        }
    }
}
