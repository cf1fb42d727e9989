//! Rules of an application load balancer's listeners.
//!
//! In: the routes of a port. Out: its rules in the order in which they are evaluated, one for each
//! rule, match and hostname. A rule whose conditions AWS would refuse is left out; one whose action
//! it would refuse answers 500. Both are findings and show in the route's status; siblings live.

use std::collections::BTreeMap;

use elbow_api::crds::ListenerRuleConfiguration;
use elbow_api::{Diagnostic, Kind, ObjectRef};
use elbow_model::rule::{Action, Condition, FixedResponse, Pattern, Transform};
use elbow_model::stack::{Protocol, Rule};
use elbow_model::{Cause, Port, ResourceId};

use super::attachment::PortHostnames;
use super::backends::ResolvedRoute;
use super::conditions::{self, RuleProblem};
use super::hostnames;
use super::listeners::Listener;
use super::precedence::{self, Unit};
use super::routes::{PathMatchType, Route, RouteKind};
use super::tags::{self, UserTags};
use super::target_groups::TargetGroups;
use super::{Frame, RouteFailures, actions};
use crate::settings::HostnamePorts;

/// A rule that has no priority yet.
#[derive(Debug)]
pub(crate) struct DraftRule<'a> {
    /// The route's place among the Gateway's routes; `None` for a rule that keeps listeners apart.
    route_index: Option<usize>,
    /// The route, or what declares the listener.
    object: ObjectRef,
    /// Empty for any host.
    hostname: String,
    conditions: Vec<Condition>,
    action: Action,
    transforms: Vec<Transform>,
    configuration: Option<&'a ListenerRuleConfiguration>,
}

/// The rules of one port. `port_routes` are the routes on it, by their place among `routes`.
pub(crate) fn of_port<'a>(
    frame: &Frame<'_, 'a>,
    protocol: Protocol,
    routes: &[Route],
    resolved: &[ResolvedRoute<'a>],
    port_routes: &BTreeMap<usize, PortHostnames>,
    groups: &mut TargetGroups<'_, '_, 'a>,
    failures: &mut [RouteFailures],
) -> Vec<DraftRule<'a>> {
    let mut rules = Vec::new();
    for unit in units(routes, port_routes) {
        let resolved_rule = &resolved[unit.route_index].rules[unit.rule_index];
        let targets: Vec<_> = resolved_rule
            .backends
            .iter()
            .map(|b| groups.ensure(unit.route, b, protocol))
            .collect();
        let configuration = resolved_rule.configuration;
        let conditions =
            match conditions::of(&unit, frame.ctx.settings.hostname_ports, configuration) {
                Ok(conditions) => conditions,
                Err(problem) => {
                    report(frame, &unit, *problem, failures);
                    continue;
                }
            };
        warn(frame, &unit);
        warn_of_refusal(frame, &unit, &conditions);
        let (action, transforms) = match actions::of(&unit, resolved_rule, targets, protocol) {
            Ok(action) => (action, actions::transforms(&unit)),
            Err(problem) => {
                report(frame, &unit, *problem, failures);
                (actions::no_backend(), Vec::new())
            }
        };
        rules.push(DraftRule {
            route_index: Some(unit.route_index),
            object: unit.route.object(),
            hostname: unit.hostname.to_owned(),
            conditions,
            action,
            transforms,
            configuration,
        });
    }
    rules
}

/// Keeps the listeners of a port apart: what no rule of a listener takes is refused with 404, also
/// where a wider listener of the port has a rule that would take it. `rules` are those of the port, in
/// the order in which they are evaluated.
pub(crate) fn isolate(
    rules: &mut Vec<DraftRule<'_>>,
    listeners: &[&Listener],
    ports: HostnamePorts,
) {
    let listeners: BTreeMap<_, _> = listeners
        .iter()
        .filter_map(|l| Some((l.hostname.as_deref()?, l)))
        .collect();
    for (hostname, listener) in listeners {
        let is_wider = |r: &DraftRule<'_>| {
            r.hostname != hostname && hostnames::is_within(hostname, &r.hostname)
        };
        let takes_all = |r: &DraftRule<'_>| r.hostname == hostname && is_catch_all(&r.conditions);
        if !rules.iter().any(is_wider) || rules.iter().any(takes_all) {
            continue;
        }
        // Hostnames are the first thing that rules are sorted by, so all that are wider come after.
        let last = precedence::host(hostname);
        let place = rules.partition_point(|r| precedence::host(&r.hostname) <= last);
        let rule = DraftRule {
            route_index: None,
            object: listener.owner.clone(),
            hostname: hostname.to_owned(),
            conditions: vec![conditions::host(hostname, ports)],
            action: Action::FixedResponse(FixedResponse::plain(404)),
            transforms: Vec::new(),
            configuration: None,
        };
        rules.insert(place, rule);
    }
}

