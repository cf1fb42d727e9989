//! Conversions between the words of the model and AWS's wire shapes, one place per direction.

mod interfaces;
pub(crate) mod requests;
pub(crate) mod responses;
pub(crate) mod rules;
