//! Fixtures and the golden runner, for tests only.
//!
//! In: folders of test cases. Out: one test for each, with its expectations compared or rewritten.
//! Always: a case that is not run, an expectation that is not compared and a file that nobody read
//! are failures, so a folder of cases cannot quietly stop testing.
//!
//! Start at [`golden::main`].

mod diff;
pub mod golden;

pub use diff::unified;
