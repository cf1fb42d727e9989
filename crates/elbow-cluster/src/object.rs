//! From a checked document to a typed object.
//!
//! In: a document of a kind that elbow uses. Out: the [`Object`], with what an API server adds (a
//! namespace, a generation, the label that names a Namespace) and a UID derived from the object's name
//! if it has none; or the [`Violation`]s for which an API server would refuse it.

use std::sync::{Arc, OnceLock};

use elbow_api::{ByteSpan, Kind, Object, ObjectRef, Secret, Severity, TlsMaterial};
use k8s_openapi::api::core::v1 as core;
use regex::Regex;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::node::{Data, Node, push_key};
use crate::schema::{self, Schema};
use crate::validate::{self, Violation};

/// Namespace of an object that names none, as `kubectl` has it.
const DEFAULT_NAMESPACE: &str = "default";

/// Label by which an API server makes every Namespace selectable.
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What an import takes from a Secret's document.
pub(crate) fn tls_material(root: &Node) -> Option<TlsMaterial> {
    let (_, schema) = schema::find(Kind::Secret).version("v1")?;
    let (value, _) = validate::check(schema, root);
    let secret = serde_json::from_value::<core::Secret>(encode_string_data(value)).ok()?;
    Secret::read(secret).1
}

/// The kind, namespace and name of a document, even if it is otherwise wrong.
pub(crate) fn identify(kind: Kind, root: &Node) -> Option<ObjectRef> {
    let metadata = root.get("metadata")?;
    let name = metadata.string("name")?;
    let namespace = match metadata.string("namespace") {
        _ if !kind.is_namespaced() => "",
        None | Some("") => DEFAULT_NAMESPACE,
        Some(namespace) => namespace,
    };
    Some(ObjectRef::new(kind, namespace, name))
}

/// Reads a document of a kind. There is no object if a violation is an error.
pub(crate) fn read(kind: Kind, schema: &Schema, root: &Node) -> (Option<Object>, Vec<Violation>) {
    let (mut value, mut violations) = validate::check(schema, root);
    violations.extend(check_metadata(kind, schema, root));
    violations.sort_by_key(|violation| violation.span);
    if violations
        .iter()
        .any(|violation| violation.severity == Severity::Error)
    {
        return (None, violations);
    }
    if let Some(this) = identify(kind, root) {
        complete(&this, &mut value);
    }
    match decode(kind, value) {
        Ok(object) => (Some(object), violations),
        Err(error) => {
            let message = format!("the {kind} cannot be read: {error}");
            violations.push(wrong_form(root.mark(), String::new(), message, None));
            (None, violations)
        }
    }
}

fn wrong_form(span: ByteSpan, field: String, message: String, hint: Option<&str>) -> Violation {
    let hint = hint.map(str::to_owned);
    Violation {
        severity: Severity::Error,
        code: "wrong-form",
        field,
        span,
        message,
        hint,
    }
}

/// The UID that an object gets which has none: the same one for the same kind, namespace and name, since
/// names of AWS resources are derived from it.
pub fn derived_uid(object: &ObjectRef) -> Uuid {
    let space = Uuid::new_v5(
        &Uuid::NAMESPACE_URL,
        b"https://github.com/elbow-project/elbow",
    );
    let name = format!("{}/{}/{}", object.kind, object.namespace, object.name);
    Uuid::new_v5(&space, name.as_bytes())
}

/// Brings an object of any version into the form that its one Rust type reads.
pub(crate) fn unify(kind: Kind, value: &mut Value) {
    // The Rust types of our own kinds want a spec, which the definitions do not ask for.
    if kind.group().ends_with("k8s.aws") && value.get("spec").is_none() {
        value["spec"] = json!({});
    }
    // Likewise for the hostnames of a TLSRoute, which its versions before v1 let one leave out.
    if let (Kind::TlsRoute, Some(Value::Object(spec))) = (kind, value.get_mut("spec")) {
        spec.entry("hostnames").or_insert_with(|| json!([]));
    }
}

/// Adds what an API server would have added.
fn complete(this: &ObjectRef, value: &mut Value) {
    unify(this.kind, value);
    let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    metadata.remove("namespace");
    if this.kind.is_namespaced() {
        metadata.insert("namespace".to_owned(), json!(this.namespace));
    }
    metadata.entry("generation").or_insert_with(|| json!(1));
    let uid = metadata.entry("uid").or_insert(Value::Null);
    if uid.as_str().unwrap_or_default().is_empty() {
        *uid = json!(derived_uid(this).to_string());
    }
    if this.kind == Kind::Namespace {
        let labels = metadata.entry("labels").or_insert_with(|| json!({}));
        labels[NAMESPACE_NAME_LABEL] = json!(this.name);
    }
}

const LABEL: &str =
    "use at most 63 lower-case letters, digits and hyphens, with a letter or digit at both ends";
const SUBDOMAIN: &str = "use at most 253 lower-case letters, digits, hyphens and dots, with a letter or digit at both ends of each part";

const LABEL_PART: &str = "use at most 63 letters, digits, hyphens, underscores and dots, with a letter or digit at both ends";

