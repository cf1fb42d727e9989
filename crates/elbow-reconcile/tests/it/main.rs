//! The machine against the emulator: manifests in, load balancers out.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod account;
mod bindings;
mod by_hand;
mod certificates;
mod chains;
mod crash;
mod faults;
mod gates;
mod held;
mod left_groups;
mod network;
mod programmed;
mod protection;
mod rounds;
mod table;
mod trust_stores;
mod validity;
