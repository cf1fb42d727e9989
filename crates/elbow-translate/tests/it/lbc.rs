//! One form for what LBC left in AWS and for what elbow wants.
//!
//! Names stand for ARNs and ids that AWS makes up, absent parts of redirects and forwards are left
//! out, and lists whose order means nothing are sorted.

use std::collections::BTreeMap;

use elbow_model::rule::{Action, Condition, Pattern, Transform};
use elbow_model::stack::{HealthCheck, IngressSource, Matcher, ResourceKey};
use elbow_model::{Ref, Stack};
use serde_json::{Map, Value, json};

/// The name that stands for the security group of the cluster.
pub(crate) const SHARED: &str = "k8s-traffic-mycluster-4cbfcec96c";

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(crate) fn sorted(mut values: Vec<Value>) -> Value {
    values.sort_by_key(ToString::to_string);
    Value::Array(values)
}

/// A target group's name within its ARN.
fn group_name(arn: &Value) -> &str {
    text(arn).split('/').nth(1).unwrap_or_default()
}

// What LBC left.

/// Everything of one Stack in a recording of AWS.
pub(crate) fn recorded(aws: &Value) -> Value {
    let groups: BTreeMap<&str, &str> = list(&aws["securityGroups"])
        .iter()
        .map(|g| (text(&g["GroupId"]), text(&g["GroupName"])))
        .collect();
    let group = |id: &Value| json!(groups.get(text(id)).copied().unwrap_or(text(id)));
    let lb = &aws["loadBalancers"][0];
    let own = &lb["loadBalancer"];
    json!({
        "loadBalancer": {
            "name": own["LoadBalancerName"], "scheme": own["Scheme"], "type": own["Type"],
            "ipAddressType": own["IpAddressType"], "tags": lb["tags"],
            "subnets": sorted(list(&own["AvailabilityZones"]).iter().map(|z| z["SubnetId"].clone()).collect()),
            "securityGroups": list(&own["SecurityGroups"]).iter().map(group).collect::<Vec<_>>(),
        },
        "listeners": list(&lb["listeners"]).iter().map(recorded_listener).collect::<Map<_, _>>(),
        "targetGroups": list(&aws["targetGroups"]).iter().map(recorded_group).collect::<Map<_, _>>(),
        "securityGroups": list(&aws["securityGroups"]).iter().filter_map(recorded_security_group)
            .collect::<Map<_, _>>(),
    })
}

fn recorded_listener(listener: &Value) -> (String, Value) {
    let own = &listener["listener"];
    let certificates = list(&listener["certificates"]).iter();
    let sni = certificates.filter(|c| c["IsDefault"] == json!(false));
    let rules = list(&listener["rules"])
        .iter()
        .filter(|r| r["rule"]["IsDefault"] == json!(false));
    let value = json!({
        "protocol": own["Protocol"],
        "defaultAction": recorded_action(&own["DefaultActions"][0]),
        "sslPolicy": own.get("SslPolicy"),
        "defaultCertificate": own["Certificates"][0].get("CertificateArn"),
        "certificates": sorted(sni.map(|c| c["CertificateArn"].clone()).collect()),
        "tags": listener["tags"],
        "rules": rules.map(|r| {
            let rule = &r["rule"];
            (text(&rule["Priority"]).to_owned(), json!({
                "conditions": list(&rule["Conditions"]).iter().map(recorded_condition).collect::<Vec<_>>(),
                "action": recorded_action(&rule["Actions"][0]),
                "transforms": list(&rule["Transforms"]).iter().map(recorded_transform).collect::<Vec<_>>(),
                "tags": r["tags"],
            }))
        }).collect::<Map<_, _>>(),
    });
    (own["Port"].to_string(), value)
}

pub(crate) fn recorded_condition(condition: &Value) -> Value {
    let field = text(&condition["Field"]);
    let (config, name) = match field {
        "host-header" => (&condition["HostHeaderConfig"], None),
        "path-pattern" => (&condition["PathPatternConfig"], None),
        "http-header" => {
            let config = &condition["HttpHeaderConfig"];
            (config, Some(&config["HttpHeaderName"]))
        }
        "http-request-method" => (&condition["HttpRequestMethodConfig"], None),
        "query-string" => (&condition["QueryStringConfig"], None),
        _ => (&condition["SourceIpConfig"], None),
    };
    json!([
        field,
        name,
        config.get("Values"),
        config.get("RegexValues").filter(|v| !list(v).is_empty())
    ])
}

