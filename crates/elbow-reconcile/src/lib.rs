//! The round as a pure state machine: inputs and time in, effects out.
