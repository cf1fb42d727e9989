//! Conditions, actions and transforms, both ways: they are the only shapes that are both sent and
//! received, so their two directions stand side by side.

use aws_sdk_elasticloadbalancingv2::types::{
    self, ActionTypeEnum, FixedResponseActionConfig, ForwardActionConfig,
    HostHeaderConditionConfig, HostHeaderRewriteConfig, HttpHeaderConditionConfig,
    HttpRequestMethodConditionConfig, PathPatternConditionConfig, QueryStringConditionConfig,
    QueryStringKeyValuePair, RedirectActionConfig, RedirectActionStatusCodeEnum, RewriteConfig,
    RuleCondition, RuleTransform, SourceIpConditionConfig, TargetGroupStickinessConfig,
    TargetGroupTuple, TransformTypeEnum, UrlRewriteConfig,
};
use elbow_model::rule::{
    Action, Condition, FixedResponse, Forward, Pattern, QueryPair, Redirect, Rewrite, Stickiness,
    Transform, WeightedTargetGroup,
};
use elbow_model::{AwsError, Ref, TargetGroupArn};

use crate::convert::{each, first, known};

// === actions ===

pub(super) fn to_action(action: &Action) -> Result<types::Action, AwsError> {
    let on_wire = types::Action::builder();
    Ok(match action {
        Action::Forward(forward) => on_wire
            .r#type(ActionTypeEnum::Forward)
            .forward_config(to_forward(forward)?),
        Action::Redirect(redirect) => {
            let code = RedirectActionStatusCodeEnum::from(redirect.status_code.as_str());
            let config = RedirectActionConfig::builder()
                .status_code(code)
                .set_protocol(redirect.protocol.clone())
                .set_port(redirect.port.clone())
                .set_host(redirect.host.clone())
                .set_path(redirect.path.clone())
                .set_query(redirect.query.clone());
            on_wire
                .r#type(ActionTypeEnum::Redirect)
                .redirect_config(config.build())
        }
        Action::FixedResponse(response) => {
            let config = FixedResponseActionConfig::builder()
                .status_code(response.status_code.to_string())
                .set_content_type(response.content_type.clone())
                .set_message_body(response.message_body.clone());
            on_wire
                .r#type(ActionTypeEnum::FixedResponse)
                .fixed_response_config(config.build())
        }
        Action::Unmodeled { action_type } => {
            let what = format!("an action {action_type} is never sent");
            return Err(AwsError::unexpected(what));
        }
    }
    .build())
}

fn to_forward(forward: &Forward) -> Result<ForwardActionConfig, AwsError> {
    let groups = forward.target_groups.iter().map(|group| {
        let on_wire = TargetGroupTuple::builder()
            .target_group_arn(known(&group.target_group)?)
            .set_weight(group.weight.map(i32::from));
        Ok(on_wire.build())
    });
    let stickiness = forward.stickiness.map(|stickiness| {
        let seconds = stickiness.duration_seconds;
        TargetGroupStickinessConfig::builder()
            .enabled(stickiness.enabled)
            .set_duration_seconds(seconds.and_then(|seconds| i32::try_from(seconds).ok()))
            .build()
    });
    Ok(ForwardActionConfig::builder()
        .set_target_groups(Some(groups.collect::<Result<_, AwsError>>()?))
        .set_target_group_stickiness_config(stickiness)
        .build())
}

/// All actions of a rule or listener, in their order.
pub(super) fn from_actions(actions: Option<Vec<types::Action>>) -> Vec<Action> {
    let mut actions = actions.unwrap_or_default();
    actions.sort_by_key(|action| action.order.unwrap_or_default());
    actions.into_iter().map(from_action).collect()
}

