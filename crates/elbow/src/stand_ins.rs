//! What manifests take for granted, made up: Services, their endpoints, node ports and nodes.
//!
//! In: a Snapshot of what the manifests hold. Out: [`MadeUp`]: objects to add to it, who answers at
//! which made-up address, and what to tell the user. What always holds: an object that is in the
//! manifests is never replaced, except for a node port that only a cluster would have filled in; and
//! an address depends on its Service alone, so that adding a Service does not move the others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use elbow_api::crds::{BindingProtocol, TargetGroupBinding};
use elbow_api::{NamespacedName, Object, Snapshot};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// What a backend speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speaks {
    /// HTTP, gRPC among it.
    Http,
    /// UDP of whatever kind. Targets are checked over TCP, which it therefore speaks, too.
    Udp,
    /// TCP of whatever kind.
    Tcp,
}

impl Speaks {
    /// The protocol of a Service's port.
    const fn protocol(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Http | Self::Tcp => "TCP",
        }
    }
}

/// Who answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// The Service.
    pub service: NamespacedName,
    /// The Service's port.
    pub port: i32,
    /// What it speaks.
    pub speaks: Speaks,
}

/// What was made up.
#[derive(Debug, Clone, Default)]
pub struct MadeUp {
    /// Objects to add to the Snapshot.
    pub objects: Vec<Object>,
    /// Who answers at an address and port of a pod.
    pub pods: BTreeMap<(String, u16), Backend>,
    /// Who answers at a node port.
    pub node_ports: BTreeMap<u16, Backend>,
    /// What to tell the user, one line each.
    pub notes: Vec<String>,
}

/// Ports of a Service that routes and TargetGroupBindings name, and what they are expected to speak.
type Wanted = BTreeMap<NamespacedName, BTreeMap<i32, Speaks>>;

/// First of the node ports that Kubernetes hands out, 30000 to 32767.
const NODE_PORT_BASE: u16 = 30_000;
/// How many there are.
const NODE_PORTS: u32 = 2_768;
/// Port of a made-up pod where the Service names its target port.
const NAMED_TARGET_PORT: i32 = 8_080;

/// Makes up what the routes and TargetGroupBindings of a Snapshot need and it does not hold, in the zones of this region.
pub fn make_up(snapshot: &Snapshot, region: &str) -> MadeUp {
    let objects = snapshot.objects();
    let wanted = wanted(&objects);
    let mut services: BTreeMap<NamespacedName, core::Service> = BTreeMap::new();
    let mut with_endpoints: BTreeMap<NamespacedName, Vec<discovery::EndpointSlice>> =
        BTreeMap::new();
    let mut has_nodes = false;
    for object in &objects {
        match object {
            Object::Service(service) => {
                services.insert(object.object_ref().namespaced_name(), (**service).clone());
            }
            Object::EndpointSlice(slice) => {
                if let Some(service) = service_of(slice) {
                    with_endpoints
                        .entry(service)
                        .or_default()
                        .push((**slice).clone());
                }
            }
            Object::Node(_) => has_nodes = true,
            _ => {}
        }
    }

    let mut made_up = MadeUp::default();
    let mut addresses = Addresses::default();
    for (name, ports) in &wanted {
        let service = match services.get(name) {
            Some(service) => made_up.complete(name, service),
            None => made_up.service(name, ports),
        };
        let slices = match with_endpoints.remove(name) {
            Some(slices) => slices,
            None => vec![made_up.endpoints(name, &service, addresses.of(name))],
        };
        made_up.connect(name, &service, &slices, ports);
    }
    if !has_nodes && !wanted.is_empty() {
        made_up.nodes(region);
    }
    made_up
}

/// The Service that an EndpointSlice belongs to.
fn service_of(slice: &discovery::EndpointSlice) -> Option<NamespacedName> {
    let service = slice
        .metadata
        .labels
        .as_ref()?
        .get("kubernetes.io/service-name")?;
    Some(NamespacedName::new(
        slice.metadata.namespace.clone()?,
        service.clone(),
    ))
}

