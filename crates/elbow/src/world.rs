//! What manifests name of AWS and take to be there, for the made-up world to hold.
//!
//! In: a Snapshot and settings. Out: [`Wanted`], which the loopback builds a world from. What always
//! holds: only what a manifest names, or LBC would discover by its hostnames, is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use elbow_api::crds::{self, BindingProtocol, LoadBalancerConfiguration, TargetGroupBinding};
use elbow_api::{Kind, Object, ObjectRef, Snapshot};
use elbow_emulator::acm::CertificatePem;
use elbow_loopback::world::{
    Reach, Wanted, WantedCertificate, WantedNode, WantedSubnet, WantedTargetGroup, WantedTrustStore,
};
use elbow_model::stack::{Protocol, Scheme, TargetFamily, TargetType};
use elbow_model::{CertificateArn, Port, VpcId};
use elbow_translate::Settings;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::certificates::Authority;
use crate::settings::{certificate_arns, names_authorities, trust_stores};

/// Most names of one certificate: what ACM takes for a certificate by quota is 10, by limit 100.
const NAMES_PER_CERTIFICATE: usize = 100;

/// Whether certificates are made up.
#[derive(Clone, Copy)]
pub enum Certificates<'a> {
    /// One for each ARN that is named, and one for each hostname of a listener that names none.
    MakeUp(&'a Authority),
    /// None.
    None,
}

/// What the manifests name of AWS.
pub fn wanted(
    snapshot: &Snapshot,
    settings: &Settings,
    certificates: Certificates<'_>,
) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted {
        cluster_name: settings.cluster_name.clone(),
        vpc_id: Some(settings.vpc_id.clone()),
        ..Wanted::default()
    };
    for object in snapshot.objects() {
        add_named_groups(&mut wanted, &object);
        match object {
            Object::LoadBalancerConfiguration(configuration) => {
                add_configuration(&mut wanted, &configuration, settings);
            }
            Object::Node(node) => add_node(&mut wanted, &node),
            Object::TargetGroupBinding(binding) if binding.gateway().is_none() => {
                add_target_group(&mut wanted, &binding, snapshot);
            }
            Object::EndpointSlice(slice) => {
                let addresses = slice.endpoints.iter().flatten().flat_map(|e| &e.addresses);
                wanted
                    .pods
                    .extend(addresses.filter_map(|text| text.parse::<Ipv4Addr>().ok()));
            }
            _ => {}
        }
    }
    if let Certificates::MakeUp(authority) = certificates {
        wanted.certificates = make_up_certificates(snapshot, authority)?;
        let stores = trust_stores(snapshot).into_iter();
        wanted.trust_stores = stores
            .map(|identifier| WantedTrustStore {
                identifier,
                bundle: authority.pem().to_owned(),
            })
            .collect();
    }
    if names_authorities(snapshot) {
        let storage = settings.bundle_storage.iter();
        let buckets = storage.map(|storage| storage.bucket.clone());
        wanted.buckets.extend(buckets);
    }
    Ok(wanted)
}

fn add_configuration(
    wanted: &mut Wanted,
    configuration: &LoadBalancerConfiguration,
    settings: &Settings,
) {
    let spec = &configuration.spec;
    let public = match &spec.scheme {
        Some(crds::Scheme::InternetFacing) => true,
        Some(crds::Scheme::Internal) => false,
        None => settings.default_scheme == Scheme::InternetFacing,
    };
    let reach = if public {
        Reach::Public
    } else {
        Reach::Private
    };
    for (place, subnet) in spec.load_balancer_subnets.iter().flatten().enumerate() {
        if let Some(identifier) = &subnet.identifier {
            wanted.subnets.push(WantedSubnet {
                identifier: Some(identifier.clone()),
                place,
                reach,
                tags: BTreeMap::new(),
            });
        }
        wanted.allocation_ids.extend(subnet.eip_allocation.clone());
    }
    wanted
        .security_groups
        .extend(spec.security_groups.iter().flatten().cloned());
    wanted
        .prefix_lists
        .extend(spec.security_group_prefixes.iter().flatten().cloned());
}

fn add_node(wanted: &mut Wanted, node: &k8s_openapi::api::core::v1::Node) {
    // aws:///<zone>/<instance id>
    let provider_id = node.spec.as_ref().and_then(|s| s.provider_id.as_deref());
    let mut parts = provider_id.unwrap_or_default().rsplit('/');
    let instance_id = parts
        .next()
        .filter(|id| id.starts_with("i-"))
        .map(str::to_owned);
    let zone = parts
        .next()
        .filter(|zone| !zone.is_empty())
        .map(str::to_owned);
    let addresses = node
        .status
        .iter()
        .flat_map(|s| s.addresses.iter().flatten());
    wanted.nodes.push(WantedNode {
        name: node.metadata.name.clone().unwrap_or_default(),
        instance_id,
        zone,
        address: addresses
            .filter(|a| a.type_ == "InternalIP")
            .find_map(|a| a.address.parse::<Ipv4Addr>().ok()),
    });
}

