//! Observation: asks AWS what is there and keeps what is ours.
//!
//! In: a [`Scope`], and the answers to the calls that it asks for. Out: the [`AwsCall`]s to make next,
//! and in the end the [`Observed`] part of the world. What always holds: a call is asked for once, in
//! a fixed order; resources whose tags do not prove them ours never get into the result; a resource
//! that vanishes meanwhile is left out, and is no error.
//!
//! The answers of AWS about many resources at once come first: one list of load balancers, one of
//! target groups, the security groups of the cluster, and the tagging API's index of what carries the
//! cluster's tag. The index lags behind by seconds and the role may lack it, so it only spares
//! look-ups: what is listed and not in it is asked for by `DescribeTags`, 20 at a time. Only then come
//! the look-ups that AWS answers for one resource each, and these for our resources alone.
//!
//! Start at [`Observation::start`].

mod assemble;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::aws_call::{
    ListenerCertificate, ListenerDescription, LoadBalancerDescription, Page,
    TargetGroupDescription, TrustStoreDescription,
};
use elbow_model::observed::{ObservedRule, ObservedSecurityGroup, ObservedTarget};
use elbow_model::stack::{CLUSTER_TAG, LoadBalancerType};
use elbow_model::{
    Attributes, AwsAnswer, AwsCall, AwsError, CertificateArn, ErrorClass, ListenerArn,
    LoadBalancerArn, Observed, ObservedStack, StackId, Tags, TargetGroupArn, TrustStoreArn, VpcId,
};

use crate::ownership::owner;

/// ARNs that one DescribeTags call takes (ELBv2 API reference).
const ARNS_PER_DESCRIBE_TAGS: usize = 20;

/// What the tagging API calls the resources whose tags elbow looks for.
const RESOURCE_TYPES: [&str; 5] = [
    "elasticloadbalancing:loadbalancer",
    "elasticloadbalancing:targetgroup",
    "elasticloadbalancing:listener",
    "elasticloadbalancing:listener-rule",
    "acm:certificate",
];

/// Whose resources are looked for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// The cluster's name, as its tag has it.
    pub cluster_name: String,
    /// The cluster's VPC.
    pub vpc_id: VpcId,
    /// Whether there can be trust stores of the cluster's: a list that is not read costs no call.
    pub has_trust_stores: bool,
}

/// How much to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// What there is of the whole cluster, in a few answers that all Stacks share: at a cold start.
    Census,
    /// The details of these Stacks, starting from a census.
    Details {
        /// The Stacks.
        stacks: BTreeSet<StackId>,
        /// What a census found of them: see [`Census::split`].
        census: Census,
    },
    /// These Stacks from the beginning: after a call of theirs failed or got lost, and to look for
    /// drift.
    Stacks {
        /// The Stacks.
        stacks: BTreeSet<StackId>,
        /// The tags that were last seen on load balancers and target groups, by ARN: what they prove
        /// to be somebody else's is passed over.
        known_tags: BTreeMap<String, Tags>,
    },
}

/// What there is, as far as lists tell it: enough to know what belongs to which Stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Tags by ARN, of everything that was asked for.
    pub tags: BTreeMap<String, Tags>,
    /// Security groups that carry the cluster's tag.
    pub security_groups: Vec<ObservedSecurityGroup>,
    /// Load balancers of the account and region.
    pub load_balancers: BTreeMap<LoadBalancerArn, LoadBalancerDescription>,
    /// Target groups of the account and region.
    pub target_groups: BTreeMap<TargetGroupArn, TargetGroupDescription>,
    /// Trust stores of the account and region.
    pub trust_stores: BTreeMap<TrustStoreArn, TrustStoreDescription>,
    /// Whether the index of tags was told: then the tags of listeners and rules are here, too.
    pub has_index: bool,
}

