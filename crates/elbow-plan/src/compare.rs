//! Whether what is observed is what is desired, in spite of the forms that AWS answers in.
//!
//! In: desired values whose references are resolved, and observed ones. Out: canonical forms, equal
//! exactly when there is nothing to write. What always holds: an observed value that AWS would report
//! after the desired one was written compares equal to it. The worked examples are the table at the end.
//!
//! | what | is not a difference |
//! |---|---|
//! | forward | order of groups; the weight of a single group; no weight and weight 1; stickiness where none is desired; disabled stickiness and none |
//! | redirect | an absent part and its placeholder, `#{host}` for example |
//! | fixed response | no body and an empty one; no content type and `text/plain` |
//! | conditions | their order, and the order of their values |
//! | transforms | their order |
//! | ALPN policy | `None` and nothing |
//! | mutual authentication | mode `off` and nothing (in the model both are one) |
//! | ingress rules | spellings of one protocol or block |

use std::net::{Ipv4Addr, Ipv6Addr};

use elbow_model::ids::TargetGroupArn;
use elbow_model::rule::{
    Action, Condition, Forward, Pattern, Redirect, Stickiness, Transform, WeightedTargetGroup,
};
use elbow_model::stack::{HealthCheck, IngressRule, IngressSource};
use elbow_model::{Attributes, Ref};

use crate::draft::change;
use crate::plan::Change;

/// What a rule or default action answers, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Answer {
    action: Action,
    transforms: Vec<Transform>,
}

impl Answer {
    pub(crate) fn of(action: &Action, transforms: &[Transform]) -> Self {
        let mut transforms = transforms.to_vec();
        transforms.sort();
        Self {
            action: canonical_action(action),
            transforms,
        }
    }

    /// The answer of a rule that is there. AWS keeps one action besides authentication, which is
    /// reported as unmodeled and so makes the answer differ from all that is wanted.
    pub(crate) fn of_observed(actions: &[Action], transforms: &[Transform]) -> Self {
        let action = match actions {
            [action] => action.clone(),
            _ => Action::Unmodeled {
                action_type: "several".to_owned(),
            },
        };
        Self::of(&action, transforms)
    }

    /// The same answer, where its stickiness does not count.
    pub(crate) fn without_stickiness(&self) -> Self {
        let mut answer = self.clone();
        if let Action::Forward(forward) = &mut answer.action {
            forward.stickiness = None;
        }
        answer
    }
}

/// Whether an observed answer is the desired one: where no stickiness is desired, any will do.
pub(crate) fn answers_equal(desired: &Answer, observed: &Answer) -> bool {
    desired == observed || *desired == observed.without_stickiness()
}

fn canonical_action(action: &Action) -> Action {
    match action {
        Action::Forward(forward) => Action::Forward(canonical_forward(forward)),
        Action::Redirect(redirect) => {
            let or = |part: &Option<String>, default: &str| {
                Some(part.clone().unwrap_or_else(|| default.to_owned()))
            };
            Action::Redirect(Redirect {
                status_code: redirect.status_code.clone(),
                protocol: or(&redirect.protocol, "#{protocol}"),
                port: or(&redirect.port, "#{port}"),
                host: or(&redirect.host, "#{host}"),
                path: or(&redirect.path, "/#{path}"),
                query: or(&redirect.query, "#{query}"),
            })
        }
        Action::FixedResponse(response) => {
            let mut response = response.clone();
            response
                .content_type
                .get_or_insert_with(|| "text/plain".to_owned());
            response.message_body = response.message_body.filter(|body| !body.is_empty());
            Action::FixedResponse(response)
        }
        Action::Unmodeled { .. } => action.clone(),
    }
}

fn canonical_forward(forward: &Forward) -> Forward {
    let mut target_groups = forward.target_groups.clone();
    let single = target_groups.len() == 1;
    for group in &mut target_groups {
        // All of the traffic, whatever the number. Weight 0 of a single group is different: nothing.
        group.weight = match group.weight {
            Some(0) => Some(0),
            Some(weight) if !single => Some(weight),
            _ => Some(1),
        };
    }
    target_groups.sort();
    Forward {
        target_groups,
        stickiness: forward.stickiness.filter(|s| s.enabled),
    }
}

