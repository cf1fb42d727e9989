//! Rules of one listener: the moves of [`crate::order`] as steps.
//!
//! In: the desired rules of a listener and the observed ones. Out: steps. What always holds: a rule's
//! priority is its place, its tag `<port>:<priority>` follows it where the policy says so, and a step that gives traffic to a target
//! group waits until the group is healthy. Rules that the planner itself put up to keep groups in use (see
//! `handover`) are told by their conditions and take no part.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use elbow_model::aws_call::{RulePriority, TagTarget};
use elbow_model::ids::{ListenerArn, Port, ResourceId, RuleArn, TargetGroupArn};
use elbow_model::observed::{ObservedListener, ObservedRule};
use elbow_model::rule::{Action as RuleAction, Condition, Pattern};
use elbow_model::stack::{Listener, Rule};
use elbow_model::{AwsCall, Ref, ResourceKey, ResourceKind, Tags};

use crate::compare::{
    Answer, answers_equal, canonical_conditions, describe_action, describe_conditions,
    describe_transforms, receivers,
};
use crate::draft::{change, set};
use crate::handover::{self, Handover};
use crate::hazards::Hazard;
use crate::listener;
use crate::order::{self, Limits, Move, NewRule, OldRule, Slot, Transition, place};
use crate::overlap::may_overlap;
use crate::plan::{Action, Change, StepId};
use crate::policy::MovedRules;
use crate::stack::Context;
use crate::tags::Legacy;

/// The highest number that a priority can have (CreateRule, ELBv2 API reference).
pub(crate) const PRIORITY_MAX: u16 = 50_000;

/// A host that no name service knows (RFC 6761), so that nobody asks for it by accident.
const WARM_UP_HOST: &str = "elbow-warm-up.invalid";
/// A block for documentation (RFC 5737), from which no connection can come, so that nobody reaches a
/// group on purpose before its own rule lets them.
const WARM_UP_SOURCE: &str = "192.0.2.1/32";

/// Conditions that no request fulfils.
pub(crate) fn warm_up_conditions() -> Vec<Condition> {
    vec![
        Condition::HostHeader {
            matches: Pattern::Values(vec![WARM_UP_HOST.to_owned()]),
        },
        Condition::SourceIp {
            values: vec![WARM_UP_SOURCE.to_owned()],
        },
    ]
}

/// The resource id of a rule that keeps groups in use.
pub(crate) fn warm_up_id(port: Port, priority: u16) -> ResourceId {
    ResourceId::new(format!("{port}:warm-up-{priority}"))
}

/// Whether a resource id is one of [`warm_up_id`].
pub(crate) fn is_warm_up_id(id: &ResourceId) -> bool {
    id.as_str().contains(":warm-up-")
}

/// How the rules of one listener change.
pub(crate) struct RulePlan<'a> {
    pub(crate) port: Port,
    desired: &'a Listener,
    /// Resolved actions of the desired rules.
    actions: Vec<RuleAction>,
    old: Vec<&'a ObservedRule>,
    /// Observed rules that only keep groups in use.
    pub(crate) parked: Vec<&'a ObservedRule>,
    transition: Transition,
    /// For each desired rule: groups to which it gives traffic that something else serves now.
    pub(crate) moving: Vec<BTreeSet<Ref<TargetGroupArn>>>,
    /// Old rules whose traffic goes elsewhere, by their actions.
    pub(crate) left: Vec<&'a RuleAction>,
}

