//! Checks a document against a schema, as the API server would.
//!
//! In: a [`Node`] and a [`Schema`]. Out: the value with defaults filled in, and every [`Violation`],
//! each with the field and the bytes it is about. The order is the API server's: a null is dropped where
//! none may stand, defaults are filled in, types and bounds are checked, and rules last, if all else is
//! well.
//!
//! A wrong `status` refuses nothing: a cluster wrote it, perhaps one of another version. Fields of it that
//! are unknown are dropped, and one that is wrong in another way is dropped as a whole, with a warning.

use std::collections::BTreeSet;

use elbow_api::{ByteSpan, Severity};
use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde_json::{Map, Number, Value};

use crate::node::{Data, Entry, Node, push_index, push_key};
use crate::rules;
use crate::schema::{self, ListType, Schema, Type};
use crate::suggest::nearest;

/// Something that the API server would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) severity: Severity,
    pub(crate) code: &'static str,
    pub(crate) field: String,
    pub(crate) span: ByteSpan,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Checks a whole object.
///
/// The value is what an API server would store, provided that no violation is an error.
pub(crate) fn check(schema: &Schema, root: &Node) -> (Value, Vec<Violation>) {
    let mut checker = Checker {
        path: String::new(),
        in_status: false,
        violations: Vec::new(),
    };
    let value = checker.value(schema, root, root.mark());
    let mut violations = checker.violations;
    if violations.iter().all(|v| v.severity != Severity::Error) {
        judge(schema, &value, &mut String::new(), &mut |field, message| {
            violations.push(Violation {
                severity: Severity::Error,
                code: "broken-rule",
                field: field.to_owned(),
                span: root.find(field),
                message: format!("`{field}`: {message}"),
                hint: None,
            });
        });
    }
    (value, violations)
}

/// Applies the rules of a schema and of all schemas in it.
fn judge(schema: &Schema, value: &Value, path: &mut String, report: &mut impl FnMut(&str, &str)) {
    for rule in rules::broken(&schema.rules, value) {
        report(path, &rule.message);
    }
    let length = path.len();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if length == 0 && name == "status" {
                    continue;
                }
                let child = schema
                    .properties
                    .get(name)
                    .or(schema.additional_properties.as_deref());
                if let Some(child) = child {
                    push_key(path, name);
                    judge(child, value, path, report);
                    path.truncate(length);
                }
            }
        }
        Value::Array(items) => {
            if let Some(child) = &schema.items {
                for (index, value) in items.iter().enumerate() {
                    push_index(path, index);
                    judge(child, value, path, report);
                    path.truncate(length);
                }
            }
        }
        _ => {}
    }
}

struct Checker {
    path: String,
    in_status: bool,
    violations: Vec<Violation>,
}

impl Checker {
    fn report(&mut self, code: &'static str, span: ByteSpan, message: String) {
        self.report_with_hint(code, span, message, None);
    }

    fn report_with_hint(
        &mut self,
        code: &'static str,
        span: ByteSpan,
        message: String,
        hint: Option<String>,
    ) {
        self.violations.push(Violation {
            severity: Severity::Error,
            code,
            field: self.path.clone(),
            span,
            message,
            hint,
        });
    }

    /// Checks a value; `mark` is what to underline when it is wrong as a whole.
    fn value(&mut self, schema: &Schema, node: &Node, mark: ByteSpan) -> Value {
        match (schema.type_, &node.data) {
            _ if schema.int_or_string => self.int_or_string(node, mark),
            (Some(Type::Object), Data::Map(entries)) => self.object(schema, entries, mark),
            (Some(Type::Array), Data::List(items)) => self.list(schema, items, mark),
            (Some(Type::String), Data::String(s)) => self.string(schema, s, mark),
            (Some(Type::Integer | Type::Number), Data::Number(n)) => self.number(schema, n, mark),
            (Some(Type::Boolean), Data::Bool(b)) => Value::Bool(*b),
            (None, _) => plain(node),
            (Some(expected), data) => {
                self.wrong_type(expected, data, mark);
                Value::Null
            }
        }
    }

    fn wrong_type(&mut self, expected: Type, found: &Data, mark: ByteSpan) {
        let name = match expected {
            Type::Object => "a map",
            Type::Array => "a list",
            Type::String => "a string",
            Type::Integer => "an integer",
            Type::Number => "a number",
            Type::Boolean => "a boolean",
        };
        let hint = match (expected, found) {
            (Type::String, Data::Bool(_)) => Some(
                "put it in quotes: without them, words such as `on`, `off`, `y` and `no` are booleans",
            ),
            (Type::String, Data::Number(_)) => Some("put it in quotes"),
            (Type::Integer | Type::Number | Type::Boolean, Data::String(_)) => {
                Some("if it is in quotes, remove them")
            }
            (Type::Array, Data::Map(_)) => Some("begin each item with `- `"),
            _ => None,
        };
        let message = format!("`{}` must be {name}, not {}", self.path, found.type_name());
        self.report_with_hint("wrong-type", mark, message, hint.map(str::to_owned));
    }

