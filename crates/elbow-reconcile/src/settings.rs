//! What a driver decides about rounds.

use elbow_plan::Policy;
use elbow_plan::policy::Quotas;

use crate::backoff::Backoff;
use crate::budget::Limits;
use crate::execute::Polls;
use crate::observe::Whose;
use crate::time::Timestamp;

/// Whether Gateways are kept from disappearing before their AWS resources are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// No: what is left of a Gateway that is gone is found by its tags.
    None,
    /// By a finalizer. No load balancer is made before the Snapshot shows it on the Gateway; the round
    /// asks for it by [`Effect::Protect`](crate::Effect::Protect).
    Finalizer,
}

/// What a driver decides about rounds.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The moment from which timestamps count, in milliseconds since 1970: certificates are judged by
    /// the time of day. Zero where timestamps are that themselves.
    pub epoch_ms: u64,
    /// What translation needs; the cluster's name and VPC are in it.
    pub translate: elbow_translate::Settings,
    /// Which steps are carried out.
    pub policy: Policy,
    /// Whether Gateways are kept from disappearing too early.
    pub protection: Protection,
    /// How waits after failures grow.
    pub backoff: Backoff,
    /// How often waits look.
    pub polls: Polls,
    /// How many calls of which class may go out.
    pub limits: Limits,
    /// Calls that may be out at once. AWS has no such limit; sockets and memory have.
    pub in_flight_max: usize,
    /// How long what is known of a Stack is believed before AWS is asked again, in milliseconds;
    /// `None` for ever.
    pub drift_interval_ms: Option<u64>,
    /// How long after a round that found mistakes its Gateway is translated again with fresh facts, in
    /// milliseconds: a certificate or subnet that was missing may be there now. `None` for never.
    pub mistakes_interval_ms: Option<u64>,
    /// How old facts may be when a round looks for drift, is the first of its Gateway, or follows a
    /// round that found mistakes, in milliseconds.
    pub facts_age_max_ms: u64,
    /// Least time between two rounds for changed targets of one Gateway, in milliseconds. Endpoints
    /// come and go in bursts; the first of a burst is acted on at once, the rest together.
    pub targets_interval_ms: u64,
    /// How often the health of targets is asked for that pods wait for.
    pub gate_polls: GatePolls,
}

/// How often the health of targets is asked for while pods wait for it: first soon after they were
/// registered, then less and less often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatePolls {
    /// Until the first look, in milliseconds. Each wait is twice as long as the one before.
    pub first_ms: u64,
    /// The longest wait between two looks, in milliseconds.
    pub max_ms: u64,
}

impl Default for GatePolls {
    /// A new target is healthy after its first check, which an ALB makes within seconds and an NLB
    /// within a minute or two. LBC asks every 15 s, and first after 15 s.
    fn default() -> Self {
        Self {
            first_ms: 1_000,
            max_ms: 15_000,
        }
    }
}

impl Settings {
    /// The defaults of a controller.
    pub fn new(translate: elbow_translate::Settings) -> Self {
        // What translation leaves to others, the planner must not remove; and both count by the same
        // quota.
        let policy = Policy {
            external_managed_tags: translate.external_managed_tags.clone(),
            targets_per_group_max: translate.targets_per_group_max,
            quotas: Quotas {
                rules_max: translate.rules_per_load_balancer_max,
                ..Quotas::default()
            },
            ..Policy::default()
        };
        Self {
            epoch_ms: 0,
            translate,
            policy,
            protection: Protection::None,
            backoff: Backoff::default(),
            polls: Polls::default(),
            limits: Limits::aws(),
            in_flight_max: 32,
            // LBC looks every 10 hours; each look is 10 to 20 calls for one load balancer.
            drift_interval_ms: Some(30 * 60 * 1000),
            // A few look-ups that all Gateways with mistakes share.
            mistakes_interval_ms: Some(60_000),
            // LBC lists certificates once a minute and subnets in every round.
            facts_age_max_ms: 60_000,
            targets_interval_ms: 250,
            gate_polls: GatePolls::default(),
        }
    }

    /// Whose resources a round looks for.
    pub(crate) fn whose(&self) -> Whose {
        Whose {
            cluster_name: self.translate.cluster_name.clone(),
            vpc_id: self.translate.vpc_id.clone(),
            has_trust_stores: self.translate.bundle_storage.is_some(),
        }
    }

    /// A moment as certificates have it: in seconds since 1970.
    pub(crate) fn seconds(&self, now: Timestamp) -> i64 {
        let seconds = now.plus_millis(self.epoch_ms).as_millis() / 1000;
        i64::try_from(seconds).unwrap_or(i64::MAX)
    }

    /// The reverse: when that second begins.
    pub(crate) fn moment(&self, seconds: i64) -> Timestamp {
        let millis = u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
        Timestamp::from_millis(millis.saturating_sub(self.epoch_ms))
    }

    /// The same against the emulator: no budgets, and nobody else changes anything.
    #[must_use]
    pub fn unlimited(self) -> Self {
        Self {
            limits: Limits::none(),
            drift_interval_ms: None,
            mistakes_interval_ms: None,
            ..self
        }
    }
}
