//! TargetGroupBindings: the objects that name a Service's target group.
//!
//! In: a target group and how its targets know the load balancer. Out: [`BindingTemplate`]s, complete
//! but for the ARNs that AWS has yet to give. Spec, labels and annotations equal LBC's, so that a
//! change of controller patches none.

use std::collections::BTreeMap;

use elbow_api::NamespacedName;
use elbow_api::crds::{
    self, BindingProtocol, IpBlock, NetworkingIngressRule, NetworkingPeer, NetworkingPort,
    NetworkingProtocol, SecurityGroupReference, ServiceReference, TargetGroupBinding,
    TargetGroupBindingNetworking, TargetGroupBindingSpec, TargetGroupIpAddressType,
};
use elbow_model::stack::{Protocol, Scheme, SubnetMapping, TargetFamily, TargetGroup, TargetType};
use elbow_model::{Cause, Ref, SecurityGroupId, TargetGroupArn};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::backends::ServiceBackend;
use super::security_groups::TowardTargets;
use super::{Frame, endpoints};
use crate::network::{BindingNetwork, Endpoint};
use crate::settings::NodeRules;

/// A TargetGroupBinding that waits for ARNs.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingTemplate {
    /// Namespace: the Service's.
    pub namespace: String,
    /// Name: that of the target group.
    pub name: String,
    /// Labels, all of them.
    pub labels: BTreeMap<String, String>,
    /// Annotations, but for those that the binding's own controller keeps.
    pub annotations: BTreeMap<String, String>,
    /// The target group that it names.
    pub target_group: Ref<TargetGroupArn>,
    /// Who may reach the targets; `None` when the user manages that.
    pub networking: Option<Vec<NetworkingRule>>,
    /// Where the traffic goes: a port's number or name.
    pub traffic_port: IntOrString,
    /// What the targets are behind, where `networking` is there.
    pub endpoints: Vec<Endpoint>,
    /// The rest of the spec; its `targetGroupARN` and `networking` are absent.
    pub spec: TargetGroupBindingSpec,
}

/// Lets some sources reach some ports.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkingRule {
    /// The sources.
    pub from: Vec<Peer>,
    /// The ports.
    pub ports: Vec<NetworkingPort>,
}

/// A source of traffic to targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Members of a security group.
    SecurityGroup(Ref<SecurityGroupId>),
    /// A block of addresses.
    Cidr(String),
}

impl BindingTemplate {
    /// What the binding of a Gateway wants of the network; `None` when the user manages that.
    pub fn network(&self, gateway: &NamespacedName) -> Option<BindingNetwork> {
        let port_name = match &self.traffic_port {
            IntOrString::String(name) => Some(name.clone()),
            IntOrString::Int(_) => None,
        };
        Some(BindingNetwork {
            binding: NamespacedName::new(self.namespace.clone(), self.name.clone()),
            cause: Cause {
                kind: "Gateway".to_owned(),
                namespace: gateway.namespace.clone(),
                name: gateway.name.clone(),
            },
            rules: self.networking.clone()?,
            endpoints: self.endpoints.clone(),
            port_name,
        })
    }

    /// The object, once all it refers to has an id; `None` before.
    pub fn object(
        &self,
        target_group: impl Fn(&Ref<TargetGroupArn>) -> Option<TargetGroupArn>,
        security_group: impl Fn(&Ref<SecurityGroupId>) -> Option<SecurityGroupId>,
    ) -> Option<TargetGroupBinding> {
        let mut spec = self.spec.clone();
        spec.target_group_arn = Some(target_group(&self.target_group)?.into());
        if let Some(rules) = &self.networking {
            let ingress: Option<Vec<_>> = rules
                .iter()
                .map(|rule| {
                    let from: Option<Vec<_>> =
                        rule.from.iter().map(|p| peer(p, &security_group)).collect();
                    Some(NetworkingIngressRule {
                        from: from?,
                        ports: rule.ports.clone(),
                    })
                })
                .collect();
            spec.networking = Some(TargetGroupBindingNetworking {
                ingress: Some(ingress?),
            });
        }
        let some = |map: &BTreeMap<String, String>| (!map.is_empty()).then(|| map.clone());
        Some(TargetGroupBinding {
            metadata: ObjectMeta {
                namespace: Some(self.namespace.clone()),
                name: Some(self.name.clone()),
                labels: some(&self.labels),
                annotations: some(&self.annotations),
                ..ObjectMeta::default()
            },
            spec,
            status: None,
        })
    }
}

