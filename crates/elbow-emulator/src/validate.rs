//! Checks a request against its shape, as AWS's service framework does before an operation runs.
//!
//! In: an operation and the value of its request. Out: nothing, or the framework's error with all
//! violations in one message. Always: only what the model says is checked here; what an operation
//! knows by itself (that a name is taken, that two parameters exclude each other) is its own work.
//!
//! | Service | Code | Message |
//! |---|---|---|
//! | ELBv2, STS | `ValidationError` | `1 validation error detected: Value '0' at 'port' failed to satisfy constraint: Member must have value greater than or equal to 1` |
//! | ACM | `ValidationException` | the same |
//! | tagging | `InvalidParameterException` | the same |
//! | EC2 | `MissingParameter`, `InvalidParameterValue` | `The request must contain the parameter GroupId` |

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use regex::Regex;
use serde_json::Value;

use crate::error::ApiError;
use crate::operation::{Operation, Service};
use crate::shape::{Member, Shape};

/// Checks a request's value, whose absent members are missing or null.
pub fn check(operation: &Operation, request: &Value) -> Result<(), ApiError> {
    let mut violations = Vec::new();
    walk(operation.input, request, &Path::default(), &mut violations);
    let Some(first) = violations.first() else {
        return Ok(());
    };
    if operation.service == Service::Ec2 {
        return Err(first.as_ec2());
    }
    let code = match operation.service {
        Service::ElbV2 | Service::Sts | Service::Ec2 => "ValidationError",
        Service::Acm => "ValidationException",
        Service::Tagging => "InvalidParameterException",
    };
    let (count, plural) = (
        violations.len(),
        if violations.len() == 1 { "" } else { "s" },
    );
    let texts: Vec<String> = violations.iter().map(Violation::as_framework).collect();
    let message = format!(
        "{count} validation error{plural} detected: {}",
        texts.join("; ")
    );
    Err(ApiError::sender(code, message))
}

/// Where in a request: in the framework's spelling and in EC2's.
#[derive(Clone, Default)]
struct Path {
    framework: String,
    wire: String,
}

impl Path {
    fn member(&self, member: &Member) -> Self {
        let mut chars = member.name.chars();
        let first = chars.next().map(|c| c.to_ascii_lowercase());
        let camel: String = first.into_iter().chain(chars).collect();
        Self {
            framework: join(&self.framework, &camel),
            wire: join(&self.wire, member.request),
        }
    }

    fn item(&self, index: usize) -> Self {
        let number = (index + 1).to_string();
        Self {
            framework: join(&join(&self.framework, &number), "member"),
            wire: join(&self.wire, &number),
        }
    }
}

fn join(path: &str, part: &str) -> String {
    if path.is_empty() {
        part.to_owned()
    } else {
        format!("{path}.{part}")
    }
}

struct Violation {
    path: Path,
    /// `None` for a member that is missing.
    value: Option<String>,
    constraint: String,
}

impl Violation {
    fn as_framework(&self) -> String {
        let value = self
            .value
            .as_ref()
            .map_or("null".into(), |value| format!("'{value}'"));
        let (path, constraint) = (&self.path.framework, &self.constraint);
        format!("Value {value} at '{path}' failed to satisfy constraint: {constraint}")
    }

    fn as_ec2(&self) -> ApiError {
        let path = &self.path.wire;
        match &self.value {
            None => ApiError::sender(
                "MissingParameter",
                format!("The request must contain the parameter {path}"),
            ),
            Some(value) => ApiError::sender(
                "InvalidParameterValue",
                format!(
                    "Value ({value}) for parameter {path} is invalid. {}",
                    self.constraint
                ),
            ),
        }
    }
}

