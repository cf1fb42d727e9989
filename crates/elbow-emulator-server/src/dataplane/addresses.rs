//! Addresses for load balancers, and ports for their listeners.
//!
//! In: a pool of loopback addresses, and the load balancer and port that want one. Out: bound
//! sockets. Always: a load balancer keeps its addresses while it serves; a listener is bound
//! at its own port where the system allows that, and at any free one otherwise, never silently.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use super::bindings::BindOutcome;

/// Which ports listeners are bound at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortChoice {
    /// The port of the listener, or any free one where that cannot be had.
    #[default]
    Declared,
    /// Always any free one.
    Mapped,
}

/// Hands out addresses in the order of the pool.
#[derive(Debug)]
pub(crate) struct AddressPool {
    pool: Vec<IpAddr>,
    taken: BTreeMap<String, Vec<IpAddr>>,
}

/// Connections that wait to be accepted. AWS queues far more; a laptop's default maximum is 4096 or
/// 128.
const BACKLOG: i32 = 1024;

impl AddressPool {
    pub(crate) fn new(pool: Vec<IpAddr>) -> Self {
        Self {
            pool,
            taken: BTreeMap::new(),
        }
    }

    /// Gives a load balancer the addresses that are its own.
    pub(crate) fn settle(&mut self, load_balancer_arn: &str, own: Vec<IpAddr>) {
        self.taken.insert(load_balancer_arn.to_owned(), own);
    }

    /// The addresses of a load balancer: those it has, or the first of the pool that is free. When all
    /// are taken, load balancers share the first one, and listeners whose port is taken already are
    /// mapped.
    pub(crate) fn assign(&mut self, load_balancer_arn: &str) -> Vec<IpAddr> {
        if let Some(addresses) = self.taken.get(load_balancer_arn) {
            return addresses.clone();
        }
        let is_taken = |address: &IpAddr| self.taken.values().flatten().any(|t| t == address);
        let free = self
            .pool
            .iter()
            .find(|address| !is_taken(address))
            .or(self.pool.first());
        let addresses = vec![free.copied().unwrap_or(Ipv4Addr::LOCALHOST.into())];
        self.taken
            .insert(load_balancer_arn.to_owned(), addresses.clone());
        addresses
    }

    /// Gives back the addresses of load balancers that are gone.
    pub(crate) fn retain(&mut self, is_served: impl Fn(&str) -> bool) {
        self.taken
            .retain(|load_balancer_arn, _| is_served(load_balancer_arn));
    }
}

/// Which sockets a listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
    /// Both, at the same port.
    TcpAndUdp,
}

/// Bound sockets.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    pub(crate) tcp: Option<TcpListener>,
    pub(crate) udp: Option<UdpSocket>,
}

/// Binds a listener at all addresses of its load balancer. Where none can be had at the listener's own
/// port, it is bound once, elsewhere.
pub(crate) fn bind(
    addresses: &[IpAddr],
    port: u16,
    ports: PortChoice,
    transport: Transport,
) -> (Vec<Sockets>, BindOutcome) {
    let first = addresses.first().copied();
    let first = first.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let reason = match ports {
        PortChoice::Mapped => "ports are mapped by choice".to_owned(),
        PortChoice::Declared => match listen_at_all(addresses, port, transport) {
            Ok((sockets, bound)) => return (sockets, BindOutcome::AsDeclared(bound)),
            Err(error) => explain(&error, first, port),
        },
    };
    // The same address keeps load balancers apart; where it is the trouble, the one that every
    // system has is next.
    for candidate in [first, Ipv4Addr::LOCALHOST.into()] {
        if let Ok((sockets, address)) = listen(SocketAddr::new(candidate, 0), transport) {
            return (vec![sockets], BindOutcome::Mapped { address, reason });
        }
    }
    (Vec::new(), BindOutcome::Failed { reason })
}

/// All or nothing: a load balancer of which one node does not answer would answer some clients only.
fn listen_at_all(
    addresses: &[IpAddr],
    port: u16,
    transport: Transport,
) -> io::Result<(Vec<Sockets>, SocketAddr)> {
    let mut all = Vec::new();
    let mut first = None;
    for address in addresses {
        let (sockets, bound) = listen(SocketAddr::new(*address, port), transport)?;
        all.push(sockets);
        first.get_or_insert(bound);
    }
    let first = first.ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((all, first))
}

