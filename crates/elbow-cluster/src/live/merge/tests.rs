//! Statuses merged: in, what an object has and what is wanted; out, what is applied, once and not twice.

use std::slice::from_ref;

use elbow_api::Kind;
use serde_json::{Value, json};

use super::*;
use crate::live::objects;

const THEN: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-02-02T02:02:02Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn object(kind: Kind, status: &Value) -> Object {
    let spec = match kind {
        Kind::GatewayClass => json!({ "controllerName": "gateway.k8s.aws/alb" }),
        Kind::Gateway => json!({ "gatewayClassName": "alb", "listeners": [] }),
        _ => json!({ "parentRefs": [{ "name": "web" }] }),
    };
    let value = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind.as_str(),
        "metadata": { "name": "it", "namespace": "app", "generation": 2 },
        "spec": spec,
        "status": status,
    });
    objects::read(kind, &value.to_string()).unwrap()
}

fn condition(type_: &str, status: &str, generation: i64, time: &str) -> Value {
    json!({
        "type": type_,
        "status": status,
        "reason": "R",
        "message": "m",
        "observedGeneration": generation,
        "lastTransitionTime": time,
    })
}

/// A condition as it is wanted: without a time.
fn wanted(type_: &str, status: &str, generation: i64) -> Value {
    let mut condition = condition(type_, status, generation, "");
    condition
        .as_object_mut()
        .unwrap()
        .remove("lastTransitionTime");
    condition
}

#[track_caller]
fn check(kind: Kind, current: &Value, wanted: &Value, expected: Option<&Value>) {
    check_row("the only row", kind, current, wanted, expected);
}

#[track_caller]
fn check_row(row: &str, kind: Kind, current: &Value, wanted: &Value, expected: Option<&Value>) {
    let merged = merge_status(&object(kind, current), wanted, now());
    assert_eq!(merged.as_ref(), expected, "{row}");
    if let Some(merged) = merged {
        // What others have in the status stays, and then there is nothing left to write.
        let mut applied = current.clone();
        apply(&mut applied, &merged);
        assert_eq!(
            merge_status(&object(kind, &applied), wanted, now()),
            None,
            "{row}, merged twice"
        );
    }
}

/// Server-side apply, as far as statuses need it.
fn apply(current: &mut Value, applied: &Value) {
    for (field, value) in applied.as_object().unwrap() {
        let key = match field.as_str() {
            "conditions" => "type",
            "listeners" => "name",
            _ => {
                current[field] = value.clone();
                continue;
            }
        };
        let mut list = array(current.get(field)).to_vec();
        if field == "listeners" {
            list.clear();
        }
        for item in value.as_array().unwrap() {
            match list.iter_mut().find(|i| i[key] == item[key]) {
                Some(before) => *before = item.clone(),
                None => list.push(item.clone()),
            }
        }
        current[field] = Value::Array(list);
    }
}

#[test]
fn a_condition_that_is_so_is_not_written() {
    let current = json!({ "conditions": [condition("Accepted", "True", 2, THEN)] });
    let wanted = json!({ "conditions": [wanted("Accepted", "True", 2)] });
    check(Kind::GatewayClass, &current, &wanted, None);
}

#[test]
fn a_new_generation_is_written_with_the_old_time() {
    let current = json!({ "conditions": [condition("Accepted", "True", 1, THEN)] });
    let wanted = json!({ "conditions": [wanted("Accepted", "True", 2)] });
    let expected = json!({ "conditions": [condition("Accepted", "True", 2, THEN)] });
    check(Kind::GatewayClass, &current, &wanted, Some(&expected));
}

#[test]
fn a_condition_that_yields_leaves_one_that_is_true() {
    let yielding = |type_: &str| {
        let mut condition = wanted(type_, "False", 2);
        condition["unlessTrue"] = json!(true);
        condition
    };
    let rows = [
        ("True", condition("Programmed", "True", 1, THEN)),
        ("False", condition("Programmed", "False", 2, THEN)),
        ("Unknown", condition("Programmed", "False", 2, NOW)),
    ];
    for (before, expected) in rows {
        let of = |programmed: Value, accepted: i64| {
            let accepted = condition("Accepted", "True", accepted, THEN);
            json!({
                "conditions": [accepted, programmed],
                "listeners": [{
                    "name": "http", "attachedRoutes": 1, "supportedKinds": [],
                    "conditions": [accepted, programmed],
                }],
            })
        };
        let current = of(condition("Programmed", before, 1, THEN), 1);
        let conditions = json!([wanted("Accepted", "True", 2), yielding("Programmed")]);
        let wanted = json!({
            "conditions": conditions,
            "listeners": [{
                "name": "http", "attachedRoutes": 1, "supportedKinds": [], "conditions": conditions,
            }],
        });
        let expected = of(expected, 2);
        check_row(before, Kind::Gateway, &current, &wanted, Some(&expected));
    }
}

