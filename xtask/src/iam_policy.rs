//! `cargo xtask iam-policy`: writes `deploy/iam-policy.json`, the rights of the role that elbow runs as,
//! and beside it what client certificates take, for those who use them.
//!
//! In: every operation that elbow asks for (`elbow_model::aws_call`). Out: policies that allow these
//! and no others, each small enough for IAM. Always: what changes or deletes is held to resources that carry the cluster tag,
//! where IAM can and where the resource may not be somebody else's by design. A test fails while the
//! file is stale, and while an operation that changes something has no place here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use elbow_model::aws_call::{ASKED_AT_START, OPERATIONS, Operation};
use elbow_model::stack::CLUSTER_TAG;
use serde::Serialize;

/// A policy that a role is given. IAM has a quota for the length of one, and a role takes ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// What every elbow needs.
    Base,
    /// What `--trust-store-bucket` needs on top.
    ClientCertificates,
}

impl Part {
    const ALL: [Self; 2] = [Self::Base, Self::ClientCertificates];

    /// Where the policy is, from the root of the repository.
    const fn file(self) -> &'static str {
        match self {
            Self::Base => "deploy/iam-policy.json",
            Self::ClientCertificates => "deploy/iam-policy-client-certificates.json",
        }
    }

    fn has(self, sid: &str) -> bool {
        let of_client_certificates = [
            "CreateTrustStores",
            "ChangeTrustStores",
            "TagNewTrustStores",
            "TagTrustStores",
            "KeepBundles",
        ];
        of_client_certificates.contains(&sid) == (self == Self::ClientCertificates)
    }
}

/// What ELBv2 asks EC2 in the name of whoever calls it, so that `CreateLoadBalancer`,
/// `SetSecurityGroups` and `RegisterTargets` are denied without it. elbow never asks for these.
const ASKED_BY_ELB: &[&str] = &[
    "ec2:DescribeAccountAttributes",
    "ec2:DescribeAddresses",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:GetSecurityGroupsForVpc",
];

/// What ELBv2 reads of S3 in the name of whoever makes a trust store. elbow never asks for it.
const READ_BY_ELB: &str = "s3:GetObject";

const SECURITY_GROUPS: &[&str] = &["arn:aws:ec2:*:*:security-group/*"];
const TARGET_GROUPS: &[&str] = &["arn:aws:elasticloadbalancing:*:*:targetgroup/*/*"];
const BALANCERS_AND_GROUPS: &[&str] = &[
    "arn:aws:elasticloadbalancing:*:*:loadbalancer/app/*/*",
    "arn:aws:elasticloadbalancing:*:*:loadbalancer/net/*/*",
    "arn:aws:elasticloadbalancing:*:*:targetgroup/*/*",
];
const TRUST_STORES: &[&str] = &["arn:aws:elasticloadbalancing:*:*:truststore/*/*"];
const LISTENERS_AND_RULES: &[&str] = &[
    "arn:aws:elasticloadbalancing:*:*:listener/app/*/*/*",
    "arn:aws:elasticloadbalancing:*:*:listener/net/*/*/*",
    "arn:aws:elasticloadbalancing:*:*:listener-rule/app/*/*/*",
    "arn:aws:elasticloadbalancing:*:*:listener-rule/net/*/*/*",
];
/// What `--trust-store-prefix` leaves at its default. Whoever knows the bucket puts its name in.
const BUNDLES: &[&str] = &["arn:aws:s3:::*/elbow/trust-stores/*"];
const ANY: &[&str] = &["*"];

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    for part in Part::ALL {
        let path = root.join(part.file());
        std::fs::write(&path, text(part)?).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// A policy as it stands in its file.
fn text(part: Part) -> anyhow::Result<String> {
    let mut text = serde_json::to_string_pretty(&policy(part)?).context("print the policy")?;
    text.push('\n');
    Ok(text)
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: BTreeSet<String>,
    resource: &'static [&'static str],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: BTreeMap<&'static str, BTreeMap<String, Vec<String>>>,
}

