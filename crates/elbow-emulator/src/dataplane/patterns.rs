//! The two pattern languages of listener rules: wildcards and regular expressions.
//!
//! In: a pattern as the control plane stored it, and the text of a request. Out: whether it
//! matches, and for a regular expression the text with the first match replaced. Always: a wildcard
//! pattern matches the whole text, a regular expression any part of it; matching is linear in the
//! text for a regular expression and never recursive for either.
//!
//! Source: "Listener rules for your Application Load Balancer", sections on wildcards and regex
//! matching.

use regex::bytes::{Regex, RegexBuilder};

/// Whether letters of both cases are the same letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `A` and `a` differ: paths, methods.
    Sensitive,
    /// `A` and `a` are equal: hosts, header values, query strings.
    Insensitive,
}

/// Whether a backslash takes the special meaning from a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    /// A backslash is a backslash: every field but the query string.
    Literal,
    /// `\*`, `\?` and `\\` stand for the second character: query strings.
    Backslash,
}

/// A wildcard pattern: `*` is any run of characters, the empty one included, `?` is exactly one.
/// Both cross `/` and `.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
    case: Case,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    AnyByte,
    AnyRun,
}

impl Glob {
    /// Reads a pattern. Every text is a pattern, so this cannot fail.
    pub fn new(pattern: &str, case: Case, escapes: Escapes) -> Self {
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut bytes = pattern.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let token = match byte {
                b'*' => Token::AnyRun,
                b'?' => Token::AnyByte,
                b'\\' if escapes == Escapes::Backslash => {
                    match bytes.next_if(|next| matches!(next, b'*' | b'?' | b'\\')) {
                        Some(escaped) => Token::Byte(escaped),
                        None => Token::Byte(b'\\'),
                    }
                }
                byte => Token::Byte(case.fold(byte)),
            };
            // Two runs in a row are one; dropping the second keeps the matcher's work bounded.
            if !(token == Token::AnyRun && tokens.last() == Some(&Token::AnyRun)) {
                tokens.push(token);
            }
        }
        Self { tokens, case }
    }

    /// Whether the whole text matches. Text with a byte outside visible ASCII (0x20 to 0x7e) never
    /// does.
    pub fn matches(&self, text: &str) -> bool {
        if !is_visible_ascii(text) {
            return false;
        }
        let text = text.as_bytes();
        let (mut at_token, mut at_byte) = (0, 0);
        // Where to go on when what follows the last run fails: the run then takes one byte more.
        let mut resume: Option<(usize, usize)> = None;
        while at_byte < text.len() {
            match self.tokens.get(at_token) {
                Some(Token::AnyRun) => {
                    resume = Some((at_token + 1, at_byte));
                    at_token += 1;
                }
                Some(Token::AnyByte) => {
                    at_token += 1;
                    at_byte += 1;
                }
                Some(Token::Byte(byte)) if *byte == self.case.fold(text[at_byte]) => {
                    at_token += 1;
                    at_byte += 1;
                }
                _ => match resume {
                    Some((token, byte)) => {
                        resume = Some((token, byte + 1));
                        at_token = token;
                        at_byte = byte + 1;
                    }
                    None => return false,
                },
            }
        }
        self.tokens[at_token..]
            .iter()
            .all(|token| *token == Token::AnyRun)
    }
}

impl Case {
    fn fold(self, byte: u8) -> u8 {
        match self {
            Self::Sensitive => byte,
            Self::Insensitive => byte.to_ascii_lowercase(),
        }
    }
}

/// Only visible ASCII takes part in rule evaluation.
fn is_visible_ascii(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// A regular expression of the RE2 family: no look-around, no back-references, no Unicode classes.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
}

/// Why a text is not a regular expression that the load balancer takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// Syntax that the language does not have, with the position and the reason in words.
    Syntax(String),
    /// The expression compiles to more than the load balancer allows.
    TooBig,
}

/// Bound on a compiled expression. AWS publishes none; a kilobyte of text with sane counts stays
/// far below this.
const COMPILED_BYTES_MAX: usize = 1 << 20;

