//! AWS vocabulary: what is wanted ([`stack`]), what must be known first ([`facts`]), what is there
//! ([`observed`]), what can be asked of AWS ([`aws_call`]) and how it refuses ([`aws_error`]).
//!
//! In: nothing; these are plain values. Out: types that translation, plan and the AWS adapters share.
//! What always holds: every collection is ordered, equal values print equally, and nothing here knows
//! a wire format or a Kubernetes type. Start at [`stack::Stack`].

pub mod aws_call;
pub mod aws_error;
pub mod certificate;
pub mod classify;
pub mod facts;
pub mod ids;
pub mod observed;
pub mod own_targets;
pub mod rule;
pub mod stack;
pub mod trust_store;

pub use aws_call::{AwsAnswer, AwsCall};
pub use aws_error::{AwsError, ErrorClass, Remedy};
pub use certificate::{CertificateMaterial, ImportedCertificate, SecretContent};
pub use facts::{FactQuery, Facts};
pub use ids::*;
pub use observed::{Observed, ObservedStack};
pub use own_targets::OwnTargets;
pub use stack::{Cause, Ref, ResourceKey, ResourceKind, Stack, StackId, StackKind};
pub use trust_store::{AuthoritySource, BundleStorage, MutualAuthentication, TrustStore};

/// Tags of an AWS resource, by key.
pub type Tags = std::collections::BTreeMap<String, String>;

/// Attributes of a load balancer, listener or target group, by key.
pub type Attributes = std::collections::BTreeMap<String, String>;
