//! The forward action: one target group, or several with weights.
//!
//! Source: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ForwardActionConfig.html>

use std::collections::BTreeSet;

use super::actions::{self, Scope};
use super::arn::{self, Resource};
use super::error;
use super::protocols;
use super::state::{LoadBalancerKind, Protocol, TargetGroup};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;

/// Largest weight of a target group in an action.
const WEIGHT_MAX: i32 = 999;
/// Seven days, the longest stickiness to a target group, in seconds.
const STICKINESS_MAX: i32 = 604_800;

/// Refuses a forward that AWS refuses, and returns any other as it reads back.
pub(super) fn check(scope: &Scope<'_>, action: &wire::Action) -> Result<wire::Action, ApiError> {
    let tuples = tuples(scope, action)?;
    let groups = find(scope, &tuples)?;
    check_groups(scope, &groups)?;
    check_quotas(scope, &groups)?;
    let given = action.forward_config.as_ref();
    let stickiness = stickiness(
        scope,
        given.and_then(|config| config.target_group_stickiness_config.as_ref()),
        &groups,
    )?;
    let single = match tuples.as_slice() {
        [only] => only.target_group_arn.clone(),
        _ => None,
    };
    Ok(wire::Action {
        r#type: "forward".into(),
        order: action.order,
        target_group_arn: single,
        forward_config: Some(wire::ForwardActionConfig {
            target_groups: Some(tuples),
            target_group_stickiness_config: stickiness,
        }),
        ..Default::default()
    })
}

/// The target groups with their weights, from whichever of the two spellings was used.
fn tuples(
    scope: &Scope<'_>,
    action: &wire::Action,
) -> Result<Vec<wire::TargetGroupTuple>, ApiError> {
    let listed = action
        .forward_config
        .as_ref()
        .and_then(|config| config.target_groups.clone());
    let mut tuples = listed.unwrap_or_default();
    if let Some(arn) = &action.target_group_arn {
        let agrees = |tuple: &wire::TargetGroupTuple| tuple.target_group_arn.as_ref() == Some(arn);
        match tuples.as_slice() {
            [] => tuples.push(wire::TargetGroupTuple {
                target_group_arn: Some(arn.clone()),
                weight: None,
            }),
            [only] if agrees(only) => {}
            _ => {
                return Err(error::action(
                    "You can specify both a target group list and a top-level target group ARN \
                     only if the ARNs match",
                ));
            }
        }
    }
    if tuples.is_empty() {
        return Err(error::action(
            "For actions of type 'forward', you must specify the following fields: \
             'TargetGroupArn or ForwardConfig'",
        ));
    }
    if tuples.len() > scope.quotas.target_groups_per_action {
        // The code is undocumented; `TooManyTargetGroups` is not in CreateListener's list.
        return Err(error::validation(format!(
            "You cannot specify more than {} target groups per action",
            scope.quotas.target_groups_per_action
        )));
    }
    let n_tuples = tuples.len();
    for tuple in &mut tuples {
        tuple.weight = Some(weight(n_tuples, tuple.weight)?);
    }
    Ok(tuples)
}

/// A weight, which several target groups must have and a single one need not.
fn weight(n_tuples: usize, weight: Option<i32>) -> Result<i32, ApiError> {
    match (n_tuples, weight) {
        (1, None) => Ok(1),
        // AWS says "between 1": whether it refuses a single target group with weight 0 in earnest
        // is undocumented; it is taken at its word.
        (1, Some(weight)) if (1..=WEIGHT_MAX).contains(&weight) => Ok(weight),
        (1, Some(_)) => Err(error::validation(
            "The weight for the target group must be between 1 and 999, inclusive",
        )),
        (_, Some(weight)) if (0..=WEIGHT_MAX).contains(&weight) => Ok(weight),
        _ => Err(error::validation(
            "The weight for each target group must be between 0 and 999, inclusive",
        )),
    }
}

fn find<'a>(
    scope: &Scope<'a>,
    tuples: &[wire::TargetGroupTuple],
) -> Result<Vec<&'a TargetGroup>, ApiError> {
    let mut found: Vec<&TargetGroup> = Vec::new();
    for tuple in tuples {
        let Some(arn) = &tuple.target_group_arn else {
            return Err(error::validation("A target group ARN must be specified")); // Undocumented.
        };
        arn::check(arn, Resource::TargetGroup)?;
        let Some(group) = scope.state.target_groups.get(arn) else {
            let message = format!("Target groups '{arn}' not found");
            return Err(ApiError::sender("TargetGroupNotFound", message));
        };
        if found.iter().any(|earlier| earlier.arn == group.arn) {
            // Undocumented text.
            return Err(error::validation(format!(
                "Target group '{arn}' has been specified more than once in an action"
            )));
        }
        found.push(group);
    }
    Ok(found)
}