#[test]
fn another_status_has_the_new_time() {
    let current = json!({ "conditions": [condition("Accepted", "Unknown", 2, THEN)] });
    let wanted = json!({ "conditions": [wanted("Accepted", "True", 2)] });
    let expected = json!({ "conditions": [condition("Accepted", "True", 2, NOW)] });
    check(Kind::GatewayClass, &current, &wanted, Some(&expected));
}

#[test]
fn a_status_of_an_older_generation_is_not_written() {
    let current = json!({ "conditions": [condition("Accepted", "True", 2, THEN)] });
    let wanted = json!({ "conditions": [wanted("Accepted", "False", 1)] });
    check(Kind::GatewayClass, &current, &wanted, None);
}

#[test]
fn conditions_of_others_are_left_to_them() {
    let theirs = condition("PolicyAttached", "True", 2, THEN);
    let current = json!({ "conditions": [theirs] });
    let wanted = json!({ "conditions": [wanted("Accepted", "True", 2)] });
    let expected = json!({ "conditions": [condition("Accepted", "True", 2, NOW)] });
    check(Kind::Gateway, &current, &wanted, Some(&expected));
}

#[test]
fn what_is_left_out_is_applied_as_it_was() {
    // Server-side apply would take away what elbow applied before and does not apply again.
    let address = json!({ "type": "Hostname", "value": "lb.example" });
    let current = json!({
        "addresses": [address],
        "conditions": [
            condition("Accepted", "True", 1, THEN),
            condition("Programmed", "True", 1, THEN),
            condition("Theirs", "True", 1, THEN),
        ],
        "listeners": [listener("web", 1, 0, THEN)],
    });
    let wanted = json!({ "conditions": [wanted("Accepted", "False", 2)] });
    let expected = json!({
        "addresses": [address],
        "conditions": [
            condition("Accepted", "False", 2, NOW),
            condition("Programmed", "True", 1, THEN),
        ],
        "listeners": [listener("web", 1, 0, THEN)],
    });
    check(Kind::Gateway, &current, &wanted, Some(&expected));
}

fn listener(name: &str, generation: i64, n_routes: i32, time: &str) -> Value {
    json!({
        "name": name,
        "attachedRoutes": n_routes,
        "supportedKinds": [{ "group": "gateway.networking.k8s.io", "kind": "HTTPRoute" }],
        "conditions": [condition("Programmed", "True", generation, time)],
    })
}

fn wanted_listener(name: &str, generation: i64, n_routes: i32) -> Value {
    let mut listener = listener(name, generation, n_routes, THEN);
    listener["conditions"] = json!([wanted("Programmed", "True", generation)]);
    listener
}

#[test]
fn listeners_are_told_apart_by_name() {
    let rows = [
        (
            "as it is",
            vec![wanted_listener("a", 2, 1), wanted_listener("b", 2, 0)],
            None,
        ),
        (
            "one more route",
            vec![wanted_listener("a", 2, 2), wanted_listener("b", 2, 0)],
            Some(json!([
                listener("a", 2, 2, THEN),
                listener("b", 2, 0, THEN)
            ])),
        ),
        (
            "one is gone",
            vec![wanted_listener("b", 2, 0)],
            Some(json!([listener("b", 2, 0, THEN)])),
        ),
        (
            "one is new",
            vec![
                wanted_listener("a", 2, 1),
                wanted_listener("b", 2, 0),
                wanted_listener("c", 2, 0),
            ],
            Some(json!([
                listener("a", 2, 1, THEN),
                listener("b", 2, 0, THEN),
                listener("c", 2, 0, NOW),
            ])),
        ),
    ];
    let current = json!({ "listeners": [listener("a", 2, 1, THEN), listener("b", 2, 0, THEN)] });
    for (name, wanted, expected) in rows {
        let expected = expected.map(|listeners| json!({ "listeners": listeners }));
        let wanted = json!({ "listeners": wanted });
        check_row(name, Kind::Gateway, &current, &wanted, expected.as_ref());
    }
}

#[test]
fn host_names_become_addresses() {
    let wanted = json!({ "addresses": ["lb.example"] });
    let expected = json!({ "addresses": [{ "type": "Hostname", "value": "lb.example" }] });
    check(Kind::Gateway, &json!({}), &wanted, Some(&expected));
}

#[test]
fn a_long_message_is_cut() {
    let mut long = wanted("Accepted", "False", 2);
    long["message"] = json!("ä".repeat(40_000));
    let wanted = json!({ "conditions": [long] });
    let merged = merge_status(&object(Kind::GatewayClass, &json!({})), &wanted, now()).unwrap();
    let message = merged["conditions"][0]["message"].as_str().unwrap();
    assert_eq!(message.chars().count(), MESSAGE_CHARS_MAX + 3);
    assert!(message.ends_with("ä..."));
}

