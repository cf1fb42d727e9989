//! Conditions, actions and transforms, both ways: they are the only shapes that are both sent and
//! received, so their two directions stand side by side.

use elbow_emulator::generated::elbv2 as wire;
use elbow_model::rule::{
    Action, Condition, FixedResponse, Forward, Pattern, QueryPair, Redirect, Rewrite, Stickiness,
    Transform, WeightedTargetGroup,
};
use elbow_model::{AwsError, Ref, TargetGroupArn};

use super::requests::known;

// === actions ===

pub(crate) fn action_to_wire(action: &Action) -> Result<wire::Action, AwsError> {
    Ok(match action {
        Action::Forward(forward) => wire::Action {
            r#type: "forward".to_owned(),
            forward_config: Some(forward_to_wire(forward)?),
            ..Default::default()
        },
        Action::Redirect(redirect) => wire::Action {
            r#type: "redirect".to_owned(),
            redirect_config: Some(wire::RedirectActionConfig {
                status_code: redirect.status_code.clone(),
                protocol: redirect.protocol.clone(),
                port: redirect.port.clone(),
                host: redirect.host.clone(),
                path: redirect.path.clone(),
                query: redirect.query.clone(),
            }),
            ..Default::default()
        },
        Action::FixedResponse(response) => wire::Action {
            r#type: "fixed-response".to_owned(),
            fixed_response_config: Some(wire::FixedResponseActionConfig {
                status_code: response.status_code.to_string(),
                content_type: response.content_type.clone(),
                message_body: response.message_body.clone(),
            }),
            ..Default::default()
        },
        Action::Unmodeled { action_type } => {
            return Err(AwsError::unexpected(format!(
                "an action {action_type} is never sent"
            )));
        }
    })
}

fn forward_to_wire(forward: &Forward) -> Result<wire::ForwardActionConfig, AwsError> {
    let groups = forward.target_groups.iter().map(|group| {
        Ok(wire::TargetGroupTuple {
            target_group_arn: Some(known(&group.target_group)?),
            weight: group.weight.map(i32::from),
        })
    });
    let stickiness = forward
        .stickiness
        .map(|s| wire::TargetGroupStickinessConfig {
            enabled: Some(s.enabled),
            duration_seconds: s.duration_seconds.and_then(|d| i32::try_from(d).ok()),
        });
    Ok(wire::ForwardActionConfig {
        target_groups: Some(groups.collect::<Result<_, AwsError>>()?),
        target_group_stickiness_config: stickiness,
    })
}

/// All actions of a rule or listener, in their order.
pub(crate) fn actions_from_wire(actions: Option<Vec<wire::Action>>) -> Vec<Action> {
    let mut actions = actions.unwrap_or_default();
    actions.sort_by_key(|action| action.order.unwrap_or_default());
    actions.into_iter().map(action_from_wire).collect()
}

fn action_from_wire(action: wire::Action) -> Action {
    match action {
        // AWS reports one target group in both spellings; the long one says more.
        wire::Action {
            forward_config: Some(forward),
            ..
        } => Action::Forward(Forward {
            target_groups: weighted(forward.target_groups.unwrap_or_default()),
            stickiness: forward.target_group_stickiness_config.map(|s| Stickiness {
                enabled: s.enabled.unwrap_or_default(),
                duration_seconds: s.duration_seconds.and_then(|d| u32::try_from(d).ok()),
            }),
        }),
        wire::Action {
            target_group_arn: Some(arn),
            ..
        } => Action::Forward(Forward {
            target_groups: vec![WeightedTargetGroup {
                target_group: Ref::Known(TargetGroupArn::new(arn)),
                weight: None,
            }],
            stickiness: None,
        }),
        wire::Action {
            redirect_config: Some(redirect),
            ..
        } => Action::Redirect(Redirect {
            status_code: redirect.status_code,
            protocol: redirect.protocol,
            port: redirect.port,
            host: redirect.host,
            path: redirect.path,
            query: redirect.query,
        }),
        wire::Action {
            fixed_response_config: Some(fixed),
            r#type,
            ..
        } => match fixed.status_code.parse() {
            Ok(status_code) => Action::FixedResponse(FixedResponse {
                status_code,
                content_type: fixed.content_type,
                message_body: fixed.message_body,
            }),
            Err(_) => Action::Unmodeled {
                action_type: r#type,
            },
        },
        wire::Action { r#type, .. } => Action::Unmodeled {
            action_type: r#type,
        },
    }
}

fn weighted(groups: Vec<wire::TargetGroupTuple>) -> Vec<WeightedTargetGroup> {
    let group = |group: wire::TargetGroupTuple| {
        Some(WeightedTargetGroup {
            target_group: Ref::Known(TargetGroupArn::new(group.target_group_arn?)),
            weight: group.weight.and_then(|w| u16::try_from(w).ok()),
        })
    };
    groups.into_iter().filter_map(group).collect()
}

