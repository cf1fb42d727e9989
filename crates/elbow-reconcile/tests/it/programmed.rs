//! Of which generation the condition `Programmed` speaks, at every moment of a change.

use std::collections::BTreeMap;
use std::sync::Arc;

use elbow_api::{Kind, Object, ObjectRef};
use elbow_emulator::{Config, HealthMode, Latencies};
use elbow_model::{AwsAnswer, AwsCall, AwsError, ErrorClass};
use elbow_reconcile::{Effect, Timestamp};
use elbow_translate::status::{Condition, GatewayStatus};

use crate::account::{ALB, Account, Run, settings, snapshot};

/// A status as it is written: what yields to what is there is left as it is.
#[derive(Default)]
struct Written {
    programmed: BTreeMap<String, (&'static str, i64)>,
    address: Option<String>,
}

impl Written {
    fn take_in(&mut self, status: &GatewayStatus) {
        let listeners = status.listeners.iter().flatten();
        let of_listeners = listeners.map(|l| (l.name.clone(), &l.conditions));
        let of_gateway = [("gateway".to_owned(), &status.conditions)];
        for (name, conditions) in of_gateway.into_iter().chain(of_listeners) {
            let mut conditions = conditions.iter();
            let found = conditions.find(|c: &&Condition| c.condition_type == "Programmed");
            let Some(found) = found else { continue };
            let before = self.programmed.get(&name);
            if found.unless_true && before.is_some_and(|(status, _)| *status == "True") {
                continue;
            }
            let told = (found.status, found.observed_generation);
            self.programmed.insert(name, told);
        }
        if let Some(addresses) = &status.addresses {
            self.address = addresses.first().cloned();
        }
    }

    fn of(&self, name: &str) -> (&'static str, i64) {
        *self.programmed.get(name).unwrap_or(&("", 0))
    }
}

/// Takes the reports in up to now.
fn take_in(run: &mut Run, written: &mut Written) {
    for effect in run.effects.drain(..) {
        if let Effect::Report { report, .. } = effect
            && let Some(status) = report.gateway_status()
        {
            written.take_in(&status);
        }
    }
}

/// Makes the Gateway another generation of other texts.
fn edit(run: &mut Run, text: &str, generation: i64) {
    let object = ObjectRef::new(Kind::Gateway, "app", "web");
    let after = snapshot(&[text]);
    let mut reads = std::collections::BTreeSet::new();
    for mut changed in after.objects() {
        if run.snapshot.get(&changed.object_ref()).as_ref() == Some(&changed) {
            continue;
        }
        if changed.object_ref() == object
            && let Object::Gateway(gateway) = &mut changed
        {
            Arc::make_mut(gateway).metadata.generation = Some(generation);
        }
        reads.extend(run.snapshot.apply(&changed));
    }
    run.send(elbow_reconcile::Input::ObjectsChanged(reads));
}

/// Runs until nothing is left to do and looks at each status on the way.
fn settle(
    run: &mut Run,
    written: &mut Written,
    aws: &mut dyn FnMut(Timestamp, &AwsCall) -> Result<AwsAnswer, AwsError>,
    mut look: impl FnMut(&Written),
) {
    while !run.reconciler.is_quiet() {
        assert!(run.turn(aws));
        take_in(run, written);
        look(written);
    }
    run.settle_with(aws);
    take_in(run, written);
    look(written);
}

const MORE: &str = "  - {name: more, protocol: HTTP, port: 8081}\n";

fn with_more() -> String {
    ALB.replace(
        "  - {name: http, protocol: HTTP, port: 80}\n",
        &format!("  - {{name: http, protocol: HTTP, port: 80}}\n{MORE}"),
    )
}

#[test]
fn a_new_generation_is_programmed_after_its_last_rule() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    let mut written = Written::default();
    let n_rules = |account: &Account, wanted: usize| {
        let created = account.calls.iter();
        let created = created.filter(|c| c.operation() == "CreateRule").count();
        created == wanted
    };
    while !run.reconciler.is_quiet() {
        assert!(run.turn(&mut |now, call| account.answer(now, call)));
        take_in(&mut run, &mut written);
        let is_told = written
            .programmed
            .values()
            .any(|(status, _)| *status == "True");
        assert!(!is_told || n_rules(&account, 2));
    }
    settle(
        &mut run,
        &mut written,
        &mut |now, call| account.answer(now, call),
        |_| {},
    );
    assert_eq!(written.of("gateway"), ("True", 1));
    account.take_operations();

