//! The machine against the emulator: manifests in, load balancers out.

mod account;
mod crash;
mod faults;
mod rounds;
