//! What people and programs see of a plan.

use elbow_model::Stack;
use elbow_model::stack::Scheme;
use elbow_plan::render::{json, markdown, text};
use elbow_plan::{Plan, Policy};
use insta::assert_snapshot;

use crate::build::*;

/// Text without its colours, as a pipe gets it.
fn plain(plan: &Plan) -> String {
    let mut out = String::new();
    let mut coloured = false;
    for character in text::render(plan).chars() {
        match character {
            '\u{1b}' => coloured = true,
            'm' if coloured => coloured = false,
            _ if coloured => {}
            _ => out.push(character),
        }
    }
    out
}

fn example() -> Plan {
    let mut stack = web();
    let world = applied(&stack);
    lb(&mut stack)
        .attributes
        .insert("idle_timeout.timeout_seconds".into(), "30".into());
    set_rules(&mut stack, 80, &[("/a/*", "a")]);
    stack
        .target_groups
        .remove(&elbow_model::ResourceId::new("b"));
    plan_in(&world, &stack, &Policy::default())
}

#[test]
fn text_of_a_change() {
    assert_snapshot!(plain(&example()), @r###"
    default/web
    1 ~ load balancer  k8s-default-web-int
          attributes.idle_timeout.timeout_seconds  60 -> 30
          its attributes differ (Gateway default/web)
    2 - rule           HTTP:80 /b/*
          action  forward to k8s-default-b-0123456789 -> (none)
          no route asks for it any more (Gateway default/web)
    3 - target group   k8s-default-b-0123456789
          no route uses its backend any more (Gateway default/web)

    Plan: 0 to create, 1 to change, 2 to delete.
    "###);
}

#[test]
fn text_of_hazards_and_held_steps() {
    let mut stack = web();
    lb(&mut stack)
        .attributes
        .insert("deletion_protection.enabled".into(), "true".into());
    let world = applied(&stack);
    let plan = plan_in(
        &world,
        &Stack::empty(stack.id.clone(), CLUSTER),
        &Policy::default(),
    );
    assert_snapshot!(plain(&plan), @r###"
    danger: default/web k8s-default-web-int: deletes the load balancer: k8s-default-web-int-3.elb.example goes away

    default/web
    1 - load balancer   k8s-default-web-int  held: the load balancer's deletion protection is on; turn it off first
          danger: deletes the load balancer: k8s-default-web-int-3.elb.example goes away
          nothing asks for a load balancer any more (Gateway default/web)
    2 - target group    k8s-default-a-0123456789  held: it needs step 1, which is not carried out
          nothing asks for it any more (Gateway default/web)
    3 - target group    k8s-default-b-0123456789  held: it needs step 1, which is not carried out
          nothing asks for it any more (Gateway default/web)
    4 - security group  k8s-default-web-sg  held: it needs step 1, which is not carried out
          nothing asks for it any more (Gateway default/web)

    Plan: 0 to create, 0 to change, 4 to delete (4 steps are held).
    "###);
}

#[test]
fn text_of_nothing() {
    assert_eq!(
        plain(&Plan::default()),
        "No changes. What is there is what is wanted.\n"
    );
    assert!(text::render(&example()).contains('\u{1b}'));
}

#[test]
fn markdown_of_a_replacement() {
    let mut stack = web();
    let world = applied(&stack);
    lb(&mut stack).scheme = Scheme::InternetFacing;
    stack.target_groups.clear();
    set_rules(&mut stack, 80, &[("/a|b/*", "!404")]);
    let plan = plan_in(&world, &stack, &Policy::default());
    assert_snapshot!(markdown::render(&plan), @r###"
    **Plan: 3 to create, 0 to change, 3 to delete.**

    > [!CAUTION]
    > - **default/web** k8s-default-web-int: drops traffic: the new load balancer is created only after this one is gone, since both have the same name, and takes minutes to serve
    > - **default/web** k8s-default-web-int: replaces the load balancer: DNS name changes, clients of k8s-default-web-int-3.elb.example must move

    | | resource | name | change | because of |
    |---|---|---|---|---|
    | `-` | load balancer | k8s-default-web-int |  | Gateway default/web |
    | `±` | load balancer | k8s-default-web-int | scheme: internal -&gt; internet-facing<br>ipAddressType: ipv4<br>subnets: subnet-a, subnet-b<br>securityGroups: sg-1 | Gateway default/web |
    | `+` | listener | HTTP:80 | protocol: HTTP<br>port: 80<br>defaultAction: answer 404 | Gateway default/web |
    | `+` | rule | HTTP:80 /a\|b/\* | priority: 1<br>action: answer 404 | HTTPRoute default/404 |
    | `-` | target group | k8s-default-a-0123456789 |  | Gateway default/web |
    | `-` | target group | k8s-default-b-0123456789 |  | Gateway default/web |

    <details><summary>6 steps, in order</summary>

    1. delete load balancer k8s-default-web-int: its type or scheme cannot be changed, and its successor has the same name
    2. replace load balancer k8s-default-web-int: type and scheme of the one that is there cannot be changed
    3. create listener HTTP:80: the load balancer has no listener on this port
    4. create rule HTTP:80 /a\|b/\*: no rule has its conditions
    5. delete target group k8s-default-a-0123456789: no route uses its backend any more
    6. delete target group k8s-default-b-0123456789: no route uses its backend any more

    </details>
    "###);
}

#[test]
fn json_of_a_change() {
    let text = json::render(&example()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["version"], 1);
    assert_eq!(document["summary"]["delete"], 2);
    let step = &document["steps"][0];
    assert_eq!(step["call"]["operation"], "ModifyLoadBalancerAttributes");
    assert_eq!(
        step["changes"][0]["field"],
        "attributes.idle_timeout.timeout_seconds"
    );
}

#[test]
fn a_plan_survives_its_serialisation() {
    let plan = example();
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}