impl<'a> RulePlan<'a> {
    /// Compares the rules. `room` is how many rules the load balancer can still take.
    pub(crate) fn new(
        ctx: &Context<'a>,
        port: Port,
        desired: &'a Listener,
        observed: Option<&'a ObservedListener>,
        room: usize,
    ) -> Self {
        let warm_up = canonical_conditions(&warm_up_conditions());
        let (parked, mut old): (Vec<&ObservedRule>, Vec<&ObservedRule>) = observed
            .map_or(&[][..], |listener| &listener.rules)
            .iter()
            .partition(|rule| canonical_conditions(&rule.conditions) == warm_up);
        old.sort_by_key(|rule| rule.priority);
        let actions: Vec<RuleAction> = desired
            .rules
            .iter()
            .map(|rule| ctx.pairing.action(&rule.action))
            .collect();

        let (old_classes, new_classes) = classify(&old, &desired.rules, &actions);
        let lowest_parked = parked.iter().map(|rule| rule.priority).min();
        let limits = Limits {
            room,
            priority_max: lowest_parked
                .unwrap_or(PRIORITY_MAX)
                .saturating_sub(PARKING_SPACE),
        };
        let transition = order::transition(&old_classes, &new_classes, limits);

        let mut plan = Self {
            port,
            desired,
            actions,
            old,
            parked,
            transition,
            moving: Vec::new(),
            left: Vec::new(),
        };
        plan.find_moving(ctx);
        plan
    }

    /// How many rules are added and removed.
    pub(crate) fn created(&self) -> usize {
        self.transition
            .from
            .iter()
            .filter(|from| from.is_none())
            .count()
    }

    pub(crate) fn deleted(&self) -> usize {
        self.transition.deleted.len()
    }

    /// Which groups get traffic that something else serves now, and who loses it.
    fn find_moving(&mut self, ctx: &Context<'a>) {
        let mut new_of = vec![None; self.old.len()];
        for (n, o) in self.transition.from.iter().enumerate() {
            if let Some(o) = *o {
                new_of[o] = Some(n);
            }
        }
        let mut left = BTreeSet::new();
        for (n, rule) in self.desired.rules.iter().enumerate() {
            let mut moving = BTreeSet::new();
            let gaining: BTreeSet<_> = receivers(&self.actions[n]).into_iter().cloned().collect();
            let from = self.transition.from[n];
            let is_changed = self.transition.moves.iter().any(
                |m| matches!(m, Move::Modify { new, .. } | Move::Create { new, .. } if *new == n),
            );
            if is_changed {
                for (o, old) in self.old.iter().enumerate() {
                    let loses = Some(o) == from
                        || (new_of[o].is_none_or(|other| other > n)
                            && may_overlap(&old.conditions, &rule.conditions));
                    let Some(action) = old.actions.last().filter(|_| loses) else {
                        continue;
                    };
                    if handover::serves(ctx, action) {
                        let losing = receivers(action);
                        moving.extend(gaining.iter().filter(|g| !losing.contains(g)).cloned());
                    }
                    // Only a rule that goes or changes gives its groups up.
                    if Some(o) == from || new_of[o].is_none() {
                        left.insert(o);
                    }
                }
            }
            self.moving.push(moving);
        }
        self.left = left
            .iter()
            .filter_map(|&o| self.old[o].actions.last())
            .collect();
    }

    /// Adds the steps. Answers with those that give traffic away or take it.
    pub(crate) fn steps(
        &self,
        ctx: &mut Context<'_>,
        listener: &Ref<ListenerArn>,
        handover: &Handover,
        rules: &mut RuleCount,
    ) -> Vec<StepId> {
        let mut changing: BTreeMap<usize, StepId> = BTreeMap::new();
        let mut reordered = None;
        let mut all = Vec::new();
        let mut recycled = (self.transition.recycled > 0).then_some(Hazard::RecyclesRules {
            count: self.transition.recycled,
        });
        for step in &self.transition.moves {
            let id = match step {
                Move::Create { new, priority } => {
                    let id = self.create(ctx, listener, handover, (*new, *priority), rules);
                    changing.insert(*new, id);
                    id
                }
                Move::Modify { old, new } => {
                    let id = self.modify(ctx, handover, (*old, *new), reordered);
                    changing.insert(*new, id);
                    id
                }
                Move::Reorder(places) => {
                    let id = self.reorder(ctx, handover, places);
                    reordered = Some(id);
                    id
                }
                Move::Delete { old } => {
                    let hazard = recycled.take();
                    rules.present = rules.present.saturating_sub(1);
                    self.delete(ctx, *old, reordered, &changing, hazard)
                }
            };
            all.push(id);
        }
        for (n, o) in self.transition.from.iter().enumerate() {
            if let Some(o) = *o {
                let (rule, old) = (&self.desired.rules[n], self.old[o]);
                let tags = self.wanted_tags(ctx, rule, old);
                ctx.retag(
                    &self.key(ctx, place(n)),
                    &self.name(&rule.conditions),
                    &rule.causes,
                    (&tags, &old.tags),
                    &TagTarget::Rule(old.arn.clone().into()),
                    Legacy::Removed,
                    &reordered.into_iter().collect::<Vec<_>>(),
                );
            }
        }
        all
    }

