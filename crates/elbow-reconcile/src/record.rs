//! Records: what is kept of a Stack that was brought about, so that a restart need not look at all of it.
//!
//! In: the Stack that was wanted, and what is there of it. Out: a [`Record`], two digests. What always
//! holds: a record is there only while nothing was begun that it does not tell of, for it is dropped
//! before the first change; so one that agrees with what is wanted now, and with what AWS's lists tell
//! now, says that the last controller brought exactly this about.
//!
//! What lists do not tell (attributes, conditions and actions of rules, targets) is believed on the
//! strength of the record, until the look for drift that every load balancer gets in turn.

use std::collections::BTreeMap;
use std::fmt;

use elbow_model::observed::{
    ObservedListener, ObservedLoadBalancer, ObservedSecurityGroup, ObservedTargetGroup,
};
use elbow_model::{ObservedStack, Stack, Tags};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Comes first in every record: digests of another form agree with none.
const FORM: &str = "1";

/// Stands in the record of a TargetGroupBinding before the groups that have targets of it.
const GROUPS: &str = "groups";

/// A target group that a TargetGroupBinding has filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilledGroup {
    pub(crate) arn: String,
    /// Whether other clusters fill it, too.
    pub(crate) is_shared: bool,
}

impl FilledGroup {
    fn parse(text: &str) -> Option<Self> {
        let shared = text.strip_prefix('+');
        let arn = shared.unwrap_or(text);
        arn.starts_with("arn:").then(|| Self {
            arn: arn.to_owned(),
            is_shared: shared.is_some(),
        })
    }
}

impl fmt::Display for FilledGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_shared { "+" } else { "" };
        write!(f, "{mark}{}", self.arn)
    }
}

/// What is kept of a Stack: a short text without white space, to be given back as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Record(String);

impl Record {
    /// A record as it was kept. Any text may come in; one that is no record agrees with nothing.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text to keep.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The record of a Stack that was brought about and is there in full.
    pub(crate) fn of(wanted: &Stack, there: &ObservedStack) -> Self {
        let (wanted, listed) = (digest(wanted), Listing::of_known(there));
        Self(format!(
            "{FORM}.{wanted}.{}.{}",
            digest(&listed.resources),
            digest(&listed.children)
        ))
    }

    /// The record of a TargetGroupBinding: the groups that have targets of it, and the Stack that was brought
    /// about in them; `None` while that is under way. Of a group that is nobody's, lists tell what the
    /// Stack has of it, so there is nothing else to compare.
    pub(crate) fn of_groups(wanted: Option<&Stack>, groups: &[FilledGroup]) -> Self {
        let wanted = wanted.map_or_else(|| "-".to_owned(), digest);
        let groups: Vec<String> = groups.iter().map(FilledGroup::to_string).collect();
        Self(format!("{FORM}.{wanted}.{GROUPS}.{}", groups.join(",")))
    }

    /// The groups that have targets of a TargetGroupBinding.
    pub(crate) fn groups(&self) -> Vec<FilledGroup> {
        let mut parts = self.0.splitn(4, '.');
        let is_of_groups = parts.next() == Some(FORM) && parts.nth(1) == Some(GROUPS);
        let groups = parts.next().filter(|_| is_of_groups);
        let groups = groups.into_iter().flat_map(|groups| groups.split(','));
        groups.filter_map(FilledGroup::parse).collect()
    }

    /// The record of the same resources with other targets.
    #[must_use]
    pub(crate) fn wanting(&self, stack: &Stack) -> Self {
        let mut parts: Vec<&str> = self.0.split('.').collect();
        let wanted = digest(stack);
        if let Some(part) = parts.get_mut(1) {
            *part = &wanted;
        }
        Self(parts.join("."))
    }

    /// Whether this Stack is the one that was brought about.
    pub(crate) fn wants(&self, stack: &Stack) -> bool {
        self.part(1) == Some(digest(stack).as_str())
    }

    /// Whether what lists tell is what was there.
    pub(crate) fn lists(&self, listing: &Listing<'_>) -> bool {
        let has_children =
            !listing.knows_children || self.part(3) == Some(digest(&listing.children).as_str());
        self.part(0) == Some(FORM)
            && self.part(2) == Some(digest(&listing.resources).as_str())
            && has_children
    }

    fn part(&self, n: usize) -> Option<&str> {
        self.0.split('.').nth(n)
    }
}

/// What AWS's lists tell of a Stack.
#[derive(Debug)]
pub(crate) struct Listing<'a> {
    resources: Resources<'a>,
    /// Tags of listeners and rules by ARN.
    children: BTreeMap<&'a str, &'a Tags>,
    knows_children: bool,
}

/// Resources as lists tell them. The state of a load balancer is left out, for it changes by itself,
/// and so is what AWS fills in where nothing is asked for.
#[derive(Debug, Serialize)]
struct Resources<'a> {
    security_groups: &'a [ObservedSecurityGroup],
    load_balancers: Vec<serde_json::Value>,
    target_groups: Vec<serde_json::Value>,
}

