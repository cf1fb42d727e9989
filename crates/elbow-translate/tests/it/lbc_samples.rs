//! The same Stacks, bindings and conditions as LBC, for what LBC was seen to make.
#![expect(clippy::disallowed_methods, reason = "the samples are files")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use elbow_api::{Kind, NamespacedName, Object, ObjectRef, Snapshot};
use elbow_cluster::{Input, load};
use elbow_model::observed::LoadBalancerState;
use elbow_model::{LoadBalancerArn, Ref, SecurityGroupId, TargetGroupArn};
use elbow_translate::{SharedUse, Translation, status, translate_class, translate_cluster};
use serde_json::{Value, json};

use crate::{lbc, lbc_plan, support};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../elbow-testkit/testdata/lbc")
}

pub(crate) fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The cases, by name.
fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("input.yaml").is_file())
        .collect();
    cases.sort();
    assert!(cases.len() >= 14, "the samples are there");
    cases
}

/// The manifests of a case with the metadata that the API server gave them.
pub(crate) fn snapshot(case: &Path, manifest: &str, k8s: &Value) -> Snapshot {
    let mut inputs = vec![Input::File(case.join(manifest))];
    if manifest == "input.yaml" {
        inputs.push(Input::File(folder().join("_base/base.yaml")));
    }
    let loaded = load(&inputs);
    let mut snapshot = Snapshot::new();
    for mut object in loaded.snapshot.objects() {
        let this = object.object_ref();
        let found = k8s[this.kind.as_str()]
            .as_array()
            .into_iter()
            .flatten()
            .find(|o| {
                let metadata = &o["metadata"];
                metadata["name"] == json!(this.name)
                    && metadata["namespace"].as_str().unwrap_or_default() == this.namespace
            });
        if let Some(found) = found {
            object = with_metadata(&object, &found["metadata"]);
        }
        snapshot.apply(&object);
    }
    snapshot
}

fn with_metadata(object: &Object, metadata: &Value) -> Object {
    macro_rules! each {
        ($($kind:ident),*) => {
            match object {
                $( Object::$kind(o) => {
                    let mut o = (**o).clone();
                    o.metadata.uid = metadata["uid"].as_str().map(str::to_owned);
                    if let Some(generation) = metadata["generation"].as_i64() {
                        o.metadata.generation = Some(generation);
                    }
                    if let Ok(time) = serde_json::from_value(metadata["creationTimestamp"].clone()) {
                        o.metadata.creation_timestamp = time;
                    }
                    Object::from(o)
                } )*
                other => other.clone(),
            }
        };
    }
    each!(
        Gateway,
        GatewayClass,
        HttpRoute,
        TcpRoute,
        LoadBalancerConfiguration,
        TargetGroupConfiguration,
        Service
    )
}

/// How two values differ, line by line; empty when they do not.
pub(crate) fn difference(case: &Path, what: &str, recorded: &Value, found: &Value) -> String {
    let pretty = |value| serde_json::to_string_pretty(value).unwrap();
    let difference = elbow_testkit::unified(&pretty(recorded), &pretty(found));
    if difference.is_empty() {
        return difference;
    }
    let case = case.file_name().unwrap();
    format!("{} {what}\n{difference}", case.display())
}

#[track_caller]
fn same(case: &Path, what: &str, recorded: &Value, found: &Value) {
    let difference = difference(case, what, recorded, found);
    assert!(difference.is_empty(), "{difference}");
}

fn gateway_of(k8s: &Value) -> String {
    let metadata = &k8s["Gateway"][0]["metadata"];
    format!(
        "{}/{}",
        metadata["namespace"].as_str().unwrap(),
        metadata["name"].as_str().unwrap()
    )
}

fn each_case(check: impl Fn(&Path, &Value, &Value, &Snapshot, &Translation)) {
    for case in cases() {
        let (aws, k8s) = (read(&case.join("aws.json")), read(&case.join("k8s.json")));
        let mut objects = snapshot(&case, "input.yaml", &k8s);
        let translation = support::translate(&objects, &gateway_of(&k8s), &support::settings());
        check(&case, &aws, &k8s, &objects, &translation);
        if !case.join("update.yaml").is_file() {
            continue;
        }
        let aws = read(&case.join("aws-after-update.json"));
        let k8s = read(&case.join("k8s-after-update.json"));
        for object in snapshot(&case, "update.yaml", &k8s).objects() {
            objects.apply(&object);
        }
        let translation = support::translate(&objects, &gateway_of(&k8s), &support::settings());
        check(&case, &aws, &k8s, &objects, &translation);
    }
}

