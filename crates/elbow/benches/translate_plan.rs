//! Translation and planning: everything at once, and after one route has changed.
//!
//! `cold` is what a controller does at its start, without the calls to AWS: each Gateway is translated
//! and planned against nothing. `one_route_changed` is what it does for an edit: the machine is told of
//! the change and answers with a plan; its time must not grow with the number of other Gateways, which
//! is what its arguments show. A Gateway here has one HTTP listener and 100 routes, one rule each.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use clap::Parser as _;
use divan::{Bencher, black_box};
use elbow::args::{Cli, Command};
use elbow::input::{Project, StandIns};
use elbow::offline::Account;
use elbow_api::{Object, Read};
use elbow_cluster::Input as Manifests;
use elbow_model::{FactQuery, Facts, ObservedStack};
use elbow_plan::{ClusterView, Policy};
use elbow_reconcile::facts::FactLookup;
use elbow_reconcile::{Effect, Input};
use elbow_translate::Translated;

/// Routes of each Gateway. 100 rules are what a load balancer may have (ELBv2 quota).
const ROUTES: usize = 100;

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 10, 100], sample_count = 10, sample_size = 1)]
fn cold(bencher: Bencher<'_, '_>, gateways: usize) {
    let project = project(gateways);
    let facts = facts(&project);
    bencher.bench_local(|| {
        let cluster = ClusterView::default();
        let (nothing, policy) = (ObservedStack::default(), Policy::default());
        let mut steps = 0;
        for name in project.loaded.snapshot.gateway_names() {
            let snapshot = &project.loaded.snapshot;
            let translated =
                elbow_translate::translate_gateway(snapshot, &facts, &project.settings, name);
            if let Translated::Done(translation) = translated
                && let Some(stack) = &translation.stack
            {
                let plan = elbow_plan::plan_stack(elbow_plan::Input {
                    desired: stack,
                    observed: &nothing,
                    cluster: &cluster,
                    policy: &policy,
                });
                steps += plan.steps.len();
            }
        }
        assert!(steps > gateways * ROUTES, "every route is planned");
        black_box(steps)
    });
}

#[divan::bench(args = [1, 10, 100], sample_count = 20, sample_size = 1)]
fn one_route_changed(bencher: Bencher<'_, '_>, gateways: usize) {
    let project = project(gateways);
    let mut account = Account::for_project(&project).expect("a world for the project");
    let done = account.converge(&project);
    let state = RefCell::new((project, account, done.convergence.reconciler, 0_usize));

    bencher
        .with_inputs(|| {
            let (project, account, reconciler, number) = &mut *state.borrow_mut();
            // What the change before this one still has to do is done outside of the measurement.
            account.finish(reconciler, &project.loaded.snapshot);
            *number += 1;
            let route = route(0, 0, &format!("/changed-{number}"));
            changed(project, &route)
        })
        .bench_local_refs(|reads: &mut BTreeSet<Read>| {
            let (project, account, reconciler, _) = &mut *state.borrow_mut();
            let input = Input::ObjectsChanged(std::mem::take(reads));
            let effects = reconciler.step(input, &project.loaded.snapshot, account.now());
            let is_planned = effects
                .iter()
                .any(|e| matches!(e, Effect::PlanReady { .. }));
            assert!(is_planned, "the change is planned in this step");
            account.keep(effects);
        });
}

fn changed(project: &mut Project, manifest: &str) -> BTreeSet<Read> {
    let loaded = elbow_cluster::load(&[Manifests::Stdin(manifest.as_bytes().to_vec())]);
    let mut reads = BTreeSet::new();
    for object in loaded.snapshot.objects() {
        if matches!(object, Object::HttpRoute(_)) {
            reads.extend(project.loaded.snapshot.apply(&object));
        }
    }
    reads
}

/// The facts that the made-up world answers with.
fn facts(project: &Project) -> Facts {
    let mut account = Account::for_project(project).expect("a world for the project");
    let (snapshot, settings) = (&project.loaded.snapshot, &project.settings);
    let mut facts = Facts::default();
    for name in snapshot.gateway_names() {
        while let Translated::NeedFacts(queries) =
            elbow_translate::translate_gateway(snapshot, &facts, settings, name)
        {
            let load_balancers = queries.iter().filter_map(|query| match query {
                FactQuery::LoadBalancerOf(stack) => Some((stack.clone(), None)),
                _ => None,
            });
            facts.load_balancers.extend(load_balancers);
            let (mut lookup, mut calls) =
                FactLookup::start(settings.vpc_id.clone(), queries, BTreeMap::new());
            while let Some(call) = calls.pop() {
                let answer = account.call(&call);
                calls.extend(lookup.answered(&call, answer));
            }
            lookup.finish(&mut facts);
        }
    }
    facts
}

fn project(gateways: usize) -> Project {
    let mut text = String::from(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata:\n  name: alb\n\
         spec:\n  controllerName: gateway.k8s.aws/alb\n",
    );
    for gateway in 0..gateways {
        text.push_str(&format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  \
             name: gw-{gateway}\n  namespace: shop\nspec:\n  gatewayClassName: alb\n  listeners:\n    \
             - name: http\n      protocol: HTTP\n      port: 80\n"
        ));
        for number in 0..ROUTES {
            text.push_str("---\n");
            text.push_str(&route(gateway, number, &format!("/path-{number}")));
        }
    }
    let line = ["elbow", "lint", "-fx", "--default-target-type=ip"];
    let Command::Lint(lint) = Cli::parse_from(line).command else {
        unreachable!("the line says lint")
    };
    Project::load(
        &[Manifests::Stdin(text.into_bytes())],
        &lint.settings,
        StandIns::MakeUp,
    )
    .expect("the manifests are valid")
}

fn route(gateway: usize, number: usize, path: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  \
         name: gw-{gateway}-route-{number}\n  namespace: shop\nspec:\n  parentRefs:\n    \
         - name: gw-{gateway}\n  rules:\n    - matches:\n        - path:\n            \
         type: PathPrefix\n            value: {path}\n      backendRefs:\n        \
         - name: web-{service}\n          port: 80\n",
        service = number % 10,
    )
}
