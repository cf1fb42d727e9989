//! The kinds of values that attributes take, each with the sentence with which AWS refuses others.

use crate::elbv2::error;
use crate::error::ApiError;

/// Longest header value that a listener adds, in characters: one kilobyte (ALB guide).
const HEADER_VALUE_MAX: usize = 1024;
/// What a header value may hold besides letters and digits (ALB guide, "Header modification").
const HEADER_VALUE_CHARACTERS: &str = "_ :;.,\\/'?!(){}[]@<>=-+*#&`|~^%\"$";

/// Which values an attribute takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values {
    /// `true` or `false`.
    Boolean,
    /// Whole numbers of a range; refused as "'K' value 'V' must be between 'A-B' inclusive".
    Range(u32, u32),
    /// The same; refused as "The value of 'K' must be an integer between A and B".
    IntegerBetween(u32, u32),
    /// The same; refused with the lengths' sentence, which is what AWS says of an idle timeout.
    Characters(u32, u32),
    /// The same; refused in the words of secondary addresses.
    SecondaryAddresses(u32, u32),
    /// Zero, or a range.
    ZeroOr(u32, u32),
    /// `off`, or a whole number of one and more.
    OffOrCount,
    /// A whole number of one and more.
    Count,
    /// `off`, or 1 to 100.
    OffOrPercentage,
    /// One of these; refused as "'V' must be one of [..]".
    OneOf(&'static [&'static str]),
    /// One of these; refused as "'NAME' must be one of [..]" with a fixed name.
    NamedOneOf(&'static str, &'static [&'static str]),
    /// One of these; refused as "'V' is not a valid value for 'K'".
    ValidOneOf(&'static [&'static str]),
    /// `append`, `preserve` or `remove`, which have a sentence of their own.
    ForwardedFor,
    /// One of these or nothing; refused as "must be from the following".
    HeaderOneOf(&'static [&'static str]),
    /// Any text.
    Text,
    /// A path prefix in a bucket.
    Prefix,
    /// The name of an HTTP header.
    HeaderName,
    /// The value of an HTTP header, or nothing.
    HeaderValue,
    /// Name of an application's cookie, or nothing.
    CookieName,
}

impl Values {
    /// Refuses a value that the attribute does not take.
    pub(super) fn check(self, key: &str, value: &str) -> Result<(), ApiError> {
        let number = value.parse::<u32>().ok();
        let within = |min: u32, max: u32| number.is_some_and(|n| (min..=max).contains(&n));
        let refuse = |fine: bool, message: String| {
            if fine {
                Ok(())
            } else {
                Err(error::validation(message))
            }
        };
        let listed = |values: &[&str]| values.join(", ");
        match self {
            Self::Text => Ok(()),
            Self::Boolean => refuse(
                matches!(value, "true" | "false"),
                format!("The value of '{key}' must be 'true' or 'false', but was '{value}'"),
            ),
            Self::Range(min, max) => refuse(
                within(min, max),
                format!("'{key}' value '{value}' must be between '{min}-{max}' inclusive"),
            ),
            Self::ZeroOr(min, max) => refuse(
                number == Some(0) || within(min, max),
                format!("'{key}' value '{value}' must be between '{min}-{max}' inclusive"),
            ),
            Self::IntegerBetween(min, max) => refuse(
                within(min, max),
                format!("The value of '{key}' must be an integer between {min} and {max}"),
            ),
            Self::Characters(min, max) => {
                let message = if number.is_none_or(|n| n < min) {
                    format!("The value of '{key}' cannot be less than {min} characters")
                } else {
                    format!("The value of '{key}' cannot be greater than {max} characters")
                };
                refuse(within(min, max), message)
            }
            Self::SecondaryAddresses(min, max) => refuse(
                within(min, max),
                format!(
                    "Valid range for the number of secondary IP addresses is from '{min}-{max}'"
                ),
            ),
            Self::Count => refuse(
                number.is_some_and(|n| n > 0),
                format!("'{key}' must be a positive integer"), // Undocumented text.
            ),
            Self::OffOrCount => refuse(
                value == "off" || number.is_some_and(|n| n > 0),
                format!("'{key}' must be 'off' or a positive integer"),
            ),
            Self::OffOrPercentage => refuse(
                value == "off" || within(1, 100),
                format!("'{key}' must be 'off' or an integer from 1 to 100 inclusive"),
            ),
            Self::OneOf(values) => refuse(
                values.contains(&value),
                format!("'{value}' must be one of [{}]", listed(values)),
            ),
            Self::NamedOneOf(name, values) => refuse(
                values.contains(&value),
                format!("'{name}' must be one of [{}]", listed(values)),
            ),
            Self::ValidOneOf(values) => refuse(
                values.contains(&value),
                format!("'{value}' is not a valid value for '{key}'"),
            ),
            Self::ForwardedFor => refuse(
                matches!(value, "append" | "preserve" | "remove"),
                format!("'{key}' must be set as 'preserve', 'append', or 'remove'"),
            ),
            Self::HeaderOneOf(values) => refuse(
                value.is_empty() || values.contains(&value),
                format!(
                    "The value of '{key}' must be from the following: [{}], but was '{value}'",
                    listed(values)
                ),
            ),
            Self::Prefix => refuse(
                // The guide: a prefix must not contain `AWSLogs`. Text undocumented.
                !value.contains("AWSLogs"),
                format!("The value of '{key}' cannot contain 'AWSLogs'"),
            ),
            Self::HeaderName => refuse(
                is_header_name(value),
                format!("The value of '{key}' contains invalid characters"),
            ),
            Self::HeaderValue if value.chars().count() > HEADER_VALUE_MAX => refuse(
                false,
                format!(
                    "The value of '{key}' cannot be greater than {HEADER_VALUE_MAX} characters"
                ),
            ),
            Self::HeaderValue => refuse(
                value
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || HEADER_VALUE_CHARACTERS.contains(c)),
                format!("The value of '{key}' contains invalid characters"),
            ),
            Self::CookieName => refuse(
                // The guide reserves the prefix of ALB's own cookies. Text undocumented.
                !value.starts_with("AWSALB"),
                format!("The value of '{key}' cannot begin with 'AWSALB'"),
            ),
        }
    }
}

/// Letters, digits, hyphen and underscore (ALB guide, "Header modification": renaming).
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
