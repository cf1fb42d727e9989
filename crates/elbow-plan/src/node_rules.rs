//! Rules in the security groups of nodes and pods, by which load balancers reach them.
//!
//! In: the rules that each group should have, and the groups as they are. Out: steps. What always holds: of
//! these groups, which are not ours, only rules with our label are revoked; all groups let in what is wanted
//! before one of them shuts anything out, unless the quota of rules forces the reverse; a rule that somebody
//! else has made lets traffic through as well as one of ours, and is left alone.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::ids::{ResourceId, SecurityGroupId};
use elbow_model::observed::ObservedSecurityGroup;
use elbow_model::stack::{IngressRule, IngressSource};
use elbow_model::{AwsCall, Cause, ResourceKey, ResourceKind, StackId};

use crate::compare::canonical_ingress;
use crate::draft::Draft;
use crate::hazards::Hazard;
use crate::plan::{Action, Change, Plan, StepId};
use crate::policy::Policy;
use crate::security_group::{describe, ports};

/// Rules of groups, each with the objects because of which it is there.
pub type GroupRules = BTreeMap<SecurityGroupId, BTreeMap<IngressRule, BTreeSet<Cause>>>;

/// What the rules of nodes and pods are planned from.
#[derive(Debug, Clone, Copy)]
pub struct NodeRulesInput<'a> {
    /// The rules that each group should have.
    pub wanted: &'a GroupRules,
    /// The groups as they are. One that is wanted of and not here is passed over.
    pub observed: &'a BTreeMap<SecurityGroupId, ObservedSecurityGroup>,
    /// What may go.
    pub surplus: Surplus<'a>,
    /// What may be done.
    pub policy: &'a Policy,
}

/// What becomes of rules that are not wanted.
#[derive(Debug, Clone, Copy)]
pub enum Surplus<'a> {
    /// They stay: somebody may turn out to need them.
    Kept,
    /// They go, but for those that one of these depends on.
    RevokedBut(&'a BTreeSet<IngressRule>),
}

/// Whether whatever the one lets through is let through by the other.
pub fn covers(rule: &IngressRule, needed: &IngressRule) -> bool {
    let (rule, needed) = (canonical_ingress(rule), canonical_ingress(needed));
    if rule.source != needed.source {
        return false;
    }
    if rule.protocol == "-1" {
        return true;
    }
    let range = |rule: &IngressRule| Some((rule.from_port?, rule.to_port?));
    rule.protocol == needed.protocol
        && match (range(&rule), range(&needed)) {
            (Some((from, to)), Some((first, last))) => from <= first && last <= to,
            _ => rule == needed,
        }
}

/// Plans the rules of all groups.
pub fn plan_node_rules(input: NodeRulesInput<'_>) -> Plan {
    let mut draft = Draft::new(&StackId::CLUSTER);
    let nothing = BTreeMap::new();
    let changes: Vec<GroupChange<'_>> = input
        .observed
        .values()
        .map(|group| {
            let wanted = input.wanted.get(&group.id).unwrap_or(&nothing);
            GroupChange::of(group, wanted, input)
        })
        .collect();
    for change in &changes {
        let mut after = Vec::new();
        if change.is_crowded {
            after.extend(change.revoke(&mut draft));
        }
        change.authorize(&mut draft, &after, input.policy);
    }
    for change in changes.iter().filter(|change| !change.is_crowded) {
        change.revoke(&mut draft);
    }
    input.policy.apply(draft.finish(Vec::new()))
}

/// Parts a plan of node rules: what is let in, and what is shut out.
pub(crate) fn split(plan: Plan) -> (Plan, Plan) {
    // Where a step that shuts out has to come first, the two are not parted.
    if plan.steps.iter().any(|step| !step.after.is_empty()) {
        return (plan, Plan::default());
    }
    let is_revoke = |step: &crate::plan::Step| {
        matches!(
            step.kind,
            crate::plan::StepKind::Call(AwsCall::RevokeSecurityGroupIngress { .. })
        )
    };
    let (closed, opened): (Vec<_>, Vec<_>) = plan.steps.into_iter().partition(is_revoke);
    let numbered = |mut steps: Vec<crate::plan::Step>| {
        for (step, number) in steps.iter_mut().zip(1..) {
            step.id = StepId(number);
        }
        Plan {
            steps,
            unowned: Vec::new(),
        }
    };
    (numbered(opened), numbered(closed))
}

/// What changes in one group.
struct GroupChange<'a> {
    group: &'a ObservedSecurityGroup,
    missing: BTreeMap<&'a IngressRule, &'a BTreeSet<Cause>>,
    surplus: Vec<&'a IngressRule>,
    /// The old rules and the new ones do not fit into the group at once.
    is_crowded: bool,
    wanted: &'a BTreeMap<IngressRule, BTreeSet<Cause>>,
}

