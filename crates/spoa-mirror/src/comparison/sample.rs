//! A pair as people are shown it: shortened, and without secrets from the moment that it is made.

mod curl;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use shadow_diff::shown::{self, grouped, visible};
use shadow_diff::{Body, Comparison, Difference};
use utoipa::ToSchema;

use super::half::{Asked, End, Recorded};
use super::pairing::Pair;
use super::redaction::Redaction;
use crate::exchange::Headers;

/// Headers of a message that are shown.
const MAX_HEADERS: usize = 100;
/// Characters of a header's value that are shown.
const MAX_VALUE: usize = 1024;
/// Characters of a name, and of a method.
const MAX_NAME: usize = 128;
/// Characters of a URL.
const MAX_URL: usize = 8 * 1024;
/// Bytes of a header's value, or of a URL, that are looked at.
const LOOKED_AT: usize = 64 * 1024;

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
    /// The status; 0 without an answer.
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
    /// What is shown of `pair`, which came out as `comparison`: made by the same `redaction` since the
    /// last sample, so that hidden values have the same token everywhere in it, and then no more.
    #[must_use]
    pub fn of(
        id: u64,
        at: SystemTime,
        run: &str,
        endpoint: &str,
        pair: &Pair,
        comparison: &Comparison,
        redaction: &Redaction,
    ) -> Self {
        let head = pair.asked.method == b"HEAD";
        let sample = Self {
            id,
            at_ms: at.duration_since(UNIX_EPOCH).map_or(0, milliseconds),
            target: pair.target.name.clone(),
            run: run.to_owned(),
            endpoint: endpoint.to_owned(),
            request: ShownRequest::of(&pair.asked, redaction),
            production: ShownAnswer::of(&pair.production, head, redaction),
            shadow: match &pair.shadow {
                End::Answered(shadow) => ShownAnswer::of(shadow, head, redaction),
                End::Failed(..) | End::NotSent | End::Lost => ShownAnswer::none(),
            },
            differences: comparison.differences.iter().map(ShownDifference::of).collect(),
            more: comparison.more,
        };
        redaction.next_pair();
        sample
    }

    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = |texts: &[&String]| texts.iter().map(|text| text.capacity()).sum::<usize>();
        let headers = |headers: &Vec<(String, String)>| {
            let held = headers.iter().map(|(name, value)| texts(&[name, value]));
            held.sum::<usize>() + headers.capacity() * size_of::<(String, String)>()
        };
        let body = |body: &ShownBody| {
            let lines = body.lines.iter().map(String::capacity).sum::<usize>();
            lines + body.lines.capacity() * size_of::<String>() + body.note.capacity()
        };
        let answer =
            |answer: &ShownAnswer| answer.headers.as_ref().map_or(0, headers) + body(&answer.body);
        let request = &self.request;
        let differences = self.differences.iter().map(|difference| {
            let ShownDifference { place, kind, production, shadow } = difference;
            let values = [production, shadow].into_iter().flatten().map(String::capacity);
            size_of::<ShownDifference>() + texts(&[place, kind]) + values.sum::<usize>()
        });
        size_of::<Self>()
            + texts(&[&self.target, &self.run, &self.endpoint, &request.method, &request.url])
            + headers(&request.headers)
            + body(&request.body)
            + answer(&self.production)
            + answer(&self.shadow)
            + differences.sum::<usize>()
    }
}

impl ShownRequest {
    fn of(asked: &Asked, redaction: &Redaction) -> Self {
        let headers: Vec<_> = Headers::Text(&asked.headers).iter().map_while(Result::ok).collect();
        let body = Body::arrived(&asked.body, Some(asked.body_len));
        Self {
            method: visible(&asked.method, MAX_NAME),
            url: visible(&redaction.url(looked_at(&asked.target)), MAX_URL),
            headers: shown_headers(&headers, redaction),
            body: ShownBody::of(&headers, body, redaction),
        }
    }
}

impl ShownAnswer {
    fn none() -> Self {
        let body = ShownBody { lines: Vec::new(), note: "no answer".to_owned() };
        Self { status: 0, headers: None, body, time_us: None }
    }

    /// `head`: it is the answer to a request that asked for the head alone.
    fn of(answer: &Recorded, head: bool, redaction: &Redaction) -> Self {
        let headers = answer.headers();
        let known = headers.as_deref().unwrap_or_default();
        let bodiless = head || matches!(answer.status, 100..=199 | 204 | 304);
        let body = match bodiless && answer.body.is_empty() {
            true => ShownBody { lines: Vec::new(), note: "none".to_owned() },
            false => ShownBody::of(known, answer.response(known).body, redaction),
        };
        Self {
            status: answer.status,
            headers: headers.as_ref().map(|headers| shown_headers(headers, redaction)),
            body,
            time_us: answer.head_time.map(microseconds),
        }
    }
}

impl ShownBody {
    /// What is shown of a body that came with these headers.
    #[must_use]
    pub fn of(headers: &[(&[u8], &[u8])], body: Body<'_>, redaction: &Redaction) -> Self {
        let shown::Text { lines, note } = shown::body(headers, body, redaction);
        Self { lines, note }
    }
}

impl ShownDifference {
    fn of(difference: &Difference) -> Self {
        let shown = |value: &Option<Box<str>>| {
            value.as_ref().map(|value| visible(value.as_bytes(), usize::MAX))
        };
        Self {
            place: difference.place.to_string(),
            kind: difference.kind.name().to_owned(),
            production: shown(&difference.production),
            shadow: shown(&difference.shadow),
        }
    }
}

fn shown_headers(headers: &[(&[u8], &[u8])], redaction: &Redaction) -> Vec<(String, String)> {
    let shown = headers.iter().take(MAX_HEADERS).map(|(name, value)| {
        let name = visible(name, MAX_NAME);
        let value = redaction.header(&name, looked_at(value));
        (name, visible(&value, MAX_VALUE))
    });
    let mut shown: Vec<_> = shown.collect();
    if headers.len() > MAX_HEADERS {
        let more = grouped(headers.len() - MAX_HEADERS);
        shown.push(("\u{2026}".to_owned(), format!("{more} more headers, not shown")));
    }
    shown
}

/// What of a value is looked at. So much more than is shown that a secret at its end is not.
fn looked_at(value: &[u8]) -> &[u8] {
    value.get(..LOOKED_AT).unwrap_or(value)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
