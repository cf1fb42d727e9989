//! Flags resolved to the settings of translation.
//!
//! In: [`SettingsArgs`] and what the manifests give away (the region of the ARNs that they name).
//! Out: [`Settings`] and the region. A flag that cannot be understood is an error that names it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use anyhow::{Context as _, bail};
use elbow_api::{NamespacedName, Object, Snapshot};
use elbow_model::stack::{CLUSTER_TAG, Scheme, TargetType};
use elbow_model::{BundleStorage, CertificateArn, SecurityGroupId, Tags, VpcId};
use elbow_translate::{
    BackendSecurityGroup, HostnamePorts, ListenerIsolation, NodeRules, Settings, stack_ids,
};

use crate::args::{self, SettingsArgs};

/// The region where neither a flag nor an ARN tells one.
const DEFAULT_REGION: &str = "us-east-1";
/// The account where no ARN tells one; the account of AWS's own examples.
const DEFAULT_ACCOUNT: &str = "123456789012";
/// The cluster where no flag names it.
const DEFAULT_CLUSTER: &str = "my-cluster";
/// The bucket that is made up when none is given.
const DEFAULT_BUCKET: &str = "elbow-made-up";
/// The VPC that is made up when none is given.
const DEFAULT_VPC: &str = "vpc-0e1b0000000000001";

/// Where the load balancers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The region.
    pub region: String,
    /// The account.
    pub account: String,
}

/// The region and account: of the flag, else of the first ARN that a configuration names, else of the
/// environment.
pub fn place(args: &SettingsArgs, snapshot: &Snapshot) -> Place {
    let named = certificate_arns(snapshot).find_map(|arn| {
        let mut parts = arn.as_str().split(':').skip(3);
        match (parts.next(), parts.next()) {
            (Some(region), Some(account)) if !region.is_empty() && account.len() == 12 => {
                Some(Place {
                    region: region.to_owned(),
                    account: account.to_owned(),
                })
            }
            _ => None,
        }
    });
    let named = named.unwrap_or_else(|| Place {
        region: region_of_environment().unwrap_or_else(|| DEFAULT_REGION.to_owned()),
        account: DEFAULT_ACCOUNT.to_owned(),
    });
    match &args.aws_region {
        Some(region) => Place {
            region: region.clone(),
            ..named
        },
        None => named,
    }
}

/// The region of the user's shell. It comes after that of the certificates, which work in no other.
fn region_of_environment() -> Option<String> {
    std::env::var("AWS_REGION").ok().filter(|r| !r.is_empty())
}

/// The certificates that LoadBalancerConfigurations name, in the order of the objects.
pub fn certificate_arns(snapshot: &Snapshot) -> impl Iterator<Item = CertificateArn> {
    let mut arns = Vec::new();
    for object in snapshot.objects() {
        if let Object::LoadBalancerConfiguration(configuration) = object {
            for listener in configuration.spec.listener_configurations.iter().flatten() {
                arns.extend(listener.default_certificate.clone());
                arns.extend(listener.certificates.iter().flatten().cloned());
            }
        }
    }
    arns.into_iter().map(CertificateArn::new)
}

/// The trust stores that LoadBalancerConfigurations name, by ARN or name.
pub fn trust_stores(snapshot: &Snapshot) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for object in snapshot.objects() {
        if let Object::LoadBalancerConfiguration(configuration) = object {
            let listeners = configuration.spec.listener_configurations.iter().flatten();
            let asked = listeners.filter_map(|l| l.mutual_authentication.as_ref());
            named.extend(asked.filter_map(|asked| asked.trust_store.clone()));
        }
    }
    named
}

/// Whether a Gateway asks clients for certificates of authorities that it names.
pub fn names_authorities(snapshot: &Snapshot) -> bool {
    snapshot.objects().iter().any(|object| match object {
        Object::Gateway(gateway) => {
            let tls = gateway.spec.tls.as_ref();
            tls.is_some_and(|tls| tls.frontend.is_some())
        }
        _ => false,
    })
}

/// Where certificates of authorities are put where no flag says it.
pub fn made_up_storage(args: &SettingsArgs) -> BundleStorage {
    BundleStorage {
        bucket: DEFAULT_BUCKET.to_owned(),
        prefix: args.trust_store_prefix.clone(),
    }
}

