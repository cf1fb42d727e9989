//! Calls: what becomes of them on the way, what they may do, and what they did.
//!
//! In: calls that arrive, in time or after the machine that made them was killed. Out: answers, and an
//! error where something was done that must not be. What always holds: the account is asked before each
//! change and after it.

use std::collections::BTreeSet;

use elbow_api::{Kind, Object, ObjectRef};
use elbow_model::{AwsAnswer, AwsCall, AwsError, ErrorClass};
use elbow_reconcile::CallId;

use super::{ASKS_PER_CHANGE, Event, Simulation};
use crate::bindings;
use crate::faults::What;
use crate::ideal::balancers;
use crate::meddle::meddle;
use crate::reach::ShutOut;

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
        if let Ok(answer) = &result {
            self.note_health(call, answer);
        }
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
        let shut_out = self.shut_out_before(call);
        let bindings = &self.cluster.bindings;
        if !bindings::judge(&mut self.account, bindings, call, is_undisturbed)? {
            self.account.guard(call)?;
        }
        self.account.may_be_done(call, self.is_disturbed())?;
        let result = match self.not_read(call) {
            Some(error) => Err(error),
            None => self.account.answer(self.now, call),
        };
        if let Some(before) = shut_out {
            self.check_shut_out(&before)?;
        }
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
        let comes_late =
            self.users.do_everything() && bindings::may_come_late(&self.cluster.bindings, call);
        if !call.is_mutating() || (is_of_binding && !comes_late) {
            return Ok(());
        }
        let is_next_there = self.life != life && self.machine.is_some();
        self.has_meddled |= is_next_there || is_of_binding;
        self.summary.late += u64::from(is_of_binding);
        self.trace.add(
            self.now,
            format!("of the one that was killed, with the next there: {is_next_there}: {call:?}"),
        );
        let _answer = self.carry_out(call)?;
        Ok(())
    }

    /// The targets that are shut out before rules go, if this call takes rules away.
    fn shut_out_before(&mut self, call: &AwsCall) -> Option<BTreeSet<ShutOut>> {
        let takes_away = matches!(call, AwsCall::RevokeSecurityGroupIngress { .. });
        // What others have done may have to be undone in another order.
        (takes_away && !self.has_meddled).then(|| {
            let fabric = self.fabric().cloned();
            self.account.shut_out(self.now, fabric.as_ref())
        })
    }

    /// No target is shut out that was not before.
    fn check_shut_out(&mut self, before: &BTreeSet<ShutOut>) -> Result<(), String> {
        let fabric = self.fabric().cloned();
        let after = self.account.shut_out(self.now, fabric.as_ref());
        match after.difference(before).next() {
            Some(first) => Err(format!("a rule went that was needed: {first}")),
            None => Ok(()),
        }
    }

    /// Somebody else does something by hand.
    pub(super) fn any_mischief(&mut self) -> Option<String> {
        let has_more = self.users.keep_secrets();
        meddle(&mut self.account, &mut self.calls, self.now, has_more)
    }
}
