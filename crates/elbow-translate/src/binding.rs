//! TargetGroupBindings that users write, and those that the AWS Load Balancer Controller (LBC) made for
//! Ingresses and Services: which targets the target group that one names is to have.
//!
//! In: a binding, its Service with EndpointSlices or the Nodes, the target group as AWS describes it. Out:
//! a [`BindingVerdict`], findings, and what was read. What always holds:
//!
//! - A binding that a Gateway of ours has asked for is the Gateway's matter ([`BindingVerdict::Absent`]).
//! - The target group carries no tags of ours. That the binding names it gives leave to change its targets
//!   and nothing else; so all that LBC's webhook refuses is looked at first, and where it would refuse,
//!   nothing is changed ([`BindingVerdict::Refused`]). Difference (binding-judged-in-rounds): LBC looks when
//!   a binding is created, and writes what it looked up into the object.
//! - Of two bindings of one group that do not say that it is shared, one is in force: that of a Gateway,
//!   or the older.
//! - A Service or port that is missing takes the targets away, as with LBC.
//!
//! Start at [`translate_binding`].

use std::collections::BTreeSet;

use elbow_api::crds::{self, BindingProtocol, NetworkingPeer, TargetGroupBinding};
use elbow_api::names::TARGET_GROUP_BINDING_FINALIZER;
use elbow_api::{Diagnostic, Kind, NamespacedName, ObjectRef, Read, Reader, Snapshot};
use elbow_model::aws_call::TargetGroupDescription;
use elbow_model::stack::{
    HealthCheck, Protocol, Sharing, Target, TargetFamily, TargetGroup, TargetType,
};
use elbow_model::{
    Attributes, FactQuery, Facts, Port, ResourceId, SecurityGroupId, Stack, StackId, StackKind,
    Tags, VpcId,
};
use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::gateway::context::Context;
use crate::gateway::targets::{self, Source};
use crate::gateway::{NetworkingRule, Peer, cause, endpoints};
use crate::network::BindingNetwork;
use crate::settings::Settings;

/// Longest name of a target group (CreateTargetGroup in the ELBv2 API reference).
const GROUP_NAME_LENGTH_MAX: usize = 32;

/// Codes of findings about a backend that is not there: LBC has an event of its own for them.
const MISSING_SERVICE: &str = "missing-service";
const MISSING_SERVICE_PORT: &str = "missing-service-port";

/// What translation answers.
#[derive(Debug, Clone, PartialEq)]
pub enum TranslatedBinding {
    /// It has to know these facts first.
    NeedFacts(BTreeSet<FactQuery>),
    /// It is done.
    Done(Box<BindingTranslation>),
}

/// A translation.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingTranslation {
    /// The generation of the binding that was translated; `None` when there is none.
    pub generation: Option<i64>,
    /// The generation that was brought about last, as its status says.
    pub reconciled: Option<i64>,
    /// Whether it has the finalizer that keeps it until its targets are gone.
    pub is_protected: bool,
    /// Whether it is being deleted.
    pub is_leaving: bool,
    /// What it comes to.
    pub verdict: BindingVerdict,
    /// The type of its target group's targets, where it leaves that to AWS.
    pub inferred_type: Option<TargetType>,
    /// What it wants of the network; `None` where the user manages that.
    pub network: Option<BindingNetwork>,
    /// Findings, sorted, without duplicates.
    pub diagnostics: Vec<Diagnostic>,
    /// What was read: a change of any of it calls for translating again.
    pub reads: BTreeSet<Read>,
}

/// What a TargetGroupBinding comes to.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each binding, and most have targets"
)]
pub enum BindingVerdict {
    /// There is no such binding, or a Gateway of ours has asked for it.
    Absent,
    /// Its target group is to have these targets: none while it is being deleted. The Stack has that one
    /// target group, by its ARN, as AWS describes it.
    Targets(Stack),
    /// It is being deleted, and nothing of it is in AWS.
    Left,
    /// Findings say why nothing is changed.
    Refused,
}

