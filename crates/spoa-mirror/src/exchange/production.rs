//! What HAProxy told us of production's answer: in the message that holds the request, when it is sent at
//! response time, or in a message of its own that names the request by its id.

use std::time::Duration;

use spop_proto::{Message, Value};

use super::{Body, Headers};

/// Production's answer as HAProxy saw it.
#[derive(Debug, Clone, Copy)]
pub struct Production<'a> {
    /// The status code.
    pub status: u16,
    /// The headers; `None` when the message does not have them.
    pub headers: Option<Headers<'a>>,
    /// The body.
    pub body: Body<'a>,
    /// What HAProxy calls the request, if the message says so.
    pub id: Option<&'a [u8]>,
    /// From the request to the answer's head: HAProxy's own timer, or else the time between the two
    /// moments that the message names.
    pub time: Option<Duration>,
    /// Whether the message holds the request as well.
    pub with_request: bool,
}

impl<'a> Production<'a> {
    /// Reads the answer out of a message, if it holds one: a message with a status does.
    #[must_use]
    pub fn read(message: &Message<'a>) -> Option<Self> {
        let mut status = None;
        let mut headers = None;
        let mut body = Body { bytes: &[], given: false, stated_size: None };
        let (mut id, mut asked, mut answered, mut header_timer) = (None, None, None, None);
        let mut with_request = false;
        for (name, value) in message.arguments() {
            match name.strip_prefix(b"arg_").unwrap_or(name) {
                b"status" => status = value.as_u64().and_then(|status| status.try_into().ok()),
                b"res_hdrs" => {
                    headers = value.as_bytes().map(|bytes| match value {
                        Value::String(_) => Headers::Text(bytes),
                        _ => Headers::Block(bytes),
                    });
                }
                b"res_body" => {
                    body.given = value.as_bytes().is_some();
                    body.bytes = value.as_bytes().unwrap_or_default();
                }
                b"res_body_size" => body.stated_size = value.as_u64(),
                b"id" => id = value.as_bytes().filter(|id| !id.is_empty()),
                b"t_request" => asked = value.as_u64(),
                b"t_response" => answered = value.as_u64(),
                b"t_header" => header_timer = value.as_u64(),
                b"method" => with_request = true,
                _ => {}
            }
        }
        let between = asked.zip(answered).and_then(|(from, to)| to.checked_sub(from));
        let time = header_timer
            .map(Duration::from_millis)
            .or(between.map(Duration::from_micros))
            // A clock that was set meanwhile tells nothing.
            .filter(|time| *time < MAX_TIME);
        Some(Self {
            status: status.filter(|status| (100..1000).contains(status))?,
            headers,
            body,
            id,
            time,
            with_request,
        })
    }
}

/// No answer takes longer.
const MAX_TIME: Duration = Duration::from_secs(24 * 3600);
