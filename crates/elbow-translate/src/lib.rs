//! Snapshot and Facts in, Stacks, conditions and diagnostics out.
//!
//! Pure and total: no call to the outside, no clock, and an answer for every input. One bad route,
//! rule or reference gives a diagnostic and a condition, and its siblings live. What cannot be decided
//! at present (a configuration that is missing) is left as it is in AWS, never deleted.
//!
//! Where the outcome deliberately differs from that of the AWS Load Balancer Controller (LBC), a comment
//! begins with "Difference" and a name; `docs/differences.md` lists them with their reasons.
//!
//! Start at [`translate_gateway`]; [`translate_cluster`] adds what all Gateways share, [`status`]
//! makes conditions of what both left. [`translate_binding`] is for the TargetGroupBindings that users
//! write, [`held_targets`] for Gateways of which nothing can be said at present. Further front-ends
//! (Ingress, Service) stand beside `gateway`.

mod binding;
mod cluster;
mod gates;
mod gateway;
mod held;
pub mod network;
mod selector;
mod settings;
pub mod status;

pub use binding::{
    BindingTranslation, BindingVerdict, TranslatedBinding, is_backend_missing, translate_binding,
    translate_unasked_binding,
};
pub use cluster::{ClusterTranslation, SharedUse, translate_cluster};
pub use gates::{Waiting, WaitingPod, Waits, pods_of, pods_to_read, waiting};
pub use gateway::{
    Addresses, BindingTemplate, ClassProblem, ListenerProblem, ListenerProblemKind, NetworkingRule,
    ParentRef, Peer, RouteConditionType, RouteFailure, RouteFailures, Translated, Translation,
    stack_id, stack_ids, translate_class, translate_gateway, translate_unasked_gateway,
};
pub use held::{HeldTargets, held_targets};
pub use settings::{
    BackendSecurityGroup, FeatureGates, HostnamePorts, ListenerIsolation, NodeRules, Settings,
};
