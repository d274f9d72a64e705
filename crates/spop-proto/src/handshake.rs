//! The payloads of HELLO and DISCONNECT frames (sections 3.2.4, 3.2.5, 3.2.8, 3.2.9): lists of named,
//! typed items.

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Status};
use crate::frame::{Flags, Frame, FrameType, encode as encode_frame};
use crate::value::{Value, encode_string};

/// The major number of [`VERSION`](crate::VERSION), whose minor number is 0: any other will do.
const OUR_MAJOR: &[u8] = b"2.";

/// What one side of a connection says it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Several NOTIFY frames may wait for their ACK at once.
    pub pipelining: bool,
    /// A NOTIFY may come in several frames.
    pub fragmentation: bool,
    /// An ACK may go out on another connection than its NOTIFY came on.
    pub asynchronous: bool,
}

impl Capabilities {
    /// Reads a comma-separated list; names that are not known are skipped.
    #[must_use]
    pub fn parse(list: &[u8]) -> Self {
        let mut capabilities = Self::default();
        for name in list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            match name {
                b"pipelining" => capabilities.pipelining = true,
                b"fragmentation" => capabilities.fragmentation = true,
                b"async" => capabilities.asynchronous = true,
                _ => {}
            }
        }
        capabilities
    }

    /// The comma-separated list.
    #[must_use]
    pub fn to_list(self) -> String {
        [
            (self.pipelining, "pipelining"),
            (self.fragmentation, "fragmentation"),
            (self.asynchronous, "async"),
        ]
        .iter()
        .filter_map(|&(on, name)| on.then_some(name))
        .collect::<Vec<_>>()
        .join(",")
    }
}

/// HAProxy's HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The comma-separated versions that HAProxy speaks.
    pub versions: &'a [u8],
    /// The longest frame that HAProxy takes, in bytes.
    pub max_frame_size: u32,
    /// What HAProxy can do.
    pub capabilities: Capabilities,
    /// Names HAProxy's process (3.1 and later) or thread (3.0 and earlier); a health check has none.
    pub engine_id: Option<&'a [u8]>,
    /// Whether this connection is only a health check.
    pub healthcheck: bool,
}

impl<'a> Hello<'a> {
    pub(crate) fn decode(frame: &Frame<'a>) -> Result<Self, Error> {
        let mut items = Items::new(frame);
        let (mut versions, mut max_frame_size, mut capabilities) = (None, None, None);
        let (mut engine_id, mut healthcheck) = (None, false);
        while let Some((name, value)) = items.next_item()? {
            match name {
                b"supported-versions" => versions = Some(items.string(&value)?),
                b"max-frame-size" => max_frame_size = Some(items.size(&value)?),
                b"capabilities" => {
                    capabilities = Some(Capabilities::parse(items.string(&value)?));
                }
                b"engine-id" => engine_id = value.as_bytes(),
                b"healthcheck" => healthcheck = value == Value::Bool(true),
                _ => {}
            }
        }
        Ok(Self {
            versions: versions.ok_or_else(|| items.missing("supported-versions"))?,
            max_frame_size: max_frame_size.ok_or_else(|| items.missing("max-frame-size"))?,
            capabilities: capabilities.ok_or_else(|| items.missing("capabilities"))?,
            engine_id,
            healthcheck,
        })
    }

    /// Whether [`VERSION`](crate::VERSION) is among the versions offered: a version stands for all earlier minor
    /// versions too (section 3.2.4).
    #[must_use]
    pub fn offers_our_version(&self) -> bool {
        self.versions
            .split(|&byte| byte == b',')
            .filter_map(|version| version.trim_ascii().strip_prefix(OUR_MAJOR))
            .any(|minor| !minor.is_empty() && minor.iter().all(u8::is_ascii_digit))
    }

    /// Appends the HELLO as a frame.
    pub fn encode(&self, output: &mut Vec<u8>) {
        encode_frame(FrameType::HaproxyHello, Flags::FIN, 0, 0, output, |output| {
            item("supported-versions", Value::String(self.versions), output);
            item("max-frame-size", Value::Uint32(self.max_frame_size), output);
            let capabilities = self.capabilities.to_list();
            item("capabilities", Value::String(capabilities.as_bytes()), output);
            if let Some(engine_id) = self.engine_id {
                item("engine-id", Value::String(engine_id), output);
            }
            if self.healthcheck {
                item("healthcheck", Value::Bool(true), output);
            }
        });
    }
}

/// The agent's HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentHello<'a> {
    /// The version that the agent chose.
    pub version: &'a [u8],
    /// The longest frame on this connection, in bytes.
    pub max_frame_size: u32,
    /// What the agent can do.
    pub capabilities: Capabilities,
}

