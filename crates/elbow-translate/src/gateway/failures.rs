//! Why a route, or a part of it, takes no effect, in the words of its status.
//!
//! Reasons and messages are a contract: they equal those of LBC, typing errors included, since
//! scripts and people search for them.

use elbow_api::NamespacedName;

/// Why a route, or a part of it, takes no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteFailure {
    /// The listener's allowedRoutes do not name the route's namespace.
    NamespaceNotAllowed,
    /// The listener's allowedRoutes do not name the route's kind.
    KindNotAllowed,
    /// Listener and route have no hostname in common.
    NoMatchingHostname,
    /// The Gateway has no listener of that name and port.
    NoMatchingParent,
    /// A backendRef names no port.
    PortRequired,
    /// A ListenerRuleConfiguration does not exist.
    RuleConfigurationNotFound(NamespacedName),
    /// A rule names more than one ListenerRuleConfiguration.
    SeveralRuleConfigurations,
    /// A Service does not exist.
    ServiceNotFound(NamespacedName),
    /// A Service has no such port.
    ServicePortNotFound(i32),
    /// A Gateway that is a backend does not exist.
    GatewayNotFound(NamespacedName),
    /// A Gateway that is a backend has no listener on the port.
    GatewayPortNotFound(NamespacedName, i32),
    /// The load balancer of a Gateway that is a backend does not serve yet.
    GatewayNotReady(NamespacedName),
    /// The load balancer of a Gateway that is a backend cannot be one.
    GatewayNotUsable(String),
    /// There is no target group of a name.
    TargetGroupNotFound(String),
    /// No ReferenceGrant permits the reference.
    RefNotPermitted,
    /// A backendRef is of a kind that cannot be a backend.
    UnknownBackendKind,
    /// A filter that a load balancer cannot do.
    IncompatibleFilters(String),
    /// A value that a load balancer cannot do.
    UnsupportedValue(String),
}

/// What is wrong with a route, for one of its parentRefs: the first thing for each of its conditions.
///
/// Difference (both-conditions): LBC tells of the first failure alone, and says that the other condition is met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteFailures {
    accepted: Option<RouteFailure>,
    resolved_refs: Option<RouteFailure>,
}

impl RouteFailures {
    /// Takes note of a failure, unless its condition has one.
    pub(crate) fn note(&mut self, failure: RouteFailure) {
        let of_condition = match failure.condition_type() {
            RouteConditionType::Accepted => &mut self.accepted,
            RouteConditionType::ResolvedRefs => &mut self.resolved_refs,
        };
        of_condition.get_or_insert(failure);
    }

    /// Why a condition is False, if it is.
    pub const fn of(&self, condition: RouteConditionType) -> Option<&RouteFailure> {
        match condition {
            RouteConditionType::Accepted => self.accepted.as_ref(),
            RouteConditionType::ResolvedRefs => self.resolved_refs.as_ref(),
        }
    }
}

impl From<RouteFailure> for RouteFailures {
    fn from(failure: RouteFailure) -> Self {
        let mut failures = Self::default();
        failures.note(failure);
        failures
    }
}

/// Which of a route's two conditions a failure shows in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteConditionType {
    /// `Accepted`.
    Accepted,
    /// `ResolvedRefs`.
    ResolvedRefs,
}

impl RouteFailure {
    /// Which of a route's two conditions is False.
    pub const fn condition_type(&self) -> RouteConditionType {
        match self {
            Self::NamespaceNotAllowed
            | Self::KindNotAllowed
            | Self::NoMatchingHostname
            | Self::NoMatchingParent
            | Self::PortRequired
            | Self::RuleConfigurationNotFound(_)
            | Self::SeveralRuleConfigurations
            | Self::IncompatibleFilters(_)
            | Self::UnsupportedValue(_) => RouteConditionType::Accepted,
            Self::ServiceNotFound(_)
            | Self::ServicePortNotFound(_)
            | Self::GatewayNotFound(_)
            | Self::GatewayPortNotFound(..)
            | Self::GatewayNotReady(_)
            | Self::GatewayNotUsable(_)
            | Self::TargetGroupNotFound(_)
            | Self::RefNotPermitted
            | Self::UnknownBackendKind => RouteConditionType::ResolvedRefs,
        }
    }

    /// The reason of that condition.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NamespaceNotAllowed | Self::KindNotAllowed => "NotAllowedByListeners",
            Self::NoMatchingHostname => "NoMatchingListenerHostname",
            Self::NoMatchingParent => "NoMatchingParent",
            Self::PortRequired | Self::UnsupportedValue(_) => "UnsupportedValue",
            Self::RuleConfigurationNotFound(_)
            | Self::SeveralRuleConfigurations
            | Self::IncompatibleFilters(_) => "IncompatibleFilters",
            Self::ServiceNotFound(_)
            | Self::ServicePortNotFound(_)
            | Self::GatewayNotFound(_)
            | Self::GatewayPortNotFound(..)
            | Self::GatewayNotReady(_)
            | Self::GatewayNotUsable(_)
            | Self::TargetGroupNotFound(_) => "BackendNotFound",
            Self::RefNotPermitted => "RefNotPermitted",
            Self::UnknownBackendKind => "InvalidKind",
        }
    }

    /// The message of that condition.
    pub fn message(&self) -> String {
        match self {
            Self::NamespaceNotAllowed => "Listener does not allow route attachment, namespace does not match between listener and route".to_owned(),
            Self::KindNotAllowed => "Listener does not allow route attachment, kind does not match between listener and route".to_owned(),
            Self::NoMatchingHostname => {
                "Listener does not allow route attachment, no matching hostname".to_owned()
            }
            Self::NoMatchingParent => "Route parentRef does not match listener".to_owned(),
            Self::PortRequired => "Port is required".to_owned(),
            Self::RuleConfigurationNotFound(name) => {
                format!("ListenerRuleConfiguration [{name}] not found)")
            }
            Self::SeveralRuleConfigurations => {
                "Only one listener rule config can be referenced per route rule, found multiple"
                    .to_owned()
            }
            Self::ServiceNotFound(name) => {
                format!("Service ({}:{}) not found)", name.namespace, name.name)
            }
            Self::ServicePortNotFound(port) => {
                format!("Unable to find service port for port {port}")
            }
            Self::GatewayNotFound(name) => {
                format!("Gateway ({}:{}) not found)", name.namespace, name.name)
            }
            Self::GatewayPortNotFound(name, port) => format!(
                "Unable to find listener of Gateway ({}:{}) for port {port}",
                name.namespace, name.name
            ),
            Self::GatewayNotReady(name) => format!(
                "Gateway ({}:{}) is not usable yet, LB ARN is not provisioned)",
                name.namespace, name.name
            ),
            Self::TargetGroupNotFound(name) => format!("Target group ({name}) not found"),
            Self::RefNotPermitted => {
                "No explicit ReferenceGrant exists to allow the reference.".to_owned()
            }
            Self::UnknownBackendKind => "Unknown backend reference kind".to_owned(),
            Self::IncompatibleFilters(message)
            | Self::UnsupportedValue(message)
            | Self::GatewayNotUsable(message) => message.clone(),
        }
    }
}
