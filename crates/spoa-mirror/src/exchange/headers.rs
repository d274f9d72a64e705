//! A request's headers in either of HAProxy's forms, and what they say about the request.

use spop_proto::{HeaderBlock, HeaderBlockError};

/// Headers as they came: walked where they lie, again for each use.
#[derive(Debug, Clone, Copy)]
pub enum Headers<'a> {
    /// `req.hdrs_bin`.
    Block(&'a [u8]),
    /// `req.hdrs`: `name: value` lines.
    Text(&'a [u8]),
}

/// What is wrong with headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// Their end is missing: HAProxy cut them off.
    Truncated,
    /// They are not in the form that they are said to be in, or hold bytes that would break a
    /// request's framing.
    Malformed,
}

impl<'a> Headers<'a> {
    /// Names and values, in their order.
    #[must_use]
    pub fn iter(&self) -> HeaderIter<'a> {
        match self {
            Self::Block(block) => HeaderIter::Block(HeaderBlock::new(block)),
            Self::Text(text) => HeaderIter::Text(text),
        }
    }
}

/// Walks headers; ends after an error.
pub enum HeaderIter<'a> {
    /// Over `req.hdrs_bin`.
    Block(HeaderBlock<'a>),
    /// Over what is left of `req.hdrs`.
    Text(&'a [u8]),
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), HeaderError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Block(block) => Some(block.next()?.map_err(|error| match error {
                HeaderBlockError::Truncated => HeaderError::Truncated,
                HeaderBlockError::Malformed => HeaderError::Malformed,
            })),
            Self::Text(text) => {
                // An empty line ends them; HAProxy may leave it out.
                if text.is_empty() || *text == b"\r\n" {
                    return None;
                }
                let Some(end) = memchr::memmem::find(text, b"\r\n") else {
                    *text = &[];
                    return Some(Err(HeaderError::Truncated));
                };
                let (line, rest) = text.split_at(end);
                *text = &rest[2..];
                let Some(colon) = memchr::memchr(b':', line) else {
                    *text = &[];
                    return Some(Err(HeaderError::Malformed));
                };
                let value = &line[colon + 1..];
                Some(Ok((&line[..colon], value.strip_prefix(b" ").unwrap_or(value))))
            }
        }
    }
}

/// What the headers say about the request; gathered in one walk, which also proves that they can be
/// written without breaking a request's framing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// How many headers there are.
    pub count: usize,
    /// The Content-Length.
    pub content_length: Option<u64>,
    /// Whether there is a Transfer-Encoding: the client sent a body without telling its length.
    pub chunked: bool,
    /// Whether the client wants another protocol than HTTP/2.
    pub upgrade: bool,
    /// The value of the marker header, the last one if there are several.
    pub marker: Option<&'a [u8]>,
    /// Header names that Connection lists, besides the usual ones.
    pub(super) named: [&'a [u8]; MAX_NAMED],
    pub(super) named_count: usize,
}

/// A request whose Connection header names more headers than this is not copied: no client does so.
const MAX_NAMED: usize = 16;

impl<'a> Facts<'a> {
    /// Walks the headers; `marker` is the name, in lower case, of the header that marks copies.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn gather(headers: &Headers<'a>, marker: Option<&str>) -> Result<Self, HeaderError> {
        let mut facts = Self::default();
        for header in headers.iter() {
            let (name, value) = header?;
            if !is_token(name) || memchr::memchr3(b'\r', b'\n', 0, value).is_some() {
                return Err(HeaderError::Malformed);
            }
            facts.count += 1;
            match name.len() {
                7 if name.eq_ignore_ascii_case(b"upgrade") => {
                    facts.upgrade |= wants_other_protocol(value);
                }
                10 if name.eq_ignore_ascii_case(b"connection") => facts.connection(value)?,
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    let length = parse_length(value).ok_or(HeaderError::Malformed)?;
                    if facts.content_length.is_some_and(|other| other != length) {
                        return Err(HeaderError::Malformed);
                    }
                    facts.content_length = Some(length);
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => facts.chunked = true,
                _ => {}
            }
            if marker.is_some_and(|marker| name.eq_ignore_ascii_case(marker.as_bytes())) {
                facts.marker = Some(value);
            }
        }
        // RFC 9112, section 6.3: Transfer-Encoding overrides Content-Length.
        if facts.chunked {
            facts.content_length = None;
        }
        Ok(facts)
    }

    fn connection(&mut self, value: &'a [u8]) -> Result<(), HeaderError> {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if option.is_empty()
                || option.eq_ignore_ascii_case(b"keep-alive")
                || option.eq_ignore_ascii_case(b"close")
                || option.eq_ignore_ascii_case(b"upgrade")
            {
                continue;
            }
            *self.named.get_mut(self.named_count).ok_or(HeaderError::Malformed)? = option;
            self.named_count += 1;
        }
        Ok(())
    }

    /// The headers of a copy: those of the request that do not belong to its connection, and not the
    /// marker. Content-Length and Transfer-Encoding are among them: where the first of them stands, a
    /// copy has its length.
    pub fn copied(
        &self,
        headers: &Headers<'a>,
        marker: Option<&str>,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        // The facts were gathered from the same headers without an error.
        headers.iter().map_while(Result::ok).filter(move |(name, _)| {
            is_framing(name)
                || !self.is_hop_by_hop(name)
                    && !marker.is_some_and(|marker| name.eq_ignore_ascii_case(marker.as_bytes()))
        })
    }

    /// Whether a header belongs to the connection it came on and not to the request (RFC 9110,
    /// section 7.6.1), or describes the body's framing there. Content-Length is not among them.
    #[inline]
    #[must_use]
    pub fn is_hop_by_hop(&self, name: &[u8]) -> bool {
        let fixed = match name.len() {
            2 => name.eq_ignore_ascii_case(b"te"),
            7 => name.eq_ignore_ascii_case(b"upgrade") || name.eq_ignore_ascii_case(b"trailer"),
            10 => {
                name.eq_ignore_ascii_case(b"connection") || name.eq_ignore_ascii_case(b"keep-alive")
            }
            14 => name.eq_ignore_ascii_case(b"http2-settings"),
            16 => name.eq_ignore_ascii_case(b"proxy-connection"),
            17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
            _ => false,
        };
        fixed
            || self.named[..self.named_count]
                .iter()
                .any(|named| named.eq_ignore_ascii_case(name) && !is_end_to_end(name))
    }
}

