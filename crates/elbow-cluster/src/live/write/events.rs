//! Events: what happened to an object, for people.
//!
//! In: an object and a note. Out: an `events.k8s.io/v1` Event, or one more in the series of an earlier
//! one. Always holds: the same note on the same object within six minutes is one Event whose count grows,
//! as the API's documentation asks; another note is another Event, even for the same reason.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use elbow_api::Object;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::{Patch, PostParams};
use serde_json::json;

use super::{Writer, manager, object_reference, within};
use crate::live::error::{Request, WriteError};

/// How long after its last one a series goes on, as client-go has it.
const SERIES_TIME: SignedDuration = SignedDuration::from_mins(6);

/// Bytes of a note that the API server takes.
const NOTE_BYTES_MAX: usize = 1024;

/// What kind of news an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Something is wrong.
    Warning,
}

impl EventType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventNote {
    /// What kind of news it is.
    pub event_type: EventType,
    /// Why, in camel case, as `SuccessfullyReconciled`.
    pub reason: String,
    /// The sentence for people. It is cut at a kilobyte.
    pub message: String,
    /// Which controller says so, as `gateway.k8s.aws/alb`.
    pub reporter: &'static str,
}

/// The series that are going on.
#[derive(Debug)]
pub(super) struct Recorder {
    instance: String,
    series: Mutex<BTreeMap<Key, Series>>,
    /// How many series there were. Two that begin in the same instant differ by it.
    begun: AtomicU32,
}

/// What is said of which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    uid: String,
    note: EventNote,
}

#[derive(Debug, Clone)]
struct Series {
    name: String,
    count: i32,
    last: Timestamp,
}

impl Recorder {
    pub(super) fn new(instance: &str) -> Self {
        Self {
            // The API server wants one, of at most 128 bytes.
            instance: match cut(instance, 128) {
                "" => "elbow".to_owned(),
                instance => instance.to_owned(),
            },
            series: Mutex::default(),
            begun: AtomicU32::new(0),
        }
    }

    /// Counts one more, and answers with the series. The first of a series counts one.
    fn count(&self, key: &Key, object: &str, now: Timestamp) -> Series {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, series| now.duration_since(series.last) < SERIES_TIME);
        let series = all.entry(key.clone()).or_insert_with(|| Series {
            name: {
                let number = self.begun.fetch_add(1, Ordering::Relaxed);
                format!("{object}.{:x}", now.as_nanosecond() + i128::from(number))
            },
            count: 0,
            last: now,
        });
        series.count = series.count.saturating_add(1);
        series.last = now;
        series.clone()
    }

    /// Ends a series, so that the next event begins another.
    fn end(&self, key: &Key) {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(key);
    }
}

impl Writer {
    /// Reports an event on an object. A repeat within six minutes counts up the earlier one.
    pub async fn event(
        &self,
        about: &Object,
        note: &EventNote,
        now: Timestamp,
    ) -> Result<(), WriteError> {
        let regarding = object_reference(about, &self.served);
        // Events on objects without a namespace are where kubectl looks for them.
        let namespace = about.metadata().namespace.as_deref().unwrap_or("default");
        let name = about.metadata().name.as_deref().unwrap_or_default();
        let key = Key {
            uid: about.metadata().uid.clone().unwrap_or_default(),
            note: note.clone(),
        };
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let request = |verb| Request {
            verb,
            object: format!("an Event on {}", about.object_ref()),
            resource: "events.events.k8s.io".to_owned(),
        };
        let series = self.events.count(&key, name, now);
        if series.count > 1 {
            let patch = json!({
                "series": { "count": series.count, "lastObservedTime": MicroTime(now) },
            });
            let (parameters, patch) = (manager(), Patch::Merge(patch));
            let patched = api.patch(&series.name, &parameters, &patch);
            match within(&request("patch"), patched).await {
                Ok(_) => return Ok(()),
                // It has expired: an API server keeps events for an hour or less.
                Err(WriteError::Gone { .. }) => self.events.end(&key),
                Err(error) => return Err(error),
            }
        }
        let series = if series.count > 1 {
            self.events.count(&key, name, now)
        } else {
            series
        };
        let event = Event {
            action: Some("Reconcile".to_owned()),
            event_time: Some(MicroTime(now)),
            metadata: ObjectMeta {
                name: Some(series.name),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            note: Some(cut(&note.message, NOTE_BYTES_MAX).to_owned()),
            reason: Some(note.reason.clone()),
            regarding: Some(regarding),
            reporting_controller: Some(note.reporter.to_owned()),
            reporting_instance: Some(self.events.instance.clone()),
            type_: Some(note.event_type.as_str().to_owned()),
            ..Event::default()
        };
        let parameters = PostParams {
            field_manager: Some(super::FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match within(&request("create"), api.create(&parameters, &event)).await {
            Ok(_) => Ok(()),
            Err(error) => {
                // What was not created cannot be counted up.
                self.events.end(&key);
                Err(error)
            }
        }
    }
}

/// The longest beginning of a text that has at most so many bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev();
    let end = end.into_iter().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}