#[test]
fn stacks_equal_what_lbc_left_in_aws() {
    each_case(|case, aws, _, _, translation| {
        let stack = translation.stack.as_ref().unwrap();
        same(case, "in AWS", &lbc::recorded(aws), &lbc::wanted(stack));
        // LBC sets what is configured and leaves the rest; so what is wanted is part of what is there.
        let lb = &aws["loadBalancers"][0];
        let part_of = |wanted: &elbow_model::Attributes, there: &Value| {
            for (key, value) in wanted {
                assert_eq!(there["attributes"][key], json!(value), "{key}");
            }
        };
        part_of(&stack.load_balancer.as_ref().unwrap().attributes, lb);
        for listener in lb["listeners"].as_array().unwrap() {
            let port = listener["listener"]["Port"].as_i64().unwrap();
            let port = elbow_model::Port::new(i32::try_from(port).unwrap()).unwrap();
            part_of(&stack.listeners[&port].attributes, listener);
        }
        for there in aws["targetGroups"].as_array().unwrap() {
            let name = &there["targetGroup"]["TargetGroupName"];
            let group = stack
                .target_groups
                .values()
                .find(|g| json!(g.name) == *name);
            part_of(&group.unwrap().attributes, there);
        }
        assert!(stack.undecided_listeners.is_empty());
        assert!(translation.unwanted.len() == 1, "the other controller's");
    });
}

#[test]
fn stacks_equal_what_lbc_planned() {
    for case in cases() {
        let k8s = read(&case.join("k8s.json"));
        let objects = snapshot(&case, "input.yaml", &k8s);
        let gateway = gateway_of(&k8s);
        let translation = support::translate(&objects, &gateway, &support::settings());
        let plan = &read(&case.join("stack.json"))[&gateway];
        let plan = lbc_plan::recorded(plan, backend_group(&read(&case.join("aws.json"))).as_str());
        let stack = translation.stack.as_ref().unwrap();
        let found = lbc_plan::wanted(stack, &translation.bindings);
        same(&case, "plan", &plan, &found);
    }
}

