//! What the definitions must say, so that a cluster can change between LBC and elbow.

use std::path::Path;

use serde_json::{Value, json};

use super::*;

/// The JSON at a pointer into the definition of a kind.
#[track_caller]
fn at(kind: &str, pointer: &str) -> Value {
    let crd = crds()
        .into_iter()
        .find(|c| c.spec.names.kind == kind)
        .unwrap();
    let crd = serde_json::to_value(crd).unwrap();
    crd.pointer(pointer).cloned().unwrap_or(Value::Null)
}

/// The schema of a field of a kind's spec without its description; `[]` goes into list items.
#[track_caller]
fn field(kind: &str, path: &str) -> Value {
    // Versions are listed as LBC lists them, TargetGroupBinding's stored one last.
    let index = u8::from(kind == "TargetGroupBinding");
    let mut pointer = format!("/spec/versions/{index}/schema/openAPIV3Schema/properties/spec");
    for part in path.split('.').filter(|p| !p.is_empty()) {
        pointer.push_str("/properties/");
        pointer.push_str(&part.replace("[]", "/items"));
    }
    let mut schema = at(kind, &pointer);
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("description");
        schema.remove("properties");
        for rule in schema
            .get_mut("x-kubernetes-validations")
            .into_iter()
            .flat_map(as_array)
        {
            rule.as_object_mut().unwrap().remove("message");
        }
    }
    schema
}

fn as_array(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().unwrap()
}

#[test]
fn fields_have_the_types_bounds_and_defaults_that_lbc_gives_them() {
    const LBC: &str = "LoadBalancerConfiguration";
    const TGC: &str = "TargetGroupConfiguration";
    const LRC: &str = "ListenerRuleConfiguration";
    const TGB: &str = "TargetGroupBinding";
    let port = r"^(HTTP|HTTPS|TLS|TCP|UDP|TCP_UDP)?:(6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})?$";
    let int_or_string = json!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true
    });
    let timeout = json!({
        "type": "integer", "format": "int64", "minimum": 1.0, "maximum": 604_800.0, "default": 604_800
    });
    let rows = [
        (
            LBC,
            "loadBalancerName",
            json!({"type": "string", "minLength": 1, "maxLength": 32}),
        ),
        (
            LBC,
            "scheme",
            json!({"type": "string", "enum": ["internal", "internet-facing"]}),
        ),
        (
            LBC,
            "mergingMode",
            json!({"type": "string", "enum": ["prefer-gateway", "prefer-gateway-class"]}),
        ),
        (LBC, "ipv4IPAMPoolId", json!({"type": "string"})),
        (
            LBC,
            "enforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
            json!({"type": "string"}),
        ),
        (
            LBC,
            "loadBalancerSubnets[].privateIPv4Allocation",
            json!({"type": "string"}),
        ),
        (
            LBC,
            "loadBalancerSubnets[].sourceNatIPv6Prefix",
            json!({"type": "string"}),
        ),
        (LBC, "enableICMP", json!({"type": "boolean"})),
        (
            LBC,
            "minimumLoadBalancerCapacity",
            json!({"type": "object", "required": ["capacityUnits"]}),
        ),
        (
            LBC,
            "minimumLoadBalancerCapacity.capacityUnits",
            json!({"type": "integer", "format": "int32"}),
        ),
        (
            LBC,
            "wafV2",
            json!({"type": "object", "required": ["webACL"]}),
        ),
        (
            LBC,
            "listenerConfigurations[].protocolPort",
            json!({"type": "string", "pattern": port}),
        ),
        (
            LBC,
            "listenerConfigurations[].alpnPolicy",
            json!({"type": "string", "default": "None",
                "enum": ["HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred", "None"]}),
        ),
        (
            LBC,
            "listenerConfigurations[].mutualAuthentication.advertiseTrustStoreCaNames",
            json!({"type": "string", "enum": ["on", "off"]}),
        ),
        (
            LBC,
            "loadBalancerSubnetsSelector",
            json!({"type": "object",
                "additionalProperties": {"type": "array", "items": {"type": "string"}}}),
        ),
        (
            TGC,
            "targetReference",
            json!({"type": "object", "required": ["name"]}),
        ),
        (
            TGC,
            "targetReference.group",
            json!({"type": "string", "default": ""}),
        ),
        (
            TGC,
            "targetReference.kind",
            json!({"type": "string", "default": "Service"}),
        ),
        (
            TGC,
            "defaultConfiguration.healthCheckConfig.healthCheckPort",
            json!({"type": "string"}),
        ),
        (
            TGC,
            "defaultConfiguration.healthCheckConfig.healthCheckInterval",
            json!({"type": "integer", "format": "int32"}),
        ),
        (
            TGC,
            "defaultConfiguration.nodeSelector",
            json!({"type": "object", "x-kubernetes-map-type": "atomic"}),
        ),
        (
            LRC,
            "actions[].authenticateOIDCConfig.sessionTimeout",
            timeout.clone(),
        ),
        (
            LRC,
            "actions[].authenticateCognitoConfig.sessionTimeout",
            timeout,
        ),
        (
            LRC,
            "actions[].forwardConfig.targetGroupStickinessConfig",
            json!({"type": "object", "default": {}}),
        ),
        (
            LRC,
            "actions[].redirectConfig.query",
            json!({"type": "string", "default": "#{query}"}),
        ),
        (
            LRC,
            "actions[].fixedResponseConfig.statusCode",
            json!({"type": "integer", "format": "int32", "x-kubernetes-validations":
                [{"rule": "(self >= 200 && self <= 299) || (self >= 400 && self <= 599)"}]}),
        ),
        (
            LRC,
            "actions[].jwtValidationConfig.additionalClaims[].values",
            json!({"type": "array", "minItems": 1, "maxItems": 10,
                "items": {"type": "string", "maxLength": 256}}),
        ),
        (
            LRC,
            "conditions[].matchIndexes",
            json!({"type": "array", "items": {"type": "integer"}}),
        ),
        (TGB, "serviceRef.port", int_or_string.clone()),
        (TGB, "networking.ingress[].ports[].port", int_or_string),
        (
            TGB,
            "",
            json!({"type": "object", "required": ["serviceRef"]}),
        ),
    ];
    for (kind, path, expected) in rows {
        assert_eq!(field(kind, path), expected, "{kind} {path}");
    }
}

