//! Listener rules: conditions, actions and transforms, as ELBv2 defines them.
//!
//! Values are in the order in which they are sent. Equality is exact; the comparison of what is
//! wanted with what AWS reports, with its normalisations, belongs to the planner.

use serde::{Deserialize, Serialize};

use crate::ids::TargetGroupArn;
use crate::stack::Ref;

/// One condition of a rule. All conditions must match; within one, any value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "field", rename_all = "kebab-case")]
pub enum Condition {
    /// The Host header.
    HostHeader {
        /// What it is compared with.
        matches: Pattern,
    },
    /// The path, without the query.
    PathPattern {
        /// What it is compared with.
        matches: Pattern,
    },
    /// One header by name.
    HttpHeader {
        /// The header's name.
        name: String,
        /// What its value is compared with.
        matches: Pattern,
    },
    /// The request method, exactly.
    HttpRequestMethod {
        /// Accepted methods.
        values: Vec<String>,
    },
    /// Key and value pairs of the query string.
    QueryString {
        /// Accepted pairs.
        values: Vec<QueryPair>,
    },
    /// The address of the TCP peer.
    SourceIp {
        /// CIDR blocks.
        values: Vec<String>,
    },
}

impl Condition {
    /// The condition's name in the API, `host-header` for example.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::HostHeader { .. } => "host-header",
            Self::PathPattern { .. } => "path-pattern",
            Self::HttpHeader { .. } => "http-header",
            Self::HttpRequestMethod { .. } => "http-request-method",
            Self::QueryString { .. } => "query-string",
            Self::SourceIp { .. } => "source-ip",
        }
    }
}

/// How a text is matched: by patterns with `*` and `?`, or by regular expressions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pattern {
    /// Patterns in which `*` and `?` are wildcards.
    Values(Vec<String>),
    /// Regular expressions.
    RegexValues(Vec<String>),
}

/// A pair of a query-string condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QueryPair {
    /// The key; any key when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value.
    pub value: String,
}

/// What a listener or rule does with a request. (Authentication, which may stand before one of
/// these, is not modelled yet.)
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Action {
    /// To target groups, by weight.
    Forward(Forward),
    /// To another URL.
    Redirect(Redirect),
    /// An answer of the load balancer's own.
    FixedResponse(FixedResponse),
    /// An action that elbow does not write; it is kept as AWS reports it, so that it differs from all
    /// that elbow wants.
    Unmodeled {
        /// The action's type in the API.
        #[serde(rename = "actionType")]
        action_type: String,
    },
}

/// Forwards to target groups.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forward {
    /// The target groups, in the order in which they are sent; at most 5 (ELBv2 quota).
    pub target_groups: Vec<WeightedTargetGroup>,
    /// Group stickiness; `None` leaves it as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stickiness: Option<Stickiness>,
}

/// One target group of a forward action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightedTargetGroup {
    /// The target group.
    pub target_group: Ref<TargetGroupArn>,
    /// Its share, 0 to 999.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
}

/// Stickiness to a target group of a forward action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stickiness {
    /// Whether it is on.
    pub enabled: bool,
    /// How long, in seconds, 1 to 604800. Network load balancers take none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<u32>,
}

/// Redirects. An absent part is kept from the request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// `HTTP_301` or `HTTP_302`; others are passed on, and AWS refuses them.
    pub status_code: String,
    /// `HTTP`, `HTTPS` or `#{protocol}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// A port or `#{port}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Host, may hold `#{host}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Path with its leading slash, may hold `#{path}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Query without `?`, may hold `#{query}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// Answers without a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FixedResponse {
    /// 2XX, 4XX or 5XX.
    pub status_code: u16,
    /// Media type of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The body, at most 1024 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_body: Option<String>,
}

impl FixedResponse {
    /// An empty `text/plain` answer, as LBC gives for 404 (nothing matches) and 500 (no backend).
    pub fn plain(status_code: u16) -> Self {
        Self {
            status_code,
            content_type: Some("text/plain".to_owned()),
            message_body: None,
        }
    }
}

/// A change of the request on its way to the target, after the rule was chosen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Transform {
    /// Rewrites the Host header.
    HostHeaderRewrite(Rewrite),
    /// Rewrites path and query.
    UrlRewrite(Rewrite),
}

/// A regular expression and what its first match is replaced with (`$1` and on are its groups).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rewrite {
    /// The regular expression.
    pub regex: String,
    /// The replacement.
    pub replace: String,
}
