//! What a data plane knows of a request before it answers, and what it answers.
//!
//! In: nothing; these are the words of the other modules. Always: a [`Decision`] is complete, the
//! server that carries it out has nothing left to choose.

use std::net::IpAddr;

/// The scheme that the client spoke to the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The scheme as URLs and `X-Forwarded-Proto` spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The version of HTTP that the client spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HttpVersion {
    /// HTTP/1.0: no `Host` needed, connections close by default.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2, on HTTPS listeners only.
    Http2,
}

/// The request line and headers, as far as rules can see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method token, case kept.
    pub method: String,
    /// What the client spoke to the listener.
    pub scheme: Scheme,
    /// The host as sent (first `Host` header, `:authority`, or the authority of an absolute
    /// target), port included. Empty where an HTTP/1.0 client sent none.
    pub host: String,
    /// The path as sent, before normalization; starts with `/`, or is `*`.
    pub path: String,
    /// The text after the first `?`, as sent; `None` without a `?`.
    pub query: Option<String>,
    /// All headers in the order sent, names in any case. `Host` need not be among them.
    pub headers: Vec<(String, String)>,
    /// The address of the TCP peer. `X-Forwarded-For` plays no part.
    pub peer: IpAddr,
    /// The version of HTTP.
    pub http_version: HttpVersion,
}

impl RequestHead {
    /// A plain `GET` over HTTP/1.1, for callers that ask "where would this go".
    pub fn get(host: &str, path_and_query: &str) -> Self {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path_and_query, None),
        };
        Self {
            method: "GET".to_owned(),
            scheme: Scheme::Http,
            host: host.to_owned(),
            path: path.to_owned(),
            query,
            headers: Vec::new(),
            // A documentation address (RFC 5737): nobody's.
            peer: IpAddr::from([192, 0, 2, 1]),
            http_version: HttpVersion::Http11,
        }
    }

    /// The values of a header, in the order sent.
    pub fn header_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Path and query as one text, the input of a URL rewrite.
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The value of a cookie that the client sent; the first where there are several.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.header_values("cookie")
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Whether this is a gRPC call: HTTP/2 with a gRPC content type.
    pub fn is_grpc(&self) -> bool {
        self.http_version == HttpVersion::Http2
            && self
                .header_values("content-type")
                .next()
                .is_some_and(|value| value.starts_with("application/grpc"))
    }
}

/// What an Application Load Balancer does with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it to a target.
    Forward(Box<Forward>),
    /// Answer with a redirect.
    Redirect(Redirect),
    /// Answer with the text of the rule.
    Fixed(FixedResponse),
    /// Answer with an error of the load balancer's own.
    Error(ErrorResponse),
}

impl Decision {
    /// The rule that decided, where one did.
    pub fn rule_arn(&self) -> Option<&str> {
        match self {
            Self::Forward(forward) => Some(&forward.rule_arn),
            Self::Redirect(redirect) => Some(&redirect.rule_arn),
            Self::Fixed(fixed) => Some(&fixed.rule_arn),
            Self::Error(error) => error.rule_arn.as_deref(),
        }
    }

    /// The status that the load balancer itself answers with; `None` for a forward.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Forward(_) => None,
            Self::Redirect(redirect) => Some(redirect.status),
            Self::Fixed(fixed) => Some(fixed.status),
            Self::Error(error) => Some(error.status),
        }
    }
}

/// A request on its way to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The rule that matched; the default rule's ARN when none did.
    pub rule_arn: String,
    /// The target group that was chosen.
    pub target_group_arn: String,
    /// The target that was chosen.
    pub target: TargetEndpoint,
    /// Whether the target is spoken to in cleartext or over TLS.
    pub scheme: Scheme,
    /// The version of HTTP that the target group speaks.
    pub version: TargetHttpVersion,
    /// The host after a host-header rewrite; `None` when nothing was rewritten.
    pub host: Option<String>,
    /// Path and query after a URL rewrite; `None` when nothing was rewritten.
    pub path_and_query: Option<String>,
    /// `Set-Cookie` values that the load balancer adds to the response.
    pub set_cookies: Vec<String>,
    /// Application cookie to watch for in the response, where stickiness goes by it.
    pub app_cookie: Option<AppCookie>,
}

/// Stickiness that begins when the target sets a cookie of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppCookie {
    /// The cookie that the target must set.
    pub name: String,
    /// `Set-Cookie` values to add when it does.
    pub set_cookies: Vec<String>,
}

/// A registered target, ready to be dialed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetEndpoint {
    /// Target id: an instance id, an address or a load balancer's ARN, as registered.
    pub id: String,
    /// The address to dial: the id itself, or the instance's private address. 0.0.0.0 for a load
    /// balancer: whoever serves it knows where.
    pub address: IpAddr,
    /// The port to dial.
    pub port: u16,
}

/// The protocol version of an Application Load Balancer's target group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetHttpVersion {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, with prior knowledge on cleartext.
    Http2,
    /// gRPC over HTTP/2.
    Grpc,
}

/// A redirect, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The rule that matched.
    pub rule_arn: String,
    /// 301 or 302.
    pub status: u16,
    /// The absolute URL to go to.
    pub location: String,
}

/// A response that a rule spells out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedResponse {
    /// The rule that matched.
    pub rule_arn: String,
    /// 2xx, 4xx or 5xx.
    pub status: u16,
    /// The content type of the body.
    pub content_type: String,
    /// The body; may be empty.
    pub body: String,
}

/// An error that the load balancer answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The rule that matched, where evaluation came that far.
    pub rule_arn: Option<String>,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong.
    pub reason: ErrorReason,
}

/// Why a load balancer answers with an error of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorReason {
    /// There is no such listener, or its load balancer does not serve yet.
    NotServing,
    /// TRACE is refused: 405.
    MethodNotAllowed,
    /// The request is not one that can be routed: 400.
    BadRequest,
    /// `X-Forwarded-For` has more than 30 addresses: 463.
    TooManyForwardedAddresses,
    /// The client's protocol does not fit the target group's: 464.
    ProtocolMismatch,
    /// A rewrite matched but its result cannot be used: 500.
    TransformFailed,
    /// All weights of the forward action are 0: 503.
    NoWeight,
    /// The target group has no target that could take the request: 503.
    NoTargets,
    /// The redirect's URL is longer than can be sent: 507.
    RedirectTooLong,
    /// The rule asks for something that this emulator does not have, such as authentication: 500.
    NotModelled,
}