    /// The tags that a rule is to have: with the place at which it was tagged, unless the policy says
    /// otherwise.
    fn wanted_tags<'t>(
        &self,
        ctx: &Context<'_>,
        rule: &'t Rule,
        old: &ObservedRule,
    ) -> Cow<'t, Tags> {
        let mut tags = Cow::Borrowed(&rule.tags);
        let key = ctx.stack.id.resource_tag();
        let place = old.tags.get(&key).filter(|place| self.is_place(place));
        if let Some(place) = place
            && ctx.policy.moved_rules == MovedRules::KeepTag
            && rule.tags.get(&key).is_some_and(|wanted| wanted != place)
        {
            tags.to_mut().insert(key, place.clone());
        }
        tags
    }

    /// Whether a resource id is that of a rule of this listener at some place.
    fn is_place(&self, id: &str) -> bool {
        id.split_once(':').is_some_and(|(port, place)| {
            port == self.port.to_string() && place.parse::<u16>().is_ok()
        })
    }

    fn key(&self, ctx: &Context<'_>, priority: u16) -> ResourceKey {
        let id = ResourceId::new(format!("{}:{priority}", self.port));
        ctx.stack.key(ResourceKind::ListenerRule, &id)
    }

    fn name(&self, conditions: &[Condition]) -> String {
        let conditions = describe_conditions(conditions);
        format!(
            "{}:{} {}",
            self.desired.protocol,
            self.port,
            if conditions.is_empty() {
                "any request"
            } else {
                &conditions
            }
        )
    }

    fn create(
        &self,
        ctx: &mut Context<'_>,
        listener: &Ref<ListenerArn>,
        handover: &Handover,
        (n, priority): (usize, u16),
        rules: &mut RuleCount,
    ) -> StepId {
        let rule = &self.desired.rules[n];
        let mut changes = vec![
            set("priority", place(n)),
            set("action", describe_action(&self.actions[n])),
        ];
        changes.extend(describe_transforms(&rule.transforms).map(|t| set("transforms", t)));
        let quota = rules.add_one();
        let key = self.key(ctx, place(n));
        let name = self.name(&rule.conditions);
        let (waits, drops) = handover.before(ctx, &self.moving[n]);
        ctx.draft
            .step(Action::Create, key, name)
            .reason("no rule has its conditions")
            .causes(&rule.causes)
            .changes(changes)
            .hazards(quota)
            .hazards(drops)
            .after(waits)
            .provides()
            .call(AwsCall::CreateRule {
                listener: listener.clone(),
                priority,
                conditions: rule.conditions.clone(),
                action: self.actions[n].clone(),
                transforms: rule.transforms.clone(),
                tags: rule.tags.clone(),
            })
    }

    fn modify(
        &self,
        ctx: &mut Context<'_>,
        handover: &Handover,
        (o, n): (usize, usize),
        reordered: Option<StepId>,
    ) -> StepId {
        let (old, rule, action) = (self.old[o], &self.desired.rules[n], &self.actions[n]);
        let old_action = old.actions.last();
        let conditions = (canonical_conditions(&old.conditions)
            != canonical_conditions(&rule.conditions))
        .then(|| rule.conditions.clone());
        let sorted = |transforms: &[elbow_model::rule::Transform]| {
            let mut transforms = transforms.to_vec();
            transforms.sort();
            transforms
        };
        let transforms =
            (sorted(&old.transforms) != sorted(&rule.transforms)).then(|| rule.transforms.clone());
        let same_action = answers_equal(
            &Answer::of(action, &[]),
            &Answer::of_observed(&old.actions, &[]),
        );
        // AWS wants conditions or an action in every ModifyRule.
        let send_action = !same_action || conditions.is_none();
        let changes: Vec<Change> = [
            change(
                "conditions",
                Some(describe_conditions(&old.conditions)),
                Some(describe_conditions(&rule.conditions)),
            )
            .filter(|_| conditions.is_some()),
            change(
                "action",
                old_action.map(describe_action),
                Some(describe_action(action)),
            )
            .filter(|_| !same_action),
            change(
                "transforms",
                describe_transforms(&old.transforms),
                describe_transforms(&rule.transforms),
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (_, drops) = handover.before(ctx, &self.moving[n]);
        let waits = self.waits(ctx, handover, Some(&rule.conditions));
        let key = self.key(ctx, place(n));
        let name = self.name(&rule.conditions);
        let step = ctx
            .draft
            .step(Action::Update, key, name)
            .reason(match (conditions.is_some(), same_action) {
                (true, _) => "it takes the place of a rule with other conditions",
                (false, false) => "its action differs",
                (false, true) => "its transforms differ",
            })
            .causes(&rule.causes)
            .changes(changes)
            .hazards(drops)
            .after(waits)
            .after(reordered)
            .call(AwsCall::ModifyRule {
                rule: old.arn.clone().into(),
                conditions,
                action: send_action.then(|| action.clone()),
                transforms,
            });
        if let Some(old_action) = old_action.filter(|_| !same_action) {
            ctx.detach(old_action, step);
        }
        step
    }

    /// Waits of the rules that are created or modified, of those alone that these conditions may have to
    /// do with. Order between moves counts only where there is something to wait for: a move that has no
    /// wait of its own must not overtake one that has.
    fn waits(
        &self,
        ctx: &Context<'_>,
        handover: &Handover,
        conditions: Option<&[Condition]>,
    ) -> Vec<StepId> {
        let concerns = |n: &usize| {
            conditions.is_none_or(|of| may_overlap(of, &self.desired.rules[*n].conditions))
        };
        (0..self.moving.len())
            .filter(concerns)
            .flat_map(|n| handover.before(ctx, &self.moving[n]).0)
            .collect()
    }

    fn reorder(
        &self,
        ctx: &mut Context<'_>,
        handover: &Handover,
        places: &[(Slot, u16)],
    ) -> StepId {
        let waits = self.waits(ctx, handover, None);
        let mut changes = Vec::new();
        let mut priorities = Vec::new();
        let mut causes = BTreeSet::new();
        for (slot, priority) in places {
            let (rule, conditions, before) = match slot {
                Slot::Old(o) => {
                    let old = self.old[*o];
                    let rule: Ref<RuleArn> = old.arn.clone().into();
                    (rule, &old.conditions, Some(old.priority))
                }
                Slot::New(n) => {
                    let rule = &self.desired.rules[*n];
                    causes.extend(rule.causes.iter().cloned());
                    (Ref::Of(self.key(ctx, place(*n))), &rule.conditions, None)
                }
            };
            changes.extend(change(
                &format!("priority of {}", describe_conditions(conditions)),
                before,
                Some(priority),
            ));
            priorities.push(RulePriority {
                rule,
                priority: *priority,
            });
        }
        if causes.is_empty() {
            causes.extend(self.desired.causes.iter().cloned());
        }
        let (key, name) = listener::identity(ctx, self.port, self.desired.protocol);
        ctx.draft
            .step(Action::Reorder, key, name)
            .reason("rules take their places at one moment")
            .causes(&causes.into_iter().collect::<Vec<_>>())
            .changes(changes)
            .after(waits)
            .call(AwsCall::SetRulePriorities { priorities })
    }

    fn delete(
        &self,
        ctx: &mut Context<'_>,
        o: usize,
        reordered: Option<StepId>,
        changing: &BTreeMap<usize, StepId>,
        hazard: Option<Hazard>,
    ) -> StepId {
        let old = self.old[o];
        // What may take over its requests must be there. A rule that has nothing to do with it and
        // cannot be created must not keep it.
        let successors = changing
            .iter()
            .filter(|(n, _)| may_overlap(&self.desired.rules[**n].conditions, &old.conditions))
            .map(|(_, step)| *step);
        let key = self.key(ctx, old.priority);
        let name = self.name(&old.conditions);
        let step = ctx
            .draft
            .step(Action::Delete, key, name)
            .reason("no route asks for it any more")
            .changes(
                change(
                    "action",
                    old.actions.last().map(describe_action),
                    None::<String>,
                )
                .into_iter()
                .collect(),
            )
            .hazards(hazard)
            .after(reordered)
            .after(successors)
            .call(AwsCall::DeleteRule {
                rule: old.arn.clone().into(),
            });
        for action in &old.actions {
            ctx.detach(action, step);
        }
        step
    }
}

/// Priorities below the highest that are left for rules that keep groups in use.
const PARKING_SPACE: u16 = 100;

/// Rules of the load balancer, counted as the plan goes on.
pub(crate) struct RuleCount {
    pub(crate) present: usize,
    pub(crate) limit: usize,
    pub(crate) wanted: usize,
    reported: bool,
}

impl RuleCount {
    pub(crate) fn new(present: usize, wanted: usize, limit: usize) -> Self {
        Self {
            present,
            limit,
            wanted,
            reported: false,
        }
    }

    /// How many rules can still be created.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.present)
    }

    /// Counts one more, and says once that it is too many.
    pub(crate) fn add_one(&mut self) -> Option<Hazard> {
        self.present += 1;
        if self.present <= self.limit || self.wanted <= self.limit || self.reported {
            return None;
        }
        self.reported = true;
        Some(Hazard::ExceedsQuota {
            quota: "Rules per load balancer".to_owned(),
            limit: self.limit,
            wanted: self.wanted,
        })
    }
}

