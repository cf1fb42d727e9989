//! `cargo xtask schemas`: writes what the manifest source validates objects against.
//!
//! In: the definitions inside the Go module `sigs.k8s.io/gateway-api`, fetched with the `go` command,
//! and the types of `k8s-openapi`. Out: compact schemas without descriptions, one file for each kind,
//! in `crates/elbow-cluster/src/schemas/`. Versions of a kind with equal schemas share one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// The release whose definitions are used: it serves every version that releases since 1.0 stored.
const GATEWAY_API: &str = "sigs.k8s.io/gateway-api@v1.6.3";

/// Kinds that are read, or will be, by the plural in the file's name.
const GATEWAY_KINDS: [&str; 9] = [
    "gatewayclasses",
    "gateways",
    "grpcroutes",
    "httproutes",
    "listenersets",
    "referencegrants",
    "tcproutes",
    "tlsroutes",
    "udproutes",
];

/// Writes the files.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("crates/elbow-cluster/src/schemas");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let module = download_module()?;
    for plural in GATEWAY_KINDS {
        let name = format!("gateway.networking.k8s.io_{plural}.yaml");
        let path = module.join("config/crd/experimental").join(&name);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let documents =
            Yaml::load_from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        let crd = documents.first().context("the file is empty")?;
        write(
            &folder.join(format!("{plural}.json")),
            &definition(&json_of(crd)?)?,
        )?;
    }
    for (name, schema) in built_in() {
        write(&folder.join(format!("{name}.json")), &schema)?;
    }
    Ok(())
}

fn write(path: &Path, value: &Value) -> anyhow::Result<()> {
    fs::write(path, format!("{value}\n")).with_context(|| format!("write {}", path.display()))
}

/// Lets Go fetch the module and answers with its folder.
fn download_module() -> anyhow::Result<PathBuf> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", GATEWAY_API])
        .current_dir(std::env::temp_dir())
        .output()
        .context("run `go mod download`")?;
    ensure!(
        output.status.success(),
        "`go mod download {GATEWAY_API}` failed: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let module: Value =
        serde_json::from_slice(&output.stdout).context("read the answer of `go mod download`")?;
    Ok(module["Dir"]
        .as_str()
        .context("`go mod download` named no folder")?
        .into())
}

/// Keeps the names and schemas of a definition: `{"schemas": [{"versions": [...], "schema": ...}]}`.
fn definition(crd: &Value) -> anyhow::Result<Value> {
    let mut schemas: Vec<(Value, Vec<Value>)> = Vec::new();
    for version in crd["spec"]["versions"]
        .as_array()
        .context("the definition has no versions")?
    {
        if version["served"] != json!(true) {
            continue;
        }
        let mut schema = compact(&version["schema"]["openAPIV3Schema"]);
        schema["properties"]["metadata"] = json!({"type": "object"});
        // Of a version: its name, and whether the API server warns of its age.
        let name = json!({
            "name": version["name"],
            "deprecated": version["deprecated"] == json!(true),
        });
        match schemas.iter_mut().find(|(known, _)| *known == schema) {
            Some((_, names)) => names.push(name),
            None => schemas.push((schema, vec![name])),
        }
    }
    let schemas: Vec<Value> = schemas
        .into_iter()
        .map(|(schema, versions)| json!({"versions": versions, "schema": schema}))
        .collect();
    Ok(json!({"schemas": schemas}))
}

/// Drops what says nothing about what is accepted.
fn compact(schema: &Value) -> Value {
    let Value::Object(fields) = schema else {
        return schema.clone();
    };
    let mut kept = Map::new();
    for (key, value) in fields {
        let value = match key.as_str() {
            // The one use of oneOf is the format of an address of a Gateway, which load balancers of
            // AWS do not take in any case.
            "description" | "title" | "$schema" | "$defs" | "oneOf" => continue,
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                properties
                    .map(|(name, schema)| (name.clone(), compact(schema)))
                    .collect()
            }
            "items" | "additionalProperties" => compact(value),
            "x-kubernetes-validations" => {
                let rules = value.as_array().into_iter().flatten();
                rules
                    .map(|r| json!({"rule": r["rule"], "message": r["message"]}))
                    .collect()
            }
            _ => value.clone(),
        };
        kept.insert(key.clone(), value);
    }
    kept.sort_keys();
    Value::Object(kept)
}

