//! Shape tables: what each request and response looks like on the wire, as data.
//!
//! In: the generated tables (`generated/*/shapes.rs`). Out: what one codec needs to read and print
//! any operation, and what one validator needs to check it.
//! Always: a table holds every member of AWS's model, so that a member which the emulator does not
//! act on can be refused by name instead of being ignored.

/// One shape of AWS's model. Wire values are `serde_json::Value`s keyed by [`Member::name`].
#[derive(Debug)]
pub enum Shape {
    /// Named members, in alphabetical order.
    Structure(&'static [Member]),
    /// A list.
    List {
        /// Shape of an item.
        item: &'static Self,
        /// Element name of an item in XML.
        item_name: &'static str,
        /// Fewest items.
        min: Option<i64>,
        /// Most items.
        max: Option<i64>,
    },
    /// A map from strings.
    Map {
        /// Shape of a value.
        value: &'static Self,
    },
    /// Text.
    String {
        /// Fewest characters.
        min: Option<i64>,
        /// Most characters.
        max: Option<i64>,
        /// Regular expression that the whole text matches; empty for none.
        pattern: &'static str,
        /// The values of an enumeration; empty for free text.
        values: &'static [&'static str],
    },
    /// A whole number of 32 or 64 bits.
    Number {
        /// 64 bits instead of 32.
        long: bool,
        /// Smallest value.
        min: Option<i64>,
        /// Largest value.
        max: Option<i64>,
    },
    /// A number with a fraction.
    Double,
    /// `true` or `false`.
    Boolean,
    /// A [`crate::Timestamp`], as milliseconds in a value.
    Timestamp,
    /// Bytes: a [`crate::Blob`], as hexadecimal text in a value.
    Blob {
        /// Fewest bytes.
        min: Option<i64>,
        /// Most bytes.
        max: Option<i64>,
    },
}

/// One member of a structure.
#[derive(Debug)]
pub struct Member {
    /// AWS's name for it, as SDKs and documentation show it.
    pub name: &'static str,
    /// Its name in a request.
    pub request: &'static str,
    /// Its name in a response.
    pub response: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// What it holds.
    pub shape: &'static Shape,
}

impl Member {
    pub(crate) const fn on_wire(self, request: &'static str, response: &'static str) -> Self {
        Self {
            request,
            response,
            ..self
        }
    }

    pub(crate) const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}

pub(crate) const fn member(name: &'static str, shape: &'static Shape) -> Member {
    Member {
        name,
        request: name,
        response: name,
        required: false,
        shape,
    }
}

pub(crate) const fn structure(members: &'static [Member]) -> Shape {
    Shape::Structure(members)
}

pub(crate) const fn list(
    item: &'static Shape,
    item_name: &'static str,
    min: Option<i64>,
    max: Option<i64>,
) -> Shape {
    Shape::List {
        item,
        item_name,
        min,
        max,
    }
}

pub(crate) const fn map(value: &'static Shape) -> Shape {
    Shape::Map { value }
}

pub(crate) const fn string(
    min: Option<i64>,
    max: Option<i64>,
    pattern: &'static str,
    values: &'static [&'static str],
) -> Shape {
    Shape::String {
        min,
        max,
        pattern,
        values,
    }
}

pub(crate) const fn number(long: bool, min: Option<i64>, max: Option<i64>) -> Shape {
    Shape::Number { long, min, max }
}

// Scalars without constraints are shared by all tables.
pub(crate) static STRING: Shape = string(None, None, "", &[]);
pub(crate) static INTEGER: Shape = number(false, None, None);
pub(crate) static LONG: Shape = number(true, None, None);
pub(crate) static DOUBLE: Shape = Shape::Double;
pub(crate) static BOOLEAN: Shape = Shape::Boolean;
pub(crate) static TIMESTAMP: Shape = Shape::Timestamp;