fn peer(
    peer: &Peer,
    security_group: impl Fn(&Ref<SecurityGroupId>) -> Option<SecurityGroupId>,
) -> Option<NetworkingPeer> {
    Some(match peer {
        Peer::SecurityGroup(group) => NetworkingPeer {
            security_group: Some(SecurityGroupReference {
                group_id: security_group(group)?.into(),
            }),
            ip_block: None,
        },
        Peer::Cidr(cidr) => NetworkingPeer {
            ip_block: Some(IpBlock { cidr: cidr.clone() }),
            security_group: None,
        },
    })
}

/// What a load balancer's bindings have in common.
pub(crate) struct Network<'l> {
    pub(crate) toward_targets: &'l TowardTargets,
    pub(crate) scheme: Scheme,
    pub(crate) subnets: &'l [SubnetMapping],
}

/// Builds the binding of a target group.
pub(crate) fn build(
    frame: &Frame<'_, '_>,
    network: &Network<'_>,
    backend: &ServiceBackend<'_>,
    group: &TargetGroup,
    target_group: Ref<TargetGroupArn>,
) -> BindingTemplate {
    let mut labels = frame.infrastructure_labels.clone();
    labels.insert(
        frame.controller.stack_namespace_label().to_owned(),
        frame.gateway.namespace.clone(),
    );
    labels.insert(
        frame.controller.stack_name_label().to_owned(),
        frame.gateway.name.clone(),
    );
    let is_instance = backend.target_type == TargetType::Instance;
    let networking = networking(frame, network, backend, group);
    let endpoints = match networking {
        Some(_) => endpoints::of(
            frame.ctx,
            &backend.name,
            backend.target_type,
            &group.targets,
        ),
        None => Vec::new(),
    };
    let props = &backend.props.props;
    BindingTemplate {
        namespace: backend.name.namespace.clone(),
        name: group.name.clone(),
        labels,
        annotations: frame.infrastructure_annotations.clone(),
        target_group,
        networking,
        traffic_port: backend.traffic_port.clone(),
        endpoints,
        spec: TargetGroupBindingSpec {
            target_type: Some(if is_instance {
                crds::TargetType::Instance
            } else {
                crds::TargetType::Ip
            }),
            target_group_protocol: Some(match group.protocol {
                Protocol::Http => BindingProtocol::Http,
                Protocol::Https => BindingProtocol::Https,
                Protocol::Tcp => BindingProtocol::Tcp,
                Protocol::Tls => BindingProtocol::Tls,
                Protocol::Udp => BindingProtocol::Udp,
                Protocol::TcpUdp => BindingProtocol::TcpUdp,
                Protocol::Quic => BindingProtocol::Quic,
                Protocol::TcpQuic => BindingProtocol::TcpQuic,
            }),
            service_ref: ServiceReference {
                name: backend.name.name.clone(),
                port: IntOrString::Int(backend.service_port.port),
            },
            node_selector: props.node_selector.clone().filter(|_| is_instance),
            ip_address_type: Some(match backend.family {
                TargetFamily::Ipv4 => TargetGroupIpAddressType::Ipv4,
                TargetFamily::Ipv6 => TargetGroupIpAddressType::Ipv6,
            }),
            vpc_id: Some(group.vpc_id.to_string()),
            // Only true is ever stored.
            multi_cluster_target_group: props.enable_multi_cluster.filter(|m| *m),
            ..TargetGroupBindingSpec::default()
        },
    }
}

