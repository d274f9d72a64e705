//! What differs, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in a response. Places of one kind of answer are the same place: `$.items[].price` stands for
/// the price of every item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Place {
    /// The status.
    Status,
    /// A header, by its name in lower case.
    Header(Box<str>),
    /// A place in the body: `$` is the whole of it, `$.items[].price` a field of JSON.
    Body(Box<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.write_str("status"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Body(path) => write!(f, "body {path}"),
        }
    }
}

/// In what way a place differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Both have it, with other values.
    Value,
    /// Both have it, with values of other types.
    Type,
    /// Only production has it.
    Missing,
    /// Only the shadow has it.
    Extra,
    /// Both have the same elements in another order.
    Order,
    /// Both have it, of other lengths.
    Length,
}

impl Kind {
    /// Its name in one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Type => "type",
            Self::Missing => "missing",
            Self::Extra => "extra",
            Self::Order => "order",
            Self::Length => "length",
        }
    }
}

/// One difference between two responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub place: Place,
    /// In what way.
    pub kind: Kind,
    /// Production's value as shown to people: shortened; `None` where it has none.
    pub production: Option<Box<str>>,
    /// The shadow's.
    pub shadow: Option<Box<str>>,
}
