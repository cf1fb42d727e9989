//! Differences of two texts, for people.
//!
//! In: the expected and the found text. Out: a unified diff, bounded in length.
//! Always: equal texts give an empty string.

use std::fmt::Write as _;

use similar::TextDiff;

/// Longer differences are cut here: what follows is nearly always the same finding again, and a
/// terminal scrolls the first one away.
const LINES_MAX: usize = 120;

/// Shows what must change in `expected` to become `found`: `-` lines are missing, `+` lines are new.
///
/// Three lines of context stand around each change. Empty when the texts are equal.
pub fn unified(expected: &str, found: &str) -> String {
    if expected == found {
        return String::new();
    }
    let whole = TextDiff::from_lines(expected, found)
        .unified_diff()
        .context_radius(3)
        .header("expected", "found")
        .to_string();
    let n_lines = whole.lines().count();
    if n_lines <= LINES_MAX {
        return whole;
    }
    let mut cut = whole.lines().take(LINES_MAX).collect::<Vec<_>>().join("\n");
    // Writing to a String does not fail.
    let _infallible = write!(cut, "\n... and {} more lines\n", n_lines - LINES_MAX);
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_difference() {
        assert_eq!(unified("a\nb\n", "a\nb\n"), "");
    }

    #[test]
    fn a_changed_line_shows_both_sides() {
        let diff = unified("a\nb\nc\n", "a\nB\nc\n");
        assert!(diff.contains("\n-b\n+B\n"), "{diff}");
    }

    #[test]
    fn long_differences_are_cut_with_a_count() {
        let found = "line\n".repeat(500);
        let diff = unified("", &found);
        assert_eq!(diff.lines().count(), LINES_MAX + 1);
        assert!(diff.ends_with("more lines\n"), "{diff}");
    }
}
