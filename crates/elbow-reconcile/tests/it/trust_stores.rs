//! Trust stores that are made of ConfigMaps: made before the listener that has them, given other content
//! under it, gone after it.

use std::collections::{BTreeMap, BTreeSet};

use elbow_api::Snapshot;
use elbow_emulator::Timestamp as EmulatorTime;
use elbow_model::{AwsAnswer, AwsCall, AwsError, BundleStorage, ErrorClass, MutualAuthentication};
use elbow_reconcile::{RoundResult, Settings};

use crate::account::{ALB, Account, Run, snapshot};
use crate::table::records;

const ROOT: &str = include_str!("../../../elbow-api/testdata/secrets/root.crt");
const INTERMEDIATE: &str = include_str!("../../../elbow-api/testdata/secrets/intermediate.crt");

const BUCKET: &str = "bundles";

fn settings() -> Settings {
    let mut settings = crate::account::settings();
    settings.translate.bundle_storage = Some(BundleStorage {
        bucket: BUCKET.to_owned(),
        prefix: "elbow/".to_owned(),
    });
    settings
}

fn account() -> Account {
    let mut account = Account::new();
    account.emulator.add_bucket(BUCKET).unwrap();
    account
}

/// The ALB, whose HTTPS listener verifies its clients.
fn verifying() -> String {
    ALB.replace(
        "  listeners:",
        "  tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}}}\n  listeners:",
    )
}

fn authorities(certificates: &[&str]) -> String {
    let text: String = certificates.concat();
    let text = text.trim_end().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: ca, namespace: app}}\ndata:\n  ca.crt: |\n    {text}\n"
    )
}

/// Keys of the objects that are in the bucket, by what was asked of it.
fn objects(calls: &[AwsCall]) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for call in calls {
        match call {
            AwsCall::PutObject { key, .. } => {
                keys.insert(key.clone());
            }
            AwsCall::DeleteObject { key, .. } => {
                keys.remove(key);
            }
            _ => {}
        }
    }
    keys
}

/// Names of the trust stores of the account.
fn trust_stores(account: &mut Account) -> Vec<String> {
    let call = AwsCall::DescribeTrustStores {
        names: Vec::new(),
        marker: None,
    };
    let now = EmulatorTime::from_millis(account.now.as_millis());
    match elbow_loopback::answer(&mut account.emulator, now, &call) {
        Ok(AwsAnswer::TrustStores(page)) => page.items.into_iter().map(|s| s.name).collect(),
        other => unreachable!("{other:?}"),
    }
}

fn modes(run: &Run) -> Vec<&'static str> {
    let stacks = run.reconciler.known().stacks.values();
    let balancers = stacks.flat_map(|stack| &stack.load_balancers);
    let listeners = balancers.flat_map(|lb| &lb.listeners);
    listeners.map(|l| l.mutual_authentication.mode()).collect()
}

/// What would be done now.
fn planned(account: &mut Account, snapshot: &Snapshot) -> Vec<String> {
    let start = account.now;
    let report = elbow_reconcile::plan_once(snapshot, &settings(), &mut |now, call| {
        account.answer(start.plus_millis(now.as_millis()), call)
    });
    let steps = report.plan().steps;
    steps
        .iter()
        .map(|s| format!("{} {}", s.name, s.reason))
        .collect()
}

#[test]
fn a_rotation_touches_no_listener_and_a_deletion_leaves_nothing() {
    let mut account = account();
    let before = [verifying(), authorities(&[ROOT])];
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let mut run = Run::start(&account, snapshot(&before), settings());
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(modes(&run), ["off", "verify"]);
    assert_eq!(trust_stores(&mut account).len(), 1);
    assert_eq!(objects(&account.calls).len(), 1);
    let mut calls = std::mem::take(&mut account.calls);

    let after = [verifying(), authorities(&[INTERMEDIATE, ROOT])];
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    run.edit(&after);
    run.settle(&mut account);
    run.assert_converged();
    calls.extend(account.calls.iter().cloned());
    assert_eq!(
        account.take_changes(),
        ["PutObject", "ModifyTrustStore", "DeleteObject", "AddTags"]
    );
    assert_eq!(objects(&calls).len(), 1, "the old bundle is gone");

    // The same authorities in another order are no change.
    let shuffled = [verifying(), authorities(&[ROOT, INTERMEDIATE, ROOT])];
    let shuffled: Vec<&str> = shuffled.iter().map(String::as_str).collect();
    run.edit(&shuffled);
    run.settle(&mut account);
    assert_eq!(account.take_changes(), Vec::<&str>::new());
    assert_eq!(
        planned(&mut account, &snapshot(&shuffled)),
        Vec::<String>::new()
    );

    account.calls.clear();
    run.edit(&[]);
    run.settle(&mut account);
    calls.extend(account.calls.iter().cloned());
    assert_eq!(trust_stores(&mut account), Vec::<String>::new());
    assert_eq!(objects(&calls), BTreeSet::new());
    assert!(run.reconciler.known().stacks.is_empty());
}

