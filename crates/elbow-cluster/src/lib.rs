//! Where Snapshots come from: manifest folders, files and standard input, and an API server.
//!
//! In: YAML and JSON texts. Out: a [`elbow_api::Snapshot`] of the objects that an API server would
//! accept, a diagnostic with file, line and column for each that it would refuse, and the place of every
//! field. A text goes through the modules in this order:
//!
//! ```text
//! source ─> yaml (scalar) ─> node ─> schema + validate (rules, suggest) ─> object ─> loaded
//! ```
//!
//! Start at [`load`]. The API server's side, with which statuses go back as well, is the module `live`
//! behind the feature of that name.

#[cfg(feature = "live")]
pub mod live;
mod loaded;
mod node;
mod object;
mod rules;
mod scalar;
mod schema;
mod source;
mod suggest;
mod text;
mod validate;
mod yaml;

pub use loaded::Loaded;
pub use object::derived_uid;
pub use source::{Input, STDIN, load};
pub use text::Text;
