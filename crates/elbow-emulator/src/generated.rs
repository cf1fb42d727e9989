//! Requests, responses and shape tables of the modelled operations, generated from AWS's service
//! models by `cargo xtask aws-models`.
//!
//! Always: an optional member is an `Option`, so that an absent list differs from an empty one;
//! enumerations are text, since AWS answers an unknown value itself; timestamps are virtual.
#![expect(missing_docs, reason = "AWS's API references document these names; descriptions are not copied")]
#![expect(clippy::large_enum_variant, reason = "few requests are alive at a time")]
#![cfg_attr(rustfmt, rustfmt_skip)]

#[rustfmt::skip] pub mod acm;
#[rustfmt::skip] pub mod ec2;
#[rustfmt::skip] pub mod elbv2;
#[rustfmt::skip] pub mod sts;
#[rustfmt::skip] pub mod tagging;
