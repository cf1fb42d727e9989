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

/// Number of letters to insert, drop or change to get from one word to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let known = ["hostnames", "parentRefs", "rules"];
        assert_eq!(nearest("hostname", known), Some("hostnames"));
        assert_eq!(nearest("parentrefs", known), Some("parentRefs"));

        assert_eq!(nearest("rule", known), Some("rules"));
        assert_eq!(nearest("backend", known), None);
        assert_eq!(nearest("", known), None);
    }
}
