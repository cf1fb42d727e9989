//! Statuses as they are to be written, from what an object has and what is wanted.
//!
//! In: an object, the status wanted of it without times, and the time. Out: the status to apply, or
//! nothing if the object has it already. Pure.
//!
//! The status wanted is JSON of the shape that the API has, less `lastTransitionTime` (one that is there
//! is passed over). What is not in it stays as it is.
//!
//! What always holds:
//! - A condition's time changes only with its status.
//! - Conditions of other types, entries of other controllers and fields that nobody here writes stay.
//! - A status that was worked out for an older generation than the object's status speaks of is not
//!   written.
//! - Merging again with the result is `None`.

use std::collections::BTreeSet;

use elbow_api::names::{GATEWAY_GROUP, IP_TARGETS_CONDITION};
use elbow_api::{Kind, Object};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Characters of a message that are written; the schemas take 32768. LBC cuts here as well.
const MESSAGE_CHARS_MAX: usize = 32700;

/// Conditions of a Gateway that are there only while they are true: left out, they go.
const PASSING_CONDITIONS: [&str; 1] = ["InsecureFrontendValidationMode"];

/// Conditions in a route's entry for a parent that a controller writes; others are somebody else's.
const ROUTE_CONDITIONS: [&str; 3] = ["Accepted", "ResolvedRefs", "PartiallyInvalid"];

/// Marks a condition that yields to one that is `True`.
const UNLESS_TRUE: &str = "unlessTrue";

/// The status to apply to a GatewayClass, a Gateway, a ListenerSet, a configuration or a
/// TargetGroupBinding; `None` if the object has it already. `wanted` is the object's `status`:
///
/// - `conditions`: by type. Those left out stay, but for `InsecureFrontendValidationMode`. One with
///   `unlessTrue` is for an object of which that condition is not `True`; where it is, it stays.
/// - `listeners`: by name, with conditions likewise; all of them, so that one that is left out goes away.
/// - `addresses`: as the API has them, or plain host names.
/// - Whatever else there is replaces the field of that name.
///
/// The result is whole in the sense of server-side apply: it also has what elbow applied before and
/// what `wanted` leaves as it is.
pub fn merge_status(current: &Object, wanted: &Value, now: Timestamp) -> Option<Value> {
    let status = status_of(current);
    let Value::Object(wanted) = wanted else {
        return None;
    };
    let kind = current.kind();
    let mut merge = Merge::new(now);
    let mut out = Map::new();
    for (field, value) in wanted {
        let current = status.get(field);
        let merged = match (field.as_str(), value) {
            ("conditions", Value::Array(conditions)) => {
                let mut merged = merge.conditions(array(current), conditions);
                let is_kept = |c: &&Value| {
                    owned_conditions(kind).contains(&type_of(c)) && find(conditions, c).is_none()
                };
                merged.extend(array(current).iter().filter(is_kept).cloned());
                let has_passed = |c: &Value| {
                    kind == Kind::Gateway
                        && PASSING_CONDITIONS.contains(&type_of(c))
                        && find(conditions, c).is_none()
                };
                merge.note(array(current).iter().any(has_passed));
                Value::Array(merged)
            }
            ("listeners", Value::Array(listeners)) => {
                Value::Array(merge.listeners(array(current), listeners))
            }
            ("addresses", Value::Array(addresses)) => {
                let merged = Value::Array(addresses.iter().map(address).collect());
                merge.note(current != Some(&merged));
                merged
            }
            _ => {
                merge.note(current != Some(value));
                value.clone()
            }
        };
        out.insert(field.clone(), merged);
    }
    if !merge.is_to_write() {
        return None;
    }
    for field in owned_fields(kind) {
        if let (false, Some(value)) = (out.contains_key(*field), status.get(*field)) {
            let kept = match *field {
                "conditions" => array(Some(value))
                    .iter()
                    .filter(|c| owned_conditions(kind).contains(&type_of(c)))
                    .cloned()
                    .collect(),
                _ => value.clone(),
            };
            out.insert((*field).to_owned(), kept);
        }
    }
    Some(Value::Object(out))
}

