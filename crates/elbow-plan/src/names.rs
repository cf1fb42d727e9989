//! Names for target groups whose own name is taken by the group that they replace.
//!
//! In: the wanted name and those that are taken. Out: the wanted name, or one derived from it. What
//! always holds: the same names give the same result, it has at most 32 characters, and it is free.
//!
//! AWS tells target groups apart by name within an account and region, and a target group belongs to at
//! most one load balancer (`TargetGroupAssociationLimit`). A group that is to exist beside the one it
//! replaces therefore needs another name. A name matters at creation only: resources are found by tags.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

/// Longest name of a target group.
const LENGTH_MAX: usize = 32;
/// Hex digits at the end of a derived name: as many as generated names have.
const HASH_LENGTH: usize = 10;

/// The wanted name if it is free, else the first derived one that is.
pub(crate) fn free_name(wanted: &str, taken: &BTreeSet<String>) -> String {
    let mut name = wanted.to_owned();
    let mut attempt = 0_u32;
    while taken.contains(&name) {
        attempt += 1;
        let digest = hex::encode(Sha256::digest(format!("{wanted}#{attempt}")));
        name = format!("{}-{}", stem(wanted), &digest[..HASH_LENGTH]);
    }
    name
}

/// Whether a name has the form of those that are generated, and so was not chosen by anybody.
pub(crate) fn is_generated(name: &str) -> bool {
    name.starts_with("k8s-")
        && name
            .rsplit_once('-')
            .is_some_and(|(_, hash)| hash.len() == HASH_LENGTH)
}

/// What stays of a name: all but the hash of a generated one, and no more than leaves room for one.
fn stem(name: &str) -> &str {
    let stem = match name.rsplit_once('-') {
        Some((stem, hash)) if hash.len() == HASH_LENGTH => stem,
        _ => name,
    };
    let length = stem.len().min(LENGTH_MAX - HASH_LENGTH - 1);
    stem.get(..length).unwrap_or(stem).trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::free_name;

    #[test]
    fn names() {
        let generated = "k8s-default-echo-0123456789";
        assert_eq!(free_name(generated, &BTreeSet::new()), generated);
        let first = free_name(generated, &BTreeSet::from([generated.to_owned()]));
        assert_eq!(first.len(), generated.len());
        assert!(first.starts_with("k8s-default-echo-"), "{first}");
        let second = free_name(
            generated,
            &BTreeSet::from([generated.to_owned(), first.clone()]),
        );
        assert!(second != first && second != generated);
        let long = "a-name-of-thirty-two-characters-";
        let short = free_name(long, &BTreeSet::from([long.to_owned()]));
        assert!(short.len() <= 32 && short != long, "{short}");
    }
}
