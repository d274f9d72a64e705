//! HTTP headers as HAProxy's `req.hdrs_bin` and `res.hdrs_bin` write them: pairs of length-prefixed
//! name and value, ended by two empty strings (HAProxy's configuration manual, "req.hdrs_bin").

use std::fmt;

use crate::cursor::Cursor;
use crate::error::ErrorKind;
use crate::value::encode_string;
use crate::varint;

/// Why a header block is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderBlockError {
    /// It ends before its end mark: HAProxy cut it off.
    Truncated,
    /// A length that is no integer, or a value without a name.
    Malformed,
}

impl fmt::Display for HeaderBlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the header block ends before its end mark",
            Self::Malformed => "the header block has a bad length or a value without a name",
        })
    }
}

impl std::error::Error for HeaderBlockError {}

/// The headers of a block, in their order: name and value. Values may be empty and hold any byte.
///
/// After an error the iterator ends. Bytes behind the end mark are ignored.
#[derive(Debug, Clone)]
pub struct HeaderBlock<'a> {
    /// What is to come; `None` behind the end mark or an error.
    rest: Option<&'a [u8]>,
}

impl<'a> HeaderBlock<'a> {
    /// The headers in `block`.
    #[inline]
    #[must_use]
    pub fn new(block: &'a [u8]) -> Self {
        Self { rest: Some(block) }
    }
}

impl<'a> Iterator for HeaderBlock<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), HeaderBlockError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = varint::split_string(self.rest?).unwrap_or_default();
        match varint::split_string(rest) {
            Some((value, rest)) if !name.is_empty() => {
                self.rest = Some(rest);
                Some(Ok((name, value)))
            }
            _ => self.rest.take().and_then(end).map(Err),
        }
    }
}

/// What is wrong where no header is; nothing with the end mark.
fn end(rest: &[u8]) -> Option<HeaderBlockError> {
    let mut cursor = Cursor::new(rest, 0);
    match cursor.string().and_then(|_| cursor.string()) {
        // Only a header without a name comes here.
        Ok([]) => None,
        Ok(_) | Err(ErrorKind::BadVarint) => Some(HeaderBlockError::Malformed),
        Err(_) => Some(HeaderBlockError::Truncated),
    }
}

/// Appends `headers` as a block, with its end mark.
pub fn encode<'a>(headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>, output: &mut Vec<u8>) {
    for (name, value) in headers {
        encode_string(name, output);
        encode_string(value, output);
    }
    output.extend_from_slice(&[0, 0]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a block as the format is described, and says how it ends.
    fn simple<'a>(
        block: &'a [u8],
        headers: &mut Vec<(&'a [u8], &'a [u8])>,
    ) -> Option<HeaderBlockError> {
        let mut cursor = Cursor::new(block, 0);
        loop {
            match cursor.string().and_then(|name| Ok((name, cursor.string()?))) {
                Ok(([], [])) => return None,
                Ok(([], _)) | Err(ErrorKind::BadVarint) => {
                    return Some(HeaderBlockError::Malformed);
                }
                Ok(header) => headers.push(header),
                Err(_) => return Some(HeaderBlockError::Truncated),
            }
        }
    }

    proptest! {
        #[test]
        fn blocks_are_read_as_described(
            headers in proptest::collection::vec(("[a-z]{0,3}", "[ -~]{0,300}"), 0..4),
            noise in proptest::collection::vec((0usize..700, any::<u8>()), 0..3),
            cut in 0usize..700,
        ) {
            let mut block = Vec::new();
            encode(headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())), &mut block);
            for (at, byte) in noise {
                if let Some(place) = block.get_mut(at) {
                    *place = byte;
                }
            }
            block.truncate(cut);
            let mut headers = Vec::new();
            let error = simple(&block, &mut headers);
            let simple: Vec<_> = headers.into_iter().map(Ok).chain(error.map(Err)).collect();
            let mut read = HeaderBlock::new(&block);
            prop_assert_eq!(read.by_ref().collect::<Vec<_>>(), simple);
            prop_assert!(read.next().is_none());
        }
    }
}
