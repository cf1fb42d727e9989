//! A few hundred seeds, and those that once failed.

use elbow_sim::simulate;

/// Runs seeds and fails with the first that does not hold.
#[track_caller]
fn check(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        if let Err(failure) = simulate(seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn the_same_seed_does_the_same() {
    assert_eq!(simulate(3).unwrap(), simulate(3).unwrap());
}

#[test]
fn a_hundred_seeds_hold() {
    check(0..100);
}
