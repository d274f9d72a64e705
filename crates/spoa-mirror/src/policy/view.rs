//! A request as rules look at it: everything is found where it lies, when it is asked for.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::IpAddr;
use std::ops::Deref;

use spop_proto::Value;

use crate::config::Key;
use crate::exchange::{Exchange, RequestTarget};

/// Looks up the parts of a request.
#[derive(Debug)]
pub struct View<'a> {
    exchange: Exchange<'a>,
}

/// A value as text: as it came, or a number or address written out.
#[derive(Debug, Clone, Copy)]
pub enum Text<'a> {
    /// As it came.
    Bytes(&'a [u8]),
    /// Written out.
    Written {
        /// The text, and room.
        bytes: [u8; WRITTEN],
        /// The length of the text.
        length: usize,
    },
}

/// The longest number or address written out, in bytes.
const WRITTEN: usize = 45;

impl Text<'_> {
    fn written(value: impl std::fmt::Display) -> Self {
        let mut bytes = [0; WRITTEN];
        let mut room = &mut bytes[..];
        // There is room for the longest number and the longest address.
        let _ = write!(room, "{value}");
        let length = WRITTEN - room.len();
        Self::Written { bytes, length }
    }
}

impl Deref for Text<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Written { bytes, length } => &bytes[..*length],
        }
    }
}

impl<'a> View<'a> {
    /// Looks at `exchange`.
    #[must_use]
    pub fn new(exchange: &Exchange<'a>) -> Self {
        Self { exchange: *exchange }
    }

    /// The first value of `key`, as the client wrote it.
    #[must_use]
    pub fn first(&self, key: &Key) -> Option<Text<'a>> {
        match key {
            Key::Header(name) => self.header(name).map(Text::Bytes),
            Key::Cookie(name) => self.cookie(name).map(Text::Bytes),
            Key::Query(name) => self.parameters(name).next().map(Text::Bytes),
            Key::Source => self.source().map(Text::written),
            Key::Argument(name) => self.argument(name),
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &'a [u8] {
        self.exchange.method
    }

    /// The path as the client wrote it, without the query; `/` for an absolute URL without a path,
    /// `*` for the server as a whole, and nothing for an authority.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        match self.exchange.target {
            RequestTarget::Origin { path, .. } => split_query(path).0,
            RequestTarget::Absolute { path, .. } => match split_query(path).0 {
                b"" => b"/",
                path => path,
            },
            RequestTarget::Asterisk => b"*",
            RequestTarget::Authority(_) => b"",
        }
    }

    /// The query as the client wrote it, without the question mark; empty without one.
    #[must_use]
    pub fn query(&self) -> &'a [u8] {
        match self.exchange.target {
            RequestTarget::Origin { path, query: b"" } | RequestTarget::Absolute { path, .. } => {
                split_query(path).1
            }
            RequestTarget::Origin { query, .. } => query,
            RequestTarget::Asterisk | RequestTarget::Authority(_) => b"",
        }
    }

    /// The host that the client asked for, without the port: from the Host header, or else from an
    /// absolute URL.
    #[must_use]
    pub fn host(&self) -> &'a [u8] {
        let authority = self.header("host").unwrap_or(match self.exchange.target {
            RequestTarget::Absolute { origin, .. } => {
                memchr::memmem::find(origin, b"://").map_or(&[][..], |at| &origin[at + 3..])
            }
            RequestTarget::Authority(authority) => authority,
            _ => b"",
        });
        without_port(authority)
    }

    /// The host in lower case.
    #[must_use]
    pub fn host_lowercase(&self) -> Cow<'a, [u8]> {
        let host = self.host();
        if host.iter().any(u8::is_ascii_uppercase) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        }
    }

    /// Names and values of all headers, as far as they can be read.
    pub fn all_headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.exchange.headers.iter().map_while(Result::ok)
    }

    /// The first header of this name, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers(name).next()
    }

    /// The headers of this name, which is in lower case.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.all_headers()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The first cookie of this name.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&'a [u8]> {
        self.cookies(name).next()
    }

    /// The cookies of this name.
    pub fn cookies(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers("cookie")
            .flat_map(cookies)
            .filter_map(move |(found, value)| (found == name.as_bytes()).then_some(value))
    }

    /// The query parameters of this name, as the client wrote them. Names are compared decoded.
    pub fn parameters(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        parameters(self.query())
            .filter(move |(found, _)| *percent_decoded(found) == *name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The client's address: the argument `src`, or `arg_src`.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        let value = self.exchange.message.get(b"src");
        let address = match value.or_else(|| self.exchange.message.get(b"arg_src"))? {
            Value::Ipv4(address) => IpAddr::V4(address),
            Value::Ipv6(address) => IpAddr::V6(address),
            value => std::str::from_utf8(value.as_bytes()?).ok()?.parse().ok()?,
        };
        Some(address.to_canonical())
    }

    /// The argument of this name, or of `arg_` and this name, as text; `None` without a value.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<Text<'a>> {
        let value = self.exchange.message.get(name.as_bytes()).or_else(|| {
            let mut arguments = self.exchange.message.arguments();
            arguments
                .find(|(found, _)| found.strip_prefix(b"arg_") == Some(name.as_bytes()))
                .map(|(_, value)| value)
        })?;
        Some(match value {
            Value::Null => return None,
            Value::Bool(true) => Text::Bytes(b"true"),
            Value::Bool(false) => Text::Bytes(b"false"),
            Value::Ipv4(address) => Text::written(address),
            Value::Ipv6(address) => Text::written(address),
            Value::Int32(number) => Text::written(number),
            Value::Uint32(number) => Text::written(number),
            Value::Int64(number) => Text::written(number),
            Value::Uint64(number) => Text::written(number),
            Value::String(bytes) | Value::Binary(bytes) => Text::Bytes(bytes),
        })
    }
}

