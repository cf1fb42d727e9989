//! The daemon: rounds against a Kubernetes API server and AWS.
//!
//! In: settings, a cluster, AWS. Out: load balancers, statuses, events, metrics. What always holds: what
//! is to be done is decided by `elbow-reconcile` and [`Scribe`](scribe) alone; this crate carries it
//! out, waits, and tells.
//!
//! Start at `run` (with the feature `aws`); [`Driver`] is the one loop, and runs over anything that answers calls and takes
//! writes.

pub mod admin;
mod changes;
mod clock;
#[cfg(feature = "aws")]
mod daemon;
mod driver;
mod metrics;
mod named;
mod notes;
mod own_targets;
mod pods;
mod ports;
mod records;
mod scribe;
#[cfg(any(feature = "aws", test))]
mod webhook;

pub use admin::Readiness;
#[cfg(feature = "aws")]
pub use daemon::{Daemon, DaemonError, Election, run};
pub use driver::{Driver, DriverError, Ended, Inputs};
#[cfg(feature = "aws")]
pub use elbow_aws::{Config as AwsConfig, Endpoints};
pub use elbow_cluster::live::{ConnectSettings, WebhookSettings};
pub use metrics::{Metrics, Row, TABLE};
pub use ports::{AwsCaller, ClusterWriter, KubeCluster, Write};