/// The settings that the flags ask for.
pub fn settings(args: &SettingsArgs, place: &Place) -> anyhow::Result<Settings> {
    let vpc_id = args.aws_vpc_id.as_deref().unwrap_or(DEFAULT_VPC);
    let cluster_name = args.cluster_name.as_deref().unwrap_or(DEFAULT_CLUSTER);
    let mut settings = Settings::new(cluster_name, VpcId::new(vpc_id));
    settings.region = Some(place.region.clone());
    settings.default_target_type = match args.default_target_type {
        args::TargetType::Instance => TargetType::Instance,
        args::TargetType::Ip => TargetType::Ip,
    };
    settings.default_scheme = match args.default_load_balancer_scheme {
        args::Scheme::Internal => Scheme::Internal,
        args::Scheme::InternetFacing => Scheme::InternetFacing,
    };
    settings
        .default_ssl_policy
        .clone_from(&args.default_ssl_policy);
    settings.default_tags = tags("--default-tags", &args.default_tags)?;
    settings.node_group_tags = tags(
        "--service-target-eni-security-group-tags",
        &args.service_target_eni_security_group_tags,
    )?;
    let others = args.external_managed_tags.iter();
    settings.external_managed_tags = others.filter(|key| !key.is_empty()).cloned().collect();
    check_tag_keys(&settings)?;
    // Manifests that are filled in elsewhere have flags without a value.
    let group = args.backend_security_group.as_ref();
    let group = group.filter(|group| !group.is_empty());
    if let Some(group) = group
        && !group.starts_with("sg-")
    {
        bail!("--backend-security-group: `{group}` is not the id of a security group, `sg-…`");
    }
    settings.backend_security_group = match (args.enable_backend_security_group, group) {
        (false, _) => BackendSecurityGroup::Disabled,
        (true, Some(group)) => BackendSecurityGroup::Existing(SecurityGroupId::new(group.clone())),
        (true, None) => BackendSecurityGroup::Managed,
    };
    if args.disable_restricted_sg_rules {
        settings.node_rules = NodeRules::AllPorts;
    }
    settings.allowed_certificate_authority_arns = args
        .allowed_certificate_authority_arns
        .iter()
        .cloned()
        .collect();
    settings.rules_per_load_balancer_max = args.max_rules_per_load_balancer;
    settings.targets_per_group_max = NonZeroUsize::new(args.max_targets_per_target_group);
    let bucket = args.trust_store_bucket.as_ref().filter(|b| !b.is_empty());
    settings.bundle_storage = bucket.map(|bucket| BundleStorage {
        bucket: bucket.clone(),
        prefix: args.trust_store_prefix.clone(),
    });
    for gate in &args.feature_gates {
        feature_gate(&mut settings, gate)?;
    }
    Ok(settings)
}

/// Refuses what LBC refuses: tags by which it is told what is whose, and tags that are both set and left to
/// others.
fn check_tag_keys(settings: &Settings) -> anyhow::Result<()> {
    let tracks = |key: &str| {
        let stacks = stack_ids(&NamespacedName::new("", ""));
        let of_stacks = stacks
            .iter()
            .flat_map(|s| [s.stack_tag(), s.resource_tag()]);
        let classic = ["ingress.k8s.aws", "service.k8s.aws"].into_iter();
        let classic = classic.flat_map(|p| [format!("{p}/stack"), format!("{p}/resource")]);
        key == CLUSTER_TAG || of_stacks.chain(classic).any(|tag| tag == key)
    };
    let by_default = settings.default_tags.keys();
    let by_default = by_default.map(|key| ("--default-tags", key));
    let others = settings.external_managed_tags.iter();
    let others = others.map(|key| ("--external-managed-tags", key));
    for (flag, key) in by_default.chain(others) {
        if tracks(key) {
            bail!("{flag}: `{key}` is a tag by which elbow knows what is its own");
        }
    }
    for key in &settings.external_managed_tags {
        if settings.default_tags.contains_key(key) {
            bail!(
                "`{key}` is in --default-tags, to be set, and in --external-managed-tags, not to be"
            );
        }
    }
    Ok(())
}