/// The Services that routes and bindings send traffic to. Whether a route may is not asked here: a route that may
/// not is a finding, whether or not its Service exists.
fn wanted(objects: &[Object]) -> Wanted {
    let mut wanted = Wanted::new();
    macro_rules! want {
        ($backends:expr, $namespace:expr, $speaks:expr) => {
            for backend in $backends {
                let core_group = backend.group.as_deref().unwrap_or_default().is_empty();
                if !core_group || backend.kind.as_deref().unwrap_or("Service") != "Service" {
                    continue;
                }
                let namespace = backend.namespace.as_deref().unwrap_or($namespace);
                let service = NamespacedName::new(namespace, backend.name.clone());
                let ports = wanted.entry(service).or_default();
                if let Some(port) = backend.port {
                    // Where routes of several kinds meet at a port, HTTP is what a person can look at,
                    // and who speaks UDP speaks TCP as well.
                    let speaks_so_far = ports.entry(port).or_insert($speaks);
                    *speaks_so_far = (*speaks_so_far).min($speaks);
                }
            }
        };
    }
    for object in objects {
        let namespace = object.object_ref().namespace;
        match object {
            Object::HttpRoute(route) => {
                let rules = route.spec.rules.iter().flatten();
                let backends = rules.flat_map(|rule| rule.backend_refs.iter().flatten());
                want!(backends, &namespace, Speaks::Http);
            }
            Object::TcpRoute(route) => {
                let backends = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
                want!(backends, &namespace, Speaks::Tcp);
            }
            Object::GrpcRoute(route) => {
                let rules = route.spec.rules.iter().flatten();
                let backends = rules.flat_map(|rule| rule.backend_refs.iter().flatten());
                want!(backends, &namespace, Speaks::Http);
            }
            Object::TlsRoute(route) => {
                let backends = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
                want!(backends, &namespace, Speaks::Tcp);
            }
            Object::UdpRoute(route) => {
                let backends = route.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
                want!(backends, &namespace, Speaks::Udp);
            }
            Object::TargetGroupBinding(binding) if binding.gateway().is_none() => {
                if let Some((service, port, speaks)) = bound(binding, objects) {
                    let ports = wanted.entry(service).or_default();
                    ports.entry(port).or_insert(speaks);
                }
            }
            _ => {}
        }
    }
    wanted
}

/// The Service port that a TargetGroupBinding names. One that it names by name is that of a Service that
/// is there.
fn bound(
    binding: &TargetGroupBinding,
    objects: &[Object],
) -> Option<(NamespacedName, i32, Speaks)> {
    let reference = &binding.spec.service_ref;
    let namespace = binding.metadata.namespace.clone().unwrap_or_default();
    let name = NamespacedName::new(namespace, reference.name.clone());
    let port = match &reference.port {
        IntOrString::Int(number) => *number,
        IntOrString::String(wanted) => objects.iter().find_map(|object| match object {
            Object::Service(service) if object.object_ref().namespaced_name() == name => {
                let mut ports = service.spec.iter().flat_map(|s| s.ports.iter().flatten());
                let port = ports.find(|port| port.name.as_ref() == Some(wanted));
                port.map(|port| port.port)
            }
            _ => None,
        })?,
    };
    let speaks = match binding.spec.target_group_protocol {
        Some(
            BindingProtocol::Udp
            | BindingProtocol::TcpUdp
            | BindingProtocol::Quic
            | BindingProtocol::TcpQuic,
        ) => Speaks::Udp,
        Some(BindingProtocol::Tcp | BindingProtocol::Tls) => Speaks::Tcp,
        _ => Speaks::Http,
    };
    Some((name, port, speaks))
}

impl MadeUp {
    /// A Service that is not in the manifests. It has node ports, so that it serves both target types.
    fn service(&mut self, name: &NamespacedName, ports: &BTreeMap<i32, Speaks>) -> core::Service {
        let list: Vec<String> = ports.keys().map(ToString::to_string).collect();
        self.notes.push(format!(
            "Service {name}, which is not in the manifests, with port {}",
            list.join(", ")
        ));
        let service = core::Service {
            metadata: metadata(&name.namespace, &name.name),
            spec: Some(core::ServiceSpec {
                type_: Some("NodePort".to_owned()),
                ports: Some(
                    ports
                        .iter()
                        .map(|(port, speaks)| core::ServicePort {
                            name: Some(format!("port-{port}")),
                            port: *port,
                            target_port: Some(IntOrString::Int(*port)),
                            node_port: Some(i32::from(node_port(name, *port))),
                            protocol: Some(speaks.protocol().to_owned()),
                            ..core::ServicePort::default()
                        })
                        .collect(),
                ),
                ..core::ServiceSpec::default()
            }),
            ..core::Service::default()
        };
        self.objects.push(service.clone().into());
        service
    }