fn from_action(action: types::Action) -> Action {
    let action_type = action
        .r#type
        .map_or_else(String::new, |name| name.as_str().to_owned());
    // AWS reports one target group in both spellings; the long one says more.
    if let Some(forward) = action.forward_config {
        Action::Forward(from_forward(forward))
    } else if let Some(arn) = action.target_group_arn {
        let only = WeightedTargetGroup {
            target_group: Ref::Known(TargetGroupArn::new(arn)),
            weight: None,
        };
        Action::Forward(Forward {
            target_groups: vec![only],
            stickiness: None,
        })
    } else if let Some(redirect) = action.redirect_config {
        let code = redirect.status_code;
        Action::Redirect(Redirect {
            status_code: code.map_or_else(String::new, |code| code.as_str().to_owned()),
            protocol: redirect.protocol,
            port: redirect.port,
            host: redirect.host,
            path: redirect.path,
            query: redirect.query,
        })
    } else if let Some(fixed) = action.fixed_response_config {
        match fixed.status_code.and_then(|code| code.parse().ok()) {
            Some(status_code) => Action::FixedResponse(FixedResponse {
                status_code,
                content_type: fixed.content_type,
                message_body: fixed.message_body,
            }),
            None => Action::Unmodeled { action_type },
        }
    } else {
        Action::Unmodeled { action_type }
    }
}

fn from_forward(forward: ForwardActionConfig) -> Forward {
    let group = |group: TargetGroupTuple| {
        Some(WeightedTargetGroup {
            target_group: Ref::Known(TargetGroupArn::new(group.target_group_arn?)),
            weight: group.weight.and_then(|weight| u16::try_from(weight).ok()),
        })
    };
    let stickiness = forward.target_group_stickiness_config;
    Forward {
        target_groups: each(forward.target_groups, group),
        stickiness: stickiness.map(|stickiness| Stickiness {
            enabled: stickiness.enabled.unwrap_or_default(),
            duration_seconds: stickiness
                .duration_seconds
                .and_then(|seconds| u32::try_from(seconds).ok()),
        }),
    }
}

// === conditions ===

/// Wildcard patterns, or regular expressions: one of the two.
type Texts = Option<Vec<String>>;

pub(super) fn to_condition(condition: &Condition) -> RuleCondition {
    let on_wire = RuleCondition::builder().field(condition.field());
    match condition {
        Condition::HostHeader { matches } => {
            let (values, regex_values) = to_pattern(matches);
            let config = HostHeaderConditionConfig::builder()
                .set_values(values)
                .set_regex_values(regex_values);
            on_wire.host_header_config(config.build())
        }
        Condition::PathPattern { matches } => {
            let (values, regex_values) = to_pattern(matches);
            let config = PathPatternConditionConfig::builder()
                .set_values(values)
                .set_regex_values(regex_values);
            on_wire.path_pattern_config(config.build())
        }
        Condition::HttpHeader { name, matches } => {
            let (values, regex_values) = to_pattern(matches);
            let config = HttpHeaderConditionConfig::builder()
                .http_header_name(name)
                .set_values(values)
                .set_regex_values(regex_values);
            on_wire.http_header_config(config.build())
        }
        Condition::HttpRequestMethod { values } => {
            let config =
                HttpRequestMethodConditionConfig::builder().set_values(Some(values.clone()));
            on_wire.http_request_method_config(config.build())
        }
        Condition::QueryString { values } => {
            let pair = |pair: &QueryPair| {
                QueryStringKeyValuePair::builder()
                    .set_key(pair.key.clone())
                    .value(&pair.value)
                    .build()
            };
            let pairs = values.iter().map(pair).collect();
            let config = QueryStringConditionConfig::builder().set_values(Some(pairs));
            on_wire.query_string_config(config.build())
        }
        Condition::SourceIp { values } => {
            let config = SourceIpConditionConfig::builder().set_values(Some(values.clone()));
            on_wire.source_ip_config(config.build())
        }
    }
    .build()
}

fn to_pattern(pattern: &Pattern) -> (Texts, Texts) {
    match pattern {
        Pattern::Values(values) => (Some(values.clone()), None),
        Pattern::RegexValues(values) => (None, Some(values.clone())),
    }
}