fn tags(flag: &str, pairs: &[String]) -> anyhow::Result<Tags> {
    pairs
        .iter()
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair
                .split_once('=')
                .with_context(|| format!("{flag}: `{pair}` is not KEY=VALUE"))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

fn feature_gate(settings: &mut Settings, gate: &str) -> anyhow::Result<()> {
    let (name, value) = gate
        .split_once('=')
        .with_context(|| format!("--feature-gates: `{gate}` is not GATE=true or GATE=false"))?;
    let value: bool = value
        .parse()
        .with_context(|| format!("--feature-gates: `{gate}` is not GATE=true or GATE=false"))?;
    let gates = &mut settings.gates;
    match name {
        "SubnetDiscoveryByReachability" => gates.subnet_discovery_by_reachability = value,
        "SubnetsClusterTagCheck" => gates.subnets_cluster_tag_check = value,
        "ALBSingleSubnet" => gates.alb_single_subnet = value,
        "EndpointsFailOpen" => gates.endpoints_fail_open = value,
        "EnableDefaultTagsLowPriority" => gates.default_tags_low_priority = value,
        "ListenerIsolation" => {
            settings.listener_isolation = if value {
                ListenerIsolation::ByRules
            } else {
                ListenerIsolation::None
            };
        }
        "HostnamePorts" => {
            settings.hostname_ports = if value {
                HostnamePorts::Any
            } else {
                HostnamePorts::None
            };
        }
        _ => bail!(
            "--feature-gates: `{name}` is not a gate that elbow has; it has \
             SubnetDiscoveryByReachability, SubnetsClusterTagCheck, ALBSingleSubnet, \
             EndpointsFailOpen, EnableDefaultTagsLowPriority, ListenerIsolation and HostnamePorts"
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(flags: &[&str]) -> SettingsArgs {
        use clap::Parser as _;
        let line = ["elbow", "lint", "-f", "x"].iter().chain(flags);
        match args::Cli::parse_from(line).command {
            args::Command::Lint(lint) => lint.settings,
            other => panic!("not lint: {other:?}"),
        }
    }

    fn place_of(flags: &[&str]) -> Place {
        place(&args(flags), &Snapshot::new())
    }

    #[test]
    fn flags_become_settings() {
        let flags = args(&[
            "--default-target-type=ip",
            "--default-tags=a=1,b=2=3",
            "--enable-backend-security-group=false",
            "--feature-gates=ALBSingleSubnet=true",
            "--max-rules-per-load-balancer=200",
            "--external-managed-tags=owner",
            "--trust-store-bucket=bundles",
            "--service-target-eni-security-group-tags=for=pods",
        ]);
        let place = place_of(&["--aws-region=eu-west-1"]);
        let settings = settings(&flags, &place).expect("the flags are right");
        assert_eq!(settings.default_target_type, TargetType::Ip);
        assert_eq!(settings.default_tags["b"], "2=3");
        assert_eq!(settings.node_group_tags["for"], "pods");
        assert_eq!(
            settings.backend_security_group,
            BackendSecurityGroup::Disabled
        );
        assert!(settings.gates.alb_single_subnet);
        let storage = settings.bundle_storage.as_ref().expect("there is a bucket");
        assert_eq!(storage.key("a", "b"), "elbow/trust-stores/a/b.pem");
        // The planner goes by the same: it would otherwise remove what others manage.
        let policy = elbow_reconcile::Settings::new(settings.clone()).policy;
        assert_eq!(policy.quotas.rules_max, 200);
        assert!(policy.external_managed_tags.contains("owner"));
        assert_eq!(settings.region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn a_flag_that_is_wrong_is_named() {
        let place = place_of(&["--aws-region=eu-west-1"]);
        for (flag, says) in [
            ("--default-tags=a", "`a` is not KEY=VALUE"),
            ("--feature-gates=Nope=true", "`Nope` is not a gate"),
            (
                "--default-tags=elbv2.k8s.aws/cluster=other",
                "knows what is its own",
            ),
            (
                "--external-managed-tags=gateway.k8s.aws.nlb/resource",
                "knows what is its own",
            ),
            ("--backend-security-group=web", "`web` is not the id"),
            (
                "--feature-gates=ALBSingleSubnet=yes",
                "`ALBSingleSubnet=yes` is not GATE",
            ),
        ] {
            let error = settings(&args(&[flag]), &place).expect_err(flag);
            assert!(error.to_string().contains(says), "{flag}: {error}");
        }
        let both = args(&["--default-tags=a=1", "--external-managed-tags=b,a"]);
        let error = settings(&both, &place).expect_err("one or the other");
        assert!(error.to_string().starts_with("`a` is in"), "{error}");
    }

    #[test]
    fn switches_need_no_value_and_texts_may_be_empty() {
        let place = place_of(&["--aws-region=eu-west-1"]);
        let flags = args(&[
            "--disable-restricted-sg-rules",
            "--enable-backend-security-group",
            "--backend-security-group=",
            "--default-tags=",
            "--external-managed-tags=",
        ]);
        let settings = settings(&flags, &place).expect("the flags are right");
        assert_eq!(settings.node_rules, NodeRules::AllPorts);
        assert_eq!(
            settings.backend_security_group,
            BackendSecurityGroup::Managed
        );
        assert!(settings.default_tags.is_empty() && settings.external_managed_tags.is_empty());
    }
}
