//! The emulator on real sockets: AWS wire protocols, health checks and the data plane.
//!
//! In: an [`elbow_emulator::Emulator`] and a [`Clock`]. Out: an AWS API endpoint ([`serve_api`])
//! and served listeners. Always: all parts share one emulator and one virtual time.

pub mod dataplane;
mod shared;
mod sigv4;
mod wire;

pub use shared::{Clock, SharedEmulator};
pub use wire::serve_api;
