//! `ListenerRuleConfiguration`: what a route rule does beyond the Gateway API.
//!
//! In: manifests of group `gateway.k8s.aws`, versions `v1` and `v1beta1`, whose schemas are equal.
//! Out: [`ListenerRuleConfiguration`]. A rule of an HTTPRoute or GRPCRoute names one in an
//! ExtensionRef filter.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common;

/// What the user wants of the listener rules.
#[derive(CustomResource, JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.k8s.aws",
    version = "v1",
    kind = "ListenerRuleConfiguration",
    plural = "listenerruleconfigurations",
    namespaced,
    status = "ListenerRuleConfigurationStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "ListenerRuleConfiguration adds to the listener rules of an application load balancer what the Gateway API has no words for. A rule of a route refers to it with an ExtensionRef filter.",
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.actions) || size(self.actions) > 0",
        "message": "actions must hold at least one action when it is given"
    },
    {
        "rule": "!has(self.actions) || self.actions.all(a, a.type == 'authenticate-oidc' || a.type == 'authenticate-cognito' || a.type == 'jwt-validation' || a.type == 'fixed-response' || a.type == 'forward' || a.type == 'redirect')",
        "message": "the type of an action must be one of forward, redirect, fixed-response, authenticate-oidc, authenticate-cognito and jwt-validation"
    },
    {
        "rule": "!has(self.actions) || size(self.actions.filter(a, a.type == 'authenticate-oidc' || a.type == 'authenticate-cognito' || a.type == 'jwt-validation')) <= 1",
        "message": "at most one action may be authenticate-oidc, authenticate-cognito or jwt-validation"
    },
    {
        "rule": "!has(self.actions) || size(self.actions.filter(a, a.type == 'fixed-response' || a.type == 'forward' || a.type == 'redirect')) <= 1",
        "message": "at most one action may be forward, fixed-response or redirect"
    }
]))]
#[serde(rename_all = "camelCase")]
pub struct ListenerRuleConfigurationSpec {
    /// Actions of the rule. At most one authenticates or validates, and at most one answers or
    /// forwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2))]
    pub actions: Option<Vec<Action>>,

    /// Conditions of the rule beside those of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub conditions: Option<Vec<ListenerRuleCondition>>,

    /// Tags of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
}

/// What a controller reports about a ListenerRuleConfiguration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerRuleConfigurationStatus {
    /// Whether the configuration can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<bool>,

    /// Why the configuration can or cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// Generation that the other fields are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// One action of a listener rule.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.type) && self.type == 'forward' ? has(self.forwardConfig) : !has(self.forwardConfig)",
        "message": "forwardConfig must be given exactly when type is forward"
    },
    {
        "rule": "has(self.type) && self.type == 'redirect' ? has(self.redirectConfig) : !has(self.redirectConfig)",
        "message": "redirectConfig must be given exactly when type is redirect"
    },
    {
        "rule": "has(self.type) && self.type == 'fixed-response' ? has(self.fixedResponseConfig) : !has(self.fixedResponseConfig)",
        "message": "fixedResponseConfig must be given exactly when type is fixed-response"
    },
    {
        "rule": "has(self.type) && self.type == 'authenticate-cognito' ? has(self.authenticateCognitoConfig) : !has(self.authenticateCognitoConfig)",
        "message": "authenticateCognitoConfig must be given exactly when type is authenticate-cognito"
    },
    {
        "rule": "has(self.type) && self.type == 'authenticate-oidc' ? has(self.authenticateOIDCConfig) : !has(self.authenticateOIDCConfig)",
        "message": "authenticateOIDCConfig must be given exactly when type is authenticate-oidc"
    },
    {
        "rule": "has(self.type) && self.type == 'jwt-validation' ? has(self.jwtValidationConfig) : !has(self.jwtValidationConfig)",
        "message": "jwtValidationConfig must be given exactly when type is jwt-validation"
    }
]))]
pub struct Action {
    /// What the action does.
    #[serde(rename = "type")]
    pub action_type: ActionType,

    /// Settings of a forward action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_config: Option<ForwardConfig>,

