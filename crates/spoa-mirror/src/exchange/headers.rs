//! A request's headers in either of HAProxy's forms, and what they say about the request.

use spop_proto::{HeaderBlock, HeaderBlockError};

use super::bytes::{is_token, is_value};

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
#[derive(Debug, Clone)]
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
            Self::Block(block) => Some(block.next()?.map_err(HeaderError::from)),
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

impl From<HeaderBlockError> for HeaderError {
    fn from(error: HeaderBlockError) -> Self {
        match error {
            HeaderBlockError::Truncated => Self::Truncated,
            HeaderBlockError::Malformed => Self::Malformed,
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
    /// Which of the first [`REMEMBERED`] headers are not copied, whatever Connection lists; the lowest bit
    /// is the first header's.
    pub(super) left_out: u64,
}

/// A request whose Connection header names more headers than this is not copied: no client does so.
const MAX_NAMED: usize = 16;

/// For how many headers it is remembered whether they are copied: the bits of `left_out`. Of any further
/// one it is found out again.
const REMEMBERED: usize = 64;

impl<'a> Facts<'a> {
    /// Walks the headers; `marker` is the name, in lower case, of the header that marks copies.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn gather(headers: &Headers<'a>, marker: Option<&str>) -> Result<Self, HeaderError> {
        let marker = marker.map(str::as_bytes);
        let mut facts = Self::default();
        // One loop for each form, so that it is not asked for with each header.
        match *headers {
            Headers::Block(block) => {
                for header in HeaderBlock::new(block) {
                    facts.header(header?, marker)?;
                }
            }
            Headers::Text(text) => {
                for header in HeaderIter::Text(text) {
                    facts.header(header?, marker)?;
                }
            }
        }
        // RFC 9112, section 6.3: Transfer-Encoding overrides Content-Length.
        if facts.chunked {
            facts.content_length = None;
        }
        Ok(facts)
    }

    #[inline]
    fn header(
        &mut self,
        (name, value): (&'a [u8], &'a [u8]),
        marker: Option<&[u8]>,
    ) -> Result<(), HeaderError> {
        if !is_token(name) || !is_value(value) {
            return Err(HeaderError::Malformed);
        }
        let known = Known::of(name);
        if let Some(known) = known {
            self.known(known, value)?;
        }
        let marks = is_marker(name, marker);
        if marks {
            self.marker = Some(value);
        }
        if (marks || known.is_some_and(Known::is_hop_by_hop))
            && !known.is_some_and(Known::is_framing)
            && self.count < REMEMBERED
        {
            self.left_out |= 1 << self.count;
        }
        self.count += 1;
        Ok(())
    }

    fn known(&mut self, known: Known, value: &'a [u8]) -> Result<(), HeaderError> {
        match known {
            Known::Upgrade => self.upgrade |= wants_other_protocol(value),
            Known::Connection => self.connection(value)?,
            Known::ContentLength => {
                let length = parse_length(value).ok_or(HeaderError::Malformed)?;
                if self.content_length.is_some_and(|other| other != length) {
                    return Err(HeaderError::Malformed);
                }
                self.content_length = Some(length);
            }
            Known::TransferEncoding => self.chunked = true,
            Known::HopByHop => {}
        }
        Ok(())
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
    /// copy has its length. `headers` and `marker` must be those that the facts were gathered from.
    pub fn copied<'f>(&'f self, headers: &Headers<'a>, marker: Option<&'f str>) -> Copied<'f, 'a> {
        Copied {
            headers: headers.iter(),
            facts: self,
            marker: marker.map(str::as_bytes),
            left_out: self.left_out,
            known: if self.named_count == 0 { REMEMBERED } else { 0 },
        }
    }

    /// Whether a header belongs to the connection it came on and not to the request (RFC 9110,
    /// section 7.6.1), or describes the body's framing there. Content-Length is not among them.
    #[must_use]
    pub fn is_hop_by_hop(&self, name: &[u8]) -> bool {
        Known::of(name).is_some_and(Known::is_hop_by_hop)
            || self.named[..self.named_count]
                .iter()
                .any(|named| named.eq_ignore_ascii_case(name) && !is_end_to_end(name))
    }
}

/// The headers of a copy, see [`Facts::copied`].
pub struct Copied<'f, 'a> {
    headers: HeaderIter<'a>,
    facts: &'f Facts<'a>,
    marker: Option<&'f [u8]>,
    /// As in the facts, from the next header on.
    left_out: u64,
    /// For how many headers that is known.
    known: usize,
}

impl Copied<'_, '_> {
    /// Whether the next header, which has this name, is copied.
    #[inline]
    fn takes(&mut self, name: &[u8]) -> bool {
        if self.known > 0 {
            self.known -= 1;
            let takes = self.left_out & 1 == 0;
            self.left_out >>= 1;
            return takes;
        }
        is_framing(name) || !self.facts.is_hop_by_hop(name) && !is_marker(name, self.marker)
    }
}

impl<'a> Iterator for Copied<'_, 'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // The facts were gathered from the same headers without an error.
        while let Some(Ok(header)) = self.headers.next() {
            if self.takes(header.0) {
                return Some(header);
            }
        }
        None
    }

    /// Asks for the form of the headers once, not with each.
    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, start: B, mut each: F) -> B {
        let mut sum = start;
        if let HeaderIter::Block(mut block) = self.headers.clone() {
            while let Some(Ok(header)) = block.next() {
                if self.takes(header.0) {
                    sum = each(sum, header);
                }
            }
        } else {
            for header in self {
                sum = each(sum, header);
            }
        }
        sum
    }
}

