//! Keeps the open listeners equal to what the emulator serves.
//!
//! In: each new revision of the emulator. Out: opened, changed and closed listeners, and the
//! bindings. Always: a listener is reopened only when its port or its protocol changed; what else
//! changes, certificates included, is swapped in place.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use elbow_emulator::dataplane::{KnownLoadBalancer, ServedListener, ServedProtocol};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::OwnsAddress;
use super::addresses::{AddressPool, PortChoice, Sockets, Transport, bind};
use super::bindings::{BindOutcome, Bindings, ListenerBinding, LoadBalancerBinding};
use super::plane::{ListenerContext, Live, Plane};
use super::{alb, nlb, udp};

/// Pause after a failed accept, which as a rule means that there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Supervisor {
    plane: Arc<Plane>,
    ports: PortChoice,
    addresses: AddressPool,
    owns: Option<OwnsAddress>,
    open: BTreeMap<String, Open>,
    publish: watch::Sender<Bindings>,
    changes: watch::Receiver<u64>,
}

/// A listener that is served, or was tried.
struct Open {
    live: watch::Sender<Arc<Live>>,
    closing: CancellationToken,
    /// Each ends with its loop, and with it the bound socket.
    accepting: Vec<tokio::task::JoinHandle<()>>,
    /// The load balancer's addresses when it was opened.
    addresses: Vec<IpAddr>,
    /// Where it listens.
    bound: Vec<SocketAddr>,
    outcome: BindOutcome,
}

impl Supervisor {
    pub(crate) fn new(
        plane: Arc<Plane>,
        addresses: Vec<IpAddr>,
        owns: Option<OwnsAddress>,
        ports: PortChoice,
        publish: watch::Sender<Bindings>,
    ) -> Self {
        let changes = plane.emulator.changes();
        Self {
            plane,
            ports,
            addresses: AddressPool::new(addresses),
            owns,
            open: BTreeMap::new(),
            publish,
            changes,
        }
    }

    /// Follows the emulator until the shutdown.
    pub(crate) async fn run(mut self) {
        let shutdown = self.plane.shutdown.clone();
        loop {
            tokio::select! {
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                () = shutdown.cancelled() => break,
            }
            self.follow().await;
        }
        for open in self.open.into_values() {
            open.close().await;
        }
    }

    /// Makes the open listeners those that the emulator serves now.
    pub(crate) async fn follow(&mut self) {
        let (revision, balancers, wanted) = self.plane.emulator.with(|emulator, now| {
            let mut balancers = emulator.load_balancers(now);
            balancers.retain(|balancer| balancer.serves);
            (emulator.revision(), balancers, emulator.listeners(now))
        });
        self.addresses
            .retain(|arn| balancers.iter().any(|balancer| balancer.arn == arn));
        for balancer in &balancers {
            let own = self.own_addresses(balancer);
            if !own.is_empty() {
                self.addresses.settle(&balancer.arn, own);
            }
        }
        // Also those without a listener: their names resolve, as in AWS.
        for balancer in &balancers {
            self.addresses.assign(&balancer.arn);
        }
        // What goes, goes first: its port may be wanted by what comes.
        let addresses = &mut self.addresses;
        let mut stays = |arn: &String, open: &Open| {
            let mut same = |listener: &ServedListener| {
                let live = open.live.borrow();
                listener.arn == *arn
                    && listener.port == live.served.port
                    && listener.protocol == live.served.protocol
                    && addresses.assign(&listener.load_balancer_arn) == open.addresses
            };
            wanted.iter().any(&mut same)
        };
        let gone: Vec<String> = self
            .open
            .iter()
            .filter(|(arn, open)| !stays(arn, open))
            .map(|(arn, _)| arn.clone())
            .collect();
        for arn in gone {
            if let Some(open) = self.open.remove(&arn) {
                open.close().await;
            }
        }
        for listener in &wanted {
            if let Some(open) = self.open.get(&listener.arn) {
                open.update(listener);
            } else {
                let open = self.open(listener.clone());
                self.open.insert(listener.arn.clone(), open);
            }
        }
        let bindings = self.bindings(revision, &balancers, &wanted);
        self.publish.send_if_modified(|published| {
            let is_news = *published != bindings;
            *published = bindings;
            is_news
        });
    }

