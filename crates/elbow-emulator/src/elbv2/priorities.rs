//! SetRulePriorities: one step from one order of rules to another.
//!
//! Any final order without conflicts is taken, swaps and rotations included; a refused request
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::error;
use super::rules::{priority, priority_in_use, shown};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

impl Emulator {
    pub(super) fn set_rule_priorities(
        &mut self,
        _now: Timestamp,
        input: &wire::SetRulePrioritiesInput,
    ) -> Result<wire::SetRulePrioritiesOutput, ApiError> {
        let mut wanted: BTreeMap<String, u16> = BTreeMap::new();
        // Priorities are those of a listener: two listeners may use the same one.
        let mut taken: BTreeSet<(&str, u16)> = BTreeSet::new();
        for pair in &input.rule_priorities {
            let (Some(arn), Some(number)) = (&pair.rule_arn, pair.priority) else {
                // Undocumented text.
                return Err(error::validation(
                    "A rule ARN and a priority must be specified",
                ));
            };
            let rule = self.rule(arn)?;
            if rule.priority.is_none() {
                // Undocumented text.
                return Err(error::not_permitted(
                    "Default rule cannot be assigned a priority",
                ));
            }
            let number = priority(number)?;
            if wanted.insert(arn.clone(), number).is_some() {
                // Undocumented text.
                return Err(error::validation(format!(
                    "Rule '{arn}' was provided multiple times"
                )));
            }
            if !taken.insert((&rule.listener_arn, number)) {
                return Err(error::validation(format!(
                    "Priority '{number}' was provided multiple times"
                )));
            }
        }
        let in_use = taken.iter().find(|(listener, number)| {
            let rules = self.elbv2.rules_of(listener);
            let mut others = rules.filter(|rule| !wanted.contains_key(&rule.arn));
            others.any(|rule| rule.priority == Some(*number))
        });
        if let Some((_, number)) = in_use {
            return Err(priority_in_use(*number));
        }
        for (arn, number) in &wanted {
            if let Some(rule) = self.elbv2.rules.get_mut(arn) {
                rule.priority = Some(*number);
            }
        }
        self.elbv2.touch();
        let mut rules: Vec<_> = wanted
            .keys()
            .filter_map(|arn| self.elbv2.rules.get(arn))
            .collect();
        rules.sort_by_key(|rule| (&rule.listener_arn, rule.priority));
        Ok(wire::SetRulePrioritiesOutput {
            rules: Some(rules.into_iter().map(shown).collect()),
        })
    }
}