/// Whether a rule takes all requests for its host.
fn is_catch_all(conditions: &[Condition]) -> bool {
    conditions.iter().all(|condition| match condition {
        Condition::HostHeader { .. } => true,
        Condition::PathPattern {
            matches: Pattern::Values(values),
        } => values.iter().any(|v| v == "/*"),
        _ => false,
    })
}

/// One unit for each rule, match and hostname, the highest precedence first.
fn units<'r>(
    routes: &'r [Route],
    port_routes: &'r BTreeMap<usize, PortHostnames>,
) -> Vec<Unit<'r>> {
    let mut units = Vec::new();
    for (route_index, common) in port_routes {
        let route = &routes[*route_index];
        for (rule_index, rule) in route.rules.iter().enumerate() {
            // A rule without matches, which only a GRPCRoute has, comes after all that have some.
            let matches = if rule.matches.is_empty() {
                vec![usize::MAX]
            } else {
                (0..rule.matches.len()).collect()
            };
            for match_index in matches {
                units.extend(common.iter().map(|hostname| Unit {
                    route_index: *route_index,
                    route,
                    rule_index,
                    match_index,
                    hostname,
                }));
            }
        }
    }
    precedence::sort(&mut units);
    units
}

fn report(
    frame: &Frame<'_, '_>,
    unit: &Unit<'_>,
    problem: RuleProblem,
    failures: &mut [RouteFailures],
) {
    let rule = format!("spec.rules[{}]", unit.rule_index);
    let field = match problem.field.as_str() {
        "" => rule,
        "hostname" => "spec.hostnames".to_owned(),
        field => format!("{rule}.{field}"),
    };
    frame.ctx.report(
        Diagnostic::error(problem.code, problem.message)
            .on(unit.route.object())
            .at(field)
            .hint(problem.hint),
    );
    failures[unit.route_index].note(problem.failure);
}

/// Characters that AWS documents for a path beside letters and digits:
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html#path-conditions>.
const PATH_CHARACTERS: &str = "_-.$/~\"'@:+&*?";

/// What AWS documents that it refuses in regular expressions: look-around, references, classes of
/// Unicode.
const REGEX_REFUSED: [&str; 7] = ["(?=", "(?!", "(?<", "(?>", "\\1", "\\p{", "\\P{"];

/// Findings about conditions that AWS says it refuses. They are sent all the same: what is documented
/// may be narrower than what is done, and a rule that LBC made must not go at a change-over.
fn warn_of_refusal(frame: &Frame<'_, '_>, unit: &Unit<'_>, conditions: &[Condition]) {
    for condition in conditions {
        let doubt = match condition {
            Condition::PathPattern {
                matches: Pattern::Values(values),
            } => values
                .iter()
                .flat_map(|v| v.chars())
                .find(|c| !c.is_ascii_alphanumeric() && !PATH_CHARACTERS.contains(*c))
                .map(|c| format!("the path has the character `{c}`")),
            Condition::HostHeader {
                matches: Pattern::Values(values),
            } => values
                .iter()
                .find(|v| {
                    !v.rsplit_once('.')
                        .is_some_and(|(_, last)| last.chars().all(char::is_alphabetic))
                })
                .map(|v| format!("the hostname `{v}` does not end in a domain of letters")),
            Condition::PathPattern {
                matches: Pattern::RegexValues(values),
            }
            | Condition::HttpHeader {
                matches: Pattern::RegexValues(values),
                ..
            } => REGEX_REFUSED
                .iter()
                .find(|part| values.iter().any(|v| v.contains(**part)))
                .map(|part| format!("the regular expression has `{part}`")),
            _ => None,
        };
        if let Some(doubt) = doubt {
            let field = format!(
                "spec.rules[{}].matches[{}]",
                unit.rule_index, unit.match_index
            );
            frame.ctx.report(
                Diagnostic::warning(
                    "aws-may-refuse",
                    format!("{doubt}, which AWS says it refuses"),
                )
                .on(unit.route.object())
                .at(field)
                .hint("use what the AWS page `Condition types for listener rules` allows"),
            );
        }
    }
}

