//! A position in borrowed bytes that knows its offset, so that an error can say where it stands.

use crate::error::ErrorKind;
use crate::varint::{self, VarintError};

#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    /// The offset of the end: it stays, whatever is taken.
    end: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor over `bytes`, the first of which has the given offset in its frame.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { rest: bytes, end: offset + bytes.len() }
    }

    #[inline]
    pub(crate) fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, ErrorKind> {
        let (&first, rest) = self.rest.split_first().ok_or(ErrorKind::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], ErrorKind> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(ErrorKind::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ErrorKind> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(ErrorKind::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, ErrorKind> {
        let (value, len) = varint::decode(self.rest).map_err(|e| match e {
            VarintError::Truncated => ErrorKind::Truncated,
            VarintError::Overflow => ErrorKind::BadVarint,
        })?;
        self.bytes(len)?;
        Ok(value)
    }

    /// Goes on at `rest`, which must be the end of what is left.
    #[inline]
    pub(crate) fn skip_to(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    /// Goes to `place`, where what is wrong begins, and fails.
    #[inline]
    pub(crate) fn fail_at<T>(&mut self, place: Self, kind: ErrorKind) -> Result<T, ErrorKind> {
        *self = place;
        Err(kind)
    }

    /// A length and that many bytes: how names, strings and binary values are written.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<&'a [u8], ErrorKind> {
        match varint::split_string(self.rest) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => {
                let (place, kind) = self.clone().no_string();
                self.fail_at(place, kind)
            }
        }
    }

    /// What is wrong where [`varint::split_string`] finds no string, and where. By value, like all that
    /// is rarely called, so that a cursor stays in registers.
    #[cold]
    fn no_string(mut self) -> (Self, ErrorKind) {
        let kind = self.varint().err().unwrap_or(ErrorKind::Truncated);
        (self, kind)
    }
}