pub(crate) fn recorded_action(action: &Value) -> Value {
    match text(&action["Type"]) {
        "forward" => {
            let config = &action["ForwardConfig"];
            let groups = list(&config["TargetGroups"]).iter();
            let sticky = &config["TargetGroupStickinessConfig"];
            json!({"forward": groups
                .map(|g| json!([group_name(&g["TargetGroupArn"]), g["Weight"]]))
                .collect::<Vec<_>>(),
                "sticky": (sticky["Enabled"] == json!(true)).then(|| &sticky["DurationSeconds"])})
        }
        "redirect" => {
            let config = &action["RedirectConfig"];
            let part = |key: &str, same: &str| config.get(key).filter(|v| text(v) != same).cloned();
            json!({"redirect": [config["StatusCode"], part("Protocol", "#{protocol}"), part("Port", "#{port}"),
                part("Host", "#{host}"), part("Path", "/#{path}"), part("Query", "#{query}")]})
        }
        _ => {
            let config = &action["FixedResponseConfig"];
            json!({"fixed": [config["StatusCode"], config.get("ContentType"), config.get("MessageBody")]})
        }
    }
}

pub(crate) fn recorded_transform(transform: &Value) -> Value {
    let kind = text(&transform["Type"]);
    let config = if kind == "url-rewrite" {
        &transform["UrlRewriteConfig"]
    } else {
        &transform["HostHeaderRewriteConfig"]
    };
    let rewrite = &config["Rewrites"][0];
    json!([kind, rewrite["Regex"], rewrite["Replace"]])
}

fn recorded_group(group: &Value) -> (String, Value) {
    let own = &group["targetGroup"];
    let matcher = own.get("Matcher");
    let targets = list(&group["targets"]).iter().map(|t| {
        let target = &t["Target"];
        json!([
            target["Id"],
            target["Port"],
            target.get("AvailabilityZone").filter(|z| text(z) == "all")
        ])
    });
    let value = json!({
        "targetType": own["TargetType"], "protocol": own["Protocol"], "port": own["Port"],
        "protocolVersion": own.get("ProtocolVersion"), "vpc": own["VpcId"],
        "ipAddressType": own["IpAddressType"], "tags": group["tags"],
        "healthCheck": [own["HealthCheckProtocol"], own["HealthCheckPort"], own.get("HealthCheckPath"),
            matcher.and_then(|m| m.get("HttpCode").or(m.get("GrpcCode"))), own["HealthCheckIntervalSeconds"],
            own["HealthCheckTimeoutSeconds"], own["HealthyThresholdCount"], own["UnhealthyThresholdCount"]],
        "targets": sorted(targets.collect()),
    });
    (text(&own["TargetGroupName"]).to_owned(), value)
}

fn recorded_security_group(group: &Value) -> Option<(String, Value)> {
    let tags: Map<_, _> = list(&group["Tags"])
        .iter()
        .map(|t| (text(&t["Key"]).to_owned(), t["Value"].clone()))
        .collect();
    tags.get("gateway.k8s.aws.alb/stack")
        .or(tags.get("gateway.k8s.aws.nlb/stack"))?;
    let mut ingress = Vec::new();
    for permission in list(&group["IpPermissions"]) {
        let mut add = |source: &Value| {
            let (from, to) = (&permission["FromPort"], &permission["ToPort"]);
            ingress.push(json!([permission["IpProtocol"], from, to, source]));
        };
        for r in list(&permission["IpRanges"]) {
            add(&r["CidrIp"]);
        }
        for r in list(&permission["Ipv6Ranges"]) {
            add(&r["CidrIpv6"]);
        }
        for r in list(&permission["PrefixListIds"]) {
            add(&r["PrefixListId"]);
        }
    }
    let value = json!({
        "description": group["Description"], "tags": tags, "ingress": sorted(ingress),
    });
    Some((text(&group["GroupName"]).to_owned(), value))
}

// What elbow wants.

/// Everything of one Stack.
pub(crate) fn wanted(stack: &Stack) -> Value {
    let lb = stack.load_balancer.as_ref().unwrap();
    let groups = stack.security_groups.values();
    json!({
        "loadBalancer": {
            "name": lb.name, "scheme": lb.scheme, "type": lb.lb_type, "ipAddressType": lb.ip_address_type,
            "tags": lb.tags,
            "subnets": sorted(lb.subnets.iter().map(|s| json!(s.subnet_id)).collect()),
            "securityGroups": lb.security_groups.iter().map(|g| wanted_ref(stack, g)).collect::<Vec<_>>(),
        },
        "listeners": stack.listeners.iter().map(|(port, l)| wanted_listener(stack, port.get(), l))
            .collect::<Map<_, _>>(),
        "targetGroups": stack.target_groups.values().map(|g| (g.name.clone(), json!({
            "targetType": g.target_type, "protocol": g.protocol, "port": g.port,
            "protocolVersion": g.protocol_version, "vpc": g.vpc_id, "ipAddressType": g.ip_address_type,
            "tags": g.tags, "healthCheck": wanted_check(&g.health_check),
            "targets": sorted(g.targets.iter().map(|t| json!([t.id, t.port, t.availability_zone])).collect()),
        }))).collect::<Map<_, _>>(),
        "securityGroups": groups.map(|g| (g.name.clone(), json!({
            "description": g.description, "tags": g.tags,
            "ingress": sorted(g.ingress.iter().flatten().map(|r| {
                let source = match &r.source {
                    IngressSource::Ipv4(s) | IngressSource::Ipv6(s) => s.clone(),
                    IngressSource::PrefixList(id) => id.to_string(),
                    IngressSource::SecurityGroup(id) => id.to_string(),
                };
                json!([r.protocol, r.from_port, r.to_port, source])
            }).collect()),
        }))).collect::<Map<_, _>>(),
    })
}

