//! The Snapshot: every Kubernetes object that a round may read.
//!
//! In: objects, one at a time, from a watch, a folder or a Git revision ([`Snapshot::apply`],
//! [`Snapshot::remove`]). Out: typed look-ups through a [`Reader`], which records what was read.
//!
//! What must be recomputed after a change is derived, not written by hand: a look-up is a [`Read`], a
//! change answers with the set of `Read`s whose result it may have altered, and whoever keeps the reads
//! of each translation intersects the two. A look-up that is not recorded would break that, so a
//! Reader is the only way in.
//!
//! What always holds: every map is ordered, so the order in which objects arrived leaves no trace.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gateway_api::apis::experimental as gw;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;

use crate::config_map::ConfigMap;
use crate::crds;
use crate::object::{Kind, NamespacedName, ObjectRef};
use crate::secret::Secret;

/// One look-up in a Snapshot. Two look-ups that are equal give the same answer until a change that
/// reports this `Read`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// One object by name, present or not.
    Object(ObjectRef),
    /// All objects of a kind; kept for kinds that are few (Nodes, GatewayClasses).
    All(Kind),
    /// All objects of a kind in one namespace.
    InNamespace(Kind, String),
    /// The routes with a parentRef to this Gateway, or to this ListenerSet.
    RoutesOf(Kind, NamespacedName),
    /// The EndpointSlices of this Service.
    EndpointSlicesOf(NamespacedName),
    /// The Gateways of this GatewayClass.
    GatewaysOf(String),
    /// The ListenerSets whose parent is this Gateway.
    ListenerSetsOf(NamespacedName),
    /// The TargetGroupBindings of target groups of this name.
    BindingsOf(String),
}

macro_rules! kinds {
    ($( $kind:ident, $type:ty, $map:ident, $doc:literal; )*) => {
        /// An object of a kind that elbow uses.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Object {
            $( #[doc = $doc] $kind(Arc<$type>), )*
        }

        impl Object {
            /// The object's kind.
            pub fn kind(&self) -> Kind {
                match self { $( Self::$kind(_) => Kind::$kind, )* }
            }

            /// The object's metadata.
            pub fn metadata(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                match self { $( Self::$kind(o) => &o.metadata, )* }
            }
        }

        /// Every Kubernetes object that a round may read.
        #[derive(Debug, Clone, Default)]
        pub struct Snapshot {
            $( $map: BTreeMap<NamespacedName, Arc<$type>>, )*
            routes_of: BTreeMap<(Kind, NamespacedName), BTreeSet<ObjectRef>>,
            endpoint_slices_of: BTreeMap<NamespacedName, BTreeSet<NamespacedName>>,
            gateways_of: BTreeMap<String, BTreeSet<NamespacedName>>,
            listener_sets_of: BTreeMap<NamespacedName, BTreeSet<NamespacedName>>,
            bindings_of: BTreeMap<String, BTreeSet<NamespacedName>>,
        }

        impl Snapshot {
            fn put(&mut self, key: &NamespacedName, object: &Object) -> Option<Object> {
                match object {
                    $( Object::$kind(o) =>
                        self.$map.insert(key.clone(), Arc::clone(o)).map(Object::$kind), )*
                }
            }

            fn take(&mut self, kind: Kind, key: &NamespacedName) -> Option<Object> {
                match kind { $( Kind::$kind => self.$map.remove(key).map(Object::$kind), )* }
            }

            fn look_up(&self, kind: Kind, key: &NamespacedName) -> Option<Object> {
                match kind {
                    $( Kind::$kind => self.$map.get(key).cloned().map(Object::$kind), )*
                }
            }

            /// Every object, by kind, namespace and name.
            pub fn objects(&self) -> Vec<Object> {
                let mut all = Vec::new();
                $( all.extend(self.$map.values().cloned().map(Object::$kind)); )*
                all
            }
        }

        impl<'a> Reader<'a> {
            $(
                #[doc = concat!("Looks up one object: ", $doc)]
                pub fn $map(&self, name: &NamespacedName) -> Option<&'a Arc<$type>> {
                    self.record(Read::Object(ObjectRef::new(
                        Kind::$kind, name.namespace.clone(), name.name.clone(),
                    )));
                    self.snapshot.$map.get(name)
                }
            )*
        }

        $(
            impl From<$type> for Object {
                fn from(object: $type) -> Self {
                    Self::$kind(Arc::new(object))
                }
            }
        )*
    };
}