fn walk(shape: &'static Shape, value: &Value, path: &Path, violations: &mut Vec<Violation>) {
    match shape {
        Shape::Structure(members) => {
            for member in *members {
                let path = path.member(member);
                match value.get(member.name).filter(|value| !value.is_null()) {
                    Some(value) => walk(member.shape, value, &path, violations),
                    None if member.required => violations.push(Violation {
                        path,
                        value: None,
                        constraint: "Member must not be null".into(),
                    }),
                    None => {}
                }
            }
        }
        Shape::List { item, .. } => {
            let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let scalar = !matches!(item, Shape::Structure(_) | Shape::List { .. });
            for constraint in broken(shape, value) {
                violations.push(Violation {
                    path: path.clone(),
                    value: Some(text(value)),
                    constraint,
                });
            }
            if scalar {
                // The framework names the list, and every constraint of its items.
                if items.iter().any(|value| !broken(item, value).is_empty()) {
                    let constraint = format!(
                        "Member must satisfy constraint: [{}]",
                        constraints(item).join(", ")
                    );
                    violations.push(Violation {
                        path: path.clone(),
                        value: Some(text(value)),
                        constraint,
                    });
                }
            } else {
                for (index, value) in items.iter().enumerate() {
                    walk(item, value, &path.item(index), violations);
                }
            }
        }
        _ => {
            for constraint in broken(shape, value) {
                violations.push(Violation {
                    path: path.clone(),
                    value: Some(text(value)),
                    constraint,
                });
            }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!(
                "[{}]",
                items.iter().map(text).collect::<Vec<_>>().join(", ")
            )
        }
        other => other.to_string(),
    }
}

/// The constraints of a shape in the framework's words.
fn constraints(shape: &Shape) -> Vec<String> {
    let mut out = Vec::new();
    match shape {
        Shape::String {
            min,
            max,
            pattern,
            values,
        } => {
            out.extend(
                max.map(|max| format!("Member must have length less than or equal to {max}")),
            );
            out.extend(
                min.map(|min| format!("Member must have length greater than or equal to {min}")),
            );
            if !pattern.is_empty() {
                out.push(format!(
                    "Member must satisfy regular expression pattern: {pattern}"
                ));
            }
            if !values.is_empty() {
                out.push(format!(
                    "Member must satisfy enum value set: [{}]",
                    values.join(", ")
                ));
            }
        }
        Shape::Number { min, max, .. } => {
            out.extend(
                max.map(|max| format!("Member must have value less than or equal to {max}")),
            );
            out.extend(
                min.map(|min| format!("Member must have value greater than or equal to {min}")),
            );
        }
        Shape::List { min, max, .. } | Shape::Blob { min, max } => {
            out.extend(
                max.map(|max| format!("Member must have length less than or equal to {max}")),
            );
            out.extend(
                min.map(|min| format!("Member must have length greater than or equal to {min}")),
            );
        }
        _ => {}
    }
    out
}

/// Those of its own constraints that a value breaks, in the framework's words.
fn broken(shape: &Shape, value: &Value) -> Vec<String> {
    let length = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let bounds = |unit: &str, measure: i64, min: &Option<i64>, max: &Option<i64>| {
        let mut out = Vec::new();
        if let Some(max) = max.filter(|max| measure > *max) {
            out.push(format!(
                "Member must have {unit} less than or equal to {max}"
            ));
        }
        if let Some(min) = min.filter(|min| measure < *min) {
            out.push(format!(
                "Member must have {unit} greater than or equal to {min}"
            ));
        }
        out
    };
    match (shape, value) {
        (
            Shape::String {
                min,
                max,
                pattern,
                values,
            },
            Value::String(text),
        ) => {
            let mut out = bounds("length", length(text.chars().count()), min, max);
            if !pattern.is_empty() && !matches(pattern, text) {
                out.push(format!(
                    "Member must satisfy regular expression pattern: {pattern}"
                ));
            }
            if !values.is_empty() && !values.contains(&text.as_str()) {
                out.push(format!(
                    "Member must satisfy enum value set: [{}]",
                    values.join(", ")
                ));
            }
            out
        }
        (Shape::Number { min, max, .. }, Value::Number(number)) => {
            bounds("value", number.as_i64().unwrap_or(i64::MAX), min, max)
        }
        (Shape::List { min, max, .. }, Value::Array(items)) => {
            bounds("length", length(items.len()), min, max)
        }
        // A value has a blob as hexadecimal text, two digits a byte.
        (Shape::Blob { min, max }, Value::String(hex)) => {
            bounds("length", length(hex.len() / 2), min, max)
        }
        _ => Vec::new(),
    }
}

