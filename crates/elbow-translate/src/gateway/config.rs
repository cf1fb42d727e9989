//! The LoadBalancerConfiguration of a Gateway: its class's, its own, or both merged.
//!
//! In: a GatewayClass and a Gateway. Out: [`Configuration`], the only thing that later stages read.
//! Which of the two wins is `mergingMode` of the class's. The two are merged field by field, tags and
//! attributes by key, listenerConfigurations by `protocolPort`.

use std::collections::BTreeMap;
use std::sync::Arc;

use elbow_api::crds::{
    Attribute, ListenerConfiguration, LoadBalancerConfiguration, LoadBalancerConfigurationSpec,
    MergingMode,
};
use elbow_api::{Diagnostic, Kind, NamespacedName, ObjectRef};
use elbow_model::Cause;
use gateway_api::apis::experimental::gatewayclasses::GatewayClass;
use gateway_api::apis::experimental::gateways::Gateway;

use super::class;
use super::context::Context;
use super::target_group_config::{self, Defaults};

/// What applies to a Gateway's load balancer.
#[derive(Debug, Default)]
pub(crate) struct Configuration {
    pub(crate) spec: LoadBalancerConfigurationSpec,
    /// The configurations that it was made from: the Gateway's own first, then the class's.
    pub(crate) objects: Vec<ObjectRef>,
    /// What applies to target groups beneath a Service's own configuration.
    pub(crate) target_groups: Defaults,
}

impl Configuration {
    /// The object to name in findings about the configuration.
    pub(crate) fn object(&self) -> Option<&ObjectRef> {
        self.objects.first()
    }

    /// A finding about a field of the configuration.
    pub(crate) fn finding(&self, mut diagnostic: Diagnostic, field: &str) -> Diagnostic {
        diagnostic.object = self.object().cloned();
        diagnostic.at(format!("spec.{field}"))
    }

    /// The configurations as causes of a resource.
    pub(crate) fn causes(&self) -> impl Iterator<Item = Cause> {
        self.objects.iter().map(super::cause)
    }

    /// Whether the load balancer is protected from deletion.
    pub(crate) fn is_deletion_protected(&self) -> bool {
        let mut attributes = self.spec.load_balancer_attributes.iter().flatten();
        attributes
            .rfind(|a| a.key == "deletion_protection.enabled")
            .is_some_and(|a| a.value == "true")
    }

    /// The configuration of a listener; the last of several wins.
    pub(crate) fn listener(
        &self,
        protocol: &str,
        port: u16,
    ) -> Option<(usize, &ListenerConfiguration)> {
        let wanted = format!("{protocol}:{port}");
        let all = self.spec.listener_configurations.iter().flatten();
        all.enumerate()
            .filter(|(_, c)| c.protocol_port.eq_ignore_ascii_case(&wanted))
            .last()
    }
}

/// Why a Gateway's configuration cannot be used, for its condition Accepted.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Problem {
    fn invalid(message: String) -> Self {
        let reason = "Invalid";
        Self { reason, message }
    }
}

/// Finds and merges the configurations of a Gateway.
pub(crate) fn resolve(
    ctx: &Context<'_>,
    class: &GatewayClass,
    gateway: &Gateway,
) -> Result<Configuration, Problem> {
    let of_class = class::configuration(ctx, class).map_err(|problem| {
        let name = class.metadata.name.clone().unwrap_or_default();
        ctx.report(
            Diagnostic::error("gateway-class-not-accepted", problem.message())
                .on(ObjectRef::new(Kind::GatewayClass, "", name.clone()))
                .at("spec.parametersRef")
                .hint(problem.hint()),
        );
        Problem::invalid(format!(
            "Unable to materialize gateway when gateway class [{name}] is not accepted"
        ))
    })?;
    let of_gateway = own_configuration(ctx, gateway)?;
    let mut objects = Vec::new();
    objects.extend(of_gateway.map(|c| object_ref(c)));
    objects.extend(of_class.map(|c| object_ref(c)));
    let prefer_gateway =
        of_class.and_then(|c| c.spec.merging_mode) == Some(MergingMode::PreferGateway);
    let spec = match (of_gateway, of_class) {
        (Some(gateway), Some(class)) if prefer_gateway => merge(&gateway.spec, &class.spec),
        (Some(gateway), Some(class)) => merge(&class.spec, &gateway.spec),
        (Some(only), None) | (None, Some(only)) => only.spec.clone(),
        (None, None) => LoadBalancerConfigurationSpec::default(),
    };
    Ok(Configuration {
        spec,
        objects,
        target_groups: target_group_config::defaults(ctx, of_class, of_gateway, prefer_gateway)
            .map_err(Problem::invalid)?,
    })
}

