//! A Kubernetes API server: objects come from it, and statuses, finalizers and events go to it.
//!
//! In: the settings of a watch, and what is to be written. Out: [`Event`]s that keep a
//! [`elbow_api::Snapshot`] equal to what the API server holds, and the answer to each write.
//!
//! What always holds: nothing else in the workspace talks to an API server; of each object only what
//! translation and the writes here read is kept; a Secret or ConfigMap is read only if it is named; and every write
//! says in its error what to do about it. Start at [`Cluster`].

mod connect;
mod discovery;
mod error;
mod kinds;
mod lease;
mod merge;
mod objects;
mod pods;
mod readiness;
#[cfg(test)]
mod testing;
mod trim;
mod watch;
mod webhook;
mod write;

pub use connect::{Cluster, ConnectError, ConnectSettings};
pub use error::{Remedy, WriteError};
pub use kinds::Served;
pub use lease::{Leadership, LeaseSettings, elect};
pub use merge::{merge_parents, merge_status};
pub use readiness::{Gates, TargetHealth, condition, has_gate, inject};
pub use trim::is_written;
pub use watch::{Absence, Change, Event, WatchSettings};
pub use webhook::{POD_PATH, Webhook, WebhookError, WebhookSettings};
pub use write::{EventNote, EventType, FIELD_MANAGER, Writer, Written};
