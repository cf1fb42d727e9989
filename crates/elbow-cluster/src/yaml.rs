//! YAML and JSON texts as trees with places.
//!
//! In: a text. Out: its documents, each a [`Node`] or the [`Problem`]s that make it unreadable.
//! What always holds: a broken document costs itself and no other, since the text is cut at its `---`
//! lines first; depth and size are bounded, aliases counted in, so no input exhausts the stack or the
//! memory; spans are bytes of the whole text.

use std::collections::BTreeMap;

use elbow_api::ByteSpan;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::node::{Data, Entry, Node};
use crate::scalar;

/// Nested lists and maps, one in another, that a document may have. Kubernetes objects need some 20.
const DEPTH_MAX: usize = 100;

/// Values that a document may have once its aliases are replaced. A `kubectl get -o yaml` of some
/// thousand objects has fewer.
const NODES_MAX: usize = 1_000_000;

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) span: ByteSpan,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// Another place, with what is there.
    pub(crate) related: Option<(&'static str, ByteSpan)>,
}

/// Reads every document of a text.
pub(crate) fn documents(text: &str) -> Vec<Result<Node, Vec<Problem>>> {
    chunks(text)
        .into_iter()
        .flat_map(|chunk| document(text, chunk))
        .collect()
}

/// Cuts a text at the lines that start a document. YAML allows `---` at the start of a line nowhere
/// else, not even in a block of text.
fn chunks(text: &str) -> Vec<ByteSpan> {
    let mut chunks = Vec::new();
    // A byte order mark is no content.
    let mut start = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let mut offset = start;
    for line in text[start..].split_inclusive('\n') {
        let end_of_marker = ["---", "..."].iter().any(|marker| {
            line.strip_prefix(marker)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        });
        if end_of_marker {
            chunks.push(ByteSpan { start, end: offset });
            start = offset + 3;
        }
        offset += line.len();
    }
    chunks.push(ByteSpan {
        start,
        end: text.len(),
    });
    chunks
}

/// Whether a chunk has nothing but comments, directives and space in it.
fn is_blank(chunk: &str) -> bool {
    chunk.lines().all(|line| {
        let line = line.trim_start();
        line.is_empty() || line.starts_with('#') || line.starts_with('%')
    })
}

fn document(text: &str, chunk: ByteSpan) -> Vec<Result<Node, Vec<Problem>>> {
    let content = &text[chunk.start..chunk.end];
    if is_blank(content) {
        return Vec::new();
    }
    // JSON may be indented with tabs, YAML may not. A tab within a string of JSON is written `\t`.
    let json;
    let content = if content.trim_start().starts_with(['{', '[']) && content.contains('\t') {
        json = content.replace('\t', " ");
        json.as_str()
    } else {
        content
    };
    let mut builder = Builder::new(content, chunk.start);
    let mut parser = Parser::new_from_str(content);
    let result = builder.run(&mut parser);
    let Builder {
        mut problems,
        problems_of_root,
        documents,
        ..
    } = builder;
    // All keys of a second object are there twice: that it is one says it better.
    match second_object(&problems_of_root) {
        Some(problem) => problems.push(problem),
        None => problems.extend(problems_of_root.into_iter().map(|(_, problem)| problem)),
    }
    problems.extend(result.err());
    if content.contains("{{") {
        for problem in &mut problems {
            let hint =
                "this looks like a template: render it first, with `helm template` for example";
            problem.hint = Some(hint.to_owned());
        }
    }
    if problems.is_empty() {
        documents.into_iter().map(Ok).collect()
    } else {
        vec![Err(problems)]
    }
}

/// What is wrong if the line between two objects is missing.
fn second_object(duplicates: &[(String, Problem)]) -> Option<Problem> {
    let start = |name| {
        let mut starts = duplicates.iter().filter(|(key, _)| key == name);
        starts.next().map(|(_, problem)| problem.span)
    };
    let span = start("apiVersion")?.min(start("kind")?);
    Some(Problem {
        hint: Some("put a line `---` before it".to_owned()),
        ..problem(
            "duplicate-key",
            span,
            "a second object begins in the same document",
        )
    })
}