/// The kinds that an API server has built in, and the metadata of every kind.
fn built_in() -> BTreeMap<&'static str, Value> {
    let mut schemas = BTreeMap::from([
        ("namespaces", schema_of::<core::Namespace>()),
        ("nodes", schema_of::<core::Node>()),
        ("services", schema_of::<core::Service>()),
        ("endpointslices", schema_of::<EndpointSlice>()),
        ("pods", schema_of::<core::Pod>()),
        ("secrets", schema_of::<core::Secret>()),
        ("configmaps", schema_of::<core::ConfigMap>()),
    ]);
    for (name, schema) in &mut schemas {
        schema["properties"]["metadata"] = json!({"type": "object"});
        for (pointer, rules) in rules_of_built_in(name) {
            let found = schema.pointer_mut(&pointer).and_then(Value::as_object_mut);
            let rules = rules.as_object().cloned().unwrap_or_default();
            if let Some(found) = found {
                found.extend(rules);
            }
        }
        *schema = json!({"schemas": [
            {"versions": [{"name": "v1", "deprecated": false}], "schema": schema}
        ]});
    }
    schemas.insert("metadata", schema_of::<ObjectMeta>());
    schemas
}

fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::openapi3();
    settings.inline_subschemas = true;
    let mut schema = compact(
        settings
            .into_generator()
            .into_root_schema_for::<T>()
            .as_value(),
    );
    drop_nullable(&mut schema);
    schema
}

/// The API server treats a null like an absent field.
fn drop_nullable(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&json!(true)) {
                fields.remove("nullable");
            }
            fields.values_mut().for_each(drop_nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nullable),
        _ => {}
    }
}

/// Rules and defaults that the API server has in code, for the fields that elbow reads.
/// See <https://kubernetes.io/docs/reference/kubernetes-api/>.
fn rules_of_built_in(name: &str) -> Vec<(String, Value)> {
    const SERVICE_PORT: &str = "/properties/spec/properties/ports/items/properties";
    const CONTAINER_PORT: &str =
        "/properties/spec/properties/containers/items/properties/ports/items/properties";
    let port = json!({"minimum": 1, "maximum": 65535});
    let protocol = json!({"default": "TCP", "enum": ["TCP", "UDP", "SCTP"]});
    let at = |base: &str, field: &str, rule: &Value| (format!("{base}/{field}"), rule.clone());
    match name {
        "services" => vec![
            at(SERVICE_PORT, "port", &port),
            at(SERVICE_PORT, "protocol", &protocol),
            at(
                SERVICE_PORT,
                "nodePort",
                &json!({"minimum": 0, "maximum": 65535}),
            ),
            at(
                "/properties/spec/properties",
                "type",
                &json!({
                    "default": "ClusterIP",
                    "enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"],
                }),
            ),
        ],
        "endpointslices" => vec![
            at(
                "/properties",
                "addressType",
                &json!({"enum": ["IPv4", "IPv6", "FQDN"]}),
            ),
            at("/properties/ports/items/properties", "port", &port),
            at("/properties/ports/items/properties", "protocol", &protocol),
            at(
                "/properties/ports/items/properties",
                "name",
                &json!({"default": ""}),
            ),
            at(
                "/properties/endpoints/items/properties",
                "addresses",
                &json!({"minItems": 1, "maxItems": 100}),
            ),
        ],
        "pods" => vec![
            at(CONTAINER_PORT, "containerPort", &port),
            at(CONTAINER_PORT, "protocol", &protocol),
        ],
        _ => Vec::new(),
    }
}

fn json_of(yaml: &Yaml<'_>) -> anyhow::Result<Value> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(b)) => json!(b),
        Yaml::Value(Scalar::Integer(i)) => json!(i),
        Yaml::Value(Scalar::FloatingPoint(f)) => json!(f.into_inner()),
        Yaml::Value(Scalar::String(s)) => json!(s),
        Yaml::Sequence(items) => items.iter().map(json_of).collect::<anyhow::Result<_>>()?,
        Yaml::Mapping(fields) => {
            let mut object = Map::new();
            for (key, value) in fields {
                let key = key.as_str().context("a key is not a string")?;
                object.insert(key.to_owned(), json_of(value)?);
            }
            Value::Object(object)
        }
        other => bail!("a definition holds something that JSON has not: {other:?}"),
    })
}