impl<'a> AgentHello<'a> {
    pub(crate) fn decode(frame: &Frame<'a>) -> Result<Self, Error> {
        let mut items = Items::new(frame);
        let (mut version, mut max_frame_size, mut capabilities) = (None, None, None);
        while let Some((name, value)) = items.next_item()? {
            match name {
                b"version" => version = Some(items.string(&value)?),
                b"max-frame-size" => max_frame_size = Some(items.size(&value)?),
                b"capabilities" => {
                    capabilities = Some(Capabilities::parse(items.string(&value)?));
                }
                _ => {}
            }
        }
        Ok(Self {
            version: version.ok_or_else(|| items.missing("version"))?,
            max_frame_size: max_frame_size.ok_or_else(|| items.missing("max-frame-size"))?,
            capabilities: capabilities.ok_or_else(|| items.missing("capabilities"))?,
        })
    }

    /// Appends the HELLO as a frame.
    pub fn encode(&self, output: &mut Vec<u8>) {
        encode_frame(FrameType::AgentHello, Flags::FIN, 0, 0, output, |output| {
            item("version", Value::String(self.version), output);
            item("max-frame-size", Value::Uint32(self.max_frame_size), output);
            let capabilities = self.capabilities.to_list();
            item("capabilities", Value::String(capabilities.as_bytes()), output);
        });
    }
}

/// A DISCONNECT, of either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why.
    pub status: Status,
    /// The same for people, in the sender's words.
    pub message: &'a [u8],
}

impl<'a> Disconnect<'a> {
    pub(crate) fn decode(frame: &Frame<'a>) -> Result<Self, Error> {
        let mut items = Items::new(frame);
        let (mut status, mut message) = (Status::Unknown, &[][..]);
        while let Some((name, value)) = items.next_item()? {
            match name {
                b"status-code" => status = Status::from_code(items.size(&value)?),
                b"message" => message = items.string(&value)?,
                _ => {}
            }
        }
        Ok(Self { status, message })
    }

    /// Appends the DISCONNECT as a frame of `kind`.
    pub(crate) fn encode(&self, kind: FrameType, output: &mut Vec<u8>) {
        encode_frame(kind, Flags::FIN, 0, 0, output, |output| {
            item("status-code", Value::Uint32(self.status.code()), output);
            item("message", Value::String(self.message), output);
        });
    }
}

fn item(name: &str, value: Value<'_>, output: &mut Vec<u8>) {
    encode_string(name.as_bytes(), output);
    value.encode(output);
}

/// The named, typed items of a HELLO or DISCONNECT frame. After an error the iterator ends.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    kind: FrameType,
    cursor: Cursor<'a>,
    /// Where the last item's value begins.
    value_offset: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<(&'a [u8], Value<'a>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_item();
        if item.is_err() {
            self.cursor = Cursor::new(&[], self.cursor.offset());
        }
        item.transpose()
    }
}

impl<'a> Items<'a> {
    /// The items in `frame`.
    #[must_use]
    pub fn new(frame: &Frame<'a>) -> Self {
        Self {
            kind: frame.kind,
            cursor: Cursor::new(frame.payload, frame.payload_offset),
            value_offset: frame.payload_offset,
        }
    }

    fn next_item(&mut self) -> Result<Option<(&'a [u8], Value<'a>)>, Error> {
        if self.cursor.is_empty() {
            return Ok(None);
        }
        self.read().map(Some).map_err(|kind| self.error(kind, self.cursor.offset()))
    }

    fn read(&mut self) -> Result<(&'a [u8], Value<'a>), ErrorKind> {
        let name = self.cursor.string()?;
        self.value_offset = self.cursor.offset();
        Ok((name, Value::decode(&mut self.cursor)?))
    }

    fn string(&self, value: &Value<'a>) -> Result<&'a [u8], Error> {
        value.as_bytes().ok_or_else(|| self.error(ErrorKind::WrongType, self.value_offset))
    }

    fn size(&self, value: &Value<'_>) -> Result<u32, Error> {
        let number =
            value.as_u64().ok_or_else(|| self.error(ErrorKind::WrongType, self.value_offset))?;
        u32::try_from(number).map_err(|_| self.error(ErrorKind::OutOfRange, self.value_offset))
    }

    fn missing(&self, name: &'static str) -> Error {
        self.error(ErrorKind::MissingItem(name), self.cursor.offset())
    }

    fn error(&self, kind: ErrorKind, offset: usize) -> Error {
        Error::new(kind, Some(self.kind), offset)
    }
}
