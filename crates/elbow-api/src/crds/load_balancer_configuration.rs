//! `LoadBalancerConfiguration`: how the load balancer of a Gateway is built.
//!
//! In: manifests of group `gateway.k8s.aws`, versions `v1` and `v1beta1`, whose schemas are equal.
//! Out: [`LoadBalancerConfiguration`]. A GatewayClass or a Gateway names one in its parametersRef.
//! Holds: `Option` tells an absent field from an empty one, which matters when the configurations of
//! a GatewayClass and of its Gateway are merged.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Attribute;

/// What the user wants of the load balancer.
#[derive(CustomResource, JsonSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.k8s.aws",
    version = "v1",
    kind = "LoadBalancerConfiguration",
    plural = "loadbalancerconfigurations",
    namespaced,
    status = "LoadBalancerConfigurationStatus",
    derive = "Default",
    derive = "PartialEq",
    doc = "LoadBalancerConfiguration says how the AWS load balancer of a Gateway is built. A GatewayClass or a Gateway refers to it with parametersRef.",
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerConfigurationSpec {
    /// Name of the load balancer. A name is derived from the Gateway when this is absent. A change
    /// does not rename a load balancer that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    pub load_balancer_name: Option<String>,

    /// Whether clients reach the load balancer from the internet or from within the VPC only. The
    /// load balancer is internal when this is absent. A change replaces the load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Scheme>,

    /// IP addresses that the load balancer offers to its clients. It is ipv4 when this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address_type: Option<LoadBalancerIpAddressType>,

    /// Who wins where the configurations of a GatewayClass and of its Gateway disagree. Only the value
    /// in the configuration of the GatewayClass counts, and prefer-gateway-class applies when it is
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merging_mode: Option<MergingMode>,

    /// Id of the customer-owned address pool from which an application load balancer on an Outpost
    /// takes its addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_owned_ipv4_pool: Option<String>,

    /// Id of the IPAM pool from which an internet-facing application load balancer takes its public
    /// IPv4 addresses.
    #[serde(rename = "ipv4IPAMPoolId", skip_serializing_if = "Option::is_none")]
    pub ipv4_ipam_pool_id: Option<String>,

    /// Whether the security groups of a network load balancer also judge traffic that arrives through
    /// AWS PrivateLink. AWS takes on and off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforce_security_group_inbound_rules_on_private_link_traffic: Option<String>,

    /// Subnets of the load balancer, at most one for each availability zone. Subnets are discovered by
    /// their tags when neither this nor loadBalancerSubnetsSelector is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer_subnets: Option<Vec<SubnetConfiguration>>,

    /// Tags by which the subnets of the load balancer are chosen. Each key names a tag, and each list
    /// holds the values of it that are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer_subnets_selector: Option<BTreeMap<String, Vec<String>>>,

    /// Ids or names of the security groups that the load balancer gets in place of a managed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_groups: Option<Vec<String>>,

    /// Ids of the prefix lists from which the managed security group lets clients in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_group_prefixes: Option<Vec<String>>,

    /// CIDRs from which the managed security group lets clients in. Everyone is let in when this is
    /// absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ranges: Option<Vec<String>>,

    /// Leaves a network load balancer without any security group. Application load balancers do not
    /// support it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_security_group: Option<bool>,

    /// Lets the managed security group accept the ICMP messages that path MTU discovery needs.
    #[serde(rename = "enableICMP", skip_serializing_if = "Option::is_none")]
    pub enable_icmp: Option<bool>,

    /// Whether the rules that let the load balancer reach its targets are managed when securityGroups
    /// names groups of the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manage_backend_security_group_rules: Option<bool>,

    /// Attributes of the load balancer, by the keys that AWS gives them. Attributes that are not
    /// listed are left as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer_attributes: Option<Vec<Attribute>>,

    /// Tags for the AWS resources of the Gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,

    /// Capacity that AWS keeps ready for the load balancer at all times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_load_balancer_capacity: Option<MinimumLoadBalancerCapacity>,

    /// Web ACL of AWS WAF that inspects the requests to an application load balancer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waf_v2: Option<WafV2Configuration>,

    /// Protection of an application load balancer by AWS Shield Advanced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shield_configuration: Option<ShieldConfiguration>,

    /// TargetGroupConfiguration in the namespace of this object that applies to every Service behind
    /// the Gateway, beneath the Service's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_target_group_configuration: Option<DefaultTargetGroupConfiguration>,

    /// Settings of single listeners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_configurations: Option<Vec<ListenerConfiguration>>,
}

/// What a controller reports about a LoadBalancerConfiguration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerConfigurationStatus {
    /// Generation that Gateways which refer to this object last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_gateway_configuration_generation: Option<i64>,

    /// Generation that GatewayClasses which refer to this object last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_gateway_class_configuration_generation: Option<i64>,
}

/// Where clients of a load balancer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum Scheme {
    Internal,
    InternetFacing,
}

/// Address families of a load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum LoadBalancerIpAddressType {
    #[serde(rename = "ipv4")]
    Ipv4,
    #[serde(rename = "dualstack")]
    Dualstack,
    #[serde(rename = "dualstack-without-public-ipv4")]
    DualstackWithoutPublicIpv4,
}

