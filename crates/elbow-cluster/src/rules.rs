//! The rules of a schema that are written in the Common Expression Language (CEL).
//!
//! In: a rule and the value it is about, defaults filled in. Out: whether the value breaks the rule.
//! A rule about the change of an object (one with `oldSelf`) does not apply to an object in a file. A
//! rule that cannot be evaluated passes: it is better to let the cluster refuse an object than to
//! refuse one that the cluster takes. A test holds that every rule in use compiles.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use cel::objects::{Key, Map};
use cel::{Context, Env, Program, Value as CelValue, extensions};
use serde::Deserialize;
use serde_json::Value;

/// A rule and what to say when it is broken.
#[derive(Debug, Deserialize)]
pub(crate) struct Rule {
    #[serde(rename = "rule")]
    pub(crate) expression: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(skip)]
    program: Compiled,
}

/// The rule, compiled when it is first used; none if it does not compile.
#[derive(Default)]
struct Compiled(OnceLock<Option<Program>>);

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compiled")
    }
}

/// What a rule says about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Holds,
    Broken,
    /// The rule does not apply, or this engine cannot tell.
    Unknown,
}

/// The rules that a value breaks.
pub(crate) fn broken<'r>(rules: &'r [Rule], value: &Value) -> Vec<&'r Rule> {
    if rules.is_empty() {
        return Vec::new();
    }
    let context = context(value);
    rules
        .iter()
        .filter(|rule| rule.judge(&context) == Verdict::Broken)
        .collect()
}

/// What a rule can see: the value as `self`, and the functions that Kubernetes adds to CEL's own.
fn context(value: &Value) -> Context<'static, 'static> {
    let mut context = Context::with_env(environment());
    context.add_variable_from_value("self", to_cel(value));
    // Where CEL's own library has the function after all, adding fails and that one is used.
    drop(context.add_function("duration", |text: Arc<String>| duration(&text)));
    drop(context.add_function("isIP", |text: Arc<String>| is_ip(&text)));
    context
}

impl Rule {
    fn judge(&self, context: &Context<'_, '_>) -> Verdict {
        if self.expression.contains("oldSelf") {
            return Verdict::Unknown;
        }
        let Some(program) = self.program() else {
            return Verdict::Unknown;
        };
        match program.execute(context) {
            Ok(CelValue::Bool(true)) => Verdict::Holds,
            Ok(CelValue::Bool(false)) => Verdict::Broken,
            _ => Verdict::Unknown,
        }
    }

    fn program(&self) -> Option<&Program> {
        self.program
            .0
            .get_or_init(|| environment().compile(&self.expression).ok())
            .as_ref()
    }

    #[cfg(test)]
    pub(crate) fn compiles(&self) -> bool {
        self.program().is_some()
    }
}

fn environment() -> Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    let environment = ENVIRONMENT.get_or_init(|| {
        let mut environment = Env::stdlib();
        // It only fails for a function that is declared already, which then serves as well.
        drop(environment.add_extension(extensions::strings));
        Arc::new(environment)
    });
    Arc::clone(environment)
}

/// Whether a string is an IP address.
fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// A Gateway API duration such as `1h30m` in milliseconds: the rules only compare durations.
fn duration(text: &str) -> i64 {
    let mut total = 0_i64;
    let mut rest = text;
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()) {
        let number: i64 = rest[..end].parse().unwrap_or_default();
        let unit_end = rest[end..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |i| end + i);
        let milliseconds = match &rest[end..unit_end] {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            _ => 1,
        };
        total = total.saturating_add(number.saturating_mul(milliseconds));
        rest = &rest[unit_end..];
    }
    total
}

/// Turns a JSON value into one of CEL, with the names that Kubernetes gives to fields that are words of
/// CEL. See <https://kubernetes.io/docs/reference/using-api/cel/#escaping>.
fn to_cel(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(b) => CelValue::Bool(*b),
        Value::Number(n) => n.as_i64().map_or_else(
            || CelValue::Float(n.as_f64().unwrap_or_default()),
            CelValue::Int,
        ),
        Value::String(s) => CelValue::String(Arc::new(s.clone())),
        Value::Array(items) => CelValue::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let map: HashMap<_, _> = fields
                .iter()
                .map(|(name, value)| (Key::String(Arc::new(escape(name))), to_cel(value)))
                .collect();
            CelValue::Map(Map { map: Arc::new(map) })
        }
    }
}

fn escape(name: &str) -> String {
    const RESERVED: [&str; 17] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
    ];
    if RESERVED.contains(&name) {
        format!("__{name}__")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_of_the_gateway_api_are_understood() {
        let rows = [
            (
                "self.type in ['Exact','PathPrefix'] ? self.value.startsWith('/') : true",
                json!({"type": "Exact", "value": "x"}),
                Verdict::Broken,
            ),
            (
                r#"self.all(key, key.split("/")[0].size() < 253)"#,
                json!({"a/b": "c"}),
                Verdict::Holds,
            ),
            (
                "self.all(h, !isIP(h))",
                json!(["10.0.0.1"]),
                Verdict::Broken,
            ),
            (
                "self.all(h, !isIP(h))",
                json!(["a.example"]),
                Verdict::Holds,
            ),
            (
                "duration(self.a) > duration(self.b)",
                json!({"a": "1m", "b": "90s"}),
                Verdict::Broken,
            ),
            (
                "duration(self.a) > duration(self.b)",
                json!({"a": "1h1ms", "b": "1h"}),
                Verdict::Holds,
            ),
            (
                "has(self.__namespace__)",
                json!({"namespace": "a"}),
                Verdict::Holds,
            ),
            (
                "!('*' in self && self.size() > 1)",
                json!(["*", "a"]),
                Verdict::Broken,
            ),
            (
                r#"self.matches(r"""^(?i)\.?[a-z_][a-z_0-9]*$""")"#,
                json!("Foo"),
                Verdict::Holds,
            ),
            (
                "self.substring(2).matches('^[a-z]+(\\\\.[a-z]+)*$')",
                json!("*.a.b"),
                Verdict::Holds,
            ),
            ("self == oldSelf", json!("a"), Verdict::Unknown),
            ("self.missing == 1", json!({}), Verdict::Unknown),
            ("((", json!({}), Verdict::Unknown),
        ];
        for (text, value, expected) in rows {
            let rule = Rule {
                expression: text.to_owned(),
                message: String::new(),
                program: Compiled::default(),
            };
            assert_eq!(rule.judge(&context(&value)), expected, "{text} on {value}");
        }
    }
}