// === conditions ===

pub(crate) fn condition_to_wire(condition: &Condition) -> wire::RuleCondition {
    let mut on_wire = wire::RuleCondition {
        field: Some(condition.field().to_owned()),
        ..Default::default()
    };
    match condition {
        Condition::HostHeader { matches } => {
            let (values, regex_values) = pattern_to_wire(matches);
            on_wire.host_header_config = Some(wire::HostHeaderConditionConfig {
                regex_values,
                values,
            });
        }
        Condition::PathPattern { matches } => {
            let (values, regex_values) = pattern_to_wire(matches);
            on_wire.path_pattern_config = Some(wire::PathPatternConditionConfig {
                regex_values,
                values,
            });
        }
        Condition::HttpHeader { name, matches } => {
            let (values, regex_values) = pattern_to_wire(matches);
            on_wire.http_header_config = Some(wire::HttpHeaderConditionConfig {
                http_header_name: Some(name.clone()),
                regex_values,
                values,
            });
        }
        Condition::HttpRequestMethod { values } => {
            on_wire.http_request_method_config = Some(wire::HttpRequestMethodConditionConfig {
                values: Some(values.clone()),
            });
        }
        Condition::QueryString { values } => {
            let pair = |pair: &QueryPair| wire::QueryStringKeyValuePair {
                key: pair.key.clone(),
                value: Some(pair.value.clone()),
            };
            on_wire.query_string_config = Some(wire::QueryStringConditionConfig {
                values: Some(values.iter().map(pair).collect()),
            });
        }
        Condition::SourceIp { values } => {
            on_wire.source_ip_config = Some(wire::SourceIpConditionConfig {
                values: Some(values.clone()),
                ..Default::default()
            });
        }
    }
    on_wire
}

type Texts = Option<Vec<String>>;

fn pattern_to_wire(pattern: &Pattern) -> (Texts, Texts) {
    match pattern {
        Pattern::Values(values) => (Some(values.clone()), None),
        Pattern::RegexValues(values) => (None, Some(values.clone())),
    }
}

pub(crate) fn condition_from_wire(condition: wire::RuleCondition) -> Result<Condition, AwsError> {
    // Host and path come in an old spelling beside the new one.
    let (old, old_regex) = (condition.values, condition.regex_values);
    match condition.field.as_deref() {
        Some("host-header") => {
            let config = condition.host_header_config;
            let (values, regex) = config.map_or((old, old_regex), |c| (c.values, c.regex_values));
            Ok(Condition::HostHeader {
                matches: pattern_from_wire(values, regex),
            })
        }
        Some("path-pattern") => {
            let config = condition.path_pattern_config;
            let (values, regex) = config.map_or((old, old_regex), |c| (c.values, c.regex_values));
            Ok(Condition::PathPattern {
                matches: pattern_from_wire(values, regex),
            })
        }
        Some("http-header") => {
            let config = condition.http_header_config.unwrap_or_default();
            Ok(Condition::HttpHeader {
                name: config.http_header_name.unwrap_or_default(),
                matches: pattern_from_wire(config.values, config.regex_values),
            })
        }
        Some("http-request-method") => {
            let config = condition.http_request_method_config;
            let values = config.and_then(|c| c.values).or(old);
            Ok(Condition::HttpRequestMethod {
                values: values.unwrap_or_default(),
            })
        }
        Some("query-string") => {
            let config = condition.query_string_config.unwrap_or_default();
            let pairs = config.values.unwrap_or_default().into_iter();
            let pair = |pair: wire::QueryStringKeyValuePair| QueryPair {
                key: pair.key,
                value: pair.value.unwrap_or_default(),
            };
            Ok(Condition::QueryString {
                values: pairs.map(pair).collect(),
            })
        }
        Some("source-ip") => {
            let config = condition.source_ip_config;
            let values = config.and_then(|c| c.values).or(old);
            Ok(Condition::SourceIp {
                values: values.unwrap_or_default(),
            })
        }
        other => Err(AwsError::unexpected(format!(
            "a rule condition of the field {:?}",
            other.unwrap_or_default()
        ))),
    }
}

fn pattern_from_wire(values: Texts, regex_values: Texts) -> Pattern {
    match regex_values {
        Some(regex_values) if !regex_values.is_empty() => Pattern::RegexValues(regex_values),
        _ => Pattern::Values(values.unwrap_or_default()),
    }
}

// === transforms ===

