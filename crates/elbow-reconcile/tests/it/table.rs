//! What rounds cost in calls and how long they take: the figures that `docs/differences.md` names, each
//! with 30 Gateways where it says so. A Gateway here is an ALB with two listeners, ten rules and five
//! target groups.

use std::collections::BTreeMap;

use elbow_emulator::{Config, HealthMode, Latencies};
use elbow_model::{AwsAnswer, AwsCall, AwsError, StackId};
use elbow_reconcile::budget::Limits;
use elbow_reconcile::{Effect, Input, Reconciler, Record, Settings, Timestamp};

use crate::account::{Account, Run, planned_from_scratch, settings, snapshot};

/// How long a call is on its way and back, in milliseconds: what the ELBv2 API takes from its region.
const CALL_MS: u64 = 60;

/// A Gateway in a namespace of its own.
fn gateway(n: usize, rules: &str, addresses: &str) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata: {{name: app-{n}}}\n---\n\
         apiVersion: gateway.k8s.aws/v1beta1\nkind: LoadBalancerConfiguration\n\
         metadata: {{name: web, namespace: app-{n}}}\n\
         spec: {{scheme: internal, loadBalancerAttributes: [{{key: idle_timeout.timeout_seconds, value: \"90\"}}]}}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: web, namespace: app-{n}}}\n\
         spec:\n  gatewayClassName: alb\n  infrastructure:\n    parametersRef: {{group: gateway.k8s.aws, kind: LoadBalancerConfiguration, name: web}}\n\
         \x20 listeners:\n  - {{name: one, protocol: HTTP, port: 80}}\n  - {{name: two, protocol: HTTP, port: 8080}}\n---\n\
         apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: web, namespace: app-{n}}}\n\
         spec:\n  parentRefs: [{{name: web}}]\n  rules:\n{rules}"
    );
    for service in 0..5 {
        text.push_str(&format!(
            "  - matches: [{{path: {{type: PathPrefix, value: /path-{service}}}}}]\n\
             \x20   backendRefs: [{{name: web-{service}, port: 80}}]\n"
        ));
    }
    for service in 0..5 {
        text.push_str(&format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: web-{service}, namespace: app-{n}}}\n\
             spec: {{selector: {{app: web}}, ports: [{{name: http, port: 80, targetPort: 8080, protocol: TCP}}]}}\n---\n\
             apiVersion: gateway.k8s.aws/v1beta1\nkind: TargetGroupConfiguration\n\
             metadata: {{name: web-{service}, namespace: app-{n}}}\n\
             spec: {{targetReference: {{name: web-{service}}}, defaultConfiguration: {{targetType: ip}}}}\n---\n\
             apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: web-{service}-1, namespace: app-{n}, labels: {{kubernetes.io/service-name: web-{service}}}}}\n\
             addressType: IPv4\nports: [{{name: http, port: 8080, protocol: TCP}}]\n\
             endpoints: [{{addresses: [{addresses}], conditions: {{ready: true}}}}]\n"
        ));
    }
    text
}

const CLASS: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\n\
                     metadata: {name: alb}\nspec: {controllerName: gateway.k8s.aws/alb}\n";
const FIRST: &str = "  - matches: [{path: {type: Exact, value: /first}}]\n    \
                     backendRefs: [{name: web-0, port: 80}]\n";
const ADDRESS: &str = "192.168.96.10";

fn cluster(gateways: usize) -> Vec<String> {
    let mut texts = vec![CLASS.to_owned()];
    texts.extend((0..gateways).map(|n| gateway(n, "", ADDRESS)));
    texts
}

fn texts(of: &[String]) -> Vec<&str> {
    of.iter().map(String::as_str).collect()
}

/// The records that a machine asked to keep.
pub(crate) fn records(effects: &[Effect]) -> BTreeMap<StackId, Record> {
    let mut records = BTreeMap::new();
    for effect in effects {
        match effect {
            Effect::Record {
                stack,
                record: Some(record),
            } => {
                records.insert(stack.clone(), record.clone());
            }
            Effect::Record {
                stack,
                record: None,
            } => {
                records.remove(stack);
            }
            _ => {}
        }
    }
    records
}

