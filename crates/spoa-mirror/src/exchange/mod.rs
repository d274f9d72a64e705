//! What HAProxy told us of one HTTP request, read from a message's arguments.
//!
//! Arguments are found by name, in any order and of any type that makes sense: the C program's names
//! (`arg_method`, `arg_path`, ...) and plain ones (`method`, `url`, ...). Everything is borrowed from
//! the frame; nothing is copied or allocated here.

mod body;
mod headers;
mod target;

use std::fmt;

use spop_proto::{Message, Value};

pub use body::{Body, Completeness};
pub use headers::{Facts, HeaderError, Headers, is_framing, is_token};
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

/// The arguments that make a request, as they came.
#[derive(Debug, Default)]
struct Parts<'a> {
    method: Option<Value<'a>>,
    url: Option<Value<'a>>,
    path: Option<Value<'a>>,
    query: Option<Value<'a>>,
    version: Option<Value<'a>>,
    headers: Option<Value<'a>>,
    body: Option<Value<'a>>,
    body_size: Option<Value<'a>>,
    id: Option<Value<'a>>,
}

impl<'a> Parts<'a> {
    fn of(message: &Message<'a>) -> Self {
        let mut parts = Self::default();
        for (name, value) in message.arguments() {
            let part = match name.strip_prefix(b"arg_").unwrap_or(name) {
                b"method" => &mut parts.method,
                // The C program's `arg_path` is HAProxy's `url`: with the query, perhaps absolute.
                b"path" if name.len() > 4 => &mut parts.url,
                b"url" => &mut parts.url,
                b"path" | b"pathq" => &mut parts.path,
                b"query" => &mut parts.query,
                b"ver" => &mut parts.version,
                b"hdrs" | b"headers" => &mut parts.headers,
                b"body" => &mut parts.body,
                b"body_size" => &mut parts.body_size,
                b"id" => &mut parts.id,
                _ => continue,
            };
            part.get_or_insert(value);
        }
        parts
    }
}

impl<'a> Exchange<'a> {
    /// Reads the request out of a message.
    ///
    /// # Errors
    /// What a copy cannot do without, and is not there.
    pub fn read(message: &Message<'a>) -> Result<Self, Incomplete> {
        let parts = Parts::of(message);
        let method = required(parts.method, Part::Method)?;
        let target = match (parts.url, parts.path) {
            (None, Some(_)) => RequestTarget::from_path(
                required(parts.path, Part::Target)?,
                parts.query.and_then(|query| query.as_bytes()).unwrap_or_default(),
            ),
            (url, _) => RequestTarget::from_url(required(url, Part::Target)?),
        };
        let headers = match required(parts.headers, Part::Headers)? {
            bytes if matches!(parts.headers, Some(Value::String(_))) => Headers::Text(bytes),
            bytes => Headers::Block(bytes),
        };
        let version = match parts.version.and_then(|version| version.as_bytes()) {
            Some(b"1.0") => Version::Http10,
            Some(bytes) if bytes.starts_with(b"2") || bytes.starts_with(b"3") => Version::Later,
            _ => Version::Http11,
        };
        let body = Body {
            bytes: parts.body.and_then(|body| body.as_bytes()).unwrap_or_default(),
            given: parts.body.is_some_and(|body| body.as_bytes().is_some()),
            stated_size: parts.body_size.and_then(|size| size.as_u64()),
        };
        let id = parts.id.and_then(|id| id.as_bytes());
        Ok(Self { method, target, version, headers, body, id, message: *message })
    }
}

fn required<'a>(value: Option<Value<'a>>, part: Part) -> Result<&'a [u8], Incomplete> {
    let cause = match value {
        None => Cause::Absent,
        Some(Value::Null | Value::Bool(_)) => Cause::Lost,
        Some(value) => match value.as_bytes() {
            Some(bytes) => return Ok(bytes),
            None => Cause::WrongType,
        },
    };
    Err(Incomplete { part, cause })
}