#[test]
fn optional_fields_are_absent_rather_than_null() {
    let text = serde_json::to_string(&crds()).unwrap();
    assert!(!text.contains("nullable"), "{text}");
    assert!(!text.contains(r#""default":null"#), "{text}");
}

#[test]
fn v1_is_stored_and_v1beta1_is_served_with_a_warning() {
    for kind in [
        "LoadBalancerConfiguration",
        "TargetGroupConfiguration",
        "ListenerRuleConfiguration",
    ] {
        assert_eq!(at(kind, "/spec/versions/0/name"), json!("v1"));
        assert_eq!(at(kind, "/spec/versions/0/storage"), json!(true));
        assert_eq!(at(kind, "/spec/versions/1/name"), json!("v1beta1"));
        assert_eq!(at(kind, "/spec/versions/1/storage"), json!(false));
        assert_eq!(
            at(kind, "/spec/versions/1/deprecationWarning"),
            json!(format!(
                "gateway.k8s.aws/v1beta1 {kind} is deprecated; use gateway.k8s.aws/v1 instead"
            ))
        );
        assert_eq!(
            at(kind, "/spec/versions/0/schema"),
            at(kind, "/spec/versions/1/schema")
        );
        assert_eq!(
            at(kind, "/spec/versions/0/subresources"),
            json!({"status": {}})
        );
        assert_eq!(at(kind, "/spec/scope"), json!("Namespaced"));
    }
}

#[test]
fn old_target_group_bindings_know_fewer_fields() {
    let names = |version: usize, part: &str| -> Vec<String> {
        let pointer =
            format!("/spec/versions/{version}/schema/openAPIV3Schema/properties/{part}/properties");
        at("TargetGroupBinding", &pointer)
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(
        at("TargetGroupBinding", "/spec/versions/0/name"),
        json!("v1alpha1")
    );
    assert_eq!(
        at("TargetGroupBinding", "/spec/versions/0/storage"),
        json!(false)
    );
    assert_eq!(
        at("TargetGroupBinding", "/spec/versions/1/storage"),
        json!(true)
    );
    assert_eq!(names(0, "status"), ["observedGeneration"]);
    for field in [
        "targetGroupProtocol",
        "nodeSelector",
        "ipAddressType",
        "vpcID",
    ] {
        assert!(!names(0, "spec").contains(&field.to_owned()), "{field}");
        assert!(names(1, "spec").contains(&field.to_owned()), "{field}");
    }
}

#[test]
fn values_that_an_old_yaml_misreads_are_quoted() {
    let text = to_yaml();
    assert!(text.contains(r#"- "off""#) && text.contains(r#"- "on""#));
}

#[test]
fn every_field_is_described_in_a_sentence() {
    fn check(schema: &Value, path: &str) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if name == "metadata" && !path.contains(".spec") {
                // An API server refuses a definition that says anything else of it.
                assert_eq!(*field, json!({ "type": "object" }), "{path}");
                continue;
            }
            let description = field["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{path}: {description:?}");
            check(field, &path);
            check(&field["items"], &path);
        }
    }
    for crd in crds() {
        for version in crd.spec.versions {
            let schema = version.schema.unwrap().open_api_v3_schema.unwrap();
            check(&serde_json::to_value(schema).unwrap(), &crd.spec.names.kind);
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test is about a file")]
fn checked_in_definitions_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/crds");
    for file in files() {
        let found = std::fs::read_to_string(folder.join(&file.name)).unwrap_or_default();
        assert!(
            found == file.text,
            "deploy/crds/{} is stale: run `cargo xtask crds` and commit the result",
            file.name
        );
    }
}