/// Brings a cluster about. Answers with its records.
fn brought_about(account: &mut Account, of: &[String]) -> (Run, BTreeMap<StackId, Record>) {
    let mut run = Run::start(account, snapshot(&texts(of)), settings());
    run.settle(account);
    run.assert_converged();
    account.take_operations();
    let records = records(&run.effects);
    (run, records)
}

fn restart(
    account: &Account,
    of: &[String],
    settings: Settings,
    records: &BTreeMap<StackId, Record>,
) -> Run {
    Run::start_with(account, snapshot(&texts(of)), settings, records.clone())
}

#[test]
fn a_restart_with_30_gateways_takes_at_most_120_calls_and_none_for_one_object() {
    let mut account = Account::new();
    let cluster = cluster(30);
    let (_, records) = brought_about(&mut account, &cluster);
    assert_eq!(records.len(), 30);
    let mut run = restart(&account, &cluster, settings(), &records);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(run.planned(), Vec::<String>::new());
    let operations = account.take_operations();
    assert!(
        operations.len() <= 120,
        "{}: {operations:?}",
        operations.len()
    );
    assert!(
        operations.len() <= 20,
        "{}: {operations:?}",
        operations.len()
    );
    for of_one in [
        "DescribeListeners",
        "DescribeRules",
        "DescribeListenerAttributes",
        "DescribeLoadBalancerAttributes",
        "DescribeTargetGroupAttributes",
        "DescribeTargetHealth",
    ] {
        assert!(!operations.contains(&of_one), "{of_one}: {operations:?}");
    }
    assert!(
        records_are_kept(&run),
        "what is believed is not written again"
    );
}

fn records_are_kept(run: &Run) -> bool {
    !run.effects
        .iter()
        .any(|e| matches!(e, Effect::Record { .. }))
}

