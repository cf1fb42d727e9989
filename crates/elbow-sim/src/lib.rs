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
//! Of target groups that users' TargetGroupBindings name nothing but targets is changed; what other clusters
//! have registered in a shared one stays, and nothing is registered twice.
//!
//! A readiness gate opens only for a target that AWS has called healthy, and a rule of nodes or pods that a
//! target needs which load balancers reach does not go.
//!
//! When edits and faults have ended: the machine rests in bounded time; planning again is empty; the
//! account is what a fresh run of the same objects makes of a fresh account, and what people are told is what
//! such a run tells them, at the latest generation; what the machine remembers is what is there; nothing is
//! left over; what is somebody else's is as it was; where nothing changes nothing is asked; what AWS refuses
//! one Gateway holds up no other, and neither does what somebody has made by hand; load balancers reach all
//! their targets, whatever interfaces these are behind; no gate is closed whose target is healthy. Once everything is deleted, nothing of ours is there.
//!
//! What always holds here: everything follows from the seed. Start at [`simulate`], or at
//! [`simulate_bindings`] for a cluster whose users write TargetGroupBindings, [`simulate_secrets`] for one with
//! what needs more of an API server, or [`simulate_everything`], which adds pods, their gates and the network
//! below them; what it does in which order is in `simulation`.

mod account;
mod bindings;
mod cluster;
mod edits;
mod extras;
mod fabric;
mod faults;
mod ideal;
mod inventory;
mod meddle;
mod objects;
mod pods;
mod random;
mod reach;
mod report;
mod secrets;
mod settled;
mod simulation;
mod statuses;
mod traffic;

pub use report::{Failure, Summary, Trace};
use simulation::Users;

/// Runs the simulation of a seed.
pub fn simulate(seed: u64) -> Result<Summary, Box<Failure>> {
    simulation::run(seed, Users::WriteNoBindings).map_err(Box::new)
}

/// Runs the simulation of a seed in a cluster where users write TargetGroupBindings, too.
pub fn simulate_bindings(seed: u64) -> Result<Summary, Box<Failure>> {
    simulation::run(seed, Users::WriteBindings).map_err(Box::new)
}

/// Runs the simulation of a seed in a cluster with Secrets, finalizers and whatever else needs more of an API
/// server.
pub fn simulate_secrets(seed: u64) -> Result<Summary, Box<Failure>> {
    simulation::run(seed, Users::KeepSecrets).map_err(Box::new)
}

/// Runs the simulation of a seed in a cluster where everything happens that is simulated.
pub fn simulate_everything(seed: u64) -> Result<Summary, Box<Failure>> {
    simulation::run(seed, Users::DoEverything).map_err(Box::new)
}
