//! A call that failed: its class, AWS's words, and what somebody can do about it.
//!
//! In: made by the adapters, by [`crate::classify`]. Out: the class decides what the round does next;
//! the text reaches the condition of the object that caused the call. What always holds: AWS's code
//! and message are kept as they came; what elbow adds is the [`Remedy`], which comes after them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of failure an [`AwsError`] is; it decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// Too many calls; the same call succeeds later.
    Throttled,
    /// The credentials may not do this.
    Denied,
    /// A quota is used up.
    Quota,
    /// Something else holds the resource, or has changed it; observe again.
    Conflict,
    /// What the call names is not there (any more).
    NotFound,
    /// The parameters are wrong; the same call fails again.
    Invalid,
    /// AWS or the way to it failed; the same call may succeed, and this one may have taken effect.
    Transient,
}

impl ErrorClass {
    /// Whether failures of the class stay until somebody does something.
    pub const fn is_lasting(self) -> bool {
        match self {
            Self::Denied | Self::Quota | Self::Invalid => true,
            Self::Throttled | Self::Conflict | Self::NotFound | Self::Transient => false,
        }
    }
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsError {
    /// What kind of failure it is.
    pub class: ErrorClass,
    /// AWS's error code, `TooManyRules` for example.
    pub code: String,
    /// AWS's message.
    pub message: String,
    /// What somebody can do about it, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<Remedy>,
}

/// What somebody can do about a refusal that waiting does not cure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Remedy {
    /// Allow an action to the role that elbow runs as.
    Allow {
        /// The action as IAM spells it, `elasticloadbalancing:CreateRule` for example.
        action: String,
    },
    /// Give elbow other credentials: AWS does not accept those that it has.
    Credentials,
    /// Have a quota raised.
    RaiseQuota {
        /// The service, as the Service Quotas console lists it.
        service: String,
        /// The quota's name there; several where AWS has one code for them all.
        quotas: Vec<String>,
    },
    /// Ask for less: this limit cannot be raised.
    AskForLess {
        /// What is limited.
        limit: String,
    },
}

impl AwsError {
    /// A failure without a remedy.
    pub fn new(class: ErrorClass, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            class,
            code: code.into(),
            message: message.into(),
            remedy: None,
        }
    }

    /// A call names something that does not exist yet. Execution resolves every reference before a
    /// call leaves it.
    pub fn unresolved(reference: &impl fmt::Display) -> Self {
        let message = format!("{reference} does not exist yet");
        Self::new(ErrorClass::Invalid, "UnresolvedReference", message)
    }

    /// What the model has no word for, or what AWS never sends.
    pub fn unexpected(what: impl Into<String>) -> Self {
        Self::new(ErrorClass::Invalid, "UnexpectedResponse", what)
    }
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.remedy {
            None => write!(f, "{}: {}", self.code, self.message),
            Some(remedy) => {
                let message = self.message.trim_end_matches('.');
                write!(f, "{}: {message}; {remedy}", self.code)
            }
        }
    }
}

impl std::error::Error for AwsError {}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow { action } => {
                write!(f, "allow `{action}` to the role that elbow runs as")
            }
            Self::Credentials => f.write_str(
                "give elbow valid credentials (IRSA, EKS Pod Identity, or the environment)",
            ),
            Self::RaiseQuota { service, quotas } => write!(
                f,
                "have the quota \"{}\" raised (Service Quotas, {service}), or use less of it",
                quotas.join("\" or \"")
            ),
            Self::AskForLess { limit } => write!(f, "{limit}; AWS does not raise this limit"),
        }
    }
}