    fn int_or_string(&mut self, node: &Node, mark: ByteSpan) -> Value {
        match &node.data {
            Data::String(s) => Value::String(s.clone()),
            Data::Number(n) if n.is_f64() => Value::String(n.to_string()),
            Data::Number(n) => Value::Number(n.clone()),
            other => {
                let found = other.type_name();
                let message = format!(
                    "`{}` must be an integer or a string, not {found}",
                    self.path
                );
                self.report("wrong-type", mark, message);
                Value::Null
            }
        }
    }

    fn number(&mut self, schema: &Schema, number: &Number, mark: ByteSpan) -> Value {
        let value = number.as_f64().unwrap_or_default();
        let mut number = number.clone();
        if schema.type_ == Some(Type::Integer) {
            if let Some(i) = whole(&number) {
                number = i.into();
            } else {
                let path = &self.path;
                let message = format!("`{path}` must be an integer of 64 bits, not {number}");
                self.report("wrong-type", mark, message);
                return Value::Null;
            }
        }
        let (low, high) = match schema.format.as_deref() {
            Some("int32") => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
            _ => (None, None),
        };
        if let Some(minimum) = schema.minimum.or(low).filter(|m| value < *m) {
            let message = format!("`{}` must be at least {minimum}, not {number}", self.path);
            self.report("out-of-range", mark, message);
        }
        if let Some(maximum) = schema.maximum.or(high).filter(|m| value > *m) {
            let message = format!("`{}` must be at most {maximum}, not {number}", self.path);
            self.report("out-of-range", mark, message);
        }
        Value::Number(number)
    }

    fn string(&mut self, schema: &Schema, text: &str, mark: ByteSpan) -> Value {
        let value = Value::String(text.to_owned());
        if !schema.enum_.is_empty() && !schema.enum_.contains(&value) {
            let known: Vec<_> = schema.enum_.iter().filter_map(Value::as_str).collect();
            let message = format!("`{}` must be {}, not `{text}`", self.path, one_of(&known));
            let hint = nearest(text, known).map(|k| format!("did you mean `{k}`?"));
            self.report_with_hint("unknown-value", mark, message, hint);
            return value;
        }
        let length = text.chars().count();
        self.bounds(
            length,
            schema.min_length,
            schema.max_length,
            "character",
            mark,
        );
        if let Some(pattern) = &schema.pattern
            && !pattern.regex().is_none_or(|regex| regex.is_match(text))
        {
            let message = format!("`{}` cannot be `{text}`", self.path);
            let hint = format!("it must match the regular expression {}", pattern.text);
            self.report_with_hint("wrong-form", mark, message, Some(hint));
        }
        let (is_form, form) = match schema.format.as_deref() {
            Some("date-time") => (
                reads_as::<Time>(&value),
                "a time such as 2026-01-31T10:20:30Z",
            ),
            Some("byte") => (reads_as::<ByteString>(&value), "written in base64"),
            _ => (true, ""),
        };
        if !is_form {
            let message = format!("`{}` must be {form}", self.path);
            self.report("wrong-form", mark, message);
        }
        value
    }

    fn bounds(
        &mut self,
        found: usize,
        min: Option<usize>,
        max: Option<usize>,
        unit: &str,
        mark: ByteSpan,
    ) {
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        if let Some(min) = min.filter(|min| found < *min) {
            let path = &self.path;
            let message = format!(
                "`{path}` must have at least {min} {unit}{}, not {found}",
                plural(min)
            );
            self.report("out-of-range", mark, message);
        }
        if let Some(max) = max.filter(|max| found > *max) {
            let path = &self.path;
            let message = format!(
                "`{path}` must have at most {max} {unit}{}, not {found}",
                plural(max)
            );
            self.report("out-of-range", mark, message);
        }
    }

