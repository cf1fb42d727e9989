//! The planner as its users see it: plans of whole Stacks, carried out on a model of AWS.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apply;
mod bindings;
mod build;
mod documentation;
mod handovers;
mod mutual_tls;
mod plans;
mod properties;
mod rendering;