/// The status to apply to a route, with all of its `parents`; `None` if the route has it already.
///
/// `wanted` are all entries of the controller, for every Gateway of its. Entries of other controllers
/// stay word for word and in their places, and those of the controller that are not wanted go. The list
/// is one value to the API server, so the write must name the resource version of `current`.
pub fn merge_parents(
    current: &Object,
    controller: &str,
    wanted: &[Value],
    now: Timestamp,
) -> Option<Value> {
    let status = status_of(current);
    let entries = array(status.get("parents"));
    let namespace = current.metadata().namespace.as_deref().unwrap_or_default();
    let key = |entry: &Value| parent_key(&entry["parentRef"], namespace);
    let mut merge = Merge::new(now);
    let mut placed = BTreeSet::new();
    let mut parents = Vec::new();
    for entry in entries {
        if entry["controllerName"] != controller {
            parents.push(entry.clone());
            continue;
        }
        let key = key(entry);
        match wanted
            .iter()
            .find(|w| parent_key(&w["parentRef"], namespace) == key)
        {
            Some(wanted) if placed.insert(key) => {
                parents.push(merge.parent(Some(entry), wanted, controller));
            }
            _ => merge.note(true),
        }
    }
    for wanted in wanted {
        if placed.insert(key(wanted)) {
            parents.push(merge.parent(None, wanted, controller));
        }
    }
    merge.is_to_write().then(|| json!({ "parents": parents }))
}

/// Where in an object's status those listeners are that are not in the status applied to it.
pub(super) fn stale_listeners(object: &Object, applied: &Value) -> Vec<usize> {
    let Some(Value::Array(applied)) = applied.get("listeners") else {
        return Vec::new();
    };
    let status = status_of(object);
    let is_stale = |listener: &Value| !applied.iter().any(|a| a["name"] == listener["name"]);
    let listeners = array(status.get("listeners")).iter().enumerate();
    listeners
        .filter(|(_, listener)| is_stale(listener))
        .map(|(place, _)| place)
        .collect()
}

/// A merge under way.
struct Merge {
    now: String,
    /// Something differs.
    differs: bool,
    /// What the object has was worked out from a later generation.
    outdated: bool,
}

impl Merge {
    fn new(now: Timestamp) -> Self {
        Self {
            // Times of the API have whole seconds.
            now: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            differs: false,
            outdated: false,
        }
    }

    fn note(&mut self, differs: bool) {
        self.differs |= differs;
    }

    fn is_to_write(&self) -> bool {
        self.differs && !self.outdated
    }

    /// The conditions wanted, with their times.
    fn conditions(&mut self, current: &[Value], wanted: &[Value]) -> Vec<Value> {
        wanted
            .iter()
            .map(|wanted| {
                let before = find(current, wanted);
                let mut merged = wanted.clone();
                let yields = merged
                    .as_object_mut()
                    .and_then(|fields| fields.remove(UNLESS_TRUE));
                if let (Some(Value::Bool(true)), Some(before)) = (yields, before)
                    && before["status"] == "True"
                {
                    return before.clone();
                }
                if let Some(message) = wanted["message"].as_str() {
                    merged["message"] = json!(cut(message));
                }
                let time = before
                    .filter(|before| before["status"] == wanted["status"])
                    .and_then(|before| before["lastTransitionTime"].as_str());
                merged["lastTransitionTime"] = json!(time.unwrap_or(&self.now));
                let generation = |c: &Value| c["observedGeneration"].as_i64().unwrap_or_default();
                self.outdated |= before.is_some_and(|b| generation(b) > generation(wanted));
                self.note(before != Some(&merged));
                merged
            })
            .collect()
    }

    /// The listeners wanted, with the times of their conditions.
    fn listeners(&mut self, current: &[Value], wanted: &[Value]) -> Vec<Value> {
        let named = |list: &'_ [Value], name: &Value| list.iter().position(|l| l["name"] == *name);
        self.note(current.iter().any(|l| named(wanted, &l["name"]).is_none()));
        wanted
            .iter()
            .map(|wanted| {
                let before = named(current, &wanted["name"]).and_then(|i| current.get(i));
                let mut merged = wanted.clone();
                if let Some(Value::Array(conditions)) = wanted.get("conditions") {
                    let of_before = array(before.and_then(|b| b.get("conditions")));
                    merged["conditions"] = Value::Array(self.conditions(of_before, conditions));
                }
                let fields = wanted.as_object().into_iter().flatten();
                let differs = fields.into_iter().any(|(field, value)| {
                    field != "conditions" && before.and_then(|b| b.get(field)) != Some(value)
                });
                self.note(differs);
                merged
            })
            .collect()
    }

