//! One form for LBC's own plan of a Stack and for what elbow wants.
//!
//! The plan is what LBC would do with nothing in AWS: it holds what users ask for and neither tracking
//! tags nor targets.

use std::collections::BTreeMap;

use elbow_model::{Ref, SecurityGroupId, Stack, TargetGroupArn};
use elbow_translate::BindingTemplate;
use serde_json::{Map, Value, json};

use crate::lbc::{self, list, sorted, text};

type Resources = BTreeMap<String, Value>;

fn of_type(plan: &Value, kind: &str) -> Resources {
    let all = plan["resources"][kind].as_object().into_iter().flatten();
    all.map(|(id, r)| (id.clone(), r["spec"].clone())).collect()
}

/// The plan with references replaced by what they refer to, and with the keys of the AWS API.
///
/// `backend` is the id of the security group of the cluster, which stands there as it is.
pub(crate) fn recorded(plan: &Value, backend: &str) -> Value {
    let plan = plan.to_string().replace(backend, lbc::SHARED);
    let plan: &Value = &serde_json::from_str(&plan).unwrap();
    let names: BTreeMap<_, _> = of_type(plan, "AWS::ElasticLoadBalancingV2::TargetGroup")
        .into_iter()
        .map(|(id, g)| (id, text(&g["name"]).to_owned()))
        .collect();
    let of = |kind: &str| -> Resources {
        of_type(plan, kind)
            .into_iter()
            .map(|(id, spec)| (id, plain(&spec, &names)))
            .collect()
    };
    let lb = &of("AWS::ElasticLoadBalancingV2::LoadBalancer")["LoadBalancer"];
    let rules = of("AWS::ElasticLoadBalancingV2::ListenerRule");
    json!({
        "loadBalancer": {
            "name": lb["Name"], "scheme": lb["Scheme"], "type": lb["Type"],
            "ipAddressType": lb["IpAddressType"], "tags": user_tags(&lb["Tags"]),
            "subnets": list(&lb["SubnetMapping"]).iter().map(|s| json!([
                s["SubnetID"], s["AllocationID"], s["PrivateIPv4Address"], s["IPv6Address"]
            ])).collect::<Vec<_>>(),
            "securityGroups": lb["SecurityGroups"].as_array().cloned().unwrap_or_default(),
            "privateLink": lb["SecurityGroupsInboundRulesOnPrivateLink"],
            "attributes": attributes(&lb["LoadBalancerAttributes"]),
        },
        "listeners": of("AWS::ElasticLoadBalancingV2::Listener").iter().map(|(port, l)| (port.clone(), json!({
            "protocol": l["Protocol"], "sslPolicy": l["SslPolicy"], "alpn": l["AlpnPolicy"][0],
            "defaultAction": lbc::recorded_action(&l["DefaultActions"][0]),
            "tags": user_tags(&l["Tags"]), "attributes": attributes(&l["ListenerAttributes"]),
        }))).collect::<Map<_, _>>(),
        "rules": rules.iter().map(|(id, r)| (id.clone(), json!({
            "conditions": list(&r["Conditions"]).iter().map(lbc::recorded_condition).collect::<Vec<_>>(),
            "actions": list(&r["Actions"]).iter().map(lbc::recorded_action).collect::<Vec<_>>(),
            "transforms": list(&r["Transforms"]).iter().map(lbc::recorded_transform).collect::<Vec<_>>(),
            "tags": user_tags(&r["Tags"]),
        }))).collect::<Map<_, _>>(),
        "targetGroups": of("AWS::ElasticLoadBalancingV2::TargetGroup").iter().map(|(id, g)| {
            let check = &g["HealthCheckConfig"];
            let matcher = &check["Matcher"];
            (id.clone(), json!({
                "name": g["Name"], "targetType": g["TargetType"], "protocol": g["Protocol"],
                "port": g["Port"], "protocolVersion": g["ProtocolVersion"],
                "ipAddressType": g["IpAddressType"], "tags": user_tags(&g["Tags"]),
                "attributes": attributes(&g["TargetGroupAttributes"]),
                "healthCheck": [check["Protocol"], as_text(&check["Port"]), check["Path"],
                    matcher.get("HttpCode").or(matcher.get("GrpcCode")), check["IntervalSeconds"],
                    check["TimeoutSeconds"], check["HealthyThresholdCount"], check["UnhealthyThresholdCount"]],
            }))
        }).collect::<Map<_, _>>(),
        "securityGroups": of("AWS::EC2::SecurityGroup").iter().map(|(id, g)| (id.clone(), json!({
            "name": g["GroupName"], "description": g["Description"], "tags": user_tags(&g["Tags"]),
            "ingress": ingress(&g["Ingress"]),
        }))).collect::<Map<_, _>>(),
        "bindings": of_type(plan, "K8S::ElasticLoadBalancingV2::TargetGroupBinding").iter()
            .map(|(id, b)| (id.clone(), binding(&b["template"]))).collect::<Map<_, _>>(),
    })
}

fn as_text(value: &Value) -> Value {
    json!(
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    )
}

/// AWS's spelling of a key, and names in the place of references.
fn plain(value: &Value, names: &BTreeMap<String, String>) -> Value {
    match value {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref") {
                let mut parts = text(reference).splitn(4, '/').skip(2);
                let kind = parts.next().unwrap_or_default();
                let rest = parts.next().unwrap_or_default();
                let id = rest.rsplitn(3, '/').last().unwrap_or_default();
                return match names.get(id) {
                    Some(name) if kind.ends_with("TargetGroup") => json!(format!("/{name}/")),
                    _ => json!(id),
                };
            }
            let tags = |key: &str| key == "tags";
            map.iter()
                .map(|(key, value)| {
                    let mut upper = key.clone();
                    upper[..1].make_ascii_uppercase();
                    let upper = upper
                        .replace("ARN", "Arn")
                        .replace("sourceIPC", "SourceIpC")
                        .replace("SourceIPC", "SourceIpC");
                    let value = if tags(key) {
                        value.clone()
                    } else {
                        plain(value, names)
                    };
                    (upper, value)
                })
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(values) => values.iter().map(|v| plain(v, names)).collect(),
        other => other.clone(),
    }
}

