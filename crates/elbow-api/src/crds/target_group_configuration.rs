//! `TargetGroupConfiguration`: how the target groups of a Service are built.
//!
//! In: manifests of group `gateway.k8s.aws`, versions `v1` and `v1beta1`, whose schemas are equal.
//! Out: [`TargetGroupConfiguration`]. One without a targetReference is a default that a
//! LoadBalancerConfiguration names.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{self, Attribute};

/// What the user wants of the target groups.
#[derive(CustomResource, JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.k8s.aws",
    version = "v1",
    kind = "TargetGroupConfiguration",
    plural = "targetgroupconfigurations",
    namespaced,
    status = "TargetGroupConfigurationStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "TargetGroupConfiguration says how the AWS target groups of one Service are built, or those of every Service behind a Gateway whose LoadBalancerConfiguration names it as the default.",
    printcolumn = r#"{"name":"SERVICE-NAME","type":"string","description":"Name of the Service that the configuration is for.","jsonPath":".spec.targetReference.name"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroupConfigurationSpec {
    /// Object that the configuration is for. The configuration is a default for all Services when
    /// this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_reference: Option<TargetReference>,

    /// Settings for the target groups of every route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_configuration: Option<TargetGroupProps>,

    /// Settings for the target groups of single routes, laid over defaultConfiguration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_configurations: Option<Vec<RouteConfiguration>>,
}

/// What a controller reports about a TargetGroupConfiguration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroupConfigurationStatus {
    /// Generation that Gateways which use this object last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_gateway_configuration_generation: Option<i64>,

    /// Generation that GatewayClasses which use this object last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_gateway_class_configuration_generation: Option<i64>,
}

/// Names the Service or Gateway that a TargetGroupConfiguration is for, in its own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetReference {
    /// API group of the object. It is empty for a Service.
    #[serde(default)]
    #[schemars(default)]
    pub group: String,

    /// Kind of the object, which is Service or Gateway.
    #[serde(default = "service_kind")]
    #[schemars(default = "service_kind")]
    pub kind: String,

    /// Name of the object.
    pub name: String,
}

impl Default for TargetReference {
    fn default() -> Self {
        Self {
            group: String::new(),
            kind: service_kind(),
            name: String::new(),
        }
    }
}

fn service_kind() -> String {
    "Service".to_owned()
}

/// Settings for the target groups of certain routes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteConfiguration {
    /// Routes that the settings are for.
    pub route_identifier: RouteIdentifier,

    /// The settings.
    pub target_group_props: TargetGroupProps,
}

/// Picks routes by kind, namespace and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteIdentifier {
    /// Kind of the route, HTTPRoute for example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,

    /// Namespace of the route. Routes of every namespace are picked when this and the name are absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,

    /// Name of the route. Every route of the namespace is picked when this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Settings of a target group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetGroupProps {
    /// Name of the target group. A name is derived from the Service and its port when this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group_name: Option<String>,

    /// Address family of the targets. The Service decides it, and this field has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address_type: Option<TargetGroupIpAddressType>,

    /// What is registered as a target. With ip it is the address of each Pod, with instance it is each
    /// node, reached through the node port. A change replaces the target group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_type: Option<TargetType>,

    /// Protocol between the load balancer and the targets. A change replaces the target group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<TargetGroupProtocol>,

    /// Version of HTTP between an application load balancer and the targets. A change replaces the
    /// target group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<ProtocolVersion>,

    /// How the load balancer finds out whether a target is healthy. The values of this block are taken
    /// as a whole: a value that is absent gets AWS's usual default, not that of another configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_config: Option<HealthCheckConfiguration>,

    /// Nodes that are registered when the target type is instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "common::label_selector")]
    pub node_selector: Option<LabelSelector>,

    /// Attributes of the target group, by the keys that AWS gives them. Attributes that are not listed
    /// are left as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group_attributes: Option<Vec<Attribute>>,

    /// Tags of the target group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,

    /// Port on which targets tell the load balancer how much load they can take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_control_port: Option<i32>,

    /// Whether several clusters register targets in the target group. Targets of other clusters are
    /// then left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_multi_cluster: Option<bool>,
}

/// Address family of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum TargetGroupIpAddressType {
    Ipv4,
    Ipv6,
}

/// What is registered as a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum TargetType {
    Instance,
    Ip,
}

/// Protocol between a load balancer and its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum TargetGroupProtocol {
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "HTTPS")]
    Https,
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "TLS")]
    Tls,
    #[serde(rename = "UDP")]
    Udp,
    #[serde(rename = "TCP_UDP")]
    TcpUdp,
}

/// Version of HTTP that targets speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum ProtocolVersion {
    #[serde(rename = "HTTP1")]
    Http1,
    #[serde(rename = "HTTP2")]
    Http2,
    #[serde(rename = "GRPC")]
    Grpc,
}

/// How targets are checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckConfiguration {
    /// Number of checks in a row that must succeed before a target counts as healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_threshold_count: Option<i32>,

    /// Number of checks in a row that must fail before a target counts as unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_threshold_count: Option<i32>,

    /// Seconds between two checks of a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_interval: Option<i32>,

    /// Seconds after which a check without an answer has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_timeout: Option<i32>,

    /// Path that HTTP checks ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_path: Option<String>,

    /// Port that is checked. It is a number, the name of a port of the Service, or traffic-port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_port: Option<String>,

    /// Protocol of the checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check_protocol: Option<HealthCheckProtocol>,

    /// Answers that count as success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matcher: Option<HealthCheckMatcher>,
}

/// Protocol of health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum HealthCheckProtocol {
    Http,
    Https,
    Tcp,
}

/// Answers that count as success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckMatcher {
    /// HTTP status codes, as 200-299 or 200,202.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_code: Option<String>,

    /// gRPC status codes, as 0-99 or 0,1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_code: Option<String>,
}
