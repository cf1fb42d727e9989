//! What a call log says of one API call, beyond what the emulator itself remembers.
//!
//! In: a request as it came over the wire, and its answer. Out: an [`ApiCall`], which serialises to
//! one line of JSON. Always: each request makes one, refused and unknown ones included; no secret of a
//! request is in it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use elbow_emulator::{Operation, Service, Timestamp, is_read};
use serde::Serialize;
use serde_json::Value;

/// Codes by which AWS says that calls come too fast, as its SDKs know them.
const THROTTLING_CODES: [&str; 6] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "TooManyRequestsException",
];

/// Told of each call when it is answered. It is called on the runtime's threads: it must not block.
pub type CallSink = Arc<dyn Fn(&ApiCall) + Send + Sync>;

/// One API call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiCall {
    /// When it was answered, in milliseconds since 1970.
    pub time: u64,
    /// The same in the emulator's time.
    pub at: u64,
    /// The id in the answer.
    pub request_id: String,
    /// `elbv2`, `ec2`, …; absent when the request names no service that is modelled.
    pub service: Option<&'static str>,
    /// Absent when the request names no operation that is modelled.
    pub operation: Option<&'static str>,
    /// Whether the operation only reads.
    pub read: bool,
    /// HTTP status of the answer.
    pub status: u16,
    /// Code of the error, if it was refused.
    pub error: Option<String>,
    /// Whether it was refused because calls came too fast.
    pub throttled: bool,
    /// Who called.
    pub user_agent: Option<String>,
    /// What the call is about: ARNs, EC2 ids and names in the request, and in the answer to a write.
    pub resources: BTreeSet<String>,
}

/// A call that has not been answered yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) user_agent: Option<String>,
    pub(crate) operation: Option<&'static Operation>,
    /// Service and operation of what is no [`Operation`].
    pub(crate) named: Option<(&'static str, &'static str)>,
    pub(crate) resources: BTreeSet<String>,
}

impl Pending {
    /// Notes what a request asks for.
    pub(crate) fn asked(&mut self, operation: &'static Operation, request: &Value) {
        self.operation = Some(operation);
        collect(operation.service, None, request, &mut self.resources);
    }

    /// Notes what came of it. What a read shows is no business of the log.
    pub(crate) fn answered(&mut self, operation: &Operation, response: &Value) {
        if !is_read(operation.name) {
            collect(operation.service, None, response, &mut self.resources);
        }
    }

    pub(crate) fn finish(
        self,
        at: Timestamp,
        request_id: String,
        status: u16,
        error: Option<String>,
    ) -> ApiCall {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let of_operation = |operation: &Operation| (operation.service.name(), operation.name);
        let named = self.operation.map(of_operation).or(self.named);
        ApiCall {
            time: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            at: at.as_millis(),
            request_id,
            service: named.map(|(service, _)| service),
            operation: named.map(|(_, operation)| operation),
            read: named.is_some_and(|(_, operation)| is_read(operation)),
            status,
            throttled: error
                .as_deref()
                .is_some_and(|code| THROTTLING_CODES.contains(&code)),
            error,
            user_agent: self.user_agent,
            resources: self.resources,
        }
    }
}

/// Finds what names a resource, at any depth.
fn collect(service: Service, member: Option<&str>, value: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let names = service == Service::ElbV2 && matches!(member, Some("Name" | "Names"));
            if names || text.starts_with("arn:aws") || is_ec2_id(text) {
                out.insert(text.clone());
            }
        }
        Value::Array(items) => {
            for item in items {
                collect(service, member, item, out);
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                collect(service, Some(name), value, out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `sg-0123456789abcdef0`: a word, and 8 or 17 hexadecimal digits.
fn is_ec2_id(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(kind, digits)| {
        matches!(digits.len(), 8 | 17)
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && (1..=10).contains(&kind.len())
            && kind
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use elbow_emulator::operation::find;
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_of_requests_and_of_answers_to_writes() {
        let group = find(Service::Ec2, "CreateSecurityGroup").unwrap();
        let mut pending = Pending::default();
        let request = json!({"GroupName": "x", "VpcId": "vpc-0123456789abcdef0", "Tags": null});
        pending.asked(group, &request);
        pending.answered(group, &json!({"GroupId": "sg-01234567"}));
        let call = pending.finish(
            Timestamp::from_millis(5),
            "id".into(),
            503,
            Some("RequestLimitExceeded".into()),
        );
        assert_eq!(
            call.resources
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>(),
            ["sg-01234567", "vpc-0123456789abcdef0"]
        );
        assert!(call.throttled && !call.read);
        assert_eq!((call.at, call.service), (5, Some("ec2")));

        let describe = find(Service::ElbV2, "DescribeLoadBalancers").unwrap();
        let mut pending = Pending::default();
        pending.asked(describe, &json!({"Names": ["web"]}));
        pending.answered(
            describe,
            &json!({"LoadBalancers": [{"LoadBalancerArn": "arn:aws:x"}]}),
        );
        let call = pending.finish(Timestamp::from_millis(5), "id".into(), 200, None);
        assert_eq!(call.resources, BTreeSet::from(["web".to_owned()]));
        assert!(call.read && !call.throttled);
    }
}