/// The groups of an action that get traffic.
pub(crate) fn receivers(action: &Action) -> Vec<&Ref<TargetGroupArn>> {
    groups(action)
        .iter()
        .filter(|group| group.weight != Some(0))
        .map(|group| &group.target_group)
        .collect()
}

/// All groups of an action.
pub(crate) fn groups(action: &Action) -> &[WeightedTargetGroup] {
    match action {
        Action::Forward(forward) => &forward.target_groups,
        _ => &[],
    }
}

/// Conditions in canonical form. All must match and each of their values will do, so no order counts.
pub(crate) fn canonical_conditions(conditions: &[Condition]) -> Vec<Condition> {
    fn sorted<T: Ord + Clone>(values: &[T]) -> Vec<T> {
        let mut values = values.to_vec();
        values.sort();
        values
    }
    let pattern = |matches: &Pattern| match matches {
        Pattern::Values(values) => Pattern::Values(sorted(values)),
        Pattern::RegexValues(values) => Pattern::RegexValues(sorted(values)),
    };
    let mut conditions: Vec<Condition> = conditions
        .iter()
        .map(|condition| match condition {
            Condition::HostHeader { matches } => Condition::HostHeader {
                matches: pattern(matches),
            },
            Condition::PathPattern { matches } => Condition::PathPattern {
                matches: pattern(matches),
            },
            Condition::HttpHeader { name, matches } => Condition::HttpHeader {
                name: name.clone(),
                matches: pattern(matches),
            },
            Condition::HttpRequestMethod { values } => Condition::HttpRequestMethod {
                values: sorted(values),
            },
            Condition::QueryString { values } => Condition::QueryString {
                values: sorted(values),
            },
            Condition::SourceIp { values } => Condition::SourceIp {
                values: sorted(values),
            },
        })
        .collect();
    conditions.sort();
    conditions
}

