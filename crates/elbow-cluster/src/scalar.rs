//! What an unquoted word of YAML means.
//!
//! In: the text of a plain scalar. Out: its value. `kubectl` reads manifests with the rules of YAML 1.1,
//! so `off` is a boolean and `010` is eight, and a manifest has to mean the same here. See the resolver
//! of <https://github.com/yaml/go-yaml>, version 2.

use serde_json::Number;

use crate::node::Data;

/// Resolves a plain scalar.
pub(crate) fn resolve(text: &str) -> Data {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "y" | "Y" | "on" | "On" | "ON" => {
            Data::Bool(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "n" | "N" | "off" | "Off" | "OFF" => {
            Data::Bool(false)
        }
        _ => number(text).map_or_else(|| Data::String(text.to_owned()), Data::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| float(&plain))
}

/// An integer with an optional sign and one of the prefixes `0x`, `0o`, `0b` and `0` (octal).
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None; // A second sign, which from_str_radix would take.
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        0_i64.checked_sub_unsigned(magnitude).map(Number::from)
    } else {
        Some(Number::from(magnitude))
    }
}

/// A decimal fraction. Infinities and NaN, which JSON does not have, stay text.
fn float(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let known = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.chars().all(known) {
        return None;
    }
    text.parse().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_kubectl_takes_them_for() {
        let int = |n: i64| Data::Number(n.into());
        let float = |f: f64| Number::from_f64(f).map_or(Data::Null, Data::Number);
        let string = |s: &str| Data::String(s.to_owned());
        let rows = [
            ("", Data::Null),
            ("~", Data::Null),
            ("true", Data::Bool(true)),
            ("on", Data::Bool(true)),
            ("off", Data::Bool(false)),
            ("No", Data::Bool(false)),
            ("oN", string("oN")),
            ("80", int(80)),
            ("-1", int(-1)),
            ("+5", int(5)),
            ("1_000", int(1000)),
            ("010", int(8)),
            ("0x1F", int(31)),
            ("0b11", int(3)),
            ("0", int(0)),
            ("08", float(8.0)),
            ("1.5", float(1.5)),
            (".5", float(0.5)),
            ("1e3", float(1000.0)),
            ("99999999999999999999", float(1e20)),
            ("18446744073709551615", Data::Number(u64::MAX.into())),
            ("-9223372036854775808", int(i64::MIN)),
            (".inf", string(".inf")),
            ("--1", string("--1")),
            ("0x-1", string("0x-1")),
            ("1.2.3", string("1.2.3")),
            ("-", string("-")),
            ("10s", string("10s")),
            ("2026-11-22T10:20:57Z", string("2026-11-22T10:20:57Z")),
            ("10.0.0.0/8", string("10.0.0.0/8")),
            ("1e999", string("1e999")),
        ];
        for (text, expected) in rows {
            assert_eq!(resolve(text), expected, "{text:?}");
        }
    }
}
