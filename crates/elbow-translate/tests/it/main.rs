//! Translation from outside: manifests in, Stacks, bindings, conditions and findings out.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod attachment;
mod bindings;
mod chained;
mod clients;
mod endpoints;
mod findings;
mod gates;
mod isolation;
mod kinds;
mod lbc;
mod lbc_plan;
mod lbc_recordings;
mod lbc_samples;
mod listener_sets;
mod network;
mod order;
mod quic;
mod support;