impl<'a> Listing<'a> {
    /// The listing that a full observation would have.
    fn of_known(there: &'a ObservedStack) -> Self {
        let listeners = there.load_balancers.iter().flat_map(|lb| &lb.listeners);
        let children = listeners.flat_map(|listener: &ObservedListener| {
            let rules = listener.rules.iter();
            let rules = rules.map(|rule| (rule.arn.as_str(), &rule.tags));
            std::iter::once((listener.arn.as_str(), &listener.tags)).chain(rules)
        });
        Self::new(there, children.collect(), true)
    }

    /// What lists tell: resources without details, and the tags of listeners and rules where the index
    /// of tags told them.
    pub(crate) fn new(
        listed: &'a ObservedStack,
        children: BTreeMap<&'a str, &'a Tags>,
        knows_children: bool,
    ) -> Self {
        Self {
            resources: Resources {
                security_groups: &listed.security_groups,
                load_balancers: listed.load_balancers.iter().map(load_balancer).collect(),
                target_groups: listed.target_groups.iter().map(target_group).collect(),
            },
            children,
            knows_children,
        }
    }
}

fn load_balancer(lb: &ObservedLoadBalancer) -> serde_json::Value {
    serde_json::json!([
        lb.arn,
        lb.name,
        lb.lb_type,
        lb.scheme,
        lb.ip_address_type,
        lb.subnets,
        lb.security_groups,
        lb.tags,
    ])
}

fn target_group(group: &ObservedTargetGroup) -> serde_json::Value {
    serde_json::json!([
        group.arn,
        group.name,
        group.target_type,
        group.protocol,
        group.port,
        group.ip_address_type,
        group.vpc_id,
        group.health_check,
        group.tags,
        group.load_balancers,
    ])
}

/// The first half of a SHA-256 over the JSON: 128 bits tell two states of a cluster apart.
fn digest(of: &impl Serialize) -> String {
    // Plain values of strings, numbers and ordered maps always have a JSON.
    let json = serde_json::to_vec(of).unwrap_or_default();
    let mut text = hex::encode(Sha256::digest(json));
    text.truncate(32);
    text
}

#[cfg(test)]
mod tests {
    use elbow_model::{StackId, StackKind};

    use super::*;

    #[test]
    fn the_record_of_a_binding_names_its_groups() {
        let id = StackId::new(StackKind::Binding, "app", "web");
        let stack = Stack::empty(id, "demo");
        let group = |arn: &str, is_shared| FilledGroup {
            arn: arn.to_owned(),
            is_shared,
        };
        let groups = vec![
            group("arn:aws:elasticloadbalancing:a:1:targetgroup/a/0", false),
            group("arn:aws:elasticloadbalancing:a:1:targetgroup/b/0", true),
        ];
        for (wanted, groups) in [
            (Some(&stack), &groups),
            (None, &groups),
            (None, &Vec::new()),
        ] {
            let record = Record::of_groups(wanted, groups);
            let kept = Record::new(record.as_str());
            assert_eq!(kept.groups(), *groups, "{record:?}");
            assert_eq!(kept.wants(&stack), wanted.is_some(), "{record:?}");
            assert!(!kept.lists(&Listing::of_known(&ObservedStack::default())));
        }
        let other = Record::of(&stack, &ObservedStack::default());
        assert_eq!(other.groups(), Vec::new());
        assert_eq!(Record::new("2.a.groups.arn:aws").groups(), Vec::new());
    }

    #[test]
    fn a_record_agrees_with_what_it_was_made_of_and_with_nothing_else() {
        let id = StackId::new(StackKind::AlbGateway, "app", "web");
        let stack = Stack::empty(id, "demo");
        let there = ObservedStack::default();
        let record = Record::of(&stack, &there);
        let kept = Record::new(record.as_str());
        assert_eq!(kept, record);
        assert!(kept.wants(&stack));
        assert!(!kept.wants(&Stack::empty(StackId::CLUSTER, "demo")));
        let tags = Tags::from([("a".to_owned(), "b".to_owned())]);
        let children = BTreeMap::from([("arn", &tags)]);
        assert!(kept.lists(&Listing::new(&there, BTreeMap::new(), true)));
        assert!(!kept.lists(&Listing::new(&there, children.clone(), true)));
        assert!(kept.lists(&Listing::new(&there, children, false)));
        let other = Stack::empty(StackId::CLUSTER, "demo");
        assert!(kept.wanting(&other).wants(&other));
        assert!(kept.wanting(&other).lists(&Listing::of_known(&there)));
        for text in ["", "1", "2.a.b.c", "1..."] {
            let other = Record::new(text);
            assert!(!other.wants(&stack), "{text}");
            assert!(!other.lists(&Listing::of_known(&there)), "{text}");
        }
    }
}
