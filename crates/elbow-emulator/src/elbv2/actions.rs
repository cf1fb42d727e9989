//! Actions of a rule: what is done with a request, and how an action reads back.
//!
//! Comes in: actions as a client wrote them, and where they are to run. Goes out: AWS's refusal,
//! or the actions as DescribeRules returns them: in order, defaults filled in. Always holds: the
//! last action routes, and it alone does.

use super::error;
use super::state::{LoadBalancer, LoadBalancerKind, Protocol, State};
use super::{actions_forward, actions_redirect};
use crate::config::Quotas;
use crate::error::ApiError;
use crate::generated::elbv2 as wire;

/// Types that route a request; the others authenticate its sender.
const ROUTING: [&str; 3] = ["forward", "redirect", "fixed-response"];
/// What a fixed response may be, in the order of AWS's refusal.
const CONTENT_TYPES: [&str; 5] = [
    "text/html",
    "application/json",
    "application/javascript",
    "text/css",
    "text/plain",
];
/// Most extra parameters of an authentication request (action reference).
const EXTRA_PARAMETERS_MAX: usize = 10;
/// Seven days, AWS's default session timeout and its longest, in seconds.
const SESSION_TIMEOUT_MAX: i64 = 604_800;

/// Where actions are to run.
pub(super) struct Scope<'a> {
    pub(super) state: &'a State,
    pub(super) quotas: &'a Quotas,
    pub(super) load_balancer: &'a LoadBalancer,
    /// Protocol of the listener.
    pub(super) protocol: Protocol,
    /// The rule whose actions are replaced, if it exists already.
    pub(super) replaced_rule: Option<&'a str>,
}

/// The target groups that actions forward to, each as often as it is named.
pub(crate) fn target_group_arns(actions: &[wire::Action]) -> impl Iterator<Item = &str> {
    let forwards = actions
        .iter()
        .filter_map(|action| action.forward_config.as_ref());
    let tuples = forwards
        .filter_map(|config| config.target_groups.as_ref())
        .flatten();
    tuples.filter_map(|tuple| tuple.target_group_arn.as_deref())
}

/// Refuses actions that AWS refuses, and returns the others as they read back.
pub(super) fn check(
    scope: &Scope<'_>,
    actions: &[wire::Action],
) -> Result<Vec<wire::Action>, ApiError> {
    if actions.is_empty() {
        return Err(error::validation("An action must be specified")); // Undocumented text.
    }
    let mut checked = Vec::new();
    for action in actions {
        checked.push(check_one(scope, action)?);
    }
    check_combination(&checked)?;
    checked.sort_by_key(|action| action.order);
    Ok(checked)
}