pub(crate) fn transform_to_wire(transform: &Transform) -> wire::RuleTransform {
    let rewrites = |rewrite: &Rewrite| {
        Some(vec![wire::RewriteConfig {
            regex: rewrite.regex.clone(),
            replace: rewrite.replace.clone(),
        }])
    };
    match transform {
        Transform::HostHeaderRewrite(rewrite) => wire::RuleTransform {
            r#type: "host-header-rewrite".to_owned(),
            host_header_rewrite_config: Some(wire::HostHeaderRewriteConfig {
                rewrites: rewrites(rewrite),
            }),
            url_rewrite_config: None,
        },
        Transform::UrlRewrite(rewrite) => wire::RuleTransform {
            r#type: "url-rewrite".to_owned(),
            host_header_rewrite_config: None,
            url_rewrite_config: Some(wire::UrlRewriteConfig {
                rewrites: rewrites(rewrite),
            }),
        },
    }
}

pub(crate) fn transform_from_wire(transform: wire::RuleTransform) -> Result<Transform, AwsError> {
    let host = transform
        .host_header_rewrite_config
        .and_then(|c| c.rewrites);
    let url = transform.url_rewrite_config.and_then(|c| c.rewrites);
    // AWS takes one rewrite per transform.
    let first = |rewrites: Vec<wire::RewriteConfig>| {
        let rewrite = rewrites.into_iter().next()?;
        Some(Rewrite {
            regex: rewrite.regex,
            replace: rewrite.replace,
        })
    };
    let found = match (host.and_then(first), url.and_then(first)) {
        (Some(rewrite), None) => Some(Transform::HostHeaderRewrite(rewrite)),
        (None, Some(rewrite)) => Some(Transform::UrlRewrite(rewrite)),
        _ => None,
    };
    found.ok_or_else(|| {
        AwsError::unexpected(format!("a transform of the type {}", transform.r#type))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_come_back_as_they_were_sent() {
        let values = || Pattern::Values(vec!["a*".into(), "b".into()]);
        let regexes = || Pattern::RegexValues(vec!["^a".into()]);
        let rows = [
            Condition::HostHeader { matches: values() },
            Condition::HostHeader { matches: regexes() },
            Condition::PathPattern { matches: values() },
            Condition::PathPattern { matches: regexes() },
            Condition::HttpHeader {
                name: "X-A".into(),
                matches: values(),
            },
            Condition::HttpHeader {
                name: "X-A".into(),
                matches: regexes(),
            },
            Condition::HttpRequestMethod {
                values: vec!["GET".into()],
            },
            Condition::QueryString {
                values: vec![
                    QueryPair {
                        key: Some("k".into()),
                        value: "v".into(),
                    },
                    QueryPair {
                        key: None,
                        value: "w".into(),
                    },
                ],
            },
            Condition::SourceIp {
                values: vec!["10.0.0.0/8".into()],
            },
        ];
        for condition in rows {
            let back = condition_from_wire(condition_to_wire(&condition));
            assert_eq!(back, Ok(condition));
        }
        let unknown = wire::RuleCondition {
            field: Some("phase".into()),
            ..Default::default()
        };
        assert!(condition_from_wire(unknown).is_err());
    }

    #[test]
    fn the_old_spelling_of_a_condition_is_understood() {
        let old = wire::RuleCondition {
            field: Some("path-pattern".into()),
            values: Some(vec!["/a".into()]),
            ..Default::default()
        };
        let matches = Pattern::Values(vec!["/a".into()]);
        assert_eq!(
            condition_from_wire(old),
            Ok(Condition::PathPattern { matches })
        );
    }

    #[test]
    fn actions_and_transforms_come_back_as_they_were_sent() {
        let group = |arn: &str, weight| WeightedTargetGroup {
            target_group: TargetGroupArn::new(arn).into(),
            weight,
        };
        let rows = [
            Action::Forward(Forward {
                target_groups: vec![group("a", Some(1)), group("b", Some(0))],
                stickiness: Some(Stickiness {
                    enabled: true,
                    duration_seconds: Some(60),
                }),
            }),
            Action::Redirect(Redirect {
                status_code: "HTTP_301".into(),
                host: Some("example.com".into()),
                ..Redirect::default()
            }),
            Action::FixedResponse(FixedResponse::plain(404)),
        ];
        for action in rows {
            let sent = action_to_wire(&action).unwrap();
            assert_eq!(actions_from_wire(Some(vec![sent])), [action]);
        }
        let rewrite = || Rewrite {
            regex: "^/a".into(),
            replace: "/b".into(),
        };
        for transform in [
            Transform::UrlRewrite(rewrite()),
            Transform::HostHeaderRewrite(rewrite()),
        ] {
            assert_eq!(
                transform_from_wire(transform_to_wire(&transform)),
                Ok(transform)
            );
        }
        let login = wire::Action {
            r#type: "authenticate-oidc".into(),
            ..Default::default()
        };
        let action_type = "authenticate-oidc".into();
        assert_eq!(
            actions_from_wire(Some(vec![login])),
            [Action::Unmodeled { action_type }]
        );
    }
}
