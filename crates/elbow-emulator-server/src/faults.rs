//! What goes wrong on purpose, between the wire and the emulator.
//!
//! In: [`Fault`]s, from a file or over the admin paths. Out: for each call, what is done to it. Always:
//! the emulator knows nothing of it: a call that a fault refuses was never made, one whose answer is
//! lost was.
//!
//! Start at [`Faults::meet`].

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use elbow_emulator::{ApiError, Latencies, Operation, Quotas, Service, Throttling};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Everything that can be set to go wrong.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FaultPlan {
    /// Faults of calls. When several fit a call, all of them are met, in this order.
    pub faults: Vec<Fault>,
    /// Quotas other than AWS's.
    pub quotas: Option<Quotas>,
    /// How long AWS's own work takes, other than usual.
    pub latencies: Option<Latencies>,
    /// Whether calls that come too fast are refused.
    pub throttling: Option<Throttling>,
    /// For how many milliseconds of the emulator's time reads do not show what writes did.
    pub read_lag_milliseconds: Option<u64>,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// Service as in boto3, such as `elbv2`; every one if left out.
    #[serde(default)]
    pub service: Option<String>,
    /// Operation, with `*` for any text; every one if left out.
    #[serde(default)]
    pub operation: Option<String>,
    /// What a call must be about: an ARN, id or name in its request, with `*` for any text.
    #[serde(default)]
    pub resource: Option<String>,
    /// What happens.
    pub effect: Effect,
    /// How many calls that fit go well before the first one does not.
    #[serde(default)]
    pub after: u64,
    /// How many calls meet it; every one if left out.
    #[serde(default)]
    pub times: Option<u64>,
    /// For how many seconds from now, of real time, calls meet it; for ever if left out.
    #[serde(default)]
    pub seconds: Option<f64>,
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Effect {
    /// It is refused.
    Error {
        /// AWS's code.
        code: String,
        /// Text for people.
        #[serde(default)]
        message: Option<String>,
        /// HTTP status; 400 if left out.
        #[serde(default)]
        status: Option<u16>,
    },
    /// It is refused for lack of permission, with the service's own code.
    Deny,
    /// It waits before it is carried out.
    Delay {
        /// Real time.
        milliseconds: u64,
    },
    /// It is carried out, and the connection closed instead of an answer.
    LoseAnswer,
    /// The connection is closed at once, and nothing carried out.
    Disconnect,
}

/// What is done to one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Meeting {
    /// Before anything else.
    pub(crate) delay: Duration,
    /// Instead of the call.
    pub(crate) instead: Option<Instead>,
    /// After it.
    pub(crate) loses_answer: bool,
}

/// What comes instead of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Instead {
    Refusal(ApiError),
    Disconnect,
}

/// The faults of an endpoint, which may change while it runs.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Active>>);

#[derive(Debug)]
struct Active {
    fault: Fault,
    /// Calls that fitted.
    seen: u64,
    until: Option<Instant>,
}

/// A fault and how often it was met.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    #[serde(flatten)]
    fault: Fault,
    met: u64,
}

impl Faults {
    /// Adds faults after those that are there.
    pub fn add(&self, faults: Vec<Fault>) {
        let now = Instant::now();
        let active = faults.into_iter().map(|fault| Active {
            until: fault
                .seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .and_then(|duration| now.checked_add(duration)),
            fault,
            seen: 0,
        });
        self.lock().extend(active);
    }

    /// Takes all of them away.
    pub fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn report(&self) -> Vec<Report> {
        let active = self.lock();
        let report = active.iter().map(|active| Report {
            met: active.met(),
            fault: active.fault.clone(),
        });
        report.collect()
    }

    /// What a call meets. Each fault counts the calls that fit it.
    pub(crate) fn meet(
        &self,
        operation: &Operation,
        resources: &BTreeSet<String>,
        account: &str,
    ) -> Meeting {
        let mut meeting = Meeting::default();
        let now = Instant::now();
        for active in self.lock().iter_mut() {
            if !active.is_met(operation, resources, now) {
                continue;
            }
            match &active.fault.effect {
                Effect::Delay { milliseconds } => {
                    meeting.delay += Duration::from_millis(*milliseconds);
                }
                Effect::LoseAnswer => meeting.loses_answer = true,
                Effect::Disconnect => meeting.instead = Some(Instead::Disconnect),
                Effect::Deny => {
                    meeting.instead = Some(Instead::Refusal(denied(operation, account)));
                }
                Effect::Error {
                    code,
                    message,
                    status,
                } => {
                    let status = status.unwrap_or(400);
                    let message = message.as_deref().unwrap_or("Injected");
                    let error = if status < 500 {
                        ApiError::sender(code, message)
                    } else {
                        ApiError::receiver(code, message)
                    };
                    meeting.instead = Some(Instead::Refusal(error.with_status(status)));
                }
            }
        }
        meeting
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Active>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    fn met(&self) -> u64 {
        let met = self.seen.saturating_sub(self.fault.after);
        self.fault.times.map_or(met, |times| met.min(times))
    }

    /// Whether the call meets the fault; counts it if it fits.
    fn is_met(
        &mut self,
        operation: &Operation,
        resources: &BTreeSet<String>,
        now: Instant,
    ) -> bool {
        let Fault {
            service,
            operation: pattern,
            resource,
            ..
        } = &self.fault;
        let fits = |pattern: &Option<String>, text: &str| {
            pattern
                .as_deref()
                .is_none_or(|pattern| matches(pattern, text))
        };
        let is_about = resource.is_none() || resources.iter().any(|name| fits(resource, name));
        let is_over = self.until.is_some_and(|until| until <= now);
        if is_over
            || !is_about
            || !fits(service, operation.service.name())
            || !fits(pattern, operation.name)
        {
            return false;
        }
        let before = self.met();
        self.seen += 1;
        self.met() > before
    }
}

/// `*` stands for any text, the empty one included.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            let mut ends = tail.char_indices().map(|(index, _)| index);
            matches(rest, "") || ends.any(|index| matches(rest, &tail[index..]))
        }),
    }
}