impl Census {
    /// The Stacks that have anything.
    pub fn stacks(&self, cluster_name: &str) -> BTreeSet<StackId> {
        let groups = self.security_groups.iter().map(|group| &group.tags);
        let arns = self.load_balancers.keys().map(ToString::to_string);
        let arns = arns.chain(self.target_groups.keys().map(ToString::to_string));
        let others = arns.filter_map(|arn| self.tags.get(&arn));
        groups
            .chain(others)
            .filter_map(|tags| owner(tags, cluster_name))
            .collect()
    }

    /// The part of each Stack. What is nobody's is left out.
    #[must_use]
    pub fn split(self, cluster_name: &str) -> BTreeMap<StackId, Self> {
        let mut parts: BTreeMap<StackId, Self> = BTreeMap::new();
        let has_index = self.has_index;
        let part =
            |stack: StackId, parts: &mut BTreeMap<StackId, Self>, put: &dyn Fn(&mut Self)| {
                let part = parts.entry(stack).or_default();
                part.has_index = has_index;
                put(part);
            };
        for group in self.security_groups {
            if let Some(stack) = owner(&group.tags, cluster_name) {
                part(stack, &mut parts, &|part| {
                    part.security_groups.push(group.clone());
                });
            }
        }
        for (arn, tags) in self.tags {
            let Some(stack) = owner(&tags, cluster_name) else {
                continue;
            };
            let lb = self
                .load_balancers
                .get_key_value(&LoadBalancerArn::new(arn.clone()));
            let group = self
                .target_groups
                .get_key_value(&TargetGroupArn::new(arn.clone()));
            let store = self
                .trust_stores
                .get_key_value(&TrustStoreArn::new(arn.clone()));
            part(stack, &mut parts, &|part| {
                part.tags.insert(arn.clone(), tags.clone());
                let store = store.map(|(arn, store)| (arn.clone(), store.clone()));
                part.trust_stores.extend(store);
                let lb = lb.map(|(arn, lb)| (arn.clone(), lb.clone()));
                part.load_balancers.extend(lb);
                let group = group.map(|(arn, group)| (arn.clone(), group.clone()));
                part.target_groups.extend(group);
            });
        }
        parts
    }

    /// Takes in another part.
    pub fn merge(&mut self, other: Self) {
        self.tags.extend(other.tags);
        self.security_groups.extend(other.security_groups);
        self.load_balancers.extend(other.load_balancers);
        self.target_groups.extend(other.target_groups);
        self.trust_stores.extend(other.trust_stores);
        self.has_index |= other.has_index;
    }

    /// What lists tell of a Stack: its resources without their details.
    pub(crate) fn listed(
        &self,
        stack: &StackId,
        cluster_name: &str,
        vpc_id: &VpcId,
    ) -> ObservedStack {
        let observation = Observation {
            whose: Whose {
                cluster_name: cluster_name.to_owned(),
                vpc_id: vpc_id.clone(),
                has_trust_stores: false,
            },
            scope: Scope::Details {
                stacks: BTreeSet::from([stack.clone()]),
                census: Self::default(),
            },
            stage: Stage::Done,
            outstanding: 0,
            census: self.clone(),
            details: Details::default(),
        };
        let mut observed = observation.finish().observed.stacks;
        observed.remove(stack).unwrap_or_default()
    }

    /// The tags of listeners and rules by ARN, as far as the index told them.
    pub(crate) fn children(&self) -> BTreeMap<&str, &Tags> {
        let tags = self.tags.iter();
        let children =
            tags.filter(|(arn, _)| arn.contains(":listener/") || arn.contains(":listener-rule/"));
        children.map(|(arn, tags)| (arn.as_str(), tags)).collect()
    }

    /// Whether a load balancer or target group of this ARN is there.
    pub fn lists(&self, arn: &str) -> bool {
        // What only the cluster's Stack has is in no list that is read for other Stacks.
        is_certificate(arn)
            || is_trust_store(arn)
            || self.load_balancers.contains_key(&LoadBalancerArn::new(arn))
            || self.target_groups.contains_key(&TargetGroupArn::new(arn))
    }

