//! Which targets are in use, and what a health check's result does to a target.
//!
//! Comes in: changes of rules, zones, attributes and targets; results of checks. Goes out: the
//! health of each target, with what falls due next. Always holds: a target whose group no rule
//! forwards to, or whose zone its load balancer does not have, is unused and never checked.

use super::actions;
use super::state::{
    Health, Rule, State, Target, TargetGroup, TargetKey, UnhealthyReason, UnusedReason,
};
use crate::config::Latencies;
use crate::{Emulator, Timestamp};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    Pass,
    Fail(UnhealthyReason),
}

impl Emulator {
    /// Adds or replaces a rule, and lets the targets follow.
    pub(super) fn put_rule(&mut self, now: Timestamp, rule: Rule) {
        let old = self.elbv2.rules.get(&rule.arn).map(arns);
        let touched: Vec<String> = old.into_iter().flatten().chain(arns(&rule)).collect();
        self.elbv2.put_rule(rule);
        for group in touched {
            self.refresh_target_group(now, &group);
        }
    }

    /// Removes a rule, and lets the targets follow.
    pub(super) fn remove_rule(&mut self, now: Timestamp, arn: &str) {
        let touched = self.elbv2.rules.get(arn).map(arns).unwrap_or_default();
        self.elbv2.remove_rule(arn);
        for group in touched {
            self.refresh_target_group(now, &group);
        }
    }

    /// Looks anew at all targets behind a load balancer.
    pub(super) fn refresh_load_balancer(&mut self, now: Timestamp, arn: &str) {
        let groups = self
            .elbv2
            .target_groups_of(arn)
            .into_iter()
            .map(str::to_owned);
        for group in groups.collect::<Vec<_>>() {
            self.refresh_target_group(now, &group);
        }
    }

    /// Looks anew at which targets of a group are in use.
    pub(super) fn refresh_target_group(&mut self, now: Timestamp, arn: &str) {
        let state = &mut self.elbv2;
        let user = state.load_balancer_of(arn).map(|lb| {
            let zones: Vec<String> = lb.zones.iter().map(|zone| zone.zone.clone()).collect();
            (zones, lb.provisioned_at)
        });
        let Some(group) = state.target_groups.get_mut(arn) else {
            return;
        };
        let registration_ms = registration_ms(&self.config.latencies, group);
        let mut due = Vec::new();
        let mut changed = false;
        for target in group.targets.values_mut() {
            if matches!(target.health, Health::Draining(_)) {
                continue;
            }
            let unused = match (&user, &target.zone) {
                (None, _) => Some(UnusedReason::GroupNotInUse),
                (Some((zones, _)), Some(zone)) if !zones.contains(zone) => {
                    Some(UnusedReason::ZoneNotEnabled)
                }
                _ => None,
            };
            match (unused, &target.health, &user) {
                (Some(reason), health, _) if *health != Health::Unused(reason) => {
                    target.health = Health::Unused(reason);
                    target.forget_checks();
                    changed = true;
                }
                (None, Health::Unused(_), Some((_, active_at))) => {
                    // Checks come from the nodes of the load balancer, so not before these are up.
                    let starts = now.max(*active_at).plus_millis(registration_ms);
                    target.health = Health::Registering(starts);
                    due.push(starts);
                    changed = true;
                }
                _ => {}
            }
        }
        for at in due {
            state.schedule(at);
        }
        if changed {
            state.touch();
        }
        // What is due at once is done at once, so that the answer to this request shows it.
        self.elbv2_advance(now);
    }
}

fn arns(rule: &Rule) -> Vec<String> {
    actions::target_group_arns(&rule.actions)
        .map(str::to_owned)
        .collect()
}

fn registration_ms(latencies: &Latencies, group: &TargetGroup) -> u64 {
    if group.is_application() {
        latencies.application_target_registration_ms
    } else {
        latencies.network_target_registration_ms
    }
}

impl Target {
    /// Leaves no trace of earlier checks.
    pub(super) fn forget_checks(&mut self) {
        self.passes = 0;
        self.failures = 0;
        self.next_check_at = None;
        self.probe = None;
    }
}

impl State {
    /// Lets the result of a check count.
    ///
    /// The first pass makes a new target healthy, whatever the threshold (guides of both kinds:
    /// "a target is healthy after passing one check"); later recoveries take the whole threshold.
    pub(super) fn count(
        &mut self,
        now: Timestamp,
        group_arn: &str,
        key: &TargetKey,
        finding: Finding,
    ) {
        let Some(group) = self.target_groups.get_mut(group_arn) else {
            return;
        };
        let (healthy, unhealthy) = (
            group.health_check.healthy_threshold,
            group.health_check.unhealthy_threshold,
        );
        let is_application = group.is_application();
        let keeps_connections = group
            .attribute("target_health_state.unhealthy.connection_termination.enabled")
            == "false";
        let interval = group.attribute("target_health_state.unhealthy.draining_interval_seconds");
        let interval: u64 = interval.parse().unwrap_or_default();
        let Some(target) = group.targets.get_mut(key) else {
            return;
        };
        let before = target.health.clone();
        match finding {
            Finding::Pass => {
                target.failures = 0;
                target.passes = target.passes.saturating_add(1);
                let recovers = target.passes >= healthy;
                match target.health {
                    Health::InitialChecks => target.health = Health::Healthy,
                    Health::Unhealthy(_) | Health::UnhealthyDraining(_) if recovers => {
                        target.health = Health::Healthy;
                    }
                    _ => {}
                }
            }
            Finding::Fail(reason) => {
                target.passes = 0;
                target.failures = target.failures.saturating_add(1);
                let falls = target.failures >= unhealthy;
                // Network load balancers tell no reason but this one.
                let reason = if is_application {
                    reason
                } else {
                    UnhealthyReason::FailedHealthChecks
                };
                match target.health {
                    Health::Healthy if falls && keeps_connections && interval > 0 => {
                        target.health = Health::UnhealthyDraining(now.plus_seconds(interval));
                    }
                    Health::InitialChecks | Health::Healthy if falls => {
                        target.health = Health::Unhealthy(reason);
                    }
                    Health::Unhealthy(_) => target.health = Health::Unhealthy(reason),
                    _ => {}
                }
            }
        }
        let after = target.health.clone();
        if let Health::UnhealthyDraining(until) = after {
            self.schedule(until);
        }
        if before != after {
            self.touch();
        }
    }
}
