//! Seeds that every change is checked with.

mod seeds;
