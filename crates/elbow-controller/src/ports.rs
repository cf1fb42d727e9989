//! What the driver needs of the world outside: one trait for AWS, one for the cluster.
//!
//! In: calls and writes, as data. Out: their answers. What always holds: the driver knows no other way
//! out, so tests put an emulator and a list of writes in their place.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use elbow_api::crds::{TargetGroupBinding, TargetType};
use elbow_api::names::{OWN_TARGETS_KEY, OWN_TARGETS_PREFIX, TARGET_GROUP_BINDING_FINALIZER};
use elbow_api::{NamespacedName, Object, Secret};
use elbow_cluster::live::{EventNote, Remedy, WriteError, Writer, Written};
use elbow_model::{AwsAnswer, AwsCall, AwsError, CertificateMaterial, OwnTargets, SecretContent};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use serde_json::Value;

/// Carries out calls to AWS.
pub trait AwsCaller: Send + Sync + 'static {
    /// Carries out one call, once; an import with what it takes from its Secret.
    fn call(
        &self,
        call: &AwsCall,
        material: Option<&CertificateMaterial>,
    ) -> impl Future<Output = Result<AwsAnswer, AwsError>> + Send;
}

/// Carries out writes to the cluster.
pub trait ClusterWriter: Send + Sync + 'static {
    /// Carries out one write. Answers with the object as it is then, where there is one.
    fn write(
        &self,
        write: &Write,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Object>, WriteError>> + Send;

    /// Reads what an import takes from its Secret. An error if the Secret holds something else by now.
    fn material(
        &self,
        content: &SecretContent,
    ) -> impl Future<Output = Result<CertificateMaterial, AwsError>> + Send;

    /// Reads the records that the last leader kept.
    fn read_records(
        &self,
    ) -> impl Future<Output = Result<BTreeMap<String, String>, WriteError>> + Send;

    /// Reads which targets this cluster has registered under a binding; `None` if nothing is kept.
    fn read_own_targets(
        &self,
        binding: &NamespacedName,
    ) -> impl Future<Output = Result<Option<OwnTargets>, WriteError>> + Send;

    /// Keeps which targets this cluster has registered under a binding.
    fn keep_own_targets(
        &self,
        binding: &NamespacedName,
        targets: &OwnTargets,
    ) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Keeps these records, and no others.
    fn write_records(
        &self,
        records: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<(), WriteError>> + Send;
}

/// A Kubernetes API server.
#[derive(Debug, Clone)]
pub struct KubeCluster {
    writer: Writer,
    /// The ConfigMap of the records.
    records: NamespacedName,
}

impl KubeCluster {
    /// Before a TargetGroupBinding goes, and when it has no backend any more, nobody must be left who waits
    /// for it. A role that does not let us look for them holds up no deletion.
    async fn open_gates(&self, object: &Object, now: Timestamp) -> Result<(), WriteError> {
        let Object::TargetGroupBinding(binding) = object else {
            return Ok(());
        };
        if binding.spec.target_type == Some(TargetType::Instance) {
            return Ok(());
        }
        let name = object.object_ref().namespaced_name();
        match self.writer.open_gates(&name, now).await {
            Err(error) if error.remedy() == Remedy::Ask => {
                tracing::warn!(binding = %name, %error, "Pods may wait for a binding without targets");
                Ok(())
            }
            opened => opened,
        }
    }

    /// Writes through this writer, and keeps records in this ConfigMap.
    pub fn new(writer: Writer, records: NamespacedName) -> Self {
        Self { writer, records }
    }
}

/// One write, worked out from a state of its object.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Apply a status.
    Status {
        /// The object that it was worked out from.
        object: Object,
        /// The status, whole in the sense of server-side apply.
        status: Value,
    },
    /// Add a finalizer.
    AddFinalizer {
        /// The object.
        object: Object,
        /// The finalizer.
        finalizer: &'static str,
    },
    /// Remove a finalizer.
    RemoveFinalizer {
        /// The object.
        object: Object,
        /// The finalizer.
        finalizer: &'static str,
    },
    /// Make a TargetGroupBinding what is wanted.
    Binding {
        /// What is wanted.
        wanted: Box<TargetGroupBinding>,
        /// What there is.
        current: Option<Arc<TargetGroupBinding>>,
    },
    /// Set conditions of a pod.
    PodConditions {
        /// The pod that they were worked out from.
        pod: Arc<Pod>,
        /// The conditions; others stay.
        conditions: Vec<PodCondition>,
    },
    /// Open the gates of all pods that wait for a TargetGroupBinding whose Service or port is not there.
    OpenGates {
        /// The binding.
        object: Object,
    },
    /// Delete an object.
    Delete {
        /// The object.
        object: Object,
    },
    /// Drop what is kept about the targets of a TargetGroupBinding, then let it go: one that is being
    /// deleted loses its finalizer, another is deleted.
    Unbind {
        /// The binding.
        object: Object,
    },
    /// Report an event.
    Event {
        /// What it is about.
        object: Object,
        /// What happened.
        note: EventNote,
    },
}

