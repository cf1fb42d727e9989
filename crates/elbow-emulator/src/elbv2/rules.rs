//! Listener rules: create, describe, modify, delete.

use std::collections::BTreeSet;

use super::actions::{self, Scope};
use super::arn::{self, Resource};
use super::limits::RULES_PER_NETWORK_LOAD_BALANCER;
use super::state::{Listener, LoadBalancer, LoadBalancerKind, Rule};
use super::{conditions, error, load_balancers, page, tags, transforms};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

impl Emulator {
    /// Not idempotent: a second rule with the same priority is refused, be it the same rule.
    pub(super) fn create_rule(
        &mut self,
        now: Timestamp,
        input: &wire::CreateRuleInput,
    ) -> Result<wire::CreateRuleOutput, ApiError> {
        let listener = self.elbv2.listener(&input.listener_arn)?;
        let lb = self.elbv2.load_balancer(&listener.load_balancer_arn)?;
        let tags = tags::read(input.tags.as_ref(), self.config.quotas.tags_per_resource)?;
        let conditions = conditions::check(lb, &input.conditions, &self.config.quotas)?;
        let transforms = input.transforms.clone().unwrap_or_default();
        transforms::check(lb.kind, &transforms)?;
        let actions = self.check_actions(lb, listener, None, &input.actions)?;
        let priority = priority(input.priority)?;
        if self
            .elbv2
            .rules_of(&listener.arn)
            .any(|rule| rule.priority == Some(priority))
        {
            return Err(priority_in_use(priority));
        }
        let quota = match lb.kind {
            LoadBalancerKind::Application => self.config.quotas.rules_per_application_load_balancer,
            LoadBalancerKind::Network => RULES_PER_NETWORK_LOAD_BALANCER,
        };
        let rules = self.elbv2.rules_of_load_balancer(&lb.arn);
        if rules.filter(|rule| rule.priority.is_some()).count() >= quota {
            let message = format!("The maximum number of rules per load balancer is '{quota}'");
            return Err(ApiError::sender("TooManyRules", message)); // Undocumented text.
        }
        let listener_arn = listener.arn.clone();
        let arn = arn::rule(&listener_arn, &self.ids.hex(16));
        let rule = Rule {
            arn,
            listener_arn,
            priority: Some(priority),
            conditions,
            actions,
            transforms,
            tags,
        };
        let rules = Some(vec![shown(&rule)]);
        self.put_rule(now, rule);
        Ok(wire::CreateRuleOutput { rules })
    }

    fn check_actions(
        &self,
        lb: &LoadBalancer,
        listener: &Listener,
        replaced_rule: Option<&str>,
        actions: &[wire::Action],
    ) -> Result<Vec<wire::Action>, ApiError> {
        let scope = Scope {
            state: &self.elbv2,
            quotas: &self.config.quotas,
            load_balancer: lb,
            protocol: listener.protocol,
            replaced_rule,
        };
        actions::check(&scope, actions)
    }

    pub(super) fn describe_rules(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeRulesInput,
    ) -> Result<wire::DescribeRulesOutput, ApiError> {
        let arns = input.rule_arns.as_ref().filter(|arns| !arns.is_empty());
        let mut rules: Vec<&Rule> = match (&input.listener_arn, arns) {
            (Some(_), Some(_)) => {
                return Err(error::validation(
                    "Listener rule ARNs and a listener ARN cannot be specified at the same time",
                ));
            }
            (None, None) => {
                return Err(error::validation(
                    "You must specify either listener rule ARNs or a listener ARN",
                ));
            }
            (Some(arn), None) => {
                let listener = self.elbv2.listener(arn)?;
                self.elbv2.rules_of(&listener.arn).collect()
            }
            (None, Some(arns)) => {
                load_balancers::check_batch(Some(arns), "listener rule ARNs")?;
                let distinct: BTreeSet<&String> = arns.iter().collect();
                distinct
                    .into_iter()
                    .map(|arn| self.rule(arn))
                    .collect::<Result<_, _>>()?
            }
        };
        // Ascending priority, default rules last; the ARN tells rules of several listeners apart.
        let key = |rule: &Rule| {
            let priority = rule.priority.map_or(u32::MAX, u32::from);
            format!("{priority:010} {}", rule.arn)
        };
        rules.sort_by_cached_key(|rule| key(rule));
        let page = page::cut(
            rules,
            |rule| key(rule),
            input.marker.as_deref(),
            input.page_size,
        )?;
        Ok(wire::DescribeRulesOutput {
            rules: Some(page.items.into_iter().map(shown).collect()),
            next_marker: page.next_marker,
        })
    }

