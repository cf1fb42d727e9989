//! The driver against a cluster that is a list of objects, and an emulated AWS. Time is paused, so
//! whatever waits takes no time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed"
)]

mod account;
mod bindings;
mod cluster;
mod docs;
mod failures;
mod gates;
mod lifecycle;
mod named;
mod statuses;
mod stop;
mod world;
