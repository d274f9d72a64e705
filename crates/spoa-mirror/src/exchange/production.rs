//! What HAProxy told us of production's answer: in the message that holds the request, when it is sent at
//! response time, or in a message of its own that names the request by its id.

use std::time::Duration;

use spop_proto::{Message, Value};

use super::{Body, Headers, body};

/// Production's answer as HAProxy saw it.
#[derive(Debug, Clone, Copy)]
pub struct Production<'a> {
    /// The status code.
    pub status: u16,
    /// The headers; `None` when the message does not have them.
    pub headers: Option<Headers<'a>>,
    /// The body, or what of it was there.
    pub body: Body<'a>,
    /// Whether HAProxy is said to have waited for the body (`http-response wait-for-body`).
    pub waited: bool,
    /// What HAProxy calls the request, if the message says so.
    pub id: Option<&'a [u8]>,
    /// From the request to the answer's head: HAProxy's own timer, or else the time between the two
    /// moments that the message names.
    pub time: Option<Duration>,
    /// Whether the message speaks of the request as well.
    pub with_request: bool,
}

/// No answer takes longer.
const MAX_TIME: Duration = Duration::from_secs(24 * 3600);

/// The arguments that make an answer, as they came.
#[derive(Default)]
struct Parts<'a> {
    status: Option<Value<'a>>,
    headers: Option<Value<'a>>,
    body: Option<Value<'a>>,
    body_size: Option<Value<'a>>,
    waited: Option<Value<'a>>,
    id: Option<Value<'a>>,
    asked: Option<Value<'a>>,
    answered: Option<Value<'a>>,
    timer: Option<Value<'a>>,
    request: Option<Value<'a>>,
}

impl<'a> Parts<'a> {
    fn of(message: &Message<'a>) -> Self {
        let mut parts = Self::default();
        for (name, value) in message.arguments() {
            let part = match name.strip_prefix(b"arg_").unwrap_or(name) {
                b"status" => &mut parts.status,
                b"res_hdrs" => &mut parts.headers,
                b"res_body" => &mut parts.body,
                b"res_body_size" => &mut parts.body_size,
                b"res_body_waited" => &mut parts.waited,
                b"id" => &mut parts.id,
                b"t_request" => &mut parts.asked,
                b"t_response" => &mut parts.answered,
                b"t_header" => &mut parts.timer,
                // The method alone may stand beside an answer.
                b"url" | b"path" | b"pathq" | b"hdrs" | b"headers" => &mut parts.request,
                _ => continue,
            };
            part.get_or_insert(value);
        }
        parts
    }
}

impl<'a> Production<'a> {
    /// Reads the answer out of a message, if it holds one: a message with a status does.
    #[must_use]
    pub fn read(message: &Message<'a>) -> Option<Self> {
        let parts = Parts::of(message);
        let status = number(parts.status).filter(|status| (100..1000).contains(status))?;
        let headers = parts.headers.and_then(|value| {
            let bytes = value.as_bytes()?;
            let text = matches!(value, Value::String(_));
            Some(if text { Headers::Text(bytes) } else { Headers::Block(bytes) })
        });
        let body = parts.body.and_then(|value| value.as_bytes());
        let between = number(parts.asked)
            .zip(number(parts.answered))
            // A clock that was set back meanwhile tells nothing, nor does one that leapt ahead.
            .and_then(|(asked, answered)| answered.checked_sub(asked))
            .map(Duration::from_micros);
        let timer = number(parts.timer).map(Duration::from_millis);
        Some(Self {
            status: status.try_into().ok()?,
            headers,
            body: Body {
                bytes: body.unwrap_or_default(),
                given: body.is_some(),
                stated_size: number(parts.body_size),
            },
            waited: matches!(parts.waited, Some(Value::Bool(true))),
            id: parts.id.and_then(|id| id.as_bytes()).filter(|id| !id.is_empty()),
            time: [timer, between].into_iter().flatten().find(|time| *time < MAX_TIME),
            with_request: parts.request.is_some(),
        })
    }

    /// The size of the whole body where that is sure, in bytes: HAProxy waited for all of it, and its
    /// buffer (see [`Body::completeness`]) would have held more. `None` says nothing: Content-Length may.
    ///
    /// HAProxy does not tell whether a body without a length goes on, and its `res.body_size` is then the
    /// size of what is there.
    #[must_use]
    pub fn body_size(&self, frame_limit: u32) -> Option<u64> {
        let size = self.body.stated_size.filter(|_| self.waited && self.body.given)?;
        let (bytes, count) = match self.headers {
            Some(headers @ (Headers::Block(bytes) | Headers::Text(bytes))) => {
                (bytes.len(), headers.iter().count())
            }
            None => return None,
        };
        let used = body::in_buffer(bytes as u64 + size, count);
        (size >= self.body.bytes.len() as u64 && used < u64::from(frame_limit)).then_some(size)
    }
}

/// A number that is not negative: of any integer type, or digits.
fn number(value: Option<Value<'_>>) -> Option<u64> {
    let value = value?;
    value.as_u64().or_else(|| std::str::from_utf8(value.as_bytes()?).ok()?.parse().ok())
}

#[cfg(test)]
mod tests;
