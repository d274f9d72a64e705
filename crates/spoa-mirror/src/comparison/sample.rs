//! A pair as people are shown it: shortened, and without secrets from the moment that it is made.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One request and its two answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// Its number.
    pub id: u64,
    /// When it was compared, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whose answer is held against production's.
    pub target: String,
    /// The run.
    pub run: String,
    /// The endpoint, as it was called then.
    pub endpoint: String,
    /// The request as the target got it.
    pub request: ShownRequest,
    /// Production's answer.
    pub production: ShownAnswer,
    /// The target's.
    pub shadow: ShownAnswer,
    /// What differs.
    pub differences: Vec<ShownDifference>,
    /// Differences that are not listed.
    pub more: usize,
}

/// A request as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownRequest {
    /// The method.
    pub method: String,
    /// The request target.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: ShownBody,
}

/// An answer as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownAnswer {
    /// The status.
    pub status: u16,
    /// Names and values; `null` when they are not known.
    pub headers: Option<Vec<(String, String)>>,
    /// The body.
    pub body: ShownBody,
    /// Until its head was there, in microseconds.
    pub time_us: Option<u64>,
}

/// A body as people are shown it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownBody {
    /// Its text, set out so that lines can be held against each other.
    pub lines: Vec<String>,
    /// What is not shown of it; empty when all is.
    pub note: String,
}

/// A difference as people are shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownDifference {
    /// Where.
    pub place: String,
    /// In what way: `value`, `type`, `missing`, `extra`, `order`, `length`.
    pub kind: String,
    /// Production's value.
    pub production: Option<String>,
    /// The target's.
    pub shadow: Option<String>,
}