kinds! {
    Namespace, core::Namespace, namespace, "A Namespace.";
    Node, core::Node, node, "A Node.";
    GatewayClass, gw::gatewayclasses::GatewayClass, gateway_class, "A GatewayClass.";
    Gateway, gw::gateways::Gateway, gateway, "A Gateway.";
    ListenerSet, gw::listenersets::ListenerSet, listener_set, "A ListenerSet.";
    HttpRoute, gw::httproutes::HttpRoute, http_route, "An HTTPRoute.";
    GrpcRoute, gw::grpcroutes::GrpcRoute, grpc_route, "A GRPCRoute.";
    TlsRoute, gw::tlsroutes::TlsRoute, tls_route, "A TLSRoute.";
    TcpRoute, gw::tcproutes::TcpRoute, tcp_route, "A TCPRoute.";
    UdpRoute, gw::udproutes::UdpRoute, udp_route, "A UDPRoute.";
    ReferenceGrant, gw::referencegrants::ReferenceGrant, reference_grant, "A ReferenceGrant.";
    LoadBalancerConfiguration, crds::LoadBalancerConfiguration, load_balancer_configuration,
        "A LoadBalancerConfiguration.";
    TargetGroupConfiguration, crds::TargetGroupConfiguration, target_group_configuration,
        "A TargetGroupConfiguration.";
    ListenerRuleConfiguration, crds::ListenerRuleConfiguration, listener_rule_configuration,
        "A ListenerRuleConfiguration.";
    TargetGroupBinding, crds::TargetGroupBinding, target_group_binding, "A TargetGroupBinding.";
    Service, core::Service, service, "A Service.";
    EndpointSlice, discovery::EndpointSlice, endpoint_slice, "An EndpointSlice.";
    Pod, core::Pod, pod, "A Pod.";
    Secret, Secret, secret, "A Secret, without its secrets.";
    ConfigMap, ConfigMap, config_map, "A ConfigMap, as far as it holds certificates of authorities.";
}

/// Label on an EndpointSlice that names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

impl Object {
    /// The object's kind, namespace and name.
    pub fn object_ref(&self) -> ObjectRef {
        let metadata = self.metadata();
        let namespace = if self.kind().is_namespaced() {
            metadata.namespace.clone().unwrap_or_default()
        } else {
            String::new()
        };
        ObjectRef::new(
            self.kind(),
            namespace,
            metadata.name.clone().unwrap_or_default(),
        )
    }

    /// The parents that a route names: Gateways and ListenerSets, duplicates dropped.
    fn parents(&self, namespace: &str) -> BTreeSet<(Kind, NamespacedName)> {
        macro_rules! parents {
            ($route:expr) => {
                $route
                    .spec
                    .parent_refs
                    .iter()
                    .flatten()
                    .filter_map(|p| {
                        let kind = match p.kind.as_deref() {
                            None | Some("Gateway") => Kind::Gateway,
                            Some("ListenerSet") => Kind::ListenerSet,
                            Some(_) => return None,
                        };
                        let namespace = p.namespace.as_deref().unwrap_or(namespace);
                        Some((kind, NamespacedName::new(namespace, p.name.clone())))
                    })
                    .collect()
            };
        }
        match self {
            Self::HttpRoute(r) => parents!(r),
            Self::GrpcRoute(r) => parents!(r),
            Self::TlsRoute(r) => parents!(r),
            Self::TcpRoute(r) => parents!(r),
            Self::UdpRoute(r) => parents!(r),
            _ => BTreeSet::new(),
        }
    }

    /// The look-ups, beyond the one by name, whose answer contains this object.
    fn memberships(&self) -> Vec<Read> {
        let this = self.object_ref();
        let mut reads = vec![Read::All(this.kind)];
        if this.kind.is_namespaced() {
            reads.push(Read::InNamespace(this.kind, this.namespace.clone()));
        }
        reads.extend(
            self.parents(&this.namespace)
                .into_iter()
                .map(|(kind, name)| Read::RoutesOf(kind, name)),
        );
        match self {
            Self::EndpointSlice(slice) => {
                let service = slice
                    .metadata
                    .labels
                    .as_ref()
                    .and_then(|l| l.get(SERVICE_NAME_LABEL));
                if let Some(service) = service {
                    reads.push(Read::EndpointSlicesOf(NamespacedName::new(
                        this.namespace,
                        service.clone(),
                    )));
                }
            }
            Self::Gateway(gateway) => {
                reads.push(Read::GatewaysOf(gateway.spec.gateway_class_name.clone()));
            }
            Self::ListenerSet(set) => {
                let parent = &set.spec.parent_ref;
                let namespace = parent.namespace.clone().unwrap_or(this.namespace);
                reads.push(Read::ListenerSetsOf(NamespacedName::new(
                    namespace,
                    parent.name.clone(),
                )));
            }
            Self::TargetGroupBinding(binding) => {
                let group = binding.spec.group_name();
                reads.extend(group.map(|name| Read::BindingsOf(name.to_owned())));
            }
            _ => {}
        }
        reads
    }
}

