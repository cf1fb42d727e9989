//! The order in which objects arrive leaves no trace.

use elbow_api::Snapshot;

use crate::support;

/// Objects of every kind that is translated, with ties in age and in TargetGroupConfigurations.
const MANIFESTS: &str = include_str!("order.yaml");

#[test]
fn any_order_of_objects_gives_the_same_translation() {
    let objects = support::snapshot(MANIFESTS).objects();
    let settings = support::settings();
    let mut found = Vec::new();
    // Each rotation, forwards and backwards.
    for start in 0..objects.len() {
        let mut order = objects.clone();
        order.rotate_left(start);
        for _ in 0..2 {
            order.reverse();
            let mut snapshot = Snapshot::new();
            for object in &order {
                snapshot.apply(object);
            }
            let gateways =
                ["ns/web", "ns/tcp"].map(|g| support::translate(&snapshot, g, &settings));
            found.push(gateways);
        }
    }
    let first = &found[0];
    assert!(first[0].stack.as_ref().unwrap().listeners.len() == 2);
    assert!(first[1].stack.as_ref().unwrap().listeners.len() == 1);
    assert!(
        !first[0].diagnostics.is_empty(),
        "two configurations for one Service"
    );
    for other in &found {
        assert_eq!(other, first);
    }
}
