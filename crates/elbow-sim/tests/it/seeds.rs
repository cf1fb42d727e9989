//! Many seeds, and those that once failed.

use elbow_sim::{Summary, simulate, simulate_bindings, simulate_everything, simulate_secrets};

/// Runs seeds and fails with the first that does not hold.
#[track_caller]
fn check(seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let failure = simulate(seed).err().map(|failure| failure.to_string());
        assert!(failure.is_none(), "{}", failure.unwrap_or_default());
    }
}

#[test]
fn the_same_seed_does_the_same() {
    assert_eq!(simulate(3).unwrap(), simulate(3).unwrap());
}

/// Users write TargetGroupBindings, too.
#[test]
fn seeds_with_bindings_hold() {
    let mut bindings = 0;
    for seed in 0..14 {
        match simulate_bindings(seed) {
            Ok(summary) => bindings += summary.bindings,
            Err(failure) => unreachable!("{failure}"),
        }
    }
    assert!(bindings > 30, "{bindings} edits of bindings are few");
}

/// Secrets, authorities, other controllers, finalizers, late calls, lost records, and the end of all.
#[track_caller]
fn check_secrets(seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        let failure = simulate_secrets(seed).err();
        let failure = failure.map(|failure| failure.to_string());
        assert!(failure.is_none(), "{}", failure.unwrap_or_default());
    }
}

#[test]
fn seeds_with_secrets_hold() {
    check_secrets(0..6);
}

/// The same with pods that wait for gates, interfaces that come and go, and listeners made by hand.
fn check_everything(seeds: impl IntoIterator<Item = u64>) -> Summary {
    let mut total = Summary::default();
    for seed in seeds {
        match simulate_everything(seed) {
            Ok(summary) => total = total.plus(summary),
            Err(failure) => unreachable!("{failure}"),
        }
    }
    total
}

#[test]
fn seeds_with_everything_from_0_hold() {
    let total = check_everything(0..5);
    assert!(total.gates > 0, "no gate opened");
}

#[test]
fn seeds_with_everything_from_5_hold() {
    let total = check_everything(5..10);
    assert!(total.by_hand > 0, "nobody made a listener by hand");
}

/// A certificate that no round had tried counted as one that cannot be had, and a plan without its listener
/// as all that was wanted.
#[test]
fn a_certificate_that_comes_late_gets_its_listener() {
    check_secrets([36]);
}

/// The shared security group became free while the cluster's round was under way, and stayed.
#[test]
fn what_becomes_free_during_a_round_goes() {
    check_secrets([89]);
}

/// What a listener has of which only lists have told was deleted.
#[test]
fn a_certificate_of_a_believed_listener_stays() {
    check_secrets([121]);
}

// In parts, so that they run side by side.

#[test]
fn seeds_from_0_hold() {
    check(0..12);
}

#[test]
fn seeds_from_12_hold() {
    check(12..24);
}

#[test]
fn seeds_from_24_hold() {
    check(24..36);
}

#[test]
fn seeds_from_36_hold() {
    check(36..48);
}

/// A Gateway that AWS refuses something holds up what all share, and nobody takes that for a fault.
#[test]
fn what_is_refused_is_why_rules_stay() {
    check([81]);
}

/// A machine at rest that was told to stop never said that it had, and what was edited since was never
/// carried out.
#[test]
fn a_machine_at_rest_stops_and_the_next_one_goes_on() {
    check([2, 19, 14]);
}

/// A look that failed left calls out, whose answers were counted for the next look: a load balancer that
/// stood was created, and two changes of one Stack were out at once.
#[test]
fn late_answers_to_a_look_that_was_given_up_count_for_nothing() {
    check([139, 158]);
}

/// A rule that was modified after it had moved up gave its old answer to requests of another rule.
#[test]
fn a_modified_rule_that_moves_answers_for_nobody_else() {
    check([292]);
}