/// Whether a finding of a binding says that its Service or port is missing.
///
/// Difference (binding-condition): LBC has an event for it; elbow's condition says it, too.
pub fn is_backend_missing(finding: &Diagnostic) -> bool {
    matches!(finding.code, MISSING_SERVICE | MISSING_SERVICE_PORT)
}

/// Translates one TargetGroupBinding.
pub fn translate_binding(
    snapshot: &Snapshot,
    facts: &Facts,
    settings: &Settings,
    name: &NamespacedName,
) -> TranslatedBinding {
    let ctx = Context::new(snapshot, facts, settings);
    let found = ctx.reader.target_group_binding(name);
    let found = found.filter(|binding| binding.gateway().is_none());
    let (mut is_protected, mut is_leaving) = (false, false);
    let mut network = None;
    let verdict = found.map_or(BindingVerdict::Absent, |binding| {
        let mut finalizers = binding.metadata.finalizers.iter().flatten();
        is_protected = finalizers.any(|f| f == TARGET_GROUP_BINDING_FINALIZER);
        is_leaving = binding.metadata.deletion_timestamp.is_some();
        let translator = Translator {
            ctx: &ctx,
            name,
            binding,
        };
        if is_leaving {
            translator.leave(is_protected)
        } else {
            match translator.targets() {
                Ok(stack) => {
                    let mut groups = stack.target_groups.values();
                    network = groups.next().and_then(|group| translator.network(group));
                    BindingVerdict::Targets(stack)
                }
                Err(refusal) => {
                    ctx.report(refusal.on(translator.object()));
                    BindingVerdict::Refused
                }
            }
        }
    });
    let generation = found.map(|binding| binding.metadata.generation.unwrap_or_default());
    let status = found.and_then(|binding| binding.status.as_ref());
    let reconciled = status.and_then(|status| status.observed_generation);
    let inferred_type = match &verdict {
        BindingVerdict::Targets(stack) => {
            let mut groups = stack.target_groups.values();
            let leaves_out = found.is_some_and(|binding| binding.spec.target_type.is_none());
            groups
                .next()
                .map(|group| group.target_type)
                .filter(|_| leaves_out)
        }
        BindingVerdict::Absent | BindingVerdict::Left | BindingVerdict::Refused => None,
    };
    let (reads, needed, diagnostics) = ctx.into_parts();
    if !needed.is_empty() {
        return TranslatedBinding::NeedFacts(needed);
    }
    TranslatedBinding::Done(Box::new(BindingTranslation {
        generation,
        reconciled,
        is_protected,
        is_leaving,
        verdict,
        inferred_type,
        network,
        diagnostics,
        reads,
    }))
}

/// Says of a binding that nothing can be done for it, since AWS could not be asked about it; `None` where it
/// is absent or a Gateway's.
pub fn translate_unasked_binding(
    snapshot: &Snapshot,
    name: &NamespacedName,
) -> Option<BindingTranslation> {
    let reader = Reader::new(snapshot);
    let binding = reader.target_group_binding(name)?;
    if binding.gateway().is_some() {
        return None;
    }
    let mut finalizers = binding.metadata.finalizers.iter().flatten();
    let status = binding.status.as_ref();
    Some(BindingTranslation {
        generation: binding.metadata.generation,
        reconciled: status.and_then(|status| status.observed_generation),
        is_protected: finalizers.any(|f| f == TARGET_GROUP_BINDING_FINALIZER),
        is_leaving: binding.metadata.deletion_timestamp.is_some(),
        verdict: BindingVerdict::Refused,
        inferred_type: None,
        network: None,
        diagnostics: Vec::new(),
        reads: BTreeSet::new(),
    })
}

/// One binding that is there.
pub(crate) struct Translator<'c, 'a> {
    pub(crate) ctx: &'c Context<'a>,
    pub(crate) name: &'c NamespacedName,
    pub(crate) binding: &'a TargetGroupBinding,
}