/// What a statement demands beside its actions.
#[derive(Debug, Clone, Copy)]
struct Terms {
    sid: &'static str,
    resource: &'static [&'static str],
    /// The cluster tag in the request.
    request: Tag,
    /// The cluster tag on the resource.
    on_resource: Tag,
    /// For actions that tag: the action whose part they are.
    create_action: Option<(&'static str, &'static [&'static str])>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Any,
    Present,
    /// So that nobody makes a resource of somebody else's one of elbow's.
    Absent,
}

impl Terms {
    const fn free(sid: &'static str) -> Self {
        Self {
            sid,
            resource: ANY,
            request: Tag::Any,
            on_resource: Tag::Any,
            create_action: None,
        }
    }
}

/// Every statement, in the order of the file.
const STATEMENTS: &[Terms] = &[
    // Once in an account, with its first load balancer.
    Terms::free("CreateServiceLinkedRole"),
    Terms::free("Look"),
    Terms {
        resource: SECURITY_GROUPS,
        request: Tag::Present,
        ..Terms::free("CreateSecurityGroups")
    },
    // The same action is asked for the VPC, too, which has no tag of ours.
    Terms {
        resource: &["arn:aws:ec2:*:*:vpc/*"],
        ..Terms::free("CreateSecurityGroupsInVpcs")
    },
    Terms {
        resource: SECURITY_GROUPS,
        request: Tag::Present,
        create_action: Some(("ec2:CreateAction", &["CreateSecurityGroup"])),
        ..Terms::free("TagNewSecurityGroups")
    },
    Terms {
        resource: SECURITY_GROUPS,
        request: Tag::Absent,
        on_resource: Tag::Present,
        ..Terms::free("TagSecurityGroups")
    },
    Terms {
        on_resource: Tag::Present,
        ..Terms::free("DeleteSecurityGroups")
    },
    // Also rules of node and pod groups, which are the cluster's and carry no tag of ours.
    Terms::free("ChangeIngressRules"),
    Terms {
        request: Tag::Present,
        ..Terms::free("CreateLoadBalancersAndTargetGroups")
    },
    Terms {
        resource: BALANCERS_AND_GROUPS,
        request: Tag::Present,
        create_action: Some((
            "elasticloadbalancing:CreateAction",
            &["CreateLoadBalancer", "CreateTargetGroup"],
        )),
        ..Terms::free("TagNewLoadBalancersAndTargetGroups")
    },
    Terms {
        resource: BALANCERS_AND_GROUPS,
        request: Tag::Absent,
        on_resource: Tag::Present,
        ..Terms::free("TagLoadBalancersAndTargetGroups")
    },
    Terms {
        on_resource: Tag::Present,
        ..Terms::free("ChangeLoadBalancersAndTargetGroups")
    },
    // As LBC has it: listeners that were made before it tagged them have to be kept, too.
    Terms::free("ChangeListenersAndRules"),
    Terms {
        resource: LISTENERS_AND_RULES,
        ..Terms::free("TagListenersAndRules")
    },
    // Target groups that a TargetGroupBinding of a user's names carry no tag of ours.
    Terms {
        resource: TARGET_GROUPS,
        ..Terms::free("ChangeTargets")
    },
    Terms {
        request: Tag::Present,
        ..Terms::free("ImportCertificates")
    },
    Terms {
        on_resource: Tag::Present,
        ..Terms::free("ChangeCertificates")
    },
    Terms {
        request: Tag::Present,
        ..Terms::free("CreateTrustStores")
    },
    Terms {
        on_resource: Tag::Present,
        ..Terms::free("ChangeTrustStores")
    },
    Terms {
        resource: TRUST_STORES,
        request: Tag::Present,
        create_action: Some(("elasticloadbalancing:CreateAction", &["CreateTrustStore"])),
        ..Terms::free("TagNewTrustStores")
    },
    Terms {
        resource: TRUST_STORES,
        request: Tag::Absent,
        on_resource: Tag::Present,
        ..Terms::free("TagTrustStores")
    },
    // Objects have no tags of ours, but a place of their own.
    Terms {
        resource: BUNDLES,
        ..Terms::free("KeepBundles")
    },
];

/// The statements that an operation needs.
fn statements_of(operation: Operation) -> anyhow::Result<&'static [&'static str]> {
    let reads = ["Describe", "List", "Get"];
    if reads.iter().any(|read| operation.name.starts_with(read)) {
        return Ok(&["Look"]);
    }
    Ok(match (operation.service, operation.name) {
        ("ec2", "CreateSecurityGroup") => &["CreateSecurityGroups", "CreateSecurityGroupsInVpcs"],
        ("ec2", "CreateTags") => &["TagNewSecurityGroups", "TagSecurityGroups"],
        ("ec2", "DeleteTags") => &["TagSecurityGroups"],
        ("ec2", "DeleteSecurityGroup") => &["DeleteSecurityGroups"],
        ("ec2", "AuthorizeSecurityGroupIngress" | "RevokeSecurityGroupIngress") => {
            &["ChangeIngressRules"]
        }
        ("elasticloadbalancing", "CreateLoadBalancer" | "CreateTargetGroup") => {
            &["CreateLoadBalancersAndTargetGroups"]
        }
        ("elasticloadbalancing", "AddTags") => &[
            "TagNewLoadBalancersAndTargetGroups",
            "TagLoadBalancersAndTargetGroups",
            "TagListenersAndRules",
            "TagNewTrustStores",
            "TagTrustStores",
        ],
        ("elasticloadbalancing", "RemoveTags") => &[
            "TagLoadBalancersAndTargetGroups",
            "TagListenersAndRules",
            "TagTrustStores",
        ],
        (
            "elasticloadbalancing",
            "DeleteLoadBalancer"
            | "DeleteTargetGroup"
            | "ModifyListenerAttributes"
            | "ModifyLoadBalancerAttributes"
            | "ModifyTargetGroup"
            | "ModifyTargetGroupAttributes"
            | "SetIpAddressType"
            | "SetSecurityGroups"
            | "SetSubnets",
        ) => &["ChangeLoadBalancersAndTargetGroups"],
        (
            "elasticloadbalancing",
            "AddListenerCertificates"
            | "CreateListener"
            | "CreateRule"
            | "DeleteListener"
            | "DeleteRule"
            | "ModifyListener"
            | "ModifyRule"
            | "RemoveListenerCertificates"
            | "SetRulePriorities",
        ) => &["ChangeListenersAndRules"],
        ("elasticloadbalancing", "RegisterTargets" | "DeregisterTargets") => &["ChangeTargets"],
        ("elasticloadbalancing", "CreateTrustStore") => &["CreateTrustStores"],
        ("elasticloadbalancing", "ModifyTrustStore" | "DeleteTrustStore") => &["ChangeTrustStores"],
        ("s3", "PutObject" | "DeleteObject") => &["KeepBundles"],
        // A certificate that is imported anew under its ARN takes no tags, but has them.
        ("acm", "ImportCertificate" | "AddTagsToCertificate") => {
            &["ImportCertificates", "ChangeCertificates"]
        }
        ("acm", "DeleteCertificate" | "RemoveTagsFromCertificate") => &["ChangeCertificates"],
        _ => bail!(
            "{}:{} has no place in the policy: add it to `statements_of`",
            operation.service,
            operation.name
        ),
    })
}