fn listen(address: SocketAddr, transport: Transport) -> io::Result<(Sockets, SocketAddr)> {
    /// Times that a port which is free for TCP may turn out to be taken for UDP.
    const TRIES: usize = 20;
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for _ in 0..TRIES {
        result = listen_once(address, transport);
        if result.is_ok() || address.port() != 0 {
            break;
        }
    }
    result
}

fn listen_once(mut address: SocketAddr, transport: Transport) -> io::Result<(Sockets, SocketAddr)> {
    let mut sockets = Sockets::default();
    if transport != Transport::Udp {
        let tcp = listen_tcp(address)?;
        address = tcp.local_addr()?;
        sockets.tcp = Some(tcp);
    }
    if transport != Transport::Tcp {
        let udp = listen_udp(address)?;
        address = udp.local_addr()?;
        sockets.udp = Some(udp);
    }
    Ok((sockets, address))
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A port that was served a moment ago is free at once; a port that is being served stays taken.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Without the reuse of addresses, by which two could share a UDP port.
fn listen_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn explain(error: &io::Error, address: IpAddr, port: u16) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("port {port} of {address} is taken by another program"),
        io::ErrorKind::PermissionDenied => {
            format!("port {port} is below 1024 and this user may not listen there")
        }
        io::ErrorKind::AddrNotAvailable => format!("this machine has no address {address}"),
        _ => format!("port {port} of {address} cannot be listened on ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_balancers_keep_their_addresses() {
        let addresses: Vec<IpAddr> = (2..4).map(|last| IpAddr::from([127, 0, 0, last])).collect();
        let mut pool = AddressPool::new(addresses.clone());
        let (first, second) = ([addresses[0]], [addresses[1]]);
        assert_eq!(
            (pool.assign("a"), pool.assign("b")),
            (first.into(), second.into())
        );
        assert_eq!(pool.assign("a"), first);
        assert_eq!(pool.assign("c"), first, "shared when the pool is empty");
        pool.retain(|arn| arn == "b");
        assert_eq!(pool.assign("d"), first);
        pool.retain(|_| false);
        pool.settle("e", first.into());
        assert_eq!(pool.assign("e"), first);
        assert_eq!(pool.assign("f"), second, "another's own is not free");
        let none = AddressPool::new(Vec::new()).assign("a");
        assert_eq!(none, [IpAddr::from([127, 0, 0, 1])]);
    }

    #[tokio::test]
    async fn a_taken_port_is_mapped_and_said_so() {
        let local = IpAddr::from([127, 0, 0, 1]);
        let (_held, outcome) = bind(&[local], 0, PortChoice::Mapped, Transport::Tcp);
        let taken = outcome.address().unwrap();
        let (mut sockets, outcome) = bind(
            &[local],
            taken.port(),
            PortChoice::Declared,
            Transport::TcpAndUdp,
        );
        let BindOutcome::Mapped { address, reason } = outcome else {
            panic!("{outcome:?}")
        };
        assert_ne!(address.port(), taken.port());
        assert_eq!(
            reason,
            format!(
                "port {} of 127.0.0.1 is taken by another program",
                taken.port()
            )
        );
        let sockets = sockets.remove(0);
        assert_eq!(sockets.tcp.unwrap().local_addr().unwrap(), address);
        assert_eq!(sockets.udp.unwrap().local_addr().unwrap(), address);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn a_load_balancer_of_several_nodes_answers_at_all_of_them() {
        let nodes = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        // A port that is free at the first is free at the second as a rule, not always.
        for _ in 0..10 {
            let (held, outcome) = bind(&nodes[..1], 0, PortChoice::Mapped, Transport::Tcp);
            let port = outcome.address().unwrap().port();
            drop(held);
            let (sockets, outcome) = bind(&nodes, port, PortChoice::Declared, Transport::Tcp);
            if let BindOutcome::AsDeclared(first) = outcome {
                assert_eq!((first.ip(), sockets.len()), (nodes[0], 2));
                let second = sockets[1].tcp.as_ref().unwrap().local_addr().unwrap();
                assert_eq!(second, SocketAddr::new(nodes[1], port));
                return;
            }
        }
        panic!("no port is free at both");
    }

    #[tokio::test]
    async fn an_address_that_is_not_here_is_replaced() {
        let elsewhere = IpAddr::from([192, 0, 2, 1]);
        let (_, outcome) = bind(&[elsewhere], 9000, PortChoice::Declared, Transport::Udp);
        let BindOutcome::Mapped { address, reason } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(address.ip(), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(reason, "this machine has no address 192.0.2.1");
    }
}
