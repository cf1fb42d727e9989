//! How fast an account may call: AWS's token buckets.
//!
//! In: an operation, whether it asks for everything, and the time. Out: AWS's refusal when a bucket is
//! empty. Always: whole seconds refill; a call that is refused takes no token from any bucket.
//!
//! Sources: "API throttling" in Elastic Load Balancing's user guide, "Request throttling for the Amazon
//! EC2 API" in EC2's developer guide, "Quotas" in ACM's user guide. For STS and the tagging API no
//! buckets are documented, and there are none here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::operation::Operation;
use crate::{ApiError, Service, Timestamp};

/// Whether calls are throttled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Throttling {
    /// Any number of calls at any speed.
    #[default]
    None,
    /// As AWS documents it.
    Aws,
}

/// A bucket: how many tokens it holds, and how many come back each second, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    /// What shares the bucket; one operation, or a category of them.
    name: &'static str,
    capacity: u64,
    refill_milli: u64,
}

/// All buckets of an account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buckets(BTreeMap<(Service, &'static str), Level>);

#[derive(Clone, Copy, Debug)]
struct Level {
    /// Thousandths of a token, since 0.2 tokens a second is a rate that exists.
    milli: u64,
    /// When the last whole second was credited.
    credited: Timestamp,
}

const TOKEN: u64 = 1_000;

impl Buckets {
    /// Takes a token from each bucket that the operation draws on, or none and refuses.
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        operation: &Operation,
        asks_for_all: bool,
    ) -> Result<(), ApiError> {
        let limits = limits(operation, asks_for_all);
        let service = operation.service;
        let has_token =
            |limit: &Limit, buckets: &mut Self| buckets.level(now, service, limit).milli >= TOKEN;
        if !limits.iter().all(|limit| has_token(limit, self)) {
            return Err(refusal(service));
        }
        for limit in &limits {
            self.level(now, service, limit).milli -= TOKEN;
        }
        Ok(())
    }

    /// The bucket, with what has come back until now.
    fn level(&mut self, now: Timestamp, service: Service, limit: &Limit) -> &mut Level {
        let full = limit.capacity * TOKEN;
        let level = self.0.entry((service, limit.name)).or_insert(Level {
            milli: full,
            credited: now,
        });
        let seconds = now.millis_since(level.credited) / 1_000;
        level.milli = full.min(level.milli + seconds.saturating_mul(limit.refill_milli));
        level.credited = level.credited.plus_seconds(seconds);
        level
    }
}

/// Whether a request names neither resources nor filters nor a page size: EC2 has smaller buckets for
/// such ("unfiltered and unpaginated"). A list that is there and empty counts as not there.
pub(crate) fn asks_for_all(operation: &Operation, request: &Value) -> bool {
    let is_absent = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    operation.service == Service::Ec2
        && request.as_object().is_none_or(|members| {
            let mut members = members.iter();
            members.all(|(name, value)| name == "DryRun" || is_absent(value))
        })
}

fn refusal(service: Service) -> ApiError {
    match service {
        // The guide says `ThrottlingException`; clients get `Throttling` (aws-load-balancer-controller
        // 1871).
        Service::ElbV2 => ApiError::sender("Throttling", "Rate exceeded"),
        Service::Ec2 => {
            ApiError::receiver("RequestLimitExceeded", "Request limit exceeded.").with_status(503)
        }
        Service::Acm | Service::Sts | Service::Tagging => {
            ApiError::sender("ThrottlingException", "Rate exceeded")
        }
    }
}

fn limits(operation: &Operation, asks_for_all: bool) -> Vec<Limit> {
    match operation.service {
        // Every call also counts for the account.
        Service::ElbV2 => vec![limit("account", 40, 10_000), elbv2(operation.name)],
        Service::Ec2 => vec![ec2(operation.name, asks_for_all)],
        Service::Acm => acm(operation.name),
        Service::Sts | Service::Tagging => Vec::new(),
    }
}

const fn limit(name: &'static str, capacity: u64, refill_milli: u64) -> Limit {
    Limit {
        name,
        capacity,
        refill_milli,
    }
}

/// Elastic Load Balancing's categories; the operations of one share a bucket.
fn elbv2(operation: &str) -> Limit {
    match operation {
        "CreateLoadBalancer" | "SetSubnets" => limit("resource intensive", 10, 200),
        "RegisterTargets" | "DeregisterTargets" => limit("registration", 20, 4_000),
        "CreateTrustStore" => limit("trust store creation", 10, 200),
        "AddTrustStoreRevocations"
        | "DeleteSharedTrustStoreAssociation"
        | "DeleteTrustStore"
        | "ModifyTrustStore"
        | "RemoveTrustStoreRevocations" => limit("trust stores", 10, 200),
        "GetResourcePolicy"
        | "GetTrustStoreCaCertificatesBundle"
        | "GetTrustStoreRevocationContent" => limit("trust store contents", 20, 4_000),
        "DescribeTrustStoreAssociations"
        | "DescribeTrustStoreRevocations"
        | "DescribeTrustStores" => limit("trust store descriptions", 40, 10_000),
        name if name.starts_with("Describe") => limit("non-mutating", 40, 10_000),
        _ => limit("mutating", 20, 3_000),
    }
}

