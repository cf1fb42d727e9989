//! Target groups that somebody else has made, named as backends.
//!
//! In: a backendRef of kind `TargetGroupName`, whose name is that of a target group in AWS. Out: its ARN,
//! to which rules forward. What always holds: nothing of such a group is ever changed, not even its
//! targets; neither a TargetGroupConfiguration nor a ReferenceGrant says anything about it.

use elbow_api::GatewayController;
use elbow_model::TargetGroupArn;
use elbow_model::stack::Protocol;

use super::backends::{self, Problem, Resolver};
use super::failures::RouteFailure;
use super::routes::BackendRef;

/// A target group that somebody else has made.
#[derive(Debug, Clone)]
pub(crate) struct Existing {
    pub(crate) arn: TargetGroupArn,
    pub(crate) weight: u16,
}

impl Resolver<'_, '_> {
    /// Difference (unknown-target-group): LBC gives up the whole Gateway for a name that is nobody's.
    pub(super) fn existing(&self, backend: &BackendRef) -> Result<Existing, Box<Problem>> {
        let weight = backends::weight(backend.weight)?;
        let name = &backend.name;
        // Where it has not been looked up yet the answer is thrown away.
        let known = self.ctx.target_group(name).and_then(Option::as_ref);
        let group = known.ok_or_else(|| {
            Box::new(Problem {
                failure: RouteFailure::TargetGroupNotFound(name.clone()),
                code: "missing-target-group",
                field: "name",
                message: format!("there is no target group `{name}` in this account and region"),
                hint: "create it or correct the name; it is looked for again with the next change, and at intervals".to_owned(),
            })
        })?;
        if let Some(vpc_id) = &group.vpc_id
            && *vpc_id != self.ctx.settings.vpc_id
        {
            return Err(Problem::unsupported(
                "target-group-of-another-vpc",
                format!(
                    "target group `{name}` is of VPC {vpc_id}, and the load balancer of another"
                ),
                "name a target group of the load balancer's VPC",
            ));
        }
        let is_http = matches!(group.protocol, Some(Protocol::Http | Protocol::Https));
        // Of a protocol that elbow does not know AWS is the judge.
        let (fits, allowed) = match self.controller {
            GatewayController::Alb => (is_http || group.protocol.is_none(), "HTTP or HTTPS"),
            GatewayController::Nlb => (!is_http, "TCP, TLS, UDP or TCP_UDP"),
        };
        if !fits {
            let protocol = group.protocol.map_or("", Protocol::as_str);
            return Err(Problem::unsupported(
                "unsupported-target-protocol",
                format!(
                    "target group `{name}` has the protocol {protocol}, which this load balancer cannot speak"
                ),
                &format!("name a target group whose protocol is {allowed}"),
            ));
        }
        Ok(Existing {
            arn: group.arn.clone(),
            weight,
        })
    }
}