pub(super) fn from_condition(condition: RuleCondition) -> Result<Condition, AwsError> {
    // Host and path come in an old spelling beside the new one.
    let (old, old_regex) = (condition.values, condition.regex_values);
    Ok(match condition.field.as_deref() {
        Some("host-header") => {
            let config = condition.host_header_config;
            let (values, regex) = config.map_or((old, old_regex), |c| (c.values, c.regex_values));
            let matches = from_pattern(values, regex);
            Condition::HostHeader { matches }
        }
        Some("path-pattern") => {
            let config = condition.path_pattern_config;
            let (values, regex) = config.map_or((old, old_regex), |c| (c.values, c.regex_values));
            let matches = from_pattern(values, regex);
            Condition::PathPattern { matches }
        }
        Some("http-header") => match condition.http_header_config {
            Some(config) => Condition::HttpHeader {
                name: config.http_header_name.unwrap_or_default(),
                matches: from_pattern(config.values, config.regex_values),
            },
            None => return Err(AwsError::unexpected("a header condition without a header")),
        },
        Some("http-request-method") => {
            let config = condition.http_request_method_config;
            let values = config.and_then(|c| c.values).or(old).unwrap_or_default();
            Condition::HttpRequestMethod { values }
        }
        Some("query-string") => {
            let config = condition.query_string_config;
            let pair = |pair: QueryStringKeyValuePair| {
                Some(QueryPair {
                    key: pair.key,
                    value: pair.value.unwrap_or_default(),
                })
            };
            let values = each(config.and_then(|c| c.values), pair);
            Condition::QueryString { values }
        }
        Some("source-ip") => {
            let config = condition.source_ip_config;
            let values = config.and_then(|c| c.values).or(old).unwrap_or_default();
            Condition::SourceIp { values }
        }
        other => {
            let field = other.unwrap_or_default();
            let what = format!("a rule condition of the field {field:?}");
            return Err(AwsError::unexpected(what));
        }
    })
}

fn from_pattern(values: Texts, regex_values: Texts) -> Pattern {
    match regex_values {
        Some(regex_values) if !regex_values.is_empty() => Pattern::RegexValues(regex_values),
        _ => Pattern::Values(values.unwrap_or_default()),
    }
}

// === transforms ===

pub(super) fn to_transform(transform: &Transform) -> RuleTransform {
    let to_rewrite = |rewrite: &Rewrite| {
        RewriteConfig::builder()
            .regex(&rewrite.regex)
            .replace(&rewrite.replace)
            .build()
    };
    match transform {
        Transform::HostHeaderRewrite(rewrite) => {
            let config = HostHeaderRewriteConfig::builder().rewrites(to_rewrite(rewrite));
            RuleTransform::builder()
                .r#type(TransformTypeEnum::HostHeaderRewrite)
                .host_header_rewrite_config(config.build())
        }
        Transform::UrlRewrite(rewrite) => {
            let config = UrlRewriteConfig::builder().rewrites(to_rewrite(rewrite));
            RuleTransform::builder()
                .r#type(TransformTypeEnum::UrlRewrite)
                .url_rewrite_config(config.build())
        }
    }
    .build()
}

pub(super) fn from_transform(transform: RuleTransform) -> Result<Transform, AwsError> {
    // AWS takes one rewrite per transform.
    let only = |rewrites: Option<Vec<RewriteConfig>>| {
        first(rewrites).map(|rewrite| Rewrite {
            regex: rewrite.regex.unwrap_or_default(),
            replace: rewrite.replace.unwrap_or_default(),
        })
    };
    let host = transform.host_header_rewrite_config;
    let url = transform.url_rewrite_config;
    match (
        only(host.and_then(|config| config.rewrites)),
        only(url.and_then(|config| config.rewrites)),
    ) {
        (Some(rewrite), None) => Ok(Transform::HostHeaderRewrite(rewrite)),
        (None, Some(rewrite)) => Ok(Transform::UrlRewrite(rewrite)),
        _ => {
            let name = transform.r#type;
            let name = name.map_or_else(String::new, |name| name.as_str().to_owned());
            let what = format!("a transform of the type {name}");
            Err(AwsError::unexpected(what))
        }
    }
}
