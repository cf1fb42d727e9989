//! Tags: what proves a resource ours, and which tags are set and removed.
//!
//! In: tags as they are and as they are wanted. Out: the difference. What always holds: tags are owned
//! exclusively, so that an unknown one is removed, except those of AWS (`aws:…`), those that the policy
//! leaves to others, and on load balancers, target groups and security groups those that older
//! controllers left behind.

use std::collections::BTreeSet;

use elbow_model::stack::CLUSTER_TAG;
use elbow_model::{Stack, StackKind, Tags};

use crate::plan::Change;

/// What is to be set and removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TagDifference {
    pub(crate) set: Tags,
    pub(crate) remove: BTreeSet<String>,
    pub(crate) changes: Vec<Change>,
}

/// Which tags are spared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Legacy {
    /// Load balancers, target groups, security groups.
    Kept,
    /// Listeners and rules.
    Removed,
}

/// What leads from the observed tags to the desired ones.
pub(crate) fn difference(
    desired: &Tags,
    observed: &Tags,
    external: &BTreeSet<String>,
    legacy: Legacy,
) -> TagDifference {
    let mut result = TagDifference::default();
    for (key, value) in desired {
        if external.contains(key) || observed.get(key) == Some(value) {
            continue;
        }
        result.set.insert(key.clone(), value.clone());
        result.changes.push(Change {
            field: format!("tags.{key}"),
            before: observed.get(key).cloned(),
            after: Some(value.clone()),
        });
    }
    for (key, value) in observed {
        let spared = key.starts_with("aws:")
            || external.contains(key)
            || (legacy == Legacy::Kept && is_legacy(key));
        if spared || desired.contains_key(key) {
            continue;
        }
        result.remove.insert(key.clone());
        result.changes.push(Change {
            field: format!("tags.{key}"),
            before: Some(value.clone()),
            after: None,
        });
    }
    result
}

/// Tags that older controllers set, and that LBC leaves where it finds them.
fn is_legacy(key: &str) -> bool {
    const KEYS: [&str; 6] = [
        "kubernetes.io/cluster-name",
        "kubernetes.io/namespace",
        "kubernetes.io/ingress-name",
        "kubernetes.io/service-name",
        "kubernetes.io/service-port",
        "ingress.k8s.aws/cluster",
    ];
    KEYS.contains(&key) || key.starts_with("kubernetes.io/cluster/")
}

/// Whether the tags prove that a resource belongs to this Stack, and under which resource id.
pub(crate) fn resource_id<'t>(stack: &Stack, tags: &'t Tags) -> Option<&'t str> {
    let cluster = tags
        .get(CLUSTER_TAG)
        .is_some_and(|name| *name == stack.cluster_name);
    let id = tags.get(&stack.id.resource_tag())?;
    let own = stack.id.kind == StackKind::Cluster
        || tags
            .get(&stack.id.stack_tag())
            .is_some_and(|value| *value == stack.id.tag_value());
    (cluster && own).then_some(id.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use elbow_model::Tags;

    use super::{Legacy, difference};

    fn tags(text: &str) -> Tags {
        text.split_whitespace()
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn differences() {
        let external = BTreeSet::from(["team".to_owned()]);
        for (name, desired, observed, legacy, set, remove) in [
            ("equal", "a=1", "a=1", Legacy::Kept, "", ""),
            ("new value", "a=1", "a=2", Legacy::Kept, "a=1", ""),
            ("unknown", "", "b=1", Legacy::Kept, "", "b"),
            ("of AWS", "", "aws:x=1", Legacy::Removed, "", ""),
            ("of others", "team=a", "team=b", Legacy::Kept, "", ""),
            ("of others, unwanted", "", "team=b", Legacy::Kept, "", ""),
            (
                "legacy",
                "",
                "kubernetes.io/cluster/c=owned",
                Legacy::Kept,
                "",
                "",
            ),
            (
                "legacy of a rule",
                "",
                "kubernetes.io/namespace=a",
                Legacy::Removed,
                "",
                "kubernetes.io/namespace",
            ),
        ] {
            let found = difference(&tags(desired), &tags(observed), &external, legacy);
            assert_eq!(found.set, tags(set), "{name}");
            let remove: BTreeSet<String> = remove.split_whitespace().map(str::to_owned).collect();
            assert_eq!(found.remove, remove, "{name}");
            assert_eq!(
                found.changes.len(),
                found.set.len() + found.remove.len(),
                "{name}"
            );
        }
    }
}
