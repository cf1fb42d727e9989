//! Timers: what happens because time passes.
//!
//! In: the time. Out: repeated look-ups, retried rounds, waits that look again, rounds for what was judged
//! by the time, looks for drift. What always holds: [`Reconciler::next_timer`] is the earliest moment at
//! which anything here is due.

use elbow_api::Snapshot;
use elbow_model::observed::LoadBalancerState;
use elbow_model::{AwsCall, ErrorClass};

use super::unit::{Knowledge, Phase, Unit, Work};
use super::{CensusState, Owner, Reconciler};
use crate::outbox::Priority;
use crate::settings::Settings;
use crate::time::Timestamp;

/// ARNs that one DescribeLoadBalancers call takes (ELBv2 API reference).
const ARNS_PER_DESCRIBE: usize = 20;

impl Reconciler {
    /// Does what is due.
    pub(super) fn timers(&mut self, snapshot: &Snapshot, now: Timestamp) {
        if self.is_stopping {
            return;
        }
        self.repeat_lookups(now);
        if matches!(self.census, CensusState::Failed(at) if at <= now) {
            self.start_census();
        }
        self.poll_provisioning(now);
        self.poll_gates(now);
        self.wake_units(snapshot, now);
    }

    /// When something is due next.
    pub(super) fn next_timer(&self) -> Option<Timestamp> {
        if self.is_stopping {
            return None;
        }
        let delayed = self.delayed.keys().next().map(|(at, _)| *at);
        let census = match self.census {
            CensusState::Failed(at) => Some(at),
            _ => None,
        };
        let units = self.units.next_alarm().into_iter();
        units
            .chain(delayed)
            .chain(census)
            .chain(self.provisioning_poll_at)
            .chain(self.gates.next_poll())
            .min()
    }

    fn repeat_lookups(&mut self, now: Timestamp) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let (owner, priority, call) = entry.remove();
            self.outbox.push(owner, priority, call);
        }
    }

    fn poll_provisioning(&mut self, now: Timestamp) {
        if self.provisioning_poll_at.is_none_or(|at| at > now) {
            return;
        }
        self.provisioning_poll_at = None;
        let balancers = self
            .provisioning
            .iter()
            .filter_map(|stack| self.known.stacks.get(stack))
            .flat_map(|stack| &stack.load_balancers);
        let arns: Vec<_> = balancers
            .filter(|lb| lb.state == LoadBalancerState::Provisioning)
            .map(|lb| lb.arn.clone())
            .collect();
        let calls = arns
            .chunks(ARNS_PER_DESCRIBE)
            .map(|chunk| AwsCall::DescribeLoadBalancers {
                arns: chunk.to_vec(),
                marker: None,
            });
        let calls = calls.collect();
        self.send_all(&Owner::Provisioning, Priority::Fresh, calls);
    }

    fn wake_units(&mut self, snapshot: &Snapshot, now: Timestamp) {
        self.units.settle(&self.settings);
        let due = self.units.due(now);
        for unit in due {
            self.wake_lane(&unit, snapshot, now);
            if self
                .units
                .get(&unit)
                .is_some_and(|work| work.record_at.is_some_and(|at| at <= now))
            {
                self.keep_record(&unit);
            }
            let drift_at = self
                .units
                .get(&unit)
                .and_then(|work| drift_at(&self.settings, &unit, work));
            let Some(work) = self.units.get_mut(&unit) else {
                continue;
            };
            if let Phase::Executing(execution) = &work.phase {
                if execution.again_at().is_some_and(|at| at <= now) {
                    self.pump(&unit, now);
                }
            } else if !matches!(work.phase, Phase::Idle) {
                // It goes on when it is answered.
            } else if work.retry_at.take_if(|at| *at <= now).is_some() {
                let priority = work.wanted.unwrap_or(Priority::Retry);
                self.enqueue(&unit, priority, now);
            } else if work.holds_until.take_if(|at| *at <= now).is_some() {
                self.enqueue(&unit, Priority::Fresh, now);
            } else if drift_at.is_some_and(|at| at <= now) {
                work.knowledge = Knowledge::Doubtful;
                self.enqueue(&unit, Priority::Drift, now);
            } else if recheck_at(&self.settings, work).is_some_and(|at| at <= now) {
                // What is there is as it was; what is known of AWS besides may not be.
                self.enqueue(&unit, Priority::Drift, now);
            }
        }
    }
}

/// When a unit wants to be looked at by itself.
pub(super) fn alarm(settings: &Settings, unit: &Unit, work: &Work) -> Option<Timestamp> {
    let round = match &work.phase {
        Phase::Executing(execution) => execution.again_at(),
        Phase::Idle => {
            let timers = [
                work.retry_at,
                work.record_at,
                work.holds_until,
                drift_at(settings, unit, work),
                recheck_at(settings, work),
            ];
            timers.into_iter().flatten().min()
        }
        Phase::Observing(_)
        | Phase::Looking { .. }
        | Phase::AwaitingFacts(_)
        | Phase::AwaitingCluster
        | Phase::AwaitingProtection
        | Phase::AwaitingOwnTargets
        | Phase::AskingTargets => None,
    };
    let lane = work.lane.as_ref().and_then(|lane| lane.again_at());
    round.into_iter().chain(lane).chain(work.lane_at).min()
}

/// When a unit whose objects have mistakes is translated again with fresh facts.
fn recheck_at(settings: &Settings, work: &Work) -> Option<Timestamp> {
    let interval = settings.mistakes_interval_ms?;
    let is_due = work.has_mistakes && work.is_settled();
    is_due.then(|| work.finished_at.plus_millis(interval))
}

/// When a unit that is settled is looked at for drift. Spread over a tenth of the interval, so that
/// what was observed together at a start is not observed together ever after.
fn drift_at(settings: &Settings, unit: &Unit, work: &Work) -> Option<Timestamp> {
    let interval = settings.drift_interval_ms?;
    let is_believed = work.knowledge == Knowledge::Believed;
    if !work.is_settled() || !(is_believed || work.knowledge == Knowledge::Trusted) {
        return None;
    }
    let asker = unit.to_string();
    let spread_by = crate::backoff::Backoff {
        first_ms: interval / 10,
        max_ms: interval,
        ..settings.backoff
    };
    if is_believed {
        // What is believed at a restart is looked at in full within the interval, each at its time.
        let quarter = interval / 4;
        let wait = crate::backoff::Backoff {
            first_ms: interval,
            ..spread_by
        };
        let wait = wait.wait_ms(ErrorClass::Conflict, 1, &asker);
        let part = wait.saturating_sub(interval - quarter).saturating_mul(4);
        return Some(work.observed_at.plus_millis(part.min(interval)));
    }
    let spread = spread_by.wait_ms(ErrorClass::Conflict, 1, &asker);
    Some(work.observed_at.plus_millis(interval).plus_millis(spread))
}
