//! The one error type of the emulator: what AWS answers when it refuses.

use std::fmt;

/// A refusal, with AWS's exact code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// AWS's code, as clients compare it: `ResourceInUse`, `InvalidGroup.NotFound`.
    pub code: String,
    /// Text for people.
    pub message: String,
    /// HTTP status.
    pub status: u16,
    /// Whose fault it is.
    pub fault: Fault,
}

/// Whose fault an error is; the Query protocol prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller's: sending the same request again does not help.
    Sender,
    /// The service's.
    Receiver,
}

impl ApiError {
    /// The caller's fault, with status 400, which AWS uses for nearly all of them.
    pub fn sender(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status: 400,
            fault: Fault::Sender,
        }
    }

    /// The service's fault, with status 500.
    pub fn receiver(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            status: 500,
            fault: Fault::Receiver,
        }
    }

    /// `ValidationError`, the code of ELBv2 and STS for parameters that make no sense.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::sender("ValidationError", message)
    }

    /// The same error with another HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}
