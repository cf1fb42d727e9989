//! Kubernetes objects as YAML.
//!
//! In: anything that serde turns into JSON. Out: YAML text that starts with `---`, with sorted keys.
//! Strings that an older YAML would read as something else, `on` and `off` for example, are quoted.

use saphyr::{Mapping, Scalar, Yaml, YamlEmitter};
use serde::Serialize;
use serde_json::Value;

/// Writes one YAML document.
pub(super) fn to_yaml(object: &impl Serialize) -> String {
    let mut text = String::new();
    let Ok(value) = serde_json::to_value(object) else {
        return text;
    };
    if YamlEmitter::new(&mut text).dump(&convert(&value)).is_err() {
        // A String takes every write, and the document has JSON's few kinds of value only.
        text.clear();
    }
    text.push('\n');
    text
}

fn convert(value: &Value) -> Yaml<'_> {
    match value {
        Value::Null => Yaml::Value(Scalar::Null),
        Value::Bool(b) => Yaml::Value(Scalar::Boolean(*b)),
        Value::Number(n) => Yaml::Value(number(n)),
        Value::String(s) => Yaml::Value(Scalar::String(s.as_str().into())),
        Value::Array(items) => Yaml::Sequence(items.iter().map(convert).collect()),
        Value::Object(fields) => {
            // The order of a JSON object depends on a feature of serde_json that any crate may switch
            // on, so it is not relied on.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let mut mapping = Mapping::with_capacity(fields.len());
            for (key, value) in fields {
                mapping.insert(
                    Yaml::Value(Scalar::String(key.as_str().into())),
                    convert(value),
                );
            }
            Yaml::Mapping(mapping)
        }
    }
}

/// Bounds are floating point in the Rust types of Kubernetes; whole ones are written as integers.
fn number(n: &serde_json::Number) -> Scalar<'static> {
    if let Some(i) = n.as_i64() {
        return Scalar::Integer(i);
    }
    let f = n.as_f64().unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the comparison proves that nothing is lost"
    )]
    let whole = f as i64;
    #[expect(
        clippy::cast_precision_loss,
        reason = "the comparison proves that nothing is lost"
    )]
    if (whole as f64).to_bits() == f.to_bits() {
        Scalar::Integer(whole)
    } else {
        Scalar::FloatingPoint(f.into())
    }
}