    /// Tags by ARN of listed load balancers, target groups, certificates and trust stores, others' too: a
    /// later observation of single Stacks need not ask for these again.
    pub fn known_tags(&self) -> BTreeMap<String, Tags> {
        let load_balancers = self.load_balancers.keys().map(ToString::to_string);
        let arns = load_balancers.chain(self.target_groups.keys().map(ToString::to_string));
        let shared = |arn: &&String| is_certificate(arn) || is_trust_store(arn);
        let shared = self.tags.keys().filter(shared).cloned();
        arns.chain(shared)
            .filter_map(|arn| self.tags.get(&arn).cloned().map(|tags| (arn, tags)))
            .collect()
    }
}

/// Whether an ARN is one of ACM.
fn is_certificate(arn: &str) -> bool {
    arn.split(':').nth(2) == Some("acm")
}

/// Whether an ARN is that of a trust store.
fn is_trust_store(arn: &str) -> bool {
    arn.contains(":truststore/")
}

/// One observation under way.
#[derive(Debug)]
pub struct Observation {
    whose: Whose,
    scope: Scope,
    stage: Stage,
    outstanding: usize,
    census: Census,
    details: Details,
}

/// What is told of one resource at a time.
#[derive(Debug, Default)]
struct Details {
    load_balancer_attributes: BTreeMap<LoadBalancerArn, Attributes>,
    listeners: BTreeMap<LoadBalancerArn, Vec<ListenerDescription>>,
    listener_attributes: BTreeMap<ListenerArn, Attributes>,
    listener_certificates: BTreeMap<ListenerArn, Vec<ListenerCertificate>>,
    rules: BTreeMap<ListenerArn, Vec<ObservedRule>>,
    target_group_attributes: BTreeMap<TargetGroupArn, Attributes>,
    targets: BTreeMap<TargetGroupArn, Vec<ObservedTarget>>,
}

/// Where an observation stands. A stage begins when no call of the one before is outstanding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Lists of everything, shared by all Stacks.
    Lists,
    /// Tags of listed load balancers and target groups.
    Owners,
    /// Look-ups for each resource that is ours.
    Details,
    /// Tags of listeners and rules.
    ChildTags,
    /// All answers are in.
    Done,
}

/// What an observation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Our resources; a Stack of the scope that has none is absent. Empty for [`Scope::Census`].
    pub observed: Observed,
    /// What the lists told.
    pub census: Census,
    /// Whether the census is of the whole account and region, and not a part of an earlier one.
    pub lists_everything: bool,
}

impl Observation {
    /// Begins an observation and answers with its first calls. An observation of details that has
    /// nothing to look at asks for none and is done at once.
    pub fn start(whose: Whose, mut scope: Scope) -> (Self, Vec<AwsCall>) {
        let census = match &mut scope {
            Scope::Details { census, .. } => std::mem::take(census),
            Scope::Census | Scope::Stacks { .. } => Census::default(),
        };
        let mut observation = Self {
            whose,
            scope,
            stage: Stage::Lists,
            outstanding: 0,
            census,
            details: Details::default(),
        };
        let mut calls = Vec::new();
        if matches!(observation.scope, Scope::Details { .. }) {
            observation.stage = Stage::Owners;
        } else {
            calls = observation.lists();
            observation.outstanding = calls.len();
        }
        calls.extend(observation.proceed());
        (observation, calls)
    }

    /// Whether every answer is in.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Takes in the answer to one of its calls and answers with the calls to make next.
    ///
    /// An error ends the observation, except where it says that a resource has vanished or that the
    /// role may not use the tagging API. Throttled and transient errors are for the caller to repeat;
    /// they must not be passed in.
    pub fn answered(
        &mut self,
        call: &AwsCall,
        result: Result<AwsAnswer, AwsError>,
    ) -> Result<Vec<AwsCall>, AwsError> {
        let mut next = match result {
            Ok(answer) => self.fold(call, answer),
            Err(error) => self.excuse(call, error)?,
        };
        self.outstanding = self.outstanding + next.len() - 1;
        next.extend(self.proceed());
        Ok(next)
    }

