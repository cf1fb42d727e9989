//! What must hold when edits and faults have ended and the machine rests.
//!
//! In: a machine at rest. Out: an error that says what did not hold. What always holds: the next phase
//! begins from an account that was found to be right.

use std::collections::BTreeSet;

use elbow_api::NamespacedName;
use elbow_model::StackKind;
use elbow_reconcile::{RoundResult, Unit};

use super::{ASKS_PER_CHANGE, Simulation};
use crate::bindings;
use crate::ideal::{Ideal, balancers};
use crate::objects::NAMESPACE;
use crate::settled;
use crate::traffic;

impl Simulation {
    pub(super) fn check_rest(&mut self) -> Result<(), String> {
        self.trace.add(self.now, "rests");
        self.account.check_foreign()?;
        let mut ideal = Ideal::of(&self.snapshot);
        let is_reached = ideal.is_reached;
        if is_reached {
            self.check_account(&mut ideal)?;
        }
        // From here on clients may be answered as these objects say.
        self.shown = vec![ideal];
        self.asked = traffic::requests(self.shown.iter().flat_map(|ideal| ideal.stacks.values()));
        self.excused.clear();
        self.has_meddled = false;
        self.has_failed = false;
        self.balancers = balancers(&mut self.account);
        let doors = traffic::doors(&self.account.emulator, self.now, &self.balancers);
        self.established = doors.into_iter().map(|(_, listener)| listener).collect();
        if is_reached {
            self.check_balancers_at_rest()?;
            self.check_traffic(8 * ASKS_PER_CHANGE)?;
        } else {
            self.established.clear();
        }
        Ok(())
    }

    fn check_account(&mut self, ideal: &mut Ideal) -> Result<(), String> {
        let unfinished = self.results.iter().find(|(_, result)| {
            !matches!(result, RoundResult::Converged { .. } | RoundResult::Blocked)
        });
        if let Some((unit, result)) = unfinished {
            return Err(format!("it rests, but {unit} ended with {result:?}"));
        }
        self.account.check_reach()?;
        let observed = settled::replan(&mut self.account, &self.snapshot, self.now)?;
        let gateways: BTreeSet<Unit> = self
            .cluster
            .gateways
            .iter()
            .filter(|(_, gateway)| !gateway.is_deleting)
            .map(|(number, _)| {
                Unit::Gateway(NamespacedName::new(NAMESPACE, format!("gw-{number}")))
            })
            .collect();
        settled::compare(&observed, ideal, &self.snapshot, &gateways)?;
        if let Some(machine) = &self.machine {
            let is_believed = |stack: &_| machine.is_believed(stack);
            settled::compare_memory(machine.known(), &observed, is_believed)?;
        }
        bindings::check_rest(&mut self.account, &self.cluster.bindings)?;
        let counted = self.account.count_ours();
        // The groups of users' bindings are somebody else's.
        let stacks = observed.stacks.iter();
        let stacks = stacks.filter(|(id, _)| id.kind != StackKind::Binding);
        let seen =
            stacks
                .map(|(_, stack)| stack)
                .fold([0; 3], |[balancers, groups, security], stack| {
                    [
                        balancers + stack.load_balancers.len(),
                        groups + stack.target_groups.len(),
                        security + stack.security_groups.len(),
                    ]
                });
        if counted == seen {
            Ok(())
        } else {
            Err(format!(
                "of load balancers, target groups and security groups there are {counted:?}, \
                 but the tags lead to {seen:?}"
            ))
        }
    }
}
