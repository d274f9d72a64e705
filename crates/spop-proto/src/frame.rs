//! Frames (section 3.2): a 32-bit length, then type, flags, stream-id, frame-id and payload.

use std::fmt;

use crate::LENGTH_PREFIX;
use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind};
use crate::varint;

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameType {
    /// 0: the continuation of a fragmented frame.
    Unset,
    /// 1: HAProxy's half of the handshake.
    HaproxyHello,
    /// 2: HAProxy closes the connection.
    HaproxyDisconnect,
    /// 3: messages for the agent.
    Notify,
    /// 101: the agent's half of the handshake.
    AgentHello,
    /// 102: the agent closes the connection.
    AgentDisconnect,
    /// 103: the answer to a NOTIFY.
    Ack,
    /// A kind this crate does not know; the document asks to skip such a frame.
    Unknown(u8),
}

impl FrameType {
    /// The kind with this number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Unset,
            1 => Self::HaproxyHello,
            2 => Self::HaproxyDisconnect,
            3 => Self::Notify,
            101 => Self::AgentHello,
            102 => Self::AgentDisconnect,
            103 => Self::Ack,
            other => Self::Unknown(other),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Unset => 0,
            Self::HaproxyHello => 1,
            Self::HaproxyDisconnect => 2,
            Self::Notify => 3,
            Self::AgentHello => 101,
            Self::AgentDisconnect => 102,
            Self::Ack => 103,
            Self::Unknown(other) => other,
        }
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("UNSET"),
            Self::HaproxyHello => f.write_str("HAPROXY-HELLO"),
            Self::HaproxyDisconnect => f.write_str("HAPROXY-DISCONNECT"),
            Self::Notify => f.write_str("NOTIFY"),
            Self::AgentHello => f.write_str("AGENT-HELLO"),
            Self::AgentDisconnect => f.write_str("AGENT-DISCONNECT"),
            Self::Ack => f.write_str("ACK"),
            Self::Unknown(byte) => write!(f, "type {byte}"),
        }
    }
}

/// A frame's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// The last, or only, fragment.
    pub const FIN: Self = Self(1);
    /// The sender gives up a fragmented frame.
    pub const ABORT: Self = Self(2);

    /// Whether this is the last, or only, fragment.
    #[must_use]
    pub fn is_fin(self) -> bool {
        self.0 & Self::FIN.0 != 0
    }

    /// Whether the sender gives the frame up.
    #[must_use]
    pub fn is_abort(self) -> bool {
        self.0 & Self::ABORT.0 != 0
    }
}

/// One frame, its payload borrowed from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its kind.
    pub kind: FrameType,
    /// Its flags.
    pub flags: Flags,
    /// The stream it belongs to; 0 in handshakes.
    pub stream_id: u64,
    /// The frame's number in its stream; 0 in handshakes.
    pub frame_id: u64,
    /// What follows the fixed fields.
    pub payload: &'a [u8],
    /// Bytes from the start of the length prefix to the payload.
    pub payload_offset: usize,
}

impl Frame<'_> {
    /// Bytes that the whole frame takes in the input, its length prefix included.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.payload_offset + self.payload.len()
    }
}

/// Type and flags, and at least one byte for each id.
const FIXED_FIELDS: u32 = 1 + 4 + 1 + 1;

/// Decodes the frame at the start of `input`; `None` when it is not there in full yet.
///
/// `limit` is the longest frame allowed, in bytes without the length prefix; a longer one is refused
/// as soon as its prefix and the byte behind it are there: that byte is its type, for the error.
///
/// # Errors
/// A length over `limit` or too short for a frame, and ids that are not variable-length integers.
#[inline]
pub fn decode(input: &[u8], limit: u32) -> Result<Option<Frame<'_>>, Error> {
    let Some((prefix, rest)) = input.split_first_chunk::<LENGTH_PREFIX>() else { return Ok(None) };
    let length = u32::from_be_bytes(*prefix);
    if length < FIXED_FIELDS || length > limit {
        return refused(length, limit, rest);
    }
    let Some(body) = rest.get(..length as usize) else { return Ok(None) };
    let mut cursor = Cursor::new(body, LENGTH_PREFIX);
    match fields(&mut cursor) {
        Ok((kind, flags, stream_id, frame_id)) => Ok(Some(Frame {
            kind,
            flags,
            stream_id,
            frame_id,
            payload: cursor.rest(),
            payload_offset: cursor.offset(),
        })),
        Err(error) => Err(Error::new(error, kind_of(body), cursor.offset())),
    }
}

/// What is wrong with a length that no frame may have; `rest` is what came after it.
#[cold]
fn refused(length: u32, limit: u32, rest: &[u8]) -> Result<Option<Frame<'_>>, Error> {
    let kind = kind_of(rest);
    if length == 0 {
        return Err(Error::new(ErrorKind::FrameTooShort, None, 0));
    }
    if kind.is_none() {
        return Ok(None);
    }
    let error = if length > limit {
        ErrorKind::FrameTooLong { length, limit }
    } else {
        ErrorKind::FrameTooShort
    };
    Err(Error::new(error, kind, 0))
}

fn kind_of(body: &[u8]) -> Option<FrameType> {
    body.first().map(|&byte| FrameType::from_byte(byte))
}

#[inline]
fn fields(cursor: &mut Cursor<'_>) -> Result<(FrameType, Flags, u64, u64), ErrorKind> {
    let kind = FrameType::from_byte(cursor.byte()?);
    let flags = Flags(u32::from_be_bytes(cursor.array()?));
    Ok((kind, flags, cursor.varint()?, cursor.varint()?))
}

/// How many bytes the frame at the start of `input` takes in all, as soon as its length is there:
/// what a reader should make room for.
#[must_use]
pub fn needed(input: &[u8]) -> Option<usize> {
    let prefix = input.first_chunk::<LENGTH_PREFIX>()?;
    Some(LENGTH_PREFIX.saturating_add(u32::from_be_bytes(*prefix) as usize))
}

/// How many bytes of the frame that begins with `start` must be there before [`decode`] gives it or
/// refuses it; with less than a length prefix in `start`, how many must be there to ask again.
pub(crate) fn wanted(start: &[u8], limit: u32) -> usize {
    let Some(prefix) = start.first_chunk::<LENGTH_PREFIX>() else { return LENGTH_PREFIX };
    match u32::from_be_bytes(*prefix) {
        0 => LENGTH_PREFIX,
        length if length < FIXED_FIELDS || length > limit => LENGTH_PREFIX + 1,
        length => LENGTH_PREFIX.saturating_add(length as usize),
    }
}

/// Appends a frame; `payload` writes what follows the fixed fields.
#[inline]
pub fn encode(
    kind: FrameType,
    flags: Flags,
    stream_id: u64,
    frame_id: u64,
    output: &mut Vec<u8>,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    let start = output.len();
    let [f0, f1, f2, f3] = flags.0.to_be_bytes();
    // The length is written when it is known.
    output.extend_from_slice(&[0, 0, 0, 0, kind.byte(), f0, f1, f2, f3]);
    varint::encode(stream_id, output);
    varint::encode(frame_id, output);
    payload(output);
    let length = u32::try_from(output.len() - start - LENGTH_PREFIX).unwrap_or(u32::MAX);
    if let Some(prefix) = output.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<LENGTH_PREFIX>)
    {
        *prefix = length.to_be_bytes();
    }
}
