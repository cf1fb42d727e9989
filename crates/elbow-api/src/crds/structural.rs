//! Brings a generated schema to the form that Kubernetes and LBC use.
//!
//! In: a schema as schemars and kube derive it. Out: the same schema with optional fields that are
//! absent rather than null. The API server drops a null before it validates, so `nullable` would only
//! make it store one.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

/// Tidies the schema of a whole object.
pub(super) fn tidy_root(schema: &mut JSONSchemaProps) {
    tidy(schema);
    // LBC's definitions accept an object without a spec, so these must.
    schema.required = None;
    let properties = schema.properties.get_or_insert_default();
    for (name, type_, description) in [
        (
            "apiVersion",
            "string",
            Some("Group and version of the object's schema."),
        ),
        ("kind", "string", Some("Kind of the object.")),
        // An API server refuses a definition that says more than this of metadata.
        ("metadata", "object", None),
    ] {
        properties.insert(
            name.to_owned(),
            JSONSchemaProps {
                type_: Some(type_.to_owned()),
                description: description.map(str::to_owned),
                ..JSONSchemaProps::default()
            },
        );
    }
}

fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.title = None;
    schema.default.take_if(|JSON(value)| value.is_null());
    if let Some(values) = &mut schema.enum_ {
        values.retain(|JSON(value)| *value != Value::Null);
    }
    if let Some(description) = &mut schema.description {
        // Lines of a doc comment are wrapped for the source, not for `kubectl explain`.
        *description = description.replace('\n', " ");
    }
    if schema.x_kubernetes_int_or_string == Some(true) {
        schema.any_of = Some(["integer", "string"].map(of_type).into());
    }
    for child in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        tidy(child);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(child)) => tidy(child),
        Some(JSONSchemaPropsOrArray::Schemas(children)) => children.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(child)) = &mut schema.additional_properties {
        tidy(child);
    }
}

fn of_type(name: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some(name.to_owned()),
        ..JSONSchemaProps::default()
    }
}