/// A list or map that is not yet complete.
struct Frame {
    anchor: usize,
    start: usize,
    /// Values in it, itself included.
    nodes: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        seen: BTreeMap<String, ByteSpan>,
        key: Option<(String, ByteSpan, IsMerge)>,
        merged: Vec<Node>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IsMerge {
    Yes,
    No,
}

struct Builder<'t> {
    content: &'t str,
    base: usize,
    /// Byte offsets of characters, for a text that is not ASCII.
    offsets: Option<Vec<usize>>,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    documents: Vec<Node>,
    problems: Vec<Problem>,
    /// Keys that the document's own map has twice.
    problems_of_root: Vec<(String, Problem)>,
}

impl<'t> Builder<'t> {
    fn new(content: &'t str, base: usize) -> Self {
        let offsets =
            (!content.is_ascii()).then(|| content.char_indices().map(|(i, _)| i).collect());
        Self {
            content,
            base,
            offsets,
            stack: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
            documents: Vec::new(),
            problems: Vec::new(),
            problems_of_root: Vec::new(),
        }
    }

    fn run(&mut self, parser: &mut Parser<'t, StrInput<'t>>) -> Result<(), Problem> {
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            let span = self.bytes(span);
            match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let is_merge = if style == ScalarStyle::Plain && text == "<<" {
                        IsMerge::Yes
                    } else {
                        IsMerge::No
                    };
                    let data = scalar_data(text.into_owned(), style, tag.as_deref());
                    self.value(Node { span, data }, 1, anchor, is_merge)?;
                }
                Event::SequenceStart(anchor, _) => {
                    self.open(anchor, span, Content::List(Vec::new()))?;
                }
                Event::MappingStart(anchor, _) => self.open(
                    anchor,
                    span,
                    Content::Map {
                        entries: Vec::new(),
                        seen: BTreeMap::new(),
                        key: None,
                        merged: Vec::new(),
                    },
                )?,
                Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
                Event::Alias(anchor) => {
                    let (node, nodes) = self.anchors.get(&anchor).cloned().ok_or_else(|| {
                        problem(
                            "yaml-syntax",
                            span,
                            "the alias names nothing that came before",
                        )
                    })?;
                    self.value(node, nodes, 0, IsMerge::No)?;
                }
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_)
                | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, span: ByteSpan, content: Content) -> Result<(), Problem> {
        if self.stack.len() == DEPTH_MAX {
            let message = format!("lists and maps are nested more than {DEPTH_MAX} deep");
            return Err(problem("yaml-too-deep", span, &message));
        }
        self.stack.push(Frame {
            anchor,
            start: span.start,
            nodes: 1,
            content,
        });
        Ok(())
    }

    fn close(&mut self, span: ByteSpan) -> Result<(), Problem> {
        let Some(Frame {
            anchor,
            start,
            nodes,
            content,
        }) = self.stack.pop()
        else {
            return Ok(());
        };
        let data = match content {
            Content::List(items) => Data::List(items),
            Content::Map {
                mut entries,
                mut seen,
                merged,
                ..
            } => {
                // Keys of the map itself win over merged ones, and earlier merges over later ones.
                for node in merged {
                    let Data::Map(others) = node.data else {
                        continue;
                    };
                    for entry in others {
                        if !seen.contains_key(&entry.key) {
                            seen.insert(entry.key.clone(), entry.key_span);
                            entries.push(entry);
                        }
                    }
                }
                Data::Map(entries)
            }
        };
        let span = ByteSpan {
            start,
            end: span.end.max(start),
        };
        self.value(Node { span, data }, nodes, anchor, IsMerge::No)
    }

    /// Puts a complete value where it belongs.
    fn value(
        &mut self,
        node: Node,
        nodes: usize,
        anchor: usize,
        is_merge: IsMerge,
    ) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            let message = format!("the document has more than {NODES_MAX} values");
            return Err(problem("yaml-too-large", node.span, &message));
        }
        if anchor != 0 {
            self.nodes += nodes;
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
        let depth = self.stack.len();
        let Some(frame) = self.stack.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        frame.nodes += nodes;
        match &mut frame.content {
            Content::List(items) => items.push(node),
            Content::Map {
                entries,
                seen,
                key,
                merged,
            } => match key.take() {
                None => {
                    let Some(name) = key_text(&node.data) else {
                        let message =
                            format!("a key must be a word, not {}", node.data.type_name());
                        return Err(problem("yaml-syntax", node.mark(), &message));
                    };
                    *key = Some((name, node.span, is_merge));
                }
                Some((name, span, IsMerge::Yes)) => {
                    let maps = match node.data {
                        Data::Map(_) => vec![node],
                        Data::List(items) => items,
                        _ => Vec::new(),
                    };
                    if maps.is_empty() || !maps.iter().all(|n| matches!(n.data, Data::Map(_))) {
                        let message = format!("`{name}` merges maps, and this is none");
                        return Err(problem("yaml-syntax", span, &message));
                    }
                    merged.extend(maps);
                }
                Some((name, span, IsMerge::No)) => {
                    if let Some(first) = seen.get(&name) {
                        let message = format!("the key `{name}` is given twice in one map");
                        let duplicate = Problem {
                            related: Some(("first given here", *first)),
                            ..problem("duplicate-key", span, &message)
                        };
                        if depth > 1 {
                            self.problems.push(duplicate);
                        } else {
                            self.problems_of_root.push((name, duplicate));
                        }
                    } else {
                        seen.insert(name.clone(), span);
                        entries.push(Entry {
                            key: name,
                            key_span: span,
                            value: node,
                        });
                    }
                }
            },
        }
        Ok(())
    }

    /// Turns positions in characters of the chunk into bytes of the whole text.
    fn bytes(&self, span: Span) -> ByteSpan {
        let start = self.offset(span.start.index());
        let end = self.offset(span.end.index()).max(start);
        // The parser's end of a block lies at the start of what follows it.
        let trimmed = self
            .content
            .get(start..end)
            .map_or(0, |s| s.trim_end().len());
        ByteSpan {
            start: self.base + start,
            end: self.base + start + trimmed,
        }
    }

    fn offset(&self, characters: usize) -> usize {
        match &self.offsets {
            Some(offsets) => offsets
                .get(characters)
                .copied()
                .unwrap_or(self.content.len()),
            None => characters.min(self.content.len()),
        }
    }

    fn syntax(&self, error: &ScanError) -> Problem {
        let start = self.offset(error.marker().index());
        let rest = self.content.get(start..).unwrap_or_default();
        let width = rest.chars().next().map_or(0, char::len_utf8);
        let span = ByteSpan {
            start: self.base + start,
            end: self.base + start + width,
        };
        let mut problem = problem("yaml-syntax", span, error.info());
        if problem.message.contains("tab") || rest.starts_with('\t') {
            problem.hint = Some("indent with spaces, since YAML does not take tabs".to_owned());
        }
        problem
    }
}

fn problem(code: &'static str, span: ByteSpan, message: &str) -> Problem {
    Problem {
        code,
        span,
        message: message.to_owned(),
        hint: None,
        related: None,
    }
}

/// Keys are strings in JSON, and what is not one becomes one.
fn key_text(data: &Data) -> Option<String> {
    match data {
        Data::Null => Some("null".to_owned()),
        Data::Bool(b) => Some(b.to_string()),
        Data::Number(n) => Some(n.to_string()),
        Data::String(s) => Some(s.clone()),
        Data::List(_) | Data::Map(_) => None,
    }
}

fn scalar_data(text: String, style: ScalarStyle, tag: Option<&Tag>) -> Data {
    let core_tag = tag
        .filter(|t| t.is_yaml_core_schema())
        .map(|t| t.suffix.as_str());
    match (style, core_tag) {
        (_, Some("str" | "binary")) => Data::String(text),
        (_, Some(_)) | (ScalarStyle::Plain, None) => scalar::resolve(&text),
        _ => Data::String(text),
    }
}