impl Snapshot {
    /// An empty Snapshot.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an object, new or changed, and answers with the look-ups it may have altered.
    pub fn apply(&mut self, object: &Object) -> BTreeSet<Read> {
        let this = object.object_ref();
        let mut changed = BTreeSet::from([Read::Object(this.clone())]);
        if let Some(before) = self.put(&this.namespaced_name(), object) {
            changed.extend(self.unindex(&this, before.memberships()));
        }
        for read in object.memberships() {
            self.index(&this, &read);
            changed.insert(read);
        }
        changed
    }

    /// Drops an object and answers with the look-ups that may have been altered.
    pub fn remove(&mut self, object: &ObjectRef) -> BTreeSet<Read> {
        let Some(before) = self.take(object.kind, &object.namespaced_name()) else {
            return BTreeSet::new();
        };
        let mut changed = BTreeSet::from([Read::Object(object.clone())]);
        changed.extend(self.unindex(object, before.memberships()));
        changed
    }

    /// One object by name, without recording the look-up: for adapters and reports, not for
    /// translation.
    pub fn get(&self, object: &ObjectRef) -> Option<Object> {
        self.look_up(object.kind, &object.namespaced_name())
    }

    /// The names of all Gateways.
    pub fn gateway_names(&self) -> impl Iterator<Item = &NamespacedName> {
        self.gateway.keys()
    }

    /// The names of all TargetGroupBindings.
    pub fn target_group_binding_names(&self) -> impl Iterator<Item = &NamespacedName> {
        self.target_group_binding.keys()
    }

    /// The names of the TargetGroupBindings that no Gateway of ours has asked for.
    pub fn user_binding_names(&self) -> impl Iterator<Item = &NamespacedName> {
        let bindings = self.target_group_binding.iter();
        let users = bindings.filter(|(_, binding)| binding.gateway().is_none());
        users.map(|(name, _)| name)
    }

    /// The TargetGroupBindings of target groups of this name, by namespace and name; without recording
    /// the look-up.
    pub fn bindings_of(&self, group: &str) -> Vec<&Arc<crds::TargetGroupBinding>> {
        let names = self.bindings_of.get(group).into_iter().flatten();
        names
            .filter_map(|name| self.target_group_binding.get(name))
            .collect()
    }

    /// The names of all GatewayClasses.
    pub fn gateway_class_names(&self) -> impl Iterator<Item = &str> {
        self.gateway_class.keys().map(|k| k.name.as_str())
    }

    fn index(&mut self, object: &ObjectRef, read: &Read) {
        let name = object.namespaced_name();
        match read {
            Read::RoutesOf(kind, parent) => {
                let key = (*kind, parent.clone());
                self.routes_of
                    .entry(key)
                    .or_default()
                    .insert(object.clone());
            }
            Read::EndpointSlicesOf(service) => {
                self.endpoint_slices_of
                    .entry(service.clone())
                    .or_default()
                    .insert(name);
            }
            Read::GatewaysOf(class) => {
                self.gateways_of
                    .entry(class.clone())
                    .or_default()
                    .insert(name);
            }
            Read::ListenerSetsOf(gateway) => {
                self.listener_sets_of
                    .entry(gateway.clone())
                    .or_default()
                    .insert(name);
            }
            Read::BindingsOf(group) => {
                self.bindings_of
                    .entry(group.clone())
                    .or_default()
                    .insert(name);
            }
            Read::Object(_) | Read::All(_) | Read::InNamespace(..) => {}
        }
    }

    fn unindex(&mut self, object: &ObjectRef, reads: Vec<Read>) -> Vec<Read> {
        let name = object.namespaced_name();
        for read in &reads {
            match read {
                Read::RoutesOf(kind, parent) => {
                    drop_member(&mut self.routes_of, &(*kind, parent.clone()), object);
                }
                Read::EndpointSlicesOf(service) => {
                    drop_member(&mut self.endpoint_slices_of, service, &name);
                }
                Read::GatewaysOf(class) => drop_member(&mut self.gateways_of, class, &name),
                Read::ListenerSetsOf(gateway) => {
                    drop_member(&mut self.listener_sets_of, gateway, &name);
                }
                Read::BindingsOf(group) => drop_member(&mut self.bindings_of, group, &name),
                Read::Object(_) | Read::All(_) | Read::InNamespace(..) => {}
            }
        }
        reads
    }
}