/// Which of two configurations wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each variant names who wins; docs would split the enum"
)]
pub enum MergingMode {
    PreferGateway,
    PreferGatewayClass,
}

/// One subnet of a load balancer, with the addresses it takes there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubnetConfiguration {
    /// Id of the subnet, or the value of its Name tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,

    /// Allocation id or Name tag of the elastic IP address that an internet-facing network load
    /// balancer takes in this subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eip_allocation: Option<String>,

    /// Private IPv4 address that an internal network load balancer takes in this subnet.
    #[serde(
        rename = "privateIPv4Allocation",
        skip_serializing_if = "Option::is_none"
    )]
    pub private_ipv4_allocation: Option<String>,

    /// IPv6 address that a dualstack network load balancer takes in this subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_allocation: Option<String>,

    /// IPv6 prefix, or auto_assigned, from which a dualstack network load balancer with UDP listeners
    /// takes the source addresses towards its targets.
    #[serde(
        rename = "sourceNatIPv6Prefix",
        skip_serializing_if = "Option::is_none"
    )]
    pub source_nat_ipv6_prefix: Option<String>,
}

/// Capacity that is kept ready.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MinimumLoadBalancerCapacity {
    /// Number of load balancer capacity units.
    pub capacity_units: i32,
}

/// The web ACL of a load balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WafV2Configuration {
    /// ARN of the web ACL.
    #[serde(rename = "webACL")]
    pub web_acl: String,
}

/// Protection by AWS Shield Advanced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShieldConfiguration {
    /// Whether the load balancer is protected. The account must be subscribed to AWS Shield Advanced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Names a TargetGroupConfiguration in the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DefaultTargetGroupConfiguration {
    /// Name of the TargetGroupConfiguration, which must not have a targetReference.
    pub name: String,
}

/// Settings of one listener.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerConfiguration {
    /// Protocol and port of the listener that these settings are for, as HTTPS:443.
    #[schemars(regex(
        pattern = r"^(HTTP|HTTPS|TLS|TCP|UDP|TCP_UDP)?:(6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})?$"
    ))]
    pub protocol_port: String,

    /// ARN of the certificate that a client gets whose server name matches none of the others.
    /// Certificates are discovered by host name when this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_certificate: Option<String>,

    /// ARNs of further certificates, chosen by the server name that a client asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Vec<String>>,

    /// Name of the security policy, which fixes the versions and ciphers of TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_policy: Option<String>,

    /// Application protocols that a TLS listener of a network load balancer negotiates.
    #[serde(default)]
    #[schemars(default)]
    pub alpn_policy: AlpnPolicy,

    /// Client certificates on an HTTPS listener.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutual_authentication: Option<MutualAuthentication>,

    /// Attributes of the listener, by the keys that AWS gives them. Attributes that are not listed are
    /// left as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_attributes: Option<Vec<Attribute>>,

    /// Whether a network load balancer keeps a client on one of several weighted target groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_group_stickiness: Option<bool>,

    /// Whether a UDP listener of a network load balancer speaks QUIC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quic_enabled: Option<bool>,
}

/// Application protocols that are negotiated during the TLS handshake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum AlpnPolicy {
    #[serde(rename = "HTTP1Only")]
    Http1Only,
    #[serde(rename = "HTTP2Only")]
    Http2Only,
    #[serde(rename = "HTTP2Optional")]
    Http2Optional,
    #[serde(rename = "HTTP2Preferred")]
    Http2Preferred,
    #[default]
    None,
}

/// Client certificates on an HTTPS listener.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "self.mode != 'verify' || has(self.trustStore)",
        "message": "trustStore is required when mode is verify"
    },
    {
        "rule": "self.mode == 'verify' || !has(self.trustStore)",
        "message": "trustStore can only be given when mode is verify"
    },
    {
        "rule": "self.mode == 'verify' || !has(self.ignoreClientCertificateExpiry)",
        "message": "ignoreClientCertificateExpiry can only be given when mode is verify"
    },
    {
        "rule": "self.mode == 'verify' || !has(self.advertiseTrustStoreCaNames)",
        "message": "advertiseTrustStoreCaNames can only be given when mode is verify"
    }
]))]
pub struct MutualAuthentication {
    /// What the listener does with client certificates. It ignores them (off), hands them on to the
    /// targets unchecked (passthrough), or checks them itself (verify).
    pub mode: MutualAuthenticationMode,

    /// ARN or name of the trust store that holds the authorities whose certificates are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_store: Option<String>,

    /// Whether certificates that have expired are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_client_certificate_expiry: Option<bool>,

    /// Whether the names of the accepted authorities are sent to the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise_trust_store_ca_names: Option<AdvertiseTrustStoreCaNames>,
}

/// What a listener does with client certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum MutualAuthenticationMode {
    Off,
    Passthrough,
    Verify,
}

/// Whether the names of accepted authorities are sent to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(
    missing_docs,
    reason = "each variant is AWS's value of that name, and docs would split the enum"
)]
pub enum AdvertiseTrustStoreCaNames {
    On,
    Off,
}
