//! From one ordered list of rules to another, without an answer that belongs to neither.
//!
//! In: the rules that are there and those that are wanted, each reduced to two numbers: which
//! conditions (equal numbers, equal conditions) and which answer (equal numbers, equal action and
//! transforms). Out: moves in order. Nothing is assumed about what the conditions match.
//!
//! # The claim
//! Take any request. Every list between two moves gives it the answer of the old list or that of the new
//! one; where these are the same answer, that one. (`tests::undisturbed` replays this on random lists.)
//!
//! # The construction
//! Rules with equal conditions and answer are *kept* (K), whatever their priority. Rules with equal
//! conditions and another answer are *modified* in place (M) where that is safe. What is left of the
//! old is *deleted* (X), what is left of the new is *created* (C). Then:
//!
//! 1. create C below everything, in the new order;
//! 2. modify those of M for which it is safe here;
//! 3. one `SetRulePriorities`: all new rules to 1..N, X below them in its old order. It is atomic;
//! 4. modify the rest of M;
//! 5. delete X, the last one first.
//!
//! # Why it holds
//! - *1*: A created rule is reached only by requests that no old rule matches. The first created rule
//!   that matches such a request is its new first match, since creation follows the new order.
//! - *3*: A request that a new rule matches now gets its new answer, but for what is left of M. One that
//!   none matches is matched by the same first rule as before: K and M do not match it and X kept its
//!   order.
//! - *5*: Such a request's answer comes from the first X that matches it, which goes last.
//! - *M before 3*: gives a request whose old first match is m the new answer of m, which is wrong if its
//!   new first match is a rule above m. So it is safe if every rule above m in the new order was above m
//!   in the old one: such a rule would have been the first match before.
//! - *M after 3*: gives a request whose new first match is m the old answer of m for a while, which is
//!   wrong if its old first match was a rule above m. So it is safe if every rule above m in the old order
//!   stays above m: such a rule would be the first match afterwards.
//! - A rule for which neither is safe is created and deleted instead.
//!
//! # The short form
//! Where kept and modified rules stay at their priorities and the places of C are free, C is created at
//! its place in the new order, then M is modified, then X is deleted from the last to the first; there is
//! nothing to reorder. A request's first match is then always its old first match or, once that exists,
//! its new one; the new one exists before anything is modified or deleted.
//!
//! Where one rule gives way to one other at the same priority and all else stays, a single `ModifyRule` of
//! conditions and answer leads from the old list to the new one: there is nothing in between.
//!
//! # Without room
//! Where the quota does not allow all of C beside all that is there, X makes room from its end, one rule
//! for one rule. Requests of those rules are answered by whatever comes next in between: the result says
//! how many, and the plan shows it as a hazard.

use std::collections::BTreeMap;

/// A rule that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OldRule {
    pub(crate) priority: u16,
    pub(crate) conditions: usize,
    pub(crate) answer: usize,
}

/// A rule that is wanted; its priority is its place, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewRule {
    pub(crate) conditions: usize,
    pub(crate) answer: usize,
}

/// One of the rules that are in play: by its index among the old, or among the new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    /// A rule that was there.
    Old(usize),
    /// A rule that an earlier move created.
    New(usize),
}

/// One change of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Move {
    /// Creates a new rule.
    Create { new: usize, priority: u16 },
    /// Gives an old rule the answer of a new one, and its conditions where they differ.
    Modify { old: usize, new: usize },
    /// Moves rules, all at once.
    Reorder(Vec<(Slot, u16)>),
    /// Deletes an old rule.
    Delete { old: usize },
}

/// How the new rules come about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Transition {
    /// The moves, in order.
    pub(crate) moves: Vec<Move>,
    /// For each new rule, the old one that it is: kept or modified. `None`: created.
    pub(crate) from: Vec<Option<usize>>,
    /// Old rules that are deleted, in their old order.
    pub(crate) deleted: Vec<usize>,
    /// How many old rules are deleted before all new ones exist, for lack of room.
    pub(crate) recycled: usize,
}

/// What may be used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many rules may be added to those that are there.
    pub(crate) room: usize,
    /// The lowest place that may be used; AWS's own limit is 50000.
    pub(crate) priority_max: u16,
}

