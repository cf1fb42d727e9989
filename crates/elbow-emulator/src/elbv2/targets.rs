//! Targets: RegisterTargets, DeregisterTargets, DescribeTargetHealth.

mod registration;

use std::collections::BTreeMap;

use super::error;
use super::protocols::is_quic;
use super::state::{
    Health, Target, TargetGroup, TargetKey, TargetType, UnhealthyReason, UnusedReason,
};
use crate::ec2::state::InstanceState;
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

/// Deregistration delay of QUIC target groups, in seconds, whatever the attribute says (NLB guide).
const QUIC_DEREGISTRATION_SECONDS: u64 = 300;

impl Emulator {
    /// Registering a target again does nothing; one that drains is taken back (undocumented: the
    /// guide advises to wait until it is gone).
    pub(super) fn register_targets(
        &mut self,
        now: Timestamp,
        input: &wire::RegisterTargetsInput,
    ) -> Result<wire::RegisterTargetsOutput, ApiError> {
        let group = self.elbv2.target_group(&input.target_group_arn)?;
        let accepted = self.accept_targets(now, group, &input.targets)?;
        self.check_target_quotas(group, &accepted)?;
        let arn = group.arn.clone();
        if let Some(group) = self.elbv2.target_groups.get_mut(&arn) {
            for (key, target) in accepted {
                let old = group.targets.get(&key);
                if old.is_none_or(|old| matches!(old.health, Health::Draining(_))) {
                    group.targets.insert(key, target);
                }
            }
        }
        self.elbv2.touch();
        self.refresh_target_group(now, &arn);
        Ok(wire::RegisterTargetsOutput {})
    }

    fn check_target_quotas(
        &self,
        group: &TargetGroup,
        accepted: &BTreeMap<TargetKey, Target>,
    ) -> Result<(), ApiError> {
        let quotas = &self.config.quotas;
        let too_many = |what: &str, quota: usize| {
            let message = format!("The maximum number of targets per {what} is '{quota}'");
            Err(ApiError::sender("TooManyTargets", message)) // Undocumented text.
        };
        let n_new = accepted
            .keys()
            .filter(|key| !group.targets.contains_key(key))
            .count();
        let n_targets = group.targets.len() + n_new;
        if group.target_type == TargetType::Alb && n_targets > 1 {
            let message = format!(
                "Up to '1' Application Load Balancer target(s) can be registered, but \
                 '{n_targets}' were specified"
            );
            return Err(ApiError::sender("TooManyTargets", message)); // Undocumented code.
        }
        if n_targets > quotas.targets_per_target_group {
            return too_many("target group", quotas.targets_per_target_group);
        }
        let Some(lb) = self.elbv2.load_balancer_of(&group.arn) else {
            return Ok(());
        };
        let groups = self.elbv2.target_groups_of(&lb.arn);
        let n_behind: usize = groups
            .iter()
            .filter_map(|arn| self.elbv2.target_groups.get(*arn))
            .map(|group| group.targets.len())
            .sum();
        let quota = if group.is_application() {
            quotas.targets_per_application_load_balancer
        } else {
            quotas.targets_per_network_load_balancer
        };
        if n_behind + n_new > quota {
            return too_many("load balancer", quota);
        }
        let zone_quota = quotas.targets_per_zone_per_network_load_balancer;
        if !group.is_application() {
            let mut per_zone: BTreeMap<Option<&str>, usize> = BTreeMap::new();
            let behind = groups
                .iter()
                .filter_map(|arn| self.elbv2.target_groups.get(*arn));
            let old = behind.flat_map(|group| group.targets.values());
            let new = accepted
                .iter()
                .filter(|(key, _)| !group.targets.contains_key(key));
            for target in old.chain(new.map(|(_, target)| target)) {
                *per_zone.entry(target.zone.as_deref()).or_default() += 1;
            }
            if per_zone.values().any(|n| *n > zone_quota) {
                return too_many("Availability Zone", zone_quota);
            }
        }
        Ok(())
    }

    /// A target that is not registered is deregistered with success.
    pub(super) fn deregister_targets(
        &mut self,
        now: Timestamp,
        input: &wire::DeregisterTargetsInput,
    ) -> Result<wire::DeregisterTargetsOutput, ApiError> {
        let group = self.elbv2.target_group(&input.target_group_arn)?;
        let keys: Vec<TargetKey> = input
            .targets
            .iter()
            .map(|target| key(group, target))
            .collect();
        let delay = if is_quic(group.protocol) {
            QUIC_DEREGISTRATION_SECONDS
        } else {
            group
                .attribute("deregistration_delay.timeout_seconds")
                .parse()
                .unwrap_or_default()
        };
        let until = now.plus_seconds(delay);
        let Some(group) = self.elbv2.target_groups.get_mut(&input.target_group_arn) else {
            return Err(error::no_target_group());
        };
        for key in keys {
            match group.targets.get_mut(&key) {
                Some(target) if matches!(target.health, Health::Draining(_)) => {}
                // Nothing of an unused target is to be drained (undocumented).
                Some(target) if delay > 0 && !matches!(target.health, Health::Unused(_)) => {
                    target.health = Health::Draining(until);
                    target.forget_checks();
                }
                _ => {
                    group.targets.remove(&key);
                }
            }
        }
        self.elbv2.schedule(until);
        self.elbv2.touch();
        Ok(wire::DeregisterTargetsOutput {})
    }

