//! Metrics for Prometheus.
//!
//! In: what the driver does. Out: text in the OpenMetrics format. What always holds: labels are bounded
//! by what elbow knows (services, operations, error codes of AWS, kinds) or by the number of Gateways;
//! where LBC has a metric of the same meaning, the name is LBC's. [`TABLE`] is the reference of them.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use elbow_api::{Kind, NamespacedName};
use elbow_cluster::live::WriteError;
use elbow_model::observed::LoadBalancerState;
use elbow_model::{AwsError, ErrorClass};
use elbow_reconcile::{Report, RoundResult, Unit};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// A metric, for the reference page.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name as it is scraped.
    pub name: &'static str,
    /// Its labels.
    pub labels: &'static str,
    /// What it tells.
    pub help: &'static str,
}

/// Every metric.
pub const TABLE: &[Row] = &[
    Row {
        name: "aws_api_calls_total",
        labels: "service, operation, result, error_code",
        help: "Calls to AWS; the result is `success` or the class of the error",
    },
    Row {
        name: "aws_api_call_duration_seconds",
        labels: "service, operation",
        help: "How long calls to AWS took",
    },
    Row {
        name: "aws_api_call_throttled_errors_total",
        labels: "service, operation",
        help: "Calls that AWS throttled",
    },
    Row {
        name: "aws_api_call_permission_errors_total",
        labels: "service, operation",
        help: "Calls that AWS denied",
    },
    Row {
        name: "aws_api_call_service_limit_exceeded_errors_total",
        labels: "service, operation",
        help: "Calls that a quota was too small for",
    },
    Row {
        name: "aws_api_call_validation_errors_total",
        labels: "service, operation",
        help: "Calls that AWS found invalid",
    },
    Row {
        name: "awslbc_controller_reconcile_stage_duration",
        labels: "controller, reconcile_stage",
        help: "How long rounds took that had something to do, from the plan to its end (`deploy_model`)",
    },
    Row {
        name: "awslbc_controller_reconcile_errors_total",
        labels: "controller, error_category",
        help: "Rounds that did not succeed, by the class of what failed first",
    },
    Row {
        name: "controller_runtime_reconcile_total",
        labels: "controller, result",
        help: "Rounds that ended",
    },
    Row {
        name: "leader_election_master_status",
        labels: "",
        help: "1 while this instance leads",
    },
    Row {
        name: "elbow_queue_depth",
        labels: "queue",
        help: "What waits or is out: calls to AWS, writes to the cluster, events",
    },
    Row {
        name: "elbow_stacks",
        labels: "state",
        help: "Gateways by the state of their load balancer and of their last round",
    },
    Row {
        name: "elbow_targets_registered",
        labels: "namespace, name",
        help: "Targets registered for a Gateway",
    },
    Row {
        name: "elbow_writes_total",
        labels: "kind, verb, result",
        help: "Writes to the cluster",
    },
];

/// The metrics. Clones are the same.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<OperationLabels, Histogram>,
    throttled: Family<OperationLabels, Counter>,
    denied: Family<OperationLabels, Counter>,
    limited: Family<OperationLabels, Counter>,
    invalid: Family<OperationLabels, Counter>,
    stages: Family<StageLabels, Histogram>,
    errors: Family<ErrorLabels, Counter>,
    rounds: Family<RoundLabels, Counter>,
    is_leader: Gauge,
    depths: Family<QueueLabels, Gauge>,
    stacks: Family<StateLabels, Gauge>,
    targets: Family<GatewayLabels, Gauge<f64, AtomicU64>>,
    writes: Family<WriteLabels, Counter>,
    states: Mutex<std::collections::BTreeMap<NamespacedName, &'static str>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    service: &'static str,
    operation: &'static str,
    result: &'static str,
    error_code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    service: &'static str,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    controller: &'static str,
    reconcile_stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    controller: &'static str,
    error_category: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoundLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GatewayLabels {
    namespace: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: KindLabel,
    verb: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct KindLabel(Kind);

impl EncodeLabelValue for KindLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The help of a metric, by its name without the suffix that its type adds.
fn help(name: &str) -> &'static str {
    let row = TABLE.iter().find(|row| row.name.starts_with(name));
    row.map_or("", |row| row.help)
}

