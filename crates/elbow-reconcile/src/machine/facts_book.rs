//! The facts that all units share, and the one look-up that may be under way for them.

use std::collections::{BTreeMap, BTreeSet};

use elbow_model::facts::Certificate;
use elbow_model::{AwsCall, AwsError, CertificateArn, FactQuery, Facts, TargetGroupArn, VpcId};

use crate::facts::FactLookup;
use crate::observe::Census;
use crate::outbox::Priority;
use crate::time::Timestamp;

/// What was looked up, when, and what is being looked up.
#[derive(Debug, Default)]
pub(super) struct FactsBook {
    facts: Facts,
    looked_up_at: BTreeMap<FactQuery, Timestamp>,
    /// What is wanted and not under way yet.
    wanted: BTreeSet<FactQuery>,
    urgency: Option<Priority>,
    lookup: Option<FactLookup>,
    /// Every certificate that was described so far: its names do not change under its ARN.
    certificates: BTreeMap<CertificateArn, Certificate>,
}

impl FactsBook {
    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    pub(super) fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    pub(super) fn is_looking(&self) -> bool {
        self.lookup.is_some() || !self.wanted.is_empty()
    }

    pub(super) fn lookup_mut(&mut self) -> Option<&mut FactLookup> {
        self.lookup.as_mut()
    }

    /// Asks for facts. They are looked up together with whatever else is wanted by then; what is being
    /// looked up already is not asked for twice.
    pub(super) fn want(&mut self, queries: BTreeSet<FactQuery>, priority: Priority) {
        let under_way = self.lookup.as_ref().map(FactLookup::queries);
        let is_new = |query: &FactQuery| under_way.is_none_or(|queries| !queries.contains(query));
        self.wanted.extend(queries.into_iter().filter(is_new));
        self.urgency = Some(
            self.urgency
                .map_or(priority, |urgency| urgency.min(priority)),
        );
    }

    /// Begins the next look-up, unless one is under way or nothing is wanted.
    pub(super) fn start(&mut self, vpc_id: &VpcId) -> Option<(Priority, Vec<AwsCall>)> {
        if self.lookup.is_some() || self.wanted.is_empty() {
            return None;
        }
        let queries = std::mem::take(&mut self.wanted);
        let priority = self.urgency.take().unwrap_or(Priority::Initial);
        let (lookup, calls) = FactLookup::start(vpc_id.clone(), queries, self.certificates.clone());
        self.lookup = Some(lookup);
        Some((priority, calls))
    }

    /// Ends the look-up, keeps what it found, and answers with what it could not look up.
    pub(super) fn finish(&mut self, now: Timestamp) -> BTreeMap<FactQuery, AwsError> {
        let Some(lookup) = self.lookup.take() else {
            return BTreeMap::new();
        };
        let queries = lookup.queries().clone();
        let failed = lookup.finish(&mut self.facts);
        let found = queries.into_iter().filter(|q| !failed.contains_key(q));
        self.looked_up_at.extend(found.map(|query| (query, now)));
        let certificates = self.facts.certificates.clone();
        self.certificates.extend(certificates.unwrap_or_default());
        failed
    }

    /// Takes from a census which of these target groups there are.
    pub(super) fn learn_target_groups(
        &mut self,
        names: BTreeSet<String>,
        census: &Census,
        now: Timestamp,
    ) {
        for name in names {
            let mut groups = census.target_groups.values();
            let found = groups.find(|group| group.name == name).cloned();
            self.facts.target_groups.insert(name.clone(), found);
            self.looked_up_at.insert(FactQuery::TargetGroup(name), now);
        }
    }

    /// A target group is not there any more.
    pub(super) fn forget_target_group(&mut self, name: &str) {
        self.facts.target_groups.remove(name);
    }

    /// Forgets these target groups, so that the next translation asks for them again.
    pub(super) fn forget_target_groups(&mut self, arns: &BTreeSet<&TargetGroupArn>) {
        let groups = &mut self.facts.target_groups;
        groups.retain(|_, group| {
            group
                .as_ref()
                .is_none_or(|group| !arns.contains(&group.arn))
        });
    }

    /// Forgets facts that are older than that, so that the next translation asks for them again. Zone
    /// types, the VPC's networks and target groups that are there stay: they do not change.
    pub(super) fn expire(&mut self, now: Timestamp, age_max_ms: u64) {
        let facts = &mut self.facts;
        self.looked_up_at.retain(|query, at| {
            let is_old = now.millis_since(*at) > age_max_ms;
            match query {
                FactQuery::Vpc | FactQuery::AvailabilityZones | FactQuery::LoadBalancerOf(_) => {
                    return true;
                }
                FactQuery::Subnets if is_old => facts.subnets = None,
                FactQuery::PublicSubnets if is_old => facts.public_subnets = None,
                FactQuery::SecurityGroupsByName(name) if is_old => {
                    facts.security_groups_by_name.remove(name);
                }
                FactQuery::TrustStoreByName(name) if is_old => {
                    facts.trust_stores_by_name.remove(name);
                }
                FactQuery::Certificates if is_old => facts.certificates = None,
                // What makes a group or a VPC what it is does not change. What is not there may come.
                FactQuery::TargetGroup(name) => {
                    if facts.target_groups.get(name).is_some_and(Option::is_some) {
                        return true;
                    }
                    if is_old {
                        facts.target_groups.remove(name);
                    }
                }
                FactQuery::OtherVpc(vpc_id) => {
                    if facts.other_vpcs.get(vpc_id).is_some_and(Option::is_some) {
                        return true;
                    }
                    if is_old {
                        facts.other_vpcs.remove(vpc_id);
                    }
                }
                _ => {}
            }
            !is_old
        });
    }
}
