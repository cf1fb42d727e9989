//! What there is of ours in an account, and what must not be done to it.
//!
//! In: an account, a call that is about to be carried out. Out: what is there besides load balancers,
//! target groups and security groups; an error where a change would take away what is in use, or make
//! a second one. What always holds: the emulator may refuse the call all the same; that it was made is the
//! mistake.

use std::collections::BTreeSet;

use elbow_model::{AwsAnswer, AwsCall, CertificateArn, LoadBalancerArn, Tags};

use crate::account::{Account, is_node_rule, stack_of};

/// Tag of what is shared, and of which thing it is.
const SHARED_RESOURCE_TAG: &str = "elbv2.k8s.aws/resource";

impl Account {
    /// Fails where a call takes away what something else uses, or makes what is there. Where others have had
    /// their hands in the account, nobody can know.
    pub(crate) fn may_be_done(&mut self, call: &AwsCall, is_disturbed: bool) -> Result<(), String> {
        let used_by = match call {
            AwsCall::DeleteCertificate { certificate } => {
                let uses = |account: &mut Self, lb: &LoadBalancerArn| {
                    account.certificates_of(lb).contains(certificate)
                };
                self.balancer_that(uses)
            }
            AwsCall::DeleteTrustStore { trust_store } => {
                let uses = |account: &mut Self, lb: &LoadBalancerArn| {
                    let listeners = account.listeners_of(lb);
                    let mut stores = listeners
                        .iter()
                        .filter_map(|listener| listener.mutual_authentication.trust_store());
                    stores.any(|store| store == trust_store)
                };
                self.balancer_that(uses)
            }
            AwsCall::DeleteTargetGroup { target_group } => {
                let groups = self.target_groups().into_iter();
                let mut groups = groups.filter(|group| target_group.known() == Some(&group.arn));
                let users = groups.next().map(|group| group.load_balancers);
                users.unwrap_or_default().into_iter().next()
            }
            AwsCall::DeleteSecurityGroup { group } => {
                let balancers = self.load_balancers().into_iter();
                let mut users = balancers.filter(|lb| {
                    { group.known() }.is_some_and(|id| lb.security_groups.contains(id))
                });
                users.next().map(|lb| lb.arn)
            }
            AwsCall::ImportCertificate {
                certificate: None,
                tags,
                ..
            } if !is_disturbed => {
                let there = self.imported();
                let is_it = |other: &Tags| {
                    stack_of(other).is_some()
                        && other.get(SHARED_RESOURCE_TAG) == tags.get(SHARED_RESOURCE_TAG)
                };
                return match there.iter().find(|(_, tags)| is_it(tags)) {
                    Some((arn, _)) => Err(format!("imports {arn} a second time")),
                    None => Ok(()),
                };
            }
            _ => None,
        };
        match used_by {
            Some(balancer) if !is_disturbed => {
                Err(format!("{call:?} is about something that {balancer} uses"))
            }
            _ => Ok(()),
        }
    }

    fn balancer_that(
        &mut self,
        is_it: impl Fn(&mut Self, &LoadBalancerArn) -> bool,
    ) -> Option<LoadBalancerArn> {
        let balancers = self.load_balancers().into_iter().map(|lb| lb.arn);
        balancers
            .collect::<Vec<_>>()
            .into_iter()
            .find(|lb| is_it(self, lb))
    }

    pub(crate) fn listeners_of(
        &mut self,
        lb: &LoadBalancerArn,
    ) -> Vec<elbow_model::aws_call::ListenerDescription> {
        let call = AwsCall::DescribeListeners {
            load_balancer: lb.clone(),
            marker: None,
        };
        match self.answer(0, &call) {
            Ok(AwsAnswer::Listeners(page)) => page.items,
            _ => Vec::new(),
        }
    }

    /// The certificates that the listeners of a load balancer have.
    fn certificates_of(&mut self, lb: &LoadBalancerArn) -> BTreeSet<CertificateArn> {
        let mut found = BTreeSet::new();
        for listener in self.listeners_of(lb) {
            found.extend(listener.default_certificate);
            let call = AwsCall::DescribeListenerCertificates {
                listener: listener.arn,
                marker: None,
            };
            if let Ok(AwsAnswer::ListenerCertificates(page)) = self.answer(0, &call) {
                found.extend(page.items.into_iter().map(|certificate| certificate.arn));
            }
        }
        found
    }

    /// Certificates of ours, with their tags.
    pub(crate) fn imported(&mut self) -> Vec<(CertificateArn, Tags)> {
        let Ok(AwsAnswer::CertificateArns(page)) =
            self.answer(0, &AwsCall::ListImportedCertificates { marker: None })
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for arn in page.items {
            if let Some(tags) = self.tags_of(arn.as_str())
                && stack_of(&tags).is_some()
            {
                found.push((arn, tags));
            }
        }
        found
    }

    /// How many trust stores there are.
    pub(crate) fn n_trust_stores(&mut self) -> usize {
        let call = AwsCall::DescribeTrustStores {
            names: Vec::new(),
            marker: None,
        };
        match self.answer(0, &call) {
            Ok(AwsAnswer::TrustStores(page)) => page.items.len(),
            _ => 0,
        }
    }

    /// Everything that is there of ours, in words; empty when nothing is.
    pub(crate) fn leftovers(&mut self) -> Vec<String> {
        let [balancers, groups, security] = self.count_ours();
        let guards = self.guards();
        let rules = guards.iter().flat_map(|group| &group.ingress);
        let rules = rules.filter(|rule| is_node_rule(rule)).count();
        let counts = [
            ("load balancers", balancers),
            ("target groups", groups),
            ("security groups", security),
            ("certificates", self.imported().len()),
            ("trust stores", self.n_trust_stores()),
            ("rules of nodes", rules),
        ];
        let left = counts.into_iter().filter(|(_, count)| *count > 0);
        left.map(|(what, count)| format!("{count} {what}"))
            .collect()
    }
}
