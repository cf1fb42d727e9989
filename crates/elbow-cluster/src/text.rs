//! Texts that manifests are read from, and places in them.
//!
//! In: the text of a file or of standard input. Out: [`Text`], which turns byte offsets into lines and
//! columns. Holds: a span that lies in the text, at character boundaries, has a location.

use std::sync::Arc;

use elbow_api::{ByteSpan, SourceLocation};

/// A named text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    name: String,
    content: Arc<str>,
    /// Byte offset of the start of each line.
    lines: Vec<usize>,
}

impl Text {
    pub(crate) fn new(name: String, text: &str) -> Self {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(i, _)| i + 1))
            .collect();
        Self {
            name,
            content: text.into(),
            lines,
        }
    }

    /// The path of the file as the user gave it, or `<stdin>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.content
    }

    /// The line and column of a span.
    pub fn locate(&self, span: ByteSpan) -> SourceLocation {
        let start = span.start.min(self.content.len());
        let line = self.lines.partition_point(|&l| l <= start).max(1);
        let line_start = self.lines.get(line - 1).copied().unwrap_or_default();
        let before = self.content.get(line_start..start).unwrap_or_default();
        SourceLocation {
            source: self.name.clone(),
            line,
            column: before.chars().count() + 1,
            span: ByteSpan {
                start,
                end: span.end.clamp(start, self.content.len()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let text = Text::new("a.yaml".to_owned(), "ä: 1\r\nb: ö2\n");
        let at = |start, end| {
            let location = text.locate(ByteSpan { start, end });
            (location.line, location.column)
        };
        assert_eq!(at(0, 1), (1, 1));
        assert_eq!(at(4, 5), (1, 4));
        assert_eq!(at(7, 8), (2, 1));
        assert_eq!(at(12, 13), (2, 5));
        assert_eq!(at(14, 14), (3, 1));
        assert_eq!(at(900, 901), (3, 1));
    }
}