    /// A Service of the manifests, with the node ports that its cluster would have filled in.
    fn complete(&mut self, name: &NamespacedName, service: &core::Service) -> core::Service {
        let mut service = service.clone();
        let Some(spec) = service.spec.as_mut() else {
            return service;
        };
        if !matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer")) {
            return service;
        }
        let mut filled_in = false;
        for port in spec
            .ports
            .iter_mut()
            .flatten()
            .filter(|p| p.node_port.is_none())
        {
            port.node_port = Some(i32::from(node_port(name, port.port)));
            filled_in = true;
        }
        if filled_in {
            self.notes.push(format!("node ports of Service {name}"));
            self.objects.push(service.clone().into());
        }
        service
    }

    /// One ready endpoint for a Service that has none.
    fn endpoints(
        &mut self,
        name: &NamespacedName,
        service: &core::Service,
        address: Ipv4Addr,
    ) -> discovery::EndpointSlice {
        self.notes
            .push(format!("a backend for Service {name}, at {address}"));
        let mut metadata = metadata(&name.namespace, &format!("{}-stand-in", name.name));
        metadata.labels = Some(BTreeMap::from([(
            "kubernetes.io/service-name".to_owned(),
            name.name.clone(),
        )]));
        let ports = service_ports(service)
            .map(|port| discovery::EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(target_port(port)),
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                ..discovery::EndpointPort::default()
            })
            .collect();
        let slice = discovery::EndpointSlice {
            metadata,
            address_type: "IPv4".to_owned(),
            endpoints: Some(vec![discovery::Endpoint {
                addresses: vec![address.to_string()],
                conditions: Some(discovery::EndpointConditions {
                    ready: Some(true),
                    ..discovery::EndpointConditions::default()
                }),
                ..discovery::Endpoint::default()
            }]),
            ports: Some(ports),
        };
        self.objects.push(slice.clone().into());
        slice
    }

    /// Notes who answers at the addresses of a Service.
    fn connect(
        &mut self,
        name: &NamespacedName,
        service: &core::Service,
        slices: &[discovery::EndpointSlice],
        wanted: &BTreeMap<i32, Speaks>,
    ) {
        for port in service_ports(service) {
            let speaks = wanted.get(&port.port).copied().unwrap_or(Speaks::Http);
            let backend = Backend {
                service: name.clone(),
                port: port.port,
                speaks,
            };
            if let Some(number) = port.node_port.and_then(|p| u16::try_from(p).ok()) {
                self.node_ports.insert(number, backend.clone());
            }
            let port_name = port.name.clone().unwrap_or_default();
            for slice in slices {
                let numbers: BTreeSet<u16> = slice
                    .ports
                    .iter()
                    .flatten()
                    .filter(|p| p.name.clone().unwrap_or_default() == port_name)
                    .filter_map(|p| p.port.and_then(|n| u16::try_from(n).ok()))
                    .collect();
                for endpoint in slice.endpoints.iter().flatten() {
                    for address in &endpoint.addresses {
                        for number in &numbers {
                            self.pods
                                .insert((address.clone(), *number), backend.clone());
                        }
                    }
                }
            }
        }
    }

    /// A node in each zone, for Services that are reached through instances.
    fn nodes(&mut self, region: &str) {
        for (index, zone) in ["a", "b", "c"].into_iter().enumerate() {
            let mut metadata = metadata("", &format!("node-{zone}"));
            metadata.namespace = None;
            self.objects.push(
                core::Node {
                    metadata,
                    spec: Some(core::NodeSpec {
                        provider_id: Some(format!("aws:///{region}{zone}/i-{:017x}", index + 1)),
                        ..core::NodeSpec::default()
                    }),
                    status: Some(core::NodeStatus {
                        conditions: Some(vec![core::NodeCondition {
                            type_: "Ready".to_owned(),
                            status: "True".to_owned(),
                            ..core::NodeCondition::default()
                        }]),
                        addresses: Some(vec![core::NodeAddress {
                            type_: "InternalIP".to_owned(),
                            address: format!("192.168.{index}.10"),
                        }]),
                        ..core::NodeStatus::default()
                    }),
                }
                .into(),
            );
        }
        self.notes.push("three nodes, one in each zone".to_owned());
    }
}

fn service_ports(service: &core::Service) -> impl Iterator<Item = &core::ServicePort> {
    service.spec.iter().flat_map(|s| s.ports.iter().flatten())
}

fn target_port(port: &core::ServicePort) -> i32 {
    match &port.target_port {
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(_)) => NAMED_TARGET_PORT,
        None => port.port,
    }
}

fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ObjectMeta::default()
    }
}

/// FNV-1a, 32 bits: spreads names over addresses and ports, the same on every machine.
fn spread(name: &NamespacedName, salt: i32) -> u32 {
    const OFFSET_BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let text = format!("{name}#{salt}");
    text.bytes().fold(OFFSET_BASIS, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(PRIME)
    })
}

fn node_port(name: &NamespacedName, port: i32) -> u16 {
    let offset = spread(name, port) % NODE_PORTS;
    NODE_PORT_BASE + u16::try_from(offset).unwrap_or_default()
}

/// Addresses of made-up pods: 192.168.128.0/18, which lies in private subnets of the made-up VPC. (AWS
/// takes a target that lies in none of the VPC's subnets for one outside the VPC.)
#[derive(Debug, Default)]
struct Addresses {
    taken: BTreeSet<Ipv4Addr>,
}