/// How several actions go together. The codes are undocumented, the texts are AWS's.
fn check_combination(actions: &[wire::Action]) -> Result<(), ApiError> {
    let is_routing = |action: &&wire::Action| ROUTING.contains(&action.r#type.as_str());
    let routing: Vec<&wire::Action> = actions.iter().filter(is_routing).collect();
    let others: Vec<&wire::Action> = actions.iter().filter(|a| !is_routing(a)).collect();
    for group in [&routing, &others] {
        if group.len() < 2 {
            continue;
        }
        let mut types: Vec<&str> = group.iter().map(|action| action.r#type.as_str()).collect();
        if types.iter().all(|kind| *kind == types[0]) {
            let message = format!("A rule can only have one action of type '{}'", types[0]);
            return Err(ApiError::sender("TooManyActions", message)); // Undocumented.
        }
        types.dedup();
        return Err(error::action(format!(
            "Action types '{}' cannot be specified together",
            types.join(",")
        )));
    }
    let Some(last) = routing.first() else {
        // Undocumented text; that a routing action is needed is documented.
        return Err(error::action(
            "An action of type 'forward', 'redirect' or 'fixed-response' must be specified",
        ));
    };
    if actions.len() > 1 {
        if actions.iter().any(|action| action.order.is_none()) {
            return Err(error::validation(
                "When you specify multiple actions, you must specify an order for each action",
            ));
        }
        if actions
            .iter()
            .any(|a| a.order >= last.order && a.r#type != last.r#type)
        {
            return Err(error::action(format!(
                "An action of type '{}' must have a higher order than all other actions",
                last.r#type
            )));
        }
    }
    Ok(())
}

fn check_one(scope: &Scope<'_>, action: &wire::Action) -> Result<wire::Action, ApiError> {
    let kind = action.r#type.as_str();
    if scope.load_balancer.kind == LoadBalancerKind::Network && kind != "forward" {
        return Err(error::action(format!(
            "The action type '{kind}' is not valid with network load balancer"
        )));
    }
    let configs = [
        ("forward", "ForwardConfig", action.forward_config.is_some()),
        (
            "redirect",
            "RedirectConfig",
            action.redirect_config.is_some(),
        ),
        (
            "fixed-response",
            "FixedResponseConfig",
            action.fixed_response_config.is_some(),
        ),
        (
            "authenticate-oidc",
            "AuthenticateOidcConfig",
            action.authenticate_oidc_config.is_some(),
        ),
        (
            "authenticate-cognito",
            "AuthenticateCognitoConfig",
            action.authenticate_cognito_config.is_some(),
        ),
        (
            "jwt-validation",
            "JwtValidationConfig",
            action.jwt_validation_config.is_some(),
        ),
    ];
    if let Some((_, config, _)) = configs.iter().find(|(k, _, given)| *given && *k != kind) {
        // Undocumented text.
        return Err(error::action(format!(
            "For actions of type '{kind}', you cannot specify the following fields: '{config}'"
        )));
    }
    if kind != "forward" && action.target_group_arn.is_some() {
        return Err(error::action(format!(
            "For actions of type '{kind}', you cannot specify the following fields: \
             'TargetGroupArn'"
        )));
    }
    let needs_config = |config: &str| {
        error::action(format!(
            "For actions of type '{kind}', you must specify the following fields: '{config}'"
        ))
    };
    if !ROUTING.contains(&kind) && scope.protocol != Protocol::Https {
        // That authentication needs HTTPS is documented, the text is not.
        return Err(error::action(format!(
            "Actions of type '{kind}' are supported only on HTTPS listeners"
        )));
    }
    let mut out = action.clone();
    match kind {
        "forward" => return actions_forward::check(scope, action),
        "redirect" => {
            let config = action.redirect_config.as_ref();
            let config = config.ok_or_else(|| needs_config("RedirectConfig"))?;
            out.redirect_config = Some(actions_redirect::check(scope.protocol, config)?);
        }
        "fixed-response" => {
            let config = action.fixed_response_config.as_ref();
            let config = config.ok_or_else(|| needs_config("FixedResponseConfig"))?;
            out.fixed_response_config = Some(fixed_response(config)?);
        }
        "authenticate-oidc" => {
            let config = action.authenticate_oidc_config.as_ref();
            let config = config.ok_or_else(|| needs_config("AuthenticateOidcConfig"))?;
            out.authenticate_oidc_config = Some(oidc(scope, config)?);
        }
        "authenticate-cognito" => {
            let config = action.authenticate_cognito_config.as_ref();
            let config = config.ok_or_else(|| needs_config("AuthenticateCognitoConfig"))?;
            out.authenticate_cognito_config = Some(cognito(config)?);
        }
        "jwt-validation" => {
            let config = action.jwt_validation_config.as_ref();
            check_jwt(config.ok_or_else(|| needs_config("JwtValidationConfig"))?)?;
        }
        other => return Err(error::not_modelled(&format!("action type '{other}'"))),
    }
    Ok(out)
}

fn fixed_response(
    config: &wire::FixedResponseActionConfig,
) -> Result<wire::FixedResponseActionConfig, ApiError> {
    // The default is undocumented.
    let content_type = config.content_type.as_deref().unwrap_or("text/plain");
    if !CONTENT_TYPES.contains(&content_type) {
        let quoted = CONTENT_TYPES.map(|content_type| format!("'{content_type}'"));
        return Err(error::action(format!(
            "The ContentType must be one of:{}.",
            quoted.join(", ")
        )));
    }
    Ok(wire::FixedResponseActionConfig {
        content_type: Some(content_type.to_owned()),
        ..config.clone()
    })
}

fn check_https_url(name: &str, url: &str) -> Result<(), ApiError> {
    if url
        .strip_prefix("https://")
        .is_some_and(|rest| !rest.is_empty())
    {
        return Ok(());
    }
    // That it must be a full HTTPS URL is documented, the text is not.
    Err(error::action(format!(
        "The {name} parameter must be a valid HTTPS URL, but was '{url}'"
    )))
}

fn session_timeout(seconds: Option<i64>) -> Result<Option<i64>, ApiError> {
    let seconds = seconds.unwrap_or(SESSION_TIMEOUT_MAX);
    if (1..=SESSION_TIMEOUT_MAX).contains(&seconds) {
        return Ok(Some(seconds));
    }
    // Undocumented text.
    Err(error::action(format!(
        "The SessionTimeout parameter must be between 1 and {SESSION_TIMEOUT_MAX}"
    )))
}

fn check_extra_parameters(n: usize) -> Result<(), ApiError> {
    if n <= EXTRA_PARAMETERS_MAX {
        return Ok(());
    }
    // Undocumented text.
    Err(error::action(format!(
        "Up to '{EXTRA_PARAMETERS_MAX}' authentication request extra parameters can be specified, \
         but '{n}' were specified"
    )))
}

fn oidc(
    scope: &Scope<'_>,
    config: &wire::AuthenticateOidcActionConfig,
) -> Result<wire::AuthenticateOidcActionConfig, ApiError> {
    for (name, url) in [
        ("Issuer", &config.issuer),
        ("AuthorizationEndpoint", &config.authorization_endpoint),
        ("TokenEndpoint", &config.token_endpoint),
        ("UserInfoEndpoint", &config.user_info_endpoint),
    ] {
        check_https_url(name, url)?;
    }
    check_extra_parameters(
        config
            .authentication_request_extra_params
            .iter()
            .flatten()
            .count(),
    )?;
    let mut out = config.clone();
    if config.use_existing_client_secret == Some(true) {
        let old = scope
            .replaced_rule
            .and_then(|arn| scope.state.rules.get(arn));
        let mut old = old.into_iter().flat_map(|rule| &rule.actions);
        let secret = old.find_map(|action| {
            action
                .authenticate_oidc_config
                .as_ref()
                .and_then(|old| old.client_secret.clone())
        });
        if config.client_secret.is_some() || secret.is_none() {
            // Undocumented text.
            return Err(error::action(
                "UseExistingClientSecret can only be specified without a ClientSecret, for a rule \
                 that has one",
            ));
        }
        out.client_secret = secret;
    } else if config.client_secret.is_none() {
        return Err(error::action("A ClientSecret must be specified")); // Undocumented text.
    }
    out.use_existing_client_secret = None;
    out.session_cookie_name
        .get_or_insert_with(|| "AWSELBAuthSessionCookie".into());
    out.scope.get_or_insert_with(|| "openid".into());
    out.session_timeout = session_timeout(config.session_timeout)?;
    out.on_unauthenticated_request
        .get_or_insert_with(|| "authenticate".into());
    Ok(out)
}

fn cognito(
    config: &wire::AuthenticateCognitoActionConfig,
) -> Result<wire::AuthenticateCognitoActionConfig, ApiError> {
    let arn = &config.user_pool_arn;
    // AWS also looks the pool up; user pools are not modelled.
    if !(arn.starts_with("arn:aws") && arn.contains(":cognito-idp:") && arn.contains(":userpool/"))
    {
        return Err(error::action(format!(
            "'{arn}' is not a valid user pool ARN"
        )));
    }
    check_extra_parameters(
        config
            .authentication_request_extra_params
            .iter()
            .flatten()
            .count(),
    )?;
    let mut out = config.clone();
    out.session_cookie_name
        .get_or_insert_with(|| "AWSELBAuthSessionCookie".into());
    out.scope.get_or_insert_with(|| "openid".into());
    out.session_timeout = session_timeout(config.session_timeout)?;
    out.on_unauthenticated_request
        .get_or_insert_with(|| "authenticate".into());
    Ok(out)
}

/// Limits of JWT validation, as its guide gives them; texts are undocumented.
fn check_jwt(config: &wire::JwtValidationActionConfig) -> Result<(), ApiError> {
    const CLAIMS_MAX: usize = 10;
    const VALUES_MAX: usize = 10;
    const LENGTH_MAX: usize = 256;
    check_https_url("JwksEndpoint", &config.jwks_endpoint)?;
    let claims = config.additional_claims.as_deref().unwrap_or_default();
    let too_long = |text: &String| text.chars().count() > LENGTH_MAX;
    let reserved = |name: &str| matches!(name, "exp" | "iss" | "nbf" | "iat");
    let bad = config.issuer.is_empty()
        || too_long(&config.issuer)
        || too_long(&config.jwks_endpoint)
        || claims.len() > CLAIMS_MAX
        || claims.iter().any(|claim| {
            reserved(&claim.name)
                || claim.name.is_empty()
                || claim.values.is_empty()
                || claim.values.len() > VALUES_MAX
                || claim.values.iter().any(too_long)
        });
    if bad {
        return Err(error::action("The JwtValidationConfig is not valid"));
    }
    Ok(())
}

/// Actions as a response shows them: without the client secret, which AWS never returns.
pub(super) fn shown(actions: &[wire::Action]) -> Vec<wire::Action> {
    let mut actions = actions.to_vec();
    for config in actions
        .iter_mut()
        .filter_map(|a| a.authenticate_oidc_config.as_mut())
    {
        config.client_secret = None;
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::tests::{fixed_response as fixed, forward_to, load_balancer};

    fn of(kind: &str) -> wire::Action {
        wire::Action {
            r#type: kind.into(),
            ..Default::default()
        }
    }

    fn oidc_action() -> wire::Action {
        let config = wire::AuthenticateOidcActionConfig {
            issuer: "https://idp.test".into(),
            authorization_endpoint: "https://idp.test/a".into(),
            token_endpoint: "https://idp.test/t".into(),
            user_info_endpoint: "https://idp.test/u".into(),
            client_id: "id".into(),
            client_secret: Some("secret".into()),
            ..Default::default()
        };
        wire::Action {
            authenticate_oidc_config: Some(config),
            ..of("authenticate-oidc")
        }
    }

    fn ordered(order: i32, action: wire::Action) -> wire::Action {
        wire::Action {
            order: Some(order),
            ..action
        }
    }

    fn redirect() -> wire::Action {
        let config = wire::RedirectActionConfig {
            host: Some("other.test".into()),
            status_code: "HTTP_301".into(),
            ..Default::default()
        };
        wire::Action {
            redirect_config: Some(config),
            ..of("redirect")
        }
    }

    fn run(
        kind: LoadBalancerKind,
        protocol: Protocol,
        actions: &[wire::Action],
    ) -> Result<Vec<wire::Action>, ApiError> {
        let (state, quotas, lb) = (State::default(), Quotas::default(), load_balancer(kind));
        let scope = Scope {
            state: &state,
            quotas: &quotas,
            load_balancer: &lb,
            protocol,
            replaced_rule: None,
        };
        check(&scope, actions)
    }

    #[test]
    fn refuses() {
        let mut odd = fixed("200");
        odd.fixed_response_config.as_mut().unwrap().content_type = Some("image/png".into());
        let mixed = wire::Action {
            redirect_config: redirect().redirect_config,
            ..fixed("200")
        };
        let http_idp = {
            let mut action = oidc_action();
            action.authenticate_oidc_config.as_mut().unwrap().issuer = "http://idp.test".into();
            action
        };
        let rows = [
            (vec![], "ValidationError", "An action must be specified"),
            (
                vec![of("redirect")],
                "InvalidLoadBalancerAction",
                "For actions of type 'redirect', you must specify the following fields: \
                 'RedirectConfig'",
            ),
            (
                vec![mixed],
                "InvalidLoadBalancerAction",
                "cannot specify the following fields",
            ),
            (
                vec![odd],
                "InvalidLoadBalancerAction",
                "The ContentType must be one of:'text/html', 'application/json', \
                 'application/javascript', 'text/css', 'text/plain'.",
            ),
            (
                vec![ordered(1, redirect()), ordered(2, fixed("200"))],
                "InvalidLoadBalancerAction",
                "Action types 'redirect,fixed-response' cannot be specified together",
            ),
            (
                vec![ordered(1, redirect()), ordered(2, redirect())],
                "TooManyActions",
                "only have one action of type 'redirect'",
            ),
            (
                vec![oidc_action(), redirect()],
                "ValidationError",
                "When you specify multiple actions, you must specify an order for each action",
            ),
            (
                vec![ordered(2, oidc_action()), ordered(1, redirect())],
                "InvalidLoadBalancerAction",
                "An action of type 'redirect' must have a higher order than all other actions",
            ),
            (
                vec![ordered(1, oidc_action())],
                "InvalidLoadBalancerAction",
                "must be specified",
            ),
            (
                vec![ordered(1, http_idp), ordered(2, redirect())],
                "InvalidLoadBalancerAction",
                "The Issuer parameter must be a valid HTTPS URL",
            ),
            (
                vec![forward_to(
                    "arn:aws:elasticloadbalancing:r:a:targetgroup/x/1",
                )],
                "TargetGroupNotFound",
                "not found",
            ),
        ];
        for (actions, code, message) in rows {
            let refusal =
                run(LoadBalancerKind::Application, Protocol::Https, &actions).unwrap_err();
            assert_eq!(refusal.code, code, "{refusal}");
            assert!(refusal.message.contains(message), "{refusal}");
        }
    }

    #[test]
    fn authentication_needs_https() {
        let actions = [ordered(1, oidc_action()), ordered(2, redirect())];
        assert!(run(LoadBalancerKind::Application, Protocol::Http, &actions).is_err());
        let read = run(LoadBalancerKind::Application, Protocol::Https, &actions).unwrap();
        let config = read[0].authenticate_oidc_config.as_ref().unwrap();
        assert_eq!(config.session_timeout, Some(604_800));
        assert_eq!(config.scope.as_deref(), Some("openid"));
        let shown = shown(&read);
        assert_eq!(
            shown[0]
                .authenticate_oidc_config
                .as_ref()
                .unwrap()
                .client_secret,
            None
        );
    }

    #[test]
    fn network_load_balancers_only_forward() {
        let refusal = run(LoadBalancerKind::Network, Protocol::Tcp, &[fixed("200")]).unwrap_err();
        assert_eq!(
            refusal.message,
            "The action type 'fixed-response' is not valid with network load balancer"
        );
    }
}
