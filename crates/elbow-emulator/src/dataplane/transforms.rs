//! Rewrites of host and URL after a rule has matched.
//!
//! In: the transforms of a rule and the request. Out: what the target, or the placeholders of a
//! redirect, will see. Always: a rewrite whose expression matches nothing changes nothing; only the
//! first match is replaced; a result that cannot be sent is an error and not a guess.

use super::patterns::{Case, Pattern};
use super::request::RequestHead;
use crate::generated::elbv2 as wire;

/// Host and URL after the transforms of a rule; `None` where nothing was rewritten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The host, without the port unless the replacement has one.
    pub host: Option<String>,
    /// Path, and query after a `?`.
    pub path_and_query: Option<String>,
}

/// Why a transform failed; the client gets a 500. The names are those of the access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransformError {
    /// The expression has syntax that the load balancer does not have.
    RegexSyntax,
    /// The compiled expression is too big.
    CompileTooBig,
    /// The result is no host.
    InvalidHost,
    /// The result is no path.
    InvalidPath,
}

impl From<super::patterns::PatternError> for TransformError {
    fn from(error: super::patterns::PatternError) -> Self {
        match error {
            super::patterns::PatternError::Syntax(_) => Self::RegexSyntax,
            super::patterns::PatternError::TooBig => Self::CompileTooBig,
        }
    }
}

/// Applies the transforms of a rule to a request.
pub fn apply(
    transforms: &[wire::RuleTransform],
    request: &RequestHead,
) -> Result<Rewritten, TransformError> {
    let mut out = Rewritten::default();
    for transform in transforms {
        match transform.r#type.as_str() {
            "host-header-rewrite" => {
                let config = transform.host_header_rewrite_config.as_ref();
                let rewrites = config
                    .and_then(|config| config.rewrites.as_deref())
                    .unwrap_or_default();
                if let Some(host) = rewrite(rewrites, &request.host, Case::Insensitive)? {
                    out.host = Some(valid_host(host)?);
                }
            }
            "url-rewrite" => {
                let config = transform.url_rewrite_config.as_ref();
                let rewrites = config
                    .and_then(|config| config.rewrites.as_deref())
                    .unwrap_or_default();
                if let Some(url) = rewrite(rewrites, &request.path_and_query(), Case::Sensitive)? {
                    out.path_and_query = Some(valid_path_and_query(url)?);
                }
            }
            _ => {}
        }
    }
    Ok(out)
}

fn rewrite(
    rewrites: &[wire::RewriteConfig],
    text: &str,
    case: Case,
) -> Result<Option<String>, TransformError> {
    let mut result: Option<String> = None;
    for entry in rewrites {
        let pattern = Pattern::new(&entry.regex, case)?;
        let current = result.as_deref().unwrap_or(text);
        if let Some(next) = pattern.replace_first(current, &entry.replace) {
            result = Some(next);
        }
    }
    Ok(result)
}

fn valid_host(host: String) -> Result<String, TransformError> {
    let valid = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']')
    };
    if !host.is_empty() && host.bytes().all(valid) {
        Ok(host)
    } else {
        Err(TransformError::InvalidHost)
    }
}

fn valid_path_and_query(url: String) -> Result<String, TransformError> {
    let valid = |byte: u8| (0x21..=0x7e).contains(&byte) && byte != b'#';
    if url.starts_with('/') && url.bytes().all(valid) {
        Ok(url)
    } else {
        Err(TransformError::InvalidPath)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::testing::{host_rewrite, url_rewrite};

    #[track_caller]
    fn check(
        transforms: &[wire::RuleTransform],
        expected: Result<(Option<&str>, Option<&str>), TransformError>,
    ) {
        let got = apply(
            transforms,
            &RequestHead::get("Old.example.com:8080", "/foo/a?x=1"),
        );
        let expected = expected.map(|(host, url)| Rewritten {
            host: host.map(str::to_owned),
            path_and_query: url.map(str::to_owned),
        });
        assert_eq!(got, expected);
    }

    #[test]
    fn rewrites() {
        check(&[], Ok((None, None)));
        check(
            &[host_rewrite(".*", "new.example.com")],
            Ok((Some("new.example.com"), None)),
        );
        check(
            &[host_rewrite("^OLD", "new")],
            Ok((Some("new.example.com:8080"), None)),
        );
        check(
            &[url_rewrite("^([^?]*)", "/full")],
            Ok((None, Some("/full?x=1"))),
        );
        check(
            &[url_rewrite("(^/foo(/)?)", "/bar$2")],
            Ok((None, Some("/bar/a?x=1"))),
        );
        check(&[url_rewrite("^/nope", "/x")], Ok((None, None)));
        check(
            &[url_rewrite(r"\?x=(\d)", "/$1?y=$1")],
            Ok((None, Some("/foo/a/1?y=1"))),
        );
        check(
            &[
                host_rewrite(".*", "n.example.com"),
                url_rewrite("^/foo", ""),
            ],
            Ok((Some("n.example.com"), Some("/a?x=1"))),
        );
    }

    #[test]
    fn unusable_results_are_errors() {
        check(
            &[host_rewrite(".*", "a b")],
            Err(TransformError::InvalidHost),
        );
        check(&[host_rewrite(".*", "")], Err(TransformError::InvalidHost));
        check(&[url_rewrite("^/", "")], Err(TransformError::InvalidPath));
        check(
            &[url_rewrite("^/", "/a b")],
            Err(TransformError::InvalidPath),
        );
        check(
            &[url_rewrite("(?=x)", "/")],
            Err(TransformError::RegexSyntax),
        );
    }
}
