//! A cluster as the simulator thinks of it: what people have declared, in as few words as possible.
//!
//! In: a random stream. Out: a [`Cluster`] to begin with, and parts for edits. What always holds: what
//! is made is something that AWS takes, though its parts may contradict each other as people's do: a
//! route to a Service that is gone, a Gateway whose configuration is missing.

use std::collections::{BTreeMap, BTreeSet};

use crate::bindings::Bindings;
use crate::extras::Extras;
use crate::random::Random;

/// Names of hosts that routes and listeners use.
pub(crate) const HOSTS: [&str; 4] = [
    "a.example.com",
    "b.example.com",
    "*.example.com",
    "c.example.org",
];
const PATHS: [&str; 6] = ["/", "/app", "/app/v1", "/shop", "/img", "/static/js"];
/// Numbers of Gateways, of routes and of Services that may exist.
pub(crate) const GATEWAYS: u64 = 3;
pub(crate) const ROUTES: u64 = 6;
pub(crate) const SERVICES: u64 = 4;
/// Certificates that the account holds.
pub(crate) const CERTIFICATES: usize = 3;
const PORTS: [u16; 4] = [80, 443, 8080, 9000];

/// What is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) gateways: BTreeMap<u64, Gateway>,
    pub(crate) routes: BTreeMap<u64, Route>,
    pub(crate) services: BTreeMap<u64, Service>,
    /// Whether each node is ready.
    pub(crate) nodes: BTreeMap<u64, bool>,
    /// TargetGroupBindings that users write.
    pub(crate) bindings: Bindings,
    /// What only a simulation with everything has.
    pub(crate) extras: Extras,
}

/// Which load balancer a Gateway's class gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Balancer {
    Application,
    Network,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gateway {
    pub(crate) balancer: Balancer,
    /// Counts re-creations: each has a UID of its own.
    pub(crate) incarnation: u64,
    pub(crate) is_deleting: bool,
    pub(crate) listeners: BTreeMap<u16, Listener>,
    /// Its LoadBalancerConfiguration.
    pub(crate) config: Config,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Https,
    Tcp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) protocol: Protocol,
    pub(crate) hostname: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Whether the object that the Gateway refers to is there.
    pub(crate) exists: bool,
    pub(crate) is_public: bool,
    pub(crate) idle_timeout_seconds: Option<u64>,
    pub(crate) tags: BTreeMap<&'static str, u64>,
    pub(crate) source_ranges: BTreeSet<&'static str>,
    /// Security groups of somebody else's that replace the managed one.
    pub(crate) security_groups: bool,
    pub(crate) certificate: usize,
    pub(crate) more_certificates: BTreeSet<usize>,
    pub(crate) has_new_tls_policy: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) gateway: u64,
    /// TCP routes have no hosts, matches and filters.
    pub(crate) is_tcp: bool,
    pub(crate) section: Option<u16>,
    pub(crate) hosts: BTreeSet<&'static str>,
    pub(crate) rules: Vec<Rule>,
    /// Counts re-creations; older routes go first.
    pub(crate) created_at: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) matches: Vec<Match>,
    pub(crate) filter: Filter,
    pub(crate) backends: Vec<Backend>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) is_exact: bool,
    pub(crate) path: &'static str,
    pub(crate) method: Option<&'static str>,
    pub(crate) header: Option<&'static str>,
    pub(crate) query: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter {
    None,
    Redirect,
    Rewrite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) service: u64,
    pub(crate) weight: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) target_port: u16,
    /// Hosts of pods in the VPC's network.
    pub(crate) pods: BTreeSet<u8>,
    pub(crate) targets: Option<Targets>,
}

/// A TargetGroupConfiguration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Targets {
    pub(crate) is_instance: bool,
    pub(crate) health_path: Option<&'static str>,
    pub(crate) interval_seconds: u64,
    pub(crate) delay_seconds: Option<u64>,
    pub(crate) version: Option<&'static str>,
    pub(crate) tag: Option<u64>,
}

/// A cluster to begin with.
pub(crate) fn cluster(random: &mut Random) -> Cluster {
    let mut cluster = Cluster {
        gateways: BTreeMap::new(),
        routes: BTreeMap::new(),
        services: BTreeMap::new(),
        nodes: BTreeMap::from([(1, true), (2, true), (3, true)]),
        bindings: Bindings::new(),
        extras: Extras::default(),
    };
    for number in 0..random.between(2, SERVICES) {
        cluster.services.insert(number, service(random));
    }
    for number in 0..random.between(1, GATEWAYS) {
        cluster.gateways.insert(number, gateway(random, 0));
    }
    for number in 0..random.between(1, ROUTES) {
        if let Some(route) = route(random, &cluster, 0) {
            cluster.routes.insert(number, route);
        }
    }
    cluster
}

