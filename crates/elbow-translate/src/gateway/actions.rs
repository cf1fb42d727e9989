//! Actions and transforms of listener rules.
//!
//! In: a rule of a route with its resolved backends. Out: what the listener rule does, or the
//! [`RuleProblem`] because of which it cannot: the rule then answers 500, which is what LBC answers
//! where no backend is left, and its siblings live. (LBC gives up the whole Gateway for most of these.)

use elbow_api::crds::{self, ActionType};
use elbow_model::rule::{
    Action, FixedResponse, Forward, Redirect, Rewrite, Stickiness, Transform, WeightedTargetGroup,
};
use elbow_model::stack::Protocol;
use elbow_model::{Ref, TargetGroupArn};

use super::backends::ResolvedRule;
use super::conditions::RuleProblem;
use super::failures::RouteFailure;
use super::precedence::Unit;
use super::routes::{Filter, PathModifier, RedirectFilter, RouteKind};

/// Target groups of one forward action:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html>.
pub(crate) const TARGET_GROUPS_MAX: usize = 5;
/// Characters of the body of a fixed response, of the ELBv2 API reference.
const MESSAGE_BODY_LENGTH_MAX: usize = 1024;

/// The answer where no backend can be reached. LBC's log says 503; what it configures is 500.
pub(crate) fn no_backend() -> Action {
    Action::FixedResponse(FixedResponse::plain(500))
}

/// What a rule does. `groups` are the target groups of the rule's backends, in their order.
pub(crate) fn of(
    unit: &Unit<'_>,
    resolved: &ResolvedRule<'_>,
    groups: Vec<Ref<TargetGroupArn>>,
    listener: Protocol,
) -> Result<Action, Box<RuleProblem>> {
    let rule = &unit.route.rules[unit.rule_index];
    let actions = Configured::of(resolved.configuration);
    if let Some(kind) = actions.authentication {
        // Difference (authentication-fails-closed): LBC drops the action on an HTTP listener, and the
        // route is open to everybody.
        return Err(RuleProblem::unsupported(
            "not-supported-yet",
            configuration_field(&rule.filters),
            format!("{kind} is not translated yet"),
            "until then the rule answers 500",
        ));
    }
    if let Some(response) = actions.fixed_response {
        return fixed_response(response, &rule.filters);
    }
    for (place, filter) in rule.filters.iter().enumerate() {
        // Difference (bad-rule-answers-500): LBC gives up the whole Gateway for a filter or redirect that
        // it cannot do.
        match filter {
            Filter::Redirect(redirect_filter) => {
                let query = actions.redirect.map(|r| r.query.clone());
                let field = format!("filters[{place}].requestRedirect");
                return redirect(redirect_filter, query, listener, &field);
            }
            Filter::Unsupported(name) => {
                let message = format!("Unsupported filter type: {name}");
                return Err(Box::new(RuleProblem {
                    failure: RouteFailure::IncompatibleFilters(message),
                    code: "unsupported-filter",
                    field: format!("filters[{place}].type"),
                    message: format!("a load balancer cannot do {name}"),
                    hint: "remove the filter; until then the rule answers 500".to_owned(),
                }));
            }
            Filter::Rewrite { .. }
            | Filter::ListenerRuleConfiguration(_)
            | Filter::OtherExtension { .. } => {}
        }
    }
    // A GRPCRoute has no redirects, and as with LBC one that is configured does nothing.
    let is_http = unit.route.kind == RouteKind::Http;
    if is_http && actions.redirect.is_some() && rule.filters.len() == 1 {
        return Err(RuleProblem::unsupported(
            "redirect-without-filter",
            configuration_field(&rule.filters),
            "HTTPRouteFilterRequestRedirect must be provided if RedirectActionConfig in ListenerRuleConfiguration is provided".to_owned(),
            "add a RequestRedirect filter to the rule; until then it answers 500",
        ));
    }
    if resolved.backends.iter().all(|b| b.weight() == 0) || resolved.has_bad_weight {
        return Ok(no_backend());
    }
    if groups.len() > TARGET_GROUPS_MAX {
        return Err(too_many_groups(groups.len()));
    }
    Ok(Action::Forward(Forward {
        target_groups: resolved
            .backends
            .iter()
            .zip(groups)
            .map(|(backend, target_group)| WeightedTargetGroup {
                target_group,
                weight: Some(backend.weight()),
            })
            .collect(),
        stickiness: actions.forward.map(|f| {
            let wanted = &f.target_group_stickiness_config;
            Stickiness {
                enabled: wanted.enabled,
                duration_seconds: u32::try_from(wanted.duration_seconds).ok(),
            }
        }),
    }))
}

