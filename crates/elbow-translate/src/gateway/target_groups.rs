//! Target groups of a Stack.
//!
//! In: backends, as rules and listeners need them. Out: one target group for each route and Service
//! port, or port of another Gateway, whatever number of rules use it; a target group of somebody else's is
//! referred to and nothing more. The first listener port that needs a group decides its
//! protocol version, as with LBC.

use std::collections::BTreeMap;

use elbow_api::crds::{ProtocolVersion as ConfiguredVersion, TargetGroupProtocol};
use elbow_api::names::{QUIC_CONTAINERS_ANNOTATION, QUIC_SERVER_ID_VARIABLE};
use elbow_api::{Diagnostic, NamespacedName, ObjectRef};
use elbow_model::stack::{
    Protocol, ProtocolVersion, Sharing, Target, TargetFamily, TargetGroup, TargetType,
};
use elbow_model::{Cause, Ref, ResourceId, ResourceKind, TargetGroupArn};

use super::attributes;
use super::backends::{Backend, ServiceBackend, text};
use super::bindings::{self, BindingTemplate, Network};
use super::chained::Chained;
use super::routes::{Route, RouteKind};
use super::tags::{self, UserTags};
use super::target_group_config::Props;
use super::targets::Source;
use super::{Frame, health_check, names, targets};

/// Target groups while they are collected.
pub(crate) struct TargetGroups<'f, 'c, 'a> {
    frame: &'f Frame<'c, 'a>,
    network: Network<'f>,
    /// With their bindings; a group whose target is a load balancer has none.
    found: BTreeMap<ResourceId, (TargetGroup, Option<BindingTemplate>)>,
}

impl<'f, 'c, 'a> TargetGroups<'f, 'c, 'a> {
    pub(crate) fn new(frame: &'f Frame<'c, 'a>, network: Network<'f>) -> Self {
        Self {
            frame,
            network,
            found: BTreeMap::new(),
        }
    }

    /// The target groups by resource id, and their bindings in the same order.
    pub(crate) fn into_parts(self) -> (BTreeMap<ResourceId, TargetGroup>, Vec<BindingTemplate>) {
        let mut groups = BTreeMap::new();
        let mut bindings = Vec::new();
        for (id, (group, binding)) in self.found {
            groups.insert(id, group);
            bindings.extend(binding);
        }
        (groups, bindings)
    }

    /// The target group of a backend behind a listener of this protocol; made when it is new.
    pub(crate) fn ensure(
        &mut self,
        route: &Route,
        backend: &Backend<'_>,
        listener: Protocol,
    ) -> Ref<TargetGroupArn> {
        let resource = match backend {
            Backend::Service(backend) => &backend.resource,
            Backend::Gateway(backend) => &backend.resource,
            Backend::TargetGroup(existing) => return Ref::Known(existing.arn.clone()),
        };
        let key = self.frame.stack_key(ResourceKind::TargetGroup, resource);
        let reference = Ref::Of(key);
        if self.found.contains_key(resource) {
            return reference;
        }
        let (group, binding) = match backend {
            Backend::Service(backend) => {
                let group = self.of_service(route, backend, listener);
                let (frame, network) = (self.frame, &self.network);
                let binding = bindings::build(frame, network, backend, &group, reference.clone());
                (group, Some(binding))
            }
            Backend::Gateway(backend) => (self.of_gateway(route, backend), None),
            Backend::TargetGroup(_) => return reference,
        };
        self.found.insert(resource.clone(), (group, binding));
        reference
    }

    /// The group whose target is the load balancer of a Gateway.
    fn of_gateway(&self, route: &Route, backend: &Chained) -> TargetGroup {
        let frame = self.frame;
        let props = &backend.props.props;
        let object = backend.props.objects.first();
        // Difference (chained-attributes): LBC sends them, AWS refuses, and the Gateway is given up.
        if props
            .target_group_attributes
            .as_ref()
            .is_some_and(|attributes| !attributes.is_empty())
        {
            let mut finding = Diagnostic::error(
                "unsupported-attributes",
                "AWS lets nobody change attributes of a target group whose target is a load balancer",
            )
            .at("spec.defaultConfiguration.targetGroupAttributes")
            .hint("remove them");
            finding.object = object.cloned();
            frame.ctx.report(finding);
        }
        self.report_unsupported(&backend.props);
        let user = UserTags {
            tags: props.tags.as_ref(),
            object,
            field: "spec.defaultConfiguration.tags",
        };
        let target = backend.load_balancer.iter().map(|arn| Target {
            id: arn.to_string(),
            port: backend.port,
            availability_zone: None,
            quic_server_id: None,
        });
        let name = GroupName {
            backend: &backend.name,
            object: backend.object(),
            props: &backend.props,
            port: &backend.port.to_string(),
            target_type: TargetType::Alb,
            protocol: Protocol::Tcp,
            version: None,
        };
        TargetGroup {
            name: self.name(route, &name),
            target_type: TargetType::Alb,
            protocol: Protocol::Tcp,
            protocol_version: None,
            port: backend.port,
            ip_address_type: TargetFamily::Ipv4,
            vpc_id: frame.ctx.settings.vpc_id.clone(),
            health_check: backend.health_check(),
            attributes: elbow_model::Attributes::new(),
            tags: tags::of(frame.ctx, &frame.stack, &backend.resource, user),
            targets: target.collect(),
            sharing: Sharing::Exclusive,
            causes: causes(route, &backend.object(), &backend.props),
        }
    }

