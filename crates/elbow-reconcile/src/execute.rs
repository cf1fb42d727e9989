//! Execution: carries out one plan, a call at a time.
//!
//! In: a [`Plan`], the time, the answers of AWS. Out: the next call ([`Next`]), the state of each step,
//! and in the end an [`Outcome`]. What always holds:
//!
//! - steps run in list order, one at a time; one call of the plan is out at most;
//! - a step runs only if all steps in its `after` succeeded; what does not depend on a failed step
//!   still runs;
//! - a throttled call is repeated as it is, for it had no effect; a call that may have had one without
//!   telling (a timeout) is never repeated: the Stack is observed again;
//! - every wait is bounded, and can be given up at any time: a new plan leads on from what was reached.
//!
//! | answer to a step | what happens |
//! |---|---|
//! | throttled | the same call again, later and later, up to [`THROTTLED_TRIES_MAX`] times |
//! | not found, and it was to be deleted | done: it is gone |
//! | a group that is still in use, and was to be deleted | the same call again, up to its patience |
//! | denied, quota, invalid | failed, charged to the step's causes |
//! | a quota of all such resources | the same, and for later steps of this kind without a call |
//! | a look of a wait that gets lost | the same look again, while the wait lasts |
//! | conflict, not found, transient | failed; what is known of the Stack is no longer trusted |
//!
//! Start at [`Execution::next`].

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::ObjectRef;
use elbow_model::aws_call::LoadBalancerDescription;
use elbow_model::observed::LoadBalancerState;
use elbow_model::{
    AwsAnswer, AwsCall, AwsError, Cause, ErrorClass, LoadBalancerArn, Ref, ResourceKey,
    TargetGroupArn,
};
use elbow_plan::{Plan, Provided, Step, StepId, StepKind, Wait, are_drained, are_healthy, resolve};
use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::time::Timestamp;

/// Tries of one call that AWS throttles. With the waits of [`Backoff::default`] that is two minutes,
/// more than the emptiest bucket needs.
const THROTTLED_TRIES_MAX: u32 = 30;

/// How often a group that is still in use is tried to be deleted: AWS lets go of a target group within
/// seconds after its last rule.
const TARGET_GROUP_RETRY_MS: u64 = 2_000;
/// After this it is somebody else who uses the group. LBC waits 20 s.
const TARGET_GROUP_PATIENCE_MS: u64 = 20_000;
/// The network interfaces of a deleted load balancer hold its security groups for one to three minutes.
const SECURITY_GROUP_RETRY_MS: u64 = 5_000;
/// LBC waits two minutes and then starts over.
const SECURITY_GROUP_PATIENCE_MS: u64 = 300_000;

/// ACM is told by load balancers which certificates they use, and is minutes behind at times.
const CERTIFICATE_RETRY_MS: u64 = 5_000;
/// After this it is somebody else who uses the certificate, or ACM is slow; a later round tries again.
const CERTIFICATE_PATIENCE_MS: u64 = 300_000;

/// A trust store is let go of with the listener that had it, and how long one is being set up is
/// undocumented: these are like target groups.
const TRUST_STORE_RETRY_MS: u64 = 2_000;
/// After this it is somebody else who uses it, or it is not coming up.
const TRUST_STORE_PATIENCE_MS: u64 = 60_000;

/// How often a wait looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Polls {
    /// Between two looks at the health of targets, in milliseconds. ALB's shortest check interval is
    /// 5 s, and a look costs a call.
    pub targets_ms: u64,
    /// Between two looks at load balancers that are being set up, in milliseconds.
    pub load_balancers_ms: u64,
}

impl Default for Polls {
    fn default() -> Self {
        Self {
            targets_ms: 2_000,
            load_balancers_ms: 2_500,
        }
    }
}

