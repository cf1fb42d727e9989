//! Error classes: AWS's code and status in, the [`ErrorClass`] that decides what happens next out,
//! with what somebody can do about it.
//!
//! The one table for every adapter: whoever talks to AWS, in the process or over HTTP, classifies a
//! refusal here, so that the round reacts the same way to both. Start at [`refusal`].

mod quotas;

use crate::aws_call::{AwsCall, Operation};
use crate::aws_error::{AwsError, ErrorClass, Remedy};

/// Codes by which AWS asks to call less often. The same list as the SDKs' (standard retry mode),
/// without `LimitExceededException`, which is ACM's word for a quota.
const THROTTLED: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// Codes that say the caller may not do this, or is not who it says.
const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnauthorizedOperation",
    "UnrecognizedClientException",
];

/// Of [`DENIED`], the codes that are about who calls and not about what is asked for.
const CALLER_UNKNOWN: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes that say something else holds the resource, or just changed it.
const CONFLICT: &[&str] = &[
    "CapacityReservationPending",
    "ConcurrentTagAccess",
    "ConflictException",
    "DependencyViolation",
    "InvalidGroup.Duplicate",
    "InvalidGroup.InUse",
    "InvalidPermission.Duplicate",
    "PriorityInUse",
    "ResourceInUse",
    "ResourceInUseException",
    "TargetGroupAssociationLimit",
    "TrustStoreInUse",
    "TrustStoreNotReady",
];

/// "Not found" that is about something which users name, and which observing again does not change:
/// the parameters are wrong until somebody changes them.
const NAMED_BY_USERS: &[&str] = &[
    "ALPNPolicyNotFound",
    "AllocationIdNotFound",
    "CertificateNotFound",
    "InvalidAllocationID.NotFound",
    "InvalidPrefixListID.NotFound",
    "InvalidSubnetID.NotFound",
    "InvalidVpcID.NotFound",
    "SSLPolicyNotFound",
    "SubnetNotFound",
    "TrustStoreNotFound",
];

/// Codes of failures on AWS's side or on the way there.
const TRANSIENT: &[&str] = &[
    "HealthUnavailable",
    "InternalError",
    "InternalFailure",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "Unavailable",
];

/// The class of an error by its code and HTTP status.
pub fn classify(code: &str, status: u16) -> ErrorClass {
    if THROTTLED.contains(&code) {
        ErrorClass::Throttled
    } else if DENIED.contains(&code) {
        ErrorClass::Denied
    } else if is_quota(code) {
        ErrorClass::Quota
    } else if NAMED_BY_USERS.contains(&code) {
        ErrorClass::Invalid
    } else if CONFLICT.contains(&code) || is_duplicate(code) {
        ErrorClass::Conflict
    } else if code.ends_with("NotFound") || code.ends_with("NotFoundException") {
        ErrorClass::NotFound
    } else if TRANSIENT.contains(&code) || status >= 500 {
        ErrorClass::Transient
    } else {
        ErrorClass::Invalid
    }
}

/// AWS refused a call with that code, status and message.
pub fn refusal(call: &AwsCall, code: &str, status: u16, message: impl Into<String>) -> AwsError {
    let error = refusal_of(call.asks_for(), code, status, message);
    match error.class {
        ErrorClass::Quota => AwsError {
            remedy: quotas::remedy(call, code),
            ..error
        },
        _ => error,
    }
}

/// AWS refused an operation that is no [`AwsCall`].
pub fn refusal_of(
    operation: Operation,
    code: &str,
    status: u16,
    message: impl Into<String>,
) -> AwsError {
    let class = classify(code, status);
    let message = message.into();
    let remedy = match class {
        ErrorClass::Denied if CALLER_UNKNOWN.contains(&code) => Some(Remedy::Credentials),
        ErrorClass::Denied => Some(Remedy::Allow {
            action: denied_action(&message).unwrap_or_else(|| operation.iam_action()),
        }),
        _ => None,
    };
    AwsError {
        class,
        code: code.to_owned(),
        message,
        remedy,
    }
}