    fn of_service(
        &self,
        route: &Route,
        backend: &ServiceBackend<'_>,
        listener: Protocol,
    ) -> TargetGroup {
        let frame = self.frame;
        let props = &backend.props.props;
        let protocol = protocol(route.kind, props.protocol, listener);
        let version = protocol_version(route.kind, backend, listener);
        let (attributes, findings) = attributes::known(
            attributes::Of::TargetGroup,
            frame.lb_type,
            props.target_group_attributes.as_ref(),
        );
        // Names the configuration: which of several it is, is not kept when they are merged.
        let object = backend.props.objects.first();
        for (_, finding) in findings {
            let mut finding = finding.at("spec.defaultConfiguration.targetGroupAttributes");
            finding.object = object.cloned();
            frame.ctx.report(finding);
        }
        self.report_unsupported(&backend.props);
        let source = source(frame, backend, protocol);
        report_without_server_id(frame, backend, &source);
        let user = UserTags {
            tags: props.tags.as_ref(),
            object,
            field: "spec.defaultConfiguration.tags",
        };
        let name = GroupName {
            backend: &backend.name,
            object: backend.object(),
            props: &backend.props,
            port: &text(&backend.traffic_port),
            target_type: backend.target_type,
            protocol,
            version,
        };
        let mut group = TargetGroup {
            name: self.name(route, &name),
            target_type: backend.target_type,
            protocol,
            protocol_version: version,
            port: backend.port,
            ip_address_type: backend.family,
            vpc_id: frame.ctx.settings.vpc_id.clone(),
            health_check: health_check::of(backend, protocol, version),
            attributes,
            tags: tags::of(frame.ctx, &frame.stack, &backend.resource, user),
            targets: targets::of(frame.ctx, &source),
            sharing: Sharing::Exclusive,
            causes: causes(route, &backend.object(), &backend.props),
        };
        if props.enable_multi_cluster == Some(true) {
            // The binding is called as the target group is.
            group.sharing = Sharing::Clusters {
                namespace: backend.name.namespace.clone(),
                binding: group.name.clone(),
            };
        }
        group
    }

    fn name(&self, route: &Route, of: &GroupName<'_>) -> String {
        let frame = self.frame;
        let control_port = of.props.props.target_control_port;
        let derived = || {
            names::TargetGroupName {
                cluster: &frame.ctx.settings.cluster_name,
                gateway: &frame.gateway,
                route: &route.name,
                route_kind: route.kind.as_str(),
                backend: of.backend,
                port: of.port,
                target_type: of.target_type.as_str(),
                protocol: of.protocol.as_str(),
                protocol_version: of.version.map_or("", ProtocolVersion::as_str),
                target_control_port: &control_port.map(|p| p.to_string()).unwrap_or_default(),
            }
            .build()
        };
        let Some(wanted) = &of.props.props.target_group_name else {
            return derived();
        };
        // Difference (target-group-name-once): with LBC two groups of one name collide.
        if self.found.values().any(|(group, _)| group.name == *wanted) {
            let mut finding = Diagnostic::warning(
                "target-group-name-taken",
                format!(
                    "`{wanted}` is already the name of another target group; that of {} {} gets a derived one",
                    of.object.kind, of.backend
                ),
            )
            .at("spec.defaultConfiguration.targetGroupName")
            .hint("give each route a name of its own in routeConfigurations, or leave the name out");
            finding.object = of.props.objects.first().cloned();
            frame.ctx.report(finding);
            return derived();
        }
        wanted.clone()
    }