fn networking(
    frame: &Frame<'_, '_>,
    network: &Network<'_>,
    backend: &ServiceBackend<'_>,
    group: &TargetGroup,
) -> Option<Vec<NetworkingRule>> {
    let is_udp = group.protocol.has_datagrams();
    let traffic = &backend.traffic_port;
    let checked = group.health_check.port.parse::<i32>().ok();
    let port = |protocol, port: &IntOrString| NetworkingPort {
        protocol: Some(protocol),
        port: Some(port.clone()),
    };
    match network.toward_targets {
        TowardTargets::Unmanaged => None,
        TowardTargets::Group(peer) => {
            let from = vec![Peer::SecurityGroup(peer.clone())];
            if frame.ctx.settings.node_rules == NodeRules::AllPorts {
                let all = |protocol| NetworkingPort {
                    protocol: Some(protocol),
                    port: None,
                };
                let mut ports = vec![all(NetworkingProtocol::Tcp)];
                if is_udp {
                    ports.push(all(NetworkingProtocol::Udp));
                }
                return Some(vec![NetworkingRule { from, ports }]);
            }
            let protocol = if is_udp {
                NetworkingProtocol::Udp
            } else {
                NetworkingProtocol::Tcp
            };
            let mut ports = vec![port(protocol, traffic)];
            if is_udp || checked.is_some_and(|c| *traffic != IntOrString::Int(c)) {
                let checked = checked.map_or_else(|| traffic.clone(), IntOrString::Int);
                ports.push(port(NetworkingProtocol::Tcp, &checked));
            }
            // LBC writes one rule for each port.
            let rules = ports.into_iter().map(|p| NetworkingRule {
                from: from.clone(),
                ports: vec![p],
            });
            Some(rules.collect())
        }
        TowardTargets::Addresses => {
            let traffic_protocols: &[_] = match group.protocol {
                Protocol::Udp | Protocol::Quic => &[NetworkingProtocol::Udp],
                Protocol::TcpUdp | Protocol::TcpQuic => {
                    &[NetworkingProtocol::Tcp, NetworkingProtocol::Udp]
                }
                _ => &[NetworkingProtocol::Tcp],
            };
            let sources = sources(frame, network, backend, group, is_udp);
            let everyone = sources
                .cidrs
                .iter()
                .any(|c| c == "0.0.0.0/0" || c == "::/0");
            let checked_is_traffic = checked.is_none_or(|c| *traffic == IntOrString::Int(c));
            let covers_checks = !is_udp
                && checked_is_traffic
                && (!sources.are_clients || sources.are_default || everyone);
            let mut rules = vec![NetworkingRule {
                from: sources.cidrs.into_iter().map(Peer::Cidr).collect(),
                ports: traffic_protocols
                    .iter()
                    .map(|p| port(*p, traffic))
                    .collect(),
            }];
            let checkers = subnet_blocks(frame, network, backend.family);
            if !covers_checks && !checkers.is_empty() {
                let checked = checked.map_or_else(|| traffic.clone(), IntOrString::Int);
                rules.push(NetworkingRule {
                    from: checkers.into_iter().map(Peer::Cidr).collect(),
                    ports: vec![port(NetworkingProtocol::Tcp, &checked)],
                });
            }
            Some(rules)
        }
    }
}

/// From where targets see traffic of a load balancer without security groups.
struct Sources {
    cidrs: Vec<String>,
    /// Whether targets see the clients' own addresses.
    are_clients: bool,
    /// Whether no sourceRanges are configured.
    are_default: bool,
}

fn sources(
    frame: &Frame<'_, '_>,
    network: &Network<'_>,
    backend: &ServiceBackend<'_>,
    group: &TargetGroup,
    is_udp: bool,
) -> Sources {
    let preserved = group.attributes.get("preserve_client_ip.enabled");
    let are_clients = is_udp
        || match preserved {
            Some(value) => is_true(value),
            None => backend.target_type == TargetType::Instance,
        };
    let configured = frame
        .configuration
        .spec
        .source_ranges
        .as_deref()
        .unwrap_or_default();
    let are_default = configured.is_empty();
    let cidrs = if !are_clients {
        subnet_blocks(frame, network, backend.family)
    } else if !are_default {
        configured.to_vec()
    } else if network.scheme == Scheme::Internal {
        let vpc = frame.ctx.vpc();
        vpc.map(|v| match backend.family {
            TargetFamily::Ipv4 => v.ipv4_cidrs.clone(),
            TargetFamily::Ipv6 => v.ipv6_cidrs.clone(),
        })
        .unwrap_or_default()
    } else {
        let everyone = match backend.family {
            TargetFamily::Ipv4 => "0.0.0.0/0",
            TargetFamily::Ipv6 => "::/0",
        };
        vec![everyone.to_owned()]
    };
    Sources {
        cidrs,
        are_clients,
        are_default,
    }
}

fn subnet_blocks(
    frame: &Frame<'_, '_>,
    network: &Network<'_>,
    family: TargetFamily,
) -> Vec<String> {
    let Some(all) = frame.ctx.subnets() else {
        return Vec::new();
    };
    let subnets = network.subnets.iter().filter_map(|m| all.get(&m.subnet_id));
    subnets
        .flat_map(|s| match family {
            TargetFamily::Ipv4 => vec![s.ipv4_cidr.clone()],
            TargetFamily::Ipv6 => s.ipv6_cidrs.clone(),
        })
        .collect()
}

/// What Go takes for true.
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True")
}
