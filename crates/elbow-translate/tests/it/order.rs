//! The order in which objects arrive leaves no trace.