/// The action that the message of a denial names. It is not always the call's: a create with tags
/// needs the action that tags, too.
fn denied_action(message: &str) -> Option<String> {
    let (_, after) = message.split_once("not authorized to perform: ")?;
    let action = after.split_whitespace().next()?;
    let (service, name) = action.split_once(':')?;
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_word(&service.replace('-', "")) && is_word(name)).then(|| action.to_owned())
}

/// `TooManyActions` is about the request, `FilterLimitExceeded` too; every other `TooMany…` and
/// `…LimitExceeded` is a quota.
fn is_quota(code: &str) -> bool {
    let about_the_request = ["TooManyActions", "FilterLimitExceeded"].contains(&code);
    !about_the_request
        && (code.starts_with("TooMany")
            || code.ends_with("LimitExceeded")
            || code == "LimitExceededException"
            || code == "TooManyTagsException")
}

/// `DuplicateTagKeys` is about the request; the others say that a resource is already there.
fn is_duplicate(code: &str) -> bool {
    code.starts_with("Duplicate") && code != "DuplicateTagKeys"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_class_that_decides_what_happens_next() {
        use ErrorClass::{Conflict, Denied, Invalid, NotFound, Quota, Throttled, Transient};
        let rows = [
            ("Throttling", 400, Throttled),
            ("RequestLimitExceeded", 503, Throttled),
            ("ThrottledException", 400, Throttled),
            ("AccessDenied", 403, Denied),
            ("UnauthorizedOperation", 403, Denied),
            ("TooManyRules", 400, Quota),
            ("TooManyTargets", 400, Quota),
            ("RulesPerSecurityGroupLimitExceeded", 400, Quota),
            ("SecurityGroupLimitExceeded", 400, Quota),
            ("LimitExceededException", 400, Quota),
            ("TooManyActions", 400, Invalid),
            ("FilterLimitExceeded", 400, Invalid),
            ("LoadBalancerNotFound", 400, NotFound),
            ("TargetGroupNotFound", 400, NotFound),
            ("InvalidGroup.NotFound", 400, NotFound),
            ("InvalidPermission.NotFound", 400, NotFound),
            ("ResourceNotFoundException", 400, NotFound),
            ("CertificateNotFound", 400, Invalid),
            ("SubnetNotFound", 400, Invalid),
            ("ResourceInUse", 400, Conflict),
            ("DependencyViolation", 400, Conflict),
            ("PriorityInUse", 400, Conflict),
            ("DuplicateListener", 400, Conflict),
            ("DuplicateLoadBalancerName", 400, Conflict),
            ("InvalidPermission.Duplicate", 400, Conflict),
            ("DuplicateTagKeys", 400, Invalid),
            ("ValidationError", 400, Invalid),
            ("InvalidConfigurationRequest", 400, Invalid),
            ("OperationNotPermitted", 400, Invalid),
            ("InternalFailure", 500, Transient),
            ("AnythingElse", 503, Transient),
        ];
        for (code, status, class) in rows {
            assert_eq!(classify(code, status), class, "{code} {status}");
        }
    }

    #[test]
    fn a_denial_names_the_action_to_allow() {
        let call = AwsCall::GetResources {
            tags: crate::Tags::new(),
            resource_types: Vec::new(),
            marker: None,
        };
        let allow = |action: &str| Remedy::Allow {
            action: action.to_owned(),
        };
        let rows = [
            ("AccessDenied", "no", allow("tag:GetResources")),
            (
                "AccessDenied",
                "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: \
                 elasticloadbalancing:AddTags on resource: arn:aws:… because no identity-based \
                 policy allows the elasticloadbalancing:AddTags action",
                allow("elasticloadbalancing:AddTags"),
            ),
            (
                "UnauthorizedOperation",
                "You are not authorized to perform this operation.",
                allow("tag:GetResources"),
            ),
            (
                "ExpiredToken",
                "The security token is expired",
                Remedy::Credentials,
            ),
        ];
        for (code, message, remedy) in rows {
            let error = refusal(&call, code, 403, message);
            assert_eq!(error.class, ErrorClass::Denied, "{code}: {message}");
            assert_eq!(error.remedy, Some(remedy), "{code}: {message}");
        }
        assert_eq!(
            refusal(&call, "AccessDenied", 403, "no.").to_string(),
            "AccessDenied: no; allow `tag:GetResources` to the role that elbow runs as"
        );
    }
}
