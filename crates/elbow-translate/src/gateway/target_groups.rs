//! Target groups of a Stack.
//!
//! In: backends, as rules and listeners need them. Out: one target group for each route and Service
//! port, whatever number of rules use it. The first listener port that needs a group decides its
//! protocol version, as with LBC.

use std::collections::BTreeMap;

use elbow_api::Diagnostic;
use elbow_api::crds::{ProtocolVersion as ConfiguredVersion, TargetGroupProtocol};
use elbow_model::stack::{Protocol, ProtocolVersion, Sharing, TargetGroup};
use elbow_model::{Cause, Ref, ResourceId, ResourceKind, TargetGroupArn};

use super::attributes;
use super::backends::{Backend, text};
use super::bindings::{self, BindingTemplate, Network};
use super::routes::{Route, RouteKind};
use super::tags::{self, UserTags};
use super::targets::Source;
use super::{Frame, health_check, names, targets};

/// Target groups while they are collected.
pub(crate) struct TargetGroups<'f, 'c, 'a> {
    frame: &'f Frame<'c, 'a>,
    network: Network<'f>,
    found: BTreeMap<ResourceId, (TargetGroup, BindingTemplate)>,
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
            bindings.push(binding);
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
        let key = self
            .frame
            .stack_key(ResourceKind::TargetGroup, &backend.resource);
        let reference = Ref::Of(key);
        if !self.found.contains_key(&backend.resource) {
            let group = self.build(route, backend, listener);
            let binding = bindings::build(
                self.frame,
                &self.network,
                backend,
                &group,
                reference.clone(),
            );
            self.found
                .insert(backend.resource.clone(), (group, binding));
        }
        reference
    }

    fn build(&self, route: &Route, backend: &Backend<'_>, listener: Protocol) -> TargetGroup {
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
        self.report_unsupported(backend);
        let user = UserTags {
            tags: props.tags.as_ref(),
            object,
            field: "spec.defaultConfiguration.tags",
        };
        let mut causes = vec![Cause {
            kind: route.kind.as_str().to_owned(),
            namespace: route.name.namespace.clone(),
            name: route.name.name.clone(),
        }];
        causes.push(super::cause(&backend.object()));
        causes.extend(backend.props.objects.iter().map(super::cause));
        let mut group = TargetGroup {
            name: self.name(route, backend, protocol, version),
            target_type: backend.target_type,
            protocol,
            protocol_version: version,
            port: backend.port,
            ip_address_type: backend.family,
            vpc_id: frame.ctx.settings.vpc_id.clone(),
            health_check: health_check::of(backend, protocol, version),
            attributes,
            tags: tags::of(frame.ctx, &frame.stack, &backend.resource, user),
            targets: targets::of(frame.ctx, &source(frame, backend)),
            sharing: Sharing::Exclusive,
            causes,
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

    fn name(
        &self,
        route: &Route,
        backend: &Backend<'_>,
        protocol: Protocol,
        version: Option<ProtocolVersion>,
    ) -> String {
        let frame = self.frame;
        let port = text(&backend.traffic_port);
        let control_port = backend.props.props.target_control_port;
        let derived = || {
            names::TargetGroupName {
                cluster: &frame.ctx.settings.cluster_name,
                gateway: &frame.gateway,
                route: &route.name,
                route_kind: route.kind.as_str(),
                backend: &backend.name,
                port: &port,
                target_type: backend.target_type.as_str(),
                protocol: protocol.as_str(),
                protocol_version: version.map_or("", ProtocolVersion::as_str),
                target_control_port: &control_port.map(|p| p.to_string()).unwrap_or_default(),
            }
            .build()
        };
        let Some(wanted) = &backend.props.props.target_group_name else {
            return derived();
        };
        // Difference (target-group-name-once): with LBC two groups of one name collide.
        if self.found.values().any(|(group, _)| group.name == *wanted) {
            let mut finding = Diagnostic::warning(
                "target-group-name-taken",
                format!(
                    "`{wanted}` is already the name of another target group; that of Service {} gets a derived one",
                    backend.name
                ),
            )
            .at("spec.defaultConfiguration.targetGroupName")
            .hint("give each route a name of its own in routeConfigurations, or leave the name out");
            finding.object = backend.props.objects.first().cloned();
            frame.ctx.report(finding);
            return derived();
        }
        wanted.clone()
    }

    fn report_unsupported(&self, backend: &Backend<'_>) {
        let props = &backend.props.props;
        if props.target_control_port.is_some() {
            let mut finding = Diagnostic::error(
                "not-supported-yet",
                "targetControlPort only changes the derived name of the target group",
            )
            .at("spec.defaultConfiguration.targetControlPort")
            .hint("remove the field");
            finding.object = backend.props.objects.first().cloned();
            self.frame.ctx.report(finding);
        }
        if props.ip_address_type.is_some() {
            let mut finding = Diagnostic::warning(
                "ignored-field",
                "the address family of a target group follows the ipFamilies of its Service",
            )
            .at("spec.defaultConfiguration.ipAddressType")
            .hint("remove the field");
            finding.object = backend.props.objects.first().cloned();
            self.frame.ctx.report(finding);
        }
    }
}

fn source<'s>(frame: &'s Frame<'_, '_>, backend: &'s Backend<'_>) -> Source<'s> {
    Source {
        service: &backend.name,
        service_port: backend.service_port,
        target_type: backend.target_type,
        family: backend.family,
        node_selector: backend.props.props.node_selector.as_ref(),
        node_port: backend.port,
        vpc_id: &frame.ctx.settings.vpc_id,
    }
}

fn protocol(
    route: RouteKind,
    configured: Option<TargetGroupProtocol>,
    listener: Protocol,
) -> Protocol {
    if listener == Protocol::TcpUdp {
        return Protocol::TcpUdp;
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
    backend: &Backend<'_>,
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
