//! What a comparison tells.

use std::fmt;

use crate::difference::Difference;

/// What became of the comparison of two responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The result in one word.
    pub outcome: Outcome,
    /// How the bodies were compared, or why they were not.
    pub body: Examined,
    /// What differs, in the order of the response: status, headers, body. At most
    /// [`Limits::differences`](crate::Limits::differences).
    pub differences: Vec<Difference>,
    /// How many differences there are besides. A lower bound when the work was given up.
    pub more: usize,
    /// What would be a difference but for a rule, counted by rule.
    pub excused: Vec<(Excuse, u32)>,
}

/// The result of a comparison in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing differs but what rules excuse.
    Same,
    /// Something differs for sure; [`Comparison::body`] says whether the bodies were compared.
    Different,
    /// What could be compared is the same, and the bodies could not.
    Incomparable(Reason),
}

/// How bodies were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Examined {
    /// There are none: HEAD, 204, 304.
    Absent,
    /// They are the same bytes.
    Bytes,
    /// By their values: JSON, JSON lines, form data, XML.
    Structure,
    /// Line by line: text, HTML.
    Lines,
    /// By length and hash.
    Hash,
    /// By what they are: one is JSON, say, and the other is not.
    Type,
    /// Not, because a rule ignores them.
    Ignored,
    /// Not, or by their sizes alone.
    Not(Reason),
}

/// Why bodies were not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Only a part of it is there.
    Cut(Side),
    /// Nothing is known of it.
    Unknown(Side),
    /// Content-Encoding names a coding that is not known here.
    Coding(Side),
    /// It does not decode: its compression or its charset is broken.
    Broken(Side),
    /// It decodes to more than the limit.
    TooLarge(Side),
    /// It nests deeper, has more values or more lines than the limits allow.
    TooComplex(Side),
    /// The comparison took more steps than the limits allow.
    TooMuchWork,
    /// The statuses are of different classes, 200 and 500 say: bodies are then made to be different.
    Status,
}

/// Whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Production's.
    Production,
    /// The shadow's.
    Shadow,
    /// Both.
    Both,
}

/// The rule that settled a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Excuse {
    /// A built-in rule, by its name.
    Natural(&'static str),
    /// A configured rule, by its position in the list that was compiled.
    User(usize),
}

impl Examined {
    /// Whether there are bodies on both sides, and what differs in them is known.
    #[must_use]
    pub fn is_compared(self) -> bool {
        !matches!(self, Self::Absent | Self::Ignored | Self::Not(_))
    }
}

impl Reason {
    /// The reason in one word with hyphens, without the side: a metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Cut(_) => "body-cut",
            Self::Unknown(_) => "body-unknown",
            Self::Coding(_) => "coding-unknown",
            Self::Broken(_) => "body-broken",
            Self::TooLarge(_) => "body-too-large",
            Self::TooComplex(_) => "body-too-complex",
            Self::TooMuchWork => "too-much-work",
            Self::Status => "status",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (side, text) = match self {
            Self::Cut(side) => (side, "only a part of the body is there"),
            Self::Unknown(side) => (side, "the body is not known"),
            Self::Coding(side) => (side, "the body's coding is not known"),
            Self::Broken(side) => (side, "the body does not decode"),
            Self::TooLarge(side) => (side, "the body decodes to more than the limit"),
            Self::TooComplex(side) => (side, "the body is nested too deeply or has too many parts"),
            Self::Status => return f.write_str("the statuses are of different classes"),
            Self::TooMuchWork => return f.write_str("the comparison takes too many steps"),
        };
        let side = match side {
            Side::Production => "production",
            Side::Shadow => "shadow",
            Side::Both => "production and shadow",
        };
        write!(f, "{side}: {text}")
    }
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Natural(name) => f.write_str(name),
            Self::User(index) => write!(f, "rule {}", index + 1),
        }
    }
}
