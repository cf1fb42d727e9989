//! What the operator of elbow decides for all Gateways.
//!
//! In: flags, by way of the binary. Out: [`Settings`], which translation only reads. What always
//! holds: the default of each setting is that of the AWS Load Balancer Controller (LBC), so that the
//! same manifests give the same load balancers.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use elbow_model::stack::{Scheme, TargetType};
use elbow_model::{BundleStorage, SecurityGroupId, Tags, VpcId};

/// What the operator of elbow decides for all Gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name of the cluster; it is part of names and of every tracking tag.
    pub cluster_name: String,
    /// AWS region, for messages.
    pub region: Option<String>,
    /// VPC of the cluster.
    pub vpc_id: VpcId,
    /// Target type of a Service that no TargetGroupConfiguration speaks of.
    pub default_target_type: TargetType,
    /// Scheme of a load balancer whose configuration names none.
    pub default_scheme: Scheme,
    /// Security policy of an HTTPS or TLS listener whose configuration names none.
    pub default_ssl_policy: String,
    /// Tags of everything that elbow creates.
    pub default_tags: Tags,
    /// Keys of tags that somebody else sets on our resources.
    pub external_managed_tags: BTreeSet<String>,
    /// The security group that load balancers use towards their targets.
    pub backend_security_group: BackendSecurityGroup,
    /// How narrow the rules are that let load balancers reach their targets.
    pub node_rules: NodeRules,
    /// Tags that, besides the cluster's, tell which of several security groups of a network interface is
    /// changed to let load balancers in.
    pub node_group_tags: Tags,
    /// Authorities whose certificates discovery may choose; empty for any.
    pub allowed_certificate_authority_arns: BTreeSet<String>,
    /// Rules that one application load balancer may have, default actions not counted. 100 is the
    /// AWS quota, which can be raised:
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html>.
    pub rules_per_load_balancer_max: usize,
    /// Targets that are registered in one target group; `None` for all of them.
    pub targets_per_group_max: Option<NonZeroUsize>,
    /// Whether a listener answers for hosts of a narrower listener of its port.
    pub listener_isolation: ListenerIsolation,
    /// Whether a hostname stands for itself with a port, too.
    pub hostname_ports: HostnamePorts,
    /// Where the certificates of trust stores are put for ELBv2 to read; `None`: no trust stores are made.
    pub bundle_storage: Option<BundleStorage>,
    /// Behaviour that LBC has feature gates for.
    pub gates: FeatureGates,
}

impl Settings {
    /// The defaults for a cluster in a VPC.
    pub fn new(cluster_name: impl Into<String>, vpc_id: VpcId) -> Self {
        Self {
            cluster_name: cluster_name.into(),
            region: None,
            vpc_id,
            default_target_type: TargetType::Instance,
            default_scheme: Scheme::Internal,
            default_ssl_policy: "ELBSecurityPolicy-2016-08".to_owned(),
            default_tags: Tags::new(),
            external_managed_tags: BTreeSet::new(),
            backend_security_group: BackendSecurityGroup::Managed,
            node_rules: NodeRules::Restricted,
            node_group_tags: Tags::new(),
            allowed_certificate_authority_arns: BTreeSet::new(),
            rules_per_load_balancer_max: 100,
            targets_per_group_max: None,
            listener_isolation: ListenerIsolation::None,
            hostname_ports: HostnamePorts::None,
            bundle_storage: None,
            gates: FeatureGates::default(),
        }
    }
}

/// What a request gets for which its listener has no rule, where a wider listener of the same port has
/// one. The Gateway API wants it refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerIsolation {
    /// The answer of the wider listener, as with LBC: no rule of a load balancer changes at a
    /// change-over.
    None,
    /// 404, by a rule after those of the narrower listener.
    ByRules,
}

/// Whether the hostname `a.example.com` takes requests for `a.example.com:8080`. Clients name the port
/// where it is not the scheme's own, and AWS compares the whole header. The Gateway API wants it taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostnamePorts {
    /// No, as with LBC: no rule of a load balancer changes at a change-over.
    None,
    /// Yes, by a regular expression.
    Any,
}

/// Which security group load balancers use towards their targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendSecurityGroup {
    /// One that elbow creates and that all Gateways of the cluster share.
    Managed,
    /// One of the operator's own.
    Existing(SecurityGroupId),
    /// None: the load balancer's own managed group is used towards targets, too.
    Disabled,
}

/// How narrow the rules are that let load balancers reach their targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeRules {
    /// The ports of the targets and of their health checks only.
    Restricted,
    /// All ports of the protocol.
    AllPorts,
}

/// Behaviour that LBC has feature gates for; each field is the gate of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureGates {
    /// Without tagged subnets, those with or without a route to the internet are taken.
    pub subnet_discovery_by_reachability: bool,
    /// Subnets that carry another cluster's tag are passed over.
    pub subnets_cluster_tag_check: bool,
    /// An application load balancer may have a single subnet.
    pub alb_single_subnet: bool,
    /// Endpoints on nodes of unknown state are used when there are no others.
    pub endpoints_fail_open: bool,
    /// Tags of the user win against default tags.
    pub default_tags_low_priority: bool,
}

impl Default for FeatureGates {
    fn default() -> Self {
        Self {
            subnet_discovery_by_reachability: true,
            subnets_cluster_tag_check: true,
            alb_single_subnet: false,
            endpoints_fail_open: true,
            default_tags_low_priority: false,
        }
    }
}
