//! Reads requests and prints responses of JSON 1.1 by shape: timestamps are seconds with a
//! fraction, bytes are base64, and members without a value are left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use elbow_emulator::shape::Shape;
use elbow_emulator::{ApiError, Blob, Service};
use serde_json::{Map, Value};

/// The value of a request with this body.
pub(crate) fn read(
    service: Service,
    shape: &'static Shape,
    body: &[u8],
) -> Result<Value, ApiError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let parsed: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::sender("SerializationException", error.to_string()))?;
    value(service, shape, parsed, "")
}

fn value(
    service: Service,
    shape: &'static Shape,
    given: Value,
    path: &str,
) -> Result<Value, ApiError> {
    let wrong = |expected: &str| {
        let place = if path.is_empty() { "the body" } else { path };
        ApiError::sender(
            "SerializationException",
            format!("{place}: expected {expected}"),
        )
    };
    if given.is_null() {
        return Ok(Value::Null);
    }
    match (shape, given) {
        (Shape::Structure(members), Value::Object(fields)) => {
            let mut out = Map::new();
            for (name, given) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let Some(member) = members.iter().find(|member| member.request == name) else {
                    let code = match service {
                        Service::Tagging => "InvalidParameterException",
                        _ => "ValidationException",
                    };
                    let message = format!("{path} is not a parameter of this operation");
                    return Err(ApiError::sender(code, message));
                };
                out.insert(
                    member.name.to_owned(),
                    value(service, member.shape, given, &path)?,
                );
            }
            Ok(Value::Object(out))
        }
        (Shape::List { item, .. }, Value::Array(items)) => {
            let items = items.into_iter().enumerate();
            let items =
                items.map(|(n, given)| value(service, item, given, &format!("{path}[{n}]")));
            items.collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        (Shape::List { .. }, _) => Err(wrong("a list")),
        (Shape::Map { value: of }, Value::Object(fields)) => {
            let fields = fields.into_iter().map(|(key, given)| {
                let path = format!("{path}.{key}");
                Ok((key, value(service, of, given, &path)?))
            });
            fields
                .collect::<Result<Map<_, _>, ApiError>>()
                .map(Value::Object)
        }
        (Shape::Structure(_) | Shape::Map { .. }, _) => Err(wrong("an object")),
        (Shape::String { .. }, text @ Value::String(_)) => Ok(text),
        (Shape::String { .. }, _) => Err(wrong("a string")),
        (Shape::Number { long: false, .. }, Value::Number(n))
            if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) =>
        {
            Ok(Value::Number(n))
        }
        (Shape::Number { long: true, .. }, Value::Number(n)) if n.is_i64() => Ok(Value::Number(n)),
        (Shape::Number { .. }, _) => Err(wrong("a whole number")),
        (Shape::Double, number @ Value::Number(_)) => Ok(number),
        (Shape::Double, _) => Err(wrong("a number")),
        (Shape::Boolean, flag @ Value::Bool(_)) => Ok(flag),
        (Shape::Boolean, _) => Err(wrong("true or false")),
        (Shape::Timestamp, Value::Number(seconds)) => {
            let millis = seconds.as_f64().map(|seconds| seconds * 1000.0);
            let millis = millis.and_then(|millis| format!("{millis:.0}").parse::<u64>().ok());
            millis.map(Value::from).ok_or_else(|| wrong("a time"))
        }
        (Shape::Timestamp, _) => Err(wrong("a time")),
        (Shape::Blob { .. }, Value::String(text)) => {
            let bytes = STANDARD.decode(text).map_err(|_| wrong("base64"))?;
            serde_json::to_value(Blob(bytes)).map_err(|_| wrong("base64"))
        }
        (Shape::Blob { .. }, _) => Err(wrong("base64")),
    }
}

/// A response's value as the JSON that clients get.
pub(crate) fn print(shape: &Shape, value: &Value) -> Value {
    match (shape, value) {
        (Shape::Structure(members), Value::Object(fields)) => {
            let set = members.iter().filter_map(|member| {
                let value = fields.get(member.name).filter(|value| !value.is_null())?;
                Some((member.response.to_owned(), print(member.shape, value)))
            });
            Value::Object(set.collect())
        }
        (Shape::List { item, .. }, Value::Array(items)) => {
            Value::Array(items.iter().map(|value| print(item, value)).collect())
        }
        (Shape::Map { value: of }, Value::Object(fields)) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), print(of, value)));
            Value::Object(fields.collect())
        }
        (Shape::Timestamp, Value::Number(millis)) => {
            let seconds = millis.as_f64().map(|millis| millis / 1000.0);
            seconds.map_or(Value::Null, Value::from)
        }
        (Shape::Blob { .. }, value) => {
            let blob = serde_json::from_value::<Blob>(value.clone());
            blob.map_or(Value::Null, |blob| Value::String(STANDARD.encode(blob.0)))
        }
        (_, value) => value.clone(),
    }
}
