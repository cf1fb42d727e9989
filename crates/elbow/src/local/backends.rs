//! Who answers behind the load balancers.
//!
//! In: what was made up, and the Services that the user mapped to processes of theirs. Out: a [`Dial`]
//! for the data plane. What always holds: a stand-in, once started, keeps its address until the end, so
//! that an edit of the manifests cuts no connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, bail};
use elbow_api::NamespacedName;
use elbow_emulator_server::dataplane::Dial;
use elbow_emulator_server::dataplane::standin::{StandInKind, stand_in};
use tokio_util::sync::CancellationToken;

use crate::stand_ins::{Backend, MadeUp, Speaks};

/// The discard port: nothing listens there on a machine of our days, so a connection is refused.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

/// A Service that the user answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    service: NamespacedName,
    port: Option<i32>,
    address: SocketAddr,
}

impl Mapping {
    /// Reads `NAMESPACE/SERVICE[:PORT]=HOST:PORT`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let form = || format!("--backend: `{text}` is not NAMESPACE/SERVICE[:PORT]=HOST:PORT");
        let (service, address) = text.split_once('=').with_context(form)?;
        let (service, port) = match service.split_once(':') {
            Some((service, port)) => {
                let port: u16 = port.parse().with_context(form)?;
                (service, Some(i32::from(port)))
            }
            None => (service, None),
        };
        let (namespace, name) = service.split_once('/').with_context(form)?;
        if namespace.is_empty() || name.is_empty() {
            bail!(form());
        }
        let has_port = address
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !has_port {
            bail!(form());
        }
        let address = address
            .to_socket_addrs()
            .with_context(|| format!("--backend: cannot find the address of `{address}`"))?
            .next()
            .with_context(|| format!("--backend: `{address}` has no address"))?;
        Ok(Self {
            service: NamespacedName::new(namespace, name),
            port,
            address,
        })
    }

    fn is_for(&self, backend: &Backend) -> bool {
        self.service == backend.service && self.port.is_none_or(|port| port == backend.port)
    }
}

/// Where targets really listen.
#[derive(Debug, Default)]
struct Table {
    pods: BTreeMap<(IpAddr, u16), SocketAddr>,
    node_ports: BTreeMap<u16, SocketAddr>,
    /// For ports of a pod that no Service has, such as one for health checks only.
    other_ports: BTreeMap<IpAddr, SocketAddr>,
}

/// The backends of one `elbow local`.
pub(crate) struct Backends {
    table: Arc<RwLock<Table>>,
    mappings: Vec<Mapping>,
    stand_ins: BTreeMap<(NamespacedName, i32, Speaks), SocketAddr>,
    shutdown: CancellationToken,
}

impl Backends {
    /// No backends but those of the user; stand-ins run until `shutdown`.
    pub(crate) fn new(mappings: Vec<Mapping>, shutdown: CancellationToken) -> Self {
        Self {
            table: Arc::default(),
            mappings,
            stand_ins: BTreeMap::new(),
            shutdown,
        }
    }

    /// From a target to where it really listens.
    pub(crate) fn dial(&self) -> Dial {
        let table = Arc::clone(&self.table);
        Arc::new(move |address, port| {
            let table = table.read().unwrap_or_else(PoisonError::into_inner);
            let known = table
                .pods
                .get(&(address, port))
                .or_else(|| table.node_ports.get(&port))
                .or_else(|| table.other_ports.get(&address));
            match known {
                Some(address) => *address,
                // A user's own endpoint on this machine; traffic goes nowhere else.
                None if address.is_loopback() => SocketAddr::new(address, port),
                None => NOBODY,
            }
        })
    }

    /// Starts the stand-ins that are missing and takes over the new addresses.
    pub(crate) async fn follow(&mut self, made_up: &MadeUp) -> anyhow::Result<()> {
        let mut table = Table::default();
        for ((address, port), backend) in &made_up.pods {
            let Ok(pod) = address.parse::<IpAddr>() else {
                continue;
            };
            if pod.is_loopback() && !self.mappings.iter().any(|m| m.is_for(backend)) {
                continue;
            }
            let real = self.start(backend).await?;
            table.pods.insert((pod, *port), real);
            table.other_ports.entry(pod).or_insert(real);
        }
        for (port, backend) in &made_up.node_ports {
            let real = self.start(backend).await?;
            table.node_ports.insert(*port, real);
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        Ok(())
    }

    /// Mappings of Services that the manifests do not send traffic to: most likely a slip.
    pub(crate) fn unused(&self, made_up: &MadeUp) -> Vec<String> {
        let backends = || made_up.pods.values().chain(made_up.node_ports.values());
        self.mappings
            .iter()
            .filter(|mapping| !backends().any(|backend| mapping.is_for(backend)))
            .map(|mapping| {
                format!(
                    "--backend: no route sends traffic to Service {}",
                    mapping.service
                )
            })
            .collect()
    }

    async fn start(&mut self, backend: &Backend) -> anyhow::Result<SocketAddr> {
        if let Some(mapping) = self.mappings.iter().find(|m| m.is_for(backend)) {
            return Ok(mapping.address);
        }
        let key = (backend.service.clone(), backend.port, backend.speaks);
        if let Some(address) = self.stand_ins.get(&key) {
            return Ok(*address);
        }
        let kind = match backend.speaks {
            Speaks::Http => StandInKind::Http,
            Speaks::Udp => StandInKind::TcpAndUdpEcho,
            Speaks::Tcp => StandInKind::TcpEcho,
        };
        let label = format!("{}:{}", backend.service, backend.port);
        let address = stand_in(kind, label.clone(), self.shutdown.clone())
            .await
            .with_context(|| format!("cannot start a stand-in for Service {label}"))?;
        self.stand_ins.insert(key, address);
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_read() {
        let mapping = Mapping::parse("app-ns/app-service=127.0.0.1:3000").expect("it is right");
        assert_eq!(
            mapping.service,
            NamespacedName::new("app-ns", "app-service")
        );
        assert_eq!(mapping.port, None);
        assert_eq!(
            Mapping::parse("a/b:80=127.0.0.1:1")
                .expect("it is right")
                .port,
            Some(80)
        );
        for wrong in [
            "a=127.0.0.1:1",
            "a/b",
            "/b=127.0.0.1:1",
            "a/b:x=127.0.0.1:1",
            "a/b=127.0.0.1",
        ] {
            let error = Mapping::parse(wrong).expect_err(wrong);
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }
}