impl<'a> GroupChange<'a> {
    fn of(
        group: &'a ObservedSecurityGroup,
        wanted: &'a BTreeMap<IngressRule, BTreeSet<Cause>>,
        input: NodeRulesInput<'a>,
    ) -> Self {
        let present: BTreeSet<IngressRule> = group.ingress.iter().map(canonical_ingress).collect();
        let canonical: BTreeSet<IngressRule> = wanted.keys().map(canonical_ingress).collect();
        let missing: BTreeMap<_, _> = wanted
            .iter()
            .filter(|(rule, _)| !present.contains(&canonical_ingress(rule)))
            .collect();
        let may_go = |rule: &&IngressRule| match input.surplus {
            Surplus::Kept => false,
            Surplus::RevokedBut(needed) => !needed.iter().any(|needed| covers(rule, needed)),
        };
        let ours = group.ingress.iter().filter(|rule| rule.is_node_rule());
        let surplus: Vec<_> = ours
            .filter(|rule| !canonical.contains(&canonical_ingress(rule)))
            .filter(may_go)
            .collect();
        let limit = input.policy.quotas.ingress_rules_max;
        let is_crowded = !missing.is_empty()
            && !surplus.is_empty()
            && group.ingress.len() + missing.len() > limit;
        Self {
            group,
            missing,
            surplus,
            is_crowded,
            wanted,
        }
    }

    fn key(&self) -> ResourceKey {
        ResourceKey {
            stack: StackId::CLUSTER,
            kind: ResourceKind::SecurityGroup,
            id: ResourceId::new(self.group.id.as_str()),
        }
    }

    fn authorize(&self, draft: &mut Draft, after: &[StepId], policy: &Policy) {
        if self.missing.is_empty() {
            return;
        }
        let limit = policy.quotas.ingress_rules_max;
        let n_rules = self.group.ingress.len() + self.missing.len() - self.surplus.len();
        let hazard = (n_rules > limit).then(|| Hazard::ExceedsQuota {
            quota: "Inbound rules per security group".to_owned(),
            limit,
            wanted: n_rules,
        });
        let causes: BTreeSet<&Cause> = self.missing.values().copied().flatten().collect();
        let causes: Vec<Cause> = causes.into_iter().cloned().collect();
        let rules: Vec<IngressRule> = self.missing.keys().copied().cloned().collect();
        draft
            .step(Action::Update, self.key(), &self.group.name)
            .reason(format!("allow {}", words(&rules)))
            .causes(&causes)
            .changes(rules.iter().map(added).collect())
            .hazards(hazard)
            .after(after.iter().copied())
            .call(AwsCall::AuthorizeSecurityGroupIngress {
                group: self.group.id.clone().into(),
                rules,
            });
    }

    fn revoke(&self, draft: &mut Draft) -> Option<StepId> {
        if self.surplus.is_empty() {
            return None;
        }
        let cut: Vec<String> = self
            .surplus
            .iter()
            .filter(|rule| {
                let mut wanted = self.wanted.keys();
                self.is_crowded && wanted.any(|wanted| overlaps(rule, wanted))
            })
            .map(|rule| ports(rule))
            .collect();
        let hazard = (!cut.is_empty()).then(|| Hazard::DropsTraffic {
            what: format!(
                "new connections from load balancers to members of {} on {}, until the next step has \
                 succeeded; the quota of rules leaves no room to add before removing",
                self.group.name,
                cut.join(", ")
            ),
        });
        let rules: Vec<IngressRule> = self.surplus.iter().copied().cloned().collect();
        let step = draft
            .step(Action::Update, self.key(), &self.group.name)
            .reason("no target needs them any more")
            .changes(rules.iter().map(removed).collect())
            .hazards(hazard)
            .call(AwsCall::RevokeSecurityGroupIngress {
                group: self.group.id.clone().into(),
                rules,
            });
        Some(step)
    }
}

/// Whether some traffic is let through by both.
fn overlaps(a: &IngressRule, b: &IngressRule) -> bool {
    let (a, b) = (canonical_ingress(a), canonical_ingress(b));
    let range = |rule: &IngressRule| Some((rule.from_port?, rule.to_port?));
    a.source == b.source
        && a.protocol == b.protocol
        && match (range(&a), range(&b)) {
            (Some((from, to)), Some((first, last))) => from <= last && first <= to,
            _ => true,
        }
}

/// `tcp 8080-8443 from the load balancers`, and however many there are.
fn words(rules: &[IngressRule]) -> String {
    const SHOWN_MAX: usize = 3;
    let mut words: Vec<String> = rules
        .iter()
        .take(SHOWN_MAX)
        .map(|rule| match rule.source {
            IngressSource::SecurityGroup(_) => {
                format!("{} from the load balancers", ports(rule))
            }
            _ => describe(rule),
        })
        .collect();
    if rules.len() > SHOWN_MAX {
        words.push(format!("{} more", rules.len() - SHOWN_MAX));
    }
    words.join(", ")
}

