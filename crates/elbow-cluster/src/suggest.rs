//! "Did you mean": the known word nearest to a mistyped one.
//!
//! In: a word and the words that would have been right. Out: one of them, if it is near enough to be
//! what was meant.

/// The nearest of the known words. Letter case counts for nothing, and as many as a third of the
/// letters may differ.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Number of letters to insert, drop, change or swap with the next to get from one word to the other
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    // Row i holds the distances of the first i letters of `a` to every beginning of `b`.
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best.min(rows[i - 2][j - 2] + 1)
                } else {
                    best
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let known = ["hostnames", "parentRefs", "rules"];
        assert_eq!(nearest("hostname", known), Some("hostnames"));
        assert_eq!(nearest("parentrefs", known), Some("parentRefs"));

        assert_eq!(nearest("rulse", known), Some("rules"));
        assert_eq!(nearest("rule", known), Some("rules"));
        assert_eq!(nearest("backend", known), None);
        assert_eq!(nearest("", known), None);
    }
}