    /// What was found. Meant for when [`Observation::is_done`]; before, it is incomplete.
    pub fn finish(self) -> Sighting {
        assemble::sighting(self)
    }

    /// Goes from stage to stage while nothing is outstanding.
    fn proceed(&mut self) -> Vec<AwsCall> {
        let mut calls = Vec::new();
        while self.outstanding == 0 && self.stage != Stage::Done {
            (self.stage, calls) = match self.stage {
                Stage::Lists => (Stage::Owners, self.owner_tags()),
                Stage::Owners if self.scope == Scope::Census => (Stage::Done, Vec::new()),
                Stage::Owners => (Stage::Details, self.detail_calls()),
                Stage::Details => (Stage::ChildTags, self.child_tags()),
                Stage::ChildTags | Stage::Done => (Stage::Done, Vec::new()),
            };
            self.outstanding = calls.len();
        }
        calls
    }

    // --- the stages ---

    fn lists(&self) -> Vec<AwsCall> {
        if self.is_of_cluster_alone() {
            // ACM is asked itself: the index may lag behind what was imported a moment ago.
            let certificates = AwsCall::ListImportedCertificates { marker: None };
            let mut calls = vec![self.security_groups(None), certificates];
            calls.extend(self.trust_stores());
            return calls;
        }
        let mut calls = vec![
            AwsCall::DescribeLoadBalancers {
                arns: Vec::new(),
                marker: None,
            },
            AwsCall::DescribeTargetGroups {
                arns: Vec::new(),
                names: Vec::new(),
                marker: None,
            },
            self.security_groups(None),
        ];
        if self.scope == Scope::Census {
            calls.push(self.index(None));
            calls.extend(self.trust_stores());
        }
        calls
    }

    /// What all Stacks share has neither load balancers nor target groups.
    fn is_of_cluster_alone(&self) -> bool {
        match &self.scope {
            Scope::Stacks { stacks, .. } => stacks.iter().eq([&StackId::CLUSTER]),
            Scope::Census | Scope::Details { .. } => false,
        }
    }

    /// Asks for the tags of imported certificates, but for those that are known to be somebody else's.
    fn certificate_tags(&self, page: &[CertificateArn]) -> Vec<AwsCall> {
        let Scope::Stacks { known_tags, .. } = &self.scope else {
            return Vec::new();
        };
        let is_ours = |tags: &Tags| owner(tags, &self.whose.cluster_name) == Some(StackId::CLUSTER);
        let asked = page
            .iter()
            .filter(|arn| known_tags.get(arn.as_str()).is_none_or(is_ours));
        asked
            .map(|arn| AwsCall::ListTagsForCertificate {
                certificate: arn.clone(),
            })
            .collect()
    }

    fn security_groups(&self, marker: Option<String>) -> AwsCall {
        AwsCall::DescribeSecurityGroups {
            vpc_id: self.whose.vpc_id.clone(),
            tags: self.cluster_tag(),
            marker,
        }
    }

    /// All trust stores; the index of tags does not know them.
    fn trust_stores(&self) -> Option<AwsCall> {
        let all = AwsCall::DescribeTrustStores {
            names: Vec::new(),
            marker: None,
        };
        self.whose.has_trust_stores.then_some(all)
    }

    fn index(&self, marker: Option<String>) -> AwsCall {
        AwsCall::GetResources {
            tags: self.cluster_tag(),
            resource_types: RESOURCE_TYPES.map(str::to_owned).to_vec(),
            marker,
        }
    }

    fn cluster_tag(&self) -> Tags {
        Tags::from([(CLUSTER_TAG.to_owned(), self.whose.cluster_name.clone())])
    }

