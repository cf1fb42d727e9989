//! A deterministic simulator: a seed in, and out comes whether all held that must hold.
//!
//! ```text
//! seed ─> cluster ─> edits ──> Snapshot (late, in pieces) ──> Reconciler ──> calls ─> faults ─> emulator
//!                  └ crashes, stops ─────────────────────────────^  ^── answers (late, lost) ──────┘
//! ```
//!
//! At every change: nothing is touched whose tags do not prove that it is ours; all that is created
//! carries its tags; one Stack is changed by one call at a time; every plan is sound; no Gateway has more
//! than two load balancers; and clients of a listener that every configuration since the last rest has
//! get an answer of one of these configurations, unless the plan announced a loss.
//!
//! When edits and faults have ended: the machine rests in bounded time; planning again is empty; the
//! account is what a fresh run of the same objects makes of a fresh account; what the machine remembers
//! is what is there; nothing is left over; what is somebody else's is as it was.
//!
//! What always holds here: everything follows from the seed. Start at [`simulate`]; what it does in which
//! order is in `simulation`.

mod account;
mod cluster;
mod edits;
mod faults;
mod ideal;
mod meddle;
mod objects;
mod random;
mod report;
mod settled;
mod simulation;
mod traffic;

pub use report::{Failure, Summary, Trace};

/// Runs the simulation of a seed.
pub fn simulate(seed: u64) -> Result<Summary, Box<Failure>> {
    simulation::run(seed).map_err(Box::new)
}
