//! Which pods the watch looks at.
//!
//! In: the Snapshot, with TargetGroupBindings and EndpointSlices. Out: of each slice of a Service whose
//! pods are targets, the pods that have to be read. What always holds: pods that are ready are not read,
//! unless they are targets of QUIC and have server ids, and those of other Services neither.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::crds::{BindingProtocol, TargetType};
use elbow_api::{Kind, NamespacedName, Object, ObjectRef, Read, Reader, Snapshot};
use k8s_openapi::api::discovery::v1::EndpointSlice;

/// Label on an EndpointSlice that names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The Services whose pods are targets.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    /// By the binding that says so.
    bound_by: BTreeMap<NamespacedName, Bound>,
    /// The reverse of it.
    bindings_of: BTreeMap<NamespacedName, BTreeSet<NamespacedName>>,
}

/// What a binding says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    service: NamespacedName,
    carried: Carried,
}

/// What gets to the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Carried {
    Anything,
    /// QUIC, for which each pod has a server id.
    Quic,
}

impl Pods {
    /// Looks at the objects among the look-ups that changed. Answers with the pods to read of each slice
    /// for which that may have changed.
    pub(crate) fn follow(
        &mut self,
        snapshot: &Snapshot,
        reads: &BTreeSet<Read>,
    ) -> Vec<(ObjectRef, BTreeSet<ObjectRef>)> {
        let mut slices = BTreeSet::new();
        for read in reads {
            match read {
                Read::Object(object) if object.kind == Kind::TargetGroupBinding => {
                    for service in self.follow_binding(snapshot, object) {
                        let reader = Reader::new(snapshot);
                        let of_service = reader.endpoint_slices_of(&service);
                        let references = of_service
                            .into_iter()
                            .map(|slice| Object::EndpointSlice(slice.clone()).object_ref());
                        slices.extend(references);
                    }
                }
                Read::Object(object) if object.kind == Kind::EndpointSlice => {
                    slices.insert(object.clone());
                }
                _ => {}
            }
        }
        let pods = slices.into_iter().map(|reference| {
            let pods = match snapshot.get(&reference) {
                Some(Object::EndpointSlice(slice)) => match self.carried_to(&slice) {
                    Some(Carried::Quic) => elbow_translate::pods_of(&slice),
                    Some(Carried::Anything) => elbow_translate::pods_to_read(snapshot, &slice),
                    None => BTreeSet::new(),
                },
                _ => BTreeSet::new(),
            };
            let pods = { pods.into_iter() }
                .map(|NamespacedName { namespace, name }| {
                    ObjectRef::new(Kind::Pod, namespace, name)
                })
                .collect();
            (reference, pods)
        });
        pods.collect()
    }

    /// Notes which Service a binding is for. Answers with the Services that are bound or not because of it.
    fn follow_binding(
        &mut self,
        snapshot: &Snapshot,
        binding: &ObjectRef,
    ) -> BTreeSet<NamespacedName> {
        let name = binding.namespaced_name();
        let bound = match snapshot.get(binding) {
            Some(Object::TargetGroupBinding(binding))
                if binding.spec.target_type != Some(TargetType::Instance) =>
            {
                let service = binding.spec.service_ref.name.clone();
                Some(Bound {
                    service: NamespacedName::new(name.namespace.clone(), service),
                    carried: match binding.spec.target_group_protocol {
                        Some(BindingProtocol::Quic | BindingProtocol::TcpQuic) => Carried::Quic,
                        _ => Carried::Anything,
                    },
                })
            }
            _ => None,
        };
        let before = match &bound {
            Some(bound) => self.bound_by.insert(name.clone(), bound.clone()),
            None => self.bound_by.remove(&name),
        };
        if before == bound {
            return BTreeSet::new();
        }
        let [before, service] = [before, bound].map(|bound| bound.map(|b| b.service));
        if let Some(before) = &before
            && let Some(bindings) = self.bindings_of.get_mut(before)
        {
            bindings.remove(&name);
            if bindings.is_empty() {
                self.bindings_of.remove(before);
            }
        }
        if let Some(service) = &service {
            let bindings = self.bindings_of.entry(service.clone()).or_default();
            bindings.insert(name);
        }
        before.into_iter().chain(service).collect()
    }

    /// What gets to the endpoints of a slice; `None` when they are no targets.
    fn carried_to(&self, slice: &EndpointSlice) -> Option<Carried> {
        let service = slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL)?;
        let namespace = slice.metadata.namespace.clone().unwrap_or_default();
        let service = NamespacedName::new(namespace, service.clone());
        let bindings = self.bindings_of.get(&service)?.iter();
        let bound = bindings.filter_map(|binding| self.bound_by.get(binding));
        bound.map(|bound| bound.carried).max()
    }
}