fn policy(part: Part) -> anyhow::Result<Policy> {
    let mut actions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for &operation in OPERATIONS.iter().chain(ASKED_AT_START) {
        for sid in statements_of(operation)? {
            let of_statement = actions.entry(sid).or_default();
            of_statement.insert(operation.iam_action());
        }
    }
    let looks = actions.entry("Look").or_default();
    looks.extend(ASKED_BY_ELB.iter().map(|&action| action.to_owned()));
    // ELBv2 reads a bundle in the name of whoever makes a trust store of it.
    let bundles = actions.entry("KeepBundles").or_default();
    bundles.insert(READ_BY_ELB.to_owned());
    let role = "iam:CreateServiceLinkedRole".to_owned();
    actions.insert("CreateServiceLinkedRole", [role].into());
    let of_part = STATEMENTS.iter().filter(|terms| part.has(terms.sid));
    let statements = of_part.filter_map(|terms| {
        let action = actions.remove(terms.sid)?;
        Some(statement(terms, action))
    });
    Ok(Policy {
        version: "2012-10-17",
        statement: statements.collect(),
    })
}

fn statement(terms: &Terms, action: BTreeSet<String>) -> Statement {
    let mut condition: BTreeMap<&str, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for (of, demand) in [("Request", terms.request), ("Resource", terms.on_resource)] {
        let key = format!("aws:{of}Tag/{CLUSTER_TAG}");
        let null = match demand {
            Tag::Any => continue,
            Tag::Present => "false",
            Tag::Absent => "true",
        };
        let nulls = condition.entry("Null").or_default();
        nulls.insert(key, vec![null.to_owned()]);
    }
    let mut equal = |key: &str, values: &[&str]| {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        let equals = condition.entry("StringEquals").or_default();
        equals.insert(key.to_owned(), values);
    };
    if let Some((key, values)) = terms.create_action {
        equal(key, values);
    }
    if terms.sid == "CreateServiceLinkedRole" {
        equal(
            "iam:AWSServiceName",
            &["elasticloadbalancing.amazonaws.com"],
        );
    }
    Statement {
        sid: terms.sid,
        effect: "Allow",
        action,
        resource: terms.resource,
        condition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_what_would_be_written() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for part in Part::ALL {
            let file = std::fs::read_to_string(root.join(part.file())).unwrap();
            assert_eq!(file, text(part).unwrap(), "run `cargo xtask iam-policy`");
        }
    }

    #[test]
    fn the_policies_allow_what_elbow_asks_for_and_nothing_else() {
        let allowed: BTreeSet<String> = statements()
            .into_iter()
            .flat_map(|statement| statement.action)
            .collect();
        let mut wanted: BTreeSet<String> = OPERATIONS
            .iter()
            .chain(ASKED_AT_START)
            .map(|operation| operation.iam_action())
            .collect();
        wanted.extend(ASKED_BY_ELB.iter().map(|&action| action.to_owned()));
        wanted.insert(READ_BY_ELB.to_owned());
        wanted.insert("iam:CreateServiceLinkedRole".to_owned());
        assert_eq!(allowed, wanted);
    }

    fn statements() -> Vec<Statement> {
        let parts = Part::ALL.map(|part| policy(part).unwrap().statement);
        parts.into_iter().flatten().collect()
    }

    #[test]
    fn bundles_are_kept_where_the_default_puts_them() {
        assert!(BUNDLES[0].ends_with(&format!("/{}*", elbow_model::trust_store::DEFAULT_PREFIX)));
    }

    #[test]
    fn each_policy_fits() {
        for part in Part::ALL {
            let characters = text(part).unwrap();
            let characters = characters.chars().filter(|c| !c.is_whitespace()).count();
            // IAM's quota for a managed policy, white space not counted.
            assert!(characters <= 6144, "{part:?}: {characters}");
        }
    }

    #[test]
    fn what_deletes_is_held_to_what_is_tagged() {
        for statement in statements() {
            let deletes = |action: &String| {
                [
                    "ec2:DeleteSecurityGroup",
                    "elasticloadbalancing:DeleteLoadBalancer",
                    "elasticloadbalancing:DeleteTargetGroup",
                ]
                .contains(&action.as_str())
            };
            if statement.action.iter().any(deletes) {
                let key = format!("aws:ResourceTag/{CLUSTER_TAG}");
                let present = vec!["false".to_owned()];
                let nulls = &statement.condition["Null"];
                assert_eq!(nulls.get(&key), Some(&present), "{}", statement.sid);
            }
        }
    }

    #[test]
    fn every_statement_that_an_operation_names_is_there() {
        let sids: BTreeSet<&str> = STATEMENTS.iter().map(|terms| terms.sid).collect();
        assert_eq!(sids.len(), STATEMENTS.len());
        for &operation in OPERATIONS {
            for sid in statements_of(operation).unwrap() {
                assert!(sids.contains(sid), "{operation:?}: {sid}");
            }
        }
    }
}
