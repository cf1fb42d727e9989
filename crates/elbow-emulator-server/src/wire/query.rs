//! Reads the parameters of Query and EC2 Query requests by shape.
//!
//! ```text
//! Query   Subnets.member.1=subnet-1   Actions.member.1.Type=forward   Extra.entry.1.key=a
//! EC2     SubnetId.1=subnet-1         Filter.1.Value.2=b
//! ```
//!
//! In: form parameters and a shape. Out: a value keyed by member names. Always: a parameter that
//! the shape does not have is an error that names it.

use std::collections::BTreeMap;

use elbow_emulator::ApiError;
use elbow_emulator::shape::Shape;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::Protocol;

/// Form parameters, decoded: `a=1&b=x%20y`.
pub(crate) fn form(text: &str) -> BTreeMap<String, String> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// Parameters as the tree that their dotted names describe.
#[derive(Debug, Default)]
struct Node {
    value: Option<String>,
    below: BTreeMap<String, Self>,
}

impl Node {
    fn insert(&mut self, name: &str, value: &str) {
        let mut node = self;
        for part in name.split('.') {
            node = node.below.entry(part.to_owned()).or_default();
        }
        node.value = Some(value.to_owned());
    }

    /// The numbered children in order of their numbers.
    fn items(&self, path: &str) -> Result<Vec<(u32, &Self)>, String> {
        let mut items = Vec::new();
        for (name, node) in &self.below {
            let number = name.parse().map_err(|_| format!("{path}.{name}"))?;
            items.push((number, node));
        }
        items.sort_by_key(|(number, _)| *number);
        Ok(items)
    }
}

/// Why parameters cannot be read.
enum Trouble {
    /// No such parameter.
    Unknown(String),
    /// Not of its type.
    Malformed {
        name: String,
        value: String,
        expected: &'static str,
    },
}

/// The value of a request whose form parameters are these, `Action` and `Version` aside.
pub(crate) fn read(
    protocol: Protocol,
    shape: &'static Shape,
    parameters: &BTreeMap<String, String>,
) -> Result<Value, ApiError> {
    let mut root = Node::default();
    for (name, value) in parameters {
        if name != "Action" && name != "Version" {
            root.insert(name, value);
        }
    }
    structure(protocol, shape, &root, "").map_err(|trouble| match (trouble, protocol) {
        (Trouble::Unknown(name), Protocol::Ec2) => {
            let message = format!("The parameter {name} is not recognized");
            ApiError::sender("UnknownParameter", message)
        }
        (Trouble::Unknown(name), _) => {
            let message = format!("{name} is not a parameter of this operation");
            ApiError::sender("ValidationError", message)
        }
        (
            Trouble::Malformed {
                name,
                value,
                expected,
            },
            Protocol::Ec2,
        ) => {
            let message =
                format!("Value ({value}) for parameter {name} is invalid. Expected {expected}.");
            ApiError::sender("InvalidParameterValue", message)
        }
        (
            Trouble::Malformed {
                name,
                value,
                expected,
            },
            _,
        ) => {
            let message = format!("'{value}' for {name} is malformed: expected {expected}");
            ApiError::sender("MalformedInput", message)
        }
    })
}

fn structure(
    protocol: Protocol,
    shape: &'static Shape,
    node: &Node,
    path: &str,
) -> Result<Value, Trouble> {
    let Shape::Structure(members) = shape else {
        return Err(Trouble::Unknown(path.to_owned()));
    };
    let mut out = Map::new();
    for (name, below) in &node.below {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        let Some(member) = members.iter().find(|member| member.request == name) else {
            return Err(Trouble::Unknown(path));
        };
        out.insert(
            member.name.to_owned(),
            value(protocol, member.shape, below, &path)?,
        );
    }
    Ok(Value::Object(out))
}

fn value(
    protocol: Protocol,
    shape: &'static Shape,
    node: &Node,
    path: &str,
) -> Result<Value, Trouble> {
    let malformed = |expected| {
        let value = node.value.clone().unwrap_or_default();
        Trouble::Malformed {
            name: path.to_owned(),
            value,
            expected,
        }
    };
    match shape {
        Shape::Structure(_) => return structure(protocol, shape, node, path),
        Shape::List { item, .. } => {
            // An empty list travels as the bare name with an empty value.
            let (holder, path) = match (protocol, node.below.get("member")) {
                (Protocol::Query, Some(member)) if node.below.len() == 1 => {
                    (member, format!("{path}.member"))
                }
                _ if node.below.is_empty() => {
                    let empty = node.value.as_deref() == Some("");
                    return if empty {
                        Ok(Value::Array(Vec::new()))
                    } else {
                        Err(malformed("a list"))
                    };
                }
                (Protocol::Query, _) => {
                    let name = node.below.keys().find(|name| *name != "member");
                    let name = name.map(String::as_str).unwrap_or_default();
                    return Err(Trouble::Unknown(format!("{path}.{name}")));
                }
                _ => (node, path.to_owned()),
            };
            let items = holder.items(&path).map_err(Trouble::Unknown)?;
            let items = items
                .into_iter()
                .map(|(number, below)| value(protocol, item, below, &format!("{path}.{number}")));
            return items.collect::<Result<Vec<_>, _>>().map(Value::Array);
        }
        Shape::Map { value: of } => {
            let mut out = Map::new();
            if let Some(entries) = node.below.get("entry") {
                for (number, entry) in entries.items(path).map_err(Trouble::Unknown)? {
                    let path = format!("{path}.entry.{number}");
                    let key = entry.below.get("key").and_then(|key| key.value.clone());
                    let key = key.ok_or_else(|| Trouble::Unknown(path.clone()))?;
                    if let Some(below) = entry.below.get("value") {
                        out.insert(key, value(protocol, of, below, &path)?);
                    }
                }
            }
            return Ok(Value::Object(out));
        }
        _ => {}
    }
    if let Some(name) = node.below.keys().next() {
        return Err(Trouble::Unknown(format!("{path}.{name}")));
    }
    let text = node.value.as_deref().unwrap_or_default();
    match shape {
        Shape::String { .. } => Ok(text.into()),
        Shape::Number { long: false, .. } => text
            .parse::<i32>()
            .map(Value::from)
            .map_err(|_| malformed("a whole number")),
        Shape::Number { long: true, .. } => text
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| malformed("a whole number")),
        Shape::Double => text
            .parse::<f64>()
            .map(Value::from)
            .map_err(|_| malformed("a number")),
        Shape::Boolean => match text {
            "true" => Ok(true.into()),
            "false" => Ok(false.into()),
            _ => Err(malformed("true or false")),
        },
        // No modelled Query request carries these (a test sees to it).
        _ => Err(malformed("something that this protocol can carry")),
    }
}
