//! Kubernetes vocabulary: custom resources, contract names, diagnostics and the Snapshot.
//!
//! In: objects as the API server or a manifest has them. Out: typed, ordered, recorded look-ups.
//! Start at [`snapshot`]. Nothing here reads a file, a socket or a clock.

pub mod config_map;
pub mod crds;
pub mod diagnostic;
pub mod names;
pub mod object;
mod pem;
pub mod secret;
pub mod snapshot;

pub use config_map::{CaBundle, CaProblem, ConfigMap};
pub use diagnostic::{ByteSpan, Diagnostic, Severity, SourceLocation};
pub use names::GatewayController;
pub use object::{Kind, NamespacedName, ObjectRef};
pub use secret::{Secret, SecretProblem, TlsCertificate, TlsMaterial};
pub use snapshot::{Object, Read, Reader, Snapshot};
