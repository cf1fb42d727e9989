//! A cluster that is a list of objects: it takes writes as an API server does, and tells of changes as
//! a watch does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use elbow_api::crds::{
    ListenerRuleConfiguration, LoadBalancerConfiguration, TargetGroupBinding,
    TargetGroupConfiguration,
};
use elbow_api::{Kind, NamespacedName, Object, ObjectRef};
use elbow_cluster::live::{Change, Event, WriteError};
use elbow_controller::{ClusterWriter, Write};
use elbow_model::{AwsError, CertificateMaterial, OwnTargets, SecretContent};
use gateway_api::apis::experimental as gw;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::world::pass_for;

/// Decides whether a write fails.
type Fault = Box<dyn FnMut(&Write) -> Option<WriteError> + Send>;

/// The cluster. Clones are the same.
#[derive(Clone)]
pub(crate) struct FakeCluster(Arc<Mutex<Inner>>);

struct Inner {
    objects: BTreeMap<ObjectRef, Object>,
    version: u64,
    watch: mpsc::Sender<Event>,
    /// What the watch has yet to tell, while it is held up.
    held: Option<Vec<Change>>,
    writes: Vec<String>,
    events: Vec<String>,
    records: BTreeMap<String, String>,
    /// Lists of targets, by binding: ConfigMaps.
    own_targets: BTreeMap<NamespacedName, OwnTargets>,
    fault: Fault,
    /// How long a write takes.
    latency: Duration,
}

impl FakeCluster {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Event>) {
        let (watch, events) = mpsc::channel(10_000);
        let inner = Inner {
            objects: BTreeMap::new(),
            version: 100,
            watch,
            held: None,
            writes: Vec::new(),
            events: Vec::new(),
            records: BTreeMap::new(),
            own_targets: BTreeMap::new(),
            fault: Box::new(|_| None),
            latency: Duration::from_millis(5),
        };
        (Self(Arc::new(Mutex::new(inner))), events)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }

    /// Begins to watch as the next instance does: with a list of everything.
    pub(crate) fn watch_again(&self) -> mpsc::Receiver<Event> {
        let (watch, events) = mpsc::channel(10_000);
        self.with(|inner| {
            inner.watch = watch;
            let all: Vec<Object> = inner.objects.values().cloned().collect();
            for object in all {
                inner.tell(Change::Apply(object));
            }
        });
        self.synced();
        events
    }

    /// Everything has been listed.
    pub(crate) fn synced(&self) {
        self.with(|inner| inner.watch.try_send(Event::Synced).unwrap());
    }

    /// Drops what instances have kept for the next one.
    pub(crate) fn forget_records(&self) {
        self.with(|inner| inner.records.clear());
    }

    /// How long writes take from now on.
    pub(crate) fn set_latency(&self, latency: Duration) {
        self.with(|inner| inner.latency = latency);
    }

    /// What a watch tells beside changes.
    pub(crate) fn say(&self, event: Event) {
        self.with(|inner| inner.watch.try_send(event).unwrap());
    }

    /// Lets the watch fall behind.
    pub(crate) fn hold_watch(&self) {
        self.with(|inner| inner.held = Some(Vec::new()));
    }

    /// Lets the watch catch up.
    pub(crate) fn release_watch(&self) {
        self.with(|inner| {
            for change in inner.held.take().unwrap_or_default() {
                inner.tell(change);
            }
        });
    }

    /// Applies an object as a person would: its status and finalizers stay.
    pub(crate) fn apply(&self, object: &Object) {
        self.with(|inner| {
            let reference = object.object_ref();
            let mut value = json_of(object);
            value["metadata"]["generation"] = json!(1);
            if let Some(before) = inner.objects.get(&reference) {
                let before = json_of(before);
                for (field, is_metadata) in [
                    ("finalizers", true),
                    ("generation", true),
                    ("status", false),
                ] {
                    let (from, to) = if is_metadata {
                        (&before["metadata"][field], &mut value["metadata"])
                    } else {
                        (&before[field], &mut value)
                    };
                    if !from.is_null() {
                        to[field] = from.clone();
                    }
                }
                if before["spec"] != value["spec"] {
                    let generation = before["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
                    value["metadata"]["generation"] = json!(generation);
                }
            }
            inner.put(&reference, value);
        });
    }

    /// Changes an object.
    pub(crate) fn edit(&self, reference: &ObjectRef, edit: impl FnOnce(&mut Value)) {
        self.with(|inner| {
            let mut value = json_of(&inner.objects[reference]);
            edit(&mut value);
            inner.put(reference, value);
        });
    }

    /// Deletes an object as a person would: with finalizers it stays, marked.
    pub(crate) fn delete(&self, reference: &ObjectRef) {
        self.with(|inner| inner.delete(reference));
    }

    pub(crate) fn get(&self, reference: &ObjectRef) -> Option<Value> {
        self.with(|inner| inner.objects.get(reference).map(json_of))
    }

    pub(crate) fn of_kind(&self, kind: Kind) -> Vec<Value> {
        self.with(|inner| {
            let of_kind = inner.objects.iter().filter(|(r, _)| r.kind == kind);
            of_kind.map(|(_, object)| json_of(object)).collect()
        })
    }

    /// The condition of an object, as `status reason message`.
    pub(crate) fn condition(&self, reference: &ObjectRef, condition: &str) -> String {
        let object = self.get(reference).unwrap_or_default();
        let of = |conditions: &Value| {
            let mut found = conditions.as_array().into_iter().flatten();
            found.find(|c| c["type"] == condition).map(|c| {
                let text = |field: &str| c[field].as_str().unwrap_or_default().to_owned();
                format!("{} {} {}", text("status"), text("reason"), text("message"))
            })
        };
        let status = &object["status"];
        of(&status["conditions"])
            .or_else(|| of(&status["parents"][0]["conditions"]))
            .unwrap_or_default()
    }

    /// The writes since the last look, events apart: `verb Kind namespace/name`.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        self.with(|inner| std::mem::take(&mut inner.writes))
    }

    /// The events since the last look: `Type Reason: message (Kind namespace/name)`.
    pub(crate) fn take_events(&self) -> Vec<String> {
        self.with(|inner| std::mem::take(&mut inner.events))
    }

    /// The targets that are kept as registered under a binding.
    pub(crate) fn own_targets(&self, binding: &ObjectRef) -> Option<String> {
        let name = binding.namespaced_name();
        self.with(|inner| inner.own_targets.get(&name).map(ToString::to_string))
    }

    pub(crate) fn set_fault(
        &self,
        fault: impl FnMut(&Write) -> Option<WriteError> + Send + 'static,
    ) {
        self.with(|inner| inner.fault = Box::new(fault));
    }
}

