//! The Stack: the AWS resources that one Gateway asks for.
//!
//! In: built by translation. Out: read by the planner, which compares it with what is observed.
//! What always holds: resources are keyed by the resource id that LBC would give them, nothing refers
//! to a resource outside the Stack but by its AWS id, except what all Stacks of a cluster share (a
//! security group, certificates, trust stores), and the same objects give the same Stack whatever order they came in.

mod load_balancer;
mod security_group;
mod target_group;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use load_balancer::{
    IpAddressType, LoadBalancer, LoadBalancerAddress, LoadBalancerType, Scheme, SubnetMapping,
};
pub use security_group::{IngressRule, IngressSource, NODE_RULE_LABEL, SecurityGroup};
pub use target_group::{
    HealthCheck, Matcher, ProtocolVersion, Sharing, Target, TargetFamily, TargetGroup, TargetType,
};

use crate::certificate::ImportedCertificate;
use crate::ids::{CertificateArn, Port, ResourceId, TargetGroupArn};
use crate::rule::{Action, Condition, Transform};
use crate::trust_store::{AuthoritySource, BundleStorage, MutualAuthentication, TrustStore};
use crate::{Attributes, Tags};

/// What a Stack was made from; it decides the prefix of the tracking tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StackKind {
    /// What all Stacks of a cluster share: the backend security group, imported certificates and trust
    /// stores.
    Cluster,
    /// A Gateway of the class controller `gateway.k8s.aws/alb`.
    AlbGateway,
    /// A Gateway of the class controller `gateway.k8s.aws/nlb`.
    NlbGateway,
    /// A TargetGroupBinding that a user wrote. Its target group is not ours and carries no tags of
    /// ours: the binding names it by its ARN, which is its resource id here, and of all there is about
    /// it only targets are ever changed.
    Binding,
}

impl StackKind {
    /// Prefix of the tags `<prefix>/stack` and `<prefix>/resource`. Nothing carries those of a binding.
    pub const fn tag_prefix(self) -> &'static str {
        match self {
            Self::Cluster | Self::Binding => "elbv2.k8s.aws",
            Self::AlbGateway => "gateway.k8s.aws.alb",
            Self::NlbGateway => "gateway.k8s.aws.nlb",
        }
    }
}

/// Tag key that carries the cluster's name on everything elbow owns.
pub const CLUSTER_TAG: &str = "elbv2.k8s.aws/cluster";

/// Which Stack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StackId {
    /// What it was made from.
    pub kind: StackKind,
    /// Namespace of the Gateway or TargetGroupBinding; empty for the cluster's own.
    pub namespace: String,
    /// Name of the Gateway or TargetGroupBinding; empty for the cluster's own.
    pub name: String,
}

impl StackId {
    /// The Stack of what all others share.
    pub const CLUSTER: Self = Self {
        kind: StackKind::Cluster,
        namespace: String::new(),
        name: String::new(),
    };

    /// The Stack of a Gateway or TargetGroupBinding.
    pub fn new(kind: StackKind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Value of the tag `<prefix>/stack`.
    pub fn tag_value(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Key of the tag that names the Stack.
    pub fn stack_tag(&self) -> String {
        format!("{}/stack", self.kind.tag_prefix())
    }

    /// Key of the tag that names the resource within the Stack.
    pub fn resource_tag(&self) -> String {
        format!("{}/resource", self.kind.tag_prefix())
    }

    /// The tags that prove a resource to be this Stack's.
    pub fn tracking_tags(&self, cluster_name: &str, resource: &ResourceId) -> Tags {
        let mut tags = Tags::from([
            (CLUSTER_TAG.to_owned(), cluster_name.to_owned()),
            (self.resource_tag(), resource.as_str().to_owned()),
        ]);
        if self.kind != StackKind::Cluster {
            tags.insert(self.stack_tag(), self.tag_value());
        }
        tags
    }
}

impl fmt::Display for StackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            StackKind::Cluster => f.write_str("cluster"),
            StackKind::AlbGateway | StackKind::NlbGateway => {
                write!(f, "{}/{}", self.namespace, self.name)
            }
            StackKind::Binding => {
                write!(f, "TargetGroupBinding {}/{}", self.namespace, self.name)
            }
        }
    }
}

