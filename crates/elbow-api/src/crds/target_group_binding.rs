//! `TargetGroupBinding`: which Service fills which target group.
//!
//! In: manifests of group `elbv2.k8s.aws`, version `v1beta1`, and `v1alpha1`, which knows fewer
//! fields. Out: [`TargetGroupBinding`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common;
use super::target_group_configuration::{TargetGroupIpAddressType, TargetType};
use crate::names::GatewayController;
use crate::object::NamespacedName;

/// Which Service fills which target group.
#[derive(CustomResource, JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "elbv2.k8s.aws",
    version = "v1beta1",
    kind = "TargetGroupBinding",
    plural = "targetgroupbindings",
    namespaced,
    status = "TargetGroupBindingStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "TargetGroupBinding keeps the targets of an AWS target group equal to the endpoints of a Service.",
    printcolumn = r#"{"name":"SERVICE-NAME","type":"string","description":"Name of the Service.","jsonPath":".spec.serviceRef.name"}"#,
    printcolumn = r#"{"name":"SERVICE-PORT","type":"string","description":"Port of the Service.","jsonPath":".spec.serviceRef.port"}"#,
    printcolumn = r#"{"name":"TARGET-TYPE","type":"string","description":"What is registered as a target.","jsonPath":".spec.targetType"}"#,
    printcolumn = r#"{"name":"ARN","type":"string","description":"ARN of the target group.","jsonPath":".spec.targetGroupARN","priority":1}"#,
    printcolumn = r#"{"name":"NAME","type":"string","description":"Name of the target group.","jsonPath":".spec.targetGroupName","priority":2}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroupBindingSpec {
    /// ARN of the target group.
    #[serde(rename = "targetGroupARN", skip_serializing_if = "Option::is_none")]
    pub target_group_arn: Option<String>,

    /// Name of the target group, for a binding that does not know the ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group_name: Option<String>,

    /// What the target group takes as a target. It is read from AWS when this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_type: Option<TargetType>,

    /// Protocol of the target group. It is read from AWS when this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group_protocol: Option<BindingProtocol>,

    /// Service whose endpoints are registered.
    pub service_ref: ServiceReference,

    /// Clients that the security groups of the targets let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networking: Option<TargetGroupBindingNetworking>,

    /// Nodes that are registered when the target type is instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "common::label_selector")]
    pub node_selector: Option<LabelSelector>,

    /// Address family of the target group. It is read from AWS when this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address_type: Option<TargetGroupIpAddressType>,

    /// Id of the VPC of the target group. It is the VPC of the cluster when this is absent.
    #[serde(rename = "vpcID", skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<String>,

    /// Whether several clusters register targets in the target group. Targets of other clusters are
    /// then left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_cluster_target_group: Option<bool>,

    /// ARN of the IAM role that is assumed to reach a target group of another account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_role_arn_to_assume: Option<String>,

    /// External id that is given when the role is assumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assume_role_external_id: Option<String>,
}

impl TargetGroupBindingSpec {
    /// The name of the target group: that in the ARN, which counts where both are given, or the one that
    /// is given. `None` if there is neither, or the ARN is not one of a target group.
    pub fn group_name(&self) -> Option<&str> {
        match &self.target_group_arn {
            Some(arn) => name_in_arn(arn),
            None => self.target_group_name.as_deref(),
        }
    }

    /// Whether several clusters register targets in the target group.
    pub fn is_multi_cluster(&self) -> bool {
        self.multi_cluster_target_group == Some(true)
    }
}

/// `arn:<partition>:elasticloadbalancing:<region>:<account>:targetgroup/<name>/<id>`.
fn name_in_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.splitn(6, ':');
    let (head, _, service) = (parts.next()?, parts.next()?, parts.next()?);
    let path = parts.nth(2)?;
    if head != "arn" || service != "elasticloadbalancing" {
        return None;
    }
    let mut segments = path.split('/');
    match (segments.next()?, segments.next()?, segments.next()?) {
        ("targetgroup", name, id) if !name.is_empty() && !id.is_empty() => {
            segments.next().is_none().then_some(name)
        }
        _ => None,
    }
}