/// Why nothing is changed.
pub(crate) type Refusal = Box<Diagnostic>;

/// The target group of a binding, as far as targets depend on it.
struct Group<'a> {
    description: &'a TargetGroupDescription,
    target_type: TargetType,
    protocol: Protocol,
    port: Port,
    vpc_id: &'a VpcId,
}

impl<'a> Translator<'_, 'a> {
    /// What a binding that is there asks for.
    fn targets(&self) -> Result<Stack, Refusal> {
        let Some(group) = self.group()? else {
            return Ok(self.empty());
        };
        let filled = self.filled(&group)?;
        let mut stack = self.stack(&group);
        let id = ResourceId::new(group.description.arn.as_str());
        stack.target_groups.insert(id, filled);
        Ok(stack)
    }

    /// What a target group is to have that is known to be the binding's.
    pub(crate) fn fill(
        &self,
        description: &'a TargetGroupDescription,
    ) -> Result<TargetGroup, Refusal> {
        let group = self.usable(description)?;
        self.agrees(&group)?;
        self.filled(&group)
    }

    fn filled(&self, group: &Group<'_>) -> Result<TargetGroup, Refusal> {
        let targets = match self.backend() {
            Ok((service, port)) => self.targets_of(group, service, port)?,
            Err(finding) => {
                self.ctx.report(finding.on(self.object()));
                Vec::new()
            }
        };
        Ok(TargetGroup {
            targets,
            ..self.wanted(group)
        })
    }

    /// Who is to reach the targets.
    pub(crate) fn network(&self, group: &TargetGroup) -> Option<BindingNetwork> {
        let networking = self.binding.spec.networking.as_ref()?;
        let peer = |peer: &NetworkingPeer| match (&peer.security_group, &peer.ip_block) {
            (Some(group), _) => {
                let id = SecurityGroupId::new(group.group_id.clone());
                Some(Peer::SecurityGroup(id.into()))
            }
            (None, Some(block)) => Some(Peer::Cidr(block.cidr.clone())),
            (None, None) => None,
        };
        let rules = networking.ingress.iter().flatten();
        let rules = rules.map(|rule| NetworkingRule {
            from: rule.from.iter().filter_map(peer).collect(),
            ports: rule.ports.clone(),
        });
        let service = self.service_name();
        let targets = &group.targets;
        let target_port = self
            .backend()
            .ok()
            .and_then(|(_, port)| port.target_port.clone());
        Some(BindingNetwork {
            binding: self.name.clone(),
            cause: cause(&self.object()),
            rules: rules.collect(),
            endpoints: endpoints::of(self.ctx, &service, group.target_type, targets),
            port_name: match target_port {
                Some(IntOrString::String(name)) => Some(name),
                _ => None,
            },
        })
    }

    /// What one that is being deleted asks for. Where the spec is refused, nothing was ever done for it, and
    /// the targets that are there are somebody else's.
    fn leave(&self, is_protected: bool) -> BindingVerdict {
        if !is_protected {
            return BindingVerdict::Left;
        }
        match self.group() {
            Ok(Some(group)) => BindingVerdict::Targets(self.stack(&group)),
            Err(refusal) if refusal.code == "not-supported-yet" => {
                self.ctx.report(
                    refusal
                        .on(self.object())
                        .hint("deregister its targets, then remove the finalizer by hand"),
                );
                BindingVerdict::Refused
            }
            Ok(None) | Err(_) => BindingVerdict::Left,
        }
    }

    /// The Stack with the binding's target group, without targets.
    fn stack(&self, group: &Group<'_>) -> Stack {
        let mut stack = self.empty();
        let id = ResourceId::new(group.description.arn.as_str());
        stack.target_groups.insert(id, self.wanted(group));
        stack
    }

    /// The binding's target group, without targets.
    fn wanted(&self, group: &Group<'_>) -> TargetGroup {
        let description = group.description;
        let service = &self.binding.spec.service_ref.name;
        let service = ObjectRef::new(Kind::Service, self.name.namespace.clone(), service.clone());
        let is_shared = self.binding.spec.is_multi_cluster();
        TargetGroup {
            name: description.name.clone(),
            target_type: group.target_type,
            protocol: group.protocol,
            protocol_version: description.protocol_version,
            port: group.port,
            ip_address_type: description.ip_address_type,
            vpc_id: group.vpc_id.clone(),
            // Nothing compares it: it is the owner's.
            health_check: description.health_check.clone().unwrap_or_else(any_check),
            attributes: Attributes::new(),
            tags: Tags::new(),
            targets: Vec::new(),
            sharing: if is_shared {
                Sharing::Clusters {
                    namespace: self.name.namespace.clone(),
                    binding: self.name.name.clone(),
                }
            } else {
                Sharing::Exclusive
            },
            causes: vec![cause(&self.object()), cause(&service)],
        }
    }

    fn empty(&self) -> Stack {
        let NamespacedName { namespace, name } = self.name.clone();
        let id = StackId::new(StackKind::Binding, namespace, name);
        Stack::empty(id, self.ctx.settings.cluster_name.clone())
    }

    fn object(&self) -> ObjectRef {
        let NamespacedName { namespace, name } = self.name.clone();
        ObjectRef::new(Kind::TargetGroupBinding, namespace, name)
    }

    // --- the target group ---

    /// The target group, if it is one that this binding may fill; `None` while it is not known.
    fn group(&self) -> Result<Option<Group<'a>>, Refusal> {
        let spec = &self.binding.spec;
        // Difference (binding-in-another-account): LBC assumes the role.
        if spec.iam_role_arn_to_assume.is_some() {
            return Err(refusal(
                "not-supported-yet",
                "spec.iamRoleArnToAssume",
                "targets in another account are not registered or deregistered yet",
                "leave this TargetGroupBinding to a controller in that account",
            ));
        }
        let name = self.group_name()?;
        let Some(found) = self.ctx.target_group(name) else {
            return Ok(None);
        };
        let is_named = |d: &&TargetGroupDescription| {
            let arn = spec.target_group_arn.as_ref();
            arn.is_none_or(|arn| arn == d.arn.as_str())
        };
        let Some(description) = found.as_ref().filter(is_named) else {
            let named = spec.target_group_arn.as_deref().unwrap_or(name);
            return Err(refusal(
                "missing-target-group",
                self.field_of_group(),
                format!("there is no target group `{named}` in this account and region"),
                "create the target group or correct the field",
            ));
        };
        let group = self.usable(description)?;
        self.agrees(&group)?;
        self.is_in_force(name, description)?;
        Ok(Some(group))
    }

    fn field_of_group(&self) -> &'static str {
        if self.binding.spec.target_group_arn.is_some() {
            "spec.targetGroupARN"
        } else {
            "spec.targetGroupName"
        }
    }

    fn group_name(&self) -> Result<&'a str, Refusal> {
        let spec = &self.binding.spec;
        if spec.target_group_arn.is_none() && spec.target_group_name.is_none() {
            return Err(refusal(
                "binding-without-target-group",
                "spec",
                "neither targetGroupARN nor targetGroupName is given",
                "name the target group whose targets the Service is to be",
            ));
        }
        // What AWS would refuse as a name must not be asked for: names are asked for together.
        let name = spec.group_name().filter(|name| is_group_name(name));
        name.ok_or_else(|| {
            refusal(
                "invalid-target-group",
                self.field_of_group(),
                "this is no ARN or name of a target group",
                "an ARN is arn:aws:elasticloadbalancing:<region>:<account>:targetgroup/<name>/<id>",
            )
        })
    }

    /// The group, if it takes instances or addresses.
    fn usable(&self, description: &'a TargetGroupDescription) -> Result<Group<'a>, Refusal> {
        match (
            description.target_type,
            description.protocol,
            description.port,
            &description.vpc_id,
        ) {
            (
                Some(target_type @ (TargetType::Instance | TargetType::Ip)),
                Some(protocol),
                Some(port),
                Some(vpc_id),
            ) if !protocol.is_quic() || target_type == TargetType::Ip => Ok(Group {
                description,
                target_type,
                protocol,
                port,
                vpc_id,
            }),
            _ => Err(refusal(
                "not-supported-yet",
                self.field_of_group(),
                format!(
                    "target group `{}` has a target type or protocol whose targets are not registered yet",
                    description.name
                ),
                "use a target group of IP addresses, or of instances without QUIC",
            )),
        }
    }

    /// What is written about the group has to be true: AWS would refuse the targets, or they would not be
    /// the ones that were meant.
    fn agrees(&self, group: &Group<'_>) -> Result<(), Refusal> {
        let spec = &self.binding.spec;
        let target_type = spec.target_type.map(|written| match written {
            crds::TargetType::Instance => TargetType::Instance.as_str(),
            crds::TargetType::Ip => TargetType::Ip.as_str(),
        });
        let family = spec.ip_address_type.map(|written| match written {
            crds::TargetGroupIpAddressType::Ipv4 => TargetFamily::Ipv4.as_str(),
            crds::TargetGroupIpAddressType::Ipv6 => TargetFamily::Ipv6.as_str(),
        });
        let protocol = spec.target_group_protocol.map(protocol_text);
        let rows = [
            ("targetType", target_type, group.target_type.as_str()),
            (
                "ipAddressType",
                family,
                group.description.ip_address_type.as_str(),
            ),
            ("vpcID", spec.vpc_id.as_deref(), group.vpc_id.as_str()),
            ("targetGroupProtocol", protocol, group.protocol.as_str()),
        ];
        for (field, written, is) in rows {
            if let Some(written) = written
                && written != is
            {
                return Err(refusal(
                    "target-group-differs",
                    format!("spec.{field}"),
                    format!(
                        "{field} is `{written}`, and that of target group `{}` is `{is}`",
                        group.description.name
                    ),
                    "correct the field, or leave it out",
                ));
            }
        }
        if group.target_type == TargetType::Ip && spec.node_selector.is_some() {
            return Err(refusal(
                "node-selector-of-ip-targets",
                "spec.nodeSelector",
                "nodes are selected for targets of type instance, and these are IP addresses",
                "remove nodeSelector",
            ));
        }
        Ok(())
    }

    /// Looks whether another binding fills the group already. Several may only where each says that the
    /// group is shared.
    fn is_in_force(&self, name: &str, group: &TargetGroupDescription) -> Result<(), Refusal> {
        let mut rivals = self.ctx.reader.bindings_of(name);
        rivals.retain(|other| {
            let arn = other.spec.target_group_arn.as_deref();
            arn.is_none_or(|arn| arn == group.arn.as_str())
        });
        rivals.sort_by_key(|other| {
            let created = other.metadata.creation_timestamp.as_ref();
            (
                other.gateway().is_none(),
                created.map(|time| time.0),
                other.metadata.namespace.clone(),
                other.metadata.name.clone(),
            )
        });
        let mut in_force: Vec<&TargetGroupBinding> = Vec::new();
        for other in rivals {
            let is_shared = other.spec.is_multi_cluster();
            let rival = in_force
                .iter()
                .find(|first| !(is_shared && first.spec.is_multi_cluster()));
            let is_this = other.metadata.name.as_deref() == Some(self.name.name.as_str())
                && other.metadata.namespace.as_deref() == Some(self.name.namespace.as_str());
            match rival {
                None => in_force.push(other),
                Some(first) if is_this => {
                    let name = NamespacedName::new(
                        first.metadata.namespace.clone().unwrap_or_default(),
                        first.metadata.name.clone().unwrap_or_default(),
                    );
                    return Err(refusal(
                        "target-group-taken",
                        self.field_of_group(),
                        format!(
                            "TargetGroupBinding {name} already fills target group `{}`",
                            group.name
                        ),
                        "delete one of the two, or set multiClusterTargetGroup in both",
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    // --- the Service ---

    fn backend(&self) -> Result<(&'a Service, &'a ServicePort), Refusal> {
        let reference = &self.binding.spec.service_ref;
        let name = self.service_name();
        let service = self.ctx.reader.service(&name).ok_or_else(|| {
            refusal(
                MISSING_SERVICE,
                "spec.serviceRef.name",
                format!("Service {name} does not exist"),
                "create the Service or correct the name; until then there are no targets",
            )
        })?;
        let mut ports = service.spec.iter().flat_map(|s| s.ports.iter().flatten());
        let port = ports.find(|port| match &reference.port {
            IntOrString::Int(number) => port.port == *number,
            IntOrString::String(name) => port.name.as_deref() == Some(name.as_str()),
        });
        let port = port.ok_or_else(|| {
            let wanted = crate::gateway::backends::text(&reference.port);
            refusal(
                MISSING_SERVICE_PORT,
                "spec.serviceRef.port",
                format!("Service {name} has no port `{wanted}`"),
                "use the number or name of a port of the Service; until then there are no targets",
            )
        })?;
        Ok((service, port))
    }

    fn service_name(&self) -> NamespacedName {
        let service = &self.binding.spec.service_ref.name;
        NamespacedName::new(self.name.namespace.clone(), service.clone())
    }

    fn targets_of(
        &self,
        group: &Group<'_>,
        service: &Service,
        port: &ServicePort,
    ) -> Result<Vec<Target>, Refusal> {
        let service_type = service.spec.as_ref().and_then(|s| s.type_.as_deref());
        let has_nodes = matches!(service_type, Some("NodePort" | "LoadBalancer"));
        let node_port = port.node_port.and_then(Port::new).filter(|_| has_nodes);
        let name = self.service_name();
        let node_port = match (group.target_type, node_port) {
            (TargetType::Instance, None) => {
                return Err(refusal(
                    "instance-target-needs-node-port",
                    "spec.serviceRef",
                    format!("Service {name} has no node port, which targets of type instance need"),
                    "make the Service a NodePort or LoadBalancer, or use a target group of type ip",
                ));
            }
            (_, port) => port.unwrap_or(group.port),
        };
        let source = Source {
            service: &name,
            service_port: port,
            target_type: group.target_type,
            family: group.description.ip_address_type,
            node_selector: self.binding.spec.node_selector.as_ref(),
            node_port,
            vpc_id: group.vpc_id,
            protocol: group.protocol,
        };
        Ok(targets::of(self.ctx, &source))
    }
}

fn refusal(
    code: &'static str,
    field: impl Into<String>,
    message: impl Into<String>,
    hint: &str,
) -> Refusal {
    Box::new(Diagnostic::error(code, message).at(field).hint(hint))
}

/// Letters, digits and hyphens inside (CreateTargetGroup in the ELBv2 API reference).
fn is_group_name(name: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !name.is_empty()
        && name.len() <= GROUP_NAME_LENGTH_MAX
        && name.chars().all(is_inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn protocol_text(protocol: BindingProtocol) -> &'static str {
    match protocol {
        BindingProtocol::Http => "HTTP",
        BindingProtocol::Https => "HTTPS",
        BindingProtocol::Tcp => "TCP",
        BindingProtocol::Tls => "TLS",
        BindingProtocol::Udp => "UDP",
        BindingProtocol::TcpUdp => "TCP_UDP",
        BindingProtocol::Quic => "QUIC",
        BindingProtocol::TcpQuic => "TCP_QUIC",
    }
}

/// AWS's defaults for a check of TCP (CreateTargetGroup in the ELBv2 API reference).
fn any_check() -> HealthCheck {
    HealthCheck {
        port: "traffic-port".to_owned(),
        protocol: Protocol::Tcp,
        path: None,
        matcher: None,
        interval_seconds: 30,
        timeout_seconds: 10,
        healthy_threshold_count: 5,
        unhealthy_threshold_count: 2,
    }
}