pub(crate) fn too_many_groups(count: usize) -> Box<RuleProblem> {
    RuleProblem::unsupported(
        "too-many-target-groups",
        "backendRefs",
        format!("the rule has {count} backends, and AWS forwards to at most {TARGET_GROUPS_MAX}"),
        "use fewer backends; until then the rule does not forward",
    )
}

/// The actions of a ListenerRuleConfiguration.
#[derive(Default)]
struct Configured<'a> {
    authentication: Option<&'static str>,
    fixed_response: Option<&'a crds::FixedResponseConfig>,
    redirect: Option<&'a crds::RedirectConfig>,
    forward: Option<&'a crds::ForwardConfig>,
}

impl<'a> Configured<'a> {
    fn of(configuration: Option<&'a crds::ListenerRuleConfiguration>) -> Self {
        let mut found = Self::default();
        let actions = configuration
            .into_iter()
            .flat_map(|c| c.spec.actions.iter().flatten());
        for action in actions {
            match action.action_type {
                ActionType::AuthenticateCognito => {
                    found.authentication = Some("authenticate-cognito");
                }
                ActionType::AuthenticateOidc => found.authentication = Some("authenticate-oidc"),
                ActionType::JwtValidation => found.authentication = Some("jwt-validation"),
                ActionType::FixedResponse => {
                    found.fixed_response = action.fixed_response_config.as_ref();
                }
                ActionType::Redirect => found.redirect = action.redirect_config.as_ref(),
                ActionType::Forward => found.forward = action.forward_config.as_ref(),
            }
        }
        found
    }
}

/// The filter that names the ListenerRuleConfiguration.
fn configuration_field(filters: &[Filter]) -> String {
    let place = filters
        .iter()
        .position(|f| matches!(f, Filter::ListenerRuleConfiguration(_)));
    format!("filters[{}].extensionRef", place.unwrap_or_default())
}

fn fixed_response(
    response: &crds::FixedResponseConfig,
    filters: &[Filter],
) -> Result<Action, Box<RuleProblem>> {
    use crds::ContentType;
    let body = response.message_body.clone();
    if body
        .as_ref()
        .is_some_and(|b| b.chars().count() > MESSAGE_BODY_LENGTH_MAX)
    {
        return Err(RuleProblem::unsupported(
            "value-too-long",
            configuration_field(filters),
            format!(
                "the body of the fixed response is longer than the {MESSAGE_BODY_LENGTH_MAX} characters that AWS takes"
            ),
            "shorten it; until then the rule answers 500",
        ));
    }
    let content_type = match response.content_type {
        ContentType::TextPlain => "text/plain",
        ContentType::TextCss => "text/css",
        ContentType::TextHtml => "text/html",
        ContentType::ApplicationJavascript => "application/javascript",
        ContentType::ApplicationJson => "application/json",
    };
    Ok(Action::FixedResponse(FixedResponse {
        // The schema allows 200 to 299 and 400 to 599.
        status_code: u16::try_from(response.status_code).unwrap_or(500),
        content_type: Some(content_type.to_owned()),
        message_body: body,
    }))
}

fn redirect(
    filter: &RedirectFilter,
    query: Option<String>,
    listener: Protocol,
    field: &str,
) -> Result<Action, Box<RuleProblem>> {
    let refused = |part: &str, message: String, hint: &str| {
        let hint = format!("{hint}; until then the rule answers 500");
        Err(RuleProblem::unsupported(
            "unsupported-redirect",
            format!("{field}{part}"),
            message,
            &hint,
        ))
    };
    if !matches!(filter.status_code, 301 | 302) {
        let message = format!(
            "AWS redirects with 301 or 302, not with {}",
            filter.status_code
        );
        return refused(".statusCode", message, "use one of the two");
    }
    if filter.scheme == Some("http") && listener == Protocol::Https {
        let message = "AWS does not redirect from HTTPS to HTTP".to_owned();
        return refused(
            ".scheme",
            message,
            "attach the rule to an HTTP listener only",
        );
    }
    let path = match &filter.path {
        Some(PathModifier::Full(path)) => Some(path.clone()),
        Some(PathModifier::Prefix(_)) => divided(filter).map(|d| format!("{}#{{path}}", d.head)),
        None => None,
    };
    if let Some(bad) = path.as_ref().filter(|p| p.contains(['*', '?'])) {
        let message = format!("redirect path shouldn't contain wildcards: {bad}");
        return refused(".path.replaceFullPath", message, "write the path out");
    }
    let default_port = filter.scheme.map(|s| if s == "https" { 443 } else { 80 });
    let port = filter.port.or(default_port);
    if filter.scheme.is_none() && port.is_none() && filter.hostname.is_none() && path.is_none() {
        let message = "the redirect changes neither scheme nor host, port or full path, and AWS takes it for a loop".to_owned();
        return refused("", message, "change one of them");
    }
    Ok(Action::Redirect(Redirect {
        status_code: format!("HTTP_{}", filter.status_code),
        protocol: filter.scheme.map(str::to_uppercase),
        port: port.map(|p| p.to_string()),
        host: filter.hostname.clone(),
        path,
        query,
    }))
}