#[test]
fn what_changed_while_nobody_looked_is_found_at_a_restart() {
    type Edit = fn(&mut Vec<String>);
    let rows: [(&str, Edit, usize); 3] = [
        ("a route", |c| c[5] = gateway(4, FIRST, ADDRESS), 1),
        ("endpoints", |c| c[5] = gateway(4, "", "192.168.96.11"), 1),
        ("a Gateway", |c| c.truncate(5), 1),
    ];
    for (name, edit, n_changed) in rows {
        let mut account = Account::new();
        let mut objects = cluster(5);
        let (_, records) = brought_about(&mut account, &objects);
        edit(&mut objects);
        let mut run = restart(&account, &objects, settings(), &records);
        run.settle(&mut account);
        run.assert_converged();
        let plans = run
            .effects
            .iter()
            .filter(|e| matches!(e, Effect::PlanReady { .. }));
        assert_eq!(plans.count(), n_changed, "{name}");
        let left = planned_from_scratch(&mut account, &snapshot(&texts(&objects)));
        assert_eq!(left, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn what_lists_tell_is_compared_at_a_restart_and_the_rest_at_the_look_for_drift() {
    let mut account = Account::new();
    let cluster = cluster(3);
    let (run, records) = brought_about(&mut account, &cluster);
    let stack = run
        .reconciler
        .known()
        .stacks
        .values()
        .find(|s| !s.load_balancers.is_empty());
    let lb = stack.unwrap().load_balancers[0].clone();
    let at = account.now;
    // A tag is in the index; an attribute is not.
    let tampered = [
        AwsCall::RemoveTags {
            resource: elbow_model::aws_call::TagTarget::Rule(
                lb.listeners[0].rules[0].arn.clone().into(),
            ),
            keys: ["gateway.k8s.aws.alb/resource".to_owned()].into(),
        },
        AwsCall::ModifyLoadBalancerAttributes {
            load_balancer: lb.arn.clone().into(),
            attributes: [("idle_timeout.timeout_seconds".to_owned(), "10".to_owned())].into(),
        },
    ];
    for (call, is_found_at_once) in tampered.iter().zip([true, false]) {
        account.answer(at, call).unwrap();
        let mut with_drift = settings();
        with_drift.drift_interval_ms = Some(1_800_000);
        let mut run = restart(&account, &cluster, with_drift, &records);
        run.settle(&mut account);
        assert_eq!(!run.planned().is_empty(), is_found_at_once, "{call:?}");
        let until = run.now().plus_millis(2 * 1_800_000);
        while run.now() < until {
            assert!(run.turn(&mut |now, call| account.answer(now, call)));
        }
        run.settle(&mut account);
        assert!(!run.planned().is_empty(), "{call:?} is found at last");
        let left = planned_from_scratch(&mut account, &snapshot(&texts(&cluster)));
        assert_eq!(left, Vec::<String>::new());
    }
}

#[test]
fn a_record_is_dropped_before_the_first_change_and_kept_after_the_last() {
    let mut account = Account::new();
    let (mut run, _) = brought_about(&mut account, &cluster(1));
    run.effects.clear();
    run.edit(&texts(&[CLASS.to_owned(), gateway(0, FIRST, ADDRESS)]));
    run.settle(&mut account);
    let is_change = |e: &Effect| matches!(e, Effect::Aws { call, .. } if call.is_mutating());
    let position = |wanted: &dyn Fn(&Effect) -> bool| run.effects.iter().position(wanted).unwrap();
    let dropped = position(&|e| matches!(e, Effect::Record { record: None, .. }));
    let kept = position(&|e| {
        matches!(
            e,
            Effect::Record {
                record: Some(_),
                ..
            }
        )
    });
    let first = position(&is_change);
    let last = run.effects.iter().rposition(is_change).unwrap();
    assert!(
        dropped < first && last < kept,
        "{dropped} {first} {last} {kept}"
    );
}

#[test]
fn touches_of_30_gateways_take_no_call() {
    let mut account = Account::new();
    let objects = cluster(30);
    let (mut run, _) = brought_about(&mut account, &objects);
    let mut touched = objects.clone();
    touched[0] = CLASS.replace(
        "metadata: {name: alb}",
        "metadata: {name: alb, labels: {a: b}}",
    );
    run.edit(&texts(&touched));
    run.settle(&mut account);
    assert_eq!(
        account.take_operations(),
        Vec::<&str>::new(),
        "the GatewayClass"
    );
    for text in &mut touched[1..] {
        *text = text.replace(
            "metadata: {name: web, ",
            "metadata: {labels: {a: b}, name: web, ",
        );
    }
    run.edit(&texts(&touched));
    run.settle(&mut account);
    assert_eq!(
        account.take_operations(),
        Vec::<&str>::new(),
        "everything else"
    );
}

#[test]
fn a_new_rule_before_others_takes_at_most_5_calls() {
    let mut account = Account::new();
    let one = gateway(0, "", ADDRESS).replace(
        "{name: web}]\n  rules",
        "{name: web, sectionName: one}]\n  rules",
    );
    let (mut run, _) = brought_about(&mut account, &[CLASS.to_owned(), one.clone()]);
    let more = one.replace("  rules:\n", &format!("  rules:\n{FIRST}"));
    run.edit(&texts(&[CLASS.to_owned(), more.clone()]));
    run.settle(&mut account);
    run.assert_converged();
    let operations = account.take_operations();
    assert!(operations.len() <= 5, "{operations:?}");
    assert!(operations.contains(&"SetRulePriorities"), "{operations:?}");
    let left = planned_from_scratch(&mut account, &snapshot(&[CLASS, &more]));
    assert_eq!(left, Vec::<String>::new());
}

/// Calls that take their time, several at once: a driver that has sockets.
pub(crate) struct Busy {
    pub(crate) machine: Reconciler,
    pub(crate) now: Timestamp,
    wake_at: Option<Timestamp>,
    out: BTreeMap<(Timestamp, u64), (elbow_reconcile::CallId, Result<AwsAnswer, AwsError>)>,
    pub(crate) sent: Vec<(Timestamp, AwsCall)>,
    next: u64,
    objects: elbow_api::Snapshot,
}

impl Busy {
    pub(crate) fn start(
        account: &mut Account,
        of: &[String],
        settings: Settings,
        records: BTreeMap<StackId, Record>,
    ) -> Self {
        let mut busy = Self {
            machine: Reconciler::new(settings),
            now: account.now,
            wake_at: None,
            out: BTreeMap::new(),
            sent: Vec::new(),
            next: 0,
            objects: snapshot(&texts(of)),
        };
        busy.send(account, Input::Records(records));
        busy.send(account, Input::Start);
        busy
    }

    fn send(&mut self, account: &mut Account, input: Input) {
        self.wake_at = None;
        for effect in self.machine.step(input, &self.objects, self.now) {
            match effect {
                Effect::Aws { id, call } => {
                    self.next += 1;
                    let result = account.answer(self.now, &call);
                    self.sent.push((self.now, call));
                    let key = (self.now.plus_millis(CALL_MS), self.next);
                    self.out.insert(key, (id, result));
                }
                Effect::WakeAt(at) => self.wake_at = Some(at),
                _ => {}
            }
        }
    }

    /// Runs up to a time.
    pub(crate) fn run_until(&mut self, account: &mut Account, until: Timestamp) {
        loop {
            let answer = self.out.keys().next().copied();
            let at = answer
                .map(|(at, _)| at)
                .into_iter()
                .chain(self.wake_at)
                .min();
            let Some(at) = at.filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(at);
            let due = answer.filter(|(answered, _)| *answered <= at);
            match due.and_then(|key| self.out.remove(&key)) {
                Some((id, result)) => self.send(account, Input::AwsAnswered { id, result }),
                None => self.send(account, Input::Tick),
            }
        }
        self.now = self.now.max(until);
    }

    pub(crate) fn edit(&mut self, account: &mut Account, of: &[String]) {
        let after = snapshot(&texts(of));
        let mut reads = std::collections::BTreeSet::new();
        for object in after.objects() {
            if self.objects.get(&object.object_ref()).as_ref() != Some(&object) {
                reads.extend(self.objects.apply(&object));
            }
        }
        self.send(account, Input::ObjectsChanged(reads));
    }

    /// When a call of this operation was first sent after a time.
    #[track_caller]
    fn sent_after(&self, at: Timestamp, operation: &str) -> u64 {
        let mut sent = self.sent.iter();
        let found = sent.find(|(when, call)| *when >= at && call.operation() == operation);
        found.map(|(when, _)| when.millis_since(at)).unwrap()
    }
}

/// A fresh route change is applied within 2 s while everything else is looked at for the first time,
/// with records and without.
#[test]
fn a_fresh_route_change_does_not_wait_for_the_restart_of_30_gateways() {
    for with_records in [true, false] {
        let mut account = Account::new();
        let mut objects = cluster(30);
        let (_, records) = brought_about(&mut account, &objects);
        let records = if with_records {
            records
        } else {
            BTreeMap::new()
        };
        let mut limited = settings();
        limited.limits = Limits::aws();
        let mut busy = Busy::start(&mut account, &objects, limited, records);
        let edited_at = busy.now.plus_millis(1_000);
        busy.run_until(&mut account, edited_at);
        objects[20] = gateway(19, FIRST, ADDRESS);
        busy.edit(&mut account, &objects);
        busy.run_until(&mut account, edited_at.plus_millis(120_000));
        let created = busy.sent_after(edited_at, "CreateRule");
        assert!(created <= 2_000, "records: {with_records}: {created} ms");
        assert!(busy.machine.is_quiet());
        let reads = busy
            .sent
            .iter()
            .filter(|(_, call)| !call.is_mutating())
            .count();
        assert!(!with_records || reads <= 60, "{reads}");
    }
}

/// Endpoints that change are registered at once, whatever else their Gateway is waiting for.
#[test]
fn targets_do_not_wait_for_a_round() {
    let other = |addresses: &str| vec![CLASS.to_owned(), gateway(0, FIRST, addresses)];
    let mut account = Account::new();
    let (_, records) = brought_about(&mut account, &cluster(1));
    let mut busy = Busy::start(&mut account, &cluster(1), settings(), records);
    busy.run_until(&mut account, busy.now.plus_millis(5_000));
    assert!(busy.machine.is_quiet());

    // At rest.
    let at = busy.now;
    busy.edit(
        &mut account,
        &[CLASS.to_owned(), gateway(0, "", "192.168.96.11")],
    );
    assert!(busy.sent_after(at, "RegisterTargets") <= 10);
    busy.run_until(&mut account, at.plus_millis(5_000));
    assert!(busy.sent_after(at, "DeregisterTargets") <= 5 * 2 * CALL_MS);

    // While a round observes and carries out a change.
    for after_ms in [10, 70, 130, 200, 260] {
        let rules = if after_ms % 20 == 10 { "" } else { FIRST };
        busy.edit(
            &mut account,
            &[CLASS.to_owned(), gateway(0, rules, "192.168.96.11")],
        );
        let at = busy.now.plus_millis(after_ms);
        busy.run_until(&mut account, at);
        busy.edit(
            &mut account,
            &[CLASS.to_owned(), gateway(0, rules, "192.168.96.12")],
        );
        assert!(busy.sent_after(at, "RegisterTargets") <= 10, "{after_ms}");
        busy.run_until(&mut account, at.plus_millis(20_000));
        busy.edit(
            &mut account,
            &[CLASS.to_owned(), gateway(0, rules, "192.168.96.11")],
        );
        busy.run_until(&mut account, at.plus_millis(40_000));
        assert!(busy.machine.is_quiet());
    }
    busy.edit(&mut account, &other("192.168.96.13"));
    busy.run_until(&mut account, busy.now.plus_millis(20_000));
    let left = planned_from_scratch(&mut account, &snapshot(&texts(&other("192.168.96.13"))));
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn ten_flips_of_an_endpoint_in_600_ms_take_at_most_6_calls() {
    let mut account = Account::new();
    let only = |addresses: &str| {
        let text = gateway(0, "", ADDRESS);
        let mut parts: Vec<String> = text.split("---\n").map(str::to_owned).collect();
        let slice = parts
            .iter_mut()
            .find(|p| p.contains("name: web-0-1"))
            .unwrap();
        *slice = slice.replace(ADDRESS, addresses);
        vec![CLASS.to_owned(), parts.join("---\n")]
    };
    let (_, records) = brought_about(&mut account, &cluster(1));
    let mut busy = Busy::start(&mut account, &cluster(1), settings(), records);
    busy.run_until(&mut account, busy.now.plus_millis(5_000));
    let before = busy.sent.len();
    let start = busy.now;
    for flip in 0..10 {
        busy.run_until(&mut account, start.plus_millis(flip * 60));
        let addresses = if flip % 2 == 0 {
            "192.168.96.10, 192.168.96.11"
        } else {
            ADDRESS
        };
        busy.edit(&mut account, &only(addresses));
    }
    busy.run_until(&mut account, start.plus_millis(30_000));
    let calls: Vec<_> = busy.sent[before..]
        .iter()
        .map(|(_, call)| call.operation())
        .collect();
    assert!(calls.len() <= 6, "{calls:?}");
    assert!(busy.machine.is_quiet());
    let left = planned_from_scratch(&mut account, &snapshot(&texts(&only(ADDRESS))));
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn load_balancers_that_are_set_up_together_are_polled_together() {
    let mut account = Account::with(Config {
        health: HealthMode::AssumeHealthy,
        latencies: Latencies {
            application_load_balancer_provisioning_ms: 90_000,
            ..Latencies::instant()
        },
        ..Config::default()
    });
    let start = account.now;
    let mut run = Run::start(&account, snapshot(&texts(&cluster(10))), settings());
    run.settle(&mut account);
    run.assert_converged();
    let waited = run.now().millis_since(start);
    assert!((90_000..93_000).contains(&waited), "{waited}");
    let operations = account.take_operations();
    let looks = operations
        .iter()
        .filter(|o| **o == "DescribeLoadBalancers")
        .count();
    assert!(looks <= 40, "{looks}");
}