    pub(super) fn modify_rule(
        &mut self,
        now: Timestamp,
        input: &wire::ModifyRuleInput,
    ) -> Result<wire::ModifyRuleOutput, ApiError> {
        let rule = self.rule(&input.rule_arn)?;
        let reset = input.reset_transforms == Some(true);
        let changes_transforms = input.transforms.is_some() || reset;
        if input.conditions.is_none() && input.actions.is_none() && !changes_transforms {
            return Err(error::validation(
                "Either conditions or actions must be specified",
            ));
        }
        if input.transforms.is_some() && reset {
            // The rule is the reference's, the text is not.
            return Err(error::validation(
                "Transforms and ResetTransforms cannot be specified at the same time",
            ));
        }
        if rule.priority.is_none() {
            return Err(error::not_permitted("Default rule cannot be modified")); // Undocumented.
        }
        let listener = self.elbv2.listener(&rule.listener_arn)?;
        let lb = self.elbv2.load_balancer(&listener.load_balancer_arn)?;
        let mut new = rule.clone();
        if let Some(conditions) = &input.conditions {
            new.conditions = conditions::check(lb, conditions, &self.config.quotas)?;
        }
        if let Some(transforms) = &input.transforms {
            transforms::check(lb.kind, transforms)?;
            new.transforms.clone_from(transforms);
        }
        if reset {
            new.transforms.clear();
        }
        if let Some(actions) = &input.actions {
            let old = Some(rule.arn.as_str());
            new.actions = self.check_actions(lb, listener, old, actions)?;
        }
        let rules = Some(vec![shown(&new)]);
        self.put_rule(now, new);
        Ok(wire::ModifyRuleOutput { rules })
    }

    pub(super) fn delete_rule(
        &mut self,
        now: Timestamp,
        input: &wire::DeleteRuleInput,
    ) -> Result<wire::DeleteRuleOutput, ApiError> {
        let rule = self.rule(&input.rule_arn)?;
        if rule.priority.is_none() {
            return Err(error::not_permitted("Default rule cannot be deleted")); // Undocumented.
        }
        let arn = rule.arn.clone();
        self.remove_rule(now, &arn);
        Ok(wire::DeleteRuleOutput {})
    }

    /// The rule of that ARN, or AWS's refusal.
    pub(super) fn rule(&self, arn: &str) -> Result<&Rule, ApiError> {
        arn::check(arn, Resource::Rule)?;
        self.elbv2.rules.get(arn).ok_or_else(error::no_rule)
    }
}

/// A priority, whose range the framework has checked.
pub(super) fn priority(priority: i32) -> Result<u16, ApiError> {
    u16::try_from(priority).map_err(|_| error::validation("The priority is not valid"))
}

pub(super) fn priority_in_use(priority: u16) -> ApiError {
    ApiError::sender(
        "PriorityInUse",
        format!("Priority '{priority}' is currently in use"),
    )
}

/// A rule as responses show it.
pub(super) fn shown(rule: &Rule) -> wire::Rule {
    let priority = rule
        .priority
        .map_or("default".to_owned(), |priority| priority.to_string());
    wire::Rule {
        actions: Some(actions::shown(&rule.actions)),
        conditions: Some(rule.conditions.clone()),
        is_default: Some(rule.priority.is_none()),
        priority: Some(priority),
        rule_arn: Some(rule.arn.clone()),
        // Absent, not empty, on a rule that has none.
        transforms: Some(rule.transforms.clone()).filter(|transforms| !transforms.is_empty()),
    }
}
