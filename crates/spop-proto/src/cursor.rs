//! A position in borrowed bytes that knows its offset, so that an error can say where it stands.

use crate::error::ErrorKind;
use crate::varint::{self, VarintError};

#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor over `bytes`, the first of which has the given offset in its frame.
    pub(crate) fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { rest: bytes, offset }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, ErrorKind> {
        let (&first, rest) = self.rest.split_first().ok_or(ErrorKind::Truncated)?;
        self.rest = rest;
        self.offset += 1;
        Ok(first)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], ErrorKind> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(ErrorKind::Truncated)?;
        self.rest = rest;
        self.offset += len;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ErrorKind> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(ErrorKind::Truncated)?;
        self.rest = rest;
        self.offset += N;
        Ok(*taken)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, ErrorKind> {
        let (value, len) = varint::decode(self.rest).map_err(|e| match e {
            VarintError::Truncated => ErrorKind::Truncated,
            VarintError::Overflow => ErrorKind::BadVarint,
        })?;
        self.bytes(len)?;
        Ok(value)
    }

    /// Goes back to `place`, where what is wrong begins, and fails.
    pub(crate) fn fail_at<T>(&mut self, place: Self, kind: ErrorKind) -> Result<T, ErrorKind> {
        *self = place;
        Err(kind)
    }

    /// A length and that many bytes: how names, strings and binary values are written.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], ErrorKind> {
        let len = usize::try_from(self.varint()?).map_err(|_| ErrorKind::Truncated)?;
        self.bytes(len)
    }
}
