//! What a server must bind: the listeners of the load balancers that serve, with all that TLS
//! needs.
//!
//! In: the emulator and the time. Out: [`ServedListener`]s. Always: in the order in which the load
//! balancers were created, then by port, so that a server which hands out addresses in this order
//! hands out the same ones again.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::settings::AlbSettings;
use crate::acm::CertificatePem;
use crate::elbv2::state::{
    Listener, LoadBalancer, LoadBalancerKind, LoadBalancerState, MutualTls, OnOff, Protocol,
};
use crate::{Emulator, Timestamp};

/// One port of a load balancer that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedListener {
    /// The listener.
    pub arn: String,
    /// The load balancer.
    pub load_balancer_arn: String,
    /// Its name.
    pub load_balancer_name: String,
    /// Its DNS name.
    pub dns_name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// What clients speak.
    pub protocol: ServedProtocol,
    /// The port that clients expect.
    pub port: u16,
    /// The certificates, the default one first. Empty without TLS.
    pub certificates: Vec<ServedCertificate>,
    /// `ELBSecurityPolicy-…`; with TLS only.
    pub ssl_policy: Option<String>,
    /// `None`, `HTTP1Only`, …; TLS listeners of network load balancers only.
    pub alpn_policy: Option<String>,
    /// What clients must show; HTTPS listeners only.
    pub mutual_tls: ServedMutualTls,
    /// Attributes of the load balancer.
    pub load_balancer_attributes: BTreeMap<String, String>,
    /// Attributes of the listener.
    pub attributes: BTreeMap<String, String>,
}

/// What the clients of a listener speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServedProtocol {
    /// Application load balancer in cleartext.
    Http,
    /// Application load balancer over TLS.
    Https,
    /// Network load balancer, bytes passed through.
    Tcp,
    /// Network load balancer, TLS ended at the listener.
    Tls,
    /// Network load balancer, datagrams passed through.
    Udp,
    /// Network load balancer, both on one port.
    TcpUdp,
    /// QUIC and TCP_QUIC, which the data plane does not carry.
    Other(&'static str),
}

impl ServedProtocol {
    /// AWS's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
            Self::TcpUdp => "TCP_UDP",
            Self::Other(name) => name,
        }
    }
}

/// What the clients of a listener must show of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ServedMutualTls {
    /// Nothing.
    #[default]
    Off,
    /// A certificate, if they have one: whatever it is, the target is told.
    Passthrough,
    /// A certificate of these authorities.
    Verify {
        /// The authorities' certificates, as PEM.
        authorities: String,
        /// Whether an expired certificate will do.
        ignore_expiry: bool,
        /// Whether clients are told the names of the authorities.
        advertise_names: bool,
    },
}

/// A load balancer, with or without listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLoadBalancer {
    /// `arn:…:loadbalancer/app|net/NAME/ID`
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its DNS name.
    pub dns_name: String,
    /// `application` or `network`
    pub kind: &'static str,
    /// Whether it is active, so that its addresses answer.
    pub serves: bool,
    /// Names of the zones that it stands in.
    pub zones: Vec<String>,
    /// The addresses of its interfaces in the VPC, in the order of the zones.
    pub addresses: Vec<IpAddr>,
}

/// A certificate that a listener may show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedCertificate {
    /// Its ARN.
    pub arn: String,
    /// Its names, wildcards among them.
    pub names: Vec<String>,
    /// ACM's name of the key type, such as `RSA_2048`.
    pub key_algorithm: String,
    /// When it expires.
    pub not_after: Timestamp,
    /// Certificate, chain and key.
    pub pem: CertificatePem,
}

impl ServedListener {
    /// The attributes that change how an application load balancer treats traffic.
    pub fn alb_settings(&self) -> AlbSettings {
        AlbSettings::from_attributes(&self.load_balancer_attributes, &self.attributes)
    }
}

impl Emulator {
    /// All load balancers, in the order in which they were created.
    pub fn load_balancers(&mut self, now: Timestamp) -> Vec<KnownLoadBalancer> {
        self.follow_load_balancers();
        let mut load_balancers: Vec<&LoadBalancer> = self.elbv2.load_balancers.values().collect();
        load_balancers.sort_by_key(|lb| (lb.created_at, &lb.arn));
        let known = load_balancers.into_iter().map(|lb| KnownLoadBalancer {
            arn: lb.arn.clone(),
            name: lb.name.clone(),
            dns_name: lb.dns_name.clone(),
            kind: match lb.kind {
                LoadBalancerKind::Application => "application",
                LoadBalancerKind::Network => "network",
            },
            serves: serves(lb, now),
            zones: lb.zones.iter().map(|zone| zone.zone.clone()).collect(),
            addresses: lb
                .zones
                .iter()
                .filter_map(|zone| {
                    let key = (lb.arn.clone(), zone.subnet_id.clone());
                    let interface = self.ec2.elb_interfaces.get(&key)?;
                    Some(IpAddr::from(interface.private_ip))
                })
                .collect(),
        });
        known.collect()
    }

