//! What the targets of a Service are behind, for the rules that let load balancers reach them.
//!
//! In: the targets that are registered, and the EndpointSlices that they come from. Out: endpoints, sorted.
//! An address outside the cluster's VPC is behind nothing that elbow could open, and is left out; which VPC the
//! target group is in does not matter.

use std::collections::BTreeMap;

use elbow_api::NamespacedName;
use elbow_model::InstanceId;
use elbow_model::stack::{Target, TargetType};
use k8s_openapi::api::discovery::v1::Endpoint as SliceEndpoint;

use super::context::Context;
use super::targets::is_outside;
use crate::network::{Endpoint, PodEndpoint};

/// The endpoints of targets.
pub(crate) fn of(
    ctx: &Context<'_>,
    service: &NamespacedName,
    target_type: TargetType,
    targets: &[Target],
) -> Vec<Endpoint> {
    if target_type == TargetType::Instance {
        let ids = targets.iter().map(|target| target.id.clone());
        return ids
            .map(|id| Endpoint::Instance(InstanceId::new(id)))
            .collect();
    }
    let mut by_address: BTreeMap<&str, &SliceEndpoint> = BTreeMap::new();
    for slice in ctx.reader.endpoint_slices_of(service) {
        for endpoint in slice.endpoints.iter().flatten() {
            if let Some(address) = endpoint.addresses.first() {
                by_address.entry(address).or_insert(endpoint);
            }
        }
    }
    // Only asked for where there is an address to place.
    let vpc = targets.first().and_then(|_| ctx.vpc());
    let is_inside = |target: &&Target| vpc.is_none_or(|vpc| !is_outside(&target.id, vpc));
    let inside = targets.iter().filter(is_inside);
    let mut endpoints: Vec<Endpoint> = inside
        .filter_map(|target| {
            let found = by_address.get(target.id.as_str());
            let pod = found.and_then(|endpoint| endpoint.target_ref.as_ref());
            Some(Endpoint::Pod(PodEndpoint {
                address: target.id.parse().ok()?,
                port: target.port,
                node: found.and_then(|endpoint| endpoint.node_name.clone()),
                uid: pod.and_then(|reference| reference.uid.clone()),
            }))
        })
        .collect();
    endpoints.sort();
    endpoints
}