    /// Asks for the tags of load balancers and target groups of the VPC, and of trust stores, that the
    /// index or an earlier observation does not tell. The tags of what was ours are asked for again: they may have been
    /// taken away.
    fn owner_tags(&self) -> Vec<AwsCall> {
        let load_balancers = self.census.load_balancers.values();
        let load_balancers = load_balancers
            .filter(|lb| lb.vpc_id.as_ref() == Some(&self.whose.vpc_id))
            .map(|lb| lb.arn.to_string());
        let groups = self.census.target_groups.values();
        let groups = groups
            .filter(|group| group.vpc_id.as_ref() == Some(&self.whose.vpc_id))
            .map(|group| group.arn.to_string());
        let trust_stores = self.census.trust_stores.keys().map(ToString::to_string);
        let unknown = load_balancers
            .chain(groups)
            .chain(trust_stores)
            .filter(|arn| match &self.scope {
                Scope::Census | Scope::Details { .. } => !self.census.tags.contains_key(arn),
                Scope::Stacks { stacks, known_tags } => known_tags.get(arn).is_none_or(|tags| {
                    owner(tags, &self.whose.cluster_name)
                        .is_some_and(|stack| stacks.contains(&stack))
                }),
            });
        describe_tags(unknown)
    }

    fn detail_calls(&self) -> Vec<AwsCall> {
        let mut calls = Vec::new();
        for arn in self.census.load_balancers.keys() {
            if self.stack_of(arn.as_str()).is_some() {
                calls.push(AwsCall::DescribeLoadBalancerAttributes {
                    load_balancer: arn.clone(),
                });
                calls.push(AwsCall::DescribeListeners {
                    load_balancer: arn.clone(),
                    marker: None,
                });
            }
        }
        for arn in self.census.target_groups.keys() {
            if self.stack_of(arn.as_str()).is_some() {
                calls.push(AwsCall::DescribeTargetGroupAttributes {
                    target_group: arn.clone(),
                });
                calls.push(AwsCall::DescribeTargetHealth {
                    target_group: arn.clone(),
                });
            }
        }
        calls
    }

    fn listener_details(&self, lb: &LoadBalancerArn, page: &[ListenerDescription]) -> Vec<AwsCall> {
        // Only ALB listeners have rules beside the default one.
        let has_rules = self
            .census
            .load_balancers
            .get(lb)
            .is_some_and(|lb| lb.lb_type == Some(LoadBalancerType::Application));
        let mut calls = Vec::new();
        for listener in page {
            let arn = listener.arn.clone();
            calls.push(AwsCall::DescribeListenerAttributes {
                listener: arn.clone(),
            });
            if listener
                .protocol
                .is_some_and(elbow_model::stack::Protocol::is_secure)
            {
                calls.push(AwsCall::DescribeListenerCertificates {
                    listener: arn.clone(),
                    marker: None,
                });
            }
            if has_rules {
                calls.push(AwsCall::DescribeRules {
                    listener: arn,
                    marker: None,
                });
            }
        }
        calls
    }

    fn child_tags(&self) -> Vec<AwsCall> {
        let listeners = self
            .details
            .listeners
            .values()
            .flatten()
            .map(|l| l.arn.to_string());
        let rules = self
            .details
            .rules
            .values()
            .flatten()
            .map(|rule| rule.arn.to_string());
        describe_tags(
            listeners
                .chain(rules)
                .filter(|arn| !self.census.tags.contains_key(arn)),
        )
    }

    /// The Stack that a load balancer or target group belongs to, if it is ours and in scope.
    fn stack_of(&self, arn: &str) -> Option<StackId> {
        let stack = owner(self.census.tags.get(arn)?, &self.whose.cluster_name)?;
        self.is_in_scope(&stack).then_some(stack)
    }