/// What an execution wants next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Make this call, and tell its answer to [`Execution::answered`].
    Call(Box<AwsCall>),
    /// Ask again at this time.
    At(Timestamp),
    /// Nothing: an answer is outstanding.
    Answer,
    /// Nothing: all steps are decided.
    Finished,
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "state",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum StepState {
    /// Not reached yet.
    Pending,
    /// Its call is out, or it waits.
    Running,
    /// Done.
    Succeeded,
    /// AWS refused, or the wait was too long.
    Failed {
        /// Why.
        error: AwsError,
    },
    /// A step that it depends on did not succeed, or a reference has no value.
    Skipped {
        /// What it lacks.
        why: String,
    },
    /// The plan says that it is not carried out.
    Held,
    /// The execution was given up before it came to it.
    Abandoned,
}

/// What executing a plan did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "a failed step has to be reported"]
pub struct Outcome {
    /// Steps that succeeded.
    pub succeeded: usize,
    /// Steps that failed, with whom they are charged to.
    pub failures: Vec<Failure>,
    /// Steps that were passed over because of a failure.
    pub skipped: usize,
    /// Steps that the plan holds.
    pub held: usize,
    /// Whether steps were left when the execution was given up.
    pub is_abandoned: bool,
    /// Whether what is known of the Stack may be wrong.
    pub must_observe: bool,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The step.
    pub step: StepId,
    /// The resource it was about.
    pub resource: ResourceKey,
    /// The operation, `CreateRule` for example.
    pub operation: String,
    /// The objects because of which the step is there.
    pub causes: Vec<Cause>,
    /// Why it failed.
    pub error: AwsError,
    /// Whether round after round has failed, so that what AWS refuses for the time being does not pass by
    /// itself: somebody's own rule has a priority that is needed, for example.
    #[serde(default)]
    pub persists: bool,
}

impl Failure {
    /// Whether it stays until somebody does something.
    pub fn is_lasting(&self) -> bool {
        self.persists || self.error.class.is_lasting()
    }

    /// Whether the step is there because of this object.
    pub fn is_caused_by(&self, object: &ObjectRef) -> bool {
        self.causes.iter().any(|cause| {
            cause.kind == object.kind.as_str()
                && cause.namespace == object.namespace
                && cause.name == object.name
        })
    }
}

impl Outcome {
    /// Whether every step that was to be carried out succeeded.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.skipped == 0 && !self.is_abandoned
    }

    /// The class that decides when to try again: the one that passes soonest.
    pub fn retry_class(&self) -> Option<ErrorClass> {
        let classes: BTreeSet<ErrorClass> = self.failures.iter().map(|f| f.error.class).collect();
        let soonest_first = [
            ErrorClass::Conflict,
            ErrorClass::NotFound,
            ErrorClass::Transient,
            ErrorClass::Throttled,
            ErrorClass::Invalid,
            ErrorClass::Quota,
            ErrorClass::Denied,
        ];
        soonest_first
            .into_iter()
            .find(|class| classes.contains(class))
    }
}

/// One plan on its way.
#[derive(Debug)]
pub struct Execution {
    plan: Plan,
    states: Vec<StepState>,
    current: usize,
    provided: Provided,
    attempt: Attempt,
    backoff: Backoff,
    polls: Polls,
    must_observe: bool,
    /// Steps whose state changed since they were last asked for.
    changed: BTreeSet<usize>,
    /// Operations that AWS has refused because a quota is used up. They would be refused again.
    exhausted: BTreeMap<&'static str, AwsError>,
    /// The call that an earlier plan was about to repeat.
    deferred: Option<Deferred>,
}

/// A call that AWS refuses for now, and how it stands with it. A plan that takes the place of another goes on
/// waiting with it, so that whoever edits objects does not make elbow ask AWS more often.
#[derive(Debug, Clone)]
pub(crate) struct Deferred {
    call: AwsCall,
    attempt: Attempt,
}

/// How it stands with the current step.
#[derive(Debug, Clone, Default)]
struct Attempt {
    /// The call that is out.
    out: bool,
    /// When the step was first tried.
    since: Option<Timestamp>,
    /// Not before.
    again_at: Option<Timestamp>,
    throttled: u32,
}

