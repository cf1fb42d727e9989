//! Why a call failed, from the SDKs' errors to [`AwsError`].
//!
//! In: what an SDK or a conversion gave up with. Out: the classified error. What always holds: what
//! AWS said goes through the table that all adapters share ([`refusal`]); everything that happened on
//! the way to AWS or back is `Transient`, since the call may have taken effect; the text names the
//! endpoint's trouble to its root.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use elbow_model::aws_call::Operation;
use elbow_model::classify::{refusal, refusal_of};
use elbow_model::{AwsCall, AwsError, ErrorClass, Remedy};

/// A failure before it is known which call it belongs to, so that `?` makes it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// AWS answered, and refused.
    Refused {
        code: String,
        status: u16,
        message: String,
    },
    /// Everything else.
    Other(AwsError),
}

impl Failure {
    /// The error of this call.
    pub(crate) fn of(self, call: &AwsCall) -> AwsError {
        match self {
            Self::Refused {
                code,
                status,
                message,
            } => refusal(call, &code, status, message),
            Self::Other(error) => error,
        }
    }

    /// The error of an operation that is no call.
    pub(crate) fn of_operation(self, operation: Operation) -> AwsError {
        match self {
            Self::Refused {
                code,
                status,
                message,
            } => refusal_of(operation, &code, status, message),
            Self::Other(error) => error,
        }
    }

    /// Whether AWS refused with this code.
    pub(crate) fn has_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

impl From<AwsError> for Failure {
    fn from(error: AwsError) -> Self {
        Self::Other(error)
    }
}

impl<E> From<SdkError<E, HttpResponse>> for Failure
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match &error {
            SdkError::ServiceError(refused) => {
                let status = refused.raw().status().as_u16();
                let meta = refused.err().meta();
                Self::Refused {
                    // A proxy or a gateway in between answers without a code.
                    code: meta
                        .code()
                        .map_or_else(|| format!("HTTP{status}"), str::to_owned),
                    status,
                    message: meta.message().unwrap_or_default().to_owned(),
                }
            }
            _ => Self::Other(on_the_way(&error)),
        }
    }
}

fn on_the_way<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> AwsError {
    if let Some(credentials) = cause::<CredentialsError>(error) {
        return without_credentials(credentials);
    }
    let root = chain(error);
    match error {
        SdkError::TimeoutError(_) => AwsError::new(
            ErrorClass::Transient,
            "RequestTimeout",
            format!("no answer in time: {root}"),
        ),
        SdkError::ResponseError(_) => AwsError::new(
            ErrorClass::Transient,
            "UnreadableResponse",
            format!("the answer cannot be read: {root}"),
        ),
        SdkError::ConstructionFailure(_) => AwsError::new(
            ErrorClass::Invalid,
            "InvalidRequest",
            format!("the request cannot be made: {root}"),
        ),
        _ => AwsError::new(
            ErrorClass::Transient,
            "ConnectionFailed",
            format!("AWS cannot be reached: {root}"),
        ),
    }
}

/// Where there are none, somebody has to provide them; where they could not be fetched, they may be
/// there in a moment.
fn without_credentials(error: &CredentialsError) -> AwsError {
    let (class, remedy) = match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => {
            (ErrorClass::Denied, Some(Remedy::Credentials))
        }
        _ => (ErrorClass::Transient, None),
    };
    AwsError {
        remedy,
        ..AwsError::new(class, "NoCredentials", chain(error))
    }
}

/// The first cause of that type, from the outside in.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// An error with all its causes. Many of the SDKs' errors repeat their cause or say nothing beyond
/// their own kind; a part that an earlier one already says is left out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for error in causes(error) {
        let part = error.to_string();
        if !parts.iter().any(|earlier| earlier.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

/// An error, what caused it, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        error.source()
    })
}