impl Metrics {
    /// Metrics that have counted nothing.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        // 5 ms to 80 s: from a local emulator to a call that is given up.
        let seconds = || Histogram::new(exponential_buckets(0.005, 2.0, 15));
        let call_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let stages = Family::new_with_constructor(seconds as fn() -> Histogram);
        let mut inner = Inner {
            registry: Registry::default(),
            calls: Family::default(),
            call_seconds,
            throttled: Family::default(),
            denied: Family::default(),
            limited: Family::default(),
            invalid: Family::default(),
            stages,
            errors: Family::default(),
            rounds: Family::default(),
            is_leader: Gauge::default(),
            depths: Family::default(),
            stacks: Family::default(),
            targets: Family::default(),
            writes: Family::default(),
            states: Mutex::default(),
        };
        // A counter that is first seen at 1 has not grown, to whoever asks for its rate.
        for controller in CONTROLLERS {
            for result in ["success", "requeue", "error"] {
                let labels = RoundLabels { controller, result };
                inner.rounds.get_or_create(&labels).inc_by(0);
            }
            for error_category in CATEGORIES {
                let labels = ErrorLabels {
                    controller,
                    error_category,
                };
                inner.errors.get_or_create(&labels).inc_by(0);
            }
        }
        macro_rules! register {
            ($($name:literal, $metric:ident;)*) => {
                $( registry.register($name, help($name), inner.$metric.clone()); )*
            };
        }
        register! {
            "aws_api_calls", calls;
            "aws_api_call_throttled_errors", throttled;
            "aws_api_call_permission_errors", denied;
            "aws_api_call_service_limit_exceeded_errors", limited;
            "aws_api_call_validation_errors", invalid;
            "awslbc_controller_reconcile_errors", errors;
            "controller_runtime_reconcile", rounds;
            "leader_election_master_status", is_leader;
            "elbow_queue_depth", depths;
            "elbow_stacks", stacks;
            "elbow_targets_registered", targets;
            "elbow_writes", writes;
            "aws_api_call_duration_seconds", call_seconds;
            "awslbc_controller_reconcile_stage_duration", stages;
        }
        inner.registry = registry;
        Self(Arc::new(inner))
    }

    /// The text that is scraped.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        match prometheus_client::encoding::text::encode(&mut text, &self.0.registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }

    pub(crate) fn leads(&self, leads: bool) {
        self.0.is_leader.set(i64::from(leads));
    }

    pub(crate) fn called(
        &self,
        service: &'static str,
        operation: &'static str,
        took_ms: u64,
        error: Option<&AwsError>,
    ) {
        let inner = &self.0;
        let labels = OperationLabels { service, operation };
        inner
            .call_seconds
            .get_or_create(&labels)
            .observe(seconds(took_ms));
        let class = error.map(|error| error.class);
        inner
            .calls
            .get_or_create(&CallLabels {
                service,
                operation,
                result: class.map_or("success", category),
                error_code: error.map(|error| error.code.clone()).unwrap_or_default(),
            })
            .inc();
        let special = match class {
            Some(ErrorClass::Throttled) => &inner.throttled,
            Some(ErrorClass::Denied) => &inner.denied,
            Some(ErrorClass::Quota) => &inner.limited,
            Some(ErrorClass::Invalid) => &inner.invalid,
            _ => return,
        };
        special.get_or_create(&labels).inc();
    }

    /// A stage of a round of some unit ended.
    pub(crate) fn stage(&self, unit: &Unit, stage: &'static str, took_ms: u64) {
        let labels = StageLabels {
            controller: controller(unit),
            reconcile_stage: stage,
        };
        self.0
            .stages
            .get_or_create(&labels)
            .observe(seconds(took_ms));
    }

    pub(crate) fn finished(&self, unit: &Unit, result: &RoundResult) {
        let (result, failed) = match result {
            RoundResult::Converged { .. } => ("success", None),
            RoundResult::Superseded => ("requeue", None),
            RoundResult::Blocked => ("success", Some("build_model_error")),
            RoundResult::Incomplete { outcome } => {
                let first = outcome.failures.first();
                let class = first.map_or("deploy_model_error", |f| category(f.error.class));
                ("error", Some(class))
            }
            RoundResult::LookupFailed { error } => ("error", Some(category(error.class))),
        };
        let controller = controller(unit);
        let labels = RoundLabels { controller, result };
        self.0.rounds.get_or_create(&labels).inc();
        if let Some(error_category) = failed {
            let labels = ErrorLabels {
                controller,
                error_category,
            };
            self.0.errors.get_or_create(&labels).inc();
        }
    }

    pub(crate) fn reported(&self, gateway: &NamespacedName, report: &Report) {
        let labels = GatewayLabels {
            namespace: gateway.namespace.clone(),
            name: gateway.name.clone(),
        };
        let mut states = self.0.states.lock().unwrap_or_else(PoisonError::into_inner);
        if report.is_of_nothing() {
            self.0.targets.remove(&labels);
            states.remove(gateway);
        } else {
            let groups = report.observed.iter().flat_map(|o| &o.target_groups);
            let targets: usize = groups.map(|group| group.targets.len()).sum();
            let targets = u32::try_from(targets).unwrap_or(u32::MAX);
            self.0
                .targets
                .get_or_create(&labels)
                .set(f64::from(targets));
            states.insert(gateway.clone(), state(report));
        }
        for state in STATES {
            let count = states.values().filter(|other| **other == state).count();
            self.0
                .stacks
                .get_or_create(&StateLabels { state })
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn wrote(&self, kind: Kind, verb: &'static str, error: Option<&WriteError>) {
        let labels = WriteLabels {
            kind: KindLabel(kind),
            verb,
            result: error.map_or("success", WriteError::category),
        };
        self.0.writes.get_or_create(&labels).inc();
    }

    pub(crate) fn depths(&self, calls: usize, writes: usize, events: usize) {
        for (queue, depth) in [("calls", calls), ("writes", writes), ("events", events)] {
            self.0
                .depths
                .get_or_create(&QueueLabels { queue })
                .set(i64::try_from(depth).unwrap_or(i64::MAX));
        }
    }
}

/// What has rounds, as [`controller`] calls it.
const CONTROLLERS: [&str; 4] = ["cluster", "network", "gateway", "targetGroupBinding"];

/// What rounds fail for, as [`category`] and [`Metrics::finished`] call it.
const CATEGORIES: [&str; 9] = [
    "throttled",
    "denied",
    "quota",
    "conflict",
    "not_found",
    "invalid",
    "transient",
    "build_model_error",
    "deploy_model_error",
];

const STATES: [&str; 5] = ["active", "provisioning", "failed", "blocked", "absent"];

fn state(report: &Report) -> &'static str {
    match &report.result {
        Some(RoundResult::Incomplete { .. } | RoundResult::LookupFailed { .. }) => "failed",
        Some(RoundResult::Blocked) => "blocked",
        _ => match report.load_balancer().map(|lb| lb.state) {
            Some(LoadBalancerState::Active | LoadBalancerState::ActiveImpaired) => "active",
            Some(_) => "provisioning",
            None => "absent",
        },
    }
}

