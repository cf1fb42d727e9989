//! Names for Kubernetes objects.
//!
//! In: kinds, namespaces and names as they stand in manifests and in the API server.
//! Out: [`Kind`], [`NamespacedName`] and [`ObjectRef`], which order and print the same everywhere,
//! so that whatever is keyed by them has one order.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of Kubernetes object that elbow reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "each variant is the Kubernetes kind of that name"
)]
pub enum Kind {
    Namespace,
    Node,
    GatewayClass,
    Gateway,
    ListenerSet,
    #[serde(rename = "HTTPRoute")]
    HttpRoute,
    #[serde(rename = "GRPCRoute")]
    GrpcRoute,
    #[serde(rename = "TLSRoute")]
    TlsRoute,
    #[serde(rename = "TCPRoute")]
    TcpRoute,
    #[serde(rename = "UDPRoute")]
    UdpRoute,
    ReferenceGrant,
    LoadBalancerConfiguration,
    TargetGroupConfiguration,
    ListenerRuleConfiguration,
    TargetGroupBinding,
    Service,
    EndpointSlice,
    Pod,
    Secret,
    ConfigMap,
}

impl Kind {
    /// Every kind, in the order in which they are listed to people.
    pub const ALL: [Self; 20] = [
        Self::Namespace,
        Self::Node,
        Self::GatewayClass,
        Self::Gateway,
        Self::ListenerSet,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::TlsRoute,
        Self::TcpRoute,
        Self::UdpRoute,
        Self::ReferenceGrant,
        Self::LoadBalancerConfiguration,
        Self::TargetGroupConfiguration,
        Self::ListenerRuleConfiguration,
        Self::TargetGroupBinding,
        Self::Service,
        Self::EndpointSlice,
        Self::Pod,
        Self::Secret,
        Self::ConfigMap,
    ];

    /// The kind's name as Kubernetes spells it, `HTTPRoute` for example.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::GatewayClass => "GatewayClass",
            Self::Gateway => "Gateway",
            Self::ListenerSet => "ListenerSet",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::TlsRoute => "TLSRoute",
            Self::TcpRoute => "TCPRoute",
            Self::UdpRoute => "UDPRoute",
            Self::ReferenceGrant => "ReferenceGrant",
            Self::LoadBalancerConfiguration => "LoadBalancerConfiguration",
            Self::TargetGroupConfiguration => "TargetGroupConfiguration",
            Self::ListenerRuleConfiguration => "ListenerRuleConfiguration",
            Self::TargetGroupBinding => "TargetGroupBinding",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Pod => "Pod",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        }
    }

    /// The API group the kind belongs to; empty for the core group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Namespace
            | Self::Node
            | Self::Service
            | Self::Pod
            | Self::Secret
            | Self::ConfigMap => "",
            Self::EndpointSlice => "discovery.k8s.io",
            Self::GatewayClass
            | Self::Gateway
            | Self::ListenerSet
            | Self::HttpRoute
            | Self::GrpcRoute
            | Self::TlsRoute
            | Self::TcpRoute
            | Self::UdpRoute
            | Self::ReferenceGrant => "gateway.networking.k8s.io",
            Self::LoadBalancerConfiguration
            | Self::TargetGroupConfiguration
            | Self::ListenerRuleConfiguration => "gateway.k8s.aws",
            Self::TargetGroupBinding => "elbv2.k8s.aws",
        }
    }

    /// Whether objects of this kind live in a namespace.
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::Node | Self::GatewayClass)
    }

    /// The kind of that name in that group, if elbow uses it.
    pub fn parse(group: &str, kind: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|k| k.group() == group && k.as_str() == kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A namespace and a name; prints as `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamespacedName {
    /// The namespace; empty for an object of the cluster.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl NamespacedName {
    /// Joins a namespace and a name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// One object: its kind, namespace and name. Prints as `HTTPRoute app-ns/app-route`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The object's kind.
    pub kind: Kind,
    /// The object's namespace; empty for an object of the cluster.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectRef {
    /// Names an object. The namespace of a cluster-scoped kind is empty.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The object's namespace and name.
    pub fn namespaced_name(&self) -> NamespacedName {
        NamespacedName::new(self.namespace.clone(), self.name.clone())
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_parses_from_its_own_group_and_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.group(), kind.as_str()), Some(kind));
        }
        assert_eq!(Kind::parse("apps", "Deployment"), None);
        assert_eq!(Kind::parse("extensions", "Service"), None);
    }
}