fn check_groups(scope: &Scope<'_>, groups: &[&TargetGroup]) -> Result<(), ApiError> {
    let load_balancer = scope.load_balancer;
    for group in groups {
        if group.vpc_id != load_balancer.vpc_id {
            // The code is undocumented.
            return Err(error::configuration(format!(
                "The following target groups are in a different VPC than load balancer '{}': {}",
                load_balancer.arn, group.arn
            )));
        }
        protocols::check(load_balancer, scope.protocol, group)?;
        let user = scope.state.load_balancer_of(&group.arn);
        if user.is_some_and(|user| user.arn != load_balancer.arn) {
            let message = format!(
                "The following target groups cannot be associated with more than one load \
                 balancer: {}",
                group.arn
            );
            return Err(ApiError::sender("TargetGroupAssociationLimit", message));
        }
    }
    if groups.iter().any(|group| group.family != groups[0].family) {
        return Err(error::configuration(
            "The IP address types of the target groups for a single action must be the same",
        ));
    }
    // The NLB guide: all target groups of a TLS listener's action share a protocol.
    let mixed = groups
        .iter()
        .find(|group| group.protocol != groups[0].protocol);
    if let (Protocol::Tls, Some(mixed)) = (scope.protocol, mixed) {
        let message = format!(
            "The listener and the following target groups have incompatible protocols: {}",
            mixed.arn
        );
        return Err(ApiError::sender("IncompatibleProtocols", message));
    }
    Ok(())
}

/// Quotas that attaching a target group may pass.
fn check_quotas(scope: &Scope<'_>, groups: &[&TargetGroup]) -> Result<(), ApiError> {
    let others = scope.state.rules_of_load_balancer(&scope.load_balancer.arn);
    let others = others.filter(|rule| Some(rule.arn.as_str()) != scope.replaced_rule);
    let mut used: BTreeSet<&str> = others
        .flat_map(|rule| actions::target_group_arns(&rule.actions))
        .collect();
    used.extend(groups.iter().map(|group| group.arn.as_str()));
    let (n_targets_max, n_groups_max) = match scope.load_balancer.kind {
        LoadBalancerKind::Application => (
            scope.quotas.targets_per_application_load_balancer,
            scope.quotas.target_groups_per_application_load_balancer,
        ),
        LoadBalancerKind::Network => (scope.quotas.targets_per_network_load_balancer, usize::MAX),
    };
    if used.len() > n_groups_max {
        return Err(ApiError::sender(
            "TooManyUniqueTargetGroupsPerLoadBalancer",
            format!(
                "The maximum number of unique target groups per load balancer is '{n_groups_max}'"
            ), // Undocumented text.
        ));
    }
    let n_targets: usize = used
        .iter()
        .filter_map(|arn| scope.state.target_groups.get(*arn))
        .map(|group| group.targets.len())
        .sum();
    if n_targets > n_targets_max {
        let message =
            format!("The maximum number of targets per load balancer is '{n_targets_max}'");
        return Err(ApiError::sender("TooManyTargets", message)); // Undocumented text.
    }
    Ok(())
}

