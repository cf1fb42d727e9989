//! Calls: what becomes of them on the way, what they may do, and what they did.
//!
//! In: calls that arrive, in time or after the machine that made them was killed. Out: answers, and an
//! error where something was done that must not be. What always holds: the account is asked before each
//! change and after it.

use elbow_api::{Kind, Object, ObjectRef};
use elbow_model::{AwsAnswer, AwsCall, AwsError, ErrorClass};
use elbow_reconcile::CallId;

use super::{ASKS_PER_CHANGE, Event, Simulation, Users};
use crate::bindings;
use crate::faults::What;
use crate::ideal::balancers;
use crate::meddle::meddle;

impl Simulation {
    pub(super) fn arrive(
        &mut self,
        id: CallId,
        call: &AwsCall,
        what: What,
        answer_after_ms: u64,
    ) -> Result<(), String> {
        let result = match what {
            What::Answered => self.carry_out(call)?,
            What::Refused(error) => Err(error),
            What::Lost(error) => {
                let _done = self.carry_out(call)?;
                Err(error)
            }
        };
        if call.is_mutating() {
            let text = match &result {
                Ok(_) => "done".to_owned(),
                Err(error) => {
                    self.has_failed |= error.class != ErrorClass::Throttled;
                    error.to_string()
                }
            };
            self.trace.add(self.now, format!("{id:?} {text}: {call:?}"));
        } else if let Err(error) = &result {
            self.trace
                .add(self.now, format!("{id:?} {error}: {call:?}"));
        }
        let life = self.life;
        self.schedule(
            answer_after_ms,
            Event::Answer {
                life,
                id,
                result: Box::new(result),
            },
        );
        Ok(())
    }

    /// Carries out a call, and checks what it may do and what it did.
    pub(super) fn carry_out(
        &mut self,
        call: &AwsCall,
    ) -> Result<Result<AwsAnswer, AwsError>, String> {
        self.summary.calls += 1;
        if !call.is_mutating() {
            return Ok(self.account.answer(self.now, call));
        }
        let is_undisturbed = !self.has_meddled;
        let bindings = &self.cluster.bindings;
        if !bindings::judge(&mut self.account, bindings, call, is_undisturbed)? {
            self.account.guard(call)?;
        }
        self.account.may_be_done(call, self.has_meddled)?;
        let result = match self.not_read(call) {
            Some(error) => Err(error),
            None => self.account.answer(self.now, call),
        };
        self.summary.changes += 1;
        self.n_tagged += u64::from(matches!(call, AwsCall::AddTags { .. }));
        if matches!(
            call,
            AwsCall::CreateLoadBalancer { .. } | AwsCall::DeleteLoadBalancer { .. }
        ) {
            self.balancers = balancers(&mut self.account);
            self.check_balancers(2)?;
        }
        self.check_traffic(ASKS_PER_CHANGE)?;
        Ok(result)
    }

    /// An import sends what the Secret holds then. One that is gone, or holds something else than was
    /// planned for, is not imported.
    fn not_read(&self, call: &AwsCall) -> Option<AwsError> {
        let AwsCall::ImportCertificate { content, .. } = call else {
            return None;
        };
        let name = ObjectRef::new(
            Kind::Secret,
            content.namespace.clone(),
            content.name.clone(),
        );
        let holds_it = match self.objects.get(&name) {
            Some(Object::Secret(secret)) => { secret.certificate.as_ref() }
                .is_ok_and(|certificate| certificate.digest == content.digest),
            _ => false,
        };
        (!holds_it).then(|| content.not_read())
    }

    /// A call of a machine that was killed lands. The next one may have looked already: it cannot know of it
    /// before it looks again.
    pub(super) fn land_late(&mut self, life: u32, call: &AwsCall) -> Result<(), String> {
        let is_of_binding = bindings::is_about(call);
        // What it would do to a user's group nobody would ever look at again.
        if !call.is_mutating() || is_of_binding {
            return Ok(());
        }
        let is_next_there = self.life != life && self.machine.is_some();
        self.has_meddled |= is_next_there;
        self.trace.add(
            self.now,
            format!("of the one that was killed, with the next there: {is_next_there}: {call:?}"),
        );
        let _answer = self.carry_out(call)?;
        Ok(())
    }

    /// Somebody else does something by hand.
    pub(super) fn any_mischief(&mut self) -> Option<String> {
        let has_more = self.users == Users::DoEverything;
        meddle(&mut self.account, &mut self.calls, self.now, has_more)
    }
}