pub(crate) fn gateway(random: &mut Random, incarnation: u64) -> Gateway {
    let balancer = if random.chance(700) {
        Balancer::Application
    } else {
        Balancer::Network
    };
    Gateway {
        balancer,
        incarnation,
        is_deleting: false,
        listeners: listeners(random, balancer),
        config: config(random),
    }
}

pub(crate) fn listeners(random: &mut Random, balancer: Balancer) -> BTreeMap<u16, Listener> {
    let mut listeners = BTreeMap::new();
    for _ in 0..random.between(1, 2) {
        let port = random.one(PORTS);
        listeners.insert(port, listener(random, balancer));
    }
    listeners
}

pub(crate) fn listener(random: &mut Random, balancer: Balancer) -> Listener {
    let protocol = match balancer {
        Balancer::Network => Protocol::Tcp,
        Balancer::Application if random.chance(400) => Protocol::Https,
        Balancer::Application => Protocol::Http,
    };
    let hostname = random.chance(200).then(|| random.one(HOSTS));
    Listener {
        protocol,
        hostname: hostname.filter(|_| protocol != Protocol::Tcp),
    }
}

pub(crate) fn any_port(random: &mut Random) -> u16 {
    random.one(PORTS)
}

fn config(random: &mut Random) -> Config {
    Config {
        exists: random.chance(950),
        is_public: random.chance(500),
        idle_timeout_seconds: random.chance(300).then(|| random.one([30, 60, 120])),
        tags: BTreeMap::new(),
        source_ranges: BTreeSet::new(),
        security_groups: random.chance(150),
        certificate: random.index(CERTIFICATES),
        more_certificates: BTreeSet::new(),
        has_new_tls_policy: random.chance(500),
    }
}

pub(crate) fn service(random: &mut Random) -> Service {
    Service {
        target_port: random.one([8080, 8081, 9000]),
        pods: (0..random.between(0, 3)).map(|_| pod(random)).collect(),
        targets: random.chance(850).then(|| targets(random)),
    }
}

pub(crate) fn pod(random: &mut Random) -> u8 {
    random.one([20, 21, 22, 23, 24, 25])
}

pub(crate) fn targets(random: &mut Random) -> Targets {
    Targets {
        is_instance: random.chance(200),
        health_path: random
            .chance(400)
            .then(|| random.one(["/healthz", "/ready"])),
        interval_seconds: random.one([10, 15, 30]),
        delay_seconds: random.chance(400).then(|| random.one([0, 30, 120])),
        version: random.chance(200).then(|| random.one(["HTTP1", "HTTP2"])),
        tag: random.chance(200).then(|| random.below(3)),
    }
}

/// A route to a random Gateway of the cluster; `None` when there is none.
pub(crate) fn route(random: &mut Random, cluster: &Cluster, created_at: u64) -> Option<Route> {
    let numbers: Vec<u64> = cluster.gateways.keys().copied().collect();
    let gateway = *random.pick(&numbers)?;
    let to = cluster.gateways.get(&gateway)?;
    let is_tcp = to.balancer == Balancer::Network;
    let ports: Vec<u16> = to.listeners.keys().copied().collect();
    let wants_section = is_tcp || random.chance(300);
    let section = random.pick(&ports).copied().filter(|_| wants_section);
    let n_rules = if is_tcp { 1 } else { random.between(1, 3) };
    let hosts = (0..random.between(0, 2))
        .map(|_| random.one(HOSTS))
        .collect();
    Some(Route {
        gateway,
        is_tcp,
        section,
        hosts,
        rules: (0..n_rules).map(|_| rule(random)).collect(),
        created_at,
    })
}

pub(crate) fn rule(random: &mut Random) -> Rule {
    let filter = match random.below(10) {
        0 => Filter::Redirect,
        1 => Filter::Rewrite,
        _ => Filter::None,
    };
    let mut backends: Vec<Backend> = Vec::new();
    for _ in 0..random.between(1, 2) {
        let service = random.below(SERVICES + 1);
        if backends.iter().all(|other| other.service != service) {
            let weight = random.one([0, 1, 1, 1, 2, 3]);
            backends.push(Backend { service, weight });
        }
    }
    Rule {
        matches: (0..random.between(1, 2))
            .map(|_| one_match(random))
            .collect(),
        filter,
        backends,
    }
}

fn one_match(random: &mut Random) -> Match {
    Match {
        is_exact: random.chance(250),
        path: random.one(PATHS),
        method: random.chance(120).then(|| random.one(["GET", "POST"])),
        header: random.chance(150).then(|| random.one(["blue", "green"])),
        query: random.chance(100).then(|| random.one(["1", "2"])),
    }
}
