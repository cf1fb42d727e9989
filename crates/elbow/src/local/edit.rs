//! From one reading of the manifests to the next.
//!
//! In: what runs, and what was read anew. Out: the changes of the Snapshot. What always holds: an edit
//! that cannot be read costs nothing that runs. Objects of a file with a mistake in it are kept as they
//! were; the other files are followed.

use std::collections::BTreeSet;

use elbow_api::{Object, ObjectRef, Read, Severity, Snapshot};
use elbow_cluster::Loaded;

/// Keeps in `after` the objects of `before` that it lacks only because their file could not be read in
/// full. However often an edit goes wrong, nothing is lost by it.
pub(crate) fn keep(before: &Loaded, after: &mut Loaded) {
    for (object, source) in unreadable(before, after) {
        after.keep(&object, source);
    }
}

fn unreadable(before: &Loaded, after: &Loaded) -> Vec<(Object, String)> {
    let broken: BTreeSet<&str> = after
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .filter_map(|d| d.location.as_ref().map(|l| l.source.as_str()))
        .collect();
    // A folder that is gone, or a file that may not be read, has no place to point to.
    let is_anything_unreadable = after
        .diagnostics
        .iter()
        .any(|d| d.severity == Severity::Error && d.location.is_none());
    before
        .snapshot
        .objects()
        .into_iter()
        .filter_map(|object| {
            let this = object.object_ref();
            let source = before.source_of(&this)?;
            let is_unreadable =
                broken.contains(source) || (is_anything_unreadable && after.text(source).is_none());
            (is_unreadable && after.snapshot.get(&this).is_none())
                .then(|| (object, source.to_owned()))
        })
        .collect()
}

/// Turns one Snapshot into another; answers with the look-ups that may have changed.
pub(crate) fn follow(snapshot: &mut Snapshot, wanted: &Snapshot) -> BTreeSet<Read> {
    let mut reads = BTreeSet::new();
    let gone: Vec<ObjectRef> = snapshot
        .objects()
        .iter()
        .map(Object::object_ref)
        .filter(|object| wanted.get(object).is_none())
        .collect();
    for object in gone {
        reads.extend(snapshot.remove(&object));
    }
    for object in wanted.objects() {
        if snapshot.get(&object.object_ref()).as_ref() != Some(&object) {
            reads.extend(snapshot.apply(&object));
        }
    }
    reads
}

#[cfg(test)]
mod tests {
    use elbow_cluster::{Input, load};

    use super::*;

    const GOOD: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n";
    const BAD: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: [shop\n";

    #[test]
    fn a_file_that_cannot_be_read_keeps_what_it_held_however_often() {
        let mut before = load(&[Input::Stdin(GOOD.into())]);
        for _ in 0..2 {
            let mut after = load(&[Input::Stdin(BAD.into())]);
            keep(&before, &mut after);
            assert_eq!(after.snapshot.objects().len(), 1);
            before = after;
        }
    }

    #[test]
    fn what_was_taken_out_is_not_kept() {
        let before = load(&[Input::Stdin(GOOD.into())]);
        let mut after = load(&[Input::Stdin(Vec::new())]);
        keep(&before, &mut after);
        assert!(after.snapshot.objects().is_empty());
    }

    #[test]
    fn following_tells_of_differences_only() {
        let mut snapshot = load(&[Input::Stdin(GOOD.into())]).snapshot;
        let same = load(&[Input::Stdin(GOOD.into())]).snapshot;
        assert!(follow(&mut snapshot, &same).is_empty());
        assert!(!follow(&mut snapshot, &Snapshot::new()).is_empty());
        assert!(snapshot.objects().is_empty());
    }
}
