//! Small conversions that the services share. In and out: the model's words and the SDKs' values.
//! Always: what the model has no word for becomes `None`, never a guess.

use std::fmt::Display;

use elbow_model::aws_call::Page;
use elbow_model::{AwsAnswer, AwsError, Port, Ref};

use crate::failure::Failure;

/// What a call function gives back.
pub(crate) type Answer = Result<AwsAnswer, Failure>;

/// The id in a reference. Execution resolves every reference before a call leaves it.
pub(crate) fn known<T: Display>(reference: &Ref<T>) -> Result<String, AwsError> {
    reference
        .known()
        .map(ToString::to_string)
        .ok_or_else(|| AwsError::unresolved(reference))
}

/// The ids in references.
pub(crate) fn all_known<T: Display>(references: &[Ref<T>]) -> Result<Vec<String>, AwsError> {
    references.iter().map(known).collect()
}

/// AWS refuses empty lists where an absent one says the same.
pub(crate) fn some_if_any<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Ids as the SDKs take them.
pub(crate) fn texts<T: ToString>(ids: &[T]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// A port as the SDKs take it.
pub(crate) fn number(port: Port) -> i32 {
    i32::from(port.get())
}

/// A page; an empty marker, as the tagging API gives on its last page, is none.
pub(crate) fn page<T>(items: Vec<T>, marker: Option<String>) -> Page<T> {
    Page {
        items,
        next_marker: marker.filter(|marker| !marker.is_empty()),
    }
}

/// The first of a list.
pub(crate) fn first<T>(list: Option<Vec<T>>) -> Option<T> {
    list.into_iter().flatten().next()
}

/// What can be converted of a list.
pub(crate) fn each<T, U>(list: Option<Vec<T>>, convert: impl FnMut(T) -> Option<U>) -> Vec<U> {
    list.into_iter().flatten().filter_map(convert).collect()
}
