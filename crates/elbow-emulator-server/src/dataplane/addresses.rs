//! Addresses for load balancers, and ports for their listeners.
//!
//! In: a pool of loopback addresses, and the load balancer and port that want one. Out: bound
//! sockets. Always: a load balancer keeps its address while it has listeners; a listener is bound
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
    taken: BTreeMap<String, IpAddr>,
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

    /// The address of a load balancer: the one it has, or the first that is free. When all are
    /// taken, load balancers share the first one, and listeners whose port is taken already are
    /// mapped.
    pub(crate) fn assign(&mut self, load_balancer_arn: &str) -> IpAddr {
        if let Some(address) = self.taken.get(load_balancer_arn) {
            return *address;
        }
        let is_taken = |address: &IpAddr| self.taken.values().any(|taken| taken == address);
        let free = self
            .pool
            .iter()
            .find(|address| !is_taken(address))
            .or(self.pool.first());
        let address = free.copied().unwrap_or(Ipv4Addr::LOCALHOST.into());
        self.taken.insert(load_balancer_arn.to_owned(), address);
        address
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

/// Binds a listener.
pub(crate) fn bind(
    address: IpAddr,
    port: u16,
    ports: PortChoice,
    transport: Transport,
) -> (Sockets, BindOutcome) {
    let reason = match ports {
        PortChoice::Mapped => "ports are mapped by choice".to_owned(),
        PortChoice::Declared => match listen(SocketAddr::new(address, port), transport) {
            Ok((sockets, bound)) => return (sockets, BindOutcome::AsDeclared(bound)),
            Err(error) => explain(&error, address, port),
        },
    };
    // The same address keeps load balancers apart; where it is the trouble, the one that every
    // system has is next.
    for candidate in [address, Ipv4Addr::LOCALHOST.into()] {
        if let Ok((sockets, address)) = listen(SocketAddr::new(candidate, 0), transport) {
            return (sockets, BindOutcome::Mapped { address, reason });
        }
    }
    (Sockets::default(), BindOutcome::Failed { reason })
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
        assert_eq!(
            (pool.assign("a"), pool.assign("b")),
            (addresses[0], addresses[1])
        );
        assert_eq!(pool.assign("a"), addresses[0]);
        assert_eq!(
            pool.assign("c"),
            addresses[0],
            "shared when the pool is empty"
        );
        pool.retain(|arn| arn == "b");
        assert_eq!(pool.assign("d"), addresses[0]);
        assert_eq!(
            AddressPool::new(Vec::new()).assign("a"),
            IpAddr::from([127, 0, 0, 1])
        );
    }

    #[tokio::test]
    async fn a_taken_port_is_mapped_and_said_so() {
        let local = IpAddr::from([127, 0, 0, 1]);
        let (_held, outcome) = bind(local, 0, PortChoice::Mapped, Transport::Tcp);
        let taken = outcome.address().unwrap();
        let (sockets, outcome) = bind(
            local,
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
        assert_eq!(sockets.tcp.unwrap().local_addr().unwrap(), address);
        assert_eq!(sockets.udp.unwrap().local_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn an_address_that_is_not_here_is_replaced() {
        let elsewhere = IpAddr::from([192, 0, 2, 1]);
        let (_, outcome) = bind(elsewhere, 9000, PortChoice::Declared, Transport::Udp);
        let BindOutcome::Mapped { address, reason } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(address.ip(), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(reason, "this machine has no address 192.0.2.1");
    }
}