#[test]
fn the_shared_security_group_is_lbcs() {
    each_case(|_, aws, _, _, translation| {
        let used = SharedUse::of(&translation.stack);
        let shared = translate_cluster(&used, &Snapshot::new(), None, &support::settings()).stack;
        let group = shared.security_groups.values().next().unwrap();
        let recorded = aws["securityGroups"].as_array().unwrap().iter();
        let recorded = recorded.filter(|g| g["GroupName"] == json!(group.name));
        let recorded = recorded.collect::<Vec<_>>()[0];
        assert_eq!(recorded["Description"], json!(group.description));
        let tags: BTreeMap<_, _> = recorded["Tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| {
                (
                    t["Key"].as_str().unwrap().to_owned(),
                    t["Value"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        assert_eq!(tags, group.tags);
    });
}

/// The security group of the cluster.
fn backend_group(aws: &Value) -> SecurityGroupId {
    let mut groups = aws["securityGroups"].as_array().unwrap().iter();
    let group = groups.find(|g| g["GroupName"] == json!(lbc::SHARED));
    SecurityGroupId::new(group.unwrap()["GroupId"].as_str().unwrap())
}

#[test]
fn bindings_equal_those_of_lbc() {
    each_case(|case, aws, k8s, _, translation| {
        let stack = translation.stack.as_ref().unwrap();
        let arns: BTreeMap<_, _> = aws["targetGroups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|g| {
                let own = &g["targetGroup"];
                (
                    own["TargetGroupName"].as_str().unwrap(),
                    own["TargetGroupArn"].as_str().unwrap(),
                )
            })
            .collect();
        let backend = backend_group(aws);
        let form = |metadata: &Value, spec: &Value| {
            (
                format!(
                    "{}/{}",
                    metadata["namespace"].as_str().unwrap(),
                    metadata["name"].as_str().unwrap()
                ),
                json!({"labels": metadata["labels"], "spec": spec}),
            )
        };
        let recorded: BTreeMap<_, _> = k8s["TargetGroupBinding"]
            .as_array()
            .unwrap()
            .iter()
            .map(|b| form(&b["metadata"], &b["spec"]))
            .collect();
        let found: BTreeMap<_, _> = translation
            .bindings
            .iter()
            .map(|binding| {
                let arn = |reference: &Ref<TargetGroupArn>| match reference {
                    Ref::Known(arn) => Some(arn.clone()),
                    Ref::Of(key) => {
                        let name = &stack.target_groups[&key.id].name;
                        Some(TargetGroupArn::new(*arns.get(name.as_str())?))
                    }
                };
                let object = binding.object(arn, |_| Some(backend.clone())).unwrap();
                let object = serde_json::to_value(object).unwrap();
                form(&object["metadata"], &object["spec"])
            })
            .collect();
        same(case, "bindings", &json!(recorded), &json!(found));
    });
}

pub(crate) fn by_type(conditions: &Value) -> Value {
    // What the API server puts there and nobody has written since is nobody's.
    let conditions = conditions.as_array().into_iter().flatten();
    let conditions = conditions.filter(|c| c["message"] != json!("Waiting for controller"));
    let conditions = conditions.map(|condition| {
        let mut condition = condition.clone();
        condition
            .as_object_mut()
            .unwrap()
            .remove("lastTransitionTime");
        (condition["type"].as_str().unwrap().to_owned(), condition)
    });
    json!(conditions.collect::<BTreeMap<_, _>>())
}

/// A Gateway's status as recorded, and as elbow has it for the load balancer that is there.
pub(crate) fn gateway_statuses(
    recorded: &Value,
    translation: &Translation,
    load_balancer: &Value,
) -> (Value, Value) {
    let report = load_balancer["LoadBalancerArn"]
        .as_str()
        .map(|arn| status::LoadBalancerReport {
            arn: LoadBalancerArn::new(arn),
            dns_name: load_balancer["DNSName"].as_str().unwrap().to_owned(),
            state: LoadBalancerState::Active,
        });
    let draft = translation.gateway.as_ref().unwrap();
    let found = json!(status::gateway(
        draft,
        &translation.listener_sets,
        report.as_ref(),
        None
    ));
    let form = |status: &Value, addresses: Value| {
        let listeners = status["listeners"].as_array().into_iter().flatten();
        let listeners = listeners.map(|l| {
            let kinds = l["supportedKinds"].as_array().cloned().unwrap_or_default();
            json!({"name": l["name"], "attachedRoutes": l["attachedRoutes"],
                // LBC leaves their order to chance.
                "supportedKinds": lbc::sorted(kinds), "conditions": by_type(&l["conditions"])})
        });
        json!({"addresses": addresses, "conditions": by_type(&status["conditions"]),
            "listeners": lbc::sorted(listeners.collect())})
    };
    let addresses = recorded["addresses"].as_array().map(|all| {
        let values = all.iter().map(|a| a["value"].clone());
        values.collect::<Vec<_>>()
    });
    let found = form(&found, found["addresses"].clone());
    (form(recorded, json!(addresses)), found)
}

/// A route's status as recorded, and as elbow has it.
pub(crate) fn route_statuses(
    recorded: &Value,
    draft: Option<&status::RouteDraft>,
) -> (Value, Value) {
    let form = |parents: &Value| {
        let parents = parents.as_array().into_iter().flatten().map(|p| {
            json!({"parentRef": p["parentRef"], "controllerName": p["controllerName"],
                "conditions": by_type(&p["conditions"])})
        });
        json!(parents.collect::<Vec<_>>())
    };
    let found = draft.map(|d| json!(status::route(d)));
    (form(&recorded["parents"]), form(&found.unwrap_or_default()))
}

#[test]
fn gateway_statuses_equal_those_of_lbc() {
    each_case(|case, aws, k8s, _, translation| {
        let recorded = &k8s["Gateway"][0]["status"];
        let own = &aws["loadBalancers"][0]["loadBalancer"];
        let (recorded, found) = gateway_statuses(recorded, translation, own);
        same(case, "Gateway", &recorded, &found);
    });
}

#[test]
fn route_statuses_equal_those_of_lbc() {
    each_case(|case, _, k8s, _, translation| {
        for draft in &translation.routes {
            let this = &draft.route;
            let recorded = k8s[this.kind.as_str()]
                .as_array()
                .unwrap()
                .iter()
                .find(|r| {
                    let metadata = &r["metadata"];
                    metadata["name"] == json!(this.name)
                        && metadata["namespace"] == json!(this.namespace)
                });
            let (recorded, found) = route_statuses(&recorded.unwrap()["status"], Some(draft));
            same(case, &this.to_string(), &recorded, &found);
        }
    });
}

#[test]
fn class_statuses_equal_those_of_lbc() {
    each_case(|case, _, k8s, objects, _| {
        for class in k8s["GatewayClass"].as_array().unwrap() {
            let name = class["metadata"]["name"].as_str().unwrap();
            let Some(draft) = translate_class(objects, name).0 else {
                let object = ObjectRef::new(Kind::GatewayClass, "", name);
                assert!(objects.get(&object).is_none(), "{name} is ours");
                continue;
            };
            let found = json!(status::class(&draft));
            let recorded = by_type(&class["status"]["conditions"]);
            same(case, name, &recorded, &by_type(&found["conditions"]));
        }
    });
}

#[test]
fn one_gateway_reads_nothing_of_another() {
    each_case(|_, _, k8s, _, translation| {
        let gateway = gateway_of(k8s);
        for read in &translation.reads {
            if let elbow_api::Read::Object(object) = read
                && object.kind == Kind::Gateway
            {
                let name: NamespacedName = object.namespaced_name();
                assert_eq!(name.to_string(), gateway);
            }
        }
    });
}
