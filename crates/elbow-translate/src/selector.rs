//! Kubernetes label selectors.
//!
//! In: a selector of Kubernetes, or of the Gateway API in any of its types, and labels. Out: whether
//! they match. An operator that does not exist matches nothing, so that a bad selector never lets more
//! in.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

type Labels = BTreeMap<String, String>;

/// Whether labels match a selector of Kubernetes.
pub(crate) fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let expressions = selector.match_expressions.iter().flatten();
    holds(
        selector.match_labels.as_ref(),
        expressions.map(|e| (e.key.as_str(), e.operator.as_str(), e.values.as_deref())),
        labels,
    )
}

/// A selector of the Gateway API, whose types differ from place to place, as one of Kubernetes.
macro_rules! label_selector {
    ($selector:expr) => {
        k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector {
            match_expressions: $selector.match_expressions.as_ref().map(|all| {
                all.iter()
                    .map(|e| {
                        k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement {
                            key: e.key.clone(),
                            operator: e.operator.clone(),
                            values: e.values.clone(),
                        }
                    })
                    .collect()
            }),
            match_labels: $selector.match_labels.clone(),
        }
    };
}
pub(crate) use label_selector;

fn holds<'a>(
    match_labels: Option<&Labels>,
    mut expressions: impl Iterator<Item = (&'a str, &'a str, Option<&'a [String]>)>,
    labels: Option<&Labels>,
) -> bool {
    let value = |key: &str| labels.and_then(|l| l.get(key));
    match_labels
        .into_iter()
        .flatten()
        .all(|(key, wanted)| value(key) == Some(wanted))
        && expressions.all(|(key, operator, values)| {
            let values = values.unwrap_or_default();
            match operator {
                "In" => value(key).is_some_and(|v| values.contains(v)),
                "NotIn" => value(key).is_none_or(|v| !values.contains(v)),
                "Exists" => value(key).is_some(),
                "DoesNotExist" => value(key).is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

    use super::*;

    #[test]
    fn expressions_follow_kubernetes() {
        let labels = Labels::from([("team".to_owned(), "a".to_owned())]);
        let rows = [
            ("team", "In", vec!["a", "b"], true),
            ("team", "In", vec!["b"], false),
            ("team", "NotIn", vec!["b"], true),
            ("other", "NotIn", vec!["b"], true),
            ("team", "Exists", vec![], true),
            ("other", "DoesNotExist", vec![], true),
            ("team", "Bogus", vec![], false),
        ];
        for (key, operator, values, expected) in rows {
            let selector = LabelSelector {
                match_expressions: Some(vec![LabelSelectorRequirement {
                    key: key.to_owned(),
                    operator: operator.to_owned(),
                    values: Some(values.into_iter().map(str::to_owned).collect()),
                }]),
                match_labels: None,
            };
            assert_eq!(
                matches(&selector, Some(&labels)),
                expected,
                "{key} {operator}"
            );
        }
        assert!(
            matches(&LabelSelector::default(), None),
            "empty matches all"
        );
    }
}
