//! Certificates that are imported from Secrets: there before the listeners that have them.

use std::collections::BTreeSet;

use elbow_api::Object;
use elbow_model::{AwsAnswer, AwsCall, AwsError, CertificateMaterial, ResourceKind};
use elbow_reconcile::{Effect, Input, StepState, Timestamp, Unit};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::account::{ALB, Account, NLB, Run, settings, snapshot};

const CERTIFICATE: &str = include_str!("../../../elbow-api/testdata/secrets/web.crt");
const KEY: &str = include_str!("../../../elbow-api/testdata/secrets/web.key");
/// January 2026, when the certificate is valid.
const BEGIN_MS: u64 = 1_767_225_600_000;

/// The ALB, whose HTTPS listener has the certificate of a Secret.
fn with_reference() -> String {
    let listener = "hostname: app.example.com}";
    let reference = "hostname: app.example.com, tls: {certificateRefs: [{group: \"\", kind: Secret, name: tls}]}}";
    let configured = ALB.find("  listenerConfigurations:");
    let (head, tail) = ALB.split_at(configured.unwrap());
    let rest = tail.find("---").unwrap();
    format!("{head}{}", &tail[rest..]).replace(listener, reference)
}

fn secret() -> Object {
    let entry = |name: &str, text: &str| (name.to_owned(), ByteString(text.into()));
    let mut secret = Secret {
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some([entry("tls.crt", CERTIFICATE), entry("tls.key", KEY)].into()),
        ..Secret::default()
    };
    secret.metadata.name = Some("tls".to_owned());
    secret.metadata.namespace = Some("app".to_owned());
    Object::from(secret)
}

fn answer(account: &mut Account, now: Timestamp, call: &AwsCall) -> Result<AwsAnswer, AwsError> {
    if !matches!(call, AwsCall::ImportCertificate { .. }) {
        return account.answer(now, call);
    }
    let material = CertificateMaterial {
        certificate: CERTIFICATE.to_owned(),
        chain: None,
        private_key: KEY.to_owned().into(),
    };
    let at = elbow_emulator::Timestamp::from_millis(now.as_millis());
    elbow_loopback::answer_with(&mut account.emulator, at, call, Some(&material))
}

/// A Gateway asks for a certificate while the round is under way that makes the security group of another
/// one. That round has not tried it; nobody may take it for one that cannot be had.
#[test]
fn a_certificate_that_no_round_has_tried_is_waited_for() {
    let mut account = Account::new();
    account.now = Timestamp::from_millis(BEGIN_MS);
    let web = with_reference();
    let mut run = Run::start(&account, snapshot(&[NLB]), settings());
    let is_made = |effect: &Effect| matches!(effect, Effect::PlanReady { unit, plan } if *unit == Unit::Cluster && !plan.is_empty());
    while !run.effects.iter().any(is_made) {
        assert!(run.turn(&mut |now, call| answer(&mut account, now, call)));
    }
    let mut reads = BTreeSet::new();
    for object in snapshot(&[&web]).objects().into_iter().chain([secret()]) {
        reads.extend(run.snapshot.apply(&object));
    }
    run.send(Input::ObjectsChanged(reads));
    run.settle_with(&mut |now, call| answer(&mut account, now, call));
    run.assert_converged();
    let planned = run.planned();
    let imported = planned
        .iter()
        .position(|step| step.starts_with("create certificate"));
    let balancer =
        { planned.iter() }.position(|step| step.starts_with("create load balancer k8s-app-web"));
    assert!(imported.is_some() && imported < balancer, "{planned:#?}");
    let stacks = run.reconciler.known().stacks.values();
    let balancers = stacks.flat_map(|stack| &stack.load_balancers);
    let ports: Vec<u16> = balancers
        .flat_map(|lb| &lb.listeners)
        .map(|listener| listener.port.get())
        .collect();
    assert_eq!(ports, [80, 443, 9000]);
}

/// The Secret of the only listener goes: the listener stays as it is, and so do the targets behind it but for
/// those that come and go.
#[test]
fn endpoints_of_a_listener_that_is_left_as_it_is_are_followed() {
    let mut account = Account::new();
    account.now = Timestamp::from_millis(BEGIN_MS);
    let web = with_reference().replace("  - {name: http, protocol: HTTP, port: 80}\n", "");
    let mut run = Run::start(&account, snapshot(&[]), settings());
    let reads = run.snapshot.apply(&secret());
    run.send(Input::ObjectsChanged(reads));
    let start = snapshot(&[&web]);
    for object in start.objects() {
        let reads = run.snapshot.apply(&object);
        run.send(Input::ObjectsChanged(reads));
    }
    run.settle_with(&mut |now, call| answer(&mut account, now, call));
    run.assert_converged();
    account.calls.clear();

    // An edit makes the Snapshot that of the texts, which have no Secret.
    run.edit(&[&web.replace("192.168.96.10", "192.168.96.11")]);
    run.settle_with(&mut |now, call| answer(&mut account, now, call));
    run.assert_converged();
    let changes = account.take_changes();
    assert_eq!(changes, ["RegisterTargets", "DeregisterTargets"]);
    let mut reports = run.effects.iter().rev();
    let report = reports.find_map(|effect| match effect {
        Effect::Report { report, .. } => Some(report),
        _ => None,
    });
    let bindings = report.unwrap().bindings();
    assert_eq!(bindings.len(), 1, "pods go on waiting for it");
}

/// Its Gateway is edited while AWS throttles the import. The cluster's round begins anew, and nobody takes the
/// certificate for one that cannot be had meanwhile: the machine went round in circles without a call.
#[test]
fn an_edit_while_an_import_is_throttled_waits_for_it() {
    let mut account = Account::new();
    account.now = Timestamp::from_millis(BEGIN_MS);
    let web = with_reference();
    let mut run = Run::start(&account, snapshot(&[]), settings());
    let apply = |run: &mut Run, objects: Vec<Object>| {
        let mut reads = BTreeSet::new();
        for object in objects {
            reads.extend(run.snapshot.apply(&object));
        }
        run.send(Input::ObjectsChanged(reads));
    };
    let objects = snapshot(&[&web]).objects();
    apply(&mut run, objects.into_iter().chain([secret()]).collect());
    let mut n_throttled = 0;
    let mut aws = |account: &mut Account, now, call: &AwsCall| {
        if matches!(call, AwsCall::ImportCertificate { .. }) && n_throttled < 3 {
            n_throttled += 1;
            let class = elbow_model::ErrorClass::Throttled;
            return Err(AwsError::new(class, "Throttling", "injected"));
        }
        answer(account, now, call)
    };
    let is_waiting = |run: &Run| {
        let mut steps = run
            .reconciler
            .execution(&Unit::Cluster)
            .into_iter()
            .flatten();
        let is_import = |step: &elbow_plan::Step| step.resource.kind == ResourceKind::Certificate;
        steps.any(|(step, state)| is_import(step) && *state == StepState::Running)
    };
    while !is_waiting(&run) {
        assert!(run.turn(&mut |now, call| aws(&mut account, now, call)));
    }
    for _ in 0..4 {
        run.turn(&mut |now, call| aws(&mut account, now, call));
    }
    let edited = web.replace("value: \"60\"", "value: \"90\"");
    assert_ne!(edited, web);
    apply(&mut run, snapshot(&[&edited]).objects());
    run.settle_with(&mut |now, call| aws(&mut account, now, call));
    run.assert_converged();
    assert!(account.take_operations().contains(&"CreateListener"));
}