/// Findings about what takes another effect than meant.
fn warn(frame: &Frame<'_, '_>, unit: &Unit<'_>) {
    let Some(m) = unit.matches() else {
        return;
    };
    let field = format!(
        "spec.rules[{}].matches[{}]",
        unit.rule_index, unit.match_index
    );
    let path = m.path.as_ref().filter(|p| p.how == PathMatchType::Exact);
    if let Some(path) = path.filter(|p| p.value.contains(['*', '?'])) {
        frame.ctx.report(
            Diagnostic::warning(
                "wildcard-in-exact-path",
                format!(
                    "AWS takes `*` and `?` in the path `{}` for wildcards",
                    path.value
                ),
            )
            .on(unit.route.object())
            .at(format!("{field}.path.value"))
            .hint("use a path of type RegularExpression to match them literally"),
        );
    }
    let is_rpc_regex = m.rpc.as_ref().and_then(|r| r.how) == Some(PathMatchType::RegularExpression);
    let has_header_regex =
        unit.route.kind == RouteKind::Grpc && m.headers.iter().any(|h| h.is_regex);
    for (part, _) in [("method", is_rpc_regex), ("headers", has_header_regex)]
        .iter()
        .filter(|row| row.1)
    {
        frame.ctx.report(
            Diagnostic::warning(
                "unsupported-grpc-regex",
                "the regular expression of a GRPCRoute is compared as it is; `*` and `?` are wildcards",
            )
            .on(unit.route.object())
            .at(format!("{field}.{part}"))
            .hint("use type Exact"),
        );
    }
    for (place, query) in m.query.iter().enumerate().filter(|(_, q)| q.is_regex) {
        frame.ctx.report(
            Diagnostic::warning(
                "unsupported-query-regex",
                format!("AWS has no regular expressions for query parameters; `{}` is compared as it is", query.value),
            )
            .on(unit.route.object())
            .at(format!("{field}.queryParams[{place}].type"))
            .hint("use an exact value; `*` and `?` are wildcards"),
        );
    }
}

/// Difference (limits-before-aws). Drops the rules of a load balancer that are beyond the quota: the quota is shared out rank by rank
/// over the ports, so that each port keeps its rules of highest precedence.
pub(crate) fn keep_within_quota(
    frame: &Frame<'_, '_>,
    ports: &mut BTreeMap<Port, Vec<DraftRule<'_>>>,
    failures: &mut [RouteFailures],
) {
    let max = frame.ctx.settings.rules_per_load_balancer_max;
    let total: usize = ports.values().map(Vec::len).sum();
    if total <= max {
        return;
    }
    let mut left = max;
    let mut kept: BTreeMap<Port, usize> = BTreeMap::new();
    let longest = ports.values().map(Vec::len).max().unwrap_or_default();
    for rank in 0..longest {
        for (port, rules) in &*ports {
            if left > 0 && rank < rules.len() {
                kept.insert(*port, rank + 1);
                left -= 1;
            }
        }
    }
    let message = format!(
        "the rules of the load balancer are {total}, and the quota is {max}; the {max} of highest precedence are kept"
    );
    for (port, rules) in ports {
        for dropped in rules.drain(kept.get(port).copied().unwrap_or_default()..) {
            let Some(route_index) = dropped.route_index else {
                continue;
            };
            failures[route_index].note(super::RouteFailure::UnsupportedValue(message.clone()));
        }
    }
    frame.ctx.report(
        Diagnostic::error("too-many-rules", message)
            .on(frame.object())
            .hint("use fewer hostnames, matches or rules, or raise the quota `Rules per Application Load Balancer` and elbow's setting"),
    );
}

/// Gives the rules of a port their priorities, which their tags name.
pub(crate) fn number(frame: &Frame<'_, '_>, port: Port, rules: Vec<DraftRule<'_>>) -> Vec<Rule> {
    let numbered = rules.into_iter().zip(1..);
    numbered
        .map(|(draft, priority): (_, u32)| {
            let object = draft.configuration.map(|c| {
                ObjectRef::new(
                    Kind::ListenerRuleConfiguration,
                    c.metadata.namespace.clone().unwrap_or_default(),
                    c.metadata.name.clone().unwrap_or_default(),
                )
            });
            let user = UserTags {
                tags: draft.configuration.and_then(|c| c.spec.tags.as_ref()),
                object: object.as_ref(),
                field: "spec.tags",
            };
            let mut causes: Vec<Cause> = vec![super::cause(&draft.object)];
            causes.extend(object.as_ref().map(super::cause));
            let id = ResourceId::new(format!("{port}:{priority}"));
            Rule {
                conditions: draft.conditions,
                action: draft.action,
                transforms: draft.transforms,
                tags: tags::of(frame.ctx, &frame.stack, &id, user),
                causes,
            }
        })
        .collect()
}