fn controller(unit: &Unit) -> &'static str {
    match unit {
        Unit::Cluster => "cluster",
        Unit::Network => "network",
        Unit::Gateway(_) => "gateway",
        Unit::Binding(_) => "targetGroupBinding",
    }
}

fn category(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Throttled => "throttled",
        ErrorClass::Denied => "denied",
        ErrorClass::Quota => "quota",
        ErrorClass::Conflict => "conflict",
        ErrorClass::NotFound => "not_found",
        ErrorClass::Invalid => "invalid",
        ErrorClass::Transient => "transient",
    }
}

fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_table_is_scraped_and_none_besides() {
        let metrics = Metrics::new();
        for class in [
            ErrorClass::Throttled,
            ErrorClass::Denied,
            ErrorClass::Quota,
            ErrorClass::Invalid,
        ] {
            let error = AwsError::new(class, "Code", "message");
            metrics.called("ec2", "DescribeVpcs", 12, Some(&error));
            metrics.finished(&Unit::Cluster, &RoundResult::LookupFailed { error });
        }
        metrics.stage(&Unit::Cluster, "deploy_model", 12);
        metrics.depths(1, 2, 3);
        metrics.wrote(Kind::Gateway, "status", None);
        let state = "active";
        metrics
            .0
            .stacks
            .get_or_create(&StateLabels { state })
            .set(1);
        let (namespace, name) = ("app".to_owned(), "web".to_owned());
        let gateway = GatewayLabels { namespace, name };
        metrics.0.targets.get_or_create(&gateway).set(1.0);
        let text = metrics.encode();
        let mut scraped: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# HELP "))
            .filter_map(|line| line.split_once(' '))
            .map(|(name, _)| name)
            .collect();
        let mut known: Vec<&str> = TABLE
            .iter()
            .map(|row| row.name.strip_suffix("_total").unwrap_or(row.name))
            .collect();
        scraped.sort_unstable();
        known.sort_unstable();
        assert_eq!(scraped, known);
        assert!(TABLE.iter().all(|row| !row.help.is_empty()));
    }

    #[test]
    fn calls_are_counted_by_result() {
        let metrics = Metrics::new();
        metrics.called("ec2", "DescribeVpcs", 12, None);
        let error = AwsError::new(ErrorClass::Throttled, "Throttling", "slow down");
        metrics.called("ec2", "DescribeVpcs", 12, Some(&error));
        let text = metrics.encode();
        for line in [
            r#"aws_api_calls_total{service="ec2",operation="DescribeVpcs",result="success",error_code=""} 1"#,
            r#"aws_api_call_throttled_errors_total{service="ec2",operation="DescribeVpcs"} 1"#,
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
    #[test]
    fn what_fails_for_the_first_time_has_grown() {
        let metrics = Metrics::new();
        let series = r#"awslbc_controller_reconcile_errors_total{controller="gateway",error_category="denied"}"#;
        let before = metrics.encode();
        assert!(before.contains(&format!("{series} 0")), "{before}");
        let n_series = before.lines().count();
        for class in [
            ErrorClass::Throttled,
            ErrorClass::Denied,
            ErrorClass::Quota,
            ErrorClass::Conflict,
            ErrorClass::NotFound,
            ErrorClass::Invalid,
            ErrorClass::Transient,
        ] {
            for unit in [
                Unit::Cluster,
                Unit::Network,
                Unit::Gateway(NamespacedName::new("app", "web")),
                Unit::Binding(NamespacedName::new("app", "web")),
            ] {
                let error = AwsError::new(class, "Code", "message");
                metrics.finished(&unit, &RoundResult::LookupFailed { error });
                metrics.finished(&unit, &RoundResult::Blocked);
            }
        }
        let after = metrics.encode();
        assert!(after.contains(&format!("{series} 1")), "{after}");
        assert_eq!(after.lines().count(), n_series, "{after}");
    }
}
