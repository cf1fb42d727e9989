//! What ALB and NLB do with traffic, as pure decisions.
//!
//! In: the emulator's state and a request or flow. Out: where it goes, or what is answered. Always:
//! nothing here waits, counts or draws lots: counters and connections are the caller's, choices
//! among equals are made by a number that the caller gives.
//!
//! Start at [`crate::Emulator::route`] and [`crate::Emulator::route_flow`] in `route.rs`;
//! [`crate::Emulator::listeners`] says what to bind.

pub mod conditions;
pub mod cookies;
pub mod forward;
pub mod headers;
pub mod nlb;
pub mod patterns;
pub mod pick;
pub mod redirect;
pub mod request;
mod route;
pub mod settings;
pub mod targets;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod transforms;
mod uri;
mod view;

pub use view::{
    KnownLoadBalancer, ServedCertificate, ServedListener, ServedMutualTls, ServedProtocol,
};