fn own_configuration<'a>(
    ctx: &Context<'a>,
    gateway: &Gateway,
) -> Result<Option<&'a Arc<LoadBalancerConfiguration>>, Problem> {
    let infrastructure = gateway.spec.infrastructure.as_ref();
    let Some(reference) = infrastructure.and_then(|i| i.parameters_ref.as_ref()) else {
        return Ok(None);
    };
    let namespace = gateway.metadata.namespace.clone().unwrap_or_default();
    let name = NamespacedName::new(namespace, reference.name.clone());
    if let Some(configuration) = ctx.reader.load_balancer_configuration(&name) {
        return Ok(Some(configuration));
    }
    ctx.report(
        Diagnostic::error(
            "missing-load-balancer-configuration",
            format!("LoadBalancerConfiguration {name} does not exist"),
        )
        .on(ObjectRef::new(
            Kind::Gateway,
            name.namespace.clone(),
            gateway.metadata.name.clone().unwrap_or_default(),
        ))
        .at("spec.infrastructure.parametersRef.name")
        .hint("create it in the Gateway's namespace; until then nothing is changed"),
    );
    // Difference (invalid-parameters): LBC's reason is `Invalid`, which the Gateway API does not use here.
    Err(Problem {
        reason: "InvalidParameters",
        message: format!(
            "LoadBalancerConfiguration.gateway.k8s.aws \"{}\" not found",
            name.name
        ),
    })
}

fn object_ref(configuration: &LoadBalancerConfiguration) -> ObjectRef {
    ObjectRef::new(
        Kind::LoadBalancerConfiguration,
        configuration.metadata.namespace.clone().unwrap_or_default(),
        configuration.metadata.name.clone().unwrap_or_default(),
    )
}

/// Lays one configuration over another. (`mergingMode` has done its work.)
///
/// Difference (capacity-is-merged): LBC drops minimumLoadBalancerCapacity when it merges.
fn merge(
    high: &LoadBalancerConfigurationSpec,
    low: &LoadBalancerConfigurationSpec,
) -> LoadBalancerConfigurationSpec {
    macro_rules! first {
        ($field:ident) => {
            high.$field.clone().or_else(|| low.$field.clone())
        };
    }
    LoadBalancerConfigurationSpec {
        load_balancer_name: first!(load_balancer_name),
        scheme: first!(scheme),
        ip_address_type: first!(ip_address_type),
        merging_mode: None,
        customer_owned_ipv4_pool: first!(customer_owned_ipv4_pool),
        ipv4_ipam_pool_id: first!(ipv4_ipam_pool_id),
        enforce_security_group_inbound_rules_on_private_link_traffic: first!(
            enforce_security_group_inbound_rules_on_private_link_traffic
        ),
        load_balancer_subnets: first!(load_balancer_subnets),
        load_balancer_subnets_selector: first!(load_balancer_subnets_selector),
        security_groups: first!(security_groups),
        security_group_prefixes: first!(security_group_prefixes),
        source_ranges: first!(source_ranges),
        disable_security_group: first!(disable_security_group),
        enable_icmp: first!(enable_icmp),
        manage_backend_security_group_rules: first!(manage_backend_security_group_rules),
        load_balancer_attributes: attributes(
            high.load_balancer_attributes.as_ref(),
            low.load_balancer_attributes.as_ref(),
        ),
        tags: tags(high.tags.as_ref(), low.tags.as_ref()),
        minimum_load_balancer_capacity: first!(minimum_load_balancer_capacity),
        waf_v2: first!(waf_v2),
        shield_configuration: first!(shield_configuration),
        default_target_group_configuration: first!(default_target_group_configuration),
        listener_configurations: listeners(
            high.listener_configurations.as_ref(),
            low.listener_configurations.as_ref(),
        ),
    }
}

