//! Names that AWS resources are created with, as LBC makes them.
//!
//! A name matters at creation only: afterwards a resource is known by its tags. Each is
//! `k8s-<namespace>-<name>-<hash>`, of letters and digits, where the hash tells apart what shortening
//! makes equal. It is the first 10 hexadecimal digits of the SHA-256 of its inputs, joined without a
//! separator.

use elbow_api::NamespacedName;
use elbow_model::stack::Scheme;
use sha2::{Digest as _, Sha256};

/// How much of a namespace or name stays in a resource's name.
const PART_LENGTH_MAX: usize = 8;
/// How much of the hash stays: enough to tell resources of one account apart.
const HASH_LENGTH: usize = 10;
/// How much of the cluster's name stays, for a security group's name of at most 255 characters.
const CLUSTER_LENGTH_MAX: usize = 232;

/// Name of a Gateway's load balancer.
pub(crate) fn load_balancer(
    cluster: &str,
    gateway: &NamespacedName,
    uid: &str,
    scheme: Scheme,
) -> String {
    name(gateway, &[cluster, uid, scheme.as_str()])
}

/// Name of a Gateway's own security group.
pub(crate) fn managed_security_group(cluster: &str, gateway: &NamespacedName, uid: &str) -> String {
    // The name is hashed before the namespace, unlike the order in which they are printed.
    name(gateway, &[cluster, &gateway.name, &gateway.namespace, uid])
}

/// Name of the security group that all load balancers of a cluster share.
pub(crate) fn backend_security_group(cluster: &str) -> String {
    let short = shorten(cluster, CLUSTER_LENGTH_MAX);
    format!("k8s-traffic-{short}-{}", hash(&[cluster]))
}

/// What the name of a target group is made of.
pub(crate) struct TargetGroupName<'a> {
    pub(crate) cluster: &'a str,
    pub(crate) gateway: &'a NamespacedName,
    pub(crate) route: &'a NamespacedName,
    /// Kind of the route, `HTTPRoute` for example.
    pub(crate) route_kind: &'a str,
    pub(crate) backend: &'a NamespacedName,
    /// The NodePort, or the text of the Service's targetPort.
    pub(crate) port: &'a str,
    pub(crate) target_type: &'a str,
    pub(crate) protocol: &'a str,
    /// Empty for network load balancers.
    pub(crate) protocol_version: &'a str,
    /// Empty where none is configured.
    pub(crate) target_control_port: &'a str,
}

impl TargetGroupName<'_> {
    /// The name.
    pub(crate) fn build(&self) -> String {
        name(
            self.route,
            &[
                self.cluster,
                &self.gateway.namespace,
                &self.gateway.name,
                &self.route.namespace,
                &self.route.name,
                self.route_kind,
                &self.backend.namespace,
                &self.backend.name,
                self.port,
                self.target_type,
                self.protocol,
                self.protocol_version,
                self.target_control_port,
            ],
        )
    }
}

fn name(object: &NamespacedName, hashed: &[&str]) -> String {
    format!(
        "k8s-{}-{}-{}",
        shorten(&object.namespace, PART_LENGTH_MAX),
        shorten(&object.name, PART_LENGTH_MAX),
        hash(hashed)
    )
}

fn shorten(text: &str, length_max: usize) -> String {
    text.chars()
        .filter(char::is_ascii_alphanumeric)
        .take(length_max)
        .collect()
}

fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
    }
    let mut text = hex::encode(digest.finalize());
    text.truncate(HASH_LENGTH);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    // Names that LBC gave to these objects.

    #[test]
    fn load_balancer_and_its_group_are_named_as_lbc_names_them() {
        let gateway = NamespacedName::new("app-ns", "my-alb");
        let uid = "fc12ff8d-cce8-4348-a633-0e9989873c12";
        assert_eq!(
            load_balancer("my-cluster", &gateway, uid, Scheme::InternetFacing),
            "k8s-appns-myalb-7a2d393de1"
        );
        assert_eq!(
            managed_security_group("my-cluster", &gateway, uid),
            "k8s-appns-myalb-c2b3db3c5a"
        );
        assert_eq!(
            backend_security_group("my-cluster"),
            "k8s-traffic-mycluster-4cbfcec96c"
        );
    }

    #[test]
    fn target_groups_are_named_as_lbc_names_them() {
        let alb = TargetGroupName {
            cluster: "my-cluster",
            gateway: &NamespacedName::new("app-ns", "my-alb"),
            route: &NamespacedName::new("app-ns", "app-route"),
            route_kind: "HTTPRoute",
            backend: &NamespacedName::new("app-ns", "app-service"),
            port: "8080",
            target_type: "ip",
            protocol: "HTTP",
            protocol_version: "HTTP1",
            target_control_port: "",
        };
        assert_eq!(alb.build(), "k8s-appns-approute-0c8a272850");
        let nlb = TargetGroupName {
            gateway: &NamespacedName::new("app-ns", "my-nlb"),
            route: &NamespacedName::new("app-ns", "tcp-app-route"),
            route_kind: "TCPRoute",
            backend: &NamespacedName::new("app-ns", "my-tcp-service"),
            port: "9000",
            protocol: "TCP",
            protocol_version: "",
            ..alb
        };
        assert_eq!(nlb.build(), "k8s-appns-tcpappro-c1b00187c5");
    }
}
