//! What all Gateways of a cluster share: one security group, by which targets know load balancers.
//!
//! In: the Stacks of the Gateways. Out: a Stack with the group while any of them uses it.

use elbow_model::stack::{BACKEND_SECURITY_GROUP, SecurityGroup};
use elbow_model::{ResourceId, Stack, StackId, Tags};

use crate::gateway::names;
use crate::settings::Settings;

/// The Stack of what all others share. The group is wanted while any Stack uses it; it has no rules
/// of its own that elbow would manage.
pub fn translate_cluster<'a>(
    stacks: impl IntoIterator<Item = &'a Stack>,
    settings: &Settings,
) -> Stack {
    let cluster = &settings.cluster_name;
    let mut shared = Stack::empty(StackId::CLUSTER, cluster.clone());
    if stacks.into_iter().any(Stack::uses_backend_security_group) {
        let id = ResourceId::new(BACKEND_SECURITY_GROUP);
        let mut tags: Tags = settings.default_tags.clone();
        tags.extend(StackId::CLUSTER.tracking_tags(cluster, &id));
        let group = SecurityGroup {
            name: names::backend_security_group(cluster),
            description: "[k8s] Shared Backend SecurityGroup for LoadBalancer".to_owned(),
            vpc_id: settings.vpc_id.clone(),
            ingress: None,
            tags,
            causes: Vec::new(),
        };
        shared.security_groups.insert(id, group);
    }
    shared
}