/// Merges tags by key.
pub(crate) fn tags(
    high: Option<&BTreeMap<String, String>>,
    low: Option<&BTreeMap<String, String>>,
) -> Option<BTreeMap<String, String>> {
    let mut merged = low.or(high)?.clone();
    merged.extend(high.cloned().unwrap_or_default());
    Some(merged)
}

/// Merges attributes by key.
pub(crate) fn attributes(
    high: Option<&Vec<Attribute>>,
    low: Option<&Vec<Attribute>>,
) -> Option<Vec<Attribute>> {
    by_key(high, low, |attribute| &attribute.key)
}

fn listeners(
    high: Option<&Vec<ListenerConfiguration>>,
    low: Option<&Vec<ListenerConfiguration>>,
) -> Option<Vec<ListenerConfiguration>> {
    by_key(high, low, |listener| &listener.protocol_port)
}

/// Merges two lists by key. Of entries of one key, the last of the upper list counts and the first of the
/// lower one, as with LBC.
fn by_key<T: Clone>(
    high: Option<&Vec<T>>,
    low: Option<&Vec<T>>,
    key: impl Fn(&T) -> &String,
) -> Option<Vec<T>> {
    low.or(high)?;
    let low = low.into_iter().flatten().rev();
    let all = low.chain(high.into_iter().flatten());
    let merged: BTreeMap<&String, &T> = all.map(|entry| (key(entry), entry)).collect();
    Some(merged.into_values().cloned().collect())
}

#[cfg(test)]
mod tests {
    use elbow_api::crds::Scheme;

    use super::*;

    fn attribute(key: &str, value: &str) -> Attribute {
        Attribute {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn the_preferred_side_wins_field_by_field() {
        let high = LoadBalancerConfigurationSpec {
            scheme: Some(Scheme::Internal),
            load_balancer_attributes: Some(vec![attribute("a", "high"), attribute("b", "high")]),
            tags: Some(BTreeMap::from([("k".to_owned(), "high".to_owned())])),
            ..LoadBalancerConfigurationSpec::default()
        };
        let low = LoadBalancerConfigurationSpec {
            scheme: Some(Scheme::InternetFacing),
            enable_icmp: Some(true),
            load_balancer_attributes: Some(vec![attribute("b", "low"), attribute("c", "low")]),
            ..LoadBalancerConfigurationSpec::default()
        };
        let merged = merge(&high, &low);
        assert_eq!(merged.scheme, Some(Scheme::Internal));
        assert_eq!(merged.enable_icmp, Some(true));
        assert_eq!(merged.tags, high.tags);
        assert_eq!(
            merged.load_balancer_attributes,
            Some(vec![
                attribute("a", "high"),
                attribute("b", "high"),
                attribute("c", "low")
            ])
        );
        assert_eq!(merge(&low, &high).scheme, Some(Scheme::InternetFacing));
    }

    #[test]
    fn of_entries_of_one_key_the_last_above_counts_and_the_first_below() {
        let twice = vec![attribute("a", "first"), attribute("a", "last")];
        let other = vec![attribute("b", "b")];
        let merged = attributes(Some(&twice), Some(&other));
        assert_eq!(merged, Some(vec![attribute("a", "last"), other[0].clone()]));
        let merged = attributes(Some(&other), Some(&twice));
        assert_eq!(
            merged,
            Some(vec![attribute("a", "first"), other[0].clone()])
        );
    }

    #[test]
    fn listener_configurations_are_replaced_whole() {
        let listener = |port: &str, policy: Option<&str>| ListenerConfiguration {
            protocol_port: port.to_owned(),
            ssl_policy: policy.map(str::to_owned),
            ..ListenerConfiguration::default()
        };
        let high = vec![listener("HTTPS:443", None)];
        let low = vec![listener("HTTPS:443", Some("p")), listener("HTTP:80", None)];
        assert_eq!(
            listeners(Some(&high), Some(&low)),
            Some(vec![listener("HTTP:80", None), listener("HTTPS:443", None)])
        );
        assert_eq!(listeners(None, None), None);
    }
}