    edit(&mut run, &with_more(), 2);
    let mut has_stood = false;
    while !run.reconciler.is_quiet() {
        take_in(&mut run, &mut written);
        let is_done = n_rules(&account, 1);
        has_stood |= !is_done && written.programmed.contains_key("more");
        if !is_done {
            assert_eq!(written.of("gateway"), ("True", 1));
            assert_eq!(written.of("http"), ("True", 1));
            assert_ne!(written.of("more").0, "True");
        }
        assert!(run.turn(&mut |now, call| account.answer(now, call)));
    }
    assert!(
        has_stood,
        "it is told at once that the listener is accepted"
    );
    settle(
        &mut run,
        &mut written,
        &mut |now, call| account.answer(now, call),
        |_| {},
    );
    for name in ["gateway", "http", "https", "more"] {
        assert_eq!(written.of(name), ("True", 2), "{name}");
    }
}

#[test]
fn what_passes_by_itself_is_waited_for_and_what_does_not_is_told() {
    for (class, while_failing) in [
        (ErrorClass::Conflict, ("True", 1)),
        (ErrorClass::Denied, ("True", 2)),
    ] {
        let mut account = Account::new();
        let mut run = Run::start(&account, snapshot(&[ALB]), settings());
        let mut written = Written::default();
        let aws = &mut |now, call: &AwsCall| account.answer(now, call);
        settle(&mut run, &mut written, aws, |_| {});
        edit(&mut run, &with_more(), 2);
        let mut n_failed = 0;
        while n_failed < 3 {
            assert!(run.turn(&mut |now, call| {
                if call.operation() == "CreateListener" {
                    n_failed += 1;
                    return Err(AwsError::new(class, "No", "no"));
                }
                account.answer(now, call)
            }));
        }
        take_in(&mut run, &mut written);
        assert_eq!(written.of("gateway"), while_failing, "{class:?}");
        assert_eq!(written.of("http"), while_failing, "{class:?}");
        assert_eq!(written.of("more").0, "False", "{class:?}");
        let aws = &mut |now, call: &AwsCall| account.answer(now, call);
        settle(&mut run, &mut written, aws, |_| {});
        for name in ["gateway", "http", "more"] {
            assert_eq!(written.of(name), ("True", 2), "{class:?} {name}");
        }
    }
}

#[test]
fn the_address_stays_that_of_the_load_balancer_that_serves() {
    let mut account = Account::with(Config {
        health: HealthMode::AssumeHealthy,
        latencies: Latencies {
            application_load_balancer_provisioning_ms: 90_000,
            ..Latencies::instant()
        },
        ..Config::default()
    });
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    let mut written = Written::default();
    let aws = &mut |now, call: &AwsCall| account.answer(now, call);
    settle(&mut run, &mut written, aws, |_| {});
    assert_eq!(written.of("gateway"), ("True", 1));
    let old = written.address.clone().unwrap();
    account.take_operations();

    let internal = ALB.replace("scheme: internet-facing", "scheme: internal");
    run.edit(&[&internal]);
    let mut others = 0;
    while !run.reconciler.is_quiet() {
        // Endpoints change meanwhile: rounds are given up and begun again.
        if account.calls.len() == 20 {
            let moved = internal.replace("192.168.96.10", "192.168.96.11");
            run.edit(&[&moved]);
        }
        assert!(run.turn(&mut |now, call| account.answer(now, call)));
        take_in(&mut run, &mut written);
        let is_there = |operation: &str| account.calls.iter().any(|c| c.operation() == operation);
        if !is_there("DeleteLoadBalancer") {
            assert_eq!(written.address.as_ref(), Some(&old));
            assert_eq!(written.of("gateway").0, "True");
            others += usize::from(is_there("CreateLoadBalancer"));
        }
    }
    assert!(others > 0, "it was looked at while both were there");
    let aws = &mut |now, call: &AwsCall| account.answer(now, call);
    settle(&mut run, &mut written, aws, |_| {});
    assert_ne!(written.address, Some(old));
    assert_eq!(written.of("gateway"), ("True", 1));
}

#[test]
fn a_machine_that_begins_takes_nothing_back() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), settings());
    let mut written = Written::default();
    let aws = &mut |now, call: &AwsCall| account.answer(now, call);
    settle(&mut run, &mut written, aws, |_| {});
    let mut next = Run::start(&account, snapshot(&[ALB]), settings());
    let aws = &mut |now, call: &AwsCall| account.answer(now, call);
    settle(&mut next, &mut written, aws, |written| {
        for name in ["gateway", "http", "https"] {
            assert_eq!(written.of(name), ("True", 1), "{name}");
        }
    });
}