    fn list(&mut self, schema: &Schema, items: &[Node], mark: ByteSpan) -> Value {
        self.bounds(
            items.len(),
            schema.min_items,
            schema.max_items,
            "item",
            mark,
        );
        let length = self.path.len();
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            push_index(&mut self.path, index);
            values.push(match &schema.items {
                Some(child) => self.value(child, item, item.mark()),
                None => plain(item),
            });
            self.path.truncate(length);
        }
        self.duplicates(schema, items, &values);
        Value::Array(values)
    }

    /// Items of a set must differ, and those of a map in their keys.
    fn duplicates(&mut self, schema: &Schema, items: &[Node], values: &[Value]) {
        let key = |value: &Value| match schema.list_type {
            Some(ListType::Set) => Some(value.to_string()),
            Some(ListType::Map) => {
                let parts = schema.list_map_keys.iter().map(|k| value[k].to_string());
                Some(parts.collect::<Vec<_>>().join(", "))
            }
            Some(ListType::Atomic) | None => None,
        };
        let mut seen = BTreeSet::new();
        for (index, (item, value)) in items.iter().zip(values).enumerate() {
            let Some(key) = key(value) else { return };
            if !seen.insert(key.clone()) {
                let mut path = self.path.clone();
                push_index(&mut path, index);
                self.violations.push(Violation {
                    severity: Severity::Error,
                    code: "duplicate-item",
                    span: item.mark(),
                    message: format!("`{path}` repeats {key} of an earlier item"),
                    field: path,
                    hint: None,
                });
            }
        }
    }

    fn object(&mut self, schema: &Schema, entries: &[Entry], mark: ByteSpan) -> Value {
        let free_form = schema.properties.is_empty() && schema.additional_properties.is_none();
        let is_root = self.path.is_empty();
        let length = self.path.len();
        let mut object = Map::new();
        for Entry {
            key,
            key_span,
            value: node,
        } in entries
        {
            if node.data == Data::Null && !free_form {
                continue;
            }
            let mark = match node.data {
                Data::Map(_) | Data::List(_) => *key_span,
                _ => node.span,
            };
            push_key(&mut self.path, key);
            let child = match schema.properties.get(key) {
                Some(_) if is_root && key == "metadata" => Some(schema::metadata()),
                Some(child) => Some(child),
                None => schema.additional_properties.as_deref(),
            };
            match child {
                Some(child) => {
                    let value = if is_root && key == "status" {
                        self.status(child, node, mark)
                    } else {
                        Some(self.value(child, node, mark))
                    };
                    object.extend(value.map(|value| (key.clone(), value)));
                }
                None if free_form => {
                    object.insert(key.clone(), plain(node));
                }
                None if self.in_status => {}
                None => self.unknown_field(schema, entries, key, *key_span),
            }
            self.path.truncate(length);
        }
        for (name, child) in &schema.properties {
            if let (false, Some(default)) = (object.contains_key(name), &child.default) {
                object.insert(name.clone(), default_value(child, default));
            }
        }
        for name in &schema.required {
            if !object.contains_key(name) {
                push_key(&mut self.path, name);
                let message = format!("`{}` is missing", self.path);
                self.report("missing-field", mark, message);
                self.path.truncate(length);
            }
        }
        self.bounds(
            object.len(),
            schema.min_properties,
            schema.max_properties,
            "entry",
            mark,
        );
        Value::Object(object)
    }

    fn status(&mut self, schema: &Schema, node: &Node, mark: ByteSpan) -> Option<Value> {
        let before = self.violations.len();
        self.in_status = true;
        let value = self.value(schema, node, mark);
        self.in_status = false;
        let first = self.violations.drain(before..).next();
        let Some(first) = first else {
            return Some(value);
        };
        self.violations.push(Violation {
            severity: Severity::Warning,
            code: "status-ignored",
            message: format!("the status is ignored: {}", first.message),
            ..first
        });
        None
    }

    fn unknown_field(&mut self, schema: &Schema, entries: &[Entry], key: &str, span: ByteSpan) {
        let known = schema.properties.keys().map(String::as_str);
        let absent = known.filter(|name| !entries.iter().any(|e| e.key == *name));
        let hint = nearest(key, absent).map(|name| format!("did you mean `{name}`?"));
        let message = format!("there is no field `{}`", self.path);
        self.report_with_hint("unknown-field", span, message, hint);
    }
}

/// Whether a value is one of a type.
fn reads_as<'v, T: Deserialize<'v>>(value: &'v Value) -> bool {
    T::deserialize(value).is_ok()
}

/// A default, with the defaults of what it leaves out.
fn default_value(schema: &Schema, default: &Value) -> Value {
    match default {
        Value::Object(fields) => {
            let mut object = Map::new();
            for (name, child) in &schema.properties {
                if let Some(value) = fields.get(name).or(child.default.as_ref()) {
                    object.insert(name.clone(), default_value(child, value));
                }
            }
            Value::Object(object)
        }
        Value::Array(items) => items
            .iter()
            .map(|item| match &schema.items {
                Some(child) => default_value(child, item),
                None => item.clone(),
            })
            .collect(),
        other => other.clone(),
    }
}

/// A value that no schema says anything about.
pub(crate) fn plain(node: &Node) -> Value {
    match &node.data {
        Data::Null => Value::Null,
        Data::Bool(b) => Value::Bool(*b),
        Data::Number(n) => Value::Number(n.clone()),
        Data::String(s) => Value::String(s.clone()),
        Data::List(items) => items.iter().map(plain).collect(),
        Data::Map(entries) => entries
            .iter()
            .map(|e| (e.key.clone(), plain(&e.value)))
            .collect(),
    }
}

/// The integer that a number is; `80.0` is one.
fn whole(number: &Number) -> Option<i64> {
    /// Beyond 2^53, not every integer is a floating point number.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let f = number
            .as_f64()
            .filter(|f| f.fract() == 0.0 && f.abs() <= EXACT_MAX)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is whole and within the bounds"
        )]
        Some(f as i64)
    })
}

/// `a`, `a or b`, `one of a, b and c`.
fn one_of(known: &[&str]) -> String {
    let quoted: Vec<_> = known.iter().map(|k| format!("`{k}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} or {two}"),
        [init @ .., last] => format!("one of {} and {last}", init.join(", ")),
    }
}