impl Inner {
    fn put(&mut self, reference: &ObjectRef, mut value: Value) {
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let is_gone = !value["metadata"]["deletionTimestamp"].is_null()
            && value["metadata"]["finalizers"]
                .as_array()
                .is_none_or(Vec::is_empty);
        if is_gone {
            self.objects.remove(reference);
            self.tell(Change::Remove(reference.clone()));
            return;
        }
        let object = object_of(reference.kind, value);
        self.objects.insert(reference.clone(), object.clone());
        self.tell(Change::Apply(object));
    }

    fn delete(&mut self, reference: &ObjectRef) {
        let Some(object) = self.objects.get(reference) else {
            return;
        };
        let mut value = json_of(object);
        value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.put(reference, value);
    }

    fn tell(&mut self, change: Change) {
        if let Some(held) = &mut self.held {
            held.push(change);
            return;
        }
        // Nobody listens between two instances.
        let _told = self.watch.try_send(Event::Changed(vec![change]));
    }

    fn take(&mut self, write: &Write) -> Result<Option<Object>, WriteError> {
        if let Some(error) = (self.fault)(write) {
            return Err(error);
        }
        match write {
            Write::Event { object, note } => {
                let text = format!(
                    "{:?} {}: {} ({})",
                    note.event_type,
                    note.reason,
                    note.message,
                    object.object_ref()
                );
                self.events.push(text);
                Ok(None)
            }
            Write::Binding { wanted, current } => {
                let object = Object::from(wanted.as_ref().clone());
                let reference = object.object_ref();
                self.writes.push(format!("apply {reference}"));
                let mut value = json_of(&object);
                value["metadata"]["uid"] = json!(reference.to_string());
                value["metadata"]["generation"] = json!(1);
                if let Some(current) = current {
                    self.check(&Object::TargetGroupBinding(Arc::clone(current)))?;
                }
                self.put(&reference, value);
                Ok(self.objects.get(&reference).cloned())
            }
            Write::Status { object, status } => {
                let reference = object.object_ref();
                self.writes.push(format!("status {reference}"));
                if status.get("parents").is_some() {
                    self.check(object)?;
                }
                let Some(current) = self.objects.get(&reference) else {
                    return Err(gone(&reference));
                };
                let mut value = json_of(current);
                for (field, wanted) in status.as_object().unwrap() {
                    value["status"][field] = wanted.clone();
                }
                self.put(&reference, value);
                Ok(self.objects.get(&reference).cloned())
            }
            Write::AddFinalizer { object, finalizer } => {
                self.finalizers(object, write.verb(), |all| all.push(json!(finalizer)))
            }
            Write::RemoveFinalizer { object, finalizer } => {
                self.finalizers(object, write.verb(), |all| all.retain(|f| f != finalizer))
            }
            Write::PodConditions { pod, conditions } => {
                let reference = Object::Pod(Arc::clone(pod)).object_ref();
                self.writes.push(format!("conditions {reference}"));
                let Some(current) = self.objects.get(&reference) else {
                    return Err(gone(&reference));
                };
                let mut value = json_of(current);
                if value["metadata"]["uid"] != json!(pod.metadata.uid) {
                    return Err(WriteError::Conflict {
                        verb: "patch",
                        object: reference.to_string(),
                    });
                }
                let mut all = value["status"]["conditions"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                for condition in conditions {
                    all.retain(|other| other["type"] != condition.type_);
                    all.push(json!(condition));
                }
                value["status"]["conditions"] = json!(all);
                self.put(&reference, value);
                Ok(self.objects.get(&reference).cloned())
            }
            Write::Unbind { object } => {
                let reference = object.object_ref();
                self.own_targets.remove(&reference.namespaced_name());
                if object.metadata().deletion_timestamp.is_some() {
                    let finalizer = elbow_api::names::TARGET_GROUP_BINDING_FINALIZER;
                    return self.finalizers(object, write.verb(), |all| {
                        all.retain(|f| f != finalizer);
                    });
                }
                self.writes.push(format!("unbind {reference}"));
                self.delete(&reference);
                Ok(None)
            }
            Write::OpenGates { object } => {
                self.writes
                    .push(format!("open-gates {}", object.object_ref()));
                Ok(None)
            }
            Write::Delete { object } => {
                let reference = object.object_ref();
                self.writes.push(format!("delete {reference}"));
                self.delete(&reference);
                Ok(None)
            }
        }
    }

    fn finalizers(
        &mut self,
        object: &Object,
        verb: &str,
        change: impl FnOnce(&mut Vec<Value>),
    ) -> Result<Option<Object>, WriteError> {
        let reference = object.object_ref();
        self.writes.push(format!("{verb} {reference}"));
        self.check(object)?;
        let mut value = json_of(object);
        let mut all = value["metadata"]["finalizers"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        change(&mut all);
        value["metadata"]["finalizers"] = json!(all);
        let written = object_of(reference.kind, value.clone());
        self.put(&reference, value);
        Ok(Some(
            self.objects.get(&reference).cloned().unwrap_or(written),
        ))
    }

    fn check(&self, object: &Object) -> Result<(), WriteError> {
        let reference = object.object_ref();
        let Some(current) = self.objects.get(&reference) else {
            return Err(gone(&reference));
        };
        if current.metadata().resource_version == object.metadata().resource_version {
            return Ok(());
        }
        Err(WriteError::Conflict {
            verb: "patch",
            object: reference.to_string(),
        })
    }
}

fn gone(reference: &ObjectRef) -> WriteError {
    WriteError::Gone {
        verb: "patch",
        object: reference.to_string(),
    }
}

impl ClusterWriter for FakeCluster {
    async fn write(&self, write: &Write, _: jiff::Timestamp) -> Result<Option<Object>, WriteError> {
        let latency = self.with(|inner| inner.latency);
        pass_for(latency).await;
        self.with(|inner| inner.take(write))
    }

    async fn material(&self, content: &SecretContent) -> Result<CertificateMaterial, AwsError> {
        Err(content.not_read())
    }

    async fn read_own_targets(
        &self,
        binding: &NamespacedName,
    ) -> Result<Option<OwnTargets>, WriteError> {
        let latency = self.with(|inner| inner.latency);
        pass_for(latency).await;
        Ok(self.with(|inner| inner.own_targets.get(binding).cloned()))
    }

    async fn keep_own_targets(
        &self,
        binding: &NamespacedName,
        targets: &OwnTargets,
    ) -> Result<(), WriteError> {
        let latency = self.with(|inner| inner.latency);
        pass_for(latency).await;
        self.with(|inner| {
            inner.writes.push(format!("keep {binding}: {targets}"));
            inner.own_targets.insert(binding.clone(), targets.clone());
        });
        Ok(())
    }

    async fn read_records(&self) -> Result<BTreeMap<String, String>, WriteError> {
        Ok(self.with(|inner| inner.records.clone()))
    }

    async fn write_records(&self, records: &BTreeMap<String, String>) -> Result<(), WriteError> {
        let latency = self.with(|inner| inner.latency);
        pass_for(latency).await;
        self.with(|inner| inner.records.clone_from(records));
        Ok(())
    }
}

macro_rules! kinds {
    ($($kind:ident: $type:ty,)*) => {
        pub(crate) fn json_of(object: &Object) -> Value {
            match object {
                $( Object::$kind(object) => serde_json::to_value(object.as_ref()).unwrap(), )*
                other => panic!("{} is not written", other.kind()),
            }
        }

        fn object_of(kind: Kind, value: Value) -> Object {
            match kind {
                $( Kind::$kind => Object::from(serde_json::from_value::<$type>(value).unwrap()), )*
                other => panic!("{other} is not written"),
            }
        }
    };
}

kinds! {
    Namespace: k8s_openapi::api::core::v1::Namespace,
    Node: k8s_openapi::api::core::v1::Node,
    GatewayClass: gw::gatewayclasses::GatewayClass,
    Gateway: gw::gateways::Gateway,
    ListenerSet: gw::listenersets::ListenerSet,
    HttpRoute: gw::httproutes::HttpRoute,
    TcpRoute: gw::tcproutes::TcpRoute,
    LoadBalancerConfiguration: LoadBalancerConfiguration,
    TargetGroupConfiguration: TargetGroupConfiguration,
    ListenerRuleConfiguration: ListenerRuleConfiguration,
    TargetGroupBinding: TargetGroupBinding,
    Service: k8s_openapi::api::core::v1::Service,
    EndpointSlice: k8s_openapi::api::discovery::v1::EndpointSlice,
    Pod: k8s_openapi::api::core::v1::Pod,
}