/// Finds the moves. `old` is in the order of its priorities.
pub(crate) fn transition(old: &[OldRule], new: &[NewRule], limits: Limits) -> Transition {
    let mut from = pair(old, new);
    if let Some((o, n)) = only_difference(old, new, &from) {
        from[n] = Some(o);
        return Transition {
            moves: vec![Move::Modify { old: o, new: n }],
            from,
            ..Transition::default()
        };
    }
    let (before, after) = place_modifications(old, new, &mut from);
    let mut new_of: Vec<Option<usize>> = vec![None; old.len()];
    for (n, o) in from.iter().enumerate() {
        if let Some(o) = *o {
            new_of[o] = Some(n);
        }
    }
    let deleted: Vec<usize> = (0..old.len()).filter(|&o| new_of[o].is_none()).collect();
    let created: Vec<usize> = (0..new.len()).filter(|&n| from[n].is_none()).collect();

    let taken: BTreeMap<u16, usize> = old
        .iter()
        .enumerate()
        .map(|(o, r)| (r.priority, o))
        .collect();
    let stays = |o: usize| new_of[o].is_none_or(|n| old[o].priority == place(n));
    let in_place =
        (0..old.len()).all(stays) && created.iter().all(|&n| !taken.contains_key(&place(n)));

    let mut moves = Vec::new();
    let mut doomed = deleted.clone();
    let mut room = limits.room;
    let mut recycled = 0;
    let mut make_room = |moves: &mut Vec<Move>, doomed: &mut Vec<usize>| {
        if room == 0
            && let Some(o) = doomed.pop()
        {
            moves.push(Move::Delete { old: o });
            recycled += 1;
        } else {
            room = room.saturating_sub(1);
        }
    };

    if in_place {
        for &n in &created {
            make_room(&mut moves, &mut doomed);
            moves.push(Move::Create {
                new: n,
                priority: place(n),
            });
        }
        let mut modified: Vec<(usize, usize)> = before.into_iter().chain(after).collect();
        modified.sort_by_key(|&(_, n)| n);
        moves.extend(
            modified
                .into_iter()
                .map(|(o, n)| Move::Modify { old: o, new: n }),
        );
    } else {
        let mut priority_of: Vec<u16> = old.iter().map(|r| r.priority).collect();
        // Room below everything: where the last priorities are taken, the old rules close up first.
        // Their order does not change, so no answer does.
        let lowest = priority_of.last().copied().unwrap_or(0);
        if !created.is_empty()
            && usize::from(lowest) + created.len() > usize::from(limits.priority_max)
        {
            let mut closed_up = Vec::new();
            for (o, priority) in priority_of.iter_mut().enumerate() {
                if *priority != place(o) {
                    *priority = place(o);
                    closed_up.push((Slot::Old(o), place(o)));
                }
            }
            moves.push(Move::Reorder(closed_up));
        }
        let mut bottom = priority_of.last().copied().unwrap_or(0);
        let mut created_at = BTreeMap::new();
        for &n in &created {
            make_room(&mut moves, &mut doomed);
            bottom += 1;
            created_at.insert(n, bottom);
            moves.push(Move::Create {
                new: n,
                priority: bottom,
            });
        }
        moves.extend(
            before
                .into_iter()
                .map(|(o, n)| Move::Modify { old: o, new: n }),
        );

        let mut reordered = Vec::new();
        for (n, o) in from.iter().enumerate() {
            let (slot, at) = match o {
                Some(o) => (Slot::Old(*o), priority_of[*o]),
                None => (Slot::New(n), created_at[&n]),
            };
            if at != place(n) {
                reordered.push((slot, place(n)));
            }
        }
        // The doomed go below all that stays, unless they are there already.
        if doomed
            .first()
            .is_some_and(|&o| usize::from(priority_of[o]) <= new.len())
        {
            for (i, &o) in doomed.iter().enumerate() {
                if priority_of[o] != place(new.len() + i) {
                    reordered.push((Slot::Old(o), place(new.len() + i)));
                }
            }
        }
        if !reordered.is_empty() {
            moves.push(Move::Reorder(reordered));
        }
        moves.extend(
            after
                .into_iter()
                .map(|(o, n)| Move::Modify { old: o, new: n }),
        );
    }
    moves.extend(doomed.iter().rev().map(|&o| Move::Delete { old: o }));

    Transition {
        moves,
        from,
        deleted,
        recycled,
    }
}

