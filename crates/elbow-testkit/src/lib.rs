//! Fixtures, builders and the golden runner, for tests only.
