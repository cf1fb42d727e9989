//! Load balancers in front of others: what the routes of a network load balancer are told of the
//! application load balancers that they name.
//!
//! In: what is known of the Stacks of application load balancers. Out: [`Facts`](elbow_model::Facts), and
//! rounds of the Gateways whose routes named one that has changed, or that was not to be deleted before. What
//! always holds: after the census there is an entry for every Gateway, so that nothing is taken for absent
//! which was not looked at; a change costs work in proportion to those who named it.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::{GatewayController, Kind, NamespacedName, ObjectRef, Read};
use elbow_model::StackId;
use elbow_model::facts::ServingLoadBalancer;
use elbow_model::observed::LoadBalancerState;
use elbow_model::stack::LoadBalancerType;

use super::unit::{Knowledge, Unit};
use super::{Reconciler, RoundResult};
use crate::observe::Census;
use crate::outbox::Priority;
use crate::time::Timestamp;

impl Reconciler {
    /// Takes from the census what it tells of the Gateways' load balancers. It does not tell of listeners.
    pub(super) fn begin_chains(
        &mut self,
        parts: &BTreeMap<StackId, Census>,
        units: &BTreeSet<Unit>,
    ) {
        for gateway in units.iter().filter_map(Unit::gateway) {
            let stack = chained(gateway);
            let listed = parts.get(&stack).into_iter();
            let mut listed = listed.flat_map(|part| part.load_balancers.values());
            let serving = listed
                .find(|lb| lb.lb_type == Some(LoadBalancerType::Application) && serves(lb.state))
                .map(|lb| ServingLoadBalancer {
                    arn: lb.arn.clone(),
                    ports: None,
                });
            let facts = self.facts.facts_mut();
            facts.application_load_balancers.insert(stack, serving);
        }
    }

    /// Notes what a Gateway's load balancer is as a target, after what is known of it changed.
    pub(super) fn note_chain(&mut self, unit: &Unit, now: Timestamp) {
        let Unit::Gateway(gateway) = unit else { return };
        let stack = chained(gateway);
        let serving = self.serving(unit, &stack);
        let facts = self.facts.facts_mut();
        let before = facts
            .application_load_balancers
            .insert(stack, serving.clone());
        if before == Some(serving) {
            return;
        }
        let NamespacedName { namespace, name } = gateway.clone();
        let read = Read::Object(ObjectRef::new(Kind::Gateway, namespace, name));
        let readers = self.readers.get(&read).into_iter().flatten();
        let others: Vec<_> = readers.filter(|reader| *reader != unit).cloned().collect();
        for other in others {
            self.enqueue(&other, Priority::Fresh, now);
        }
    }

    /// Tries again at once what AWS may have refused another Gateway: it deletes no load balancer that is
    /// a target, and this round may have changed that.
    pub(super) fn let_go(&mut self, unit: &Unit, result: &RoundResult, now: Timestamp) {
        let is_news = matches!(result, RoundResult::Converged { outcome } if outcome.succeeded > 0);
        let reads = self.units.get(unit).map(|work| &work.reads);
        let named = reads.into_iter().flatten().filter_map(|read| match read {
            Read::Object(object) if object.kind == Kind::Gateway => {
                Some(Unit::Gateway(object.namespaced_name()))
            }
            _ => None,
        });
        let refused = named.filter(|other| {
            let other_work = self.units.get(other);
            *other != *unit && other_work.is_some_and(|work| work.failures > 0)
        });
        let refused: Vec<_> = refused.filter(|_| is_news).collect();
        for other in refused {
            self.enqueue(&other, Priority::Retry, now);
        }
    }

    /// The load balancer that is asked for; while it is being set up in the place of another, that one.
    fn serving(&self, unit: &Unit, stack: &StackId) -> Option<ServingLoadBalancer> {
        let known = self.known.stacks.get(stack)?;
        let work = self.units.get(unit)?;
        let wanted = work.stack.as_ref().filter(|wanted| wanted.id == *stack);
        let wanted = wanted.and_then(|wanted| wanted.load_balancer.as_ref());
        let balancers = known.load_balancers.iter();
        let found = balancers
            .filter(|lb| lb.lb_type == LoadBalancerType::Application && serves(lb.state))
            .max_by_key(|lb| {
                let is_wanted = wanted.is_some_and(|wanted| wanted.scheme == lb.scheme);
                (is_wanted, std::cmp::Reverse(&lb.arn))
            })?;
        // Lists do not tell of listeners.
        let knows_listeners = work.knowledge == Knowledge::Trusted;
        Some(ServingLoadBalancer {
            arn: found.arn.clone(),
            ports: knows_listeners.then(|| found.listeners.iter().map(|l| l.port).collect()),
        })
    }
}

/// The Stack of a Gateway whose load balancer can be a target.
fn chained(gateway: &NamespacedName) -> StackId {
    elbow_translate::stack_id(GatewayController::Alb, gateway)
}

fn serves(state: LoadBalancerState) -> bool {
    matches!(
        state,
        LoadBalancerState::Active | LoadBalancerState::ActiveImpaired
    )
}
