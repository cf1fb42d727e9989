//! Readiness gates of pods.
//!
//! In: what pods are to be told of their targets, and the pods. Out: the next write to one. Always holds:
//! a pod is told what was said last, and only the pod that it was said of; an open gate stays open.

use elbow_api::{Kind, NamespacedName, Object, ObjectRef};
use elbow_cluster::live::{TargetHealth, condition};
use elbow_reconcile::{GateHealth, GateVerdict};

use super::Scribe;
use crate::ports::Write;

impl Scribe {
    /// Takes in what pods are to be told about the gates of a TargetGroupBinding.
    pub(crate) fn gates(&mut self, binding: &NamespacedName, verdicts: Vec<GateVerdict>) {
        for verdict in verdicts {
            let NamespacedName { namespace, name } = verdict.pod.clone();
            let pod = ObjectRef::new(Kind::Pod, namespace, name);
            let of_pod = self.verdicts.entry(pod.clone()).or_default();
            of_pod.insert(binding.name.clone(), verdict);
            self.dirty.insert(pod);
        }
    }

    /// Forgets what a pod was to be told: it is gone, or ready.
    pub(super) fn forget_pod(&mut self, pod: &ObjectRef) {
        self.verdicts.remove(pod);
    }

    pub(super) fn for_pod(
        &self,
        object: &ObjectRef,
        current: &Object,
        wall: jiff::Timestamp,
    ) -> Option<Write> {
        let Object::Pod(pod) = current else {
            return None;
        };
        let verdicts = self.verdicts.get(object)?;
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let conditions: Vec<_> = { verdicts.iter() }
            .filter(|(_, verdict)| verdict.uid == uid)
            .filter_map(|(binding, verdict)| {
                let health = health(&verdict.health);
                condition(pod, binding, health.as_ref(), wall)
            })
            .collect();
        (!conditions.is_empty()).then(|| Write::PodConditions {
            pod: pod.clone(),
            conditions,
        })
    }
}

fn health(health: &GateHealth) -> Option<TargetHealth> {
    match health {
        GateHealth::Registering => Some(TargetHealth::registering()),
        GateHealth::Healthy => Some(TargetHealth {
            is_healthy: true,
            reason: String::new(),
            description: String::new(),
        }),
        GateHealth::NotHealthy {
            reason,
            description,
        } => Some(TargetHealth {
            is_healthy: false,
            reason: reason.clone(),
            description: description.clone(),
        }),
        GateHealth::Unregistered => None,
    }
}
