//! Certificates of Secrets that begin and end to be valid while nothing else happens.

use elbow_emulator::{Config, HealthMode};
use elbow_model::{AwsAnswer, AwsCall, AwsError, CertificateMaterial};
use elbow_reconcile::{Effect, Timestamp};

use crate::account::{ALB, Account, Run, settings, snapshot};

const FUTURE: &str = include_str!("../../../elbow-api/testdata/secrets/future.crt");
const FUTURE_KEY: &str = include_str!("../../../elbow-api/testdata/secrets/future.key");

/// The first second of the certificate's validity: 2100-01-01.
const BEGINS_MS: u64 = 4_102_444_800_000;
/// The first second after it: 2125-01-01 and one second.
const ENDED_MS: u64 = 4_891_363_201_000;

/// The ALB with a certificate of a Secret.
fn manifests() -> String {
    let of_secret = ALB.replace(
        "hostname: app.example.com}",
        "hostname: app.example.com, tls: {certificateRefs: [{name: tls}]}}",
    );
    // The one of the configuration would come first.
    let (before, after) = of_secret.split_once("  listenerConfigurations:").unwrap();
    let (_, after) = after.split_once("\n---").unwrap();
    let indented = |text: &str| text.trim_end().replace('\n', "\n    ");
    format!(
        "{before}---{after}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: tls, namespace: app}}\n\
         type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indented(FUTURE),
        indented(FUTURE_KEY)
    )
}

fn account(now_ms: u64) -> Account {
    let mut account = Account::with(Config {
        health: HealthMode::AssumeHealthy,
        ..Config::default()
    });
    account.now = Timestamp::from_millis(now_ms);
    account
}

fn answer(account: &mut Account, now: Timestamp, call: &AwsCall) -> Result<AwsAnswer, AwsError> {
    if !matches!(call, AwsCall::ImportCertificate { .. }) {
        return account.answer(now, call);
    }
    account.now = now;
    account.calls.push(call.clone());
    let material = CertificateMaterial {
        certificate: FUTURE.to_owned(),
        chain: None,
        private_key: FUTURE_KEY.to_owned().into(),
    };
    let at = elbow_emulator::Timestamp::from_millis(now.as_millis());
    elbow_loopback::answer_with(&mut account.emulator, at, call, Some(&material))
}

/// What the listener says of its references, and whether it is served.
fn listener(run: &Run) -> String {
    let mut reports = run.effects.iter().rev();
    let status = reports.find_map(|effect| match effect {
        Effect::Report { report, .. } => report.gateway_status(),
        _ => None,
    });
    let status = status.unwrap();
    let mut listeners = status.listeners.iter().flatten();
    let https = listeners.find(|l| l.name == "https").unwrap();
    let of = |condition: &str| {
        let mut conditions = https.conditions.iter();
        let found = conditions.find(|c| c.condition_type == condition).unwrap();
        format!("{condition}={}", found.status)
    };
    format!("{} {}", of("ResolvedRefs"), of("Programmed"))
}

/// Lets time pass up to a moment.
fn run_until(run: &mut Run, account: &mut Account, until_ms: u64) {
    while run.now().as_millis() < until_ms {
        if !run.turn(&mut |now, call| answer(account, now, call)) {
            return;
        }
    }
    run.settle_with(&mut |now, call| answer(account, now, call));
}

#[test]
fn a_certificate_is_judged_again_when_it_begins_and_when_it_ends() {
    let mut account = account(BEGINS_MS - 3_600_000);
    let mut run = Run::start(&account, snapshot(&[&manifests()]), settings());
    run.settle_with(&mut |now, call| answer(&mut account, now, call));
    assert_eq!(listener(&run), "ResolvedRefs=False Programmed=False");
    assert!(!account.take_operations().contains(&"ImportCertificate"));

    run_until(&mut run, &mut account, BEGINS_MS);
    assert_eq!(run.now().as_millis(), BEGINS_MS, "neither late nor early");
    assert_eq!(listener(&run), "ResolvedRefs=True Programmed=True");
    let operations = account.take_operations();
    assert!(operations.contains(&"ImportCertificate"), "{operations:?}");
    assert!(operations.contains(&"CreateListener"), "{operations:?}");

    // What was imported stays in use; that it has ended is told.
    run_until(&mut run, &mut account, ENDED_MS);
    assert_eq!(run.now().as_millis(), ENDED_MS);
    assert_eq!(listener(&run), "ResolvedRefs=False Programmed=True");
    assert_eq!(account.take_changes(), Vec::<&str>::new());
    // There is nothing more to wait for, but for a record that is put off.
    while run.turn(&mut |now, call| account.answer(now, call)) {}
    assert!(run.now().as_millis() < ENDED_MS + 60_000);
}

#[test]
fn a_renewal_that_is_not_valid_yet_is_imported_when_it_is() {
    let mut account = account(BEGINS_MS - 3_600_000);
    let mut run = Run::start(&account, snapshot(&[&manifests()]), settings());
    let mut objects = run.snapshot.objects();
    let secret = objects.iter_mut().find_map(|object| match object {
        elbow_api::Object::Secret(secret) => Some(secret),
        _ => None,
    });
    let mut renewed = std::sync::Arc::unwrap_or_clone(secret.unwrap().clone());
    // The Secret's first certificate is valid already.
    let mut first = renewed.clone();
    let valid = first.certificate.as_mut().unwrap();
    (valid.not_before, valid.digest) = (0, "0".repeat(64));
    let reads = run.snapshot.apply(&elbow_api::Object::from(first));
    run.send(elbow_reconcile::Input::ObjectsChanged(reads));
    // ACM takes it a moment before, as far as this test goes.
    let mut imports = 0;
    let mut early = |account: &mut Account, now: Timestamp, call: &AwsCall| match call {
        AwsCall::ImportCertificate { .. } if now.as_millis() < BEGINS_MS => {
            imports += 1;
            answer(account, Timestamp::from_millis(BEGINS_MS), call)
        }
        call => answer(account, now, call),
    };
    run.settle_with(&mut |now, call| early(&mut account, now, call));
    assert_eq!(listener(&run), "ResolvedRefs=True Programmed=True");
    account.take_operations();

    renewed.metadata.resource_version = Some("2".to_owned());
    let reads = run.snapshot.apply(&elbow_api::Object::from(renewed));
    run.send(elbow_reconcile::Input::ObjectsChanged(reads));
    run.settle_with(&mut |now, call| early(&mut account, now, call));
    assert_eq!(listener(&run), "ResolvedRefs=False Programmed=True");
    assert_eq!(account.take_changes(), Vec::<&str>::new());
    assert_eq!(imports, 1);

    run_until(&mut run, &mut account, BEGINS_MS);
    assert_eq!(run.now().as_millis(), BEGINS_MS);
    assert_eq!(listener(&run), "ResolvedRefs=True Programmed=True");
    assert_eq!(
        account.take_changes(),
        ["ImportCertificate", "AddTagsToCertificate"]
    );
}
