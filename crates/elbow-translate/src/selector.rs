//! Kubernetes label selectors.
//!
//! In: a selector of the Gateway API or of Kubernetes, and labels. Out: whether they match. An
//! operator that does not exist matches nothing, so that a bad selector never lets more in.

use std::collections::BTreeMap;

use gateway_api::apis::experimental::gateways::GatewayListenersAllowedRoutesNamespacesSelector as NamespaceSelector;
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

/// Whether a namespace's labels match the selector of a listener.
pub(crate) fn namespace_matches(selector: &NamespaceSelector, labels: Option<&Labels>) -> bool {
    let expressions = selector.match_expressions.iter().flatten();
    holds(
        selector.match_labels.as_ref(),
        expressions.map(|e| (e.key.as_str(), e.operator.as_str(), e.values.as_deref())),
        labels,
    )
}

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
