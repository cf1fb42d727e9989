//! Pods that wait for their targets: what AWS is asked, when, and what the pods are told.

use elbow_emulator::world::TargetGroupSpec;
use elbow_model::observed::TargetState;
use elbow_model::{AwsAnswer, AwsCall, AwsError, ErrorClass};
use elbow_reconcile::{Effect, GateHealth, Timestamp};

use crate::account::{ALB, Account, Run, settings, snapshot};

/// A pod behind the Service of [`ALB`], with the gate of the binding `web`.
fn pod(name: &str, gate: &str, containers: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: app, uid: uid-{name}}}
spec:
  nodeName: node-1
  containers: [{{name: c}}]
  readinessGates: [{{conditionType: target-health.elbv2.k8s.aws/web}}]
status:
  conditions:
  - {{type: ContainersReady, status: '{containers}'}}
  - {{type: target-health.elbv2.k8s.aws/web, status: '{gate}'}}
"
    )
}

/// The EndpointSlice of [`ALB`], with these endpoints beside its own.
fn with_endpoints(endpoints: &[(&str, &str, bool)]) -> String {
    let mut text = ALB.to_owned();
    for (pod, address, is_ready) in endpoints {
        text.push_str(&format!(
            "- addresses: [{address}]
  conditions: {{ready: {is_ready}}}
  nodeName: node-1
  targetRef: {{kind: Pod, name: {pod}, namespace: app, uid: uid-{pod}}}
"
        ));
    }
    text
}

