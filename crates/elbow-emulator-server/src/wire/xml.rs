//! Prints the responses of Query and EC2 Query by shape.

use elbow_emulator::shape::Shape;
use elbow_emulator::{Operation, Service, Timestamp};
use quick_xml::escape::escape;
use serde_json::Value;

/// `<OpResponse><OpResult>…</OpResult><ResponseMetadata>…`
pub(crate) fn query_response(operation: &Operation, value: &Value, request_id: &str) -> String {
    let name = operation.name;
    let namespace = match operation.service {
        Service::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
    };
    let mut out = format!("<{name}Response xmlns=\"{namespace}\"><{name}Result>");
    members(operation.output, value, &mut out);
    let end = format!(
        "</{name}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
         </{name}Response>"
    );
    out.push_str(&end);
    out
}

/// `<OpResponse><requestId>…</requestId>…`
pub(crate) fn ec2_response(operation: &Operation, value: &Value, request_id: &str) -> String {
    let name = operation.name;
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{name}Response \
         xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>{request_id}</requestId>"
    );
    let before = out.len();
    members(operation.output, value, &mut out);
    if out.len() == before {
        // Operations without output say that they succeeded.
        out.push_str("<return>true</return>");
    }
    out.push_str("</");
    out.push_str(name);
    out.push_str("Response>");
    out
}

fn members(shape: &Shape, value: &Value, out: &mut String) {
    let Shape::Structure(members) = shape else {
        return;
    };
    for member in *members {
        if let Some(value) = value.get(member.name).filter(|value| !value.is_null()) {
            element(member.response, member.shape, value, out);
        }
    }
}

fn element(name: &str, shape: &Shape, value: &Value, out: &mut String) {
    open(name, out);
    match (shape, value) {
        (Shape::Structure(_), value) => members(shape, value, out),
        (
            Shape::List {
                item, item_name, ..
            },
            Value::Array(items),
        ) => {
            for value in items {
                element(item_name, item, value, out);
            }
        }
        (Shape::Map { value: of }, Value::Object(entries)) => {
            for (key, value) in entries {
                open("entry", out);
                open("key", out);
                out.push_str(&escape(key.as_str()));
                close("key", out);
                element("value", of, value, out);
                close("entry", out);
            }
        }
        (Shape::Timestamp, Value::Number(millis)) => {
            let time = Timestamp::from_millis(millis.as_u64().unwrap_or_default());
            out.push_str(&time.to_string());
        }
        (_, Value::String(text)) => out.push_str(&escape(text.as_str())),
        (_, other) => out.push_str(&escape(other.to_string())),
    }
    close(name, out);
}

fn open(name: &str, out: &mut String) {
    out.push('<');
    out.push_str(name);
    out.push('>');
}

fn close(name: &str, out: &mut String) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}
