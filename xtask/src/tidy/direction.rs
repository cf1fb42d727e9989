//! Which of our crates may use which, and who may use the heavy outside ones.
//!
//! In: the manifests, by `cargo metadata`. Out: each dependency that points the wrong way.
//! Always: only normal and build dependencies count; tests may use what they like.

use std::collections::BTreeSet;

use cargo_metadata::{Dependency, DependencyKind, Metadata};

use super::Finding;

/// A crate of ours, and the crates of ours that it may use. What those may use, it may use too.
struct Rule {
    name: &'static str,
    may_use: &'static [&'static str],
}

/// From vocabulary at the top to composition at the bottom. It lists crates that are still to come,
/// so that their place is decided before they are written.
const RULES: &[Rule] = &[
    Rule {
        name: "elbow-api",
        may_use: &[],
    },
    Rule {
        name: "elbow-model",
        may_use: &[],
    },
    Rule {
        name: "elbow-translate",
        may_use: &["elbow-api", "elbow-model"],
    },
    Rule {
        name: "elbow-plan",
        may_use: &["elbow-model"],
    },
    Rule {
        name: "elbow-reconcile",
        may_use: &["elbow-translate", "elbow-plan"],
    },
    Rule {
        name: "elbow-cluster",
        may_use: &["elbow-api"],
    },
    Rule {
        name: "elbow-aws",
        may_use: &["elbow-model"],
    },
    Rule {
        name: "elbow-controller",
        may_use: &["elbow-reconcile", "elbow-cluster", "elbow-aws"],
    },
    // Nothing of ours: it is the independent judge of what the planner asks of AWS.
    Rule {
        name: "elbow-emulator",
        may_use: &[],
    },
    Rule {
        name: "elbow-emulator-server",
        may_use: &["elbow-emulator"],
    },
    Rule {
        name: "elbow-loopback",
        may_use: &["elbow-model", "elbow-emulator"],
    },
    Rule {
        name: "elbow-sim",
        may_use: &["elbow-reconcile", "elbow-loopback"],
    },
    Rule {
        name: "elbow-testkit",
        may_use: &[],
    },
    Rule {
        name: "elbow",
        may_use: &[
            "elbow-controller",
            "elbow-emulator-server",
            "elbow-loopback",
        ],
    },
    // It writes files that are made from these.
    Rule {
        name: "xtask",
        may_use: &["elbow-cluster", "elbow-emulator-server", "elbow-model"],
    },
];

/// An outside crate, by the start of its name, and the crates of ours that may use it directly.
struct Reserved {
    prefix: &'static str,
    users: &'static [&'static str],
    reason: &'static str,
}

const RESERVED: &[Reserved] = &[
    Reserved {
        prefix: "aws-",
        users: &["elbow-aws"],
        reason: "one crate talks to AWS, so that the others compile without the SDKs",
    },
    Reserved {
        prefix: "anyhow",
        users: &["elbow", "xtask"],
        reason: "libraries have error enums that callers can branch on",
    },
    Reserved {
        prefix: "clap",
        users: &["elbow", "xtask"],
        reason: "the command line is the binary's",
    },
];

/// Features of `kube` that bring its client.
const KUBE_CLIENT_FEATURES: &[&str] = &["client", "runtime"];

pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    let ours: BTreeSet<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    metadata
        .packages
        .iter()
        .flat_map(|package| {
            let used = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development);
            check_crate(package.name.as_str(), used, &ours)
        })
        .collect()
}

fn check_crate<'a>(
    name: &str,
    used: impl Iterator<Item = &'a Dependency>,
    ours: &BTreeSet<&str>,
) -> Vec<Finding> {
    let Some(allowed) = allowed(name) else {
        let message = "has no row in the table of xtask/src/tidy/direction.rs";
        return vec![Finding::whole(name, message)];
    };
    let mut findings = Vec::new();
    for dependency in used {
        let other = dependency.name.as_str();
        if ours.contains(other) && !allowed.contains(other) {
            findings.push(Finding::whole(name, format!("must not use {other}")));
        }
        for reserved in RESERVED {
            if other.starts_with(reserved.prefix) && !reserved.users.contains(&name) {
                let message = format!("must not use {other}: {}", reserved.reason);
                findings.push(Finding::whole(name, message));
            }
        }
        let with_client = dependency
            .features
            .iter()
            .any(|feature| KUBE_CLIENT_FEATURES.contains(&feature.as_str()));
        if other == "kube" && with_client && name != "elbow-cluster" {
            let message = "must not use the client of kube: elbow-cluster is its only user";
            findings.push(Finding::whole(name, message));
        }
    }
    findings
}

/// Every crate of ours that `name` may use, directly or by way of another; `None` without a rule.
fn allowed(name: &str) -> Option<BTreeSet<&'static str>> {
    let rule = |name: &str| RULES.iter().find(|rule| rule.name == name);
    let mut found = BTreeSet::new();
    let mut open = rule(name)?.may_use.to_vec();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(rule(next).into_iter().flat_map(|rule| rule.may_use));
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_row(name: &str, dependency: &serde_json::Value, expected: &[&str]) {
        let mut whole = serde_json::json!({
            "name": "", "req": "*", "optional": false, "uses_default_features": true,
            "features": [], "kind": null, "target": null, "rename": null, "source": null,
            "registry": null, "path": null,
        });
        let fields = whole.as_object_mut().unwrap();
        fields.extend(dependency.as_object().unwrap().clone());
        let dependency: Dependency = serde_json::from_value(whole).unwrap();
        let ours = RULES.iter().map(|rule| rule.name).collect();
        let found: Vec<String> = check_crate(name, [&dependency].into_iter(), &ours)
            .into_iter()
            .map(|finding| finding.message)
            .collect();
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for (message, expected) in found.iter().zip(expected) {
            assert!(message.contains(expected), "{name}: {message}");
        }
    }

    #[test]
    fn dependencies_point_one_way() {
        let on = |name: &str| serde_json::json!({ "name": name });
        check_row("elbow-plan", &on("elbow-model"), &[]);
        check_row(
            "elbow-plan",
            &on("elbow-translate"),
            &["must not use elbow-translate"],
        );
        // By way of translate.
        check_row("elbow-reconcile", &on("elbow-api"), &[]);
        check_row(
            "elbow-emulator",
            &on("elbow-model"),
            &["must not use elbow-model"],
        );
        check_row("elbow", &on("elbow-sim"), &["must not use elbow-sim"]);
        check_row("elbow-new", &on("serde"), &["has no row"]);
    }

    #[test]
    fn heavy_crates_have_one_user() {
        let sdk = serde_json::json!({ "name": "aws-sdk-ec2" });
        check_row("elbow-aws", &sdk, &[]);
        check_row("elbow-controller", &sdk, &["one crate talks to AWS"]);
        let client = serde_json::json!({ "name": "kube", "features": ["client"] });
        check_row("elbow-cluster", &client, &[]);
        check_row("elbow-api", &client, &["only user"]);
        check_row("elbow-api", &serde_json::json!({ "name": "kube" }), &[]);
        check_row(
            "elbow-plan",
            &serde_json::json!({ "name": "anyhow" }),
            &["error enums"],
        );
    }

    #[test]
    fn every_rule_names_crates_that_have_one() {
        for rule in RULES {
            for used in rule.may_use {
                assert!(allowed(used).is_some(), "{} uses {used}", rule.name);
            }
            assert!(
                !allowed(rule.name).unwrap().contains(rule.name),
                "{} uses itself",
                rule.name
            );
        }
    }
}