/// Tags without those that prove whose a resource is.
fn user_tags(tags: &Value) -> Value {
    let tags = tags.as_object().into_iter().flatten();
    let own = tags
        .filter(|(key, _)| !key.starts_with("gateway.k8s.aws.") && *key != "elbv2.k8s.aws/cluster");
    own.map(|(k, v)| (k.clone(), v.clone()))
        .collect::<Map<_, _>>()
        .into()
}

fn attributes(attributes: &Value) -> Value {
    list(attributes)
        .iter()
        .map(|a| (text(&a["Key"]).to_owned(), a["Value"].clone()))
        .collect::<Map<_, _>>()
        .into()
}

/// One entry for each source, without duplicates.
fn ingress(permissions: &Value) -> Value {
    let mut found = Vec::new();
    for p in list(permissions) {
        for (ranges, key) in [
            ("IpRanges", "CidrIP"),
            ("Ipv6Ranges", "CidrIPv6"),
            ("PrefixLists", "ListID"),
        ] {
            for range in list(&p[ranges]) {
                let entry = json!([p["IpProtocol"], p["FromPort"], p["ToPort"], range[key]]);
                if !found.contains(&entry) {
                    found.push(entry);
                }
            }
        }
    }
    sorted(found)
}

fn binding(template: &Value) -> Value {
    let mut spec = template["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("targetGroupARN");
        spec.retain(|_, v| *v != json!(false));
    }
    let metadata = &template["metadata"];
    json!([
        metadata["namespace"],
        metadata["name"],
        metadata.get("labels").unwrap_or(&json!({})),
        metadata.get("annotations").unwrap_or(&json!({})),
        spec
    ])
}

/// What elbow wants, in the same form.
pub(crate) fn wanted(stack: &Stack, bindings: &[BindingTemplate]) -> Value {
    let lb = stack.load_balancer.as_ref().unwrap();
    let name = |key: &elbow_model::ResourceKey| match stack.security_groups.get(&key.id) {
        Some(_) => key.id.to_string(),
        None => lbc::SHARED.to_owned(),
    };
    let group = |g: &Ref<SecurityGroupId>| match g {
        Ref::Known(id) => id.to_string(),
        Ref::Of(key) => name(key),
    };
    let mut form = lbc::wanted(stack);
    let value = |v: &Value| user_tags(v);
    let mut rules = Map::new();
    for (port, listener) in &stack.listeners {
        let of = &mut form["listeners"][port.to_string()];
        for (priority, rule) in of["rules"].as_object().unwrap() {
            rules.insert(
                format!("{port}:{priority}"),
                json!({
                    "conditions": rule["conditions"], "actions": [rule["action"]],
                    "transforms": rule["transforms"], "tags": value(&rule["tags"]),
                }),
            );
        }
        *of = json!({
            "protocol": of["protocol"], "sslPolicy": of["sslPolicy"], "alpn": listener.alpn_policy,
            "defaultAction": of["defaultAction"], "tags": value(&of["tags"]),
            "attributes": listener.attributes,
        });
    }
    json!({
        "loadBalancer": {
            "name": lb.name, "scheme": lb.scheme, "type": lb.lb_type, "ipAddressType": lb.ip_address_type,
            "tags": value(&json!(lb.tags)),
            "subnets": lb.subnets.iter().map(|s| json!([
                s.subnet_id, s.allocation_id, s.private_ipv4_address, s.ipv6_address
            ])).collect::<Vec<_>>(),
            "securityGroups": lb.security_groups.iter().map(group).collect::<Vec<_>>(),
            "privateLink": lb.enforce_security_group_inbound_rules_on_private_link_traffic,
            "attributes": lb.attributes,
        },
        "listeners": form["listeners"],
        "rules": rules,
        "targetGroups": stack.target_groups.iter().map(|(id, g)| {
            let own = &form["targetGroups"][&g.name];
            (id.to_string(), json!({
                "name": g.name, "targetType": g.target_type, "protocol": g.protocol, "port": g.port,
                "protocolVersion": g.protocol_version, "ipAddressType": g.ip_address_type,
                "tags": value(&json!(g.tags)), "attributes": g.attributes, "healthCheck": own["healthCheck"],
            }))
        }).collect::<Map<_, _>>(),
        "securityGroups": stack.security_groups.iter().map(|(id, g)| {
            let own = &form["securityGroups"][&g.name];
            (id.to_string(), json!({
                "name": g.name, "description": g.description, "tags": value(&json!(g.tags)),
                "ingress": own["ingress"],
            }))
        }).collect::<Map<_, _>>(),
        "bindings": bindings.iter().map(|b| {
            let id = match &b.target_group {
                Ref::Of(key) => key.id.to_string(),
                Ref::Known(arn) => arn.to_string(),
            };
            let some = |_: &Ref<TargetGroupArn>| Some(TargetGroupArn::new("arn"));
            let object = b.object(some, |g| Some(SecurityGroupId::new(group(g)))).unwrap();
            let mut object = serde_json::to_value(object).unwrap();
            let labels = object["metadata"]["labels"].as_object_mut().unwrap();
            labels.retain(|key, _| !key.starts_with("gateway.k8s.aws."));
            (id, binding(&object))
        }).collect::<Map<_, _>>(),
    })
}
