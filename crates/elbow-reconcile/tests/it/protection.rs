//! Finalizers: they stand before anything is made, and go when nothing is left.

use std::sync::Arc;

use elbow_api::{GatewayController, Kind, Object, ObjectRef};
use elbow_model::Observed;
use elbow_reconcile::{Effect, Input, Protection, Settings};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

use crate::account::{ALB, Account, Run, settings, snapshot};

fn protecting() -> Settings {
    Settings {
        protection: Protection::Finalizer,
        ..settings()
    }
}

fn edit_gateway(run: &mut Run, edit: impl FnOnce(&mut ObjectMeta)) {
    let name = run.snapshot.gateway_names().next().unwrap().clone();
    let object = ObjectRef::new(Kind::Gateway, name.namespace, name.name);
    let Some(Object::Gateway(mut gateway)) = run.snapshot.get(&object) else {
        unreachable!("it is a Gateway")
    };
    edit(&mut Arc::make_mut(&mut gateway).metadata);
    let reads = run.snapshot.apply(&Object::Gateway(gateway));
    run.send(Input::ObjectsChanged(reads));
}

fn run_out(run: &mut Run, account: &mut Account) {
    while run.turn(&mut |now, call| account.answer(now, call)) {}
}

#[test]
fn nothing_is_made_before_the_finalizer_stands() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), protecting());
    run_out(&mut run, &mut account);
    assert_eq!(account.take_changes(), Vec::<&str>::new());
    let asked = |effect: &&Effect| matches!(effect, Effect::Protect { controller, .. } if *controller == GatewayController::Alb);
    assert_eq!(run.effects.iter().filter(asked).count(), 1);
    assert!(!run.reconciler.is_quiet(), "it is about to make something");

    edit_gateway(&mut run, |metadata| {
        metadata.finalizers = Some(vec!["gateway.k8s.aws/alb".to_owned()]);
    });
    run.settle(&mut account);
    run.assert_converged();
    assert!(account.take_changes().contains(&"CreateLoadBalancer"));
}

#[test]
fn the_finalizer_is_released_when_nothing_is_left() {
    let mut account = Account::new();
    let mut run = Run::start(&account, snapshot(&[ALB]), protecting());
    run_out(&mut run, &mut account);
    edit_gateway(&mut run, |metadata| {
        metadata.finalizers = Some(vec!["gateway.k8s.aws/alb".to_owned()]);
    });
    run.settle(&mut account);
    run.effects.clear();
    edit_gateway(&mut run, |metadata| {
        metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    });
    let mut released = Vec::new();
    while run.turn(&mut |now, call| account.answer(now, call)) {
        for effect in run.effects.drain(..) {
            if let Effect::Report { report, .. } = effect {
                released.push((report.released(), run.reconciler.known().stacks.len()));
            }
        }
    }
    let (last, stacks) = released.last().unwrap();
    assert!(last.contains(&GatewayController::Alb), "{released:?}");
    // What all Gateways share goes after it.
    assert!(*stacks <= 1, "{released:?}");
    for (controllers, stacks) in &released {
        let is_held = !controllers.contains(&GatewayController::Alb);
        assert!(is_held || *stacks <= 1, "{released:?}");
    }
    assert_eq!(run.reconciler.known().stacks, Observed::default().stacks);
}