impl TargetGroupBinding {
    /// The Gateway whose target group it is for, and its controller: both labels say so, as with LBC.
    /// `None` for a binding that no Gateway of ours has asked for.
    pub fn gateway(&self) -> Option<(GatewayController, NamespacedName)> {
        let labels = self.metadata.labels.as_ref()?;
        [GatewayController::Alb, GatewayController::Nlb]
            .into_iter()
            .find_map(|controller| {
                let namespace = labels.get(controller.stack_namespace_label())?;
                let name = labels.get(controller.stack_name_label())?;
                let gateway = NamespacedName::new(namespace.clone(), name.clone());
                Some((controller, gateway))
            })
    }
}

/// What a controller reports about a TargetGroupBinding.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroupBindingStatus {
    /// Generation whose targets are registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Conditions of the binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "common::conditions")]
    pub conditions: Option<Vec<Condition>>,
}

/// Protocol of a target group that a binding can fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum BindingProtocol {
    Http,
    Https,
    Tcp,
    Tls,
    Udp,
    TcpUdp,
    Quic,
    TcpQuic,
}

/// A Service and one of its ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceReference {
    /// Name of the Service.
    pub name: String,

    /// Number or name of the Service's port.
    #[schemars(schema_with = "common::int_or_string")]
    pub port: IntOrString,
}

impl Default for ServiceReference {
    fn default() -> Self {
        Self {
            name: String::new(),
            port: IntOrString::Int(0),
        }
    }
}

/// Clients that the security groups of the targets let in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroupBindingNetworking {
    /// Rules, each of which lets some clients reach some ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<NetworkingIngressRule>>,
}

/// Lets some clients reach some ports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkingIngressRule {
    /// The clients.
    pub from: Vec<NetworkingPeer>,

    /// The ports. An empty list stands for all ports.
    pub ports: Vec<NetworkingPort>,
}

/// Clients, given by address or by security group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkingPeer {
    /// Clients with an address of this block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_block: Option<IpBlock>,

    /// Clients that are in this security group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_group: Option<SecurityGroupReference>,
}

/// A block of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IpBlock {
    /// The block, as 10.0.0.0/16 or 2001:db8::/64.
    pub cidr: String,
}

/// A security group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecurityGroupReference {
    /// Id of the security group.
    #[serde(rename = "groupID")]
    pub group_id: String,
}

/// A port and its protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkingPort {
    /// Protocol of the traffic. It is TCP when this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<NetworkingProtocol>,

    /// Number or name of the port on the targets. All ports are meant when this is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "common::int_or_string")]
    pub port: Option<IntOrString>,
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(
    missing_docs,
    reason = "each variant is the protocol of that name; docs would split the enum"
)]
pub enum NetworkingProtocol {
    Tcp,
    Udp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arn_names_the_group_and_counts_before_the_name() {
        let rows = [
            (
                Some("arn:aws:elasticloadbalancing:us-east-1:1234:targetgroup/web/0123"),
                Some("other"),
                Some("web"),
            ),
            (
                Some("arn:aws-cn:elasticloadbalancing:cn-north-1:1234:targetgroup/web/0123"),
                None,
                Some("web"),
            ),
            (None, Some("web"), Some("web")),
            (None, None, None),
            (Some(""), Some("web"), None),
            (Some("web"), None, None),
            (
                Some("arn:aws:elasticloadbalancing:us-east-1:1234:targetgroup/web"),
                None,
                None,
            ),
            (
                Some("arn:aws:elasticloadbalancing:us-east-1:1234:targetgroup//1"),
                None,
                None,
            ),
            (
                Some("arn:aws:elasticloadbalancing:us-east-1:1234:targetgroup/a/1/2"),
                None,
                None,
            ),
            (
                Some("arn:aws:elasticloadbalancing:us-east-1:1234:loadbalancer/a/1"),
                None,
                None,
            ),
            (
                Some("arn:aws:ec2:us-east-1:1234:targetgroup/web/1"),
                None,
                None,
            ),
        ];
        for (arn, name, expected) in rows {
            let spec = TargetGroupBindingSpec {
                target_group_arn: arn.map(str::to_owned),
                target_group_name: name.map(str::to_owned),
                ..TargetGroupBindingSpec::default()
            };
            assert_eq!(spec.group_name(), expected, "{arn:?} {name:?}");
        }
    }
}
