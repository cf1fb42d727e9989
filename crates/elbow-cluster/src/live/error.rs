//! What becomes of a request to the API server that fails.
//!
//! In: errors of the client. Out: [`WriteError`], which names what was asked for, and its [`Remedy`].

use elbow_api::{Kind, ObjectRef};
use kube::core::Status;
use thiserror::Error;

use super::kinds::rbac_name;

/// What to do about a failed write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The object has changed: wait for the change to arrive, then work out the write again.
    ReadAgain,
    /// The object is gone: there is nothing to do.
    Drop,
    /// The same again, later.
    Retry,
    /// A person must act: a role, a policy or the object itself has to change first.
    Ask,
}

/// Why a write was not done.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The object is not the one, or not in the state, that the write was made for.
    #[error("{verb} {object}: it has changed meanwhile")]
    Conflict {
        /// What was to be done, as RBAC calls it.
        verb: &'static str,
        /// The object.
        object: String,
    },
    /// The object, or its namespace, does not exist any more.
    #[error("{verb} {object}: it does not exist")]
    Gone {
        /// What was to be done, as RBAC calls it.
        verb: &'static str,
        /// The object.
        object: String,
    },
    /// A role is missing.
    #[error("{verb} {object}: RBAC does not allow {verb} on {resource}")]
    Denied {
        /// What was to be done, as RBAC calls it.
        verb: &'static str,
        /// The resource, as RBAC calls it, with the subresource.
        resource: String,
        /// The object.
        object: String,
    },
    /// The API server, or an admission webhook, does not take the object.
    #[error("{verb} {object}: the API server refuses it: {message}")]
    Refused {
        /// What was to be done, as RBAC calls it.
        verb: &'static str,
        /// The object.
        object: String,
        /// The API server's words.
        message: String,
    },
    /// The kind is not served.
    #[error("{verb} {object}: the API server has no {kind}")]
    NotServed {
        /// What was to be done, as RBAC calls it.
        verb: &'static str,
        /// The object.
        object: String,
        /// The kind.
        kind: Kind,
    },
    /// The API server was not reached, did not answer in time, or is overloaded. The write may have
    /// been done.
    #[error("{verb} {object}: the API server does not answer")]
    Unreachable {
        /// What was to be done, as RBAC calls it.
        verb: &'static str,
        /// The object.
        object: String,
        /// What went wrong.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer came within the time that a write may take. It may have been done.
    #[error("{verb} {object}: no answer within {seconds} s")]
    TimedOut {
        /// What was to be done, as RBAC calls it.
        verb: &'static str,
        /// The object.
        object: String,
        /// How long it was waited for.
        seconds: u64,
    },
}

impl WriteError {
    /// What to do about it.
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Conflict { .. } => Remedy::ReadAgain,
            Self::Gone { .. } => Remedy::Drop,
            Self::Denied { .. } | Self::Refused { .. } => Remedy::Ask,
            Self::NotServed { .. } | Self::Unreachable { .. } | Self::TimedOut { .. } => {
                Remedy::Retry
            }
        }
    }

    /// A stable name, for metrics and events.
    pub const fn category(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "Conflict",
            Self::Gone { .. } => "Gone",
            Self::Denied { .. } => "Denied",
            Self::Refused { .. } => "Refused",
            Self::NotServed { .. } => "NotServed",
            Self::Unreachable { .. } => "Unreachable",
            Self::TimedOut { .. } => "TimedOut",
        }
    }
}

/// What a request was about, for its error.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// What is done, as RBAC calls it.
    pub(super) verb: &'static str,
    /// The object, for people.
    pub(super) object: String,
    /// The resource with the subresource, as RBAC calls it.
    pub(super) resource: String,
}

impl Request {
    /// About an object, or a subresource of it if that is not empty.
    pub(super) fn on(verb: &'static str, object: &ObjectRef, subresource: &str) -> Self {
        let mut resource = rbac_name(object.kind);
        if !subresource.is_empty() {
            resource = format!("{resource}/{subresource}");
        }
        Self {
            verb,
            object: object.to_string(),
            resource,
        }
    }

    /// The error that became of it.
    pub(super) fn failed(&self, error: kube::Error) -> WriteError {
        let Self {
            verb,
            object,
            resource,
        } = self.clone();
        match error {
            kube::Error::Api(status) if !is_passing(&status) => match status.code {
                404 => WriteError::Gone { verb, object },
                409 => WriteError::Conflict { verb, object },
                403 if is_rbac(&status) => WriteError::Denied {
                    verb,
                    resource,
                    object,
                },
                _ => WriteError::Refused {
                    verb,
                    object,
                    message: status.message,
                },
            },
            error => WriteError::Unreachable {
                verb,
                object,
                source: Box::new(error),
            },
        }
    }
}

/// Whether the same request may succeed later without anybody's doing: an overloaded or starting API
/// server, a webhook that does not answer, a credential that is being renewed.
fn is_passing(status: &Status) -> bool {
    matches!(status.code, 401 | 429 | 500..)
}

/// Whether a 403 is RBAC's. Admission answers 403 as well: a quota, a policy, or a namespace that is
/// being deleted, and then says something else.
fn is_rbac(status: &Status) -> bool {
    status.message.contains("cannot ")
}

/// What to say of an API server that was not reached; none if it was. It is one sentence whoever asked
/// for what, so that it is said once.
pub(super) fn unreachable(error: &kube::Error) -> Option<String> {
    let (kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_)) = error
    else {
        return None;
    };
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let cause = cause.to_string();
    // rustls adds the address of its manual.
    let cause = cause.split(": https://").next().unwrap_or(&cause);
    Some(format!("the API server does not answer: {cause}"))
}

/// An error with its sources, on one line.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        // Errors of the client print their source themselves.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}