impl Addresses {
    /// The Service's own address, or the next free one where two Services meet.
    fn of(&mut self, name: &NamespacedName) -> Ipv4Addr {
        let mut salt = 0;
        loop {
            let [_, _, high, low] = spread(name, salt).to_be_bytes();
            let address = Ipv4Addr::new(192, 168, 128 | (high & 0x3f), low.clamp(1, 254));
            if self.taken.insert(address) {
                return address;
            }
            salt += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn snapshot(objects: &[Object]) -> Snapshot {
        let mut snapshot = Snapshot::new();
        for object in objects {
            snapshot.apply(object);
        }
        snapshot
    }

    fn object<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Object
    where
        Object: From<T>,
    {
        Object::from(serde_json::from_value::<T>(value).expect("a valid object"))
    }

    fn route(service: &str, port: i32) -> Object {
        object::<gateway_api::apis::experimental::httproutes::HttpRoute>(json!({
            "metadata": {"name": service, "namespace": "shop"},
            "spec": {"rules": [{"backendRefs": [{"name": service, "port": port}]}]},
        }))
    }

    fn kinds(made_up: &MadeUp) -> Vec<elbow_api::Kind> {
        made_up.objects.iter().map(Object::kind).collect()
    }

    #[test]
    fn a_missing_service_gets_a_service_an_endpoint_and_nodes() {
        use elbow_api::Kind::{EndpointSlice, Node, Service};
        let made_up = make_up(&snapshot(&[route("web", 80)]), "eu-central-1");
        assert_eq!(kinds(&made_up), [Service, EndpointSlice, Node, Node, Node]);
        let ((_, port), backend) = made_up.pods.first_key_value().expect("a pod");
        assert_eq!(
            (*port, backend.port, backend.speaks),
            (80, 80, Speaks::Http)
        );
        assert_eq!(made_up.node_ports.len(), 1);
    }

    #[test]
    fn routes_of_every_kind_get_what_they_need() {
        use gateway_api::apis::experimental as gw;
        let spec = json!({
            "hostnames": ["a.example.com"],
            "rules": [{"backendRefs": [{"name": "app", "port": 53}]}],
        });
        let value = |kind: &str| {
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
                "metadata": {"namespace": "ns", "name": "r"}, "spec": spec,
            })
        };
        let rows = [
            (
                object::<gw::grpcroutes::GrpcRoute>(value("GRPCRoute")),
                Speaks::Http,
                "TCP",
            ),
            (
                object::<gw::tlsroutes::TlsRoute>(value("TLSRoute")),
                Speaks::Tcp,
                "TCP",
            ),
            (
                object::<gw::udproutes::UdpRoute>(value("UDPRoute")),
                Speaks::Udp,
                "UDP",
            ),
        ];
        for (route, speaks, protocol) in rows {
            let made_up = make_up(&snapshot(&[route]), "eu-central-1");
            assert!(made_up.pods.values().all(|b| b.speaks == speaks));
            let protocols: Vec<_> = made_up
                .objects
                .iter()
                .filter_map(|object| match object {
                    Object::Service(s) => s.spec.clone()?.ports?[0].protocol.clone(),
                    Object::EndpointSlice(s) => s.ports.clone()?[0].protocol.clone(),
                    _ => None,
                })
                .collect();
            assert_eq!(protocols, [protocol, protocol]);
        }
    }

    #[test]
    fn what_the_manifests_hold_is_left_alone() {
        let service = object::<core::Service>(json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"ports": [{"port": 80, "targetPort": "http", "name": "web"}]},
        }));
        let slice = object::<discovery::EndpointSlice>(json!({
            "metadata": {
                "name": "web-1",
                "namespace": "shop",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "web", "port": 8443}],
            "endpoints": [{"addresses": ["10.0.0.1", "10.0.0.2"]}],
        }));
        let node = object::<core::Node>(json!({"metadata": {"name": "node-1"}}));
        let made_up = make_up(
            &snapshot(&[route("web", 80), service, slice, node]),
            "eu-central-1",
        );
        assert_eq!(kinds(&made_up), []);
        let pods: Vec<_> = made_up.pods.keys().cloned().collect();
        assert_eq!(
            pods,
            [("10.0.0.1".to_owned(), 8443), ("10.0.0.2".to_owned(), 8443)]
        );
        assert!(made_up.notes.is_empty(), "{:?}", made_up.notes);
    }

    #[test]
    fn an_address_does_not_depend_on_other_services() {
        let address = |objects: &[Object]| {
            make_up(&snapshot(objects), "eu-central-1")
                .pods
                .iter()
                .find(|(_, backend)| backend.service.name == "web")
                .map(|(key, _)| key.clone())
        };
        let alone = address(&[route("web", 80)]);
        assert!(alone.is_some());
        assert_eq!(
            alone,
            address(&[route("web", 80), route("api", 80), route("zoo", 81)])
        );
    }
}