/// The code and the status are those that clients get; IAM's user guide ("Troubleshoot access denied
/// error messages") has the sentence, EC2's user guide its own.
fn denied(operation: &Operation, account: &str) -> ApiError {
    let name = operation.name;
    let prefix = operation.service.signing_name();
    let user = format!("arn:aws:iam::{account}:user/test");
    let (code, status) = match operation.service {
        Service::Ec2 => ("UnauthorizedOperation", 403),
        Service::ElbV2 | Service::Sts => ("AccessDenied", 403),
        Service::Acm | Service::Tagging => ("AccessDeniedException", 400),
    };
    let message = match operation.service {
        Service::Ec2 => format!(
            "You are not authorized to perform this operation. User: {user} is not authorized to \
             perform: {prefix}:{name} because no identity-based policy allows the {prefix}:{name} action"
        ),
        _ => format!(
            "User: {user} is not authorized to perform: {prefix}:{name} because no identity-based \
             policy allows the {prefix}:{name} action"
        ),
    };
    ApiError::sender(code, message).with_status(status)
}

#[cfg(test)]
mod tests {
    use elbow_emulator::operation::find;
    use serde_json::json;

    use super::*;

    fn faults(value: serde_json::Value) -> Faults {
        let faults = Faults::default();
        faults.add(serde_json::from_value(value).unwrap());
        faults
    }

    fn meet(faults: &Faults, service: Service, name: &str, resource: &str) -> Meeting {
        let resources = BTreeSet::from([resource.to_owned()]);
        faults.meet(find(service, name).unwrap(), &resources, "111122223333")
    }

    #[test]
    fn patterns_match_whole_texts() {
        let rows = [
            ("*", "", true),
            ("Create*", "CreateRule", true),
            ("Create*", "Create", true),
            ("*Rule", "CreateRule", true),
            ("*Rule", "CreateRules", false),
            ("*a*b", "xaxbxb", true),
            ("CreateRule", "CreateRuleX", false),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_fault_is_met_by_the_calls_that_fit() {
        let faults = faults(json!([{
            "service": "elbv2", "operation": "Create*", "resource": "*web*",
            "effect": {"error": {"code": "InternalFailure", "status": 500}}, "after": 1, "times": 2,
        }]));
        let create = |name| meet(&faults, Service::ElbV2, "CreateLoadBalancer", name).instead;
        assert_eq!(create("other"), None, "another resource");
        assert_eq!(
            meet(&faults, Service::Ec2, "CreateTags", "web").instead,
            None
        );
        assert_eq!(
            meet(&faults, Service::ElbV2, "DeleteRule", "web").instead,
            None
        );
        assert_eq!(create("web-1"), None, "after one");
        for _ in 0..2 {
            let Some(Instead::Refusal(error)) = create("web-1") else {
                panic!("it is met")
            };
            assert_eq!(
                (error.code.as_str(), error.status),
                ("InternalFailure", 500)
            );
        }
        assert_eq!(create("web-1"), None, "twice");
        assert_eq!(faults.report()[0].met, 2);
    }

    #[test]
    fn several_faults_add_up() {
        let faults = faults(json!([
            {"effect": {"delay": {"milliseconds": 5}}},
            {"effect": {"delay": {"milliseconds": 6}}},
            {"effect": "loseAnswer"},
        ]));
        let meeting = meet(&faults, Service::Sts, "GetCallerIdentity", "");
        assert_eq!(meeting.delay, Duration::from_millis(11));
        assert!(meeting.loses_answer && meeting.instead.is_none());
        faults.clear();
        assert_eq!(
            meet(&faults, Service::Sts, "GetCallerIdentity", ""),
            Meeting::default()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_ends_with_its_time() {
        let faults = faults(json!([{"effect": "disconnect", "seconds": 30.0}]));
        let instead = || meet(&faults, Service::Sts, "GetCallerIdentity", "").instead;
        assert_eq!(instead(), Some(Instead::Disconnect));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(instead(), None);
    }

    #[test]
    fn denials_are_each_service_s_own() {
        let rows = [
            (
                Service::Ec2,
                "CreateSecurityGroup",
                "403 UnauthorizedOperation",
            ),
            (Service::ElbV2, "CreateRule", "403 AccessDenied"),
            (
                Service::Acm,
                "ListCertificates",
                "400 AccessDeniedException",
            ),
        ];
        for (service, name, expected) in rows {
            let error = denied(find(service, name).unwrap(), "111122223333");
            assert_eq!(format!("{} {}", error.status, error.code), expected);
            assert!(
                error
                    .message
                    .contains(&format!("{}:{name}", service.signing_name()))
            );
        }
    }
}
