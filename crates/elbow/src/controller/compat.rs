//! Flags and feature gates of LBC's that elbow does not have.
//!
//! In: what a Deployment of LBC's may pass. Out: a warning for each that has no effect here, or an error
//! for one whose effect would be missed. What always holds: a value that asks for what elbow does
//! anyway is passed over in silence.

use anyhow::bail;

/// A flag of LBC's.
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    /// Values that ask for nothing.
    silent: &'static [&'static str],
    effect: Effect,
}

/// What it means that a flag has no effect.
enum Effect {
    /// Nothing is lost; why.
    Harmless(&'static str),
    /// Something would be missed: what.
    Missed(&'static str),
}
use Effect::{Harmless, Missed};

const fn flag(name: &'static str, silent: &'static [&'static str], effect: Effect) -> Flag {
    Flag {
        name,
        silent,
        effect,
    }
}

const INGRESS: Effect = Harmless("elbow does not reconcile Ingresses");
const SERVICES: Effect = Harmless("elbow does not reconcile Services of type LoadBalancer");
const ROUNDS: Effect = Harmless("rounds do not wait for each other");
const WEBHOOKS: Effect = Harmless("elbow puts nothing but readiness gates into pods");

/// The flags, in the order of LBC's documentation.
pub(crate) const FLAGS: &[Flag] = &[
    flag("load-balancer-class", &["service.k8s.aws/nlb"], SERVICES),
    flag(
        "enable-endpoint-slices",
        &["true"],
        Harmless("EndpointSlices hold what Endpoints hold"),
    ),
    flag(
        "enable-manage-backend-security-group-rules",
        &["false"],
        Missed("rules of security groups that a configuration names are left to the user"),
    ),
    flag(
        "required-secrets-label",
        &[""],
        Missed("Secrets cannot be limited to those with a label; limit them by RBAC"),
    ),
    flag(
        "lb-stabilization-monitor-interval",
        &[],
        Harmless("load balancers that are being set up are looked at every 2.5 s"),
    ),
    flag("service-max-concurrent-reconciles", &[], ROUNDS),
    flag("targetgroupbinding-max-concurrent-reconciles", &[], ROUNDS),
    flag("ingress-max-concurrent-reconciles", &[], ROUNDS),
    flag("gateway-class-max-concurrent-reconciles", &[], ROUNDS),
    flag("alb-gateway-max-concurrent-reconciles", &[], ROUNDS),
    flag("nlb-gateway-max-concurrent-reconciles", &[], ROUNDS),
    flag("globalaccelerator-max-concurrent-reconciles", &[], ROUNDS),
    flag(
        "targetgroupbinding-max-exponential-backoff-delay",
        &[],
        ROUNDS,
    ),
    flag(
        "globalaccelerator-max-exponential-backoff-delay",
        &[],
        ROUNDS,
    ),
    flag(
        "targetgroupbinding-requeue-duration",
        &["15s"],
        Harmless(
            "targets that pods wait for are looked at after 1 s, and every 15 s at the latest",
        ),
    ),
    flag("ingress-class", &[], INGRESS),
    flag("disable-ingress-class-annotation", &["false"], INGRESS),
    flag("disable-ingress-group-name-annotation", &["false"], INGRESS),
    flag("tolerate-non-existent-backend-service", &[], INGRESS),
    flag("tolerate-non-existent-backend-action", &[], INGRESS),
    flag("default-pca-arn", &[""], INGRESS),
    flag(
        "enable-waf",
        &["false"],
        Harmless("elbow sets and removes no web ACL"),
    ),
    flag(
        "enable-wafv2",
        &["false"],
        Harmless("elbow sets and removes no web ACL"),
    ),
    flag(
        "enable-shield",
        &["false"],
        Harmless("elbow sets and removes no Shield protection"),
    ),
    flag(
        "quic-environment-variable-name",
        &["AWS_LBC_QUIC_SERVER_ID"],
        WEBHOOKS,
    ),
    flag(
        "aws-vpc-tag-key",
        &[],
        Harmless("LBC passes over it as well"),
    ),
    flag(
        "aws-max-retries",
        &[],
        Harmless("what is tried again, and when, is decided for all calls together"),
    ),
    flag(
        "aws-api-throttle",
        &[""],
        Harmless("calls have budgets below AWS's own limits"),
    ),
    flag(
        "sync-period",
        &[],
        Harmless("each load balancer is looked at for drift once in 30 minutes"),
    ),
    flag(
        "kube-ca-pem-filepath",
        &[""],
        Missed("name the certificate authority in the kubeconfig"),
    ),
];

/// Feature gates of LBC's that elbow does not have, with LBC's default.
const GATES: &[(&str, bool, Effect)] = &[
    (
        "ListenerRulesTagging",
        true,
        Missed("listeners and rules are always tagged"),
    ),
    (
        "WeightedTargetGroups",
        true,
        Missed("forward actions always have weights"),
    ),
    ("ServiceTypeLoadBalancerOnly", false, SERVICES),
    ("EnableServiceController", true, SERVICES),
    (
        "EnableIPTargetType",
        true,
        Missed("targets of the type ip cannot be forbidden"),
    ),
    (
        "EnableRGTAPI",
        false,
        Harmless("elbow reads tags through the tagging API where that is fewer calls"),
    ),
    (
        "NLBHealthCheckAdvancedConfig",
        true,
        Missed("health checks of an NLB always have all their settings"),
    ),
    (
        "NLBSecurityGroup",
        true,
        Missed("an NLB has security groups unless its configuration disables them"),
    ),
    (
        "LBCapacityReservation",
        true,
        Harmless("elbow reserves no capacity"),
    ),
    (
        "NLBGatewayAPI",
        true,
        Missed("Gateways of the NLB class cannot be switched off; delete the GatewayClass"),
    ),
    (
        "ALBGatewayAPI",
        true,
        Missed("Gateways of the ALB class cannot be switched off; delete the GatewayClass"),
    ),
    (
        "GatewayListenerSet",
        true,
        Missed("ListenerSets cannot be switched off; forbid them in the Gateways"),
    ),
    (
        "GlobalAcceleratorController",
        false,
        Missed("elbow does not reconcile GlobalAccelerators"),
    ),
    ("EnableTCPUDPListener", false, SERVICES),
    (
        "EnhancedDefaultBehavior",
        false,
        Harmless("elbow always restores a default that a setting had changed"),
    ),
    ("ALBTargetControlAgent", false, WEBHOOKS),
    ("EnableCertificateManagement", false, INGRESS),
    ("IngressPlanAnnotation", false, INGRESS),
];

/// The warnings about flags that were given.
pub(super) fn warnings(given: &[(&'static str, String)]) -> anyhow::Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (name, value) in given {
        let Some(flag) = FLAGS.iter().find(|flag| flag.name == *name) else {
            continue;
        };
        if flag.silent.contains(&value.as_str()) {
            continue;
        }
        match flag.effect {
            Harmless(why) => warnings.push(format!("--{name} has no effect: {why}")),
            Missed(what) => bail!("--{name}={value}: elbow cannot do that: {what}"),
        }
    }
    Ok(warnings)
}

/// The feature gates that elbow has, and the warnings about the others.
pub(super) fn gates(given: &[String]) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let (mut ours, mut warnings) = (Vec::new(), Vec::new());
    for gate in given.iter().filter(|gate| !gate.is_empty()) {
        let known = gate
            .split_once('=')
            .and_then(|(name, value)| Some((name, value.parse::<bool>().ok()?)))
            .and_then(|(name, value)| {
                let known = GATES.iter().find(|(other, ..)| *other == name)?;
                Some((known, value))
            });
        let Some(((name, default, effect), value)) = known else {
            ours.push(gate.clone());
            continue;
        };
        match effect {
            _ if value == *default => {}
            Harmless(why) => {
                warnings.push(format!("the feature gate {name} has no effect: {why}"));
            }
            Missed(what) => bail!("--feature-gates={gate}: elbow cannot do that: {what}"),
        }
    }
    Ok((ours, warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_passed_over_where_that_is_harmless() {
        let rows = [
            ("aws-max-retries", "20", "--aws-max-retries has no effect"),
            ("aws-api-throttle", "", ""),
            ("enable-wafv2", "true", "--enable-wafv2 has no effect"),
        ];
        for (name, value, warning) in rows {
            let said = warnings(&[(name, value.to_owned())]).expect(name).join("");
            assert_eq!(
                said.is_empty(),
                warning.is_empty(),
                "{name}={value}: {said}"
            );
            assert!(said.starts_with(warning), "{name}={value}: {said}");
        }
    }

    #[test]
    fn flags_whose_effect_would_be_missed_are_errors() {
        let given = ("required-secrets-label", "elbow=yes".to_owned());
        let error = warnings(&[given]).expect_err("it limits nothing");
        assert!(error.to_string().contains("=elbow=yes"), "{error}");
    }

    #[test]
    fn gates_of_our_own_are_kept_and_others_judged() {
        let given = |gate: &str| gates(&[gate.to_owned()]);
        let (ours, warnings) = given("ALBSingleSubnet=true").expect("ours");
        assert_eq!((ours.len(), warnings.len()), (1, 0));
        let (ours, warnings) = given("NLBGatewayAPI=true").expect("the default");
        assert_eq!((ours.len(), warnings.len()), (0, 0));
        let (ours, warnings) = given("EnableRGTAPI=true").expect("harmless");
        assert_eq!((ours.len(), warnings.len()), (0, 1));
        given("NLBGatewayAPI=false").expect_err("it cannot be switched off");
        // Whatever is unknown is left to whoever knows ours, and to say so.
        assert_eq!(given("Nope=true").expect("later").0, ["Nope=true"]);
    }
}
