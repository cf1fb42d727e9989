//! Snapshot and Facts in, Stacks, conditions and diagnostics out.