    /// The addresses in the VPC that a load balancer may have on this machine.
    fn own_addresses(&self, balancer: &KnownLoadBalancer) -> Vec<IpAddr> {
        let Some(owns) = &self.owns else {
            return Vec::new();
        };
        let addresses = balancer.addresses.iter().copied();
        addresses.filter(|address| owns(*address)).collect()
    }

    fn open(&mut self, served: ServedListener) -> Open {
        let addresses = self.addresses.assign(&served.load_balancer_arn);
        let transport = match served.protocol {
            ServedProtocol::Http
            | ServedProtocol::Https
            | ServedProtocol::Tcp
            | ServedProtocol::Tls => Ok(Transport::Tcp),
            ServedProtocol::Udp => Ok(Transport::Udp),
            ServedProtocol::TcpUdp => Ok(Transport::TcpAndUdp),
            ServedProtocol::Other(protocol) => Err(protocol),
        };
        let (sockets, outcome) = match transport {
            Ok(transport) => bind(&addresses, served.port, self.ports, transport),
            Err(protocol) => (
                Vec::new(),
                BindOutcome::Failed {
                    reason: format!("the data plane does not carry {protocol}"),
                },
            ),
        };
        match &outcome {
            BindOutcome::AsDeclared(_) => {}
            BindOutcome::Mapped { address, reason } => {
                tracing::info!(listener = %served.arn, port = served.port, %address, %reason, "Listener is mapped");
            }
            BindOutcome::Failed { reason } => {
                tracing::warn!(listener = %served.arn, port = served.port, %reason, "Listener is not served");
            }
        }
        let closing = self.plane.shutdown.child_token();
        let (live, receiver) = watch::channel(Arc::new(Live::new(served)));
        let context = ListenerContext {
            plane: Arc::clone(&self.plane),
            live: receiver,
            closing: closing.clone(),
        };
        let mut accepting = Vec::new();
        let mut bound = Vec::new();
        for Sockets { tcp, udp } in sockets {
            let address = match (&tcp, &udp) {
                (Some(tcp), _) => tcp.local_addr(),
                (None, Some(udp)) => udp.local_addr(),
                (None, None) => continue,
            };
            bound.extend(address.ok());
            let tasks = &self.plane.tasks;
            accepting.extend(udp.map(|udp| tasks.spawn(udp::serve(udp, context.clone()))));
            accepting.extend(tcp.map(|tcp| tasks.spawn(accept(tcp, context.clone()))));
        }
        Open {
            live,
            closing,
            accepting,
            addresses,
            bound,
            outcome,
        }
    }

    fn bindings(
        &mut self,
        revision: u64,
        balancers: &[KnownLoadBalancer],
        wanted: &[ServedListener],
    ) -> Bindings {
        let load_balancers = balancers.iter().map(|balancer| {
            let binding = LoadBalancerBinding {
                name: balancer.name.clone(),
                dns_name: balancer.dns_name.clone(),
                addresses: self.addresses.assign(&balancer.arn),
                listeners: BTreeMap::new(),
            };
            (balancer.arn.clone(), binding)
        });
        let mut bindings = Bindings {
            revision,
            load_balancers: load_balancers.collect(),
        };
        for listener in wanted {
            let Some(open) = self.open.get(&listener.arn) else {
                continue;
            };
            let Some(load_balancer) = bindings.load_balancers.get_mut(&listener.load_balancer_arn)
            else {
                continue;
            };
            let binding = ListenerBinding {
                protocol: listener.protocol,
                port: listener.port,
                outcome: open.outcome.clone(),
                addresses: open.bound.clone(),
            };
            load_balancer
                .listeners
                .insert(listener.arn.clone(), binding);
        }
        bindings
    }
}

impl Open {
    fn update(&self, listener: &ServedListener) {
        if self.live.borrow().served != *listener {
            self.live
                .send_replace(Arc::new(Live::new(listener.clone())));
        }
    }

    /// Stops accepting and waits until the sockets are closed, so that their port is free.
    async fn close(self) {
        self.closing.cancel();
        for accepting in self.accepting {
            if let Err(error) = accepting.await {
                tracing::warn!(%error, "Accepting connections failed");
            }
        }
    }
}

async fn accept(listener: TcpListener, context: ListenerContext) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = context.closing.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let plane = Arc::clone(&context.plane);
                let context = context.clone();
                plane.tasks.spawn(async move {
                    match context.live().served.protocol {
                        ServedProtocol::Http | ServedProtocol::Https => {
                            alb::serve(stream, peer, context).await;
                        }
                        _ => nlb::serve(stream, peer, context).await,
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "Could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
