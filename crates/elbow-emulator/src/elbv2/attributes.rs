//! Attributes of load balancers, listeners and target groups: tables, and the six operations.
//!
//! Comes in: key and value pairs. Goes out: AWS's refusal, or the full set of attributes. Always
//! holds: a resource has every attribute that applies to it, set or default; a call that sets one
//! badly sets none.

mod listener;
mod load_balancer;
mod target_group;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use self::values::Values;
use super::arn::{self, Resource};
use super::error;
use super::state::{Listener, LoadBalancer, TargetGroup};
use crate::error::ApiError;
use crate::generated::elbv2 as wire;
use crate::{Emulator, Timestamp};

/// One row of an attribute table.
struct Attribute<Of> {
    key: &'static str,
    /// Which values it takes.
    values: Values,
    /// Its value on a new resource; `None` where it does not apply.
    initial: fn(&Of) -> Option<&'static str>,
}

/// Pairs of key and value, as a request has them.
type Pairs = Vec<(String, String)>;

/// What a new load balancer has.
pub(super) fn of_load_balancer(load_balancer: &LoadBalancer) -> BTreeMap<String, String> {
    initial(load_balancer::TABLE, load_balancer)
}

/// What a new listener has.
pub(super) fn of_listener(listener: &Listener) -> BTreeMap<String, String> {
    initial(listener::TABLE, listener)
}

/// What a new target group has.
pub(super) fn of_target_group(group: &TargetGroup) -> BTreeMap<String, String> {
    initial(target_group::TABLE, group)
}