/// The new prefix of a redirect in two parts.
struct Divided<'f> {
    /// With the slash at its start.
    head: &'f str,
    /// Without one.
    tail: &'f str,
}

/// A redirect that changes nothing but the prefix of the path. LBC leaves the change to a transform,
/// and AWS, which does not look at those, refuses the redirect for a loop. So the redirect itself
/// writes the first part of the new prefix, and the transform the rest; `#{path}` is what the transform
/// left. `None` where the redirect changes more, which AWS takes as LBC makes it, or where the prefix
/// is only cut off: then there is nothing to write.
///
/// Difference (prefix-redirect): with LBC such a redirect gives up the Gateway.
fn divided(filter: &RedirectFilter) -> Option<Divided<'_>> {
    let Some(PathModifier::Prefix(prefix)) = &filter.path else {
        return None;
    };
    if filter.scheme.is_some() || filter.hostname.is_some() || filter.port.is_some() {
        return None;
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    // After the last slash; of a single segment after its first character.
    let place = match prefix.rfind('/')? {
        0 => 1 + prefix[1..].chars().next()?.len_utf8(),
        slash => slash + 1,
    };
    let (head, tail) = prefix.split_at(place);
    Some(Divided { head, tail })
}

/// The transforms of a rule, in the order of its filters.
pub(crate) fn transforms(unit: &Unit<'_>) -> Vec<Transform> {
    let rule = &unit.route.rules[unit.rule_index];
    let mut transforms = Vec::new();
    for filter in &rule.filters {
        let (path, hostname) = match filter {
            Filter::Rewrite { path, hostname } => (path.as_ref(), hostname.as_ref()),
            Filter::Redirect(
                redirect @ RedirectFilter {
                    path: Some(path @ PathModifier::Prefix(_)),
                    ..
                },
            ) => {
                if let Some(divided) = divided(redirect) {
                    let rewrite = Transform::UrlRewrite(tail_rewrite(&divided, unit));
                    transforms.push(rewrite);
                    continue;
                }
                (Some(path), None)
            }
            _ => (None, None),
        };
        transforms.extend(path.map(|p| Transform::UrlRewrite(path_rewrite(p, unit))));
        transforms.extend(hostname.map(|hostname| {
            Transform::HostHeaderRewrite(Rewrite {
                regex: ".*".to_owned(),
                replace: hostname.clone(),
            })
        }));
    }
    transforms
}

/// Puts the rest of a new prefix in place of the prefix that was matched.
fn tail_rewrite(divided: &Divided<'_>, unit: &Unit<'_>) -> Rewrite {
    let matched = unit.matches().and_then(|m| m.path.as_ref());
    let matched = matched.map_or("", |p| p.value.trim_end_matches('/'));
    let mut literal = String::new();
    for character in matched.chars() {
        if r".+()[]{}^$|\".contains(character) {
            literal.push('\\');
        }
        literal.push(character);
    }
    Rewrite {
        regex: format!("(^{literal}(/)?)"),
        replace: format!("/{}$2", divided.tail),
    }
}

fn path_rewrite(path: &PathModifier, unit: &Unit<'_>) -> Rewrite {
    match path {
        PathModifier::Full(path) => Rewrite {
            regex: "^([^?]*)".to_owned(),
            replace: path.clone(),
        },
        PathModifier::Prefix(prefix) => {
            let matched = unit.matches().and_then(|m| m.path.as_ref());
            let matched = matched.map_or("", |p| p.value.as_str());
            Rewrite {
                // As LBC writes it: the path is not escaped, and a slash at its end stays.
                regex: format!("(^{matched}(/)?)"),
                replace: match prefix.as_str() {
                    "" => "/".to_owned(),
                    p if p.ends_with('/') => p.to_owned(),
                    p => format!("{p}$2"),
                },
            }
        }
    }
}
