//! The desired [`Stack`](elbow_model::Stack) and what is observed go in, an ordered, explained
//! [`Plan`] comes out.
//!
//! ```text
//! Stack ─┐
//! Observed ─┼─> pairing ─> security groups ─> load balancer ─> target groups ─> listeners ─> removals ─> Policy ─> Plan
//! Policy ─┘     (which is which)                                  (order, handover)
//! ```
//!
//! What always holds, for every plan (checked by [`lint()`], which each test runs on each plan it makes):
//! - the plan leaves no choice to who carries it out: steps run in list order, a step runs only if all
//!   steps in its `after` succeeded, and a failure holds up nothing that does not depend on it;
//! - additions come before removals, and targets are healthy before traffic moves to them;
//! - a request that the old and the new configuration answer alike is answered alike at every moment
//!   between two steps (the module `order` holds the argument, a property test replays it);
//! - nothing is touched whose tags do not prove that it is ours;
//! - after the plan was carried out, planning again is empty;
//! - it can stop anywhere: whatever part was carried out, planning again leads on from there.
//!
//! Start at [`plan_stack`]; the data is in [`plan`](mod@plan); a new hazard goes into [`hazards`].

mod certificate;
mod compare;
mod defaults;
mod draft;
mod handover;
pub mod hazards;

pub mod lint;
mod listener;
mod load_balancer;
mod names;
mod node_rules;
mod order;
mod overlap;
mod pairing;
pub mod plan;
pub mod policy;
mod refs;

pub mod render;
mod rules;
mod security_group;
mod stack;
mod switch;
mod tags;
mod target_group;
mod targets;
mod trust_store;

pub use hazards::Hazard;

pub use lint::{Violation, lint};
pub use node_rules::{GroupRules, NodeRulesInput, Surplus, covers, plan_node_rules};
pub use plan::{Action, Change, Held, Plan, Step, StepId, StepKind, Unowned, Wait};
pub use policy::Policy;
pub use refs::{Provided, resolve};
pub use stack::{ClusterView, Input, SharedInUse, merge, plan, plan_stack};
pub use switch::plan_switch;
pub use targets::{are_drained, are_healthy, plan_left_targets, plan_targets};