/// Splits at the first question mark: path, and query without it.
#[must_use]
pub fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &[]),
    }
}

/// Names and values of a query, or of a form, as they are written.
pub fn parameters(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        }
    })
}

/// Names and values of a Cookie header (RFC 6265, section 4.2).
pub fn cookies(header: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    header.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).filter_map(|pair| {
        let at = memchr::memchr(b'=', pair)?;
        Some((&pair[..at], &pair[at + 1..]))
    })
}

/// A part of a query with `%` escapes and `+` resolved; what is no escape stays.
#[must_use]
pub fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return Cow::Borrowed(text);
    }
    let digit = |at: usize| text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(at), digit(at + 1)) {
                (Some(high), Some(low)) => {
                    at += 2;
                    // Two hexadecimal digits are a byte.
                    u8::try_from(high * 16 + low).unwrap_or(byte)
                }
                _ => byte,
            },
            byte => byte,
        });
    }
    Cow::Owned(decoded)
}

fn without_port(authority: &[u8]) -> &[u8] {
    let end = if authority.first() == Some(&b'[') {
        memchr::memchr(b']', authority).map_or(authority.len(), |at| at + 1)
    } else {
        memchr::memchr(b':', authority).unwrap_or(authority.len())
    };
    &authority[..end]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::tests_support;

    fn with_view<T>(
        url: &[u8],
        headers: &[u8],
        arguments: &[(&[u8], Value<'_>)],
        look: impl FnOnce(&View<'_>) -> T,
    ) -> T {
        tests_support::with_view(b"GET", url, headers, arguments, look)
    }

    #[test]
    fn path_query_and_host_in_every_form_of_target() {
        for (url, path, query, host) in [
            (&b"/a/b?c=d?e"[..], &b"/a/b"[..], &b"c=d?e"[..], &b"h.example"[..]),
            (b"http://x:80/a?b", b"/a", b"b", b"h.example"),
            (b"http://x?b", b"/", b"b", b"h.example"),
            (b"*", b"*", b"", b"h.example"),
        ] {
            with_view(url, b"host: h.example:8080\r\n\r\n", &[], |view| {
                assert_eq!((view.path(), view.query(), view.host()), (path, query, host));
            });
        }
        with_view(b"http://x:80/a", b"", &[], |view| assert_eq!(view.host(), b"x"));
        with_view(b"/", b"host: [::1]:80\r\n\r\n", &[], |view| assert_eq!(view.host(), b"[::1]"));
    }

    #[test]
    fn cookies_and_parameters() {
        let headers = b"cookie: a=1; b=2=3\r\ncookie: c=4\r\n\r\n";
        with_view(b"/?x=1&y%5B%5D=a+b&x=2&z", headers, &[], |view| {
            assert_eq!(view.cookie("b"), Some(&b"2=3"[..]));
            assert_eq!(view.cookie("c"), Some(&b"4"[..]));
            assert_eq!(view.cookie("d"), None);
            let values = |name| view.parameters(name).collect::<Vec<_>>();
            assert_eq!(values("x"), [b"1", b"2"]);
            assert_eq!(values("y[]"), [b"a+b"]);
            assert_eq!(values("z"), [b""]);
        });
        assert_eq!(*percent_decoded(b"a+b%20%zz%4"), *b"a b %zz%4");
    }

    #[test]
    fn arguments_as_text_under_either_name() {
        let arguments: &[(&[u8], Value<'_>)] = &[
            (b"customer", Value::String(b"acme")),
            (b"arg_src", Value::Ipv4([10, 0, 0, 1].into())),
            (b"tier", Value::Uint32(3)),
            (b"none", Value::Null),
        ];
        with_view(b"/", b"", arguments, |view| {
            assert_eq!(view.argument("customer").as_deref(), Some(&b"acme"[..]));
            assert_eq!(view.argument("src").as_deref(), Some(&b"10.0.0.1"[..]));
            assert_eq!(view.argument("tier").as_deref(), Some(&b"3"[..]));
            assert!(view.argument("none").is_none());
            assert_eq!(view.source(), Some([10, 0, 0, 1].into()));
        });
    }

    #[test]
    fn hosts_are_compared_in_lower_case() {
        let host =
            |headers: &[u8]| with_view(b"/", headers, &[], |view| view.host_lowercase().to_vec());
        assert_eq!(host(b"host: WWW.Example.net:80\r\n\r\n"), b"www.example.net");
        assert_eq!(host(b"host: www.example.net\r\n\r\n"), b"www.example.net");
    }

    #[test]
    fn a_mapped_address_is_the_address() {
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        for value in [Value::Ipv6(mapped), Value::String(b"::ffff:10.0.0.1")] {
            with_view(b"/", b"", &[(b"src", value)], |view| {
                assert_eq!(view.first(&Key::Source).as_deref(), Some(&b"10.0.0.1"[..]));
            });
        }
    }

    /// The same name in every place.
    #[test]
    fn a_key_has_its_first_value() {
        let headers = b"n: header\r\nN: more\r\ncookie: n=cookie; n=more\r\n\r\n";
        with_view(b"/?n=qu%65ry&n=more", headers, &[(b"n", Value::String(b"args"))], |view| {
            let first = |key: fn(String) -> Key, name: &str| view.first(&key(name.to_owned()));
            for (key, value) in [
                (Key::Header as fn(String) -> Key, &b"header"[..]),
                (Key::Cookie, b"cookie"),
                (Key::Query, b"qu%65ry"),
                (Key::Argument, b"args"),
            ] {
                assert_eq!(first(key, "n").as_deref(), Some(value));
                assert!(first(key, "nx").is_none());
            }
        });
    }
}
