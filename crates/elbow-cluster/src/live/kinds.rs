//! The resources behind the kinds, and the versions in which an API server has them.
//!
//! In: what discovery found. Out: the [`ApiResource`] by which a kind is asked for.
//! Always holds: a version is used only if this crate can read it, and of several the newest is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use elbow_api::Kind;
use kube::api::ApiResource;

/// The versions of custom resources that an API server serves; clones share one view.
#[derive(Debug, Clone, Default)]
pub struct Served(Arc<Mutex<BTreeMap<Kind, &'static str>>>);

impl Served {
    /// The version in which a kind is read and written; none if the API server does not have it.
    pub fn version(&self, kind: Kind) -> Option<&'static str> {
        if is_built_in(kind) {
            return versions(kind).first().copied();
        }
        self.lock().get(&kind).copied()
    }

    /// Sets what is served. Only the watch does this, and tests.
    pub fn set(&self, kind: Kind, version: Option<&'static str>) {
        match version {
            Some(version) => self.lock().insert(kind, version),
            None => self.lock().remove(&kind),
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Kind, &'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether every API server has the kind.
pub(super) fn is_built_in(kind: Kind) -> bool {
    matches!(kind.group(), "" | "discovery.k8s.io")
}

/// The versions that this crate reads, the one to prefer first. The Rust types read them all: where
/// versions of a kind differ, it is in what may be left out.
pub(super) fn versions(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Namespace
        | Kind::Node
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Pod
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::ListenerSet => &["v1"],
        Kind::GatewayClass
        | Kind::Gateway
        | Kind::HttpRoute
        | Kind::ReferenceGrant
        | Kind::LoadBalancerConfiguration
        | Kind::TargetGroupConfiguration
        | Kind::ListenerRuleConfiguration => &["v1", "v1beta1"],
        Kind::GrpcRoute | Kind::TcpRoute | Kind::UdpRoute => &["v1", "v1alpha2"],
        Kind::TlsRoute => &["v1", "v1alpha3", "v1alpha2"],
        Kind::TargetGroupBinding => &["v1beta1"],
    }
}

/// The name of the resource in URLs and in RBAC rules.
pub(super) fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::Namespace => "namespaces",
        Kind::Node => "nodes",
        Kind::GatewayClass => "gatewayclasses",
        Kind::Gateway => "gateways",
        Kind::ListenerSet => "listenersets",
        Kind::HttpRoute => "httproutes",
        Kind::GrpcRoute => "grpcroutes",
        Kind::TlsRoute => "tlsroutes",
        Kind::TcpRoute => "tcproutes",
        Kind::UdpRoute => "udproutes",
        Kind::ReferenceGrant => "referencegrants",
        Kind::LoadBalancerConfiguration => "loadbalancerconfigurations",
        Kind::TargetGroupConfiguration => "targetgroupconfigurations",
        Kind::ListenerRuleConfiguration => "listenerruleconfigurations",
        Kind::TargetGroupBinding => "targetgroupbindings",
        Kind::Service => "services",
        Kind::EndpointSlice => "endpointslices",
        Kind::Pod => "pods",
        Kind::Secret => "secrets",
        Kind::ConfigMap => "configmaps",
    }
}

/// The resource of a kind in a version.
pub(super) fn resource(kind: Kind, version: &str) -> ApiResource {
    let group = kind.group();
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.as_str().to_owned(),
        plural: plural(kind).to_owned(),
    }
}

/// What RBAC rules and error messages call the resource, `httproutes.gateway.networking.k8s.io` say.
pub(super) fn rbac_name(kind: Kind) -> String {
    match kind.group() {
        "" => plural(kind).to_owned(),
        group => format!("{}.{group}", plural(kind)),
    }
}