/// Attributes that are desired and differ. What is not desired is left as it is.
pub(crate) fn attributes(
    desired: &Attributes,
    observed: &Attributes,
) -> Option<(Attributes, Vec<Change>)> {
    let differing: Attributes = desired
        .iter()
        .filter(|(key, value)| observed.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let changes = differing
        .iter()
        .filter_map(|(key, value)| {
            change(&format!("attributes.{key}"), observed.get(key), Some(value))
        })
        .collect();
    (!differing.is_empty()).then_some((differing, changes))
}

/// How two health checks differ; a path or matcher that is not desired is left as it is.
pub(crate) fn health_check(desired: &HealthCheck, observed: &HealthCheck) -> Vec<Change> {
    let matcher = |check: &HealthCheck| {
        use elbow_model::stack::Matcher;
        check.matcher.as_ref().map(|matcher| match matcher {
            Matcher::HttpCode(codes) => format!("HTTP {codes}"),
            Matcher::GrpcCode(codes) => format!("gRPC {codes}"),
        })
    };
    let field = |name: &str| format!("healthCheck.{name}");
    let mut changes = vec![
        change(&field("port"), Some(&observed.port), Some(&desired.port)),
        change(
            &field("protocol"),
            Some(observed.protocol),
            Some(desired.protocol),
        ),
        change(
            &field("intervalSeconds"),
            Some(observed.interval_seconds),
            Some(desired.interval_seconds),
        ),
        change(
            &field("timeoutSeconds"),
            Some(observed.timeout_seconds),
            Some(desired.timeout_seconds),
        ),
        change(
            &field("healthyThresholdCount"),
            Some(observed.healthy_threshold_count),
            Some(desired.healthy_threshold_count),
        ),
        change(
            &field("unhealthyThresholdCount"),
            Some(observed.unhealthy_threshold_count),
            Some(desired.unhealthy_threshold_count),
        ),
    ];
    if desired.path.is_some() {
        changes.push(change(
            &field("path"),
            observed.path.as_ref(),
            desired.path.as_ref(),
        ));
    }
    if desired.matcher.is_some() {
        changes.push(change(
            &field("matcher"),
            matcher(observed),
            matcher(desired),
        ));
    }
    changes.into_iter().flatten().collect()
}

/// An ALPN policy; `None` is the policy of that name as well as its absence.
pub(crate) fn alpn(policy: Option<&str>) -> Option<&str> {
    policy.filter(|policy| *policy != "None")
}

/// An ingress rule as EC2 stores it: `100.68.0.18/18` is `100.68.0.0/18`, protocol `6` is `tcp`. Without its
/// description, which is no part of what makes two rules the same.
pub(crate) fn canonical_ingress(rule: &IngressRule) -> IngressRule {
    let protocol = match rule.protocol.as_str() {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" => "icmpv6",
        "all" => "-1",
        other => other,
    };
    let source = match &rule.source {
        IngressSource::Ipv4(cidr) => IngressSource::Ipv4(canonical_v4(cidr)),
        IngressSource::Ipv6(cidr) => IngressSource::Ipv6(canonical_v6(cidr)),
        other => other.clone(),
    };
    let every_port = protocol == "-1";
    IngressRule {
        protocol: protocol.to_ascii_lowercase(),
        from_port: rule.from_port.filter(|_| !every_port),
        to_port: rule.to_port.filter(|_| !every_port),
        source,
        description: None,
    }
}

/// A block that cannot be read is left as it is, for AWS to refuse.
fn canonical_v4(cidr: &str) -> String {
    let parsed = cidr
        .split_once('/')
        .and_then(|(ip, bits)| Some((ip.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok()?)));
    match parsed {
        Some((ip, bits)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            format!("{}/{bits}", Ipv4Addr::from(u32::from(ip) & mask))
        }
        _ => cidr.to_owned(),
    }
}

fn canonical_v6(cidr: &str) -> String {
    let parsed = cidr
        .split_once('/')
        .and_then(|(ip, bits)| Some((ip.parse::<Ipv6Addr>().ok()?, bits.parse::<u32>().ok()?)));
    match parsed {
        Some((ip, bits)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            format!("{}/{bits}", Ipv6Addr::from(u128::from(ip) & mask))
        }
        _ => cidr.to_owned(),
    }
}

/// An action in one line, for people.
pub(crate) fn describe_action(action: &Action) -> String {
    match action {
        Action::Forward(forward) => {
            let groups: Vec<String> = forward
                .target_groups
                .iter()
                .map(|group| {
                    let name = short_group(&group.target_group);
                    match group.weight {
                        Some(weight) if forward.target_groups.len() > 1 => {
                            format!("{name} ({weight})")
                        }
                        _ => name,
                    }
                })
                .collect();
            let sticky = match forward.stickiness {
                Some(Stickiness { enabled: true, .. }) => ", sticky",
                _ => "",
            };
            format!("forward to {}{sticky}", groups.join(", "))
        }
        Action::Redirect(redirect) => {
            let part = |part: &Option<String>, default: &str| {
                part.clone().unwrap_or_else(|| default.to_owned())
            };
            format!(
                "redirect {} to {}://{}:{}{}",
                redirect.status_code.trim_start_matches("HTTP_"),
                part(&redirect.protocol, "#{protocol}").to_ascii_lowercase(),
                part(&redirect.host, "#{host}"),
                part(&redirect.port, "#{port}"),
                part(&redirect.path, "/#{path}"),
            )
        }
        Action::FixedResponse(response) => format!("answer {}", response.status_code),
        Action::Unmodeled { action_type } => format!("({action_type})"),
    }
}

/// A target group in a few characters: the name in its ARN, or its resource id.
fn short_group(group: &Ref<TargetGroupArn>) -> String {
    match group {
        Ref::Known(arn) => arn
            .as_str()
            .rsplit('/')
            .nth(1)
            .unwrap_or(arn.as_str())
            .to_owned(),
        Ref::Of(key) => key.id.to_string(),
    }
}

/// Conditions in one line, for people.
pub(crate) fn describe_conditions(conditions: &[Condition]) -> String {
    let pattern = |matches: &Pattern| match matches {
        Pattern::Values(values) => values.join("|"),
        Pattern::RegexValues(values) => format!("~{}", values.join("|~")),
    };
    let parts: Vec<String> = conditions
        .iter()
        .map(|condition| match condition {
            Condition::HostHeader { matches } | Condition::PathPattern { matches } => {
                pattern(matches)
            }
            Condition::HttpHeader { name, matches } => format!("{name}: {}", pattern(matches)),
            Condition::HttpRequestMethod { values } => values.join("|"),
            Condition::QueryString { values } => {
                let pairs: Vec<String> = values
                    .iter()
                    .map(|pair| match &pair.key {
                        Some(key) => format!("{key}={}", pair.value),
                        None => pair.value.clone(),
                    })
                    .collect();
                format!("?{}", pairs.join("|"))
            }
            Condition::SourceIp { values } => format!("from {}", values.join("|")),
        })
        .collect();
    parts.join(" ")
}

/// Transforms in one line, for people.
pub(crate) fn describe_transforms(transforms: &[Transform]) -> Option<String> {
    let parts: Vec<String> = transforms
        .iter()
        .map(|transform| match transform {
            Transform::HostHeaderRewrite(r) => format!("host {} to {}", r.regex, r.replace),
            Transform::UrlRewrite(r) => format!("url {} to {}", r.regex, r.replace),
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use elbow_model::ids::TargetGroupArn;
    use elbow_model::rule::{
        Action, Condition, FixedResponse, Forward, Pattern, QueryPair, Redirect, Rewrite,
        Stickiness, Transform, WeightedTargetGroup,
    };
    use elbow_model::stack::{IngressRule, IngressSource};

    use super::{Answer, alpn, answers_equal, canonical_conditions, canonical_ingress};

    fn forward(groups: &[(&str, Option<u16>)], stickiness: Option<Stickiness>) -> Action {
        let target_groups = groups
            .iter()
            .map(|(arn, weight)| WeightedTargetGroup {
                target_group: TargetGroupArn::new(*arn).into(),
                weight: *weight,
            })
            .collect();
        Action::Forward(Forward {
            target_groups,
            stickiness,
        })
    }

    fn sticky(enabled: bool, duration_seconds: Option<u32>) -> Stickiness {
        Stickiness {
            enabled,
            duration_seconds,
        }
    }

    fn redirect(host: Option<&str>, query: Option<&str>) -> Action {
        Action::Redirect(Redirect {
            status_code: "HTTP_302".to_owned(),
            host: host.map(str::to_owned),
            query: query.map(str::to_owned),
            ..Redirect::default()
        })
    }

    fn fixed(content_type: Option<&str>, body: Option<&str>) -> Action {
        Action::FixedResponse(FixedResponse {
            status_code: 404,
            content_type: content_type.map(str::to_owned),
            message_body: body.map(str::to_owned),
        })
    }

    #[test]
    fn answers() {
        let off = || Some(sticky(false, None));
        let on = || Some(sticky(true, Some(60)));
        for (name, desired, observed, equal) in [
            (
                "single, no weight",
                forward(&[("a", None)], None),
                forward(&[("a", Some(1))], off()),
                true,
            ),
            (
                "single, other weight",
                forward(&[("a", Some(5))], None),
                forward(&[("a", Some(1))], off()),
                true,
            ),
            (
                "single, nothing",
                forward(&[("a", Some(1))], None),
                forward(&[("a", Some(0))], off()),
                false,
            ),
            (
                "two, other order",
                forward(&[("b", Some(1)), ("a", Some(2))], None),
                forward(&[("a", Some(2)), ("b", Some(1))], off()),
                true,
            ),
            (
                "two, other weights",
                forward(&[("a", Some(1)), ("b", Some(2))], None),
                forward(&[("a", Some(2)), ("b", Some(1))], off()),
                false,
            ),
            (
                "other group",
                forward(&[("a", None)], None),
                forward(&[("b", Some(1))], off()),
                false,
            ),
            (
                "stickiness is not asked for",
                forward(&[("a", None)], None),
                forward(&[("a", None)], on()),
                true,
            ),
            (
                "stickiness is asked for",
                forward(&[("a", None)], on()),
                forward(&[("a", None)], off()),
                false,
            ),
            (
                "stickiness is asked off",
                forward(&[("a", None)], Some(sticky(false, Some(3600)))),
                forward(&[("a", None)], off()),
                true,
            ),
            (
                "redirect defaults",
                redirect(None, None),
                redirect(Some("#{host}"), Some("#{query}")),
                true,
            ),
            (
                "redirect elsewhere",
                redirect(Some("x"), None),
                redirect(None, None),
                false,
            ),
            (
                "empty body",
                fixed(Some("text/plain"), None),
                fixed(Some("text/plain"), Some("")),
                true,
            ),
            (
                "default content type",
                fixed(None, None),
                fixed(Some("text/plain"), None),
                true,
            ),
            (
                "other body",
                fixed(None, Some("x")),
                fixed(None, None),
                false,
            ),
        ] {
            let found = answers_equal(
                &Answer::of(&desired, &[]),
                &Answer::of_observed(&[observed], &[]),
            );
            assert_eq!(found, equal, "{name}");
        }
        let several = [forward(&[("a", None)], None), redirect(None, None)];
        assert!(!answers_equal(
            &Answer::of(&several[0], &[]),
            &Answer::of_observed(&several, &[])
        ));
    }

    #[test]
    fn transforms_in_any_order() {
        let rewrite = |regex: &str| Rewrite {
            regex: regex.to_owned(),
            replace: "x".to_owned(),
        };
        let a = Transform::UrlRewrite(rewrite("a"));
        let b = Transform::HostHeaderRewrite(rewrite("b"));
        let answer = |transforms: &[Transform]| Answer::of(&fixed(None, None), transforms);
        assert_eq!(answer(&[a.clone(), b.clone()]), answer(&[b, a.clone()]));
        assert_ne!(answer(&[a]), answer(&[]));
    }

    #[test]
    fn conditions_in_any_order() {
        let values = |v: &[&str]| v.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        let header = |name: &str, v: &[&str]| Condition::HttpHeader {
            name: name.to_owned(),
            matches: Pattern::Values(values(v)),
        };
        let query = |key: &str| Condition::QueryString {
            values: vec![QueryPair {
                key: Some(key.to_owned()),
                value: "1".to_owned(),
            }],
        };
        let host = || Condition::HostHeader {
            matches: Pattern::Values(values(&["a.example"])),
        };
        for (name, a, b, equal) in [
            (
                "two headers",
                vec![header("x", &["1"]), header("y", &["2"])],
                vec![header("y", &["2"]), header("x", &["1"])],
                true,
            ),
            (
                "two parameters",
                vec![query("x"), query("y")],
                vec![query("y"), query("x")],
                true,
            ),
            (
                "fields",
                vec![host(), query("x")],
                vec![query("x"), host()],
                true,
            ),
            (
                "values",
                vec![header("x", &["1", "2"])],
                vec![header("x", &["2", "1"])],
                true,
            ),
            (
                "a value more",
                vec![header("x", &["1", "2"])],
                vec![header("x", &["1"])],
                false,
            ),
            (
                "regular expressions",
                vec![Condition::PathPattern {
                    matches: Pattern::Values(values(&["/a"])),
                }],
                vec![Condition::PathPattern {
                    matches: Pattern::RegexValues(values(&["/a"])),
                }],
                false,
            ),
        ] {
            assert_eq!(
                canonical_conditions(&a) == canonical_conditions(&b),
                equal,
                "{name}"
            );
        }
    }

    #[test]
    fn ingress_rules() {
        let rule = |protocol: &str, source| {
            canonical_ingress(&IngressRule {
                protocol: protocol.to_owned(),
                from_port: Some(80),
                to_port: Some(80),
                source,
                description: Some("of somebody's".to_owned()),
            })
        };
        let v4 = |cidr: &str| IngressSource::Ipv4(cidr.to_owned());
        let v6 = |cidr: &str| IngressSource::Ipv6(cidr.to_owned());
        assert_eq!(
            rule("tcp", v4("100.68.0.18/18")),
            rule("6", v4("100.68.0.0/18"))
        );
        assert_eq!(rule("tcp", v4("1.2.3.4/0")), rule("tcp", v4("0.0.0.0/0")));
        assert_eq!(
            rule("tcp", v6("2001:DB8:0::1/32")),
            rule("tcp", v6("2001:db8::/32"))
        );
        assert_eq!(rule("tcp", v6("0::/0")), rule("tcp", v6("::/0")));
        assert_ne!(rule("tcp", v4("10.0.0.0/8")), rule("udp", v4("10.0.0.0/8")));
        assert_eq!(rule("tcp", v4("nonsense")).source, v4("nonsense"));
        assert_eq!(rule("-1", v4("10.0.0.0/8")).from_port, None);
    }

    #[test]
    fn alpn_none_is_nothing() {
        assert_eq!(alpn(Some("None")), alpn(None));
        assert_ne!(alpn(Some("HTTP2Only")), alpn(None));
    }
}
