//! Tests of EC2.