    /// Settings of a redirect action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_config: Option<RedirectConfig>,

    /// Settings of a fixed-response action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_response_config: Option<FixedResponseConfig>,

    /// Settings of an authenticate-cognito action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticate_cognito_config: Option<AuthenticateCognitoConfig>,

    /// Settings of an authenticate-oidc action.
    #[serde(
        rename = "authenticateOIDCConfig",
        skip_serializing_if = "Option::is_none"
    )]
    pub authenticate_oidc_config: Option<AuthenticateOidcConfig>,

    /// Settings of a jwt-validation action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_validation_config: Option<JwtValidationConfig>,
}

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum ActionType {
    Forward,
    FixedResponse,
    Redirect,
    AuthenticateCognito,
    AuthenticateOidc,
    JwtValidation,
}

/// Settings of a forward action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForwardConfig {
    /// Whether a client stays on the target group that its first request went to.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub target_group_stickiness_config: TargetGroupStickinessConfig,
}

/// Whether and how long a client stays on one target group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroupStickinessConfig {
    /// Seconds that a client stays on its target group.
    #[serde(default = "stickiness_duration_seconds")]
    #[schemars(range(min = 1, max = 604_800), default = "stickiness_duration_seconds")]
    pub duration_seconds: i32,

    /// Whether clients stay on their target group at all.
    #[serde(default)]
    #[schemars(default)]
    pub enabled: bool,
}

impl Default for TargetGroupStickinessConfig {
    fn default() -> Self {
        Self {
            duration_seconds: stickiness_duration_seconds(),
            enabled: false,
        }
    }
}

/// One hour, the default that LBC's schema gives.
fn stickiness_duration_seconds() -> i32 {
    3600
}

/// Settings of a redirect action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedirectConfig {
    /// Query of the address that the client is sent to, without the question mark.
    #[serde(default = "same_query")]
    #[schemars(default = "same_query")]
    pub query: String,
}

impl Default for RedirectConfig {
    fn default() -> Self {
        Self {
            query: same_query(),
        }
    }
}

/// The placeholder by which AWS keeps the query of the request.
fn same_query() -> String {
    "#{query}".to_owned()
}

/// Settings of a fixed-response action.
#[derive(JsonSchema, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FixedResponseConfig {
    /// Status code of the answer.
    #[schemars(extend("x-kubernetes-validations" = [
        {
            "rule": "(self >= 200 && self <= 299) || (self >= 400 && self <= 599)",
            "message": "statusCode must lie between 200 and 299 or between 400 and 599"
        }
    ]))]
    pub status_code: i32,

    /// Media type of the answer.
    #[serde(default)]
    #[schemars(default)]
    pub content_type: ContentType,

    /// Body of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_body: Option<String>,
}

/// Media types that AWS allows for a fixed response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "each variant is the media type of that name; docs would split the enum"
)]
pub enum ContentType {
    #[default]
    #[serde(rename = "text/plain")]
    TextPlain,
    #[serde(rename = "text/css")]
    TextCss,
    #[serde(rename = "text/html")]
    TextHtml,
    #[serde(rename = "application/javascript")]
    ApplicationJavascript,
    #[serde(rename = "application/json")]
    ApplicationJson,
}

/// Settings of an authenticate-cognito action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticateCognitoConfig {
    /// ARN of the user pool.
    pub user_pool_arn: String,

    /// Id of the user pool's client.
    pub user_pool_client_id: String,

    /// Domain prefix or full domain name of the user pool.
    pub user_pool_domain: String,

    /// Query parameters, at most ten, that are added to the redirect to the login page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 10))]
    pub authentication_request_extra_params: Option<BTreeMap<String, String>>,

    /// What happens to a request of a client that has not logged in.
    #[serde(default)]
    #[schemars(default)]
    pub on_unauthenticated_request: OnUnauthenticatedRequest,

    /// Claims about the user that are asked for.
    #[serde(default = "openid_scope")]
    #[schemars(default = "openid_scope")]
    pub scope: String,

    /// Name of the cookie that holds the session.
    #[serde(default = "session_cookie_name")]
    #[schemars(default = "session_cookie_name")]
    pub session_cookie_name: String,

    /// Seconds that a session lasts.
    #[serde(default = "session_timeout_seconds")]
    #[schemars(range(min = 1, max = 604_800), default = "session_timeout_seconds")]
    pub session_timeout: i64,
}

