//! Parameters that AWS has and this emulator does not act on: a request that uses one is refused
//! by name, because silence would let a wrong configuration pass its test.
//!
//! In: an operation and the value of its request. Out: an error that names the first such
//! parameter. Always: each entry names a member of the operation's shape (a test checks that).

use serde_json::Value;

use crate::error::ApiError;
use crate::operation::{Operation, Service};

/// Parameters of one operation that are refused.
#[derive(Debug)]
pub struct Unmodelled {
    /// The operation.
    pub operation: &'static str,
    /// Members of its request, with dots between the levels; lists are stepped into.
    pub parameters: &'static [&'static str],
}

/// What is refused of one service.
pub fn of(service: Service) -> &'static [Unmodelled] {
    match service {
        Service::ElbV2 => crate::elbv2::UNMODELLED,
        Service::Ec2 => crate::ec2::UNMODELLED,
        Service::Acm => crate::acm::UNMODELLED,
        Service::Tagging => crate::tagging::UNMODELLED,
        Service::Sts => &[],
    }
}

/// Refuses a request that uses an unmodelled parameter.
pub fn refuse(operation: &Operation, request: &Value) -> Result<(), ApiError> {
    let entries = of(operation.service)
        .iter()
        .filter(|entry| entry.operation == operation.name);
    for parameter in entries.flat_map(|entry| entry.parameters) {
        if is_used(request, parameter) {
            let code = match operation.service {
                Service::ElbV2 | Service::Sts => "ValidationError",
                Service::Ec2 => "InvalidParameterValue",
                Service::Acm => "ValidationException",
                Service::Tagging => "InvalidParameterException",
            };
            let name = operation.name;
            let message = format!("{name}: {parameter} is not modelled by this emulator");
            return Err(ApiError::sender(code, message));
        }
    }
    Ok(())
}

fn is_used(value: &Value, path: &str) -> bool {
    if let Value::Array(items) = value {
        return items.iter().any(|item| is_used(item, path));
    }
    let (head, rest) = path
        .split_once('.')
        .map_or((path, None), |(head, rest)| (head, Some(rest)));
    match (value.get(head), rest) {
        (None | Some(Value::Null), _) => false,
        (Some(_), None) => true,
        (Some(below), Some(rest)) => is_used(below, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::find;
    use crate::shape::Shape;

    #[test]
    fn every_entry_names_a_parameter() {
        for service in Service::ALL {
            for entry in of(service) {
                let operation = find(service, entry.operation);
                let Some(operation) = operation else {
                    panic!("no operation {}", entry.operation)
                };
                for parameter in entry.parameters {
                    let found = parameter.split('.').try_fold(operation.input, step);
                    assert!(found.is_some(), "{} has no {parameter}", entry.operation);
                }
            }
        }
    }

    fn step(shape: &'static Shape, name: &str) -> Option<&'static Shape> {
        match shape {
            Shape::List { item, .. } => step(item, name),
            Shape::Structure(members) => members
                .iter()
                .find(|member| member.name == name)
                .map(|member| member.shape),
            _ => None,
        }
    }
}