fn wanted_ref<T: std::fmt::Display>(stack: &Stack, reference: &Ref<T>) -> String {
    let of = |key: &ResourceKey| {
        let group = stack.target_groups.get(&key.id).map(|g| g.name.clone());
        let own = stack.security_groups.get(&key.id).map(|g| g.name.clone());
        group.or(own).unwrap_or_else(|| SHARED.to_owned())
    };
    match reference {
        Ref::Known(id) => id.to_string(),
        Ref::Of(key) => of(key),
    }
}

fn wanted_listener(stack: &Stack, port: u16, l: &elbow_model::stack::Listener) -> (String, Value) {
    let value = json!({
        "protocol": l.protocol, "defaultAction": wanted_action(stack, &l.default_action),
        "sslPolicy": l.ssl_policy, "defaultCertificate": l.certificates.first().and_then(elbow_model::Ref::known),
        "certificates": sorted(l.certificates.iter().map(|c| json!(c.known())).collect()),
        "tags": l.tags,
        "rules": l.rules.iter().zip(1..).map(|(rule, priority): (_, u32)| (priority.to_string(), json!({
            "conditions": rule.conditions.iter().map(wanted_condition).collect::<Vec<_>>(),
            "action": wanted_action(stack, &rule.action),
            "transforms": rule.transforms.iter().map(|t| match t {
                Transform::UrlRewrite(r) => json!(["url-rewrite", r.regex, r.replace]),
                Transform::HostHeaderRewrite(r) => json!(["host-header-rewrite", r.regex, r.replace]),
            }).collect::<Vec<_>>(),
            "tags": rule.tags,
        }))).collect::<Map<_, _>>(),
    });
    (port.to_string(), value)
}

fn wanted_condition(condition: &Condition) -> Value {
    let field = condition.field();
    let pattern = |name: Option<&String>, matches: &Pattern| match matches {
        Pattern::Values(values) => json!([field, name, values, null]),
        Pattern::RegexValues(values) => json!([field, name, null, values]),
    };
    match condition {
        Condition::HostHeader { matches } | Condition::PathPattern { matches } => {
            pattern(None, matches)
        }
        Condition::HttpHeader { name, matches } => pattern(Some(name), matches),
        Condition::HttpRequestMethod { values } | Condition::SourceIp { values } => {
            json!([field, null, values, null])
        }
        Condition::QueryString { values } => {
            let pairs = values
                .iter()
                .map(|v| json!({"Key": v.key, "Value": v.value}));
            json!([field, null, pairs.collect::<Vec<_>>(), null])
        }
    }
}

fn wanted_action(stack: &Stack, action: &Action) -> Value {
    match action {
        Action::Forward(forward) => {
            let groups = forward.target_groups.iter();
            let sticky = forward.stickiness.as_ref().filter(|s| s.enabled);
            json!({"forward": groups
                .map(|g| json!([wanted_ref(stack, &g.target_group), g.weight]))
                .collect::<Vec<_>>(),
                "sticky": sticky.and_then(|s| s.duration_seconds)})
        }
        Action::Redirect(r) => {
            json!({"redirect": [r.status_code, r.protocol, r.port, r.host, r.path, r.query]})
        }
        Action::FixedResponse(f) => {
            json!({"fixed": [f.status_code.to_string(), f.content_type, f.message_body]})
        }
        Action::Unmodeled { action_type } => json!(action_type),
    }
}

fn wanted_check(check: &HealthCheck) -> Value {
    let code = match &check.matcher {
        Some(Matcher::HttpCode(code) | Matcher::GrpcCode(code)) => Some(code),
        None => None,
    };
    json!([
        check.protocol,
        check.port,
        check.path,
        code,
        check.interval_seconds,
        check.timeout_seconds,
        check.healthy_threshold_count,
        check.unhealthy_threshold_count
    ])
}