    /// The listeners of all load balancers that serve at `now`.
    pub fn listeners(&self, now: Timestamp) -> Vec<ServedListener> {
        let mut load_balancers: Vec<&LoadBalancer> = self
            .elbv2
            .load_balancers
            .values()
            .filter(|lb| serves(lb, now))
            .collect();
        load_balancers.sort_by_key(|lb| (lb.created_at, &lb.arn));
        let mut out = Vec::new();
        for load_balancer in load_balancers {
            let mut listeners: Vec<&Listener> =
                self.elbv2.listeners_of(&load_balancer.arn).collect();
            listeners.sort_by_key(|listener| listener.port);
            out.extend(
                listeners
                    .into_iter()
                    .map(|listener| self.served_listener(load_balancer, listener)),
            );
        }
        out
    }

    /// Whether connections to the targets of a group begin with a PROXY protocol header, those of
    /// health checks included.
    pub fn sends_proxy_protocol(&self, target_group_arn: &str) -> bool {
        let group = self.elbv2.target_groups.get(target_group_arn);
        group.is_some_and(|group| group.attribute("proxy_protocol_v2.enabled") == "true")
    }

    fn served_listener(&self, load_balancer: &LoadBalancer, listener: &Listener) -> ServedListener {
        let default = listener.default_certificate.iter();
        let others = listener
            .certificates
            .iter()
            .filter(|arn| Some(*arn) != listener.default_certificate.as_ref());
        let certificates = default
            .chain(others)
            .filter_map(|arn| {
                let certificate = self.acm.certificates.get(arn)?;
                Some(ServedCertificate {
                    arn: arn.clone(),
                    names: certificate.names.clone(),
                    key_algorithm: certificate.key_algorithm.clone(),
                    not_after: certificate.not_after,
                    pem: certificate.pem.clone(),
                })
            })
            .collect();
        ServedListener {
            arn: listener.arn.clone(),
            load_balancer_arn: load_balancer.arn.clone(),
            load_balancer_name: load_balancer.name.clone(),
            dns_name: load_balancer.dns_name.clone(),
            created_at: load_balancer.created_at,
            protocol: match listener.protocol {
                Protocol::Http => ServedProtocol::Http,
                Protocol::Https => ServedProtocol::Https,
                Protocol::Tcp => ServedProtocol::Tcp,
                Protocol::Tls => ServedProtocol::Tls,
                Protocol::Udp => ServedProtocol::Udp,
                Protocol::TcpUdp => ServedProtocol::TcpUdp,
                other @ (Protocol::Quic | Protocol::TcpQuic) => {
                    ServedProtocol::Other(other.as_str())
                }
            },
            port: listener.port,
            certificates,
            ssl_policy: listener.ssl_policy.clone(),
            alpn_policy: listener.alpn_policy.clone(),
            mutual_tls: self.served_mutual_tls(listener),
            load_balancer_attributes: load_balancer.attributes.clone(),
            attributes: listener.attributes.clone(),
        }
    }

    fn served_mutual_tls(&self, listener: &Listener) -> ServedMutualTls {
        match &listener.mutual_tls {
            None | Some(MutualTls::Off) => ServedMutualTls::Off,
            Some(MutualTls::Passthrough) => ServedMutualTls::Passthrough,
            Some(MutualTls::Verify(verify)) => {
                let store = self.elbv2.trust_stores.get(&verify.trust_store_arn);
                ServedMutualTls::Verify {
                    authorities: store.map(|store| store.bundle.clone()).unwrap_or_default(),
                    ignore_expiry: verify.ignore_expiry,
                    advertise_names: verify.advertise_names == OnOff::On,
                }
            }
        }
    }

    /// A listener whose load balancer is of the kind and serves, with that load balancer.
    pub(super) fn serving_listener(
        &self,
        now: Timestamp,
        listener_arn: &str,
        kind: LoadBalancerKind,
    ) -> Option<(&LoadBalancer, &Listener)> {
        let listener = self.elbv2.listeners.get(listener_arn)?;
        let load_balancer = self.elbv2.load_balancers.get(&listener.load_balancer_arn)?;
        (load_balancer.kind == kind && serves(load_balancer, now))
            .then_some((load_balancer, listener))
    }
}

fn serves(load_balancer: &LoadBalancer, now: Timestamp) -> bool {
    load_balancer.state == LoadBalancerState::Active || load_balancer.provisioned_at <= now
}
