//! The refusals of ELBv2 that more than one operation makes.
//!
//! Codes are those of the service model's `error.code` (they differ from shape names here and
//! there); `ValidationError` is in no model, yet what AWS answers for most mistakes.

use crate::error::ApiError;

/// `ValidationError` with one of AWS's sentences.
pub(super) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::validation(message)
}

/// `InvalidConfigurationRequest`.
pub(super) fn configuration(message: impl Into<String>) -> ApiError {
    ApiError::sender("InvalidConfigurationRequest", message)
}

/// `InvalidLoadBalancerAction`.
pub(super) fn action(message: impl Into<String>) -> ApiError {
    ApiError::sender("InvalidLoadBalancerAction", message)
}

/// `OperationNotPermitted`.
pub(super) fn not_permitted(message: impl Into<String>) -> ApiError {
    ApiError::sender("OperationNotPermitted", message)
}

/// `ResourceInUse`.
pub(super) fn in_use(message: impl Into<String>) -> ApiError {
    ApiError::sender("ResourceInUse", message)
}

/// A value that AWS takes and this emulator does not model. Loud on purpose: a setting that is
/// silently dropped would make a test pass that fails on AWS.
pub(super) fn not_modelled(what: &str) -> ApiError {
    validation(format!("{what} is not modelled by this emulator"))
}

/// `LoadBalancerNotFound`.
pub(super) fn no_load_balancer(arn: &str) -> ApiError {
    ApiError::sender(
        "LoadBalancerNotFound",
        format!("Load balancers '[{arn}]' not found"),
    )
}

/// `ListenerNotFound`.
pub(super) fn no_listener() -> ApiError {
    ApiError::sender("ListenerNotFound", "One or more listeners not found")
}

/// `RuleNotFound`.
pub(super) fn no_rule() -> ApiError {
    ApiError::sender("RuleNotFound", "One or more rules not found")
}

/// `TargetGroupNotFound`.
pub(super) fn no_target_group() -> ApiError {
    ApiError::sender("TargetGroupNotFound", "One or more target groups not found")
}

/// `TrustStoreNotFound`.
pub(super) fn no_trust_store(arn: &str) -> ApiError {
    ApiError::sender(
        "TrustStoreNotFound",
        format!("Trust store '{arn}' not found"),
    )
}