#[test]
fn a_listener_lets_go_before_its_trust_store_goes() {
    let mut account = account();
    let authorities = authorities(&[ROOT]);
    let verifying = verifying();
    let mut run = Run::start(&account, snapshot(&[&verifying, &authorities]), settings());
    run.settle(&mut account);
    account.calls.clear();
    run.edit(&[ALB, &authorities]);
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(modes(&run), ["off", "off"]);
    assert_eq!(
        account.take_changes(),
        ["ModifyListener", "DeleteObject", "DeleteTrustStore"]
    );
}

#[test]
fn authorities_that_are_missing_take_nothing_away() {
    let mut account = account();
    let verifying = verifying();
    let authorities = authorities(&[ROOT]);
    let mut run = Run::start(&account, snapshot(&[&verifying, &authorities]), settings());
    run.settle(&mut account);
    account.calls.clear();
    run.edit(&[&verifying]);
    run.settle(&mut account);
    assert_eq!(account.take_changes(), Vec::<&str>::new());
    assert_eq!(modes(&run), ["off", "verify"]);
    // Neither does a restart, whatever the last machine has kept.
    for kept in [records(&run.effects), BTreeMap::new()] {
        let objects = snapshot(&[&verifying]);
        let mut run = Run::start_with(&account, objects, settings(), kept);
        run.settle(&mut account);
        assert_eq!(account.take_changes(), Vec::<&str>::new());
        assert_eq!(trust_stores(&mut account).len(), 1);
        let again = Run::start_with(
            &account,
            snapshot(&[&verifying]),
            settings(),
            records(&run.effects),
        );
        let mut run = again;
        run.settle(&mut account);
        assert_eq!(account.take_changes(), Vec::<&str>::new());
    }
}

#[test]
fn a_trust_store_that_cannot_be_made_holds_up_its_listener_alone() {
    // There is no bucket.
    let mut account = Account::new();
    let objects = snapshot(&[&verifying(), &authorities(&[ROOT])]);
    let mut run = Run::start(&account, objects, settings());
    for _ in 0..500 {
        if !run.turn(&mut |now, call| account.answer(now, call)) {
            break;
        }
    }
    assert_eq!(
        modes(&run),
        ["off"],
        "the HTTPS listener is not made without"
    );
    let results = run.results();
    let result = results.iter().find(|(unit, _)| unit.gateway().is_some());
    let Some((_, RoundResult::Incomplete { outcome })) = result else {
        unreachable!("{results:?}");
    };
    let failures = outcome.failures.iter();
    let told: Vec<_> = failures.map(|f| f.error.code.as_str()).collect();
    assert_eq!(told, ["NoSuchBucket"]);

    account.emulator.add_bucket(BUCKET).unwrap();
    run.settle(&mut account);
    run.assert_converged();
    assert_eq!(modes(&run), ["off", "verify"]);
}

/// Crashes after each number of calls on the way from one state to the next, and then deletes all.
fn crash_everywhere(before: &[&str], after: &[&str]) {
    for n in 1.. {
        assert!(n < 200, "it never ends");
        let mut account = account();
        let mut run = Run::start(&account, snapshot(before), settings());
        run.settle(&mut account);
        let base = account.calls.len();
        let mut run = Run::start(&account, snapshot(after), settings());
        while !run.reconciler.is_quiet() && account.calls.len() - base < n {
            run.turn(&mut |now, call| account.answer(now, call));
        }
        let has_crashed = !run.reconciler.is_quiet();
        account.now = run.now();
        drop(run);
        let mut next = Run::start(&account, snapshot(after), settings());
        next.settle(&mut account);
        next.assert_converged();
        assert!(trust_stores(&mut account).len() <= 1, "after {n} calls");
        assert_eq!(
            planned(&mut account, &snapshot(after)),
            Vec::<String>::new(),
            "after {n} calls"
        );
        next.edit(&[]);
        next.settle(&mut account);
        assert_eq!(trust_stores(&mut account).len(), 0, "after {n} calls");
        assert_eq!(objects(&account.calls), BTreeSet::new(), "after {n} calls");
        if !has_crashed {
            assert!(n > 10, "only {n} calls: nothing was tested");
            return;
        }
    }
}

