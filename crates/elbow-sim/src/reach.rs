//! Whether load balancers reach their targets: by rules of the groups that guard these.
//!
//! In: an account, and the fabric that says what guards which target. Out: the targets that are shut out. What
//! always holds: the account and the fabric are asked, not the machine; a target that drains counts for nothing,
//! and neither does one that is behind nothing.

use std::collections::BTreeSet;

use elbow_model::observed::TargetState;
use elbow_model::stack::{IngressRule, IngressSource};
use elbow_model::{AwsAnswer, AwsCall, SecurityGroupId};

use crate::account::{Account, stack_of};
use crate::fabric::Fabric;

/// A target that a load balancer of ours cannot reach.
pub(crate) type ShutOut = String;

impl Account {
    /// The targets of load balancers that elbow lets in which no rule lets them reach. Without a fabric
    /// everything is behind the nodes' group.
    pub(crate) fn shut_out(&mut self, now: u64, fabric: Option<&Fabric>) -> BTreeSet<ShutOut> {
        let of_nodes = self.node_group().id;
        let guards = self.guards();
        let balancers = self.load_balancers();
        let shared: Vec<SecurityGroupId> = self
            .security_groups()
            .into_iter()
            .filter(|group| stack_of(&group.tags).as_deref() == Some("cluster"))
            .map(|group| group.id)
            .collect();
        let mut shut_out = BTreeSet::new();
        for group in self.target_groups() {
            let let_in = balancers.iter().find(|lb| {
                group.load_balancers.contains(&lb.arn)
                    && shared.iter().any(|id| lb.security_groups.contains(id))
            });
            let Some(balancer) = let_in else { continue };
            let call = AwsCall::DescribeTargetHealth {
                target_group: group.arn.clone(),
            };
            let Ok(AwsAnswer::TargetHealth(targets)) = self.answer(now, &call) else {
                continue;
            };
            let lasting = targets.iter().filter(|t| t.state != TargetState::Draining);
            for target in lasting {
                let id = &target.target.id;
                let guard = match fabric {
                    None => Some(of_nodes.clone()),
                    Some(fabric) => fabric.guard(id, &of_nodes),
                };
                let guard = guards
                    .iter()
                    .find(|group| Some(&group.id) == guard.as_ref());
                let Some(guard) = guard else { continue };
                let port = i32::from(target.target.port.get());
                let lets_in = |rule: &IngressRule| {
                    let from_it = shared.iter().any(|id| {
                        balancer.security_groups.contains(id)
                            && rule.source == IngressSource::SecurityGroup(id.clone().into())
                    });
                    from_it
                        && rule.protocol == "tcp"
                        && rule.from_port.is_some_and(|from| from <= port)
                        && rule.to_port.is_some_and(|to| port <= to)
                };
                if !guard.ingress.iter().any(lets_in) {
                    shut_out.insert(format!(
                        "{} of {} may not reach {id}:{port} behind {}",
                        balancer.name, group.arn, guard.id
                    ));
                }
            }
        }
        shut_out
    }
}