/// Whether a header says where the body ends.
#[inline]
#[must_use]
pub fn is_framing(name: &[u8]) -> bool {
    match name.len() {
        14 => name.eq_ignore_ascii_case(b"content-length"),
        17 => name.eq_ignore_ascii_case(b"transfer-encoding"),
        _ => false,
    }
}

/// Headers that Connection cannot take away: without them the copy would be another request.
fn is_end_to_end(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"host") || name.eq_ignore_ascii_case(b"content-length")
}

/// Whether an Upgrade header asks for anything but HTTP/2 or TLS, which a server may ignore.
fn wants_other_protocol(value: &[u8]) -> bool {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(|protocol| {
        !(protocol.is_empty()
            || protocol.eq_ignore_ascii_case(b"h2c")
            || protocol.len() >= 4 && protocol[..4].eq_ignore_ascii_case(b"tls/")
            || protocol.len() >= 5 && protocol[..5].eq_ignore_ascii_case(b"http/"))
    })
}

fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// Whether `name` is a token (RFC 9110, section 5.6.2): what may stand as a method or header name.
#[inline]
#[must_use]
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&byte| TOKEN[usize::from(byte)])
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256
        let c = byte as u8;
        table[byte] = c.is_ascii_alphanumeric()
            || matches!(
                c,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn block(headers: &[(&str, &[u8])]) -> Vec<u8> {
        let mut block = Vec::new();
        let pairs = headers.iter().map(|&(name, value)| (name.as_bytes(), value));
        spop_proto::encode_header_block(pairs, &mut block);
        block
    }

    #[test]
    fn text_and_block_give_the_same_headers() {
        let block = block(&[("host", b"h"), ("x-empty", b""), ("x-colon", b"a: b")]);
        let text = b"host: h\r\nx-empty: \r\nx-colon: a: b\r\n\r\n";
        let from_block: Vec<_> = Headers::Block(&block).iter().map(Result::unwrap).collect();
        let from_text: Vec<_> = Headers::Text(text).iter().map(Result::unwrap).collect();
        assert_eq!(from_block, from_text);
    }

    #[test]
    fn a_missing_end_is_truncation() {
        let mut bytes = block(&[("host", b"example")]);
        bytes.truncate(bytes.len() - 2);
        let headers = Headers::Block(&bytes);
        assert_eq!(Facts::gather(&headers, None).unwrap_err(), HeaderError::Truncated);
        let headers = Headers::Text(b"host: h\r\nx-cut: a");
        assert_eq!(Facts::gather(&headers, None).unwrap_err(), HeaderError::Truncated);
    }

    #[test]
    fn bytes_that_would_break_framing_are_refused() {
        for (name, value) in [
            ("x", &b"a\r\nhost: evil"[..]),
            ("x", b"a\nb"),
            ("x", b"a\0b"),
            ("x y", b"a"),
            ("x:", b"a"),
            ("content-length", b"1x"),
            ("content-length", b""),
            ("content-length", b"99999999999999999999"),
        ] {
            let bytes = block(&[(name, value)]);
            let facts = Facts::gather(&Headers::Block(&bytes), None);
            assert_eq!(facts.unwrap_err(), HeaderError::Malformed, "{name}");
        }
        let bytes = block(&[("content-length", b"1"), ("content-length", b"2")]);
        let facts = Facts::gather(&Headers::Block(&bytes), None);
        assert_eq!(facts.unwrap_err(), HeaderError::Malformed);
    }

    #[test]
    fn hop_by_hop_headers_are_known_and_named() {
        let bytes = block(&[("connection", b"close, X-Hop ,host"), ("x-hop", b"1")]);
        let facts = Facts::gather(&Headers::Block(&bytes), None).unwrap();
        for name in ["Connection", "x-hop", "X-HOP", "keep-alive", "te", "transfer-encoding"] {
            assert!(facts.is_hop_by_hop(name.as_bytes()), "{name}");
        }
        for name in ["host", "cookie", "content-length", "x-hop2", "authorization"] {
            assert!(!facts.is_hop_by_hop(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn only_an_upgrade_away_from_http_counts() {
        for (value, upgrade) in
            [("websocket", true), ("h2c", false), ("TLS/1.0, HTTP/2.0", false), ("h2c, foo", true)]
        {
            let bytes = block(&[("upgrade", value.as_bytes())]);
            let facts = Facts::gather(&Headers::Block(&bytes), None).unwrap();
            assert_eq!(facts.upgrade, upgrade, "{value}");
        }
    }
}
