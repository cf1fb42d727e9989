//! Transforms of a rule: rewriting the Host header and the path with its query.

use super::error;
use super::regexes;
use super::state::LoadBalancerKind;
use crate::error::ApiError;
use crate::generated::elbv2 as wire;

/// Longest regular expression and longest replacement, in characters (`RewriteConfig`).
const REWRITE_MAX: usize = 1024;

/// Refuses transforms that no rule can have. All texts are undocumented, as is every code but
/// `ValidationError`'s part in mistakes of this kind.
pub(super) fn check(
    kind: LoadBalancerKind,
    transforms: &[wire::RuleTransform],
) -> Result<(), ApiError> {
    if kind == LoadBalancerKind::Network && !transforms.is_empty() {
        return Err(error::configuration(
            "Transforms are not supported for load balancers with type 'network'",
        ));
    }
    for (index, transform) in transforms.iter().enumerate() {
        let kind = transform.r#type.as_str();
        if transforms[..index]
            .iter()
            .any(|earlier| earlier.r#type == kind)
        {
            return Err(error::validation(format!(
                "A rule can only have one '{kind}' transform"
            )));
        }
        check_one(kind, transform)?;
    }
    Ok(())
}

fn check_one(kind: &str, transform: &wire::RuleTransform) -> Result<(), ApiError> {
    let host = transform
        .host_header_rewrite_config
        .as_ref()
        .map(|config| &config.rewrites);
    let url = transform
        .url_rewrite_config
        .as_ref()
        .map(|config| &config.rewrites);
    let (own, other, field) = match kind {
        "host-header-rewrite" => (host, url, "HostHeaderRewriteConfig"),
        _ => (url, host, "UrlRewriteConfig"),
    };
    if other.is_some() {
        return Err(error::validation(format!(
            "For transforms of type '{kind}', you can only specify the following fields: '{field}'"
        )));
    }
    let Some(rewrites) = own.and_then(Option::as_ref) else {
        return Err(error::validation(format!(
            "For transforms of type '{kind}', you must specify the following fields: '{field}'"
        )));
    };
    // The model has a list; the guide documents one entry.
    let [rewrite] = rewrites.as_slice() else {
        return Err(error::validation(format!(
            "You must specify exactly one rewrite for transforms of type '{kind}', but '{}' were \
             specified",
            rewrites.len()
        )));
    };
    for (name, text) in [("regex", &rewrite.regex), ("replace", &rewrite.replace)] {
        if text.chars().count() > REWRITE_MAX {
            return Err(error::validation(format!(
                "Transform {name} for '{kind}' cannot contain more than {REWRITE_MAX} characters"
            )));
        }
    }
    if rewrite.regex.is_empty() || !regexes::is_supported(&rewrite.regex) {
        return Err(error::validation(format!(
            "Transform regex '{}' is not a valid regular expression",
            rewrite.regex
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(regex: &str) -> wire::RuleTransform {
        let rewrites = vec![wire::RewriteConfig {
            regex: regex.into(),
            replace: "b.test".into(),
        }];
        wire::RuleTransform {
            r#type: "host-header-rewrite".into(),
            host_header_rewrite_config: Some(wire::HostHeaderRewriteConfig {
                rewrites: Some(rewrites),
            }),
            ..Default::default()
        }
    }

    fn url(regex: &str, replace: &str) -> wire::RuleTransform {
        let rewrites = vec![wire::RewriteConfig {
            regex: regex.into(),
            replace: replace.into(),
        }];
        wire::RuleTransform {
            r#type: "url-rewrite".into(),
            url_rewrite_config: Some(wire::UrlRewriteConfig {
                rewrites: Some(rewrites),
            }),
            ..Default::default()
        }
    }

    #[test]
    fn transforms() {
        let mut mixed = host(".*");
        mixed.url_rewrite_config = url("a", "b").url_rewrite_config;
        let mut two = url("a", "b");
        let config = two.url_rewrite_config.as_mut().unwrap();
        config
            .rewrites
            .as_mut()
            .unwrap()
            .push(wire::RewriteConfig::default());
        let bare = wire::RuleTransform {
            r#type: "url-rewrite".into(),
            ..Default::default()
        };
        let rows = [
            (
                "one of each",
                vec![host(".*"), url("(^/foo(/)?)", "/bar$2")],
                None,
            ),
            ("an empty replacement", vec![url("^/x", "")], None),
            (
                "two of a kind",
                vec![host("a"), host("b")],
                Some("only have one"),
            ),
            ("no config", vec![bare], Some("you must specify")),
            (
                "another's config",
                vec![mixed],
                Some("you can only specify"),
            ),
            ("two rewrites", vec![two], Some("exactly one rewrite")),
            (
                "look-ahead",
                vec![url("(?=a)", "b")],
                Some("not a valid regular expression"),
            ),
            (
                "too long",
                vec![url("a", &"b".repeat(1025))],
                Some("more than 1024 characters"),
            ),
        ];
        for (name, transforms, refusal) in rows {
            let result = check(LoadBalancerKind::Application, &transforms);
            match refusal {
                None => assert_eq!(result, Ok(()), "{name}"),
                Some(text) => assert!(result.unwrap_err().message.contains(text), "{name}"),
            }
        }
        assert!(check(LoadBalancerKind::Network, &[host(".*")]).is_err());
    }
}