/// Kind of an AWS resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each variant is the ELBv2, EC2 or ACM resource of that name"
)]
pub enum ResourceKind {
    SecurityGroup,
    Certificate,
    TrustStore,
    LoadBalancer,
    TargetGroup,
    Listener,
    ListenerRule,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SecurityGroup => "security group",
            Self::Certificate => "certificate",
            Self::TrustStore => "trust store",
            Self::LoadBalancer => "load balancer",
            Self::TargetGroup => "target group",
            Self::Listener => "listener",
            Self::ListenerRule => "rule",
        })
    }
}

/// One resource of one Stack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceKey {
    /// The Stack.
    pub stack: StackId,
    /// The resource's kind.
    pub kind: ResourceKind,
    /// The resource's id within the Stack.
    pub id: ResourceId,
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.kind, self.id, self.stack)
    }
}

/// An id that is known, or that of a resource which a Stack or an earlier step provides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Ref<T> {
    /// The id itself.
    Known(T),
    /// The id of this resource, once it exists.
    Of(ResourceKey),
}

impl<T> Ref<T> {
    /// The id, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(id) => Some(id),
            Self::Of(_) => None,
        }
    }
}

impl<T> From<T> for Ref<T> {
    fn from(id: T) -> Self {
        Self::Known(id)
    }
}

impl<T: fmt::Display> fmt::Display for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(id) => id.fmt(f),
            Self::Of(key) => write!(f, "({} {})", key.kind, key.id),
        }
    }
}

/// A Kubernetes object because of which a resource is as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// The object's kind, `HTTPRoute` for example.
    pub kind: String,
    /// The object's namespace; empty for an object of the cluster.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// The AWS resources that one Gateway asks for.
///
/// A Stack without a load balancer asks for nothing: its Gateway is gone or takes no effect at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stack {
    /// Which Stack.
    pub id: StackId,
    /// The cluster's name, for the tracking tags.
    pub cluster_name: String,
    /// Security groups that the Stack owns. Of a Gateway: `ManagedLBSecurityGroup` or none.
    /// Of the cluster: `backend-sg` or none.
    pub security_groups: BTreeMap<ResourceId, SecurityGroup>,
    /// Of the cluster: the certificates that are imported from Secrets. A Gateway's Stack has none of
    /// its own, its listeners refer to the cluster's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub certificates: BTreeMap<ResourceId, ImportedCertificate>,
    /// Of the cluster: the trust stores that are made of ConfigMaps. A Gateway's Stack has none of its
    /// own, its listeners refer to the cluster's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub trust_stores: BTreeMap<ResourceId, TrustStore>,
    /// Of the cluster: where bundles of trust stores are put; `None` where none are made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bundle_storage: Option<BundleStorage>,
    /// Of a Gateway: of which ConfigMaps the trust stores are made that its listeners refer to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub authorities: BTreeMap<ResourceId, BTreeSet<AuthoritySource>>,
    /// The load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// Listeners by port, which is how ELBv2 tells them apart.
    pub listeners: BTreeMap<Port, Listener>,
    /// Ports whose listener cannot be decided at present, since no certificate is found for example.
    /// A listener that is there is left as it is, with its rules; none is created. Disjoint from the
    /// keys of `listeners`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub undecided_listeners: BTreeSet<Port>,
    /// Target groups by resource id.
    pub target_groups: BTreeMap<ResourceId, TargetGroup>,
}

impl Stack {
    /// A Stack that asks for nothing.
    pub fn empty(id: StackId, cluster_name: impl Into<String>) -> Self {
        Self {
            id,
            cluster_name: cluster_name.into(),
            security_groups: BTreeMap::new(),
            certificates: BTreeMap::new(),
            trust_stores: BTreeMap::new(),
            bundle_storage: None,
            authorities: BTreeMap::new(),
            load_balancer: None,
            listeners: BTreeMap::new(),
            undecided_listeners: BTreeSet::new(),
            target_groups: BTreeMap::new(),
        }
    }

    /// The key of one of the Stack's resources.
    pub fn key(&self, kind: ResourceKind, id: &ResourceId) -> ResourceKey {
        ResourceKey {
            stack: self.id.clone(),
            kind,
            id: id.clone(),
        }
    }