fn initial<Of>(table: &[Attribute<Of>], of: &Of) -> BTreeMap<String, String> {
    let rows = table
        .iter()
        .filter_map(|row| Some((row.key, (row.initial)(of)?)));
    rows.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// The first key that is there twice.
fn repeated(pairs: &Pairs) -> Option<&str> {
    let mut seen = BTreeSet::new();
    pairs
        .iter()
        .map(|(key, _)| key.as_str())
        .find(|key| !seen.insert(*key))
}

impl Emulator {
    pub(super) fn describe_load_balancer_attributes(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeLoadBalancerAttributesInput,
    ) -> Result<wire::DescribeLoadBalancerAttributesOutput, ApiError> {
        let load_balancer = self.elbv2.load_balancer(&input.load_balancer_arn)?;
        let attributes = Some(load_balancer_attributes(&load_balancer.attributes));
        Ok(wire::DescribeLoadBalancerAttributesOutput { attributes })
    }

    pub(super) fn modify_load_balancer_attributes(
        &mut self,
        now: Timestamp,
        input: wire::ModifyLoadBalancerAttributesInput,
    ) -> Result<wire::ModifyLoadBalancerAttributesOutput, ApiError> {
        let load_balancer = self.elbv2.load_balancer(&input.load_balancer_arn)?;
        let pairs = pairs(input.attributes, |a| (a.key, a.value));
        if let Some(key) = repeated(&pairs) {
            return Err(error::validation(format!(
                "Attribute key '{key}' has been specified more than once"
            )));
        }
        let attributes = load_balancer::set(load_balancer, pairs)?;
        let shown = load_balancer_attributes(&attributes);
        let arn = input.load_balancer_arn;
        if let Some(load_balancer) = self.elbv2.load_balancers.get_mut(&arn) {
            load_balancer.attributes = attributes;
        }
        self.elbv2.touch();
        self.refresh_load_balancer(now, &arn); // Cross-zone decides which targets are in use.
        Ok(wire::ModifyLoadBalancerAttributesOutput {
            attributes: Some(shown),
        })
    }

    pub(super) fn describe_listener_attributes(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeListenerAttributesInput,
    ) -> Result<wire::DescribeListenerAttributesOutput, ApiError> {
        let listener = self.elbv2.listener(&input.listener_arn)?;
        let attributes = Some(listener_attributes(&listener.attributes));
        Ok(wire::DescribeListenerAttributesOutput { attributes })
    }

    pub(super) fn modify_listener_attributes(
        &mut self,
        _now: Timestamp,
        input: wire::ModifyListenerAttributesInput,
    ) -> Result<wire::ModifyListenerAttributesOutput, ApiError> {
        let listener = self.elbv2.listener(&input.listener_arn)?;
        let pairs = pairs(input.attributes, |a| (a.key, a.value));
        if let Some(key) = repeated(&pairs) {
            // Undocumented; as for load balancers.
            return Err(error::validation(format!(
                "Attribute key '{key}' has been specified more than once"
            )));
        }
        let attributes = listener::set(listener, pairs)?;
        let shown = listener_attributes(&attributes);
        if let Some(listener) = self.elbv2.listeners.get_mut(&input.listener_arn) {
            listener.attributes = attributes;
        }
        self.elbv2.touch();
        Ok(wire::ModifyListenerAttributesOutput {
            attributes: Some(shown),
        })
    }

    pub(super) fn describe_target_group_attributes(
        &mut self,
        _now: Timestamp,
        input: &wire::DescribeTargetGroupAttributesInput,
    ) -> Result<wire::DescribeTargetGroupAttributesOutput, ApiError> {
        let group = self.elbv2.target_group(&input.target_group_arn)?;
        let attributes = Some(target_group_attributes(&group.attributes));
        Ok(wire::DescribeTargetGroupAttributesOutput { attributes })
    }

    pub(super) fn modify_target_group_attributes(
        &mut self,
        now: Timestamp,
        input: wire::ModifyTargetGroupAttributesInput,
    ) -> Result<wire::ModifyTargetGroupAttributesOutput, ApiError> {
        let group = self.elbv2.target_group(&input.target_group_arn)?;
        let pairs = pairs(input.attributes, |a| (a.key, a.value));
        if let Some(key) = repeated(&pairs) {
            return Err(error::validation(format!(
                "Target group attribute keys must be unique: '[{key}]'"
            )));
        }
        let attributes = target_group::set(group, pairs)?;
        let shown = target_group_attributes(&attributes);
        let arn = input.target_group_arn;
        if let Some(group) = self.elbv2.target_groups.get_mut(&arn) {
            group.attributes = attributes;
        }
        self.elbv2.touch();
        self.refresh_target_group(now, &arn);
        Ok(wire::ModifyTargetGroupAttributesOutput {
            attributes: Some(shown),
        })
    }
}

/// An absent key or value counts as an empty one, which no table takes for a key.
fn pairs<T>(list: Vec<T>, split: fn(T) -> (Option<String>, Option<String>)) -> Pairs {
    let pairs = list.into_iter().map(split);
    pairs
        .map(|(key, value)| (key.unwrap_or_default(), value.unwrap_or_default()))
        .collect()
}

fn load_balancer_attributes(of: &BTreeMap<String, String>) -> Vec<wire::LoadBalancerAttribute> {
    let pair = |(key, value): (&String, &String)| wire::LoadBalancerAttribute {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    of.iter().map(pair).collect()
}

fn listener_attributes(of: &BTreeMap<String, String>) -> Vec<wire::ListenerAttribute> {
    let pair = |(key, value): (&String, &String)| wire::ListenerAttribute {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    of.iter().map(pair).collect()
}

fn target_group_attributes(of: &BTreeMap<String, String>) -> Vec<wire::TargetGroupAttribute> {
    let pair = |(key, value): (&String, &String)| wire::TargetGroupAttribute {
        key: Some(key.clone()),
        value: Some(value.clone()),
    };
    of.iter().map(pair).collect()
}

impl super::State {
    /// The load balancer of that ARN, or AWS's refusal.
    pub(super) fn load_balancer(&self, arn: &str) -> Result<&LoadBalancer, ApiError> {
        arn::check(arn, Resource::LoadBalancer)?;
        self.load_balancers
            .get(arn)
            .ok_or_else(|| error::no_load_balancer(arn))
    }

    /// The listener of that ARN, or AWS's refusal.
    pub(super) fn listener(&self, arn: &str) -> Result<&Listener, ApiError> {
        arn::check(arn, Resource::Listener)?;
        self.listeners.get(arn).ok_or_else(error::no_listener)
    }

    /// The target group of that ARN, or AWS's refusal.
    pub(super) fn target_group(&self, arn: &str) -> Result<&TargetGroup, ApiError> {
        arn::check(arn, Resource::TargetGroup)?;
        self.target_groups
            .get(arn)
            .ok_or_else(error::no_target_group)
    }
}