/// Whether a pattern of AWS's models matches the whole text.
fn matches(pattern: &'static str, text: &str) -> bool {
    // Patterns come from the generated tables alone, so the cache stays small. What it holds does
    // not change any answer.
    static COMPILED: Mutex<BTreeMap<&'static str, Option<Regex>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled
        .entry(pattern)
        .or_insert_with(|| Regex::new(&format!("^(?:{pattern})$")).ok());
    // A pattern that does not compile is caught by the test below.
    regex.as_ref().is_none_or(|regex| regex.is_match(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::operation::find;

    #[track_caller]
    fn message(service: Service, operation: &str, request: &Value) -> String {
        let operation = find(service, operation).unwrap();
        match check(operation, request) {
            Ok(()) => "ok".into(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn words_violations_as_aws_does() {
        let listener = |port: i64, protocol: &str| {
            json!({"LoadBalancerArn": "arn", "Port": port, "Protocol": protocol,
                   "DefaultActions": [{"Type": "forward", "TargetGroupArn": "arn"}]})
        };
        let rows = [
            (Service::ElbV2, "CreateListener", listener(80, "HTTP"), "ok"),
            (
                Service::ElbV2,
                "CreateListener",
                listener(0, "HTTP"),
                "ValidationError: 1 validation error detected: Value '0' at 'port' failed to satisfy \
                 constraint: Member must have value greater than or equal to 1",
            ),
            (
                Service::ElbV2,
                "CreateListener",
                json!({"LoadBalancerArn": "arn", "DefaultActions": [{"Order": 1}]}),
                "ValidationError: 1 validation error detected: Value null at \
                 'defaultActions.1.member.type' failed to satisfy constraint: Member must not be null",
            ),
            (
                Service::ElbV2,
                "AddTags",
                json!({"ResourceArns": [], "Tags": [{"Key": ""}, {"Value": "v"}]}),
                "ValidationError: 2 validation errors detected: Value '' at 'tags.1.member.key' \
                 failed to satisfy constraint: Member must have length greater than or equal to 1; \
                 Value null at 'tags.2.member.key' failed to satisfy constraint: Member must not be null",
            ),
            (
                Service::ElbV2,
                "DescribeTargetHealth",
                json!({"TargetGroupArn": "arn", "Include": ["Some"]}),
                "ValidationError: 1 validation error detected: Value '[Some]' at 'include' failed to \
                 satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value \
                 set: [AnomalyDetection, All]]",
            ),
            (
                Service::Acm,
                "DescribeCertificate",
                json!({}),
                "ValidationException: 1 validation error detected: Value null at 'certificateArn' \
                 failed to satisfy constraint: Member must not be null",
            ),
            (
                Service::Ec2,
                "CreateSecurityGroup",
                json!({"GroupName": "a"}),
                "MissingParameter: The request must contain the parameter GroupDescription",
            ),
        ];
        for (service, operation, request, expected) in rows {
            assert_eq!(
                message(service, operation, &request),
                expected,
                "{operation} {request}"
            );
        }
    }

    #[test]
    fn every_pattern_compiles() {
        fn visit(shape: &'static Shape, depth: usize) {
            // Shapes may contain themselves; nothing useful lies deeper.
            if depth > 8 {
                return;
            }
            match shape {
                Shape::Structure(members) => {
                    members
                        .iter()
                        .for_each(|member| visit(member.shape, depth + 1));
                }
                Shape::List { item, .. } => visit(item, depth + 1),
                Shape::Map { value } => visit(value, depth + 1),
                Shape::String { pattern, .. } => {
                    Regex::new(&format!("^(?:{pattern})$")).unwrap();
                }
                _ => {}
            }
        }
        for operation in Service::ALL.iter().flat_map(|service| service.operations()) {
            visit(operation.input, 0);
        }
    }
}