    /// Whether the load balancer uses the security group that all Stacks of the cluster share.
    pub fn uses_backend_security_group(&self) -> bool {
        let key = ResourceKey {
            stack: StackId::CLUSTER,
            kind: ResourceKind::SecurityGroup,
            id: ResourceId::new(BACKEND_SECURITY_GROUP),
        };
        self.load_balancer
            .as_ref()
            .is_some_and(|lb| lb.security_groups.contains(&Ref::Of(key)))
    }

    /// The certificates of the cluster's Stack that the listeners use.
    pub fn imported_certificates(&self) -> BTreeSet<&ResourceId> {
        let certificates = self.listeners.values().flat_map(|l| &l.certificates);
        certificates
            .filter_map(|certificate| match certificate {
                Ref::Of(key) => Some(&key.id),
                Ref::Known(_) => None,
            })
            .collect()
    }

    /// The trust stores of the cluster's Stack that the listeners use.
    pub fn made_trust_stores(&self) -> BTreeSet<&ResourceId> {
        let listeners = self.listeners.values();
        let trust_stores = listeners.filter_map(|l| l.mutual_authentication.trust_store());
        trust_stores
            .filter_map(|trust_store| match trust_store {
                Ref::Of(key) => Some(&key.id),
                Ref::Known(_) => None,
            })
            .collect()
    }

    /// Everything of the cluster's Stack that the listeners use.
    pub fn shared_by_listeners(&self) -> BTreeSet<&ResourceId> {
        let mut used = self.imported_certificates();
        used.extend(self.made_trust_stores());
        used
    }
}

/// Resource id of a load balancer.
pub const LOAD_BALANCER: &str = "LoadBalancer";
/// Resource id of a Gateway's own security group.
pub const MANAGED_SECURITY_GROUP: &str = "ManagedLBSecurityGroup";
/// Resource id of the security group that all Stacks of a cluster share as traffic source.
pub const BACKEND_SECURITY_GROUP: &str = "backend-sg";

/// Protocol of a listener or target group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(
    missing_docs,
    reason = "each variant is the ELBv2 protocol of that name"
)]
pub enum Protocol {
    Http,
    Https,
    Tcp,
    Tls,
    Udp,
    TcpUdp,
    Quic,
    TcpQuic,
}

impl Protocol {
    /// The protocol as ELBv2 spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
            Self::TcpUdp => "TCP_UDP",
            Self::Quic => "QUIC",
            Self::TcpQuic => "TCP_QUIC",
        }
    }

    /// Whether clients present themselves to it with TLS.
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Whether QUIC is among what it carries. Each target then has a server id, by which the load balancer
    /// finds it:
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html>.
    pub const fn is_quic(self) -> bool {
        matches!(self, Self::Quic | Self::TcpQuic)
    }

    /// Whether datagrams are among what it carries.
    pub const fn has_datagrams(self) -> bool {
        matches!(self, Self::Udp | Self::TcpUdp) || self.is_quic()
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A listener with its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Protocol.
    pub protocol: Protocol,
    /// What happens when no rule matches.
    pub default_action: Action,
    /// HTTPS and TLS: all certificates, the default one first. Each, the default one too, is also kept
    /// in the listener's SNI list, as LBC does.
    pub certificates: Vec<Ref<CertificateArn>>,
    /// HTTPS and TLS: the security policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_policy: Option<String>,
    /// TLS: the ALPN policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpn_policy: Option<String>,
    /// HTTPS and TLS: what is asked of clients.
    #[serde(skip_serializing_if = "MutualAuthentication::is_off", default)]
    pub mutual_authentication: MutualAuthentication,
    /// Attributes that are set; others are left as they are.
    pub attributes: Attributes,
    /// All tags, tracking tags included.
    pub tags: Tags,
    /// Rules in the order in which they are evaluated; the first has priority 1.
    pub rules: Vec<Rule>,
    /// Because of which objects.
    pub causes: Vec<Cause>,
}

/// A listener rule; its priority is its place in [`Listener::rules`], counted from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Conditions in the order in which they are sent.
    pub conditions: Vec<Condition>,
    /// What happens to a request that matches.
    pub action: Action,
    /// Changes of the request, in the order in which they are sent.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub transforms: Vec<Transform>,
    /// All tags, tracking tags included. The resource tag is `<port>:<priority>`.
    pub tags: Tags,
    /// Because of which objects.
    pub causes: Vec<Cause>,
}

/// ARNs of target groups by resource id, for objects that name them.
pub type TargetGroupArns = BTreeMap<ResourceId, TargetGroupArn>;