fn drop_member<K: Ord, V: Ord>(index: &mut BTreeMap<K, BTreeSet<V>>, key: &K, member: &V) {
    if let Some(members) = index.get_mut(key) {
        members.remove(member);
        if members.is_empty() {
            index.remove(key);
        }
    }
}

/// Looks things up in a Snapshot and records each look-up.
#[derive(Debug)]
pub struct Reader<'a> {
    snapshot: &'a Snapshot,
    reads: RefCell<BTreeSet<Read>>,
}

impl<'a> Reader<'a> {
    /// A Reader that has read nothing yet.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            reads: RefCell::default(),
        }
    }

    /// What was read, for the translation's record.
    pub fn into_reads(self) -> BTreeSet<Read> {
        self.reads.into_inner()
    }

    /// The routes with a parentRef to this Gateway or ListenerSet, by kind, namespace and name.
    pub fn routes_of(&self, kind: Kind, parent: &NamespacedName) -> Vec<Object> {
        self.record(Read::RoutesOf(kind, parent.clone()));
        let routes = self.snapshot.routes_of.get(&(kind, parent.clone()));
        routes
            .into_iter()
            .flatten()
            .filter_map(|r| self.tracked(r))
            .collect()
    }

    /// The EndpointSlices of a Service, by name.
    pub fn endpoint_slices_of(
        &self,
        service: &NamespacedName,
    ) -> Vec<&'a Arc<discovery::EndpointSlice>> {
        self.record(Read::EndpointSlicesOf(service.clone()));
        let slices = self.snapshot.endpoint_slices_of.get(service);
        slices
            .into_iter()
            .flatten()
            .filter_map(|s| self.endpoint_slice(s))
            .collect()
    }

    /// The Gateways of a GatewayClass, by namespace and name.
    pub fn gateways_of(&self, class: &str) -> Vec<&'a Arc<gw::gateways::Gateway>> {
        self.record(Read::GatewaysOf(class.to_owned()));
        let gateways = self.snapshot.gateways_of.get(class);
        gateways
            .into_iter()
            .flatten()
            .filter_map(|g| self.gateway(g))
            .collect()
    }

    /// The ListenerSets that name this Gateway as their parent.
    pub fn listener_sets_of(
        &self,
        gateway: &NamespacedName,
    ) -> Vec<&'a Arc<gw::listenersets::ListenerSet>> {
        self.record(Read::ListenerSetsOf(gateway.clone()));
        let sets = self.snapshot.listener_sets_of.get(gateway);
        sets.into_iter()
            .flatten()
            .filter_map(|s| self.listener_set(s))
            .collect()
    }

    /// The TargetGroupBindings of target groups of this name, by namespace and name.
    pub fn bindings_of(&self, group: &str) -> Vec<&'a Arc<crds::TargetGroupBinding>> {
        self.record(Read::BindingsOf(group.to_owned()));
        let names = self.snapshot.bindings_of.get(group);
        names
            .into_iter()
            .flatten()
            .filter_map(|name| self.target_group_binding(name))
            .collect()
    }

    /// The TargetGroupConfigurations of a namespace, by name.
    pub fn target_group_configurations_in(
        &self,
        namespace: &str,
    ) -> Vec<&'a Arc<crds::TargetGroupConfiguration>> {
        let kind = Kind::TargetGroupConfiguration;
        self.record(Read::InNamespace(kind, namespace.to_owned()));
        in_namespace(&self.snapshot.target_group_configuration, namespace)
    }

    /// The ReferenceGrants of a namespace, by name.
    pub fn reference_grants_in(
        &self,
        namespace: &str,
    ) -> Vec<&'a Arc<gw::referencegrants::ReferenceGrant>> {
        self.record(Read::InNamespace(
            Kind::ReferenceGrant,
            namespace.to_owned(),
        ));
        in_namespace(&self.snapshot.reference_grant, namespace)
    }

    /// Every Node, by name.
    pub fn nodes(&self) -> Vec<&'a Arc<core::Node>> {
        self.record(Read::All(Kind::Node));
        self.snapshot.node.values().collect()
    }

    fn tracked(&self, object: &ObjectRef) -> Option<Object> {
        self.record(Read::Object(object.clone()));
        self.snapshot.get(object)
    }

    fn record(&self, read: Read) {
        self.reads.borrow_mut().insert(read);
    }
}

/// The objects of one namespace: one range of the map, whatever else is in it.
fn in_namespace<'a, T>(
    map: &'a BTreeMap<NamespacedName, Arc<T>>,
    namespace: &str,
) -> Vec<&'a Arc<T>> {
    map.range(NamespacedName::new(namespace, "")..)
        .take_while(|(key, _)| key.namespace == namespace)
        .map(|(_, object)| object)
        .collect()
}