/// The priority of the rule at this place of the new order.
pub(crate) fn place(index: usize) -> u16 {
    u16::try_from(index + 1).unwrap_or(u16::MAX)
}

/// Which old rule each new one is. Equal content comes first, and among equals equal priority, so that
/// rules with the same content do not trade places.
fn pair(old: &[OldRule], new: &[NewRule]) -> Vec<Option<usize>> {
    let mut from = vec![None; new.len()];
    let mut free = vec![true; old.len()];
    let mut pass = |accept: &dyn Fn(&OldRule, &NewRule, u16) -> bool| {
        for (n, wanted) in new.iter().enumerate() {
            if from[n].is_some() {
                continue;
            }
            let found = (0..old.len()).find(|&o| free[o] && accept(&old[o], wanted, place(n)));
            if let Some(o) = found {
                free[o] = false;
                from[n] = Some(o);
            }
        }
    };
    let same_conditions = |o: &OldRule, n: &NewRule| o.conditions == n.conditions;
    let same = |o: &OldRule, n: &NewRule| same_conditions(o, n) && o.answer == n.answer;
    pass(&|o, n, at| same(o, n) && o.priority == at);
    pass(&|o, n, _| same(o, n));
    pass(&|o, n, at| same_conditions(o, n) && o.priority == at);
    pass(&|o, n, _| same_conditions(o, n));
    from
}

/// The old and the new rule of one place, if that is all in which the lists differ.
fn only_difference(
    old: &[OldRule],
    new: &[NewRule],
    from: &[Option<usize>],
) -> Option<(usize, usize)> {
    if old.len() != new.len() {
        return None;
    }
    let mut unpaired = from.iter().enumerate().filter(|(_, o)| o.is_none());
    let (n, _) = unpaired.next()?;
    let others_stay = from.iter().enumerate().all(|(m, o)| {
        o.is_none_or(|o| old[o].priority == place(m) && old[o].answer == new[m].answer)
    });
    let o = old.iter().position(|rule| rule.priority == place(n))?;
    (unpaired.next().is_none() && others_stay).then_some((o, n))
}

/// Pairs of an old rule and the new one it becomes: modified before the reordering, and after it.
type Modifications = (Vec<(usize, usize)>, Vec<(usize, usize)>);

