//! Alters lists of names and values: queries, forms, cookies. What is not altered stays byte for
//! byte.

use std::borrow::Cow;

use crate::policy::view;

/// What becomes of a name and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They stay.
    Keep,
    /// They go.
    Remove,
    /// The value is replaced by this, as it is to be written; a name without a value stays.
    Value(Vec<u8>),
    /// This replaces both.
    Pair(Vec<u8>),
}

impl Fate {
    /// Removal without a value, and else the value as `write` writes it.
    pub(crate) fn of(value: Option<Cow<'_, str>>, write: impl FnOnce(&[u8]) -> Vec<u8>) -> Self {
        value.map_or(Self::Remove, |value| Self::Value(write(value.as_bytes())))
    }
}

/// Alters a query or a form; `judge` gets names and values as they are written.
pub(crate) fn edit(query: &[u8], mut judge: impl FnMut(&[u8], &[u8]) -> Fate) -> Cow<'_, [u8]> {
    // Every pair that stays, with a separator behind each.
    let mut edited: Option<Vec<u8>> = None;
    let mut start = 0;
    for pair in query.split(|&byte| byte == b'&') {
        let equals = memchr::memchr(b'=', pair);
        let (name, value) = match equals {
            _ if pair.is_empty() => (&[][..], None),
            Some(at) => (&pair[..at], Some(&pair[at + 1..])),
            None => (pair, None),
        };
        let fate =
            if pair.is_empty() { Fate::Keep } else { judge(name, value.unwrap_or_default()) };
        let fate =
            if value.is_none() && matches!(fate, Fate::Value(_)) { Fate::Keep } else { fate };
        if fate != Fate::Keep && edited.is_none() {
            edited = Some(query[..start].to_vec());
        }
        start += pair.len() + 1;
        let Some(edited) = &mut edited else { continue };
        match fate {
            Fate::Remove => continue,
            Fate::Keep => edited.extend_from_slice(pair),
            Fate::Pair(written) => edited.extend_from_slice(&written),
            Fate::Value(written) => {
                edited.extend_from_slice(name);
                edited.push(b'=');
                edited.extend_from_slice(&written);
            }
        }
        edited.push(b'&');
    }
    match edited {
        None => Cow::Borrowed(query),
        Some(mut edited) => {
            edited.pop();
            Cow::Owned(edited)
        }
    }
}

/// Alters the value of a Cookie header; `None` when no cookie is left. What has no name is a cookie
/// with an empty one.
pub(crate) fn cookies(
    header: &[u8],
    mut judge: impl FnMut(&[u8], &[u8]) -> Fate,
) -> Option<Cow<'_, [u8]>> {
    let mut edited = Vec::with_capacity(header.len());
    let (mut altered, mut left) = (false, false);
    for piece in header.split(|&byte| byte == b';') {
        let pair = piece.trim_ascii();
        let (name, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (&[][..], pair),
        };
        let fate = if pair.is_empty() { Fate::Keep } else { judge(name, value) };
        altered |= fate != Fate::Keep;
        if fate == Fate::Remove {
            continue;
        }
        // The blank behind the separator goes with a cookie that becomes the first.
        let piece = if left || !altered { piece } else { piece.trim_ascii_start() };
        if left {
            edited.push(b';');
        }
        left |= !pair.is_empty();
        match fate {
            Fate::Value(written) | Fate::Pair(written) => {
                let blanks = piece.len() - piece.trim_ascii_start().len();
                edited.extend_from_slice(&piece[..blanks]);
                edited.extend_from_slice(name);
                edited.push(b'=');
                edited.extend_from_slice(&written);
            }
            _ => edited.extend_from_slice(piece),
        }
    }
    match (altered, left) {
        (false, _) => Some(Cow::Borrowed(header)),
        (true, false) => None,
        (true, true) => Some(Cow::Owned(edited)),
    }
}

/// A text as it stands in a query: everything but letters, digits and `-._~` is percent-encoded.
pub(crate) fn encoded(text: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = Vec::with_capacity(text.len());
    for &byte in text {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(byte);
        } else {
            let digit = |number: u8| DIGITS[usize::from(number & 15)];
            encoded.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte)]);
        }
    }
    encoded
}

/// Whether a name as it is written in a query says `wanted`.
pub(super) fn is_named(written: &[u8], wanted: &str) -> bool {
    *view::percent_decoded(written) == *wanted.as_bytes()
}