    fn is_in_scope(&self, stack: &StackId) -> bool {
        match &self.scope {
            Scope::Census => false,
            Scope::Details { stacks, .. } | Scope::Stacks { stacks, .. } => stacks.contains(stack),
        }
    }

    // --- the answers ---

    fn fold(&mut self, call: &AwsCall, answer: AwsAnswer) -> Vec<AwsCall> {
        match (call, answer) {
            (AwsCall::DescribeLoadBalancers { .. }, AwsAnswer::LoadBalancers(page)) => {
                let more = more(&page, |marker| AwsCall::DescribeLoadBalancers {
                    arns: Vec::new(),
                    marker,
                });
                self.census
                    .load_balancers
                    .extend(page.items.into_iter().map(|lb| (lb.arn.clone(), lb)));
                more
            }
            (AwsCall::DescribeTargetGroups { .. }, AwsAnswer::TargetGroups(page)) => {
                let more = more(&page, |marker| AwsCall::DescribeTargetGroups {
                    arns: Vec::new(),
                    names: Vec::new(),
                    marker,
                });
                self.census
                    .target_groups
                    .extend(page.items.into_iter().map(|g| (g.arn.clone(), g)));
                more
            }
            (AwsCall::DescribeSecurityGroups { .. }, AwsAnswer::SecurityGroups(page)) => {
                self.census
                    .security_groups
                    .extend(page.items.iter().cloned());
                more(&page, |marker| self.security_groups(marker))
            }
            (AwsCall::GetResources { .. }, AwsAnswer::TagsByArn(page)) => {
                self.census.has_index = true;
                self.census.tags.extend(page.items.iter().cloned());
                more(&page, |marker| self.index(marker))
            }
            (AwsCall::ListImportedCertificates { .. }, AwsAnswer::CertificateArns(page)) => {
                let mut next = self.certificate_tags(&page.items);
                next.extend(more(&page, |marker| AwsCall::ListImportedCertificates {
                    marker,
                }));
                next
            }
            (AwsCall::ListTagsForCertificate { certificate }, AwsAnswer::CertificateTags(tags)) => {
                self.census.tags.insert(certificate.to_string(), tags);
                Vec::new()
            }
            (AwsCall::DescribeTrustStores { .. }, AwsAnswer::TrustStores(page)) => {
                let more = more(&page, |marker| AwsCall::DescribeTrustStores {
                    names: Vec::new(),
                    marker,
                });
                let stores = page.items.into_iter();
                let stores = stores.map(|store| (store.arn.clone(), store));
                self.census.trust_stores.extend(stores);
                more
            }
            (AwsCall::DescribeTags { .. }, AwsAnswer::TagsByArn(page)) => {
                self.census.tags.extend(page.items);
                Vec::new()
            }
            (
                AwsCall::DescribeLoadBalancerAttributes { load_balancer },
                AwsAnswer::Attributes(attributes),
            ) => {
                self.details
                    .load_balancer_attributes
                    .insert(load_balancer.clone(), attributes);
                Vec::new()
            }
            (AwsCall::DescribeListeners { load_balancer, .. }, AwsAnswer::Listeners(page)) => {
                let mut next = more(&page, |marker| AwsCall::DescribeListeners {
                    load_balancer: load_balancer.clone(),
                    marker,
                });
                let listeners = self
                    .details
                    .listeners
                    .entry(load_balancer.clone())
                    .or_default();
                listeners.extend(page.items.iter().cloned());
                next.extend(self.listener_details(load_balancer, &page.items));
                next
            }
            (
                AwsCall::DescribeListenerAttributes { listener },
                AwsAnswer::Attributes(attributes),
            ) => {
                self.details
                    .listener_attributes
                    .insert(listener.clone(), attributes);
                Vec::new()
            }
            (
                AwsCall::DescribeListenerCertificates { listener, .. },
                AwsAnswer::ListenerCertificates(page),
            ) => {
                let more = more(&page, |marker| AwsCall::DescribeListenerCertificates {
                    listener: listener.clone(),
                    marker,
                });
                self.details
                    .listener_certificates
                    .entry(listener.clone())
                    .or_default()
                    .extend(page.items);
                more
            }
            (AwsCall::DescribeRules { listener, .. }, AwsAnswer::Rules(page)) => {
                let more = more(&page, |marker| AwsCall::DescribeRules {
                    listener: listener.clone(),
                    marker,
                });
                self.details
                    .rules
                    .entry(listener.clone())
                    .or_default()
                    .extend(page.items);
                more
            }
            (
                AwsCall::DescribeTargetGroupAttributes { target_group },
                AwsAnswer::Attributes(attributes),
            ) => {
                self.details
                    .target_group_attributes
                    .insert(target_group.clone(), attributes);
                Vec::new()
            }
            (AwsCall::DescribeTargetHealth { target_group }, AwsAnswer::TargetHealth(targets)) => {
                self.details.targets.insert(target_group.clone(), targets);
                Vec::new()
            }
            // An adapter answers a call with that call's answer; anything else tells nothing.
            _ => Vec::new(),
        }
    }