    fn report_unsupported(&self, of: &Props) {
        let props = &of.props;
        if props.target_control_port.is_some() {
            let mut finding = Diagnostic::error(
                "not-supported-yet",
                "targetControlPort only changes the derived name of the target group",
            )
            .at("spec.defaultConfiguration.targetControlPort")
            .hint("remove the field");
            finding.object = of.objects.first().cloned();
            self.frame.ctx.report(finding);
        }
        if props.ip_address_type.is_some() {
            let mut finding = Diagnostic::warning(
                "ignored-field",
                "the address family of a target group follows the ipFamilies of its Service",
            )
            .at("spec.defaultConfiguration.ipAddressType")
            .hint("remove the field");
            finding.object = of.objects.first().cloned();
            self.frame.ctx.report(finding);
        }
    }
}

/// What the name of a target group is made of.
struct GroupName<'b> {
    backend: &'b NamespacedName,
    object: ObjectRef,
    props: &'b Props,
    port: &'b str,
    target_type: TargetType,
    protocol: Protocol,
    version: Option<ProtocolVersion>,
}

/// The route, its backend, and the configurations of that.
fn causes(route: &Route, backend: &ObjectRef, props: &Props) -> Vec<Cause> {
    let own = [&route.object(), backend].map(super::cause);
    let configurations = props.objects.iter().map(super::cause);
    own.into_iter().chain(configurations).collect()
}

fn source<'s>(
    frame: &'s Frame<'_, '_>,
    backend: &'s ServiceBackend<'_>,
    protocol: Protocol,
) -> Source<'s> {
    Source {
        protocol,
        service: &backend.name,
        service_port: backend.service_port,
        target_type: backend.target_type,
        family: backend.family,
        node_selector: backend.props.props.node_selector.as_ref(),
        node_port: backend.port,
        vpc_id: &frame.ctx.settings.vpc_id,
    }
}

/// A load balancer finds the targets of QUIC by server ids, and nothing gets to a pod without one.
fn report_without_server_id(
    frame: &Frame<'_, '_>,
    backend: &ServiceBackend<'_>,
    source: &Source<'_>,
) {
    let addresses = targets::without_server_id(frame.ctx, source);
    let Some(first) = addresses.first() else {
        return;
    };
    let message = match addresses.len() {
        1 => format!("endpoint {first} has no server id and gets no QUIC traffic"),
        n => format!(
            "{n} endpoints, {first} the first of them, have no server id and get no QUIC traffic"
        ),
    };
    let finding = Diagnostic::warning("quic-target-without-server-id", message).hint(format!(
        "give the pods the annotation {QUIC_CONTAINERS_ANNOTATION} and their containers the variable {QUIC_SERVER_ID_VARIABLE}: 8 bytes, base64, of each pod its own"
    ));
    frame.ctx.report(finding.on(backend.object()));
}

fn protocol(
    route: RouteKind,
    configured: Option<TargetGroupProtocol>,
    listener: Protocol,
) -> Protocol {
    if listener == Protocol::TcpUdp || listener.is_quic() {
        return listener;
    }
    match configured {
        Some(TargetGroupProtocol::Http) => Protocol::Http,
        Some(TargetGroupProtocol::Https) => Protocol::Https,
        Some(TargetGroupProtocol::Tcp) => Protocol::Tcp,
        Some(TargetGroupProtocol::Tls) => Protocol::Tls,
        Some(TargetGroupProtocol::Udp) => Protocol::Udp,
        Some(TargetGroupProtocol::TcpUdp) => Protocol::TcpUdp,
        None => match route {
            RouteKind::Http | RouteKind::Grpc => Protocol::Http,
            RouteKind::Tcp => Protocol::Tcp,
            RouteKind::Udp => Protocol::Udp,
            // Difference (passthrough-to-tcp): LBC makes a TLS group, which AWS refuses behind a TCP
            // listener, and gives up the Gateway unless a TargetGroupConfiguration says TCP.
            RouteKind::Tls if listener == Protocol::Tcp => Protocol::Tcp,
            RouteKind::Tls => Protocol::Tls,
        },
    }
}

/// ALB speaks newer versions to targets only behind HTTPS.
fn protocol_version(
    route: RouteKind,
    backend: &ServiceBackend<'_>,
    listener: Protocol,
) -> Option<ProtocolVersion> {
    if !matches!(route, RouteKind::Http | RouteKind::Grpc) {
        return None;
    }
    if listener != Protocol::Https {
        return Some(ProtocolVersion::Http1);
    }
    let app_protocol = backend.service_port.app_protocol.as_deref();
    Some(match backend.props.props.protocol_version {
        Some(ConfiguredVersion::Http2) => ProtocolVersion::Http2,
        Some(ConfiguredVersion::Grpc) => ProtocolVersion::Grpc,
        None if route == RouteKind::Grpc => ProtocolVersion::Grpc,
        None if app_protocol == Some("kubernetes.io/h2c") => ProtocolVersion::Http2,
        None | Some(ConfiguredVersion::Http1) => ProtocolVersion::Http1,
    })
}
