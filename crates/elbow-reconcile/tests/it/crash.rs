//! Crashes: the machine is dropped after any number of calls, and the next one leads on.

use elbow_api::Snapshot;

use crate::account::{ALB, Account, NLB, Run, planned_from_scratch, settings, snapshot};

/// Runs from `before` to `after`, crashing once after `n` calls; answers with the calls it took to
/// get there without a crash, and what stands in the end.
fn crash_after(n: usize, before: Option<&Snapshot>, after: &Snapshot) -> bool {
    let mut account = Account::new();
    if let Some(before) = before {
        let mut run = Run::start(&account, before.clone(), settings());
        run.settle(&mut account);
        run.assert_converged();
    }
    let base = account.calls.len();
    let mut run = Run::start(&account, after.clone(), settings());
    while !run.reconciler.is_quiet() && account.calls.len() - base < n {
        run.turn(&mut |now, call| account.answer(now, call));
    }
    let has_crashed = !run.reconciler.is_quiet();
    account.now = run.now();
    drop(run);
    let mut next = Run::start(&account, after.clone(), settings());
    next.settle(&mut account);
    next.assert_converged();
    let stacks = &next.reconciler.known().stacks;
    for (id, stack) in stacks {
        let mut names: Vec<&str> = stack
            .target_groups
            .iter()
            .map(|g| g.name.as_str())
            .collect();
        let n_names = names.len();
        names.dedup();
        assert_eq!(names.len(), n_names, "{id}: duplicated target groups");
        assert!(
            stack.load_balancers.len() <= 1,
            "{id}: duplicated load balancers"
        );
        assert!(
            stack.security_groups.len() <= 1,
            "{id}: duplicated security groups"
        );
    }
    assert_eq!(
        planned_from_scratch(&mut account, after),
        Vec::<String>::new(),
        "after {n} calls"
    );
    has_crashed
}

fn crash_everywhere(before: Option<&Snapshot>, after: &Snapshot) {
    let mut n = 1;
    while crash_after(n, before, after) {
        n += 1;
        assert!(n < 200, "it never ends");
    }
    assert!(n > 10, "only {n} calls: nothing was tested");
}

#[test]
fn a_crash_anywhere_while_creating_converges() {
    crash_everywhere(None, &snapshot(&[ALB, NLB]));
}

#[test]
fn a_crash_anywhere_while_replacing_a_target_group_converges() {
    let moved = ALB
        .replace("targetPort: 8080", "targetPort: 8081")
        .replace("port: 8080", "port: 8081");
    crash_everywhere(Some(&snapshot(&[ALB])), &snapshot(&[&moved]));
}

#[test]
fn a_crash_anywhere_while_replacing_a_load_balancer_converges() {
    let internal = ALB.replace("scheme: internet-facing", "scheme: internal");
    crash_everywhere(Some(&snapshot(&[ALB])), &snapshot(&[&internal]));
}

#[test]
fn a_crash_anywhere_while_deleting_converges() {
    crash_everywhere(Some(&snapshot(&[ALB, NLB])), &Snapshot::new());
}
