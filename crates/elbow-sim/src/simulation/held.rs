//! Gateways of which nothing can be said: what they have goes on serving, so its targets must be fresh.
//!
//! In: a machine at rest, the TargetGroupBindings that it had written, the endpoints that there are. Out: an error
//! that says what did not hold. What always holds: the account is asked for what is registered, not the machine, and
//! endpoints are counted here once more.

use std::collections::BTreeSet;

use elbow_api::{Object, crds};
use elbow_model::observed::TargetState;
use elbow_model::{AwsAnswer, AwsCall, TargetGroupArn};
use elbow_reconcile::{RoundResult, Unit};

use super::Simulation;

/// Addresses behind a Service.
#[derive(Debug, Default)]
struct Addresses {
    all: BTreeSet<String>,
    ready: BTreeSet<String>,
}

impl Simulation {
    /// The targets of Gateways that are blocked are their endpoints, all that are ready and no others.
    pub(super) fn check_held(&mut self) -> Result<(), String> {
        let bindings = self.kept.written_bindings();
        let bindings = bindings.filter(|(gateway, _, binding)| {
            let unit = Unit::Gateway((*gateway).clone());
            self.results.get(&unit) == Some(&RoundResult::Blocked)
                && binding.spec.target_type == Some(crds::TargetType::Ip)
                && !binding.spec.is_multi_cluster()
        });
        let held: Vec<(String, String)> = bindings
            .map(|(_, arn, binding)| (arn.clone(), binding.spec.service_ref.name.clone()))
            .collect();
        for (arn, service) in held {
            let call = AwsCall::DescribeTargetHealth {
                target_group: TargetGroupArn::new(arn.clone()),
            };
            // One that is gone has no targets.
            let Ok(AwsAnswer::TargetHealth(targets)) = self.account.answer(0, &call) else {
                continue;
            };
            let targets = targets.into_iter();
            let there: BTreeSet<String> = targets
                .filter(|target| target.state != TargetState::Draining)
                .map(|target| target.target.id)
                .collect();
            let Addresses { all, ready } = self.addresses_behind(&service);
            if !ready.is_subset(&there) || !there.is_subset(&all) {
                return Err(format!(
                    "{arn} of a Gateway that is blocked has {there:?}; {service} has {all:?}, ready {ready:?}"
                ));
            }
        }
        Ok(())
    }

    fn addresses_behind(&self, service: &str) -> Addresses {
        let mut found = Addresses::default();
        for object in self.snapshot.objects() {
            let Object::EndpointSlice(slice) = object else {
                continue;
            };
            let labels = slice.metadata.labels.iter().flatten();
            let is_of_service = |(key, value): (&String, &String)| {
                key == "kubernetes.io/service-name" && value == service
            };
            if !labels.into_iter().any(is_of_service) {
                continue;
            }
            for endpoint in slice.endpoints.iter().flatten() {
                let conditions = endpoint.conditions.as_ref();
                found.all.extend(endpoint.addresses.iter().cloned());
                if conditions.and_then(|c| c.ready) != Some(false) {
                    found.ready.extend(endpoint.addresses.iter().cloned());
                }
            }
        }
        found
    }
}
