//! A pair as people are shown it: shortened, and without secrets from the moment that it is made.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use shadow_diff::Comparison;
use utoipa::ToSchema;

use super::half::{End, Recorded};
use super::pairing::Pair;
use super::redaction::Redaction;

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

impl Sample {
    /// What is kept of a pair whose answers differ.
    #[must_use]
    pub fn of(
        id: u64,
        at: SystemTime,
        run: &str,
        endpoint: &str,
        pair: &Pair,
        comparison: &Comparison,
        _redaction: &Redaction,
    ) -> Self {
        let shown = |answer: &Recorded| ShownAnswer {
            status: answer.status,
            headers: None,
            body: ShownBody::default(),
            time_us: answer.head_time.and_then(|time| time.as_micros().try_into().ok()),
        };
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let production = shown(&pair.production);
        let shadow = match &pair.shadow {
            End::Answered(answer) => shown(answer),
            _ => ShownAnswer { status: 0, ..production.clone() },
        };
        let differences = comparison.differences.iter().map(|difference| ShownDifference {
            place: difference.place.to_string(),
            kind: difference.kind.name().to_owned(),
            production: None,
            shadow: None,
        });
        Self {
            id,
            at_ms: since.as_millis().try_into().unwrap_or(u64::MAX),
            target: pair.target.name.clone(),
            run: run.to_owned(),
            endpoint: endpoint.to_owned(),
            request: ShownRequest {
                method: String::from_utf8_lossy(&pair.asked.method).into_owned(),
                url: String::new(),
                headers: Vec::new(),
                body: ShownBody::default(),
            },
            production,
            shadow,
            differences: differences.collect(),
            more: comparison.more,
        }
    }

    /// About so many bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.differences.len() * 256
    }
}