/// The target group that a binding names, as the binding describes it and its Service fits it. One of
/// another VPC is not made up: nothing is known of that.
fn add_target_group(wanted: &mut Wanted, binding: &TargetGroupBinding, snapshot: &Snapshot) {
    let spec = &binding.spec;
    let is_elsewhere = spec.vpc_id.as_deref() != wanted.vpc_id.as_ref().map(VpcId::as_str);
    let Some(name) = spec.group_name() else {
        return;
    };
    if spec.iam_role_arn_to_assume.is_some() || (spec.vpc_id.is_some() && is_elsewhere) {
        return;
    }
    let namespace = binding.metadata.namespace.clone().unwrap_or_default();
    let service = ObjectRef::new(Kind::Service, namespace, spec.service_ref.name.clone());
    let service = match snapshot.get(&service) {
        Some(Object::Service(service)) => service.spec.clone(),
        _ => None,
    };
    let ports = service.iter().flat_map(|s| s.ports.iter().flatten());
    let port = ports.into_iter().find(|port| match &spec.service_ref.port {
        IntOrString::Int(number) => port.port == *number,
        IntOrString::String(name) => port.name.as_deref() == Some(name.as_str()),
    });
    let is_udp = port.is_some_and(|port| port.protocol.as_deref() == Some("UDP"));
    let has_node_port = port.is_some_and(|port| port.node_port.is_some());
    let protocol = match spec.target_group_protocol {
        Some(BindingProtocol::Https) => Protocol::Https,
        Some(BindingProtocol::Tcp) => Protocol::Tcp,
        Some(BindingProtocol::Tls) => Protocol::Tls,
        Some(BindingProtocol::Udp) => Protocol::Udp,
        Some(BindingProtocol::TcpUdp) => Protocol::TcpUdp,
        Some(BindingProtocol::Quic) => Protocol::Quic,
        Some(BindingProtocol::TcpQuic) => Protocol::TcpQuic,
        None if is_udp => Protocol::Udp,
        Some(BindingProtocol::Http) | None => Protocol::Http,
    };
    let target_type = match spec.target_type {
        Some(crds::TargetType::Instance) => TargetType::Instance,
        None if has_node_port => TargetType::Instance,
        Some(crds::TargetType::Ip) | None => TargetType::Ip,
    };
    let Some(port) = port.and_then(|port| Port::new(port.port)).or(Port::new(80)) else {
        return;
    };
    let group = WantedTargetGroup {
        arn: spec.target_group_arn.clone(),
        target_type,
        protocol,
        port,
        ip_address_type: match spec.ip_address_type {
            Some(crds::TargetGroupIpAddressType::Ipv6) => TargetFamily::Ipv6,
            Some(crds::TargetGroupIpAddressType::Ipv4) | None => TargetFamily::Ipv4,
        },
    };
    // Two bindings that contradict each other are a finding; the first makes the group.
    let arn = group.arn.clone();
    let group = wanted.target_groups.entry(name.to_owned()).or_insert(group);
    if group.arn.is_none() {
        group.arn = arn;
    }
}

/// Longest name of a target group (ELBv2 API reference, `CreateTargetGroup`).
const TARGET_GROUP_NAME_LENGTH_MAX: usize = 32;

/// The target groups that the backends of a route name, of a protocol that it can be forwarded to. Those
/// have no targets, for nobody says which. A name that no target group can have names none.
fn add_named_groups(wanted: &mut Wanted, route: &Object) {
    macro_rules! names {
        ($backends:expr) => {
            $backends
                .filter(|backend| backend.kind.as_deref() == Some("TargetGroupName"))
                .map(|backend| (backend.name.clone(), backend.port))
                .collect()
        };
    }
    let (protocol, names): (Protocol, Vec<(String, Option<i32>)>) = match route {
        Object::HttpRoute(route) => {
            let rules = route.spec.rules.iter().flatten();
            let backends = rules.flat_map(|rule| rule.backend_refs.iter().flatten());
            (Protocol::Http, names!(backends))
        }
        Object::GrpcRoute(route) => {
            let rules = route.spec.rules.iter().flatten();
            let backends = rules.flat_map(|rule| rule.backend_refs.iter().flatten());
            (Protocol::Http, names!(backends))
        }
        Object::TcpRoute(route) => {
            let backends = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
            (Protocol::Tcp, names!(backends))
        }
        Object::TlsRoute(route) => {
            let backends = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
            (Protocol::Tcp, names!(backends))
        }
        Object::UdpRoute(route) => {
            let backends = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
            (Protocol::Udp, names!(backends))
        }
        _ => return,
    };
    for (name, port) in names {
        let is_name = (1..=TARGET_GROUP_NAME_LENGTH_MAX).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !name.starts_with('-')
            && !name.ends_with('-')
            && !name.contains("--");
        let port = port.and_then(Port::new).or(Port::new(80));
        if let Some(port) = port.filter(|_| is_name) {
            wanted
                .target_groups
                .entry(name)
                .or_insert(WantedTargetGroup {
                    arn: None,
                    target_type: TargetType::Ip,
                    protocol,
                    port,
                    ip_address_type: TargetFamily::Ipv4,
                });
        }
    }
}