    /// The entry of a route for a parent.
    fn parent(&mut self, before: Option<&Value>, wanted: &Value, controller: &str) -> Value {
        let conditions = array(wanted.get("conditions"));
        let of_before = array(before.and_then(|b| b.get("conditions")));
        let mut merged = self.conditions(of_before, conditions);
        for condition in of_before.iter().filter(|c| find(conditions, c).is_none()) {
            if ROUTE_CONDITIONS.contains(&type_of(condition)) {
                self.note(true);
            } else {
                merged.push(condition.clone());
            }
        }
        // The reference as it stands already, if it says the same in other words.
        let reference = before.map_or(&wanted["parentRef"], |b| &b["parentRef"]);
        self.note(before.is_none());
        json!({
            "parentRef": reference,
            "controllerName": controller,
            "conditions": merged,
        })
    }
}

/// Fields of a status that elbow writes, sometimes one without the other.
fn owned_fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::GatewayClass => &["conditions", "supportedFeatures"],
        Kind::Gateway => &[
            "addresses",
            "attachedListenerSets",
            "conditions",
            "listeners",
        ],
        Kind::ListenerSet => &["conditions", "listeners"],
        Kind::TargetGroupBinding => &["conditions", "observedGeneration"],
        Kind::ListenerRuleConfiguration => &["accepted", "message", "observedGeneration"],
        Kind::LoadBalancerConfiguration | Kind::TargetGroupConfiguration => &[
            "observedGatewayClassConfigurationGeneration",
            "observedGatewayConfigurationGeneration",
        ],
        _ => &[],
    }
}

/// Conditions of an object as a whole that elbow writes, sometimes one without the other.
fn owned_conditions(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::GatewayClass => &["Accepted", "SupportedVersion"],
        Kind::Gateway => &["Accepted", "Programmed", "ResolvedRefs"],
        Kind::ListenerSet => &["Accepted", "Programmed"],
        Kind::TargetGroupBinding => &["Ready", IP_TARGETS_CONDITION],
        _ => &[],
    }
}

/// A parentRef with its defaults spelled out.
fn parent_key(reference: &Value, namespace: &str) -> Vec<String> {
    let text = |field: &str, default: &str| match &reference[field] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => default.to_owned(),
    };
    vec![
        text("group", GATEWAY_GROUP),
        text("kind", "Gateway"),
        text("namespace", namespace),
        text("name", ""),
        text("sectionName", ""),
        text("port", ""),
    ]
}

/// An address as the API has it.
fn address(address: &Value) -> Value {
    match address {
        Value::String(host) => json!({ "type": "Hostname", "value": host }),
        address => address.clone(),
    }
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

fn type_of(condition: &Value) -> &str {
    condition["type"].as_str().unwrap_or_default()
}

/// The condition of the same type.
fn find<'v>(conditions: &'v [Value], like: &Value) -> Option<&'v Value> {
    conditions.iter().find(|c| c["type"] == like["type"])
}

fn array(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The status of an object, as JSON.
fn status_of(object: &Object) -> Value {
    macro_rules! status {
        ($($kind:ident),* $(,)?) => {
            match object {
                $( Object::$kind(object) => serde_json::to_value(&object.status), )*
                _ => Ok(Value::Null),
            }
        };
    }
    status!(
        GatewayClass,
        Gateway,
        ListenerSet,
        HttpRoute,
        GrpcRoute,
        TlsRoute,
        TcpRoute,
        UdpRoute,
        LoadBalancerConfiguration,
        TargetGroupConfiguration,
        ListenerRuleConfiguration,
        TargetGroupBinding,
    )
    .unwrap_or_default()
}

#[cfg(test)]
mod tests;