const NODE: &str = "
apiVersion: v1
kind: Node
metadata: {name: node-1}
spec: {providerID: aws:///us-east-1a/i-0123456789abcdef0}
status: {conditions: [{type: Ready, status: 'True'}]}
";

/// A machine at rest over [`ALB`] and a binding of its target group.
struct Rollout {
    account: Account,
    run: Run,
    binding: String,
    /// From when on new targets are healthy.
    healthy_at: Timestamp,
    /// Looks at health, by when they were made.
    looks: Vec<u64>,
    error: Option<AwsError>,
}

impl Rollout {
    fn new() -> Self {
        let mut account = Account::new();
        let mut run = Run::start(&account, snapshot(&[ALB, NODE]), settings());
        run.settle(&mut account);
        let mut stacks = run.reconciler.known().stacks.values();
        let group = stacks
            .find_map(|stack| stack.target_groups.first())
            .unwrap();
        let binding = format!(
            "
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata:
  name: web
  namespace: app
  labels: {{gateway.k8s.aws.alb/stack-namespace: app, gateway.k8s.aws.alb/stack-name: web}}
spec: {{targetGroupARN: '{}', targetType: ip, serviceRef: {{name: web, port: 80}}}}
",
            group.arn
        );
        account.take_operations();
        run.effects.clear();
        Self {
            healthy_at: account.now,
            account,
            run,
            binding,
            looks: Vec::new(),
            error: None,
        }
    }

    /// Makes the objects these, and goes on until nothing is going to happen any more.
    fn go_on(&mut self, base: &str, pods: &[String]) {
        self.begin(base, pods);
        let start = self.run.now();
        while self.turn() {
            assert!(
                self.run.now().millis_since(start) < 600_000,
                "it goes on and on"
            );
        }
    }

    fn begin(&mut self, base: &str, pods: &[String]) {
        let mut texts = vec![base, NODE, self.binding.as_str()];
        texts.extend(pods.iter().map(String::as_str));
        self.looks.clear();
        self.run.edit(&texts);
    }

    fn turn(&mut self) -> bool {
        let Self {
            account,
            run,
            healthy_at,
            looks,
            error,
            ..
        } = self;
        run.turn(&mut |now, call| {
            let mut answer = account.answer(now, call);
            if let AwsCall::DescribeTargetHealth { .. } = call {
                looks.push(now.as_millis());
                if let Some(error) = error.take() {
                    return Err(error);
                }
            }
            if let Ok(AwsAnswer::TargetHealth(targets)) = &mut answer
                && now < *healthy_at
            {
                for target in targets {
                    target.state = TargetState::Initial;
                    target.reason = Some("Elb.InitialHealthChecking".to_owned());
                }
            }
            answer
        })
    }

    /// What pods were told since the last look.
    fn told(&mut self) -> Vec<String> {
        let effects = std::mem::take(&mut self.run.effects);
        let mut told = Vec::new();
        for effect in effects {
            let Effect::Gates { binding, verdicts } = effect else {
                continue;
            };
            for verdict in verdicts {
                let health = match verdict.health {
                    GateHealth::Registering => "registering".to_owned(),
                    GateHealth::Healthy => "healthy".to_owned(),
                    GateHealth::NotHealthy { reason, .. } => reason,
                    GateHealth::Unregistered => "unregistered".to_owned(),
                };
                told.push(format!("{binding} {} {health}", verdict.pod.name));
            }
        }
        told
    }

    /// Seconds from a moment to each look.
    fn looks_after(&self, start: Timestamp) -> Vec<u64> {
        let after = self.looks.iter().map(|at| at - start.as_millis());
        after.map(|ms| ms / 1_000).collect()
    }
}

#[test]
fn a_pod_that_waits_is_registered_looked_at_less_and_less_often_and_told() {
    let mut rollout = Rollout::new();
    let start = rollout.run.now();
    rollout.healthy_at = start.plus_millis(40_000);
    let base = with_endpoints(&[("new", "192.168.96.11", false)]);
    rollout.go_on(&base, &[pod("new", "False", "True")]);

    let operations = rollout.account.take_operations();
    assert_eq!(operations[0], "RegisterTargets");
    assert!(operations[1..].iter().all(|o| *o == "DescribeTargetHealth"));
    assert_eq!(rollout.looks_after(start), [1, 3, 7, 15, 30, 45]);
    let told = rollout.told();
    assert_eq!(told[0], "app/web new registering");
    assert_eq!(told[1], "app/web new Elb.InitialHealthChecking");
    assert_eq!(told.last().unwrap(), "app/web new healthy");
    assert_eq!(told.len(), 7);

    // Its gate is open, then its endpoint ready: there is nothing left to ask.
    rollout.go_on(&base, &[pod("new", "True", "True")]);
    let base = with_endpoints(&[("new", "192.168.96.11", true)]);
    rollout.go_on(&base, &[]);
    assert_eq!(rollout.account.take_operations(), Vec::<&str>::new());
    assert_eq!(rollout.told(), Vec::<String>::new());
}

#[test]
fn nobody_is_asked_about_pods_that_do_not_wait() {
    let gateless = pod("new", "False", "True").replace("target-health.elbv2.k8s.aws", "other");
    let rows = [
        (
            "containers that start",
            false,
            pod("new", "False", "False"),
            0,
        ),
        ("an open gate", false, pod("new", "True", "True"), 1),
        ("no gate", false, gateless, 1),
        ("a ready endpoint", true, pod("new", "False", "True"), 1),
    ];
    for (what, is_ready, pod, registrations) in rows {
        let mut rollout = Rollout::new();
        let base = with_endpoints(&[("new", "192.168.96.11", is_ready)]);
        rollout.go_on(&base, &[pod]);
        let operations = rollout.account.take_operations();
        assert_eq!(operations.len(), registrations, "{what}: {operations:?}");
        assert_eq!(rollout.told(), Vec::<String>::new(), "{what}");
    }
}

#[test]
fn many_pods_of_one_group_cost_one_call_a_look() {
    let mut rollout = Rollout::new();
    let names: Vec<String> = (0..20).map(|n| format!("new-{n}")).collect();
    let addresses: Vec<String> = (0..20).map(|n| format!("192.168.96.{}", 20 + n)).collect();
    let endpoints: Vec<_> = { names.iter().zip(&addresses) }
        .map(|(name, address)| (name.as_str(), address.as_str(), false))
        .collect();
    let pods: Vec<_> = names
        .iter()
        .map(|name| pod(name, "False", "True"))
        .collect();
    rollout.go_on(&with_endpoints(&endpoints), &pods);
    let operations = rollout.account.take_operations();
    assert_eq!(operations, ["RegisterTargets", "DescribeTargetHealth"]);
    assert_eq!(rollout.told().len(), 40);
}

#[test]
fn a_registration_brings_the_next_look_forward() {
    let mut rollout = Rollout::new();
    let start = rollout.run.now();
    rollout.healthy_at = start.plus_millis(60_000);
    let first = ("a", "192.168.96.11", false);
    rollout.begin(&with_endpoints(&[first]), &[pod("a", "False", "True")]);
    // The looks after 1, 3, 7 and 15 s.
    while rollout.looks.len() < 4 {
        assert!(rollout.turn());
    }
    let second_at = rollout.run.now();
    let both = with_endpoints(&[first, ("b", "192.168.96.12", false)]);
    rollout.go_on(
        &both,
        &[pod("a", "False", "True"), pod("b", "False", "True")],
    );
    assert_eq!(rollout.looks_after(second_at)[..4], [1, 3, 7, 15]);
}

#[test]
fn a_look_that_fails_is_repeated_and_fails_no_round() {
    let mut rollout = Rollout::new();
    rollout.error = Some(AwsError::new(
        ErrorClass::Throttled,
        "Throttling",
        "slow down",
    ));
    let base = with_endpoints(&[("new", "192.168.96.11", false)]);
    rollout.go_on(&base, &[pod("new", "False", "True")]);
    assert_eq!(rollout.looks.len(), 2);
    rollout.run.assert_converged();
    assert_eq!(rollout.told().last().unwrap(), "app/web new healthy");
}

#[test]
fn pods_that_wait_at_a_start_are_looked_at() {
    let mut rollout = Rollout::new();
    let start = rollout.run.now();
    rollout.healthy_at = start.plus_millis(600_000);
    let base = with_endpoints(&[("new", "192.168.96.11", false)]);
    rollout.begin(&base, &[pod("new", "False", "True")]);
    while rollout.looks.is_empty() {
        assert!(rollout.turn());
    }
    // The next machine finds the target registered, and the pod waiting.
    let objects = rollout.run.snapshot.clone();
    rollout.run = Run::start(&rollout.account, objects, settings());
    rollout.healthy_at = start;
    let begun = rollout.run.now();
    while rollout.turn() {
        assert!(rollout.run.now().millis_since(begun) < 60_000);
    }
    assert_eq!(rollout.told(), ["app/web new healthy"]);
}

#[test]
fn the_pods_of_a_binding_that_goes_are_not_looked_at() {
    let mut rollout = Rollout::new();
    rollout.healthy_at = rollout.run.now().plus_millis(600_000);
    let base = with_endpoints(&[("new", "192.168.96.11", false)]);
    let pods = [pod("new", "False", "True")];
    rollout.begin(&base, &pods);
    while rollout.looks.len() < 2 {
        assert!(rollout.turn());
    }
    rollout.binding = rollout.binding.replace(
        "  namespace: app\n",
        "  namespace: app\n  deletionTimestamp: '2026-01-01T00:00:00Z'\n  finalizers: [elbv2.k8s.aws/resources]\n",
    );
    rollout.go_on(&base, &pods);
    assert_eq!(rollout.looks.len(), 0);
}

/// A user's binding may leave out what AWS knows of its group, which is asked for it anyway.
#[test]
fn pods_wait_for_a_group_that_has_to_be_looked_up() {
    let mut rollout = Rollout::new();
    let spec = TargetGroupSpec {
        arn: None,
        name: "users".to_owned(),
        target_type: "ip".to_owned(),
        protocol: "HTTP".to_owned(),
        port: 80,
        vpc_id: "vpc-0123456789abcdef0".to_owned(),
        ip_address_type: "ipv4".to_owned(),
    };
    rollout.account.emulator.add_target_group(spec).unwrap();
    "
apiVersion: elbv2.k8s.aws/v1beta1
kind: TargetGroupBinding
metadata: {name: web, namespace: app}
spec: {targetGroupName: users, serviceRef: {name: web, port: 80}}
"
    .clone_into(&mut rollout.binding);
    let base = with_endpoints(&[("new", "192.168.96.11", false)]);
    rollout.begin(&base, &[pod("new", "False", "True")]);
    let mut told = Vec::new();
    while told.len() < 2 {
        assert!(rollout.turn(), "{told:?}");
        told.extend(rollout.told());
    }
    // No load balancer uses it, so it stays so.
    let expected = ["app/web new registering", "app/web new Target.NotInUse"];
    assert_eq!(told, expected);
}
