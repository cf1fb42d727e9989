//! The dialect of regular expressions in conditions and transforms.
//!
//! AWS's guide excludes look-around, back-references, atomic groups, possessive quantifiers,
//! subroutines, recursion and Unicode classes. The `regex` crate without Unicode has none of these
//! either, except that it reads a possessive quantifier as a repetition of a repetition.

use regex::bytes::RegexBuilder;

/// Bound on a compiled expression. AWS has one (it logs `TransformCompileTooBig`) and does not
/// publish it.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Whether the load balancers can evaluate the expression.
pub(super) fn is_supported(expression: &str) -> bool {
    !has_possessive_quantifier(expression)
        && !has_foreign_flag(expression)
        && RegexBuilder::new(expression)
            .unicode(false)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
            .is_ok()
}

/// Whether a `+` follows a quantifier, as in `a*+`, outside of classes and escapes.
fn has_possessive_quantifier(expression: &str) -> bool {
    let (mut escaped, mut in_class, mut after_quantifier) = (false, false, false);
    for c in expression.chars() {
        let quantifier = !escaped && !in_class && matches!(c, '*' | '+' | '?' | '}');
        if quantifier && c == '+' && after_quantifier {
            return true;
        }
        match c {
            _ if escaped => {}
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        escaped = !escaped && c == '\\';
        after_quantifier = quantifier;
    }
    false
}

/// Whether a group sets a flag that the `regex` crate has and RE2 has not; `(?R)`, which is
/// recursion elsewhere, is one to the crate.
fn has_foreign_flag(expression: &str) -> bool {
    expression.split("(?").skip(1).any(|rest| {
        let flags = rest.split([':', ')', '<']).next().unwrap_or_default();
        flags.chars().any(|flag| matches!(flag, 'R' | 'u' | 'x'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_guide_allows() {
        for expression in [
            "^/api/(.*)$",
            ".*",
            "^([^?]*)",
            "(^/foo(/)?)",
            "a{2,3}",
            "[+*]+",
            "\\++",
            "(?i)abc",
            "\\d+\\w*",
            "a*?",
            "(?:a|b)+",
        ] {
            assert!(is_supported(expression), "{expression}");
        }
    }

    #[test]
    fn refuses_what_the_guide_excludes() {
        for expression in [
            "(?=a)", "(?<=a)b", "(?!a)", "(a)\\1", "(?>a)", "a*+", "a++", "a{2}+", "\\p{L}",
            "(?R)", "(?x) a", "(?u)a", "(", "[a", "*a",
        ] {
            assert!(!is_supported(expression), "{expression}");
        }
    }
}