impl Pattern {
    /// Compiles an expression.
    pub fn new(source: &str, case: Case) -> Result<Self, PatternError> {
        RegexBuilder::new(source)
            .unicode(false)
            .case_insensitive(case == Case::Insensitive)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .map(|regex| Self { regex })
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooBig,
                other => PatternError::Syntax(other.to_string()),
            })
    }

    /// Whether any part of the text matches: the expression is anchored only where it says so.
    pub fn matches(&self, text: &str) -> bool {
        is_visible_ascii(text) && self.regex.is_match(text.as_bytes())
    }

    /// The text with its first match replaced, or nothing when no part matches.
    ///
    /// In the replacement `$0` to `$9` stand for the groups; a group that took no part is empty.
    /// Only the first match is replaced, because `.*`, which is how a whole host is replaced,
    /// matches a second time at the end of the text.
    pub fn replace_first(&self, text: &str, replacement: &str) -> Option<String> {
        let captures = self.regex.captures(text.as_bytes())?;
        let whole = captures.get(0)?;
        let mut out = Vec::with_capacity(text.len() + replacement.len());
        out.extend_from_slice(&text.as_bytes()[..whole.start()]);
        let mut rest = replacement.bytes().peekable();
        while let Some(byte) = rest.next() {
            let group = (byte == b'$')
                .then(|| rest.next_if(u8::is_ascii_digit))
                .flatten();
            match group {
                Some(digit) => {
                    if let Some(group) = captures.get(usize::from(digit - b'0')) {
                        out.extend_from_slice(group.as_bytes());
                    }
                }
                None => out.push(byte),
            }
        }
        out.extend_from_slice(&text.as_bytes()[whole.end()..]);
        // Without Unicode an expression may cut a character in two; such a URL is not valid anyway.
        Some(String::from_utf8_lossy(&out).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards() {
        use Case::{Insensitive as I, Sensitive as S};
        // pattern, text, case, matches
        let rows = [
            ("/foo", "/foo", S, true),
            ("/foo", "/Foo", S, false),
            ("/foo", "/foo/", S, false),
            ("/foo/*", "/foo/", S, true),
            ("/foo/*", "/foo", S, false),
            ("/foo/*", "/foo/a/b/c", S, true),
            ("/a?c", "/abc", S, true),
            ("/a?c", "/ac", S, false),
            ("/a?c", "/a/c", S, true),
            ("*", "", S, true),
            ("", "", S, true),
            ("", "a", S, false),
            ("*.example.com", "example.com", I, false),
            ("*.example.com", "a.b.EXAMPLE.com", I, true),
            ("*.example.com", "a.example.com:8080", I, false),
            ("*a*b*", "xxaxxbxx", S, true),
            ("*a*b*", "xxbxxaxx", S, false),
            ("**", "anything", S, true),
            (r"\*", "x", S, false),
            (r"\*", r"\x", S, true),
            ("*", "tab\there", S, false),
            ("*", "größe", S, false),
        ];
        for (pattern, text, case, expected) in rows {
            let got = Glob::new(pattern, case, Escapes::Literal).matches(text);
            assert_eq!(got, expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn escaped_wildcards_are_literal_in_query_strings() {
        let rows = [
            (r"\*", "*", true),
            (r"\*", "x", false),
            (r"\?x", "?x", true),
            (r"\\", r"\", true),
            (r"a\b", r"a\b", true),
            (r"\**", "*abc", true),
        ];
        for (pattern, text, expected) in rows {
            let got = Glob::new(pattern, Case::Insensitive, Escapes::Backslash).matches(text);
            assert_eq!(got, expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn regular_expressions_search_and_know_no_unicode_classes() {
        let matches =
            |source: &str, text: &str| Pattern::new(source, Case::Sensitive).unwrap().matches(text);
        assert!(matches("^/v[0-9]+/", "/v12/x"));
        assert!(matches("o/b", "/foo/bar"), "unanchored");
        assert!(!matches("^o", "/foo"));
        for refused in [r"\p{L}", "(?=a)", "(?<!a)b", r"(a)\1", "(?>a)", "("] {
            assert!(
                matches!(
                    Pattern::new(refused, Case::Sensitive),
                    Err(PatternError::Syntax(_))
                ),
                "{refused}"
            );
        }
        assert_eq!(
            Pattern::new("((a{1000}){1000}){100}", Case::Sensitive).err(),
            Some(PatternError::TooBig)
        );
    }

    #[test]
    fn replaces_the_first_match_only() {
        // expression, replacement, text, result
        let rows = [
            (
                ".*",
                "new.example.com",
                "old.example.com",
                Some("new.example.com"),
            ),
            ("^([^?]*)", "/full", "/a/b?x=1", Some("/full?x=1")),
            ("(^/foo(/)?)", "/bar$2", "/foo/x", Some("/bar/x")),
            ("(^/foo(/)?)", "/bar$2", "/foo", Some("/bar")),
            ("(^/foo(/)?)", "/", "/foo/x", Some("/x")),
            ("o", "0", "foo", Some("f0o")),
            ("(a)(b)", "$2$1$9$", "xab", Some("xba$")),
            ("^/nope", "/x", "/foo", None),
        ];
        for (source, replacement, text, expected) in rows {
            let got = Pattern::new(source, Case::Sensitive)
                .unwrap()
                .replace_first(text, replacement);
            assert_eq!(got.as_deref(), expected, "{source} on {text}");
        }
    }

    /// The definition, exponential and obvious.
    fn slow_glob(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => slow_glob(rest, text),
            (Some((b'*', rest)), Some((_, tail))) => {
                slow_glob(rest, text) || slow_glob(pattern, tail)
            }
            (Some((b'?', rest)), Some((_, tail))) => slow_glob(rest, tail),
            (Some((want, rest)), Some((got, tail))) => want == got && slow_glob(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            let fast = Glob::new(&pattern, Case::Sensitive, Escapes::Literal).matches(&text);
            prop_assert_eq!(fast, slow_glob(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
