//! Findings for people: each with its place in the manifests and what to do.
//!
//! In: [`Diagnostic`]s and the texts they point into. Out: text, in colour if asked for. JSON is
//! `Diagnostic`'s own serialisation.

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};
use elbow_api::{Diagnostic, Severity, SourceLocation};
use miette::{
    GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, ThemeCharacters,
    ThemeStyles,
};

/// The text of a manifest by the name it was loaded under.
pub(crate) trait Sources {
    /// The text, if there is one of that name.
    fn text(&self, name: &str) -> Option<&str>;
}

/// Columns of a report when the terminal's width is not known.
const DEFAULT_WIDTH: usize = 100;

/// Renders findings one after another, each followed by an empty line.
pub(crate) fn render(diagnostics: &[Diagnostic], sources: &dyn Sources, color: bool) -> String {
    let theme = GraphicalTheme {
        characters: ThemeCharacters::unicode(),
        styles: if color {
            ThemeStyles::ansi()
        } else {
            ThemeStyles::none()
        },
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(DEFAULT_WIDTH)
        // A terminal wraps by itself, and a path that is broken in two can be neither found nor copied.
        .with_wrap_lines(false)
        .with_context_lines(1);
    let mut text = String::new();
    for diagnostic in diagnostics {
        let report = Report::new(diagnostic, sources);
        // Writing to a String cannot fail, and a report that cannot be drawn is still worth its
        // message.
        if handler.render_report(&mut text, &report).is_err() {
            text.push_str(&report.to_string());
        }
        text.push('\n');
    }
    text
}

/// Renders findings for somebody who wants to see something else: a note is a line, and only what may be
/// a mistake is shown with its place. `lint` shows all.
pub(crate) fn render_brief(
    diagnostics: &[Diagnostic],
    sources: &dyn Sources,
    color: bool,
) -> String {
    let (notes, rest): (Vec<Diagnostic>, Vec<Diagnostic>) = diagnostics
        .iter()
        .cloned()
        .partition(|d| d.severity == Severity::Note);
    let style = if color {
        AnsiColor::Cyan.on_default()
    } else {
        Style::new()
    };
    let mut text = String::new();
    for note in &notes {
        let _infallible = write!(text, "{style}note:{style:#} ");
        if let Some(object) = &note.object {
            let _infallible = write!(text, "{object}: ");
        }
        text.push_str(&note.message);
        if let Some(location) = &note.location {
            let _infallible = write!(text, " ({location})");
        }
        text.push('\n');
    }
    if !notes.is_empty() {
        text.push('\n');
    }
    text + &render(&rest, sources, color)
}

/// One line that counts findings: `2 errors, 1 warning`.
pub(crate) fn count(diagnostics: &[Diagnostic]) -> String {
    let of = |severity| {
        diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count()
    };
    let parts: Vec<String> = [
        (of(Severity::Error), "error"),
        (of(Severity::Warning), "warning"),
        (of(Severity::Note), "note"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, word)| format!("{n} {word}{}", if n == 1 { "" } else { "s" }))
    .collect();
    if parts.is_empty() {
        "no findings".to_owned()
    } else {
        parts.join(", ")
    }
}

/// A finding in the form that miette draws.
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
    /// Places in other files, and places whose text is not at hand, as text.
    elsewhere: Vec<String>,
}

impl<'a> Report<'a> {
    fn new(diagnostic: &'a Diagnostic, sources: &dyn Sources) -> Self {
        let mut report = Self {
            diagnostic,
            source: None,
            labels: Vec::new(),
            elsewhere: Vec::new(),
        };
        let main = diagnostic.location.as_ref();
        if let Some(location) = main {
            match sources.text(&location.source) {
                Some(text) => {
                    report.source = Some(
                        NamedSource::new(&location.source, text.to_owned()).with_language("yaml"),
                    );
                    report.label(
                        location,
                        diagnostic.field.as_deref().map(str::to_owned),
                        text,
                    );
                }
                None => report.elsewhere.push(location.to_string()),
            }
        }
        for related in &diagnostic.related {
            let here = main.is_some_and(|m| m.source == related.location.source);
            match sources.text(&related.location.source) {
                Some(text) if here => {
                    report.label(&related.location, Some(related.label.clone()), text);
                }
                _ => report
                    .elsewhere
                    .push(format!("{}: {}", related.label, related.location)),
            }
        }
        report
    }

    fn label(&mut self, location: &SourceLocation, label: Option<String>, text: &str) {
        let start = location.span.start.min(text.len());
        let end = location.span.end.clamp(start, text.len());
        // A label over many lines hides what it points at: its first line is enough.
        let line_end = text[start..end].find('\n').map_or(end, |n| start + n);
        self.labels
            .push(LabeledSpan::new(label, start, line_end - start));
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object) = &self.diagnostic.object {
            write!(f, "{object}: ")?;
        }
        f.write_str(&self.diagnostic.message)?;
        if self.source.is_none()
            && let (Some(_), Some(field)) = (&self.diagnostic.object, &self.diagnostic.field)
        {
            write!(f, " (at {field})")?;
        }
        for place in &self.elsewhere {
            write!(f, " ({place})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.diagnostic
            .hint
            .as_ref()
            .map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use elbow_api::{ByteSpan, Kind, ObjectRef};

    use super::*;

    struct One;

    impl Sources for One {
        fn text(&self, name: &str) -> Option<&str> {
            (name == "a.yaml").then_some("kind: HTTPRoute\nspec:\n  rulez: []\n")
        }
    }

    fn finding() -> Diagnostic {
        Diagnostic::error("unknown-field", "unknown field `rulez`")
            .on(ObjectRef::new(Kind::HttpRoute, "shop", "web"))
            .at("spec.rulez")
            .hint("did you mean `rules`?")
    }

    #[test]
    fn a_finding_shows_its_line() {
        let location = SourceLocation {
            source: "a.yaml".to_owned(),
            line: 3,
            column: 3,
            span: ByteSpan { start: 24, end: 29 },
        };
        let text = render(&[finding().located(location)], &One, false);
        for part in [
            "unknown-field",
            "a.yaml:3:3",
            "rulez: []",
            "did you mean `rules`?",
        ] {
            assert!(text.contains(part), "{part} is missing from:\n{text}");
        }
    }

    #[test]
    fn a_finding_without_a_place_names_its_field() {
        let text = render(&[finding()], &One, false);
        assert!(
            text.contains("HTTPRoute shop/web: unknown field `rulez` (at spec.rulez)"),
            "{text}"
        );
    }

    #[test]
    fn a_note_is_one_line_in_brief() {
        let note = Diagnostic::note("deprecated-version", "v1beta1 is deprecated");
        let text = render_brief(&[note, finding()], &One, false);
        assert!(
            text.starts_with("note: v1beta1 is deprecated\n\n"),
            "{text}"
        );
        assert!(text.contains("did you mean `rules`?"), "{text}");
    }

    #[test]
    fn counts_are_in_words() {
        assert_eq!(count(&[]), "no findings");
        assert_eq!(count(&[finding(), finding()]), "2 errors");
        assert_eq!(
            count(&[finding(), Diagnostic::warning("x", "y")]),
            "1 error, 1 warning"
        );
    }
}