/// Settings of an authenticate-oidc action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthenticateOidcConfig {
    /// Issuer identifier of the identity provider, an HTTPS address.
    pub issuer: String,

    /// Address where users log in.
    pub authorization_endpoint: String,

    /// Address where a code is exchanged for a token.
    pub token_endpoint: String,

    /// Address that tells who the user is.
    pub user_info_endpoint: String,

    /// Secret in the namespace of this object with the keys clientID and clientSecret.
    pub secret: SecretReference,

    /// Whether the client secret that the rule already has in AWS is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_existing_client_secret: Option<bool>,

    /// Query parameters, at most ten, that are added to the redirect to the login page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 10))]
    pub authentication_request_extra_params: Option<BTreeMap<String, String>>,

    /// What happens to a request of a client that has not logged in.
    #[serde(default)]
    #[schemars(default)]
    pub on_unauthenticated_request: OnUnauthenticatedRequest,

    /// Claims about the user that are asked for.
    #[serde(default = "openid_scope")]
    #[schemars(default = "openid_scope")]
    pub scope: String,

    /// Name of the cookie that holds the session.
    #[serde(default = "session_cookie_name")]
    #[schemars(default = "session_cookie_name")]
    pub session_cookie_name: String,

    /// Seconds that a session lasts.
    #[serde(default = "session_timeout_seconds")]
    #[schemars(range(min = 1, max = 604_800), default = "session_timeout_seconds")]
    pub session_timeout: i64,
}

/// Names a Secret in the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret.
    pub name: String,
}

/// What happens to a request of a client that has not logged in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum OnUnauthenticatedRequest {
    Deny,
    Allow,
    #[default]
    Authenticate,
}

fn openid_scope() -> String {
    "openid".to_owned()
}

fn session_cookie_name() -> String {
    "AWSELBAuthSessionCookie".to_owned()
}

/// Seven days, AWS's own default and maximum.
fn session_timeout_seconds() -> i64 {
    604_800
}

/// Settings of a jwt-validation action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JwtValidationConfig {
    /// Issuer that the token must name.
    #[schemars(length(max = 256))]
    pub issuer: String,

    /// Address of the key set that signs the tokens.
    #[schemars(length(max = 256))]
    pub jwks_endpoint: String,

    /// Further claims that the token must make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_claims: Option<Vec<JwtAdditionalClaim>>,
}

/// A claim that a token must make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JwtAdditionalClaim {
    /// How the claim is written in the token.
    pub format: JwtClaimFormat,

    /// Name of the claim.
    #[schemars(length(min = 1))]
    pub name: String,

    /// Values of the claim that are accepted.
    #[schemars(length(min = 1, max = 10), inner(length(max = 256)))]
    pub values: Vec<String>,
}

/// How a claim is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum JwtClaimFormat {
    SingleString,
    StringArray,
    SpaceSeparatedValues,
}

/// One condition of a listener rule.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.field) && self.field == 'source-ip' ? has(self.sourceIPConfig) : !has(self.sourceIPConfig)",
        "message": "sourceIPConfig must be given exactly when field is source-ip"
    }
]))]
pub struct ListenerRuleCondition {
    /// What the condition looks at.
    pub field: ConditionField,

    /// Clients that the condition accepts.
    #[serde(rename = "sourceIPConfig", skip_serializing_if = "Option::is_none")]
    pub source_ip_config: Option<SourceIpConfig>,

    /// Positions, counted from 0, of the matches in the route's rule that get the condition. All of
    /// them get it when this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "common::integers")]
    pub match_indexes: Option<Vec<i64>>,
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum ConditionField {
    SourceIp,
}

/// Clients that a condition accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceIpConfig {
    /// CIDRs of the clients.
    #[schemars(length(min = 1))]
    pub values: Vec<String>,
}
