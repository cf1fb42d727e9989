//! What every part of a translation reads, and where it leaves what it finds.
//!
//! In: Snapshot, Facts, Settings. Out: look-ups that are recorded, facts that are asked for when they
//! are missing, and diagnostics, ordered and without duplicates. A fact that is missing is `None`
//! here, the part goes on with nothing in its place, and the whole answer is thrown away for
//! [`super::Translated::NeedFacts`]: so one pass asks for as many facts as it can.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use elbow_api::crds::TargetGroupConfiguration;
use elbow_api::{Diagnostic, Kind, NamespacedName, Read, Reader, Snapshot};
use elbow_model::aws_call::TargetGroupDescription;
use elbow_model::facts::{Certificate, ExistingLoadBalancer, Subnet, Vpc, ZoneType};
use elbow_model::{
    CertificateArn, FactQuery, Facts, SecurityGroupId, StackId, SubnetId, TrustStoreArn, VpcId,
};

use crate::settings::Settings;

/// The TargetGroupConfigurations of one namespace, by the kind and name of what they are for.
type ByReference<'a> = BTreeMap<(String, String), Vec<&'a Arc<TargetGroupConfiguration>>>;

/// What every part of a translation reads, and where it leaves what it finds.
pub(crate) struct Context<'a> {
    pub(crate) reader: Reader<'a>,
    pub(crate) facts: &'a Facts,
    pub(crate) settings: &'a Settings,
    diagnostics: RefCell<BTreeSet<Diagnostic>>,
    needed: RefCell<BTreeSet<FactQuery>>,
    holds_until_seconds: Cell<Option<i64>>,
    target_group_configurations: RefCell<BTreeMap<String, ByReference<'a>>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, facts: &'a Facts, settings: &'a Settings) -> Self {
        Self {
            reader: Reader::new(snapshot),
            facts,
            settings,
            diagnostics: RefCell::default(),
            needed: RefCell::default(),
            holds_until_seconds: Cell::default(),
            target_group_configurations: RefCell::default(),
        }
    }

    /// Notes a finding.
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.diagnostics.borrow_mut().insert(diagnostic);
    }

    /// Notes that something was judged by the time, and when it is to be judged otherwise, in seconds
    /// since 1970; `None` for never.
    pub(crate) fn holds_until(&self, seconds: Option<i64>) {
        let until = self.holds_until_seconds.get();
        self.holds_until_seconds
            .set(until.into_iter().chain(seconds).min());
    }

    /// When the first of what was judged by the time is to be judged otherwise.
    pub(crate) fn holds_until_seconds(&self) -> Option<i64> {
        self.holds_until_seconds.get()
    }

    /// What was read, asked for and found.
    pub(crate) fn into_parts(self) -> (BTreeSet<Read>, BTreeSet<FactQuery>, Vec<Diagnostic>) {
        (
            self.reader.into_reads(),
            self.needed.into_inner(),
            self.diagnostics.into_inner().into_iter().collect(),
        )
    }

    pub(crate) fn vpc(&self) -> Option<&'a Vpc> {
        self.ask(self.facts.vpc.as_ref(), || FactQuery::Vpc)
    }

    pub(crate) fn subnets(&self) -> Option<&'a BTreeMap<SubnetId, Subnet>> {
        self.ask(self.facts.subnets.as_ref(), || FactQuery::Subnets)
    }

    pub(crate) fn public_subnets(&self) -> Option<&'a BTreeSet<SubnetId>> {
        self.ask(self.facts.public_subnets.as_ref(), || {
            FactQuery::PublicSubnets
        })
    }

    /// A VPC, the cluster's or another; `None` also where there is no such VPC.
    pub(crate) fn vpc_of(&self, vpc_id: &VpcId) -> Option<&'a Vpc> {
        if *vpc_id == self.settings.vpc_id {
            return self.vpc();
        }
        let found = self.ask(self.facts.other_vpcs.get(vpc_id), || {
            FactQuery::OtherVpc(vpc_id.clone())
        });
        found?.as_ref()
    }

    /// The target group of a name. The outer `None` stands for a fact that is missing.
    pub(crate) fn target_group(&self, name: &str) -> Option<&'a Option<TargetGroupDescription>> {
        self.ask(self.facts.target_groups.get(name), || {
            FactQuery::TargetGroup(name.to_owned())
        })
    }

    pub(crate) fn zones(&self) -> Option<&'a BTreeMap<String, ZoneType>> {
        self.ask(self.facts.zones.as_ref(), || FactQuery::AvailabilityZones)
    }

    pub(crate) fn certificates(&self) -> Option<&'a BTreeMap<CertificateArn, Certificate>> {
        self.ask(self.facts.certificates.as_ref(), || FactQuery::Certificates)
    }

    pub(crate) fn security_groups_named(&self, name: &str) -> Option<&'a Vec<SecurityGroupId>> {
        self.ask(self.facts.security_groups_by_name.get(name), || {
            FactQuery::SecurityGroupsByName(name.to_owned())
        })
    }

    pub(crate) fn trust_store_named(&self, name: &str) -> Option<&'a Option<TrustStoreArn>> {
        self.ask(self.facts.trust_stores_by_name.get(name), || {
            FactQuery::TrustStoreByName(name.to_owned())
        })
    }

    pub(crate) fn load_balancer_of(
        &self,
        stack: &StackId,
    ) -> Option<&'a Option<ExistingLoadBalancer>> {
        self.ask(self.facts.load_balancers.get(stack), || {
            FactQuery::LoadBalancerOf(stack.clone())
        })
    }

    fn ask<T>(&self, fact: Option<&'a T>, query: impl FnOnce() -> FactQuery) -> Option<&'a T> {
        if fact.is_none() {
            self.needed.borrow_mut().insert(query());
        }
        fact
    }

    /// The TargetGroupConfigurations for a Service or Gateway, by name. A namespace is searched once in
    /// a translation, however many Services it has.
    pub(crate) fn target_group_configurations_for(
        &self,
        kind: Kind,
        backend: &NamespacedName,
    ) -> Vec<&'a Arc<TargetGroupConfiguration>> {
        let mut cache = self.target_group_configurations.borrow_mut();
        let namespace = &backend.namespace;
        let by_reference = cache.entry(namespace.clone()).or_insert_with(|| {
            let mut by_reference = ByReference::new();
            for configuration in self.reader.target_group_configurations_in(namespace) {
                if let Some(target) = &configuration.spec.target_reference {
                    let key = (target.kind.clone(), target.name.clone());
                    by_reference.entry(key).or_default().push(configuration);
                }
            }
            by_reference
        });
        let key = (kind.as_str().to_owned(), backend.name.clone());
        by_reference.get(&key).cloned().unwrap_or_default()
    }
}