#[test]
fn a_crash_anywhere_while_making_one_converges() {
    crash_everywhere(&[ALB], &[&verifying(), &authorities(&[ROOT])]);
}

#[test]
fn a_crash_anywhere_while_replacing_its_content_converges() {
    let verifying = verifying();
    crash_everywhere(
        &[&verifying, &authorities(&[ROOT])],
        &[&verifying, &authorities(&[INTERMEDIATE])],
    );
}

#[test]
fn a_listener_that_somebody_turned_off_verifies_again() {
    let mut account = account();
    let objects = snapshot(&[&verifying(), &authorities(&[ROOT])]);
    let mut run = Run::start(&account, objects.clone(), settings());
    run.settle(&mut account);
    let listener = {
        let stacks = run.reconciler.known().stacks.values();
        let mut listeners = stacks
            .flat_map(|s| &s.load_balancers)
            .flat_map(|lb| &lb.listeners);
        let found = listeners.find(|l| l.mutual_authentication.trust_store().is_some());
        found.unwrap().arn.clone()
    };
    let turn_off = AwsCall::ModifyListener {
        listener: listener.into(),
        protocol: None,
        default_action: None,
        default_certificate: None,
        ssl_policy: None,
        alpn_policy: None,
        mutual_authentication: Some(MutualAuthentication::Off),
    };
    let now = account.now;
    account.answer(now, &turn_off).unwrap();
    account.calls.clear();
    let mut run = Run::start(&account, objects, settings());
    run.settle(&mut account);
    assert_eq!(account.take_changes(), ["ModifyListener"]);
    assert_eq!(modes(&run), ["off", "verify"]);
}

/// Rules of nodes let go of the shared security group while the cluster's round deletes something else: the
/// group goes after that round, not never.
#[test]
fn what_becomes_free_during_the_clusters_round_goes_after_it() {
    let mut account = account();
    let objects = snapshot(&[&verifying(), &authorities(&[ROOT])]);
    let mut run = Run::start(&account, objects, settings());
    run.settle(&mut account);
    // The rules go after the Gateway, and before the trust store.
    let (mut rules, mut stores) = (2, 6);
    run.edit(&[]);
    run.settle_with(&mut |now, call| {
        let left = match call {
            AwsCall::RevokeSecurityGroupIngress { .. } => &mut rules,
            AwsCall::DeleteTrustStore { .. } => &mut stores,
            _ => return account.answer(now, call),
        };
        if *left == 0 {
            return account.answer(now, call);
        }
        *left -= 1;
        let class = ErrorClass::Throttled;
        Err(AwsError::new(class, "Throttling", "Rate exceeded"))
    });
    assert_eq!((rules, stores), (0, 0));
    assert!(run.reconciler.known().stacks.is_empty());
}

/// After a restart it is not known what listeners have. While that is looked at, since their Gateway is not
/// what it was, nothing that they may have is deleted.
#[test]
fn nothing_is_deleted_that_a_listener_may_have_of_which_only_lists_have_told() {
    let mut account = account();
    let (verifying, authorities) = (verifying(), authorities(&[ROOT]));
    let objects = [verifying.as_str(), authorities.as_str()];
    let mut run = Run::start(&account, snapshot(&objects), settings());
    run.settle(&mut account);
    let kept = records(&run.effects);
    let mut run = Run::start_with(&account, snapshot(&objects), settings(), kept);
    run.settle(&mut account);
    account.calls.clear();
    // Its configuration is gone, and it keeps what it has. The round of another Gateway, which is somebody
    // else's, ends at once and has the cluster looked after.
    let documents = verifying.split("---\n");
    let rest: Vec<&str> = documents
        .filter(|document| !document.contains("\nkind: LoadBalancerConfiguration"))
        .collect();
    let rest = rest.join("---\n");
    let foreign = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: example.com/other}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: zoo, namespace: app}
spec: {gatewayClassName: other, listeners: [{name: http, protocol: HTTP, port: 80}]}
";
    run.edit(&[&rest, &authorities, foreign]);
    run.settle(&mut account);
    assert_eq!(account.take_changes(), Vec::<&str>::new());
    assert_eq!(modes(&run), ["off", "verify"]);
}
