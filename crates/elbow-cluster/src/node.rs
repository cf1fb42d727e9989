//! A YAML document with the place of every part of it.
//!
//! In: what the parser found. Out: [`Node`], a tree of JSON's kinds of value in which each value and each
//! key knows its bytes, and [`Node::find`], which follows a field path as diagnostics write it.
//! Holds: the tree is no deeper than the parser allows, so recursion over it is bounded.

use elbow_api::ByteSpan;
use serde_json::Number;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: ByteSpan,
    pub(crate) data: Data,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map, where it stands, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: ByteSpan,
    pub(crate) value: Node,
}

impl Data {
    /// The kind of value, for messages.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Node {
    /// The entry of a map.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|e| e.key == key),
            _ => None,
        }
    }

    /// The value of an entry of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|e| &e.value)
    }

    /// The string that an entry of a map holds.
    pub(crate) fn string(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.data {
            Data::String(s) => Some(s),
            _ => None,
        }
    }

    /// What to underline for this value: itself if it is one line, or else where it begins.
    pub(crate) fn mark(&self) -> ByteSpan {
        match &self.data {
            Data::Map(entries) => entries.first().map_or(self.span, |e| e.key_span),
            Data::List(items) => items.first().map_or(self.span, Self::mark),
            _ => self.span,
        }
    }

    /// What to underline for the field at a path, or for the innermost part of it that is written down.
    pub(crate) fn find(&self, path: &str) -> ByteSpan {
        let mut node = self;
        let mut mark = self.mark();
        let mut rest = path;
        while let Some((next, found, tail)) = node.step(rest) {
            (node, mark, rest) = (next, found, tail);
        }
        mark
    }

    /// Follows the first segment of a path: `name`, `[3]` or `[name.with.dots]`.
    fn step<'n, 'p>(&'n self, path: &'p str) -> Option<(&'n Self, ByteSpan, &'p str)> {
        if path.is_empty() {
            return None;
        }
        let (segment, rest) = match path.strip_prefix('[') {
            Some(inner) => inner.split_once(']')?,
            None => path.split_at(path.find(['.', '[']).unwrap_or(path.len())),
        };
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        match &self.data {
            Data::List(items) => {
                let item = items.get(segment.parse::<usize>().ok()?)?;
                Some((item, item.mark(), rest))
            }
            Data::Map(_) => {
                let entry = self.entry(segment)?;
                let mark = match entry.value.data {
                    Data::Map(_) | Data::List(_) => entry.key_span,
                    _ => entry.value.span,
                };
                Some((&entry.value, mark, rest))
            }
            _ => None,
        }
    }
}

/// Appends a key to a field path.
pub(crate) fn push_key(path: &mut String, key: &str) {
    let plain = key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if !plain || key.is_empty() {
        path.push('[');
        path.push_str(key);
        path.push(']');
    } else {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    }
}

/// Appends an index to a field path.
pub(crate) fn push_index(path: &mut String, index: usize) {
    path.push('[');
    path.push_str(&index.to_string());
    path.push(']');
}
