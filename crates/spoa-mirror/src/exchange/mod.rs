//! What HAProxy told us of one HTTP request, read from a message's arguments.
//!
//! Arguments are found by name, in any order and of any type that makes sense: the C program's names
//! (`arg_method`, `arg_path`, ...) and plain ones (`method`, `url`, ...). Everything is borrowed from
//! the frame; nothing is copied or allocated here.

mod body;
mod bytes;
mod headers;
mod production;
mod target;

use std::fmt;

use spop_proto::{Message, Messages, Value};

pub use body::{Body, Completeness};
pub use bytes::{is_target, is_token};
pub use headers::{Facts, HeaderError, Headers, is_framing};
pub use production::Production;
pub use target::RequestTarget;

/// One HTTP request as HAProxy saw it.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The method, exactly as the client wrote it.
    pub method: &'a [u8],
    /// The request target.
    pub target: RequestTarget<'a>,
    /// The HTTP version of the client's request.
    pub version: Version,
    /// The headers.
    pub headers: Headers<'a>,
    /// The body.
    pub body: Body<'a>,
    /// What HAProxy calls the request, if the message says so.
    pub id: Option<&'a [u8]>,
    /// The message that it was read from, for its other arguments.
    pub message: Message<'a>,
}

/// Methods that ask for nothing to be changed (RFC 9110, section 9.2.1).
pub const SAFE_METHODS: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];

/// The HTTP version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1, or not told.
    Http11,
    /// HTTP/2 or later: HAProxy speaks HTTP/1.1 to production, and so do we.
    Later,
}

/// A message, and what it tells: the request, or what a copy cannot do without and is not there.
pub type Told<'a> = (Message<'a>, Result<Exchange<'a>, Incomplete>);

/// Why a message holds no request that could be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incomplete {
    /// What is missing.
    pub part: Part,
    /// In what way.
    pub cause: Cause,
}

/// A part of a request that a copy cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The method.
    Method,
    /// The request target.
    Target,
    /// The headers.
    Headers,
}

/// In what way a part is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The message has no such argument.
    Absent,
    /// The argument is there, without a value: HAProxy had none, or it was over a limit.
    Lost,
    /// The value is of a type that cannot be it.
    WrongType,
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (part, names, mend) = match self.part {
            Part::Method => ("method", "arg_method or method", "arg_method=method"),
            Part::Target => ("URL", "arg_path, url or path", "arg_path=url"),
            Part::Headers => ("headers", "arg_hdrs or hdrs", "arg_hdrs=req.hdrs_bin"),
        };
        match self.cause {
            Cause::Absent => write!(
                f,
                "it has no argument for the request's {part} ({names}); \
                 add `{mend}` to the `args` line of its spoe-message"
            ),
            Cause::Lost => write!(
                f,
                "its argument for the request's {part} ({names}) came without a value; \
                 HAProxy had none at this event, or a variable was over tune.vars.*-max-size"
            ),
            Cause::WrongType => write!(
                f,
                "its argument for the request's {part} ({names}) is not text; \
                 write `{mend}` in the `args` line of its spoe-message"
            ),
        }
    }
}

/// The arguments that make a request: the bytes of each, or why there are none.
struct Parts<'a> {
    method: Result<&'a [u8], Cause>,
    url: Result<&'a [u8], Cause>,
    path: Result<&'a [u8], Cause>,
    query: Result<&'a [u8], Cause>,
    version: Result<&'a [u8], Cause>,
    headers: Result<&'a [u8], Cause>,
    /// Whether the headers came as a string.
    headers_text: bool,
    body: Result<&'a [u8], Cause>,
    body_size: Option<Value<'a>>,
    id: Result<&'a [u8], Cause>,
}

impl<'a> Parts<'a> {
    #[inline]
    fn new() -> Self {
        let absent = Err(Cause::Absent);
        Self {
            method: absent,
            url: absent,
            path: absent,
            query: absent,
            version: absent,
            headers: absent,
            headers_text: false,
            body: absent,
            body_size: None,
            id: absent,
        }
    }

    /// Takes an argument if it is one of them; the first one of a name counts.
    #[inline]
    fn take(&mut self, name: &[u8], value: Value<'a>) {
        let part = match name {
            b"arg_method" | b"method" => &mut self.method,
            // The C program's `arg_path` is HAProxy's `url`: with the query, perhaps absolute.
            b"arg_path" | b"arg_url" | b"url" => &mut self.url,
            b"arg_pathq" | b"pathq" | b"path" => &mut self.path,
            b"arg_query" | b"query" => &mut self.query,
            b"arg_ver" | b"ver" => &mut self.version,
            b"arg_hdrs" | b"arg_headers" | b"hdrs" | b"headers" => {
                if matches!(self.headers, Err(Cause::Absent)) {
                    self.headers_text = matches!(value, Value::String(_));
                }
                &mut self.headers
            }
            b"arg_body" | b"body" => &mut self.body,
            b"arg_body_size" | b"body_size" => {
                self.body_size.get_or_insert(value);
                return;
            }
            b"arg_id" | b"id" => &mut self.id,
            _ => return,
        };
        if matches!(part, Err(Cause::Absent)) {
            *part = match value {
                Value::String(bytes) | Value::Binary(bytes) => Ok(bytes),
                Value::Null | Value::Bool(_) => Err(Cause::Lost),
                _ => Err(Cause::WrongType),
            };
        }
    }
}

impl<'a> Exchange<'a> {
    /// Whether it asks for nothing to be changed.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        SAFE_METHODS.iter().any(|method| method.as_bytes() == self.method)
    }

    /// Reads the next of a NOTIFY's messages.
    ///
    /// # Errors
    /// What is wrong with the message's bytes; no message follows.
    #[inline]
    pub fn next(messages: &mut Messages<'a>) -> Option<Result<Told<'a>, spop_proto::Error>> {
        let mut parts = Parts::new();
        let message = messages.next_with(|name, value| parts.take(name, value))?;
        Some(message.map(|message| (message, Self::of(&parts, message))))
    }

    #[inline]
    fn of(parts: &Parts<'a>, message: Message<'a>) -> Result<Self, Incomplete> {
        let needed = |value: Result<_, _>, part| value.map_err(|cause| Incomplete { part, cause });
        let method = needed(parts.method, Part::Method)?;
        let absent = |part| matches!(part, Err(Cause::Absent));
        let target = if absent(parts.url) && !absent(parts.path) {
            let path = needed(parts.path, Part::Target)?;
            RequestTarget::from_path(path, parts.query.unwrap_or_default())
        } else {
            RequestTarget::from_url(needed(parts.url, Part::Target)?)
        };
        let headers = needed(parts.headers, Part::Headers)?;
        let headers =
            if parts.headers_text { Headers::Text(headers) } else { Headers::Block(headers) };
        let version = match parts.version {
            Ok(b"1.0") => Version::Http10,
            Ok([b'2' | b'3', ..]) => Version::Later,
            _ => Version::Http11,
        };
        let body = Body {
            bytes: parts.body.unwrap_or_default(),
            given: parts.body.is_ok(),
            stated_size: parts.body_size.and_then(|size| size.as_u64()),
        };
        Ok(Self { method, target, version, headers, body, id: parts.id.ok(), message })
    }
}
