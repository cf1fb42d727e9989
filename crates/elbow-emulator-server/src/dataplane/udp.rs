//! Datagrams through the listeners of network load balancers.
//!
//! In: datagrams at a listener's socket. Out: the same datagrams at a target, and its answers back to
//! the client from the listener's address. Always: a flow is told by the client's address and port, and
//! stays with its target until it has been idle or must end; what has no target is dropped in silence,
//! since there is no way to refuse a datagram.
//!
//! The target sees the load balancer's address as the source. AWS preserves the client's for UDP, which
//! takes privileges.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use elbow_emulator::dataplane::nlb::{FlowDecision, FlowForward};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::nlb::must_end;
use super::plane::ListenerContext;

/// The largest datagram that UDP has room for.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Flows of one listener at a time; each has a socket. AWS documents no limit, a process has one.
const FLOWS_MAX: usize = 10_000;

/// One client at one listener.
struct Flow {
    /// Connected to the target.
    upstream: UdpSocket,
    /// When the last datagram passed, in either direction.
    active_at: Mutex<Instant>,
}

type Flows = Arc<Mutex<BTreeMap<SocketAddr, Arc<Flow>>>>;

impl Flow {
    async fn open(target: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = match target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let upstream = UdpSocket::bind(any).await?;
        upstream.connect(target).await?;
        Ok(Self {
            upstream,
            active_at: Mutex::new(Instant::now()),
        })
    }

    fn touch(&self) {
        *self
            .active_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle_at(&self, timeout: Duration) -> Instant {
        *self
            .active_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            + timeout
    }

    /// Toward the target. A datagram that was refused earlier is reported here, and is no reason to
    /// end the flow.
    async fn send(&self, datagram: &[u8]) {
        self.touch();
        if let Err(error) = self.upstream.send(datagram).await {
            tracing::debug!(%error, "Datagram was lost");
        }
    }
}

/// Serves a listener until it closes.
pub(crate) async fn serve(socket: UdpSocket, listener: ListenerContext) {
    let socket = Arc::new(socket);
    let flows = Flows::default();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let Ok(local) = socket.local_addr() else {
        return;
    };
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = listener.closing.cancelled() => return,
        };
        let (length, client) = match received {
            Ok(received) => received,
            // An answer that a client did not want comes back as an error here.
            Err(error) => {
                tracing::debug!(%error, "Could not receive a datagram");
                continue;
            }
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        let known = lock(&flows).get(&client).cloned();
        if let Some(flow) = known {
            flow.send(datagram).await;
        } else if let Some(flow) = begin(&socket, &flows, &listener, client, local).await {
            flow.send(datagram).await;
        }
    }
}

/// A new flow, if a target takes it.
async fn begin(
    socket: &Arc<UdpSocket>,
    flows: &Flows,
    listener: &ListenerContext,
    client: SocketAddr,
    local: SocketAddr,
) -> Option<Arc<Flow>> {
    let arn = listener.live().served.arn.clone();
    let plane = &listener.plane;
    let decision = plane
        .emulator
        .with(|emulator, now| emulator.route_datagrams(now, &arn, client, local));
    let forward = match decision {
        FlowDecision::Forward(forward) => *forward,
        FlowDecision::Refuse(reason) => {
            tracing::debug!(listener = %arn, ?reason, "Datagram dropped");
            return None;
        }
    };
    if lock(flows).len() >= FLOWS_MAX {
        tracing::warn!(listener = %arn, flows = FLOWS_MAX, "Too many flows");
        return None;
    }
    let target = (plane.dial)(forward.target.address, forward.target.port);
    let flow = match Flow::open(target).await {
        Ok(flow) => Arc::new(flow),
        Err(error) => {
            tracing::debug!(%target, %error, "Target cannot be reached");
            return None;
        }
    };
    lock(flows).insert(client, Arc::clone(&flow));
    let task = Task {
        socket: Arc::clone(socket),
        flows: Arc::clone(flows),
        listener: listener.clone(),
        listener_arn: arn,
        client,
        flow: Arc::clone(&flow),
        forward,
    };
    plane.tasks.spawn(task.run());
    Some(flow)
}

fn lock(flows: &Flows) -> std::sync::MutexGuard<'_, BTreeMap<SocketAddr, Arc<Flow>>> {
    flows.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What carries a flow's answers, and ends it.
struct Task {
    socket: Arc<UdpSocket>,
    flows: Flows,
    listener: ListenerContext,
    listener_arn: String,
    client: SocketAddr,
    flow: Arc<Flow>,
    forward: FlowForward,
}

impl Task {
    async fn run(self) {
        tokio::select! {
            () = self.answers() => {}
            () = self.idle() => {}
            () = must_end(&self.listener, &self.listener_arn, self.client, &self.forward) => {}
            () = self.listener.closing.cancelled() => {}
        }
        lock(&self.flows).remove(&self.client);
    }

    /// From the target to the client.
    async fn answers(&self) {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let length = match self.flow.upstream.recv(&mut buffer).await {
                Ok(length) => length,
                // The target's machine says that nobody listens there: its answers may come yet.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => {
                    tracing::debug!(%error, "Target cannot be heard");
                    return;
                }
            };
            self.flow.touch();
            let datagram = buffer.get(..length).unwrap_or_default();
            if let Err(error) = self.socket.send_to(datagram, self.client).await {
                tracing::debug!(%error, "Client cannot be reached");
            }
        }
    }

    async fn idle(&self) {
        let timeout = self.forward.idle_timeout;
        loop {
            let at = self.flow.idle_at(timeout);
            if at <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(at).await;
        }
    }
}
