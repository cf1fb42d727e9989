//! Names that are a contract with clusters where the AWS Load Balancer Controller (LBC) has run.
//!
//! A change-over finds objects, finalizers and load balancers by these strings, so each equals LBC's.

/// Which of the two Gateway controllers a GatewayClass selects.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum GatewayController {
    /// `gateway.k8s.aws/alb`: application load balancers for HTTPRoute and GRPCRoute.
    Alb,
    /// `gateway.k8s.aws/nlb`: network load balancers for TCPRoute, UDPRoute and TLSRoute.
    Nlb,
}

impl GatewayController {
    /// Value of `GatewayClass.spec.controllerName`.
    pub const fn controller_name(self) -> &'static str {
        match self {
            Self::Alb => "gateway.k8s.aws/alb",
            Self::Nlb => "gateway.k8s.aws/nlb",
        }
    }

    /// The controller of that name, if it is one of the two.
    pub fn from_controller_name(name: &str) -> Option<Self> {
        [Self::Alb, Self::Nlb]
            .into_iter()
            .find(|c| c.controller_name() == name)
    }

    /// Finalizer on a Gateway that owns AWS resources; the same string as the controller's name.
    pub const fn gateway_finalizer(self) -> &'static str {
        self.controller_name()
    }

    /// Label on TargetGroupBindings: the Gateway's namespace.
    pub const fn stack_namespace_label(self) -> &'static str {
        match self {
            Self::Alb => "gateway.k8s.aws.alb/stack-namespace",
            Self::Nlb => "gateway.k8s.aws.nlb/stack-namespace",
        }
    }

    /// Label on TargetGroupBindings: the Gateway's name.
    pub const fn stack_name_label(self) -> &'static str {
        match self {
            Self::Alb => "gateway.k8s.aws.alb/stack-name",
            Self::Nlb => "gateway.k8s.aws.nlb/stack-name",
        }
    }
}

/// Annotation on a Gateway: `true` asks that nothing be made of it yet.
pub const DRY_RUN_ANNOTATION: &str = "gateway.k8s.aws/dry-run";
/// Group of the Gateway API.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// Group of LoadBalancerConfiguration, TargetGroupConfiguration and ListenerRuleConfiguration.
pub const CONFIGURATION_GROUP: &str = "gateway.k8s.aws";
/// Group of TargetGroupBinding.
pub const BINDING_GROUP: &str = "elbv2.k8s.aws";

/// Finalizer on GatewayClasses.
pub const GATEWAY_CLASS_FINALIZER: &str = "gateway.k8s.aws/gatewayclass";
/// Finalizer on LoadBalancerConfigurations.
pub const LOAD_BALANCER_CONFIGURATION_FINALIZER: &str =
    "gateway.k8s.aws/loadbalancerconfigurations";
/// Finalizer on TargetGroupConfigurations.
pub const TARGET_GROUP_CONFIGURATION_FINALIZER: &str = "gateway.k8s.aws/targetgroupconfigurations";
/// Finalizer on ListenerRuleConfigurations.
pub const LISTENER_RULE_CONFIGURATION_FINALIZER: &str =
    "gateway.k8s.aws/listenerruleconfigurations";
/// Finalizer on TargetGroupBindings.
pub const TARGET_GROUP_BINDING_FINALIZER: &str = "elbv2.k8s.aws/resources";

/// Condition of a TargetGroupBinding that leaves out `targetType`: whether its target group takes IP
/// addresses, as AWS says. LBC's webhook writes that into the spec. Every instance reads it there, the one
/// that leads and those that only put gates into pods.
pub const IP_TARGETS_CONDITION: &str = "IpTargets";

/// Begins the name of the ConfigMap, beside a TargetGroupBinding of a target group that several clusters
/// share, that lists the targets which this cluster has registered; the binding's name follows.
pub const OWN_TARGETS_PREFIX: &str = "aws-lbc-targets-";
/// The key of that list.
pub const OWN_TARGETS_KEY: &str = "targets";

/// Label of Namespaces whose new pods get readiness gates, with [`GATE_INJECTION_ENABLED`].
pub const GATE_INJECTION_LABEL: &str = "elbv2.k8s.aws/pod-readiness-gate-inject";
/// Value of [`GATE_INJECTION_LABEL`].
pub const GATE_INJECTION_ENABLED: &str = "enabled";

/// Annotation of pods: which of their containers have a server id for QUIC.
pub const QUIC_CONTAINERS_ANNOTATION: &str =
    "service.beta.kubernetes.io/aws-load-balancer-quic-enabled-containers";
/// Environment variable of such a container with its server id, base64.
pub const QUIC_SERVER_ID_VARIABLE: &str = "AWS_LBC_QUIC_SERVER_ID";

/// What the condition types of readiness gates begin with; the name of a TargetGroupBinding follows.
pub const READINESS_GATE_PREFIX: &str = "target-health.elbv2.k8s.aws/";

/// The condition type of the readiness gates of a TargetGroupBinding.
pub fn readiness_gate(binding: &str) -> String {
    format!("{READINESS_GATE_PREFIX}{binding}")
}