/// What the API server checks in the metadata of every object.
fn check_metadata(kind: Kind, schema: &Schema, root: &Node) -> Vec<Violation> {
    let Some(metadata) = root.get("metadata") else {
        let is_reported = schema.required.iter().any(|name| name == "metadata");
        return if is_reported {
            Vec::new()
        } else {
            missing(root, "metadata")
        };
    };
    let mut violations = Vec::new();
    let mut check = |key: &str, is_valid: fn(&str) -> bool, expected: &str| {
        let Some(Data::String(text)) = metadata.get(key).map(|n| &n.data) else {
            return;
        };
        if !is_valid(text) {
            let mut field = "metadata".to_owned();
            push_key(&mut field, key);
            let message = format!("`{field}` cannot be `{text}`");
            violations.push(wrong_form(
                root.find(&field),
                field,
                message,
                Some(expected),
            ));
        }
    };
    check("namespace", |text| text.is_empty() || is_label(text), LABEL);
    if matches!(kind, Kind::Namespace | Kind::Service) {
        check("name", is_label, LABEL);
    } else {
        check("name", is_subdomain, SUBDOMAIN);
    }
    if metadata.get("name").is_none_or(|n| n.data == Data::Null) {
        violations.extend(missing(metadata, "metadata.name"));
    }
    violations.extend(check_labels(root, metadata));
    violations
}

fn missing(node: &Node, field: &str) -> Vec<Violation> {
    vec![Violation {
        severity: Severity::Error,
        code: "missing-field",
        field: field.to_owned(),
        span: node.mark(),
        message: format!("`{field}` is missing"),
        hint: None,
    }]
}

/// Keys and values of labels; see
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>.
fn check_labels(root: &Node, metadata: &Node) -> Vec<Violation> {
    let mut violations = Vec::new();
    let Some(Data::Map(labels)) = metadata.get("labels").map(|n| &n.data) else {
        return violations;
    };
    for label in labels {
        let mut field = "metadata.labels".to_owned();
        push_key(&mut field, &label.key);
        let (prefix, name) = match label.key.split_once('/') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, label.key.as_str()),
        };
        let is_key = is_label_part(name) && !name.is_empty() && prefix.is_none_or(is_subdomain);
        let wrong_value = match &label.value.data {
            Data::String(text) => !is_label_part(text),
            _ => false, // Its type is reported already.
        };
        if !is_key || wrong_value {
            let (what, span) = if is_key {
                ("the value of", root.find(&field))
            } else {
                ("the key of", label.key_span)
            };
            let key = &label.key;
            let message = format!("{what} the label `{key}` is not one that Kubernetes takes");
            violations.push(wrong_form(span, field, message, Some(LABEL_PART)));
        }
    }
    violations
}

fn is_label(text: &str) -> bool {
    static FORM: OnceLock<Option<Regex>> = OnceLock::new();
    text.len() <= 63 && matches(&FORM, "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", text)
}

fn is_subdomain(text: &str) -> bool {
    static FORM: OnceLock<Option<Regex>> = OnceLock::new();
    let form = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    text.len() <= 253 && matches(&FORM, form, text)
}

fn is_label_part(text: &str) -> bool {
    static FORM: OnceLock<Option<Regex>> = OnceLock::new();
    text.len() <= 63 && matches(&FORM, "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", text)
}

fn matches(cell: &OnceLock<Option<Regex>>, form: &str, text: &str) -> bool {
    cell.get_or_init(|| Regex::new(form).ok())
        .as_ref()
        .is_some_and(|regex| regex.is_match(text))
}

/// Turns a checked value into its Rust type. The check has gone by a schema of the same type, so an error
/// says no more than that the two differ. `serde_path_to_error` would add the path of it, and a copy of
/// the code that reads all these types, which is most of what this crate takes to compile.
pub(crate) fn decode(kind: Kind, value: Value) -> serde_json::Result<Object> {
    macro_rules! decode {
        ($value:expr; $($kind:ident),* $(,)?) => {
            match kind {
                Kind::Secret => serde_json::from_value::<core::Secret>($value).map(Object::from),
                Kind::ConfigMap => {
                    serde_json::from_value::<core::ConfigMap>($value).map(Object::from)
                }
                $( Kind::$kind => typed($value).map(Object::$kind), )*
            }
        };
    }
    let value = if kind == Kind::Secret {
        encode_string_data(value)
    } else {
        value
    };
    decode!(value;
        Namespace, Node, GatewayClass, Gateway, ListenerSet, HttpRoute, GrpcRoute, TlsRoute, TcpRoute,
        UdpRoute, ReferenceGrant, LoadBalancerConfiguration, TargetGroupConfiguration,
        ListenerRuleConfiguration, TargetGroupBinding, Service, EndpointSlice, Pod,
    )
}

fn typed<T: DeserializeOwned>(value: Value) -> serde_json::Result<Arc<T>> {
    serde_json::from_value(value).map(Arc::new)
}

/// `stringData` is write-only: an API server moves it to `data`.
fn encode_string_data(mut value: Value) -> Value {
    let Some(object) = value.as_object_mut() else {
        return value;
    };
    let Some(Value::Object(strings)) = object.remove("stringData") else {
        return value;
    };
    let data = object
        .entry("data")
        .or_insert_with(|| Value::Object(Map::new()));
    for (key, text) in strings {
        let bytes = k8s_openapi::ByteString(text.as_str().unwrap_or_default().as_bytes().to_vec());
        data[key] = serde_json::to_value(bytes).unwrap_or_default();
    }
    value
}
