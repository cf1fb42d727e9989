//! Error classes: AWS's code and status in, the [`ErrorClass`] that decides what happens next out.
//!
//! The one table for every adapter: whoever talks to AWS, in the process or over HTTP, classifies a
//! refusal here, so that the round reacts the same way to both.

use elbow_model::{AwsError, ErrorClass};

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

/// An error of that code, status and message, with its class.
pub fn error(code: &str, status: u16, message: impl Into<String>) -> AwsError {
    AwsError {
        class: classify(code, status),
        code: code.to_owned(),
        message: message.into(),
    }
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
}