impl Execution {
    /// Takes a plan. `provided` holds the ids of resources of other Stacks that it refers to: the
    /// security group that all share.
    pub fn new(plan: Plan, provided: Provided, backoff: Backoff, polls: Polls) -> Self {
        let states = plan.steps.iter().map(|_| StepState::Pending).collect();
        Self {
            plan,
            states,
            current: 0,
            provided,
            attempt: Attempt::default(),
            backoff,
            polls,
            must_observe: false,
            changed: BTreeSet::new(),
            exhausted: BTreeMap::new(),
            deferred: None,
        }
    }

    /// Waits with a call that the plan before was waiting with.
    pub(crate) fn resuming(mut self, deferred: Option<Deferred>) -> Self {
        self.deferred = deferred;
        self
    }

    /// The call that is to be repeated, for the plan that takes this one's place.
    pub(crate) fn deferred(&self) -> Option<Deferred> {
        let step = self.current_step()?;
        let is_repeated = self.attempt.again_at.is_some() && matches!(step.kind, StepKind::Call(_));
        match self.call_of(step) {
            Ok(call) if is_repeated => Some(Deferred {
                call,
                attempt: self.attempt.clone(),
            }),
            _ => self.deferred.clone(),
        }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Each step with its state, in list order.
    pub fn steps(&self) -> impl Iterator<Item = (&Step, &StepState)> {
        self.plan.steps.iter().zip(&self.states)
    }

    /// The steps whose state has changed since this was last asked.
    pub(crate) fn take_changed(&mut self) -> Vec<(Step, StepState)> {
        let changed = std::mem::take(&mut self.changed);
        let both = |n: usize| Some((self.plan.steps.get(n)?.clone(), self.states.get(n)?.clone()));
        changed.into_iter().filter_map(both).collect()
    }

    /// The step that is being carried out.
    pub fn current_step(&self) -> Option<&Step> {
        self.plan.steps.get(self.current)
    }

    /// Whether it waits for something that takes its time, so that giving up costs nothing.
    pub fn is_waiting(&self) -> bool {
        let waits = self
            .current_step()
            .is_some_and(|step| matches!(step.kind, StepKind::Wait(_)));
        !self.attempt.out && (waits || self.attempt.again_at.is_some())
    }

    /// When the current step is looked at or tried again, if it has to wait for that.
    pub fn again_at(&self) -> Option<Timestamp> {
        if self.attempt.out {
            None
        } else {
            self.attempt.again_at
        }
    }

    /// Ids that the steps so far were answered with.
    pub fn provided(&self) -> &Provided {
        &self.provided
    }

    /// What to do next.
    pub fn next(&mut self, now: Timestamp) -> Next {
        if self.attempt.out {
            return Next::Answer;
        }
        if let Some(at) = self.attempt.again_at
            && now < at
        {
            return Next::At(at);
        }
        while let Some(step) = self.plan.steps.get(self.current) {
            if let Some(state) = self.passed_over(step) {
                self.decide(state);
                continue;
            }
            match self.call_of(step) {
                Ok(call) => {
                    if let Some(deferred) = self.deferred.take_if(|deferred| deferred.call == call)
                    {
                        self.attempt = deferred.attempt;
                        return self.next(now);
                    }
                    if let Some(error) = self.exhausted.get(call.operation()) {
                        let error = error.clone();
                        self.decide(StepState::Failed { error });
                        continue;
                    }
                    self.attempt.out = true;
                    self.attempt.since.get_or_insert(now);
                    if self.states[self.current] != StepState::Running {
                        self.states[self.current] = StepState::Running;
                        self.changed.insert(self.current);
                    }
                    return Next::Call(Box::new(call));
                }
                Err(missing) => {
                    let why = format!("the {missing} is not there");
                    self.decide(StepState::Skipped { why });
                }
            }
        }
        Next::Finished
    }

    /// Takes in the answer to the call that is out.
    pub fn answered(
        &mut self,
        now: Timestamp,
        call: &AwsCall,
        result: &Result<AwsAnswer, AwsError>,
    ) {
        self.attempt.out = false;
        let Some(step) = self.plan.steps.get(self.current) else {
            return;
        };
        match result {
            Ok(answer) => match &step.kind {
                StepKind::Call(_) => {
                    if !call.operation().starts_with("Create") {
                        // A delete may have made room.
                        self.exhausted.clear();
                    }
                    if let (Some(key), Some(id)) = (step.provides.clone(), id_of(answer)) {
                        self.provided.insert(key, id);
                    }
                    self.decide(StepState::Succeeded);
                }
                StepKind::Wait(wait) => {
                    let wait = wait.clone();
                    self.look(now, &wait, call, answer);
                }
            },
            Err(error) => self.refused(now, call, error.clone()),
        }
    }

    /// Gives up what is left. The answer of a call that is out has to be awaited first.
    pub fn abandon(&mut self) {
        for (n, state) in self.states.iter_mut().enumerate().skip(self.current) {
            if matches!(state, StepState::Pending | StepState::Running) {
                *state = StepState::Abandoned;
                self.changed.insert(n);
            }
        }
        self.current = self.states.len();
        self.attempt = Attempt::default();
    }

    /// What was done.
    pub fn outcome(&self) -> Outcome {
        let mut outcome = Outcome {
            must_observe: self.must_observe,
            ..Outcome::default()
        };
        for (step, state) in self.steps() {
            match state {
                StepState::Succeeded => outcome.succeeded += 1,
                StepState::Failed { error } => outcome.failures.push(Failure {
                    step: step.id,
                    resource: step.resource.clone(),
                    operation: operation(step),
                    causes: step.causes.clone(),
                    error: error.clone(),
                    persists: false,
                }),
                StepState::Skipped { .. } => outcome.skipped += 1,
                StepState::Held => outcome.held += 1,
                StepState::Abandoned | StepState::Pending | StepState::Running => {
                    outcome.is_abandoned = true;
                }
            }
        }
        outcome
    }

    /// Decides the current step and goes on to the next.
    fn decide(&mut self, state: StepState) {
        self.states[self.current] = state;
        self.changed.insert(self.current);
        self.current += 1;
        self.attempt = Attempt::default();
    }

    /// The state of a step that is not to be carried out.
    fn passed_over(&self, step: &Step) -> Option<StepState> {
        if step.held.is_some() {
            return Some(StepState::Held);
        }
        let failed = step
            .after
            .iter()
            .find(|id| self.state_of(**id) != Some(&StepState::Succeeded));
        failed.map(|id| StepState::Skipped {
            why: format!("step {id} did not succeed"),
        })
    }

    fn state_of(&self, id: StepId) -> Option<&StepState> {
        // Ids are ascending.
        let found = self.plan.steps.binary_search_by_key(&id, |step| step.id);
        self.states.get(found.ok()?)
    }

    fn call_of(&self, step: &Step) -> Result<AwsCall, ResourceKey> {
        match &step.kind {
            StepKind::Call(call) => resolve(call, &self.provided),
            StepKind::Wait(
                Wait::TargetsHealthy { target_group, .. }
                | Wait::TargetsDrained { target_group, .. },
            ) => Ok(AwsCall::DescribeTargetHealth {
                target_group: self.known(target_group, TargetGroupArn::new)?,
            }),
            StepKind::Wait(Wait::LoadBalancerActive { load_balancer, .. }) => {
                Ok(AwsCall::DescribeLoadBalancers {
                    arns: vec![self.known(load_balancer, LoadBalancerArn::new)?],
                    marker: None,
                })
            }
        }
    }

    fn known<T: Clone>(
        &self,
        reference: &Ref<T>,
        id: impl FnOnce(String) -> T,
    ) -> Result<T, ResourceKey> {
        match reference {
            Ref::Known(known) => Ok(known.clone()),
            Ref::Of(key) => self
                .provided
                .get(key)
                .cloned()
                .map(id)
                .ok_or_else(|| key.clone()),
        }
    }

    /// Takes in what a look during a wait has shown.
    fn look(&mut self, now: Timestamp, wait: &Wait, call: &AwsCall, answer: &AwsAnswer) {
        let since = self.attempt.since.unwrap_or(now);
        let (reached, timeout_seconds, poll_ms) = match (wait, answer) {
            (
                Wait::TargetsHealthy {
                    timeout_seconds, ..
                },
                AwsAnswer::TargetHealth(targets),
            ) => (
                are_healthy(targets),
                *timeout_seconds,
                self.polls.targets_ms,
            ),
            (
                Wait::TargetsDrained {
                    timeout_seconds, ..
                },
                AwsAnswer::TargetHealth(targets),
            ) => (
                are_drained(targets),
                *timeout_seconds,
                self.polls.targets_ms,
            ),
            (
                Wait::LoadBalancerActive {
                    timeout_seconds, ..
                },
                AwsAnswer::LoadBalancers(page),
            ) => {
                let reached = page.items.iter().all(is_active);
                (reached, *timeout_seconds, self.polls.load_balancers_ms)
            }
            _ => (false, 0, self.polls.targets_ms),
        };
        if reached {
            self.decide(StepState::Succeeded);
        } else if now.millis_since(since) >= u64::from(timeout_seconds) * 1000 {
            let message = format!(
                "{} did not show what is waited for within {timeout_seconds} s",
                call.operation()
            );
            let error = AwsError::new(ErrorClass::Transient, "WaitTimeout", message);
            self.decide(StepState::Failed { error });
        } else {
            self.attempt.again_at = Some(now.plus_millis(poll_ms));
        }
    }

    /// How long the current step waits at most, in seconds, and how often it looks, in milliseconds, if
    /// it is a wait.
    fn waits(&self) -> Option<(u32, u64)> {
        match &self.current_step()?.kind {
            StepKind::Call(_) => None,
            StepKind::Wait(
                Wait::TargetsHealthy {
                    timeout_seconds, ..
                }
                | Wait::TargetsDrained {
                    timeout_seconds, ..
                },
            ) => Some((*timeout_seconds, self.polls.targets_ms)),
            StepKind::Wait(Wait::LoadBalancerActive {
                timeout_seconds, ..
            }) => Some((*timeout_seconds, self.polls.load_balancers_ms)),
        }
    }

    fn refused(&mut self, now: Timestamp, call: &AwsCall, error: AwsError) {
        let since = self.attempt.since.unwrap_or(now);
        if error.class == ErrorClass::Throttled && self.attempt.throttled < THROTTLED_TRIES_MAX {
            self.attempt.throttled += 1;
            let asker = self
                .current_step()
                .map(|step| step.stack.to_string())
                .unwrap_or_default();
            let wait = self
                .backoff
                .wait_ms(error.class, self.attempt.throttled, &asker);
            self.attempt.again_at = Some(now.plus_millis(wait));
            return;
        }
        if is_gone(call, &error) {
            self.decide(StepState::Succeeded);
            return;
        }
        if error.class == ErrorClass::Conflict
            && let Some((retry_ms, patience_ms)) = patience(call, &error)
            && now.millis_since(since) < patience_ms
        {
            self.attempt.again_at = Some(now.plus_millis(retry_ms));
            return;
        }
        // A look changes nothing: when one gets lost, the next is as good.
        if error.class == ErrorClass::Transient
            && let Some((timeout_seconds, poll_ms)) = self.waits()
            && now.millis_since(since) < u64::from(timeout_seconds) * 1000
        {
            self.attempt.again_at = Some(now.plus_millis(poll_ms));
            return;
        }
        // Refused parameters are as often a sign of stale knowledge as of a mistake; quotas and
        // permissions are neither.
        if is_used_up(call, &error) {
            self.exhausted.insert(call.operation(), error.clone());
        }
        self.must_observe |= !matches!(
            error.class,
            ErrorClass::Denied | ErrorClass::Quota | ErrorClass::Throttled
        );
        self.decide(StepState::Failed { error });
    }
}

fn operation(step: &Step) -> String {
    match &step.kind {
        StepKind::Call(call) => call.operation().to_owned(),
        StepKind::Wait(_) => "Wait".to_owned(),
    }
}

/// The id that a create was answered with.
fn id_of(answer: &AwsAnswer) -> Option<String> {
    match answer {
        AwsAnswer::SecurityGroupCreated(id) => Some(id.to_string()),
        AwsAnswer::LoadBalancerCreated(lb) => Some(lb.arn.to_string()),
        AwsAnswer::TargetGroupCreated(arn) => Some(arn.to_string()),
        AwsAnswer::ListenerCreated(arn) => Some(arn.to_string()),
        AwsAnswer::RuleCreated(arn) => Some(arn.to_string()),
        AwsAnswer::CertificateImported(arn) => Some(arn.to_string()),
        AwsAnswer::TrustStoreCreated(arn) => Some(arn.to_string()),
        _ => None,
    }
}

/// Whether an error says that no resource of that kind can be made at present, whichever it is. Errors
/// that are about one resource, the targets of a group for example, do not.
fn is_used_up(call: &AwsCall, error: &AwsError) -> bool {
    error.class == ErrorClass::Quota
        && matches!(
            (call, error.code.as_str()),
            (AwsCall::CreateTargetGroup { .. }, "TooManyTargetGroups")
                | (AwsCall::CreateRule { .. }, "TooManyRules")
                | (AwsCall::CreateListener { .. }, "TooManyListeners")
        )
}

/// Whether "not found" means that what the call wants is reached.
fn is_gone(call: &AwsCall, error: &AwsError) -> bool {
    // Elsewhere a trust store that is not found is one that a user has named.
    if error.code == "TrustStoreNotFound" {
        return matches!(call, AwsCall::DeleteTrustStore { .. });
    }
    let deletes = matches!(
        call,
        AwsCall::DeleteSecurityGroup { .. }
            | AwsCall::DeleteLoadBalancer { .. }
            | AwsCall::DeleteTargetGroup { .. }
            | AwsCall::DeleteListener { .. }
            | AwsCall::DeleteRule { .. }
            | AwsCall::DeregisterTargets { .. }
            | AwsCall::DeleteCertificate { .. }
    );
    deletes && error.class == ErrorClass::NotFound
}

/// How often, and for how long, a call is tried whose resource is still in use or not ready yet.
fn patience(call: &AwsCall, error: &AwsError) -> Option<(u64, u64)> {
    match call {
        AwsCall::CreateListener { .. } | AwsCall::ModifyListener { .. }
            if error.code == "TrustStoreNotReady" =>
        {
            Some((TRUST_STORE_RETRY_MS, TRUST_STORE_PATIENCE_MS))
        }
        AwsCall::DeleteTargetGroup { .. } => {
            Some((TARGET_GROUP_RETRY_MS, TARGET_GROUP_PATIENCE_MS))
        }
        AwsCall::DeleteCertificate { .. } => Some((CERTIFICATE_RETRY_MS, CERTIFICATE_PATIENCE_MS)),
        AwsCall::DeleteTrustStore { .. } => Some((TRUST_STORE_RETRY_MS, TRUST_STORE_PATIENCE_MS)),
        AwsCall::DeleteSecurityGroup { .. } => {
            Some((SECURITY_GROUP_RETRY_MS, SECURITY_GROUP_PATIENCE_MS))
        }
        _ => None,
    }
}

fn is_active(lb: &LoadBalancerDescription) -> bool {
    matches!(
        lb.state,
        LoadBalancerState::Active | LoadBalancerState::ActiveImpaired
    )
}