fn added(rule: &IngressRule) -> Change {
    Change {
        field: "ingress".to_owned(),
        before: None,
        after: Some(describe(rule)),
    }
}

fn removed(rule: &IngressRule) -> Change {
    Change {
        field: "ingress".to_owned(),
        before: Some(describe(rule)),
        after: None,
    }
}

#[cfg(test)]
mod tests {
    use elbow_model::Ref;
    use elbow_model::ids::VpcId;
    use elbow_model::stack::NODE_RULE_LABEL;
    use elbow_model::{Tags, stack::BACKEND_SECURITY_GROUP};

    use super::*;
    use crate::plan::StepKind;

    fn id() -> SecurityGroupId {
        SecurityGroupId::new("sg-node")
    }

    fn rule(from: i32, to: i32) -> IngressRule {
        IngressRule {
            protocol: "tcp".to_owned(),
            from_port: Some(from),
            to_port: Some(to),
            source: IngressSource::SecurityGroup(SecurityGroupId::new("sg-lb").into()),
            description: Some(NODE_RULE_LABEL.to_owned()),
        }
    }

    fn somebodys(from: i32, to: i32) -> IngressRule {
        IngressRule {
            description: None,
            ..rule(from, to)
        }
    }

    fn observed(ingress: Vec<IngressRule>) -> BTreeMap<SecurityGroupId, ObservedSecurityGroup> {
        let group = ObservedSecurityGroup {
            id: id(),
            name: "nodes".to_owned(),
            vpc_id: VpcId::new("vpc-1"),
            ingress,
            tags: Tags::new(),
        };
        BTreeMap::from([(id(), group)])
    }

    fn wanted(rules: &[IngressRule]) -> GroupRules {
        let cause = Cause {
            kind: "Gateway".to_owned(),
            namespace: "app".to_owned(),
            name: "web".to_owned(),
        };
        let rules = rules
            .iter()
            .map(|rule| (rule.clone(), BTreeSet::from([cause.clone()])));
        GroupRules::from([(id(), rules.collect())])
    }

    /// The plan, a line for each step.
    fn lines(plan: &Plan) -> Vec<String> {
        let line = |step: &crate::plan::Step| {
            let (sign, rules) = match &step.kind {
                StepKind::Call(AwsCall::AuthorizeSecurityGroupIngress { rules, .. }) => {
                    ('+', rules)
                }
                StepKind::Call(AwsCall::RevokeSecurityGroupIngress { rules, .. }) => ('-', rules),
                other => panic!("{other:?}"),
            };
            let rules: Vec<String> = rules.iter().map(ports).collect();
            let danger = if step.hazards.is_empty() { "" } else { " !" };
            format!("{sign} {}{danger}", rules.join(", "))
        };
        plan.steps.iter().map(line).collect()
    }