#[test]
fn stale_listeners_are_found_by_their_places() {
    let gateway = object(
        Kind::Gateway,
        &json!({ "listeners": [listener("a", 1, 0, THEN), listener("b", 1, 0, THEN), listener("c", 1, 0, THEN)] }),
    );
    let applied = json!({ "listeners": [{ "name": "b" }] });
    assert_eq!(stale_listeners(&gateway, &applied), [0, 2]);
    assert_eq!(stale_listeners(&gateway, &json!({})), Vec::<usize>::new());
}

const OURS: &str = "gateway.k8s.aws/alb";

fn parent(controller: &str, reference: &Value, conditions: &[Value]) -> Value {
    json!({ "parentRef": reference, "controllerName": controller, "conditions": conditions })
}

#[track_caller]
fn check_parents(current: &[Value], wanted: &[Value], expected: Option<&[Value]>) {
    let object = |parents: &Value| object(Kind::HttpRoute, &json!({ "parents": parents }));
    let merged = merge_parents(&object(&json!(current)), OURS, wanted, now());
    assert_eq!(
        merged,
        expected.map(|parents| json!({ "parents": parents }))
    );
    if let Some(merged) = merged {
        let again = object(&merged["parents"]);
        assert_eq!(
            merge_parents(&again, OURS, wanted, now()),
            None,
            "merged twice"
        );
    }
}

#[test]
fn parents_of_other_controllers_stay_and_ours_are_ours() {
    let theirs = parent(
        "other.example/c",
        &json!({ "name": "web" }),
        &[condition("Accepted", "False", 1, THEN)],
    );
    let web = json!({ "name": "web" });
    let spelled = json!({
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "namespace": "app",
        "name": "web",
    });
    let accepted = |time| condition("Accepted", "True", 2, time);
    let is_accepted = wanted("Accepted", "True", 2);
    let has = |reference: &Value, conditions: &[Value]| parent(OURS, reference, conditions);
    let other = json!({ "name": "other", "sectionName": "s", "port": 80 });

    // Nothing there yet.
    check_parents(
        &[],
        &[has(&web, from_ref(&is_accepted))],
        Some(&[has(&web, &[accepted(NOW)])]),
    );
    // Nothing wanted, nothing there.
    check_parents(&[], &[], None);
    // The same, in other words.
    check_parents(
        &[has(&spelled, &[accepted(THEN)])],
        &[has(&web, from_ref(&is_accepted))],
        None,
    );
    // Another Gateway, behind somebody else's entry, which stays first.
    check_parents(
        &[theirs.clone(), has(&web, &[accepted(THEN)])],
        &[
            has(&web, from_ref(&is_accepted)),
            has(&other, from_ref(&is_accepted)),
        ],
        Some(&[
            theirs.clone(),
            has(&web, &[accepted(THEN)]),
            has(&other, &[accepted(NOW)]),
        ]),
    );
    // Detached from ours: theirs stays.
    check_parents(
        &[theirs.clone(), has(&web, &[accepted(THEN)])],
        &[],
        Some(from_ref(&theirs)),
    );
    // An entry of ours that is there twice is one.
    check_parents(
        &[
            has(&web, &[accepted(THEN)]),
            has(&spelled, &[accepted(THEN)]),
        ],
        &[has(&web, from_ref(&is_accepted))],
        Some(&[has(&web, &[accepted(THEN)])]),
    );
    // A condition of ours that is not wanted any more goes; one of somebody else's stays.
    let partial = condition("PartiallyInvalid", "True", 2, THEN);
    let policy = condition("example.com/Policy", "True", 2, THEN);
    check_parents(
        &[has(&web, &[accepted(THEN), partial, policy.clone()])],
        &[has(&web, &[is_accepted])],
        Some(&[has(&web, &[accepted(THEN), policy])]),
    );
}

#[test]
fn a_condition_that_is_there_only_while_it_is_true_goes() {
    let accepted = condition("Accepted", "True", 2, "2026-01-01T00:00:00Z");
    let passing = |generation| {
        condition(
            "InsecureFrontendValidationMode",
            "True",
            generation,
            "2026-01-01T00:00:00Z",
        )
    };
    let current = json!({ "conditions": [accepted, passing(1)] });
    let wanted_status = json!({ "conditions": [wanted("Accepted", "True", 2)] });
    let merged = merge_status(&object(Kind::Gateway, &current), &wanted_status, now());
    assert_eq!(merged, Some(json!({ "conditions": [accepted] })));
    // While it is wanted it stays, and without it there is nothing to write.
    let both = json!({ "conditions": [
        wanted("Accepted", "True", 2),
        wanted("InsecureFrontendValidationMode", "True", 1),
    ] });
    assert_eq!(
        merge_status(&object(Kind::Gateway, &current), &both, now()),
        None
    );
    let without = json!({ "conditions": [accepted] });
    assert_eq!(
        merge_status(&object(Kind::Gateway, &without), &wanted_status, now()),
        None
    );
}