    pub(super) fn describe_target_health(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeTargetHealthInput,
    ) -> Result<wire::DescribeTargetHealthOutput, ApiError> {
        let group = self.elbv2.target_group(&input.target_group_arn)?;
        let anomalies = input.include.iter().flatten().next().is_some() && group.is_application();
        let describe = |key: &TargetKey, target: Option<&Target>| {
            let (state, reason, description) = self.described_health(group, key, target);
            let registered = target.is_some();
            wire::TargetHealthDescription {
                administrative_override: registered.then(|| wire::AdministrativeOverride {
                    state: Some("no_override".into()),
                    reason: Some("AdministrativeOverride.NoOverride".into()),
                    description: Some("No override is currently active on target".into()),
                }),
                anomaly_detection: (anomalies && registered).then(|| wire::AnomalyDetection {
                    result: Some("normal".into()),
                    mitigation_in_effect: Some("no".into()),
                }),
                health_check_port: registered.then(|| group.health_check_port(key).to_string()),
                target: Some(wire::TargetDescription {
                    availability_zone: target.and_then(|target| shown_zone(group, target)),
                    id: key.id.clone(),
                    port: Some(i32::from(key.port)),
                    quic_server_id: target.and_then(|target| target.quic_server_id.clone()),
                }),
                target_health: Some(wire::TargetHealth {
                    state: Some(state.to_owned()),
                    reason: reason.map(str::to_owned),
                    description,
                }),
            }
        };
        let asked = input.targets.as_ref().filter(|targets| !targets.is_empty());
        let descriptions = match asked {
            None => group
                .targets
                .iter()
                .map(|(key, target)| describe(key, Some(target)))
                .collect(),
            Some(targets) => {
                let keys = targets.iter().map(|target| key(group, target));
                keys.map(|key| describe(&key, group.targets.get(&key)))
                    .collect()
            }
        };
        Ok(wire::DescribeTargetHealthOutput {
            target_health_descriptions: Some(descriptions),
        })
    }

    /// State, reason and description of a target, in the words of the guides.
    fn described_health(
        &self,
        group: &TargetGroup,
        key: &TargetKey,
        target: Option<&Target>,
    ) -> (&'static str, Option<&'static str>, Option<String>) {
        let said =
            |state, reason, description: &str| (state, Some(reason), Some(description.to_owned()));
        let Some(target) = target else {
            return said(
                "unused",
                "Target.NotRegistered",
                "Target is not registered to the target group",
            );
        };
        let draining = matches!(target.health, Health::Draining(_));
        if group.target_type == TargetType::Instance && !draining {
            let state = self
                .ec2
                .instances
                .get(&key.id)
                .map(|instance| instance.state);
            let description = match state {
                Some(InstanceState::Running) => None,
                Some(InstanceState::Stopped) => Some("Target is in the stopped state"),
                Some(InstanceState::Terminated) | None => Some("Target is in the terminated state"),
            };
            if let Some(description) = description {
                return said("unused", "Target.InvalidState", description);
            }
        }
        match &target.health {
            Health::Unused(UnusedReason::GroupNotInUse) => said(
                "unused",
                "Target.NotInUse",
                "Target group is not configured to receive traffic from the load balancer",
            ),
            Health::Unused(UnusedReason::ZoneNotEnabled) => said(
                "unused",
                "Target.NotInUse",
                "Target is in an Availability Zone that is not enabled for the load balancer",
            ),
            Health::Registering(_) => said(
                "initial",
                "Elb.RegistrationInProgress",
                "Target registration is in progress",
            ),
            Health::InitialChecks => said(
                "initial",
                "Elb.InitialHealthChecking",
                "Initial health checks in progress",
            ),
            Health::Healthy => ("healthy", None, None),
            Health::Unhealthy(UnhealthyReason::ResponseCodeMismatch(code)) => said(
                "unhealthy",
                "Target.ResponseCodeMismatch",
                &format!("Health checks failed with these codes: [{code}]"),
            ),
            Health::Unhealthy(UnhealthyReason::Timeout) => {
                said("unhealthy", "Target.Timeout", "Request timed out")
            }
            Health::Unhealthy(UnhealthyReason::FailedHealthChecks) => said(
                "unhealthy",
                "Target.FailedHealthChecks",
                "Health checks failed",
            ),
            Health::UnhealthyDraining(_) => said(
                "unhealthy.draining",
                "Target.FailedHealthChecks",
                "Health checks failed",
            ),
            Health::Draining(_) => said(
                "draining",
                "Target.DeregistrationInProgress",
                "Target deregistration is in progress",
            ),
        }
    }
}

/// The zone that is shown: of addresses alone, the one found where none was given.
fn shown_zone(group: &TargetGroup, target: &Target) -> Option<String> {
    let zone = target
        .requested_zone
        .clone()
        .or_else(|| target.zone.clone());
    zone.filter(|_| group.target_type == TargetType::Ip)
}

/// What a request's target is called in the group: without a port it has the group's.
fn key(group: &TargetGroup, target: &wire::TargetDescription) -> TargetKey {
    let port = target.port.and_then(|port| u16::try_from(port).ok());
    TargetKey {
        id: target.id.clone(),
        port: port.unwrap_or(group.port),
    }
}
