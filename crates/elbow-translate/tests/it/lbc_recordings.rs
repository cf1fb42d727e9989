//! Further recordings of LBC, from a folder that `ELBOW_LBC_RECORDINGS` names; none without it.
//!
//! A recording is a folder with `input.yaml`, `stack.json` (LBC's plan by Gateway), `k8s.json`,
//! `lbs.json`, `targets.json` and `certs.json`, made by LBC's own model builder in the network of
//! `support.rs`. All differences are told at once, to be judged one by one.
#![expect(
    clippy::disallowed_methods,
    reason = "recordings are files outside of the project"
)]

use std::path::{Path, PathBuf};

use elbow_model::facts::{Certificate, Subnet};
use elbow_model::{CertificateArn, Facts, SecurityGroupId};
use elbow_translate::{Translation, status, translate_class};
use serde_json::{Value, json};

use crate::lbc_samples::{by_type, difference, gateway_statuses, read, route_statuses, snapshot};
use crate::{lbc, lbc_plan, support};

#[test]
fn further_recordings_are_equal() {
    let Some(folder) = std::env::var_os("ELBOW_LBC_RECORDINGS") else {
        return;
    };
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    let found: Vec<_> = cases.iter().flat_map(|case| check(case)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The network of the samples with names, IPv6 and certificates.
fn facts() -> Facts {
    let mut facts = support::facts();
    let ranks = support::PUBLIC.iter().chain(&support::PRIVATE).enumerate();
    for (rank, id) in ranks {
        let subnets = facts.subnets.as_mut().unwrap();
        let subnet: &mut Subnet = subnets.get_mut(&elbow_model::SubnetId::new(*id)).unwrap();
        let (place, zone) = (rank / 3, rank % 3);
        let tier = ["public", "private"][place];
        let name = format!("{tier}-{}", ["a", "b", "c"][zone]);
        subnet.tags.insert("Name".to_owned(), name);
        subnet.tags.insert("tier".to_owned(), tier.to_owned());
        subnet.ipv6_cidrs = vec![format!("2400:6500:e5aa:60{place}{zone}::/64")];
    }
    facts.vpc.as_mut().unwrap().ipv6_cidrs = vec!["2400:6500:e5aa:6000::/56".to_owned()];
    for (name, id) in [
        ("web-one", "sg-d3978b50b8e0a9249"),
        ("web-two", "sg-8b6fff793e908f2b4"),
    ] {
        let ids = vec![SecurityGroupId::new(id)];
        facts.security_groups_by_name.insert(name.to_owned(), ids);
    }
    let certificates = [
        ("app.example.com", "4955cff9-eb4a-4fdc-a863-fb5c1ab90da4"),
        ("*.example.com", "4a03e696-e898-43d6-9192-76bcb56cffde"),
        ("api.example.org", "4930ea88-85c4-47e8-9a89-e42d684c5785"),
        ("other.test", "415c1697-54f1-4df9-ae34-e09729f233ad"),
    ];
    let certificates = certificates.map(|(domain, id)| {
        let arn = format!("arn:aws:acm:ap-northeast-2:123456789012:certificate/{id}");
        let certificate = Certificate {
            domains: [domain.to_owned()].into(),
            certificate_authority_arn: None,
        };
        (CertificateArn::new(arn), certificate)
    });
    facts.certificates = Some(certificates.into());
    facts
}

fn check(case: &Path) -> Vec<String> {
    let k8s = read(&case.join("k8s.json"));
    let plans = read(&case.join("stack.json"));
    let balancers = read(&case.join("lbs.json"));
    let objects = snapshot(case, "input.yaml", &k8s);
    let mut found = Vec::new();
    let mut drafts = Vec::new();
    for gateway in k8s["Gateway"].as_array().into_iter().flatten() {
        let of = |key: &str| gateway["metadata"][key].as_str().unwrap();
        let name = format!("{}/{}", of("namespace"), of("name"));
        let translation = support::translate_with(&objects, &name, &support::settings(), facts());
        let plan = &plans[&name];
        match (&translation.stack, plan.is_null()) {
            (Some(stack), false) => {
                let (recorded, wanted) = (
                    lbc_plan::recorded(plan, "sg-df371057791fc2599"),
                    lbc_plan::wanted(stack, &translation.bindings),
                );
                found.push(difference(
                    case,
                    &format!("plan {name}"),
                    &recorded,
                    &wanted,
                ));
                found.extend(targets_and_certificates(case, &name, &translation));
            }
            (stack, is_null)
                if stack.is_some() == is_null
                    && stack.as_ref().is_none_or(|s| s.load_balancer.is_some()) =>
            {
                let who = if is_null { "elbow" } else { "LBC" };
                found.push(format!("{} {name}: only {who} has a Stack", case.display()));
            }
            _ => {}
        }
        let balancer = balancers
            .as_array()
            .into_iter()
            .flatten()
            .find(|b| b["gateway"] == json!(name));
        let balancer = balancer.map_or(Value::Null, |b| b["loadBalancer"].clone());
        if translation.gateway.is_some() {
            let (recorded, wanted) = gateway_statuses(&gateway["status"], &translation, &balancer);
            found.push(difference(
                case,
                &format!("Gateway {name}"),
                &recorded,
                &wanted,
            ));
        }
        drafts.extend(translation.routes.iter().cloned());
    }
    for kind in ["HTTPRoute", "TCPRoute"] {
        for route in k8s[kind].as_array().into_iter().flatten() {
            let of = |key: &str| route["metadata"][key].as_str().unwrap();
            let own = drafts.iter().filter(|d| {
                d.route.kind.as_str() == kind
                    && d.route.name == of("name")
                    && d.route.namespace == of("namespace")
            });
            let mut wanted = Vec::new();
            for draft in own {
                let (_, Value::Array(parents)) = route_statuses(&Value::Null, Some(draft)) else {
                    unreachable!("a status lists parents")
                };
                wanted.extend(parents);
            }
            let (recorded, _) = route_statuses(&route["status"], None);
            let what = format!("{kind} {}/{}", of("namespace"), of("name"));
            let sort = |value: &Value| lbc::sorted(lbc::list(value).to_vec());
            found.push(difference(
                case,
                &what,
                &sort(&recorded),
                &lbc::sorted(wanted),
            ));
        }
    }
    for class in k8s["GatewayClass"].as_array().into_iter().flatten() {
        let name = class["metadata"]["name"].as_str().unwrap();
        if let Some(draft) = translate_class(&objects, name).0 {
            let wanted = json!(status::class(&draft));
            let (recorded, wanted) = (
                by_type(&class["status"]["conditions"]),
                by_type(&wanted["conditions"]),
            );
            found.push(difference(case, name, &recorded, &wanted));
        }
    }
    found.retain(|f| !f.is_empty());
    found
}

fn targets_and_certificates(case: &Path, gateway: &str, translation: &Translation) -> Vec<String> {
    let stack = translation.stack.as_ref().unwrap();
    let (targets, certificates) = (
        read(&case.join("targets.json")),
        read(&case.join("certs.json")),
    );
    let mut found = Vec::new();
    for group in stack.target_groups.values() {
        let wanted = group
            .targets
            .iter()
            .map(|t| json!([t.id, t.port]))
            .collect();
        let recorded = lbc::sorted(lbc::list(&targets[&group.name]).to_vec());
        found.push(difference(
            case,
            &format!("targets {}", group.name),
            &recorded,
            &lbc::sorted(wanted),
        ));
    }
    for (port, listener) in &stack.listeners {
        let recorded = &certificates[format!("{gateway}:{port}")];
        let known: Vec<_> = listener
            .certificates
            .iter()
            .map(elbow_model::Ref::known)
            .collect();
        let wanted = (!known.is_empty()).then_some(known);
        found.push(difference(
            case,
            &format!("certificates {port}"),
            recorded,
            &json!(wanted),
        ));
    }
    found
}