/// Headers that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Connection,
    ContentLength,
    TransferEncoding,
    Upgrade,
    /// Any other that belongs to the connection it came on.
    HopByHop,
}

impl Known {
    #[inline]
    fn of(name: &[u8]) -> Option<Self> {
        // By length and first letter: few names need to be compared.
        let (text, known): (&[u8], Self) = match (name.len(), name.first()? | 0x20) {
            (2, b't') => (b"te", Self::HopByHop),
            (7, b'u') => (b"upgrade", Self::Upgrade),
            (7, b't') => (b"trailer", Self::HopByHop),
            (10, b'c') => (b"connection", Self::Connection),
            (10, b'k') => (b"keep-alive", Self::HopByHop),
            (14, b'c') => (b"content-length", Self::ContentLength),
            (14, b'h') => (b"http2-settings", Self::HopByHop),
            (16, b'p') => (b"proxy-connection", Self::HopByHop),
            (17, b't') => (b"transfer-encoding", Self::TransferEncoding),
            _ => return None,
        };
        name.eq_ignore_ascii_case(text).then_some(known)
    }

    fn is_hop_by_hop(self) -> bool {
        self != Self::ContentLength
    }

    /// Whether it says where the body ends.
    fn is_framing(self) -> bool {
        matches!(self, Self::ContentLength | Self::TransferEncoding)
    }
}

/// Whether a header says where the body ends.
#[inline]
#[must_use]
pub fn is_framing(name: &[u8]) -> bool {
    Known::of(name).is_some_and(Known::is_framing)
}

#[inline]
fn is_marker(name: &[u8], marker: Option<&[u8]>) -> bool {
    marker.is_some_and(|marker| name.len() == marker.len() && name.eq_ignore_ascii_case(marker))
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

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

    /// What [`Facts::copied`] should give, said as simply as possible; `None` for what is refused.
    fn simply_copied<'a>(
        headers: &'a [(String, String)],
        marker: Option<&str>,
    ) -> Option<Vec<(&'a [u8], &'a [u8])>> {
        let is = |name: &str, known: &str| name.eq_ignore_ascii_case(known);
        let values = |known| headers.iter().filter(move |(name, _)| is(name, known)).map(|h| &*h.1);
        let lengths: Vec<_> = values("content-length").collect();
        let options = values("connection").flat_map(|value| value.split(',')).map(str::trim);
        let named: Vec<_> = options
            .filter(|option| {
                !["", "keep-alive", "close", "upgrade"].iter().any(|usual| is(option, usual))
            })
            .collect();
        let no_number =
            |text: &&str| text.is_empty() || text.contains(|c: char| !c.is_ascii_digit());
        let refused = lengths.iter().any(no_number)
            || lengths.windows(2).any(|two| two[0] != two[1])
            || named.len() > MAX_NAMED
            || headers.iter().any(|(name, value)| {
                name.contains(|c: char| {
                    !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(c)
                }) || value.contains(['\r', '\n', '\0'])
            });
        let copied = headers.iter().filter(|(name, _)| {
            let framing = ["content-length", "transfer-encoding"];
            let hop = "te upgrade trailer connection keep-alive http2-settings proxy-connection";
            framing.iter().any(|known| is(name, known))
                || !hop.split(' ').any(|known| is(name, known))
                    && !marker.is_some_and(|marker| is(name, marker))
                    && (is(name, "host") || !named.iter().any(|named| is(name, named)))
        });
        let bytes = |(name, value): &'a (String, String)| (name.as_bytes(), value.as_bytes());
        (!refused).then(|| copied.map(bytes).collect())
    }

    /// Headers that mean something, in either case, and others; now and then one that is refused.
    fn header() -> impl Strategy<Value = (String, String)> {
        let names = "te upgrade trailer connection keep-alive http2-settings proxy-connection \
            transfer-encoding host x-shadow X-Hop Connection TE tE x_hop accept user-agent \
            contention keep-alife tr t content-lengths x";
        let names: Vec<_> = names.split_whitespace().map(str::to_owned).collect();
        let name = prop_oneof![proptest::sample::select(names), "[a-z0-9-]{1,40}"];
        let value = prop_oneof!["[ -~]{0,40}", "(x-hop|close|host|x|, |,){0,5}"];
        prop_oneof![
            1000 => (name, value),
            20 => ("[cC]ontent-[lL]ength", Just("7".to_owned())),
            1 => ("content-length", "[0-9 ]{0,2}"),
            1 => ("[ -~]{1,20}", "[a-z]"),
            1 => ("[a-z]", "[ -~]{0,20}[\\x00-\\x1f][ -~]{0,20}"),
        ]
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_what_is_found(
            headers in proptest::collection::vec(header(), 0..100),
            marker in proptest::option::of(Just("x-shadow")),
        ) {
            let pairs: Vec<_> =
                headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
            let block = block(&pairs);
            let headers_of_block = Headers::Block(&block);
            let facts = Facts::gather(&headers_of_block, marker);
            let expected = simply_copied(&headers, marker);
            prop_assert_eq!(facts.is_ok(), expected.is_some());
            if let (Ok(facts), Some(expected)) = (facts, expected) {
                prop_assert_eq!(facts.count, headers.len());
                let copied: Vec<_> = facts.copied(&headers_of_block, marker).collect();
                prop_assert_eq!(&copied, &expected);
                let mut folded = Vec::new();
                facts.copied(&headers_of_block, marker).for_each(|header| folded.push(header));
                prop_assert_eq!(&folded, &expected);
            }
        }
    }
}