impl Write {
    /// What is done, for logs and metrics.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::AddFinalizer { .. } => "add-finalizer",
            Self::RemoveFinalizer { .. } => "remove-finalizer",
            Self::Binding { .. } => "apply",
            Self::PodConditions { .. } => "conditions",
            Self::OpenGates { .. } => "open-gates",
            Self::Delete { .. } => "delete",
            Self::Unbind { .. } => "unbind",
            Self::Event { .. } => "event",
        }
    }

    /// The reason of LBC's event about a write that failed for good.
    pub(crate) fn failure_reason(&self) -> &'static str {
        match self {
            Self::AddFinalizer { .. } => "FailedAddFinalizer",
            Self::RemoveFinalizer { .. } | Self::Unbind { .. } => "FailedRemoveFinalizer",
            Self::Status { .. }
            | Self::PodConditions { .. }
            | Self::OpenGates { .. }
            | Self::Event { .. } => "FailedUpdateStatus",
            Self::Binding { .. } | Self::Delete { .. } => "FailedDeployModel",
        }
    }
}

/// The ConfigMap in which LBC, too, keeps the targets that were registered under a binding.
fn own_targets_map(binding: &NamespacedName) -> NamespacedName {
    let name = format!("{OWN_TARGETS_PREFIX}{}", binding.name);
    NamespacedName::new(binding.namespace.clone(), name)
}

#[cfg(feature = "aws")]
impl AwsCaller for elbow_aws::Aws {
    fn call(
        &self,
        call: &AwsCall,
        material: Option<&CertificateMaterial>,
    ) -> impl Future<Output = Result<AwsAnswer, AwsError>> + Send {
        self.call_with(call, material)
    }
}

impl ClusterWriter for KubeCluster {
    async fn write(&self, write: &Write, now: Timestamp) -> Result<Option<Object>, WriteError> {
        let changed = |written| match written {
            Written::Changed(object) => Some(object),
            Written::Already => None,
        };
        match write {
            Write::Status { object, status } => {
                self.writer.write_status(object, status).await.map(Some)
            }
            Write::AddFinalizer { object, finalizer } => self
                .writer
                .add_finalizer(object, finalizer)
                .await
                .map(changed),
            Write::RemoveFinalizer { object, finalizer } => {
                self.open_gates(object, now).await?;
                let removed = self.writer.remove_finalizer(object, finalizer);
                removed.await.map(changed)
            }
            Write::Binding { wanted, current } => {
                let applied = self.writer.apply_binding(wanted, current.as_deref());
                applied.await.map(changed)
            }
            Write::PodConditions { pod, conditions } => {
                let set = self.writer.set_pod_conditions(pod, conditions);
                set.await.map(Some)
            }
            Write::OpenGates { object } => {
                self.open_gates(object, now).await?;
                Ok(None)
            }
            Write::Delete { object } => {
                self.open_gates(object, now).await?;
                self.writer.delete(object).await.map(|()| None)
            }
            Write::Unbind { object } => {
                self.open_gates(object, now).await?;
                let name = own_targets_map(&object.object_ref().namespaced_name());
                self.writer.delete_config_map(&name).await?;
                if object.metadata().deletion_timestamp.is_some() {
                    let finalizer = TARGET_GROUP_BINDING_FINALIZER;
                    let removed = self.writer.remove_finalizer(object, finalizer);
                    removed.await.map(changed)
                } else {
                    self.writer.delete(object).await.map(|()| None)
                }
            }
            Write::Event { object, note } => {
                self.writer.event(object, note, now).await.map(|()| None)
            }
        }
    }

    async fn material(&self, content: &SecretContent) -> Result<CertificateMaterial, AwsError> {
        let name = NamespacedName::new(content.namespace.clone(), content.name.clone());
        let secret = match self.writer.secret(&name).await {
            Ok(Some(secret)) => secret,
            Ok(None) => return Err(content.not_read()),
            Err(error) => {
                tracing::warn!(secret = %name, %error, "Cannot read a Secret");
                return Err(content.not_read());
            }
        };
        let (_, material) = Secret::read(secret);
        match material {
            Some(material) if material.digest == content.digest => Ok(CertificateMaterial {
                certificate: material.certificate,
                chain: material.chain,
                private_key: material.private_key,
            }),
            _ => Err(content.not_read()),
        }
    }

    async fn read_own_targets(
        &self,
        binding: &NamespacedName,
    ) -> Result<Option<OwnTargets>, WriteError> {
        let found = self.writer.config_map(&own_targets_map(binding)).await?;
        Ok(found.map(|data| {
            let text = data.get(OWN_TARGETS_KEY).map(String::as_str);
            OwnTargets::parse(text.unwrap_or_default())
        }))
    }

    async fn keep_own_targets(
        &self,
        binding: &NamespacedName,
        targets: &OwnTargets,
    ) -> Result<(), WriteError> {
        let data = BTreeMap::from([(OWN_TARGETS_KEY.to_owned(), targets.to_string())]);
        let name = own_targets_map(binding);
        self.writer.apply_config_map(&name, &data).await
    }

    async fn read_records(&self) -> Result<BTreeMap<String, String>, WriteError> {
        let found = self.writer.config_map(&self.records).await?;
        Ok(found.unwrap_or_default())
    }

    async fn write_records(&self, records: &BTreeMap<String, String>) -> Result<(), WriteError> {
        self.writer.apply_config_map(&self.records, records).await
    }
}
