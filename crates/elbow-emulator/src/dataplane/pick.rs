//! How one of several target groups, or targets, is picked.
//!
//! In: weights or candidates, and a number from the caller. Out: an index. Always: the same number
//! picks the same; over as many consecutive numbers as the weights sum to, each index is picked
//! exactly as often as its weight says, and its picks are spread out rather than bunched.

use super::request::TargetEndpoint;

/// Where the numbers come from. A server keeps counters, a replay uses one fixed number.
pub trait Picker {
    /// The number for this choice. A counter per subject makes the choices exact.
    fn turn(&mut self, of: Turn<'_>) -> u64;

    /// How many requests a target is answering now, for least-outstanding-requests. None known is
    /// 0.
    fn outstanding(&self, target_group_arn: &str, target: &TargetEndpoint) -> u64 {
        let (_, _) = (target_group_arn, target);
        0
    }
}

/// What is being chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn<'a> {
    /// One of the target groups of a rule's forward action.
    TargetGroup {
        /// The rule.
        rule_arn: &'a str,
    },
    /// One of the targets of a target group.
    Target {
        /// The target group.
        target_group_arn: &'a str,
        /// How many turns of the rule's choice make one round. A picker with a single number
        /// divides by it, so that the choice of the target does not follow the choice of the group.
        round: u64,
    },
}

/// One number for all choices of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedPick(pub u64);

impl Picker for FixedPick {
    fn turn(&mut self, of: Turn<'_>) -> u64 {
        match of {
            Turn::TargetGroup { .. } => self.0,
            Turn::Target { round, .. } => self.0 / round.max(1),
        }
    }
}

/// The index that a turn falls on, or nothing when all weights are 0.
pub fn weighted(weights: &[u64], turn: u64) -> Option<usize> {
    let total = round_length(weights)?;
    let shared = weights.iter().copied().fold(0, greatest_common_divisor);
    // Stepping by a number that is coprime to the total visits every position once per round; a
    // step near the golden section of the total keeps neighbors in time apart in position.
    let position = (turn % total) * coprime_step(total) % total;
    let mut end = 0;
    for (index, weight) in weights.iter().enumerate() {
        end += weight / shared;
        if position < end {
            return Some(index);
        }
    }
    None
}

/// How many turns make one round: the sum of the weights after dividing out what they share.
pub fn round_length(weights: &[u64]) -> Option<u64> {
    let shared = weights.iter().copied().fold(0, greatest_common_divisor);
    (shared > 0).then(|| weights.iter().sum::<u64>() / shared)
}

fn coprime_step(total: u64) -> u64 {
    // 0.618 of the total. Weights are at most five times 999, so nothing here overflows.
    let start = (total * 618 / 1000).max(1);
    (start..=total)
        .find(|step| greatest_common_divisor(*step, total) == 1)
        .unwrap_or(1)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// Scatters a number over all of `u64`; neighbors end up far apart (the finalizer of SplitMix64).
pub fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// `number` modulo `length` as an index; `length` must not be 0.
pub fn index(number: u64, length: usize) -> usize {
    usize::try_from(number % (length.max(1) as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weights_of_zero_get_nothing() {
        assert_eq!(weighted(&[], 0), None);
        assert_eq!(weighted(&[0, 0], 7), None);
        for turn in 0..20 {
            assert_eq!(weighted(&[0, 3, 0], turn), Some(1));
        }
    }

    #[test]
    fn picks_are_spread() {
        let picks: Vec<_> = (0..10).map(|turn| weighted(&[50, 50], turn)).collect();
        assert!(
            picks.windows(2).all(|pair| pair[0] != pair[1]),
            "even weights alternate: {picks:?}"
        );
        let rare: Vec<u64> = (0..30)
            .filter(|turn| weighted(&[90, 10], *turn) == Some(1))
            .collect();
        assert!(
            rare.windows(2).all(|pair| pair[1] - pair[0] == 10),
            "one in ten: {rare:?}"
        );
    }

    proptest! {
        #[test]
        fn every_round_is_exact(weights in proptest::collection::vec(0u64..1000, 1..6), start in 0u64..1_000_000) {
            let Some(round) = round_length(&weights) else { return Ok(()); };
            let mut counts = vec![0u64; weights.len()];
            for turn in start..start + round {
                counts[weighted(&weights, turn).unwrap()] += 1;
            }
            let total: u64 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(&weights) {
                prop_assert_eq!(count * (total / round), *weight);
            }
        }
    }
}
