//! Typed data (section 3.1): a byte with the type in its low nibble and flags in its high one, then
//! the value.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::cursor::Cursor;
use crate::error::ErrorKind;
use crate::varint;

const NULL: u8 = 0;
const BOOL: u8 = 1;
const INT32: u8 = 2;
const UINT32: u8 = 3;
const INT64: u8 = 4;
const UINT64: u8 = 5;
const IPV4: u8 = 6;
const IPV6: u8 = 7;
const STRING: u8 = 8;
const BINARY: u8 = 9;

const TYPE_MASK: u8 = 0x0f;
const FLAG_TRUE: u8 = 0x10;

/// One typed value. Strings are bytes: HAProxy does not promise UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value: what HAProxy sends when a sample expression yields nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed 32-bit integer.
    Int32(i32),
    /// An unsigned 32-bit integer.
    Uint32(u32),
    /// A signed 64-bit integer: the only integer HAProxy sends as an argument.
    Int64(i64),
    /// An unsigned 64-bit integer.
    Uint64(u64),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 address.
    Ipv6(Ipv6Addr),
    /// A string.
    String(&'a [u8]),
    /// Binary data.
    Binary(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes of a string or binary value.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::String(bytes) | Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// An integer of any type, if it is not negative.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Int32(n) => u64::try_from(n).ok(),
            Self::Uint32(n) => Some(u64::from(n)),
            Self::Int64(n) => u64::try_from(n).ok(),
            Self::Uint64(n) => Some(n),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn decode(cursor: &mut Cursor<'a>) -> Result<Self, ErrorKind> {
        match text(cursor.rest()) {
            Some((STRING, bytes, rest)) => {
                cursor.skip_to(rest);
                Ok(Self::String(bytes))
            }
            Some((_, bytes, rest)) => {
                cursor.skip_to(rest);
                Ok(Self::Binary(bytes))
            }
            None => {
                let (value, place) = Self::decode_any(cursor.clone());
                *cursor = place;
                value
            }
        }
    }

    /// Decodes a value of any type; gives it and what follows, or the error and where it stands.
    fn decode_any(mut cursor: Cursor<'a>) -> (Result<Self, ErrorKind>, Cursor<'a>) {
        let value = Self::decode_in(&mut cursor);
        (value, cursor)
    }

    fn decode_in(cursor: &mut Cursor<'a>) -> Result<Self, ErrorKind> {
        let start = cursor.clone();
        let kind = cursor.byte()?;
        let value = cursor.clone();
        Ok(match kind & TYPE_MASK {
            NULL => Self::Null,
            BOOL => Self::Bool(kind & FLAG_TRUE != 0),
            INT32 => match i32::try_from(cursor.varint()? as i64) {
                Ok(number) => Self::Int32(number),
                Err(_) => return cursor.fail_at(value, ErrorKind::OutOfRange),
            },
            UINT32 => match u32::try_from(cursor.varint()?) {
                Ok(number) => Self::Uint32(number),
                Err(_) => return cursor.fail_at(value, ErrorKind::OutOfRange),
            },
            INT64 => Self::Int64(cursor.varint()? as i64),
            UINT64 => Self::Uint64(cursor.varint()?),
            IPV4 => Self::Ipv4(Ipv4Addr::from(cursor.array::<4>()?)),
            IPV6 => Self::Ipv6(Ipv6Addr::from(cursor.array::<16>()?)),
            STRING => Self::String(cursor.string()?),
            BINARY => Self::Binary(cursor.string()?),
            other => return cursor.fail_at(start, ErrorKind::UnknownType(other)),
        })
    }

    /// Appends the value, with its type byte.
    pub fn encode(&self, output: &mut Vec<u8>) {
        match *self {
            Self::Null => output.push(NULL),
            Self::Bool(value) => output.push(if value { BOOL | FLAG_TRUE } else { BOOL }),
            Self::Int32(n) => {
                output.push(INT32);
                varint::encode(i64::from(n) as u64, output);
            }
            Self::Uint32(n) => {
                output.push(UINT32);
                varint::encode(u64::from(n), output);
            }
            Self::Int64(n) => {
                output.push(INT64);
                varint::encode(n as u64, output);
            }
            Self::Uint64(n) => {
                output.push(UINT64);
                varint::encode(n, output);
            }
            Self::Ipv4(address) => {
                output.push(IPV4);
                output.extend_from_slice(&address.octets());
            }
            Self::Ipv6(address) => {
                output.push(IPV6);
                output.extend_from_slice(&address.octets());
            }
            Self::String(bytes) => {
                output.push(STRING);
                encode_string(bytes, output);
            }
            Self::Binary(bytes) => {
                output.push(BINARY);
                encode_string(bytes, output);
            }
        }
    }
}

/// The type, the bytes and what follows them, when `input` begins with a string or binary value: what
/// nearly every argument is.
#[inline]
fn text(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = input.split_first()?;
    let kind = kind & TYPE_MASK;
    if !matches!(kind, STRING | BINARY) {
        return None;
    }
    let (bytes, rest) = varint::split_string(rest)?;
    Some((kind, bytes, rest))
}

/// Appends a length and the bytes: how names are written, which have no type byte.
pub(crate) fn encode_string(bytes: &[u8], output: &mut Vec<u8>) {
    varint::encode(bytes.len() as u64, output);
    output.extend_from_slice(bytes);
}