/// Decides when each modified rule is modified, and takes out of `from` those for which no moment is
/// safe. Taking one out adds a created and a deleted rule, which can make another unsafe: hence the loop.
fn place_modifications(
    old: &[OldRule],
    new: &[NewRule],
    from: &mut [Option<usize>],
) -> Modifications {
    loop {
        let mut new_of: Vec<Option<usize>> = vec![None; old.len()];
        for (n, o) in from.iter().enumerate() {
            if let Some(o) = *o {
                new_of[o] = Some(n);
            }
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut unsafe_pair = None;
        for (n, o) in from.iter().enumerate() {
            let Some(o) = *o else { continue };
            if old[o].answer == new[n].answer {
                continue;
            }
            let safe_after = (0..o).all(|other| new_of[other].is_some_and(|m| m < n));
            let safe_before = (0..n).all(|other| from[other].is_some_and(|p| p < o));
            if safe_after {
                after.push((o, n));
            } else if safe_before {
                before.push((o, n));
            } else {
                unsafe_pair = Some(n);
                break;
            }
        }
        match unsafe_pair {
            Some(n) => from[n] = None,
            None => return (before, after),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Limits, Move, NewRule, OldRule, Slot, Transition, place, transition};

    const NO_LIMIT: Limits = Limits {
        room: usize::MAX,
        priority_max: 50_000,
    };
    /// The answer of the default action.
    const DEFAULT: usize = 0;

    /// A list of rules as AWS holds it. What conditions match is a set of requests, by bits.
    #[derive(Debug, Clone)]
    struct Listener<'a> {
        rules: Vec<(Slot, u16, usize, usize)>,
        matches: &'a [u16],
    }

    impl Listener<'_> {
        fn answer(&self, request: u32) -> usize {
            self.rules
                .iter()
                .filter(|(_, _, conditions, _)| self.matches[*conditions] >> request & 1 == 1)
                .min_by_key(|(_, priority, _, _)| *priority)
                .map_or(DEFAULT, |(_, _, _, answer)| *answer)
        }

        fn apply(&mut self, step: &Move, new: &[NewRule]) {
            match step {
                Move::Create { new: n, priority } => {
                    self.rules
                        .push((Slot::New(*n), *priority, new[*n].conditions, new[*n].answer));
                }
                Move::Modify { old, new: n } => {
                    let rule = self
                        .rules
                        .iter_mut()
                        .find(|r| r.0 == Slot::Old(*old))
                        .unwrap();
                    rule.2 = new[*n].conditions;
                    rule.3 = new[*n].answer;
                }
                Move::Reorder(places) => {
                    for (slot, priority) in places {
                        self.rules.iter_mut().find(|r| r.0 == *slot).unwrap().1 = *priority;
                    }
                }
                Move::Delete { old } => {
                    let before = self.rules.len();
                    self.rules.retain(|r| r.0 != Slot::Old(*old));
                    assert_eq!(self.rules.len() + 1, before);
                }
            }
            let mut priorities: Vec<u16> = self.rules.iter().map(|r| r.1).collect();
            priorities.sort_unstable();
            assert!(
                priorities.windows(2).all(|w| w[0] < w[1]),
                "two rules in one place"
            );
            assert!(priorities.iter().all(|p| (1..=50_000).contains(p)));
        }

        fn in_order(&self) -> Vec<(u16, usize, usize)> {
            let mut rules: Vec<_> = self.rules.iter().map(|r| (r.1, r.2, r.3)).collect();
            rules.sort_unstable();
            rules
        }
    }

    fn rules() -> impl Strategy<Value = Vec<NewRule>> {
        let rule = (0..5_usize, 0..4_usize)
            .prop_map(|(conditions, answer)| NewRule { conditions, answer });
        prop::collection::vec(rule, 0..7)
    }

    fn old_rules() -> impl Strategy<Value = Vec<OldRule>> {
        let gap = prop_oneof![4 => Just(1_u16), 1 => Just(3), 1 => Just(8_000)];
        prop::collection::vec((0..5_usize, 0..4_usize, gap), 0..7).prop_map(|rules| {
            let mut priority = 0;
            rules
                .into_iter()
                .map(|(conditions, answer, gap)| {
                    priority += gap;
                    OldRule {
                        priority,
                        conditions,
                        answer,
                    }
                })
                .collect()
        })
    }

    fn listener<'a>(old: &[OldRule], matches: &'a [u16]) -> Listener<'a> {
        let rules = old
            .iter()
            .enumerate()
            .map(|(o, r)| (Slot::Old(o), r.priority, r.conditions, r.answer))
            .collect();
        Listener { rules, matches }
    }

    fn wanted(new: &[NewRule]) -> Vec<(u16, usize, usize)> {
        new.iter()
            .enumerate()
            .map(|(n, r)| (place(n), r.conditions, r.answer))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        /// After every move, a request gets its old answer or its new one.
        #[test]
        fn undisturbed(
            old in old_rules(),
            new in rules(),
            matches in prop::collection::vec(any::<u16>(), 5),
        ) {
            let mut state = listener(&old, &matches);
            let was: Vec<usize> = (0..16).map(|r| state.answer(r)).collect();
            let Transition { moves, recycled, .. } = transition(&old, &new, NO_LIMIT);
            prop_assert_eq!(recycled, 0);
            let mut states = vec![state.clone()];
            for step in &moves {
                state.apply(step, &new);
                states.push(state.clone());
            }
            prop_assert_eq!(state.in_order(), wanted(&new));
            for request in 0..16 {
                let allowed = [was[request as usize], state.answer(request)];
                for (n, between) in states.iter().enumerate() {
                    let answer = between.answer(request);
                    prop_assert!(
                        allowed.contains(&answer),
                        "request {} is answered {} after {} of {:?}", request, answer, n, moves
                    );
                }
            }
            let reorders = moves.iter().filter(|m| matches!(m, Move::Reorder(_))).count();
            prop_assert!(reorders <= 2);
        }

        /// Without room the result is the same, and there are never more rules than allowed.
        #[test]
        fn recycles(old in old_rules(), new in rules(), room in 0..3_usize) {
            let matches = [0; 5];
            let mut state = listener(&old, &matches);
            let limit = (old.len() + room).max(new.len());
            for step in &transition(&old, &new, Limits { room, ..NO_LIMIT }).moves {
                state.apply(step, &new);
                prop_assert!(state.rules.len() <= limit);
            }
            prop_assert_eq!(state.in_order(), wanted(&new));
        }

        /// What is there is left alone.
        #[test]
        fn nothing_to_do(new in rules()) {
            let old: Vec<OldRule> = new
                .iter()
                .enumerate()
                .map(|(n, r)| OldRule { priority: place(n), conditions: r.conditions, answer: r.answer })
                .collect();
            prop_assert!(transition(&old, &new, NO_LIMIT).moves.is_empty());
        }
    }

    /// Rules as letters: the conditions, then the answer.
    fn parse(text: &str) -> Vec<NewRule> {
        text.split_whitespace()
            .map(|rule| {
                let mut bytes = rule.bytes();
                let mut next = || usize::from(bytes.next().unwrap());
                NewRule {
                    conditions: next(),
                    answer: next(),
                }
            })
            .collect()
    }

    #[track_caller]
    fn check(name: &str, old: &str, new: &str, expected: &str) {
        let old: Vec<OldRule> = parse(old)
            .iter()
            .enumerate()
            .map(|(n, r)| OldRule {
                priority: place(n),
                conditions: r.conditions,
                answer: r.answer,
            })
            .collect();
        let slot = |slot: &Slot| match slot {
            Slot::Old(o) => format!("{}", o + 1),
            Slot::New(n) => format!("new{}", n + 1),
        };
        let moves: Vec<String> = transition(&old, &parse(new), NO_LIMIT)
            .moves
            .iter()
            .map(|m| match m {
                Move::Create { new, priority } => format!("create new{}@{priority}", new + 1),
                Move::Modify { old, new } => format!("modify {} to new{}", old + 1, new + 1),
                Move::Delete { old } => format!("delete {}", old + 1),
                Move::Reorder(places) => {
                    let places: Vec<String> = places
                        .iter()
                        .map(|(s, p)| format!("{}@{p}", slot(s)))
                        .collect();
                    format!("reorder {}", places.join(" "))
                }
            })
            .collect();
        assert_eq!(moves.join("; "), expected, "{name}");
    }

    #[test]
    fn moves() {
        check("from nothing", "", "aX bY", "create new1@1; create new2@2");
        check("to nothing", "aX bY", "", "delete 2; delete 1");
        check("appends", "aX", "aX bY", "create new2@2");
        check(
            "inserts",
            "aX bY",
            "cZ aX bY",
            "create new1@3; reorder new1@1 1@2 2@3",
        );
        check("removes the last", "aX bY", "aX", "delete 2");
        check(
            "removes the first",
            "aX bY",
            "bY",
            "reorder 2@1 1@2; delete 1",
        );
        check("swaps", "aX bY", "bY aX", "reorder 2@1 1@2");
        check("new answer", "aX bY", "aX bZ", "modify 2 to new2");
        check("new conditions", "aX bY", "aX cY", "modify 2 to new2");
        check(
            "new conditions twice",
            "aX bY",
            "cX dY",
            "create new1@3; create new2@4; reorder new1@1 new2@2 1@3 2@4; delete 2; delete 1",
        );
        check(
            "moves and modifies",
            "aX bY",
            "bZ aX",
            "modify 2 to new1; reorder 2@1 1@2",
        );
        check(
            "modifying is safe after the reordering only",
            "aX bY",
            "cZ aX bW",
            "create new1@3; reorder new1@1 1@2 2@3; modify 2 to new3",
        );
        check(
            "modifying is safe before the reordering only",
            "xB mA",
            "mB",
            "modify 2 to new1; reorder 2@1 1@2; delete 1",
        );
        check(
            "modifying is never safe",
            "xB mA",
            "cA mB",
            "create new1@3; create new2@4; reorder new1@1 new2@2 1@3 2@4; delete 2; delete 1",
        );
        check("equals stay", "aX aX", "aX aX", "");
    }
}