/// EC2 has a bucket for each operation.
fn ec2(operation: &'static str, asks_for_all: bool) -> Limit {
    match operation {
        "DescribeInstances" if asks_for_all => limit("all instances", 50, 10_000),
        "DescribeNetworkInterfaces" if asks_for_all => limit("all interfaces", 50, 10_000),
        "DescribeSecurityGroups" if asks_for_all => limit("all security groups", 50, 10_000),
        "CreateTags" | "DeleteTags" => limit(operation, 100, 10_000),
        name if name.starts_with("Describe") || name.starts_with("Get") => {
            limit(operation, 100, 20_000)
        }
        // Mutating and resource-intensive operations alike.
        _ => limit(operation, 50, 5_000),
    }
}

/// ACM documents requests per second; that a second's worth may come at once is the least that such a
/// rate can mean.
fn acm(operation: &'static str) -> Vec<Limit> {
    let rate = match operation {
        "AddTagsToCertificate" | "RemoveTagsFromCertificate" | "RequestCertificate" => 5,
        "DeleteCertificate"
        | "DescribeCertificate"
        | "GetCertificate"
        | "ListTagsForCertificate" => 10,
        "ImportCertificate" => 1,
        "ListCertificates" => 8,
        // No rate is documented.
        _ => return Vec::new(),
    };
    vec![limit(operation, rate, rate * TOKEN)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operation::find;
    use crate::{Config, Emulator};

    /// How many calls in a row are answered at one moment.
    fn burst(
        emulator: &mut Emulator,
        at: u64,
        service: Service,
        name: &str,
        request: &Value,
    ) -> (u32, String) {
        let operation = find(service, name).unwrap();
        let mut answered = 0;
        loop {
            let result =
                emulator.handle_value(Timestamp::from_millis(at), operation, request.clone());
            match result {
                Err(error) if refusal(service).code == error.code => {
                    return (answered, format!("{} {}", error.status, error.code));
                }
                _ if answered > 500 => return (answered, "no limit".to_owned()),
                // Other refusals are answers, too: they cost a token.
                _ => answered += 1,
            }
        }
    }

    fn throttled() -> Emulator {
        Emulator::new(Config {
            throttling: Throttling::Aws,
            ..Config::default()
        })
    }

    #[test]
    fn each_family_has_its_bucket() {
        let rows = [
            (
                Service::ElbV2,
                "DescribeLoadBalancers",
                json!({}),
                40,
                "400 Throttling",
            ),
            (
                Service::ElbV2,
                "CreateLoadBalancer",
                json!({"Name": "a"}),
                10,
                "400 Throttling",
            ),
            (
                Service::ElbV2,
                "DeleteRule",
                json!({"RuleArn": "a"}),
                20,
                "400 Throttling",
            ),
            (
                Service::Ec2,
                "DescribeSubnets",
                json!({}),
                100,
                "503 RequestLimitExceeded",
            ),
            (
                Service::Ec2,
                "DescribeInstances",
                json!({}),
                50,
                "503 RequestLimitExceeded",
            ),
            (
                Service::Ec2,
                "DescribeInstances",
                json!({"MaxResults": 100}),
                100,
                "503 RequestLimitExceeded",
            ),
            (
                Service::Ec2,
                "CreateTags",
                json!({}),
                100,
                "503 RequestLimitExceeded",
            ),
            (
                Service::Ec2,
                "AuthorizeSecurityGroupIngress",
                json!({}),
                50,
                "503 RequestLimitExceeded",
            ),
            (
                Service::Acm,
                "ListCertificates",
                json!({}),
                8,
                "400 ThrottlingException",
            ),
            (
                Service::Sts,
                "GetCallerIdentity",
                json!({}),
                501,
                "no limit",
            ),
        ];
        for (service, name, request, expected, code) in rows {
            let got = burst(&mut throttled(), 0, service, name, &request);
            assert_eq!(got, (expected, code.to_owned()), "{name} {request}");
        }
    }

    #[test]
    fn whole_seconds_bring_tokens_back() {
        let emulator = &mut throttled();
        let mut describe = |at| {
            let none = json!({});
            burst(emulator, at, Service::ElbV2, "DescribeLoadBalancers", &none).0
        };
        assert_eq!(describe(0), 40);
        assert_eq!(describe(999), 0);
        assert_eq!(describe(1_000), 10);
        assert_eq!(
            describe(3_500),
            20,
            "the half second counts with the next one"
        );
        assert_eq!(describe(4_000), 10);
        assert_eq!(describe(3_600_000), 40, "never more than it holds");
    }

    #[test]
    fn a_fifth_of_a_token_a_second_is_one_after_five() {
        let emulator = &mut throttled();
        let request = json!({"Name": "a"});
        let mut create = |at| burst(emulator, at, Service::ElbV2, "CreateLoadBalancer", &request).0;
        assert_eq!(create(0), 10);
        assert_eq!((create(4_000), create(5_000), create(6_000)), (0, 1, 0));
    }

    #[test]
    fn calls_of_one_kind_leave_those_of_another_until_the_account_is_out() {
        let emulator = &mut throttled();
        let none = json!({});
        let arn = json!({"RuleArn": "a"});
        assert_eq!(burst(emulator, 0, Service::ElbV2, "DeleteRule", &arn).0, 20);
        let left = burst(emulator, 0, Service::ElbV2, "DescribeLoadBalancers", &none).0;
        assert_eq!(left, 20, "40 for the account, of which 20 are gone");
        assert_eq!(
            burst(emulator, 0, Service::Ec2, "DescribeVpcs", &none).0,
            100
        );
    }

    #[test]
    fn without_throttling_nothing_is_counted() {
        let mut emulator = Emulator::new(Config::default());
        let (answered, _) = burst(
            &mut emulator,
            0,
            Service::ElbV2,
            "DescribeLoadBalancers",
            &json!({}),
        );
        assert_eq!(answered, 501);
    }
}
