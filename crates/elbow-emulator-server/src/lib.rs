//! The emulator on real sockets: AWS wire protocols, health checks and the data plane.
//!
//! In: an [`elbow_emulator::Emulator`] and a [`Clock`]. Out: an AWS API endpoint ([`serve_api`]),
//! served listeners ([`dataplane::serve`]) and a name server ([`serve_dns`]). Always: all parts share one emulator and one virtual time.

mod calls;
pub mod dataplane;
mod dns;
mod faults;
mod shared;
mod sigv4;
mod wire;

pub use calls::{ApiCall, CallSink};
pub use dns::{DnsSockets, serve_dns};
pub use faults::{Effect, Fault, FaultPlan, Faults};
pub use shared::{Clock, SharedEmulator};
pub use wire::{ApiOptions, serve_api, serve_api_with};
