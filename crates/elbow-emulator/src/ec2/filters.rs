//! Filters and pages of EC2's Describe operations.
//!
//! In: `Filter` members, `MaxResults` and `NextToken`. Out: the items that pass, one page of them.
//! Always: values of one filter are alternatives, filters narrow each other; `*` and `?` are
//! wildcards; a filter that the operation does not know is refused, also when nothing could match.

use std::collections::BTreeMap;

use crate::ApiError;
use crate::generated::ec2::Filter;

/// Something that a Describe operation lists.
pub(super) trait Filterable {
    /// Names of the filters, besides `tag:…` and `tag-key`.
    const FILTERS: &'static [&'static str];

    /// The values that a filter of [`Self::FILTERS`] looks at.
    fn values(&self, filter: &str) -> Vec<String>;

    fn tags(&self) -> &BTreeMap<String, String>;
}

/// Values per request; more are refused. (AWS's number is 200.)
const VALUES_MAX: usize = 200;

/// The items that pass all filters.
pub(super) fn apply<T: Filterable>(
    items: impl Iterator<Item = T>,
    filters: Option<&[Filter]>,
) -> Result<Vec<T>, ApiError> {
    let filters = filters.unwrap_or_default();
    let mut wanted = Vec::new();
    for filter in filters {
        let name = filter.name.as_deref().unwrap_or_default();
        if !T::FILTERS.contains(&name) && name != "tag-key" && !name.starts_with("tag:") {
            let message = format!("The filter '{name}' is invalid");
            return Err(ApiError::sender("InvalidParameterValue", message));
        }
        let values = filter.values.as_deref().unwrap_or_default();
        if values.is_empty() {
            let message = format!("The filter '{name}' has no values");
            return Err(ApiError::sender("InvalidParameterValue", message));
        }
        wanted.push((name, values));
    }
    if wanted.iter().map(|(_, values)| values.len()).sum::<usize>() > VALUES_MAX {
        let message = format!("The maximum number of filter values is {VALUES_MAX}");
        return Err(ApiError::sender("FilterLimitExceeded", message));
    }
    let passes = |item: &T| {
        wanted.iter().all(|(name, values)| {
            let own = match name.strip_prefix("tag:") {
                Some(key) => item.tags().get(key).into_iter().cloned().collect(),
                None if *name == "tag-key" => item.tags().keys().cloned().collect(),
                None => item.values(name),
            };
            values
                .iter()
                .any(|pattern| own.iter().any(|value| wildcard(pattern, value)))
        })
    };
    Ok(items.filter(passes).collect())
}

/// Whether a pattern with `*`, `?` and `\` as escape matches the whole text.
pub(super) fn wildcard(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // Where to resume when the text after the latest star does not fit.
    let mut retry: Option<(usize, usize)> = None;
    let (mut p, mut t) = (0, 0);
    while t < text.len() {
        let literal = if pattern.get(p) == Some(&'\\') {
            pattern.get(p + 1)
        } else {
            None
        };
        match (literal, pattern.get(p)) {
            (Some(c), _) if *c == text[t] => (p, t) = (p + 2, t + 1),
            (None, Some('*')) => {
                retry = Some((p, t));
                p += 1;
            }
            (None, Some(c)) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    (p, t) = (star + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How much a request wants at once.
pub(super) struct Page<'a> {
    pub(super) max_results: Option<i32>,
    pub(super) next_token: Option<&'a str>,
    /// The most that the operation allows.
    pub(super) limit: i32,
    /// What the request names ids with: refused together with `MaxResults` where AWS says so.
    pub(super) exclusive_ids: Option<&'static str>,
}

/// Fewest `MaxResults` of every EC2 operation modelled here.
const PAGE_MIN: i32 = 5;

impl<'a> Page<'a> {
    /// A page as most operations have it: up to 1,000 items.
    pub(super) fn new(max_results: Option<i32>, next_token: Option<&'a str>) -> Self {
        Self {
            max_results,
            next_token,
            limit: 1_000,
            exclusive_ids: None,
        }
    }

    /// One page, and the token for the next one. `id` tells items apart; the token names the last
    /// item of the page, so that items which appear or vanish meanwhile disturb nothing.
    pub(super) fn cut<T>(
        &self,
        items: Vec<T>,
        id: impl Fn(&T) -> &str,
    ) -> Result<(Vec<T>, Option<String>), ApiError> {
        if let Some(size) = self.max_results {
            if let Some(ids) = self.exclusive_ids {
                let message =
                    format!("The parameter {ids} cannot be used with the parameter maxResults");
                return Err(ApiError::sender("InvalidParameterCombination", message));
            }
            let (bound, relation) = if size < PAGE_MIN {
                (PAGE_MIN, "greater")
            } else if size > self.limit {
                (self.limit, "less")
            } else {
                (size, "")
            };
            if !relation.is_empty() {
                let message = format!(
                    "Value ( {size} ) for parameter maxResults is invalid. Expecting a value \
                     {relation} than or equal to {bound}."
                );
                return Err(ApiError::sender("InvalidParameterValue", message));
            }
        }
        let start = match self.next_token.filter(|token| !token.is_empty()) {
            None => 0,
            Some(token) => {
                let last = hex::decode(token)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok());
                let last = last.ok_or_else(|| {
                    ApiError::sender("InvalidNextToken", format!("Invalid token: {token}"))
                })?;
                items
                    .iter()
                    .position(|item| id(item) > last.as_str())
                    .unwrap_or(items.len())
            }
        };
        let size = usize::try_from(self.max_results.unwrap_or(self.limit)).unwrap_or(usize::MAX);
        let more = items.len().saturating_sub(start) > size;
        let page: Vec<T> = items.into_iter().skip(start).take(size).collect();
        let token = page
            .last()
            .filter(|_| more)
            .map(|item| hex::encode(id(item)));
        Ok((page, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        let rows = [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*c", "abbc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("*b*d", "abcbd", true),
            (r"a\*c", "a*c", true),
            (r"a\*c", "abc", false),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }
}