    /// Goes on without an answer where that is right.
    fn excuse(&mut self, call: &AwsCall, error: AwsError) -> Result<Vec<AwsCall>, AwsError> {
        match (call, error.class) {
            // Without the index every resource is asked for its tags; that is all.
            (AwsCall::GetResources { .. }, ErrorClass::Denied) => {
                self.census.tags.clear();
                self.census.has_index = false;
                Ok(Vec::new())
            }
            (AwsCall::ListTagsForCertificate { .. }, ErrorClass::NotFound) => Ok(Vec::new()),
            // One ARN that is gone fails the whole call: halve it until only that one is left.
            (AwsCall::DescribeTags { arns }, _)
                if error.class == ErrorClass::NotFound || error.code == "TrustStoreNotFound" =>
            {
                if arns.len() < 2 {
                    return Ok(Vec::new());
                }
                let (left, right) = arns.split_at(arns.len() / 2);
                let half = |arns: &[String]| AwsCall::DescribeTags {
                    arns: arns.to_vec(),
                };
                Ok(vec![half(left), half(right)])
            }
            (
                AwsCall::DescribeLoadBalancerAttributes { load_balancer }
                | AwsCall::DescribeListeners { load_balancer, .. },
                ErrorClass::NotFound,
            ) => {
                self.census.load_balancers.remove(load_balancer);
                self.details.listeners.remove(load_balancer);
                Ok(Vec::new())
            }
            (
                AwsCall::DescribeListenerAttributes { listener }
                | AwsCall::DescribeListenerCertificates { listener, .. }
                | AwsCall::DescribeRules { listener, .. },
                ErrorClass::NotFound,
            ) => {
                for listeners in self.details.listeners.values_mut() {
                    listeners.retain(|l| l.arn != *listener);
                }
                self.details.rules.remove(listener);
                Ok(Vec::new())
            }
            (
                AwsCall::DescribeTargetGroupAttributes { target_group }
                | AwsCall::DescribeTargetHealth { target_group },
                ErrorClass::NotFound,
            ) => {
                self.census.target_groups.remove(target_group);
                Ok(Vec::new())
            }
            _ => Err(error),
        }
    }
}

/// The call for the next page, if there is one.
fn more<T>(page: &Page<T>, call: impl FnOnce(Option<String>) -> AwsCall) -> Vec<AwsCall> {
    match &page.next_marker {
        Some(marker) => vec![call(Some(marker.clone()))],
        None => Vec::new(),
    }
}

fn describe_tags(arns: impl Iterator<Item = String>) -> Vec<AwsCall> {
    let arns: Vec<String> = arns.collect();
    arns.chunks(ARNS_PER_DESCRIBE_TAGS)
        .map(|chunk| AwsCall::DescribeTags {
            arns: chunk.to_vec(),
        })
        .collect()
}