    /// What a group has, what it is to have, what becomes of the rest, and the steps of it.
    type Row<'a> = (
        &'a str,
        Vec<IngressRule>,
        &'a [IngressRule],
        Surplus<'a>,
        &'a [&'a str],
    );

    #[test]
    fn rules_are_added_before_others_go_and_nobody_elses_are_touched() {
        let (all, second) = (BTreeSet::new(), BTreeSet::from([rule(8443, 8443)]));
        let go = Surplus::RevokedBut(&all);
        let full: Vec<IngressRule> = (1..=60).map(|port| rule(port, port)).collect();
        let rows: [Row<'_>; 9] = [
            ("new", vec![], &[rule(8080, 8080)], go, &["+ tcp 8080"]),
            (
                "there",
                vec![rule(8080, 8080)],
                &[rule(8080, 8080)],
                go,
                &[],
            ),
            (
                "wider",
                vec![rule(8080, 8080)],
                &[rule(8080, 8443)],
                go,
                &["+ tcp 8080-8443", "- tcp 8080"],
            ),
            (
                "not needed any more",
                vec![rule(8080, 8080), somebodys(22, 22)],
                &[],
                go,
                &["- tcp 8080"],
            ),
            (
                "somebody may need it",
                vec![rule(8080, 8443)],
                &[rule(8080, 8080)],
                Surplus::Kept,
                &["+ tcp 8080"],
            ),
            (
                "somebody needs one of two",
                vec![rule(9000, 9000), rule(8080, 8443)],
                &[rule(8080, 8080)],
                Surplus::RevokedBut(&second),
                &["+ tcp 8080", "- tcp 9000"],
            ),
            (
                "somebody else has made it",
                vec![somebodys(8080, 8080)],
                &[rule(8080, 8080)],
                go,
                &[],
            ),
            (
                "no room to add first",
                full.clone(),
                &[rule(1, 60)],
                go,
                &[
                    &format!(
                        "- {} !",
                        (1..=60)
                            .map(|port| format!("tcp {port}"))
                            .collect::<Vec<_>>()
                            .join(", ")
                    ),
                    "+ tcp 1-60",
                ],
            ),
            (
                "no room at all",
                (1..=60).map(|port| somebodys(port, port)).collect(),
                &[rule(8080, 8080)],
                go,
                &["+ tcp 8080 !"],
            ),
        ];
        for (name, there, rules, surplus, expected) in rows {
            let plan = plan_node_rules(NodeRulesInput {
                wanted: &wanted(rules),
                observed: &observed(there.clone()),
                surplus,
                policy: &Policy::default(),
            });
            assert_eq!(lines(&plan), expected, "{name}");
            let known = elbow_model::Observed {
                node_groups: observed(there),
                ..Default::default()
            };
            assert_eq!(crate::lint(&plan, &known, "demo"), Vec::new(), "{name}");
        }
    }

    #[test]
    fn lint_finds_what_is_not_ours() {
        let known = elbow_model::Observed {
            node_groups: observed(vec![somebodys(22, 22)]),
            ..Default::default()
        };
        let mut plan = plan_node_rules(NodeRulesInput {
            wanted: &wanted(&[rule(8080, 8080)]),
            observed: &known.node_groups,
            surplus: Surplus::Kept,
            policy: &Policy::default(),
        });
        plan.steps[0].kind = StepKind::Call(AwsCall::RevokeSecurityGroupIngress {
            group: id().into(),
            rules: vec![somebodys(22, 22)],
        });
        assert_eq!(crate::lint(&plan, &known, "demo").len(), 1);
    }

    #[test]
    fn a_rule_covers_what_it_lets_through() {
        let udp = IngressRule {
            protocol: "udp".to_owned(),
            ..rule(8080, 8080)
        };
        let all = IngressRule {
            protocol: "-1".to_owned(),
            from_port: None,
            to_port: None,
            ..rule(0, 0)
        };
        for (name, by, expected) in [
            ("itself", rule(8080, 8080), true),
            ("a range", rule(8000, 9000), true),
            ("another range", rule(8081, 9000), false),
            ("another protocol", udp, false),
            ("everything", all, true),
            ("somebody's", somebodys(8080, 8080), true),
        ] {
            assert_eq!(covers(&by, &rule(8080, 8080)), expected, "{name}");
        }
    }

    /// What is let in comes first, what is shut out before the group that it names goes.
    #[test]
    fn merged_plans_let_in_early_and_shut_out_late() {
        let backend = Ref::Of(ResourceKey {
            stack: StackId::CLUSTER,
            kind: ResourceKind::SecurityGroup,
            id: ResourceId::new(BACKEND_SECURITY_GROUP),
        });
        let mut new = rule(8080, 8080);
        new.source = IngressSource::SecurityGroup(backend);
        let all = BTreeSet::new();
        let node_rules = plan_node_rules(NodeRulesInput {
            wanted: &wanted(&[new]),
            observed: &observed(vec![rule(9000, 9000)]),
            surplus: Surplus::RevokedBut(&all),
            policy: &Policy::default(),
        });
        let mut shared = Draft::new(&StackId::CLUSTER);
        let key = ResourceKey {
            stack: StackId::CLUSTER,
            kind: ResourceKind::SecurityGroup,
            id: ResourceId::new(BACKEND_SECURITY_GROUP),
        };
        let create = AwsCall::CreateSecurityGroup {
            name: "shared".to_owned(),
            description: "d".to_owned(),
            vpc_id: VpcId::new("vpc-1"),
            tags: Tags::new(),
        };
        let step = shared.step(Action::Create, key.clone(), "shared");
        step.provides().call(create);
        let group = SecurityGroupId::new("sg-lb").into();
        shared
            .step(Action::Delete, key, "old")
            .call(AwsCall::DeleteSecurityGroup { group });
        let merged = crate::merge(shared.finish(Vec::new()), node_rules, [Plan::default()]);
        let operations: Vec<(&str, Vec<u32>)> = merged
            .steps
            .iter()
            .map(|step| match &step.kind {
                StepKind::Call(call) => {
                    (call.operation(), step.after.iter().map(|id| id.0).collect())
                }
                StepKind::Wait(_) => ("Wait", Vec::new()),
            })
            .collect();
        assert_eq!(
            operations,
            [
                ("CreateSecurityGroup", vec![]),
                ("AuthorizeSecurityGroupIngress", vec![1]),
                ("RevokeSecurityGroupIngress", vec![]),
                ("DeleteSecurityGroup", vec![3]),
            ]
        );
    }
}