/// Gives equal conditions and equal answers equal numbers.
fn classify(
    old: &[&ObservedRule],
    new: &[Rule],
    actions: &[RuleAction],
) -> (Vec<OldRule>, Vec<NewRule>) {
    let mut conditions: BTreeMap<Vec<Condition>, usize> = BTreeMap::new();
    let mut condition_class = |of: &[Condition]| {
        let next = conditions.len();
        *conditions.entry(canonical_conditions(of)).or_insert(next)
    };
    let mut answers: Vec<Answer> = Vec::new();
    let mut answer_numbers: BTreeMap<Answer, usize> = BTreeMap::new();
    let mut new_classes = Vec::new();
    for (rule, action) in new.iter().zip(actions) {
        let answer = Answer::of(action, &rule.transforms);
        let number = *answer_numbers.entry(answer.clone()).or_insert_with(|| {
            answers.push(answer);
            answers.len() - 1
        });
        new_classes.push(NewRule {
            conditions: condition_class(&rule.conditions),
            answer: number,
        });
    }
    let mut old_classes = Vec::new();
    for rule in old {
        let class = condition_class(&rule.conditions);
        let answer = Answer::of_observed(&rule.actions, &rule.transforms);
        // Where no stickiness is desired any will do, which the desired rule with the same conditions
        // decides; elsewhere equality is exact.
        let accepted = new_classes
            .iter()
            .filter(|new| new.conditions == class)
            .map(|new| new.answer)
            .find(|number| answers_equal(&answers[*number], &answer));
        let number = accepted.unwrap_or_else(|| {
            let plain = answer.without_stickiness();
            if let Some(number) = answer_numbers
                .get(&answer)
                .or_else(|| answer_numbers.get(&plain))
            {
                return *number;
            }
            answers.push(answer.clone());
            answer_numbers.insert(answer, answers.len() - 1);
            answers.len() - 1
        });
        old_classes.push(OldRule {
            priority: rule.priority,
            conditions: class,
            answer: number,
        });
    }
    (old_classes, new_classes)
}
