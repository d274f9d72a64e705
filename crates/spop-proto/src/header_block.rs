//! HTTP headers as HAProxy's `req.hdrs_bin` and `res.hdrs_bin` write them: pairs of length-prefixed
//! name and value, ended by two empty strings (HAProxy's configuration manual, "req.hdrs_bin").

use std::fmt;

use crate::cursor::Cursor;
use crate::error::ErrorKind;
use crate::value::encode_string;

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
    cursor: Option<Cursor<'a>>,
}

impl<'a> HeaderBlock<'a> {
    /// The headers in `block`.
    #[must_use]
    pub fn new(block: &'a [u8]) -> Self {
        Self { cursor: Some(Cursor::new(block, 0)) }
    }
}

impl<'a> Iterator for HeaderBlock<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), HeaderBlockError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let cursor = self.cursor.as_mut()?;
        let pair = cursor.string().and_then(|name| Ok((name, cursor.string()?)));
        let item = match pair {
            Ok(([], [])) => None,
            Ok(([], _)) | Err(ErrorKind::BadVarint) => Some(Err(HeaderBlockError::Malformed)),
            Ok(pair) => return Some(Ok(pair)),
            Err(_) => Some(Err(HeaderBlockError::Truncated)),
        };
        self.cursor = None;
        item
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
