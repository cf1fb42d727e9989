//! Ownership: the tags of a resource in, the Stack that they prove it to belong to out.
//!
//! What always holds: without the tag of this cluster and the tag of a Stack (or, for the group that
//! all Stacks share, their resource tag) nothing is ours, whatever its name says.

use elbow_model::certificate::IMPORTED_PREFIX;
use elbow_model::stack::{BACKEND_SECURITY_GROUP, CLUSTER_TAG};
use elbow_model::trust_store::TRUST_STORE_PREFIX;
use elbow_model::{StackId, StackKind, Tags};

/// The Stack that a resource with these tags belongs to; `None` when it is not this cluster's.
pub(crate) fn owner(tags: &Tags, cluster_name: &str) -> Option<StackId> {
    if tags.get(CLUSTER_TAG).map(String::as_str) != Some(cluster_name) {
        return None;
    }
    let gateway = [StackKind::AlbGateway, StackKind::NlbGateway]
        .into_iter()
        .find_map(|kind| {
            let value = tags.get(&format!("{}/stack", kind.tag_prefix()))?;
            let (namespace, name) = value.split_once('/')?;
            Some(StackId::new(kind, namespace, name))
        });
    let shared = || {
        let resource = tags.get(&StackId::CLUSTER.resource_tag())?;
        let is_shared = resource == BACKEND_SECURITY_GROUP
            || resource.starts_with(IMPORTED_PREFIX)
            || resource.starts_with(TRUST_STORE_PREFIX);
        is_shared.then_some(StackId::CLUSTER)
    };
    gateway.or_else(shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tags_of_this_cluster_prove_ownership() {
        let tags = |pairs: &[(&str, &str)]| -> Tags {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let cluster = ("elbv2.k8s.aws/cluster", "demo");
        let stack = ("gateway.k8s.aws.alb/stack", "app/web");
        let alb = StackId::new(StackKind::AlbGateway, "app", "web");
        let nlb = StackId::new(StackKind::NlbGateway, "app", "web");
        let rows = [
            ("a Gateway's", vec![cluster, stack], Some(alb)),
            (
                "an NLB Gateway's",
                vec![cluster, ("gateway.k8s.aws.nlb/stack", "app/web")],
                Some(nlb),
            ),
            (
                "shared",
                vec![cluster, ("elbv2.k8s.aws/resource", "backend-sg")],
                Some(StackId::CLUSTER),
            ),
            (
                "a certificate",
                vec![cluster, ("elbv2.k8s.aws/resource", "secret/shop/tls")],
                Some(StackId::CLUSTER),
            ),
            (
                "a trust store",
                vec![cluster, ("elbv2.k8s.aws/resource", "ca/shop/clients")],
                Some(StackId::CLUSTER),
            ),
            (
                "another cluster's",
                vec![("elbv2.k8s.aws/cluster", "other"), stack],
                None,
            ),
            ("without the cluster tag", vec![stack], None),
            ("without a stack tag", vec![cluster], None),
            (
                "an Ingress's",
                vec![cluster, ("ingress.k8s.aws/stack", "app/web")],
                None,
            ),
            (
                "a stack tag that is none of ours",
                vec![cluster, ("gateway.k8s.aws.alb/stack", "web")],
                None,
            ),
        ];
        for (name, pairs, expected) in rows {
            assert_eq!(owner(&tags(&pairs), "demo"), expected, "{name}");
        }
    }
}
