//! Whether a request can match two sets of conditions.
//!
//! In: conditions of two rules. Out: `false` only if that is certain. It decides which rules have to
//! wait for one another; a wrong `true` costs a wait, a wrong `false` would cost a request.

use elbow_model::rule::{Condition, Pattern};

/// Whether some request may match both.
pub(crate) fn may_overlap(a: &[Condition], b: &[Condition]) -> bool {
    !a.iter().any(|a| b.iter().any(|b| are_disjoint(a, b)))
}

fn are_disjoint(a: &Condition, b: &Condition) -> bool {
    match (a, b) {
        (Condition::HostHeader { matches: a }, Condition::HostHeader { matches: b }) => {
            // Host names do not care about case.
            patterns_disjoint(a, b, &str::to_ascii_lowercase)
        }
        (Condition::PathPattern { matches: a }, Condition::PathPattern { matches: b }) => {
            patterns_disjoint(a, b, &str::to_owned)
        }
        (
            Condition::HttpRequestMethod { values: a },
            Condition::HttpRequestMethod { values: b },
        ) => !a.iter().any(|a| b.contains(a)),
        // A request can carry a header or a parameter several times, and a block of addresses can lie
        // within another.
        _ => false,
    }
}

fn patterns_disjoint(a: &Pattern, b: &Pattern, fold: &dyn Fn(&str) -> String) -> bool {
    match (a, b) {
        (Pattern::Values(a), Pattern::Values(b)) => !a.iter().any(|a| {
            let a = fold(a);
            b.iter().any(|b| globs_overlap(&a, &fold(b)))
        }),
        _ => false,
    }
}

/// Compares what stands before the first wildcard and after the last one: where both are fixed and
/// differ, no text fits both.
fn globs_overlap(a: &str, b: &str) -> bool {
    const WILDCARDS: [char; 2] = ['*', '?'];
    let (a_wild, b_wild) = (a.contains(WILDCARDS), b.contains(WILDCARDS));
    if !a_wild && !b_wild {
        return a == b;
    }
    let ends = |text: &'_ str| -> (String, String) {
        match (text.find(WILDCARDS), text.rfind(WILDCARDS)) {
            (Some(first), Some(last)) => (text[..first].to_owned(), text[last + 1..].to_owned()),
            _ => (text.to_owned(), text.to_owned()),
        }
    };
    let ((a_start, a_end), (b_start, b_end)) = (ends(a), ends(b));
    let starts = a_start.starts_with(&b_start) || b_start.starts_with(&a_start);
    let ends = a_end.ends_with(&b_end) || b_end.ends_with(&a_end);
    // A text without wildcards cannot be shorter than what the other one fixes.
    let long_enough = |wild: bool, text: &str, start: &str, end: &str| {
        wild || text.len() >= start.len() + end.len()
    };
    starts
        && ends
        && long_enough(a_wild, a, &b_start, &b_end)
        && long_enough(b_wild, b, &a_start, &a_end)
}

#[cfg(test)]
mod tests {
    use super::globs_overlap;

    #[test]
    fn globs() {
        for (a, b, overlap) in [
            ("/a", "/a", true),
            ("/a", "/b", false),
            ("/a", "/a/*", false),
            ("/a/b", "/a/*", true),
            ("/a/*", "/b/*", false),
            ("/a/*", "/a/b/*", true),
            ("/*", "/anything", true),
            ("*.example.com", "app.example.com", true),
            ("*.example.com", "app.example.org", false),
            ("*.example.com", "*.org", false),
            ("*.a.com", ".a.com", true),
            ("ab*ba", "aba", false),
            ("?", "x", true),
        ] {
            assert_eq!(globs_overlap(a, b), overlap, "{a} {b}");
            assert_eq!(globs_overlap(b, a), overlap, "{b} {a}");
        }
    }
}