/// A certificate for each ARN that is named, for all hostnames that are served; and one, without an ARN
/// of its own choosing, that discovery by hostname finds.
fn make_up_certificates(
    snapshot: &Snapshot,
    authority: &Authority,
) -> anyhow::Result<Vec<WantedCertificate>> {
    let names = hostnames(snapshot);
    let all: BTreeSet<String> = names.iter().take(NAMES_PER_CERTIFICATE).cloned().collect();
    let arns: BTreeSet<CertificateArn> = certificate_arns(snapshot).collect();
    let mut certificates = Vec::new();
    for arn in arns {
        certificates.push(certificate(authority, Some(arn), &all)?);
    }
    if discovers_certificates(snapshot) && !names.is_empty() {
        certificates.push(certificate(authority, None, &all)?);
    }
    Ok(certificates)
}

fn certificate(
    authority: &Authority,
    arn: Option<CertificateArn>,
    names: &BTreeSet<String>,
) -> anyhow::Result<WantedCertificate> {
    let placeholder = BTreeSet::from(["elbow.invalid".to_owned()]);
    let names = if names.is_empty() {
        &placeholder
    } else {
        names
    };
    let issued = authority.issue(names)?;
    Ok(WantedCertificate {
        arn,
        domains: names.iter().cloned().collect(),
        pem: CertificatePem {
            certificate: issued.certificate_pem,
            chain: authority.pem().to_owned(),
            private_key: issued.private_key_pem,
        },
    })
}

/// Hostnames of listeners and routes that somebody can have a certificate for, which for names below
/// the reserved `.invalid` (RFC 2606) nobody can.
fn hostnames(snapshot: &Snapshot) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for object in snapshot.objects() {
        match object {
            Object::Gateway(gateway) => {
                names.extend(
                    gateway
                        .spec
                        .listeners
                        .iter()
                        .filter_map(|l| l.hostname.clone()),
                );
            }
            Object::ListenerSet(set) => {
                let listeners = set.spec.listeners.iter();
                names.extend(listeners.filter_map(|l| l.hostname.clone()));
            }
            Object::HttpRoute(route) => {
                names.extend(route.spec.hostnames.iter().flatten().cloned());
            }
            Object::GrpcRoute(route) => {
                names.extend(route.spec.hostnames.iter().flatten().cloned());
            }
            Object::TlsRoute(route) => names.extend(route.spec.hostnames.iter().cloned()),
            _ => {}
        }
    }
    names.retain(|name| !name.ends_with(".invalid"));
    names
}

/// Whether a listener has to find its certificate by its hostnames.
fn discovers_certificates(snapshot: &Snapshot) -> bool {
    let objects = snapshot.objects();
    let configured: BTreeSet<String> = objects
        .iter()
        .filter_map(|object| match object {
            Object::LoadBalancerConfiguration(configuration) => Some(configuration),
            _ => None,
        })
        .flat_map(|c| c.spec.listener_configurations.iter().flatten())
        .filter(|l| l.default_certificate.is_some() || l.certificates.is_some())
        .map(|l| l.protocol_port.to_lowercase())
        .collect();
    let discovers = |protocol: &str, port: i32| {
        matches!(protocol, "HTTPS" | "TLS")
            && !configured.contains(&format!("{protocol}:{port}").to_lowercase())
    };
    objects.iter().any(|object| match object {
        Object::Gateway(gateway) => {
            let mut listeners = gateway.spec.listeners.iter();
            listeners.any(|l| {
                let refs = l.tls.as_ref().and_then(|tls| tls.certificate_refs.as_ref());
                refs.is_none_or(Vec::is_empty) && discovers(&l.protocol, l.port)
            })
        }
        Object::ListenerSet(set) => {
            let mut listeners = set.spec.listeners.iter();
            listeners.any(|l| {
                let refs = l.tls.as_ref().and_then(|tls| tls.certificate_refs.as_ref());
                refs.is_none_or(Vec::is_empty) && discovers(&l.protocol, l.port)
            })
        }
        _ => false,
    })
}