fn stickiness(
    scope: &Scope<'_>,
    config: Option<&wire::TargetGroupStickinessConfig>,
    groups: &[&TargetGroup],
) -> Result<Option<wire::TargetGroupStickinessConfig>, ApiError> {
    let enabled = config.and_then(|config| config.enabled).unwrap_or(false);
    let duration = config.and_then(|config| config.duration_seconds);
    // The guides of both kinds: with several target groups, stickiness to a target needs
    // stickiness to its group. Text undocumented.
    let sticky = |group: &&TargetGroup| group.attribute("stickiness.enabled") == "true";
    if groups.len() > 1 && !enabled && groups.iter().any(sticky) {
        return Err(error::configuration(
            "You must enable group stickiness on a rule if you enabled target stickiness on one \
             of its target groups",
        ));
    }
    if scope.load_balancer.kind == LoadBalancerKind::Network {
        if duration.is_some() {
            return Err(error::configuration(
                "Target group stickiness duration cannot be configured on load balancers of type \
                 'network'",
            ));
        }
        if enabled && scope.protocol == Protocol::Tls {
            // That TLS listeners cannot have it is the guide's, the text is not.
            return Err(error::configuration(
                "Target group stickiness cannot be enabled on TLS listeners",
            ));
        }
        return Ok(config.cloned());
    }
    if enabled && duration.is_none() {
        return Err(error::validation(
            "You must provide a duration when enabling target group stickiness",
        ));
    }
    if duration.is_some_and(|seconds| !(1..=STICKINESS_MAX).contains(&seconds)) {
        return Err(error::validation(
            "Target group stickiness duration must be between 1 and 604800 seconds",
        ));
    }
    Ok(Some(wire::TargetGroupStickinessConfig {
        enabled: Some(enabled),
        duration_seconds: duration,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Quotas;
    use crate::elbv2::state::{State, TargetFamily};
    use crate::elbv2::tests::{forward_to, load_balancer, target_group};

    fn state() -> State {
        let mut state = State::default();
        for n in 0..7 {
            let mut group = target_group(&format!("g{n}"), Protocol::Http);
            group
                .attributes
                .insert("stickiness.enabled".into(), (n == 6).to_string());
            state.target_groups.insert(group.arn.clone(), group);
        }
        let mut group = target_group("six", Protocol::Http);
        group.family = TargetFamily::Ipv6;
        state.target_groups.insert(group.arn.clone(), group);
        let mut group = target_group("away", Protocol::Http);
        group.vpc_id = "vpc-other".into();
        state.target_groups.insert(group.arn.clone(), group);
        state
    }

    fn arn_of(name: &str) -> String {
        target_group(name, Protocol::Http).arn
    }

    fn weighted(tuples: &[(&str, Option<i32>)]) -> wire::Action {
        let tuple = |(name, weight): &(&str, Option<i32>)| wire::TargetGroupTuple {
            target_group_arn: Some(arn_of(name)),
            weight: *weight,
        };
        wire::Action {
            r#type: "forward".into(),
            forward_config: Some(wire::ForwardActionConfig {
                target_groups: Some(tuples.iter().map(tuple).collect()),
                target_group_stickiness_config: None,
            }),
            ..Default::default()
        }
    }

    fn sticky(action: wire::Action, enabled: bool, seconds: Option<i32>) -> wire::Action {
        let mut action = action;
        let config = action.forward_config.get_or_insert_default();
        config.target_group_stickiness_config = Some(wire::TargetGroupStickinessConfig {
            enabled: Some(enabled),
            duration_seconds: seconds,
        });
        action
    }

    fn run(action: &wire::Action) -> Result<wire::Action, ApiError> {
        let (state, quotas) = (state(), Quotas::default());
        let lb = load_balancer(LoadBalancerKind::Application);
        let scope = Scope {
            state: &state,
            quotas: &quotas,
            load_balancer: &lb,
            protocol: Protocol::Http,
            replaced_rule: None,
        };
        check(&scope, action)
    }

    #[test]
    fn refuses() {
        let two = [("g0", Some(1)), ("g1", Some(1))];
        let six: Vec<_> = ["g0", "g1", "g2", "g3", "g4", "g5"]
            .map(|g| (g, Some(1)))
            .into();
        let conflict = wire::Action {
            target_group_arn: Some(arn_of("g1")),
            ..weighted(&two)
        };
        let rows = [
            (
                wire::Action {
                    r#type: "forward".into(),
                    ..Default::default()
                },
                "you must specify",
            ),
            (
                weighted(&six),
                "You cannot specify more than 5 target groups per action",
            ),
            (
                weighted(&[("g0", Some(1)), ("g1", None)]),
                "must be between 0 and 999, inclusive",
            ),
            (
                weighted(&[("g0", Some(1000)), ("g1", Some(1))]),
                "must be between 0 and 999",
            ),
            (
                weighted(&[("g0", Some(1000))]),
                "must be between 1 and 999, inclusive",
            ),
            (conflict, "only if the ARNs match"),
            (
                weighted(&[("g0", Some(1)), ("g0", Some(1))]),
                "more than once",
            ),
            (weighted(&[("nope", None)]), "not found"),
            (forward_to("web"), "'web' is not a valid target group ARN"),
            (
                weighted(&[("away", None)]),
                "are in a different VPC than load balancer",
            ),
            (
                weighted(&[("six", None)]),
                "You cannot associate an IPv6 target group",
            ),
            (
                sticky(weighted(&two), true, None),
                "You must provide a duration",
            ),
            (
                sticky(weighted(&two), true, Some(0)),
                "between 1 and 604800 seconds",
            ),
            (
                weighted(&[("g0", Some(1)), ("g6", Some(1))]),
                "You must enable group stickiness",
            ),
        ];
        for (action, expected) in rows {
            let refusal = run(&action).unwrap_err();
            assert!(
                refusal.message.contains(expected),
                "expected {expected:?}, got {refusal}"
            );
        }
    }

    #[test]
    fn reads_back() {
        let read = run(&forward_to(&arn_of("g0"))).unwrap();
        assert_eq!(read.target_group_arn, Some(arn_of("g0")));
        let config = read.forward_config.unwrap();
        assert_eq!(config.target_groups.unwrap()[0].weight, Some(1));
        assert_eq!(
            config.target_group_stickiness_config.unwrap().enabled,
            Some(false)
        );
        let read = run(&weighted(&[("g0", Some(0)), ("g1", Some(999))])).unwrap();
        assert_eq!(read.target_group_arn, None);
    }
}
