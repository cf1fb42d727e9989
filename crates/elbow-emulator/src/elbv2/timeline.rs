//! What time does by itself: load balancers become active, registrations arrive, drained targets
//! and the interfaces of deleted load balancers go.

use super::health::Finding;
use super::state::{Health, LoadBalancerState, Target, TargetKey, UnhealthyReason};
use crate::config::HealthMode;
use crate::{Emulator, Timestamp};

impl Emulator {
    /// Lets everything happen that falls due up to `now`.
    pub(crate) fn elbv2_advance(&mut self, now: Timestamp) {
        self.activate(now);
        if self.elbv2.next_due.is_none_or(|due| due > now) {
            return;
        }
        self.elbv2.next_due = None;
        self.elbv2
            .lingering_interfaces
            .retain(|interfaces| interfaces.until > now);
        for at in self
            .elbv2
            .lingering_interfaces
            .iter()
            .map(|i| i.until)
            .collect::<Vec<_>>()
        {
            self.elbv2.schedule(at);
        }
        self.move_targets(now);
        if self.config.health == HealthMode::AssumeHealthy {
            self.pass_checks(now);
        }
    }

    /// When something falls due by itself. May be earlier than anything does, never later.
    pub(crate) fn elbv2_next_event(&self) -> Option<Timestamp> {
        let provisioning = self.elbv2.load_balancers.values();
        let provisioning = provisioning
            .filter(|lb| lb.state == LoadBalancerState::Provisioning)
            .map(|lb| lb.provisioned_at);
        let lingering = self.elbv2.lingering_interfaces.iter().map(|i| i.until);
        provisioning
            .chain(lingering)
            .chain(self.elbv2.next_due)
            .min()
    }

    fn activate(&mut self, now: Timestamp) {
        let mut changed = false;
        for lb in self.elbv2.load_balancers.values_mut() {
            if lb.state == LoadBalancerState::Provisioning && lb.provisioned_at <= now {
                lb.state = LoadBalancerState::Active;
                changed = true;
            }
        }
        if changed {
            self.elbv2.touch();
        }
        self.elbv2
            .lingering_interfaces
            .retain(|interfaces| interfaces.until > now);
    }

    fn move_targets(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        let mut changed = false;
        for group in self.elbv2.target_groups.values_mut() {
            let before = group.targets.len();
            group.targets.retain(|_, target| !is_drained(target, now));
            changed |= group.targets.len() != before;
            for target in group.targets.values_mut() {
                changed |= move_target(target, now);
                due.extend(due_at(target));
            }
        }
        for at in due {
            self.elbv2.schedule(at);
        }
        if changed {
            self.elbv2.touch();
        }
    }

    /// Without sockets, every first check passes when it is due.
    fn pass_checks(&mut self, now: Timestamp) {
        let mut due: Vec<(String, TargetKey)> = Vec::new();
        for group in self.elbv2.target_groups.values() {
            let ready = group
                .targets
                .iter()
                .filter(|(_, target)| target.next_check_at.is_some_and(|at| at <= now));
            due.extend(ready.map(|(key, _)| (group.arn.clone(), key.clone())));
        }
        for (group, key) in due {
            self.elbv2.count(now, &group, &key, Finding::Pass);
            let group = self.elbv2.target_groups.get_mut(&group);
            if let Some(target) = group.and_then(|group| group.targets.get_mut(&key)) {
                target.next_check_at = None;
            }
        }
    }
}

fn is_drained(target: &Target, now: Timestamp) -> bool {
    matches!(target.health, Health::Draining(until) if until <= now)
}

/// Moves a target on; returns whether its health changed.
fn move_target(target: &mut Target, now: Timestamp) -> bool {
    match target.health {
        Health::Registering(starts) if starts <= now => {
            target.health = Health::InitialChecks;
            target.next_check_at = Some(starts);
            true
        }
        Health::UnhealthyDraining(until) if until <= now => {
            target.health = Health::Unhealthy(UnhealthyReason::FailedHealthChecks);
            true
        }
        _ => false,
    }
}

/// When a target moves on by itself.
fn due_at(target: &Target) -> Option<Timestamp> {
    match target.health {
        Health::Registering(at) | Health::UnhealthyDraining(at) | Health::Draining(at) => Some(at),
        _ => None,
    }
}
