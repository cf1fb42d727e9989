//! The round as a pure state machine: inputs and time in, effects out.
//!
//! ```text
//!              ┌───────────── Reconciler ─────────────┐
//! objects ───> │ census → observe → translate → plan  │ ───> calls, reports, plans, progress
//! answers ───> │    → execute → remember              │
//! time    ───> └──────────────────────────────────────┘ ───> when to be woken
//! ```
//!
//! In: what happened to objects, what AWS answered, what time it is. Out: [`Effect`]s. What always
//! holds: nothing here calls out, reads a clock or draws a random number, so that a simulator can drive
//! all of it; `elbow plan` and the controller go through the same functions.
//!
//! Start at [`Reconciler::step`]; [`drive`](mod@drive) has what a synchronous caller needs.

pub mod backoff;
pub mod budget;
pub mod drive;
mod endpoints;
pub mod execute;
pub mod facts;
mod front;
mod machine;
pub mod observe;
mod outbox;
mod ownership;
pub mod record;
mod remember;
pub mod settings;
pub mod time;

pub use drive::{Convergence, PlanReport, converge, plan_once};
pub use execute::{Failure, Outcome, StepState};
pub use front::{BindingReport, Report};
pub use machine::{
    Effect, GateHealth, GateVerdict, Input, NetworkNotice, Reconciler, RoundResult, Unit,
};
pub use outbox::{CallId, Priority};
pub use record::Record;
pub use settings::{GatePolls, Protection, Settings};
pub use time::Timestamp;
